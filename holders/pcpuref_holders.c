// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who holds a reference: accounts by call site for clients that are compiled
 * with PCPUREF_DEBUG, and tokens. The core does not know this module, which
 * hangs on its tracepoints.
 *
 * WHOSE GET A PUT UNDOES
 *
 * A reference has no identity: nothing says which get a put belongs to. But
 * most are put by the task that took them, the last one first. So a put is
 * taken to undo the latest get of this reference by the same task that is not
 * undone yet. If that task has none, the reference was handed over, and the put
 * is taken to undo a get of a call site that does hand over: one none of whose
 * references was put by its own task so far, else the one that has handed over
 * most, and of those the one that has not got for the longest time. Thus a
 * site that mostly puts by itself, but forgets to on one path, keeps the get
 * that it forgot; its line says outstanding=1.
 *
 * A site that hands over everything and loses one is found too, as the only
 * one with something outstanding. What cannot be told is which of two sites
 * that both hand over has lost it: then one of the two is named.
 *
 * MEMORY
 *
 * Gets come from every context, so nothing is allocated there: accounts and
 * sites are taken from a store of fixed size. What does not fit is counted, and
 * the dump says so.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/bug.h>
#include <linux/hash.h>
#include <linux/list.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/stacktrace.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "pcpuref.h"
#include "pcpuref_debug.h"
#include "pcpuref_holders.h"
#include "pcpuref_kernel.h"
#include "pcpuref_trace.h"

#ifdef PCPUREF_STACK_DEPOT
#include <linux/stackdepot.h>
#endif

#define SHARD_BITS	5
#define SHARDS		BIT(SHARD_BITS)
#define BUCKETS		64

/* Tasks told apart at one call site; the gets of others count as one task's. */
#define TASKS		4

/* Sites printed of one reference. */
#define PRINTED		16

#define STACK_DEPTH	16

static unsigned int max_sites = 8192;
module_param(max_sites, uint, 0444);
MODULE_PARM_DESC(max_sites, "Pairs of a reference and a call site that can be accounted (8192)");

/**
 * struct holder - a task that holds references taken at a site
 * @task: to compare only; NULL for interrupts, which are nobody's
 * @held: how many
 * @pid: its number
 * @comm: its name
 */
struct holder {
	const struct task_struct *task;
	unsigned long		held;
	pid_t			pid;
	char			comm[TASK_COMM_LEN];
};

/**
 * struct site - gets of one reference at one place in the code
 * @node: in the account, the one that got last first; or in the store
 * @address: of the call
 * @gets: how many it took
 * @own_puts: how many of these the same task put
 * @other_puts: how many another did
 * @last_get: in ns of the monotonic clock
 * @holders: tasks
 * @printed: so it is not printed twice
 */
struct site {
	struct list_head	node;
	unsigned long		address;
	unsigned long		gets;
	unsigned long		own_puts;
	unsigned long		other_puts;
	u64			last_get;
	struct holder		holders[TASKS];
	bool			printed;
};

/**
 * struct account - one reference
 * @node: in the shard's bucket
 * @ref: to compare only
 * @sites: struct site
 * @stray_puts: puts that no get is known for
 * @lost: gets and puts of it that did not fit
 */
struct account {
	struct hlist_node	node;
	const struct pcpuref	*ref;
	struct list_head	sites;
	unsigned long		stray_puts;
	unsigned long		lost;
};

/**
 * struct pcpuref_tracker - what a token stands for
 * @node: in the shard
 * @ref: whose reference it is
 * @pid: the task that took it
 * @comm: and its name
 * @time: when, in ns of the monotonic clock
 * @told: it has been named, since it was last looked whether it has to be
 * @depth: of @stack, without the stack depot
 * @stack: where from
 */
