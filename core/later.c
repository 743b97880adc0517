// SPDX-License-Identifier: GPL-2.0-only
/*
 * What cannot be done on the spot. An NMI cannot take a reference's lock, which the
 * CPU that it interrupted may hold; and a get cannot allocate the counters that a
 * hot lazy reference is to have. Both say what is to be done and put the reference
 * in a list: of this CPU, for an irq_work, and from there, if memory is wanted, in
 * one for a work item.
 */
#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/llist.h>
#include <linux/param.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "rooms.h"

static DEFINE_PER_CPU(struct llist_head, deferred_list);
static DEFINE_PER_CPU(struct irq_work, deferred_work);
static LLIST_HEAD(task_list);

static void run_in_task(struct work_struct *unused);
static DECLARE_WORK(task_work, run_in_task);

static void give_to_task(struct pcpuref_data *d)
{
	llist_add(&d->deferred, &task_list);
	schedule_work(&task_work);
}

/*
 * Caller has preemption disabled since it found @d. Before the call it has set @hot or
 * @stuck, or it passes in @zeroes how often the count has come to zero. Any context.
 */
void __pcpuref_defer(struct pcpuref_data *d, int zeroes)
{
	int old = atomic_read(&d->deferrals);

	/*
	 * Fully ordered, also when it finds it listed: then what went before is seen by
	 * undefer(), whose atomic_xchg() this pairs with
	 * (litmus: g1-defer-undefer, b5-put-defer).
	 */
	while (!atomic_try_cmpxchg(&d->deferrals, &old, (old + zeroes) | DEFERRED))
		;
	if ((old & DEFERRED) || !refcount_inc_not_zero(&d->pins))
		return;
	__pcpuref_in_flight(d->client);
	if (IS_ENABLED(CONFIG_IRQ_WORK)) {
		llist_add(&d->deferred, this_cpu_ptr(&deferred_list));
		pcpuref_irq_work_queue(this_cpu_ptr(&deferred_work));
	} else {
		give_to_task(d);
	}
}

static void done_with(struct pcpuref_data *d)
{
	struct pcpuref_client *client = d->client;

	__pcpuref_unpin(d);
	__pcpuref_landed(client);
}

/* Off the list: do what an NMI has left behind. */
static void undefer(struct pcpuref_data *d)
{
	unsigned int todo = 0;
	unsigned long flags;
	int zeroes;

	/* Pairs with the atomic_try_cmpxchg() in __pcpuref_defer(). */
	zeroes = atomic_xchg(&d->deferrals, 0) & ~DEFERRED;

	raw_spin_lock_irqsave(&d->lock, flags);
	/* Who made them is not known any more. */
	while (zeroes--)
		todo |= __pcpuref_reached_zero(d, 0);
	/* Pairs with the WRITE_ONCE() in __pcpuref_stick(): ordered as above. */
	if (READ_ONCE(d->stuck))
		__pcpuref_wake_failed(d, true, -ENOTRECOVERABLE);
	raw_spin_unlock_irqrestore(&d->lock, flags);

	__pcpuref_run(d, todo, false);
}

static void run_in_irq(struct irq_work *unused)
{
	struct llist_node *list = llist_del_all(this_cpu_ptr(&deferred_list));
	struct pcpuref_data *d, *next;

	llist_for_each_entry_safe(d, next, list, deferred) {
		/* On PREEMPT_RT release may take what sleeps; not here. */
		if (!IS_ENABLED(CONFIG_PREEMPT_RT))
			undefer(d);
		/*
		 * The work item takes over the pin, unless @d has been listed anew
		 * meanwhile, with a pin of its own. The flag pairs as above.
		 */
		if (IS_ENABLED(CONFIG_PREEMPT_RT) ||
		    (READ_ONCE(d->hot) &&
		     !(atomic_fetch_or(DEFERRED, &d->deferrals) & DEFERRED)))
			give_to_task(d);
		else
			done_with(d);
	}
}

/* --- Lazy references -------------------------------------------------------- */

