/* SPDX-License-Identifier: Apache-2.0
 * Frames that go round.
 */
#include "port_ring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_memcpy.h>

#include "log.h"

/* A frame as it first was, in the second half of its own buffer. */
#define KEPT_AT (RTE_PKTMBUF_HEADROOM + 1024)
#define LONGEST 960
#define MARK 0x72696e672d6c6f6fULL

struct kept {
	uint64_t mark; /* no other buffer has it there */
	uint32_t length, pad;
	uint8_t octets[LONGEST];
};

_Static_assert(KEPT_AT + sizeof(struct kept) <= RTE_MBUF_DEFAULT_BUF_SIZE, "it fits");

struct pcap_head {
	uint32_t magic, version, zone, precision, longest, link;
};

struct pcap_record {
	uint32_t seconds, fraction, length, wire_length;
};

static struct kept *kept_in(const struct rte_mbuf *m)
{
	return (struct kept *)((uint8_t *)m->buf_addr + KEPT_AT);
}

/* As each was. What others have sent by this port ends here. */
static uint16_t restore(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count,
			uint16_t most, void *context)
{
	uint16_t kept = 0;

	(void)port, (void)queue, (void)most, (void)context;
	for (uint16_t i = 0; i < count; i++) {
		rte_prefetch0(packets[i]);
		rte_prefetch0((uint8_t *)packets[i] + sizeof(struct rte_mbuf) + KEPT_AT);
	}
	for (uint16_t i = 0; i < count; i++) {
		struct rte_mbuf *m = packets[i];
		const struct kept *frame = kept_in(m);

		if (frame->mark != MARK) {
			rte_pktmbuf_free(m);
			continue;
		}
		m->data_off = RTE_PKTMBUF_HEADROOM;
		m->data_len = (uint16_t)frame->length;
		m->pkt_len = frame->length;
		m->ol_flags = 0;
		m->packet_type = 0;
		rte_memcpy(rte_pktmbuf_mtod(m, void *), frame->octets, frame->length);
		packets[kept++] = m;
	}
	return kept;
}

/* NULL, or what is wrong. */
static const char *read_frame(FILE *file, struct rte_mbuf *m)
{
	struct kept *frame = kept_in(m);
	struct pcap_record record;

	if (fread(&record, sizeof(record), 1, file) != 1)
		return "ends within a packet";
	if (record.length > LONGEST || record.length == 0)
		return "has a packet of more than 960 octets";
	if (fread(frame->octets, record.length, 1, file) != 1)
		return "ends within a packet";
	frame->mark = MARK;
	frame->length = record.length;
	return NULL;
}

static bool at_end(FILE *file)
{
	const int next = getc(file);

	if (next != EOF)
		ungetc(next, file);
	return next == EOF;
}

/* Reads all of a file into buffers; `*count` of them. */
static const char *load(FILE *file, struct rte_mempool *pool, struct rte_mbuf **packets,
			unsigned most, unsigned *count)
{
	struct pcap_head head;
	const char *fault = NULL;

	if (fread(&head, sizeof(head), 1, file) != 1 ||
	    (head.magic != 0xa1b2c3d4 && head.magic != 0xa1b23c4d) || head.link != 1)
		return "is no pcap file of Ethernet frames, of this machine's byte order";
	for (*count = 0; !fault && !at_end(file); ++*count) {
		struct rte_mbuf *m = *count < most ? rte_pktmbuf_alloc(pool) : NULL;

		if (!m)
			return "has more packets than there are buffers (raise --memory)";
		packets[*count] = m;
		fault = read_frame(file, m);
	}
	return fault || *count ? fault : "has no packets";
}

static const char *make_ring(const char *name, const char *path, struct rte_mempool *pool,
			     struct rte_ring **ring)
{
	const unsigned most = rte_mempool_avail_count(pool) * 3 / 4;
	struct rte_mbuf **packets = rte_malloc(NULL, (most + 1) * sizeof(*packets), 0);
	FILE *file = packets ? fopen(path, "re") : NULL;
	const char *fault = file ? NULL : packets ? strerror(errno) : "no memory";
	unsigned count = 0;

	if (file) {
		fault = load(file, pool, packets, most, &count);
		fclose(file);
	}
	if (!fault) {
		*ring = rte_ring_create(name, rte_align32pow2(count + 1), SOCKET_ID_ANY,
					RING_F_SP_ENQ | RING_F_SC_DEQ);
		fault = *ring ? NULL : rte_strerror(rte_errno);
	}
	if (!fault)
		rte_ring_enqueue_bulk(*ring, (void **)packets, count, NULL);
	else
		rte_pktmbuf_free_bulk(packets, count);
	rte_free(packets);
	return fault;
}

const char *port_ring_open(const char *name, char *files, struct rte_mempool *pool, uint16_t *id,
			   const char **file)
{
	struct rte_ring *rings[MAX_RINGS];
	unsigned count = 0;
	const char *fault;
	int made;

	for (char *path; (path = strsep(&files, ",")); count++) {
		char ring[RTE_RING_NAMESIZE];

		*file = path;
		if (count == MAX_RINGS)
			return "is one too many";
		snprintf(ring, sizeof(ring), "%.16s-%u", name, count);
		fault = make_ring(ring, path, pool, &rings[count]);
		if (fault)
			return fault;
	}
	*file = "";
	made = rte_eth_from_rings(name, rings, count, rings, count, SOCKET_ID_ANY);
	if (made < 0)
		return rte_strerror(rte_errno);
	*id = (uint16_t)made;
	return NULL;
}

int port_ring_begin(uint16_t id, unsigned queues)
{
	for (unsigned i = 0; i < queues; i++)
		if (!rte_eth_add_rx_callback(id, (uint16_t)i, restore, NULL))
			return -rte_errno;
	return 0;
}
