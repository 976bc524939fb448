/* SPDX-License-Identifier: Apache-2.0
 *
 * ccn-forwarder: arguments, DPDK's environment, threads, signals. Exit 0 after SIGTERM or SIGINT,
 * 1 after one line on stderr; so also when the device of a port has been replaced.
 */
#include <ctype.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "cpu.h"
#include "dpdk.h"
#include "fib.h"
#include "log.h"
#include "neigh.h"
#include "port.h"
#include "port_report.h"
#include "punt.h"
#include "slow.h"
#include "trace.h"
#include "telemetry.h"
#include "worker.h"

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
    "                         dpdk:DEVICE     a device with a driver in DPDK: a NIC by its PCI\n"
    "                                         address (bound to vfio-pci; see --huge)\n"
    "                         pcap:IN,OUT     packets from one file, to another (a pair for each\n"
    "                                         queue: pcap:IN,OUT,IN,OUT)\n"
    "                         pcap-loop:IN    a file over and over (a file for each queue: "
    "IN,IN);\n"
    "                                         what is sent is dropped\n"
    "                         ring-loop:IN    the same from memory: what is sent comes again as it "
    "was\n"
    "                         null            receives nothing, drops what is sent\n"
    "  --workers N          threads that forward, each with queues of its own on every port (as\n"
    "                       many as --cpu names, else 1)\n"
    "  --cpu LIST|auto      pin each worker to a CPU: 1,2 or 4-7 (auto: the last ones, one of "
    "each\n"
    "                       core first). Without, the kernel schedules them\n"
    "  --fan-out            a port with fewer queues than workers: who reads it hands packets to\n"
    "                       the others, flow by flow\n"
    "  --memory MB          at most, for packet buffers and rings (256, or what the\n"
    "                       workers' queues need)\n"
    "  --huge               take that memory from hugepages\n"
    "  --busy-poll          never sleep\n"
    "  --static-neighbors   MAC of every neighbour is 02:00 and its four octets; frames to any\n"
    "                       MAC are taken\n"
    "  --no-icmp            packets that cannot be forwarded are dropped: no ICMP error is sent\n"
    "                       about them, and none is cut into fragments\n"
    "  --once               pcap input: say in the log when it has been read (it is kept open\n"
    "                       until SIGTERM either way)\n"
    "  --name NAME          shown in logs (PATH's last part)\n"
    "  --ports              list the network devices that a port may use; with --port, say of "
    "each\n"
    "                       its driver, queues, offloads and how flows spread, and end\n";

struct options {
	const char *socket, *name;
	const char *ports[16];
	unsigned port_count;
	unsigned long memory;
	bool huge, static_neighbors, report;
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

	*o = (struct options){0};
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
			o->report = true;
			break;
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
	if (o->report && o->port_count == 0) {
		port_list_devices();
		return 1;
	}
	if ((!o->socket && !o->report) || o->port_count == 0)
		return usage("--socket and at least one --port are needed", "");
	if (!o->name && o->socket)
		o->name = strrchr(o->socket, '/') ? strrchr(o->socket, '/') + 1 : o->socket;
	return cpu_choose(o->cpu, &o->worker.count, o->worker.cpu);
}

static int start(const struct options *o)
{
	const struct dpdk_options environment = {.name = o->report ? NULL : o->name,
						 .memory = o->memory,
						 .huge = o->huge,
						 .ports = o->ports,
						 .port_count = o->port_count,
						 .workers = o->worker.count};
	struct rte_mempool *pool;

	if (!o->report && control_bind(o->socket) < 0)
		return -1;
	pool = dpdk_start(&environment);
	if (!pool)
		return -1;
	for (unsigned i = 0; i < o->port_count; i++)
		if (port_open(o->ports[i], o->worker.count, pool) < 0)
			return -1;
	if (o->report)
		return 0;
	if (fib_init() < 0) {
		log_line("cannot start: out of memory");
		return -1;
	}
	neigh_init(o->static_neighbors);
	trace_init(pool);
	if (punt_init(!o->worker.once) < 0 || slow_start(pool) < 0 ||
	    workers_start(&o->worker) < 0 || control_start() < 0)
		return -1;
	telemetry_start(o->worker.count, o->worker.fan_out);
	for (unsigned i = 0; i < port_count(); i++) {
		struct ccn_port_status status;

		port_status(i, &status);
		log_line("%s: port %s is %s, driver %s", o->name, port_name(i),
			 status.up ? "up" : "down", (const char *)status.driver);
	}
	log_line("%s: ready, pid %d, control socket %s", o->name, (int)getpid(), o->socket);
	return 0;
}

/* All that has begun, in the order in which nothing misses another: a worker may poll a port as long
 * as it runs. */
static void end(void)
{
	control_stop();
	workers_stop();
	slow_stop();
	port_close_all();
	dpdk_stop();
}

/* --ports with ports: says what they are, and ends. */
static int report(const struct options *o)
{
	for (unsigned i = 0; i < port_count(); i++)
		port_report(i, o->worker.count, o->worker.fan_out);
	port_close_all();
	dpdk_stop();
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
		end();
		_exit(1);
	}
	if (options.report)
		return report(&options);
	do
		number = sigtimedwait(&signals, NULL, &second);
	while (number < 0 && !(replaced = port_replaced()));
	end();
	if (replaced)
		log_line("%s: the device of port %s was made anew: start again to use it",
			 options.name, replaced);
	else
		log_line("%s: stopped by %s", options.name, strsignal(number));
	return replaced != NULL;
}
