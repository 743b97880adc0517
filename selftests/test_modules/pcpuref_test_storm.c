// SPDX-License-Identifier: GPL-2.0-only
/*
 * Storms: gets and puts from tasks, soft and hard interrupts and NMIs of all
 * CPUs, while references are killed, resurrected, switched and reinitialised
 * under them, which is done from a task, a soft and a hard interrupt.
 *
 * What is checked while it blows:
 *
 *   accounts   when a life ends, gets and puts are equal; there is one release
 *              for each life, one confirm for each kill or switch that wants one
 *   observers  everybody who gets a live reference looks whether that was after
 *              the confirm, or got any after the release, in the same life
 *   bounds     a life that does not end within seconds is a failure
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpumask.h>
#include <linux/hardirq.h>
#include <linux/ktime.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/smp.h>
#include <linux/spinlock.h>

#include "contexts.h"

static unsigned int seconds = 5;
module_param(seconds, uint, 0644);
MODULE_PARM_DESC(seconds, "How long a storm blows");

/* --- The objects -------------------------------------------------------------- */

/* What @stage says in its low bits; each life begins with the next multiple. */
enum { ALIVE, CONFIRMED, RELEASED, STAGES = 4 };

struct obj {
	struct pcpuref		ref;
	const char		*driver;
	unsigned int		flags;

	/* What the driver alone uses. */
	unsigned int		rnd;
	unsigned long		since;
	bool			killed;
	bool			held;
	unsigned int		kills;
	unsigned int		switches;
	unsigned int		resurrects;
	unsigned int		lives;
	unsigned int		wakeups;

	raw_spinlock_t		lock;	/* of stage and brought_back */
	unsigned int		stage;
	bool			brought_back;
	atomic_t		releases;
	atomic_t		confirms;
	atomic_t		switched;

	/* By all: a put is counted before it is done, a get after. */
	atomic_long_t		gets;
	atomic_long_t		puts;
};

#define NR_OBJS 4
static struct obj objs[NR_OBJS];

/* The first thing that went wrong. */
static const char *wrong;
static atomic_t wrongs;

static void went_wrong(const char *what)
{
	if (atomic_inc_return(&wrongs) == 1)
		WRITE_ONCE(wrong, what);
}

static void release(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);
	unsigned long flags;

	if (in_nmi())
		went_wrong("released in NMI");
	if (atomic_long_read(&o->gets) != atomic_long_read(&o->puts))
		went_wrong("gets and puts differ at zero");
	atomic_inc(&o->releases);
	raw_spin_lock_irqsave(&o->lock, flags);
	if (o->stage % STAGES == RELEASED)
		went_wrong("released twice in a life");
	if (o->stage % STAGES == ALIVE && !o->brought_back)
		went_wrong("released before it was confirmed");
	/* Pairs with the smp_load_acquire() in use_one() and drive(). */
	smp_store_release(&o->stage, o->stage / STAGES * STAGES + RELEASED);
	raw_spin_unlock_irqrestore(&o->lock, flags);
}

static void confirm(struct pcpuref *ref)
{
	struct obj *o = container_of(ref, struct obj, ref);
	unsigned long flags;

	raw_spin_lock_irqsave(&o->lock, flags);
	if (!o->brought_back) {
		if (o->stage % STAGES != ALIVE)
			went_wrong("confirmed twice, or after the end");
		/* Pairs with the smp_load_acquire() in use_one(). */
		smp_store_release(&o->stage, o->stage / STAGES * STAGES + CONFIRMED);
	}
	raw_spin_unlock_irqrestore(&o->lock, flags);
	atomic_inc(&o->confirms);
}

static void switch_done(struct pcpuref *ref)
{
	atomic_inc(&container_of(ref, struct obj, ref)->switched);
}

/* Whatever was read of @stage before says nothing about what comes now. */
static void next_life(struct obj *o, bool brought_back)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&o->lock, flags);
	/* Pairs with the smp_load_acquire() in use_one(). */
	smp_store_release(&o->stage, (o->stage / STAGES + 1) * STAGES);
	o->brought_back = brought_back;
	raw_spin_unlock_irqrestore(&o->lock, flags);
	/* Before what lets others get references; pairs with that in use_one(). */
	smp_mb();
}

/* --- Those who get and put ------------------------------------------------------ */

