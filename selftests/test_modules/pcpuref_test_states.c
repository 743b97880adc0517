// SPDX-License-Identifier: GPL-2.0-only
/*
 * Scenarios of the state machine of a reference, one at a time: every
 * transition, requests that meet a switch in flight, what callbacks may do.
 * Those named after a label of the list of known traps (F1, L1, U1 ...) or a
 * guarantee (G1 ...) fail when that is broken.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/smp.h>

#include "pcpuref_test.h"

struct obj {
	struct pcpuref		ref;
	struct test		*t;
	atomic_t		releases;
	atomic_t		confirms;
	atomic_t		switches;
	char			log[16];
	unsigned int		logged;
	/* What a callback found, or what it is to do. */
	int			found;
	int			todo;
};

static void note(struct obj *o, char what)
{
	unsigned int at = o->logged++;

	if (at < sizeof(o->log) - 1)
		o->log[at] = what;
}

static void release(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);

	note(o, 'R');
	atomic_inc(&o->releases);
}

static void confirm(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);

	note(o, 'C');
	atomic_inc(&o->confirms);
}

static void switched(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);

	note(o, 'S');
	atomic_inc(&o->switches);
}

/* F5: init must not count on zeroed memory. */
static struct obj *obj_new_with(struct test *t, pcpuref_func_t *func, unsigned int flags)
{
	struct obj *o = kmalloc(sizeof(*o), GFP_KERNEL);

	if (!EXPECT(t, o))
		return NULL;
	memset(o, 0, sizeof(*o));
	memset(&o->ref, 0xa5, sizeof(o->ref));
	o->t = t;
	if (!EXPECT_EQ(t, pcpuref_init(&o->ref, func, flags, GFP_KERNEL), 0)) {
		kfree(o);
		return NULL;
	}
	return o;
}

static struct obj *obj_new(struct test *t, unsigned int flags)
{
	return obj_new_with(t, release, flags);
}

/* What belongs to a failed case is left as it is. */
static void obj_free(struct test *t, struct obj *o)
{
	if (READ_ONCE(t->failed))
		return;
	pcpuref_exit(&o->ref);
	kfree(o);
}

#define RELEASES(o)	atomic_read(&(o)->releases)
#define CONFIRMS(o)	atomic_read(&(o)->confirms)
#define SWITCHES(o)	atomic_read(&(o)->switches)

static unsigned long tags(struct obj *o)
{
	return READ_ONCE(o->ref.word) & (__PCPUREF_ATOMIC | __PCPUREF_DEAD);
}

/* --- One life --------------------------------------------------------------- */

static void life_percpu(struct test *t)
{
	struct obj *o = obj_new(t, 0);

	if (!o)
		return;
	EXPECT_EQ(t, tags(o), 0);
	EXPECT_EQ(t, pcpuref_read(&o->ref), 1);
	EXPECT(t, !pcpuref_is_dying(&o->ref) && !pcpuref_is_zero(&o->ref));

	pcpuref_get(&o->ref);
	pcpuref_get_many(&o->ref, 5);
	EXPECT(t, pcpuref_tryget(&o->ref));
	EXPECT(t, pcpuref_tryget_many(&o->ref, 2));
	EXPECT(t, pcpuref_get_unless_zero(&o->ref));
	EXPECT(t, pcpuref_tryget_live(&o->ref));
	EXPECT(t, pcpuref_tryget_live_many(&o->ref, 3));
	EXPECT_EQ(t, pcpuref_read(&o->ref), 15);

	EXPECT(t, pcpuref_kill_and_confirm(&o->ref, confirm));
	EXPECT(t, pcpuref_is_dying(&o->ref));
	EXPECT(t, !pcpuref_tryget_live(&o->ref));
	EXPECT(t, pcpuref_tryget(&o->ref));
	EXPECT(t, SOON(pcpuref_read(&o->ref) == 15));
	EXPECT_EQ(t, CONFIRMS(o), 1);
	EXPECT(t, !pcpuref_is_zero(&o->ref));

	pcpuref_put_many(&o->ref, 13);
	pcpuref_put(&o->ref);
	EXPECT_EQ(t, RELEASES(o), 0);
	pcpuref_put(&o->ref);
	EXPECT_EQ(t, RELEASES(o), 1);
	EXPECT_EQ(t, strcmp(o->log, "CR"), 0);
	EXPECT(t, pcpuref_is_zero(&o->ref) && pcpuref_is_dying(&o->ref));
	EXPECT(t, !pcpuref_tryget(&o->ref) && !pcpuref_tryget_live(&o->ref));
	EXPECT_EQ(t, pcpuref_read(&o->ref), 0);
	obj_free(t, o);
}

static void life_atomic(struct test *t)
{
	struct obj *o = obj_new(t, PCPUREF_INIT_ATOMIC);

	if (!o)
		return;
	EXPECT_EQ(t, tags(o), __PCPUREF_ATOMIC);
	EXPECT(t, !pcpuref_is_dying(&o->ref) && !pcpuref_is_zero(&o->ref));
	pcpuref_get_many(&o->ref, 2);
	EXPECT(t, pcpuref_tryget_live(&o->ref));
	EXPECT_EQ(t, pcpuref_read(&o->ref), 4);
	/* Without a confirm there is nothing to wait for. */
	EXPECT(t, pcpuref_kill(&o->ref));
	EXPECT_EQ(t, pcpuref_read(&o->ref), 3);
	EXPECT(t, !pcpuref_tryget_live(&o->ref));
	EXPECT(t, pcpuref_tryget(&o->ref));
	pcpuref_put_many(&o->ref, 4);
	EXPECT_EQ(t, RELEASES(o), 1);
	/* It stays in atomic mode in the next life. */
	EXPECT(t, pcpuref_reinit(&o->ref));
	EXPECT_EQ(t, tags(o), __PCPUREF_ATOMIC);
	EXPECT(t, pcpuref_switch_to_percpu(&o->ref));
	EXPECT_EQ(t, tags(o), 0);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	EXPECT_EQ(t, RELEASES(o), 2);
	obj_free(t, o);
}

