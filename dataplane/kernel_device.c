/* SPDX-License-Identifier: Apache-2.0
 * Asks the kernel. A claim is an abstract socket: such names belong to a network namespace, as
 * devices do, and nothing of them is left when the process ends, however it ends.
 */
#include "kernel_device.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

/* -1 if the kernel does not answer. */
static int ask(const char *name, unsigned long question, struct ifreq *request)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int result;

	snprintf(request->ifr_name, sizeof(request->ifr_name), "%s", name);
	result = fd < 0 ? -1 : ioctl(fd, question, request);
	if (fd >= 0)
		close(fd);
	return result;
}

/* Who holds a claim; all 0: it cannot be said. */
static struct ucred holder(const struct sockaddr_un *address, socklen_t length)
{
	struct ucred found = {0};
	socklen_t size = sizeof(found);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const void *)address, length) == 0)
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &found, &size);
	if (fd >= 0)
		close(fd);
	return found;
}

/* A name that some user has taken who may not open devices keeps nobody out. */
static int claim(struct kernel_device *device, const char *port)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int length = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1,
			      "ccn-forwarder/device/%u", device->index);
	const socklen_t size =
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
	struct ucred who;

	device->claim = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (device->claim >= 0 && bind(device->claim, (const void *)&address, size) == 0 &&
	    listen(device->claim, SOMAXCONN) == 0)
		return 0;
	if (errno != EADDRINUSE) {
		log_line("port %s: cannot claim %s: %s (raise the limit on open files)", port,
			 device->name, strerror(errno));
		return -1;
	}
	who = holder(&address, size);
	if (who.uid != 0 && who.uid != getuid())
		return 0;
	if (who.pid == getpid())
		log_line("port %s: %s is another port's already (name each device once)", port,
			 device->name);
	else
		log_line("port %s: %s is in use by another forwarder, pid %d (stop it, or name "
			 "another device)",
			 port, device->name, (int)who.pid);
	return -1;
}

int kernel_device_claim(struct kernel_device *device, const char *name, const char *port)
{
	struct ifreq flags = {0};

	*device = (struct kernel_device){.index = if_nametoindex(name), .claim = -1};
	if (device->index == 0 || strlen(name) >= sizeof(device->name)) {
		log_line("port %s: no network device '%s' here (create it first, or name another; "
			 "`ccn-forwarder --ports` lists them)",
			 port, name);
		return -1;
	}
	memcpy(device->name, name, strlen(name) + 1);
	if (claim(device, port) < 0) {
		kernel_device_release(device);
		return -1;
	}
	device->promiscuous =
	    ask(name, SIOCGIFFLAGS, &flags) == 0 && (flags.ifr_flags & IFF_PROMISC);
	return 0;
}

void kernel_device_release(struct kernel_device *device)
{
	if (device->name[0] && device->claim >= 0)
		close(device->claim);
	device->claim = -1;
	device->name[0] = '\0';
}

bool kernel_device_has_link(const struct kernel_device *device)
{
	struct ifreq request = {0};

	if (!device->name[0])
		return true;
	if (if_nametoindex(device->name) != device->index)
		return false;
	return ask(device->name, SIOCGIFFLAGS, &request) < 0 || /* nobody knows */
	       (request.ifr_flags & IFF_RUNNING);
}

unsigned kernel_device_xdp_queues(const struct kernel_device *device)
{
	struct ethtool_channels answer = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq request = {.ifr_data = (void *)&answer};

	if (ask(device->name, SIOCETHTOOL, &request) < 0 ||
	    answer.combined_count + answer.rx_count == 0)
		return 1;
	return answer.rx_count == 0 ? answer.combined_count : answer.rx_count == 1;
}

/* Asked of libbpf, which is there once DPDK's driver for af_xdp is. What libxdp puts on a device for
 * that driver has one of two names. */
const char *kernel_device_foreign_xdp(const struct kernel_device *device)
{
	static struct bpf_prog_info info;
	void *library = dlopen("libbpf.so.1", RTLD_NOW | RTLD_NOLOAD);
	int (*query)(int, int, uint32_t *) = NULL;
	int (*get)(uint32_t) = NULL;
	int (*describe)(int, void *, uint32_t *) = NULL;
	uint32_t program = 0, size = sizeof(info);
	int fd = -1;

	memset(&info, 0, sizeof(info));
	if (library) {
		*(void **)&query = dlsym(library, "bpf_xdp_query_id");
		*(void **)&get = dlsym(library, "bpf_prog_get_fd_by_id");
		*(void **)&describe = dlsym(library, "bpf_obj_get_info_by_fd");
	}
	if (query && get && describe && query((int)device->index, 0, &program) == 0 && program)
		fd = get(program);
	if (fd >= 0) {
		describe(fd, &info, &size);
		close(fd);
	}
	if (library)
		dlclose(library);
	return fd < 0 || !strcmp(info.name, "xsk_def_prog") || !strcmp(info.name, "xdp_dispatcher")
		   ? NULL
		   : info.name;
}