/* A place that gets and puts; it may hold a reference from one turn to the next. */
struct place {
	struct test_actor	actor;
	unsigned int		rnd;
	unsigned long		turns;
	unsigned long		holds[NR_OBJS];
	unsigned long		failed;
};

static void use_one(struct place *u, unsigned int nr)
{
	unsigned int stage, dice = test_random(&u->rnd);
	struct obj *o = &objs[nr];
	bool live = dice & 1, got;
	unsigned long n = 1 + (dice >> 1) % 3;

	if (u->holds[nr]) {
		n = u->holds[nr];
		u->holds[nr] = 0;
		if (dice & 8) {
			/* One who has one may take more. */
			pcpuref_get(&o->ref);
			atomic_long_inc(&o->gets);
			n++;
		}
		atomic_long_add(n, &o->puts);
		pcpuref_put_many(&o->ref, n);
		return;
	}

	/* Pairs with the smp_store_release() of confirm() and release(). */
	stage = smp_load_acquire(&o->stage);
	if (live)
		got = pcpuref_tryget_live_many(&o->ref, n);
	else
		got = pcpuref_tryget_many(&o->ref, n);
	if (!got) {
		u->failed++;
		return;
	}
	/* Pairs with that in next_life(): equal means that it was this life. */
	smp_mb();
	if (READ_ONCE(o->stage) == stage) {
		if (live && stage % STAGES != ALIVE)
			went_wrong("live reference after confirm");
		if (stage % STAGES == RELEASED)
			went_wrong("reference after release");
	}
	atomic_long_add(n, &o->gets);
	if (dice & 16) {
		u->holds[nr] = n;
		return;
	}
	atomic_long_add(n, &o->puts);
	pcpuref_put_many(&o->ref, n);
}

static void use_all(struct test_actor *actor)
{
	struct place *u = container_of(actor, struct place, actor);
	unsigned int i;

	for (i = 0; i < NR_OBJS; i++)
		use_one(u, i);
	u->turns++;
}

/* What is still held when a place closes. */
static void use_end(struct place *u)
{
	unsigned int i;

	for (i = 0; i < NR_OBJS; i++) {
		unsigned long n = u->holds[i];

		u->holds[i] = 0;
		if (!n)
			continue;
		atomic_long_add(n, &objs[i].puts);
		pcpuref_put_many(&objs[i].ref, n);
	}
}

static DEFINE_PER_CPU(struct place[CONTEXTS], users);

static struct test_actor *user_at(int cpu, enum test_context context)
{
	return &per_cpu(users, cpu)[context].actor;
}

static void users_init(void (*turn)(struct test_actor *actor))
{
	unsigned int i;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct place *u = per_cpu(users, cpu);

		for (i = 0; i < CONTEXTS; i++) {
			memset(&u[i], 0, sizeof(u[i]));
			u[i].rnd = cpu * CONTEXTS + i;
			test_actor_init(&u[i].actor, turn, i, cpu, u[i].rnd);
		}
	}
}

/* --- Those who kill and bring back ------------------------------------------------ */

static void switch_somehow(struct obj *o, unsigned int dice)
{
	bool done = true;

	switch (dice % 4) {
	case 0:
		done = !pcpuref_switch_to_atomic(&o->ref, switch_done);
		o->switches++;
		break;
	case 1:
		done = !pcpuref_switch_to_atomic(&o->ref, NULL);
		break;
	default:
		done = !pcpuref_switch_to_percpu(&o->ref);
	}
	if (!done)
		went_wrong("switch refused");
}

