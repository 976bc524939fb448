/* SPDX-License-Identifier: Apache-2.0
 * For tests of what names ports and needs no device: p0, p1 and so on, CHECK_PORTS of them, with the
 * MACs 02:00:00:00:00:01, :02 … Included once in a program, in the place of port.c.
 */
#ifndef CCN_CHECK_PORTS_H
#define CCN_CHECK_PORTS_H

#include <stdio.h>
#include <string.h>

#include "port.h"

#ifndef CHECK_PORTS
#define CHECK_PORTS 1
#endif

unsigned port_count(void)
{
	return CHECK_PORTS;
}

int port_find(const uint8_t name[16])
{
	return name[0] == 'p' && name[1] >= '0' && name[1] < '0' + CHECK_PORTS && name[2] == 0
		   ? name[1] - '0'
		   : -1;
}

const char *port_name(unsigned port)
{
	static const char *const names[] = {"p0", "p1", "p2"};

	return names[port];
}

const uint8_t *port_mac(unsigned port)
{
	static const uint8_t macs[][6] = {
	    {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 0, 3}};

	return macs[port];
}

bool port_is_file(unsigned port)
{
	(void)port;
	return false;
}

unsigned port_rx_queues(unsigned port)
{
	(void)port;
	return 1;
}

void port_status(unsigned port, struct ccn_port_status *status)
{
	*status = (struct ccn_port_status){0};
	snprintf((char *)status->name, sizeof(status->name), "%s", port_name(port));
}

#endif
