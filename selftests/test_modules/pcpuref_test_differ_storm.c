// SPDX-License-Identifier: GPL-2.0-only
/*
 * A storm on pairs of a percpu_ref and a pcpuref: gets and puts from tasks, soft and
 * hard interrupts of all CPUs, while one thread kills, revives and switches both. CPUs
 * may come and go.
 *
 * While it blows an answer of one kind says nothing about the other's. So each is held
 * against what both promise:
 *
 *   held       tryget succeeds, and is_zero is false
 *   confirmed  tryget_live fails, in this life
 *   released   tryget fails, in this life; gets and puts are equal, the confirm has come
 *   revived    tryget_live succeeds, and is_dying is false
 *
 * Every second or so the storm is stopped, and all has been put: then both must have
 * had the same callbacks, give the same answers, and come to zero at the same put.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/hrtimer.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "pcpuref_test_differ.h"
#include "compat.h"

#define PATIENCE_S 10

/* What @stage says in its low bits; each life begins with the next multiple. */
enum { ALIVE, CONFIRMED, ENDED, STAGES = 4 };

struct side {
	struct differ_ref	ref;
	const struct differ_ops	*ops;
	raw_spinlock_t		lock;	/* of stage, and of what the confirm means */
	unsigned int		stage;
	bool			brought_back;
	bool			wants_confirm;
	atomic_t		kill_confirms;
	atomic_t		switches;
	atomic_t		releases;
	/* By all: a put is counted before it is done, a get after. */
	atomic_long_t		gets;
	atomic_long_t		puts;
};

/* One of each kind, and what the controller alone uses. */
struct pair {
	struct side	side[SIDES];
	bool		killed;
	bool		held;
	unsigned long	since;
	int		kill_confirms;	/* asked for, of each side */
	int		switches;
	int		ended;		/* lives that have, or will when all is put */
};

#define PAIRS 3
static struct pair pairs[PAIRS];
static const unsigned int pair_flags[PAIRS] = {
	PERCPU_REF_ALLOW_REINIT,
	PERCPU_REF_INIT_ATOMIC,
	PERCPU_REF_ALLOW_REINIT,
};

static struct {
	unsigned long	kills;
	unsigned long	reinits;
	unsigned long	resurrects;
	unsigned long	switches;
	unsigned long	rounds;
	unsigned long	answers;
} did;

static void wrong(const struct side *side, const char *what)
{
	differ_wrong("%s: %s", side->ops->name, what);
}

/* --- Callbacks -------------------------------------------------------------- */

static void note_release(struct side *side)
{
	if (atomic_long_read(&side->gets) != atomic_long_read(&side->puts))
		wrong(side, "gets and puts differ at zero");
	if (side->stage % STAGES == ENDED)
		wrong(side, "released twice in a life");
	if (side->stage % STAGES == ALIVE && side->wants_confirm && !side->brought_back)
		wrong(side, "released before it was confirmed");
	atomic_inc(&side->releases);
	/* Pairs with the smp_load_acquire() in use_side() and has_ended(). */
	smp_store_release(&side->stage, side->stage / STAGES * STAGES + ENDED);
}

static void note_confirm(struct side *side)
{
	atomic_inc(&side->kill_confirms);
	/* Of a kill that has been undone. */
	if (side->brought_back)
		return;
	if (side->stage % STAGES != ALIVE)
		wrong(side, "confirmed twice, or after the end");
	/* Pairs with the smp_load_acquire() in use_side(). */
	smp_store_release(&side->stage, side->stage / STAGES * STAGES + CONFIRMED);
}

static void told(struct differ_ref *ref, enum differ_event what)
{
	struct side *side = container_of(ref, struct side, ref);
	unsigned long flags;

	raw_spin_lock_irqsave(&side->lock, flags);
	if (what == RELEASED)
		note_release(side);
	else if (what == KILL_CONFIRMED)
		note_confirm(side);
	else
		atomic_inc(&side->switches);
	raw_spin_unlock_irqrestore(&side->lock, flags);
}

/* Whatever was read of @stage before says nothing about what comes now. */
static void next_life(struct side *side, bool brought_back)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&side->lock, flags);
	side->brought_back = brought_back;
	/* Pairs with the smp_load_acquire() in use_side(). */
	smp_store_release(&side->stage, (side->stage / STAGES + 1) * STAGES);
	raw_spin_unlock_irqrestore(&side->lock, flags);
	/* Before what lets others get references; pairs with that in use_side(). */
	smp_mb();
}

/* --- Those who get and put -------------------------------------------------- */

enum { TASK, SOFTIRQ, HARDIRQ, CONTEXTS };