static void life_init_dead(struct test *t)
{
	struct obj *o = obj_new(t, PCPUREF_INIT_DEAD);

	if (!o)
		return;
	EXPECT(t, pcpuref_is_dying(&o->ref) && pcpuref_is_zero(&o->ref));
	EXPECT(t, !pcpuref_tryget(&o->ref) && !pcpuref_tryget_live(&o->ref));
	EXPECT_EQ(t, pcpuref_read(&o->ref), 0);
	/* There was no life to wait for the end of. */
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	EXPECT_EQ(t, RELEASES(o), 0);
	EXPECT(t, pcpuref_reinit(&o->ref));
	EXPECT_EQ(t, tags(o), 0);
	EXPECT(t, !pcpuref_is_dying(&o->ref) && !pcpuref_is_zero(&o->ref));
	EXPECT(t, pcpuref_tryget_live(&o->ref));
	pcpuref_put(&o->ref);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	EXPECT_EQ(t, RELEASES(o), 1);
	obj_free(t, o);

	o = obj_new(t, PCPUREF_INIT_DEAD | PCPUREF_INIT_ATOMIC);
	if (!o)
		return;
	EXPECT(t, pcpuref_is_dying(&o->ref) && pcpuref_is_zero(&o->ref));
	EXPECT(t, pcpuref_resurrect(&o->ref));
	EXPECT_EQ(t, tags(o), __PCPUREF_ATOMIC);
	EXPECT(t, pcpuref_kill(&o->ref));
	EXPECT_EQ(t, RELEASES(o), 1);
	obj_free(t, o);
}

/* F8 and F9: what failed or never began is safe to exit, also twice. */
static void init_errors(struct test *t)
{
	pcpuref_func_t *none = NULL;
	struct pcpuref ref;

	memset(&ref, 0, sizeof(ref));
	pcpuref_exit(&ref);
	pcpuref_exit(&ref);
	EXPECT_EQ(t, pcpuref_read(&ref), 0);

	memset(&ref, 0xa5, sizeof(ref));
	EXPECT_EQ(t, pcpuref_init(&ref, none, 0, GFP_KERNEL), -EINVAL);
	EXPECT(t, !pcpuref_tryget(&ref) && !pcpuref_tryget_live(&ref));
	EXPECT(t, pcpuref_is_dying(&ref));
	EXPECT_EQ(t, pcpuref_read(&ref), 0);
	pcpuref_exit(&ref);
	pcpuref_exit(&ref);

	memset(&ref, 0xa5, sizeof(ref));
	EXPECT_EQ(t, pcpuref_init(&ref, release, BIT(20), GFP_KERNEL), -EINVAL);
	EXPECT(t, !pcpuref_tryget(&ref));
	pcpuref_exit(&ref);
}

static void cancel_init(struct test *t)
{
	static const unsigned int flags[] = {
		0, PCPUREF_ALLOW_REINIT, PCPUREF_INIT_ATOMIC, PCPUREF_INIT_DEAD,
		PCPUREF_RELEASE_WORK,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct obj *o = obj_new(t, flags[i]);

		if (!o)
			return;
		pcpuref_cancel_init(&o->ref);
		EXPECT(t, !pcpuref_tryget(&o->ref));
		EXPECT(t, !pcpuref_tryget_live(&o->ref));
		pcpuref_barrier();
		EXPECT_EQ(t, RELEASES(o), 0);
		kfree(o);
	}
}

/*
 * F9: the second allocation fails. The per-CPU allocator has little that it
 * may give away without sleeping, and no more while nobody lets it refill.
 */
static void init_out_of_memory(struct test *t)
{
	const unsigned int most = 40000;
	struct pcpuref *refs = kvcalloc(most, sizeof(*refs), GFP_KERNEL);
	unsigned int n;
	int err = 0;

	if (!EXPECT(t, refs))
		return;
	for (n = 0; n < most; n++) {
		memset(&refs[n], 0xa5, sizeof(refs[n]));
		err = pcpuref_init(&refs[n], release, 0, GFP_NOWAIT | __GFP_NOWARN);
		if (err)
			break;
	}
	if (n == most) {
		t->skipped = "the per-CPU allocator did not run out";
	} else {
		EXPECT_EQ(t, err, -ENOMEM);
		EXPECT(t, !pcpuref_tryget(&refs[n]) && !pcpuref_tryget_live(&refs[n]));
		pcpuref_exit(&refs[n]);
		pcpuref_exit(&refs[n]);
	}
	while (n--)
		pcpuref_cancel_init(&refs[n]);
	kvfree(refs);
}

/* L7 and F10: what is_zero says stays true after exit. */
static void zero_after_exit(struct test *t)
{
	struct obj *o = obj_new(t, 0);

	if (!o)
		return;
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	pcpuref_exit(&o->ref);
	EXPECT(t, pcpuref_is_zero(&o->ref));
	EXPECT(t, pcpuref_is_dying(&o->ref));
	EXPECT(t, !pcpuref_tryget(&o->ref) && !pcpuref_tryget_live(&o->ref));
	EXPECT_EQ(t, pcpuref_read(&o->ref), 0);
	kfree(o);

	/* Nor has a live one that nobody used become zero. */
	o = obj_new(t, 0);
	if (!o)
		return;
	pcpuref_exit(&o->ref);
	EXPECT(t, !pcpuref_is_zero(&o->ref));
	kfree(o);
}

/* --- Counting --------------------------------------------------------------- */

struct add {
	struct pcpuref	*ref;
	unsigned long	nr;
};

static void get_here(void *arg)
{
	struct add *add = arg;

	pcpuref_get_many(add->ref, add->nr);
}

static void put_here(void *arg)
{
	struct add *add = arg;

	pcpuref_put_many(add->ref, add->nr);
}

/*
 * G13: gets on one CPU, puts on another; counters that wrap. F1 is about the
 * same counters, see the storm.
 */
