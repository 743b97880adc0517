// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite pcpuref_registry: what pcpuref_inspect.h tells about references,
 * by walking over all of them, one by one, and in the log; also while they come
 * and go.
 */
#include <linux/kallsyms.h>
#include <linux/sort.h>
#include <linux/timekeeping.h>

#include "pcpuref_kunit.h"
#include "pcpuref_inspect.h"

/* A name that tells the references of a test from all others. */
#define OURS	"a reference of the registry's test"

/* Which of @n objects the walk meets next; -1 at the end. Others are passed. */
static int walk_to_ours(struct pcpuref_walk *walk, struct counted **ours, int n)
{
	struct pcpuref_info info;
	int i;

	while (pcpuref_walk_next(walk, &info))
		for (i = 0; i < n; i++)
			if (info.ref == &ours[i]->ref)
				return i;
	return -1;
}

/* How often one walk over everything meets @c; @found says what it saw last. */
static int times_found(struct counted *c, struct pcpuref_info *found)
{
	struct pcpuref_walk walk = { };
	struct pcpuref_info info;
	int times = 0;

	while (pcpuref_walk_next(&walk, &info)) {
		if (info.ref != &c->ref)
			continue;
		*found = info;
		times++;
	}
	pcpuref_walk_end(&walk);
	return times;
}

static u64 id_of(struct counted *c)
{
	struct pcpuref_info info;

	return pcpuref_inspect(&c->ref, &info) ? info.id : 0;
}

static void expect_shown(struct kunit *test, struct counted *c, enum pcpuref_mode mode,
			 enum pcpuref_state state, long count, unsigned int life)
{
	struct pcpuref_info info;

	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	KUNIT_EXPECT_EQ(test, info.mode, mode);
	KUNIT_EXPECT_EQ(test, info.state, state);
	KUNIT_EXPECT_EQ(test, info.count, count);
	KUNIT_EXPECT_EQ(test, info.life, life);
}

/* For where the test may not sleep. */
static bool shows(struct counted *c, enum pcpuref_mode mode,
		  enum pcpuref_state state, long count)
{
	struct pcpuref_info info;

	return pcpuref_inspect(&c->ref, &info) && info.mode == mode &&
	       info.state == state && info.count == count;
}

/* --- Who is there --------------------------------------------------------- */

static void expect_found(struct kunit *test, struct counted *c, const char *name,
			 const char *function, unsigned int line, unsigned int flags)
{
	struct pcpuref_info *info = kunit_kzalloc(test, 2 * sizeof(*info), GFP_KERNEL);
	struct pcpuref_info *other = info + 1;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, info);
	KUNIT_EXPECT_EQ(test, times_found(c, info), 1);
	KUNIT_EXPECT_STREQ(test, info->name, name);
	KUNIT_EXPECT_STREQ(test, info->module, "pcpuref_kunit_registry");
	KUNIT_EXPECT_STREQ(test, info->file, "pcpuref_kunit_registry.c");
	KUNIT_EXPECT_STREQ(test, info->function, function);
	KUNIT_EXPECT_EQ(test, info->line, line);
	KUNIT_EXPECT_EQ(test, info->flags, flags);
	KUNIT_EXPECT_PTR_EQ(test, info->release, &counted_release);
	KUNIT_EXPECT_GT(test, info->id, 0);

	/* The other two ways to look find the same. */
	for (i = 0; i < 2; i++) {
		memset(other, 0, sizeof(*other));
		KUNIT_ASSERT_TRUE(test, i ? pcpuref_inspect(&c->ref, other) :
					    pcpuref_inspect_id(info->id, other, NULL));
		KUNIT_EXPECT_EQ(test, other->id, info->id);
		KUNIT_EXPECT_PTR_EQ(test, other->ref, info->ref);
		KUNIT_EXPECT_STREQ(test, other->name, name);
		KUNIT_EXPECT_STREQ(test, other->function, function);
		KUNIT_EXPECT_EQ(test, other->line, line);
		KUNIT_EXPECT_EQ(test, other->created_at, info->created_at);
	}
}

static void pcpuref_registry_test_found(struct kunit *test)
{
	struct counted *c = counted_alloc(test), *named = counted_alloc(test);
	struct counted *dead = counted_alloc(test), *atomic = counted_alloc(test);
	const unsigned int work = PCPUREF_RELEASE_WORK;
	const unsigned int lazy = PCPUREF_INIT_ATOMIC | PCPUREF_INIT_LAZY;
	unsigned int first, line;
	int err;

	/* Each on one line: of more lines gcc takes the first, clang the last. */
	first = __LINE__ + 1;
	err = pcpuref_init(&c->ref, counted_release, 0, GFP_KERNEL);
	KUNIT_ASSERT_EQ(test, err, 0);
	expect_found(test, c, "&c->ref", __func__, first, 0);

	line = __LINE__ + 1;
	err = pcpuref_init_named(&named->ref, counted_release, work, GFP_KERNEL, OURS);
	KUNIT_ASSERT_EQ(test, err, 0);
	expect_found(test, named, OURS, __func__, line, work);

	/* Also what is not live, or has no counters. */
	line = __LINE__ + 1;
	err = pcpuref_init(&dead->ref, counted_release, PCPUREF_INIT_DEAD, GFP_KERNEL);
	KUNIT_ASSERT_EQ(test, err, 0);
	expect_found(test, dead, "&dead->ref", __func__, line, PCPUREF_INIT_DEAD);

	line = __LINE__ + 1;
	err = pcpuref_init(&atomic->ref, counted_release, lazy, GFP_KERNEL);
	KUNIT_ASSERT_EQ(test, err, 0);
	expect_found(test, atomic, "&atomic->ref", __func__, line, lazy);
	/* The first one is still as it was. */
	expect_found(test, c, "&c->ref", __func__, first, 0);
}

