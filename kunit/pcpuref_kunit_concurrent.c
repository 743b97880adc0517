// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite pcpuref_concurrent: several threads at one reference, and one
 * thread at many. Helper threads only record what they see; the test thread
 * asserts.
 *
 * G12, L11: with KCSAN in the kernel these are also what it has to look at; it
 * reports plain accesses that race, which no assertion could.
 */
#include <linux/rcupdate.h>
#include <linux/timer.h>

#include "pcpuref_kunit.h"

/* What was done before it is seen by who sees the number. */
static void publish(unsigned int *where, unsigned int number)
{
	/* Pairs with observe(). */
	smp_store_release(where, number);
}

static unsigned int observe(unsigned int *where)
{
	/* Pairs with publish(). */
	return smp_load_acquire(where);
}

/* --- Gets and puts against a death ---------------------------------------- */

/*
 * Take it, use it, put it, until it cannot be taken any more. While it is held
 * there must be no release.
 */
static void use_while_live(struct helper *h)
{
	struct counted *c = h->c;

	complete(&h->ready);
	while (helper_goes_on(h)) {
		/* Who goes on with tryget when it is dying may keep it alive. */
		if (h->index & 1 ? pcpuref_is_dying(&c->ref) || !pcpuref_tryget(&c->ref) :
				   !pcpuref_tryget_live(&c->ref))
			break;
		helper_hit(h);
		h->wrong += released(c);
		pcpuref_get_many(&c->ref, 2);
		pcpuref_put(&c->ref);
		h->wrong += released(c);
		pcpuref_put_many(&c->ref, 2);
	}
}

struct storm {
	const char	*name;
	unsigned int	flags;
	bool		confirm;
};

static const struct storm storms[] = {
	{ "percpu", 0, false },
	{ "percpu, confirmed", 0, true },
	{ "INIT_ATOMIC", PCPUREF_INIT_ATOMIC, false },
	{ "INIT_ATOMIC, confirmed", PCPUREF_INIT_ATOMIC, true },
	{ "work", PCPUREF_RELEASE_WORK, false },
};

static void storm_name(const struct storm *storm, char *name)
{
	strscpy(name, storm->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(pcpuref_concurrent_storm, storms, storm_name);

/* G1, G3: one release for each life, when nobody holds it any more. */
static void pcpuref_concurrent_test_get_put_kill(struct kunit *test)
{
	const struct storm *storm = test->param_value;
	unsigned long end = jiffies + STORM, hits = 0;
	int i, n = nr_storm_helpers();
	struct helper *h[4];

	do {
		struct counted *c = counted_new(test, storm->flags);

		for (i = 0; i < n; i++)
			h[i] = helper_start(test, use_while_live, c, NULL);
		for (i = 0; i < n; i++)
			wait_for_completion_timeout(&h[i]->ready, PATIENCE);
		cond_resched();
		if (storm->confirm)
			KUNIT_EXPECT_EQ(test, 0,
					pcpuref_kill_and_confirm(&c->ref, counted_confirm));
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), 1);
		KUNIT_EXPECT_EQ(test, atomic_read(&c->returned), 1);
		KUNIT_EXPECT_EQ(test, confirmed(c), storm->confirm);
		KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
		for (i = 0; i < n; i++) {
			/* It ends by itself, as nothing can be taken any more. */
			KUNIT_EXPECT_TRUE(test, helper_wait(h[i]));
			KUNIT_EXPECT_EQ(test, h[i]->wrong, 0);
			hits += h[i]->hits;
		}
		KUNIT_EXPECT_EQ(test, released(c), 1);
		helpers_reap();
		pcpuref_exit(&c->ref);
	} while (storm_goes_on(end, hits));
	KUNIT_EXPECT_GT(test, hits, 0);
}

static void put_on_signal(struct helper *h)
{
	complete(&h->ready);
	while (!READ_ONCE(*(bool *)h->arg) && helper_goes_on(h))
		cpu_relax();
	pcpuref_put(&h->c->ref);
}

/* All holders of a dying reference put at once: one of them releases. */
static void pcpuref_concurrent_test_last_put(struct kunit *test)
{
	int i, round, n = nr_storm_helpers();
	struct helper *h[4];
	bool signal;

	for (round = 0; round < 10; round++) {
		struct counted *c = counted_new(test, 0);

		signal = false;
		pcpuref_get_many(&c->ref, n);
		KUNIT_ASSERT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
		for (i = 0; i < n; i++)
			h[i] = helper_start(test, put_on_signal, c, &signal);
		for (i = 0; i < n; i++)
			wait_for_completion_timeout(&h[i]->ready, PATIENCE);
		KUNIT_EXPECT_EQ(test, released(c), 0);
		WRITE_ONCE(signal, true);
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		for (i = 0; i < n; i++)
			KUNIT_EXPECT_TRUE(test, helper_wait(h[i]));
		KUNIT_EXPECT_EQ(test, released(c), 1);
		helpers_reap();
		pcpuref_exit(&c->ref);
	}
}

