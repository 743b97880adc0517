/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Three tables of counted objects, and how an object is looked up in each:
 *
 *	by_mutex	pcpuref_kref, found under a mutex, released outside of it
 *	by_rcu		pcpuref_kref, found under RCU
 *	by_live		pcpuref, found under RCU until it is removed
 *
 * In the first two, whoever holds a reference keeps the object in the table:
 * it leaves when the last user does. In the third one the table itself holds
 * the initial reference, until somebody removes the object.
 *
 * A header, so that the sample module and the tests compile the same code.
 * Documentation/kref.rst shows the parts between the markers.
 */
#ifndef PCPUREF_LOOKUP_H
#define PCPUREF_LOOKUP_H

#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/hashtable.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "pcpuref.h"
#include "pcpuref_kref.h"

/* Tests want long chains. */
#ifndef LOOKUP_BITS
#define LOOKUP_BITS	6
#endif

#define LOOKUP_OPEN	0x600d600dU
#define LOOKUP_CLOSED	0xdeadf00dU

/**
 * struct lookup_data - what the objects are for
 * @key: by what it is found
 * @state: open while the object is in use
 *
 * It stands for whatever has to be closed when the last user is gone, once.
 */
struct lookup_data {
	u32	key;
	u32	state;
};

/* How many were opened and closed, and how often one was closed twice. */
static atomic_t lookup_opened, lookup_closed, lookup_wrong;

static inline void lookup_open(struct lookup_data *data, u32 key)
{
	data->key = key;
	data->state = LOOKUP_OPEN;
	atomic_inc(&lookup_opened);
}

static inline void lookup_close(struct lookup_data *data)
{
	atomic_inc(&lookup_closed);
	if (xchg(&data->state, LOOKUP_CLOSED) != LOOKUP_OPEN)
		atomic_inc(&lookup_wrong);
}

/* --- Under a mutex -------------------------------------------------------- */

/* start-by-mutex */
struct by_mutex {
	struct pcpuref_kref	kref;
	struct hlist_node	node;
	struct lookup_data	data;
};

static DEFINE_HASHTABLE(by_mutex_table, LOOKUP_BITS);
static DEFINE_MUTEX(by_mutex_lock);

static inline struct by_mutex *__by_mutex_find(u32 key)
{
	struct by_mutex *object;

	lockdep_assert_held(&by_mutex_lock);
	/* One that is being released is passed over: it may have a successor. */
	hash_for_each_possible(by_mutex_table, object, node, key)
		if (object->data.key == key &&
		    pcpuref_kref_get_unless_zero(&object->kref))
			return object;
	return NULL;
}

static inline struct by_mutex *by_mutex_find(u32 key)
{
	struct by_mutex *object;

	mutex_lock(&by_mutex_lock);
	object = __by_mutex_find(key);
	mutex_unlock(&by_mutex_lock);
	return object;
}

static void by_mutex_release(struct pcpuref_kref *kref)
{
	struct by_mutex *object = container_of(kref, struct by_mutex, kref);

	mutex_lock(&by_mutex_lock);
	hash_del(&object->node);
	mutex_unlock(&by_mutex_lock);

	lookup_close(&object->data);
	kfree(object);
}

static inline void by_mutex_put(struct by_mutex *object)
{
	pcpuref_kref_put(&object->kref, by_mutex_release);
}

/* end-by-mutex */

/* Find an object, or make one: the caller has a reference, or NULL. */
static inline struct by_mutex *by_mutex_open(u32 key)
{
	struct by_mutex *new = kzalloc(sizeof(*new), GFP_KERNEL);
	struct by_mutex *object;

	if (!new)
		return NULL;
	pcpuref_kref_init(&new->kref);

	mutex_lock(&by_mutex_lock);
	object = __by_mutex_find(key);
	if (!object) {
		lookup_open(&new->data, key);
		hash_add(by_mutex_table, &new->node, key);
		swap(object, new);
	}
	mutex_unlock(&by_mutex_lock);

	kfree(new);
	return object;
}

/* --- Under RCU, until the last user is gone ------------------------------- */

/* start-by-rcu */
struct by_rcu {
	struct pcpuref_kref	kref;
	struct hlist_node	node;
	struct lookup_data	data;
	struct rcu_head		rcu;
};

