// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite pcpuref_life: from init to exit, gets and puts, the contexts that
 * they may come from, what the count reads, and how init fails.
 */
#include <linux/bottom_half.h>
#include <linux/irq_work.h>
#include <linux/mm.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

#include "pcpuref_kunit.h"

/* --- Init and exit -------------------------------------------------------- */

static void pcpuref_life_test_layout(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	/* The fast path's word comes first, and is a per-CPU address as it is. */
	KUNIT_EXPECT_EQ(test, offsetof(struct pcpuref, word), 0);
	KUNIT_EXPECT_LE(test, sizeof(struct pcpuref), 32);
	KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
	preempt_disable();
	pcpuref_get_many(&c->ref, 5);
	EXPECT_LATER(*this_cpu_ptr((unsigned long __percpu *)c->ref.word) == 5);
	pcpuref_put_many(&c->ref, 5);
	preempt_enable();
}

static void pcpuref_life_test_init(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	KUNIT_EXPECT_FALSE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_TRUE(test, in_percpu_mode(c));
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

static void pcpuref_life_test_whole_life(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_TRUE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 0);

	pcpuref_exit(&c->ref);
	KUNIT_EXPECT_FALSE(test, has_data(c));
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_TRUE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 0);
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* A live reference that nobody holds may be given up without a kill. */
static void pcpuref_life_test_exit_live(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	pcpuref_exit(&c->ref);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 0);
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
	/* It has not come to zero. */
	KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
}

/* F8: mainline once freed what a reference without init pointed to. */
static void pcpuref_life_test_exit_zeroed(struct kunit *test)
{
	struct counted *c = counted_alloc(test);

	pcpuref_exit(&c->ref);
	pcpuref_exit(&c->ref);
	KUNIT_EXPECT_FALSE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&suite.notices), 0);

	/* It is none the worse for it. */
	KUNIT_ASSERT_EQ(test, counted_init(c, 0), 0);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/*
 * F5: nothing may depend on what was in the memory before, also not whether a
 * confirm callback is called.
 */
static void pcpuref_life_test_init_nonzeroed(struct kunit *test)
{
	static const u8 patterns[] = { 0xff, 0xa5, 0x5a, 0x01, 0x80 };
	struct counted *c = counted_alloc(test);
	int i;

	for (i = 0; i < ARRAY_SIZE(patterns); i++) {
		memset(&c->ref, patterns[i], sizeof(c->ref));
		KUNIT_ASSERT_EQ(test, counted_init(c, PCPUREF_ALLOW_REINIT), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
		KUNIT_EXPECT_FALSE(test, pcpuref_is_dying(&c->ref));
		KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_atomic(&c->ref, NULL), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_switch_to_percpu(&c->ref), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
		pcpuref_barrier();
		KUNIT_EXPECT_EQ(test, released(c), i + 1);
		KUNIT_EXPECT_EQ(test, confirmed(c), 0);
		pcpuref_exit(&c->ref);
	}
}

static void pcpuref_life_test_init_again(struct kunit *test)
{
	struct counted *c = counted_alloc(test);
	int i;

	for (i = 0; i < 5; i++) {
		KUNIT_ASSERT_EQ(test, counted_init(c, 0), 0);
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
		KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
		pcpuref_put(&c->ref);
		KUNIT_EXPECT_EQ(test, counted_die(c), 0);
		KUNIT_EXPECT_EQ(test, released(c), i + 1);
		pcpuref_exit(&c->ref);
	}
}

/*
 * G17: a put that comes late, through a copy of a reference that has exited, does
 * not reach what is initialised next, as long as a grace period may be needed.
 */
static void pcpuref_life_test_late_puts_G17(struct kunit *test)
{
	struct counted *late[16], *next[16];
	struct pcpuref copy[16];
	int i, err = 0;

	for (i = 0; i < ARRAY_SIZE(late); i++) {
		late[i] = counted_new(test, 0);
		next[i] = counted_alloc(test);
		copy[i] = late[i]->ref;
	}
	preempt_disable();
	for (i = 0; i < ARRAY_SIZE(late); i++)
		pcpuref_exit(&late[i]->ref);
	for (i = 0; i < ARRAY_SIZE(next); i++)
		err = err ?: pcpuref_init_named(&next[i]->ref, counted_release, 0,
						GFP_ATOMIC, "counted");
	for (i = 0; i < ARRAY_SIZE(copy); i++)
		pcpuref_put(&copy[i]);
	preempt_enable();
	KUNIT_ASSERT_EQ(test, err, 0);
	for (i = 0; i < ARRAY_SIZE(next); i++) {
		KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&next[i]->ref));
		KUNIT_EXPECT_EQ(test, pcpuref_kill(&next[i]->ref), 0);
	}
	pcpuref_barrier();
	for (i = 0; i < ARRAY_SIZE(next); i++) {
		KUNIT_EXPECT_EQ(test, pcpuref_read(&next[i]->ref), 1);
		KUNIT_EXPECT_EQ(test, released(next[i]), 0);
		pcpuref_put(&next[i]->ref);
		KUNIT_EXPECT_EQ(test, released(next[i]), 1);
	}
}

