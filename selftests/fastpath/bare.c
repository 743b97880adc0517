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

#include "bare.h"

static __always_inline bool add(struct pcpuref *ref, unsigned long nr)
{
	unsigned long word;

	preempt_disable_notrace();
	word = READ_ONCE(ref->word);
	if (unlikely(word & 7UL))
		return false;
	this_cpu_add(*(unsigned long __percpu *)word, nr);
	preempt_enable_notrace();
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
