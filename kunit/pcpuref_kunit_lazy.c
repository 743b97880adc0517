// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite pcpuref_lazy: references with PCPUREF_INIT_LAZY, which begin
 * without per-CPU memory and get it when they turn out to be hot. Each request
 * and each end of a life meets such a reference cold, on its way, and hot.
 *
 * That there is no memory for the counters cannot be provoked here: a per-CPU
 * allocation which may sleep goes on until there is some.
 */
#include <linux/irq_work.h>
#include <linux/timer.h>

#include "pcpuref_kunit.h"
#include "pcpuref_inspect.h"

/* Done in one go: several times what makes a reference hot. */
#define BURST		8192

/* So often, where what is tested depends on who is faster. */
#define ROUNDS		12

static void burst(struct counted *c)
{
	int i;

	for (i = 0; i < BURST; i++) {
		pcpuref_get(&c->ref);
		pcpuref_put(&c->ref);
	}
}

/*
 * Afterwards counters have been asked for. With one CPU they cannot have come
 * before the test lets others run; with several it may be so.
 */
static void ask(struct counted *c)
{
	preempt_disable();
	burst(c);
	preempt_enable();
}

static bool got_hot(struct counted *c)
{
	burst(c);
	return in_percpu_mode(c);
}

static bool heat(struct counted *c)
{
	return wait_until(got_hot(c));
}

/* Bursts that are to no effect, and all that could come of them is over. */
static void heat_in_vain(struct counted *c)
{
	int i;

	for (i = 0; i < 2; i++) {
		ask(c);
		pcpuref_barrier();
	}
}

static size_t percpu_bytes(struct counted *c)
{
	struct pcpuref_info info;

	return pcpuref_inspect(&c->ref, &info) ? info.percpu_bytes : SIZE_MAX;
}

static size_t all_percpu_bytes(void)
{
	return num_possible_cpus() * sizeof(long);
}

static void expect_cold(struct kunit *test, struct counted *c, long count)
{
	KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
	KUNIT_EXPECT_EQ(test, percpu_bytes(c), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), count);
}

static void expect_hot(struct kunit *test, struct counted *c, long count)
{
	KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
	KUNIT_EXPECT_EQ(test, percpu_bytes(c), all_percpu_bytes());
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), count);
}

static struct counted *counted_new_hot(struct kunit *test, unsigned int flags)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY | flags);

	KUNIT_ASSERT_TRUE(test, heat(c));
	return c;
}

/* --- Cold ----------------------------------------------------------------- */

static void pcpuref_lazy_test_starts_atomic(struct kunit *test)
{
	static const unsigned int flags[] = {
		0, PCPUREF_ALLOW_REINIT, PCPUREF_RELEASE_WORK,
	};
	int first = cpumask_first(cpu_online_mask);
	int last = cpumask_last(cpu_online_mask);
	int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct counted *c = counted_new(test, PCPUREF_INIT_LAZY | flags[i]);
		struct pcpuref_info info;

		KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
		KUNIT_EXPECT_EQ(test, info.mode, PCPUREF_MODE_ATOMIC);
		KUNIT_EXPECT_EQ(test, info.state, PCPUREF_STATE_LIVE);
		KUNIT_EXPECT_EQ(test, info.flags, PCPUREF_INIT_LAZY | flags[i]);
		KUNIT_EXPECT_EQ(test, info.life, 1);
		KUNIT_EXPECT_FALSE(test, pcpuref_is_dying(&c->ref));
		KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
		expect_cold(test, c, 1);

		/* Each single one is seen at once. */
		pcpuref_get(&c->ref);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
		KUNIT_EXPECT_TRUE(test, pcpuref_tryget(&c->ref));
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 3);
		KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 4);
		get_many_on(first, &c->ref, 1000);
		put_many_on(last, &c->ref, 900);
		KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
		KUNIT_EXPECT_EQ(test, info.count, 104);
		KUNIT_EXPECT_EQ(test, info.shared, 104);
		pcpuref_put_many(&c->ref, 103);
		expect_cold(test, c, 1);
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), 1);
	}
}

