/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_FINDINGS_H
#define EMU_FINDINGS_H

/*
 * What a search remembers of its executions: see findings.c.
 */

#include "execution.h"

/** judge() - the execution has come to its end: hangs and what is left behind */
void judge(struct explorer *x);
/** keep_findings() - counts the execution, its final state and what it has broken */
void keep_findings(struct explorer *x);
/** keep_schedule() - the schedule of the execution at hand becomes the result's */
void keep_schedule(struct explorer *x);

#endif
