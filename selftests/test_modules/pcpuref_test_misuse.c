// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every misuse of a reference, one at a time, and that it does no harm: what is
 * in use is not released, what was released does not come back, and nothing is
 * touched after exit. misuse.sh compares the reports with what is told here.
 *
 * The misuse itself happens in functions named misuse_<call>(), which must be
 * the caller that the report names.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpumask.h>
#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/smp.h>

#include "pcpuref_test.h"

struct obj {
	struct pcpuref	ref;
	struct test	*t;
	const char	*name;
	pcpuref_func_t	*func;
	int		releases;
	int		confirms;
	int		todo;
};

static void release(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);

	WRITE_ONCE(o->releases, o->releases + 1);
}

#define CONFIRM(_name)							\
static void _name(struct pcpuref *ref)					\
{									\
	struct obj *o = container_of(ref, struct obj, ref);		\
									\
	WRITE_ONCE(o->confirms, o->confirms + 1);			\
}

CONFIRM(confirm_a)
CONFIRM(confirm_b)
CONFIRM(confirm_c)
CONFIRM(confirm_d)

/* A call in tail position would leave no caller to be named. */
#define MISUSE(_name, _call)						\
static noinline int misuse_##_name(struct pcpuref *ref)			\
{									\
	int result = _call;						\
									\
	barrier();							\
	return result;							\
}

MISUSE(kill, pcpuref_kill(ref))
MISUSE(kill_and_confirm, pcpuref_kill_and_confirm(ref, confirm_d))
MISUSE(kill_and_wait, pcpuref_kill_and_wait(ref))
MISUSE(kill_sync, pcpuref_kill_sync(ref))
MISUSE(reinit, pcpuref_reinit(ref))
MISUSE(resurrect, pcpuref_resurrect(ref))
MISUSE(switch_to_atomic, pcpuref_switch_to_atomic(ref, confirm_d))
MISUSE(switch_to_percpu, pcpuref_switch_to_percpu(ref))
MISUSE(tryget_many, pcpuref_tryget_many(ref, LONG_MAX))
MISUSE(get, (pcpuref_get(ref), 0))
MISUSE(get_many, (pcpuref_get_many(ref, LONG_MAX), 0))
MISUSE(put, (pcpuref_put(ref), 0))
MISUSE(put_three, (pcpuref_put_many(ref, 3), 0))
MISUSE(exit, (pcpuref_exit(ref), 0))
MISUSE(cancel_init, (pcpuref_cancel_init(ref), 0))

/* The name is the case's, so that no report can pass for another one. */
static struct obj *obj_new_with(struct test *t, const char *name, pcpuref_func_t *func,
				unsigned int flags)
{
	struct obj *o = kzalloc(sizeof(*o), GFP_KERNEL);

	if (!EXPECT(t, o))
		return NULL;
	o->t = t;
	o->name = name;
	o->func = func;
	memset(&o->ref, 0xa5, sizeof(o->ref));
	if (!EXPECT_EQ(t, pcpuref_init_named(&o->ref, func, flags, GFP_KERNEL, name), 0)) {
		kfree(o);
		return NULL;
	}
	return o;
}

static struct obj *obj_new(struct test *t, const char *name, unsigned int flags)
{
	return obj_new_with(t, name, release, flags);
}

static void expect(struct obj *o, const char *text, const char *caller)
{
	test_expect_report(text, o->name, o->func, caller);
}

static void expect_gone(struct obj *o, const char *text, const char *caller)
{
	test_expect_report(text, "(none)", o->func, caller);
}

/* After exit the object's memory is its owner's: nobody writes to it. */
static void obj_check_and_free(struct test *t, struct obj *o)
{
	memset(o, 0x6b, sizeof(*o));
	pcpuref_barrier();
	EXPECT(t, !memchr_inv(o, 0x6b, sizeof(*o)));
	if (!t->failed)
		kfree(o);
}

static void obj_exit(struct test *t, struct obj *o)
{
	pcpuref_exit(&o->ref);
	obj_check_and_free(t, o);
}

/* Wait until what a kill entails has happened, without a word about it. */
static void settle(struct obj *o)
{
	pcpuref_barrier();
}

/* --- Kill --------------------------------------------------------------------- */

