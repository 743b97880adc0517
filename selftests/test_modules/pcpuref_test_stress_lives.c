// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stress: those who make references, kill them, bring them back and end them, and
 * the callbacks. Each slot has one driver, in a task, a soft or a hard interrupt; what
 * has ended is made anew by a task. A driver that has to wait for something comes back
 * in its next turn, and makes no choice meanwhile.
 */
#include <linux/errno.h>
#include <linux/hardirq.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "pcpuref_test_stress.h"

/* --- Memory that is poisoned, and used again ---------------------------------- */

static LIST_HEAD(pool);
static DEFINE_RAW_SPINLOCK(pool_lock);

static void poison(struct stress_thing *o)
{
	const size_t from = offsetof(struct stress_thing, slot);

	memset((char *)o + from, STRESS_POISON, sizeof(*o) - from);
}

static bool is_poisoned(const struct stress_thing *o)
{
	const size_t from = offsetof(struct stress_thing, slot);

	return !memchr_inv((const char *)o + from, STRESS_POISON, sizeof(*o) - from);
}

static void to_pool(struct stress_thing *o)
{
	unsigned long flags;

	poison(o);
	raw_spin_lock_irqsave(&pool_lock, flags);
	list_add_tail(&o->pool, &pool);
	raw_spin_unlock_irqrestore(&pool_lock, flags);
}

/* What has lain there for longest, or NULL. */
static struct stress_thing *from_pool(void)
{
	struct stress_thing *o;
	unsigned long flags;

	raw_spin_lock_irqsave(&pool_lock, flags);
	o = list_first_entry_or_null(&pool, struct stress_thing, pool);
	if (o)
		list_del(&o->pool);
	raw_spin_unlock_irqrestore(&pool_lock, flags);
	if (o && !is_poisoned(o))
		stress_wrong(NULL, 0, "touched after exit", 0);
	return o;
}

int stress_pool_init(unsigned int nr)
{
	while (nr--) {
		struct stress_thing *o = kmalloc(sizeof(*o), GFP_KERNEL);

		if (!o)
			return -ENOMEM;
		to_pool(o);
	}
	return 0;
}

/* After a grace period: they all lie there. */
void stress_pool_end(void)
{
	struct stress_thing *o;

	while ((o = from_pool()))
		kfree(o);
}

/* The grace period after exit is over: no lookup is at it any more. */
static void thing_gone(struct rcu_head *head)
{
	struct stress_thing *o = container_of(head, struct stress_thing, rcu);

	/* No lookup sees it any more, but no other client has it yet. */
	if (stress_err_now(MISTAKE_WRITE_AFTER_EXIT))
		WRITE_ONCE(o->ref.word, 0);
	/* Most clients have freed it by now. */
	if (memcmp(&o->left, &o->ref, sizeof(o->ref)))
		stress_wrong(NULL, 0, "written to after exit", 0);
	if (!o->pooled) {
		kfree(o);
		return;
	}
	to_pool(o);
	/* The client writes to it after the end. */
	if (stress_err_now(MISTAKE_TOUCH_AFTER_EXIT))
		WRITE_ONCE(o->ref.word, 0);
}

/* --- Callbacks ---------------------------------------------------------------- */

static void next_life(struct stress_thing *o, bool brought_back)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&o->lock, flags);
	/* Pairs with the smp_load_acquire() in look_up(). */
	smp_store_release(&o->stage, (o->stage / STAGES + 1) * STAGES);
	o->brought_back = brought_back;
	o->wants_confirm = false;
	raw_spin_unlock_irqrestore(&o->lock, flags);
	/* Before what lets others get references; pairs with that in look_up(). */
	smp_mb();
}

static void set_stage(struct stress_thing *o, unsigned int stage)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&o->lock, flags);
	/* Pairs with the smp_load_acquire() in look_up(). */
	smp_store_release(&o->stage, o->stage / STAGES * STAGES + stage);
	raw_spin_unlock_irqrestore(&o->lock, flags);
}

