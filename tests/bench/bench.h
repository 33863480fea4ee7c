/* What the C programs of the benchmark share: the clock, giving up, addresses, and the bytes that are sent.
 *
 * No measuring and no loop belongs here: load.c, fetch.c, datagrams.c and bare.c have those.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))
#define NANO 1000000000LL
#define PIECE (1 << 20)

UNUSED static void give_up(const char *format, ...) {
    va_list rest;
    int number = errno;
    va_start(rest, format);
    vfprintf(stderr, format, rest);
    va_end(rest);
    fprintf(stderr, number ? ": %s\n" : "\n", strerror(number));
    exit(1);
}

UNUSED static int64_t now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * NANO + at.tv_nsec;
}

/* A rate is taken after a while of the same load, in which connections settle and interpreters warm up. */
UNUSED static int64_t warm_up(double seconds) {
    return (int64_t)((seconds < 0.25 ? seconds : 0.25) * NANO);
}

/* CPU nanoseconds of this process. */
UNUSED static int64_t cpu_time(void) {
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return at.tv_sec * NANO + at.tv_nsec;
}

UNUSED static void open_many_files(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* A place is a port of 127.0.0.1, or with a slash the path of a unix-domain socket. */
struct place {
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_un local;
    } address;
    socklen_t length;
};

UNUSED static struct place place_of(const char *word) {
    struct place place;
    memset(&place, 0, sizeof place);
    if (strchr(word, '/')) {
        place.address.local.sun_family = AF_UNIX;
        strncpy(place.address.local.sun_path, word, sizeof place.address.local.sun_path - 1);
        place.length = sizeof place.address.local;
    } else {
        place.address.ipv4.sin_family = AF_INET;
        place.address.ipv4.sin_port = htons(atoi(word));
        place.address.ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        place.length = sizeof place.address.ipv4;
    }
    return place;
}

UNUSED static void no_delay(int sock) {
    int one = 1;
    setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* A loopback address has 28,000 ports for one destination: connections are spread over 127.0.0.2 to .65. */
UNUSED static void bind_source(int sock, unsigned number) {
    struct sockaddr_in source = {.sin_family = AF_INET};
    int one = 1;
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + number % 64);
    setsockopt(sock, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(sock, (struct sockaddr *)&source, sizeof source)) give_up("bind");
}

/* Bytes without a period, the same in every run. What is sent is a stretch of them, so nothing has to be made. */
#define LARGEST 65536
#define SHIFTS 4096
static unsigned char noise[LARGEST + SHIFTS];

UNUSED static void make_noise(void) {
    uint64_t state = 88172645463325252ULL; /* xorshift64 (Marsaglia 2003) */
    for (size_t i = 0; i < sizeof noise; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        noise[i] = state >> 32;
    }
}

/* Where in the noise the message of this number on this connection begins. */
UNUSED static const unsigned char *message(unsigned connection, unsigned number) {
    return noise + (connection * 37 + number * 101) % SHIFTS;
}
