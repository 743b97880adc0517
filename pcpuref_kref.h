/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pcpuref_kref - a reference count of four bytes, for objects of which there are
 * millions, or that few CPUs use. struct pcpuref is for objects that are few and
 * that many CPUs use. Documentation/kref.rst shows lookups for each of them.
 *
 * The interface is that of the kernel's kref, and the counting behaves as
 * refcount_t is documented to:
 *
 *	INT_MIN             0   1                             INT_MAX
 *	   |--- saturated ---|  |-------- references ----------|
 *	      (centre)       dead
 *
 * A count that would overflow, or is used when it should not be (a get or a put
 * at zero), is set to the middle of the saturated range and stays there: the
 * object leaks, and is never freed while it is in use. The misuse is reported, with
 * its caller; what happens to a saturated count later is not reported.
 *
 * Memory ordering is that of refcount_t. A get orders nothing: its caller has a
 * reference, or a lookup with an ordering of its own. A put is a release, and the put
 * that comes to zero is also an acquire: the release function sees everything that the
 * holders did to the object. Init orders nothing: in
 * memory where lookups may still meet the object that was there before
 * (SLAB_TYPESAFE_BY_RCU) the client needs a write barrier between what lookups compare
 * and init, and a read barrier after the get (litmus: n3-kref-reuse).
 */
#ifndef PCPUREF_KREF_H
#define PCPUREF_KREF_H

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/limits.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/**
 * struct pcpuref_kref - a reference count, to be embedded in what it counts
 * @count: private
 */
struct pcpuref_kref {
	atomic_t count;
};

#define __PCPUREF_KREF_SATURATED (INT_MIN / 2)

/*
 * The slow paths; @old is what the operation found. Each is followed by a
 * barrier(): as a tail call it would see, and report, the caller's caller.
 */
void __pcpuref_kref_bad_get(struct pcpuref_kref *kref, int old);
void __pcpuref_kref_bad_put(struct pcpuref_kref *kref, int old);
void __pcpuref_kref_no_release(struct pcpuref_kref *kref);

/**
 * PCPUREF_KREF_INIT - initialise statically
 * @n: how many references there are to begin with
 */
#define PCPUREF_KREF_INIT(n) { .count = ATOMIC_INIT(n) }

/**
 * pcpuref_kref_init - initialise with one reference
 * @kref: the count; nobody else may know it yet
 *
 * There is nothing to undo: no function pairs with it. Counterpart of kref_init().
 *
 * Context: any.
 */
static inline void pcpuref_kref_init(struct pcpuref_kref *kref)
{
	atomic_set(&kref->count, 1);
}

/**
 * pcpuref_kref_read - how many references there are
 * @kref: the count
 *
 * Only a hint unless the caller excludes gets and puts. Counterpart of kref_read().
 *
 * Context: any.
 * Return: the count; a saturated one is very large.
 */
static inline unsigned int pcpuref_kref_read(const struct pcpuref_kref *kref)
{
	return atomic_read(&kref->count);
}

/**
 * pcpuref_kref_get - take a reference
 * @kref: a count of which the caller holds a reference
 *
 * Pairs with pcpuref_kref_put() and its kin. Relaxed. Counterpart of kref_get().
 *
 * Context: any.
 */
static __always_inline void pcpuref_kref_get(struct pcpuref_kref *kref)
{
	int old = atomic_fetch_add_relaxed(1, &kref->count);

	if (unlikely(old <= 0 || old == INT_MAX)) {
		__pcpuref_kref_bad_get(kref, old);
		barrier();
	}
}

/**
 * pcpuref_kref_get_unless_zero - take a reference if there is one at all
 * @kref: a count in memory that cannot go away, by a lock or by RCU
 *
 * For lookups. A count of zero means that the object is being released, and stays
 * zero. pcpuref_tryget_live() is its counterpart for &struct pcpuref. Pairs
 * with pcpuref_kref_put() and its variants. Relaxed. Counterpart of kref_get_unless_zero().
 *
 * Context: any.
 * Return: true if taken (a saturated count stays saturated), false at zero.
 */
static __always_inline bool __must_check
pcpuref_kref_get_unless_zero(struct pcpuref_kref *kref)
{
	int old = atomic_read(&kref->count);

	do {
		if (!old)
			return false;
	} while (!atomic_try_cmpxchg_relaxed(&kref->count, &old, old + 1));

	if (unlikely(old < 0 || old == INT_MAX)) {
		__pcpuref_kref_bad_get(kref, old);
		barrier();
	}
	return true;
}

/**
 * pcpuref_kref_put - drop a reference
 * @kref: a count of which the caller holds a reference
 * @release: called if that was the last one, usually to free the object
 *
 * Release; acquire too if it was the last. Pairs with pcpuref_kref_get().
 * Without @release the object leaks, and that is reported. Counterpart of kref_put().
 *
 * Context: any that @release allows.
 * Return: 1 if @release was called, else 0; after 0 the object may be gone too.
 */
static __always_inline int
pcpuref_kref_put(struct pcpuref_kref *kref,
		 void (*release)(struct pcpuref_kref *kref))
{
	int old = atomic_fetch_sub_release(1, &kref->count);

	if (old == 1) {
		/* Pairs with the release of every other put (litmus: b1-lastput-release). */
		smp_acquire__after_ctrl_dep();
		if (likely(release)) {
			release(kref);
			return 1;
		}
		__pcpuref_kref_no_release(kref);
		barrier();
	} else if (unlikely(old <= 0)) {
		__pcpuref_kref_bad_put(kref, old);
		barrier();
	}
	return 0;
}

bool __pcpuref_kref_put_unless_last(struct pcpuref_kref *kref);

/**
 * pcpuref_kref_put_mutex - drop a reference, and if it is the last, under a mutex
 * @kref: a count of which the caller holds a reference
 * @release: called with @mutex held, which it must unlock
 * @mutex: what lookups hold
 *
 * The mutex is taken only when the count may come to zero. Pairs with
 * pcpuref_kref_get() and its kin. Counterpart of kref_put_mutex().
 *
 * Context: task, may sleep.
 * Return: 1 if @release was called, else 0.
 */
static __always_inline int
pcpuref_kref_put_mutex(struct pcpuref_kref *kref,
		       void (*release)(struct pcpuref_kref *kref),
		       struct mutex *mutex)
{
	if (__pcpuref_kref_put_unless_last(kref))
		return 0;
	mutex_lock(mutex);
	if (pcpuref_kref_put(kref, release))
		return 1;
	mutex_unlock(mutex);
	return 0;
}

/**
 * pcpuref_kref_put_lock - drop a reference, and if it is the last, under a lock
 * @kref: a count of which the caller holds a reference
 * @release: called with @lock held, which it must unlock
 * @lock: what lookups hold
 *
 * The lock is taken only when the count may come to zero. Pairs with
 * pcpuref_kref_get() and its kin. Counterpart of kref_put_lock().
 *
 * Context: any in which spin_lock(@lock) is right.
 * Return: 1 if @release was called, else 0.
 */
static __always_inline int
pcpuref_kref_put_lock(struct pcpuref_kref *kref,
		      void (*release)(struct pcpuref_kref *kref),
		      spinlock_t *lock)
{
	if (__pcpuref_kref_put_unless_last(kref))
		return 0;
	spin_lock(lock);
	if (pcpuref_kref_put(kref, release)) {
		/* For sparse: release has unlocked. */
		__release(lock);
		return 1;
	}
	spin_unlock(lock);
	return 0;
}

#endif /* PCPUREF_KREF_H */
