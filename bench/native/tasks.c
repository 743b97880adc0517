// SPDX-License-Identifier: GPL-2.0-only
/* pcpuref with gets and puts that may be preempted. */
#define PCPUREF_READERS_TASKS

#include "loops.h"
#include "pcpuref_compat.h"

#define REF		tasks
#define REF_LIVE	tasks_live
#include "refs.c"
