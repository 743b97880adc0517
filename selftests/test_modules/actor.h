/* SPDX-License-Identifier: GPL-2.0-only */
/* An actor of the storms and the stress: see contexts.h, which sets it to work. */
#ifndef PCPUREF_TEST_ACTOR_H
#define PCPUREF_TEST_ACTOR_H

#include <linux/hrtimer.h>

struct test_thread;

enum test_context { TASK, SOFTIRQ, HARDIRQ, NMI, CONTEXTS };

/**
 * struct test_actor - what takes turns in one context
 * @turn: called again and again
 * @context: where
 * @cpu: of which CPU, or -1; when that goes offline it goes on elsewhere
 * @burst: how many turns it takes without a pause, in a thread
 * @pause_us: the shortest pause
 * @spread_us: how much longer it may be
 * @rnd: for that
 * @turns: that it has taken
 * @thread: that it runs in, if it does
 * @timer: or that calls it
 * @follows: timers that a thread takes along when it comes back to its CPU
 */
struct test_actor {
	void			(*turn)(struct test_actor *actor);
	enum test_context	context;
	int			cpu;
	unsigned int		burst;
	unsigned int		pause_us;
	unsigned int		spread_us;
	unsigned int		rnd;
	unsigned long		turns;
	struct test_thread	*thread;
	struct hrtimer		timer;
	struct test_actor	*follows[2];
};

#endif /* PCPUREF_TEST_ACTOR_H */
