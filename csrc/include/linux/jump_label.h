/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_JUMP_LABEL_H
#define _LINUX_JUMP_LABEL_H

#include <linux/compiler.h>
#include <linux/types.h>

/**
 * struct static_key - a branch that is patched when its key changes
 * @enabled: 0 off, 1 on
 * @name: for reports
 */
struct static_key {
	int enabled;
	const char *name;
};

static inline bool static_branch_unlikely(const struct static_key *key)
{
	return unlikely(READ_ONCE(key->enabled));
}
static inline bool static_key_enabled(const struct static_key *key)
{
	return READ_ONCE(key->enabled) != 0;
}
/* Patch text: take the CPU hotplug lock and the jump label mutex, may sleep. */
void static_branch_enable(struct static_key *key);
void static_branch_disable(struct static_key *key);

#endif
