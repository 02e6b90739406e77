/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_ESTIMATE_H
#define EMU_ESTIMATE_H

/*
 * How large a search is: see estimate.c.
 */

#include "execution.h"

/** estimate() - executions in all, told by the first @depth steps of the one at hand; 0: unknown */
double estimate(const struct explorer *x, unsigned int depth);
/** is_hopeless() - will more executions be needed than are worthwhile? */
bool is_hopeless(struct explorer *x);
/**
 * next_question() - number of the execution, not before @executions, after which the search
 *	asks whether it is worthwhile
 */
uint64_t next_question(uint64_t executions);

#endif
