// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measures kernel code in a process: native ROUNDS THREADS CSV-FILE
 *
 * %gs is free in a process of x86-64. Each thread points it to an area of its
 * own, and per-CPU accesses of the code that the kernel build made (fastpath.c,
 * refs.c) go there. What the kernel changes in a module's code as it loads it is changed
 * here too, as for a processor that needs no return thunks: calls of __fentry__
 * go away and returns become plain ones. Other returns cost more, so this
 * is the best case for what has functions to call, which is percpu_ref.
 *
 * First each subject has to show that it counts. Then the threads, each on a
 * CPU of its own, run loops of about two milliseconds: in a round every subject
 * once. Ratios are taken in each round, so that what slows a whole round down
 * has no part in them.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "native.h"

#define PAGE		4096UL
#define LOOP_NS		2e6
#define MAX_SUBJECTS	32
#define MAX_ROUNDS	10001
#define FEW		1000UL

/* As the kernel begins: no section is open, and nobody wants the CPU. */
#define PREEMPT_COUNT_IDLE	0x80000000U

static unsigned int subjects;

#define die(format, ...)							\
do {									\
	fprintf(stderr, "bench-native: error: " format "\n", ##__VA_ARGS__);	\
	exit(1);							\
} while (0)

static void *must_alloc(size_t bytes)
{
	size_t whole = (bytes + PAGE - 1) & ~(PAGE - 1);
	void *p = aligned_alloc(PAGE, whole);

	if (!p)
		die("no memory");
	memset(p, 0, whole);
	return p;
}

static int slow_fd = STDERR_FILENO;

void native_slow(const char *name)
{
	if (write(slow_fd, name, strlen(name)) < 0 ||
	    (slow_fd == STDERR_FILENO && write(slow_fd, " was called\n", 12) < 0))
		_exit(1);
	abort();
}

/* --- What the kernel does to a module's code ------------------------------ */

#define NOP5	"\x0f\x1f\x44\x00\x00"
#define RET5	"\xc3\xcc\xcc\xcc\xcc"

#pragma weak __start___mcount_loc
#pragma weak __stop___mcount_loc
#pragma weak __start_return_sites
#pragma weak __stop_return_sites

static void patch(unsigned char *at, unsigned char opcode, const char *code)
{
	if (*at != opcode)
		die("unexpected code at %p: %02x instead of %02x", (void *)at, *at, opcode);
	memcpy(at, code, 5);
}

static void load(void)
{
	uintptr_t start = (uintptr_t)__executable_start & ~(PAGE - 1);
	size_t bytes = (uintptr_t)etext - start;
	unsigned char *const *entry;
	const int *offset;

	if (mprotect((void *)start, bytes, PROT_READ | PROT_WRITE | PROT_EXEC))
		die("this system lets no process change its code: %s", strerror(errno));
	for (entry = __start___mcount_loc; entry != __stop___mcount_loc; entry++)
		patch(*entry, 0xe8, NOP5);
	for (offset = __start_return_sites; offset != __stop_return_sites; offset++)
		patch((unsigned char *)offset + *offset, 0xe9, RET5);
	if (mprotect((void *)start, bytes, PROT_READ | PROT_EXEC))
		die("mprotect: %s", strerror(errno));
}

/* --- Threads as CPUs ------------------------------------------------------ */

struct cpu {
	char *area;	/* where %gs points to */
	char *task_page;
	void *task;	/* kernel code's "current" */
};

/* From here on the calling thread is a CPU to kernel code. */
static void cpu_enter(struct cpu *cpu)
{
	size_t shift = (NATIVE_NESTING - native_nesting_offset) & (PAGE - 1) & ~63UL;

	cpu->area = must_alloc(NATIVE_AREA_BYTES);
	cpu->task_page = must_alloc(native_task_bytes + PAGE);
	cpu->task = cpu->task_page + shift;
	*(void **)(cpu->area + NATIVE_HOT) = cpu->task;
	*(unsigned int *)(cpu->area + NATIVE_HOT + 8) = PREEMPT_COUNT_IDLE;
	if (syscall(SYS_arch_prctl, ARCH_SET_GS, cpu->area))
		die("this system lets no process set its %%gs: %s", strerror(errno));
	if (!native_settled(cpu->task))
		die("kernel code does not find its per-CPU variables");
}

static long *cpu_counter(const struct cpu *cpu)
{
	return (long *)(cpu->area + NATIVE_COUNTER);
}

/* Everything that was opened or taken has to be closed and put. */
static void cpu_leave(struct cpu *cpu)
{
	if (!native_settled(cpu->task))
		die("the measured code left a section open");
	if (*cpu_counter(cpu))
		die("%ld is left in a per-CPU counter", *cpu_counter(cpu));
	syscall(SYS_arch_prctl, ARCH_SET_GS, 0);
	free(cpu->area);
	free(cpu->task_page);
}

/* --- Does it count? ------------------------------------------------------- */

static void expect(const struct native_subject *subject, const char *what, long is, long wanted)
{
	if (is != wanted)
		die("%s, %s: %s: %ld instead of %ld", subject->row, subject->name, what,
		    is, wanted);
}

/* What a loop has to come to when the count is tagged, and nothing else. */
static void check_slow(const struct native_subject *subject, native_loop_t *loop,
		       const char *expected)
{
	char name[64] = "nothing";
	int fds[2], status;
	pid_t child;
	ssize_t n;

	if (pipe(fds))
		die("pipe: %s", strerror(errno));
	child = fork();
	if (child < 0)
		die("fork: %s", strerror(errno));
	if (!child) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		slow_fd = fds[1];
		loop(subject->count, 1);
		_exit(0);
	}
	close(fds[1]);
	n = read(fds[0], name, sizeof(name) - 1);
	if (n > 0)
		name[n] = '\0';
	close(fds[0]);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid: %s", strerror(errno));
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || strcmp(name, expected))
		die("%s, %s, tagged: came to %s, not to %s (status %#x)",
		    subject->row, subject->name, name, expected, status);
}

