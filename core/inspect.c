// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looking at a reference: what its owner asks (is_zero, read), what tables and
 * watchdogs ask (a walk of all, one by number), and what goes to the log (dump).
 * Everything but is_zero is a copy that is made under the reference's lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/percpu.h>
#include <linux/string.h>

#include "rooms.h"

/*
 * PCPUREF_ALLOW_ZERO: a live reference at zero. Of a dying one only its end counts,
 * which is told a moment later. The acquire of the zero makes visible what was done before
 * each put, and the tag that a kill has stored before: pairs with the RMWs of puts and of
 * drop() (litmus: f2-put-iszero, h5-kill-iszero).
 */
static bool is_visiting_zero(const struct pcpuref *ref, const struct pcpuref_data *d)
{
	return __pcpuref_allows_zero(d) && !atomic_long_read_acquire(&d->count) &&
	       !(READ_ONCE(ref->word) & __PCPUREF_DEAD);
}

/**
 * pcpuref_is_zero - has the count reached zero?
 * @ref: an initialised or exited reference
 *
 * True from before release is called until the next life begins. May race with
 * pcpuref_exit(), after which it keeps its answer; to wait for zero and then
 * free the object, use pcpuref_kill_and_wait(), since this may be true before
 * release has returned. Acquire: sees what was done before the last put. Never
 * true to who holds a reference. With %PCPUREF_ALLOW_ZERO and in atomic mode also
 * true of a live reference that nobody holds at the moment.
 * Counterpart of percpu_ref_is_zero().
 *
 * Context: any.
 * Return: true if it has.
 */
bool pcpuref_is_zero(struct pcpuref *ref)
{
	struct pcpuref_data *d;
	unsigned long word;
	bool zero;

	/*
	 * Who took a reference sees that it is not zero: this orders the word or
	 * the count, by which it was taken, before what is read here. Pairs with
	 * the release by which __pcpuref_revive() makes the count positive, and
	 * with the smp_store_release() of the word in to_percpu()
	 * (litmus: h1-revive-iszero, h2-revive-iszero-fast, h3-topercpu-iszero-fast).
	 */
	smp_rmb();
	preempt_disable_notrace();
	/* Pairs with the smp_store_release() in detach(). */
	d = smp_load_acquire(&ref->data);
	if (d && !((unsigned long)d & GONE)) {
		/* Pairs with the RMW in mark_zero(). */
		zero = smp_load_acquire(&d->zero) || is_visiting_zero(ref, d);
	} else {
		/* Stored before the data that says so. */
		word = READ_ONCE(ref->word);
		zero = (word & __PCPUREF_DEAD) && !(word & NONZERO);
	}
	preempt_enable_notrace();

	return zero;
}
EXPORT_SYMBOL_GPL(pcpuref_is_zero);

/**
 * pcpuref_read - how many references there are
 * @ref: an initialised or exited reference
 *
 * The initial reference counts. In atomic mode the number is exact; before, the
 * counters are added up one after the other, so gets and puts that run
 * meanwhile, and the end of a switch, may or may not be in it, and it can even be
 * below the number that was held throughout. Costs a cache line for each possible CPU.
 *
 * Context: any but NMI.
 * Return: the count; 0 after exit; if misuse has made it stick, LONG_MAX, or 0
 * if the last reference was gone by then.
 */
long pcpuref_read(struct pcpuref *ref)
{
	struct pcpuref_data *d;
	unsigned long flags;
	long count;

	d = __pcpuref_lock(ref, &flags);
	if (!d)
		return 0;
	count = __pcpuref_total(d);
	__pcpuref_unlock(d, flags);

	return count;
}
EXPORT_SYMBOL_GPL(pcpuref_read);

static enum pcpuref_state state(const struct pcpuref_data *d)
{
	/* Pairs with the WRITE_ONCE() in __pcpuref_stick(). */
	return READ_ONCE(d->stuck) ? PCPUREF_STATE_STUCK :
	       d->live ? PCPUREF_STATE_LIVE :
	       !d->zero ? PCPUREF_STATE_DYING :
	       d->returned != d->ended ? PCPUREF_STATE_RELEASING : PCPUREF_STATE_DEAD;
}