/* One step in the life of an object; never sleeps. */
static void drive(struct obj *o)
{
	unsigned int dice = test_random(&o->rnd), stage;

	if (!(dice & 7))
		switch_somehow(o, dice >> 3);
	dice >>= 8;

	if (!o->killed) {
		if (dice & 3)
			return;
		/* A resurrect may find any count but zero: hold it there. */
		o->held = dice & 4;
		if (o->held) {
			pcpuref_get(&o->ref);
			atomic_long_inc(&o->gets);
		}
		if (pcpuref_kill_and_confirm(&o->ref, confirm))
			went_wrong("kill refused");
		if (pcpuref_tryget_live(&o->ref))
			went_wrong("live reference after kill on the same CPU");
		o->kills++;
		o->killed = true;
		o->since = jiffies;
		return;
	}

	if (o->held) {
		if (dice & 3)
			return;
		next_life(o, true);
		if (pcpuref_resurrect(&o->ref))
			went_wrong("resurrect refused");
		o->resurrects++;
		o->held = false;
		o->killed = false;
		atomic_long_inc(&o->puts);
		pcpuref_put(&o->ref);
		return;
	}

	/* Pairs with the smp_store_release() in release(). */
	stage = smp_load_acquire(&o->stage);
	if (stage % STAGES != RELEASED) {
		if (time_after(jiffies, o->since + TEST_PATIENCE_S * HZ))
			went_wrong("a killed reference is not released");
		return;
	}
	if (!pcpuref_is_zero(&o->ref) || pcpuref_tryget(&o->ref) || pcpuref_read(&o->ref))
		went_wrong("not zero after release");
	if (atomic_read(&o->releases) != (int)o->lives)
		went_wrong("releases and lives differ");
	next_life(o, false);
	if (pcpuref_reinit(&o->ref))
		went_wrong("reinit refused");
	o->lives++;
	o->killed = false;
}

/*
 * A confirm that a resurrect overtook comes when the next life, or the one
 * after, has begun: then it must not be taken for that life's own. So a kill
 * waits until all confirms before it have come.
 */
static void drive_if_told(struct obj *o)
{
	if (!o->killed && atomic_read(&o->confirms) != (int)o->kills) {
		switch_somehow(o, test_random(&o->rnd));
		return;
	}
	if (!o->killed) {
		unsigned long flags;

		raw_spin_lock_irqsave(&o->lock, flags);
		o->brought_back = false;
		raw_spin_unlock_irqrestore(&o->lock, flags);
	}
	drive(o);
}

/* One in each context that may. */
static void drive_some(struct test_actor *actor)
{
	drive_if_told(&objs[actor->context]);
	if (actor->context == TASK)
		drive_if_told(&objs[3]);
}

static struct test_actor drivers[NMI];

/* --- The storm ---------------------------------------------------------------------- */

static void obj_init(struct test *t, unsigned int nr, unsigned int flags)
{
	struct obj *o = &objs[nr];

	memset(o, 0, sizeof(*o));
	raw_spin_lock_init(&o->lock);
	o->rnd = nr + 1;
	o->lives = 1;
	EXPECT_EQ(t, pcpuref_init(&o->ref, release, flags | PCPUREF_ALLOW_REINIT, GFP_KERNEL), 0);
}

/* A storm that did nothing is no test. */
static bool has_lived(const struct obj *o)
{
	return o->lives > 3 && o->resurrects > 3 && o->switches > 3;
}

static bool all_have_lived(void)
{
	unsigned int i;

	for (i = 0; i < NR_OBJS; i++)
		if (!has_lived(&objs[i]))
			return false;
	return true;
}

static unsigned long turns_of(int context)
{
	unsigned long turns = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		/* They may go on: a late look only takes longer. */
		turns += data_race(per_cpu(users, cpu)[context].turns);
	return turns;
}

static bool all_have_used(void)
{
	unsigned long failed = 0;
	int cpu, i;

	for (i = 0; i < CONTEXTS; i++) {
		for_each_possible_cpu(cpu)
			failed += per_cpu(users, cpu)[i].failed;
		if (IS_ENABLED(CONFIG_SMP) && (i != NMI || test_have_nmi()) && turns_of(i) <= 10)
			return false;
	}
	return failed > 10;
}

static bool goes_on(unsigned int tenths)
{
	if (atomic_read(&wrongs))
		return false;
	if (tenths < seconds * 10)
		return true;
	if (tenths >= (seconds + 6 * TEST_PATIENCE_S) * 10)
		return false;
	/* Longer on a slow machine. All go on: a late look only takes longer. */
	return !data_race(all_have_lived()) || !data_race(all_have_used());
}

