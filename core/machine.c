// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state machine: what a reference goes through between its requests. All state
 * but the count stands under the reference's own lock. A request changes what is
 * wanted and settles; settle() takes what steps are possible. While a grace period
 * is under way none is, and its end settles again. So a request never waits. If it
 * meets a grace period in flight and needs one of its own, that one begins when the
 * first is over.
 *
 * From per-CPU to atomic mode:
 *
 *   word: counters      word: counters|ATOMIC          word: counters|ATOMIC
 *   count: BIAS+x       count: BIAS+x+(slow adds)      count: x+sum
 *   ------------------+------------------------------+---------------------->
 *      per-CPU mode   |  switching: a grace period    |  atomic mode
 *                tag word                    sum, then one add
 *
 * A CPU that saw the untagged word adds to its counter with preemption disabled
 * since before it looked. When the grace period is over there is no such CPU, the
 * counters stand still, and what they hold is visible. One addition moves the sum
 * over and the bias out, so no intermediate value exists that a put could take for
 * zero. Back to per-CPU mode needs no grace period: an addition to the shared
 * counter is right in every mode.
 */
#include <linux/atomic.h>
#include <linux/bottom_half.h>
#include <linux/kernel.h>
#include <linux/spinlock.h>

#include "rooms.h"

/* What settling leaves to be done, by __pcpuref_unlock_settled() and __pcpuref_run(). */
#define TODO_GRACE_PERIOD	BIT(0)
#define TODO_RELEASE		BIT(1)

/* --- The lock, and the word ------------------------------------------------- */

/*
 * Interrupts are off from before the data is found, which makes this a reader of
 * the grace period that frees it.
 */
struct pcpuref_data *__pcpuref_lock(struct pcpuref *ref, unsigned long *flags)
{
	struct pcpuref_data *d;

	local_irq_save(*flags);
	d = __pcpuref_data(ref);
	if (d) {
		raw_spin_lock(&d->lock);
		if (d->ref == ref) {
			/* Sparse cannot follow a lock that is taken or not. */
			__release(&d->lock);
			return d;
		}
		raw_spin_unlock(&d->lock);
	}
	local_irq_restore(*flags);
	return NULL;
}

void __pcpuref_unlock(struct pcpuref_data *d, unsigned long flags)
{
	__acquire(&d->lock);
	raw_spin_unlock_irqrestore(&d->lock, flags);
}

void __pcpuref_tag(struct pcpuref_data *d, unsigned long tags)
{
	lockdep_assert_held(&d->lock);
	d->tagged = !!(tags & __PCPUREF_ATOMIC);
	/*
	 * One store, all tags. Pairs with the READ_ONCE() in __pcpuref_add(), by the
	 * grace period (litmus: a1-kill-get, a2-kill-get-callback).
	 */
	WRITE_ONCE(d->ref->word, (unsigned long)d->counters | tags | d->tags);
}

/* --- Zero and release ------------------------------------------------------- */

void __pcpuref_stick(struct pcpuref_data *d, bool dead)
{
	/*
	 * The flag first: fold() looks at it a grace period later (litmus: b6-stick-fold).
	 * Pairs with the READ_ONCE() of all who look; a late one sticks at its next touch.
	 */
	WRITE_ONCE(d->stuck, true);
	atomic_long_set(&d->count, dead ? DEAD : LEAKED);
}

static bool is_stuck(const struct pcpuref_data *d)
{
	/* Pairs with the WRITE_ONCE() in __pcpuref_stick(). */
	return READ_ONCE(d->stuck);
}

/*
 * Under the lock it shows that there are fewer references than the core itself
 * holds: release is not to come in this life. @caller: whose put it was, or 0 if
 * that is not known.
 */
static unsigned int leak(struct pcpuref_data *d, unsigned long caller)
{
	lockdep_assert_held(&d->lock);

	if (!is_stuck(d)) {
		if (caller)
			__pcpuref_misuse(d, PCPUREF_EXCESS_PUT, caller);
		else
			__pcpuref_misuse_found(d, PCPUREF_EXCESS_PUT);
		__pcpuref_stick(d, d->zero);
	}
	__pcpuref_wake_failed(d, true, -ENOTRECOVERABLE);
	return 0;
}

