// UDP over the loopback: whole datagrams, cut ones, peers, timeouts.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

// The call comes before the look at errno.
#define FAIL(format, call) do { long result_ = (long)(call); printf(format, result_, result_ < 0 ? strerrorname_np(errno) : "no error"); } while (0)

int main(void) {
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, from;
    printf("bind %d\n", bind(a, (struct sockaddr *)&at, sizeof at));
    socklen_t len = sizeof at;
    getsockname(a, (struct sockaddr *)&at, &len);
    FAIL("no peer: %ld %s\n", send(b, "x", 1, 0));
    printf("send %zd %zd\n", sendto(b, "first", 5, 0, (struct sockaddr *)&at, sizeof at), sendto(b, "second one", 10, 0, (struct sockaddr *)&at, sizeof at));
    struct pollfd p = {a, POLLIN, 0};
    printf("poll %d\n", poll(&p, 1, 5000));
    char buffer[70000];
    len = sizeof from;
    printf("receive %zd", recvfrom(a, buffer, 100, 0, (struct sockaddr *)&from, &len));
    printf(" %.5s from %s\n", buffer, inet_ntoa(from.sin_addr));
    poll(&p, 1, 5000);
    printf("cut %zd %.4s\n", recv(a, buffer, 4, 0), buffer);
    FAIL("rest is gone: %ld %s\n", recv(a, buffer, 4, MSG_DONTWAIT));
    printf("connect %d\n", connect(b, (struct sockaddr *)&at, sizeof at));
    printf("send %zd\n", send(b, "abcdef", 6, 0));
    poll(&p, 1, 5000);
    struct iovec room = {buffer, 3};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &room, .msg_iovlen = 1};
    printf("recvmsg %zd", recvmsg(a, &message, MSG_TRUNC));
    printf(" flags %x name %u\n", message.msg_flags & MSG_TRUNC, message.msg_namelen);
    printf("empty datagram %zd\n", send(b, "", 0, 0));
    poll(&p, 1, 5000);
    printf("received %zd\n", recv(a, buffer, 10, 0));
    printf("answer %zd\n", sendto(a, "back", 4, 0, (struct sockaddr *)&from, sizeof from));
    printf("receive %zd %.4s\n", recv(b, buffer, 10, 0), buffer);
    FAIL("too large: %ld %s\n", send(b, buffer, sizeof buffer, 0));
    struct timeval short_time = {0, 20000};
    setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time);
    FAIL("timeout: %ld %s\n", recv(a, buffer, 10, 0));
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    printf("dissolve %d\n", connect(b, &none, sizeof none));
    FAIL("no peer: %ld %s\n", send(b, "x", 1, 0));
    FAIL("listen: %ld %s\n", listen(b, 1));
    int c = socket(AF_INET, SOCK_DGRAM, 0);
    FAIL("in use: %ld %s\n", bind(c, (struct sockaddr *)&at, sizeof at));
    return 0;
}