static void obj_end(struct test *t, struct obj *o)
{
	if (o->held) {
		atomic_long_inc(&o->puts);
		pcpuref_put(&o->ref);
	}
	if (!o->killed) {
		EXPECT(t, SOON(atomic_read(&o->confirms) == (int)o->kills));
		o->brought_back = false;
		EXPECT_EQ(t, pcpuref_kill_and_confirm(&o->ref, confirm), 0);
		o->kills++;
	}
	EXPECT_EQ(t, pcpuref_kill_and_wait_timeout(&o->ref, TEST_PATIENCE_S * HZ), 0);
	pcpuref_barrier();
	EXPECT_EQ(t, atomic_read(&o->releases), o->lives);
	EXPECT_EQ(t, atomic_read(&o->confirms), o->kills);
	EXPECT_EQ(t, atomic_read(&o->switched), o->switches);
	EXPECT_EQ(t, atomic_long_read(&o->gets), atomic_long_read(&o->puts));
	EXPECT_EQ(t, pcpuref_read(&o->ref), 0);
	EXPECT(t, has_lived(o));
	pcpuref_exit(&o->ref);
}

static void storm(struct test *t, unsigned int extra)
{
	unsigned int i;
	int cpu;

	WRITE_ONCE(test_limit_s, seconds + 8 * TEST_PATIENCE_S);
	wrong = NULL;
	atomic_set(&wrongs, 0);
	WRITE_ONCE(test_stop, false);
	for (i = 0; i < NR_OBJS; i++)
		obj_init(t, i, i == 3 ? extra | PCPUREF_INIT_ATOMIC : extra);
	if (t->failed)
		return;

	users_init(use_all);
	for (i = 0; i < ARRAY_SIZE(drivers); i++) {
		test_actor_init(&drivers[i], drive_some, i, -1, i);
		drivers[i].burst = 1;
		drivers[i].pause_us = i == TASK ? 200 : 700;
		drivers[i].spread_us = i == TASK ? 50 : 0;
	}
	EXPECT(t, test_users_start(user_at, true));
	for (i = 0; i < ARRAY_SIZE(drivers); i++)
		EXPECT(t, test_actor_start(&drivers[i]));

	for (i = 0; goes_on(i); i++)
		msleep(100);

	WRITE_ONCE(test_stop, true);
	EXPECT(t, test_users_stop(user_at, true));
	for (i = 0; i < ARRAY_SIZE(drivers); i++)
		EXPECT(t, test_actor_stop(&drivers[i]));
	for_each_possible_cpu(cpu) {
		struct place *u = per_cpu(users, cpu);

		for (i = 0; i < CONTEXTS; i++)
			use_end(&u[i]);
	}

	if (!EXPECT_EQ(t, atomic_read(&wrongs), 0))
		scnprintf(t->why, sizeof(t->why), "%s (and %d more)", wrong,
			  atomic_read(&wrongs) - 1);
	for (i = 0; i < NR_OBJS && !t->failed; i++) {
		obj_end(t, &objs[i]);
		pr_info("object %u: %ld gets, %u lives, %u kills, %u resurrects, %u switches\n",
			i, atomic_long_read(&objs[i].gets), objs[i].lives, objs[i].kills,
			objs[i].resurrects, objs[i].switches);
	}
	for (i = 0; i < CONTEXTS; i++)
		pr_info("%s: %lu turns\n", test_context_names[i], turns_of(i));
	EXPECT(t, all_have_used());
}

/* G1, G2, G3, G13, F1, F3, F4, F6: what the head of the file says. */
static void storm_plain(struct test *t)
{
	storm(t, 0);
}

/* The same with releases from a workqueue. */
static void storm_work(struct test *t)
{
	storm(t, PCPUREF_RELEASE_WORK);
}

/* --- Objects that are looked up, replaced and freed ----------------------------------- */

#define ALIVE_MAGIC 0x600d600dUL

struct thing {
	struct pcpuref	ref;
	unsigned long	magic;
	struct rcu_head	rcu;
};

static struct thing __rcu *things[2];
static atomic_t things_released;

static void thing_release(struct pcpuref *ref)
{
	struct thing *thing = container_of(ref, struct thing, ref);

	if (xchg(&thing->magic, 0) != ALIVE_MAGIC)
		went_wrong("release of a dead object");
	atomic_inc(&things_released);
}

static struct thing *thing_new(unsigned int flags)
{
	struct thing *thing = kmalloc(sizeof(*thing), GFP_KERNEL);

	if (!thing || pcpuref_init(&thing->ref, thing_release, flags, GFP_KERNEL)) {
		went_wrong("no memory");
		kfree(thing);
		return NULL;
	}
	thing->magic = ALIVE_MAGIC;
	return thing;
}

