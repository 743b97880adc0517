// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stress: everything that pcpuref can do, at random, on many references at once and
 * for as long as one likes: from tasks, soft and hard interrupts and NMIs of all CPUs.
 * A shadow count, kept by the test, says at the end of each life whether it was right:
 *
 *   gets - puts is 0 when release comes, and still when the reference exits
 *   release is called once in each life, after the confirm, and never in NMI
 *   a confirm is called once for each kill or switch that wants one
 *   no live reference is got after the confirm, none at all after release
 *   no life takes longer to end than "patience" seconds
 *   nobody writes to what has exited
 *   each operation has happened in each context that it may happen in
 *
 * With "bug" the client makes one mistake, which must be found. See
 * Documentation/stress.rst.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mm.h>		/* kvcalloc(), where slab.h has it not */
#include <linux/random.h>

#include "contexts.h"
#include "pcpuref_test_stress.h"

static unsigned int secs = 10;
module_param(secs, uint, 0644);
MODULE_PARM_DESC(secs, "How long it lasts");

static unsigned int refs = 96;
module_param(refs, uint, 0644);
MODULE_PARM_DESC(refs, "How many references there are at a time, at least 48");

static u64 seed;
module_param(seed, ullong, 0644);
MODULE_PARM_DESC(seed, "What all choices derive from: the same seed makes each actor choose the same; how the actors interleave is the machine's. 0: a new one, which is printed");

static unsigned int patience = 60;
module_param(patience, uint, 0644);
MODULE_PARM_DESC(patience, "Seconds that a life may take to end after the kill");

static char *bug = "none";
module_param(bug, charp, 0644);
MODULE_PARM_DESC(bug, "A mistake of the client that must be found: early_release late_put live_after_confirm forgotten_put lost_confirm confirm_twice release_twice write_after_exit touch_after_exit stale_kref");

static char digest_text[80];
module_param_string(digest, digest_text, sizeof(digest_text), 0444);
MODULE_PARM_DESC(digest, "Of the first choices in the last run, and of what the drivers did with theirs");

/* --- Names -------------------------------------------------------------------- */

#define TASKS		BIT(TASK)
#define DRIVER		(BIT(TASK) | BIT(SOFTIRQ) | BIT(HARDIRQ))
#define USER		(DRIVER | BIT(NMI))
/* In tasks and soft interrupts, which is where grace periods end; in others at times. */
#define CALLED		(BIT(TASK) | BIT(SOFTIRQ))
/* Somewhere, and perhaps. */
#define ANYWHERE	BIT(CONTEXTS)
#define MAYBE		0

static const struct {
	const char	*name;
	unsigned int	where;
} ops[] = {
	[OP_GET]		= { "get", USER },
	[OP_GET_MANY]		= { "get_many", USER },
	[OP_TRYGET]		= { "tryget", USER },
	[OP_TRYGET_MANY]	= { "tryget_many", USER },
	[OP_TRYGET_LIVE]	= { "tryget_live", USER },
	[OP_TRYGET_LIVE_MANY]	= { "tryget_live_many", USER },
	[OP_TRYGET_LIVE_RCU]	= { "tryget_live_rcu", USER },
	[OP_GET_UNLESS_ZERO]	= { "get_unless_zero", USER },
	[OP_MISS]		= { "(not got)", USER },
	[OP_PUT]		= { "put", USER },
	[OP_PUT_MANY]		= { "put_many", USER },
	[OP_HAND_OVER]		= { "(handed over)", USER },
	[OP_TAKE_OVER]		= { "(taken over)", USER },
	[OP_KREF_GET_UNLESS_ZERO]	= { "kref_get_unless_zero", USER },
	[OP_KREF_GET]		= { "kref_get", USER },
	[OP_KREF_PUT]		= { "kref_put", USER },
	[OP_KILL]		= { "kill", DRIVER },
	[OP_KILL_AND_CONFIRM]	= { "kill_and_confirm", DRIVER },
	[OP_RESURRECT]		= { "resurrect", DRIVER },
	[OP_REINIT]		= { "reinit", DRIVER },
	[OP_TO_ATOMIC]		= { "switch_to_atomic", DRIVER },
	[OP_TO_ATOMIC_CONFIRM]	= { "switch_to_atomic+confirm", DRIVER },
	[OP_TO_PERCPU]		= { "switch_to_percpu", DRIVER },
	[OP_IS_ZERO]		= { "is_zero, read", DRIVER },
	[OP_READ_HELD]		= { "read of what is held", DRIVER },
	[OP_EXIT]		= { "exit", DRIVER },
	[OP_KREF_INIT]		= { "kref_init", DRIVER },
	[OP_INIT]		= { "init", TASKS },
	[OP_CANCEL_INIT]	= { "cancel_init", TASKS },
	[OP_KILL_SYNC]		= { "kill_sync", TASKS },
	[OP_KILL_AND_WAIT]	= { "kill_and_wait", TASKS },
	[OP_TO_ATOMIC_SYNC]	= { "switch_to_atomic_sync", TASKS },
	[OP_HOT]		= { "(lazy one made hot)", TASKS },
	[OP_LEAVE]		= { "put of the initial one", TASKS },
	[OP_ENTER]		= { "get from zero", TASKS },
	[OP_RELEASED]		= { "release", CALLED },
	[OP_RELEASED_AT_ZERO]	= { "release (usage)", ANYWHERE },
	[OP_CONFIRMED]		= { "confirm", ANYWHERE },
	[OP_SWITCHED]		= { "confirm of switch", ANYWHERE },
	[OP_REINIT_CALLED]	= { "reinit in release", ANYWHERE },
	[OP_EXIT_CALLED]	= { "exit in release", ANYWHERE },
	[OP_KREF_RELEASED]	= { "kref release", CALLED },
	[OP_NO_MEMORY]		= { "(init without memory)", MAYBE },
};

