// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite pcpuref_zero: references with PCPUREF_ALLOW_ZERO, which count users
 * that come and go. Zero is a count like others while such a reference is live.
 */
#include "pcpuref_kunit.h"

static struct counted *counted_zero(struct kunit *test, unsigned int flags)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_ZERO | flags);

	/* Nobody is in: as md does right after init. */
	pcpuref_put(&c->ref);
	return c;
}

/* The same in atomic mode. The switch has seen zero: that is a release. */
static struct counted *counted_zero_atomic(struct kunit *test, unsigned int flags)
{
	struct counted *c = counted_zero(test, PCPUREF_ALLOW_REINIT | flags);

	KUNIT_ASSERT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
	KUNIT_ASSERT_TRUE(test, pcpuref_is_zero(&c->ref));
	pcpuref_barrier();
	KUNIT_ASSERT_EQ(test, released(c), 1);
	return c;
}

/* --- As drivers do it ------------------------------------------------------- */

/* md's writes_pending: is anybody in? Asked in atomic mode, counted per CPU. */
static void pcpuref_zero_test_usage_counter(struct kunit *test)
{
	struct counted *c = counted_zero(test, PCPUREF_ALLOW_REINIT);
	int first = cpumask_first(cpu_online_mask);
	int last = cpumask_last(cpu_online_mask);
	int i;

	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
		KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 0);
		get_many_on(first, &c->ref, 5);
		KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
		put_many_on(last, &c->ref, 3);
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
		KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 3);
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
		put_many_on(first, &c->ref, 3);

		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
		KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
		KUNIT_EXPECT_FALSE(test, pcpuref_is_dying(&c->ref));
		KUNIT_EXPECT_EQ(test, released(c), i + 1);
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
	}
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 3);
	pcpuref_exit(&c->ref);
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
}

/* target_core's cmd_cnt: put the initial reference, and exit without a kill. */
static void pcpuref_zero_test_exit_unkilled(struct kunit *test)
{
	struct counted *c = counted_zero(test, 0);

	pcpuref_get_many(&c->ref, 7);
	pcpuref_put_many(&c->ref, 7);
	pcpuref_exit(&c->ref);

	/* Or without having been used at all, on an error path. */
	KUNIT_ASSERT_EQ(test, counted_init(c, PCPUREF_ALLOW_ZERO), 0);
	pcpuref_exit(&c->ref);
	KUNIT_ASSERT_EQ(test, counted_init(c, PCPUREF_ALLOW_ZERO), 0);
	pcpuref_cancel_init(&c->ref);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

/* Or kill it, as any other: that drops the initial reference. */
static void pcpuref_zero_test_kill(struct kunit *test)
{
	static const unsigned int flags[] = {
		0, PCPUREF_ALLOW_REINIT, PCPUREF_INIT_ATOMIC, PCPUREF_RELEASE_WORK,
		PCPUREF_INIT_LAZY,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct counted *c = counted_new(test, PCPUREF_ALLOW_ZERO | flags[i]);

		pcpuref_get(&c->ref);
		KUNIT_EXPECT_EQ(test, pcpuref_kill_and_confirm(&c->ref, counted_confirm), 0);
		pcpuref_barrier();
		KUNIT_EXPECT_EQ(test, confirmed(c), 1);
		KUNIT_EXPECT_EQ(test, released(c), 0);
		KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
		pcpuref_put(&c->ref);
		pcpuref_barrier();
		KUNIT_EXPECT_EQ(test, released(c), 1);
		KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), 1);
	}
}

/* Who has put the initial reference gets one that the kill can drop. */
static void pcpuref_zero_test_kill_after_put(struct kunit *test)
{
	struct counted *c = counted_zero(test, PCPUREF_ALLOW_REINIT);

	pcpuref_get(&c->ref);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 0);
	KUNIT_EXPECT_FALSE(test, pcpuref_is_dying(&c->ref));
}

/* --- Zero in atomic mode ---------------------------------------------------- */

static void pcpuref_zero_test_leave_zero(struct kunit *test)
{
	struct counted *c = counted_zero_atomic(test, 0);
	int i;

	for (i = 0; i < 300; i++) {
		/* Of zero only a get can be sure: a tryget does not know. */
		KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
		KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
		pcpuref_get(&c->ref);
		KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
		KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
		pcpuref_put(&c->ref);
		KUNIT_EXPECT_EQ(test, released(c), i + 1);
		pcpuref_put(&c->ref);
		KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
		KUNIT_EXPECT_EQ(test, released(c), i + 2);
	}
	KUNIT_EXPECT_FALSE(test, pcpuref_is_dying(&c->ref));
}

static void visit_again(struct counted *c)
{
	if (c->result-- > 0) {
		pcpuref_get(&c->ref);
		pcpuref_put(&c->ref);
	}
	atomic_inc(&c->returned);
}

