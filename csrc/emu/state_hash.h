/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_STATE_HASH_H
#define EMU_STATE_HASH_H

#include "machine.h"

/** mix_word() - a hash of what @hash is of, and of @word */
static inline uint64_t mix_word(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15UL;
	return hash ^ hash >> 29;
}

#define KEPT_OBJECTS 256

/**
 * struct kept_hashes - of objects as they were when a snapshot was taken
 * @end: of the arena then: younger objects are not among them
 * @known: is it known, by the object's number?
 * @hash: of its bytes
 */
struct kept_hashes {
	size_t end;
	bool known[KEPT_OBJECTS];
	uint64_t hash[KEPT_OBJECTS];
};

/**
 * snapshot_hashes() - of the objects of the snapshot that unwritten lines agree with
 *
 * Return: what is filled in as they are hashed; NULL: there is no such snapshot.
 */
struct kept_hashes *snapshot_hashes(struct machine *m);

/** state_hash() - of the kernel's objects; those that nobody has written are read once */
uint64_t state_hash(struct machine *m);

#endif
