// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random legal sequences of calls, the same to a percpu_ref and to a pcpuref, by one
 * thread. What they answer is compared after each call, and their callbacks whenever
 * nothing is in flight.
 *
 * Legal is what percpu_ref's documentation allows and no kernel dies of. An answer that
 * depends on whether a grace period is over already is not asked for: struct pair knows
 * enough to tell.
 *
 * A sequence follows from its seed alone. Many take turns, so that one wait for grace
 * periods serves all.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "pcpuref_test_differ.h"

#define PAIRS	24
#define STEPS	80
#define TRAIL	16

/* The callbacks since nothing was in flight, in the order in which they came. */
struct side {
	struct differ_ref	ref;
	char			log[STEPS];
	atomic_t		logged;
};

/* What was called last, and what it answered. */
struct trace {
	const char	*call;
	unsigned long	arg;
	int		answer;
};

#define NO_ANSWER	(-1)

/**
 * struct pair - one of each kind, and what is known of both
 * @side: the two
 * @seed: of the sequence
 * @random: what is drawn from it
 * @step: calls so far
 * @flags: of init
 * @exists: between init and exit
 * @usage: the initial reference is among @held
 * @live: not killed
 * @forced: atomic mode is wanted while live
 * @rest: nothing is in flight
 * @unordered: a switch's confirm was asked with something in flight
 * @held: references, without the initial one unless @usage
 * @trail: the last calls
 */
struct pair {
	struct side	side[SIDES];
	u32		seed;
	u32		random;
	unsigned int	step;
	unsigned int	flags;
	bool		exists;
	bool		usage;
	bool		live;
	bool		forced;
	bool		rest;
	bool		unordered;
	unsigned long	held;
	struct trace	trail[TRAIL];
};

static struct {
	unsigned long	sequences;
	unsigned long	calls;
	unsigned long	answers;
	unsigned long	kills;
	unsigned long	revivals;
	unsigned long	switches;
	unsigned long	in_flight;
	unsigned long	callbacks;
	unsigned long	settled;
} did;

static unsigned int draw(struct pair *p, unsigned int below)
{
	return differ_random(&p->random) % below;
}

static bool may_reinit(const struct pair *p)
{
	return p->flags;
}

/* Only to be trusted at rest. */
static bool is_atomic(const struct pair *p)
{
	return p->forced || !p->live;
}

/* Nobody can tell in per-CPU mode. */
static bool is_at_zero(const struct pair *p)
{
	return !p->held && (p->usage || !p->live) && is_atomic(p);
}

/* --- What is compared ------------------------------------------------------- */

static void told(struct differ_ref *ref, enum differ_event what)
{
	struct side *side = container_of(ref, struct side, ref);
	unsigned int at = atomic_fetch_inc(&side->logged);

	if (at < sizeof(side->log) - 1)
		side->log[at] = what;
}

static unsigned int logged(const struct pair *p, enum differ_side side)
{
	return atomic_read(&p->side[side].logged);
}

static void show_trail(const struct pair *p)
{
	unsigned int i, first = p->step > TRAIL ? p->step - TRAIL : 0;

	pr_info("sequence %u: flags=%u usage=%d live=%d forced=%d rest=%d held=%lu\n",
		p->seed, p->flags, p->usage, p->live, p->forced, p->rest, p->held);
	for (i = first; i < p->step; i++) {
		const struct trace *t = &p->trail[i % TRAIL];

		if (t->answer == NO_ANSWER)
			pr_info("  %u: %s(%lu)\n", i, t->call, t->arg);
		else
			pr_info("  %u: %s(%lu) = %d\n", i, t->call, t->arg, t->answer);
	}
}

static void differs(const struct pair *p, const char *what, int theirs, int ours)
{
	const struct trace *t = &p->trail[(p->step - 1) % TRAIL];

	if (differ_is_wrong())
		return;
	differ_wrong("sequence %u step %u, %s(%lu): %s: percpu_ref %d, pcpuref %d (%s, %s)",
		     p->seed, p->step - 1, t->call, t->arg, what, theirs, ours,
		     p->side[THEIRS].log, p->side[OURS].log);
	show_trail(p);
}

static struct trace *note(struct pair *p, const char *call, unsigned long arg)
{
	struct trace *t = &p->trail[p->step++ % TRAIL];

