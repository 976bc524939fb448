/* SPDX-License-Identifier: Apache-2.0
 * ICMP echo of our own addresses (RFC 792). A pure function on untagged Ethernet frames.
 */
#ifndef CCN_ICMP4_H
#define CCN_ICMP4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Turns an echo request to `our_ip` around in place; false: it is something else, and as it was. */
bool icmp4_echo_reply(uint8_t *frame, size_t length, const uint8_t *our_mac, const uint8_t *our_ip);

#endif