/* A place that does so; it may hold references from one turn to the next. */
struct place {
	struct hrtimer		timer;
	struct task_struct	*task;
	int			cpu;
	u32			random;
	unsigned int		parked;
	unsigned long		turns;
	unsigned long		moves;
	unsigned long		failed;
	unsigned long		holds[PAIRS][SIDES];
};

static DEFINE_PER_CPU(struct place[CONTEXTS], places);

/* Odd while the storm is stopped. Each stop has a number of its own. */
static unsigned int phase = 1;

static bool is_stopped(unsigned int now)
{
	return now & 1;
}

static void put_held(struct side *side, unsigned long *held)
{
	unsigned long nr = *held;

	*held = 0;
	if (!nr)
		return;
	atomic_long_add(nr, &side->puts);
	side->ops->put(&side->ref, nr);
}

static void use_held(struct side *side, unsigned long *held, unsigned int dice, bool task)
{
	if (dice & 1) {
		side->ops->get(&side->ref, 1);
		atomic_long_inc(&side->gets);
		++*held;
	}
	if (dice & 2) {
		if (side->ops->tryget(&side->ref, 1)) {
			atomic_long_inc(&side->gets);
			++*held;
		} else {
			wrong(side, "no tryget of what is held");
		}
	}
	/* percpu_ref's takes a lock that sleeps on PREEMPT_RT. */
	if (task && (dice & 4) && side->ops->is_zero(&side->ref))
		wrong(side, "is_zero of what is held");
	put_held(side, held);
}

static void use_side(struct place *place, struct side *side, unsigned long *held,
		     unsigned int dice, bool task)
{
	unsigned long nr = 1 + (dice >> 4) % 3;
	bool live = dice & 1, got;
	unsigned int stage;

	if (*held) {
		use_held(side, held, dice, task);
		return;
	}

	/* Pairs with the smp_store_release() of both callbacks. */
	stage = smp_load_acquire(&side->stage);
	if (!live) {
		got = side->ops->tryget(&side->ref, nr);
	} else {
		nr = 1;
		got = dice & 2 ? side->ops->tryget_live(&side->ref, 1) :
				 side->ops->tryget_live_rcu(&side->ref, 1);
	}
	if (!got) {
		place->failed++;
		return;
	}
	/* Pairs with that in next_life(): equal means that it was this life. */
	smp_mb();
	if (READ_ONCE(side->stage) == stage) {
		if (live && stage % STAGES != ALIVE)
			wrong(side, "tryget_live after the confirm");
		if (stage % STAGES == ENDED)
			wrong(side, "tryget after the release");
	}
	atomic_long_add(nr, &side->gets);
	*held = nr;
	if (dice & 8)
		put_held(side, held);
}

/* The same to both kinds. */
static void use_all(struct place *place, bool task)
{
	int i, s;

	for (i = 0; i < PAIRS; i++) {
		unsigned int dice = differ_random(&place->random);

		for (s = 0; s < SIDES; s++)
			use_side(place, &pairs[i].side[s], &place->holds[i][s], dice, task);
	}
	place->turns++;
}

static void put_all(struct place *place)
{
	int i, s;

	for (i = 0; i < PAIRS; i++)
		for (s = 0; s < SIDES; s++)
			put_held(&pairs[i].side[s], &place->holds[i][s]);
}

/* When its CPU goes offline it runs elsewhere, and goes back when that is online. */
static void go_home(struct place *place)
{
	if (raw_smp_processor_id() != place->cpu && differ_go_to(place->cpu))
		place->moves++;
}

static int use_task(void *arg)
{
	struct place *place = arg;
	int i;

	while (!kthread_should_stop()) {
		unsigned int now = READ_ONCE(phase);

		if (is_stopped(now)) {
			put_all(place);
			/* Pairs with the smp_load_acquire() in stop_storm(). */
			smp_store_release(&place->parked, now);
			usleep_range(1000, 2000);
			continue;
		}
		go_home(place);
		for (i = 0; i < 20; i++)
			use_all(place, true);
		usleep_range(50, 200);
	}
	put_all(place);
	return 0;
}

static enum hrtimer_restart use_timer(struct hrtimer *timer)
{
	struct place *place = container_of(timer, struct place, timer);

	if (is_stopped(READ_ONCE(phase)))
		return HRTIMER_NORESTART;
	use_all(place, false);
	hrtimer_forward_now(timer, ns_to_ktime(200 * NSEC_PER_USEC + differ_random(&place->random) %
					       (300 * NSEC_PER_USEC)));
	return HRTIMER_RESTART;
}

