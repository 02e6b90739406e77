/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _EMU_SPARE_H
#define _EMU_SPARE_H

#include "machine.h"

/**
 * spare_take() - a mapping that a machine has left behind
 * @size: bytes of it
 *
 * Nobody can tell it from a new one: it reads as zeroes, but for @mapping,
 * @mapping_size and @stacks_made of its struct machine.
 *
 * Return: the struct machine in it, or NULL: this thread has none of that size.
 */
struct machine *spare_take(size_t size);

/**
 * spare_keep() - leave the mapping of @m, which is no more, to the next machine
 * @m: machine whose memory outside of the mapping has been freed
 *
 * Return: false if this thread has one already, or if unmapping it is cheaper
 * or safer than cleaning it.
 */
bool spare_keep(struct machine *m);

#endif
