/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_MUTEX_H
#define _LINUX_MUTEX_H

#include <linux/lock_state.h>

/**
 * struct mutex - sleeping lock with one owner, not recursive
 * @state: who holds it
 */
struct mutex {
	struct lock_state state;
};

void __mutex_init(struct mutex *lock, const char *name);
#define mutex_init(lock) __mutex_init(lock, #lock)
void mutex_lock(struct mutex *lock);
int mutex_lock_interruptible(struct mutex *lock);
int mutex_lock_killable(struct mutex *lock);
int mutex_trylock(struct mutex *lock);
void mutex_unlock(struct mutex *lock);
bool mutex_is_locked(struct mutex *lock);

/**
 * struct rw_semaphore - sleeping reader/writer lock
 * @state: who holds it
 */
struct rw_semaphore {
	struct lock_state state;
};

void __init_rwsem(struct rw_semaphore *sem, const char *name);
#define init_rwsem(sem) __init_rwsem(sem, #sem)
void down_read(struct rw_semaphore *sem);
void up_read(struct rw_semaphore *sem);
void down_write(struct rw_semaphore *sem);
void up_write(struct rw_semaphore *sem);

#endif
