/* SPDX-License-Identifier: Apache-2.0
 * Lines for people. DPDK's names of offloads, in small letters with hyphens.
 */
#include "port_report.h"

#include <ctype.h>
#include <dirent.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>

#include "port.h"

#define PCI_DEVICES "/sys/bus/pci/devices"

static const char *rss_name(uint64_t bit)
{
	switch (bit) {
	case RTE_ETH_RSS_IPV4:
		return "ipv4";
	case RTE_ETH_RSS_FRAG_IPV4:
		return "ipv4-frag";
	case RTE_ETH_RSS_NONFRAG_IPV4_TCP:
		return "ipv4-tcp";
	case RTE_ETH_RSS_NONFRAG_IPV4_UDP:
		return "ipv4-udp";
	case RTE_ETH_RSS_NONFRAG_IPV4_OTHER:
		return "ipv4-other";
	case RTE_ETH_RSS_IPV6:
		return "ipv6";
	case RTE_ETH_RSS_FRAG_IPV6:
		return "ipv6-frag";
	case RTE_ETH_RSS_NONFRAG_IPV6_TCP:
		return "ipv6-tcp";
	case RTE_ETH_RSS_NONFRAG_IPV6_UDP:
		return "ipv6-udp";
	case RTE_ETH_RSS_NONFRAG_IPV6_OTHER:
		return "ipv6-other";
	case RTE_ETH_RSS_VXLAN:
		return "vxlan";
	default:
		return NULL; /* nothing that we would use */
	}
}

void port_bit_names(enum port_bits kind, uint64_t bits, char *text, size_t size)
{
	size_t at = 0;

	snprintf(text, size, "none");
	for (uint64_t bit = 1; bit && at < size; bit <<= 1) {
		const char *name;

		if (!(bits & bit))
			continue;
		name = kind == PORT_RSS		  ? rss_name(bit)
		       : kind == PORT_RX_OFFLOADS ? rte_eth_dev_rx_offload_name(bit)
						  : rte_eth_dev_tx_offload_name(bit);
		if (!name)
			continue;
		at += (size_t)snprintf(text + at, size - at, "%s%s", at ? " " : "", name);
	}
	for (char *c = text; *c; c++)
		*c = *c == '_' ? '-' : (char)tolower((unsigned char)*c);
}

const char *port_spreading(unsigned port, unsigned workers, bool fan_out)
{
	const struct port_setup *setup = port_setup(port);

	if (workers == 1)
		return "one worker";
	if (setup->rx_queues < workers && fan_out)
		return "fan-out in software";
	if (setup->rx_queues == 1)
		return "one queue";
	return setup->rss_used ? "rss" : port_is_file(port) ? "a file each" : "the kernel";
}

void port_report(unsigned port, unsigned workers, bool fan_out)
{
	static const char *const directions[] = {"rx", "tx"};
	const struct port_setup *setup = port_setup(port);
	const uint8_t *mac = port_mac(port);
	struct ccn_port_status status;
	char offered[1024], used[256];

	port_status(port, &status);
	printf("port %s\n", port_name(port));
	printf("  driver        %s, %s, MAC %02x:%02x:%02x:%02x:%02x:%02x\n",
	       (const char *)status.driver, status.up ? "up" : "down", mac[0], mac[1], mac[2],
	       mac[3], mac[4], mac[5]);
	printf("  queues        rx %u of %u, tx %u of %u, for %u worker%s\n", setup->rx_queues,
	       setup->rx_most, setup->tx_queues, setup->tx_most, workers, workers == 1 ? "" : "s");
	port_bit_names(PORT_RSS, setup->rss_used, used, sizeof(used));
	port_bit_names(PORT_RSS, setup->rss_offered, offered, sizeof(offered));
	printf("  flows         spread by %s; rss %s (offered: %s)\n",
	       port_spreading(port, workers, fan_out), used, offered);
	for (unsigned i = 0; i < 2; i++) {
		enum port_bits kind = i ? PORT_TX_OFFLOADS : PORT_RX_OFFLOADS;

		port_bit_names(kind, i ? setup->tx_used : setup->rx_used, used, sizeof(used));
		port_bit_names(kind, i ? setup->tx_offered : setup->rx_offered, offered,
			       sizeof(offered));
		printf("  %s offloads   %s (offered: %s)\n", directions[i], used, offered);
	}
}

/* Network controllers: whoever drives them, a port takes those that vfio-pci has. */
static void list_pci(void)
{
	DIR *devices = opendir(PCI_DEVICES);
	const struct dirent *entry;

	while (devices && (entry = readdir(devices))) {
		char path[512], target[512] = "";
		unsigned class = 0;
		ssize_t length;
		FILE *file;

		snprintf(path, sizeof(path), PCI_DEVICES "/%s/class", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%x", &class) != 1)
			class = 0;
		fclose(file);
		if (class >> 16 != 2)
			continue;
		snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver", entry->d_name);
		length = readlink(path, target, sizeof(target) - 1);
		target[length < 0 ? 0 : length] = '\0';
		printf("%s\tdpdk:%s (driver %s)\n", entry->d_name, entry->d_name,
		       *target ? strrchr(target, '/') + 1 : "none");
	}
	if (devices)
		closedir(devices);
}

void port_list_devices(void)
{
	struct if_nameindex *list = if_nameindex();

	for (struct if_nameindex *n = list; n && n->if_index; n++)
		if (strcmp(n->if_name, "lo") != 0)
			printf("%s\taf_xdp:%s af_packet:%s auto:%s\n", n->if_name, n->if_name,
			       n->if_name, n->if_name);
	if_freenameindex(list);
	list_pci();
}