static void pcpuref_registry_test_long_name(struct kunit *test)
{
	static char name[2 * PCPUREF_NAME_SIZE];
	struct counted *c = counted_alloc(test);
	struct pcpuref_info info;
	int i;

	for (i = 0; i < sizeof(name) - 1; i++)
		name[i] = 'a' + i % 26;
	KUNIT_ASSERT_EQ(test, pcpuref_init_named(&c->ref, counted_release, 0, GFP_KERNEL,
						 name), 0);
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	KUNIT_EXPECT_EQ(test, strlen(info.name), PCPUREF_NAME_SIZE - 1);
	KUNIT_EXPECT_EQ(test, strncmp(info.name, name, PCPUREF_NAME_SIZE - 1), 0);
	KUNIT_EXPECT_STREQ(test, info.module, "pcpuref_kunit_registry");
}

/* What has exited, or was never initialised, is not there. */
static void pcpuref_registry_test_not_found(struct kunit *test)
{
	struct counted *c = counted_alloc(test);
	struct pcpuref_info *info = kunit_kzalloc(test, sizeof(*info), GFP_KERNEL);
	struct counted *others[3];
	u64 ids[3];
	int i;

	KUNIT_ASSERT_NOT_NULL(test, info);
	/* Zeroed, and after an init that failed. */
	KUNIT_EXPECT_FALSE(test, pcpuref_inspect(&c->ref, info));
	KUNIT_EXPECT_EQ(test, counted_init(c, BIT(20)), -EINVAL);
	KUNIT_EXPECT_FALSE(test, pcpuref_inspect(&c->ref, info));
	KUNIT_EXPECT_EQ(test, times_found(c, info), 0);

	/* Exited: live, dead, stuck; or never used. */
	for (i = 0; i < 4; i++) {
		u64 id;

		KUNIT_ASSERT_EQ(test, counted_init(c, PCPUREF_INIT_ATOMIC), 0);
		id = id_of(c);
		KUNIT_EXPECT_EQ(test, times_found(c, info), 1);
		KUNIT_EXPECT_EQ(test, info->id, id);
		KUNIT_EXPECT_TRUE(test, pcpuref_inspect_id(id, info, NULL));
		if (i == 1)
			KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		if (i == 2) {
			EXPECT_REPORT(test, "put without a reference");
			pcpuref_put(&c->ref);
		}
		KUNIT_EXPECT_EQ(test, times_found(c, info), 1);
		if (i == 3)
			pcpuref_cancel_init(&c->ref);
		else
			pcpuref_exit(&c->ref);
		KUNIT_EXPECT_FALSE(test, pcpuref_inspect(&c->ref, info));
		KUNIT_EXPECT_FALSE(test, pcpuref_inspect_id(id, info, NULL));
		KUNIT_EXPECT_EQ(test, times_found(c, info), 0);
	}

	/* Numbers that nobody has, between those that somebody has. */
	set_cpus_allowed_ptr(current, cpumask_of(raw_smp_processor_id()));
	for (i = 0; i < 3; i++) {
		others[i] = counted_new(test, 0);
		ids[i] = id_of(others[i]);
	}
	set_cpus_allowed_ptr(current, cpu_possible_mask);
	pcpuref_exit(&others[1]->ref);
	KUNIT_EXPECT_TRUE(test, pcpuref_inspect_id(ids[0], info, NULL));
	KUNIT_EXPECT_PTR_EQ(test, info->ref, &others[0]->ref);
	KUNIT_EXPECT_FALSE(test, pcpuref_inspect_id(ids[1], info, NULL));
	KUNIT_EXPECT_TRUE(test, pcpuref_inspect_id(ids[2], info, NULL));
	KUNIT_EXPECT_PTR_EQ(test, info->ref, &others[2]->ref);
	KUNIT_EXPECT_FALSE(test, pcpuref_inspect_id(0, info, NULL));
	KUNIT_EXPECT_FALSE(test, pcpuref_inspect_id(U64_MAX, info, NULL));
	KUNIT_EXPECT_FALSE(test, pcpuref_inspect_id(S64_MAX, info, NULL));
	for (i = 1; i < nr_cpu_ids; i++)
		KUNIT_EXPECT_FALSE(test, pcpuref_inspect_id(i, info, NULL));
}

static long init_here(void *arg)
{
	struct counted *c = arg;

	return pcpuref_init_named(&c->ref, counted_release, 0, GFP_KERNEL, OURS);
}

static int compare_ids(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* How many of @n numbers are there more than once. */
static int repeated(u64 *ids, int n)
{
	int i, twice = 0;

	sort(ids, n, sizeof(*ids), compare_ids, NULL);
	for (i = 1; i < n; i++)
		twice += ids[i] == ids[i - 1];
	return twice;
}

/* A number is one reference's, also when that one is long gone. */
static void pcpuref_registry_test_ids(struct kunit *test)
{
	const int n = 256;
	u64 *ids = kunit_kcalloc(test, n, sizeof(*ids), GFP_KERNEL);
	struct counted *c = counted_alloc(test);
	int cpu = -1, i;

	KUNIT_ASSERT_NOT_NULL(test, ids);
	for (i = 0; i < n; i++) {
		cpu = cpumask_next(cpu, cpu_online_mask);
		if (cpu >= nr_cpu_ids)
			cpu = cpumask_first(cpu_online_mask);
		KUNIT_ASSERT_EQ(test, work_on_cpu(cpu, init_here, c), 0);
		ids[i] = id_of(c);
		KUNIT_EXPECT_NE(test, ids[i], 0);
		/* A life more is no new reference. */
		KUNIT_EXPECT_TRUE(test, pcpuref_tryget(&c->ref));
		pcpuref_put(&c->ref);
		KUNIT_EXPECT_EQ(test, id_of(c), ids[i]);
		pcpuref_exit(&c->ref);
	}
	KUNIT_EXPECT_EQ(test, repeated(ids, n), 0);
}

static void pcpuref_registry_test_id_through_lives(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	struct pcpuref_info *info = kunit_kzalloc(test, sizeof(*info), GFP_KERNEL);
	u64 id = id_of(c);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, info);
	for (i = 1; i < 4; i++) {
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
		KUNIT_EXPECT_EQ(test, id_of(c), id);
		KUNIT_EXPECT_EQ(test, times_found(c, info), 1);
		KUNIT_EXPECT_EQ(test, info->life, i + 1);
	}
}