	t->call = call;
	t->arg = arg;
	t->answer = NO_ANSWER;
	did.calls++;
	return t;
}

static int count_events(const char *log, enum differ_event what)
{
	int n = 0;

	while (*log)
		n += *log++ == what;
	return n;
}

/* Without the confirms of switches. */
static void skip_switches(const char *log, char *to)
{
	do {
		if (*log != SWITCHED)
			*to++ = *log;
	} while (*log++);
}

/*
 * A switch's confirm that was asked with something in flight may change places: in
 * pcpuref with that of a kill, if it has been asked before; in percpu_ref with a release,
 * which comes when the request wakes up.
 */
static bool is_known_order(const struct pair *p, const char *theirs, const char *ours)
{
	static char without[SIDES][STEPS];

	if (!p->unordered ||
	    count_events(theirs, SWITCHED) != count_events(ours, SWITCHED))
		return false;
	skip_switches(theirs, without[THEIRS]);
	skip_switches(ours, without[OURS]);
	return !strcmp(without[THEIRS], without[OURS]);
}

static void compare_logs(struct pair *p)
{
	const char *theirs = p->side[THEIRS].log, *ours = p->side[OURS].log;

	did.answers++;
	if (!strcmp(theirs, ours))
		return;
	if (is_known_order(p, theirs, ours))
		differ_order->seen++;
	else
		differs(p, "callbacks", strlen(theirs), strlen(ours));
}

static void clear_logs(struct pair *p)
{
	int side;

	for (side = 0; side < SIDES; side++) {
		did.callbacks += side == OURS ? logged(p, side) : 0;
		memset(p->side[side].log, 0, sizeof(p->side[side].log));
		atomic_set(&p->side[side].logged, 0);
	}
	p->unordered = false;
}

/* All that both must agree on now. */
static void compare(struct pair *p)
{
	int side;
	bool dying[SIDES], zero[SIDES];

	for (side = 0; side < SIDES; side++) {
		struct differ_ref *ref = &p->side[side].ref;

		dying[side] = differ_kinds[side]->is_dying(ref);
		zero[side] = differ_kinds[side]->is_zero(ref);
	}
	did.answers++;
	if (dying[THEIRS] != dying[OURS])
		differs(p, "is_dying", dying[THEIRS], dying[OURS]);
	if (p->exists && dying[OURS] == p->live)
		differs(p, "is_dying of both", dying[THEIRS], dying[OURS]);
	if (!p->rest && !p->held && (p->usage || !p->live))
		return;
	did.answers++;
	if (zero[THEIRS] != zero[OURS])
		differs(p, "is_zero", zero[THEIRS], zero[OURS]);
	if (p->exists && zero[OURS] != is_at_zero(p))
		differs(p, "is_zero of both", zero[THEIRS], zero[OURS]);
	if (p->rest)
		compare_logs(p);
}

/* --- Calls ------------------------------------------------------------------ */

typedef void call_func(struct differ_ref *ref);
typedef void count_func(struct differ_ref *ref, unsigned long nr);
typedef bool ask_func(struct differ_ref *ref, unsigned long nr);

/*
 * percpu_ref's may wait for a grace period: pcpuref's comes first, while its switch is
 * still in flight.
 */
static void call(struct pair *p, const char *name, call_func *theirs, call_func *ours)
{
	note(p, name, 0);
	did.in_flight += !p->rest;
	ours(&p->side[OURS].ref);
	theirs(&p->side[THEIRS].ref);
}

static void count(struct pair *p, const char *name, count_func *theirs, count_func *ours,
		  unsigned long nr)
{
	note(p, name, nr);
	theirs(&p->side[THEIRS].ref, nr);
	ours(&p->side[OURS].ref, nr);
}

static bool ask(struct pair *p, const char *name, ask_func *theirs, ask_func *ours,
		unsigned long nr)
{
	struct trace *t = note(p, name, nr);
	bool their_answer = theirs(&p->side[THEIRS].ref, nr);
	bool our_answer = ours(&p->side[OURS].ref, nr);

	did.answers++;
	t->answer = our_answer;
	if (their_answer != our_answer)
		differs(p, "answers", their_answer, our_answer);
	return our_answer;
}

/*
 * A confirm is asked of what is in atomic mode, and nothing in flight: percpu_ref calls
 * it at once, pcpuref not before this section of RCU is over.
 */