static void kill_twice(struct test *t)
{
	static const unsigned int flags[] = { 0, PCPUREF_INIT_ATOMIC };
	static const char * const names[] = { "kill_twice_percpu", "kill_twice_atomic" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct obj *o = obj_new(t, names[i], flags[i]);

		if (!o)
			return;
		pcpuref_get(&o->ref);
		EXPECT_EQ(t, pcpuref_kill(&o->ref), 0);
		expect(o, "kill of a dying reference",
		       i ? "misuse_kill_and_confirm" : "misuse_kill");
		EXPECT_EQ(t, i ? misuse_kill_and_confirm(&o->ref) : misuse_kill(&o->ref), -EINVAL);
		/* Once is enough. */
		EXPECT_EQ(t, misuse_kill(&o->ref), -EINVAL);
		settle(o);
		EXPECT_EQ(t, o->confirms, 0);
		EXPECT_EQ(t, o->releases, 0);
		EXPECT_EQ(t, pcpuref_read(&o->ref), 1);
		pcpuref_put(&o->ref);
		EXPECT_EQ(t, o->releases, 1);
		EXPECT_EQ(t, misuse_kill(&o->ref), -EINVAL);
		EXPECT_EQ(t, o->releases, 1);
		obj_exit(t, o);
	}
}

static void kill_after_exit(struct test *t)
{
	struct obj *o = obj_new(t, "kill_after_exit", 0);

	if (!o)
		return;
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	pcpuref_exit(&o->ref);
	expect_gone(o, "use after exit", "misuse_kill");
	EXPECT_EQ(t, misuse_kill(&o->ref), -EINVAL);
	/* All that follows is known by then. */
	EXPECT_EQ(t, misuse_switch_to_atomic(&o->ref), -EINVAL);
	EXPECT_EQ(t, misuse_switch_to_percpu(&o->ref), -EINVAL);
	EXPECT_EQ(t, misuse_reinit(&o->ref), -EINVAL);
	EXPECT_EQ(t, misuse_resurrect(&o->ref), -EINVAL);
	EXPECT_EQ(t, misuse_kill_and_wait(&o->ref), -EINVAL);
	EXPECT_EQ(t, misuse_kill_sync(&o->ref), -EINVAL);
	EXPECT_EQ(t, o->releases, 1);
	EXPECT_EQ(t, o->confirms, 0);
	obj_check_and_free(t, o);
}

static void kill_without_init(struct test *t)
{
	struct obj *o = kzalloc(sizeof(*o), GFP_KERNEL);

	if (!EXPECT(t, o))
		return;
	expect_gone(o, "use without init", "misuse_kill");
	EXPECT_EQ(t, misuse_kill(&o->ref), -EINVAL);
	EXPECT_EQ(t, misuse_kill(&o->ref), -EINVAL);
	EXPECT_EQ(t, pcpuref_init(&o->ref, release, BIT(30), GFP_KERNEL), -EINVAL);
	o->func = release;
	expect_gone(o, "use without init", "misuse_resurrect");
	EXPECT_EQ(t, misuse_resurrect(&o->ref), -EINVAL);
	obj_check_and_free(t, o);
}

static void use_moved(struct test *t)
{
	struct obj *o = obj_new(t, "moved", 0);
	struct obj *copy = kzalloc(sizeof(*copy), GFP_KERNEL);

	if (!o || !EXPECT(t, copy))
		return;
	*copy = *o;
	expect_gone(copy, "use of a reference that was moved, or races with exit and init",
		    "misuse_kill");
	EXPECT_EQ(t, misuse_kill(&copy->ref), -EINVAL);
	EXPECT_EQ(t, copy->releases, 0);
	kfree(copy);
	/* The original has come to no harm. */
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	EXPECT_EQ(t, o->releases, 1);
	obj_exit(t, o);
}

/* --- Puts and gets --------------------------------------------------------------- */

/* L8 and G6: one put too many, after the release. */
static void put_after_release(struct test *t)
{
	struct obj *o = obj_new(t, "put_after_release", PCPUREF_INIT_ATOMIC);

	if (!o)
		return;
	pcpuref_get(&o->ref);
	EXPECT_EQ(t, pcpuref_kill(&o->ref), 0);
	pcpuref_put(&o->ref);
	EXPECT_EQ(t, o->releases, 1);
	expect(o, "put without a reference", "misuse_put");
	misuse_put(&o->ref);
	EXPECT(t, !pcpuref_tryget(&o->ref) && !pcpuref_tryget_live(&o->ref));
	misuse_put(&o->ref);
	EXPECT(t, !pcpuref_tryget(&o->ref));
	EXPECT_EQ(t, o->releases, 1);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	obj_exit(t, o);
}