static void start_timers(void *unused)
{
	struct place *place = *this_cpu_ptr(&places);

	hrtimer_start(&place[SOFTIRQ].timer, ms_to_ktime(1), HRTIMER_MODE_REL_PINNED_SOFT);
	hrtimer_start(&place[HARDIRQ].timer, ms_to_ktime(1), HRTIMER_MODE_REL_PINNED_HARD);
}

static void start_storm(void)
{
	WRITE_ONCE(phase, phase + 1);
	on_each_cpu(start_timers, NULL, 1);
}

/* When it returns nobody but the caller has references. */
static void stop_storm(void)
{
	unsigned long end = jiffies + PATIENCE_S * HZ;
	int cpu, i;

	WRITE_ONCE(phase, phase + 1);
	for_each_possible_cpu(cpu) {
		struct place *place = per_cpu(places, cpu);

		for (i = SOFTIRQ; i <= HARDIRQ; i++) {
			hrtimer_cancel(&place[i].timer);
			put_all(&place[i]);
		}
	}
	for_each_possible_cpu(cpu) {
		struct place *place = &per_cpu(places, cpu)[TASK];

		/* Pairs with the smp_store_release() in use_task(). */
		while (place->task && smp_load_acquire(&place->parked) != phase) {
			if (time_after(jiffies, end)) {
				differ_wrong("a thread does not stop");
				return;
			}
			usleep_range(500, 1000);
		}
	}
}

/* --- The one who kills, revives and switches -------------------------------- */

/* The same function of both: pcpuref's first, since percpu_ref's may wait. */
static void call_both(struct pair *p, void (*theirs)(struct differ_ref *ref),
		      void (*ours)(struct differ_ref *ref))
{
	ours(&p->side[OURS].ref);
	theirs(&p->side[THEIRS].ref);
}

static void get_both(struct pair *p, unsigned long nr)
{
	int s;

	for (s = 0; s < SIDES; s++) {
		p->side[s].ops->get(&p->side[s].ref, nr);
		atomic_long_add(nr, &p->side[s].gets);
	}
}

static void put_both(struct pair *p, unsigned long nr)
{
	int s;

	for (s = 0; s < SIDES; s++) {
		atomic_long_add(nr, &p->side[s].puts);
		p->side[s].ops->put(&p->side[s].ref, nr);
	}
}

static bool has_ended(struct pair *p)
{
	int s, ended = 0;

	for (s = 0; s < SIDES; s++)
		/* Pairs with the smp_store_release() in note_release(). */
		ended += smp_load_acquire(&p->side[s].stage) % STAGES == ENDED;
	if (ended < SIDES && time_after(jiffies, p->since + PATIENCE_S * HZ))
		wrong(&p->side[p->side[OURS].stage % STAGES == ENDED ? THEIRS : OURS],
		      "a killed reference is not released");
	return ended == SIDES;
}

/* A confirm that a resurrect overtook must not be taken for that of the next kill. */
static bool is_confirmed(struct pair *p)
{
	int s, confirmed = 0;

	for (s = 0; s < SIDES; s++)
		confirmed += atomic_read(&p->side[s].kill_confirms) == p->kill_confirms;
	return confirmed == SIDES;
}

static void kill_both(struct pair *p, bool seen)
{
	int s;

	for (s = 0; s < SIDES; s++) {
		unsigned long flags;

		raw_spin_lock_irqsave(&p->side[s].lock, flags);
		p->side[s].brought_back = false;
		p->side[s].wants_confirm = seen;
		raw_spin_unlock_irqrestore(&p->side[s].lock, flags);
	}
	p->killed = true;
	p->since = jiffies;
	p->kill_confirms += seen;
	did.kills++;
	if (seen)
		call_both(p, differ_kernel.kill_seen, differ_pcpuref.kill_seen);
	else
		call_both(p, differ_kernel.kill, differ_pcpuref.kill);
	for (s = 0; s < SIDES; s++)
		if (p->side[s].ops->tryget_live(&p->side[s].ref, 1))
			wrong(&p->side[s], "tryget_live after a kill on the same CPU");
}

/* In effect when the call returns, also with a switch in flight. */
static void check_alive(struct pair *p)
{
	int s;

	for (s = 0; s < SIDES; s++) {
		struct side *side = &p->side[s];

		if (side->ops->is_dying(&side->ref))
			wrong(side, "is_dying after it was revived");
		if (!side->ops->tryget_live(&side->ref, 1)) {
			wrong(side, "no tryget_live after it was revived");
			continue;
		}
		atomic_long_inc(&side->gets);
		atomic_long_inc(&side->puts);
		side->ops->put(&side->ref, 1);
	}
}

