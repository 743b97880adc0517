/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A driver that counts the writes under way: all but the count.
 *
 *	begin, end	a write
 *	idle		1 if there is none
 */
#ifndef PORTING_USAGE_H
#define PORTING_USAGE_H

#include "control.h"

static int writes_init(void);
static void writes_exit(void);
static void write_begin(void);
static void write_end(void);
static bool writes_idle(void);

static unsigned int under_way;

static int control(const char *what, u32 unused)
{
	if (!strcmp(what, "begin")) {
		write_begin();
		under_way++;
		return 0;
	}
	if (!strcmp(what, "end")) {
		if (!under_way)
			return -ENOENT;
		under_way--;
		write_end();
		return 0;
	}
	if (!strcmp(what, "idle"))
		return writes_idle();
	return -EINVAL;
}

static int __init usage_init(void)
{
	int err = writes_init();

	ready = !err;
	return err;
}

static void __exit usage_exit(void)
{
	for (; under_way; under_way--)
		write_end();
	writes_exit();
}

module_init(usage_init);
module_exit(usage_exit);
MODULE_LICENSE("GPL");

#endif /* PORTING_USAGE_H */
