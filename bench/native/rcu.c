// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two calls that mark an RCU read section where RCU is preemptible: modules
 * find them in the kernel, so a process needs its own. They do what the
 * kernel's do for a reader that nothing interrupts, and are compiled in the
 * same way. In a file of their own they cannot be inlined into the loops.
 */
#include <linux/compiler.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#ifdef CONFIG_PREEMPT_RCU

/* The rest of leaving a section in which a task was preempted; in stubs.S. */
void native_rcu_special(struct task_struct *task);

void __rcu_read_lock(void)
{
	int depth = READ_ONCE(current->rcu_read_lock_nesting);

	WRITE_ONCE(current->rcu_read_lock_nesting, depth + 1);
	barrier();
}

void __rcu_read_unlock(void)
{
	struct task_struct *task = current;
	int depth;

	barrier();
	depth = READ_ONCE(task->rcu_read_lock_nesting) - 1;
	WRITE_ONCE(task->rcu_read_lock_nesting, depth);
	if (!depth) {
		barrier();
		if (unlikely(READ_ONCE(task->rcu_read_unlock_special.s)))
			native_rcu_special(task);
	}
}

#endif
