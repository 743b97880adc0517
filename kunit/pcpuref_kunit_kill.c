// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite pcpuref_kill: kill and its confirmation, the calls that wait, and
 * what release and confirm callbacks may do.
 */
#include <linux/sched/signal.h>
#include <linux/spinlock.h>

#include "pcpuref_kunit.h"

/*
 * The states that a live reference can be in when it is killed. Each is entered
 * with nothing in flight, but for "switching", where a test begins a switch right
 * before the kill. Tests take all of them side by side, since they share the
 * waiting for grace periods.
 */
static const struct {
	const char	*name;
	unsigned int	flags;
	bool		to_atomic;
	bool		switching;
} states[] = {
	{ "percpu", 0 },
	{ "percpu, reusable", PCPUREF_ALLOW_REINIT },
	{ "atomic for good", 0, .to_atomic = true },
	{ "atomic for now", PCPUREF_ALLOW_REINIT, .to_atomic = true },
	{ "INIT_ATOMIC", PCPUREF_INIT_ATOMIC },
	{ "switching", 0, .switching = true },
	{ "switching, reusable", PCPUREF_ALLOW_REINIT, .switching = true },
	{ "work", PCPUREF_RELEASE_WORK },
	{ "work, INIT_ATOMIC", PCPUREF_RELEASE_WORK | PCPUREF_INIT_ATOMIC },
};

#define NR_STATES	ARRAY_SIZE(states)

#define EXPECT_IN_STATE(test, i, condition)	\
	KUNIT_EXPECT_TRUE_MSG(test, condition, "in state: %s", states[i].name)
#define EXPECT_IN_STATE_LATER(i, condition)	\
	EXPECT_IN_LATER(condition, states[i].name)

static void in_all_states(struct kunit *test, struct counted **c)
{
	int i;

	for (i = 0; i < NR_STATES; i++) {
		c[i] = counted_new(test, states[i].flags);
		if (states[i].to_atomic)
			KUNIT_ASSERT_EQ(test, pcpuref_switch_to_atomic_sync(&c[i]->ref), 0);
	}
}

/* With preemption disabled, so that it stays so. */
static void begin_switch(struct counted *c, int i)
{
	if (states[i].switching)
		pcpuref_switch_to_atomic(&c->ref, NULL);
}

/* Kill all of them, back to back with a switch. */
static void kill_all(struct kunit *test, struct counted **c, pcpuref_func_t *confirm)
{
	bool done;
	int i;

	preempt_disable();
	for (i = 0; i < NR_STATES; i++) {
		begin_switch(c[i], i);
		done = !pcpuref_kill_and_confirm(&c[i]->ref, confirm);
		EXPECT_IN_STATE_LATER(i, done);
	}
	preempt_enable();
}

/* --- Kill and confirm ----------------------------------------------------- */

static void pcpuref_kill_test_kill(struct kunit *test)
{
	struct counted *c[NR_STATES];
	int i;

	in_all_states(test, c);
	for (i = 0; i < NR_STATES; i++)
		pcpuref_get(&c[i]->ref);
	preempt_disable();
	for (i = 0; i < NR_STATES; i++) {
		begin_switch(c[i], i);
		EXPECT_IN_STATE_LATER(i, !pcpuref_kill(&c[i]->ref));
		/* At once, on this CPU. */
		EXPECT_IN_STATE_LATER(i, pcpuref_is_dying(&c[i]->ref));
		EXPECT_IN_STATE_LATER(i, !pcpuref_tryget_live(&c[i]->ref));
		EXPECT_IN_STATE_LATER(i, pcpuref_tryget(&c[i]->ref));
	}
	preempt_enable();
	pcpuref_barrier();
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, released(c[i]) == 0);
		EXPECT_IN_STATE(test, i, confirmed(c[i]) == 0);
		EXPECT_IN_STATE(test, i, pcpuref_read(&c[i]->ref) == 2);
		EXPECT_IN_STATE(test, i, !pcpuref_tryget_live(&c[i]->ref));
		pcpuref_put(&c[i]->ref);
		EXPECT_IN_STATE(test, i, released(c[i]) == 0);
		pcpuref_put(&c[i]->ref);
	}
	pcpuref_barrier();
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, released(c[i]) == 1);
		EXPECT_IN_STATE(test, i, pcpuref_is_zero(&c[i]->ref));
	}
}

/* G2: once, in every mode, and before release. */
static void pcpuref_kill_test_confirm(struct kunit *test)
{
	struct counted *c[NR_STATES];
	int i, again;

	in_all_states(test, c);
	kill_all(test, c, counted_confirm);
	for (again = 0; again < 2; again++) {
		pcpuref_barrier();
		for (i = 0; i < NR_STATES; i++) {
			EXPECT_IN_STATE(test, i, confirmed(c[i]) == 1);
			EXPECT_IN_STATE(test, i, released(c[i]) == 1);
			EXPECT_IN_STATE(test, i, c[i]->confirmed_at == 1);
			EXPECT_IN_STATE(test, i, c[i]->released_at == 2);
		}
	}
}

/*
 * L2: mainline confirms at once what is in atomic mode already. A lookup that
 * has found the reference live may still be about to take its reference; it
 * has preemption disabled, as here. G2.
 */
