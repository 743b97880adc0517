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
#include <linux/jiffies.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
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

/* Reports of one reference come at most this far apart, in seconds. */
#define BACK_OFF_MAX	3600

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
 * @killed_at: the kill that @reports are about (scan only)
 * @next_report: in seconds since that kill (scan only)
 * @reports: how often it was reported as stuck, and nothing happened since
 * @lock: for what follows
 * @records: how many there ever were
 * @ring: the last of them
 */
struct seen {
	struct rcu_head	rcu;
	struct dentry	*file;
	u64		id;
	unsigned long	scan;
	u64		killed_at;
	unsigned int	next_report;
	unsigned int	reports;
	raw_spinlock_t	lock;
	unsigned int	records;
	struct record	ring[HISTORY];
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
static bool have_events;
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

static bool running;

static int stuck_secs_set(const char *value, const struct kernel_param *kp)
{
	int err = param_set_uint(value, kp);

	if (!err && READ_ONCE(running))
		mod_delayed_work(pcpuref_system_wq, &watch_work, 0);
	return err;
}

static const struct kernel_param_ops stuck_secs_ops = {
	.set = stuck_secs_set,
	.get = param_get_uint,
};
module_param_cb(stuck_secs, &stuck_secs_ops, &stuck_secs, 0644);
MODULE_PARM_DESC(stuck_secs, "Report what is killed and not released for so many seconds (30; 0: never)");

static unsigned int max_reports = 8;
module_param(max_reports, uint, 0644);
MODULE_PARM_DESC(max_reports, "Stuck references reported in full by one scan, of which there are eight in stuck_secs (8)");

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

/* What became of a reference that has been reported. */
static void tell_end(struct seen *seen, const struct pcpuref_event *event,
		     const char *end)
{
	unsigned int reports = xchg(&seen->reports, 0);

	if (reports)
		pr_warn("ref %s (id %llu) of module %s: %s after %lld.%03lld s (reported %u time%s)\n",
			event->name, event->id, event->module, end,
			div_s64(event->since_kill, USEC_PER_SEC),
			div_s64(event->since_kill, USEC_PER_MSEC) % MSEC_PER_SEC,
			reports, reports == 1 ? "" : "s");
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
		if (kind == RELEASE)
			tell_end(seen, event, "released");
		else if (kind == RESURRECT)
			tell_end(seen, event, "resurrected");
		else if (kind == EXIT)
			tell_end(seen, event, "exited unreleased");
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

#define RECORD_SIZE	288

static const char *record_line(char *line, const struct record *record, u64 now)
{
	char counts[80] = "count=?";

	if (record->counted)
		scnprintf(counts, sizeof(counts), "count=%ld shared=%ld percpu=%ld",
			  record->count, record->shared, record->percpu);
	scnprintf(line, RECORD_SIZE,
		  "%8llu ms ago: %s mode=%s->%s %s cpu=%d task=%s/%d caller=%pS",
		  div_u64(now - record->time, NSEC_PER_MSEC), record->what,
		  record->before, record->after, counts, record->cpu, record->comm,
		  record->pid, (void *)record->caller);
	return line;
}

/* Somebody has a reference dumped to the log: add its history. */
static void on_dump(void *data, const struct pcpuref_event *event)
{
	struct record ring[HISTORY];
	char line[RECORD_SIZE];
	unsigned int i, n;
	u64 now;

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

static struct seen *see(const struct pcpuref_info *info)
{
	struct seen *seen = xa_load(&all_seen, info->id);
	char name[24];

	if (seen)
		return seen;
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
	note_past(seen, info);
	if (xa_err(xa_store(&all_seen, info->id, seen, GFP_KERNEL | __GFP_NOWARN))) {
		kfree(seen);
		return NULL;
	}
	nr_seen++;
	snprintf(name, sizeof(name), "%llu", info->id);
	seen->file = debugfs_create_file(name, 0400, ref_dir, &seen->id, &ref_fops);
	return seen;
}

static void forget(struct seen *seen)
{
	xa_erase(&all_seen, seen->id);
	nr_seen--;
	/* Waits for readers of the file, who look at seen->id. */
	debugfs_remove(seen->file);
	kfree_rcu(seen, rcu);
}

static bool is_stuck(const struct pcpuref_info *info, unsigned int *secs)
{
	unsigned int limit = READ_ONCE(stuck_secs);

	if (!limit || !info->killed_at || info->state != PCPUREF_STATE_DYING)
		return false;
	*secs = div_u64(ktime_get_mono_fast_ns() - info->killed_at, NSEC_PER_SEC);
	return *secs >= limit;
}

static void report(struct seen *seen, const struct pcpuref_info *info, unsigned int secs)
{
	unsigned int reports = READ_ONCE(seen->reports) + 1;

	pr_warn("ref %s (id %llu) of module %s is stuck: killed %u s ago by %pS and not released, count %ld\n",
		info->name, info->id, info->module, secs, (void *)info->killer,
		info->count);
	pcpuref_dump_id(info->id);
	seen->killed_at = info->killed_at;
	seen->next_report = secs + min_t(unsigned int, BACK_OFF_MAX,
					 READ_ONCE(stuck_secs) << min(reports - 1, 16U));
	WRITE_ONCE(seen->reports, reports);
}

static void scan(void)
{
	static unsigned long scans;
	struct pcpuref_walk walk = { };
	unsigned int reported = 0, more = 0, secs;
	unsigned long start = jiffies;
	struct pcpuref_info info;
	struct seen *seen;
	unsigned long id;

	mutex_lock(&scan_mutex);
	scans++;
	while (pcpuref_walk_next(&walk, &info)) {
		cond_resched();
		seen = see(&info);
		if (!seen)
			continue;
		seen->scan = scans;
		if (!is_stuck(&info, &secs))
			continue;
		/* Another kill is another matter. */
		if (seen->killed_at != info.killed_at) {
			seen->next_report = 0;
			WRITE_ONCE(seen->reports, 0);
		}
		if (secs < seen->next_report)
			continue;
		if (reported < READ_ONCE(max_reports)) {
			report(seen, &info, secs);
			reported++;
		} else {
			more++;
		}
	}
	pcpuref_walk_end(&walk);
	if (more)
		pr_warn("%u more refs are stuck\n", more);

	xa_for_each(&all_seen, id, seen)
		if (seen->scan != scans)
			forget(seen);
	WRITE_ONCE(scan_took, jiffies - start);
	mutex_unlock(&scan_mutex);
}

static void sync_fn(struct work_struct *work)
{
	scan();
}

static void watch_fn(struct work_struct *work)
{
	scan();
	schedule_delayed_work(&watch_work, watch_period());
}

/* --- debugfs -------------------------------------------------------------- */

static void seq_secs(struct seq_file *m, int width, u64 since, u64 now)
{
	u64 ms = div_u64(now - since, NSEC_PER_MSEC);
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

#define COUNT_SIZE	24

/* Misuse may have made the count meaningless. */
static const char *count_text(const struct pcpuref_info *info, char *text)
{
	if (info->count == LONG_MAX && info->state == PCPUREF_STATE_STUCK)
		return "?";
	scnprintf(text, COUNT_SIZE, "%ld", info->count);
	return text;
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

static int ref_show(struct seq_file *m, void *unused)
{
	u64 id = *(u64 *)m->private;
	struct record ring[HISTORY];
	char line[RECORD_SIZE];
	struct pcpuref_info info;
	char text[COUNT_SIZE];
	unsigned int i, n;
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
	show_counters(m, counts);
	kvfree(counts);

	n = history_of(id, ring);
	for (i = 0; i < n; i++)
		seq_printf(m, "%s\n", record_line(line, &ring[i], now));
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
	if (!have_events) {
		seq_puts(m, "(no totals: this kernel has no tracepoints)\n");
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
	int err = attach();

	if (err)
		pr_notice("no events (error %d): no history and no totals\n", err);
	have_events = !err;

	root = debugfs_create_dir("pcpuref", NULL);
	if (IS_ERR(root))
		pr_notice("no debugfs (error %ld): the log only\n", PTR_ERR(root));
	else
		d_inode(root)->i_mode = S_IFDIR | 0700;
	ref_dir = debugfs_create_dir("ref", root);
	debugfs_create_file("refs", 0400, root, NULL, &refs_fops);
	debugfs_create_file("stats", 0400, root, NULL, &stats_fops);
	debugfs_create_file("dump", 0200, root, NULL, &dump_fops);

	WRITE_ONCE(running, true);
	schedule_delayed_work(&watch_work, 0);
	return 0;
}

static void __exit pcpuref_watch_exit(void)
{
	struct seen *seen;
	unsigned long id;

	if (have_events)
		detach(ARRAY_SIZE(attachments));
	WRITE_ONCE(running, false);
	cancel_delayed_work_sync(&watch_work);
	cancel_delayed_work_sync(&sync_work);
	debugfs_remove(root);
	xa_for_each(&all_seen, id, seen) {
		xa_erase(&all_seen, id);
		kfree(seen);
	}
	xa_destroy(&all_seen);
}

module_init(pcpuref_watch_init);
module_exit(pcpuref_watch_exit);

MODULE_DESCRIPTION("Tables, totals, history and a watchdog of per-CPU reference counts");
MODULE_VERSION(PCPUREF_VERSION);
MODULE_LICENSE("GPL");
