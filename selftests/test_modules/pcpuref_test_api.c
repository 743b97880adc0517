// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls every symbol that pcpuref.ko exports, and notes which. api.sh compares
 * the notes with what the kernel says is exported: a new export without a call
 * here fails the test, and so does a call of what is not exported any more
 * (that already when this module is built).
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/limits.h>

#include "pcpuref_inspect.h"
#include "pcpuref_kref.h"
#include "pcpuref_test.h"

static const char *called[64];
static unsigned int nr_called;

static void note(const char *name)
{
	unsigned int i;

	for (i = 0; i < nr_called; i++)
		if (!strcmp(called[i], name))
			return;
	if (nr_called < ARRAY_SIZE(called))
		called[nr_called++] = name;
}

#define CALL(func, ...) (note(#func), func(__VA_ARGS__))

static int called_get(char *buf, const struct kernel_param *kp)
{
	size_t len = 0;
	unsigned int i;

	for (i = 0; i < nr_called; i++)
		len += scnprintf(buf + len, PAGE_SIZE - len, "%s\n", called[i]);
	return len;
}

static const struct kernel_param_ops called_ops = { .get = called_get };
module_param_cb(called, &called_ops, NULL, 0444);
MODULE_PARM_DESC(called, "Exported functions that have been called");

static int releases, confirms;

static void release(struct pcpuref *ref)
{
	WRITE_ONCE(releases, releases + 1);
}

static void confirm(struct pcpuref *ref)
{
	WRITE_ONCE(confirms, confirms + 1);
}

static struct pcpuref_site site = {
	.interface = __PCPUREF_INTERFACE,
	.module = KBUILD_MODNAME,
	.file = "somewhere/api.c",
	.function = "by_hand",
	.line = 7,
	.owner = THIS_MODULE,
};

static void lives_and_modes(struct test *t)
{
	struct pcpuref ref;
	long last;

	releases = 0;
	confirms = 0;
	EXPECT_EQ(t, CALL(__pcpuref_init, &ref, release, PCPUREF_ALLOW_REINIT, GFP_KERNEL,
			  "api", &site), 0);
	EXPECT_EQ(t, CALL(__pcpuref_switch_to_atomic, &ref, confirm), 0);
	EXPECT_EQ(t, CALL(__pcpuref_switch_to_atomic_sync, &ref), 0);
	EXPECT_EQ(t, confirms, 1);

	/*
	 * What the inline functions call in atomic mode, with preemption
	 * disabled, which these enable.
	 */
	preempt_disable_notrace();
	CALL(__pcpuref_get_many_slow, &ref, 2);
	preempt_disable_notrace();
	EXPECT(t, CALL(__pcpuref_tryget_many_slow, &ref, 3));
	preempt_disable_notrace();
	EXPECT(t, CALL(__pcpuref_tryget_live_many_slow, &ref, 4));
	EXPECT_EQ(t, CALL(pcpuref_read, &ref), 10);
	preempt_disable_notrace();
	CALL(__pcpuref_put_many_slow, &ref, 9);
	EXPECT_EQ(t, pcpuref_read(&ref), 1);
	preempt_disable_notrace();
	CALL(__pcpuref_get_slow, &ref);
	preempt_disable_notrace();
	EXPECT(t, CALL(__pcpuref_tryget_slow, &ref));
	preempt_disable_notrace();
	EXPECT(t, CALL(__pcpuref_tryget_live_slow, &ref));
	preempt_disable_notrace();
	CALL(__pcpuref_put_slow, &ref);
	EXPECT_EQ(t, pcpuref_read(&ref), 3);
	/* After a count that was 2 was changed, in which there is nothing odd. */
	preempt_disable_notrace();
	CALL(__pcpuref_got_odd, &ref, ref.data, 2, 1);
	EXPECT_EQ(t, preempt_count(), 0);
	pcpuref_put_many(&ref, 2);
	EXPECT_EQ(t, CALL(__pcpuref_switch_to_percpu, &ref), 0);
	/* ... and, called too late, in per-CPU mode. */
	preempt_disable_notrace();
	__pcpuref_get_slow(&ref);
	preempt_disable_notrace();
	__pcpuref_put_slow(&ref);
	EXPECT_EQ(t, preempt_count(), 0);
	EXPECT_EQ(t, pcpuref_read(&ref), 1);
	EXPECT(t, !CALL(pcpuref_is_zero, &ref));

	pcpuref_get(&ref);
	EXPECT_EQ(t, CALL(__pcpuref_kill_and_confirm, &ref, confirm), 0);
	EXPECT_EQ(t, CALL(__pcpuref_kill_sync, &ref), 0);
	EXPECT(t, SOON(READ_ONCE(confirms) == 2 && pcpuref_read(&ref) == 1));
	EXPECT_EQ(t, CALL(__pcpuref_kill_and_wait, &ref, 1, false), -ETIMEDOUT);
	EXPECT_EQ(t, CALL(__pcpuref_resurrect, &ref), 0);
	pcpuref_put(&ref);
	EXPECT_EQ(t, CALL(__pcpuref_kill_and_wait, &ref, LONG_MAX, false), 0);
	EXPECT_EQ(t, releases, 1);
	EXPECT_EQ(t, CALL(__pcpuref_reinit, &ref), 0);
	pcpuref_get(&ref);
	EXPECT_EQ(t, pcpuref_kill(&ref), 0);
	CALL(__pcpuref_barrier, THIS_MODULE);
	EXPECT_EQ(t, releases, 1);
	/* The last put of a client that has atomic mode inline. */
	preempt_disable_notrace();
	last = atomic_long_fetch_dec((atomic_long_t *)ref.data);
	CALL(__pcpuref_have_put_odd, &ref, ref.data, last, 1);
	EXPECT_EQ(t, preempt_count(), 0);
	EXPECT_EQ(t, releases, 2);
	EXPECT(t, pcpuref_is_zero(&ref));
	CALL(__pcpuref_exit, &ref);
	EXPECT(t, !pcpuref_tryget(&ref));

	EXPECT_EQ(t, pcpuref_init(&ref, release, 0, GFP_KERNEL), 0);
	CALL(__pcpuref_cancel_init, &ref);
	EXPECT_EQ(t, releases, 2);
}

