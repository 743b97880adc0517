// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table of connections, as it is written for kref: the table has a reference of
 * each, and lookups are under RCU.
 *
 * shim-kref/ compiles this file with pcpuref_compat.h, unchanged.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kref.h>
#include <linux/module.h>

#define HAS_FREEZE 0
#include "conn.h"

static DEFINE_HASHTABLE(table, 4);
static DEFINE_MUTEX(table_lock);

/* start-count */
struct conn {
	struct kref		kref;
	struct hlist_node	node;
	u32			id;
	struct rcu_head		rcu;
};

static void conn_release(struct kref *kref)
{
	struct conn *conn = container_of(kref, struct conn, kref);

	conn_hang_up(conn);
	kfree_rcu(conn, rcu);
}

static void conn_put(struct conn *conn)
{
	kref_put(&conn->kref, conn_release);
}

static bool conn_get(struct conn *conn)
{
	return kref_get_unless_zero(&conn->kref);
}

/* end-count */

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

static struct conn *conn_find(u32 id)
{
	struct conn *conn;

	rcu_read_lock();
	conn = lookup(id);
	if (conn && !conn_get(conn))
		conn = NULL;
	rcu_read_unlock();
	return conn;
}

static int conn_open(u32 id)
{
	struct conn *conn = kzalloc(sizeof(*conn), GFP_KERNEL);
	int rc = 0;

	if (!conn)
		return -ENOMEM;
	kref_init(&conn->kref);

	conn->id = id;
	mutex_lock(&table_lock);
	if (lookup(id)) {
		rc = -EEXIST;
		kfree(conn);
	} else {
		hash_add_rcu(table, &conn->node, id);
		atomic_inc(&opened);
	}
	mutex_unlock(&table_lock);
	return rc;
}

static int conn_close(u32 id)
{
	struct conn *conn;

	mutex_lock(&table_lock);
	conn = lookup(id);
	if (conn)
		hash_del_rcu(&conn->node);
	mutex_unlock(&table_lock);

	if (!conn)
		return -ENOENT;
	/* The table's. */
	conn_put(conn);
	return 0;
}

static int table_init(void)
{
	return 0;
}

static void table_exit(void)
{
	struct hlist_node *next;
	struct conn *conn;
	int i;

	hash_for_each_safe(table, i, next, conn, node)
		conn_close(conn->id);
}

MODULE_DESCRIPTION("A table of connections, counted by kref");
