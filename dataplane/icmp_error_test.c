/* SPDX-License-Identifier: Apache-2.0
 * About which packets an error is owed (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4), whatever
 * extension headers they hide behind, and that no error is owed about what was written here.
 */
#include "icmp_error.h"

#include <string.h>

#include <netinet/in.h>

#include "check.h"
#include "frame.h"

#define DST_UNREACH6 1
#define ECHO6 128

struct chain {
	uint8_t packet[256];
	size_t length;
	size_t next; /* the octet that names what follows */
};

static struct chain begin6(void)
{
	struct chain c = {.packet = {0x60, [8] = 0xfd, [23] = 1, [24] = 0xfd, [39] = 2},
			  .length = 40};

	return c;
}

static void add(struct chain *c, uint8_t protocol, const uint8_t *octets, size_t size)
{
	c->packet[c->length == 40 ? 6 : c->next] = protocol;
	memcpy(c->packet + c->length, octets, size);
	c->next = c->length;
	c->length += size;
}

/* `words` beyond the first eight octets: of eight octets, in AH of four (and two less). */
static void header(struct chain *c, uint8_t protocol, uint8_t words, uint16_t offset)
{
	const uint8_t octets[64] = {
	    [1] = words, [2] = (uint8_t)(offset >> 8), [3] = (uint8_t)offset};

	add(c, protocol, octets,
	    protocol == IPPROTO_FRAGMENT ? 8
	    : protocol == IPPROTO_AH	 ? (words + 2U) * 4
					 : (words + 1U) * 8);
}

static bool owed(const struct chain *c, uint8_t protocol, uint8_t first)
{
	const uint8_t octets[8] = {first};
	struct chain whole = *c;

	add(&whole, protocol, octets, sizeof(octets));
	return icmp_error_is_owed(whole.packet, 6, whole.length);
}

static void behind_headers(void)
{
	static const uint8_t chains[][3] = {
	    {IPPROTO_NONE, IPPROTO_NONE, IPPROTO_NONE},
	    {IPPROTO_HOPOPTS, IPPROTO_NONE, IPPROTO_NONE},
	    {IPPROTO_AH, IPPROTO_NONE, IPPROTO_NONE},
	    {IPPROTO_HOPOPTS, IPPROTO_AH, IPPROTO_NONE},
	    {IPPROTO_FRAGMENT, IPPROTO_AH, IPPROTO_DSTOPTS},
	    {IPPROTO_ROUTING, IPPROTO_FRAGMENT, IPPROTO_AH},
	};

	for (unsigned i = 0; i < sizeof(chains) / sizeof(*chains); i++)
		for (uint8_t words = 1; words < 5; words++) {
			struct chain c = begin6(), cut;

			for (unsigned h = 0; h < 3 && chains[i][h] != IPPROTO_NONE; h++)
				header(&c, chains[i][h],
				       chains[i][h] == IPPROTO_FRAGMENT ? 0 : words, 0);
			CHECK(owed(&c, IPPROTO_UDP, 0));
			CHECK(owed(&c, IPPROTO_ICMPV6, ECHO6));
			CHECK(!owed(&c, IPPROTO_ICMPV6, DST_UNREACH6));
			CHECK(!owed(&c, IPPROTO_ICMPV6, 137)); /* redirect */
			cut = c;
			header(&cut, IPPROTO_FRAGMENT, 0, 8); /* not the first */
			CHECK(!owed(&cut, IPPROTO_UDP, 0));
			cut = begin6();
			cut.packet[8] = 0xff; /* from a group */
			CHECK(!owed(&cut, IPPROTO_UDP, 0));
		}
}

static void of_ipv4(void)
{
	uint8_t ip[28] = {
	    0x45, [3] = 28, [9] = IPPROTO_ICMP, [12] = 10, [15] = 1, [16] = 10, [19] = 2, [20] = 8};

	CHECK(icmp_error_is_owed(ip, 4, 28)); /* an echo request */
	ip[20] = 3;
	CHECK(!icmp_error_is_owed(ip, 4, 28));
	ip[9] = IPPROTO_UDP;
	CHECK(icmp_error_is_owed(ip, 4, 28));
	ip[7] = 1;
	CHECK(!icmp_error_is_owed(ip, 4, 28));
	ip[7] = 0;
	ip[12] = 224;
	CHECK(!icmp_error_is_owed(ip, 4, 28));
}

static void what_is_written(void)
{
	static const uint8_t us[16] = {10, 0, 0, 1};
	uint8_t out[ICMP_ERROR_SIZE],
	    about[1500] = {0x60, [6] = IPPROTO_UDP, [8] = 0xfd, [24] = 0xfd};
	const uint8_t v4[20] = {0x45, [3] = 20, [9] = IPPROTO_UDP, [12] = 10, [16] = 10};

	for (enum icmp_error e = ICMP_TIME_EXCEEDED; e <= ICMP_TOO_BIG; e++) {
		size_t length = icmp_error_write(out, e, 1400, us, about, 6, sizeof(about));

		CHECK(length == ICMP_ERROR_SIZE && !icmp_error_is_owed(out, 6, length));
		length = icmp_error_write(out, e, 1400, us, v4, 4, sizeof(v4));
		CHECK(length == 48 && !icmp_error_is_owed(out, 4, length));
		CHECK(frame_checksum(out, 20) == 0 && frame_checksum(out + 20, length - 20) == 0);
	}
}

int main(void)
{
	behind_headers();
	of_ipv4();
	what_is_written();
	return 0;
}
