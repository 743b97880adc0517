// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is seen from outside: lines in the log, tracepoints, and reports of
 * misuse. All of them are put together from a struct pcpuref_event, which
 * describe() fills.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bug.h>
#include <linux/dynamic_debug.h>
#include <linux/export.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/ratelimit.h>

#include "rooms.h"

#define CREATE_TRACE_POINTS
#include "pcpuref_trace.h"

static bool trace_events;
module_param(trace_events, bool, 0644);
MODULE_PARM_DESC(trace_events, "Print each state change to the log, as dynamic debug of this module does");

/* --- Words ----------------------------------------------------------------- */

static const char *name_of(const char * const *names, unsigned int nr, unsigned int value)
{
	return value < nr ? names[value] : "?";
}

/**
 * pcpuref_mode_name - the word for a mode
 * @mode: a mode
 *
 * Context: any.
 * Return: a constant.
 */
const char *pcpuref_mode_name(enum pcpuref_mode mode)
{
	static const char * const names[] = {
		[PCPUREF_MODE_NONE]		= "none",
		[PCPUREF_MODE_PERCPU]		= "percpu",
		[PCPUREF_MODE_SWITCHING]	= "switching",
		[PCPUREF_MODE_ATOMIC]		= "atomic",
	};

	return name_of(names, ARRAY_SIZE(names), mode);
}
EXPORT_SYMBOL_GPL(pcpuref_mode_name);

/**
 * pcpuref_state_name - the word for a state
 * @state: a state
 *
 * Context: any.
 * Return: a constant.
 */
const char *pcpuref_state_name(enum pcpuref_state state)
{
	static const char * const names[] = {
		[PCPUREF_STATE_LIVE]	    = "live",
		[PCPUREF_STATE_DYING]	    = "dying",
		[PCPUREF_STATE_RELEASING]   = "releasing",
		[PCPUREF_STATE_DEAD]	    = "dead",
		[PCPUREF_STATE_STUCK]	    = "stuck",
	};

	return name_of(names, ARRAY_SIZE(names), state);
}
EXPORT_SYMBOL_GPL(pcpuref_state_name);

/**
 * pcpuref_step_name - the word for a step
 * @step: a step
 *
 * Context: any.
 * Return: a constant.
 */
const char *pcpuref_step_name(enum pcpuref_step step)
{
	static const char * const names[] = {
		[PCPUREF_STEP_INIT]		= "init",
		[PCPUREF_STEP_SWITCH]		= "switch",
		[PCPUREF_STEP_KILL]		= "kill",
		[PCPUREF_STEP_CONFIRM]		= "confirm",
		[PCPUREF_STEP_RELEASE]		= "release",
		[PCPUREF_STEP_REINIT]		= "reinit",
		[PCPUREF_STEP_RESURRECT]	= "resurrect",
		[PCPUREF_STEP_EXIT]		= "exit",
		[PCPUREF_STEP_MISUSE]		= "misuse",
		[PCPUREF_STEP_DUMP]		= "dump",
	};

	return name_of(names, ARRAY_SIZE(names), step);
}
EXPORT_SYMBOL_GPL(pcpuref_step_name);

/**
 * pcpuref_misuse_name - the words for a kind of misuse
 * @misuse: a kind
 *
 * Context: any.
 * Return: a constant.
 */