/* Of a callback: it may come when nothing is there any more. */
static bool is_there(struct stress_thing *o, const char *what)
{
	if (READ_ONCE(o->magic) == STRESS_MAGIC)
		return true;
	stress_wrong(NULL, 0, what, 0);
	return false;
}

/* The end of @o; whoever calls it owns the slot. */
static void bury(struct stress_slot *s, struct stress_thing *o)
{
	bool hidden = s->how & BIT_ULL(40);

	s->at = NULL;
	if (hidden)
		rcu_assign_pointer(s->thing, NULL);
	pcpuref_exit(&o->ref);
	memcpy(&o->left, &o->ref, sizeof(o->ref));
	set_stage(o, EXITED);
	if (!hidden)
		rcu_assign_pointer(s->thing, NULL);
	call_rcu(&o->rcu, thing_gone);
	/* Pairs with the smp_load_acquire() of the maker. */
	smp_store_release(&s->state, EMPTY);
}

static void revive(struct stress_slot *s, struct stress_thing *o)
{
	next_life(o, false);
	if (pcpuref_reinit(&o->ref))
		stress_wrong(s, o->object, "reinit refused", 0);
	s->lives++;
	/* Pairs with the smp_load_acquire() of the driver. */
	smp_store_release(&s->state, LIVE);
}

static void thing_released(struct pcpuref *ref)
{
	struct stress_thing *o = container_of(ref, struct stress_thing, ref);
	enum stress_then then;
	struct stress_slot *s;
	unsigned long flags;
	unsigned int stage;
	bool usage;
	long held;

	if (!is_there(o, "release after exit"))
		return;
	s = o->slot;
	usage = o->flags & PCPUREF_ALLOW_ZERO;
	then = s->then;
	stress_called(s, o->object, usage ? OP_RELEASED_AT_ZERO : OP_RELEASED,
		      READ_ONCE(o->stage));
	atomic_inc(&o->releases);
	if (in_nmi())
		stress_wrong(s, o->object, "released in NMI", 0);
	if ((o->flags & PCPUREF_RELEASE_WORK) && (in_interrupt() || irqs_disabled()))
		stress_wrong(s, o->object, "not released in process context", 0);
	/* Of a usage counter that is zero now; it need not be when we look. */
	if (usage)
		return;

	held = stress_balance(s);
	if (held)
		stress_wrong(s, o->object, "released early: gets - puts is not 0 but", held);
	raw_spin_lock_irqsave(&o->lock, flags);
	stage = o->stage % STAGES;
	if (stage >= RELEASED)
		stress_wrong(s, o->object, "released twice in a life", 0);
	if (stage == ALIVE && o->wants_confirm && !o->brought_back)
		stress_wrong(s, o->object, "released before it was confirmed", 0);
	/* Pairs with the smp_load_acquire() in look_up() and in the driver. */
	smp_store_release(&o->stage, o->stage / STAGES * STAGES + RELEASED);
	raw_spin_unlock_irqrestore(&o->lock, flags);

	/* The driver has gone on already. */
	if (then == NOTHING)
		return;
	if (atomic_read(&o->confirms) != (int)s->kills ||
	    atomic_read(&o->switches) != (int)s->switches)
		stress_wrong(s, o->object, "a confirm has not come before release; came:",
			     atomic_read(&o->confirms) + atomic_read(&o->switches));
	if (stress_err_now(MISTAKE_RELEASE_TWICE))
		thing_released(ref);
	if (stress_is_wrong())
		return;
	stress_called(s, o->object, then == REINIT ? OP_REINIT_CALLED : OP_EXIT_CALLED,
		      READ_ONCE(o->stage));
	if (then == REINIT)
		revive(s, o);
	else
		bury(s, o);
}

