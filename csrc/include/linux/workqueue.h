/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_WORKQUEUE_H
#define _LINUX_WORKQUEUE_H

#include <linux/list.h>
#include <linux/types.h>

struct work_struct;
typedef void (*work_func_t)(struct work_struct *work);

/**
 * struct work_struct - a function to be called soon in process context
 * @entry: link in the system queue while pending
 * @func: the function
 * @running: some worker is inside @func
 */
struct work_struct {
	struct list_head entry;
	work_func_t func;
	bool running;
};

static inline void INIT_WORK(struct work_struct *work, work_func_t func)
{
	INIT_LIST_HEAD(&work->entry);
	work->func = func;
	work->running = false;
}

/**
 * schedule_work() - put work on the system queue
 *
 * Context: any. Return: false if it was pending already.
 */
bool schedule_work(struct work_struct *work);

/**
 * flush_work() - wait until work is neither pending nor running
 *
 * Context: process, may sleep. Return: true if there was something to wait for.
 */
bool flush_work(struct work_struct *work);

/**
 * process_one_work() - what a worker thread does once
 *
 * Context: process, without locks, may sleep.
 * Return: false if nothing could be run.
 */
bool process_one_work(void);

void workqueue_init(void);

#endif
