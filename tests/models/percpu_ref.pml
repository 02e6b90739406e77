/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * percpu_ref: USERS tasks that hold a reference each, with GET
 * take and drop another, and drop their own, against one that kills the counter.
 *
 * Variants: PUT_BEFORE_KILL, PUT_TWICE (the last user), NO_GRACE_PERIOD.
 */
#define BIAS 100

int percpu[USERS];
int count = BIAS + 1;
bool is_atomic = false;
byte sections = 0;
byte released = 0;
byte holders = USERS;

inline change(by)
{
	sections++;
	mode = is_atomic;
	if
	:: !mode -> percpu[me] = percpu[me] + by
	:: else -> atomic {
		count = count + by;
		if
		:: count == 0 -> released++; assert(holders == 0)
		:: else
		fi
	}
	fi;
	sections--
}

proctype user(byte me)
{
	bool mode;

#ifdef GET
	change(1);
	change(-1);
#endif
	holders--;
	change(-1);
#ifdef PUT_TWICE
	if
	:: me == USERS - 1 -> change(-1)
	:: else
	fi
#endif
}

proctype killer()
{
	bool mode;
	byte me = 0;
	byte i = 0;
	int sum = 0;

#ifdef PUT_BEFORE_KILL
	change(-1);
#endif
	is_atomic = true;
#ifndef NO_GRACE_PERIOD
	sections == 0;
#endif
	do
	:: i < USERS -> sum = sum + percpu[i]; i++
	:: else -> break
	od;
	atomic { count = count + sum - BIAS };
	change(-1)
}

init
{
	byte i = 0;

	atomic {
		do
		:: i < USERS -> percpu[i] = 1; i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < USERS -> run user(i); i++
		:: else -> break
		od;
		run killer()
	};
	_nr_pr == 1;
	assert(released == 1 && count == 0)
}