static void counters_wrap(struct test *t)
{
	struct obj *o = obj_new(t, PCPUREF_ALLOW_REINIT);
	int here = cpumask_first(cpu_online_mask);
	int there = cpumask_next(here, cpu_online_mask);
	struct add add;
	int i;

	if (!o)
		return;
	if (there >= (int)nr_cpu_ids)
		there = here;
	add.ref = &o->ref;
	add.nr = 1000;
	smp_call_function_single(here, get_here, &add, 1);
	add.nr = 997;
	smp_call_function_single(there, put_here, &add, 1);
	EXPECT_EQ(t, pcpuref_read(&o->ref), 4);

	/* Half of the number range, twice: the first CPU's counter wraps. */
	add.nr = 1UL << (BITS_PER_LONG - 1);
	for (i = 0; i < 2; i++)
		smp_call_function_single(here, get_here, &add, 1);
	EXPECT_EQ(t, pcpuref_read(&o->ref), 4);
	add.nr = 3UL << (BITS_PER_LONG - 2);
	smp_call_function_single(here, get_here, &add, 1);
	smp_call_function_single(there, put_here, &add, 1);
	EXPECT_EQ(t, pcpuref_read(&o->ref), 4);

	EXPECT(t, pcpuref_kill_and_confirm(&o->ref, confirm));
	EXPECT(t, SOON(CONFIRMS(o) == 1 && pcpuref_read(&o->ref) == 3));
	pcpuref_put_many(&o->ref, 3);
	EXPECT_EQ(t, RELEASES(o), 1);
	/* The counters begin the next life empty. */
	EXPECT(t, pcpuref_reinit(&o->ref));
	EXPECT_EQ(t, pcpuref_read(&o->ref), 1);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	obj_free(t, o);
}

static void scopes(struct test *t)
{
#ifdef DEFINE_CLASS
	struct obj *o = obj_new(t, PCPUREF_INIT_ATOMIC);

	if (!o)
		return;
	{
		CLASS(pcpuref, held)(&o->ref);
		CLASS(pcpuref_tryget, second)(&o->ref);
		CLASS(pcpuref_tryget_live, third)(&o->ref);

		EXPECT(t, held == &o->ref && second == &o->ref && third == &o->ref);
		EXPECT_EQ(t, pcpuref_read(&o->ref), 4);
	}
	EXPECT_EQ(t, pcpuref_read(&o->ref), 1);
	pcpuref_get(&o->ref);
	{
		struct pcpuref *mine __free(pcpuref_put) = &o->ref;

		EXPECT(t, pcpuref_kill(mine));
		EXPECT_EQ(t, RELEASES(o), 0);
	}
	EXPECT_EQ(t, RELEASES(o), 1);
	{
		CLASS(pcpuref_tryget, held)(&o->ref);
		CLASS(pcpuref_tryget_live, second)(&o->ref);

		EXPECT(t, !held && !second);
	}
	EXPECT_EQ(t, RELEASES(o), 1);
	obj_free(t, o);
#else
	t->skipped = "no cleanup.h in this kernel";
#endif
}

/* --- Confirm and grace periods ----------------------------------------------- */

/* Somebody who may have looked at the word before the kill, and still may get. */
static int reader_inside, reader_may_go;

static int reader(void *arg)
{
	unsigned long end = jiffies + TEST_PATIENCE_S * HZ;

	preempt_disable();
	WRITE_ONCE(reader_inside, 1);
	while (!READ_ONCE(reader_may_go) && time_before(jiffies, end))
		cpu_relax();
	WRITE_ONCE(reader_inside, 0);
	preempt_enable();
	return 0;
}

static void confirm_looks_for_reader(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);

	WRITE_ONCE(o->found, READ_ONCE(reader_inside) ? -1 : 1);
	atomic_inc(&o->confirms);
}

static void confirm_after_readers(struct test *t, unsigned int flags, bool kill)
{
	int cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());
	struct test_thread *thread;
	struct obj *o;

	if (cpu >= (int)nr_cpu_ids) {
		t->skipped = "needs two CPUs";
		return;
	}
	o = obj_new(t, flags);
	if (!o)
		return;
	reader_may_go = 0;
	thread = test_start(reader, NULL, cpu);
	if (!EXPECT(t, thread) || !EXPECT(t, SOON(READ_ONCE(reader_inside))))
		return;

	if (kill)
		EXPECT(t, pcpuref_kill_and_confirm(&o->ref, confirm_looks_for_reader));
	else
		EXPECT(t, pcpuref_switch_to_atomic(&o->ref, confirm_looks_for_reader));
	/* Many grace periods long, if there were any. */
	msleep(100);
	EXPECT_EQ(t, CONFIRMS(o), 0);
	EXPECT_EQ(t, RELEASES(o), 0);
	WRITE_ONCE(reader_may_go, 1);
	EXPECT(t, test_join(thread, TEST_PATIENCE_S, NULL));
	EXPECT(t, SOON(CONFIRMS(o) == 1));
	EXPECT_EQ(t, o->found, 1);

	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	EXPECT_EQ(t, CONFIRMS(o), 1);
	EXPECT_EQ(t, RELEASES(o), 1);
	obj_free(t, o);
}

/* G2 and F2: preempt-off readers are what is waited for. */
static void confirm_after_readers_percpu(struct test *t)
{
	confirm_after_readers(t, 0, true);
	confirm_after_readers(t, 0, false);
}

/* L2: in atomic mode too. */
static void confirm_after_readers_atomic(struct test *t)
{
	confirm_after_readers(t, PCPUREF_INIT_ATOMIC, true);
	confirm_after_readers(t, PCPUREF_INIT_ATOMIC, false);
}

/* L4 and F12: a resurrect at once does not make the confirm disappear. */
static void confirm_not_lost(struct test *t)
{
	struct obj *o = obj_new(t, PCPUREF_ALLOW_REINIT);
	const int rounds = 50;
	int i;

	if (!o)
		return;
	EXPECT(t, pcpuref_kill_and_confirm(&o->ref, confirm));
	EXPECT(t, pcpuref_resurrect(&o->ref));
	EXPECT(t, SOON(CONFIRMS(o) == 1 && !tags(o)));
	EXPECT(t, pcpuref_tryget_live(&o->ref));
	pcpuref_put(&o->ref);

	for (i = 0; i < rounds; i++) {
		EXPECT(t, pcpuref_kill_and_confirm(&o->ref, confirm));
		EXPECT(t, pcpuref_resurrect(&o->ref));
		if (i % 8 == 0)
			usleep_range(1000, 2000);
	}
	EXPECT(t, SOON(CONFIRMS(o) == 1 + rounds && !tags(o)));
	EXPECT_EQ(t, RELEASES(o), 0);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	EXPECT_EQ(t, RELEASES(o), 1);
	EXPECT_EQ(t, CONFIRMS(o), 1 + rounds);
	obj_free(t, o);
}

static void try_here(void *arg)
{
	struct obj *o = arg;

	if (pcpuref_tryget_live(&o->ref))
		WRITE_ONCE(o->found, 1);
}