/* Thousands of gets are nothing if they take their time. */
static void pcpuref_lazy_test_slow_gets(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY);
	int i, j;

	/* A tenth of what makes it hot, or less. */
	for (i = 0; i < 60; i++) {
		for (j = 0; j < 100; j++) {
			pcpuref_get(&c->ref);
			pcpuref_put(&c->ref);
		}
		usleep_range(10000, 11000);
	}
	pcpuref_barrier();
	expect_cold(test, c, 1);
}

/* A get of many is one get, and puts are none. */
static void pcpuref_lazy_test_puts_do_not_count(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY);
	int i;

	pcpuref_get_many(&c->ref, 100 * BURST);
	preempt_disable();
	for (i = 0; i < BURST; i++)
		pcpuref_put(&c->ref);
	preempt_enable();
	pcpuref_barrier();
	expect_cold(test, c, 1 + 99 * BURST);
	pcpuref_put_many(&c->ref, 99 * BURST);
}

/* --- From cold to hot ----------------------------------------------------- */

static void pcpuref_lazy_test_promotes(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY);
	struct pcpuref_info info;

	/* These are held all the time. */
	pcpuref_get_many(&c->ref, 3);
	KUNIT_ASSERT_TRUE(test, heat(c));
	expect_hot(test, c, 4);
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	KUNIT_EXPECT_EQ(test, info.mode, PCPUREF_MODE_PERCPU);
	KUNIT_EXPECT_EQ(test, info.state, PCPUREF_STATE_LIVE);
	KUNIT_EXPECT_EQ(test, released(c), 0);

	/* It counts everywhere, and stays when it has nothing to do. */
	get_many_on(cpumask_first(cpu_online_mask), &c->ref, 1000);
	put_many_on(cpumask_last(cpu_online_mask), &c->ref, 900);
	msleep(50);
	pcpuref_barrier();
	expect_hot(test, c, 104);

	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	pcpuref_barrier();
	expect_cold(test, c, 103);
	KUNIT_EXPECT_EQ(test, released(c), 0);
	pcpuref_put_many(&c->ref, 102);
	KUNIT_EXPECT_EQ(test, released(c), 0);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

static void by_get(struct pcpuref *ref)
{
	pcpuref_get(ref);
}

static void by_get_many(struct pcpuref *ref)
{
	pcpuref_get_many(ref, 3);
	pcpuref_put_many(ref, 2);
}

static void by_tryget(struct pcpuref *ref)
{
	EXPECT_LATER(pcpuref_tryget(ref));
}

static void by_tryget_live(struct pcpuref *ref)
{
	EXPECT_LATER(pcpuref_tryget_live(ref));
}

static void by_get_unless_zero(struct pcpuref *ref)
{
	EXPECT_LATER(pcpuref_get_unless_zero(ref));
}

struct way {
	const char	*name;
	void		(*get)(struct pcpuref *ref);
};

static const struct way ways[] = {
	{ "get", by_get },
	{ "get_many", by_get_many },
	{ "tryget", by_tryget },
	{ "tryget_live", by_tryget_live },
	{ "get_unless_zero", by_get_unless_zero },
};

