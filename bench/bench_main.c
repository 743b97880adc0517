// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measures pcpuref against what the kernel has, all in one run: each round
 * takes every subject in turn, and the table shows the median and the quartiles
 * over the rounds. Runs while the module is loaded; the results are in the log,
 * as a table and, for programs, in lines that begin with "csv:".
 * Documentation/performance.rst explains each row.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/kref.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched/signal.h>
#include <linux/sort.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <linux/utsname.h>

#include "bench.h"
#include "pcpuref.h"

static unsigned int rounds = 21;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "How often each row is measured (21)");

static unsigned int pairs = 100000;
module_param(pairs, uint, 0444);
MODULE_PARM_DESC(pairs, "Gets and puts of one measurement (100000)");

unsigned int mass = 10000;
module_param(mass, uint, 0444);
MODULE_PARM_DESC(mass, "References of the mass kill (10000)");

static char *only;
module_param(only, charp, 0444);
MODULE_PARM_DESC(only, "Measure only the rows whose names begin so; several with commas between (all)");

static unsigned int million;
module_param(million, uint, 0444);
MODULE_PARM_DESC(million, "Also initialise so many references at once, and walk the registry (0: not)");

static bool wanted(const char *row)
{
	const char *begin = only;
	size_t length;

	if (!only)
		return true;
	for (;;) {
		length = strcspn(begin, ",");
		if (!strncmp(row, begin, length))
			return true;
		if (!begin[length])
			return false;
		begin += length + 1;
	}
}

/* --- Counts of the kernel that are no percpu_ref --------------------------- */

static refcount_t a_refcount = REFCOUNT_INIT(1);
static struct kref a_kref = KREF_INIT(1);
static atomic_long_t an_atomic = ATOMIC_LONG_INIT(1);
DEFINE_STATIC_SRCU(a_srcu);
static unsigned long __percpu *a_counter;

static void nothing(struct kref *kref)
{
}

PAIRS(refcount_get_put, refcount_inc(&a_refcount), must(!refcount_dec_and_test(&a_refcount)))
PAIRS(kref_get_put, kref_get(&a_kref), kref_put(&a_kref, nothing))
PAIRS(atomic_get_put, atomic_long_inc(&an_atomic), must(!atomic_long_dec_and_test(&an_atomic)))
PAIRS(bare_get_put, this_cpu_inc(*a_counter), this_cpu_dec(*a_counter))

static noinline void srcu_lock_unlock(unsigned int n)
{
	while (n--) {
		int index = srcu_read_lock(&a_srcu);

		barrier();
		srcu_read_unlock(&a_srcu, index);
	}
}

static int bare_init(void)
{
	a_counter = alloc_percpu(unsigned long);
	return a_counter ? 0 : -ENOMEM;
}

static void bare_exit(void)
{
	free_percpu(a_counter);
}

static const struct subject a_refcount_t = {
	.name = "refcount_t",
	.rows[GET_PUT].loop = refcount_get_put,
};

static const struct subject kref = {
	.name = "kref",
	.rows[GET_PUT].loop = kref_get_put,
};

static const struct subject atomic_long = {
	.name = "atomic_long_t",
	.rows[GET_PUT].loop = atomic_get_put,
};

static const struct subject srcu = {
	.name = "srcu",
	.rows[GET_PUT].loop = srcu_lock_unlock,
};

static const struct subject bare = {
	.name = "bare per-CPU",
	.init = bare_init,
	.exit = bare_exit,
	.rows[GET_PUT].loop = bare_get_put,
};

/* --- Rows and subjects ---------------------------------------------------- */

#define ALL	(~0U)

/* The first is what the others are compared with. */
static struct {
	const struct subject	*subject;
	unsigned int		rows;		/* to be measured, where it has them */
} subjects[] = {
	{ &bench_kernel, ALL },
	{ &bench_pcpuref, ALL },
	{ &a_refcount_t, ALL },
	{ &kref, ALL },
	{ &atomic_long, ALL },
	{ &srcu, ALL },
	{ &bare, ALL },
	{ &bench_kill_sync, ALL },
	{ &bench_kill_and_wait, ALL },
	{ &bench_inline, BIT(ATOMIC_GET_PUT) | BIT(ATOMIC_LIVE_PUT) },
	{ &bench_lazy, BIT(ATOMIC_GET_PUT) | BIT(INIT_EXIT) | BIT(LIFE) },
	{ &bench_tasks, BIT(GET_PUT) | BIT(LIVE_PUT) | BIT(TO_RELEASE) },
};