static void thing_confirmed(struct pcpuref *ref)
{
	struct stress_thing *o = container_of(ref, struct stress_thing, ref);
	struct stress_slot *s;
	unsigned long flags;
	bool late;

	if (!is_there(o, "confirm after exit"))
		return;
	s = o->slot;
	stress_called(s, o->object, OP_CONFIRMED, READ_ONCE(o->stage));
	raw_spin_lock_irqsave(&o->lock, flags);
	late = o->brought_back;
	if (!late) {
		if (o->stage % STAGES != ALIVE || !o->wants_confirm)
			stress_wrong(s, o->object, "confirmed twice, or after the end", 0);
		/* Pairs with the smp_load_acquire() in look_up(). */
		smp_store_release(&o->stage, o->stage / STAGES * STAGES + CONFIRMED);
	}
	raw_spin_unlock_irqrestore(&o->lock, flags);
	if (stress_err_now(MISTAKE_LOST_CONFIRM))
		return;
	/* Last: then the driver goes on. Pairs with the atomic_read_acquire() there. */
	atomic_inc_return_release(&o->confirms);
	if (!late && stress_err_now(MISTAKE_CONFIRM_TWICE))
		thing_confirmed(ref);
}

static void thing_switched(struct pcpuref *ref)
{
	struct stress_thing *o = container_of(ref, struct stress_thing, ref);

	if (!is_there(o, "confirm of a switch after exit"))
		return;
	stress_called(o->slot, o->object, OP_SWITCHED, READ_ONCE(o->stage));
	/* As above. */
	atomic_inc_return_release(&o->switches);
}

/* --- The maker ---------------------------------------------------------------- */

/* The first choice about an object says what it is. */
static unsigned int flags_of(const struct stress_slot *s, u64 dice)
{
	unsigned int flags = 0;

	if (!(dice & 3))
		flags |= PCPUREF_INIT_ATOMIC;
	if (!(dice >> 2 & 7))
		flags |= PCPUREF_INIT_DEAD;
	if (dice >> 5 & 3)
		flags |= PCPUREF_ALLOW_REINIT;
	if (!(dice >> 7 & 3))
		flags |= PCPUREF_RELEASE_WORK;
	if (!(dice >> 9 & 3))
		flags |= PCPUREF_INIT_LAZY;
	if (!(dice >> 11 & 7))
		flags |= PCPUREF_MAY_LINGER;
	/* A usage counter is left and entered by its driver, which then has to wait. */
	if (s->nr % NMI == TASK && s->kind == &stress_plain && !(dice >> 14 & 3))
		flags |= PCPUREF_ALLOW_ZERO;
	return flags;
}

static bool init_thing(struct stress_actor *a, struct stress_slot *s, struct stress_thing *o,
		       u64 dice)
{
	gfp_t gfp = __GFP_NOWARN | (dice >> 17 & 1 ? GFP_KERNEL | __GFP_NORETRY : GFP_NOWAIT);
	int err = s->kind->init(&o->ref, thing_released, o->flags, gfp);

	stress_did(a, s, o, err ? OP_NO_MEMORY : OP_INIT);
	if (err && err != -ENOMEM)
		stress_wrong(s, o->object, "init failed", err);
	return !err;
}

