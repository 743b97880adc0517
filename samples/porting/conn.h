/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A driver that has a table of connections: all but the table and its counts, which
 * each stage of the port has in a file of its own.
 *
 *	open ID, close ID	a connection comes, or goes when its last user does
 *	hold ID, drop ID	a user of it
 *	freeze, thaw		nobody uses the table in between (HAS_FREEZE)
 *	storm MS		all of it at the same time, on all CPUs
 */
#ifndef PORTING_CONN_H
#define PORTING_CONN_H

#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/hashtable.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "control.h"

struct conn;

/* --- What the stages have ------------------------------------------------- */

static int conn_open(u32 id);
static int conn_close(u32 id);
/* With a reference, or NULL. */
static struct conn *conn_find(u32 id);
static void conn_put(struct conn *conn);
static u32 conn_id(const struct conn *conn);

static int table_init(void);
/* All connections are closed, and there are no users. */
static void table_exit(void);

#if HAS_FREEZE
static bool table_enter(void);
static void table_leave(void);
static void table_freeze(void);
static void table_thaw(void);
#else
static inline bool table_enter(void)
{
	return true;
}

static inline void table_leave(void)
{
}

static inline void table_freeze(void)
{
}

static inline void table_thaw(void)
{
}
#endif

/* --- What they call -------------------------------------------------------- */

static atomic_t opened = ATOMIC_INIT(0), freed = ATOMIC_INIT(0);

static int atomic_show(char *buffer, const struct kernel_param *kp)
{
	return scnprintf(buffer, PAGE_SIZE, "%d\n", atomic_read((atomic_t *)kp->arg));
}

static const struct kernel_param_ops atomic_ops = {
	.get = atomic_show,
};

module_param_cb(opened, &atomic_ops, &opened, 0444);
MODULE_PARM_DESC(opened, "Connections opened since load");
module_param_cb(freed, &atomic_ops, &freed, 0444);
MODULE_PARM_DESC(freed, "Connections freed since load");

/* Tell the other side. Takes its time. */
static void conn_hang_up(struct conn *conn)
{
	might_sleep();
	usleep_range(100, 200);
	atomic_inc(&freed);
}

/* --- Users ----------------------------------------------------------------- */

#define HELD	8

static struct conn *held[HELD];
static bool frozen;
/* How many are between table_enter() and table_leave(). */
static atomic_t inside = ATOMIC_INIT(0);

static bool enter(void)
{
	if (!table_enter())
		return false;
	atomic_inc(&inside);
	return true;
}

static void leave(void)
{
	atomic_dec(&inside);
	table_leave();
}

static int hold(u32 id)
{
	int i;

	for (i = 0; i < HELD; i++)
		if (!held[i]) {
			held[i] = conn_find(id);
			return held[i] ? 0 : -ENOENT;
		}
	return -ENOSPC;
}

static int drop(u32 id)
{
	int i;

	for (i = 0; i < HELD; i++)
		if (held[i] && conn_id(held[i]) == id) {
			conn_put(held[i]);
			held[i] = NULL;
			return 0;
		}
	return -ENOENT;
}

static void drop_all(void)
{
	int i;

	for (i = 0; i < HELD; i++)
		if (held[i]) {
			conn_put(held[i]);
			held[i] = NULL;
		}
}

/* True if nobody is inside. */
static bool freeze(void)
{
	table_freeze();
	frozen = true;
	return !HAS_FREEZE || !atomic_read(&inside);
}

static void thaw(void)
{
	frozen = false;
	table_thaw();
}

/* --- Storm ------------------------------------------------------------------ */

#define STORM_ID	1000
#define STORM_CONNS	4

static atomic_t storm_found = ATOMIC_INIT(0), storm_wrong = ATOMIC_INIT(0);

static int storm_user(void *unused)
{
	struct conn *conn;
	u32 id = STORM_ID;

	while (!kthread_should_stop()) {
		if (enter()) {
			conn = conn_find(id);
			if (conn) {
				atomic_inc(&storm_found);
				if (conn_id(conn) != id)
					atomic_inc(&storm_wrong);
				conn_put(conn);
			}
			leave();
		}
		if (++id == STORM_ID + STORM_CONNS)
			id = STORM_ID;
		cond_resched();
	}
	return 0;
}

static int storm(u32 ms)
{
	unsigned int nr = 0, i, cpus = num_online_cpus();
	struct task_struct **users = kcalloc(cpus, sizeof(*users), GFP_KERNEL);
	unsigned long end = jiffies + msecs_to_jiffies(ms);
	u32 id = STORM_ID;
	int rc = 0;

	if (!users)
		return -ENOMEM;
	for (nr = 0; nr < cpus && !rc; nr++) {
		users[nr] = kthread_run(storm_user, NULL, "porting/%u", nr);
		if (IS_ERR(users[nr])) {
			rc = PTR_ERR(users[nr]);
			break;
		}
	}
	atomic_set(&storm_found, 0);
	while (!rc && time_before(jiffies, end)) {
		rc = conn_open(id);
		usleep_range(200, 400);
		if (!freeze())
			atomic_inc(&storm_wrong);
		thaw();
		usleep_range(200, 400);
		if (!rc)
			rc = conn_close(id);
		if (++id == STORM_ID + STORM_CONNS)
			id = STORM_ID;
	}
	for (i = 0; i < nr; i++)
		kthread_stop(users[i]);
	kfree(users);
	if (!rc && (!atomic_read(&storm_found) || atomic_read(&storm_wrong)))
		rc = -EIO;
	return rc;
}

/* --- The module --------------------------------------------------------------- */

static int control(const char *what, u32 id)
{
	int rc = -EINVAL;

	if (HAS_FREEZE && !strcmp(what, "freeze")) {
		if (frozen)
			return -EALREADY;
		return freeze() ? 0 : -EIO;
	}
	if (HAS_FREEZE && !strcmp(what, "thaw")) {
		if (!frozen)
			return -EALREADY;
		thaw();
		return 0;
	}
	if (!strcmp(what, "storm"))
		return frozen ? -EBUSY : storm(id);
	if (!enter())
		return -EBUSY;
	if (!strcmp(what, "open"))
		rc = conn_open(id);
	else if (!strcmp(what, "close"))
		rc = conn_close(id);
	else if (!strcmp(what, "hold"))
		rc = hold(id);
	else if (!strcmp(what, "drop"))
		rc = drop(id);
	leave();
	return rc;
}

static int __init conn_init(void)
{
	int err = table_init();

	ready = !err;
	return err;
}

static void __exit conn_exit(void)
{
	if (frozen)
		thaw();
	drop_all();
	table_exit();
	pr_info("%d opened, %d freed\n", atomic_read(&opened), atomic_read(&freed));
}

module_init(conn_init);
module_exit(conn_exit);
MODULE_LICENSE("GPL");

#endif /* PORTING_CONN_H */
