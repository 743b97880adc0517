/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the KUnit suites of pcpuref share: counted objects that record what
 * happens to them, helper threads, and the reports that a test provokes.
 *
 * Callbacks and helper threads only record; the test thread asserts. Whatever
 * a test leaves behind, also one that failed halfway, the suite's exit takes
 * down in the order that is safe: helpers, callbacks in flight, references,
 * memory.
 */
#ifndef PCPUREF_KUNIT_H
#define PCPUREF_KUNIT_H

#include <kunit/test.h>

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/hardirq.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/workqueue.h>
#ifdef CONFIG_TRACEPOINTS
#include <trace/events/printk.h>
#endif

#include "pcpuref.h"
#include "pcpuref_inspect.h"

/*
 * Longer than grace periods take, also where each access is looked at; only a test that fails
 * waits for so long.
 */
#if IS_ENABLED(CONFIG_KASAN) || IS_ENABLED(CONFIG_KCSAN)
#define PATIENCE	(60 * HZ)
#else
#define PATIENCE	(5 * HZ)
#endif

/* For how long a storm blows. */
#define STORM		(HZ / 10)

/* --- Counted objects ------------------------------------------------------ */

/* What a callback saw around itself. */
struct surroundings {
	bool			irqs_off;
	bool			nmi;
	bool			task;
	unsigned int		preempt;
	struct task_struct	*thread;
};

/**
 * struct counted - an object with a reference and a memory
 * @ref: the reference; its name in messages is "counted"
 * @node: in the suite's list, to be taken down
 * @released: calls of release
 * @returned: calls of release that are about to return
 * @confirmed: calls of each of the confirm callbacks
 * @clock: counts callbacks, so that their order can be told
 * @released_at: @clock at the last release
 * @confirmed_at: @clock at the last confirm
 * @in_release: what the last release saw
 * @in_confirm: what the last confirm saw
 * @late_confirms: confirms after a release of the same life
 * @on_release: what release does besides recording
 * @on_confirm: what confirm does besides recording
 * @result: for @on_release and @on_confirm to record in
 * @release_done: completed at each release, before @on_release if there is one
 * @confirm_done: completed at each confirm, before @on_confirm if there is one
 */
struct counted {
	struct pcpuref		ref;
	struct list_head	node;
	atomic_t		released;
	atomic_t		returned;
	atomic_t		confirmed[4];
	atomic_t		clock;
	int			released_at;
	int			confirmed_at;
	struct surroundings	in_release;
	struct surroundings	in_confirm;
	void			(*on_release)(struct counted *c);
	void			(*on_confirm)(struct counted *c);
	long			result;
	struct completion	release_done;
	struct completion	confirm_done;
};

static inline void look_around(struct surroundings *s)
{
	s->irqs_off = irqs_disabled();
	s->nmi = in_nmi();
	s->task = in_task();
	s->preempt = preempt_count();
	s->thread = current;
}

static inline void counted_release(struct pcpuref *ref)
{
	struct counted *c = container_of(ref, struct counted, ref);
	void (*on_release)(struct counted *c) = c->on_release;

	look_around(&c->in_release);
	c->released_at = atomic_inc_return(&c->clock);
	atomic_inc(&c->released);
	if (!on_release)
		atomic_inc(&c->returned);
	/* The last touch, but for what may free the object itself. */
	complete(&c->release_done);
	if (on_release)
		on_release(c);
}

static inline void counted_confirm_nr(struct pcpuref *ref, int nr)
{
	struct counted *c = container_of(ref, struct counted, ref);
	void (*on_confirm)(struct counted *c) = c->on_confirm;

	look_around(&c->in_confirm);
	c->confirmed_at = atomic_inc_return(&c->clock);
	atomic_inc(&c->confirmed[nr]);
	/* The last touch, as above. */
	complete(&c->confirm_done);
	if (on_confirm)
		on_confirm(c);
}

