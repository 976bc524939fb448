/* SPDX-License-Identifier: Apache-2.0
 * Cleans up after DPDK, which leaves its directory, and after those that were killed.
 */
#include "runtime_dir.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define YOUNG_S 10 /* a socket may be bound and not answer yet */

static char kept[64];

static const char *base(void)
{
	const char *user = getenv("XDG_RUNTIME_DIR");

	return getuid() == 0 ? "/var/run" : user ? user : "/tmp"; /* as DPDK has it */
}

/* All forwarders agree by locking the directory above theirs: shared while one starts, alone while one
 * removes. Nothing is left to remove in turn. */
static int lock(int how)
{
	char all[320];
	int fd;

	snprintf(all, sizeof(all), "%s/dpdk", base());
	mkdir(all, 0700); /* as DPDK does */
	fd = open(all, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; fd >= 0 && i < 300; i++) {
		if (flock(fd, how | LOCK_NB) == 0)
			return fd;
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

int runtime_dir_guard(void)
{
	return lock(LOCK_SH);
}

void runtime_dir_release(int guard)
{
	if (guard >= 0)
		close(guard);
}

void runtime_dir_prefix(const char *name, char *prefix, size_t size)
{
	if (name)
		snprintf(prefix, size, "ccn-%.40s", name);
	else
		snprintf(prefix, size, "ccn-%d", (int)getpid());
	for (char *c = prefix; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			*c = '-';
}

/* The process that serves a telemetry socket, which is what it says first; 0: nobody does, -1: it is
 * no such socket, or too young to tell. */
static int served_by(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval patience = {.tv_usec = 200000};
	struct stat status;
	char hello[256] = "";
	const char *pid;
	int fd, result;

	if (strlen(path) >= sizeof(address.sun_path) || lstat(path, &status) < 0 ||
	    !S_ISSOCK(status.st_mode))
		return -1;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	result = connect(fd, (const void *)&address, sizeof(address));
	if (result == 0 && recv(fd, hello, sizeof(hello) - 1, 0) < 0)
		hello[0] = '\0';
	close(fd);
	if (result < 0)
		return time(NULL) - status.st_mtime < YOUNG_S ? -1 : 0;
	pid = strstr(hello, "\"pid\":");
	return pid ? atoi(pid + 6) : -1;
}

/* Removes the sockets that `owner` serves (0: nobody), and the directory if nothing is left. */
static void sweep(const char *directory, int owner)
{
	int guard = lock(LOCK_EX);
	DIR *list = guard >= 0 ? opendir(directory) : NULL;
	const struct dirent *entry;

	while (list && (entry = readdir(list))) {
		char path[1024];

		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		if (!strncmp(entry->d_name, "dpdk_telemetry", 14) && served_by(path) == owner)
			unlink(path);
	}
	if (list)
		closedir(list);
	if (guard >= 0)
		rmdir(directory); /* fails while somebody lives there */
	runtime_dir_release(guard);
}

void runtime_dir_sweep(void)
{
	char all[320];
	DIR *list;
	const struct dirent *entry;

	snprintf(all, sizeof(all), "%s/dpdk", base());
	list = opendir(all);
	while (list && (entry = readdir(list))) {
		char directory[600];
		struct stat status;

		snprintf(directory, sizeof(directory), "%s/%s", all, entry->d_name);
		/* a young one may be about to get its socket */
		if (!strncmp(entry->d_name, "ccn-", 4) && stat(directory, &status) == 0 &&
		    time(NULL) - status.st_mtime >= YOUNG_S)
			sweep(directory, 0);
	}
	if (list)
		closedir(list);
}

void runtime_dir_remove(const char *prefix)
{
	char directory[400];

	snprintf(directory, sizeof(directory), "%s/dpdk/%s", base(), prefix);
	sweep(directory, (int)getpid());
}

void runtime_dir_keep(const char *prefix, bool telemetry)
{
	if (telemetry)
		snprintf(kept, sizeof(kept), "%s", prefix);
	else
		runtime_dir_remove(prefix);
}

void runtime_dir_end(void)
{
	if (*kept)
		runtime_dir_remove(kept);
}