static void way_name(const struct way *way, char *name)
{
	strscpy(name, way->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(pcpuref_lazy_way, ways, way_name);

/* Whichever way it is taken. */
static void pcpuref_lazy_test_ways_to_get(struct kunit *test)
{
	const struct way *way = test->param_value;
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY);
	unsigned long end = jiffies + PATIENCE;
	long held = 0;

	while (!in_percpu_mode(c) && time_before(jiffies, end)) {
		way->get(&c->ref);
		held++;
		cond_resched();
	}
	/* Nobody has put any of them. */
	expect_hot(test, c, 1 + held);
	pcpuref_put_many(&c->ref, held);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

struct heater {
	struct counted		*c;
	struct completion	done;
	struct irq_work		irq_work;
	struct timer_list	timer;
	unsigned int		wrong;
};

static void burst_with_preemption_off(struct heater *x)
{
	ask(x->c);
}

static void burst_with_interrupts_off(struct heater *x)
{
	unsigned long flags;

	local_irq_save(flags);
	burst(x->c);
	x->wrong += !irqs_disabled();
	local_irq_restore(flags);
}

static void heater_timer(struct timer_list *timer)
{
	struct heater *x = container_of(timer, struct heater, timer);

	x->wrong += !in_serving_softirq();
	burst(x->c);
	complete(&x->done);
}

static void burst_in_softirq(struct heater *x)
{
	timer_setup(&x->timer, heater_timer, 0);
	mod_timer(&x->timer, jiffies + 1);
	wait_for_completion(&x->done);
	timer_delete_sync(&x->timer);
}

static void heater_irq_work(struct irq_work *work)
{
	struct heater *x = container_of(work, struct heater, irq_work);

	x->wrong += !in_hardirq();
	burst(x->c);
	complete(&x->done);
}

static void burst_in_hardirq(struct heater *x)
{
	x->irq_work = IRQ_WORK_INIT_HARD(heater_irq_work);
	irq_work_queue(&x->irq_work);
	wait_for_completion(&x->done);
	irq_work_sync(&x->irq_work);
}

/* To the code under test this is one. */
static void burst_in_nmi(struct heater *x)
{
	unsigned long flags;

	local_irq_save(flags);
	preempt_count_add(NMI_OFFSET + HARDIRQ_OFFSET);
	x->wrong += !in_nmi();
	burst(x->c);
	preempt_count_sub(NMI_OFFSET + HARDIRQ_OFFSET);
	local_irq_restore(flags);
}

struct place {
	const char	*name;
	void		(*burst)(struct heater *x);
};

static const struct place places[] = {
	{ "preemption off", burst_with_preemption_off },
	{ "interrupts off", burst_with_interrupts_off },
	{ "softirq", burst_in_softirq },
	{ "hardirq", burst_in_hardirq },
	{ "NMI", burst_in_nmi },
};

static void place_name(const struct place *place, char *name)
{
	strscpy(name, place->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(pcpuref_lazy_place, places, place_name);

/* G1: gets of any context count, and none of them allocates itself. */
static void pcpuref_lazy_test_context(struct kunit *test)
{
	const struct place *place = test->param_value;
	struct heater *x = kunit_kzalloc(test, sizeof(*x), GFP_KERNEL);
	int try;

	KUNIT_ASSERT_NOT_NULL(test, x);
	init_completion(&x->done);
	x->c = counted_new(test, PCPUREF_INIT_LAZY);
	/* A host that is busy may stretch a burst too far. */
	for (try = 0; try < 20 && !in_percpu_mode(x->c); try++) {
		place->burst(x);
		pcpuref_barrier();
	}
	KUNIT_EXPECT_EQ(test, x->wrong, 0);
	expect_hot(test, x->c, 1);
	KUNIT_EXPECT_EQ(test, counted_die(x->c), 0);
	KUNIT_EXPECT_EQ(test, released(x->c), 1);
}

/* --- The end of a life ---------------------------------------------------- */

/* Before the counters: as of any reference in atomic mode, at once. */
static void pcpuref_lazy_test_kill_cold(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY);

	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
	expect_cold(test, c, 0);

	c = counted_new(test, PCPUREF_INIT_LAZY);
	pcpuref_get(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
	KUNIT_EXPECT_EQ(test, released(c), 0);
	/* What is dying is not promoted any more, however often it is got. */
	heat_in_vain(c);
	expect_cold(test, c, 1);
	pcpuref_put(&c->ref);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 1);
	expect_cold(test, c, 0);
}

/* While they are on their way: they come in vain, or just in time. */
static void pcpuref_lazy_test_kill_while_asked(struct kunit *test)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		unsigned int work = i & 1 ? PCPUREF_RELEASE_WORK : 0;
		struct counted *c = counted_new(test, PCPUREF_INIT_LAZY | work);
		bool held = i & 2;

		if (held)
			pcpuref_get(&c->ref);
		ask(c);
		udelay(4 * i);
		KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
		KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
		pcpuref_barrier();
		KUNIT_EXPECT_EQ(test, released(c), !held);
		expect_cold(test, c, held);
		if (held)
			pcpuref_put(&c->ref);
		pcpuref_barrier();
		KUNIT_EXPECT_EQ(test, released(c), 1);
		expect_cold(test, c, 0);
		pcpuref_exit(&c->ref);
	}
}

static void pcpuref_lazy_test_kill_hot(struct kunit *test)
{
	struct counted *c = counted_new_hot(test, 0);

	pcpuref_get(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
	KUNIT_EXPECT_EQ(test, released(c), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 0);
	/* Counters that nobody will want are given back before the end. */
	expect_cold(test, c, 1);
	heat_in_vain(c);
	expect_cold(test, c, 1);
	pcpuref_put(&c->ref);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* G2: a grace period also where there is nothing to switch. */
static void pcpuref_lazy_test_confirm_cold(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY);

	preempt_disable();
	EXPECT_LATER(!pcpuref_kill_and_confirm(&c->ref, counted_confirm));
	EXPECT_LATER(!pcpuref_tryget_live(&c->ref));
	mdelay(60);
	EXPECT_LATER(confirmed(c) == 0);
	EXPECT_LATER(released(c) == 0);
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 1);
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_LT(test, c->confirmed_at, c->released_at);
	expect_cold(test, c, 0);
}

static void pcpuref_lazy_test_confirm_while_asked(struct kunit *test)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct counted *c = counted_new(test, PCPUREF_INIT_LAZY);

		ask(c);
		udelay(4 * i);
		KUNIT_EXPECT_EQ(test, pcpuref_kill_and_confirm(&c->ref, counted_confirm), 0);
		pcpuref_barrier();
		KUNIT_EXPECT_EQ(test, confirmed(c), 1);
		KUNIT_EXPECT_EQ(test, released(c), 1);
		KUNIT_EXPECT_LT(test, c->confirmed_at, c->released_at);
		expect_cold(test, c, 0);
		pcpuref_exit(&c->ref);
	}
}

