// SPDX-License-Identifier: GPL-2.0-only
/* pcpuref: after these headers percpu_ref means that. */
#define DIFFER_OPS	differ_pcpuref
#define DIFFER_NAME	"pcpuref"
/* In the expression that is given to percpu_ref_init(). */
#define PCPUREF_COMPAT_ALLOW_ZERO	"usage"

#include "pcpuref_test_differ.h"
#include "pcpuref_compat.h"

#include "pcpuref_test_differ_ops.c"
