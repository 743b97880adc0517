// SPDX-License-Identifier: GPL-2.0-only
/*
 * Has an allocation fail where no test can ask for it: in the init of a module, in what
 * the kernel calls when a module is live, in a work item. It sets the task's
 * fail-nth when the task comes there, and looks at it when the task leaves. It does not
 * use pcpuref, so that it can be loaded before.
 *
 *   where   "init MODULE", "live MODULE" or "work FUNCTION [MODULE]"
 *   nth     written: the next time, once, the allocation of this number fails there. 0:
 *           each one that the files in debugfs with task-filter let fail
 *   result  "waiting" until a task comes there, "within" until it leaves; then "refused"
 *           if it was an init that failed, else "struck" if an allocation did, else "spared"
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/notifier.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <linux/workqueue.h>

enum { IDLE, WAITING, WITHIN, SPARED, STRUCK, REFUSED };
static const char *const results[] = {
	"idle", "waiting", "within", "spared", "struck", "refused",
};

static atomic_t state;
static struct task_struct *within;
static unsigned int nth;

static char where[96];
module_param_string(where, where, sizeof(where), 0644);
MODULE_PARM_DESC(where, "Where an allocation is to fail");

static void enter(const char *what, const char *name)
{
	char here[sizeof(where)];

	if (atomic_read(&state) != WAITING)
		return;
	scnprintf(here, sizeof(here), "%s %s", what, name);
	/* As echo writes it. */
	if (!sysfs_streq(where, here) ||
	    atomic_cmpxchg(&state, WAITING, WITHIN) != WAITING)
		return;
	WRITE_ONCE(within, current);
	if (nth)
		WRITE_ONCE(current->fail_nth, nth);
	else
		current->make_it_fail = 1;
}

static void leave(bool refused)
{
	bool struck;

	/* Another task than the one that came: no matter what it reads, not this one. */
	if (atomic_read(&state) != WITHIN || READ_ONCE(within) != current)
		return;
	struck = nth && !READ_ONCE(current->fail_nth);
	WRITE_ONCE(current->fail_nth, 0);
	current->make_it_fail = 0;
	WRITE_ONCE(within, NULL);
	atomic_set(&state, refused ? REFUSED : struck ? STRUCK : SPARED);
}

static int nth_set(const char *value, const struct kernel_param *kp)
{
	int err;

	if (atomic_read(&state) == WITHIN)
		return -EBUSY;
	atomic_set(&state, IDLE);
	err = param_set_uint(value, kp);
	if (!err)
		atomic_set(&state, WAITING);
	return err;
}

static const struct kernel_param_ops nth_ops = { .set = nth_set, .get = param_get_uint };
module_param_cb(nth, &nth_ops, &nth, 0600);
MODULE_PARM_DESC(nth, "Number of the allocation that is to fail");

static int result_get(char *buf, const struct kernel_param *kp)
{
	return scnprintf(buf, PAGE_SIZE, "%s\n", results[atomic_read(&state)]);
}

static const struct kernel_param_ops result_ops = { .get = result_get };
module_param_cb(result, &result_ops, NULL, 0400);
MODULE_PARM_DESC(result, "What has become of it");

/* --- Where -------------------------------------------------------------------------- */

/* All is set up that a module needs, and its init is to be called. */
static void on_load(void *data, struct module *module)
{
	enter("init", module->name);
}

static int on_module_first(struct notifier_block *nb, unsigned long action, void *data)
{
	struct module *module = data;

	if (action != MODULE_STATE_LIVE && action != MODULE_STATE_GOING)
		return NOTIFY_DONE;
	/* Init is over. A module that only comes to go has failed. */
	leave(action == MODULE_STATE_GOING);
	if (action == MODULE_STATE_LIVE)
		enter("live", module->name);
	return NOTIFY_DONE;
}

static int on_module_last(struct notifier_block *nb, unsigned long action, void *data)
{
	if (action == MODULE_STATE_LIVE)
		leave(false);
	return NOTIFY_DONE;
}

static struct notifier_block first = { .notifier_call = on_module_first, .priority = INT_MAX };
static struct notifier_block last = { .notifier_call = on_module_last, .priority = INT_MIN };

static void on_work(void *data, struct work_struct *work)
{
	char name[sizeof(where)];

	if (atomic_read(&state) != WAITING)
		return;
	scnprintf(name, sizeof(name), "%ps", work->func);
	enter("work", name);
}

static void on_work_end(void *data, struct work_struct *work, work_func_t func)
{
	leave(false);
}

/* --- Tracepoints that are not exported ---------------------------------------------- */

static struct hook {
	const char		*name;
	void			*probe;
	struct tracepoint	*tp;
} hooks[] = {
	{ "module_load", on_load },
	{ "workqueue_execute_start", on_work },
	{ "workqueue_execute_end", on_work_end },
};

static void find(struct tracepoint *tp, void *unused)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		if (!strcmp(tp->name, hooks[i].name))
			hooks[i].tp = tp;
}

static void unhook(unsigned int n)
{
	while (n--)
		tracepoint_probe_unregister(hooks[n].tp, hooks[n].probe, NULL);
	tracepoint_synchronize_unregister();
}

static int __init arm_init(void)
{
	unsigned int i;
	int err;

	for_each_kernel_tracepoint(find, NULL);
	for (i = 0; i < ARRAY_SIZE(hooks); i++) {
		err = hooks[i].tp ? tracepoint_probe_register(hooks[i].tp, hooks[i].probe, NULL) :
				    -ENOENT;
		if (err) {
			unhook(i);
			return err;
		}
	}
	register_module_notifier(&first);
	register_module_notifier(&last);
	return 0;
}

static void __exit arm_exit(void)
{
	unregister_module_notifier(&last);
	unregister_module_notifier(&first);
	unhook(ARRAY_SIZE(hooks));
}

module_init(arm_init);
module_exit(arm_exit);

MODULE_DESCRIPTION("Lets allocations fail at chosen places");
MODULE_LICENSE("GPL");