/* --- Lookups against confirmations (G2) ----------------------------------- */

/*
 * In one section without preemption: a lookup, and the number of confirmations
 * before and after. If the lookup has succeeded then there was no kill before
 * it, and a confirmation that comes in here came without a grace period; nor can
 * a lookup succeed that has begun after it.
 */
static void look_up_against_confirm(struct helper *h)
{
	struct counted *c = h->c;
	int before, between, after;
	unsigned int life;
	bool taken;

	complete(&h->ready);
	while (helper_goes_on(h)) {
		preempt_disable();
		life = observe(h->arg);
		before = atomic_read_acquire(&c->confirmed[0]);
		taken = pcpuref_tryget_live(&c->ref);
		/* Pairs with the stores before a revival, and in it. */
		smp_rmb();
		between = atomic_read_acquire(&c->confirmed[0]);
		if (!(h->rounds & 7))
			udelay(1 + (h->rounds >> 3) % 20);
		after = atomic_read_acquire(&c->confirmed[0]);
		/* @before of confirmed lives, and still in the same one? */
		if (taken && before == life + 1 && READ_ONCE(*(unsigned int *)h->arg) == life)
			h->wrong++;
		if (taken && between != after)
			h->wrong++;
		preempt_enable();
		if (taken) {
			helper_hit(h);
			pcpuref_put(&c->ref);
		}
	}
}

static void confirm_against_lookups(struct kunit *test, unsigned int flags)
{
	struct counted *c = counted_new(test, flags);
	unsigned long end = jiffies + 2 * STORM;
	int i, n = nr_storm_helpers();
	struct helper *h[4];
	unsigned int life = 0;
	unsigned long hits = 0;

	for (i = 0; i < n; i++)
		h[i] = helper_start(test, look_up_against_confirm, c, &life);
	for (i = 0; i < n; i++)
		wait_for_completion_timeout(&h[i]->ready, PATIENCE);
	do {
		/* Only lookups of the present life count against its end. */
		KUNIT_EXPECT_EQ(test, pcpuref_kill_and_confirm(&c->ref, counted_confirm), 0);
		if (life & 1) {
			KUNIT_EXPECT_EQ(test, counted_die(c), 0);
			KUNIT_EXPECT_EQ(test, confirmed(c), life + 1);
		} else {
			KUNIT_ASSERT_TRUE(test, wait_until(pcpuref_is_zero(&c->ref)));
		}
		/* Those who look must see the new life before they can take it. */
		publish(&life, life + 1);
		KUNIT_EXPECT_EQ(test, life & 2 ? pcpuref_reinit(&c->ref) :
					       pcpuref_resurrect(&c->ref), 0);
		schedule_timeout_uninterruptible(1);
	} while (storm_goes_on(end, READ_ONCE(h[0]->hits)));
	for (i = 0; i < n; i++) {
		KUNIT_EXPECT_TRUE(test, helper_stop(h[i]));
		KUNIT_EXPECT_EQ(test, h[i]->wrong, 0);
		hits += h[i]->hits;
	}
	KUNIT_EXPECT_GT(test, hits, 0);
	KUNIT_EXPECT_EQ(test, confirmed(c), life);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), life + 1);
}

static void pcpuref_concurrent_test_lookup_confirm(struct kunit *test)
{
	confirm_against_lookups(test, PCPUREF_ALLOW_REINIT);
}

/* L2: the same in atomic mode, where mainline does without a grace period. */
static void pcpuref_concurrent_test_lookup_confirm_atomic(struct kunit *test)
{
	confirm_against_lookups(test, PCPUREF_INIT_ATOMIC);
}

/* After kill_sync there is no need of a confirmation. */
static void look_up_against_sync(struct helper *h)
{
	unsigned int was_over;

	complete(&h->ready);
	while (helper_goes_on(h)) {
		was_over = observe(h->arg);
		if (!pcpuref_tryget_live(&h->c->ref))
			continue;
		helper_hit(h);
		h->wrong += was_over;
		pcpuref_put(&h->c->ref);
	}
}

static void pcpuref_concurrent_test_lookup_kill_sync(struct kunit *test)
{
	static const unsigned int flags[] = { 0, PCPUREF_INIT_ATOMIC };
	int i, round, n = nr_storm_helpers();
	struct helper *h[4];
	unsigned int over;

	for (round = 0; round < 10; round++) {
		struct counted *c = counted_new(test, flags[round & 1]);

		over = 0;
		for (i = 0; i < n; i++)
			h[i] = helper_start(test, look_up_against_sync, c, &over);
		/* Each of them has got it before, and has tried to afterwards. */
		for (i = 0; i < n; i++)
			KUNIT_EXPECT_TRUE(test, wait_until(READ_ONCE(h[i]->hits)));
		KUNIT_EXPECT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
		publish(&over, 1);
		for (i = 0; i < n; i++) {
			unsigned long before = READ_ONCE(h[i]->rounds);

			KUNIT_EXPECT_TRUE(test, wait_until(READ_ONCE(h[i]->rounds) > before + 1));
		}
		for (i = 0; i < n; i++) {
			KUNIT_EXPECT_TRUE(test, helper_stop(h[i]));
			KUNIT_EXPECT_EQ(test, h[i]->wrong, 0);
		}
		helpers_reap();
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), 1);
	}
}

