// SPDX-License-Identifier: GPL-2.0-only
/*
 * RCU calls back late, until "over" is set: see unload.sh. This uses nothing of pcpuref,
 * which is unloaded meanwhile.
 *
 *   what=callbacks	on the last CPU callbacks that take their time are queued, and
 *			stand before all that are queued there later
 *   what=tasks		a thread does not sleep, and grace periods of RCU-tasks wait for
 *			that
 *
 * Grace periods of RCU itself end as ever.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/string.h>

#include "pcpuref_kernel.h"

static char *what = "callbacks";
module_param(what, charp, 0444);
MODULE_PARM_DESC(what, "What is late: callbacks tasks");

static bool over;

static int over_set(const char *value, const struct kernel_param *kp)
{
	WRITE_ONCE(over, true);
	return 0;
}

static int over_get(char *buf, const struct kernel_param *kp)
{
	return scnprintf(buf, PAGE_SIZE, "%d\n", READ_ONCE(over));
}

static const struct kernel_param_ops over_ops = { .set = over_set, .get = over_get };
module_param_cb(over, &over_ops, NULL, 0644);
MODULE_PARM_DESC(over, "Written: nothing is late any more; 1 from then on");

/* So few that RCU calls no more than 31 of them at a time, and enough for a minute. */
#define NR_CALLBACKS	4000
#define CALLBACK_MS	15

static struct rcu_head heads[NR_CALLBACKS];
static atomic_t left = ATOMIC_INIT(0);
static struct task_struct *thread;

static int left_get(char *buf, const struct kernel_param *kp)
{
	return scnprintf(buf, PAGE_SIZE, "%d\n", atomic_read(&left));
}

static const struct kernel_param_ops left_ops = { .get = left_get };
module_param_cb(left, &left_ops, NULL, 0444);
MODULE_PARM_DESC(left, "Callbacks that are still to come");

/*
 * By the clock, since mdelay() can be far too short where the CPU is emulated. Between some
 * of these RCU sees this CPU pass through a quiescent state.
 */
static void take_time(struct rcu_head *head)
{
	u64 end = ktime_get_ns() + CALLBACK_MS * NSEC_PER_MSEC;

	while (!READ_ONCE(over) && ktime_get_ns() < end)
		cpu_relax();
	atomic_dec(&left);
}

static void queue_all(void *unused)
{
	unsigned int i;

	for (i = 0; i < NR_CALLBACKS; i++)
		pcpuref_call_rcu_sched(&heads[i], take_time);
}

/* It may be preempted, which RCU-tasks does not take for a quiescent state. */
static int stay_awake(void *unused)
{
	while (!READ_ONCE(over) && !kthread_should_stop()) {
		cpu_relax();
		cond_resched();
	}
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

static int __init delay_init(void)
{
	int cpu = cpumask_last(cpu_online_mask);

	if (!strcmp(what, "callbacks")) {
		atomic_set(&left, NR_CALLBACKS);
		return smp_call_function_single(cpu, queue_all, NULL, 1);
	}
	if (strcmp(what, "tasks"))
		return -EINVAL;
	/* Then they are grace periods of RCU, which this does not make late. */
	if (!IS_ENABLED(CONFIG_TASKS_RCU))
		return -EOPNOTSUPP;
	thread = kthread_run(stay_awake, NULL, "pcpuref_delay");
	return PTR_ERR_OR_ZERO(thread);
}

static void __exit delay_exit(void)
{
	WRITE_ONCE(over, true);
	if (thread)
		kthread_stop(thread);
	rcu_barrier();
}

module_init(delay_init);
module_exit(delay_exit);

MODULE_DESCRIPTION("Makes RCU call back late");
MODULE_LICENSE("GPL");