/* --- Walks ---------------------------------------------------------------- */

/* What one CPU initialised is met in that order, whoever walks. */
static void pcpuref_registry_test_walk_order(struct kunit *test)
{
	struct counted *c[8];
	struct pcpuref_walk walk = { };
	int i, cpu = other_cpu();

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		c[i] = counted_alloc(test);
		KUNIT_ASSERT_EQ(test, work_on_cpu(cpu, init_here, c[i]), 0);
	}
	for (i = 0; i < ARRAY_SIZE(c); i++)
		KUNIT_EXPECT_EQ(test, walk_to_ours(&walk, c, ARRAY_SIZE(c)), i);
	KUNIT_EXPECT_EQ(test, walk_to_ours(&walk, c, ARRAY_SIZE(c)), -1);
	/* The end stays the end. */
	KUNIT_EXPECT_EQ(test, walk_to_ours(&walk, c, ARRAY_SIZE(c)), -1);
	pcpuref_walk_end(&walk);
	KUNIT_EXPECT_EQ(test, walk_to_ours(&walk, c, ARRAY_SIZE(c)), -1);
	pcpuref_walk_end(&walk);
}

/* A walk that ends anywhere lets go of what it stood on. */
static void pcpuref_registry_test_walk_end(struct kunit *test)
{
	struct counted *c[4];
	struct pcpuref_walk walk = { };
	int i, round;

	/* Before it has begun. */
	pcpuref_walk_end(&walk);
	pcpuref_walk_end(&walk);

	for (round = 0; round <= ARRAY_SIZE(c); round++) {
		memset(&walk, 0, sizeof(walk));
		for (i = 0; i < ARRAY_SIZE(c); i++)
			c[i] = counted_new(test, 0);
		for (i = 0; i < round; i++)
			KUNIT_EXPECT_GE(test, walk_to_ours(&walk, c, ARRAY_SIZE(c)), 0);
		pcpuref_walk_end(&walk);
		/* Twice is once, as at the end. */
		pcpuref_walk_end(&walk);
		for (i = 0; i < ARRAY_SIZE(c); i++) {
			KUNIT_EXPECT_EQ(test, pcpuref_read(&c[i]->ref), 1);
			KUNIT_EXPECT_EQ(test, counted_die(c[i]), 0);
			pcpuref_exit(&c[i]->ref);
		}
		pcpuref_barrier();
	}
}

/*
 * References exit where a walk stands, before it and behind it. What is left is
 * met once, in the same order, and what has gone is not.
 */
static void pcpuref_registry_test_walk_exit(struct kunit *test)
{
	/* Bits: which of six exit when the walk stands on number 2. */
	unsigned int gone;

	set_cpus_allowed_ptr(current, cpumask_of(raw_smp_processor_id()));
	for (gone = 0; gone < 64; gone++) {
		struct pcpuref_walk walk = { };
		struct counted *c[6];
		int i;

		for (i = 0; i < ARRAY_SIZE(c); i++)
			c[i] = counted_new(test, i & 1 ? PCPUREF_INIT_LAZY : 0);
		for (i = 0; i <= 2; i++)
			KUNIT_EXPECT_EQ(test, walk_to_ours(&walk, c, ARRAY_SIZE(c)), i);
		for (i = 0; i < ARRAY_SIZE(c); i++)
			if (gone & BIT(i))
				pcpuref_exit(&c[i]->ref);
		/* Memory that could be freed by now is not needed. */
		if (gone & 1)
			pcpuref_barrier();
		for (i = 3; i < ARRAY_SIZE(c); i++)
			if (!(gone & BIT(i)))
				KUNIT_EXPECT_EQ(test, walk_to_ours(&walk, c, ARRAY_SIZE(c)), i);
		KUNIT_EXPECT_EQ(test, walk_to_ours(&walk, c, ARRAY_SIZE(c)), -1);
		pcpuref_walk_end(&walk);
		for (i = 0; i < ARRAY_SIZE(c); i++)
			if (!(gone & BIT(i)))
				pcpuref_exit(&c[i]->ref);
	}
	set_cpus_allowed_ptr(current, cpu_possible_mask);
}

/* One that comes while the walk is under way is met once or not at all. */
static void pcpuref_registry_test_walk_init(struct kunit *test)
{
	int at;

	for (at = 0; at < 4; at++) {
		struct pcpuref_walk walk = { };
		struct counted *c[5];
		int i, which, seen[5] = { };

		for (i = 0; i < 4; i++)
			c[i] = counted_new(test, 0);
		c[4] = counted_alloc(test);
		for (i = 0; i < at; i++)
			seen[walk_to_ours(&walk, c, 5)]++;
		KUNIT_ASSERT_EQ(test, counted_init(c[4], 0), 0);
		while ((which = walk_to_ours(&walk, c, 5)) >= 0)
			seen[which]++;
		pcpuref_walk_end(&walk);
		for (i = 0; i < 4; i++)
			KUNIT_EXPECT_EQ(test, seen[i], 1);
		KUNIT_EXPECT_LE(test, seen[4], 1);
		for (i = 0; i < 5; i++)
			pcpuref_exit(&c[i]->ref);
	}
}

