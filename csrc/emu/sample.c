// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a test asks after every step, in one call: who is bound, how many
 * references pages have, which state this is, and whether anything was left
 * behind.
 *
 * Each question costs less than crossing the border to ask it.  Devices and
 * pages are read by a task, as by a direct call: the watchers see it.
 */
#include "api.h"
#include "state_hash.h"

#include <linux/device.h>
#include <linux/mm.h>

#undef snprintf
#include <stdio.h>

#define MAX_DEVICES 64

/**
 * struct questions - what the task is to read
 * @status: why it could not, EMU_OK: it has read everything
 *
 * Lives in the frame of emu_sample(), like what it points to: reading does not block.
 */
struct questions {
	const int64_t *devices;
	int nr_devices;
	const uint64_t *pfns;
	int nr_pages;
	uint64_t bound;
	int64_t *counts;
	int status;
};

static int64_t read_all(const int64_t *args)
{
	struct questions *q = (struct questions *)(uintptr_t)args[0];
	struct machine *m = this_machine();

	for (int i = 0; i < q->nr_devices; i++) {
		int64_t device = q->devices[i];

		q->status = decode_argument(m, 'D', &device);
		if (q->status != EMU_OK)
			return 0;
		if (device_is_bound((struct device *)(uintptr_t)device))
			q->bound |= 1UL << i;
	}
	for (int i = 0; i < q->nr_pages; i++) {
		struct page *page = page_at((int64_t)q->pfns[i]);

		if (!page)
			return 0;
		q->counts[i] = page_count(page);
	}
	return 0;
}

int emu_sample(emu_machine *m, int nr_devices, const int64_t *devices, int nr_pages,
	       const uint64_t *pfns, int quiescence, struct emu_sample *sample, int64_t *counts)
{
	struct questions q = {
		.devices = devices,
		.nr_devices = nr_devices,
		.pfns = pfns,
		.nr_pages = nr_pages,
		.counts = counts,
		.status = EMU_OK,
	};
	int64_t args[1] = { (int64_t)(uintptr_t)&q }, result;
	struct entry saved;
	int status = machine_enter(m, &saved);

	if (status != EMU_OK)
		return status;
	if (nr_devices < 0 || nr_devices > MAX_DEVICES || nr_pages < 0) {
		snprintf(m->error, sizeof(m->error), "more than %d devices", MAX_DEVICES);
		return machine_leave(m, &saved, EMU_BAD_ARGUMENT);
	}
	if (nr_devices || nr_pages)
		status = run_call(m, 0, "sample", read_all, args, 1, saved.nested, &result);
	if (status == EMU_OK)
		status = q.status;
	if (status == EMU_OK) {
		sample->bound = q.bound;
		sample->left_behind = quiescence && anything_left_behind(m);
		sample->state_hash = state_hash(m);
		sample->calls = m->calls;
	}
	return machine_leave(m, &saved, status);
}

const uint64_t *emu_calls(emu_machine *m)
{
	return &m->calls;
}
