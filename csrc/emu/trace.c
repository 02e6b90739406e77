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

void trace_event(struct machine *m, enum event_type type, uint64_t a, uint64_t b)
{
	struct machine_state *s = m->s;
	struct emu_event *e;

	if (!m->trace_on)
		return;
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

static const char *find_symbol(const char *image, size_t size, uintptr_t offset, char *buf,
			       size_t buf_size)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)image;
	const Elf64_Shdr *sh;

	if (size < sizeof(*eh) || memcmp(eh->e_ident, ELFMAG, SELFMAG) || !eh->e_shoff ||
	    eh->e_shoff + (size_t)eh->e_shnum * sizeof(*sh) > size)
		return NULL;
	sh = (const Elf64_Shdr *)(image + eh->e_shoff);
	for (unsigned int i = 0; i < eh->e_shnum; i++) {
		const Elf64_Sym *sym, *end;
		const char *strings;

		if (sh[i].sh_type != SHT_SYMTAB || sh[i].sh_link >= eh->e_shnum ||
		    sh[i].sh_offset + sh[i].sh_size > size)
			continue;
		strings = image + sh[sh[i].sh_link].sh_offset;
		sym = (const Elf64_Sym *)(image + sh[i].sh_offset);
		end = sym + sh[i].sh_size / sizeof(*sym);
		for (; sym < end; sym++) {
			size_t len;

			if (ELF64_ST_TYPE(sym->st_info) != STT_FUNC || offset < sym->st_value ||
			    offset >= sym->st_value + sym->st_size)
				continue;
			len = strcspn(strings + sym->st_name, ".");
			if (len >= buf_size)
				len = buf_size - 1;
			memcpy(buf, strings + sym->st_name, len);
			buf[len] = '\0';
			return buf;
		}
	}
	return NULL;
}

static const char *read_symbol(const void *addr, char *buf, size_t size)
{
	const char *found = NULL;
	off_t size_of_file;
	Dl_info info;
	void *image;
	int fd;

	if (!addr || !dladdr(addr, &info) || !info.dli_fname)
		return NULL;
	fd = open(info.dli_fname, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	size_of_file = lseek(fd, 0, SEEK_END);
	if (size_of_file > 0) {
		image = mmap(NULL, (size_t)size_of_file, PROT_READ, MAP_PRIVATE, fd, 0);
		if (image != MAP_FAILED) {
			found = find_symbol(image, (size_t)size_of_file,
					    (uintptr_t)addr - (uintptr_t)info.dli_fbase, buf, size);
			munmap(image, (size_t)size_of_file);
		}
	}
	close(fd);
	return found;
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
