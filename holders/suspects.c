// SPDX-License-Identifier: GPL-2.0-only
/*
 * What can be told of the holders of a reference: the accounts, and what is known of the
 * places that put, taken together.
 *
 * A put that is not told yet may have undone any get of the same account that its place
 * may put; one in a CPU's account any of the reference that its place may put. Where
 * there is one such get only, that is it; then it is out of the question for others, for
 * which there may be one only now, and so on. Then gets and puts that may belong together
 * are joined. What hangs together so is a group. No get or put can belong to two of them,
 * so the difference of a group is exact, though not which of its places is to blame:
 *
 * - nothing is left: nobody in it is told
 * - gets are left: one of the places where the group has got some holds them
 * - puts are left: one of the places where it has put has put too often
 *
 * A group with one such place names it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "holders.h"

/* All accounts of a reference. */
#define MAX_ITEMS	(SPAN * WAYS * SLOTS)

#define MAX_LINES	16
#define MAX_NAMED	8
#define MAX_TASKS	4

/* So many times something was put that was handed over: it is always so there. */
#define ENOUGH		16

/**
 * struct item - a slot of an account, copied
 * @who: as in the account
 * @pid: likewise
 * @comm: likewise
 * @common: the account is a CPU's; those of all CPUs are one item
 * @place: as in the slot
 * @when: likewise
 * @count: likewise
 * @root: an item of the same group, nearer to the one that stands for it
 * @left: of the item that stands for a group: gets less puts
 */
struct item {
	const void	*who;
	pid_t		pid;
	char		comm[TASK_COMM_LEN];
	bool		common;
	place_t		place;
	u32		when;
	s64		count;
	unsigned int	root;
	s64		left;
};

/**
 * struct suspect - a line to be printed: groups with the same places
 * @places: one of these it is, ascending
 * @nr_places: of which there are so many; MAX_NAMED + 1 if they are more
 * @left: gets less puts
 * @when: of the last one, in jiffies
 * @nr_tasks: tasks that hold some; more than MAX_TASKS are not kept
 * @tasks: which, and how many
 * @printed: so it is not printed twice
 */
struct suspect {
	place_t		places[MAX_NAMED];
	unsigned int	nr_places;
	s64		left;
	u32		when;
	unsigned int	nr_tasks;
	struct {
		pid_t	pid;
		char	comm[TASK_COMM_LEN];
		s64	held;
	} tasks[MAX_TASKS];
	bool		printed;
};

static DEFINE_RAW_SPINLOCK(suspects_lock);

/* Under suspects_lock. */
static struct item *items;
static unsigned int nr_items;
/* Gets of which it is known where they are undone. */
static DECLARE_BITMAP(known_gets, MAX_PLACES + 1);
static struct suspect suspects[MAX_LINES];
static unsigned int nr_suspects;
static unsigned int nr_not_kept;
static char text[PLACE_SIZE];

/* --- Groups ------------------------------------------------------------------------ */

static void add_item(const struct pcpuref_account *account, const struct pcpuref_slot *slot)
{
	bool common = pcpuref_account_is_common(account);
	struct item *item;

	for (item = items; common && item < items + nr_items; item++) {
		if (item->common && item->place == slot->place) {
			item->count += slot->count;
			if (time_after32(slot->when, item->when))
				item->when = slot->when;
			return;
		}
	}
	/* More than there can be at once, but accounts change meanwhile. */
	if (nr_items == MAX_ITEMS) {
		nr_not_kept++;
		return;
	}
	item = &items[nr_items];
	item->who = account->who;
	item->pid = account->pid;
	strscpy(item->comm, account->comm, sizeof(item->comm));
	item->common = common;
	item->place = slot->place;
	item->when = slot->when;
	item->count = slot->count;
	item->root = nr_items++;
	item->left = 0;
}

static struct item *root_of(const struct item *item)
{
	while (&items[item->root] != item)
		item = &items[item->root];
	return &items[item->root];
}

static bool is_same_account(const struct item *a, const struct item *b)
{
	return a->common == b->common &&
	       (a->common || (a->who == b->who && a->pid == b->pid));
}

