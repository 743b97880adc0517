// SPDX-License-Identifier: GPL-2.0-only
/*
 * An object store, as a sample of how pcpuref is used.
 *
 * A table of slots holds objects. Readers look an object up under RCU, take a
 * reference, use the object and put it; now and then they leave the reference
 * in a pocket, where some other reader finds and puts it. Writers replace
 * objects (remove, kill, insert a new one), freeze them (kill, wait for the
 * last user, change what no user may see changing, reinit), and change their
 * mind about a kill (resurrect).
 *
 * All of it is counted, and readers check what the reference promises them.
 * Writing 0 to the parameter "running", or unloading, stops the threads,
 * removes all objects and prints whether the numbers balance.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "pcpuref.h"

#define SLOTS		8
#define POCKETS		16
#define MAX_THREADS	64

#define IN_USE		0x600d600dUL
#define RELEASED	0xdeadf00dUL

static unsigned int readers = 4;
module_param(readers, uint, 0444);
MODULE_PARM_DESC(readers, "Threads that look objects up, at full speed");

static unsigned int writers = 2;
module_param(writers, uint, 0444);
MODULE_PARM_DESC(writers, "Threads that kill, reinit, remove and insert objects");

static unsigned int pause_ms = 10;
module_param(pause_ms, uint, 0644);
MODULE_PARM_DESC(pause_ms, "What a writer sleeps after each step, in ms");

/**
 * struct object - what the store holds
 * @ref: counts the users; the store's own reference is the initial one
 * @name: names @ref in messages
 * @state: IN_USE, or RELEASED from the last release on
 * @left: equal to @right whenever somebody has a reference
 * @right: equal to @left
 * @closed: odd from the confirmation of a kill to the reinit
 * @removed: no longer in the table, so release frees it
 * @rcu: for freeing, since a lookup may still look at @ref
 */
struct object {
	struct pcpuref		ref;
	char			name[24];
	unsigned long		state;
	unsigned long		left;
	unsigned long		right;
	unsigned int		closed;
	bool			removed;
	struct rcu_head		rcu;
};

struct slot {
	struct mutex		lock;	/* one writer at a time, who may sleep */
	struct object __rcu	*object;
};

struct thread {
	struct task_struct	*task;
	struct rnd_state	random;
	u64			gets;
	u64			puts;
	u64			misses;
};

static struct slot slots[SLOTS];
static struct object *pockets[POCKETS];
static struct thread threads[MAX_THREADS];

static DEFINE_MUTEX(run_lock);
static bool running;
static unsigned int problems;

static atomic_long_t inserts, frees, kills, confirms;
static atomic_long_t releases, reinits, resurrects;
/* What must not happen. */
static atomic_long_t torn, late, refused;

static u64 gets, puts, misses;

/* --- The object ----------------------------------------------------------- */

static void object_free_rcu(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct object, rcu));
	atomic_long_inc(&frees);
}

/* The last reference of a life has gone; from a put or an RCU callback. */
static void object_release(struct pcpuref *ref)
{
	struct object *object = container_of(ref, struct object, ref);

	atomic_long_inc(&releases);
	/* Set before the kill: release comes after it. */
	if (!object->removed)
		return;

	WRITE_ONCE(object->state, RELEASED);
	pcpuref_exit(&object->ref);
	call_rcu(&object->rcu, object_free_rcu);
}

static void object_confirm(struct pcpuref *ref)
{
	struct object *object = container_of(ref, struct object, ref);

	atomic_long_inc(&confirms);
	/* Pairs with the smp_load_acquire() in object_get(). */
	smp_store_release(&object->closed, object->closed + 1);
}

/* Of a kill that is undone: it may come when the object is open again. */
static void object_confirm_undone(struct pcpuref *ref)
{
	atomic_long_inc(&confirms);
}

static void object_kill(struct object *object, pcpuref_func_t *confirm)
{
	if (!pcpuref_kill_and_confirm(&object->ref, confirm))
		atomic_long_inc(&kills);
	else
		atomic_long_inc(&refused);
}

static struct object *object_create(void)
{
	struct object *object = kzalloc(sizeof(*object), GFP_KERNEL);

	if (!object)
		return NULL;

	object->state = IN_USE;
	snprintf(object->name, sizeof(object->name), "object-%ld",
		 atomic_long_inc_return(&inserts));
	if (pcpuref_init_named(&object->ref, object_release,
			       PCPUREF_ALLOW_REINIT, GFP_KERNEL, object->name)) {
		atomic_long_dec(&inserts);
		kfree(object);
		return NULL;
	}
	return object;
}

/* Look an object up; the caller owns a reference then. */
static struct object *object_get(struct thread *me, unsigned int nr)
{
	struct object *object;
	unsigned int closed;