static const char *const bugs[] = {
	[MISTAKE_NONE]			= "none",
	[MISTAKE_EARLY_RELEASE]		= "early_release",
	[MISTAKE_LATE_PUT]		= "late_put",
	[MISTAKE_LIVE_AFTER_CONFIRM]	= "live_after_confirm",
	[MISTAKE_FORGOTTEN_PUT]		= "forgotten_put",
	[MISTAKE_LOST_CONFIRM]		= "lost_confirm",
	[MISTAKE_CONFIRM_TWICE]		= "confirm_twice",
	[MISTAKE_RELEASE_TWICE]		= "release_twice",
	[MISTAKE_WRITE_AFTER_EXIT]	= "write_after_exit",
	[MISTAKE_TOUCH_AFTER_EXIT]	= "touch_after_exit",
	[MISTAKE_STALE_KREF]		= "stale_kref",
};

static const char *const stages[] = { "alive", "confirmed", "released", "exited" };

/* --- Choices ------------------------------------------------------------------ */

static u64 run_seed;

static u64 scramble(u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* Choice @nr of @who about its object @which. */
u64 stress_dice(unsigned int who, u64 which, u64 nr)
{
	return scramble(scramble(scramble(scramble(run_seed) + who) + which) + nr);
}

unsigned int stress_mix(unsigned int digest, u64 choice)
{
	return scramble(((u64)digest << 32) ^ choice);
}

/* --- What is shared ----------------------------------------------------------- */

enum stress_bug stress_bug;
unsigned int stress_refs;
unsigned int stress_patience;
struct stress_slot *stress_slots;

/* Those of the CPUs, by context; then the drivers; the maker; the one who ends it. */
static struct stress_actor *actors;
static unsigned int nr_users, nr_actors;
static atomic_long_t called[NR_STRESS_OPS][CONTEXTS];

static struct stress_actor *maker(void)
{
	return &actors[nr_users + STRESS_DRIVERS];
}

static struct stress_actor *ender(void)
{
	return &actors[nr_users + STRESS_DRIVERS + 1];
}

static bool is_driver(const struct stress_actor *a)
{
	return a->nr >= nr_users && a->nr < nr_users + STRESS_DRIVERS;
}

static struct test_actor *user_at(int cpu, enum test_context context)
{
	return &actors[cpu * CONTEXTS + context].actor;
}

/* What is right when it is 0. Whoever asks knows that nobody gets or puts now. */
long stress_balance(const struct stress_slot *slot)
{
	unsigned long sum = 0;
	unsigned int i;

	for (i = 0; i < nr_actors; i++)
		/* Pair with the WRITE_ONCE()s of those who get and put. */
		if (actors[i].gets)
			sum += READ_ONCE(actors[i].gets[slot->nr]) -
			       READ_ONCE(actors[i].puts[slot->nr]);
	return sum;
}

/* --- What went wrong, and what was done last ---------------------------------- */

static struct {
	atomic_t		count;
	atomic_t		told;
	struct stress_slot	*slot;
	unsigned int		object;
	const char		*what;
	long			value;
	int			cpu;
	enum test_context	context;
} wrong;

static atomic_t erred;

static enum test_context here(void)
{
	if (in_nmi())
		return NMI;
	if (hardirq_count())
		return HARDIRQ;
	return in_serving_softirq() ? SOFTIRQ : TASK;
}

void stress_wrong(struct stress_slot *slot, unsigned int object, const char *what, long value)
{
	if (atomic_inc_return(&wrong.count) != 1)
		return;
	wrong.slot = slot;
	wrong.object = object;
	wrong.what = what;
	wrong.value = value;
	wrong.cpu = raw_smp_processor_id();
	wrong.context = here();
	/* Pairs with the READ_ONCE() in stress_note(). */
	if (slot)
		WRITE_ONCE(slot->frozen, true);
	/* Pairs with the atomic_read_acquire() in tell_wrong(). */
	atomic_set_release(&wrong.told, 1);
}

bool stress_is_wrong(void)
{
	return atomic_read(&wrong.count);
}

bool stress_err_now(enum stress_bug mistake)
{
	return stress_bug == mistake && !atomic_read(&erred) && !atomic_xchg(&erred, 1);
}

void stress_expect(const char *text)
{
	pr_info("pcpuref-expect: %s\n", text);
	pcpuref_report_anew();
}

/* A line in the ring of the slot: who, which operation, in which stage. */
void stress_note(struct stress_slot *slot, unsigned int object, unsigned int who,
		 enum stress_op op, unsigned int stage)
{
	unsigned int at;

	/* Pairs with the WRITE_ONCE() in stress_wrong(). */
	if (READ_ONCE(slot->frozen))
		return;
	at = (unsigned int)atomic_inc_return(&slot->next) % STRESS_RING;
	/* A line may be torn if the ring is lapped: it is only to be read by people. */
	WRITE_ONCE(slot->ring[at].what, who << 16 | op << 8 | (stage & 0xff));
	WRITE_ONCE(slot->ring[at].object, object);
	WRITE_ONCE(slot->ring[at].when, (unsigned int)div_u64(ktime_get_mono_fast_ns(), 1000));
}

/* What became of the driver's choices: but for what it does as often as it has to. */
static void mix_into_digest(struct stress_slot *s, enum stress_op op)
{
	if (s->objects == 1 && s->steps <= STRESS_DIGEST_STEPS && op != OP_KILL_AND_WAIT &&
	    op != OP_IS_ZERO && op != OP_READ_HELD)
		s->digest = stress_mix(s->digest, op);
}

void stress_did(struct stress_actor *a, struct stress_slot *slot, struct stress_thing *thing,
		enum stress_op op)
{
	a->did[op]++;
	if (is_driver(a))
		mix_into_digest(slot, op);
	stress_note(slot, thing ? thing->object : READ_ONCE(slot->key.key), a->nr, op,
		    thing ? READ_ONCE(thing->stage) : 0);
}

#define IN_CALLBACK	0xff00

void stress_called(struct stress_slot *slot, unsigned int object, enum stress_op op,
		   unsigned int stage)
{
	enum test_context context = here();

	atomic_long_inc(&called[op][context]);
	stress_note(slot, object, IN_CALLBACK + context, op, stage);
}

static void tell_ring(struct stress_slot *s)
{
	unsigned int i, last = atomic_read(&s->next);

	for (i = 1; i <= STRESS_RING; i++) {
		unsigned int at = (last + i) % STRESS_RING, what = READ_ONCE(s->ring[at].what);
		unsigned int who = what >> 16, op = what >> 8 & 0xff;
		char actor[32];

		if (!READ_ONCE(s->ring[at].when) || op >= NR_STRESS_OPS)
			continue;
		if (who >= IN_CALLBACK)
			scnprintf(actor, sizeof(actor), "callback, %s",
				  test_context_names[who & 3]);
		else if (who < nr_users)
			scnprintf(actor, sizeof(actor), "cpu %d, %s", actors[who].actor.cpu,
				  test_context_names[who % CONTEXTS]);
		else
			scnprintf(actor, sizeof(actor), "%s, %s",
				  &actors[who] == maker() ? "maker" :
				  &actors[who] == ender() ? "ender" : "driver",
				  test_context_names[actors[who].actor.context]);
		pr_info("  %10u us  object %u life %u %-9s  %-24s  %s\n",
			READ_ONCE(s->ring[at].when), READ_ONCE(s->ring[at].object),
			(what & 0xff) / STAGES, stages[what % STAGES], actor, ops[op].name);
	}
}

static void tell_wrong(struct test *t)
{
	struct stress_slot *s;

	if (!stress_is_wrong())
		return;
	/* Pairs with the atomic_set_release() in stress_wrong(). */
	if (!SOON(atomic_read_acquire(&wrong.told)))
		return;
	s = wrong.slot;
	t->failed = 1;
	scnprintf(t->why, sizeof(t->why), "%s %ld (reference %d, object %u, seed %llu; %d more)",
		  wrong.what, wrong.value, s ? (int)s->nr : -1, wrong.object, run_seed,
		  atomic_read(&wrong.count) - 1);
	pr_info("violation: %s %ld\n", wrong.what, wrong.value);
	pr_info("  seed %llu, reference %d (%s), object %u; seen by CPU %d in %s\n", run_seed,
		s ? (int)s->nr : -1, s ? s->kind ? s->kind->name : "kref" : "freed", wrong.object,
		wrong.cpu, test_context_names[wrong.context]);
	if (!s)
		return;
	pr_info("  gets - puts is %ld; what happened to it last:\n", stress_balance(s));
	tell_ring(s);
}

/* --- Begin and end ------------------------------------------------------------ */

static bool actor_init(struct stress_actor *a, void (*turn)(struct test_actor *actor),
		       enum test_context context, int cpu)
{
	a->nr = a - actors;
	test_actor_init(&a->actor, turn, context, cpu, stress_dice(a->nr, ~0ULL, 0));
	a->holds = kcalloc(stress_refs, sizeof(*a->holds), GFP_KERNEL);
	a->puts = kcalloc(stress_refs, sizeof(*a->puts), GFP_KERNEL);
	a->gets = kcalloc(stress_refs, sizeof(*a->gets), GFP_KERNEL);
	return a->holds && a->puts && a->gets;
}

static bool stress_init(void)
{
	static const struct stress_kind *const kinds[] = {
		PCPUREF_HAVE_READERS_TASKS ? &stress_tasks : &stress_plain, NULL,
		&stress_inline, &stress_plain,
		&stress_plain, &stress_plain, &stress_plain, &stress_plain,
	};
	unsigned int i;
	int cpu;

	nr_users = nr_cpu_ids * CONTEXTS;
	nr_actors = nr_users + STRESS_DRIVERS + 2;
	stress_slots = kvcalloc(stress_refs, sizeof(*stress_slots), GFP_KERNEL);
	actors = kvcalloc(nr_actors, sizeof(*actors), GFP_KERNEL);
	if (!stress_slots || !actors || stress_pool_init(2 * stress_refs))
		return false;
	for (i = 0; i < stress_refs; i++) {
		stress_slots[i].nr = i;
		stress_slots[i].kind = kinds[i / STRESS_DRIVERS % ARRAY_SIZE(kinds)];
		stress_slots[i].since = jiffies;
	}
	for_each_possible_cpu(cpu) {
		struct stress_actor *a = &actors[cpu * CONTEXTS];

		for (i = 0; i < CONTEXTS; i++)
			if (!actor_init(&a[i], stress_use, i, cpu))
				return false;
		a[TASK].actor.follows[0] = &a[SOFTIRQ].actor;
		a[TASK].actor.follows[1] = &a[HARDIRQ].actor;
	}
	for (i = 0; i < STRESS_DRIVERS; i++) {
		struct stress_actor *a = &actors[nr_users + i];

		if (!actor_init(a, stress_drive, i % NMI, -1))
			return false;
		a->actor.burst = 1;
		a->actor.pause_us = 150;
		a->actor.spread_us = 100;
		/* Its slots, and its place in their order. */
		a->lane = i;
	}
	if (!actor_init(maker(), stress_make, TASK, -1) ||
	    !actor_init(ender(), stress_use, TASK, -1))
		return false;
	maker()->actor.burst = 1;
	maker()->actor.pause_us = 500;
	return true;
}

static void stress_free(void)
{
	unsigned int i;

	for (i = 0; actors && i < nr_actors; i++) {
		kfree(actors[i].holds);
		kfree(actors[i].puts);
		kfree(actors[i].gets);
	}
	stress_pool_end();
	kvfree(actors);
	kvfree(stress_slots);
	actors = NULL;
	stress_slots = NULL;
}

/* Nobody acts any more: put what is held, and end what lives. */
static bool end_all(void)
{
	unsigned long end = jiffies + (stress_patience + TEST_PATIENCE_S) * HZ;
	unsigned int i;

	for (i = 0; i < nr_actors; i++)
		if (actors[i].holds)
			stress_use_end(&actors[i]);
	for (i = 0; i < stress_refs; i++) {
		struct stress_slot *s = &stress_slots[i];
		struct stress_thing *o;
		unsigned long nr;

		rcu_read_lock();
		o = rcu_dereference(s->thing);
		nr = o ? atomic_xchg(&o->handed, 0) : 0;
		if (nr)
			stress_put(ender(), s, o, nr);
		rcu_read_unlock();
		/* From now on. Pairs with the READ_ONCE() of who waits. */
		WRITE_ONCE(s->since, jiffies);
	}
	for (i = 0; i < stress_refs; i++)
		while (!stress_end(ender(), &stress_slots[i])) {
			if (time_after(jiffies, end)) {
				stress_wrong(&stress_slots[i], 0, "does not end, in state",
					     stress_slots[i].state);
				return false;
			}
			usleep_range(500, 1000);
		}
	pcpuref_barrier();
	rcu_barrier();
	/* What the pool has must be as it was put there. */
	stress_pool_end();
	for (i = 0; i < stress_refs; i++)
		if (stress_balance(&stress_slots[i]))
			stress_wrong(&stress_slots[i], 0, "at the end gets - puts is not 0 but",
				     stress_balance(&stress_slots[i]));
	return true;
}

/* --- Results ------------------------------------------------------------------ */

static unsigned long count(unsigned int op, enum test_context context)
{
	unsigned long sum = atomic_long_read(&called[op][context]);
	unsigned int i;

	for (i = 0; i < nr_actors; i++)
		if (actors[i].gets && actors[i].actor.context == context)
			sum += actors[i].did[op];
	return sum;
}

/* Whether an operation can be expected in a context. */
static bool is_due(unsigned int op, enum test_context context)
{
	return ops[op].where & BIT(context) && (context != NMI || test_have_nmi());
}

/* On a slow machine what must happen takes longer than asked for. */
static bool long_enough(void)
{
	enum test_context context;
	unsigned int op, i;

	for (i = 0; i < nr_users; i++)
		if (actors[i].choices && actors[i].choices < STRESS_DIGEST_TURNS)
			return false;
	for (i = 0; i < stress_refs; i++)
		if (stress_slots[i].objects <= 1 && stress_slots[i].steps <= STRESS_DIGEST_STEPS)
			return false;
	for (op = 0; op < NR_STRESS_OPS; op++) {
		unsigned long all = 0;

		for (context = 0; context < CONTEXTS; context++) {
			unsigned long n = count(op, context);

			if (!n && is_due(op, context))
				return false;
			all += n;
		}
		if (!all && ops[op].where == ANYWHERE)
			return false;
	}
	return true;
}

/* What never happened has not been tested. */
static void tell_counts(struct test *t)
{
	unsigned int op, context, objects = 0, i;

	for (i = 0; i < stress_refs; i++)
		objects += stress_slots[i].objects;
	pr_info("seed %llu, %u references, %u objects\n", run_seed, stress_refs, objects);
	pr_info("%-26s %10s %10s %10s %10s\n", "", "task", "softirq", "hardirq", "nmi");
	for (op = 0; op < NR_STRESS_OPS; op++) {
		unsigned long n[CONTEXTS], all = 0;

		for (context = 0; context < CONTEXTS; context++) {
			n[context] = count(op, context);
			all += n[context];
		}
		pr_info("%-26s %10lu %10lu %10lu %10lu\n", ops[op].name, n[TASK], n[SOFTIRQ],
			n[HARDIRQ], n[NMI]);
		for (context = 0; context < CONTEXTS; context++) {
			if (n[context] || !is_due(op, context))
				continue;
			if (EXPECT(t, false))
				continue;
			scnprintf(t->why, sizeof(t->why), "never happened: %s in %s",
				  ops[op].name, test_context_names[context]);
		}
		if (!all && ops[op].where == ANYWHERE && !EXPECT(t, false))
			scnprintf(t->why, sizeof(t->why), "never happened: %s", ops[op].name);
	}
}

/* Of the first choices of all, if they have got so far. */
static void tell_digest(struct test *t)
{
	unsigned int digest = 0, nr = 0, i;

	for (i = 0; i < nr_users; i++) {
		if (!actors[i].choices)
			continue;
		if (actors[i].choices < STRESS_DIGEST_TURNS &&
		    !test_expect(t, false, "an actor has made too few choices", __LINE__))
			continue;
		digest = stress_mix(digest, (u64)i << 32 | actors[i].digest);
		nr++;
	}
	for (i = 0; i < stress_refs; i++) {
		const struct stress_slot *s = &stress_slots[i];

		if (s->objects <= 1 && s->steps <= STRESS_DIGEST_STEPS &&
		    !test_expect(t, false, "a reference has lived too short", __LINE__))
			continue;
		digest = stress_mix(digest, (u64)i << 32 | s->digest);
	}
	scnprintf(digest_text, sizeof(digest_text), "%08x of %u users and %u references", digest,
		  nr, stress_refs);
	pr_info("seed %llu, digest of the first choices: %s\n", run_seed, digest_text);
}

/* --- The run ------------------------------------------------------------------ */

static bool start_all(void)
{
	bool started = test_actor_start(&maker()->actor);
	unsigned int i;

	for (i = 0; i < STRESS_DRIVERS; i++)
		started &= test_actor_start(&actors[nr_users + i].actor);
	return test_users_start(user_at, true) && started;
}

static bool stop_all(void)
{
	bool stopped;
	unsigned int i;

	WRITE_ONCE(test_stop, true);
	stopped = test_users_stop(user_at, true);
	for (i = 0; i < STRESS_DRIVERS; i++)
		stopped &= test_actor_stop(&actors[nr_users + i].actor);
	return stopped & test_actor_stop(&maker()->actor);
}

static void stress(struct test *t)
{
	unsigned long end;
	int nr = __sysfs_match_string(bugs, NR_STRESS_BUGS, bug);

	WRITE_ONCE(test_limit_s, secs + 3 * patience + 5 * TEST_PATIENCE_S);
	test_cleans_up = true;
	digest_text[0] = '\0';
	if (!EXPECT(t, nr >= 0) || !EXPECT(t, refs >= 48 && refs <= 1024))
		return;
	stress_bug = nr;
	stress_refs = refs;
	stress_patience = patience;
	run_seed = seed ?: get_random_u32() | 1;
	memset(&wrong, 0, sizeof(wrong));
	memset(called, 0, sizeof(called));
	atomic_set(&erred, 0);
	WRITE_ONCE(test_stop, false);
	pr_info("seed %llu, %u s, %u references, bug: %s\n", run_seed, secs, refs, bugs[nr]);

	if (!EXPECT(t, stress_init())) {
		stress_free();
		return;
	}
	test_cleans_up = false;
	EXPECT(t, start_all());
	end = jiffies + secs * HZ;
	while (time_before(jiffies, end) && !stress_is_wrong())
		msleep(50);
	end += patience * HZ;
	/* Looks at numbers of the actors, which go on: a late one only takes longer. */
	while (time_before(jiffies, end) && !stress_is_wrong() && !data_race(long_enough()))
		msleep(50);
	if (!EXPECT(t, stop_all()))
		return;
	tell_wrong(t);
	/* After a mistake of its own the client knows how to go on; after others nobody does. */
	if ((stress_is_wrong() && stress_bug == MISTAKE_NONE) || !end_all()) {
		tell_wrong(t);
		return;
	}
	if (!t->failed)
		tell_wrong(t);
	if (!stress_is_wrong()) {
		tell_digest(t);
		tell_counts(t);
	}
	test_cleans_up = true;
	stress_free();
}

static const struct test_case cases[] = {
	TEST_CASE("stress_G1_G2_G3_G4_G12_G13_G15_G17", stress),
	{ }
};

TEST_MODULE(cases, "Stress on pcpuref: everything at random, from every context");
