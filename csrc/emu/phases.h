/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_PHASES_H
#define EMU_PHASES_H

/*
 * What follows the end of a phase, once: see phases.c.
 */

#include "execution.h"

/** phases_prepare() - false: the host is out of memory */
bool phases_prepare(struct explorer *x);
void phases_free(struct explorer *x);
/** phases_back() - only the first @depth steps, and what began with them, are on the stack */
void phases_back(struct explorer *x, unsigned int depth);
/**
 * begin_phase() - the step at hand may be the first of a phase
 * @x: search
 * @fails: failing calls so far
 * @enabled: who can go on
 * @sleep: who of them need not be tried
 *
 * Return: false if all that follows has been seen.
 */
bool begin_phase(struct explorer *x, unsigned int fails, uint32_t enabled, uint32_t sleep);
/** phases_race() - the step at hand, or one that would come later, races with step @i */
void phases_race(struct explorer *x, unsigned int i);

#endif