/* The calls that wait return, and once: cold, asked for, and hot. */
static void pcpuref_lazy_test_kill_and_wait(struct kunit *test)
{
	int i;

	for (i = 0; i < 12; i++) {
		struct counted *c = counted_new(test, PCPUREF_INIT_LAZY);

		if (i % 3 == 1)
			ask(c);
		if (i % 3 == 2)
			KUNIT_EXPECT_TRUE(test, heat(c));
		if (i & 1) {
			KUNIT_EXPECT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
			KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
		}
		KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&c->ref), 0);
		KUNIT_EXPECT_EQ(test, released(c), 1);
		KUNIT_EXPECT_EQ(test, atomic_read(&c->returned), 1);
		pcpuref_barrier();
		KUNIT_EXPECT_EQ(test, released(c), 1);
		expect_cold(test, c, 0);
		pcpuref_exit(&c->ref);
	}
}

/* G5: exit takes the reference away from what has been asked for. */
static void pcpuref_lazy_test_exit_while_asked(struct kunit *test)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct counted *c = counted_new(test, PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT);

		if (i & 1)
			ask(c);
		else
			KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
		udelay(2 * i);
		pcpuref_exit(&c->ref);
		/* The same memory is another reference's at once. */
		KUNIT_ASSERT_EQ(test, counted_init(c, PCPUREF_INIT_LAZY), 0);
		pcpuref_barrier();
		expect_cold(test, c, 1);
		KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
		expect_cold(test, c, 2);
		pcpuref_put(&c->ref);
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), 1);
	}
}

static void exit_in_release(struct counted *c)
{
	pcpuref_exit(&c->ref);
}

/* The same where nobody has the memory any more, or somebody else. */
static void pcpuref_lazy_test_exit_and_free(struct kunit *test)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct counted *c = counted_new(test, PCPUREF_INIT_LAZY);

		c->on_release = exit_in_release;
		ask(c);
		if (i & 1)
			pcpuref_kill(&c->ref);
		else
			pcpuref_exit(&c->ref);
		/* A release that came later looks at nothing after its exit. */
		KUNIT_ASSERT_TRUE(test, wait_until(!has_data(c)));
		list_del(&c->node);
		memset(c, 0x6b, sizeof(*c));
		kfree(c);
	}
	pcpuref_barrier();
}

/* --- Further lives -------------------------------------------------------- */

static void pcpuref_lazy_test_reinit(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT);
	int i;

	/* Never hot: each life begins as the first one did. */
	for (i = 1; i <= 3; i++) {
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), i);
		expect_cold(test, c, 0);
		KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
		KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
		expect_cold(test, c, 2);
		pcpuref_put(&c->ref);
	}
	KUNIT_ASSERT_TRUE(test, heat(c));
	/* Hot once: the counters stay, and each life begins with them. */
	for (; i <= 6; i++) {
		expect_hot(test, c, 1);
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), i);
		KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
		KUNIT_EXPECT_EQ(test, percpu_bytes(c), all_percpu_bytes());
		KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	}
	expect_hot(test, c, 1);
}

