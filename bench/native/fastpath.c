// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is measured natively, compiled by the kernel build as a part of a module
 * would be. main.c runs it in a process. The loops over references are in refs.c.
 */
#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/percpu-refcount.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <generated/utsrelease.h>

#include "pcpuref.h"
#include "pcpuref_kref.h"
#include "loops.h"
#include "native.h"

static void nothing_kref(struct kref *kref)
{
}

static void nothing_our_kref(struct pcpuref_kref *kref)
{
}

STEP(refcount, get, refcount_t, DONE(refcount_inc(c)))
STEP(refcount, put, refcount_t, !refcount_dec_and_test(c))
STEP(their_kref, get, struct kref, DONE(kref_get(c)))
STEP(their_kref, put, struct kref, !kref_put(c, nothing_kref))
STEP(atomic, get, atomic_long_t, DONE(atomic_long_inc(c)))
STEP(atomic, put, atomic_long_t, !atomic_long_dec_and_test(c))
STEP(our_kref, get, struct pcpuref_kref, DONE(pcpuref_kref_get(c)))
STEP(our_kref, put, struct pcpuref_kref, !pcpuref_kref_put(c, nothing_our_kref))
STEP(bare, get, void, DONE(this_cpu_inc(*(unsigned long __percpu *)c)))
STEP(bare, put, void, DONE(this_cpu_dec(*(unsigned long __percpu *)c)))

STEP(their_kref_live, get, struct kref, kref_get_unless_zero(c))
#define their_kref_live_put their_kref_put
STEP(our_kref_live, get, struct pcpuref_kref, pcpuref_kref_get_unless_zero(c))
#define our_kref_live_put our_kref_put

LOOPS(refcount)
LOOPS(their_kref)
LOOPS(atomic)
LOOPS(our_kref)
LOOPS(bare)
LOOPS(their_kref_live)
LOOPS(our_kref_live)

/* Each in a cache line of its own, as objects that hold counts would be. */
static struct {
	char			start[NATIVE_COUNTS];
	struct percpu_ref	theirs ____cacheline_aligned;
	struct pcpuref		ours ____cacheline_aligned;
	struct pcpuref		tasks ____cacheline_aligned;
	refcount_t		refcount ____cacheline_aligned;
	struct kref		kref ____cacheline_aligned;
	atomic_long_t		atomic ____cacheline_aligned;
	struct pcpuref_kref	our_kref ____cacheline_aligned;
	struct percpu_ref_data	theirs_data ____cacheline_aligned;
	struct percpu_ref	theirs_atomic ____cacheline_aligned;
	struct percpu_ref_data	theirs_atomic_data ____cacheline_aligned;
	struct pcpuref		ours_atomic ____cacheline_aligned;
	/* In the place of struct pcpuref_data, with which it begins. */
	atomic_long_t		ours_atomic_count ____cacheline_aligned;
} counts __aligned(4096) = {
	.theirs = {
		.percpu_count_ptr = NATIVE_COUNTER,
		.data = &counts.theirs_data,
	},
	.ours = { .word = NATIVE_COUNTER },
	.tasks = { .word = NATIVE_COUNTER | __PCPUREF_READERS_TASKS },
	.refcount = REFCOUNT_INIT(1),
	.kref = KREF_INIT(1),
	.atomic = ATOMIC_LONG_INIT(1),
	.our_kref = PCPUREF_KREF_INIT(1),
	.theirs_data = { .count = ATOMIC_LONG_INIT(1) },
	.theirs_atomic = {
		.percpu_count_ptr = NATIVE_COUNTER | __PERCPU_REF_ATOMIC,
		.data = &counts.theirs_atomic_data,
	},
	.theirs_atomic_data = { .count = ATOMIC_LONG_INIT(1) },
	.ours_atomic = {
		.word = NATIVE_COUNTER | __PCPUREF_ATOMIC,
		.data = (struct pcpuref_data *)&counts.ours_atomic_count,
	},
	.ours_atomic_count = ATOMIC_LONG_INIT(1),
};

static long read_refcount(void *count)
{
	return refcount_read(count);
}

static long read_kref(void *count)
{
	return kref_read(count);
}

static long read_atomic(void *count)
{
	return atomic_long_read(count);
}

static long read_our_kref(void *count)
{
	return pcpuref_kref_read(count);
}

static long read_theirs_tagged(void *count)
{
	struct percpu_ref *ref = count;

	return atomic_long_read(&ref->data->count);
}

