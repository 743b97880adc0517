// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite pcpuref_misuse: what callers get wrong. Each test expects exactly
 * the reports that it announces, with the reference's name, its release function
 * and the caller; and what it counts leaks at worst: it is never released twice,
 * never released while it is held, and never comes back from the dead.
 */
#include <linux/ratelimit.h>

#include "pcpuref_kunit.h"

/* Released, and with nothing in flight. */
static struct counted *counted_dead(struct kunit *test, unsigned int flags)
{
	struct counted *c = counted_new(test, flags);

	KUNIT_ASSERT_EQ(test, counted_die(c), 0);
	KUNIT_ASSERT_EQ(test, released(c), 1);
	return c;
}

/* Killed, in atomic mode, and held by @held. */
static struct counted *counted_dying(struct kunit *test, unsigned int flags, int held)
{
	struct counted *c = counted_new(test, flags);

	pcpuref_get_many(&c->ref, held);
	KUNIT_ASSERT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
	KUNIT_ASSERT_EQ(test, pcpuref_read(&c->ref), held);
	return c;
}

static void expect_dead_for_good(struct kunit *test, struct counted *c, int releases)
{
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_many(&c->ref, 100));
	KUNIT_EXPECT_TRUE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, released(c), releases);
}

static void expect_leaked(struct kunit *test, struct counted *c, int releases)
{
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget(&c->ref));
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_many(&c->ref, 100));
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), LONG_MAX);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&c->ref), -ENOTRECOVERABLE);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait_timeout(&c->ref, 1), -ENOTRECOVERABLE);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), releases);
}

/* --- Puts without a reference (G6) ---------------------------------------- */

/*
 * L8: mainline says nothing of a put at zero in atomic mode, and lets tryget
 * succeed on the released object afterwards.
 */
static void pcpuref_misuse_test_put_at_zero(struct kunit *test)
{
	static const unsigned int flags[] = { 0, PCPUREF_ALLOW_REINIT, PCPUREF_INIT_ATOMIC };
	int i, j;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct counted *c = counted_dead(test, flags[i]);

		EXPECT_REPORT_COUNT(test, "put without a reference", 0);
		pcpuref_put(&c->ref);
		expect_dead_for_good(test, c, 1);
		/* The first one is enough to know. */
		for (j = 0; j < 100; j++)
			pcpuref_put(&c->ref);
		pcpuref_put_many(&c->ref, 1000000);
		expect_dead_for_good(test, c, 1);
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		/* What is known to be broken is given up without a word. */
		pcpuref_exit(&c->ref);
	}
}

/* More than are held, of a dying reference. */
static void pcpuref_misuse_test_put_too_many(struct kunit *test)
{
	struct counted *c = counted_dying(test, 0, 2);

	EXPECT_REPORT_COUNT(test, "put without a reference", 2);
	pcpuref_put_many(&c->ref, 3);
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
	expect_leaked(test, c, 0);
}

/* The initial reference of a live one, which only a kill drops. */
static void pcpuref_misuse_test_put_initial(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_ATOMIC);

	EXPECT_REPORT_COUNT(test, "put without a reference", 0);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, released(c), 0);
	KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
	pcpuref_put(&c->ref);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
	expect_leaked(test, c, 0);
}

/* In per-CPU mode nobody can see it until the counters are added up. */
static void pcpuref_misuse_test_put_percpu(struct kunit *test)
{
	static const unsigned int too_many[] = { 1, 2, 1000, 1000000 };
	int i, kill;

	for (i = 0; i < ARRAY_SIZE(too_many) * 2; i++) {
		struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);

		kill = i & 1;
		pcpuref_get(&c->ref);
		put_many_on(other_cpu(), &c->ref, too_many[i / 2] + 1);
		EXPECT_FOUND(test, "put without a reference", 1 - (long)too_many[i / 2],
			     kill ? FOUND_AT_KILL : FOUND_AT_SWITCH);
		if (kill)
			pcpuref_kill_and_confirm(&c->ref, counted_confirm);
		else
			pcpuref_switch_to_atomic(&c->ref, counted_confirm);
		pcpuref_barrier();
		/* What was promised comes all the same. */
		KUNIT_EXPECT_EQ(test, confirmed(c), 1);
		KUNIT_EXPECT_EQ(test, released(c), 0);
		expect_leaked(test, c, 0);
	}
}

/* The same by the calls that wait: they return. */
static void pcpuref_misuse_test_put_percpu_and_wait(struct kunit *test)
{
	struct counted *c;

	c = counted_new(test, 0);
	pcpuref_put(&c->ref);
	EXPECT_FOUND(test, "put without a reference", 0, FOUND_AT_KILL);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&c->ref), -ENOTRECOVERABLE);
	expect_leaked(test, c, 0);

	c = counted_new(test, 0);
	pcpuref_put(&c->ref);
	EXPECT_FOUND(test, "put without a reference", 0, FOUND_AT_KILL);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
	expect_leaked(test, c, 0);

	c = counted_new(test, 0);
	pcpuref_put(&c->ref);
	EXPECT_FOUND(test, "put without a reference", 0, FOUND_AT_SWITCH);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
	expect_leaked(test, c, 0);
}

