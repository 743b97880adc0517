/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lookups of samples/pcpuref_lookup.h under load: readers look objects up
 * and keep some of them for a while, writers remove objects and insert others
 * by the same key. For KUnit and for the selftest module.
 *
 * Threads only record; whoever starts them judges what they have recorded.
 */
#ifndef PCPUREF_LOOKUP_STRESS_H
#define PCPUREF_LOOKUP_STRESS_H

#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/string.h>

#define LOOKUP_BITS	1
#include "../samples/pcpuref_lookup.h"

#define STRESS_KEYS	16	/* few, so that threads meet */
#define STRESS_OWNED	3	/* objects that a writer has in the table */
#define STRESS_KEPT	2	/* references that a reader holds for a while */
#define STRESS_THREADS	32
#define STRESS_ENOUGH	50	/* objects; a slow machine takes longer for them, */
#define STRESS_MOST_MS	30000	/* but not for ever */

/**
 * struct lookup_way - one of the lookups, in a form that one loop can drive
 * @name: of the table
 * @kept: an object is found as long as somebody has a reference
 * @insert: have an object of that key in the table; what @remove needs, or NULL
 * @remove: end what @insert began
 * @find: a reference, or NULL
 * @data: of what @find returned
 * @put: drop what @find returned
 */
struct lookup_way {
	const char		*name;
	bool			kept;
	void			*(*insert)(u32 key);
	void			(*remove)(void *inserted, u32 key);
	void			*(*find)(u32 key);
	struct lookup_data	*(*data)(void *object);
	void			(*put)(void *object);
};

/* The two whose objects are kept by users differ in no more than the name. */
#define LOOKUP_WAY_OF_USERS(way)					\
static void *way##_stress_insert(u32 key)				\
{									\
	return way##_open(key);						\
}									\
static void way##_stress_remove(void *inserted, u32 key)		\
{									\
	way##_put(inserted);						\
}									\
static void *way##_stress_find(u32 key)					\
{									\
	return way##_find(key);						\
}									\
static void way##_stress_put(void *object)				\
{									\
	way##_put(object);						\
}

LOOKUP_WAY_OF_USERS(by_mutex)
LOOKUP_WAY_OF_USERS(by_rcu)

static struct lookup_data *by_mutex_stress_data(void *object)
{
	return &((struct by_mutex *)object)->data;
}

static struct lookup_data *by_rcu_stress_data(void *object)
{
	return &((struct by_rcu *)object)->data;
}

static void *by_live_stress_insert(u32 key)
{
	/* Any non-NULL value: removal is by key. */
	return by_live_create(key) ? NULL : by_live_table;
}

static void by_live_stress_remove(void *inserted, u32 key)
{
	by_live_remove(key);
}

static void *by_live_stress_find(u32 key)
{
	return by_live_find(key);
}

static struct lookup_data *by_live_stress_data(void *object)
{
	return &((struct by_live *)object)->data;
}

static void by_live_stress_put(void *object)
{
	by_live_put(object);
}

#define LOOKUP_WAY(way, _kept) {		\
	.name	= #way,				\
	.kept	= _kept,			\
	.insert	= way##_stress_insert,		\
	.remove	= way##_stress_remove,		\
	.find	= way##_stress_find,		\
	.data	= way##_stress_data,		\
	.put	= way##_stress_put,		\
}

static const struct lookup_way lookup_ways[] = {
	LOOKUP_WAY(by_mutex, true),
	LOOKUP_WAY(by_rcu, true),
	LOOKUP_WAY(by_live, false),
};

struct stress_thread {
	struct task_struct	*task;
	const struct lookup_way	*way;
	u32			random;
	unsigned long		hits;
	unsigned long		misses;
	unsigned long		outlived;
	unsigned long		wrong;
	unsigned long		inserts;
};

/**
 * struct stress_result - what the threads have recorded
 * @hits: objects found
 * @misses: lookups that found none
 * @outlived: objects that were no longer to be found when a reader put them
 * @inserts: objects, or references to them, that writers had
 * @opened: objects that came to be
 * @closed: objects that were released
 * @wrong: objects not open or of another key while referenced, no longer found
 *	although they should be, closed twice, or left in the table
 */
struct stress_result {
	unsigned long		hits;
	unsigned long		misses;
	unsigned long		outlived;
	unsigned long		inserts;
	unsigned long		opened;
	unsigned long		closed;
	unsigned long		wrong;
};

static inline u32 stress_random(struct stress_thread *me)
{
	/* Marsaglia's xorshift; the seed is not 0. */
	me->random ^= me->random << 13;
	me->random ^= me->random >> 17;
	me->random ^= me->random << 5;
	return me->random;
}

static inline void stress_check(struct stress_thread *me, void *object, u32 key)
{
	struct lookup_data *data = me->way->data(object);

	if (READ_ONCE(data->state) != LOOKUP_OPEN || READ_ONCE(data->key) != key)
		me->wrong++;
}