/* What a client with PCPUREF_READERS_TASKS calls, with preemption enabled. */
static void other_readers(struct test *t)
{
	static struct pcpuref_site tasks_site = {
		.interface = __PCPUREF_INTERFACE,
		.module = KBUILD_MODNAME,
		.file = "api.c",
		.function = "other_readers",
		.owner = THIS_MODULE,
		.readers = __PCPUREF_READERS_TASKS,
	};
	struct pcpuref ref;
	int err;

	err = __pcpuref_init(&ref, release, PCPUREF_INIT_ATOMIC, GFP_KERNEL, "other",
			     &tasks_site);
	if (!EXPECT(t, !err || (err == -EOPNOTSUPP && !IS_ENABLED(CONFIG_TASKS_RCU))))
		return;
	CALL(__pcpuref_get_many_slow_tasks, &ref, 2);
	EXPECT_EQ(t, CALL(__pcpuref_tryget_many_slow_tasks, &ref, 3), !err);
	EXPECT_EQ(t, CALL(__pcpuref_tryget_live_many_slow_tasks, &ref, 4), !err);
	EXPECT_EQ(t, pcpuref_read(&ref), err ? 0 : 10);
	CALL(__pcpuref_put_many_slow_tasks, &ref, 9);
	CALL(__pcpuref_get_slow_tasks, &ref);
	EXPECT_EQ(t, CALL(__pcpuref_tryget_slow_tasks, &ref), !err);
	EXPECT_EQ(t, CALL(__pcpuref_tryget_live_slow_tasks, &ref), !err);
	EXPECT_EQ(t, pcpuref_read(&ref), err ? 0 : 4);
	CALL(__pcpuref_put_slow_tasks, &ref);
	CALL(__pcpuref_put_many_slow_tasks, &ref, 2);
	EXPECT_EQ(t, preempt_count(), 0);
	if (err)
		return;
	EXPECT_EQ(t, pcpuref_read(&ref), 1);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&ref), 0);
	pcpuref_exit(&ref);
	pcpuref_barrier();
}

static int kref_releases;

static void kref_release(struct pcpuref_kref *kref)
{
	kref_releases++;
}

static void four_bytes(struct test *t)
{
	struct pcpuref_kref kref;

	pcpuref_kref_init(&kref);
	pcpuref_kref_get(&kref);
	EXPECT(t, CALL(__pcpuref_kref_put_unless_last, &kref));
	EXPECT(t, !__pcpuref_kref_put_unless_last(&kref));
	EXPECT_EQ(t, pcpuref_kref_put(&kref, kref_release), 1);
	EXPECT_EQ(t, kref_releases, 1);

	/* Of a saturated count nothing is reported. */
	atomic_set(&kref.count, -1);
	CALL(__pcpuref_kref_bad_get, &kref, -1);
	EXPECT_EQ(t, atomic_read(&kref.count), __PCPUREF_KREF_SATURATED);
	atomic_set(&kref.count, -1);
	CALL(__pcpuref_kref_bad_put, &kref, -1);
	EXPECT_EQ(t, atomic_read(&kref.count), __PCPUREF_KREF_SATURATED);

	pcpuref_kref_init(&kref);
	pr_info("pcpuref-expect: misuse: kref put without a release function\n");
	CALL(__pcpuref_kref_no_release, &kref);
}