static void __kill_and_wait(struct helper *h)
{
	helper_ready_to_sleep(h);
	h->result = pcpuref_kill_and_wait(&h->c->ref);
}

/* A helper that has killed @c, and waits for the release: one reference is out. */
static struct helper *kill_by_waiter(struct kunit *test, struct counted *c)
{
	struct helper *waiter;

	pcpuref_get(&c->ref);
	waiter = helper_start(test, __kill_and_wait, c, NULL);
	KUNIT_ASSERT_TRUE(test, helper_sleeps(waiter));
	KUNIT_ASSERT_TRUE(test, wait_until(pcpuref_read(&c->ref) == 1));
	/* By then it waits for the release. */
	schedule_timeout_uninterruptible(HZ / 20);
	return waiter;
}

/* Who waits for a release that cannot come any more is told. */
static void pcpuref_misuse_test_put_wakes_waiter(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);
	struct helper *waiter;

	waiter = kill_by_waiter(test, c);
	EXPECT_REPORT_COUNT(test, "put without a reference", 1);
	pcpuref_put_many(&c->ref, 2);
	KUNIT_EXPECT_TRUE(test, helper_wait(waiter));
	KUNIT_EXPECT_EQ(test, waiter->result, -ENOTRECOVERABLE);
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

/* Only an interrupt can wake him if it happens in an NMI. */
static void pcpuref_misuse_test_put_in_nmi(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);
	struct helper *waiter;
	unsigned long flags;

	waiter = kill_by_waiter(test, c);
	EXPECT_REPORT_COUNT(test, "put without a reference", 1);
	local_irq_save(flags);
	preempt_count_add(NMI_OFFSET + HARDIRQ_OFFSET);
	pcpuref_put_many(&c->ref, 2);
	preempt_count_sub(NMI_OFFSET + HARDIRQ_OFFSET);
	local_irq_restore(flags);
	KUNIT_EXPECT_TRUE(test, helper_wait(waiter));
	/* What an NMI prints may come a little later. */
	schedule_timeout_uninterruptible(HZ / 20);
	KUNIT_EXPECT_EQ(test, waiter->result, -ENOTRECOVERABLE);
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

/* A count that is stuck stays so, whatever is done to it. */
static void pcpuref_misuse_test_stuck_stays_stuck(struct kunit *test)
{
	static const unsigned long steps[] = { 1, 1000, 1UL << (BITS_PER_LONG - 6) };
	struct counted *leaked = counted_dying(test, PCPUREF_ALLOW_REINIT, 2);
	struct counted *dead = counted_dead(test, PCPUREF_ALLOW_REINIT);
	int i, j;

	EXPECT_REPORT(test, "put without a reference");
	pcpuref_put_many(&leaked->ref, 3);
	EXPECT_REPORT(test, "put without a reference");
	pcpuref_put(&dead->ref);
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		for (j = 0; j < 100; j++) {
			pcpuref_put_many(&leaked->ref, steps[i]);
			pcpuref_put_many(&dead->ref, steps[i]);
		}
		for (j = 0; j < 300; j++) {
			pcpuref_get_many(&leaked->ref, steps[i]);
			pcpuref_get_many(&dead->ref, steps[i]);
		}
	}
	expect_dead_for_good(test, dead, 1);
	expect_leaked(test, leaked, 0);
}

/* The machine goes on, so nobody hangs; release does not come. */
static void pcpuref_misuse_test_stuck_machine(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	int i;

	pcpuref_put(&c->ref);
	EXPECT_FOUND(test, "put without a reference", ANY_COUNT, FOUND_AT_SWITCH);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
	for (i = 0; i < 16; i++) {
		if (i & 1)
			KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
		KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
		KUNIT_EXPECT_EQ(test, pcpuref_kill_and_confirm(&c->ref, counted_confirm), 0);
		if (i & 2)
			pcpuref_put_many(&c->ref, 2);
		if (i & 4) {
			pcpuref_barrier();
			KUNIT_EXPECT_EQ(test, confirmed(c), i + 1);
			KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&c->ref), -ENOTRECOVERABLE);
		}
		if (i & 8)
			KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic(&c->ref, NULL), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
		pcpuref_barrier();
	}
	KUNIT_EXPECT_EQ(test, confirmed(c), 16);
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

/* One that stuck when it was dead lives again, and then never dies. */
static void pcpuref_misuse_test_reinit_of_stuck(struct kunit *test)
{
	struct counted *c = counted_dead(test, PCPUREF_ALLOW_REINIT);

	EXPECT_REPORT(test, "put without a reference");
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
	/* Not 0: the release that has returned was that of the life before. */
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&c->ref), -ENOTRECOVERABLE);
	expect_leaked(test, c, 1);
}

/* --- Gets that cannot be -------------------------------------------------- */

static void pcpuref_misuse_test_get_at_zero(struct kunit *test)
{
	static const unsigned int flags[] = { 0, PCPUREF_ALLOW_REINIT, PCPUREF_INIT_ATOMIC };
	int i, j;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct counted *c = counted_dead(test, flags[i]);

		EXPECT_REPORT_COUNT(test, "get on a released reference", 0);
		pcpuref_get(&c->ref);
		expect_dead_for_good(test, c, 1);
		/* A later put looks like the last one, and is not. */
		pcpuref_put(&c->ref);
		expect_dead_for_good(test, c, 1);
		for (j = 0; j < 100; j++)
			pcpuref_get_many(&c->ref, 1000000);
		expect_dead_for_good(test, c, 1);
	}
}

