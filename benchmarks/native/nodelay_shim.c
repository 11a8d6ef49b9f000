// LD_PRELOAD library: TCP options for a program that does not set them and is not to be modified.
//
//   NODELAY_SHIM_NODELAY=1   no Nagle delay: TCP_NODELAY on every connected and accepted TCP socket
//   NODELAY_SHIM_QUICKACK=1  no delayed acknowledgement: TCP_QUICKACK, armed again after every receive, because the
//                            kernel forgets it
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int (*next_connect)(int, const struct sockaddr*, socklen_t);
static int (*next_accept)(int, struct sockaddr*, socklen_t*);
static int (*next_accept4)(int, struct sockaddr*, socklen_t*, int);
static ssize_t (*next_recv)(int, void*, size_t, int);
static ssize_t (*next_recvfrom)(int, void*, size_t, int, struct sockaddr*, socklen_t*);
static bool nodelay, quickack;

static bool asked(const char* name) {
  const char* value = getenv(name);
  return value != NULL && strcmp(value, "1") == 0;
}

// dlsym returns an object pointer; POSIX promises that it can be stored as a function pointer this way.
static void bind_next(void* slot, const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  memcpy(slot, &found, sizeof found);
}

__attribute__((constructor)) static void start(void) {
  bind_next(&next_connect, "connect");
  bind_next(&next_accept, "accept");
  bind_next(&next_accept4, "accept4");
  bind_next(&next_recv, "recv");
  bind_next(&next_recvfrom, "recvfrom");
  nodelay = asked("NODELAY_SHIM_NODELAY");
  quickack = asked("NODELAY_SHIM_QUICKACK");
}

// The program must see the errno of its own call, and a socket that is not TCP simply refuses.
static void turn_on(int fd, int option) {
  int one = 1, saved = errno;
  (void)setsockopt(fd, IPPROTO_TCP, option, &one, sizeof one);
  errno = saved;
}

static int tuned(int fd) {
  if (fd >= 0 && nodelay) turn_on(fd, TCP_NODELAY);
  if (fd >= 0 && quickack) turn_on(fd, TCP_QUICKACK);
  return fd;
}

static ssize_t received(int fd, ssize_t n, int flags) {
  if (quickack && n > 0 && (flags & MSG_PEEK) == 0) turn_on(fd, TCP_QUICKACK);
  return n;
}

int connect(int fd, const struct sockaddr* address, socklen_t length) {
  if (address->sa_family == AF_INET || address->sa_family == AF_INET6) tuned(fd);
  return next_connect(fd, address, length);
}

int accept(int fd, struct sockaddr* address, socklen_t* length) { return tuned(next_accept(fd, address, length)); }

int accept4(int fd, struct sockaddr* address, socklen_t* length, int flags) {
  return tuned(next_accept4(fd, address, length, flags));
}

ssize_t recv(int fd, void* into, size_t length, int flags) {
  return received(fd, next_recv(fd, into, length, flags), flags);
}

ssize_t recvfrom(int fd, void* into, size_t length, int flags, struct sockaddr* address, socklen_t* address_length) {
  return received(fd, next_recvfrom(fd, into, length, flags, address, address_length), flags);
}
