// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's printf.
 *
 * C's conversions for integers, characters and strings, and behind %p one
 * letter that says what the pointer points to:
 *
 *	%p, %px		the address, 16 digits
 *	%pR, %pr	struct resource, flags decoded or raw
 *	%pf %pF %ps %pS	the name of the function
 *	%pa		phys_addr_t
 *
 * A NULL pointer prints as (null), right-aligned in the width of an address.
 *
 * What C leaves to the reader and this file decides: a number keeps its 0x
 * prefix when it is 0, and an unknown conversion is printed as it stands.
 */

#include <linux/ioport.h>
#include <linux/kallsyms.h>
#include <linux/kernel.h>
#include <linux/string.h>

/* Where the text goes; @pos runs on when the buffer is full. */
struct output {
	char *buf;
	size_t size;
	size_t pos;
};

/* One conversion. */
struct printf_spec {
	bool left;
	bool plus;
	bool space;
	bool special;
	bool zeropad;
	bool upper;
	bool is_signed;
	unsigned int base;
	int width;
	/* -1: not given */
	int precision;
};

static const struct printf_spec default_spec = { .base = 10, .precision = -1 };

static void put(struct output *out, char c)
{
	if (out->pos < out->size)
		out->buf[out->pos] = c;
	out->pos++;
}

static void put_text(struct output *out, const char *s, size_t n)
{
	const size_t room = out->pos < out->size ? out->size - out->pos : 0;

	/* Without room there need be no buffer. */
	if (room)
		memcpy(out->buf + out->pos, s, min(n, room));
	out->pos += n;
}

static void put_repeated(struct output *out, char c, int n)
{
	while (n-- > 0)
		put(out, c);
}

static void put_string(struct output *out, const char *s, struct printf_spec spec)
{
	int len = 0;

	if (!s)
		s = "(null)";
	if (spec.precision < 0)
		len = (int)strlen(s);
	while (len < spec.precision && s[len])
		len++;

	if (!spec.left)
		put_repeated(out, ' ', spec.width - len);
	put_text(out, s, (size_t)len);
	if (spec.left)
		put_repeated(out, ' ', spec.width - len);
}

static void put_char(struct output *out, char c, struct printf_spec spec)
{
	if (!spec.left)
		put_repeated(out, ' ', spec.width - 1);
	put(out, c);
	if (spec.left)
		put_repeated(out, ' ', spec.width - 1);
}

/* Sign or prefix, zeros and digits, padded outside or, with zeros, between. */
static void put_number(struct output *out, u64 num, struct printf_spec spec)
{
	const char *digit = spec.upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char digits[22];
	char prefix[2];
	int n = 0, n_prefix = 0, zeros, fill;

	if (spec.is_signed) {
		if ((s64)num < 0) {
			prefix[n_prefix++] = '-';
			num = -num;
		} else if (spec.plus) {
			prefix[n_prefix++] = '+';
		} else if (spec.space) {
			prefix[n_prefix++] = ' ';
		}
	}
	if (spec.special && spec.base == 16) {
		prefix[n_prefix++] = '0';
		prefix[n_prefix++] = spec.upper ? 'X' : 'x';
	} else if (spec.special && spec.base == 8 && num) {
		prefix[n_prefix++] = '0';
	}

	do {
		digits[n++] = digit[num % spec.base];
		num /= spec.base;
	} while (num);

	zeros = spec.precision > n ? spec.precision - n : 0;
	fill = spec.width - n_prefix - zeros - n;
	if (spec.zeropad && !spec.left && spec.precision < 0 && fill > 0) {
		zeros += fill;
		fill = 0;
	}

	if (!spec.left)
		put_repeated(out, ' ', fill);
	for (int i = 0; i < n_prefix; i++)
		put(out, prefix[i]);
	put_repeated(out, '0', zeros);
	while (n)
		put(out, digits[--n]);
	if (spec.left)
		put_repeated(out, ' ', fill);
}

static void put_hex(struct output *out, u64 num, int width)
{
	struct printf_spec spec = default_spec;

	spec.base = 16;
	spec.special = true;
	spec.zeropad = true;
	spec.width = width;
	put_number(out, num, spec);
}

