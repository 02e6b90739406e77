/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_KALLSYMS_H
#define _LINUX_KALLSYMS_H

/**
 * kernel_symbol_name() - name of the function at an address
 * @addr: address of its first instruction
 *
 * Context: any.  Return: the name (of a module's function with " [module]"
 * after it), or NULL if no symbol is known there.
 */
const char *kernel_symbol_name(const void *addr);

#endif
