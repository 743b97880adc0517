/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the storms and the stress share: actors, which take turns in a thread, in a soft
 * or hard interrupt's timer, or in an NMI, until @test_stop.
 */
#ifndef PCPUREF_TEST_CONTEXTS_H
#define PCPUREF_TEST_CONTEXTS_H

#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/smp.h>

#include "actor.h"
#include "compat.h"
#include "pcpuref_test.h"

static const char *const test_context_names[] = { "task", "softirq", "hardirq", "nmi" };

static bool test_stop;

static unsigned int test_random(unsigned int *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 12;
}

static unsigned int test_pause_us(struct test_actor *actor)
{
	return actor->pause_us +
	       (actor->spread_us ? test_random(&actor->rnd) % actor->spread_us : 0);
}

static void test_take_turn(struct test_actor *actor)
{
	actor->turn(actor);
	actor->turns++;
}

/* --- Timers ------------------------------------------------------------------- */

static enum hrtimer_restart test_actor_timer(struct hrtimer *timer)
{
	struct test_actor *actor = container_of(timer, struct test_actor, timer);

	test_take_turn(actor);
	if (READ_ONCE(test_stop))
		return HRTIMER_NORESTART;
	hrtimer_forward_now(timer, ns_to_ktime(test_pause_us(actor) * NSEC_PER_USEC));
	return HRTIMER_RESTART;
}

static enum hrtimer_mode test_timer_mode(const struct test_actor *actor)
{
	if (actor->context == SOFTIRQ)
		return actor->cpu < 0 ? HRTIMER_MODE_REL_SOFT : HRTIMER_MODE_REL_PINNED_SOFT;
	return actor->cpu < 0 ? HRTIMER_MODE_REL_HARD : HRTIMER_MODE_REL_PINNED_HARD;
}

static void test_timer_start(void *actor)
{
	hrtimer_start(&((struct test_actor *)actor)->timer, ms_to_ktime(1),
		      test_timer_mode(actor));
}

/* --- Threads ------------------------------------------------------------------ */

/* Back to its own CPU, if that has been offline, and its timers with it. */
static void test_go_home(struct test_actor *actor)
{
	bool moved = false;
	unsigned int i;

	if (actor->cpu < 0 || raw_smp_processor_id() == actor->cpu || !cpus_read_trylock())
		return;
	if (cpu_online(actor->cpu))
		moved = !set_cpus_allowed_ptr(current, cpumask_of(actor->cpu));
	cpus_read_unlock();
	for (i = 0; moved && i < ARRAY_SIZE(actor->follows); i++) {
		if (!actor->follows[i])
			continue;
		hrtimer_cancel(&actor->follows[i]->timer);
		test_timer_start(actor->follows[i]);
	}
}

static int test_actor_thread(void *arg)
{
	struct test_actor *actor = arg;
	unsigned int i, pause;

	while (!READ_ONCE(test_stop)) {
		test_go_home(actor);
		for (i = 0; i < actor->burst; i++)
			test_take_turn(actor);
		pause = test_pause_us(actor);
		usleep_range(pause, 2 * pause);
	}
	return 0;
}

/* --- One, and one for each context and CPU ------------------------------------- */

static void test_actor_init(struct test_actor *actor, void (*turn)(struct test_actor *actor),
			    enum test_context context, int cpu, unsigned int seed)
{
	memset(actor, 0, sizeof(*actor));
	actor->turn = turn;
	actor->context = context;
	actor->cpu = cpu;
	actor->rnd = seed;
	actor->burst = context == TASK ? 20 : 1;
	actor->pause_us = context == TASK ? 50 : 200;
	actor->spread_us = context == TASK ? 100 : 300;
	if (context == SOFTIRQ || context == HARDIRQ)
		test_timer_setup(&actor->timer, test_actor_timer, test_timer_mode(actor));
}

