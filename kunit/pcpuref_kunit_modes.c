// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite pcpuref_modes: switching between per-CPU and atomic mode, what
 * the flags of init begin with, counters that wrap, and requests that meet a
 * switch in flight, in all combinations.
 */
#include "pcpuref_kunit.h"

/* --- Switches one by one -------------------------------------------------- */

static void pcpuref_modes_test_to_atomic(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);

	pcpuref_get_many(&c->ref, 10);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic(&c->ref, counted_confirm), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 1);
	KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
	KUNIT_EXPECT_FALSE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 11);
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 12);
	/* Again: nothing to switch, but the confirmation comes. */
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic(&c->ref, counted_confirm), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 2);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 12);

	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
	KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 12);
	pcpuref_put_many(&c->ref, 11);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* G2: the confirmation of a switch comes after a grace period, too. */
static void pcpuref_modes_test_confirm_grace_period(struct kunit *test)
{
	struct counted *percpu = counted_new(test, 0);
	struct counted *atomic = counted_new(test, PCPUREF_INIT_ATOMIC);

	preempt_disable();
	EXPECT_LATER(!pcpuref_switch_to_atomic(&percpu->ref, counted_confirm));
	EXPECT_LATER(!pcpuref_switch_to_atomic(&atomic->ref, counted_confirm));
	mdelay(60);
	EXPECT_LATER(confirmed(percpu) == 0);
	EXPECT_LATER(confirmed(atomic) == 0);
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(percpu), 1);
	KUNIT_EXPECT_EQ(test, confirmed(atomic), 1);
}

static void read_it(struct counted *c)
{
	c->result = pcpuref_read(&c->ref);
}

/* When it is confirmed the count is exact. */
static void pcpuref_modes_test_exact_in_confirm(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	c->on_confirm = read_it;
	get_many_on(cpumask_first(cpu_online_mask), &c->ref, 1000);
	put_many_on(cpumask_last(cpu_online_mask), &c->ref, 900);
	preempt_disable();
	EXPECT_LATER(!pcpuref_switch_to_atomic(&c->ref, counted_confirm));
	pcpuref_get_many(&c->ref, 10);
	pcpuref_put_many(&c->ref, 50);
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 1);
	KUNIT_EXPECT_EQ(test, c->result, 61);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 61);
	pcpuref_put_many(&c->ref, 60);
}

/*
 * U1, G11: when it returns, the reference that the switch itself needed is
 * gone, so that a user who compares the count with his own sees it right; also
 * when the reference is dying, or another switch is in flight.
 */
static void pcpuref_modes_test_sync_is_exact(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	int i;

	for (i = 0; i < 8; i++) {
		pcpuref_get_many(&c->ref, 3);
		if (i & 1)
			pcpuref_switch_to_atomic(&c->ref, i & 4 ? counted_confirm : NULL);
		if (i & 2)
			pcpuref_kill(&c->ref);
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
		KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
		/* A kill that was in flight is complete, or counts as one. */
		if (!(i & 2))
			KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 4);
		/* On one that is dying for good the switch takes its own. */
		pcpuref_barrier();
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
		pcpuref_switch_to_atomic(&c->ref, counted_confirm);
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), i & 2 ? 3 : 4);
		if (i & 2)
			pcpuref_resurrect(&c->ref);
		pcpuref_switch_to_percpu(&c->ref);
		KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
		pcpuref_put_many(&c->ref, 3);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	}
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

/* Sticky: through deaths and lives, until it is asked to go back. */
static void pcpuref_modes_test_sticky(struct kunit *test)
{
	struct counted *c = counted_new_atomic(test, PCPUREF_ALLOW_REINIT);
	int i;

	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
		KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
		pcpuref_get(&c->ref);
		KUNIT_EXPECT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
		KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
		KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
		pcpuref_put_many(&c->ref, 2);
	}
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
	KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
}

