// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tokens: who holds a reference, exactly, with stack, task and time. For clients
 * that keep one for each reference that they take.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bug.h>
#include <linux/export.h>
#include <linux/hash.h>
#include <linux/list.h>
#include <linux/math64.h>
#include <linux/preempt.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/stacktrace.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "holders.h"
#include "pcpuref.h"
#include "pcpuref_holders.h"
#include "pcpuref_trace.h"

#ifdef PCPUREF_STACK_DEPOT
#include <linux/stackdepot.h>
#endif

#define SHARD_BITS	5
#define SHARDS		BIT(SHARD_BITS)

#define STACK_DEPTH	16

/* Tokens printed of one reference. */
#define PRINTED		16

/**
 * struct pcpuref_tracker - what a token stands for
 * @node: in @shard, until the token is put
 * @shard: its lock protects @node, @ref and @told
 * @ref: whose reference it is; NULL when that has exited, or another life of it began
 * @pid: the task that took it
 * @comm: and its name
 * @time: when, in ns of the monotonic clock
 * @told: it has been named, since it was last looked whether it has to be
 * @depth: of @stack, without the stack depot
 * @stack: where from
 */
struct pcpuref_tracker {
	struct list_head	node;
	struct shard		*shard;
	const struct pcpuref	*ref;
	pid_t			pid;
	char			comm[TASK_COMM_LEN];
	u64			time;
	bool			told;
#ifdef PCPUREF_STACK_DEPOT
	depot_stack_handle_t	stack;
#else
	unsigned int		depth;
	unsigned long		stack[STACK_DEPTH];
#endif
};

/* What a token holds when there is no tracker. */
#define TOKEN_PUT	((struct pcpuref_tracker *)1)	/* put already */
#define TOKEN_BARE	((struct pcpuref_tracker *)2)	/* there was no memory */

/* Trackers of references of which the hashes meet. */
struct shard {
	raw_spinlock_t		lock;
	struct list_head	trackers;
};

static struct shard shards[SHARDS];
/* Trackers that there was no memory for. */
static atomic_long_t lost;

static struct shard *shard_of(const struct pcpuref *ref)
{
	return &shards[hash_ptr(ref, SHARD_BITS)];
}

/* Nothing is skipped: how many frames are ours depends on the compiler. */
static void save_stack(struct pcpuref_tracker *tracker, gfp_t gfp)
{
#ifdef PCPUREF_STACK_DEPOT
	unsigned long stack[STACK_DEPTH];
	unsigned int depth = stack_trace_save(stack, STACK_DEPTH, 0);

	tracker->stack = stack_depot_save(stack, depth, gfp);
#elif defined(CONFIG_STACKTRACE)
	tracker->depth = stack_trace_save(tracker->stack, STACK_DEPTH, 0);
#else
	tracker->depth = 0;
#endif
}

static void print_stack(const struct pcpuref_tracker *tracker)
{
#ifdef PCPUREF_STACK_DEPOT
	unsigned long *stack;
	unsigned int depth;

	if (!tracker->stack)
		return;
	depth = stack_depot_fetch(tracker->stack, &stack);
	stack_trace_print(stack, depth, 4);
#elif defined(CONFIG_STACKTRACE)
	stack_trace_print(tracker->stack, tracker->depth, 4);
#endif
}

static void track(struct pcpuref *ref, struct pcpuref_token *token, gfp_t gfp)
{
	struct shard *shard = shard_of(ref);
	struct pcpuref_tracker *tracker;
	unsigned long flags;

	tracker = kzalloc(sizeof(*tracker), gfp | __GFP_NOWARN);
	if (!tracker) {
		/* The reference is held all the same. */
		atomic_long_inc(&lost);
		token->tracker = TOKEN_BARE;
		return;
	}
	tracker->shard = shard;
	tracker->ref = ref;
	tracker->pid = current->pid;
	strscpy(tracker->comm, current->comm, sizeof(tracker->comm));
	tracker->time = ktime_get_mono_fast_ns();
	save_stack(tracker, gfp | __GFP_NOWARN);

	raw_spin_lock_irqsave(&shard->lock, flags);
	list_add_tail(&tracker->node, &shard->trackers);
	raw_spin_unlock_irqrestore(&shard->lock, flags);
	token->tracker = tracker;
}