static void pcpuref_life_test_cancel_init(struct kunit *test)
{
	static const unsigned int flags[] = {
		0, PCPUREF_ALLOW_REINIT, PCPUREF_INIT_ATOMIC, PCPUREF_INIT_DEAD,
		PCPUREF_RELEASE_WORK, PCPUREF_INIT_ATOMIC | PCPUREF_INIT_DEAD,
	};
	struct counted *c = counted_alloc(test);
	int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		KUNIT_ASSERT_EQ(test, counted_init(c, flags[i]), 0);
		pcpuref_cancel_init(&c->ref);
		KUNIT_EXPECT_FALSE(test, has_data(c));
		KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
		KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
		KUNIT_EXPECT_TRUE(test, pcpuref_is_dying(&c->ref));
	}
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

/* --- Init that fails ------------------------------------------------------ */

static void expect_safe_to_exit(struct kunit *test, struct counted *c)
{
	KUNIT_EXPECT_FALSE(test, has_data(c));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
	KUNIT_EXPECT_TRUE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 0);
	pcpuref_exit(&c->ref);
	pcpuref_exit(&c->ref);
	/* There was nothing to exit, so it is not a second exit either. */
	KUNIT_EXPECT_EQ(test, atomic_read(&suite.notices), 0);
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

static void pcpuref_life_test_init_without_release(struct kunit *test)
{
	struct counted *c = counted_alloc(test);

	memset(&c->ref, 0xff, sizeof(c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_init(&c->ref, NULL, 0, GFP_KERNEL), -EINVAL);
	expect_safe_to_exit(test, c);
}

static void pcpuref_life_test_init_unknown_flags(struct kunit *test)
{
	struct counted *c = counted_alloc(test);
	int bit;

	for (bit = 7; bit < 32; bit++) {
		memset(&c->ref, 0xff, sizeof(c->ref));
		KUNIT_EXPECT_EQ(test, counted_init(c, BIT(bit)), -EINVAL);
		KUNIT_EXPECT_EQ(test, counted_init(c, BIT(bit) | PCPUREF_ALLOW_REINIT), -EINVAL);
		expect_safe_to_exit(test, c);
	}
}

/* A client that was compiled with the header of another pcpuref, whatever it asks for. */
static void pcpuref_life_test_init_other_interface(struct kunit *test)
{
	struct counted *c = counted_alloc(test);
	struct pcpuref_site *site = __pcpuref_site("other");

	memset(&c->ref, 0xff, sizeof(c->ref));
	site->interface = __PCPUREF_INTERFACE + 1;
	KUNIT_EXPECT_EQ(test, __pcpuref_init(&c->ref, counted_release, 0, GFP_KERNEL, NULL, site),
			-ENOEXEC);
	expect_safe_to_exit(test, c);
	site->interface = 0;
	KUNIT_EXPECT_EQ(test, __pcpuref_init(&c->ref, counted_release, 0, GFP_KERNEL, NULL, site),
			-ENOEXEC);
	expect_safe_to_exit(test, c);
}

/* Fails as soon as there is no memory left at hand, and says nothing. */
#define GFP_AT_HAND	__GFP_NOWARN

/* Machines whose memory takes longer to use up have other tasks to disturb. */
#define SMALL_MACHINE	(2UL << (30 - PAGE_SHIFT))

#define LARGEST_ORDER	9

struct hog {
	struct hog	*next;
	unsigned int	order;
	bool		slab;
};

/*
 * Take all memory that can be had without reclaim, down to the reserves that
 * interrupts use, then the free objects of the slabs that init's may come from.
 * The caller keeps other tasks off this CPU and gives it back at once.
 */
static struct hog *hog_memory(void)
{
	struct hog *all = NULL, *hog;
	size_t size;
	int order;

	for (order = LARGEST_ORDER; order >= 0; order--) {
		struct page *page;

		while ((page = alloc_pages(GFP_AT_HAND, order))) {
			hog = page_address(page);
			hog->order = order;
			hog->slab = false;
			hog->next = all;
			all = hog;
		}
	}
	for (size = 64; size <= 2048; size *= 2) {
		while ((hog = kmalloc(size, GFP_AT_HAND)) ||
		       (hog = kmalloc(size / 4 * 3, GFP_AT_HAND))) {
			hog->slab = true;
			hog->next = all;
			all = hog;
		}
	}
	return all;
}

static void free_hogged(struct hog *all)
{
	while (all) {
		struct hog *hog = all;

		all = hog->next;
		if (hog->slab)
			kfree(hog);
		else
			free_pages((unsigned long)hog, hog->order);
	}
}

/*
 * What another task of this CPU would give back, init could get. With PREEMPT_RT the locks of
 * the allocators sleep: preemption has to stay enabled.
 */
static void keep_others_off(void)
{
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		sched_set_fifo(current);
	else
		preempt_disable();
}

static void let_others_run(void)
{
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		sched_set_normal(current, 0);
	else
		preempt_enable();
}

/* The first allocation, of the data, fails. */
static void pcpuref_life_test_init_no_memory(struct kunit *test)
{
	struct counted *c = counted_alloc(test);
	int err = 0, try;

	if (totalram_pages() > SMALL_MACHINE)
		kunit_skip(test, "too much memory to use up");

	memset(&c->ref, 0xff, sizeof(c->ref));
	/* Another CPU may give some back at the wrong moment. */
	for (try = 0; try < 20 && err != -ENOMEM; try++) {
		struct hog *hogged;

		keep_others_off();
		hogged = hog_memory();
		err = pcpuref_init_named(&c->ref, counted_release, 0, GFP_AT_HAND, "counted");
		free_hogged(hogged);
		let_others_run();
		if (!err)
			pcpuref_cancel_init(&c->ref);
	}
	KUNIT_ASSERT_EQ(test, err, -ENOMEM);
	expect_safe_to_exit(test, c);

	KUNIT_EXPECT_EQ(test, counted_init(c, 0), 0);
}

#define MOST_PERCPU	16384

/*
 * The second allocation, of the counters, fails: F9, where mainline's exit then
 * freed twice.
 */
static void pcpuref_life_test_init_no_percpu_memory(struct kunit *test)
{
	struct counted *c = counted_alloc(test);
	int err = 0, try;
	void __percpu **hogged;

	hogged = kunit_kcalloc(test, MOST_PERCPU, sizeof(*hogged), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, hogged);
	memset(&c->ref, 0xff, sizeof(c->ref));
	/* Another CPU may populate more of it at the wrong moment. */
	for (try = 0; try < 20 && err != -ENOMEM; try++) {
		size_t size;
		int n = 0;

		keep_others_off();
		for (size = 4096; size >= 8; size /= 2) {
			while (n < MOST_PERCPU) {
				/* Not GFP_KERNEL, so none is made. */
				hogged[n] = __alloc_percpu_gfp(size, 8, GFP_AT_HAND);
				if (!hogged[n])
					break;
				n++;
			}
		}
		err = pcpuref_init_named(&c->ref, counted_release, 0, GFP_AT_HAND, "counted");
		let_others_run();
		while (n)
			free_percpu(hogged[--n]);
		if (!err)
			pcpuref_cancel_init(&c->ref);
	}
	KUNIT_ASSERT_EQ(test, err, -ENOMEM);
	expect_safe_to_exit(test, c);

	KUNIT_EXPECT_EQ(test, counted_init(c, 0), 0);
}

/* --- Gets and puts -------------------------------------------------------- */

static void pcpuref_life_test_get_put(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	pcpuref_get(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
	pcpuref_get(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 3);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 0);
}

static void pcpuref_life_test_many(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	pcpuref_get_many(&c->ref, 1000);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1001);
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_many(&c->ref, 100));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1101);
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live_many(&c->ref, 10));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1111);
	pcpuref_put_many(&c->ref, 1000);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 111);

	KUNIT_ASSERT_EQ(test, pcpuref_switch_to_atomic_sync(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 111);
	pcpuref_get_many(&c->ref, 1000);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1111);
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_many(&c->ref, 100));
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live_many(&c->ref, 10));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1221);
	pcpuref_put_many(&c->ref, 1000);

	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 220);
	pcpuref_put_many(&c->ref, 219);
	KUNIT_EXPECT_EQ(test, released(c), 0);
	pcpuref_put_many(&c->ref, 1);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* All that take a reference, on a reference that is live, held, dead, gone. */