static void reinit_both(struct pair *p)
{
	int s;

	for (s = 0; s < SIDES; s++) {
		struct side *side = &p->side[s];

		if (!side->ops->is_zero(&side->ref) || side->ops->tryget(&side->ref, 1))
			wrong(side, "not zero after release");
		next_life(side, false);
	}
	did.reinits++;
	p->ended++;
	p->killed = false;
	call_both(p, differ_kernel.reinit, differ_pcpuref.reinit);
	check_alive(p);
}

static void resurrect_both(struct pair *p)
{
	int s;

	for (s = 0; s < SIDES; s++)
		next_life(&p->side[s], true);
	did.resurrects++;
	p->killed = false;
	p->held = false;
	call_both(p, differ_kernel.resurrect, differ_pcpuref.resurrect);
	check_alive(p);
	put_both(p, 1);
}

static void switch_both(struct pair *p, unsigned int dice)
{
	did.switches++;
	switch (dice % 8) {
	case 0:
		p->switches++;
		call_both(p, differ_kernel.to_atomic_seen, differ_pcpuref.to_atomic_seen);
		break;
	case 1:
		call_both(p, differ_kernel.to_atomic, differ_pcpuref.to_atomic);
		break;
	case 2:
		call_both(p, differ_kernel.to_atomic_sync, differ_pcpuref.to_atomic_sync);
		break;
	default:
		call_both(p, differ_kernel.to_percpu, differ_pcpuref.to_percpu);
	}
}

static void drive(struct pair *p, u32 *random)
{
	unsigned int dice = differ_random(random);

	if (!(dice & 7))
		switch_both(p, dice >> 3);
	dice >>= 8;

	if (!p->killed) {
		if (!is_confirmed(p) || (dice & 3))
			return;
		/* A resurrect may find any count but zero: hold it there. */
		p->held = dice & 4;
		if (p->held)
			get_both(p, 1);
		kill_both(p, dice & 8);
	} else if (p->held) {
		if (!(dice & 3))
			resurrect_both(p);
	} else if (has_ended(p)) {
		reinit_both(p);
	}
}

/* --- Rest ------------------------------------------------------------------- */

static void expect(struct side *side, long is, long must_be, const char *what)
{
	did.answers++;
	if (is != must_be)
		differ_wrong("%s: at rest %s is %ld, not %ld", side->ops->name, what, is, must_be);
}

static void compare(struct pair *p, bool zero, int releases)
{
	int s;

	for (s = 0; s < SIDES; s++) {
		struct side *side = &p->side[s];

		expect(side, side->ops->is_dying(&side->ref), p->killed, "is_dying");
		expect(side, side->ops->is_zero(&side->ref), zero, "is_zero");
		expect(side, atomic_read(&side->releases), releases, "releases");
		expect(side, atomic_read(&side->kill_confirms), p->kill_confirms,
		       "confirms of kills");
		expect(side, atomic_read(&side->switches), p->switches, "confirms of switches");
	}
}

/* Nothing is in flight, and nobody has a reference but the controller. */
static void compare_at_rest(struct pair *p, unsigned int nr)
{
	bool ended = p->killed && !p->held;
	int s;

	for (s = 0; s < SIDES; s++)
		expect(&p->side[s], atomic_long_read(&p->side[s].gets) -
		       atomic_long_read(&p->side[s].puts), p->held, "gets without puts");
	compare(p, ended, p->ended + ended);
	if (ended || differ_is_wrong())
		return;

	/* The exact count: zero comes with the last put, and not before. */
	get_both(p, nr);
	if (!p->killed)
		kill_both(p, true);
	differ_settle();
	compare(p, false, p->ended);
	put_both(p, nr - 1 + p->held);
	p->held = false;
	compare(p, false, p->ended);
	put_both(p, 1);
	compare(p, true, p->ended + 1);
}

/* --- The storm -------------------------------------------------------------- */