/*
 * What nobody is known to undo may have been undone by anybody that undoes others'; but
 * not by a put of which nothing is known: nothing was out when it came, so it has put
 * the initial reference, or one too many.
 */
static bool may_undo_others(const struct item *put)
{
	return put->common && __pcpuref_place_is_known(put->place);
}

static bool may_belong(const struct item *put, const struct item *get)
{
	if (get->count <= 0 || (!put->common && !is_same_account(put, get)))
		return false;
	return __pcpuref_place_may_put(put->place, get->place) ||
	       (may_undo_others(put) && !test_bit(get->place, known_gets));
}

/* The only get that a put may belong to; NULL if there is none, or more than one. */
static struct item *only_get(const struct item *put)
{
	struct item *get, *found = NULL;

	for (get = items; get < items + nr_items; get++) {
		if (!may_belong(put, get))
			continue;
		if (found)
			return NULL;
		found = get;
	}
	return found;
}

/* Put together what can belong to nothing else. */
static void settle(void)
{
	struct item *put, *get;
	bool again = true;
	s64 nr;

	while (again) {
		again = false;
		for (put = items; put < items + nr_items; put++) {
			get = put->count < 0 ? only_get(put) : NULL;
			if (!get)
				continue;
			nr = min(-put->count, get->count);
			put->count += nr;
			get->count -= nr;
			again = true;
		}
	}
}

static void join(const struct item *put)
{
	struct item *get;

	for (get = items; get < items + nr_items; get++)
		if (may_belong(put, get))
			root_of(get)->root = root_of(put)->root;
}

/* A task puts what it has got, and others what is out, whatever is known of the places. */
static void join_all(const struct item *put)
{
	struct item *get, *root;
	s64 left;

	for (get = items; get < items + nr_items; get++) {
		if (get->count <= 0 || (!put->common && !is_same_account(put, get)))
			continue;
		root = root_of(get);
		if (root == root_of(put))
			continue;
		left = root->left;
		root->left = 0;
		root->root = root_of(put)->root;
		root_of(put)->left += left;
	}
}

/* Into items. @excess: it is known that there was a put too many. */
static void find_groups(const struct pcpuref *ref, bool excess)
{
	struct item *item;

	lockdep_assert_held(&suspects_lock);

	nr_items = 0;
	bitmap_zero(known_gets, MAX_PLACES + 1);
	__pcpuref_places_put(known_gets);
	__pcpuref_accounts_of(ref, add_item);
	settle();
	for (item = items; item < items + nr_items; item++)
		if (item->count < 0)
			join(item);
	for (item = items; item < items + nr_items; item++)
		root_of(item)->left += item->count;
	/* More puts than gets: not all is known of what is put there. */
	for (item = items; item < items + nr_items && !excess; item++)
		if (item->count < 0 && root_of(item)->left < 0 &&
		    (!item->common || may_undo_others(item)))
			join_all(item);
}

/* The places where something is out. Return: how many, 0 if they are too many. */
static unsigned int open_places(place_t *open)
{
	unsigned int nr = 0, i;
	struct item *item;

	for (item = items; item < items + nr_items; item++) {
		if (item->count <= 0 || root_of(item)->left <= 0)
			continue;
		for (i = 0; i < nr && open[i] != item->place; i++)
			;
		if (i < nr)
			continue;
		if (nr == MAX_OPEN)
			return 0;
		open[nr++] = item->place;
	}
	return nr;
}

/**
 * __pcpuref_suspects_learn - find out what a place puts
 * @ref: a reference of which one is put there that was handed over
 * @put: where
 * @nth: how often that has been so
 *
 * What is put is somewhere among what is out. Once it is known what a place puts that was
 * handed over, neither that nor what is got there is accounted by task.
 *
 * Context: any; from an NMI nothing is learned, nor while something is printed.
 */
void __pcpuref_suspects_learn(const struct pcpuref *ref, place_t put, unsigned int nth)
{
	place_t open[MAX_OPEN];
	unsigned long flags;
	unsigned int nr;

	if (pcpuref_in_nmi() || !raw_spin_trylock_irqsave(&suspects_lock, flags))
		return;
	find_groups(ref, false);
	nr = open_places(open);
	__pcpuref_place_learn(put, open, nr);
	/* The first may have been a put too many. */
	if ((nth >= ENOUGH || (nth > 1 && __pcpuref_place_knows_one(put))) &&
	    __pcpuref_place_set_handed_over(put))
		__pcpuref_accounts_in_common();
	raw_spin_unlock_irqrestore(&suspects_lock, flags);
}

