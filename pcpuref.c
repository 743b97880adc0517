// SPDX-License-Identifier: GPL-2.0-only
/*
 * The counting core of pcpuref. pcpuref.h says what it does for its users,
 * Documentation/design.rst argues in full why it is right; this is the map.
 *
 * WHERE THE COUNT IS
 *
 * The count is the shared counter plus the sum of the per-CPU counters. In
 * per-CPU mode the shared counter also holds BIAS, so that nothing which
 * happens to it alone can look like zero. The counters may wrap and may be
 * negative; only their sum modulo 2^BITS_PER_LONG means something.
 *
 *   LONG_MIN        -BIAS          0                BIAS            LONG_MAX
 *      |---- LEAKED ---|---- DEAD ---|--- references ---|--- biased ---|
 *          (centre)        (centre)
 *
 * A count that has come to zero is parked at DEAD before release is called, so
 * that a get which is in the wrong cannot make it positive and let a tryget in.
 * A get or put that finds the count negative, or makes it so, is misuse, and
 * the count sticks: at DEAD if the last reference was gone (tryget fails for
 * good), else at LEAKED (tryget succeeds, release never comes). Whoever finds a
 * stuck count puts it back to the middle of its zone; a zone is a quarter of
 * the number range wide, too far for unbalanced gets and puts to cross it.
 *
 * FROM PER-CPU TO ATOMIC
 *
 *   word: counters      word: counters|ATOMIC          word: counters|ATOMIC
 *   count: BIAS+x       count: BIAS+x+(slow adds)      count: x+sum
 *   ------------------+------------------------------+---------------------->
 *      per-CPU mode   |  switching: a grace period    |  atomic mode
 *                tag word                    sum, then one add
 *
 * A CPU that saw the untagged word adds to its counter with preemption
 * disabled since before it looked. When the grace period is over there is no
 * such CPU, the counters stand still, and what they hold is visible. One
 * addition moves the sum over and the bias out, so that no intermediate value
 * exists that a put could take for zero.
 *
 * ONE GRACE PERIOD AT A TIME
 *
 * All state but the count stands under a raw spinlock of this reference alone.
 * Requests change what is wanted (live, force_atomic, confirmations); then
 * __pcpuref_settle() takes what steps are possible. While a grace period is
 * under way (busy) none is, and its end settles again. So a request never
 * waits, and one that meets a switch in flight takes effect when that is over.
 * A kill tags the word at once all the same: dead may come early, live may not.
 *
 * The machine holds the initial reference from init to the end of the kill,
 * after the confirmations. Hence the count cannot reach zero while a grace
 * period is under way, and no counted reference is needed to protect it. Only
 * for a switch that is requested of a reference whose kill is complete does the
 * machine take one (own).
 *
 * WHAT KEEPS THE DATA
 *
 * struct pcpuref_data is freed by RCU after the last pin: the initialised
 * reference, a grace period, a release, a waiter and a deferral from NMI hold
 * one each. Slow paths look at it with preemption disabled. So no order of
 * exit against anything else touches freed memory of ours.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/bottom_half.h>
#include <linux/bug.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/dynamic_debug.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/hardirq.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/limits.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/math64.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include "pcpuref.h"
#include "pcpuref_kernel.h"
#include "pcpuref_inspect.h"
#include "pcpuref_kref.h"

#define CREATE_TRACE_POINTS
#include "pcpuref_trace.h"

#define BIAS	(1L << (BITS_PER_LONG - 2))
#define LEAKED	(LONG_MIN + BIAS / 2)
#define DEAD	(-(BIAS / 2))

/* Further tags of a word that has no counters any more. */
#define EXITED		BIT(3)
#define NONZERO		BIT(4)	/* the count was not zero at exit */
#define REPORTED	BIT(5)	/* use after exit has been reported */
#define ALL_TAGS	(__PCPUREF_TAGS | EXITED | NONZERO | REPORTED)

/* How many different confirm callbacks can wait for grace periods at a time. */
#define CONFIRMS	3

enum misuse {
	EXCESS_PUT,
	GET_ON_ZERO,
	OVERFLOW,
	KILLED_TWICE,
	REINIT_LIVE,
	REINIT_NONZERO,
	RESURRECT_LIVE,
	NOT_ALLOWED,
	TOO_MANY_CONFIRMS,
	EXIT_HELD,
	EXIT_SWITCHING,
	EXIT_UNRELEASED,
	CANCEL_USED,
	USE_AFTER_EXIT,
	USE_WITHOUT_INIT,
	USE_MOVED,
	MIXED_READERS,
};

static const char * const misuse_text[] = {
	[EXCESS_PUT]		= "put without a reference",
	[GET_ON_ZERO]		= "get on a released reference",
	[OVERFLOW]		= "count overflow",
	[KILLED_TWICE]		= "kill of a dying reference",
	[REINIT_LIVE]		= "reinit of a live reference",
	[REINIT_NONZERO]	= "reinit of a non-zero reference",
	[RESURRECT_LIVE]	= "resurrect of a live reference",
	[NOT_ALLOWED]		= "back to per-CPU mode without ALLOW_REINIT",
	[TOO_MANY_CONFIRMS]	= "too many different confirm callbacks",
	[EXIT_HELD]		= "exit with references out",
	[EXIT_SWITCHING]	= "exit during a switch",
	[EXIT_UNRELEASED]	= "exit before release was called",
	[CANCEL_USED]		= "cancel_init of a used reference",
	[USE_AFTER_EXIT]	= "use after exit",
	[USE_WITHOUT_INIT]	= "use without init",
	[USE_MOVED]		= "use of a reference that was moved, or races with exit and init",
	[MIXED_READERS]		= "get compiled for other readers than init",
};

/**
 * struct pcpuref_data - what a reference is apart from its hot word
 * @count: the shared counter
 * @lock: protects all that follows, unless said otherwise
 * @pins: what keeps this structure; see the top of the file
 * @lazy: has no @counters yet, and may get some (read without the lock)
 * @zero: the count has reached zero in this life (read without the lock), and
 *	is parked at DEAD
 * @stuck: misuse has made the count meaningless (set without the lock)
 * @hot: @counters are wanted for a lazy reference (set without the lock)
 * @samples: of gets, in the time since @sampled (without the lock)
 * @sampled: jiffies (without the lock)
 * @ref: the reference, NULL once it has exited; its memory may be gone, so that
 *	only what the reference's own calls have come to looks at it
 * @release: the same as the reference's, which may be gone
 * @name: for messages
 * @site: where it was initialised
 * @counters: the per-CPU counters, NULL when given back
 * @reported: bit for each enum misuse that has been reported (atomic)
 * @flags: as given to init
 * @allow_reinit: @counters are kept
 * @force_atomic: stay in atomic mode while live
 * @live: what is wanted; the word's tag may lag behind while @busy
 * @initial: the initial reference is part of the count
 * @tagged: the word says atomic
 * @biased: BIAS is part of @count, and the counters are in use
 * @busy: a grace period is under way or its confirmations are being called
 * @own: the grace period's own reference is part of the count
 * @releasing: some context is in charge of calling release
 * @running: release is being called at this moment
 * @readers: the word's tag for how gets and puts are compiled; never changes
 * @life: number of the present life, from 1; 0 for one that began dead
 * @ended: lives whose count reached zero
 * @returned: lives whose release has returned
 * @batches: grace periods completed
 * @claimed: zeroes dealt with before the put that made them came to tell
 * @requester: who asked for the kill, or while live for the last switch
 * @created_at: when it was initialised, in ns of the monotonic clock
 * @killed_at: when it was killed; 0 if not killed
 * @waiters: callers that sleep
 * @confirm: callbacks due after grace periods
 * @confirm_now: how often after this one
 * @confirm_next: and after the next
 * @deferred_zeroes: zeroes reached in NMI and not dealt with (atomic)
 * @deferred_listed: @deferred is on a list (atomic)
 * @deferred: in a CPU's list of what could not be done at once, or in hot_list
 * @id: its number, and which part of the registry it is in
 * @node: there, under the lock of that part
 * @next: in a batch that waits for a grace period, or at the end to be freed
 * @rcu: the same, when there is no batch
 * @work: calls release; only there with %PCPUREF_RELEASE_WORK
 */
struct pcpuref_data {
	atomic_long_t		count;
	raw_spinlock_t		lock;
	refcount_t		pins;
	bool			zero;
	bool			stuck;

	struct pcpuref		*ref;
	pcpuref_func_t		*release;
	const char		*name;
	const struct pcpuref_site *site;
	unsigned long __percpu	*counters;
	unsigned long		reported;

	u8			flags;
	bool			allow_reinit;
	bool			force_atomic;
	bool			live;
	bool			initial;
	bool			tagged;
	bool			biased;
	bool			busy;
	bool			own;
	bool			releasing;
	bool			running;

	unsigned int		life;
	unsigned int		ended;
	unsigned int		returned;
	unsigned int		batches;
	unsigned int		claimed;
	unsigned long		requester;
	u64			created_at;
	u64			killed_at;

	/* Gets look here: not in the cache line of the count, which is in demand. */
	bool			lazy;
	u8			readers;
	bool			hot;
	unsigned int		samples;
	unsigned int		sampled;

	struct list_head	waiters;
	pcpuref_func_t		*confirm[CONFIRMS];
	u16			confirm_now[CONFIRMS];
	u16			confirm_next[CONFIRMS];

	atomic_t		deferred_zeroes;
	atomic_t		deferred_listed;
	struct llist_node	deferred;

	u64			id;
	struct list_head	node;

	union {
		struct pcpuref_data	*next;
		struct rcu_head		rcu;
	};
	struct work_struct	work;
};

/*
 * What one callback of RCU serves: data that need the same grace period, which
 * is the one that the cookie stands for. Queued while RCU has it.
 */
struct batch {
	raw_spinlock_t		lock;
	bool			queued;
	unsigned int		nr;
	unsigned long		cookie;
	struct pcpuref_data	*first;
	struct pcpuref_data	*last;
	struct rcu_head		rcu;
};

/* Batches of one CPU; the newest may be open for more. */
#define BATCHES		128
#define BATCH_MAX	64

struct gather {
	struct batch		batches[BATCHES];
	unsigned int		newest;
	unsigned int		waiting;	/* references, for @cookie */
	unsigned long		cookie;
	struct work_struct	hurry;
};

/* One CPU's part of the registry: what was initialised there, oldest first. */
struct shard {
	raw_spinlock_t		lock;
	struct list_head	refs;
	u64			last;
};

/* A caller that sleeps until a release has returned or a grace period is over. */
struct waiter {
	struct list_head	node;
	struct completion	done;
	bool			for_release;
	unsigned int		target;
	int			result;
};

/* What is to be done after the lock has been dropped. */
#define TODO_GRACE_PERIOD	BIT(0)
#define TODO_RELEASE		BIT(1)

static struct workqueue_struct *release_wq;
static bool readers_tasks_used;

static bool trace_events;
module_param(trace_events, bool, 0644);
MODULE_PARM_DESC(trace_events, "Print each state change to the log, as dynamic debug of this module does");

/* --- What is seen from outside -------------------------------------------- */

#define EVENT_FORMAT \
	"event=%s name=%s id=%llu ref=%p release=%ps mode=%s->%s count=%ld sum=%ld since_kill=%lldus\n"

static bool __pcpuref_logging(void)
{
#if defined(CONFIG_DYNAMIC_DEBUG) || \
	(defined(CONFIG_DYNAMIC_DEBUG_CORE) && defined(DYNAMIC_DEBUG_MODULE))
	DEFINE_DYNAMIC_DEBUG_METADATA(event_line, EVENT_FORMAT);

	if (DYNAMIC_DEBUG_BRANCH(event_line))
		return true;
#endif
	return READ_ONCE(trace_events);
}

/* Needs the lock, or the right to end a switch. */
static long __pcpuref_sum(const struct pcpuref_data *d)
{
	unsigned long sum = 0;
	int cpu;

	/* Possible, not online: an offline CPU's counter keeps its part. */
	if (d->counters)
		for_each_possible_cpu(cpu)
			sum += READ_ONCE(*per_cpu_ptr(d->counters, cpu));

	return (long)sum;
}

