//go:build cgo && customenv

// Functions of libc that are replaced for the C libraries in this process. The
// linker has to export them (see "make worker"); gateWorks looks whether it did.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "_cgo_export.h"

// OpenCV 4.6 gives ffmpeg's decoder a thread for each processor of the machine,
// and each thread adds one frame of delay: at 30 frames/s 40 ms with one, 536 ms
// with 16. No option of OpenCV or ffmpeg changes that. So there is one processor
// as far as libraries can see.
long sysconf(int name)
{
	static long (*libc)(int);

	if (name == _SC_NPROCESSORS_ONLN || name == _SC_NPROCESSORS_CONF)
		return 1;
	if (!libc)
		libc = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
	return libc(name);
}

static int refused(const void *address, socklen_t length)
{
	if (!address || !gateRefuses((void *)address, (int)length))
		return 0;
	errno = EACCES;
	return 1;
}

// ffmpeg resolves names and follows RTSP redirects by itself. Here is the one
// place that each of its connections and datagrams comes through.
int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	int end;

	if (refused(address, length))
		return -1;
	// A source over TLS: the socket becomes the tunnel's end.
	end = address ? gateTunnel((void *)address, (int)length) : -1;
	if (end >= 0)
		return dup3(end, fd, O_CLOEXEC) < 0 ? -1 : 0;
	return (int)syscall(SYS_connect, fd, address, length);
}

ssize_t sendto(int fd, const void *data, size_t n, int flags, const struct sockaddr *address, socklen_t length)
{
	if (refused(address, length))
		return -1;
	return syscall(SYS_sendto, fd, data, n, flags, address, length);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (message && refused(message->msg_name, message->msg_namelen))
		return -1;
	return syscall(SYS_sendmsg, fd, message, flags);
}

// What libraries bind to by these names.
int gateIsBound(void)
{
	return dlsym(RTLD_DEFAULT, "sysconf") == (void *)sysconf &&
	       dlsym(RTLD_DEFAULT, "connect") == (void *)connect &&
	       dlsym(RTLD_DEFAULT, "sendto") == (void *)sendto &&
	       dlsym(RTLD_DEFAULT, "sendmsg") == (void *)sendmsg;
}
