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
 * struct pcpuref_data is given back by RCU after the last pin: the initialised
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
#define EXITED		BIT(4)
#define NONZERO		BIT(5)	/* the count was not zero at exit */
#define REPORTED	BIT(6)	/* use after exit has been reported */
#define RELEASE_TOP	BIT(7)	/* top bit of the release function */
#define ALL_TAGS	(__PCPUREF_TAGS | EXITED | NONZERO | REPORTED | RELEASE_TOP)

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
 * @lock: protects all that follows, and @more, unless said otherwise
 * @pins: what keeps this structure; see the top of the file
 * @ref: the reference, NULL once it has exited; its memory may be gone, so that
 *	only what the reference's own calls have come to looks at it
 * @release: called when the count reaches zero
 * @name: for messages
 * @site: where it was initialised
 * @more: the rest, without which a reference can be got and put in atomic mode,
 *	but not change its state; see __pcpuref_more()
 * @id: its number, and which part of the registry it is in
 * @node: there, under the lock of that part
 * @rcu: at the end, to be freed
 * @deferred: in a CPU's list of what could not be done at once, or in hot_list
 * @deferrals: zeroes reached in NMI and not dealt with, and DEFERRED while
 *	@deferred is on a list (atomic)
 * @reported: bit for each enum misuse that has been reported (atomic)
 * @created: when it was initialised, in units of 2^CREATED_SHIFT ns of the
 *	monotonic clock, to spare four bytes
 * @flags: as given to init
 * @tags: those of the word that are apart from mode and life: __PCPUREF_LAZY while
 *	it has no counters and may get some (read without the lock), and
 *	__PCPUREF_READERS_TASKS, which never changes
 * @live: what is wanted; the word's tag may lag behind while @busy
 * @force_atomic: stay in atomic mode while live
 * @zero: the count has reached zero in this life (read without the lock), and
 *	is parked at DEAD
 * @stuck: misuse has made the count meaningless (set without the lock)
 * @hot: counters are wanted for a lazy reference (set without the lock)
 * @samples: of gets, in the time since @sampled (without the lock)
 * @sampled: low bits of jiffies (without the lock)
 * @initial: the initial reference is part of the count
 * @tagged: the word says atomic
 * @busy: a grace period is under way, or its confirmations are being called, or
 *	it is starved
 * @promised_top: top bit of the callback that is in @more while starved
 * @promises: how often that has been promised
 * @accounted: its memory is charged to somebody, and must not be another's
 * @own: the grace period's own reference is part of the count
 * @releasing: some context is in charge of calling release
 * @running: release is being called at this moment
 *
 * This is all there is of a lazy reference until something happens to it, so it
 * is kept small, and what the common paths touch comes first and last.
 */
struct pcpuref_data {
	atomic_long_t		count;
	raw_spinlock_t		lock;
	refcount_t		pins;
	struct pcpuref		*ref;
	pcpuref_func_t		*release;
	const char		*name;
	const struct pcpuref_site *site;
	struct pcpuref_more	*more;

	u64			id;
	union {
		struct list_head	node;
		struct rcu_head		rcu;
	};
	struct llist_node	deferred;
	atomic_t		deferrals;
	atomic_t		reported;
	u32			created;

	u8			flags;
	u8			tags;
	bool			live;
	bool			force_atomic;
	bool			zero;
	bool			stuck;
	bool			hot;
	u8			samples;
	u16			sampled;
	u16			initial : 1;
	u16			tagged : 1;
	u16			busy : 1;
	u16			promised_top : 1;
	u16			own : 1;
	u16			releasing : 1;
	u16			running : 1;
	u16			promises : 8;
	u16			accounted : 1;
};

#define DEFERRED	BIT(30)
#define CREATED_SHIFT	24

/**
 * struct pcpuref_more - what a reference needs to change its state
 * @d: whose it is
 * @counters: the per-CPU counters, NULL when given back
 * @rcu: waits for a grace period, with @d->busy
 * @waiters: callers that sleep
 * @confirm: callbacks due after grace periods
 * @confirm_now: how often after this one
 * @confirm_next: and after the next
 * @life: number of the present life, from 1; 0 for one that began dead
 * @ended: lives whose count reached zero
 * @returned: lives whose release has returned
 * @batches: grace periods completed
 * @claimed: zeroes dealt with before the put that made them came to tell
 * @biased: BIAS is part of the count, and the counters are in use
 * @requester: who asked for the kill, or while live for the last switch
 * @killed_at: when it was killed, in ns of the monotonic clock; 0 if not killed
 * @work: calls release, with %PCPUREF_RELEASE_WORK
 */
struct pcpuref_more {
	struct pcpuref_data	*d;
	unsigned long __percpu	*counters;
	struct rcu_head		rcu;
	struct hlist_head	waiters;
	pcpuref_func_t		*confirm[CONFIRMS];
	u16			confirm_now[CONFIRMS];
	u16			confirm_next[CONFIRMS];

	unsigned int		life;
	unsigned int		ended;
	unsigned int		returned;
	unsigned int		batches;
	u16			claimed;
	bool			biased;
	unsigned long		requester;
	u64			killed_at;
	struct work_struct	work;
};

/* Where both are there from the beginning, they are one allocation. */
struct whole {
	struct pcpuref_data	d;
	struct pcpuref_more	more;
};

/*
 * What one callback of RCU serves: what needs the same grace period, which is
 * the one that the cookie stands for. Members are struct rcu_head, linked as RCU
 * itself would, with the function to call. Queued while RCU has its own head.
 */
struct batch {
	raw_spinlock_t		lock;
	bool			queued;
	unsigned int		nr;
	unsigned int		waits;		/* of these, not just to be freed */
	unsigned int		work;
	unsigned long		cookie;
	struct rcu_head		*first;
	struct rcu_head		*last;
	struct rcu_head		rcu;
};

/* Batches of one CPU; the newest may be open for more. */
#define BATCHES		16

struct gather {
	struct batch		batches[BATCHES];
	unsigned int		newest;
	unsigned int		waiting;	/* references, for @cookie */
	unsigned long		cookie;
	struct rcu_head		*taken;		/* by hurry_work, until it may be ended */
	struct rcu_head		*last_taken;
	struct rcu_head		*ready;		/* for @finish */
	struct work_struct	finish;
	unsigned long		begun;		/* grace periods, not of _sync calls, */
	unsigned long		ended;		/* and those that are seen to */
};

/* Data that nobody uses any more, with counters at zero if it has any. */
struct spares {
	struct rcu_head		*first;
	unsigned int		nr;
	unsigned int		low;	/* how few it were since the last look */
};

enum { BARE, WHOLE, KINDS_OF_SPARES };

/*
 * One CPU's part of the registry: what was initialised there, oldest first. And
 * what has been given back there.
 */
struct shard {
	raw_spinlock_t		lock;
	struct list_head	refs;
	u64			last;
	struct spares		spares[KINDS_OF_SPARES];
};

/* A caller that sleeps until a release has returned or a grace period is over. */
struct waiter {
	struct hlist_node	node;
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

/*
 * A pointer that is not there leaves room for the address of a function. To tell
 * one from the other, it is moved up by a bit, and the lowest set; the top bit,
 * which has no place then, is kept elsewhere.
 */
#define HIDDEN		1UL
#define TOP_BIT		(BITS_PER_LONG - 1)

static void *__pcpuref_hide(pcpuref_func_t *func)
{
	return (void *)((unsigned long)func << 1 | HIDDEN);
}

static pcpuref_func_t *__pcpuref_unhide(const void *hidden, bool top)
{
	return (pcpuref_func_t *)((unsigned long)hidden >> 1 |
				  (unsigned long)top << TOP_BIT);
}

static bool __pcpuref_top(pcpuref_func_t *func)
{
	return (unsigned long)func >> TOP_BIT;
}

/* The data of a reference, or NULL before init, and after exit. */
static __always_inline struct pcpuref_data *__pcpuref_data(const struct pcpuref *ref)
{
	/* Pairs, by the dependency, with the smp_store_release() in __pcpuref_init(). */
	struct pcpuref_data *d = READ_ONCE(ref->data);

	return unlikely((unsigned long)d & HIDDEN) ? NULL : d;
}

/*
 * The rest of @d. A lazy reference to which nothing has happened has none, and
 * NULL in @d->more. It is starved if something has to happen but there was no
 * memory for it: then a callback may be hidden there, which is promised.
 * Without the lock: pairs with the smp_store_release() in __pcpuref_bring().
 */
static struct pcpuref_more *__pcpuref_more(const struct pcpuref_data *d)
{
	struct pcpuref_more *x = READ_ONCE(d->more);