/* For a report also without the lock, when it says what was so a moment ago. */
static const char *__pcpuref_mode(const struct pcpuref_data *d)
{
	/* Without the lock the two may not fit together. */
	bool biased = data_race(d->biased);
	/* The same. */
	bool tagged = data_race(d->tagged);

	return !biased ? "atomic" : tagged ? "switching" : "percpu";
}

static s64 __pcpuref_since_kill(u64 killed_at)
{
	if (!killed_at)
		return -1;
	return div_s64(ktime_get_mono_fast_ns() - killed_at, NSEC_PER_USEC);
}

/* The shared counter, as far as it means references of others than a switch. */
static long __pcpuref_shared(const struct pcpuref_data *d)
{
	return d->zero ? 0 : atomic_long_read(&d->count) - (d->biased ? BIAS : 0) - d->own;
}

/* Every step comes through here, for the log and for tracepoints alike. */
static void __pcpuref_step_taken(const struct pcpuref_data *d, const char *what,
				 void (*trace)(const struct pcpuref_event *event),
				 bool traced, const char *before, const char *after,
				 long sum, unsigned long caller)
{
	struct pcpuref_event event;
	bool logging = __pcpuref_logging();

	lockdep_assert_held(&d->lock);

	if (likely(!logging && !traced))
		return;
	before = before ?: __pcpuref_mode(d);
	after = after ?: before;
	event = (struct pcpuref_event) {
		.id = d->id,
		.name = d->name,
		.module = d->site->module,
		.ref = d->ref,
		.release = d->release,
		.before = before,
		.after = after,
		.count = __pcpuref_shared(d),
		.sum = d->biased && !sum ? __pcpuref_sum(d) : sum,
		.since_kill = __pcpuref_since_kill(d->killed_at),
		.caller = caller,
		.what = what,
	};
	if (traced)
		trace(&event);
	if (logging)
		pr_info(EVENT_FORMAT, what, event.name, event.id, event.ref,
			event.release, before, after, event.count, event.sum,
			event.since_kill);
}

/*
 * @event: a word, which names the step and its tracepoint
 * @before, @after: NULL if the mode stays what it is
 */
#define __pcpuref_event(event, d, before, after, sum, caller)		\
	__pcpuref_step_taken(d, #event, trace_pcpuref_##event,		\
			     trace_pcpuref_##event##_enabled(),		\
			     before, after, sum, caller)

static noinline void __pcpuref_report(const struct pcpuref_event *event)
{
	trace_pcpuref_misuse(event);
	WARN(1, KBUILD_MODNAME ": misuse: %s: name=%s release=%ps count=%ld caller=%pS\n",
	     event->what, event->name, event->release, event->count,
	     (void *)event->caller);
}

/*
 * Caller holds the lock, or has preemption disabled since it found @d; then the
 * object that @d belongs to may be gone, and its name with it after exit.
 */
static void __pcpuref_misuse(struct pcpuref_data *d, enum misuse what, long count,
			     unsigned long caller)
{
	const char *mode = __pcpuref_mode(d);
	/* For the report only: a kill on its way may or may not be in it. */
	u64 killed_at = data_race(d->killed_at);

	if (!READ_ONCE(d->ref) || test_and_set_bit(what, &d->reported))
		return;
	__pcpuref_report(&(struct pcpuref_event) {
		.id = d->id,
		.name = d->name,
		.module = d->site->module,
		.ref = READ_ONCE(d->ref),
		.release = d->release,
		.before = mode,
		.after = mode,
		.count = count,
		.since_kill = __pcpuref_since_kill(killed_at),
		.caller = caller,
		.what = misuse_text[what],
	});
}

/* Use of a reference whose data cannot be found: not initialised, or exited. */
static void __pcpuref_misuse_gone(struct pcpuref *ref, unsigned long caller)
{
	unsigned long word = READ_ONCE(ref->word);
	enum misuse what = word & EXITED ? USE_AFTER_EXIT : USE_WITHOUT_INIT;
	unsigned long tagged = word | __PCPUREF_TAGS | REPORTED;

	/* A word with counters is somebody's who uses it: never tag that. */
	if (word & ~ALL_TAGS) {
		static unsigned long moved_reported;

		if (test_and_set_bit(0, &moved_reported))
			return;
		what = USE_MOVED;
	} else if ((word & REPORTED) || cmpxchg(&ref->word, word, tagged) != word) {
		return;
	}
	__pcpuref_report(&(struct pcpuref_event) {
		.name = "(none)",
		.module = "(none)",
		.ref = ref,
		.release = word ? ref->release : NULL,
		.before = "none",
		.after = "none",
		.since_kill = -1,
		.caller = caller,
		.what = misuse_text[what],
	});
}

/* --- Registry ------------------------------------------------------------- */

/*
 * Each CPU lists what was initialised on it, so that CPUs which initialise do
 * not meet; one that exits what another initialised takes that one's lock. The
 * low bits of a number say which CPU. A listed reference is attached: who finds
 * it there under the shard's lock may pin it. Locks: the reference's, then the
 * shard's.
 */
static DEFINE_PER_CPU(struct shard, registry);
static unsigned int id_cpu_bits;

static int __pcpuref_id_cpu(u64 id)
{
	return id & (BIT(id_cpu_bits) - 1);
}

static u64 __pcpuref_last_id(const struct shard *shard, int cpu)
{
	return shard->last << id_cpu_bits | cpu;
}

static void __pcpuref_list(struct pcpuref_data *d)
{
	struct shard *shard;
	unsigned long flags;

	local_irq_save(flags);
	shard = this_cpu_ptr(&registry);
	raw_spin_lock(&shard->lock);
	shard->last++;
	d->id = __pcpuref_last_id(shard, smp_processor_id());
	list_add_tail(&d->node, &shard->refs);
	raw_spin_unlock(&shard->lock);
	local_irq_restore(flags);
}

static void __pcpuref_unlist(struct pcpuref_data *d)
{
	struct shard *shard = per_cpu_ptr(&registry, __pcpuref_id_cpu(d->id));

	lockdep_assert_held(&d->lock);
	raw_spin_lock(&shard->lock);
	list_del_init(&d->node);
	raw_spin_unlock(&shard->lock);
}

/* --- Grace periods --------------------------------------------------------- */

/*
 * A grace period serves any number of references, but each callback of RCU has
 * its price. So those that a CPU asks for while the same grace period will do
 * share one. What fits into no batch is a callback of its own, which also lets
 * RCU see when there are very many, and hurry.
 *
 * A mass of references that are killed at once is worth an expedited grace
 * period: its cost is one for all, and they are spared the wait.
 */
#define HURRY		64

static struct gather __percpu *gathers;
static unsigned int batch_max;

static void __pcpuref_grace_period_over(struct pcpuref_data *d);

static void __pcpuref_after_one(struct rcu_head *head)
{
	struct pcpuref_data *d = container_of(head, struct pcpuref_data, rcu);

	/* Who waits for a grace period has a pin; without pins it is the end. */
	if (refcount_read(&d->pins)) {
		__pcpuref_grace_period_over(d);
	} else {
		free_percpu(d->counters);
		kfree(d);
	}
}

/* The same for many, but not too many at a time. Return: the rest. */
static struct pcpuref_data *__pcpuref_after_some(struct pcpuref_data *d)
{
	void *unused[BATCH_MAX];
	struct pcpuref_data *next;
	unsigned int i, n = 0;

	for (i = 0; d && i < BATCH_MAX; i++, d = next) {
		next = d->next;
		if (refcount_read(&d->pins)) {
			__pcpuref_grace_period_over(d);
		} else {
			free_percpu(d->counters);
			unused[n++] = d;
		}
	}
	if (n)
		kfree_bulk(n, unused);
	return d;
}

static struct pcpuref_data *__pcpuref_take(struct batch *batch)
{
	lockdep_assert_held(&batch->lock);
	if (!batch->nr)
		return NULL;
	batch->nr = 0;
	return batch->first;
}

static void __pcpuref_after_batch(struct rcu_head *head)
{
	struct batch *batch = container_of(head, struct batch, rcu);
	struct pcpuref_data *d = NULL;
	unsigned long flags;
	bool again;

	/*
	 * It may be early for what has joined since another has taken the rest. And
	 * RCU need not number grace periods for callbacks as it does cookies.
	 */
	raw_spin_lock_irqsave(&batch->lock, flags);
	again = batch->nr && !pcpuref_rcu_passed(batch->cookie);
	batch->queued = again;
	if (!again)
		d = __pcpuref_take(batch);
	raw_spin_unlock_irqrestore(&batch->lock, flags);

	if (again)
		pcpuref_call_rcu_sched(&batch->rcu, __pcpuref_after_batch);
	else
		__pcpuref_after_some(d);
}

/* Join @batch if it waits for the same grace period, or make it wait for that. */
static bool __pcpuref_join(struct batch *batch, struct pcpuref_data *d,
			   unsigned long cookie)
{
	bool joined, queue = false;

	raw_spin_lock(&batch->lock);
	joined = !batch->nr || (batch->cookie == cookie && batch->nr < batch_max);
	if (joined) {
		queue = !batch->queued;
		batch->queued = true;
		batch->cookie = cookie;
		d->next = NULL;
		if (batch->nr++)
			batch->last->next = d;
		else
			batch->first = d;
		batch->last = d;
	}
	raw_spin_unlock(&batch->lock);

	if (queue)
		pcpuref_call_rcu_sched(&batch->rcu, __pcpuref_after_batch);
	return joined;
}

static bool __pcpuref_gather(struct pcpuref_data *d, bool free)
{
	struct gather *gather = this_cpu_ptr(gathers);
	unsigned long cookie;
	bool joined;

	/* Ordered: what was stored before, readers of that grace period see. */
	if (!pcpuref_rcu_cookie(&cookie))
		return false;

	joined = __pcpuref_join(&gather->batches[gather->newest], d, cookie);
	if (!joined) {
		gather->newest = (gather->newest + 1) % BATCHES;
		joined = __pcpuref_join(&gather->batches[gather->newest], d, cookie);
	}
	if (gather->cookie != cookie) {
		gather->cookie = cookie;
		gather->waiting = 0;
	}
	gather->waiting += !free;
	if (!free && gather->waiting == HURRY)
		queue_work(release_wq, &gather->hurry);
	return joined;
}

static void __pcpuref_call_after_sched(struct pcpuref_data *d, bool free)
{
	unsigned long flags;

	local_irq_save(flags);
	if (!__pcpuref_gather(d, free))
		pcpuref_call_rcu_sched(&d->rcu, __pcpuref_after_one);
	local_irq_restore(flags);
}

static void __pcpuref_tasks_passed(struct rcu_head *head)
{
	struct pcpuref_data *d = container_of(head, struct pcpuref_data, rcu);

	__pcpuref_call_after_sched(d, !refcount_read(&d->pins));
}

/*
 * What references ask for: a grace period that begins from now on. One that
 * waits for preempted tasks need not wait for what cannot be preempted, so that
 * the other kind follows it.
 */
static void __pcpuref_call_after(struct pcpuref_data *d, bool free)
{
	if (unlikely(d->readers))
		pcpuref_call_rcu_tasks(&d->rcu, __pcpuref_tasks_passed);
	else
		__pcpuref_call_after_sched(d, free);
}

/* The same for a caller that can sleep. */
static void __pcpuref_synchronize(bool tasks)
{
	if (tasks)
		pcpuref_synchronize_rcu_tasks();
	synchronize_rcu_expedited();
}

/* One expedited grace period for all that waits. Return: how many it were. */
static unsigned int __pcpuref_hurry(struct gather *gather)
{
	struct pcpuref_data *first, *waiting = NULL;
	unsigned int i, nr = 0;
	unsigned long flags;

	for (i = 0; i < BATCHES; i++) {
		struct batch *batch = &gather->batches[i];

		raw_spin_lock_irqsave(&batch->lock, flags);
		nr += batch->nr;
		first = __pcpuref_take(batch);
		if (first) {
			batch->last->next = waiting;
			waiting = first;
		}
		raw_spin_unlock_irqrestore(&batch->lock, flags);
	}
	if (nr)
		synchronize_rcu_expedited();
	while (waiting) {
		/* Callbacks find softirqs off, as in an RCU callback. */
		local_bh_disable();
		waiting = __pcpuref_after_some(waiting);
		local_bh_enable();
		cond_resched();
	}
	return nr;
}

