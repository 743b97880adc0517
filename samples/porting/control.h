/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a driver of this folder is told what to do, for selftests/porting.sh:
 *
 *	echo "WHAT NUMBER" >/sys/module/NAME/parameters/run
 *	cat /sys/module/NAME/parameters/result
 *
 * The driver has control(), and sets ready.
 */
#ifndef PORTING_CONTROL_H
#define PORTING_CONTROL_H

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <linux/types.h>

static int control(const char *what, u32 number);

/* Parameters can be set before the driver's init. */
static bool ready;

static int result;
module_param(result, int, 0444);
MODULE_PARM_DESC(result, "What the last one has returned");

static int run_set(const char *value, const struct kernel_param *kp)
{
	char what[16];
	u32 number = 0;

	if (!ready)
		return -ENODEV;
	if (sscanf(value, "%15s %u", what, &number) < 1)
		return -EINVAL;
	result = control(what, number);
	return 0;
}

static const struct kernel_param_ops run_ops = {
	.set = run_set,
};

module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "What to do, and a number");

#endif /* PORTING_CONTROL_H */
