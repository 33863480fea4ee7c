/* Datagrams: a sender and a receiver that are not the bottleneck, and a pipe that keeps packets apart.
 *
 *   datagrams packets BYTES COUNT      COUNT packets of BYTES into stdout, a pipe with O_DIRECT (pipe(7)): each read
 *                                      of it gives one, so a netcat that sends what it reads sends that size
 *   datagrams count BYTES              bind a port, tell it, count what arrives whole until there is silence
 *   datagrams flood PORT BYTES SECONDS send as fast as the system lets us
 *
 * Each result is one line of JSON. Datagrams get lost where the receiver is slower: what counts is what arrives.
 */
#include "bench.h"
#include <poll.h>

#define BATCH 64
#define SILENCE 400 /* milliseconds that mean the end, once something has come */
#define PATIENCE 20000

static void packets(size_t size, uint64_t count) {
    while (count--)
        if (write(1, message(0, count), size) != (ssize_t)size) give_up("write");
}

static int bound_socket(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int sock = socket(AF_INET, SOCK_DGRAM, 0), room = 64 << 20;
    setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &room, sizeof room); /* the system caps it */
    if (bind(sock, (struct sockaddr *)&address, length)) give_up("bind");
    getsockname(sock, (struct sockaddr *)&address, &length);
    printf("{\"port\": %d}\n", ntohs(address.sin_port));
    fflush(stdout);
    return sock;
}

static void count(size_t size) {
    static unsigned char data[BATCH][2048];
    struct iovec pieces[BATCH];
    struct mmsghdr messages[BATCH];
    uint64_t whole = 0, other = 0;
    int64_t first = 0, last = 0;
    int sock = bound_socket();
    struct pollfd readable = {.fd = sock, .events = POLLIN};
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        pieces[i] = (struct iovec){data[i], sizeof data[i]};
        messages[i].msg_hdr.msg_iov = &pieces[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    while (poll(&readable, 1, first ? SILENCE : PATIENCE) > 0) {
        int got = recvmmsg(sock, messages, BATCH, MSG_DONTWAIT, NULL);
        if (got < 0) give_up("recvmmsg");
        last = now();
        if (!first) first = last;
        for (int i = 0; i < got; i++) *(messages[i].msg_len == size ? &whole : &other) += 1;
    }
    printf("{\"whole\": %llu, \"other\": %llu, \"seconds\": %.6f}\n", (unsigned long long)whole,
           (unsigned long long)other, (last - first) / (double)NANO);
}

static void flood(const char *port, size_t size, double seconds) {
    struct place place = place_of(port);
    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    int64_t begin = now(), end = begin + (int64_t)(seconds * NANO);
    uint64_t sent = 0;
    if (connect(sock, &place.address.any, place.length)) give_up("connect");
    while (now() < end)
        for (int i = 0; i < BATCH; i++, sent++)
            if (send(sock, message(0, 0), size, 0) < 0) give_up("send");
    printf("{\"sent\": %llu, \"seconds\": %.6f}\n", (unsigned long long)sent, (now() - begin) / (double)NANO);
}

int main(int words, char **word) {
    make_noise();
    if (words > 3 && !strcmp(word[1], "packets")) packets(atoi(word[2]), strtoull(word[3], 0, 10));
    else if (words > 2 && !strcmp(word[1], "count")) count(atoi(word[2]));
    else if (words > 4 && !strcmp(word[1], "flood")) flood(word[2], atoi(word[3]), atof(word[4]));
    else give_up("datagrams packets|count|flood ...");
    return 0;
}
