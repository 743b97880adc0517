// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of pcpuref_kref, and of the kernel's own kref beside it.
 *
 * The first part provokes the situations of LKDTM's refcount tests in both and
 * compares what comes of them. A kref adds and subtracts one at a time, and it
 * subtracts only where zero is noticed. Hence:
 *
 *	refcount_t			here
 *	inc, inc_not_zero		get, get_unless_zero
 *	add(n), add_not_zero(n)		as many of them; what overflows is one of
 *					them, and the rest finds a saturated count
 *	dec_and_test			put
 *	sub_and_test(n)			as many puts; one of them may be the last
 *	sub_and_test(0)			nothing drops no reference; put_mutex and
 *					put_lock look at the count before they
 *					subtract, as this does
 *	dec to zero, which refcount_t	no counterpart: zero is where the object
 *	reports as a leak		is released, and stays released
 *	dec below zero			put after the last put
 *	dec of a saturated count	put_mutex and put_lock: not by one
 *					subtraction either
 *
 * The kernel reports each kind once, with a WARN_ONCE() in each of five places;
 * so this module can expect it once only. What is reported is the count, and
 * that can be compared every time.
 */
#include <linux/kref.h>

#include "pcpuref_kref.h"
#include "pcpuref_kunit.h"

#define MOST		INT_MAX
#define SATURATED	(INT_MIN / 2)

static DEFINE_MUTEX(kref_mutex);
static DEFINE_SPINLOCK(kref_lock);

/* --- The situations of LKDTM ---------------------------------------------- */

/**
 * struct situation - calls on a count, and what comes of them
 * @name: as LKDTM has it
 * @start: count to begin with
 * @calls: (g)et, get_unless_zero (t), (p)ut, put_(m)utex, put_(l)ock
 * @answers: what they return, "-" for get
 * @count: count in the end
 * @released: calls of the release function
 * @report: what pcpuref reports, once; NULL: nothing
 * @differs: the kernel's kref ends at @kernel_count instead of @count
 * @kernel_count: see @differs
 */
struct situation {
	const char	*name;
	int		start;
	const char	*calls;
	const char	*answers;
	int		count;
	int		released;
	const char	*report;
	bool		differs;
	int		kernel_count;
};

#define OVERFLOW	"misuse: kref overflow: kref="
#define GET_ON_ZERO	"misuse: kref get on zero: kref="
#define PUT_ON_ZERO	"misuse: kref put on zero: kref="
#define NO_RELEASE	"misuse: kref put without a release function: kref="

static const struct situation situations[] = {
	{ "inc_overflow", MOST - 1, "pgggtp", "0---10", SATURATED, 0, OVERFLOW },
	{ "add_overflow", MOST - 1, "ppppgggggggg", "0000--------", SATURATED, 0, OVERFLOW },
	{ "inc_not_zero_overflow", MOST, "t", "1", SATURATED, 0, OVERFLOW },
	{ "add_not_zero_overflow", MOST, "tttttt", "111111", SATURATED, 0, OVERFLOW },
	{ "dec_zero", 2, "ppt", "010", 0, 1 },
	{ "dec_negative", 1, "ppt", "101", SATURATED, 1, PUT_ON_ZERO },
	{ "dec_and_test_negative", 0, "p", "0", SATURATED, 0, PUT_ON_ZERO },
	{ "sub_and_test_negative", 3, "ppppp", "00100", SATURATED, 1, PUT_ON_ZERO },
	/* refcount_dec_not_one() reports, and leaves the count alone. */
	{ "sub_and_test_zero", 0, "m", "0", SATURATED, 0, PUT_ON_ZERO, true, 0 },
	{ "sub_and_test_zero_lock", 0, "l", "0", SATURATED, 0, PUT_ON_ZERO, true, 0 },
	{ "inc_zero", 0, "tg", "0-", SATURATED, 0, GET_ON_ZERO },
	{ "add_zero", 0, "tttggg", "000---", SATURATED, 0, GET_ON_ZERO },
	{ "inc_saturated", SATURATED, "g", "-", SATURATED },
	{ "dec_saturated", SATURATED, "ml", "00", SATURATED },
	{ "add_saturated", SATURATED, "gggggggg", "--------", SATURATED },
	{ "inc_not_zero_saturated", SATURATED, "t", "1", SATURATED },
	{ "add_not_zero_saturated", SATURATED, "ttttttt", "1111111", SATURATED },
	{ "dec_and_test_saturated", SATURATED, "p", "0", SATURATED },
	{ "sub_and_test_saturated", SATURATED, "pppppppp", "00000000", SATURATED },
	/* Not of LKDTM: the ends of the ranges, and none of it overdone. */
	{ "up_to_the_maximum", MOST - 2, "gtmlp", "-1000", MOST - 3 },
	{ "get_the_maximum", MOST - 1, "gp", "-0", MOST - 1 },
	{ "get_unless_zero_the_maximum", MOST - 1, "tp", "10", MOST - 1 },
	{ "get_next_to_zero", -1, "g", "-", SATURATED },
	{ "get_unless_zero_next_to_zero", -1, "t", "1", SATURATED },
	{ "put_next_to_maximum", INT_MIN, "p", "0", SATURATED },
	{ "last_by_mutex", 2, "mmt", "010", 0, 1 },
	{ "last_by_lock", 2, "llt", "010", 0, 1 },
};