	rcu_read_lock();
	object = rcu_dereference(slots[nr].object);
	if (!object)
		goto miss;
	/* Pairs with the smp_store_release() in object_confirm(). */
	closed = smp_load_acquire(&object->closed);
	if (!pcpuref_tryget_live_rcu(&object->ref))
		goto miss;
	/* Orders the tryget against the second load. */
	smp_rmb();
	if ((closed & 1) && READ_ONCE(object->closed) == closed)
		atomic_long_inc(&late);
	rcu_read_unlock();

	me->gets++;
	return object;
miss:
	rcu_read_unlock();
	me->misses++;
	return NULL;
}

static void object_put(struct thread *me, struct object *object)
{
	/* What a reference promises: nobody is freeing or changing it. */
	if (READ_ONCE(object->state) != IN_USE ||
	    READ_ONCE(object->left) != READ_ONCE(object->right))
		atomic_long_inc(&torn);

	me->puts++;
	pcpuref_put(&object->ref);
}

/* --- Readers -------------------------------------------------------------- */

static int reader(void *data)
{
	struct thread *me = data;
	struct object *object;
	u32 random;

	while (!kthread_should_stop()) {
		random = prandom_u32_state(&me->random);
		object = object_get(me, random % SLOTS);
		/* Rarely, so that some references outlast a grace period. */
		if (object && !(random & 0xffff00))
			object = xchg(&pockets[(random >> 24) % POCKETS], object);
		if (object)
			object_put(me, object);
		if (!(random & 0xff000000))
			cond_resched();
	}
	return 0;
}

/* --- Writers -------------------------------------------------------------- */

/* Callers hold the slot's lock. */
static struct object *slot_object(struct slot *slot)
{
	return rcu_dereference_protected(slot->object, lockdep_is_held(&slot->lock));
}

static void slot_insert(struct slot *slot)
{
	rcu_assign_pointer(slot->object, object_create());
}

/* First out of the table, then the kill; the last user's put frees it. */
static void slot_remove(struct slot *slot)
{
	struct object *object = slot_object(slot);

	if (!object)
		return;
	RCU_INIT_POINTER(slot->object, NULL);
	object->removed = true;
	object_kill(object, object_confirm);
}

/* Keep lookups out, wait for the users, change the object, let lookups in. */
static void slot_freeze(struct slot *slot)
{
	struct object *object = slot_object(slot);

	if (!object)
		return;
	object_kill(object, object_confirm);
	/* Joins the kill above: returns when release has. */
	if (pcpuref_kill_and_wait(&object->ref))
		atomic_long_inc(&refused);

	WRITE_ONCE(object->left, object->left + 1);
	/* Time for a reader to see the halves differ, if there were one. */
	schedule_timeout_uninterruptible(1);
	WRITE_ONCE(object->right, object->right + 1);

	/* Pairs with the smp_load_acquire() in object_get(). */
	smp_store_release(&object->closed, object->closed + 1);
	if (!pcpuref_reinit(&object->ref))
		atomic_long_inc(&reinits);
	else
		atomic_long_inc(&refused);
}

/* A kill that is undone. The reference of ours keeps release from coming. */
static void slot_hesitate(struct slot *slot)
{
	struct object *object = slot_object(slot);

	if (!object)
		return;
	pcpuref_get(&object->ref);
	object_kill(object, object_confirm_undone);
	if (!pcpuref_resurrect(&object->ref))
		atomic_long_inc(&resurrects);
	else
		atomic_long_inc(&refused);
	pcpuref_put(&object->ref);
}

static int writer(void *data)
{
	struct thread *me = data;
	unsigned int step = me - threads;

	while (!kthread_should_stop()) {
		struct slot *slot = &slots[prandom_u32_state(&me->random) % SLOTS];

		mutex_lock(&slot->lock);
		/* In turn, so that each comes soon, however slow the machine. */
		switch (step++ % 4) {
		case 0:
		case 1:
			slot_remove(slot);
			slot_insert(slot);
			break;
		case 2:
			slot_freeze(slot);
			break;
		case 3:
			slot_hesitate(slot);
			break;
		}
		mutex_unlock(&slot->lock);

		schedule_timeout_interruptible(msecs_to_jiffies(READ_ONCE(pause_ms)) + 1);
	}
	return 0;
}

/* --- Start and stop ------------------------------------------------------- */

static unsigned int check(bool wrong, const char *what)
{
	if (wrong)
		pr_err("NOT BALANCED: %s\n", what);
	return wrong;
}

#define SUMMARY_FORMAT \
	"gets=%llu puts=%llu misses=%llu inserts=%ld kills=%ld confirms=%ld releases=%ld reinits=%ld resurrects=%ld alive=%ld problems=%u\n"