/*
 * Whether a lazy reference is hot is found by sampling: of all the gets of lazy
 * references on a CPU one in LAZY_SAMPLE is looked at, and a reference
 * that is met LAZY_SAMPLES times within LAZY_WINDOW jiffies had, by expectation,
 * at least LAZY_SAMPLE * LAZY_SAMPLES gets in that time: with 10 ms a hundred
 * thousand in a second. All the others cost one increment of the CPU's own.
 */
#define LAZY_SAMPLES	4
#define LAZY_WINDOW	DIV_ROUND_UP(HZ, 100)

void __pcpuref_sample(struct pcpuref_data *d)
{
	u16 now = jiffies;
	/* Marked, but not atomic: a sample that gets lost comes again. */
	u16 sampled = READ_ONCE(d->sampled);
	u8 samples = READ_ONCE(d->samples) + 1;

	/* A failed allocation has put it into the future, by a second. */
	if ((u16)(sampled - now - 1) < HZ)
		return;
	/* For a guess, which promote() looks at again. */
	if (data_race(!!d->force_atomic) || !data_race(!!d->live))
		return;
	if ((u16)(now - sampled) > LAZY_WINDOW) {
		WRITE_ONCE(d->sampled, now);
		samples = 1;
	}
	WRITE_ONCE(d->samples, samples);
	if (samples < LAZY_SAMPLES)
		return;
	WRITE_ONCE(d->samples, 0);
	__pcpuref_want_counters(d);
}

void __pcpuref_want_counters(struct pcpuref_data *d)
{
	/* Pairs with the READ_ONCE() of the work item: ordered by the deferral. */
	WRITE_ONCE(d->hot, true);
	__pcpuref_defer(d, 0);
}

/* It has no counters, may get some, and would use them. */
static bool can_use_counters(const struct pcpuref_data *d)
{
	lockdep_assert_held(&d->lock);
	return d->ref && (d->tags & __PCPUREF_LAZY) && !d->force_atomic &&
	       (d->live || __pcpuref_allows_reinit(d));
}

static void promote(struct pcpuref_data *d)
{
	unsigned long __percpu *counters;
	unsigned int todo;
	unsigned long flags;

	/*
	 * First, since the allocation may take long and fail: who wants counters meanwhile
	 * sets it once more, and has a deferral of its own.
	 */
	WRITE_ONCE(d->hot, false);
	counters = __pcpuref_alloc_counters(GFP_KERNEL | __GFP_NOWARN);

	raw_spin_lock_irqsave(&d->lock, flags);
	if (!counters) {
		WRITE_ONCE(d->sampled, (u16)(jiffies + HZ));
	} else if (can_use_counters(d)) {
		/* Pairs with the READ_ONCE() in __pcpuref_readers(). */
		WRITE_ONCE(d->tags, d->tags & ~__PCPUREF_LAZY);
		d->counters = counters;
		counters = NULL;
		__pcpuref_tag(d, READ_ONCE(d->ref->word) & __PCPUREF_TAGS);
	}
	/* While it is busy the word stays as it is, and settles later. */
	todo = __pcpuref_settle(d);
	__pcpuref_unlock_settled(d, flags, todo, false);

	__pcpuref_free_counters(counters);
	__pcpuref_run(d, todo, false);
}

static void run_in_task(struct work_struct *unused)
{
	struct llist_node *list = llist_del_all(&task_list);
	struct pcpuref_data *d, *next;

	llist_for_each_entry_safe(d, next, list, deferred) {
		undefer(d);
		/* Pairs with the WRITE_ONCE() in __pcpuref_want_counters(). */
		if (READ_ONCE(d->hot))
			promote(d);
		done_with(d);
		cond_resched();
	}
}

void __pcpuref_later_barrier(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		pcpuref_irq_work_sync(per_cpu_ptr(&deferred_work, cpu));
	flush_work(&task_work);
}

void __pcpuref_later_init(void)
{
	int cpu;

	/* What points somewhere is not set up statically: see pcpuref_kernel.h. */
	for_each_possible_cpu(cpu)
		pcpuref_irq_work_init(per_cpu_ptr(&deferred_work, cpu), run_in_irq);
}
