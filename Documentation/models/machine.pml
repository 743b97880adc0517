/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The machine of core/machine.c and core/requests.c, for spin: users that look the
 * reference up, use and put it, controllers that kill, resurrect, reinitialise and
 * switch it, and the grace period. With ALLOW_ZERO defined it is a reference with
 * PCPUREF_ALLOW_ZERO, whose users also get from zero and put the initial reference.
 *
 * Names are those of the core; Documentation/design.rst has the argument that this
 * checks. What needs no lock sees each access to the word, the count, a counter and
 * zero as a step of its own; what else happens under the lock is part of the step
 * before or after. Sequentially consistent: barriers are the subject of litmus/.
 * Left out: puts in NMI, misuse, exit, waiters, and lazy references.
 *
 * Each BUG_* macro breaks the machine in one way, which check.sh expects spin to
 * find by what a client can see. INVARIANTS adds what the machine says of itself.
 */
#ifndef USERS
#define USERS	2	/* processes that get and put */
#endif
#ifndef LOOKUPS
#define LOOKUPS	1	/* by each of them */
#endif
#ifndef CONTROLLERS
#define CONTROLLERS 1
#endif
#ifndef REQUESTS
#define REQUESTS 4	/* by all of them together */
#endif

#ifdef ALLOW_ZERO
#define ALLOWS_ZERO	true
#else
#define ALLOWS_ZERO	false
#endif

#define BIAS	100
#define DEAD	(-50)

/* The word: per-CPU mode unless tagged. */
bool atomic_tag;
bool dead_tag;
short count = BIAS + 1;
short counter[2];

/* Under the lock. */
bool lock;
bool force_atomic;
bool live = true;
bool initial = !ALLOWS_ZERO;
bool biased = true;
bool busy;
bool own;
bool zero;
bool releasing;
byte unreleased;		/* ended - returned */
byte zeroes;
byte claimed;
byte kill_now, kill_next;	/* confirmations of kills */
byte switch_now, switch_next;	/* and of switches */

/* Readers, a bit for each. A grace period waits for those that it found. */
byte reading;
byte awaited;
bool gp_wanted;

/*
 * Ghosts: what is true of clients and callbacks, for the assertions. The machine does
 * not read them.
 *
 * held: references in the clients' hands; with ALLOW_ZERO the initial one, too
 * spare: of these the initial one, which nobody has put yet
 * known_live: the last reinit or resurrect has returned, and no kill has begun
 * getting: users in pcpuref_get(), which the client keeps apart from a kill
 * must: readers that began when known_live, and have not met a kill
 * before_now, before_next: readers that began before a confirmation of this or the
 *	next grace period was asked for, and have not ended
 * sure: the confirmation of a kill that nothing has revived since: 1 after the next
 *	grace period, 2 after this one
 * no_live: such a confirmation has come
 * due: confirmations that have not come
 * was_zero: the grace period in flight began at count zero
 * living: a life has begun and not ended
 * hits: how often the count came to zero for which no release has been called
 * untold: it has not left zero since, and no release has been called since
 */
short held = ALLOWS_ZERO;
bool spare = ALLOWS_ZERO;
bool known_live = true;
byte getting;
byte must;
byte before_now, before_next;
byte sure;
bool no_live;
byte due;
bool was_zero;
bool living = true;
byte hits;
bool untold;
bool in_release;
byte requests = REQUESTS;
byte running = USERS + CONTROLLERS;

/* What a step leaves to the next one of the same process. */
mtype = { NOTHING, MARK, UNTAG };

#define bit(me)		(1 << (me))
#define enter_reader(me)						\
	reading = reading | bit(me);					\
	must = (known_live -> must | bit(me) : must)
#define leave_reader(me) d_step {					\
		reading = reading & ~bit(me);				\
		awaited = awaited & ~bit(me);				\
		must = must & ~bit(me);					\
		before_now = before_now & ~bit(me);			\
		before_next = before_next & ~bit(me)			\
	}

/* What pcpuref_is_zero() says. */
#define is_zero		(zero || (ALLOWS_ZERO && count == 0 && !dead_tag))

/* S1 to S7 of core/machine.c. */
inline check_invariants()
{
#ifdef INVARIANTS
	assert(!dead_tag || atomic_tag);
	assert(live == !dead_tag);
	assert(!live || initial == !ALLOWS_ZERO);
	assert(!busy || atomic_tag);
	assert(!biased || !busy || own || (initial && !ALLOWS_ZERO));
	assert(busy || biased == !atomic_tag);
	assert(busy || live || !initial);
	assert(busy || !(kill_now || kill_next || switch_now || switch_next));
	assert(!own || busy);
	assert(!zero || (!live && !initial && !own && count == DEAD))
#else
	skip
#endif
}

