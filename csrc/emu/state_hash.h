/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_STATE_HASH_H
#define EMU_STATE_HASH_H

#include "machine.h"

#define KEPT_OBJECTS 256

/**
 * struct kept_hashes - of objects as they were when the snapshot was taken that is restored
 * @end: of the arena then: younger objects are not among them
 * @known: is it known, by the object's number?
 * @hash: of its bytes
 */
struct kept_hashes {
	size_t end;
	bool known[KEPT_OBJECTS];
	uint64_t hash[KEPT_OBJECTS];
};

/** state_hash() - of the kernel's objects; with @kept those are not read that nobody has written */
uint64_t state_hash(struct machine *m, struct kept_hashes *kept);

#endif
