// The other half of the ping-pong floor: no protocol, no store, one blocking thread a connection.
//
// usage: pingpong_server PORT
// request: u32 body_bytes, u32 reply_bytes (host order), body. reply: reply_bytes bytes.
#include "helper.h"

#include <pthread.h>

enum { kReplyBytesMax = 65 << 20, kBodyBuffer = 1 << 18 };

static unsigned char* reply_bytes_source;

static bool receive_exactly(int fd, unsigned char* into, size_t length) {
  while (length > 0) {
    ssize_t n = recv(fd, into, length, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    into += n;
    length -= (size_t)n;
  }
  return true;
}

// Small requests arrive whole, so header and body cost one receive, as they would in any sensible server.
static bool serve_one(int fd, unsigned char* buffer) {
  size_t have = 0;
  while (have < 8) {
    ssize_t n = recv(fd, buffer + have, kBodyBuffer - have, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    have += (size_t)n;
  }
  uint32_t head[2];
  memcpy(head, buffer, sizeof head);
  if (head[1] > kReplyBytesMax || have - 8 > head[0]) return false;
  size_t left = head[0] - (have - 8);
  while (left > 0) {
    size_t piece = left < kBodyBuffer ? left : kBodyBuffer;
    if (!receive_exactly(fd, buffer, piece)) return false;
    left -= piece;
  }
  return send_all(fd, reply_bytes_source, head[1]);
}

static void* serve(void* argument) {
  int fd = (int)(intptr_t)argument;
  unsigned char* buffer = malloc(kBodyBuffer);
  set_flag(fd, TCP_NODELAY);
  while (buffer != NULL && serve_one(fd, buffer)) {
  }
  free(buffer);
  close(fd);
  return NULL;
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: pingpong_server PORT\n");
    return 2;
  }
  reply_bytes_source = malloc(kReplyBytesMax);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int one = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (reply_bytes_source == NULL || listener < 0 ||
      setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
      bind(listener, (struct sockaddr*)&address, sizeof address) != 0 || listen(listener, 1024) != 0) {
    perror("pingpong_server");
    return 1;
  }
  memset(reply_bytes_source, 0x5a, kReplyBytesMax);  // touched now, so that no reply pays for fresh pages
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) continue;
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, (void*)(intptr_t)fd) != 0) {
      close(fd);
      continue;
    }
    pthread_detach(thread);
  }
}
