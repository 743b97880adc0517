// SPDX-License-Identifier: GPL-2.0-only
/* pcpuref with gets and puts that are inline in atomic mode, too. */
#define PCPUREF_INLINE_ATOMIC

#include "bench.h"
#include "pcpuref_compat.h"

#define SUBJECT	bench_inline
#define NAME	"pcpuref inline"
#define FLAGS	0
#include "bench_scenarios.c"
