/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_CACHE_H
#define EMU_CACHE_H

/*
 * States that a search has met: see cache.c.
 */

#include "execution.h"

/** cache_prepare() - false: the host is out of memory */
bool cache_prepare(struct explorer *x);
void cache_free(struct explorer *x);
/**
 * cache_state() - the state at hand has been reached, with so many failing calls used up
 * @x: search
 * @fails: failing calls
 * @choices: who can go on
 * @sleep: who of them need not be tried
 *
 * Return: who is to be tried from here.
 */
uint32_t cache_state(struct explorer *x, unsigned int fails, uint32_t choices, uint32_t sleep);

#endif
