// SPDX-License-Identifier: GPL-2.0-only
/* The kernel's percpu_ref. */
#include "loops.h"

#define REF		theirs
#define REF_LIVE	theirs_live
#include "refs.c"
