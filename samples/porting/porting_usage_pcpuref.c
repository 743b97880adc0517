// SPDX-License-Identifier: GPL-2.0-only
/*
 * porting_usage.c, ported to pcpuref.
 */
#include <linux/module.h>

#include "pcpuref.h"
#include "usage.h"

/* start-usage */
static struct pcpuref writes;

static void writes_release(struct pcpuref *ref)
{
}

static int writes_init(void)
{
	int err = pcpuref_init(&writes, writes_release,
			       PCPUREF_ALLOW_ZERO | PCPUREF_ALLOW_REINIT, GFP_KERNEL);

	if (!err)
		pcpuref_put(&writes);
	return err;
}

static bool writes_idle(void)
{
	bool idle;

	if (pcpuref_switch_to_atomic_sync(&writes))
		return false;
	idle = pcpuref_is_zero(&writes);
	pcpuref_switch_to_percpu(&writes);
	return idle;
}

/* end-usage */

static void write_begin(void)
{
	pcpuref_get(&writes);
}

static void write_end(void)
{
	pcpuref_put(&writes);
}

static void writes_exit(void)
{
	pcpuref_exit(&writes);
}

MODULE_DESCRIPTION("Writes under way, counted by pcpuref");
