/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Everything in pcpuref that depends on the kernel's version stands here; the
 * rest reads as if there were one kernel. Tests are for features where the
 * kernel shows one, since stable trees backport.
 */
#ifndef PCPUREF_KERNEL_H
#define PCPUREF_KERNEL_H

#include <linux/irq_work.h>
#include <linux/kernel.h>
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
 * A grace period that waits for every preempt-disabled reader and is not put
 * off. Before 4.20 this was call_rcu_sched(); since then call_rcu() waits for
 * such readers too. With RCU_LAZY, which came in 6.2 together with
 * call_rcu_hurry(), a plain call_rcu() may be batched for seconds.
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
 * Where the kernel is not preempted there are none, and the other kind, which
 * always follows, is enough. Preemptible without RCU-tasks: not to be had. That
 * the kernel's call_rcu_tasks() is call_rcu() then does not make it one.
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
 * Whether one callback can serve many: a cookie stands for the grace period that
 * whatever came before needs, and tells whether it is over (since 5.13).
 */
#if KERNEL_VERSION(5, 13, 0) <= LINUX_VERSION_CODE
static inline bool pcpuref_rcu_cookie(unsigned long *cookie)
{
	*cookie = get_state_synchronize_rcu();
	return true;
}

static inline bool pcpuref_rcu_passed(unsigned long cookie)
{
	return poll_state_synchronize_rcu(cookie);
}
#else
static inline bool pcpuref_rcu_cookie(unsigned long *cookie)
{
	return false;
}

static inline bool pcpuref_rcu_passed(unsigned long cookie)
{
	return true;
}
#endif

/*
 * Whether GFP_ATOMIC may be tried, whatever the caller holds. With PREEMPT_RT the
 * allocator takes locks that sleep, which lockdep can be told to see elsewhere.
 */
static inline bool pcpuref_can_allocate(void)
{
	if (IS_ENABLED(CONFIG_PREEMPT_RT) || IS_ENABLED(CONFIG_PROVE_RAW_LOCK_NESTING))
		return preemptible();
	return true;
}

/*
 * The irq_work that finishes what an NMI began runs in hard interrupt context
 * on PREEMPT_RT too, soon and on the CPU whose list it empties. Where that
 * cannot be said yet, irq_work runs so unless RT patches say else; then it
 * comes later, which is as good. Never initialised statically: before 6.15 the
 * module loader leaves pointers in a module's per-CPU data unrelocated.
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

/* Kernels without irq_work (uniprocessor without perf) have no NMI user. */
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

/* Since 6.10 a tracepoint's string remembers where it comes from. */
#if KERNEL_VERSION(6, 10, 0) <= LINUX_VERSION_CODE
#define pcpuref_assign_str(field, ...)		__assign_str(field)
#else
#define pcpuref_assign_str(field, string)	__assign_str(field, string)
#endif

/* A module can use the stack depot since it can have it initialised: 5.17. */
#if IS_ENABLED(CONFIG_STACKDEPOT) && KERNEL_VERSION(5, 17, 0) <= LINUX_VERSION_CODE
#define PCPUREF_STACK_DEPOT	1
#endif

#endif /* PCPUREF_KERNEL_H */
