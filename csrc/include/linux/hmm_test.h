/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_HMM_TEST_H
#define _LINUX_HMM_TEST_H

#include <linux/atomic.h>
#include <linux/hmm.h>

/**
 * struct hmm_test_platform_data - what board code says about a test device
 * @size: bytes of memory on it
 */
struct hmm_test_platform_data {
	unsigned long size;
};

/**
 * struct hmm_test - a device with memory, driver data of its device
 * @devmem: the memory
 * @nr_free: pages that came back
 * @nr_fault: faults
 */
struct hmm_test {
	struct hmm_devmem *devmem;
	atomic_long_t nr_free;
	atomic_long_t nr_fault;
};

int hmm_test_init(void);

#endif