/* --- Requests against requests -------------------------------------------- */

/* Gets and puts that must not change the count in the end. */
static void use_it(struct helper *h)
{
	struct counted *c = h->c;

	complete(&h->ready);
	while (helper_goes_on(h)) {
		bool taken = h->rounds & 1 ? pcpuref_tryget(&c->ref) :
					     pcpuref_tryget_live(&c->ref);

		if (!taken)
			continue;
		helper_hit(h);
		pcpuref_get(&c->ref);
		pcpuref_put_many(&c->ref, 2);
	}
}

/* Who kills and who resurrects take turns, and wait for nothing else. */
struct turns {
	unsigned int	turn;
	unsigned int	kills;
};

static void take_turns(struct helper *h)
{
	struct turns *t = h->arg;
	bool kills = h->index & 1;

	complete(&h->ready);
	while (helper_goes_on(h)) {
		if ((observe(&t->turn) & 1) == kills)
			continue;
		if (kills) {
			h->wrong += !!pcpuref_kill_and_confirm(&h->c->ref, counted_confirm);
			/* No more confirmations than can wait at a time. */
			if (!(++t->kills & 63))
				pcpuref_barrier();
		} else {
			h->wrong += !!pcpuref_resurrect(&h->c->ref);
		}
		helper_hit(h);
		publish(&t->turn, t->turn + 1);
	}
}

static void kill_against_resurrect(struct kunit *test, unsigned int flags)
{
	struct counted *c = counted_new(test, flags);
	struct helper *user, *reviver, *killer;
	/* The first turn is the killer's. */
	struct turns turns = {};

	pcpuref_get(&c->ref);
	reviver = helper_start(test, take_turns, c, &turns);
	killer = helper_start(test, take_turns, c, &turns);
	user = helper_start(test, use_it, c, NULL);
	schedule_timeout_uninterruptible(STORM);
	KUNIT_EXPECT_TRUE(test, wait_until(observe(&turns.turn) > 2));
	KUNIT_EXPECT_TRUE(test, helper_stop(killer));
	KUNIT_EXPECT_TRUE(test, helper_stop(reviver));
	KUNIT_EXPECT_TRUE(test, helper_stop(user));
	KUNIT_EXPECT_EQ(test, killer->wrong, 0);
	KUNIT_EXPECT_EQ(test, reviver->wrong, 0);
	KUNIT_EXPECT_GT(test, turns.kills, 1);

	if (turns.turn & 1)
		KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
	pcpuref_barrier();
	/* G2: none lost, none twice. */
	KUNIT_EXPECT_EQ(test, confirmed(c), turns.kills);
	KUNIT_EXPECT_EQ(test, released(c), 0);
	KUNIT_EXPECT_FALSE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* F12, L4 */
static void pcpuref_concurrent_test_kill_resurrect(struct kunit *test)
{
	kill_against_resurrect(test, PCPUREF_ALLOW_REINIT);
}

static void pcpuref_concurrent_test_kill_resurrect_atomic(struct kunit *test)
{
	kill_against_resurrect(test, PCPUREF_INIT_ATOMIC);
}

/* How many deaths have been called off. */
static unsigned int revived;

/*
 * Waits for each death; there is no third who kills. Every other time it holds a
 * reference meanwhile: then it can only be told that the death has been called off,
 * or that it has come too late and its wait has killed once more.
 */
static void kill_and_wait_for_it(struct helper *h)
{
	struct pcpuref *ref = &h->c->ref;
	unsigned int kills = 0;
	bool held;
	int err;

	complete(&h->ready);
	while (helper_goes_on(h)) {
		held = kills & 1;
		if (held)
			pcpuref_get(ref);
		h->wrong += !!pcpuref_kill_and_confirm(ref, counted_confirm);
		kills++;
		err = pcpuref_kill_and_wait_timeout(ref, held ? HZ / 2 : MAX_SCHEDULE_TIMEOUT);
		if (err == -ECANCELED)
			helper_hit(h);
		else if (held ? err != -ETIMEDOUT : err)
			h->wrong++;
		while (observe(&revived) != kills)
			cond_resched();
		/* If that came before the wait, this was another death. */
		if (pcpuref_is_zero(ref))
			h->wrong += !!pcpuref_reinit(ref);
		else if (pcpuref_is_dying(ref))
			h->wrong += !!pcpuref_resurrect(ref);
		if (held)
			pcpuref_put(ref);
	}
	h->result = kills;
}

static void revive_when_confirmed(struct helper *h)
{
	complete(&h->ready);
	while (helper_goes_on(h)) {
		if (confirmed(h->c) == revived)
			continue;
		h->wrong += !!pcpuref_resurrect(&h->c->ref);
		publish(&revived, revived + 1);
	}
}

/* Who waits for a death that another one calls off is told, or finds it dead. */
static void pcpuref_concurrent_test_wait_resurrect(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	struct helper *killer, *reviver;

	revived = 0;
	killer = helper_start(test, kill_and_wait_for_it, c, NULL);
	reviver = helper_start(test, revive_when_confirmed, c, NULL);
	schedule_timeout_uninterruptible(2 * STORM);
	KUNIT_EXPECT_TRUE(test, wait_until(READ_ONCE(killer->hits) &&
					   READ_ONCE(killer->rounds) > 2));
	KUNIT_EXPECT_TRUE(test, helper_stop(killer));
	KUNIT_EXPECT_TRUE(test, helper_stop(reviver));
	KUNIT_EXPECT_EQ(test, killer->wrong, 0);
	KUNIT_EXPECT_EQ(test, reviver->wrong, 0);
	KUNIT_EXPECT_GT(test, killer->result, 1);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), killer->result);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	KUNIT_EXPECT_FALSE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
}

