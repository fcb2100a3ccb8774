// Which errors socket calls give.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SAY(call) say(#call, (call))
static void say(const char *what, long result) {
    printf("%s: %s\n", what, result < 0 ? strerrorname_np(errno) : "ok");
}

static int option(int fd, int level, int which) {
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, level, which, &value, &len) ? -errno : value;
}

int main(void) {
    char buffer[8];
    int one = 1, zero = 0;
    socklen_t len = sizeof(struct sockaddr_in), none = 0;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in foreign = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc6336401)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr *address = (struct sockaddr *)&here;
    signal(SIGPIPE, SIG_IGN);
    int file = open("/dev/null", O_RDWR);

    SAY(socket(99, SOCK_STREAM, 0));
    SAY(socket(AF_INET, 99, 0));
    SAY(socket(AF_INET, 12, 0));
    SAY(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    SAY(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    SAY(socket(AF_INET, SOCK_SEQPACKET, 0));
    SAY(socket(AF_UNIX, SOCK_RDM, 0));
    SAY(socket(AF_UNIX, SOCK_STREAM, 7));
    SAY(bind(99, address, len));
    SAY(bind(file, address, len));
    SAY(listen(file, 1));
    SAY(accept(file, NULL, NULL));
    SAY(getsockname(file, address, &len));
    SAY(send(file, "x", 1, 0));
    SAY(recv(file, buffer, 1, 0));
    SAY(shutdown(file, SHUT_RD));
    SAY(setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));

    int fd = socket(AF_INET, SOCK_STREAM, 0);
    len = sizeof here;
    SAY(bind(fd, address, 3));
    SAY(bind(fd, NULL, len));
    SAY(bind(fd, (struct sockaddr *)&foreign, len));
    SAY(bind(fd, address, 200));
    SAY(accept(fd, NULL, NULL));
    SAY(getpeername(fd, address, &len));
    SAY(shutdown(fd, 9));
    int unused = socket(AF_INET, SOCK_STREAM, 0);
    SAY(shutdown(unused, SHUT_RDWR));
    close(unused);
    SAY(recv(fd, buffer, 1, 0));
    SAY(send(fd, "x", 1, 0));
    SAY(connect(fd, address, 1));
    SAY(connect(fd, (struct sockaddr *)&six, sizeof six));
    SAY(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, 1));
    SAY(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, NULL, 4));
    SAY(setsockopt(fd, SOL_SOCKET, 9999, &one, sizeof one));
    SAY(setsockopt(fd, SOL_SOCKET, SO_TYPE, &one, sizeof one));
    SAY(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &zero, sizeof zero));
    SAY(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &one, sizeof one));
    SAY(getsockopt(fd, SOL_SOCKET, SO_ERROR, buffer, &none));
    printf("type %d, domain %d, protocol %d, listening %d\n", option(fd, SOL_SOCKET, SO_TYPE), option(fd, SOL_SOCKET, SO_DOMAIN),
           option(fd, SOL_SOCKET, SO_PROTOCOL), option(fd, SOL_SOCKET, SO_ACCEPTCONN));
    printf("reuse %d, keep-alive %d, no delay %d, idle %d\n", option(fd, SOL_SOCKET, SO_REUSEADDR),
           option(fd, SOL_SOCKET, SO_KEEPALIVE), option(fd, IPPROTO_TCP, TCP_NODELAY), option(fd, IPPROTO_TCP, TCP_KEEPIDLE));
    SAY(bind(fd, address, len));
    getsockname(fd, address, &len);
    SAY(bind(fd, address, len));
    int second = socket(AF_INET, SOCK_STREAM, 0);
    SAY(bind(second, address, len));
    SAY(listen(fd, 4));
    SAY(listen(fd, 8));
    printf("listening %d\n", option(fd, SOL_SOCKET, SO_ACCEPTCONN));
    SAY(send(fd, "x", 1, 0));
    SAY(recv(fd, buffer, 1, 0));
    SAY(connect(fd, address, len));
    SAY(accept4(fd, NULL, NULL, 1));
    SAY(connect(second, address, len));
    SAY(connect(second, address, len));
    SAY(listen(second, 1));
    SAY(recv(second, buffer, 1, MSG_DONTWAIT));
    SAY(recv(second, buffer, 1, MSG_OOB));
    SAY(send(second, (void *)1, 1, 0));
    int peer = accept(fd, NULL, NULL);
    send(peer, "abc", 3, 0);
    usleep(20000);
    SAY(recv(second, (void *)1, 3, 0));
    SAY(recv(second, buffer, 3, 0));
    SAY(shutdown(second, SHUT_WR));
    SAY(send(second, "x", 1, 0));
    SAY(accept(peer, NULL, NULL));
    close(peer);
    usleep(20000);
    SAY(recv(second, buffer, 1, 0));
    close(second);
    close(fd);

    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    SAY(listen(udp, 1));
    SAY(accept(udp, NULL, NULL));
    SAY(send(udp, "x", 1, 0));
    here.sin_port = 0;
    SAY(sendto(udp, "x", 1, 0, address, sizeof here));
    SAY(sendto(udp, "x", 1, 0, address, 5));
    SAY(shutdown(udp, SHUT_RD));
    SAY(setsockopt(udp, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));

    struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "/tmp/skiff-no-such-socket"};
    int local = socket(AF_UNIX, SOCK_STREAM, 0);
    SAY(connect(local, (struct sockaddr *)&path, sizeof path));
    strcpy(path.sun_path, "/no such folder/socket");
    SAY(bind(local, (struct sockaddr *)&path, sizeof path));
    SAY(listen(local, 1));
    SAY(send(local, "x", 1, 0));
    SAY(bind(local, address, sizeof here));
    return 0;
}
