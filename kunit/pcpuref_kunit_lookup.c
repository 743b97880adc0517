// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the three lookups that the documentation shows, as they are
 * in samples/pcpuref_lookup.h: step by step, and under load.
 */
#include "pcpuref_kunit.h"
#include "pcpuref_lookup_stress.h"

#define KEY	7

static int opened_before, closed_before;

static void remember(void)
{
	opened_before = atomic_read(&lookup_opened);
	closed_before = atomic_read(&lookup_closed);
}

static int nr_opened(void)
{
	return atomic_read(&lookup_opened) - opened_before;
}

static int nr_closed(void)
{
	return atomic_read(&lookup_closed) - closed_before;
}

/* Stands in for a release that has not come to the table yet. */
static void not_yet(struct pcpuref_kref *kref)
{
}

static void pcpuref_lookup_test_by_mutex(struct kunit *test)
{
	struct by_mutex *object, *next;

	remember();
	KUNIT_EXPECT_NULL(test, by_mutex_find(KEY));
	object = by_mutex_open(KEY);
	KUNIT_ASSERT_NOT_NULL(test, object);
	KUNIT_EXPECT_PTR_EQ(test, by_mutex_find(KEY), object);
	KUNIT_EXPECT_PTR_EQ(test, by_mutex_open(KEY), object);
	KUNIT_EXPECT_EQ(test, nr_opened(), 1);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&object->kref), 3);
	by_mutex_put(object);
	by_mutex_put(object);
	KUNIT_EXPECT_EQ(test, nr_closed(), 0);

	/* At zero and still in the table: passed over, for a successor. */
	KUNIT_EXPECT_EQ(test, pcpuref_kref_put(&object->kref, not_yet), 1);
	KUNIT_EXPECT_NULL(test, by_mutex_find(KEY));
	next = by_mutex_open(KEY);
	KUNIT_EXPECT_PTR_NE(test, next, object);
	KUNIT_ASSERT_NOT_NULL(test, next);
	KUNIT_EXPECT_PTR_EQ(test, by_mutex_find(KEY), next);
	by_mutex_put(next);
	by_mutex_release(&object->kref);
	KUNIT_EXPECT_EQ(test, nr_closed(), 1);
	KUNIT_EXPECT_PTR_EQ(test, by_mutex_find(KEY), next);
	by_mutex_put(next);
	by_mutex_put(next);
	KUNIT_EXPECT_NULL(test, by_mutex_find(KEY));
	KUNIT_EXPECT_EQ(test, nr_opened(), 2);
	KUNIT_EXPECT_EQ(test, nr_closed(), 2);
}

static void last_put(struct helper *h)
{
	complete(&h->ready);
	by_mutex_put(h->arg);
}

/* Who is at the table finds it whole: the last put waits, and then only. */
static void pcpuref_lookup_test_by_mutex_busy(struct kunit *test)
{
	struct by_mutex *object, *other;
	struct helper *h;
	int closed, patience;

	remember();
	object = by_mutex_open(KEY);
	KUNIT_ASSERT_NOT_NULL(test, object);
	mutex_lock(&by_mutex_lock);
	h = helper_start(test, last_put, NULL, object);
	for (patience = 0; patience < 500 && pcpuref_kref_read(&object->kref); patience++)
		msleep(20);
	msleep(20);
	other = __by_mutex_find(KEY);
	closed = nr_closed();
	mutex_unlock(&by_mutex_lock);
	KUNIT_EXPECT_NULL(test, other);
	KUNIT_EXPECT_EQ(test, closed, 0);
	KUNIT_ASSERT_TRUE(test, helper_wait(h));
	KUNIT_EXPECT_EQ(test, nr_closed(), 1);
}

static void pcpuref_lookup_test_by_rcu(struct kunit *test)
{
	struct by_rcu *object, *next;

	remember();
	KUNIT_EXPECT_NULL(test, by_rcu_find(KEY));
	object = by_rcu_open(KEY);
	KUNIT_ASSERT_NOT_NULL(test, object);
	KUNIT_EXPECT_PTR_EQ(test, by_rcu_find(KEY), object);
	KUNIT_EXPECT_PTR_EQ(test, by_rcu_open(KEY), object);
	KUNIT_EXPECT_EQ(test, nr_opened(), 1);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&object->kref), 3);
	by_rcu_put(object);
	by_rcu_put(object);
	KUNIT_EXPECT_EQ(test, nr_closed(), 0);

	KUNIT_EXPECT_EQ(test, pcpuref_kref_put(&object->kref, not_yet), 1);
	KUNIT_EXPECT_NULL(test, by_rcu_find(KEY));
	next = by_rcu_open(KEY);
	KUNIT_EXPECT_PTR_NE(test, next, object);
	KUNIT_ASSERT_NOT_NULL(test, next);

	/* A lookup that is late finds it closed, but never freed. */
	rcu_read_lock();
	by_rcu_release(&object->kref);
	KUNIT_EXPECT_EQ(test, object->data.state, LOOKUP_CLOSED);
	KUNIT_EXPECT_FALSE(test, pcpuref_kref_get_unless_zero(&object->kref));
	rcu_read_unlock();
	KUNIT_EXPECT_EQ(test, nr_closed(), 1);

	KUNIT_EXPECT_PTR_EQ(test, by_rcu_find(KEY), next);
	by_rcu_put(next);
	by_rcu_put(next);
	KUNIT_EXPECT_NULL(test, by_rcu_find(KEY));
	KUNIT_EXPECT_EQ(test, nr_opened(), 2);
	KUNIT_EXPECT_EQ(test, nr_closed(), 2);
}