static void call_early(struct pair *p, const char *name, call_func *theirs, call_func *ours,
		       struct differ_row *row)
{
	unsigned int before[SIDES], after[SIDES];
	int side;

	for (side = 0; side < SIDES; side++)
		before[side] = logged(p, side);
	rcu_read_lock();
	call(p, name, theirs, ours);
	for (side = 0; side < SIDES; side++)
		after[side] = logged(p, side);
	rcu_read_unlock();
	row->seen++;
	if (after[THEIRS] == before[THEIRS] || after[OURS] != before[OURS])
		differs(p, "callbacks before a grace period", after[THEIRS] - before[THEIRS],
			after[OURS] - before[OURS]);
}

/* --- Steps: what is legal, and what becomes of it --------------------------- */

/* Zero of a live usage counter, with something in flight: which one it meets is chance. */
static bool is_delicate(const struct pair *p)
{
	return p->usage && p->live && !p->held && !p->rest;
}

static unsigned long some(struct pair *p)
{
	static const unsigned long many[] = { 1, 1, 1, 2, 3, 7, 100, 1 << 20 };

	return many[draw(p, ARRAY_SIZE(many))];
}

static void step_get(struct pair *p)
{
	unsigned long nr = some(p);

	if (!p->exists || !(p->live || p->held) || is_delicate(p))
		return;
	count(p, "get", differ_kernel.get, differ_pcpuref.get, nr);
	p->held += nr;
}

static void step_put(struct pair *p)
{
	unsigned long nr = draw(p, 3) ? p->held : some(p);

	if (!p->exists || !nr || nr > p->held)
		return;
	if (nr == p->held && p->usage && p->live && !p->rest)
		return;
	count(p, "put", differ_kernel.put, differ_pcpuref.put, nr);
	p->held -= nr;
}

/* Does it have an answer that nothing in flight can change? */
static bool can_tell(const struct pair *p)
{
	return p->exists && (p->held || p->rest || (p->live && !p->usage));
}

static void step_tryget(struct pair *p)
{
	unsigned long nr = some(p);

	if (!can_tell(p))
		return;
	if (ask(p, "tryget", differ_kernel.tryget, differ_pcpuref.tryget, nr))
		p->held += nr;
}

static void step_tryget_live(struct pair *p)
{
	bool got;

	/* After exit it is safe: it sees that the reference is dead. */
	if (p->exists && p->live && !can_tell(p))
		return;
	if (draw(p, 2))
		got = ask(p, "tryget_live", differ_kernel.tryget_live,
			  differ_pcpuref.tryget_live, 1);
	else
		got = ask(p, "tryget_live_rcu", differ_kernel.tryget_live_rcu,
			  differ_pcpuref.tryget_live_rcu, 1);
	p->held += got;
	if (got && !p->live)
		differs(p, "tryget_live of what is dead", got, got);
}

static void step_kill(struct pair *p)
{
	bool seen = draw(p, 2), atomic = p->rest && is_atomic(p);

	if (!p->exists || !p->live || (p->usage && !p->held))
		return;
	did.kills++;
	if (!seen)
		call(p, "kill", differ_kernel.kill, differ_pcpuref.kill);
	else if (atomic)
		call_early(p, "kill_seen", differ_kernel.kill_seen, differ_pcpuref.kill_seen,
			   differ_early_kill_confirm);
	else
		call(p, "kill_seen", differ_kernel.kill_seen, differ_pcpuref.kill_seen);
	p->live = false;
	p->held -= p->usage;
	p->rest = atomic && !seen;
}

static void step_reinit(struct pair *p)
{
	if (!p->exists || p->live || p->held || !p->rest || !may_reinit(p))
		return;
	did.revivals++;
	call(p, "reinit", differ_kernel.reinit, differ_pcpuref.reinit);
	p->live = true;
	p->held = p->usage;
}

/* Whether it meets a count that is coming to zero would be chance. */
static void step_resurrect(struct pair *p)
{
	if (!p->exists || p->live || !(p->held || p->rest) || !may_reinit(p))
		return;
	did.revivals++;
	call(p, "resurrect", differ_kernel.resurrect, differ_pcpuref.resurrect);
	p->live = true;
	p->held += p->usage;
}