/* A walk comes to an end, though one more comes for each that it meets. */
static void pcpuref_registry_test_walk_ends(struct kunit *test)
{
	struct pcpuref_walk walk = { };
	struct pcpuref_info info;
	int met = 0;

	counted_new(test, 0);
	while (met < 64 && pcpuref_walk_next(&walk, &info)) {
		counted_new(test, 0);
		met++;
	}
	pcpuref_walk_end(&walk);
	KUNIT_EXPECT_GE(test, met, 1);
	KUNIT_EXPECT_LT(test, met, 64);
}

/* Two walks do not know of each other. */
static void pcpuref_registry_test_two_walks(struct kunit *test)
{
	struct pcpuref_walk fast = { }, slow = { };
	struct counted *c[3];
	int i, order[3];

	for (i = 0; i < ARRAY_SIZE(c); i++)
		c[i] = counted_new(test, 0);
	order[0] = walk_to_ours(&slow, c, 3);
	for (i = 0; i < ARRAY_SIZE(c); i++) {
		int which = walk_to_ours(&fast, c, 3);

		if (i)
			order[i] = which;
		else
			KUNIT_EXPECT_EQ(test, which, order[0]);
	}
	KUNIT_EXPECT_EQ(test, walk_to_ours(&fast, c, 3), -1);
	pcpuref_walk_end(&fast);
	for (i = 1; i < ARRAY_SIZE(c); i++)
		KUNIT_EXPECT_EQ(test, walk_to_ours(&slow, c, 3), order[i]);
	KUNIT_EXPECT_EQ(test, walk_to_ours(&slow, c, 3), -1);
	pcpuref_walk_end(&slow);
}

/* Any context but NMI: nothing of it may sleep, not even on PREEMPT_RT. */
static void pcpuref_registry_test_context(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);
	struct pcpuref_walk walk = { };
	raw_spinlock_t lock;
	unsigned long flags;
	u64 id = id_of(c);
	bool found = false;
	struct pcpuref_info info;

	raw_spin_lock_init(&lock);
	raw_spin_lock_irqsave(&lock, flags);
	while (!found && pcpuref_walk_next(&walk, &info))
		found = info.id == id;
	pcpuref_walk_end(&walk);
	EXPECT_LATER(found);
	EXPECT_LATER(pcpuref_inspect(&c->ref, &info));
	EXPECT_LATER(pcpuref_inspect_id(id, &info, NULL));
	EXPECT_LATER(irqs_disabled());
	raw_spin_unlock_irqrestore(&lock, flags);
	KUNIT_EXPECT_EQ(test, info.id, id);
}

/* --- What is told of one -------------------------------------------------- */

static void pcpuref_registry_test_states(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);

	expect_shown(test, c, PCPUREF_MODE_PERCPU, PCPUREF_STATE_LIVE, 1, 1);
	pcpuref_get_many(&c->ref, 2);
	expect_shown(test, c, PCPUREF_MODE_PERCPU, PCPUREF_STATE_LIVE, 3, 1);

	preempt_disable();
	EXPECT_LATER(!pcpuref_switch_to_atomic(&c->ref, NULL));
	EXPECT_LATER(shows(c, PCPUREF_MODE_SWITCHING, PCPUREF_STATE_LIVE, 3));
	preempt_enable();
	pcpuref_barrier();
	expect_shown(test, c, PCPUREF_MODE_ATOMIC, PCPUREF_STATE_LIVE, 3, 1);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
	expect_shown(test, c, PCPUREF_MODE_PERCPU, PCPUREF_STATE_LIVE, 3, 1);

	/* The initial reference goes when the switch is over. */
	preempt_disable();
	EXPECT_LATER(!pcpuref_kill(&c->ref));
	EXPECT_LATER(shows(c, PCPUREF_MODE_SWITCHING, PCPUREF_STATE_DYING, 3));
	preempt_enable();
	pcpuref_barrier();
	expect_shown(test, c, PCPUREF_MODE_ATOMIC, PCPUREF_STATE_DYING, 2, 1);
	KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
	expect_shown(test, c, PCPUREF_MODE_PERCPU, PCPUREF_STATE_LIVE, 3, 1);

	KUNIT_EXPECT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
	pcpuref_put_many(&c->ref, 2);
	KUNIT_EXPECT_EQ(test, released(c), 1);
	expect_shown(test, c, PCPUREF_MODE_ATOMIC, PCPUREF_STATE_DEAD, 0, 1);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	expect_shown(test, c, PCPUREF_MODE_PERCPU, PCPUREF_STATE_LIVE, 1, 2);

	EXPECT_FOUND(test, "put without a reference", ANY_COUNT, FOUND_AT_SWITCH);
	pcpuref_put_many(&c->ref, 2);
	/* Not yet noticed. */
	expect_shown(test, c, PCPUREF_MODE_PERCPU, PCPUREF_STATE_LIVE, -1, 2);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
	expect_shown(test, c, PCPUREF_MODE_ATOMIC, PCPUREF_STATE_STUCK, LONG_MAX, 2);
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	expect_shown(test, c, PCPUREF_MODE_ATOMIC, PCPUREF_STATE_STUCK, LONG_MAX, 2);
}

