/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a reference is, for all rooms of the core: the structure behind a
 * struct pcpuref, the zones of its count, the tags of its word, and the small
 * functions that read them. rooms.h says what each room does with it.
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
 * that a get without a reference cannot make it positive and let a tryget in.
 * (PCPUREF_ALLOW_ZERO: only the zero that ends a life is parked.) A get or put
 * that finds the count negative, or makes it so, is misuse, and the count
 * sticks: at DEAD if the last reference was gone (tryget fails for good), else
 * at LEAKED (tryget succeeds, release never comes). Whoever finds a stuck count
 * puts it back to the centre of its zone; a zone is a quarter of the number
 * range wide, too far for unbalanced gets and puts to cross it.
 */
#ifndef PCPUREF_CORE_REF_H
#define PCPUREF_CORE_REF_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/limits.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/lockdep.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "pcpuref.h"
#include "pcpuref_inspect.h"
#include "pcpuref_kernel.h"

#define BIAS	(1L << (BITS_PER_LONG - 2))
#define LEAKED	(LONG_MIN + BIAS / 2)
#define DEAD	(-(BIAS / 2))

/* Further tags of a word after exit, when it has no counters any more. */
#define EXITED		BIT(4)
#define NONZERO		BIT(5)	/* the count was not zero at exit */
#define REPORTED	BIT(6)	/* use after exit has been reported */
#define ALL_TAGS	(__PCPUREF_TAGS | EXITED | NONZERO | REPORTED)

/* How many different confirm callbacks can wait for grace periods at a time. */
#define CONFIRMS	3

/**
 * struct pcpuref_client - a module that has initialised references
 * @owner: the module, NULL for what is built in
 * @in_flight: callbacks and state changes of its references that the core has
 *	to complete (atomic): grace periods, releases in process context, and what
 *	has been deferred
 * @node: in the list of clients, under its lock
 * @rcu: to free it
 */
struct pcpuref_client {
	struct module		*owner;
	atomic_t		in_flight;
	struct list_head	node;
	struct rcu_head		rcu;
};

/**
 * struct pcpuref_data - what a reference is apart from its hot word
 * @count: the shared counter; first, as PCPUREF_INLINE_ATOMIC knows
 * @lock: protects all that follows, unless said otherwise
 * @pins: what keeps this structure, see memory.c
 * @ref: the reference, NULL once it has exited; its memory may be gone, so only
 *	what the reference's own calls have led to may look at it
 * @release: called when the count reaches zero
 * @counters: the per-CPU counters; NULL if it has none yet, or none any more
 * @site: where it was initialised; only while attached (@ref is not NULL)
 * @client: whose it is
 * @waiters: callers that sleep
 * @rcu: waits for a grace period while @busy, and at the end to be freed
 * @confirm: callbacks due after grace periods
 * @node: in a CPU's part of the registry, under the lock of that part
 * @deferred: in a list of what could not be done at once, see later.c
 * @id: its number, which also tells the part of the registry
 * @killed_at: when it was killed, in ns of ktime_get_mono_fast_ns(); 0 if not
 * @requester: who asked for the kill, or while live for the last switch
 * @created: when it was initialised, in units of 2^CREATED_SHIFT ns
 * @deferrals: zeroes that were reached in NMI and still have to be dealt with,
 *	and DEFERRED while @deferred is in a list (atomic)
 * @reported: bit for each enum pcpuref_misuse that has been reported (atomic)
 * @ended: lives whose count has reached zero
 * @returned: lives whose release has returned
 * @claimed: zeroes that were dealt with before the put that made them told
 * @sampled: low bits of jiffies at the first of @samples (without the lock)
 * @batches: grace periods completed
 * @zeroes: zeroes of a live reference whose release has not been called yet
 * @confirm_now: how often each of @confirm is due after this grace period
 * @confirm_next: and after the next
 * @flags: those that init was given
 * @tags: of the word, apart from mode and life: __PCPUREF_LAZY while it has no
 *	counters and may get some, and __PCPUREF_READERS_TASKS (read without the
 *	lock)
 * @zero: the life has ended, and the count is parked at DEAD (read without the
 *	lock)
 * @stuck: misuse has made the count meaningless (set without the lock)
 * @hot: counters are wanted for a lazy reference (set without the lock)
 * @samples: of gets since @sampled (without the lock)
 * @live: not killed; the word's DEAD tag says the opposite
 * @force_atomic: stay in atomic mode while live
 * @initial: the core holds a reference: the initial one
 * @own: the core holds one for the grace period under way
 * @tagged: the word says atomic
 * @biased: BIAS is part of @count, and the counters are in use
 * @busy: a grace period is under way, or its confirmations are being called
 * @used: a state change has been asked of it
 * @releasing: some context is in charge of calling release
 * @running: release of an ended life is being called
 * @named: its name is a copy behind this structure
 *
 * Members are in the order that leaves no holes on 32 and on 64 bit.
 */