static const struct {
	const char	*name;
	unsigned int	times;	/* so many rounds are enough, 0: all */
} rows[ROWS] = {
	[GET_PUT]		= { "get+put" },
	[LIVE_PUT]		= { "tryget_live+put" },
	[ATOMIC_GET_PUT]	= { "atomic get+put" },
	[ATOMIC_LIVE_PUT]	= { "atomic live+put" },
	[INIT_EXIT]		= { "init+exit" },
	[TO_CONFIRM]		= { "kill to confirm" },
	[TO_RELEASE]		= { "kill to release" },
	[ROUND_TRIP]		= { "atomic and back" },
	[MASS_KILL]		= { "mass kill", 11 },
	[LIFE]			= { "life", 5 },
};

/* Those of the row that is being measured. */
static const struct subject *in_row[ARRAY_SIZE(subjects)];
static unsigned int nr_in_row;

static void find_subjects(enum row row)
{
	unsigned int i;

	nr_in_row = 0;
	for (i = 0; i < ARRAY_SIZE(subjects); i++) {
		const struct subject *s = subjects[i].subject;

		if (subjects[i].rows & BIT(row) && (s->rows[row].loop || s->rows[row].once))
			in_row[nr_in_row++] = s;
	}
}

/* --- Statistics ----------------------------------------------------------- */

#define MAX_ROUNDS	1001

/* Hundredths of a nanosecond, of each subject in the row. */
static u64 samples[ARRAY_SIZE(subjects)][MAX_ROUNDS];

static int ascending(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

#define NUMBER	24

/* A number of hundredths or thousandths, with its point. */
static const char *fixed(char *text, u64 number, unsigned int unit)
{
	u32 rest;
	u64 whole = div_u64_rem(number, unit, &rest);

	snprintf(text, NUMBER, "%llu.%0*u", whole, unit == 100 ? 2 : 3, rest);
	return text;
}

static void line(const char *row, unsigned int i, unsigned int cpus, unsigned int n)
{
	u64 median = samples[i][n / 2], low = samples[i][n / 4], high = samples[i][n * 3 / 4];
	u64 base = samples[0][n / 2];
	u64 ratio = base ? div64_u64(median * 1000, base) : 0;
	char text[4][NUMBER];

	pr_info("%-22s %-16s %4u %15s %15s %15s %9s\n", row, in_row[i]->name, cpus,
		fixed(text[0], median, 100), fixed(text[1], low, 100),
		fixed(text[2], high, 100), fixed(text[3], ratio, 1000));
	pr_info("csv: %s,%s,%u,%s,%s,%s,%s\n", row, in_row[i]->name, cpus,
		text[0], text[1], text[2], text[3]);
}

static void table(const char *row, unsigned int cpus, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < nr_in_row; i++)
		sort(samples[i], n, sizeof(u64), ascending, NULL);
	for (i = 0; i < nr_in_row; i++)
		line(row, i, cpus, n);
}

/* --- Pairs on several CPUs ------------------------------------------------ */

struct runner {
	struct task_struct	*task;
	void			(*loop)(unsigned int n);
	u64			ns;
};

static atomic_t at_start;