	return (unsigned long)x & HIDDEN ? NULL : x;
}

static bool __pcpuref_starved(const struct pcpuref_data *d)
{
	return (unsigned long)READ_ONCE(d->more) & HIDDEN;
}

static u8 __pcpuref_readers(const struct pcpuref_data *d)
{
	return READ_ONCE(d->tags) & __PCPUREF_READERS_TASKS;
}

static bool __pcpuref_allow_reinit(const struct pcpuref_data *d)
{
	return d->flags & (PCPUREF_INIT_ATOMIC | PCPUREF_INIT_DEAD | PCPUREF_ALLOW_REINIT);
}

/* --- What is seen from outside -------------------------------------------- */

#define EVENT_FORMAT \
	"event=%s name=%s id=%llu ref=%p release=%ps mode=%s->%s count=%ld sum=%ld since_kill=%lldus\n"

static __always_inline bool __pcpuref_logging(void)
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
static long __pcpuref_sum(const struct pcpuref_more *x)
{
	unsigned long sum = 0;
	int cpu;

	/* Possible, not online: an offline CPU's counter keeps its part. */
	if (x->counters)
		for_each_possible_cpu(cpu)
			sum += READ_ONCE(*per_cpu_ptr(x->counters, cpu));

	return (long)sum;
}

/* For a report also without the lock, when it says what was so a moment ago. */
static const char *__pcpuref_mode(const struct pcpuref_data *d)
{
	const struct pcpuref_more *x = __pcpuref_more(d);
	/* Without the lock the two may not fit together. */
	bool biased = x && data_race(x->biased);
	/* The same. */
	bool tagged = data_race(!!d->tagged);

	return !biased ? "atomic" : tagged ? "switching" : "percpu";
}

/* Likewise. */
static u64 __pcpuref_killed_at(const struct pcpuref_data *d)
{
	const struct pcpuref_more *x = __pcpuref_more(d);

	/* For a report: a kill on its way may or may not be in it. */
	return x ? data_race(x->killed_at) : 0;
}

static u64 __pcpuref_created_at(const struct pcpuref_data *d)
{
	return (u64)d->created << CREATED_SHIFT;
}

static bool __pcpuref_biased(const struct pcpuref_data *d)
{
	const struct pcpuref_more *x = __pcpuref_more(d);

	return x && x->biased;
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
	if (d->zero)
		return 0;
	return atomic_long_read(&d->count) - (__pcpuref_biased(d) ? BIAS : 0) - d->own;
}

/* Every step comes through here, for the log and for tracepoints alike. */
static noinline void __pcpuref_step_taken(const struct pcpuref_data *d, const char *what,
					  void (*trace)(const struct pcpuref_event *event),
					  const char *before, const char *after,
					  long sum, unsigned long caller)
{
	struct pcpuref_event event;

	lockdep_assert_held(&d->lock);

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
		.sum = !sum && __pcpuref_biased(d) ? __pcpuref_sum(d->more) : sum,
		.since_kill = __pcpuref_since_kill(__pcpuref_killed_at(d)),
		.caller = caller,
		.what = what,
	};
	if (trace)
		trace(&event);
	if (__pcpuref_logging())
		pr_info(EVENT_FORMAT, what, event.name, event.id, event.ref,
			event.release, before, after, event.count, event.sum,
			event.since_kill);
}

/*
 * @event: a word, which names the step and its tracepoint
 * @before, @after: NULL if the mode stays what it is
 */
#define __pcpuref_event(event, d, before, after, sum, caller)		\
do {									\
	bool __traced = trace_pcpuref_##event##_enabled();		\
									\
	if (unlikely(__traced || __pcpuref_logging()))			\
		__pcpuref_step_taken(d, #event,				\
				     __traced ? trace_pcpuref_##event : NULL, \
				     before, after, sum, caller);	\
} while (0)

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

	if (!READ_ONCE(d->ref) || (atomic_fetch_or(BIT(what), &d->reported) & BIT(what)))
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
		.since_kill = __pcpuref_since_kill(__pcpuref_killed_at(d)),
		.caller = caller,
		.what = misuse_text[what],
	});
}

/*
 * Of a reference that has no data, or another's: what init was given, as far as
 * that can be told.
 */