static int wait_for_it(void *arg)
{
	return pcpuref_kill_and_wait(arg);
}

/* G6: more are put than are held; who waits for the release learns of it. */
static void put_too_many_dying(struct test *t)
{
	struct obj *o = obj_new(t, "put_too_many_dying", 0);
	struct test_thread *thread;
	int result = 0;

	if (!o)
		return;
	pcpuref_get_many(&o->ref, 2);
	thread = test_start(wait_for_it, &o->ref, -1);
	EXPECT(t, SOON(pcpuref_is_dying(&o->ref) && pcpuref_read(&o->ref) == 2));
	expect(o, "put without a reference", "misuse_put_three");
	misuse_put_three(&o->ref);
	EXPECT(t, test_join(thread, TEST_PATIENCE_S, &result));
	EXPECT_EQ(t, result, -ENOTRECOVERABLE);
	EXPECT_EQ(t, o->releases, 0);
	EXPECT_EQ(t, pcpuref_read(&o->ref), LONG_MAX);
	/* It leaks, but for those who go on using it nothing changes. */
	EXPECT(t, pcpuref_tryget(&o->ref));
	pcpuref_put(&o->ref);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), -ENOTRECOVERABLE);
	EXPECT_EQ(t, o->releases, 0);
	obj_exit(t, o);
}

/* In per-CPU mode it shows when the counters are summed up. */
static void put_too_many_percpu(struct test *t)
{
	static const char * const names[] = { "put_too_many_by_1", "put_too_many_by_3" };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		struct obj *o = obj_new(t, names[i], 0);

		if (!o)
			return;
		if (i)
			misuse_put_three(&o->ref);
		else
			misuse_put(&o->ref);
		expect(o, "put without a reference",
		       "found at the kill by misuse_kill");
		EXPECT_EQ(t, misuse_kill(&o->ref), 0);
		settle(o);
		EXPECT_EQ(t, o->releases, 0);
		EXPECT_EQ(t, pcpuref_read(&o->ref), LONG_MAX);
		EXPECT(t, pcpuref_tryget(&o->ref));
		EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), -ENOTRECOVERABLE);
		obj_exit(t, o);
	}
}

static void put_drops_initial(struct test *t)
{
	struct obj *o = obj_new(t, "put_drops_initial", PCPUREF_INIT_ATOMIC);

	if (!o)
		return;
	expect(o, "put without a reference", "misuse_put");
	misuse_put(&o->ref);
	EXPECT_EQ(t, o->releases, 0);
	EXPECT(t, !pcpuref_is_zero(&o->ref));
	EXPECT(t, pcpuref_tryget_live(&o->ref));
	pcpuref_put(&o->ref);
	EXPECT_EQ(t, pcpuref_kill(&o->ref), 0);
	EXPECT(t, !pcpuref_tryget_live(&o->ref));
	settle(o);
	EXPECT_EQ(t, o->releases, 0);
	obj_exit(t, o);
}

static void get_after_release(struct test *t)
{
	struct obj *o = obj_new(t, "get_after_release", PCPUREF_INIT_ATOMIC);

	if (!o)
		return;
	EXPECT_EQ(t, pcpuref_kill(&o->ref), 0);
	EXPECT_EQ(t, o->releases, 1);
	expect(o, "get on a released reference", "misuse_get");
	misuse_get(&o->ref);
	/* It has not come back. */
	EXPECT(t, !pcpuref_tryget(&o->ref) && !pcpuref_tryget_live(&o->ref));
	misuse_put(&o->ref);
	misuse_get(&o->ref);
	EXPECT(t, !pcpuref_tryget(&o->ref));
	EXPECT_EQ(t, o->releases, 1);
	obj_exit(t, o);
}

static void get_after_exit(struct test *t)
{
	struct obj *o = obj_new(t, "get_after_exit", 0);

	if (!o)
		return;
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	pcpuref_exit(&o->ref);
	EXPECT(t, !pcpuref_tryget(&o->ref) && !pcpuref_tryget_live(&o->ref));
	expect_gone(o, "use after exit", "misuse_get");
	misuse_get(&o->ref);
	misuse_put(&o->ref);
	EXPECT(t, !pcpuref_tryget(&o->ref));
	EXPECT(t, pcpuref_is_zero(&o->ref) && pcpuref_is_dying(&o->ref));
	EXPECT_EQ(t, o->releases, 1);
	obj_check_and_free(t, o);
}