const char *pcpuref_misuse_name(enum pcpuref_misuse misuse)
{
	static const char * const names[PCPUREF_NR_MISUSES] = {
		[PCPUREF_EXCESS_PUT]	    = "put without a reference",
		[PCPUREF_GET_ON_ZERO]	    = "get on a released reference",
		[PCPUREF_OVERFLOW]	    = "count overflow",
		[PCPUREF_KILLED_TWICE]	    = "kill of a dying reference",
		[PCPUREF_REINIT_LIVE]	    = "reinit of a live reference",
		[PCPUREF_REINIT_NONZERO]    = "reinit of a non-zero reference",
		[PCPUREF_RESURRECT_LIVE]    = "resurrect of a live reference",
		[PCPUREF_NOT_ALLOWED]	    = "back to per-CPU mode without ALLOW_REINIT",
		[PCPUREF_TOO_MANY_CONFIRMS] = "too many different confirm callbacks",
		[PCPUREF_EXIT_HELD]	    = "exit with references out",
		[PCPUREF_EXIT_SWITCHING]    = "exit during a switch",
		[PCPUREF_EXIT_UNRELEASED]   = "exit before release was called",
		[PCPUREF_CANCEL_USED]	    = "cancel_init of a used reference",
		[PCPUREF_INIT_TWICE]	    = "init of an initialised reference",
		[PCPUREF_USE_AFTER_EXIT]    = "use after exit",
		[PCPUREF_USE_WITHOUT_INIT]  = "use without init",
		[PCPUREF_USE_MOVED]	    =
			"use of a reference that was moved, or races with exit and init",
		[PCPUREF_MIXED_READERS]	    = "get compiled for other readers than init",
		[PCPUREF_LEFT_BEHIND]	    = "module unloaded without exit",
		[PCPUREF_TOKEN_TWICE]	    = "token put twice",
		[PCPUREF_TOKEN_EMPTY]	    = "token without a reference",
		[PCPUREF_TOKEN_OTHER]	    = "token of another reference",
		[PCPUREF_TOKEN_EXITED]	    = "token of an exited reference",
	};

	BUILD_BUG_ON(ARRAY_SIZE(names) > BITS_PER_TYPE(atomic_t));
	return name_of(names, ARRAY_SIZE(names), misuse);
}
EXPORT_SYMBOL_GPL(pcpuref_misuse_name);

/* --- Events ---------------------------------------------------------------- */

#define EVENT_FORMAT \
	"event=%s name=%s id=%llu ref=%p release=%ps mode=%s->%s count=%ld shared=%ld percpu=%ld since_kill=%lldus\n"

static void trace(const struct pcpuref_event *event)
{
	switch (event->step) {
	case PCPUREF_STEP_INIT:
		trace_pcpuref_init(event);
		break;
	case PCPUREF_STEP_SWITCH:
		trace_pcpuref_switch(event);
		break;
	case PCPUREF_STEP_KILL:
		trace_pcpuref_kill(event);
		break;
	case PCPUREF_STEP_CONFIRM:
		trace_pcpuref_confirm(event);
		break;
	case PCPUREF_STEP_RELEASE:
		trace_pcpuref_release(event);
		break;
	case PCPUREF_STEP_REINIT:
		trace_pcpuref_reinit(event);
		break;
	case PCPUREF_STEP_RESURRECT:
		trace_pcpuref_resurrect(event);
		break;
	case PCPUREF_STEP_EXIT:
		trace_pcpuref_exit(event);
		break;
	case PCPUREF_STEP_MISUSE:
		trace_pcpuref_misuse(event);
		break;
	case PCPUREF_STEP_DUMP:
		trace_pcpuref_dump(event);
		break;
	}
}

static bool tracing(void)
{
	return trace_pcpuref_init_enabled() || trace_pcpuref_switch_enabled() ||
	       trace_pcpuref_kill_enabled() ||
	       trace_pcpuref_confirm_enabled() ||
	       trace_pcpuref_release_enabled() ||
	       trace_pcpuref_reinit_enabled() ||
	       trace_pcpuref_resurrect_enabled() ||
	       trace_pcpuref_exit_enabled() ||
	       trace_pcpuref_misuse_enabled() ||
	       trace_pcpuref_dump_enabled();
}

static bool printing(void)
{
#if defined(CONFIG_DYNAMIC_DEBUG) || \
	(defined(CONFIG_DYNAMIC_DEBUG_CORE) && defined(DYNAMIC_DEBUG_MODULE))
	DEFINE_DYNAMIC_DEBUG_METADATA(event_line, EVENT_FORMAT);

	if (DYNAMIC_DEBUG_BRANCH(event_line))
		return true;
#endif
	/* A parameter that may change at any time. */
	return READ_ONCE(trace_events);
}

bool __pcpuref_logging(void)
{
	return tracing() || printing();
}

static s64 since_kill(u64 killed_at)
{
	if (!killed_at)
		return -1;
	return div_u64(pcpuref_elapsed(killed_at, ktime_get_mono_fast_ns()), NSEC_PER_USEC);
}

