/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Everything in pcpuref that depends on the kernel's version is here; the rest of the
 * code knows one kernel only. Where possible a feature is tested for and not a version,
 * since stable trees have backports.
 */
#ifndef PCPUREF_KERNEL_H
#define PCPUREF_KERNEL_H

#include <linux/compiler.h>
#include <linux/irq_work.h>
#include <linux/kernel.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/version.h>

/* The declared range. */
#define PCPUREF_OLDEST_KERNEL	KERNEL_VERSION(5, 10, 0)
#define PCPUREF_BEYOND_NEWEST	KERNEL_VERSION(7, 4, 0)

#if LINUX_VERSION_CODE < PCPUREF_OLDEST_KERNEL
#error "pcpuref needs Linux 5.10 or newer: this kernel is older than the declared range"
#endif

#if LINUX_VERSION_CODE >= PCPUREF_BEYOND_NEWEST
#pragma message("pcpuref is untested on kernels newer than 7.3")
#endif

/*
 * preempt_disable_notrace() and preempt_enable_notrace() for the fast path. On x86-64
 * the kernel's own compile to an add at an address relative to the instruction
 * pointer. Some Intel cores forward the result of such an add to the next one slowly: a
 * get and a put take three times as long as those of percpu_ref. With the address of
 * preempt_count in a register they do not. Its name depends on the version. With
 * HAVE_PREEMPT_LAZY, of the PREEMPT_RT patches, the kernel's own look at more than that count.
 */
#if defined(CONFIG_X86_64) && defined(CONFIG_PREEMPTION) && !defined(CONFIG_UML) && \
	!defined(CONFIG_HAVE_PREEMPT_LAZY)
#if KERNEL_VERSION(6, 2, 0) <= LINUX_VERSION_CODE && \
	KERNEL_VERSION(6, 15, 0) > LINUX_VERSION_CODE
#define PCPUREF_PREEMPT_COUNT	pcpu_hot.preempt_count
#else
#define PCPUREF_PREEMPT_COUNT	__preempt_count
#endif

#ifdef CONFIG_HAS_SEPARATE_PREEMPT_RESCHED_BITS
#define PCPUREF_PREEMPT_ADD	raw_cpu_add_8
#define PCPUREF_PREEMPT_DEC	"decq"
#else
#define PCPUREF_PREEMPT_ADD	raw_cpu_add_4
#define PCPUREF_PREEMPT_DEC	"decl"
#endif

/* What the kernel itself gives to GEN_UNARY_RMWcc() for a per-CPU variable. */
#ifdef __my_cpu_var
#define PCPUREF_CPU_VAR(count)	__my_cpu_var(*(count))
#else
#define PCPUREF_CPU_VAR(count)	(*(count))
#endif

static __always_inline void pcpuref_preempt_disable(void)
{
	typeof(PCPUREF_PREEMPT_COUNT) __percpu *count = &PCPUREF_PREEMPT_COUNT;

	OPTIMIZER_HIDE_VAR(count);
	PCPUREF_PREEMPT_ADD(*count, 1);
	barrier();
}

static __always_inline void pcpuref_preempt_enable(void)
{
	typeof(PCPUREF_PREEMPT_COUNT) __percpu *count = &PCPUREF_PREEMPT_COUNT;

	barrier();
	OPTIMIZER_HIDE_VAR(count);
	if (unlikely(GEN_UNARY_RMWcc(PCPUREF_PREEMPT_DEC, PCPUREF_CPU_VAR(count), e,
				     __percpu_arg([var]))))
		__preempt_schedule_notrace();
}
#else
static __always_inline void pcpuref_preempt_disable(void)
{
	preempt_disable_notrace();
}

static __always_inline void pcpuref_preempt_enable(void)
{
	preempt_enable_notrace();
}
#endif

/*
 * A grace period that waits for every reader with preemption disabled and is not
 * delayed. With RCU_LAZY, which came in 6.2 together with call_rcu_hurry(), a plain
 * call_rcu() may be batched for seconds.
 */