static void pcpuref_registry_test_states_from_flags(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_DEAD);

	/* It has not lived yet. */
	expect_shown(test, c, PCPUREF_MODE_ATOMIC, PCPUREF_STATE_DEAD, 0, 0);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	expect_shown(test, c, PCPUREF_MODE_PERCPU, PCPUREF_STATE_LIVE, 1, 1);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	expect_shown(test, c, PCPUREF_MODE_ATOMIC, PCPUREF_STATE_DEAD, 0, 1);

	c = counted_new(test, PCPUREF_INIT_ATOMIC);
	expect_shown(test, c, PCPUREF_MODE_ATOMIC, PCPUREF_STATE_LIVE, 1, 1);
	c = counted_new(test, PCPUREF_INIT_LAZY);
	expect_shown(test, c, PCPUREF_MODE_ATOMIC, PCPUREF_STATE_LIVE, 1, 1);

	/* Stuck when nobody had it any more. */
	c = counted_new(test, PCPUREF_INIT_ATOMIC);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	EXPECT_REPORT(test, "put without a reference");
	pcpuref_put(&c->ref);
	expect_shown(test, c, PCPUREF_MODE_ATOMIC, PCPUREF_STATE_STUCK, 0, 1);
}

static void note_state(struct counted *c)
{
	struct pcpuref_info info;

	c->result = pcpuref_inspect(&c->ref, &info) ? (int)info.state : -1;
}

/* From zero until release has returned. And a flag that only others look at. */
static void pcpuref_registry_test_releasing(struct kunit *test)
{
	const unsigned int flags = PCPUREF_INIT_ATOMIC | PCPUREF_MAY_LINGER;
	struct counted *c = counted_new(test, flags);
	struct pcpuref_info info;

	c->on_release = note_state;
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_EQ(test, c->result, (int)PCPUREF_STATE_RELEASING);
	KUNIT_EXPECT_STREQ(test, pcpuref_state_name(PCPUREF_STATE_RELEASING), "releasing");
	expect_shown(test, c, PCPUREF_MODE_ATOMIC, PCPUREF_STATE_DEAD, 0, 1);
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	KUNIT_EXPECT_EQ(test, info.flags, flags);
}

static void expect_sum(struct kunit *test, struct counted *c, long count)
{
	long *counts = kunit_kcalloc(test, nr_cpu_ids, sizeof(*counts), GFP_KERNEL);
	struct pcpuref_info info;
	long sum = 0;
	int cpu;

	KUNIT_ASSERT_NOT_NULL(test, counts);
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect_id(id_of(c), &info, counts));
	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		sum += counts[cpu];
	KUNIT_EXPECT_EQ(test, info.count, count);
	KUNIT_EXPECT_EQ(test, info.shared + info.percpu, count);
	KUNIT_EXPECT_EQ(test, info.percpu, sum);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), count);
}

static void pcpuref_registry_test_counts(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	long *counts = kunit_kcalloc(test, nr_cpu_ids, sizeof(*counts), GFP_KERNEL);
	int cpu, last = cpumask_last(cpu_online_mask);
	struct pcpuref_info info;
	u64 id = id_of(c);
	long total = 1;

	KUNIT_ASSERT_NOT_NULL(test, counts);
	expect_sum(test, c, 1);
	for_each_online_cpu(cpu) {
		get_many_on(cpu, &c->ref, cpu + 2);
		total += cpu + 2;
	}
	memset(counts, 0xff, nr_cpu_ids * sizeof(*counts));
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect_id(id, &info, counts));
	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		KUNIT_EXPECT_EQ(test, counts[cpu], cpu_online(cpu) ? cpu + 2 : 0);
	KUNIT_EXPECT_EQ(test, info.shared, 1);
	expect_sum(test, c, total);

	/* One CPU's alone may be negative. */
	put_many_on(last, &c->ref, last + 2 + 5);
	get_many_on(cpumask_first(cpu_online_mask), &c->ref, 10);
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect_id(id, &info, counts));
	if (last != cpumask_first(cpu_online_mask))
		KUNIT_EXPECT_EQ(test, counts[last], -5);
	total += 10 - (last + 2 + 5);
	expect_sum(test, c, total);

	/* While it is switching some are here and some are there. */
	preempt_disable();
	EXPECT_LATER(!pcpuref_switch_to_atomic(&c->ref, NULL));
	pcpuref_get_many(&c->ref, 3);
	EXPECT_LATER(pcpuref_inspect(&c->ref, &info));
	EXPECT_LATER(info.shared == 4);
	EXPECT_LATER(info.count == total + 3);
	preempt_enable();
	pcpuref_barrier();
	total += 3;
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect_id(id, &info, counts));
	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		KUNIT_EXPECT_EQ(test, counts[cpu], 0);
	KUNIT_EXPECT_EQ(test, info.shared, total);
	expect_sum(test, c, total);

	KUNIT_EXPECT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
	expect_sum(test, c, total - 1);
	pcpuref_put_many(&c->ref, total - 1);
	KUNIT_EXPECT_EQ(test, released(c), 1);
	expect_sum(test, c, 0);

	/* Where there are no counters they are told as zero. */
	c = counted_new(test, PCPUREF_INIT_LAZY);
	memset(counts, 0xff, nr_cpu_ids * sizeof(*counts));
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect_id(id_of(c), &info, counts));
	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		KUNIT_EXPECT_EQ(test, counts[cpu], 0);
}

/* Is @function what the address is in? */
static bool names_function(unsigned long address, const char *function)
{
	char name[KSYM_SYMBOL_LEN];

	snprintf(name, sizeof(name), "%ps", (void *)address);
	return str_has_prefix(name, function);
}