static void pcpuref_kill_test_confirm_grace_period(struct kunit *test)
{
	struct counted *c[NR_STATES];
	int i;

	in_all_states(test, c);
	preempt_disable();
	kill_all(test, c, counted_confirm);
	for (i = 0; i < NR_STATES; i++)
		EXPECT_IN_STATE_LATER(i, confirmed(c[i]) == 0);
	/* Longer than other CPUs need to believe that all have passed. */
	mdelay(60);
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE_LATER(i, confirmed(c[i]) == 0);
		EXPECT_IN_STATE_LATER(i, released(c[i]) == 0);
	}
	preempt_enable();
	pcpuref_barrier();
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, confirmed(c[i]) == 1);
		EXPECT_IN_STATE(test, i, released(c[i]) == 1);
	}
}

/*
 * F2: the reader that counts is one on any CPU with preemption disabled, not
 * only one in rcu_read_lock(), and not only here. With one CPU it can only be
 * this thread, as in the test before.
 */
static void pcpuref_kill_test_confirm_waits_for_other_cpu(struct kunit *test)
{
	struct counted *c[NR_STATES];
	struct helper *reader;
	int i;

	if (num_online_cpus() == 1)
		kunit_skip(test, "needs two CPUs");

	in_all_states(test, c);
	reader = hold_grace_period(test);
	kill_all(test, c, counted_confirm);
	schedule_timeout_uninterruptible(HZ / 5);
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, confirmed(c[i]) == 0);
		EXPECT_IN_STATE(test, i, released(c[i]) == 0);
	}
	KUNIT_EXPECT_TRUE(test, let_grace_period_go(reader));
	pcpuref_barrier();
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, confirmed(c[i]) == 1);
		EXPECT_IN_STATE(test, i, released(c[i]) == 1);
	}
}

static unsigned long at_confirm;
static bool had_its_own;

/*
 * Whether a grace period has passed. Asked in a callback, which may come before RCU has
 * written down everywhere that it has ended. None can end while a callback spins.
 */
static bool has_passed(unsigned long state)
{
#if KERNEL_VERSION(5, 13, 0) <= LINUX_VERSION_CODE
	int tries;

	for (tries = 0; tries < 2000; tries++) {
		if (poll_state_synchronize_rcu(state))
			return true;
		udelay(5);
	}
	return false;
#else
	return true;
#endif
}

static void see_own_grace_period(struct counted *c)
{
	had_its_own = has_passed(at_confirm);
}

static void spin_in_confirm(struct counted *c)
{
	unsigned long end = jiffies + HZ / 20;

	c->on_confirm = see_own_grace_period;
	while (time_before(jiffies, end))
		cpu_relax();
	c->result = confirmed(c);
	at_confirm = get_state_synchronize_rcu();
}

/*
 * A request that meets a grace period waits for one of its own: that which is
 * under way may have begun before it. F7.
 */
static void pcpuref_kill_test_confirm_has_own_grace_period(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);

	c->on_confirm = spin_in_confirm;
	c->result = -1;
	had_its_own = false;
	preempt_disable();
	EXPECT_LATER(!pcpuref_switch_to_atomic(&c->ref, counted_confirm_b));
	EXPECT_LATER(!pcpuref_kill_and_confirm(&c->ref, counted_confirm));
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, atomic_read(&c->confirmed[1]), 1);
	KUNIT_EXPECT_EQ(test, confirmed(c), 1);
	KUNIT_EXPECT_EQ(test, c->result, 0);
	KUNIT_EXPECT_TRUE(test, had_its_own);
	/* First the earlier request, then this one, then release. */
	KUNIT_EXPECT_EQ(test, c->confirmed_at, 2);
	KUNIT_EXPECT_EQ(test, c->released_at, 3);
}

#if KERNEL_VERSION(5, 13, 0) <= LINUX_VERSION_CODE
static unsigned long at_kill;

/* The second one is that of the kill. */
static void poll_in_confirm(struct counted *c)
{
	if (c->result++)
		c->result += has_passed(at_kill);
}

/* The same where the grace period has begun before the kill. */
static void pcpuref_kill_test_confirm_not_by_the_one_before(struct kunit *test)
{
	struct helper *reader;
	struct counted *c;
	unsigned long before;
	int tries = 20;
	bool begun;

	if (num_online_cpus() == 1)
		kunit_skip(test, "needs two CPUs");

	/* If the reader holds up somebody else's grace period, ours does not begin. */
	do {
		c = counted_new(test, 0);
		c->on_confirm = poll_in_confirm;
		synchronize_rcu();
		reader = hold_grace_period(test);
		before = get_state_synchronize_rcu();
		pcpuref_switch_to_atomic(&c->ref, counted_confirm_b);
		schedule_timeout_uninterruptible(HZ / 10);
		/* When one begins it takes one more to satisfy a request. */
		begun = get_state_synchronize_rcu() != before;
		at_kill = get_state_synchronize_rcu();
		KUNIT_EXPECT_EQ(test, pcpuref_kill_and_confirm(&c->ref, counted_confirm), 0);
		KUNIT_EXPECT_TRUE(test, let_grace_period_go(reader));
		pcpuref_barrier();
		KUNIT_EXPECT_EQ(test, confirmed(c), 1);
		KUNIT_EXPECT_EQ(test, atomic_read(&c->confirmed[1]), 1);
		KUNIT_EXPECT_EQ(test, c->result, 3);
	} while (!begun && --tries);
	KUNIT_EXPECT_TRUE(test, begun);
}
#endif

static void note_first(struct counted *c)
{
	if (c->result < 0)
		c->result = atomic_read(&c->confirmed[1]);
}

