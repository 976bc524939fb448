/* SPDX-License-Identifier: Apache-2.0
 * Opens ports on the DPDK drivers that this forwarder supports.
 */
#include "port.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_ethdev.h>

#include "kernel_device.h"
#include "log.h"
#include "port_ring.h"
#include "stats.h"

static struct port {
	char name[16];
	char driver[32];
	char device[32]; /* DPDK's name */
	struct kernel_device kernel;
	uint16_t id;
	bool file, endless;
	struct rte_ether_addr mac;
	struct port_setup setup;
} ports[MAX_PORTS];
static unsigned count, workers;

/* Where workers share a TX queue. */
static struct {
	rte_spinlock_t lock;
} __rte_cache_aligned tx_locks[MAX_PORTS][MAX_WORKERS];

unsigned port_count(void)
{
	return count;
}

int port_find(const uint8_t name[16])
{
	for (unsigned i = 0; i < count; i++)
		if (!strncmp(ports[i].name, (const char *)name, sizeof(ports[i].name)))
			return (int)i;
	return -1;
}

const char *port_name(unsigned port)
{
	return ports[port].name;
}

const uint8_t *port_mac(unsigned port)
{
	return ports[port].mac.addr_bytes;
}

uint16_t port_dpdk_id(unsigned port)
{
	return ports[port].id;
}

unsigned port_rx_queues(unsigned port)
{
	return ports[port].setup.rx_queues;
}

unsigned port_tx_queues(unsigned port)
{
	return ports[port].setup.tx_queues;
}

rte_spinlock_t *port_tx_lock(unsigned port, unsigned queue)
{
	return ports[port].setup.tx_queues < workers ? &tx_locks[port][queue].lock : NULL;
}

const struct port_setup *port_setup(unsigned port)
{
	return &ports[port].setup;
}

bool port_is_file(unsigned port)
{
	return ports[port].file;
}

bool port_is_endless(unsigned port)
{
	return ports[port].endless;
}

bool port_has_link(unsigned port)
{
	struct rte_eth_link link = {0};

	return rte_eth_link_get_nowait(ports[port].id, &link) == 0 &&
	       link.link_status == RTE_ETH_LINK_UP && kernel_device_has_link(&ports[port].kernel);
}

void port_status(unsigned port, struct ccn_port_status *status)
{
	*status = (struct ccn_port_status){0};
	memcpy(status->name, ports[port].name, sizeof(status->name));
	memcpy(status->driver, ports[port].driver, sizeof(status->driver));
	memcpy(status->mac, port_mac(port), 6);
	status->up = port_has_link(port);
}

const char *port_replaced(void)
{
	const char *found = NULL;

	for (unsigned i = 0; i < count; i++) {
		const struct kernel_device *kernel = &ports[i].kernel;
		unsigned index = kernel->name[0] ? if_nametoindex(kernel->name) : 0;

		if (kernel->name[0] && index == 0)
			return NULL;
		if (index != kernel->index)
			found = ports[i].name;
	}
	return found;
}

/* Creates the device and starts it; 0 or a negative errno. */
static int start(struct port *port, const char *driver, const char *arguments, bool all_rx,
		 struct rte_mempool *pool)
{
	int result;

	snprintf(port->device, sizeof(port->device), "%s%u", driver, count);
	snprintf(port->driver, sizeof(port->driver), "%s", driver);
	result = rte_vdev_init(port->device, arguments);
	if (result < 0)
		return result;
	result = rte_eth_dev_get_port_by_name(port->device, &port->id);
	if (result == 0)
		result = port_start(port->id, workers, workers, all_rx, pool, &port->setup);
	if (result == 0)
		result = rte_eth_macaddr_get(port->id, &port->mac);
	if (result < 0)
		rte_vdev_uninit(port->device);
	return result;
}

/* NULL, or why XDP cannot be had. */
static const char *start_xdp(struct port *port, struct rte_mempool *pool)
{
	static char fault[96];
	const unsigned queues = kernel_device_xdp_queues(&port->kernel);
	const char *foreign = kernel_device_foreign_xdp(&port->kernel);
	char arguments[128];
	int result;

	if (queues == 0)
		return "several receive queues that are not combined channels (`ethtool -L DEV rx "
		       "1`)";
	if (foreign) { /* the driver would take it off, and then fail */
		snprintf(fault, sizeof(fault),
			 "XDP program '%s' is on it, and `ip link set %s xdp off` takes it off",
			 foreign, port->kernel.name);
		return fault;
	}
	/* busy polling of the socket needs driver support that veth lacks */
	snprintf(arguments, sizeof(arguments),
		 "iface=%s,start_queue=0,queue_count=%u,busy_budget=0", port->kernel.name, queues);
	result = start(port, "net_af_xdp", arguments, true, pool);
	return result < 0 ? strerror(-result) : NULL;
}