static void pcpuref_life_test_tryget(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	KUNIT_EXPECT_TRUE(test, pcpuref_tryget(&c->ref));
	KUNIT_EXPECT_TRUE(test, pcpuref_get_unless_zero(&c->ref));
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
	rcu_read_lock();
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live_rcu(&c->ref));
	rcu_read_unlock();
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 5);
	pcpuref_put_many(&c->ref, 3);

	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget(&c->ref));
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_many(&c->ref, 2));
	KUNIT_EXPECT_TRUE(test, pcpuref_get_unless_zero(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live_many(&c->ref, 2));
	rcu_read_lock();
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live_rcu(&c->ref));
	rcu_read_unlock();
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 5);
	pcpuref_put_many(&c->ref, 5);
	KUNIT_EXPECT_EQ(test, released(c), 1);

	KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_many(&c->ref, 2));
	KUNIT_EXPECT_FALSE(test, pcpuref_get_unless_zero(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 0);

	pcpuref_exit(&c->ref);
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_many(&c->ref, 2));
	KUNIT_EXPECT_FALSE(test, pcpuref_get_unless_zero(&c->ref));
	KUNIT_EXPECT_FALSE(test, pcpuref_tryget_live(&c->ref));
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* The put that drops the last reference calls release, before it returns. */
static void pcpuref_life_test_release_by_put(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	pcpuref_get(&c->ref);
	pcpuref_get(&c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 0);
	KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, released(c), 0);
	KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_PTR_EQ(test, c->in_release.thread, current);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* Puts while the switch is in flight count, and none of them releases. */