/* What an event tells of a reference; the rest is the caller's to add. */
static struct pcpuref_event describe(const struct pcpuref_data *d, enum pcpuref_step step)
{
	enum pcpuref_mode mode = __pcpuref_mode(d);

	return (struct pcpuref_event) {
		.id = d->id,
		.name = __pcpuref_name(d),
		.module = d->site->module,
		/* Pairs with the WRITE_ONCE() in __pcpuref_orphan(): a report is dropped. */
		.ref = READ_ONCE(d->ref),
		.release = d->release,
		.step = step,
		.before = mode,
		.after = mode,
		/* Without the lock a kill on its way may or may not be in it. */
		.since_kill = since_kill(data_race(d->killed_at)),
	};
}

/* Of a count that means nothing any more, or cannot be known. */
static void count_unknown(struct pcpuref_event *event)
{
	event->counted = false;
	event->count = -1;
	event->shared = -1;
	event->percpu = 0;
}

static void count(struct pcpuref_event *event, const struct pcpuref_data *d)
{
	lockdep_assert_held(&d->lock);

	/* Pairs with the WRITE_ONCE() in __pcpuref_stick(). */
	if (READ_ONCE(d->stuck)) {
		count_unknown(event);
		return;
	}
	event->counted = true;
	event->shared = __pcpuref_shared(d);
	event->percpu = __pcpuref_percpu(d);
	event->count = event->shared + event->percpu;
}

/* The same of one that is described already. */
static struct pcpuref_event describe_info(const struct pcpuref_info *info,
					  enum pcpuref_step step)
{
	struct pcpuref_event event = {
		.id = info->id,
		.name = info->name,
		.module = info->module,
		.ref = info->ref,
		.release = info->release,
		.step = step,
		.before = info->mode,
		.after = info->mode,
		.counted = true,
		.count = info->count,
		.shared = info->shared,
		.percpu = info->percpu,
		.since_kill = since_kill(info->killed_at),
	};

	if (info->state == PCPUREF_STATE_STUCK)
		count_unknown(&event);
	return event;
}

void __pcpuref_log_event(struct pcpuref_data *d, enum pcpuref_step step,
			 enum pcpuref_mode before, enum pcpuref_mode after,
			 unsigned long caller)
{
	struct pcpuref_event event = describe(d, step);

	lockdep_assert_held(&d->lock);

	event.before = before;
	event.after = after;
	count(&event, d);
	event.caller = caller;
	trace(&event);
	if (printing())
		pr_info(EVENT_FORMAT, pcpuref_step_name(step), event.name, event.id,
			event.ref, event.release, pcpuref_mode_name(before),
			pcpuref_mode_name(after), event.count, event.shared,
			event.percpu, event.since_kill);
}

void __pcpuref_trace_dump(const struct pcpuref_info *info)
{
	struct pcpuref_event event = describe_info(info, PCPUREF_STEP_DUMP);

	event.caller = info->killer;
	preempt_disable_notrace();
	trace(&event);
	preempt_enable_notrace();
}

/* --- Misuse ----------------------------------------------------------------- */

/*
 * One report for each place that misuses: for each kind, and for each address that
 * makes the call, or has it found. Who comes after the first is counted. Reports are
 * made in any context, also in NMI, so a place is taken by one cmpxchg() and nothing is
 * allocated. A place is given back when code may come to its address that is another's.
 */
#define PLACES		16

/**
 * struct place - where misuse comes from
 * @address: of the call; ELSEWHERE in the last place of a kind, for all that find no
 *	other; 0 if it is free (atomic)
 * @times: how often it was to be reported from there (atomic)
 */
struct place {
	unsigned long	address;
	atomic_t	times;
};

#define ELSEWHERE	1UL

static struct place places[PCPUREF_NR_MISUSES][PLACES];

/* How often it has come from there, this time included. */
static unsigned int count_place(enum pcpuref_misuse what, unsigned long address)
{
	struct place *place = places[what];
	unsigned long old;
	int i;

	for (i = 0; i < PLACES; i++, place++) {
		unsigned long key = i == PLACES - 1 ? ELSEWHERE : address;

		/* Pairs with the cmpxchg() below and the WRITE_ONCE() of forget_place(). */
		old = READ_ONCE(place->address);
		if (!old)
			old = cmpxchg(&place->address, 0, key);
		if (!old || old == key)
			break;
	}
	return atomic_inc_return(&place->times);
}

