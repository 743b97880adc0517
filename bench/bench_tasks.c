// SPDX-License-Identifier: GPL-2.0-only
/* Gets and puts that may be preempted, and what a kill of them costs. */
#define PCPUREF_READERS_TASKS

#include <linux/completion.h>
#include <linux/ktime.h>

#include "bench_variants.h"

static struct pcpuref ref, victim;
static DECLARE_COMPLETION(released);

static void release_nothing(struct pcpuref *unused)
{
}

static void release_victim(struct pcpuref *unused)
{
	complete(&released);
}

int tasks_init(void)
{
	return pcpuref_init(&ref, release_nothing, 0, GFP_KERNEL);
}

void tasks_exit(void)
{
	pcpuref_exit(&ref);
}

void tasks_get_put(unsigned int n)
{
	loop_get_put(&ref, n);
}

void tasks_live_put(unsigned int n)
{
	loop_live_put(&ref, n);
}

u64 tasks_release(void)
{
	u64 start, end;

	reinit_completion(&released);
	if (pcpuref_init(&victim, release_victim, 0, GFP_KERNEL))
		return 0;
	start = ktime_get_ns();
	pcpuref_kill(&victim);
	wait_for_completion(&released);
	end = ktime_get_ns();
	pcpuref_barrier();
	pcpuref_exit(&victim);
	return end - start;
}

void tasks_one_get(struct pcpuref *one)
{
	pcpuref_get(one);
}
