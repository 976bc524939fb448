/* SPDX-License-Identifier: Apache-2.0
 * Answers echo requests; whatever is wrong with one is left to the kernel.
 */
#include "icmp4.h"

#include <netinet/in.h>
#include <string.h>

#include "frame.h"

bool icmp4_echo_reply(uint8_t *frame, size_t length, const uint8_t *our_mac, const uint8_t *our_ip)
{
	uint8_t *ip = frame + 14, *icmp;
	size_t header, total;
	uint16_t sum;

	if (length < 14 + 28 || frame[12] != 8 || frame[13] != 0 || ip[9] != IPPROTO_ICMP ||
	    memcmp(ip + 16, our_ip, 4) != 0 || (ip[6] & 0x3f) || ip[7])
		return false;
	if ((frame[6] & 1) || ip[12] >= 224)
		return false; /* an answer would go to many */
	header = (ip[0] & 15) * 4U;
	total = (size_t)(ip[2] << 8 | ip[3]);
	if (header < 20 || total < header + 8 || total + 14 > length ||
	    frame_checksum(ip, header) != 0)
		return false;
	icmp = ip + header;
	if (icmp[0] != 8 || icmp[1] != 0 || frame_checksum(icmp, total - header) != 0)
		return false;
	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, our_mac, 6);
	memcpy(ip + 16, ip + 12, 4);
	memcpy(ip + 12, our_ip, 4);
	ip[8] = 64;
	icmp[0] = 0;
	memset(icmp + 2, 0, 2);
	sum = frame_checksum(icmp, total - header);
	memcpy(icmp + 2, &sum, 2);
	memset(ip + 10, 0, 2);
	sum = frame_checksum(ip, header);
	memcpy(ip + 10, &sum, 2);
	return true;
}
