// SPDX-License-Identifier: GPL-2.0-only
/*
 * Init and exit. Init builds what is behind the reference and publishes it; exit
 * takes the reference off, so that what is still on its way to either of them
 * finds the structure without a reference, and does nothing.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/uaccess.h>

#include "rooms.h"

/* --- Init --------------------------------------------------------------------- */

static bool is_listed(const struct pcpuref_data *d)
{
	struct pcpuref_walk walk = { };
	bool found = false;

	while (!found && __pcpuref_walk_step(&walk))
		found = walk.at == d;
	pcpuref_walk_end(&walk);
	return found;
}

/*
 * Is @ref initialised already? Its memory may hold anything, also what looks like
 * an address: so it is read with care, and if it points back, which hardly happens
 * by chance, it is looked for among all.
 */
static void check_init(struct pcpuref *ref, unsigned long caller)
{
	struct pcpuref_data *d = __pcpuref_data(ref);
	struct pcpuref *back = NULL;
	unsigned long flags;

	if (likely(!d) || !IS_ALIGNED((unsigned long)d, __alignof__(*d)) || !virt_addr_valid(d))
		return;
	if (!pcpuref_read_nofault(&back, &d->ref, sizeof(back)) || back != ref ||
	    !is_listed(d))
		return;
	d = __pcpuref_lock(ref, &flags);
	if (!d)
		return;
	__pcpuref_misuse(d, PCPUREF_INIT_TWICE, caller);
	__pcpuref_unlock(d, flags);
}

/* The work of pcpuref_init(), which knows the @name and the @site. */
int __pcpuref_init(struct pcpuref *ref, pcpuref_func_t *release,
		   unsigned int flags, gfp_t gfp, const char *name,
		   struct pcpuref_site *site)
{
	const unsigned int known = PCPUREF_INIT_ATOMIC | PCPUREF_INIT_DEAD |
				   PCPUREF_ALLOW_REINIT | PCPUREF_RELEASE_WORK |
				   PCPUREF_INIT_LAZY | PCPUREF_ALLOW_ZERO |
				   PCPUREF_MAY_LINGER;
	bool dead = flags & PCPUREF_INIT_DEAD;
	/* First: in code that the compiler outlines it would be this function. */
	unsigned long caller = _RET_IP_;
	struct pcpuref_client *client;
	struct pcpuref_data *d;
	unsigned long irqflags;

	check_init(ref, caller);

	/* Until all is well: what every other function takes for exited. */
	WRITE_ONCE(ref->word, __PCPUREF_ATOMIC | __PCPUREF_DEAD);
	WRITE_ONCE(ref->data, __pcpuref_gone(release));

	if (site->interface != __PCPUREF_INTERFACE) {
		pr_err_ratelimited("%pS is compiled for another pcpuref (interface %u, this is %u): compile it anew\n",
				   (void *)caller, site->interface, __PCPUREF_INTERFACE);
		return -ENOEXEC;
	}
	if (!release || (flags & ~known))
		return -EINVAL;
	if (site->readers && !PCPUREF_HAVE_READERS_TASKS)
		return -EOPNOTSUPP;

	client = __pcpuref_client(site, gfp);
	if (!client)
		return -ENOMEM;
	d = __pcpuref_alloc(flags, gfp, site->name ? NULL : name ?: "(null)");
	if (!d)
		return -ENOMEM;
	if (flags & PCPUREF_RELEASE_WORK)
		INIT_WORK(&__pcpuref_work(d)->work, __pcpuref_release_work);
	raw_spin_lock_init(&d->lock);
	refcount_set(&d->pins, 1);
	d->ref = ref;
	d->release = release;
	d->site = site;
	d->client = client;
	d->created = ktime_get_coarse_ns() >> CREATED_SHIFT;
	d->sampled = jiffies;
	d->tags = (flags & PCPUREF_INIT_LAZY ? __PCPUREF_LAZY : 0) | site->readers;
	if (site->readers)
		__pcpuref_grace_use_tasks();
	d->force_atomic = !!(flags & PCPUREF_INIT_ATOMIC);
	d->live = !dead;
	d->zero = dead;
	d->initial = !dead && !(flags & PCPUREF_ALLOW_ZERO);
	d->biased = d->counters && !dead && !(flags & PCPUREF_INIT_ATOMIC);
	d->tagged = !d->biased;
	atomic_long_set(&d->count, dead ? DEAD : 1 + (d->biased ? BIAS : 0));
	__pcpuref_list(d);
	/*
	 * Before lookups can find it: they may get, kill and exit it at once, and those who
	 * are told of the init forget what they knew of this address.
	 */
	if (unlikely(__pcpuref_logging())) {
		raw_spin_lock_irqsave(&d->lock, irqflags);
		__pcpuref_event(d, PCPUREF_STEP_INIT, PCPUREF_MODE_NONE, __pcpuref_mode(d),
				caller);
		raw_spin_unlock_irqrestore(&d->lock, irqflags);
	}