static int run_thread(void *arg)
{
	struct runner *runner = arg;
	u64 start;

	atomic_dec(&at_start);
	while (atomic_read(&at_start) > 0)
		cpu_relax();
	start = ktime_get_ns();
	runner->loop(pairs);
	/* Not zero, which says that it is still running. */
	runner->ns = max_t(u64, ktime_get_ns() - start, 1);

	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

u64 bench_on_cpus(void (*loop)(unsigned int n), unsigned int cpus)
{
	struct runner *runners;
	unsigned int i, n = 0;
	u64 sum = 0;
	int cpu;

	runners = kcalloc(cpus, sizeof(*runners), GFP_KERNEL);
	if (!runners)
		return 0;
	for_each_online_cpu(cpu) {
		struct runner *runner = &runners[n];

		runner->loop = loop;
		runner->task = kthread_create(run_thread, runner, "pcpuref_bench");
		if (IS_ERR(runner->task))
			break;
		kthread_bind(runner->task, cpu);
		if (++n == cpus)
			break;
	}
	atomic_set(&at_start, n);
	for (i = 0; i < n; i++)
		wake_up_process(runners[i].task);
	for (i = 0; i < n; i++) {
		while (!READ_ONCE(runners[i].ns))
			schedule_timeout_uninterruptible(1);
		kthread_stop(runners[i].task);
		sum += runners[i].ns;
	}
	kfree(runners);
	return n == cpus ? div64_u64(sum * 100, (u64)n * pairs) : 0;
}

static int measure_pairs(enum row row)
{
	unsigned int cpus, i, r;

	for (cpus = 1; cpus <= 8 && cpus <= num_online_cpus(); cpus *= 2) {
		for (r = 0; r < rounds; r++) {
			for (i = 0; i < nr_in_row; i++) {
				samples[i][r] = bench_on_cpus(in_row[i]->rows[row].loop, cpus);
				if (!samples[i][r])
					return -ENOMEM;
			}
			if (signal_pending(current))
				return -EINTR;
		}
		table(rows[row].name, cpus, rounds);
	}
	return 0;
}

/* --- Steps ---------------------------------------------------------------- */

void bench_settle(void)
{
	rcu_barrier();
	pcpuref_barrier();
}

static int measure_steps(enum row row)
{
	unsigned int n = rows[row].times ? min(rounds, rows[row].times) : rounds;
	unsigned int i, r;

	for (r = 0; r < n; r++) {
		for (i = 0; i < nr_in_row; i++) {
			samples[i][r] = 100 * in_row[i]->rows[row].once();
			if (!samples[i][r])
				return -ENOMEM;
			/* What it left to be freed is no burden of the next. */
			rcu_barrier();
		}
		if (signal_pending(current))
			return -EINTR;
	}
	table(rows[row].name, num_online_cpus(), n);
	return 0;
}

/* --- The run -------------------------------------------------------------- */

static int run(void)
{
	enum row row;
	int err = 0;

	pr_info("kernel %s, %u CPUs, %u rounds\n", utsname()->release, num_online_cpus(), rounds);
	pr_info("%-22s %-16s %4s %15s %15s %15s %9s\n", "row", "subject", "CPUs",
		"median/ns", "quartile/ns", "quartile/ns", "ratio");
	for (row = 0; !err && row < ROWS; row++) {
		if (!wanted(rows[row].name))
			continue;
		find_subjects(row);
		err = in_row[0]->rows[row].loop ? measure_pairs(row) : measure_steps(row);
	}
	if (!err && wanted("lazy"))
		err = bench_hot();
	err = err ?: bench_bytes();
	if (million)
		err = err ?: bench_million(million);
	if (err)
		pr_err("ended early: error %d\n", err);
	else
		pr_info("done\n");
	return err;
}

static int __init bench_init(void)
{
	unsigned int i;
	int err = 0;

	rounds = clamp_t(unsigned int, rounds, 4, MAX_ROUNDS);
	for (i = 0; !err && i < ARRAY_SIZE(subjects); i++) {
		err = subjects[i].subject->init ? subjects[i].subject->init() : 0;
		/* Not there: it takes no part. */
		if (err)
			subjects[i].rows = 0;
		if (err == -EOPNOTSUPP)
			err = 0;
	}
	err = err ?: run();
	while (i--)
		if (subjects[i].rows && subjects[i].subject->exit)
			subjects[i].subject->exit();
	bench_settle();
	return err;
}

/* All was done when it was loaded. */
static void __exit bench_exit(void)
{
}

module_init(bench_init);
module_exit(bench_exit);

MODULE_DESCRIPTION("Measures pcpuref against the kernel's reference counts");
MODULE_VERSION(PCPUREF_VERSION);
MODULE_LICENSE("GPL");