static void pcpuref_lazy_test_resurrect(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT);
	int i;

	pcpuref_get(&c->ref);
	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
		expect_cold(test, c, 1);
		KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
		KUNIT_EXPECT_FALSE(test, pcpuref_is_dying(&c->ref));
		KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
		expect_cold(test, c, 3);
		pcpuref_put(&c->ref);
	}
	KUNIT_ASSERT_TRUE(test, heat(c));
	for (i = 0; i < 3; i++) {
		expect_hot(test, c, 2);
		KUNIT_EXPECT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
		pcpuref_barrier();
		KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
		KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
	}
	expect_hot(test, c, 2);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

/* A death and a new life in between the request and the counters. */
static void pcpuref_lazy_test_resurrect_while_asked(struct kunit *test)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct counted *c = counted_new(test, PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT);
		bool confirm = i & 1, held = i & 2;

		if (held)
			pcpuref_get(&c->ref);
		ask(c);
		udelay(2 * i);
		pcpuref_kill_and_confirm(&c->ref, confirm ? counted_confirm : NULL);
		if (i & 4)
			cond_resched();
		KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
		pcpuref_barrier();
		/* Counters that came when it was dead may have gone again. */
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1 + held);
		KUNIT_EXPECT_EQ(test, confirmed(c), confirm);
		KUNIT_EXPECT_TRUE(test, heat(c));
		expect_hot(test, c, 1 + held);
		if (held)
			pcpuref_put(&c->ref);
		pcpuref_exit(&c->ref);
	}
}

static void pcpuref_lazy_test_init_dead(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY | PCPUREF_INIT_DEAD);
	int i;

	KUNIT_EXPECT_TRUE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	for (i = 0; i < BURST; i++)
		if (pcpuref_tryget(&c->ref) || pcpuref_tryget_live(&c->ref))
			break;
	KUNIT_EXPECT_EQ(test, i, BURST);
	pcpuref_barrier();
	expect_cold(test, c, 0);

	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	expect_cold(test, c, 1);
	KUNIT_ASSERT_TRUE(test, heat(c));
	expect_hot(test, c, 1);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* --- Requests ------------------------------------------------------------- */

/* INIT_ATOMIC says more than LAZY: it stays until it is told. */
static void pcpuref_lazy_test_init_atomic(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY | PCPUREF_INIT_ATOMIC);

	heat_in_vain(c);
	expect_cold(test, c, 1);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_reinit(&c->ref), 0);
	heat_in_vain(c);
	expect_cold(test, c, 1);

	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
	pcpuref_barrier();
	expect_hot(test, c, 1);
}

/* Asked for, the counters come without proof. */
static void pcpuref_lazy_test_switch_to_percpu(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT);

	pcpuref_get(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
	/* More than once is no different. */
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
	pcpuref_barrier();
	expect_hot(test, c, 2);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);

	/* With interrupts off: nothing of it is done on the spot. */
	c = counted_new(test, PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT);
	local_irq_disable();
	EXPECT_LATER(!pcpuref_switch_to_percpu(&c->ref));
	EXPECT_LATER(irqs_disabled());
	local_irq_enable();
	pcpuref_barrier();
	expect_hot(test, c, 1);
}

/* Where the way back is not allowed it is refused, and the load decides. */
static void pcpuref_lazy_test_switch_not_allowed(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY);

	EXPECT_REPORT(test, "back to per-CPU mode without ALLOW_REINIT");
	KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), -EINVAL);
	pcpuref_barrier();
	expect_cold(test, c, 1);
	KUNIT_EXPECT_TRUE(test, heat(c));
	expect_hot(test, c, 1);
}

