/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_SPINLOCK_H
#define _LINUX_SPINLOCK_H

#include <linux/lock_state.h>

/**
 * struct spinlock - a lock whose holder may not sleep
 * @state: who holds it
 */
typedef struct spinlock {
	struct lock_state state;
} spinlock_t;

/**
 * struct rwlock - readers share, a writer excludes; not irq-safe, holders may not sleep
 * @state: who holds it
 */
typedef struct rwlock {
	struct lock_state state;
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
