// SPDX-License-Identifier: GPL-2.0-only
/*
 * The loops over a reference, as a client of percpu_ref writes them. No object is
 * made of this file: theirs.c compiles it for the kernel's percpu_ref; ours.c, tasks.c
 * and inline.c for pcpuref. Their part: REF and REF_LIVE, what the loops are called.
 */
#include "loops.h"

/* Of names that are macros. */
#define STEP_OF(name, ...)	STEP(name, __VA_ARGS__)
#define LOOPS_OF(name)		LOOPS(name)

STEP_OF(REF, get, struct percpu_ref, DONE(percpu_ref_get(c)))
STEP_OF(REF, put, struct percpu_ref, DONE(percpu_ref_put(c)))
STEP_OF(REF_LIVE, get, struct percpu_ref, percpu_ref_tryget_live(c))
STEP_OF(REF_LIVE, put, struct percpu_ref, DONE(percpu_ref_put(c)))

LOOPS_OF(REF)
LOOPS_OF(REF_LIVE)