static void look_up(struct test_actor *actor)
{
	struct place *u = container_of(actor, struct place, actor);
	unsigned int dice = test_random(&u->rnd);
	struct thing *thing;

	rcu_read_lock();
	thing = rcu_dereference(things[dice & 1]);
	if (thing && !pcpuref_tryget_live_rcu(&thing->ref))
		thing = NULL;
	rcu_read_unlock();
	if (!thing)
		return;
	u->turns++;
	if (READ_ONCE(thing->magic) != ALIVE_MAGIC)
		went_wrong("a dead object was got");
	if ((dice & 6) == 6 && !in_interrupt())
		usleep_range(10, 50);
	if (READ_ONCE(thing->magic) != ALIVE_MAGIC)
		went_wrong("an object died in use");
	pcpuref_put(&thing->ref);
}

static unsigned long all_turns(void)
{
	unsigned long turns = 0;
	int i;

	for (i = 0; i < CONTEXTS; i++)
		turns += turns_of(i);
	return turns;
}

static bool enough_was_done(unsigned int made)
{
	return made > 20 && all_turns() > 100;
}

/* Until @end; longer on a slow machine. */
static bool looks_go_on(unsigned long end, unsigned int made)
{
	if (atomic_read(&wrongs))
		return false;
	return time_before(jiffies, end) ||
	       (!enough_was_done(made) && time_before(jiffies, end + 4 * TEST_PATIENCE_S * HZ));
}

/* U2, F10, G8: kill_and_wait, exit, free, while others look it up. */
static void storm_lookup(struct test *t)
{
	static const unsigned int flags[] = {
		0, PCPUREF_INIT_ATOMIC, PCPUREF_RELEASE_WORK, PCPUREF_ALLOW_REINIT,
	};
	unsigned int made = 0, i;
	struct thing *old;
	unsigned long end;

	WRITE_ONCE(test_limit_s, seconds + 8 * TEST_PATIENCE_S);
	wrong = NULL;
	atomic_set(&wrongs, 0);
	atomic_set(&things_released, 0);
	WRITE_ONCE(test_stop, false);

	users_init(look_up);
	EXPECT(t, test_users_start(user_at, false));

	end = jiffies + seconds * HZ / 2;
	for (i = 0; looks_go_on(end, made); i++) {
		struct thing *thing = thing_new(flags[i / 2 % ARRAY_SIZE(flags)]);

		old = rcu_replace_pointer(things[i & 1], thing, true);
		made += !!thing;
		if (!old)
			continue;
		if (pcpuref_kill_and_wait_timeout(&old->ref, TEST_PATIENCE_S * HZ)) {
			went_wrong("an object is not released");
			break;
		}
		if (READ_ONCE(old->magic))
			went_wrong("kill_and_wait returned before release");
		pcpuref_exit(&old->ref);
		kfree_rcu(old, rcu);
	}

	WRITE_ONCE(test_stop, true);
	EXPECT(t, test_users_stop(user_at, false));
	if (!EXPECT_EQ(t, atomic_read(&wrongs), 0))
		scnprintf(t->why, sizeof(t->why), "%s (and %d more)", wrong,
			  atomic_read(&wrongs) - 1);
	for (i = 0; i < 2 && !t->failed; i++) {
		old = rcu_replace_pointer(things[i], NULL, true);
		if (!old)
			continue;
		EXPECT_EQ(t, pcpuref_kill_and_wait_timeout(&old->ref, TEST_PATIENCE_S * HZ), 0);
		pcpuref_exit(&old->ref);
		kfree_rcu(old, rcu);
	}
	EXPECT_EQ(t, atomic_read(&things_released), made);
	EXPECT(t, enough_was_done(made));
	pr_info("lookups: %u objects, %lu uses\n", made, all_turns());
}

/* --- A tryget that is late --------------------------------------------------------------- */

static struct pcpuref exiting;
static atomic_t exiting_released;
static unsigned long exiting_got, exiting_missed;

static void exiting_release(struct pcpuref *ref)
{
	atomic_inc(&exiting_released);
}

static int try_exiting(void *unused)
{
	unsigned int i;

	while (!READ_ONCE(test_stop)) {
		for (i = 0; i < 1000; i++) {
			if (pcpuref_tryget(&exiting)) {
				exiting_got++;
				pcpuref_put(&exiting);
			} else {
				exiting_missed++;
			}
		}
		cond_resched();
	}
	return 0;
}

