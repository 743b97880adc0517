// SPDX-License-Identifier: GPL-2.0-only
/*
 * The scenarios, as a client of percpu_ref writes them. No object is made of this
 * file: traps_kernel.c compiles it for the kernel's percpu_ref, traps_pcpuref.c for
 * pcpuref. A header that is included here is read before percpu_ref can mean pcpuref.
 */
#include "traps.h"

static struct percpu_ref ref;
static unsigned int releases, confirms;
static bool exit_in_release;

static void released(struct percpu_ref *r)
{
	releases++;
	if (exit_in_release)
		percpu_ref_exit(r);
}

static void confirmed(struct percpu_ref *r)
{
	WRITE_ONCE(confirms, confirms + 1);
}

static int start(unsigned int flags)
{
	int rc = percpu_ref_init(&ref, released, flags, GFP_KERNEL);

	if (rc)
		observe("result of the init", rc, 0);
	return rc;
}

/* Exit from release, in atomic mode: release runs inside of kill. */
static void trap_l1(void)
{
	exit_in_release = true;
	if (start(PERCPU_REF_INIT_ATOMIC))
		return;
	next_step("kill");
	percpu_ref_kill(&ref);
	observe("releases", releases, 1);
}

/* The confirmation of a kill in atomic mode, while a reader is under way. */
static void trap_l2(void)
{
	unsigned int early;
	bool got;

	if (start(PERCPU_REF_INIT_ATOMIC))
		return;
	in_step("kill_and_confirm");
	rcu_read_lock();
	got = percpu_ref_tryget_live(&ref);
	percpu_ref_kill_and_confirm(&ref, confirmed);
	early = READ_ONCE(confirms);
	rcu_read_unlock();

	observe("tryget_live before the kill", got, 1);
	observe("confirms while a reader from before the kill runs", early, 0);
	settle();
	observe("confirms after a grace period", READ_ONCE(confirms), 1);
	next_step("put");
	percpu_ref_put(&ref);
	observe("releases", releases, 1);
	next_step("exit");
	percpu_ref_exit(&ref);
}

/* Without ALLOW_REINIT, to atomic mode: is the reference alive? */
static void trap_l3(void)
{
	bool got;

	if (start(0))
		return;
	next_step("to_atomic_sync");
	percpu_ref_switch_to_atomic_sync(&ref);
	observe("is_dying of a live reference", percpu_ref_is_dying(&ref), 0);
	got = percpu_ref_tryget_live(&ref);
	observe("tryget_live of a live reference", got, 1);
	if (got) {
		next_step("put");
		percpu_ref_put(&ref);
	}
	next_step("kill");
	percpu_ref_kill(&ref);
	settle();
	observe("releases", releases, 1);
	next_step("exit");
	percpu_ref_exit(&ref);
}

static int l4_to_percpu(void *unused)
{
	percpu_ref_switch_to_percpu(&ref);
	return 0;
}

static int l4_kill(void *unused)
{
	percpu_ref_kill_and_confirm(&ref, confirmed);
	return 0;
}

static int l4_resurrect(void *unused)
{
	percpu_ref_resurrect(&ref);
	return 0;
}

/* A kill and a resurrect that both meet a switch in flight. */
static void trap_l4(void)
{
	/* Threads, since mainline's calls sleep until the switch is over. */
	int (* const calls[])(void *) = { l4_to_percpu, l4_kill, l4_resurrect };
	struct task_struct *tasks[ARRAY_SIZE(calls)];
	unsigned int i;

	if (start(PERCPU_REF_ALLOW_REINIT))
		return;
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		tasks[i] = kthread_create(calls[i], NULL, "trap-L4-%u", i);
		if (IS_ERR(tasks[i])) {
			observe("threads", i, ARRAY_SIZE(calls));
			return;
		}
		get_task_struct(tasks[i]);
		kthread_bind(tasks[i], 0);
	}
	in_step("kill_and_confirm, resurrect");
	/* A reader here keeps the grace period of the switch open. */
	rcu_read_lock();
	percpu_ref_switch_to_atomic(&ref, NULL);
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
	observe("confirms of one accepted kill", READ_ONCE(confirms), 1);
	observe("is_dying after the resurrect", percpu_ref_is_dying(&ref), 0);
	next_step("kill");
	percpu_ref_kill(&ref);
	settle();
	observe("releases", releases, 1);
	next_step("exit");
	percpu_ref_exit(&ref);
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

	if (start(PERCPU_REF_ALLOW_REINIT))
		return;
	init_irq_work(&l5_work, l5_interrupt);
	in_step("kill_and_confirm");
	local_irq_save(flags);
	percpu_ref_switch_to_atomic(&ref, NULL);
	/* Raises an interrupt on this CPU, which must stay pending. */
	irq_work_queue(&l5_work);
	percpu_ref_kill_and_confirm(&ref, confirmed);
	ran = READ_ONCE(l5_ran);
	off = irqs_disabled();
	local_irq_restore(flags);

	observe("interrupt within the section that has them off", ran, 0);
	observe("interrupts off after the kill", off, 1);
	irq_work_sync(&l5_work);
	observe("interrupt after that section", READ_ONCE(l5_ran), 1);
	settle();
	observe("confirms", READ_ONCE(confirms), 1);
	observe("releases", releases, 1);
	next_step("exit");
	percpu_ref_exit(&ref);
}

/* Exit with a reference out, and once more. */
static void trap_l6(void)
{
	if (start(0))
		return;
	next_step("get_many");
	percpu_ref_get_many(&ref, 1);
	must_report("exit with references out: name=&ref release=released");
	next_step("exit");
	percpu_ref_exit(&ref);
	next_step("exit");
	percpu_ref_exit(&ref);
	observe("tryget after exit", percpu_ref_tryget(&ref), 0);
}

/* Exit with references out, whose number has only high bits. */
static void trap_l7(void)
{
	if (start(PERCPU_REF_INIT_ATOMIC))
		return;
	next_step("get_many");
	percpu_ref_get_many(&ref, (1UL << (BITS_PER_LONG - 2)) - 1);
	must_report("exit with references out: name=&ref release=released");
	next_step("exit");
	percpu_ref_exit(&ref);
	observe("is_zero after exit with references out", percpu_ref_is_zero(&ref), 0);
}

/* One put too many, of a reference that has been released. */
static void trap_l8(void)
{
	if (start(PERCPU_REF_INIT_ATOMIC))
		return;
	next_step("kill");
	percpu_ref_kill(&ref);
	observe("releases", releases, 1);
	must_report("put without a reference: name=&ref release=released");
	next_step("put");
	percpu_ref_put(&ref);
	observe("tryget of a released reference", percpu_ref_tryget(&ref), 0);
	observe("releases", releases, 1);
	next_step("exit");
	percpu_ref_exit(&ref);
}

const struct trap TRAPS[] = {
	{ "L1", trap_l1 },
	{ "L2", trap_l2 },
	{ "L3", trap_l3 },
	{ "L4", trap_l4 },
	{ "L5", trap_l5 },
	{ "L6", trap_l6 },
	{ "L7", trap_l7 },
	{ "L8", trap_l8 },
	{ }
};