static void pcpuref_lazy_test_switch_to_atomic(struct kunit *test)
{
	unsigned int flags;

	for (flags = 0; flags <= PCPUREF_ALLOW_REINIT; flags += PCPUREF_ALLOW_REINIT) {
		/* A hot one, whose counters go unless they can be wanted again. */
		struct counted *c = counted_new_hot(test, flags);

		pcpuref_get(&c->ref);
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
		heat_in_vain(c);
		KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
		KUNIT_EXPECT_EQ(test, percpu_bytes(c), flags ? all_percpu_bytes() : 0);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
		if (flags) {
			KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
			expect_hot(test, c, 2);
		}
		pcpuref_put(&c->ref);
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), 1);

		/* A cold one, which must not get any. */
		c = counted_new(test, PCPUREF_INIT_LAZY | flags);
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic(&c->ref, counted_confirm), 0);
		heat_in_vain(c);
		KUNIT_EXPECT_EQ(test, confirmed(c), 1);
		expect_cold(test, c, 1);
		if (flags) {
			KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
			pcpuref_barrier();
			expect_hot(test, c, 1);
		}
	}
}

static void pcpuref_lazy_test_switch_to_atomic_while_asked(struct kunit *test)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct counted *c = counted_new(test, PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT);

		pcpuref_get(&c->ref);
		if (i & 1)
			ask(c);
		else
			pcpuref_switch_to_percpu(&c->ref);
		udelay(2 * i);
		pcpuref_switch_to_atomic(&c->ref, i & 2 ? counted_confirm : NULL);
		pcpuref_barrier();
		KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
		KUNIT_EXPECT_EQ(test, confirmed(c), !!(i & 2));
		/* The last word is kept, also of two that come together. */
		pcpuref_switch_to_atomic(&c->ref, NULL);
		pcpuref_switch_to_percpu(&c->ref);
		pcpuref_barrier();
		expect_hot(test, c, 2);
		pcpuref_put(&c->ref);
		pcpuref_exit(&c->ref);
	}
}

/* Counters that come when they are not wanted any more are not kept. */
static void pcpuref_lazy_test_asked_in_vain(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT);

	/* The work item is this CPU's: it does not run in between. */
	preempt_disable();
	pcpuref_switch_to_percpu(&c->ref);
	pcpuref_switch_to_atomic(&c->ref, NULL);
	preempt_enable();
	pcpuref_barrier();
	expect_cold(test, c, 1);
	pcpuref_switch_to_percpu(&c->ref);
	pcpuref_barrier();
	expect_hot(test, c, 1);
}

/* While a confirmation is due the mode stays, and what was asked for follows. */
static void pcpuref_lazy_test_promoted_in_grace_period(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT);

	preempt_disable();
	EXPECT_LATER(!pcpuref_kill_and_confirm(&c->ref, counted_confirm));
	EXPECT_LATER(!pcpuref_resurrect(&c->ref));
	burst(c);
	EXPECT_LATER(!pcpuref_switch_to_percpu(&c->ref));
	EXPECT_LATER(confirmed(c) == 0);
	EXPECT_LATER(!in_percpu_mode(c));
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, confirmed(c), 1);
	KUNIT_EXPECT_FALSE(test, pcpuref_is_dying(&c->ref));
	expect_hot(test, c, 1);
}

/* --- Misuse --------------------------------------------------------------- */

/* G6: a count without a meaning is never spread over counters. */
static void pcpuref_lazy_test_put_too_many_cold(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT);
	struct pcpuref_info info;

	EXPECT_REPORT(test, "put without a reference");
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), LONG_MAX);
	KUNIT_ASSERT_TRUE(test, pcpuref_inspect(&c->ref, &info));
	KUNIT_EXPECT_EQ(test, info.state, PCPUREF_STATE_STUCK);
	heat_in_vain(c);
	expect_cold(test, c, LONG_MAX);
	/* Nor when it is asked for by name. */
	pcpuref_switch_to_percpu(&c->ref);
	pcpuref_barrier();
	KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
	heat_in_vain(c);
	KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), LONG_MAX);
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&c->ref), -ENOTRECOVERABLE);
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

/* While the counters are on their way. */
static void pcpuref_lazy_test_put_too_many_while_asked(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_INIT_LAZY);

	preempt_disable();
	burst(c);
	preempt_enable();
	/* By then it may be hot, with several CPUs: then the kill notices. */
	EXPECT_REPORT_OR_FOUND(test, "put without a reference", FOUND_AT_KILL);
	pcpuref_put(&c->ref);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&c->ref), -ENOTRECOVERABLE);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), LONG_MAX);
	KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

