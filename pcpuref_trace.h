/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tracepoints pcpuref:*, one for each kind of step. All have the same fields:
 * those of the lines in the log, and the module, the caller and the finder. Other
 * modules may attach to them; see struct pcpuref_event for what a probe may do.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM pcpuref

#if !defined(PCPUREF_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define PCPUREF_TRACE_H

#include <linux/tracepoint.h>

#include "pcpuref_inspect.h"
#include "pcpuref_kernel.h"

DECLARE_EVENT_CLASS(pcpuref_step,
		    TP_PROTO(const struct pcpuref_event *event),
		    TP_ARGS(event),
		    TP_STRUCT__entry(__field(u64, id)
				     __field(const void *, ref)
				     __field(void *, release)
				     __field(void *, caller)
				     __field(long, count)
				     __field(long, shared)
				     __field(long, percpu)
				     __field(s64, since_kill)
				     __string(name, event->name)
				     __string(module, event->module)
				     __field(void *, finder)
				     __string(before, pcpuref_mode_name(event->before))
				     __string(after, pcpuref_mode_name(event->after))
				     __string(what, pcpuref_event_name(event))),
		    TP_fast_assign(__entry->id = event->id;
				   __entry->ref = event->ref;
				   __entry->release = event->release;
				   __entry->caller = (void *)event->caller;
				   __entry->count = event->count;
				   __entry->shared = event->shared;
				   __entry->percpu = event->percpu;
				   __entry->since_kill = event->since_kill;
				   pcpuref_assign_str(name, event->name);
				   pcpuref_assign_str(module, event->module);
				   __entry->finder = (void *)event->finder;
				   pcpuref_assign_str(before, pcpuref_mode_name(event->before));
				   pcpuref_assign_str(after, pcpuref_mode_name(event->after));
				   pcpuref_assign_str(what, pcpuref_event_name(event));),
		    TP_printk("event=%s name=%s module=%s id=%llu ref=%p release=%ps mode=%s->%s count=%ld shared=%ld percpu=%ld since_kill=%lldus caller=%pS finder=%pS",
			      __get_str(what), __get_str(name), __get_str(module),
			      __entry->id, __entry->ref, __entry->release,
			      __get_str(before), __get_str(after), __entry->count,
			      __entry->shared, __entry->percpu, __entry->since_kill,
			      __entry->caller, __entry->finder)
);

#define PCPUREF_TRACEPOINT(event_name)						\
	DEFINE_EVENT(pcpuref_step, event_name,					\
		     TP_PROTO(const struct pcpuref_event *event), TP_ARGS(event))

PCPUREF_TRACEPOINT(pcpuref_init);
PCPUREF_TRACEPOINT(pcpuref_switch);
PCPUREF_TRACEPOINT(pcpuref_kill);
PCPUREF_TRACEPOINT(pcpuref_confirm);
PCPUREF_TRACEPOINT(pcpuref_release);
PCPUREF_TRACEPOINT(pcpuref_reinit);
PCPUREF_TRACEPOINT(pcpuref_resurrect);
PCPUREF_TRACEPOINT(pcpuref_exit);
PCPUREF_TRACEPOINT(pcpuref_misuse);
/* Somebody asks for everything that is known: probes may add lines to the log. */
PCPUREF_TRACEPOINT(pcpuref_dump);

#endif /* PCPUREF_TRACE_H */

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE pcpuref_trace
#include <trace/define_trace.h>
