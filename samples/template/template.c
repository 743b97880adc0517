// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client of pcpuref to begin with: copy this folder, and rename. One thing that is
 * looked up under RCU, used, and freed when it was taken away and its last user is gone.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include "pcpuref.h"

#if PCPUREF_VERSION_NUMBER(0, 2, 0) > PCPUREF_VERSION_CODE
#error "needs pcpuref 0.2 or newer"
#endif

struct thing {
	struct pcpuref	ref;
	struct rcu_head	rcu;
	int		value;
};

static struct thing __rcu *current_thing;

/* The last user is gone. A lookup may still be reading: hence kfree_rcu(). */
static void thing_release(struct pcpuref *ref)
{
	struct thing *thing = container_of(ref, struct thing, ref);

	pcpuref_exit(&thing->ref);
	kfree_rcu(thing, rcu);
}

static struct thing *thing_create(int value)
{
	struct thing *thing = kzalloc(sizeof(*thing), GFP_KERNEL);
	int err;

	if (!thing)
		return ERR_PTR(-ENOMEM);
	thing->value = value;
	err = pcpuref_init(&thing->ref, thing_release, 0, GFP_KERNEL);
	if (err) {
		kfree(thing);
		return ERR_PTR(err);
	}
	return thing;
}

/* From any context. Who gets one has to put it. */
static struct thing *thing_get(void)
{
	struct thing *thing;

	rcu_read_lock();
	thing = rcu_dereference(current_thing);
	if (thing && !pcpuref_tryget_live(&thing->ref))
		thing = NULL;
	rcu_read_unlock();
	return thing;
}

static void thing_put(struct thing *thing)
{
	pcpuref_put(&thing->ref);
}

static int __init template_init(void)
{
	struct thing *thing = thing_create(42);

	if (IS_ERR(thing))
		return PTR_ERR(thing);
	rcu_assign_pointer(current_thing, thing);

	thing = thing_get();
	if (thing) {
		pr_info("value %d\n", thing->value);
		thing_put(thing);
	}
	return 0;
}

static void __exit template_exit(void)
{
	struct thing *thing = rcu_replace_pointer(current_thing, NULL, true);

	/* From here on nobody finds it; the last put, which may be this, frees it. */
	pcpuref_kill(&thing->ref);
	/*
	 * thing_release() is code of this module: wait until it has run. That is for a
	 * release that is due; users who still hold a reference have to be stopped before.
	 */
	pcpuref_barrier();
}

module_init(template_init);
module_exit(template_exit);
MODULE_DESCRIPTION("A client of pcpuref to begin with");
MODULE_LICENSE("GPL");