static void forget_place(struct place *place)
{
	/*
	 * Whoever counts at the same time counts for the next one: a line may be missed
	 * of code that goes. Pairs with the READ_ONCE() in count_place().
	 */
	atomic_set(&place->times, 0);
	WRITE_ONCE(place->address, 0);
}

/**
 * struct cause - the misuse that has made a count stick
 * @stamp: another one for each that is written; 0 while the rest is being written
 * @id: of which reference
 * @when: in ns of ktime_get_mono_fast_ns()
 * @address: who did it, or had it found; 0 if it is not known, or its code has gone
 * @what: which misuse
 */
struct cause {
	unsigned int		stamp;
	u64			id;
	u64			when;
	unsigned long		address;
	enum pcpuref_misuse	what;
};

/* Of the last so many: a stuck count is rare, and never becomes right again. */
#define CAUSES		64

static struct cause causes[CAUSES];
static atomic_t nr_causes;

/* Any context. Two that write the same place at once have CAUSES between them. */
static void remember_cause(const struct pcpuref_event *event)
{
	struct cause *cause;
	unsigned int stamp;

	if (event->misuse != PCPUREF_EXCESS_PUT && event->misuse != PCPUREF_GET_ON_ZERO &&
	    event->misuse != PCPUREF_OVERFLOW)
		return;
	stamp = atomic_inc_return(&nr_causes);
	cause = &causes[stamp % CAUSES];
	WRITE_ONCE(cause->stamp, 0);
	/* Pairs with the smp_rmb() in __pcpuref_cause() (litmus: r2-cause-overwritten). */
	smp_wmb();
	WRITE_ONCE(cause->id, event->id);
	WRITE_ONCE(cause->when, ktime_get_mono_fast_ns());
	WRITE_ONCE(cause->address, event->caller ?: event->finder);
	WRITE_ONCE(cause->what, event->misuse);
	/* Pairs with the smp_load_acquire() in __pcpuref_cause() (litmus: r1-cause-there). */
	smp_store_release(&cause->stamp, stamp ?: CAUSES);
}

bool __pcpuref_cause(u64 id, struct pcpuref_info *info)
{
	struct cause *cause;
	unsigned int stamp;

	for (cause = causes; cause < causes + CAUSES; cause++) {
		/* Pairs with remember_cause() (litmus: r1-cause-there). */
		stamp = smp_load_acquire(&cause->stamp);
		if (!stamp || READ_ONCE(cause->id) != id)
			continue;
		info->stuck_at = READ_ONCE(cause->when);
		info->stuck_by = READ_ONCE(cause->address);
		info->stuck_misuse = READ_ONCE(cause->what);
		/* Pairs with the smp_wmb() there (litmus: r2-cause-overwritten). */
		smp_rmb();
		if (READ_ONCE(cause->stamp) == stamp)
			return true;
		/* Overwritten meanwhile. */
		info->stuck_at = 0;
	}
	return false;
}

#ifdef CONFIG_MODULES
/* Its code comes or goes: what stood at its addresses is another's. */
void __pcpuref_forget_places(const struct module *module)
{
	unsigned long address;
	int what, i;

	for (what = 0; what < PCPUREF_NR_MISUSES; what++) {
		for (i = 0; i < PLACES; i++) {
			address = READ_ONCE(places[what][i].address);
			if (address && within_module(address, module))
				forget_place(&places[what][i]);
		}
	}
	for (i = 0; i < CAUSES; i++) {
		/* Only for who reads it later, and for nobody if it is written anew. */
		address = READ_ONCE(causes[i].address);
		if (address && within_module(address, module))
			cmpxchg(&causes[i].address, address, 0);
	}
}
#endif

/**
 * pcpuref_report_anew - report each misuse again, also where it has been reported
 *
 * Each place that misuses is reported once, and then counted. After this it is
 * reported once more. The parameter report_anew of the core does the same.
 *
 * Context: any.
 */
