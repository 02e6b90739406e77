/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_SIZES_H
#define _LINUX_SIZES_H

#define SZ_4K 0x00001000UL
#define SZ_8K 0x00002000UL
#define SZ_128K 0x00020000UL
#define SZ_2M 0x00200000UL

#endif
