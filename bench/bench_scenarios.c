// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is measured of a reference, as a client of percpu_ref writes it. No object is
 * made of this file: bench_kernel.c compiles it for the kernel's percpu_ref,
 * bench_pcpuref.c for pcpuref, and bench_tasks.c, bench_inline.c and bench_lazy.c
 * for a pcpuref with the option of that name. A header that is included here is
 * read before percpu_ref can mean pcpuref.
 *
 * Their part: SUBJECT, the name in C, NAME, the one in the table, and FLAGS for
 * every init.
 */
#include "bench.h"

static void nothing(struct percpu_ref *ref)
{
}

static inline int new(struct percpu_ref *ref, percpu_ref_func_t *release, unsigned int flags)
{
	return percpu_ref_init(ref, release, flags | FLAGS, GFP_KERNEL);
}

/* --- Gets and puts -------------------------------------------------------- */

static struct percpu_ref live, atomic;

PAIRS(get_put, percpu_ref_get(&live), percpu_ref_put(&live))
PAIRS(live_put, must(percpu_ref_tryget_live(&live)), percpu_ref_put(&live))
PAIRS(atomic_get_put, percpu_ref_get(&atomic), percpu_ref_put(&atomic))
PAIRS(atomic_live_put, must(percpu_ref_tryget_live(&atomic)), percpu_ref_put(&atomic))

/* What a get and nothing else compiles to. */
static noinline void one_get(struct percpu_ref *ref)
{
	percpu_ref_get(ref);
}

/* --- Steps ---------------------------------------------------------------- */

#define LIVES	64

static struct percpu_ref refs[LIVES];
static DECLARE_COMPLETION(done);

static void complete_done(struct percpu_ref *ref)
{
	complete(&done);
}

/* So often that what is freed after grace periods has to be paid, too. */
#define ROUNDS_OF_LIVES	400

static u64 init_exit(void)
{
	u64 start = ktime_get_ns();
	int round, i, n = LIVES;

	for (round = 0; n == LIVES && round < ROUNDS_OF_LIVES; round++) {
		for (n = 0; n < LIVES; n++)
			if (new(&refs[n], nothing, 0))
				break;
		for (i = 0; i < n; i++)
			percpu_ref_exit(&refs[i]);
		cond_resched();
	}
	return n == LIVES ? div_u64(ktime_get_ns() - start, LIVES * ROUNDS_OF_LIVES) : 0;
}

/* From a kill to what completes "done": the confirmation or the release. */
static u64 kill_step(percpu_ref_func_t *release, percpu_ref_func_t *confirm)
{
	u64 start, end;

	reinit_completion(&done);
	if (new(&refs[0], release, PERCPU_REF_ALLOW_REINIT))
		return 0;
	start = ktime_get_ns();
	percpu_ref_kill_and_confirm(&refs[0], confirm);
	wait_for_completion(&done);
	end = ktime_get_ns();
	bench_settle();
	percpu_ref_exit(&refs[0]);
	return end - start;
}

static u64 to_confirm(void)
{
	return kill_step(nothing, complete_done);
}

static u64 to_release(void)
{
	return kill_step(complete_done, NULL);
}

static u64 round_trip(void)
{
	u64 start = ktime_get_ns();

	percpu_ref_switch_to_atomic_sync(&live);
	percpu_ref_switch_to_percpu(&live);
	return ktime_get_ns() - start;
}

/* --- Many ----------------------------------------------------------------- */

static struct percpu_ref *many;
static atomic_t alive, next_victim;
static u64 first_kill, last_release;

static void dead(struct percpu_ref *ref)
{
	if (atomic_dec_and_test(&alive)) {
		last_release = ktime_get_ns();
		complete(&done);
	}
}

static unsigned int new_many(unsigned int flags)
{
	unsigned int n;

	reinit_completion(&done);
	atomic_set(&alive, mass);
	for (n = 0; n < mass; n++)
		if (new(&many[n], dead, flags))
			break;
	return n;
}

static void kill_many(unsigned int unused)
{
	int i;

	while ((i = atomic_inc_return(&next_victim)) < mass) {
		if (!i)
			first_kill = ktime_get_ns();
		percpu_ref_kill(&many[i]);
	}
}

/* All CPUs at once. Time from the first kill to the last release. */
static u64 mass_kill(void)
{
	unsigned int i, n = new_many(PERCPU_REF_ALLOW_REINIT);
	u64 ns = 0;

	atomic_set(&next_victim, -1);
	if (n == mass && bench_on_cpus(kill_many, num_online_cpus())) {
		wait_for_completion(&done);
		ns = last_release - first_kill;
	}
	bench_settle();
	for (i = 0; i < n; i++)
		percpu_ref_exit(&many[i]);
	return ns;
}

/*
 * Whole lives, many at a time: init, kill, release, exit, and what they leave to
 * be freed. One figure is the mean of all. Several times, since who frees by RCU
 * waits for it once more at the end, and that is no cost of a life.
 */
#define ROUNDS_OF_LIFE	16

static u64 life(void)
{
	u64 start = ktime_get_ns();
	unsigned int i, n = mass;
	int round;

	for (round = 0; n == mass && round < ROUNDS_OF_LIFE; round++) {
		n = new_many(0);
		for (i = 0; i < n; i++)
			percpu_ref_kill(&many[i]);
		if (n == mass)
			wait_for_completion(&done);
		else
			bench_settle();
		for (i = 0; i < n; i++)
			percpu_ref_exit(&many[i]);
	}
	rcu_barrier();
	return n == mass ? div_u64(ktime_get_ns() - start, ROUNDS_OF_LIFE * mass) : 0;
}

/* -------------------------------------------------------------------------- */

static int start(void)
{
	int err = new(&live, nothing, PERCPU_REF_ALLOW_REINIT);

	if (err)
		return err;
	err = new(&atomic, nothing, PERCPU_REF_INIT_ATOMIC);
	if (err)
		goto exit_live;
	many = kvcalloc(mass, sizeof(*many), GFP_KERNEL);
	if (many)
		return 0;
	err = -ENOMEM;
	percpu_ref_exit(&atomic);
exit_live:
	percpu_ref_exit(&live);
	return err;
}

static void end(void)
{
	kvfree(many);
	percpu_ref_exit(&atomic);
	percpu_ref_exit(&live);
}

const struct subject SUBJECT = {
	.name = NAME,
	.init = start,
	.exit = end,
	.rows = {
		[GET_PUT].loop = get_put,
		[LIVE_PUT].loop = live_put,
		[ATOMIC_GET_PUT].loop = atomic_get_put,
		[ATOMIC_LIVE_PUT].loop = atomic_live_put,
		[INIT_EXIT].once = init_exit,
		[TO_CONFIRM].once = to_confirm,
		[TO_RELEASE].once = to_release,
		[ROUND_TRIP].once = round_trip,
		[MASS_KILL].once = mass_kill,
		[LIFE].once = life,
	},
	.one_get = one_get,
};
