/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * With this, code that is written for percpu_ref is compiled for pcpuref.
 *
 * For a module, its Kbuild includes compat/Kbuild.include, and no source is changed.
 * Then "struct percpu_ref" in the module's own files is a struct pcpuref. The headers
 * of the kernel that mention a percpu_ref are compiled first, with the kernel's
 * meaning: the reference of a request queue, a cgroup or a page map stays a
 * percpu_ref. The functions take either kind, and call the function of that kind. A
 * pointer to one kind where the other is expected is a compile error.
 *
 * For a whole kernel: include/linux/percpu-refcount.h of the tree defines
 * PCPUREF_COMPAT_WHOLE_KERNEL and includes this. See
 * Documentation/in-a-kernel-tree.rst.
 *
 * What the build can ask for:
 *
 * PCPUREF_COMPAT_ALLOW_ZERO, strings separated by commas: references whose
 *	expression in percpu_ref_init() contains one of them have PCPUREF_ALLOW_ZERO. For
 *	references whose initial reference is put without a kill. "" is in every
 *	expression.
 * PCPUREF_COMPAT_MAY_LINGER, strings like these: the references have
 *	PCPUREF_MAY_LINGER.
 * PCPUREF_COMPAT_KREF: the module's krefs are struct pcpuref_kref.
 * PCPUREF_DEBUG: gets and puts are accounted by call site.
 *
 * Functions return what those of percpu_ref return. If a request is refused, only
 * the log says so. Documentation/porting.rst says what behaves differently.
 */
#ifndef PCPUREF_COMPAT_H
#define PCPUREF_COMPAT_H

#ifdef PCPUREF_COMPAT_WHOLE_KERNEL
#include "pcpuref.h"

enum {
	PERCPU_REF_INIT_ATOMIC	= PCPUREF_INIT_ATOMIC,
	PERCPU_REF_INIT_DEAD	= PCPUREF_INIT_DEAD,
	PERCPU_REF_ALLOW_REINIT	= PCPUREF_ALLOW_REINIT,
};

/* The function for @ref. */
#define __pcpuref_compat(op, ref)	pcpuref_compat_##op
#else
/* The kernel's own headers: see compat/wrap.sh. */
#define PCPUREF_COMPAT_CORE
#include <linux/percpu-refcount.h>
#ifdef PCPUREF_COMPAT_KREF
#include <linux/kref.h>
#include "pcpuref_kref.h"
#endif
#include <linux/build_bug.h>
#include "pcpuref.h"
#undef PCPUREF_COMPAT_CORE

/* The kernel's meaning of the names, before the macros below change it. */
typedef struct percpu_ref __pcpuref_compat_ref;
typedef percpu_ref_func_t __pcpuref_compat_func;

/* Flags are passed on as they are. */
static_assert(PCPUREF_INIT_ATOMIC == (int)PERCPU_REF_INIT_ATOMIC);
static_assert(PCPUREF_INIT_DEAD == (int)PERCPU_REF_INIT_DEAD);
static_assert(PCPUREF_ALLOW_REINIT == (int)PERCPU_REF_ALLOW_REINIT);

/* The two kinds of init as functions of one shape. */
static __always_inline int __must_check
__pcpuref_compat_kernel_init(__pcpuref_compat_ref *ref, __pcpuref_compat_func *release,
			     unsigned int flags, gfp_t gfp, struct pcpuref_site *site)
{
	return percpu_ref_init(ref, release, flags, gfp);
}

#define percpu_ref_init_at		__pcpuref_compat_kernel_init

