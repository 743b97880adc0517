// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite pcpuref_situations: what drivers were in, by public reports of bugs
 * with other reference counts. Each case is a situation, and the kind of it.
 */
#include <linux/kmemleak.h>

#include "pcpuref_kunit.h"
#include "pcpuref_inspect.h"

/* --- A release in process context may do what is allowed there ---------------- */

static atomic_t works_run;

static void count_work(struct work_struct *work)
{
	atomic_inc(&works_run);
}

static DECLARE_WORK(a_system_work, count_work);

static void flush_system_work(struct counted *c)
{
	schedule_work(&a_system_work);
	flush_work(&a_system_work);
	atomic_inc(&c->returned);
}

static struct workqueue_struct *own_wq;

static void destroy_own_wq(struct counted *c)
{
	queue_work(own_wq, &a_system_work);
	destroy_workqueue(own_wq);
	atomic_inc(&c->returned);
}

/* The kernel warns if a workqueue for memory reclaim flushes one that is not. */
static void pcpuref_situations_test_release_flushes_works(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_RELEASE_WORK);

	atomic_set(&works_run, 0);
	c->on_release = flush_system_work;
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&c->returned), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&works_run), 1);
}

static void pcpuref_situations_test_release_destroys_workqueue(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_RELEASE_WORK);

	atomic_set(&works_run, 0);
	own_wq = alloc_workqueue("pcpuref_kunit", WQ_UNBOUND, 0);
	KUNIT_ASSERT_NOT_NULL(test, own_wq);
	c->on_release = destroy_own_wq;
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&c->returned), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&works_run), 1);
}

/* --- Releases that wait for one another ---------------------------------------- */

#define FAMILIES	1000

struct family {
	struct pcpuref	parent;
	struct pcpuref	child;
	struct completion child_gone;
};

static atomic_t parents_gone;

static void child_release(struct pcpuref *ref)
{
	complete(&container_of(ref, struct family, child)->child_gone);
}

static void parent_release(struct pcpuref *ref)
{
	struct family *f = container_of(ref, struct family, parent);

	/* The child's release has to find a place beside all parents'. */
	pcpuref_kill(&f->child);
	if (wait_for_completion_timeout(&f->child_gone, 4 * PATIENCE))
		atomic_inc(&parents_gone);
}

/* More than a workqueue runs at a time: no release may wait for a place. */
static void pcpuref_situations_test_thousand_parents(struct kunit *test)
{
	struct family *families = kvcalloc(FAMILIES, sizeof(*families), GFP_KERNEL);
	int i, n, err = 0;

	KUNIT_ASSERT_NOT_NULL(test, families);
	atomic_set(&parents_gone, 0);
	for (n = 0; n < FAMILIES && !err; n++) {
		init_completion(&families[n].child_gone);
		err = pcpuref_init(&families[n].parent, parent_release,
				   PCPUREF_RELEASE_WORK | PCPUREF_INIT_ATOMIC, GFP_KERNEL);
		err = err ?: pcpuref_init(&families[n].child, child_release,
					  PCPUREF_RELEASE_WORK | PCPUREF_INIT_ATOMIC,
					  GFP_KERNEL);
	}
	KUNIT_EXPECT_EQ(test, err, 0);
	for (i = 0; i < n; i++)
		pcpuref_kill(&families[i].parent);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, atomic_read(&parents_gone), FAMILIES);
	for (i = 0; i < n; i++) {
		pcpuref_exit(&families[i].parent);
		pcpuref_exit(&families[i].child);
	}
	pcpuref_barrier();
	kvfree(families);
}

/* --- Barriers ------------------------------------------------------------------- */

static struct pcpuref_site others_site = {
	.interface = __PCPUREF_INTERFACE,
	.name = "another client's",
	.module = "somebody_else",
	.file = __FILE__,
	.function = "others_site",
	/* What is built into the kernel: not this module. */
	.owner = NULL,
};

static DECLARE_COMPLETION(others_may_return);
static atomic_t others_returned;

