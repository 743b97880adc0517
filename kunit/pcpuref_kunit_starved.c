// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite pcpuref_starved: a lazy reference has nothing but its count until
 * something is asked of it. Here that is asked when there is no memory, in a
 * context that cannot wait for any: the request is recorded, and carried out
 * when memory is there again.
 */
#include <linux/mm.h>

#include "pcpuref_kunit.h"
#include "pcpuref_inspect.h"

/* More than this takes too long to use up. */
#define MEMORY_MAX	BIT(30)

#define GREEDY		(GFP_ATOMIC | __GFP_NOWARN | __GFP_NORETRY)

struct hoard {
	struct hoard	*next;
};

static struct hoard *pages, *pieces;

static bool keep(struct hoard **all, void *memory)
{
	struct hoard *h = memory;

	if (!h)
		return false;
	h->next = *all;
	*all = h;
	return true;
}

/* Until nothing is left, also of what the slabs hold ready. */
static void use_up_memory(void)
{
	size_t size;

	while (keep(&pages, (void *)__get_free_page(GREEDY)))
		;
	for (size = 64; size <= 512; size += 32)
		while (keep(&pieces, kmalloc(size, GREEDY)))
			;
}

static void give_memory_back(void)
{
	struct hoard *h;

	while ((h = pieces)) {
		pieces = h->next;
		kfree(h);
	}
	while ((h = pages)) {
		pages = h->next;
		free_page((unsigned long)h);
	}
}

/*
 * Ask it of @c without memory. Nobody else runs on this CPU until there is
 * memory again: else they would miss it.
 */
static noinline void ask_without_memory(struct counted *c, void (*ask)(struct counted *c))
{
	preempt_disable();
	use_up_memory();
	ask(c);
	give_memory_back();
	preempt_enable();
}

static struct counted *lazy(struct kunit *test, unsigned int flags)
{
	/* Before anything is expected of the test. */
	if (totalram_pages() > MEMORY_MAX / PAGE_SIZE)
		kunit_skip(test, "too much memory to use up");
	return counted_new(test, PCPUREF_INIT_LAZY | flags);
}

/* It dies, and nothing has come of that yet. */
static void expect_recorded(struct counted *c, long count)
{
	EXPECT_LATER(pcpuref_is_dying(&c->ref));
	EXPECT_LATER(!pcpuref_is_zero(&c->ref));
	EXPECT_LATER(!pcpuref_tryget_live(&c->ref));
	EXPECT_LATER(pcpuref_read(&c->ref) == count);
	EXPECT_LATER(released(c) == 0);
	EXPECT_LATER(confirmed(c) == 0);
}

static void expect_end(struct kunit *test, struct counted *c, int releases, int confirms)
{
	pcpuref_barrier();
	KUNIT_EXPECT_EQ(test, released(c), releases);
	KUNIT_EXPECT_EQ(test, confirmed(c), confirms);
	if (confirms && releases)
		KUNIT_EXPECT_LT(test, c->confirmed_at, c->released_at);
}

static noinline void ask_kill(struct counted *c)
{
	EXPECT_LATER(pcpuref_kill(&c->ref));
	/* The initial reference is dropped later: this is what the suite is about. */
	expect_recorded(c, 1);
	/* As long as it is not zero, somebody who holds it may get it. */
	EXPECT_LATER(pcpuref_tryget(&c->ref));
	EXPECT_LATER(pcpuref_read(&c->ref) == 2);
	pcpuref_put(&c->ref);
}

static void pcpuref_starved_test_kill(struct kunit *test)
{
	struct counted *c = lazy(test, 0);

	ask_without_memory(c, ask_kill);
	expect_end(test, c, 1, 0);
	KUNIT_EXPECT_TRUE(test, pcpuref_is_zero(&c->ref));
}

/* The last put comes before the memory does: it does not release. */
static noinline void ask_kill_held(struct counted *c)
{
	EXPECT_LATER(pcpuref_kill(&c->ref));
	expect_recorded(c, 3);
	pcpuref_put_many(&c->ref, 2);
	expect_recorded(c, 1);
}

static void pcpuref_starved_test_kill_held(struct kunit *test)
{
	struct counted *c = lazy(test, PCPUREF_RELEASE_WORK);

	pcpuref_get_many(&c->ref, 2);
	ask_without_memory(c, ask_kill_held);
	expect_end(test, c, 1, 0);
	KUNIT_EXPECT_TRUE(test, c->in_release.task);
}

static noinline void ask_confirm(struct counted *c)
{
	EXPECT_LATER(pcpuref_kill_and_confirm(&c->ref, counted_confirm));
	expect_recorded(c, 1);
}

static void pcpuref_starved_test_confirm(struct kunit *test)
{
	struct counted *c = lazy(test, 0);

	ask_without_memory(c, ask_confirm);
	expect_end(test, c, 1, 1);
}

static noinline void ask_switch(struct counted *c)
{
	EXPECT_LATER(pcpuref_switch_to_atomic(&c->ref, counted_confirm));
	EXPECT_LATER(confirmed(c) == 0);
	EXPECT_LATER(pcpuref_tryget_live(&c->ref));
	pcpuref_put(&c->ref);
}

static void pcpuref_starved_test_switch(struct kunit *test)
{
	struct counted *c = lazy(test, 0);

	ask_without_memory(c, ask_switch);
	expect_end(test, c, 0, 1);
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
}

/* Undone before it was done: but the confirmation was promised. */
static noinline void ask_resurrect(struct counted *c)
{
	EXPECT_LATER(pcpuref_kill_and_confirm(&c->ref, counted_confirm));
	EXPECT_LATER(pcpuref_resurrect(&c->ref));
	EXPECT_LATER(pcpuref_read(&c->ref) == 1);
	EXPECT_LATER(confirmed(c) == 0);
}