static void pcpuref_misuse_test_get_init_dead(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_DEAD);

	EXPECT_REPORT_COUNT(test, "get on a released reference", 0);
	pcpuref_get(&c->ref);
	pcpuref_put(&c->ref);
	expect_dead_for_good(test, c, 0);
}

static void pcpuref_misuse_test_overflow(struct kunit *test)
{
	int how;

	for (how = 0; how < 2; how++) {
		struct counted *c = counted_new(test, PCPUREF_INIT_ATOMIC);

		pcpuref_get_many(&c->ref, LONG_MAX - 1);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), LONG_MAX);
		EXPECT_REPORT_COUNT(test, "count overflow", LONG_MAX);
		if (how)
			KUNIT_EXPECT_TRUE(test, pcpuref_tryget(&c->ref));
		else
			pcpuref_get(&c->ref);
		pcpuref_put_many(&c->ref, LONG_MAX);
		KUNIT_EXPECT_EQ(test, released(c), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
		expect_leaked(test, c, 0);
	}
}

/* --- After exit, without init --------------------------------------------- */

static struct counted *counted_exited(struct kunit *test)
{
	struct counted *c = counted_dead(test, PCPUREF_ALLOW_REINIT);

	pcpuref_exit(&c->ref);
	return c;
}

#define EXPECT_GONE_REPORT(test, what)						\
	expect_report(test, "misuse: " what ": name=(none)", __func__)

static bool gone_get(struct counted *c)
{
	pcpuref_get(&c->ref);
	return true;
}

static bool gone_put(struct counted *c)
{
	pcpuref_put(&c->ref);
	return true;
}

static bool gone_kill(struct counted *c)
{
	return pcpuref_kill_and_confirm(&c->ref, counted_confirm) == -EINVAL;
}

static bool gone_kill_sync(struct counted *c)
{
	return pcpuref_kill_sync(&c->ref) == -EINVAL;
}

static bool gone_kill_and_wait(struct counted *c)
{
	return pcpuref_kill_and_wait(&c->ref) == -EINVAL;
}

static bool gone_kill_and_wait_timeout(struct counted *c)
{
	return pcpuref_kill_and_wait_timeout(&c->ref, 1) == -EINVAL;
}

static bool gone_reinit(struct counted *c)
{
	return pcpuref_reinit(&c->ref) == -EINVAL;
}

static bool gone_resurrect(struct counted *c)
{
	return pcpuref_resurrect(&c->ref) == -EINVAL;
}

static bool gone_to_atomic(struct counted *c)
{
	return pcpuref_switch_to_atomic(&c->ref, counted_confirm) == -EINVAL;
}

static bool gone_to_atomic_sync(struct counted *c)
{
	return pcpuref_switch_to_atomic_sync(&c->ref) == -EINVAL;
}

static bool gone_to_percpu(struct counted *c)
{
	return pcpuref_switch_to_percpu(&c->ref) == -EINVAL;
}

struct gone_use {
	const char	*name;
	bool		(*use)(struct counted *c);
};

#define GONE(what)	{ #what, what }

static const struct gone_use gone_uses[] = {
	GONE(gone_get),
	GONE(gone_put),
	GONE(gone_kill),
	GONE(gone_kill_sync),
	GONE(gone_kill_and_wait),
	GONE(gone_kill_and_wait_timeout),
	GONE(gone_reinit),
	GONE(gone_resurrect),
	GONE(gone_to_atomic),
	GONE(gone_to_atomic_sync),
	GONE(gone_to_percpu),
};

