// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device with two kinds of users, for the section on tokens of debugging.rst: sessions,
 * which hold their reference by a token, and polls, which get and put in one function.
 * Write to the parameter "run":
 *
 *   open I, close I	session I takes its reference, and gives it back
 *   poll, fail		get and put; get, and forget to put
 *   kill, exit		the device goes; exit does not ask whether anybody is left
 *
 * Compiled with PCPUREF_DEBUG, see Kbuild.
 */
#include <linux/module.h>
#include <linux/string.h>

#include "pcpuref.h"
#include "pcpuref_holders.h"

static struct pcpuref device;
static bool ready;
static struct pcpuref_token session[4];

static unsigned int sessions;
module_param(sessions, uint, 0444);
MODULE_PARM_DESC(sessions, "How many sessions are open");

static void device_release(struct pcpuref *ref)
{
}

/* start-session */
static noinline void session_open(unsigned int i)
{
	pcpuref_get_tracked(&device, &session[i], GFP_KERNEL);
	sessions++;
}

static noinline void session_close(unsigned int i)
{
	pcpuref_put_tracked(&device, &session[i]);
	sessions--;
}

static noinline void device_poll(bool error)
{
	pcpuref_get(&device);
	if (!error)
		pcpuref_put(&device);
}

/* end-session */

static int run_set(const char *value, const struct kernel_param *kp)
{
	char verb[8];
	unsigned int i = 0;

	/* Parameters can be set before the module's init. */
	if (!ready)
		return -ENODEV;
	if (sscanf(value, "%7s %u", verb, &i) < 1 || i >= ARRAY_SIZE(session))
		return -EINVAL;
	if (!strcmp(verb, "open"))
		session_open(i);
	else if (!strcmp(verb, "close"))
		session_close(i);
	else if (!strcmp(verb, "poll") || !strcmp(verb, "fail"))
		device_poll(verb[0] == 'f');
	else if (!strcmp(verb, "kill"))
		pcpuref_kill(&device);
	else if (!strcmp(verb, "exit"))
		pcpuref_exit(&device);
	else
		return -EINVAL;
	/* No tail call: the reports are to name this function. */
	barrier();
	return 0;
}

static const struct kernel_param_ops run_ops = { .set = run_set };
module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "open I, close I, poll, fail, kill or exit");

static int __init session_init(void)
{
	int err = pcpuref_init(&device, device_release, 0, GFP_KERNEL);

	ready = !err;
	return err;
}

static void __exit session_exit(void)
{
	pcpuref_exit(&device);
}

module_init(session_init);
module_exit(session_exit);
MODULE_DESCRIPTION("A device with sessions and polls, some of which leak");
MODULE_LICENSE("GPL");