/* Without ALLOW_REINIT percpu_ref takes it for dead then (L3). */
static bool may_switch(const struct pair *p)
{
	return p->exists && may_reinit(p) && !is_delicate(p);
}

static void step_to_atomic(struct pair *p)
{
	bool seen = draw(p, 2), atomic = p->rest && is_atomic(p);

	if (!may_switch(p))
		return;
	did.switches++;
	if (!seen) {
		call(p, "to_atomic", differ_kernel.to_atomic, differ_pcpuref.to_atomic);
	} else if (atomic) {
		call_early(p, "to_atomic_seen", differ_kernel.to_atomic_seen,
			   differ_pcpuref.to_atomic_seen, differ_early_switch_confirm);
	} else {
		p->unordered |= !p->rest;
		call(p, "to_atomic_seen", differ_kernel.to_atomic_seen,
		     differ_pcpuref.to_atomic_seen);
	}
	p->forced = true;
	p->rest = atomic && !seen;
}

/* percpu_ref's may return while its switch still holds a reference (U1). */
static void step_to_atomic_sync(struct pair *p)
{
	bool atomic = p->rest && is_atomic(p);

	if (!may_switch(p))
		return;
	did.switches++;
	call(p, "to_atomic_sync", differ_kernel.to_atomic_sync, differ_pcpuref.to_atomic_sync);
	p->forced = true;
	p->rest = atomic;
}

static void step_to_percpu(struct pair *p)
{
	if (!may_switch(p))
		return;
	did.switches++;
	call(p, "to_percpu", differ_kernel.to_percpu, differ_pcpuref.to_percpu);
	p->forced = false;
}

static void step_init(struct pair *p)
{
	const bool usage = !draw(p, 4);
	int side;

	if (p->exists)
		return;
	p->flags = draw(p, 8);
	p->usage = usage;
	note(p, usage ? "init_usage" : "init", p->flags);
	for (side = 0; side < SIDES; side++) {
		struct differ_ref *ref = &p->side[side].ref;
		const struct differ_ops *ops = differ_kinds[side];
		int rc = usage ? ops->init_usage(ref, p->flags) : ops->init(ref, p->flags);

		if (rc)
			differ_wrong("%s: init returns %d", ops->name, rc);
	}
	p->exists = true;
	p->live = !(p->flags & PERCPU_REF_INIT_DEAD);
	p->forced = p->flags & PERCPU_REF_INIT_ATOMIC;
	p->held = p->usage && p->live;
	p->rest = true;
}

/* At zero, or of what nobody uses. */
static void step_exit(struct pair *p)
{
	if (!p->exists || !p->rest || p->held || (p->live && p->usage))
		return;
	call(p, "exit", differ_kernel.exit, differ_pcpuref.exit);
	p->exists = false;
	p->live = false;
}

static const struct {
	void		(*run)(struct pair *p);
	unsigned int	weight;
	/* percpu_ref's waits if something is in flight. */
	bool		waits;
} steps[] = {
	{ step_get, 8 },
	{ step_put, 8 },
	{ step_tryget, 8 },
	{ step_tryget_live, 8 },
	{ step_kill, 5, true },
	{ step_reinit, 4 },
	{ step_resurrect, 5, true },
	{ step_to_atomic, 4, true },
	{ step_to_atomic_sync, 1, true },
	{ step_to_percpu, 4, true },
	{ step_init, 8 },
	{ step_exit, 1 },
};

static void any_step(struct pair *p)
{
	unsigned int i, at, sum = 0;

	for (i = 0; i < ARRAY_SIZE(steps); i++)
		sum += steps[i].weight;
	at = draw(p, sum);
	for (i = 0; at >= steps[i].weight; i++)
		at -= steps[i].weight;
	/* Waiting is what takes time. */
	if (steps[i].waits && !p->rest && draw(p, 2))
		return;
	steps[i].run(p);
}

/* --- Sequences -------------------------------------------------------------- */

/* The exact count: one put from zero it is not zero, at zero it is. */
static void end_step(struct pair *p)
{
	if (p->held > 1) {
		count(p, "put", differ_kernel.put, differ_pcpuref.put, p->held - 1);
		p->held = 1;
	} else if (p->live && p->usage && !p->held) {
		count(p, "get", differ_kernel.get, differ_pcpuref.get, 1);
		p->held = 1;
	} else if (p->live) {
		call(p, "kill", differ_kernel.kill, differ_pcpuref.kill);
		p->live = false;
		p->held -= p->usage;
		p->rest = false;
	} else if (p->held) {
		count(p, "put", differ_kernel.put, differ_pcpuref.put, 1);
		p->held = 0;
	} else if (p->rest) {
		call(p, "exit", differ_kernel.exit, differ_pcpuref.exit);
		p->exists = false;
	}
}