/* --- The last put against a resurrect ------------------------------------- */

/*
 * Two that meet at a moment, as closely as can be: a helper that puts, and the test. One of
 * them waits, the helper if @delay is positive, the test if it is negative. @delay is steered
 * to where now the one comes first and now the other.
 */
struct race {
	struct counted	*c;
	unsigned int	round;
	unsigned int	done;
	int		delay;
	unsigned int	put_first;
	unsigned int	put_second;
};

/*
 * Who waits for long sleeps now and then: without CONFIG_PREEMPT_RCU a CPU that only spins is
 * never quiescent, and the other side may wait for a grace period, which then ends after the
 * spinning, however long that takes.
 */
static void spin(int times)
{
	for (; times > 0; times--) {
		cpu_relax();
		if (!IS_ENABLED(CONFIG_PREEMPT_RCU) && !(times % 1024))
			usleep_range(1, 2);
	}
}

/* The test's side: from here on the helper puts. */
static void start_race(struct race *r)
{
	publish(&r->round, r->round + 1);
	spin(-r->delay);
}

/* The helper's side. */
static void wait_in_race(const struct race *r)
{
	spin(READ_ONCE(r->delay));
}

static bool is_over(struct race *r)
{
	return observe(&r->done) == r->round;
}

/*
 * Whoever came first is to come later: by far if it is that one who waits, else by a little,
 * so that it ends up in many different places close to where they meet.
 */
static void steer(struct race *r, bool put_came_first)
{
	int waits = put_came_first ? r->delay : -r->delay;

	waits = waits < 0 ? waits + DIV_ROUND_UP(-waits, 8) : min_t(int, 2 * waits + 1, BIT(20));
	WRITE_ONCE(r->delay, put_came_first ? waits : -waits);
	if (put_came_first)
		r->put_first++;
	else
		r->put_second++;
}

/* Until @end, and until both have come first. */
static bool race_goes_on(const struct race *r, unsigned long end)
{
	return storm_goes_on(end, r->put_first && r->put_second);
}

static void put_in_race(struct helper *h)
{
	struct race *r = h->arg;
	unsigned int round = 0;

	complete(&h->ready);
	while (helper_goes_on(h)) {
		if (observe(&r->round) == round)
			continue;
		wait_in_race(r);
		pcpuref_put(&h->c->ref);
		publish(&r->done, ++round);
	}
}

/*
 * Whether the put or the resurrect comes first decides how many lives there
 * are, and nothing else: each has one release, and the count is right.
 */
static void last_put_against_resurrect(struct kunit *test, unsigned int flags)
{
	struct counted *c = counted_new(test, flags);
	unsigned long end = jiffies + 2 * STORM;
	struct race race = {};
	struct helper *h;
	int before;

	if (num_online_cpus() == 1)
		kunit_skip(test, "with one CPU the put never meets the resurrect");
	h = helper_start_on(test, other_cpu(), put_in_race, c, &race);
	wait_for_completion_timeout(&h->ready, PATIENCE);
	do {
		before = released(c);
		pcpuref_get(&c->ref);
		/* In atomic mode: that leaves the one reference. */
		KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
		start_race(&race);
		KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
		KUNIT_ASSERT_TRUE(test, wait_until(is_over(&race)));
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
		KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
		if (flags & PCPUREF_RELEASE_WORK)
			pcpuref_barrier();
		KUNIT_EXPECT_LE(test, released(c) - before, 1);
		steer(&race, released(c) > before);
	} while (race_goes_on(&race, end));
	KUNIT_EXPECT_TRUE(test, helper_stop(h));
	KUNIT_EXPECT_GT(test, race.put_first, 0);
	KUNIT_EXPECT_GT(test, race.put_second, 0);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), race.put_first + 1);
}

static void pcpuref_concurrent_test_put_resurrect(struct kunit *test)
{
	last_put_against_resurrect(test, PCPUREF_INIT_ATOMIC);
}