static void check(const struct native_subject *subject, const struct cpu *cpu)
{
	long *counter = cpu_counter(cpu);
	void *count = subject->count;
	long tagged, base = 0;
	unsigned int i;

#define VALUE() (subject->read ? subject->read(count) : *counter)
	if (subject->read)
		base = subject->read(count);
	expect(subject, "gets not done", subject->gets(count, FEW), 0);
	expect(subject, "count after gets", VALUE(), base + FEW);
	if (subject->read)
		expect(subject, "per-CPU counter of a shared count", *counter, 0);
	expect(subject, "puts not done", subject->puts(count, FEW), 0);
	expect(subject, "count after puts", VALUE(), base);
	for (i = 0; i < NATIVE_PLACES; i++) {
		expect(subject, "pairs not done", subject->pairs[i](count, FEW), 0);
		expect(subject, "count after pairs", VALUE(), base);
	}
	if (!subject->tag)
		return;

	subject->tag(count, 1);
	if (subject->read_tagged) {
		tagged = subject->read_tagged(count);
		expect(subject, "gets not done, tagged", subject->gets(count, FEW), 0);
		expect(subject, "shared counter after gets", subject->read_tagged(count),
		       tagged + FEW);
		expect(subject, "puts not done, tagged", subject->puts(count, FEW), 0);
		expect(subject, "shared counter after puts", subject->read_tagged(count), tagged);
	} else {
		check_slow(subject, subject->gets, subject->slow_get);
		check_slow(subject, subject->puts, subject->slow_put);
		for (i = 0; i < NATIVE_PLACES; i++)
			check_slow(subject, subject->pairs[i], subject->slow_get);
	}
	expect(subject, "per-CPU counter, tagged", *counter, 0);
	subject->tag(count, 0);
}

/* --- Measuring ------------------------------------------------------------ */

