/* SPDX-License-Identifier: Apache-2.0
 *
 * IPv4 packets that are too big and may be cut (RFC 791 section 3.2, RFC 1812 section 5.2.6). In:
 * the whole packet and an MTU; out: its fragments, one at a time, in order. Pure.
 */
#ifndef CCN_FRAGMENT_H
#define CCN_FRAGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fragmenter {
	const uint8_t *ip;
	size_t length, mtu;
	size_t at; /* octets of the payload that have been given out */
};

/* False: not to be cut (DF, or no room for eight octets beside the header). */
bool fragment_begin(struct fragmenter *f, const uint8_t *ip, size_t length, size_t mtu);
/* Writes the next one, at most `mtu` octets; its length, or 0 after the last. */
size_t fragment_next(struct fragmenter *f, uint8_t *out);

#endif