/* From release itself: one at a time, none lost. */
static void pcpuref_zero_test_leave_zero_in_release(struct kunit *test)
{
	struct counted *c = counted_zero_atomic(test, 0);

	c->result = 100;
	c->on_release = visit_again;
	pcpuref_get(&c->ref);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, released(c), 102);
	KUNIT_EXPECT_EQ(test, atomic_read(&c->returned), 102);
}

/* A confirm that is asked of zero comes, and then zero has been seen again. */
static void pcpuref_zero_test_confirm_at_zero(struct kunit *test)
{
	struct counted *c = counted_zero_atomic(test, 0);

	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic(&c->ref, counted_confirm), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 1);
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 0);
}

/* G8: it keeps its answer over exit. */
static void pcpuref_zero_test_is_zero_after_exit(struct kunit *test)
{
	struct counted *c = counted_zero_atomic(test, 0);

	pcpuref_exit(&c->ref);
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
}

/* --- Kill, and what races with it -------------------------------------------- */

/*
 * Undone in the same grace period: the initial reference is the caller's again,
 * who may put it at once.
 */
static void pcpuref_zero_test_resurrect_and_put(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_ZERO | PCPUREF_ALLOW_REINIT);

	preempt_disable();
	EXPECT_LATER(!pcpuref_kill_and_confirm(&c->ref, counted_confirm));
	EXPECT_LATER(!pcpuref_resurrect(&c->ref));
	EXPECT_LATER(!pcpuref_is_dying(&c->ref));
	pcpuref_put(&c->ref);
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 1);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
	pcpuref_get(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	pcpuref_put(&c->ref);
}

/*
 * A zero whose release has not been called yet when the life ends: there is one
 * release, for the end.
 */
static void pcpuref_zero_test_zero_before_the_end(struct kunit *test)
{
	struct counted *c = counted_zero_atomic(test, PCPUREF_RELEASE_WORK);

	pcpuref_get(&c->ref);
	preempt_disable();
	pcpuref_put(&c->ref);
	pcpuref_get(&c->ref);
	EXPECT_LATER(!pcpuref_kill(&c->ref));
	preempt_enable();
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	pcpuref_barrier();
	/* Another CPU may have begun the first before the kill came. */
	KUNIT_EXPECT_GE(test, released(c), 2);
	KUNIT_EXPECT_LE(test, released(c), num_online_cpus() > 1 ? 3 : 2);
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
}

static void put_in_nmi(struct counted *c)
{
	preempt_count_add(NMI_OFFSET + HARDIRQ_OFFSET);
	pcpuref_put(&c->ref);
	preempt_count_sub(NMI_OFFSET + HARDIRQ_OFFSET);
}

/* A zero that is told late, when a kill has come and gone: it has its release. */
static void pcpuref_zero_test_zero_told_late(struct kunit *test)
{
	struct counted *c = counted_zero_atomic(test, 0);
	unsigned long flags;

	pcpuref_get(&c->ref);
	preempt_disable();
	local_irq_save(flags);
	put_in_nmi(c);
	pcpuref_get(&c->ref);
	EXPECT_LATER(!pcpuref_kill_and_confirm(&c->ref, counted_confirm));
	local_irq_restore(flags);
	/* Now it has been told, at the next tick at the latest. */
	mdelay(30);
	EXPECT_LATER(released(c) == 1);
	EXPECT_LATER(!pcpuref_resurrect(&c->ref));
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 2);
	KUNIT_EXPECT_EQ(test, confirmed(c), 1);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, released(c), 3);
}

/* Of a dying reference zero is what its end is, not a moment before that. */
static void pcpuref_zero_test_is_zero_and_reinit_agree(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_ZERO | PCPUREF_INIT_ATOMIC);
	unsigned long flags;

	pcpuref_get(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
	local_irq_save(flags);
	put_in_nmi(c);
	EXPECT_LATER(!pcpuref_is_zero(&c->ref));
	local_irq_restore(flags);
	pcpuref_barrier();
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, released(c), 2);
}

static void come_and_go(struct helper *h)
{
	atomic_t *asked_in_atomic_mode = h->arg;

	while (helper_goes_on(h)) {
		pcpuref_get(&h->c->ref);
		if (pcpuref_is_zero(&h->c->ref))
			h->wrong++;
		if (READ_ONCE(h->c->ref.word) & __PCPUREF_ATOMIC)
			atomic_inc(asked_in_atomic_mode);
		pcpuref_put(&h->c->ref);
		helper_hit(h);
	}
}

