/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The stress: what its parts share. In pcpuref_test_stress_main.c it begins and ends, and
 * is reported; _lives.c has those who make, kill and bring back references, _users.c
 * those who get and put them, _krefs.c both for krefs; _plain.c, _tasks.c and _inline.c
 * are the kinds of clients.
 *
 * Who decides: every choice is taken from stress_dice(), a function of the seed, of who
 * chooses, and of how often that has chosen. So with the same seed each user makes the
 * same choices one after the other, and each reference is led through the same lives.
 * When each choice is carried out, and what it meets then, is the machine's.
 */
#ifndef PCPUREF_TEST_STRESS_H
#define PCPUREF_TEST_STRESS_H

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/list.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "actor.h"
#include "pcpuref.h"
#include "pcpuref_kref.h"

/* --- What is done, and where it has to happen ------------------------------------ */

enum stress_op {
	/* by users, in all contexts */
	OP_GET,
	OP_GET_MANY,
	OP_TRYGET,
	OP_TRYGET_MANY,
	OP_TRYGET_LIVE,
	OP_TRYGET_LIVE_MANY,
	OP_TRYGET_LIVE_RCU,
	OP_GET_UNLESS_ZERO,
	OP_MISS,
	OP_PUT,
	OP_PUT_MANY,
	OP_HAND_OVER,
	OP_TAKE_OVER,
	OP_KREF_GET_UNLESS_ZERO,
	OP_KREF_GET,
	OP_KREF_PUT,
	/* by drivers, in all contexts but NMI */
	OP_KILL,
	OP_KILL_AND_CONFIRM,
	OP_RESURRECT,
	OP_REINIT,
	OP_TO_ATOMIC,
	OP_TO_ATOMIC_CONFIRM,
	OP_TO_PERCPU,
	OP_IS_ZERO,
	OP_READ_HELD,
	OP_EXIT,
	OP_KREF_INIT,
	/* by tasks */
	OP_INIT,
	OP_CANCEL_INIT,
	OP_KILL_SYNC,
	OP_KILL_AND_WAIT,
	OP_TO_ATOMIC_SYNC,
	OP_HOT,
	OP_LEAVE,
	OP_ENTER,
	/* callbacks, and what is called in them */
	OP_RELEASED,
	OP_RELEASED_AT_ZERO,
	OP_CONFIRMED,
	OP_SWITCHED,
	OP_REINIT_CALLED,
	OP_EXIT_CALLED,
	OP_KREF_RELEASED,
	OP_NO_MEMORY,
	NR_STRESS_OPS
};

/* --- Deliberate mistakes of the client --------------------------------------------- */

enum stress_bug {
	MISTAKE_NONE,
	MISTAKE_EARLY_RELEASE,
	MISTAKE_LATE_PUT,
	MISTAKE_LIVE_AFTER_CONFIRM,
	MISTAKE_FORGOTTEN_PUT,
	MISTAKE_LOST_CONFIRM,
	MISTAKE_CONFIRM_TWICE,
	MISTAKE_RELEASE_TWICE,
	MISTAKE_WRITE_AFTER_EXIT,
	MISTAKE_TOUCH_AFTER_EXIT,
	MISTAKE_STALE_KREF,
	NR_STRESS_BUGS
};

/* --- References ------------------------------------------------------------------ */

struct stress_kind;
struct stress_slot;

/* What @stage says in its low bits; each life begins with the next multiple. */
enum { ALIVE, CONFIRMED, RELEASED, EXITED, STAGES };

#define STRESS_MAGIC	0x600d0b1eU
#define STRESS_POISON	0x5b

