// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the structure behind a reference comes from and goes to.
 *
 * One allocation has the structure, with PCPUREF_RELEASE_WORK what calls release
 * in process context, and a copy of the name if that is not a literal. The
 * counters are another. Both are made by init; only a lazy reference gets its
 * counters later.
 *
 * The structure goes a grace period after its last pin. The initialised reference
 * has a pin, and so have a grace period under way, the context that is in charge of
 * release, a waiter, a deferral, and a walk of the registry. Slow gets and puts look
 * at the structure with preemption disabled and need none. So no order of exit
 * against anything else touches freed memory of the core's, and nothing late
 * reaches memory that is another's already.
 */
#include <linux/cpumask.h>
#include <linux/debugfs.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/fault-inject.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "rooms.h"

/* With PCPUREF_RELEASE_WORK. */
struct data_and_work {
	struct pcpuref_data	d;
	struct pcpuref_work	work;
};

/* Each CPU's share, so that CPUs which initialise do not meet. */
static DEFINE_PER_CPU(struct pcpuref_memory, allocated);

/* Where the counters of each possible CPU are, behind their per-CPU address. */
static unsigned long *offsets;
static unsigned int nr_offsets;

/*
 * The kernel's fault injection makes allocations of objects and of pages fail, but not
 * those of per-CPU memory. So there is a place for that here, in debugfs under
 * fail_pcpuref, with the files that failslab has. /proc/PID/fail-nth counts it as well.
 */
#ifdef CONFIG_FAULT_INJECTION
static DECLARE_FAULT_ATTR(fail_pcpuref);
static struct dentry *fail_dir;

static bool should_fail_counters(void)
{
	return should_fail(&fail_pcpuref, sizeof(long));
}

/* Without debugfs, fail-nth is what is left. */
static void faults_init(void)
{
	fail_dir = fault_create_debugfs_attr("fail_pcpuref", NULL, &fail_pcpuref);
}

static void faults_exit(void)
{
	debugfs_remove(fail_dir);
}
#else
static bool should_fail_counters(void)
{
	return false;
}

static void faults_init(void)
{
}

static void faults_exit(void)
{
}
#endif

static size_t size_of(unsigned int flags)
{
	return flags & PCPUREF_RELEASE_WORK ? sizeof(struct data_and_work) :
					      sizeof(struct pcpuref_data);
}

struct pcpuref_work *__pcpuref_work(struct pcpuref_data *d)
{
	return &container_of(d, struct data_and_work, d)->work;
}

struct pcpuref_data *__pcpuref_of_work(struct pcpuref_work *work)
{
	return &container_of(work, struct data_and_work, work)->d;
}

/* Only while @d is attached: afterwards the client's module may be gone. */
const char *__pcpuref_name(const struct pcpuref_data *d)
{
	/* Without the lock for reports; never changes. */
	return data_race(!!d->named) ? (const char *)d + size_of(d->flags) : d->site->name;
}

size_t __pcpuref_bytes(const struct pcpuref_data *d)
{
	return sizeof(struct pcpuref) + size_of(d->flags) +
	       (d->named ? strlen(__pcpuref_name(d)) + 1 : 0);
}

/* Aligned so that the tags fit below the address. */
unsigned long __percpu *__pcpuref_alloc_counters(gfp_t gfp)
{
	unsigned long __percpu *counters;

	if (should_fail_counters())
		return NULL;
	counters = (unsigned long __percpu *)
		__alloc_percpu_gfp(sizeof(long), __PCPUREF_TAGS + 1, gfp);
	if (counters)
		this_cpu_inc(allocated.counters);
	return counters;
}

void __pcpuref_free_counters(unsigned long __percpu *counters)
{
	if (!counters)
		return;
	free_percpu(counters);
	this_cpu_dec(allocated.counters);
}

/*
 * Take out what is in the counters, which no CPU uses any more. At many possible
 * CPUs this loop is what the end of a life costs, so it is short.
 */
