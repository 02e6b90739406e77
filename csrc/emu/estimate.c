// SPDX-License-Identifier: GPL-2.0-only
/*
 * How many executions a search will take, and whether it is worthwhile to go on with it.
 */
#include "estimate.h"

/* How far an estimate is trusted, see is_hopeless(). */
#define DOUBTED_EXECUTIONS 10000.0
#define MOST_DOUBT 1.25
/* Questions in a row at which it has grown as the executions have, by so much at least. */
#define NO_PROGRESS 3
#define AS_EXECUTIONS 1.9

/*
 * Executions that the search may take in all, if what is left is like what has
 * been seen: the share of the tree that lies before the execution at hand,
 * where all that is to be tried at a step counts the same (Knuth: "Estimating
 * the efficiency of backtrack programs", 1975).
 */
double estimate(const struct explorer *x, unsigned int depth)
{
	double share = 0, weight = 1;

	if (x->strategy->samples)
		return 0;
	for (unsigned int d = 0; d < depth; d++) {
		const struct step *step = &x->steps[d];
		unsigned int all = (unsigned int)__builtin_popcount(step->backtrack | step->done);
		unsigned int done =
			(unsigned int)__builtin_popcount(step->done & ~(1U << step->proc));

		share += weight * done / all;
		weight /= all;
	}
	return share > 0 ? (double)x->result->executions / share : 0;
}

/*
 * Has nothing more of the tree been seen, by the estimate, each time that there were twice as many
 * executions?  A search that has been gone on with does not know, so only one asks that never is.
 */
static bool stands_still(struct explorer *x, double estimated)
{
	if (!x->strategy->phases)
		return false;
	if (x->asked != x->result->executions) {
		x->still = x->estimated > 0 && estimated > AS_EXECUTIONS * x->estimated ?
				   x->still + 1 :
				   0;
		x->estimated = estimated;
		x->asked = x->result->executions;
	}
	return x->still >= NO_PROGRESS;
}

/*
 * Will more executions be needed from here on than are worthwhile?  The estimate is often too high,
 * by a half or more to begin with; the more has been seen the less is allowed for that.
 */
bool is_hopeless(struct explorer *x)
{
	const double done = (double)x->result->executions;
	const double doubt = DOUBTED_EXECUTIONS / done;
	const double worthwhile = (double)x->options.worthwhile;
	const double estimated = estimate(x, x->prefix);

	return estimated - done > worthwhile * (1 + (doubt < MOST_DOUBT ? doubt : MOST_DOUBT)) ||
	       (stands_still(x, estimated) && estimated > worthwhile / 2);
}

uint64_t next_question(uint64_t executions)
{
	/* Every power of two, from where an estimate means something. */
	uint64_t next = 1024;

	while (next < executions)
		next *= 2;
	return next;
}
