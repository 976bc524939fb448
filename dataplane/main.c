/* SPDX-License-Identifier: Apache-2.0
 *
 * ccn-forwarder: arguments, DPDK's environment, threads, signals. Exit 0 after SIGTERM or SIGINT,
 * 1 after one line on stderr; so also when the device of a port has been replaced.
 */
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include "control.h"
#include "cpu.h"
#include "fib.h"
#include "log.h"
#include "neigh.h"
#include "port.h"
#include "punt.h"
#include "slow.h"
#include "worker.h"

#define BUFFER_OCTETS 2816 /* of memory per packet buffer, roughly */

static const char help[] =
    "ccn-forwarder --socket PATH --port NAME=SPEC [--port NAME=SPEC...]\n"
    "\n"
    "Forwards the packets of a CCN gateway by the tables that the control plane commits over "
    "PATH.\n"
    "\n"
    "  --socket PATH        control socket (see ccn_wire.h)\n"
    "  --port NAME=SPEC     a port; SPEC is one of\n"
    "                         af_xdp:DEV      a network device, by XDP\n"
    "                         af_packet:DEV   a network device, by packet socket\n"
    "                         auto:DEV        af_xdp, else af_packet\n"
    "                         pcap:IN,OUT     packets from one file, to another (a pair for each\n"
    "                                         queue: pcap:IN,OUT,IN,OUT)\n"
    "                         pcap-loop:IN    a file over and over (a file for each queue: "
    "IN,IN);\n"
    "                                         what is sent is dropped\n"
    "                         null            receives nothing, drops what is sent\n"
    "  --workers N          threads that forward, each with queues of its own on every port (as\n"
    "                       many as --cpu names, else 1)\n"
    "  --cpu LIST|auto      pin each worker to a CPU: 1,2 or 4-7 (auto: the last ones, one of "
    "each\n"
    "                       core first). Without, the kernel schedules them\n"
    "  --fan-out            a port with fewer queues than workers: who reads it hands packets to\n"
    "                       the others, flow by flow\n"
    "  --memory MB          at most, for packet buffers and rings (256)\n"
    "  --huge               take that memory from hugepages\n"
    "  --busy-poll          never sleep\n"
    "  --static-neighbors   MAC of every neighbour is 02:00 and its four octets; frames to any\n"
    "                       MAC are taken\n"
    "  --no-icmp            packets that cannot be forwarded are dropped: no ICMP error is sent\n"
    "                       about them, and none is cut into fragments\n"
    "  --once               pcap input: say in the log when it has been read (it is kept open\n"
    "                       until SIGTERM either way)\n"
    "  --name NAME          shown in logs (PATH's last part)\n"
    "  --ports              list the network devices that a port may use\n";

struct options {
	const char *socket, *name;
	const char *ports[16];
	unsigned port_count;
	unsigned long memory;
	bool huge, static_neighbors;
	struct worker_options worker;
	const char *cpu;
};

static int usage(const char *what, const char *argument)
{
	log_line("%s%s (see ccn-forwarder --help)", what, argument);
	return -1;
}

