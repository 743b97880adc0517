// SPDX-License-Identifier: GPL-2.0-only
/* The scenarios on the kernel's percpu_ref. */
#include "traps.h"

#define TRAPS	traps_of_kernel
#include "scenarios.c"