static void make(struct stress_actor *a, struct stress_slot *s)
{
	unsigned int object = s->objects + 1;
	u64 dice = stress_dice(s->nr, object, 0);
	bool pooled = dice >> 18 & 1;
	struct stress_thing *o;
	bool made;

	o = pooled ? from_pool() : kmalloc(sizeof(*o), GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY);
	/* Later, and then the same. */
	if (!o)
		return;
	/* All but the reference. */
	memset((void *)o + offsetof(struct stress_thing, slot), 0,
	       sizeof(*o) - offsetof(struct stress_thing, slot));
	o->slot = s;
	o->kind = s->kind;
	o->object = object;
	o->pooled = pooled;
	o->flags = flags_of(s, dice);
	raw_spin_lock_init(&o->lock);
	WRITE_ONCE(o->magic, STRESS_MAGIC);
	o->stage = o->flags & PCPUREF_INIT_DEAD ? RELEASED : ALIVE;
	made = init_thing(a, s, o, dice);
	if (made && !(dice >> 19 & 15)) {
		stress_did(a, s, o, OP_CANCEL_INIT);
		pcpuref_cancel_init(&o->ref);
		made = init_thing(a, s, o, dice);
	}
	if (!made) {
		if (pooled)
			to_pool(o);
		else
			kfree(o);
		return;
	}

	s->at = o;
	s->steps = 1;
	s->lives = o->flags & PCPUREF_INIT_DEAD ? 0 : 1;
	s->last_life = 1;
	if (o->flags & (PCPUREF_INIT_ATOMIC | PCPUREF_INIT_DEAD | PCPUREF_ALLOW_REINIT))
		s->last_life += dice >> 23 & 7;
	s->then = NOTHING;
	s->kills = 0;
	s->switches = 0;
	s->mass = 0;
	s->held = false;
	s->exact = false;
	s->to_kill = false;
	s->how = 0;
	WRITE_ONCE(s->since, jiffies);
	s->inside = o->flags & PCPUREF_ALLOW_ZERO && s->lives;
	if (s->inside)
		stress_count_get(a, s, 1);
	WRITE_ONCE(s->objects, object);
	rcu_assign_pointer(s->thing, o);
	/* Pairs with the smp_load_acquire() of the driver. */
	smp_store_release(&s->state, s->lives ? LIVE : ENDED);
}

void stress_make(struct test_actor *actor)
{
	struct stress_actor *a = container_of(actor, struct stress_actor, actor);
	unsigned int i;

	for (i = 0; i < stress_refs && !stress_is_wrong(); i++) {
		struct stress_slot *s = &stress_slots[i];

		/* Pairs with the smp_store_release() in bury(). */
		if (s->kind && smp_load_acquire(&s->state) == EMPTY)
			make(a, s);
	}
}

/* --- The drivers -------------------------------------------------------------- */

u64 stress_choose(struct stress_slot *s)
{
	u64 dice = stress_dice(s->nr, s->objects, s->steps);

	if (s->objects == 1 && s->steps <= STRESS_DIGEST_STEPS)
		s->digest = stress_mix(s->digest, dice);
	s->steps++;
	return dice;
}

/* Where a resurrect and another life are allowed. */
static bool can_return(const struct stress_thing *o)
{
	return o->flags & (PCPUREF_INIT_ATOMIC | PCPUREF_INIT_DEAD | PCPUREF_ALLOW_REINIT);
}

static bool has_sync(struct stress_actor *a, struct stress_slot *s)
{
	/* With RCU-tasks it takes too long for those who wait behind it. */
	return a->actor.context == TASK && s->kind != &stress_tasks;
}

/* Whoever owns the slot may write to it meanwhile. */
void stress_wait_in_vain(struct stress_slot *s, const char *what)
{
	/* Pairs with the WRITE_ONCE() of all who write it. */
	if (time_after(jiffies, READ_ONCE(s->since) + stress_patience * HZ))
		stress_wrong(s, READ_ONCE(s->objects), what, stress_patience);
}

/* Confirms that came late are not to be taken for those of the next kill. */
static bool all_confirmed(struct stress_slot *s, struct stress_thing *o)
{
	/* Pair with the releases in thing_confirmed() and thing_switched(). */
	int more = atomic_read_acquire(&o->confirms) - (int)s->kills;
	int more_switches = atomic_read_acquire(&o->switches) - (int)s->switches;

	if (more > 0 || more_switches > 0)
		stress_wrong(s, o->object, "confirmed too often, by", max(more, more_switches));
	if (!more && !more_switches)
		return true;
	stress_wait_in_vain(s, "a confirm has not come, in seconds:");
	return false;
}

