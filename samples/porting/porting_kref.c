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

/* The first reference, the table's. */
static void conn_count(struct conn *conn)
{
	kref_init(&conn->kref);
}

/* end-count */

#include "conn_table.h"

MODULE_DESCRIPTION("A table of connections, counted by kref");
