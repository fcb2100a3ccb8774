// Named local sockets: paths, abstract names, backlog, addresses, datagrams between names, one thread serving others.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char *name(ssize_t result) { return result < 0 ? strerrorname_np(errno) : "ok"; }
static const char *path = "/tmp/skiff-case-sockets-named";

static socklen_t fill(struct sockaddr_un *address, const char *text) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (text[0] == '@') {
        memcpy(address->sun_path + 1, text + 1, strlen(text) - 1);
        return offsetof(struct sockaddr_un, sun_path) + strlen(text);
    }
    strcpy(address->sun_path, text);
    return sizeof *address;
}

static void *serve(void *argument) {
    int listener = *(int *)argument;
    for (int i = 0; i < 3; i++) {
        int fd = accept(listener, NULL, NULL);
        char buffer[100];
        ssize_t got;
        while ((got = read(fd, buffer, sizeof buffer)) > 0) write(fd, buffer, got);
        close(fd);
    }
    return NULL;
}

static void talk(const char *where) {
    struct sockaddr_un address;
    socklen_t len = fill(&address, where);
    unlink(where);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    printf("bind %s: %s\n", where, name(bind(listener, (struct sockaddr *)&address, len)));
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    printf("bind again: %s\n", name(bind(other, (struct sockaddr *)&address, len)));
    printf("connect before listen: %s\n", name(connect(other, (struct sockaddr *)&address, len)));
    printf("listen: %s\n", name(listen(listener, 4)));
    struct sockaddr_un own;
    socklen_t own_len = sizeof own;
    getsockname(listener, (struct sockaddr *)&own, &own_len);
    printf("own name of %u bytes, same %d\n", own_len, !memcmp(own.sun_path, address.sun_path, own_len - 2));
    pthread_t server;
    pthread_create(&server, NULL, serve, &listener);
    for (int i = 0; i < 3; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        printf("connect: %s", name(connect(fd, (struct sockaddr *)&address, len)));
        own_len = sizeof own;
        getpeername(fd, (struct sockaddr *)&own, &own_len);
        write(fd, "ping", 4);
        char buffer[8] = {0};
        printf(", peer name of %u bytes, read %zd", own_len, read(fd, buffer, sizeof buffer));
        printf(" %s", buffer);
        shutdown(fd, SHUT_WR);
        printf(", end %zd\n", read(fd, buffer, sizeof buffer));
        close(fd);
    }
    pthread_join(server, NULL);
    close(listener);
    printf("connect after close: %s\n", name(connect(other, (struct sockaddr *)&address, len)));
    close(other);
}

int main(void) {
    struct stat about;
    talk(path);
    printf("stat: %s", name(stat(path, &about)));
    printf(", socket %d\n", S_ISSOCK(about.st_mode));
    talk("@skiff abstract");
    unlink(path);

    struct sockaddr_un one_name, other_name, from;
    socklen_t one_len = fill(&one_name, "@skiff one"), other_len = fill(&other_name, path), from_len = sizeof from;
    int one = socket(AF_UNIX, SOCK_DGRAM, 0), other = socket(AF_UNIX, SOCK_DGRAM, 0), nameless = socket(AF_UNIX, SOCK_DGRAM, 0);
    bind(one, (struct sockaddr *)&one_name, one_len);
    bind(other, (struct sockaddr *)&other_name, other_len);
    printf("sendto %zd\n", sendto(one, "hello", 5, 0, (struct sockaddr *)&other_name, other_len));
    char buffer[100] = {0};
    ssize_t got = recvfrom(other, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &from_len);
    printf("from %u bytes, same %d, %zd %s\n", from_len, !memcmp(&from, &one_name, one_len), got, buffer);
    printf("connect %s\n", name(connect(nameless, (struct sockaddr *)&one_name, one_len)));
    printf("send %zd\n", send(nameless, "anonymous", 9, 0));
    from_len = sizeof from;
    got = recvfrom(one, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &from_len);
    printf("from %u bytes, %zd %.9s\n", from_len, got, buffer);
    close(one);
    printf("send to nobody: %s\n", name(send(nameless, "x", 1, 0)));
    int stream = socket(AF_UNIX, SOCK_STREAM, 0);
    printf("wrong type: %s\n", name(connect(stream, (struct sockaddr *)&other_name, other_len)));
    struct sockaddr_un chosen = {.sun_family = AF_UNIX};
    printf("autobind: %s", name(bind(stream, (struct sockaddr *)&chosen, sizeof(sa_family_t))));
    from_len = sizeof from;
    getsockname(stream, (struct sockaddr *)&from, &from_len);
    printf(", %u bytes, abstract %d\n", from_len, from.sun_path[0] == 0);

    // A full backlog: one more than asked waits; who does not wait gets EAGAIN.
    unlink(path);
    int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    bind(listener, (struct sockaddr *)&other_name, other_len);
    listen(listener, 1);
    int clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
        printf("client %d: %s\n", i, name(connect(clients[i], (struct sockaddr *)&other_name, other_len)));
    }
    send(clients[0], "early", 5, 0);
    int accepted = accept(listener, NULL, NULL);
    memset(buffer, 0, sizeof buffer);
    got = read(accepted, buffer, sizeof buffer);
    printf("early %zd %s\n", got, buffer);
    close(listener);
    printf("reset: %s\n", name(read(clients[1], buffer, 1)));
    unlink(path);
    return 0;
}
