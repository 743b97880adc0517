// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes under way, counted by a percpu_ref whose initial reference is put at once.
 *
 * shim/ compiles this file with pcpuref_compat.h, unchanged.
 */
#include <linux/module.h>
#include <linux/percpu-refcount.h>

#include "usage.h"

/* start-usage */
static struct percpu_ref writes;

static void writes_release(struct percpu_ref *ref)
{
}

static int writes_init(void)
{
	int err = percpu_ref_init(&writes, writes_release, PERCPU_REF_ALLOW_REINIT,
				  GFP_KERNEL);

	if (!err)
		percpu_ref_put(&writes);
	return err;
}

static bool writes_idle(void)
{
	bool idle;

	percpu_ref_switch_to_atomic_sync(&writes);
	idle = percpu_ref_is_zero(&writes);
	percpu_ref_switch_to_percpu(&writes);
	return idle;
}

/* end-usage */

static void write_begin(void)
{
	percpu_ref_get(&writes);
}

static void write_end(void)
{
	percpu_ref_put(&writes);
}

static void writes_exit(void)
{
	percpu_ref_exit(&writes);
}

MODULE_DESCRIPTION("Writes under way, counted by percpu_ref");
