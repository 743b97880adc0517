/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rooms of the core, from the ground floor up, and the functions through
 * which each is entered. A room calls what is below it and nothing above, sets
 * up its own data, and hides the rest as static.
 *
 *   7  module    load and unload, barrier, clients that go away
 *   6  pcpuref.c gets and puts             inspect   look from outside
 *   5  life      init and exit             requests  kill, reinit, switches
 *      later     what an NMI or a hot lazy reference leaves behind
 *   4  machine   the state machine, zero and release
 *   3  registry  who is there               events  log, tracepoints, misuse
 *      wait      callers that sleep
 *   2  memory    where the structure comes from and goes to, pins
 *   1  grace     grace periods              work    releases that may sleep
 *      clients   whose references
 *   0  ref.h     the structure              kref    the four-byte count
 */
#ifndef PCPUREF_CORE_ROOMS_H
#define PCPUREF_CORE_ROOMS_H

#include <linux/completion.h>
#include <linux/workqueue.h>

#include "ref.h"

/* --- 1: grace.c: grace periods --------------------------------------------- */

/*
 * Call @func after a grace period that begins from now on: the second for readers
 * of PCPUREF_READERS_TASKS, after which @func has to ask for one of the first.
 */
void __pcpuref_after_sched(struct rcu_head *head, rcu_callback_t func);
void __pcpuref_after_tasks(struct rcu_head *head, rcu_callback_t func);

/* Wait for one for both, expedited where there is such a one. May sleep. */
void __pcpuref_wait_for_readers(bool tasks);

/* From now on there are readers that may be preempted. */
void __pcpuref_grace_use_tasks(void);

/* Wait for the callbacks of all grace periods that have been asked for. */
void __pcpuref_grace_barrier(void);

/* --- 1: clients.c: whose references ----------------------------------------- */

/* The client that @site belongs to, or NULL without memory. */
struct pcpuref_client *__pcpuref_client(struct pcpuref_site *site, gfp_t gfp);

/* Of a module that has initialised references; NULL if it has not. */
struct pcpuref_client *__pcpuref_find_client(const struct module *owner);

/* Something begins that the core has to complete, or is complete. Any context. */
static inline void __pcpuref_in_flight(struct pcpuref_client *client)
{
	atomic_inc(&client->in_flight);
}

static inline void __pcpuref_landed(struct pcpuref_client *client)
{
	/*
	 * The last touch. Pairs with the acquire in __pcpuref_wait_for_client()
	 * (litmus: q1-landed-wait).
	 */
	atomic_dec_return_release(&client->in_flight);
}

/* Wait until nothing of it is in flight. May sleep. */
void __pcpuref_wait_for_client(struct pcpuref_client *client);

/* It goes away, and nothing is in flight. @leave: something still points to it. */
void __pcpuref_forget_client(struct pcpuref_client *client, bool leave);

/* --- 1: work.c: releases that may sleep ------------------------------------- */

struct pcpuref_work_pool;

/**
 * struct pcpuref_work - calls a function in process context, beside all others
 * @work: the work item
 * @pool: which pool it is queued in
 * @waiting: or in the list of those for whom there is no place yet
 */
struct pcpuref_work {
	struct work_struct			work;
	union {
		struct pcpuref_work_pool	*pool;
		struct llist_node		waiting;
	};
};

/* @func calls __pcpuref_work_begin() first, and then need not look at @work. */
void __pcpuref_queue_work(struct pcpuref_work *work);
struct pcpuref_work_pool *__pcpuref_work_begin(struct pcpuref_work *work);
void __pcpuref_work_end(struct pcpuref_work_pool *pool);

int __pcpuref_work_init(void);
void __pcpuref_work_exit(void);

/* --- 2: memory.c: where the structure comes from and goes to ---------------- */

struct pcpuref_data *__pcpuref_alloc(unsigned int flags, gfp_t gfp, const char *name);
unsigned long __percpu *__pcpuref_alloc_counters(gfp_t gfp);
void __pcpuref_free_counters(unsigned long __percpu *counters);

/* Empty counters that no CPU uses. Return: what they held. */
long __pcpuref_take_out(unsigned long __percpu *counters);

/* The parts behind the structure, where there are any. */
struct pcpuref_work *__pcpuref_work(struct pcpuref_data *d);
struct pcpuref_data *__pcpuref_of_work(struct pcpuref_work *work);
const char *__pcpuref_name(const struct pcpuref_data *d);
size_t __pcpuref_bytes(const struct pcpuref_data *d);

static inline void __pcpuref_pin(struct pcpuref_data *d)
{
	refcount_inc(&d->pins);
}

void __pcpuref_unpin(struct pcpuref_data *d);

int __pcpuref_memory_init(void);
void __pcpuref_memory_exit(void);

/* --- 3: events.c: what is seen from outside ------------------------------- */

/* Is anybody looking at events? Only then are they put together. */
bool __pcpuref_logging(void);

void __pcpuref_log_event(struct pcpuref_data *d, enum pcpuref_step step,
			 enum pcpuref_mode before, enum pcpuref_mode after,
			 unsigned long caller);

/* A step has been taken, under the lock. */
static inline void __pcpuref_event(struct pcpuref_data *d, enum pcpuref_step step,
				   enum pcpuref_mode before, enum pcpuref_mode after,
				   unsigned long caller)
{
	if (unlikely(__pcpuref_logging()))
		__pcpuref_log_event(d, step, before, after, caller);
}

