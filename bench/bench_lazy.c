// SPDX-License-Identifier: GPL-2.0-only
/* pcpuref without per-CPU memory until it is hot, which it does not become here. */
#include "bench.h"
#include "pcpuref_compat.h"

#define SUBJECT	bench_lazy
#define NAME	"pcpuref lazy"
#define FLAGS	PCPUREF_INIT_LAZY
#include "bench_scenarios.c"
