// TCP over the loopback: an echo server with a thread per connection, large transfers, peeking, waiting for all, half-closing.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CLIENTS = 6, BYTES = 300000 };
static int listener;
static struct sockaddr_in address;

static void *echo(void *argument) {
    int fd = (int)(long)argument;
    char buffer[20000];
    ssize_t got;
    while ((got = read(fd, buffer, sizeof buffer)) > 0)
        for (ssize_t done = 0; done < got;) {
            ssize_t put = write(fd, buffer + done, got - done);
            if (put <= 0) return (void *)1;
            done += put;
        }
    shutdown(fd, SHUT_WR);
    close(fd);
    return (void *)(long)(got != 0);
}

static void *serve(void *argument) {
    pthread_t threads[CLIENTS + 1];
    (void)argument;
    for (int i = 0; i < CLIENTS + 1; i++) {
        struct sockaddr_in peer;
        socklen_t len = sizeof peer;
        int fd = accept(listener, (struct sockaddr *)&peer, &len);
        if (fd < 0 || peer.sin_addr.s_addr != htonl(INADDR_LOOPBACK)) perror("accept");
        pthread_create(&threads[i], NULL, echo, (void *)(long)fd);
    }
    long failed = 0;
    for (int i = 0; i < CLIENTS + 1; i++) {
        void *result;
        pthread_join(threads[i], &result);
        failed += (long)result;
    }
    return (void *)failed;
}

static void *send_all(void *argument) {
    int fd = *(int *)argument;
    static char data[BYTES];
    for (int i = 0; i < BYTES; i++) data[i] = (char)(i * 7);
    for (int done = 0; done < BYTES;) {
        ssize_t put = send(fd, data + done, BYTES - done, 0);
        if (put <= 0) return (void *)1;
        done += put;
    }
    shutdown(fd, SHUT_WR);
    return NULL;
}

static void *client(void *argument) {
    long wrong = 0, total = 0;
    char buffer[9000];
    pthread_t sender;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)argument;
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) perror("connect");
    pthread_create(&sender, NULL, send_all, &fd);
    ssize_t got;
    while ((got = recv(fd, buffer, sizeof buffer, 0)) > 0)
        for (ssize_t i = 0; i < got; i++, total++) wrong += buffer[i] != (char)(total * 7);
    pthread_join(sender, NULL);
    close(fd);
    return (void *)(total == BYTES && got == 0 ? wrong : -1);
}

int main(void) {
    pthread_t server, clients[CLIENTS];
    int on = 1;
    socklen_t len = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    printf("bind %d\n", bind(listener, (struct sockaddr *)&address, len));
    printf("listen %d\n", listen(listener, 16));
    getsockname(listener, (struct sockaddr *)&address, &len);
    printf("port chosen %d, address of %u bytes\n", address.sin_port != 0, len);
    pthread_create(&server, NULL, serve, NULL);

    int fd = socket(AF_INET, SOCK_STREAM, 0);
    printf("connect %d\n", connect(fd, (struct sockaddr *)&address, sizeof address));
    struct sockaddr_in own, peer;
    len = sizeof own;
    getsockname(fd, (struct sockaddr *)&own, &len);
    len = sizeof peer;
    getpeername(fd, (struct sockaddr *)&peer, &len);
    printf("own %s, peer port same %d\n", inet_ntoa(own.sin_addr), peer.sin_port == address.sin_port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct iovec parts[3] = {{"one ", 4}, {"two ", 4}, {"three", 5}};
    printf("writev %zd\n", writev(fd, parts, 3));
    char text[64] = {0};
    printf("wait for all: %zd", recv(fd, text, 13, MSG_WAITALL | MSG_PEEK) > 0 ? recv(fd, text, 13, MSG_WAITALL) : -1);
    printf(" %s\n", text);
    send(fd, "abcdef", 6, MSG_NOSIGNAL);
    memset(text, 0, sizeof text);
    ssize_t count = recv(fd, text, 3, MSG_PEEK);
    printf("peek %zd %s\n", count, text);
    memset(text, 0, sizeof text);
    count = recv(fd, text, 2, 0);
    printf("then %zd %s\n", count, text);
    memset(text, 0, sizeof text);
    count = recv(fd, text, 4, MSG_WAITALL);
    printf("then %zd %s\n", count, text);
    printf("shutdown %d\n", shutdown(fd, SHUT_WR));
    printf("end %zd\n", read(fd, text, sizeof text));
    close(fd);

    for (int i = 0; i < CLIENTS; i++) pthread_create(&clients[i], NULL, client, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        void *result;
        pthread_join(clients[i], &result);
        printf("client: %ld wrong\n", (long)result);
    }
    void *failed;
    pthread_join(server, &failed);
    printf("server: %ld failed\n", (long)failed);
    return 0;
}
