// SPDX-License-Identifier: GPL-2.0-only
/* pcpuref with gets and puts that may be preempted. */
#define PCPUREF_READERS_TASKS

#include "bench.h"
#include "pcpuref_compat.h"

#define SUBJECT	bench_tasks
#define NAME	"pcpuref tasks"
#define FLAGS	0
#include "bench_scenarios.c"
