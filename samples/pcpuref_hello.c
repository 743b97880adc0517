// SPDX-License-Identifier: GPL-2.0-only
/* The smallest client of pcpuref: one reference, from init to exit. */
#include <linux/module.h>
#include "pcpuref.h"

static struct pcpuref users;

static void hello_release(struct pcpuref *ref)
{
	pr_info("hello: the last user is gone\n");
}

static int __init hello_init(void)
{
	return pcpuref_init(&users, hello_release, 0, GFP_KERNEL);
}

static void __exit hello_exit(void)
{
	if (pcpuref_tryget_live(&users))	/* each user: one to enter, */
		pcpuref_put(&users);		/* one to leave */

	pcpuref_kill_and_wait(&users);		/* nobody enters; all have left */
	pcpuref_exit(&users);
}

module_init(hello_init);
module_exit(hello_exit);
MODULE_DESCRIPTION("Smallest client of pcpuref");
MODULE_LICENSE("GPL");
