// SPDX-License-Identifier: GPL-2.0-only
/*
 * Switching stacks: a few instructions on x86-64 (coroutine.h) and aarch64,
 * ucontext elsewhere.
 *
 * Where a switch is a function call, only what a call must preserve is saved.
 */
#include "coroutine.h"

#if defined(__x86_64__) && !defined(COROUTINE_UCONTEXT)

void *coroutine_prepare(void *stack, size_t size, void (*entry)(void))
{
	uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
	void **sp = (void **)top;

	*--sp = NULL; /* where a return address would be: keeps the call ABI's alignment */
	sp -= COROUTINE_RED_ZONE / sizeof(*sp);
	*--sp = NULL; /* the frame pointer */
	*--sp = (void *)entry;
	return sp;
}

#elif defined(__aarch64__) && !defined(COROUTINE_UCONTEXT)

__asm__(".text\n"
	".p2align 4\n"
	".globl coroutine_switch\n"
	".hidden coroutine_switch\n"
	".type coroutine_switch, %function\n"
	"coroutine_switch:\n"
	"	sub sp, sp, #160\n"
	"	stp x19, x20, [sp, #0]\n"
	"	stp x21, x22, [sp, #16]\n"
	"	stp x23, x24, [sp, #32]\n"
	"	stp x25, x26, [sp, #48]\n"
	"	stp x27, x28, [sp, #64]\n"
	"	stp x29, x30, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n"
	"	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n"
	"	stp d14, d15, [sp, #144]\n"
	"	mov x9, sp\n"
	"	str x9, [x0]\n"
	"	ldr x9, [x1]\n"
	"	mov sp, x9\n"
	"	ldp x19, x20, [sp, #0]\n"
	"	ldp x21, x22, [sp, #16]\n"
	"	ldp x23, x24, [sp, #32]\n"
	"	ldp x25, x26, [sp, #48]\n"
	"	ldp x27, x28, [sp, #64]\n"
	"	ldp x29, x30, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]\n"
	"	ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]\n"
	"	ldp d14, d15, [sp, #144]\n"
	"	add sp, sp, #160\n"
	"	br x30\n"
	".size coroutine_switch, .-coroutine_switch\n");

void *coroutine_prepare(void *stack, size_t size, void (*entry)(void))
{
	uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
	uintptr_t *sp = (uintptr_t *)(top - 160);

	for (int i = 0; i < 20; i++)
		sp[i] = 0;
	sp[11] = (uintptr_t)entry;
	return sp;
}

#else

#include <ucontext.h>

/*
 * The saved "stack pointer" is the address of a context.  A task's lives at
 * the low end of its stack, so that it is saved and restored with it; the
 * host's lives on the host stack, in the frame that switches away.
 */
void coroutine_switch(void **save_sp, void *const *load_sp)
{
	ucontext_t here;

	*save_sp = &here;
	swapcontext(&here, *load_sp);
}

void *coroutine_prepare(void *stack, size_t size, void (*entry)(void))
{
	ucontext_t *context = stack;

	getcontext(context);
	context->uc_stack.ss_sp = (char *)stack + sizeof(*context);
	context->uc_stack.ss_size = size - sizeof(*context);
	context->uc_link = NULL;
	makecontext(context, entry, 0);
	return context;
}

#endif
