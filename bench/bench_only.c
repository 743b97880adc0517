// SPDX-License-Identifier: GPL-2.0-only
/* What only pcpuref has: calls that wait by themselves, lazy references, a registry. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kallsyms.h>
#include <linux/string.h>

#include "bench.h"
#include "pcpuref.h"
#include "pcpuref_inspect.h"

static void nothing(struct pcpuref *ref)
{
}

/* --- Kills that wait ------------------------------------------------------ */

static u64 kill_and(int (*kill)(struct pcpuref *ref))
{
	struct pcpuref ref;
	u64 start, end;
	int err;

	if (pcpuref_init(&ref, nothing, PCPUREF_ALLOW_REINIT, GFP_KERNEL))
		return 0;
	start = ktime_get_ns();
	err = kill(&ref);
	end = ktime_get_ns();
	bench_settle();
	pcpuref_exit(&ref);
	return err ? 0 : end - start;
}

static u64 kill_sync(void)
{
	return kill_and(pcpuref_kill_sync);
}

static u64 kill_and_wait(void)
{
	return kill_and(pcpuref_kill_and_wait);
}

const struct subject bench_kill_sync = {
	.name = "kill_sync",
	.rows[TO_CONFIRM].once = kill_sync,
};

const struct subject bench_kill_and_wait = {
	.name = "kill_and_wait",
	.rows[TO_RELEASE].once = kill_and_wait,
};

/* --- Lazy references ------------------------------------------------------ */

/*
 * At what rate of gets a lazy reference becomes hot, by waiting between them; and
 * that it does not at rates far below.
 */
int bench_hot(void)
{
	static const unsigned int delays[] = { 0, 2, 5, 10, 20, 50 };
	struct pcpuref ref;
	unsigned int i, n;
	u64 start, ns;
	int err;

	for (i = 0; i < ARRAY_SIZE(delays); i++) {
		err = pcpuref_init(&ref, nothing, PCPUREF_INIT_LAZY, GFP_KERNEL);
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

/* --- Bytes ---------------------------------------------------------------- */

/* Of a function, from the symbol table: "name+0x0/0xSIZE [module]". */
static unsigned int code_size(const struct subject *subject)
{
	char text[KSYM_SYMBOL_LEN];
	unsigned int size = 0;
	char *at;

	sprint_symbol(text, (unsigned long)subject->one_get);
	at = strchr(text, '/');
	if (!at || sscanf(at, "/0x%x", &size) != 1)
		return 0;
	return size;
}

int bench_bytes(void)
{
	static const unsigned int cpus[] = { 4, 64, 512 };
	struct pcpuref_info info, lazy, hot;
	struct pcpuref ref;
	unsigned int i;
	int err;

	err = pcpuref_init(&ref, nothing, 0, GFP_KERNEL);
	if (err)
		return err;
	pcpuref_inspect(&ref, &info);
	pcpuref_exit(&ref);
	err = pcpuref_init(&ref, nothing, PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT,
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
		code_size(&bench_kernel), code_size(&bench_pcpuref), code_size(&bench_tasks),
		code_size(&bench_inline));
	pr_info("csv: code,percpu_ref,1,%u\n", code_size(&bench_kernel));
	pr_info("csv: code,pcpuref,1,%u\n", code_size(&bench_pcpuref));
	pr_info("csv: code,pcpuref tasks,1,%u\n", code_size(&bench_tasks));
	pr_info("csv: code,pcpuref inline,1,%u\n", code_size(&bench_inline));
	return 0;
}

/* --- The registry --------------------------------------------------------- */

/* What very many references cost the registry. */
static int at_once(unsigned int million, unsigned int flags, const char *kind)
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
		if (pcpuref_init(&refs[n], nothing, flags, GFP_KERNEL))
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

int bench_million(unsigned int million)
{
	return at_once(million, 0, "default") ?: at_once(million, PCPUREF_INIT_LAZY, "lazy");
}
