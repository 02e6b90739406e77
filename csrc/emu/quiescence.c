// SPDX-License-Identifier: GPL-2.0-only
/*
 * Quiescence: what a device owned is back once it is not bound any more.
 *
 * Whatever covers a range (index, sections, direct map, shadow) must belong to
 * a pagemap that is alive: in the index, of a device that is bound.  Whatever
 * is memory must have been allocated on behalf of a device that is bound, or
 * of none, or be a node of the index above something that is alive: nodes are
 * shared, and stay when the device goes that was the first to need them.  Each
 * finding is one line "kind<TAB>message"; a finding of the kind "note" tells
 * of something that stays by specification.
 */
#include <linux/percpu-refcount.h>

#include "ops.h"

#include <linux/device.h>
#include <linux/hmm.h>
#include <linux/kernel.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/radix-tree.h>

#undef snprintf
#undef vsnprintf
#undef strcmp
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pagemaps that are found without memory of the host's. */
#define FEW_PAGEMAPS 256

/* Belongs to a device for as long as it is on its bus, bound or not. */
static const char *const device_sites[] = { "device_private_init", "kobject_set_name_vargs" };

/**
 * struct findings - what has been found so far
 * @buf: lines, as many as there is room for
 * @size: bytes of room, 0: nobody will read them
 * @length: bytes of all lines
 * @leaks: how many findings are no notes
 */
struct findings {
	char *buf;
	size_t size;
	size_t length;
	int leaks;
};

/**
 * struct alive - pagemaps of bound devices
 * @few: room for the first ones
 * @pgmap: where they are: @few, or memory of the host's
 * @count: how many there are
 * @capacity: how many there is room for
 */
struct alive {
	const struct dev_pagemap *few[FEW_PAGEMAPS];
	const struct dev_pagemap **pgmap;
	int count;
	int capacity;
};

static void __printf(3, 4) finding(struct findings *f, const char *kind, const char *fmt, ...)
{
	char line[320];
	va_list args;
	int n;

	f->leaks += strcmp(kind, "note") != 0;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	n = snprintf(f->length < f->size ? f->buf + f->length : NULL,
		     f->length < f->size ? f->size - f->length : 0, "%s\t%s\n", kind, line);
	f->length += (size_t)n;
}

static const struct alloc_header *header_of(struct machine *m, const void *p)
{
	const char *c = p;

	return c >= m->arena && c < m->arena + m->s->brk ? find_object(m, p) : NULL;
}

static bool pagemap_alive(struct machine *m, const struct dev_pagemap *pgmap)
{
	const struct alloc_header *h = header_of(m, pgmap);
	const struct alloc_header *dev;

	if (!h || h->freed || !pgmap->dev)
		return false;
	dev = header_of(m, pgmap->dev);
	return dev && !dev->freed && pgmap->dev->driver;
}

static void alive_add(struct findings *f, struct alive *alive, const struct dev_pagemap *pgmap)
{
	const struct dev_pagemap **grown;
	size_t size;

	if (alive->count == alive->capacity) {
		size = 2 * (size_t)alive->capacity * sizeof(*grown);
		grown = realloc(alive->pgmap == alive->few ? NULL : alive->pgmap, size);
		if (!grown) {
			finding(f, "note",
				"no memory for all pagemaps: what they cover is no leak");
			return;
		}
		if (alive->pgmap == alive->few)
			memcpy(grown, alive->few, sizeof(alive->few));
		alive->pgmap = grown;
		alive->capacity *= 2;
	}
	alive->pgmap[alive->count++] = pgmap;
}

static void index_entry(struct machine *m, struct findings *f, struct alive *alive,
			unsigned long pfn, const void *entry, size_t offset)
{
	const struct dev_pagemap *pgmap = (const void *)((const char *)entry + offset);
	int i;

	for (i = 0; i < alive->count; i++)
		if (alive->pgmap[i] == pgmap)
			return;
	if (pagemap_alive(m, pgmap)) {
		alive_add(f, alive, pgmap);
		return;
	}
	finding(f, "leak", "index entry at pfn 0x%lx of a pagemap that no bound device owns", pfn);
}

/* The node that a slot of @node leads to, NULL if @entry is an item or a sibling. */
static const struct radix_tree_node *child_of(const struct radix_tree_node *node, const char *entry)
{
	const char *untagged = entry - RADIX_TREE_INTERNAL_NODE;

	if (!radix_tree_is_internal_node(entry) ||
	    (untagged >= (const char *)node->slots &&
	     untagged < (const char *)(node->slots + RADIX_TREE_MAP_SIZE)))
		return NULL;
	return (const struct radix_tree_node *)untagged;
}

