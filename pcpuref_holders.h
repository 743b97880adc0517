/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who holds a reference. The functions are in pcpuref_holders.ko.
 *
 * By call site, without a change of the source: a client that is compiled with
 * -DPCPUREF_DEBUG has its gets and puts accounted, by where they are called and
 * by which task. Do not include this file for that, pcpuref.h does.
 *
 * Exactly, with tokens: pcpuref_get_tracked() remembers stack, task and time
 * until pcpuref_put_tracked() is given the same token.
 *
 * Both are printed by pcpuref_dump(), by pcpuref_watch.ko when a reference is
 * stuck, and when a reference exits while somebody holds it.
 */

/* First, also before the guard: with PCPUREF_DEBUG it comes back here midway. */
#include "pcpuref.h"

#ifndef PCPUREF_HOLDERS_H
#define PCPUREF_HOLDERS_H

#include <linux/compiler.h>
#include <linux/gfp.h>
#include <linux/types.h>

struct pcpuref_tracker;

/**
 * struct pcpuref_token - one tracked reference
 * @tracker: private
 *
 * Zeroed to begin with. Its memory is the client's, and is not looked at between
 * get and put: a token that is lost is found all the same.
 */
struct pcpuref_token {
	struct pcpuref_tracker	*tracker;
};

void pcpuref_get_tracked(struct pcpuref *ref, struct pcpuref_token *token, gfp_t gfp);
bool __must_check pcpuref_tryget_tracked(struct pcpuref *ref,
					 struct pcpuref_token *token, gfp_t gfp);
bool __must_check pcpuref_tryget_live_tracked(struct pcpuref *ref,
					      struct pcpuref_token *token, gfp_t gfp);
bool pcpuref_put_tracked(struct pcpuref *ref, struct pcpuref_token *token);

/* Account a get that has succeeded, or a put that is to follow. */
void __pcpuref_note_get(struct pcpuref *ref, unsigned long nr);
void __pcpuref_note_put(struct pcpuref *ref, unsigned long nr);

#ifdef PCPUREF_DEBUG
/*
 * Each call stands where the client's does, so that the return address names
 * it; the barrier() keeps it from becoming a jump. A get is noted while it is
 * held, and a put before it is given up: a note never outlives the reference.
 */
#define __pcpuref_noted_get(func, ref, nr)				\
({									\
	struct pcpuref *__noted = (ref);				\
	unsigned long __nr = (nr);					\
									\
	func(__noted, __nr);						\
	__pcpuref_note_get(__noted, __nr);				\
	barrier();							\
})

#define __pcpuref_noted_tryget(func, ref, nr)				\
({									\
	struct pcpuref *__noted = (ref);				\
	unsigned long __nr = (nr);					\
	bool __taken = func(__noted, __nr);				\
									\
	if (__taken)							\
		__pcpuref_note_get(__noted, __nr);			\
	barrier();							\
	__taken;							\
})

#define __pcpuref_noted_put(func, ref, nr)				\
({									\
	struct pcpuref *__noted = (ref);				\
	unsigned long __nr = (nr);					\
									\
	__pcpuref_note_put(__noted, __nr);				\
	func(__noted, __nr);						\
})

static __always_inline bool __must_check
__pcpuref_tryget_live_rcu_many(struct pcpuref *ref, unsigned long nr)
{
	return pcpuref_tryget_live_rcu(ref);
}

#define pcpuref_get_many(ref, nr)	__pcpuref_noted_get((pcpuref_get_many), ref, nr)
#define pcpuref_get(ref)		pcpuref_get_many(ref, 1)
#define pcpuref_tryget_many(ref, nr)	__pcpuref_noted_tryget((pcpuref_tryget_many), ref, nr)
#define pcpuref_tryget(ref)		pcpuref_tryget_many(ref, 1)
#define pcpuref_get_unless_zero(ref)	pcpuref_tryget_many(ref, 1)
#define pcpuref_tryget_live_many(ref, nr) \
	__pcpuref_noted_tryget((pcpuref_tryget_live_many), ref, nr)
#define pcpuref_tryget_live(ref)	pcpuref_tryget_live_many(ref, 1)
#define pcpuref_tryget_live_rcu(ref) \
	__pcpuref_noted_tryget(__pcpuref_tryget_live_rcu_many, ref, 1)
#define pcpuref_put_many(ref, nr)	__pcpuref_noted_put((pcpuref_put_many), ref, nr)
#define pcpuref_put(ref)		pcpuref_put_many(ref, 1)
#endif /* PCPUREF_DEBUG */

#endif /* PCPUREF_HOLDERS_H */