static void pcpuref_concurrent_test_put_resurrect_work(struct kunit *test)
{
	last_put_against_resurrect(test, PCPUREF_INIT_ATOMIC | PCPUREF_RELEASE_WORK);
}

/* The last put against the end of the kill's grace period: either releases. */
static void pcpuref_concurrent_test_put_grace_period(struct kunit *test)
{
	unsigned long end = jiffies + 2 * STORM;
	struct race race = {};
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	struct helper *h;

	if (num_online_cpus() == 1)
		kunit_skip(test, "with one CPU the put always comes after it");
	h = helper_start_on(test, other_cpu(), put_in_race, c, &race);
	wait_for_completion_timeout(&h->ready, PATIENCE);
	do {
		pcpuref_get(&c->ref);
		start_race(&race);
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), race.round);
		KUNIT_ASSERT_TRUE(test, wait_until(is_over(&race)));
		KUNIT_EXPECT_EQ(test, released(c), race.round);
		/* Who comes second releases. */
		steer(&race, c->in_release.thread != h->task);
		KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	} while (race_goes_on(&race, end));
	KUNIT_EXPECT_TRUE(test, helper_stop(h));
	KUNIT_EXPECT_GT(test, race.put_first, 0);
	KUNIT_EXPECT_GT(test, race.put_second, 0);
}

/* --- Switches ------------------------------------------------------------- */

static void switch_in_storm(struct helper *h)
{
	struct pcpuref *ref = &h->c->ref;

	complete(&h->ready);
	while (helper_goes_on(h)) {
		switch ((h->rounds + h->index) % 5) {
		case 0:
			h->wrong += !!pcpuref_switch_to_atomic(ref, counted_confirm);
			helper_hit(h);
			break;
		case 1:
			h->wrong += !!pcpuref_switch_to_atomic(ref, NULL);
			break;
		case 2:
			h->wrong += pcpuref_switch_to_atomic_sync(ref) != 0;
			break;
		default:
			h->wrong += !!pcpuref_switch_to_percpu(ref);
			break;
		}
	}
}

/* F6, F7: switches of all kinds at a time, while others get and put. */
static void pcpuref_concurrent_test_switch_storm(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	struct helper *user[2], *switcher[3];
	unsigned long confirms = 0, hits = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(user); i++)
		user[i] = helper_start(test, use_it, c, NULL);
	for (i = 0; i < ARRAY_SIZE(switcher); i++)
		switcher[i] = helper_start(test, switch_in_storm, c, NULL);
	schedule_timeout_uninterruptible(2 * STORM);
	KUNIT_EXPECT_TRUE(test, wait_until(READ_ONCE(user[0]->hits) &&
					   READ_ONCE(switcher[0]->hits)));
	for (i = 0; i < ARRAY_SIZE(switcher); i++) {
		KUNIT_EXPECT_TRUE(test, helper_stop(switcher[i]));
		KUNIT_EXPECT_EQ(test, switcher[i]->wrong, 0);
		confirms += switcher[i]->hits;
	}
	for (i = 0; i < ARRAY_SIZE(user); i++) {
		KUNIT_EXPECT_TRUE(test, helper_stop(user[i]));
		hits += user[i]->hits;
	}
	KUNIT_EXPECT_GT(test, hits, 0);
	KUNIT_EXPECT_GT(test, confirms, 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), confirms);
	KUNIT_EXPECT_EQ(test, released(c), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
	KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

static void count_exactly(struct helper *h)
{
	complete(&h->ready);
	while (helper_goes_on(h)) {
		if (pcpuref_switch_to_atomic_sync(&h->c->ref)) {
			h->wrong++;
			break;
		}
		/* Nobody gets, puts or goes back: there is nothing else in it. */
		h->wrong += pcpuref_read(&h->c->ref) != (long)h->arg;
		helper_hit(h);
		if (!(h->rounds & 3))
			pcpuref_switch_to_atomic(&h->c->ref, counted_confirm);
	}
}

/* U1, G11: several that wait for the same switch, each sees the exact count. */
static void pcpuref_concurrent_test_sync_exact(struct kunit *test)
{
	unsigned long end = jiffies + STORM;
	int i, n = nr_storm_helpers();
	unsigned long hits = 0;
	struct helper *h[4];

	do {
		struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);

		pcpuref_get_many(&c->ref, 41);
		for (i = 0; i < n; i++)
			h[i] = helper_start(test, count_exactly, c, (void *)42L);
		schedule_timeout_uninterruptible(2);
		for (i = 0; i < n; i++) {
			KUNIT_EXPECT_TRUE(test, helper_stop(h[i]));
			KUNIT_EXPECT_EQ(test, h[i]->wrong, 0);
			hits += h[i]->hits;
		}
		helpers_reap();
		pcpuref_barrier();
		pcpuref_put_many(&c->ref, 41);
		pcpuref_exit(&c->ref);
	} while (storm_goes_on(end, hits > n));
	KUNIT_EXPECT_GT(test, hits, n);
}