static noinline void kill_from_here(struct counted *c)
{
	pcpuref_kill(&c->ref);
}

static void pcpuref_registry_test_times(struct kunit *test)
{
	u64 before = ktime_get_mono_fast_ns();
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	u64 after = ktime_get_mono_fast_ns();
	struct pcpuref_info info;
	u64 created_at;

	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	/* It may be the time of the last tick, which may be late. */
	KUNIT_EXPECT_GT(test, info.created_at, 0);
	KUNIT_EXPECT_GE(test, info.created_at + NSEC_PER_SEC, before);
	KUNIT_EXPECT_LE(test, info.created_at, after);
	KUNIT_EXPECT_EQ(test, info.killed_at, 0);
	created_at = info.created_at;

	msleep(30);
	before = ktime_get_mono_fast_ns();
	kill_from_here(c);
	after = ktime_get_mono_fast_ns();
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	KUNIT_EXPECT_EQ(test, info.created_at, created_at);
	KUNIT_EXPECT_GT(test, info.killed_at, created_at);
	KUNIT_EXPECT_GE(test, info.killed_at, before);
	KUNIT_EXPECT_LE(test, info.killed_at, after);
	KUNIT_EXPECT_TRUE(test, names_function(info.killer, "kill_from_here"));
	KUNIT_EXPECT_EQ(test, pcpuref_elapsed(created_at, info.killed_at),
			info.killed_at - created_at);
	KUNIT_EXPECT_EQ(test, pcpuref_elapsed(info.killed_at, created_at), 0);

	/* That it has died later does not matter, nor what is asked of it dead. */
	pcpuref_barrier();
	pcpuref_switch_to_percpu(&c->ref);
	after = info.killed_at;
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	KUNIT_EXPECT_EQ(test, info.state, PCPUREF_STATE_DEAD);
	KUNIT_EXPECT_EQ(test, info.killed_at, after);
	KUNIT_EXPECT_TRUE(test, names_function(info.killer, "kill_from_here"));

	/* A new life has not been killed. */
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	KUNIT_EXPECT_EQ(test, info.killed_at, 0);
	KUNIT_EXPECT_EQ(test, info.created_at, created_at);
	KUNIT_EXPECT_TRUE(test, names_function(info.killer, __func__));

	/* Each way to kill. */
	KUNIT_EXPECT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	KUNIT_EXPECT_TRUE(test, names_function(info.killer, __func__));
	KUNIT_EXPECT_NE(test, info.killed_at, 0);
	KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&c->ref), 0);
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	KUNIT_EXPECT_TRUE(test, names_function(info.killer, __func__));
}

static void expect_bytes(struct kunit *test, struct counted *c, size_t percpu_bytes)
{
	struct pcpuref_info info;

	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	KUNIT_EXPECT_EQ(test, info.percpu_bytes, percpu_bytes);
}

static void pcpuref_registry_test_bytes(struct kunit *test)
{
	size_t all = num_possible_cpus() * sizeof(long), plain;
	struct counted *c = counted_new(test, 0);
	struct pcpuref_info info;

	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	plain = info.bytes;
	KUNIT_EXPECT_GT(test, plain, 0);
	KUNIT_EXPECT_LT(test, plain, 1024);
	expect_bytes(test, c, all);
	/* Given back as soon as it cannot be wanted any more. */
	KUNIT_EXPECT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
	pcpuref_barrier();
	expect_bytes(test, c, 0);

	c = counted_new(test, PCPUREF_ALLOW_REINIT);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	expect_bytes(test, c, all);
	c = counted_new(test, PCPUREF_INIT_ATOMIC);
	expect_bytes(test, c, all);
	c = counted_new(test, PCPUREF_INIT_LAZY);
	expect_bytes(test, c, 0);

	/* A lazy one lacks counters and nothing else. */
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	KUNIT_EXPECT_EQ(test, info.bytes, plain);
	/* And they have a copy of their name. */
	if (sizeof(raw_spinlock_t) == 4)
		KUNIT_EXPECT_LE(test, info.bytes - sizeof("counted"),
				sizeof(struct pcpuref) + (IS_ENABLED(CONFIG_64BIT) ? 192 :
				ALIGN(124, __alignof__(u64))));

	/* What a release in process context needs, only those have. */
	c = counted_new(test, PCPUREF_RELEASE_WORK);
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	KUNIT_EXPECT_EQ(test, info.bytes, plain + sizeof(struct work_struct) + sizeof(void *));
}

/* --- In the log ----------------------------------------------------------- */

#ifdef CONFIG_TRACEPOINTS
#define MOST_LINES	8

static struct {
	atomic_t	lines;
	char		line[MOST_LINES][256];
} dumped;

static void watch_dumps(void *unused, const char *line, size_t len)
{
	int n;

	if (!line_has(line, len, "pcpuref: dump: "))
		return;
	n = atomic_inc_return(&dumped.lines) - 1;
	if (n >= MOST_LINES)
		return;
	len = min(len, sizeof(dumped.line[n]) - 1);
	memcpy(dumped.line[n], line, len);
	dumped.line[n][len] = '\0';
}

static void expect_dumped(struct kunit *test, int line, const char *text)
{
	KUNIT_EXPECT_PTR_NE_MSG(test, strstr(dumped.line[line], text), NULL,
				"'%s' in '%s'", text, dumped.line[line]);
}

static void forget_dumped(void)
{
	memset(&dumped, 0, sizeof(dumped));
}

