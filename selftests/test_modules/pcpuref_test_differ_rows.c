// SPDX-License-Identifier: GPL-2.0-only
/*
 * The differences that are known: where percpu_ref is wrong, or promises less. Labels
 * are those of the design's lists of guarantees (G) and traps (L, U).
 *
 * Not here, since a kernel does not survive them or only a race shows them: L1 (the
 * deadlock itself), L6 and L9 (accesses to what has been freed), L10 (one wait queue),
 * L11 (plain accesses), U1 (a sync that returns too early), U2, G5.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bits.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/irq_work.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/string.h>

#include "pcpuref_inspect.h"
#include "pcpuref_test_differ.h"
#include "compat.h"

/* --- One reference, and what has been heard of it --------------------------- */

static struct one {
	struct differ_ref	ref;
	atomic_t		kill_confirms;
	atomic_t		switches;
	atomic_t		releases;
	/* In the order in which they came. */
	char			log[16];
	atomic_t		logged;
	/* Of where release ran. */
	bool			locked_up;
	bool			in_nmi;
	void			(*in_release)(void);
} one, other;

/*
 * Under a spinlock that was taken by spin_lock_irqsave()? With PREEMPT_RT that leaves
 * interrupts on, but is a section of RCU.
 */
static bool looks_locked(void)
{
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		return rcu_preempt_depth();
	return irqs_disabled();
}

static void told(struct differ_ref *ref, enum differ_event what)
{
	struct one *o = container_of(ref, struct one, ref);
	unsigned int at = atomic_fetch_inc(&o->logged);

	if (at < sizeof(o->log) - 1)
		o->log[at] = what;
	if (what == KILL_CONFIRMED)
		atomic_inc(&o->kill_confirms);
	if (what == SWITCHED)
		atomic_inc(&o->switches);
	if (what != RELEASED)
		return;
	atomic_inc(&o->releases);
	o->locked_up = looks_locked();
	o->in_nmi = in_nmi();
	if (o->in_release)
		o->in_release();
}

static struct differ_ref *begin(const struct differ_ops *ops, struct one *o, unsigned int flags)
{
	memset(o, 0, sizeof(*o));
	o->ref.told = told;
	if (ops->init(&o->ref, flags))
		differ_wrong("%s: init fails", ops->name);
	return &o->ref;
}

/* Both kinds must agree on how it ends: what differs is in between. */
static void end(const struct differ_ops *ops, struct one *o, int kill_confirms, int releases)
{
	differ_settle();
	if (atomic_read(&o->kill_confirms) != kill_confirms)
		differ_wrong("%s: %d confirms of kills, not %d", ops->name,
			     atomic_read(&o->kill_confirms), kill_confirms);
	if (atomic_read(&o->releases) != releases)
		differ_wrong("%s: %d releases, not %d", ops->name,
			     atomic_read(&o->releases), releases);
	ops->exit(&o->ref);
}

static const char *on_rt(void)
{
	return IS_ENABLED(CONFIG_PREEMPT_RT) ? "percpu_ref's lock sleeps on PREEMPT_RT" : NULL;
}

static const char *on_one_cpu(void)
{
	return num_online_cpus() < 2 ? "needs two CPUs" : NULL;
}

/* --- A call in another thread, while this one may not sleep ----------------- */

struct call {
	void			(*func)(struct differ_ref *ref);
	struct differ_ref	*ref;
	struct task_struct	*task;
	bool			entered;
	bool			returned;
};

static int call_main(void *arg)
{
	struct call *call = arg;

	WRITE_ONCE(call->entered, true);
	call->func(call->ref);
	WRITE_ONCE(call->returned, true);
	return 0;
}

