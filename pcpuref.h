/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pcpuref - a reference count whose get and put are one per-CPU add each.
 *
 * A struct pcpuref is embedded in the object whose references it counts:
 *
 *	pcpuref_init()		one reference, the initial one, is held
 *	pcpuref_get(), _put()	as often as you like, from anywhere
 *	pcpuref_kill()		drops the initial reference
 *	release()		called once, when the last reference is gone
 *	pcpuref_exit()		frees what pcpuref_init() allocated
 *
 * In per-CPU mode gets and puts go to per-CPU counters, and none of them can see
 * a total. pcpuref_kill() changes that to one atomic counter: it tags
 * the per-CPU pointer; a grace period passes, after which no CPU can still be
 * using the counters; the counters are added up. From then on a put that
 * reaches zero is noticed. Only the _sync and _wait calls and
 * pcpuref_barrier() sleep; pcpuref_init() may, as its @gfp allows.
 *
 * Where a comment says "any context" it means task, softirq, hardirq and NMI,
 * with interrupts or preemption on or off, under any lock but the scheduler's
 * and the console's, provided that RCU is watching (as it is not in the idle
 * loop itself). NMI needs a this_cpu_add() that is safe there, as on x86, arm64
 * and s390 (ARCH_HAS_NMI_SAFE_THIS_CPU_OPS). The calls that change the state
 * (kill, switch, reinit, resurrect, exit) may be made in all of these but NMI.
 *
 * Each kind of misuse is reported once for each reference, and once for each place in
 * the code that commits it, as a warning that begins with "pcpuref: misuse:" and names
 * the reference, its release function and the caller. More of the same from that place
 * is counted. When the count turns out to be wrong it sticks: the object leaks rather
 * than being freed while it may be in use. A put too many while others hold references
 * is found only when the last of them puts.
 *
 * Functions that do something and can be refused return 0 or a negative error.
 * Those that ask (pcpuref_tryget() and its kin, pcpuref_is_zero(),
 * pcpuref_is_dying()) return bool.
 *
 * The interface follows the kernel's percpu_ref; the comment of each function says
 * what differs. Documentation/design.rst explains why it works.
 */
#ifndef PCPUREF_H
#define PCPUREF_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/export.h>	/* THIS_MODULE is in one of these two */
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/irqflags.h>	/* with cleanup.h, where the kernel has it */
#include <linux/limits.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

#include "pcpuref_kernel.h"

/*
 * The version, as a string and as a number to compare: a client that needs 0.2 says
 * #if PCPUREF_VERSION_CODE < PCPUREF_VERSION_NUMBER(0, 2, 0). A version with "-dev" leads
 * to a release, and has the number of that release. All other places that name the
 * version have to agree: see scripts/check-version.sh.
 */
#define PCPUREF_VERSION "0.2.0-dev"
#define PCPUREF_VERSION_NUMBER(major, minor, patch) \
	(((major) << 16) + ((minor) << 8) + (patch))
#define PCPUREF_VERSION_CODE PCPUREF_VERSION_NUMBER(0, 2, 0)

/*
 * The number of the interface that is compiled into clients. Raise it when a client
 * that was compiled with the header before the change would not work with the core after
 * it (the tags in a word, the layout of struct pcpuref, the place of the count in the
 * data). A client with another number cannot initialise references.
 */
#define __PCPUREF_INTERFACE 3

struct pcpuref;
struct pcpuref_data;
struct pcpuref_client;

/**
 * typedef pcpuref_func_t - a release or a confirm callback
 * @ref: the reference that it is about
 *
 * Runs in the context that completed the step. For confirm that is the end of a
 * grace period, with softirqs disabled: an RCU callback, or a task in one of the
 * _sync and _wait calls. For release it can also be the caller of put, kill,
 * resurrect or reinit, or the hard interrupt after an NMI (with PREEMPT_RT a
 * workqueue). It must not sleep, unless it is the release function of a
 * reference with %PCPUREF_RELEASE_WORK. No lock of pcpuref's is held.
 *
 * The release of one reference never runs twice at a time: if another life ends
 * while it runs, the same context calls it again afterwards.
 */
typedef void (pcpuref_func_t)(struct pcpuref *ref);

