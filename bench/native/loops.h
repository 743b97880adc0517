/* SPDX-License-Identifier: GPL-2.0-only */
/* How a subject's get and put become loops that can be measured. */
#ifndef LOOPS_H
#define LOOPS_H

#include <linux/compiler.h>
#include <linux/percpu-refcount.h>
#include <linux/types.h>

/* A get or a put of a subject; what has no result succeeds. */
#define STEP(name, step, type, call)					\
static __always_inline bool name##_##step(void *count)			\
{									\
	type *c = count;						\
									\
	return call;							\
}

#define DONE(call) ({ call; true; })

static __always_inline bool no_step(void *count)
{
	return true;
}

static __always_inline unsigned long loop(void *count, unsigned long n,
					  bool (*get)(void *count), bool (*put)(void *count))
{
	for (; n; n--) {
		if (unlikely(!get(count)))
			break;
		barrier();
		if (unlikely(!put(count)))
			break;
		barrier();
	}
	return n;
}

#define DECLARE_LOOPS(name)						\
	unsigned long name##_gets(void *count, unsigned long n);	\
	unsigned long name##_puts(void *count, unsigned long n);	\
	unsigned long name##_pairs_0(void *count, unsigned long n);	\
	unsigned long name##_pairs_1(void *count, unsigned long n);	\
	unsigned long name##_pairs_2(void *count, unsigned long n);	\
	unsigned long name##_pairs_3(void *count, unsigned long n)

/*
 * Where in a cache line a loop begins can cost more than what is compared. The
 * kernel aligns functions to 16 bytes, so each loop of pairs is there at all
 * four places: so many bytes of padding before a function that, with them, is
 * aligned to the line.
 */
#define LOOPS(name)							\
DECLARE_LOOPS(name);							\
noinline unsigned long name##_gets(void *count, unsigned long n)	\
{									\
	return loop(count, n, name##_get, no_step);			\
}									\
noinline unsigned long name##_puts(void *count, unsigned long n)	\
{									\
	return loop(count, n, no_step, name##_put);			\
}									\
noinline __aligned(64) __attribute__((patchable_function_entry(16, 16))) \
unsigned long name##_pairs_0(void *count, unsigned long n)		\
{									\
	return loop(count, n, name##_get, name##_put);			\
}									\
noinline __aligned(64) __attribute__((patchable_function_entry(32, 32))) \
unsigned long name##_pairs_1(void *count, unsigned long n)		\
{									\
	return loop(count, n, name##_get, name##_put);			\
}									\
noinline __aligned(64) __attribute__((patchable_function_entry(48, 48))) \
unsigned long name##_pairs_2(void *count, unsigned long n)		\
{									\
	return loop(count, n, name##_get, name##_put);			\
}									\
noinline __aligned(64) __attribute__((patchable_function_entry(64, 64))) \
unsigned long name##_pairs_3(void *count, unsigned long n)		\
{									\
	return loop(count, n, name##_get, name##_put);			\
}

#define FUNCTIONS(name)							\
	.gets = name##_gets, .puts = name##_puts,			\
	.pairs = { name##_pairs_0, name##_pairs_1,			\
		   name##_pairs_2, name##_pairs_3 }

/* By refs.c. */
DECLARE_LOOPS(theirs);
DECLARE_LOOPS(theirs_live);
DECLARE_LOOPS(ours);
DECLARE_LOOPS(ours_live);
DECLARE_LOOPS(tasks);
DECLARE_LOOPS(tasks_live);
DECLARE_LOOPS(inlined);
DECLARE_LOOPS(inlined_live);

#endif /* LOOPS_H */