/* 1: done already, -1: after one line on stderr. */
static int parse(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
	    {"socket", required_argument, NULL, 's'},
	    {"port", required_argument, NULL, 'p'},
	    {"cpu", required_argument, NULL, 'c'},
	    {"memory", required_argument, NULL, 'm'},
	    {"name", required_argument, NULL, 'n'},
	    {"huge", no_argument, NULL, 'H'},
	    {"busy-poll", no_argument, NULL, 'b'},
	    {"static-neighbors", no_argument, NULL, 'S'},
	    {"once", no_argument, NULL, 'o'},
	    {"ports", no_argument, NULL, 'P'},
	    {"workers", required_argument, NULL, 'w'},
	    {"fan-out", no_argument, NULL, 'f'},
	    {"no-icmp", no_argument, NULL, 'i'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	char *end;
	int c;

	*o = (struct options){.memory = 256};
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", known, NULL)) != -1) {
		switch (c) {
		case 's':
			o->socket = optarg;
			break;
		case 'p':
			if (o->port_count == 16)
				return usage("more than 16 ports: ", optarg);
			o->ports[o->port_count++] = optarg;
			break;
		case 'c':
			o->cpu = optarg;
			break;
		case 'w':
			o->worker.count = (unsigned)strtoul(optarg, &end, 10);
			if (!isdigit((unsigned char)*optarg) || *end || o->worker.count < 1 ||
			    o->worker.count > MAX_WORKERS)
				return usage("--workers is not 1..32: ", optarg);
			break;
		case 'f':
			o->worker.fan_out = true;
			break;
		case 'm':
			o->memory = strtoul(optarg, &end, 10);
			if (!isdigit((unsigned char)*optarg) || *end || o->memory < 64 ||
			    o->memory > 65536)
				return usage("--memory is not 64..65536: ", optarg);
			break;
		case 'n':
			o->name = optarg;
			break;
		case 'H':
			o->huge = true;
			break;
		case 'b':
			o->worker.busy_poll = true;
			break;
		case 'S':
			o->static_neighbors = o->worker.any_mac = true;
			break;
		case 'i':
			o->worker.no_icmp = true;
			break;
		case 'o':
			o->worker.once = true;
			break;
		case 'P':
			port_list_devices();
			return 1;
		case 'h':
			fputs(help, stdout);
			return 1;
		case ':':
			return usage("an argument is missing: ", argv[optind - 1]);
		default:
			return usage("unknown argument: ", argv[optind - 1]);
		}
	}
	if (optind < argc)
		return usage("unknown argument: ", argv[optind]);
	if (!o->socket || o->port_count == 0)
		return usage("--socket and at least one --port are needed", "");
	if (!o->name)
		o->name = strrchr(o->socket, '/') ? strrchr(o->socket, '/') + 1 : o->socket;
	return cpu_choose(o->cpu, &o->worker.count, o->worker.cpu);
}

/* "0@(0,1,5)": one lcore on every CPU that we may use, so that the kernel schedules. */
static void lcores(char *text, size_t size)
{
	cpu_set_t set;
	size_t at = (size_t)snprintf(text, size, "0@(");

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	for (unsigned i = 0; i < CPU_SETSIZE && at < size - 8; i++)
		if (CPU_ISSET(i, &set))
			at += (size_t)snprintf(text + at, size - at, "%s%u",
					       text[at - 1] == '(' ? "" : ",", i);
	snprintf(text + at, size - at, ")");
}

static int start_dpdk(const struct options *o)
{
	char memory[16], prefix[32], cores[4096];
	char *arguments[] = {"ccn-forwarder",
			     "--lcores",
			     cores,
			     "-m",
			     memory,
			     "--file-prefix",
			     prefix,
			     "--no-pci",
			     "--no-telemetry",
			     "--no-shconf",
			     "--iova-mode=va",
			     "--log-level=*:emergency",
			     "--log-level=lib.eal:critical",
			     o->huge ? "--huge-unlink" : "--no-huge"};
	char directory[64];

	lcores(cores, sizeof(cores));
	snprintf(memory, sizeof(memory), "%lu", o->memory);
	snprintf(prefix, sizeof(prefix), "ccn-%d", (int)getpid());
	if (rte_eal_init(sizeof(arguments) / sizeof(*arguments), arguments) < 0) {
		log_line("DPDK cannot start: %s (%s)", rte_strerror(rte_errno),
			 o->huge ? "reserve hugepages or leave --huge out"
				 : "is there as much memory as --memory says?");
		return -1;
	}
	/* DPDK makes a directory per instance that nothing is put into; kill -9 must not leave it */
	for (int i = 0; i < 2; i++) {
		const char *base = i == 0 ? "/var/run" : getenv("XDG_RUNTIME_DIR");

		snprintf(directory, sizeof(directory), "%s/dpdk/%s", base ? base : "/tmp", prefix);
		rmdir(directory);
	}
	return 0;
}

