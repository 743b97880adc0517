// SPDX-License-Identifier: GPL-2.0-only
/* The kernel's percpu_ref. */
#include "bench.h"

#define SUBJECT	bench_kernel
#define NAME	"percpu_ref"
#define FLAGS	0
#include "bench_scenarios.c"