static void spin_us(unsigned int us)
{
	u64 end = ktime_get_mono_fast_ns() + us * NSEC_PER_USEC;

	while (ktime_get_mono_fast_ns() < end)
		cpu_relax();
}

/* Whatever the interrupt has come into takes that much longer. */
static void hold_up(struct test_actor *actor)
{
	spin_us(100);
}

/*
 * G17: what a tryget looks at stays for a grace period after exit, also if it has begun
 * before exit and goes on long after it. If it does not, KASAN tells. The reference has no
 * counters, so nothing else waits for a grace period.
 */
static void storm_exit(struct test *t)
{
	unsigned long end = jiffies + seconds * HZ / 2;
	int cpu = cpumask_last(cpu_online_mask), rounds = 0;
	static struct test_actor holdup;
	struct test_thread *thread;

	if (num_online_cpus() == 1) {
		t->skipped = "needs two CPUs";
		return;
	}
	WRITE_ONCE(test_limit_s, seconds + 3 * TEST_PATIENCE_S);
	WRITE_ONCE(test_stop, false);
	atomic_set(&exiting_released, 0);
	exiting_got = 0;
	exiting_missed = 0;
	test_actor_init(&holdup, hold_up, HARDIRQ, cpu, 1);
	/* A tryget may come before the first init below, and needs one that has exited. */
	if (!EXPECT_EQ(t, pcpuref_init(&exiting, exiting_release,
				       PCPUREF_INIT_DEAD | PCPUREF_INIT_LAZY, GFP_KERNEL), 0))
		return;
	pcpuref_exit(&exiting);
	thread = test_start(try_exiting, NULL, cpu);
	EXPECT(t, thread && test_actor_start(&holdup));
	while (!t->failed && (time_before(jiffies, end) ||
			      /* They go on: a late look only takes longer. */
			      (!data_race(exiting_got && exiting_missed) &&
			       time_before(jiffies, end + TEST_PATIENCE_S * HZ)))) {
		EXPECT_EQ(t, pcpuref_init(&exiting, exiting_release,
					  PCPUREF_INIT_ATOMIC | PCPUREF_INIT_LAZY, GFP_KERNEL), 0);
		/* So that it is found. */
		spin_us(20);
		EXPECT_EQ(t, pcpuref_kill_and_wait_timeout(&exiting, TEST_PATIENCE_S * HZ), 0);
		pcpuref_exit(&exiting);
		EXPECT_EQ(t, atomic_read(&exiting_released), ++rounds);
		cond_resched();
	}
	WRITE_ONCE(test_stop, true);
	EXPECT(t, test_actor_stop(&holdup));
	EXPECT(t, test_join(thread, TEST_PATIENCE_S, NULL));
	EXPECT(t, exiting_got && exiting_missed);
	pr_info("late trygets: %d objects, got %lu, missed %lu, held up %lu times\n", rounds,
		exiting_got, exiting_missed, holdup.turns);
}

/* --- Last puts from each context ---------------------------------------------------- */

static struct {
	struct pcpuref	ref;
	int		puts;
	int		releases;
	int		in_handler;
	const char	*bad;
	bool		nmi;
} last;

static void last_release(struct pcpuref *ref)
{
	if (in_nmi())
		last.bad = "release in NMI";
	else if (last.nmi && READ_ONCE(last.in_handler) == raw_smp_processor_id() + 1)
		last.bad = "release before the NMI was over";
	else if (last.nmi && !IS_ENABLED(CONFIG_PREEMPT_RT) && !hardirq_count())
		last.bad = "release after NMI not in hard interrupt context";
	WRITE_ONCE(last.releases, last.releases + 1);
}

static void last_put(void)
{
	WRITE_ONCE(last.in_handler, raw_smp_processor_id() + 1);
	pcpuref_put(&last.ref);
	WRITE_ONCE(last.in_handler, 0);
	WRITE_ONCE(last.puts, last.puts + 1);
}

