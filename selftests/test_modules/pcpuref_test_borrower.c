// SPDX-License-Identifier: GPL-2.0-only
/*
 * Takes references to what pcpuref_test_holders lends, and is unloaded with them: one in
 * a function that goes with the module, one in its initialisation, which goes before.
 */
#include <linux/module.h>

#include "pcpuref.h"
#include "pcpuref_test_lent.h"

static noinline void borrow(void)
{
	pcpuref_get(&pcpuref_test_lent);
	barrier();
}

static noinline __init void borrow_early(void)
{
	pcpuref_get(&pcpuref_test_lent);
	barrier();
}

static int __init borrower_init(void)
{
	borrow();
	borrow_early();
	return 0;
}

static void __exit borrower_exit(void)
{
}

module_init(borrower_init);
module_exit(borrower_exit);

MODULE_DESCRIPTION("A client that does not give back what it has borrowed");
MODULE_LICENSE("GPL");
