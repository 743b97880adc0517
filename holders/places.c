// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where gets and puts are called: two frames, so that a helper is told by who calls
 * it. And what is known of each place that puts: which places' gets it may undo.
 *
 * The compiler may make several calls of one, unrolling a loop or cloning a function.
 * They are found by their addresses, but are one place: the same line of the source,
 * in a function that the same function has called.
 *
 * WHAT A PLACE PUTS
 *
 * With each put comes a set of places that has the right one in it (accounts.c says
 * why). Most places always put what was got at one place: that one is in all sets. So a
 * place keeps its first set, and loses from it what a later set lacks. If nothing would
 * be left, it puts something of another kind too: the later set is kept beside the
 * first, and a set that has something of one kind only makes that one smaller. So the
 * kinds have no place in common, and what is said of them comes nearer to the truth
 * with each put. It may be wrong for a place that puts several kinds, as long as one of
 * them has not been seen without the others.
 *
 * Places are never many, and found again without a lock: a slot is filled before
 * its address is published, and nothing but a module that goes takes it back.
 *
 * MODULES THAT GO
 *
 * What is out may outlive the code that took it. When a module goes, and when the
 * code of its initialisation is freed, the names of its places are written down, and
 * the addresses mean nothing any more: another module may come to lie there.
 */
#include <linux/bitmap.h>
#include <linux/bits.h>
#include <linux/hash.h>
#include <linux/jhash.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "holders.h"
#include "pcpuref.h"
#include "pcpuref_debug.h"

/* Places of gets that one place is known to undo, and kinds of them. */
#define MAX_GETS	8
#define MAX_KINDS	4

/* Slots that are looked at for an address. */
#define PROBES		64

/* Instead of the address: it means nothing any more, and nothing uses the slot. */
#define GONE		1UL
#define REUSABLE	2UL

/**
 * struct place - where a get or put is called
 * @address: return address of the call; 0 if the slot has never been used
 * @caller: return address of the function that it is in
 * @call: what it is in the source, to compare only
 * @name: hash of the name of the function that it is in
 * @caller_name: and of the function that has called that
 * @caller_module: and of the module which that is in
 * @same_as: the slot of the place that it is; what follows is only there
 * @text: the function of @address, written down when the code goes; what is there
 *	before means nothing
 * @caller_text: and that of @caller
 * @gets: places whose gets this one may undo; 0 where there is none
 * @kinds: bits of @gets; one of each kind is undone here, now and then
 * @more: a set that has nothing of these kinds did not fit
 * @handed_over: references that are got here are put by others; or, that are put here
 *	were got by others
 * @uses: puts here of references that were handed over
 *
 * What @gets and @kinds say changes under places_lock. Who has found nothing new in them
 * without the lock may go: what is missed comes again.
 */
struct place {
	unsigned long	address;
	unsigned long	caller;
	const void	*call;
	u32		name;
	u32		caller_name;
	u32		caller_module;
	place_t		same_as;
	char		*text;
	char		*caller_text;
	place_t		gets[MAX_GETS];
	u8		kinds[MAX_KINDS];
	bool		more;
	bool		handed_over;
	unsigned int	uses;
};

static struct place *places;
static DEFINE_RAW_SPINLOCK(places_lock);

static struct place *slot_of(place_t place)
{
	return &places[place - 1];
}

static unsigned int first_probe(unsigned long address, unsigned long caller)
{
	return hash_long(address ^ hash_long(caller, BITS_PER_LONG), ilog2(MAX_PLACES));
}

/*
 * The slot of a call, or 0. @room becomes the first slot that can be filled with it,
 * or 0.
 */
