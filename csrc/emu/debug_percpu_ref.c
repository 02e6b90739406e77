// SPDX-License-Identifier: GPL-2.0-only
/*
 * Gets and puts of percpu_refs that nobody may do.
 *
 * What an operation in atomic mode has read and left says it all, so nothing is
 * looked at that another task could change meanwhile: in whatever order
 * independent steps are tried, the verdict is the same.  In per-CPU mode no
 * operation sees more than its own counter, and nothing is said.
 */
#include <linux/percpu-refcount.h>

#include "machine.h"

/* All references of a count are far less than this, its bias far more. */
#define FAR_FROM_BIAS (1L << 62)

/**
 * debug_percpu_ref_get() - may the reference that was just taken be taken?
 * @word: percpu_count_ptr, as it was read
 * @count: the count now
 * @nr: references taken
 *
 * Reports what may not.
 */
void debug_percpu_ref_get(unsigned long word, long count, unsigned long nr)
{
	const long before = (long)((unsigned long)count - nr);

	if (unlikely(debug_percpu_ref_exited(word)))
		report_violation_in(VIOLATION_REFCOUNT, "percpu_ref_get",
				    "reference taken on a percpu_ref that was exited");
	else if (unlikely(before <= 0 && before > -FAR_FROM_BIAS))
		report_violation_in(VIOLATION_REFCOUNT, "percpu_ref_get",
				    "reference taken on a percpu_ref that nobody holds");
}

/**
 * debug_percpu_ref_put() - was there the reference that was just dropped?
 * @word: percpu_count_ptr, as it was read
 * @count: the count now
 *
 * Reports it if not.
 * Return: true if it was the last one.
 */
bool debug_percpu_ref_put(unsigned long word, long count)
{
	if (unlikely(debug_percpu_ref_exited(word)))
		report_violation_in(VIOLATION_REFCOUNT, "percpu_ref_put",
				    "reference dropped on a percpu_ref that was exited");
	else if (unlikely(count < 0 && count > -FAR_FROM_BIAS))
		report_violation_in(VIOLATION_REFCOUNT, "percpu_ref_put",
				    "more references dropped than were taken");
	return count == 0;
}