struct outcome {
	char	answers[16];
	int	count;
	int	released;
};

static int nr_released;

/* One of both kinds, in the form that the table wants. */
#define DEFINE_KREF_RUN(type)							\
static void type##_release(struct type *kref)					\
{										\
	nr_released++;								\
}										\
										\
static void type##_release_mutex(struct type *kref)				\
{										\
	nr_released++;								\
	mutex_unlock(&kref_mutex);						\
}										\
										\
static void type##_release_lock(struct type *kref)				\
	__releases(&kref_lock)							\
{										\
	nr_released++;								\
	spin_unlock(&kref_lock);						\
}										\
										\
static noinline char type##_call(struct type *kref, char call)			\
{										\
	switch (call) {								\
	case 'g':								\
		type##_get(kref);						\
		return '-';							\
	case 't':								\
		return type##_get_unless_zero(kref) ? '1' : '0';		\
	case 'p':								\
		return type##_put(kref, type##_release) ? '1' : '0';		\
	case 'm':								\
		return type##_put_mutex(kref, type##_release_mutex,		\
					&kref_mutex) ? '1' : '0';		\
	case 'l':								\
		return type##_put_lock(kref, type##_release_lock,		\
				       &kref_lock) ? '1' : '0';			\
	}									\
	return '?';								\
}

DEFINE_KREF_RUN(pcpuref_kref)
DEFINE_KREF_RUN(kref)

static void run_pcpuref_kref(struct pcpuref_kref *kref, const char *calls,
			     struct outcome *outcome)
{
	int i;

	nr_released = 0;
	memset(outcome, 0, sizeof(*outcome));
	for (i = 0; calls[i]; i++)
		outcome->answers[i] = pcpuref_kref_call(kref, calls[i]);
	outcome->count = pcpuref_kref_read(kref);
	outcome->released = nr_released;
}

/*
 * The five places, each of which speaks once. The last one is in a function that the
 * compiler may inline in two others; since 6.19 x86 has it speak once in each.
 */
static void expect_of_kernel(int count, char call)
{
	static bool add, inc_not_zero, on_zero, sub, dec_not_one[2];
	bool allowed = false;
	const char *text = NULL;
	bool *done = NULL;

	switch (call) {
	case 'g':
		if (!count) {
			done = &on_zero;
			text = "refcount_t: addition on 0; use-after-free";
		} else if (count < 0 || count == MOST) {
			done = &add;
			text = "refcount_t: saturated; leaking memory";
		}
		break;
	case 't':
		if (count < 0 || count == MOST) {
			done = &inc_not_zero;
			text = "refcount_t: saturated; leaking memory";
		}
		break;
	case 'p':
		if (count <= 0) {
			done = &sub;
			text = "refcount_t: underflow; use-after-free";
		}
		break;
	case 'm':
	case 'l':
		if (!count) {
			done = &dec_not_one[call == 'm'];
			allowed = dec_not_one[call != 'm'];
			text = "refcount_t: underflow; use-after-free";
		}
		break;
	}
	if (!done || *done)
		return;
	*done = true;
	pr_info("pcpuref-%s: %s\n", allowed ? "allow" : "expect", text);
}