static void put_after_exit(struct test *t)
{
	struct obj *o = obj_new(t, "put_after_exit", PCPUREF_INIT_ATOMIC);

	if (!o)
		return;
	EXPECT_EQ(t, pcpuref_kill(&o->ref), 0);
	pcpuref_exit(&o->ref);
	expect_gone(o, "use after exit", "misuse_put");
	misuse_put(&o->ref);
	misuse_put(&o->ref);
	EXPECT_EQ(t, o->releases, 1);
	obj_check_and_free(t, o);
}

static void count_overflow(struct test *t)
{
	struct obj *o = obj_new(t, "overflow_get", PCPUREF_INIT_ATOMIC);

	if (!o)
		return;
	expect(o, "count overflow", "misuse_get_many");
	misuse_get_many(&o->ref);
	EXPECT_EQ(t, pcpuref_read(&o->ref), LONG_MAX);
	EXPECT(t, pcpuref_tryget_live(&o->ref));
	EXPECT_EQ(t, pcpuref_kill(&o->ref), 0);
	pcpuref_put_many(&o->ref, 100);
	settle(o);
	EXPECT_EQ(t, o->releases, 0);
	EXPECT(t, pcpuref_tryget(&o->ref));
	obj_exit(t, o);

	o = obj_new(t, "overflow_tryget", PCPUREF_INIT_ATOMIC);
	if (!o)
		return;
	expect(o, "count overflow", "misuse_tryget_many");
	EXPECT(t, misuse_tryget_many(&o->ref));
	EXPECT_EQ(t, pcpuref_read(&o->ref), LONG_MAX);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), -ENOTRECOVERABLE);
	EXPECT_EQ(t, o->releases, 0);
	obj_exit(t, o);
}

static void put_in_irq(void *arg)
{
	misuse_put(arg);
}

/* A report from hard interrupt context, with the same words. */
static void put_in_interrupt(struct test *t)
{
	struct obj *o = obj_new(t, "put_in_interrupt", PCPUREF_INIT_ATOMIC);

	if (!o)
		return;
	EXPECT_EQ(t, pcpuref_kill(&o->ref), 0);
	expect(o, "put without a reference", "misuse_put");
	EXPECT_EQ(t, smp_call_function_single(cpumask_first(cpu_online_mask), put_in_irq,
					      &o->ref, 1), 0);
	EXPECT(t, !pcpuref_tryget(&o->ref));
	EXPECT_EQ(t, o->releases, 1);
	obj_exit(t, o);
}

/* --- New lives --------------------------------------------------------------------- */

static void reinit_live(struct test *t)
{
	struct obj *o = obj_new(t, "reinit_live", PCPUREF_ALLOW_REINIT);

	if (!o)
		return;
	expect(o, "reinit of a live reference", "misuse_reinit");
	EXPECT_EQ(t, misuse_reinit(&o->ref), -EINVAL);
	EXPECT_EQ(t, misuse_reinit(&o->ref), -EINVAL);
	EXPECT_EQ(t, pcpuref_read(&o->ref), 1);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	EXPECT_EQ(t, o->releases, 1);
	obj_exit(t, o);
}

static void reinit_nonzero(struct test *t)
{
	struct obj *o = obj_new(t, "reinit_nonzero", PCPUREF_ALLOW_REINIT);

	if (!o)
		return;
	pcpuref_get(&o->ref);
	EXPECT_EQ(t, pcpuref_kill_and_wait_timeout(&o->ref, 0), -ETIMEDOUT);
	expect(o, "reinit of a non-zero reference", "misuse_reinit");
	EXPECT_EQ(t, misuse_reinit(&o->ref), -EBUSY);
	EXPECT_EQ(t, misuse_reinit(&o->ref), -EBUSY);
	EXPECT(t, pcpuref_is_dying(&o->ref) && !pcpuref_tryget_live(&o->ref));
	pcpuref_put(&o->ref);
	EXPECT_EQ(t, o->releases, 1);
	EXPECT_EQ(t, pcpuref_reinit(&o->ref), 0);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	EXPECT_EQ(t, o->releases, 2);
	obj_exit(t, o);
}

static void resurrect_live(struct test *t)
{
	struct obj *o = obj_new(t, "resurrect_live", PCPUREF_INIT_ATOMIC);

	if (!o)
		return;
	expect(o, "resurrect of a live reference", "misuse_resurrect");
	EXPECT_EQ(t, misuse_resurrect(&o->ref), -EINVAL);
	EXPECT_EQ(t, misuse_resurrect(&o->ref), -EINVAL);
	EXPECT_EQ(t, pcpuref_read(&o->ref), 1);
	EXPECT_EQ(t, pcpuref_kill(&o->ref), 0);
	EXPECT_EQ(t, o->releases, 1);
	obj_exit(t, o);
}

