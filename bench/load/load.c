// What wrk cannot do: WebSockets, transfers, event streams, connections that only wait. Talks to 127.0.0.1:PORT.
//
//   load ws       PORT HEAD CONNECTIONS SECONDS SIZE   {"messages":…,"seconds":…}  each sent, echoed and read again
//   load idle     PORT HEAD CONNECTIONS                opens WebSockets, says READY, holds them until stdin ends
//   load down     PORT HEAD BYTES                      {"bytes":…,"seconds":…}
//   load up       PORT HEAD BYTES length|chunked       {"bytes":…,"seconds":…}
//   load events   PORT HEAD COUNT MS                   {"p50_us":…,"p99_us":…}  from written upstream to read here
//   load no-read  PORT HEAD BYTES                      asks for BYTES, reads the head only, says READY, waits for stdin
//   load no-take  PORT HEAD BYTES                      sends BYTES to an upstream that never reads them, likewise
//
// HEAD is a file with header lines, each ended by CR LF. Anything unexpected ends it with exit code 1 and a reason.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 64 * 1024, BUFFER = 256 * 1024, PATIENCE_S = 30 };
static char buffer[BUFFER + 1];
static char own_lines[16 * 1024];
static int port;

static void die(const char *what) {
    fprintf(stderr, "load: %s (%s)\n", what, strerror(errno));
    exit(1);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int dial(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) die("cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

static void send_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0) die("cannot send");
        data += sent;
        size -= (size_t)sent;
    }
}

static size_t receive(int fd, size_t at) {
    ssize_t got = recv(fd, buffer + at, BUFFER - at, 0);
    if (got <= 0) die("the answer ended early");
    return (size_t)got;
}

static void ask(int fd, const char *method, const char *path, const char *more) {
    char head[20 * 1024];
    int size = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: bench.test\r\n%s%s\r\n", method, path, more, own_lines);
    send_all(fd, head, (size_t)size);
}

// Reads an answer's head into `buffer`, checks its status; returns how many bytes of the body came along, at *body.
static size_t answered(int fd, const char *status, char **body) {
    size_t size = 0;
    char *end;
    do {
        size += receive(fd, size);
        buffer[size] = 0;
        end = memmem(buffer, size, "\r\n\r\n", 4);
    } while (!end);
    if (strncmp(buffer + 9, status, 3)) {
        fprintf(stderr, "load: expected %s, got: %.60s\n", status, buffer);
        exit(1);
    }
    *body = end + 4;
    return size - (size_t)(end + 4 - buffer);
}