/* Somebody has to call release: whoever is at it already, or the caller. */
static unsigned int start_release(struct pcpuref_data *d)
{
	lockdep_assert_held(&d->lock);

	if (d->releasing)
		return 0;
	d->releasing = true;
	__pcpuref_pin(d);
	/* Also if it will be called in a put: that may be another module's. */
	__pcpuref_in_flight(d->client);
	return TODO_RELEASE;
}

/* PCPUREF_ALLOW_ZERO: zero of a live reference, which a get may leave again. */
static unsigned int visit_zero(struct pcpuref_data *d)
{
	lockdep_assert_held(&d->lock);

	/* More than that at once are told as one. */
	if (d->zeroes < U8_MAX)
		d->zeroes++;
	/* While it is dying: when it is resurrected, if at all. */
	return d->live ? start_release(d) : 0;
}

/*
 * The count has come to zero: end this life. Somebody without a reference may have got
 * or put in between, and has seen zero then, and reports it: so release must not come.
 *
 * The RMW is fully ordered: release, and who is told that it is zero, see what was done
 * before each put (litmus: f1-lastput-iszero, b4-put-claim).
 */
static unsigned int mark_zero(struct pcpuref_data *d)
{
	lockdep_assert_held(&d->lock);

	if (atomic_long_cmpxchg(&d->count, 0, DEAD) != 0) {
		__pcpuref_stick(d, false);
		__pcpuref_wake_failed(d, true, -ENOTRECOVERABLE);
		return 0;
	}
	/* After the RMW: pairs with the smp_load_acquire() in pcpuref_is_zero(). */
	WRITE_ONCE(d->zero, true);
	d->ended++;
	/* One release for this zero and for those before that were not told yet. */
	d->zeroes = 0;
	return start_release(d);
}

/* A put came to zero and holds nothing any more. */
unsigned int __pcpuref_reached_zero(struct pcpuref_data *d, unsigned long caller)
{
	lockdep_assert_held(&d->lock);

	if (d->claimed) {
		d->claimed--;
		return 0;
	}
	if (!d->ref)
		return 0;
	if (__pcpuref_allows_zero(d)) {
		bool still = !atomic_long_read(&d->count);

		if (d->live ? !(d->own && still) : !still && !d->zero)
			return visit_zero(d);
		/* This zero was before the kill. Another put or drop() has ended the life. */
		if (!still)
			return 0;
	}
	/* A reference of the core's own, which is not the caller's to drop. */
	if (d->live || d->initial || d->own || d->zero)
		return leak(d, caller);
	return mark_zero(d);
}

/* The core itself drops a reference. */
static unsigned int drop(struct pcpuref_data *d)
{
	long new;

	lockdep_assert_held(&d->lock);

	if (is_stuck(d))
		return 0;
	/*
	 * Fully ordered: release may follow (litmus: b3-put-drop), and who sees the zero
	 * sees the kill (litmus: h4-kill-get-zero, h5-kill-iszero).
	 */
	new = atomic_long_dec_return(&d->count);
	if (likely(new > 0))
		return 0;
	if (new < 0 || d->initial || d->own)
		return leak(d, 0);
	return d->live ? visit_zero(d) : mark_zero(d);
}

/* Take a reference for the core, or find that there is none left. */
static bool inc_not_zero(struct pcpuref_data *d)
{
	long old = atomic_long_read(&d->count);

	do {
		if (old <= 0)
			return false;
	} while (!atomic_long_try_cmpxchg_relaxed(&d->count, &old, old + 1));

	return true;
}

/*
 * Call release for every life that has ended, and for zeroes of a live reference,
 * one after the other: @releasing keeps a second context out, which leaves its own
 * to this one. Consumes what start_release() took.
 */