/* Without ALLOW_REINIT a second life is reported, and works in atomic mode. */
static void reinit_not_allowed(struct test *t)
{
	static const char * const names[] = { "reinit_not_allowed", "resurrect_not_allowed" };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		struct obj *o = obj_new(t, names[i], 0);

		if (!o)
			return;
		EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
		expect(o, "back to per-CPU mode without ALLOW_REINIT",
		       i ? "misuse_resurrect" : "misuse_reinit");
		EXPECT_EQ(t, i ? misuse_resurrect(&o->ref) : misuse_reinit(&o->ref), 0);
		EXPECT(t, pcpuref_tryget_live(&o->ref));
		EXPECT_EQ(t, pcpuref_read(&o->ref), 2);
		pcpuref_put(&o->ref);
		EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
		EXPECT_EQ(t, o->releases, 2);
		obj_exit(t, o);
	}
}

static void percpu_not_allowed(struct test *t)
{
	struct obj *o = obj_new(t, "percpu_not_allowed", 0);

	if (!o)
		return;
	EXPECT_EQ(t, pcpuref_switch_to_atomic_sync(&o->ref), 0);
	expect(o, "back to per-CPU mode without ALLOW_REINIT", "misuse_switch_to_percpu");
	EXPECT_EQ(t, misuse_switch_to_percpu(&o->ref), -EINVAL);
	EXPECT_EQ(t, misuse_switch_to_percpu(&o->ref), -EINVAL);
	EXPECT(t, pcpuref_tryget_live(&o->ref));
	EXPECT_EQ(t, pcpuref_read(&o->ref), 2);
	pcpuref_put(&o->ref);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	EXPECT_EQ(t, o->releases, 1);
	obj_exit(t, o);
}

static void too_many_confirms(struct test *t)
{
	struct obj *o = obj_new(t, "too_many_confirms", PCPUREF_ALLOW_REINIT);

	if (!o)
		return;
	/* No grace period ends meanwhile. */
	preempt_disable();
	EXPECT_EQ(t, pcpuref_switch_to_atomic(&o->ref, confirm_a), 0);
	EXPECT_EQ(t, pcpuref_switch_to_atomic(&o->ref, confirm_b), 0);
	EXPECT_EQ(t, pcpuref_switch_to_atomic(&o->ref, confirm_c), 0);
	EXPECT_EQ(t, pcpuref_switch_to_atomic(&o->ref, confirm_a), 0);
	expect(o, "too many different confirm callbacks", "misuse_switch_to_atomic");
	EXPECT_EQ(t, misuse_switch_to_atomic(&o->ref), -EBUSY);
	/* The kill is refused too, and has not happened. */
	EXPECT_EQ(t, misuse_kill_and_confirm(&o->ref), -EBUSY);
	EXPECT(t, !pcpuref_is_dying(&o->ref));
	preempt_enable();
	EXPECT(t, SOON(READ_ONCE(o->confirms) == 4));
	/* There is room again. */
	EXPECT_EQ(t, misuse_kill_and_confirm(&o->ref), 0);
	EXPECT(t, SOON(READ_ONCE(o->releases) == 1));
	EXPECT_EQ(t, o->confirms, 5);
	settle(o);
	obj_exit(t, o);
}

/* --- Exit ---------------------------------------------------------------------------- */

static void exit_twice(struct test *t)
{
	struct obj *o = obj_new(t, "exit_twice", 0);

	if (!o)
		return;
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	pcpuref_exit(&o->ref);
	/* Not worth a warning, but a line. */
	scnprintf(test_expected, sizeof(test_expected),
		  "exit of an exited reference||%ps|misuse_exit\n", release);
	misuse_exit(&o->ref);
	EXPECT(t, !pcpuref_tryget(&o->ref));
	obj_check_and_free(t, o);
}

