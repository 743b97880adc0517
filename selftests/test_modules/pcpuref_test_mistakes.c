// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes one mistake when it is loaded, of a kind that a debug kernel looks for. It shows
 * that this kernel also sees such a mistake in a module: see debug-check.sh. It does not
 * use pcpuref.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>

static char *mistake = "none";
module_param(mistake, charp, 0444);
MODULE_PARM_DESC(mistake, "Which one");

/* KASAN. The compiler must not know that both are the same memory. */
static void use_after_free(void)
{
	int *freed = kzalloc(sizeof(*freed), GFP_KERNEL);
	int *same = freed;

	if (!freed)
		return;
	OPTIMIZER_HIDE_VAR(same);
	kfree(freed);
	READ_ONCE(*same);
}

static int __rcu *pointer;

/* PROVE_RCU */
static void no_read_side(void)
{
	rcu_dereference(pointer);
}

/* DEBUG_ATOMIC_SLEEP */
static void sleep_in_atomic(void)
{
	preempt_disable();
	might_sleep();
	preempt_enable();
}

/* DEBUG_PREEMPT */
static void cpu_may_change(void)
{
	int cpu = smp_processor_id();

	OPTIMIZER_HIDE_VAR(cpu);
}

static struct rcu_head head;

static void nothing(struct rcu_head *rcu)
{
}

/* DEBUG_OBJECTS_RCU_HEAD */
static void queued_twice(void)
{
	call_rcu(&head, nothing);
	call_rcu(&head, nothing);
	rcu_barrier();
}

/* UBSAN_SHIFT */
static void shift(void)
{
	int bits = 40, value = 1;

	OPTIMIZER_HIDE_VAR(bits);
	value <<= bits;
	OPTIMIZER_HIDE_VAR(value);
}

/* UBSAN_BOUNDS */
static void bounds(void)
{
	int values[4] = { }, i = 4;

	OPTIMIZER_HIDE_VAR(i);
	values[i & 7] = 1;
	OPTIMIZER_HIDE_VAR(values[0]);
}

/* kmemleak */
static void leak(void)
{
	void *lost = kzalloc(100, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(lost);
}

static DEFINE_SPINLOCK(first);
static DEFINE_SPINLOCK(second);

/* PROVE_LOCKING */
static void order_of_locks(void)
{
	spin_lock(&first);
	spin_lock(&second);
	spin_unlock(&second);
	spin_unlock(&first);

	spin_lock(&second);
	spin_lock(&first);
	spin_unlock(&first);
	spin_unlock(&second);
}

static const struct {
	const char *name;
	void (*make)(void);
} mistakes[] = {
	{ "use_after_free", use_after_free },
	{ "no_read_side", no_read_side },
	{ "sleep_in_atomic", sleep_in_atomic },
	{ "cpu_may_change", cpu_may_change },
	{ "queued_twice", queued_twice },
	{ "shift", shift },
	{ "bounds", bounds },
	{ "leak", leak },
	{ "order_of_locks", order_of_locks },
};

static int __init mistakes_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(mistakes); i++) {
		if (strcmp(mistake, mistakes[i].name))
			continue;
		mistakes[i].make();
		return 0;
	}

	return -EINVAL;
}
module_init(mistakes_init);

static void __exit mistakes_exit(void)
{
}
module_exit(mistakes_exit);

MODULE_DESCRIPTION("Mistakes that a debug kernel must report");
MODULE_LICENSE("GPL");
