// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stress: krefs, which are in memory that is used again at once, so that a lookup
 * may get a reference to the object that has come after the one it looked for.
 */
#include <linux/jiffies.h>
#include <linux/kernel.h>

#include "pcpuref_test_stress.h"

static void kref_released(struct pcpuref_kref *kref)
{
	struct stress_key *key = container_of(kref, struct stress_key, kref);
	struct stress_slot *s = container_of(key, struct stress_slot, key);
	long held = stress_balance(s);

	stress_called(s, key->key, OP_KREF_RELEASED, 0);
	if (held)
		stress_wrong(s, key->key, "released early: gets - puts is not 0 but", held);
	if (key->ended == key->key)
		stress_wrong(s, key->key, "released twice in a life", 0);
	WRITE_ONCE(key->ended, key->key);
	/* Pairs with the smp_load_acquire() of the driver. */
	smp_store_release(&s->state, ENDED);
}

/* --- Users ------------------------------------------------------------------------- */

void stress_put_krefs(struct stress_actor *a, struct stress_slot *s, unsigned long nr)
{
	while (nr--) {
		stress_did(a, s, NULL, OP_KREF_PUT);
		stress_count_put(a, s, 1);
		pcpuref_kref_put(&s->key.kref, kref_released);
	}
}

void stress_use_kref(struct stress_actor *a, struct stress_slot *s, struct stress_hold *hold,
		     u64 dice)
{
	unsigned long nr = hold->nr, key;

	if (nr) {
		hold->nr = 0;
		stress_put_krefs(a, s, nr);
		return;
	}
	/* What was found in the last turn may be another object's by now. */
	key = hold->key;
	hold->key = 0;
	if (!key) {
		/* Pairs with the smp_store_release() in kref_begin(). */
		key = smp_load_acquire(&s->looked_up);
		if (dice & 1) {
			hold->key = key;
			return;
		}
	}
	if (!key)
		return;
	if (!pcpuref_kref_get_unless_zero(&s->key.kref)) {
		stress_did(a, s, NULL, OP_MISS);
		return;
	}
	stress_did(a, s, NULL, OP_KREF_GET_UNLESS_ZERO);
	stress_count_get(a, s, 1);
	/* The key of the life that the reference is of; pairs with the smp_wmb() there. */
	smp_rmb();
	if (READ_ONCE(s->key.key) != key && stress_bug != MISTAKE_STALE_KREF) {
		stress_put_krefs(a, s, 1);
		return;
	}
	if (READ_ONCE(s->key.key) != key)
		stress_wrong(s, key, "got what has another key, which is", s->key.key);
	if (READ_ONCE(s->key.ended) == key)
		stress_wrong(s, key, "reference after release", 0);
	nr = 1;
	if (dice & 2) {
		stress_did(a, s, NULL, OP_KREF_GET);
		pcpuref_kref_get(&s->key.kref);
		stress_count_get(a, s, 1);
		nr++;
	}
	if (a->actor.context != NMI && dice & 4)
		hold->nr = nr;
	else
		stress_put_krefs(a, s, nr);
}

/* --- The driver ----------------------------------------------------------------------- */

void stress_end_kref(struct stress_actor *a, struct stress_slot *s)
{
	/* Pairs with the smp_load_acquire() in stress_use_kref(). */
	smp_store_release(&s->looked_up, 0);
	WRITE_ONCE(s->since, jiffies);
	/* Release changes it. Pairs as above. */
	smp_store_release(&s->state, LEAVING);
	stress_did(a, s, NULL, OP_KREF_PUT);
	stress_count_put(a, s, 1);
	pcpuref_kref_put(&s->key.kref, kref_released);
}

/* The same memory at once: who has looked up the last one may get the next. */
static void kref_begin(struct stress_actor *a, struct stress_slot *s)
{
	unsigned long key = s->objects + 1;

	if (stress_balance(s))
		stress_wrong(s, s->objects, "put too late: gets - puts is not 0 after the end but",
			     stress_balance(s));
	WRITE_ONCE(s->objects, key);
	WRITE_ONCE(s->key.key, key);
	/* Who gets a reference sees the key; pairs with the smp_rmb() in stress_use_kref(). */
	smp_wmb();
	stress_did(a, s, NULL, OP_KREF_INIT);
	stress_count_get(a, s, 1);
	pcpuref_kref_init(&s->key.kref);
	s->steps = 1;
	/* Pairs with the smp_load_acquire() in stress_use_kref(). */
	smp_store_release(&s->looked_up, key);
	WRITE_ONCE(s->state, LIVE);
}

void stress_drive_kref(struct stress_actor *a, struct stress_slot *s, enum stress_state state)
{
	if (state == LEAVING)
		stress_wait_in_vain(s, "put and not released, in seconds:");
	else if (state != LIVE)
		kref_begin(a, s);
	else if (!(stress_choose(s) & 7))
		stress_end_kref(a, s);
}