static DEFINE_HASHTABLE(by_rcu_table, LOOKUP_BITS);
static DEFINE_SPINLOCK(by_rcu_lock);

static inline struct by_rcu *by_rcu_find(u32 key)
{
	struct by_rcu *object;

	rcu_read_lock();
	hash_for_each_possible_rcu(by_rcu_table, object, node, key)
		if (object->data.key == key &&
		    pcpuref_kref_get_unless_zero(&object->kref))
			break;
	rcu_read_unlock();
	return object;
}

/* Puts come from tasks only: by_rcu_open() leaves interrupts enabled under the lock. */
static void by_rcu_release(struct pcpuref_kref *kref)
{
	struct by_rcu *object = container_of(kref, struct by_rcu, kref);

	spin_lock(&by_rcu_lock);
	hash_del_rcu(&object->node);
	spin_unlock(&by_rcu_lock);

	lookup_close(&object->data);
	/* A lookup may be about to find that the count is zero. */
	kfree_rcu(object, rcu);
}

static inline void by_rcu_put(struct by_rcu *object)
{
	pcpuref_kref_put(&object->kref, by_rcu_release);
}

/* end-by-rcu */

/* Find an object, or make one: the caller has a reference, or NULL. */
static inline struct by_rcu *by_rcu_open(u32 key)
{
	struct by_rcu *new = kzalloc(sizeof(*new), GFP_KERNEL);
	struct by_rcu *object;

	if (!new)
		return NULL;
	pcpuref_kref_init(&new->kref);

	spin_lock(&by_rcu_lock);
	object = by_rcu_find(key);
	if (!object) {
		lookup_open(&new->data, key);
		hash_add_rcu(by_rcu_table, &new->node, key);
		swap(object, new);
	}
	spin_unlock(&by_rcu_lock);

	kfree(new);
	return object;
}

/* --- Under RCU, until it is removed --------------------------------------- */

/* start-by-live */
struct by_live {
	struct pcpuref		ref;
	struct hlist_node	node;
	struct lookup_data	data;
	struct rcu_head		rcu;
};

static DEFINE_HASHTABLE(by_live_table, LOOKUP_BITS);
static DEFINE_SPINLOCK(by_live_lock);

static inline struct by_live *by_live_find(u32 key)
{
	struct by_live *object;

	rcu_read_lock();
	hash_for_each_possible_rcu(by_live_table, object, node, key)
		if (object->data.key == key &&
		    pcpuref_tryget_live_rcu(&object->ref))
			break;
	rcu_read_unlock();
	return object;
}

static void by_live_release(struct pcpuref *ref)
{
	struct by_live *object = container_of(ref, struct by_live, ref);

	lookup_close(&object->data);
	pcpuref_exit(&object->ref);
	/* A lookup may be about to find that the reference is dead. */
	kfree_rcu(object, rcu);
}

static inline void by_live_put(struct by_live *object)
{
	pcpuref_put(&object->ref);
}

/* True: removed. Those who found it before keep it until they put it. */
static inline bool by_live_remove(u32 key)
{
	struct by_live *object;

	spin_lock(&by_live_lock);
	hash_for_each_possible(by_live_table, object, node, key)
		if (object->data.key == key) {
			hash_del_rcu(&object->node);
			break;
		}
	spin_unlock(&by_live_lock);

	/* Only who has taken it out of the table gets here with it. */
	if (object)
		pcpuref_kill(&object->ref);
	return object;
}

/* end-by-live */

/* 0, -EEXIST, or -ENOMEM; the table holds the initial reference. */
static inline int by_live_create(u32 key)
{
	struct by_live *new = kzalloc(sizeof(*new), GFP_KERNEL);
	struct by_live *object;
	int rc;

	if (!new)
		return -ENOMEM;
	rc = pcpuref_init(&new->ref, by_live_release, 0, GFP_KERNEL);
	if (rc)
		goto free;

	spin_lock(&by_live_lock);
	hash_for_each_possible(by_live_table, object, node, key)
		if (object->data.key == key)
			break;
	if (!object) {
		lookup_open(&new->data, key);
		hash_add_rcu(by_live_table, &new->node, key);
	}
	spin_unlock(&by_live_lock);
	if (!object)
		return 0;

	rc = -EEXIST;
	pcpuref_cancel_init(&new->ref);
free:
	kfree(new);
	return rc;
}

#endif /* PCPUREF_LOOKUP_H */
