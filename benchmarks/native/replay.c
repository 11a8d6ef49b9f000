// The floor of any client against the unmodified real server: sends requests recorded from the real client, masked,
// each with one send, and waits for the End frame of the reply (21-byte muxio frames). Decodes nothing else.
//
// usage: replay PORT DIR frames|joined
//   frames: one WebSocket message for each muxio frame, as recorded
//   joined: all muxio frames of a request in one WebSocket message
// command: run NAME SECONDS MAX_OPS WARM     (DIR/NAME: u32 length in little-endian order and the frame, repeated)
#include "helper.h"

#include <sys/random.h>

enum {
  kBuffer = 1 << 18,
  kFrameKindAt = 12,
  kFrameHeader = 21,
  kStatusAt = kFrameHeader + 15,  // the RPC header is 15 bytes; its one byte of metadata is the status
  kKindOpen = 0,
  kKindEnd = 2,
  kOpBinary = 2,
  kOpClose = 8,
  kMessageBytesMax = 16 << 20,  // the largest WebSocket frame that the server takes
};

struct connection {
  int fd;
  bool reply_started;  // some bytes of the awaited reply are here
  size_t begin, end;   // unread bytes of `buffer`
  unsigned char* buffer;
  const unsigned char* request;
  size_t request_bytes;
  unsigned long long reply_bytes;
  const char* problem;
};

static bool fail(struct connection* c, const char* problem) {
  c->problem = problem;
  return false;
}

// At least one more byte. Acknowledges at once only while a reply is partly here: the server holds back its second
// small segment until then, and arming the option before every wait would cost each call a system call for nothing.
static bool receive_more(struct connection* c) {
  if (c->begin == c->end) {
    c->begin = c->end = 0;
  } else if (c->end == kBuffer) {
    memmove(c->buffer, c->buffer + c->begin, c->end - c->begin);
    c->end -= c->begin;
    c->begin = 0;
  }
  if (c->reply_started) set_flag(c->fd, TCP_QUICKACK);
  ssize_t n;
  do {
    n = recv(c->fd, c->buffer + c->end, kBuffer - c->end, 0);
  } while (n < 0 && errno == EINTR);
  if (n <= 0) return fail(c, n == 0 ? "the server closed the connection" : "no reply from the server in time");
  c->end += (size_t)n;
  c->reply_started = true;
  return true;
}

static bool want(struct connection* c, size_t bytes) {
  while (c->end - c->begin < bytes) {
    if (!receive_more(c)) return false;
  }
  return true;
}

static bool skip(struct connection* c, uint64_t bytes) {
  for (;;) {
    size_t here = c->end - c->begin;
    if (here >= bytes) {
      c->begin += (size_t)bytes;
      return true;
    }
    bytes -= here;
    c->begin = c->end;
    if (!receive_more(c)) return false;
  }
}

// Reads a WebSocket header and steps over it.
static bool read_header(struct connection* c, int* opcode, uint64_t* length) {
  if (!want(c, 2)) return false;
  *opcode = c->buffer[c->begin] & 15;
  unsigned code = c->buffer[c->begin + 1] & 127;
  size_t extra = code == 126 ? 2 : code == 127 ? 8 : 0;
  if (!want(c, 2 + extra)) return false;
  *length = extra == 0 ? code : 0;
  for (size_t i = 0; i < extra; i++) *length = *length << 8 | c->buffer[c->begin + 2 + i];
  c->begin += 2 + extra;
  return true;
}

static bool await_reply(struct connection* c) {
  c->reply_bytes = 0;
  for (;;) {
    int opcode;
    uint64_t length;
    if (!read_header(c, &opcode, &length)) return false;
    if (opcode == kOpClose) return fail(c, "the server sent a Close frame");
    int kind = -1;
    if (opcode == kOpBinary) {
      size_t head = length < kStatusAt + 1 ? (size_t)length : kStatusAt + 1;
      if (head < kFrameHeader) return fail(c, "a message shorter than a frame header");
      if (!want(c, head)) return false;
      kind = c->buffer[c->begin + kFrameKindAt];
      if (kind == kKindOpen && (head <= kStatusAt || c->buffer[c->begin + kStatusAt] != 0)) {
        return fail(c, "the server refused the recorded request");
      }
      c->reply_bytes += length;
    }
    if (!skip(c, length)) return false;
    if (kind == kKindEnd) {
      c->reply_started = c->end > c->begin;
      return true;
    }
  }
}

static bool exchange(void* context) {
  struct connection* c = context;
  if (!send_all(c->fd, c->request, c->request_bytes)) return fail(c, "sending a request failed");
  return await_reply(c);
}