static void release_sleeps(struct pcpuref *ref)
{
	wait_for_completion_timeout(&others_may_return, 4 * PATIENCE);
	atomic_inc(&others_returned);
}

/* Releases of one client that sleep do not keep another one's barrier. */
static void pcpuref_situations_test_barrier_of_another(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_RELEASE_WORK);
	struct pcpuref *others = kunit_kcalloc(test, 300, sizeof(*others), GFP_KERNEL);
	int i, n, err = 0;

	KUNIT_ASSERT_NOT_NULL(test, others);
#ifndef MODULE
	kunit_skip(test, "built in, as that one is");
#endif
	reinit_completion(&others_may_return);
	atomic_set(&others_returned, 0);
	for (n = 0; n < 300 && !err; n++)
		err = __pcpuref_init(&others[n], release_sleeps,
				     PCPUREF_RELEASE_WORK | PCPUREF_INIT_ATOMIC, GFP_KERNEL,
				     NULL, &others_site);
	KUNIT_EXPECT_EQ(test, err, 0);
	for (i = 0; i < n; i++)
		pcpuref_kill(&others[i]);
	/* Nor do they take the place of a release. */
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&others_returned), 0);
	complete_all(&others_may_return);
	/* And theirs waits. */
	__pcpuref_barrier(NULL);
	KUNIT_EXPECT_EQ(test, atomic_read(&others_returned), n);
	for (i = 0; i < n; i++)
		pcpuref_exit(&others[i]);
	/* Who is built in never goes, so a core that is loaded does not forget that client. */
	kmemleak_not_leak(READ_ONCE(others_site.client));
}

#define LEVELS	20

static struct counted *level[LEVELS];

static void next_level(struct counted *c)
{
	int i;

	for (i = 0; i < LEVELS - 1; i++) {
		if (level[i] != c)
			continue;
		/* By turns kill it, or put what has been held since. */
		if (i & 1)
			pcpuref_put(&level[i + 1]->ref);
		else
			pcpuref_kill(&level[i + 1]->ref);
	}
	atomic_inc(&c->returned);
}

/* One barrier waits for all that a release leads to, however deep. */
static void pcpuref_situations_test_barrier_of_a_chain(struct kunit *test)
{
	static const unsigned int flags[] = {
		0, PCPUREF_RELEASE_WORK, PCPUREF_INIT_ATOMIC | PCPUREF_RELEASE_WORK,
	};
	int i, j;

	for (j = 0; j < ARRAY_SIZE(flags); j++) {
		for (i = 0; i < LEVELS; i++) {
			level[i] = counted_new(test, flags[j]);
			level[i]->on_release = next_level;
		}
		for (i = 1; i < LEVELS - 1; i += 2) {
			pcpuref_get(&level[i + 1]->ref);
			pcpuref_kill(&level[i + 1]->ref);
		}
		pcpuref_barrier();
		pcpuref_kill(&level[0]->ref);
		pcpuref_barrier();
		for (i = 0; i < LEVELS; i++) {
			KUNIT_EXPECT_EQ(test, released(level[i]), 1);
			KUNIT_EXPECT_EQ(test, atomic_read(&level[i]->returned), 1);
		}
	}
}

/* --- Init twice ------------------------------------------------------------------ */

static void pcpuref_situations_test_init_twice(struct kunit *test)
{
	static const unsigned int flags[] = {
		0, PCPUREF_INIT_ATOMIC, PCPUREF_INIT_LAZY, PCPUREF_INIT_DEAD,
	};
	struct pcpuref first;
	int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct counted *c = counted_new(test, flags[i]);
		bool dead = flags[i] & PCPUREF_INIT_DEAD;

		if (!dead)
			pcpuref_get(&c->ref);
		first = c->ref;
		EXPECT_REPORT_COUNT(test, "init of an initialised reference", dead ? 0 : 2);
		KUNIT_EXPECT_EQ(test, counted_init(c, 0), 0);
		/* The second works; the first leaks, as it was. */
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		pcpuref_exit(&c->ref);

		/* For this test it does not: put back, and given up. */
		c->ref = first;
		if (!dead)
			pcpuref_put(&c->ref);
		pcpuref_exit(&c->ref);
	}
}

