// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client with a bug, for "make demo-stuck". Two queues serve requests, in the
 * same functions; each request holds a reference to its queue, which queue_find()
 * takes for all of them:
 *
 *   queue_submit()	leaves it to the worker, who puts it when the request is done
 *   queue_query()	puts it; on an error path it forgets to
 *   queue_flush()	puts it
 *
 * The error occurs once, in the queue "leaky", which is then killed and never
 * released. "sound" is killed and reinitialised all the time, and has no error.
 * Compiled with PCPUREF_DEBUG, see Kbuild; nothing here is there for that.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/workqueue.h>

#include "pcpuref.h"

#define REQUESTS	2000
#define FATEFUL		1234

static char *leak = "query";
module_param(leak, charp, 0444);
MODULE_PARM_DESC(leak, "Which function forgets a put: query (default), flush or none");

static bool sound_leaks;
module_param(sound_leaks, bool, 0444);
MODULE_PARM_DESC(sound_leaks, "The error occurs in the queue \"sound\" too");

struct queue {
	struct pcpuref		ref;
	struct work_struct	request;
	bool			fails;
	unsigned int		leaked;
};

static struct queue leaky, sound;
static struct queue *queues[] = { &leaky, &sound };
static struct task_struct *driver;

static void queue_release(struct pcpuref *ref)
{
}

static void queue_complete(struct work_struct *work)
{
	struct queue *queue = container_of(work, struct queue, request);

	pcpuref_put(&queue->ref);
}

/* Pairs with pcpuref_put(&queue->ref). */
static noinline struct queue *queue_find(unsigned int nr)
{
	struct queue *queue;

	rcu_read_lock();
	queue = READ_ONCE(queues[nr]);
	if (!pcpuref_tryget_live_rcu(&queue->ref))
		queue = NULL;
	rcu_read_unlock();
	return queue;
}

static noinline bool queue_submit(unsigned int nr)
{
	struct queue *queue = queue_find(nr);

	if (!queue)
		return false;
	schedule_work(&queue->request);
	return true;
}

static noinline int queue_query(unsigned int nr, bool error)
{
	struct queue *queue = queue_find(nr);

	if (!queue)
		return -ENODEV;
	if (error && !strcmp(leak, "query")) {
		queue->leaked++;
		return -EIO;	/* here it is */
	}
	pcpuref_put(&queue->ref);
	return 0;
}

static noinline int queue_flush(unsigned int nr, bool error)
{
	struct queue *queue = queue_find(nr);

	if (!queue)
		return -ENODEV;
	if (error && !strcmp(leak, "flush")) {
		queue->leaked++;
		return -EIO;
	}
	pcpuref_put(&queue->ref);
	return 0;
}

static void queue_serve(unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < REQUESTS; i++) {
		bool error = queues[nr]->fails && i == FATEFUL;

		queue_submit(nr);
		queue_query(nr, error);
		queue_flush(nr, error);
		flush_work(&queues[nr]->request);
		cond_resched();
	}
}

static int drive(void *unused)
{
	unsigned int lives = 0;

	queue_serve(0);
	pr_info("kill leaky\n");
	pcpuref_kill(&leaky.ref);
	while (!kthread_should_stop()) {
		queue_serve(1);
		/* With its error, it would be waited for in vain. */
		if (pcpuref_kill_and_wait_timeout(&sound.ref, HZ) || pcpuref_reinit(&sound.ref))
			break;
		lives++;
	}
	pr_info("sound had %u lives\n", lives);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(HZ / 10);
	return 0;
}

/* So that the module can be unloaded: the put that was forgotten. */
static void queue_close(struct queue *queue)
{
	if (queue->leaked)
		pcpuref_put_many(&queue->ref, queue->leaked);
	pcpuref_kill_and_wait(&queue->ref);
	pcpuref_exit(&queue->ref);
}

static int __init stuck_init(void)
{
	int err;

	INIT_WORK(&leaky.request, queue_complete);
	INIT_WORK(&sound.request, queue_complete);
	leaky.fails = true;
	sound.fails = sound_leaks;

	err = pcpuref_init(&leaky.ref, queue_release, 0, GFP_KERNEL);
	if (err)
		return err;
	err = pcpuref_init(&sound.ref, queue_release, PCPUREF_ALLOW_REINIT, GFP_KERNEL);
	if (err)
		goto cancel;
	driver = kthread_run(drive, NULL, "stuck_driver");
	if (!IS_ERR(driver))
		return 0;

	err = PTR_ERR(driver);
	pcpuref_cancel_init(&sound.ref);
cancel:
	pcpuref_cancel_init(&leaky.ref);
	return err;
}

static void __exit stuck_exit(void)
{
	kthread_stop(driver);
	queue_close(&leaky);
	queue_close(&sound);
	pcpuref_barrier();
}

module_init(stuck_init);
module_exit(stuck_exit);

MODULE_DESCRIPTION("A client that leaks a reference, to be found by dmesg alone");
MODULE_LICENSE("GPL");
