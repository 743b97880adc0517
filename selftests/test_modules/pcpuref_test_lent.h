/* SPDX-License-Identifier: GPL-2.0-only */
/* What pcpuref_test_holders lends to pcpuref_test_borrower. */
#ifndef PCPUREF_TEST_LENT_H
#define PCPUREF_TEST_LENT_H

#include "pcpuref.h"

extern struct pcpuref pcpuref_test_lent;

#endif
