// SPDX-License-Identifier: GPL-2.0-only
/*
 * The traps of percpu_ref: each is one scenario of scenarios.c, which is compiled
 * twice. With impl=mainline it runs on the kernel's percpu_ref, with impl=pcpuref on
 * pcpuref.
 *
 * A scenario runs in a thread bound to the last CPU, since it may hang or kill
 * that; loading the module waits for it on the first one. The log tells what
 * happened, for classify.awk:
 *
 *	trap=L3 impl=mainline step=<what is being called>
 *	trap=L3 impl=mainline observed=<what> is=1 must_be=0
 *	trap=L3 impl=mainline end=finished, or end=stuck, or end=died
 *
 * Where the scenario itself is misuse, which must be reported, a line
 * "misuse=<report of pcpuref>" goes before it.
 *
 * Not for a machine that is still needed: mainline does hang and oops.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/string.h>
#include <linux/sysrq.h>

#include "pcpuref.h"
#include "traps.h"

static char *impl = "pcpuref";
module_param(impl, charp, 0444);
MODULE_PARM_DESC(impl, "mainline or pcpuref");

static char *trap = "L3";
module_param(trap, charp, 0444);
MODULE_PARM_DESC(trap, "L1 to L8");

static unsigned int patience = 10;
module_param(patience, uint, 0444);
MODULE_PARM_DESC(patience, "Seconds after which a call is taken to hang");

static bool restart;
module_param(restart, bool, 0444);
MODULE_PARM_DESC(restart, "Restart the machine, at once, when a scenario does not end");

/* --- What the log shows --------------------------------------------------- */

static const char *step = "init";

#define tell(fmt, ...) \
	pr_info("trap=%s impl=%s " fmt "\n", trap, impl, ##__VA_ARGS__)

void in_step(const char *what)
{
	WRITE_ONCE(step, what);
}

void next_step(const char *what)
{
	in_step(what);
	tell("step=%s", what);
}

void observe(const char *what, long is, long must_be)
{
	tell("observed=%s is=%ld must_be=%ld", what, is, must_be);
}

void must_report(const char *report)
{
	tell("misuse=%s", report);
}

void settle(void)
{
	synchronize_rcu();
	rcu_barrier();
	synchronize_rcu();
	rcu_barrier();
}

/* --- Running one ---------------------------------------------------------- */

static DECLARE_COMPLETION(ended);

static int run(void *data)
{
	const struct trap *t = data;

	t->run();
	complete(&ended);

	/* Not out of here before the module knows. */
	set_current_state(TASK_INTERRUPTIBLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_INTERRUPTIBLE);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

/* The thread is still in a call, or has died in it: tell where. */
static void not_ended(struct task_struct *task)
{
	if (READ_ONCE(task->exit_state)) {
		tell("end=died in=%s", READ_ONCE(step));
	} else {
		/* What each CPU is doing, also with interrupts off. */
		handle_sysrq('l');
		tell("end=stuck in=%s after=%us", READ_ONCE(step), patience);
	}
	if (restart)
		emergency_restart();
	/* The thread may still be in here. */
	__module_get(THIS_MODULE);
}

static int __init traps_init(void)
{
	const struct trap *t = NULL;
	unsigned int cpu = cpumask_last(cpu_online_mask);
	struct task_struct *task;
	bool done = false;
	unsigned int i;

	if (!strcmp(impl, "mainline"))
		t = traps_of_kernel;
	else if (!strcmp(impl, "pcpuref"))
		t = traps_of_pcpuref;
	while (t && t->name && strcmp(trap, t->name))
		t++;
	if (!t || !t->name || !cpu) {
		pr_err("needs trap=L1 to L8, impl=mainline or pcpuref, two CPUs\n");
		return -EINVAL;
	}

	/* Timers of a CPU that hangs do not fire: wait elsewhere. */
	if (set_cpus_allowed_ptr(current, cpumask_of(0)))
		return -EINVAL;
	task = kthread_create(run, (void *)t, "trap-%s", trap);
	if (IS_ERR(task))
		return PTR_ERR(task);
	get_task_struct(task);
	kthread_bind(task, cpu);
	tell("start");
	wake_up_process(task);

	for (i = 0; i < patience && !done && !READ_ONCE(task->exit_state); i++)
		done = wait_for_completion_timeout(&ended, HZ);
	if (done) {
		kthread_stop(task);
		pcpuref_barrier();
		tell("end=finished");
	} else {
		not_ended(task);
	}
	put_task_struct(task);
	return 0;
}

static void __exit traps_exit(void)
{
	/* What mainline has handed to RCU. */
	rcu_barrier();
}

module_init(traps_init);
module_exit(traps_exit);

MODULE_DESCRIPTION("Traps of percpu_ref, side by side with pcpuref");
MODULE_LICENSE("GPL");