/* --- Lines --------------------------------------------------------------------------- */

static void add_place(struct suspect *suspect, place_t place)
{
	unsigned int i, n = suspect->nr_places;

	for (i = 0; i < n && i < MAX_NAMED; i++) {
		if (suspect->places[i] == place)
			return;
		if (suspect->places[i] > place)
			swap(suspect->places[i], place);
	}
	if (n < MAX_NAMED)
		suspect->places[n] = place;
	/* Not how many more. */
	suspect->nr_places = min_t(unsigned int, n + 1, MAX_NAMED + 1);
}

/*
 * A group as a line. A task is named if all of the group is in its name.
 */
static struct suspect describe_group(const struct item *root)
{
	struct suspect suspect = { .left = root->left, .nr_tasks = 1, .when = root->when };
	struct item *item;
	bool first = true;

	for (item = items; item < items + nr_items; item++) {
		if (root_of(item) != root)
			continue;
		if (item->common || !is_same_account(item, root))
			suspect.nr_tasks = 0;
		/* What is left is got, or put. */
		if (root->left > 0 ? item->count <= 0 : item->count >= 0)
			continue;
		add_place(&suspect, item->place);
		if (first || time_after32(item->when, suspect.when))
			suspect.when = item->when;
		first = false;
	}
	if (suspect.nr_tasks) {
		suspect.tasks[0].pid = root->pid;
		suspect.tasks[0].held = root->left;
		strscpy(suspect.tasks[0].comm, root->comm, TASK_COMM_LEN);
	}
	return suspect;
}

static bool is_got(const struct suspect *suspect)
{
	return suspect->left > 0;
}

static bool has_same_places(const struct suspect *a, const struct suspect *b)
{
	return a->nr_places == b->nr_places && a->nr_places <= MAX_NAMED &&
	       is_got(a) == is_got(b) &&
	       !memcmp(a->places, b->places, a->nr_places * sizeof(a->places[0]));
}

static void merge_task(struct suspect *into, const struct suspect *from)
{
	unsigned int i;

	if (!from->nr_tasks)
		return;
	for (i = 0; i < into->nr_tasks && i < MAX_TASKS; i++) {
		if (into->tasks[i].pid == from->tasks[0].pid) {
			into->tasks[i].held += from->tasks[0].held;
			return;
		}
	}
	if (into->nr_tasks < MAX_TASKS)
		into->tasks[into->nr_tasks] = from->tasks[0];
	into->nr_tasks++;
}

static void add_suspect(const struct item *root)
{
	struct suspect new = describe_group(root);
	struct suspect *suspect;

	for (suspect = suspects; suspect < suspects + nr_suspects; suspect++) {
		if (!has_same_places(suspect, &new))
			continue;
		suspect->left += new.left;
		if (time_after32(new.when, suspect->when))
			suspect->when = new.when;
		merge_task(suspect, &new);
		return;
	}
	if (nr_suspects < MAX_LINES)
		suspects[nr_suspects++] = new;
	else
		nr_not_kept++;
}

