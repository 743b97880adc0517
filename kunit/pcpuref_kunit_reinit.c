// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite pcpuref_reinit: reinit and resurrect, of dead and of dying
 * references, at rest and while a switch is in flight, from callbacks.
 */
#include "pcpuref_kunit.h"

/* One more life, from live and at rest to released: is everything as new? */
static void live_and_die(struct kunit *test, struct counted *c, bool percpu)
{
	int before = released(c);

	KUNIT_EXPECT_FALSE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_EQ(test, in_percpu_mode(c), percpu);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
	/* Quicker than the others, since its grace periods are. */
	KUNIT_EXPECT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
	KUNIT_EXPECT_TRUE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_EQ(test, released(c), before);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), before + 1);
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
}

/* --- Reinit --------------------------------------------------------------- */

static void pcpuref_reinit_test_reinit(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	int i;

	live_and_die(test, c, true);
	for (i = 0; i < 5; i++) {
		KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
		live_and_die(test, c, true);
	}
	KUNIT_EXPECT_EQ(test, released(c), 6);
}

static void pcpuref_reinit_test_init_dead(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_DEAD);

	KUNIT_EXPECT_TRUE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 0);
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
	/* It has never lived, so there is nothing to wait for. */
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	live_and_die(test, c, true);
	KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
	live_and_die(test, c, true);
}

/* What the counters held in one life must not be part of the next one. */
static void pcpuref_reinit_test_counters_cleared(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	int first = cpumask_first(cpu_online_mask);
	int last = cpumask_last(cpu_online_mask);
	int i;

	for (i = 0; i < 3; i++) {
		get_many_on(first, &c->ref, 1000);
		put_many_on(last, &c->ref, 999);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
		KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
		pcpuref_barrier();
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
		pcpuref_put(&c->ref);
		KUNIT_EXPECT_EQ(test, released(c), i + 1);
		KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	}
	live_and_die(test, c, true);
}

static void pcpuref_reinit_test_init_atomic(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_ATOMIC);

	live_and_die(test, c, false);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	live_and_die(test, c, false);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	live_and_die(test, c, true);
}

/* What release does in turn: begin a new life of the same reference. */
static void reinit_it(struct counted *c)
{
	c->on_release = NULL;
	c->result = !pcpuref_reinit(&c->ref);
	c->result += pcpuref_tryget(&c->ref);
	atomic_inc(&c->returned);
}

static void resurrect_it(struct counted *c)
{
	c->on_release = NULL;
	c->result = !pcpuref_resurrect(&c->ref);
	c->result += pcpuref_tryget(&c->ref);
	atomic_inc(&c->returned);
}

/* G3: from release, in every mode that release can be called in. */
static void pcpuref_reinit_test_in_release(struct kunit *test)
{
	static const unsigned int flags[] = {
		PCPUREF_ALLOW_REINIT,
		PCPUREF_INIT_ATOMIC,
		PCPUREF_ALLOW_REINIT | PCPUREF_RELEASE_WORK,
		PCPUREF_INIT_ATOMIC | PCPUREF_RELEASE_WORK,
	};
	struct counted *c[ARRAY_SIZE(flags) * 4];
	int i;

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		c[i] = counted_new(test, flags[i / 4]);
		c[i]->on_release = i & 1 ? resurrect_it : reinit_it;
		/* By a put, or by the kill. */
		if (i & 2)
			pcpuref_get(&c[i]->ref);
		KUNIT_EXPECT_EQ(test, pcpuref_kill(&c[i]->ref), 0);
	}
	pcpuref_barrier();
	for (i = 0; i < ARRAY_SIZE(c); i++)
		if (i & 2)
			pcpuref_put(&c[i]->ref);
	pcpuref_barrier();
	for (i = 0; i < ARRAY_SIZE(c); i++) {
		KUNIT_EXPECT_EQ(test, released(c[i]), 1);
		KUNIT_EXPECT_EQ(test, c[i]->result, 2);
		pcpuref_put(&c[i]->ref);
		live_and_die(test, c[i], !(flags[i / 4] & PCPUREF_INIT_ATOMIC));
		KUNIT_EXPECT_EQ(test, released(c[i]), 2);
	}
}

