// SPDX-License-Identifier: GPL-2.0-only
/*
 * pcpuref_kref, and the lookups of samples/pcpuref_lookup.h under load.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "pcpuref_test.h"
#include "pcpuref_kref.h"
#include "../../kunit/pcpuref_lookup_stress.h"

static unsigned int seconds = 3;
module_param(seconds, uint, 0644);
MODULE_PARM_DESC(seconds, "For how long each lookup is driven");

/* --- Counting --------------------------------------------------------------- */

static int nr_released;

static void release(struct pcpuref_kref *kref)
{
	nr_released++;
}

static void count(struct test *t)
{
	struct pcpuref_kref kref = PCPUREF_KREF_INIT(9);

	nr_released = 0;
	pcpuref_kref_init(&kref);
	pcpuref_kref_get(&kref);
	EXPECT(t, pcpuref_kref_get_unless_zero(&kref));
	EXPECT_EQ(t, pcpuref_kref_read(&kref), 3);
	EXPECT_EQ(t, pcpuref_kref_put(&kref, release), 0);
	EXPECT_EQ(t, pcpuref_kref_put(&kref, release), 0);
	EXPECT_EQ(t, nr_released, 0);
	EXPECT_EQ(t, pcpuref_kref_put(&kref, release), 1);
	EXPECT_EQ(t, nr_released, 1);
	EXPECT(t, !pcpuref_kref_get_unless_zero(&kref));
	EXPECT_EQ(t, pcpuref_kref_read(&kref), 0);
}

/* --- Misuse ----------------------------------------------------------------- */

static noinline void misuse_get(struct pcpuref_kref *kref)
{
	pcpuref_kref_get(kref);
}

static noinline void misuse_put(struct pcpuref_kref *kref)
{
	pcpuref_kref_put(kref, release);
}

static noinline void misuse_put_nothing(struct pcpuref_kref *kref)
{
	pcpuref_kref_put(kref, NULL);
}

static void provoke(struct test *t, int count, void (*misuse)(struct pcpuref_kref *kref),
		    const char *text, const char *caller, int left)
{
	struct pcpuref_kref kref = PCPUREF_KREF_INIT(count);

	/* The pointer is printed in the same disguise in both lines. */
	pr_info("pcpuref-expect: misuse: kref %s: kref=%p caller=%s+0x\n",
		text, &kref, caller);
	nr_released = 0;
	misuse(&kref);
	EXPECT_EQ(t, (int)pcpuref_kref_read(&kref), left);
	EXPECT_EQ(t, nr_released, 0);
	if (!left)
		return;
	/* It sticks, and nothing more is said. */
	misuse(&kref);
	EXPECT(t, pcpuref_kref_get_unless_zero(&kref));
	EXPECT_EQ(t, pcpuref_kref_put(&kref, release), 0);
	EXPECT_EQ(t, (int)pcpuref_kref_read(&kref), left);
	EXPECT_EQ(t, nr_released, 0);
}

static void overflow(struct test *t)
{
	provoke(t, INT_MAX, misuse_get, "overflow", "misuse_get", INT_MIN / 2);
}

static void get_on_zero(struct test *t)
{
	provoke(t, 0, misuse_get, "get on zero", "misuse_get", INT_MIN / 2);
}

static void put_on_zero(struct test *t)
{
	provoke(t, 0, misuse_put, "put on zero", "misuse_put", INT_MIN / 2);
}

static void no_release(struct test *t)
{
	provoke(t, 1, misuse_put_nothing, "put without a release function",
		"misuse_put_nothing", 0);
}

/* --- Lookups ---------------------------------------------------------------- */

static void stress(struct test *t, const struct lookup_way *way)
{
	unsigned int cpus = min_t(unsigned int, num_online_cpus(), 8);
	struct stress_result r;

	WRITE_ONCE(test_limit_s, seconds + STRESS_MOST_MS / 1000 + 3 * TEST_PATIENCE_S);
	EXPECT_EQ(t, lookup_stress(way, 2 * cpus, cpus, seconds * 1000, &r), 0);
	pr_info("%s: hits=%lu misses=%lu outlived=%lu inserts=%lu opened=%lu closed=%lu\n",
		way->name, r.hits, r.misses, r.outlived, r.inserts, r.opened, r.closed);
	EXPECT_EQ(t, r.wrong, 0);
	EXPECT_EQ(t, r.opened, r.closed);
	EXPECT(t, r.hits > 0);
	EXPECT(t, r.misses > 0);
	EXPECT(t, r.opened >= STRESS_ENOUGH);
}

static void stress_by_mutex(struct test *t)
{
	stress(t, &lookup_ways[0]);
}

static void stress_by_rcu(struct test *t)
{
	stress(t, &lookup_ways[1]);
}

static void stress_by_live(struct test *t)
{
	stress(t, &lookup_ways[2]);
}

static const struct test_case cases[] = {
	TEST_CASE("count", count),
	TEST_CASE("overflow", overflow),
	TEST_CASE("get_on_zero", get_on_zero),
	TEST_CASE("put_on_zero", put_on_zero),
	TEST_CASE("no_release", no_release),
	TEST_CASE("stress_by_mutex", stress_by_mutex),
	TEST_CASE("stress_by_rcu", stress_by_rcu),
	TEST_CASE("stress_by_live", stress_by_live),
	{ }
};

TEST_MODULE(cases, "Tests of pcpuref_kref and of lookups");
