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
/** findings_known() - is all that the execution at hand has broken so far kept already? */
bool findings_known(const struct explorer *x);
/**
 * keep_together() - something that several executions show, none of them alone
 *
 * Return: has it not been kept before?
 */
bool keep_together(struct explorer *x, int kind, const char *message, const uint8_t *schedule,
		   uint32_t length);
/** write_schedule() - the first @depth steps of the execution at hand; length */
uint32_t write_schedule(const struct explorer *x, unsigned int depth, uint8_t *to);
/** add_final_state() - an execution has ended in the state with this hash, which is not 0 */
void add_final_state(struct explorer *x, uint64_t hash);
/** add_findings() - what was found in executions that come next, but their final states */
void add_findings(struct explorer *x, const struct emu_explore_result *more);
/** keep_schedule() - the schedule of the execution at hand becomes the result's */
void keep_schedule(struct explorer *x);

#endif
