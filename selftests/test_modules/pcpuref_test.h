/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the test modules share: a table of cases, of which the scripts start
 * one after the other through module parameters.
 *
 *   count     how many cases there are
 *   run       write a case's number or name: runs it, returns when it is over
 *   result    "pass NAME", "fail NAME: WHY" or "skip NAME: WHY" of the last one
 *   expected  "TEXT|NAME|RELEASE|CALLER" for each report it should have caused
 *
 * A case runs in a thread of its own, so that one that hangs is a failure and
 * not the end of the run. The code of a failed case stays loaded, as a rule:
 * nobody knows what is still going to call it.
 */
#ifndef PCPUREF_TEST_H
#define PCPUREF_TEST_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "pcpuref.h"
#include "pcpuref_inspect.h"

#define TEST_PATIENCE_S 10

struct test_case;

struct test {
	const struct test_case	*c;
	int			failed;
	const char		*skipped;
	char			why[240];
};

struct test_case {
	const char	*name;
	void		(*run)(struct test *t);
};

#define TEST_CASE(_name, _run) { .name = (_name), .run = (_run) }

/* Ends with an empty one; TEST_MODULE() tells which the module's are. */
static const struct test_case *const test_cases;

#define TEST_MODULE(cases, description)						\
static const struct test_case *const test_cases = cases;			\
MODULE_DESCRIPTION(description);						\
MODULE_LICENSE("GPL")

static unsigned int test_limit_s = 2 * TEST_PATIENCE_S;
/* Whether cases that fail, but end, take back what they have begun. */
static bool test_cleans_up;
static char test_expected[2048];
static char test_result[400] = "none";

/* --- Expectations ---------------------------------------------------------- */

/* The first that is not met tells; the rest follows from it, most likely. */
static __maybe_unused bool test_expect(struct test *t, bool ok, const char *what,
				       int line)
{
	if (!ok && !cmpxchg(&t->failed, 0, 1))
		scnprintf(t->why, sizeof(t->why), "line %d: %s", line, what);
	return ok;
}

static __maybe_unused bool test_expect_eq(struct test *t, long long a, long long b,
					  const char *what, int line)
{
	if (a != b && !cmpxchg(&t->failed, 0, 1))
		scnprintf(t->why, sizeof(t->why), "line %d: %s is %lld, not %lld",
			  line, what, a, b);
	return a == b;
}

#define EXPECT(t, cond)		test_expect(t, cond, #cond, __LINE__)
#define EXPECT_EQ(t, a, b)	test_expect_eq(t, a, b, #a, __LINE__)

/* Wait for what must come true, but not for ever. */
#define SOON(cond)								\
({										\
	unsigned long __end = jiffies + TEST_PATIENCE_S * HZ;			\
	bool __late = false;							\
										\
	while (!(cond)) {							\
		__late = time_after(jiffies, __end);				\
		if (__late)							\
			break;							\
		usleep_range(500, 1000);					\
	}									\
	!__late;								\
})

/*
 * The next thing to happen is a report: tell those who check the log, here and
 * on the host, and the script, which knows the caller too.
 */
static __maybe_unused void test_expect_report(const char *text, const char *name,
					      pcpuref_func_t *release,
					      const char *caller)
{
	size_t len = strlen(test_expected);

	pr_info("pcpuref-expect: misuse: %s: name=%s release=%ps\n", text, name, release);
	/* Also if that place has been reported before. */
	pcpuref_report_anew();
	scnprintf(test_expected + len, sizeof(test_expected) - len, "%s|%s|%ps|%s\n",
		  text, name, release, caller);
}

/* --- Threads --------------------------------------------------------------- */

struct test_thread {
	struct task_struct	*task;
	struct completion	done;
	int			(*func)(void *arg);
	void			*arg;
	int			result;
};