/* @confirm: that may have one. */
static void switch_mode(struct stress_actor *a, struct stress_slot *s, struct stress_thing *o,
			unsigned int dice, bool confirm)
{
	bool done = true;

	switch (dice % 8) {
	case 0:
	case 1:
		if (confirm) {
			s->switches++;
			stress_did(a, s, o, OP_TO_ATOMIC_CONFIRM);
			done = !pcpuref_switch_to_atomic(&o->ref, thing_switched);
			break;
		}
		fallthrough;
	case 2:
	case 3:
		stress_did(a, s, o, OP_TO_ATOMIC);
		done = !pcpuref_switch_to_atomic(&o->ref, NULL);
		break;
	case 4:
		if (has_sync(a, s)) {
			stress_did(a, s, o, OP_TO_ATOMIC_SYNC);
			done = !pcpuref_switch_to_atomic_sync(&o->ref);
			break;
		}
		fallthrough;
	default:
		if (can_return(o)) {
			stress_did(a, s, o, OP_TO_PERCPU);
			done = !pcpuref_switch_to_percpu(&o->ref);
		}
	}
	if (!done)
		stress_wrong(s, o->object, "switch refused", dice % 8);
}

/* Many, so that counters are far from zero on some CPUs. */
static void move_mass(struct stress_actor *a, struct stress_slot *s, struct stress_thing *o,
		      unsigned int dice)
{
	unsigned long nr = s->mass;

	s->mass = 0;
	if (nr) {
		stress_put(a, s, o, nr);
		return;
	}
	nr = 1 + dice % 100000;
	o->kind->get(&o->ref, nr);
	stress_count_get(a, s, nr);
	stress_did(a, s, o, OP_GET_MANY);
	s->mass = nr;
}

/* What has no counters gets them when it is used often. */
static void make_hot(struct stress_actor *a, struct stress_slot *s, struct stress_thing *o)
{
	unsigned int i;

	stress_did(a, s, o, OP_HOT);
	for (i = 0; i < 3000; i++) {
		o->kind->get(&o->ref, 1);
		stress_count_get(a, s, 1);
		stress_count_put(a, s, 1);
		o->kind->put(&o->ref, 1);
	}
}

/* The driver of a usage counter puts the initial reference, or gets one from zero. */
static void leave_or_enter(struct stress_actor *a, struct stress_slot *s, struct stress_thing *o)
{
	s->inside = !s->inside;
	if (!s->inside) {
		stress_did(a, s, o, OP_LEAVE);
		stress_count_put(a, s, 1);
		o->kind->put(&o->ref, 1);
	} else {
		stress_did(a, s, o, OP_ENTER);
		o->kind->get(&o->ref, 1);
		stress_count_get(a, s, 1);
	}
}

/*
 * Who ends it: the driver when it sees the stage, or release. Release of a usage counter
 * does not know whether it is the end, so its driver waits.
 */
static enum stress_state dying(const struct stress_slot *s)
{
	if (s->at->flags & PCPUREF_ALLOW_ZERO)
		return WAITING;
	return s->then == NOTHING ? DYING : LEAVING;
}

