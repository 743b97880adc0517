/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The machine of pcpuref.c, for spin: users that look the reference up, use
 * and put it, controllers that kill, resurrect, reinitialise and switch it, and
 * the grace period. Names are those of pcpuref.c; Documentation/design.rst has
 * the argument that this checks. Every access to the word, the count and a
 * counter is a step of its own, also under the lock. Sequentially consistent:
 * it says nothing about memory ordering.
 *
 * Each BUG_* macro breaks the machine in one way that check.sh expects spin to
 * find.
 */
#ifndef USERS
#define USERS	2	/* processes that look up and put */
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

#define CPUS	2
#define BIAS	100
#define DEAD	(-50)

/* The word: per-CPU mode unless tagged. */
bool atomic_tag;
bool dead_tag;
short count;
short counter[CPUS];

/* Under the lock. */
bool lock;
bool force_atomic;
bool live = true;
bool initial = true;
bool biased = true;
bool busy;
bool own;
bool zero;
bool releasing;
byte life = 1;
byte ended;
byte returned;
byte claimed;
byte kill_now, kill_next;	/* confirmations of kills */
byte switch_now, switch_next;	/* and of switches */

/* Readers: a grace period waits for the sections that it found open. */
#define READERS	(USERS)
bool reading[READERS];
bool awaited[READERS];
bool gp_wanted;

/* Ghosts: what is true, whatever the machine believes. */
short held;		/* references in users' hands */
byte promised, confirmed;
bool no_live;		/* a kill was confirmed and nothing revived it */
bool was_zero;		/* the grace period in flight began at count zero */
bool in_release;
byte requests = REQUESTS;
byte running = USERS + CONTROLLERS;

#define LOCK()		atomic { !lock -> lock = true }
#define UNLOCK()	lock = false

#define enter_reader(me)	reading[me] = true
#define leave_reader(me)	d_step { reading[me] = false; awaited[me] = false }

/* Caller holds the lock. */
inline mark_zero(todo)
{
	atomic {
		assert(count == 0);
		assert(held == 0);
		count = DEAD;
	}
	d_step {
		assert(!busy || was_zero);
		assert(!zero);
		zero = true;
		ended++;
		assert(ended <= life);
		if
		:: releasing
		:: else ->
			releasing = true;
			todo = true
		fi
	}
}

inline drop(todo)
{
	atomic {
		count--;
		now_zero = (count == 0);
		assert(count >= 0)
	}
	if
	:: now_zero ->
		now_zero = false;
		assert(!initial && !own);
		mark_zero(todo)
	:: else
	fi
}

inline settle(todo)
{
	if
	:: busy
	:: else ->
		if
		:: kill_next || switch_next || (biased && atomic_tag) ->
			d_step {
				kill_now = kill_next;
				switch_now = switch_next;
				kill_next = 0;
				switch_next = 0;
				busy = true;
				was_zero = false
			}
			atomic {
				if
				:: initial
				:: !initial && count > 0 ->
#ifndef BUG_NO_OWN
					count++;
					own = true
#else
					skip
#endif
				:: !initial && count <= 0 ->
					was_zero = true
				fi
			}
			gp_wanted = true
		:: else ->
			if
			:: !live ->
				if
				:: initial ->
					initial = false;
					drop(todo)
				:: else
				fi
			:: else ->
				if
				:: atomic_tag && !force_atomic ->
					count = count + BIAS;
					biased = true;
					d_step {
						assert(counter[0] == 0 && counter[1] == 0);
						dead_tag = false;
						atomic_tag = false
					}
				:: atomic_tag && force_atomic ->
					dead_tag = false
				:: else
				fi
			fi
		fi
	fi
}

inline release_all()
{
	LOCK();
	do
	:: returned != ended ->
		UNLOCK();
		d_step { assert(!in_release); in_release = true }
		in_release = false;
		LOCK();
		returned++
	:: else -> break
	od;
	releasing = false;
	UNLOCK()
}

inline reached_zero(todo)
{
	if
	:: claimed -> claimed--
	:: else ->
		/* Users are in the right: no misuse must be seen. */
		assert(!live && !initial && !own && !zero);
		mark_zero(todo)
	fi
}

/* Any of what a controller may ask for in the present state. */
inline request(todo)
{
	LOCK();
	if
	:: live ->
		d_step { live = false; atomic_tag = true; dead_tag = true }
		settle(todo)
	:: live ->
		d_step {
			live = false;
			promised++;
#ifdef BUG_CONFIRM_IN_FLIGHT
			if
			:: busy -> kill_now++
			:: else -> kill_next++
			fi;
#else
			kill_next++;
#endif
			atomic_tag = true;
			dead_tag = true
		}
#ifdef BUG_CONFIRM_AT_ONCE
		if
		:: !busy && !biased ->
			d_step { kill_next--; confirmed++; no_live = true }
		:: else
		fi;
#endif
		settle(todo)
	:: d_step { force_atomic = true; atomic_tag = true }
		settle(todo)
	:: d_step {
			force_atomic = true;
			atomic_tag = true;
			promised++;
			switch_next++
		}
		settle(todo)
	:: force_atomic ->
		force_atomic = false;
		settle(todo)
	:: !live ->
		/* resurrect; or reinit, if zero */
		no_live = false;
		if
		:: !initial ->
			atomic {
				if
				:: count > 0 -> count++
				:: else -> failed = true
				fi
			}
			if
			:: failed ->
				failed = false;
				if
				:: !zero ->
					mark_zero(todo);
#ifndef BUG_NO_CLAIM
					claimed++
#endif
				:: else
				fi;
				atomic {
					assert(count == DEAD);
					life++;
					count = 1
				}
			:: else
			fi
		:: else
		fi;
		d_step { initial = true; live = true; zero = false }
#ifdef BUG_LIVE_EARLY
		dead_tag = false;
#endif
		settle(todo)
	:: skip
	fi;
	UNLOCK()
}