static void gone_use_name(const struct gone_use *use, char *name)
{
	strscpy(name, use->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(pcpuref_misuse_gone, gone_uses, gone_use_name);

static void pcpuref_misuse_test_use_after_exit(struct kunit *test)
{
	const struct gone_use *use = test->param_value;
	struct counted *c = counted_exited(test);
	int i;

	expect_report(test, "misuse: use after exit: name=(none) release=counted_release",
		      use->name);
	/* Reported once. */
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_TRUE(test, use->use(c));
	for (i = 0; i < ARRAY_SIZE(gone_uses); i++)
		KUNIT_EXPECT_TRUE(test, gone_uses[i].use(c));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
	KUNIT_EXPECT_TRUE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_EQ(test, confirmed(c), 0);

	/* It can be used again for something new, and is watched again. */
	KUNIT_ASSERT_EQ(test, counted_init(c, 0), 0);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 2);
	pcpuref_exit(&c->ref);
	expect_report(test, "misuse: use after exit: name=(none) release=counted_release",
		      use->name);
	KUNIT_EXPECT_TRUE(test, use->use(c));
}

/* Of zeroed memory, and of what a failed init has left. */
static void pcpuref_misuse_test_use_without_init(struct kunit *test)
{
	const struct gone_use *use = test->param_value;
	struct counted *c = counted_alloc(test);
	int i;

	/* A get or put of zeroed memory cannot be told from a good one. */
	if (use->use != gone_get && use->use != gone_put) {
		expect_report(test, "misuse: use without init: name=(none)", use->name);
		KUNIT_EXPECT_TRUE(test, use->use(c));
		/* From now on all of them can. */
		for (i = 0; i < ARRAY_SIZE(gone_uses); i++)
			KUNIT_EXPECT_TRUE(test, gone_uses[i].use(c));
		KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
	}

	KUNIT_EXPECT_EQ(test, counted_init(c, BIT(20)), -EINVAL);
	expect_report(test, "misuse: use without init: name=(none) release=counted_release",
		      use->name);
	KUNIT_EXPECT_TRUE(test, use->use(c));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
	pcpuref_exit(&c->ref);
	KUNIT_EXPECT_EQ(test, atomic_read(&suite.notices), 0);
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

/*
 * An object that was copied to another place, as krealloc() does. There is no
 * place of its own to remember the report in: it comes once while the core is
 * loaded.
 */
static void pcpuref_misuse_test_moved(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);
	struct counted *copy = counted_alloc(test);
	unsigned long word = c->ref.word;

	copy->ref = c->ref;
	EXPECT_GONE_REPORT(test, "use of a reference that was moved, or races with exit and init");
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&copy->ref), -EINVAL);
	KUNIT_EXPECT_EQ(test, copy->ref.word, word);
	EXPECT_GONE_REPORT(test, "use of a reference that was moved, or races with exit and init");
	pcpuref_exit(&copy->ref);
	KUNIT_EXPECT_EQ(test, copy->ref.word, word);
	memset(&copy->ref, 0, sizeof(copy->ref));
	/* Nothing has happened to the original. */
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* --- Requests that do not fit the state ----------------------------------- */

static void pcpuref_misuse_test_kill_twice(struct kunit *test)
{
	struct counted *c = counted_dying(test, 0, 1);

	EXPECT_REPORT_COUNT(test, "kill of a dying reference", 1);
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), -EINVAL);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_confirm(&c->ref, counted_confirm), -EINVAL);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), -EINVAL);
	expect_dead_for_good(test, c, 1);
	check_reports(test);
}

/* While the first one's switch is in flight. */
static void pcpuref_misuse_test_kill_twice_in_flight(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	EXPECT_REPORT_COUNT(test, "kill of a dying reference", 1);
	preempt_disable();
	EXPECT_LATER(!pcpuref_kill_and_confirm(&c->ref, counted_confirm));
	EXPECT_LATER(pcpuref_kill_and_confirm(&c->ref, counted_confirm) == -EINVAL);
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 1);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

static void pcpuref_misuse_test_kill_init_dead(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_DEAD);

	EXPECT_REPORT_COUNT(test, "kill of a dying reference", 0);
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), -EINVAL);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

static void pcpuref_misuse_test_reinit_live(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);

	pcpuref_get(&c->ref);
	EXPECT_REPORT_COUNT(test, "reinit of a live reference", 2);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), -EINVAL);
	EXPECT_REPORT_COUNT(test, "resurrect of a live reference", 2);
	KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), -EINVAL);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), -EINVAL);
	KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), -EINVAL);
	KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

static void pcpuref_misuse_test_reinit_nonzero(struct kunit *test)
{
	struct counted *c = counted_dying(test, PCPUREF_ALLOW_REINIT, 2);

	EXPECT_REPORT_COUNT(test, "reinit of a non-zero reference", 2);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), -EBUSY);
	KUNIT_EXPECT_TRUE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
	pcpuref_put_many(&c->ref, 2);
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
}

/* The kill's switch is in flight: not zero yet. */
static void pcpuref_misuse_test_reinit_in_flight(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);

	EXPECT_REPORT_COUNT(test, "reinit of a non-zero reference", 1);
	preempt_disable();
	EXPECT_LATER(!pcpuref_kill(&c->ref));
	EXPECT_LATER(pcpuref_reinit(&c->ref) == -EBUSY);
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
}

/* Without ALLOW_REINIT the new life is spent in atomic mode. */
static void pcpuref_misuse_test_not_allowed(struct kunit *test)
{
	struct counted *c;

	c = counted_dead(test, 0);
	EXPECT_REPORT_COUNT(test, "back to per-CPU mode without ALLOW_REINIT", 0);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 2);

	c = counted_dying(test, 0, 1);
	EXPECT_REPORT_COUNT(test, "back to per-CPU mode without ALLOW_REINIT", 1);
	KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
	KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
	pcpuref_put_many(&c->ref, 2);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);

	c = counted_new_atomic(test, 0);
	EXPECT_REPORT_COUNT(test, "back to per-CPU mode without ALLOW_REINIT", 1);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), -EINVAL);
	KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);

	/* One that is in per-CPU mode need not go there, but may not ask. */
	c = counted_new(test, 0);
	EXPECT_REPORT_COUNT(test, "back to per-CPU mode without ALLOW_REINIT", 1);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), -EINVAL);
	KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
}

/* Resurrected in flight, where the counters still are. */
static void pcpuref_misuse_test_not_allowed_in_flight(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	pcpuref_get(&c->ref);
	EXPECT_REPORT_COUNT(test, "back to per-CPU mode without ALLOW_REINIT", 2);
	preempt_disable();
	EXPECT_LATER(!pcpuref_kill(&c->ref));
	EXPECT_LATER(!pcpuref_resurrect(&c->ref));
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 3);
	pcpuref_put_many(&c->ref, 2);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

