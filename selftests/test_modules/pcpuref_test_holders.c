// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client that is compiled with PCPUREF_DEBUG. holders.sh reads in the log
 * what the dumps of each case say about it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/prandom.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "pcpuref_holders.h"
#include "pcpuref_inspect.h"
#include "pcpuref_test.h"
#include "pcpuref_test_lent.h"
#include "pcpuref_trace.h"

#ifndef PCPUREF_DEBUG
#error "this client is to be compiled with -DPCPUREF_DEBUG"
#endif

#define ROUNDS	100

/* The thread's result, or -1 if it does not end. */
static int test_collect(struct test_thread *thread)
{
	int result = -1;

	test_join(thread, TEST_PATIENCE_S, &result);
	return result;
}

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
	bool			failed;
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

/* Takes and puts in hard and in soft interrupts, over a task that holds one itself. */
static struct interrupt {
	struct hrtimer	timer;
	void		(*func)(struct pcpuref *ref);
	struct pcpuref	*ref;
	bool		ran;
} interrupt;

static enum hrtimer_restart interrupt_timer(struct hrtimer *timer)
{
	interrupt.func(interrupt.ref);
	/* Pairs with the smp_load_acquire() in interrupt_by(). */
	smp_store_release(&interrupt.ran, true);
	return HRTIMER_NORESTART;
}

/* As a rule this task is what is interrupted: it does not sleep meanwhile. */
static void interrupt_by(struct test *t, enum hrtimer_mode mode,
			 void (*func)(struct pcpuref *ref), struct pcpuref *ref)
{
	unsigned long end = jiffies + TEST_PATIENCE_S * HZ;

	interrupt.func = func;
	interrupt.ref = ref;
	interrupt.ran = false;
	test_timer_setup(&interrupt.timer, interrupt_timer, mode);
	hrtimer_start(&interrupt.timer, ns_to_ktime(50 * NSEC_PER_USEC), mode);
	/* Pairs with the smp_store_release() above. */
	while (!smp_load_acquire(&interrupt.ran) && time_before(jiffies, end)) {
		cpu_relax();
		cond_resched();
	}
	EXPECT(t, interrupt.ran);
	hrtimer_cancel(&interrupt.timer);
}