proctype controller()
{
	bool todo, failed, now_zero;

	do
	:: atomic { requests > 0 -> requests-- }
		request(todo);
		if
		:: todo -> todo = false; release_all()
		:: else
		fi
	:: break
	od;
	running--
}

proctype user(byte me)
{
	bool todo, got, tag, now_zero;
	byte lookups = LOOKUPS;
	byte cpu;

	do
	:: lookups > 0 ->
		lookups--;
		got = false;
		/* tryget_live, on whatever CPU */
		if
		:: cpu = 0
		:: cpu = 1
		fi;
		enter_reader(me);
		tag = atomic_tag;
		if
		:: !tag ->
			d_step {
				counter[cpu]++;
				held++;
				got = true;
				assert(!no_live)
			}
			leave_reader(me)
		:: else ->
#ifdef BUG_NO_RECHECK
			tag = dead_tag;
#endif
			leave_reader(me);
			enter_reader(me);
#ifndef BUG_NO_RECHECK
			tag = dead_tag;
#endif
			if
			:: !tag ->
				d_step {
					if
					:: count > 0 ->
						count++;
						held++;
						got = true;
						assert(!no_live)
					:: else
					fi
				}
			:: else
			fi;
			leave_reader(me)
		fi;
		if
		:: got ->
			/* put, on the other CPU */
			cpu = 1 - cpu;
			enter_reader(me);
			tag = atomic_tag;
			if
			:: !tag ->
				d_step { counter[cpu]--; held-- }
				leave_reader(me)
			:: else ->
				leave_reader(me);
				enter_reader(me);
				d_step {
					held--;
					count--;
					assert(count >= 0);
					now_zero = (count == 0)
				}
				if
				:: now_zero ->
					now_zero = false;
					LOCK();
					reached_zero(todo);
					UNLOCK()
				:: else
				fi;
				leave_reader(me);
				if
				:: todo -> todo = false; release_all()
				:: else
				fi
			fi
		:: else
		fi;
		/* Fewer states: forget what is not needed any more. */
		d_step { cpu = 0; tag = false; got = false }
	:: else -> break
	od;
	running--
}

/* The callback of the grace period, and RCU. */
active proctype grace_period()
{
	bool todo, now_zero;
	short sum;
	byte i;

end:
	do
	:: gp_wanted ->
		d_step {
			gp_wanted = false;
			i = 0;
			do
			:: i < READERS -> awaited[i] = reading[i]; i++
			:: else -> break
			od;
			i = 0
		}
#ifndef BUG_NO_GRACE_PERIOD
		do
		:: i < READERS -> !awaited[i] -> i++
		:: else -> break
		od;
#endif
		if
		:: biased ->
			sum = counter[0];
			sum = sum + counter[1];
			LOCK();
#ifdef BUG_TWO_ADDITIONS
			count = count - BIAS;
			count = count + sum;
#else
			count = count + sum - BIAS;
#endif
			assert(count >= 1);
			d_step { biased = false; sum = 0; i = 0 }
			UNLOCK();
			counter[0] = 0;
			counter[1] = 0
		:: else
		fi;
		LOCK();
#ifdef BUG_DROP_BEFORE_CONFIRM
		if
		:: !live && initial -> initial = false; drop(todo)
		:: else
		fi;
#endif
		do
		:: kill_now ->
			d_step { kill_now--; confirmed++; no_live = no_live || !live }
			UNLOCK();
			LOCK()
		:: switch_now ->
			d_step { switch_now--; confirmed++ }
			UNLOCK();
			LOCK()
		:: !kill_now && !switch_now -> break
		od;
		busy = false;
		if
		:: own -> own = false; drop(todo)
		:: else
		fi;
		settle(todo);
		UNLOCK();
		if
		:: todo -> todo = false; release_all()
		:: else
		fi
	:: !gp_wanted && !busy && running == 0 && !releasing ->
		/* All at rest: nothing lost, nothing forgotten. */
		d_step {
			assert(!lock && held == 0 && !own && claimed == 0);
			assert(confirmed == promised);
			assert(!kill_next && !switch_next);
			assert(ended == returned);
			assert(biased == !atomic_tag);
			if
			:: live ->
				assert(initial && !zero && !dead_tag);
				assert(ended == life - 1);
				assert(force_atomic == atomic_tag);
				assert(count + counter[0] + counter[1]
				       - (biased -> BIAS : 0) == 1)
			:: else ->
				assert(!initial && zero && dead_tag && count == DEAD);
				assert(ended == life)
			fi
		}
		break
	od
}

init {
	byte i;

	atomic {
		count = BIAS + 1;
		i = 0;
		do
		:: i < USERS -> run user(i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < CONTROLLERS -> run controller(); i++
		:: else -> break
		od
	}
}