/**
 * enum pcpuref_flags - how a reference starts, and what it allows
 * @PCPUREF_INIT_ATOMIC: start live in atomic mode, and stay in it until
 *	pcpuref_switch_to_percpu(). Implies %PCPUREF_ALLOW_REINIT.
 * @PCPUREF_INIT_DEAD: start dead, with a count of zero; pcpuref_reinit() brings
 *	it to life. Implies %PCPUREF_ALLOW_REINIT.
 * @PCPUREF_ALLOW_REINIT: keep the per-CPU memory when the reference dies, so
 *	that reinit, resurrect and switch_to_percpu can use it again.
 * @PCPUREF_RELEASE_WORK: call release in process context, where it may do what
 *	is allowed there: sleep, flush works, destroy a workqueue, wait for the
 *	release of another reference. No other release waits for it.
 * @PCPUREF_INIT_LAZY: start without per-CPU memory, in atomic mode, and go to
 *	per-CPU mode when gets are frequent: about a hundred thousand in a
 *	second, from whatever context. A workqueue allocates the memory; if
 *	there is none, the reference stays in atomic mode. A reference that has
 *	become per-CPU does not go back by itself.
 * @PCPUREF_ALLOW_ZERO: count users that come and go. The initial reference
 *	belongs to the caller, who may put it at any time. pcpuref_kill() takes
 *	over one reference from the caller, so a caller who has put the initial
 *	one must get one first. While the reference is live, zero is a count like
 *	others: a get may leave it again, tryget fails at it in atomic mode, and
 *	release is called each time that zero is seen in atomic mode. (So a release
 *	may be running when the kill comes, and is then not the last one.) A get
 *	from zero must not race with a kill. pcpuref_is_zero() after
 *	pcpuref_switch_to_atomic_sync() says whether the count is zero, that is,
 *	nobody is in; while a confirmation is in flight it may be false although
 *	nobody is. A count below zero is misuse. A put too many that only brings
 *	the count to zero cannot be told from a right one.
 * @PCPUREF_MAY_LINGER: references may rightly stay out for long after the kill.
 *	The watchdog of pcpuref_watch does not report it; nothing else changes.
 */
enum pcpuref_flags {
	PCPUREF_INIT_ATOMIC	= BIT(0),
	PCPUREF_INIT_DEAD	= BIT(1),
	PCPUREF_ALLOW_REINIT	= BIT(2),
	PCPUREF_RELEASE_WORK	= BIT(3),
	PCPUREF_INIT_LAZY	= BIT(4),
	PCPUREF_ALLOW_ZERO	= BIT(5),
	PCPUREF_MAY_LINGER	= BIT(6),
};

/* Tags in the low bits of pcpuref.word; an untagged word is per-CPU mode. */
#define __PCPUREF_ATOMIC	BIT(0)	/* count in the shared counter */
#define __PCPUREF_DEAD		BIT(1)	/* killed; never without ATOMIC */
/* For clients with PCPUREF_READERS_TASKS; set in per-CPU mode, too. */
#define __PCPUREF_READERS_TASKS	BIT(2)
#define __PCPUREF_TAGS \
	(__PCPUREF_ATOMIC | __PCPUREF_DEAD | __PCPUREF_READERS_TASKS)

/* A lazy reference that has no counters yet. With counters the bit is part of an address. */
#define __PCPUREF_LAZY		BIT(3)

static __always_inline bool __pcpuref_is_lazy(unsigned long word)
{
	return word - __PCPUREF_LAZY < __PCPUREF_LAZY;
}

#ifdef PCPUREF_READERS_TASKS
#define __PCPUREF_READERS	__PCPUREF_READERS_TASKS
#else
#define __PCPUREF_READERS	0
#endif

/**
 * struct pcpuref - a reference count, to be embedded in what it counts
 * @word: the counters' per-CPU address, tagged with mode and life
 * @data: everything that gets and puts in per-CPU mode do not need; after exit
 *	what a report of late misuse needs
 *
 * All members are private. @word changes only when the state does, so the cache
 * line that holds it stays shared between CPUs.
 */
struct pcpuref {
	unsigned long		word;
	struct pcpuref_data	*data;
};

/* --- Life ----------------------------------------------------------------- */

/*
 * Functions that report misuse name the address that they return to. So each call of
 * one stands in an inline function that does something after it. The compiler then
 * cannot make it a tail call, for which the report would name the caller's caller.
 */
#define __pcpuref_called(type, call)					\
({									\
	type __result = (call);						\
									\
	barrier();							\
	__result;							\
})

/*
 * Where in the source a reference is initialised, and in which module: what
 * tables and reports show, and how the core knows whose references are left
 * when a module goes away.
 */
struct pcpuref_site {
	unsigned int		interface;	/* first, whatever follows */
	const char		*name;		/* NULL: the caller's, to be copied */
	const char		*module;
	const char		*file;
	const char		*function;
	unsigned int		line;
	unsigned char		readers;
	struct module		*owner;
	struct pcpuref_client	*client;	/* filled in by the core */
};

int __must_check __pcpuref_init(struct pcpuref *ref, pcpuref_func_t *release,
				unsigned int flags, gfp_t gfp, const char *name,
				struct pcpuref_site *site);
void __pcpuref_cancel_init(struct pcpuref *ref);
void __pcpuref_exit(struct pcpuref *ref);
int __pcpuref_kill_and_confirm(struct pcpuref *ref, pcpuref_func_t *confirm);
int __pcpuref_kill_sync(struct pcpuref *ref);
int __pcpuref_kill_and_wait(struct pcpuref *ref, unsigned long timeout, bool killable);
int __pcpuref_reinit(struct pcpuref *ref);
int __pcpuref_resurrect(struct pcpuref *ref);
int __pcpuref_switch_to_atomic(struct pcpuref *ref, pcpuref_func_t *confirm);
int __pcpuref_switch_to_atomic_sync(struct pcpuref *ref);
int __pcpuref_switch_to_percpu(struct pcpuref *ref);
void __pcpuref_dump(struct pcpuref *ref);
void __pcpuref_barrier(struct module *owner);