static void seen_from_outside(struct test *t)
{
	static struct pcpuref_info info;
	struct pcpuref_walk walk = { };
	struct pcpuref ref;
	int met = 0;
	u64 id;

	if (!EXPECT_EQ(t, __pcpuref_init(&ref, release, PCPUREF_INIT_ATOMIC, GFP_KERNEL,
					 "seen", &site), 0))
		return;
	pcpuref_get(&ref);
	EXPECT(t, CALL(pcpuref_inspect, &ref, &info));
	id = info.id;
	EXPECT(t, !strcmp(info.name, "seen"));
	EXPECT(t, !strcmp(info.module, KBUILD_MODNAME));
	EXPECT(t, !strcmp(info.file, "api.c"));
	EXPECT(t, !strcmp(info.function, "by_hand"));
	EXPECT_EQ(t, info.line, 7);
	EXPECT_EQ(t, info.mode, PCPUREF_MODE_ATOMIC);
	EXPECT_EQ(t, info.state, PCPUREF_STATE_LIVE);
	EXPECT_EQ(t, info.count, 2);
	EXPECT_EQ(t, info.killed_at, 0);
	CALL(pcpuref_report_anew);

	while (CALL(pcpuref_walk_next, &walk, &info))
		met += info.id == id && info.ref == &ref;
	CALL(pcpuref_walk_end, &walk);
	EXPECT_EQ(t, met, 1);

	pcpuref_kill(&ref);
	EXPECT(t, CALL(pcpuref_inspect_id, id, &info, NULL));
	EXPECT_EQ(t, info.state, PCPUREF_STATE_DYING);
	EXPECT_EQ(t, info.count, 1);
	EXPECT(t, info.killed_at >= info.created_at);
	CALL(__pcpuref_dump, &ref);
	EXPECT(t, CALL(pcpuref_dump_id, id));
	pcpuref_put(&ref);
	EXPECT(t, pcpuref_inspect(&ref, &info));
	EXPECT_EQ(t, info.state, PCPUREF_STATE_DEAD);
	pcpuref_exit(&ref);

	EXPECT(t, !pcpuref_inspect(&ref, &info));
	EXPECT(t, !pcpuref_inspect_id(id, &info, NULL));
	EXPECT(t, !pcpuref_dump_id(id));
}

static void words_and_memory(struct test *t)
{
	struct pcpuref_memory before, now;
	struct pcpuref ref;

	EXPECT(t, !strcmp(CALL(pcpuref_mode_name, PCPUREF_MODE_SWITCHING), "switching"));
	EXPECT(t, !strcmp(CALL(pcpuref_state_name, PCPUREF_STATE_DYING), "dying"));
	EXPECT(t, !strcmp(CALL(pcpuref_step_name, PCPUREF_STEP_RESURRECT), "resurrect"));
	EXPECT(t, !strcmp(CALL(pcpuref_misuse_name, PCPUREF_OVERFLOW), "count overflow"));
	EXPECT(t, !strcmp(pcpuref_misuse_name(PCPUREF_NR_MISUSES), "?"));

	/* The structure of other_readers() goes by way of both kinds. */
	pcpuref_barrier();
	pcpuref_rcu_barrier_tasks();
	rcu_barrier();
	CALL(pcpuref_memory, &before);
	if (!EXPECT_EQ(t, pcpuref_init(&ref, release, 0, GFP_KERNEL), 0))
		return;
	pcpuref_memory(&now);
	EXPECT_EQ(t, now.structures, before.structures + 1);
	EXPECT_EQ(t, now.counters, before.counters + 1);
	pcpuref_cancel_init(&ref);
	rcu_barrier();
	pcpuref_memory(&now);
	EXPECT_EQ(t, now.structures, before.structures);
	EXPECT_EQ(t, now.counters, before.counters);
}

static const struct test_case cases[] = {
	TEST_CASE("lives_and_modes", lives_and_modes),
	TEST_CASE("seen_from_outside", seen_from_outside),
	TEST_CASE("other_readers", other_readers),
	TEST_CASE("four_bytes", four_bytes),
	TEST_CASE("words_and_memory", words_and_memory),
	{ }
};

TEST_MODULE(cases, "Calls everything that pcpuref exports");
