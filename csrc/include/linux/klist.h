/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_KLIST_H
#define _LINUX_KLIST_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/spinlock.h>

struct completion;
struct klist_node;

/**
 * struct klist - list whose nodes may be removed while others walk it
 * @k_lock: protects the links and the nodes' counts; not held during callbacks
 * @k_list: nodes in the order of addition
 * @get: called for a node that is added, or NULL
 * @put: called, without @k_lock, for a node that has left the list, or NULL
 */
struct klist {
	spinlock_t k_lock;
	struct list_head k_list;
	void (*get)(struct klist_node *n);
	void (*put)(struct klist_node *n);
};

/**
 * struct klist_node - link in a klist
 * @n_klist: the list it is on, NULL when on none
 * @n_node: link
 * @n_ref: 1 for the list itself and 1 for each iterator that stands here
 * @n_dead: deleted; stays linked until the last iterator has moved on
 * @n_removed: completed when the node leaves the list, or NULL
 */
struct klist_node {
	struct klist *n_klist;
	struct list_head n_node;
	struct kref n_ref;
	bool n_dead;
	struct completion *n_removed;
};

struct klist_iter {
	struct klist *i_klist;
	struct klist_node *i_cur;
};

void klist_init(struct klist *k, void (*get)(struct klist_node *n),
		void (*put)(struct klist_node *n));
void klist_add_tail(struct klist_node *n, struct klist *k);
void klist_del(struct klist_node *n);
void klist_remove(struct klist_node *n);
bool klist_node_attached(const struct klist_node *n);

void klist_iter_init(struct klist *k, struct klist_iter *i);
void klist_iter_init_node(struct klist *k, struct klist_iter *i, struct klist_node *n);
struct klist_node *klist_next(struct klist_iter *i);
void klist_iter_exit(struct klist_iter *i);

#endif
