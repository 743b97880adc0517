// SPDX-License-Identifier: GPL-2.0-only
/*
 * Watches the references of the system, from outside: tables in debugfs, the
 * last events of each reference, totals, and a watchdog that reports what has
 * been killed and is not released. The core does not know this module, which
 * hangs on its tracepoints and walks its registry.
 *
 * A scan, by a workqueue, keeps one struct seen for each reference that there
 * is, up to max_seen. Events find it by number under RCU and note themselves in
 * it; nothing is allocated there, since they come from any context. Scans run
 * when references come and go, a moment later and all at once, and at the
 * watchdog's pace.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/pid.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/debug.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/stacktrace.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "pcpuref.h"
#include "pcpuref_inspect.h"
#include "pcpuref_kernel.h"
#include "pcpuref_trace.h"

/* Events kept for each reference. */
#define HISTORY		8

/* A scan this long after a reference came or went takes in all that did. */
#define GATHER		(HZ / 10)

/* Reports of one kind come at most this far apart, in seconds. */
#define BACK_OFF_MAX	3600

/* Callers of the function that initialises, as far as they are told. */
#define INIT_CALLERS	2

/**
 * struct record - one event
 * @time: in ns of the monotonic clock
 * @what: which
 * @before: mode before
 * @after: mode after
 * @counted: the next three mean something
 * @count: of all references
 * @shared: in the shared counter
 * @percpu: in the per-CPU counters
 * @caller: who asked for it, or 0
 * @cpu: where it happened, -1 if told by the registry only
 * @pid: and in which task
 * @comm: the task's name
 */
struct record {
	u64		time;
	const char	*what;
	const char	*before;
	const char	*after;
	bool		counted;
	long		count;
	long		shared;
	long		percpu;
	unsigned long	caller;
	int		cpu;
	pid_t		pid;
	char		comm[TASK_COMM_LEN];
};

/**
 * struct seen - a reference that a scan has found
 * @rcu: events look at it under RCU
 * @file: in debugfs
 * @id: its number
 * @scan: last scan that found it
 * @stuck_scan: last scan that found it stuck (scan only)
 * @kind: of stuck references, which it is one of, or NULL (under kinds_lock)
 * @init_by: callers of the function that initialised it; 0 if not known
 * @lock: for what follows
 * @records: how many there ever were
 * @ring: the last of them
 * @release_at: when its release was last called; 0 if that was not seen
 * @release_pid: by which task, 0 if by none
 * @release_comm: and what that was called
 */
struct seen {
	struct rcu_head	rcu;
	struct dentry	*file;
	u64		id;
	unsigned long	scan;
	unsigned long	stuck_scan;
	struct stuck_kind *kind;
	unsigned long	init_by[INIT_CALLERS];
	raw_spinlock_t	lock;
	unsigned int	records;
	struct record	ring[HISTORY];
	u64		release_at;
	pid_t		release_pid;
	char		release_comm[TASK_COMM_LEN];
};

/* What a reference is stuck in. */
enum stuck { NOT_STUCK, HELD, HOPELESS, RELEASING };

/**
 * struct stuck_kind - references that are stuck for one reason
 * @node: in the list of kinds (scan only, as what follows)
 * @why: what they are stuck in
 * @init_by: who called the function that initialised them
 * @found: how many this scan has found
 * @oldest: the first of those that was killed; module, place of init and killer are
 *	those of all
 * @secs: how long ago
 * @told: how many there were when that was last told
 * @next: when it is to be told again, in ms of the monotonic clock
 * @reports: how often it was (also without a lock)
 * @members: references that point here (under kinds_lock, as what follows)
 * @ended: how many have been released, resurrected or exited since the first report
 */
struct stuck_kind {
	struct list_head	node;
	enum stuck		why;
	unsigned long		init_by[INIT_CALLERS];
	unsigned int		found;
	struct pcpuref_info	oldest;
	unsigned int		secs;
	unsigned int		told;
	u64			next;
	unsigned int		reports;
	unsigned int		members;
	unsigned int		ended;
};

enum kind { INIT, SWITCH, KILL, CONFIRM, RELEASE, REINIT, RESURRECT, EXIT, MISUSE, KINDS };

struct totals {
	u64	events[KINDS];
	u64	kill_to_release;	/* microseconds */
	u64	timed;
	u64	worst;
};

static DEFINE_PER_CPU(struct totals, totals);
static DEFINE_XARRAY(all_seen);
static unsigned int nr_seen;
static DEFINE_MUTEX(scan_mutex);
static unsigned int scan_took;		/* jiffies */
static unsigned int nr_lingering;	/* would be stuck, but may linger */
static int events_error;		/* why there are no events, or 0 */
static struct dentry *root, *ref_dir;

static void sync_fn(struct work_struct *work);
static void watch_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(sync_work, sync_fn);
static DECLARE_DELAYED_WORK(watch_work, watch_fn);

static unsigned int stuck_secs = 30;

static unsigned long watch_period(void)
{
	unsigned long period = READ_ONCE(stuck_secs) * HZ / 8;

	return clamp_t(unsigned long, period, HZ / 2, 4 * HZ);
}

/* Under the lock of the module's parameters: nothing is scheduled any more after exit. */
static bool running;

static void set_running(bool run)
{
	kernel_param_lock(THIS_MODULE);
	running = run;
	kernel_param_unlock(THIS_MODULE);
}

static int stuck_secs_set(const char *value, const struct kernel_param *kp)
{
	int err = param_set_uint(value, kp);

	if (!err && running) {
		/* Again if the scan has just scheduled itself. */
		while (!schedule_delayed_work(&watch_work, 0))
			cancel_delayed_work(&watch_work);
	}
	return err;
}