static inline void counted_confirm(struct pcpuref *ref)
{
	counted_confirm_nr(ref, 0);
}

static inline void counted_confirm_b(struct pcpuref *ref)
{
	counted_confirm_nr(ref, 1);
}

static inline void counted_confirm_c(struct pcpuref *ref)
{
	counted_confirm_nr(ref, 2);
}

static inline void counted_confirm_d(struct pcpuref *ref)
{
	counted_confirm_nr(ref, 3);
}

static inline int released(struct counted *c)
{
	return atomic_read(&c->released);
}

static inline int confirmed(struct counted *c)
{
	return atomic_read(&c->confirmed[0]);
}

/* Does it count in the per-CPU counters? Looks at the tags, as nothing tells. */
static inline bool in_percpu_mode(struct counted *c)
{
	return !(READ_ONCE(c->ref.word) & __PCPUREF_TAGS);
}

/* Has it been initialised, and not exited? */
static inline bool has_data(struct counted *c)
{
	unsigned long data = (unsigned long)READ_ONCE(c->ref.data);

	/* After exit the lowest bit marks what names the release function. */
	return data && !(data & 1);
}

/* --- Helper threads ------------------------------------------------------- */

/**
 * struct helper - a thread that does something beside the test
 * @node: in the suite's list, to be taken down
 * @task: the thread
 * @body: what it does; a loop must look at @stop and let others run
 * @c: for @body
 * @arg: for @body
 * @index: number of the helper in its test, from 0
 * @stop: the test wants @body to return
 * @ready: @body has got where the test wants it
 * @done: @body has returned
 * @slept: how often it had slept when it was ready to sleep
 * @rounds: for @body to count in
 * @hits: for @body to count in
 * @wrong: what @body saw that must not be
 * @result: for @body to record in
 */
struct helper {
	struct list_head	node;
	struct task_struct	*task;
	void			(*body)(struct helper *h);
	struct counted		*c;
	void			*arg;
	int			index;
	bool			stop;
	struct completion	ready;
	struct completion	done;
	unsigned long		slept;
	unsigned long		rounds;
	unsigned long		hits;
	unsigned long		wrong;
	long			result;
};

/* --- The suite's environment ---------------------------------------------- */

#define MAX_EXPECTED	16

/*
 * One report that a test expects, with a count or any, and with what says who did
 * it: by default the caller.
 */
#define BY_CALLER		" caller="
#define FOUND_AT_KILL		" found at the kill by "
#define FOUND_AT_SWITCH		" found at the switch by "

struct expected {
	const char	*text;
	const char	*key;
	const char	*or_key;
	const char	*caller;
	char		count[32];
	atomic_t	seen;
};

static struct {
	struct list_head	objects;
	struct list_head	helpers;
	int			nr_helpers;
	struct expected		expected[MAX_EXPECTED];
	int			nr_expected;
	atomic_t		unexpected;
	atomic_t		notices;
	/* What the core had allocated when the suite began. */
	struct pcpuref_memory	memory;
	/* The first expectation that failed where a test cannot say so. */
	atomic_t		nr_failed;
	const char		*failed;
	const char		*failed_in;
	int			failed_line;
} suite;

static inline bool line_has(const char *line, size_t len, const char *text)
{
	return strnstr(line, text, len);
}

/* Does the line name @function after @key? */
static inline bool line_names(const char *line, size_t len, const char *key,
			      const char *function)
{
	const char *at = strnstr(line, key, len);

	return at && str_has_prefix(at + strlen(key), function);
}

/* The kernel's own KUnit sees a line when it is printed; the stand-in of selftests/ reads. */
#ifndef kunit_log_show
#define kunit_log_show()	do { } while (0)
#endif