struct pcpuref_data {
	atomic_long_t			count;
	raw_spinlock_t			lock;
	refcount_t			pins;
	struct pcpuref			*ref;
	pcpuref_func_t			*release;
	unsigned long __percpu		*counters;
	const struct pcpuref_site	*site;
	struct pcpuref_client		*client;
	struct hlist_head		waiters;
	struct rcu_head			rcu;
	pcpuref_func_t			*confirm[CONFIRMS];
	struct list_head		node;
	struct llist_node		deferred;
	unsigned long			requester;
	u64				id;
	u64				killed_at;
	u32				created;
	atomic_t			deferrals;
	atomic_t			reported;
	u16				ended;
	u16				returned;
	u16				claimed;
	u16				sampled;
	u8				batches;
	u8				zeroes;
	u8				confirm_now[CONFIRMS];
	u8				confirm_next[CONFIRMS];
	u8				flags;
	u8				tags;
	bool				zero;
	bool				stuck;
	bool				hot;
	u8				samples;
	u16				live : 1;
	u16				force_atomic : 1;
	u16				initial : 1;
	u16				own : 1;
	u16				tagged : 1;
	u16				biased : 1;
	u16				busy : 1;
	u16				used : 1;
	u16				releasing : 1;
	u16				running : 1;
	u16				named : 1;
};

/* Debugging options make locks larger. */
#if !defined(CONFIG_DEBUG_SPINLOCK) && !defined(CONFIG_DEBUG_LOCK_ALLOC)
static_assert(sizeof(struct pcpuref_data) <= (BITS_PER_LONG == 64 ? 192 :
	      ALIGN(124, __alignof__(struct pcpuref_data))));
#endif

#define DEFERRED	BIT(30)
#define CREATED_SHIFT	24

/*
 * After exit the data pointer names the release function of the reference that
 * it was, for reports of late misuse. The lowest bit tells one from the other;
 * it need not be taken off to print the function's name.
 */
#define GONE		1UL

static inline struct pcpuref_data *__pcpuref_gone(pcpuref_func_t *release)
{
	return (struct pcpuref_data *)((unsigned long)release | GONE);
}

/* The data of a reference, or NULL before init and after exit. */
static __always_inline struct pcpuref_data *__pcpuref_data(const struct pcpuref *ref)
{
	struct pcpuref_data *d;

	/*
	 * In type-stable memory the caller may have got its reference from a word that
	 * init has stored a moment ago, and a get orders nothing: not the data from
	 * before that init. Pairs with the smp_store_release() of the word in
	 * __pcpuref_init() (litmus: e2-tryget-slow).
	 */
	smp_rmb();
	/* Pairs, by the dependency, with the smp_store_release() in __pcpuref_init(). */
	d = READ_ONCE(ref->data);

	return unlikely((unsigned long)d & GONE) ? NULL : d;
}

static inline u8 __pcpuref_readers(const struct pcpuref_data *d)
{
	/* Pairs with the WRITE_ONCE() of @tags, which leave this one as it is. */
	return READ_ONCE(d->tags) & __PCPUREF_READERS_TASKS;
}

static inline bool __pcpuref_allows_reinit(const struct pcpuref_data *d)
{
	return d->flags & (PCPUREF_INIT_ATOMIC | PCPUREF_INIT_DEAD | PCPUREF_ALLOW_REINIT);
}

static inline bool __pcpuref_allows_zero(const struct pcpuref_data *d)
{
	return d->flags & PCPUREF_ALLOW_ZERO;
}

/* Number of the present life, from 1; 0 for one that began dead. */
static inline u16 __pcpuref_life(const struct pcpuref_data *d)
{
	return d->ended + !d->zero;
}

/* For reports also without the lock: then it says what was so a moment ago. */
static inline enum pcpuref_mode __pcpuref_mode(const struct pcpuref_data *d)
{
	/* Marked, since without the lock the two may not fit together. */
	bool biased = data_race(!!d->biased), tagged = data_race(!!d->tagged);

	return !biased ? PCPUREF_MODE_ATOMIC :
	       tagged ? PCPUREF_MODE_SWITCHING : PCPUREF_MODE_PERCPU;
}

/*
 * What the counters hold, also while CPUs add to them. Possible CPUs, not only
 * those online: the counter of an offline CPU keeps its part. (A loop over numbers
 * is shorter than for_each_possible_cpu(), and with many CPUs it is what counts.)
 */
static inline long __pcpuref_sum(const struct pcpuref_data *d)
{
	unsigned long sum = 0;
	unsigned int cpu;

	for (cpu = 0; d->counters && cpu < nr_cpu_ids; cpu++)
		if (cpu_possible(cpu))
			/* No order: a snapshot. Pairs with nothing. */
			sum += READ_ONCE(*per_cpu_ptr(d->counters, cpu));
	return (long)sum;
}

/* The shared counter, as far as it means references of others than a switch. */
static inline long __pcpuref_shared(const struct pcpuref_data *d)
{
	return d->zero ? 0 :
	       atomic_long_read(&d->count) - (d->biased ? BIAS : 0) - d->own;
}

/* And the per-CPU counters. Each is a part of __pcpuref_total(), unless that sticks. */
static inline long __pcpuref_percpu(const struct pcpuref_data *d)
{
	return d->biased ? __pcpuref_sum(d) : 0;
}

/* How many references others than the core hold, as far as can be known now. */
static inline long __pcpuref_held(const struct pcpuref_data *d)
{
	lockdep_assert_held(&d->lock);

	return d->zero ? 0 : __pcpuref_shared(d) + __pcpuref_percpu(d) - d->initial;
}

/* What pcpuref_read() returns. */
static inline long __pcpuref_total(const struct pcpuref_data *d)
{
	/* Pairs with the WRITE_ONCE() in __pcpuref_stick(). */
	if (READ_ONCE(d->stuck))
		return atomic_long_read(&d->count) < -BIAS ? LONG_MAX : 0;
	return __pcpuref_held(d) + d->initial;
}

#endif /* PCPUREF_CORE_REF_H */