static inline void pcpuref_call_rcu_sched(struct rcu_head *head,
					  rcu_callback_t func)
{
#ifdef CONFIG_RCU_LAZY
	call_rcu_hurry(head, func);
#else
	call_rcu(head, func);
#endif
}

/*
 * Grace periods for readers that may be preempted (see PCPUREF_READERS_TASKS).
 * On kernels without preemption there are no such readers, and the other kind of grace
 * period, which always follows, is enough. On preemptible kernels without RCU-tasks this
 * is not supported: there call_rcu_tasks() is only another name of call_rcu(), which
 * does not wait for such readers.
 */
#define PCPUREF_HAVE_READERS_TASKS \
	(IS_ENABLED(CONFIG_TASKS_RCU) || !IS_ENABLED(CONFIG_PREEMPTION))

static inline void pcpuref_call_rcu_tasks(struct rcu_head *head, rcu_callback_t func)
{
#ifdef CONFIG_TASKS_RCU
	call_rcu_tasks(head, func);
#else
	pcpuref_call_rcu_sched(head, func);
#endif
}

static inline void pcpuref_synchronize_rcu_tasks(void)
{
#ifdef CONFIG_TASKS_RCU
	synchronize_rcu_tasks();
#endif
}

static inline void pcpuref_rcu_barrier_tasks(void)
{
#ifdef CONFIG_TASKS_RCU
	rcu_barrier_tasks();
#else
	rcu_barrier();
#endif
}

/*
 * The irq_work that finishes what an NMI began runs in hard interrupt context
 * on PREEMPT_RT too, soon and on the CPU whose list it empties. On kernels that have
 * no flag for that, every irq_work runs like this, unless RT patches change it; then it
 * runs later, which is right as well. It is never initialised statically: before 6.15
 * the module loader does not relocate pointers in the per-CPU data of a module.
 */
static inline void pcpuref_irq_work_init(struct irq_work *work,
					 void (*func)(struct irq_work *work))
{
#ifdef IRQ_WORK_INIT_HARD
	*work = IRQ_WORK_INIT_HARD(func);
#else
	init_irq_work(work, func);
#endif
}

/* Where there is no irq_work (uniprocessor without perf), nothing calls this in NMI. */
static inline void pcpuref_irq_work_queue(struct irq_work *work)
{
#ifdef CONFIG_IRQ_WORK
	irq_work_queue(work);
#endif
}

static inline void pcpuref_irq_work_sync(struct irq_work *work)
{
#ifdef CONFIG_IRQ_WORK
	irq_work_sync(work);
#endif
}

static inline bool pcpuref_in_nmi(void)
{
	return IS_ENABLED(CONFIG_IRQ_WORK) && in_nmi();
}

/* Read memory that may be anything, if it can be read. Needs linux/uaccess.h. */
#define pcpuref_read_nofault(to, from, size) (!copy_from_kernel_nofault(to, from, size))

/* Since 6.17 a workqueue has to say that it is not WQ_UNBOUND. */
#if KERNEL_VERSION(6, 17, 0) <= LINUX_VERSION_CODE
#define PCPUREF_WQ_PERCPU	WQ_PERCPU
#else
#define PCPUREF_WQ_PERCPU	0
#endif

/* Since 6.10 __assign_str() has no argument for the source of the string. */
#if KERNEL_VERSION(6, 10, 0) <= LINUX_VERSION_CODE
#define pcpuref_assign_str(field, ...)		__assign_str(field)
#else
#define pcpuref_assign_str(field, string)	__assign_str(field, string)
#endif

/* Since 5.17 a module can initialise the stack depot, and so can use it. */
#if IS_ENABLED(CONFIG_STACKDEPOT) && KERNEL_VERSION(5, 17, 0) <= LINUX_VERSION_CODE
#define PCPUREF_STACK_DEPOT	1
#endif

#endif /* PCPUREF_KERNEL_H */
