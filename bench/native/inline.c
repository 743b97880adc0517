// SPDX-License-Identifier: GPL-2.0-only
/* pcpuref with gets and puts that are inline in atomic mode, too. */
#define PCPUREF_INLINE_ATOMIC

#include "loops.h"
#include "pcpuref_compat.h"

#define REF		inlined
#define REF_LIVE	inlined_live
#include "refs.c"
