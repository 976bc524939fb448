/* SPDX-License-Identifier: Apache-2.0
 * Starts DPDK with what the ports need of it.
 */
#include "dpdk.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include "arena.h"
#include "log.h"
#include "runtime_dir.h"
#include "stats.h"

#define BUFFER_OCTETS 2816 /* of memory per packet buffer, roughly */
#define DEFAULT_MEMORY 256
#define MOST_ARGUMENTS 64

static bool started;

/* Rings and bursts of the ports for each worker, and what the slow path may hold. */
static unsigned buffers_wished(const struct dpdk_options *o)
{
	return 8192 + (4096 * o->port_count + 2048) * o->workers;
}

static unsigned buffers_in(unsigned long memory)
{
	return (unsigned)(memory * 3 / 4 * 1048576 / BUFFER_OCTETS);
}

/* A pcap-loop or ring-loop port keeps its whole file in buffers. */
static unsigned buffers(const struct dpdk_options *o, unsigned long memory)
{
	for (unsigned i = 0; i < o->port_count; i++)
		if (strstr(o->ports[i], "=pcap-loop:") || strstr(o->ports[i], "=ring-loop:"))
			return buffers_in(memory);
	return RTE_MIN(buffers_wished(o), buffers_in(memory));
}

/* Megabytes: as --memory says, else enough; 0 after one line on stderr. */
static unsigned long memory_to_take(const struct dpdk_options *o)
{
	unsigned long least = DEFAULT_MEMORY, asked = o->memory ? o->memory : DEFAULT_MEMORY;

	while (!o->memory && buffers_in(asked) < buffers_wished(o))
		asked += DEFAULT_MEMORY;
	while (buffers_in(least) < buffers_wished(o))
		least += DEFAULT_MEMORY;
	if (buffers_in(asked) * 2 >= buffers_wished(o))
		return asked;
	log_line("--memory %lu: too little for the queues of %u workers on %u ports (give %lu, or "
		 "leave it out)",
		 asked, o->workers, o->port_count, least);
	return 0;
}

/* "0@(0,1,5)": one lcore on every CPU that we may use and that DPDK knows, so that the kernel
 * schedules. */
static void lcores(char *text, size_t size)
{
	cpu_set_t set;
	size_t at = (size_t)snprintf(text, size, "0@(");

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	for (unsigned i = 0; i < RTE_MAX_LCORE && at < size - 8; i++)
		if (CPU_ISSET(i, &set))
			at += (size_t)snprintf(text + at, size - at, "%s%u",
					       text[at - 1] == '(' ? "" : ",", i);
	snprintf(text + at, size - at, ")");
}

/* False after one line on stderr: too few free hugepages of the default size. */
static bool hugepages_suffice(unsigned long megabytes)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long all = 0, free = 0, kilobytes = 0, missing;
	char line[128];

	while (file && fgets(line, sizeof(line), file)) {
		sscanf(line, "HugePages_Total: %lu", &all);
		sscanf(line, "HugePages_Free: %lu", &free);
		sscanf(line, "Hugepagesize: %lu", &kilobytes);
	}
	if (file)
		fclose(file);
	if (kilobytes == 0) {
		log_line("--huge: this kernel has no hugepages (leave out --huge)");
		return false;
	}
	missing = (megabytes * 1024 + kilobytes - 1) / kilobytes;
	if (free >= missing)
		return true;
	log_line("--huge: %lu MB of hugepages are free, %lu are needed (`sysctl "
		 "vm.nr_hugepages=%lu`, a smaller --memory, or no --huge)",
		 free * kilobytes / 1024, megabytes, all + missing - free);
	return false;
}

/* The PCI address in "NAME=dpdk:0000:01:00.0,..."; NULL: it names none. */
static const char *pci_address(const char *port)
{
	const char *device = strstr(port, "=dpdk:");

	return device && isxdigit((unsigned char)device[6]) && strchr(device + 6, ':') &&
		       strchr(device + 6, '.')
		   ? device + 6
		   : NULL;
}

static sigjmp_buf panic;

static void panicked(int signal)
{
	(void)signal;
	siglongjmp(panic, 1);
}

/* Short of memory some of DPDK aborts, where we have a line to say and things to remove. */
static int survive_init(int count, char **arguments)
{
	int result = -1;

	signal(SIGABRT, panicked);
	if (sigsetjmp(panic, 1) == 0)
		result = rte_eal_init(count, arguments);
	signal(SIGABRT, SIG_DFL);
	return result;
}

/* What DPDK prints by itself, up to its whole usage, is kept from our own lines. */
static int silently(int count, char **arguments)
{
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int ours[2];
	int result;

	fflush(stdout);
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		ours[fd - STDOUT_FILENO] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (ours[fd - STDOUT_FILENO] >= 0 && nowhere >= 0)
			dup2(nowhere, fd);
	}
	result = survive_init(count, arguments);
	fflush(stdout);
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		if (ours[fd - STDOUT_FILENO] < 0)
			continue;
		dup2(ours[fd - STDOUT_FILENO], fd);
		close(ours[fd - STDOUT_FILENO]);
	}
	if (nowhere >= 0)
		close(nowhere);
	return result;
}

