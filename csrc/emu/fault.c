// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault injection: which fallible calls fail.
 *
 * A fault point is named by the function that asks.  A plan fails the n-th
 * call of one point, or of any, counted from the moment the plan was made.
 */
#include "machine.h"

#include <string.h>

static struct fault_site *site_entry(struct machine_state *s, const char *name)
{
	struct fault_site *site;
	int i;

	for (i = 0; i < s->nr_sites; i++)
		if (s->sites[i].name == name)
			return &s->sites[i];
	/* The same name may be another string in another file. */
	for (i = 0; i < s->nr_sites; i++)
		if (!strcmp(s->sites[i].name, name))
			return &s->sites[i];
	if (s->nr_sites == MAX_FAULT_SITES)
		return NULL;
	site = &s->sites[s->nr_sites++];
	site->name = name;
	site->calls = 0;
	return site;
}

bool fault_here(struct machine *m, const char *name, bool slab)
{
	struct machine_state *s = m->s;
	struct fault_site *site = site_entry(s, name);
	bool fail = false;
	int i;

	s->fallible_calls++;
	if (site)
		site->calls++;
	for (i = 0; i < s->nr_plans; i++) {
		struct fault_plan *plan = &s->plans[i];

		if ((plan->site && strcmp(plan->site, name)) || (plan->slab && !slab))
			continue;
		plan->seen++;
		if (plan->seen == plan->nth || (plan->sticky && plan->seen > plan->nth)) {
			plan->hits++;
			fail = true;
		}
	}
	if (fail)
		trace_event(m, EVENT_FAULT, (uint64_t)(uintptr_t)name, 0);
	return fail;
}