static void kill_sync(struct test *t)
{
	static const unsigned int flags[] = { 0, PCPUREF_INIT_ATOMIC };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct obj *o = obj_new(t, flags[i]);

		if (!o)
			return;
		pcpuref_get(&o->ref);
		EXPECT_EQ(t, pcpuref_kill_sync(&o->ref), 0);
		on_each_cpu(try_here, o, 1);
		EXPECT_EQ(t, o->found, 0);
		EXPECT(t, pcpuref_tryget(&o->ref));
		/* Of a dying one it only waits. */
		EXPECT_EQ(t, pcpuref_kill_sync(&o->ref), 0);
		EXPECT(t, SOON(pcpuref_read(&o->ref) == 2));
		pcpuref_put_many(&o->ref, 2);
		EXPECT_EQ(t, RELEASES(o), 1);
		obj_free(t, o);
	}
}

/* --- Modes -------------------------------------------------------------------- */

/*
 * L3: switching a reference that cannot be reinitialised leaves it alive, while
 * the switch is under way (which here it is, with preemption off) and after it.
 */
static void switch_without_reinit(struct test *t)
{
	struct obj *o = obj_new(t, 0);

	if (!o)
		return;
	preempt_disable();
	EXPECT(t, pcpuref_switch_to_atomic(&o->ref, switched));
	EXPECT(t, !pcpuref_is_dying(&o->ref));
	EXPECT(t, pcpuref_tryget_live(&o->ref));
	EXPECT_EQ(t, SWITCHES(o), 0);
	preempt_enable();
	EXPECT_EQ(t, pcpuref_switch_to_atomic_sync(&o->ref), 0);
	EXPECT_EQ(t, SWITCHES(o), 1);
	EXPECT(t, !pcpuref_is_dying(&o->ref));
	EXPECT_EQ(t, tags(o), __PCPUREF_ATOMIC);
	EXPECT(t, pcpuref_tryget_live(&o->ref));
	EXPECT_EQ(t, pcpuref_read(&o->ref), 3);
	pcpuref_put_many(&o->ref, 2);
	EXPECT(t, pcpuref_kill(&o->ref));
	EXPECT_EQ(t, RELEASES(o), 1);
	obj_free(t, o);
}

static void switch_here(void *arg)
{
	struct obj *o = arg;

	pcpuref_switch_to_atomic(&o->ref, switched);
}

/*
 * U1 and G11: when the _sync call returns, what is held is what is counted. Of
 * a live reference, and of one whose kill is complete, where the switch has a
 * reference of its own meanwhile: then the last put comes out at once.
 */
static void switch_sync_exact(struct test *t)
{
	struct obj *o = obj_new(t, PCPUREF_ALLOW_REINIT);
	int i, there;

	if (!o)
		return;
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(t, pcpuref_switch_to_atomic_sync(&o->ref), 0);
		EXPECT_EQ(t, pcpuref_read(&o->ref), 1);
		EXPECT(t, pcpuref_switch_to_percpu(&o->ref));
		EXPECT_EQ(t, tags(o), 0);
	}

	for (i = 1; i <= 5 && !t->failed; i++) {
		pcpuref_get(&o->ref);
		EXPECT(t, pcpuref_kill_and_confirm(&o->ref, confirm));
		EXPECT(t, SOON(CONFIRMS(o) == i && pcpuref_read(&o->ref) == 1));
		/* By another CPU, whose RCU callbacks do not hold up this one. */
		there = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());
		if (there >= (int)nr_cpu_ids)
			there = raw_smp_processor_id();
		EXPECT_EQ(t, smp_call_function_single(there, switch_here, o, 1), 0);
		EXPECT_EQ(t, pcpuref_switch_to_atomic_sync(&o->ref), 0);
		EXPECT_EQ(t, SWITCHES(o), i);
		EXPECT_EQ(t, pcpuref_read(&o->ref), 1);
		pcpuref_put(&o->ref);
		EXPECT_EQ(t, RELEASES(o), i);
		EXPECT(t, pcpuref_reinit(&o->ref));
	}
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	obj_free(t, o);
}

/* A switch asked for after the kill is complete keeps it until it is over. */
static void switch_of_a_dying_one(struct test *t)
{
	struct obj *o = obj_new(t, 0);

	if (!o)
		return;
	pcpuref_get(&o->ref);
	EXPECT(t, pcpuref_kill_and_confirm(&o->ref, confirm));
	EXPECT(t, SOON(CONFIRMS(o) == 1 && pcpuref_read(&o->ref) == 1));
	EXPECT(t, pcpuref_switch_to_atomic(&o->ref, switched));
	pcpuref_put(&o->ref);
	EXPECT(t, SOON(RELEASES(o) == 1));
	EXPECT_EQ(t, strcmp(o->log, "CSR"), 0);
	/* Of one that is released already: the confirm all the same. */
	EXPECT(t, pcpuref_switch_to_atomic(&o->ref, switched));
	EXPECT(t, SOON(SWITCHES(o) == 2));
	pcpuref_barrier();
	EXPECT_EQ(t, RELEASES(o), 1);
	obj_free(t, o);
}

/* F7: switches that overlap each get their confirm, once. */
static void staggered_switches(struct test *t)
{
	struct obj *o = obj_new(t, PCPUREF_ALLOW_REINIT);
	int i;

	if (!o)
		return;
	for (i = 0; i < 20; i++) {
		EXPECT(t, pcpuref_switch_to_atomic(&o->ref, switched));
		EXPECT(t, pcpuref_switch_to_percpu(&o->ref));
		usleep_range(500, 5000);
	}
	EXPECT(t, SOON(SWITCHES(o) == 20 && !tags(o)));
	EXPECT(t, pcpuref_switch_to_atomic(&o->ref, switched));
	EXPECT(t, pcpuref_kill_and_confirm(&o->ref, confirm));
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	EXPECT_EQ(t, SWITCHES(o), 21);
	EXPECT_EQ(t, CONFIRMS(o), 1);
	EXPECT_EQ(t, RELEASES(o), 1);
	/* The switch sticks. */
	EXPECT(t, pcpuref_reinit(&o->ref));
	EXPECT_EQ(t, tags(o), __PCPUREF_ATOMIC);
	EXPECT(t, pcpuref_kill(&o->ref));
	obj_free(t, o);
}

/* --- All sequences of requests that meet a switch in flight ------------------- */

