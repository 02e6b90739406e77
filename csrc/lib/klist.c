// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lists that can be walked and changed at the same time.
 *
 * A walker must be able to call back, and the callback may sleep, so the lock
 * cannot be held from one node to the next.  Instead the walker holds a
 * reference to the node it stands on.  A node deleted meanwhile is marked dead,
 * so that nobody else steps on it, and is unlinked when the last walker leaves.
 */

#include <linux/bug.h>
#include <linux/completion.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/klist.h>

/**
 * klist_init() - make an empty klist
 * @k: the klist
 * @get: called for each node added, or NULL
 * @put: called for each node that has left, or NULL
 *
 * mirrors lib/klist.c:klist_init, v4.19
 */
void klist_init(struct klist *k, void (*get)(struct klist_node *n),
		void (*put)(struct klist_node *n))
{
	INIT_LIST_HEAD(&k->k_list);
	spin_lock_init(&k->k_lock);
	k->get = get;
	k->put = put;
}
EXPORT_SYMBOL_GPL(klist_init);

/**
 * klist_add_tail() - append a node
 * @n: node on no list
 * @k: klist
 *
 * mirrors lib/klist.c:klist_add_tail, v4.19
 */
void klist_add_tail(struct klist_node *n, struct klist *k)
{
	INIT_LIST_HEAD(&n->n_node);
	kref_init(&n->n_ref);
	n->n_klist = k;
	n->n_dead = false;
	n->n_removed = NULL;
	if (k->get)
		k->get(n);

	spin_lock(&k->k_lock);
	list_add_tail(&n->n_node, &k->k_list);
	spin_unlock(&k->k_lock);
}
EXPORT_SYMBOL_GPL(klist_add_tail);

/* Under the klist's lock: the node's memory may go as soon as it is dropped. */
static void klist_release(struct kref *kref)
{
	struct klist_node *n = container_of(kref, struct klist_node, n_ref);

	WARN_ON(!n->n_dead);
	list_del(&n->n_node);
	n->n_klist = NULL;
	if (n->n_removed)
		complete(n->n_removed);
}

static void klist_put(struct klist_node *n, bool kill)
{
	struct klist *k = n->n_klist;
	void (*put)(struct klist_node * n) = k->put;

	spin_lock(&k->k_lock);
	if (kill) {
		/* Killed twice: somebody else has dropped the list's reference. */
		WARN_ON(n->n_dead);
		n->n_dead = true;
	}
	if (!kref_put(&n->n_ref, klist_release))
		put = NULL;
	spin_unlock(&k->k_lock);
	if (put)
		put(n);
}

/**
 * klist_del() - delete a node, without waiting for those who stand on it
 * @n: node
 *
 * mirrors lib/klist.c:klist_del, v4.19
 */
void klist_del(struct klist_node *n)
{
	klist_put(n, true);
}
EXPORT_SYMBOL_GPL(klist_del);

/**
 * klist_remove() - delete a node and wait until nobody stands on it
 * @n: node; its memory is the caller's again afterwards
 *
 * mirrors lib/klist.c:klist_remove, v4.19
 *
 * Context: may sleep.
 */
void klist_remove(struct klist_node *n)
{
	struct completion removed;

	init_completion(&removed);
	n->n_removed = &removed;
	klist_del(n);
	wait_for_completion(&removed);
}
EXPORT_SYMBOL_GPL(klist_remove);

/**
 * klist_node_attached() - is this node on a list?
 * @n: node, zeroed before its first use
 *
 * mirrors lib/klist.c:klist_node_attached, v4.19
 */
bool klist_node_attached(const struct klist_node *n)
{
	return n->n_klist != NULL;
}
EXPORT_SYMBOL_GPL(klist_node_attached);

/**
 * klist_iter_init_node() - start a walk behind a given node
 * @k: klist
 * @i: walk
 * @n: node, or NULL for the beginning
 *
 * A node that has left the list already cannot be stood on: the walk then
 * starts at the beginning.
 *
 * mirrors lib/klist.c:klist_iter_init_node, v4.19
 */
void klist_iter_init_node(struct klist *k, struct klist_iter *i, struct klist_node *n)
{
	i->i_klist = k;
	i->i_cur = n && kref_get_unless_zero(&n->n_ref) ? n : NULL;
}
EXPORT_SYMBOL_GPL(klist_iter_init_node);

/**
 * klist_iter_init() - start a walk
 * @k: klist
 * @i: walk
 *
 * mirrors lib/klist.c:klist_iter_init, v4.19
 */
void klist_iter_init(struct klist *k, struct klist_iter *i)
{
	klist_iter_init_node(k, i, NULL);
}
EXPORT_SYMBOL_GPL(klist_iter_init);

/**
 * klist_iter_exit() - end a walk, wherever it is
 * @i: walk
 *
 * mirrors lib/klist.c:klist_iter_exit, v4.19
 */
void klist_iter_exit(struct klist_iter *i)
{
	if (!i->i_cur)
		return;
	klist_put(i->i_cur, false);
	i->i_cur = NULL;
}
EXPORT_SYMBOL_GPL(klist_iter_exit);

/**
 * klist_next() - step on the next living node
 * @i: walk
 *
 * mirrors lib/klist.c:klist_next, v4.19
 *
 * Return: the node, or NULL at the end.
 */
struct klist_node *klist_next(struct klist_iter *i)
{
	struct klist *k = i->i_klist;
	struct klist_node *last = i->i_cur;
	struct list_head *pos;
	bool gone = false;

	spin_lock(&k->k_lock);
	if (last) {
		pos = last->n_node.next;
		gone = kref_put(&last->n_ref, klist_release) != 0;
	} else {
		pos = k->k_list.next;
	}

	i->i_cur = NULL;
	for (; pos != &k->k_list; pos = pos->next) {
		struct klist_node *n = list_entry(pos, struct klist_node, n_node);

		if (n->n_dead)
			continue;
		kref_get(&n->n_ref);
		i->i_cur = n;
		break;
	}
	spin_unlock(&k->k_lock);

	if (gone && k->put)
		k->put(last);
	return i->i_cur;
}
EXPORT_SYMBOL_GPL(klist_next);
