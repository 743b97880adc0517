// SPDX-License-Identifier: GPL-2.0-only
/* The subject that is compiled otherwise: gets and puts inline in atomic mode. */
#define PCPUREF_INLINE_ATOMIC

#include "pcpuref.h"
#include "loops.h"

STEP(inlined, get, struct pcpuref, DONE(pcpuref_get(c)))
STEP(inlined, put, struct pcpuref, DONE(pcpuref_put(c)))

LOOPS(inlined)