/* A function of its own in the machine code, too: the last line names it. */
static noinline void __dump_lines(struct kunit *test)
{
	struct counted *c = counted_alloc(test);
	char text[64], id[32];
	u64 number;

	KUNIT_ASSERT_EQ(test, init_here(c), 0);
	number = id_of(c);
	snprintf(id, sizeof(id), "dump: id=%llu ", number);
	pcpuref_get_many(&c->ref, 4);

	pcpuref_dump(&c->ref);
	KUNIT_EXPECT_EQ(test, atomic_read(&dumped.lines), 4);
	expect_dumped(test, 0, id);
	expect_dumped(test, 0, "name=" OURS " module=pcpuref_kunit_registry ref=");
	expect_dumped(test, 0, "release=counted_release");
	expect_dumped(test, 1, id);
	expect_dumped(test, 1, "in init_here() at pcpuref_kunit_registry.c:");
	expect_dumped(test, 1, "flags=0x0 life=1");
	expect_dumped(test, 2, id);
	expect_dumped(test, 2, "mode=percpu state=live count=5 shared=1 percpu=4 bytes=");
	snprintf(text, sizeof(text), " percpu_bytes=%zu", num_possible_cpus() * sizeof(long));
	expect_dumped(test, 2, text);
	expect_dumped(test, 3, id);
	expect_dumped(test, 3, "counters by CPU: ");
	expect_dumped(test, 3, ":4");

	/* As long as no grace period can end, there are two lines more. */
	forget_dumped();
	preempt_disable();
	kill_from_here(c);
	pcpuref_switch_to_atomic(&c->ref, counted_confirm);
	pcpuref_dump(&c->ref);
	preempt_enable();
	KUNIT_EXPECT_EQ(test, atomic_read(&dumped.lines), 6);
	expect_dumped(test, 2, "mode=switching state=dying ");
	expect_dumped(test, 3, " killed ");
	expect_dumped(test, 4, ":4");
	expect_dumped(test, 5, "in a grace period, 1 confirmations to come");

	/* The same by number; dying, with the killer and without counters. */
	pcpuref_barrier();
	forget_dumped();
	KUNIT_EXPECT_TRUE(test, pcpuref_dump_id(number));
	KUNIT_EXPECT_EQ(test, atomic_read(&dumped.lines), 4);
	expect_dumped(test, 2, "mode=atomic state=dying count=4 shared=4 percpu=0 bytes=");
	expect_dumped(test, 2, " percpu_bytes=0");
	expect_dumped(test, 3, id);
	expect_dumped(test, 3, " killed ");
	expect_dumped(test, 3, "by kill_from_here");
	pcpuref_put_many(&c->ref, 4);
	KUNIT_EXPECT_EQ(test, released(c), 1);

	/* Nothing to show. */
	pcpuref_exit(&c->ref);
	forget_dumped();
	KUNIT_EXPECT_FALSE(test, pcpuref_dump_id(number));
	KUNIT_EXPECT_FALSE(test, pcpuref_dump_id(0));
	KUNIT_EXPECT_FALSE(test, pcpuref_dump_id(U64_MAX));
	KUNIT_EXPECT_EQ(test, atomic_read(&dumped.lines), 0);
	pcpuref_dump(&c->ref);
	KUNIT_EXPECT_EQ(test, atomic_read(&dumped.lines), 1);
	expect_dumped(test, 0, "no reference, or exited");
	snprintf(text, sizeof(text), "caller=%s", __func__);
	expect_dumped(test, 0, text);
}

static void pcpuref_registry_test_dump(struct kunit *test)
{
	forget_dumped();
	KUNIT_ASSERT_EQ(test, register_trace_console(watch_dumps, NULL), 0);
	__dump_lines(test);
	unregister_trace_console(watch_dumps, NULL);
	tracepoint_synchronize_unregister();
}
#endif

/* --- While they come and go ----------------------------------------------- */

#define COMERS		8
#define STAYERS		24
#define MOST_MET	4096
#define PACE		20

/* Initialises, uses and exits objects of its own; @result is a number seen. */
static void come_and_go(struct helper *h)
{
	struct counted **c = h->arg;
	int i;

	while (helper_goes_on(h)) {
		i = h->rounds % COMERS;
		if (has_data(c[i])) {
			if (h->rounds & BIT(4))
				h->wrong += counted_die(c[i]) != 0;
			pcpuref_exit(&c[i]->ref);
		}
		if (pcpuref_init_named(&c[i]->ref, counted_release,
				       h->rounds & BIT(5) ? PCPUREF_INIT_LAZY : 0,
				       GFP_KERNEL, OURS)) {
			h->wrong++;
			continue;
		}
		helper_hit(h);
		WRITE_ONCE(h->result, id_of(c[i]));
		/* Slower than a walk, which otherwise would have no end. */
		udelay(PACE);
		cond_resched();
	}
	for (i = 0; i < COMERS; i++)
		if (has_data(c[i]))
			pcpuref_exit(&c[i]->ref);
}

static struct helper *start_coming_and_going(struct kunit *test)
{
	struct counted **c = kunit_kcalloc(test, COMERS, sizeof(*c), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, c);
	for (i = 0; i < COMERS; i++)
		c[i] = counted_alloc(test);
	return helper_start(test, come_and_go, NULL, c);
}