/**
 * struct stress_thing - an object with a reference, from init to exit
 * @rcu: frees it
 * @pool: in the pool
 * @slot: that it is in; from here on it is poisoned while it is in the pool
 * @magic: says that it is not
 * @ref: the reference
 * @guard: nothing, around it
 * @kind: of client
 * @flags: of init
 * @object: number of it in its slot
 * @pooled: goes back to the pool, not to the allocator
 * @lock: of the next three
 * @stage: where it is in its life
 * @brought_back: the confirm that is to come is of a kill that has been undone
 * @wants_confirm: and this kill has one
 * @handed: references that nobody has but whoever takes them over
 * @releases: calls so far, and of the other callbacks
 * @confirms: likewise
 * @switches: likewise
 * @left: the reference as pcpuref_exit() has left it
 */
struct stress_thing {
	struct rcu_head			rcu;
	struct list_head		pool;

	struct stress_slot		*slot;
	unsigned int			magic;
	unsigned long			guard[2];
	struct pcpuref			ref;
	const struct stress_kind	*kind;
	unsigned int			flags;
	unsigned int			object;
	bool				pooled;
	raw_spinlock_t			lock;
	unsigned int			stage;
	bool				brought_back;
	bool				wants_confirm;
	atomic_t			handed;
	atomic_t			releases;
	atomic_t			confirms;
	atomic_t			switches;
	struct pcpuref			left;
};

/**
 * struct stress_key - a kref in memory that is used again at once
 * @kref: the count
 * @key: of the object that it is now
 * @ended: key of the last one that was released
 */
struct stress_key {
	struct pcpuref_kref	kref;
	unsigned long		key;
	unsigned long		ended;
};

/* What is in a slot. EMPTY is the maker's, LEAVING release's, all others the driver's. */
enum stress_state { EMPTY, LIVE, HELD, DYING, LEAVING, WAITING, ENDED };

/* Two in each context that may: the slots are dealt out to them. */
#define STRESS_DRIVERS	(2 * NMI)

/* What release is to do: decided with the kill. */
enum stress_then { NOTHING, REINIT, EXIT };

#define STRESS_RING 24

/**
 * struct stress_slot - a place for a reference, and its shadow
 * @nr: its number
 * @kind: of clients of its references; NULL for krefs
 * @state: of what is in it; the maker looks at it at any time
 * @thing: for lookups
 * @key: the same of a kref
 * @looked_up: key that lookups find; 0 for none
 * @objects: how many there have been
 *
 * Whose the state says it is:
 * @at: the thing
 * @steps: choices so far about it
 * @lives: so far, the present one included
 * @last_life: in which it exits
 * @then: what release does
 * @released: calls of release before the kill, of which @exact says that all had been made
 * @kills: with confirm
 * @switches: with confirm
 * @mass: references that the driver has got for the sum to be large
 * @held: one that the driver has over a kill
 * @inside: the driver of a usage counter has the initial one
 * @to_kill: it has been decided
 * @how: the choice that decided it
 * @since: when it was killed, or has begun to wait
 *
 * @ring: what happened last: who, what, in which stage, and when
 * @next: place in @ring
 * @frozen: something is wrong: keep it
 */
struct stress_slot {
	unsigned int			nr;
	const struct stress_kind	*kind;
	unsigned int			state;
	struct stress_thing __rcu	*thing;
	struct stress_key		key;
	unsigned long			looked_up;
	unsigned int			objects;

	struct stress_thing		*at;
	unsigned int			steps;
	unsigned int			lives;
	unsigned int			last_life;
	enum stress_then		then;
	int				released;
	bool				exact;
	unsigned int			kills;
	unsigned int			switches;
	unsigned long			mass;
	bool				held;
	bool				inside;
	bool				to_kill;
	u64				how;
	unsigned long			since;

	struct {
		unsigned int		what;
		unsigned int		object;
		unsigned int		when;
	} ring[STRESS_RING];
	atomic_t			next;
	bool				frozen;

	unsigned int			digest;
};

/**
 * struct stress_actor - one that takes turns, and its books
 * @actor: that
 * @nr: its number
 * @lane: of a driver: which slots are its
 * @next: and its place among them
 * @choices: of a user, so far
 * @digest: of the first ones
 * @did: how often it has done what
 * @gets: by slot: references that it has got
 * @puts: and that it has put
 * @holds: that it has from one turn to the next; or the key of a kref that it will get
 */
