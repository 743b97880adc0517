// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table of connections, porting_kref.c and porting_refcount.c both ported to
 * pcpuref_kref.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>

#include "pcpuref_kref.h"

#define HAS_FREEZE 0
#include "conn.h"

/* start-count */
struct conn {
	struct pcpuref_kref	kref;
	struct hlist_node	node;
	u32			id;
	struct rcu_head		rcu;
};

static void conn_release(struct pcpuref_kref *kref)
{
	struct conn *conn = container_of(kref, struct conn, kref);

	conn_hang_up(conn);
	kfree_rcu(conn, rcu);
}

static void conn_put(struct conn *conn)
{
	pcpuref_kref_put(&conn->kref, conn_release);
}

static bool conn_get(struct conn *conn)
{
	return pcpuref_kref_get_unless_zero(&conn->kref);
}

/* The first reference, the table's. */
static void conn_count(struct conn *conn)
{
	pcpuref_kref_init(&conn->kref);
}

/* end-count */

#include "conn_table.h"

MODULE_DESCRIPTION("A table of connections, counted by pcpuref_kref");
