// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fast path as it is meant to be, written out once more without any of
 * pcpuref's headers: what probe.c compiles to must be this and nothing else.
 */
#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/irqflags.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/types.h>
#include <linux/version.h>

#include "bare.h"

/*
 * The preempt count through a register, where the kernel has one; it is in
 * pcpu_hot from 6.2 to 6.14.
 */
#if defined(CONFIG_X86_64) && defined(CONFIG_PREEMPTION) && !defined(CONFIG_UML)
#if KERNEL_VERSION(6, 2, 0) <= LINUX_VERSION_CODE && \
	KERNEL_VERSION(6, 15, 0) > LINUX_VERSION_CODE
#define COUNT	(&pcpu_hot.preempt_count)
#else
#define COUNT	(&__preempt_count)
#endif
#ifdef __my_cpu_var
#define AT(count)	__my_cpu_var(*(count))
#else
#define AT(count)	(*(count))
#endif

static __always_inline void enter(void)
{
	typeof(COUNT) count = COUNT;

	OPTIMIZER_HIDE_VAR(count);
	if (sizeof(*count) == 8)
		raw_cpu_add_8(*count, 1);
	else
		raw_cpu_add_4(*count, 1);
	barrier();
}

static __always_inline void leave(void)
{
	typeof(COUNT) count = COUNT;
	bool zero;

	barrier();
	OPTIMIZER_HIDE_VAR(count);
#ifdef CONFIG_HAS_SEPARATE_PREEMPT_RESCHED_BITS
	zero = GEN_UNARY_RMWcc("decq", AT(count), e, __percpu_arg([var]));
#else
	zero = GEN_UNARY_RMWcc("decl", AT(count), e, __percpu_arg([var]));
#endif
	if (unlikely(zero))
		__preempt_schedule_notrace();
}
#else
static __always_inline void enter(void)
{
	preempt_disable_notrace();
}

static __always_inline void leave(void)
{
	preempt_enable_notrace();
}
#endif

static __always_inline bool add(struct pcpuref *ref, unsigned long nr)
{
	unsigned long word;

	enter();
	word = READ_ONCE(ref->word);
	if (unlikely(word & 7UL))
		return false;
	this_cpu_add(*(unsigned long __percpu *)word, nr);
	leave();
	return true;
}

void probe_get(struct pcpuref *ref)
{
	if (unlikely(!add(ref, 1))) {
		__pcpuref_get_slow(ref);
		barrier();
	}
}

void probe_put(struct pcpuref *ref)
{
	if (unlikely(!add(ref, -1UL))) {
		__pcpuref_put_slow(ref);
		barrier();
	}
}

void probe_put_many(struct pcpuref *ref, unsigned long nr)
{
	if (unlikely(!add(ref, -nr))) {
		__pcpuref_put_many_slow(ref, nr);
		barrier();
	}
}

bool probe_tryget(struct pcpuref *ref)
{
	return likely(add(ref, 1)) || __pcpuref_tryget_slow(ref);
}

bool probe_tryget_live(struct pcpuref *ref)
{
	return likely(add(ref, 1)) || __pcpuref_tryget_live_slow(ref);
}
