// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is out: for clients that are compiled with PCPUREF_DEBUG, what each task has got
 * of each reference, where, and has not put.
 *
 * WHOSE GET A PUT UNDOES
 *
 * A reference has no identity: nothing says which get a put belongs to. But this can
 * be known:
 *
 * - A task that has got a reference and not put it puts its own, not one that was
 *   handed to it. (This is assumed, and true of nearly all code. Of a task that
 *   holds one of its own while it puts another's, the two places change roles.)
 * - A function that gets a reference and puts one, puts the one that it got, be it
 *   with a helper that gets, or one that puts.
 * - So when a task has put as many as it has got, all of its gets are undone, in
 *   whatever order that was. Nothing is kept of it.
 * - As long as it has not, one of the places where it has got some is the right one. If
 *   there is one such place, that is it. If there are several, the put stays in the
 *   account as one that is not told yet, and places.c learns that this place puts what
 *   was got at one of these.
 * - What a task puts without having got any was handed to it, or an interrupt put it:
 *   then what it undoes is anywhere in the accounts of this reference. Likewise if it
 *   has got some, but none where this place ever put what was got: a task that has
 *   leaked one goes on to serve others. Such puts are in the account of the CPU. So is
 *   what is got where it is handed over, once that is known, and what an interrupt gets.
 *
 * What is known about the places that put is applied when somebody asks: suspects.c. So
 * what is learned late mends what came before, and the sums are right always.
 *
 * WHAT IT COSTS
 *
 * A table of fixed size, since gets come from every context. Its lines are found by
 * the reference and the task or CPU: so each has a lock that no other CPU wants, but
 * for those of which the hashes meet. What does not fit into a line is put in the
 * CPU's account, in nobody's name, and if that is full too, counted as lost.
 */
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/string.h>

#include "holders.h"
#include "pcpuref.h"
#include "pcpuref_debug.h"

/*
 * Puts of references that were handed over are looked into often enough to find out what
 * is put there, and too seldom to be noticed: the first ones, and then one in so many.
 */
#define FIRST_USES	64
#define LATER_USES	1024

static unsigned int max_holders = 8192;
module_param(max_holders, uint, 0444);
MODULE_PARM_DESC(max_holders, "Pairs of a reference and a task that holds it, that can be accounted (8192)");

/**
 * struct bucket - accounts whose hashes meet
 * @lock: of what follows
 * @used: bits of the accounts that have something in them (whether there are any, also
 *	without the lock)
 * @accounts: the others are zero, but for their names
 */
struct bucket {
	raw_spinlock_t		lock;
	unsigned long		used;
	struct pcpuref_account	accounts[WAYS];
} ____cacheline_aligned_in_smp;

static struct bucket *buckets;
static unsigned int nr_buckets;
static unsigned int span;
static atomic_long_t lost;

static unsigned int first_bucket(const struct pcpuref *ref)
{
	/* Both are powers of two. */
	return hash_ptr(ref, 16) * span & (nr_buckets - 1);
}

static struct bucket *bucket_of(const struct pcpuref *ref, const void *who)
{
	return &buckets[first_bucket(ref) + (hash_long((unsigned long)who, 16) & (span - 1))];
}

/* In whose name what an interrupt does is accounted, and what nobody's is. */
static const void *this_cpu_name(void)
{
	return (void *)(raw_smp_processor_id() + 1UL);
}

/* The account in use behind @account; the first one behind NULL. */
static struct pcpuref_account *next_account(struct bucket *bucket,
					    const struct pcpuref_account *account)
{
	unsigned int i = account ? account - bucket->accounts + 1 : 0;
	unsigned long used = bucket->used >> i;

	return used ? &bucket->accounts[i + __ffs(used)] : NULL;
}

/* The same of a task or CPU: an account may go on in another one of its bucket. */
static struct pcpuref_account *next_of(struct bucket *bucket,
				       const struct pcpuref_account *after,
				       const struct pcpuref *ref, const void *who, pid_t pid)
{
	struct pcpuref_account *account = next_account(bucket, after);

	while (account && (account->ref != ref || account->who != who || account->pid != pid))
		account = next_account(bucket, account);
	return account;
}

static struct pcpuref_slot *slot_in(struct pcpuref_account *account, place_t place)
{
	struct pcpuref_slot *slot;

	for (slot = account->slots; slot < account->slots + SLOTS; slot++)
		if (slot->place == place)
			return slot;
	return NULL;
}

static struct pcpuref_account *new_account(struct bucket *bucket, const struct pcpuref *ref,
					   const void *who, pid_t pid)
{
	unsigned int i = ffz(bucket->used);
	struct pcpuref_account *account;

	if (i >= WAYS)
		return NULL;
	account = &bucket->accounts[i];
	account->ref = ref;
	/* It may be the same task's as last time. */
	if (account->who != who || account->pid != pid) {
		account->who = who;
		account->pid = pid;
		strscpy(account->comm, pcpuref_account_is_common(account) ? "" : current->comm,
			sizeof(account->comm));
	}
	/* Pairs with the READ_ONCE() of who need not look into an empty one. */
	WRITE_ONCE(bucket->used, bucket->used | BIT(i));
	return account;
}

/* The slot of a place, for something to be added; NULL if there is no room. */
static struct pcpuref_slot *slot_for(struct bucket *bucket, const struct pcpuref *ref,
				     const void *who, pid_t pid, place_t place)
{
	struct pcpuref_slot *slot, *room = NULL;
	struct pcpuref_account *account = NULL;

	lockdep_assert_held(&bucket->lock);

	while ((account = next_of(bucket, account, ref, who, pid))) {
		slot = slot_in(account, place);
		if (slot)
			return slot;
		room = room ?: slot_in(account, 0);
	}
	if (!room) {
		account = new_account(bucket, ref, who, pid);
		room = account ? account->slots : NULL;
	}
	if (room)
		room->place = place;
	return room;
}

static bool add(const struct pcpuref *ref, const void *who, pid_t pid, place_t place,
		s64 nr)
{
	struct bucket *bucket = bucket_of(ref, who);
	struct pcpuref_slot *slot;
	unsigned long flags;

	if (!pcpuref_holders_lock(&bucket->lock, &flags))
		return false;
	slot = slot_for(bucket, ref, who, pid, place);
	if (slot) {
		slot->count += nr;
		slot->when = jiffies;
	}
	pcpuref_holders_unlock(&bucket->lock, flags);
	return slot;
}

/* A CPU may change under this: any CPU's account will do. */
static void add_in_common(const struct pcpuref *ref, place_t place, s64 nr)
{
	if (!place || !add(ref, this_cpu_name(), 0, place, nr))
		atomic_long_inc(&lost);
}

/* Built into the kernel, a client may come first. */
static bool is_ready(void)
{
	/* Pairs with __pcpuref_accounts_init() (litmus: p1-publish). */
	if (likely(smp_load_acquire(&buckets)))
		return true;
	atomic_long_inc(&lost);
	return false;
}

/**
 * __pcpuref_note_get - account gets of the calling place
 * @ref: a reference of which the caller now holds @nr
 * @nr: how many
 * @call: identifies the call in the source: the same for all copies that the compiler makes
 * @caller: return address of the function that it is in
 *
 * What pcpuref_get() and its kin do in addition with PCPUREF_DEBUG.
 *
 * Context: any.
 */
void __pcpuref_note_get(struct pcpuref *ref, unsigned long nr, const void *call,
			unsigned long caller)
{
	place_t place;

	if (!is_ready())
		return;
	place = __pcpuref_place(_RET_IP_, caller, call);
	if (!place || !in_task() || __pcpuref_place_is_handed_over(place) ||
	    !add(ref, current, current->pid, place, nr))
		add_in_common(ref, place, nr);
}
EXPORT_SYMBOL_GPL(__pcpuref_note_get);

static bool is_empty(const struct pcpuref_account *account)
{
	const struct pcpuref_slot *slot;

	for (slot = account->slots; slot < account->slots + SLOTS; slot++)
		if (slot->place)
			return false;
	return true;
}

static void clear(struct bucket *bucket, struct pcpuref_account *account)
{
	lockdep_assert_held(&bucket->lock);

	memset(account->slots, 0, sizeof(account->slots));
	/* As in new_account(). */
	WRITE_ONCE(bucket->used, bucket->used & ~BIT(account - bucket->accounts));
}

/* Less of what was got at a place. */
static void undo(struct bucket *bucket, struct pcpuref_account *account,
		 struct pcpuref_slot *slot, s64 nr)
{
	lockdep_assert_held(&bucket->lock);

	slot->count -= nr;
	if (slot->count)
		return;
	memset(slot, 0, sizeof(*slot));
	if (is_empty(account))
		clear(bucket, account);
}

/*
 * Undo gets of the present task's own, @nr at most. @open becomes the places of which
 * one is what is undone. Return: how many are undone.
 */
static unsigned long put_own(const struct pcpuref *ref, place_t place, unsigned long nr,
			     place_t *open, unsigned int *nr_open)
{
	struct bucket *bucket = bucket_of(ref, current);
	struct pcpuref_account *account, *account_of_one = NULL;
	struct pcpuref_slot *slot, *one = NULL;
	unsigned int kinship, nearest = 0, nr_slots = 0;
	unsigned long flags;
	s64 held = 0;

	*nr_open = 0;
	if (!pcpuref_holders_lock(&bucket->lock, &flags))
		return 0;
	account = NULL;
	while ((account = next_of(bucket, account, ref, current, current->pid))) {
		for (slot = account->slots; slot < account->slots + SLOTS; slot++) {
			held += slot->count;
			nr_slots += !!slot->place;
			if (slot->count <= 0)
				continue;
			kinship = slot->count < (s64)nr ? 0 :
				  __pcpuref_place_kinship(place, slot->place);
			if (kinship < nearest)
				continue;
			if (kinship > nearest)
				*nr_open = 0;
			nearest = kinship;
			one = slot;
			account_of_one = account;
			open[(*nr_open)++] = slot->place;
		}
	}
	if (!*nr_open ||
	    (nearest < 2 && !__pcpuref_place_may_put_any(place, open, *nr_open))) {
		/* It has none, or this is none of those that it has: see above. */
		nr = 0;
		*nr_open = 0;
	} else if (nr_slots > 1 && (s64)nr >= held) {
		nr = held;
		account = NULL;
		while ((account = next_of(bucket, account, ref, current, current->pid)))
			clear(bucket, account);
	} else if (*nr_open == 1) {
		nr = min_t(s64, nr, one->count);
		undo(bucket, account_of_one, one, nr);
	} else {
		one = slot_for(bucket, ref, current, current->pid, place);
		if (one) {
			one->count -= nr;
			one->when = jiffies;
		} else {
			nr = 0;
		}
	}
	pcpuref_holders_unlock(&bucket->lock, flags);
	return nr;
}

/**
 * __pcpuref_note_put - account puts that are to follow
 * @ref: a reference of which the caller holds @nr
 * @nr: how many
 * @call: identifies the call in the source: the same for all copies that the compiler makes
 * @caller: return address of the function that it is in
 *
 * What pcpuref_put() and its kin do before with PCPUREF_DEBUG.
 *
 * Context: any.
 */
void __pcpuref_note_put(struct pcpuref *ref, unsigned long nr, const void *call,
			unsigned long caller)
{
	place_t open[WAYS * SLOTS];
	unsigned int nr_open = 0, nth;
	place_t place;

	BUILD_BUG_ON(WAYS * SLOTS > MAX_OPEN);
	if (!is_ready())
		return;
	place = __pcpuref_place(_RET_IP_, caller, call);
	if (place && in_task() && !__pcpuref_place_is_handed_over(place)) {
		nr -= put_own(ref, place, nr, open, &nr_open);
		__pcpuref_place_learn(place, open, nr_open);
	}
	if (!nr)
		return;
	nth = place ? __pcpuref_place_nth_use(place) : 0;
	if (nth && (nth <= FIRST_USES || !(nth % LATER_USES)))
		__pcpuref_suspects_learn(ref, place, nth);
	add_in_common(ref, place, -(s64)nr);
}
EXPORT_SYMBOL_GPL(__pcpuref_note_put);

/* --- All of a reference ------------------------------------------------------------ */

/* @common_puts: only what is put in a CPU's account, or only all else. */
static void tell(const struct pcpuref_account *account, bool common_puts,
		 pcpuref_slot_func_t *func)
{
	bool common = pcpuref_account_is_common(account);
	const struct pcpuref_slot *slot;

	for (slot = account->slots; slot < account->slots + SLOTS; slot++)
		if (slot->place && (common && slot->count < 0) == common_puts)
			func(account, slot);
}

/* NULL if there are none yet: the probes are attached before. */
static struct bucket *first_of(const struct pcpuref *ref)
{
	/* Pairs with __pcpuref_accounts_init() (litmus: p1-publish). */
	struct bucket *first = smp_load_acquire(&buckets);

	return first ? first + first_bucket(ref) : NULL;
}

static void tell_all(const struct pcpuref *ref, bool common_puts, pcpuref_slot_func_t *func)
{
	struct bucket *bucket = first_of(ref), *end;
	struct pcpuref_account *account;
	unsigned long flags;

	if (!bucket)
		return;
	for (end = bucket + span; bucket < end; bucket++) {
		raw_spin_lock_irqsave(&bucket->lock, flags);
		account = NULL;
		while ((account = next_account(bucket, account)))
			if (account->ref == ref)
				tell(account, common_puts, func);
		raw_spin_unlock_irqrestore(&bucket->lock, flags);
	}
}

/*
 * What is put in the CPUs' accounts first, then what is got, and with it the accounts of
 * tasks, each as it is at one moment. So whatever is going on, none is told as put that
 * is not told as got.
 */
void __pcpuref_accounts_of(const struct pcpuref *ref, pcpuref_slot_func_t *func)
{
	tell_all(ref, true, func);
	tell_all(ref, false, func);
}

/* The address may be another reference's from now on. */
void __pcpuref_accounts_forget(const struct pcpuref *ref)
{
	struct bucket *bucket = first_of(ref), *end;
	struct pcpuref_account *account;
	unsigned long flags;

	if (!bucket)
		return;
	for (end = bucket + span; bucket < end; bucket++) {
		/*
		 * Nobody gets or puts any more what is forgotten. Pairs with the
		 * WRITE_ONCE() in new_account() and clear().
		 */
		if (!READ_ONCE(bucket->used))
			continue;
		raw_spin_lock_irqsave(&bucket->lock, flags);
		account = NULL;
		while ((account = next_account(bucket, account)))
			if (account->ref == ref)
				clear(bucket, account);
		raw_spin_unlock_irqrestore(&bucket->lock, flags);
	}
}

static bool has_puts(struct bucket *bucket, const struct pcpuref_account *account)
{
	struct pcpuref_account *part = NULL;
	unsigned int i;

	while ((part = next_of(bucket, part, account->ref, account->who, account->pid)))
		for (i = 0; i < SLOTS; i++)
			if (part->slots[i].count < 0)
				return true;
	return false;
}

/*
 * Take what a task has got, and others put, out of its name, into a CPU's: which bucket
 * that is in does not matter to who looks for it.
 */
static void take_out(struct bucket *bucket, struct pcpuref_account *account)
{
	struct pcpuref_account key = *account;
	struct pcpuref_slot *slot, *other;
	bool any = false, puts = has_puts(bucket, account);

	for (slot = account->slots; slot < account->slots + SLOTS; slot++) {
		if (!slot->place || !__pcpuref_place_is_handed_over(slot->place))
			continue;
		any = true;
		other = puts ? NULL : slot_for(bucket, key.ref, this_cpu_name(), 0, slot->place);
		if (!other)
			continue;
		other->count += slot->count;
		other->when = slot->when;
		undo(bucket, account, slot, slot->count);
	}
	if (!any || !puts)
		return;
	/* Some of it may have been put since: by which of these, nobody knows yet. */
	while ((account = next_of(bucket, NULL, key.ref, key.who, key.pid))) {
		account->who = this_cpu_name();
		account->pid = 0;
		account->comm[0] = '\0';
	}
}

/* What is handed over is nobody's, from now on. */
void __pcpuref_accounts_in_common(void)
{
	struct pcpuref_account *account;
	struct bucket *bucket;
	unsigned long flags;

	for (bucket = buckets; bucket < buckets + nr_buckets; bucket++) {
		/* Pairs with the WRITE_ONCE() in new_account() and clear(). */
		if (!READ_ONCE(bucket->used))
			continue;
		raw_spin_lock_irqsave(&bucket->lock, flags);
		account = NULL;
		while ((account = next_account(bucket, account)))
			if (!pcpuref_account_is_common(account))
				take_out(bucket, account);
		raw_spin_unlock_irqrestore(&bucket->lock, flags);
	}
}

/* Bits of the places that are in an account. */
void __pcpuref_accounts_places(unsigned long *used)
{
	struct pcpuref_account *account;
	struct bucket *bucket;
	unsigned long flags;
	unsigned int i;

	for (bucket = buckets; bucket < buckets + nr_buckets; bucket++) {
		raw_spin_lock_irqsave(&bucket->lock, flags);
		account = NULL;
		while ((account = next_account(bucket, account)))
			for (i = 0; i < SLOTS; i++)
				__set_bit(account->slots[i].place, used);
		raw_spin_unlock_irqrestore(&bucket->lock, flags);
	}
}

/* Gets and puts of all references that did not fit. */
unsigned long __pcpuref_accounts_lost(void)
{
	return atomic_long_read(&lost);
}

int __pcpuref_accounts_init(void)
{
	struct bucket *new;
	unsigned int i;

	nr_buckets = rounddown_pow_of_two(clamp_t(unsigned int, max_holders, WAYS, BIT(24)) / WAYS);
	span = min_t(unsigned int, nr_buckets, SPAN);
	new = kvcalloc(nr_buckets, sizeof(*new), GFP_KERNEL);
	if (!new)
		return -ENOMEM;
	for (i = 0; i < nr_buckets; i++)
		raw_spin_lock_init(&new[i].lock);
	/* Pairs with the smp_load_acquire() in is_ready() (litmus: p1-publish). */
	smp_store_release(&buckets, new);
	return 0;
}

void __pcpuref_accounts_exit(void)
{
	kvfree(buckets);
	buckets = NULL;
}