/* Put what has been kept; it must still be what it was. */
static inline void stress_drop(struct stress_thread *me, void *object, u32 key)
{
	void *now;

	stress_check(me, object, key);
	now = me->way->find(key);
	if (now != object) {
		me->outlived++;
		if (me->way->kept)
			me->wrong++;
	}
	if (now)
		me->way->put(now);
	stress_check(me, object, key);
	me->way->put(object);
}

static int stress_reader(void *data)
{
	struct stress_thread *me = data;
	struct {
		void	*object;
		u32	key;
	} kept[STRESS_KEPT] = {};
	unsigned long round = 0;
	void *object;
	int i;

	while (!kthread_should_stop()) {
		u32 random = stress_random(me);
		u32 key = (random >> 8) % STRESS_KEYS;

		if (!(++round & 15)) {
			/* Not while it holds something: objects must go. */
			for (i = 0; i < STRESS_KEPT; i++)
				if (kept[i].object) {
					stress_drop(me, kept[i].object, kept[i].key);
					kept[i].object = NULL;
				}
			cond_resched();
		}
		object = me->way->find(key);
		if (!object) {
			me->misses++;
			continue;
		}
		me->hits++;
		stress_check(me, object, key);
		i = random % STRESS_KEPT;
		if (kept[i].object) {
			me->way->put(object);
			continue;
		}
		kept[i].object = object;
		kept[i].key = key;
	}
	for (i = 0; i < STRESS_KEPT; i++)
		if (kept[i].object)
			stress_drop(me, kept[i].object, kept[i].key);
	return 0;
}

static int stress_writer(void *data)
{
	struct stress_thread *me = data;
	struct {
		void	*inserted;
		u32	key;
	} owned[STRESS_OWNED] = {};
	unsigned long round = 0;
	int i = 0;

	while (!kthread_should_stop()) {
		if (!(++round & 15))
			cond_resched();
		i = (i + 1) % STRESS_OWNED;
		if (owned[i].inserted)
			me->way->remove(owned[i].inserted, owned[i].key);
		owned[i].key = stress_random(me) % STRESS_KEYS;
		owned[i].inserted = me->way->insert(owned[i].key);
		if (owned[i].inserted)
			me->inserts++;
	}
	for (i = 0; i < STRESS_OWNED; i++)
		if (owned[i].inserted)
			me->way->remove(owned[i].inserted, owned[i].key);
	return 0;
}

/**
 * lookup_stress - drive one of the lookups
 * @way: the lookup
 * @readers: how many threads look objects up
 * @writers: how many remove and insert
 * @ms: for how long; longer if little has happened until then
 * @result: what has come of it
 *
 * Context: task, may sleep.
 * Return: 0, or an error if not all threads could be started; no thread and no
 * object is left in either case.
 */
static inline int lookup_stress(const struct lookup_way *way, unsigned int readers,
				unsigned int writers, unsigned int ms,
				struct stress_result *result)
{
	int opened = atomic_read(&lookup_opened);
	int closed = atomic_read(&lookup_closed);
	int wrong = atomic_read(&lookup_wrong);
	struct stress_thread *threads;
	unsigned int i, passed;
	void *object;
	int rc = 0;
	u32 key;

	memset(result, 0, sizeof(*result));
	if (!readers || !writers || !ms || readers + writers > STRESS_THREADS)
		return -EINVAL;
	threads = kcalloc(readers + writers, sizeof(*threads), GFP_KERNEL);
	if (!threads)
		return -ENOMEM;

	for (i = 0; i < readers + writers; i++) {
		struct task_struct *task;

		threads[i].way = way;
		threads[i].random = 0x9e3779b9 * (i + 1);
		task = kthread_run(i < readers ? stress_reader : stress_writer,
				   &threads[i], "%s/%u", way->name, i);
		if (IS_ERR(task)) {
			rc = PTR_ERR(task);
			break;
		}
		threads[i].task = task;
	}
	for (passed = 0; !rc && passed < STRESS_MOST_MS; passed += ms) {
		msleep(ms);
		if (atomic_read(&lookup_opened) - opened >= STRESS_ENOUGH)
			break;
	}
	/* From the end: removal first, so that the readers put what is removed. */
	while (i--)
		kthread_stop(threads[i].task);

	/* by_live: the releases that are still on their way. */
	pcpuref_barrier();

	for (i = 0; i < readers + writers; i++) {
		result->hits += threads[i].hits;
		result->misses += threads[i].misses;
		result->outlived += threads[i].outlived;
		result->inserts += threads[i].inserts;
		result->wrong += threads[i].wrong;
	}
	kfree(threads);
	for (key = 0; key < STRESS_KEYS; key++) {
		object = way->find(key);
		if (object) {
			result->wrong++;
			way->put(object);
		}
	}
	result->opened = atomic_read(&lookup_opened) - opened;
	result->closed = atomic_read(&lookup_closed) - closed;
	result->wrong += atomic_read(&lookup_wrong) - wrong;
	return rc;
}

#endif /* PCPUREF_LOOKUP_STRESS_H */
