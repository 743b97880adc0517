// SPDX-License-Identifier: GPL-2.0-only
/* The subject that is compiled otherwise: gets and puts that may be preempted. */
#define PCPUREF_READERS_TASKS

#include "pcpuref.h"
#include "loops.h"

STEP(tasks, get, struct pcpuref, DONE(pcpuref_get(c)))
STEP(tasks, put, struct pcpuref, DONE(pcpuref_put(c)))
STEP(tasks_live, get, struct pcpuref, pcpuref_tryget_live(c))
#define tasks_live_put tasks_put

LOOPS(tasks)
LOOPS(tasks_live)
