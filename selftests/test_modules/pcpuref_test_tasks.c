// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client with PCPUREF_READERS_TASKS, whose gets and puts may be preempted: the
 * grace periods wait for such readers too, and all else means the same.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#define PCPUREF_READERS_TASKS

#include <linux/cpumask.h>
#include <linux/delay.h>

#include "pcpuref_test.h"

struct obj {
	struct pcpuref	ref;
	int		releases;
	int		confirms;
};

static void release(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);

	WRITE_ONCE(o->releases, o->releases + 1);
}

static void confirm(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);

	WRITE_ONCE(o->confirms, o->confirms + 1);
}

static struct obj *obj_new(struct test *t, unsigned int flags)
{
	struct obj *o = kzalloc(sizeof(*o), GFP_KERNEL);
	int err;

	if (!EXPECT(t, o))
		return NULL;
	err = pcpuref_init(&o->ref, release, flags, GFP_KERNEL);
	if (err == -EOPNOTSUPP && !IS_ENABLED(CONFIG_TASKS_RCU))
		t->skipped = "this kernel is preemptible and has no RCU-tasks";
	else if (EXPECT_EQ(t, err, 0))
		return o;
	kfree(o);
	return NULL;
}

static void obj_end(struct test *t, struct obj *o)
{
	pcpuref_exit(&o->ref);
	pcpuref_barrier();
	if (!t->failed)
		kfree(o);
}

static bool in_percpu_mode(struct obj *o)
{
	return (READ_ONCE(o->ref.word) & __PCPUREF_TAGS) == __PCPUREF_READERS_TASKS;
}

static void life(struct test *t)
{
	struct obj *o = obj_new(t, PCPUREF_ALLOW_REINIT);

	if (!o)
		return;
	EXPECT(t, in_percpu_mode(o));
	pcpuref_get(&o->ref);
	EXPECT(t, pcpuref_tryget(&o->ref));
	EXPECT(t, pcpuref_tryget_live(&o->ref));
	EXPECT_EQ(t, preempt_count(), 0);
	EXPECT_EQ(t, pcpuref_read(&o->ref), 4);
	pcpuref_put_many(&o->ref, 2);
	EXPECT_EQ(t, pcpuref_kill_and_confirm(&o->ref, confirm), 0);
	EXPECT(t, SOON(READ_ONCE(o->confirms) == 1));
	EXPECT(t, !pcpuref_tryget_live(&o->ref));
	EXPECT(t, SOON(pcpuref_read(&o->ref) == 1));
	EXPECT(t, pcpuref_tryget(&o->ref));
	pcpuref_put(&o->ref);
	EXPECT_EQ(t, o->releases, 0);
	EXPECT_EQ(t, preempt_count(), 0);
	pcpuref_put(&o->ref);
	EXPECT_EQ(t, o->releases, 1);
	EXPECT(t, !pcpuref_tryget(&o->ref));

	EXPECT_EQ(t, pcpuref_reinit(&o->ref), 0);
	EXPECT(t, in_percpu_mode(o));
	EXPECT_EQ(t, pcpuref_kill(&o->ref), 0);
	EXPECT_EQ(t, pcpuref_resurrect(&o->ref), 0);
	EXPECT(t, SOON(in_percpu_mode(o)));
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	EXPECT_EQ(t, o->releases, 2);
	obj_end(t, o);
}

static void modes(struct test *t)
{
	struct obj *o = obj_new(t, PCPUREF_INIT_ATOMIC);

	if (!o)
		return;
	EXPECT(t, !in_percpu_mode(o));
	pcpuref_get(&o->ref);
	EXPECT_EQ(t, pcpuref_switch_to_percpu(&o->ref), 0);
	EXPECT(t, in_percpu_mode(o));
	pcpuref_get(&o->ref);
	EXPECT_EQ(t, pcpuref_switch_to_atomic_sync(&o->ref), 0);
	EXPECT(t, !in_percpu_mode(o));
	EXPECT_EQ(t, pcpuref_read(&o->ref), 3);
	pcpuref_put_many(&o->ref, 2);
	EXPECT_EQ(t, pcpuref_kill_sync(&o->ref), 0);
	EXPECT(t, !pcpuref_tryget_live(&o->ref));
	EXPECT(t, SOON(READ_ONCE(o->releases) == 1));
	obj_end(t, o);
}

static void lazy(struct test *t)
{
	struct obj *o = obj_new(t, PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT);

	if (!o)
		return;
	EXPECT(t, !in_percpu_mode(o));
	EXPECT_EQ(t, pcpuref_switch_to_percpu(&o->ref), 0);
	EXPECT(t, SOON(in_percpu_mode(o)));
	pcpuref_get(&o->ref);
	EXPECT_EQ(t, pcpuref_read(&o->ref), 2);
	pcpuref_put(&o->ref);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	EXPECT_EQ(t, o->releases, 1);
	obj_end(t, o);
}