/*
 * [kind start-end], then the flags: as words, or (raw, and whenever the kind
 * is not known) as a number.
 *
 * mirrors lib/vsprintf.c:resource_string, v4.19
 */
static void put_resource(struct output *out, const struct resource *res, bool decode,
			 struct printf_spec outer)
{
	struct printf_spec spec = default_spec;
	char text[128];
	struct output sym = { .buf = text, .size = sizeof(text) - 1 };
	const char *kind;

	spec.base = 16;
	spec.zeropad = true;
	if (res->flags & IORESOURCE_IO) {
		kind = "io  ";
		spec.special = true;
		spec.width = 6;
	} else if (res->flags & IORESOURCE_MEM) {
		kind = "mem ";
		spec.special = true;
		spec.width = 10;
	} else if (res->flags & IORESOURCE_IRQ) {
		kind = "irq ";
		spec = default_spec;
	} else if (res->flags & IORESOURCE_DMA) {
		kind = "dma ";
		spec = default_spec;
	} else if (res->flags & IORESOURCE_BUS) {
		kind = "bus ";
		spec.width = 2;
	} else {
		kind = "??? ";
		spec.special = true;
		spec.width = 10;
		decode = false;
	}

	put(&sym, '[');
	put_string(&sym, kind, default_spec);
	if (decode && (res->flags & IORESOURCE_UNSET)) {
		put_string(&sym, "size ", default_spec);
		put_number(&sym, resource_size(res), spec);
	} else {
		put_number(&sym, res->start, spec);
		if (res->start != res->end) {
			put(&sym, '-');
			put_number(&sym, res->end, spec);
		}
	}
	if (decode) {
		if (res->flags & IORESOURCE_MEM_64)
			put_string(&sym, " 64bit", default_spec);
		if (res->flags & IORESOURCE_PREFETCH)
			put_string(&sym, " pref", default_spec);
		if (res->flags & IORESOURCE_WINDOW)
			put_string(&sym, " window", default_spec);
		if (res->flags & IORESOURCE_DISABLED)
			put_string(&sym, " disabled", default_spec);
	} else {
		put_string(&sym, " flags ", default_spec);
		put_hex(&sym, res->flags, 0);
	}
	put(&sym, ']');

	text[min(sym.pos, sym.size)] = '\0';
	put_string(out, text, outer);
}

static void put_symbol(struct output *out, const void *addr, struct printf_spec spec)
{
	const char *name = kernel_symbol_name(addr);

	if (name)
		put_string(out, name, spec);
	else
		put_hex(out, (u64)(uintptr_t)addr, 0);
}

/*
 * What follows %p.  Returns how many characters of @ext it was.
 *
 * mirrors lib/vsprintf.c:pointer, v4.19, except that %p does not hash: there is
 * nothing here to hide, and logs should be the same in each run.
 */
static size_t put_pointer(struct output *out, const char *ext, const void *ptr,
			  struct printf_spec spec)
{
	size_t taken = 1;

	switch (*ext) {
	case 'R':
	case 'r':
	case 'f':
	case 'F':
	case 's':
	case 'S':
	case 'a':
	case 'x':
		break;
	default:
		taken = 0;
	}

	if (!ptr && !(taken && *ext == 'x')) {
		if (!spec.width)
			spec.width = 2 * (int)sizeof(void *);
		put_string(out, NULL, spec);
		return taken;
	}

	if (taken) {
		switch (*ext) {
		case 'R':
		case 'r':
			put_resource(out, ptr, *ext == 'R', spec);
			return taken;
		case 'f':
		case 'F':
		case 's':
		case 'S':
			put_symbol(out, ptr, spec);
			return taken;
		case 'a':
			put_hex(out, *(const phys_addr_t *)ptr, 2 + 2 * (int)sizeof(phys_addr_t));
			return taken;
		}
	}

	spec.base = 16;
	spec.special = false;
	if (!spec.width) {
		spec.width = 2 * (int)sizeof(void *);
		spec.zeropad = true;
	}
	put_number(out, (u64)(uintptr_t)ptr, spec);
	return taken;
}

static int parse_int(const char **fmt)
{
	int n = 0;

	while (**fmt >= '0' && **fmt <= '9')
		n = n * 10 + (*(*fmt)++ - '0');
	return n;
}