/*
 * Under the lock. Both report once for each reference and kind, and once for each kind
 * and place. The first knows who did it; the second only who asked for the kill or
 * switch at which it was found.
 */
void __pcpuref_misuse(struct pcpuref_data *d, enum pcpuref_misuse what,
		      unsigned long caller);
void __pcpuref_misuse_found(struct pcpuref_data *d, enum pcpuref_misuse what);

/* Without the lock, by a get or put that found @old in the shared counter. */
void __pcpuref_misuse_unlocked(struct pcpuref_data *d, enum pcpuref_misuse what, long old,
			       unsigned long caller);

/* Of a reference that has no data, or another's. */
void __pcpuref_misuse_gone(struct pcpuref *ref, unsigned long caller);
void __pcpuref_misuse_left(const struct pcpuref_info *info, bool named);
void __pcpuref_note_second_exit(struct pcpuref *ref, unsigned long caller);
void __pcpuref_note_hopeless_kill(struct pcpuref_data *d, unsigned long caller);

/* What has made the count of a reference stick, if that is still known. */
bool __pcpuref_cause(u64 id, struct pcpuref_info *info);

/* The code of @module comes or goes. */
void __pcpuref_forget_places(const struct module *module);
void __pcpuref_trace_dump(const struct pcpuref_info *info);

/* --- 3: registry.c: who is there -------------------------------------------- */

void __pcpuref_list(struct pcpuref_data *d);
void __pcpuref_unlist(struct pcpuref_data *d);

/* A walk whose first step goes to @id, if there is such a one. */
struct pcpuref_walk __pcpuref_walk_to(u64 id);

/* Go to the next reference, which is then pinned. False at the end. */
bool __pcpuref_walk_step(struct pcpuref_walk *walk);
void __pcpuref_registry_init(void);

/* --- 3: wait.c: callers that sleep ------------------------------------------ */

/* A caller that sleeps until a release has returned or a grace period is over. */
struct pcpuref_waiter {
	struct hlist_node	node;
	struct completion	done;
	bool			for_release;
	u16			target;
	int			result;
};

void __pcpuref_wait_begin(struct pcpuref_data *d, struct pcpuref_waiter *w,
			  bool for_release, u16 target);
int __pcpuref_wait_end(struct pcpuref_data *d, struct pcpuref_waiter *w,
		       unsigned long timeout, bool killable);
/* Wake those who have got what they wait for, or those who never will. */
void __pcpuref_wake_due(struct pcpuref_data *d);
void __pcpuref_wake_failed(struct pcpuref_data *d, bool for_release, int result);

/* --- 4: machine.c: the state machine ---------------------------------------- */

/* Find and lock the data of @ref; NULL, with nothing locked, if it has none. */
struct pcpuref_data *__pcpuref_lock(struct pcpuref *ref, unsigned long *flags);
void __pcpuref_unlock(struct pcpuref_data *d, unsigned long flags);

/*
 * Under the lock; what they return is for __pcpuref_run(), and of __pcpuref_settle() for
 * __pcpuref_unlock_settled() before.
 */
unsigned int __pcpuref_settle(struct pcpuref_data *d);
unsigned int __pcpuref_reached_zero(struct pcpuref_data *d, unsigned long caller);
unsigned int __pcpuref_revive(struct pcpuref_data *d, unsigned long caller);
void __pcpuref_tag(struct pcpuref_data *d, unsigned long tags);
bool __pcpuref_add_confirm(struct pcpuref_data *d, pcpuref_func_t *confirm);

/*
 * Drop the lock, and do the rest without it. With @sync the caller may sleep, and sees a
 * grace period through; else one has been asked for when the first of these returns.
 */
void __pcpuref_unlock_settled(struct pcpuref_data *d, unsigned long flags, unsigned int todo,
			      bool sync) __releases(&d->lock);
void __pcpuref_run(struct pcpuref_data *d, unsigned int todo, bool sync);

/* Does that lead to a grace period which @sync would see through? */
bool __pcpuref_sees_grace_period(unsigned int todo);

/* The count is negative or must become so; needs no lock. */
void __pcpuref_stick(struct pcpuref_data *d, bool dead);

/* The function of a struct pcpuref_work, for who sets one up. */
void __pcpuref_release_work(struct work_struct *work);

/* --- 5: later.c: what cannot be done on the spot ----------------------------- */

/* For callers with preemption disabled since they found @d. Any context. */
void __pcpuref_defer(struct pcpuref_data *d, int zeroes);

/* A get of a lazy reference: is it hot? And: it is to have counters. */
void __pcpuref_sample(struct pcpuref_data *d);
void __pcpuref_want_counters(struct pcpuref_data *d);

/* Wait for what has been deferred when it is called. */
void __pcpuref_later_barrier(void);
void __pcpuref_later_init(void);

/* --- 5: life.c: init and exit ------------------------------------------------ */

/* The client's module goes: its references have no names and no callbacks now. */
void __pcpuref_orphan(struct pcpuref_data *d);

/* --- 6: inspect.c: looking from outside -------------------------------------- */

/* Looks at the data only: a client may have freed the object without exit. */
void __pcpuref_fill(struct pcpuref_data *d, struct pcpuref_info *info);

#endif /* PCPUREF_CORE_ROOMS_H */
