// SPDX-License-Identifier: GPL-2.0-only
/* pcpuref: after these headers percpu_ref means that. */
#include "bench.h"
#include "pcpuref_compat.h"

#define SUBJECT	bench_pcpuref
#define NAME	"pcpuref"
#define FLAGS	0
#include "bench_scenarios.c"
