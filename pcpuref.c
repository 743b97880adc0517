// SPDX-License-Identifier: GPL-2.0-only
/*
 * The heart of pcpuref: what a count is, and how gets and puts change it.
 *
 * THEORY OF OPERATION
 *
 * A live reference counts in per-CPU counters. A get or put is one add to the
 * counter of the CPU that it runs on, and no CPU can see the total. So a put cannot
 * notice zero; and it need not, since the reference holds itself: by the initial
 * reference, which is part of the count from init to kill.
 *
 * pcpuref_kill() turns the counters into one shared counter. It tags the word that
 * has the counters' address, so that gets and puts from then on go to the shared
 * counter, by the functions in this file. It waits for a grace period, after which
 * no CPU can still be using the counters, and adds them up. Then it drops the
 * initial reference. From there on a put that makes the count zero is noticed, and
 * calls release.
 *
 *    get, put:     add to this CPU's counter      add to the shared counter
 *                 |------------------------------|-------------------------|
 *                init                            kill                      release
 *
 * The fast path, in pcpuref.h, is
 *
 *	preempt_disable();
 *	word = ref->word;
 *	if (!(word & TAGS))
 *		this_cpu_add(*word, n);
 *	preempt_enable();
 *
 * and what makes it right is that a grace period waits for sections with preemption
 * disabled: when one that began after the tag was set is over, no CPU is between
 * the load of the word and the add.
 *
 * The functions here are the other branch. They go on with the section that the
 * fast path began, and end it. The shared counter is part of the count in every
 * mode: to add to it is right even if the mode has changed since the word was
 * loaded. ref.h has its number line; what a put that came to zero leads to is in
 * machine.c, with the table of states.
 *
 * The lowest level is deliberately dumb: it adds, looks at what was there, and
 * leaves everything unusual to functions of their own. That is why an NMI may get
 * and put, and why a get without a reference is noticed by the one who made it.
 *
 * Documentation/design.rst argues in full why this is right.
 */
#include <linux/atomic.h>
#include <linux/export.h>
#include <linux/hardirq.h>
#include <linux/kernel.h>
#include <linux/percpu.h>
#include <linux/preempt.h>

#include "core/rooms.h"

/* Of so many gets of lazy references on a CPU one is looked at, see later.c. */
#define LAZY_SAMPLE	256

static DEFINE_PER_CPU(unsigned int, lazy_gets);

/* True if a get that was compiled for @readers needs no report and no sample. */
static __always_inline bool is_usual(struct pcpuref *ref, u8 readers)
{
	/* Pairs with the stores to the word in machine.c; a stale one does no harm. */
	unsigned long word = READ_ONCE(ref->word);

	return likely((word & __PCPUREF_READERS_TASKS) == readers) &&
	       (likely(!__pcpuref_is_lazy(word)) ||
		this_cpu_inc_return(lazy_gets) % LAZY_SAMPLE);
}

/* The rest of a get that is not usual. Preemption is disabled since @d was found. */
static void see_to(struct pcpuref_data *d, u8 readers, unsigned long caller)
{
	/* Counted right: the tag kept it from the counters. But slowly. */
	if (__pcpuref_readers(d) != readers)
		__pcpuref_misuse_unlocked(d, PCPUREF_MIXED_READERS,
					  atomic_long_read(&d->count), caller);
	else
		__pcpuref_sample(d);
}

/*
 * The count turned out to be meaningless, or was so already. A count that has
 * stuck is not reported again. At exactly zero it may have stuck just now because
 * of this very call, which mark_zero() has seen: then nobody has reported it yet.
 */
