// SPDX-License-Identifier: GPL-2.0-only
/*
 * A course of calls again and again, each time with another call failing.
 *
 * Whoever drives the kernel from outside decides by what it is answered.  So
 * if all that it asked is answered the same when another call fails, it would
 * have asked the same and thought the same of it.  If on the way the kernel is
 * in the same state, too, what follows need not even be asked.
 *
 * Counts of fallible calls say which one has failed, and nothing else depends
 * on them once it has: they are no part of the state.
 */
#include "api.h"
#include "state_hash.h"

#undef memset
#undef strlen
#include <stdlib.h>
#include <string.h>

static uint64_t mix_bytes(uint64_t hash, const void *data, size_t size)
{
	const char *p = data;
	uint64_t word;

	hash = mix_word(hash, size);
	for (; size >= sizeof(word); p += sizeof(word), size -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		hash = mix_word(hash, word);
	}
	word = 0;
	memcpy(&word, p, size);
	return mix_word(hash, word);
}

/* Bytes of the longest answer. */
static size_t room_for(const struct emu_question *questions, size_t n)
{
	size_t room = 1;

	for (size_t i = 0; i < n; i++) {
		const struct emu_question *q = &questions[i];

		if (q->kind == EMU_ASK_TRACE)
			room = max(room, (size_t)q->size * sizeof(struct emu_event));
		else
			room = max(room, (size_t)q->size);
	}
	return room;
}

static uint64_t mix_violation(uint64_t hash, struct machine *m, uint64_t index)
{
	struct emu_violation v;

	if (emu_violation(m, index, &v) != EMU_OK)
		return mix_word(hash, EMU_BAD_ARGUMENT);
	hash = mix_word(mix_word(hash, (uint64_t)v.kind), (uint64_t)v.task);
	hash = mix_word(mix_word(hash, v.log_end), v.trace_end);
	hash = mix_bytes(hash, v.func, strlen(v.func));
	return mix_bytes(hash, v.message, strlen(v.message));
}

/* Asks @q and mixes in what is answered. */
static uint64_t ask(struct machine *m, const struct emu_question *q, char *buf, uint64_t hash)
{
	struct emu_stats stats;
	int64_t result = 0;
	size_t length = 0;
	int status;

	switch (q->kind) {
	case EMU_ASK_CALL:
		status = emu_call(m, 0, (int)q->what, q->nargs, q->args, &result);
		return mix_word(mix_word(hash, (uint64_t)status), (uint64_t)result);
	case EMU_ASK_PAGE_GET:
		return mix_word(hash, (uint64_t)emu_page_get(m, (uint64_t)q->args[0]));
	case EMU_ASK_PAGE_PUT:
		return mix_word(hash, (uint64_t)emu_page_put(m, (uint64_t)q->args[0]));
	case EMU_ASK_NO_FAULTS:
		return mix_word(hash, (uint64_t)emu_fault_clear(m, (int)q->args[0]));
	case EMU_ASK_STATS:
		emu_stats(m, &stats);
		stats.calls = 0; /* of the host, in all its life */
		stats.fallible_calls = 0;
		return mix_bytes(hash, &stats, sizeof(stats));
	case EMU_ASK_LOG:
		status = emu_log_read(m, (uint64_t)q->args[0], buf, q->size, &length);
		break;
	case EMU_ASK_LOGGED:
		return mix_word(hash, (uint64_t)emu_call_logged(m));
	case EMU_ASK_TEXT:
		status = emu_text(m, (int)q->what, q->args[0], buf, q->size, &length);
		break;
	case EMU_ASK_QUIESCENCE:
		status = emu_quiescence(m, buf, q->size, &length);
		break;
	case EMU_ASK_TRACE:
		status = emu_trace_select(m, (uint64_t)q->args[0], (uint32_t)q->what,
					  (const uint64_t *)(uintptr_t)q->args[1],
					  (size_t)q->args[2], (struct emu_event *)(void *)buf,
					  q->size, &length);
		length *= sizeof(struct emu_event);
		break;
	default:
		return mix_violation(hash, m, (uint64_t)q->args[0]);
	}
	hash = mix_word(hash, (uint64_t)status);
	/* A text that there is no room for has a length all the same. */
	return status == EMU_OK ? mix_bytes(hash, buf, min(length, room_for(q, 1))) : hash;
}

/**
 * struct course - what is asked again and again
 * @m: machine
 * @snapshot: that it begins with
 * @questions: what is asked
 * @n: how many
 * @settled: after so many of them the call that is to fail has failed
 * @plan: the fault plan
 * @buf: room for an answer
 * @end: bytes of the arena that anybody may have used since it was cleared
 * @asked_host: the kernel wanted to call the host
 */
struct course {
	struct machine *m;
	int64_t snapshot;
	const struct emu_question *questions;
	size_t n, settled;
	int plan;
	char *buf;
	size_t end;
	bool asked_host;
};

