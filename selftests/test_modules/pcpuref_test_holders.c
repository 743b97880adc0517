// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client that is compiled with PCPUREF_DEBUG. holders.sh reads in the log
 * what the dumps of each case say about it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/workqueue.h>

#include "pcpuref_holders.h"
#include "pcpuref_inspect.h"
#include "pcpuref_test.h"

#ifndef PCPUREF_DEBUG
#error "this client is to be compiled with -DPCPUREF_DEBUG"
#endif

#define ROUNDS	100

static void held_release(struct pcpuref *ref)
{
}

static bool begin(struct test *t, struct pcpuref *ref)
{
	return EXPECT_EQ(t, pcpuref_init_named(ref, held_release, 0, GFP_KERNEL, "held"), 0);
}

/* Drop what the case has left, behind the accounts' back. */
static void end(struct test *t, struct pcpuref *ref, unsigned int left)
{
	if (left)
		(pcpuref_put_many)(ref, left);
	EXPECT_EQ(t, pcpuref_kill_and_wait(ref), 0);
	pcpuref_exit(ref);
}

#define BALANCED(name)						\
static noinline void name(struct pcpuref *ref)			\
{								\
	pcpuref_get(ref);					\
	barrier();						\
	pcpuref_put(ref);					\
	barrier();						\
}

BALANCED(balanced_one)
BALANCED(balanced_two)
BALANCED(balanced_three)

/* Forgets to put when it fails, which it does once. */
static noinline int leaky(struct pcpuref *ref, bool fail)
{
	pcpuref_get(ref);
	if (fail)
		return -EIO;
	pcpuref_put(ref);
	return 0;
}

static void leak_among_many(struct test *t)
{
	struct pcpuref ref;
	int i;

	if (!begin(t, &ref))
		return;
	for (i = 0; i < ROUNDS; i++) {
		balanced_one(&ref);
		balanced_two(&ref);
		leaky(&ref, i == 70);
		balanced_three(&ref);
	}
	pcpuref_dump(&ref);
	end(t, &ref, 1);
}

static void healthy(struct test *t)
{
	struct pcpuref ref;
	int i;

	if (!begin(t, &ref))
		return;
	for (i = 0; i < ROUNDS; i++) {
		balanced_one(&ref);
		leaky(&ref, false);
	}
	pcpuref_dump(&ref);
	end(t, &ref, 0);
}

/* One task takes, another one puts. */
struct request {
	struct work_struct	work;
	struct pcpuref		*ref;
	unsigned int		lose;
};

static void complete_request(struct work_struct *work)
{
	struct request *request = container_of(work, struct request, work);

	if (!request->lose)
		pcpuref_put(request->ref);
}

static noinline void submit(struct request *request)
{
	pcpuref_get(request->ref);
	schedule_work(&request->work);
}

static void hand_over(struct pcpuref *ref, int lose_at, int leak_at)
{
	struct request request = { .ref = ref };
	int i;

	INIT_WORK_ONSTACK(&request.work, complete_request);
	for (i = 0; i < ROUNDS; i++) {
		request.lose = i == lose_at;
		submit(&request);
		leaky(ref, i == leak_at);
		balanced_one(ref);
		flush_work(&request.work);
	}
	destroy_work_on_stack(&request.work);
}

static void handed_over(struct test *t)
{
	struct pcpuref ref;

	if (!begin(t, &ref))
		return;
	hand_over(&ref, -1, 30);
	pcpuref_dump(&ref);
	end(t, &ref, 1);
}

static void handed_over_and_lost(struct test *t)
{
	struct pcpuref ref;

	if (!begin(t, &ref))
		return;
	hand_over(&ref, 30, -1);
	pcpuref_dump(&ref);
	end(t, &ref, 1);
}

static noinline bool try_all(struct pcpuref *ref)
{
	bool taken = pcpuref_tryget(ref);

	taken &= pcpuref_tryget_many(ref, 2);
	taken &= pcpuref_get_unless_zero(ref);
	taken &= pcpuref_tryget_live(ref);
	taken &= pcpuref_tryget_live_many(ref, 3);
	rcu_read_lock();
	taken &= pcpuref_tryget_live_rcu(ref);
	rcu_read_unlock();
	return taken;
}

/* Tells whether every kind of get is accounted, and none that failed. */
static void all_kinds(struct test *t)
{
	struct pcpuref ref;

	if (!begin(t, &ref))
		return;
	EXPECT(t, try_all(&ref));
	EXPECT_EQ(t, pcpuref_read(&ref), 10);
	pcpuref_get_many(&ref, 5);
	pcpuref_put_many(&ref, 14);
	pcpuref_dump(&ref);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&ref), 0);
	EXPECT(t, !pcpuref_tryget(&ref));
	EXPECT(t, !pcpuref_tryget_live(&ref));
	pcpuref_dump(&ref);
	pcpuref_exit(&ref);
}

#ifdef DEFINE_CLASS
static noinline int scoped(struct pcpuref *ref)
{
	CLASS(pcpuref, held)(ref);

	return pcpuref_read(held);
}
#endif

static void scopes(struct test *t)
{
#ifdef DEFINE_CLASS
	struct pcpuref ref;

	if (!begin(t, &ref))
		return;
	EXPECT_EQ(t, scoped(&ref), 2);
	pcpuref_dump(&ref);
	end(t, &ref, 0);
#else
	t->skipped = "this kernel has no cleanup.h";
#endif
}

static struct pcpuref irq_ref;
static atomic_t irq_ran;

static noinline void from_irq(struct irq_work *work)
{
	pcpuref_get(&irq_ref);
	atomic_inc(&irq_ran);
}

