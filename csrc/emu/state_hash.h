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

/* Of a snapshot's objects, the first ones whose hashes are kept, and how far they may reach. */
#define KEPT_OBJECTS 256
#define KEPT_LINES 4096

/**
 * struct kept_hashes - of objects as they were when a snapshot was taken
 * @image: of the arena then
 * @end: of that, in lines
 * @nr: objects, 0: they have not been hashed yet
 * @line: of the arena in which each begins, and where the first begins that is not among them
 * @hash: what each adds to the hash of a state
 * @sum: of all these
 * @hashed: bit map of the lines of those that add something
 * @object: whose each of these lines is
 */
struct kept_hashes {
	const char *image;
	size_t end;
	unsigned int nr;
	uint32_t line[KEPT_OBJECTS + 1];
	uint64_t hash[KEPT_OBJECTS];
	uint64_t sum;
	unsigned long hashed[KEPT_LINES / BITS_PER_LONG];
	uint8_t object[KEPT_LINES];
};

_Static_assert(KEPT_OBJECTS <= 256, "eight bits");

/**
 * snapshot_hashes() - of the objects of the snapshot that unwritten lines agree with
 *
 * Return: what is filled in when they are needed; NULL: there is no such snapshot.
 */
struct kept_hashes *snapshot_hashes(struct machine *m);

/** state_hash() - of the kernel's objects; those that nobody has written are not read again */
uint64_t state_hash(struct machine *m);

#endif