static void pcpuref_misuse_test_too_many_confirms(struct kunit *test)
{
	static const int calls[] = { 1, 2, 1, 0 };
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	int i;

	EXPECT_REPORT_COUNT(test, "too many different confirm callbacks", 1);
	preempt_disable();
	EXPECT_LATER(!pcpuref_switch_to_atomic(&c->ref, counted_confirm));
	EXPECT_LATER(!pcpuref_switch_to_atomic(&c->ref, counted_confirm_b));
	EXPECT_LATER(!pcpuref_switch_to_atomic(&c->ref, counted_confirm_c));
	EXPECT_LATER(pcpuref_switch_to_atomic(&c->ref, counted_confirm_d) == -EBUSY);
	/* Refused as a whole: it lives. */
	EXPECT_LATER(pcpuref_kill_and_confirm(&c->ref, counted_confirm_d) == -EBUSY);
	EXPECT_LATER(!pcpuref_is_dying(&c->ref));
	/* There is room for one that is waiting already. */
	EXPECT_LATER(!pcpuref_kill_and_confirm(&c->ref, counted_confirm_b));
	preempt_enable();
	pcpuref_barrier();
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, atomic_read(&c->confirmed[i]), calls[i]);
	KUNIT_EXPECT_EQ(test, released(c), 1);
	/* And again for any, when they have been called. */
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic(&c->ref, counted_confirm_d), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, atomic_read(&c->confirmed[3]), 1);
}

/* --- Exit ----------------------------------------------------------------- */

/* Harmless, and worth a line. */
static void pcpuref_misuse_test_exit_twice(struct kunit *test)
{
	struct counted *c = counted_exited(test);

	pcpuref_exit(&c->ref);
#ifdef CONFIG_TRACEPOINTS
	/* Suites that share a core can have used up what the limit of such lines lets through. */
	kunit_log_show();
	if (!atomic_read(&suite.notices)) {
		msleep(jiffies_to_msecs(DEFAULT_RATELIMIT_INTERVAL) + 100);
		pcpuref_exit(&c->ref);
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&suite.notices), 1);
#endif
	pcpuref_cancel_init(&c->ref);
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_ASSERT_EQ(test, counted_init(c, 0), 0);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 2);
}

/*
 * G7; U5: mainline says nothing. L6: and crashes when exit comes again. The
 * holders find a reference that has exited, not freed memory.
 */
static void pcpuref_misuse_test_exit_held(struct kunit *test)
{
	struct counted *all[4];
	int i;

	all[0] = counted_new(test, 0);
	all[1] = counted_new(test, PCPUREF_INIT_ATOMIC);
	all[2] = counted_new(test, PCPUREF_ALLOW_REINIT);
	all[3] = counted_new(test, PCPUREF_INIT_ATOMIC);
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		struct counted *c = all[i];

		pcpuref_get_many(&c->ref, 3);
		if (i & 2)
			KUNIT_EXPECT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
		pcpuref_barrier();
		EXPECT_REPORT_COUNT(test, "exit with references out", i & 2 ? 3 : 4);
		pcpuref_exit(&c->ref);
		KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
		KUNIT_EXPECT_TRUE(test, pcpuref_is_dying(&c->ref));
		KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
		pcpuref_exit(&c->ref);
		pcpuref_exit(&c->ref);
		pcpuref_barrier();
		EXPECT_GONE_REPORT(test, "use after exit");
		pcpuref_put_many(&c->ref, 3);
		KUNIT_EXPECT_EQ(test, released(c), 0);
		KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
	}
}

/*
 * L7: mainline keeps the count at exit in a word whose low bits it needs, so
 * that the top ones are lost and such a count reads as zero.
 */
static void pcpuref_misuse_test_is_zero_after_exit(struct kunit *test)
{
	static const unsigned long counts[] = {
		1, 1UL << (BITS_PER_LONG - 3), 1UL << (BITS_PER_LONG - 2),
		3UL << (BITS_PER_LONG - 3),
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		struct counted *c = counted_new(test, PCPUREF_INIT_ATOMIC);

		pcpuref_get_many(&c->ref, counts[i]);
		KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
		KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
		EXPECT_REPORT_COUNT(test, "exit with references out", counts[i]);
		pcpuref_exit(&c->ref);
		KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
	}
}

/*
 * G5, F11: exit with a switch in flight. What was promised is dropped, and the
 * memory may go at once: nothing of what is still on its way looks at it.
 */
static void pcpuref_misuse_test_exit_during_switch(struct kunit *test)
{
	int i;

	for (i = 0; i < 4; i++) {
		struct counted *c = counted_new(test, i & 1 ? PCPUREF_ALLOW_REINIT : 0);

		EXPECT_REPORT_COUNT(test, "exit during a switch", 1);
		preempt_disable();
		if (i & 2)
			pcpuref_kill_and_confirm(&c->ref, counted_confirm);
		else
			pcpuref_switch_to_atomic(&c->ref, counted_confirm);
		pcpuref_exit(&c->ref);
		EXPECT_LATER(!pcpuref_tryget(&c->ref));
		memset(&c->ref, 0x6b, sizeof(c->ref));
		preempt_enable();
		pcpuref_barrier();
		KUNIT_EXPECT_EQ(test, confirmed(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), 0);
		memset(&c->ref, 0, sizeof(c->ref));
	}
}