/* What an entry stands for has its pagemap at @offset; a key is @shift bits short of a pfn. */
static void walk_index(struct machine *m, struct findings *f, struct alive *alive,
		       const struct radix_tree_node *node, unsigned long base, unsigned int shift,
		       size_t offset)
{
	for (unsigned long i = 0; i < RADIX_TREE_MAP_SIZE; i++) {
		const char *entry = node->slots[i];
		const struct radix_tree_node *child;
		unsigned long key = base + (i << node->shift);

		if (!entry)
			continue;
		child = child_of(node, entry);
		if (child)
			walk_index(m, f, alive, child, key, shift, offset);
		else if (!radix_tree_is_internal_node(entry))
			index_entry(m, f, alive, key << shift, entry, offset);
	}
}

static void walk_tree(struct machine *m, struct findings *f, struct alive *alive, const char *root,
		      unsigned int shift, size_t offset)
{
	if (!root)
		return;
	if (radix_tree_is_internal_node(root))
		walk_index(m, f, alive,
			   (const struct radix_tree_node *)(root - RADIX_TREE_INTERNAL_NODE), 0,
			   shift, offset);
	else
		index_entry(m, f, alive, 0, root, offset);
}

/* Is an entry of a pagemap that is alive below @wanted, or below @node if @below? */
static bool leads_to_alive(struct machine *m, const struct radix_tree_node *node,
			   const void *wanted, bool below, size_t offset)
{
	below |= node == wanted;
	for (unsigned long i = 0; i < RADIX_TREE_MAP_SIZE; i++) {
		const char *entry = node->slots[i];
		const struct radix_tree_node *child;

		if (!entry)
			continue;
		child = child_of(node, entry);
		if (child ? leads_to_alive(m, child, wanted, below, offset) :
			    below && !radix_tree_is_internal_node(entry) &&
				    pagemap_alive(m, (const void *)(entry + offset)))
			return true;
	}
	return false;
}

/* Is @object a node of this index that somebody needs who is still there? */
static bool node_in_use(struct machine *m, const char *root, const void *object, size_t offset)
{
	return root && radix_tree_is_internal_node(root) &&
	       leads_to_alive(m, (const void *)(root - RADIX_TREE_INTERNAL_NODE), object, false,
			      offset);
}

/*
 * Does [*@start, @end) begin with something that no pagemap covers?  Moves
 * *@start behind what is covered.
 */
static bool uncovered(const struct alive *alive, unsigned long *start, unsigned long end,
		      unsigned int shift, unsigned long align)
{
	bool moved = true;

	while (moved && *start < end) {
		moved = false;
		for (int i = 0; i < alive->count; i++) {
			const struct resource *res = &alive->pgmap[i]->res;
			unsigned long first = (unsigned long)(res->start >> shift) & ~(align - 1);
			unsigned long behind =
				(((unsigned long)(res->end >> shift) + align) & ~(align - 1));

			if (*start >= first && *start < behind) {
				*start = behind;
				moved = true;
			}
		}
	}
	return *start < end;
}

static void check_ranges(struct machine *m, struct findings *f, const struct alive *alive)
{
	const struct kernel_config *c = &m->s->kernel.config;
	const struct memmap *map = &m->s->memmap;
	unsigned int section = c->section_size_bits - c->page_shift;
	unsigned long align = 1UL << section;
	unsigned long i, start, end;

	for (i = 0; i < map->sections.nr; i++) {
		const struct run *run = &map->sections.runs[i];

		start = run->start << section;
		end = (run->start + run->n) << section;
		if (!(run->word[SECTION_FLAGS] & SECTION_ONLINE) &&
		    uncovered(alive, &start, end, c->page_shift, align))
			finding(f, "leak", "section %lu (pfn 0x%lx) is still there",
				start >> section, start);
	}
	for (i = 0; i < map->linear.nr; i++) {
		start = map->linear.runs[i].start;
		end = start + map->linear.runs[i].n;
		/* RAM is mapped for good. */
		while (start < end && online_section_nr(start >> section))
			start = ((start >> section) + 1) << section;
		if (start < end && uncovered(alive, &start, end, c->page_shift, align) &&
		    !online_section_nr(start >> section))
			finding(f, "leak", "pfn 0x%lx is still in the direct map", start);
	}
	for (i = 0; i < map->shadow.nr; i++) {
		start = map->shadow.runs[i].start;
		end = start + map->shadow.runs[i].n;
		if (uncovered(alive, &start, end, c->page_shift, align))
			finding(f, "leak", "kasan shadow of pfn 0x%lx is still there", start);
	}
}

/* With its last section a zone has come to nothing. */
static void check_zones(struct machine *m, struct findings *f)
{
	for (int nid = 0; nid < m->s->kernel.config.numa_nodes; nid++) {
		const struct zone *zone = &NODE_DATA(nid)->zone_device;
		unsigned long start = zone->zone_start_pfn;
		unsigned long end = start + zone->spanned_pages;

		if (start < end &&
		    memmap_first_in_zone(start, end, nid, (int)zone_idx(zone)) == end)
			finding(f, "leak",
				"zone Device of node %d spans pfns from 0x%lx on, and has none",
				nid, start);
	}
}

