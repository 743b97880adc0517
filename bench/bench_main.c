// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measures pcpuref against what the kernel has, all in one run: each round
 * takes every subject in turn, and the table shows the median and the quartiles
 * over the rounds. Runs while the module is loaded; the results are in the log,
 * as a table and, for programs, in lines that begin with "csv:".
 * Documentation/performance.rst explains each row.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/kallsyms.h>
#include <linux/kref.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/percpu-refcount.h>
#include <linux/refcount.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/srcu.h>
#include <linux/utsname.h>

#include "bench_variants.h"
#include "pcpuref.h"
#include "pcpuref_inspect.h"

static unsigned int rounds = 21;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "How often each row is measured (21)");

static unsigned int pairs = 100000;
module_param(pairs, uint, 0444);
MODULE_PARM_DESC(pairs, "Gets and puts of one measurement (100000)");

static unsigned int mass = 10000;
module_param(mass, uint, 0444);
MODULE_PARM_DESC(mass, "References of the mass kill (10000)");

static char *only;
module_param(only, charp, 0444);
MODULE_PARM_DESC(only, "Measure only the rows whose names begin so (all)");

static unsigned int million;
module_param(million, uint, 0444);
MODULE_PARM_DESC(million, "Also initialise so many references at once, and walk the registry (0: not)");

static bool wanted(const char *row)
{
	return !only || !strncmp(row, only, strlen(only));
}

/* --- What is measured ----------------------------------------------------- */

static struct percpu_ref theirs, their_atomic;
static struct pcpuref ours, our_atomic, our_lazy;
static refcount_t a_refcount = REFCOUNT_INIT(1);
static struct kref a_kref = KREF_INIT(1);
static atomic_long_t an_atomic = ATOMIC_LONG_INIT(1);
DEFINE_STATIC_SRCU(a_srcu);
static unsigned long __percpu *a_counter;

static void nothing_theirs(struct percpu_ref *ref)
{
}

static void nothing_ours(struct pcpuref *ref)
{
}

static void nothing_kref(struct kref *kref)
{
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

static __always_inline void must(bool taken)
{
	WARN_ON_ONCE(!taken);
}

PAIRS(theirs_get_put, percpu_ref_get(&theirs), percpu_ref_put(&theirs))
PAIRS(ours_get_put, pcpuref_get(&ours), pcpuref_put(&ours))
PAIRS(refcount_get_put, refcount_inc(&a_refcount), must(!refcount_dec_and_test(&a_refcount)))
PAIRS(kref_get_put, kref_get(&a_kref), kref_put(&a_kref, nothing_kref))
PAIRS(atomic_get_put, atomic_long_inc(&an_atomic), must(!atomic_long_dec_and_test(&an_atomic)))
PAIRS(bare_get_put, this_cpu_inc(*a_counter), this_cpu_dec(*a_counter))
PAIRS(theirs_live_put, must(percpu_ref_tryget_live(&theirs)), percpu_ref_put(&theirs))
PAIRS(ours_live_put, must(pcpuref_tryget_live(&ours)), pcpuref_put(&ours))
PAIRS(their_slow_pair, percpu_ref_get(&their_atomic), percpu_ref_put(&their_atomic))
PAIRS(our_slow_pair, pcpuref_get(&our_atomic), pcpuref_put(&our_atomic))
PAIRS(their_slow_live, must(percpu_ref_tryget_live(&their_atomic)), percpu_ref_put(&their_atomic))
PAIRS(our_lazy_pair, pcpuref_get(&our_lazy), pcpuref_put(&our_lazy))
PAIRS(our_slow_live, must(pcpuref_tryget_live(&our_atomic)), pcpuref_put(&our_atomic))

static noinline void srcu_lock_unlock(unsigned int n)
{
	while (n--) {
		int index = srcu_read_lock(&a_srcu);

		barrier();
		srcu_read_unlock(&a_srcu, index);
	}
}

/* What a get and nothing else compiles to. */
static noinline void theirs_one_get(struct percpu_ref *ref)
{
	percpu_ref_get(ref);
}

static noinline void ours_one_get(struct pcpuref *ref)
{
	pcpuref_get(ref);
}

/* --- Statistics ----------------------------------------------------------- */

#define MAX_ROUNDS	1001

struct subject {
	const char	*name;
	void		(*loop)(unsigned int n);	/* so many pairs */
	u64		(*once)(void);			/* or: ns of one step */
	u64		*samples;
};

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

/* Samples are in hundredths of a nanosecond. */
static void line(const char *row, const struct subject *subject, unsigned int cpus, u64 base)
{
	u64 median = subject->samples[rounds / 2];
	u64 low = subject->samples[rounds / 4], high = subject->samples[rounds * 3 / 4];
	u64 ratio = base ? div64_u64(median * 1000, base) : 0;
	char text[4][NUMBER];

	pr_info("%-22s %-16s %4u %15s %15s %15s %9s\n", row, subject->name, cpus,
		fixed(text[0], median, 100), fixed(text[1], low, 100),
		fixed(text[2], high, 100), fixed(text[3], ratio, 1000));
	pr_info("csv: %s,%s,%u,%s,%s,%s,%s\n", row, subject->name, cpus,
		text[0], text[1], text[2], text[3]);
}

/* The first subject is what the others are compared with. */
static void table(const char *row, struct subject *subjects, unsigned int n, unsigned int cpus)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		sort(subjects[i].samples, rounds, sizeof(u64), ascending, NULL);
	for (i = 0; i < n; i++)
		line(row, &subjects[i], cpus, subjects[0].samples[rounds / 2]);
}

