/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Gets and puts that are accounted by call site and task, for a client that is compiled
 * with -DPCPUREF_DEBUG. Only pcpuref.h includes this. The functions are in
 * pcpuref_holders.ko.
 */
#ifndef PCPUREF_DEBUG_H
#define PCPUREF_DEBUG_H

/*
 * Account a get that has succeeded, or a put that is about to be made. @call identifies the
 * call site: the compiler may make several calls of one, and all have the same @call.
 */
void __pcpuref_note_get(struct pcpuref *ref, unsigned long nr, const void *call,
			unsigned long caller);
void __pcpuref_note_put(struct pcpuref *ref, unsigned long nr, const void *call,
			unsigned long caller);

#ifdef PCPUREF_DEBUG
/*
 * Each call is made in the client's function, so the return address names that
 * function; the barrier() keeps the compiler from making it a tail call. _RET_IP_ is the
 * caller of the client's function, which tells the users of a helper apart. A get is
 * noted after it was made, and a put before, so a note is only made while a reference is
 * held.
 */
#define __pcpuref_note(what, ref, nr)					\
({									\
	static const char __call;					\
									\
	__pcpuref_note_##what(ref, nr, &__call, _RET_IP_);		\
})

#define __pcpuref_noted_get(func, ref, nr)				\
({									\
	struct pcpuref *__noted = (ref);				\
	unsigned long __nr = (nr);					\
									\
	func(__noted, __nr);						\
	__pcpuref_note(get, __noted, __nr);				\
	barrier();							\
})

/* The value of a statement expression may be ignored without a warning, this not. */
static __always_inline bool __must_check __pcpuref_answer(bool taken)
{
	return taken;
}

#define __pcpuref_noted_tryget(func, ref, nr)				\
__pcpuref_answer(({							\
	struct pcpuref *__noted = (ref);				\
	unsigned long __nr = (nr);					\
	bool __taken = func(__noted, __nr);				\
									\
	if (__taken)							\
		__pcpuref_note(get, __noted, __nr);			\
	barrier();							\
	__taken;							\
}))

#define __pcpuref_noted_put(func, ref, nr)				\
({									\
	struct pcpuref *__noted = (ref);				\
	unsigned long __nr = (nr);					\
									\
	__pcpuref_note(put, __noted, __nr);				\
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

#endif /* PCPUREF_DEBUG_H */