static const struct kernel_param_ops stuck_secs_ops = {
	.set = stuck_secs_set,
	.get = param_get_uint,
};
module_param_cb(stuck_secs, &stuck_secs_ops, &stuck_secs, 0644);
MODULE_PARM_DESC(stuck_secs, "Report what is killed and not released for so many seconds (30; 0: never)");

static unsigned int max_reports = 1;
module_param(max_reports, uint, 0644);
MODULE_PARM_DESC(max_reports, "Kinds of stuck references reported in full by one look, of which there are eight in stuck_secs (1)");

/* Under the lock of this module's parameters. */
static char linger[512];

static int linger_set(const char *value, const struct kernel_param *kp)
{
	size_t length = strlen(value);

	if (length >= sizeof(linger))
		return -ENOSPC;
	strscpy(linger, value, sizeof(linger));
	/* As echo writes it. */
	if (length && linger[length - 1] == '\n')
		linger[length - 1] = '\0';
	return 0;
}

static int linger_get(char *buf, const struct kernel_param *kp)
{
	return scnprintf(buf, PAGE_SIZE, "%s\n", linger);
}

static const struct kernel_param_ops linger_ops = {
	.set = linger_set,
	.get = linger_get,
};
module_param_cb(linger, &linger_ops, NULL, 0644);
MODULE_PARM_DESC(linger, "Names of references that may stay for long after the kill, with commas between; * at the end of one stands for anything");

/* May it live on after its kill, for good reasons? */
static bool may_linger(const struct pcpuref_info *info)
{
	const char *word, *end;
	bool found = false;
	size_t length;

	if (info->flags & PCPUREF_MAY_LINGER)
		return true;
	kernel_param_lock(THIS_MODULE);
	for (word = linger; *word && !found; word = *end ? end + 1 : end) {
		end = strchrnul(word, ',');
		length = end - word;
		if (length && word[length - 1] == '*')
			found = !strncmp(info->name, word, length - 1);
		else
			found = length && strlen(info->name) == length &&
				!strncmp(info->name, word, length);
	}
	kernel_param_unlock(THIS_MODULE);
	return found;
}

static unsigned int max_seen = 16384;
module_param(max_seen, uint, 0644);
MODULE_PARM_DESC(max_seen, "References that have a history and a file (16384)");

/* --- Events --------------------------------------------------------------- */

static void note(struct seen *seen, const struct record *record)
{
	unsigned long flags;

	/* Of what a NMI interrupts, nothing can be waited for. */
	if (pcpuref_in_nmi()) {
		if (!raw_spin_trylock(&seen->lock))
			return;
		seen->ring[seen->records++ % HISTORY] = *record;
		raw_spin_unlock(&seen->lock);
		return;
	}
	raw_spin_lock_irqsave(&seen->lock, flags);
	seen->ring[seen->records++ % HISTORY] = *record;
	raw_spin_unlock_irqrestore(&seen->lock, flags);
}

/*
 * Stuck references belong to kinds. kinds_lock guards which to which: events take
 * references out of them, in any context but NMI and under a reference's lock; scans
 * put them in, and free a kind that has none. Only scans add kinds, or look at the list.
 */
static DEFINE_RAW_SPINLOCK(kinds_lock);
static LIST_HEAD(kinds);
static unsigned int nr_kinds;

/**
 * struct departure - what is to be told when a stuck reference is stuck no more
 * @why: what it was stuck in
 * @reports: how often its kind was reported, if it was the last of it; else 0
 * @ended: how many of the kind have gone, this one included
 */
struct departure {
	enum stuck	why;
	unsigned int	reports;
	unsigned int	ended;
};

static struct departure leave_kind(struct seen *seen)
{
	struct departure departure = { };
	struct stuck_kind *kind;
	unsigned long flags;

	/* Mostly none. Pairs with the WRITE_ONCE()s under the lock, which decide. */
	if (!READ_ONCE(seen->kind))
		return departure;
	raw_spin_lock_irqsave(&kinds_lock, flags);
	kind = seen->kind;
	if (kind) {
		WRITE_ONCE(seen->kind, NULL);
		if (READ_ONCE(kind->reports))
			kind->ended++;
		if (!--kind->members) {
			departure.why = kind->why;
			departure.reports = READ_ONCE(kind->reports);
			departure.ended = kind->ended;
			kind->ended = 0;
			WRITE_ONCE(kind->reports, 0);
		}
	}
	raw_spin_unlock_irqrestore(&kinds_lock, flags);
	return departure;
}

static void join_kind(struct seen *seen, struct stuck_kind *kind)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&kinds_lock, flags);
	kind->members++;
	WRITE_ONCE(seen->kind, kind);
	raw_spin_unlock_irqrestore(&kinds_lock, flags);
}

#define REPORTED_SIZE	80

static const char *reported_text(const struct departure *departure, char *text)
{
	int n = scnprintf(text, REPORTED_SIZE, "reported %u time%s", departure->reports,
			  departure->reports == 1 ? "" : "s");

	if (departure->ended > 1)
		scnprintf(text + n, REPORTED_SIZE - n, ", the last of %u of its kind",
			  departure->ended);
	return text;
}

/* What became of a reference that was stuck: of the last of its kind only. */
static void tell_end(struct seen *seen, const struct pcpuref_event *event,
		     const char *end)
{
	struct departure departure = leave_kind(seen);
	char text[REPORTED_SIZE];
	s64 secs;
	s32 ms;

	if (!departure.reports)
		return;
	/* By its release, most likely. */
	if (departure.why == RELEASING && event->step == PCPUREF_STEP_EXIT)
		end = "exited during its release";
	secs = div_s64_rem(div_s64(event->since_kill, USEC_PER_MSEC), MSEC_PER_SEC, &ms);
	pr_warn("ref %s (id %llu) of module %s: %s after %lld.%03d s (%s)\n",
		event->name, event->id, event->module, end, secs, ms,
		reported_text(&departure, text));
}

