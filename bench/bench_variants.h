/* SPDX-License-Identifier: GPL-2.0-only */
/* The subjects that are compiled otherwise: tasks with preemptible readers... */
#ifndef BENCH_VARIANTS_H
#define BENCH_VARIANTS_H

#include <linux/compiler.h>
#include <linux/types.h>

#include "pcpuref.h"

/* The loops, as the file that includes this is compiled. */
static __always_inline void loop_get_put(struct pcpuref *ref, unsigned int n)
{
	while (n--) {
		pcpuref_get(ref);
		barrier();
		pcpuref_put(ref);
		barrier();
	}
}

static __always_inline void loop_live_put(struct pcpuref *ref, unsigned int n)
{
	while (n--) {
		if (!pcpuref_tryget_live(ref))
			return;
		barrier();
		pcpuref_put(ref);
		barrier();
	}
}

int tasks_init(void);
void tasks_exit(void);

/* So many gets and puts, in per-CPU mode. */
void tasks_get_put(unsigned int n);
void tasks_live_put(unsigned int n);

/* From a kill to the release, in ns; 0 if there is no memory. */
u64 tasks_release(void);

/* For its code size. */
void tasks_one_get(struct pcpuref *one);

/* ... and the other with atomic mode inline. */
int inline_init(void);
void inline_exit(void);

/* So many gets and puts, in atomic mode. */
void inline_get_put(unsigned int n);
void inline_live_put(unsigned int n);

void inline_one_get(struct pcpuref *one);

#endif /* BENCH_VARIANTS_H */
