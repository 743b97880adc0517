// SPDX-License-Identifier: GPL-2.0-only
/*
 * The traps of percpu_ref: each is one scenario, run with impl=mainline on the
 * kernel's percpu_ref or with impl=pcpuref on pcpuref, by the same code.
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
#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/percpu-refcount.h>
#include <linux/rcupdate.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/string.h>
#include <linux/sysrq.h>

#include "pcpuref.h"

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

/* Whichever is tried is at the start, and the callbacks get its address. */
union any_ref {
	struct percpu_ref	theirs;
	struct pcpuref		ours;
};

static union any_ref ref;
static const char *step = "init";
static unsigned int releases, confirms;
static bool exit_in_release;

/* --- The two implementations ---------------------------------------------- */

#define ATOMIC_FLAG	1
#define REINIT_FLAG	2

struct ops {
	const char *name;
	int (*init)(unsigned int flags);
	void (*exit)(void);
	void (*kill)(void);
	void (*kill_and_confirm)(void);
	void (*resurrect)(void);
	void (*to_atomic)(void);
	void (*to_atomic_sync)(void);
	void (*to_percpu)(void);
	void (*get_many)(unsigned long nr);
	void (*put)(void);
	bool (*tryget)(void);
	bool (*tryget_live)(void);
	bool (*is_zero)(void);
	bool (*is_dying)(void);
};

static const struct ops *ops;

static void theirs_release(struct percpu_ref *r)
{
	releases++;
	if (exit_in_release)
		percpu_ref_exit(r);
}

static void theirs_confirm(struct percpu_ref *r)
{
	WRITE_ONCE(confirms, confirms + 1);
}

static int theirs_init(unsigned int flags)
{
	return percpu_ref_init(&ref.theirs, theirs_release,
			       (flags & ATOMIC_FLAG ? PERCPU_REF_INIT_ATOMIC : 0) |
			       (flags & REINIT_FLAG ? PERCPU_REF_ALLOW_REINIT : 0),
			       GFP_KERNEL);
}

static void theirs_exit(void)
{
	percpu_ref_exit(&ref.theirs);
}

static void theirs_kill(void)
{
	percpu_ref_kill(&ref.theirs);
}

static void theirs_kill_and_confirm(void)
{
	percpu_ref_kill_and_confirm(&ref.theirs, theirs_confirm);
}

static void theirs_resurrect(void)
{
	percpu_ref_resurrect(&ref.theirs);
}

static void theirs_to_atomic(void)
{
	percpu_ref_switch_to_atomic(&ref.theirs, NULL);
}

static void theirs_to_atomic_sync(void)
{
	percpu_ref_switch_to_atomic_sync(&ref.theirs);
}

static void theirs_to_percpu(void)
{
	percpu_ref_switch_to_percpu(&ref.theirs);
}

static void theirs_get_many(unsigned long nr)
{
	percpu_ref_get_many(&ref.theirs, nr);
}

static void theirs_put(void)
{
	percpu_ref_put(&ref.theirs);
}

static bool theirs_tryget(void)
{
	return percpu_ref_tryget(&ref.theirs);
}

static bool theirs_tryget_live(void)
{
	return percpu_ref_tryget_live(&ref.theirs);
}

static bool theirs_is_zero(void)
{
	return percpu_ref_is_zero(&ref.theirs);
}

static bool theirs_is_dying(void)
{
	return percpu_ref_is_dying(&ref.theirs);
}

static const struct ops theirs = {
	.name = "mainline",
	.init = theirs_init,
	.exit = theirs_exit,
	.kill = theirs_kill,
	.kill_and_confirm = theirs_kill_and_confirm,
	.resurrect = theirs_resurrect,
	.to_atomic = theirs_to_atomic,
	.to_atomic_sync = theirs_to_atomic_sync,
	.to_percpu = theirs_to_percpu,
	.get_many = theirs_get_many,
	.put = theirs_put,
	.tryget = theirs_tryget,
	.tryget_live = theirs_tryget_live,
	.is_zero = theirs_is_zero,
	.is_dying = theirs_is_dying,
};

static void ours_release(struct pcpuref *r)
{
	releases++;
	if (exit_in_release)
		pcpuref_exit(r);
}

static void ours_confirm(struct pcpuref *r)
{
	WRITE_ONCE(confirms, confirms + 1);
}

static int ours_init(unsigned int flags)
{
	return pcpuref_init_named(&ref.ours, ours_release,
				  (flags & ATOMIC_FLAG ? PCPUREF_INIT_ATOMIC : 0) |
				  (flags & REINIT_FLAG ? PCPUREF_ALLOW_REINIT : 0),
				  GFP_KERNEL, "trap");
}

static void ours_exit(void)
{
	pcpuref_exit(&ref.ours);
}

static void ours_kill(void)
{
	pcpuref_kill(&ref.ours);
}

static void ours_kill_and_confirm(void)
{
	pcpuref_kill_and_confirm(&ref.ours, ours_confirm);
}