/*
 * Who called the function that initialises: from the stack of the event, for which
 * nobody else pays. Kept by number until a scan sees the reference; when many come at
 * once, that of some is lost.
 */
#define INITS_ORDER	10

static struct init_by {
	u64		id;
	unsigned long	by[INIT_CALLERS];
} inits[1 << INITS_ORDER];
static DEFINE_RAW_SPINLOCK(inits_lock);

#ifdef CONFIG_STACKTRACE
static void note_init(const struct pcpuref_event *event)
{
	struct init_by *slot = &inits[hash_64(event->id, INITS_ORDER)];
	unsigned long stack[16], flags;
	unsigned int n, i, at;

	n = stack_trace_save(stack, ARRAY_SIZE(stack), 1);
	for (at = 0; at < n && stack[at] != event->caller; at++)
		;
	raw_spin_lock_irqsave(&inits_lock, flags);
	slot->id = event->id;
	for (i = 0; i < INIT_CALLERS; i++)
		slot->by[i] = at + 1 + i < n ? stack[at + 1 + i] : 0;
	raw_spin_unlock_irqrestore(&inits_lock, flags);
}

#else
static void note_init(const struct pcpuref_event *event)
{
}
#endif

static void take_init(struct seen *seen)
{
	struct init_by *slot = &inits[hash_64(seen->id, INITS_ORDER)];
	unsigned long flags;

	raw_spin_lock_irqsave(&inits_lock, flags);
	if (slot->id == seen->id)
		memcpy(seen->init_by, slot->by, sizeof(seen->init_by));
	raw_spin_unlock_irqrestore(&inits_lock, flags);
}

/* Release is about to be called, by this task if it is one. */
static void note_release(struct seen *seen, const struct record *record)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&seen->lock, flags);
	seen->release_at = record->time;
	/* With interrupts off, also in a task; but not in one that is interrupted. */
	seen->release_pid = in_task() ? record->pid : 0;
	memcpy(seen->release_comm, record->comm, sizeof(seen->release_comm));
	raw_spin_unlock_irqrestore(&seen->lock, flags);
}

/* This CPU's own. Pairs with the READ_ONCE() in stats_show(). */
static void add(u64 *to, u64 n)
{
	WRITE_ONCE(*to, *to + n);
}

static void total(enum kind kind, const struct pcpuref_event *event)
{
	struct totals *t;
	unsigned long flags;

	local_irq_save(flags);
	t = this_cpu_ptr(&totals);
	add(&t->events[kind], 1);
	if (kind == RELEASE && event->since_kill >= 0) {
		add(&t->kill_to_release, event->since_kill);
		add(&t->timed, 1);
		if (event->since_kill > t->worst)
			WRITE_ONCE(t->worst, event->since_kill);
	}
	local_irq_restore(flags);
}

/* Called by the core, for most events under the reference's lock. */
static void on_event(void *data, const struct pcpuref_event *event)
{
	enum kind kind = (unsigned long)data;
	struct seen *seen;

	total(kind, event);
	if (kind == INIT)
		note_init(event);

	rcu_read_lock();
	seen = event->id ? xa_load(&all_seen, event->id) : NULL;
	if (seen) {
		struct record record = {
			.time = ktime_get_mono_fast_ns(),
			.what = pcpuref_event_name(event),
			.before = pcpuref_mode_name(event->before),
			.after = pcpuref_mode_name(event->after),
			.counted = event->counted,
			.count = event->count,
			.shared = event->shared,
			.percpu = event->percpu,
			.caller = event->caller,
			.cpu = raw_smp_processor_id(),
			.pid = current->pid,
		};

		strscpy(record.comm, current->comm, sizeof(record.comm));
		note(seen, &record);
		if (kind == RELEASE) {
			note_release(seen, &record);
			tell_end(seen, event, "released");
		} else if (kind == RESURRECT) {
			tell_end(seen, event, "resurrected");
		} else if (kind == REINIT) {
			tell_end(seen, event, "reinitialised");
		} else if (kind == EXIT) {
			tell_end(seen, event, "exited unreleased");
		}
	}
	rcu_read_unlock();

	if (kind == INIT || kind == EXIT)
		schedule_delayed_work(&sync_work,
				      max_t(unsigned int, GATHER, 10 * READ_ONCE(scan_took)));
}

/* Newest last. Return: how many. */
static unsigned int copy_history(struct seen *seen, struct record *to)
{
	unsigned int i, first, n;
	unsigned long flags;

	raw_spin_lock_irqsave(&seen->lock, flags);
	n = min_t(unsigned int, seen->records, HISTORY);
	first = seen->records - n;
	for (i = 0; i < n; i++)
		to[i] = seen->ring[(first + i) % HISTORY];
	raw_spin_unlock_irqrestore(&seen->lock, flags);

	return n;
}

static unsigned int history_of(u64 id, struct record *to)
{
	struct seen *seen;
	unsigned int n = 0;

	rcu_read_lock();
	seen = xa_load(&all_seen, id);
	if (seen)
		n = copy_history(seen, to);
	rcu_read_unlock();

	return n;
}

#define COUNT_SIZE	24