/* Like rte_pktmbuf_pool_create, but buffers may lie across pages: no driver here does DMA, and
 * with 4 KiB pages each buffer would take a whole one. */
static struct rte_mempool *make_pool(unsigned count)
{
	struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size =
						       RTE_MBUF_DEFAULT_BUF_SIZE};
	struct rte_mempool *pool = rte_mempool_create_empty(
	    "buffers", count, sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE, 256,
	    sizeof(private), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);

	if (!pool)
		return NULL;
	rte_pktmbuf_pool_init(pool, &private);
	if (rte_mempool_populate_default(pool) < 0) {
		rte_mempool_free(pool);
		rte_errno = ENOMEM;
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

/* Rings and bursts of the ports, and what the slow path may hold. A pcap-loop port keeps its whole
 * file in buffers. */
static unsigned buffers_needed(const struct options *o)
{
	unsigned most = (unsigned)(o->memory * 3 / 4 * 1048576 / BUFFER_OCTETS);
	unsigned needed = 8192 + (4096 * o->port_count + 2048) * o->worker.count;

	for (unsigned i = 0; i < o->port_count; i++)
		if (strstr(o->ports[i], "=pcap-loop:"))
			return most;
	return RTE_MIN(needed, most);
}

/* The libraries behind af_xdp talk on stderr about what concerns nobody; our own lines say what
 * failed. They are loaded by DPDK's driver, if at all. */
static void silence_libraries(void)
{
	static const char *const print[][2] = {{"libbpf.so.1", "libbpf_set_print"},
					       {"libxdp.so.1", "libxdp_set_print"}};

	for (unsigned i = 0; i < 2; i++) {
		void *library = dlopen(print[i][0], RTLD_NOW | RTLD_NOLOAD);
		void *(*set)(void *);

		if (!library)
			continue;
		*(void **)&set = dlsym(library, print[i][1]);
		if (set)
			set(NULL);
	}
}

static int start(const struct options *o)
{
	struct rte_mempool *pool;

	if (control_bind(o->socket) < 0 || start_dpdk(o) < 0)
		return -1;
	silence_libraries();
	pool = make_pool(buffers_needed(o));
	if (!pool || fib_init() < 0) {
		log_line("no room for packet buffers: %s (raise --memory)",
			 rte_strerror(rte_errno));
		return -1;
	}
	neigh_init(o->static_neighbors);
	for (unsigned i = 0; i < o->port_count; i++)
		if (port_open(o->ports[i], o->worker.count, pool) < 0)
			return -1;
	if (punt_init() < 0 || slow_start(pool) < 0)
		return -1;
	if (workers_start(&o->worker) < 0 || control_start() < 0)
		return -1;
	for (unsigned i = 0; i < port_count(); i++) {
		struct ccn_port_status status;

		port_status(i, &status);
		log_line("%s: port %s is %s, driver %s", o->name, port_name(i),
			 status.up ? "up" : "down", (const char *)status.driver);
	}
	log_line("%s: ready, pid %d, control socket %s", o->name, (int)getpid(), o->socket);
	return 0;
}

int main(int argc, char **argv)
{
	struct options options;
	const struct timespec second = {.tv_sec = 1};
	const char *replaced = NULL;
	sigset_t signals;
	int number, result = parse(argc, argv, &options);

	if (result != 0)
		return result < 0;
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL); /* in all threads; main waits for them */
	if (start(&options) < 0) {
		port_close_all();
		control_stop();
		_exit(1); /* threads that did start need no farewell */
	}
	do
		number = sigtimedwait(&signals, NULL, &second);
	while (number < 0 && !(replaced = port_replaced()));
	control_stop();
	workers_stop();
	slow_stop();
	port_close_all();
	if (replaced)
		log_line("%s: the device of port %s was made anew: start again to use it",
			 options.name, replaced);
	else
		log_line("%s: stopped by %s", options.name, strsignal(number));
	rte_eal_cleanup();
	return replaced != NULL;
}
