/*
 * Load over HTTP/1.1 with keep-alive on one thread: closed loop (each connection sends its next request when it has the
 * response to the last) or, with -r, open loop: requests are due at a constant rate whatever the server does. A latency
 * counts from when the request was due, so that a request that had to wait for a free connection waits in the figures, too
 * (otherwise a slow server would slow down its own measurement: coordinated omission).
 *
 * Usage: load [-c CONNECTIONS] [-d SECONDS] [-r REQUESTS/S] [-n HOSTS] [-w] PORT PATH
 *
 * With -n the requests go to the hosts app1.example, app2.example, ... in turn. With -w the measured time of a closed loop begins, and is announced as "measuring", when as many requests as there are
 * connections have been answered: as many are under way then as at the end. First each connection gets one response. Then it writes "ready", waits for a line on its standard input, runs, and writes the result as one line of JSON. Its
 * connections stay open until its standard input ends, so that closing them is not in anyone's figures.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_ROOM = 16384, EVENTS = 256, DRAIN_SECONDS = 3, WARM_UP_SECONDS = 30 };

struct connection {
    int fd;
    int busy;
    int64_t due;          /* when its request was due, in ns */
    size_t head_length;   /* bytes of the head so far, while `body` is -1 */
    int64_t body;         /* bytes of the body that are missing, or -1 */
    char head[HEAD_ROOM];
};

