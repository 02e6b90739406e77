/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The smallest protocol of kill, get and put (csrc/drivers/test/ref.c): an
 * owner and USERS users, each access of its own.
 */
bool dead = false;
bool freed = false;
int count = 1;

inline put()
{
	atomic { count--; left = count }
	if
	:: left == 0 -> freed = true
	:: else
	fi
}

active proctype owner()
{
	int left;

	dead = true;
	put()
}

active [USERS] proctype user()
{
	int seen, left;
	bool got = false;

	if
	:: dead -> goto out
	:: else
	fi;
	seen = count;
	if
	:: seen == 0 -> goto out
	:: else
	fi;
	atomic {
		if
		:: count == seen -> count = seen + 1; got = true
		:: else
		fi
	}
	if
	:: got -> assert(!freed); put()
	:: else
	fi;
out:
	skip
}
