// TCP over the loopback: connecting, accepting, data, closing, errors, options.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

// The call comes before the look at errno.
#define FAIL(format, call) do { long result_ = (long)(call); printf(format, result_, result_ < 0 ? strerrorname_np(errno) : "no error"); } while (0)

static struct sockaddr_in address;
static int listener;

static void *serve(void *arg) {
    (void)arg;
    int fd = accept(listener, NULL, NULL);
    char buffer[8192];
    ssize_t n;
    long total = 0;
    while ((n = read(fd, buffer, sizeof buffer)) > 0) {
        total += n;
        if (write(fd, buffer, (size_t)n) != n) printf("short echo\n");
    }
    close(fd);
    return (void *)total;
}
static int connected(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) printf("connect: %s\n", strerrorname_np(errno));
    return fd;
}
static int ready(int fd, short events, int ms) {
    struct pollfd p = {fd, events, 0};
    poll(&p, 1, ms);
    return p.revents;
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    printf("bind %d\n", bind(listener, (struct sockaddr *)&address, sizeof address));
    socklen_t len = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &len);
    printf("address %s port %d length %u\n", inet_ntoa(address.sin_addr), address.sin_port != 0, len);
    FAIL("accept before listen: %ld %s\n", accept(listener, NULL, NULL));
    printf("listen %d\n", listen(listener, 5));
    int value = 0;
    len = sizeof value;
    getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &value, &len);
    printf("listens %d\n", value);

    pthread_t thread;
    pthread_create(&thread, NULL, serve, NULL);
    int fd = connected();
    struct sockaddr_in peer;
    len = sizeof peer;
    printf("peer %d", getpeername(fd, (struct sockaddr *)&peer, &len));
    printf(" same %d\n", peer.sin_port == address.sin_port);
    printf("write %zd\n", write(fd, "hello", 5));
    char buffer[300000];
    printf("peek %zd\n", recv(fd, buffer, 5, MSG_PEEK | MSG_WAITALL));
    printf("read %zd %.5s\n", recv(fd, buffer, 5, MSG_WAITALL), buffer);
    FAIL("nothing: %ld %s\n", recv(fd, buffer, 1, MSG_DONTWAIT));
    long sent = 0, got = 0;
    int same = 1;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (got < 1000000) {
        ready(fd, (short)(POLLIN | (sent < 1000000 ? POLLOUT : 0)), 5000);
        if (sent < 1000000) {
            for (int i = 0; i < 20000; i++) buffer[i] = (char)((sent + i) % 253);
            long left = 1000000 - sent;
            ssize_t n = send(fd, buffer, (size_t)(left < 20000 ? left : 20000), 0);
            if (n > 0) sent += n;
        }
        ssize_t n = recv(fd, buffer, 50000, 0);
        for (int i = 0; i < n; i++) same &= buffer[i] == (char)((got + i) % 253);
        if (n > 0) got += n;
    }
    printf("echoed %ld same %d\n", got, same);
    shutdown(fd, SHUT_WR);
    void *total;
    pthread_join(thread, &total);
    printf("server got %ld\n", (long)total);
    printf("ready %x\n", ready(fd, POLLIN | POLLRDHUP, 2000) & (POLLIN | POLLRDHUP));
    printf("end %zd\n", recv(fd, buffer, 10, 0));
    FAIL("write after shutdown: %ld %s\n", send(fd, "x", 1, 0));
    close(fd);

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    FAIL("not connected: %ld %s\n", recv(fd, buffer, 1, 0));
    FAIL("peer: %ld %s\n", getpeername(fd, (struct sockaddr *)&peer, &(socklen_t){sizeof peer}));
    int result = connect(fd, (struct sockaddr *)&address, sizeof address);
    printf("non-blocking: %d\n", result == 0 || errno == EINPROGRESS);
    printf("writable %x\n", ready(fd, POLLOUT, 5000));
    len = sizeof value;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len);
    printf("error %d\n", value);
    printf("connect again: %d\n", connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EISCONN);
    printf("listener ready %x\n", ready(listener, POLLIN, 5000));
    len = sizeof peer;
    int accepted = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK);
    printf("accepted %d from %s flags %x\n", accepted >= 0, inet_ntoa(peer.sin_addr), fcntl(accepted, F_GETFL) & O_NONBLOCK);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    FAIL("no more: %ld %s\n", accept(listener, NULL, NULL));
    printf("send %zd\n", send(accepted, "ping", 4, 0));
    printf("readable %x\n", ready(fd, POLLIN, 5000));
    ioctl(fd, FIONREAD, &value);
    printf("pending %d\n", value);
    struct linger hard = {1, 0};
    setsockopt(accepted, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    recv(fd, buffer, 10, 0);
    close(accepted);
    ready(fd, POLLIN, 5000);
    FAIL("reset: %ld %s\n", recv(fd, buffer, 10, 0));
    close(fd);

    close(listener);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    FAIL("refused: %ld %s\n", connect(fd, (struct sockaddr *)&address, sizeof address));
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    len = sizeof value;
    getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len);
    printf("no delay %d\n", value != 0);
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len);
    printf("type %d\n", value);
    FAIL("bad option: %ld %s\n", getsockopt(fd, SOL_SOCKET, 9999, &value, &len));
    FAIL("bad family: %ld %s\n", socket(99, SOCK_STREAM, 0));
    FAIL("no socket: %ld %s\n", listen(0, 1));
    struct sockaddr_in foreign = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x08080808)};
    FAIL("foreign address: %ld %s\n", bind(fd, (struct sockaddr *)&foreign, sizeof foreign));
    FAIL("short address: %ld %s\n", bind(fd, (struct sockaddr *)&foreign, 4));
    return 0;
}