/* Those that wait for the same grace period come in the order of the requests. */
static void pcpuref_kill_test_confirms_in_order(struct kunit *test)
{
	struct counted *kill_first = counted_new(test, PCPUREF_ALLOW_REINIT);
	struct counted *switch_first = counted_new(test, PCPUREF_ALLOW_REINIT);

	kill_first->on_confirm = note_first;
	kill_first->result = -1;
	switch_first->on_confirm = note_first;
	switch_first->result = -1;
	preempt_disable();
	EXPECT_LATER(!pcpuref_switch_to_atomic(&kill_first->ref, NULL));
	EXPECT_LATER(!pcpuref_kill_and_confirm(&kill_first->ref, counted_confirm));
	EXPECT_LATER(!pcpuref_switch_to_atomic(&kill_first->ref, counted_confirm_b));
	EXPECT_LATER(!pcpuref_switch_to_atomic(&switch_first->ref, NULL));
	EXPECT_LATER(!pcpuref_switch_to_atomic(&switch_first->ref, counted_confirm_b));
	EXPECT_LATER(!pcpuref_kill_and_confirm(&switch_first->ref, counted_confirm));
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, kill_first->result, 0);
	KUNIT_EXPECT_EQ(test, switch_first->result, 1);
}

static void look_up(struct counted *c)
{
	c->result = pcpuref_tryget_live(&c->ref) << 1 | pcpuref_tryget(&c->ref);
}

/* In confirm the reference is dying, and not dead. */
static void pcpuref_kill_test_tryget_in_confirm(struct kunit *test)
{
	struct counted *c[NR_STATES];
	int i;

	in_all_states(test, c);
	for (i = 0; i < NR_STATES; i++)
		c[i]->on_confirm = look_up;
	kill_all(test, c, counted_confirm);
	pcpuref_barrier();
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, confirmed(c[i]) == 1);
		EXPECT_IN_STATE(test, i, c[i]->result == 1);
		EXPECT_IN_STATE(test, i, released(c[i]) == 0);
		pcpuref_put(&c[i]->ref);
	}
	pcpuref_barrier();
	for (i = 0; i < NR_STATES; i++)
		EXPECT_IN_STATE(test, i, released(c[i]) == 1);
}

static void put_it(struct counted *c)
{
	pcpuref_put(&c->ref);
}

/* The last reference but the initial one is put by confirm. */
static void pcpuref_kill_test_put_in_confirm(struct kunit *test)
{
	struct counted *c[NR_STATES];
	int i;

	in_all_states(test, c);
	for (i = 0; i < NR_STATES; i++) {
		c[i]->on_confirm = put_it;
		pcpuref_get(&c[i]->ref);
	}
	kill_all(test, c, counted_confirm);
	pcpuref_barrier();
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, confirmed(c[i]) == 1);
		EXPECT_IN_STATE(test, i, released(c[i]) == 1);
		EXPECT_IN_STATE(test, i, c[i]->released_at > c[i]->confirmed_at);
	}
}

/* --- Neither sleeping nor touching interrupts ----------------------------- */

static DEFINE_RAW_SPINLOCK(outer_lock);

/*
 * L5, G4, G10, U4: all that changes state, under a raw spinlock with interrupts off,
 * where it meets a switch in flight. Sleeping would be reported by the kernel;
 * that interrupts stay off is for the test to see.
 */
static void pcpuref_kill_test_never_sleeps(struct kunit *test)
{
	struct counted *c[NR_STATES], *live = counted_new(test, 0);
	unsigned long flags;
	int i, on = 0;

	in_all_states(test, c);
	for (i = 0; i < NR_STATES; i++) {
		struct pcpuref *ref = &c[i]->ref;
		bool reusable = states[i].flags & (PCPUREF_ALLOW_REINIT | PCPUREF_INIT_ATOMIC);

		raw_spin_lock_irqsave(&outer_lock, flags);
		pcpuref_switch_to_atomic(ref, counted_confirm_b);
		on += !irqs_disabled();
		if (reusable) {
			pcpuref_switch_to_percpu(ref);
			on += !irqs_disabled();
		}
		pcpuref_kill_and_confirm(ref, counted_confirm);
		on += !irqs_disabled();
		pcpuref_switch_to_atomic(ref, NULL);
		on += !irqs_disabled();
		if (reusable) {
			pcpuref_resurrect(ref);
			on += !irqs_disabled();
			pcpuref_kill(ref);
			on += !irqs_disabled();
		}
		pcpuref_is_zero(ref);
		pcpuref_read(ref);
		on += !irqs_disabled();
		raw_spin_unlock_irqrestore(&outer_lock, flags);
	}
	raw_spin_lock_irqsave(&outer_lock, flags);
	pcpuref_exit(&live->ref);
	on += !irqs_disabled();
	raw_spin_unlock_irqrestore(&outer_lock, flags);
	KUNIT_EXPECT_EQ(test, on, 0);
	pcpuref_barrier();
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, confirmed(c[i]) == 1);
		EXPECT_IN_STATE(test, i, atomic_read(&c[i]->confirmed[1]) == 1);
		EXPECT_IN_STATE(test, i, released(c[i]) == 1);
	}
}

/* G4: the same when nothing is in flight, and release is called in there. */
static void pcpuref_kill_test_release_with_interrupts_off(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_ATOMIC);
	unsigned long flags;

	raw_spin_lock_irqsave(&outer_lock, flags);
	pcpuref_kill(&c->ref);
	EXPECT_LATER(irqs_disabled());
	EXPECT_LATER(released(c) == 1);
	pcpuref_reinit(&c->ref);
	EXPECT_LATER(irqs_disabled());
	pcpuref_get(&c->ref);
	pcpuref_kill(&c->ref);
	EXPECT_LATER(irqs_disabled());
	pcpuref_put(&c->ref);
	EXPECT_LATER(irqs_disabled());
	EXPECT_LATER(released(c) == 2);
	pcpuref_exit(&c->ref);
	EXPECT_LATER(irqs_disabled());
	raw_spin_unlock_irqrestore(&outer_lock, flags);
}