static void reinit_and_kill_it(struct counted *c)
{
	/* As long as it is told to; each call is a life. */
	if (c->result-- > 0) {
		pcpuref_reinit(&c->ref);
		pcpuref_kill(&c->ref);
	}
	atomic_inc(&c->returned);
}

/*
 * A life that ends while release of the one before is running: one release
 * each, in turn, without recursion.
 */
static void pcpuref_reinit_test_lives_in_release(struct kunit *test)
{
	static const unsigned int flags[] = {
		PCPUREF_INIT_ATOMIC,
		PCPUREF_INIT_ATOMIC | PCPUREF_RELEASE_WORK,
		PCPUREF_ALLOW_REINIT,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct counted *c = counted_new(test, flags[i]);
		int lives = flags[i] & PCPUREF_INIT_ATOMIC ? 1000 : 1;

		c->result = lives;
		c->on_release = reinit_and_kill_it;
		KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
		pcpuref_barrier();
		pcpuref_barrier();
		KUNIT_EXPECT_EQ(test, released(c), lives + 1);
		KUNIT_EXPECT_EQ(test, atomic_read(&c->returned), lives + 1);
		KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	}
}

/* Reinit of a dead reference that a switch has just been asked of. */
static void pcpuref_reinit_test_in_flight(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_DEAD);

	preempt_disable();
	EXPECT_LATER(!pcpuref_switch_to_atomic(&c->ref, counted_confirm));
	EXPECT_LATER(!pcpuref_reinit(&c->ref));
	/* In effect at once: G15. */
	EXPECT_LATER(!pcpuref_is_zero(&c->ref));
	EXPECT_LATER(!pcpuref_is_dying(&c->ref));
	EXPECT_LATER(pcpuref_tryget_live(&c->ref));
	pcpuref_get(&c->ref);
	pcpuref_put(&c->ref);
	EXPECT_LATER(confirmed(c) == 0);
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 1);
	KUNIT_EXPECT_EQ(test, released(c), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
	pcpuref_put(&c->ref);
	live_and_die(test, c, false);
}

/* A switch asked of a dead reference takes no life and gives none. */
static void pcpuref_reinit_test_switch_while_dead(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);

	live_and_die(test, c, true);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic(&c->ref, counted_confirm), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 1);
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	live_and_die(test, c, false);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
	KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	live_and_die(test, c, true);
}

/* --- Resurrect ------------------------------------------------------------ */

/* Of a reference that is dying and held. */
static void pcpuref_reinit_test_resurrect_held(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);

	pcpuref_get_many(&c->ref, 2);
	KUNIT_ASSERT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
	KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
	/* Nothing was in flight, so it takes effect at once. */
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
	KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 4);
	pcpuref_put_many(&c->ref, 3);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 0);
	live_and_die(test, c, true);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* Of one that is dead: as reinit. */
static void pcpuref_reinit_test_resurrect_dead(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	int i;

	for (i = 0; i < 4; i++) {
		live_and_die(test, c, true);
		KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
	}
	KUNIT_EXPECT_EQ(test, released(c), 4);
}

/* While the kill's own switch is in flight. */
static void pcpuref_reinit_test_resurrect_in_flight(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);

	preempt_disable();
	EXPECT_LATER(!pcpuref_kill(&c->ref));
	EXPECT_LATER(!pcpuref_resurrect(&c->ref));
	/* In effect at once: G15. */
	EXPECT_LATER(!pcpuref_is_dying(&c->ref));
	EXPECT_LATER(pcpuref_tryget_live(&c->ref));
	EXPECT_LATER(!in_percpu_mode(c));
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
	pcpuref_put(&c->ref);
	live_and_die(test, c, true);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/*
 * L4: in mainline the kill's confirmation can be lost where a resurrect comes
 * while the kill sleeps.
 */
static void pcpuref_reinit_test_confirm_not_lost(struct kunit *test)
{
	struct counted *percpu = counted_new(test, PCPUREF_ALLOW_REINIT);
	struct counted *atomic = counted_new(test, PCPUREF_INIT_ATOMIC);
	struct counted *both[] = { percpu, atomic };
	int i;

	preempt_disable();
	for (i = 0; i < ARRAY_SIZE(both); i++) {
		struct counted *c = both[i];

		/* Behind a switch that is in flight, as there. */
		pcpuref_switch_to_atomic(&c->ref, NULL);
		pcpuref_kill_and_confirm(&c->ref, counted_confirm);
		pcpuref_resurrect(&c->ref);
	}
	preempt_enable();
	pcpuref_barrier();
	for (i = 0; i < ARRAY_SIZE(both); i++) {
		KUNIT_EXPECT_EQ(test, confirmed(both[i]), 1);
		KUNIT_EXPECT_EQ(test, released(both[i]), 0);
		live_and_die(test, both[i], false);
	}
}