/* Sees each line that goes to the log, in whatever context it is printed. */
static inline void __maybe_unused watch_log(void *unused, const char *line, size_t len)
{
	int i;

	if (line_has(line, len, "pcpuref: exit of an exited reference: "))
		atomic_inc(&suite.notices);
	if (!line_has(line, len, "pcpuref: misuse: "))
		return;
	for (i = 0; i < READ_ONCE(suite.nr_expected); i++) {
		struct expected *e = &suite.expected[i];

		if (line_has(line, len, e->text) && line_has(line, len, e->count) &&
		    (line_names(line, len, e->key, e->caller) ||
		     (e->or_key && line_names(line, len, e->or_key, e->caller))) &&
		    !atomic_cmpxchg(&e->seen, 0, 1))
			return;
	}
	atomic_inc(&suite.unexpected);
}

/*
 * One report will come that contains @text, with @count unless that is
 * ANY_COUNT, and that names @caller after @key. The strings live as long as the
 * test. Logged in the form that the checker of whole logs wants.
 */
#define ANY_COUNT	LONG_MIN

static inline void expect_report_key(struct kunit *test, const char *text, long count,
				     const char *key, const char *caller)
{
	struct expected *e;

	KUNIT_ASSERT_LT(test, suite.nr_expected, MAX_EXPECTED);
	pr_info("pcpuref-expect: %s\n", text);
	/* Also if that place has been reported before. */
	pcpuref_report_anew();
	e = &suite.expected[suite.nr_expected];
	e->text = text;
	e->key = key;
	e->or_key = NULL;
	e->caller = caller;
	e->count[0] = '\0';
	if (count != ANY_COUNT)
		snprintf(e->count, sizeof(e->count), " count=%ld ", count);
	atomic_set(&e->seen, 0);
	WRITE_ONCE(suite.nr_expected, suite.nr_expected + 1);
}

static inline void expect_report_count(struct kunit *test, const char *text,
				       long count, const char *caller)
{
	expect_report_key(test, text, count, BY_CALLER, caller);
}

static inline void expect_report(struct kunit *test, const char *text, const char *caller)
{
	expect_report_count(test, text, ANY_COUNT, caller);
}

/* The usual one: about a struct counted, caused by the test function itself. */
#define EXPECT_REPORT(test, what)	EXPECT_REPORT_COUNT(test, what, ANY_COUNT)

#define EXPECT_REPORT_COUNT(test, what, count)					\
	EXPECT_REPORT_BY(test, what, count, __func__)

#define EXPECT_REPORT_BY(test, what, count, caller)				\
	expect_report_count(test, "misuse: " what				\
			    ": name=counted release=counted_release", count, caller)

/* One that does not know the caller, but where the test function had it found. */
#define EXPECT_FOUND(test, what, count, key)					\
	expect_report_key(test, "misuse: " what					\
			  ": name=counted release=counted_release", count, key, __func__)

/* One that is by the caller, or found later, as the threads meet. */
#define EXPECT_REPORT_OR_FOUND(test, what, found)				\
do {										\
	EXPECT_REPORT(test, what);						\
	suite.expected[suite.nr_expected - 1].or_key = (found);			\
} while (0)

/* Have the reports that were expected come, so far? And no other one? */
static inline void check_reports(struct kunit *test)
{
	int i;

#ifdef CONFIG_TRACEPOINTS
	for (i = 0; i < suite.nr_expected; i++)
		KUNIT_EXPECT_EQ_MSG(test, atomic_read(&suite.expected[i].seen), 1,
				    "reports of '%s' by '%s'",
				    suite.expected[i].text, suite.expected[i].caller);
#endif
	KUNIT_EXPECT_EQ_MSG(test, atomic_read(&suite.unexpected), 0,
			    "misuse reports that were not expected");
	for (i = 0; i < suite.nr_expected; i++)
		atomic_set(&suite.expected[i].seen, 0);
	suite.nr_expected = 0;
	atomic_set(&suite.unexpected, 0);
}

