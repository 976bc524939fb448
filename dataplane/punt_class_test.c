/* SPDX-License-Identifier: Apache-2.0
 * Classes of frames for ourselves: who is a BGP neighbour has its own for BGP and for neighbour
 * discovery, and nobody from beyond a router gets into that.
 */
#include "punt_class.h"

#include <string.h>

#include "arp.h"
#include "check.h"
#include "frame.h"
#include "icmp6.h"

static const uint8_t mac[6] = {2}, other_mac[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t peer6[16] = {0x20, 1, [15] = 9}, link[16] = {0xfe, 0x80, [15] = 9},
		     us6[16] = {0x20, 1, [15] = 1}, stranger6[16] = {0x20, 1, [15] = 66};
static struct address_set *peers;

static enum punt_class class_of(const uint8_t *frame, size_t length)
{
	/* of another interface nobody is a neighbour */
	CHECK(punt_class(peers, 7, frame, length) != PUNT_BGP &&
	      punt_class(peers, 7, frame, length) != PUNT_PEER_NEIGHBOR);
	return punt_class(peers, 0, frame, length);
}

static void neighbor_discovery(void)
{
	uint8_t asked[ICMP6_ND_SIZE], told[ICMP6_ND_SIZE];

	icmp6_solicit(asked, mac, stranger6, us6, NULL);
	CHECK(class_of(asked, sizeof(asked)) == PUNT_NEIGHBOR);
	icmp6_solicit(asked, mac, link, us6, NULL);
	CHECK(class_of(asked, sizeof(asked)) == PUNT_NEIGHBOR);
	icmp6_solicit(asked, mac, peer6, us6, NULL);
	CHECK(class_of(asked, sizeof(asked)) == PUNT_PEER_NEIGHBOR);
	asked[21] = 254; /* it has come over a router: RFC 4861 section 6.1 */
	CHECK(class_of(asked, sizeof(asked)) == PUNT_ICMP);

	/* of a neighbour's address, sent from the one that it has on the link */
	icmp6_solicit(asked, other_mac, us6, peer6, mac);
	icmp6_advertise(told, mac, peer6, asked);
	CHECK(class_of(told, sizeof(told)) == PUNT_PEER_NEIGHBOR);
	memcpy(told + 22, link, 16);
	CHECK(class_of(told, sizeof(told)) == PUNT_PEER_NEIGHBOR);
	CHECK(class_of(told, 14 + 40 + 20) == PUNT_NEIGHBOR); /* its target is not there */
	memcpy(told + 62, stranger6, 16);
	CHECK(class_of(told, sizeof(told)) == PUNT_NEIGHBOR);
	told[21] = 64;
	CHECK(class_of(told, sizeof(told)) == PUNT_ICMP);
	told[54] = 128;
	told[21] = 255;
	CHECK(class_of(told, sizeof(told)) == PUNT_ICMP);
	told[20] = IPPROTO_UDP;
	CHECK(class_of(told, sizeof(told)) == PUNT_OTHER);
	for (size_t length = 0; length < 14 + 44; length++)
		CHECK(class_of(asked, length) == PUNT_OTHER);
}

static void bgp(void)
{
	uint8_t frame[14 + 40 + 20] = {0}, *ip = frame + 14;

	frame_ethernet(frame, mac, other_mac, 0, ETHER_IPV6);
	ip[6] = IPPROTO_TCP;
	memcpy(ip + 8, peer6, 16);
	ip[43] = 179; /* to its port */
	CHECK(class_of(frame, sizeof(frame)) == PUNT_BGP);
	ip[43] = 0;
	ip[41] = 179; /* or from it */
	CHECK(class_of(frame, sizeof(frame)) == PUNT_BGP);
	CHECK(class_of(frame, sizeof(frame) - 1) == PUNT_OTHER);
	memcpy(ip + 8, stranger6, 16);
	CHECK(class_of(frame, sizeof(frame)) == PUNT_OTHER);
	frame_ethernet(frame, mac, other_mac, 0, ETHER_IPV4);
	memset(ip, 0, 40);
	ip[0] = 0x45;
	ip[9] = IPPROTO_TCP;
	memcpy(ip + 12, (uint8_t[4]){192, 0, 2, 9}, 4);
	ip[23] = 179;
	CHECK(class_of(frame, sizeof(frame)) == PUNT_BGP);
	ip[7] = 1; /* a fragment: nobody knows its port */
	CHECK(class_of(frame, sizeof(frame)) == PUNT_OTHER);
	ip[9] = IPPROTO_ICMP;
	CHECK(class_of(frame, sizeof(frame)) == PUNT_ICMP);
}

static void arp(void)
{
	uint8_t frame[60] = {0};

	frame_ethernet(frame, mac, other_mac, 0, ETHER_ARP);
	CHECK(class_of(frame, sizeof(frame)) == PUNT_NEIGHBOR);
	memcpy(frame + 28, (uint8_t[4]){192, 0, 2, 9}, 4);
	CHECK(class_of(frame, sizeof(frame)) == PUNT_PEER_NEIGHBOR);
	CHECK(class_of(frame, 41) == PUNT_NEIGHBOR);
}

int main(void)
{
	peers = address_set_new(2);
	CHECK(peers);
	peers->key[0] = (struct address_key){.family = 4, .ip = {192, 0, 2, 9}};
	peers->key[1] = (struct address_key){.family = 6};
	memcpy(peers->key[1].ip, peer6, 16);
	peers->count = 2;
	address_set_index(peers);
	neighbor_discovery();
	bgp();
	arp();
	address_set_free(peers);
	return 0;
}