/* --- The calls that wait -------------------------------------------------- */

static void pcpuref_kill_test_kill_sync(struct kunit *test)
{
	struct counted *c[NR_STATES];
	int i;

	in_all_states(test, c);
	for (i = 0; i < NR_STATES; i++) {
		pcpuref_get(&c[i]->ref);
		begin_switch(c[i], i);
		EXPECT_IN_STATE(test, i, pcpuref_kill_sync(&c[i]->ref) == 0);
		EXPECT_IN_STATE(test, i, !pcpuref_tryget_live(&c[i]->ref));
		EXPECT_IN_STATE(test, i, pcpuref_is_dying(&c[i]->ref));
		EXPECT_IN_STATE(test, i, released(c[i]) == 0);
		/* Of one that is dying it only waits. */
		EXPECT_IN_STATE(test, i, pcpuref_kill_sync(&c[i]->ref) == 0);
	}
	pcpuref_barrier();
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, pcpuref_read(&c[i]->ref) == 1);
		pcpuref_put(&c[i]->ref);
	}
	pcpuref_barrier();
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, released(c[i]) == 1);
		/* Of one that is dead, too. */
		EXPECT_IN_STATE(test, i, pcpuref_kill_sync(&c[i]->ref) == 0);
		EXPECT_IN_STATE(test, i, released(c[i]) == 1);
	}
}

static void __kill_sync(struct helper *h)
{
	complete(&h->ready);
	h->result = pcpuref_kill_sync(&h->c->ref);
}

/* A lookup that is in the middle of it delays kill_sync, in every mode. */
static void pcpuref_kill_test_kill_sync_waits_for_readers(struct kunit *test)
{
	struct helper *reader, *killer[NR_STATES];
	struct counted *c[NR_STATES];
	int i;

	if (num_online_cpus() == 1)
		kunit_skip(test, "needs two CPUs");

	in_all_states(test, c);
	reader = hold_grace_period(test);
	for (i = 0; i < NR_STATES; i++) {
		begin_switch(c[i], i);
		killer[i] = helper_start_on(test, raw_smp_processor_id(), __kill_sync, c[i], NULL);
		killer[i]->result = -1;
	}
	for (i = 0; i < NR_STATES; i++)
		EXPECT_IN_STATE(test, i, wait_until(completion_done(&killer[i]->ready) &&
						    pcpuref_is_dying(&c[i]->ref)));
	schedule_timeout_uninterruptible(HZ / 5);
	for (i = 0; i < NR_STATES; i++)
		EXPECT_IN_STATE(test, i, !completion_done(&killer[i]->done));
	KUNIT_EXPECT_TRUE(test, let_grace_period_go(reader));
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, helper_wait(killer[i]));
		EXPECT_IN_STATE(test, i, killer[i]->result == 0);
	}
	pcpuref_barrier();
}

static void pcpuref_kill_test_kill_and_wait(struct kunit *test)
{
	struct counted *c[NR_STATES];
	int i;

	in_all_states(test, c);
	for (i = 0; i < NR_STATES; i++) {
		begin_switch(c[i], i);
		EXPECT_IN_STATE(test, i, pcpuref_kill_and_wait(&c[i]->ref) == 0);
		EXPECT_IN_STATE(test, i, released(c[i]) == 1);
		EXPECT_IN_STATE(test, i, atomic_read(&c[i]->returned) == 1);
		EXPECT_IN_STATE(test, i, pcpuref_is_zero(&c[i]->ref));
		/* Again, for nothing. */
		EXPECT_IN_STATE(test, i, pcpuref_kill_and_wait(&c[i]->ref) == 0);
		EXPECT_IN_STATE(test, i, pcpuref_kill_and_wait_timeout(&c[i]->ref, 0) == 0);
		EXPECT_IN_STATE(test, i, released(c[i]) == 1);
		pcpuref_exit(&c[i]->ref);
	}
}

static void linger(struct counted *c)
{
	/* What runs in a workqueue may sleep. */
	msleep(50);
	atomic_inc(&c->returned);
}

/*
 * U2, G8: with mainline, is_zero() is true while release still runs, and who
 * frees the object then frees it too early. After kill_and_wait() it has
 * returned.
 */
static void pcpuref_kill_test_wait_for_release_to_return(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_RELEASE_WORK);

	c->on_release = linger;
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&c->returned), 1);
	KUNIT_EXPECT_EQ(test, released(c), 1);
	pcpuref_exit(&c->ref);
	memset(&c->ref, 0x6b, sizeof(c->ref));
	pcpuref_barrier();
	/* Not for the suite to exit. */
	memset(&c->ref, 0, sizeof(c->ref));
}

/* The same with a waiter that comes when release has begun. */
static void pcpuref_kill_test_join_during_release(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_RELEASE_WORK);

	c->on_release = linger;
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&c->release_done, PATIENCE), 0);
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&c->returned), 1);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

static void __kill_and_wait(struct helper *h)
{
	helper_ready_to_sleep(h);
	h->result = pcpuref_kill_and_wait(&h->c->ref);
	/* Has release returned by then? */
	h->hits = atomic_read(&h->c->returned);
}