void pcpuref_report_anew(void)
{
	int what, i;

	for (what = 0; what < PCPUREF_NR_MISUSES; what++)
		for (i = 0; i < PLACES; i++)
			forget_place(&places[what][i]);
}
EXPORT_SYMBOL_GPL(pcpuref_report_anew);

static int report_anew_set(const char *value, const struct kernel_param *kp)
{
	pcpuref_report_anew();
	return 0;
}

static const struct kernel_param_ops report_anew_ops = { .set = report_anew_set };
module_param_cb(report_anew, &report_anew_ops, NULL, 0200);
MODULE_PARM_DESC(report_anew, "Written: report misuse again, also where it has been reported");

#define COUNT_SIZE	24

static const char *count_text(const struct pcpuref_event *event, char *text)
{
	if (!event->counted)
		return "?";
	scnprintf(text, COUNT_SIZE, "%ld", event->count);
	return text;
}

/* 10, 100, 1000 and so on. */
static bool is_worth_a_line(unsigned int times)
{
	while (times >= 10 && !(times % 10))
		times /= 10;
	return times == 1;
}

/* @place: what to tell places by, if neither caller nor finder is known. */
static noinline void report(const struct pcpuref_event *event, const char *by,
			    unsigned long place)
{
	const char *what = pcpuref_misuse_name(event->misuse);
	unsigned long address = event->caller ?: event->finder;
	unsigned int times = count_place(event->misuse, address ?: place);
	char text[COUNT_SIZE];

	remember_cause(event);
	trace(event);
	if (times > 1) {
		if (is_worth_a_line(times))
			pr_warn("misused %u times, reported once: %s: %s%pS, now name=%s id=%llu\n",
				times, what, address ? by : "caller=unknown ",
				(void *)address, event->name, event->id);
		return;
	}
	if (address)
		WARN(1, KBUILD_MODNAME ": misuse: %s: name=%s release=%ps count=%s %s%pS\n",
		     what, event->name, event->release, count_text(event, text), by,
		     (void *)address);
	else
		WARN(1, KBUILD_MODNAME ": misuse: %s: name=%s release=%ps count=%s caller=unknown\n",
		     what, event->name, event->release, count_text(event, text));
}

/* False if this reference has been reported for that before. */
static bool describe_misuse(struct pcpuref_event *event, struct pcpuref_data *d,
			    enum pcpuref_misuse what)
{
	/* Pairs with the WRITE_ONCE() in __pcpuref_orphan(): then names are gone. */
	if (!READ_ONCE(d->ref) || (atomic_fetch_or(BIT(what), &d->reported) & BIT(what)))
		return false;
	*event = describe(d, PCPUREF_STEP_MISUSE);
	event->misuse = what;
	return true;
}

void __pcpuref_misuse(struct pcpuref_data *d, enum pcpuref_misuse what,
		      unsigned long caller)
{
	struct pcpuref_event event;

	if (!describe_misuse(&event, d, what))
		return;
	count(&event, d);
	event.caller = caller;
	report(&event, "caller=", (unsigned long)d->site);
}

/*
 * Caller has preemption disabled since it found @d; the object that @d belongs to may
 * be gone. The per-CPU counters may go at any time, so while there are some the count
 * is not known.
 */
void __pcpuref_misuse_unlocked(struct pcpuref_data *d, enum pcpuref_misuse what, long old,
			       unsigned long caller)
{
	struct pcpuref_event event;

	if (!describe_misuse(&event, d, what))
		return;
	event.caller = caller;
	event.counted = true;
	/* What was so a moment ago, as far as this is a number at all. */
	event.shared = old <= 0 && old >= -BIAS ? 0 : old - data_race(!!d->own);
	event.count = event.shared;
	/* And here. */
	if (data_race(!!d->biased) || old < -BIAS)
		count_unknown(&event);
	report(&event, "caller=", (unsigned long)d->site);
}

void __pcpuref_misuse_found(struct pcpuref_data *d, enum pcpuref_misuse what)
{
	struct pcpuref_event event;

	if (!describe_misuse(&event, d, what))
		return;
	count(&event, d);
	event.finder = d->requester;
	report(&event, d->live ? "found at the switch by " : "found at the kill by ",
	       (unsigned long)d->site);
}