static long read_ours_atomic(void *count)
{
	struct pcpuref *ref = count;

	return atomic_long_read((atomic_long_t *)ref->data);
}

static void tag_theirs(void *count, int atomic)
{
	struct percpu_ref *ref = count;

	ref->percpu_count_ptr = NATIVE_COUNTER | (atomic ? __PERCPU_REF_ATOMIC : 0);
}

static void tag_ours(void *count, int atomic)
{
	struct pcpuref *ref = count;

	ref->word = NATIVE_COUNTER | (atomic ? __PCPUREF_ATOMIC : 0);
}

static void tag_tasks(void *count, int atomic)
{
	struct pcpuref *ref = count;

	ref->word = NATIVE_COUNTER | __PCPUREF_READERS_TASKS |
		    (atomic ? __PCPUREF_ATOMIC : 0);
}

#define THEIRS								\
	.name = "percpu_ref", .count = &counts.theirs,			\
	.tag = tag_theirs, .read_tagged = read_theirs_tagged
#define OURS								\
	.name = "pcpuref", .count = &counts.ours,			\
	.tag = tag_ours, .slow_put = "__pcpuref_put_slow"
#define TASKS								\
	.name = "pcpuref tasks", .count = &counts.tasks,		\
	.tag = tag_tasks, .slow_put = "__pcpuref_put_slow_tasks"
#define KREF								\
	.name = "kref", .count = &counts.kref, .read = read_kref
#define OUR_KREF							\
	.name = "pcpuref_kref", .count = &counts.our_kref, .read = read_our_kref

/* In each row the first is what the others are compared with. */
const struct native_subject native_subjects[] = {
	{ .row = "get+put", THEIRS, FUNCTIONS(theirs) },
	{ .row = "get+put", OURS, FUNCTIONS(ours), .slow_get = "__pcpuref_get_slow" },
	{
		.row = "get+put", .name = "refcount_t", .count = &counts.refcount,
		.read = read_refcount, FUNCTIONS(refcount)
	},
	{ .row = "get+put", KREF, FUNCTIONS(their_kref) },
	{
		.row = "get+put", .name = "atomic_long_t", .count = &counts.atomic,
		.read = read_atomic, FUNCTIONS(atomic)
	},
	{ .row = "get+put", OUR_KREF, FUNCTIONS(our_kref) },
	{
		.row = "get+put", .name = "bare per-CPU",
		.count = (void *)NATIVE_COUNTER, FUNCTIONS(bare)
	},
	{
		.row = "get+put", TASKS, FUNCTIONS(tasks),
		.slow_get = "__pcpuref_get_slow_tasks"
	},
	{ .row = "tryget_live+put", THEIRS, FUNCTIONS(theirs_live) },
	{
		.row = "tryget_live+put", OURS, FUNCTIONS(ours_live),
		.slow_get = "__pcpuref_tryget_live_slow"
	},
	{
		.row = "tryget_live+put", TASKS, FUNCTIONS(tasks_live),
		.slow_get = "__pcpuref_tryget_live_slow_tasks"
	},
	/* Not the same promise, but what a lookup uses with these. */
	{ .row = "tryget_live+put", KREF, FUNCTIONS(their_kref_live) },
	{ .row = "tryget_live+put", OUR_KREF, FUNCTIONS(our_kref_live) },
	{
		.row = "atomic get+put", .name = "percpu_ref",
		.count = &counts.theirs_atomic, .read = read_theirs_tagged,
		FUNCTIONS(theirs)
	},
	{
		.row = "atomic get+put", .name = "pcpuref inline",
		.count = &counts.ours_atomic, .read = read_ours_atomic,
		FUNCTIONS(inlined)
	},
	{ .row = "atomic get+put", KREF, FUNCTIONS(their_kref) },
	{ }
};

const char *const native_release = UTS_RELEASE;
const unsigned long native_task_bytes = sizeof(struct task_struct);

#ifdef CONFIG_PREEMPT_RCU
const char *const native_rcu = "preemptible RCU: a call to enter and a call to leave";
const unsigned long native_nesting_offset =
	offsetof(struct task_struct, rcu_read_lock_nesting);
#else
const char *const native_rcu = "RCU not preemptible";
const unsigned long native_nesting_offset;
#endif

int native_settled(void *task)
{
	if (current != task || preempt_count() || test_preempt_need_resched())
		return 0;
#ifdef CONFIG_PREEMPT_RCU
	if (current->rcu_read_lock_nesting)
		return 0;
#endif
	return 1;
}
