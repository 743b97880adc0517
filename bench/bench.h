/* SPDX-License-Identifier: GPL-2.0-only */
/* What is measured, and what measures it. */
#ifndef BENCH_H
#define BENCH_H

#include <linux/atomic.h>
#include <linux/bug.h>
#include <linux/compiler.h>
#include <linux/completion.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/percpu-refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/types.h>

enum row {
	GET_PUT, LIVE_PUT, ATOMIC_GET_PUT, ATOMIC_LIVE_PUT,	/* loops */
	INIT_EXIT, TO_CONFIRM, TO_RELEASE, ROUND_TRIP, MASS_KILL, LIFE,
	ROWS,
};

struct subject {
	const char	*name;
	/* Once, before and after everything. */
	int		(*init)(void);
	void		(*exit)(void);
	struct {
		void	(*loop)(unsigned int n);	/* so many pairs, or */
		u64	(*once)(void);			/* ns of one step, 0: failed */
	} rows[ROWS];
	/* A function that is a get and nothing else. */
	const void	*one_get;
};

/* All by bench_scenarios.c. */
extern const struct subject bench_kernel, bench_pcpuref, bench_tasks, bench_inline, bench_lazy;
/* By bench_only.c, which measures some more. */
extern const struct subject bench_kill_sync, bench_kill_and_wait;
int bench_hot(void);
int bench_bytes(void);
int bench_million(unsigned int million);

/* References of the mass kill. */
extern unsigned int mass;

/* Mean time of a pair, in hundredths of ns, while so many CPUs are at it; 0: no memory. */
u64 bench_on_cpus(void (*loop)(unsigned int n), unsigned int cpus);

/* Wait for what kills and switches have begun, of either kind of reference. */
void bench_settle(void);

static __always_inline void must(bool taken)
{
	WARN_ON_ONCE(!taken);
}

#define PAIRS(name, get, put)				\
static noinline void name(unsigned int n)		\
{							\
	while (n--) {					\
		get;					\
		barrier();				\
		put;					\
		barrier();				\
	}						\
}

#endif /* BENCH_H */