/* Each kill's own callback comes once, however many meet in a grace period. */
static void pcpuref_reinit_test_confirms_in_one_grace_period(struct kunit *test)
{
	static const unsigned int flags[] = { PCPUREF_ALLOW_REINIT, PCPUREF_INIT_ATOMIC };
	int i, nr;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct counted *c = counted_new(test, flags[i]);

		preempt_disable();
		pcpuref_kill_and_confirm(&c->ref, counted_confirm);
		pcpuref_resurrect(&c->ref);
		pcpuref_kill_and_confirm(&c->ref, counted_confirm_b);
		pcpuref_resurrect(&c->ref);
		pcpuref_kill_and_confirm(&c->ref, counted_confirm_c);
		preempt_enable();
		pcpuref_barrier();
		for (nr = 0; nr < 3; nr++)
			KUNIT_EXPECT_EQ(test, atomic_read(&c->confirmed[nr]), 1);
		KUNIT_EXPECT_EQ(test, released(c), 1);
		KUNIT_EXPECT_EQ(test, c->released_at, 4);
		KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
		live_and_die(test, c, flags[i] == PCPUREF_ALLOW_REINIT);
	}
}

/* The same callback as often as it was asked for. */
static void pcpuref_reinit_test_same_confirm_many_times(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	int i;

	preempt_disable();
	for (i = 0; i < 100; i++) {
		EXPECT_LATER(!pcpuref_kill_and_confirm(&c->ref, counted_confirm));
		EXPECT_LATER(!pcpuref_resurrect(&c->ref));
	}
	EXPECT_LATER(confirmed(c) == 0);
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 100);
	KUNIT_EXPECT_EQ(test, released(c), 0);
	live_and_die(test, c, true);
}

/*
 * F12: kills and resurrects that meet the same switch, in any number: the last
 * one decides, and nothing is stuck.
 */
static void pcpuref_reinit_test_last_one_decides(struct kunit *test)
{
	static const unsigned int flags[] = { PCPUREF_ALLOW_REINIT, PCPUREF_INIT_ATOMIC };
	struct counted *c[ARRAY_SIZE(flags) * 8];
	int i, pairs;

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		c[i] = counted_new(test, flags[i / 8]);
		pcpuref_get(&c[i]->ref);
		preempt_disable();
		for (pairs = 1 << (i / 2 % 4); pairs; pairs--) {
			pcpuref_kill(&c[i]->ref);
			pcpuref_resurrect(&c[i]->ref);
		}
		if (i & 1)
			pcpuref_kill(&c[i]->ref);
		preempt_enable();
	}
	pcpuref_barrier();
	for (i = 0; i < ARRAY_SIZE(c); i++) {
		bool killed = i & 1;

		KUNIT_EXPECT_EQ(test, released(c[i]), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_is_dying(&c[i]->ref), killed);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c[i]->ref), killed ? 1 : 2);
		pcpuref_put(&c[i]->ref);
		KUNIT_EXPECT_EQ(test, released(c[i]), killed);
		if (killed)
			KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c[i]->ref), 0);
		live_and_die(test, c[i], flags[i / 8] == PCPUREF_ALLOW_REINIT);
		KUNIT_EXPECT_EQ(test, released(c[i]), killed + 1);
	}
}

static void revive_in_confirm(struct counted *c)
{
	c->on_confirm = NULL;
	c->result = !pcpuref_resurrect(&c->ref);
}

static void kill_in_confirm(struct counted *c)
{
	c->on_confirm = NULL;
	c->result = !pcpuref_resurrect(&c->ref);
	c->result += !pcpuref_kill_and_confirm(&c->ref, counted_confirm_b);
}

