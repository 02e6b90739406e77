/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _EMU_COROUTINE_H
#define _EMU_COROUTINE_H

#include <stddef.h>
#include <stdint.h>

/**
 * coroutine_switch() - leave this stack and continue on another
 * @save_sp: where to keep what a later switch back needs
 * @load_sp: where coroutine_prepare() or an earlier switch has kept it.  Not that itself: the
 *	compiler leaves what it hands over on the stack, and equal states shall look equal
 */
#if defined(__x86_64__) && !defined(COROUTINE_UCONTEXT)

/*
 * Bytes below its stack pointer that a function may use without telling.  What is
 * below them is where a switch goes on, and its frame pointer.
 */
#define COROUTINE_RED_ZONE 128
#define COROUTINE_SAVED 16

/*
 * Part of the function that switches: the compiler saves what it needs, and no
 * return follows.  The processor predicts returns by the calls that it has
 * seen, and would be wrong after every switch.
 *
 * What the other side has left in registers that a call preserves would be saved by
 * the next one who uses them, and equal states shall look equal.
 */
static inline __attribute__((always_inline)) void coroutine_switch(void **save_sp,
								   void *const *load_sp)
{
	__asm__ volatile("leaq 1f(%%rip), %%rcx\n\t"
			 "subq $128, %%rsp\n\t"
			 "pushq %%rbp\n\t"
			 "pushq %%rcx\n\t"
			 "movq %%rsp, (%0)\n\t"
			 "movq (%1), %%rsp\n\t"
			 "popq %%rcx\n\t"
			 "popq %%rbp\n\t"
			 "addq $128, %%rsp\n\t"
			 "jmp *%%rcx\n\t"
			 ".p2align 3\n"
			 "1:\n\t"
			 "xorl %%ebx, %%ebx\n\t"
			 "xorl %%r12d, %%r12d\n\t"
			 "xorl %%r13d, %%r13d\n\t"
			 "xorl %%r14d, %%r14d\n\t"
			 "xorl %%r15d, %%r15d"
			 : "+D"(save_sp), "+S"(load_sp)
			 :
			 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13",
			   "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
			   "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
			   "xmm15", "cc", "memory");
}

#else

#define COROUTINE_RED_ZONE 0
#define COROUTINE_SAVED 0

void coroutine_switch(void **save_sp, void *const *load_sp);

#endif

/**
 * coroutine_prepare() - make a stack that starts @entry when switched to
 * @stack: lowest address
 * @size: bytes
 * @entry: never returns
 */
void *coroutine_prepare(void *stack, size_t size, void (*entry)(void));

#endif