/**
 * pcpuref_get_tracked - pcpuref_get(), and remember who did it
 * @ref: a reference of which the caller holds one, or knows that it is held
 * @token: filled; to be given to pcpuref_put_tracked()
 * @gfp: for what is remembered
 *
 * Without memory the reference is taken, but not remembered. Pairs with
 * pcpuref_put_tracked(). From the kernel's ref_tracker.
 *
 * Context: as @gfp allows; not NMI.
 */
void pcpuref_get_tracked(struct pcpuref *ref, struct pcpuref_token *token, gfp_t gfp)
{
	pcpuref_get(ref);
	track(ref, token, gfp);
}
EXPORT_SYMBOL_GPL(pcpuref_get_tracked);

/**
 * pcpuref_tryget_tracked - pcpuref_tryget(), and remember who did it
 * @ref: an initialised or exited reference in memory that cannot go away
 * @token: filled if taken; to be given to pcpuref_put_tracked()
 * @gfp: for what is remembered
 *
 * Pairs with pcpuref_put_tracked().
 *
 * Context: as @gfp allows; not NMI.
 * Return: true if taken; false if the count is zero or after exit.
 */
bool pcpuref_tryget_tracked(struct pcpuref *ref, struct pcpuref_token *token, gfp_t gfp)
{
	if (!pcpuref_tryget(ref))
		return false;
	track(ref, token, gfp);
	return true;
}
EXPORT_SYMBOL_GPL(pcpuref_tryget_tracked);

/**
 * pcpuref_tryget_live_tracked - pcpuref_tryget_live(), and remember who did it
 * @ref: an initialised or exited reference in memory that cannot go away
 * @token: filled if taken; to be given to pcpuref_put_tracked()
 * @gfp: for what is remembered
 *
 * Pairs with pcpuref_put_tracked().
 *
 * Context: as @gfp allows; not NMI.
 * Return: true if taken; false if killed or after exit.
 */
bool pcpuref_tryget_live_tracked(struct pcpuref *ref, struct pcpuref_token *token,
				 gfp_t gfp)
{
	if (!pcpuref_tryget_live(ref))
		return false;
	track(ref, token, gfp);
	return true;
}
EXPORT_SYMBOL_GPL(pcpuref_tryget_live_tracked);

/* Also an event, so that it is counted and traced as any other misuse. */
static noinline void report_token(enum pcpuref_misuse what, struct pcpuref *ref,
				  unsigned long caller)
{
	static struct ratelimit_state rates[] = {
		RATELIMIT_STATE_INIT("twice", 5 * HZ, 10),
		RATELIMIT_STATE_INIT("empty", 5 * HZ, 10),
		RATELIMIT_STATE_INIT("other", 5 * HZ, 10),
		RATELIMIT_STATE_INIT("exited", 5 * HZ, 10),
	};
	struct pcpuref_info info = { .name = "(none)", .module = "(none)" };
	bool counted;

	pcpuref_inspect(ref, &info);
	counted = info.state != PCPUREF_STATE_STUCK;
	preempt_disable_notrace();
	trace_pcpuref_misuse(&(struct pcpuref_event) {
		.id = info.id,
		.name = info.name,
		.module = info.module,
		.ref = ref,
		.release = info.release,
		.step = PCPUREF_STEP_MISUSE,
		.misuse = what,
		.before = info.mode,
		.after = info.mode,
		.counted = counted,
		.count = counted ? info.count : -1,
		.shared = counted ? info.shared : -1,
		.percpu = info.percpu,
		.since_kill = -1,
		.caller = caller,
	});
	preempt_enable_notrace();
	BUILD_BUG_ON(PCPUREF_TOKEN_TWICE + ARRAY_SIZE(rates) != PCPUREF_NR_MISUSES);
	/* Ten of a kind in five seconds. An event comes each time. */
	if (!__ratelimit(&rates[what - PCPUREF_TOKEN_TWICE]))
		return;
	WARN(1, "pcpuref: misuse: %s: ref=%p name=%s id=%llu caller=%pS\n",
	     pcpuref_misuse_name(what), ref, info.name, info.id, (void *)caller);
}

/**
 * pcpuref_put_tracked - drop a reference that was tracked
 * @ref: the reference
 * @token: what pcpuref_get_tracked() filled
 *
 * A token that has been put already, that was never filled, or that is of
 * another reference or of one that has exited is reported, ten times of a kind in
 * five seconds, and nothing is put: the object leaks rather than being freed in use. Pairs with
 * pcpuref_get_tracked() and its kin.
 *
 * Context: any that the release function allows, but NMI. It frees memory: on PREEMPT_RT
 * neither preemption nor interrupts may be disabled, nor a raw spinlock held.
 * Return: 0, or -EINVAL if that was misuse.
 */
