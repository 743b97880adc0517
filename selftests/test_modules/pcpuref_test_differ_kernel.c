// SPDX-License-Identifier: GPL-2.0-only
/* The kernel's percpu_ref. */
#define DIFFER_OPS	differ_kernel
#define DIFFER_NAME	"percpu_ref"

#include "pcpuref_test_differ_ops.c"