static bool shake_hands(struct connection* c, const char* port) {
  char request[256];
  int n = snprintf(request, sizeof request,
                   "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2ltZHJpdmUtcmVwbGF5IQ==\r\n\r\n",
                   port);
  if (n < 0 || !send_all(c->fd, (unsigned char*)request, (size_t)n)) return fail(c, "sending the handshake failed");
  for (;;) {
    if (!receive_more(c)) return false;
    unsigned char* end = memmem(c->buffer, c->end, "\r\n\r\n", 4);
    if (end == NULL) continue;
    if (c->end < 12 || memcmp(c->buffer, "HTTP/1.1 101", 12) != 0) return fail(c, "the server refused the upgrade");
    c->begin = (size_t)(end + 4 - c->buffer);
    c->reply_started = false;
    return true;
  }
}

// Appends one masked binary WebSocket message; returns the bytes used (at most 14 more than `length`).
static size_t put_message(unsigned char* out, const unsigned char* payload, size_t length) {
  size_t n = 0;
  unsigned char key[4];
  if (getrandom(key, sizeof key, 0) != sizeof key) memcpy(key, "\x5c\xa3\x19\xe7", 4);
  out[n++] = 0x80 | kOpBinary;
  int extra = length < 126 ? 0 : length < 65536 ? 2 : 8;
  out[n++] = (unsigned char)(0x80 | (extra == 0 ? (int)length : extra == 2 ? 126 : 127));
  for (int i = extra - 1; i >= 0; i--) out[n++] = (unsigned char)((uint64_t)length >> (8 * i));
  memcpy(out + n, key, 4);
  n += 4;
  for (size_t i = 0; i < length; i++) out[n + i] = payload[i] ^ key[i & 3];
  return n + length;
}

static unsigned char* read_file(const char* path, size_t* size) {
  FILE* f = fopen(path, "rb");
  if (f == NULL) return NULL;
  unsigned char* bytes = NULL;
  if (fseek(f, 0, SEEK_END) == 0) {
    long end = ftell(f);
    rewind(f);
    bytes = end > 0 ? malloc((size_t)end) : NULL;
    if (bytes != NULL && fread(bytes, 1, (size_t)end, f) != (size_t)end) {
      free(bytes);
      bytes = NULL;
    }
    *size = (size_t)(end > 0 ? end : 0);
  }
  fclose(f);
  return bytes;
}

// The recorded frames as the bytes of one send, NULL when the recording cannot be used.
static unsigned char* load(const char* path, bool joined, size_t* request_bytes) {
  size_t size = 0, used = 0, gathered = 0, at = 0;
  unsigned char* file = read_file(path, &size);
  if (file == NULL) return NULL;
  unsigned char* request = malloc(size * 2 + 4096);  // a message header is at most 14 bytes, a frame at least 21
  bool ok = request != NULL;
  while (ok && at + 4 <= size) {
    uint32_t length =
        (uint32_t)file[at] | (uint32_t)file[at + 1] << 8 | (uint32_t)file[at + 2] << 16 | (uint32_t)file[at + 3] << 24;
    at += 4;
    ok = length <= size - at;
    if (!ok) break;
    if (joined) {
      memmove(file + gathered, file + at, length);
      gathered += length;
    } else {
      used += put_message(request + used, file + at, length);
    }
    at += length;
  }
  if (ok && joined) {
    ok = gathered <= kMessageBytesMax;
    if (ok) used = put_message(request, file, gathered);
  }
  free(file);
  if (!ok || at != size) {
    free(request);
    return NULL;
  }
  *request_bytes = used;
  return request;
}

int main(int argc, char** argv) {
  if (argc != 4 || (strcmp(argv[3], "frames") != 0 && strcmp(argv[3], "joined") != 0)) {
    fprintf(stderr, "usage: replay PORT DIR frames|joined\n");
    return 2;
  }
  struct connection c = {.fd = dial(atoi(argv[1])), .buffer = malloc(kBuffer)};
  double* samples = malloc(sizeof(double) * kMaxSamples);
  if (c.fd < 0 || c.buffer == NULL || samples == NULL) {
    perror("replay");
    return 1;
  }
  if (!shake_hands(&c, argv[1])) {
    fprintf(stderr, "replay: %s\n", c.problem);
    return 1;
  }
  char line[256];
  while (fgets(line, sizeof line, stdin) != NULL) {
    char name[128], path[4096];
    double seconds, cpu_total = 0;
    long max_ops, warm;
    if (sscanf(line, "run %127s %lf %ld %ld", name, &seconds, &max_ops, &warm) != 4) {
      print_error("expected: run NAME SECONDS MAX_OPS WARM");
      continue;
    }
    snprintf(path, sizeof path, "%s/%s", argv[2], name);
    unsigned char* request = load(path, strcmp(argv[3], "joined") == 0, &c.request_bytes);
    if (request == NULL) {
      print_error("no usable recording of that name");
      continue;
    }
    c.request = request;
    long n = measure(exchange, &c, seconds, max_ops, warm, samples, &cpu_total);
    free(request);
    if (n <= 0) {
      print_error(c.problem != NULL ? c.problem : "nothing measured");
      return 1;
    }
    print_samples(samples, n, cpu_total, c.reply_bytes);
  }
  free(samples);
  free(c.buffer);
  close(c.fd);
  return 0;
}