struct pcpuref_tracker {
	struct list_head	node;
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

struct shard {
	raw_spinlock_t		lock;
	struct hlist_head	accounts[BUCKETS];
	struct hlist_head	free_accounts;
	struct list_head	free_sites;
	struct list_head	trackers;
};

static struct shard *shards;
static struct account *account_store;
static struct site *site_store;
static atomic_long_t lost;

static struct shard *shard_of(const struct pcpuref *ref)
{
	return &shards[hash_ptr(ref, SHARD_BITS)];
}

/* Of what an NMI interrupts, nothing can be waited for. */
static bool lock_shard(struct shard *shard, unsigned long *flags)
{
	local_irq_save(*flags);
	if (!pcpuref_in_nmi()) {
		raw_spin_lock(&shard->lock);
	} else if (!raw_spin_trylock(&shard->lock)) {
		local_irq_restore(*flags);
		return false;
	}
	__release(&shard->lock);
	return true;
}

static void unlock_shard(struct shard *shard, unsigned long flags)
{
	__acquire(&shard->lock);
	raw_spin_unlock_irqrestore(&shard->lock, flags);
}

/* --- Accounts ------------------------------------------------------------- */

static struct hlist_head *bucket_of(struct shard *shard, const struct pcpuref *ref)
{
	/* Other bits than those that chose the shard. */
	return &shard->accounts[(hash_ptr(ref, 32) >> 8) % BUCKETS];
}

static struct account *find_account(struct shard *shard, const struct pcpuref *ref)
{
	struct account *account;

	hlist_for_each_entry(account, bucket_of(shard, ref), node)
		if (account->ref == ref)
			return account;
	return NULL;
}

static struct account *open_account(struct shard *shard, const struct pcpuref *ref)
{
	struct account *account = find_account(shard, ref);

	if (account || hlist_empty(&shard->free_accounts))
		return account;
	account = hlist_entry(shard->free_accounts.first, struct account, node);
	hlist_del(&account->node);
	account->ref = ref;
	account->stray_puts = 0;
	account->lost = 0;
	INIT_LIST_HEAD(&account->sites);
	hlist_add_head(&account->node, bucket_of(shard, ref));
	return account;
}

static void close_account(struct shard *shard, const struct pcpuref *ref)
{
	struct account *account = find_account(shard, ref);

	if (!account)
		return;
	list_splice(&account->sites, &shard->free_sites);
	hlist_del(&account->node);
	hlist_add_head(&account->node, &shard->free_accounts);
}

static unsigned long outstanding(const struct site *site)
{
	return site->gets - site->own_puts - site->other_puts;
}

static struct site *find_site(struct shard *shard, struct account *account,
			      unsigned long address)
{
	struct site *site;

	list_for_each_entry(site, &account->sites, node)
		if (site->address == address)
			return site;
	if (list_empty(&shard->free_sites))
		return NULL;
	site = list_first_entry(&shard->free_sites, struct site, node);
	list_del(&site->node);
	memset(site, 0, sizeof(*site));
	site->address = address;
	list_add(&site->node, &account->sites);
	return site;
}

/* The present task's entry at a site, or one for it; NULL if there is no room. */
static struct holder *find_holder(struct site *site, bool add)
{
	const struct task_struct *task = in_task() ? current : NULL;
	pid_t pid = task ? task->pid : 0;
	struct holder *room = NULL;
	int i;

