/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_STRING_H
#define _LINUX_STRING_H

#include <linux/types.h>

/*
 * The compiler does not instrument these, so the checked build reports the
 * bytes they touch (emu/kasan.c).
 */
void *kernel_memset(void *dst, int c, size_t n);
void *kernel_memcpy(void *dst, const void *src, size_t n);
size_t kernel_strlen(const char *s);
char *kernel_strchrnul(const char *s, int c);
int kernel_strcmp(const char *a, const char *b);
int kernel_strncmp(const char *a, const char *b, size_t n);

#define memset kernel_memset
#define memcpy kernel_memcpy
#define strlen kernel_strlen
#define strchrnul kernel_strchrnul
#define strcmp kernel_strcmp
#define strncmp kernel_strncmp

#endif
