/* Load for an HTTP server: GETs whose every body byte is compared with the file that is served.
 *
 *   fetch many PORT PATH FILE CONNECTIONS SECONDS   keep-alive GETs of a small file: requests per second
 *   fetch one PORT PATH FILE CHECK                  one GET of a large file; CHECK 1: compared, 0: counted
 *
 * A server that closes after an answer is connected to again: that is its own choice and its own cost.
 */
#include "bench.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PATIENCE 20
#define EVENTS 256
#define HEAD 16384

struct client {
    int sock;
    size_t got;   /* bytes of the answer so far */
    size_t head;  /* length of its head, 0 as long as it is not complete */
    int closes;   /* the server said that it will */
    int served;   /* this connection has had an answer: the next may not fail to come */
    char *data;
};

static struct place server;
static const char *file;
static size_t size;
static char request[1024];
static int epoll;
static unsigned opened;

static void map_file(const char *path) {
    struct stat status;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &status)) give_up("%s", path);
    size = status.st_size;
    file = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (file == MAP_FAILED) give_up("%s", path);
}

/* The length of a complete head, else 0. A head that is not "200, these many bytes" is no answer. */
static size_t head_length(char *data, size_t got, int *closes) {
    char *end = memmem(data, got, "\r\n\r\n", 4);
    if (!end) {
        if (got >= HEAD) errno = 0, give_up("a head of more than %d bytes", HEAD);
        return 0;
    }
    char kept = end[2];
    end[2] = 0;
    char *length = strcasestr(data, "\r\nContent-Length:");
    if (strncmp(data, "HTTP/1.", 7) || strncmp(data + 9, "200", 3) || !length || strtoull(length + 17, 0, 10) != size)
        errno = 0, give_up("not the file: %.200s", data);
    *closes = strcasestr(data, "\r\nConnection: close") != NULL;
    *closes |= data[7] == '0' && !strcasestr(data, "\r\nConnection: keep-alive");
    end[2] = kept;
    return end + 4 - data;
}

/* --- one large file */

static void one(int check) {
    char *data = malloc(PIECE);
    size_t got = 0, head = 0, body = 0;
    int closes;
    ssize_t count;
    int sock = socket(AF_INET, SOCK_STREAM, 0);
    int64_t begin = now();
    if (connect(sock, &server.address.any, server.length)) give_up("connect");
    if (send(sock, request, strlen(request), 0) < 0) give_up("send");
    while (!head) {
        if ((count = recv(sock, data + got, HEAD - got, 0)) <= 0) give_up("no answer");
        got += count;
        head = head_length(data, got, &closes);
    }
    body = got - head;
    if (memcmp(data + head, file, body)) errno = 0, give_up("the body is wrong");
    while (body < size) {
        if ((count = recv(sock, data, PIECE, 0)) <= 0) give_up("%zu of %zu bytes arrived", body, size);
        if ((size_t)count > size - body || (check && memcmp(data, file + body, count)))
            errno = 0, give_up("the body is wrong");
        body += count;
    }
    printf("{\"bytes\": %zu, \"seconds\": %.6f}\n", body, (now() - begin) / (double)NANO);
}

/* --- many small ones */

static void ask(struct client *client) {
    client->got = client->head = 0;
    if (send(client->sock, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request)) give_up("send");
}

static void watch(struct client *client, int how, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(epoll, how, client->sock, &event)) give_up("epoll_ctl");
}

static void begin_one(struct client *client) {
    client->sock = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    client->got = client->head = client->served = 0;
    no_delay(client->sock);
    bind_source(client->sock, opened++);
    if (connect(client->sock, &server.address.any, server.length) && errno != EINPROGRESS) give_up("connect");
    watch(client, EPOLL_CTL_ADD, EPOLLOUT);
}

/* Read once: whether the answer is complete now, and right. */
static int read_answer(struct client *client) {
    ssize_t count = recv(client->sock, client->data + client->got, HEAD + size - client->got, 0);
    if (count < 0 && errno == EAGAIN) return 0;
    if (count <= 0) {
        if (!count) errno = 0;
        give_up("the connection ended after %zu bytes of an answer", client->got);
    }
    client->got += count;
    if (!client->head) client->head = head_length(client->data, client->got, &client->closes);
    if (!client->head || client->got < client->head + size) return 0;
    if (client->got > client->head + size || memcmp(client->data + client->head, file, size))
        errno = 0, give_up("the body is wrong");
    return 1;
}

static int answered(struct client *client, uint32_t events) {
    if (events & EPOLLOUT) {
        ask(client);
        watch(client, EPOLL_CTL_MOD, EPOLLIN);
        return 0;
    }
    return read_answer(client);
}

static void again(struct client *client) {
    if (!client->closes) {
        ask(client);
        return;
    }
    close(client->sock);
    begin_one(client);
}

/* Whether one still has to be answered. Connections that nobody has accepted yet may be given up. */
static int unfinished(const struct client *clients, unsigned count) {
    for (unsigned index = 0; index < count; index++)
        if (clients[index].served || clients[index].got) return 1;
    return 0;
}

static void many(unsigned count, double seconds) {
    struct client *clients = calloc(count, sizeof *clients);
    struct epoll_event events[EVENTS];
    int64_t begin = now() + warm_up(seconds), end = begin + (int64_t)(seconds * NANO), cpu = cpu_time(), at;
    uint64_t complete = 0;
    for (unsigned index = 0; index < count; index++) {
        clients[index].data = malloc(HEAD + size);
        begin_one(&clients[index]);
    }
    while (now() < end || unfinished(clients, count)) {
        int ready = epoll_wait(epoll, events, EVENTS, PATIENCE * 1000);
        if (ready <= 0) give_up("the server is silent");
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            if (!answered(client, events[i].events)) continue;
            at = now();
            complete += at >= begin && at < end;
            if (at < end) {
                client->served = 1;
                again(client);
            } else {
                close(client->sock);
                client->got = client->served = 0;
            }
        }
    }
    printf("{\"per_second\": %.1f, \"busy\": %.3f}\n", complete / seconds,
           (cpu_time() - cpu) / (double)(now() - begin + warm_up(seconds)));
}

int main(int words, char **word) {
    if (words < 6) give_up("fetch many PORT PATH FILE CONNECTIONS SECONDS, fetch one PORT PATH FILE CHECK");
    server = place_of(word[2]);
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n",
             word[3], word[2]);
    map_file(word[4]);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!strcmp(word[1], "one")) one(atoi(word[5]));
    else if (!strcmp(word[1], "many") && words > 6) many(atoi(word[5]), atof(word[6]));
    else give_up("%s: no such load", word[1]);
    return 0;
}