static void pcpuref_starved_test_resurrect(struct kunit *test)
{
	struct counted *c = lazy(test, PCPUREF_ALLOW_REINIT);

	ask_without_memory(c, ask_resurrect);
	expect_end(test, c, 0, 1);
	KUNIT_EXPECT_FALSE(test, pcpuref_is_dying(&c->ref));
	KUNIT_EXPECT_TRUE(test, pcpuref_tryget_live(&c->ref));
	pcpuref_put(&c->ref);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_TRUE(test, pcpuref_reinit(&c->ref));
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 2);
}

static noinline void ask_again(struct counted *c)
{
	ask_resurrect(c);
	/* The same may be promised again; for another there is no room. */
	EXPECT_LATER(pcpuref_kill_and_confirm(&c->ref, counted_confirm));
	EXPECT_LATER(pcpuref_resurrect(&c->ref));
	EXPECT_LATER(!pcpuref_kill_and_confirm(&c->ref, counted_confirm_b));
	barrier();
	EXPECT_LATER(pcpuref_kill(&c->ref));
	expect_recorded(c, 1);
}

static void pcpuref_starved_test_second_confirm(struct kunit *test)
{
	struct counted *c = lazy(test, PCPUREF_ALLOW_REINIT);

	EXPECT_REPORT_BY(test, "too many different confirm callbacks", 0, "ask_again");
	ask_without_memory(c, ask_again);
	expect_end(test, c, 1, 2);
	KUNIT_EXPECT_EQ(test, atomic_read(&c->confirmed[1]), 0);
}

static noinline void ask_kill_twice(struct counted *c)
{
	EXPECT_LATER(pcpuref_kill(&c->ref));
	EXPECT_LATER(!pcpuref_kill(&c->ref));
	barrier();
	expect_recorded(c, 1);
}

static void pcpuref_starved_test_kill_twice(struct kunit *test)
{
	struct counted *c = lazy(test, 0);

	EXPECT_REPORT_BY(test, "kill of a dying reference", 0, "ask_kill_twice");
	ask_without_memory(c, ask_kill_twice);
	expect_end(test, c, 1, 0);
}

/* Who is refused has brought the memory all the same, and goes away. */
static noinline void kill_again(struct counted *c)
{
	EXPECT_LATER(!pcpuref_kill(&c->ref));
	barrier();
}

static void pcpuref_starved_test_brought_by_refused(struct kunit *test)
{
	struct counted *c = lazy(test, 0);

	EXPECT_REPORT_BY(test, "kill of a dying reference", 0, "kill_again");
	preempt_disable();
	use_up_memory();
	EXPECT_LATER(pcpuref_kill_and_confirm(&c->ref, counted_confirm));
	give_memory_back();
	kill_again(c);
	expect_recorded(c, 1);
	preempt_enable();
	expect_end(test, c, 1, 1);
}

static noinline void ask_exit(struct counted *c)
{
	ask_confirm(c);
	pcpuref_exit(&c->ref);
	barrier();
}

/* As any other exit that meets a request in flight. */
static void pcpuref_starved_test_exit(struct kunit *test)
{
	struct counted *c = lazy(test, 0);

	EXPECT_REPORT_BY(test, "exit during a switch", 0, "ask_exit");
	ask_without_memory(c, ask_exit);
	expect_end(test, c, 0, 0);
}

static noinline void ask_too_many_puts(struct counted *c)
{
	EXPECT_LATER(pcpuref_kill(&c->ref));
	pcpuref_put(&c->ref);
	barrier();
}

/* It drops the initial reference, which is still in the count: G6. */
static void pcpuref_starved_test_put_too_many_G6(struct kunit *test)
{
	struct counted *c = lazy(test, 0);

	EXPECT_REPORT_BY(test, "put without a reference", 0, "ask_too_many_puts");
	ask_without_memory(c, ask_too_many_puts);
	expect_end(test, c, 0, 0);
	KUNIT_EXPECT_EQ(test, counted_die(c), -ENOTRECOVERABLE);
}

/* Who can sleep brings the memory, and need not wait for who cannot. */
static void pcpuref_starved_test_wait(struct kunit *test)
{
	struct counted *c = lazy(test, 0);

	ask_without_memory(c, ask_confirm);
	KUNIT_EXPECT_EQ(test, counted_die(c), 0);
	KUNIT_EXPECT_EQ(test, released(c), 1);
	KUNIT_EXPECT_EQ(test, confirmed(c), 1);
	expect_end(test, c, 1, 1);
}

static struct kunit_case pcpuref_starved_cases[] = {
	KUNIT_CASE(pcpuref_starved_test_kill),
	KUNIT_CASE(pcpuref_starved_test_kill_held),
	KUNIT_CASE(pcpuref_starved_test_confirm),
	KUNIT_CASE(pcpuref_starved_test_switch),
	KUNIT_CASE(pcpuref_starved_test_resurrect),
	KUNIT_CASE(pcpuref_starved_test_second_confirm),
	KUNIT_CASE(pcpuref_starved_test_kill_twice),
	KUNIT_CASE(pcpuref_starved_test_brought_by_refused),
	KUNIT_CASE(pcpuref_starved_test_exit),
	KUNIT_CASE(pcpuref_starved_test_put_too_many_G6),
	KUNIT_CASE(pcpuref_starved_test_wait),
	{}
};

static struct kunit_suite pcpuref_starved_suite = {
	PCPUREF_SUITE("pcpuref_starved", pcpuref_starved_cases),
};

kunit_test_suite(pcpuref_starved_suite);

MODULE_DESCRIPTION("KUnit tests of pcpuref: requests without memory");
MODULE_LICENSE("GPL");
