// Shared by the native benchmark helpers: clocks, a connected socket and the line protocol.
//
// A helper is a long-running process. It reads one command a line from stdin and answers each with one JSON line:
// {"samples_us": [...], "cpu_us": total, ...} or {"error": "why"}. End of file ends it.
#pragma once
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { kMaxSamples = 200000, kSocketTimeoutSeconds = 30 };

static inline double wall_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static inline double cpu_us(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e6 + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static inline void print_error(const char* what) {
  printf("{\"error\": \"%s\"}\n", what);
  fflush(stdout);
}

static inline void set_flag(int fd, int option) {
  int one = 1;
  // A refused option costs speed, which the figures show; it must not end the run.
  (void)setsockopt(fd, IPPROTO_TCP, option, &one, sizeof one);
}

// Connected to the loopback port, TCP_NODELAY on, every wait bounded. Returns -1 with errno set on failure.
static inline int dial(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  struct timeval limit = {.tv_sec = kSocketTimeoutSeconds};
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
      connect(fd, (struct sockaddr*)&address, sizeof address) != 0) {
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
  }
  set_flag(fd, TCP_NODELAY);
  return fd;
}

static inline bool send_all(int fd, const unsigned char* bytes, size_t length) {
  while (length > 0) {
    ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes += n;
    length -= (size_t)n;
  }
  return true;
}

// One timed exchange; false ends the measurement with an error.
typedef bool (*exchange_fn)(void* context);

// Times `exchange` for about `seconds` or `max_ops` times, after `warm` untimed ones; the count, or -1 on failure.
static inline long measure(exchange_fn exchange, void* context, double seconds, long max_ops, long warm,
                           double* samples, double* cpu_total) {
  for (long i = 0; i < warm; i++) {
    if (!exchange(context)) return -1;
  }
  if (max_ops > kMaxSamples) max_ops = kMaxSamples;
  double cpu_start = cpu_us();
  double end = wall_us() + seconds * 1e6;
  long n = 0;
  while (n < max_ops) {
    double start = wall_us();
    if (!exchange(context)) return -1;
    double stop = wall_us();
    samples[n++] = stop - start;
    if (stop >= end) break;
  }
  *cpu_total = cpu_us() - cpu_start;
  return n;
}

static inline void print_samples(const double* samples, long n, double cpu_total, unsigned long long reply_bytes) {
  printf("{\"cpu_us\": %.1f, \"reply_bytes\": %llu, \"samples_us\": [", cpu_total, reply_bytes);
  for (long i = 0; i < n; i++) printf("%s%.2f", i == 0 ? "" : ",", samples[i]);
  printf("]}\n");
  fflush(stdout);
}
