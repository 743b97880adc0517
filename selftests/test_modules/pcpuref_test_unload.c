// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client that is unloaded while callbacks into it are on their way: its exit
 * function starts them, calls pcpuref_barrier() and is gone (G14). Everything
 * that they touch, and they themselves, are part of this module: what comes too
 * late finds unmapped memory.
 *
 * In the modes "late" and "late_tasks" the last of them are the core's own: they free
 * what the client has exited. The core must not go before they have come.
 *
 * Whether the callbacks had come by the time the barrier returned is said in
 * the log: "pcpuref-unload: MODE: ok", or what is missing.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <linux/string.h>

#include "compat.h"
#include "pcpuref.h"

static char *mode = "percpu";
module_param(mode, charp, 0444);
MODULE_PARM_DESC(mode, "What is on its way: percpu atomic work recorded overtaken nmi exit late late_tasks");

#define NR_REFS 32
static struct pcpuref refs[NR_REFS];
static atomic_t releases, confirms, switches;
static bool slow_release;

static void release(struct pcpuref *ref)
{
	if (slow_release)
		msleep(20);
	atomic_inc(&releases);
}

static void confirm(struct pcpuref *ref)
{
	atomic_inc(&confirms);
}

static void switched(struct pcpuref *ref)
{
	atomic_inc(&switches);
}

static bool is_mode(const char *name)
{
	return !strcmp(mode, name);
}

#ifdef TEST_HAVE_NMI
static int put_on;

static int put_all(unsigned int type, struct pt_regs *regs)
{
	unsigned int i;

	if (READ_ONCE(put_on) != raw_smp_processor_id() + 1)
		return NMI_DONE;
	for (i = 0; i < NR_REFS; i++)
		pcpuref_put(&refs[i]);
	WRITE_ONCE(put_on, 0);
	return NMI_HANDLED;
}
#endif

static unsigned int flags(void)
{
	if (is_mode("atomic") || is_mode("nmi"))
		return PCPUREF_INIT_ATOMIC;
	if (is_mode("work"))
		return PCPUREF_RELEASE_WORK;
	return PCPUREF_ALLOW_REINIT;
}

/* For readers that may be preempted, in the one mode that has such references. */
static struct pcpuref_site tasks_site = {
	.interface = __PCPUREF_INTERFACE,
	.name = "late_tasks",
	.module = KBUILD_MODNAME,
	.file = __FILE__,
	.function = "unload_init",
	.owner = THIS_MODULE,
	.readers = __PCPUREF_READERS_TASKS,
};

static int init_one(struct pcpuref *ref)
{
	if (is_mode("late_tasks"))
		return __pcpuref_init(ref, release, flags(), GFP_KERNEL, NULL, &tasks_site);
	return pcpuref_init(ref, release, flags(), GFP_KERNEL);
}

static int __init unload_init(void)
{
	unsigned int i;
	int err;

#ifndef TEST_HAVE_NMI
	if (is_mode("nmi"))
		return -EOPNOTSUPP;
#endif
	for (i = 0; i < NR_REFS; i++) {
		err = init_one(&refs[i]);
		if (err)
			goto err_refs;
		if (!is_mode("nmi"))
			continue;
		pcpuref_get(&refs[i]);
		pcpuref_kill(&refs[i]);
	}
	slow_release = is_mode("work");
#ifdef TEST_HAVE_NMI
	if (is_mode("nmi")) {
		err = register_nmi_handler(NMI_LOCAL, put_all, 0, KBUILD_MODNAME);
		if (err)
			goto err_refs;
	}
#endif
	return 0;

err_refs:
	while (i--)
		pcpuref_cancel_init(&refs[i]);
	return err;
}

static void start(struct pcpuref *ref)
{
	if (is_mode("recorded")) {
		/* The kill finds the switch in flight. */
		pcpuref_switch_to_atomic(ref, switched);
		pcpuref_switch_to_percpu(ref);
	} else if (is_mode("overtaken")) {
		pcpuref_kill_and_confirm(ref, switched);
		pcpuref_resurrect(ref);
	}
	pcpuref_kill_and_confirm(ref, confirm);
}

#ifdef TEST_HAVE_NMI
/* The puts are the client's own; what they defer is pcpuref's. */
static void start_nmi(void)
{
	unsigned long end = jiffies + 2 * HZ;
	int cpu = raw_smp_processor_id();

	WRITE_ONCE(put_on, cpu + 1);
	test_send_nmi(cpu);
	while (READ_ONCE(put_on) && time_before(jiffies, end))
		cpu_relax();
}
#else
static void start_nmi(void) { }
#endif

/* Their counters are freed with them, which takes a callback into the core. */
static void exit_all(void *unused)
{
	unsigned int i;

	for (i = 0; i < NR_REFS; i++)
		pcpuref_exit(&refs[i]);
}

static void __exit unload_exit(void)
{
	int kills = NR_REFS, promised = 0;
	unsigned int i;

	if (is_mode("exit")) {
		/* Nothing is called after exit, so no barrier is needed. */
		preempt_disable();
		pcpuref_kill_and_confirm(&refs[0], confirm);
		pr_info("pcpuref-expect: misuse: exit during a switch: name=ref release=%ps\n",
			release);
		pcpuref_exit(&refs[0]);
		preempt_enable();
		for (i = 1; i < NR_REFS; i++)
			pcpuref_exit(&refs[i]);
		pr_info("pcpuref-unload: exit: ok\n");
		return;
	}
	if (is_mode("late") || is_mode("late_tasks")) {
		/* RCU's are to come behind what pcpuref_test_delay has queued there. */
		if (is_mode("late"))
			smp_call_function_single(cpumask_last(cpu_online_mask), exit_all, NULL, 1);
		else
			exit_all(NULL);
		pr_info("pcpuref-unload: %s: ok\n", mode);
		return;
	}

	if (is_mode("nmi")) {
		start_nmi();
		kills = 0;
	} else {
		for (i = 0; i < NR_REFS; i++)
			start(&refs[i]);
	}
	if (is_mode("recorded") || is_mode("overtaken"))
		promised = NR_REFS;

	pcpuref_barrier();

	if (atomic_read(&releases) == NR_REFS && atomic_read(&confirms) == kills &&
	    atomic_read(&switches) == promised)
		pr_info("pcpuref-unload: %s: ok\n", mode);
	else
		pr_info("pcpuref-unload: %s: %d releases, %d confirms, %d switches of %d\n",
			mode, atomic_read(&releases), atomic_read(&confirms),
			atomic_read(&switches), NR_REFS);
#ifdef TEST_HAVE_NMI
	if (is_mode("nmi"))
		unregister_nmi_handler(NMI_LOCAL, KBUILD_MODNAME);
#endif
	for (i = 0; i < NR_REFS; i++)
		pcpuref_exit(&refs[i]);
}

module_init(unload_init);
module_exit(unload_exit);

MODULE_DESCRIPTION("A client that leaves in a hurry");
MODULE_LICENSE("GPL");
