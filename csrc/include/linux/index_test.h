/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_INDEX_TEST_H
#define _LINUX_INDEX_TEST_H

#include <linux/types.h>

bool index_leads_to_exited_ref(unsigned long pfn);

#endif