/* Nothing of @s may be used after it if release does something. */
static void kill_one(struct stress_actor *a, struct stress_slot *s, struct stress_thing *o)
{
	bool usage = o->flags & PCPUREF_ALLOW_ZERO, last = s->lives >= s->last_life;
	unsigned int object = o->object, how = s->how >> 8 & 7;
	enum stress_then then = NOTHING;
	unsigned long flags;
	bool held, wait;

	if (s->mass)
		move_mass(a, s, o, 0);
	if (usage && !s->inside)
		leave_or_enter(a, s, o);
	held = (s->how & 7) < 3;
	s->held = held;
	if (held) {
		o->kind->get(&o->ref, 1);
		stress_count_get(a, s, 1);
	}
	if (!usage && s->how >> 3 & 1)
		then = last ? EXIT : REINIT;
	/* Who waits for the end has to find it. */
	wait = how >= 6 && has_sync(a, s) && !held;
	if (wait)
		then = NOTHING;
	s->then = then;
	/* The driver is inside: no zero is to come, but some may not have been told yet. */
	s->exact = usage && a->actor.context == TASK && s->how & BIT(4);
	if (s->exact)
		pcpuref_barrier();
	s->released = atomic_read(&o->releases);
	/* The kill takes the initial one over. */
	if (usage) {
		s->inside = false;
		stress_count_put(a, s, 1);
	}
	WRITE_ONCE(s->since, jiffies);
	s->to_kill = false;

	raw_spin_lock_irqsave(&o->lock, flags);
	o->brought_back = false;
	o->wants_confirm = how < 3;
	raw_spin_unlock_irqrestore(&o->lock, flags);

	if (wait) {
		WRITE_ONCE(s->state, WAITING);
		return;
	}

	s->kills += how < 3;
	stress_did(a, s, o, how < 3 ? OP_KILL_AND_CONFIRM :
		   how < 5 || !has_sync(a, s) ? OP_KILL : OP_KILL_SYNC);
	/* Release may already change it. Pairs with the smp_load_acquire() of the driver. */
	smp_store_release(&s->state, held ? HELD : dying(s));
	/* It may be gone when the kill returns. */
	rcu_read_lock();
	if (how < 3) {
		if (pcpuref_kill_and_confirm(&o->ref, thing_confirmed))
			stress_wrong(s, object, "kill refused", 0);
	} else if (how < 5 || !has_sync(a, s)) {
		if (pcpuref_kill(&o->ref))
			stress_wrong(s, object, "kill refused", 0);
	} else {
		rcu_read_unlock();
		if (pcpuref_kill_sync(&o->ref))
			stress_wrong(s, object, "kill_sync failed", 0);
		/* Without that one it may be gone. */
		else if (held)
			set_stage(o, CONFIRMED);
		return;
	}
	if (then != REINIT && o->kind->tryget_live(&o->ref, 1))
		stress_wrong(s, object, "live reference after kill on the same CPU", 0);
	rcu_read_unlock();
}

static void drive_live(struct stress_actor *a, struct stress_slot *s, struct stress_thing *o)
{
	u64 dice;

	if (s->to_kill) {
		if (all_confirmed(s, o))
			kill_one(a, s, o);
		return;
	}
	dice = stress_choose(s);
	switch (dice % 16) {
	case 0:
	case 1:
		move_mass(a, s, o, dice >> 16);
		break;
	case 2:
	case 3:
	case 4:
	case 5:
		switch_mode(a, s, o, dice >> 16, true);
		break;
	case 6:
		if (a->actor.context == TASK && (o->flags & PCPUREF_INIT_LAZY))
			make_hot(a, s, o);
		break;
	case 7:
	case 8:
		if (o->flags & PCPUREF_ALLOW_ZERO)
			leave_or_enter(a, s, o);
		break;
	case 9:
	case 10:
	case 11:
	case 12:
		s->to_kill = true;
		s->how = dice >> 16;
		WRITE_ONCE(s->since, jiffies);
	}
}

/* In effect when the call returns, also with a switch in flight. */
static void check_live(struct stress_actor *a, struct stress_slot *s, struct stress_thing *o)
{
	if (pcpuref_is_dying(&o->ref) || !o->kind->tryget_live(&o->ref, 1)) {
		stress_wrong(s, o->object, "not live after it was brought back", 0);
		return;
	}
	stress_count_get(a, s, 1);
	stress_put(a, s, o, 1);
}