static void release(struct pcpuref_data *d)
{
	struct pcpuref_client *client = d->client;
	unsigned long flags;

	raw_spin_lock_irqsave(&d->lock, flags);
	while (d->ref && ((d->live && d->zeroes) || d->returned != d->ended)) {
		enum pcpuref_mode mode = __pcpuref_mode(d);
		bool visit = d->returned == d->ended;
		struct pcpuref *ref = d->ref;

		if (visit)
			d->zeroes--;
		else
			d->running = true;
		__pcpuref_event(d, PCPUREF_STEP_RELEASE, mode, mode, 0);
		raw_spin_unlock_irqrestore(&d->lock, flags);

		/* From here on @ref may be reinitialised, exited or freed. */
		d->release(ref);

		raw_spin_lock_irqsave(&d->lock, flags);
		if (visit)
			continue;
		d->running = false;
		d->returned++;
		__pcpuref_wake_due(d);
	}
	d->releasing = false;
	raw_spin_unlock_irqrestore(&d->lock, flags);
	__pcpuref_unpin(d);
	__pcpuref_landed(client);
}

void __pcpuref_release_work(struct work_struct *work_struct)
{
	struct pcpuref_work *work = container_of(work_struct, struct pcpuref_work, work);
	struct pcpuref_work_pool *pool = __pcpuref_work_begin(work);

	release(__pcpuref_of_work(work));
	__pcpuref_work_end(pool);
}

/* --- Confirmations ---------------------------------------------------------- */

/*
 * Remember @confirm for the next grace period. False if there is no room. The first
 * free place: they are called in the order of the places.
 */
bool __pcpuref_add_confirm(struct pcpuref_data *d, pcpuref_func_t *confirm)
{
	int i, room = -1;

	lockdep_assert_held(&d->lock);

	for (i = 0; i < CONFIRMS; i++) {
		if (d->confirm_now[i] || d->confirm_next[i]) {
			if (d->confirm[i] == confirm)
				break;
		} else if (room < 0) {
			room = i;
		}
	}
	if (i == CONFIRMS)
		i = room;
	if (i < 0 || d->confirm_next[i] == U8_MAX)
		return false;

	d->confirm[i] = confirm;
	d->confirm_next[i]++;
	return true;
}

static bool shift_confirms(struct pcpuref_data *d)
{
	bool any = false;
	int i;

	lockdep_assert_held(&d->lock);

	for (i = 0; i < CONFIRMS; i++) {
		any |= d->confirm_next[i];
		d->confirm_now[i] = d->confirm_next[i];
		d->confirm_next[i] = 0;
	}
	return any;
}

/*
 * The lock is dropped for each of them; one may exit. Who learns of it gets no live
 * reference any more (litmus: d1-trygetlive-confirm, d2-confirm-trygetlive).
 */
static void call_confirms(struct pcpuref_data *d, unsigned long *flags)
{
	int i;

	for (i = 0; i < CONFIRMS; i++) {
		while (d->ref && d->confirm_now[i]) {
			enum pcpuref_mode mode = __pcpuref_mode(d);
			pcpuref_func_t *confirm = d->confirm[i];
			struct pcpuref *ref = d->ref;

			d->confirm_now[i]--;
			__pcpuref_event(d, PCPUREF_STEP_CONFIRM, mode, mode, 0);
			raw_spin_unlock_irqrestore(&d->lock, *flags);
			confirm(ref);
			raw_spin_lock_irqsave(&d->lock, *flags);
		}
	}
}

/* --- Steps ------------------------------------------------------------------ */

/* From atomic to per-CPU mode. */
static void to_percpu(struct pcpuref_data *d)
{
	lockdep_assert_held(&d->lock);

	/* The counters are zero since allocation or __pcpuref_take_out(). */
	atomic_long_add(BIAS, &d->count);
	d->biased = true;
	d->tagged = false;
	/*
	 * Whoever sees the untagged word sees zeroed counters and the bias. Pairs with
	 * the address dependency in __pcpuref_add().
	 * (litmus: c2-takeout-settle-add, c3-topercpu-bias, o2-revive-reuse-fast)
	 */
	smp_store_release(&d->ref->word, (unsigned long)d->counters | __pcpuref_readers(d));
	__pcpuref_event(d, PCPUREF_STEP_SWITCH, PCPUREF_MODE_ATOMIC, PCPUREF_MODE_PERCPU,
			d->requester);
}