/* F11: the same with memory that is used for the next one at once. */
static void pcpuref_misuse_test_exit_and_init_during_switch(struct kunit *test)
{
	struct counted *c = counted_alloc(test);
	int i;

	preempt_disable();
	for (i = 0; i < 5; i++) {
		EXPECT_REPORT_COUNT(test, "exit during a switch", 1);
		if (pcpuref_init_named(&c->ref, counted_release, 0, GFP_ATOMIC, "counted"))
			break;
		pcpuref_kill_and_confirm(&c->ref, counted_confirm);
		pcpuref_exit(&c->ref);
	}
	preempt_enable();
	KUNIT_ASSERT_EQ(test, i, 5);
	KUNIT_ASSERT_EQ(test, counted_init(c, 0), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

static void exit_in_confirm(struct counted *c)
{
	pcpuref_exit(&c->ref);
	memset(&c->ref, 0x6b, sizeof(c->ref));
}

static void __switch_sync(struct helper *h)
{
	helper_ready_to_sleep(h);
	h->result = pcpuref_switch_to_atomic_sync(&h->c->ref);
}

/*
 * L9: mainline's switch_to_atomic_sync reads what exit has freed. Here exit
 * comes from confirm, while others wait for that very switch.
 */
static void pcpuref_misuse_test_exit_under_sync(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);
	struct helper *waiter[3];
	int i;

	c->on_confirm = exit_in_confirm;
	EXPECT_REPORT_BY(test, "exit during a switch", 1, "exit_in_confirm");
	if (num_online_cpus() > 1) {
		struct helper *reader = hold_grace_period(test);

		pcpuref_switch_to_atomic(&c->ref, counted_confirm);
		for (i = 0; i < ARRAY_SIZE(waiter); i++) {
			waiter[i] = helper_start(test, __switch_sync, c, NULL);
			KUNIT_ASSERT_TRUE(test, helper_sleeps(waiter[i]));
		}
		KUNIT_EXPECT_TRUE(test, let_grace_period_go(reader));
		for (i = 0; i < ARRAY_SIZE(waiter); i++) {
			KUNIT_EXPECT_TRUE(test, helper_wait(waiter[i]));
			KUNIT_EXPECT_EQ(test, waiter[i]->result, -ECANCELED);
		}
	} else {
		pcpuref_switch_to_atomic(&c->ref, counted_confirm);
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), -ECANCELED);
	}
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 1);
	KUNIT_EXPECT_EQ(test, released(c), 0);
	memset(&c->ref, 0, sizeof(c->ref));
}

static DECLARE_COMPLETION(revived);
static DECLARE_COMPLETION(linger);

static void revive_and_linger(struct counted *c)
{
	c->result = !pcpuref_reinit(&c->ref);
	complete(&revived);
	wait_for_completion_timeout(&linger, PATIENCE);
	atomic_inc(&c->returned);
}

/*
 * It has come to zero, but nobody has told the user yet: the release of the life
 * before has not returned, and the next one waits for it.
 */
static void pcpuref_misuse_test_exit_before_release(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_ATOMIC | PCPUREF_RELEASE_WORK);

	reinit_completion(&revived);
	reinit_completion(&linger);
	c->on_release = revive_and_linger;
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	KUNIT_ASSERT_TRUE(test, wait_for_completion_timeout(&revived, PATIENCE));
	KUNIT_EXPECT_TRUE(test, c->result);
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	EXPECT_REPORT_COUNT(test, "exit before release was called", 0);
	pcpuref_exit(&c->ref);
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	memset(&c->ref, 0x6b, sizeof(c->ref));
	complete(&linger);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&c->returned), 1);
	memset(&c->ref, 0, sizeof(c->ref));
}

/* Who waits for a release that will not come is told. */
static void pcpuref_misuse_test_exit_under_waiter(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);
	struct helper *waiter;

	waiter = kill_by_waiter(test, c);
	EXPECT_REPORT_COUNT(test, "exit with references out", 1);
	pcpuref_exit(&c->ref);
	memset(&c->ref, 0x6b, sizeof(c->ref));
	KUNIT_EXPECT_TRUE(test, helper_wait(waiter));
	KUNIT_EXPECT_EQ(test, waiter->result, -ECANCELED);
	KUNIT_EXPECT_EQ(test, released(c), 0);
	memset(&c->ref, 0, sizeof(c->ref));
}

