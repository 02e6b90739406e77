// SPDX-License-Identifier: GPL-2.0-only

#include <linux/export.h>
#include <linux/kernel_data.h>
#include <linux/wait_bit.h>

#define bit_wait_table (kernel_data()->wait_bit.bit_wait_table)

/* The golden ratio spreads addresses that differ in few bits. */
#define GOLDEN_RATIO_64 0x61C8864680B583EBull

static unsigned long hash_ptr(const void *ptr, unsigned int bits)
{
	return (unsigned long)(((u64)(unsigned long)ptr * GOLDEN_RATIO_64) >> (64 - bits));
}

/* mirrors kernel/sched/wait_bit.c:__var_waitqueue, v4.19 */
wait_queue_head_t *__var_waitqueue(const void *p)
{
	return &bit_wait_table[hash_ptr(p, WAIT_TABLE_BITS)];
}
EXPORT_SYMBOL(__var_waitqueue);

/* mirrors kernel/sched/wait_bit.c:wake_up_var, v4.19 */
void wake_up_var(const void *var)
{
	wake_up_all(__var_waitqueue(var));
}
EXPORT_SYMBOL(wake_up_var);

void __init wait_bit_init(void)
{
	int i;

	for (i = 0; i < WAIT_TABLE_SIZE; i++)
		init_waitqueue_head(&bit_wait_table[i]);
}