static bool call_prepare(struct call *call, void (*func)(struct differ_ref *ref),
			 struct differ_ref *ref)
{
	memset(call, 0, sizeof(*call));
	call->func = func;
	call->ref = ref;
	/* The caller spins on the first CPU. */
	set_cpus_allowed_ptr(current, cpumask_of(cpumask_first(cpu_online_mask)));
	call->task = kthread_create(call_main, call, "pcpuref_differ");
	if (IS_ERR(call->task)) {
		differ_wrong("no thread");
		return false;
	}
	get_task_struct(call->task);
	kthread_bind(call->task, cpumask_last(cpu_online_mask));
	return true;
}

/* True if it returns, and does not sleep or spin until this thread goes on. */
static bool call_returns(struct call *call)
{
	int ms;

	wake_up_process(call->task);
	for (ms = 0; ms < 3000 && !READ_ONCE(call->entered); ms++)
		mdelay(1);
	if (ms == 3000)
		differ_wrong("a thread does not start");
	for (ms = 0; ms < 1000 && !READ_ONCE(call->returned); ms++)
		mdelay(1);
	return READ_ONCE(call->returned);
}

static void call_end(struct call *call)
{
	kthread_stop(call->task);
	put_task_struct(call->task);
	set_cpus_allowed_ptr(current, cpu_possible_mask);
}

/* --- Observations ----------------------------------------------------------- */

static long release_in_kill(const struct differ_ops *ops)
{
	struct differ_ref *ref = begin(ops, &one, PERCPU_REF_INIT_ATOMIC);
	bool locked;

	ops->kill(ref);
	locked = one.locked_up;
	end(ops, &one, 0, 1);
	return locked;
}

static struct call other_kill;
static bool other_returned;

static void let_other_kill(void)
{
	other_returned = call_returns(&other_kill);
}

static long kill_of_another(const struct differ_ops *ops)
{
	struct differ_ref *second = begin(ops, &other, 0);
	struct differ_ref *first = begin(ops, &one, PERCPU_REF_INIT_ATOMIC);

	if (!call_prepare(&other_kill, ops->kill, second))
		return -1;
	one.in_release = let_other_kill;
	ops->kill(first);
	call_end(&other_kill);
	end(ops, &one, 0, 1);
	end(ops, &other, 0, 1);
	return !other_returned;
}

/* In a section of RCU, which a grace period would have to wait for. */
static long early_kill_confirm(const struct differ_ops *ops)
{
	struct differ_ref *ref = begin(ops, &one, PERCPU_REF_INIT_ATOMIC);
	long early;

	rcu_read_lock();
	ops->kill_seen(ref);
	early = atomic_read(&one.kill_confirms);
	rcu_read_unlock();
	end(ops, &one, 1, 1);
	return early;
}

static long early_switch_confirm(const struct differ_ops *ops)
{
	struct differ_ref *ref = begin(ops, &one, PERCPU_REF_INIT_ATOMIC);
	long early;

	rcu_read_lock();
	ops->to_atomic_seen(ref);
	early = atomic_read(&one.switches);
	rcu_read_unlock();
	differ_settle();
	if (atomic_read(&one.switches) != 1)
		differ_wrong("%s: %d confirms of a switch", ops->name,
			     atomic_read(&one.switches));
	ops->kill(ref);
	end(ops, &one, 0, 1);
	return early;
}

static long live_looks_dead(const struct differ_ops *ops)
{
	struct differ_ref *ref = begin(ops, &one, 0);
	bool dying, got;

	ops->to_atomic_sync(ref);
	dying = ops->is_dying(ref);
	got = ops->tryget_live(ref, 1);
	if (got)
		ops->put(ref, 1);
	/* Who takes it for dead warns of a second kill. */
	if (!dying)
		ops->kill(ref);
	end(ops, &one, 0, !dying);
	return dying | !got << 1;
}

