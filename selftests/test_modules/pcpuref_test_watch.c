// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client that does what it is told, for the tests of what is seen from
 * outside. Write to the parameter "run":
 *
 *   VERB FIRST [COUNT]	do it to so many of the references
 *   churn MS		init and exit on all CPUs for so long
 *
 *   hold FIRST		get it, and forget to put it if killed meanwhile
 *   slow FIRST		init with a release that waits for "go"
 *
 * and read from "id" the number of the reference last told of. Unloaded with
 * leave=1 it exits nothing.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "pcpuref.h"
#include "pcpuref_inspect.h"

#define REFS	20000

static struct pcpuref *refs;
static u64 last_id;

static bool leave;
module_param(leave, bool, 0644);
MODULE_PARM_DESC(leave, "Do not exit what is left when unloaded");

static void watched_release(struct pcpuref *ref)
{
}

static void watched_confirm(struct pcpuref *ref)
{
}

static noinline int do_init(struct pcpuref *ref)
{
	int err = pcpuref_init_named(ref, watched_release, PCPUREF_ALLOW_REINIT, GFP_KERNEL,
				     "watched");

	/* No tail call: the trace is to name this function. */
	barrier();
	return err;
}

static noinline int do_lazy(struct pcpuref *ref)
{
	return pcpuref_init_named(ref, watched_release,
				  PCPUREF_ALLOW_REINIT | PCPUREF_INIT_LAZY, GFP_KERNEL, "lazy");
}

static noinline int do_linger(struct pcpuref *ref)
{
	return pcpuref_init_named(ref, watched_release, PCPUREF_MAY_LINGER, GFP_KERNEL,
				  "lingers");
}

/* A count of which a put too many is noticed at once. */
static noinline int do_counted(struct pcpuref *ref)
{
	return pcpuref_init_named(ref, watched_release, PCPUREF_INIT_ATOMIC, GFP_KERNEL,
				  "counted");
}

static DECLARE_COMPLETION(go);

static noinline void slow_release(struct pcpuref *ref)
{
	wait_for_completion(&go);
	/* No tail call: the stack is to have this function. */
	barrier();
}

static noinline int do_slow(struct pcpuref *ref)
{
	return pcpuref_init_named(ref, slow_release, PCPUREF_RELEASE_WORK, GFP_KERNEL, "slow");
}

static int do_go(struct pcpuref *ref)
{
	complete(&go);
	return 0;
}

/* Two that initialise by way of one helper. */
static noinline int do_tea(struct pcpuref *ref)
{
	int err = do_init(ref);

	barrier();
	return err;
}

static noinline int do_coffee(struct pcpuref *ref)
{
	int err = do_init(ref);

	barrier();
	return err;
}

static noinline int do_get(struct pcpuref *ref)
{
	pcpuref_get(ref);
	return 0;
}

static noinline int do_put(struct pcpuref *ref)
{
	pcpuref_put(ref);
	return 0;
}

static noinline int do_kill(struct pcpuref *ref)
{
	return pcpuref_kill(ref);
}

static noinline int do_confirm(struct pcpuref *ref)
{
	return pcpuref_kill_and_confirm(ref, watched_confirm);
}

static noinline int do_wait(struct pcpuref *ref)
{
	return pcpuref_kill_and_wait(ref);
}

static noinline int do_reinit(struct pcpuref *ref)
{
	return pcpuref_reinit(ref);
}

static noinline int do_resurrect(struct pcpuref *ref)
{
	return pcpuref_resurrect(ref);
}

static noinline int do_atomic(struct pcpuref *ref)
{
	return pcpuref_switch_to_atomic_sync(ref);
}

static noinline int do_percpu(struct pcpuref *ref)
{
	return pcpuref_switch_to_percpu(ref);
}

static noinline int do_exit_ref(struct pcpuref *ref)
{
	pcpuref_exit(ref);
	return 0;
}

static int do_dump(struct pcpuref *ref)
{
	pcpuref_dump(ref);
	return 0;
}

static int do_id(struct pcpuref *ref)
{
	struct pcpuref_info info;

	if (!pcpuref_inspect(ref, &info))
		return -ENOENT;
	last_id = info.id;
	return 0;
}