static void pcpuref_life_test_put_during_switch(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	pcpuref_get_many(&c->ref, 3);
	preempt_disable();
	EXPECT_LATER(!pcpuref_kill(&c->ref));
	pcpuref_put(&c->ref);
	pcpuref_get(&c->ref);
	EXPECT_LATER(pcpuref_tryget(&c->ref));
	pcpuref_put_many(&c->ref, 4);
	/* Nobody holds it any more, but the machine does. */
	EXPECT_LATER(released(c) == 0);
	EXPECT_LATER(!pcpuref_is_zero(&c->ref));
	preempt_enable();
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* What is got on one CPU may be put on another one. */
static void pcpuref_life_test_read_across_cpus(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);
	int cpu, last = cpumask_last(cpu_online_mask);
	long count = 1;

	for_each_online_cpu(cpu) {
		get_many_on(cpu, &c->ref, cpu + 2);
		count += cpu + 2;
		KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), count);
	}
	put_many_on(last, &c->ref, count - 3);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 3);
	put_many_on(cpumask_first(cpu_online_mask), &c->ref, 1);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);

	KUNIT_EXPECT_EQ(test, pcpuref_kill(&c->ref), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* --- Contexts (G1) -------------------------------------------------------- */

/* One of each, in both modes; @killed has all but the last reference gone. */
struct in_context {
	struct counted		*percpu;
	struct counted		*atomic;
	struct counted		*killed;
	struct completion	done;
	struct irq_work		irq_work;
	struct timer_list	timer;
	/* Held around the use, for its own sake. */
	raw_spinlock_t		raw_lock;
	spinlock_t		lock;	/* likewise */
	unsigned int		wrong;
};

static void use_in_context(struct in_context *x)
{
	struct counted *both[] = { x->percpu, x->atomic };
	int i;

	for (i = 0; i < ARRAY_SIZE(both); i++) {
		struct pcpuref *ref = &both[i]->ref;

		pcpuref_get(ref);
		x->wrong += !pcpuref_tryget(ref);
		x->wrong += !pcpuref_tryget_live(ref);
		pcpuref_get_many(ref, 3);
		x->wrong += pcpuref_is_dying(ref);
		x->wrong += pcpuref_is_zero(ref);
		pcpuref_put_many(ref, 3);
		pcpuref_put(ref);
		pcpuref_put(ref);
		/* One stays, to be seen by the test. */
	}
	x->wrong += pcpuref_tryget_live(&x->killed->ref);
	x->wrong += !pcpuref_tryget(&x->killed->ref);
	pcpuref_put(&x->killed->ref);
	/* The last one. */
	pcpuref_put(&x->killed->ref);
}

static void in_task_context(struct in_context *x)
{
	use_in_context(x);
}

static void with_preemption_off(struct in_context *x)
{
	preempt_disable();
	use_in_context(x);
	preempt_enable();
}

static void with_softirqs_off(struct in_context *x)
{
	local_bh_disable();
	use_in_context(x);
	local_bh_enable();
}

static void with_interrupts_off(struct in_context *x)
{
	unsigned long flags;

	local_irq_save(flags);
	use_in_context(x);
	x->wrong += !irqs_disabled();
	local_irq_restore(flags);
}

static void under_spinlock(struct in_context *x)
{
	spin_lock_init(&x->lock);
	spin_lock(&x->lock);
	use_in_context(x);
	spin_unlock(&x->lock);
}

/* U4: must not take a lock that sleeps on PREEMPT_RT. */
static void under_raw_spinlock(struct in_context *x)
{
	unsigned long flags;

	raw_spin_lock_init(&x->raw_lock);
	raw_spin_lock_irqsave(&x->raw_lock, flags);
	use_in_context(x);
	raw_spin_unlock_irqrestore(&x->raw_lock, flags);
}

static void in_rcu_reader(struct in_context *x)
{
	rcu_read_lock();
	use_in_context(x);
	rcu_read_unlock();
}

static void context_timer(struct timer_list *timer)
{
	struct in_context *x = container_of(timer, struct in_context, timer);

	x->wrong += !in_serving_softirq();
	use_in_context(x);
	complete(&x->done);
}

static void in_softirq_context(struct in_context *x)
{
	timer_setup(&x->timer, context_timer, 0);
	mod_timer(&x->timer, jiffies + 1);
	wait_for_completion(&x->done);
	timer_delete_sync(&x->timer);
}

static void context_irq_work(struct irq_work *work)
{
	struct in_context *x = container_of(work, struct in_context, irq_work);

	x->wrong += !in_hardirq();
	use_in_context(x);
	complete(&x->done);
}

static void in_hardirq_context(struct in_context *x)
{
	x->irq_work = IRQ_WORK_INIT_HARD(context_irq_work);
	irq_work_queue(&x->irq_work);
	wait_for_completion(&x->done);
	irq_work_sync(&x->irq_work);
}

/* UML has no NMI; to the code under test this is one. */
static unsigned long fake_nmi_enter(void)
{
	unsigned long flags;

	local_irq_save(flags);
	preempt_count_add(NMI_OFFSET + HARDIRQ_OFFSET);
	return flags;
}

static void fake_nmi_exit(unsigned long flags)
{
	preempt_count_sub(NMI_OFFSET + HARDIRQ_OFFSET);
	local_irq_restore(flags);
}

static void in_nmi_context(struct in_context *x)
{
	unsigned long flags = fake_nmi_enter();

	x->wrong += !in_nmi();
	use_in_context(x);
	/* A last put in NMI leaves the release to a hard interrupt. */
	x->wrong += released(x->killed);
	fake_nmi_exit(flags);
	wait_for_completion_timeout(&x->killed->release_done, PATIENCE);
}

struct context {
	const char	*name;
	void		(*run)(struct in_context *x);
};

static const struct context contexts[] = {
	{ "task", in_task_context },
	{ "preemption off", with_preemption_off },
	{ "softirqs off", with_softirqs_off },
	{ "interrupts off", with_interrupts_off },
	{ "spinlock", under_spinlock },
	{ "raw spinlock", under_raw_spinlock },
	{ "RCU reader", in_rcu_reader },
	{ "softirq", in_softirq_context },
	{ "hardirq", in_hardirq_context },
	{ "NMI", in_nmi_context },
};

static void context_name(const struct context *context, char *name)
{
	strscpy(name, context->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(pcpuref_life_context, contexts, context_name);

/* G1 */
static void pcpuref_life_test_context(struct kunit *test)
{
	const struct context *context = test->param_value;
	struct in_context *x = kunit_kzalloc(test, sizeof(*x), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, x);
	init_completion(&x->done);
	x->percpu = counted_new(test, 0);
	x->atomic = counted_new(test, PCPUREF_INIT_ATOMIC);
	x->killed = counted_new(test, 0);
	pcpuref_get(&x->killed->ref);
	KUNIT_ASSERT_EQ(test, pcpuref_kill_sync(&x->killed->ref), 0);
	KUNIT_ASSERT_EQ(test, pcpuref_read(&x->killed->ref), 1);

	context->run(x);

	KUNIT_EXPECT_EQ(test, x->wrong, 0);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&x->percpu->ref), 2);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&x->atomic->ref), 2);
	KUNIT_EXPECT_EQ(test, released(x->killed), 1);
	KUNIT_EXPECT_FALSE(test, x->killed->in_release.nmi);
	pcpuref_put(&x->percpu->ref);
	pcpuref_put(&x->atomic->ref);
	KUNIT_EXPECT_EQ(test, counted_die(x->percpu), 0);
	KUNIT_EXPECT_EQ(test, counted_die(x->atomic), 0);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(x->percpu), 1);
	KUNIT_EXPECT_EQ(test, released(x->atomic), 1);
	KUNIT_EXPECT_EQ(test, released(x->killed), 1);
}