/* For one CPU, while the callbacks are still to come; and what comes late. */
static void __pcpuref_hurry_work(struct work_struct *work)
{
	struct gather *gather = container_of(work, struct gather, hurry);

	while (__pcpuref_hurry(gather) >= HURRY)
		;
}

/* --- Data ----------------------------------------------------------------- */

static size_t __pcpuref_data_size(unsigned int flags)
{
	return flags & PCPUREF_RELEASE_WORK ? sizeof(struct pcpuref_data) :
					      offsetof(struct pcpuref_data, work);
}

/* Aligned so that the tags fit below the address. */
static unsigned long __percpu *__pcpuref_alloc_counters(gfp_t gfp)
{
	return (unsigned long __percpu *)
		__alloc_percpu_gfp(sizeof(long), __PCPUREF_TAGS + 1, gfp);
}

static void __pcpuref_pin(struct pcpuref_data *d)
{
	refcount_inc(&d->pins);
}

static void __pcpuref_unpin(struct pcpuref_data *d)
{
	if (refcount_dec_and_test(&d->pins))
		__pcpuref_call_after(d, true);
}

/*
 * Find and lock the data of @ref. Interrupts are off from before the data is
 * found, which makes this a reader of the grace period that frees it.
 *
 * Return: the data, locked, or NULL with nothing locked.
 */
static struct pcpuref_data *__pcpuref_lock(struct pcpuref *ref, unsigned long *flags)
{
	struct pcpuref_data *d;

	local_irq_save(*flags);
	d = READ_ONCE(ref->data);
	if (d) {
		raw_spin_lock(&d->lock);
		if (d->ref == ref) {
			/* Sparse cannot follow a lock that is taken or not. */
			__release(&d->lock);
			return d;
		}
		raw_spin_unlock(&d->lock);
	}
	local_irq_restore(*flags);
	return NULL;
}

static void __pcpuref_unlock(struct pcpuref_data *d, unsigned long flags)
{
	__acquire(&d->lock);
	raw_spin_unlock_irqrestore(&d->lock, flags);
}

static void __pcpuref_tag(struct pcpuref_data *d, unsigned long tags)
{
	lockdep_assert_held(&d->lock);
	d->tagged = tags & __PCPUREF_ATOMIC;
	/* Pairs with the READ_ONCE() in __pcpuref_add(): one store, all tags. */
	WRITE_ONCE(d->ref->word, (unsigned long)d->counters | tags | d->readers);
}

/* --- Waiters -------------------------------------------------------------- */

static void __pcpuref_wake(struct pcpuref_data *d, struct waiter *w, int result)
{
	lockdep_assert_held(&d->lock);
	list_del_init(&w->node);
	w->result = result;
	/* The last touch: the waiter's frame may be gone after this. */
	complete(&w->done);
}

/* Wake those whose condition has come true. */
static void __pcpuref_wake_due(struct pcpuref_data *d)
{
	struct waiter *w, *next;

	lockdep_assert_held(&d->lock);
	list_for_each_entry_safe(w, next, &d->waiters, node) {
		unsigned int now = w->for_release ? d->returned : d->batches;

		if ((int)(now - w->target) >= 0)
			__pcpuref_wake(d, w, 0);
	}
}

/* Wake those for whom it never will. */
static void __pcpuref_wake_failed(struct pcpuref_data *d, bool for_release, int result)
{
	struct waiter *w, *next;

	lockdep_assert_held(&d->lock);
	list_for_each_entry_safe(w, next, &d->waiters, node)
		if (w->for_release == for_release &&
		    (!for_release || (int)(d->ended - w->target) < 0))
			__pcpuref_wake(d, w, result);
}

static void __pcpuref_wait_begin(struct pcpuref_data *d, struct waiter *w,
				 bool for_release, unsigned int target)
{
	lockdep_assert_held(&d->lock);
	init_completion(&w->done);
	w->for_release = for_release;
	w->target = target;
	w->result = 0;
	list_add_tail(&w->node, &d->waiters);
	__pcpuref_pin(d);
}

static int __pcpuref_wait_end(struct pcpuref_data *d, struct waiter *w,
			      unsigned long timeout)
{
	unsigned long flags;

	if (!wait_for_completion_timeout(&w->done, timeout)) {
		raw_spin_lock_irqsave(&d->lock, flags);
		if (!list_empty(&w->node)) {
			list_del_init(&w->node);
			w->result = -ETIMEDOUT;
		}
		raw_spin_unlock_irqrestore(&d->lock, flags);
	}
	__pcpuref_unpin(d);
	return w->result;
}

/* --- Zero and release ----------------------------------------------------- */

/*
 * Call release for every life that has ended, one after the other: @releasing
 * keeps a second context out, which leaves its life to this one. Consumes a pin.
 */
static void __pcpuref_release(struct pcpuref_data *d)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&d->lock, flags);
	while (d->ref && d->returned != d->ended) {
		struct pcpuref *ref = d->ref;

		d->running = true;
		__pcpuref_event(release, d, NULL, NULL, 0, 0);
		raw_spin_unlock_irqrestore(&d->lock, flags);

		/* From here on @ref may be reinitialised, exited or freed. */
		d->release(ref);

		raw_spin_lock_irqsave(&d->lock, flags);
		d->running = false;
		d->returned++;
		__pcpuref_wake_due(d);
	}
	d->releasing = false;
	raw_spin_unlock_irqrestore(&d->lock, flags);
	__pcpuref_unpin(d);
}

static void __pcpuref_release_work(struct work_struct *work)
{
	__pcpuref_release(container_of(work, struct pcpuref_data, work));
}

/* The count is negative or must become so; needs no lock. */
static void __pcpuref_stick(struct pcpuref_data *d, bool dead)
{
	/* The flag first: __pcpuref_fold() looks at it a grace period later. */
	WRITE_ONCE(d->stuck, true);
	atomic_long_set(&d->count, dead ? DEAD : LEAKED);
}

/* The same, found with the lock held: release is not to come in this life. */
static unsigned int __pcpuref_leak(struct pcpuref_data *d, enum misuse what,
				   long count, unsigned long caller)
{
	lockdep_assert_held(&d->lock);

	if (!READ_ONCE(d->stuck)) {
		__pcpuref_misuse(d, what, count, caller);
		__pcpuref_stick(d, d->zero);
	}
	__pcpuref_wake_failed(d, true, -ENOTRECOVERABLE);
	return 0;
}

/*
 * The count has come to zero, and the caller has seen that with acquire
 * semantics: end this life. A get in the wrong may have come in between; then
 * somebody believes to hold a reference, and release must not come.
 */
static unsigned int __pcpuref_mark_zero(struct pcpuref_data *d, unsigned long caller)
{
	lockdep_assert_held(&d->lock);

	if (atomic_long_cmpxchg(&d->count, 0, DEAD) != 0)
		return __pcpuref_leak(d, GET_ON_ZERO, 0, caller);

	/* Pairs with smp_load_acquire() in pcpuref_is_zero(). */
	smp_store_release(&d->zero, true);
	d->ended++;
	if (d->releasing)
		return 0;
	d->releasing = true;
	__pcpuref_pin(d);
	return TODO_RELEASE;
}

/* A put came to zero and holds nothing any more. */
static unsigned int __pcpuref_reached_zero(struct pcpuref_data *d, unsigned long caller)
{
	lockdep_assert_held(&d->lock);

	if (d->claimed) {
		d->claimed--;
		return 0;
	}
	if (!d->ref)
		return 0;
	/* A reference of the machine's own, which is not the caller's to drop. */
	if (d->live || d->initial || d->own || d->zero)
		return __pcpuref_leak(d, EXCESS_PUT, 0, caller);
	return __pcpuref_mark_zero(d, caller);
}

/* The machine itself drops a reference. */
static unsigned int __pcpuref_drop(struct pcpuref_data *d)
{
	long new;

	lockdep_assert_held(&d->lock);

	if (READ_ONCE(d->stuck))
		return 0;
	/* Fully ordered: release may follow. */
	new = atomic_long_dec_return(&d->count);
	if (likely(new > 0))
		return 0;
	if (new < 0 || d->initial || d->own)
		return __pcpuref_leak(d, EXCESS_PUT, new, d->requester);
	return __pcpuref_mark_zero(d, d->requester);
}

/* Take a reference for the machine, or find that there is none left. */
static bool __pcpuref_inc_not_zero(struct pcpuref_data *d)
{
	long old = atomic_long_read(&d->count);

	do {
		if (old <= 0)
			return false;
	} while (!atomic_long_try_cmpxchg_relaxed(&d->count, &old, old + 1));

	return true;
}

/* --- The machine ---------------------------------------------------------- */

/* Remember @confirm for the next grace period. False if there is no room. */
static bool __pcpuref_add_confirm(struct pcpuref_data *d, pcpuref_func_t *confirm)
{
	int i, room = -1;

	lockdep_assert_held(&d->lock);

	for (i = 0; i < CONFIRMS; i++) {
		if (!d->confirm_now[i] && !d->confirm_next[i])
			room = i;
		else if (d->confirm[i] == confirm)
			break;
	}
	if (i == CONFIRMS)
		i = room;
	if (i < 0 || d->confirm_next[i] == U16_MAX)
		return false;

	d->confirm[i] = confirm;
	d->confirm_next[i]++;
	return true;
}

static bool __pcpuref_shift_confirms(struct pcpuref_data *d)
{
	bool any = false;
	int i;

	lockdep_assert_held(&d->lock);

	for (i = 0; i < CONFIRMS; i++) {
		if (!d->confirm_next[i])
			continue;
		d->confirm_now[i] = d->confirm_next[i];
		d->confirm_next[i] = 0;
		any = true;
	}
	return any;
}

/* From atomic to per-CPU mode, which needs no grace period. */
static void __pcpuref_to_percpu(struct pcpuref_data *d)
{
	lockdep_assert_held(&d->lock);

	/* The counters are zero since allocation or __pcpuref_end_switch(). */
	atomic_long_add(BIAS, &d->count);
	d->biased = true;
	d->tagged = false;
	/*
	 * Whoever sees the untagged word sees zeroed counters and the bias.
	 * Pairs with the address dependency in __pcpuref_add().
	 */
	smp_store_release(&d->ref->word, (unsigned long)d->counters | d->readers);
	__pcpuref_event(switch, d, "atomic", "percpu", 0, d->requester);
}

/*
 * Take what steps are possible towards what is wanted.
 *
 * Return: what the caller must hand to __pcpuref_run() after unlocking.
 */
static unsigned int __pcpuref_settle(struct pcpuref_data *d)
{
	lockdep_assert_held(&d->lock);

	if (d->busy || !d->ref)
		return 0;

	if (__pcpuref_shift_confirms(d) || (d->biased && d->tagged)) {
		d->busy = true;
		__pcpuref_pin(d);
		if (!d->initial)
			d->own = __pcpuref_inc_not_zero(d);
		return TODO_GRACE_PERIOD;
	}

	if (!d->live) {
		if (!d->initial)
			return 0;
		d->initial = false;
		return __pcpuref_drop(d);
	}

	if (!d->tagged)
		return 0;
	if (!d->force_atomic && d->counters && !READ_ONCE(d->stuck))
		__pcpuref_to_percpu(d);
	else if (READ_ONCE(d->ref->word) & __PCPUREF_DEAD)
		__pcpuref_tag(d, __PCPUREF_ATOMIC);
	return 0;
}

/*
 * Move what the counters held into the count.
 *
 * Return: the counters, if they are not needed any more.
 */