static void pcpuref_misuse_test_cancel_used(struct kunit *test)
{
	struct counted *c;

	c = counted_new(test, 0);
	pcpuref_get(&c->ref);
	EXPECT_REPORT_COUNT(test, "cancel_init of a used reference", 2);
	pcpuref_cancel_init(&c->ref);
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));

	c = counted_new(test, PCPUREF_INIT_ATOMIC);
	pcpuref_get(&c->ref);
	EXPECT_REPORT_COUNT(test, "cancel_init of a used reference", 2);
	pcpuref_cancel_init(&c->ref);

	c = counted_new(test, PCPUREF_INIT_ATOMIC);
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	EXPECT_REPORT_COUNT(test, "cancel_init of a used reference", 0);
	pcpuref_cancel_init(&c->ref);
	KUNIT_EXPECT_EQ(test, released(c), 1);

	c = counted_new_atomic(test, PCPUREF_ALLOW_REINIT);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
	EXPECT_REPORT_COUNT(test, "cancel_init of a used reference", 1);
	pcpuref_cancel_init(&c->ref);

	c = counted_dead(test, PCPUREF_ALLOW_REINIT);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	EXPECT_REPORT_COUNT(test, "cancel_init of a used reference", 1);
	pcpuref_cancel_init(&c->ref);

	c = counted_new(test, 0);
	preempt_disable();
	pcpuref_switch_to_atomic(&c->ref, counted_confirm);
	EXPECT_REPORT_COUNT(test, "cancel_init of a used reference", 1);
	pcpuref_cancel_init(&c->ref);
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

/* What one CPU got and another one put adds up to nothing, but was use. */
static void pcpuref_misuse_test_cancel_used_across_cpus(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	if (num_online_cpus() == 1)
		kunit_skip(test, "needs two CPUs");

	get_many_on(cpumask_first(cpu_online_mask), &c->ref, 1);
	put_many_on(cpumask_last(cpu_online_mask), &c->ref, 1);
	EXPECT_REPORT_COUNT(test, "cancel_init of a used reference", 1);
	pcpuref_cancel_init(&c->ref);
	/* Also keeps the compiler from a tail call, which would hide the caller. */
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

/* --- The reports themselves ----------------------------------------------- */

static struct pcpuref a_reference;

/* The name is the expression that the reference was initialised by. */
static void pcpuref_misuse_test_name(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, pcpuref_init(&a_reference, counted_release, 0, GFP_KERNEL), 0);
	expect_report(test, "misuse: reinit of a live reference: name=&a_reference",
		      __func__);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&a_reference), -EINVAL);
	pcpuref_exit(&a_reference);
}

/* One report of each kind, whatever others there were before. */
static void pcpuref_misuse_test_each_kind_once(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);
	int i;

	EXPECT_REPORT(test, "reinit of a live reference");
	EXPECT_REPORT(test, "resurrect of a live reference");
	EXPECT_REPORT(test, "back to per-CPU mode without ALLOW_REINIT");
	EXPECT_REPORT(test, "kill of a dying reference");
	EXPECT_REPORT(test, "reinit of a non-zero reference");
	EXPECT_REPORT(test, "put without a reference");
	for (i = 0; i < 3; i++) {
		pcpuref_reinit(&c->ref);
		pcpuref_resurrect(&c->ref);
		pcpuref_switch_to_percpu(&c->ref);
	}
	pcpuref_get(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
	for (i = 0; i < 3; i++) {
		pcpuref_kill(&c->ref);
		pcpuref_reinit(&c->ref);
	}
	pcpuref_barrier();
	for (i = 0; i < 3; i++)
		pcpuref_put_many(&c->ref, 2);
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

static void get_released(struct helper *h)
{
	while (helper_goes_on(h)) {
		pcpuref_get(&h->c->ref);
		h->wrong += pcpuref_tryget(&h->c->ref);
		h->wrong += pcpuref_tryget_live(&h->c->ref);
		if (h->index & 1)
			pcpuref_put(&h->c->ref);
	}
}

/* However many are in the wrong at a time: one report, and it stays dead. */
static void pcpuref_misuse_test_report_once(struct kunit *test)
{
	struct counted *c = counted_dead(test, PCPUREF_ALLOW_REINIT);
	struct helper *h[4];
	int i, n = nr_storm_helpers();

	/* A put may be the first one, but only after a get. */
	EXPECT_REPORT_BY(test, "get on a released reference", ANY_COUNT, "get_released");
	for (i = 0; i < n; i++)
		h[i] = helper_start(test, get_released, c, NULL);
	schedule_timeout_uninterruptible(STORM);
	KUNIT_EXPECT_TRUE(test, wait_until(READ_ONCE(h[0]->rounds) > 1));
	for (i = 0; i < n; i++) {
		KUNIT_EXPECT_TRUE(test, helper_stop(h[i]));
		KUNIT_EXPECT_EQ(test, h[i]->wrong, 0);
	}
	expect_dead_for_good(test, c, 1);
}

static noinline void put_from_here(struct counted *c)
{
	pcpuref_put(&c->ref);
	barrier();
}

/* The same fault of many objects is one report, until somebody asks to hear it again. */
static void pcpuref_misuse_test_one_report_for_a_place(struct kunit *test)
{
	int round, i;

	for (round = 0; round < 2; round++) {
		EXPECT_REPORT_BY(test, "put without a reference", 0, "put_from_here");
		for (i = 0; i < 30; i++)
			put_from_here(counted_dead(test, 0));
		check_reports(test);
	}
	/* Another kind and another place are heard beside it. */
	EXPECT_REPORT_COUNT(test, "kill of a dying reference", 0);
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&counted_dead(test, 0)->ref), -EINVAL);
}