/* Misuse may have made the count meaningless. */
static const char *count_text(const struct pcpuref_info *info, char *text)
{
	if (info->count == LONG_MAX && info->state == PCPUREF_STATE_STUCK)
		return "?";
	scnprintf(text, COUNT_SIZE, "%ld", info->count);
	return text;
}

#define RECORD_SIZE	288

static const char *record_line(char *line, const struct record *record, u64 now)
{
	char counts[80] = "count=?";

	if (record->counted)
		scnprintf(counts, sizeof(counts), "count=%ld shared=%ld percpu=%ld",
			  record->count, record->shared, record->percpu);
	scnprintf(line, RECORD_SIZE,
		  "%8llu ms ago: %s mode=%s->%s %s cpu=%d task=%s/%d caller=%pS",
		  div_u64(pcpuref_elapsed(record->time, now), NSEC_PER_MSEC), record->what,
		  record->before, record->after, counts, record->cpu, record->comm,
		  record->pid, (void *)record->caller);
	return line;
}

/* Of INIT_CALLERS; false if they are not known. */
static bool init_by_of(u64 id, unsigned long *by)
{
	struct seen *seen;

	by[0] = 0;
	rcu_read_lock();
	seen = xa_load(&all_seen, id);
	if (seen)
		memcpy(by, seen->init_by, sizeof(seen->init_by));
	rcu_read_unlock();
	return by[0];
}

/* Somebody has a reference dumped to the log: add its history. */
static void on_dump(void *data, const struct pcpuref_event *event)
{
	unsigned long by[INIT_CALLERS];
	struct record ring[HISTORY];
	char line[RECORD_SIZE];
	unsigned int i, n;
	u64 now;

	if (init_by_of(event->id, by))
		pr_info("id=%llu initialised by way of %pS, %pS\n", event->id, (void *)by[0],
			(void *)by[1]);

	n = history_of(event->id, ring);
	now = ktime_get_mono_fast_ns();
	for (i = 0; i < n; i++)
		pr_info("id=%llu history: %s\n", event->id,
			record_line(line, &ring[i], now));
}

/* --- Scans ---------------------------------------------------------------- */

static int ref_show(struct seq_file *m, void *unused);

static int ref_open(struct inode *inode, struct file *file)
{
	return single_open(file, ref_show, inode->i_private);
}

static const struct file_operations ref_fops = {
	.owner		= THIS_MODULE,
	.open		= ref_open,
	.read		= seq_read,
	.llseek		= seq_lseek,
	.release	= single_release,
};

/* What happened before anybody looked, as far as the registry tells. */
static void note_past(struct seen *seen, const struct pcpuref_info *info)
{
	struct record record = {
		.time = info->created_at,
		.what = pcpuref_step_name(PCPUREF_STEP_INIT),
		.before = pcpuref_mode_name(PCPUREF_MODE_NONE),
		.after = info->killed_at ? "?" : pcpuref_mode_name(info->mode),
		.counted = true,
		.count = !(info->flags & PCPUREF_INIT_DEAD),
		.shared = !(info->flags & PCPUREF_INIT_DEAD),
		.cpu = -1,
		.comm = "?",
	};

	note(seen, &record);
	if (!info->killed_at)
		return;
	record.time = info->killed_at;
	record.what = pcpuref_step_name(PCPUREF_STEP_KILL);
	record.before = "?";
	record.after = pcpuref_mode_name(info->mode);
	/* As many as there were then is not known. */
	record.counted = false;
	record.caller = info->killer;
	note(seen, &record);
}

/* Without memory for it now, the next scan tries again. */
static void make_file(struct seen *seen)
{
	char name[24];

	snprintf(name, sizeof(name), "%llu", seen->id);
	seen->file = debugfs_create_file(name, 0400, ref_dir, &seen->id, &ref_fops);
}

static struct seen *see(const struct pcpuref_info *info)
{
	struct seen *seen = xa_load(&all_seen, info->id);

	if (seen) {
		if (IS_ERR(seen->file) && !IS_ERR(ref_dir))
			make_file(seen);
		return seen;
	}
	if (nr_seen >= READ_ONCE(max_seen)) {
		pr_warn_once("more than %u references: the rest is listed, but not watched; raise max_seen\n",
			     nr_seen);
		return NULL;
	}
	seen = kzalloc(sizeof(*seen), GFP_KERNEL | __GFP_NOWARN);
	if (!seen)
		return NULL;
	raw_spin_lock_init(&seen->lock);
	seen->id = info->id;
	take_init(seen);
	note_past(seen, info);
	if (xa_err(xa_store(&all_seen, info->id, seen, GFP_KERNEL | __GFP_NOWARN))) {
		kfree(seen);
		return NULL;
	}
	/* Pairs with the READ_ONCE() in stats_show(). */
	WRITE_ONCE(nr_seen, nr_seen + 1);
	make_file(seen);
	return seen;
}

static void forget(struct seen *seen)
{
	xa_erase(&all_seen, seen->id);
	WRITE_ONCE(nr_seen, nr_seen - 1);
	/* Waits for readers of the file, who look at seen->id. */
	debugfs_remove(seen->file);
	kfree_rcu(seen, rcu);
}