static void pcpuref_modes_test_init_flags(struct kunit *test)
{
	unsigned int flags;

	for (flags = 0; flags < 16; flags++) {
		struct counted *c = counted_new(test, flags);
		bool dead = flags & PCPUREF_INIT_DEAD;
		bool atomic = flags & PCPUREF_INIT_ATOMIC;
		bool reusable = dead || atomic || flags & PCPUREF_ALLOW_REINIT;

		KUNIT_EXPECT_EQ(test, pcpuref_is_dying(&c->ref), dead);
		KUNIT_EXPECT_EQ(test, pcpuref_is_zero(&c->ref), dead);
		KUNIT_EXPECT_EQ(test, in_percpu_mode(c), !dead && !atomic);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), !dead);
		if (dead)
			KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
		KUNIT_EXPECT_FALSE(test, pcpuref_is_dying(&c->ref));
		KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
		KUNIT_EXPECT_EQ(test, in_percpu_mode(c), !atomic);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
		if (atomic) {
			/* The flag is as good as a switch, and undone by one. */
			KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
			KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
		}
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), 1);
		if (reusable) {
			KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
			KUNIT_EXPECT_EQ(test, counted_die(c), 0);
			KUNIT_EXPECT_EQ(test, released(c), 2);
		}
	}
}

/*
 * L3: with flags 0, mainline's switch to atomic mode leaves a live reference
 * that reads as dying, cannot be looked up, and complains when it is killed.
 */
static void pcpuref_modes_test_atomic_without_reinit(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
	KUNIT_EXPECT_FALSE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* While a switch is in flight its reverse is remembered. */
static void pcpuref_modes_test_back_in_flight(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);

	preempt_disable();
	EXPECT_LATER(!pcpuref_switch_to_atomic(&c->ref, counted_confirm));
	EXPECT_LATER(!pcpuref_switch_to_percpu(&c->ref));
	EXPECT_LATER(pcpuref_tryget_live(&c->ref));
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 1);
	KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
	pcpuref_put(&c->ref);
}

/*
 * F6: back to per-CPU mode together with a kill, in either order, and with
 * reinit after it: a dying reference stays in atomic mode.
 */
static void pcpuref_modes_test_percpu_against_kill(struct kunit *test)
{
	int i;

	for (i = 0; i < 4; i++) {
		struct counted *c = counted_new_atomic(test, PCPUREF_ALLOW_REINIT);
		bool kill_first = i & 1, held = i & 2;

		if (held)
			pcpuref_get(&c->ref);
		preempt_disable();
		if (kill_first)
			pcpuref_kill(&c->ref);
		pcpuref_switch_to_percpu(&c->ref);
		if (!kill_first)
			pcpuref_kill(&c->ref);
		EXPECT_LATER(!in_percpu_mode(c));
		EXPECT_LATER(!pcpuref_tryget_live(&c->ref));
		preempt_enable();
		pcpuref_barrier();
		KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
		KUNIT_EXPECT_EQ(test, released(c), !held);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), held);
		if (held)
			pcpuref_put(&c->ref);
		KUNIT_EXPECT_EQ(test, released(c), 1);
		KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
		KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	}
}

/* F7: many who want the same switch, each with a confirmation of its own. */
static void pcpuref_modes_test_staggered_switches(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	int i;

	preempt_disable();
	for (i = 0; i < 10; i++) {
		pcpuref_switch_to_atomic(&c->ref, counted_confirm);
		pcpuref_switch_to_percpu(&c->ref);
		pcpuref_switch_to_atomic(&c->ref, counted_confirm_b);
	}
	preempt_enable();
	pcpuref_switch_to_atomic(&c->ref, counted_confirm_c);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 10);
	KUNIT_EXPECT_EQ(test, atomic_read(&c->confirmed[1]), 10);
	KUNIT_EXPECT_EQ(test, atomic_read(&c->confirmed[2]), 1);
	KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
}

static void confirm_again(struct counted *c)
{
	if (confirmed(c) < 5)
		pcpuref_switch_to_atomic(&c->ref, counted_confirm);
	else
		pcpuref_switch_to_percpu(&c->ref);
}