/* A client with a bug in an error path. */
static noinline int do_hold(struct pcpuref *ref)
{
	pcpuref_get(ref);
	schedule_timeout_killable(60 * HZ);
	if (fatal_signal_pending(current))
		return -EINTR;
	pcpuref_put(ref);
	return 0;
}

static const struct {
	const char	*name;
	int		(*func)(struct pcpuref *ref);
} verbs[] = {
	{ "init", do_init }, { "lazy", do_lazy }, { "get", do_get }, { "put", do_put },
	{ "kill", do_kill }, { "confirm", do_confirm }, { "wait", do_wait },
	{ "reinit", do_reinit }, { "resurrect", do_resurrect }, { "atomic", do_atomic },
	{ "hold", do_hold }, { "linger", do_linger }, { "counted", do_counted },
	{ "slow", do_slow }, { "go", do_go }, { "tea", do_tea }, { "coffee", do_coffee },
	{ "percpu", do_percpu }, { "exit", do_exit_ref }, { "dump", do_dump }, { "id", do_id },
};

static unsigned long churn_end;
static atomic_t churned;

static void churn_fn(struct work_struct *work)
{
	struct pcpuref ref;

	while (time_before(jiffies, READ_ONCE(churn_end))) {
		if (pcpuref_init_named(&ref, watched_release, PCPUREF_INIT_ATOMIC, GFP_KERNEL,
				       "churned"))
			return;
		pcpuref_kill(&ref);
		pcpuref_exit(&ref);
		atomic_inc(&churned);
		cond_resched();
	}
}

static int churn(unsigned int ms)
{
	static struct work_struct works[8];
	int cpu, i, n = 0;

	WRITE_ONCE(churn_end, jiffies + msecs_to_jiffies(ms));
	atomic_set(&churned, 0);
	for_each_online_cpu(cpu) {
		if (n == ARRAY_SIZE(works))
			break;
		INIT_WORK(&works[n], churn_fn);
		queue_work_on(cpu, system_long_wq, &works[n++]);
	}
	for (i = 0; i < n; i++)
		flush_work(&works[i]);
	pr_info("churned %d times\n", atomic_read(&churned));
	return atomic_read(&churned) ? 0 : -EAGAIN;
}

static int run_set(const char *value, const struct kernel_param *kp)
{
	unsigned int first, count = 1, i, v;
	char verb[16];
	int err;

	if (sscanf(value, "%15s %u %u", verb, &first, &count) < 2)
		return -EINVAL;
	if (!strcmp(verb, "churn"))
		return churn(first);
	if (first >= REFS || count > REFS - first)
		return -ERANGE;
	for (v = 0; v < ARRAY_SIZE(verbs); v++) {
		if (strcmp(verb, verbs[v].name))
			continue;
		for (i = first; i < first + count; i++) {
			err = verbs[v].func(&refs[i]);
			if (err)
				return err;
		}
		return 0;
	}
	return -EINVAL;
}

static const struct kernel_param_ops run_ops = { .set = run_set };
module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "VERB FIRST [COUNT]");

static int id_get(char *buf, const struct kernel_param *kp)
{
	return scnprintf(buf, PAGE_SIZE, "%llu\n", last_id);
}

static const struct kernel_param_ops id_ops = { .get = id_get };
module_param_cb(id, &id_ops, NULL, 0444);
MODULE_PARM_DESC(id, "Number of the reference that \"id\" was last told of");

static int __init watch_client_init(void)
{
	refs = vzalloc(REFS * sizeof(*refs));
	return refs ? 0 : -ENOMEM;
}

static void __exit watch_client_exit(void)
{
	static struct pcpuref_info info;
	unsigned int i;

	for (i = 0; i < REFS && !leave; i++) {
		if (!pcpuref_inspect(&refs[i], &info))
			continue;
		pcpuref_kill_and_wait(&refs[i]);
		pcpuref_exit(&refs[i]);
	}
	pcpuref_barrier();
	vfree(refs);
}

module_init(watch_client_init);
module_exit(watch_client_exit);

MODULE_DESCRIPTION("A client that does what it is told");
MODULE_LICENSE("GPL");
