/* Load for an echo server, from one process: asks, checks every byte of the answers, tells the rate as JSON.
 *
 *   load echo PORT CONNECTIONS BYTES SECONDS    ping-pong on each connection: messages per second, latency
 *   load connects PORT AT_ONCE BYTES SECONDS    connect, one exchange, half-close, wait for the end: per second
 *   load hold PORT CONNECTIONS BYTES            one exchange on each, then hold them until stdin ends
 *
 * Whatever does not come back, or comes back wrong, is an error and exit code 1, never a figure.
 */
#include "bench.h"
#include <fcntl.h>
#include <sys/epoll.h>

#define PATIENCE 20 /* seconds */
#define EVENTS 512

struct connection {
    int sock;
    unsigned number;   /* of the message under way */
    size_t got;        /* bytes of it that are back */
    int64_t asked;     /* when it was sent */
};

static struct connection *connections;
static struct place server;
static size_t size;
static int epoll;
static unsigned opened;

/* --- latency: 32 buckets for each power of two, that is at most 3 % off */

#define FINE 5
static uint64_t histogram[64 << FINE];

static void count_latency(int64_t nanoseconds) {
    uint64_t value = nanoseconds > 0 ? nanoseconds : 1;
    int power = 63 - __builtin_clzll(value);
    uint64_t part = power > FINE ? (value >> (power - FINE)) & ((1 << FINE) - 1) : 0;
    histogram[((uint64_t)power << FINE) + part]++;
}

static double percentile(double share) {
    uint64_t all = 0, seen = 0;
    for (size_t i = 0; i < sizeof histogram / sizeof *histogram; i++) all += histogram[i];
    for (size_t i = 0; i < sizeof histogram / sizeof *histogram; i++) {
        seen += histogram[i];
        if (seen && seen >= share * all)
            return (double)(1ULL << (i >> FINE)) * (1 + (i & ((1 << FINE) - 1)) / (double)(1 << FINE)) / 1000;
    }
    return 0;
}

/* --- a connection */

static void send_message(unsigned index) {
    struct connection *connection = &connections[index];
    connection->got = 0;
    connection->asked = now();
    if (send(connection->sock, message(index, connection->number), size, MSG_NOSIGNAL) != (ssize_t)size)
        give_up("connection %u: message %u was not taken whole", index, connection->number);
}

/* Read once: whether the answer is complete now. */
static int read_answer(unsigned index) {
    struct connection *connection = &connections[index];
    unsigned char data[LARGEST];
    ssize_t count = recv(connection->sock, data, size - connection->got, 0);
    if (count < 0 && errno == EAGAIN && fcntl(connection->sock, F_GETFL) & O_NONBLOCK) return 0;
    if (count <= 0) {
        if (!count) errno = 0;
        give_up("connection %u: no answer to message %u", index, connection->number);
    }
    if (memcmp(data, message(index, connection->number) + connection->got, count)) {
        errno = 0;
        give_up("connection %u: the answer to message %u is wrong", index, connection->number);
    }
    connection->got += count;
    return connection->got == size;
}

static int open_socket(int flags) {
    int sock = socket(AF_INET, SOCK_STREAM | flags, 0);
    if (sock < 0) give_up("socket");
    no_delay(sock);
    bind_source(sock, opened++);
    return sock;
}

static void watch(unsigned index, int how) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    if (epoll_ctl(epoll, how, connections[index].sock, &event)) give_up("epoll_ctl");
}

