// SPDX-License-Identifier: GPL-2.0-only

#include <linux/dax.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/hmm.h>
#include <linux/hmm_test.h>
#include <linux/io.h>
#include <linux/kernel_data.h>
#include <linux/libnvdimm.h>
#include <linux/memory_hotplug.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nfit_test.h>
#include <linux/pci-p2pdma.h>
#include <linux/percpu-refcount.h>
#include <linux/pgtable.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

/*
 * Locks first, then what memory is, then buses, then the drivers that
 * register on them: each step uses the ones before it.
 */
void __init start_kernel(void)
{
	panic_init();
	percpu_refcount_init();
	wait_bit_init();
	workqueue_init();
	resource_init();
	memory_hotplug_init();
	mm_init();
	memremap_init();
	pat_init();
	ioremap_init();
	modules_init();
	driver_core_init();
	chrdev_init();
	pci_init();
	dax_init();
	nvdimm_init();
	nfit_test_init();
	if (hmm_configured())
		WARN_ON(hmm_init());
	WARN_ON(nd_pmem_init());
	/* These are nothing without struct pages, and not built then. */
	if (kernel_data()->config.zone_device) {
		WARN_ON(dax_pmem_init());
		WARN_ON(p2pmem_init());
	}
	if (hmm_configured())
		WARN_ON(hmm_test_init());
}
