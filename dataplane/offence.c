/* SPDX-License-Identifier: Apache-2.0
 * Notes and reads them: a reader that meets a note being written reads it again.
 */
#include "offence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_branch_prediction.h>
#include <rte_cycles.h>

#include "classify.h"
#include "port.h"

#define ATTEMPTS 100

static const struct offences *watched[MAX_WORKERS + 1]; /* and the slow path */
static unsigned watched_count;

static void write_note(struct offence *o, const struct packet *packet, uint64_t now)
{
	const uint32_t version = o->version;

	__atomic_store_n(&o->version, version | 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	o->tsc = now;
	o->port = packet->port;
	o->vni = packet->vni;
	o->vtep = packet->vtep;
	o->interface = packet->interface;
	o->family = packet->ip ? packet->family : 0;
	if (o->family == 4) {
		memcpy(o->source, packet->ip + 12, 4);
		memcpy(o->destination, packet->ip + 16, 4);
	} else if (o->family) {
		memcpy(o->source, packet->ip + 8, 16);
		memcpy(o->destination, packet->ip + 24, 16);
	}
	__atomic_store_n(&o->version, (version | 1) + 1, __ATOMIC_RELEASE);
}

static void note_in(struct offence_notes *notes, enum drop_reason reason,
		    const struct packet *packet, uint64_t now)
{
	if (unlikely(notes->first[reason].version == 0))
		write_note(&notes->first[reason], packet, now);
	write_note(&notes->last[reason], packet, now);
}

void offence_note(struct offences *offences, enum drop_reason reason, const struct packet *packet)
{
	struct ccsi_offences *of = offences->of_ccsi[packet->ccsi];
	const uint64_t now = rte_rdtsc();

	note_in(&offences->notes, reason, packet, now);
	if (packet->ccsi == 0)
		return;
	if (unlikely(!of)) {
		of = calloc(1, sizeof(*of));
		if (!of)
			return;
		__atomic_store_n(&offences->of_ccsi[packet->ccsi], of, __ATOMIC_RELEASE);
	}
	of->count[reason]++;
	note_in(&of->notes, reason, packet, now);
}

void offences_watch(const struct offences *offences)
{
	watched[watched_count++] = offences;
}

/* A copy that is whole; its version is 0 if there is none. */
static struct offence read_note(const struct offence *o)
{
	struct offence copy = {0};

	for (unsigned i = 0; i < ATTEMPTS; i++) {
		const uint32_t version = __atomic_load_n(&o->version, __ATOMIC_ACQUIRE);

		copy = *o;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (version % 2 == 0 && version == __atomic_load_n(&o->version, __ATOMIC_RELAXED))
			return copy;
	}
	copy.version = 0;
	return copy;
}

static uint64_t wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* The outer source: of IPv6 by its name, or as it stood in a header that was read no further. */
static void note_vtep(struct ccn_offender *record, const struct offence *o)
{
	const uint8_t *address = NULL;

	if (o->family == FAMILY_OUTER6)
		address = o->source;
	else if (vtep_is_name(o->vtep) && fib_current)
		address = vtep_address_of(fib_current->vtep_names, o->vtep);
	record->vtep_family = address ? 6 : o->vtep && !vtep_is_name(o->vtep) ? 4 : 0;
	if (address)
		memcpy(record->vtep, address, 16);
	else if (record->vtep_family == 4)
		memcpy(record->vtep, &o->vtep, 4);
}

static struct ccn_offender record_of(const struct offence *o, unsigned reason, bool last)
{
	const double ago = (double)(rte_rdtsc() - o->tsc) / (double)rte_get_tsc_hz();
	struct ccn_offender record = {.at = wall_ns() - (uint64_t)(ago * 1e9),
				      .vni = o->vni,
				      .interface = o->interface,
				      .family = o->family == FAMILY_OUTER6 ? 0 : o->family,
				      .last = last};

	snprintf((char *)record.reason, sizeof(record.reason), "%s", stats_drop_name(reason));
	if (o->port < port_count())
		snprintf((char *)record.port, sizeof(record.port), "%s", port_name(o->port));
	note_vtep(&record, o);
	memcpy(record.source, o->source, o->family == 4 ? 4 : o->family == 6 ? 16 : 0);
	memcpy(record.destination, o->destination, o->family == 4 ? 4 : o->family == 6 ? 16 : 0);
	return record;
}

static const struct ccsi_offences *of_ccsi(unsigned worker, uint32_t ccsi)
{
	return __atomic_load_n(&watched[worker]->of_ccsi[ccsi], __ATOMIC_ACQUIRE);
}

/* The first or the last of all workers; its version is 0 if there is none. */
static struct offence extreme(uint32_t ccsi, unsigned reason, bool last)
{
	struct offence best = {0};

	for (unsigned i = 0; i < watched_count; i++) {
		const struct ccsi_offences *of = ccsi ? of_ccsi(i, ccsi) : NULL;
		const struct offence_notes *notes = of ? &of->notes : &watched[i]->notes;
		struct offence o;

		if (ccsi && !of)
			continue;
		o = read_note(last ? &notes->last[reason] : &notes->first[reason]);
		if (o.version && (!best.version || (o.tsc > best.tsc) == last))
			best = o;
	}
	return best;
}

void offences_walk(uint32_t ccsi, void (*emit)(void *context, const struct ccn_offender *offender),
		   void *context)
{
	for (unsigned reason = 0; reason < DROP_REASON_COUNT; reason++) {
		for (unsigned last = 0; last < 2; last++) {
			const struct offence o = extreme(ccsi, reason, last);

			if (o.version) {
				const struct ccn_offender record = record_of(&o, reason, last);

				emit(context, &record);
			}
		}
	}
}

static void count_ccsi(uint32_t ccsi,
		       void (*emit)(void *context, const struct ccn_counter *counter),
		       void *context)
{
	for (unsigned reason = 0; reason < DROP_REASON_COUNT; reason++) {
		struct ccn_counter counter = {0};

		for (unsigned i = 0; i < watched_count; i++)
			counter.value += of_ccsi(i, ccsi) ? of_ccsi(i, ccsi)->count[reason] : 0;
		if (counter.value == 0)
			continue;
		snprintf((char *)counter.scope, sizeof(counter.scope), "drop-ccsi %u", ccsi);
		snprintf((char *)counter.name, sizeof(counter.name), "%s", stats_drop_name(reason));
		emit(context, &counter);
	}
}

void offences_count(uint32_t only, void (*emit)(void *context, const struct ccn_counter *counter),
		    void *context)
{
	for (uint32_t ccsi = 1; ccsi < MAX_CCSIS; ccsi++) {
		bool hit = false;

		for (unsigned i = 0; i < watched_count; i++)
			hit |= of_ccsi(i, ccsi) != NULL;
		if (hit && (only == 0 || only == ccsi))
			count_ccsi(ccsi, emit, context);
	}
}