/* Is it stuck in something, and for how many seconds? */
static enum stuck is_stuck(struct seen *seen, const struct pcpuref_info *info,
			   unsigned int *secs)
{
	unsigned int limit = READ_ONCE(stuck_secs);
	u64 since = info->killed_at;
	unsigned long flags;
	enum stuck why;

	if (!limit || !info->killed_at)
		return NOT_STUCK;
	switch (info->state) {
	case PCPUREF_STATE_DYING:
		why = HELD;
		break;
	case PCPUREF_STATE_STUCK:
		/* With a count of zero it has been released before. */
		if (info->count != LONG_MAX)
			return NOT_STUCK;
		why = HOPELESS;
		break;
	case PCPUREF_STATE_RELEASING:
		why = RELEASING;
		raw_spin_lock_irqsave(&seen->lock, flags);
		/* If that was before this module came: as of now. */
		if (seen->release_at < info->killed_at) {
			seen->release_at = ktime_get_mono_fast_ns();
			seen->release_pid = 0;
		}
		since = seen->release_at;
		raw_spin_unlock_irqrestore(&seen->lock, flags);
		break;
	default:
		return NOT_STUCK;
	}
	*secs = div_u64(pcpuref_elapsed(since, ktime_get_mono_fast_ns()), NSEC_PER_SEC);
	return *secs >= limit ? why : NOT_STUCK;
}

/* If it is not known who had it initialised, any will do. */
static bool is_of_kind(const struct stuck_kind *kind, enum stuck why, const struct seen *seen,
		       const struct pcpuref_info *info)
{
	const struct pcpuref_info *of = &kind->oldest;

	return kind->why == why && of->line == info->line && of->killer == info->killer &&
	       (!seen->init_by[0] ||
		!memcmp(kind->init_by, seen->init_by, sizeof(kind->init_by))) &&
	       !strcmp(of->function, info->function) && !strcmp(of->file, info->file) &&
	       !strcmp(of->module, info->module);
}

/* More kinds than that are counted only. */
#define KINDS_MAX	1024

static struct stuck_kind *kind_of(enum stuck why, const struct seen *seen,
				  const struct pcpuref_info *info)
{
	struct stuck_kind *kind;

	lockdep_assert_held(&scan_mutex);
	list_for_each_entry(kind, &kinds, node)
		if (is_of_kind(kind, why, seen, info))
			return kind;
	if (nr_kinds >= KINDS_MAX)
		return NULL;
	kind = kzalloc(sizeof(*kind), GFP_KERNEL | __GFP_NOWARN);
	if (!kind)
		return NULL;
	kind->why = why;
	kind->oldest = *info;
	memcpy(kind->init_by, seen->init_by, sizeof(kind->init_by));
	list_add_tail(&kind->node, &kinds);
	nr_kinds++;
	return kind;
}

/* False if there is no memory to tell kinds apart. */
static bool count_stuck(enum stuck why, struct seen *seen, const struct pcpuref_info *info,
			unsigned int secs)
{
	struct stuck_kind *kind = kind_of(why, seen, info);

	if (!kind)
		return false;
	if (!kind->found++ || secs > kind->secs) {
		kind->oldest = *info;
		kind->secs = secs;
	}
	/* Only scans set it, so it can only become NULL meanwhile. */
	if (READ_ONCE(seen->kind) != kind) {
		leave_kind(seen);
		join_kind(seen, kind);
	}
	return true;
}

/* The task that called a release which has not returned: its stack, or its name. */
static void show_releaser(u64 id)
{
	struct task_struct *task = NULL;
	char comm[TASK_COMM_LEN] = "";
	unsigned long flags;
	struct seen *seen;
	pid_t pid = 0;

	rcu_read_lock();
	seen = xa_load(&all_seen, id);
	if (seen) {
		raw_spin_lock_irqsave(&seen->lock, flags);
		pid = seen->release_pid;
		memcpy(comm, seen->release_comm, sizeof(comm));
		raw_spin_unlock_irqrestore(&seen->lock, flags);
	}
	if (pid)
		task = pid_task(find_vpid(pid), PIDTYPE_PID);
	if (task)
		get_task_struct(task);
	rcu_read_unlock();

	if (!pid)
		pr_warn("id=%llu: which task runs it is not known\n", id);
	else if (!task)
		pr_warn("id=%llu: task %s/%d, which called it, is gone\n", id, comm, pid);
	if (!task)
		return;
	pr_warn("id=%llu: it was called by task %s/%d, whose stack follows\n", id, comm, pid);
	sched_show_task(task);
	put_task_struct(task);
}

static void report(struct stuck_kind *kind)
{
	const struct pcpuref_info *info = &kind->oldest;
	char text[COUNT_SIZE], more[48] = "";

	if (kind->found > 1)
		scnprintf(more, sizeof(more), " (the oldest of %u of its kind)", kind->found);
	switch (kind->why) {
	case HELD:
		pr_warn("ref %s (id %llu) of module %s is stuck: killed %u s ago by %pS and not released, count %s%s\n",
			info->name, info->id, info->module, kind->secs, (void *)info->killer,
			count_text(info, text), more);
		break;
	case HOPELESS:
		pr_warn("ref %s (id %llu) of module %s is stuck: killed %u s ago by %pS and will never be released, because of misuse: %s%s\n",
			info->name, info->id, info->module, kind->secs, (void *)info->killer,
			info->stuck_at ? pcpuref_misuse_name(info->stuck_misuse) :
					 "(long forgotten)",
			more);
		break;
	default:
		pr_warn("ref %s (id %llu) of module %s is stuck: release %ps has not returned for %u s%s\n",
			info->name, info->id, info->module, info->release, kind->secs, more);
		show_releaser(info->id);
	}
	pcpuref_dump_id(info->id);
}