static void run_kref(struct kref *kref, const char *calls, struct outcome *outcome)
{
	int i;

	nr_released = 0;
	memset(outcome, 0, sizeof(*outcome));
	for (i = 0; calls[i]; i++) {
		expect_of_kernel(kref_read(kref), calls[i]);
		outcome->answers[i] = kref_call(kref, calls[i]);
	}
	outcome->count = kref_read(kref);
	outcome->released = nr_released;
}

/* Only lockdep knows it on one CPU, too. */
static bool lock_held(void)
{
	return IS_ENABLED(CONFIG_LOCKDEP) &&
	       lockdep_is_held(&kref_lock) == LOCK_STATE_HELD;
}

static void check_locks(struct kunit *test)
{
	KUNIT_EXPECT_FALSE_MSG(test, lock_held(), "the lock is left held");
	KUNIT_EXPECT_FALSE_MSG(test, mutex_is_locked(&kref_mutex), "the mutex is left held");
}

static void check_outcome(struct kunit *test, const struct situation *s,
			  const struct outcome *o, int count)
{
	KUNIT_EXPECT_STREQ(test, &o->answers[0], s->answers);
	KUNIT_EXPECT_EQ(test, o->count, count);
	KUNIT_EXPECT_EQ(test, o->released, s->released);
	check_locks(test);
}

static void pcpuref_kref_test_lkdtm(struct kunit *test)
{
	/* Whatever is done to a saturated object, it is never released. */
	static const char more[] = "ptmgl";
	const struct situation *s = test->param_value;
	struct pcpuref_kref ours = PCPUREF_KREF_INIT(s->start);
	struct kref theirs = KREF_INIT(s->start);
	struct outcome of_ours, of_theirs;

	if (s->report)
		expect_report(test, s->report, "pcpuref_kref_call+");
	run_pcpuref_kref(&ours, s->calls, &of_ours);
	check_reports(test);
	run_kref(&theirs, s->calls, &of_theirs);

	check_outcome(test, s, &of_ours, s->count);
	check_outcome(test, s, &of_theirs, s->differs ? s->kernel_count : s->count);
	/* The same said of each other, so that the table need not be right. */
	KUNIT_EXPECT_STREQ(test, &of_ours.answers[0], &of_theirs.answers[0]);
	KUNIT_EXPECT_EQ(test, of_ours.released, of_theirs.released);
	if (!s->differs)
		KUNIT_EXPECT_EQ(test, of_ours.count, of_theirs.count);

	if (of_ours.count == SATURATED) {
		run_pcpuref_kref(&ours, more, &of_ours);
		KUNIT_EXPECT_STREQ(test, &of_ours.answers[0], "010-0");
		KUNIT_EXPECT_EQ(test, of_ours.count, SATURATED);
		KUNIT_EXPECT_EQ(test, of_ours.released, 0);
	}
	if (of_theirs.count == SATURATED) {
		run_kref(&theirs, more, &of_theirs);
		KUNIT_EXPECT_STREQ(test, &of_theirs.answers[0], "010-0");
		KUNIT_EXPECT_EQ(test, of_theirs.count, SATURATED);
		KUNIT_EXPECT_EQ(test, of_theirs.released, 0);
	}
}