static int start_packet_socket(struct port *port, struct rte_mempool *pool)
{
	char arguments[128];

	snprintf(arguments, sizeof(arguments),
		 "iface=%s,qpairs=%u,blocksz=65536,framesz=2048,framecnt=1024", port->kernel.name,
		 workers);
	return start(port, "net_af_packet", arguments, true, pool);
}

/* `kind`: af_xdp, af_packet or auto. */
static int start_kernel_device(struct port *port, const char *kind, const char *device,
			       struct rte_mempool *pool)
{
	const bool xdp = strcmp(kind, "af_packet") != 0, packet = strcmp(kind, "af_xdp") != 0;
	const char *fault;
	int result;

	if (kernel_device_claim(&port->kernel, device, port->name) < 0)
		return -1;
	fault = xdp ? start_xdp(port, pool) : NULL;
	result = xdp && !fault ? 0 : packet ? start_packet_socket(port, pool) : -1;
	if (result == 0 && fault)
		log_line("port %s: af_xdp on %s failed: %s; using af_packet", port->name, device,
			 fault);
	else if (result < 0 && packet)
		log_line("port %s: af_packet on %s failed: %s (run as root or with CAP_NET_RAW)",
			 port->name, device, strerror(-result));
	else if (result < 0)
		log_line("port %s: af_xdp on %s failed: %s (run as root, with BPF in the kernel; "
			 "or use af_packet:%s)",
			 port->name, device, fault, device);
	if (result < 0)
		kernel_device_release(&port->kernel);
	return result;
}

/* Any device that DPDK has a driver for: "0000:01:00.0", "net_tap0,iface=t0". */
static int start_dpdk_device(struct port *port, const char *arguments, struct rte_mempool *pool)
{
	struct rte_eth_dev_info info;
	int result;

	snprintf(port->device, sizeof(port->device), "%.*s", (int)strcspn(arguments, ","),
		 arguments);
	result = rte_dev_probe(arguments);
	if (result == 0)
		result = rte_eth_dev_get_port_by_name(port->device, &port->id);
	if (result == 0)
		result = rte_eth_dev_info_get(port->id, &info);
	if (result < 0) {
		log_line("port %s: DPDK has no driver for '%s': %s (bind a NIC to vfio-pci with "
			 "dpdk-devbind.py; `ccn-forwarder --ports` lists them)",
			 port->name, arguments, strerror(-result));
		return -1;
	}
	snprintf(port->driver, sizeof(port->driver), "%s", info.driver_name);
	result = port_start(port->id, workers, workers, false, pool, &port->setup);
	if (result == 0)
		result = rte_eth_macaddr_get(port->id, &port->mac);
	if (result < 0) {
		log_line("port %s: %s does not start: %s (try fewer --workers, or more --memory)",
			 port->name, arguments, strerror(-result));
		rte_dev_remove(info.device);
	}
	return result;
}

/* Whether `file` is there and may be written, or could be made. */
static bool writable(const char *file)
{
	char directory[1024];
	char *slash;

	if (access(file, F_OK) == 0)
		return access(file, W_OK) == 0;
	snprintf(directory, sizeof(directory), "%s", file);
	slash = strrchr(directory, '/');
	if (slash)
		slash[slash == directory] = '\0'; /* the root's is its name */
	return access(slash ? directory : ".", W_OK) == 0;
}

/* "IN,OUT", a pair for each queue; of an endless one "IN", and nothing is kept. */
static int start_pcap(struct port *port, const char *files, bool endless, struct rte_mempool *pool)
{
	char list[1024], arguments[8 * sizeof(list)]; /* "x," becomes "rx_pcap=x," */
	size_t length = 0;
	int result, at = 0;

	if (strlen(files) >= sizeof(list)) {
		log_line("port %s: the names of the files are too long (give shorter ones)",
			 port->name);
		return -1;
	}
	snprintf(list, sizeof(list), "%s", files);
	for (char *rest = list, *file; (file = strsep(&rest, ",")); at++) {
		const bool in = endless || at % 2 == 0;

		if (in && access(file, R_OK) < 0) {
			log_line("port %s: cannot read %s: %s (give a pcap file)", port->name, file,
				 strerror(errno));
			return -1;
		}
		if (!in && !writable(file)) {
			log_line("port %s: cannot write %s: %s (give a file in a directory that "
				 "exists and can be written)",
				 port->name, file, strerror(errno));
			return -1;
		}
		length += (size_t)snprintf(arguments + length, sizeof(arguments) - length, "%s=%s,",
					   in ? "rx_pcap" : "tx_pcap", file);
	}
	snprintf(arguments + length, sizeof(arguments) - length, "infinite_rx=%d", endless);
	port->file = true;
	port->endless = endless;
	result = start(port, "net_pcap", arguments, true, pool);
	if (result < 0)
		log_line("port %s: %s:%s failed: %s (is each IN a pcap file?)", port->name,
			 endless ? "pcap-loop" : "pcap", files, strerror(-result));
	return result;
}