#define INTERRUPT(name, call)						\
static noinline void name(struct pcpuref *ref)				\
{									\
	call;								\
	asm volatile("# " #name ::: "memory");				\
}

INTERRUPT(take_in_hardirq, pcpuref_get(ref))
INTERRUPT(take_in_softirq, pcpuref_get(ref))
INTERRUPT(take_to_put, pcpuref_get(ref))
INTERRUPT(put_in_hardirq, pcpuref_put(ref))
INTERRUPT(held_by_the_task, pcpuref_get(ref))

static void interrupts_take(struct test *t)
{
	struct pcpuref ref;

	if (!begin(t, &ref))
		return;
	held_by_the_task(&ref);
	interrupt_by(t, HRTIMER_MODE_REL_PINNED_HARD, take_in_hardirq, &ref);
	interrupt_by(t, HRTIMER_MODE_REL_PINNED_SOFT, take_in_softirq, &ref);
	pcpuref_dump(&ref);
	end(t, &ref, 3);
}

/* Which of the two is put nothing tells, the first time: so both are suspect. */
static void interrupt_puts(struct test *t)
{
	struct pcpuref ref;

	if (!begin(t, &ref))
		return;
	held_by_the_task(&ref);
	interrupt_by(t, HRTIMER_MODE_REL_PINNED_HARD, take_to_put, &ref);
	interrupt_by(t, HRTIMER_MODE_REL_PINNED_HARD, put_in_hardirq, &ref);
	pcpuref_dump(&ref);
	end(t, &ref, 1);
}

/* One place in balance from eight threads, while another one gets and never puts. */
#define THREADS	8

struct crowd {
	struct test_thread	*threads[THREADS];
	struct pcpuref		*ref;
	atomic_t		next;
	int			leaker;
};

/* So many hold at once that a fixed number of them does not suffice. */
static noinline void balanced_long(struct pcpuref *ref, bool sleep)
{
	pcpuref_get(ref);
	if (sleep)
		usleep_range(100, 200);
	pcpuref_put(ref);
	barrier();
}

static noinline void forgets(struct pcpuref *ref)
{
	pcpuref_get(ref);
	barrier();
}

static int crowd_member(void *arg)
{
	struct crowd *crowd = arg;
	int me = atomic_inc_return(&crowd->next) - 1;
	int i;

	for (i = 0; i < 20 * ROUNDS; i++) {
		balanced_long(crowd->ref, i % 8 == 0);
		if (me == crowd->leaker && i == 7 * ROUNDS)
			forgets(crowd->ref);
	}
	return 0;
}

/* @leaker: one of the threads, or -1 for another task. */
static void crowd(struct test *t, int leaker)
{
	struct crowd crowd = { .leaker = leaker };
	struct pcpuref ref;
	int i;

	if (!begin(t, &ref))
		return;
	crowd.ref = &ref;
	for (i = 0; i < THREADS; i++)
		crowd.threads[i] = test_start(crowd_member, &crowd, -1);
	if (leaker < 0)
		forgets(&ref);
	for (i = 0; i < THREADS; i++)
		EXPECT_EQ(t, test_collect(crowd.threads[i]), 0);
	pcpuref_dump(&ref);
	end(t, &ref, 1);
}

static void leak_beside_a_crowd(struct test *t)
{
	crowd(t, -1);
}

static void leak_in_a_crowd(struct test *t)
{
	crowd(t, 3);
}

/* The outer one is right; the inner one leaks on its error path. */
static noinline int inner(struct pcpuref *ref, bool fail)
{
	pcpuref_get(ref);
	if (fail)
		return -ENODEV;
	pcpuref_put(ref);
	return 0;
}

static noinline void outer(struct pcpuref *ref, bool fail)
{
	pcpuref_get(ref);
	if (inner(ref, fail))
		barrier();
	pcpuref_put(ref);
	barrier();
}

static void inner_leaks(struct test *t)
{
	struct pcpuref ref;
	int i;

	if (!begin(t, &ref))
		return;
	for (i = 0; i < 10 * ROUNDS; i++)
		outer(&ref, i == 3 * ROUNDS + 1);
	pcpuref_dump(&ref);
	end(t, &ref, 1);
}

/* With something that differs, or the compiler makes one function of them. */
#define WRAPPED(name)							\
static noinline void wrapped_##name(struct pcpuref *ref)		\
{									\
	pcpuref_##name(ref);						\
	asm volatile("# " #name ::: "memory");				\
}

#define pcpuref_get_outer	pcpuref_get
#define pcpuref_get_inner	pcpuref_get
#define pcpuref_put_outer	pcpuref_put
#define pcpuref_put_inner	pcpuref_put

WRAPPED(get_outer)
WRAPPED(get_inner)
WRAPPED(put_outer)
WRAPPED(put_inner)

/* @alone: the outer one does not always call the inner one */
static void wrapped(struct test *t, bool alone)
{
	struct pcpuref ref;
	int i;

	if (!begin(t, &ref))
		return;
	for (i = 0; i < 10 * ROUNDS; i++) {
		wrapped_get_outer(&ref);
		if (!alone || i % 10) {
			wrapped_get_inner(&ref);
			if (i != 3 * ROUNDS + 1)
				wrapped_put_inner(&ref);
		}
		wrapped_put_outer(&ref);
	}
	pcpuref_dump(&ref);
	end(t, &ref, 1);
}

static void wrapped_inner_leaks(struct test *t)
{
	wrapped(t, false);
}

static void wrapped_inner_leaks_once_alone(struct test *t)
{
	wrapped(t, true);
}

/* The usual helper, of which one caller forgets the put. */
static noinline bool look_up(struct pcpuref *ref)
{
	bool found;

	rcu_read_lock();
	found = pcpuref_tryget_live(ref);
	rcu_read_unlock();
	return found;
}

static noinline void careful(struct pcpuref *ref)
{
	if (look_up(ref))
		pcpuref_put(ref);
	barrier();
}

static noinline void forgetful(struct pcpuref *ref, bool forget)
{
	if (look_up(ref) && !forget)
		pcpuref_put(ref);
	barrier();
}

static void helper_of_two(struct test *t)
{
	struct pcpuref ref;
	int i;

	if (!begin(t, &ref))
		return;
	for (i = 0; i < ROUNDS; i++) {
		careful(&ref);
		forgetful(&ref, i == 50);
		careful(&ref);
	}
	pcpuref_dump(&ref);
	end(t, &ref, 1);
}

/* Two gets and one put in one function; another task is in it meanwhile. */
struct visit {
	struct pcpuref		*ref;
	bool			other;
	struct completion	inside;
	struct completion	leave;
};

static noinline void either(struct visit *visit)
{
	if (visit->other) {
		if (!pcpuref_tryget(visit->ref))
			return;
	} else {
		pcpuref_get(visit->ref);
	}
	complete(&visit->inside);
	wait_for_completion(&visit->leave);
	pcpuref_put(visit->ref);
	barrier();
}

static int visitor(void *arg)
{
	either(arg);
	return 0;
}

static void begin_visit(struct visit *visit, struct pcpuref *ref, bool other)
{
	visit->ref = ref;
	visit->other = other;
	init_completion(&visit->inside);
	init_completion(&visit->leave);
}

static void visit_at_once(struct pcpuref *ref, bool other)
{
	struct visit visit;

	begin_visit(&visit, ref, other);
	complete(&visit.leave);
	either(&visit);
}

static void either_or(struct test *t)
{
	struct test_thread *thread;
	struct visit visit;
	struct pcpuref ref;

	if (!begin(t, &ref))
		return;
	visit_at_once(&ref, false);
	begin_visit(&visit, &ref, false);
	thread = test_start(visitor, &visit, -1);
	wait_for_completion(&visit.inside);
	visit_at_once(&ref, true);
	pcpuref_dump(&ref);
	complete(&visit.leave);
	EXPECT_EQ(t, test_collect(thread), 0);
	pcpuref_dump(&ref);
	end(t, &ref, 0);
}

/* Two functions submit, one completes. */
static noinline void submit_other(struct request *request)
{
	pcpuref_get(request->ref);
	schedule_work(&request->work);
}

static void requests(struct request *request, bool other, unsigned int nr)
{
	while (nr--) {
		if (other)
			submit_other(request);
		else
			submit(request);
		flush_work(&request->work);
	}
}

static void first_one_then_other(struct test *t)
{
	struct request request = { };
	struct pcpuref ref;

	if (!begin(t, &ref))
		return;
	request.ref = &ref;
	INIT_WORK_ONSTACK(&request.work, complete_request);
	requests(&request, false, ROUNDS);
	requests(&request, true, ROUNDS / 2);
	pcpuref_dump(&ref);
	destroy_work_on_stack(&request.work);
	end(t, &ref, 0);
}

static void one_lost_then_other(struct test *t)
{
	struct request request = { };
	struct pcpuref ref;

	if (!begin(t, &ref))
		return;
	request.ref = &ref;
	INIT_WORK_ONSTACK(&request.work, complete_request);
	requests(&request, false, 3);
	request.lose = true;
	requests(&request, false, 1);
	request.lose = false;
	requests(&request, true, 3);
	pcpuref_dump(&ref);
	destroy_work_on_stack(&request.work);
	end(t, &ref, 1);
}

/* The first failure of what hands over, while the caller holds one. */
static noinline bool submit_or_fail(struct request *request, bool fail)
{
	pcpuref_get(request->ref);
	if (fail) {
		pcpuref_put(request->ref);
		return false;
	}
	schedule_work(&request->work);
	return true;
}

static noinline void command(struct request *request, bool fail)
{
	pcpuref_get(request->ref);
	if (!submit_or_fail(request, fail)) {
		pcpuref_dump(request->ref);
		request->failed = true;
	}
	pcpuref_put(request->ref);
	barrier();
}

static void first_failure(struct test *t)
{
	struct request request = { };
	struct pcpuref ref;
	int i;

	if (!begin(t, &ref))
		return;
	request.ref = &ref;
	INIT_WORK_ONSTACK(&request.work, complete_request);
	for (i = 0; i < ROUNDS; i++) {
		command(&request, i == ROUNDS - 1);
		flush_work(&request.work);
	}
	EXPECT(t, request.failed);
	destroy_work_on_stack(&request.work);
	end(t, &ref, 0);
}

/* A helper that is inlined into two works, which one function calls. */
static __always_inline bool look_up_inline(struct pcpuref *ref)
{
	return pcpuref_tryget_live(ref);
}

static void careful_work(struct work_struct *work)
{
	struct request *request = container_of(work, struct request, work);

	if (look_up_inline(request->ref))
		pcpuref_put(request->ref);
}

static void forgetful_work(struct work_struct *work)
{
	struct request *request = container_of(work, struct request, work);

	if (look_up_inline(request->ref) && !request->lose)
		pcpuref_put(request->ref);
}

static void inlined_helper(struct test *t)
{
	struct request one = { }, two = { };
	struct pcpuref ref;
	int i;

	if (!begin(t, &ref))
		return;
	one.ref = &ref;
	two.ref = &ref;
	INIT_WORK_ONSTACK(&one.work, careful_work);
	INIT_WORK_ONSTACK(&two.work, forgetful_work);
	for (i = 0; i < ROUNDS; i++) {
		two.lose = i == 50;
		schedule_work(&one.work);
		schedule_work(&two.work);
		flush_work(&one.work);
		flush_work(&two.work);
	}
	pcpuref_dump(&ref);
	destroy_work_on_stack(&one.work);
	destroy_work_on_stack(&two.work);
	end(t, &ref, 1);
}

/* A put too many, that nobody notices before the kill. */
static noinline void puts_twice(struct pcpuref *ref, bool twice)
{
	pcpuref_get(ref);
	barrier();
	pcpuref_put(ref);
	if (twice)
		pcpuref_put(ref);
	barrier();
}

static void put_twice(struct test *t)
{
	static struct pcpuref ref;
	char by[40];
	int i;

	if (!begin(t, &ref))
		return;
	for (i = 0; i < ROUNDS; i++) {
		balanced_one(&ref);
		puts_twice(&ref, i == 20);
		balanced_two(&ref);
	}
	scnprintf(by, sizeof(by), "found at the kill by %s", __func__);
	test_expect_report("put without a reference", "held", held_release, by);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&ref), -ENOTRECOVERABLE);
	pcpuref_exit(&ref);
}