static void pcpuref_kill_test_timeout(struct kunit *test)
{
	struct helper *waiter[NR_STATES];
	struct counted *c[NR_STATES];
	unsigned long begun;
	int i;

	in_all_states(test, c);
	for (i = 0; i < NR_STATES; i++) {
		pcpuref_get(&c[i]->ref);
		begin_switch(c[i], i);
		begun = jiffies;
		EXPECT_IN_STATE(test, i, pcpuref_kill_and_wait_timeout(&c[i]->ref, 3) ==
			  -ETIMEDOUT);
		EXPECT_IN_STATE(test, i, jiffies - begun >= 3);
		/* Dying and intact. */
		EXPECT_IN_STATE(test, i, released(c[i]) == 0);
		EXPECT_IN_STATE(test, i, pcpuref_is_dying(&c[i]->ref));
		EXPECT_IN_STATE(test, i, !pcpuref_is_zero(&c[i]->ref));
		EXPECT_IN_STATE(test, i, !pcpuref_tryget_live(&c[i]->ref));
		EXPECT_IN_STATE(test, i, pcpuref_tryget(&c[i]->ref));
		pcpuref_put(&c[i]->ref);
		/* Joined again, in vain and then not. */
		EXPECT_IN_STATE(test, i, pcpuref_kill_and_wait_timeout(&c[i]->ref, 1) ==
			  -ETIMEDOUT);
		EXPECT_IN_STATE(test, i, pcpuref_kill_and_wait_timeout(&c[i]->ref, 0) ==
			  -ETIMEDOUT);
		waiter[i] = helper_start(test, __kill_and_wait, c[i], NULL);
	}
	schedule_timeout_uninterruptible(HZ / 20);
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, !completion_done(&waiter[i]->done));
		pcpuref_put(&c[i]->ref);
	}
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, helper_wait(waiter[i]));
		EXPECT_IN_STATE(test, i, waiter[i]->result == 0);
		EXPECT_IN_STATE(test, i, waiter[i]->hits == 1);
		EXPECT_IN_STATE(test, i, pcpuref_kill_and_wait_timeout(&c[i]->ref, 0) == 0);
		EXPECT_IN_STATE(test, i, released(c[i]) == 1);
	}
}

static void __kill_and_wait_killable(struct helper *h)
{
	/* Threads of the kernel ignore it otherwise. */
	allow_signal(SIGKILL);
	complete(&h->ready);
	h->result = pcpuref_kill_and_wait_killable(&h->c->ref);
	flush_signals(current);
}

/* A fatal signal ends the wait, and nothing else; others wait on. */
static void pcpuref_kill_test_killable(struct kunit *test)
{
	struct helper *mortal[NR_STATES], *other[NR_STATES];
	struct counted *c[NR_STATES];
	int i;

	in_all_states(test, c);
	for (i = 0; i < NR_STATES; i++) {
		pcpuref_get(&c[i]->ref);
		begin_switch(c[i], i);
		mortal[i] = helper_start(test, __kill_and_wait_killable, c[i], NULL);
		other[i] = helper_start(test, __kill_and_wait, c[i], NULL);
		KUNIT_ASSERT_TRUE(test, wait_for_completion_timeout(&mortal[i]->ready, PATIENCE));
	}
	schedule_timeout_uninterruptible(HZ / 20);
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, !completion_done(&mortal[i]->done));
		send_sig(SIGKILL, mortal[i]->task, 1);
	}
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, helper_wait(mortal[i]));
		EXPECT_IN_STATE(test, i, mortal[i]->result == -EINTR);
		/* Dying and intact. */
		EXPECT_IN_STATE(test, i, released(c[i]) == 0);
		EXPECT_IN_STATE(test, i, pcpuref_is_dying(&c[i]->ref));
		EXPECT_IN_STATE(test, i, !completion_done(&other[i]->done));
		pcpuref_put(&c[i]->ref);
	}
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, helper_wait(other[i]));
		EXPECT_IN_STATE(test, i, other[i]->result == 0);
		EXPECT_IN_STATE(test, i, released(c[i]) == 1);
		EXPECT_IN_STATE(test, i, pcpuref_kill_and_wait_killable(&c[i]->ref) == 0);
	}
}

/* After a timeout it can be brought back. */
static void pcpuref_kill_test_timeout_resurrect(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);

	pcpuref_get(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait_timeout(&c->ref, 1), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
	KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 3);
	pcpuref_put_many(&c->ref, 2);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

static void pcpuref_kill_test_many_waiters(struct kunit *test)
{
	struct helper *waiter[NR_STATES][3];
	struct counted *c[NR_STATES];
	int i, j;

	in_all_states(test, c);
	for (i = 0; i < NR_STATES; i++) {
		pcpuref_get(&c[i]->ref);
		for (j = 0; j < ARRAY_SIZE(waiter[i]); j++)
			waiter[i][j] = helper_start(test, __kill_and_wait, c[i], NULL);
	}
	schedule_timeout_uninterruptible(HZ / 10);
	for (i = 0; i < NR_STATES; i++) {
		for (j = 0; j < ARRAY_SIZE(waiter[i]); j++)
			EXPECT_IN_STATE(test, i, !completion_done(&waiter[i][j]->done));
		pcpuref_put(&c[i]->ref);
	}
	for (i = 0; i < NR_STATES; i++) {
		for (j = 0; j < ARRAY_SIZE(waiter[i]); j++) {
			EXPECT_IN_STATE(test, i, helper_wait(waiter[i][j]));
			EXPECT_IN_STATE(test, i, waiter[i][j]->result == 0);
			EXPECT_IN_STATE(test, i, waiter[i][j]->hits == 1);
		}
		EXPECT_IN_STATE(test, i, released(c[i]) == 1);
	}
}

