// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault injection: which fallible calls fail.
 *
 * A fault point is named by the function that asks.  A plan fails the n-th
 * call of one point, or of any, counted from the moment the plan was made.
 */
#include "machine.h"

#include <linux/kernel.h>

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

static bool plan_concerns(const struct fault_plan *plan, const char *name, bool slab)
{
	return (!plan->site || !strcmp(plan->site, name)) && (slab || !plan->slab);
}

/* How many calls that concern @plan succeed before it fails one? */
static unsigned long calls_until_due(const struct fault_plan *plan)
{
	if (plan->seen < plan->nth)
		return plan->nth - plan->seen - 1;
	return plan->sticky ? 0 : ~0UL;
}

bool fault_here(struct machine *m, const char *name, bool slab)
{
	return fault_among(m, name, 1, slab) == 0;
}

/* Whose call is the n-th: that depends on who comes first. */
static void give_way_to_others(struct machine *m, const char *name, bool slab)
{
	const struct machine_state *s = m->s;

	for (int i = 0; i < s->nr_plans; i++)
		if (plan_concerns(&s->plans[i], name, slab)) {
			explore_access(m, s->plans, sizeof(s->plans), true);
			return;
		}
}

unsigned long fault_among(struct machine *m, const char *name, unsigned long n, bool slab)
{
	struct machine_state *s = m->s;
	struct fault_site *site = site_entry(s, name);
	unsigned long calls, free_run = n;
	int i;

	if (!n)
		return 0;
	if (unlikely(m->explorer != NULL))
		give_way_to_others(m, name, slab);
	for (i = 0; i < s->nr_plans; i++)
		if (plan_concerns(&s->plans[i], name, slab))
			free_run = min(free_run, calls_until_due(&s->plans[i]));
	if (unlikely(m->explorer != NULL) && free_run == n)
		free_run = explore_fallible(m, n);
	calls = free_run < n ? free_run + 1 : n;
	for (i = 0; i < s->nr_plans; i++) {
		struct fault_plan *plan = &s->plans[i];

		if (!plan_concerns(plan, name, slab))
			continue;
		/* Only the last of these calls can be one that fails. */
		if (calls_until_due(plan) < calls)
			plan->hits++;
		plan->seen += calls;
	}
	s->fallible_calls += calls;
	if (site)
		site->calls += calls;
	trace_event(m, EVENT_FALLIBLE, (uint64_t)(uintptr_t)name, calls);
	if (free_run < n)
		trace_event(m, EVENT_FAULT, (uint64_t)(uintptr_t)name, 0);
	return free_run;
}