struct stress_actor {
	struct test_actor	actor;
	unsigned int		nr;
	unsigned int		lane;
	unsigned int		next;
	u64			choices;
	unsigned int		digest;
	unsigned long		did[NR_STRESS_OPS];
	unsigned long		*gets;
	unsigned long		*puts;
	struct stress_hold {
		struct stress_thing	*thing;
		unsigned long		nr;
		unsigned long		key;
	} *holds;
};

/* The calls of a client, which has its own way to include pcpuref.h. */
struct stress_kind {
	const char *name;
	int (*init)(struct pcpuref *ref, pcpuref_func_t *release, unsigned int flags, gfp_t gfp);
	void (*get)(struct pcpuref *ref, unsigned long nr);
	bool (*tryget)(struct pcpuref *ref, unsigned long nr);
	bool (*tryget_live)(struct pcpuref *ref, unsigned long nr);
	bool (*tryget_live_rcu)(struct pcpuref *ref);
	bool (*get_unless_zero)(struct pcpuref *ref);
	void (*put)(struct pcpuref *ref, unsigned long nr);
};

extern const struct stress_kind stress_plain, stress_tasks, stress_inline;

/* --- What the parts tell each other -------------------------------------------------- */

extern enum stress_bug stress_bug;
extern unsigned int stress_refs;
extern unsigned int stress_patience;
extern struct stress_slot *stress_slots;

/* How many choices of each are in the digest. */
#define STRESS_DIGEST_TURNS	64
#define STRESS_DIGEST_STEPS	4

/* Who chooses: slots by their number, users by theirs and this. */
#define STRESS_USERS	0x10000

u64 stress_dice(unsigned int who, u64 which, u64 nr);
unsigned int stress_mix(unsigned int digest, u64 choice);

/* The first thing that is wrong stops everything. Any context. */
void stress_wrong(struct stress_slot *slot, unsigned int object, const char *what, long value);
bool stress_is_wrong(void);
/* Once: the mistake that the run is about. */
bool stress_err_now(enum stress_bug bug);
/* A report that the core will make of it. */
void stress_expect(const char *text);

void stress_note(struct stress_slot *slot, unsigned int object, unsigned int who,
		 enum stress_op op, unsigned int stage);
void stress_did(struct stress_actor *a, struct stress_slot *slot, struct stress_thing *thing,
		enum stress_op op);
void stress_called(struct stress_slot *slot, unsigned int object, enum stress_op op,
		   unsigned int stage);
long stress_balance(const struct stress_slot *slot);

void stress_use(struct test_actor *actor);
void stress_use_end(struct stress_actor *a);
void stress_put(struct stress_actor *a, struct stress_slot *slot, struct stress_thing *thing,
		unsigned long nr);
void stress_count_get(struct stress_actor *a, struct stress_slot *slot, unsigned long nr);
void stress_count_put(struct stress_actor *a, struct stress_slot *slot, unsigned long nr);

void stress_use_kref(struct stress_actor *a, struct stress_slot *slot, struct stress_hold *hold,
		     u64 dice);
void stress_put_krefs(struct stress_actor *a, struct stress_slot *slot, unsigned long nr);
void stress_drive_kref(struct stress_actor *a, struct stress_slot *slot,
		       enum stress_state state);
void stress_end_kref(struct stress_actor *a, struct stress_slot *slot);

u64 stress_choose(struct stress_slot *slot);
void stress_wait_in_vain(struct stress_slot *slot, const char *what);
int stress_pool_init(unsigned int nr);
void stress_pool_end(void);
void stress_drive(struct test_actor *actor);
void stress_make(struct test_actor *actor);
bool stress_end(struct stress_actor *a, struct stress_slot *slot);

#endif /* PCPUREF_TEST_STRESS_H */