static void broken(struct pcpuref_data *d, enum pcpuref_misuse what, long old,
		   unsigned long caller)
{
	bool dead = old <= 0 && old >= -BIAS;
	/* Pairs with the WRITE_ONCE() in __pcpuref_stick(). */
	bool first = !READ_ONCE(d->stuck);
	unsigned long flags;

	__pcpuref_stick(d, dead);
	if (!first && old)
		return;

	__pcpuref_misuse_unlocked(d, what, old, caller);
	if (pcpuref_in_nmi()) {
		__pcpuref_defer(d, 0);
		return;
	}
	raw_spin_lock_irqsave(&d->lock, flags);
	__pcpuref_wake_failed(d, true, -ENOTRECOVERABLE);
	raw_spin_unlock_irqrestore(&d->lock, flags);
}

/*
 * The functions below look at the data with preemption disabled, so that it cannot
 * be freed under a caller who is in the wrong; one in the right has a reference
 * that keeps it. What comes up rarely has functions of its own, which end the
 * section: so the common way needs no registers to be saved.
 */

/*
 * PCPUREF_ALLOW_ZERO: a live reference may be got from zero. The caller has seen
 * zero; if that is what a kill has made of it, the kill's tag is visible. Pairs with
 * drop(), whose RMW is fully ordered after the tag (litmus: h4-kill-get-zero).
 */
static bool may_leave_zero(const struct pcpuref *ref, const struct pcpuref_data *d)
{
	/* The zero before the tag. */
	smp_mb__after_atomic();
	return __pcpuref_allows_zero(d) && !(READ_ONCE(ref->word) & __PCPUREF_DEAD);
}

static noinline void get_odd(struct pcpuref *ref, struct pcpuref_data *d, long old,
			     unsigned long nr, u8 readers, unsigned long caller)
{
	if (!d)
		__pcpuref_misuse_gone(ref, caller);
	else if ((long)(old + nr) <= (long)nr && !(!old && may_leave_zero(ref, d)))
		broken(d, old <= 0 ? PCPUREF_GET_ON_ZERO : PCPUREF_OVERFLOW, old, caller);
	else if (old || !is_usual(ref, readers))
		see_to(d, readers, caller);
	preempt_enable_notrace();
}

static __always_inline void get(struct pcpuref *ref, unsigned long nr, u8 readers,
				unsigned long caller)
{
	struct pcpuref_data *d = __pcpuref_data(ref);
	long old = 0;

	if (likely(d)) {
		old = atomic_long_fetch_add_relaxed(nr, &d->count);
		/* False if the count was not positive, or has overflowed. */
		if (likely((long)(old + nr) > (long)nr) && is_usual(ref, readers)) {
			preempt_enable_notrace();
			return;
		}
	}
	get_odd(ref, d, old, nr, readers, caller);
}

static noinline bool tryget_odd(struct pcpuref_data *d, long old, unsigned long nr,
				u8 readers, unsigned long caller)
{
	bool taken = true;

	if (!d)
		taken = false;
	else if (old <= 0)
		taken = old < -BIAS;
	else if ((long)(old + nr) <= 0)
		broken(d, PCPUREF_OVERFLOW, old, caller);
	else
		see_to(d, readers, caller);
	preempt_enable_notrace();
	return taken;
}

static __always_inline bool tryget(struct pcpuref *ref, unsigned long nr, u8 readers,
				   unsigned long caller)
{
	struct pcpuref_data *d = __pcpuref_data(ref);
	long old = 0;

	if (likely(d)) {
		old = atomic_long_read(&d->count);
		while (likely(old > 0 && (long)(old + nr) > 0)) {
			if (!atomic_long_try_cmpxchg_relaxed(&d->count, &old, old + nr))
				continue;
			if (!is_usual(ref, readers))
				break;
			preempt_enable_notrace();
			return true;
		}
	}
	return tryget_odd(d, old, nr, readers, caller);
}

/*
 * It looks at the word and takes the reference in one section with preemption
 * disabled: that is what the grace period before a confirmation waits for
 * (litmus: d1-trygetlive-confirm). After the last put no RMW finds a count that is
 * positive, whatever the word was (litmus: d3-lastput-tryget).
 */
