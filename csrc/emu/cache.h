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
/** cache_state() - is the state at hand, with so many failing calls used up, a new one? */
bool cache_state(struct explorer *x, unsigned int fails);

#endif