static void watch_word(struct helper *h)
{
	complete(&h->ready);
	while (helper_goes_on(h)) {
		unsigned long word = READ_ONCE(h->c->ref.word);

		if ((word & __PCPUREF_DEAD) && !(word & __PCPUREF_ATOMIC))
			h->wrong++;
		/* The address is always the same, or gone with the exit. */
		if ((word & ~__PCPUREF_TAGS) != (unsigned long)h->arg)
			h->wrong++;
		if (word & __PCPUREF_DEAD)
			helper_hit(h);
	}
}

/*
 * F3: a word with the one tag and not the other would let a fast path use a
 * tagged pointer. F4: so would a second load of the word in the fast path, which
 * those who get and put here would notice by a crash or a wrong count.
 */
static void pcpuref_concurrent_test_word(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	unsigned long end = jiffies + STORM;
	struct helper *watcher, *user[2];
	int i, lives = 0;
	bool seen;

	watcher = helper_start(test, watch_word, c, (void *)c->ref.word);
	for (i = 0; i < ARRAY_SIZE(user); i++)
		user[i] = helper_start(test, use_it, c, NULL);
	do {
		pcpuref_switch_to_atomic(&c->ref, NULL);
		pcpuref_switch_to_percpu(&c->ref);
		KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
		cond_resched();
		KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
		if (!(lives & 7))
			KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
		/* The kill before may have been a death of its own. */
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_GT(test, released(c), lives);
		lives = released(c);
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
		cond_resched();
		seen = READ_ONCE(watcher->hits) && READ_ONCE(user[0]->hits) &&
		       READ_ONCE(user[1]->hits);
	} while (storm_goes_on(end, seen));
	KUNIT_EXPECT_TRUE(test, seen);
	KUNIT_EXPECT_TRUE(test, helper_stop(watcher));
	KUNIT_EXPECT_EQ(test, watcher->wrong, 0);
	for (i = 0; i < ARRAY_SIZE(user); i++)
		KUNIT_EXPECT_TRUE(test, helper_stop(user[i]));
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	KUNIT_EXPECT_EQ(test, released(c), lives);
}

struct ticker {
	struct timer_list	timer;
	struct counted		*c;
	unsigned long		taken;
	bool			stop;
};

static void tick(struct timer_list *timer)
{
	struct ticker *t = container_of(timer, struct ticker, timer);

	if (pcpuref_tryget(&t->c->ref)) {
		WRITE_ONCE(t->taken, t->taken + 1);
		pcpuref_get(&t->c->ref);
		pcpuref_put_many(&t->c->ref, 2);
	}
	if (!READ_ONCE(t->stop))
		mod_timer(&t->timer, jiffies + 1);
}