/* Confirm may ask for the next switch. */
static void pcpuref_modes_test_switch_in_confirm(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	int i;

	c->on_confirm = confirm_again;
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic(&c->ref, counted_confirm), 0);
	for (i = 0; i < 5; i++)
		KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&c->confirm_done, PATIENCE), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 5);
	KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
}

/* --- Counters that wrap (G13) --------------------------------------------- */

/*
 * Each CPU's counter may wrap any number of times; only the sum of all of them,
 * which itself is taken modulo the width of a long, means something.
 */
static void pcpuref_modes_test_wrap(struct kunit *test)
{
	static const unsigned long steps[] = {
		1, 1000, LONG_MAX, (unsigned long)LONG_MAX + 1, ULONG_MAX, ULONG_MAX / 3,
		ULONG_MAX - 1, 1UL << (BITS_PER_LONG - 2),
	};
	int first = cpumask_first(cpu_online_mask);
	int last = cpumask_last(cpu_online_mask);
	int i, j;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);

		/* What one CPU gets, another one puts; each wraps on its own. */
		for (j = 0; j < 5; j++)
			get_many_on(first, &c->ref, steps[i]);
		pcpuref_get_many(&c->ref, 7);
		for (j = 0; j < 5; j++)
			put_many_on(last, &c->ref, steps[i]);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 8);
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 8);

		/* The counters begin the next round at zero. */
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 8);
		for (j = 0; j < 3; j++)
			put_many_on(first, &c->ref, steps[i]);
		for (j = 0; j < 3; j++)
			get_many_on(last, &c->ref, steps[i]);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 8);
		KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
		pcpuref_barrier();
		KUNIT_EXPECT_EQ(test, released(c), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 7);
		pcpuref_put_many(&c->ref, 6);
		KUNIT_EXPECT_EQ(test, released(c), 0);
		pcpuref_put(&c->ref);
		KUNIT_EXPECT_EQ(test, released(c), 1);
	}
}

/* The same while a switch is in flight: part is in the shared counter. */
static void pcpuref_modes_test_wrap_in_flight(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	pcpuref_get_many(&c->ref, ULONG_MAX);
	pcpuref_get_many(&c->ref, 1000);
	preempt_disable();
	EXPECT_LATER(!pcpuref_kill(&c->ref));
	pcpuref_put_many(&c->ref, 990);
	pcpuref_get_many(&c->ref, 1);
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 10);
	pcpuref_put_many(&c->ref, 10);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* A count of as many references as a quarter of all numbers is no misuse. */
static void pcpuref_modes_test_large_count(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	long many = (1L << (BITS_PER_LONG - 2)) - 10;

	pcpuref_get_many(&c->ref, many);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), many + 1);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), many + 1);
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_many(&c->ref, 5));
	pcpuref_put_many(&c->ref, 5);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), many + 1);
	pcpuref_put_many(&c->ref, many);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* --- All short sequences of requests, against a model --------------------- */

enum request {
	KILL,
	KILL_CONFIRM,
	TO_ATOMIC,
	TO_ATOMIC_CONFIRM,
	TO_PERCPU,
	RESURRECT,
	REINIT,
	PUT,
	NR_REQUESTS,
};

static const char request_letter[] = "kKaApriP";

#define LONGEST		5

/*
 * What DESIGN calls the machine, said in the simplest way: what is wanted, what
 * is in flight, and what must have been called.
 */
struct model {
	/* What is wanted. */
	bool	live;
	bool	force_atomic;
	/* It has no counters, and nobody asks for any. */
	bool	lazy;
	/* What is. */
	bool	dying;
	bool	zero;
	bool	percpu;
	bool	switching;
	bool	busy;
	bool	initial;
	int	held;
	/* What has been promised, to whom, and what was called. */
	int	promised[2];
	int	confirmed[2];
	int	released;
};

/* @rests has bit n set to let things come to rest after request n. */
struct sequence {
	struct counted	*c;
	struct model	model;
	unsigned int	flags;
	unsigned int	code;
	unsigned int	rests;
	int		length;
	int		next;
};

