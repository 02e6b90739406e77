/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_SCHED_H
#define _LINUX_SCHED_H

#include <linux/types.h>

struct kernel_data;

#define TASK_RUNNING 0
#define TASK_UNINTERRUPTIBLE 2
#define TASK_DEAD 64

/**
 * struct task_struct - what the kernel sees of a task
 * @pid: process id
 * @cpu: virtual CPU it runs on
 * @state: TASK_*
 * @comm: name
 * @preempt_count: depth of regions that forbid pre-emption (spinlocks included)
 * @irqs_disabled: depth of regions with interrupts off
 * @in_softirq: runs RCU callbacks
 * @rcu_read_lock_nesting: depth of rcu_read_lock()
 * @rcu_start: grace-period clock when the outermost rcu_read_lock() was taken
 * @rcu_sched_start: same for the outermost region without pre-emption
 */
struct task_struct {
	int pid;
	int cpu;
	long state;
	char comm[16];
	unsigned int preempt_count;
	unsigned int irqs_disabled;
	bool in_softirq;
	int rcu_read_lock_nesting;
	unsigned long rcu_start;
	unsigned long rcu_sched_start;
};

/**
 * struct kernel_context - what a CPU's segment register leads to
 * @task: the running task
 * @data: the kernel's file-scope variables
 * @cpu: index of the CPU
 */
struct kernel_context {
	struct task_struct *task;
	struct kernel_data *data;
	unsigned long cpu;
};

extern __thread struct kernel_context kernel_context __attribute__((tls_model("initial-exec")));

/*
 * Where a segment register leads is looked up at every access.  Elsewhere the compiler may keep an
 * address that it knows, although whoever sleeps may wake up where there is another one.
 */
#ifdef __x86_64__
#define this_context() (&kernel_context)
#else
struct kernel_context *this_context(void);
#endif

#define current (this_context()->task)

static inline struct kernel_data *kernel_data(void)
{
	return this_context()->data;
}

static inline int smp_processor_id(void)
{
	return (int)this_context()->cpu;
}

/* Gives other tasks a chance to run. May sleep. */
void cond_resched(void);
/* As many cond_resched() in a row as a loop over @n pages makes: n/1024. */
void cond_resched_pages(unsigned long n);

static inline bool in_atomic(void)
{
	return current->preempt_count != 0;
}

static inline bool irqs_disabled(void)
{
	return current->irqs_disabled != 0;
}

static inline bool in_softirq(void)
{
	return current->in_softirq;
}

#endif