/* @put: has the last reference put somewhere; what release does is checked. */
static void last_puts(struct test *t, bool nmi, void (*put)(unsigned int round))
{
	unsigned int round;

	last.bad = NULL;
	last.puts = 0;
	last.releases = 0;
	last.nmi = nmi;
	EXPECT_EQ(t, pcpuref_init(&last.ref, last_release, PCPUREF_ALLOW_REINIT, GFP_KERNEL), 0);
	for (round = 1; round <= 100 && !t->failed; round++) {
		/* In per-CPU mode first, then in atomic mode. */
		if (round == 50)
			EXPECT_EQ(t, pcpuref_switch_to_atomic_sync(&last.ref), 0);
		pcpuref_get(&last.ref);
		EXPECT_EQ(t, pcpuref_kill_and_wait_timeout(&last.ref, 0), -ETIMEDOUT);
		EXPECT_EQ(t, pcpuref_read(&last.ref), 1);
		put(round);
		/* is_zero comes with release; a waiter is woken after it. */
		EXPECT_EQ(t, pcpuref_kill_and_wait_timeout(&last.ref, TEST_PATIENCE_S * HZ), 0);
		EXPECT(t, SOON(READ_ONCE(last.puts) == (int)round));
		EXPECT_EQ(t, READ_ONCE(last.releases), round);
		EXPECT(t, pcpuref_is_zero(&last.ref) && !pcpuref_tryget(&last.ref));
		EXPECT_EQ(t, pcpuref_reinit(&last.ref), 0);
	}
	last.nmi = false;
	EXPECT_EQ(t, pcpuref_kill_and_wait_timeout(&last.ref, TEST_PATIENCE_S * HZ), 0);
	EXPECT_EQ(t, last.releases, round);
	if (!EXPECT(t, !last.bad))
		scnprintf(t->why, sizeof(t->why), "%s", last.bad);
	if (!t->failed)
		pcpuref_exit(&last.ref);
}

static int some_cpu(unsigned int round)
{
	int cpu, n = round % num_online_cpus();

	for_each_online_cpu(cpu)
		if (!n--)
			return cpu;
	return cpumask_first(cpu_online_mask);
}

static void put_from_irq(void *unused)
{
	last_put();
}

static void put_by_irq(unsigned int round)
{
	smp_call_function_single(some_cpu(round), put_from_irq, NULL, 1);
}

static enum hrtimer_restart put_from_softirq(struct hrtimer *timer)
{
	last_put();
	return HRTIMER_NORESTART;
}

static struct hrtimer put_timer;

static void put_by_softirq(unsigned int round)
{
	hrtimer_start(&put_timer, ns_to_ktime(10 * NSEC_PER_USEC), HRTIMER_MODE_REL_SOFT);
}

static void last_put_irq(struct test *t)
{
	last_puts(t, false, put_by_irq);
}

static void last_put_softirq(struct test *t)
{
	test_timer_setup(&put_timer, put_from_softirq, HRTIMER_MODE_REL_SOFT);
	last_puts(t, false, put_by_softirq);
	hrtimer_cancel(&put_timer);
}

#ifdef TEST_HAVE_NMI
static int nmi_put_on;

static int last_nmi(unsigned int type, struct pt_regs *regs)
{
	if (READ_ONCE(nmi_put_on) != raw_smp_processor_id() + 1)
		return NMI_DONE;
	WRITE_ONCE(nmi_put_on, 0);
	last_put();
	return NMI_HANDLED;
}

static void put_by_nmi(unsigned int round)
{
	int cpu = some_cpu(round);

	WRITE_ONCE(nmi_put_on, cpu + 1);
	test_send_nmi(cpu);
}
#endif

/* G1: release is put off to where it may run, and comes once. */
static void last_put_nmi(struct test *t)
{
#ifdef TEST_HAVE_NMI
	EXPECT_EQ(t, register_nmi_handler(NMI_LOCAL, last_nmi, 0, "pcpuref_test_last"), 0);
	last_puts(t, true, put_by_nmi);
	unregister_nmi_handler(NMI_LOCAL, "pcpuref_test_last");
#else
	t->skipped = "no way to send an NMI on this architecture";
#endif
}

/*
 * F12: a put in NMI makes the count zero, and can tell that only in the hard interrupt
 * after it. A resurrect that comes first has to end the old life on its behalf, and what
 * the put then tells is not about the new one.
 */