/* What is there from the beginning to the end is met once; the others at most. */
static void pcpuref_registry_test_walk_storm(struct kunit *test)
{
	unsigned long end = jiffies + 3 * STORM, changes = 0;
	u64 *ids = kunit_kcalloc(test, MOST_MET, sizeof(*ids), GFP_KERNEL);
	int i, n = nr_storm_helpers(), walks = 0;
	struct counted *c[STAYERS];
	struct helper *h[4];

	KUNIT_ASSERT_NOT_NULL(test, ids);
	for (i = 0; i < n; i++)
		h[i] = start_coming_and_going(test);
	/* Some among those of the others, on all CPUs. */
	for (i = 0; i < STAYERS; i++) {
		c[i] = counted_alloc(test);
		KUNIT_ASSERT_EQ(test, work_on_cpu(i & 1 ? other_cpu() : raw_smp_processor_id(),
						  init_here, c[i]), 0);
		schedule_timeout_uninterruptible(i & 1);
	}
	do {
		struct pcpuref_walk walk = { };
		struct pcpuref_info info;
		int met[STAYERS] = { };
		int all = 0, rests = 0;

		while (pcpuref_walk_next(&walk, &info) && all < MOST_MET) {
			ids[all++] = info.id;
			for (i = 0; i < STAYERS; i++)
				met[i] += info.ref == &c[i]->ref;
			/* Let them go from where it stands. */
			if (all % 16 == walks % 16 && ++rests < 4)
				schedule_timeout_uninterruptible(1);
		}
		pcpuref_walk_end(&walk);
		KUNIT_EXPECT_LT(test, all, MOST_MET);
		KUNIT_EXPECT_EQ(test, repeated(ids, all), 0);
		for (i = 0; i < STAYERS; i++)
			KUNIT_EXPECT_EQ(test, met[i], 1);
		walks++;
		changes = hits_of(h, n);
	} while (storm_goes_on(end, changes > n));
	for (i = 0; i < n; i++)
		WRITE_ONCE(h[i]->stop, true);
	for (i = 0; i < n; i++) {
		KUNIT_EXPECT_TRUE(test, helper_wait(h[i]));
		KUNIT_EXPECT_EQ(test, h[i]->wrong, 0);
	}
	KUNIT_EXPECT_GT(test, changes, n);
}

/* A number is looked up whose reference is just about to go, or has gone. */
static void pcpuref_registry_test_inspect_storm(struct kunit *test)
{
	unsigned long end = jiffies + 3 * STORM, found = 0, gone = 0, then = 0, now;
	long *counts = kunit_kcalloc(test, nr_cpu_ids, sizeof(*counts), GFP_KERNEL);
	struct helper *h = start_coming_and_going(test);
	struct pcpuref_info info;
	u64 id, last = 0;

	KUNIT_ASSERT_NOT_NULL(test, counts);
	while (storm_goes_on(end, found && gone)) {
		id = READ_ONCE(h->result);
		if (id && pcpuref_inspect_id(id, &info, counts)) {
			found++;
			KUNIT_EXPECT_EQ(test, info.id, id);
			KUNIT_EXPECT_STREQ(test, info.name, OURS);
			KUNIT_EXPECT_LE(test, info.count, 1);
		}
		now = READ_ONCE(h->hits);
		if (!last) {
			last = id;
			then = now;
		} else if (now > then + 2 * COMERS) {
			/* There is another one in its place by now. */
			KUNIT_EXPECT_FALSE(test, pcpuref_inspect_id(last, &info, NULL));
			gone++;
			last = 0;
		} else if (pcpuref_inspect_id(last, &info, NULL)) {
			KUNIT_EXPECT_EQ(test, info.id, last);
		}
		schedule_timeout_uninterruptible(found & 1);
	}
	KUNIT_EXPECT_TRUE(test, helper_stop(h));
	KUNIT_EXPECT_EQ(test, h->wrong, 0);
	KUNIT_EXPECT_GT(test, found, 0);
	KUNIT_EXPECT_GT(test, gone, 0);
	KUNIT_EXPECT_GT(test, h->hits, 0);
}

static struct kunit_case pcpuref_registry_cases[] = {
	KUNIT_CASE(pcpuref_registry_test_found),
	KUNIT_CASE(pcpuref_registry_test_long_name),
	KUNIT_CASE(pcpuref_registry_test_not_found),
	KUNIT_CASE(pcpuref_registry_test_ids),
	KUNIT_CASE(pcpuref_registry_test_id_through_lives),
	KUNIT_CASE(pcpuref_registry_test_walk_order),
	KUNIT_CASE(pcpuref_registry_test_walk_end),
	KUNIT_CASE(pcpuref_registry_test_walk_exit),
	KUNIT_CASE(pcpuref_registry_test_walk_init),
	KUNIT_CASE(pcpuref_registry_test_walk_ends),
	KUNIT_CASE(pcpuref_registry_test_two_walks),
	KUNIT_CASE(pcpuref_registry_test_context),
	KUNIT_CASE(pcpuref_registry_test_states),
	KUNIT_CASE(pcpuref_registry_test_states_from_flags),
	KUNIT_CASE(pcpuref_registry_test_counts),
	KUNIT_CASE(pcpuref_registry_test_times),
	KUNIT_CASE(pcpuref_registry_test_releasing),
	KUNIT_CASE(pcpuref_registry_test_bytes),
#ifdef CONFIG_TRACEPOINTS
	KUNIT_CASE(pcpuref_registry_test_dump),
#endif
	KUNIT_CASE(pcpuref_registry_test_walk_storm),
	KUNIT_CASE(pcpuref_registry_test_inspect_storm),
	PCPUREF_LAST_CASE,
	{}
};

static struct kunit_suite pcpuref_registry_suite = {
	PCPUREF_SUITE("pcpuref_registry", pcpuref_registry_cases),
};

kunit_test_suite(pcpuref_registry_suite);

MODULE_DESCRIPTION("KUnit tests of pcpuref: the registry, and what it tells");
MODULE_LICENSE("GPL");
