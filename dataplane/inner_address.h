/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of our addresses inside a CCSI speaks to the sender of a packet. For the slow-path thread
 * only.
 */
#ifndef CCN_INNER_ADDRESS_H
#define CCN_INNER_ADDRESS_H

#include "fib.h"
#include "punt.h"

/* Writes 4 or 16 octets; false: there is none. In this order (RFC 1812 section 4.3.2.4):
 * the gateway address of the VPC that the packet came from; our address on the hand-off that it
 * came by; that of the VPC that it was going to; the lowest of any VPC of the CCSI; that of a
 * hand-off; IPv4's dummy address (RFC 7600 section 4.8). */
bool inner_address(const struct fib *fib, const struct punt_note *note, uint8_t out[16]);

#endif