static int test_thread_main(void *arg)
{
	struct test_thread *thread = arg;

	thread->result = thread->func(thread->arg);
	complete(&thread->done);
	/* Its code must not go before the thread has: wait to be collected. */
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (kthread_should_stop())
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

/* @cpu: where it runs, or -1. Return: NULL if there is no memory. */
static struct test_thread *test_start(int (*func)(void *arg), void *arg, int cpu)
{
	struct test_thread *thread = kzalloc(sizeof(*thread), GFP_KERNEL);

	if (!thread)
		return NULL;
	thread->func = func;
	thread->arg = arg;
	init_completion(&thread->done);
	thread->task = kthread_create(test_thread_main, thread, "pcpuref_test");
	if (IS_ERR(thread->task)) {
		kfree(thread);
		return NULL;
	}
	if (cpu >= 0)
		kthread_bind(thread->task, cpu);
	/* It may have ended by itself when it is collected. */
	get_task_struct(thread->task);
	wake_up_process(thread->task);
	return thread;
}

/* False if it does not end in time; it is left behind then. */
static bool test_join(struct test_thread *thread, unsigned int seconds, int *result)
{
	if (!thread || !wait_for_completion_timeout(&thread->done, seconds * HZ))
		return false;
	kthread_stop(thread->task);
	put_task_struct(thread->task);
	if (result)
		*result = thread->result;
	kfree(thread);
	return true;
}

/* --- Parameters ------------------------------------------------------------ */

static int test_run_thread(void *arg)
{
	struct test *t = arg;

	t->c->run(t);
	return 0;
}

static int test_run(const char *val, const struct kernel_param *kp)
{
	static struct test t;
	const struct test_case *c;
	struct test_thread *thread;
	unsigned int nr, waited = 0;
	bool by_number;

	by_number = !kstrtouint(val, 0, &nr);
	for (c = test_cases; c->name; c++)
		if (by_number ? c - test_cases == nr : sysfs_streq(val, c->name))
			break;
	if (!c->name)
		return -EINVAL;
	/* What hangs still uses the variables. */
	if (t.failed < 0)
		return -EBUSY;

	memset(&t, 0, sizeof(t));
	t.c = c;
	test_expected[0] = '\0';

	thread = test_start(test_run_thread, &t, -1);
	if (!thread)
		return -ENOMEM;
	/* The case itself may say how long it takes, when it has begun. */
	while (!test_join(thread, 1, NULL)) {
		if (++waited < READ_ONCE(test_limit_s))
			continue;
		t.failed = -1;
		scnprintf(t.why, sizeof(t.why), "hangs");
		break;
	}
	if (t.failed < 0 || (t.failed && !test_cleans_up))
		__module_get(THIS_MODULE);

	scnprintf(test_result, sizeof(test_result), "%s %s%s%s",
		  t.failed ? "fail" : t.skipped ? "skip" : "pass", c->name,
		  t.failed || t.skipped ? ": " : "",
		  t.failed ? t.why : t.skipped ? t.skipped : "");
	return 0;
}

static const struct kernel_param_ops test_run_ops = { .set = test_run };
module_param_cb(run, &test_run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "Run the case of this number or name");

static int test_count_get(char *buf, const struct kernel_param *kp)
{
	unsigned int i = 0;

	while (test_cases[i].name)
		i++;
	return scnprintf(buf, PAGE_SIZE, "%u\n", i);
}

static const struct kernel_param_ops test_count_ops = { .get = test_count_get };
module_param_cb(count, &test_count_ops, NULL, 0444);
MODULE_PARM_DESC(count, "Number of cases");

static int test_result_get(char *buf, const struct kernel_param *kp)
{
	return scnprintf(buf, PAGE_SIZE, "%s\n", test_result);
}

static const struct kernel_param_ops test_result_ops = { .get = test_result_get };
module_param_cb(result, &test_result_ops, NULL, 0444);
MODULE_PARM_DESC(result, "Result of the case that ran last");

static int test_expected_get(char *buf, const struct kernel_param *kp)
{
	return scnprintf(buf, PAGE_SIZE, "%s", test_expected);
}

static const struct kernel_param_ops test_expected_ops = { .get = test_expected_get };
module_param_cb(expected, &test_expected_ops, NULL, 0444);
MODULE_PARM_DESC(expected, "Reports that the case should have caused");

#endif /* PCPUREF_TEST_H */
