// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each allocation fails in turn. A case does the same again and again: first the first
 * allocation of this task fails, then the second, and so on, until there is none any
 * more (the kernel's fail-nth, which allocations of per-CPU counters count for, too).
 * Some of them are the kernel's own, of which nobody notices that they have failed.
 *
 * Compiled with PCPUREF_DEBUG: the accounts of pcpuref_holders.ko must not need memory.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/version.h>

#include <trace/events/printk.h>

#include "pcpuref_holders.h"
#include "pcpuref_inspect.h"
#include "pcpuref_kref.h"
#include "pcpuref_test.h"

#ifndef PCPUREF_DEBUG
#error "this client is to be compiled with -DPCPUREF_DEBUG"
#endif

/* More allocations than anything here makes. */
#define TOO_MANY	200

#define ROUNDS		5

/* --- Faults in turn --------------------------------------------------------------- */

/**
 * struct faults - allocations that fail in turn
 * @nth: which one is to fail now
 * @struck: how many have
 * @failed: how many calls have failed with one
 * @least: how many have to
 * @rounds: from the first one to the last
 * @hit: whether the last one to be armed has been met
 */
struct faults {
	unsigned int	nth;
	unsigned int	struck;
	unsigned int	failed;
	unsigned int	least;
	unsigned int	rounds;
	bool		hit;
};

/*
 * When the kernel allocates more for itself one time than the next, a number is passed
 * over: then all of them once more.
 */
static bool next_fault(struct test *t, struct faults *f)
{
	if (t->failed)
		return false;
	if (f->nth && !f->hit) {
		if (f->failed >= f->least || ++f->rounds >= ROUNDS)
			return false;
		f->nth = 0;
	}
	f->nth++;
	return EXPECT(t, f->nth < TOO_MANY);
}

static void arm(struct faults *f)
{
	WRITE_ONCE(current->fail_nth, f->nth);
}

static void disarm(struct faults *f)
{
	f->hit = !READ_ONCE(current->fail_nth);
	WRITE_ONCE(current->fail_nth, 0);
	f->struck += f->hit;
}

/* The script reads it. A test without a fault says nothing, so that is a failure. */
static void tell(struct test *t, const struct faults *f)
{
	pr_info("%s: %u allocations failed in turn, %u calls failed with them\n", t->c->name,
		f->struck, f->failed);
	EXPECT(t, f->struck > 0);
	EXPECT(t, f->failed >= f->least);
}

/* --- What there is ------------------------------------------------------------------ */

struct there {
	struct pcpuref_memory	memory;
	long			refs;
};

/* After all that is on its way. False if there are structures without a reference. */
static bool look(struct there *there)
{
	struct pcpuref_walk walk = { };
	struct pcpuref_info info;

	pcpuref_barrier();
	rcu_barrier();
	pcpuref_memory(&there->memory);
	there->refs = 0;
	while (pcpuref_walk_next(&walk, &info))
		there->refs++;
	pcpuref_walk_end(&walk);
	return there->memory.structures == there->refs;
}

static struct there what_is_there(struct test *t)
{
	struct there there;

	/* A walk of pcpuref_watch.ko may keep what has exited for a moment. */
	EXPECT(t, SOON(look(&there)));
	return there;
}

static void expect_there(struct test *t, const struct there *before)
{
	struct there now = what_is_there(t);

	EXPECT_EQ(t, now.refs, before->refs);
	EXPECT_EQ(t, now.memory.structures, before->memory.structures);
	EXPECT_EQ(t, now.memory.counters, before->memory.counters);
}

/* --- A life --------------------------------------------------------------------------- */

static atomic_t nr_released, nr_confirmed;

static void released(struct pcpuref *ref)
{
	atomic_inc(&nr_released);
}

static void confirmed(struct pcpuref *ref)
{
	atomic_inc(&nr_confirmed);
}

/* Kill and confirm, with the last put after it. */
static void end_of_life(struct test *t, struct pcpuref *ref, unsigned int held)
{
	atomic_set(&nr_released, 0);
	atomic_set(&nr_confirmed, 0);
	EXPECT_EQ(t, pcpuref_read(ref), 1 + held);
	EXPECT_EQ(t, pcpuref_kill_and_confirm(ref, confirmed), 0);
	EXPECT(t, !pcpuref_tryget_live(ref));
	if (!EXPECT(t, SOON(atomic_read(&nr_confirmed))))
		return;
	/* What the core holds for the kill, it drops after the confirm. */
	pcpuref_barrier();
	EXPECT_EQ(t, pcpuref_read(ref), held);
	if (held) {
		EXPECT_EQ(t, atomic_read(&nr_released), 0);
		pcpuref_put_many(ref, held);
	}
	EXPECT(t, SOON(atomic_read(&nr_released)));
	/* Once, and it has returned. */
	pcpuref_barrier();
	EXPECT_EQ(t, atomic_read(&nr_released), 1);
	EXPECT_EQ(t, atomic_read(&nr_confirmed), 1);
	EXPECT(t, pcpuref_is_zero(ref));
}

static void whole_life(struct test *t, struct pcpuref *ref, unsigned int flags)
{
	if (flags & PCPUREF_INIT_DEAD)
		EXPECT_EQ(t, pcpuref_reinit(ref), 0);
	EXPECT(t, pcpuref_tryget_live(ref));
	pcpuref_get(ref);
	pcpuref_put(ref);
	end_of_life(t, ref, 1);
	if (flags & PCPUREF_ALLOW_REINIT) {
		EXPECT_EQ(t, pcpuref_reinit(ref), 0);
		pcpuref_get(ref);
		EXPECT_EQ(t, pcpuref_kill(ref), 0);
		EXPECT_EQ(t, pcpuref_resurrect(ref), 0);
		pcpuref_put(ref);
		end_of_life(t, ref, 0);
	}
}

/* --- Init ----------------------------------------------------------------------------- */

/* As a reference that was never initialised. */
static void expect_nothing(struct test *t, struct pcpuref *ref)
{
	EXPECT(t, pcpuref_is_dying(ref));
	EXPECT(t, !pcpuref_tryget(ref));
	EXPECT(t, !pcpuref_tryget_live(ref));
	pcpuref_exit(ref);
}

/* @name: one that is to be copied, or NULL. @least: how many allocations init makes. */
static void init_with(struct test *t, unsigned int flags, gfp_t gfp, const char *name,
		      unsigned int least)
{
	struct there before = what_is_there(t);
	struct faults f = { .least = least };
	struct pcpuref ref;
	int err;

	while (next_fault(t, &f)) {
		/* Nobody promises that it is zeroed. */
		memset(&ref, 0x5a, sizeof(ref));
		arm(&f);
		err = name ? pcpuref_init_named(&ref, released, flags, gfp, name) :
			     pcpuref_init(&ref, released, flags, gfp);
		disarm(&f);
		if (err) {
			f.failed++;
			EXPECT(t, f.hit);
			EXPECT_EQ(t, err, -ENOMEM);
			expect_nothing(t, &ref);
		} else {
			whole_life(t, &ref, flags);
			pcpuref_exit(&ref);
		}
		expect_there(t, &before);
	}
	tell(t, &f);
}

/*
 * The first reference of this module: the core makes it a client, which stays when what
 * comes after that fails. Run before all others.
 */
static void init_first(struct test *t)
{
	init_with(t, 0, GFP_KERNEL, NULL, 2);
}

#define INIT_CASE(name, flags, gfp, copied, least)	\
static void name(struct test *t)			\
{							\
	init_with(t, flags, gfp, copied, least);	\
}

INIT_CASE(init_plain, 0, GFP_KERNEL, NULL, 2)
INIT_CASE(init_in_atomic_context, 0, GFP_ATOMIC, NULL, 2)
INIT_CASE(init_nowait, 0, GFP_NOWAIT, NULL, 2)
INIT_CASE(init_named, 0, GFP_KERNEL, "a name that is copied", 2)
INIT_CASE(init_atomic, PCPUREF_INIT_ATOMIC, GFP_KERNEL, NULL, 2)
INIT_CASE(init_dead, PCPUREF_INIT_DEAD, GFP_KERNEL, NULL, 2)
INIT_CASE(init_reinit, PCPUREF_ALLOW_REINIT, GFP_KERNEL, NULL, 2)
INIT_CASE(init_allow_zero, PCPUREF_ALLOW_ZERO, GFP_KERNEL, NULL, 2)
INIT_CASE(init_may_linger, PCPUREF_MAY_LINGER, GFP_KERNEL, NULL, 2)
INIT_CASE(init_release_work, PCPUREF_RELEASE_WORK, GFP_KERNEL, NULL, 2)
INIT_CASE(init_lazy, PCPUREF_INIT_LAZY, GFP_KERNEL, NULL, 1)
INIT_CASE(init_lazy_named, PCPUREF_INIT_LAZY, GFP_KERNEL, "a lazy one", 1)
INIT_CASE(init_lazy_release_work,
	  PCPUREF_INIT_LAZY | PCPUREF_RELEASE_WORK | PCPUREF_ALLOW_REINIT, GFP_KERNEL, NULL, 1)

/* A reference whose init has failed can be given to init once more. */
static void init_again(struct test *t)
{
	struct there before = what_is_there(t);
	struct faults f = { .least = 2 };
	struct pcpuref ref;
	int err;

	while (next_fault(t, &f)) {
		arm(&f);
		err = pcpuref_init(&ref, released, 0, GFP_KERNEL);
		disarm(&f);
		if (err) {
			f.failed++;
			err = pcpuref_init(&ref, released, 0, GFP_KERNEL);
		}
		if (EXPECT_EQ(t, err, 0)) {
			whole_life(t, &ref, 0);
			pcpuref_exit(&ref);
		}
		expect_there(t, &before);
	}
	tell(t, &f);
}

/* --- What never needs memory ------------------------------------------------------------ */

static void requests(struct test *t, struct pcpuref *ref)
{
	pcpuref_get(ref);
	pcpuref_put(ref);
	EXPECT_EQ(t, pcpuref_switch_to_atomic(ref, confirmed), 0);
	EXPECT_EQ(t, pcpuref_switch_to_percpu(ref), 0);
	EXPECT_EQ(t, pcpuref_switch_to_atomic_sync(ref), 0);
	EXPECT(t, pcpuref_tryget(ref));
	EXPECT_EQ(t, pcpuref_switch_to_percpu(ref), 0);
	EXPECT_EQ(t, pcpuref_kill(ref), 0);
	EXPECT_EQ(t, pcpuref_resurrect(ref), 0);
	EXPECT_EQ(t, pcpuref_kill_sync(ref), 0);
	EXPECT_EQ(t, pcpuref_resurrect(ref), 0);
	end_of_life(t, ref, 1);
	/* What has failed may never come to its end. */
	if (t->failed)
		return;
	EXPECT_EQ(t, pcpuref_reinit(ref), 0);
	EXPECT_EQ(t, pcpuref_kill_and_wait(ref), 0);
	EXPECT_EQ(t, pcpuref_reinit(ref), 0);
	end_of_life(t, ref, 0);
	pcpuref_exit(ref);
}

static const unsigned int request_flags[] = {
	PCPUREF_ALLOW_REINIT,
	PCPUREF_ALLOW_REINIT | PCPUREF_INIT_ATOMIC,
	PCPUREF_ALLOW_REINIT | PCPUREF_RELEASE_WORK,
	PCPUREF_ALLOW_REINIT | PCPUREF_INIT_LAZY,
	PCPUREF_ALLOW_REINIT | PCPUREF_INIT_LAZY | PCPUREF_RELEASE_WORK,
};

#define NR_REQUESTED	ARRAY_SIZE(request_flags)

/*
 * The first allocation fails, but there is none. Debugging of objects fills a pool of its
 * own now and then: then once more.
 */
static void requests_allocate_nothing(struct test *t)
{
	struct there before = what_is_there(t);
	struct faults f = { .nth = 1, .least = 1 };
	unsigned int i, tries;
	struct pcpuref ref;
	void *p;

	for (i = 0; i < NR_REQUESTED; i++) {
		for (tries = 0; tries < 5 && !t->failed; tries++) {
			if (!EXPECT_EQ(t, pcpuref_init(&ref, released, request_flags[i],
						       GFP_KERNEL), 0))
				return;
			arm(&f);
			requests(t, &ref);
			disarm(&f);
			if (!f.hit)
				break;
		}
		EXPECT(t, !f.hit);
	}
	/* It would have struck. */
	f.struck = 0;
	arm(&f);
	p = kmalloc(64, GFP_KERNEL);
	disarm(&f);
	f.failed = !p;
	kfree(p);
	expect_there(t, &before);
	tell(t, &f);
}

/* There is nothing in a pcpuref_kref that could be allocated. */
static void kref_released(struct pcpuref_kref *kref)
{
	atomic_inc(&nr_released);
}

static void kref_allocates_nothing(struct test *t)
{
	struct faults f = { .nth = 1, .least = 1 };
	struct pcpuref_kref kref;
	void *p;

	atomic_set(&nr_released, 0);
	arm(&f);
	pcpuref_kref_init(&kref);
	pcpuref_kref_get(&kref);
	EXPECT(t, pcpuref_kref_get_unless_zero(&kref));
	pcpuref_kref_put(&kref, kref_released);
	pcpuref_kref_put(&kref, kref_released);
	EXPECT(t, pcpuref_kref_put(&kref, kref_released));
	p = kmalloc(64, GFP_KERNEL);
	disarm(&f);
	EXPECT_EQ(t, atomic_read(&nr_released), 1);
	f.failed = !p;
	kfree(p);
	tell(t, &f);
}

/* Can it be that no task and no interrupt gets memory? */
static bool is_short(void)
{
	void *p = kmalloc(64, GFP_ATOMIC | __GFP_NOWARN);

	kfree(p);
	return !p;
}

/*
 * The script makes allocations of all tasks and interrupts fail, so many of them. Then
 * lives are led, here and in callbacks, and the faults that are left are used up.
 */
static void requests_in_shortage(struct test *t)
{
	static struct pcpuref refs[NR_REQUESTED];
	struct there before = what_is_there(t);
	struct faults f = { };
	unsigned int i;
	bool still;

	for (i = 0; i < NR_REQUESTED; i++)
		if (!EXPECT_EQ(t, pcpuref_init(&refs[i], released, request_flags[i],
					       GFP_KERNEL), 0))
			return;
	pr_info("%s: the references are there\n", t->c->name);
	EXPECT(t, SOON(is_short()));
	for (i = 0; i < NR_REQUESTED && !t->failed; i++)
		requests(t, &refs[i]);
	still = is_short();
	while (is_short())
		f.struck++;
	EXPECT(t, still);
	expect_there(t, &before);
	tell(t, &f);
}

/* --- Counters for a lazy reference -------------------------------------------------------- */

/* A work item allocates them: the script sees to it that this fails, for a while. */
static void promotion(struct test *t)
{
	struct there before = what_is_there(t);
	struct pcpuref_info info = { };
	struct faults f = { };
	unsigned int i;
	struct pcpuref ref;

	if (!EXPECT_EQ(t, pcpuref_init(&ref, released,
				       PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT, GFP_KERNEL), 0))
		return;
	pcpuref_get_many(&ref, 5);
	while (!t->failed) {
		EXPECT_EQ(t, pcpuref_switch_to_percpu(&ref), 0);
		/* With the work item behind it. */
		pcpuref_barrier();
		EXPECT(t, pcpuref_inspect(&ref, &info));
		EXPECT_EQ(t, info.count, 6 + f.failed);
		EXPECT_EQ(t, info.state, PCPUREF_STATE_LIVE);
		if (info.mode != PCPUREF_MODE_ATOMIC)
			break;
		f.failed++;
		pcpuref_get(&ref);
		EXPECT(t, f.failed < TOO_MANY);
	}
	EXPECT_EQ(t, info.mode, PCPUREF_MODE_PERCPU);
	for (i = 0; i < 1000; i++) {
		pcpuref_get(&ref);
		pcpuref_put(&ref);
	}
	EXPECT_EQ(t, pcpuref_switch_to_atomic_sync(&ref), 0);
	EXPECT_EQ(t, pcpuref_read(&ref), 6 + f.failed);
	EXPECT_EQ(t, pcpuref_switch_to_percpu(&ref), 0);
	end_of_life(t, &ref, 5 + f.failed);
	pcpuref_exit(&ref);
	expect_there(t, &before);
	pr_info("%s: %u attempts failed\n", t->c->name, f.failed);
}

/* A kill comes while counters are wanted, and there are none to be had. */
static void promotion_and_kill(struct test *t)
{
	struct there before = what_is_there(t);
	struct pcpuref ref;
	unsigned int i;

	if (!EXPECT_EQ(t, pcpuref_init(&ref, released,
				       PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT, GFP_KERNEL), 0))
		return;
	for (i = 0; i < 10; i++) {
		pcpuref_get(&ref);
		EXPECT_EQ(t, pcpuref_switch_to_percpu(&ref), 0);
		end_of_life(t, &ref, 1);
		EXPECT_EQ(t, pcpuref_reinit(&ref), 0);
		EXPECT_EQ(t, pcpuref_switch_to_percpu(&ref), 0);
		end_of_life(t, &ref, 0);
		EXPECT_EQ(t, pcpuref_reinit(&ref), 0);
	}
	EXPECT_EQ(t, pcpuref_kill_and_wait(&ref), 0);
	pcpuref_exit(&ref);
	expect_there(t, &before);
}

/* Since then modules may use the tracepoint "console". */
#if KERNEL_VERSION(6, 2, 0) <= LINUX_VERSION_CODE
struct want {
	struct pcpuref	*ref;
	unsigned int	times;
	int		err;
};

/* The line that says that the allocation fails comes from within it. */
static void want_meanwhile(void *data, const char *text, size_t len)
{
	struct want *want = data;

	if (!strnstr(text, "name fail_pcpuref", len))
		return;
	want->times++;
	want->err = pcpuref_switch_to_percpu(want->ref);
}

/* Counters are wanted once more while the work item is failing to allocate them. */
static void promotion_wanted_meanwhile(struct test *t)
{
	struct there before = what_is_there(t);
	struct pcpuref_info info = { };
	struct want want = { };
	struct pcpuref ref;

	want.ref = &ref;
	if (!EXPECT_EQ(t, pcpuref_init(&ref, released,
				       PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT, GFP_KERNEL), 0))
		return;
	if (EXPECT_EQ(t, register_trace_console(want_meanwhile, &want), 0)) {
		EXPECT_EQ(t, pcpuref_switch_to_percpu(&ref), 0);
		pcpuref_barrier();
		unregister_trace_console(want_meanwhile, &want);
		tracepoint_synchronize_unregister();
	}
	EXPECT_EQ(t, want.times, 1);
	EXPECT_EQ(t, want.err, 0);
	EXPECT(t, pcpuref_inspect(&ref, &info));
	EXPECT_EQ(t, info.mode, PCPUREF_MODE_PERCPU);
	end_of_life(t, &ref, 0);
	pcpuref_exit(&ref);
	expect_there(t, &before);
}
#endif

/* --- Places for releases -------------------------------------------------------------------- */

/* One more than a pool of the core's has places for. */
#define NR_RELEASES	513

static DECLARE_COMPLETION(may_return);

static void release_waits(struct pcpuref *ref)
{
	atomic_inc(&nr_released);
	wait_for_completion(&may_return);
}

/* The script lets the allocation of another pool fail once. */
static void release_places(struct test *t)
{
	struct pcpuref *refs = kvcalloc(NR_RELEASES, sizeof(*refs), GFP_KERNEL);
	struct there before = what_is_there(t);
	unsigned int i, nr, begun;

	if (!EXPECT(t, refs))
		return;
	reinit_completion(&may_return);
	atomic_set(&nr_released, 0);
	for (nr = 0; nr < NR_RELEASES; nr++) {
		if (!EXPECT_EQ(t, pcpuref_init(&refs[nr], release_waits, PCPUREF_RELEASE_WORK |
					       PCPUREF_INIT_ATOMIC, GFP_KERNEL), 0))
			break;
		EXPECT_EQ(t, pcpuref_kill(&refs[nr]), 0);
	}
	do {
		begun = atomic_read(&nr_released);
	} while (begun < nr && SOON(atomic_read(&nr_released) > begun));
	EXPECT_EQ(t, begun, NR_RELEASES);
	complete_all(&may_return);
	pcpuref_barrier();
	EXPECT_EQ(t, atomic_read(&nr_released), nr);
	for (i = 0; i < nr; i++)
		pcpuref_exit(&refs[i]);
	expect_there(t, &before);
	kvfree(refs);
}

/* --- Tokens ---------------------------------------------------------------------------------- */

static void tracked(struct test *t)
{
	struct there before = what_is_there(t);
	struct pcpuref_token tokens[3];
	struct faults f = { };
	struct pcpuref ref;
	unsigned int i;

	if (!EXPECT_EQ(t, pcpuref_init(&ref, released, PCPUREF_ALLOW_REINIT, GFP_KERNEL), 0))
		return;
	while (next_fault(t, &f)) {
		memset(tokens, 0, sizeof(tokens));
		arm(&f);
		pcpuref_get_tracked(&ref, &tokens[0], GFP_KERNEL);
		EXPECT(t, pcpuref_tryget_tracked(&ref, &tokens[1], GFP_KERNEL));
		EXPECT(t, pcpuref_tryget_live_tracked(&ref, &tokens[2], GFP_ATOMIC));
		disarm(&f);
		/* With a token or without one. */
		EXPECT_EQ(t, pcpuref_read(&ref), 4);
		if (f.nth == 1)
			pcpuref_dump(&ref);
		for (i = 0; i < ARRAY_SIZE(tokens); i++) {
			EXPECT_EQ(t, pcpuref_put_tracked(&ref, &tokens[i]), 0);
			EXPECT_EQ(t, pcpuref_read(&ref), 3 - i);
		}
		end_of_life(t, &ref, 0);
		EXPECT(t, !pcpuref_tryget_tracked(&ref, &tokens[0], GFP_KERNEL));
		EXPECT_EQ(t, pcpuref_reinit(&ref), 0);
	}
	EXPECT_EQ(t, pcpuref_kill_and_wait(&ref), 0);
	pcpuref_exit(&ref);
	expect_there(t, &before);
	/* What there is no memory for is told by the dump. */
	tell(t, &f);
}

/* --- For pcpuref_watch.ko, which is told by what stays for a while ----------------------- */

static struct pcpuref watched;

static void watched_init(struct test *t)
{
	EXPECT_EQ(t, pcpuref_init(&watched, released, 0, GFP_KERNEL), 0);
}

/* With a reference out. */
static void watched_kill(struct test *t)
{
	pcpuref_get(&watched);
	EXPECT_EQ(t, pcpuref_kill(&watched), 0);
}

static void watched_put(struct test *t)
{
	atomic_set(&nr_released, 0);
	pcpuref_put(&watched);
	EXPECT(t, SOON(atomic_read(&nr_released)));
	pcpuref_barrier();
	EXPECT_EQ(t, atomic_read(&nr_released), 1);
	pcpuref_exit(&watched);
}

static const struct test_case cases[] = {
	TEST_CASE("init_first", init_first),
	TEST_CASE("init_plain", init_plain),
	TEST_CASE("init_in_atomic_context", init_in_atomic_context),
	TEST_CASE("init_nowait", init_nowait),
	TEST_CASE("init_named", init_named),
	TEST_CASE("init_atomic", init_atomic),
	TEST_CASE("init_dead", init_dead),
	TEST_CASE("init_reinit", init_reinit),
	TEST_CASE("init_allow_zero", init_allow_zero),
	TEST_CASE("init_may_linger", init_may_linger),
	TEST_CASE("init_release_work", init_release_work),
	TEST_CASE("init_lazy", init_lazy),
	TEST_CASE("init_lazy_named", init_lazy_named),
	TEST_CASE("init_lazy_release_work", init_lazy_release_work),
	TEST_CASE("init_again", init_again),
	TEST_CASE("requests_allocate_nothing", requests_allocate_nothing),
	TEST_CASE("kref_allocates_nothing", kref_allocates_nothing),
	TEST_CASE("requests_in_shortage", requests_in_shortage),
	TEST_CASE("promotion", promotion),
	TEST_CASE("promotion_and_kill", promotion_and_kill),
#if KERNEL_VERSION(6, 2, 0) <= LINUX_VERSION_CODE
	TEST_CASE("promotion_wanted_meanwhile", promotion_wanted_meanwhile),
#endif
	TEST_CASE("release_places", release_places),
	TEST_CASE("tracked", tracked),
	TEST_CASE("watched_init", watched_init),
	TEST_CASE("watched_kill", watched_kill),
	TEST_CASE("watched_put", watched_put),
	{ }
};

static int __init faults_init(void)
{
	/* Threads for many releases take their time. */
	WRITE_ONCE(test_limit_s, 6 * TEST_PATIENCE_S);
	return 0;
}

static void __exit faults_exit(void)
{
}

module_init(faults_init);
module_exit(faults_exit);

TEST_MODULE(cases, "Each allocation fails in turn");