/* The release function that a reference without data had, as far as it is known. */
static pcpuref_func_t *gone_release(struct pcpuref *ref)
{
	/* Pairs with the smp_store_release() in detach(): no order is needed. */
	const struct pcpuref_data *d = READ_ONCE(ref->data);

	if ((unsigned long)d & GONE)
		return (pcpuref_func_t *)d;
	return d ? d->release : NULL;
}

/* Use of a reference whose data cannot be found: not initialised, or exited. */
void __pcpuref_misuse_gone(struct pcpuref *ref, unsigned long caller)
{
	/* Pairs with the WRITE_ONCE() in detach(), and with the cmpxchg() below. */
	unsigned long word = READ_ONCE(ref->word);
	struct pcpuref_event event = {
		.name = "(none)",
		.module = "(none)",
		.ref = ref,
		.step = PCPUREF_STEP_MISUSE,
		.misuse = word & EXITED ? PCPUREF_USE_AFTER_EXIT : PCPUREF_USE_WITHOUT_INIT,
		.counted = true,
		.since_kill = -1,
		.caller = caller,
	};

	/* A word with counters is in use by somebody: never tag that. */
	if (word & ~ALL_TAGS)
		event.misuse = PCPUREF_USE_MOVED;
	else if ((word & REPORTED) ||
		 cmpxchg(&ref->word, word, word | __PCPUREF_TAGS | REPORTED) != word)
		return;
	/*
	 * The data may belong to another reference: nobody may free it before the last
	 * look at it. Probes expect this, too; tracepoints of 7.x do not disable
	 * preemption any more.
	 */
	preempt_disable_notrace();
	event.release = gone_release(ref);
	report(&event, "caller=", 0);
	preempt_enable_notrace();
}

/*
 * A kill of a reference whose count has stuck, long ago perhaps: whoever waits for the
 * release by means of his own would wait for ever, and without a word.
 */
void __pcpuref_note_hopeless_kill(struct pcpuref_data *d, unsigned long caller)
{
	struct pcpuref_info info = { };
	u64 ms;

	lockdep_assert_held(&d->lock);

	if (!__pcpuref_cause(d->id, &info)) {
		pr_warn_ratelimited("ref %s (id %llu) of module %s will never be released: misuse has made its count stick; killed by %pS\n",
				    __pcpuref_name(d), d->id, d->site->module, (void *)caller);
		return;
	}
	ms = div_u64(pcpuref_elapsed(info.stuck_at, ktime_get_mono_fast_ns()), NSEC_PER_MSEC);
	pr_warn_ratelimited("ref %s (id %llu) of module %s will never be released: %s by %pS has made its count stick %llu ms ago; killed by %pS\n",
			    __pcpuref_name(d), d->id, d->site->module,
			    pcpuref_misuse_name(info.stuck_misuse), (void *)info.stuck_by, ms,
			    (void *)caller);
}

/* Harmless, but worth a line. */
void __pcpuref_note_second_exit(struct pcpuref *ref, unsigned long caller)
{
	pr_notice_ratelimited("exit of an exited reference: release=%ps caller=%pS\n",
			      gone_release(ref), (void *)caller);
}

/* A client's module has gone without exit. @named: with a line of its own. */
void __pcpuref_misuse_left(const struct pcpuref_info *info, bool named)
{
	struct pcpuref_event event = describe_info(info, PCPUREF_STEP_MISUSE);
	char text[COUNT_SIZE];

	event.misuse = PCPUREF_LEFT_BEHIND;
	event.after = PCPUREF_MODE_NONE;
	preempt_disable_notrace();
	trace(&event);
	preempt_enable_notrace();
	if (named)
		pr_err("misuse: module unloaded without exit: module=%s name=%s release=%ps count=%s state=%s mode=%s initialised in %s() at %s:%u\n",
		       info->module, info->name, info->release, count_text(&event, text),
		       pcpuref_state_name(info->state), pcpuref_mode_name(info->mode),
		       info->function, info->file, info->line);
}

EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_init);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_switch);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_kill);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_confirm);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_release);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_reinit);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_resurrect);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_exit);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_misuse);
EXPORT_TRACEPOINT_SYMBOL_GPL(pcpuref_dump);
