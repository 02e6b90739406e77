// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations: one line of the log, formatted by the kernel's own vsnprintf().
 *
 * The format comes from the host, so it is looked at first: one conversion,
 * of the kind that the operation has an argument for.
 */
#include "machine.h"
#include "ops.h"

#include <linux/kernel.h>
#include <linux/printk.h>

#include <ctype.h>
#include <string.h>

#define LINE_SIZE 256

/**
 * struct conversion - what a format asks for
 * @letter: of the conversion, 0 if there is none
 * @extension: what follows a %p
 * @stars: width and precision that are arguments
 * @count: conversions
 */
struct conversion {
	char letter;
	char extension;
	int stars;
	int count;
};

static struct conversion look_at(const char *fmt)
{
	struct conversion c = { 0 };

	while (*fmt) {
		int stars = 0, digits = 0;

		if (*fmt++ != '%')
			continue;
		for (; *fmt && strchr("-+ #0123456789.*hlLjtz", *fmt); fmt++) {
			stars += *fmt == '*';
			digits += isdigit((unsigned char)*fmt) != 0;
		}
		if (digits > 4)
			c.stars += 2; /* wider than any line: refused like two stars */
		if (*fmt == '%' && !stars) {
			fmt++;
			continue;
		}
		if (!*fmt || !strchr("diouxXcsp", *fmt)) {
			/* Takes no argument and is printed as it stands, but its star takes one. */
			c.stars += 2 * stars;
			continue;
		}
		c.letter = *fmt++;
		c.stars += stars;
		c.count++;
		if (c.letter == 'p')
			c.extension = *fmt;
	}
	return c;
}

/* Is there one conversion, one of @letters, with at most one star? */
static bool asks_for(const char *fmt, const char *letters)
{
	struct conversion c = look_at(fmt);

	return c.count == 1 && c.letter && strchr(letters, c.letter) && c.stars <= 1;
}

static bool is_pointer(const char *fmt, const char *extensions)
{
	struct conversion c = look_at(fmt);

	return asks_for(fmt, "p") &&
	       (c.extension ? strchr(extensions, c.extension) != NULL : false);
}

static bool fits(int64_t width)
{
	return width > -LINE_SIZE && width < LINE_SIZE;
}

/* Formats @fmt with @star before @value, if it has one. */
#define LOG(fmt, star, value)                                                  \
	do {                                                                   \
		char line[LINE_SIZE];                                          \
		if (look_at(fmt).stars)                                        \
			snprintf(line, sizeof(line), fmt, (int)(star), value); \
		else                                                           \
			snprintf(line, sizeof(line), fmt, value);              \
		printk_level(LOGLEVEL_INFO, "%s\n", line);                     \
	} while (0)

static int64_t op_number(const int64_t *args)
{
	const char *fmt = STRING(0);

	if (!asks_for(fmt, "diouxXc") || !fits(args[1]))
		return bad_argument("a format with one conversion of an integer");
	LOG(fmt, args[1], (long)args[2]);
	return 0;
}

static int64_t op_string(const int64_t *args)
{
	const char *fmt = STRING(0);

	if (!asks_for(fmt, "s") || !fits(args[1]))
		return bad_argument("a format with one conversion of a string");
	LOG(fmt, args[1], args[2] ? STRING(2) : NULL);
	return 0;
}

static int64_t op_resource(const int64_t *args)
{
	const char *fmt = STRING(0);

	if (!is_pointer(fmt, "Rr"))
		return bad_argument("a format with one %%pR or %%pr");
	LOG(fmt, 0, ARG(struct resource, 1));
	return 0;
}

/* The address itself, or the function at it: nothing is read there. */
static int64_t op_address(const int64_t *args)
{
	const char *fmt = STRING(0);
	unsigned long address = (unsigned long)args[1];

	if (is_pointer(fmt, "a")) {
		LOG(fmt, 0, (void *)&address);
		return 0;
	}
	if (!asks_for(fmt, "p") || is_pointer(fmt, "Rr"))
		return bad_argument("a format with one conversion of an address");
	LOG(fmt, 0, (void *)address);
	return 0;
}

static const struct op ops[] = {
	OP("printk_number", "sii", "v", op_number),
	OP("printk_string", "sis", "v", op_string),
	OP("printk_resource", "sE", "v", op_resource),
	OP("printk_address", "si", "v", op_address),
};

OP_TABLE(ops_printk, ops);