/*
 * G1: many last puts in one NMI, of references that are all on their way to the
 * same interrupt; and a waiter that only that interrupt can wake.
 */
static void pcpuref_life_test_nmi_releases(struct kunit *test)
{
	struct counted *c[20];
	unsigned long flags;
	int i;

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		c[i] = counted_new(test, i & 1 ? PCPUREF_RELEASE_WORK : 0);
		pcpuref_get(&c[i]->ref);
		KUNIT_ASSERT_EQ(test, pcpuref_kill_sync(&c[i]->ref), 0);
	}
	flags = fake_nmi_enter();
	for (i = 0; i < ARRAY_SIZE(c); i++)
		pcpuref_put(&c[i]->ref);
	fake_nmi_exit(flags);
	for (i = 0; i < ARRAY_SIZE(c); i++) {
		KUNIT_EXPECT_EQ(test, counted_die(c[i]), 0);
		KUNIT_EXPECT_EQ(test, released(c[i]), 1);
		KUNIT_EXPECT_FALSE(test, c[i]->in_release.nmi);
		KUNIT_EXPECT_EQ(test, c[i]->in_release.task,
				(i & 1) || IS_ENABLED(CONFIG_PREEMPT_RT));
	}
	pcpuref_barrier();
	for (i = 0; i < ARRAY_SIZE(c); i++)
		KUNIT_EXPECT_EQ(test, released(c[i]), 1);
}