static void ours_resurrect(void)
{
	pcpuref_resurrect(&ref.ours);
}

static void ours_to_atomic(void)
{
	pcpuref_switch_to_atomic(&ref.ours, NULL);
}

static void ours_to_atomic_sync(void)
{
	pcpuref_switch_to_atomic_sync(&ref.ours);
}

static void ours_to_percpu(void)
{
	pcpuref_switch_to_percpu(&ref.ours);
}

static void ours_get_many(unsigned long nr)
{
	pcpuref_get_many(&ref.ours, nr);
}

static void ours_put(void)
{
	pcpuref_put(&ref.ours);
}

static bool ours_tryget(void)
{
	return pcpuref_tryget(&ref.ours);
}

static bool ours_tryget_live(void)
{
	return pcpuref_tryget_live(&ref.ours);
}

static bool ours_is_zero(void)
{
	return pcpuref_is_zero(&ref.ours);
}

static bool ours_is_dying(void)
{
	return pcpuref_is_dying(&ref.ours);
}

static const struct ops ours = {
	.name = "pcpuref",
	.init = ours_init,
	.exit = ours_exit,
	.kill = ours_kill,
	.kill_and_confirm = ours_kill_and_confirm,
	.resurrect = ours_resurrect,
	.to_atomic = ours_to_atomic,
	.to_atomic_sync = ours_to_atomic_sync,
	.to_percpu = ours_to_percpu,
	.get_many = ours_get_many,
	.put = ours_put,
	.tryget = ours_tryget,
	.tryget_live = ours_tryget_live,
	.is_zero = ours_is_zero,
	.is_dying = ours_is_dying,
};

/* --- What the log shows --------------------------------------------------- */

#define tell(fmt, ...) \
	pr_info("trap=%s impl=%s " fmt "\n", trap, ops->name, ##__VA_ARGS__)

/* For whoever finds this thread stuck in what comes next. */
static void next_step(const char *what)
{
	WRITE_ONCE(step, what);
	tell("step=%s", what);
}

/* Not while interrupts are off, or readers wait: a console is slow. */
#define OBSERVE(what, value, expected) \
	tell("observed=%s is=%ld must_be=%ld", what, (long)(value), (long)(expected))

#define MISUSE(text)	tell("misuse=%s", text)

/* Two grace periods, for a switch and for what follows from it. */
static void settle(void)
{
	synchronize_rcu();
	rcu_barrier();
	synchronize_rcu();
	rcu_barrier();
}

static int start(unsigned int flags)
{
	int rc = ops->init(flags);

	if (rc)
		OBSERVE("result of the init", rc, 0);
	return rc;
}

/* --- Scenarios ------------------------------------------------------------ */

/* Exit from release, in atomic mode: release runs inside of kill. */
static void trap_l1(void)
{
	exit_in_release = true;
	if (start(ATOMIC_FLAG))
		return;
	next_step("kill");
	ops->kill();
	OBSERVE("releases", releases, 1);
}

/* The confirmation of a kill in atomic mode, while a reader is under way. */
static void trap_l2(void)
{
	unsigned int early;
	bool got;

	if (start(ATOMIC_FLAG))
		return;
	WRITE_ONCE(step, "kill_and_confirm");
	rcu_read_lock();
	got = ops->tryget_live();
	ops->kill_and_confirm();
	early = READ_ONCE(confirms);
	rcu_read_unlock();

	OBSERVE("tryget_live before the kill", got, 1);
	OBSERVE("confirms while a reader from before the kill runs", early, 0);
	settle();
	OBSERVE("confirms after a grace period", READ_ONCE(confirms), 1);
	next_step("put");
	ops->put();
	OBSERVE("releases", releases, 1);
	next_step("exit");
	ops->exit();
}

/* Without ALLOW_REINIT, to atomic mode: is the reference alive? */
static void trap_l3(void)
{
	bool got;

	if (start(0))
		return;
	next_step("to_atomic_sync");
	ops->to_atomic_sync();
	OBSERVE("is_dying of a live reference", ops->is_dying(), 0);
	got = ops->tryget_live();
	OBSERVE("tryget_live of a live reference", got, 1);
	if (got) {
		next_step("put");
		ops->put();
	}
	next_step("kill");
	ops->kill();
	settle();
	OBSERVE("releases", releases, 1);
	next_step("exit");
	ops->exit();
}

static int l4_to_percpu(void *unused)
{
	ops->to_percpu();
	return 0;
}

static int l4_kill(void *unused)
{
	ops->kill_and_confirm();
	return 0;
}

static int l4_resurrect(void *unused)
{
	ops->resurrect();
	return 0;
}

/* A kill and a resurrect that both meet a switch in flight. */
static void trap_l4(void)
{
	/* Threads, since mainline's calls sleep until the switch is over. */
	int (* const calls[])(void *) = { l4_to_percpu, l4_kill, l4_resurrect };
	struct task_struct *tasks[ARRAY_SIZE(calls)];
	unsigned int i;

	if (start(REINIT_FLAG))
		return;
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		tasks[i] = kthread_create(calls[i], NULL, "trap-L4-%u", i);
		if (IS_ERR(tasks[i])) {
			OBSERVE("threads", i, ARRAY_SIZE(calls));
			return;
		}
		get_task_struct(tasks[i]);
		kthread_bind(tasks[i], 0);
	}
	WRITE_ONCE(step, "kill_and_confirm, resurrect");
	/* A reader here keeps the grace period of the switch open. */
	rcu_read_lock();
	ops->to_atomic();
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		wake_up_process(tasks[i]);
		mdelay(100);
	}
	rcu_read_unlock();

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		kthread_stop(tasks[i]);
		put_task_struct(tasks[i]);
	}
	settle();
	OBSERVE("confirms of one accepted kill", READ_ONCE(confirms), 1);
	OBSERVE("is_dying after the resurrect", ops->is_dying(), 0);
	next_step("kill");
	ops->kill();
	settle();
	OBSERVE("releases", releases, 1);
	next_step("exit");
	ops->exit();
}

