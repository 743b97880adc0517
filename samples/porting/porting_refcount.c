// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table of connections, as it is written for refcount_t: the table has a
 * reference of each, and lookups are under RCU.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/refcount.h>

#define HAS_FREEZE 0
#include "conn.h"

/* start-count */
struct conn {
	refcount_t		refs;
	struct hlist_node	node;
	u32			id;
	struct rcu_head		rcu;
};

static void conn_free(struct conn *conn)
{
	conn_hang_up(conn);
	kfree_rcu(conn, rcu);
}

static void conn_put(struct conn *conn)
{
	if (refcount_dec_and_test(&conn->refs))
		conn_free(conn);
}

static bool conn_get(struct conn *conn)
{
	return refcount_inc_not_zero(&conn->refs);
}

/* The first reference, the table's. */
static void conn_count(struct conn *conn)
{
	refcount_set(&conn->refs, 1);
}

/* end-count */

#include "conn_table.h"

MODULE_DESCRIPTION("A table of connections, counted by refcount_t");