#define LOCK()		atomic { !lock -> lock = true }
#define UNLOCK()	d_step { check_invariants(); lock = false }

/* --- Zero and release ------------------------------------------------------- */

inline start_release(todo)
{
	todo = todo || !releasing;
	releasing = true
}

inline mark_zero(todo)
{
	d_step {
		assert(count == 0);
		assert(held == 0);
		count = DEAD
	}
	d_step {
		/* Release comes after the confirmations. */
		assert(!busy || was_zero);
		assert(living);
		living = false;
		zero = true;
#ifndef BUG_VISIT_AFTER_END
		/* One release for all that have not been told yet. */
		hits = hits - zeroes;
		zeroes = 0;
#endif
		unreleased++;
		start_release(todo)
	}
}

inline visit_zero(todo)
{
	zeroes++;
	if
	:: live -> start_release(todo)
	:: else
	fi
}

/* A put or drop has changed the count. */
inline look_for_zero()
{
	assert(count >= 0);
	untold = untold || count == 0;
	hits = hits + (count == 0)
}

/* The core drops a reference of its own. */
inline drop(todo)
{
	count--;
	look_for_zero();
	if
	:: count ->
	:: else ->
		assert(!initial && !own);
		if
		:: live ->
			assert(ALLOWS_ZERO);
			visit_zero(todo)
		:: else -> next = MARK
		fi
	fi
}

/* From taking the lock to dropping it. */
inline reached_zero(todo)
{
	d_step {
		!lock ->
		if
		:: claimed -> claimed--
#ifdef ALLOW_ZERO
		:: !claimed && live && !(own && count == 0) -> visit_zero(todo)
#ifndef BUG_OLD_ZERO
		/* Of a time before the kill: for a resurrect, or the end told it. */
		:: !claimed && !live && count && !zero -> visit_zero(todo)
		:: !claimed && !live && count && zero -> hits--
#endif
#endif
		:: else ->
			/* No user does anything wrong: misuse must not be reported. */
			assert(!live && !initial && !own && !zero);
			lock = true;
			next = MARK
		fi
	}
	if
	:: next == MARK ->
		next = NOTHING;
		mark_zero(todo);
		UNLOCK()
	:: else
	fi
}

#if defined(BUG_VISIT_AFTER_END) || defined(BUG_VISIT_WHILE_DYING)
#define may_visit	zeroes
#else
#define may_visit	(live && zeroes)
#endif

inline release()
{
	do
	:: atomic {
			!lock && (may_visit || unreleased) ->
			visit = !unreleased;
			zeroes = zeroes - visit;
			/* From the kill on there is one, for the end. */
			assert(!visit || (living && live));
			assert(hits);
			hits--;
			untold = false;
			assert(!in_release);
			in_release = true
		}
		d_step {
			!lock ->
			in_release = false;
			unreleased = unreleased - !visit;
			visit = false
		}
	:: atomic {
			!lock && !may_visit && !unreleased ->
			releasing = false
		}
		break
	od
}

/* --- Steps ------------------------------------------------------------------ */

inline settle(todo)
{
	d_step {
		if
		:: busy
		:: !busy && (kill_next || switch_next || (biased && atomic_tag)) ->
			kill_now = kill_next;
			switch_now = switch_next;
			kill_next = 0;
			switch_next = 0;
			before_now = before_next;
			before_next = 0;
			sure = (sure -> 2 : 0);
			busy = true;
			gp_wanted = true;
			was_zero = (count <= 0);
#if defined(BUG_NO_OWN)
			own = false;
#elif defined(BUG_FOLD_WITHOUT_OWN)
			own = !live && !initial && !was_zero;
#elif defined(BUG_REVIVE_WITHOUT_OWN)
			own = !initial && !was_zero;
#else
			own = (!initial || ALLOWS_ZERO) && !was_zero;
#endif
			count = count + own
		:: else ->
#ifdef BUG_LIVE_LATE
			dead_tag = !live;
#endif
			if
			:: !live && initial ->
				initial = false;
				drop(todo)
			:: live && atomic_tag && !force_atomic ->
				/* to_percpu(): BIAS, then the word */
				assert(!dead_tag && !counter[0] && !counter[1]);
#ifdef BUG_BIAS_LATE
				atomic_tag = false;
#else
				count = count + BIAS;
#endif
				next = UNTAG
			:: else
			fi
		fi
	}
	if
	:: next == MARK ->
		next = NOTHING;
		mark_zero(todo)
	:: next == UNTAG ->
		d_step {
			next = NOTHING;
			biased = true;
#ifdef BUG_BIAS_LATE
			count = count + BIAS
#else
			atomic_tag = false
#endif
		}
	:: else
	fi
}

