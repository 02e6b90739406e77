// SPDX-License-Identifier: GPL-2.0-only
/*
 * The trace: fixed-size events in a ring, and names for code addresses.
 *
 * Function entries come from the compiler (checked build); everything else is
 * told by the machine's own services.  Names are read from the symbol table
 * of this very object file, when somebody asks.
 */
#define _GNU_SOURCE
#include "machine.h"

#include <linux/kallsyms.h>

#undef memset
#undef memcpy
#undef strlen
#undef strcmp
#undef strncmp
#undef snprintf
#undef vsnprintf

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void __untracked __trace_event(struct machine *m, enum event_type type, uint64_t a, uint64_t b)
{
	struct machine_state *s = m->s;
	struct emu_event *e;

	machine_dirty(&s->trace_end, sizeof(s->trace_end));
	e = &m->trace[s->trace_end++ % TRACE_EVENTS];
	e->type = (uint16_t)type;
	e->cpu = m->running ? (uint8_t)m->running->t.cpu : 0;
	e->softirq = m->running && m->running->t.in_softirq;
	e->task = m->running ? (uint32_t)m->running->t.pid : 0;
	e->log_end = s->log_end;
	e->a = a;
	e->b = b;
}

/* Callbacks of the host stand behind trampolines that carry the callback's name. */
const char *callback_symbol(const void *addr);

/* This very object file, mapped to be read. */
struct image {
	const char *base;
	size_t size;
	uintptr_t loaded; /* where its code is */
};

/* A symbol table of it. */
struct symbols {
	const Elf64_Sym *sym;
	const Elf64_Sym *end;
	const char *strings;
};

static bool open_image(const void *addr, struct image *image)
{
	off_t size;
	Dl_info info;
	void *base;
	int fd;

	if (!addr || !dladdr(addr, &info) || !info.dli_fname)
		return false;
	fd = open(info.dli_fname, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size = lseek(fd, 0, SEEK_END);
	base = size > 0 ? mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	close(fd);
	if (base == MAP_FAILED)
		return false;
	*image = (struct image){
		.base = base,
		.size = (size_t)size,
		.loaded = (uintptr_t)info.dli_fbase,
	};
	return true;
}

static void close_image(struct image *image)
{
	munmap((void *)(uintptr_t)image->base, image->size);
}

static bool find_symbols(const struct image *image, struct symbols *symbols)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)image->base;
	const Elf64_Shdr *sh;

	if (image->size < sizeof(*eh) || memcmp(eh->e_ident, ELFMAG, SELFMAG) || !eh->e_shoff ||
	    eh->e_shoff + (size_t)eh->e_shnum * sizeof(*sh) > image->size)
		return false;
	sh = (const Elf64_Shdr *)(image->base + eh->e_shoff);
	for (unsigned int i = 0; i < eh->e_shnum; i++) {
		if (sh[i].sh_type != SHT_SYMTAB || sh[i].sh_link >= eh->e_shnum ||
		    sh[i].sh_offset + sh[i].sh_size > image->size)
			continue;
		symbols->strings = image->base + sh[sh[i].sh_link].sh_offset;
		symbols->sym = (const Elf64_Sym *)(image->base + sh[i].sh_offset);
		symbols->end = symbols->sym + sh[i].sh_size / sizeof(*symbols->sym);
		return true;
	}
	return false;
}

/* Length of a function's name, without what the compiler appends to those it splits. */
static size_t function_name(const struct symbols *symbols, const Elf64_Sym *sym, const char **name)
{
	*name = symbols->strings + sym->st_name;
	return ELF64_ST_TYPE(sym->st_info) == STT_FUNC ? strcspn(*name, ".") : 0;
}

static const char *read_symbol(const void *addr, char *buf, size_t size)
{
	const char *found = NULL;
	struct symbols symbols;
	struct image image;

	if (!open_image(addr, &image))
		return NULL;
	if (find_symbols(&image, &symbols)) {
		uintptr_t offset = (uintptr_t)addr - image.loaded;

		for (; symbols.sym < symbols.end; symbols.sym++) {
			const Elf64_Sym *sym = symbols.sym;
			const char *name;
			size_t len;

			if (offset < sym->st_value || offset >= sym->st_value + sym->st_size)
				continue;
			len = function_name(&symbols, sym, &name);
			if (!len)
				continue;
			if (len >= size)
				len = size - 1;
			memcpy(buf, name, len);
			buf[len] = '\0';
			found = buf;
			break;
		}
	}
	close_image(&image);
	return found;
}

size_t symbol_ranges(const char *name, uint64_t *ranges, size_t max)
{
	size_t wanted = strlen(name);
	struct symbols symbols;
	struct image image;
	size_t n = 0;

	if (!open_image((const void *)(uintptr_t)&symbol_ranges, &image))
		return 0;
	if (find_symbols(&image, &symbols)) {
		for (; symbols.sym < symbols.end && n < max; symbols.sym++) {
			const Elf64_Sym *sym = symbols.sym;
			const char *found;

			if (function_name(&symbols, sym, &found) != wanted ||
			    strncmp(found, name, wanted))
				continue;
			ranges[2 * n] = image.loaded + sym->st_value;
			ranges[2 * n + 1] = ranges[2 * n] + sym->st_size;
			n++;
		}
	}
	close_image(&image);
	return n;
}

/*
 * Names that were asked for: the same few functions are looked up over and
 * over.  Each address has one place, and the last that came has it.
 */
#define CACHED_SYMBOLS 256

struct symbol_cache {
	struct {
		const void *addr;
		char name[64];
	} entry[CACHED_SYMBOLS];
};

const char *symbol_name(struct machine *m, const void *addr, char *buf, size_t size)
{
	size_t place = ((uintptr_t)addr >> 2 ^ (uintptr_t)addr >> 10) % CACHED_SYMBOLS;
	const char *found;

	if (!m || !addr || !size)
		return read_symbol(addr, buf, size);
	if (!m->symbols)
		m->symbols = calloc(1, sizeof(*m->symbols));
	if (!m->symbols)
		return read_symbol(addr, buf, size);
	if (m->symbols->entry[place].addr != addr) {
		found = read_symbol(addr, m->symbols->entry[place].name,
				    sizeof(m->symbols->entry[place].name));
		m->symbols->entry[place].addr = found ? addr : NULL;
		if (!found)
			return NULL;
	}
	snprintf(buf, size, "%s", m->symbols->entry[place].name);
	return buf;
}

const char *kernel_symbol_name(const void *addr)
{
	struct machine *m = this_machine();
	const char *name = callback_symbol(addr);

	return name ? name : symbol_name(m, addr, m->symbol, sizeof(m->symbol));
}