static struct connection *connections;
static int connection_count = 16, hosts = 0, ramp = 0, poller, port;
static int *idle, idle_count;
static const char *path;
static double seconds = 1, rate = 0;
static uint32_t *latencies;
static size_t latency_count, latency_room;
static uint64_t answered, failed, bytes, sent;
static int measuring;

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void open_connection(struct connection *it) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = it};
    int on = 1;
    it->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (it->fd < 0) die("socket");
    if (connect(it->fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    setsockopt(it->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fcntl(it->fd, F_SETFL, O_NONBLOCK)) die("fcntl");
    if (epoll_ctl(poller, EPOLL_CTL_ADD, it->fd, &event)) die("epoll_ctl");
    it->busy = 0;
}

static void record(struct connection *it, int ok) {
    int64_t micro = (now() - it->due) / 1000;
    it->busy = 0;
    if (!measuring) return;
    if (!ok) failed++;
    answered += ok;
    if (latency_count == latency_room) {
        latency_room = latency_room ? latency_room * 2 : 65536;
        latencies = realloc(latencies, latency_room * sizeof *latencies);
        if (!latencies) die("realloc");
    }
    latencies[latency_count++] = micro > UINT32_MAX ? UINT32_MAX : (uint32_t)micro;
}

/* The connection is of no more use: its request has failed, and another one takes its place. */
static void reopen(struct connection *it) {
    close(it->fd);
    if (it->busy) record(it, 0);
    open_connection(it);
}

static void send_request(struct connection *it, int64_t due) {
    char request[1024];
    int host = hosts ? (int)(sent % hosts) + 1 : 0;
    int length = host ? snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: app%d.example\r\n\r\n", path, host)
                      : snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", path, port);
    sent++;
    it->busy = 1;
    it->due = due;
    it->body = -1;
    it->head_length = 0;
    if (write(it->fd, request, length) != length) reopen(it);
}

/* The head is complete: finds the status and the length of the body. Other framings are not understood. */
static int read_head(struct connection *it, size_t head_end) {
    char *length = strcasestr(it->head, "\r\ncontent-length:");
    if (!length || length > it->head + head_end) return -1;
    it->body = strtoll(length + 17, NULL, 10) - (int64_t)(it->head_length - head_end);
    return strncmp(it->head, "HTTP/1.1 200", 12) ? 0 : 1;
}

/* Reads what there is. Returns whether the response is complete. */
static int read_response(struct connection *it) {
    static char body[262144];
    int in_head = it->body < 0, status = 1;
    char *to = in_head ? it->head + it->head_length : body;
    ssize_t length = read(it->fd, to, in_head ? HEAD_ROOM - 1 - it->head_length : sizeof body);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (length <= 0) {
        int was_busy = it->busy;
        reopen(it);
        return was_busy;
    }
    if (measuring) bytes += length;
    if (!it->busy) return 0;
    if (in_head) {
        it->head_length += length;
        it->head[it->head_length] = 0;
        char *end = strstr(it->head, "\r\n\r\n");
        if (!end && it->head_length < HEAD_ROOM - 1) return 0;
        status = end ? read_head(it, end + 4 - it->head) : -1;
        if (status < 0) {
            reopen(it);
            return 1;
        }
        if (status == 0) failed += measuring;
    } else {
        it->body -= length;
    }
    if (it->body > 0) return 0;
    record(it, 1);
    return 1;
}

static int busy_count(void) {
    int count = 0;
    for (int number = 0; number < connection_count; number++) count += connections[number].busy;
    return count;
}

/* Takes in the responses of requests under way. */
static void settle(void) {
    struct epoll_event events[EVENTS];
    int64_t until = now() + WARM_UP_SECONDS * 1000000000LL;
    while (busy_count()) {
        if (now() > until) {
            fprintf(stderr, "no response on %d of %d connections\n", busy_count(), connection_count);
            exit(1);
        }
        int ready = epoll_wait(poller, events, EVENTS, 100);
        for (int number = 0; number < ready; number++) read_response(events[number].data.ptr);
    }
}

/* One request on each connection, so that all are open before the clock starts. */
static void warm_up(void) {
    for (int number = 0; number < connection_count; number++) {
        open_connection(&connections[number]);
        send_request(&connections[number], now());
        if (number % EVENTS == EVENTS - 1) settle();
    }
    settle();
}

/* Each connection sends its next request when it has a response. Returns when the measured time began. */
static int64_t closed_loop(void) {
    struct epoll_event events[EVENTS];
    int64_t start = now(), end = start + (int64_t)(seconds * 1e9);
    int left = ramp ? connection_count : 0;
    measuring = !left;
    for (int number = 0; number < connection_count; number++) send_request(&connections[number], now());
    while (left || now() < end) {
        int ready = epoll_wait(poller, events, EVENTS, 50);
        for (int number = 0; number < ready; number++) {
            struct connection *it = events[number].data.ptr;
            if (!read_response(it)) continue;
            if (left && !--left) {
                measuring = 1;
                puts("measuring");
                fflush(stdout);
                start = now();
                end = start + (int64_t)(seconds * 1e9);
            }
            do send_request(it, now());
            while (!it->busy && now() < end);
        }
    }
    return start;
}

static void open_loop(int64_t start, int64_t end) {
    struct epoll_event events[EVENTS];
    double interval = 1e9 / rate;
    uint64_t next = 0;
    /* The connection that was idle longest takes the next request. */
    int first = 0;
    for (idle_count = 0; idle_count < connection_count; idle_count++) idle[idle_count] = idle_count;
    for (;;) {
        int64_t due = start + (int64_t)(next * interval);
        while (due <= now() && due < end && idle_count) {
            int number = idle[first];
            first = (first + 1) % connection_count;
            send_request(&connections[number], due);
            /* A connection that failed at once is open again, and the last of the idle ones. */
            if (connections[number].busy) idle_count--;
            else idle[(first + idle_count - 1) % connection_count] = number;
            due = start + (int64_t)(++next * interval);
        }
        if (due >= end && (idle_count == connection_count || now() > end + DRAIN_SECONDS * 1000000000LL)) break;
        int64_t wait = idle_count && due < end ? due - now() : 100000000;
        struct timespec timeout = {0, wait < 0 ? 0 : wait > 100000000 ? 100000000 : wait};
        int ready = epoll_pwait2(poller, events, EVENTS, &timeout, NULL);
        for (int number = 0; number < ready; number++) {
            struct connection *it = events[number].data.ptr;
            if (read_response(it)) idle[(first + idle_count++) % connection_count] = (int)(it - connections);
        }
    }
}

static int by_value(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static uint32_t percentile(double percent) {
    size_t at = (size_t)(latency_count * percent / 100);
    return latency_count ? latencies[at < latency_count ? at : latency_count - 1] : 0;
}

static void report(double took) {
    struct rusage usage;
    /* What is still under way in an open loop never came: it counts as failed, and with the time that it has waited. */
    for (int number = 0; rate && number < connection_count; number++)
        if (connections[number].busy) record(&connections[number], 0);
    measuring = 0;
    qsort(latencies, latency_count, sizeof *latencies, by_value);
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"requests\": %lu, \"seconds\": %.6f, \"failed\": %lu, \"bytes\": %lu, \"p50\": %u, \"p99\": %u, \"p999\": %u, \"max\": %u}\n",
           answered, took, failed, bytes, percentile(50), percentile(99), percentile(99.9), percentile(100));
    fflush(stdout);
}

int main(int argc, char **argv) {
    for (int option; (option = getopt(argc, argv, "c:d:r:n:w")) != -1;) {
        if (option == 'c') connection_count = atoi(optarg);
        else if (option == 'd') seconds = atof(optarg);
        else if (option == 'r') rate = atof(optarg);
        else if (option == 'n') hosts = atoi(optarg);
        else if (option == 'w') ramp = 1;
        else return 2;
    }
    if (argc - optind != 2) return fprintf(stderr, "usage: load [-c CONNECTIONS] [-d SECONDS] [-r RATE] [-n HOSTS] PORT PATH\n"), 2;
    port = atoi(argv[optind]);
    path = argv[optind + 1];
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    connections = calloc(connection_count, sizeof *connections);
    idle = calloc(connection_count, sizeof *idle);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (!connections || !idle || poller < 0) die("start");
    warm_up();
    puts("ready");
    fflush(stdout);
    if (getchar() == EOF) return 0;
    if (rate) {
        int64_t start = now();
        measuring = 1;
        open_loop(start, start + (int64_t)(seconds * 1e9));
        /* The time for late responses is not part of the run. */
        report(seconds);
    } else {
        int64_t start = closed_loop();
        report((now() - start) / 1e9);
    }
    while (getchar() != EOF) continue;
    return 0;
}
