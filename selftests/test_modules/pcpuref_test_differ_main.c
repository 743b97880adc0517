// SPDX-License-Identifier: GPL-2.0-only
/*
 * percpu_ref and pcpuref must answer alike, on the same kernel, but where percpu_ref
 * is known to be wrong. This has a case for each difference that is known, one for each
 * of two promises, one with random sequences of calls, and one with a storm from all CPUs.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/random.h>
#include <linux/rcupdate.h>

#include "pcpuref_test_differ.h"
#include "pcpuref_test.h"

static unsigned int seconds = 5;
module_param(seconds, uint, 0444);
MODULE_PARM_DESC(seconds, "How long the sequences and the storm last, each");

static unsigned int seed;
module_param(seed, uint, 0644);
MODULE_PARM_DESC(seed, "The first sequence's seed, each next one has one more; 0: any");

static unsigned int sequences;
module_param(sequences, uint, 0644);
MODULE_PARM_DESC(sequences, "How many sequences, 0: as many as there is time for");

static char did[600];
module_param_string(did, did, sizeof(did), 0444);
MODULE_PARM_DESC(did, "What the last case has done, lines");

static unsigned int rows;
module_param(rows, uint, 0444);
MODULE_PARM_DESC(rows, "How many known differences there are: the first cases");

const struct differ_ops *const differ_kinds[SIDES] = {
	[THEIRS] = &differ_kernel,
	[OURS] = &differ_pcpuref,
};

/* --- What the parts tell ------------------------------------------------------- */

static atomic_t wrongs;
static char wrong[240];

void differ_wrong(const char *fmt, ...)
{
	va_list args;

	if (atomic_inc_return(&wrongs) > 1)
		return;
	va_start(args, fmt);
	vscnprintf(wrong, sizeof(wrong), fmt, args);
	va_end(args);
	pr_err("%s\n", wrong);
}

bool differ_is_wrong(void)
{
	return atomic_read(&wrongs);
}

void differ_did(const char *fmt, ...)
{
	size_t len = strlen(did);
	va_list args;

	va_start(args, fmt);
	vscnprintf(did + len, sizeof(did) - len, fmt, args);
	va_end(args);
	pr_info("%s\n", did + len);
	len = strlen(did);
	scnprintf(did + len, sizeof(did) - len, "\n");
}

void differ_settle(void)
{
	/* What percpu_ref has handed to RCU leads to nothing further. */
	rcu_barrier();
	pcpuref_barrier();
}

/* --- CPUs ----------------------------------------------------------------------- */

static atomic_t offlined;
static int hotplug_state;

static int cpu_goes_offline(unsigned int cpu)
{
	atomic_inc(&offlined);
	return 0;
}

unsigned int differ_offlined(void)
{
	return atomic_read(&offlined);
}

/*
 * Not while a CPU comes or goes: the scheduler lets a kernel thread move to a CPU that is
 * half gone, and does not get it off again.
 */
bool differ_go_to(unsigned int cpu)
{
	bool moved = false;

	if (!cpus_read_trylock())
		return false;
	if (cpu_online(cpu))
		moved = !set_cpus_allowed_ptr(current, cpumask_of(cpu));
	cpus_read_unlock();
	return moved;
}

/* --- Cases ----------------------------------------------------------------------- */

#define MAX_CASES 24

static struct test_case cases[MAX_CASES + 1];

static void begin_case(void)
{
	wrong[0] = '\0';
	did[0] = '\0';
	atomic_set(&wrongs, 0);
}

static void end_case(struct test *t)
{
	/* Whatever is wrong, nothing shall be in flight when the next one begins. */
	differ_settle();
	if (differ_is_wrong()) {
		t->failed = 1;
		scnprintf(t->why, sizeof(t->why), "%s", wrong);
	}
}

static void run_row(struct test *t)
{
	struct differ_row *row = &differ_rows[t->c - cases];

	begin_case();
	if (row->why_not)
		t->skipped = row->why_not();
	if (!t->skipped)
		differ_show(row);
	end_case(t);
}

static unsigned int told;

static void count_told(struct differ_ref *ref, enum differ_event what)
{
	WRITE_ONCE(told, told + 1);
}

/*
 * A kill that is confirmed, while a switch is in flight: what a module does before it
 * goes waits for all that comes of it.
 */
