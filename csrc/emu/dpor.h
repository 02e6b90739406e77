/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_DPOR_H
#define EMU_DPOR_H

/*
 * Dynamic partial-order reduction: see dpor.c.
 */

#include "execution.h"

/** account() - clock of the step that is about to be taken at @d, and its races if @races */
void account(struct explorer *x, unsigned int d, bool races);
/** account_own() - the same with its races where nobody else has met the word, see is_own() */
void account_own(struct explorer *x, unsigned int d);
/**
 * enter_initial() - somebody is to be tried at step @i unless one of @initials is already
 * @x: search
 * @i: earlier half of a race
 * @initials: who can begin an execution that reverses it, 0: nobody who can go there
 * @proc: whose step is the later half
 */
void enter_initial(struct explorer *x, unsigned int i, uint32_t initials, unsigned int proc);
/**
 * reverse_later() - a step by @proc behind those on the stack races with step @i
 *
 * Who can begin an execution in which it comes first is one that can begin with the steps
 * on the stack behind @i that do not come after it, or @proc if there are none.
 */
void reverse_later(struct explorer *x, unsigned int i, unsigned int proc);
/** account_again() - the same for a step that is repeated: both are known */
void account_again(struct explorer *x, unsigned int d);
/** account_blocked() - nobody is to go on: races of those that hang at a lock, none of @enabled */
void account_blocked(struct explorer *x, uint32_t enabled);
/**
 * gives_up() - may a lookup tell whether it comes before or after a step by @proc with @access?
 *
 * It looks whether a page of a pagemap that is alive has been given up: may the step give up such a
 * page, or put or take away one that was?
 */
bool gives_up(const struct explorer *x, unsigned int proc, const struct access *access);

/* What @step begins with, from what its process has told: some of it shows only now. */
static inline void complete_access(struct explorer *x, struct step *step,
				   const struct access *pending)
{
	step->access = *pending;
	step->access.kind = kind_now(&step->access);
	if (unlikely(x->looks) && gives_up(x, step->proc, &step->access))
		step->access.rcu_write |= PAGES_GIVEN_UP;
}

/** still_asleep() - who of @candidates need not be tried after @access, either */
uint32_t still_asleep(const struct explorer *x, uint32_t candidates, const struct access *access);
/** list_step() - step @d, with its access, is on the stack: later ones will find it */
void list_step(struct explorer *x, unsigned int d);
/** unlist_steps() - only the first @depth steps are on the stack */
void unlist_steps(struct explorer *x, unsigned int depth);

#endif