static void resurrect_before_put_tells(struct test *t)
{
#ifdef TEST_HAVE_NMI
	unsigned long flags;
	int round, tries, err;

	EXPECT_EQ(t, register_nmi_handler(NMI_LOCAL, last_nmi, 0, "pcpuref_test_last"), 0);
	memset(&last, 0, sizeof(last));
	EXPECT_EQ(t, pcpuref_init(&last.ref, last_release, PCPUREF_ALLOW_REINIT, GFP_KERNEL), 0);
	for (round = 1; round <= 20 && !t->failed; round++) {
		pcpuref_get(&last.ref);
		EXPECT_EQ(t, pcpuref_kill_and_wait_timeout(&last.ref, 0), -ETIMEDOUT);
		local_irq_save(flags);
		WRITE_ONCE(nmi_put_on, raw_smp_processor_id() + 1);
		__test_send_nmi(raw_smp_processor_id());
		for (tries = 100; tries && READ_ONCE(last.puts) < round; tries--)
			mdelay(1);
		err = pcpuref_resurrect(&last.ref);
		local_irq_restore(flags);
		EXPECT(t, tries > 0);
		EXPECT_EQ(t, err, 0);
		EXPECT(t, SOON(READ_ONCE(last.releases) == round));
		if (EXPECT(t, pcpuref_tryget_live(&last.ref)))
			pcpuref_put(&last.ref);
		EXPECT_EQ(t, pcpuref_read(&last.ref), 1);
	}
	EXPECT_EQ(t, pcpuref_kill_and_wait_timeout(&last.ref, TEST_PATIENCE_S * HZ), 0);
	EXPECT_EQ(t, last.releases, round);
	if (!t->failed)
		pcpuref_exit(&last.ref);
	unregister_nmi_handler(NMI_LOCAL, "pcpuref_test_last");
#else
	t->skipped = "no way to send an NMI on this architecture";
#endif
}

/* --- A CPU goes offline with counts in its counter: see storm.sh ---------------------- */

static struct pcpuref hotplug_ref;
static int hotplug_releases;

static void hotplug_release(struct pcpuref *ref)
{
	hotplug_releases++;
}

static void hotplug_get(void *unused)
{
	pcpuref_get_many(&hotplug_ref, 1000);
}

static void hotplug_hold(struct test *t)
{
	int cpu = cpumask_last(cpu_online_mask);

	hotplug_releases = 0;
	EXPECT_EQ(t, pcpuref_init(&hotplug_ref, hotplug_release, PCPUREF_ALLOW_REINIT,
				  GFP_KERNEL), 0);
	EXPECT_EQ(t, smp_call_function_single(cpu, hotplug_get, NULL, 1), 0);
	EXPECT_EQ(t, pcpuref_read(&hotplug_ref), 1001);
}

/* The sum is over possible CPUs. */
static void hotplug_kill(struct test *t)
{
	if (num_online_cpus() == num_possible_cpus())
		t->skipped = "all CPUs are online";
	EXPECT_EQ(t, pcpuref_read(&hotplug_ref), 1001);
	EXPECT_EQ(t, pcpuref_kill_and_wait_timeout(&hotplug_ref, 0), -ETIMEDOUT);
	EXPECT_EQ(t, pcpuref_read(&hotplug_ref), 1000);
	pcpuref_put_many(&hotplug_ref, 999);
	EXPECT_EQ(t, hotplug_releases, 0);
	pcpuref_put(&hotplug_ref);
	EXPECT_EQ(t, hotplug_releases, 1);
	EXPECT_EQ(t, pcpuref_reinit(&hotplug_ref), 0);
	EXPECT_EQ(t, pcpuref_read(&hotplug_ref), 1);
	EXPECT_EQ(t, pcpuref_kill_and_wait(&hotplug_ref), 0);
	pcpuref_exit(&hotplug_ref);
}

static const struct test_case cases[] = {
	TEST_CASE("storm_G1_G2_G3_F1_F3_F6", storm_plain),
	TEST_CASE("storm_work_G1_G2_G3", storm_work),
	TEST_CASE("storm_lookup_U2_F10_G8", storm_lookup),
	TEST_CASE("storm_exit_G17", storm_exit),
	TEST_CASE("last_put_irq_G1", last_put_irq),
	TEST_CASE("last_put_softirq_G1", last_put_softirq),
	TEST_CASE("last_put_nmi_G1", last_put_nmi),
	TEST_CASE("resurrect_before_put_tells_F12", resurrect_before_put_tells),
	TEST_CASE("hotplug_hold", hotplug_hold),
	TEST_CASE("hotplug_kill", hotplug_kill),
	{ }
};

TEST_MODULE(cases, "Storms on pcpuref from every context");
