/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the two halves of bench-native know of each other: the one that the
 * kernel build compiles (fastpath.c, refs.c) and the process that it runs in (main.c).
 */
#ifndef NATIVE_H
#define NATIVE_H

/*
 * Where things are in the area that %gs points to: relative to a thread's area
 * what kernel code takes for relative to its CPU's. No two things that a pair
 * touches have the low twelve bits of their addresses in common: processors
 * take such a load for one of what was just stored.
 */
#define NATIVE_AREA_BYTES	8192
#define NATIVE_HOT		0x40	/* current, then the preempt count */
#define NATIVE_COUNTER		0x1080	/* all subjects' per-CPU counter */
#define NATIVE_COUNTS		0x400	/* in a page: the subjects' structures */
#define NATIVE_NESTING		0x800	/* in a page: the RCU nesting of a task */

/* Offsets in a cache line at which each loop of pairs exists. */
#define NATIVE_PLACES		4

#ifndef __ASSEMBLER__

/* So many gets, puts or pairs; returns how many were not done. */
typedef unsigned long (native_loop_t)(void *count, unsigned long n);

struct native_subject {
	const char	*row;
	const char	*name;
	void		*count;
	native_loop_t	*gets;
	native_loop_t	*puts;
	native_loop_t	*pairs[NATIVE_PLACES];
	/* The shared count; without it the one in this thread's area. */
	long		(*read)(void *count);
	/* Put the count into atomic mode, or back. */
	void		(*tag)(void *count, int atomic);
	/* Where a get and a put of a tagged count go: a function, */
	const char	*slow_get;
	const char	*slow_put;
	/* or the shared counter. */
	long		(*read_tagged)(void *count);
};

/* Ends with an entry without a row. */
extern const struct native_subject native_subjects[];
extern const char *const native_release;
extern const char *const native_rcu;
extern const unsigned long native_task_bytes;
extern const unsigned long native_nesting_offset;

/*
 * Does kernel code find @task as the current one, in no section with preemption
 * disabled and in no RCU read section?
 */
int native_settled(void *task);

/* In main.c, for the stubs: a loop has come to a slow path. Does not return. */
void native_slow(const char *name);

/* By the linker, where there is such a section: calls of __fentry__, returns. */
extern unsigned char *const __start___mcount_loc[];
extern unsigned char *const __stop___mcount_loc[];
extern const int __start_return_sites[];
extern const int __stop_return_sites[];
extern char __executable_start[];
extern char etext[];

#endif /* __ASSEMBLER__ */
#endif /* NATIVE_H */