/*
 * Three things make a state: mode (per-CPU, switching, atomic), life (live; dying,
 * with the initial reference held by the core or dropped; zero), and whether a grace
 * period is under way (busy). A and D are the word's tags ATOMIC and DEAD.
 *
 *   state  mode, life                       tags  biased live initial busy zero
 *   -----  -------------------------------  ----  ------ ---- ------- ---- ----
 *   PL     per-CPU, live                    -     yes    yes  yes     no   no
 *   SL     switching, live                  A     yes    yes  yes     yes  no
 *   SD     switching, dying                 A D   yes    no   yes     yes  no
 *   AL     atomic, live                     A     no     yes  yes     no   no
 *   CL     AL, confirmations to come        A     no     yes  yes     yes  no
 *   CD     atomic, dying, initial held      A D   no     no   yes     yes  no
 *   AX     atomic, dying, initial dropped   A D   no     no   no      no   no
 *   CX     AX, confirmations to come (own)  A D   no     no   no      yes  no
 *   Z      zero                             A D   no     no   no      no   yes
 *   CZ     Z, confirmations to come         A D   no     no   no      yes  yes
 *
 * With PCPUREF_ALLOW_ZERO the initial reference is the core's only from kill to
 * drop: "initial" is no in PL, SL, AL and CL. So every grace period has "own" then,
 * unless the count was zero. Such a reference may be at zero in AL and CL without
 * being in Z.
 *
 * Where each step leads. A "." is: stays, or is refused. "+c" asks for a confirmation;
 * "over" is the end of a grace period, "over+c" if confirmations wait for the next one;
 * "put" is the last one, as it takes the lock. PL|AL is PL with counters and without
 * force_atomic; AX|Z is Z if nobody holds a reference. Init leads to PL, AL or Z.
 *
 *   state  kill  kill+c  resurrect  reinit  atomic  atomic+c  percpu  put  over   over+c
 *   -----  ----  ------  ---------  ------  ------  --------  ------  ---  -----  ------
 *   PL     SD    SD      .          .       SL      SL        .       .    .      .
 *   SL     SD    SD      .          .       .       .         .       .    PL|AL  CL
 *   SD     .     .       SL         .       .       .         .       .    AX|Z   CD
 *   AL     AX|Z  CD      .          .       .       CL        PL      .    .      .
 *   CL     CD    CD      .          .       .       .         .       .    PL|AL  .
 *   CD     .     .       CL         .       .       .         .       .    AX|Z   .
 *   AX     .     .       PL|AL      .       .       CX        .       Z    .      .
 *   CX     .     .       CL         .       .       .         .       CZ   AX|Z   CZ
 *   Z      .     .       PL|AL      PL|AL   .       CZ        .       .    .      .
 *   CZ     .     .       CL         CL      .       .         .       .    Z      .
 *
 * In CX a put is the last only if it had not told of its zero when CX began. Then, and if
 * the last reference is put in CX, over+c leads to CZ; else it stays.
 *
 * What holds whenever the lock is free:
 *
 *   S1  DEAD implies ATOMIC. Every store to the word has both tags or neither.
 *   S2  live says the opposite of DEAD, and implies initial (but for ALLOW_ZERO).
 *   S3  busy implies ATOMIC: only to_percpu() untags, when not busy.
 *   S4  biased implies initial (with ALLOW_ZERO: while busy, own): settle() drops
 *       the one when not biased, the end of a grace period the other after the fold.
 *   S5  not busy implies that all is settled: biased with an untagged word or not
 *       biased; live, or initial dropped; no confirmation waiting.
 *   S6  own implies busy, and was taken from a count above zero.
 *   S7  zero implies not live, not initial, not own, and a count parked at DEAD
 *       (or moved from there by misuse).
 *   S8  One grace period (busy) and one context in charge of release (releasing)
 *       at a time; each has a pin.
 *   S9  returned <= ended <= life (modulo 2^16): ended counts zeroes that end a
 *       life, returned their releases.
 *
 * By S2 and S4 the count under a grace period contains a reference of the core's,
 * unless it was zero when the grace period began: in CZ, in CX if the last put has
 * not told yet, and in CL with ALLOW_ZERO. So while busy no other legal put reaches
 * zero, and release comes after the grace period and its confirmations. Those that
 * are asked of a reference at zero come beside its release.
 *
 * Dead comes at once, and live comes at once (G15); only ATOMIC stays until the
 * switch is over. Why each request leads where it does is in Documentation/design.rst,
 * with a picture.
 *
 * Return: what the caller must hand to __pcpuref_unlock_settled() and __pcpuref_run().
 */
