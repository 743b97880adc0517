/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The table of those stages that count in the object alone: it is the same for each of
 * these counts. What includes this has struct conn with "node", "id" and "rcu", and
 * conn_count(), conn_get() and conn_put().
 */
#ifndef PORTING_CONN_TABLE_H
#define PORTING_CONN_TABLE_H

static DEFINE_HASHTABLE(table, 4);
static DEFINE_MUTEX(table_lock);

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
	conn_count(conn);

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

#endif /* PORTING_CONN_TABLE_H */
