// SPDX-License-Identifier: GPL-2.0-only
/* Gets and puts that are inline in atomic mode, too. */
#define PCPUREF_INLINE_ATOMIC

#include "bench_variants.h"

static struct pcpuref ref;

static void release_nothing(struct pcpuref *unused)
{
}

int inline_init(void)
{
	return pcpuref_init(&ref, release_nothing, PCPUREF_INIT_ATOMIC, GFP_KERNEL);
}

void inline_exit(void)
{
	pcpuref_exit(&ref);
}

void inline_get_put(unsigned int n)
{
	loop_get_put(&ref, n);
}

void inline_live_put(unsigned int n)
{
	loop_live_put(&ref, n);
}

void inline_one_get(struct pcpuref *one)
{
	pcpuref_get(one);
}
