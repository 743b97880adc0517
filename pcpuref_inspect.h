/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The references of the whole system, seen from outside.
 *
 * The core keeps a registry of every initialised reference. What looks at it
 * (tables, watchdogs, a client's own debug code) works on copies: a struct
 * pcpuref_info stays valid whatever happens to the reference that it is about.
 */
#ifndef PCPUREF_INSPECT_H
#define PCPUREF_INSPECT_H

#include <linux/types.h>

#include "pcpuref.h"

/**
 * enum pcpuref_mode - how a reference counts
 * @PCPUREF_MODE_NONE: not initialised, or exited
 * @PCPUREF_MODE_PERCPU: in the per-CPU counters
 * @PCPUREF_MODE_SWITCHING: in the shared counter; the per-CPU counters are not added up
 *	yet
 * @PCPUREF_MODE_ATOMIC: in the shared counter
 */
enum pcpuref_mode {
	PCPUREF_MODE_NONE,
	PCPUREF_MODE_PERCPU,
	PCPUREF_MODE_SWITCHING,
	PCPUREF_MODE_ATOMIC,
};

/**
 * enum pcpuref_state - where a reference is in its life
 * @PCPUREF_STATE_LIVE: not killed
 * @PCPUREF_STATE_DYING: killed, and not at zero yet
 * @PCPUREF_STATE_RELEASING: at zero, and release has not returned yet
 * @PCPUREF_STATE_DEAD: at zero, and release has returned
 * @PCPUREF_STATE_STUCK: misuse has made its count meaningless
 */
enum pcpuref_state {
	PCPUREF_STATE_LIVE,
	PCPUREF_STATE_DYING,
	PCPUREF_STATE_RELEASING,
	PCPUREF_STATE_DEAD,
	PCPUREF_STATE_STUCK,
};

/**
 * enum pcpuref_step - a step in the life of a reference
 * @PCPUREF_STEP_INIT: pcpuref_init()
 * @PCPUREF_STEP_SWITCH: the mode changes; a switch to atomic mode is two steps
 * @PCPUREF_STEP_KILL: the kill was accepted
 * @PCPUREF_STEP_CONFIRM: a confirm callback is about to be called
 * @PCPUREF_STEP_RELEASE: release is about to be called
 * @PCPUREF_STEP_REINIT: pcpuref_reinit()
 * @PCPUREF_STEP_RESURRECT: pcpuref_resurrect()
 * @PCPUREF_STEP_EXIT: pcpuref_exit()
 * @PCPUREF_STEP_MISUSE: misuse is being reported
 * @PCPUREF_STEP_DUMP: somebody asks for everything that is known
 */
enum pcpuref_step {
	PCPUREF_STEP_INIT,
	PCPUREF_STEP_SWITCH,
	PCPUREF_STEP_KILL,
	PCPUREF_STEP_CONFIRM,
	PCPUREF_STEP_RELEASE,
	PCPUREF_STEP_REINIT,
	PCPUREF_STEP_RESURRECT,
	PCPUREF_STEP_EXIT,
	PCPUREF_STEP_MISUSE,
	PCPUREF_STEP_DUMP,
};

/**
 * enum pcpuref_misuse - kinds of misuse
 * @PCPUREF_EXCESS_PUT: put without a reference
 * @PCPUREF_GET_ON_ZERO: get on a released reference
 * @PCPUREF_OVERFLOW: count overflow
 * @PCPUREF_KILLED_TWICE: kill of a dying reference
 * @PCPUREF_REINIT_LIVE: reinit of a live reference
 * @PCPUREF_REINIT_NONZERO: reinit of a non-zero reference
 * @PCPUREF_RESURRECT_LIVE: resurrect of a live reference
 * @PCPUREF_NOT_ALLOWED: back to per-CPU mode without ALLOW_REINIT
 * @PCPUREF_TOO_MANY_CONFIRMS: too many different confirm callbacks
 * @PCPUREF_EXIT_HELD: exit with references out
 * @PCPUREF_EXIT_SWITCHING: exit during a switch
 * @PCPUREF_EXIT_UNRELEASED: exit before release was called
 * @PCPUREF_CANCEL_USED: cancel_init of a used reference
 * @PCPUREF_INIT_TWICE: init of an initialised reference
 * @PCPUREF_USE_AFTER_EXIT: use after exit
 * @PCPUREF_USE_WITHOUT_INIT: use without init
 * @PCPUREF_USE_MOVED: use of a copy of a reference
 * @PCPUREF_MIXED_READERS: get compiled for other readers than init
 * @PCPUREF_LEFT_BEHIND: the client's module was unloaded without exit
 * @PCPUREF_TOKEN_TWICE: token put twice (this and the next by pcpuref_holders)
 * @PCPUREF_TOKEN_EMPTY: token without a reference
 * @PCPUREF_TOKEN_OTHER: token of another reference
 * @PCPUREF_TOKEN_EXITED: token of an exited reference
 * @PCPUREF_NR_MISUSES: how many kinds there are
 */
enum pcpuref_misuse {
	PCPUREF_EXCESS_PUT,
	PCPUREF_GET_ON_ZERO,
	PCPUREF_OVERFLOW,
	PCPUREF_KILLED_TWICE,
	PCPUREF_REINIT_LIVE,
	PCPUREF_REINIT_NONZERO,
	PCPUREF_RESURRECT_LIVE,
	PCPUREF_NOT_ALLOWED,
	PCPUREF_TOO_MANY_CONFIRMS,
	PCPUREF_EXIT_HELD,
	PCPUREF_EXIT_SWITCHING,
	PCPUREF_EXIT_UNRELEASED,
	PCPUREF_CANCEL_USED,
	PCPUREF_INIT_TWICE,
	PCPUREF_USE_AFTER_EXIT,
	PCPUREF_USE_WITHOUT_INIT,
	PCPUREF_USE_MOVED,
	PCPUREF_MIXED_READERS,
	PCPUREF_LEFT_BEHIND,
	PCPUREF_TOKEN_TWICE,
	PCPUREF_TOKEN_EMPTY,
	PCPUREF_TOKEN_OTHER,
	PCPUREF_TOKEN_EXITED,
	PCPUREF_NR_MISUSES,
};

/* The words that log, tables and traces have for them. Any context. */
const char *pcpuref_mode_name(enum pcpuref_mode mode);
const char *pcpuref_state_name(enum pcpuref_state state);
const char *pcpuref_step_name(enum pcpuref_step step);
const char *pcpuref_misuse_name(enum pcpuref_misuse misuse);

/**
 * struct pcpuref_event - one step in the life of a reference
 * @id: number of the reference, never used again while the core is loaded
 * @name: its name; copy it if it is to outlive the call
 * @module: name of the module that initialised it
 * @ref: its address, to compare or to print with %p; never to be followed
 * @release: its release function
 * @step: which step
 * @misuse: for %PCPUREF_STEP_MISUSE, which kind
 * @before: mode before
 * @after: mode after
 * @counted: whether the next three are valid. If not, misuse has made the count stick,
 *	or it cannot be known in that context, and they are -1, -1 and 0
 * @count: all references after the step, the initial one included; as pcpuref_read()
 * @shared: the part of it in the shared counter
 * @percpu: the part of it in the per-CPU counters
 * @since_kill: microseconds since the last kill, -1 if not killed; of a reinit or resurrect
 *	since the kill that it undoes
 * @caller: address of the function that asked for it; 0 for confirm and release, or if it
 *	is not known
 * @finder: for a misuse whose @caller is not known: address of the function that asked
 *	for the kill or switch at which it was found; else 0
 *
 * The tracepoints of pcpuref_trace.h pass this. They are called in any context, with
 * preemption disabled, and most of them under the reference's lock: a probe must not
 * call functions of pcpuref for any reference. It may call pcpuref_step_name(),
 * pcpuref_misuse_name() and pcpuref_mode_name().
 */
struct pcpuref_event {
	u64			id;
	const char		*name;
	const char		*module;
	const struct pcpuref	*ref;
	pcpuref_func_t		*release;
	enum pcpuref_step	step;
	enum pcpuref_misuse	misuse;
	enum pcpuref_mode	before;
	enum pcpuref_mode	after;
	bool			counted;
	long			count;
	long			shared;
	long			percpu;
	s64			since_kill;
	unsigned long		caller;
	unsigned long		finder;
};

/* What the step is called: a misuse by its kind. */
static inline const char *pcpuref_event_name(const struct pcpuref_event *event)
{
	return event->step == PCPUREF_STEP_MISUSE ? pcpuref_misuse_name(event->misuse) :
						    pcpuref_step_name(event->step);
}

#define PCPUREF_NAME_SIZE	64

/**
 * struct pcpuref_info - what is known about a reference at one moment
 * @id: its number, never used again while the core is loaded
 * @ref: its address, to compare or to print with %p; never to be followed
 * @release: its release function, to print with %ps
 * @name: its name, cut to fit
 * @module: name of the module that initialised it
 * @file: last part of the path of the source file with the init
 * @function: the function with the init
 * @line: the line of the init
 * @mode: how it counts
 * @state: where it is in its life
 * @count: all references, the initial one included; as pcpuref_read()
 * @shared: the part of it in the shared counter; 0 if @count has stuck
 * @percpu: the part of it in the per-CPU counters; 0 if @count has stuck
 * @flags: those of &enum pcpuref_flags that it was initialised with
 * @life: number of its present life, from 1; 0 for one that began dead; modulo
 *	65536
 * @created_at: when it was initialised, in ns of ktime_get_mono_fast_ns(), to
 *	the last tick
 * @killed_at: when it was killed, in the same clock; 0 if not killed
 * @killer: address of the call that killed it; of a live reference, that of the call
 *	that asked for the last change
 * @stuck_at: when misuse has made @count stick, in the same clock; 0 if it has not, or
 *	if that is not known any more (it is known for the last 64)
 * @stuck_by: address of the call that was the misuse, or at which it was found; 0 if it
 *	is not known
 * @stuck_misuse: which misuse; valid only if @stuck_at is not 0
 * @bytes: memory that it takes, struct pcpuref included, without the per-CPU part
 * @percpu_bytes: per-CPU memory, over all possible CPUs
 */
struct pcpuref_info {
	u64			id;
	const struct pcpuref	*ref;
	pcpuref_func_t		*release;
	char			name[PCPUREF_NAME_SIZE];
	char			module[PCPUREF_NAME_SIZE];
	char			file[PCPUREF_NAME_SIZE];
	char			function[PCPUREF_NAME_SIZE];
	unsigned int		line;
	enum pcpuref_mode	mode;
	enum pcpuref_state	state;
	long			count;
	long			shared;
	long			percpu;
	unsigned int		flags;
	unsigned int		life;
	u64			created_at;
	u64			killed_at;
	unsigned long		killer;
	u64			stuck_at;
	unsigned long		stuck_by;
	enum pcpuref_misuse	stuck_misuse;
	size_t			bytes;
	size_t			percpu_bytes;
};

/**
 * pcpuref_elapsed - the time between two times
 * @since: in ns of ktime_get_mono_fast_ns(), as the times of &struct pcpuref_info
 * @now: in the same clock
 *
 * That clock may step back a little when the time is adjusted, and @since may have been
 * read on another CPU after @now.
 *
 * Context: any.
 * Return: ns, 0 if @since is later.
 */
static inline u64 pcpuref_elapsed(u64 since, u64 now)
{
	return now > since ? now - since : 0;
}

/**
 * struct pcpuref_walk - a place in the registry
 * @cpu: whose part of the registry
 * @id: the last reference seen there
 * @end: the last one to be seen there; 0 before the first
 * @at: the same as @id, pinned
 *
 * All members are private; begin with one that is zeroed.
 */
struct pcpuref_walk {
	int			cpu;
	u64			id;
	u64			end;
	struct pcpuref_data	*at;
};

bool pcpuref_walk_next(struct pcpuref_walk *walk, struct pcpuref_info *info);
void pcpuref_walk_end(struct pcpuref_walk *walk);

bool pcpuref_inspect(struct pcpuref *ref, struct pcpuref_info *info);
bool pcpuref_inspect_id(u64 id, struct pcpuref_info *info, long *counts);

bool pcpuref_dump_id(u64 id);

void pcpuref_report_anew(void);

/**
 * struct pcpuref_memory - what the core has allocated and not freed
 * @structures: structures behind references, those on their way to be freed
 *	included
 * @counters: sets of per-CPU counters
 */
struct pcpuref_memory {
	long	structures;
	long	counters;
};

void pcpuref_memory(struct pcpuref_memory *memory);

#endif /* PCPUREF_INSPECT_H */