/* Not one of NMIs: see test_users_start(). */
static bool test_actor_start(struct test_actor *actor)
{
	if (actor->context == TASK) {
		actor->thread = test_start(test_actor_thread, actor, actor->cpu);
		return actor->thread;
	}
	if (actor->cpu < 0)
		test_timer_start(actor);
	else
		smp_call_function_single(actor->cpu, test_timer_start, actor, 1);
	return true;
}

/* After test_stop has been set. False if it does not stop. */
static bool test_actor_stop(struct test_actor *actor)
{
	bool stopped = true;

	if (actor->thread)
		stopped = test_join(actor->thread, TEST_PATIENCE_S, NULL);
	actor->thread = NULL;
	if (actor->context == SOFTIRQ || actor->context == HARDIRQ)
		hrtimer_cancel(&actor->timer);
	return stopped;
}

#ifdef TEST_HAVE_NMI
static struct test_actor *(*test_nmi_at)(int cpu, enum test_context context);
static struct test_thread *test_nmi_thread;
static DEFINE_PER_CPU(int, test_nmi_wanted);

static int test_nmi(unsigned int type, struct pt_regs *regs)
{
	if (!this_cpu_read(test_nmi_wanted))
		return NMI_DONE;
	this_cpu_write(test_nmi_wanted, 0);
	test_take_turn(test_nmi_at(raw_smp_processor_id(), NMI));
	return NMI_HANDLED;
}

static int test_nmi_sender(void *unused)
{
	int cpu;

	while (!READ_ONCE(test_stop)) {
		for_each_possible_cpu(cpu) {
			if (READ_ONCE(per_cpu(test_nmi_wanted, cpu)))
				continue;
			WRITE_ONCE(per_cpu(test_nmi_wanted, cpu), 1);
			if (!test_send_nmi(cpu))
				WRITE_ONCE(per_cpu(test_nmi_wanted, cpu), 0);
		}
		usleep_range(200, 500);
	}
	return 0;
}

static bool test_nmi_start(struct test_actor *(*at)(int cpu, enum test_context context))
{
	test_nmi_at = at;
	if (register_nmi_handler(NMI_LOCAL, test_nmi, 0, "pcpuref_test"))
		return false;
	test_nmi_thread = test_start(test_nmi_sender, NULL, -1);
	return test_nmi_thread;
}

static bool test_nmi_stop(void)
{
	bool stopped = test_join(test_nmi_thread, TEST_PATIENCE_S, NULL);
	int cpu;

	test_nmi_thread = NULL;
	/* The last one may still be on its way. */
	msleep(100);
	for_each_possible_cpu(cpu)
		WRITE_ONCE(per_cpu(test_nmi_wanted, cpu), 0);
	unregister_nmi_handler(NMI_LOCAL, "pcpuref_test");
	return stopped;
}

static inline bool test_have_nmi(void)
{
	return true;
}
#else
static inline bool test_nmi_start(struct test_actor *(*at)(int cpu, enum test_context context))
{
	return true;
}

static inline bool test_nmi_stop(void)
{
	return true;
}

static inline bool test_have_nmi(void)
{
	return false;
}
#endif

/* All that @at knows, on the CPUs that are online. */
static bool test_users_start(struct test_actor *(*at)(int cpu, enum test_context context),
			     bool nmi)
{
	bool started = true;
	int cpu;

	for_each_online_cpu(cpu) {
		started &= test_actor_start(at(cpu, SOFTIRQ));
		started &= test_actor_start(at(cpu, HARDIRQ));
		started &= test_actor_start(at(cpu, TASK));
	}
	return started && (!nmi || test_nmi_start(at));
}

static bool test_users_stop(struct test_actor *(*at)(int cpu, enum test_context context),
			    bool nmi)
{
	bool stopped = !nmi || test_nmi_stop();
	int cpu;

	/* The threads first: they start timers. */
	for_each_possible_cpu(cpu)
		stopped &= test_actor_stop(at(cpu, TASK));
	for_each_possible_cpu(cpu) {
		test_actor_stop(at(cpu, SOFTIRQ));
		test_actor_stop(at(cpu, HARDIRQ));
	}
	return stopped;
}

#endif /* PCPUREF_TEST_CONTEXTS_H */