static void print_suspect(const struct suspect *suspect, u64 id)
{
	unsigned int ms = jiffies_to_msecs((u32)jiffies - suspect->when);
	unsigned int i, named = min_t(unsigned int, suspect->nr_places, MAX_NAMED);
	const char *more = named < suspect->nr_places ? " and more" : "";
	bool one = suspect->nr_places == 1;

	if (suspect->left > 0 && one)
		pr_info("id=%llu holder: %s outstanding=%lld last get %u ms ago\n", id,
			__pcpuref_place_text(suspect->places[0], text), suspect->left, ms);
	else if (suspect->left > 0)
		pr_info("id=%llu holder: one of %u places%s, outstanding=%lld in all, last get %u ms ago\n",
			id, named, more, suspect->left, ms);
	else if (one)
		pr_info("id=%llu %lld puts without a known get: %s last put %u ms ago\n", id,
			-suspect->left, __pcpuref_place_text(suspect->places[0], text), ms);
	else
		pr_info("id=%llu %lld puts without a known get: at one of %u places%s, last put %u ms ago\n",
			id, -suspect->left, named, more, ms);
	for (i = 0; i < named; i++) {
		if (!one)
			pr_info("id=%llu   perhaps %s\n", id,
				__pcpuref_place_text(suspect->places[i], text));
		pr_info("id=%llu   %scalled by %s\n", id, one ? "" : "  ",
			__pcpuref_place_caller_text(suspect->places[i], text));
	}
	if (named < suspect->nr_places)
		pr_info("id=%llu   and others\n", id);
	for (i = 0; i < suspect->nr_tasks && i < MAX_TASKS; i++)
		pr_info("id=%llu   of these %lld taken by task %s/%d\n", id,
			suspect->tasks[i].held, suspect->tasks[i].comm, suspect->tasks[i].pid);
	if (suspect->nr_tasks > MAX_TASKS)
		pr_info("id=%llu   and others by %u more tasks\n", id,
			suspect->nr_tasks - MAX_TASKS);
}

/* The one to be printed next: gets before puts, and the oldest first. */
static struct suspect *next_suspect(void)
{
	struct suspect *suspect, *next = NULL;

	for (suspect = suspects; suspect < suspects + nr_suspects; suspect++) {
		if (suspect->printed)
			continue;
		if (!next || is_got(suspect) > is_got(next) ||
		    (is_got(suspect) == is_got(next) &&
		     time_before32(suspect->when, next->when)))
			next = suspect;
	}
	return next;
}

/**
 * __pcpuref_suspects_print - tell who holds a reference
 * @ref: which
 * @id: its number
 * @puts_only: only who has put too often
 *
 * Context: any; from an NMI nothing, which may have interrupted an account.
 */
void __pcpuref_suspects_print(const struct pcpuref *ref, u64 id, bool puts_only)
{
	struct suspect *suspect;
	unsigned long flags;
	struct item *item;

	if (pcpuref_in_nmi())
		return;
	raw_spin_lock_irqsave(&suspects_lock, flags);
	nr_suspects = 0;
	nr_not_kept = 0;
	find_groups(ref, puts_only);
	for (item = items; item < items + nr_items; item++)
		if (root_of(item) == item && (puts_only ? item->left < 0 : item->left))
			add_suspect(item);
	suspect = next_suspect();
	if (!puts_only && (!suspect || suspect->left < 0))
		pr_info("id=%llu holder: none known by call site\n", id);
	for (; suspect; suspect = next_suspect()) {
		print_suspect(suspect, id);
		suspect->printed = true;
	}
	if (nr_not_kept)
		pr_info("id=%llu the list is not complete: too many call sites\n", id);
	raw_spin_unlock_irqrestore(&suspects_lock, flags);
	if (__pcpuref_accounts_lost())
		pr_info("%lu gets and puts in all could not be accounted, which may make this wrong: raise max_holders\n",
			__pcpuref_accounts_lost());
}

/* --- Modules that go ------------------------------------------------------------------ */

#ifdef CONFIG_MODULES
/*
 * Nobody prints a name, or moves what has it, while it may be taken back. Of two modules
 * that go at once, both of which may be in a place, the second finds what the first kept.
 */
void __pcpuref_suspects_module_gone(const struct module *module, bool init_only)
{
	static DEFINE_MUTEX(going);
	DECLARE_BITMAP(used, MAX_PLACES + 1) = { };
	unsigned long flags;

	mutex_lock(&going);
	if (!__pcpuref_places_keep_names(module, init_only)) {
		mutex_unlock(&going);
		return;
	}
	raw_spin_lock_irqsave(&suspects_lock, flags);
	__pcpuref_accounts_places(used);
	__pcpuref_places_reuse(used);
	raw_spin_unlock_irqrestore(&suspects_lock, flags);
	mutex_unlock(&going);
}
#endif

int __pcpuref_suspects_init(void)
{
	items = kvcalloc(MAX_ITEMS, sizeof(*items), GFP_KERNEL);
	return items ? 0 : -ENOMEM;
}

void __pcpuref_suspects_exit(void)
{
	kvfree(items);
}
