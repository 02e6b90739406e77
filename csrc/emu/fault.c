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

/* One more call of @name: does a plan fail it? */
static bool count_call(struct machine_state *s, struct fault_site *site, const char *name,
		       bool slab)
{
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
	return fail;
}

bool fault_here(struct machine *m, const char *name, bool slab)
{
	return fault_among(m, name, 1, slab) == 0;
}

unsigned long fault_among(struct machine *m, const char *name, unsigned long n, bool slab)
{
	struct machine_state *s = m->s;
	struct fault_site *site = site_entry(s, name);
	unsigned long i = n;

	if (!n)
		return 0;
	if (s->nr_plans) {
		for (i = 0; i < n; i++)
			if (count_call(s, site, name, slab))
				break;
	} else {
		/* Nothing can fail: count them all at once. */
		s->fallible_calls += n;
		if (site)
			site->calls += n;
	}
	trace_event(m, EVENT_FALLIBLE, (uint64_t)(uintptr_t)name, i < n ? i + 1 : n);
	if (i < n)
		trace_event(m, EVENT_FAULT, (uint64_t)(uintptr_t)name, 0);
	return i;
}