unsigned int __pcpuref_settle(struct pcpuref_data *d)
{
	lockdep_assert_held(&d->lock);

	if (d->busy || !d->ref)
		return 0;

	if (shift_confirms(d) || (d->biased && d->tagged)) {
		d->busy = true;
		__pcpuref_pin(d);
		__pcpuref_in_flight(d->client);
		/* With PCPUREF_ALLOW_ZERO a resurrect may hand the initial one back. */
		if (!d->initial || __pcpuref_allows_zero(d))
			d->own = inc_not_zero(d);
		return TODO_GRACE_PERIOD;
	}

	if (!d->live) {
		if (!d->initial)
			return 0;
		d->initial = false;
		return drop(d);
	}

	if (d->tagged && !d->force_atomic && d->counters && !is_stuck(d))
		to_percpu(d);
	return 0;
}

/*
 * Move what the counters held into the count.
 *
 * Return: the counters, if they are not needed any more.
 */
static unsigned long __percpu *fold(struct pcpuref_data *d, long sum)
{
	unsigned long __percpu *unused = NULL;
	long new;

	lockdep_assert_held(&d->lock);

	/*
	 * What holders did before fast puts the grace period has made visible. The RMWs of
	 * the count pass it on to the put that releases (litmus: b2-fastput-fold-lastput).
	 */
	new = atomic_long_add_return(sum - BIAS, &d->count);
	d->biased = false;
	/* The core holds a reference, so less than one is too few. */
	if (unlikely(is_stuck(d) || new < 1)) {
		leak(d, 0);
		/* Also if it stuck when it was not biased. */
		__pcpuref_stick(d, false);
	}
	if (!__pcpuref_allows_reinit(d)) {
		unused = d->counters;
		d->counters = NULL;
		__pcpuref_tag(d, READ_ONCE(d->ref->word) & __PCPUREF_TAGS);
	}
	__pcpuref_event(d, PCPUREF_STEP_SWITCH, PCPUREF_MODE_SWITCHING, PCPUREF_MODE_ATOMIC,
			d->requester);
	return unused;
}

/* A grace period that settling asked for is over. Consumes what that took. */
static void grace_period_over(struct pcpuref_data *d)
{
	struct pcpuref_client *client = d->client;
	unsigned long __percpu *unused = NULL;
	unsigned int todo = 0;
	unsigned long flags;
	long sum = 0;

	/*
	 * With many CPUs this takes long, so it is done without the lock. @biased
	 * changes only below, and in to_percpu() while not busy. @busy keeps everybody
	 * else from writing the counters, until it is cleared under the lock
	 * (litmus: c1-takeout-topercpu-add). Who reads them meanwhile gets a snapshot,
	 * as ever.
	 */
	if (data_race(!!d->biased))
		sum = __pcpuref_take_out(d->counters);

	raw_spin_lock_irqsave(&d->lock, flags);
	if (d->biased && d->ref)
		unused = fold(d, sum);
	call_confirms(d, &flags);

	d->busy = false;
	if (d->own) {
		d->own = false;
		if (d->ref)
			todo = drop(d);
	}
	d->batches++;
	todo |= __pcpuref_settle(d);
	__pcpuref_wake_due(d);
	__pcpuref_unlock_settled(d, flags, todo, false);

	__pcpuref_free_counters(unused);
	__pcpuref_run(d, todo, false);
	__pcpuref_unpin(d);
	__pcpuref_landed(client);
}

