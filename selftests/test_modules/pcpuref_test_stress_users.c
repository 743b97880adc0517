// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stress: those who get and put references, in each context of each CPU. They look
 * them up under RCU, hold some from one turn to the next, and hand some over to whoever
 * comes by, so that a reference is put on another CPU and in another context than it was
 * got in.
 */
#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/rcupdate.h>

#include "pcpuref_test_stress.h"

/* --- The books: a get is written down after it is done, a put before ---------- */

void stress_count_get(struct stress_actor *a, struct stress_slot *s, unsigned long nr)
{
	/* Written by this actor only. Pairs with the READ_ONCE() in stress_balance(). */
	WRITE_ONCE(a->gets[s->nr], a->gets[s->nr] + nr);
}

void stress_count_put(struct stress_actor *a, struct stress_slot *s, unsigned long nr)
{
	/* As above. */
	WRITE_ONCE(a->puts[s->nr], a->puts[s->nr] + nr);
}

void stress_put(struct stress_actor *a, struct stress_slot *s, struct stress_thing *o,
		unsigned long nr)
{
	stress_did(a, s, o, nr == 1 ? OP_PUT : OP_PUT_MANY);
	stress_count_put(a, s, nr);
	o->kind->put(&o->ref, nr);
}

/* --- References --------------------------------------------------------------- */

/*
 * What is dying may be got by those who hold it, and a tryget asks no more. On a slow
 * machine users can hold it by turns without end: after a while they let it go.
 */
static bool has_to_end(struct stress_slot *s)
{
	/* Pairs with the WRITE_ONCE() and smp_store_release() of all who write it. */
	switch (READ_ONCE(s->state)) {
	case DYING:
	case LEAVING:
	case WAITING:
		return time_after(jiffies, READ_ONCE(s->since) + stress_patience * HZ / 4);
	default:
		return false;
	}
}

static void check_held(struct stress_slot *s, struct stress_thing *o)
{
	if (READ_ONCE(o->magic) != STRESS_MAGIC)
		stress_wrong(s, 0, "freed while it was held", 0);
}

/* To whoever comes by next. */
static void hand_over(struct stress_actor *a, struct stress_slot *s, struct stress_thing *o,
		      unsigned long nr)
{
	stress_did(a, s, o, OP_HAND_OVER);
	/* Who takes them over has seen what this one did, and its books. */
	atomic_add_return(nr, &o->handed);
}

static void use_held(struct stress_actor *a, struct stress_slot *s, struct stress_hold *hold,
		     u64 dice)
{
	struct stress_thing *o = hold->thing;
	unsigned long nr = hold->nr;

	check_held(s, o);
	switch (has_to_end(s) ? 7 : dice % 8) {
	case 0:
		stress_did(a, s, o, OP_GET);
		o->kind->get(&o->ref, 1);
		stress_count_get(a, s, 1);
		hold->nr++;
		return;
	case 1:
		stress_did(a, s, o, OP_GET_MANY);
		o->kind->get(&o->ref, 2);
		stress_count_get(a, s, 2);
		hold->nr += 2;
		return;
	case 2:
		if (!o->kind->tryget(&o->ref, 1)) {
			stress_wrong(s, o->object, "no tryget of what is held", 0);
			return;
		}
		stress_count_get(a, s, 1);
		stress_put(a, s, o, 1);
		return;
	case 3:
		if (pcpuref_is_zero(&o->ref))
			stress_wrong(s, o->object, "is_zero of what is held", 0);
		return;
	case 4:
		hold->nr = 0;
		hand_over(a, s, o, nr);
		return;
	case 5:
		hold->nr--;
		stress_put(a, s, o, 1);
		return;
	default:
		hold->nr = 0;
		stress_put(a, s, o, nr);
	}
}

