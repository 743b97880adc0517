// SPDX-License-Identifier: GPL-2.0-only
/*
 * The functions of percpu_ref. This is compiled twice: as it is, and with
 * pcpuref_compat.h, which makes a pcpuref of each.
 */
#include <linux/build_bug.h>
#include <linux/rcupdate.h>
#include <linux/version.h>

#include "pcpuref_test_differ.h"

#define LIVE_RCU_CAME	KERNEL_VERSION(5, 16, 0)

static struct percpu_ref *of(struct differ_ref *ref)
{
	BUILD_BUG_ON(sizeof(struct percpu_ref) > sizeof(ref->room));
	return (struct percpu_ref *)ref->room;
}

static void tell(struct percpu_ref *ref, enum differ_event what)
{
	struct differ_ref *whole = (struct differ_ref *)ref;

	whole->told(whole, what);
}

static void differ_release(struct percpu_ref *ref)
{
	tell(ref, RELEASED);
}

static void kill_confirmed(struct percpu_ref *ref)
{
	tell(ref, KILL_CONFIRMED);
}

static void switched(struct percpu_ref *ref)
{
	tell(ref, SWITCHED);
}

static int init(struct differ_ref *ref, unsigned int flags)
{
	return percpu_ref_init(of(ref), differ_release, flags, GFP_KERNEL);
}

static int init_usage(struct differ_ref *ref, unsigned int flags)
{
	struct percpu_ref *usage = of(ref);

	return percpu_ref_init(usage, differ_release, flags, GFP_KERNEL);
}

static void exit_ref(struct differ_ref *ref)
{
	percpu_ref_exit(of(ref));
}

static void kill(struct differ_ref *ref)
{
	percpu_ref_kill(of(ref));
}

static void kill_seen(struct differ_ref *ref)
{
	percpu_ref_kill_and_confirm(of(ref), kill_confirmed);
}

static void reinit(struct differ_ref *ref)
{
	percpu_ref_reinit(of(ref));
}

static void resurrect(struct differ_ref *ref)
{
	percpu_ref_resurrect(of(ref));
}

static void to_atomic(struct differ_ref *ref)
{
	percpu_ref_switch_to_atomic(of(ref), NULL);
}

static void to_atomic_seen(struct differ_ref *ref)
{
	percpu_ref_switch_to_atomic(of(ref), switched);
}

static void to_atomic_sync(struct differ_ref *ref)
{
	percpu_ref_switch_to_atomic_sync(of(ref));
}

static void to_percpu(struct differ_ref *ref)
{
	percpu_ref_switch_to_percpu(of(ref));
}

/* One and many are different functions. */
static void get(struct differ_ref *ref, unsigned long nr)
{
	if (nr == 1)
		percpu_ref_get(of(ref));
	else
		percpu_ref_get_many(of(ref), nr);
}

static void put(struct differ_ref *ref, unsigned long nr)
{
	if (nr == 1)
		percpu_ref_put(of(ref));
	else
		percpu_ref_put_many(of(ref), nr);
}

static bool tryget(struct differ_ref *ref, unsigned long nr)
{
	if (nr == 1)
		return percpu_ref_tryget(of(ref));
	return percpu_ref_tryget_many(of(ref), nr);
}

static bool tryget_live(struct differ_ref *ref, unsigned long unused)
{
	return percpu_ref_tryget_live(of(ref));
}

static bool tryget_live_rcu(struct differ_ref *ref, unsigned long unused)
{
	bool got;

	rcu_read_lock();
#if LINUX_VERSION_CODE >= LIVE_RCU_CAME
	got = percpu_ref_tryget_live_rcu(of(ref));
#else
	got = percpu_ref_tryget_live(of(ref));
#endif
	rcu_read_unlock();
	return got;
}

static bool is_dying(struct differ_ref *ref)
{
	return percpu_ref_is_dying(of(ref));
}

static bool is_zero(struct differ_ref *ref)
{
	return percpu_ref_is_zero(of(ref));
}

/* Before a module goes. */
static void wait_for_callbacks(void)
{
	rcu_barrier();
}

const struct differ_ops DIFFER_OPS = {
	.name = DIFFER_NAME,
	.init = init,
	.init_usage = init_usage,
	.exit = exit_ref,
	.kill = kill,
	.kill_seen = kill_seen,
	.reinit = reinit,
	.resurrect = resurrect,
	.to_atomic = to_atomic,
	.to_atomic_seen = to_atomic_seen,
	.to_atomic_sync = to_atomic_sync,
	.to_percpu = to_percpu,
	.get = get,
	.put = put,
	.tryget = tryget,
	.tryget_live = tryget_live,
	.tryget_live_rcu = tryget_live_rcu,
	.is_dying = is_dying,
	.is_zero = is_zero,
	.wait = wait_for_callbacks,
};