/* Memory that was zeroed, that a reference has exited from, or that never had one. */
static void pcpuref_situations_test_init_once(struct kunit *test)
{
	struct counted *c = counted_new(test, 0), *other = counted_new(test, 0);
	struct pcpuref first = c->ref;

	memset(&c->ref, 0, sizeof(c->ref));
	KUNIT_EXPECT_EQ(test, counted_init(c, 0), 0);
	pcpuref_exit(&c->ref);
	KUNIT_EXPECT_EQ(test, counted_init(c, 0), 0);
	pcpuref_exit(&c->ref);
	c->ref = first;
	/* A copy of another reference is none. */
	first = other->ref;
	KUNIT_EXPECT_EQ(test, pcpuref_init_named(&first, counted_release, 0, GFP_KERNEL,
						 "counted"), 0);
	pcpuref_exit(&first);
}

/* --- Who is named ------------------------------------------------------------------ */

static noinline void exits_last(struct pcpuref *ref)
{
	pcpuref_exit(ref);
}

/* A confirm function that ends in exit is named, not a function of the core's. */
static void pcpuref_situations_test_exit_ends_confirm(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	EXPECT_REPORT_BY(test, "exit during a switch", 1, "exits_last");
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_confirm(&c->ref, exits_last), 0);
	pcpuref_barrier();
}

/* So is any function that ends in a call which may be reported. */
#define LAST_CALL(name, call) static noinline int last_##name(struct pcpuref *ref) { return call; }

LAST_CALL(kill, pcpuref_kill(ref))
LAST_CALL(confirm, pcpuref_kill_and_confirm(ref, counted_confirm))
LAST_CALL(sync, pcpuref_kill_sync(ref))
LAST_CALL(wait, pcpuref_kill_and_wait(ref))
LAST_CALL(timeout, pcpuref_kill_and_wait_timeout(ref, 1))
LAST_CALL(reinit, pcpuref_reinit(ref))
LAST_CALL(resurrect, pcpuref_resurrect(ref))
LAST_CALL(atomic, pcpuref_switch_to_atomic(ref, NULL))
LAST_CALL(atomic_sync, pcpuref_switch_to_atomic_sync(ref))
LAST_CALL(percpu, pcpuref_switch_to_percpu(ref))

static void pcpuref_situations_test_last_call_is_named(struct kunit *test)
{
	static const struct {
		int		(*call)(struct pcpuref *ref);
		const char	*name;
		int		result;
	} calls[] = {
		{ last_kill, "last_kill", -EINVAL },
		{ last_confirm, "last_confirm", -EINVAL },
		{ last_sync, "last_sync", -EINVAL },
		{ last_wait, "last_wait", -EINVAL },
		{ last_timeout, "last_timeout", -EINVAL },
		{ last_reinit, "last_reinit", -EINVAL },
		{ last_resurrect, "last_resurrect", -EINVAL },
		{ last_atomic, "last_atomic", -EINVAL },
		{ last_atomic_sync, "last_atomic_sync", -EINVAL },
		{ last_percpu, "last_percpu", -EINVAL },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		struct counted *c = counted_new(test, 0);

		pcpuref_exit(&c->ref);
		expect_report_count(test, "misuse: use after exit: name=(none)", 0,
				    calls[i].name);
		KUNIT_EXPECT_EQ(test, calls[i].call(&c->ref), calls[i].result);
	}
}

/* Calls that return nothing, and what may be reported of a live reference. */
#define LAST_VOID(name, call) static noinline void last_##name(struct pcpuref *ref) { call; }