/* Return: how many references that @dice wants have been got. */
static unsigned long get(struct stress_actor *a, struct stress_slot *s, struct stress_thing *o,
			 u64 dice, bool *live)
{
	unsigned long nr = 2 + (unsigned int)(dice >> 4) % 3;
	enum stress_op op;
	bool got;

	*live = true;
	switch (dice % 8) {
	case 0:
		op = OP_TRYGET;
		*live = false;
		nr = 1;
		got = o->kind->tryget(&o->ref, 1);
		break;
	case 1:
		op = OP_TRYGET_MANY;
		*live = false;
		got = o->kind->tryget(&o->ref, nr);
		break;
	case 2:
		op = OP_GET_UNLESS_ZERO;
		*live = false;
		nr = 1;
		got = o->kind->get_unless_zero(&o->ref);
		break;
	case 3:
		op = OP_TRYGET_LIVE_MANY;
		got = o->kind->tryget_live(&o->ref, nr);
		break;
	case 4:
		op = OP_TRYGET_LIVE_RCU;
		nr = 1;
		got = o->kind->tryget_live_rcu(&o->ref);
		break;
	default:
		op = OP_TRYGET_LIVE;
		nr = 1;
		/* The mistake is the other call. */
		got = stress_bug == MISTAKE_LIVE_AFTER_CONFIRM ? o->kind->tryget(&o->ref, 1) :
							     o->kind->tryget_live(&o->ref, 1);
	}
	stress_did(a, s, o, got ? op : OP_MISS);
	return got ? nr : 0;
}

/* As others do: find it, see whether it may be had, and take it out of the section. */
static void look_up(struct stress_actor *a, struct stress_slot *s, struct stress_hold *hold,
		    u64 dice)
{
	struct stress_thing *o;
	unsigned int stage;
	unsigned long nr = 0;
	bool live;

	rcu_read_lock();
	o = rcu_dereference(s->thing);
	if (!o)
		goto out;
	/* Fully ordered, as what hands them over: see there. */
	if (dice & 1)
		nr = atomic_xchg(&o->handed, 0);
	if (nr) {
		stress_did(a, s, o, OP_TAKE_OVER);
		goto got;
	}

	if (has_to_end(s))
		goto out;
	/* Pairs with the smp_store_release() of all who write it. */
	stage = smp_load_acquire(&o->stage);
	nr = get(a, s, o, dice >> 1, &live);
	if (!nr)
		goto out;
	/* Pairs with that in next_life(): equal means that it was this life. */
	smp_mb();
	if (READ_ONCE(o->stage) == stage) {
		if (live && stage % STAGES != ALIVE)
			stress_wrong(s, o->object, "live reference after confirm", stage % STAGES);
		if (stage % STAGES >= RELEASED)
			stress_wrong(s, o->object, "reference after release", stage % STAGES);
	}
	stress_count_get(a, s, nr);
got:
	check_held(s, o);
	/* An NMI may be the last for long, if its CPU goes offline. */
	if (a->actor.context == NMI && dice & BIT(16)) {
		stress_did(a, s, o, OP_GET_MANY);
		o->kind->get(&o->ref, 2);
		stress_count_get(a, s, 2);
		nr += 2;
	} else if (a->actor.context == NMI && dice & BIT(17)) {
		stress_did(a, s, o, OP_GET);
		o->kind->get(&o->ref, 1);
		stress_count_get(a, s, 1);
		nr++;
	}
	if (a->actor.context == NMI && dice & BIT(18)) {
		hand_over(a, s, o, nr);
	} else if (a->actor.context != NMI && dice & BIT(19)) {
		hold->thing = o;
		hold->nr = nr;
	} else {
		stress_put(a, s, o, nr);
	}
out:
	rcu_read_unlock();
}

/* --- Turns -------------------------------------------------------------------- */

void stress_use(struct test_actor *actor)
{
	struct stress_actor *a = container_of(actor, struct stress_actor, actor);
	unsigned int i;

	for (i = 0; i < 4 && !stress_is_wrong(); i++) {
		u64 dice = stress_dice(STRESS_USERS + a->nr, 0, a->choices);
		struct stress_slot *s = &stress_slots[(u32)dice % stress_refs];
		struct stress_hold *hold = &a->holds[s->nr];

		if (a->choices++ < STRESS_DIGEST_TURNS)
			a->digest = stress_mix(a->digest, dice);
		dice >>= 32;
		if (!s->kind)
			stress_use_kref(a, s, hold, dice);
		else if (hold->nr)
			use_held(a, s, hold, dice);
		else
			look_up(a, s, hold, dice);
	}
}

/* When all have stopped: what this one still has. */
void stress_use_end(struct stress_actor *a)
{
	unsigned int i;

	for (i = 0; i < stress_refs; i++) {
		struct stress_slot *s = &stress_slots[i];
		unsigned long nr = a->holds[i].nr;

		a->holds[i].nr = 0;
		if (!nr)
			continue;
		if (s->kind)
			stress_put(a, s, a->holds[i].thing, nr);
		else
			stress_put_krefs(a, s, nr);
	}
}