/* L6, U5, G7: exit with references out, and once more. */
static void exit_held(struct test *t)
{
	static const char * const names[] = { "exit_held_live", "exit_held_dying" };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		struct obj *o = obj_new(t, names[i], 0);
		size_t len;

		if (!o)
			return;
		pcpuref_get_many(&o->ref, 3);
		if (i)
			EXPECT_EQ(t, pcpuref_kill_and_wait_timeout(&o->ref, 0), -ETIMEDOUT);
		expect(o, "exit with references out", "misuse_exit");
		misuse_exit(&o->ref);
		len = strlen(test_expected);
		scnprintf(test_expected + len, sizeof(test_expected) - len,
			  "exit of an exited reference||%ps|misuse_exit\n", release);
		misuse_exit(&o->ref);
		/* L7: it has not become zero by that. */
		EXPECT(t, !pcpuref_is_zero(&o->ref));
		EXPECT(t, !pcpuref_tryget(&o->ref) && !pcpuref_tryget_live(&o->ref));
		expect_gone(o, "use after exit", "misuse_put");
		misuse_put(&o->ref);
		misuse_put(&o->ref);
		EXPECT_EQ(t, o->releases, 0);
		obj_check_and_free(t, o);
	}
}

/* F11 and G5: what was promised is dropped, and nothing is touched later. */
static void exit_during_switch(struct test *t)
{
	static const char * const names[] = { "exit_during_switch", "exit_during_kill" };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		struct obj *o = obj_new(t, names[i], i ? 0 : PCPUREF_ALLOW_REINIT);

		if (!o)
			return;
		preempt_disable();
		if (i)
			EXPECT_EQ(t, pcpuref_kill_and_confirm(&o->ref, confirm_a), 0);
		else
			EXPECT_EQ(t, pcpuref_switch_to_atomic(&o->ref, confirm_a), 0);
		expect(o, "exit during a switch", "misuse_exit");
		misuse_exit(&o->ref);
		preempt_enable();
		settle(o);
		EXPECT_EQ(t, o->confirms, 0);
		EXPECT_EQ(t, o->releases, 0);
		obj_check_and_free(t, o);
	}
}

static int go;

static int switch_when_told(void *arg)
{
	WRITE_ONCE(go, 1);
	while (READ_ONCE(go) != 2)
		cpu_relax();
	return pcpuref_switch_to_atomic_sync(arg);
}

/* Returns whether the other thread waited. It does not if this one came to run where that is. */
static bool exit_under_a_waiter_once(struct test *t, struct obj *o)
{
	int there = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());
	struct test_thread *thread;
	unsigned long slept, end;
	bool waits = false;
	int result = 0;

	WRITE_ONCE(go, 0);
	thread = test_start(switch_when_told, &o->ref, there);
	if (!EXPECT(t, thread) || !EXPECT(t, SOON(READ_ONCE(go) == 1)))
		return false;

	/* While this CPU does not let the grace period end, it falls asleep. */
	preempt_disable();
	EXPECT_EQ(t, pcpuref_switch_to_atomic(&o->ref, confirm_a), 0);
	slept = READ_ONCE(thread->task->nvcsw);
	WRITE_ONCE(go, 2);
	end = jiffies + TEST_PATIENCE_S * HZ;
	while (!waits && smp_processor_id() != there && time_before(jiffies, end)) {
		cpu_relax();
		waits = READ_ONCE(thread->task->nvcsw) != slept;
	}
	if (waits) {
		expect(o, "exit during a switch", "misuse_exit");
		misuse_exit(&o->ref);
	}
	preempt_enable();

	EXPECT(t, test_join(thread, TEST_PATIENCE_S, &result));
	EXPECT_EQ(t, result, waits ? -ECANCELED : 0);
	return waits;
}

/* L9: exit under somebody who waits for the switch. */
static void exit_under_a_waiter(struct test *t)
{
	bool waited = false;
	int try;

	if (num_online_cpus() < 2) {
		t->skipped = "needs two CPUs";
		return;
	}
	for (try = 0; !waited && !t->failed && try < 10; try++) {
		struct obj *o = obj_new(t, "exit_under_a_waiter", PCPUREF_ALLOW_REINIT);

		if (!o)
			return;
		waited = exit_under_a_waiter_once(t, o);
		if (waited) {
			settle(o);
			EXPECT_EQ(t, o->confirms, 0);
			obj_check_and_free(t, o);
		} else {
			EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
			obj_exit(t, o);
		}
	}
	EXPECT(t, waited);
}

static void confirm_exits(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);

	expect(o, "exit during a switch", "misuse_exit");
	misuse_exit(ref);
	WRITE_ONCE(o->confirms, o->confirms + 1);
}