struct reader {
	struct obj	*o;
	bool		inside;
	bool		go_on;
};

/* pcpuref_get(), with what may happen between its two halves. */
static int slow_reader(void *arg)
{
	struct reader *reader = arg;
	unsigned long word;

	word = READ_ONCE(reader->o->ref.word) ^ __PCPUREF_READERS_TASKS;
	WRITE_ONCE(reader->inside, true);
	/* Preempted it may be, as it has no time to sleep. */
	while (!READ_ONCE(reader->go_on))
		cpu_relax();
	if (word & __PCPUREF_TAGS)
		return -EBUSY;
	this_cpu_add(*(unsigned long __percpu *)word, 1);
	return 0;
}

/* A confirmation or a sum that does not wait for it comes too early. */
static void preempted_reader(struct test *t)
{
	struct obj *o = obj_new(t, 0);
	struct reader reader = { .o = o };
	struct test_thread *thread;
	int result = -1;

	if (!o)
		return;
	thread = test_start(slow_reader, &reader, cpumask_last(cpu_online_mask));
	if (!EXPECT(t, thread) || !EXPECT(t, SOON(READ_ONCE(reader.inside))))
		return;
	EXPECT_EQ(t, pcpuref_kill_and_confirm(&o->ref, confirm), 0);
	msleep(2000);
	EXPECT_EQ(t, READ_ONCE(o->confirms), 0);
	EXPECT_EQ(t, READ_ONCE(o->releases), 0);
	WRITE_ONCE(reader.go_on, true);
	EXPECT(t, test_join(thread, TEST_PATIENCE_S, &result));
	EXPECT_EQ(t, result, 0);
	EXPECT(t, SOON(READ_ONCE(o->confirms) == 1));
	EXPECT(t, SOON(pcpuref_read(&o->ref) == 1));
	EXPECT_EQ(t, READ_ONCE(o->releases), 0);
	pcpuref_put(&o->ref);
	EXPECT_EQ(t, READ_ONCE(o->releases), 1);
	obj_end(t, o);
}

static bool stop;

static int hammer(void *arg)
{
	struct obj *o = arg;
	int wrong = 0;

	while (!READ_ONCE(stop)) {
		if (!pcpuref_tryget_live(&o->ref)) {
			usleep_range(50, 100);
			continue;
		}
		wrong += READ_ONCE(o->releases) & 1;
		pcpuref_put(&o->ref);
		cond_resched();
	}
	return wrong;
}

/* Lives that end while others get and put. */
static void lives_under_load(struct test *t)
{
	struct obj *o = obj_new(t, PCPUREF_ALLOW_REINIT);
	struct test_thread *threads[3];
	unsigned int i, round;

	if (!o)
		return;
	WRITE_ONCE(stop, false);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		threads[i] = test_start(hammer, o, -1);
	for (round = 0; round < 4; round++) {
		msleep(50);
		/* Odd while it is dead: nobody has a reference then. */
		EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
		EXPECT_EQ(t, READ_ONCE(o->releases), 2 * round + 1);
		msleep(20);
		WRITE_ONCE(o->releases, 2 * round + 2);
		EXPECT_EQ(t, pcpuref_reinit(&o->ref), 0);
	}
	WRITE_ONCE(stop, true);
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		int wrong = -1;

		EXPECT(t, test_join(threads[i], TEST_PATIENCE_S, &wrong));
		EXPECT_EQ(t, wrong, 0);
	}
	EXPECT_EQ(t, pcpuref_read(&o->ref), 1);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	obj_end(t, o);
}

/* What a kill costs more. */
static void price(struct test *t)
{
	struct obj *o = obj_new(t, PCPUREF_ALLOW_REINIT);
	u64 start, async, wait;

	if (!o)
		return;
	start = ktime_get_ns();
	EXPECT_EQ(t, pcpuref_kill(&o->ref), 0);
	EXPECT(t, SOON(READ_ONCE(o->releases) == 1));
	async = ktime_get_ns() - start;
	EXPECT_EQ(t, pcpuref_reinit(&o->ref), 0);
	start = ktime_get_ns();
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	wait = ktime_get_ns() - start;
	pr_info("from kill to release %llu us, by kill_and_wait %llu us\n",
		div_u64(async, 1000), div_u64(wait, 1000));
	obj_end(t, o);
}

static const struct test_case cases[] = {
	TEST_CASE("life", life),
	TEST_CASE("modes", modes),
	TEST_CASE("lazy", lazy),
	TEST_CASE("preempted_reader", preempted_reader),
	TEST_CASE("lives_under_load", lives_under_load),
	TEST_CASE("price", price),
	{ }
};

TEST_MODULE(cases, "Readers of pcpuref that may be preempted");
