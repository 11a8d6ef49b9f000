// The floor of a loopback round trip: one send, one reply, nothing decoded.
//
// usage: pingpong_client PORT
// command: run BODY_BYTES REPLY_BYTES SECONDS MAX_OPS WARM
#include "helper.h"

struct ping {
  int fd;
  unsigned char* request;
  unsigned char* reply;
  size_t request_bytes;
  size_t reply_bytes;
};

static bool exchange(void* context) {
  struct ping* p = context;
  if (!send_all(p->fd, p->request, p->request_bytes)) return false;
  size_t have = 0;
  while (have < p->reply_bytes) {
    ssize_t n = recv(p->fd, p->reply + have, p->reply_bytes - have, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    have += (size_t)n;
  }
  return true;
}

static bool run(struct ping* p, uint32_t body, uint32_t reply, double seconds, long max_ops, long warm,
                double* samples) {
  p->request_bytes = 8 + (size_t)body;
  p->reply_bytes = reply;
  p->request = malloc(p->request_bytes);
  p->reply = malloc(reply + 1);
  bool ok = p->request != NULL && p->reply != NULL;
  double cpu_total = 0;
  long n = -1;
  if (ok) {
    uint32_t head[2] = {body, reply};
    memset(p->request, 0x33, p->request_bytes);
    memset(p->reply, 0, reply + 1);
    memcpy(p->request, head, sizeof head);
    n = measure(exchange, p, seconds, max_ops, warm, samples, &cpu_total);
  }
  if (n > 0) {
    print_samples(samples, n, cpu_total, reply);
  } else {
    print_error(ok ? "the ping-pong connection failed" : "out of memory");
  }
  free(p->request);
  free(p->reply);
  return n > 0;
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: pingpong_client PORT\n");
    return 2;
  }
  struct ping p = {.fd = dial(atoi(argv[1]))};
  double* samples = malloc(sizeof(double) * kMaxSamples);
  if (p.fd < 0 || samples == NULL) {
    perror("pingpong_client");
    return 1;
  }
  char line[256];
  while (fgets(line, sizeof line, stdin) != NULL) {
    unsigned body, reply;
    double seconds;
    long max_ops, warm;
    if (sscanf(line, "run %u %u %lf %ld %ld", &body, &reply, &seconds, &max_ops, &warm) != 5) {
      print_error("expected: run BODY_BYTES REPLY_BYTES SECONDS MAX_OPS WARM");
      continue;
    }
    if (!run(&p, body, reply, seconds, max_ops, warm, samples)) return 1;
  }
  free(samples);
  close(p.fd);
  return 0;
}