/* A usage counter: the initial reference, which nobody got, is put. */
static noinline void put_initial(struct pcpuref *ref)
{
	pcpuref_put(ref);
	barrier();
}

static void initial_put(struct test *t)
{
	struct pcpuref ref;
	int i;

	if (!EXPECT_EQ(t, pcpuref_init_named(&ref, held_release, PCPUREF_ALLOW_ZERO,
					     GFP_KERNEL, "held"), 0))
		return;
	put_initial(&ref);
	for (i = 0; i < ROUNDS; i++)
		balanced_one(&ref);
	forgets(&ref);
	pcpuref_dump(&ref);
	/* The kill takes over the one that is out. */
	EXPECT_EQ(t, pcpuref_kill_and_wait(&ref), 0);
	pcpuref_exit(&ref);
}

/* Lent to pcpuref_test_borrower, which goes without giving it back. */
struct pcpuref pcpuref_test_lent;
EXPORT_SYMBOL_GPL(pcpuref_test_lent);

static void lend(struct test *t)
{
	begin(t, &pcpuref_test_lent);
}

static void lent_to_whom(struct test *t)
{
	pcpuref_dump(&pcpuref_test_lent);
}

static void take_back(struct test *t)
{
	end(t, &pcpuref_test_lent, 2);
}

