// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is asked of a reference: kill, reinit, resurrect, and switches between
 * modes. Each is one critical section between begin() and end().
 */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/sched.h>

#include "rooms.h"

/**
 * struct request - one that is being carried out
 * @d: of which reference; locked from begin() to end()
 * @flags: interrupts before that
 * @caller: who makes it
 * @todo: what is to be done after the lock has been dropped
 */
struct request {
	struct pcpuref_data	*d;
	unsigned long		flags;
	unsigned long		caller;
	unsigned int		todo;
};

/* False, with a report, if there is no such reference. */
static bool begin(struct request *rq, struct pcpuref *ref, unsigned long caller)
{
	rq->d = __pcpuref_lock(ref, &rq->flags);
	rq->caller = caller;
	rq->todo = 0;
	if (!rq->d)
		__pcpuref_misuse_gone(ref, caller);
	return rq->d;
}

static int refuse(struct request *rq, enum pcpuref_misuse what, int err)
{
	__pcpuref_misuse(rq->d, what, rq->caller);
	__pcpuref_unlock(rq->d, rq->flags);
	return err;
}

/* For what has to be known in between. */
static void settle(struct request *rq)
{
	rq->d->used = true;
	rq->todo |= __pcpuref_settle(rq->d);
}

static void end(struct request *rq, bool sync)
{
	__acquire(&rq->d->lock);
	__pcpuref_unlock_settled(rq->d, rq->flags, rq->todo, sync);
	__pcpuref_run(rq->d, rq->todo, sync);
}

/* --- Kill ----------------------------------------------------------------------- */

static void kill_live(struct request *rq)
{
	struct pcpuref_data *d = rq->d;
	enum pcpuref_mode before = __pcpuref_mode(d);

	d->live = false;
	/* With PCPUREF_ALLOW_ZERO it has been the client's. */
	d->initial = true;
	d->requester = rq->caller;
	d->killed_at = ktime_get_mono_fast_ns();
	__pcpuref_tag(d, __PCPUREF_ATOMIC | __PCPUREF_DEAD);
	__pcpuref_event(d, PCPUREF_STEP_KILL, before, __pcpuref_mode(d), rq->caller);
	/* Pairs with the WRITE_ONCE() in __pcpuref_stick(). */
	if (READ_ONCE(d->stuck))
		__pcpuref_note_hopeless_kill(d, rq->caller);
}

/* See pcpuref_kill_and_confirm(). */
int __pcpuref_kill_and_confirm(struct pcpuref *ref, pcpuref_func_t *confirm)
{
	struct request rq;

	if (!begin(&rq, ref, _RET_IP_))
		return -EINVAL;
	if (!rq.d->live)
		return refuse(&rq, PCPUREF_KILLED_TWICE, -EINVAL);
	if (confirm && !__pcpuref_add_confirm(rq.d, confirm))
		return refuse(&rq, PCPUREF_TOO_MANY_CONFIRMS, -EBUSY);
	kill_live(&rq);
	settle(&rq);
	end(&rq, false);
	return 0;
}
EXPORT_SYMBOL_GPL(__pcpuref_kill_and_confirm);

/* See pcpuref_kill_sync(). */
int __pcpuref_kill_sync(struct pcpuref *ref)
{
	struct request rq;
	bool sees_one, tasks;

	might_sleep();

	if (!begin(&rq, ref, _RET_IP_))
		return -EINVAL;
	if (rq.d->live)
		kill_live(&rq);
	settle(&rq);
	tasks = __pcpuref_readers(rq.d);
	/* The grace period in flight, if any, may have begun before the kill. */
	sees_one = __pcpuref_sees_grace_period(rq.todo);
	end(&rq, true);
	if (!sees_one)
		__pcpuref_wait_for_readers(tasks);
	return 0;
}
EXPORT_SYMBOL_GPL(__pcpuref_kill_sync);

/* See pcpuref_kill_and_wait_timeout() and pcpuref_kill_and_wait_killable(). */
int __pcpuref_kill_and_wait(struct pcpuref *ref, unsigned long timeout, bool killable)
{
	struct pcpuref_waiter waiter;
	struct request rq;

	might_sleep();

	if (!begin(&rq, ref, _RET_IP_))
		return -EINVAL;
	__pcpuref_wait_begin(rq.d, &waiter, true, __pcpuref_life(rq.d));
	if (rq.d->live)
		kill_live(&rq);
	settle(&rq);
	__pcpuref_wake_due(rq.d);
	/* Pairs with the WRITE_ONCE() in __pcpuref_stick(). */
	if (READ_ONCE(rq.d->stuck))
		__pcpuref_wake_failed(rq.d, true, -ENOTRECOVERABLE);
	end(&rq, true);
	return __pcpuref_wait_end(rq.d, &waiter, timeout, killable);
}
EXPORT_SYMBOL_GPL(__pcpuref_kill_and_wait);