/* rte_eal_init. What goes wrong it says in its log, whose first line becomes the reason. */
static int init(int count, char **arguments, char *reason, size_t size)
{
	char *text = NULL;
	size_t length = 0;
	FILE *log = open_memstream(&text, &length);
	const char *from;
	int result;

	if (log)
		rte_openlog_stream(log);
	result = silently(count, arguments);
	rte_log_set_level_pattern("*", RTE_LOG_EMERG);
	rte_log_set_level_pattern("lib.eal", RTE_LOG_CRIT);
	rte_openlog_stream(NULL);
	if (log)
		fclose(log);
	from = text && strstr(text, ": ") ? strstr(text, ": ") + 2 : rte_strerror(rte_errno);
	snprintf(reason, size, "%.*s", (int)strcspn(from, "\n"), from);
	free(text);
	return result;
}

static int start_environment(const struct dpdk_options *o, unsigned long megabytes)
{
	static char memory[16], prefix[64], cores[4096];
	char reason[256];
	char *arguments[MOST_ARGUMENTS] = {"ccn-forwarder",
					   "--lcores",
					   cores,
					   "-m",
					   memory,
					   "--file-prefix",
					   prefix,
					   "--no-shconf",
					   "--iova-mode=va",
					   "--log-level=*:error",
					   o->huge ? "--in-memory" : "--no-huge"};
	int count = 11, nics = 0, guard, result;

	if (o->huge && !hugepages_suffice(megabytes))
		return -1;
	for (unsigned i = 0; i < o->port_count; i++) {
		const char *address = pci_address(o->ports[i]);

		if (!address)
			continue;
		arguments[count++] = "-a";
		arguments[count++] = strdup(address);
		nics++;
	}
	if (nics == 0)
		arguments[count++] = "--no-pci";
	if (!o->name)
		arguments[count++] = "--no-telemetry";
	lcores(cores, sizeof(cores));
	snprintf(memory, sizeof(memory), "%lu", megabytes);
	runtime_dir_prefix(o->name, prefix, sizeof(prefix));
	runtime_dir_sweep();
	guard = runtime_dir_guard();
	result = init(count, arguments, reason, sizeof(reason));
	runtime_dir_release(guard);
	if (result < 0) {
		log_line("DPDK cannot start: %s (%s)", reason,
			 o->huge
			     ? "are the hugepages on our NUMA node, and may we lock memory?"
			     : "lower --memory, or raise the limits of this process: ulimit -a");
		runtime_dir_remove(prefix);
		return -1;
	}
	started = true;
	runtime_dir_keep(prefix, o->name != NULL);
	return 0;
}

static void unmap(struct rte_mempool_memhdr *part, void *context)
{
	(void)context;
	arena_unmap(part->addr, part->len);
}

/* `ours`: in memory that the kernel backs by huge pages where it can, so that a burst of frames needs
 * one entry of the TLB and not one for each. */
static int populate(struct rte_mempool *pool, bool ours)
{
	struct rte_mempool_objsz object;
	const uint32_t size = rte_mempool_calc_obj_size(pool->elt_size, pool->flags, &object);
	const size_t octets =
	    ((size_t)size * pool->size + RTE_PGSIZE_2M) / RTE_PGSIZE_2M * RTE_PGSIZE_2M;
	void *memory = ours ? arena_map(octets) : NULL;

	if (!memory)
		return rte_mempool_populate_default(pool);
	return rte_mempool_populate_virt(pool, memory, octets, RTE_PGSIZE_2M, unmap, NULL);
}

/* Like rte_pktmbuf_pool_create, but buffers may lie across pages: with addresses as the I/O memory
 * management unit sees them that is nothing to a NIC, and with 4 KiB pages each buffer would take a
 * whole one. */
static struct rte_mempool *make_pool(unsigned count, bool ours)
{
	struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size =
						       RTE_MBUF_DEFAULT_BUF_SIZE};
	struct rte_mempool *pool = rte_mempool_create_empty(
	    "buffers", count, sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE, 256,
	    sizeof(private), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);

	if (!pool)
		return NULL;
	rte_pktmbuf_pool_init(pool, &private);
	if (populate(pool, ours) < 0) {
		rte_mempool_free(pool);
		rte_errno = ENOMEM;
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
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

/* Some of DPDK's drivers reach only DPDK's own memory: NICs, and those that share it. */
static bool any_driver(const struct dpdk_options *o)
{
	for (unsigned i = 0; i < o->port_count; i++)
		if (strstr(o->ports[i], "=dpdk:"))
			return true;
	return false;
}

struct rte_mempool *dpdk_start(const struct dpdk_options *options)
{
	const unsigned long megabytes = memory_to_take(options);
	struct rte_mempool *pool;

	if (!megabytes || start_environment(options, megabytes) < 0)
		return NULL;
	silence_libraries();
	pool = make_pool(buffers(options, megabytes), !options->huge && !any_driver(options));
	if (!pool)
		log_line("no room for packet buffers: %s (raise --memory)",
			 rte_strerror(rte_errno));
	else
		stats_watch_buffers(pool);
	return pool;
}

void dpdk_stop(void)
{
	if (!started)
		return;
	runtime_dir_end();
	rte_eal_cleanup();
}
