/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _EMU_ASAN_H
#define _EMU_ASAN_H

/*
 * What AddressSanitizer must be told about stacks that it did not make.
 * Without it these are nothing.
 */

#include <stddef.h>

/* The checked build borrows the instrumentation, not the run time: see dirty.c. */
#ifdef TRACK_STORES
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#endif

#ifdef ADDRESS_SANITIZER

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

/**
 * asan_leave_stack() - the next coroutine_switch() goes to another stack
 * @keep: where to keep what asan_enter_stack() needs when this stack is
 *	continued, NULL if it never is
 * @stack: lowest address of the stack that it goes to
 * @size: bytes of that
 */
static inline void asan_leave_stack(void **keep, const void *stack, size_t size)
{
	__sanitizer_start_switch_fiber(keep, stack, size);
}

/**
 * asan_enter_stack() - the first thing after coroutine_switch() has come here
 * @kept: what asan_leave_stack() has kept, NULL on a new stack
 * @stack: where to put the stack that was left, NULL: nowhere
 * @size: where to put its bytes, NULL: nowhere
 */
static inline void asan_enter_stack(void *kept, const void **stack, size_t *size)
{
	__sanitizer_finish_switch_fiber(kept, stack, size);
}

/** asan_forget_frames() - frames here have been abandoned or are about to be copied as bytes */
static inline void asan_forget_frames(const void *stack, size_t size)
{
	__asan_unpoison_memory_region(stack, size);
}

#else

static inline void asan_leave_stack(void **keep, const void *stack, size_t size)
{
	(void)keep;
	(void)stack;
	(void)size;
}

static inline void asan_enter_stack(void *kept, const void **stack, size_t *size)
{
	(void)kept;
	(void)stack;
	(void)size;
}

static inline void asan_forget_frames(const void *stack, size_t size)
{
	(void)stack;
	(void)size;
}

#endif

#endif