/* F1: the interrupt of this very CPU gets and puts while the mode changes. */
static void pcpuref_concurrent_test_softirq(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	struct ticker *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	unsigned long end = jiffies + STORM;
	int lives = 0;

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->c = c;
	timer_setup(&t->timer, tick, 0);
	mod_timer(&t->timer, jiffies + 1);
	do {
		pcpuref_get(&c->ref);
		pcpuref_switch_to_atomic(&c->ref, NULL);
		pcpuref_switch_to_percpu(&c->ref);
		pcpuref_put(&c->ref);
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		lives++;
		KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
		cond_resched();
	} while (storm_goes_on(end, READ_ONCE(t->taken)));
	WRITE_ONCE(t->stop, true);
	timer_delete_sync(&t->timer);
	KUNIT_EXPECT_GT(test, t->taken, 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	KUNIT_EXPECT_EQ(test, released(c), lives);
}

/* --- Exit ----------------------------------------------------------------- */

static void ask_is_zero(struct helper *h)
{
	struct counted *c = h->c;

	complete(&h->ready);
	while (helper_goes_on(h)) {
		unsigned int life = observe(h->arg);

		if (!pcpuref_is_zero(&c->ref))
			continue;
		helper_hit(h);
		/* Not while it lives, which is in odd numbers. */
		h->wrong += (life & 1) && READ_ONCE(*(unsigned int *)h->arg) == life;
	}
}

/* F10, G8: is_zero may be asked at any time, also while it exits. */
static void pcpuref_concurrent_test_is_zero_exit(struct kunit *test)
{
	struct counted *c = counted_alloc(test);
	unsigned long end = jiffies + STORM, hits = 0;
	int i, n = nr_storm_helpers();
	unsigned int life = 0;
	struct helper *h[4];

	/* Odd while nobody has killed it. */
	KUNIT_ASSERT_EQ(test, counted_init(c, 0), 0);
	publish(&life, 1);
	for (i = 0; i < n; i++)
		h[i] = helper_start(test, ask_is_zero, c, &life);
	for (i = 0; i < n; i++)
		wait_for_completion_timeout(&h[i]->ready, PATIENCE);
	do {
		publish(&life, life + 1);
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		if ((life & 6) == 2)
			schedule_timeout_uninterruptible(1);
		KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
		pcpuref_exit(&c->ref);
		KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
		cond_resched();
		/* It may be asked before, while and after it is set up. */
		KUNIT_ASSERT_EQ(test, counted_init(c, 0), 0);
		publish(&life, life + 1);
		KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
	} while (storm_goes_on(end, READ_ONCE(h[0]->hits)));
	for (i = 0; i < n; i++) {
		KUNIT_EXPECT_TRUE(test, helper_stop(h[i]));
		KUNIT_EXPECT_EQ(test, h[i]->wrong, 0);
		hits += h[i]->hits;
	}
	KUNIT_EXPECT_GT(test, hits, 0);
}

static void put_and_forget(struct helper *h)
{
	struct race *r = h->arg;
	unsigned int round = 0;

	complete(&h->ready);
	while (helper_goes_on(h)) {
		if (observe(&r->round) == round)
			continue;
		round++;
		wait_in_race(r);
		/* The object may be gone when this returns. */
		pcpuref_put(&READ_ONCE(r->c)->ref);
		publish(&r->done, round);
	}
}

/*
 * U2, G8: when kill_and_wait has returned, exit and freeing are safe, although
 * another thread's last put may not have returned yet.
 */
static void wait_and_free(struct kunit *test, unsigned int flags)
{
	unsigned long end = jiffies + STORM;
	struct race race = {};
	struct helper *h;

	if (num_online_cpus() == 1)
		kunit_skip(test, "needs two CPUs");
	h = helper_start_on(test, other_cpu(), put_and_forget, NULL, &race);
	wait_for_completion_timeout(&h->ready, PATIENCE);
	do {
		struct counted *c = kmalloc(sizeof(*c), GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, c);
		counted_prepare(c);
		KUNIT_ASSERT_EQ(test, counted_init(c, flags), 0);
		pcpuref_get(&c->ref);
		WRITE_ONCE(race.c, c);
		start_race(&race);
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), 1);
		KUNIT_EXPECT_EQ(test, atomic_read(&c->returned), 1);
		steer(&race, c->in_release.thread != h->task);
		pcpuref_exit(&c->ref);
		memset(c, 0x6b, sizeof(*c));
		kfree(c);
		KUNIT_ASSERT_TRUE(test, wait_until(is_over(&race)));
	} while (race_goes_on(&race, end));
	KUNIT_EXPECT_TRUE(test, helper_stop(h));
	KUNIT_EXPECT_GT(test, race.put_first, 0);
	KUNIT_EXPECT_GT(test, race.put_second, 0);
}

static void pcpuref_concurrent_test_wait_and_free(struct kunit *test)
{
	wait_and_free(test, 0);
}

static void pcpuref_concurrent_test_wait_and_free_atomic(struct kunit *test)
{
	wait_and_free(test, PCPUREF_INIT_ATOMIC);
}

/* --- Lookups under RCU ---------------------------------------------------- */

struct published {
	struct pcpuref	ref;
	struct rcu_head	rcu;
	unsigned long	magic;
};

#define PUBLISHED_MAGIC	0x600dUL

static struct published __rcu *slot;
static atomic_t published_alive;

static void published_release(struct pcpuref *ref)
{
	struct published *p = container_of(ref, struct published, ref);

	WRITE_ONCE(p->magic, 0);
	pcpuref_exit(ref);
	atomic_dec(&published_alive);
	kfree_rcu(p, rcu);
}

static struct published *published_new(int nr)
{
	struct published *p = kzalloc(sizeof(*p), GFP_KERNEL);

	if (!p)
		return NULL;
	p->magic = PUBLISHED_MAGIC;
	if (pcpuref_init(&p->ref, published_release, nr & 1 ? PCPUREF_INIT_ATOMIC : 0,
			 GFP_KERNEL)) {
		kfree(p);
		return NULL;
	}
	atomic_inc(&published_alive);
	return p;
}

static void find_published(struct helper *h)
{
	complete(&h->ready);
	while (helper_goes_on(h)) {
		struct published *p;

		rcu_read_lock();
		p = rcu_dereference(slot);
		if (p && !(h->index & 1 ? pcpuref_tryget(&p->ref) :
					  pcpuref_tryget_live_rcu(&p->ref)))
			p = NULL;
		rcu_read_unlock();
		if (!p)
			continue;
		helper_hit(h);
		/* As long as it is held it is what it was. */
		h->wrong += READ_ONCE(p->magic) != PUBLISHED_MAGIC;
		if (!(h->rounds & 15))
			cond_resched();
		h->wrong += READ_ONCE(p->magic) != PUBLISHED_MAGIC;
		pcpuref_put(&p->ref);
	}
}

