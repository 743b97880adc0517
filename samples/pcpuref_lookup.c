// SPDX-License-Identifier: GPL-2.0-only
/*
 * The three lookups of pcpuref_lookup.h, each once from beginning to end. The
 * module refuses to load if one of them does not do what it should.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>

#include "pcpuref_lookup.h"

#define KEY	42

/* Found while somebody has it, and gone with the last user. */
static bool __init by_mutex_works(void)
{
	struct by_mutex *owner = by_mutex_open(KEY), *user;

	if (!owner)
		return false;
	user = by_mutex_find(KEY);
	by_mutex_put(owner);
	if (user != owner)
		return false;
	by_mutex_put(user);
	return !by_mutex_find(KEY);
}

static bool __init by_rcu_works(void)
{
	struct by_rcu *owner = by_rcu_open(KEY), *user;

	if (!owner)
		return false;
	user = by_rcu_find(KEY);
	by_rcu_put(owner);
	if (user != owner)
		return false;
	by_rcu_put(user);
	return !by_rcu_find(KEY);
}

/* Found until it is removed, and kept by those who found it before. */
static bool __init by_live_works(void)
{
	struct by_live *user;
	bool works;

	if (by_live_create(KEY))
		return false;
	user = by_live_find(KEY);
	works = user && by_live_remove(KEY) && !by_live_find(KEY) &&
		user->data.state == LOOKUP_OPEN;
	if (user)
		by_live_put(user);
	return works;
}

static int __init lookup_init(void)
{
	bool works = by_mutex_works();

	/* Each is tried, whatever became of the others. */
	works = by_rcu_works() && works;
	works = by_live_works() && works;
	/* The release of the third one may still be on its way. */
	pcpuref_barrier();
	works &= !atomic_read(&lookup_wrong) &&
		 atomic_read(&lookup_opened) == atomic_read(&lookup_closed);
	pr_info("%d objects opened, %d closed\n", atomic_read(&lookup_opened),
		atomic_read(&lookup_closed));
	return works ? 0 : -EIO;
}

/* Nothing is left since init, but a module without this cannot be unloaded. */
static void __exit lookup_exit(void)
{
}

module_init(lookup_init);
module_exit(lookup_exit);
MODULE_DESCRIPTION("Three lookups of counted objects, a sample client of pcpuref");
MODULE_LICENSE("GPL");