/* Confirm may undo the kill that it confirms. */
static void pcpuref_reinit_test_in_confirm(struct kunit *test)
{
	static const unsigned int flags[] = { PCPUREF_ALLOW_REINIT, PCPUREF_INIT_ATOMIC };
	int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct counted *c = counted_new(test, flags[i]);
		bool percpu = flags[i] == PCPUREF_ALLOW_REINIT;

		c->on_confirm = revive_in_confirm;
		pcpuref_kill_and_confirm(&c->ref, counted_confirm);
		pcpuref_barrier();
		KUNIT_EXPECT_EQ(test, c->result, 1);
		KUNIT_EXPECT_EQ(test, confirmed(c), 1);
		KUNIT_EXPECT_EQ(test, released(c), 0);
		live_and_die(test, c, percpu);

		/* And kill it again, with a confirmation of its own. */
		KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
		c->on_confirm = kill_in_confirm;
		pcpuref_kill_and_confirm(&c->ref, counted_confirm);
		pcpuref_barrier();
		KUNIT_EXPECT_EQ(test, c->result, 2);
		KUNIT_EXPECT_EQ(test, confirmed(c), 2);
		KUNIT_EXPECT_EQ(test, atomic_read(&c->confirmed[1]), 1);
		KUNIT_EXPECT_EQ(test, released(c), 2);
	}
}

/*
 * A dead reference comes back before its release has been called: each of the
 * two lives has its own.
 */
static void pcpuref_reinit_test_before_release(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_ATOMIC | PCPUREF_RELEASE_WORK);

	preempt_disable();
	EXPECT_LATER(!pcpuref_kill(&c->ref));
	EXPECT_LATER(pcpuref_is_zero(&c->ref));
	EXPECT_LATER(!pcpuref_reinit(&c->ref));
	EXPECT_LATER(!pcpuref_is_zero(&c->ref));
	EXPECT_LATER(!pcpuref_kill(&c->ref));
	EXPECT_LATER(pcpuref_is_zero(&c->ref));
	preempt_enable();
	/* Waits for the release of this life, not only of the one before. */
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 2);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 2);
}

static void pcpuref_reinit_test_many_lives(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	int i;

	for (i = 0; i < 30; i++) {
		pcpuref_get(&c->ref);
		if (i & 1)
			KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
		pcpuref_put(&c->ref);
		if (i & 2)
			KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), i + 1);
		KUNIT_EXPECT_EQ(test, i & 4 ? pcpuref_reinit(&c->ref) :
					    pcpuref_resurrect(&c->ref), 0);
		KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
		pcpuref_put(&c->ref);
	}
}

static struct kunit_case pcpuref_reinit_cases[] = {
	KUNIT_CASE(pcpuref_reinit_test_reinit),
	KUNIT_CASE(pcpuref_reinit_test_init_dead),
	KUNIT_CASE(pcpuref_reinit_test_counters_cleared),
	KUNIT_CASE(pcpuref_reinit_test_init_atomic),
	KUNIT_CASE(pcpuref_reinit_test_in_release),
	KUNIT_CASE(pcpuref_reinit_test_lives_in_release),
	KUNIT_CASE(pcpuref_reinit_test_in_flight),
	KUNIT_CASE(pcpuref_reinit_test_switch_while_dead),
	KUNIT_CASE(pcpuref_reinit_test_resurrect_held),
	KUNIT_CASE(pcpuref_reinit_test_resurrect_dead),
	KUNIT_CASE(pcpuref_reinit_test_resurrect_in_flight),
	KUNIT_CASE(pcpuref_reinit_test_confirm_not_lost),
	KUNIT_CASE(pcpuref_reinit_test_confirms_in_one_grace_period),
	KUNIT_CASE(pcpuref_reinit_test_same_confirm_many_times),
	KUNIT_CASE(pcpuref_reinit_test_last_one_decides),
	KUNIT_CASE(pcpuref_reinit_test_in_confirm),
	KUNIT_CASE(pcpuref_reinit_test_before_release),
	KUNIT_CASE(pcpuref_reinit_test_many_lives),
	PCPUREF_LAST_CASE,
	{}
};

static struct kunit_suite pcpuref_reinit_suite = {
	PCPUREF_SUITE("pcpuref_reinit", pcpuref_reinit_cases),
};

kunit_test_suite(pcpuref_reinit_suite);

MODULE_DESCRIPTION("KUnit tests of pcpuref: reinit and resurrect");
MODULE_LICENSE("GPL");