static void situation_name(const struct situation *s, char *desc)
{
	strscpy(desc, s->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(situation, situations, situation_name);

/* --- Ordinary use --------------------------------------------------------- */

static void pcpuref_kref_test_layout(struct kunit *test)
{
	static struct pcpuref_kref three = PCPUREF_KREF_INIT(3);

	KUNIT_EXPECT_EQ(test, sizeof(struct pcpuref_kref), 4);
	KUNIT_EXPECT_EQ(test, sizeof(struct pcpuref_kref), sizeof(struct kref));
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&three), 3);
}

static void pcpuref_kref_test_get_put(struct kunit *test)
{
	struct pcpuref_kref kref = PCPUREF_KREF_INIT(7);

	nr_released = 0;
	pcpuref_kref_init(&kref);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&kref), 1);
	pcpuref_kref_get(&kref);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&kref), 2);
	KUNIT_EXPECT_TRUE(test, pcpuref_kref_get_unless_zero(&kref));
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&kref), 3);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_put(&kref, pcpuref_kref_release), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_put(&kref, pcpuref_kref_release), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&kref), 1);
	KUNIT_EXPECT_EQ(test, nr_released, 0);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_put(&kref, pcpuref_kref_release), 1);
	KUNIT_EXPECT_EQ(test, nr_released, 1);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&kref), 0);
	/* Nothing brings it back, and none of that is misuse. */
	KUNIT_EXPECT_FALSE(test, pcpuref_kref_get_unless_zero(&kref));
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&kref), 0);
	KUNIT_EXPECT_EQ(test, nr_released, 1);
}

struct freed {
	struct pcpuref_kref	kref;
	struct pcpuref_kref	*seen;
};

static void freed_release(struct pcpuref_kref *kref)
{
	struct freed *f = container_of(kref, struct freed, kref);

	*f->seen = *kref;
	kfree(f);
}

/* After release nothing of the object is touched: for KASAN. */
static void pcpuref_kref_test_release_frees(struct kunit *test)
{
	struct pcpuref_kref seen = PCPUREF_KREF_INIT(5);
	struct freed *f = kzalloc(sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	pcpuref_kref_init(&f->kref);
	f->seen = &seen;
	KUNIT_EXPECT_EQ(test, pcpuref_kref_put(&f->kref, freed_release), 1);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&seen), 0);
}

/* --- Put under a lock ----------------------------------------------------- */

static bool held_in_release;

static void release_under_mutex(struct pcpuref_kref *kref)
{
	held_in_release = mutex_is_locked(&kref_mutex);
	pcpuref_kref_release_mutex(kref);
}

static void release_under_lock(struct pcpuref_kref *kref)
	__releases(&kref_lock)
{
	held_in_release = lock_held();
	pcpuref_kref_release_lock(kref);
}

static void pcpuref_kref_test_put_mutex(struct kunit *test)
{
	struct pcpuref_kref kref = PCPUREF_KREF_INIT(1);

	nr_released = 0;
	held_in_release = false;
	KUNIT_EXPECT_EQ(test, pcpuref_kref_put_mutex(&kref, release_under_mutex,
						     &kref_mutex), 1);
	KUNIT_EXPECT_TRUE(test, held_in_release);
	KUNIT_EXPECT_EQ(test, nr_released, 1);
	check_locks(test);
}

static void pcpuref_kref_test_put_lock(struct kunit *test)
{
	struct pcpuref_kref kref = PCPUREF_KREF_INIT(1);

	if (!IS_ENABLED(CONFIG_LOCKDEP))
		kunit_skip(test, "needs lockdep");
	nr_released = 0;
	held_in_release = false;
	KUNIT_EXPECT_EQ(test, pcpuref_kref_put_lock(&kref, release_under_lock,
						    &kref_lock), 1);
	KUNIT_EXPECT_TRUE(test, held_in_release);
	KUNIT_EXPECT_EQ(test, nr_released, 1);
	check_locks(test);
}

static void put_mutex_body(struct helper *h)
{
	complete(&h->ready);
	h->result = pcpuref_kref_put_mutex(h->arg, pcpuref_kref_release_mutex, &kref_mutex);
}

