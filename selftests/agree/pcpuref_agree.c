// SPDX-License-Identifier: GPL-2.0-only
/*
 * Carries out a sequence of operations on one reference, and prints the state after each
 * of them, for scripts/agree.sh to compare with what Documentation/models/machine.pml
 * says. The sequence is written to the parameter "run": "INIT flags OPERATION...",
 * which returns when the sequence is over.
 *
 * A grace period that the reference waits for ends at OVER, and at no other time. To have
 * it so, the sequence goes on in a callback of RCU of its own. One CPU calls callbacks in
 * the order in which they were asked for. So the reference's callback comes right before
 * ours, and one that it asks for in turn comes after ours. No callback comes while ours
 * runs, nor, before the first OVER, while softirqs are disabled.
 *
 * Half of a state is printed by pcpuref_dump(), which alone knows about grace periods.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bottom_half.h>
#include <linux/completion.h>
#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "pcpuref.h"
#include "pcpuref_kernel.h"

/**
 * struct sequence - the one that is being carried out
 * @ref: what with
 * @head: to go on after a grace period
 * @over: completed at its end
 * @next: what is left of it
 * @error: it could not be carried out
 * @kills: confirmations of kills that have come
 * @switches: and of switches
 * @releases: calls of release
 */
struct sequence {
	struct pcpuref		ref;
	struct rcu_head		head;
	struct completion	over;
	char			*next;
	int			error;
	unsigned int		kills;
	unsigned int		switches;
	unsigned int		releases;
};

static struct sequence sequence;
static DEFINE_MUTEX(one_at_a_time);

static void release(struct pcpuref *ref)
{
	container_of(ref, struct sequence, ref)->releases++;
}

static void killed(struct pcpuref *ref)
{
	container_of(ref, struct sequence, ref)->kills++;
}

static void switched(struct pcpuref *ref)
{
	container_of(ref, struct sequence, ref)->switches++;
}

static bool op_kill(struct pcpuref *ref)
{
	return !pcpuref_kill(ref);
}

static bool op_kill_confirm(struct pcpuref *ref)
{
	return !pcpuref_kill_and_confirm(ref, killed);
}

static bool op_resurrect(struct pcpuref *ref)
{
	return !pcpuref_resurrect(ref);
}

static bool op_reinit(struct pcpuref *ref)
{
	return !pcpuref_reinit(ref);
}

static bool op_atomic(struct pcpuref *ref)
{
	return !pcpuref_switch_to_atomic(ref, NULL);
}

static bool op_atomic_confirm(struct pcpuref *ref)
{
	return !pcpuref_switch_to_atomic(ref, switched);
}

static bool op_percpu(struct pcpuref *ref)
{
	return !pcpuref_switch_to_percpu(ref);
}

static bool op_get(struct pcpuref *ref)
{
	pcpuref_get(ref);
	return true;
}

static bool op_tryget(struct pcpuref *ref)
{
	return pcpuref_tryget(ref);
}

static bool op_tryget_live(struct pcpuref *ref)
{
	return pcpuref_tryget_live(ref);
}

static bool op_put(struct pcpuref *ref)
{
	pcpuref_put(ref);
	return true;
}

static bool op_exit(struct pcpuref *ref)
{
	pcpuref_exit(ref);
	return true;
}

static const struct {
	const char	*name;
	bool		(*func)(struct pcpuref *ref);
} operations[] = {
	{ "KILL", op_kill },
	{ "KILL_CONFIRM", op_kill_confirm },
	{ "RESURRECT", op_resurrect },
	{ "REINIT", op_reinit },
	{ "ATOMIC", op_atomic },
	{ "ATOMIC_CONFIRM", op_atomic_confirm },
	{ "PERCPU", op_percpu },
	{ "GET", op_get },
	{ "TRYGET", op_tryget },
	{ "TRYGET_LIVE", op_tryget_live },
	{ "PUT", op_put },
	{ "EXIT", op_exit },
};

static void show(const char *op, bool answer)
{
	pcpuref_dump(&sequence.ref);
	pr_info("%s answer=%d zero=%d dying=%d kills=%u switches=%u releases=%u\n", op, answer,
		pcpuref_is_zero(&sequence.ref), pcpuref_is_dying(&sequence.ref),
		sequence.kills, sequence.switches, sequence.releases);
}

static void go_on(struct rcu_head *head);

/* Up to the next OVER, or the end. Softirqs are disabled. */
static void carry_out(void)
{
	const char *op;
	size_t i;

	while ((op = strsep(&sequence.next, " "))) {
		if (!strcmp(op, "OVER")) {
			pcpuref_call_rcu_sched(&sequence.head, go_on);
			return;
		}
		for (i = 0; i < ARRAY_SIZE(operations); i++)
			if (!strcmp(op, operations[i].name))
				break;
		if (i == ARRAY_SIZE(operations)) {
			pr_err("no operation: %s\n", op);
			sequence.error = -EINVAL;
			break;
		}
		show(op, operations[i].func(&sequence.ref));
	}
	complete(&sequence.over);
}

static void go_on(struct rcu_head *head)
{
	show("OVER", true);
	carry_out();
}

static int run(char *text)
{
	unsigned int flags;
	char *begin;
	int rc;

	sequence.next = strim(text);
	begin = strsep(&sequence.next, " ");
	if (strcmp(begin, "INIT"))
		return -EINVAL;
	begin = strsep(&sequence.next, " ");
	if (!begin || kstrtouint(begin, 0, &flags))
		return -EINVAL;

	sequence.kills = 0;
	sequence.switches = 0;
	sequence.releases = 0;
	sequence.error = 0;
	reinit_completion(&sequence.over);
	rc = pcpuref_init(&sequence.ref, release, flags, GFP_KERNEL);
	if (rc)
		return rc;
	/* As in the callbacks that go on. */
	local_bh_disable();
	show("INIT", true);
	carry_out();
	local_bh_enable();
	wait_for_completion(&sequence.over);
	return sequence.error;
}

static int set_run(const char *val, const struct kernel_param *kp)
{
	char *text = kstrdup(val, GFP_KERNEL);
	int rc;

	if (!text)
		return -ENOMEM;
	mutex_lock(&one_at_a_time);
	rc = run(text);
	mutex_unlock(&one_at_a_time);
	kfree(text);
	return rc;
}

static const struct kernel_param_ops run_ops = { .set = set_run };
module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "Carry out a sequence: INIT flags OPERATION...");

static int __init agree_init(void)
{
	init_completion(&sequence.over);
	return 0;
}

static void __exit agree_exit(void)
{
	/* One that failed may not have come to its EXIT. */
	pcpuref_exit(&sequence.ref);
	/* The callback that completed the last sequence has returned. */
	rcu_barrier();
}

module_init(agree_init);
module_exit(agree_exit);
MODULE_DESCRIPTION("Does pcpuref what the model of its state machine does?");
MODULE_LICENSE("GPL");