/*
 * An expectation for where the test may not sleep, as KUnit does to report one
 * that fails: the suite's exit tells.
 */
static inline void expect_later(bool met, const char *condition, const char *where, int line)
{
	if (met || atomic_inc_return(&suite.nr_failed) > 1)
		return;
	suite.failed = condition;
	suite.failed_in = where;
	suite.failed_line = line;
}

#define EXPECT_LATER(condition)		EXPECT_IN_LATER(condition, "")
#define EXPECT_IN_LATER(condition, where)	\
	expect_later(condition, #condition, where, __LINE__)

static inline void check_expected_later(struct kunit *test)
{
	int n = atomic_read(&suite.nr_failed);

	if (n)
		KUNIT_FAIL(test, "line %d: expected %s %s (and %d more)", suite.failed_line,
			   suite.failed, suite.failed_in, n - 1);
	atomic_set(&suite.nr_failed, 0);
}

static inline int helper_main(void *data)
{
	struct helper *h = data;

	h->body(h);
	complete_all(&h->done);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (kthread_should_stop())
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

static inline struct helper *helper_start_on(struct kunit *test, int cpu,
					     void (*body)(struct helper *h),
					     struct counted *c, void *arg)
{
	struct helper *h = kzalloc(sizeof(*h), GFP_KERNEL);
	struct task_struct *task;

	KUNIT_ASSERT_NOT_NULL(test, h);
	h->body = body;
	h->c = c;
	h->arg = arg;
	h->index = suite.nr_helpers;
	init_completion(&h->ready);
	init_completion(&h->done);
	task = kthread_create(helper_main, h, "pcpuref_helper%d", h->index);
	if (IS_ERR(task)) {
		kfree(h);
		KUNIT_FAIL_AND_ABORT(test, "no thread");
	}
	h->task = task;
	suite.nr_helpers++;
	list_add_tail(&h->node, &suite.helpers);
	if (cpu >= 0)
		kthread_bind(task, cpu);
	wake_up_process(task);
	return h;
}

static inline struct helper *helper_start(struct kunit *test,
					  void (*body)(struct helper *h),
					  struct counted *c, void *arg)
{
	return helper_start_on(test, -1, body, c, arg);
}

/* Wait until the body has returned. False: it has not, for too long. */
static inline bool helper_wait(struct helper *h)
{
	return wait_for_completion_timeout(&h->done, PATIENCE);
}

static inline bool helper_stop(struct helper *h)
{
	WRITE_ONCE(h->stop, true);
	return helper_wait(h);
}

/* Let go of all helpers, whose bodies return by themselves. */
static inline void helpers_reap(void)
{
	struct helper *h, *next;

	list_for_each_entry_safe(h, next, &suite.helpers, node) {
		kthread_stop(h->task);
		list_del(&h->node);
		kfree(h);
	}
	suite.nr_helpers = 0;
}

/* For loops: let others run, also without preemption; false to end the loop. */
static inline bool helper_goes_on(struct helper *h)
{
	/* Others read it meanwhile. */
	WRITE_ONCE(h->rounds, h->rounds + 1);
	if (!(h->rounds & 63))
		cond_resched();
	return !READ_ONCE(h->stop);
}

/* Counts what others may read meanwhile; only @h itself writes it. */
static inline void helper_hit(struct helper *h)
{
	WRITE_ONCE(h->hits, h->hits + 1);
}

/* So far: they may go on. */
static inline unsigned long hits_of(struct helper **h, int n)
{
	unsigned long hits = 0;

	while (n--)
		hits += READ_ONCE(h[n]->hits);
	return hits;
}

/* False: it does not come true, for too long. */
#define wait_until(condition)						\
({									\
	unsigned long __end = jiffies + PATIENCE;			\
	bool __met;							\
									\
	while (!(__met = (condition)) && time_before(jiffies, __end)) {	\
		cond_resched();						\
		cpu_relax();						\
	}								\
	__met;								\
})

/* A storm lasts until @end, and then until it has met all that its test requires. */
static inline bool storm_goes_on(unsigned long end, bool met)
{
	return time_before(jiffies, end) || (!met && time_before(jiffies, end + PATIENCE));
}

/* A helper is ready, and will sleep next. */
static inline void helper_ready_to_sleep(struct helper *h)
{
	h->slept = current->nvcsw;
	complete(&h->ready);
}

/* Wait until it sleeps. False: it does not, for too long. */
static inline bool helper_sleeps(struct helper *h)
{
	return wait_for_completion_timeout(&h->ready, PATIENCE) &&
	       wait_until(READ_ONCE(h->task->nvcsw) != h->slept);
}

/* How many helpers make sense for a storm. */
static inline int nr_storm_helpers(void)
{
	return clamp_t(int, num_online_cpus(), 2, 4);
}

static inline void counted_prepare(struct counted *c)
{
	memset(c, 0, sizeof(*c));
	init_completion(&c->release_done);
	init_completion(&c->confirm_done);
}

/* Forget what it has recorded; its reference has exited. */
static inline void counted_clear(struct counted *c)
{
	struct list_head node = c->node;

	counted_prepare(c);
	c->node = node;
}

/* An object whose memory is the suite's, without an initialised reference. */
static inline struct counted *counted_alloc(struct kunit *test)
{
	struct counted *c = kmalloc(sizeof(*c), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, c);
	counted_prepare(c);
	list_add_tail(&c->node, &suite.objects);
	return c;
}

static inline int __must_check counted_init(struct counted *c, unsigned int flags)
{
	return pcpuref_init_named(&c->ref, counted_release, flags, GFP_KERNEL, "counted");
}

/* An object with a live reference; or as @flags say. */
static inline struct counted *counted_new(struct kunit *test, unsigned int flags)
{
	struct counted *c = counted_alloc(test);

	KUNIT_ASSERT_EQ(test, counted_init(c, flags), 0);
	return c;
}

/* The same, in atomic mode with nothing in flight. */
static inline struct counted *counted_new_atomic(struct kunit *test, unsigned int flags)
{
	struct counted *c = counted_new(test, flags);

	KUNIT_ASSERT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
	return c;
}

/* Kill it if it is live, and wait for the release, but not for ever. */
static inline int counted_die(struct counted *c)
{
	return pcpuref_kill_and_wait_timeout(&c->ref, PATIENCE);
}

static inline int suite_init(struct kunit *test)
{
	INIT_LIST_HEAD(&suite.objects);
	INIT_LIST_HEAD(&suite.helpers);
	suite.nr_helpers = 0;
	suite.nr_expected = 0;
	atomic_set(&suite.unexpected, 0);
	atomic_set(&suite.notices, 0);
	atomic_set(&suite.nr_failed, 0);
	return 0;
}

static inline void suite_exit(struct kunit *test)
{
	struct counted *c, *next;
	struct helper *h;
	bool settled;

	check_expected_later(test);
	settled = test->status != KUNIT_FAILURE;
	list_for_each_entry(h, &suite.helpers, node)
		WRITE_ONCE(h->stop, true);
	list_for_each_entry(h, &suite.helpers, node) {
		if (!wait_for_completion_timeout(&h->done, HZ)) {
			KUNIT_FAIL(test, "helper %d does not come to its end", h->index);
			settled = false;
		}
	}
	/*
	 * A test that goes well leaves nothing in flight: otherwise exit reports
	 * it. After one that did not, be careful.
	 */
	if (!settled)
		pcpuref_barrier();
	/* This also wakes a helper that still waits for a release. */
	list_for_each_entry(c, &suite.objects, node)
		if (has_data(c))
			pcpuref_exit(&c->ref);
	helpers_reap();
	if (!settled)
		pcpuref_barrier();
	list_for_each_entry_safe(c, next, &suite.objects, node) {
		/* Whoever still looks at it shall notice. */
		memset(c, 0x6b, sizeof(*c));
		kfree(c);
	}
	check_reports(test);
}

/* What is left when nothing is in flight any more. */
static inline struct pcpuref_memory settled_memory(void)
{
	struct pcpuref_memory memory;

	pcpuref_barrier();
	rcu_barrier();
	pcpuref_memory(&memory);
	return memory;
}

/*
 * The last case of each suite: nothing is left of the others. A pin that was not
 * dropped shows here, and nowhere else.
 */
static inline void leaves_nothing(struct kunit *test)
{
	struct pcpuref_memory left = settled_memory();

	KUNIT_EXPECT_EQ(test, left.structures, suite.memory.structures);
	KUNIT_EXPECT_EQ(test, left.counters, suite.memory.counters);
}

#define PCPUREF_LAST_CASE	KUNIT_CASE(leaves_nothing)

static inline int suite_begin(struct kunit_suite *s)
{
	suite.memory = settled_memory();
#ifdef CONFIG_TRACEPOINTS
	return register_trace_console(watch_log, NULL);
#else
	return 0;
#endif
}

static inline void suite_end(struct kunit_suite *s)
{
	pcpuref_barrier();
#ifdef CONFIG_TRACEPOINTS
	unregister_trace_console(watch_log, NULL);
	tracepoint_synchronize_unregister();
#endif
}

/* The members of a struct kunit_suite that are the same for all. */
#define PCPUREF_SUITE(_name, _cases)		\
	.name = _name,				\
	.suite_init = suite_begin,		\
	.suite_exit = suite_end,		\
	.init = suite_init,			\
	.exit = suite_exit,			\
	.test_cases = _cases

/* --- CPUs ----------------------------------------------------------------- */

/* A CPU that is not this one, if there is one. */
static inline int other_cpu(void)
{
	int cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());

	return cpu < nr_cpu_ids ? cpu : raw_smp_processor_id();
}

struct many {
	struct pcpuref	*ref;
	unsigned long	nr;
};

static inline long get_many_here(void *arg)
{
	struct many *m = arg;

	pcpuref_get_many(m->ref, m->nr);
	return 0;
}

static inline long put_many_here(void *arg)
{
	struct many *m = arg;

	pcpuref_put_many(m->ref, m->nr);
	return 0;
}

static inline void get_many_on(int cpu, struct pcpuref *ref, unsigned long nr)
{
	struct many m = { ref, nr };

	work_on_cpu(cpu, get_many_here, &m);
}

static inline void put_many_on(int cpu, struct pcpuref *ref, unsigned long nr)
{
	struct many m = { ref, nr };

	work_on_cpu(cpu, put_many_here, &m);
}

/*
 * A reader on another CPU: as long as its body spins, no grace period can end,
 * neither a normal nor an expedited one. Needs more than one CPU; with one, a
 * test disables preemption itself.
 */
static inline void __hold_grace_period(struct helper *h)
{
	preempt_disable();
	complete(&h->ready);
	while (!READ_ONCE(h->stop))
		cpu_relax();
	preempt_enable();
}

static inline struct helper *hold_grace_period(struct kunit *test)
{
	int here = raw_smp_processor_id();
	struct helper *h;

	/* Not to be moved to the CPU on which nobody else can run. */
	set_cpus_allowed_ptr(current, cpumask_of(here));
	h = helper_start_on(test, other_cpu(), __hold_grace_period, NULL, NULL);
	KUNIT_ASSERT_TRUE(test, wait_for_completion_timeout(&h->ready, PATIENCE));
	return h;
}

static inline bool let_grace_period_go(struct helper *h)
{
	bool done = helper_stop(h);

	set_cpus_allowed_ptr(current, cpu_possible_mask);
	return done;
}

#endif /* PCPUREF_KUNIT_H */