static int summary(char *buffer, size_t size)
{
	return scnprintf(buffer, size, SUMMARY_FORMAT,
			 gets, puts, misses, atomic_long_read(&inserts),
			 atomic_long_read(&kills), atomic_long_read(&confirms),
			 atomic_long_read(&releases), atomic_long_read(&reinits),
			 atomic_long_read(&resurrects),
			 atomic_long_read(&inserts) - atomic_long_read(&frees),
			 problems);
}

static void store_stop(void)
{
	struct thread *me = &threads[0];
	long lives, undone, killed;
	struct object *object;
	char line[256];
	int i;

	mutex_lock(&run_lock);
	if (!running)
		goto out;

	/* Writers first, from the end: they may wait for readers to put. */
	for (i = MAX_THREADS - 1; i >= 0; i--)
		if (threads[i].task)
			kthread_stop(threads[i].task);

	for (i = 0; i < POCKETS; i++) {
		object = xchg(&pockets[i], NULL);
		if (object)
			object_put(me, object);
	}
	for (i = 0; i < SLOTS; i++) {
		mutex_lock(&slots[i].lock);
		slot_remove(&slots[i]);
		mutex_unlock(&slots[i].lock);
	}

	/* All confirms and releases, then what the releases handed to RCU. */
	pcpuref_barrier();
	rcu_barrier();

	for (i = 0; i < MAX_THREADS; i++) {
		gets += threads[i].gets;
		puts += threads[i].puts;
		misses += threads[i].misses;
	}
	lives = atomic_long_read(&inserts) + atomic_long_read(&reinits);
	undone = atomic_long_read(&resurrects);
	killed = atomic_long_read(&kills);

	problems += check(gets != puts, "gets and puts");
	problems += check(atomic_long_read(&releases) != lives, "one release for each life");
	problems += check(killed != lives + undone, "one kill for each life, and those undone");
	problems += check(atomic_long_read(&confirms) != killed, "one confirm for each kill");
	problems += check(atomic_long_read(&frees) != atomic_long_read(&inserts),
			  "objects still alive");
	problems += check(atomic_long_read(&torn), "object freed or changed in use");
	problems += check(atomic_long_read(&late), "lookup succeeded after the confirm");
	problems += check(atomic_long_read(&refused), "a call was refused");
	running = false;

	summary(line, sizeof(line));
	if (problems)
		pr_err("%s", line);
	else
		pr_info("%s", line);
out:
	mutex_unlock(&run_lock);
}

static int __init thread_start(struct thread *thread, int (*func)(void *), const char *name)
{
	struct task_struct *task;

	prandom_seed_state(&thread->random, get_random_u32());
	task = kthread_run(func, thread, "%s", name);
	if (IS_ERR(task))
		return PTR_ERR(task);
	thread->task = task;
	return 0;
}

static int __init store_init(void)
{
	unsigned int i;
	int rc = 0;

	if (!readers || !writers || readers > MAX_THREADS ||
	    writers > MAX_THREADS - readers)
		return -EINVAL;

	mutex_lock(&run_lock);
	running = true;
	for (i = 0; i < SLOTS; i++) {
		mutex_init(&slots[i].lock);
		mutex_lock(&slots[i].lock);
		slot_insert(&slots[i]);
		mutex_unlock(&slots[i].lock);
	}
	for (i = 0; i < readers + writers && !rc; i++)
		rc = i < readers ? thread_start(&threads[i], reader, "store-reader") :
				   thread_start(&threads[i], writer, "store-writer");
	mutex_unlock(&run_lock);

	if (rc)
		store_stop();
	else
		pr_info("%u readers, %u writers, %u objects\n",
			readers, writers, SLOTS);
	return rc;
}

static void __exit store_exit(void)
{
	store_stop();
}

module_init(store_init);
module_exit(store_exit);

/* --- What user space sees ------------------------------------------------- */

static int running_set(const char *value, const struct kernel_param *param)
{
	bool run;

	if (kstrtobool(value, &run) || run)
		return -EINVAL;
	store_stop();
	return 0;
}

static int running_get(char *buffer, const struct kernel_param *param)
{
	return scnprintf(buffer, PAGE_SIZE, "%d\n", running);
}

static const struct kernel_param_ops running_ops = {
	.set = running_set,
	.get = running_get,
};
module_param_cb(running, &running_ops, NULL, 0644);
MODULE_PARM_DESC(running, "Write 0 to stop and settle the store");

static int summary_get(char *buffer, const struct kernel_param *param)
{
	return summary(buffer, PAGE_SIZE);
}

static const struct kernel_param_ops summary_ops = {
	.get = summary_get,
};
module_param_cb(summary, &summary_ops, NULL, 0444);
MODULE_PARM_DESC(summary, "The numbers; gets and puts once it is stopped");

module_param(problems, uint, 0444);
MODULE_PARM_DESC(problems, "What did not balance, once it is stopped");

MODULE_DESCRIPTION("Object store, a sample client of pcpuref");
MODULE_LICENSE("GPL");
