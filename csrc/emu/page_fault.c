// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page faults: a task that follows a wild pointer or overruns its stack oopses
 * and dies, as on a real kernel; the process goes on.
 *
 * The handler is the process's, hence the one thing here that machines share.
 * It is installed when the first machine is made and passes on whatever is
 * not a task's fault.
 */
#define _GNU_SOURCE
#include "asan.h"
#include "machine.h"

#include <linux/mm.h>
#include <linux/printk.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>

static struct sigaction previous_segv, previous_bus;
static pthread_once_t installed = PTHREAD_ONCE_INIT;

static __thread uintptr_t fault_address;
__thread bool page_fault_stack_ready
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/*
 * devm_memremap_pages() returns an address for private memory, too.  Is @addr
 * in such memory?
 */
static bool private_memory_at(uintptr_t addr, unsigned long *pfn)
{
	if (addr < PAGE_OFFSET ||
	    addr - PAGE_OFFSET >= 1UL << kernel_data()->config.max_physmem_bits)
		return false;
	*pfn = (addr - PAGE_OFFSET) >> PAGE_SHIFT;
	return pfn_valid(*pfn) && !page_is_poisoned(pfn_to_page(*pfn)) &&
	       is_device_private_page(pfn_to_page(*pfn));
}

/* Runs on the task's stack, in place of the instruction that faulted. */
static void oops(void)
{
	uintptr_t addr = fault_address;
	unsigned long pfn;
	const char *what = addr < 4096 ? "NULL pointer dereference" : "paging request";

	printk_level(LOGLEVEL_ALERT, "BUG: unable to handle kernel %s at %016lx\n", what,
		     (unsigned long)addr);
	if (private_memory_at(addr, &pfn))
		report_violation(VIOLATION_LINEAR_MAP,
				 "device-private pfn 0x%lx was touched through the direct map, "
				 "which it is not in",
				 pfn);
	else
		report_violation(VIOLATION_BUG, "unable to handle kernel %s at %016lx", what,
				 (unsigned long)addr);
	task_die();
}

void redirect_task(struct machine *m, void *context, void (*to)(void))
{
	ucontext_t *uc = context;
	uintptr_t top = (uintptr_t)stack_top(m, m->running->stack) & ~15UL;

	asan_forget_frames((char *)top - TASK_STACK_SIZE, TASK_STACK_SIZE);
#if defined(__x86_64__)
	uc->uc_mcontext.gregs[REG_RSP] = (greg_t)(top - 8);
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)to;
#elif defined(__aarch64__)
	uc->uc_mcontext.sp = top;
	uc->uc_mcontext.pc = (uintptr_t)to;
#else
	(void)uc;
	(void)top;
	(void)to;
#endif
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	struct machine *m = current_machine;
	struct sigaction *previous = sig == SIGSEGV ? &previous_segv : &previous_bus;

#if defined(__x86_64__) || defined(__aarch64__)
	if (m && m->running && kernel_context.task == &m->running->t) {
		fault_address = (uintptr_t)info->si_addr;
		/* The frames below are lost anyway: give the oops a fresh stack. */
		redirect_task(m, context, oops);
		return;
	}
#endif
	if (previous->sa_flags & SA_SIGINFO) {
		previous->sa_sigaction(sig, info, context);
	} else if (previous->sa_handler != SIG_DFL && previous->sa_handler != SIG_IGN) {
		previous->sa_handler(sig);
	} else {
		/* Back to the default action: the instruction faults again. */
		sigaction(sig, previous, NULL);
	}
}

static void install(void)
{
	struct sigaction action = { .sa_sigaction = on_fault,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	sigemptyset(&action.sa_mask);
	sigaction(SIGSEGV, &action, &previous_segv);
	sigaction(SIGBUS, &action, &previous_bus);
}

void page_fault_init(void)
{
	pthread_once(&installed, install);
}

static pthread_key_t alternate_stack;
static pthread_once_t alternate_key_made = PTHREAD_ONCE_INIT;

/* The thread ends. */
static void drop_alternate_stack(void *stack)
{
	stack_t off = { .ss_flags = SS_DISABLE };

	sigaltstack(&off, NULL);
	free(stack);
}

static void make_alternate_key(void)
{
	pthread_key_create(&alternate_stack, drop_alternate_stack);
}

/* A fault on an exhausted stack needs another one to be handled on. */
void page_fault_stack_slow(void)
{
	stack_t old, alternate = { .ss_size = 1UL << 16 };

	page_fault_stack_ready = true;
	if (!sigaltstack(NULL, &old) && !(old.ss_flags & SS_DISABLE))
		return; /* somebody else's will do */
	pthread_once(&alternate_key_made, make_alternate_key);
	alternate.ss_sp = malloc(alternate.ss_size);
	if (!alternate.ss_sp)
		return;
	if (sigaltstack(&alternate, NULL))
		free(alternate.ss_sp);
	else
		pthread_setspecific(alternate_stack, alternate.ss_sp);
}