static unsigned long __percpu *__pcpuref_fold(struct pcpuref_data *d, long sum)
{
	unsigned long __percpu *unused = NULL;
	long new;

	lockdep_assert_held(&d->lock);

	new = atomic_long_add_return(sum - BIAS, &d->count);
	d->biased = false;
	/* The machine holds a reference, so less than one is too few. */
	if (unlikely(READ_ONCE(d->stuck) || new < 1)) {
		__pcpuref_leak(d, EXCESS_PUT, new, d->requester);
		/* Also if it stuck when it was not biased. */
		__pcpuref_stick(d, false);
	}
	if (!d->allow_reinit) {
		unused = d->counters;
		d->counters = NULL;
		__pcpuref_tag(d, READ_ONCE(d->ref->word) & __PCPUREF_TAGS);
	}
	__pcpuref_event(switch, d, "switching", "atomic", sum, d->requester);
	return unused;
}

/*
 * No CPU uses the counters any more. What takes long with many CPUs is done
 * without the lock: @busy keeps everybody else from writing them, and they are
 * cleared only when nobody reads them either.
 */
static void __pcpuref_end_switch(struct pcpuref_data *d)
{
	unsigned long __percpu *unused = NULL;
	long sum = __pcpuref_sum(d);
	unsigned long flags;
	int cpu;

	raw_spin_lock_irqsave(&d->lock, flags);
	if (d->ref)
		unused = __pcpuref_fold(d, sum);
	raw_spin_unlock_irqrestore(&d->lock, flags);

	if (unused)
		free_percpu(unused);
	else
		for_each_possible_cpu(cpu)
			WRITE_ONCE(*per_cpu_ptr(d->counters, cpu), 0);
}

static void __pcpuref_run(struct pcpuref_data *d, unsigned int todo, bool sync);

/* A grace period that __pcpuref_settle() asked for is over. Consumes its pin. */
static void __pcpuref_grace_period_over(struct pcpuref_data *d)
{
	unsigned int todo = 0;
	unsigned long flags;
	int i;

	/* Written only by the end of a grace period, and while there is none. */
	if (d->biased)
		__pcpuref_end_switch(d);

	raw_spin_lock_irqsave(&d->lock, flags);
	for (i = 0; d->ref && i < CONFIRMS; i++) {
		while (d->ref && d->confirm_now[i]) {
			pcpuref_func_t *confirm = d->confirm[i];
			struct pcpuref *ref = d->ref;

			d->confirm_now[i]--;
			__pcpuref_event(confirm, d, NULL, NULL, 0, 0);
			raw_spin_unlock_irqrestore(&d->lock, flags);
			confirm(ref);
			raw_spin_lock_irqsave(&d->lock, flags);
		}
	}

	d->busy = false;
	if (d->own) {
		d->own = false;
		if (d->ref)
			todo = __pcpuref_drop(d);
	}
	d->batches++;
	todo |= __pcpuref_settle(d);
	__pcpuref_wake_due(d);
	raw_spin_unlock_irqrestore(&d->lock, flags);

	__pcpuref_run(d, todo, false);
	__pcpuref_unpin(d);
}

/*
 * Do what settling left to be done without the lock. With @sync the caller may
 * sleep, and sees the grace period through.
 */
static void __pcpuref_run(struct pcpuref_data *d, unsigned int todo, bool sync)
{
	bool expedite = sync && (todo & TODO_GRACE_PERIOD);

	if ((todo & TODO_GRACE_PERIOD) && !expedite)
		__pcpuref_call_after(d, false);

	if (todo & TODO_RELEASE) {
		if (d->flags & PCPUREF_RELEASE_WORK)
			queue_work(release_wq, &d->work);
		else
			__pcpuref_release(d);
	}

	if (expedite) {
		__pcpuref_synchronize(d->readers);
		/* Callbacks find softirqs off, as in an RCU callback. */
		local_bh_disable();
		__pcpuref_grace_period_over(d);
		local_bh_enable();
	}
}

/* --- What cannot be done on the spot -------------------------------------- */

static DEFINE_PER_CPU(struct llist_head, deferred_list);
static DEFINE_PER_CPU(struct irq_work, deferred_work);
static LLIST_HEAD(hot_list);

static void __pcpuref_hot_work(struct work_struct *work);
static DECLARE_WORK(hot_work, __pcpuref_hot_work);

/*
 * An NMI cannot take the lock, which the CPU that it interrupted may hold, and
 * a get cannot allocate. Caller has preemption disabled since it found @d, and
 * has said before what is to be done.
 */
static void __pcpuref_defer(struct pcpuref_data *d)
{
	/*
	 * Fully ordered, also when it finds it listed: then what went before is
	 * seen by __pcpuref_undefer(), whose atomic_xchg() this pairs with.
	 */
	if (atomic_xchg(&d->deferred_listed, 1) || !refcount_inc_not_zero(&d->pins))
		return;
	if (IS_ENABLED(CONFIG_IRQ_WORK)) {
		llist_add(&d->deferred, this_cpu_ptr(&deferred_list));
		pcpuref_irq_work_queue(this_cpu_ptr(&deferred_work));
	} else {
		llist_add(&d->deferred, &hot_list);
		queue_work(release_wq, &hot_work);
	}
}

static void __pcpuref_defer_from_nmi(struct pcpuref_data *d, bool zero)
{
	if (zero)
		atomic_inc(&d->deferred_zeroes);
	__pcpuref_defer(d);
}

/* Off the list: do what an NMI has left behind. */
static void __pcpuref_undefer(struct pcpuref_data *d)
{
	unsigned int todo = 0;
	unsigned long flags;
	int zeroes;

	/* Pairs with the atomic_xchg() in __pcpuref_defer(). */
	atomic_xchg(&d->deferred_listed, 0);
	zeroes = atomic_xchg(&d->deferred_zeroes, 0);

	raw_spin_lock_irqsave(&d->lock, flags);
	while (zeroes--)
		todo |= __pcpuref_reached_zero(d, _THIS_IP_);
	if (READ_ONCE(d->stuck))
		__pcpuref_wake_failed(d, true, -ENOTRECOVERABLE);
	raw_spin_unlock_irqrestore(&d->lock, flags);

	__pcpuref_run(d, todo, false);
}

static void __pcpuref_deferred(struct irq_work *work)
{
	struct llist_node *list = llist_del_all(this_cpu_ptr(&deferred_list));
	struct pcpuref_data *d, *next;

	llist_for_each_entry_safe(d, next, list, deferred) {
		/* On PREEMPT_RT release may take what sleeps; not here. */
		if (!IS_ENABLED(CONFIG_PREEMPT_RT))
			__pcpuref_undefer(d);
		/*
		 * For the workqueue, which then takes over the pin, unless it has
		 * been listed anew meanwhile, with a pin of its own.
		 */
		if (IS_ENABLED(CONFIG_PREEMPT_RT) ||
		    (READ_ONCE(d->hot) && !atomic_xchg(&d->deferred_listed, 1))) {
			llist_add(&d->deferred, &hot_list);
			queue_work(release_wq, &hot_work);
		} else {
			__pcpuref_unpin(d);
		}
	}
}

/* --- Lazy references ------------------------------------------------------ */

/*
 * Whether a lazy reference is hot is found by sampling: of all the gets of lazy
 * references on a CPU one in LAZY_SAMPLE is looked at, and a reference that is
 * met LAZY_SAMPLES times within LAZY_WINDOW jiffies had, by expectation, at
 * least LAZY_SAMPLE * LAZY_SAMPLES gets in that time: with 10 ms a hundred
 * thousand in a second. All the others cost one increment of the CPU's own.
 */
#define LAZY_SAMPLE	256
#define LAZY_SAMPLES	4
#define LAZY_WINDOW	DIV_ROUND_UP(HZ, 100)

static DEFINE_PER_CPU(unsigned int, lazy_gets);

static noinline void __pcpuref_sample(struct pcpuref_data *d)
{
	unsigned int now = jiffies;
	unsigned int sampled = READ_ONCE(d->sampled);
	unsigned int samples = READ_ONCE(d->samples) + 1;

	/* A failed allocation has put it into the future, by a second. */
	if (sampled - now - 1 < HZ || READ_ONCE(d->force_atomic) || !READ_ONCE(d->live))
		return;
	if (now - sampled > LAZY_WINDOW) {
		WRITE_ONCE(d->sampled, now);
		samples = 1;
	}
	/* Marked, but not atomic: a sample that gets lost comes again. */
	WRITE_ONCE(d->samples, samples);
	if (samples < LAZY_SAMPLES)
		return;
	WRITE_ONCE(d->samples, 0);
	WRITE_ONCE(d->hot, true);
	__pcpuref_defer(d);
}

/* Caller has preemption disabled, and was compiled for @readers. */
static __always_inline void __pcpuref_got(struct pcpuref_data *d, u8 readers,
					  unsigned long caller)
{
	if (likely(!(READ_ONCE(d->lazy) | (d->readers ^ readers))))
		return;
	/* Counted right: the tag kept it from the counters. But slowly. */
	if (d->readers != readers)
		__pcpuref_misuse(d, MIXED_READERS, atomic_long_read(&d->count), caller);
	if (READ_ONCE(d->lazy) && !(this_cpu_inc_return(lazy_gets) % LAZY_SAMPLE))
		__pcpuref_sample(d);
}

/* Give a lazy reference its counters. */
static void __pcpuref_promote(struct pcpuref_data *d)
{
	unsigned long __percpu *counters;
	unsigned int todo = 0;
	unsigned long flags;

	counters = __pcpuref_alloc_counters(GFP_KERNEL | __GFP_NOWARN);

	raw_spin_lock_irqsave(&d->lock, flags);
	WRITE_ONCE(d->hot, false);
	if (!counters) {
		WRITE_ONCE(d->sampled, (unsigned int)jiffies + HZ);
	} else if (d->ref && d->lazy && (d->live || d->allow_reinit) && !d->force_atomic) {
		WRITE_ONCE(d->lazy, false);
		swap(d->counters, counters);
		/* While it is busy the word stays as it is, and settles later. */
		todo = __pcpuref_settle(d);
	}
	raw_spin_unlock_irqrestore(&d->lock, flags);

	free_percpu(counters);
	__pcpuref_run(d, todo, false);
}

static void __pcpuref_hot_work(struct work_struct *work)
{
	struct llist_node *list = llist_del_all(&hot_list);
	struct pcpuref_data *d, *next;

	llist_for_each_entry_safe(d, next, list, deferred) {
		__pcpuref_undefer(d);
		if (READ_ONCE(d->hot))
			__pcpuref_promote(d);
		__pcpuref_unpin(d);
		cond_resched();
	}
}

/* --- Slow gets and puts --------------------------------------------------- */

/* The count turned out to be meaningless, or was so already. */
static void __pcpuref_broken(struct pcpuref_data *d, enum misuse what, long old,
			     unsigned long caller)
{
	bool dead = old <= 0 && old >= -BIAS;
	bool first = !READ_ONCE(d->stuck);
	unsigned long flags;

	__pcpuref_stick(d, dead);
	if (!first)
		return;

	__pcpuref_misuse(d, what, dead ? 0 : old, caller);
	if (pcpuref_in_nmi()) {
		__pcpuref_defer_from_nmi(d, false);
		return;
	}
	raw_spin_lock_irqsave(&d->lock, flags);
	__pcpuref_wake_failed(d, true, -ENOTRECOVERABLE);
	raw_spin_unlock_irqrestore(&d->lock, flags);
}

/*
 * The slow paths are entered with preemption disabled since before the word was
 * loaded, or disable it themselves, and enable it. They look at the data in
 * between, so that it cannot be freed under a caller who is in the wrong; one in
 * the right has a reference that keeps it. The shared counter is part of the
 * count in every mode: to add to it is right even if the mode has changed since
 * the word was loaded.
 */

static __always_inline void __pcpuref_get(struct pcpuref *ref, unsigned long nr,
					  u8 readers, unsigned long caller)
{
	struct pcpuref_data *d;
	long old;

	d = READ_ONCE(ref->data);
	if (unlikely(!d)) {
		__pcpuref_misuse_gone(ref, caller);
	} else {
		old = atomic_long_fetch_add_relaxed(nr, &d->count);
		/* One look for both: it was not positive, or is so no longer. */
		if (unlikely((long)(old + nr) <= (long)nr))
			__pcpuref_broken(d, old <= 0 ? GET_ON_ZERO : OVERFLOW, old, caller);
		else
			__pcpuref_got(d, readers, caller);
	}
	preempt_enable_notrace();
}

