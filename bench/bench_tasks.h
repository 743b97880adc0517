/* SPDX-License-Identifier: GPL-2.0-only */
/* The subject that is compiled otherwise. */
#ifndef BENCH_TASKS_H
#define BENCH_TASKS_H

#include <linux/types.h>

int tasks_init(void);
void tasks_exit(void);

/* So many gets and puts, in per-CPU mode. */
void tasks_get_put(unsigned int n);
void tasks_live_put(unsigned int n);

/* From a kill to the release, in ns; 0 if there is no memory. */
u64 tasks_release(void);

/* For its code size. */
void tasks_one_get(void);

#endif /* BENCH_TASKS_H */