/* The callback of the grace period, and RCU. */
active proctype grace_period()
{
	mtype next = NOTHING;
	bool todo, visit;
	short sum;

end:
	do
	:: atomic {
			gp_wanted ->
			gp_wanted = false;
			awaited = reading
		}
#ifndef BUG_NO_GRACE_PERIOD
		awaited == 0;
#endif
		if
		:: biased ->
			/* __pcpuref_take_out(), without the lock */
			sum = counter[0];
			counter[0] = 0;
			sum = sum + counter[1];
			counter[1] = 0;
#ifdef BUG_TWO_ADDITIONS
			LOCK();
			count = count - BIAS;
			d_step {
				count = count + sum;
#else
			d_step {
				!lock ->
				lock = true;
				count = count + sum - BIAS;
#endif
				/* Less than that is reported as a put too many. */
				assert(count >= 1);
				biased = false;
				sum = 0
			}
		:: else -> LOCK()
		fi;
#ifdef BUG_DROP_BEFORE_CONFIRM
		d_step {
			if
			:: !live && initial ->
				initial = false;
				drop(todo)
			:: else
			fi
		}
		if
		:: next == MARK ->
			next = NOTHING;
			mark_zero(todo)
		:: else
		fi;
#endif
		do
		:: kill_now || switch_now ->
			d_step {
				if
				:: kill_now ->
					kill_now--;
					/* If nothing has revived it, it is dead. */
					no_live = no_live || sure == 2;
					sure = (sure == 2 -> 0 : sure)
				:: else -> switch_now--
				fi;
				due--;
				/* A grace period has passed since the request. */
				assert(!before_now);
				check_invariants();
				lock = false
			}
			LOCK()
		:: else -> break
		od;
		atomic {
			busy = false;
			if
			:: own ->
				own = false;
				drop(todo)
			:: else
			fi
		}
		if
		:: next == MARK ->
			next = NOTHING;
			mark_zero(todo)
		:: else
		fi;
		settle(todo);
		UNLOCK();
		if
		:: todo ->
			todo = false;
			release()
		:: else
		fi
	:: atomic {
			!gp_wanted && !busy && running == 0 && !releasing ->
			/* At rest: every request and every zero has been dealt with. */
			check_invariants();
			assert(!lock && !claimed && held == spare);
			assert(!due && !unreleased && !zeroes && !untold && !hits);
			if
			:: known_live ->
				assert(living && !zero && !dead_tag);
				assert(force_atomic == atomic_tag);
				assert(count + counter[0] + counter[1]
				       - (biased -> BIAS : 0) == !ALLOWS_ZERO + held)
			:: else ->
				assert(!living && zero && dead_tag && count == DEAD)
			fi
		}
		break
	od
}

/* --- Requests --------------------------------------------------------------- */

/* With ALLOW_ZERO the client hands the initial reference over. */
#define can_kill	(live && (!ALLOWS_ZERO || (spare && !getting)))

inline kill_live()
{
	live = false;
#ifndef BUG_KILL_WITHOUT_INITIAL
	initial = true;
#endif
	held = held - spare;
	spare = false;
	known_live = false;
	must = 0;
	atomic_tag = true;
	dead_tag = true
}

inline revive(todo)
{
	d_step {
		no_live = false;
		sure = 0;
		if
		:: !initial && count <= 0 ->
			failed = true;
			if
			:: zero
			:: else ->
#ifndef BUG_NO_CLAIM
				claimed++;
#endif
				next = MARK
			fi
		:: else -> count = count + !initial
		fi
	}
	if
	:: failed ->
		failed = false;
		if
		:: next == MARK ->
			next = NOTHING;
			mark_zero(todo)
		:: else
		fi;
#ifndef BUG_ZERO_LATE
		zero = false;
#endif
		d_step {
			assert(count == DEAD && !living);
			count = 1;
			living = true
		}
#ifdef BUG_ZERO_LATE
		zero = false
#endif
	:: else
	fi;
	d_step {
#ifndef BUG_REVIVE_KEEPS_INITIAL
		initial = !ALLOWS_ZERO;
#else
		initial = true;
#endif
		held = held + ALLOWS_ZERO;
		live = true;
		revived = true;
#ifdef BUG_LIVE_LATE
		dead_tag = busy;
#else
		dead_tag = false;
#endif
		if
#ifndef BUG_NO_VISIT_AFTER_ALL
		:: zeroes -> start_release(todo)
#endif
		:: else
		fi
	}
}

/* Any of what a controller may ask for in the present state. */
inline request(todo)
{
	atomic {
		!lock ->
		if
		:: can_kill ->
			lock = true;
			kill_live()
		:: can_kill ->
			lock = true;
			kill_live();
			due++;
#ifdef BUG_CONFIRM_IN_FLIGHT
			if
			:: busy ->
				kill_now++;
				before_now = before_now | reading;
				sure = 2
			:: else ->
				kill_next++;
				before_next = before_next | reading;
				sure = 1
			fi
#else
			kill_next++;
			before_next = before_next | reading;
			sure = 1;
#ifdef BUG_CONFIRM_AT_ONCE
			if
			:: !busy && !biased ->
				kill_next--;
				due--;
				sure = 0;
				no_live = true
			:: else
			fi
#endif
#endif
		:: lock = true;
			force_atomic = true;
			atomic_tag = true
		:: lock = true;
			force_atomic = true;
			atomic_tag = true;
			due++;
			switch_next++;
			before_next = before_next | reading
		:: force_atomic ->
			lock = true;
			force_atomic = false;
#ifdef BUG_SHORT_CUT
			atomic_tag = !(live && biased)
#endif
		:: !live ->
			/* resurrect; or reinit, if zero */
			lock = true;
			reviving = true
		fi
	}
	if
	:: reviving ->
		reviving = false;
		revive(todo)
	:: else
	fi;
	settle(todo);
	d_step {
		check_invariants();
		/* In effect when it returns. */
		known_live = known_live || revived;
		spare = spare || (revived && ALLOWS_ZERO);
		revived = false;
		lock = false
	}
}

proctype controller()
{
	mtype next = NOTHING;
	bool todo, failed, visit, reviving, revived;

	do
	:: atomic { requests > 0 -> requests-- }
		request(todo);
		if
		:: todo ->
			todo = false;
			release()
		:: else
		fi
	:: break
	od;
	running--
}

/* --- Gets and puts ---------------------------------------------------------- */

/* tryget or tryget_live */
inline tryget(me)
{
	d_step {
		enter_reader(me);
		tag = atomic_tag
	}
	if
	:: !tag ->
		d_step {
			counter[cpu]++;
			untold = false;
			held++;
			got = true;
			assert(!no_live)
		}
	:: else ->
		tag = false;
		if
		:: tag = false
		:: live_only = true;
			/* The same section goes on. */
			tag = dead_tag;
#ifdef BUG_TWO_SECTIONS
			leave_reader(me);
			reading = reading | bit(me)
#endif
		fi;
		d_step {
			if
			:: !tag && count > 0 ->
				count++;
				held++;
				got = true;
				assert(!live_only || !no_live)
			:: else ->
				/* It may fail at zero, and live_only once killed. */
				assert(!(must & bit(me)) ||
				       (ALLOWS_ZERO && !tag && count == 0))
			fi;
			live_only = false
		}
	fi;
	leave_reader(me)
}

/* Only with ALLOW_ZERO: without holding a reference, and without a kill. */
inline get(me)
{
	atomic { known_live -> getting++ }
	d_step {
		enter_reader(me);
		tag = atomic_tag
	}
	if
	:: !tag ->
		d_step {
			counter[cpu]++;
			untold = false;
			held++
		}
	:: else ->
		d_step {
			assert(count >= 0);
			tag = (count == 0);
			count++;
			untold = false;
			held++
		}
		/* may_leave_zero() */
		assert(!tag || !dead_tag)
	fi;
	leave_reader(me);
	d_step {
		got = true;
		getting--
	}
}

inline put(me, todo)
{
	d_step {
		enter_reader(me);
		tag = atomic_tag
	}
	if
	:: !tag ->
		d_step {
			counter[cpu]--;
			held--
		}
	:: else ->
		d_step {
			held--;
			count--;
			look_for_zero();
			tag = (count == 0)
		}
		if
		:: tag -> reached_zero(todo)
		:: else
		fi
	fi;
	leave_reader(me);
	if
	:: todo ->
		todo = false;
		release()
	:: else
	fi
}

proctype user(byte me)
{
	mtype next = NOTHING;
	bool todo, got, tag, live_only, visit;
	byte lookups = LOOKUPS;
	byte cpu = me & 1;

	do
	:: lookups > 0 ->
		lookups--;
		if
		:: tryget(me)
#ifdef ALLOW_ZERO
		:: get(me)
		:: atomic {
				spare ->
				spare = false;
				got = true
			}
#endif
		fi;
		if
		:: got ->
			got = false;
			/* Never true to who holds a reference. */
			assert(!is_zero);
			/* On the other CPU. */
			cpu = 1 - cpu;
			if
			:: put(me, todo)
#ifdef ALLOW_ZERO
			:: atomic { known_live && !spare -> spare = true }
#endif
			fi
		:: else
		fi;
		tag = false
	:: else -> break
	od;
	running--
}

init {
	byte i;

	atomic {
		do
		:: i < USERS ->
			run user(i);
			i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < CONTROLLERS ->
			run controller();
			i++
		:: else -> break
		od
	}
}