static void run_barrier(struct test *t)
{
	static struct differ_ref ref;
	int side;

	begin_case();
	for (side = 0; side < SIDES; side++) {
		const struct differ_ops *ops = differ_kinds[side];

		WRITE_ONCE(told, 0);
		ref.told = count_told;
		if (ops->init(&ref, PERCPU_REF_ALLOW_REINIT)) {
			differ_wrong("no memory");
			break;
		}
		ops->to_atomic(&ref);
		ops->kill_seen(&ref);
		ops->wait();
		if (READ_ONCE(told) != 2)
			differ_wrong("%s: callbacks before the end of rcu_barrier(): %u, not 2",
				     ops->name, READ_ONCE(told));
		differ_settle();
		ops->exit(&ref);
	}
	end_case(t);
}

/* What was given must have been taken, and is put again. */
static void expect_got(const struct differ_ops *ops, struct differ_ref *ref, const char *call,
		       bool got, unsigned long nr, bool right)
{
	if (got != right)
		differ_wrong("%s: %s of what is dying, and held, is %d", ops->name, call, got);
	if (got)
		ops->put(ref, nr);
}

/* Killed, and not released: who holds one may get more, who looks it up gets none. */
static void expect_dying(const struct differ_ops *ops, struct differ_ref *ref)
{
	expect_got(ops, ref, "tryget", ops->tryget(ref, 1), 1, true);
	expect_got(ops, ref, "tryget_many", ops->tryget(ref, 3), 3, true);
	expect_got(ops, ref, "tryget_live", ops->tryget_live(ref, 1), 1, false);
	expect_got(ops, ref, "tryget_live_rcu", ops->tryget_live_rcu(ref, 1), 1, false);
	if (!ops->is_dying(ref) || ops->is_zero(ref))
		differ_wrong("%s: a held reference is not dying", ops->name);
}

static void run_dying(struct test *t)
{
	static const unsigned int flags[] = { 0, PERCPU_REF_INIT_ATOMIC };
	static struct differ_ref ref;
	unsigned int i;

	begin_case();
	for (i = 0; i < SIDES * ARRAY_SIZE(flags); i++) {
		const struct differ_ops *ops = differ_kinds[i % SIDES];

		WRITE_ONCE(told, 0);
		ref.told = count_told;
		if (ops->init(&ref, flags[i / SIDES])) {
			differ_wrong("no memory");
			break;
		}
		ops->get(&ref, 1);
		ops->kill(&ref);
		/* The switch may be in flight, and then is over. */
		expect_dying(ops, &ref);
		differ_settle();
		expect_dying(ops, &ref);
		if (READ_ONCE(told))
			differ_wrong("%s: released while held", ops->name);
		ops->put(&ref, 1);
		differ_settle();
		if (READ_ONCE(told) != 1)
			differ_wrong("%s: %u releases", ops->name, READ_ONCE(told));
		ops->exit(&ref);
	}
	end_case(t);
}

static void run_sequences(struct test *t)
{
	begin_case();
	differ_sequences(seconds, seed ?: get_random_u32(), sequences);
	end_case(t);
}

static void run_storm(struct test *t)
{
	begin_case();
	differ_storm(seconds, seed ?: get_random_u32());
	end_case(t);
}

static int __init differ_init(void)
{
	int i;

	for (i = 0; differ_rows[i].name && i < MAX_CASES - 4; i++) {
		cases[i].name = differ_rows[i].name;
		cases[i].run = run_row;
	}
	if (differ_rows[i].name)
		return -E2BIG;
	rows = i;
	cases[i].name = "barrier";
	cases[i++].run = run_barrier;
	cases[i].name = "dying";
	cases[i++].run = run_dying;
	cases[i].name = "sequences";
	cases[i++].run = run_sequences;
	cases[i].name = "storm";
	cases[i].run = run_storm;
	WRITE_ONCE(test_limit_s, seconds + 120);

	hotplug_state = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "pcpuref_test_differ:online",
						  NULL, cpu_goes_offline);
	return hotplug_state < 0 ? hotplug_state : 0;
}

static void __exit differ_exit(void)
{
	cpuhp_remove_state_nocalls(hotplug_state);
	differ_settle();
}

module_init(differ_init);
module_exit(differ_exit);

TEST_MODULE(cases, "percpu_ref and pcpuref answer alike");