static void begin_sequence(struct pair *p, u32 seed)
{
	int side;

	/* What the last one has left in the references is as good as any. */
	for (side = 0; side < SIDES; side++)
		p->side[side].ref.told = told;
	p->seed = seed;
	p->random = seed;
	p->step = 0;
	p->rest = true;
	clear_logs(p);
	/* The first numbers of seeds that are near each other are so, too. */
	draw(p, 2);
	draw(p, 2);
	step_init(p);
	compare(p);
	did.sequences++;
}

/* Until it has to wait. False when it has ended. */
static bool go_on(struct pair *p)
{
	unsigned int turns = 8 + draw(p, 16);

	while (!differ_is_wrong() && turns--) {
		unsigned int before = p->step;

		if (p->step >= STEPS - 8 && (!p->exists || is_delicate(p)))
			break;
		if (p->step < STEPS - 8)
			any_step(p);
		else
			end_step(p);
		if (p->step == before)
			continue;
		compare(p);
		if (p->rest)
			clear_logs(p);
		else if (!draw(p, 6))
			break;
	}
	return p->exists || p->step < STEPS - 8;
}

static void settled(struct pair *p)
{
	p->rest = true;
	note(p, "settle", 0);
	compare(p);
	clear_logs(p);
}

static void some_cpu(u32 *random)
{
	differ_go_to(differ_random(random) % nr_cpu_ids);
}

/* From @seed on, for so long or so many. */
void differ_sequences(unsigned int seconds, u32 seed, unsigned int sequences)
{
	unsigned long end = jiffies + seconds * HZ;
	unsigned int offlined = differ_offlined();
	u32 random = seed, first = seed;
	struct pair *pairs;
	bool any = true;
	int i;

	pairs = kcalloc(PAIRS, sizeof(*pairs), GFP_KERNEL);
	if (!pairs) {
		differ_wrong("no memory");
		return;
	}
	memset(&did, 0, sizeof(did));
	differ_early_kill_confirm->seen = 0;
	differ_early_switch_confirm->seen = 0;
	differ_order->seen = 0;

	while (any && !differ_is_wrong()) {
		any = false;
		for (i = 0; i < PAIRS; i++) {
			struct pair *p = &pairs[i];

			if (!p->seed || !go_on(p)) {
				p->seed = 0;
				if (time_after(jiffies, end) ||
				    (sequences && seed - first == sequences))
					continue;
				/* Nought is what has none. */
				seed += !seed;
				begin_sequence(p, seed++);
			}
			any = true;
			some_cpu(&random);
		}
		differ_settle();
		did.settled++;
		for (i = 0; i < PAIRS; i++)
			if (pairs[i].seed)
				settled(&pairs[i]);
	}
	set_cpus_allowed_ptr(current, cpu_possible_mask);

	/* What is wrong may still be called back. */
	differ_settle();
	if (!differ_is_wrong())
		kfree(pairs);
	differ_did("seed %u, %u CPUs offlined, %lu waits", first, differ_offlined() - offlined,
		   did.settled);
	differ_did("%lu sequences, %lu calls (%lu with a switch in flight), %lu comparisons",
		   did.sequences, did.calls, did.in_flight, did.answers);
	differ_did("%lu kills, %lu revivals, %lu switches, %lu callbacks",
		   did.kills, did.revivals, did.switches, did.callbacks);
	differ_did("known: %lu early kill confirms, %lu early switch confirms, %lu orders",
		   differ_early_kill_confirm->seen, differ_early_switch_confirm->seen,
		   differ_order->seen);
	if (!differ_is_wrong() && !sequences &&
	    (did.sequences < PAIRS || did.kills < PAIRS || did.revivals < PAIRS ||
	     did.switches < PAIRS || did.callbacks < PAIRS || did.in_flight < PAIRS ||
	     !differ_early_kill_confirm->seen || !differ_early_switch_confirm->seen))
		differ_wrong("too little was done to tell");
}
