// SPDX-License-Identifier: GPL-2.0-only
/*
 * What makes a kernel one whose bug reports deserve a second look.
 */
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/kernel_data.h>

#define tainted_mask (kernel_data()->panic.tainted_mask)
#define debug_locks (kernel_data()->panic.debug_locks)

/* Shown when the bit is set, and when it is clear. */
static const char taint_flags[TAINT_FLAGS_COUNT][2] = {
	{ 'P', 'G' }, { 'F', ' ' }, { 'S', ' ' }, { 'R', ' ' }, { 'M', ' ' }, { 'B', ' ' },
	{ 'U', ' ' }, { 'D', ' ' }, { 'A', ' ' }, { 'W', ' ' }, { 'C', ' ' }, { 'I', ' ' },
	{ 'O', ' ' }, { 'E', ' ' }, { 'L', ' ' }, { 'K', ' ' }, { 'X', ' ' }, { 'T', ' ' },
};

/**
 * add_taint() - this kernel is not what it was
 * @flag: TAINT_*
 * @lockdep_ok: can what lockdep says still be believed?
 *
 * mirrors kernel/panic.c:add_taint, v4.19
 *
 * Context: any.
 */
void add_taint(unsigned int flag, enum lockdep_ok lockdep_ok)
{
	/* Two CPUs may warn at the same time: one of them says it, and no bit is lost. */
	if (lockdep_ok == LOCKDEP_NOW_UNRELIABLE &&
	    __atomic_exchange_n(&debug_locks, 0, __ATOMIC_SEQ_CST))
		pr_warn("Disabling lock debugging due to kernel taint\n");
	__atomic_fetch_or(&tainted_mask, BIT(flag), __ATOMIC_RELAXED);
}
EXPORT_SYMBOL(add_taint);

/* mirrors kernel/panic.c:test_taint, v4.19 */
bool test_taint(unsigned int flag)
{
	return READ_ONCE(tainted_mask) >> flag & 1;
}
EXPORT_SYMBOL(test_taint);

/* mirrors kernel/panic.c:get_taint, v4.19 */
unsigned long get_taint(void)
{
	return READ_ONCE(tainted_mask);
}

/**
 * print_tainted() - the taint flags as an oops shows them
 * @buf: for the text
 * @size: its size
 *
 * mirrors kernel/panic.c:print_tainted, v4.19
 *
 * Return: length of the text.
 */
size_t print_tainted(char *buf, size_t size)
{
	char letters[TAINT_FLAGS_COUNT + 1];
	unsigned int i;

	if (!READ_ONCE(tainted_mask))
		return (size_t)snprintf(buf, size, "Not tainted");
	for (i = 0; i < TAINT_FLAGS_COUNT; i++)
		letters[i] = taint_flags[i][!test_taint(i)];
	letters[i] = '\0';
	return (size_t)snprintf(buf, size, "Tainted: %s", letters);
}

void __init panic_init(void)
{
	tainted_mask = 0;
	debug_locks = 1;
}
