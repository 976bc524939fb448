/* SPDX-License-Identifier: Apache-2.0
 *
 * A packet that goes no further. It is counted; if its sender may want to know (RFC 1812 section
 * 5.2.7), it goes to the slow path, which tells him.
 */
#include <rte_mbuf.h>

#include "fwd.h"
#include "punt.h"
#include "trace.h"

#define L2 14

/* What the sender is told, or PUNT_WHATS: nothing. A blackhole is silent, and so is whatever says
 * more of us than of the packet. */
static enum punt_what told(enum drop_reason reason)
{
	switch (reason) {
	case DROP_TTL:
		return PUNT_TIME_EXCEEDED;
	case DROP_NO_ROUTE:
		return PUNT_NO_ROUTE;
	case DROP_NO_VM:
		return PUNT_NO_HOST;
	case DROP_ACL:
		return PUNT_PROHIBITED;
	case DROP_MTU:
		return PUNT_TOO_BIG;
	default:
		return PUNT_WHATS;
	}
}

void hand_up(struct worker *w, struct job *job, enum punt_what what, uint16_t mtu)
{
	const struct packet *packet = &job->packet;
	const struct punt_note note = {
	    .what = (uint8_t)what,
	    .family = packet->family,
	    .ecn = packet->ecn,
	    .own = packet->own,
	    .ccsi = packet->ccsi,
	    .mtu = mtu,
	    .vni = packet->vni,
	    .vtep = packet->vtep,
	    .interface = packet->interface,
	    .port = packet->port,
	    .to_vni = job->leads == LEADS_TO_VM ? job->to.vni : 0,
	};
	uint8_t *data = rte_pktmbuf_mtod(job->m, uint8_t *);
	struct packet seen = *packet;
	enum drop_reason refused;

	if (unlikely(w->tracer != NULL) && trace_is_dry(w->tracer)) {
		w->stats.punted += what < PUNT_TIME_EXCEEDED;
		rte_pktmbuf_free(job->m);
		return;
	}
	if (packet->ip < data + L2) /* our own packets stand alone */
		rte_pktmbuf_prepend(job->m, (uint16_t)(data + L2 - packet->ip));
	else
		rte_pktmbuf_adj(job->m, (uint16_t)(packet->ip - L2 - data));
	rte_pktmbuf_trim(job->m, (uint16_t)(job->m->data_len - L2 - packet->length));
	seen.ip = NULL; /* which goes with the buffer */
	refused = punt_packet(&w->stats, job->m, &note);
	if (refused != DROP_REASON_COUNT)
		offence_note(&w->offences, refused, &seen);
	w->punted = true;
}

void refuse(struct worker *w, struct job *job, enum drop_reason reason, uint16_t mtu)
{
	const struct packet *packet = &job->packet;
	const enum punt_what what = told(reason);

	if (w->options->no_icmp) {
		drop_packet(w, job, reason);
		return;
	}
	if (reason == DROP_MTU && packet->family == 4 && !(packet->ip[6] & 0x40)) {
		hand_up(w, job, PUNT_CUT, mtu);
		return;
	}
	if (packet->own)
		reason = DROP_ANSWER;
	else
		offence_note(&w->offences, reason, packet); /* own ones came by no port */
	w->stats.drop[reason]++;
	if (what == PUNT_WHATS || packet->own)
		rte_pktmbuf_free(job->m);
	else
		hand_up(w, job, what, mtu);
}