static void exit_from_confirm(struct test *t)
{
	struct obj *o = obj_new(t, "exit_from_confirm", 0);

	if (!o)
		return;
	EXPECT_EQ(t, pcpuref_kill_and_confirm(&o->ref, confirm_exits), 0);
	EXPECT(t, SOON(READ_ONCE(o->confirms) == 1));
	settle(o);
	EXPECT_EQ(t, o->releases, 0);
	obj_check_and_free(t, o);
}

static void release_lives_on(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);

	if (o->releases++)
		return;
	EXPECT_EQ(o->t, pcpuref_reinit(ref), 0);
	EXPECT_EQ(o->t, pcpuref_kill(ref), 0);
	/* The second life has ended, and its release cannot have come. */
	expect(o, "exit before release was called", "misuse_exit");
	misuse_exit(ref);
}

static void exit_before_release(struct test *t)
{
	struct obj *o = obj_new_with(t, "exit_before_release", release_lives_on,
				     PCPUREF_INIT_ATOMIC);

	if (!o)
		return;
	EXPECT_EQ(t, pcpuref_kill(&o->ref), 0);
	settle(o);
	EXPECT_EQ(t, o->releases, 1);
	obj_check_and_free(t, o);
}

static void cancel_init_used(struct test *t)
{
	static const char * const names[] = {
		"cancel_init_held", "cancel_init_killed", "cancel_init_switched",
	};
	unsigned int i;

	for (i = 0; i < 3; i++) {
		struct obj *o = obj_new(t, names[i], 0);

		if (!o)
			return;
		if (i == 0)
			pcpuref_get(&o->ref);
		else if (i == 1)
			EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
		else
			EXPECT_EQ(t, pcpuref_switch_to_atomic_sync(&o->ref), 0);
		expect(o, "cancel_init of a used reference", "misuse_cancel_init");
		misuse_cancel_init(&o->ref);
		settle(o);
		EXPECT_EQ(t, o->releases, i == 1);
		obj_check_and_free(t, o);
	}
}

/* A get compiled for the wrong readers counts right, and is told once. */
static void mixed_readers(struct test *t)
{
	static struct pcpuref_site tasks_site = {
		.interface = __PCPUREF_INTERFACE,
		.module = KBUILD_MODNAME,
		.file = __FILE__,
		.function = __func__,
		.owner = THIS_MODULE,
		.readers = __PCPUREF_READERS_TASKS,
	};
	struct obj *o = kzalloc(sizeof(*o), GFP_KERNEL);
	int err;

	if (!EXPECT(t, o))
		return;
	o->name = "mixed_readers";
	o->func = release;
	err = __pcpuref_init(&o->ref, release, 0, GFP_KERNEL, o->name, &tasks_site);
	if (err) {
		EXPECT_EQ(t, err, -EOPNOTSUPP);
		EXPECT(t, !IS_ENABLED(CONFIG_TASKS_RCU));
		t->skipped = "this kernel is preemptible and has no RCU-tasks";
		kfree(o);
		return;
	}
	expect(o, "get compiled for other readers than init", "misuse_get");
	misuse_get(&o->ref);
	misuse_get(&o->ref);
	EXPECT_EQ(t, pcpuref_read(&o->ref), 3);
	misuse_put(&o->ref);
	EXPECT_EQ(t, pcpuref_kill_sync(&o->ref), 0);
	EXPECT(t, SOON(pcpuref_read(&o->ref) == 1));
	EXPECT_EQ(t, o->releases, 0);
	misuse_put(&o->ref);
	EXPECT_EQ(t, o->releases, 1);
	obj_exit(t, o);
}

/* --- Places --------------------------------------------------------------------------- */