/* Tell of the kinds whose time has come: some in full, and how many more. */
static void report_kinds(unsigned int more)
{
	u64 now = div_u64(ktime_get_mono_fast_ns(), NSEC_PER_MSEC);
	unsigned int reported = 0, more_kinds = 0, grown = 0, grown_kinds = 0;
	struct stuck_kind *kind, *next;

	lockdep_assert_held(&scan_mutex);
	list_for_each_entry_safe(kind, next, &kinds, node) {
		unsigned int reports = READ_ONCE(kind->reports);

		if (!kind->found)
			continue;
		if (reports && now < kind->next) {
			/* Twice as many as were told: once more, in short. */
			if (kind->found / 2 >= kind->told) {
				grown += kind->found - kind->told;
				grown_kinds++;
				kind->told = kind->found;
			}
			continue;
		}
		if (reported >= READ_ONCE(max_reports)) {
			more += kind->found;
			more_kinds++;
			continue;
		}
		reported++;
		/* Before: the last of it may be released while this is printed. */
		WRITE_ONCE(kind->reports, reports + 1);
		report(kind);
		kind->told = kind->found;
		kind->next = now + MSEC_PER_SEC *
			     min_t(u64, BACK_OFF_MAX,
				   (u64)READ_ONCE(stuck_secs) << min(reports, 16U));
		/* Others first, the next time. If it is met again now, it is not due. */
		list_move_tail(&kind->node, &kinds);
	}
	if (more)
		pr_warn("%u more refs are stuck, of %u more kinds\n", more, more_kinds);
	if (grown)
		pr_warn("%u more refs are stuck, of %u kinds already reported\n", grown,
			grown_kinds);
}

/* Those that no event has told of: release has returned, or they may linger now. */
static void tell_unstuck(struct seen *seen)
{
	struct departure departure = leave_kind(seen);
	char text[REPORTED_SIZE];

	if (departure.reports)
		pr_warn("ref (id %llu): %s (%s)\n", seen->id,
			departure.why == RELEASING ? "release has returned" :
						     "is not stuck any more",
			reported_text(&departure, text));
}

static void free_kinds(void)
{
	struct stuck_kind *kind, *next;
	unsigned long flags;
	bool empty;

	list_for_each_entry_safe(kind, next, &kinds, node) {
		raw_spin_lock_irqsave(&kinds_lock, flags);
		empty = !kind->members;
		raw_spin_unlock_irqrestore(&kinds_lock, flags);
		/* Nothing points to it, and only a scan could let something do so. */
		if (empty) {
			list_del(&kind->node);
			nr_kinds--;
			kfree(kind);
		}
	}
}

/* @tell: report what is stuck. */
static void scan(bool tell)
{
	static unsigned long scans;
	struct pcpuref_walk walk = { };
	unsigned int more = 0, lingering = 0, secs;
	unsigned long start = jiffies;
	struct pcpuref_info info;
	struct stuck_kind *kind;
	struct seen *seen;
	enum stuck why;
	unsigned long id;

	mutex_lock(&scan_mutex);
	scans++;
	list_for_each_entry(kind, &kinds, node) {
		kind->found = 0;
		kind->secs = 0;
	}
	while (pcpuref_walk_next(&walk, &info)) {
		cond_resched();
		seen = see(&info);
		if (!seen)
			continue;
		seen->scan = scans;
		why = is_stuck(seen, &info, &secs);
		if (why == NOT_STUCK)
			continue;
		if (may_linger(&info)) {
			lingering++;
			continue;
		}
		seen->stuck_scan = scans;
		if (!count_stuck(why, seen, &info, secs))
			more++;
	}
	pcpuref_walk_end(&walk);
	if (tell)
		report_kinds(more);

	xa_for_each(&all_seen, id, seen) {
		if (seen->stuck_scan != scans)
			tell_unstuck(seen);
		if (seen->scan != scans)
			forget(seen);
	}
	free_kinds();
	WRITE_ONCE(nr_lingering, lingering);
	WRITE_ONCE(scan_took, jiffies - start);
	mutex_unlock(&scan_mutex);
}

/* May come ten times in a second, which is too often to report. */
static void sync_fn(struct work_struct *work)
{
	scan(false);
}

static void watch_fn(struct work_struct *work)
{
	scan(true);
	schedule_delayed_work(&watch_work, watch_period());
}

/* --- debugfs -------------------------------------------------------------- */

static void seq_secs(struct seq_file *m, int width, u64 since, u64 now)
{
	u64 ms = div_u64(pcpuref_elapsed(since, now), NSEC_PER_MSEC);
	u32 rest;
	u64 secs = div_u64_rem(ms, MSEC_PER_SEC, &rest);

	seq_printf(m, " %*llu.%03u", width - 4, secs, rest);
}

struct table {
	struct pcpuref_walk	walk;
	struct pcpuref_info	info;
	loff_t			at;
};

static void *table_next(struct seq_file *m, void *row, loff_t *pos)
{
	struct table *table = m->private;

	++*pos;
	if (!pcpuref_walk_next(&table->walk, &table->info))
		return NULL;
	table->at = *pos;
	return &table->info;
}

static void table_rewind(struct table *table)
{
	pcpuref_walk_end(&table->walk);
	table->walk = (struct pcpuref_walk) { };
	table->at = 0;
}

static void *table_start(struct seq_file *m, loff_t *pos)
{
	struct table *table = m->private;
	loff_t at = 0;

	if (*pos && *pos == table->at)
		return &table->info;
	if (*pos && *pos == table->at + 1)
		return pcpuref_walk_next(&table->walk, &table->info) ?
			(table->at = *pos, &table->info) : NULL;
	table_rewind(table);
	while (at < *pos)
		if (!table_next(m, NULL, &at))
			return NULL;
	return *pos ? (void *)&table->info : SEQ_START_TOKEN;
}

static void table_stop(struct seq_file *m, void *row)
{
}

#define TABLE_HEAD	"%12s %-28s %-20s %-9s %-9s %20s %12s %12s\n"
#define TABLE_ROW	"%12llu %-28.28s %-20.20s %-9s %-9s %20s"