/* Killed, and the driver has one: it cannot come to zero. */
static void drive_held(struct stress_actor *a, struct stress_slot *s, struct stress_thing *o)
{
	bool usage = o->flags & PCPUREF_ALLOW_ZERO;
	u64 dice = stress_choose(s);

	if (!o->kind->tryget(&o->ref, 1)) {
		stress_wrong(s, o->object, "no tryget of what is held", 0);
		return;
	}
	stress_count_get(a, s, 1);
	stress_put(a, s, o, 1);
	/* Exact by now. */
	if (READ_ONCE(o->stage) % STAGES == CONFIRMED) {
		stress_did(a, s, o, OP_READ_HELD);
		if (pcpuref_read(&o->ref) < 1)
			stress_wrong(s, o->object, "read is less than what is held", 1);
	}

	switch (dice % 8) {
	case 0:
		switch_mode(a, s, o, dice >> 16, false);
		break;
	case 1:
	case 2:
		if (!can_return(o))
			break;
		next_life(o, true);
		s->held = false;
		WRITE_ONCE(s->state, LIVE);
		stress_did(a, s, o, OP_RESURRECT);
		if (pcpuref_resurrect(&o->ref))
			stress_wrong(s, o->object, "resurrect refused", 0);
		if (usage) {
			s->inside = true;
			stress_count_get(a, s, 1);
		}
		/* The one that has held it. */
		stress_put(a, s, o, 1);
		check_live(a, s, o);
		break;
	case 3:
		if (a->actor.context == TASK && !usage && stress_err_now(MISTAKE_FORGOTTEN_PUT)) {
			WRITE_ONCE(s->state, DYING);
			WRITE_ONCE(s->since, jiffies);
			break;
		}
		if (a->actor.context == TASK && !usage && stress_err_now(MISTAKE_EARLY_RELEASE)) {
			/* Not in the books: somebody thinks that it is still held. */
			WRITE_ONCE(s->state, DYING);
			o->kind->put(&o->ref, 1);
			break;
		}
		s->held = false;
		WRITE_ONCE(s->since, jiffies);
		/* Pairs as in kill_one(). */
		smp_store_release(&s->state, dying(s));
		stress_put(a, s, o, 1);
		break;
	}
}

static void drive_dying(struct stress_slot *s)
{
	/* Pairs with the smp_store_release() in thing_released(). */
	if (smp_load_acquire(&s->at->stage) % STAGES == RELEASED)
		WRITE_ONCE(s->state, ENDED);
	else
		stress_wait_in_vain(s, "killed and not released, in seconds:");
}

static void drive_waiting(struct stress_actor *a, struct stress_slot *s, struct stress_thing *o)
{
	int err;

	stress_did(a, s, o, OP_KILL_AND_WAIT);
	err = pcpuref_kill_and_wait_timeout(&o->ref, 1);
	if (err == -ETIMEDOUT) {
		stress_wait_in_vain(s, "killed and not released, in seconds:");
		return;
	}
	if (err)
		stress_wrong(s, o->object, "kill_and_wait failed", err);
	if (o->flags & PCPUREF_ALLOW_ZERO) {
		if (atomic_read(&o->releases) == s->released)
			stress_wrong(s, o->object, "a usage counter ended without release", 0);
		set_stage(o, RELEASED);
	} else if (READ_ONCE(o->stage) % STAGES != RELEASED) {
		stress_wrong(s, o->object, "kill_and_wait returned before release", 0);
	}
	WRITE_ONCE(s->state, ENDED);
}

static void check_ended(struct stress_actor *a, struct stress_slot *s, struct stress_thing *o)
{
	long held = stress_balance(s);

	if (held)
		stress_wrong(s, o->object, "put too late: gets - puts is not 0 after the end but",
			     held);
	stress_did(a, s, o, OP_IS_ZERO);
	if (!pcpuref_is_zero(&o->ref) || pcpuref_read(&o->ref) || o->kind->tryget(&o->ref, 1))
		stress_wrong(s, o->object, "not zero after release", 0);
	if (atomic_read(&o->handed))
		stress_wrong(s, o->object, "released with references handed over", 0);
	if (!(o->flags & PCPUREF_ALLOW_ZERO) &&
	    atomic_read(&o->releases) != (int)s->lives)
		stress_wrong(s, o->object, "lives and releases differ: releases are",
			     atomic_read(&o->releases));
	if (s->exact && atomic_read(&o->releases) != s->released + 1)
		stress_wrong(s, o->object, "a usage counter's end is not one release but",
			     atomic_read(&o->releases) - s->released);
}

