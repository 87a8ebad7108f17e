// The upstream of the benchmark: one thread that is never the bottleneck. No general HTTP server.
//
//   GET  /               200 with 1 KiB            GET /bytes/N   N bytes with Content-Length
//   POST /sink           reads the body, says how much it was; Content-Length or chunked
//   POST /hold           reads the head and never the body
//   GET  /ticks/MS       an event each MS milliseconds: `data: <CLOCK_MONOTONIC in ns>`
//   GET  /echo           WebSocket that sends every message back
//   GET  /_guard/health  and /_guard/busy, so that it can be a Machine of the local Fly
//
// Usage: backend HOST:PORT, or JARVIS_LISTEN=HOST:PORT backend. IPv4 only.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 256 * 1024, WRITE_SIZE = 64 * 1024, EVENTS = 512 };
enum mode { HEAD, LENGTH_BODY, CHUNKED_BODY, HELD, WEBSOCKET, TICKING };

struct connection {
    int fd;
    enum mode mode;
    bool last;               // close after what is waiting to be written
    uint64_t body_left;      // of a request body, or of the current chunk and its line end
    uint64_t body_seen;
    uint64_t stream_left;    // of an answer from /bytes
    uint64_t tick_ns, next_tick;
    struct connection *before, *after;  // others that tick
    char *in, *out;          // bytes whose turn has not come: an unfinished head or frame, an unwritten answer
    size_t in_size, in_room, out_start, out_size, out_room;
};

static int poller;
static struct connection *ticking;
static char filler[WRITE_SIZE];
static char input[READ_SIZE];

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void keep(char **buffer, size_t *size, size_t *room, const void *data, size_t count) {
    if (*size + count > *room) {
        *room = (*size + count) * 2;
        *buffer = realloc(*buffer, *room);
        if (!*buffer) abort();
    }
    memcpy(*buffer + *size, data, count);
    *size += count;
}

static void say(struct connection *c, const void *data, size_t count) {
    keep(&c->out, &c->out_size, &c->out_room, data, count);
}

static void say_text(struct connection *c, const char *text) { say(c, text, strlen(text)); }