LAST_VOID(exit, pcpuref_exit(ref))
LAST_VOID(cancel, pcpuref_cancel_init(ref))
LAST_VOID(get, pcpuref_get(ref))
LAST_VOID(get_many, pcpuref_get_many(ref, LONG_MAX))
LAST_VOID(put, pcpuref_put(ref))
LAST_VOID(put_many, pcpuref_put_many(ref, 3))

static void pcpuref_situations_test_last_void_is_named(struct kunit *test)
{
	static const struct {
		void		(*call)(struct pcpuref *ref);
		const char	*name;
		const char	*text;
		unsigned int	flags;
		bool		get;
		bool		kill;
	} calls[] = {
		{ last_exit, "last_exit+", "exit with references out", 0, true },
		{ last_cancel, "last_cancel+", "cancel_init of a used", 0, true },
		{ last_get, "last_get+", "get on a released", PCPUREF_INIT_ATOMIC, false, true },
		{ last_get_many, "last_get_many+", "count overflow", PCPUREF_INIT_ATOMIC },
		{ last_put, "last_put+", "put without", PCPUREF_INIT_ATOMIC },
		{ last_put_many, "last_put_many+", "put without", PCPUREF_INIT_ATOMIC },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		struct counted *c = counted_new(test, calls[i].flags);

		if (calls[i].get)
			pcpuref_get(&c->ref);
		if (calls[i].kill)
			KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		expect_report(test, calls[i].text, calls[i].name);
		calls[i].call(&c->ref);
	}
}

/* --- Names ---------------------------------------------------------------------------- */

/* A name that is not a literal is copied: the object may go before its reference. */
static void pcpuref_situations_test_name_outlives_object(struct kunit *test)
{
	static const unsigned int flags[] = { 0, PCPUREF_RELEASE_WORK, PCPUREF_INIT_LAZY };
	struct pcpuref_info info;
	char name[32];
	int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct counted *c = counted_alloc(test);

		snprintf(name, sizeof(name), "device %d", i);
		KUNIT_ASSERT_EQ(test, pcpuref_init_named(&c->ref, counted_release, flags[i],
							 GFP_KERNEL, name), 0);
		memset(name, 'x', sizeof(name) - 1);
		KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
		snprintf(name, sizeof(name), "device %d", i);
		KUNIT_EXPECT_STREQ(test, info.name, name);
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), 1);
	}
}

/* --- Zero ------------------------------------------------------------------------------ */

static void look_for_zero(struct helper *h)
{
	while (helper_goes_on(h)) {
		if (!pcpuref_tryget(&h->c->ref))
			continue;
		helper_hit(h);
		if (pcpuref_is_zero(&h->c->ref))
			h->wrong++;
		pcpuref_put(&h->c->ref);
	}
}

/* is_zero is never true to a holder, whatever kills and revivals come. */
static void pcpuref_situations_test_zero_to_a_holder(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_ATOMIC);
	unsigned long end = jiffies + 10 * STORM, hits = 0;
	struct helper *helpers[4];
	int i, n = nr_storm_helpers();

	if (num_online_cpus() == 1)
		kunit_skip(test, "with one CPU a revival is not interrupted");
	for (i = 0; i < n; i++)
		helpers[i] = helper_start(test, look_for_zero, c, NULL);
	while (storm_goes_on(end, hits > 1000)) {
		pcpuref_kill(&c->ref);
		while (!pcpuref_is_zero(&c->ref))
			cpu_relax();
		KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
		cond_resched();
		hits = hits_of(helpers, n);
	}
	for (i = 0; i < n; i++) {
		KUNIT_EXPECT_TRUE(test, helper_stop(helpers[i]));
		KUNIT_EXPECT_EQ(test, helpers[i]->wrong, 0);
	}
	KUNIT_EXPECT_GT(test, hits, 1000);
}

/* --- Resurrect takes effect when it returns (G15) ---------------------------------------- */

static void wait_for_kill(struct helper *h)
{
	complete(&h->ready);
	h->result = pcpuref_kill_and_wait(&h->c->ref);
	/* Woken by the resurrect: it is live by now. */
	h->wrong = pcpuref_is_dying(&h->c->ref);
}

