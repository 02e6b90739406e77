/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_KERNEL_DATA_H
#define _LINUX_KERNEL_DATA_H

/*
 * The .data section: the file-scope variables of every kernel file, one
 * structure per file, so that a machine can own a whole kernel.  A file names
 * its variables with macros at its top and reads like any kernel file after
 * that.
 */

#include <linux/e820.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/ioport.h>
#include <linux/jump_label.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/nd.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/radix-tree.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/wait.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

/**
 * struct kernel_config - the .config of this kernel
 *
 * Fixed once the kernel has booted.
 */
struct kernel_config {
	int cpus;
	unsigned int page_shift;
	unsigned int section_size_bits;
	unsigned int max_physmem_bits;
	unsigned int physical_bits;
	int numa_nodes;
	bool zone_device;
	bool device_private;
	bool device_public;
	bool dev_pagemap_ops;
	bool kasan;
	bool preempt_rcu;
	bool debug_vm;
	bool debug_devres;
	bool panic_on_warn;
	bool pat;
	unsigned long patches;
	unsigned long modes;
};

struct percpu_refcount_data {
	spinlock_t percpu_ref_switch_lock;
	wait_queue_head_t percpu_ref_switch_waitq;
};

/* The roots have macros for names (linux/ioport.h), hence the short fields. */
struct resource_data {
	struct resource iomem;
	struct resource ioport;
	rwlock_t resource_lock;
	wait_queue_head_t muxed_resource_wait;
};

struct e820_data {
	struct e820_table e820_table;
};

struct memremap_data {
	struct mutex pgmap_lock;
	struct radix_tree_root pgmap_radix;
	struct static_key devmap_managed_key;
	atomic_t devmap_enable;
};

struct memory_hotplug_data {
	struct rw_semaphore mem_hotplug_lock;
	struct rw_semaphore cpu_hotplug_lock;
	unsigned long max_pfn;
	unsigned long max_low_pfn;
	unsigned long highest_memmap_pfn;
};

/**
 * struct zone - span of a memory zone of one node
 * @node: that node
 * @zone_idx: which zone, enum zone_type
 */
struct zone {
	int node;
	int zone_idx;
	unsigned long zone_start_pfn;
	unsigned long spanned_pages;
	unsigned long present_pages;
	unsigned long managed_pages;
	bool contiguous;
};

#define MAX_NUMNODES 4

struct pglist_data {
	spinlock_t node_size_lock;
	unsigned long node_start_pfn;
	unsigned long node_spanned_pages;
	struct zone zone_normal;
	struct zone zone_device;
};

/* @alloc_pfn: RAM pages from here on have been handed out, 0: none has */
struct page_alloc_data {
	unsigned long alloc_pfn[MAX_NUMNODES];
	struct pglist_data nodes[MAX_NUMNODES];
};

struct pat_data {
	spinlock_t memtype_lock;
	struct list_head memtypes;
};

struct workqueue_data {
	spinlock_t workqueue_lock;
	struct list_head worklist;
	wait_queue_head_t workqueue_flush;
};

struct driver_core_data {
	struct mutex deferred_probe_mutex;
	struct list_head deferred_probe_pending_list;
	struct list_head deferred_probe_active_list;
	atomic_t deferred_trigger_count;
	struct work_struct deferred_probe_work;
	bool defer_all_probes;
	atomic_t probe_count;
	wait_queue_head_t probe_waitqueue;
	spinlock_t buses_lock;
	struct list_head buses;
	struct bus_type platform_bus;
};

struct wait_bit_data {
	wait_queue_head_t bit_wait_table[WAIT_TABLE_SIZE];
};

struct ioremap_data {
	spinlock_t vmap_area_lock;
	struct list_head vmlist;
};

struct dax_data {
	struct srcu_struct dax_srcu;
	spinlock_t dax_host_lock;
	struct list_head dax_host_list;
	struct class dax_class;
};

struct nvdimm_data {
	struct bus_type nvdimm_bus_type;
	struct nd_device_driver nd_pmem_driver;
	struct nd_device_driver dax_pmem_driver;
};

struct panic_data {
	unsigned long tainted_mask;
	int debug_locks;
};

struct module_data {
	struct mutex module_mutex;
	struct list_head modules;
};

struct char_dev_data {
	struct mutex chrdevs_lock;
	struct list_head chrdevs;
};

/* HMM_DEVICE_MAX minors. */
struct hmm_data {
	spinlock_t hmm_device_lock;
	unsigned long hmm_device_mask[4];
	kernel_dev_t hmm_device_devt;
	struct class *hmm_device_class;
	struct mutex hmm_devmem_lock; /* before hmm-memremap */
	struct radix_tree_root hmm_devmem_radix; /* by section; under hmm_devmem_lock */
};

struct pci_data {
	struct bus_type pci_bus_type;
	struct pci_driver p2pmem_driver;
};

struct hmm_test_data {
	struct pci_driver hmm_driver;
	struct pci_driver hmm_public_driver;
	atomic_t nr_adds;
};

struct nfit_test_data {
	spinlock_t nfit_test_lock;
	struct list_head nfit_test_resources;
};

struct kernel_data {
	struct kernel_config config;
	unsigned long per_cpu_start; /* what reads through per-CPU address 0 see: always 0 */
	unsigned long rcu_clock; /* grace periods asked for so far */
	struct percpu_refcount_data percpu_refcount;
	struct resource_data resource;
	struct e820_data e820;
	struct memremap_data memremap;
	struct memory_hotplug_data memory_hotplug;
	struct page_alloc_data page_alloc;
	struct pat_data pat;
	struct workqueue_data workqueue;
	struct driver_core_data driver_core;
	struct wait_bit_data wait_bit;
	struct ioremap_data ioremap;
	struct dax_data dax;
	struct nvdimm_data nvdimm;
	struct panic_data panic;
	struct module_data module;
	struct char_dev_data char_dev;
	struct hmm_data hmm;
	struct pci_data pci;
	struct hmm_test_data hmm_test;
	struct nfit_test_data nfit_test;
	unsigned long per_cpu_sink; /* where writes through per-CPU address 0 go */
};

/**
 * start_kernel() - initialise the file-scope variables of every file
 *
 * The configuration must be in place.  Context: process, once per kernel.
 */
void start_kernel(void);

#endif