/* "IN", one for each queue. */
static int start_ring(struct port *port, const char *files, struct rte_mempool *pool)
{
	char list[1024];
	const char *file = "", *fault;
	int result;

	snprintf(list, sizeof(list), "%s", files);
	snprintf(port->driver, sizeof(port->driver), "net_ring");
	snprintf(port->device, sizeof(port->device), "ring%u", count);
	fault = port_ring_open(port->device, list, pool, &port->id, &file);
	if (fault) {
		log_line("port %s: ring-loop:%s: %s (give a pcap file for each queue)", port->name,
			 file, fault);
		return -1;
	}
	port->file = port->endless = true;
	result = port_start(port->id, workers, workers, true, pool, &port->setup);
	if (result == 0)
		result = port_ring_begin(port->id, port->setup.rx_queues);
	if (result == 0)
		result = rte_eth_macaddr_get(port->id, &port->mac);
	if (result < 0)
		log_line("port %s: ring-loop:%s does not start: %s (try a larger --memory)",
			 port->name, files, strerror(-result));
	return result;
}

int port_open(const char *argument, unsigned for_workers, struct rte_mempool *pool)
{
	struct port *port = &ports[count];
	const char *equals = strchr(argument, '=');
	const char *spec = equals ? equals + 1 : "";
	int result;

	if (!equals || equals == argument || equals - argument > 15) {
		log_line(
		    "--port %s: not NAME=SPEC with a NAME of at most 15 characters (see --help)",
		    argument);
		return -1;
	}
	if (count == MAX_PORTS) {
		log_line("--port %s: more than %d ports (start a second forwarder)", argument,
			 MAX_PORTS);
		return -1;
	}
	*port = (struct port){0};
	workers = for_workers;
	memcpy(port->name, argument, (size_t)(equals - argument));
	if (port_find((const uint8_t *)port->name) >= 0) {
		log_line("--port %s: the name is taken (name each port once)", argument);
		return -1;
	}
	if (!strncmp(spec, "af_xdp:", 7))
		result = start_kernel_device(port, "af_xdp", spec + 7, pool);
	else if (!strncmp(spec, "af_packet:", 10))
		result = start_kernel_device(port, "af_packet", spec + 10, pool);
	else if (!strncmp(spec, "auto:", 5))
		result = start_kernel_device(port, "auto", spec + 5, pool);
	else if (!strncmp(spec, "dpdk:", 5))
		result = start_dpdk_device(port, spec + 5, pool);
	else if (!strncmp(spec, "pcap:", 5))
		result = start_pcap(port, spec + 5, false, pool);
	else if (!strncmp(spec, "pcap-loop:", 10))
		result = start_pcap(port, spec + 10, true, pool);
	else if (!strncmp(spec, "ring-loop:", 10))
		result = start_ring(port, spec + 10, pool);
	else if (!strcmp(spec, "null"))
		result = start(port, "net_null", "no-rx=1", false, pool);
	else {
		log_line("--port %s: unknown SPEC (use af_xdp:DEV, af_packet:DEV, auto:DEV, "
			 "dpdk:DEVICE, pcap:IN,OUT, pcap-loop:IN, ring-loop:IN or null)",
			 argument);
		return -1;
	}
	if (result < 0)
		return -1;
	count++;
	return 0;
}

void port_close_all(void)
{
	while (count > 0) {
		struct port *port = &ports[--count];
		struct rte_eth_dev_info info;
		int known = rte_eth_dev_info_get(port->id, &info);

		if (port->kernel.name[0] && !port->kernel.promiscuous)
			rte_eth_promiscuous_disable(port->id); /* as it was found */
		rte_eth_dev_stop(port->id);
		rte_eth_dev_close(port->id);
		if (known == 0)
			rte_dev_remove(info.device);
		kernel_device_release(&port->kernel);
	}
}
