/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stands in for the kernel's <kunit/test.h> where there is no KUnit, as in the
 * kernels of distributions: what the suites of kunit/ use of it.
 *
 * A suite becomes a test module like those in test_modules/: the scripts start
 * its cases one by one. As with KUnit a case has a thread, an assertion that is
 * not met ends that thread, and the suite's exit runs in another one. All
 * parameters of a case make one result, and the first that fails is named in it.
 */
#ifndef _KUNIT_TEST_H
#define _KUNIT_TEST_H

#include <linux/list.h>

#include "../../../test_modules/pcpuref_test.h"
#include "../../compat.h"

#define KUNIT_PARAM_DESC_SIZE	128
#define KUNIT_MOST_CASES	64
/* Emulated machines are slow. */
#define KUNIT_LIMIT_S		300

enum kunit_status {
	KUNIT_SUCCESS,
	KUNIT_FAILURE,
	KUNIT_SKIPPED,
};

/**
 * struct kunit - a run of a test case
 * @name: the case
 * @param_value: the parameter it runs with
 * @status: how it went so far
 * @t: where the result goes
 * @run_case: the case's function
 * @desc: the parameter's name, or empty
 * @memory: what kunit_kzalloc() gave
 */
struct kunit {
	const char		*name;
	const void		*param_value;
	enum kunit_status	status;
	struct test		*t;
	void			(*run_case)(struct kunit *test);
	char			desc[KUNIT_PARAM_DESC_SIZE];
	struct list_head	memory;
};

struct kunit_case {
	void		(*run_case)(struct kunit *test);
	const char	*name;
	const void	*(*generate_params)(const void *prev, char *desc);
};

struct kunit_suite {
	const char		*name;
	int			(*suite_init)(struct kunit_suite *s);
	void			(*suite_exit)(struct kunit_suite *s);
	int			(*init)(struct kunit *test);
	void			(*exit)(struct kunit *test);
	struct kunit_case	*test_cases;
};

/* kunit_test_suite() tells which the module's is. */
static struct kunit_suite *const kunit_suite;

#define KUNIT_CASE(test)	{ .run_case = test, .name = #test }

