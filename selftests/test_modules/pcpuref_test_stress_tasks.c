// SPDX-License-Identifier: GPL-2.0-only
/* The stress: a client whose gets and puts may be preempted. */
#define PCPUREF_READERS_TASKS
#define STRESS_KIND stress_tasks
#include "pcpuref_test_stress_kind.h"