/*
 * s switch_to_atomic, p switch_to_percpu, k kill with a confirm, x kill without,
 * r resurrect (or reinit, where that is legal)
 */
static const char ops[] = "spkxr";
#define LONGEST 4

/* What must become of a reference while no grace period can end. */
struct model {
	bool		live;
	bool		force;
	bool		biased;
	bool		switching;
	bool		busy;
	bool		initial;
	bool		held;
	bool		lazy;
	bool		asked;
	int		ended;
	int		kills;
	int		switches;
};

struct seq {
	struct obj	*o;
	struct model	m;
	char		ops[LONGEST + 1];
};

/* Kills and resurrects of what is dead or live already are misuse. */
static bool legal(const struct seq *s, unsigned int len)
{
	bool live = s->m.live;
	unsigned int i;

	for (i = 0; i < len; i++) {
		bool kill = s->ops[i] == 'k' || s->ops[i] == 'x';

		if (live ? s->ops[i] == 'r' : kill)
			return false;
		live = (live && !kill) || s->ops[i] == 'r';
	}
	return true;
}

/*
 * Of a lazy reference: with PREEMPT_RT, requests that need memory come too early
 * to get it, as interrupts are off. Then one callback can be remembered.
 */
static bool starves(const struct model *m)
{
	return m->lazy && IS_ENABLED(CONFIG_PREEMPT_RT);
}

static bool too_many_callbacks(const struct seq *s)
{
	return starves(&s->m) && strchr(s->ops, 's') && strchr(s->ops, 'k');
}

/* Back to per-CPU mode, if there is nothing against it. */
static void model_settle(struct model *m)
{
	if (m->live && !m->force && !m->busy && !m->lazy)
		m->biased = true;
}

static bool step(struct seq *s, char op)
{
	struct model *m = &s->m;
	struct obj *o = s->o;

	switch (op) {
	case 's':
		m->force = true;
		m->switching = m->biased;
		m->busy = true;
		m->switches++;
		return pcpuref_switch_to_atomic(&o->ref, switched);
	case 'p':
		m->force = false;
		m->asked = true;
		model_settle(m);
		return pcpuref_switch_to_percpu(&o->ref);
	case 'k':
		m->live = false;
		m->busy = true;
		m->kills++;
		return pcpuref_kill_and_confirm(&o->ref, confirm);
	case 'x':
		m->live = false;
		if (m->biased || starves(m))
			m->busy = true;
		if (!m->busy) {
			m->initial = false;
			if (!m->held)
				m->ended++;
		}
		return pcpuref_kill(&o->ref);
	default:
		m->live = true;
		if (m->initial || m->held) {
			m->initial = true;
			model_settle(m);
			return pcpuref_resurrect(&o->ref);
		}
		m->initial = true;
		model_settle(m);
		/* At zero the two are the same. */
		return m->ended & 1 ? pcpuref_reinit(&o->ref) : pcpuref_resurrect(&o->ref);
	}
}

static bool seq_settled(struct seq *s)
{
	struct model *m = &s->m;
	struct obj *o = s->o;
	unsigned long word;
	int ended = m->ended;

	if (m->live)
		word = m->force || (m->lazy && !m->asked) ? __PCPUREF_ATOMIC : 0;
	else
		word = __PCPUREF_ATOMIC | __PCPUREF_DEAD;
	if (!m->live && m->initial && !m->held)
		ended++;
	return tags(o) == word && RELEASES(o) == ended && CONFIRMS(o) == m->kills &&
	       SWITCHES(o) == m->switches &&
	       pcpuref_read(&o->ref) == m->live + m->held;
}

static void seq_init(struct seq *s, unsigned int flags, unsigned int len, unsigned int code)
{
	unsigned int i;

	memset(s, 0, sizeof(*s));
	s->m.live = !(flags & PCPUREF_INIT_DEAD);
	s->m.initial = s->m.live;
	s->m.force = flags & PCPUREF_INIT_ATOMIC;
	s->m.lazy = flags & PCPUREF_INIT_LAZY;
	s->m.biased = s->m.live && !s->m.force && !s->m.lazy;
	for (i = 0; i < len; i++, code /= strlen(ops))
		s->ops[i] = ops[code % strlen(ops)];
}

static bool seq_run(struct test *t, struct seq *s, unsigned int flags, bool held)
{
	unsigned long irqs;
	bool good = true;
	const char *op;

	s->o = obj_new(t, flags);
	if (!s->o)
		return false;
	if (held)
		pcpuref_get(&s->o->ref);
	s->m.held = held;

	/* L5 and G4: nothing of it sleeps or turns interrupts on. */
	local_irq_save(irqs);
	for (op = s->ops; *op; op++) {
		good &= step(s, *op);
		good &= irqs_disabled();
	}
	local_irq_restore(irqs);
	if (!EXPECT(t, good))
		scnprintf(t->why, sizeof(t->why), "refused, or interrupts on: %s", s->ops);
	return good;
}

static bool seq_check(struct test *t, struct seq *s)
{
	struct obj *o = s->o;

	if (!EXPECT(t, SOON(seq_settled(s)))) {
		scnprintf(t->why, sizeof(t->why),
			  "after %s: tags %lx count %ld releases %d confirms %d switches %d",
			  s->ops, tags(o), pcpuref_read(&o->ref), RELEASES(o), CONFIRMS(o),
			  SWITCHES(o));
		return false;
	}
	if (s->m.held)
		pcpuref_put(&o->ref);
	if (s->m.live)
		EXPECT(t, pcpuref_kill(&o->ref));
	return true;
}

static bool seq_end(struct test *t, struct seq *s)
{
	struct obj *o = s->o;
	int ended = s->m.ended + (s->m.live || s->m.initial || s->m.held);

	if (!EXPECT_EQ(t, pcpuref_kill_and_wait_timeout(&o->ref, TEST_PATIENCE_S * HZ), 0) ||
	    !EXPECT_EQ(t, RELEASES(o), ended))
		return false;
	obj_free(t, o);
	return true;
}

