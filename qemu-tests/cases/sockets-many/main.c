// Many short connections one after the other and at once: nothing may leak or get stuck.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TURNS = 700, CLIENTS = 8, EACH = 40 };
static struct sockaddr_in address;
static int listener;

static int dial(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) {
        perror("connect");
        return -1;
    }
    return fd;
}

static void *serve(void *argument) {
    int set = epoll_create1(0), open = 0, ended = 0, total = *(int *)argument;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[32];
    epoll_ctl(set, EPOLL_CTL_ADD, listener, &event);
    while (ended < total) {
        int count = epoll_wait(set, ready, 32, 10000);
        if (count <= 0) {
            printf("server stuck: %d open, %d ended\n", open, ended);
            return NULL;
        }
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    event = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
                    epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
                    open++;
                }
                continue;
            }
            char buffer[256];
            ssize_t got;
            while ((got = read(fd, buffer, sizeof buffer)) > 0) write(fd, buffer, got);
            if (got == 0) {
                close(fd);
                ended++;
            }
        }
    }
    close(set);
    return NULL;
}

static void *client(void *argument) {
    long failed = 0;
    (void)argument;
    for (int i = 0; i < EACH; i++) {
        int fd = dial();
        char text[32], back[32] = {0};
        int len = snprintf(text, sizeof text, "turn %d", i);
        write(fd, text, len);
        ssize_t got = recv(fd, back, len, MSG_WAITALL);
        failed += got != len || memcmp(text, back, len);
        close(fd);
    }
    return (void *)failed;
}

int main(void) {
    socklen_t len = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bind(listener, (struct sockaddr *)&address, len);
    listen(listener, 128);
    getsockname(listener, (struct sockaddr *)&address, &len);
    int total = TURNS + CLIENTS * EACH, failed = 0;
    pthread_t server, clients[CLIENTS];
    pthread_create(&server, NULL, serve, &total);
    for (int i = 0; i < TURNS; i++) {
        int fd = dial();
        char byte = (char)i, back = 0;
        write(fd, &byte, 1);
        failed += read(fd, &back, 1) != 1 || back != byte;
        close(fd);
    }
    printf("one after the other: %d failed\n", failed);
    for (int i = 0; i < CLIENTS; i++) pthread_create(&clients[i], NULL, client, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        void *result;
        pthread_join(clients[i], &result);
        printf("client: %ld failed\n", (long)result);
    }
    pthread_join(server, NULL);
    printf("served all\n");
    return 0;
}
