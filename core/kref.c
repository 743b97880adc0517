// SPDX-License-Identifier: GPL-2.0-only
/* The slow paths of the four-byte count, see pcpuref_kref.h. */
#include <linux/atomic.h>
#include <linux/bug.h>
#include <linux/export.h>
#include <linux/kernel.h>

#include "pcpuref_kref.h"

static noinline void report(struct pcpuref_kref *kref, const char *what,
			    unsigned long caller)
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
		report(kref, old ? "overflow" : "get on zero", _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_kref_bad_get);

void __pcpuref_kref_bad_put(struct pcpuref_kref *kref, int old)
{
	atomic_set(&kref->count, __PCPUREF_KREF_SATURATED);
	if (!old)
		report(kref, "put on zero", _RET_IP_);
}
EXPORT_SYMBOL_GPL(__pcpuref_kref_bad_put);

/* The last reference is gone, and nobody knows how to free the object. */
void __pcpuref_kref_no_release(struct pcpuref_kref *kref)
{
	report(kref, "put without a release function", _RET_IP_);
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
		/* As in pcpuref_kref_put() (litmus: b1-lastput-release). */
	} while (!atomic_try_cmpxchg_release(&kref->count, &old, new));

	/* Only one of several gets here with the zero that there was. */
	if (unlikely(!old))
		report(kref, "put on zero", _RET_IP_);
	return true;
}
EXPORT_SYMBOL_GPL(__pcpuref_kref_put_unless_last);