static void interrupts(struct test *t)
{
	struct irq_work work;
	int i;

	init_irq_work(&work, from_irq);
	if (!begin(t, &irq_ref))
		return;
	atomic_set(&irq_ran, 0);
	for (i = 0; i < ROUNDS; i++) {
		irq_work_queue(&work);
		balanced_one(&irq_ref);
		irq_work_sync(&work);
	}
	EXPECT_EQ(t, atomic_read(&irq_ran), ROUNDS);
	pcpuref_dump(&irq_ref);
	end(t, &irq_ref, ROUNDS);
}

static noinline void take_token(struct pcpuref *ref, struct pcpuref_token *token)
{
	pcpuref_get_tracked(ref, token, GFP_KERNEL);
	barrier();
}

static void tokens(struct test *t)
{
	struct pcpuref_token one = { }, two = { }, three = { };
	struct pcpuref ref;

	if (!begin(t, &ref))
		return;
	take_token(&ref, &one);
	EXPECT(t, pcpuref_tryget_tracked(&ref, &two, GFP_ATOMIC));
	EXPECT(t, pcpuref_tryget_live_tracked(&ref, &three, GFP_NOWAIT));
	EXPECT(t, pcpuref_put_tracked(&ref, &two));
	EXPECT(t, pcpuref_put_tracked(&ref, &three));
	EXPECT_EQ(t, pcpuref_read(&ref), 2);
	pcpuref_dump(&ref);
	EXPECT(t, pcpuref_put_tracked(&ref, &one));
	EXPECT_EQ(t, pcpuref_read(&ref), 1);
	end(t, &ref, 0);
	EXPECT(t, !pcpuref_tryget_tracked(&ref, &one, GFP_KERNEL));
}

static void token_misuse(struct test *t)
{
	struct pcpuref_token token = { }, empty = { };
	struct pcpuref ref, other;

	if (!begin(t, &ref) || !begin(t, &other))
		return;
	take_token(&ref, &token);
	pr_info("pcpuref-expect: misuse: token of another reference: ref=\n");
	EXPECT(t, !pcpuref_put_tracked(&other, &token));
	EXPECT_EQ(t, pcpuref_read(&other), 1);
	EXPECT_EQ(t, pcpuref_read(&ref), 2);
	EXPECT(t, pcpuref_put_tracked(&ref, &token));
	EXPECT_EQ(t, pcpuref_read(&ref), 1);
	pr_info("pcpuref-expect: misuse: token put twice: ref=\n");
	EXPECT(t, !pcpuref_put_tracked(&ref, &token));
	EXPECT_EQ(t, pcpuref_read(&ref), 1);
	pr_info("pcpuref-expect: misuse: token without a reference: ref=\n");
	EXPECT(t, !pcpuref_put_tracked(&ref, &empty));
	EXPECT_EQ(t, pcpuref_read(&ref), 1);
	end(t, &ref, 0);
	end(t, &other, 0);
}

static void token_left_at_exit(struct test *t)
{
	struct pcpuref_token token = { };
	struct pcpuref ref;

	if (!begin(t, &ref))
		return;
	take_token(&ref, &token);
	leaky(&ref, true);
	EXPECT(t, pcpuref_kill_sync(&ref) == 0);
	pr_info("pcpuref-expect: misuse: exit with references out: name=held\n");
	pcpuref_exit(&ref);
	pr_info("pcpuref-expect: misuse: token of an exited reference:\n");
	EXPECT(t, !pcpuref_put_tracked(&ref, &token));
}

/*
 * The count is right at exit, since it was put without the token: that is named
 * all the same, and does not put what another life holds in the same place.
 */
static void token_of_an_earlier_life(struct test *t)
{
	struct pcpuref_token token = { };
	struct pcpuref ref;

	if (!begin(t, &ref))
		return;
	take_token(&ref, &token);
	pcpuref_put(&ref);
	end(t, &ref, 0);
	if (!begin(t, &ref))
		return;
	pr_info("pcpuref-expect: misuse: token of an exited reference:\n");
	EXPECT(t, !pcpuref_put_tracked(&ref, &token));
	EXPECT_EQ(t, pcpuref_read(&ref), 1);
	end(t, &ref, 0);
}

/* What a get and a put cost with accounts; not judged. */
static void cost(struct test *t)
{
	const int rounds = 100000;
	struct pcpuref ref;
	u64 start, bare, noted;
	int i;

	if (!begin(t, &ref))
		return;
	start = ktime_get_ns();
	for (i = 0; i < rounds; i++) {
		(pcpuref_get_many)(&ref, 1);
		(pcpuref_put_many)(&ref, 1);
	}
	bare = ktime_get_ns() - start;
	start = ktime_get_ns();
	for (i = 0; i < rounds; i++) {
		pcpuref_get(&ref);
		pcpuref_put(&ref);
	}
	noted = ktime_get_ns() - start;
	pr_info("a pair takes %llu ns, with accounts %llu ns\n", div_u64(bare, rounds),
		div_u64(noted, rounds));
	EXPECT(t, bare && noted);
	end(t, &ref, 0);
}

static const struct test_case cases[] = {
	TEST_CASE("leak_among_many", leak_among_many),
	TEST_CASE("healthy", healthy),
	TEST_CASE("handed_over", handed_over),
	TEST_CASE("handed_over_and_lost", handed_over_and_lost),
	TEST_CASE("all_kinds", all_kinds),
	TEST_CASE("scopes", scopes),
	TEST_CASE("interrupts", interrupts),
	TEST_CASE("tokens", tokens),
	TEST_CASE("token_misuse", token_misuse),
	TEST_CASE("token_left_at_exit", token_left_at_exit),
	TEST_CASE("token_of_an_earlier_life", token_of_an_earlier_life),
	TEST_CASE("cost", cost),
	{ }
};

TEST_MODULE(cases, "A client whose gets and puts are accounted");