static void put_lock_body(struct helper *h)
{
	complete(&h->ready);
	h->result = pcpuref_kref_put_lock(h->arg, pcpuref_kref_release_lock, &kref_lock);
}

/* Not the last one: comes through though somebody else has the mutex. */
static void pcpuref_kref_test_put_mutex_not_last(struct kunit *test)
{
	struct pcpuref_kref kref = PCPUREF_KREF_INIT(2);
	struct helper *h;
	bool came_through;

	nr_released = 0;
	mutex_lock(&kref_mutex);
	h = helper_start(test, put_mutex_body, NULL, &kref);
	came_through = helper_wait(h);
	mutex_unlock(&kref_mutex);
	KUNIT_EXPECT_TRUE(test, came_through);
	KUNIT_ASSERT_TRUE(test, helper_wait(h));
	KUNIT_EXPECT_EQ(test, h->result, 0);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&kref), 1);
	KUNIT_EXPECT_EQ(test, nr_released, 0);
}

static void pcpuref_kref_test_put_lock_not_last(struct kunit *test)
{
	struct pcpuref_kref kref = PCPUREF_KREF_INIT(2);
	unsigned long patience;
	struct helper *h;
	bool came_through;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
	nr_released = 0;
	set_cpus_allowed_ptr(current, cpumask_of(raw_smp_processor_id()));
	h = helper_start_on(test, other_cpu(), put_lock_body, NULL, &kref);
	spin_lock(&kref_lock);
	/* In microseconds: no jiffy need pass while this CPU spins. */
	for (patience = 2 * USEC_PER_SEC; patience; patience -= 5) {
		if (completion_done(&h->done))
			break;
		udelay(5);
	}
	came_through = completion_done(&h->done);
	spin_unlock(&kref_lock);
	set_cpus_allowed_ptr(current, cpu_possible_mask);
	KUNIT_EXPECT_TRUE(test, came_through);
	KUNIT_ASSERT_TRUE(test, helper_wait(h));
	KUNIT_EXPECT_EQ(test, h->result, 0);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&kref), 1);
	KUNIT_EXPECT_EQ(test, nr_released, 0);
}

/* The last one, until a lookup finds the object while the put waits. */
static void pcpuref_kref_test_put_mutex_found(struct kunit *test)
{
	struct pcpuref_kref kref = PCPUREF_KREF_INIT(1);
	struct helper *h;
	bool found;

	nr_released = 0;
	mutex_lock(&kref_mutex);
	h = helper_start(test, put_mutex_body, NULL, &kref);
	wait_for_completion_timeout(&h->ready, PATIENCE);
	msleep(20);
	found = pcpuref_kref_get_unless_zero(&kref);
	mutex_unlock(&kref_mutex);
	KUNIT_EXPECT_TRUE(test, found);
	KUNIT_ASSERT_TRUE(test, helper_wait(h));
	KUNIT_EXPECT_EQ(test, h->result, 0);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&kref), 1);
	KUNIT_EXPECT_EQ(test, nr_released, 0);
	check_locks(test);
}

static void pcpuref_kref_test_put_lock_found(struct kunit *test)
{
	struct pcpuref_kref kref;
	struct helper *h;
	int tries = 0;
	bool found;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
	/* The helper may be too early: then there is nothing to be found. */
	do {
		pcpuref_kref_init(&kref);
		nr_released = 0;
		set_cpus_allowed_ptr(current, cpumask_of(raw_smp_processor_id()));
		h = helper_start_on(test, other_cpu(), put_lock_body, NULL, &kref);
		spin_lock(&kref_lock);
		mdelay(5);
		found = pcpuref_kref_get_unless_zero(&kref);
		spin_unlock(&kref_lock);
		set_cpus_allowed_ptr(current, cpu_possible_mask);
		KUNIT_ASSERT_TRUE(test, helper_wait(h));
		KUNIT_EXPECT_EQ(test, h->result, !found);
		KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&kref), found);
		KUNIT_EXPECT_EQ(test, nr_released, !found);
		check_locks(test);
	} while (!found && ++tries < 50);
	KUNIT_EXPECT_TRUE(test, found);
}