/* Three calls that meet a switch in flight; in percpu_ref they sleep until it is over. */
static long lost_confirm(const struct differ_ops *ops)
{
	void (* const funcs[])(struct differ_ref *ref) = {
		ops->to_percpu, ops->kill_seen, ops->resurrect,
	};
	struct differ_ref *ref = begin(ops, &one, PERCPU_REF_ALLOW_REINIT);
	struct call calls[ARRAY_SIZE(funcs)];
	long lost;
	int i;

	for (i = 0; i < ARRAY_SIZE(funcs); i++)
		if (!call_prepare(&calls[i], funcs[i], ref))
			return -1;
	/* This reader keeps the grace period of the switch open. */
	rcu_read_lock();
	ops->to_atomic(ref);
	for (i = 0; i < ARRAY_SIZE(funcs); i++)
		call_returns(&calls[i]);
	rcu_read_unlock();
	for (i = 0; i < ARRAY_SIZE(funcs); i++)
		call_end(&calls[i]);
	differ_settle();
	lost = 1 - atomic_read(&one.kill_confirms);
	ops->kill(ref);
	end(ops, &one, 1 - lost, 1);
	return lost;
}

static long kill_waits(const struct differ_ops *ops)
{
	struct differ_ref *ref = begin(ops, &one, PERCPU_REF_ALLOW_REINIT);
	struct call call;
	bool returned;

	if (!call_prepare(&call, ops->kill, ref))
		return -1;
	rcu_read_lock();
	ops->to_atomic(ref);
	returned = call_returns(&call);
	rcu_read_unlock();
	call_end(&call);
	end(ops, &one, 0, 1);
	return !returned;
}

static bool interrupted;

static void interrupt(struct irq_work *work)
{
	WRITE_ONCE(interrupted, true);
}

static long interrupts_come_on(const struct differ_ops *ops)
{
	struct differ_ref *ref = begin(ops, &one, PERCPU_REF_ALLOW_REINIT);
	static struct irq_work work;
	unsigned long flags;
	bool early;

	init_irq_work(&work, interrupt);
	WRITE_ONCE(interrupted, false);
	local_irq_save(flags);
	ops->to_atomic(ref);
	/* Must stay pending until interrupts are on. */
	irq_work_queue(&work);
	ops->kill(ref);
	early = READ_ONCE(interrupted);
	local_irq_restore(flags);
	irq_work_sync(&work);
	end(ops, &one, 0, 1);
	return early;
}

static long zero_after_exit(const struct differ_ops *ops)
{
	struct differ_ref *ref = begin(ops, &one, PERCPU_REF_INIT_ATOMIC);

	ops->get(ref, BIT(BITS_PER_LONG - 2) - 1);
	end(ops, &one, 0, 0);
	return ops->is_zero(ref);
}

static long tryget_after_put_too_many(const struct differ_ops *ops)
{
	struct differ_ref *ref = begin(ops, &one, PERCPU_REF_INIT_ATOMIC);
	bool got;

	ops->kill(ref);
	ops->put(ref, 1);
	got = ops->tryget(ref, 1);
	end(ops, &one, 0, 1);
	return got;
}

static long releases_of_one_life(const struct differ_ops *ops)
{
	struct differ_ref *ref = begin(ops, &one, PERCPU_REF_INIT_ATOMIC);
	long releases;

	ops->kill(ref);
	ops->get(ref, 1);
	ops->put(ref, 1);
	releases = atomic_read(&one.releases);
	end(ops, &one, 0, releases);
	return releases;
}

static long exit_with_one_out(const struct differ_ops *ops)
{
	struct differ_ref *ref = begin(ops, &one, PERCPU_REF_INIT_ATOMIC);

	ops->get(ref, 1);
	end(ops, &one, 0, 0);
	return 0;
}

static long to_percpu_without_reinit(const struct differ_ops *ops)
{
	struct differ_ref *ref = begin(ops, &one, 0);

	ops->to_percpu(ref);
	ops->kill(ref);
	end(ops, &one, 0, 1);
	return 0;
}

static void ask_for_confirms(const struct differ_ops *ops, struct differ_ref *ref)
{
	ops->to_atomic_seen(ref);
	ops->kill_seen(ref);
	ops->to_atomic_seen(ref);
}

