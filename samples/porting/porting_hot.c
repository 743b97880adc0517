// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table of connections, whose users are on all CPUs all the time:
 * porting_pcpuref_kref.c, ported to pcpuref.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>

#include "pcpuref.h"

#define HAS_FREEZE 0
#include "conn.h"

static DEFINE_HASHTABLE(table, 4);
static DEFINE_MUTEX(table_lock);

/* start-count */
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

static void conn_put(struct conn *conn)
{
	pcpuref_put(&conn->ref);
}

static bool conn_get(struct conn *conn)
{
	return pcpuref_tryget_live_rcu(&conn->ref);
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

/* start-life */
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

	/* Each release has returned. */
	pcpuref_barrier();
}

/* end-life */

MODULE_DESCRIPTION("A table of connections, counted per CPU, by pcpuref");