// Writes what is waiting. False if the connection is over.
static bool flush(struct connection *c) {
    while (c->out_start < c->out_size || c->stream_left) {
        bool own = c->out_start < c->out_size;
        size_t left = c->stream_left < WRITE_SIZE ? c->stream_left : WRITE_SIZE;
        ssize_t sent = own ? send(c->fd, c->out + c->out_start, c->out_size - c->out_start, MSG_NOSIGNAL)
                           : send(c->fd, filler, left, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN;
        if (own) c->out_start += (size_t)sent; else c->stream_left -= (size_t)sent;
        if (own && c->out_start == c->out_size) c->out_start = c->out_size = 0;
    }
    return !(c->last && c->mode == HEAD);
}

// The value of a header field in [head, end), or NULL. `name` in lower case.
static const char *field(const char *head, const char *end, const char *name) {
    size_t length = strlen(name);
    for (const char *line = memchr(head, '\n', end - head); line && line + 1 + length < end;
         line = memchr(line + 1, '\n', end - line - 1))
        if (!strncasecmp(line + 1, name, length) && line[1 + length] == ':')
            return line + 2 + length + strspn(line + 2 + length, " ");
    return NULL;
}

static void answer(struct connection *c, const char *type, const char *body, size_t size) {
    char head[512];
    int count = snprintf(head, sizeof head,
        "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nDate: Sun, 22 Nov 2026 19:00:00 GMT\r\nCache-Control: no-cache\r\n"
        "Etag: \"5d41402abc4b2a76b9719d911017c592\"\r\nX-Content-Type-Options: nosniff\r\n%sContent-Length: %zu\r\n\r\n",
        type, c->last ? "Connection: close\r\n" : "", size);
    say(c, head, (size_t)count);
    say(c, body, size);
}

static void answer_json(struct connection *c, const char *text) { answer(c, "application/json", text, strlen(text)); }

static void answer_health(struct connection *c) {
    char text[256];
    const char *machine = getenv("FLY_MACHINE_ID");
    snprintf(text, sizeof text, "{\"status\":\"ready\",\"app\":\"ready\",\"boot_id\":\"bench\",\"machine_id\":\"%s\"}",
             machine ? machine : "");
    answer_json(c, text);
}

static void answer_count(struct connection *c) {
    char body[32];
    c->mode = HEAD;
    answer(c, "text/plain", body, (size_t)snprintf(body, sizeof body, "%llu\n", (unsigned long long)c->body_seen));
}

static void start_ticking(struct connection *c, uint64_t milliseconds) {
    say_text(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                "Transfer-Encoding: chunked\r\n\r\n");
    c->mode = TICKING;
    c->tick_ns = (milliseconds ? milliseconds : 10) * 1000000u;
    c->next_tick = now_ns() + c->tick_ns;
    c->after = ticking;
    if (ticking) ticking->before = c;
    ticking = c;
}

// One request head in [head, end).
static void serve(struct connection *c, const char *head, const char *end) {
    const char *path = (const char *)memchr(head, ' ', end - head) + 1;
    const char *value = field(head, end, "connection");
    const char *line_end = memchr(head, '\r', end - head);
    c->last = (value && !strncasecmp(value, "close", 5)) || !memcmp(line_end - 3, "1.0", 3);
    c->body_seen = 0;
    if ((value = field(head, end, "content-length")) && (c->body_left = strtoull(value, NULL, 10)))
        c->mode = LENGTH_BODY;
    else if (field(head, end, "transfer-encoding")) {
        c->mode = CHUNKED_BODY;
        c->body_left = 0;
    }
    if (!strncmp(path, "/hold", 5))
        c->mode = HELD;
    else if (c->mode != HEAD)
        return;
    else if (!strncmp(path, "/bytes/", 7)) {
        char text[160];
        c->stream_left = strtoull(path + 7, NULL, 10);
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %llu\r\n\r\n",
                 (unsigned long long)c->stream_left);
        say_text(c, text);
    } else if (!strncmp(path, "/ticks/", 7))
        start_ticking(c, strtoull(path + 7, NULL, 10));
    else if (!strncmp(path, "/echo", 5) && field(head, end, "sec-websocket-key")) {
        // Our load generator always sends the key of RFC 6455 §1.3, whose answer is printed there.
        say_text(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
        c->mode = WEBSOCKET;
    } else if (!strncmp(path, "/_guard/health", 14))
        answer_health(c);
    else if (!strncmp(path, "/_guard/busy", 12))
        answer_json(c, "{\"busy\":false,\"reason\":null,\"open_streams\":0}");
    else
        answer(c, "text/html; charset=utf-8", filler, 1024);
}

// Sends one whole client frame back, unmasked. Bytes used, 0 if it is not all here.
static size_t echo(struct connection *c, char *frame, size_t size) {
    if (size < 6) return 0;
    const uint8_t *b = (const uint8_t *)frame;
    size_t head = 2;
    uint64_t length = b[1] & 127;
    if (length > 125) {
        head = length == 126 ? 4 : 10;
        if (size < head + 4) return 0;
        length = 0;
        for (size_t i = 2; i < head; i++) length = length << 8 | b[i];
    }
    if (size < head + 4 + length) return 0;
    char *mask = frame + head, *body = mask + 4;
    for (uint64_t i = 0; i < length; i++) body[i] ^= mask[i & 3];
    int opcode = b[0] & 15;
    char back[10] = {(char)(opcode == 9 ? 0x8a : frame[0]), (char)(frame[1] & 127)};
    memcpy(back + 2, frame + 2, head - 2);
    if (opcode != 10) {  // a pong asks for nothing
        say(c, back, head);
        say(c, body, length);
    }
    if (opcode == 8) {
        c->last = true;
        c->mode = HEAD;
    }
    return head + 4 + length;
}

// Uses up what it can of `data`; returns how much that was.
static size_t use(struct connection *c, char *data, size_t size) {
    size_t used = 0;
    while (used < size) {
        char *rest = data + used;
        size_t left = size - used;
        if (c->mode == LENGTH_BODY || (c->mode == CHUNKED_BODY && c->body_left)) {
            size_t piece = left < c->body_left ? left : c->body_left;
            used += piece;
            c->body_left -= piece;
            c->body_seen += piece;
            if (c->mode == LENGTH_BODY && !c->body_left) answer_count(c);
        } else if (c->mode == CHUNKED_BODY) {
            char *line_end = memchr(rest, '\n', left);
            if (!line_end) break;
            uint64_t chunk = strtoull(rest, NULL, 16);
            if (chunk) {
                used += line_end + 1 - rest;
                c->body_left = chunk + 2;  // with its line end,
                c->body_seen -= 2;         // which is not of the body
            } else {
                char *end = memmem(rest, left, "\r\n\r\n", 4);
                if (!end) break;
                used += end + 4 - rest;
                answer_count(c);
            }
        } else if (c->mode == WEBSOCKET) {
            size_t frame = echo(c, rest, left);
            if (!frame) break;
            used += frame;
        } else if (c->mode == HEAD && !c->stream_left) {
            char *end = memmem(rest, left, "\r\n\r\n", 4);
            if (!end) break;
            used += end + 4 - rest;
            serve(c, rest, end + 2);
        } else
            return size;  // nothing more is expected
    }
    return used;
}

// Reads what there is. False if the connection is over.
static bool readable(struct connection *c) {
    while (c->mode != HELD) {
        ssize_t got = recv(c->fd, input, sizeof input, 0);
        if (got == 0) return false;
        if (got < 0) return errno == EAGAIN;
        char *data = input;
        size_t size = (size_t)got;
        if (c->in_size) {
            keep(&c->in, &c->in_size, &c->in_room, input, size);
            data = c->in;
            size = c->in_size;
        }
        size_t used = use(c, data, size);
        if (data == c->in) {
            memmove(c->in, c->in + used, size - used);
            c->in_size = size - used;
        } else if (used < size)
            keep(&c->in, &c->in_size, &c->in_room, data + used, size - used);
        if (!flush(c)) return false;
    }
    return true;
}

static void drop(struct connection *c) {
    if (c->tick_ns) {
        if (c->before) c->before->after = c->after; else ticking = c->after;
        if (c->after) c->after->before = c->before;
    }
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
}

static void tick(void) {
    uint64_t now = now_ns();
    for (struct connection *c = ticking, *after; c; c = after) {
        after = c->after;
        if (now < c->next_tick) continue;
        char event[64], chunk[96];
        int size = snprintf(event, sizeof event, "data: %llu\n\n", (unsigned long long)now_ns());
        say(c, chunk, (size_t)snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", size, event));
        c->next_tick += c->tick_ns;
        if (!flush(c)) drop(c);
    }
}

static void welcome(int listener) {
    for (int fd, on = 1; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *c = calloc(1, sizeof *c);
        if (!c) abort();
        c->fd = fd;
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

static int listen_on(const char *where) {
    char host[64] = {0};
    const char *colon = where ? strrchr(where, ':') : NULL;
    if (!colon || colon - where >= (long)sizeof host) return -1;
    memcpy(host, where, (size_t)(colon - where));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 8192) ? -1 : fd;
}

int main(int count, char **arguments) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    memset(filler, 'x', sizeof filler);
    int listener = listen_on(count > 1 ? arguments[1] : getenv("JARVIS_LISTEN"));
    if (listener < 0) {
        perror("cannot listen");
        return 1;
    }
    poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, events[EVENTS];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, ticking ? 1 : -1);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c)
                welcome(listener);
            else if (!flush(c) || !readable(c))
                drop(c);
        }
        if (ticking) tick();
    }
}