static void pcpuref_lazy_test_put_too_many_hot(struct kunit *test)
{
	struct counted *c = counted_new_hot(test, 0);

	/* Nobody can see it until the counters are added up. */
	pcpuref_put_many(&c->ref, 2);
	EXPECT_FOUND(test, "put without a reference", -1, FOUND_AT_KILL);
	KUNIT_EXPECT_EQ(test, pcpuref_kill_and_wait(&c->ref), -ENOTRECOVERABLE);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), LONG_MAX);
	heat_in_vain(c);
	KUNIT_EXPECT_FALSE(test, in_percpu_mode(c));
	KUNIT_EXPECT_EQ(test, percpu_bytes(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

/* --- Threads -------------------------------------------------------------- */

/* Gets and puts as fast as it can; some it keeps, and says how many. */
static void hammer(struct helper *h)
{
	struct pcpuref *ref = &h->c->ref;

	/* With one to begin with, it is always right to get more. */
	pcpuref_get(ref);
	complete(&h->ready);
	while (helper_goes_on(h)) {
		if (h->rounds & 1)
			pcpuref_get(ref);
		else
			h->wrong += !pcpuref_tryget(ref);
		if (h->rounds & 0x1ff)
			pcpuref_put(ref);
		else
			helper_hit(h);
	}
	pcpuref_put(ref);
}

static long hammers_stop(struct kunit *test, struct helper **h, int n)
{
	long held = 0;
	int i;

	for (i = 0; i < n; i++)
		WRITE_ONCE(h[i]->stop, true);
	for (i = 0; i < n; i++) {
		KUNIT_EXPECT_TRUE(test, helper_wait(h[i]));
		KUNIT_EXPECT_EQ(test, h[i]->wrong, 0);
		held += h[i]->hits;
	}
	helpers_reap();
	return held;
}

/* What is counted while the counters come is counted once. */
static void pcpuref_lazy_test_storm(struct kunit *test)
{
	int i, round, n = nr_storm_helpers();
	struct helper *h[4];
	long held;

	for (round = 0; round < 10; round++) {
		struct counted *c = counted_new(test, PCPUREF_INIT_LAZY);

		for (i = 0; i < n; i++)
			h[i] = helper_start(test, hammer, c, NULL);
		KUNIT_EXPECT_TRUE(test, wait_until(in_percpu_mode(c)));
		schedule_timeout_uninterruptible(1);
		held = hammers_stop(test, h, n);
		expect_hot(test, c, 1 + held);
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
		expect_cold(test, c, 1 + held);
		KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
		pcpuref_put_many(&c->ref, held);
		KUNIT_EXPECT_EQ(test, released(c), 1);
		pcpuref_exit(&c->ref);
	}
}

/* The same with lives that end and go on meanwhile. */
static void pcpuref_lazy_test_storm_resurrect(struct kunit *test)
{
	int i, round, n = nr_storm_helpers();
	struct helper *h[4];
	long held;

	for (round = 0; round < 10; round++) {
		struct counted *c = counted_new(test, PCPUREF_INIT_LAZY | PCPUREF_ALLOW_REINIT);
		unsigned long end = jiffies + STORM / 5;

		for (i = 0; i < n; i++)
			h[i] = helper_start(test, hammer, c, NULL);
		for (i = 0; i < n; i++)
			wait_for_completion_timeout(&h[i]->ready, PATIENCE);
		do {
			KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
			cond_resched();
			KUNIT_EXPECT_EQ(test, pcpuref_resurrect(&c->ref), 0);
			if (round & 1)
				pcpuref_switch_to_percpu(&c->ref);
			udelay(20 * round);
			cond_resched();
		} while (time_before(jiffies, end));
		held = hammers_stop(test, h, n);
		KUNIT_EXPECT_EQ(test, released(c), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1 + held);
		pcpuref_put_many(&c->ref, held);
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), 1);
		pcpuref_exit(&c->ref);
	}
}

static void use_while_live(struct helper *h)
{
	struct counted *c = h->c;

	complete(&h->ready);
	while (pcpuref_tryget_live(&c->ref)) {
		helper_hit(h);
		h->wrong += released(c);
		pcpuref_put(&c->ref);
		if (!helper_goes_on(h))
			break;
	}
}