/* --- To life --------------------------------------------------------------------- */

static void revive(struct request *rq, enum pcpuref_step step)
{
	u64 killed_at = rq->d->killed_at;
	enum pcpuref_mode mode;

	rq->todo = __pcpuref_revive(rq->d, rq->caller);
	mode = __pcpuref_mode(rq->d);
	/* This event tells how long ago the kill was that is undone. */
	rq->d->killed_at = killed_at;
	__pcpuref_event(rq->d, step, mode, mode, rq->caller);
	rq->d->killed_at = 0;
	end(rq, false);
}

/* See pcpuref_reinit(). */
int __pcpuref_reinit(struct pcpuref *ref)
{
	struct request rq;

	if (!begin(&rq, ref, _RET_IP_))
		return -EINVAL;
	if (rq.d->live)
		return refuse(&rq, PCPUREF_REINIT_LIVE, -EINVAL);
	/* Pairs with the WRITE_ONCE() in __pcpuref_stick(). */
	if (!rq.d->zero && !READ_ONCE(rq.d->stuck))
		return refuse(&rq, PCPUREF_REINIT_NONZERO, -EBUSY);
	revive(&rq, PCPUREF_STEP_REINIT);
	return 0;
}
EXPORT_SYMBOL_GPL(__pcpuref_reinit);

/* See pcpuref_resurrect(). */
int __pcpuref_resurrect(struct pcpuref *ref)
{
	struct request rq;

	if (!begin(&rq, ref, _RET_IP_))
		return -EINVAL;
	if (rq.d->live)
		return refuse(&rq, PCPUREF_RESURRECT_LIVE, -EINVAL);
	revive(&rq, PCPUREF_STEP_RESURRECT);
	return 0;
}
EXPORT_SYMBOL_GPL(__pcpuref_resurrect);

/* --- Mode ------------------------------------------------------------------------- */

static void want_atomic(struct request *rq)
{
	struct pcpuref_data *d = rq->d;
	enum pcpuref_mode before = __pcpuref_mode(d);

	d->force_atomic = true;
	if (!d->tagged) {
		d->requester = rq->caller;
		__pcpuref_tag(d, __PCPUREF_ATOMIC);
		__pcpuref_event(d, PCPUREF_STEP_SWITCH, before, __pcpuref_mode(d),
				rq->caller);
	}
	settle(rq);
}

/* See pcpuref_switch_to_atomic(). */
int __pcpuref_switch_to_atomic(struct pcpuref *ref, pcpuref_func_t *confirm)
{
	struct request rq;

	if (!begin(&rq, ref, _RET_IP_))
		return -EINVAL;
	if (confirm && !__pcpuref_add_confirm(rq.d, confirm))
		return refuse(&rq, PCPUREF_TOO_MANY_CONFIRMS, -EBUSY);
	want_atomic(&rq);
	end(&rq, false);
	return 0;
}
EXPORT_SYMBOL_GPL(__pcpuref_switch_to_atomic);

/* See pcpuref_switch_to_atomic_sync(). */
int __pcpuref_switch_to_atomic_sync(struct pcpuref *ref)
{
	struct pcpuref_waiter waiter;
	struct request rq;

	might_sleep();

	if (!begin(&rq, ref, _RET_IP_))
		return -EINVAL;
	want_atomic(&rq);
	__pcpuref_wait_begin(rq.d, &waiter, false, rq.d->batches + rq.d->busy);
	__pcpuref_wake_due(rq.d);
	end(&rq, true);
	return __pcpuref_wait_end(rq.d, &waiter, MAX_SCHEDULE_TIMEOUT, false);
}
EXPORT_SYMBOL_GPL(__pcpuref_switch_to_atomic_sync);

/* See pcpuref_switch_to_percpu(). */
int __pcpuref_switch_to_percpu(struct pcpuref *ref)
{
	struct request rq;

	if (!begin(&rq, ref, _RET_IP_))
		return -EINVAL;
	if (!__pcpuref_allows_reinit(rq.d))
		return refuse(&rq, PCPUREF_NOT_ALLOWED, -EINVAL);
	rq.d->force_atomic = false;
	if (rq.d->live)
		rq.d->requester = rq.caller;
	settle(&rq);
	/* A lazy one is asked to have counters, without further proof. */
	if (rq.d->tags & __PCPUREF_LAZY)
		__pcpuref_want_counters(rq.d);
	end(&rq, false);
	return 0;
}
EXPORT_SYMBOL_GPL(__pcpuref_switch_to_percpu);