/* Whoever waits for a death that is called off is told. */
static void pcpuref_kill_test_wait_resurrect(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	struct helper *waiter[3];
	int i;

	pcpuref_get(&c->ref);
	for (i = 0; i < ARRAY_SIZE(waiter); i++) {
		waiter[i] = helper_start(test, __kill_and_wait, c, NULL);
		KUNIT_ASSERT_TRUE(test, helper_sleeps(waiter[i]));
	}
	/* The one of them that has killed it waits for the release as well by then. */
	KUNIT_ASSERT_TRUE(test, wait_until(pcpuref_read(&c->ref) == 1));
	schedule_timeout_uninterruptible(HZ / 20);
	KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
	for (i = 0; i < ARRAY_SIZE(waiter); i++) {
		KUNIT_ASSERT_TRUE(test, helper_wait(waiter[i]));
		KUNIT_EXPECT_EQ(test, waiter[i]->result, -ECANCELED);
	}
	KUNIT_EXPECT_EQ(test, released(c), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/*
 * L10: in mainline every switch that ends wakes every waiter of every
 * reference. Here nobody is woken but those who wait for this one.
 */
static void pcpuref_kill_test_no_foreign_wakeups(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);
	struct counted *other = counted_new(test, PCPUREF_ALLOW_REINIT);
	struct helper *waiter;
	unsigned long switches;
	int i;

	pcpuref_get(&c->ref);
	waiter = helper_start(test, __kill_and_wait, c, NULL);
	KUNIT_ASSERT_TRUE(test, helper_sleeps(waiter));
	KUNIT_ASSERT_TRUE(test, wait_until(pcpuref_read(&c->ref) == 1));
	/* By then it waits for the release. */
	schedule_timeout_uninterruptible(HZ / 10);
	switches = READ_ONCE(waiter->task->nvcsw);
	for (i = 0; i < 20; i++) {
		pcpuref_switch_to_atomic(&other->ref, counted_confirm);
		pcpuref_switch_to_atomic_sync(&other->ref);
		pcpuref_switch_to_percpu(&other->ref);
		pcpuref_kill_and_wait(&other->ref);
		pcpuref_reinit(&other->ref);
	}
	KUNIT_EXPECT_EQ(test, READ_ONCE(waiter->task->nvcsw), switches);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_TRUE(test, helper_wait(waiter));
	KUNIT_EXPECT_EQ(test, waiter->result, 0);
}

/* G14: after the barrier no callback will come any more, nor is one running. */
static void pcpuref_kill_test_barrier(struct kunit *test)
{
	struct counted *c[6];
	int i;

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		c[i] = counted_new(test, (i & 1 ? PCPUREF_RELEASE_WORK : 0) |
				   (i & 2 ? PCPUREF_INIT_ATOMIC : 0));
		if (i & 1)
			c[i]->on_release = linger;
	}
	for (i = 0; i < ARRAY_SIZE(c); i++)
		KUNIT_EXPECT_EQ(test, pcpuref_kill_and_confirm(&c[i]->ref, counted_confirm), 0);
	pcpuref_barrier();
	for (i = 0; i < ARRAY_SIZE(c); i++) {
		KUNIT_EXPECT_EQ(test, confirmed(c[i]), 1);
		KUNIT_EXPECT_EQ(test, released(c[i]), 1);
		KUNIT_EXPECT_EQ(test, atomic_read(&c[i]->returned), 1);
	}
}

/* --- What release finds, and what it may do ------------------------------- */

static void release_work_sleeps(struct counted *c)
{
	might_sleep();
	msleep(20);
	c->result = !preempt_count() && !irqs_disabled();
	atomic_inc(&c->returned);
}

/* However the count came to zero, with RELEASE_WORK release may sleep. */
static void pcpuref_kill_test_release_work(struct kunit *test)
{
	struct counted *by_kill = counted_new(test, PCPUREF_RELEASE_WORK | PCPUREF_INIT_ATOMIC);
	struct counted *by_put = counted_new(test, PCPUREF_RELEASE_WORK);
	struct counted *by_grace_period = counted_new(test, PCPUREF_RELEASE_WORK);
	struct counted *all[] = { by_kill, by_put, by_grace_period };
	int i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		all[i]->on_release = release_work_sleeps;
	pcpuref_get(&by_put->ref);
	KUNIT_ASSERT_EQ(test, pcpuref_kill_sync(&by_put->ref), 0);

	local_irq_disable();
	pcpuref_kill(&by_kill->ref);
	pcpuref_put(&by_put->ref);
	pcpuref_kill(&by_grace_period->ref);
	local_irq_enable();

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&all[i]->ref), 0);
		KUNIT_EXPECT_EQ(test, released(all[i]), 1);
		KUNIT_EXPECT_TRUE(test, all[i]->in_release.task);
		KUNIT_EXPECT_EQ(test, all[i]->result, 1);
		KUNIT_EXPECT_PTR_NE(test, all[i]->in_release.thread, current);
	}
}