static enum request nth_request(unsigned int code, int n)
{
	return code >> (3 * n) & 7;
}

static void model_start(struct model *m, unsigned int flags)
{
	memset(m, 0, sizeof(*m));
	m->force_atomic = flags & PCPUREF_INIT_ATOMIC;
	m->live = !(flags & PCPUREF_INIT_DEAD);
	m->initial = m->live;
	m->held = m->live;
	m->dying = !m->live;
	m->zero = !m->live;
	m->lazy = flags & PCPUREF_INIT_LAZY;
	m->percpu = m->live && !m->force_atomic && !m->lazy;
}

static void model_zero(struct model *m)
{
	if (!m->live && !m->initial && !m->held && !m->zero) {
		m->zero = true;
		m->released++;
	}
}

/* What happens as soon as nothing is in flight. */
static void model_settle(struct model *m)
{
	if (m->busy)
		return;
	if (m->switching || m->promised[0] || m->promised[1]) {
		m->busy = true;
		return;
	}
	if (m->live) {
		m->percpu = !m->force_atomic && !m->lazy;
	} else {
		m->initial = false;
		model_zero(m);
	}
}

/* Let all that is in flight come to its end. */
static void model_quiesce(struct model *m)
{
	int i;

	while (m->busy) {
		m->busy = false;
		m->switching = false;
		for (i = 0; i < 2; i++) {
			m->confirmed[i] += m->promised[i];
			m->promised[i] = 0;
		}
		model_zero(m);
		model_settle(m);
	}
}

static void model_leave_percpu(struct model *m)
{
	if (m->percpu)
		m->switching = true;
	m->percpu = false;
}

/* Return: false if the request would be misuse. */
static bool model_request(struct model *m, unsigned int flags, enum request r)
{
	switch (r) {
	case KILL:
	case KILL_CONFIRM:
		if (!m->live)
			return false;
		m->live = false;
		m->dying = true;
		m->promised[0] += r == KILL_CONFIRM;
		model_leave_percpu(m);
		break;
	case TO_ATOMIC:
	case TO_ATOMIC_CONFIRM:
		m->force_atomic = true;
		m->promised[1] += r == TO_ATOMIC_CONFIRM;
		model_leave_percpu(m);
		break;
	case TO_PERCPU:
		/* When a lazy one then gets its counters is nobody's promise. */
		if (!flags || m->lazy)
			return false;
		m->force_atomic = false;
		break;
	case RESURRECT:
	case REINIT:
		if (!flags || m->live || (r == REINIT && !m->zero))
			return false;
		m->live = true;
		m->initial = true;
		m->zero = false;
		/* In effect at once, whatever is in flight: G15. */
		m->dying = false;
		break;
	case PUT:
		if (!m->held)
			return false;
		m->held--;
		/* While one is in flight the machine itself holds one. */
		if (!m->busy)
			model_zero(m);
		return true;
	default:
		return false;
	}
	model_settle(m);
	return true;
}

static bool make_request(struct counted *c, enum request r)
{
	switch (r) {
	case KILL:
		return !pcpuref_kill(&c->ref);
	case KILL_CONFIRM:
		return !pcpuref_kill_and_confirm(&c->ref, counted_confirm);
	case TO_ATOMIC:
		return !pcpuref_switch_to_atomic(&c->ref, NULL);
	case TO_ATOMIC_CONFIRM:
		return !pcpuref_switch_to_atomic(&c->ref, counted_confirm_b);
	case TO_PERCPU:
		return !pcpuref_switch_to_percpu(&c->ref);
	case RESURRECT:
		return !pcpuref_resurrect(&c->ref);
	case REINIT:
		return !pcpuref_reinit(&c->ref);
	case PUT:
		pcpuref_put(&c->ref);
		return true;
	default:
		return false;
	}
}

