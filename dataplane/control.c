/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread serves all clients without blocking on any: it reads what has come, handles whole
 * messages, and keeps answers until the client takes them. A client that sends nonsense, says
 * nothing, stalls inside a transaction or does not take its answers loses its own connection only.
 */
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rte_common.h>

#include "client.h"
#include "commit.h"
#include "log.h"
#include "reclaim.h"
#include "slow.h"

#define MAX_CLIENTS 32
#define READ_CHUNK 262144
#define LINES_AT_ONCE 10 /* of the log, about clients that are hung up on */

struct connection {
	int fd;
	time_t moved; /* when the last octet came or went */
	size_t sent;  /* of the client's answers */
	struct client client;
};

static struct {
	pthread_t thread;
	bool started, stop;
	int listener, wake_fd;
	char path[108];
	struct connection *connections[MAX_CLIENTS];
	unsigned count;
} control = {.listener = -1, .wake_fd = -1};

static time_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Whoever knocks may cause a line, but not fill a disk: ten at once, then one each second. */
static void note(const char *name, const char *fault)
{
	static unsigned lines = LINES_AT_ONCE, untold;
	static time_t since;
	const time_t now = seconds();

	lines = (unsigned)RTE_MIN((time_t)LINES_AT_ONCE, lines + (now - since));
	since = now;
	if (lines == 0) {
		untold++;
		return;
	}
	lines--;
	if (untold)
		log_line("control socket: %u more clients hung up on meanwhile", untold);
	untold = 0;
	log_line("control socket: client %s hung up on: %s", name[0] ? name : "without a name",
		 fault);
}

/* `fault`: why; NULL: what the client itself says, which may be nothing. */
static void hang_up(unsigned index, const char *fault)
{
	struct connection *c = control.connections[index];

	if (!fault)
		fault = c->client.fault;
	if (!fault && client_is_in_message(&c->client))
		fault = "it went in the middle of a message";
	if (!fault && client_holds_transaction(&c->client))
		fault = "it went in the middle of a transaction";
	if (fault)
		note(c->client.name, fault);
	close(c->fd);
	client_forget(&c->client);
	free(c);
	control.connections[index] = control.connections[--control.count];
}

/* Commits are acted upon at once, whoever asked. */
static void act(struct client *client)
{
	if (client->committed)
		slow_kick();
	client->committed = false;
}

/* False: the connection is over. */
static bool receive(struct connection *c)
{
	static uint8_t chunk[READ_CHUNK];
	const struct iovec into[2] = {client_room(&c->client),
				      {.iov_base = chunk, .iov_len = sizeof(chunk)}};
	const ssize_t length = readv(c->fd, into, 2); /* which does not wait: SOCK_NONBLOCK */
	size_t placed;
	bool heard;

	if (length < 0)
		return errno == EAGAIN || errno == EINTR;
	if (length == 0)
		return false;
	placed = RTE_MIN((size_t)length, into[0].iov_len);
	client_placed(&c->client, placed);
	heard = client_hear(&c->client, chunk, (size_t)length - placed);
	c->moved = seconds();
	act(&c->client);
	return heard;
}

static bool transmit(struct connection *c)
{
	struct buffer *out = &c->client.out;

	while (out->length > 0) {
		while (c->sent < out->length) {
			ssize_t length = send(c->fd, out->data + c->sent, out->length - c->sent,
					      MSG_DONTWAIT | MSG_NOSIGNAL);

			if (length < 0)
				return errno == EAGAIN || errno == EINTR;
			c->sent += (size_t)length;
			c->moved = seconds();
		}
		client_answered(&c->client);
		c->sent = 0;
		commit_tidy(c->client.tidy);
		c->client.tidy = 0;
		client_handle(&c->client);
		act(&c->client);
	}
	return !c->client.closing;
}

/* Nothing has moved, and others may be kept waiting or memory held by it: what for, or NULL. */
static const char *stuck(const struct connection *c)
{
	const bool late = seconds() - c->moved > (time_t)client_patience(&c->client);

	return late ? client_owes(&c->client) : NULL;
}