#define __pcpuref_compat(op, ref)					\
	_Generic((ref),							\
		 __pcpuref_compat_ref *: percpu_ref_##op,		\
		 struct pcpuref *: pcpuref_compat_##op)

/*
 * A module waits for the callbacks of its kills before it is unloaded. The kill of
 * percpu_ref sleeps while a switch is in flight, so there is one RCU callback to wait
 * for. That of pcpuref does not sleep; there one callback may lead to the next, so
 * rcu_barrier() also calls pcpuref_barrier().
 */
static inline void __pcpuref_compat_rcu_barrier(void)
{
	pcpuref_barrier();
	rcu_barrier();
}

#define rcu_barrier()		__pcpuref_compat_rcu_barrier()
#endif

#ifndef PCPUREF_CORE
/* The part of percpu_ref_data that drivers look at: rdmavt prints the count. */
struct pcpuref_data {
	atomic_long_t count;
};
#endif

/* --- percpu_ref's functions, with its return types ------------------------- */

#if defined(PCPUREF_COMPAT_ALLOW_ZERO) || defined(PCPUREF_COMPAT_MAY_LINGER)
#include <linux/string.h>

/* Is one of @words, the last of which is NULL, in @name? */
static inline bool __pcpuref_compat_has(const char *name, const char *const *words)
{
	for (; *words; words++)
		if (strstr(name, *words))
			return true;
	return false;
}
#endif

static inline unsigned int __pcpuref_compat_flags(const char *name)
{
	unsigned int flags = 0;

#ifdef PCPUREF_COMPAT_ALLOW_ZERO
	static const char *const usage[] = { PCPUREF_COMPAT_ALLOW_ZERO, NULL };

	if (__pcpuref_compat_has(name, usage))
		flags |= PCPUREF_ALLOW_ZERO;
#endif
#ifdef PCPUREF_COMPAT_MAY_LINGER
	static const char *const lingering[] = { PCPUREF_COMPAT_MAY_LINGER, NULL };

	if (__pcpuref_compat_has(name, lingering))
		flags |= PCPUREF_MAY_LINGER;
#endif
	return flags;
}

static __always_inline int __must_check
pcpuref_compat_init_at(struct pcpuref *ref, pcpuref_func_t *release,
		       unsigned int flags, gfp_t gfp, struct pcpuref_site *site)
{
	return __pcpuref_init_at(ref, release, flags | __pcpuref_compat_flags(site->name),
				 gfp, NULL, site);
}

static __always_inline void pcpuref_compat_exit(struct pcpuref *ref)
{
	pcpuref_exit(ref);
}

static __always_inline void pcpuref_compat_kill(struct pcpuref *ref)
{
	pcpuref_kill(ref);
}

static __always_inline void
pcpuref_compat_kill_and_confirm(struct pcpuref *ref, pcpuref_func_t *confirm)
{
	pcpuref_kill_and_confirm(ref, confirm);
}

static __always_inline void pcpuref_compat_reinit(struct pcpuref *ref)
{
	pcpuref_reinit(ref);
}

static __always_inline void pcpuref_compat_resurrect(struct pcpuref *ref)
{
	pcpuref_resurrect(ref);
}

static __always_inline void
pcpuref_compat_switch_to_atomic(struct pcpuref *ref, pcpuref_func_t *confirm)
{
	pcpuref_switch_to_atomic(ref, confirm);
}

static __always_inline void pcpuref_compat_switch_to_atomic_sync(struct pcpuref *ref)
{
	pcpuref_switch_to_atomic_sync(ref);
}

static __always_inline void pcpuref_compat_switch_to_percpu(struct pcpuref *ref)
{
	pcpuref_switch_to_percpu(ref);
}

static __always_inline void pcpuref_compat_get(struct pcpuref *ref)
{
	pcpuref_get(ref);
}

static __always_inline void
pcpuref_compat_get_many(struct pcpuref *ref, unsigned long nr)
{
	pcpuref_get_many(ref, nr);
}

/* Not __must_check, since those of percpu_ref are not. */
static __always_inline bool pcpuref_compat_tryget(struct pcpuref *ref)
{
	return pcpuref_tryget(ref);
}

static __always_inline bool
pcpuref_compat_tryget_many(struct pcpuref *ref, unsigned long nr)
{
	return pcpuref_tryget_many(ref, nr);
}

static __always_inline bool pcpuref_compat_tryget_live(struct pcpuref *ref)
{
	return pcpuref_tryget_live(ref);
}

static __always_inline bool pcpuref_compat_tryget_live_rcu(struct pcpuref *ref)
{
	return pcpuref_tryget_live_rcu(ref);
}

static __always_inline void pcpuref_compat_put(struct pcpuref *ref)
{
	pcpuref_put(ref);
}

static __always_inline void
pcpuref_compat_put_many(struct pcpuref *ref, unsigned long nr)
{
	pcpuref_put_many(ref, nr);
}

static __always_inline bool pcpuref_compat_is_dying(struct pcpuref *ref)
{
	return pcpuref_is_dying(ref);
}

static __always_inline bool pcpuref_compat_is_zero(struct pcpuref *ref)
{
	return pcpuref_is_zero(ref);
}

/* A macro, since it takes the name of the reference from the place of the call. */
#define percpu_ref_init(ref, release, flags, gfp)			\
	__pcpuref_compat(init_at, ref)(ref, release, flags, gfp,	\
				       __pcpuref_site(#ref))
#define percpu_ref_exit(ref)		__pcpuref_compat(exit, ref)(ref)
#define percpu_ref_kill(ref)		__pcpuref_compat(kill, ref)(ref)
#define percpu_ref_kill_and_confirm(ref, confirm)			\
	__pcpuref_compat(kill_and_confirm, ref)(ref, confirm)
#define percpu_ref_reinit(ref)		__pcpuref_compat(reinit, ref)(ref)
#define percpu_ref_resurrect(ref)	__pcpuref_compat(resurrect, ref)(ref)
#define percpu_ref_switch_to_atomic(ref, confirm)			\
	__pcpuref_compat(switch_to_atomic, ref)(ref, confirm)
#define percpu_ref_switch_to_atomic_sync(ref)				\
	__pcpuref_compat(switch_to_atomic_sync, ref)(ref)
#define percpu_ref_switch_to_percpu(ref)				\
	__pcpuref_compat(switch_to_percpu, ref)(ref)
#define percpu_ref_get(ref)		__pcpuref_compat(get, ref)(ref)
#define percpu_ref_get_many(ref, nr)	__pcpuref_compat(get_many, ref)(ref, nr)
#define percpu_ref_tryget(ref)		__pcpuref_compat(tryget, ref)(ref)
#define percpu_ref_tryget_many(ref, nr)	__pcpuref_compat(tryget_many, ref)(ref, nr)
#define percpu_ref_tryget_live(ref)	__pcpuref_compat(tryget_live, ref)(ref)
#define percpu_ref_tryget_live_rcu(ref)	__pcpuref_compat(tryget_live_rcu, ref)(ref)
#define percpu_ref_put(ref)		__pcpuref_compat(put, ref)(ref)
#define percpu_ref_put_many(ref, nr)	__pcpuref_compat(put_many, ref)(ref, nr)
#define percpu_ref_is_dying(ref)	__pcpuref_compat(is_dying, ref)(ref)
#define percpu_ref_is_zero(ref)		__pcpuref_compat(is_zero, ref)(ref)

/* --- What there is no pcpuref for ------------------------------------------ */

#define __ref_is_percpu(ref, counters)					\
({									\
	static_assert(0, "pcpuref_compat.h has no __ref_is_percpu(): the counters are private"); \
	false;								\
})
#define percpu_count_ptr	no_percpu_count_ptr_in_pcpuref__see_pcpuref_is_dying
#define confirm_switch		no_confirm_switch_in_pcpuref__it_has_several
#define force_atomic		no_force_atomic_in_pcpuref__see_pcpuref_switch_to_atomic
#define allow_reinit		no_allow_reinit_in_pcpuref__it_is_a_flag_of_init

/* --- kref -------------------------------------------------------------------- */

#ifdef PCPUREF_COMPAT_KREF
typedef struct kref __pcpuref_compat_kref;

#define __pcpuref_compat_k(op, counter)					\
	_Generic((counter),						\
		 __pcpuref_compat_kref *: kref_##op,			\
		 const __pcpuref_compat_kref *: kref_##op,		\
		 struct pcpuref_kref *: pcpuref_kref_##op,		\
		 const struct pcpuref_kref *: pcpuref_kref_##op)

#define kref_init(counter)		__pcpuref_compat_k(init, counter)(counter)
#define kref_read(counter)		__pcpuref_compat_k(read, counter)(counter)
#define kref_get(counter)		__pcpuref_compat_k(get, counter)(counter)
#define kref_get_unless_zero(counter)	__pcpuref_compat_k(get_unless_zero, counter)(counter)
#define kref_put(counter, release)	__pcpuref_compat_k(put, counter)(counter, release)
#define kref_put_mutex(counter, release, mutex)				\
	__pcpuref_compat_k(put_mutex, counter)(counter, release, mutex)
#define kref_put_lock(counter, release, lock)				\
	__pcpuref_compat_k(put_lock, counter)(counter, release, lock)
#undef KREF_INIT
#define KREF_INIT(n)			PCPUREF_KREF_INIT(n)
#endif

#endif /* PCPUREF_COMPAT_H */

/*
 * From here on the names mean the types of pcpuref. This is outside of the include
 * guard: a header of the kernel undoes it, and then this file is included again.
 */
#undef percpu_ref
#define percpu_ref		pcpuref
#undef percpu_ref_func_t
#define percpu_ref_func_t	pcpuref_func_t
#ifdef PCPUREF_COMPAT_KREF
#undef kref
#define kref			pcpuref_kref
#endif
