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
 *
 * With REPLAY defined, one driver takes the place of users and controllers. It makes
 * one operation after the other, and says when a grace period may end. In simulation
 * spin chooses at random, and the driver prints each operation with the state that it
 * leads to: scripts/agree.sh does the same with the code. With PAIRS defined as well, the
 * driver goes on for ever and prints which operation it does in which state: so the
 * verifier, compiled with -DPRINTF, lists all such pairs.
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

#ifdef REPLAY
/* What the driver does next: an operation, or to let the grace period end. */
mtype = {
	INIT, KILL, KILL_CONFIRM, RESURRECT, REINIT, ATOMIC, ATOMIC_CONFIRM, PERCPU,
	GET, TRYGET, TRYGET_LIVE, PUT, OVER, EXIT
};
mtype op;
bool may_end;
/* Callbacks so far. */
byte releases, kill_confirms, switch_confirms;

#define asked(what)	(op == what)
#ifdef PAIRS
#define called(which)	skip
#else
#define called(which)	which##s++
#endif
#define replays		true
#else
#define asked(what)	true
#define called(which)	skip
#define may_end		true
#define replays		false
#endif

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
#ifndef BUG_TODO_LOST
	todo = todo || !releasing;
#endif
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
			called(release);
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
#ifndef BUG_NO_REQUEST
			gp_wanted = true;
#endif
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

#ifdef REPLAY
	/* The driver does not end, so this waits for it. */
end:
#endif
	do
	:: atomic {
			gp_wanted && may_end ->
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
					called(kill_confirm);
					/* If nothing has revived it, it is dead. */
					no_live = no_live || sure == 2;
					sure = (sure == 2 -> 0 : sure)
				:: else ->
					switch_now--;
					called(switch_confirm)
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
		fi;
#ifdef REPLAY
		may_end = false
#endif
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
		:: asked(KILL) && can_kill ->
			lock = true;
			kill_live()
		:: asked(KILL_CONFIRM) && can_kill ->
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
		:: asked(ATOMIC) ->
			lock = true;
			force_atomic = true;
			atomic_tag = true
		:: asked(ATOMIC_CONFIRM) ->
			lock = true;
			force_atomic = true;
			atomic_tag = true;
			due++;
			switch_next++;
			before_next = before_next | reading
		:: asked(PERCPU) && (force_atomic || replays) ->
			lock = true;
			force_atomic = false;
#ifdef BUG_SHORT_CUT
			atomic_tag = !(live && biased)
#endif
		:: (asked(RESURRECT) || (asked(REINIT) && zero)) && !live ->
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
		:: atomic { asked(TRYGET) -> tag = false }
		:: atomic { asked(TRYGET_LIVE) -> live_only = true };
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
	atomic { known_live || (replays && held) -> getting++ }
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

#ifdef REPLAY
/* --- The driver ------------------------------------------------------------- */

#ifndef STEPS
#define STEPS	20	/* at least, and twice as many at most */
#endif
#ifndef SEQUENCES
#define SEQUENCES 1
#endif
#ifndef TRIES
#define TRIES	20	/* to find an operation that is wanted */
#endif

/* In the table above __pcpuref_settle() in core/machine.c, and what else is going on. */
mtype = { PL, SL, SD, AL, CL, CD, AX, CX, Z, CZ };
#define state	(zero -> (busy -> CZ : Z) : (live ->				\
		 (biased -> (atomic_tag -> SL : PL) : (busy -> CL : AL)) :	\
		 (biased -> SD : (initial -> CD : (busy -> CX : AX)))))
#define recorded (kill_next || switch_next)
#define is_held	(held > 0)
/* What pcpuref_inspect.h calls MODE and STATE. */
mtype = { MODE_PERCPU, MODE_SWITCHING, MODE_ATOMIC };
mtype = { STATE_LIVE, STATE_DYING, STATE_RELEASING, STATE_DEAD };
#define mode	(biased -> (atomic_tag -> MODE_SWITCHING : MODE_PERCPU) : MODE_ATOMIC)
#define life	(live -> STATE_LIVE : (!zero -> STATE_DYING :			\
		 (unreleased -> STATE_RELEASING : STATE_DEAD)))
#define shared	(zero -> 0 : count - (biased -> BIAS : 0) - own)
#define percpu	(biased -> counter[0] + counter[1] : 0)

/* Before each operation. Numbers: only simulation has names, see print_names(). */
#define print_pair() printf("pair: %d %d %d %d\n", state, recorded, is_held, op)

/* And after it. */
inline print_state()
{
#ifndef PAIRS
	printf("state: %e answer=%d mode=%e state=%e count=%d shared=%d percpu=%d",
	       op, answer, mode, life, shared + percpu, shared, percpu);
	printf(" busy=%d confirms=%d zero=%d dying=%d kills=%d switches=%d releases=%d\n",
	       busy, kill_now + kill_next + switch_now + switch_next, is_zero, dead_tag,
	       kill_confirms, switch_confirms, releases)
#else
	skip
#endif
}

