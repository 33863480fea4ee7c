/* The limits: the same work by loops that do nothing else, each with the system calls that do it best.
 *
 *   bare connect PLACE copy|sendfile    stdin to a connection, half-close, the answer to stdout
 *   bare listen PLACE copy|splice       one connection to stdout
 *   bare echo PORT                      epoll, one buffer, many connections
 *   bare http PORT FILE                 every request is answered with the file, by sendfile
 *   bare send PORT                      each read of stdin is a datagram
 *   bare receive PORT                   each datagram to stdout
 *   bare scan PORTS                     connect to each of 1 to PORTS
 *
 * No options, no messages, no care for what a stranger may do: this is what a netcat cannot beat.
 */
#include "bench.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>

static char buffer[PIECE];

static void write_all(int fd, const char *data, ssize_t count) {
    for (ssize_t done = 0, written; done < count; done += written)
        if ((written = write(fd, data + done, count - done)) < 0) give_up("write");
}

/* --- streams */

static void copy(int from, int to) {
    ssize_t count;
    while ((count = read(from, buffer, PIECE)) > 0) write_all(to, buffer, count);
    if (count < 0) give_up("read");
}

static void send_file(int from, int to) {
    ssize_t count;
    while ((count = sendfile(to, from, NULL, 1 << 30)) > 0) {}
    if (count < 0) give_up("sendfile");
}

/* One end of a splice has to be a pipe: where none is, one is put between. */
static void splice_out(int from, int to) {
    int through[2], is_pipe = fcntl(to, F_GETPIPE_SZ) > 0;
    ssize_t count;
    if (!is_pipe && pipe(through)) give_up("pipe");
    if (!is_pipe) fcntl(through[1], F_SETPIPE_SZ, PIECE);
    while ((count = splice(from, NULL, is_pipe ? to : through[1], NULL, PIECE, SPLICE_F_MOVE)) > 0)
        for (ssize_t moved; !is_pipe && count; count -= moved)
            if ((moved = splice(through[0], NULL, to, NULL, count, SPLICE_F_MOVE)) <= 0) give_up("splice");
    if (count < 0) give_up("splice");
}

static void move(const char *how, int from, int to) {
    fcntl(from, F_SETPIPE_SZ, PIECE); /* no pipe: no harm */
    fcntl(to, F_SETPIPE_SZ, PIECE);
    if (!strcmp(how, "sendfile")) send_file(from, to);
    else if (!strcmp(how, "splice")) splice_out(from, to);
    else copy(from, to);
}

static void connect_to(struct place place, const char *how) {
    int sock = socket(place.address.any.sa_family, SOCK_STREAM, 0);
    if (connect(sock, &place.address.any, place.length)) give_up("connect");
    move(how, 0, sock);
    shutdown(sock, SHUT_WR);
    copy(sock, 1);
}

static int listen_at(struct place place, int flags) {
    int sock = socket(place.address.any.sa_family, SOCK_STREAM | flags, 0), one = 1;
    setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(sock, &place.address.any, place.length) || listen(sock, 4096)) give_up("listen");
    return sock;
}

/* --- many connections */

static void send_back(int sock, ssize_t count, int unused) {
    (void)unused;
    if (write(sock, buffer, count) != count) give_up("an answer that does not fit"); /* the load never sends so much */
}

static void send_page(int sock, ssize_t count, int file) {
    (void)count; /* one read is one request */
    off_t at = 0, end = lseek(file, 0, SEEK_END);
    int length = sprintf(buffer, "HTTP/1.1 200 OK\r\nContent-Length: %lld\r\n\r\n", (long long)end);
    send(sock, buffer, length, MSG_MORE);
    fcntl(sock, F_SETFL, 0);
    while (at < end && sendfile(sock, file, &at, end - at) > 0) {}
    fcntl(sock, F_SETFL, O_NONBLOCK);
}

typedef void answerer(int sock, ssize_t count, int file);

static void answer(int sock, answerer *how, int file) {
    ssize_t count = read(sock, buffer, 65536);
    if (count > 0)
        how(sock, count, file);
    else
        close(sock);
}

static void accept_all(int listener, int epoll) {
    struct epoll_event event = {.events = EPOLLIN};
    while ((event.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        no_delay(event.data.fd);
        epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
    }
}

static void serve(struct place place, answerer *how, int file) {
    struct epoll_event events[512], event = {.events = EPOLLIN};
    int listener = listen_at(place, SOCK_NONBLOCK), epoll = epoll_create1(0);
    event.data.fd = listener;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener) accept_all(listener, epoll);
            else answer(events[i].data.fd, how, file);
        }
    }
}

/* --- datagrams */

static void send_packets(struct place place) {
    ssize_t count;
    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    if (connect(sock, &place.address.any, place.length)) give_up("connect");
    while ((count = read(0, buffer, PIECE)) > 0)
        if (send(sock, buffer, count, 0) < 0) give_up("send");
}

static void receive_packets(struct place place) {
    ssize_t count;
    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(sock, &place.address.any, place.length)) give_up("bind");
    while ((count = recv(sock, buffer, 65536, 0)) >= 0) write_all(1, buffer, count);
}

/* --- ports */

static void scan(int ports) {
    for (int port = 1; port <= ports; port++) {
        struct place place = place_of("0");
        int sock = socket(AF_INET, SOCK_STREAM, 0);
        place.address.ipv4.sin_port = htons(port);
        if (!connect(sock, &place.address.any, place.length)) fprintf(stderr, "%d port [tcp/*] succeeded!\n", port);
        close(sock);
    }
}

int main(int words, char **word) {
    const char *what = words > 2 ? word[1] : "", *how = words > 3 ? word[3] : "copy";
    signal(SIGPIPE, SIG_IGN);
    open_many_files();
    if (!strcmp(what, "connect")) connect_to(place_of(word[2]), how);
    else if (!strcmp(what, "listen")) move(how, accept(listen_at(place_of(word[2]), 0), NULL, NULL), 1);
    else if (!strcmp(what, "echo")) serve(place_of(word[2]), send_back, -1);
    else if (!strcmp(what, "http")) serve(place_of(word[2]), send_page, open(how, O_RDONLY));
    else if (!strcmp(what, "send")) send_packets(place_of(word[2]));
    else if (!strcmp(what, "receive")) receive_packets(place_of(word[2]));
    else if (!strcmp(what, "scan")) scan(atoi(word[2]));
    else give_up("bare connect|listen|echo|http|send|receive|scan ...");
    return 0;
}
