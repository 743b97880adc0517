// SPDX-License-Identifier: GPL-2.0-only
/* The scenarios on pcpuref: after these headers percpu_ref means that. */
#include "traps.h"
#include "pcpuref_compat.h"

#define TRAPS	traps_of_pcpuref
#include "scenarios.c"
