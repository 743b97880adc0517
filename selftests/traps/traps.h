/* SPDX-License-Identifier: GPL-2.0-only */
/* What the scenarios and what runs them know of each other. */
#ifndef TRAPS_H
#define TRAPS_H

#include <linux/delay.h>
#include <linux/err.h>
#include <linux/irq_work.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/percpu-refcount.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task.h>

struct trap {
	const char *name;
	void (*run)(void);
};

/* The same scenarios, for one and for the other. Each ends with an empty entry. */
extern const struct trap traps_of_kernel[];
extern const struct trap traps_of_pcpuref[];

/* Tell what comes next, for whoever finds the thread stuck in it. */
void next_step(const char *what);

/* The same without a line in the log. */
void in_step(const char *what);

/* Not while interrupts are off, or readers wait: a console is slow. */
void observe(const char *what, long is, long must_be);

/* What comes next is misuse, of which pcpuref must say this. */
void must_report(const char *report);

/* Two grace periods, for a switch and for what follows from it. */
void settle(void);

#endif /* TRAPS_H */