static int table_show(struct seq_file *m, void *row)
{
	const struct pcpuref_info *info = row;
	u64 now = ktime_get_mono_fast_ns();
	char text[COUNT_SIZE];

	if (row == SEQ_START_TOKEN) {
		seq_printf(m, TABLE_HEAD, "ID", "NAME", "MODULE", "MODE", "STATE",
			   "COUNT", "AGE/s", "KILLED/s");
		return 0;
	}
	seq_printf(m, TABLE_ROW, info->id, info->name, info->module,
		   pcpuref_mode_name(info->mode), pcpuref_state_name(info->state),
		   count_text(info, text));
	seq_secs(m, 12, info->created_at, now);
	if (info->killed_at)
		seq_secs(m, 12, info->killed_at, now);
	else
		seq_printf(m, " %12s", "-");
	seq_putc(m, '\n');
	return 0;
}

static const struct seq_operations table_ops = {
	.start	= table_start,
	.next	= table_next,
	.stop	= table_stop,
	.show	= table_show,
};

static int refs_open(struct inode *inode, struct file *file)
{
	return seq_open_private(file, &table_ops, sizeof(struct table));
}

static int refs_release(struct inode *inode, struct file *file)
{
	struct seq_file *m = file->private_data;
	struct table *table = m->private;

	pcpuref_walk_end(&table->walk);
	return seq_release_private(inode, file);
}

static const struct file_operations refs_fops = {
	.owner		= THIS_MODULE,
	.open		= refs_open,
	.read		= seq_read,
	.llseek		= seq_lseek,
	.release	= refs_release,
};

/* A bar for each CPU that the count sits on: which one gets, which one puts. */
static void show_counters(struct seq_file *m, const long *counts)
{
	unsigned long most = 0;
	int cpu;

	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		most = max_t(unsigned long, most, abs(counts[cpu]));
	for (cpu = 0; most && cpu < nr_cpu_ids; cpu++) {
		unsigned long size = abs(counts[cpu]);

		if (size)
			seq_printf(m, "cpu %-4d %12ld %.*s\n", cpu, counts[cpu],
				   max_t(int, 1, div64_u64((u64)size * 40, most)),
				   "****************************************");
	}
}

/* Apart from what ref_show() has on its stack: 32-bit kernels allow 1024 bytes. */
static noinline_for_stack void show_history(struct seq_file *m, u64 id, u64 now)
{
	struct record ring[HISTORY];
	char line[RECORD_SIZE];
	unsigned int i, n;

	n = history_of(id, ring);
	for (i = 0; i < n; i++)
		seq_printf(m, "%s\n", record_line(line, &ring[i], now));
}

static int ref_show(struct seq_file *m, void *unused)
{
	u64 id = *(u64 *)m->private;
	unsigned long by[INIT_CALLERS];
	struct pcpuref_info info;
	char text[COUNT_SIZE];
	long *counts;
	u64 now;

	counts = kvcalloc(nr_cpu_ids, sizeof(*counts), GFP_KERNEL);
	if (!counts)
		return -ENOMEM;
	if (!pcpuref_inspect_id(id, &info, counts)) {
		kvfree(counts);
		return -ENOENT;
	}
	now = ktime_get_mono_fast_ns();
	seq_printf(m, "id           %llu\n", info.id);
	seq_printf(m, "name         %s\n", info.name);
	seq_printf(m, "module       %s\n", info.module);
	seq_printf(m, "initialised  %s() at %s:%u\n", info.function, info.file, info.line);
	if (init_by_of(id, by))
		seq_printf(m, "by way of    %pS, %pS\n", (void *)by[0], (void *)by[1]);
	seq_printf(m, "ref          %p\n", info.ref);
	seq_printf(m, "release      %ps\n", info.release);
	seq_printf(m, "flags        %#x\n", info.flags);
	seq_printf(m, "mode         %s\n", pcpuref_mode_name(info.mode));
	seq_printf(m, "state        %s\n", pcpuref_state_name(info.state));
	seq_printf(m, "life         %u\n", info.life);
	seq_printf(m, "count        %s\n", count_text(&info, text));
	seq_printf(m, "shared       %ld\n", info.shared);
	seq_printf(m, "percpu       %ld\n", info.percpu);
	seq_printf(m, "bytes        %zu\n", info.bytes);
	seq_printf(m, "percpu_bytes %zu\n", info.percpu_bytes);
	seq_puts(m, "age         ");
	seq_secs(m, 5, info.created_at, now);
	seq_puts(m, " s\n");
	if (info.killed_at) {
		seq_puts(m, "killed      ");
		seq_secs(m, 5, info.killed_at, now);
		seq_printf(m, " s ago by %pS\n", (void *)info.killer);
	}
	if (info.stuck_at) {
		seq_puts(m, "stuck       ");
		seq_secs(m, 5, info.stuck_at, now);
		seq_printf(m, " s ago: %s by %pS\n", pcpuref_misuse_name(info.stuck_misuse),
			   (void *)info.stuck_by);
	}
	show_counters(m, counts);
	kvfree(counts);
	show_history(m, id, now);
	return 0;
}

