// SPDX-License-Identifier: GPL-2.0-only
/*
 * Releases in process context. They may sleep as long as they like, also for one
 * another, and no release may wait for another one's place: but a workqueue runs
 * only so many works at a time. So there are as many workqueues as it takes. Each
 * of them (a pool) is given no more works than it runs at a time; for what finds
 * no place, a work item on a workqueue of the system makes a new pool. Pools are
 * cheap, since workqueues share their threads, and stay for the next time.
 *
 * The workqueues are not WQ_MEM_RECLAIM: then a release could not flush works of
 * others, which are not either. They are not WQ_UNBOUND: of those the kernel divides
 * the number of works between nodes, as it sees fit, and one node may get eight. They
 * are WQ_CPU_INTENSIVE, so a release that computes does not keep others from starting.
 */
#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/llist.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "rooms.h"

/**
 * struct pcpuref_work_pool - a workqueue that is never full
 * @next: the pool that was made before this one
 * @wq: its workqueue
 * @active: works that are queued or running in it, ACTIVE_MAX at the most
 */
struct pcpuref_work_pool {
	struct pcpuref_work_pool	*next;
	struct workqueue_struct		*wq;
	atomic_t			active;
};

/* The most that every kernel accepts; it is for each CPU. */
#define ACTIVE_MAX	512

/* Only added to, by the first pool and then by find_places() alone. */
static struct pcpuref_work_pool *pools;
static LLIST_HEAD(waiting);

static void find_places(struct work_struct *unused);
static DECLARE_DELAYED_WORK(places_work, find_places);

static struct pcpuref_work_pool *add_pool(void)
{
	struct pcpuref_work_pool *pool = kzalloc(sizeof(*pool), GFP_KERNEL);

	if (!pool)
		return NULL;
	pool->wq = alloc_workqueue("pcpuref", PCPUREF_WQ_PERCPU | WQ_CPU_INTENSIVE,
				   ACTIVE_MAX);
	if (!pool->wq) {
		kfree(pool);
		return NULL;
	}
	pool->next = pools;
	/* Pairs with the dependency in queue_somewhere() (litmus: p1-publish). */
	smp_store_release(&pools, pool);
	return pool;
}

static bool queue_somewhere(struct pcpuref_work *work)
{
	struct pcpuref_work_pool *pool;

	/* Pairs with the smp_store_release() in add_pool(). */
	for (pool = READ_ONCE(pools); pool; pool = pool->next) {
		if (!atomic_add_unless(&pool->active, 1, ACTIVE_MAX))
			continue;
		work->pool = pool;
		queue_work(pool->wq, &work->work);
		return true;
	}
	return false;
}

void __pcpuref_queue_work(struct pcpuref_work *work)
{
	if (queue_somewhere(work))
		return;
	/* Fully ordered: pairs with the llist_del_all() in find_places(). */
	if (llist_add(&work->waiting, &waiting))
		schedule_delayed_work(&places_work, 0);
}

/* In process context: places for those who have found none. */
static void find_places(struct work_struct *unused)
{
	struct llist_node *list = llist_del_all(&waiting), *next;
	bool more = true;

	for (; list; list = next) {
		struct pcpuref_work *work = container_of(list, struct pcpuref_work, waiting);

		next = list->next;
		while (more && !queue_somewhere(work))
			more = add_pool();
		if (more)
			continue;
		/* Without memory for a pool: as soon as there is some, or a place. */
		llist_add(&work->waiting, &waiting);
		schedule_delayed_work(&places_work, 1);
	}
}

/* After this @work may be freed, or queued again. */
struct pcpuref_work_pool *__pcpuref_work_begin(struct pcpuref_work *work)
{
	return work->pool;
}

void __pcpuref_work_end(struct pcpuref_work_pool *pool)
{
	/* Orders nothing: it is a number of places. */
	atomic_dec(&pool->active);
}

int __pcpuref_work_init(void)
{
	return add_pool() ? 0 : -ENOMEM;
}

void __pcpuref_work_exit(void)
{
	struct pcpuref_work_pool *pool;

	cancel_delayed_work_sync(&places_work);
	while ((pool = pools)) {
		pools = pool->next;
		destroy_workqueue(pool->wq);
		kfree(pool);
	}
}