/* Objects that release exits and frees, found by who does not know them. */
static void pcpuref_concurrent_test_rcu_lookup(struct kunit *test)
{
	unsigned long end = jiffies + 2 * STORM, found;
	int i, nr = 0, n = nr_storm_helpers();
	struct published *old, *new;
	struct helper *h[4];

	atomic_set(&published_alive, 0);
	for (i = 0; i < n; i++)
		h[i] = helper_start(test, find_published, NULL, NULL);
	do {
		new = published_new(nr++);
		KUNIT_EXPECT_NOT_NULL(test, new);
		old = rcu_replace_pointer(slot, new, true);
		if (old)
			KUNIT_EXPECT_EQ(test, pcpuref_kill(&old->ref), 0);
		if (!(nr & 7))
			schedule_timeout_uninterruptible(1);
		else
			cond_resched();
		found = hits_of(h, n);
	} while (storm_goes_on(end, found) && (nr < 20000 || !found));
	old = rcu_replace_pointer(slot, NULL, true);
	if (old)
		KUNIT_EXPECT_EQ(test, pcpuref_kill(&old->ref), 0);
	for (i = 0; i < n; i++) {
		KUNIT_EXPECT_TRUE(test, helper_stop(h[i]));
		KUNIT_EXPECT_EQ(test, h[i]->wrong, 0);
	}
	KUNIT_EXPECT_GT(test, found, 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, atomic_read(&published_alive), 0);
	/* kfree_rcu() is the kernel's own, but let it be done. */
	rcu_barrier();
}

/* --- Many references ------------------------------------------------------ */

#define MANY	512

static void put_all(struct helper *h)
{
	struct counted **all = h->arg;
	int i;

	complete(&h->ready);
	for (i = 0; i < MANY; i++) {
		pcpuref_put(&all[(i * 7 + h->index * 64) % MANY]->ref);
		helper_goes_on(h);
	}
}

/* G9: hundreds that die at a time, each of them once. */
static void pcpuref_concurrent_test_many(struct kunit *test)
{
	struct counted **all = kunit_kcalloc(test, MANY, sizeof(*all), GFP_KERNEL);
	int i, n = nr_storm_helpers(), wrong = 0;
	struct helper *h[4];

	KUNIT_ASSERT_NOT_NULL(test, all);
	for (i = 0; i < MANY; i++) {
		all[i] = counted_new(test, (i & 1 ? PCPUREF_INIT_ATOMIC : 0) |
				     (i & 2 ? PCPUREF_RELEASE_WORK : 0));
		pcpuref_get_many(&all[i]->ref, n);
	}
	for (i = 0; i < n; i++)
		h[i] = helper_start(test, put_all, NULL, all);
	for (i = 0; i < MANY; i++)
		wrong += !!pcpuref_kill_and_confirm(&all[i]->ref, i & 4 ? counted_confirm : NULL);
	for (i = 0; i < n; i++)
		KUNIT_EXPECT_TRUE(test, helper_wait(h[i]));
	pcpuref_barrier();
	for (i = 0; i < MANY; i++) {
		wrong += released(all[i]) != 1;
		wrong += confirmed(all[i]) != !!(i & 4);
		wrong += !pcpuref_is_zero(&all[i]->ref);
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

static struct kunit_case pcpuref_concurrent_cases[] = {
	KUNIT_CASE_PARAM(pcpuref_concurrent_test_get_put_kill,
			 pcpuref_concurrent_storm_gen_params),
	KUNIT_CASE(pcpuref_concurrent_test_last_put),
	KUNIT_CASE(pcpuref_concurrent_test_lookup_confirm),
	KUNIT_CASE(pcpuref_concurrent_test_lookup_confirm_atomic),
	KUNIT_CASE(pcpuref_concurrent_test_lookup_kill_sync),
	KUNIT_CASE(pcpuref_concurrent_test_kill_resurrect),
	KUNIT_CASE(pcpuref_concurrent_test_kill_resurrect_atomic),
	KUNIT_CASE(pcpuref_concurrent_test_wait_resurrect),
	KUNIT_CASE(pcpuref_concurrent_test_put_resurrect),
	KUNIT_CASE(pcpuref_concurrent_test_put_resurrect_work),
	KUNIT_CASE(pcpuref_concurrent_test_put_grace_period),
	KUNIT_CASE(pcpuref_concurrent_test_switch_storm),
	KUNIT_CASE(pcpuref_concurrent_test_sync_exact),
	KUNIT_CASE(pcpuref_concurrent_test_word),
	KUNIT_CASE(pcpuref_concurrent_test_softirq),
	KUNIT_CASE(pcpuref_concurrent_test_is_zero_exit),
	KUNIT_CASE(pcpuref_concurrent_test_wait_and_free),
	KUNIT_CASE(pcpuref_concurrent_test_wait_and_free_atomic),
	KUNIT_CASE(pcpuref_concurrent_test_rcu_lookup),
	KUNIT_CASE(pcpuref_concurrent_test_many),
	PCPUREF_LAST_CASE,
	{}
};

static struct kunit_suite pcpuref_concurrent_suite = {
	PCPUREF_SUITE("pcpuref_concurrent", pcpuref_concurrent_cases),
};

kunit_test_suite(pcpuref_concurrent_suite);

MODULE_DESCRIPTION("KUnit tests of pcpuref: several threads");
MODULE_LICENSE("GPL");