/* More tasks at once than a small store has room for. */
static int hold_for_a_while(void *arg)
{
	struct crowd *crowd = arg;

	pcpuref_get(crowd->ref);
	barrier();
	atomic_inc(&crowd->next);
	while (atomic_read(&crowd->next) < THREADS)
		usleep_range(500, 1000);
	/* Here all have one. */
	pcpuref_put(crowd->ref);
	barrier();
	return 0;
}

static void many_tasks(struct test *t)
{
	struct crowd crowd = { };
	struct pcpuref refs[4];
	int i, j;

	for (i = 0; i < ARRAY_SIZE(refs); i++)
		if (!begin(t, &refs[i]))
			return;
	/* One task keeps some of each, so that the store is full. */
	for (i = 0; i < ARRAY_SIZE(refs); i++) {
		balanced_one(&refs[i]);
		forgets(&refs[i]);
		leaky(&refs[i], true);
	}
	for (i = 0; i < ARRAY_SIZE(refs); i++) {
		crowd.ref = &refs[i];
		atomic_set(&crowd.next, 0);
		for (j = 0; j < THREADS; j++)
			crowd.threads[j] = test_start(hold_for_a_while, &crowd, -1);
		for (j = 0; j < THREADS; j++)
			EXPECT_EQ(t, test_collect(crowd.threads[j]), 0);
	}
	for (i = 0; i < ARRAY_SIZE(refs); i++) {
		pcpuref_dump(&refs[i]);
		end(t, &refs[i], 2);
	}
}

