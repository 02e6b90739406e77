/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A percpu_ref and those who use it: USERS users and an owner that kills it,
 * waits for its release, exits and, with FREE, frees it.
 *
 * An access of the reference count is one step; it asserts that what it
 * touches has not been freed.  A get or put is an RCU-sched read section from
 * its look at the flags to its end.  A grace period waits for the sections
 * that have begun before it, and for no others.  Every process has a CPU.
 * Once a kill is confirmed, tryget_live succeeds no more.
 *
 * Wrong users and owners:
 *	PUT_TWICE		a user drops what it has not got
 *	GET_LATE		a user takes a reference after it has dropped its own; with FREE
 *	GET_UNHELD		those who hold nothing use get instead of tryget_live
 *	FREE			without HOLDERS: the others find the count after it was freed
 *	LEAK			a user keeps its reference
 *	PUT_FOR_KILL		the owner drops the initial reference by a put
 *	KILL_TWICE		a user kills, too
 *	EXIT_BEFORE_RELEASE	the owner waits for the confirmation only
 * and a wrong percpu_ref:
 *	NO_GRACE_PERIOD		the switch to atomic waits for no readers
 *	BIAS_FIRST		the bias goes before the sum of the counters comes
 *	NO_OWN_REFERENCE	the callback of the switch holds none
 *	PUT_BEFORE_CONFIRM	it drops it before it confirms
 *	NOT_DEAD		a killed count is not marked as dead
 *
 * With HOLDERS every user holds a reference when it begins, else the first.
 * With GET a holder takes another one first.
 */
#define BIAS 100
#define OWNER USERS
#define CALLBACK (USERS + 1)
#define CPUS (USERS + 2)

/* The count: its word of flags, its counters, what is kept atomically. */
bool is_atomic = false;
bool dead = false;
bool switching = false; /* confirm_switch is set */
int percpu[CPUS];
int count = BIAS + 1;
bool exited = false; /* the counters are freed */
bool freed = false; /* and so is the count itself */

bool locked = false; /* percpu_ref_switch_lock */

/* RCU-sched: who is in a section, and whom the grace period waits for. */
bool inside[CPUS];
bool waited[CPUS];
bool queued = false;

/* Completions of the owner. */
bool confirmed = false;
bool released = false;

#define touch() assert(!freed)

inline enter()
{
	atomic {
		touch();
		inside[me] = true;
		percpu_mode = !is_atomic && !dead
	}
}

inline leave()
{
	atomic { inside[me] = false; waited[me] = false }
}

inline add_percpu(by)
{
	atomic { assert(!exited); percpu[me] = percpu[me] + by }
}

inline get()
{
	enter();
	if
	:: percpu_mode -> add_percpu(1)
	:: else -> atomic { touch(); count++ }
	fi;
	leave()
}

inline put()
{
	enter();
	if
	:: percpu_mode -> add_percpu(-1)
	:: else -> atomic {
		touch();
		count--;
		if
		:: count == 0 -> assert(!released); released = true
		:: else
		fi
	}
	fi;
	leave()
}

inline tryget_live()
{
	got = true;
	enter();
	if
	:: percpu_mode -> atomic { add_percpu(1); assert(!confirmed) }
	:: else ->
		atomic { touch(); got = !dead };
		if
		:: got -> atomic {
			touch();
			if
			:: count == 0 -> got = false
			:: else -> count++; assert(!confirmed)
			fi
		}
		:: else
		fi
	fi;
	leave()
}

inline lock()
{
	atomic { !locked; locked = true }
}

inline call_rcu_sched()
{
	atomic {
		queued = true;
#ifndef NO_GRACE_PERIOD
		i = 0;
		do
		:: i < CPUS -> waited[i] = inside[i]; i++
		:: else -> break
		od;
		i = 0
#endif
	}
}

inline kill_and_confirm()
{
	lock();
	atomic { touch(); assert(!dead) };
#ifndef NOT_DEAD
	atomic { touch(); dead = true };
#endif
	do
	:: atomic { touch(); busy = switching };
		if
		:: busy -> locked = false; !switching; lock()
		:: else -> break
		fi
	od;
	/* Nobody else changes these two without the lock; one that is not dead stays per CPU. */
	if
	:: !dead
	:: dead && is_atomic -> confirmed = true
	:: dead && !is_atomic ->
		atomic { touch(); is_atomic = true };
		atomic { touch(); switching = true };
#ifndef NO_OWN_REFERENCE
		get();
#endif
		call_rcu_sched()
	fi;
	put();
	locked = false
}

proctype user(byte me)
{
	bool percpu_mode, got, busy;
	byte i = 0;

#ifdef HOLDERS
	got = true;
#else
	got = me == 0;
#endif
	if
	:: got ->
#ifdef GET
		get();
		put();
#endif
#ifndef LEAK
		put();
#endif
#ifdef PUT_TWICE
		put();
#endif
#ifdef GET_LATE
		get();
		put();
#endif
		skip
	:: else ->
#ifdef KILL_TWICE
		kill_and_confirm();
#elif defined(GET_UNHELD)
		get();
		put();
#else
		tryget_live();
		if
		:: got -> put()
		:: else
		fi;
#endif
		skip
	fi
}

proctype owner()
{
	byte me = OWNER;
	byte i = 0;
	bool percpu_mode, busy;

#ifdef PUT_FOR_KILL
	put();
#else
	kill_and_confirm();
#endif
#ifdef EXIT_BEFORE_RELEASE
	confirmed;
#else
	released;
#endif
	atomic { touch(); assert(!switching) };
	exited = true;
	atomic { touch(); is_atomic = true; dead = true };
#ifdef FREE
	freed = true
#endif
}

proctype callback()
{
	byte me = CALLBACK;
	byte i = 0;
	bool percpu_mode;
	int sum = 0;

end:	queued;
	/* Sections that begin now are not waited for. */
	do
	:: i < CPUS -> !waited[i]; i++
	:: else -> break
	od;
	i = 0;
	do
	:: i < CPUS -> atomic { assert(!exited); sum = sum + percpu[i]; i++ }
	:: else -> break
	od;
#ifdef BIAS_FIRST
	atomic { touch(); count = count - BIAS };
	atomic { touch(); count = count + sum };
#else
	atomic { touch(); count = count + sum - BIAS };
#endif
	atomic { touch(); assert(count > 0) };
#ifdef PUT_BEFORE_CONFIRM
	put();
#endif
	confirmed = true;
	atomic { touch(); switching = false };
#if !defined(PUT_BEFORE_CONFIRM) && !defined(NO_OWN_REFERENCE)
	put();
#endif
	skip
}

init
{
	byte i = 0;

	atomic {
		do
		:: i < USERS ->
#ifndef HOLDERS
			if
			:: i == 0 -> percpu[i] = 1
			:: else
			fi;
#else
			percpu[i] = 1;
#endif
			run user(i);
			i++
		:: else -> break
		od;
		run owner();
		run callback()
	}
}
