// SPDX-License-Identifier: GPL-2.0-only
/*
 * Callers that sleep: until a release has returned, or a grace period is over. Each
 * waits in its reference's own list, so what happens to others does not wake it. A
 * waiter is added, and what it waits for checked, under one hold of the lock, and
 * each change of that is followed by a wake-up under the same.
 */
#include <linux/completion.h>
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/spinlock.h>

#include "rooms.h"

static void wake(struct pcpuref_data *d, struct pcpuref_waiter *w, int result)
{
	lockdep_assert_held(&d->lock);
	hlist_del_init(&w->node);
	w->result = result;
	/* The last touch: the waiter's frame may be gone after this. */
	complete(&w->done);
}

void __pcpuref_wake_due(struct pcpuref_data *d)
{
	struct pcpuref_waiter *w;
	struct hlist_node *next;
	bool due;

	lockdep_assert_held(&d->lock);
	hlist_for_each_entry_safe(w, next, &d->waiters, node) {
		due = w->for_release ? (s16)(d->returned - w->target) >= 0 :
				       (s8)(d->batches - w->target) >= 0;
		if (due)
			wake(d, w, 0);
	}
}

/* Of waiters for a release only those whose life has not ended. */
void __pcpuref_wake_failed(struct pcpuref_data *d, bool for_release, int result)
{
	struct pcpuref_waiter *w;
	struct hlist_node *next;

	lockdep_assert_held(&d->lock);
	hlist_for_each_entry_safe(w, next, &d->waiters, node)
		if (w->for_release == for_release &&
		    (!for_release || (s16)(d->ended - w->target) < 0))
			wake(d, w, result);
}

/* @target: number of a life, or of the grace period that is waited for. */
void __pcpuref_wait_begin(struct pcpuref_data *d, struct pcpuref_waiter *w,
			  bool for_release, u16 target)
{
	lockdep_assert_held(&d->lock);
	init_completion(&w->done);
	w->for_release = for_release;
	w->target = target;
	w->result = 0;
	hlist_add_head(&w->node, &d->waiters);
	__pcpuref_pin(d);
}

/* @killable: a fatal signal ends it, with -EINTR. */
int __pcpuref_wait_end(struct pcpuref_data *d, struct pcpuref_waiter *w,
		       unsigned long timeout, bool killable)
{
	unsigned long flags;
	long left;

	if (killable)
		left = wait_for_completion_killable_timeout(&w->done, timeout);
	else
		left = wait_for_completion_timeout(&w->done, timeout);
	if (left <= 0) {
		raw_spin_lock_irqsave(&d->lock, flags);
		if (!hlist_unhashed(&w->node)) {
			hlist_del_init(&w->node);
			w->result = left ? -EINTR : -ETIMEDOUT;
		}
		raw_spin_unlock_irqrestore(&d->lock, flags);
	}
	__pcpuref_unpin(d);
	return w->result;
}