/* All who wait are taken in, and who is too many is hung up on at once: a queue that is left to
 * fill refuses those that come next, whoever they are. */
static void welcome(void)
{
	int fd;

	while ((fd = accept4(control.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct connection *c = control.count == MAX_CLIENTS ? NULL : calloc(1, sizeof(*c));

		if (!c) {
			note("", "there are too many; close some that are served");
			close(fd);
			continue;
		}
		c->fd = fd;
		c->moved = seconds();
		control.connections[control.count++] = c;
	}
}

static void *run(void *unused)
{
	(void)unused;
	while (!__atomic_load_n(&control.stop, __ATOMIC_RELAXED)) {
		struct pollfd fds[MAX_CLIENTS + 2] = {
		    {.fd = control.wake_fd, .events = POLLIN},
		    {.fd = control.listener, .events = POLLIN},
		};
		unsigned count = control.count;

		for (unsigned i = 0; i < count; i++) {
			const struct connection *c = control.connections[i];

			/* who does not take answers is not asked for more questions */
			fds[i + 2] = (struct pollfd){
			    .fd = c->fd, .events = c->client.out.length ? POLLOUT : POLLIN};
		}
		reclaim_some();
		if (poll(fds, count + 2, 1000) < 0 && errno != EINTR)
			break;
		for (unsigned i = count; i-- > 0;) {
			struct connection *c = control.connections[i];
			bool alive = true;

			if (fds[i + 2].revents & POLLOUT)
				alive = transmit(c);
			else if (fds[i + 2].revents)
				alive = receive(c) && transmit(c);
			const char *fault = alive ? stuck(c) : NULL;

			if (!alive || fault)
				hang_up(i, fault);
		}
		if (fds[1].revents)
			welcome();
	}
	return NULL;
}

/* Whether a live process answers on the socket file, or has more waiting than it may: not to be
 * waited for, since it may have been stopped. */
static bool answered(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool alive = fd >= 0 &&
		     (connect(fd, (const void *)address, sizeof(*address)) == 0 || errno == EAGAIN);

	if (fd >= 0)
		close(fd);
	return alive;
}

int control_bind(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat status;
	mode_t mask;
	int result;

	if (*path == '\0') {
		log_line("--socket is empty (give the path of the control socket)");
		return -1;
	}
	if (strlen(path) >= sizeof(address.sun_path)) {
		log_line("--socket %s: over 107 characters (choose a shorter path)", path);
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (lstat(path, &status) == 0) {
		if (!S_ISSOCK(status.st_mode)) {
			log_line("--socket %s: exists and is no socket (choose another path)",
				 path);
			return -1;
		}
		if (answered(&address)) {
			log_line("--socket %s: a live forwarder answers there (stop it or choose "
				 "another path)",
				 path);
			return -1;
		}
		unlink(path);
	}
	control.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mask = umask(0177); /* only its owner may command a forwarder */
	result = bind(control.listener, (const void *)&address, sizeof(address));
	umask(mask);
	if (control.listener < 0 || result < 0 || listen(control.listener, SOMAXCONN) < 0) {
		log_line("--socket %s: %s (choose a directory that exists and can be written)",
			 path, strerror(errno));
		return -1;
	}
	memcpy(control.path, address.sun_path, sizeof(control.path));
	return 0;
}

int control_start(void)
{
	control.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (control.wake_fd < 0 || pthread_create(&control.thread, NULL, run, NULL) != 0) {
		log_line(
		    "cannot start the control thread: %s (raise the limits on threads and files)",
		    strerror(errno));
		return -1;
	}
	control.started = true;
	pthread_setname_np(control.thread, "ccn-control");
	return 0;
}

void control_stop(void)
{
	uint64_t one = 1;

	if (control.started) {
		__atomic_store_n(&control.stop, true, __ATOMIC_RELAXED);
		if (write(control.wake_fd, &one, 8) == 8)
			pthread_join(control.thread, NULL);
		while (control.count > 0)
			hang_up(0, NULL);
	}
	if (control.path[0])
		unlink(control.path);
}