/* --- Pairs on several CPUs ------------------------------------------------ */

struct runner {
	struct task_struct	*task;
	const struct subject	*subject;
	unsigned int		pairs;
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
	runner->subject->loop(runner->pairs);
	/* Not zero, which says that it is still running. */
	runner->ns = max_t(u64, ktime_get_ns() - start, 1);

	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

/* Mean time of a pair on a CPU, while so many CPUs are at it; 0: no memory. */
static u64 run_pairs(const struct subject *subject, unsigned int cpus)
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

		runner->subject = subject;
		runner->pairs = pairs;
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

static int measure_pairs(const char *row, struct subject *subjects, unsigned int n)
{
	unsigned int cpus, i, r;

	if (!wanted(row))
		return 0;
	for (cpus = 1; cpus <= 8 && cpus <= num_online_cpus(); cpus *= 2) {
		for (r = 0; r < rounds; r++) {
			for (i = 0; i < n; i++) {
				subjects[i].samples[r] = run_pairs(&subjects[i], cpus);
				if (!subjects[i].samples[r])
					return -ENOMEM;
			}
			if (signal_pending(current))
				return -EINTR;
		}
		table(row, subjects, n, cpus);
	}
	return 0;
}

/* --- Steps ---------------------------------------------------------------- */

#define LIVES	64

static struct percpu_ref their_refs[LIVES];
static struct pcpuref our_refs[LIVES];
static DECLARE_COMPLETION(done);

static void done_theirs(struct percpu_ref *ref)
{
	complete(&done);
}

static void done_ours(struct pcpuref *ref)
{
	complete(&done);
}

static int must_init_theirs(struct percpu_ref *ref, percpu_ref_func_t *release)
{
	return percpu_ref_init(ref, release, PERCPU_REF_ALLOW_REINIT, GFP_KERNEL);
}

static int must_init_ours(struct pcpuref *ref, pcpuref_func_t *release)
{
	return pcpuref_init(ref, release, PCPUREF_ALLOW_REINIT, GFP_KERNEL);
}

/* So often that what is freed after grace periods has to be paid, too. */
#define ROUNDS_OF_LIVES	400

static u64 theirs_init_exit(void)
{
	u64 start = ktime_get_ns();
	int round, i, n = LIVES;

	for (round = 0; n == LIVES && round < ROUNDS_OF_LIVES; round++) {
		for (n = 0; n < LIVES; n++)
			if (must_init_theirs(&their_refs[n], nothing_theirs))
				break;
		for (i = 0; i < n; i++)
			percpu_ref_exit(&their_refs[i]);
		cond_resched();
	}
	return n == LIVES ? div_u64(ktime_get_ns() - start, LIVES * ROUNDS_OF_LIVES) : 0;
}

static u64 ours_init_exit_flags(unsigned int flags)
{
	u64 start = ktime_get_ns();
	int round, i, n = LIVES;

	for (round = 0; n == LIVES && round < ROUNDS_OF_LIVES; round++) {
		for (n = 0; n < LIVES; n++)
			if (pcpuref_init(&our_refs[n], nothing_ours, flags, GFP_KERNEL))
				break;
		for (i = 0; i < n; i++)
			pcpuref_exit(&our_refs[i]);
		cond_resched();
	}
	return n == LIVES ? div_u64(ktime_get_ns() - start, LIVES * ROUNDS_OF_LIVES) : 0;
}

static u64 ours_init_exit(void)
{
	return ours_init_exit_flags(0);
}

static u64 ours_lazy_init_exit(void)
{
	return ours_init_exit_flags(PCPUREF_INIT_LAZY);
}

/* From a kill to what completes "done": the confirmation or the release. */
static u64 theirs_step(percpu_ref_func_t *release, percpu_ref_func_t *confirm)
{
	u64 start, end;

	reinit_completion(&done);
	if (must_init_theirs(&their_refs[0], release))
		return 0;
	start = ktime_get_ns();
	percpu_ref_kill_and_confirm(&their_refs[0], confirm);
	wait_for_completion(&done);
	end = ktime_get_ns();
	rcu_barrier();
	percpu_ref_exit(&their_refs[0]);
	return end - start;
}

static u64 ours_step(pcpuref_func_t *release, pcpuref_func_t *confirm)
{
	u64 start, end;

	reinit_completion(&done);
	if (must_init_ours(&our_refs[0], release))
		return 0;
	start = ktime_get_ns();
	pcpuref_kill_and_confirm(&our_refs[0], confirm);
	wait_for_completion(&done);
	end = ktime_get_ns();
	pcpuref_barrier();
	pcpuref_exit(&our_refs[0]);
	return end - start;
}

/* The same by a call that waits by itself. */
static u64 ours_wait(int (*kill)(struct pcpuref *ref))
{
	u64 start, end;
	int err;

	if (must_init_ours(&our_refs[0], nothing_ours))
		return 0;
	start = ktime_get_ns();
	err = kill(&our_refs[0]);
	end = ktime_get_ns();
	pcpuref_barrier();
	pcpuref_exit(&our_refs[0]);
	return err ? 0 : end - start;
}

static u64 theirs_confirm(void)
{
	return theirs_step(nothing_theirs, done_theirs);
}

static u64 ours_confirm(void)
{
	return ours_step(nothing_ours, done_ours);
}

static u64 ours_kill_sync(void)
{
	return ours_wait(pcpuref_kill_sync);
}

static u64 theirs_release(void)
{
	return theirs_step(done_theirs, NULL);
}

static u64 ours_release(void)
{
	return ours_step(done_ours, NULL);
}

static u64 ours_kill_and_wait(void)
{
	return ours_wait(pcpuref_kill_and_wait);
}

static u64 theirs_round_trip(void)
{
	u64 start = ktime_get_ns();

	percpu_ref_switch_to_atomic_sync(&theirs);
	percpu_ref_switch_to_percpu(&theirs);
	return ktime_get_ns() - start;
}

static u64 ours_round_trip(void)
{
	u64 start = ktime_get_ns();

	if (pcpuref_switch_to_atomic_sync(&ours) || !pcpuref_switch_to_percpu(&ours))
		return 0;
	return ktime_get_ns() - start;
}

/* --- Mass kill ------------------------------------------------------------ */

static struct percpu_ref *their_mass;
static struct pcpuref *our_mass;
static atomic_t alive;
static u64 first_kill, last_release;

static void dead_theirs(struct percpu_ref *ref)
{
	if (atomic_dec_and_test(&alive)) {
		last_release = ktime_get_ns();
		complete(&done);
	}
}

static void dead_ours(struct pcpuref *ref)
{
	if (atomic_dec_and_test(&alive)) {
		last_release = ktime_get_ns();
		complete(&done);
	}
}

static atomic_t next_victim;

static void kill_theirs(unsigned int unused)
{
	int i;

	while ((i = atomic_inc_return(&next_victim)) < mass) {
		if (!i)
			first_kill = ktime_get_ns();
		percpu_ref_kill(&their_mass[i]);
	}
}

static void kill_ours(unsigned int unused)
{
	int i;

	while ((i = atomic_inc_return(&next_victim)) < mass) {
		if (!i)
			first_kill = ktime_get_ns();
		pcpuref_kill(&our_mass[i]);
	}
}

/* All CPUs at once. Time from the first kill to the last release. */
static u64 massacre(void (*loop)(unsigned int))
{
	struct subject subject = { .loop = loop };

	reinit_completion(&done);
	atomic_set(&alive, mass);
	atomic_set(&next_victim, -1);
	if (!run_pairs(&subject, num_online_cpus()))
		return 0;
	wait_for_completion(&done);
	return last_release - first_kill;
}

static u64 theirs_mass(void)
{
	unsigned int i, n;
	u64 ns = 0;

	for (n = 0; n < mass; n++)
		if (must_init_theirs(&their_mass[n], dead_theirs))
			break;
	if (n == mass)
		ns = massacre(kill_theirs);
	rcu_barrier();
	for (i = 0; i < n; i++)
		percpu_ref_exit(&their_mass[i]);
	return ns;
}

static u64 ours_mass(void)
{
	unsigned int i, n;
	u64 ns = 0;

	for (n = 0; n < mass; n++)
		if (must_init_ours(&our_mass[n], dead_ours))
			break;
	if (n == mass)
		ns = massacre(kill_ours);
	pcpuref_barrier();
	for (i = 0; i < n; i++)
		pcpuref_exit(&our_mass[i]);
	rcu_barrier();
	return ns;
}

/*
 * Whole lives, many at a time: init, kill, release, exit, and what they leave to
 * be freed. One figure is the mean of all. Several times, since who frees by RCU
 * waits for it once more at the end, and that is no cost of a life.
 */
#define ROUNDS_OF_LIFE	16

static bool theirs_live(void)
{
	unsigned int i, n;

	reinit_completion(&done);
	atomic_set(&alive, mass);
	for (n = 0; n < mass; n++)
		if (percpu_ref_init(&their_mass[n], dead_theirs, 0, GFP_KERNEL))
			break;
	for (i = 0; i < n; i++)
		percpu_ref_kill(&their_mass[i]);
	if (n == mass)
		wait_for_completion(&done);
	else
		rcu_barrier();
	for (i = 0; i < n; i++)
		percpu_ref_exit(&their_mass[i]);
	return n == mass;
}

static u64 theirs_life(void)
{
	u64 start = ktime_get_ns();
	int i;

	for (i = 0; i < ROUNDS_OF_LIFE; i++)
		if (!theirs_live())
			return 0;
	rcu_barrier();
	return div_u64(ktime_get_ns() - start, ROUNDS_OF_LIFE * mass);
}

static bool ours_live(unsigned int flags)
{
	unsigned int i, n;

	reinit_completion(&done);
	atomic_set(&alive, mass);
	for (n = 0; n < mass; n++)
		if (pcpuref_init(&our_mass[n], dead_ours, flags, GFP_KERNEL))
			break;
	for (i = 0; i < n; i++)
		pcpuref_kill(&our_mass[i]);
	if (n == mass)
		wait_for_completion(&done);
	/* The last release may still be on its way back. */
	pcpuref_barrier();
	for (i = 0; i < n; i++)
		pcpuref_exit(&our_mass[i]);
	return n == mass;
}

static u64 ours_life_flags(unsigned int flags)
{
	u64 start = ktime_get_ns();
	int i;

	for (i = 0; i < ROUNDS_OF_LIFE; i++)
		if (!ours_live(flags))
			return 0;
	rcu_barrier();
	return div_u64(ktime_get_ns() - start, ROUNDS_OF_LIFE * mass);
}

static u64 ours_life(void)
{
	return ours_life_flags(0);
}

static u64 ours_lazy_life(void)
{
	return ours_life_flags(PCPUREF_INIT_LAZY);
}

/* @times of the rounds are enough for what takes long. */
static int measure_steps(const char *row, struct subject *subjects, unsigned int n,
			 unsigned int times)
{
	unsigned int all = rounds, i, r;
	int err = 0;

	if (!wanted(row))
		return 0;
	rounds = min(all, times);
	for (r = 0; !err && r < rounds; r++) {
		for (i = 0; !err && i < n; i++) {
			subjects[i].samples[r] = 100 * subjects[i].once();
			if (!subjects[i].samples[r])
				err = -ENOMEM;
			/* What it left to be freed is no burden of the next. */
			rcu_barrier();
		}
		if (signal_pending(current))
			err = -EINTR;
	}
	if (!err)
		table(row, subjects, n, num_online_cpus());
	rounds = all;
	return err;
}

/* --- Bytes ---------------------------------------------------------------- */

/* Of a function, from the symbol table: "name+0x0/0xSIZE [module]". */
static unsigned int code_size(void *func)
{
	char text[KSYM_SYMBOL_LEN];
	unsigned int size = 0;
	char *at;

	sprint_symbol(text, (unsigned long)func);
	at = strchr(text, '/');
	if (!at || sscanf(at, "/0x%x", &size) != 1)
		return 0;
	return size;
}

static int measure_bytes(void)
{
	static const unsigned int cpus[] = { 4, 64, 512 };
	struct pcpuref_info info, lazy, hot;
	struct pcpuref ref;
	unsigned int i;
	int err;

	if (!pcpuref_inspect(&ours, &info))
		return -EINVAL;
	err = pcpuref_init(&ref, nothing_ours, PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT,
			   GFP_KERNEL);
	if (err)
		return err;
	pcpuref_inspect(&ref, &lazy);
	/* What being hot leads to. */
	pcpuref_switch_to_percpu(&ref);
	pcpuref_barrier();
	pcpuref_inspect(&ref, &hot);
	pcpuref_exit(&ref);
	if (!hot.percpu_bytes)
		return -ENOMEM;

	for (i = 0; i < ARRAY_SIZE(cpus); i++) {
		unsigned int percpu = cpus[i] * sizeof(long);
		/* As its header and pahole tell: the part behind it is 64 bytes. */
		unsigned int theirs_all = sizeof(struct percpu_ref) + 64 + percpu;
		unsigned int ours_all = sizeof(struct pcpuref) + info.bytes + percpu;
		unsigned int lazy_all = sizeof(struct pcpuref) + lazy.bytes + lazy.percpu_bytes;
		unsigned int hot_all = sizeof(struct pcpuref) + hot.bytes + percpu;

		pr_info("bytes at %3u CPUs: percpu_ref %u, pcpuref %u, lazy %u, lazy and hot %u\n",
			cpus[i], theirs_all, ours_all, lazy_all, hot_all);
		pr_info("csv: bytes,percpu_ref,%u,%u\n", cpus[i], theirs_all);
		pr_info("csv: bytes,pcpuref,%u,%u\n", cpus[i], ours_all);
		pr_info("csv: bytes,lazy idle,%u,%u\n", cpus[i], lazy_all);
		pr_info("csv: bytes,lazy hot,%u,%u\n", cpus[i], hot_all);
	}
	pr_info("this machine: %u possible CPUs, pcpuref %zu per-CPU bytes\n",
		num_possible_cpus(), info.percpu_bytes);
	pr_info("code of a get: percpu_ref %u bytes, pcpuref %u, pcpuref tasks %u, pcpuref inline %u\n",
		code_size(theirs_one_get), code_size(ours_one_get), code_size(tasks_one_get),
		code_size(inline_one_get));
	pr_info("csv: code,percpu_ref,1,%u\n", code_size(theirs_one_get));
	pr_info("csv: code,pcpuref,1,%u\n", code_size(ours_one_get));
	pr_info("csv: code,pcpuref tasks,1,%u\n", code_size(tasks_one_get));
	pr_info("csv: code,pcpuref inline,1,%u\n", code_size(inline_one_get));
	return 0;
}

/*
 * At what rate of gets a lazy reference becomes hot, by waiting between them; and
 * that it does not at rates far below.
 */
static int measure_hot(void)
{
	static const unsigned int delays[] = { 0, 2, 5, 10, 20, 50 };
	struct pcpuref ref;
	unsigned int i, n;
	u64 start, ns;
	int err;

	if (!wanted("lazy"))
		return 0;
	for (i = 0; i < ARRAY_SIZE(delays); i++) {
		err = pcpuref_init(&ref, nothing_ours, PCPUREF_INIT_LAZY, GFP_KERNEL);
		if (err)
			return err;
		start = ktime_get_ns();
		n = 0;
		do {
			pcpuref_get(&ref);
			pcpuref_put(&ref);
			if (delays[i])
				udelay(delays[i]);
			cond_resched();
			ns = ktime_get_ns() - start;
			n++;
		} while ((READ_ONCE(ref.word) & __PCPUREF_ATOMIC) && ns < NSEC_PER_SEC);
		pr_info("lazy at %llu gets/s: %s after %u gets, %llu us\n",
			div64_u64((u64)n * NSEC_PER_SEC, ns),
			READ_ONCE(ref.word) & __PCPUREF_ATOMIC ? "not hot" : "hot", n,
			div_u64(ns, NSEC_PER_USEC));
		pcpuref_exit(&ref);
	}
	return 0;
}

/* What very many references cost the registry. */
static int measure_million(unsigned int flags, const char *kind)
{
	struct pcpuref_walk walk = { };
	struct pcpuref_info info;
	u64 start, init, walked, exit;
	unsigned int i, n, met = 0;
	struct pcpuref *refs;

	refs = kvcalloc(million, sizeof(*refs), GFP_KERNEL);
	if (!refs)
		return -ENOMEM;
	start = ktime_get_ns();
	for (n = 0; n < million; n++) {
		if (pcpuref_init(&refs[n], nothing_ours, flags, GFP_KERNEL))
			break;
		cond_resched();
	}
	init = ktime_get_ns() - start;
	start = ktime_get_ns();
	while (pcpuref_walk_next(&walk, &info)) {
		met++;
		cond_resched();
	}
	pcpuref_walk_end(&walk);
	walked = ktime_get_ns() - start;
	start = ktime_get_ns();
	for (i = 0; i < n; i++) {
		pcpuref_exit(&refs[i]);
		cond_resched();
	}
	exit = ktime_get_ns() - start;
	kvfree(refs);
	rcu_barrier();
	pr_info("%u %s references at once: init %llu ns, registry walk %llu ns, exit %llu ns each; %u met\n",
		n, kind, div_u64(init, n), div_u64(walked, met), div_u64(exit, n), met);
	return n == million && met >= n ? 0 : -ENOMEM;
}

/* --- The run -------------------------------------------------------------- */

static u64 samples[8][MAX_ROUNDS];

#define SUBJECT(text, func, nr) { .name = text, .loop = func, .samples = samples[nr] }
#define STEP(text, func, nr) { .name = text, .once = func, .samples = samples[nr] }

static struct subject get_put[] = {
	SUBJECT("percpu_ref", theirs_get_put, 0), SUBJECT("pcpuref", ours_get_put, 1),
	SUBJECT("refcount_t", refcount_get_put, 2), SUBJECT("kref", kref_get_put, 3),
	SUBJECT("atomic_long_t", atomic_get_put, 4), SUBJECT("srcu", srcu_lock_unlock, 5),
	SUBJECT("bare per-CPU", bare_get_put, 6),
	/* Last, to be left out where it is not supported. */
	SUBJECT("pcpuref tasks", tasks_get_put, 7),
};

static struct subject live_put[] = {
	SUBJECT("percpu_ref", theirs_live_put, 0), SUBJECT("pcpuref", ours_live_put, 1),
	SUBJECT("pcpuref tasks", tasks_live_put, 2),
};

static struct subject atomic_pairs[] = {
	SUBJECT("percpu_ref", their_slow_pair, 0),
	SUBJECT("pcpuref", our_slow_pair, 1),
	SUBJECT("pcpuref inline", inline_get_put, 2),
	SUBJECT("pcpuref lazy", our_lazy_pair, 3),
};

static struct subject atomic_live_pairs[] = {
	SUBJECT("percpu_ref", their_slow_live, 0),
	SUBJECT("pcpuref", our_slow_live, 1),
	SUBJECT("pcpuref inline", inline_live_put, 2),
};

static struct subject init_exit[] = {
	STEP("percpu_ref", theirs_init_exit, 0), STEP("pcpuref", ours_init_exit, 1),
	STEP("pcpuref lazy", ours_lazy_init_exit, 2),
};

static struct subject to_confirm[] = {
	STEP("percpu_ref", theirs_confirm, 0), STEP("pcpuref", ours_confirm, 1),
	STEP("kill_sync", ours_kill_sync, 2),
};

static struct subject to_release[] = {
	STEP("percpu_ref", theirs_release, 0), STEP("pcpuref", ours_release, 1),
	STEP("kill_and_wait", ours_kill_and_wait, 2),
	STEP("pcpuref tasks", tasks_release, 3),
};

static struct subject round_trip[] = {
	STEP("percpu_ref", theirs_round_trip, 0), STEP("pcpuref", ours_round_trip, 1),
};

static struct subject mass_kill[] = {
	STEP("percpu_ref", theirs_mass, 0), STEP("pcpuref", ours_mass, 1),
};

static struct subject life[] = {
	STEP("percpu_ref", theirs_life, 0), STEP("pcpuref", ours_life, 1),
	STEP("pcpuref lazy", ours_lazy_life, 2),
};

static int run(bool tasks)
{
	int err;

	pr_info("kernel %s, %u CPUs, %u rounds\n", utsname()->release, num_online_cpus(), rounds);
	pr_info("%-22s %-16s %4s %15s %15s %15s %9s\n", "row", "subject", "CPUs",
		"median/ns", "quartile/ns", "quartile/ns", "ratio");
	err = measure_pairs("get+put", get_put, ARRAY_SIZE(get_put) - !tasks);
	err = err ?: measure_pairs("tryget_live+put", live_put,
				   ARRAY_SIZE(live_put) - !tasks);
	err = err ?: measure_pairs("atomic get+put", atomic_pairs, ARRAY_SIZE(atomic_pairs));
	err = err ?: measure_pairs("atomic live+put", atomic_live_pairs,
				   ARRAY_SIZE(atomic_live_pairs));
	err = err ?: measure_steps("init+exit", init_exit, ARRAY_SIZE(init_exit), rounds);
	err = err ?: measure_steps("kill to confirm", to_confirm, ARRAY_SIZE(to_confirm), rounds);
	err = err ?: measure_steps("kill to release", to_release,
				   ARRAY_SIZE(to_release) - !tasks, rounds);
	err = err ?: measure_steps("atomic and back", round_trip, ARRAY_SIZE(round_trip), rounds);
	err = err ?: measure_steps("mass kill", mass_kill, ARRAY_SIZE(mass_kill), 11);
	err = err ?: measure_steps("life", life, ARRAY_SIZE(life), 5);
	err = err ?: measure_hot();
	err = err ?: measure_bytes();
	if (million)
		err = err ?: measure_million(0, "default");
	if (million)
		err = err ?: measure_million(PCPUREF_INIT_LAZY, "lazy");
	if (err)
		pr_err("ended early: error %d\n", err);
	else
		pr_info("done\n");
	return err;
}

static int __init bench_init(void)
{
	int err;

	rounds = clamp_t(unsigned int, rounds, 4, MAX_ROUNDS);
	a_counter = alloc_percpu(unsigned long);
	their_mass = kvcalloc(mass, sizeof(*their_mass), GFP_KERNEL);
	our_mass = kvcalloc(mass, sizeof(*our_mass), GFP_KERNEL);
	if (!a_counter || !their_mass || !our_mass) {
		err = -ENOMEM;
		goto free;
	}
	err = must_init_theirs(&theirs, nothing_theirs);
	if (err)
		goto free;
	err = percpu_ref_init(&their_atomic, nothing_theirs, PERCPU_REF_INIT_ATOMIC, GFP_KERNEL);
	if (err)
		goto exit_theirs;
	err = must_init_ours(&ours, nothing_ours);
	if (err)
		goto exit_their_atomic;
	err = pcpuref_init(&our_atomic, nothing_ours, PCPUREF_INIT_ATOMIC, GFP_KERNEL);
	if (err)
		goto exit_ours;

	err = pcpuref_init(&our_lazy, nothing_ours, PCPUREF_INIT_LAZY, GFP_KERNEL);
	if (err)
		goto exit_our_atomic;
	/* As it is until it is hot, but for good. */
	pcpuref_switch_to_atomic(&our_lazy, NULL);
	err = inline_init();
	if (err)
		goto exit_our_lazy;
	err = tasks_init();
	if (!err || err == -EOPNOTSUPP) {
		err = run(!err);
		tasks_exit();
	}

	inline_exit();
exit_our_lazy:
	pcpuref_exit(&our_lazy);
exit_our_atomic:
	pcpuref_exit(&our_atomic);
exit_ours:
	pcpuref_exit(&ours);
	pcpuref_barrier();
exit_their_atomic:
	percpu_ref_exit(&their_atomic);
exit_theirs:
	percpu_ref_exit(&theirs);
free:
	kvfree(our_mass);
	kvfree(their_mass);
	free_percpu(a_counter);
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