void __pcpuref_fill(struct pcpuref_data *d, struct pcpuref_info *info)
{
	lockdep_assert_held(&d->lock);

	info->id = d->id;
	info->ref = d->ref;
	info->release = d->release;
	strscpy(info->name, __pcpuref_name(d), sizeof(info->name));
	strscpy(info->module, d->site->module, sizeof(info->module));
	strscpy(info->file, kbasename(d->site->file), sizeof(info->file));
	strscpy(info->function, d->site->function, sizeof(info->function));
	info->line = d->site->line;
	info->mode = __pcpuref_mode(d);
	info->state = state(d);
	info->stuck_at = 0;
	/* The counters are read once: the parts add up to the whole. */
	if (info->state == PCPUREF_STATE_STUCK) {
		info->count = __pcpuref_total(d);
		info->shared = 0;
		info->percpu = 0;
		__pcpuref_cause(d->id, info);
	} else {
		info->shared = __pcpuref_shared(d);
		info->percpu = __pcpuref_percpu(d);
		info->count = info->shared + info->percpu;
	}
	info->flags = d->flags;
	info->life = __pcpuref_life(d);
	info->created_at = (u64)d->created << CREATED_SHIFT;
	info->killed_at = d->killed_at;
	info->killer = d->requester;
	info->bytes = __pcpuref_bytes(d);
	info->percpu_bytes = d->counters ? num_possible_cpus() * sizeof(long) : 0;
}

/* What one CPU's counter holds. */
static long counter(const struct pcpuref_data *d, int cpu)
{
	lockdep_assert_held(&d->lock);
	/* No order: a snapshot. */
	return d->counters && cpu_possible(cpu) ? READ_ONCE(*per_cpu_ptr(d->counters, cpu)) : 0;
}

/* Fill what is asked for. False if the reference has exited meanwhile. */
static bool look(struct pcpuref_data *d, struct pcpuref_info *info, long *counts)
{
	unsigned long flags;
	bool there;
	int cpu;

	raw_spin_lock_irqsave(&d->lock, flags);
	there = d->ref;
	if (there) {
		__pcpuref_fill(d, info);
		for (cpu = 0; counts && cpu < nr_cpu_ids; cpu++)
			counts[cpu] = counter(d, cpu);
	}
	raw_spin_unlock_irqrestore(&d->lock, flags);

	return there;
}

/**
 * pcpuref_walk_next - look at the next reference of all
 * @walk: where in the registry, zeroed to begin with
 * @info: what is known about that reference
 *
 * No lock is held in between. A reference that is there from the beginning of
 * the walk to its end is met exactly once, one that comes or goes at most once.
 * It comes to an end however many are initialised meanwhile.
 * Pairs with pcpuref_walk_end().
 *
 * Context: any but NMI.
 * Return: true, or false at the end.
 */
bool pcpuref_walk_next(struct pcpuref_walk *walk, struct pcpuref_info *info)
{
	while (__pcpuref_walk_step(walk))
		if (look(walk->at, info, NULL))
			return true;
	return false;
}
EXPORT_SYMBOL_GPL(pcpuref_walk_next);

/**
 * pcpuref_inspect - what is known about a reference
 * @ref: an initialised or exited reference
 * @info: filled if it is initialised
 *
 * Context: any but NMI.
 * Return: true, or false after exit.
 */
bool pcpuref_inspect(struct pcpuref *ref, struct pcpuref_info *info)
{
	struct pcpuref_data *d;
	unsigned long flags;

	d = __pcpuref_lock(ref, &flags);
	if (!d)
		return false;
	__pcpuref_fill(d, info);
	__pcpuref_unlock(d, flags);

	return true;
}
EXPORT_SYMBOL_GPL(pcpuref_inspect);

/**
 * pcpuref_inspect_id - the same by number, with the per-CPU counters
 * @id: number of a reference
 * @info: filled if there is one
 * @counts: what each CPU's counter holds, nr_cpu_ids numbers, or NULL
 *
 * The number tells in which list it is, so not all references are looked at.
 *
 * Context: any but NMI.
 * Return: true, or false if there is no such reference.
 */
bool pcpuref_inspect_id(u64 id, struct pcpuref_info *info, long *counts)
{
	struct pcpuref_walk walk = __pcpuref_walk_to(id);
	bool found;

	found = id && __pcpuref_walk_step(&walk) && walk.id == id &&
		look(walk.at, info, counts);
	pcpuref_walk_end(&walk);

	return found;
}
EXPORT_SYMBOL_GPL(pcpuref_inspect_id);

/* --- Dump ----------------------------------------------------------------------- */

/**
 * struct description - what only a dump tells
 * @info: what others get, too
 * @busy: it is in a grace period
 * @confirms: confirmations to come
 * @counters: the per-CPU counters that are not zero, as many as fit
 */
