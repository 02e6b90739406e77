/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_ITEMS_H
#define EMU_ITEMS_H

/*
 * Parts of a search that somebody else carries out: see items.c.
 */

#include "execution.h"

/** keep_race() - a race with step @i, which was given; arguments as of enter_initial() */
void keep_race(struct explorer *x, unsigned int i, uint32_t initials, unsigned int proc);
/** is_position() - may @position be where a search stands? */
bool is_position(const struct emu_search_position *position);
/** is_result() - may @result be what a search has found? */
bool is_result(const struct emu_explore_result *result);
/** read_steps() - the steps of @position from @first on become those of the search */
void read_steps(struct explorer *x, const struct emu_search_position *position, unsigned int first);
/** room_for_items() - as emu_search_room() */
uint64_t room_for_items(const struct explorer *x);
/** take_over() - as emu_search_take_over(); false: it cannot be */
bool take_over(struct explorer *x, const struct emu_search_position *position,
	       const struct emu_explore_result *result);

#endif
