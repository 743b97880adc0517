/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A reference of either kind, percpu_ref or pcpuref, and what can be asked of it. All
 * parts of the differential test drive two of them alike, and compare the answers.
 */
#ifndef PCPUREF_TEST_DIFFER_H
#define PCPUREF_TEST_DIFFER_H

#include <linux/compiler.h>
#include <linux/percpu-refcount.h>
#include <linux/types.h>

/* The index of what belongs to one of them. Flags of both have the same values. */
enum differ_side { THEIRS, OURS, SIDES };

enum differ_event {
	KILL_CONFIRMED	= 'K',
	SWITCHED	= 'S',
	RELEASED	= 'R',
};

/**
 * struct differ_ref - a reference of either kind
 * @room: of the reference itself; first
 * @told: what its callbacks call
 */
struct differ_ref {
	unsigned long	room[2];
	void		(*told)(struct differ_ref *ref, enum differ_event what);
};

/**
 * struct differ_ops - the functions of one kind
 * @name: of the kind
 *
 * @init_usage makes one whose initial reference may be put without a kill; the _seen
 * ones have a confirm callback; @wait is what a module calls before it goes.
 */
struct differ_ops {
	const char *name;
	int (*init)(struct differ_ref *ref, unsigned int flags);
	int (*init_usage)(struct differ_ref *ref, unsigned int flags);
	void (*exit)(struct differ_ref *ref);
	void (*kill)(struct differ_ref *ref);
	void (*kill_seen)(struct differ_ref *ref);
	void (*reinit)(struct differ_ref *ref);
	void (*resurrect)(struct differ_ref *ref);
	void (*to_atomic)(struct differ_ref *ref);
	void (*to_atomic_seen)(struct differ_ref *ref);
	void (*to_atomic_sync)(struct differ_ref *ref);
	void (*to_percpu)(struct differ_ref *ref);
	void (*get)(struct differ_ref *ref, unsigned long nr);
	void (*put)(struct differ_ref *ref, unsigned long nr);
	bool (*tryget)(struct differ_ref *ref, unsigned long nr);
	bool (*tryget_live)(struct differ_ref *ref, unsigned long unused);
	bool (*tryget_live_rcu)(struct differ_ref *ref, unsigned long unused);
	bool (*is_dying)(struct differ_ref *ref);
	bool (*is_zero)(struct differ_ref *ref);
	void (*wait)(void);
};

extern const struct differ_ops differ_kernel, differ_pcpuref;
extern const struct differ_ops *const differ_kinds[SIDES];

/* --- The test's parts, and what they tell the one that runs them ----------------- */

/**
 * struct differ_row - a difference that is known, and right
 * @name: its label in the design, and what it is about
 * @question: what is observed
 * @answer: percpu_ref's answer, which is wrong, and pcpuref's
 * @observe: gets either; the same of both if only the log shows it
 * @report: what pcpuref reports of it, and percpu_ref does not; or NULL
 * @why_not: sets why it cannot be observed here; or NULL
 * @seen: how often random sequences have met it
 *
 * Each is shown by a case of its own. If percpu_ref comes to answer as pcpuref does,
 * the case fails: then the list is no longer true.
 */
struct differ_row {
	const char	*name;
	const char	*question;
	long		answer[SIDES];
	long		(*observe)(const struct differ_ops *ops);
	const char	*report;
	const char	*(*why_not)(void);
	unsigned long	seen;
};

extern struct differ_row differ_rows[];
/* Those of them that random sequences meet. */
extern struct differ_row *const differ_early_kill_confirm, *const differ_early_switch_confirm,
	*const differ_order;

void differ_show(struct differ_row *row);
void differ_sequences(unsigned int seconds, u32 seed, unsigned int sequences);
void differ_storm(unsigned int seconds, u32 seed);

/* Run on that CPU from now on, until it goes offline. False if it cannot be. */
bool differ_go_to(unsigned int cpu);

/* CPUs that have gone offline since the module was loaded. */
unsigned int differ_offlined(void);

/* Wait until nothing is in flight, on either side. */
void differ_settle(void);

/* The first thing that is wrong makes the case fail. */
__printf(1, 2) void differ_wrong(const char *fmt, ...);
bool differ_is_wrong(void);

/* A line of what has been done, for the script to show. */
__printf(1, 2) void differ_did(const char *fmt, ...);

static inline u32 differ_random(u32 *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

#endif /* PCPUREF_TEST_DIFFER_H */
