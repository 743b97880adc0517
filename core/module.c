// SPDX-License-Identifier: GPL-2.0-only
/*
 * Load and unload, the barrier, and clients' modules that go away.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/export.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kmemleak.h>
#include <linux/module.h>
#include <linux/notifier.h>
#ifdef CONFIG_PCPUREF_REPLACES_PERCPU_REF
#include <linux/percpu-refcount.h>	/* pcpuref_init_early() */
#endif

#include "rooms.h"

/* See pcpuref_barrier(). */
void __pcpuref_barrier(struct module *owner)
{
	struct pcpuref_client *client = __pcpuref_find_client(owner);

	might_sleep();
	/* The caller's own module keeps its client. */
	if (client)
		__pcpuref_wait_for_client(client);
}
EXPORT_SYMBOL_GPL(__pcpuref_barrier);

#ifdef CONFIG_MODULES
/* How many references of one module are named when it leaves them behind. */
#define LEFT_NAMED	8

static bool leave_behind(struct pcpuref_data *d, const struct pcpuref_client *client,
			 bool named)
{
	struct pcpuref_info info;
	unsigned long flags;
	bool left;

	raw_spin_lock_irqsave(&d->lock, flags);
	left = d->ref && d->client == client;
	if (left) {
		__pcpuref_fill(d, &info);
		__pcpuref_orphan(d);
	}
	raw_spin_unlock_irqrestore(&d->lock, flags);

	if (left) {
		__pcpuref_misuse_left(&info, named);
		/* Reported already, and the counters and the client hang on it. */
		kmemleak_not_leak(d);
	}
	return left;
}

/* The pin that an exit would have dropped stays for good. */
static void leave_all(const struct pcpuref_client *client, unsigned int *left)
{
	struct pcpuref_walk walk = { };

	while (__pcpuref_walk_step(&walk))
		*left += leave_behind(walk.at, client, *left < LEFT_NAMED);
}

/*
 * A client's module goes away. What it leaves behind is reported and taken off
 * the registry, which must not point to its strings, and none of its callbacks
 * is called any more. The structures leak: the objects may still point to them,
 * or may have been freed, so that nobody can tell. A callback that is running is
 * waited for, since its code goes.
 */
static int module_event(struct notifier_block *block, unsigned long event, void *module)
{
	struct pcpuref_client *client;
	unsigned int left = 0;

	/* Also of a module whose code comes where code has been freed. */
	if (event == MODULE_STATE_COMING)
		__pcpuref_forget_places(module);
	if (event != MODULE_STATE_GOING)
		return NOTIFY_DONE;
	__pcpuref_forget_places(module);
	client = __pcpuref_find_client(module);
	if (!client)
		return NOTIFY_DONE;

	leave_all(client, &left);
	__pcpuref_wait_for_client(client);
	/* What a callback that was running has initialised. */
	leave_all(client, &left);
	if (left > LEFT_NAMED)
		pr_err("misuse: module unloaded without exit: %u references in all\n", left);
	__pcpuref_forget_client(client, left);
	return NOTIFY_DONE;
}

static struct notifier_block module_notifier = {
	.notifier_call = module_event,
};

static int watch_modules(void)
{
	return register_module_notifier(&module_notifier);
}

static void unwatch_modules(void)
{
	unregister_module_notifier(&module_notifier);
}
#else
static int watch_modules(void)
{
	return 0;
}

static void unwatch_modules(void)
{
}
#endif

static int __init pcpuref_module_init(void)
{
	int err;

	/* What PCPUREF_INLINE_ATOMIC knows. */
	BUILD_BUG_ON(offsetof(struct pcpuref_data, count));

	__pcpuref_registry_init();
	__pcpuref_later_init();
	err = __pcpuref_memory_init();
	if (err)
		return err;
	err = __pcpuref_work_init();
	if (err)
		goto exit_memory;
	err = watch_modules();
	if (err)
		goto exit_work;
	pr_info("version " PCPUREF_VERSION "\n");
	return 0;

exit_work:
	__pcpuref_work_exit();
exit_memory:
	__pcpuref_memory_exit();
	return err;
}

/* No client is left: only what they started may still be on its way. */
static void __exit pcpuref_module_exit(void)
{
	unwatch_modules();
	__pcpuref_later_barrier();
	__pcpuref_work_exit();
	/* The structures of what exited last. */
	__pcpuref_grace_barrier();
	__pcpuref_memory_exit();
}

#ifdef CONFIG_PCPUREF_REPLACES_PERCPU_REF
/* The kernel's own counts are ours: start_kernel() calls this before cgroup_init(). */
void __init pcpuref_init_early(void)
{
	if (pcpuref_module_init())
		panic("pcpuref: no memory for the kernel's reference counts\n");
}
#else
/* In a module, module_init(). Built in, before most clients. */
core_initcall(pcpuref_module_init);
#endif
module_exit(pcpuref_module_exit);

MODULE_DESCRIPTION("Per-CPU reference counts");
MODULE_VERSION(PCPUREF_VERSION);
MODULE_LICENSE("GPL");