/*
 * The confirm of a switch is asked for again, after that of a kill, while the first one
 * is still to come. A reader sees to that, unless the calls wait for it.
 */
static long order_of_confirms(const struct differ_ops *ops)
{
	struct differ_ref *ref = begin(ops, &one, PERCPU_REF_ALLOW_REINIT);
	bool reordered;

	/* So that release comes after them, whatever their order. */
	ops->get(ref, 1);
	if (ops == differ_kinds[THEIRS]) {
		ask_for_confirms(ops, ref);
	} else {
		rcu_read_lock();
		ask_for_confirms(ops, ref);
		rcu_read_unlock();
	}
	differ_settle();
	reordered = !strcmp(one.log, "SSK");
	if (!reordered && strcmp(one.log, "SKS"))
		differ_wrong("%s: confirms %s", ops->name, one.log);
	ops->put(ref, 1);
	end(ops, &one, 1, 1);
	return reordered;
}

#ifdef TEST_HAVE_NMI
static const struct differ_ops *nmi_ops;
static int nmi_cpu = -1;
static bool nmi_done;

static int put_in_nmi(unsigned int type, struct pt_regs *regs)
{
	if (READ_ONCE(nmi_cpu) != raw_smp_processor_id())
		return NMI_DONE;
	WRITE_ONCE(nmi_cpu, -1);
	nmi_ops->put(&one.ref, 1);
	WRITE_ONCE(nmi_done, true);
	return NMI_HANDLED;
}

static long release_in_nmi(const struct differ_ops *ops)
{
	struct differ_ref *ref = begin(ops, &one, PERCPU_REF_INIT_ATOMIC);
	int ms;

	nmi_ops = ops;
	WRITE_ONCE(nmi_done, false);
	ops->get(ref, 1);
	ops->kill(ref);
	if (register_nmi_handler(NMI_LOCAL, put_in_nmi, 0, "pcpuref_differ")) {
		differ_wrong("no NMI handler");
		return -1;
	}
	WRITE_ONCE(nmi_cpu, cpumask_first(cpu_online_mask));
	test_send_nmi(READ_ONCE(nmi_cpu));
	for (ms = 0; ms < 3000 && !(READ_ONCE(nmi_done) && atomic_read(&one.releases)); ms += 20)
		msleep(20);
	unregister_nmi_handler(NMI_LOCAL, "pcpuref_differ");
	end(ops, &one, 0, 1);
	return one.in_nmi;
}

static const char *without_nmi(void)
{
	return NULL;
}
#else
static long release_in_nmi(const struct differ_ops *ops)
{
	return -1;
}

static const char *without_nmi(void)
{
	return "no way to send an NMI on this architecture";
}
#endif

/* --- The list --------------------------------------------------------------- */

#define EARLY_KILL_CONFIRM	2
#define EARLY_SWITCH_CONFIRM	3
#define ORDER			14