static void all_sequences(struct test *t, unsigned int flags, bool held)
{
	unsigned int len, total = 0, nr, n = 0, i;
	struct seq *seqs;

	for (len = 1, nr = 1; len <= LONGEST; len++) {
		nr *= strlen(ops);
		total += nr;
	}
	seqs = kvcalloc(total, sizeof(*seqs), GFP_KERNEL);
	if (!EXPECT(t, seqs))
		return;

	for (len = 1, nr = 1; len <= LONGEST; len++) {
		nr *= strlen(ops);
		for (i = 0; i < nr; i++) {
			seq_init(&seqs[n], flags, len, i);
			if (!legal(&seqs[n], len) || too_many_callbacks(&seqs[n]))
				continue;
			if (!seq_run(t, &seqs[n], flags, held))
				goto out;
			n++;
		}
	}
	for (i = 0; i < n; i++)
		if (!seq_check(t, &seqs[i]))
			goto out;
	for (i = 0; i < n; i++)
		if (!seq_end(t, &seqs[i]))
			goto out;
	EXPECT(t, n > 100);
out:
	/* The objects of a failed case stay: callbacks may look at them. */
	kvfree(seqs);
}

/* F6, F7, F12, G4, L5: every order of requests, with a switch in flight. */
static void sequences_percpu(struct test *t)
{
	all_sequences(t, PCPUREF_ALLOW_REINIT, false);
}

static void sequences_percpu_held(struct test *t)
{
	all_sequences(t, PCPUREF_ALLOW_REINIT, true);
}

static void sequences_atomic(struct test *t)
{
	all_sequences(t, PCPUREF_INIT_ATOMIC, false);
}

static void sequences_atomic_held(struct test *t)
{
	all_sequences(t, PCPUREF_INIT_ATOMIC, true);
}

static void sequences_dead(struct test *t)
{
	all_sequences(t, PCPUREF_INIT_DEAD, false);
}

static void sequences_lazy(struct test *t)
{
	all_sequences(t, PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT, false);
}

static void sequences_lazy_held(struct test *t)
{
	all_sequences(t, PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT, true);
}

/* --- What callbacks may do ------------------------------------------------------ */

static void release_exits(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);

	o->found = pcpuref_is_zero(ref);
	pcpuref_exit(ref);
	atomic_inc(&o->releases);
}

/* L1: exit from release; the kill that calls it must return. */
static void exit_from_release(struct test *t)
{
	static const unsigned int flags[] = {
		0, PCPUREF_INIT_ATOMIC, PCPUREF_RELEASE_WORK,
		PCPUREF_INIT_ATOMIC | PCPUREF_RELEASE_WORK,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct obj *o = obj_new_with(t, release_exits, flags[i]);

		if (!o)
			return;
		EXPECT(t, pcpuref_kill(&o->ref));
		EXPECT(t, SOON(RELEASES(o) == 1));
		EXPECT_EQ(t, o->found, 1);
		EXPECT(t, !pcpuref_tryget(&o->ref));
		EXPECT(t, pcpuref_is_zero(&o->ref));
		if (!t->failed)
			kfree(o);
	}
}

static atomic_t freed;

static void release_frees(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);

	pcpuref_exit(ref);
	memset(o, 0x6b, sizeof(*o));
	kfree(o);
	atomic_inc(&freed);
}

static int wait_for_it(void *arg)
{
	return pcpuref_kill_and_wait(arg);
}

/* G3: the object's memory may go in release; G8: a waiter does not mind. */
static void free_from_release(struct test *t)
{
	static const unsigned int flags[] = {
		0, PCPUREF_INIT_ATOMIC, PCPUREF_RELEASE_WORK,
	};
	int result, before = atomic_read(&freed);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct obj *o = obj_new_with(t, release_frees, flags[i]);
		struct test_thread *thread;

		if (!o)
			return;
		pcpuref_get(&o->ref);
		thread = test_start(wait_for_it, &o->ref, -1);
		EXPECT(t, SOON(pcpuref_is_dying(&o->ref)));
		pcpuref_put(&o->ref);
		EXPECT(t, test_join(thread, TEST_PATIENCE_S, &result));
		EXPECT_EQ(t, result, 0);
		EXPECT_EQ(t, atomic_read(&freed), before + (int)i + 1);
	}
}

static void release_reinits(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);

	if (atomic_inc_return(&o->releases) <= o->todo && !pcpuref_reinit(ref))
		o->found = -2;
}

/* G3: a new life from release, in each mode. */
static void reinit_from_release(struct test *t)
{
	static const unsigned int flags[] = {
		PCPUREF_ALLOW_REINIT, PCPUREF_INIT_ATOMIC,
		PCPUREF_ALLOW_REINIT | PCPUREF_RELEASE_WORK,
	};
	unsigned int i;
	int life;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct obj *o = obj_new_with(t, release_reinits, flags[i]);

		if (!o)
			return;
		o->todo = 3;
		for (life = 1; life <= 4; life++) {
			EXPECT(t, pcpuref_tryget_live(&o->ref));
			EXPECT(t, pcpuref_kill(&o->ref));
			pcpuref_put(&o->ref);
			EXPECT(t, SOON(RELEASES(o) == life &&
				       pcpuref_is_dying(&o->ref) == (life > 3)));
		}
		EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
		EXPECT_EQ(t, o->found, 0);
		EXPECT_EQ(t, RELEASES(o), 4);
		obj_free(t, o);
	}
}

static void release_looks(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);

	o->found = irqs_disabled() || preempt_count();
	atomic_inc(&o->releases);
}

/* G3: from a task's put, release runs as the task ran: no lock is held. */
static void release_without_locks(struct test *t)
{
	struct obj *o = obj_new_with(t, release_looks, PCPUREF_INIT_ATOMIC);

	if (!o)
		return;
	pcpuref_get(&o->ref);
	EXPECT(t, pcpuref_kill(&o->ref));
	pcpuref_put(&o->ref);
	EXPECT_EQ(t, RELEASES(o), 1);
	EXPECT_EQ(t, o->found, 0);
	/* The same from kill. */
	EXPECT(t, pcpuref_reinit(&o->ref));
	o->found = -1;
	EXPECT(t, pcpuref_kill(&o->ref));
	EXPECT_EQ(t, RELEASES(o), 2);
	EXPECT_EQ(t, o->found, 0);
	obj_free(t, o);
}

static void confirm_acts(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);
	bool done = false;

	switch (o->todo) {
	case 0:
		done = pcpuref_kill_and_confirm(ref, confirm);
		break;
	case 1:
		done = pcpuref_resurrect(ref);
		break;
	case 2:
		done = pcpuref_switch_to_percpu(ref);
		break;
	case 3:
		done = pcpuref_switch_to_atomic(ref, confirm);
		break;
	}
	o->found = done;
	atomic_inc(&o->switches);
}