static __always_inline bool tryget_live(struct pcpuref *ref, unsigned long nr, u8 readers,
					unsigned long caller)
{
	/* Pairs with the WRITE_ONCE() in __pcpuref_tag(). */
	if (!(READ_ONCE(ref->word) & __PCPUREF_DEAD))
		return tryget(ref, nr, readers, caller);
	preempt_enable_notrace();
	return false;
}

static noinline void put_odd(struct pcpuref *ref, struct pcpuref_data *d, long old,
			     unsigned long nr, unsigned long caller)
{
	unsigned int todo = 0;
	unsigned long flags;

	/* Release comes after all other puts (litmus: b1-lastput-release). */
	smp_acquire__after_ctrl_dep();
	if (!d) {
		__pcpuref_misuse_gone(ref, caller);
	} else if (old <= 0 || old != (long)nr) {
		broken(d, PCPUREF_EXCESS_PUT, old, caller);
	} else if (pcpuref_in_nmi()) {
		__pcpuref_defer(d, 1);
	} else {
		raw_spin_lock_irqsave(&d->lock, flags);
		todo = __pcpuref_reached_zero(d, caller);
		raw_spin_unlock_irqrestore(&d->lock, flags);
	}
	preempt_enable_notrace();
	/* A release to be called comes with a pin, so the data is still there. */
	if (todo)
		__pcpuref_run(d, todo, false);
}

static __always_inline void put(struct pcpuref *ref, unsigned long nr, u8 readers,
				unsigned long caller)
{
	struct pcpuref_data *d = __pcpuref_data(ref);
	long old = 0;

	if (likely(d)) {
		/*
		 * What the caller did to the object comes before release: pairs with
		 * put_odd() (litmus: b1-lastput-release).
		 */
		old = atomic_long_fetch_sub_release(nr, &d->count);
		if (likely(old > (long)nr)) {
			preempt_enable_notrace();
			return;
		}
	}
	put_odd(ref, d, old, nr, caller);
}

/*
 * What the inline functions call: for one reference and for many, and the same for
 * a client with PCPUREF_READERS_TASKS, which comes with preemption enabled.
 */
#define DEFINE_SLOW(type, op)							\
type __pcpuref_##op##_slow(struct pcpuref *ref)					\
{										\
	return op(ref, 1, 0, _RET_IP_);						\
}										\
EXPORT_SYMBOL_GPL(__pcpuref_##op##_slow);					\
										\
type __pcpuref_##op##_many_slow(struct pcpuref *ref, unsigned long nr)		\
{										\
	return op(ref, nr, 0, _RET_IP_);					\
}										\
EXPORT_SYMBOL_GPL(__pcpuref_##op##_many_slow);					\
										\
type __pcpuref_##op##_slow_tasks(struct pcpuref *ref)				\
{										\
	preempt_disable_notrace();						\
	return op(ref, 1, __PCPUREF_READERS_TASKS, _RET_IP_);			\
}										\
EXPORT_SYMBOL_GPL(__pcpuref_##op##_slow_tasks);					\
										\
type __pcpuref_##op##_many_slow_tasks(struct pcpuref *ref, unsigned long nr)	\
{										\
	preempt_disable_notrace();						\
	return op(ref, nr, __PCPUREF_READERS_TASKS, _RET_IP_);			\
}										\
EXPORT_SYMBOL_GPL(__pcpuref_##op##_many_slow_tasks)

DEFINE_SLOW(void, get);
DEFINE_SLOW(bool, tryget);
DEFINE_SLOW(bool, tryget_live);
DEFINE_SLOW(void, put);

/* For a client with PCPUREF_INLINE_ATOMIC, which has changed the count already. */
void __pcpuref_got_odd(struct pcpuref *ref, struct pcpuref_data *d, long old,
		       unsigned long nr)
{
	get_odd(ref, d, old, nr, 0, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_got_odd);

void __pcpuref_have_put_odd(struct pcpuref *ref, struct pcpuref_data *d, long old,
			    unsigned long nr)
{
	put_odd(ref, d, old, nr, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_have_put_odd);