static pcpuref_func_t *__pcpuref_gone_release(struct pcpuref *ref)
{
	const struct pcpuref_data *d;
	pcpuref_func_t *release;

	/* Should it be another's after all: until the last look at it. */
	preempt_disable_notrace();
	d = READ_ONCE(ref->data);
	if ((unsigned long)d & HIDDEN)
		release = __pcpuref_unhide(d, READ_ONCE(ref->word) & RELEASE_TOP);
	else
		release = d ? d->release : NULL;
	preempt_enable_notrace();

	return release;
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
		.release = __pcpuref_gone_release(ref),
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

/* --- Memory ---------------------------------------------------------------- */

/*
 * What exits is freed a grace period later, and who initialises and exits much
 * has much on its way. So it is kept for the next init for a second or two, up to
 * a limit: that saves both allocations. Not for what the caller is charged for,
 * and not with KASAN, which is to see each use after free.
 */
#define SPARES_BYTES	(2UL << 20)

static unsigned int spares_max[KINDS_OF_SPARES];

static void __pcpuref_tidy(struct work_struct *work);
static DECLARE_DELAYED_WORK(tidy_work, __pcpuref_tidy);

/* What is inside of @d, or NULL if @d is all there is. */
static struct pcpuref_more *__pcpuref_inner(struct pcpuref_data *d)
{
	struct pcpuref_more *x = &container_of(d, struct whole, d)->more;

	return d->more == x ? x : NULL;
}

static size_t __pcpuref_whole_size(unsigned int flags)
{
	return flags & PCPUREF_RELEASE_WORK ? sizeof(struct whole) :
					      offsetof(struct whole, more.work);
}

static struct pcpuref_data *__pcpuref_take_spare(int kind)
{
	struct rcu_head *head = NULL;
	struct spares *spares;
	struct shard *shard;
	unsigned long flags;

	local_irq_save(flags);
	shard = this_cpu_ptr(&registry);
	spares = &shard->spares[kind];
	/* A look before the lock: most have none, and init is not to wait for that. */
	if (READ_ONCE(spares->nr)) {
		raw_spin_lock(&shard->lock);
		head = spares->first;
		if (head) {
			spares->first = head->next;
			WRITE_ONCE(spares->nr, spares->nr - 1);
			WRITE_ONCE(spares->low, min(spares->low, spares->nr));
		}
		raw_spin_unlock(&shard->lock);
	}
	local_irq_restore(flags);

	return head ? container_of(head, struct pcpuref_data, rcu) : NULL;
}

/* As what it can be used again, if at all. Then its counters are cleared. */
static int __pcpuref_kind_of_spare(struct pcpuref_data *d)
{
	struct pcpuref_more *x = __pcpuref_inner(d);
	int cpu;

	if (d->accounted || (d->flags & PCPUREF_RELEASE_WORK))
		return KINDS_OF_SPARES;
	if (!x)
		return __pcpuref_more(d) ? KINDS_OF_SPARES : BARE;
	if (!x->counters)
		return KINDS_OF_SPARES;
	for_each_possible_cpu(cpu)
		if (*per_cpu_ptr(x->counters, cpu))
			*per_cpu_ptr(x->counters, cpu) = 0;
	return WHOLE;
}

static void __pcpuref_free_parts(struct pcpuref_data *d)
{
	struct pcpuref_more *x = __pcpuref_more(d);

	if (x)
		free_percpu(x->counters);
	if (x != __pcpuref_inner(d))
		kfree(x);
	kfree(d);
}

/*
 * Those linked by their @rcu, which nobody can be using any more, nor their
 * counters: for this CPU's next inits, or to be freed.
 */
static void __pcpuref_give_back(struct rcu_head *head)
{
	/* The last of them for what cannot be kept. */
	struct rcu_head *first[KINDS_OF_SPARES + 1] = { }, *last[KINDS_OF_SPARES], *next;
	unsigned int nr[KINDS_OF_SPARES + 1] = { };
	struct shard *shard;
	unsigned long flags;
	int kind;

	for (; head; head = next) {
		next = head->next;
		kind = __pcpuref_kind_of_spare(container_of(head, struct pcpuref_data, rcu));
		head->next = first[kind];
		first[kind] = head;
		if (kind < KINDS_OF_SPARES && !nr[kind]++)
			last[kind] = head;
	}

	local_irq_save(flags);
	shard = this_cpu_ptr(&registry);
	raw_spin_lock(&shard->lock);
	for (kind = 0; kind < KINDS_OF_SPARES; kind++) {
		struct spares *spares = &shard->spares[kind];

		if (!nr[kind] || spares->nr + nr[kind] > spares_max[kind])
			continue;
		last[kind]->next = spares->first;
		spares->first = first[kind];
		WRITE_ONCE(spares->nr, spares->nr + nr[kind]);
		first[kind] = NULL;
	}
	raw_spin_unlock(&shard->lock);
	local_irq_restore(flags);

	if (!delayed_work_pending(&tidy_work))
		schedule_delayed_work(&tidy_work, HZ);
	for (kind = 0; kind <= KINDS_OF_SPARES; kind++) {
		for (head = first[kind]; head; head = next) {
			next = head->next;
			__pcpuref_free_parts(container_of(head, struct pcpuref_data, rcu));
		}
	}
}

/* So many at a time, since interrupts are off. */
#define SPARES_AT_ONCE	64

/* Take up to *@n, but no more than that. */
static struct rcu_head *__pcpuref_take_spares(struct shard *shard, struct spares *spares,
					      unsigned int *n)
{
	unsigned int i, most = min3(*n, spares->nr, (unsigned int)SPARES_AT_ONCE);
	struct rcu_head *taken = NULL, *head;

	lockdep_assert_held(&shard->lock);
	for (i = 0; i < most; i++) {
		head = spares->first;
		spares->first = head->next;
		head->next = taken;
		taken = head;
	}
	WRITE_ONCE(spares->nr, spares->nr - most);
	*n -= most;
	return taken;
}

/* Away with what has not been needed for a while; everything if @all. */
static bool __pcpuref_free_spares(struct shard *shard, struct spares *spares, bool all)
{
	unsigned int n = all ? UINT_MAX : READ_ONCE(spares->low);
	struct rcu_head *taken, *head;
	bool left;

	do {
		raw_spin_lock_irq(&shard->lock);
		taken = __pcpuref_take_spares(shard, spares, &n);
		WRITE_ONCE(spares->low, spares->nr);
		left = spares->nr;
		raw_spin_unlock_irq(&shard->lock);

		for (head = taken; head; head = taken) {
			taken = head->next;
			__pcpuref_free_parts(container_of(head, struct pcpuref_data, rcu));
			cond_resched();
		}
	} while (n && left);

	return left;
}

static bool __pcpuref_tidy_all(bool all)
{
	bool left = false;
	int cpu, kind;

	for_each_possible_cpu(cpu) {
		struct shard *shard = per_cpu_ptr(&registry, cpu);

		for (kind = 0; kind < KINDS_OF_SPARES; kind++)
			left |= __pcpuref_free_spares(shard, &shard->spares[kind], all);
	}
	return left;
}

static void __pcpuref_tidy(struct work_struct *work)
{
	if (__pcpuref_tidy_all(false))
		schedule_delayed_work(&tidy_work, HZ);
}

static void __pcpuref_init_spares(void)
{
	size_t percpu = num_possible_cpus() * sizeof(long);

	if (IS_ENABLED(CONFIG_KASAN))
		return;
	spares_max[BARE] = SPARES_BYTES / sizeof(struct pcpuref_data);
	spares_max[WHOLE] = SPARES_BYTES / (sizeof(struct whole) + percpu);
}

/* --- Grace periods --------------------------------------------------------- */

/*
 * A grace period serves any number of references, but each callback of RCU has
 * its price. So those that a CPU asks for while the same grace period will do
 * share one, up to what a callback may do without delaying others.
 *
 * A mass of references that are killed at once is worth an expedited grace
 * period: its cost is one for all, of all CPUs, and they are spared the wait.
 */
#define HURRY		64

static struct gather __percpu *gathers;

static void __pcpuref_hurry_work(struct work_struct *work);
static DECLARE_WORK(hurry_work, __pcpuref_hurry_work);
static void __pcpuref_finish_work(struct work_struct *work);

/*
 * The end of a switch looks at the counter of each possible CPU. So does freeing,
 * but faster; without counters it is little work.
 */
static unsigned int work_of_end, work_of_counters;
#define WORK_OF_FREEING	1
#define WORK_AT_ONCE	2048

static void __pcpuref_free(struct rcu_head *head)
{
	head->next = NULL;
	__pcpuref_give_back(head);
}

static unsigned int __pcpuref_work_of(struct rcu_head *head)
{
	struct pcpuref_data *d;

	if (head->func != __pcpuref_free)
		return work_of_end;
	d = container_of(head, struct pcpuref_data, rcu);
	return __pcpuref_more(d) ? work_of_counters : WORK_OF_FREEING;
}

/* See to many, but not too many at a time. Return: the rest. */
static struct rcu_head *__pcpuref_after_some(struct rcu_head *head)
{
	struct rcu_head *unused = NULL, *next;
	unsigned int work = 0;

	for (; head && work < WORK_AT_ONCE; head = next) {
		next = head->next;
		work += __pcpuref_work_of(head);
		if (head->func == __pcpuref_free) {
			head->next = unused;
			unused = head;
		} else {
			head->func(head);
		}
	}
	if (unused)
		__pcpuref_give_back(unused);
	return head;
}

static struct rcu_head *__pcpuref_take(struct batch *batch)
{
	lockdep_assert_held(&batch->lock);
	if (!batch->nr)
		return NULL;
	WRITE_ONCE(batch->nr, 0);
	batch->waits = 0;
	batch->work = 0;
	return batch->first;
}

/* What has had its grace period, from @first to @last. */
static void __pcpuref_leave_to_work(struct gather *gather, struct rcu_head *first,
				    struct rcu_head *last)
{
	struct rcu_head *ready;

	do {
		ready = READ_ONCE(gather->ready);
		last->next = ready;
		/* Fully ordered: pairs with the xchg() in __pcpuref_finish_work(). */
	} while (cmpxchg(&gather->ready, ready, first) != ready);
	queue_work(release_wq, &gather->finish);
}

static void __pcpuref_after_batch(struct rcu_head *head)
{
	struct batch *batch = container_of(head, struct batch, rcu);
	struct rcu_head *first = NULL, *last = NULL;
	unsigned long flags;
	bool again;

	/*
	 * It may be early for what has joined since another has taken the rest. And
	 * RCU need not number grace periods for callbacks as it does cookies.
	 */
	raw_spin_lock_irqsave(&batch->lock, flags);
	again = batch->nr && !pcpuref_rcu_passed(batch->cookie);
	batch->queued = again;
	if (!again) {
		last = batch->last;
		first = __pcpuref_take(batch);
	}
	raw_spin_unlock_irqrestore(&batch->lock, flags);

	if (again)
		pcpuref_call_rcu_sched(&batch->rcu, __pcpuref_after_batch);
	first = __pcpuref_after_some(first);
	if (first)
		__pcpuref_leave_to_work(raw_cpu_ptr(gathers), first, last);
}

/*
 * Join @batch if it waits for the same grace period and has room, or make it wait
 * for that.
 */
static bool __pcpuref_join(struct batch *batch, struct rcu_head *head,
			   unsigned long cookie, unsigned int most)
{
	bool joined, queue = false;

	raw_spin_lock(&batch->lock);
	joined = !batch->nr || (batch->cookie == cookie && batch->work < most);
	if (joined) {
		queue = !batch->queued;
		batch->queued = true;
		batch->cookie = cookie;
		head->next = NULL;
		if (batch->nr)
			batch->last->next = head;
		else
			batch->first = head;
		batch->last = head;
		/* Pairs with the READ_ONCE() in __pcpuref_take_all(). */
		WRITE_ONCE(batch->nr, batch->nr + 1);
		batch->waits += head->func != __pcpuref_free;
		batch->work += __pcpuref_work_of(head);
	}
	raw_spin_unlock(&batch->lock);

	if (queue)
		pcpuref_call_rcu_sched(&batch->rcu, __pcpuref_after_batch);
	return joined;
}

static bool __pcpuref_gather(struct rcu_head *head, rcu_callback_t func)
{
	struct gather *gather = this_cpu_ptr(gathers);
	bool waits = func != __pcpuref_free;
	struct batch *newest, *next;
	unsigned long cookie;
	bool joined;

	/* Ordered: what was stored before, readers of that grace period see. */
	if (!pcpuref_rcu_cookie(&cookie))
		return false;

	head->func = func;
	newest = &gather->batches[gather->newest];
	next = &gather->batches[(gather->newest + 1) % BATCHES];
	joined = __pcpuref_join(newest, head, cookie, WORK_AT_ONCE);
	if (!joined) {
		joined = __pcpuref_join(next, head, cookie, WORK_AT_ONCE);
		if (joined)
			gather->newest = next - gather->batches;
		else
			joined = __pcpuref_join(newest, head, cookie, UINT_MAX);
	}
	if (gather->cookie != cookie) {
		gather->cookie = cookie;
		gather->waiting = 0;
	}
	gather->waiting += waits;
	if (waits && gather->waiting == HURRY)
		queue_work(release_wq, &hurry_work);
	return joined;
}

/* Call @func after a grace period that begins from now on. */
static void __pcpuref_call_after_sched(struct rcu_head *head, rcu_callback_t func)
{
	unsigned long flags;

	local_irq_save(flags);
	if (!__pcpuref_gather(head, func))
		pcpuref_call_rcu_sched(head, func);
	local_irq_restore(flags);
}

/*
 * Readers that can be preempted have a grace period of their own. One that waits
 * for these need not wait for what cannot be preempted, so the other kind follows.
 */
static void __pcpuref_free_after_tasks(struct rcu_head *head)
{
	__pcpuref_call_after_sched(head, __pcpuref_free);
}

static void __pcpuref_unpin(struct pcpuref_data *d)
{
	if (!refcount_dec_and_test(&d->pins))
		return;
	if (unlikely(__pcpuref_readers(d)))
		pcpuref_call_rcu_tasks(&d->rcu, __pcpuref_free_after_tasks);
	else
		__pcpuref_call_after_sched(&d->rcu, __pcpuref_free);
}

static void __pcpuref_pin(struct pcpuref_data *d)
{
	refcount_inc(&d->pins);
}

/* The same for a caller that can sleep. */
static void __pcpuref_synchronize(bool tasks)
{
	if (tasks)
		pcpuref_synchronize_rcu_tasks();
	synchronize_rcu_expedited();
}

/* Take what waits on one CPU, if it is not only to be freed. Return: how many. */
static unsigned int __pcpuref_take_all(struct gather *gather)
{
	unsigned int i, waits = 0;
	struct rcu_head *first;
	unsigned long flags;

	gather->taken = NULL;
	for (i = 0; i < BATCHES; i++) {
		struct batch *batch = &gather->batches[i];

		/* What comes just now has its callback. */
		if (!READ_ONCE(batch->nr))
			continue;
		raw_spin_lock_irqsave(&batch->lock, flags);
		waits += batch->waits;
		first = batch->waits ? __pcpuref_take(batch) : NULL;
		if (first) {
			if (!gather->taken)
				gather->last_taken = batch->last;
			batch->last->next = gather->taken;
			gather->taken = first;
		}
		raw_spin_unlock_irqrestore(&batch->lock, flags);
	}
	return waits;
}

/* One expedited grace period for all that waits. */
static void __pcpuref_hurry_work(struct work_struct *work)
{
	struct gather *gather;
	unsigned int waits = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		waits += __pcpuref_take_all(per_cpu_ptr(gathers, cpu));
		cond_resched();
	}
	if (!waits)
		return;
	synchronize_rcu_expedited();
	for_each_possible_cpu(cpu) {
		gather = per_cpu_ptr(gathers, cpu);
		if (gather->taken)
			__pcpuref_leave_to_work(gather, gather->taken, gather->last_taken);
	}
	/* What has come late, without keeping who waits for this one. */
	if (waits >= HURRY)
		queue_work(release_wq, &hurry_work);
}

/* The work that this takes is shared by as many CPUs as it came from. */
static void __pcpuref_finish_work(struct work_struct *work)
{
	struct gather *gather = container_of(work, struct gather, finish);

	/* Fully ordered: pairs with the cmpxchg() in __pcpuref_leave_to_work(). */
	struct rcu_head *ready = xchg(&gather->ready, NULL);

	while (ready) {
		/* Callbacks find softirqs off, as in an RCU callback. */
		local_bh_disable();
		ready = __pcpuref_after_some(ready);
		local_bh_enable();
		cond_resched();
	}
}

