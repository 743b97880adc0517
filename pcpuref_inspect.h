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
 * struct pcpuref_event - one step in the life of a reference
 * @id: number of the reference, never used again while the core is loaded
 * @name: its name; copy it if it is to outlive the call
 * @module: name of the module that initialised it
 * @ref: its address, to compare or to print with %p; never to be followed
 * @release: its release function
 * @before: mode before: "none", "percpu", "switching" or "atomic"
 * @after: mode after
 * @count: references in the shared counter, the initial one included
 * @sum: references in the per-CPU counters
 * @since_kill: microseconds since the last kill, -1 if not killed
 * @caller: who asked for it, 0 if nobody but time did
 * @what: for a misuse, which; else the name of the event
 *
 * What the tracepoints of pcpuref_trace.h are called with, in any context, with
 * preemption disabled, for most of them under the reference's lock: a probe must
 * not call pcpuref about it.
 */
struct pcpuref_event {
	u64			id;
	const char		*name;
	const char		*module;
	const struct pcpuref	*ref;
	pcpuref_func_t		*release;
	const char		*before;
	const char		*after;
	long			count;
	long			sum;
	s64			since_kill;
	unsigned long		caller;
	const char		*what;
};

#define PCPUREF_NAME_SIZE	64

/**
 * struct pcpuref_info - what is known about a reference at one moment
 * @id: its number, never used again while the core is loaded
 * @ref: its address, to compare or to print with %p; never to be followed
 * @release: its release function, to print with %ps
 * @name: its name, cut to fit
 * @module: name of the module that initialised it
 * @file: last part of the source file that did
 * @function: and the function
 * @line: and the line
 * @mode: "percpu", "switching" or "atomic"
 * @state: "live", "dying", "dead", or "stuck" after misuse
 * @count: all references, the initial one included; as pcpuref_read()
 * @shared: the part of it in the shared counter
 * @flags: those of &enum pcpuref_flags that it was initialised with
 * @life: number of its present life, from 1; 0 for one that began dead
 * @created_at: when it was initialised, in ns of ktime_get_mono_fast_ns(), to
 *	the last tick
 * @killed_at: when it was killed, in the same clock; 0 if not killed
 * @killer: address that killed it; while live, that asked for the last change
 * @bytes: memory that it takes beside struct pcpuref, without the per-CPU part
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
	const char		*mode;
	const char		*state;
	long			count;
	long			shared;
	unsigned int		flags;
	unsigned int		life;
	u64			created_at;
	u64			killed_at;
	unsigned long		killer;
	size_t			bytes;
	size_t			percpu_bytes;
};

/**
 * struct pcpuref_walk - a place in the registry
 * @cpu: whose part of the registry
 * @id: the last reference seen there
 * @end: the last one to be seen there; 0 before the first
 * @at: the same, pinned
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

#endif /* PCPUREF_INSPECT_H */