/* All of them, one after another, each with an exchange: then each is known to be served. */
static void connect_all(unsigned count) {
    struct timeval patience = {.tv_sec = PATIENCE};
    for (unsigned index = 0; index < count; index++) {
        struct connection *connection = &connections[index];
        connection->sock = open_socket(0);
        setsockopt(connection->sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (connect(connection->sock, &server.address.any, server.length)) give_up("connection %u", index);
        send_message(index);
        while (!read_answer(index)) {}
        fcntl(connection->sock, F_SETFL, O_NONBLOCK);
    }
}

static int wait_for(struct epoll_event *events) {
    int ready = epoll_wait(epoll, events, EVENTS, PATIENCE * 1000);
    if (ready > 0) return ready;
    if (!ready) errno = 0;
    give_up("the server is silent");
    return 0;
}

/* --- the loads */

static void echo(unsigned count, double seconds) {
    struct epoll_event events[EVENTS];
    connect_all(count);
    int64_t begin = now() + warm_up(seconds), end = begin + (int64_t)(seconds * NANO), cpu = 0, at, measured = 0;
    uint64_t messages = 0;
    unsigned under_way = count;
    for (unsigned index = 0; index < count; index++) {
        watch(index, EPOLL_CTL_ADD);
        connections[index].number++;
        send_message(index);
    }
    while (under_way) { /* after the end nothing is asked any more, and all answers still have to come */
        int ready = wait_for(events);
        for (int i = 0; i < ready; i++) {
            unsigned index = events[i].data.u32;
            if (!read_answer(index)) continue;
            at = now();
            if (at >= begin && at < end) {
                if (!cpu) cpu = cpu_time();
                messages++;
                count_latency(at - connections[index].asked);
            }
            if (at >= end) {
                if (!measured) measured = cpu_time() - cpu;
                under_way--;
                continue;
            }
            connections[index].number++;
            send_message(index);
        }
    }
    if (!messages) errno = 0, give_up("not one answer within %g s", seconds);
    printf("{\"per_second\": %.1f, \"p50\": %.1f, \"p99\": %.1f, \"busy\": %.3f}\n", messages / seconds,
           percentile(0.5), percentile(0.99), measured / (seconds * NANO));
}

static void begin_one(unsigned index) {
    struct connection *connection = &connections[index];
    struct epoll_event event = {.events = EPOLLOUT, .data.u32 = index};
    connection->sock = open_socket(SOCK_NONBLOCK);
    connection->number++;
    connection->got = 0;
    if (connect(connection->sock, &server.address.any, server.length) && errno != EINPROGRESS) give_up("connect");
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->sock, &event)) give_up("epoll_ctl");
}

/* One step of connect, exchange, half-close, end: whether the connection is over. */
static int step(unsigned index, uint32_t events) {
    struct connection *connection = &connections[index];
    if (events & EPOLLOUT) {
        send_message(index);
        watch(index, EPOLL_CTL_MOD);
        return 0;
    }
    if (connection->got < size) {
        if (read_answer(index)) shutdown(connection->sock, SHUT_WR);
        return 0;
    }
    char byte;
    ssize_t count = recv(connection->sock, &byte, 1, 0);
    if (count < 0 && errno == EAGAIN) return 0;
    if (count) give_up(count > 0 ? "more came back than was sent" : "the end");
    close(connection->sock);
    connection->got = 0;
    return 1;
}

/* Whether one has been answered and has not ended: that may not be given up. Those nobody has accepted may. */
static int unfinished(unsigned at_once) {
    for (unsigned index = 0; index < at_once; index++)
        if (connections[index].got) return 1;
    return 0;
}

static void connects(unsigned at_once, double seconds) {
    struct epoll_event events[EVENTS];
    for (unsigned index = 0; index < at_once; index++) begin_one(index);
    int64_t begin = now() + warm_up(seconds), end = begin + (int64_t)(seconds * NANO), cpu = cpu_time(), at;
    uint64_t complete = 0;
    while (now() < end || unfinished(at_once)) {
        int ready = wait_for(events);
        for (int i = 0; i < ready; i++) {
            if (!step(events[i].data.u32, events[i].events)) continue;
            at = now();
            complete += at >= begin && at < end;
            if (at < end) begin_one(events[i].data.u32);
        }
    }
    printf("{\"per_second\": %.1f, \"busy\": %.3f}\n", complete / seconds,
           (cpu_time() - cpu) / (double)(now() - begin + warm_up(seconds)));
}

static void hold(unsigned count) {
    char byte;
    connect_all(count);
    printf("{\"connections\": %u}\n", count);
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {}
}

int main(int words, char **word) {
    if (words < 5) give_up("load echo|connects|hold PORT CONNECTIONS BYTES [SECONDS]");
    unsigned count = atoi(word[3]);
    double seconds = words > 5 ? atof(word[5]) : 0;
    server = place_of(word[2]);
    size = atoi(word[4]);
    if (!count || !size || size > LARGEST) give_up("connections and bytes: 1 to 65536");
    connections = calloc(count, sizeof *connections);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    open_many_files();
    make_noise();
    if (!strcmp(word[1], "echo")) echo(count, seconds);
    else if (!strcmp(word[1], "connects")) connects(count, seconds);
    else if (!strcmp(word[1], "hold")) hold(count);
    else give_up("%s: no such load", word[1]);
    return 0;
}
