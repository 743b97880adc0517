/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the KUnit suites need and what differs between kernels 5.10 and 7.3, or
 * is not there for modules of all of them.
 */
#ifndef PCPUREF_KUNIT_COMPAT_H
#define PCPUREF_KUNIT_COMPAT_H

#include <linux/completion.h>
#include <linux/hardirq.h>
#include <linux/irq_work.h>
#include <linux/kernel.h>
#include <linux/kmsg_dump.h>
#include <linux/kthread.h>
#include <linux/lockdep.h>
#include <linux/mm.h>	/* kvcalloc() came to slab.h later */
#include <linux/version.h>
#ifdef CONFIG_TRACEPOINTS
#include <trace/events/printk.h>
#endif

/* It had another name before. */
#define KUNIT_KTHREAD_COMPLETE_CAME KERNEL_VERSION(5, 17, 0)

static inline void __noreturn kunit_complete_and_exit(struct completion *done)
{
#if LINUX_VERSION_CODE >= KUNIT_KTHREAD_COMPLETE_CAME
	kthread_complete_and_exit(done, 0);
#else
	complete_and_exit(done, 0);
#endif
}

#ifndef in_hardirq
#define in_hardirq()	in_irq()
#endif

/* A struct irq_work has been changed at the same time. */
#ifndef IRQ_WORK_INIT_HARD
#define IRQ_WORK_INIT_HARD(function)						\
	((struct irq_work){							\
		.flags = ATOMIC_INIT(IRQ_WORK_HARD_IRQ),			\
		.func = (function),						\
	})
#endif

/* Where there is no lockdep, nobody calls it; some kernels declare it, some not. */
#ifndef CONFIG_LOCKDEP
#define LOCK_STATE_HELD		1
#define lockdep_is_held(lock)	((void)(lock), 0)
#endif

/*
 * Not all kernels let modules have the tracepoint by which the suites see the
 * log. Instead they are shown what has come to it whenever they expect anything.
 */
#define KUNIT_DUMP_ITER_CAME KERNEL_VERSION(5, 12, 0)

static struct {
	void	(*probe)(void *data, const char *line, size_t len);
	void	*data;
#if LINUX_VERSION_CODE >= KUNIT_DUMP_ITER_CAME
	struct kmsg_dump_iter	at;
#else
	struct kmsg_dumper	at;
#endif
	char	line[512];
} kunit_log;

static inline int kunit_log_register(void (*probe)(void *data, const char *line, size_t len),
				     void *data)
{
	kunit_log.data = data;
#if LINUX_VERSION_CODE < KUNIT_DUMP_ITER_CAME
	kunit_log.at.active = true;
#endif
	/* What comes from now on. */
	kmsg_dump_rewind(&kunit_log.at);
	kunit_log.at.cur_seq = kunit_log.at.next_seq;
	kunit_log.probe = probe;
	return 0;
}

static inline void kunit_log_unregister(void (*probe)(void *data, const char *line, size_t len),
					void *data)
{
	kunit_log.probe = NULL;
}

static inline void kunit_log_show(void)
{
	size_t len;

	if (!kunit_log.probe)
		return;
	while (kmsg_dump_get_line(&kunit_log.at, false, kunit_log.line,
				  sizeof(kunit_log.line), &len))
		kunit_log.probe(kunit_log.data, kunit_log.line, len);
}

#define kunit_log_show			kunit_log_show
#define register_trace_console(probe, data)	kunit_log_register(probe, data)
#define unregister_trace_console(probe, data)	kunit_log_unregister(probe, data)

#endif /* PCPUREF_KUNIT_COMPAT_H */
