// SPDX-License-Identifier: GPL-2.0-only
/*
 * pcpuref_holders.ko: who holds a reference. By call site, for clients that are compiled
 * with PCPUREF_DEBUG (accounts.c, places.c, suspects.c), and by tokens (tokens.c). The
 * core does not know this module, which hangs on its tracepoints.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/notifier.h>

#include "holders.h"
#include "pcpuref.h"
#include "pcpuref_trace.h"

static void on_dump(void *data, const struct pcpuref_event *event)
{
	__pcpuref_suspects_print(event->ref, event->id, false);
	__pcpuref_tokens_print(event->ref, event->id, true);
}

/* Who exits with references out is told who has them, and of a put too many, whose. */
static void on_misuse(void *data, const struct pcpuref_event *event)
{
	if (event->misuse == PCPUREF_EXIT_HELD)
		on_dump(data, event);
	else if (event->misuse == PCPUREF_EXCESS_PUT)
		__pcpuref_suspects_print(event->ref, event->id, true);
}

static void forget(const struct pcpuref *ref)
{
	__pcpuref_accounts_forget(ref);
	__pcpuref_tokens_forget(ref);
}

/* A token that is lost is named also if the reference has not missed it. */
static void on_exit(void *data, const struct pcpuref_event *event)
{
	__pcpuref_tokens_print(event->ref, event->id, false);
	forget(event->ref);
}

static void on_init(void *data, const struct pcpuref_event *event)
{
	forget(event->ref);
}

#ifdef CONFIG_MODULES
static int on_module(struct notifier_block *nb, unsigned long action, void *module)
{
	/* Live: what initialised it is about to be freed. */
	if (action == MODULE_STATE_LIVE || action == MODULE_STATE_GOING)
		__pcpuref_suspects_module_gone(module, action == MODULE_STATE_LIVE);
	return NOTIFY_DONE;
}

static struct notifier_block module_notifier = { .notifier_call = on_module };

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

typedef void (probe_t)(void *data, const struct pcpuref_event *event);

static const struct attachment {
	int	(*attach)(probe_t *probe, void *data);
	int	(*detach)(probe_t *probe, void *data);
	probe_t	*probe;
} attachments[] = {
	{ register_trace_pcpuref_init, unregister_trace_pcpuref_init, on_init },
	{ register_trace_pcpuref_exit, unregister_trace_pcpuref_exit, on_exit },
	{ register_trace_pcpuref_misuse, unregister_trace_pcpuref_misuse, on_misuse },
	{ register_trace_pcpuref_dump, unregister_trace_pcpuref_dump, on_dump },
};

/* Only those that are attached: the kernel warns about others. */
static void detach(unsigned int attached)
{
	while (attached--)
		attachments[attached].detach(attachments[attached].probe, NULL);
	tracepoint_synchronize_unregister();
}

static int attach(void)
{
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(attachments); i++) {
		err = attachments[i].attach(attachments[i].probe, NULL);
		if (err) {
			pr_err("no events (error %d)\n", err);
			detach(i);
			return err;
		}
	}
	return 0;
}

static void free_all(void)
{
	__pcpuref_tokens_exit();
	__pcpuref_suspects_exit();
	__pcpuref_accounts_exit();
	__pcpuref_places_exit();
}

static int __init pcpuref_holders_init(void)
{
	int err;

	err = __pcpuref_tokens_init();
	err = err ?: __pcpuref_places_init();
	err = err ?: __pcpuref_suspects_init();
	if (err)
		goto free;
	err = attach();
	if (err)
		goto free;
	err = watch_modules();
	if (err)
		goto detach;
	/* Last: a client that is built in as well uses the accounts from now on. */
	err = __pcpuref_accounts_init();
	if (!err)
		return 0;
	unwatch_modules();
detach:
	detach(ARRAY_SIZE(attachments));
free:
	free_all();
	return err;
}

static void __exit pcpuref_holders_exit(void)
{
	unwatch_modules();
	detach(ARRAY_SIZE(attachments));
	free_all();
}

/* In a module, module_init(). Built in, after the core and before most clients. */
core_initcall_sync(pcpuref_holders_init);
module_exit(pcpuref_holders_exit);

MODULE_DESCRIPTION("Who holds a per-CPU reference count");
MODULE_VERSION(PCPUREF_VERSION);
MODULE_LICENSE("GPL");