/* A reference that comes back before the interrupt: its old life is released. */
static void pcpuref_life_test_nmi_release_resurrect(struct kunit *test)
{
	struct counted *c = counted_new(test, PCPUREF_ALLOW_REINIT);
	unsigned long flags, irqs_off;

	pcpuref_get(&c->ref);
	KUNIT_ASSERT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
	local_irq_save(irqs_off);
	flags = fake_nmi_enter();
	pcpuref_put(&c->ref);
	fake_nmi_exit(flags);
	EXPECT_LATER(released(c) == 0);
	EXPECT_LATER(!pcpuref_resurrect(&c->ref));
	EXPECT_LATER(released(c) == 1);
	local_irq_restore(irqs_off);
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);
	KUNIT_EXPECT_FALSE(test, pcpuref_is_zero(&c->ref));
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 2);
}

struct interrupter {
	struct counted		*c;
	struct timer_list	timer;
	struct irq_work		irq_work;
	/* Of an interrupt that may come into the softirq. */
	atomic_long_t		taken;
	bool			stop;
};

static void interrupt_get(struct irq_work *work)
{
	struct interrupter *x = container_of(work, struct interrupter, irq_work);

	pcpuref_get(&x->c->ref);
	atomic_long_inc(&x->taken);
}

static void softirq_get(struct timer_list *timer)
{
	struct interrupter *x = container_of(timer, struct interrupter, timer);

	pcpuref_get(&x->c->ref);
	atomic_long_inc(&x->taken);
	if (!READ_ONCE(x->stop))
		mod_timer(&x->timer, jiffies + 1);
}