/*
 * Soak: threads that get and put at random, in any order, and forget some. Each site has
 * a place of its own where it is put. Or, when it is "mixed", sites 4 and 5 are put by
 * other threads, and 6 and 7 in one place. What is really out is told in the log, and
 * holders.sh compares.
 *
 * A task that has forgotten one goes on to put what others have handed to it. That can
 * be told from its own only when it is known what is put there: so if it is mixed, the
 * first half of the steps is without leaks.
 */
#define SITES		8
#define STACK		6
#define SOAK_STEPS	2000

#define SOAK_GET(nr)							\
static noinline void soak_get_##nr(struct pcpuref *ref)			\
{									\
	pcpuref_get(ref);						\
	asm volatile("# get " #nr ::: "memory");			\
}

#define SOAK_PUT(nr)							\
static noinline void soak_put_##nr(struct pcpuref *ref)			\
{									\
	pcpuref_put(ref);						\
	asm volatile("# put " #nr ::: "memory");			\
}

SOAK_GET(0) SOAK_GET(1) SOAK_GET(2) SOAK_GET(3)
SOAK_GET(4) SOAK_GET(5) SOAK_GET(6) SOAK_GET(7)
SOAK_PUT(0) SOAK_PUT(1) SOAK_PUT(2) SOAK_PUT(3)
SOAK_PUT(4) SOAK_PUT(5) SOAK_PUT(6) SOAK_PUT(7)

static void (*const soak_gets[SITES])(struct pcpuref *ref) = {
	soak_get_0, soak_get_1, soak_get_2, soak_get_3,
	soak_get_4, soak_get_5, soak_get_6, soak_get_7,
};

static void (*const soak_puts[SITES])(struct pcpuref *ref) = {
	soak_put_0, soak_put_1, soak_put_2, soak_put_3,
	soak_put_4, soak_put_5, soak_put_6, soak_put_7,
};

static unsigned int soak_seed = 1;
module_param(soak_seed, uint, 0644);
MODULE_PARM_DESC(soak_seed, "What the soak begins with");

struct soak {
	struct pcpuref	ref;
	atomic_t	next;
	atomic_t	handed[SITES];
	atomic_t	leaked[SITES];
	bool		leaks;
	bool		mixed;
};

static bool is_handed_over(const struct soak *soak, unsigned int site)
{
	return soak->mixed && (site == 4 || site == 5);
}

static void soak_give_back(struct soak *soak, struct rnd_state *random, unsigned int step,
			   unsigned int site)
{
	if (soak->leaks && (!soak->mixed || step > SOAK_STEPS / 2) &&
	    !(prandom_u32_state(random) % 500))
		atomic_inc(&soak->leaked[site]);
	else
		soak_puts[soak->mixed && site == 7 ? 6 : site](&soak->ref);
}

static int soak_thread(void *arg)
{
	unsigned int stack[STACK], depth = 0, i, site, n;
	struct soak *soak = arg;
	struct rnd_state random;

	prandom_seed_state(&random, soak_seed * 1000 + atomic_inc_return(&soak->next));
	for (i = 0; i < SOAK_STEPS; i++) {
		site = prandom_u32_state(&random) % SITES;
		if (prandom_u32_state(&random) % 2) {
			if (is_handed_over(soak, site)) {
				soak_gets[site](&soak->ref);
				atomic_inc(&soak->handed[site]);
			} else if (depth < STACK) {
				soak_gets[site](&soak->ref);
				stack[depth++] = site;
			}
		} else if (depth) {
			n = prandom_u32_state(&random) % depth;
			site = stack[n];
			stack[n] = stack[--depth];
			soak_give_back(soak, &random, i, site);
		} else if (is_handed_over(soak, site) &&
			   atomic_dec_if_positive(&soak->handed[site]) >= 0) {
			soak_give_back(soak, &random, i, site);
		}
		if (!(i % 64))
			cond_resched();
	}
	while (depth)
		soak_give_back(soak, &random, i, stack[--depth]);
	return 0;
}

static void soak_with(struct test *t, bool leaks, bool mixed)
{
	static struct soak soak;
	struct test_thread *threads[4];
	unsigned int i, left = 0;

	memset(&soak, 0, sizeof(soak));
	soak.leaks = leaks;
	soak.mixed = mixed;
	if (!begin(t, &soak.ref))
		return;
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		threads[i] = test_start(soak_thread, &soak, -1);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		EXPECT_EQ(t, test_collect(threads[i]), 0);
	for (i = 0; i < SITES; i++) {
		while (atomic_dec_if_positive(&soak.handed[i]) >= 0)
			soak_puts[i](&soak.ref);
		pr_info("truth: soak_get_%u %d\n", i, atomic_read(&soak.leaked[i]));
		left += atomic_read(&soak.leaked[i]);
	}
	pcpuref_dump(&soak.ref);
	end(t, &soak.ref, left);
}

static void soak(struct test *t)
{
	soak_with(t, false, true);
}

static void soak_own_leaks(struct test *t)
{
	soak_with(t, true, false);
}

static void soak_that_leaks(struct test *t)
{
	soak_with(t, true, true);
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
	EXPECT_EQ(t, pcpuref_put_tracked(&ref, &two), 0);
	EXPECT_EQ(t, pcpuref_put_tracked(&ref, &three), 0);
	EXPECT_EQ(t, pcpuref_read(&ref), 2);
	pcpuref_dump(&ref);
	EXPECT_EQ(t, pcpuref_put_tracked(&ref, &one), 0);
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
	EXPECT_EQ(t, pcpuref_put_tracked(&other, &token), -EINVAL);
	EXPECT_EQ(t, pcpuref_read(&other), 1);
	EXPECT_EQ(t, pcpuref_read(&ref), 2);
	EXPECT_EQ(t, pcpuref_put_tracked(&ref, &token), 0);
	EXPECT_EQ(t, pcpuref_read(&ref), 1);
	pr_info("pcpuref-expect: misuse: token put twice: ref=\n");
	EXPECT_EQ(t, pcpuref_put_tracked(&ref, &token), -EINVAL);
	EXPECT_EQ(t, pcpuref_read(&ref), 1);
	pr_info("pcpuref-expect: misuse: token without a reference: ref=\n");
	EXPECT_EQ(t, pcpuref_put_tracked(&ref, &empty), -EINVAL);
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
	EXPECT_EQ(t, pcpuref_put_tracked(&ref, &token), -EINVAL);
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
	EXPECT_EQ(t, pcpuref_put_tracked(&ref, &token), -EINVAL);
	EXPECT_EQ(t, pcpuref_read(&ref), 1);
	end(t, &ref, 0);
}

/* A lookup that comes while the reference is being initialised. */
struct early_lookup {
	struct pcpuref		*ref;
	struct pcpuref_token	token;
	unsigned int		told;
	bool			taken;
};

static void look_up_early(void *data, const struct pcpuref_event *event)
{
	struct early_lookup *early = data;

	if (event->ref != early->ref)
		return;
	early->told++;
	early->taken = pcpuref_tryget_live_tracked(early->ref, &early->token, GFP_NOWAIT);
}

/*
 * At an init all is forgotten that was known of this address. So nobody may get the
 * reference before all who want to know have been told: this probe is told first.
 */
static void init_is_told_first(struct test *t)
{
	struct pcpuref ref = { };
	struct early_lookup early = { .ref = &ref };

	if (!EXPECT_EQ(t, register_trace_prio_pcpuref_init(look_up_early, &early,
							   TRACEPOINT_DEFAULT_PRIO + 1), 0))
		return;
	if (begin(t, &ref)) {
		EXPECT_EQ(t, early.told, 1);
		EXPECT(t, !early.taken);
		if (early.taken && !EXPECT_EQ(t, pcpuref_put_tracked(&ref, &early.token), 0))
			(pcpuref_put)(&ref);
		end(t, &ref, 0);
	}
	unregister_trace_pcpuref_init(look_up_early, &early);
	tracepoint_synchronize_unregister();
}

/* What is remembered for a token that nobody has any more is freed with the module. */
static void token_lost_for_good(struct test *t)
{
	struct pcpuref_token token = { };
	struct pcpuref ref;

	if (!begin(t, &ref))
		return;
	take_token(&ref, &token);
	pcpuref_put(&ref);
	end(t, &ref, 0);
}

/* What a get and a put cost with accounts, alone and beside another CPU; not judged. */
#define COST_ROUNDS	100000
#define COST_NS		(300 * NSEC_PER_MSEC)

/* Return: how many there were in a time that does not depend on what they cost. */
static int noted_pairs(void *arg)
{
	struct crowd *crowd = arg;
	int i, pairs = 0;
	u64 start;

	/* All begin together. */
	atomic_dec(&crowd->next);
	while (atomic_read(&crowd->next) > 0)
		cpu_relax();
	start = ktime_get_ns();
	do {
		for (i = 0; i < 100; i++) {
			pcpuref_get(crowd->ref);
			pcpuref_put(crowd->ref);
		}
		pairs += i;
	} while (ktime_get_ns() - start < COST_NS);
	return pairs;
}

static u64 time_of_pairs(struct test *t, struct pcpuref *ref, int threads)
{
	struct crowd crowd = { .ref = ref };
	int i, one, pairs = 0;

	atomic_set(&crowd.next, threads);
	for (i = 0; i < threads; i++)
		crowd.threads[i] = test_start(noted_pairs, &crowd, i);
	for (i = 0; i < threads; i++) {
		one = test_collect(crowd.threads[i]);
		EXPECT(t, one > 0);
		pairs += one;
	}
	return pairs > 0 ? div_u64(threads * (u64)COST_NS, pairs) : 0;
}

static void cost(struct test *t)
{
	struct pcpuref ref;
	u64 start, bare;
	int i;

	if (!begin(t, &ref))
		return;
	start = ktime_get_ns();
	for (i = 0; i < COST_ROUNDS; i++) {
		(pcpuref_get_many)(&ref, 1);
		(pcpuref_put_many)(&ref, 1);
	}
	bare = div_u64(ktime_get_ns() - start, COST_ROUNDS);
	pr_info("a pair takes %llu ns, with accounts %llu ns\n", bare, time_of_pairs(t, &ref, 1));
	if (num_online_cpus() > 1)
		pr_info("on two CPUs at once a pair takes %llu ns\n", time_of_pairs(t, &ref, 2));
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
	TEST_CASE("interrupts_take", interrupts_take),
	TEST_CASE("interrupt_puts", interrupt_puts),
	TEST_CASE("leak_beside_a_crowd", leak_beside_a_crowd),
	TEST_CASE("leak_in_a_crowd", leak_in_a_crowd),
	TEST_CASE("inner_leaks", inner_leaks),
	TEST_CASE("wrapped_inner_leaks", wrapped_inner_leaks),
	TEST_CASE("wrapped_inner_leaks_once_alone", wrapped_inner_leaks_once_alone),
	TEST_CASE("helper_of_two", helper_of_two),
	TEST_CASE("either_or", either_or),
	TEST_CASE("first_one_then_other", first_one_then_other),
	TEST_CASE("one_lost_then_other", one_lost_then_other),
	TEST_CASE("first_failure", first_failure),
	TEST_CASE("inlined_helper", inlined_helper),
	TEST_CASE("put_twice", put_twice),
	TEST_CASE("initial_put", initial_put),
	TEST_CASE("lend", lend),
	TEST_CASE("lent_to_whom", lent_to_whom),
	TEST_CASE("take_back", take_back),
	TEST_CASE("many_tasks", many_tasks),
	TEST_CASE("soak", soak),
	TEST_CASE("soak_own_leaks", soak_own_leaks),
	TEST_CASE("soak_that_leaks", soak_that_leaks),
	TEST_CASE("tokens", tokens),
	TEST_CASE("token_misuse", token_misuse),
	TEST_CASE("token_left_at_exit", token_left_at_exit),
	TEST_CASE("token_of_an_earlier_life", token_of_an_earlier_life),
	TEST_CASE("init_is_told_first", init_is_told_first),
	TEST_CASE("token_lost_for_good", token_lost_for_good),
	TEST_CASE("cost", cost),
	{ }
};

TEST_MODULE(cases, "A client whose gets and puts are accounted");