/* --- Without a release function ------------------------------------------- */

static void pcpuref_kref_test_no_release(struct kunit *test)
{
	struct pcpuref_kref kref = PCPUREF_KREF_INIT(2);

	KUNIT_EXPECT_EQ(test, pcpuref_kref_put(&kref, NULL), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&kref), 1);
	expect_report(test, NO_RELEASE, __func__);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_put(&kref, NULL), 0);
	check_reports(test);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&kref), 0);
	KUNIT_EXPECT_FALSE(test, pcpuref_kref_get_unless_zero(&kref));
}

static void pcpuref_kref_test_no_release_mutex(struct kunit *test)
{
	struct pcpuref_kref kref = PCPUREF_KREF_INIT(1);

	expect_report(test, NO_RELEASE, __func__);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_put_mutex(&kref, NULL, &kref_mutex), 0);
	check_reports(test);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&kref), 0);
	check_locks(test);
}

static void pcpuref_kref_test_no_release_lock(struct kunit *test)
{
	struct pcpuref_kref kref = PCPUREF_KREF_INIT(1);

	expect_report(test, NO_RELEASE, __func__);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_put_lock(&kref, NULL, &kref_lock), 0);
	check_reports(test);
	KUNIT_EXPECT_EQ(test, pcpuref_kref_read(&kref), 0);
	check_locks(test);
}

/* --- Reports -------------------------------------------------------------- */

/* As drivers have them: nothing follows the call, so it might be a tail call. */
static noinline void object_get(struct pcpuref_kref *kref)
{
	pcpuref_kref_get(kref);
}

static noinline void object_put(struct pcpuref_kref *kref)
{
	pcpuref_kref_put(kref, pcpuref_kref_release);
}

static noinline void object_put_nothing(struct pcpuref_kref *kref)
{
	pcpuref_kref_put(kref, NULL);
}

static noinline void object_put_mutex(struct pcpuref_kref *kref)
{
	pcpuref_kref_put_mutex(kref, pcpuref_kref_release_mutex, &kref_mutex);
}

static noinline void object_put_lock(struct pcpuref_kref *kref)
{
	pcpuref_kref_put_lock(kref, pcpuref_kref_release_lock, &kref_lock);
}

static noinline bool object_find(struct pcpuref_kref *kref)
{
	return pcpuref_kref_get_unless_zero(kref);
}

static void pcpuref_kref_test_caller(struct kunit *test)
{
	struct pcpuref_kref kref = PCPUREF_KREF_INIT(0);

	expect_report(test, GET_ON_ZERO, "object_get+");
	object_get(&kref);
	check_reports(test);

	kref = (struct pcpuref_kref)PCPUREF_KREF_INIT(MOST);
	expect_report(test, OVERFLOW, "object_get+");
	object_get(&kref);
	check_reports(test);

	kref = (struct pcpuref_kref)PCPUREF_KREF_INIT(MOST);
	expect_report(test, OVERFLOW, "object_find+");
	KUNIT_EXPECT_TRUE(test, object_find(&kref));
	check_reports(test);

	kref = (struct pcpuref_kref)PCPUREF_KREF_INIT(0);
	expect_report(test, PUT_ON_ZERO, "object_put+");
	object_put(&kref);
	check_reports(test);

	kref = (struct pcpuref_kref)PCPUREF_KREF_INIT(0);
	expect_report(test, PUT_ON_ZERO, "object_put_mutex+");
	object_put_mutex(&kref);
	check_reports(test);

	kref = (struct pcpuref_kref)PCPUREF_KREF_INIT(0);
	expect_report(test, PUT_ON_ZERO, "object_put_lock+");
	object_put_lock(&kref);
	check_reports(test);

	kref = (struct pcpuref_kref)PCPUREF_KREF_INIT(1);
	expect_report(test, NO_RELEASE, "object_put_nothing+");
	object_put_nothing(&kref);
	check_reports(test);
}