/* --- Data ----------------------------------------------------------------- */

/* Aligned so that the tags fit below the address. */
static unsigned long __percpu *__pcpuref_alloc_counters(gfp_t gfp)
{
	return (unsigned long __percpu *)
		__alloc_percpu_gfp(sizeof(long), __PCPUREF_TAGS + 1, gfp);
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
	d = __pcpuref_data(ref);
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

static void __pcpuref_release_work(struct work_struct *work);

static void __pcpuref_init_more(struct pcpuref_more *x, struct pcpuref_data *d)
{
	x->d = d;
	x->counters = NULL;
	INIT_HLIST_HEAD(&x->waiters);
	memset(x->confirm_now, 0, sizeof(x->confirm_now));
	memset(x->confirm_next, 0, sizeof(x->confirm_next));
	x->ended = 0;
	x->returned = 0;
	x->batches = 0;
	x->claimed = 0;
	x->biased = false;
	x->requester = 0;
	x->killed_at = 0;
	x->life = !(d->flags & PCPUREF_INIT_DEAD);
	if (d->flags & PCPUREF_RELEASE_WORK)
		INIT_WORK(&x->work, __pcpuref_release_work);
}

/*
 * Let @d have @x if it has none yet. What has been promised is due then.
 *
 * Return: what is not needed.
 */
static struct pcpuref_more *__pcpuref_bring(struct pcpuref_data *d, struct pcpuref_more *x)
{
	void *promise = d->more;

	lockdep_assert_held(&d->lock);

	if (!x || __pcpuref_more(d))
		return x;
	__pcpuref_init_more(x, d);
	if (!d->live)
		x->killed_at = ktime_get_mono_fast_ns();
	if (__pcpuref_starved(d))
		d->busy = false;
	if ((unsigned long)promise > HIDDEN) {
		x->confirm[0] = __pcpuref_unhide(promise, d->promised_top);
		x->confirm_next[0] = d->promises;
	}
	/* Pairs with the READ_ONCE() in __pcpuref_more(). */
	smp_store_release(&d->more, x);
	return NULL;
}

/*
 * The same as __pcpuref_lock() for a request that may need more than a lazy
 * reference has. If there is no memory, or no way to allocate any here, the
 * request is recorded: see __pcpuref_settle().
 */
static struct pcpuref_data *__pcpuref_lock_for(struct pcpuref *ref, unsigned long *flags,
					       gfp_t gfp)
{
	struct pcpuref_data *d = __pcpuref_lock(ref, flags);
	struct pcpuref_more *x;

	while (unlikely(d && !__pcpuref_more(d))) {
		__pcpuref_unlock(d, *flags);
		x = NULL;
		if (gfpflags_allow_blocking(gfp) || pcpuref_can_allocate())
			x = kmalloc(sizeof(*x), gfp);
		d = __pcpuref_lock(ref, flags);
		/* Without: its turn comes. */
		if (!x)
			break;
		if (d)
			x = __pcpuref_bring(d, x);
		if (!x)
			break;
		/* Somebody else has brought it meanwhile, or it has exited. */
		if (d)
			__pcpuref_unlock(d, *flags);
		kfree(x);
		d = __pcpuref_lock(ref, flags);
	}
	return d;
}

/* For callers that can, and cannot, sleep. */
#define MORE_TASK	(GFP_KERNEL | __GFP_NOFAIL)
#define MORE_ATOMIC	(GFP_ATOMIC | __GFP_NOWARN)

static void __pcpuref_tag(struct pcpuref_data *d, unsigned long tags)
{
	struct pcpuref_more *x = __pcpuref_more(d);

	lockdep_assert_held(&d->lock);
	d->tagged = !!(tags & __PCPUREF_ATOMIC);
	/* Pairs with the READ_ONCE() in __pcpuref_add(): one store, all tags. */
	WRITE_ONCE(d->ref->word, (x ? (unsigned long)x->counters : 0) | tags | d->tags);
}

/* --- Waiters -------------------------------------------------------------- */

static void __pcpuref_wake(struct pcpuref_data *d, struct waiter *w, int result)
{
	lockdep_assert_held(&d->lock);
	hlist_del_init(&w->node);
	w->result = result;
	/* The last touch: the waiter's frame may be gone after this. */
	complete(&w->done);
}

/* Wake those whose condition has come true. */
static void __pcpuref_wake_due(struct pcpuref_data *d)
{
	struct pcpuref_more *x = d->more;
	struct hlist_node *next;
	struct waiter *w;

	lockdep_assert_held(&d->lock);
	hlist_for_each_entry_safe(w, next, &x->waiters, node) {
		unsigned int now = w->for_release ? x->returned : x->batches;

		if ((int)(now - w->target) >= 0)
			__pcpuref_wake(d, w, 0);
	}
}

/* Wake those for whom it never will. */
static void __pcpuref_wake_failed(struct pcpuref_data *d, bool for_release, int result)
{
	struct pcpuref_more *x = __pcpuref_more(d);
	struct hlist_node *next;
	struct waiter *w;

	lockdep_assert_held(&d->lock);
	if (!x)
		return;
	hlist_for_each_entry_safe(w, next, &x->waiters, node)
		if (w->for_release == for_release &&
		    (!for_release || (int)(x->ended - w->target) < 0))
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
	hlist_add_head(&w->node, &d->more->waiters);
	__pcpuref_pin(d);
}

static int __pcpuref_wait_end(struct pcpuref_data *d, struct waiter *w,
			      unsigned long timeout)
{
	unsigned long flags;

	if (!wait_for_completion_timeout(&w->done, timeout)) {
		raw_spin_lock_irqsave(&d->lock, flags);
		if (!hlist_unhashed(&w->node)) {
			hlist_del_init(&w->node);
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
	struct pcpuref_more *x = d->more;
	unsigned long flags;

	raw_spin_lock_irqsave(&d->lock, flags);
	while (d->ref && x->returned != x->ended) {
		struct pcpuref *ref = d->ref;

		d->running = true;
		__pcpuref_event(release, d, NULL, NULL, 0, 0);
		raw_spin_unlock_irqrestore(&d->lock, flags);

		/* From here on @ref may be reinitialised, exited or freed. */
		d->release(ref);

		raw_spin_lock_irqsave(&d->lock, flags);
		d->running = false;
		x->returned++;
		__pcpuref_wake_due(d);
	}
	d->releasing = false;
	raw_spin_unlock_irqrestore(&d->lock, flags);
	__pcpuref_unpin(d);
}

static void __pcpuref_release_work(struct work_struct *work)
{
	__pcpuref_release(container_of(work, struct pcpuref_more, work)->d);
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
	d->more->ended++;
	if (d->releasing)
		return 0;
	d->releasing = true;
	__pcpuref_pin(d);
	return TODO_RELEASE;
}

/* A put came to zero and holds nothing any more. */
static unsigned int __pcpuref_reached_zero(struct pcpuref_data *d, unsigned long caller)
{
	struct pcpuref_more *x = __pcpuref_more(d);

	lockdep_assert_held(&d->lock);

	if (x && x->claimed) {
		x->claimed--;
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
		return __pcpuref_leak(d, EXCESS_PUT, new, d->more->requester);
	return __pcpuref_mark_zero(d, d->more->requester);
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

static void __pcpuref_defer(struct pcpuref_data *d, int zeroes);

/*
 * There is something to be done, and no memory for it, nor a way to get some
 * here. A work item brings it; until then requests are recorded.
 */
static void __pcpuref_starve(struct pcpuref_data *d)
{
	lockdep_assert_held(&d->lock);
	if (!d->more)
		WRITE_ONCE(d->more, (struct pcpuref_more *)HIDDEN);
	d->busy = true;
	__pcpuref_defer(d, 0);
}

#define PROMISES_MAX	255

/* In place of a slot for @confirm. One is all that there is room for. */
static bool __pcpuref_promise(struct pcpuref_data *d, pcpuref_func_t *confirm)
{
	lockdep_assert_held(&d->lock);
	if ((unsigned long)d->more > HIDDEN &&
	    (__pcpuref_unhide(d->more, d->promised_top) != confirm ||
	     d->promises == PROMISES_MAX))
		return false;
	WRITE_ONCE(d->more, __pcpuref_hide(confirm));
	d->promised_top = __pcpuref_top(confirm);
	d->promises++;
	return true;
}

/* Remember @confirm for the next grace period. False if there is no room. */
static bool __pcpuref_add_confirm(struct pcpuref_data *d, pcpuref_func_t *confirm)
{
	struct pcpuref_more *x = __pcpuref_more(d);
	int i, room = -1;

	lockdep_assert_held(&d->lock);

	if (!x)
		return __pcpuref_promise(d, confirm);
	for (i = 0; i < CONFIRMS; i++) {
		if (!x->confirm_now[i] && !x->confirm_next[i])
			room = i;
		else if (x->confirm[i] == confirm)
			break;
	}
	if (i == CONFIRMS)
		i = room;
	if (i < 0 || x->confirm_next[i] == U16_MAX)
		return false;

	x->confirm[i] = confirm;
	x->confirm_next[i]++;
	return true;
}

static bool __pcpuref_shift_confirms(struct pcpuref_more *x)
{
	bool any = false;
	int i;

	lockdep_assert_held(&x->d->lock);

	for (i = 0; i < CONFIRMS; i++) {
		if (!x->confirm_next[i])
			continue;
		x->confirm_now[i] = x->confirm_next[i];
		x->confirm_next[i] = 0;
		any = true;
	}
	return any;
}

/* From atomic to per-CPU mode, which needs no grace period. */
static void __pcpuref_to_percpu(struct pcpuref_data *d)
{
	struct pcpuref_more *x = d->more;

	lockdep_assert_held(&d->lock);

	/* The counters are zero since allocation or __pcpuref_empty(). */
	atomic_long_add(BIAS, &d->count);
	x->biased = true;
	d->tagged = false;
	/*
	 * Whoever sees the untagged word sees zeroed counters and the bias.
	 * Pairs with the address dependency in __pcpuref_add().
	 */
	smp_store_release(&d->ref->word, (unsigned long)x->counters | __pcpuref_readers(d));
	__pcpuref_event(switch, d, "atomic", "percpu", 0, x->requester);
}

/*
 * Take what steps are possible towards what is wanted.
 *
 * Return: what the caller must hand to __pcpuref_run() after unlocking.
 */
static unsigned int __pcpuref_settle(struct pcpuref_data *d)
{
	struct pcpuref_more *x = __pcpuref_more(d);

	lockdep_assert_held(&d->lock);

	if (d->busy || !d->ref)
		return 0;

	if (unlikely(!x) && (!d->live || d->more)) {
		__pcpuref_starve(d);
		return 0;
	}

	if (x && (__pcpuref_shift_confirms(x) || (x->biased && d->tagged))) {
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
	if (!d->force_atomic && x && x->counters && !READ_ONCE(d->stuck))
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
	struct pcpuref_more *x = d->more;
	long new;

	lockdep_assert_held(&d->lock);

	new = atomic_long_add_return(sum - BIAS, &d->count);
	x->biased = false;
	/* The machine holds a reference, so less than one is too few. */
	if (unlikely(READ_ONCE(d->stuck) || new < 1)) {
		__pcpuref_leak(d, EXCESS_PUT, new, x->requester);
		/* Also if it stuck when it was not biased. */
		__pcpuref_stick(d, false);
	}
	if (!__pcpuref_allow_reinit(d)) {
		unused = x->counters;
		x->counters = NULL;
		__pcpuref_tag(d, READ_ONCE(d->ref->word) & __PCPUREF_TAGS);
	}
	__pcpuref_event(switch, d, "switching", "atomic", sum, x->requester);
	return unused;
}

/*
 * Take out what is in the counters, which no CPU uses any more. With many CPUs
 * this takes long, so it is done without the lock: @busy keeps everybody else
 * from writing them. Who reads them meanwhile gets a snapshot, as ever.
 */
static long __pcpuref_empty(struct pcpuref_more *x)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		unsigned long *counter = per_cpu_ptr(x->counters, cpu);
		unsigned long n = READ_ONCE(*counter);

		if (n)
			WRITE_ONCE(*counter, 0);
		sum += n;
	}
	return (long)sum;
}

static void __pcpuref_run(struct pcpuref_data *d, unsigned int todo, bool sync);

/* A grace period that __pcpuref_settle() asked for is over. Consumes its pin. */
static void __pcpuref_grace_period_over(struct pcpuref_data *d)
{
	unsigned long __percpu *unused = NULL;
	struct pcpuref_more *x = d->more;
	unsigned int todo = 0;
	unsigned long flags;
	long sum = 0;
	int i;

	/* Written only by the end of a grace period, and while there is none. */
	if (x->biased)
		sum = __pcpuref_empty(x);

	raw_spin_lock_irqsave(&d->lock, flags);
	if (x->biased && d->ref)
		unused = __pcpuref_fold(d, sum);
	for (i = 0; d->ref && i < CONFIRMS; i++) {
		while (d->ref && x->confirm_now[i]) {
			pcpuref_func_t *confirm = x->confirm[i];
			struct pcpuref *ref = d->ref;

			x->confirm_now[i]--;
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
	x->batches++;
	todo |= __pcpuref_settle(d);
	__pcpuref_wake_due(d);
	raw_spin_unlock_irqrestore(&d->lock, flags);

	free_percpu(unused);
	__pcpuref_run(d, todo, false);
	__pcpuref_unpin(d);
}

static void __pcpuref_grace_period_passed(struct rcu_head *head)
{
	__pcpuref_grace_period_over(container_of(head, struct pcpuref_more, rcu)->d);
	/* After what it led to has begun: pairs with __pcpuref_in_flight(). */
	smp_mb();
	this_cpu_inc(gathers->ended);
}

static void __pcpuref_sched_after_tasks(struct rcu_head *head)
{
	__pcpuref_call_after_sched(head, __pcpuref_grace_period_passed);
}

/*
 * Do what settling left to be done without the lock. With @sync the caller may
 * sleep, and sees the grace period through.
 */
static void __pcpuref_run(struct pcpuref_data *d, unsigned int todo, bool sync)
{
	bool expedite = sync && (todo & TODO_GRACE_PERIOD);

	if ((todo & TODO_GRACE_PERIOD) && !expedite) {
		this_cpu_inc(gathers->begun);
		if (unlikely(__pcpuref_readers(d)))
			pcpuref_call_rcu_tasks(&d->more->rcu, __pcpuref_sched_after_tasks);
		else
			__pcpuref_call_after_sched(&d->more->rcu,
						   __pcpuref_grace_period_passed);
	}

	if (todo & TODO_RELEASE) {
		if (d->flags & PCPUREF_RELEASE_WORK)
			queue_work(release_wq, &d->more->work);
		else
			__pcpuref_release(d);
	}

	if (expedite) {
		__pcpuref_synchronize(__pcpuref_readers(d));
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
static void __pcpuref_defer(struct pcpuref_data *d, int zeroes)
{
	int old = atomic_read(&d->deferrals);

	/*
	 * Fully ordered, also when it finds it listed: then what went before is
	 * seen by __pcpuref_undefer(), whose atomic_xchg() this pairs with.
	 */
	while (!atomic_try_cmpxchg(&d->deferrals, &old, (old + zeroes) | DEFERRED))
		;
	if ((old & DEFERRED) || !refcount_inc_not_zero(&d->pins))
		return;
	if (IS_ENABLED(CONFIG_IRQ_WORK)) {
		llist_add(&d->deferred, this_cpu_ptr(&deferred_list));
		pcpuref_irq_work_queue(this_cpu_ptr(&deferred_work));
	} else {
		llist_add(&d->deferred, &hot_list);
		schedule_work(&hot_work);
	}
}

/* Off the list: do what an NMI has left behind. */
static void __pcpuref_undefer(struct pcpuref_data *d)
{
	unsigned int todo = 0;
	unsigned long flags;
	int zeroes;

	/* Pairs with the atomic_try_cmpxchg() in __pcpuref_defer(). */
	zeroes = atomic_xchg(&d->deferrals, 0) & ~DEFERRED;

	raw_spin_lock_irqsave(&d->lock, flags);
	while (zeroes--)
		todo |= __pcpuref_reached_zero(d, _THIS_IP_);
	if (READ_ONCE(d->stuck))
		__pcpuref_wake_failed(d, true, -ENOTRECOVERABLE);
	/* Somebody may have brought what it was starved of, and left it at that. */
	todo |= __pcpuref_settle(d);
	raw_spin_unlock_irqrestore(&d->lock, flags);

	__pcpuref_run(d, todo, false);
}

static bool __pcpuref_wants_memory(const struct pcpuref_data *d)
{
	return READ_ONCE(d->hot) || __pcpuref_starved(d);
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
		    (__pcpuref_wants_memory(d) &&
		     !(atomic_fetch_or(DEFERRED, &d->deferrals) & DEFERRED))) {
			llist_add(&d->deferred, &hot_list);
			schedule_work(&hot_work);
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

static void __pcpuref_sample(struct pcpuref_data *d)
{
	u16 now = jiffies;
	u16 sampled = READ_ONCE(d->sampled);
	u8 samples = READ_ONCE(d->samples) + 1;

	/* A failed allocation has put it into the future, by a second. */
	if ((u16)(sampled - now - 1) < HZ || READ_ONCE(d->force_atomic) || !READ_ONCE(d->live))
		return;
	if ((u16)(now - sampled) > LAZY_WINDOW) {
		WRITE_ONCE(d->sampled, now);
		samples = 1;
	}
	/* Marked, but not atomic: a sample that gets lost comes again. */
	WRITE_ONCE(d->samples, samples);
	if (samples < LAZY_SAMPLES)
		return;
	WRITE_ONCE(d->samples, 0);
	WRITE_ONCE(d->hot, true);
	__pcpuref_defer(d, 0);
}

/* Nothing to see to in a get compiled for @readers? Mostly so. */
static __always_inline bool __pcpuref_is_usual(struct pcpuref *ref, u8 readers)
{
	unsigned long word = READ_ONCE(ref->word);

	return likely((word & __PCPUREF_READERS_TASKS) == readers) &&
	       (likely(!__pcpuref_is_lazy(word)) ||
		this_cpu_inc_return(lazy_gets) % LAZY_SAMPLE);
}

/* If not. Caller has preemption disabled since it found @d. */
static void __pcpuref_attend(struct pcpuref_data *d, u8 readers, unsigned long caller)
{
	/* Counted right: the tag kept it from the counters. But slowly. */
	if (__pcpuref_readers(d) != readers)
		__pcpuref_misuse(d, MIXED_READERS, atomic_long_read(&d->count), caller);
	else
		__pcpuref_sample(d);
}

/* Give a lazy reference its counters, and a starved one what it waits for. */
static void __pcpuref_promote(struct pcpuref_data *d)
{
	unsigned long __percpu *counters = NULL;
	struct pcpuref_more *x = NULL;
	bool hot = READ_ONCE(d->hot);
	unsigned int todo = 0;
	unsigned long flags;

	if (!__pcpuref_more(d))
		x = kmalloc(sizeof(*x), __pcpuref_starved(d) ? MORE_TASK :
							       GFP_KERNEL | __GFP_NOWARN);
	if (hot)
		counters = __pcpuref_alloc_counters(GFP_KERNEL | __GFP_NOWARN);

	raw_spin_lock_irqsave(&d->lock, flags);
	if (hot)
		WRITE_ONCE(d->hot, false);
	x = __pcpuref_bring(d, x);
	if (!counters || !__pcpuref_more(d)) {
		if (hot)
			WRITE_ONCE(d->sampled, (u16)(jiffies + HZ));
	} else if (d->ref && (d->tags & __PCPUREF_LAZY) && !d->force_atomic &&
		   (d->live || __pcpuref_allow_reinit(d))) {
		WRITE_ONCE(d->tags, d->tags & ~__PCPUREF_LAZY);
		swap(d->more->counters, counters);
		__pcpuref_tag(d, READ_ONCE(d->ref->word) & __PCPUREF_TAGS);
	}
	/* While it is busy the word stays as it is, and settles later. */
	todo = __pcpuref_settle(d);
	raw_spin_unlock_irqrestore(&d->lock, flags);

	kfree(x);
	free_percpu(counters);
	__pcpuref_run(d, todo, false);
}

static void __pcpuref_hot_work(struct work_struct *work)
{
	struct llist_node *list = llist_del_all(&hot_list);
	struct pcpuref_data *d, *next;

	llist_for_each_entry_safe(d, next, list, deferred) {
		__pcpuref_undefer(d);
		if (__pcpuref_wants_memory(d))
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
		__pcpuref_defer(d, 0);
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

/*
 * What comes up rarely has functions of its own, which end the section: so the
 * common way needs no registers to be saved.
 */
static noinline void __pcpuref_get_odd(struct pcpuref *ref, struct pcpuref_data *d,
				       long old, unsigned long nr, u8 readers,
				       unsigned long caller)
{
	if (!d)
		__pcpuref_misuse_gone(ref, caller);
	else if ((long)(old + nr) <= (long)nr)
		__pcpuref_broken(d, old <= 0 ? GET_ON_ZERO : OVERFLOW, old, caller);
	else
		__pcpuref_attend(d, readers, caller);
	preempt_enable_notrace();
}

static __always_inline void __pcpuref_get(struct pcpuref *ref, unsigned long nr,
					  u8 readers, unsigned long caller)
{
	struct pcpuref_data *d = __pcpuref_data(ref);
	long old = 0;

	if (likely(d)) {
		old = atomic_long_fetch_add_relaxed(nr, &d->count);
		/* One look for both: it was not positive, or is so no longer. */
		if (likely((long)(old + nr) > (long)nr) && __pcpuref_is_usual(ref, readers)) {
			preempt_enable_notrace();
			return;
		}
	}
	__pcpuref_get_odd(ref, d, old, nr, readers, caller);
}

static noinline bool __pcpuref_tryget_odd(struct pcpuref_data *d, long old,
					  unsigned long nr, u8 readers,
					  unsigned long caller)
{
	bool taken = true;

	if (!d)
		taken = false;
	else if (old <= 0)
		taken = old < -BIAS;
	else if ((long)(old + nr) <= 0)
		__pcpuref_broken(d, OVERFLOW, old, caller);
	else
		__pcpuref_attend(d, readers, caller);
	preempt_enable_notrace();
	return taken;
}

static __always_inline bool __pcpuref_tryget(struct pcpuref *ref, unsigned long nr,
					     u8 readers, unsigned long caller)
{
	struct pcpuref_data *d = __pcpuref_data(ref);
	long old = 0;

	if (likely(d)) {
		old = atomic_long_read(&d->count);
		while (likely(old > 0 && (long)(old + nr) > 0)) {
			if (!atomic_long_try_cmpxchg_relaxed(&d->count, &old, old + nr))
				continue;
			if (!__pcpuref_is_usual(ref, readers))
				break;
			preempt_enable_notrace();
			return true;
		}
	}
	return __pcpuref_tryget_odd(d, old, nr, readers, caller);
}

/*
 * It looks at the word and takes the reference in one section with preemption
 * disabled: that is what the grace period before a confirmation waits for.
 */
static __always_inline bool __pcpuref_tryget_live(struct pcpuref *ref, unsigned long nr,
						  u8 readers, unsigned long caller)
{
	if (!(READ_ONCE(ref->word) & __PCPUREF_DEAD))
		return __pcpuref_tryget(ref, nr, readers, caller);
	preempt_enable_notrace();
	return false;
}

static noinline void __pcpuref_put_odd(struct pcpuref *ref, struct pcpuref_data *d,
				       long old, unsigned long nr, unsigned long caller)
{
	unsigned int todo = 0;
	unsigned long flags;

	/* Release comes after what the caller did, and after all other puts. */
	smp_acquire__after_ctrl_dep();
	if (!d) {
		__pcpuref_misuse_gone(ref, caller);
	} else if (old <= 0 || old != (long)nr) {
		__pcpuref_broken(d, EXCESS_PUT, old, caller);
	} else if (pcpuref_in_nmi()) {
		__pcpuref_defer(d, 1);
	} else {
		raw_spin_lock_irqsave(&d->lock, flags);
		todo = __pcpuref_reached_zero(d, caller);
		raw_spin_unlock_irqrestore(&d->lock, flags);
	}
	preempt_enable_notrace();
	/* TODO_RELEASE comes with a pin, so the data is still there. */
	if (todo)
		__pcpuref_run(d, todo, false);
}

static __always_inline void __pcpuref_put(struct pcpuref *ref, unsigned long nr,
					  unsigned long caller)
{
	struct pcpuref_data *d = __pcpuref_data(ref);
	long old = 0;

	if (likely(d)) {
		/* Orders what the caller did to the object before release. */
		old = atomic_long_fetch_sub_release(nr, &d->count);
		if (likely(old > (long)nr)) {
			preempt_enable_notrace();
			return;
		}
	}
	__pcpuref_put_odd(ref, d, old, nr, caller);
}

/* Of a reference that is not in per-CPU mode. */
void __pcpuref_get_slow(struct pcpuref *ref)
{
	__pcpuref_get(ref, 1, 0, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_get_slow);

bool __pcpuref_tryget_slow(struct pcpuref *ref)
{
	return __pcpuref_tryget(ref, 1, 0, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_tryget_slow);

bool __pcpuref_tryget_live_slow(struct pcpuref *ref)
{
	return __pcpuref_tryget_live(ref, 1, 0, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_tryget_live_slow);

void __pcpuref_put_slow(struct pcpuref *ref)
{
	__pcpuref_put(ref, 1, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_put_slow);

void __pcpuref_get_many_slow(struct pcpuref *ref, unsigned long nr)
{
	__pcpuref_get(ref, nr, 0, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_get_many_slow);

bool __pcpuref_tryget_many_slow(struct pcpuref *ref, unsigned long nr)
{
	return __pcpuref_tryget(ref, nr, 0, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_tryget_many_slow);

bool __pcpuref_tryget_live_many_slow(struct pcpuref *ref, unsigned long nr)
{
	return __pcpuref_tryget_live(ref, nr, 0, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_tryget_live_many_slow);

void __pcpuref_put_many_slow(struct pcpuref *ref, unsigned long nr)
{
	__pcpuref_put(ref, nr, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_put_many_slow);

/* The same for a client with PCPUREF_READERS_TASKS, with preemption enabled. */
void __pcpuref_get_slow_tasks(struct pcpuref *ref)
{
	preempt_disable_notrace();
	__pcpuref_get(ref, 1, __PCPUREF_READERS_TASKS, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_get_slow_tasks);

bool __pcpuref_tryget_slow_tasks(struct pcpuref *ref)
{
	preempt_disable_notrace();
	return __pcpuref_tryget(ref, 1, __PCPUREF_READERS_TASKS, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_tryget_slow_tasks);

bool __pcpuref_tryget_live_slow_tasks(struct pcpuref *ref)
{
	preempt_disable_notrace();
	return __pcpuref_tryget_live(ref, 1, __PCPUREF_READERS_TASKS, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_tryget_live_slow_tasks);

void __pcpuref_put_slow_tasks(struct pcpuref *ref)
{
	preempt_disable_notrace();
	__pcpuref_put(ref, 1, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_put_slow_tasks);

void __pcpuref_get_many_slow_tasks(struct pcpuref *ref, unsigned long nr)
{
	preempt_disable_notrace();
	__pcpuref_get(ref, nr, __PCPUREF_READERS_TASKS, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_get_many_slow_tasks);

bool __pcpuref_tryget_many_slow_tasks(struct pcpuref *ref, unsigned long nr)
{
	preempt_disable_notrace();
	return __pcpuref_tryget(ref, nr, __PCPUREF_READERS_TASKS, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_tryget_many_slow_tasks);

bool __pcpuref_tryget_live_many_slow_tasks(struct pcpuref *ref, unsigned long nr)
{
	preempt_disable_notrace();
	return __pcpuref_tryget_live(ref, nr, __PCPUREF_READERS_TASKS, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_tryget_live_many_slow_tasks);

void __pcpuref_put_many_slow_tasks(struct pcpuref *ref, unsigned long nr)
{
	preempt_disable_notrace();
	__pcpuref_put(ref, nr, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_put_many_slow_tasks);

/* For a client with PCPUREF_INLINE_ATOMIC, which has changed the count already. */
void __pcpuref_got_odd(struct pcpuref *ref, struct pcpuref_data *d, long old,
		       unsigned long nr)
{
	__pcpuref_get_odd(ref, d, old, nr, 0, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_got_odd);

void __pcpuref_have_put_odd(struct pcpuref *ref, struct pcpuref_data *d, long old,
			    unsigned long nr)
{
	__pcpuref_put_odd(ref, d, old, nr, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_have_put_odd);

/* --- Life ----------------------------------------------------------------- */

/*
 * Memory for what @flags ask for, with all of it set up that does not depend on
 * who wants it. What starts dead will be reinitialised, for which a count is not
 * enough.
 */
static struct pcpuref_data *__pcpuref_alloc(unsigned int flags, gfp_t gfp)
{
	bool bare = (flags & PCPUREF_INIT_LAZY) && !(flags & PCPUREF_INIT_DEAD);
	size_t size = bare ? sizeof(struct pcpuref_data) : __pcpuref_whole_size(flags);
	unsigned long __percpu *counters = NULL;
	bool accounted = gfp & __GFP_ACCOUNT;
	struct pcpuref_data *d = NULL;

	if (!accounted && !(flags & PCPUREF_RELEASE_WORK) &&
	    (bare || !(flags & PCPUREF_INIT_LAZY)))
		d = __pcpuref_take_spare(bare ? BARE : WHOLE);
	if (d) {
		if (!bare)
			counters = d->more->counters;
	} else {
		d = kmalloc(size, gfp);
		if (!d)
			return NULL;
		if (!(flags & PCPUREF_INIT_LAZY)) {
			counters = __pcpuref_alloc_counters(gfp);
			if (!counters) {
				kfree(d);
				return NULL;
			}
		}
	}
	/* Each member but those that are set before they are looked at. */
	atomic_set(&d->deferrals, 0);
	atomic_set(&d->reported, 0);
	d->flags = flags;
	d->stuck = false;
	d->hot = false;
	d->samples = 0;
	d->busy = false;
	d->own = false;
	d->releasing = false;
	d->running = false;
	d->promises = 0;
	d->accounted = accounted;
	d->more = NULL;
	if (!bare) {
		d->more = &container_of(d, struct whole, d)->more;
		__pcpuref_init_more(d->more, d);
		d->more->counters = counters;
	}
	return d;
}

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
	struct pcpuref_more *x;
	struct pcpuref_data *d;
	unsigned long irqflags;

	/* Until all is well: what every other function takes for exited. */
	WRITE_ONCE(ref->word, __PCPUREF_ATOMIC | __PCPUREF_DEAD |
		   (__pcpuref_top(release) ? RELEASE_TOP : 0));
	WRITE_ONCE(ref->data, __pcpuref_hide(release));

	if (!release || (flags & ~known))
		return -EINVAL;
	if (site->readers && !PCPUREF_HAVE_READERS_TASKS)
		return -EOPNOTSUPP;

	d = __pcpuref_alloc(flags, gfp);
	if (!d)
		return -ENOMEM;
	x = d->more;
	if (x)
		x->biased = x->counters && !dead && !(flags & PCPUREF_INIT_ATOMIC);
	raw_spin_lock_init(&d->lock);
	refcount_set(&d->pins, 1);
	d->ref = ref;
	d->release = release;
	d->name = name;
	d->site = site;
	d->created = ktime_get_coarse_ns() >> CREATED_SHIFT;
	d->tags = (lazy ? __PCPUREF_LAZY : 0) | site->readers;
	if (site->readers)
		WRITE_ONCE(readers_tasks_used, true);
	d->force_atomic = flags & PCPUREF_INIT_ATOMIC;
	d->sampled = jiffies;
	d->live = !dead;
	d->initial = !dead;
	d->zero = dead;
	d->tagged = !__pcpuref_biased(d);
	atomic_long_set(&d->count, dead ? DEAD : 1 + (d->tagged ? 0 : BIAS));
	__pcpuref_list(d);

	/*
	 * Lookups in type-stable memory may meet an object that is being set up.
	 * Pairs with the dependent loads of whoever follows ref->data.
	 */
	smp_store_release(&ref->data, d);
	/* Pairs with the dependent access in __pcpuref_add(). */
	smp_store_release(&ref->word, (x ? (unsigned long)x->counters : 0) | d->tags |
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
	if (__pcpuref_biased(d))
		count += __pcpuref_sum(d->more) - BIAS;
	return count - d->initial - d->own;
}

/* Has anything ever been done to it, as far as can be known? */
static bool __pcpuref_used(struct pcpuref_data *d)
{
	const struct pcpuref_more *x = __pcpuref_more(d);
	int cpu;

	lockdep_assert_held(&d->lock);

	if (d->busy || READ_ONCE(d->stuck) || __pcpuref_held(d))
		return true;
	if (!x)
		return false;
	if (x->batches || x->ended || x->killed_at)
		return true;
	for_each_possible_cpu(cpu)
		if (x->counters && READ_ONCE(*per_cpu_ptr(x->counters, cpu)))
			return true;
	return false;
}

static void __pcpuref_check_exit(struct pcpuref_data *d, unsigned long caller)
{
	const struct pcpuref_more *x = __pcpuref_more(d);
	long held = __pcpuref_held(d);

	lockdep_assert_held(&d->lock);

	if (READ_ONCE(d->stuck))
		return;
	if (d->busy)
		__pcpuref_misuse(d, EXIT_SWITCHING, held, caller);
	else if (held)
		__pcpuref_misuse(d, EXIT_HELD, held, caller);
	else if (x && x->ended != x->returned + d->running)
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
	struct pcpuref_more *x = __pcpuref_more(d);

	lockdep_assert_held(&d->lock);

	__pcpuref_unlist(d);
	WRITE_ONCE(d->ref, NULL);
	/* A release that is running still returns, and wakes its waiters. */
	if (!x)
		return;
	x->ended = x->returned + d->running;
	if (hlist_empty(&x->waiters))
		return;
	__pcpuref_wake_failed(d, true, -ECANCELED);
	__pcpuref_wake_failed(d, false, -ECANCELED);
}

static void __pcpuref_detach(struct pcpuref_data *d, unsigned long caller)
{
	struct pcpuref *ref = d->ref;

	lockdep_assert_held(&d->lock);

	__pcpuref_event(exit, d, NULL, "none", 0, caller);
	WRITE_ONCE(ref->word, __PCPUREF_ATOMIC | __PCPUREF_DEAD | EXITED |
		   (d->zero ? 0 : NONZERO) |
		   (__pcpuref_top(d->release) ? RELEASE_TOP : 0));
	/* Pairs with the smp_load_acquire() in pcpuref_is_zero(). */
	smp_store_release(&ref->data, __pcpuref_hide(d->release));
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
					      __pcpuref_gone_release(ref), (void *)caller);
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
 * reported. Pairs with pcpuref_init(). From the percpu_ref_cancel_init() of 2013.
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
	struct pcpuref_more *x = __pcpuref_more(d);

	lockdep_assert_held(&d->lock);

	WRITE_ONCE(d->live, false);
	if (x) {
		x->requester = caller;
		x->killed_at = ktime_get_mono_fast_ns();
	}
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
 * At most three different callbacks can be waiting at a time (one, of a lazy
 * reference that waits for memory itself); one more is refused and reported.
 * Pairs with pcpuref_init(), pcpuref_reinit() and pcpuref_resurrect().
 * From percpu_ref_kill_and_confirm(), which sleeps when
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

	d = __pcpuref_lock_for(ref, &flags, MORE_ATOMIC);
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
 * that is dying already it only waits. Uses an expedited grace period. Pairs
 * as pcpuref_kill_and_confirm() does.
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

	d = __pcpuref_lock_for(ref, &flags, MORE_TASK);
	if (!d) {
		__pcpuref_misuse_gone(ref, _RET_IP_);
		return -EINVAL;
	}
	if (d->live)
		__pcpuref_kill(d, _RET_IP_);
	todo = __pcpuref_settle(d);
	tasks = __pcpuref_readers(d);
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

	d = __pcpuref_lock_for(ref, &flags, MORE_TASK);
	if (!d) {
		__pcpuref_misuse_gone(ref, caller);
		return -EINVAL;
	}
	__pcpuref_wait_begin(d, &waiter, true, d->more->life);
	if (d->live)
		__pcpuref_kill(d, caller);
	todo = __pcpuref_settle(d);
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
 * a reference that only this caller would put. Pairs as
 * pcpuref_kill_and_confirm() does.
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
 * go on waiting, or the reference be resurrected. Pairs as
 * pcpuref_kill_and_confirm() does.
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
	struct pcpuref_more *x = __pcpuref_more(d);
	unsigned int todo = 0;

	lockdep_assert_held(&d->lock);

	if (!__pcpuref_allow_reinit(d)) {
		__pcpuref_misuse(d, NOT_ALLOWED, __pcpuref_held(d), caller);
		WRITE_ONCE(d->tags, d->tags & ~__PCPUREF_LAZY);
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
			x->claimed++;
		}
		x->life += d->zero;
		/* Unless somebody has touched the dead count: then it sticks. */
		if (atomic_long_cmpxchg(&d->count, DEAD, 1) != DEAD)
			__pcpuref_stick(d, false);
	}
	/* A stuck count is alive again too, but for good. */
	if (READ_ONCE(d->stuck))
		__pcpuref_stick(d, false);
	d->initial = true;
	WRITE_ONCE(d->live, true);
	/* Without, it is starved: the kill that is undone was only recorded. */
	if (x) {
		x->requester = caller;
		x->killed_at = 0;
	}
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
 * in atomic mode. Pairs with the next kill. From percpu_ref_reinit().
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
 * pcpuref_reinit(). Needs %PCPUREF_ALLOW_REINIT, as that does. Pairs with the
 * next kill. From percpu_ref_resurrect().
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
	d->more->requester = caller;
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
 * %PCPUREF_ALLOW_REINIT there is no way back. Pairs with
 * pcpuref_switch_to_percpu(). From percpu_ref_switch_to_atomic().
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

	d = confirm ? __pcpuref_lock_for(ref, &flags, MORE_ATOMIC) : __pcpuref_lock(ref, &flags);
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
 * itself. Pairs with pcpuref_switch_to_percpu(). From
 * percpu_ref_switch_to_atomic_sync(). Uses an expedited grace
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

	d = __pcpuref_lock_for(ref, &flags, MORE_TASK);
	if (!d) {
		__pcpuref_misuse_gone(ref, _RET_IP_);
		return -EINVAL;
	}
	__pcpuref_want_atomic(d, _RET_IP_);
	todo = __pcpuref_settle(d);
	__pcpuref_wait_begin(d, &waiter, false, d->more->batches + d->busy);
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
 * one when it is next brought to life. Pairs with pcpuref_switch_to_atomic().
 * From percpu_ref_switch_to_percpu().
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
	if (!__pcpuref_allow_reinit(d)) {
		__pcpuref_misuse(d, NOT_ALLOWED, __pcpuref_held(d), _RET_IP_);
	} else {
		WRITE_ONCE(d->force_atomic, false);
		if (d->live && __pcpuref_more(d))
			d->more->requester = _RET_IP_;
		todo = __pcpuref_settle(d);
		/* A lazy one is asked to have counters, without further proof. */
		if (d->tags & __PCPUREF_LAZY) {
			WRITE_ONCE(d->hot, true);
			__pcpuref_defer(d, 0);
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
	if (d && !((unsigned long)d & HIDDEN)) {
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
 * The initial reference counts. In atomic mode the number is exact; before, the
 * counters are added up one after the other, so gets and puts that run
 * meanwhile, and the end of a switch, may or may not be in it, and it can even be
 * below the number that was held throughout. Costs a cache line for each possible CPU.
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

static size_t __pcpuref_bytes(struct pcpuref_data *d)
{
	const struct pcpuref_more *x = __pcpuref_more(d);

	if (!x)
		return sizeof(*d);
	if (!__pcpuref_inner(d))
		return sizeof(*d) + sizeof(*x);
	return __pcpuref_whole_size(d->flags);
}

/* Looks at the data only: a client may have freed the object without exit. */
static void __pcpuref_fill(struct pcpuref_data *d, struct pcpuref_info *info)
{
	const struct pcpuref_more *x = __pcpuref_more(d);

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
	info->life = x ? x->life : 1;
	info->created_at = __pcpuref_created_at(d);
	info->killed_at = x ? x->killed_at : 0;
	info->killer = x ? x->requester : 0;
	info->bytes = __pcpuref_bytes(d);
	info->percpu_bytes = x && x->counters ? num_possible_cpus() * sizeof(long) : 0;
}

/* Fill what is asked for. False if the reference has exited meanwhile. */
static bool __pcpuref_look(struct pcpuref_data *d, struct pcpuref_info *info,
			   long *counts)
{
	const struct pcpuref_more *x;
	unsigned long flags;
	bool there;
	int cpu;

	raw_spin_lock_irqsave(&d->lock, flags);
	there = d->ref;
	if (there) {
		__pcpuref_fill(d, info);
		x = __pcpuref_more(d);
		for (cpu = 0; counts && cpu < nr_cpu_ids; cpu++)
			counts[cpu] = x && x->counters && cpu_possible(cpu) ?
				READ_ONCE(*per_cpu_ptr(x->counters, cpu)) : 0;
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

/* A walk whose first step goes to @id, if there is such a one. */
static struct pcpuref_walk __pcpuref_walk_to(u64 id)
{
	return (struct pcpuref_walk) { .cpu = __pcpuref_id_cpu(id), .id = id - 1, .end = id };
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
 * Pairs with pcpuref_walk_next().
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
	struct pcpuref_walk walk = __pcpuref_walk_to(id);
	bool found;

	found = id && __pcpuref_step(&walk) && walk.id == id &&
		__pcpuref_look(walk.at, info, counts);
	pcpuref_walk_end(&walk);

	return found;
}
EXPORT_SYMBOL_GPL(pcpuref_inspect_id);

/**
 * struct description - what only a dump tells
 * @info: what others get, too
 * @busy: it is in a grace period, or starved
 * @confirms: confirmations to come
 * @counters: the per-CPU counters that are not zero, as many as fit
 */
struct description {
	struct pcpuref_info	info;
	bool			busy;
	unsigned int		confirms;
	char			counters[128];
};

static void __pcpuref_describe(struct pcpuref_data *d, struct description *to)
{
	const struct pcpuref_more *x = __pcpuref_more(d);
	size_t at = 0;
	int i, cpu;

	lockdep_assert_held(&d->lock);

	__pcpuref_fill(d, &to->info);
	to->busy = d->busy;
	to->confirms = x ? 0 : d->promises;
	to->counters[0] = '\0';
	for (i = 0; x && i < CONFIRMS; i++)
		to->confirms += x->confirm_now[i] + x->confirm_next[i];
	for_each_possible_cpu(cpu) {
		long n = x && x->counters ? READ_ONCE(*per_cpu_ptr(x->counters, cpu)) : 0;

		if (n)
			at += scnprintf(to->counters + at, sizeof(to->counters) - at,
					" %d:%ld", cpu, n);
	}
}

static void __pcpuref_print(const struct description *d)
{
	const struct pcpuref_info *info = &d->info;
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
	if (d->counters[0])
		pr_info("dump: id=%llu counters by CPU:%s\n", info->id, d->counters);
	if (d->busy)
		pr_info("dump: id=%llu in a grace period, %u confirmations to come\n",
			info->id, d->confirms);

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
	struct description description;
	struct pcpuref_data *d;
	unsigned long flags;

	d = __pcpuref_lock(ref, &flags);
	if (!d) {
		pr_info("dump: no reference, or exited: ref=%p caller=%pS\n", ref,
			(void *)caller);
		return;
	}
	__pcpuref_describe(d, &description);
	__pcpuref_unlock(d, flags);
	__pcpuref_print(&description);
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
	struct pcpuref_walk walk = __pcpuref_walk_to(id);
	struct description description;
	struct pcpuref_data *d;
	unsigned long flags;
	bool found = false;

	if (id && __pcpuref_step(&walk) && walk.id == id) {
		d = walk.at;
		raw_spin_lock_irqsave(&d->lock, flags);
		found = d->ref;
		if (found)
			__pcpuref_describe(d, &description);
		raw_spin_unlock_irqrestore(&d->lock, flags);
	}
	pcpuref_walk_end(&walk);
	if (found)
		__pcpuref_print(&description);
	return found;
}
EXPORT_SYMBOL_GPL(pcpuref_dump_id);

/* Sums that do not stand still; but what is not in the second was not in the first. */
static bool __pcpuref_in_flight(void)
{
	unsigned long begun = 0, ended = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		ended += READ_ONCE(per_cpu_ptr(gathers, cpu)->ended);
	/* Pairs with the smp_mb() in __pcpuref_grace_period_passed(). */
	smp_mb();
	for_each_possible_cpu(cpu)
		begun += READ_ONCE(per_cpu_ptr(gathers, cpu)->begun);

	return begun != ended;
}

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
	int cpu, round = 0;

	might_sleep();

	/*
	 * The end of a grace period may start one more, for requests that were
	 * recorded while it was under way, and either may queue a release. And a
	 * batch may wait twice more: see Documentation/design.rst. What others
	 * begin meanwhile is not waited for longer than that.
	 */
	do {
		if (READ_ONCE(readers_tasks_used))
			pcpuref_rcu_barrier_tasks();
		rcu_barrier();
		for_each_possible_cpu(cpu)
			pcpuref_irq_work_sync(per_cpu_ptr(&deferred_work, cpu));
		flush_work(&hurry_work);
		flush_work(&hot_work);
		flush_workqueue(release_wq);
	} while (__pcpuref_in_flight() && ++round < 8);
	/* The releases that the last of them have left to it, or what runs in it. */
	flush_workqueue(release_wq);
	flush_workqueue(release_wq);
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

	if (left) {
		preempt_disable_notrace();
		trace_pcpuref_misuse(&(struct pcpuref_event) {
			.id = info.id,
			.name = info.name,
			.module = info.module,
			.ref = info.ref,
			.release = info.release,
			.before = info.mode,
			.after = "none",
			.count = info.count,
			.since_kill = __pcpuref_since_kill(info.killed_at),
			.what = "module unloaded without exit",
		});
		preempt_enable_notrace();
	}
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

	/* What PCPUREF_INLINE_ATOMIC knows. */
	BUILD_BUG_ON(offsetof(struct pcpuref_data, count));

	gathers = alloc_percpu(struct gather);
	if (!gathers)
		return -ENOMEM;
	/* What points somewhere is not set up statically: see pcpuref_kernel.h. */
	for_each_possible_cpu(cpu) {
		struct shard *shard = per_cpu_ptr(&registry, cpu);

		raw_spin_lock_init(&shard->lock);
		INIT_LIST_HEAD(&shard->refs);
		pcpuref_irq_work_init(per_cpu_ptr(&deferred_work, cpu), __pcpuref_deferred);
		INIT_WORK(&per_cpu_ptr(gathers, cpu)->finish, __pcpuref_finish_work);
		for (i = 0; i < BATCHES; i++)
			raw_spin_lock_init(&per_cpu_ptr(gathers, cpu)->batches[i].lock);
	}
	__pcpuref_init_spares();
	work_of_end = max_t(unsigned int, num_possible_cpus(), WORK_AT_ONCE / 64);
	work_of_counters = max_t(unsigned int, num_possible_cpus() / 4, WORK_OF_FREEING);
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
	/* The data of what exited last: a callback, which may wait twice more. */
	if (readers_tasks_used)
		pcpuref_rcu_barrier_tasks();
	rcu_barrier();
	rcu_barrier();
	rcu_barrier();
	/* Does first what callbacks have left to it. */
	destroy_workqueue(release_wq);
	cancel_delayed_work_sync(&tidy_work);
	__pcpuref_tidy_all(true);
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