/* pcpuref_init() of a new reference. The last one was at rest, and zero. */
inline begin(forced, dead)
{
	d_step {
		op = INIT;
		answer = true;
		force_atomic = forced;
		live = !dead;
		known_live = live;
		living = live;
		zero = dead;
		biased = live && !forced;
		atomic_tag = !biased;
		dead_tag = dead;
		initial = live && !ALLOWS_ZERO;
		count = (dead -> DEAD : 1 + (biased -> BIAS : 0));
		held = live && ALLOWS_ZERO;
		spare = held;
		no_live = false;
		releases = 0;
		kill_confirms = 0;
		switch_confirms = 0
	}
}

/* A few references and confirmations show all that more of them would. */
#define FEW	3

/* Anything that is legal. The end of a grace period is one of few that lead on. */
inline choose()
{
	if
	:: can_kill -> op = KILL
	:: can_kill && due < FEW -> op = KILL_CONFIRM
	:: !live -> op = RESURRECT
	:: !live && zero -> op = REINIT
	:: op = ATOMIC
	:: due < FEW -> op = ATOMIC_CONFIRM
	:: due < FEW -> op = ATOMIC_CONFIRM
	:: op = PERCPU
	:: held < FEW && (known_live || held) -> op = GET
	:: held < FEW -> op = TRYGET
	:: held < FEW -> op = TRYGET_LIVE
	:: held -> op = PUT
	:: held -> op = PUT
	:: busy -> op = OVER
	:: busy -> op = OVER
	fi
}

/* What leads to where a reference may exit. */
inline wind_up()
{
	if
	:: can_kill -> op = KILL_CONFIRM
	:: !can_kill && held -> op = PUT
	/* It has been put: with ALLOW_ZERO, a kill wants the initial reference. */
	:: !can_kill && !held && live -> op = GET
	:: !can_kill && !held && !live && busy -> op = OVER
	:: !can_kill && !held && !live && !busy -> op = EXIT
	fi
}

inline perform()
{
	if
	:: asked(TRYGET) || asked(TRYGET_LIVE) ->
		tryget(0);
		answer = got
	:: asked(GET) -> get(0)
	:: asked(PUT) ->
		/* The initial one last. */
		spare = spare && held > 1;
		put(0, todo)
	:: asked(OVER) ->
		may_end = true;
		!may_end
	:: asked(EXIT)
	:: else ->
		request(todo);
		if
		:: todo ->
			todo = false;
			release()
		:: else
		fi
	fi;
	got = false;
	tag = false;
	/* Any of what it holds can be the initial one. */
	spare = spare || (ALLOWS_ZERO && known_live && held)
}

#ifdef PAIRS
#define print_names()	skip
#define draw()		skip
#define next_operation() choose()
#else
/* More than there are names. */
#define NAMES	40

inline print_names()
{
	do
	:: tries < NAMES ->
		printf("name: %d %e\n", tries, tries);
		tries++
	:: else -> break
	od
}

/*
 * Each sequence has a length of its own, and operations that it mostly does without:
 * so states come up that equal chances hardly lead to. What has not been done yet in a
 * state is preferred.
 */
bool shunned[NAMES];
bool done[NAMES * NAMES * 4];
#define pair	(((state * NAMES + op) * 2 + recorded) * 2 + is_held)

inline draw()
{
	sequences++;
	steps = STEPS;
	tries = STEPS;
	do
	:: tries -> tries--
	:: tries -> tries--; steps++
	:: else -> break
	od;
	do
	:: tries < NAMES -> shunned[tries] = false; tries++
	:: tries < NAMES -> shunned[tries] = true; tries++
	:: else -> break
	od
}

inline next_operation()
{
	if
	:: steps ->
		steps--;
		tries = TRIES;
		choose();
		do
		:: tries && (shunned[op] || done[pair]) ->
			tries--;
			choose()
		:: else -> break
		od;
		done[pair] = true
	:: else -> wind_up()
	fi
}
#endif

proctype driver()
{
	mtype next = NOTHING;
	bool todo, failed, visit, reviving, revived, got, tag, live_only;
	bool answer;
	byte cpu, steps, tries;
	short sequences;

	print_names();
	do
	:: sequences < SEQUENCES ->
		if
		:: begin(false, false)
		:: begin(true, false)
		:: begin(false, true)
		fi;
		print_state();
		draw();
		do
		:: op != EXIT ->
			answer = true;
			next_operation();
			print_pair();
			perform();
			print_state()
		:: else -> break
		od
	:: else -> break
	od
}
#endif /* REPLAY */

init {
#ifdef REPLAY
	run driver()
#else
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
#endif
}