/* Each object has its report: one does not silence the other. */
static void pcpuref_kref_test_report_of_each(struct kunit *test)
{
	struct pcpuref_kref a = PCPUREF_KREF_INIT(0), b = PCPUREF_KREF_INIT(0);
	int i;

	expect_report(test, PUT_ON_ZERO, __func__);
	pcpuref_kref_put(&a, pcpuref_kref_release);
	for (i = 0; i < 5; i++)
		pcpuref_kref_put(&a, pcpuref_kref_release);
	check_reports(test);
	expect_report(test, PUT_ON_ZERO, __func__);
	pcpuref_kref_put(&b, pcpuref_kref_release);
	check_reports(test);
}

/* --- Several at once ------------------------------------------------------ */

/* Helpers that shall do something at the same moment. */
struct race {
	struct pcpuref_kref	kref;
	atomic_t		waiting;
	int			nr;
	bool			go;
	char			call;
};

static void race_body(struct helper *h)
{
	struct race *race = h->arg;
	int i;

	atomic_inc(&race->waiting);
	while (!READ_ONCE(race->go) && !READ_ONCE(h->stop)) {
		/* Let the others get here, and then be as quick as they are. */
		if (atomic_read(&race->waiting) < race->nr || num_online_cpus() <= race->nr)
			cond_resched();
		cpu_relax();
	}
	for (i = 0; i < 50; i++)
		pcpuref_kref_call(&race->kref, race->call);
}

static void run_race(struct kunit *test, int start, char call, const char *report)
{
	struct race race = { .kref = PCPUREF_KREF_INIT(start), .call = call };
	struct helper *helpers[4];
	int nr = clamp_t(int, num_online_cpus() - 1, 2, 4);
	int i;

	nr_released = 0;
	race.nr = nr;
	for (i = 0; i < nr; i++)
		helpers[i] = helper_start(test, race_body, NULL, &race);
	while (atomic_read(&race.waiting) < nr)
		cond_resched();
	expect_report(test, report, "pcpuref_kref_call+");
	WRITE_ONCE(race.go, true);
	for (i = 0; i < nr; i++)
		KUNIT_ASSERT_TRUE(test, helper_wait(helpers[i]));
	check_reports(test);
	KUNIT_EXPECT_EQ(test, (int)pcpuref_kref_read(&race.kref), SATURATED);
	KUNIT_EXPECT_EQ(test, nr_released, 0);
	check_locks(test);
}

static void pcpuref_kref_test_overflow_by_many(struct kunit *test)
{
	int i;

	for (i = 0; i < 3; i++) {
		run_race(test, MOST - 70, 'g', OVERFLOW);
		run_race(test, MOST - 70, 't', OVERFLOW);
	}
}

static void pcpuref_kref_test_underflow_by_many(struct kunit *test)
{
	int i;

	for (i = 0; i < 4; i++) {
		run_race(test, 0, 'p', PUT_ON_ZERO);
		run_race(test, 0, 'm', PUT_ON_ZERO);
		run_race(test, 0, 'l', PUT_ON_ZERO);
	}
}

/* For the next one: objects that a whole row of helpers looks up. */
#define FINAL_OBJECTS	2000

struct final {
	struct pcpuref_kref	kref;
	atomic_t		released;
	atomic_t		users;
	int			seen;
};

static void final_release(struct pcpuref_kref *kref)
{
	struct final *f = container_of(kref, struct final, kref);

	/* What all users did before their puts is visible here. */
	f->seen = atomic_read(&f->users);
	atomic_inc(&f->released);
}

static void final_body(struct helper *h)
{
	struct final *f = h->arg, *end = f + FINAL_OBJECTS;

	complete(&h->ready);
	while (f < end && helper_goes_on(h)) {
		if (!pcpuref_kref_get_unless_zero(&f->kref)) {
			/* Zero is never left again. */
			if (pcpuref_kref_get_unless_zero(&f->kref))
				h->wrong++;
			f++;
			continue;
		}
		helper_hit(h);
		if (atomic_read(&f->released))
			h->wrong++;
		atomic_inc(&f->users);
		if (atomic_read(&f->released))
			h->wrong++;
		pcpuref_kref_put(&f->kref, final_release);
	}
}