static unsigned long pairs[MAX_SUBJECTS];	/* of one loop */

struct worker {
	pthread_t	thread;
	int		cpu;
	unsigned int	workers;
	unsigned int	rounds;
	double		*ns;	/* of a pair: [round][subject] */
	double		had;	/* processor time in the loops, and */
	double		took;	/* how long they took */
};

/* Threads begin a loop together: nobody sleeps, so nobody has to wake up. */
static atomic_uint arrived, generation;

static void meet(unsigned int workers)
{
	unsigned int now = atomic_load(&generation), spins = 0;

	if (atomic_fetch_add(&arrived, 1) + 1 == workers) {
		atomic_store(&arrived, 0);
		atomic_fetch_add(&generation, 1);
		return;
	}
	while (atomic_load(&generation) == now) {
		__builtin_ia32_pause();
		/* Somebody else may need the CPU that we all wait for. */
		if (++spins % 100000 == 0)
			sched_yield();
	}
}

/*
 * Pairs are timed by the thread's own clock, which stands still while others
 * have the processor.
 */
static double now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	unsigned int round, i;
	struct cpu cpu;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(worker->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("CPU %d is not to be had: %s", worker->cpu, strerror(errno));
	cpu_enter(&cpu);
	for (round = 0; round < worker->rounds; round++) {
		for (i = 0; i < subjects; i++) {
			/* Each comes after each other one: the order turns. */
			unsigned int s = (i + round) % subjects;
			const struct native_subject *subject = &native_subjects[s];
			native_loop_t *loop = subject->pairs[round % NATIVE_PLACES];
			double began, start, ns;
			unsigned long left;

			meet(worker->workers);
			began = now_ns(CLOCK_MONOTONIC);
			start = now_ns(CLOCK_THREAD_CPUTIME_ID);
			left = loop(subject->count, pairs[s]);
			ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
			worker->took += now_ns(CLOCK_MONOTONIC) - began;
			worker->had += ns;
			worker->ns[round * subjects + s] = ns / pairs[s];
			expect(subject, "pairs not done", left, 0);
		}
	}
	cpu_leave(&cpu);
	return NULL;
}

/*
 * Mean times of a pair over the workers: [round][subject], to be freed. In
 * *@share: how much of the time the workers had their processors.
 */