struct description {
	struct pcpuref_info	info;
	bool			busy;
	unsigned int		confirms;
	char			counters[128];
};

static void describe(struct pcpuref_data *d, struct description *to)
{
	size_t at = 0;
	int i, cpu;

	lockdep_assert_held(&d->lock);

	__pcpuref_fill(d, &to->info);
	to->busy = d->busy;
	to->confirms = 0;
	to->counters[0] = '\0';
	for (i = 0; i < CONFIRMS; i++)
		to->confirms += d->confirm_now[i] + d->confirm_next[i];
	for_each_possible_cpu(cpu) {
		char text[32];
		long n = counter(d, cpu);
		size_t length;

		if (!n)
			continue;
		length = scnprintf(text, sizeof(text), " %d:%ld", cpu, n);
		if (at + length + sizeof(" ...") > sizeof(to->counters)) {
			strscpy(to->counters + at, " ...", sizeof(to->counters) - at);
			break;
		}
		memcpy(to->counters + at, text, length);
		at += length;
		to->counters[at] = '\0';
	}
}

static u64 ms_ago(u64 time)
{
	return div_u64(pcpuref_elapsed(time, ktime_get_mono_fast_ns()), NSEC_PER_MSEC);
}

static void print(const struct description *d)
{
	const struct pcpuref_info *info = &d->info;
	char counts[80] = "?";

	pr_info("dump: id=%llu name=%s module=%s ref=%p release=%ps\n", info->id,
		info->name, info->module, info->ref, info->release);
	pr_info("dump: id=%llu initialised %llu ms ago in %s() at %s:%u, flags=%#x life=%u\n",
		info->id, ms_ago(info->created_at), info->function, info->file, info->line,
		info->flags, info->life);
	if (info->count != LONG_MAX)
		scnprintf(counts, sizeof(counts), "%ld shared=%ld percpu=%ld", info->count,
			  info->shared, info->percpu);
	pr_info("dump: id=%llu mode=%s state=%s count=%s bytes=%zu percpu_bytes=%zu\n",
		info->id, pcpuref_mode_name(info->mode), pcpuref_state_name(info->state),
		counts, info->bytes, info->percpu_bytes);
	if (info->stuck_at)
		pr_info("dump: id=%llu stuck since %llu ms: %s by %pS\n", info->id,
			ms_ago(info->stuck_at), pcpuref_misuse_name(info->stuck_misuse),
			(void *)info->stuck_by);
	if (info->killed_at)
		pr_info("dump: id=%llu killed %llu ms ago by %pS\n", info->id,
			ms_ago(info->killed_at), (void *)info->killer);
	if (d->counters[0])
		pr_info("dump: id=%llu counters by CPU:%s\n", info->id, d->counters);
	if (d->busy)
		pr_info("dump: id=%llu in a grace period, %u confirmations to come\n",
			info->id, d->confirms);
	__pcpuref_trace_dump(info);
}

/* See pcpuref_dump(). */
void __pcpuref_dump(struct pcpuref *ref)
{
	/* First: the compiler may make a function of its own of what is below. */
	unsigned long caller = _RET_IP_;
	struct description description;
	struct pcpuref_data *d;
	unsigned long flags;

	d = __pcpuref_lock(ref, &flags);
	if (!d) {
		pr_info("dump: no reference, or exited: ref=%p caller=%pS\n", ref,
			(void *)caller);
		return;
	}
	describe(d, &description);
	__pcpuref_unlock(d, flags);
	print(&description);
}
EXPORT_SYMBOL_GPL(__pcpuref_dump);

/**
 * pcpuref_dump_id - print everything that is known about a reference, by number
 * @id: number of a reference
 *
 * Context: any but NMI.
 * Return: true, or false if there is no such reference.
 */
bool pcpuref_dump_id(u64 id)
{
	struct pcpuref_walk walk = __pcpuref_walk_to(id);
	struct description description;
	struct pcpuref_data *d;
	unsigned long flags;
	bool found = false;

	if (id && __pcpuref_walk_step(&walk) && walk.id == id) {
		d = walk.at;
		raw_spin_lock_irqsave(&d->lock, flags);
		found = d->ref;
		if (found)
			describe(d, &description);
		raw_spin_unlock_irqrestore(&d->lock, flags);
	}
	pcpuref_walk_end(&walk);
	if (found)
		print(&description);
	return found;
}
EXPORT_SYMBOL_GPL(pcpuref_dump_id);
