// SPDX-License-Identifier: GPL-2.0-only
/* The stress: a client as most are. */
#define STRESS_KIND stress_plain
#include "pcpuref_test_stress_kind.h"