	for (i = 0; i < TASKS; i++) {
		struct holder *holder = &site->holders[i];

		if (holder->held && holder->task == task && holder->pid == pid)
			return holder;
		if (!holder->held)
			room = holder;
	}
	if (!add || !room)
		return NULL;
	room->task = task;
	room->pid = pid;
	strscpy(room->comm, task ? task->comm : "(interrupt)", sizeof(room->comm));
	return room;
}

/**
 * __pcpuref_note_get - account gets of the calling site
 * @ref: a reference of which the caller now holds @nr
 * @nr: how many
 *
 * What pcpuref_get() and its kin do in addition with PCPUREF_DEBUG.
 *
 * Context: any.
 */
void __pcpuref_note_get(struct pcpuref *ref, unsigned long nr)
{
	struct shard *shard = shard_of(ref);
	struct account *account;
	struct site *site = NULL;
	struct holder *holder;
	unsigned long flags;

	if (!lock_shard(shard, &flags)) {
		atomic_long_inc(&lost);
		return;
	}
	account = open_account(shard, ref);
	if (account)
		site = find_site(shard, account, _RET_IP_);
	if (site) {
		site->gets += nr;
		site->last_get = ktime_get_mono_fast_ns();
		list_move(&site->node, &account->sites);
		holder = find_holder(site, true);
		if (holder)
			holder->held += nr;
	} else {
		if (account)
			account->lost++;
		atomic_long_inc(&lost);
	}
	unlock_shard(shard, flags);
}
EXPORT_SYMBOL_GPL(__pcpuref_note_get);

/* Is @a a likelier source of what another task puts than @b? */
static bool hands_over_more(const struct site *a, const struct site *b)
{
	if (!b || !a->own_puts != !b->own_puts)
		return !b || !a->own_puts;
	if (a->other_puts != b->other_puts)
		return a->other_puts > b->other_puts;
	return a->last_get < b->last_get;
}

/* Undo up to @nr gets. Return: how many are left. */
static unsigned long undo_own(struct account *account, unsigned long nr)
{
	struct holder *holder;
	struct site *site;
	unsigned long n;

	list_for_each_entry(site, &account->sites, node) {
		holder = find_holder(site, false);
		if (!holder)
			continue;
		n = min3(nr, holder->held, outstanding(site));
		holder->held -= n;
		site->own_puts += n;
		nr -= n;
		if (!nr)
			break;
	}
	return nr;
}

static unsigned long undo_other(struct account *account, unsigned long nr)
{
	while (nr) {
		struct site *site, *best = NULL;
		unsigned long n, rest;
		int i;

		list_for_each_entry(site, &account->sites, node)
			if (outstanding(site) && hands_over_more(site, best))
				best = site;
		if (!best)
			break;
		n = min(nr, outstanding(best));
		best->other_puts += n;
		nr -= n;
		/* No more may be held by tasks than is outstanding. */
		rest = outstanding(best);
		for (i = 0; i < TASKS; i++) {
			struct holder *holder = &best->holders[i];

			holder->held = min(holder->held, rest);
			rest -= holder->held;
		}
	}
	return nr;
}

/**
 * __pcpuref_note_put - account puts that are to follow
 * @ref: a reference of which the caller holds @nr
 * @nr: how many
 *
 * What pcpuref_put() and its kin do before with PCPUREF_DEBUG.
 *
 * Context: any.
 */
void __pcpuref_note_put(struct pcpuref *ref, unsigned long nr)
{
	struct shard *shard = shard_of(ref);
	struct account *account;
	unsigned long flags;

	if (!lock_shard(shard, &flags)) {
		atomic_long_inc(&lost);
		return;
	}
	account = open_account(shard, ref);
	if (account)
		account->stray_puts += undo_other(account, undo_own(account, nr));
	else
		atomic_long_inc(&lost);
	unlock_shard(shard, flags);
}
EXPORT_SYMBOL_GPL(__pcpuref_note_put);

/* --- Tokens --------------------------------------------------------------- */

/* Nothing is skipped: how many frames are ours depends on the compiler. */
static void save_stack(struct pcpuref_tracker *tracker, gfp_t gfp)
{
#ifdef PCPUREF_STACK_DEPOT
	unsigned long stack[STACK_DEPTH];
	unsigned int depth = stack_trace_save(stack, STACK_DEPTH, 0);

	tracker->stack = stack_depot_save(stack, depth, gfp);
#else
	tracker->depth = stack_trace_save(tracker->stack, STACK_DEPTH, 0);
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
#else
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
	WARN(1, "pcpuref: misuse: %s: ref=%p name=%s id=%llu caller=%pS\n",
	     pcpuref_misuse_name(what), ref, info.name, info.id, (void *)caller);
}

/**
 * pcpuref_put_tracked - drop a reference that was tracked
 * @ref: the reference
 * @token: what pcpuref_get_tracked() filled
 *
 * A token that has been put already, that was never filled, or that is of
 * another reference or of one that has exited is reported, and nothing is put:
 * the object leaks rather than being freed in use. Pairs with
 * pcpuref_get_tracked() and its kin.
 *
 * Context: any that the release function allows, but NMI.
 * Return: true if put, false if that was misuse.
 */
bool pcpuref_put_tracked(struct pcpuref *ref, struct pcpuref_token *token)
{
	/* Of two that put the same token at once, one gets it. */
	struct pcpuref_tracker *tracker = xchg(&token->tracker, TOKEN_PUT);
	struct shard *shard = shard_of(ref);
	const struct pcpuref *of;
	unsigned long flags;

	if (tracker == TOKEN_PUT || !tracker) {
		if (!tracker)
			WRITE_ONCE(token->tracker, NULL);
		report_token(tracker ? PCPUREF_TOKEN_TWICE : PCPUREF_TOKEN_EMPTY, ref,
			     _RET_IP_);
		return false;
	}
	if (tracker != TOKEN_BARE) {
		raw_spin_lock_irqsave(&shard->lock, flags);
		of = tracker->ref;
		if (of == ref)
			list_del(&tracker->node);
		raw_spin_unlock_irqrestore(&shard->lock, flags);
		if (of && of != ref) {
			WRITE_ONCE(token->tracker, tracker);
			report_token(PCPUREF_TOKEN_OTHER, ref, _RET_IP_);
			return false;
		}
		kfree(tracker);
		/* What is there now may be another's, who has not got it. */
		if (!of) {
			report_token(PCPUREF_TOKEN_EXITED, ref, _RET_IP_);
			return false;
		}
	}
	pcpuref_put(ref);
	return true;
}
EXPORT_SYMBOL_GPL(pcpuref_put_tracked);

/* --- Telling -------------------------------------------------------------- */

static u64 ms_ago(u64 time)
{
	return div_u64(ktime_get_mono_fast_ns() - time, NSEC_PER_MSEC);
}

static void print_site(const struct site *site, u64 id)
{
	int i;

	pr_info("id=%llu holder: %pS outstanding=%lu gets=%lu puts=%lu handed-over=%lu last get %llu ms ago\n",
		id, (void *)site->address, outstanding(site), site->gets,
		site->own_puts + site->other_puts, site->other_puts,
		ms_ago(site->last_get));
	for (i = 0; i < TASKS; i++)
		if (site->holders[i].held)
			pr_info("id=%llu   of these %lu taken by task %s/%d\n", id,
				site->holders[i].held, site->holders[i].comm,
				site->holders[i].pid);
}

/* Those with most outstanding first; those with none are not suspects. */
static void print_account(const struct account *account, u64 id)
{
	struct site *site, *most;
	int printed = 0;

	list_for_each_entry(site, &account->sites, node)
		site->printed = false;
	do {
		most = NULL;
		list_for_each_entry(site, &account->sites, node)
			if (!site->printed && outstanding(site) &&
			    (!most || outstanding(site) > outstanding(most)))
				most = site;
		if (most) {
			print_site(most, id);
			most->printed = true;
		}
	} while (most && ++printed < PRINTED);

	if (!printed)
		pr_info("id=%llu holder: none known by call site\n", id);
	if (account->stray_puts)
		pr_info("id=%llu %lu puts without a known get\n", id, account->stray_puts);
	if (account->lost)
		pr_info("id=%llu %lu gets not accounted: raise max_sites\n", id, account->lost);
}

static void print_trackers(struct shard *shard, const struct pcpuref *ref, u64 id,
			   bool again)
{
	struct pcpuref_tracker *tracker;
	int printed = 0;

	list_for_each_entry(tracker, &shard->trackers, node) {
		if (tracker->ref != ref || (tracker->told && !again))
			continue;
		tracker->told = true;
		if (++printed > PRINTED)
			continue;
		pr_info("id=%llu token: taken %llu ms ago by task %s/%d\n", id,
			ms_ago(tracker->time), tracker->comm, tracker->pid);
		print_stack(tracker);
	}
	if (printed > PRINTED)
		pr_info("id=%llu token: %d more\n", id, printed - PRINTED);
}

static void print_holders(const struct pcpuref_event *event)
{
	struct shard *shard = shard_of(event->ref);
	const struct account *account;
	unsigned long flags;

	if (!lock_shard(shard, &flags))
		return;
	account = find_account(shard, event->ref);
	if (account)
		print_account(account, event->id);
	print_trackers(shard, event->ref, event->id, true);
	unlock_shard(shard, flags);
	if (atomic_long_read(&lost))
		pr_info("%ld gets and puts in all could not be accounted\n",
			atomic_long_read(&lost));
}

static void on_dump(void *data, const struct pcpuref_event *event)
{
	print_holders(event);
}

/* Those that exit with references out are asked who has them. */
static void on_misuse(void *data, const struct pcpuref_event *event)
{
	if (event->misuse == PCPUREF_EXIT_HELD)
		print_holders(event);
}

/*
 * The address may be another reference's from now on. A token that is lost is
 * named also if the reference did not miss it when it exited.
 */
static void forget(const struct pcpuref *ref, const struct pcpuref_event *exited)
{
	struct shard *shard = shard_of(ref);
	struct pcpuref_tracker *tracker, *next;
	unsigned long flags;

	if (!lock_shard(shard, &flags))
		return;
	if (exited)
		print_trackers(shard, ref, exited->id, false);
	close_account(shard, ref);
	/* The client still has the token, and may put it: not freed here. */
	list_for_each_entry_safe(tracker, next, &shard->trackers, node) {
		if (tracker->ref == ref) {
			tracker->ref = NULL;
			list_del_init(&tracker->node);
		}
	}
	unlock_shard(shard, flags);
}

static void on_exit(void *data, const struct pcpuref_event *event)
{
	forget(event->ref, event);
}

static void on_init(void *data, const struct pcpuref_event *event)
{
	forget(event->ref, NULL);
}

/* --- The module ----------------------------------------------------------- */

static void detach(void)
{
	unregister_trace_pcpuref_dump(on_dump, NULL);
	unregister_trace_pcpuref_misuse(on_misuse, NULL);
	unregister_trace_pcpuref_exit(on_exit, NULL);
	unregister_trace_pcpuref_init(on_init, NULL);
	tracepoint_synchronize_unregister();
}

static void free_stores(void)
{
	kvfree(site_store);
	kvfree(account_store);
	kvfree(shards);
}

static int __init pcpuref_holders_init(void)
{
	unsigned int i, j;
	int err;

#ifdef PCPUREF_STACK_DEPOT
	err = stack_depot_init();
	if (err)
		return err;
#endif
	max_sites = max_t(unsigned int, max_sites, SHARDS);
	shards = kvcalloc(SHARDS, sizeof(*shards), GFP_KERNEL);
	site_store = kvcalloc(max_sites, sizeof(*site_store), GFP_KERNEL);
	account_store = kvcalloc(max_sites, sizeof(*account_store), GFP_KERNEL);
	if (!shards || !site_store || !account_store) {
		free_stores();
		return -ENOMEM;
	}
	for (i = 0; i < SHARDS; i++) {
		raw_spin_lock_init(&shards[i].lock);
		INIT_LIST_HEAD(&shards[i].free_sites);
		INIT_LIST_HEAD(&shards[i].trackers);
		INIT_HLIST_HEAD(&shards[i].free_accounts);
		for (j = 0; j < BUCKETS; j++)
			INIT_HLIST_HEAD(&shards[i].accounts[j]);
	}
	for (i = 0; i < max_sites; i++) {
		struct shard *shard = &shards[i % SHARDS];

		list_add(&site_store[i].node, &shard->free_sites);
		hlist_add_head(&account_store[i].node, &shard->free_accounts);
	}

	err = register_trace_pcpuref_init(on_init, NULL);
	err = err ?: register_trace_pcpuref_exit(on_exit, NULL);
	err = err ?: register_trace_pcpuref_misuse(on_misuse, NULL);
	err = err ?: register_trace_pcpuref_dump(on_dump, NULL);
	if (err) {
		pr_err("no events (error %d): a kernel without tracepoints\n", err);
		detach();
		free_stores();
	}
	return err;
}

/* No client is left: what is outstanding, nobody will put. */
static void __exit pcpuref_holders_exit(void)
{
	struct pcpuref_tracker *tracker, *next;
	unsigned int i;

	detach();
	for (i = 0; i < SHARDS; i++)
		list_for_each_entry_safe(tracker, next, &shards[i].trackers, node)
			kfree(tracker);
	free_stores();
}

module_init(pcpuref_holders_init);
module_exit(pcpuref_holders_exit);

MODULE_DESCRIPTION("Who holds a per-CPU reference count");
MODULE_VERSION(PCPUREF_VERSION);
MODULE_LICENSE("GPL");
