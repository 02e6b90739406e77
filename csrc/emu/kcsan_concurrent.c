// SPDX-License-Identifier: GPL-2.0-only
/*
 * What tells two states apart by the data races that may follow: accesses that nothing orders
 * before what comes next.
 */
#include "kcsan.h"
#include "kcsan_tables.h"
#include "state_hash.h"

/*
 * Times are counted back from the end of each task, and its name is its serial number: both are
 * the same whatever came in between.
 */
uint64_t kcsan_concurrent(struct machine *m, const struct emu_task *task)
{
	static const struct order nothing;
	struct kcsan *k = m->kcsan;
	const struct order *order = &nothing, *seen = &nothing;
	uint32_t others = 0, met = 0;
	uint64_t hash = 0;

	for (unsigned int i = 0; i < k->nr_tasks; i++)
		if (k->tasks[i].serial == task->serial) {
			order = &k->tasks[i].order;
			seen = &k->tasks[i].seen;
		} else {
			others |= 1U << i;
		}
	for (const char *line = m->arena; line < m->arena + m->s->brk; line += 64) {
		if (!(k->touched[(uintptr_t)line / 64 % KCSAN_LINES] & others))
			continue;
		for (uintptr_t at = (uintptr_t)line; at < (uintptr_t)line + 64; at += 8) {
			const struct granule *g = find_granule(k, at);

			if (!g || g->generation != k->generation)
				continue;
			for (unsigned int i = 0; i < KCSAN_SLOTS; i++) {
				const accessed_t a = g->slots[i];
				const struct kcsan_task *by = &k->tasks[by_task(a)];

				if (!a || !(others & 1U << by->number) ||
				    time_of(a) <= order->at[by->number])
					continue;
				met |= 1U << by->number;
				hash += mix_word(mix_word(mix_word(at, by->serial),
							  a & ACCESSED_HOW),
						 (uint64_t)(by->order.at[by->number] - time_of(a)));
			}
		}
	}
	if (!met)
		return hash;
	for (const struct released *r = k->released; r < k->released + KCSAN_OBJECTS; r++) {
		if (r->generation != k->generation)
			continue;
		for (uint32_t left = met; left; left &= left - 1) {
			const unsigned int i = (unsigned int)__builtin_ctz(left);

			if (r->order.at[i] > order->at[i])
				hash += mix_word(
					mix_word(r->address, k->tasks[i].serial),
					(uint64_t)(k->tasks[i].order.at[i] - r->order.at[i]));
		}
	}
	/* Whatever grace period comes now waits for all that began before. */
	for (const struct sections *s = k->sections; s < k->sections + 2; s++)
		for (uint32_t left = met; left; left &= left - 1) {
			const unsigned int i = (unsigned int)__builtin_ctz(left);
			uint16_t time = order->at[i];

			for (unsigned int n = 0; n < s->nr; n++)
				if (s->order[n].at[i] > time)
					time = s->order[n].at[i];
			if (time > order->at[i])
				hash += mix_word(mix_word((uint64_t)(s - k->sections),
							  k->tasks[i].serial),
						 (uint64_t)(k->tasks[i].order.at[i] - time));
		}
	/* The next fence orders what relaxed loads have seen. */
	for (; met; met &= met - 1) {
		const unsigned int i = (unsigned int)__builtin_ctz(met);

		if (seen->at[i] > order->at[i])
			hash += mix_word(k->tasks[i].serial,
					 (uint64_t)(k->tasks[i].order.at[i] - seen->at[i]));
	}
	return hash;
}
