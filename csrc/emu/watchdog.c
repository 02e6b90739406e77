// SPDX-License-Identifier: GPL-2.0-only
/*
 * The watchdog of the plain build: a task that runs on and on and gives way to
 * nobody dies of a soft lockup instead of hanging the process.
 *
 * The checked build counts accesses (kasan.c).  Here nothing is counted, so
 * time is: each thread that enters a machine has a timer on its own CPU time,
 * which costs nothing until it expires.  A task that is found on its stack by
 * several ticks in a row, never having left it in between, is stuck.  The
 * signal is one that programs ignore by default; expiries that are not ours
 * are passed on.
 */
#define _GNU_SOURCE
#include "machine.h"

#include <linux/printk.h>

__thread bool watchdog_armed __attribute__((tls_model("initial-exec"), visibility("hidden")));

#if !defined(KERNEL_CHECKED) && defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define TICK_NANOSECONDS 400000000L
#define TICKS_UNTIL_STUCK 5

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* Ends of this object file's code, from the linker. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char etext[] __attribute__((visibility("hidden")));

static struct sigaction previous;
static pthread_once_t installed = PTHREAD_ONCE_INIT;
static pthread_key_t timer_of_thread;

/* Runs on the task's stack, in place of what it was stuck in. */
static void stuck(void)
{
	soft_lockup(this_machine());
}

static void tick(int sig, siginfo_t *info, void *context)
{
	struct machine *m = current_machine;
	ucontext_t *uc = context;
	uintptr_t pc;

	if (info->si_code != SI_TIMER || info->si_value.sival_ptr != &previous) {
		if (previous.sa_flags & SA_SIGINFO)
			previous.sa_sigaction(sig, info, context);
		else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN)
			previous.sa_handler(sig);
		return;
	}
	if (!m || !m->running || kernel_context.task != &m->running->t ||
	    ++m->ticks < TICKS_UNTIL_STUCK)
		return;
#if defined(__x86_64__)
	pc = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
#else
	pc = uc->uc_mcontext.pc;
#endif
	/* Not while libc holds a lock that would stay held. */
	if (pc < (uintptr_t)__ehdr_start || pc >= (uintptr_t)etext)
		return;
	redirect_task(m, context, stuck);
}

static void thread_ends(void *timer)
{
	syscall(SYS_timer_delete, (long)(intptr_t)timer - 1);
}

static void after_fork(void)
{
	watchdog_armed = false; /* timers are not inherited */
}

static void install(void)
{
	struct sigaction action = { .sa_sigaction = tick,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	sigemptyset(&action.sa_mask);
	sigaction(SIGURG, &action, &previous);
	pthread_key_create(&timer_of_thread, thread_ends);
	pthread_atfork(NULL, NULL, after_fork);
}

void watchdog_arm_slow(void)
{
	struct itimerspec every = { .it_interval = { .tv_nsec = TICK_NANOSECONDS },
				    .it_value = { .tv_nsec = TICK_NANOSECONDS } };
	struct sigevent event;
	int timer;

	watchdog_armed = true;
	pthread_once(&installed, install);
	memset(&event, 0, sizeof(event));
	event.sigev_notify = SIGEV_THREAD_ID;
	event.sigev_signo = SIGURG;
	event.sigev_value.sival_ptr = &previous;
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (syscall(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, &event, &timer))
		return; /* no watchdog, then */
	pthread_setspecific(timer_of_thread, (void *)((intptr_t)timer + 1));
	syscall(SYS_timer_settime, timer, 0, &every, NULL);
}

#else

void watchdog_arm_slow(void)
{
	watchdog_armed = true;
}

#endif