/* Flags; width and precision have their asterisks resolved by the caller. */
static void parse_flags(const char **fmt, struct printf_spec *spec)
{
	for (;; (*fmt)++) {
		switch (**fmt) {
		case '-':
			spec->left = true;
			break;
		case '+':
			spec->plus = true;
			break;
		case ' ':
			spec->space = true;
			break;
		case '#':
			spec->special = true;
			break;
		case '0':
			spec->zeropad = true;
			break;
		default:
			return;
		}
	}
}

/* hh -2, h -1, none 0, l 1, everything that is 64 bits wide 2 */
static int parse_length(const char **fmt)
{
	char c = **fmt;

	switch (c) {
	case 'h':
	case 'l':
		if (*++*fmt != c)
			return c == 'h' ? -1 : 1;
		++*fmt;
		return c == 'h' ? -2 : 2;
	case 'L':
	case 'j':
	case 't':
	case 'z':
		++*fmt;
		return 2;
	}
	return 0;
}

/* Narrows an argument to its type, so that sign and width come out right. */
static u64 convert(u64 value, int length, bool is_signed)
{
	switch (length) {
	case -2:
		return is_signed ? (u64)(s8)value : (u8)value;
	case -1:
		return is_signed ? (u64)(s16)value : (u16)value;
	case 0:
		return is_signed ? (u64)(s32)value : (u32)value;
	}
	return value;
}

/**
 * vsnprintf_kernel() - format into a buffer
 * @buf: output, terminated if @size is not 0
 * @size: size of @buf in bytes
 * @fmt: see the top of this file
 * @args: arguments
 *
 * Context: any.  Return: length of the whole text without terminator.
 *
 * mirrors lib/vsprintf.c:vsnprintf, v4.19
 */
int vsnprintf_kernel(char *buf, size_t size, const char *fmt, va_list args)
{
	struct output out = { .buf = buf, .size = size };

	while (*fmt) {
		struct printf_spec spec = default_spec;
		const char *start = fmt;
		int length;

		if (*fmt != '%') {
			fmt = strchrnul(fmt, '%');
			put_text(&out, start, (size_t)(fmt - start));
			continue;
		}
		fmt++;

		parse_flags(&fmt, &spec);
		if (*fmt == '*') {
			fmt++;
			spec.width = va_arg(args, int);
			if (spec.width < 0) {
				spec.left = true;
				spec.width = -spec.width;
			}
		} else {
			spec.width = parse_int(&fmt);
		}
		if (*fmt == '.') {
			fmt++;
			if (*fmt == '*') {
				fmt++;
				spec.precision = max(va_arg(args, int), 0);
			} else {
				spec.precision = parse_int(&fmt);
			}
		}
		length = parse_length(&fmt);

		switch (*fmt) {
		case '%':
			put(&out, '%');
			fmt++;
			continue;
		case 'c':
			put_char(&out, (char)va_arg(args, int), spec);
			fmt++;
			continue;
		case 's':
			put_string(&out, va_arg(args, const char *), spec);
			fmt++;
			continue;
		case 'p':
			fmt++;
			fmt += put_pointer(&out, fmt, va_arg(args, const void *), spec);
			continue;
		case 'd':
		case 'i':
			spec.is_signed = true;
			break;
		case 'u':
			break;
		case 'o':
			spec.base = 8;
			break;
		case 'X':
			spec.upper = true;
			spec.base = 16;
			break;
		case 'x':
			spec.base = 16;
			break;
		default:
			while (start < fmt)
				put(&out, *start++);
			continue;
		}
		fmt++;

		if (length > 0)
			put_number(&out, va_arg(args, u64), spec);
		else
			put_number(&out,
				   convert(va_arg(args, unsigned int), length, spec.is_signed),
				   spec);
	}

	if (size)
		buf[min(out.pos, size - 1)] = '\0';
	return (int)out.pos;
}

/**
 * snprintf_kernel() - format into a buffer
 * @buf: output, terminated if @size is not 0
 * @size: size of @buf in bytes
 * @fmt: see the top of this file
 * @...: what it takes
 *
 * Context: any.  Return: length of the whole text without terminator.
 *
 * mirrors lib/vsprintf.c:snprintf, v4.19
 */
int snprintf_kernel(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf_kernel(buf, size, fmt, args);
	va_end(args);
	return len;
}