long __pcpuref_take_out(unsigned long __percpu *counters)
{
	unsigned long n, sum = 0;
	unsigned long *counter;
	unsigned int i;

	for (i = 0; i < nr_offsets; i++) {
		counter = (unsigned long *)((__force unsigned long)counters + offsets[i]);
		/*
		 * Pairs with this_cpu_add() in __pcpuref_add(), by the grace period
		 * (litmus: a1-kill-get, a3-fastput-release).
		 */
		n = READ_ONCE(*counter);
		if (!n)
			continue;
		WRITE_ONCE(*counter, 0);
		sum += n;
	}
	return (long)sum;
}

/* What is not set here is zero. @name: to be copied, or NULL. */
struct pcpuref_data *__pcpuref_alloc(unsigned int flags, gfp_t gfp, const char *name)
{
	size_t size = size_of(flags), length = name ? strlen(name) + 1 : 0;
	struct pcpuref_data *d = kzalloc(size + length, gfp);

	if (!d)
		return NULL;
	d->flags = flags;
	d->named = !!name;
	if (!(flags & PCPUREF_INIT_LAZY)) {
		d->counters = __pcpuref_alloc_counters(gfp);
		if (!d->counters) {
			kfree(d);
			return NULL;
		}
	}
	if (name)
		memcpy((char *)d + size, name, length);
	this_cpu_inc(allocated.structures);
	return d;
}

/* Nobody can be looking at it any more. */
static void free_rcu_head(struct rcu_head *head)
{
	struct pcpuref_data *d = container_of(head, struct pcpuref_data, rcu);

	__pcpuref_free_counters(d->counters);
	kfree(d);
	this_cpu_dec(allocated.structures);
}

static void sched_after_tasks(struct rcu_head *head)
{
	__pcpuref_after_sched(head, free_rcu_head);
}

/*
 * The head is the one that a switch uses: that has a pin, so it is over. Pairs
 * with the preemption-disabled section around each look at the data pointer
 * (litmus: m1-exit-slow). Most
 * have no counters any more, and kfree_rcu() frees those together.
 */
void __pcpuref_unpin(struct pcpuref_data *d)
{
	if (!refcount_dec_and_test(&d->pins))
		return;
	if (unlikely(__pcpuref_readers(d))) {
		__pcpuref_after_tasks(&d->rcu, sched_after_tasks);
	} else if (d->counters) {
		__pcpuref_after_sched(&d->rcu, free_rcu_head);
	} else {
		this_cpu_dec(allocated.structures);
		kfree_rcu(d, rcu);
	}
}

/**
 * pcpuref_memory - what the core has allocated and not freed
 * @memory: filled
 *
 * What has exited may count for a grace period more, or until a walk that is at it goes
 * on. For tests of leaks: pcpuref_barrier(), then rcu_barrier(), then this. What had
 * PCPUREF_READERS_TASKS wants rcu_barrier_tasks() between the two.
 *
 * Context: any.
 */
void pcpuref_memory(struct pcpuref_memory *memory)
{
	int cpu;

	*memory = (struct pcpuref_memory) { };
	for_each_possible_cpu(cpu) {
		/* No order: what comes and goes meanwhile may or may not be in it. */
		memory->structures += READ_ONCE(per_cpu_ptr(&allocated, cpu)->structures);
		memory->counters += READ_ONCE(per_cpu_ptr(&allocated, cpu)->counters);
	}
}
EXPORT_SYMBOL_GPL(pcpuref_memory);

static int allocated_get(char *buf, const struct kernel_param *kp)
{
	struct pcpuref_memory memory;

	pcpuref_memory(&memory);
	return scnprintf(buf, PAGE_SIZE, "%ld %ld\n", memory.structures, memory.counters);
}

static const struct kernel_param_ops allocated_ops = { .get = allocated_get };
module_param_cb(allocated, &allocated_ops, NULL, 0444);
MODULE_PARM_DESC(allocated, "Structures and sets of counters that are not freed yet");

int __pcpuref_memory_init(void)
{
	int cpu;

	offsets = kcalloc(num_possible_cpus(), sizeof(*offsets), GFP_KERNEL);
	if (!offsets)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		offsets[nr_offsets++] = (unsigned long)per_cpu_ptr(&allocated, cpu) -
					(__force unsigned long)&allocated;
	faults_init();
	return 0;
}

void __pcpuref_memory_exit(void)
{
	faults_exit();
	kfree(offsets);
}
