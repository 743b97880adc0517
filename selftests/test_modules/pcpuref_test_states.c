// SPDX-License-Identifier: GPL-2.0-only
/*
 * Scenarios of the state machine of a reference that the KUnit suites do not
 * have: the life that load.sh reads the log of, and switches that another CPU
 * or a dying reference asked for. Those named after a label of the list of known
 * traps (U1 ...) or a guarantee (G11 ...) fail when that is broken.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpumask.h>
#include <linux/smp.h>

#include "pcpuref_test.h"

struct obj {
	struct pcpuref		ref;
	atomic_t		releases;
	atomic_t		confirms;
	atomic_t		switches;
	char			log[16];
	unsigned int		logged;
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

static struct obj *obj_new(struct test *t, unsigned int flags)
{
	struct obj *o = kzalloc(sizeof(*o), GFP_KERNEL);

	if (!EXPECT(t, o))
		return NULL;
	if (!EXPECT_EQ(t, pcpuref_init(&o->ref, release, flags, GFP_KERNEL), 0)) {
		kfree(o);
		return NULL;
	}
	return o;
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

/* --- What the log shows: see load.sh --------------------------------------------- */

static void events(struct test *t)
{
	struct obj *traced = obj_new(t, PCPUREF_ALLOW_REINIT);

	if (!traced)
		return;
	pcpuref_get(&traced->ref);
	EXPECT_EQ(t, pcpuref_kill_and_confirm(&traced->ref, confirm), 0);
	EXPECT(t, SOON(CONFIRMS(traced) == 1));
	EXPECT_EQ(t, pcpuref_resurrect(&traced->ref), 0);
	EXPECT(t, SOON(!tags(traced)));
	pcpuref_put(&traced->ref);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&traced->ref), 0);
	EXPECT_EQ(t, pcpuref_reinit(&traced->ref), 0);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&traced->ref), 0);
	EXPECT_EQ(t, RELEASES(traced), 2);
	obj_free(t, traced);
}

/* --- Modes -------------------------------------------------------------------- */

static void switch_here(void *arg)
{
	struct obj *o = arg;

	pcpuref_switch_to_atomic(&o->ref, switched);
}

/*
 * U1 and G11: when the _sync call returns, what is held is what is counted, also
 * of a reference whose kill is complete, where the switch has a reference of its
 * own meanwhile: then the last put comes out at once.
 */
static void switch_sync_exact(struct test *t)
{
	struct obj *o = obj_new(t, PCPUREF_ALLOW_REINIT);
	int i, there;

	if (!o)
		return;
	for (i = 1; i <= 5 && !t->failed; i++) {
		pcpuref_get(&o->ref);
		EXPECT_EQ(t, pcpuref_kill_and_confirm(&o->ref, confirm), 0);
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
		EXPECT_EQ(t, pcpuref_reinit(&o->ref), 0);
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
	EXPECT_EQ(t, pcpuref_kill_and_confirm(&o->ref, confirm), 0);
	EXPECT(t, SOON(CONFIRMS(o) == 1 && pcpuref_read(&o->ref) == 1));
	EXPECT_EQ(t, pcpuref_switch_to_atomic(&o->ref, switched), 0);
	pcpuref_put(&o->ref);
	EXPECT(t, SOON(RELEASES(o) == 1));
	EXPECT_EQ(t, strcmp(o->log, "CSR"), 0);
	/* Of one that is released already: the confirm all the same. */
	EXPECT_EQ(t, pcpuref_switch_to_atomic(&o->ref, switched), 0);
	EXPECT(t, SOON(SWITCHES(o) == 2));
	pcpuref_barrier();
	EXPECT_EQ(t, RELEASES(o), 1);
	obj_free(t, o);
}

static const struct test_case cases[] = {
	TEST_CASE("events", events),
	TEST_CASE("switch_sync_exact_U1_G11", switch_sync_exact),
	TEST_CASE("switch_of_a_dying_one", switch_of_a_dying_one),
	{ }
};

TEST_MODULE(cases, "Scenarios of the state machine of pcpuref");