/*
 * F1: interrupts and softirqs on this CPU add to the counter that the task is
 * adding to; an add that is no single step for them loses one.
 */
static void pcpuref_life_test_irq_safe_add(struct kunit *test)
{
	struct interrupter *x = kunit_kzalloc(test, sizeof(*x), GFP_KERNEL);
	unsigned long end;
	unsigned long taken = 0;

	KUNIT_ASSERT_NOT_NULL(test, x);
	x->c = counted_new(test, 0);
	x->irq_work = IRQ_WORK_INIT_HARD(interrupt_get);
	timer_setup(&x->timer, softirq_get, TIMER_PINNED);
	set_cpus_allowed_ptr(current, cpumask_of(raw_smp_processor_id()));
	mod_timer(&x->timer, jiffies + 1);
	for (end = jiffies + STORM; storm_goes_on(end, atomic_long_read(&x->taken) > 2); taken++) {
		if (!(taken & 0xfff))
			irq_work_queue(&x->irq_work);
		pcpuref_get(&x->c->ref);
	}
	irq_work_sync(&x->irq_work);
	WRITE_ONCE(x->stop, true);
	timer_delete_sync(&x->timer);
	set_cpus_allowed_ptr(current, cpu_possible_mask);

	KUNIT_EXPECT_GT(test, atomic_long_read(&x->taken), 2);
	taken += atomic_long_read(&x->taken);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&x->c->ref), 1 + taken);
	pcpuref_put_many(&x->c->ref, taken);
	KUNIT_EXPECT_EQ(test, counted_die(x->c), 0);
	KUNIT_EXPECT_EQ(test, released(x->c), 1);
}

/* --- Scopes --------------------------------------------------------------- */

#ifdef DEFINE_CLASS
static long read_in_scope(struct counted *c)
{
	CLASS(pcpuref, held)(&c->ref);

	return held == &c->ref ? pcpuref_read(held) : -1;
}

static long read_if_gotten(struct counted *c)
{
	CLASS(pcpuref_tryget, held)(&c->ref);

	return held ? pcpuref_read(held) : -1;
}

static long read_if_live(struct counted *c)
{
	CLASS(pcpuref_tryget_live, held)(&c->ref);

	return held ? pcpuref_read(held) : -1;
}

