/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_SEARCH_H
#define EMU_SEARCH_H

/*
 * What search.c, where the host comes in, wants of the search itself.
 */

#include "execution.h"

/** read_schedule() - a schedule (memremap_emu.h) as the first steps; false: it is none */
bool read_schedule(struct explorer *x, const uint8_t *schedule, size_t length);
/** explore() - go on with the search for @seconds, 0: to its end */
void explore(struct explorer *x, double seconds);
/** replay() - executions that follow the schedule, one as a rule, and then whoever can */
void replay(struct explorer *x);

#endif
