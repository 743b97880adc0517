// SPDX-License-Identifier: GPL-2.0-only
/*
 * porting_percpu_ref.c, ported to pcpuref. What it needed a completion, a work and
 * a workqueue for, pcpuref has.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>

#include "pcpuref.h"

#define HAS_FREEZE 1
#include "conn.h"

static DEFINE_HASHTABLE(table, 4);
static DEFINE_MUTEX(table_lock);

/* start-freeze */
static struct pcpuref users;

static void users_release(struct pcpuref *ref)
{
}

static bool table_enter(void)
{
	return pcpuref_tryget_live(&users);
}

static void table_leave(void)
{
	pcpuref_put(&users);
}

static void table_freeze(void)
{
	WARN_ON(pcpuref_kill_and_wait(&users));
}

static void table_thaw(void)
{
	pcpuref_reinit(&users);
}

/* end-freeze */

/* start-release */
struct conn {
	struct pcpuref		ref;
	struct hlist_node	node;
	u32			id;
	struct rcu_head		rcu;
};

/* In process context, as PCPUREF_RELEASE_WORK asks for: it may sleep. */
static void conn_release(struct pcpuref *ref)
{
	struct conn *conn = container_of(ref, struct conn, ref);

	conn_hang_up(conn);
	pcpuref_exit(&conn->ref);
	kfree_rcu(conn, rcu);
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
	rc = pcpuref_init(&conn->ref, conn_release, PCPUREF_RELEASE_WORK, GFP_KERNEL);
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

	pcpuref_cancel_init(&conn->ref);
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
	if (conn && !pcpuref_tryget_live_rcu(&conn->ref))
		conn = NULL;
	rcu_read_unlock();
	return conn;
}

static void conn_put(struct conn *conn)
{
	pcpuref_put(&conn->ref);
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
	pcpuref_kill(&conn->ref);
	return 0;
}

/* end-find */

/* start-exit */
static int table_init(void)
{
	return pcpuref_init(&users, users_release, PCPUREF_ALLOW_REINIT, GFP_KERNEL);
}

static void table_exit(void)
{
	struct hlist_node *next;
	struct conn *conn;
	int i;

	hash_for_each_safe(table, i, next, conn, node)
		conn_close(conn->id);

	WARN_ON(pcpuref_kill_and_wait(&users));
	pcpuref_exit(&users);

	/* Each release has returned. */
	pcpuref_barrier();
}

/* end-exit */

MODULE_DESCRIPTION("A table of connections, counted by pcpuref");