/* G3: one release, whether the counters have come by then or not. */
static void pcpuref_lazy_test_storm_kill(struct kunit *test)
{
	unsigned long end = jiffies + 2 * STORM, hits = 0;
	int i, round = 0, n = nr_storm_helpers();
	struct helper *h[4];

	do {
		struct counted *c = counted_new(test, PCPUREF_INIT_LAZY);

		for (i = 0; i < n; i++)
			h[i] = helper_start(test, use_while_live, c, NULL);
		for (i = 0; i < n; i++)
			wait_for_completion_timeout(&h[i]->ready, PATIENCE);
		if (round % 3 == 1)
			udelay(100 * (round % 8));
		if (round % 3 == 2)
			KUNIT_EXPECT_TRUE(test, wait_until(in_percpu_mode(c)));
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), 1);
		for (i = 0; i < n; i++) {
			KUNIT_EXPECT_TRUE(test, helper_wait(h[i]));
			KUNIT_EXPECT_EQ(test, h[i]->wrong, 0);
			hits += h[i]->hits;
		}
		helpers_reap();
		pcpuref_barrier();
		KUNIT_EXPECT_EQ(test, released(c), 1);
		expect_cold(test, c, 0);
		pcpuref_exit(&c->ref);
	} while (++round < 6 || storm_goes_on(end, hits));
	KUNIT_EXPECT_GT(test, hits, 0);
}

static struct kunit_case pcpuref_lazy_cases[] = {
	KUNIT_CASE(pcpuref_lazy_test_starts_atomic),
	KUNIT_CASE(pcpuref_lazy_test_slow_gets),
	KUNIT_CASE(pcpuref_lazy_test_puts_do_not_count),
	KUNIT_CASE(pcpuref_lazy_test_promotes),
	KUNIT_CASE_PARAM(pcpuref_lazy_test_ways_to_get, pcpuref_lazy_way_gen_params),
	KUNIT_CASE_PARAM(pcpuref_lazy_test_context, pcpuref_lazy_place_gen_params),
	KUNIT_CASE(pcpuref_lazy_test_kill_cold),
	KUNIT_CASE(pcpuref_lazy_test_kill_while_asked),
	KUNIT_CASE(pcpuref_lazy_test_kill_hot),
	KUNIT_CASE(pcpuref_lazy_test_confirm_cold),
	KUNIT_CASE(pcpuref_lazy_test_confirm_while_asked),
	KUNIT_CASE(pcpuref_lazy_test_kill_and_wait),
	KUNIT_CASE(pcpuref_lazy_test_exit_while_asked),
	KUNIT_CASE(pcpuref_lazy_test_exit_and_free),
	KUNIT_CASE(pcpuref_lazy_test_reinit),
	KUNIT_CASE(pcpuref_lazy_test_resurrect),
	KUNIT_CASE(pcpuref_lazy_test_resurrect_while_asked),
	KUNIT_CASE(pcpuref_lazy_test_init_dead),
	KUNIT_CASE(pcpuref_lazy_test_init_atomic),
	KUNIT_CASE(pcpuref_lazy_test_switch_to_percpu),
	KUNIT_CASE(pcpuref_lazy_test_switch_not_allowed),
	KUNIT_CASE(pcpuref_lazy_test_switch_to_atomic),
	KUNIT_CASE(pcpuref_lazy_test_switch_to_atomic_while_asked),
	KUNIT_CASE(pcpuref_lazy_test_asked_in_vain),
	KUNIT_CASE(pcpuref_lazy_test_promoted_in_grace_period),
	KUNIT_CASE(pcpuref_lazy_test_put_too_many_cold),
	KUNIT_CASE(pcpuref_lazy_test_put_too_many_while_asked),
	KUNIT_CASE(pcpuref_lazy_test_put_too_many_hot),
	KUNIT_CASE(pcpuref_lazy_test_storm),
	KUNIT_CASE(pcpuref_lazy_test_storm_resurrect),
	KUNIT_CASE(pcpuref_lazy_test_storm_kill),
	PCPUREF_LAST_CASE,
	{}
};

static struct kunit_suite pcpuref_lazy_suite = {
	PCPUREF_SUITE("pcpuref_lazy", pcpuref_lazy_cases),
};

kunit_test_suite(pcpuref_lazy_suite);

MODULE_DESCRIPTION("KUnit tests of pcpuref: PCPUREF_INIT_LAZY");
MODULE_LICENSE("GPL");
