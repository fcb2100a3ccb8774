// Connecting without waiting: EINPROGRESS, EALREADY, EISCONN, refusal through SO_ERROR, edge-triggered epoll, timeouts, signals.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char *name(int result) { return result < 0 ? strerrorname_np(errno) : "ok"; }

static int error_of(int fd) {
    int error = -1;
    socklen_t len = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return error;
}

static void events_of(const char *what, int fd, short wanted, int timeout) {
    struct pollfd entry = {.fd = fd, .events = wanted};
    int count = poll(&entry, 1, timeout);
    printf("%s: %d", what, count);
    if (entry.revents & POLLIN) printf(" IN");
    if (entry.revents & POLLOUT) printf(" OUT");
    if (entry.revents & POLLRDHUP) printf(" RDHUP");
    if (entry.revents & POLLERR) printf(" ERR");
    if (entry.revents & POLLHUP) printf(" HUP");
    printf("\n");
}

static void on_alarm(int signal) { (void)signal; }

int main(void) {
    const short all = POLLIN | POLLOUT | POLLRDHUP;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    bind(listener, (struct sockaddr *)&address, len);
    listen(listener, 8);
    getsockname(listener, (struct sockaddr *)&address, &len);
    printf("accept without connection: %s\n", name(accept(listener, NULL, NULL)));
    events_of("listener", listener, all, 0);

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    events_of("fresh", fd, all, 0);
    printf("connect: %s\n", name(connect(fd, (struct sockaddr *)&address, sizeof address)));
    events_of("connecting", fd, POLLOUT, 2000);
    printf("SO_ERROR %d\n", error_of(fd));
    printf("again: %s\n", name(connect(fd, (struct sockaddr *)&address, sizeof address)));
    printf("again: %s\n", name(connect(fd, (struct sockaddr *)&address, sizeof address)));
    events_of("listener", listener, all, 2000);
    int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    printf("accepted, O_NONBLOCK %d, FD_CLOEXEC %d\n", !!(fcntl(peer, F_GETFL) & O_NONBLOCK), fcntl(peer, F_GETFD));
    char buffer[16];
    printf("read nothing: %s\n", name(read(fd, buffer, sizeof buffer)));

    int set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = 7}, ready;
    epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
    int count = epoll_wait(set, &ready, 1, 1000);
    printf("epoll: %d %#x\n", count, ready.events);
    printf("epoll: %d\n", epoll_wait(set, &ready, 1, 20));
    write(peer, "hello", 5);
    count = epoll_wait(set, &ready, 1, 1000);
    printf("epoll: %d %#x\n", count, ready.events);
    printf("epoll: %d\n", epoll_wait(set, &ready, 1, 20));
    printf("read %zd\n", read(fd, buffer, sizeof buffer));
    close(peer);
    count = epoll_wait(set, &ready, 1, 1000);
    printf("epoll: %d %#x\n", count, ready.events);
    printf("end %zd\n", read(fd, buffer, sizeof buffer));
    events_of("half closed", fd, all, 0);
    close(fd);
    close(listener);

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    printf("connect to a closed port: %s\n", name(connect(fd, (struct sockaddr *)&address, sizeof address)));
    events_of("refused", fd, all, 2000);
    printf("SO_ERROR is ECONNREFUSED: %d\n", error_of(fd) == ECONNREFUSED);
    printf("SO_ERROR then %d\n", error_of(fd));
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    printf("waiting connect to a closed port: %s\n", name(connect(fd, (struct sockaddr *)&address, sizeof address)));
    printf("and again: %s\n", name(connect(fd, (struct sockaddr *)&address, sizeof address)));
    close(fd);

    // A receive that nothing comes for: timeout, then a signal with and without SA_RESTART.
    address.sin_port = 0;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&address, len);
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&address, &len);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    printf("connect: %s\n", name(connect(fd, (struct sockaddr *)&address, sizeof address)));
    struct timeval limit = {.tv_usec = 50000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    printf("timeout: %s\n", name(recv(fd, buffer, 1, 0)));
    clock_gettime(CLOCK_MONOTONIC, &after);
    long waited = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
    printf("waited long enough: %d\n", waited >= 49);
    limit.tv_usec = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = {.it_value.tv_usec = 50000};
    setitimer(ITIMER_REAL, &timer, NULL);
    printf("signal: %s\n", name(recv(fd, buffer, 1, 0)));
    setitimer(ITIMER_REAL, &timer, NULL);
    int rest = accept(listener, NULL, NULL);
    printf("accept: %s\n", name(rest));
    printf("signal: %s\n", name(accept(listener, NULL, NULL)));
    return 0;
}