/* Return: what is not as the model says, or NULL. */
static const char *compare(struct counted *c, const struct model *m)
{
	bool taken;

	if (pcpuref_is_dying(&c->ref) != m->dying)
		return "is_dying";
	if (pcpuref_is_zero(&c->ref) != m->zero)
		return "is_zero";
	if (in_percpu_mode(c) != m->percpu)
		return "mode";
	if (released(c) != m->released)
		return "releases";
	if (atomic_read(&c->confirmed[0]) != m->confirmed[0])
		return "confirms of kill";
	if (atomic_read(&c->confirmed[1]) != m->confirmed[1])
		return "confirms of switch";
	taken = pcpuref_tryget_live(&c->ref);
	if (taken)
		pcpuref_put(&c->ref);
	if (taken == m->dying)
		return "tryget_live";
	taken = pcpuref_tryget(&c->ref);
	if (taken)
		pcpuref_put(&c->ref);
	if (taken == m->zero)
		return "tryget";
	/* What a kill in flight counts is nobody's business. */
	if ((m->live || !m->busy) && pcpuref_read(&c->ref) != m->held + m->initial)
		return "read";
	return NULL;
}

static void complain(struct kunit *test, const struct sequence *s, const char *what)
{
	char word[2 * LONGEST + 1];
	int i, n = 0;

	for (i = 0; i < s->next; i++) {
		word[n++] = request_letter[nth_request(s->code, i)];
		if (s->rests & BIT(i))
			word[n++] = '.';
	}
	word[n] = '\0';
	KUNIT_FAIL(test, "flags %u, requests %s: wrong %s", s->flags, word, what);
}

/* Is the whole sequence legal? */
static bool legal(const struct sequence *s)
{
	struct model m;
	int i;

	model_start(&m, s->flags);
	for (i = 0; i < s->length; i++) {
		if (!model_request(&m, s->flags, nth_request(s->code, i)))
			return false;
		if (s->rests & BIT(i))
			model_quiesce(&m);
	}
	return true;
}

/* Make the requests up to the next rest, back to back. */
static const char *advance(struct sequence *s)
{
	const char *wrong = NULL;
	bool rest = false;

	/* No grace period ends as long as this CPU is in here. */
	preempt_disable();
	while (s->next < s->length && !rest && !wrong) {
		enum request r = nth_request(s->code, s->next);

		model_request(&s->model, s->flags, r);
		if (make_request(s->c, r))
			wrong = compare(s->c, &s->model);
		else
			wrong = "return value";
		rest = s->rests & BIT(s->next);
		s->next++;
	}
	preempt_enable();
	return wrong;
}

/* How many sequences go side by side; they share the waiting. */
#define ABREAST		8192

/* One that fails tells most; the others only that it is not alone. */
#define COMPLAINTS	20

static int run_abreast(struct kunit *test, struct sequence *sequences, int n)
{
	int i, unfinished, complaints = 0;
	const char *wrong;

	for (i = 0; i < n; i++) {
		struct sequence *s = &sequences[i];

		KUNIT_ASSERT_EQ(test, counted_init(s->c, s->flags), 0);
		model_start(&s->model, s->flags);
		if (s->model.held)
			pcpuref_get(&s->c->ref);
		s->next = 0;
	}
	do {
		unfinished = 0;
		for (i = 0; i < n && complaints < COMPLAINTS; i++) {
			wrong = advance(&sequences[i]);
			if (wrong) {
				complain(test, &sequences[i], wrong);
				complaints++;
			}
			unfinished += sequences[i].next < sequences[i].length;
			if (!(i & 63))
				cond_resched();
		}
		pcpuref_barrier();
		for (i = 0; i < n && complaints < COMPLAINTS; i++) {
			struct sequence *s = &sequences[i];

			model_quiesce(&s->model);
			wrong = compare(s->c, &s->model);
			if (wrong) {
				complain(test, s, wrong);
				complaints++;
			}
		}
		if (complaints)
			return complaints;
	} while (unfinished);
	for (i = 0; i < n; i++) {
		struct sequence *s = &sequences[i];

		if (s->model.held)
			pcpuref_put(&s->c->ref);
		pcpuref_exit(&s->c->ref);
		counted_clear(s->c);
		if (!(i & 63))
			cond_resched();
	}
	return 0;
}

