// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page faults: a task that follows a wild pointer or overruns its stack oopses
 * and dies, as on a real kernel; the process goes on.
 *
 * The handler is the process's, hence the one thing here that machines share.
 * It is installed when a machine is made, again if somebody has put another one
 * in its place since (faulthandler.enable() of Python), and passes on whatever
 * is not a task's fault.
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

#define MAX_HANDLERS 4
#define NO_ADDRESS (~0UL)

/**
 * struct handlers - those of others for one signal, the one to be asked first at the end
 */
struct handlers {
	struct sigaction of[MAX_HANDLERS];
	int n;
};

static struct handlers segv, bus;
static pthread_mutex_t installing = PTHREAD_MUTEX_INITIALIZER;

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

	if (addr == NO_ADDRESS) {
		/* Another handler was first and has raised the signal again, without it. */
		printk_level(LOGLEVEL_ALERT, "BUG: unable to handle kernel paging request\n");
		report_violation(VIOLATION_BUG, "unable to handle kernel paging request");
		task_die();
	}
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

/*
 * Somebody else's fault.  A handler may raise the signal again for whom it has
 * replaced, which may be this one, or return because it has been switched off,
 * and the instruction faults again: then it is the next one's turn.
 */
static void pass_on(const struct handlers *handlers, int sig, siginfo_t *info, void *context)
{
	static __thread const void *last = (const void *)NO_ADDRESS;
	static __thread int tried, inside;
	int n = __atomic_load_n(&handlers->n, __ATOMIC_ACQUIRE);
	const struct sigaction *next;

	tried = n > 1 && (inside || info->si_addr == last) ? tried + 1 : 0;
	if (!inside)
		last = info->si_addr;
	if (tried >= n) {
		signal(sig, SIG_DFL);
		return;
	}
	next = &handlers->of[n - 1 - tried];
	inside++;
	if (next->sa_flags & SA_SIGINFO)
		next->sa_sigaction(sig, info, context);
	else if (next->sa_handler != SIG_DFL && next->sa_handler != SIG_IGN)
		next->sa_handler(sig);
	else
		/* Back to the default action: the instruction faults again. */
		sigaction(sig, next, NULL);
	inside--;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	struct machine *m = current_machine;

#if defined(__x86_64__) || defined(__aarch64__)
	if (m && m->running && kernel_context.task == &m->running->t) {
		fault_address = info->si_code > 0 ? (uintptr_t)info->si_addr : NO_ADDRESS;
		/* The frames below are lost anyway: give the oops a fresh stack. */
		redirect_task(m, context, oops);
		return;
	}
#endif
	pass_on(sig == SIGSEGV ? &segv : &bus, sig, info, context);
}

static void install(int sig, struct handlers *handlers)
{
	struct sigaction ours = { .sa_sigaction = on_fault,
				  .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	struct sigaction now;
	int i = 0;

	if (sigaction(sig, NULL, &now) || now.sa_sigaction == on_fault)
		return;
	while (i < handlers->n && handlers->of[i].sa_sigaction != now.sa_sigaction)
		i++;
	if (i == MAX_HANDLERS)
		return;
	if (i == handlers->n) {
		handlers->of[i] = now;
		__atomic_store_n(&handlers->n, i + 1, __ATOMIC_RELEASE);
	}
	sigemptyset(&ours.sa_mask);
	sigaction(sig, &ours, NULL);
}

void page_fault_init(void)
{
	/* Who has the lock does it; after a fork that may be a thread that is no more. */
	if (pthread_mutex_trylock(&installing)) {
		if (__atomic_load_n(&bus.n, __ATOMIC_ACQUIRE))
			return;
		pthread_mutex_lock(&installing);
	}
	install(SIGSEGV, &segv);
	install(SIGBUS, &bus);
	pthread_mutex_unlock(&installing);
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