/* G3: release finds things as the caller of kill or put left them: no lock. */
static void pcpuref_kill_test_release_without_lock(struct kunit *test)
{
	struct counted *by_kill = counted_new(test, PCPUREF_INIT_ATOMIC);
	struct counted *by_put = counted_new(test, PCPUREF_INIT_ATOMIC);
	unsigned int preempt = preempt_count();

	pcpuref_get(&by_put->ref);
	pcpuref_kill(&by_put->ref);
	KUNIT_EXPECT_EQ(test, released(by_put), 0);
	pcpuref_put(&by_put->ref);
	KUNIT_ASSERT_EQ(test, released(by_put), 1);
	KUNIT_EXPECT_FALSE(test, by_put->in_release.irqs_off);
	KUNIT_EXPECT_EQ(test, by_put->in_release.preempt, preempt);

	pcpuref_kill(&by_kill->ref);
	KUNIT_ASSERT_EQ(test, released(by_kill), 1);
	KUNIT_EXPECT_FALSE(test, by_kill->in_release.irqs_off);
	KUNIT_EXPECT_EQ(test, by_kill->in_release.preempt, preempt);
}

static void exit_it(struct counted *c)
{
	c->result = pcpuref_is_zero(&c->ref) && pcpuref_is_dying(&c->ref);
	pcpuref_exit(&c->ref);
	c->result += pcpuref_is_zero(&c->ref);
}

/*
 * L1: mainline hangs for good where release exits a reference that is in atomic
 * mode, as it is called under the lock that exit takes. G3.
 */
static void pcpuref_kill_test_exit_in_release(struct kunit *test)
{
	struct counted *c[NR_STATES];
	int i;

	in_all_states(test, c);
	for (i = 0; i < NR_STATES; i++)
		c[i]->on_release = exit_it;
	kill_all(test, c, NULL);
	pcpuref_barrier();
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, released(c[i]) == 1);
		EXPECT_IN_STATE(test, i, c[i]->result == 2);
		EXPECT_IN_STATE(test, i, !has_data(c[i]));
	}
}

/* The same where the last put releases. */
static void pcpuref_kill_test_exit_in_release_by_put(struct kunit *test)
{
	struct counted *c[NR_STATES];
	int i;

	in_all_states(test, c);
	for (i = 0; i < NR_STATES; i++) {
		c[i]->on_release = exit_it;
		pcpuref_get(&c[i]->ref);
	}
	kill_all(test, c, counted_confirm);
	pcpuref_barrier();
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, confirmed(c[i]) == 1);
		EXPECT_IN_STATE(test, i, released(c[i]) == 0);
		pcpuref_put(&c[i]->ref);
	}
	pcpuref_barrier();
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, released(c[i]) == 1);
		EXPECT_IN_STATE(test, i, c[i]->result == 2);
		EXPECT_IN_STATE(test, i, !has_data(c[i]));
	}
}

/* An object that is gone when release returns. */
struct ephemeral {
	struct counted		c;
	struct completion	*gone;
};

static void free_it(struct counted *c)
{
	struct ephemeral *e = container_of(c, struct ephemeral, c);
	struct completion *gone = e->gone;

	pcpuref_exit(&c->ref);
	/* Who still looks at it shall notice, also without KASAN. */
	memset(e, 0x6b, sizeof(*e));
	kfree(e);
	complete(gone);
}

static struct counted *ephemeral_new(struct kunit *test, int i, struct completion *gone)
{
	struct ephemeral *e = kzalloc(sizeof(*e), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, e);
	counted_prepare(&e->c);
	e->gone = gone;
	e->c.on_release = free_it;
	if (counted_init(&e->c, states[i].flags)) {
		kfree(e);
		KUNIT_FAIL_AND_ABORT(test, "no memory");
	}
	if (states[i].to_atomic)
		pcpuref_switch_to_atomic_sync(&e->c.ref);
	return &e->c;
}

/* G3: freed by release, with and without a confirm, by a kill or a put. */
static void pcpuref_kill_test_free_in_release(struct kunit *test)
{
	DECLARE_COMPLETION_ONSTACK(gone);
	struct counted *c;
	int i, how;

	for (how = 0; how < 4; how++) {
		for (i = 0; i < NR_STATES; i++) {
			c = ephemeral_new(test, i, &gone);
			if (how & 1)
				pcpuref_get(&c->ref);
			preempt_disable();
			begin_switch(c, i);
			pcpuref_kill_and_confirm(&c->ref, how & 2 ? counted_confirm : NULL);
			preempt_enable();
			if (how & 1)
				pcpuref_put(&c->ref);
		}
	}
	for (i = 0; i < 4 * NR_STATES; i++)
		KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&gone, PATIENCE), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_FALSE(test, try_wait_for_completion(&gone));
}

/* Freed by release although somebody waits for release to return. */
static void pcpuref_kill_test_free_in_release_and_wait(struct kunit *test)
{
	DECLARE_COMPLETION_ONSTACK(gone);
	struct counted *c;
	int i;

	for (i = 0; i < NR_STATES; i++) {
		c = ephemeral_new(test, i, &gone);
		begin_switch(c, i);
		/* Exit during release is no cancellation. */
		EXPECT_IN_STATE(test, i, pcpuref_kill_and_wait(&c->ref) == 0);
		EXPECT_IN_STATE(test, i, try_wait_for_completion(&gone));
	}
	pcpuref_barrier();
}

static struct counted *another[NR_STATES];

static void use_another(struct counted *c)
{
	struct counted *a = another[c->result];

	/* A whole life, in here. */
	pcpuref_get(&a->ref);
	pcpuref_switch_to_atomic(&a->ref, counted_confirm_b);
	pcpuref_kill_and_confirm(&a->ref, counted_confirm);
	pcpuref_put(&a->ref);
	atomic_inc(&c->returned);
}

/*
 * U3, G9: there is no lock that two references share, so the release of one may
 * do anything to the other. Mainline would wait for itself in atomic mode.
 */