/* Asked again and again while users come and go: never zero to one who is in. */
static void pcpuref_zero_test_storm(struct kunit *test)
{
	struct counted *c = counted_zero(test, PCPUREF_ALLOW_REINIT);
	struct helper *helpers[4];
	unsigned long hits = 0, zeroes = 0, turns = 0;
	atomic_t asked_in_atomic_mode = ATOMIC_INIT(0);
	unsigned long end = jiffies + STORM;
	int i, n = nr_storm_helpers();

	for (i = 0; i < n; i++)
		helpers[i] = helper_start(test, come_and_go, c, &asked_in_atomic_mode);
	while (storm_goes_on(end, zeroes && hits > 100 && atomic_read(&asked_in_atomic_mode))) {
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
		/* Also where they only run while this does not. */
		if (turns++ % 4 == 0)
			schedule_timeout_uninterruptible(1);
		zeroes += pcpuref_is_zero(&c->ref);
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
		cond_resched();
		hits = hits_of(helpers, n);
	}
	for (i = 0; i < n; i++) {
		KUNIT_EXPECT_TRUE(test, helper_stop(helpers[i]));
		KUNIT_EXPECT_EQ(test, helpers[i]->wrong, 0);
	}
	KUNIT_EXPECT_GT(test, hits, 100);
	KUNIT_EXPECT_GT(test, zeroes, 0);
	KUNIT_EXPECT_GT(test, atomic_read(&asked_in_atomic_mode), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 0);
}

/* --- What is still misuse ----------------------------------------------------- */

static void pcpuref_zero_test_below_zero(struct kunit *test)
{
	struct counted *c = counted_zero_atomic(test, 0);

	EXPECT_REPORT_COUNT(test, "put without a reference", 0);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
	KUNIT_EXPECT_EQ(test, released(c), 1);

	/* In per-CPU mode the switch finds it. */
	c = counted_zero(test, PCPUREF_ALLOW_REINIT);
	pcpuref_put(&c->ref);
	EXPECT_FOUND(test, "put without a reference", -1, FOUND_AT_SWITCH);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), LONG_MAX);
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

/* A kill drops a reference, and there is none. */
static void pcpuref_zero_test_kill_at_zero(struct kunit *test)
{
	struct counted *c = counted_zero_atomic(test, 0);

	EXPECT_FOUND(test, "put without a reference", -1, FOUND_AT_KILL);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&c->ref), -ENOTRECOVERABLE);
	KUNIT_EXPECT_EQ(test, released(c), 1);

	c = counted_zero(test, 0);
	EXPECT_FOUND(test, "put without a reference", 0, FOUND_AT_KILL);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&c->ref), -ENOTRECOVERABLE);
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

/*
 * G7 also here: somebody is in. (One alone, who came as the initial reference went,
 * looks like that.) And a dead reference is dead.
 */
static void pcpuref_zero_test_exit_held(struct kunit *test)
{
	struct counted *c = counted_zero(test, 0);

	pcpuref_get_many(&c->ref, 2);
	EXPECT_REPORT_COUNT(test, "exit with references out", 2);
	pcpuref_exit(&c->ref);

	c = counted_new(test, PCPUREF_ALLOW_ZERO | PCPUREF_INIT_ATOMIC);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	EXPECT_REPORT_COUNT(test, "get on a released reference", 0);
	pcpuref_get(&c->ref);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* Without the flag the same is misuse, as ever. */
static void pcpuref_zero_test_not_without_the_flag(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_ATOMIC);

	EXPECT_REPORT_COUNT(test, "put without a reference", 0);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, released(c), 0);

	c = counted_new(test, PCPUREF_ALLOW_REINIT);
	pcpuref_put(&c->ref);
	EXPECT_FOUND(test, "put without a reference", 0, FOUND_AT_SWITCH);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

static struct kunit_case pcpuref_zero_cases[] = {
	KUNIT_CASE(pcpuref_zero_test_usage_counter),
	KUNIT_CASE(pcpuref_zero_test_exit_unkilled),
	KUNIT_CASE(pcpuref_zero_test_kill),
	KUNIT_CASE(pcpuref_zero_test_kill_after_put),
	KUNIT_CASE(pcpuref_zero_test_leave_zero),
	KUNIT_CASE(pcpuref_zero_test_leave_zero_in_release),
	KUNIT_CASE(pcpuref_zero_test_confirm_at_zero),
	KUNIT_CASE(pcpuref_zero_test_is_zero_after_exit),
	KUNIT_CASE(pcpuref_zero_test_resurrect_and_put),
	KUNIT_CASE(pcpuref_zero_test_zero_before_the_end),
	KUNIT_CASE(pcpuref_zero_test_zero_told_late),
	KUNIT_CASE(pcpuref_zero_test_is_zero_and_reinit_agree),
	KUNIT_CASE(pcpuref_zero_test_storm),
	KUNIT_CASE(pcpuref_zero_test_below_zero),
	KUNIT_CASE(pcpuref_zero_test_kill_at_zero),
	KUNIT_CASE(pcpuref_zero_test_exit_held),
	KUNIT_CASE(pcpuref_zero_test_not_without_the_flag),
	PCPUREF_LAST_CASE,
	{}
};

static struct kunit_suite pcpuref_zero_suite = {
	PCPUREF_SUITE("pcpuref_zero", pcpuref_zero_cases),
};

kunit_test_suite(pcpuref_zero_suite);

MODULE_DESCRIPTION("KUnit tests of pcpuref: usage counters");
MODULE_LICENSE("GPL");