static void pcpuref_lookup_test_by_live(struct kunit *test)
{
	struct by_live *object;

	remember();
	KUNIT_EXPECT_NULL(test, by_live_find(KEY));
	KUNIT_EXPECT_FALSE(test, by_live_remove(KEY));
	KUNIT_ASSERT_EQ(test, by_live_create(KEY), 0);
	KUNIT_EXPECT_EQ(test, by_live_create(KEY), -EEXIST);
	object = by_live_find(KEY);
	KUNIT_ASSERT_NOT_NULL(test, object);
	KUNIT_EXPECT_EQ(test, nr_opened(), 1);

	/* Removed: not to be found, but its user keeps it. */
	KUNIT_EXPECT_TRUE(test, by_live_remove(KEY));
	KUNIT_EXPECT_FALSE(test, by_live_remove(KEY));
	KUNIT_EXPECT_NULL(test, by_live_find(KEY));
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, nr_closed(), 0);
	KUNIT_EXPECT_EQ(test, object->data.state, LOOKUP_OPEN);

	/* A successor, which does not know of it. */
	KUNIT_EXPECT_EQ(test, by_live_create(KEY), 0);
	by_live_put(object);
	KUNIT_EXPECT_EQ(test, nr_closed(), 1);
	KUNIT_EXPECT_TRUE(test, by_live_remove(KEY));
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, nr_opened(), 2);
	KUNIT_EXPECT_EQ(test, nr_closed(), 2);
}

/* Killed and still in the table, as for a lookup that was faster than it. */
static void pcpuref_lookup_test_by_live_dying(struct kunit *test)
{
	struct by_live *object;

	remember();
	KUNIT_ASSERT_EQ(test, by_live_create(KEY), 0);
	object = by_live_find(KEY);
	KUNIT_ASSERT_NOT_NULL(test, object);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_sync(&object->ref), 0);
	KUNIT_EXPECT_NULL(test, by_live_find(KEY));
	KUNIT_EXPECT_EQ(test, object->data.state, LOOKUP_OPEN);

	spin_lock(&by_live_lock);
	hash_del_rcu(&object->node);
	spin_unlock(&by_live_lock);
	by_live_put(object);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, nr_opened(), 1);
	KUNIT_EXPECT_EQ(test, nr_closed(), 1);
}

/* In atomic mode release does not wait for lookups, so the memory has to. */
static void pcpuref_lookup_test_by_live_late(struct kunit *test)
{
	struct by_live *object;

	remember();
	KUNIT_ASSERT_EQ(test, by_live_create(KEY), 0);
	object = by_live_find(KEY);
	KUNIT_ASSERT_NOT_NULL(test, object);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&object->ref), 0);
	by_live_put(object);

	rcu_read_lock();
	KUNIT_EXPECT_TRUE(test, by_live_remove(KEY));
	KUNIT_EXPECT_EQ(test, nr_closed(), 1);
	KUNIT_EXPECT_EQ(test, object->data.state, LOOKUP_CLOSED);
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&object->ref));
	rcu_read_unlock();
}

static void pcpuref_lookup_test_stress(struct kunit *test)
{
	const struct lookup_way *way = test->param_value;
	unsigned int cpus = min_t(unsigned int, num_online_cpus(), 4);
	struct stress_result r;

	KUNIT_ASSERT_EQ(test, lookup_stress(way, 2 * cpus, 2, 400, &r), 0);
	kunit_info(test, "%s: hits=%lu misses=%lu outlived=%lu inserts=%lu opened=%lu closed=%lu\n",
		   way->name, r.hits, r.misses, r.outlived, r.inserts, r.opened, r.closed);
	KUNIT_EXPECT_EQ(test, r.wrong, 0);
	KUNIT_EXPECT_EQ(test, r.opened, r.closed);
	/* It was a stress: lookups met insertion and removal. */
	KUNIT_EXPECT_GT(test, r.hits, 0);
	KUNIT_EXPECT_GT(test, r.misses, 0);
	KUNIT_EXPECT_GE(test, r.opened, STRESS_ENOUGH);
	KUNIT_EXPECT_GE(test, r.inserts, r.opened);
}

static void lookup_way_name(const struct lookup_way *way, char *desc)
{
	strscpy(desc, way->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(lookup_way, lookup_ways, lookup_way_name);

static struct kunit_case pcpuref_lookup_cases[] = {
	KUNIT_CASE(pcpuref_lookup_test_by_mutex),
	KUNIT_CASE(pcpuref_lookup_test_by_mutex_busy),
	KUNIT_CASE(pcpuref_lookup_test_by_rcu),
	KUNIT_CASE(pcpuref_lookup_test_by_live),
	KUNIT_CASE(pcpuref_lookup_test_by_live_dying),
	KUNIT_CASE(pcpuref_lookup_test_by_live_late),
	KUNIT_CASE_PARAM(pcpuref_lookup_test_stress, lookup_way_gen_params),
	PCPUREF_LAST_CASE,
	{}
};

static struct kunit_suite pcpuref_lookup_suite = {
	PCPUREF_SUITE("pcpuref_lookup", pcpuref_lookup_cases),
};

kunit_test_suite(pcpuref_lookup_suite);

MODULE_DESCRIPTION("KUnit tests of the lookups that pcpuref's documentation shows");
MODULE_LICENSE("GPL");