/**
 * pcpuref_init - initialise a reference
 * @ref: the reference; its memory need not be zeroed
 * @release: called when the last reference has gone, once in each life
 * @flags: of &enum pcpuref_flags, or 0
 * @gfp: for the allocations; with GFP_KERNEL it may sleep
 *
 * The reference starts in per-CPU mode with a count of one, the initial
 * reference, which only pcpuref_kill() and its variants drop (but see
 * %PCPUREF_ALLOW_ZERO). Its name in messages is the expression given as @ref;
 * see pcpuref_init_named(). If the reference is initialised already, that is
 * reported, unless the memory has been zeroed since; the one before leaks.
 *
 * Nothing is allocated later on, so no other call can fail for lack of memory.
 * Pairs with pcpuref_exit(), or with pcpuref_cancel_init() while unused.
 * Counterpart of percpu_ref_init().
 *
 * Context: as @gfp allows; not NMI.
 * Return: 0; -EINVAL without @release or with unknown @flags; -ENOMEM;
 * -EOPNOTSUPP if this kernel has no grace period for PCPUREF_READERS_TASKS; -ENOEXEC
 * if the caller was compiled with the header of a pcpuref that differs too much. After
 * an error nothing is held, and pcpuref_exit() is allowed but not needed.
 */
#define pcpuref_init(ref, release, flags, gfp)				\
	__pcpuref_init_at(ref, release, flags, gfp, NULL, __pcpuref_site(#ref))

/**
 * pcpuref_init_named - initialise a reference and name it
 * @ref: the reference; its memory need not be zeroed
 * @release: called when the last reference has gone, once in each life
 * @flags: of &enum pcpuref_flags, or 0
 * @gfp: for the allocations; with GFP_KERNEL it may sleep
 * @name: what messages call it; copied
 *
 * See pcpuref_init(), which takes the name from the source. Pairs with
 * pcpuref_exit(), too.
 *
 * Context: as @gfp allows; not NMI.
 * Return: 0; -EINVAL without @release or with unknown @flags; -ENOMEM;
 * -EOPNOTSUPP if this kernel has no grace period for PCPUREF_READERS_TASKS; -ENOEXEC
 * if the caller was compiled with the header of a pcpuref that differs too much. After
 * an error nothing is held, and pcpuref_exit() is allowed but not needed.
 */
#define pcpuref_init_named(ref, release, flags, gfp, name)		\
	__pcpuref_init_at(ref, release, flags, gfp, name, __pcpuref_site(NULL))

/* A struct pcpuref_site of the place where this macro is used. */
#define __pcpuref_site(literal)						\
({									\
	static struct pcpuref_site __site = {				\
		.interface = __PCPUREF_INTERFACE,			\
		.name = literal,					\
		.module = KBUILD_MODNAME,				\
		.file = __FILE__,					\
		.function = __func__,					\
		.line = __LINE__,					\
		.readers = __PCPUREF_READERS,				\
		.owner = THIS_MODULE,					\
	};								\
	&__site;							\
})

static __always_inline int __must_check
__pcpuref_init_at(struct pcpuref *ref, pcpuref_func_t *release, unsigned int flags,
		  gfp_t gfp, const char *name, struct pcpuref_site *site)
{
	return __pcpuref_called(int, __pcpuref_init(ref, release, flags, gfp, name, site));
}

/**
 * pcpuref_exit - give back what pcpuref_init() allocated
 * @ref: a reference whose release has been called, or that nobody used
 *
 * Legal from release itself, and right after pcpuref_kill_and_wait(). It is
 * harmless for a zeroed reference, for one whose init failed, and for one that has
 * exited; for the last the log has a line. An exit is reported if references are
 * held, if a switch is in flight, or if release has not been called. Pending callbacks
 * are then dropped, and sleepers return -ECANCELED. The object's memory may be freed
 * afterwards.
 *
 * Pairs with pcpuref_init(). From percpu_ref_exit(), which must not be called
 * from release in atomic mode.
 *
 * Context: any but NMI; never sleeps.
 */
static __always_inline void pcpuref_exit(struct pcpuref *ref)
{
	__pcpuref_exit(ref);
	barrier();
}

/**
 * pcpuref_cancel_init - undo an init that was not needed
 * @ref: a reference that nobody has used since pcpuref_init()
 *
 * For error paths: release is not called. If the reference was used, that is
 * reported where it can be seen. Pairs with pcpuref_init(). From the
 * percpu_ref_cancel_init() of 2013.
 *
 * Context: any but NMI; never sleeps.
 */
static __always_inline void pcpuref_cancel_init(struct pcpuref *ref)
{
	__pcpuref_cancel_init(ref);
	barrier();
}

/**
 * pcpuref_kill_and_confirm - drop the initial reference
 * @ref: a live reference
 * @confirm: called once when no CPU can get a live reference any more, or NULL
 *
 * When this has returned, pcpuref_tryget_live() fails on this CPU. When @confirm
 * is called, pcpuref_tryget_live() fails on every CPU, until somebody resurrects or
 * reinitialises the reference. @confirm is called after a full grace period in every mode, before
 * the initial reference is dropped and thus before release. It must not sleep. If
 * a switch is in flight, the rest of the kill is done when the switch is over.
 * Without @confirm, in atomic mode, the initial reference is dropped at once:
 * release may then be called before this returns.
 *
 * At most three different callbacks can be waiting at a time, and each for at most
 * 255 kills and switches; one more is refused and reported. Pairs with
 * pcpuref_init(), pcpuref_reinit() and pcpuref_resurrect(). From
 * percpu_ref_kill_and_confirm(), which sleeps when a switch is in flight, and in
 * atomic mode confirms without a grace period.
 *
 * Context: any but NMI; never sleeps, keeps interrupts as they are.
 * Return: 0; -EINVAL if it is not live; -EBUSY if too many callbacks are waiting. Both
 * are reported, and change nothing.
 */
static __always_inline int pcpuref_kill_and_confirm(struct pcpuref *ref,
						    pcpuref_func_t *confirm)
{
	return __pcpuref_called(int, __pcpuref_kill_and_confirm(ref, confirm));
}

/**
 * pcpuref_kill - drop the initial reference
 * @ref: a live reference
 *
 * pcpuref_kill_and_confirm() without a callback. Pairs with pcpuref_init().
 *
 * Context: any but NMI; never sleeps.
 * Return: 0; -EINVAL if it is not live (reported).
 */
static __always_inline int pcpuref_kill(struct pcpuref *ref)
{
	return pcpuref_kill_and_confirm(ref, NULL);
}

/**
 * pcpuref_kill_sync - drop the initial reference and wait for all CPUs to see it
 * @ref: an initialised reference
 *
 * When it returns 0, pcpuref_tryget_live() fails on every CPU. If the reference
 * is dying already, it only waits. Uses an expedited grace period, unless the
 * kernel has only normal ones (rcupdate.rcu_normal, which PREEMPT_RT sets); with
 * PCPUREF_READERS_TASKS one of RCU-tasks before it. Pairs as
 * pcpuref_kill_and_confirm() does.
 *
 * Context: task, may sleep.
 * Return: 0; -EINVAL after exit (reported).
 */
static __always_inline int pcpuref_kill_sync(struct pcpuref *ref)
{
	return __pcpuref_called(int, __pcpuref_kill_sync(ref));
}

/**
 * pcpuref_kill_and_wait_timeout - kill and wait for the release, but not for ever
 * @ref: an initialised reference
 * @timeout: in jiffies; the grace period is not part of it
 *
 * After -ETIMEDOUT the reference is dying and intact: the caller may call this
 * again to go on waiting, or resurrect the reference. Pairs as
 * pcpuref_kill_and_confirm() does.
 *
 * Context: task, may sleep.
 * Return: as pcpuref_kill_and_wait(), or -ETIMEDOUT.
 */
static __always_inline int pcpuref_kill_and_wait_timeout(struct pcpuref *ref,
							 unsigned long timeout)
{
	return __pcpuref_called(int, __pcpuref_kill_and_wait(ref, timeout, false));
}

/**
 * pcpuref_kill_and_wait - drop the initial reference and wait for the release
 * @ref: an initialised reference
 *
 * When it returns 0, release has returned: pcpuref_exit() and freeing the
 * object are safe, and pcpuref_tryget_live() fails on every CPU. If the reference
 * is dying already, it only waits. Uses a grace period as pcpuref_kill_sync()
 * does, not expedited if a switch is in flight, or none in atomic mode: an object
 * that is looked up under RCU must still be freed by RCU. Do not call it from
 * release or confirm of the same reference, or while holding a reference that only
 * this caller would put. Pairs as pcpuref_kill_and_confirm() does.
 *
 * Context: task, may sleep.
 * Return: 0; -EINVAL after exit (reported); -ECANCELED when another caller
 * resurrects or exits the reference meanwhile; -ENOTRECOVERABLE when misuse has
 * left it without a meaningful count, so that release never comes.
 */
static __always_inline int pcpuref_kill_and_wait(struct pcpuref *ref)
{
	return pcpuref_kill_and_wait_timeout(ref, LONG_MAX);
}

/**
 * pcpuref_kill_and_wait_killable - kill and wait, until the caller is killed itself
 * @ref: an initialised reference
 *
 * Like pcpuref_kill_and_wait(), for callers that serve a user and can return an
 * error: an ioctl, a write to sysfs. After -EINTR the reference is dying and intact.
 * Release will still be called, and until then the caller may neither call exit nor
 * free the object. A module's exit function cannot fail, and has to wait with
 * pcpuref_kill_and_wait(). Pairs as pcpuref_kill_and_confirm() does.
 *
 * Context: task, may sleep.
 * Return: as pcpuref_kill_and_wait(), or -EINTR when the task got a fatal signal.
 */
static __always_inline int pcpuref_kill_and_wait_killable(struct pcpuref *ref)
{
	return __pcpuref_called(int, __pcpuref_kill_and_wait(ref, LONG_MAX, true));
}

/**
 * pcpuref_reinit - begin a new life
 * @ref: a reference of which pcpuref_is_zero() is true
 *
 * In effect when it returns, also if a switch is in flight: the reference is
 * live, and pcpuref_tryget_live() succeeds. The reference goes to per-CPU mode at
 * once, or when the switch is over, unless pcpuref_switch_to_atomic() or
 * %PCPUREF_INIT_ATOMIC keep it in atomic mode. Legal from release. Needs
 * %PCPUREF_ALLOW_REINIT; without it that is reported, and the reference is in
 * atomic mode for all of the new life. Pairs with the next kill.
 * Counterpart of percpu_ref_reinit().
 *
 * Context: any but NMI; never sleeps.
 * Return: 0; -EINVAL if it is live, or after exit; -EBUSY if it is not zero. All are
 * reported, and change nothing.
 */
static __always_inline int pcpuref_reinit(struct pcpuref *ref)
{
	return __pcpuref_called(int, __pcpuref_reinit(ref));
}

/**
 * pcpuref_resurrect - undo a kill
 * @ref: a killed reference, whether or not its count has reached zero
 *
 * In effect when it returns, also if a switch is in flight: the initial
 * reference is held again, and pcpuref_tryget_live() succeeds. If the kill came
 * with a confirm, that is still called, and then only means that a grace period
 * has passed since the kill. If the count had reached zero, release is called for
 * the life that ended, and this call does what pcpuref_reinit() does. Needs
 * %PCPUREF_ALLOW_REINIT, as that does.
 * Pairs with the next kill. Counterpart of percpu_ref_resurrect().
 *
 * Context: any but NMI; never sleeps.
 * Return: 0; -EINVAL if it is live, or after exit (reported).
 */
static __always_inline int pcpuref_resurrect(struct pcpuref *ref)
{
	return __pcpuref_called(int, __pcpuref_resurrect(ref));
}

/**
 * pcpuref_barrier - wait until no callback is in flight
 *
 * For a client's module exit, when the client no longer uses its references. It
 * waits for each confirm and release of a reference that the calling module has
 * initialised and that pcpuref itself calls (from RCU, after an NMI, in process
 * context); also for those that other callbacks led to. When it returns none of them
 * is due or running, so their code may go away.
 *
 * It does not wait for calls of the client's own threads, timers and interrupt
 * handlers, for example a put that calls release: stop these first. If somebody
 * goes on to kill or switch references of the module, it goes on waiting. It does not
 * wait until references that others hold are put. It does not wait for callbacks of
 * references that other modules have initialised, even if these lead back to this
 * module: if a function of another module initialises a reference, that module has
 * to wait for it. Do not call it from confirm or release.
 *
 * Context: task, may sleep for several grace periods.
 */
static inline void pcpuref_barrier(void)
{
	__pcpuref_barrier(THIS_MODULE);
}

/* --- Mode ----------------------------------------------------------------- */

/**
 * pcpuref_switch_to_atomic - count in the shared counter
 * @ref: an initialised reference, in any state
 * @confirm: called once, after a grace period, when the count is exact; or NULL
 *
 * Sticky: it stays in atomic mode, through deaths and lives, until
 * pcpuref_switch_to_percpu(). @confirm must not sleep. Without
 * %PCPUREF_ALLOW_REINIT there is no way back. Pairs with
 * pcpuref_switch_to_percpu(). Counterpart of percpu_ref_switch_to_atomic().
 *
 * Context: any but NMI; never sleeps.
 * Return: 0; -EINVAL after exit; -EBUSY if too many callbacks are waiting (both are
 * reported).
 */
static __always_inline int pcpuref_switch_to_atomic(struct pcpuref *ref,
						    pcpuref_func_t *confirm)
{
	return __pcpuref_called(int, __pcpuref_switch_to_atomic(ref, confirm));
}

/**
 * pcpuref_switch_to_atomic_sync - the same, and wait for it
 * @ref: an initialised reference, in any state
 *
 * When it returns 0 the count is exact and contains no reference of the switch
 * itself. Pairs with pcpuref_switch_to_percpu(). From
 * percpu_ref_switch_to_atomic_sync(). Uses a grace period as pcpuref_kill_sync()
 * does, not expedited if a switch is in flight.
 *
 * Context: task, may sleep.
 * Return: 0; -EINVAL after exit (reported); -ECANCELED if it exits meanwhile.
 */
static __always_inline int pcpuref_switch_to_atomic_sync(struct pcpuref *ref)
{
	return __pcpuref_called(int, __pcpuref_switch_to_atomic_sync(ref));
}

/**
 * pcpuref_switch_to_percpu - undo pcpuref_switch_to_atomic()
 * @ref: an initialised reference with %PCPUREF_ALLOW_REINIT
 *
 * A live reference is switched at once, or when the switch in flight is over; a
 * dying one when it is next brought to life. Pairs with pcpuref_switch_to_atomic().
 * Counterpart of percpu_ref_switch_to_percpu().
 *
 * Context: any but NMI; never sleeps.
 * Return: 0; -EINVAL if that is not allowed, or after exit (reported).
 */
static __always_inline int pcpuref_switch_to_percpu(struct pcpuref *ref)
{
	return __pcpuref_called(int, __pcpuref_switch_to_percpu(ref));
}

/* --- Looking -------------------------------------------------------------- */

bool pcpuref_is_zero(struct pcpuref *ref);
long pcpuref_read(struct pcpuref *ref);

/**
 * pcpuref_is_dying - has the reference been killed?
 * @ref: an initialised, an exited or a zeroed reference
 *
 * Context: any. Counterpart of percpu_ref_is_dying().
 * Return: true from kill until a reinit or resurrect, and after exit. Only a hint
 * unless the caller excludes kill and resurrect.
 */
static inline bool pcpuref_is_dying(struct pcpuref *ref)
{
	/* Pairs with the marked stores to the word in core/machine.c. */
	return READ_ONCE(ref->word) & __PCPUREF_DEAD;
}

/**
 * pcpuref_dump - print everything that is known about a reference to the log
 * @ref: an initialised or exited reference
 *
 * For a client's own debug code. Modules that attach to the tracepoint
 * pcpuref_dump add what they know: the last events, the holders.
 *
 * Context: any but NMI. It prints many lines: avoid it with interrupts off.
 */
static __always_inline void pcpuref_dump(struct pcpuref *ref)
{
	__pcpuref_dump(ref);
	barrier();
}

/* --- Gets and puts -------------------------------------------------------- */

/*
 * The slow paths are entered with preemption disabled, and enable it: they go on
 * with the reader section that the fast path began. They report misuse with the
 * address that they return to. A barrier() after the call keeps the compiler from
 * making it a tail call, for which the caller's caller would be named. There is none in
 * a tryget, whose result is often what a function returns: there it would cost an
 * instruction, and a tryget only reports an overflow or a get for other readers.
 */
void __pcpuref_get_slow(struct pcpuref *ref);
void __pcpuref_get_many_slow(struct pcpuref *ref, unsigned long nr);
bool __pcpuref_tryget_slow(struct pcpuref *ref);
bool __pcpuref_tryget_many_slow(struct pcpuref *ref, unsigned long nr);
bool __pcpuref_tryget_live_slow(struct pcpuref *ref);
bool __pcpuref_tryget_live_many_slow(struct pcpuref *ref, unsigned long nr);
void __pcpuref_put_slow(struct pcpuref *ref);
void __pcpuref_put_many_slow(struct pcpuref *ref, unsigned long nr);

void __pcpuref_get_slow_tasks(struct pcpuref *ref);
void __pcpuref_get_many_slow_tasks(struct pcpuref *ref, unsigned long nr);
bool __pcpuref_tryget_slow_tasks(struct pcpuref *ref);
bool __pcpuref_tryget_many_slow_tasks(struct pcpuref *ref, unsigned long nr);
bool __pcpuref_tryget_live_slow_tasks(struct pcpuref *ref);
bool __pcpuref_tryget_live_many_slow_tasks(struct pcpuref *ref, unsigned long nr);
void __pcpuref_put_slow_tasks(struct pcpuref *ref);
void __pcpuref_put_many_slow_tasks(struct pcpuref *ref, unsigned long nr);

/* The same, after the count has been changed from @old. */
void __pcpuref_got_odd(struct pcpuref *ref, struct pcpuref_data *data, long old,
		       unsigned long nr);
void __pcpuref_have_put_odd(struct pcpuref *ref, struct pcpuref_data *data, long old,
			    unsigned long nr);

#ifdef PCPUREF_READERS_TASKS
#define __PCPUREF_SLOW(op)	__pcpuref_##op##_slow_tasks
#else
#define __PCPUREF_SLOW(op)	__pcpuref_##op##_slow
#endif

/* The slow path for @nr of @ref. One is by far the most common number, and not passed. */
#define __pcpuref_slow(op)						\
	(__builtin_constant_p(nr) && nr == 1 ? __PCPUREF_SLOW(op)(ref) : \
					       __PCPUREF_SLOW(op##_many)(ref, nr))

#ifdef PCPUREF_READERS_TASKS
/*
 * For a client that defines PCPUREF_READERS_TASKS before it includes this file:
 * gets and puts that may be preempted, and so take half the time. In return a kill
 * waits until every task has switched voluntarily or run in user mode (RCU-tasks):
 * tenths of a second, or as long as some kernel thread does not give up its CPU. All
 * files that get and put a reference must be compiled like the one that initialises it;
 * a get in a file that is not is reported, and the count stays right.
 * Documentation/design.rst has the proof.
 */
static __always_inline bool __pcpuref_add(struct pcpuref *ref, unsigned long nr)
{
	unsigned long word;

	/* What preempt_disable() and preempt_enable() are to the compiler. */
	barrier();
	word = READ_ONCE(ref->word) ^ __PCPUREF_READERS_TASKS;
	if (unlikely(word & __PCPUREF_TAGS))
		return false;
	this_cpu_add(*(unsigned long __percpu *)word, nr);
	barrier();

	return true;
}
#else
/*
 * The fast path: add to this CPU's counter unless the word is tagged. Then a
 * slow path must follow, with preemption still disabled.
 *
 * Preemption stays disabled from the load of the word to the add, which makes
 * this a reader of the grace period that a switch to atomic mode waits for. The
 * word is loaded once: a second load could find a tag. Its store sides are the
 * smp_store_release() in __pcpuref_init() and in to_percpu() of the core; the
 * address dependency orders the add after them. this_cpu_add() is one
 * interrupt-safe instruction where the architecture has it, and interrupt-safe
 * everywhere. (litmus: a1-kill-get, a3-fastput-release, c4-init-add, n1-tryget-reuse)
 */
static __always_inline bool __pcpuref_add(struct pcpuref *ref, unsigned long nr)
{
	unsigned long word;

	pcpuref_preempt_disable();
	word = READ_ONCE(ref->word);
	if (unlikely(word & __PCPUREF_TAGS))
		return false;
	this_cpu_add(*(unsigned long __percpu *)word, nr);
	pcpuref_preempt_enable();

	return true;
}
#endif

#if defined(PCPUREF_INLINE_ATOMIC) && !defined(PCPUREF_READERS_TASKS)
/*
 * For a client that defines PCPUREF_INLINE_ATOMIC before it includes this file,
 * because its references are mostly in atomic mode: gets and puts in atomic mode are
 * then inline as well. A pair takes 42 instructions in place of 51, and the code of a
 * get 160 bytes in place of 64 (x86-64). All that
 * this code knows of struct pcpuref_data is that the shared counter comes first. It
 * goes on in the section with preemption disabled that the fast path began, and ends it.
 */
static __always_inline bool __pcpuref_get_atomic(struct pcpuref *ref, unsigned long nr)
{
	struct pcpuref_data *data;
	unsigned long word;
	long old;

	/* As in __pcpuref_data() of the core (litmus: e2-tryget-slow). */
	smp_rmb();
	/* Pairs, by the dependency, with the smp_store_release() in __pcpuref_init(). */
	data = READ_ONCE(ref->data);
	word = READ_ONCE(ref->word);
	/* It has exited, is lazy, is for other readers, or is no longer in atomic mode. */
	if (unlikely(((unsigned long)data & 1) || !data ||
		     (word & (__PCPUREF_ATOMIC | __PCPUREF_READERS_TASKS)) != __PCPUREF_ATOMIC ||
		     __pcpuref_is_lazy(word)))
		return false;
	old = atomic_long_fetch_add_relaxed(nr, (atomic_long_t *)data);
	if (likely((long)(old + nr) > (long)nr))
		preempt_enable_notrace();
	else
		__pcpuref_got_odd(ref, data, old, nr);
	barrier();
	return true;
}

static __always_inline bool __pcpuref_put_atomic(struct pcpuref *ref, unsigned long nr)
{
	struct pcpuref_data *data;
	long old;

	/* Both as above. */
	smp_rmb();
	data = READ_ONCE(ref->data);
	if (unlikely(((unsigned long)data & 1) || !data))
		return false;
	/* As in put() of pcpuref.c (litmus: b1-lastput-release). */
	old = atomic_long_fetch_sub_release(nr, (atomic_long_t *)data);
	if (likely(old > (long)nr))
		preempt_enable_notrace();
	else
		__pcpuref_have_put_odd(ref, data, old, nr);
	barrier();
	return true;
}
#else
static __always_inline bool __pcpuref_get_atomic(struct pcpuref *ref, unsigned long nr)
{
	return false;
}

static __always_inline bool __pcpuref_put_atomic(struct pcpuref *ref, unsigned long nr)
{
	return false;
}
#endif

/**
 * pcpuref_get_many - take references
 * @ref: a reference of which the caller holds one, or knows that it is held
 * @nr: how many, at least 1
 *
 * Pairs with pcpuref_put_many(). Relaxed: it orders nothing.
 * Counterpart of percpu_ref_get_many().
 *
 * Context: any.
 */
static __always_inline void pcpuref_get_many(struct pcpuref *ref,
					     unsigned long nr)
{
	if (unlikely(!__pcpuref_add(ref, nr)) && !__pcpuref_get_atomic(ref, nr)) {
		__pcpuref_slow(get);
		barrier();
	}
}

/**
 * pcpuref_get - take a reference
 * @ref: a reference of which the caller holds one, or knows that it is held
 *
 * Pairs with pcpuref_put(). Counterpart of percpu_ref_get().
 *
 * Context: any.
 */
static __always_inline void pcpuref_get(struct pcpuref *ref)
{
	pcpuref_get_many(ref, 1);
}

/**
 * pcpuref_tryget_many - take references unless the count is zero
 * @ref: an initialised or exited reference in memory that cannot go away
 * @nr: how many, at least 1
 *
 * Also succeeds on a killed reference that somebody still holds; see
 * pcpuref_tryget_live_many() for lookups. Relaxed: with %SLAB_TYPESAFE_BY_RCU
 * memory the caller needs a read barrier before it checks that the object is
 * still the one it looked for; what was written to it before pcpuref_init() or
 * pcpuref_reinit() is then visible. To put it again no barrier is needed. Pairs
 * with pcpuref_put_many().
 * Counterpart of percpu_ref_tryget_many().
 *
 * Context: any.
 * Return: true if taken; false if the count is zero or after exit.
 */
static __always_inline bool __must_check
pcpuref_tryget_many(struct pcpuref *ref, unsigned long nr)
{
	return likely(__pcpuref_add(ref, nr)) || __pcpuref_slow(tryget);
}

/**
 * pcpuref_tryget - take a reference unless the count is zero
 * @ref: an initialised or exited reference in memory that cannot go away
 *
 * Pairs with pcpuref_put(). Counterpart of percpu_ref_tryget().
 *
 * Context: any.
 * Return: true if taken; false if the count is zero or after exit.
 */
static __always_inline bool __must_check pcpuref_tryget(struct pcpuref *ref)
{
	return pcpuref_tryget_many(ref, 1);
}

/**
 * pcpuref_get_unless_zero - take a reference unless the count is zero
 * @ref: an initialised or exited reference in memory that cannot go away
 *
 * pcpuref_tryget() by the name that kref has for it. Pairs with pcpuref_put().
 *
 * Context: any.
 * Return: true if taken; false if the count is zero or after exit.
 */
static __always_inline bool __must_check
pcpuref_get_unless_zero(struct pcpuref *ref)
{
	return pcpuref_tryget(ref);
}

/**
 * pcpuref_tryget_live_many - take references unless it has been killed
 * @ref: an initialised or exited reference in memory that cannot go away
 * @nr: how many, at least 1
 *
 * Fails on every CPU once the confirm callback of a kill has been called, or
 * once pcpuref_kill_sync() or pcpuref_kill_and_wait() has returned 0; a call
 * that runs while the kill does may still succeed. Relaxed, as
 * pcpuref_tryget_many() is. Pairs with pcpuref_put_many().
 * Counterpart of percpu_ref_tryget_live().
 *
 * Context: any.
 * Return: true if taken; false if killed or after exit.
 */
static __always_inline bool __must_check
pcpuref_tryget_live_many(struct pcpuref *ref, unsigned long nr)
{
	return likely(__pcpuref_add(ref, nr)) ||
	       __pcpuref_slow(tryget_live);
}

/**
 * pcpuref_tryget_live - take a reference unless it has been killed
 * @ref: an initialised or exited reference in memory that cannot go away
 *
 * Pairs with pcpuref_put(). Counterpart of percpu_ref_tryget_live().
 *
 * Context: any.
 * Return: true if taken; false if killed or after exit.
 */
static __always_inline bool __must_check pcpuref_tryget_live(struct pcpuref *ref)
{
	return pcpuref_tryget_live_many(ref, 1);
}

/**
 * pcpuref_tryget_live_rcu - pcpuref_tryget_live() in an RCU read section
 * @ref: an initialised or exited reference, its memory protected by RCU
 *
 * With lockdep it checks what pcpuref_tryget_live() leaves to the caller: that
 * an RCU reader of some flavour keeps the object's memory. Pairs with
 * pcpuref_put(). Counterpart of percpu_ref_tryget_live_rcu().
 *
 * Context: any, inside an RCU read section.
 * Return: true if taken; false if killed or after exit.
 */
static __always_inline bool __must_check
pcpuref_tryget_live_rcu(struct pcpuref *ref)
{
	RCU_LOCKDEP_WARN(!rcu_read_lock_any_held(),
			 "pcpuref: live lookup outside of an RCU reader");
	return pcpuref_tryget_live(ref);
}

/**
 * pcpuref_put_many - drop references
 * @ref: a reference of which the caller holds @nr
 * @nr: how many, at least 1
 *
 * What the caller did to the object before is visible to release. If these
 * were the last references, release is called from here. It is called later in
 * three cases: in NMI (just after it), with %PCPUREF_RELEASE_WORK, and while the
 * release of an earlier life is still running. The object may be gone when this
 * returns.
 * Pairs with pcpuref_get_many(). Counterpart of percpu_ref_put_many().
 *
 * Context: any that the release function allows.
 */
static __always_inline void pcpuref_put_many(struct pcpuref *ref,
					     unsigned long nr)
{
	if (unlikely(!__pcpuref_add(ref, -nr)) && !__pcpuref_put_atomic(ref, nr)) {
		__pcpuref_slow(put);
		barrier();
	}
}

/**
 * pcpuref_put - drop a reference
 * @ref: a reference of which the caller holds one
 *
 * See pcpuref_put_many(). Pairs with pcpuref_get(). Counterpart of percpu_ref_put().
 *
 * Context: any that the release function allows.
 */
static __always_inline void pcpuref_put(struct pcpuref *ref)
{
	pcpuref_put_many(ref, 1);
}

/* Macros of the same names, which also account gets and puts by who does them. */
#ifdef PCPUREF_DEBUG
#include "pcpuref_debug.h"
#endif

/* --- Scopes --------------------------------------------------------------- */

/*
 * Where the kernel has cleanup.h, these hold a reference as long as a scope lasts:
 *
 *	CLASS(pcpuref, held)(&object->ref);		a get
 *
 *	CLASS(pcpuref_tryget_live, held)(&object->ref);	(or _tryget)
 *	if (!held)
 *		return -ENODEV;
 *
 *	struct pcpuref *held __free(pcpuref_put) = ref;	takes over a reference
 */
#ifdef DEFINE_CLASS
static inline void __pcpuref_put_held(struct pcpuref *held)
{
	if (held)
		pcpuref_put(held);
}

DEFINE_FREE(pcpuref_put, struct pcpuref *, __pcpuref_put_held(_T))

DEFINE_CLASS(pcpuref, struct pcpuref *, __pcpuref_put_held(_T),
	     ({ pcpuref_get(ref); ref; }), struct pcpuref *ref)

DEFINE_CLASS(pcpuref_tryget, struct pcpuref *, __pcpuref_put_held(_T),
	     pcpuref_tryget(ref) ? ref : NULL, struct pcpuref *ref)

DEFINE_CLASS(pcpuref_tryget_live, struct pcpuref *, __pcpuref_put_held(_T),
	     pcpuref_tryget_live(ref) ? ref : NULL, struct pcpuref *ref)
#endif

#endif /* PCPUREF_H */
