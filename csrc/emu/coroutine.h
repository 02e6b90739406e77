/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _EMU_COROUTINE_H
#define _EMU_COROUTINE_H

#include <stddef.h>
#include <stdint.h>

/**
 * coroutine_switch() - leave this stack and continue on another
 * @save_sp: where to keep what a later switch back needs
 * @load_sp: what coroutine_prepare() or an earlier switch has kept
 */
void coroutine_switch(void **save_sp, void *load_sp);

/**
 * coroutine_prepare() - make a stack that starts @entry when switched to
 * @stack: lowest address
 * @size: bytes
 * @entry: never returns
 */
void *coroutine_prepare(void *stack, size_t size, void (*entry)(void));

#endif