/* Also of copies of a reference, which have no bits of their own. */
static void pcpuref_misuse_test_moved_again(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);
	struct pcpuref copy = c->ref;
	int i;

	for (i = 0; i < 2; i++) {
		expect_report(test, "misuse: use of a reference that was moved", __func__);
		KUNIT_EXPECT_EQ(test, pcpuref_kill(&copy), -EINVAL);
		check_reports(test);
	}
}

/* What has made a count stick is remembered: which misuse, where and when. */
static void pcpuref_misuse_test_cause_is_remembered(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_ATOMIC);
	struct pcpuref_info info;
	char name[64];

	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	KUNIT_EXPECT_EQ(test, info.stuck_at, 0);
	EXPECT_REPORT_BY(test, "put without a reference", 0, "put_from_here");
	put_from_here(c);
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	KUNIT_EXPECT_EQ(test, info.state, PCPUREF_STATE_STUCK);
	KUNIT_EXPECT_NE(test, info.stuck_at, 0);
	KUNIT_EXPECT_LE(test, info.stuck_at, ktime_get_mono_fast_ns());
	KUNIT_EXPECT_EQ(test, info.stuck_misuse, PCPUREF_EXCESS_PUT);
	snprintf(name, sizeof(name), "%ps", (void *)info.stuck_by);
	KUNIT_EXPECT_TRUE(test, str_has_prefix(name, "put_from_here"));
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	expect_leaked(test, c, 0);
}

#define EACH_USE(test)	KUNIT_CASE_PARAM(test, pcpuref_misuse_gone_gen_params)

static struct kunit_case pcpuref_misuse_cases[] = {
	KUNIT_CASE(pcpuref_misuse_test_put_at_zero),
	KUNIT_CASE(pcpuref_misuse_test_put_too_many),
	KUNIT_CASE(pcpuref_misuse_test_put_initial),
	KUNIT_CASE(pcpuref_misuse_test_put_percpu),
	KUNIT_CASE(pcpuref_misuse_test_put_percpu_and_wait),
	KUNIT_CASE(pcpuref_misuse_test_put_wakes_waiter),
	KUNIT_CASE(pcpuref_misuse_test_put_in_nmi),
	KUNIT_CASE(pcpuref_misuse_test_stuck_stays_stuck),
	KUNIT_CASE(pcpuref_misuse_test_stuck_machine),
	KUNIT_CASE(pcpuref_misuse_test_reinit_of_stuck),
	KUNIT_CASE(pcpuref_misuse_test_get_at_zero),
	KUNIT_CASE(pcpuref_misuse_test_get_init_dead),
	KUNIT_CASE(pcpuref_misuse_test_overflow),
	EACH_USE(pcpuref_misuse_test_use_after_exit),
	EACH_USE(pcpuref_misuse_test_use_without_init),
	KUNIT_CASE(pcpuref_misuse_test_moved),
	KUNIT_CASE(pcpuref_misuse_test_kill_twice),
	KUNIT_CASE(pcpuref_misuse_test_kill_twice_in_flight),
	KUNIT_CASE(pcpuref_misuse_test_kill_init_dead),
	KUNIT_CASE(pcpuref_misuse_test_reinit_live),
	KUNIT_CASE(pcpuref_misuse_test_reinit_nonzero),
	KUNIT_CASE(pcpuref_misuse_test_reinit_in_flight),
	KUNIT_CASE(pcpuref_misuse_test_not_allowed),
	KUNIT_CASE(pcpuref_misuse_test_not_allowed_in_flight),
	KUNIT_CASE(pcpuref_misuse_test_too_many_confirms),
	KUNIT_CASE(pcpuref_misuse_test_exit_twice),
	KUNIT_CASE(pcpuref_misuse_test_exit_held),
	KUNIT_CASE(pcpuref_misuse_test_is_zero_after_exit),
	KUNIT_CASE(pcpuref_misuse_test_exit_during_switch),
	KUNIT_CASE(pcpuref_misuse_test_exit_and_init_during_switch),
	KUNIT_CASE(pcpuref_misuse_test_exit_under_sync),
	KUNIT_CASE(pcpuref_misuse_test_exit_before_release),
	KUNIT_CASE(pcpuref_misuse_test_exit_under_waiter),
	KUNIT_CASE(pcpuref_misuse_test_cancel_used),
	KUNIT_CASE(pcpuref_misuse_test_cancel_used_across_cpus),
	KUNIT_CASE(pcpuref_misuse_test_name),
	KUNIT_CASE(pcpuref_misuse_test_each_kind_once),
	KUNIT_CASE(pcpuref_misuse_test_report_once),
	KUNIT_CASE(pcpuref_misuse_test_one_report_for_a_place),
	KUNIT_CASE(pcpuref_misuse_test_moved_again),
	KUNIT_CASE(pcpuref_misuse_test_cause_is_remembered),
	PCPUREF_LAST_CASE,
	{}
};

static struct kunit_suite pcpuref_misuse_suite = {
#ifdef PCPUREF_INLINE_ATOMIC
	PCPUREF_SUITE("pcpuref_inline_misuse", pcpuref_misuse_cases),
#else
	PCPUREF_SUITE("pcpuref_misuse", pcpuref_misuse_cases),
#endif
};

kunit_test_suite(pcpuref_misuse_suite);

MODULE_DESCRIPTION("KUnit tests of pcpuref: misuse");
MODULE_LICENSE("GPL");