static void pcpuref_situations_test_woken_finds_it_live(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	struct helper *h;

	pcpuref_get(&c->ref);
	h = helper_start(test, wait_for_kill, c, NULL);
	KUNIT_ASSERT_TRUE(test, wait_for_completion_timeout(&h->ready, PATIENCE));
	KUNIT_ASSERT_TRUE(test, wait_until(pcpuref_is_dying(&c->ref)));
	schedule_timeout_uninterruptible(HZ / 20);
	KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
	KUNIT_EXPECT_TRUE(test, helper_wait(h));
	KUNIT_EXPECT_EQ(test, h->result, -ECANCELED);
	KUNIT_EXPECT_EQ(test, h->wrong, 0);
	pcpuref_put(&c->ref);
}

static void use_live(void *counted)
{
	struct counted *c = counted;

	/* In an interrupt, of another CPU. */
	c->result = pcpuref_tryget_live(&c->ref);
	if (c->result)
		pcpuref_put(&c->ref);
}

/*
 * As the block layer freezes and unfreezes a queue: in quick succession, and with
 * each return the reference is what was asked for.
 */
static void pcpuref_situations_test_freeze_and_unfreeze(struct kunit *test)
{
	static const unsigned int flags[] = { PCPUREF_ALLOW_REINIT, PCPUREF_INIT_ATOMIC };
	int i, round, cpu;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct counted *c = counted_new(test, flags[i]);

		for (round = 0; round < 200; round++) {
			KUNIT_ASSERT_EQ(test, pcpuref_kill(&c->ref), 0);
			KUNIT_ASSERT_TRUE(test, pcpuref_is_dying(&c->ref));
			KUNIT_ASSERT_FALSE(test, pcpuref_tryget_live(&c->ref));
			KUNIT_ASSERT_EQ(test, pcpuref_resurrect(&c->ref), 0);
			KUNIT_ASSERT_FALSE(test, pcpuref_is_dying(&c->ref));
			KUNIT_ASSERT_TRUE(test, pcpuref_tryget_live(&c->ref));
			pcpuref_put(&c->ref);
			/* On every CPU. */
			for_each_online_cpu(cpu) {
				c->result = -1;
				smp_call_function_single(cpu, use_live, c, true);
				KUNIT_ASSERT_EQ(test, c->result, 1);
			}
		}
		pcpuref_barrier();
	}
}

static struct kunit_case pcpuref_situations_cases[] = {
	KUNIT_CASE(pcpuref_situations_test_release_flushes_works),
	KUNIT_CASE(pcpuref_situations_test_release_destroys_workqueue),
	KUNIT_CASE(pcpuref_situations_test_thousand_parents),
	KUNIT_CASE(pcpuref_situations_test_barrier_of_another),
	KUNIT_CASE(pcpuref_situations_test_barrier_of_a_chain),
	KUNIT_CASE(pcpuref_situations_test_init_twice),
	KUNIT_CASE(pcpuref_situations_test_init_once),
	KUNIT_CASE(pcpuref_situations_test_exit_ends_confirm),
	KUNIT_CASE(pcpuref_situations_test_last_call_is_named),
	KUNIT_CASE(pcpuref_situations_test_last_void_is_named),
	KUNIT_CASE(pcpuref_situations_test_name_outlives_object),
	KUNIT_CASE(pcpuref_situations_test_zero_to_a_holder),
	KUNIT_CASE(pcpuref_situations_test_woken_finds_it_live),
	KUNIT_CASE(pcpuref_situations_test_freeze_and_unfreeze),
	PCPUREF_LAST_CASE,
	{}
};

static struct kunit_suite pcpuref_situations_suite = {
	PCPUREF_SUITE("pcpuref_situations", pcpuref_situations_cases),
};

kunit_test_suite(pcpuref_situations_suite);

MODULE_DESCRIPTION("KUnit tests of pcpuref: situations that drivers were in");
MODULE_LICENSE("GPL");
