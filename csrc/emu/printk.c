// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel log: records of "<level>text\n", the oldest overwritten first.
 */
#include "machine.h"

#include <linux/kernel.h>

#undef snprintf
#undef vsnprintf
#include <string.h>

void log_append(struct machine *m, int level, const char *text, size_t len)
{
	struct machine_state *s = m->s;

	trace_event(m, EVENT_PRINTK, s->log_end, (uint64_t)level);
	m->log[s->log_end++ % LOG_SIZE] = (char)('0' + level);
	for (size_t i = 0; i < len; i++)
		m->log[s->log_end++ % LOG_SIZE] = text[i];
	m->log[s->log_end++ % LOG_SIZE] = '\n';
}

void vprintk_level(int level, const char *fmt, va_list args)
{
	struct machine *m = this_machine();
	char text[1024];
	const char *line = text;
	int len = vsnprintf_kernel(text, sizeof(text), fmt, args);
	size_t left = len < (int)sizeof(text) ? (size_t)len : sizeof(text) - 1;

	/* Each line is a record; a call that does not end its line is ended here. */
	do {
		const char *newline = memchr(line, '\n', left);
		size_t n = newline ? (size_t)(newline - line) : left;

		log_append(m, level, line, n);
		line += n + (newline != NULL);
		left -= n + (newline != NULL);
	} while (left);
}

void printk_level(int level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintk_level(level, fmt, args);
	va_end(args);
}

bool first_time_here(const void *site)
{
	struct machine_state *s = this_machine()->s;

	for (int i = 0; i < s->nr_once; i++)
		if (s->once[i] == site)
			return false;
	if (s->nr_once < MAX_ONCE_SITES)
		s->once[s->nr_once++] = site;
	return true;
}

void clear_once_flags(struct machine *m)
{
	m->s->nr_once = 0;
}