#define KUNIT_CASE_PARAM(test, gen_params)					\
	{ .run_case = test, .name = #test, .generate_params = gen_params }

/* The one behind @prev, of an array of which a parameter has @size bytes. */
static inline const void *kunit_next_param(const void *array, size_t size, size_t all,
					   const void *prev)
{
	const void *next = prev ? prev + size : array;

	return next < array + all ? next : NULL;
}

#define KUNIT_ARRAY_PARAM(name, array, get_desc)				\
static const void *name##_gen_params(const void *prev, char *desc)		\
{										\
	const void *next = kunit_next_param(array, sizeof((array)[0]),		\
					    sizeof(array), prev);		\
										\
	if (next)								\
		get_desc(next, desc);						\
	return next;								\
}

/* --- Expectations ---------------------------------------------------------- */

/* The end of a case, from wherever in it. */
static void __noreturn kunit_abort(void)
{
	struct test_thread *self = kthread_data(current);

	kunit_complete_and_exit(&self->done);
}

/* The log tells all of them, the result the first. */
static void kunit_note(struct kunit *test, int line, struct va_format *vaf)
{
	struct test *t = test->t;

	pr_err("%s: %s line %d: %pV\n", test->name, test->desc, line, vaf);
	test->status = KUNIT_FAILURE;
	if (!t->failed) {
		t->failed = 1;
		scnprintf(t->why, sizeof(t->why), "%s%sline %d: %pV", test->desc,
			  test->desc[0] ? ": " : "", line, vaf);
	}
}

static __printf(3, 4) __maybe_unused
void kunit_fail(struct kunit *test, int line, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	vaf.va = &args;
	kunit_note(test, line, &vaf);
	va_end(args);
}

static __printf(3, 4) __noreturn __maybe_unused
void kunit_fail_and_abort(struct kunit *test, int line, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	vaf.va = &args;
	kunit_note(test, line, &vaf);
	va_end(args);
	kunit_abort();
}

static __printf(2, 3) __noreturn __maybe_unused
void kunit_skip(struct kunit *test, const char *fmt, ...)
{
	va_list args;

	test->status = KUNIT_SKIPPED;
	if (!test->t->failed) {
		va_start(args, fmt);
		vscnprintf(test->t->why, sizeof(test->t->why), fmt, args);
		va_end(args);
	}
	kunit_abort();
}

#define kunit_info(test, fmt, ...)						\
	pr_info("%s: " fmt, (test)->name, ##__VA_ARGS__)

#define KUNIT_FAIL(test, fmt, ...)						\
	kunit_fail(test, __LINE__, fmt, ##__VA_ARGS__)

#define KUNIT_FAIL_AND_ABORT(test, fmt, ...)					\
	kunit_fail_and_abort(test, __LINE__, fmt, ##__VA_ARGS__)

/* Before anything is expected: what has come to the log may be what is asked for. */
static __maybe_unused struct kunit *kunit_look(struct kunit *test)
{
	kunit_log_show();
	return test;
}

/*
 * @fail: kunit_fail for expectations, kunit_fail_and_abort for assertions
 * @what: what is expected, in words
 * @fmt: what is to be said besides
 */
#define KUNIT_CHECK(test, fail, condition, what, fmt, ...)			\
do {										\
	struct kunit *__test = kunit_look(test);				\
										\
	if (!(condition))							\
		fail(__test, __LINE__, "expected %s" fmt, what, ##__VA_ARGS__);	\
} while (0)

#define KUNIT_COMPARE(test, fail, left, op, right, what, fmt, ...)		\
do {										\
	struct kunit *__test = kunit_look(test);				\
	const typeof(left) __left = (left);					\
	const typeof(right) __right = (right);					\
										\
	if (!(__left op __right))						\
		fail(__test, __LINE__, "expected %s, got %lld and %lld" fmt,	\
		     what, (long long)__left, (long long)__right, ##__VA_ARGS__);	\
} while (0)

#define KUNIT_COMPARE_PTR(test, fail, left, op, right, what, fmt, ...)		\
do {										\
	struct kunit *__test = kunit_look(test);				\
	const void *__left = (left);						\
	const void *__right = (right);						\
										\
	if (!(__left op __right))						\
		fail(__test, __LINE__, "expected %s, got %px and %px" fmt,	\
		     what, __left, __right, ##__VA_ARGS__);			\
} while (0)

#define KUNIT_COMPARE_STR(test, fail, left, right, what)			\
do {										\
	struct kunit *__test = kunit_look(test);				\
	const char *__left = (left);						\
	const char *__right = (right);						\
										\
	if (strcmp(__left, __right))						\
		fail(__test, __LINE__, "expected %s, got '%s' and '%s'",	\
		     what, __left, __right);					\
} while (0)

#define KUNIT_EXPECT_TRUE(test, condition)					\
	KUNIT_CHECK(test, kunit_fail, condition, #condition, "")
#define KUNIT_EXPECT_FALSE(test, condition)					\
	KUNIT_CHECK(test, kunit_fail, !(condition), "!(" #condition ")", "")
#define KUNIT_EXPECT_NULL(test, ptr)						\
	KUNIT_CHECK(test, kunit_fail, !(ptr), #ptr " == NULL", "")
#define KUNIT_EXPECT_NOT_NULL(test, ptr)					\
	KUNIT_CHECK(test, kunit_fail, ptr, #ptr " != NULL", "")
#define KUNIT_EXPECT_EQ(test, left, right)					\
	KUNIT_COMPARE(test, kunit_fail, left, ==, right, #left " == " #right, "")
#define KUNIT_EXPECT_NE(test, left, right)					\
	KUNIT_COMPARE(test, kunit_fail, left, !=, right, #left " != " #right, "")
#define KUNIT_EXPECT_LT(test, left, right)					\
	KUNIT_COMPARE(test, kunit_fail, left, <, right, #left " < " #right, "")
#define KUNIT_EXPECT_LE(test, left, right)					\
	KUNIT_COMPARE(test, kunit_fail, left, <=, right, #left " <= " #right, "")
#define KUNIT_EXPECT_GT(test, left, right)					\
	KUNIT_COMPARE(test, kunit_fail, left, >, right, #left " > " #right, "")
#define KUNIT_EXPECT_GE(test, left, right)					\
	KUNIT_COMPARE(test, kunit_fail, left, >=, right, #left " >= " #right, "")
#define KUNIT_EXPECT_PTR_EQ(test, left, right)					\
	KUNIT_COMPARE_PTR(test, kunit_fail, left, ==, right, #left " == " #right, "")
#define KUNIT_EXPECT_PTR_NE(test, left, right)					\
	KUNIT_COMPARE_PTR(test, kunit_fail, left, !=, right, #left " != " #right, "")
#define KUNIT_EXPECT_STREQ(test, left, right)					\
	KUNIT_COMPARE_STR(test, kunit_fail, left, right, #left " equal to " #right)

#define KUNIT_EXPECT_TRUE_MSG(test, condition, fmt, ...)			\
	KUNIT_CHECK(test, kunit_fail, condition, #condition, ", " fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_FALSE_MSG(test, condition, fmt, ...)			\
	KUNIT_CHECK(test, kunit_fail, !(condition), "!(" #condition ")",	\
		    ", " fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_EQ_MSG(test, left, right, fmt, ...)			\
	KUNIT_COMPARE(test, kunit_fail, left, ==, right, #left " == " #right,	\
		      ", " fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_PTR_NE_MSG(test, left, right, fmt, ...)			\
	KUNIT_COMPARE_PTR(test, kunit_fail, left, !=, right, #left " != " #right,	\
			  ", " fmt, ##__VA_ARGS__)

#define KUNIT_ASSERT_TRUE(test, condition)					\
	KUNIT_CHECK(test, kunit_fail_and_abort, condition, #condition, "")
#define KUNIT_ASSERT_FALSE(test, condition)					\
	KUNIT_CHECK(test, kunit_fail_and_abort, !(condition), "!(" #condition ")", "")
#define KUNIT_ASSERT_NOT_NULL(test, ptr)					\
	KUNIT_CHECK(test, kunit_fail_and_abort, ptr, #ptr " != NULL", "")
#define KUNIT_ASSERT_EQ(test, left, right)					\
	KUNIT_COMPARE(test, kunit_fail_and_abort, left, ==, right, #left " == " #right, "")
#define KUNIT_ASSERT_NE(test, left, right)					\
	KUNIT_COMPARE(test, kunit_fail_and_abort, left, !=, right, #left " != " #right, "")
#define KUNIT_ASSERT_LT(test, left, right)					\
	KUNIT_COMPARE(test, kunit_fail_and_abort, left, <, right, #left " < " #right, "")

/* --- Memory ---------------------------------------------------------------- */

struct kunit_memory {
	struct list_head	node;
	u8			bytes[] __aligned(sizeof(long long));
};

/* Zeroed, and freed when the case is over, unless it failed. */
static __maybe_unused void *kunit_kzalloc(struct kunit *test, size_t size, gfp_t gfp)
{
	struct kunit_memory *memory = kzalloc(sizeof(*memory) + size, gfp);

	if (!memory)
		return NULL;
	list_add(&memory->node, &test->memory);
	return memory->bytes;
}

static __maybe_unused void *kunit_kcalloc(struct kunit *test, size_t n, size_t size, gfp_t gfp)
{
	return kunit_kzalloc(test, array_size(n, size), gfp);
}

static void kunit_free(struct kunit *test)
{
	struct kunit_memory *memory, *next;

	/* Somebody may still look at it. */
	if (test->status == KUNIT_FAILURE)
		return;
	list_for_each_entry_safe(memory, next, &test->memory, node)
		kfree(memory);
}

/* --- Running a suite's cases ----------------------------------------------- */

static int kunit_case_thread(void *arg)
{
	struct kunit *test = arg;
	int err = kunit_suite->init ? kunit_suite->init(test) : 0;

	if (err)
		KUNIT_FAIL(test, "the suite's init returned %d", err);
	else
		test->run_case(test);
	return 0;
}

static int kunit_exit_thread(void *arg)
{
	if (kunit_suite->exit)
		kunit_suite->exit(arg);
	return 0;
}

/* Who waits for us will not wait for ever: see test_run(). */
static void kunit_run_in_thread(struct kunit *test, int (*func)(void *arg))
{
	struct test_thread *thread = test_start(func, test, -1);

	if (!thread)
		KUNIT_FAIL(test, "no thread");
	else
		while (!test_join(thread, KUNIT_LIMIT_S, NULL))
			;
}

static void kunit_run_with(struct kunit *test, const void *param)
{
	test->param_value = param;
	test->status = KUNIT_SUCCESS;
	INIT_LIST_HEAD(&test->memory);
	kunit_run_in_thread(test, kunit_case_thread);
	kunit_run_in_thread(test, kunit_exit_thread);
	kunit_free(test);
}

static void kunit_run(struct test *t)
{
	const struct kunit_case *c = &kunit_suite->test_cases[t->c - test_cases];
	struct kunit *test = kzalloc(sizeof(*test), GFP_KERNEL);
	unsigned int ran = 0;
	const void *param;

	if (!EXPECT(t, test))
		return;
	test->t = t;
	test->name = c->name;
	test->run_case = c->run_case;
	if (c->generate_params) {
		for (param = c->generate_params(NULL, test->desc); param;
		     param = c->generate_params(param, test->desc)) {
			kunit_run_with(test, param);
			ran += test->status != KUNIT_SKIPPED;
		}
	} else {
		kunit_run_with(test, NULL);
		ran += test->status != KUNIT_SKIPPED;
	}
	if (!ran)
		t->skipped = t->why;
	kfree(test);
}

static struct test_case kunit_table[KUNIT_MOST_CASES + 1];
static const struct test_case *const test_cases = kunit_table;

static int __init kunit_begin(void)
{
	const struct kunit_case *c = kunit_suite->test_cases;
	unsigned int i;

	for (i = 0; c[i].run_case; i++) {
		if (i == KUNIT_MOST_CASES)
			return -E2BIG;
		kunit_table[i].name = c[i].name;
		kunit_table[i].run = kunit_run;
	}
	test_limit_s = KUNIT_LIMIT_S;
	/* In the suite's exit, which KUnit relies on, too. */
	test_cleans_up = true;
	return kunit_suite->suite_init ? kunit_suite->suite_init(kunit_suite) : 0;
}
module_init(kunit_begin);

static void __exit kunit_end(void)
{
	if (kunit_suite->suite_exit)
		kunit_suite->suite_exit(kunit_suite);
}
module_exit(kunit_end);

#define kunit_test_suite(suite)							\
static struct kunit_suite *const kunit_suite = &(suite)

#endif /* _KUNIT_TEST_H */