struct differ_row differ_rows[] = {
	{
		.name = "L1_G3_release_under_lock",
		.question = "atomic mode, kill: does release run under a lock?",
		.answer = { 1, 0 },
		.observe = release_in_kill,
	}, {
		.name = "U3_G9_one_lock",
		.question = "does a kill wait for the release of another reference?",
		.answer = { 1, 0 },
		.observe = kill_of_another,
		.why_not = on_one_cpu,
	},
	[EARLY_KILL_CONFIRM] = {
		.name = "L2_G2_kill_confirm",
		.question = "atomic mode, kill_and_confirm: confirms before a grace period?",
		.answer = { 1, 0 },
		.observe = early_kill_confirm,
	},
	[EARLY_SWITCH_CONFIRM] = {
		.name = "L2_G2_switch_confirm",
		.question = "atomic mode, switch_to_atomic: confirms before a grace period?",
		.answer = { 1, 0 },
		.observe = early_switch_confirm,
	}, {
		.name = "L3_live_looks_dead",
		.question = "flags 0, switch_to_atomic_sync: is_dying 1, no tryget_live 2",
		.answer = { 3, 0 },
		.observe = live_looks_dead,
	}, {
		.name = "L4_G2_lost_confirm",
		.question = "kill and resurrect while a switch is in flight: confirms lost?",
		.answer = { 1, 0 },
		.observe = lost_confirm,
		.why_not = on_one_cpu,
	}, {
		.name = "G4_kill_waits",
		.question = "does a kill wait for the end of a switch in flight?",
		.answer = { 1, 0 },
		.observe = kill_waits,
		.why_not = on_one_cpu,
	}, {
		.name = "L5_G4_interrupts",
		.question = "does a kill with interrupts off let an interrupt in?",
		.answer = { 1, 0 },
		.observe = interrupts_come_on,
		.why_not = on_rt,
	}, {
		.name = "L7_zero_after_exit",
		.question = "exit with 2^62 references out (2^30 on 32 bit): is_zero?",
		.answer = { 1, 0 },
		.observe = zero_after_exit,
		.report = "exit with references out",
	}, {
		.name = "L8_G6_put_too_many",
		.question = "a put of what is released: does a tryget succeed then?",
		.answer = { 1, 0 },
		.observe = tryget_after_put_too_many,
		.report = "put without a reference",
	}, {
		.name = "G3_G6_released_twice",
		.question = "a get and a put of what is released: how many releases?",
		.answer = { 2, 1 },
		.observe = releases_of_one_life,
		.report = "get on a released reference",
	}, {
		.name = "G1_release_in_nmi",
		.question = "last put in an NMI: does release run there?",
		.answer = { 1, 0 },
		.observe = release_in_nmi,
		.why_not = without_nmi,
	}, {
		.name = "U5_G7_exit_with_references",
		.question = "exit with a reference out: what does the log say?",
		.observe = exit_with_one_out,
		.report = "exit with references out",
	}, {
		.name = "to_percpu_without_reinit",
		.question = "flags 0, switch_to_percpu in per-CPU mode: what does the log say?",
		.observe = to_percpu_without_reinit,
		.report = "back to per-CPU mode without ALLOW_REINIT",
	},
	[ORDER] = {
		.name = "order_of_confirms",
		.question = "a confirm asked again, after another: do they change places?",
		.answer = { 0, 1 },
		.observe = order_of_confirms,
	},
	{ }
};

struct differ_row *const differ_early_kill_confirm = &differ_rows[EARLY_KILL_CONFIRM];
struct differ_row *const differ_early_switch_confirm = &differ_rows[EARLY_SWITCH_CONFIRM];
struct differ_row *const differ_order = &differ_rows[ORDER];

/* See struct differ_row. */
void differ_show(struct differ_row *row)
{
	long answer[SIDES];
	int side;

	for (side = 0; side < SIDES; side++) {
		if (side == OURS && row->report)
			pr_info("pcpuref-expect: misuse: %s: name=of(ref) release=differ_release\n",
				row->report);
		pcpuref_report_anew();
		answer[side] = row->observe(differ_kinds[side]);
	}
	if (row->answer[THEIRS] == row->answer[OURS])
		differ_did("%s percpu_ref: nothing, pcpuref: %s", row->question, row->report);
	else
		differ_did("%s percpu_ref: %ld, pcpuref: %ld", row->question, answer[THEIRS],
			   answer[OURS]);
	if (answer[OURS] != row->answer[OURS])
		differ_wrong("%s pcpuref: %ld, must be %ld", row->question, answer[OURS],
			     row->answer[OURS]);
	else if (answer[THEIRS] == row->answer[THEIRS])
		return;
	else if (answer[THEIRS] == row->answer[OURS])
		differ_wrong("no longer differs, take it off the list: %s both: %ld",
			     row->question, answer[OURS]);
	else
		differ_wrong("%s percpu_ref: %ld, not %ld", row->question, answer[THEIRS],
			     row->answer[THEIRS]);
}