/* With something that differs, or the compiler makes one function of them. */
#define PLACE(nr)							\
static noinline void misuse_at_##nr(struct pcpuref *ref)		\
{									\
	pcpuref_resurrect(ref);						\
	asm volatile("# place " #nr ::: "memory");			\
}

PLACE(0) PLACE(1) PLACE(2) PLACE(3) PLACE(4) PLACE(5) PLACE(6) PLACE(7) PLACE(8)
PLACE(9) PLACE(10) PLACE(11) PLACE(12) PLACE(13) PLACE(14) PLACE(15) PLACE(16) PLACE(17)

static void (*const places[])(struct pcpuref *ref) = {
	misuse_at_0, misuse_at_1, misuse_at_2, misuse_at_3, misuse_at_4, misuse_at_5,
	misuse_at_6, misuse_at_7, misuse_at_8, misuse_at_9, misuse_at_10, misuse_at_11,
	misuse_at_12, misuse_at_13, misuse_at_14, misuse_at_15, misuse_at_16, misuse_at_17,
};

/* As many as are told apart; one report more serves all others together. */
#define TOLD_APART	15

/* Each time another object misuses: what has been reported of one is not any more. */
static void misuse_at(struct test *t, unsigned int place, bool reported)
{
	struct obj *o = obj_new(t, "at", PCPUREF_INIT_ATOMIC);
	size_t len = strlen(test_expected);

	if (!o)
		return;
	if (reported) {
		pr_info("pcpuref-expect: misuse: resurrect of a live reference: name=at\n");
		scnprintf(test_expected + len, sizeof(test_expected) - len,
			  "resurrect of a live reference|at|%ps|misuse_at_%u\n", release, place);
	}
	places[place](&o->ref);
	EXPECT_EQ(t, pcpuref_kill(&o->ref), 0);
	obj_exit(t, o);
}

/* Two places of one client that do the same are two defects. */
static void each_place(struct test *t)
{
	int round;

	pcpuref_report_anew();
	for (round = 0; round < 3; round++) {
		misuse_at(t, 0, !round);
		misuse_at(t, 1, !round);
	}
}

static void too_many_places(struct test *t)
{
	unsigned int i;

	BUILD_BUG_ON(ARRAY_SIZE(places) < TOLD_APART + 3);
	pcpuref_report_anew();
	for (i = 0; i < ARRAY_SIZE(places); i++)
		misuse_at(t, i, i <= TOLD_APART);
	/* None has been pushed out by those. */
	for (i = 0; i < ARRAY_SIZE(places); i++)
		misuse_at(t, i, false);
	/* And all is heard again, if somebody asks. */
	pcpuref_report_anew();
	misuse_at(t, ARRAY_SIZE(places) - 1, true);
}

/* --- Nothing at all -------------------------------------------------------------------- */

/* The comparison of reports must also notice one that is not expected. */
static void no_report(struct test *t)
{
	struct obj *o = obj_new(t, "no_report", PCPUREF_ALLOW_REINIT);

	if (!o)
		return;
	EXPECT_EQ(t, pcpuref_kill_and_wait(&o->ref), 0);
	EXPECT_EQ(t, o->releases, 1);
	obj_exit(t, o);
}

static const struct test_case cases[] = {
	TEST_CASE("no_report", no_report),
	TEST_CASE("kill_twice", kill_twice),
	TEST_CASE("kill_after_exit", kill_after_exit),
	TEST_CASE("kill_without_init", kill_without_init),
	TEST_CASE("moved", use_moved),
	TEST_CASE("put_after_release_L8_G6", put_after_release),
	TEST_CASE("put_too_many_dying_G6", put_too_many_dying),
	TEST_CASE("put_too_many_percpu_G6", put_too_many_percpu),
	TEST_CASE("put_drops_initial_G6", put_drops_initial),
	TEST_CASE("put_in_interrupt_G6", put_in_interrupt),
	TEST_CASE("get_after_release_G6", get_after_release),
	TEST_CASE("get_after_exit", get_after_exit),
	TEST_CASE("put_after_exit", put_after_exit),
	TEST_CASE("overflow", count_overflow),
	TEST_CASE("reinit_live", reinit_live),
	TEST_CASE("reinit_nonzero", reinit_nonzero),
	TEST_CASE("resurrect_live", resurrect_live),
	TEST_CASE("reinit_not_allowed", reinit_not_allowed),
	TEST_CASE("percpu_not_allowed", percpu_not_allowed),
	TEST_CASE("too_many_confirms", too_many_confirms),
	TEST_CASE("exit_twice", exit_twice),
	TEST_CASE("exit_held_L6_L7_U5_G7", exit_held),
	TEST_CASE("exit_during_switch_F11_G5", exit_during_switch),
	TEST_CASE("exit_under_a_waiter_L9_G5", exit_under_a_waiter),
	TEST_CASE("exit_from_confirm_G5", exit_from_confirm),
	TEST_CASE("exit_before_release", exit_before_release),
	TEST_CASE("cancel_init_used", cancel_init_used),
	TEST_CASE("mixed_readers", mixed_readers),
	TEST_CASE("each_place_is_heard", each_place),
	TEST_CASE("more_places_than_are_told_apart", too_many_places),
	{ }
};

TEST_MODULE(cases, "Every misuse of pcpuref");