static __always_inline bool __pcpuref_take_unless_zero(struct pcpuref_data *d,
						       unsigned long nr, u8 readers,
						       unsigned long caller)
{
	long old;

	if (!d)
		return false;
	old = atomic_long_read(&d->count);
	do {
		if (unlikely(old <= 0))
			return old < -BIAS;
		if (unlikely((long)(old + nr) <= 0)) {
			__pcpuref_broken(d, OVERFLOW, old, caller);
			return true;
		}
	} while (!atomic_long_try_cmpxchg_relaxed(&d->count, &old, old + nr));

	__pcpuref_got(d, readers, caller);
	return true;
}

static __always_inline bool __pcpuref_tryget(struct pcpuref *ref, unsigned long nr,
					     u8 readers, unsigned long caller)
{
	bool taken = __pcpuref_take_unless_zero(READ_ONCE(ref->data), nr, readers, caller);

	preempt_enable_notrace();
	return taken;
}

/*
 * It looks at the word and takes the reference in one section with preemption
 * disabled: that is what the grace period before a confirmation waits for.
 */
static __always_inline bool __pcpuref_tryget_live(struct pcpuref *ref, unsigned long nr,
						  u8 readers, unsigned long caller)
{
	bool taken = false;

	if (!(READ_ONCE(ref->word) & __PCPUREF_DEAD))
		taken = __pcpuref_take_unless_zero(READ_ONCE(ref->data), nr, readers, caller);
	preempt_enable_notrace();
	return taken;
}

static __always_inline void __pcpuref_put(struct pcpuref *ref, unsigned long nr,
					  unsigned long caller)
{
	struct pcpuref_data *d;
	unsigned int todo = 0;
	unsigned long flags;
	long old;

	d = READ_ONCE(ref->data);
	if (unlikely(!d)) {
		__pcpuref_misuse_gone(ref, caller);
		goto out;
	}
	/* Orders what the caller did to the object before release. */
	old = atomic_long_fetch_sub_release(nr, &d->count);
	if (likely(old > (long)nr))
		goto out;

	/* ... which comes after this, and after all other puts. */
	smp_acquire__after_ctrl_dep();
	if (unlikely(old <= 0 || old != (long)nr)) {
		__pcpuref_broken(d, EXCESS_PUT, old, caller);
	} else if (pcpuref_in_nmi()) {
		__pcpuref_defer_from_nmi(d, true);
	} else {
		raw_spin_lock_irqsave(&d->lock, flags);
		todo = __pcpuref_reached_zero(d, caller);
		raw_spin_unlock_irqrestore(&d->lock, flags);
	}
out:
	preempt_enable_notrace();
	/* TODO_RELEASE comes with a pin, so the data is still there. */
	if (todo)
		__pcpuref_run(d, todo, false);
}