/* Every request from a confirm callback, while its own switch is in flight. */
static void requests_from_confirm(struct test *t)
{
	int i;

	for (i = 0; i < 4; i++) {
		struct obj *o = obj_new(t, PCPUREF_ALLOW_REINIT);
		bool live = i != 0;

		if (!o)
			return;
		o->todo = i;
		if (i == 1)
			EXPECT(t, pcpuref_kill_and_confirm(&o->ref, confirm_acts));
		else
			EXPECT(t, pcpuref_switch_to_atomic(&o->ref, confirm_acts));
		EXPECT(t, SOON(SWITCHES(o) == 1));
		EXPECT(t, SOON(CONFIRMS(o) == (i == 0 || i == 3)));
		EXPECT_EQ(t, o->found, 1);
		EXPECT(t, SOON(RELEASES(o) == !live));
		EXPECT(t, SOON(tags(o) == (i == 0 ? (__PCPUREF_ATOMIC | __PCPUREF_DEAD) :
					   i == 3 ? __PCPUREF_ATOMIC : 0)));
		EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
		EXPECT_EQ(t, RELEASES(o), 1);
		EXPECT_EQ(t, SWITCHES(o), 1);
		obj_free(t, o);
	}
}

static void release_sleeps(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);

	might_sleep();
	msleep(50);
	o->found = current->flags & PF_WQ_WORKER ? 1 : -1;
	atomic_inc(&o->releases);
}

/* RELEASE_WORK: from a workqueue, also when the last put comes with irqs off. */
static void release_work(struct test *t)
{
	struct obj *o = obj_new_with(t, release_sleeps,
				     PCPUREF_RELEASE_WORK | PCPUREF_INIT_ATOMIC);

	if (!o)
		return;
	pcpuref_get(&o->ref);
	EXPECT(t, pcpuref_kill(&o->ref));
	local_irq_disable();
	pcpuref_put(&o->ref);
	local_irq_enable();
	EXPECT(t, pcpuref_is_zero(&o->ref));
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	EXPECT_EQ(t, RELEASES(o), 1);
	EXPECT_EQ(t, o->found, 1);

	EXPECT(t, pcpuref_reinit(&o->ref));
	EXPECT(t, pcpuref_switch_to_percpu(&o->ref));
	EXPECT(t, pcpuref_kill(&o->ref));
	pcpuref_barrier();
	EXPECT_EQ(t, RELEASES(o), 2);
	obj_free(t, o);
}

/* --- Waiting --------------------------------------------------------------------- */

static void release_takes_long(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);

	mdelay(100);
	WRITE_ONCE(o->found, 1);
	atomic_inc(&o->releases);
}

static int wait_and_look(void *arg)
{
	struct obj *o = arg;
	int err = pcpuref_kill_and_wait(&o->ref);

	return err ?: READ_ONCE(o->found);
}

/* U2, G8, F10: not is_zero is waited for, but the end of release. */
static void wait_for_end_of_release(struct test *t)
{
	static const unsigned int flags[] = {
		0, PCPUREF_INIT_ATOMIC, PCPUREF_RELEASE_WORK,
	};
	struct test_thread *threads[2];
	int result;
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct obj *o = obj_new_with(t, release_takes_long, flags[i]);

		if (!o)
			return;
		pcpuref_get(&o->ref);
		for (k = 0; k < 2; k++)
			threads[k] = test_start(wait_and_look, o, -1);
		EXPECT(t, SOON(pcpuref_is_dying(&o->ref)));
		/* One more waits from before the release, one from the middle. */
		pcpuref_put(&o->ref);
		for (k = 0; k < 2; k++) {
			EXPECT(t, test_join(threads[k], TEST_PATIENCE_S, &result));
			EXPECT_EQ(t, result, 1);
		}
		EXPECT_EQ(t, RELEASES(o), 1);
		obj_free(t, o);
	}
}

static void wait_timeout(struct test *t)
{
	struct obj *o = obj_new(t, PCPUREF_ALLOW_REINIT);

	if (!o)
		return;
	pcpuref_get(&o->ref);
	EXPECT_EQ(t, pcpuref_kill_and_wait_timeout(&o->ref, HZ / 20), -ETIMEDOUT);
	EXPECT(t, pcpuref_is_dying(&o->ref) && !pcpuref_is_zero(&o->ref));
	EXPECT(t, !pcpuref_tryget_live(&o->ref));
	EXPECT_EQ(t, pcpuref_read(&o->ref), 1);
	/* Dying and intact: it can be waited for again, or brought back. */
	EXPECT_EQ(t, pcpuref_kill_and_wait_timeout(&o->ref, 0), -ETIMEDOUT);
	EXPECT(t, pcpuref_resurrect(&o->ref));
	EXPECT(t, pcpuref_tryget_live(&o->ref));
	pcpuref_put_many(&o->ref, 2);
	EXPECT_EQ(t, RELEASES(o), 0);
	EXPECT_EQ(t, pcpuref_kill_and_wait_timeout(&o->ref, TEST_PATIENCE_S * HZ), 0);
	EXPECT_EQ(t, RELEASES(o), 1);
	EXPECT_EQ(t, pcpuref_kill_and_wait_timeout(&o->ref, 0), 0);
	obj_free(t, o);
}

static void wait_cancelled(struct test *t)
{
	struct obj *o = obj_new(t, PCPUREF_ALLOW_REINIT);
	struct test_thread *thread;
	int result = 1;

	if (!o)
		return;
	pcpuref_get(&o->ref);
	thread = test_start(wait_for_it, &o->ref, -1);
	EXPECT(t, SOON(pcpuref_is_dying(&o->ref) && pcpuref_read(&o->ref) == 1));
	EXPECT(t, pcpuref_resurrect(&o->ref));
	EXPECT(t, test_join(thread, TEST_PATIENCE_S, &result));
	EXPECT_EQ(t, result, -ECANCELED);
	pcpuref_put(&o->ref);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	EXPECT_EQ(t, RELEASES(o), 1);
	obj_free(t, o);
}