static void pcpuref_kref_test_released_once(struct kunit *test)
{
	struct final *f = kunit_kcalloc(test, FINAL_OBJECTS, sizeof(*f), GFP_KERNEL);
	unsigned long hits = 0, wrong = 0, bad = 0;
	struct helper *helpers[4];
	int nr = nr_storm_helpers();
	int i;

	KUNIT_ASSERT_NOT_NULL(test, f);
	for (i = 0; i < FINAL_OBJECTS; i++)
		pcpuref_kref_init(&f[i].kref);
	for (i = 0; i < nr; i++)
		helpers[i] = helper_start(test, final_body, NULL, f);
	for (i = 0; i < nr; i++)
		wait_for_completion_timeout(&helpers[i]->ready, PATIENCE);
	for (i = 0; i < FINAL_OBJECTS; i++) {
		pcpuref_kref_put(&f[i].kref, final_release);
		if (!(i & 15))
			cond_resched();
		else
			udelay(1);
	}
	for (i = 0; i < nr; i++) {
		KUNIT_ASSERT_TRUE(test, helper_wait(helpers[i]));
		hits += helpers[i]->hits;
		wrong += helpers[i]->wrong;
	}
	for (i = 0; i < FINAL_OBJECTS; i++)
		if (atomic_read(&f[i].released) != 1 || pcpuref_kref_read(&f[i].kref) ||
		    f[i].seen != atomic_read(&f[i].users))
			bad++;
	KUNIT_EXPECT_GT(test, hits, 0);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, bad, 0);
}

static struct kunit_case pcpuref_kref_cases[] = {
	KUNIT_CASE_PARAM(pcpuref_kref_test_lkdtm, situation_gen_params),
	KUNIT_CASE(pcpuref_kref_test_layout),
	KUNIT_CASE(pcpuref_kref_test_get_put),
	KUNIT_CASE(pcpuref_kref_test_release_frees),
	KUNIT_CASE(pcpuref_kref_test_put_mutex),
	KUNIT_CASE(pcpuref_kref_test_put_lock),
	KUNIT_CASE(pcpuref_kref_test_put_mutex_not_last),
	KUNIT_CASE(pcpuref_kref_test_put_lock_not_last),
	KUNIT_CASE(pcpuref_kref_test_put_mutex_found),
	KUNIT_CASE(pcpuref_kref_test_put_lock_found),
	KUNIT_CASE(pcpuref_kref_test_no_release),
	KUNIT_CASE(pcpuref_kref_test_no_release_mutex),
	KUNIT_CASE(pcpuref_kref_test_no_release_lock),
	KUNIT_CASE(pcpuref_kref_test_caller),
	KUNIT_CASE(pcpuref_kref_test_report_of_each),
	KUNIT_CASE(pcpuref_kref_test_overflow_by_many),
	KUNIT_CASE(pcpuref_kref_test_underflow_by_many),
	KUNIT_CASE(pcpuref_kref_test_released_once),
	{}
};

/* Nothing of a kref is in flight: do not wait for what is not there. */
static void pcpuref_kref_exit(struct kunit *test)
{
	if (list_empty(&suite.helpers))
		check_reports(test);
	else
		suite_exit(test);
}

static struct kunit_suite pcpuref_kref_suite = {
	.name = "pcpuref_kref",
	.suite_init = suite_begin,
	.suite_exit = suite_end,
	.init = suite_init,
	.exit = pcpuref_kref_exit,
	.test_cases = pcpuref_kref_cases,
};

kunit_test_suite(pcpuref_kref_suite);

MODULE_DESCRIPTION("KUnit tests of pcpuref_kref");
MODULE_LICENSE("GPL");
