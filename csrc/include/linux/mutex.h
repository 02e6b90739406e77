/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_MUTEX_H
#define _LINUX_MUTEX_H

#include <linux/types.h>

struct task_struct;

/**
 * struct mutex - sleeping lock with one owner, not recursive
 * @owner: the task that holds it, NULL when free
 * @waiters: tasks that sleep for it
 * @name: for reports
 */
struct mutex {
	struct task_struct *owner;
	unsigned int waiters;
	const char *name;
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
 * @writer: the writing task or NULL
 * @readers: number of readers inside
 * @waiters: tasks that sleep for it
 * @name: for reports
 */
struct rw_semaphore {
	struct task_struct *writer;
	unsigned int readers;
	unsigned int waiters;
	const char *name;
};

void __init_rwsem(struct rw_semaphore *sem, const char *name);
#define init_rwsem(sem) __init_rwsem(sem, #sem)
void down_read(struct rw_semaphore *sem);
void up_read(struct rw_semaphore *sem);
void down_write(struct rw_semaphore *sem);
void up_write(struct rw_semaphore *sem);

#endif
