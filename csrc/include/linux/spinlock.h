/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_SPINLOCK_H
#define _LINUX_SPINLOCK_H

#include <linux/types.h>

struct task_struct;

/**
 * struct spinlock - a lock whose holder may not sleep
 * @owner: the task that holds it, NULL when free
 * @waiters: tasks that spin for it
 * @name: for reports; set by spin_lock_init()
 */
typedef struct spinlock {
	struct task_struct *owner;
	unsigned int waiters;
	const char *name;
} spinlock_t;

/**
 * struct rwlock - readers share, a writer excludes; not irq-safe, holders may not sleep
 * @writer: the writing task or NULL
 * @readers: number of readers inside
 * @waiters: tasks that spin for it
 * @name: for reports
 */
typedef struct rwlock {
	struct task_struct *writer;
	unsigned int readers;
	unsigned int waiters;
	const char *name;
} rwlock_t;

void __spin_lock_init(spinlock_t *lock, const char *name);
void __rwlock_init(rwlock_t *lock, const char *name);
#define spin_lock_init(lock) __spin_lock_init(lock, #lock)
#define rwlock_init(lock) __rwlock_init(lock, #lock)

void spin_lock(spinlock_t *lock);
void spin_unlock(spinlock_t *lock);
void spin_lock_irq(spinlock_t *lock);
void spin_unlock_irq(spinlock_t *lock);
unsigned long __spin_lock_irqsave(spinlock_t *lock);
void spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags);
#define spin_lock_irqsave(lock, flags) ((flags) = __spin_lock_irqsave(lock))

void read_lock(rwlock_t *lock);
void read_unlock(rwlock_t *lock);
void write_lock(rwlock_t *lock);
void write_unlock(rwlock_t *lock);

#endif