static bool begin_storm(u32 seed)
{
	int cpu, i, s;

	memset(&did, 0, sizeof(did));
	memset(pairs, 0, sizeof(pairs));
	for (i = 0; i < PAIRS; i++) {
		for (s = 0; s < SIDES; s++) {
			struct side *side = &pairs[i].side[s];

			raw_spin_lock_init(&side->lock);
			side->ops = differ_kinds[s];
			side->ref.told = told;
			if (side->ops->init(&side->ref, pair_flags[i]))
				differ_wrong("%s: no init", side->ops->name);
		}
	}
	for_each_possible_cpu(cpu) {
		struct place *place = per_cpu(places, cpu);
		struct task_struct *task;

		memset(place, 0, CONTEXTS * sizeof(*place));
		for (i = 0; i < CONTEXTS; i++) {
			place[i].random = seed + cpu * CONTEXTS + i;
			place[i].cpu = cpu;
		}
		test_timer_setup(&place[SOFTIRQ].timer, use_timer, HRTIMER_MODE_REL_PINNED_SOFT);
		test_timer_setup(&place[HARDIRQ].timer, use_timer, HRTIMER_MODE_REL_PINNED_HARD);
		task = kthread_run(use_task, &place[TASK], "pcpuref_differ/%d", cpu);
		if (IS_ERR(task))
			differ_wrong("no threads");
		else
			place[TASK].task = task;
	}
	return !differ_is_wrong();
}

static void end_storm(void)
{
	int cpu, i, s;

	for_each_possible_cpu(cpu) {
		struct place *place = &per_cpu(places, cpu)[TASK];

		if (place->task)
			kthread_stop(place->task);
	}
	/* What is wrong stays as it is. */
	for (i = 0; i < PAIRS && !differ_is_wrong(); i++) {
		struct pair *p = &pairs[i];

		compare_at_rest(p, 2);
		for (s = 0; s < SIDES && !differ_is_wrong(); s++)
			p->side[s].ops->exit(&p->side[s].ref);
	}
}

struct used {
	unsigned long	turns[CONTEXTS];
	unsigned long	failed;
	unsigned long	moves;
};

/* When nobody uses any. */
static struct used add_up(void)
{
	struct used used = { };
	int cpu, i;

	for_each_possible_cpu(cpu) {
		for (i = 0; i < CONTEXTS; i++) {
			const struct place *place = &per_cpu(places, cpu)[i];

			used.turns[i] += place->turns;
			used.failed += place->failed;
			used.moves += place->moves;
		}
	}
	return used;
}

static bool enough_was_done(void)
{
	struct used used = add_up();

	return used.turns[TASK] >= 100 && used.turns[SOFTIRQ] >= 10 && used.turns[HARDIRQ] >= 10 &&
	       used.failed >= 10 && did.kills >= 10 && did.reinits >= 3 && did.resurrects >= 3 &&
	       did.switches >= 3 && did.rounds >= 2;
}

static void report(u32 seed, unsigned int offlined)
{
	struct used used = add_up();
	unsigned long callbacks = 0;
	long gets = 0;
	int i;

	for (i = 0; i < PAIRS; i++) {
		gets += atomic_long_read(&pairs[i].side[OURS].gets);
		callbacks += atomic_read(&pairs[i].side[OURS].releases) +
			     atomic_read(&pairs[i].side[OURS].kill_confirms) +
			     atomic_read(&pairs[i].side[OURS].switches);
	}
	differ_did("seed %u, %u CPUs offlined, %lu moves of threads, %lu stops, %lu comparisons",
		   seed, differ_offlined() - offlined, used.moves, did.rounds, did.answers);
	differ_did("turns: %lu of tasks, %lu of softirqs, %lu of hardirqs; pcpuref: %ld gets",
		   used.turns[TASK], used.turns[SOFTIRQ], used.turns[HARDIRQ], gets);
	differ_did("%lu kills, %lu reinits, %lu resurrects, %lu switches, %lu callbacks",
		   did.kills, did.reinits, did.resurrects, did.switches, callbacks);
	differ_did("%lu trygets failed", used.failed);
	if (!enough_was_done())
		differ_wrong("too little was done to tell");
}

void differ_storm(unsigned int seconds, u32 seed)
{
	unsigned long end_of_storm = jiffies + seconds * HZ;
	unsigned int offlined = differ_offlined();
	u32 random = seed;
	bool all = begin_storm(seed);
	int i;

	/* Longer on a slow machine. */
	while (all && !differ_is_wrong() &&
	       (time_before(jiffies, end_of_storm) ||
		(!enough_was_done() && time_before(jiffies, end_of_storm + 30 * HZ)))) {
		unsigned long end_of_round = jiffies + HZ;

		start_storm();
		while (!differ_is_wrong() && time_before(jiffies, end_of_round)) {
			for (i = 0; i < PAIRS; i++)
				drive(&pairs[i], &random);
			usleep_range(200, 500);
		}
		stop_storm();
		differ_settle();
		for (i = 0; i < PAIRS && !differ_is_wrong(); i++)
			compare_at_rest(&pairs[i], 2 + differ_random(&random) % 1000);
		did.rounds++;
	}
	end_storm();
	report(seed, offlined);
}