/* Of a reference that is not in per-CPU mode: pcpuref_get_many() */
void __pcpuref_get_slow(struct pcpuref *ref, unsigned long nr)
{
	__pcpuref_get(ref, nr, 0, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_get_slow);

/* ... pcpuref_tryget_many() */
bool __pcpuref_tryget_slow(struct pcpuref *ref, unsigned long nr)
{
	return __pcpuref_tryget(ref, nr, 0, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_tryget_slow);

/* ... pcpuref_tryget_live_many() */
bool __pcpuref_tryget_live_slow(struct pcpuref *ref, unsigned long nr)
{
	return __pcpuref_tryget_live(ref, nr, 0, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_tryget_live_slow);

/* ... pcpuref_put_many() */
void __pcpuref_put_slow(struct pcpuref *ref, unsigned long nr)
{
	__pcpuref_put(ref, nr, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_put_slow);

/* The same for a client with PCPUREF_READERS_TASKS, with preemption enabled. */
void __pcpuref_get_slow_tasks(struct pcpuref *ref, unsigned long nr)
{
	preempt_disable_notrace();
	__pcpuref_get(ref, nr, __PCPUREF_READERS_TASKS, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_get_slow_tasks);

bool __pcpuref_tryget_slow_tasks(struct pcpuref *ref, unsigned long nr)
{
	preempt_disable_notrace();
	return __pcpuref_tryget(ref, nr, __PCPUREF_READERS_TASKS, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_tryget_slow_tasks);

bool __pcpuref_tryget_live_slow_tasks(struct pcpuref *ref, unsigned long nr)
{
	preempt_disable_notrace();
	return __pcpuref_tryget_live(ref, nr, __PCPUREF_READERS_TASKS, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_tryget_live_slow_tasks);

void __pcpuref_put_slow_tasks(struct pcpuref *ref, unsigned long nr)
{
	preempt_disable_notrace();
	__pcpuref_put(ref, nr, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_put_slow_tasks);

/* --- Life ----------------------------------------------------------------- */

/* The work of pcpuref_init(), which knows the @name and the @site. */
int __pcpuref_init(struct pcpuref *ref, pcpuref_func_t *release,
		   unsigned int flags, gfp_t gfp, const char *name,
		   const struct pcpuref_site *site)
{
	const unsigned int known = PCPUREF_INIT_ATOMIC | PCPUREF_INIT_DEAD |
				   PCPUREF_ALLOW_REINIT | PCPUREF_RELEASE_WORK |
				   PCPUREF_INIT_LAZY;
	bool dead = flags & PCPUREF_INIT_DEAD;
	bool lazy = flags & PCPUREF_INIT_LAZY;
	struct pcpuref_data *d;
	unsigned long irqflags;

	/* Until all is well: what every other function takes for exited. */
	WRITE_ONCE(ref->word, __PCPUREF_ATOMIC | __PCPUREF_DEAD);
	WRITE_ONCE(ref->data, NULL);
	ref->release = release;

	if (!release || (flags & ~known))
		return -EINVAL;
	if (site->readers && !PCPUREF_HAVE_READERS_TASKS)
		return -EOPNOTSUPP;

	if (flags & PCPUREF_RELEASE_WORK)
		d = kzalloc(sizeof(*d), gfp);
	else
		d = kzalloc(offsetof(struct pcpuref_data, work), gfp);
	if (!d)
		return -ENOMEM;
	if (!lazy) {
		d->counters = __pcpuref_alloc_counters(gfp);
		if (!d->counters) {
			kfree(d);
			return -ENOMEM;
		}
	}
	raw_spin_lock_init(&d->lock);
	refcount_set(&d->pins, 1);
	INIT_LIST_HEAD(&d->waiters);
	if (flags & PCPUREF_RELEASE_WORK)
		INIT_WORK(&d->work, __pcpuref_release_work);
	d->ref = ref;
	d->release = release;
	d->name = name;
	d->site = site;
	d->created_at = ktime_get_coarse_ns();
	d->flags = flags;
	d->allow_reinit = flags & (PCPUREF_INIT_ATOMIC | PCPUREF_INIT_DEAD |
				   PCPUREF_ALLOW_REINIT);
	d->force_atomic = flags & PCPUREF_INIT_ATOMIC;
	d->lazy = lazy;
	d->sampled = jiffies;
	d->readers = site->readers;
	if (d->readers)
		WRITE_ONCE(readers_tasks_used, true);
	d->live = !dead;
	d->initial = !dead;
	d->zero = dead;
	d->life = !dead;
	d->biased = !dead && !d->force_atomic && !lazy;
	d->tagged = !d->biased;
	atomic_long_set(&d->count, dead ? DEAD : 1 + (d->biased ? BIAS : 0));
	__pcpuref_list(d);

	/*
	 * Lookups in type-stable memory may meet an object that is being set up.
	 * Pairs with the dependent loads of whoever follows ref->data.
	 */
	smp_store_release(&ref->data, d);
	/* Pairs with the dependent access in __pcpuref_add(). */
	smp_store_release(&ref->word, (unsigned long)d->counters | d->readers |
			  (d->tagged ? __PCPUREF_ATOMIC : 0) |
			  (dead ? __PCPUREF_DEAD : 0));

	if (unlikely(__pcpuref_logging() || trace_pcpuref_init_enabled())) {
		raw_spin_lock_irqsave(&d->lock, irqflags);
		__pcpuref_event(init, d, "none", __pcpuref_mode(d), 0, _RET_IP_);
		raw_spin_unlock_irqrestore(&d->lock, irqflags);
	}
	return 0;
}
EXPORT_SYMBOL_GPL(__pcpuref_init);

/* How many references others hold, as far as can be known now. */
static long __pcpuref_held(struct pcpuref_data *d)
{
	long count = atomic_long_read(&d->count);

	lockdep_assert_held(&d->lock);

	if (d->zero)
		return 0;
	if (d->biased)
		count += __pcpuref_sum(d) - BIAS;
	return count - d->initial - d->own;
}

/* Has anything ever been done to it, as far as can be known? */
static bool __pcpuref_used(struct pcpuref_data *d)
{
	int cpu;

	lockdep_assert_held(&d->lock);

	if (d->busy || d->batches || d->ended || d->killed_at ||
	    READ_ONCE(d->stuck) || __pcpuref_held(d))
		return true;
	for_each_possible_cpu(cpu)
		if (d->counters && READ_ONCE(*per_cpu_ptr(d->counters, cpu)))
			return true;
	return false;
}

static void __pcpuref_check_exit(struct pcpuref_data *d, unsigned long caller)
{
	long held = __pcpuref_held(d);

	lockdep_assert_held(&d->lock);

	if (READ_ONCE(d->stuck))
		return;
	if (d->busy)
		__pcpuref_misuse(d, EXIT_SWITCHING, held, caller);
	else if (held)
		__pcpuref_misuse(d, EXIT_HELD, held, caller);
	else if (d->ended != d->returned + d->running)
		__pcpuref_misuse(d, EXIT_UNRELEASED, held, caller);
	else if (!d->live && !d->zero)
		__pcpuref_misuse(d, EXIT_UNRELEASED, held, caller);
}

/*
 * Take the reference from its data. What is still on its way to either of them
 * finds the data without a reference, and does nothing.
 */
static void __pcpuref_orphan(struct pcpuref_data *d)
{
	lockdep_assert_held(&d->lock);

	__pcpuref_unlist(d);
	WRITE_ONCE(d->ref, NULL);
	/* A release that is running still returns, and wakes its waiters. */
	d->ended = d->returned + d->running;
	__pcpuref_wake_failed(d, true, -ECANCELED);
	__pcpuref_wake_failed(d, false, -ECANCELED);
}

static void __pcpuref_detach(struct pcpuref_data *d, unsigned long caller)
{
	struct pcpuref *ref = d->ref;

	lockdep_assert_held(&d->lock);

	__pcpuref_event(exit, d, __pcpuref_mode(d), "none", 0, caller);
	WRITE_ONCE(ref->word, __PCPUREF_ATOMIC | __PCPUREF_DEAD | EXITED |
		   (d->zero ? 0 : NONZERO));
	/* Pairs with the smp_load_acquire() in pcpuref_is_zero(). */
	smp_store_release(&ref->data, NULL);
	__pcpuref_orphan(d);
}

static void __pcpuref_exit(struct pcpuref *ref, bool unused, unsigned long caller)
{
	struct pcpuref_data *d;
	unsigned long flags;

	d = __pcpuref_lock(ref, &flags);
	if (!d) {
		unsigned long word = READ_ONCE(ref->word);

		if (word & ~ALL_TAGS)
			__pcpuref_misuse_gone(ref, caller);
		else if (word & EXITED)
			/* Harmless, but a second exit is worth a line. */
			pr_notice_ratelimited("exit of an exited reference: release=%ps caller=%pS\n",
					      ref->release, (void *)caller);
		return;
	}
	if (!unused)
		__pcpuref_check_exit(d, caller);
	else if (__pcpuref_used(d))
		__pcpuref_misuse(d, CANCEL_USED, __pcpuref_held(d), caller);
	__pcpuref_detach(d, caller);
	__acquire(&d->lock);
	raw_spin_unlock(&d->lock);
	__pcpuref_unpin(d);
	local_irq_restore(flags);
}

/**
 * pcpuref_exit - give back what pcpuref_init() allocated
 * @ref: a reference whose release has been called, or that nobody used
 *
 * Legal from release itself, and right after pcpuref_kill_and_wait(). Of a
 * zeroed reference, one whose init failed, or one that has exited: harmless;
 * the last is told in the log. With references out, during a switch, or before
 * release was called it is reported; pending callbacks are then dropped, and
 * sleepers return -ECANCELED. The object's memory may be freed afterwards.
 *
 * Pairs with pcpuref_init(). From percpu_ref_exit(), which must not be called
 * from release in atomic mode.
 *
 * Context: any but NMI; never sleeps.
 */
void pcpuref_exit(struct pcpuref *ref)
{
	__pcpuref_exit(ref, false, _RET_IP_);
}
EXPORT_SYMBOL_GPL(pcpuref_exit);

/**
 * pcpuref_cancel_init - undo an init that has come to nothing
 * @ref: a reference that nobody has used since pcpuref_init()
 *
 * For error paths: release is not called. Use that has left a trace is
 * reported. From the percpu_ref_cancel_init() of 2013.
 *
 * Context: any but NMI; never sleeps.
 */
void pcpuref_cancel_init(struct pcpuref *ref)
{
	__pcpuref_exit(ref, true, _RET_IP_);
}
EXPORT_SYMBOL_GPL(pcpuref_cancel_init);

static void __pcpuref_kill(struct pcpuref_data *d, unsigned long caller)
{
	const char *before = __pcpuref_mode(d);

	lockdep_assert_held(&d->lock);

	WRITE_ONCE(d->live, false);
	d->requester = caller;
	d->killed_at = ktime_get_mono_fast_ns();
	__pcpuref_tag(d, __PCPUREF_ATOMIC | __PCPUREF_DEAD);
	__pcpuref_event(kill, d, before, __pcpuref_mode(d), 0, caller);
}

/**
 * pcpuref_kill_and_confirm - drop the initial reference
 * @ref: a live reference
 * @confirm: called once when no CPU can get a live reference any more, or NULL
 *
 * From its return on, pcpuref_tryget_live() fails on this CPU; @confirm says
 * that it fails on every CPU, and comes after a full grace period in every
 * mode, before the initial reference is dropped and thus before release. It
 * must not sleep. If a switch is in flight, what the kill entails follows when
 * that is over. Without @confirm, in atomic mode, the initial reference is
 * dropped at once: release may then be called before this returns.
 *
 * At most three different callbacks can be waiting at a time; one more is
 * refused and reported. From percpu_ref_kill_and_confirm(), which sleeps when
 * a switch is in flight, and in atomic mode confirms without a grace period.
 *
 * Context: any but NMI; never sleeps, keeps interrupts as they are.
 * Return: true, or false when refused (not live, or too many; reported).
 */
bool pcpuref_kill_and_confirm(struct pcpuref *ref, pcpuref_func_t *confirm)
{
	struct pcpuref_data *d;
	unsigned int todo = 0;
	unsigned long flags;
	bool done = false;

	d = __pcpuref_lock(ref, &flags);
	if (!d) {
		__pcpuref_misuse_gone(ref, _RET_IP_);
		return false;
	}
	if (!d->live) {
		__pcpuref_misuse(d, KILLED_TWICE, __pcpuref_held(d), _RET_IP_);
	} else if (confirm && !__pcpuref_add_confirm(d, confirm)) {
		__pcpuref_misuse(d, TOO_MANY_CONFIRMS, __pcpuref_held(d), _RET_IP_);
	} else {
		__pcpuref_kill(d, _RET_IP_);
		todo = __pcpuref_settle(d);
		done = true;
	}
	__pcpuref_unlock(d, flags);
	__pcpuref_run(d, todo, false);

	return done;
}
EXPORT_SYMBOL_GPL(pcpuref_kill_and_confirm);

/**
 * pcpuref_kill_sync - drop the initial reference and wait for all CPUs to see it
 * @ref: an initialised reference
 *
 * When it returns 0, pcpuref_tryget_live() fails on every CPU. Of a reference
 * that is dying already it only waits. Uses an expedited grace period.
 *
 * Context: task, may sleep.
 * Return: 0; -EINVAL after exit (reported).
 */
int pcpuref_kill_sync(struct pcpuref *ref)
{
	struct pcpuref_data *d;
	unsigned int todo = 0;
	unsigned long flags;
	bool tasks;

	might_sleep();

	d = __pcpuref_lock(ref, &flags);
	if (!d) {
		__pcpuref_misuse_gone(ref, _RET_IP_);
		return -EINVAL;
	}
	if (d->live) {
		__pcpuref_kill(d, _RET_IP_);
		todo = __pcpuref_settle(d);
	}
	tasks = d->readers;
	__pcpuref_unlock(d, flags);

	__pcpuref_run(d, todo, true);
	/* The grace period in flight, if any, may have begun before the kill. */
	if (!(todo & TODO_GRACE_PERIOD))
		__pcpuref_synchronize(tasks);
	return 0;
}
EXPORT_SYMBOL_GPL(pcpuref_kill_sync);

static int __pcpuref_kill_and_wait(struct pcpuref *ref, unsigned long timeout,
				   unsigned long caller)
{
	struct pcpuref_data *d;
	unsigned int todo = 0;
	struct waiter waiter;
	unsigned long flags;

	might_sleep();

	d = __pcpuref_lock(ref, &flags);
	if (!d) {
		__pcpuref_misuse_gone(ref, caller);
		return -EINVAL;
	}
	__pcpuref_wait_begin(d, &waiter, true, d->life);
	if (d->live) {
		__pcpuref_kill(d, caller);
		todo = __pcpuref_settle(d);
	}
	__pcpuref_wake_due(d);
	if (READ_ONCE(d->stuck))
		__pcpuref_wake_failed(d, true, -ENOTRECOVERABLE);
	__pcpuref_unlock(d, flags);

	__pcpuref_run(d, todo, true);
	return __pcpuref_wait_end(d, &waiter, timeout);
}

/**
 * pcpuref_kill_and_wait - drop the initial reference and wait for the release
 * @ref: an initialised reference
 *
 * When it returns 0, release has returned: pcpuref_exit() and freeing the
 * object are safe, and pcpuref_tryget_live() fails on every CPU. Of a reference
 * that is dying already it only waits. Uses an expedited grace period, or none
 * in atomic mode: an object that is looked up under RCU must still be freed by
 * RCU. Not from release or confirm of the same reference, and not while holding
 * a reference that only this caller would put.
 *
 * Context: task, may sleep.
 * Return: 0; -EINVAL after exit (reported); -ECANCELED when another caller
 * resurrects or exits the reference meanwhile; -ENOTRECOVERABLE when misuse has
 * left it without a meaningful count, so that release never comes.
 */
int pcpuref_kill_and_wait(struct pcpuref *ref)
{
	return __pcpuref_kill_and_wait(ref, MAX_SCHEDULE_TIMEOUT, _RET_IP_);
}
EXPORT_SYMBOL_GPL(pcpuref_kill_and_wait);

/**
 * pcpuref_kill_and_wait_timeout - the same, but not for ever
 * @ref: an initialised reference
 * @timeout: in jiffies; the grace period is not part of it
 *
 * After -ETIMEDOUT the reference is dying and intact: it may be called again to
 * go on waiting, or the reference be resurrected.
 *
 * Context: task, may sleep.
 * Return: as pcpuref_kill_and_wait(), or -ETIMEDOUT.
 */
int pcpuref_kill_and_wait_timeout(struct pcpuref *ref, unsigned long timeout)
{
	return __pcpuref_kill_and_wait(ref, timeout, _RET_IP_);
}
EXPORT_SYMBOL_GPL(pcpuref_kill_and_wait_timeout);

/* Give a dead or dying reference its initial reference back. */
static unsigned int __pcpuref_revive(struct pcpuref_data *d, unsigned long caller)
{
	unsigned int todo = 0;

	lockdep_assert_held(&d->lock);

	if (!d->allow_reinit) {
		__pcpuref_misuse(d, NOT_ALLOWED, __pcpuref_held(d), caller);
		WRITE_ONCE(d->lazy, false);
	}

	if (!d->initial && !__pcpuref_inc_not_zero(d)) {
		/*
		 * Released, or about to be: the put that made it zero may not
		 * have come to tell yet. Then it is told here on its behalf.
		 */
		if (!d->zero && !READ_ONCE(d->stuck)) {
			/* Zero was read: pairs with the release of the puts. */
			smp_acquire__after_ctrl_dep();
			todo = __pcpuref_mark_zero(d, caller);
			d->claimed++;
		}
		d->life += d->zero;
		/* Unless somebody has touched the dead count: then it sticks. */
		if (atomic_long_cmpxchg(&d->count, DEAD, 1) != DEAD)
			__pcpuref_stick(d, false);
	}
	/* A stuck count is alive again too, but for good. */
	if (READ_ONCE(d->stuck))
		__pcpuref_stick(d, false);
	d->initial = true;
	WRITE_ONCE(d->live, true);
	d->requester = caller;
	d->killed_at = 0;
	WRITE_ONCE(d->zero, false);
	__pcpuref_wake_failed(d, true, -ECANCELED);

	return todo | __pcpuref_settle(d);
}

/**
 * pcpuref_reinit - begin a new life
 * @ref: a reference of which pcpuref_is_zero() is true
 *
 * Afterwards it is as after pcpuref_init(), in per-CPU mode unless
 * pcpuref_switch_to_atomic() or %PCPUREF_INIT_ATOMIC say otherwise. If a switch
 * is in flight, gets and puts may begin at once, but pcpuref_tryget_live()
 * succeeds only when that is over. Legal from release. Needs
 * %PCPUREF_ALLOW_REINIT; without it that is reported, and the new life is spent
 * in atomic mode. From percpu_ref_reinit().
 *
 * Context: any but NMI; never sleeps.
 * Return: true, or false when refused (live, or not zero; reported).
 */
bool pcpuref_reinit(struct pcpuref *ref)
{
	struct pcpuref_data *d;
	unsigned int todo = 0;
	unsigned long flags;
	bool done = false;

	d = __pcpuref_lock(ref, &flags);
	if (!d) {
		__pcpuref_misuse_gone(ref, _RET_IP_);
		return false;
	}
	if (d->live) {
		__pcpuref_misuse(d, REINIT_LIVE, __pcpuref_held(d), _RET_IP_);
	} else if (!d->zero && !READ_ONCE(d->stuck)) {
		__pcpuref_misuse(d, REINIT_NONZERO, __pcpuref_held(d), _RET_IP_);
	} else {
		todo = __pcpuref_revive(d, _RET_IP_);
		__pcpuref_event(reinit, d, NULL, NULL, 0, _RET_IP_);
		done = true;
	}
	__pcpuref_unlock(d, flags);
	__pcpuref_run(d, todo, false);

	return done;
}
EXPORT_SYMBOL_GPL(pcpuref_reinit);

/**
 * pcpuref_resurrect - undo a kill
 * @ref: a killed reference, whether or not its count has reached zero
 *
 * The initial reference is held again. A confirm that the kill promised still
 * comes. If a switch is in flight, as it is for a grace period after a kill,
 * pcpuref_tryget_live() succeeds only when that is over. If the count had
 * reached zero, release comes for the life that ended, and this is
 * pcpuref_reinit(). Needs %PCPUREF_ALLOW_REINIT, as that does.
 * From percpu_ref_resurrect().
 *
 * Context: any but NMI; never sleeps.
 * Return: true, or false when refused (live; reported).
 */
bool pcpuref_resurrect(struct pcpuref *ref)
{
	struct pcpuref_data *d;
	unsigned int todo = 0;
	unsigned long flags;
	bool done = false;

	d = __pcpuref_lock(ref, &flags);
	if (!d) {
		__pcpuref_misuse_gone(ref, _RET_IP_);
		return false;
	}
	if (d->live) {
		__pcpuref_misuse(d, RESURRECT_LIVE, __pcpuref_held(d), _RET_IP_);
	} else {
		todo = __pcpuref_revive(d, _RET_IP_);
		__pcpuref_event(resurrect, d, NULL, NULL, 0, _RET_IP_);
		done = true;
	}
	__pcpuref_unlock(d, flags);
	__pcpuref_run(d, todo, false);

	return done;
}
EXPORT_SYMBOL_GPL(pcpuref_resurrect);

/* --- Mode ----------------------------------------------------------------- */

static void __pcpuref_want_atomic(struct pcpuref_data *d, unsigned long caller)
{
	const char *before = __pcpuref_mode(d);

	lockdep_assert_held(&d->lock);

	WRITE_ONCE(d->force_atomic, true);
	if (d->tagged)
		return;
	d->requester = caller;
	__pcpuref_tag(d, __PCPUREF_ATOMIC);
	__pcpuref_event(switch, d, before, "switching", 0, caller);
}

/**
 * pcpuref_switch_to_atomic - count in the shared counter
 * @ref: an initialised reference, in any state
 * @confirm: called once, after a grace period, when the count is exact; or NULL
 *
 * Sticky: it stays in atomic mode, through deaths and lives, until
 * pcpuref_switch_to_percpu(). @confirm must not sleep. Without
 * %PCPUREF_ALLOW_REINIT there is no way back. From percpu_ref_switch_to_atomic().
 *
 * Context: any but NMI; never sleeps.
 * Return: true, or false when refused (too many different callbacks waiting, or
 * after exit; reported).
 */
bool pcpuref_switch_to_atomic(struct pcpuref *ref, pcpuref_func_t *confirm)
{
	struct pcpuref_data *d;
	unsigned int todo = 0;
	unsigned long flags;
	bool done = false;

	d = __pcpuref_lock(ref, &flags);
	if (!d) {
		__pcpuref_misuse_gone(ref, _RET_IP_);
		return false;
	}
	if (confirm && !__pcpuref_add_confirm(d, confirm)) {
		__pcpuref_misuse(d, TOO_MANY_CONFIRMS, __pcpuref_held(d), _RET_IP_);
	} else {
		__pcpuref_want_atomic(d, _RET_IP_);
		todo = __pcpuref_settle(d);
		done = true;
	}
	__pcpuref_unlock(d, flags);
	__pcpuref_run(d, todo, false);

	return done;
}
EXPORT_SYMBOL_GPL(pcpuref_switch_to_atomic);

/**
 * pcpuref_switch_to_atomic_sync - the same, and wait for it
 * @ref: an initialised reference, in any state
 *
 * When it returns 0 the count is exact and contains no reference of the switch
 * itself. From percpu_ref_switch_to_atomic_sync(). Uses an expedited grace
 * period unless a switch is in flight already.
 *
 * Context: task, may sleep.
 * Return: 0; -EINVAL after exit (reported); -ECANCELED if it exits meanwhile.
 */
int pcpuref_switch_to_atomic_sync(struct pcpuref *ref)
{
	struct pcpuref_data *d;
	struct waiter waiter;
	unsigned long flags;
	unsigned int todo;

	might_sleep();

	d = __pcpuref_lock(ref, &flags);
	if (!d) {
		__pcpuref_misuse_gone(ref, _RET_IP_);
		return -EINVAL;
	}
	__pcpuref_want_atomic(d, _RET_IP_);
	todo = __pcpuref_settle(d);
	__pcpuref_wait_begin(d, &waiter, false, d->batches + d->busy);
	__pcpuref_wake_due(d);
	__pcpuref_unlock(d, flags);

	__pcpuref_run(d, todo, true);
	return __pcpuref_wait_end(d, &waiter, MAX_SCHEDULE_TIMEOUT);
}
EXPORT_SYMBOL_GPL(pcpuref_switch_to_atomic_sync);

/**
 * pcpuref_switch_to_percpu - undo pcpuref_switch_to_atomic()
 * @ref: an initialised reference with %PCPUREF_ALLOW_REINIT
 *
 * Of a live reference at once, or when the switch in flight is over; of a dying
 * one when it is next brought to life. From percpu_ref_switch_to_percpu().
 *
 * Context: any but NMI; never sleeps.
 * Return: true, or false when refused (not allowed, or after exit; reported).
 */
bool pcpuref_switch_to_percpu(struct pcpuref *ref)
{
	struct pcpuref_data *d;
	unsigned int todo = 0;
	unsigned long flags;
	bool done = false;

	d = __pcpuref_lock(ref, &flags);
	if (!d) {
		__pcpuref_misuse_gone(ref, _RET_IP_);
		return false;
	}
	if (!d->allow_reinit) {
		__pcpuref_misuse(d, NOT_ALLOWED, __pcpuref_held(d), _RET_IP_);
	} else {
		WRITE_ONCE(d->force_atomic, false);
		if (d->live)
			d->requester = _RET_IP_;
		todo = __pcpuref_settle(d);
		/* A lazy one is asked to have counters, without further proof. */
		if (d->lazy) {
			WRITE_ONCE(d->hot, true);
			__pcpuref_defer(d);
		}
		done = true;
	}
	__pcpuref_unlock(d, flags);
	__pcpuref_run(d, todo, false);

	return done;
}
EXPORT_SYMBOL_GPL(pcpuref_switch_to_percpu);

/* --- Looking -------------------------------------------------------------- */

/**
 * pcpuref_is_zero - has the count reached zero?
 * @ref: an initialised or exited reference
 *
 * True from before release is called until the next life begins. May race with
 * pcpuref_exit(), after which it keeps its answer; to wait for zero and then
 * free the object, use pcpuref_kill_and_wait(), since this may be true before
 * release has returned. Acquire: sees what was done before the last put.
 * From percpu_ref_is_zero().
 *
 * Context: any.
 * Return: true if it has.
 */
bool pcpuref_is_zero(struct pcpuref *ref)
{
	struct pcpuref_data *d;
	unsigned long word;
	bool zero;

	preempt_disable_notrace();
	/* Pairs with the smp_store_release() in __pcpuref_detach(). */
	d = smp_load_acquire(&ref->data);
	if (d) {
		/* Pairs with the smp_store_release() in __pcpuref_mark_zero(). */
		zero = smp_load_acquire(&d->zero);
	} else {
		word = READ_ONCE(ref->word);
		zero = (word & __PCPUREF_DEAD) && !(word & NONZERO);
	}
	preempt_enable_notrace();

	return zero;
}
EXPORT_SYMBOL_GPL(pcpuref_is_zero);

static long __pcpuref_read(struct pcpuref_data *d)
{
	lockdep_assert_held(&d->lock);

	if (READ_ONCE(d->stuck))
		return atomic_long_read(&d->count) < -BIAS ? LONG_MAX : 0;
	return __pcpuref_held(d) + d->initial;
}

/**
 * pcpuref_read - how many references there are
 * @ref: an initialised or exited reference
 *
 * The initial reference counts. In atomic mode the number is exact; in per-CPU
 * mode the counters are added up one after the other, so gets and puts that run
 * meanwhile may or may not be in it, and it can even be below the number that
 * was held throughout. Costs a cache line for each possible CPU.
 *
 * Context: any but NMI.
 * Return: the count; 0 after exit; if misuse has made it stick, LONG_MAX, or 0
 * if the last reference was gone by then.
 */
long pcpuref_read(struct pcpuref *ref)
{
	struct pcpuref_data *d;
	unsigned long flags;
	long count;

	d = __pcpuref_lock(ref, &flags);
	if (!d)
		return 0;
	count = __pcpuref_read(d);
	__pcpuref_unlock(d, flags);

	return count;
}
EXPORT_SYMBOL_GPL(pcpuref_read);

/* Looks at the data only: a client may have freed the object without exit. */
static void __pcpuref_fill(struct pcpuref_data *d, struct pcpuref_info *info)
{
	lockdep_assert_held(&d->lock);

	info->id = d->id;
	info->ref = d->ref;
	info->release = d->release;
	strscpy(info->name, d->name, sizeof(info->name));
	strscpy(info->module, d->site->module, sizeof(info->module));
	strscpy(info->file, kbasename(d->site->file), sizeof(info->file));
	strscpy(info->function, d->site->function, sizeof(info->function));
	info->line = d->site->line;
	info->mode = __pcpuref_mode(d);
	info->state = READ_ONCE(d->stuck) ? "stuck" :
		      d->live ? "live" : d->zero ? "dead" : "dying";
	info->count = __pcpuref_read(d);
	info->shared = READ_ONCE(d->stuck) ? 0 : __pcpuref_shared(d);
	info->flags = d->flags;
	info->life = d->life;
	info->created_at = d->created_at;
	info->killed_at = d->killed_at;
	info->killer = d->requester;
	info->bytes = __pcpuref_data_size(d->flags);
	info->percpu_bytes = d->counters ? num_possible_cpus() * sizeof(long) : 0;
}

/* Fill what is asked for. False if the reference has exited meanwhile. */
static bool __pcpuref_look(struct pcpuref_data *d, struct pcpuref_info *info,
			   long *counts)
{
	unsigned long flags;
	bool there;
	int cpu;

	raw_spin_lock_irqsave(&d->lock, flags);
	there = d->ref;
	if (there) {
		__pcpuref_fill(d, info);
		for (cpu = 0; counts && cpu < nr_cpu_ids; cpu++)
			counts[cpu] = d->counters && cpu_possible(cpu) ?
				READ_ONCE(*per_cpu_ptr(d->counters, cpu)) : 0;
	}
	raw_spin_unlock_irqrestore(&d->lock, flags);

	return there;
}

/*
 * The first in @shard after where @walk is, or NULL. What was initialised after
 * the walk came to this shard is left out: else it might never end.
 */
static struct pcpuref_data *__pcpuref_listed_after(struct shard *shard,
						   const struct pcpuref_walk *walk)
{
	struct pcpuref_data *d = walk->at;

	lockdep_assert_held(&shard->lock);

	if (d && __pcpuref_id_cpu(d->id) == walk->cpu && !list_empty(&d->node)) {
		d = list_next_entry(d, node);
	} else {
		/* Where it was is gone: numbers ascend, so find the next one up. */
		list_for_each_entry(d, &shard->refs, node)
			if (d->id > walk->id)
				break;
	}
	return &d->node == &shard->refs || d->id > walk->end ? NULL : d;
}

/* Go to the next reference, which is then pinned. False at the end. */
static bool __pcpuref_step(struct pcpuref_walk *walk)
{
	struct pcpuref_data *last = walk->at;
	struct pcpuref_data *d = NULL;
	struct shard *shard;
	unsigned long flags;

	while (!d && walk->cpu < nr_cpu_ids) {
		if (cpu_possible(walk->cpu)) {
			shard = per_cpu_ptr(&registry, walk->cpu);
			raw_spin_lock_irqsave(&shard->lock, flags);
			if (!walk->end)
				walk->end = __pcpuref_last_id(shard, walk->cpu);
			d = __pcpuref_listed_after(shard, walk);
			if (d)
				__pcpuref_pin(d);
			raw_spin_unlock_irqrestore(&shard->lock, flags);
		}
		walk->id = d ? d->id : 0;
		if (!d) {
			walk->cpu++;
			walk->end = 0;
		}
	}
	walk->at = d;
	if (last)
		__pcpuref_unpin(last);
	return d;
}

/**
 * pcpuref_walk_next - look at the next reference of all
 * @walk: where in the registry, zeroed to begin with
 * @info: what is known about that reference
 *
 * No lock is held in between. A reference that is there from the beginning of
 * the walk to its end is met exactly once, one that comes or goes at most once.
 * It comes to an end however many are initialised meanwhile.
 * Pairs with pcpuref_walk_end().
 *
 * Context: any but NMI.
 * Return: true, or false at the end.
 */
bool pcpuref_walk_next(struct pcpuref_walk *walk, struct pcpuref_info *info)
{
	while (__pcpuref_step(walk))
		if (__pcpuref_look(walk->at, info, NULL))
			return true;
	return false;
}
EXPORT_SYMBOL_GPL(pcpuref_walk_next);

/**
 * pcpuref_walk_end - stop looking
 * @walk: where the walk is; may be at the end or not begun
 *
 * Context: any but NMI.
 */
void pcpuref_walk_end(struct pcpuref_walk *walk)
{
	if (walk->at)
		__pcpuref_unpin(walk->at);
	walk->at = NULL;
}
EXPORT_SYMBOL_GPL(pcpuref_walk_end);

/**
 * pcpuref_inspect - what is known about a reference
 * @ref: an initialised or exited reference
 * @info: filled if it is initialised
 *
 * Context: any but NMI.
 * Return: true, or false after exit.
 */
bool pcpuref_inspect(struct pcpuref *ref, struct pcpuref_info *info)
{
	struct pcpuref_data *d;
	unsigned long flags;

	d = __pcpuref_lock(ref, &flags);
	if (!d)
		return false;
	__pcpuref_fill(d, info);
	__pcpuref_unlock(d, flags);

	return true;
}
EXPORT_SYMBOL_GPL(pcpuref_inspect);

/**
 * pcpuref_inspect_id - the same by number, with the per-CPU counters
 * @id: number of a reference
 * @info: filled if there is one
 * @counts: what each CPU's counter holds, nr_cpu_ids numbers, or NULL
 *
 * Searches the registry of one CPU.
 *
 * Context: any but NMI.
 * Return: true, or false if there is no such reference.
 */
bool pcpuref_inspect_id(u64 id, struct pcpuref_info *info, long *counts)
{
	struct pcpuref_walk walk = { .cpu = __pcpuref_id_cpu(id), .id = id - 1, .end = id };
	bool found;

	found = id && __pcpuref_step(&walk) && walk.id == id &&
		__pcpuref_look(walk.at, info, counts);
	pcpuref_walk_end(&walk);

	return found;
}
EXPORT_SYMBOL_GPL(pcpuref_inspect_id);

static void __pcpuref_print(const struct pcpuref_info *info)
{
	u64 now = ktime_get_mono_fast_ns();

	pr_info("dump: id=%llu name=%s module=%s ref=%p release=%ps\n", info->id,
		info->name, info->module, info->ref, info->release);
	pr_info("dump: id=%llu initialised %llu ms ago in %s() at %s:%u, flags=%#x life=%u\n",
		info->id, div_u64(now - info->created_at, NSEC_PER_MSEC),
		info->function, info->file, info->line, info->flags, info->life);
	pr_info("dump: id=%llu mode=%s state=%s count=%ld shared=%ld percpu=%ld bytes=%zu+%zu\n",
		info->id, info->mode, info->state, info->count, info->shared,
		info->count - info->shared, info->bytes, info->percpu_bytes);
	if (info->killed_at)
		pr_info("dump: id=%llu killed %llu ms ago by %pS\n", info->id,
			div_u64(now - info->killed_at, NSEC_PER_MSEC),
			(void *)info->killer);

	preempt_disable_notrace();
	trace_pcpuref_dump(&(struct pcpuref_event) {
		.id = info->id,
		.name = info->name,
		.module = info->module,
		.ref = info->ref,
		.release = info->release,
		.before = info->mode,
		.after = info->mode,
		.count = info->shared,
		.sum = info->count - info->shared,
		.since_kill = __pcpuref_since_kill(info->killed_at),
		.caller = info->killer,
		.what = "dump",
	});
	preempt_enable_notrace();
}

static noinline void __pcpuref_dump(struct pcpuref *ref, unsigned long caller)
{
	struct pcpuref_info info;

	if (pcpuref_inspect(ref, &info))
		__pcpuref_print(&info);
	else
		pr_info("dump: no reference, or exited: ref=%p caller=%pS\n", ref,
			(void *)caller);
}

/**
 * pcpuref_dump - print everything that is known about a reference to the log
 * @ref: an initialised or exited reference
 *
 * For a client's own debug code. Modules that attach to the tracepoint
 * pcpuref_dump add what they know: the last events, the holders.
 *
 * Context: any but NMI. It is many lines: not often with interrupts off.
 */
void pcpuref_dump(struct pcpuref *ref)
{
	__pcpuref_dump(ref, _RET_IP_);
}
EXPORT_SYMBOL_GPL(pcpuref_dump);

/**
 * pcpuref_dump_id - the same by number
 * @id: number of a reference
 *
 * Context: any but NMI.
 * Return: true, or false if there is no such reference.
 */
bool pcpuref_dump_id(u64 id)
{
	struct pcpuref_info info;
	bool found = pcpuref_inspect_id(id, &info, NULL);

	if (found)
		__pcpuref_print(&info);
	return found;
}
EXPORT_SYMBOL_GPL(pcpuref_dump_id);

/**
 * pcpuref_barrier - wait until no callback is in flight
 *
 * For a client's module exit, after it has stopped to use its references: when
 * this returns, every confirm and release that was due when it was called and
 * that pcpuref itself calls (from RCU, after an NMI, from the workqueue) has
 * returned, so their code may go away. What the client's own threads, timers
 * and interrupt handlers call, a put for example, returns when they do: stop
 * them first. It does not wait for references that others still hold. Not from
 * confirm or release.
 *
 * Context: task, may sleep for several grace periods.
 */
void pcpuref_barrier(void)
{
	int round, cpu;

	might_sleep();

	/*
	 * The end of a grace period may start one more, for requests that were
	 * recorded while it was under way, and either may queue a release. And a
	 * batch may wait once more.
	 */
	for (round = 0; round < 4; round++) {
		if (READ_ONCE(readers_tasks_used))
			pcpuref_rcu_barrier_tasks();
		rcu_barrier();
		for_each_possible_cpu(cpu)
			pcpuref_irq_work_sync(per_cpu_ptr(&deferred_work, cpu));
		flush_workqueue(release_wq);
	}
}
EXPORT_SYMBOL_GPL(pcpuref_barrier);

/* --- The four-byte count --------------------------------------------------- */

static noinline void __pcpuref_kref_report(struct pcpuref_kref *kref,
					   const char *what, unsigned long caller)
{
	WARN(1, KBUILD_MODNAME ": misuse: kref %s: kref=%p caller=%pS\n", what, kref,
	     (void *)caller);
}

/*
 * The count is at zero, about to overflow, or saturated already. Saturated
 * before it is reported, so that the object is safe as early as can be; what
 * others did to the count in between counts for nothing.
 */
void __pcpuref_kref_bad_get(struct pcpuref_kref *kref, int old)
{
	atomic_set(&kref->count, __PCPUREF_KREF_SATURATED);
	if (old >= 0)
		__pcpuref_kref_report(kref, old ? "overflow" : "get on zero", _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_kref_bad_get);

void __pcpuref_kref_bad_put(struct pcpuref_kref *kref, int old)
{
	atomic_set(&kref->count, __PCPUREF_KREF_SATURATED);
	if (!old)
		__pcpuref_kref_report(kref, "put on zero", _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_kref_bad_put);

/* The last reference is gone, and nobody knows how to free the object. */
void __pcpuref_kref_no_release(struct pcpuref_kref *kref)
{
	__pcpuref_kref_report(kref, "put without a release function", _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_kref_no_release);

/*
 * Drop a reference, but not the last one, for which the caller wants a lock.
 *
 * Return: true if dropped, or if there is nothing sensible to drop.
 */
bool __pcpuref_kref_put_unless_last(struct pcpuref_kref *kref)
{
	int old = atomic_read(&kref->count);
	int new;

	do {
		if (old == 1)
			return false;
		new = likely(old > 0) ? old - 1 : __PCPUREF_KREF_SATURATED;
	} while (!atomic_try_cmpxchg_release(&kref->count, &old, new));

	/* Only one of several gets here with the zero that there was. */
	if (unlikely(!old))
		__pcpuref_kref_report(kref, "put on zero", _RET_IP_);
	return true;
}
EXPORT_SYMBOL_GPL(__pcpuref_kref_put_unless_last);

/* --- The modules of clients, and this one --------------------------------- */

/* How many references of one module are named when it leaves them behind. */
#define LEFT_NAMED	8

static bool __pcpuref_left(struct pcpuref_data *d, const struct module *module,
			   bool named)
{
	struct pcpuref_info info;
	unsigned long flags;
	bool left;

	raw_spin_lock_irqsave(&d->lock, flags);
	left = d->ref && d->site->owner == module;
	if (left) {
		__pcpuref_fill(d, &info);
		__pcpuref_orphan(d);
	}
	raw_spin_unlock_irqrestore(&d->lock, flags);

	if (left && named)
		pr_err("misuse: module unloaded without exit: module=%s name=%s release=%ps count=%ld state=%s mode=%s initialised in %s() at %s:%u\n",
		       info.module, info.name, info.release, info.count, info.state,
		       info.mode, info.function, info.file, info.line);
	return left;
}

/*
 * A client's module goes away. What it leaves behind is reported and taken off
 * the registry, which must not point to its strings, and none of its callbacks
 * is called any more. The data leaks: the objects may still point to it, or may
 * have been freed, so that nobody can tell.
 */
static int __pcpuref_module_event(struct notifier_block *block, unsigned long event,
				  void *module)
{
	struct pcpuref_walk walk = { };
	unsigned int left = 0;

	if (event != MODULE_STATE_GOING)
		return NOTIFY_DONE;

	while (__pcpuref_step(&walk)) {
		if (!__pcpuref_left(walk.at, module, left < LEFT_NAMED))
			continue;
		/* The pin that an exit would have dropped stays for good. */
		left++;
	}
	if (left > LEFT_NAMED)
		pr_err("misuse: module unloaded without exit: %u references in all\n", left);
	return NOTIFY_DONE;
}

static struct notifier_block module_notifier = {
	.notifier_call = __pcpuref_module_event,
};

static int __init pcpuref_module_init(void)
{
	int cpu, i, err = -ENOMEM;

	gathers = alloc_percpu(struct gather);
	if (!gathers)
		return -ENOMEM;
	/* What points somewhere is not set up statically: see pcpuref_kernel.h. */
	for_each_possible_cpu(cpu) {
		struct shard *shard = per_cpu_ptr(&registry, cpu);

		raw_spin_lock_init(&shard->lock);
		INIT_LIST_HEAD(&shard->refs);
		pcpuref_irq_work_init(per_cpu_ptr(&deferred_work, cpu), __pcpuref_deferred);
		INIT_WORK(&per_cpu_ptr(gathers, cpu)->hurry, __pcpuref_hurry_work);
		for (i = 0; i < BATCHES; i++)
			raw_spin_lock_init(&per_cpu_ptr(gathers, cpu)->batches[i].lock);
	}
	/* A callback should not take long, and it looks at every possible CPU. */
	batch_max = clamp_t(unsigned int, 1024 / num_possible_cpus(), 1, BATCH_MAX);
	id_cpu_bits = order_base_2(nr_cpu_ids);

	release_wq = alloc_workqueue("pcpuref", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!release_wq)
		goto free;
	err = register_module_notifier(&module_notifier);
	if (err)
		goto destroy;
	pr_info("version " PCPUREF_VERSION "\n");
	return 0;

destroy:
	destroy_workqueue(release_wq);
free:
	free_percpu(gathers);
	return err;
}

/* No client is left: only what they started may still be on its way. */
static void __exit pcpuref_module_exit(void)
{
	unregister_module_notifier(&module_notifier);
	pcpuref_barrier();
	destroy_workqueue(release_wq);
	/* The data of what exited last: a callback, which may wait once more. */
	if (readers_tasks_used)
		pcpuref_rcu_barrier_tasks();
	rcu_barrier();
	rcu_barrier();
	free_percpu(gathers);
}

module_init(pcpuref_module_init);
module_exit(pcpuref_module_exit);

EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_init);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_switch);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_kill);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_confirm);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_release);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_reinit);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_resurrect);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_exit);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_misuse);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_dump);

MODULE_DESCRIPTION("Per-CPU reference counts");
MODULE_VERSION(PCPUREF_VERSION);
MODULE_LICENSE("GPL");
