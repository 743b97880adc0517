// SPDX-License-Identifier: GPL-2.0-only
/* The smallest client of pcpuref: one reference, from init to exit. */
#include <linux/module.h>
#include "pcpuref.h"

static struct pcpuref users;

static void hello_release(struct pcpuref *ref)
{
	pr_info("hello: the last user is gone\n");
}

/* What each user does, on any CPU. Here there is only one. */
static void hello_use(void)
{
	if (!pcpuref_tryget_live(&users))	/* enter, if hello_exit() has not begun */
		return;
	pr_info("hello: used\n");
	pcpuref_put(&users);			/* leave */
}

static int __init hello_init(void)
{
	int err = pcpuref_init(&users, hello_release, 0, GFP_KERNEL);

	if (!err)
		hello_use();
	return err;
}

static void __exit hello_exit(void)
{
	/*
	 * From now on nobody enters. When this returns all have left, and hello_release()
	 * has returned: so pcpuref_barrier() is not needed.
	 */
	pcpuref_kill_and_wait(&users);
	pcpuref_exit(&users);
}

module_init(hello_init);
module_exit(hello_exit);
MODULE_DESCRIPTION("Smallest client of pcpuref");
MODULE_LICENSE("GPL");
