// SPDX-License-Identifier: GPL-2.0-only
/*
 * The system workqueue, one queue for all CPUs.
 *
 * The worker threads are not here: whoever has a task to spare calls
 * process_one_work() in it.  So the moment at which queued work runs is open,
 * as it is on a real machine.  flush_work() does not depend on a worker: it
 * runs pending work itself, which no caller can tell from having waited for it.
 */

#include <linux/export.h>
#include <linux/kernel_data.h>
#include <linux/workqueue.h>

#define workqueue_lock (kernel_data()->workqueue.workqueue_lock)
#define worklist (kernel_data()->workqueue.worklist)
#define workqueue_flush (kernel_data()->workqueue.workqueue_flush)

/* mirrors kernel/workqueue.c:schedule_work, v4.19 */
bool schedule_work(struct work_struct *work)
{
	unsigned long flags;
	bool queued = false;

	spin_lock_irqsave(&workqueue_lock, flags);
	if (list_empty(&work->entry)) {
		list_add_tail(&work->entry, &worklist);
		queued = true;
	}
	spin_unlock_irqrestore(&workqueue_lock, flags);
	return queued;
}
EXPORT_SYMBOL_GPL(schedule_work);

/* Called with the lock held and interrupts off, returns so. */
static void run_work(struct work_struct *work)
{
	work_func_t func = work->func;

	/* Off the queue first: it may be scheduled again from its own function. */
	list_del_init(&work->entry);
	work->running = true;
	spin_unlock_irq(&workqueue_lock);
	func(work);
	spin_lock_irq(&workqueue_lock);
	work->running = false;
	wake_up_all(&workqueue_flush);
}

/* mirrors kernel/workqueue.c:flush_work, v4.19 */
bool flush_work(struct work_struct *work)
{
	bool busy;

	might_sleep();
	spin_lock_irq(&workqueue_lock);
	busy = work->running || !list_empty(&work->entry);
	wait_event_lock_irq(workqueue_flush, !work->running, workqueue_lock);
	if (!list_empty(&work->entry))
		run_work(work);
	spin_unlock_irq(&workqueue_lock);
	return busy;
}
EXPORT_SYMBOL_GPL(flush_work);

/* mirrors kernel/workqueue.c:process_one_work, v4.19 */
bool process_one_work(void)
{
	struct work_struct *work;
	bool found = false;

	spin_lock_irq(&workqueue_lock);
	list_for_each_entry(work, &worklist, entry) {
		/* Work is never run twice at the same time. */
		if (work->running)
			continue;
		found = true;
		run_work(work);
		break;
	}
	spin_unlock_irq(&workqueue_lock);
	return found;
}

void __init workqueue_init(void)
{
	spin_lock_init(&workqueue_lock);
	INIT_LIST_HEAD(&worklist);
	init_waitqueue_head(&workqueue_flush);
}
