// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making and unmaking machines.
 */
#include "asan.h"
#include "kcsan.h"
#include "lockdep.h"
#include "machine.h"
#include "pages.h"
#include "spare.h"

#include <linux/kernel.h>
#include <linux/patches.h>

#undef snprintf
#undef vsnprintf
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define VIOLATIONS_KEPT 256
/* How far into the arena the machine gets by booting, about. */
#define BOOT_BYTES (10UL << 10)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; older ones refuse it */
#endif

static int64_t boot(const int64_t *args)
{
	(void)args;
	start_kernel();
	return 0;
}

static void configure(struct kernel_config *kernel, const struct emu_config *config)
{
	kernel->cpus = config->cpus;
	kernel->page_shift = (unsigned int)config->page_shift;
	kernel->section_size_bits = (unsigned int)config->section_size_bits;
	kernel->max_physmem_bits = (unsigned int)config->max_physmem_bits;
	kernel->physical_bits = (unsigned int)config->physical_bits;
	kernel->numa_nodes = config->numa_nodes;
	kernel->zone_device = config->zone_device;
	kernel->device_private = config->device_private;
	kernel->device_public = config->device_public;
	kernel->dev_pagemap_ops = config->dev_pagemap_ops;
	kernel->kasan = config->kasan;
	kernel->pat = config->pat;
	kernel->preempt_rcu = config->preempt_rcu;
	kernel->debug_vm = config->debug_vm;
	kernel->debug_devres = config->debug_devres;
	kernel->panic_on_warn = config->panic_on_warn;
	kernel->patches = config->patches;
	kernel->modes = config->modes;
}

/* What a feature needs; device memory of HMM selects dev_pagemap_ops. */
static bool features_are_legal(const struct emu_config *c)
{
	if (c->device_private || c->device_public)
		return c->zone_device && c->dev_pagemap_ops;
	return c->zone_device || !c->dev_pagemap_ops;
}

/* A section has whole pageblocks, of 512 pages, and its memmap, 64 bytes each, fills whole pages. */
static bool config_is_legal(const struct emu_config *c)
{
	enum patch patch;
	enum mode mode;

	return c->cpus >= 1 && c->cpus <= 64 &&
	       (c->page_shift == 12 || c->page_shift == 14 || c->page_shift == 16) &&
	       c->section_size_bits >= c->page_shift + 9 &&
	       c->section_size_bits >= 2 * c->page_shift - 6 && c->section_size_bits <= 30 &&
	       c->max_physmem_bits >= 32 && c->max_physmem_bits <= 52 && c->physical_bits >= 32 &&
	       c->physical_bits <= 52 && features_are_legal(c) && c->patches < 1UL << NR_PATCHES &&
	       !patches_missing(c->patches, &patch) && c->modes < 1UL << NR_MODES &&
	       !modes_missing(c->modes, c->patches, &mode) && c->numa_nodes >= 1 &&
	       c->numa_nodes <= MAX_NUMNODES && c->arena_size >= (256UL << 10) &&
	       c->arena_size <= (1UL << 36);
}

/* What every machine touches, @used bytes and some stack, comes in one go: no page faults. */
static struct machine *map_machine(size_t size, size_t stacks, size_t used)
{
	struct machine *m;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	m = (struct machine *)(p + stacks);
	madvise((char *)m - PAGE_BYTES, PAGE_BYTES + page_up(used), MADV_POPULATE_WRITE);
	m->mapping = p;
	m->mapping_size = size;
	return m;
}