/* L10: what happens to other references does not wake a waiter. */
static void sleepers_sleep(struct test *t)
{
	struct obj *o = obj_new(t, 0), *other = obj_new(t, PCPUREF_ALLOW_REINIT);
	struct test_thread *thread;
	unsigned long before;
	int result, i;

	if (!o || !other)
		return;
	pcpuref_get(&o->ref);
	thread = test_start(wait_for_it, &o->ref, -1);
	if (!EXPECT(t, thread))
		return;
	EXPECT(t, SOON(pcpuref_read(&o->ref) == 1));
	msleep(50);
	before = READ_ONCE(thread->task->nvcsw);
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(t, pcpuref_switch_to_atomic_sync(&other->ref), 0);
		EXPECT(t, pcpuref_switch_to_percpu(&other->ref));
	}
	EXPECT_EQ(t, READ_ONCE(thread->task->nvcsw), before);
	pcpuref_put(&o->ref);
	EXPECT(t, test_join(thread, TEST_PATIENCE_S, &result));
	EXPECT_EQ(t, result, 0);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&other->ref), 0);
	obj_free(t, other);
	obj_free(t, o);
}

static void release_blocks(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);
	unsigned long end = jiffies + TEST_PATIENCE_S * HZ;

	WRITE_ONCE(o->found, 1);
	while (!READ_ONCE(o->todo) && time_before(jiffies, end))
		usleep_range(100, 200);
	atomic_inc(&o->releases);
}

static int put_it(void *arg)
{
	pcpuref_put(arg);
	return 0;
}

/* U3 and G9: a reference that is in its release holds up no other one. */
static void no_global_lock(struct test *t)
{
	struct obj *o = obj_new_with(t, release_blocks, PCPUREF_INIT_ATOMIC);
	struct obj *other = obj_new(t, PCPUREF_ALLOW_REINIT);
	struct test_thread *thread;

	if (!o || !other)
		return;
	pcpuref_get(&o->ref);
	EXPECT(t, pcpuref_kill(&o->ref));
	thread = test_start(put_it, &o->ref, -1);
	EXPECT(t, SOON(READ_ONCE(o->found)));

	EXPECT_EQ(t, pcpuref_switch_to_atomic_sync(&other->ref), 0);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&other->ref), 0);
	EXPECT(t, pcpuref_reinit(&other->ref));
	EXPECT(t, pcpuref_switch_to_percpu(&other->ref));
	EXPECT_EQ(t, pcpuref_kill_and_wait(&other->ref), 0);
	EXPECT_EQ(t, RELEASES(other), 2);
	obj_free(t, other);
	EXPECT_EQ(t, RELEASES(o), 0);

	WRITE_ONCE(o->todo, 1);
	EXPECT(t, test_join(thread, TEST_PATIENCE_S, NULL));
	EXPECT_EQ(t, RELEASES(o), 1);
	obj_free(t, o);
}

/* --- What the log shows: see load.sh --------------------------------------------- */

static void events(struct test *t)
{
	struct obj *traced = obj_new(t, PCPUREF_ALLOW_REINIT);

	if (!traced)
		return;
	pcpuref_get(&traced->ref);
	EXPECT(t, pcpuref_kill_and_confirm(&traced->ref, confirm));
	EXPECT(t, SOON(CONFIRMS(traced) == 1));
	EXPECT(t, pcpuref_resurrect(&traced->ref));
	EXPECT(t, SOON(!tags(traced)));
	pcpuref_put(&traced->ref);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&traced->ref), 0);
	EXPECT(t, pcpuref_reinit(&traced->ref));
	EXPECT_EQ(t, pcpuref_kill_and_wait(&traced->ref), 0);
	EXPECT_EQ(t, RELEASES(traced), 2);
	obj_free(t, traced);
}

static const struct test_case cases[] = {
	TEST_CASE("events", events),
	TEST_CASE("life_percpu_F5", life_percpu),
	TEST_CASE("life_atomic", life_atomic),
	TEST_CASE("life_init_dead", life_init_dead),
	TEST_CASE("init_errors_F8", init_errors),
	TEST_CASE("init_out_of_memory_F9", init_out_of_memory),
	TEST_CASE("cancel_init", cancel_init),
	TEST_CASE("zero_after_exit_L7_F10", zero_after_exit),
	TEST_CASE("counters_wrap_G13", counters_wrap),
	TEST_CASE("scopes", scopes),
	TEST_CASE("confirm_after_readers_percpu_G2_F2", confirm_after_readers_percpu),
	TEST_CASE("confirm_after_readers_atomic_L2", confirm_after_readers_atomic),
	TEST_CASE("confirm_not_lost_L4_F12", confirm_not_lost),
	TEST_CASE("kill_sync", kill_sync),
	TEST_CASE("switch_without_reinit_L3", switch_without_reinit),
	TEST_CASE("switch_sync_exact_U1_G11", switch_sync_exact),
	TEST_CASE("switch_of_a_dying_one", switch_of_a_dying_one),
	TEST_CASE("staggered_switches_F7", staggered_switches),
	TEST_CASE("sequences_percpu_F6_F12_L5_G4", sequences_percpu),
	TEST_CASE("sequences_percpu_held_F6_F12_L5_G4", sequences_percpu_held),
	TEST_CASE("sequences_atomic_F6_L5_G4", sequences_atomic),
	TEST_CASE("sequences_atomic_held_F6_L5_G4", sequences_atomic_held),
	TEST_CASE("sequences_dead_F6_L5_G4", sequences_dead),
	TEST_CASE("sequences_lazy_F6_L5_G4", sequences_lazy),
	TEST_CASE("sequences_lazy_held_F6_L5_G4", sequences_lazy_held),
	TEST_CASE("exit_from_release_L1_G3", exit_from_release),
	TEST_CASE("free_from_release_G3_G8", free_from_release),
	TEST_CASE("reinit_from_release_G3", reinit_from_release),
	TEST_CASE("release_without_locks_G3", release_without_locks),
	TEST_CASE("requests_from_confirm_G4", requests_from_confirm),
	TEST_CASE("release_work", release_work),
	TEST_CASE("wait_for_end_of_release_U2_G8", wait_for_end_of_release),
	TEST_CASE("wait_timeout", wait_timeout),
	TEST_CASE("wait_cancelled", wait_cancelled),
	TEST_CASE("sleepers_sleep_L10", sleepers_sleep),
	TEST_CASE("no_global_lock_U3_G9", no_global_lock),
	{ }
};

TEST_MODULE(cases, "Scenarios of the state machine of pcpuref");