static int64_t ask_nobody(void *data, int64_t frame, int64_t id, int64_t a, int64_t b, int resumed)
{
	struct course *c = data;

	(void)frame;
	(void)id;
	(void)a;
	(void)b;
	(void)resumed;
	c->asked_host = true;
	return 0;
}

/* Back to the snapshot: call @nth is to fail. */
static int begin(struct course *c, uint64_t nth)
{
	struct machine *m = c->m;
	struct machine_state *s = m->s;
	struct entry saved;
	int status;

	c->end = max(c->end, s->brk);
	status = emu_restore(m, c->snapshot);
	if (status != EMU_OK)
		return status;
	if (c->plan < 0 || c->plan >= s->nr_plans || s->plans[c->plan].sticky)
		return EMU_BAD_ARGUMENT;
	status = machine_look(m, &saved);
	if (status != EMU_OK)
		return status;
	/* Equal states look equal: also between objects, where nobody writes. */
	memset(m->arena + s->brk, 0, c->end - s->brk);
	c->end = s->brk;
	/* The same calls give out the same handles as when they were first made. */
	m->handle_serial = snapshot_serial(m, c->snapshot);
	/* Nor does it matter what the last call of the time before has logged. */
	m->call_log_start = s->log_end;
	m->call_violations_start = s->nr_violations;
	s->plans[c->plan].nth = nth;
	machine_look_away(m, &saved);
	return EMU_OK;
}

/* Has it failed?  Then what has been counted on the way to it does not matter any more. */
static bool forget_counts(struct course *c)
{
	struct machine_state *s = c->m->s;
	struct fault_plan *plan = &s->plans[c->plan];
	struct entry saved;

	if (!plan->hits || machine_look(c->m, &saved) != EMU_OK)
		return false;
	plan->nth = plan->seen = 0;
	s->fallible_calls = 0;
	for (int i = 0; i < s->nr_sites; i++)
		s->sites[i].calls = 0;
	machine_look_away(c->m, &saved);
	return true;
}

static uint64_t go_on(struct course *c, size_t from, size_t to, uint64_t hash)
{
	for (size_t i = from; i < to; i++)
		hash = ask(c->m, &c->questions[i], c->buf, hash);
	return hash;
}

/**
 * struct answers - one time
 * @settled: digest of the first answers and of the state then; 0: the call has not failed
 * @all: digest of all answers, as long as the state was not known
 */
struct answers {
	uint64_t settled, all;
};

static int ask_all(struct course *c, uint64_t nth, const struct answers *known,
		   struct answers *answers)
{
	const int status = begin(c, nth);
	uint64_t hash;

	answers->settled = answers->all = 0;
	if (status != EMU_OK)
		return status;
	hash = go_on(c, 0, c->settled, 1);
	if (!forget_counts(c))
		return EMU_OK;
	answers->settled = snapshot_distance(c->m, c->snapshot, hash) | 1;
	if (!known || answers->settled != known->settled)
		answers->all = go_on(c, c->settled, c->n, hash) | 1;
	return EMU_OK;
}

static bool same_answers(const struct course *c, const struct answers *known,
			 const struct answers *answers)
{
	if (c->asked_host || !known->settled || !answers->settled)
		return false;
	return answers->settled == known->settled ||
	       (c->n > c->settled && answers->all == known->all);
}

int emu_repeat(emu_machine *m, int64_t snapshot, const struct emu_question *questions, size_t n,
	       size_t settled, int plan, const uint64_t *nth, size_t nr, uint8_t *same)
{
	struct course c = {
		.m = m,
		.snapshot = snapshot,
		.questions = questions,
		.n = n,
		/* What watchers of schedules remember is no part of a state. */
		.settled = m->lockdep || m->kcsan ? n : min(settled, n),
		.plan = plan,
		.end = m->most.brk,
	};
	const unsigned long serial = m->handle_serial;
	const emu_upcall_fn upcall = m->upcall;
	void *const data = m->upcall_data;
	struct answers known, answers;
	struct entry saved;
	int status = machine_look(m, &saved);

	if (status != EMU_OK)
		return status;
	machine_look_away(m, &saved);
	if (saved.nested)
		return EMU_BUSY;
	c.buf = malloc(room_for(questions, n));
	if (!c.buf)
		return EMU_NO_MEMORY;
	m->upcall = ask_nobody;
	m->upcall_data = &c;
	status = nr ? ask_all(&c, nth[0], NULL, &known) : EMU_OK;
	for (size_t i = 0; i < nr && status == EMU_OK; i++) {
		status = ask_all(&c, nth[i], &known, &answers);
		same[i] = status == EMU_OK && same_answers(&c, &known, &answers);
	}
	m->upcall = upcall;
	m->upcall_data = data;
	m->handle_serial = max(serial, m->handle_serial);
	free(c.buf);
	return status == EMU_OK ? emu_restore(m, snapshot) : status;
}
