// SPDX-License-Identifier: GPL-2.0-only
/* The stress: a client whose gets and puts are inline in atomic mode too. */
#define PCPUREF_INLINE_ATOMIC
#define STRESS_KIND stress_inline
#include "pcpuref_test_stress_kind.h"