static place_t probe(unsigned long address, unsigned long caller, place_t *room)
{
	unsigned int first = first_probe(address, caller);
	unsigned int i;

	*room = 0;
	for (i = 0; i < PROBES; i++) {
		place_t nr = (first + i) % MAX_PLACES + 1;
		struct place *place = slot_of(nr);
		/* Pairs with fill(): then the rest is there (litmus: p1-publish). */
		unsigned long found = smp_load_acquire(&place->address);

		if (found == address && READ_ONCE(place->caller) == caller)
			return nr;
		if (!*room && (!found || found == REUSABLE))
			*room = nr;
		if (!found)
			break;
	}
	return 0;
}

/* Of a function, without what the compiler adds for a part or a clone; of its module. */
static u32 hash_of_name(unsigned long address, u32 *module)
{
	char name[PLACE_SIZE];
	int length = scnprintf(name, sizeof(name), "%ps", (void *)address);
	int end = strcspn(name, " ");

	*module = jhash(name + end, length - end, 0);
	return jhash(name, strcspn(name, ". "), 0);
}

static unsigned int kinship(const struct place *a, const struct place *b)
{
	if (a->name == b->name && a->caller_name == b->caller_name)
		return 2;
	return a->name == b->caller_name || a->caller_name == b->name;
}

static void fill(place_t nr, unsigned long address, unsigned long caller, const void *call)
{
	struct place *place = slot_of(nr);
	struct place *other;
	u32 module;

	lockdep_assert_held(&places_lock);

	/* Not found by this before it has its address. */
	WRITE_ONCE(place->caller, caller);
	place->call = call;
	place->name = hash_of_name(address, &module);
	place->caller_name = hash_of_name(caller, &place->caller_module);
	memset(place->gets, 0, sizeof(place->gets));
	memset(place->kinds, 0, sizeof(place->kinds));
	place->more = false;
	place->handed_over = false;
	place->uses = 0;
	place->same_as = nr;
	for (other = places; other < places + MAX_PLACES; other++) {
		/* Pairs with the smp_store_release() in keep(), which has no lock. */
		if (other == place || READ_ONCE(other->address) <= REUSABLE)
			continue;
		if (other->call == call && kinship(place, other) == 2 &&
		    other->caller_module == place->caller_module)
			place->same_as = other->same_as;
		/* The error path of a function that hands over puts what it got itself. */
		/* The mark pairs with the WRITE_ONCE() in hand_over(). */
		if (READ_ONCE(other->handed_over) && kinship(place, other) == 2 &&
		    !place->gets[0]) {
			place->gets[0] = other->same_as;
			place->kinds[0] = BIT(0);
			place->handed_over = true;
		}
	}
	/* Pairs with the smp_load_acquire() in probe() (litmus: p1-publish). */
	smp_store_release(&place->address, address);
}

/**
 * __pcpuref_place - the place of a call
 * @address: its return address
 * @caller: that of the function that it is in
 * @call: what it is in the source
 *
 * Context: any.
 * Return: its number, or 0 if there is no room.
 */
place_t __pcpuref_place(unsigned long address, unsigned long caller, const void *call)
{
	place_t room, nr = probe(address, caller, &room);
	unsigned long flags;

	if (unlikely(!nr)) {
		if (!room || !pcpuref_holders_lock(&places_lock, &flags))
			return 0;
		nr = probe(address, caller, &room);
		if (!nr && room) {
			fill(room, address, caller, call);
			nr = room;
		}
		pcpuref_holders_unlock(&places_lock, flags);
	}
	return nr ? slot_of(nr)->same_as : 0;
}

/* The bit of a place among those that @put may undo, or 0. */
static u8 bit_of(const struct place *put, place_t get)
{
	unsigned int i;

	for (i = 0; i < MAX_GETS; i++)
		/* Pairs with the WRITE_ONCE() in set_kind() and add_kind(): one is read. */
		if (READ_ONCE(put->gets[i]) == get)
			return BIT(i);
	return 0;
}

static u8 bits_of(const struct place *put, const place_t *open, unsigned int nr)
{
	u8 bits = 0;

	while (nr--)
		bits |= bit_of(put, open[nr]);
	return bits;
}