int pcpuref_put_tracked(struct pcpuref *ref, struct pcpuref_token *token)
{
	/* Of two that put the same token at once, one gets it. */
	struct pcpuref_tracker *tracker = xchg(&token->tracker, TOKEN_PUT);
	const struct pcpuref *of;
	struct shard *shard;
	unsigned long flags;

	if (tracker == TOKEN_PUT || !tracker) {
		if (!tracker)
			WRITE_ONCE(token->tracker, NULL);
		report_token(tracker ? PCPUREF_TOKEN_TWICE : PCPUREF_TOKEN_EMPTY, ref,
			     _RET_IP_);
		return -EINVAL;
	}
	if (tracker != TOKEN_BARE) {
		/* If it is another's token, not that of @ref. */
		shard = tracker->shard;
		raw_spin_lock_irqsave(&shard->lock, flags);
		of = tracker->ref;
		if (!of || of == ref)
			list_del(&tracker->node);
		raw_spin_unlock_irqrestore(&shard->lock, flags);
		if (of && of != ref) {
			WRITE_ONCE(token->tracker, tracker);
			report_token(PCPUREF_TOKEN_OTHER, ref, _RET_IP_);
			return -EINVAL;
		}
		kfree(tracker);
		/* What is there now may be another's, who has not got it. */
		if (!of) {
			report_token(PCPUREF_TOKEN_EXITED, ref, _RET_IP_);
			return -EINVAL;
		}
	}
	pcpuref_put(ref);
	return 0;
}
EXPORT_SYMBOL_GPL(pcpuref_put_tracked);

/* @again: those too that have been named before. From an NMI perhaps nothing. */
void __pcpuref_tokens_print(const struct pcpuref *ref, u64 id, bool again)
{
	struct shard *shard = shard_of(ref);
	struct pcpuref_tracker *tracker;
	u64 now = ktime_get_mono_fast_ns();
	unsigned long flags;
	int printed = 0;

	if (!pcpuref_holders_lock(&shard->lock, &flags))
		return;
	list_for_each_entry(tracker, &shard->trackers, node) {
		if (tracker->ref != ref || (tracker->told && !again))
			continue;
		tracker->told = true;
		if (++printed > PRINTED)
			continue;
		pr_info("id=%llu token: taken %llu ms ago by task %s/%d\n", id,
			div_u64(pcpuref_elapsed(tracker->time, now), NSEC_PER_MSEC),
			tracker->comm, tracker->pid);
		print_stack(tracker);
	}
	pcpuref_holders_unlock(&shard->lock, flags);
	if (printed > PRINTED)
		pr_info("id=%llu token: %d more\n", id, printed - PRINTED);
	if (atomic_long_read(&lost))
		pr_info("%ld tokens in all were not recorded, out of memory: holders may be missing\n",
			atomic_long_read(&lost));
}

/*
 * The address may be another reference's from now on. The client still has its tokens,
 * and may put them: they are not freed here, but when no client is left.
 */
void __pcpuref_tokens_forget(const struct pcpuref *ref)
{
	struct shard *shard = shard_of(ref);
	struct pcpuref_tracker *tracker;
	unsigned long flags;

	raw_spin_lock_irqsave(&shard->lock, flags);
	list_for_each_entry(tracker, &shard->trackers, node)
		if (tracker->ref == ref)
			tracker->ref = NULL;
	raw_spin_unlock_irqrestore(&shard->lock, flags);
}

int __pcpuref_tokens_init(void)
{
	unsigned int i;

	for (i = 0; i < SHARDS; i++) {
		raw_spin_lock_init(&shards[i].lock);
		INIT_LIST_HEAD(&shards[i].trackers);
	}
#ifdef PCPUREF_STACK_DEPOT
	return stack_depot_init();
#else
	return 0;
#endif
}

/* No client is left: what is outstanding, nobody will put. */
void __pcpuref_tokens_exit(void)
{
	struct pcpuref_tracker *tracker, *next;
	unsigned int i;

	for (i = 0; i < SHARDS; i++)
		list_for_each_entry_safe(tracker, next, &shards[i].trackers, node)
			kfree(tracker);
}