static void grace_period_passed(struct rcu_head *head)
{
	grace_period_over(container_of(head, struct pcpuref_data, rcu));
}

static void sched_after_tasks(struct rcu_head *head)
{
	__pcpuref_after_sched(head, grace_period_passed);
}

bool __pcpuref_sees_grace_period(unsigned int todo)
{
	return todo & TODO_GRACE_PERIOD;
}

void __pcpuref_unlock_settled(struct pcpuref_data *d, unsigned long flags, unsigned int todo,
			      bool sync) __releases(&d->lock)
{
	/*
	 * When the lock is dropped, others rely on the grace period. A task that was
	 * preempted before it has asked for one would keep them waiting, whatever their
	 * priority.
	 */
	preempt_disable();
	raw_spin_unlock_irqrestore(&d->lock, flags);
	if ((todo & TODO_GRACE_PERIOD) && !sync) {
		if (unlikely(__pcpuref_readers(d)))
			__pcpuref_after_tasks(&d->rcu, sched_after_tasks);
		else
			__pcpuref_after_sched(&d->rcu, grace_period_passed);
	}
	preempt_enable();
}

void __pcpuref_run(struct pcpuref_data *d, unsigned int todo, bool sync)
{
	if (todo & TODO_RELEASE) {
		if (d->flags & PCPUREF_RELEASE_WORK)
			__pcpuref_queue_work(__pcpuref_work(d));
		else
			release(d);
	}

	if (sync && (todo & TODO_GRACE_PERIOD)) {
		__pcpuref_wait_for_readers(__pcpuref_readers(d));
		/* Callbacks find softirqs off, as in an RCU callback. */
		local_bh_disable();
		grace_period_over(d);
		local_bh_enable();
	}
}

/* --- To life ---------------------------------------------------------------- */

/* Give a dead or dying reference its initial reference back. */
unsigned int __pcpuref_revive(struct pcpuref_data *d, unsigned long caller)
{
	unsigned int todo = 0;

	lockdep_assert_held(&d->lock);

	if (!__pcpuref_allows_reinit(d)) {
		__pcpuref_misuse(d, PCPUREF_NOT_ALLOWED, caller);
		/* Pairs with the READ_ONCE() in __pcpuref_readers(). */
		WRITE_ONCE(d->tags, d->tags & ~__PCPUREF_LAZY);
	}

	if (!d->initial && !inc_not_zero(d)) {
		/*
		 * Released, or about to be: the put that made it zero may not
		 * have come to tell yet. Then it is told here on its behalf.
		 */
		if (!d->zero && !is_stuck(d)) {
			todo = mark_zero(d);
			d->claimed++;
		}
		/*
		 * No longer zero before somebody can take a reference: pairs, by
		 * the release, with the smp_rmb() in pcpuref_is_zero(), or with a
		 * client's own (litmus: h1-revive-iszero, o1-revive-reuse).
		 */
		WRITE_ONCE(d->zero, false);
		/* Unless somebody has touched the dead count: then it sticks. */
		if (atomic_long_cmpxchg_release(&d->count, DEAD, 1) != DEAD)
			__pcpuref_stick(d, false);
	}
	/* A stuck count is alive again too, but for good. */
	if (is_stuck(d)) {
		WRITE_ONCE(d->zero, false);
		__pcpuref_stick(d, false);
	}
	d->initial = !__pcpuref_allows_zero(d);
	d->live = true;
	d->requester = caller;
	d->killed_at = 0;
	__pcpuref_tag(d, __PCPUREF_ATOMIC);
	__pcpuref_wake_failed(d, true, -ECANCELED);
	if (d->zeroes)
		todo |= start_release(d);

	return todo | __pcpuref_settle(d);
}
