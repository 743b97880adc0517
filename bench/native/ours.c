// SPDX-License-Identifier: GPL-2.0-only
/* pcpuref: after these headers percpu_ref means that. */
#include "loops.h"
#include "pcpuref_compat.h"

#define REF		ours
#define REF_LIVE	ours_live
#include "refs.c"
