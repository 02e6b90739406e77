/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_BUG_TABLE_H
#define _LINUX_BUG_TABLE_H

#include <linux/types.h>

/**
 * struct bug_location - where a WARN or BUG stands on the real kernel
 * @func: function that holds it
 * @text: its format or stringified condition, as written here
 * @rank: 0 for the first of equal ones in @func, 1 for the second, ...
 * @file: file on the real kernel
 * @line: line there (first line of the macro)
 * @line_v4_19: the same before the series, 0 if it did not move
 * @answer: the warning comes with an error that is documented for the call
 */
struct bug_location {
	const char *func;
	const char *text;
	int rank;
	const char *file;
	int line;
	bool answer;
	int line_v4_19;
};

/** bug_location() - look a site up; NULL if the table does not know it */
const struct bug_location *bug_location(const char *func, const char *text, int rank);

#endif