int emu_create(const struct emu_config *config, emu_upcall_fn upcall_fn, void *data,
	       emu_machine **machine)
{
	size_t head, arena, shadow, dirty, stacks, total;
	struct machine *m, *saved = current_machine;
	struct kernel_context saved_context = kernel_context;
	struct machine_state *s;
	struct emu_task *task;
	char *p;
	int status;

	if (!config_is_legal(config))
		return EMU_BAD_ARGUMENT;
	page_fault_init();
	page_fault_stack();
	watchdog_arm();
	arena = page_up(config->arena_size);
	shadow = CHECKED_BUILD ? page_up(arena / 8) : 0;
	dirty = TRACKS_STORES ? page_up(arena / DIRTY_LINE / 8 + sizeof(unsigned long)) : 0;
	stacks = MAX_TASKS * (TASK_STACK_SIZE + TASK_STACK_GUARD);
	head = (sizeof(*m) + 63) & ~63UL;
	total = stacks + page_up(head + arena) + shadow + 2 * dirty + LOG_SIZE +
		page_up(TRACE_EVENTS * sizeof(struct emu_event));
	m = spare_take(total);
	if (!m)
		m = map_machine(total, stacks, head + BOOT_BYTES);
	if (!m)
		return EMU_NO_MEMORY;
	m->stacks = (char *)m;
	m->arena = (char *)m + head;
	m->arena_size = arena;
	p = (char *)m + page_up(head + arena);
	m->shadow = (unsigned char *)p;
	p += shadow;
	m->dirty = (unsigned long *)p;
	p += dirty;
	m->hot = (unsigned long *)p;
	p += dirty;
	m->log = p;
	p += LOG_SIZE;
	m->trace = (struct emu_event *)p;
	m->upcall = upcall_fn;
	m->upcall_data = data;
	m->rcu_mode = config->rcu_manual ? RCU_MANUAL : RCU_EAGER;
	m->trace_on = false;
	m->violations_cap = VIOLATIONS_KEPT;

	s = (struct machine_state *)m->arena;
	m->s = s;
	s->brk = (sizeof(*s) + 63) & ~63UL;
	INIT_LIST_HEAD(&s->ready);
	configure(&s->kernel.config, config);

	current_machine = m;
	kernel_context.data = &s->kernel;
	machine_hot(m, &s->kernel.per_cpu_sink, sizeof(s->kernel.per_cpu_sink));
	rcu_init(m);
	memmap_init(&s->memmap);
	task = task_create(m, TASK_DIRECT, "swapper", 0);
	if (task) {
		task_start(m, task, boot, NULL, 0);
		status = run_task(m, task);
		if (status == EMU_OK && (m->arena_full || task->run == RUN_DEAD))
			status = m->arena_full ? EMU_ARENA_FULL : EMU_DEAD;
		task_free(m, task);
	} else {
		status = m->arena_full ? EMU_ARENA_FULL : EMU_NO_MEMORY;
	}
	m->trace_on = config->trace != 0;
	current_machine = saved;
	kernel_context = saved_context;
	if (status != EMU_OK) {
		emu_destroy(m);
		return status;
	}
	*machine = m;
	return EMU_OK;
}

int emu_close(emu_machine *m)
{
	unsigned long thread = 0;

	if (!m)
		return EMU_CLOSED;
	if (__atomic_compare_exchange_n(&m->thread, &thread, MACHINE_CLOSED, false,
					__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return EMU_OK;
	return thread == MACHINE_CLOSED ? EMU_CLOSED : EMU_BUSY;
}

int emu_destroy(emu_machine *m)
{
	struct violation *violations;

	if (!m)
		return EMU_CLOSED;
	if (emu_close(m) == EMU_BUSY)
		return EMU_BUSY;
	snapshot_drop_all(m);
	/* What is mapped here next is somebody else's. */
	asan_forget_frames(m->mapping, m->mapping_size);
	violations = m->violations;
	free(m->symbols);
	kcsan_free(m);
	lockdep_free(m);
	if (!spare_keep(m))
		munmap(m->mapping, m->mapping_size);
	free(violations);
	return EMU_OK;
}

int emu_patch(int i, struct emu_patch *patch)
{
	const struct patch_info *info = i < 0 ? NULL : patch_info((unsigned int)i);

	if (!info)
		return EMU_BAD_ARGUMENT;
	patch->name = info->name;
	patch->title = info->title;
	patch->needs = info->needs;
	return EMU_OK;
}

int emu_mode(int i, struct emu_mode *mode)
{
	const struct mode_info *info = i < 0 ? NULL : mode_info((unsigned int)i);

	if (!info)
		return EMU_BAD_ARGUMENT;
	mode->name = info->name;
	mode->title = info->title;
	mode->needs = info->needs;
	return EMU_OK;
}

int emu_version(int i, struct emu_version *version)
{
	const struct kernel_version *v = i < 0 ? NULL : kernel_version((unsigned int)i);

	if (!v)
		return EMU_BAD_ARGUMENT;
	version->name = v->name;
	version->patches = v->patches;
	return EMU_OK;
}

int emu_is_checked(void)
{
	return CHECKED_BUILD;
}