static int stats_show(struct seq_file *m, void *unused)
{
	static const char * const names[] = {
		"inits", "switches", "kills", "confirms", "releases", "reinits",
		"resurrects", "exits", "misuses",
	};
	u64 refs = 0, bytes = 0, percpu_bytes = 0;
	struct pcpuref_walk walk = { };
	struct totals sum = { };
	struct pcpuref_info info;
	int cpu, i;

	BUILD_BUG_ON(ARRAY_SIZE(names) != KINDS);
	while (pcpuref_walk_next(&walk, &info)) {
		refs++;
		bytes += info.bytes;
		percpu_bytes += info.percpu_bytes;
		cond_resched();
	}
	pcpuref_walk_end(&walk);
	for_each_possible_cpu(cpu) {
		const struct totals *t = per_cpu_ptr(&totals, cpu);

		for (i = 0; i < KINDS; i++)
			sum.events[i] += READ_ONCE(t->events[i]);
		sum.kill_to_release += READ_ONCE(t->kill_to_release);
		sum.timed += READ_ONCE(t->timed);
		sum.worst = max_t(u64, sum.worst, READ_ONCE(t->worst));
	}

	seq_printf(m, "refs                       %llu\n", refs);
	seq_printf(m, "bytes                      %llu\n", bytes);
	seq_printf(m, "percpu_bytes               %llu\n", percpu_bytes);
	seq_printf(m, "refs with history          %u\n", READ_ONCE(nr_seen));
	seq_printf(m, "lingering                  %u\n", READ_ONCE(nr_lingering));
	if (events_error) {
		seq_printf(m, "(no totals: no events, error %d)\n", events_error);
		return 0;
	}
	/* Of the time since this module was loaded. */
	for (i = 0; i < KINDS; i++)
		seq_printf(m, "%-26s %llu\n", names[i], sum.events[i]);
	seq_printf(m, "mean kill to release/us    %llu\n",
		   sum.timed ? div64_u64(sum.kill_to_release, sum.timed) : 0);
	seq_printf(m, "worst kill to release/us   %llu\n", sum.worst);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

static ssize_t dump_write(struct file *file, const char __user *from, size_t size,
			  loff_t *pos)
{
	struct pcpuref_walk walk = { };
	struct pcpuref_info info;
	char word[24] = "";
	u64 id;

	if (size >= sizeof(word))
		return -EINVAL;
	if (copy_from_user(word, from, size))
		return -EFAULT;
	if (!kstrtou64(strim(word), 10, &id))
		return pcpuref_dump_id(id) ? size : -ENOENT;
	if (strcmp(strim(word), "all"))
		return -EINVAL;

	while (pcpuref_walk_next(&walk, &info) && !fatal_signal_pending(current)) {
		pcpuref_dump_id(info.id);
		cond_resched();
	}
	pcpuref_walk_end(&walk);
	return size;
}

static const struct file_operations dump_fops = {
	.owner	= THIS_MODULE,
	.open	= simple_open,
	.write	= dump_write,
	.llseek	= noop_llseek,
};

/* --- The module ----------------------------------------------------------- */

typedef void (probe_t)(void *data, const struct pcpuref_event *event);

struct attachment {
	int	(*attach)(probe_t *probe, void *data);
	int	(*detach)(probe_t *probe, void *data);
	probe_t	*probe;
	void	*data;
};

#define ON(event, probe, kind) {			\
	register_trace_pcpuref_##event,			\
	unregister_trace_pcpuref_##event,		\
	probe, (void *)(kind),				\
}

static const struct attachment attachments[] = {
	ON(init, on_event, INIT),
	ON(switch, on_event, SWITCH),
	ON(kill, on_event, KILL),
	ON(confirm, on_event, CONFIRM),
	ON(release, on_event, RELEASE),
	ON(reinit, on_event, REINIT),
	ON(resurrect, on_event, RESURRECT),
	ON(exit, on_event, EXIT),
	ON(misuse, on_event, MISUSE),
	ON(dump, on_dump, 0),
};

static void detach(unsigned int attached)
{
	while (attached--)
		attachments[attached].detach(attachments[attached].probe,
					     attachments[attached].data);
	tracepoint_synchronize_unregister();
}

static int attach(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(attachments); i++) {
		int err = attachments[i].attach(attachments[i].probe,
						attachments[i].data);

		if (err) {
			detach(i);
			return err;
		}
	}
	return 0;
}

static int __init pcpuref_watch_init(void)
{
	root = debugfs_create_dir("pcpuref", NULL);
	if (IS_ERR(root))
		pr_notice("no debugfs (error %ld): the log only\n", PTR_ERR(root));
	else
		d_inode(root)->i_mode = S_IFDIR | 0700;
	ref_dir = debugfs_create_dir("ref", root);
	debugfs_create_file("refs", 0400, root, NULL, &refs_fops);
	debugfs_create_file("stats", 0400, root, NULL, &stats_fops);
	debugfs_create_file("dump", 0200, root, NULL, &dump_fops);

	/* The first event may lead to a file of a reference. */
	events_error = attach();
	if (events_error)
		pr_notice("no events (error %d): no history and no totals\n", events_error);

	set_running(true);
	schedule_delayed_work(&watch_work, 0);
	return 0;
}

static void __exit pcpuref_watch_exit(void)
{
	struct stuck_kind *kind, *next;
	struct seen *seen;
	unsigned long id;

	if (!events_error)
		detach(ARRAY_SIZE(attachments));
	set_running(false);
	cancel_delayed_work_sync(&watch_work);
	cancel_delayed_work_sync(&sync_work);
	debugfs_remove(root);
	xa_for_each(&all_seen, id, seen) {
		xa_erase(&all_seen, id);
		kfree(seen);
	}
	xa_destroy(&all_seen);
	list_for_each_entry_safe(kind, next, &kinds, node)
		kfree(kind);
}

module_init(pcpuref_watch_init);
module_exit(pcpuref_watch_exit);

MODULE_DESCRIPTION("Tables, totals, history and a watchdog of per-CPU reference counts");
MODULE_VERSION(PCPUREF_VERSION);
MODULE_LICENSE("GPL");
