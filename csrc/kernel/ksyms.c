// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exports of functions that are not in any file here: those that the machine
 * provides itself, and those that modules name but nobody here has a body for.
 * A module needs the name and the licence.
 */
#include <linux/export.h>

/* kernel/sched/completion.c */
EXPORT_SYMBOL(complete);
EXPORT_SYMBOL(complete_all);
EXPORT_SYMBOL(completion_done);
EXPORT_SYMBOL(try_wait_for_completion);
EXPORT_SYMBOL(wait_for_completion);
EXPORT_SYMBOL(wait_for_completion_interruptible);
EXPORT_SYMBOL(wait_for_completion_killable);
EXPORT_SYMBOL(wait_for_completion_timeout);

/* kernel/locking/mutex.c, mm/slab.c */
EXPORT_SYMBOL(kfree);
EXPORT_SYMBOL(mutex_lock);
EXPORT_SYMBOL(mutex_unlock);
EXPORT_SYMBOL(__kmalloc);

/* kernel/rcu/tree.c, tree_plugin.h */
EXPORT_SYMBOL_GPL(call_rcu_sched);
EXPORT_SYMBOL_GPL(synchronize_rcu);
EXPORT_SYMBOL_GPL(synchronize_sched);
EXPORT_SYMBOL_GPL(rcu_barrier);

/* drivers/base/platform.c */
EXPORT_SYMBOL_GPL(platform_driver_unregister);

/* mm/hmm.c: the half about mirrors of an address space */
EXPORT_SYMBOL(hmm_mirror_register);
EXPORT_SYMBOL(hmm_mirror_unregister);
EXPORT_SYMBOL(hmm_vma_fault);
EXPORT_SYMBOL(hmm_vma_get_pfns);
EXPORT_SYMBOL(hmm_vma_range_done);

/* mm/mmu_notifier.c */
EXPORT_SYMBOL_GPL(mmu_notifier_unregister_no_release);