	/*
	 * Lookups in type-stable memory may meet an object that is being set up.
	 * Pairs with the dependent loads of whoever follows ref->data
	 * (litmus: e1-init-data, n2-tryget-reuse-slow).
	 */
	smp_store_release(&ref->data, d);
	/*
	 * Pairs with the dependent access in __pcpuref_add(), and with the smp_rmb() of
	 * who loads the data later (litmus: c4-init-add, e2-tryget-slow, n1-tryget-reuse).
	 */
	smp_store_release(&ref->word, (unsigned long)d->counters | d->tags |
			  (d->tagged ? __PCPUREF_ATOMIC : 0) |
			  (dead ? __PCPUREF_DEAD : 0));
	return 0;
}
EXPORT_SYMBOL_GPL(__pcpuref_init);

/* --- Exit --------------------------------------------------------------------- */

/*
 * Has nobody ever done anything to it, as far as can be known? Then what it holds
 * is the initial reference.
 */
static bool is_unused(const struct pcpuref_data *d)
{
	unsigned int cpu;

	lockdep_assert_held(&d->lock);

	if (d->used || READ_ONCE(d->stuck) || __pcpuref_held(d) + d->initial != d->live)
		return false;
	for (cpu = 0; d->counters && cpu < nr_cpu_ids; cpu++)
		/* No order: a snapshot. */
		if (cpu_possible(cpu) && READ_ONCE(*per_cpu_ptr(d->counters, cpu)))
			return false;
	return true;
}

static void check_exit(struct pcpuref_data *d, unsigned long caller)
{
	long held = __pcpuref_held(d);

	lockdep_assert_held(&d->lock);

	/* Pairs with the WRITE_ONCE() in __pcpuref_stick(). */
	if (READ_ONCE(d->stuck))
		return;
	if (d->busy)
		__pcpuref_misuse(d, PCPUREF_EXIT_SWITCHING, caller);
	/* With ALLOW_ZERO the initial reference is one of those. */
	else if (held && !(__pcpuref_allows_zero(d) && is_unused(d)))
		__pcpuref_misuse(d, PCPUREF_EXIT_HELD, caller);
	else if (d->zeroes || d->ended != (u16)(d->returned + d->running))
		__pcpuref_misuse(d, PCPUREF_EXIT_UNRELEASED, caller);
	else if (!d->live && !d->zero)
		__pcpuref_misuse(d, PCPUREF_EXIT_UNRELEASED, caller);
}

/*
 * Take the reference from its structure, which is all that remains. A release that
 * is running still returns, and wakes its waiters.
 */
void __pcpuref_orphan(struct pcpuref_data *d)
{
	lockdep_assert_held(&d->lock);

	__pcpuref_unlist(d);
	/* Pairs with the READ_ONCE() in describe_misuse(). */
	WRITE_ONCE(d->ref, NULL);
	d->ended = d->returned + d->running;
	__pcpuref_wake_failed(d, true, -ECANCELED);
	__pcpuref_wake_failed(d, false, -ECANCELED);
}

static void detach(struct pcpuref_data *d, unsigned long caller)
{
	struct pcpuref *ref = d->ref;
	bool zero;

	lockdep_assert_held(&d->lock);

	__pcpuref_event(d, PCPUREF_STEP_EXIT, __pcpuref_mode(d), PCPUREF_MODE_NONE, caller);
	/* What pcpuref_is_zero() says, it goes on to say. */
	zero = d->zero || (__pcpuref_allows_zero(d) && !atomic_long_read(&d->count));
	WRITE_ONCE(ref->word, __PCPUREF_ATOMIC | __PCPUREF_DEAD | EXITED |
		   (zero ? 0 : NONZERO));
	/* Pairs with the smp_load_acquire() in pcpuref_is_zero() (litmus: k1-detach-iszero). */
	smp_store_release(&ref->data, __pcpuref_gone(d->release));
	__pcpuref_orphan(d);
}

static void do_exit_of(struct pcpuref *ref, bool unused, unsigned long caller)
{
	struct pcpuref_data *d;
	unsigned long flags;

	d = __pcpuref_lock(ref, &flags);
	if (!d) {
		/* Pairs with the WRITE_ONCE() in detach(). */
		unsigned long word = READ_ONCE(ref->word);

		if (word & ~ALL_TAGS)
			__pcpuref_misuse_gone(ref, caller);
		else if (word & EXITED)
			__pcpuref_note_second_exit(ref, caller);
		return;
	}
	if (!unused)
		check_exit(d, caller);
	else if (d->busy || !is_unused(d))
		__pcpuref_misuse(d, PCPUREF_CANCEL_USED, caller);
	detach(d, caller);
	__pcpuref_unlock(d, flags);
	__pcpuref_unpin(d);
}

/* See pcpuref_exit(). */
void __pcpuref_exit(struct pcpuref *ref)
{
	do_exit_of(ref, false, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_exit);

/* See pcpuref_cancel_init(). */
void __pcpuref_cancel_init(struct pcpuref *ref)
{
	do_exit_of(ref, true, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_cancel_init);