static bool l5_ran;

static void l5_interrupt(struct irq_work *work)
{
	WRITE_ONCE(l5_ran, true);
}

static struct irq_work l5_work;

/* Kill with interrupts off, while a switch is in flight. */
static void trap_l5(void)
{
	unsigned long flags;
	bool ran, off;

	if (start(REINIT_FLAG))
		return;
	init_irq_work(&l5_work, l5_interrupt);
	WRITE_ONCE(step, "kill_and_confirm");
	local_irq_save(flags);
	ops->to_atomic();
	/* Raises an interrupt on this CPU, which must stay pending. */
	irq_work_queue(&l5_work);
	ops->kill_and_confirm();
	ran = READ_ONCE(l5_ran);
	off = irqs_disabled();
	local_irq_restore(flags);

	OBSERVE("interrupt within the section that has them off", ran, 0);
	OBSERVE("interrupts off after the kill", off, 1);
	irq_work_sync(&l5_work);
	OBSERVE("interrupt after that section", READ_ONCE(l5_ran), 1);
	settle();
	OBSERVE("confirms", READ_ONCE(confirms), 1);
	OBSERVE("releases", releases, 1);
	next_step("exit");
	ops->exit();
}

/* Exit with a reference out, and once more. */
static void trap_l6(void)
{
	if (start(0))
		return;
	next_step("get_many");
	ops->get_many(1);
	MISUSE("exit with references out: name=trap release=ours_release");
	next_step("exit");
	ops->exit();
	next_step("exit");
	ops->exit();
	OBSERVE("tryget after exit", ops->tryget(), 0);
}

/* Exit with references out, whose number has only high bits. */
static void trap_l7(void)
{
	if (start(ATOMIC_FLAG))
		return;
	next_step("get_many");
	ops->get_many((1UL << (BITS_PER_LONG - 2)) - 1);
	MISUSE("exit with references out: name=trap release=ours_release");
	next_step("exit");
	ops->exit();
	OBSERVE("is_zero after exit with references out", ops->is_zero(), 0);
}

/* One put too many, of a reference that has been released. */
static void trap_l8(void)
{
	if (start(ATOMIC_FLAG))
		return;
	next_step("kill");
	ops->kill();
	OBSERVE("releases", releases, 1);
	MISUSE("put without a reference: name=trap release=ours_release");
	next_step("put");
	ops->put();
	OBSERVE("tryget of a released reference", ops->tryget(), 0);
	OBSERVE("releases", releases, 1);
	next_step("exit");
	ops->exit();
}

static const struct scenario {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{ "L1", trap_l1 },
	{ "L2", trap_l2 },
	{ "L3", trap_l3 },
	{ "L4", trap_l4 },
	{ "L5", trap_l5 },
	{ "L6", trap_l6 },
	{ "L7", trap_l7 },
	{ "L8", trap_l8 },
};

/* --- Running one ---------------------------------------------------------- */

static DECLARE_COMPLETION(ended);

static int run(void *data)
{
	const struct scenario *scenario = data;

	scenario->run();
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
	const struct scenario *scenario = NULL;
	unsigned int cpu = cpumask_last(cpu_online_mask);
	struct task_struct *task;
	bool done = false;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(scenarios); i++)
		if (!strcmp(trap, scenarios[i].name))
			scenario = &scenarios[i];
	if (!strcmp(impl, theirs.name))
		ops = &theirs;
	else if (!strcmp(impl, ours.name))
		ops = &ours;
	if (!scenario || !ops || !cpu) {
		pr_err("needs trap=L1 to L8, impl=mainline or pcpuref, two CPUs\n");
		return -EINVAL;
	}

	/* Timers of a CPU that hangs do not fire: wait elsewhere. */
	if (set_cpus_allowed_ptr(current, cpumask_of(0)))
		return -EINVAL;
	task = kthread_create(run, (void *)scenario, "trap-%s", trap);
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