/* The bits of all kinds. */
static u8 known(const struct place *put)
{
	u8 bits = 0;
	unsigned int i;

	for (i = 0; i < MAX_KINDS; i++)
		/* Pairs with the WRITE_ONCE() in set_kind(): one is read. */
		bits |= READ_ONCE(put->kinds[i]);
	return bits;
}

/* The only kind that has any of @bits; NULL if none has, or more than one. */
static u8 *only_kind(struct place *put, u8 bits)
{
	u8 *kind, *found = NULL;

	for (kind = put->kinds; kind < put->kinds + MAX_KINDS; kind++) {
		if (!(READ_ONCE(*kind) & bits))
			continue;
		if (found)
			return NULL;
		found = kind;
	}
	return found;
}

/* @kind becomes @bits, and what no kind has is dropped. */
static void set_kind(struct place *put, u8 *kind, u8 bits)
{
	unsigned int i;

	lockdep_assert_held(&places_lock);

	WRITE_ONCE(*kind, bits);
	for (i = 0; i < MAX_GETS; i++)
		if (!(known(put) & BIT(i)))
			WRITE_ONCE(put->gets[i], 0);
}

/* A set that has nothing of what is known. */
static void add_kind(struct place *put, const place_t *open, unsigned int nr)
{
	u8 *kind = memchr(put->kinds, 0, MAX_KINDS);
	u8 bits = 0;
	unsigned int i;

	lockdep_assert_held(&places_lock);

	if (!kind || nr > MAX_GETS - hweight8(known(put))) {
		/* A smaller one will come. */
		WRITE_ONCE(put->more, true);
		return;
	}
	for (i = 0; nr && i < MAX_GETS; i++) {
		if (put->gets[i])
			continue;
		WRITE_ONCE(put->gets[i], open[--nr]);
		bits |= BIT(i);
	}
	set_kind(put, kind, bits);
	WRITE_ONCE(put->more, false);
}

/* What most places are: they put what is got at one place. */
static bool knows_only(const struct place *put, place_t get)
{
	return READ_ONCE(put->gets[0]) == get && READ_ONCE(put->kinds[0]) == BIT(0) &&
	       !READ_ONCE(put->kinds[1]);
}

/**
 * __pcpuref_place_learn - what a put has undone
 * @nr_of_put: where it is
 * @open: it was got at one of these places, all of them different
 * @nr: of which there are so many
 *
 * Context: any.
 */
void __pcpuref_place_learn(place_t nr_of_put, const place_t *open, unsigned int nr)
{
	struct place *put = slot_of(nr_of_put);
	unsigned long flags;
	u8 *kind, bits;

	if (!nr || (nr == 1 && likely(knows_only(put, *open))))
		return;
	bits = bits_of(put, open, nr);
	if (bits) {
		kind = only_kind(put, bits);
		if (likely(!kind || !(READ_ONCE(*kind) & ~bits)))
			return;
	}
	if (!pcpuref_holders_lock(&places_lock, &flags))
		return;
	bits = bits_of(put, open, nr);
	kind = only_kind(put, bits);
	if (kind)
		set_kind(put, kind, *kind & bits);
	else if (!bits)
		add_kind(put, open, nr);
	pcpuref_holders_unlock(&places_lock, flags);
}

/**
 * __pcpuref_place_kinship - how near a put is to a get in the source
 * @put: place of the put
 * @get: place of the get
 *
 * Context: any.
 * Return: 2 if both are in one function; 1 if one of them is in a helper that the other's
 *	function calls; else 0.
 */
unsigned int __pcpuref_place_kinship(place_t put, place_t get)
{
	return kinship(slot_of(put), slot_of(get));
}

/* Whether a put here may undo a get there, by all that is known. Any context. */
bool __pcpuref_place_may_put(place_t put, place_t get)
{
	const struct place *place = slot_of(put);

	return bit_of(place, get) || READ_ONCE(place->more);
}