static struct pcpuref *take_over(struct counted *c, bool keep)
{
	struct pcpuref *held __free(pcpuref_put) = &c->ref;

	return keep ? no_free_ptr(held) : NULL;
}

static void pcpuref_life_test_scopes(struct kunit *test)
{
	struct counted *c = counted_new(test, 0);

	KUNIT_EXPECT_EQ(test, read_in_scope(c), 2);
	KUNIT_EXPECT_EQ(test, read_if_gotten(c), 2);
	KUNIT_EXPECT_EQ(test, read_if_live(c), 2);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);

	pcpuref_get(&c->ref);
	KUNIT_EXPECT_PTR_EQ(test, take_over(c, true), &c->ref);
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 2);
	KUNIT_EXPECT_NULL(test, take_over(c, false));
	KUNIT_EXPECT_EQ(test, pcpuref_read(&c->ref), 1);

	pcpuref_get(&c->ref);
	KUNIT_ASSERT_EQ(test, pcpuref_kill_sync(&c->ref), 0);
	KUNIT_EXPECT_EQ(test, read_in_scope(c), 2);
	KUNIT_EXPECT_EQ(test, read_if_gotten(c), 2);
	KUNIT_EXPECT_EQ(test, read_if_live(c), -1);
	KUNIT_EXPECT_EQ(test, released(c), 0);
	KUNIT_EXPECT_NULL(test, take_over(c, false));
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_EQ(test, read_if_gotten(c), -1);
	KUNIT_EXPECT_EQ(test, read_if_live(c), -1);
}
#endif

static struct kunit_case pcpuref_life_cases[] = {
	KUNIT_CASE(pcpuref_life_test_layout),
	KUNIT_CASE(pcpuref_life_test_init),
	KUNIT_CASE(pcpuref_life_test_whole_life),
	KUNIT_CASE(pcpuref_life_test_exit_live),
	KUNIT_CASE(pcpuref_life_test_exit_zeroed),
	KUNIT_CASE(pcpuref_life_test_init_nonzeroed),
	KUNIT_CASE(pcpuref_life_test_init_again),
	KUNIT_CASE(pcpuref_life_test_late_puts_G17),
	KUNIT_CASE(pcpuref_life_test_cancel_init),
	KUNIT_CASE(pcpuref_life_test_init_without_release),
	KUNIT_CASE(pcpuref_life_test_init_unknown_flags),
	KUNIT_CASE(pcpuref_life_test_init_other_interface),
	KUNIT_CASE(pcpuref_life_test_init_no_memory),
	KUNIT_CASE(pcpuref_life_test_init_no_percpu_memory),
	KUNIT_CASE(pcpuref_life_test_get_put),
	KUNIT_CASE(pcpuref_life_test_many),
	KUNIT_CASE(pcpuref_life_test_tryget),
	KUNIT_CASE(pcpuref_life_test_release_by_put),
	KUNIT_CASE(pcpuref_life_test_put_during_switch),
	KUNIT_CASE(pcpuref_life_test_read_across_cpus),
	KUNIT_CASE_PARAM(pcpuref_life_test_context, pcpuref_life_context_gen_params),
	KUNIT_CASE(pcpuref_life_test_nmi_releases),
	KUNIT_CASE(pcpuref_life_test_nmi_release_resurrect),
	KUNIT_CASE(pcpuref_life_test_irq_safe_add),
#ifdef DEFINE_CLASS
	KUNIT_CASE(pcpuref_life_test_scopes),
#endif
	PCPUREF_LAST_CASE,
	{}
};

static struct kunit_suite pcpuref_life_suite = {
#ifdef PCPUREF_INLINE_ATOMIC
	PCPUREF_SUITE("pcpuref_inline_life", pcpuref_life_cases),
#else
	PCPUREF_SUITE("pcpuref_life", pcpuref_life_cases),
#endif
};

kunit_test_suite(pcpuref_life_suite);

MODULE_DESCRIPTION("KUnit tests of pcpuref: life, gets and puts");
MODULE_LICENSE("GPL");
