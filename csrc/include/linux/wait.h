/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_WAIT_H
#define _LINUX_WAIT_H

#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/spinlock.h>

typedef struct wait_queue_head {
	spinlock_t lock;
	struct list_head head;
} wait_queue_head_t;

/**
 * struct wait_queue_entry - one sleeper
 * @entry: link in the queue, oldest first
 * @task: who sleeps
 * @exclusive: wake_up() wakes one of these only
 * @stays: it keeps its place in the queue until its owner takes it off, as long as it sleeps
 * @woken: a waker has met it; off the queue unless it stays
 */
struct wait_queue_entry {
	struct list_head entry;
	struct task_struct *task;
	bool exclusive;
	bool stays;
	bool woken;
};

void __init_waitqueue_head(wait_queue_head_t *wq, const char *name);
#define init_waitqueue_head(wq) __init_waitqueue_head(wq, #wq)

/* Wakes all non-exclusive sleepers and one exclusive. Any context. */
void wake_up(wait_queue_head_t *wq);
/* Wakes everyone. Any context. */
void wake_up_all(wait_queue_head_t *wq);

void init_wait(struct wait_queue_entry *wait);
void prepare_to_wait(wait_queue_head_t *wq, struct wait_queue_entry *wait);
void prepare_to_wait_exclusive(wait_queue_head_t *wq, struct wait_queue_entry *wait);
void finish_wait(wait_queue_head_t *wq, struct wait_queue_entry *wait);
/**
 * schedule_wait() - sleep until @wait has been woken
 * @wq: queue, for reports
 * @wait: entry that prepare_to_wait() has queued
 * @what: the condition waited for, for reports
 */
void schedule_wait(wait_queue_head_t *wq, struct wait_queue_entry *wait, const char *what);

/**
 * wait_event() - sleep, uninterruptibly, until a condition holds
 * @wq: queue that is woken after the condition may have changed
 * @condition: tested before sleeping and after every wake-up
 */
#define wait_event(wq, condition)                                  \
	do {                                                       \
		might_sleep();                                     \
		if (condition)                                     \
			break;                                     \
		struct wait_queue_entry __wait;                    \
		init_wait(&__wait);                                \
		for (;;) {                                         \
			prepare_to_wait(&(wq), &__wait);           \
			if (condition)                             \
				break;                             \
			schedule_wait(&(wq), &__wait, #condition); \
		}                                                  \
		finish_wait(&(wq), &__wait);                       \
	} while (0)

/* As wait_event(), with @lock (irqs off) dropped only while asleep. */
#define wait_event_lock_irq(wq, condition, lock)                   \
	do {                                                       \
		if (condition)                                     \
			break;                                     \
		struct wait_queue_entry __wait;                    \
		init_wait(&__wait);                                \
		for (;;) {                                         \
			prepare_to_wait(&(wq), &__wait);           \
			if (condition)                             \
				break;                             \
			spin_unlock_irq(&(lock));                  \
			schedule_wait(&(wq), &__wait, #condition); \
			spin_lock_irq(&(lock));                    \
		}                                                  \
		finish_wait(&(wq), &__wait);                       \
	} while (0)

#endif