/* Whether anything is known about what a put here undoes. Any context. */
bool __pcpuref_place_is_known(place_t put)
{
	return READ_ONCE(slot_of(put)->more) || known(slot_of(put));
}

/* Whether it may undo one of these, or nothing is known about it. Any context. */
bool __pcpuref_place_may_put_any(place_t put, const place_t *open, unsigned int nr)
{
	const struct place *place = slot_of(put);

	return (nr == 1 && likely(knows_only(place, *open))) || bits_of(place, open, nr) ||
	       READ_ONCE(place->more) || !known(place);
}

/* Whether puts here undo gets of one place. */
bool __pcpuref_place_knows_one(place_t put)
{
	return hweight8(known(slot_of(put))) == 1;
}

/* Counts puts of references that were handed over; not exactly. */
unsigned int __pcpuref_place_nth_use(place_t put)
{
	struct place *place = slot_of(put);
	unsigned int uses = READ_ONCE(place->uses) + 1;

	WRITE_ONCE(place->uses, uses);
	return uses;
}

/* Whether references that are got, or put, here are handed over, as far as is known. */
bool __pcpuref_place_is_handed_over(place_t place)
{
	/* Pairs with the WRITE_ONCE() in hand_over(): sooner or later. */
	return READ_ONCE(slot_of(place)->handed_over);
}

/*
 * Filled, perhaps with code that has gone. Under suspects_lock it stays so; what is not
 * filled may be about to be, and has nothing to look at.
 */
static bool is_filled(const struct place *place)
{
	/* Pairs with fill(): then the rest is there (litmus: p1-publish). */
	unsigned long address = smp_load_acquire(&place->address);

	return address && address != REUSABLE;
}

/* Return: whether that is new. */
static bool hand_over(struct place *place)
{
	if (READ_ONCE(place->handed_over))
		return false;
	/* Pairs with the READ_ONCE() in __pcpuref_place_is_handed_over(). */
	WRITE_ONCE(place->handed_over, true);
	return true;
}

/* A put and what it undoes are handed over together. Return: whether that is new. */
static bool spread(struct place *put)
{
	bool over = READ_ONCE(put->handed_over), any;
	place_t get;
	unsigned int i;

	for (i = 0; i < MAX_GETS && !over; i++) {
		get = READ_ONCE(put->gets[i]);
		over = get && __pcpuref_place_is_handed_over(get);
	}
	if (!over)
		return false;
	any = hand_over(put);
	for (i = 0; i < MAX_GETS; i++) {
		get = READ_ONCE(put->gets[i]);
		any |= get && hand_over(slot_of(get));
	}
	return any;
}

/*
 * And with it all that may belong together: what one of two places has put in common,
 * the other must find there. Under suspects_lock. Return: whether that is new of any.
 */
bool __pcpuref_place_set_handed_over(place_t place)
{
	bool any = hand_over(slot_of(place)), again;
	struct place *put;

	do {
		again = false;
		for (put = places; put < places + MAX_PLACES; put++)
			again |= is_filled(put) && spread(put);
		any |= again;
	} while (again);
	return any;
}

/* --- Names ----------------------------------------------------------------------- */

static const char *text_of(const unsigned long *address, char *const *kept, char *text)
{
	/* Pairs with keep(): what is kept is there (litmus: p1-publish). */
	unsigned long at = smp_load_acquire(address);

	if (at == GONE)
		return *kept ?: "(code that has gone, and there was no memory for its name)";
	scnprintf(text, PLACE_SIZE, "%pS", (void *)at);
	return text;
}

/*
 * The function of a place, and the one that has called it. @text: of PLACE_SIZE.
 * Under suspects_lock: what has gone is not another's before that is released.
 */
const char *__pcpuref_place_text(place_t nr, char *text)
{
	const struct place *place = slot_of(nr);

	return text_of(&place->address, &place->text, text);
}

const char *__pcpuref_place_caller_text(place_t nr, char *text)
{
	const struct place *place = slot_of(nr);

	return text_of(&place->caller, &place->caller_text, text);
}