static int open_websocket(void) {
    char *body;
    int fd = dial();
    ask(fd, "GET", "/echo", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    answered(fd, "101", &body);
    return fd;
}

static void wait_for_stdin(void) {
    puts("READY");
    fflush(stdout);
    struct pollfd end = {.fd = 0, .events = POLLIN};
    poll(&end, 1, 120 * 1000);
    _exit(0);
}

struct socket { int fd; size_t sent, got; };

static void websockets(int connections, double duration, size_t size) {
    if (size < 1 || size > 65535) die("a message has 1 to 65535 bytes");
    char *frame = calloc(1, size + 8), event_buffer[PIECE];
    size_t head = size < 126 ? 2 : 4;
    frame[0] = (char)0x82;
    frame[1] = (char)(0x80 | (size < 126 ? size : 126));
    if (size >= 126) frame[2] = (char)(size >> 8), frame[3] = (char)size;
    memcpy(frame + head, "\x12\x34\x56\x78", 4);
    memset(frame + head + 4, 'y', size);
    size_t there = head + 4 + size, back = head + size;
    struct socket *sockets = calloc((size_t)connections, sizeof *sockets);
    int poller = epoll_create1(0);
    for (int i = 0; i < connections; i++) {
        sockets[i].fd = open_websocket();
        fcntl(sockets[i].fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLET, {.ptr = &sockets[i]}};
        epoll_ctl(poller, EPOLL_CTL_ADD, sockets[i].fd, &event);
    }
    uint64_t messages = 0;
    struct epoll_event events[256];
    double began = seconds(), now;
    while ((now = seconds()) < began + duration) {
        int ready = epoll_wait(poller, events, 256, 100);
        for (int i = 0; i < ready; i++) {
            struct socket *s = events[i].data.ptr;
            for (;;) {
                while (s->sent < there) {
                    ssize_t sent = send(s->fd, frame + s->sent, there - s->sent, MSG_NOSIGNAL);
                    if (sent < 0 && errno == EAGAIN) break;
                    if (sent < 0) die("a WebSocket broke");
                    s->sent += (size_t)sent;
                }
                ssize_t got = recv(s->fd, event_buffer, sizeof event_buffer, 0);
                if (got < 0 && errno == EAGAIN) break;
                if (got <= 0) die("a WebSocket ended");
                s->got += (size_t)got;
                if (s->got >= back) {
                    s->got -= back;
                    s->sent = 0;
                    messages++;
                }
            }
        }
    }
    printf("{\"messages\":%llu,\"seconds\":%.4f}\n", (unsigned long long)messages, now - began);
}

static void transferred(uint64_t bytes, double began) {
    printf("{\"bytes\":%llu,\"seconds\":%.4f}\n", (unsigned long long)bytes, seconds() - began);
}

static int ask_for(const char *bytes) {
    char path[64];
    int fd = dial();
    snprintf(path, sizeof path, "/bytes/%s", bytes);
    ask(fd, "GET", path, "");
    return fd;
}

static void download(const char *bytes) {
    double began = seconds();
    char *body;
    int fd = ask_for(bytes);
    uint64_t wanted = strtoull(bytes, NULL, 10), got = answered(fd, "200", &body);
    while (got < wanted) got += receive(fd, 0);
    transferred(got, began);
}

static void upload(uint64_t bytes, int chunked) {
    double began = seconds();
    char more[80] = "Transfer-Encoding: chunked\r\n", *body;
    int fd = dial();
    if (!chunked) snprintf(more, sizeof more, "Content-Length: %llu\r\n", (unsigned long long)bytes);
    ask(fd, "POST", "/sink", more);
    memset(buffer, 'z', PIECE + 16);
    memcpy(buffer, "10000\r\n", 7);
    memcpy(buffer + 7 + PIECE, "\r\n", 2);
    for (uint64_t sent = 0; sent < bytes; sent += PIECE)
        if (chunked) send_all(fd, buffer, 7 + PIECE + 2); else send_all(fd, buffer + 7, PIECE);
    if (chunked) send_all(fd, "0\r\n\r\n", 5);
    if (!answered(fd, "200", &body)) receive(fd, (size_t)(body - buffer));
    if (strtoull(body, NULL, 10) != bytes) die("the upstream did not get what was sent");
    transferred(bytes, began);
}

static int ascending(const void *a, const void *b) {
    double difference = *(const double *)a - *(const double *)b;
    return difference < 0 ? -1 : difference > 0;
}

static void events(int count, const char *milliseconds) {
    char path[64], *body;
    int fd = dial(), seen = 0;
    double *delays = calloc((size_t)count, sizeof *delays);
    snprintf(path, sizeof path, "/ticks/%s", milliseconds);
    ask(fd, "GET", path, "Accept: text/event-stream\r\n");
    answered(fd, "200", &body);  // an event that came with the head was waited for, and does not count
    while (seen < count) {
        size_t size = receive(fd, 0);
        double now = seconds();
        buffer[size] = 0;
        for (char *event = buffer; seen < count && (event = strstr(event, "data: ")); event += 6)
            delays[seen++] = now * 1e6 - (double)strtoull(event + 6, NULL, 10) / 1e3;
    }
    qsort(delays, (size_t)count, sizeof *delays, ascending);
    printf("{\"p50_us\":%.1f,\"p99_us\":%.1f}\n", delays[count / 2], delays[count * 99 / 100]);
}

static void send_to_nobody(uint64_t bytes) {
    char more[80];
    int fd = dial();
    snprintf(more, sizeof more, "Content-Length: %llu\r\n", (unsigned long long)bytes);
    ask(fd, "POST", "/hold", more);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    puts("READY");
    fflush(stdout);
    struct pollfd either[2] = {{.fd = 0, .events = POLLIN}, {.fd = fd, .events = POLLOUT}};
    for (uint64_t sent = 0; sent < bytes && poll(either, 2, 120 * 1000) > 0 && !either[0].revents;) {
        ssize_t piece = send(fd, buffer, PIECE, MSG_NOSIGNAL);
        if (piece < 0 && errno != EAGAIN) die("cannot send");
        sent += piece > 0 ? (uint64_t)piece : 0;
    }
}

int main(int count, char **arguments) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (count < 5) die("too few arguments");
    const char *what = arguments[1], *first = arguments[4], *second = count > 5 ? arguments[5] : "";
    port = atoi(arguments[2]);
    FILE *lines = fopen(arguments[3], "r");
    if (!lines) die("cannot read the header lines");
    own_lines[fread(own_lines, 1, sizeof own_lines - 1, lines)] = 0;
    if (!strcmp(what, "ws") && count > 6)
        websockets(atoi(first), atof(second), strtoull(arguments[6], NULL, 10));
    else if (!strcmp(what, "idle")) {
        for (int i = atoi(first); i > 0; i--) open_websocket();
        wait_for_stdin();
    } else if (!strcmp(what, "down"))
        download(first);
    else if (!strcmp(what, "up"))
        upload(strtoull(first, NULL, 10), !strcmp(second, "chunked"));
    else if (!strcmp(what, "events") && count > 5)
        events(atoi(first), second);
    else if (!strcmp(what, "no-read")) {
        char *body;
        answered(ask_for(first), "200", &body);
        wait_for_stdin();
    } else if (!strcmp(what, "no-take"))
        send_to_nobody(strtoull(first, NULL, 10));
    else
        die("unknown command");
    return 0;
}
