// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table of connections, as it is written for percpu_ref. Each connection has a
 * reference, and so has the table: it can be frozen.
 *
 * shim/ compiles this file with pcpuref_compat.h, unchanged.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/module.h>
#include <linux/percpu-refcount.h>

#define HAS_FREEZE 1
#include "conn.h"

static DEFINE_HASHTABLE(table, 4);
static DEFINE_MUTEX(table_lock);

/* start-freeze */
static struct percpu_ref users;
static DECLARE_COMPLETION(users_gone);

static void users_release(struct percpu_ref *ref)
{
	complete(&users_gone);
}

static bool table_enter(void)
{
	return percpu_ref_tryget_live(&users);
}

static void table_leave(void)
{
	percpu_ref_put(&users);
}

static void table_freeze(void)
{
	percpu_ref_kill(&users);
	wait_for_completion(&users_gone);
}

static void table_thaw(void)
{
	reinit_completion(&users_gone);
	percpu_ref_reinit(&users);
}

/* end-freeze */

/* start-release */
struct conn {
	struct percpu_ref	ref;
	struct hlist_node	node;
	u32			id;
	struct work_struct	free_work;
	struct rcu_head		rcu;
};

static struct workqueue_struct *free_wq;

static void conn_free(struct work_struct *work)
{
	struct conn *conn = container_of(work, struct conn, free_work);

	conn_hang_up(conn);
	percpu_ref_exit(&conn->ref);
	kfree_rcu(conn, rcu);
}

/* From an RCU callback or a put, so it must not sleep. */
static void conn_release(struct percpu_ref *ref)
{
	struct conn *conn = container_of(ref, struct conn, ref);

	INIT_WORK(&conn->free_work, conn_free);
	queue_work(free_wq, &conn->free_work);
}

/* end-release */

static u32 conn_id(const struct conn *conn)
{
	return conn->id;
}

static struct conn *lookup(u32 id)
{
	struct conn *conn;

	hash_for_each_possible_rcu(table, conn, node, id, lockdep_is_held(&table_lock))
		if (conn->id == id)
			return conn;
	return NULL;
}

/* start-open */
static int conn_open(u32 id)
{
	struct conn *conn = kzalloc(sizeof(*conn), GFP_KERNEL);
	int rc;

	if (!conn)
		return -ENOMEM;
	rc = percpu_ref_init(&conn->ref, conn_release, 0, GFP_KERNEL);
	if (rc)
		goto free;

	conn->id = id;
	mutex_lock(&table_lock);
	rc = lookup(id) ? -EEXIST : 0;
	if (!rc) {
		hash_add_rcu(table, &conn->node, id);
		atomic_inc(&opened);
	}
	mutex_unlock(&table_lock);
	if (!rc)
		return 0;

	percpu_ref_exit(&conn->ref);
free:
	kfree(conn);
	return rc;
}

/* end-open */

/* start-find */
static struct conn *conn_find(u32 id)
{
	struct conn *conn;

	rcu_read_lock();
	conn = lookup(id);
	if (conn && !percpu_ref_tryget_live(&conn->ref))
		conn = NULL;
	rcu_read_unlock();
	return conn;
}

static void conn_put(struct conn *conn)
{
	percpu_ref_put(&conn->ref);
}

static int conn_close(u32 id)
{
	struct conn *conn;

	mutex_lock(&table_lock);
	conn = lookup(id);
	if (conn)
		hash_del_rcu(&conn->node);
	mutex_unlock(&table_lock);

	/* Only who has taken it out of the table gets here with it. */
	if (!conn)
		return -ENOENT;
	percpu_ref_kill(&conn->ref);
	return 0;
}

/* end-find */

/* start-exit */
static int table_init(void)
{
	int rc;

	free_wq = alloc_workqueue("conn_free", WQ_UNBOUND, 0);
	if (!free_wq)
		return -ENOMEM;
	rc = percpu_ref_init(&users, users_release, PERCPU_REF_ALLOW_REINIT, GFP_KERNEL);
	if (rc)
		destroy_workqueue(free_wq);
	return rc;
}

static void table_exit(void)
{
	struct hlist_node *next;
	struct conn *conn;
	int i;

	hash_for_each_safe(table, i, next, conn, node)
		conn_close(conn->id);

	/* The kills are over: each release has queued its work. */
	rcu_barrier();
	destroy_workqueue(free_wq);

	percpu_ref_kill(&users);
	wait_for_completion(&users_gone);
	percpu_ref_exit(&users);
}

/* end-exit */

MODULE_DESCRIPTION("A table of connections, counted by percpu_ref");