/* Children lie inside their parent, one behind the other: else two may hold the same address. */
static void check_resources(struct machine *m, struct findings *f)
{
	const struct resource *root = &m->s->kernel.resource.iomem;
	const struct resource *res = root->child, *parent = root;
	resource_size_t least = root->start;

	while (res) {
		const struct alloc_header *h = header_of(m, res);

		if (!h || h->freed) {
			finding(f, "use-after-free", "a resource in the tree has been freed");
			return;
		}
		if (res->parent != parent || res->start < least || res->end > parent->end) {
			finding(f, "contract",
				"resource %llx-%llx is not behind its neighbour and inside its parent",
				res->start, res->end);
			return;
		}
		least = res->start;
		if (res->child) {
			parent = res;
			res = res->child;
			continue;
		}
		while (!res->sibling && parent != root) {
			res = parent;
			parent = res->parent;
		}
		least = res->end + 1;
		res = res->sibling;
	}
}

static bool is_device_site(const char *site)
{
	for (size_t i = 0; i < ARRAY_SIZE(device_sites); i++)
		if (!strcmp(device_sites[i], site))
			return true;
	return false;
}

static bool is_shared_node(struct machine *m, const void *object)
{
	const struct kernel_data *k = &m->s->kernel;

	return node_in_use(m, k->memremap.pgmap_radix.rnode, object, 0) ||
	       node_in_use(m, k->hmm.hmm_devmem_radix.rnode, object,
			   offsetof(struct hmm_devmem, pagemap));
}

static void check_memory(struct machine *m, struct findings *f, bool *any_bound)
{
	const struct device *last = NULL;
	const struct alloc_header *owner = NULL;
	struct alloc_header *h;

	for (h = first_object(m); h; h = next_object(m, h)) {
		const struct device *dev = h->owner;

		if (h->kind == OBJECT_MACHINE || h->freed || !dev)
			continue;
		if (dev != last)
			owner = header_of(m, dev);
		last = dev;
		if (owner && !owner->freed && dev->driver) {
			*any_bound = true;
			continue;
		}
		/* A device that is on its bus keeps its name and its place there. */
		if (owner && !owner->freed && is_device_site(h->site))
			continue;
		if (is_shared_node(m, h + 1))
			continue;
		finding(f, "leak", "%lu bytes allocated in %s() were not freed", h->size, h->site);
	}
}

static void check_tasks(struct machine *m, struct findings *f)
{
	struct machine_state *s = m->s;

	for (int i = 0; i < s->nr_tasks; i++) {
		const struct emu_task *task = s->tasks[i];
		char text[256];

		if (task->kind == TASK_FREE || task->run != RUN_BLOCKED)
			continue;
		task_wait_text(m, task, text, sizeof(text));
		finding(f, "hang", "%s", text);
	}
}

static void look_around(struct machine *m, struct findings *f)
{
	struct machine *saved = current_machine;
	struct kernel_context context = kernel_context;
	struct alive alive = { .pgmap = alive.few, .capacity = FEW_PAGEMAPS };
	struct machine_state *s = m->s;
	bool any_bound = false;
	unsigned long pfn, ghosts;
	int for_good = s->hmm_get_ops + s->kernel.hmm_test.nr_adds.counter;
	int host_ops = s->host_get_ops;

	current_machine = m;
	kernel_context.data = &s->kernel;
	/* Nobody counts then, whoever calls. */
	if (!s->kernel.config.dev_pagemap_ops)
		for_good = host_ops = 0;
	check_tasks(m, f);
	walk_tree(m, f, &alive, s->kernel.memremap.pgmap_radix.rnode, 0, 0);
	walk_tree(m, f, &alive, s->kernel.hmm.hmm_devmem_radix.rnode,
		  (unsigned int)(s->kernel.config.section_size_bits - s->kernel.config.page_shift),
		  offsetof(struct hmm_devmem, pagemap));
	check_ranges(m, f, &alive);
	check_zones(m, f);
	check_resources(m, f);
	check_memory(m, f, &any_bound);
	if (!any_bound && !alive.count) {
		int enabled = s->kernel.memremap.devmap_enable.counter;

		if (enabled != host_ops + for_good)
			finding(f, "leak", "devmap_managed_key is held %d times too often",
				enabled - host_ops - for_good);
	}
	/* Not a leak of anybody's: that is how it is. */
	if (for_good)
		finding(f, "note",
			"devmap_managed_key: HMM has enabled it %d times and never disables it",
			for_good);
	ghosts = memmap_held_ghosts(&s->memmap, &pfn);
	if (ghosts)
		finding(f, "refcount",
			"%lu pages from pfn 0x%lx on are held although their memmap "
			"is gone",
			ghosts, pfn);
	if (alive.pgmap != alive.few)
		free(alive.pgmap);
	current_machine = saved;
	kernel_context = context;
}

bool anything_left_behind(struct machine *m)
{
	struct findings f = { .size = 0 };

	look_around(m, &f);
	return f.leaks > 0;
}

int emu_quiescence(emu_machine *m, char *buf, size_t size, size_t *length)
{
	struct findings f = { .buf = buf, .size = size };

	look_around(m, &f);
	*length = f.length;
	return EMU_OK;
}