static void drive_ended(struct stress_actor *a, struct stress_slot *s, struct stress_thing *o)
{
	bool last = s->lives >= s->last_life;
	u64 dice;

	if (s->lives && a->actor.context == TASK && !(o->flags & PCPUREF_ALLOW_ZERO) &&
	    stress_err_now(MISTAKE_LATE_PUT)) {
		stress_expect("misuse: put without a reference: name=ref release=thing_released");
		stress_put(a, s, o, 1);
	}
	check_ended(a, s, o);
	if (stress_is_wrong() || !all_confirmed(s, o))
		return;
	dice = stress_choose(s);
	if (last) {
		s->how = dice;
		stress_did(a, s, o, OP_EXIT);
		bury(s, o);
		return;
	}
	if (!(dice & 7))
		switch_mode(a, s, o, dice >> 16, true);
	stress_did(a, s, o, OP_REINIT);
	if (o->flags & PCPUREF_ALLOW_ZERO) {
		stress_count_get(a, s, 1);
		s->inside = true;
	}
	revive(s, o);
	check_live(a, s, o);
}

/* --- Turns -------------------------------------------------------------------- */

static void drive(struct stress_actor *a, struct stress_slot *s)
{
	/* Pairs with the releases of the maker, of release, and of krefs'. */
	enum stress_state state = smp_load_acquire(&s->state);

	if (!s->kind) {
		stress_drive_kref(a, s, state);
		return;
	}
	switch (state) {
	case EMPTY:
		break;
	case LIVE:
		drive_live(a, s, s->at);
		break;
	case HELD:
		drive_held(a, s, s->at);
		break;
	case DYING:
		drive_dying(s);
		break;
	case LEAVING:
		stress_wait_in_vain(s, "killed and not released, in seconds:");
		break;
	case WAITING:
		drive_waiting(a, s, s->at);
		break;
	case ENDED:
		drive_ended(a, s, s->at);
		break;
	}
}

/* Some of its slots, one after the other. */
void stress_drive(struct test_actor *actor)
{
	struct stress_actor *a = container_of(actor, struct stress_actor, actor);
	unsigned int i;

	for (i = 0; i < 4 && !stress_is_wrong(); i++) {
		unsigned int nr = a->lane + a->next * STRESS_DRIVERS;

		if (nr >= stress_refs) {
			nr = a->lane;
			a->next = 0;
		}
		a->next++;
		drive(a, &stress_slots[nr]);
	}
}

/*
 * When all actors have stopped: a step towards the end of what is in the slot, also
 * after a mistake of the client's. True when it is there.
 */
bool stress_end(struct stress_actor *a, struct stress_slot *s)
{
	/* As in drive(). */
	enum stress_state state = smp_load_acquire(&s->state);
	struct stress_thing *o = s->at;

	if (!s->kind) {
		if (state == LIVE)
			stress_end_kref(a, s);
		return state == ENDED || state == EMPTY;
	}
	switch (state) {
	case EMPTY:
		return true;
	case LIVE:
		if (stress_bug != MISTAKE_LOST_CONFIRM && !all_confirmed(s, o))
			return false;
		/* Those who wait. */
		s->how = 6 << 8 | 7;
		kill_one(a, s, o);
		return false;
	case HELD:
		s->held = false;
		s->then = NOTHING;
		WRITE_ONCE(s->state, dying(s));
		stress_put(a, s, o, 1);
		return false;
	case DYING:
		if (s->held) {
			s->held = false;
			/* It is held in the books only, or has been forgotten. */
			if (stress_bug == MISTAKE_EARLY_RELEASE)
				stress_count_put(a, s, 1);
			else
				stress_put(a, s, o, 1);
		}
		drive_dying(s);
		return false;
	case LEAVING:
		/* After a mistake release takes nothing away. */
		if (o && stress_is_wrong() && READ_ONCE(o->stage) % STAGES == RELEASED)
			WRITE_ONCE(s->state, ENDED);
		return false;
	case WAITING:
		drive_waiting(a, s, o);
		return false;
	case ENDED:
		if (!stress_is_wrong())
			check_ended(a, s, o);
		if (stress_is_wrong() || all_confirmed(s, o)) {
			bury(s, o);
			return true;
		}
		return false;
	}
	return false;
}
