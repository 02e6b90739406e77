/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_ORDERS_H
#define EMU_ORDERS_H

/*
 * In which orders dependent steps came: see orders.c.
 */

#include "execution.h"

/** orders_prepare() - a search is to remember them; false: the host is out of memory */
bool orders_prepare(struct explorer *x);
/** keep_orders() - those of the execution at hand, which is complete */
void keep_orders(struct explorer *x);
/** read_orders() - writes down up to @max of them; how many there are, -1: nobody knows */
long read_orders(const struct explorer *x, struct emu_search_order *pairs, size_t max);
/** orders_free() - the search goes away */
void orders_free(struct explorer *x);

#endif