static double *measure(const int *cpus, unsigned int workers, unsigned int rounds, double *share)
{
	struct worker *all = calloc(workers, sizeof(*all));
	double *mean = calloc((size_t)rounds * subjects, sizeof(*mean));
	double had = 0, took = 0;
	unsigned int i, k;
	int err;

	if (!all || !mean)
		die("no memory");
	for (i = 0; i < workers; i++) {
		all[i].cpu = cpus[i];
		all[i].workers = workers;
		all[i].rounds = rounds;
		all[i].ns = must_alloc(rounds * subjects * sizeof(double));
		err = pthread_create(&all[i].thread, NULL, work, &all[i]);
		if (err)
			die("no thread: %s", strerror(err));
	}
	for (i = 0; i < workers; i++) {
		pthread_join(all[i].thread, NULL);
		for (k = 0; k < rounds * subjects; k++)
			mean[k] += all[i].ns[k] / workers;
		free(all[i].ns);
		had += all[i].had;
		took += all[i].took;
	}
	free(all);
	*share = had / took;
	return mean;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* The quartiles of what subject @s took, in units of what subject @unit did. */
static void quartiles(const double *ns, unsigned int rounds, unsigned int s, int unit,
		      double result[3])
{
	static double sorted[MAX_ROUNDS];
	unsigned int r;

	for (r = 0; r < rounds; r++) {
		const double *round = &ns[r * subjects];

		sorted[r] = round[s] / (unit < 0 ? 1 : round[unit]);
	}
	qsort(sorted, rounds, sizeof(sorted[0]), ascending);
	for (r = 0; r < 3; r++)
		result[r] = sorted[rounds * (r + 1) / 4];
}

/* How many pairs take a loop's time with so many threads at it. */
static void calibrate(const int *cpus, unsigned int workers)
{
	double *ns, time[3], share;
	unsigned int i;

	for (i = 0; i < subjects; i++)
		pairs[i] = 20 * FEW;
	ns = measure(cpus, workers, 9, &share);
	for (i = 0; i < subjects; i++) {
		quartiles(ns, 9, i, -1, time);
		pairs[i] = LOOP_NS / time[1] + 1;
	}
	free(ns);
}

static void report(const double *ns, unsigned int rounds, unsigned int workers, FILE *csv)
{
	unsigned int i, base = 0, bare = 0;

	for (i = 0; i < subjects; i++)
		if (!strcmp(native_subjects[i].name, "bare per-CPU"))
			bare = i;
	for (i = 0; i < subjects; i++) {
		const struct native_subject *subject = &native_subjects[i];
		double time[3], to_base[3], to_bare[3];

		if (strcmp(subject->row, native_subjects[base].row))
			base = i;
		quartiles(ns, rounds, i, -1, time);
		quartiles(ns, rounds, i, base, to_base);
		quartiles(ns, rounds, i, bare, to_bare);
		printf("%-16s %-14s %4u %11.2f %11.2f %11.2f %12.3f %8.2f\n",
		       subject->row, subject->name, workers, time[1], time[0], time[2],
		       to_base[1], to_bare[1]);
		fprintf(csv, "%s,%s,%u,%.2f,%.2f,%.2f,%.3f\n", subject->row, subject->name,
			workers, time[1], time[0], time[2], to_base[1]);
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned int rounds, most, workers, allowed = 0, i;
	int cpus[CPU_SETSIZE];
	struct cpu cpu;
	cpu_set_t set;
	double *ns, share;
	FILE *csv;

	if (argc != 4)
		die("usage: %s ROUNDS THREADS CSV-FILE", argv[0]);
	rounds = strtoul(argv[1], NULL, 10);
	most = strtoul(argv[2], NULL, 10);
	if (rounds < 4 || rounds > MAX_ROUNDS)
		die("ROUNDS: from 4 to %u", MAX_ROUNDS);
	if (sched_getaffinity(0, sizeof(set), &set))
		die("which CPUs may be used: %s", strerror(errno));
	for (i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			cpus[allowed++] = i;
	if (!most || most > allowed)
		die("THREADS: from 1 to %u, one for each CPU", allowed);
	while (native_subjects[subjects].row)
		subjects++;
	if (subjects > MAX_SUBJECTS)
		die("more than %u subjects", MAX_SUBJECTS);

	load();
	cpu_enter(&cpu);
	for (i = 0; i < subjects; i++)
		check(&native_subjects[i], &cpu);
	cpu_leave(&cpu);
	printf("headers: %s, %s\n", native_release, native_rcu);
	printf("checked: %u subjects count as they should, and notice a tag\n\n", subjects);

	csv = fopen(argv[3], "w");
	if (!csv)
		die("%s: %s", argv[3], strerror(errno));
	fprintf(csv, "row,subject,cpus,median_ns,lower_quartile_ns,upper_quartile_ns,%s\n",
		"ratio_to_percpu_ref");
	printf("%-16s %-14s %4s %11s %11s %11s %12s %8s\n", "row", "subject", "CPUs",
	       "median/ns", "quartile/ns", "quartile/ns", "x percpu_ref", "x bare");
	for (workers = 1; workers <= most; workers *= 2) {
		calibrate(cpus, workers);
		ns = measure(cpus, workers, rounds, &share);
		report(ns, rounds, workers, csv);
		free(ns);
		if (share < 0.95)
			printf("(Busy machine: the threads had %.0f %% of their CPUs' time.%s)\n",
			       100 * share, workers > 1 ? " Shared counts look cheaper." : "");
	}
	if (fclose(csv))
		die("%s: %s", argv[3], strerror(errno));
	return 0;
}