static const unsigned int model_flags[] = {
	0,
	PCPUREF_ALLOW_REINIT,
	PCPUREF_INIT_ATOMIC,
	PCPUREF_INIT_DEAD,
	PCPUREF_INIT_DEAD | PCPUREF_INIT_ATOMIC,
	PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT,
};

/* The next sequence that is legal, in @s; false if there is none. */
static bool next_sequence(struct sequence *s, int *nr_flags)
{
	do {
		if (++s->code < 1U << (3 * s->length))
			continue;
		s->code = 0;
		/* The longest ones never rest, or do so each time. */
		s->rests = s->length < LONGEST || s->rests ? s->rests + 1 :
			   BIT(LONGEST - 1) - 1;
		if (s->rests < BIT(s->length - 1))
			continue;
		s->rests = 0;
		if (++s->length <= LONGEST)
			continue;
		s->length = 1;
		if (++*nr_flags == ARRAY_SIZE(model_flags))
			return false;
		s->flags = model_flags[*nr_flags];
	} while (!legal(s));

	return true;
}

/*
 * G2, G4, F6, F7, F12, L4: every sequence of up to four requests that is no
 * misuse, for every choice of the places where what is in flight comes to rest;
 * and those of five that never rest, or do so each time.
 */
static void pcpuref_modes_test_all_sequences(struct kunit *test)
{
	struct sequence *sequences, now = { .length = 1, .flags = model_flags[0] };
	int i, n = 0, total = 0, nr_flags = 0;

	BUILD_BUG_ON(NR_REQUESTS != 8);
	sequences = kunit_kcalloc(test, ABREAST, sizeof(*sequences), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, sequences);
	for (i = 0; i < ABREAST; i++)
		sequences[i].c = counted_alloc(test);

	do {
		if (n == ABREAST) {
			if (run_abreast(test, sequences, n))
				return;
			total += n;
			n = 0;
		}
		now.c = sequences[n].c;
		sequences[n++] = now;
	} while (next_sequence(&now, &nr_flags));
	run_abreast(test, sequences, n);
	total += n;
	kunit_info(test, "%d sequences", total);
	KUNIT_EXPECT_GT(test, total, 50000);
}

static struct kunit_case pcpuref_modes_cases[] = {
	KUNIT_CASE(pcpuref_modes_test_to_atomic),
	KUNIT_CASE(pcpuref_modes_test_confirm_grace_period),
	KUNIT_CASE(pcpuref_modes_test_exact_in_confirm),
	KUNIT_CASE(pcpuref_modes_test_sync_is_exact),
	KUNIT_CASE(pcpuref_modes_test_sticky),
	KUNIT_CASE(pcpuref_modes_test_init_flags),
	KUNIT_CASE(pcpuref_modes_test_atomic_without_reinit),
	KUNIT_CASE(pcpuref_modes_test_back_in_flight),
	KUNIT_CASE(pcpuref_modes_test_percpu_against_kill),
	KUNIT_CASE(pcpuref_modes_test_staggered_switches),
	KUNIT_CASE(pcpuref_modes_test_switch_in_confirm),
	KUNIT_CASE(pcpuref_modes_test_wrap),
	KUNIT_CASE(pcpuref_modes_test_wrap_in_flight),
	KUNIT_CASE(pcpuref_modes_test_large_count),
	KUNIT_CASE(pcpuref_modes_test_all_sequences),
	PCPUREF_LAST_CASE,
	{}
};

static struct kunit_suite pcpuref_modes_suite = {
	PCPUREF_SUITE("pcpuref_modes", pcpuref_modes_cases),
};

kunit_test_suite(pcpuref_modes_suite);

MODULE_DESCRIPTION("KUnit tests of pcpuref: modes and switches");
MODULE_LICENSE("GPL");
