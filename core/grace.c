// SPDX-License-Identifier: GPL-2.0-only
/*
 * Grace periods, for both kinds of readers. Knows struct rcu_head, not references.
 *
 * Readers of the default kind have preemption disabled, and every grace period of
 * RCU waits for them. Readers of PCPUREF_READERS_TASKS can be preempted: for them
 * a grace period of RCU-tasks comes first. That need not wait for what cannot be
 * preempted, so the other kind follows. Documentation/design.rst has the proof.
 *
 * Each reference that switches, and each that is freed, has a callback of its own.
 */
#include <linux/compiler.h>
#include <linux/rcupdate.h>

#include "rooms.h"

static bool tasks_used;

void __pcpuref_grace_use_tasks(void)
{
	/* Pairs with the READ_ONCE() in __pcpuref_grace_barrier(). */
	WRITE_ONCE(tasks_used, true);
}

/* Call @func after a grace period that begins from now on. Any context but NMI. */
void __pcpuref_after_sched(struct rcu_head *head, rcu_callback_t func)
{
	pcpuref_call_rcu_sched(head, func);
}

void __pcpuref_after_tasks(struct rcu_head *head, rcu_callback_t func)
{
	pcpuref_call_rcu_tasks(head, func);
}

/* Pairs with the sections of all who look at the word (litmus: a1-kill-get). */
void __pcpuref_wait_for_readers(bool tasks)
{
	if (tasks)
		pcpuref_synchronize_rcu_tasks();
	synchronize_rcu_expedited();
}

/* The one kind may have led to the other. */
void __pcpuref_grace_barrier(void)
{
	/* Pairs with the WRITE_ONCE() in __pcpuref_grace_use_tasks(). */
	if (READ_ONCE(tasks_used))
		pcpuref_rcu_barrier_tasks();
	rcu_barrier();
}