static void pcpuref_kill_test_release_uses_another(struct kunit *test)
{
	struct counted *c[NR_STATES];
	int i;

	in_all_states(test, c);
	in_all_states(test, another);
	for (i = 0; i < NR_STATES; i++) {
		c[i]->result = i;
		c[i]->on_release = use_another;
		another[i]->on_release = exit_it;
	}
	kill_all(test, c, NULL);
	pcpuref_barrier();
	/* What the releases have begun. */
	pcpuref_barrier();
	for (i = 0; i < NR_STATES; i++) {
		EXPECT_IN_STATE(test, i, released(c[i]) == 1);
		EXPECT_IN_STATE(test, i, released(another[i]) == 1);
		EXPECT_IN_STATE(test, i, confirmed(another[i]) == 1);
		EXPECT_IN_STATE(test, i, atomic_read(&another[i]->confirmed[1]) == 1);
		EXPECT_IN_STATE(test, i, !has_data(another[i]));
	}
}

static bool hold_release;

static void spin_in_release(struct counted *c)
{
	/* In a task here: grace periods of others must end. */
	while (READ_ONCE(hold_release))
		cond_resched();
	atomic_inc(&c->returned);
}

static void __kill(struct helper *h)
{
	pcpuref_kill(&h->c->ref);
}

/* U3, G9: one whose release takes for ever delays no other reference. */
static void pcpuref_kill_test_slow_release_delays_nobody(struct kunit *test)
{
	struct counted *slow, *c;
	struct helper *h;

	if (num_online_cpus() == 1)
		kunit_skip(test, "needs two CPUs");

	slow = counted_new(test, PCPUREF_INIT_ATOMIC);
	slow->on_release = spin_in_release;
	WRITE_ONCE(hold_release, true);
	set_cpus_allowed_ptr(current, cpumask_of(raw_smp_processor_id()));
	h = helper_start_on(test, other_cpu(), __kill, slow, NULL);
	KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&slow->release_done, PATIENCE), 0);

	c = counted_new(test, PCPUREF_ALLOW_REINIT);
	pcpuref_get(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&c->ref), 0);
	pcpuref_exit(&c->ref);
	KUNIT_EXPECT_EQ(test, released(c), 2);
	/* Nor does it keep what is known of itself from being known. */
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&slow->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&slow->ref), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait_timeout(&slow->ref, 1), -ETIMEDOUT);

	WRITE_ONCE(hold_release, false);
	KUNIT_EXPECT_TRUE(test, helper_wait(h));
	set_cpus_allowed_ptr(current, cpu_possible_mask);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&slow->ref), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&slow->returned), 1);
}

static struct kunit_case pcpuref_kill_cases[] = {
	KUNIT_CASE(pcpuref_kill_test_kill),
	KUNIT_CASE(pcpuref_kill_test_confirm),
	KUNIT_CASE(pcpuref_kill_test_confirm_grace_period),
	KUNIT_CASE(pcpuref_kill_test_confirm_waits_for_other_cpu),
	KUNIT_CASE(pcpuref_kill_test_confirm_has_own_grace_period),
#if KERNEL_VERSION(5, 13, 0) <= LINUX_VERSION_CODE
	KUNIT_CASE(pcpuref_kill_test_confirm_not_by_the_one_before),
#endif
	KUNIT_CASE(pcpuref_kill_test_confirms_in_order),
	KUNIT_CASE(pcpuref_kill_test_tryget_in_confirm),
	KUNIT_CASE(pcpuref_kill_test_put_in_confirm),
	KUNIT_CASE(pcpuref_kill_test_never_sleeps),
	KUNIT_CASE(pcpuref_kill_test_release_with_interrupts_off),
	KUNIT_CASE(pcpuref_kill_test_kill_sync),
	KUNIT_CASE(pcpuref_kill_test_kill_sync_waits_for_readers),
	KUNIT_CASE(pcpuref_kill_test_kill_and_wait),
	KUNIT_CASE(pcpuref_kill_test_wait_for_release_to_return),
	KUNIT_CASE(pcpuref_kill_test_join_during_release),
	KUNIT_CASE(pcpuref_kill_test_timeout),
	KUNIT_CASE(pcpuref_kill_test_killable),
	KUNIT_CASE(pcpuref_kill_test_timeout_resurrect),
	KUNIT_CASE(pcpuref_kill_test_many_waiters),
	KUNIT_CASE(pcpuref_kill_test_wait_resurrect),
	KUNIT_CASE(pcpuref_kill_test_no_foreign_wakeups),
	KUNIT_CASE(pcpuref_kill_test_barrier),
	KUNIT_CASE(pcpuref_kill_test_release_work),
	KUNIT_CASE(pcpuref_kill_test_release_without_lock),
	KUNIT_CASE(pcpuref_kill_test_exit_in_release),
	KUNIT_CASE(pcpuref_kill_test_exit_in_release_by_put),
	KUNIT_CASE(pcpuref_kill_test_free_in_release),
	KUNIT_CASE(pcpuref_kill_test_free_in_release_and_wait),
	KUNIT_CASE(pcpuref_kill_test_release_uses_another),
	KUNIT_CASE(pcpuref_kill_test_slow_release_delays_nobody),
	PCPUREF_LAST_CASE,
	{}
};

static struct kunit_suite pcpuref_kill_suite = {
	PCPUREF_SUITE("pcpuref_kill", pcpuref_kill_cases),
};

kunit_test_suite(pcpuref_kill_suite);

MODULE_DESCRIPTION("KUnit tests of pcpuref: kill, confirm and release");
MODULE_LICENSE("GPL");
