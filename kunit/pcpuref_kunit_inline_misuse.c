// SPDX-License-Identifier: GPL-2.0-only
/* The suite of that name, compiled by a client with PCPUREF_INLINE_ATOMIC. */
#define PCPUREF_INLINE_ATOMIC

#include "pcpuref_kunit_misuse.c"
