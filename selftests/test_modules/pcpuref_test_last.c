// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client whose exit function ends in pcpuref_exit(), with a reference out: the report
 * is to name that function. See unload.sh.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>

#include "pcpuref.h"

static struct pcpuref held;

static void release(struct pcpuref *ref)
{
}

static int __init last_init(void)
{
	int err = pcpuref_init(&held, release, 0, GFP_KERNEL);

	if (err)
		return err;
	pcpuref_get(&held);
	pr_info("pcpuref-expect: misuse: exit with references out: name=&held release=%ps\n",
		release);
	return 0;
}

static void __exit last_exit(void)
{
	pcpuref_exit(&held);
}

module_init(last_init);
module_exit(last_exit);

MODULE_DESCRIPTION("A client whose exit function ends in pcpuref_exit()");
MODULE_LICENSE("GPL");