/* Bits of the gets of which it is known where they are undone. Under suspects_lock. */
void __pcpuref_places_put(unsigned long *gets)
{
	struct place *place;
	unsigned int i;

	for (place = places; place < places + MAX_PLACES; place++) {
		if (!is_filled(place))
			continue;
		for (i = 0; i < MAX_GETS; i++)
			__set_bit(READ_ONCE(place->gets[i]), gets);
	}
}

#ifdef CONFIG_MODULES
static bool lies_in(const struct place *place, const struct module *module, bool init_only)
{
	/* Pairs with fill(): then the caller is there (litmus: p1-publish). */
	unsigned long address = smp_load_acquire(&place->address);
	unsigned long caller = READ_ONCE(place->caller);

	if (address <= REUSABLE)
		return false;
	if (init_only)
		return within_module_init(address, module) || within_module_init(caller, module);
	return within_module(address, module) || within_module(caller, module);
}

static void keep(char **text, unsigned long *address)
{
	char *old = *text;

	/* Nobody looks at it before the address says so. */
	*text = kasprintf(GFP_KERNEL, "%pS", (void *)*address);
	/* Pairs with the smp_load_acquire() in text_of() (litmus: p1-publish). */
	smp_store_release(address, GONE);
	kfree(old);
}

/**
 * __pcpuref_places_keep_names - the code of a module goes
 * @module: which
 * @init_only: only that of its initialisation
 *
 * None of it runs any more, so none of these places is looked for.
 *
 * Context: may sleep.
 * Return: whether there was any.
 */
bool __pcpuref_places_keep_names(const struct module *module, bool init_only)
{
	struct place *place;
	bool any = false;

	for (place = places; place < places + MAX_PLACES; place++) {
		if (!lies_in(place, module, init_only))
			continue;
		keep(&place->caller_text, &place->caller);
		keep(&place->text, &place->address);
		any = true;
	}
	return any;
}

/*
 * Slots of code that has gone can be filled again, but those in @used, and those that
 * code which is there still means. Under suspects_lock: nobody is about to print a name.
 */
void __pcpuref_places_reuse(unsigned long *used)
{
	DECLARE_BITMAP(unused, MAX_PLACES + 1) = { };
	struct place *place;
	unsigned long flags;
	unsigned int nr, i;
	u8 *kind;

	raw_spin_lock_irqsave(&places_lock, flags);
	/* Another module may be going: pairs with the smp_store_release() in keep(). */
	for (place = places; place < places + MAX_PLACES; place++)
		if (READ_ONCE(place->address) > REUSABLE)
			__set_bit(place->same_as, used);
	for (nr = 1; nr <= MAX_PLACES; nr++)
		if (READ_ONCE(slot_of(nr)->address) == GONE &&
		    !test_bit(slot_of(nr)->same_as, used))
			__set_bit(nr, unused);
	for (place = places; place < places + MAX_PLACES; place++) {
		for (i = 0; i < MAX_GETS; i++) {
			if (!place->gets[i] || !test_bit(place->gets[i], unused))
				continue;
			for (kind = place->kinds; kind < place->kinds + MAX_KINDS; kind++)
				set_kind(place, kind, *kind & ~BIT(i));
		}
	}
	for_each_set_bit(nr, unused, MAX_PLACES + 1)
		WRITE_ONCE(slot_of(nr)->address, REUSABLE);
	raw_spin_unlock_irqrestore(&places_lock, flags);
}
#endif

int __pcpuref_places_init(void)
{
	places = kvcalloc(MAX_PLACES, sizeof(*places), GFP_KERNEL);
	return places ? 0 : -ENOMEM;
}

void __pcpuref_places_exit(void)
{
	struct place *place;

	if (!places)
		return;
	for (place = places; place < places + MAX_PLACES; place++) {
		kfree(place->text);
		kfree(place->caller_text);
	}
	kvfree(places);
}
