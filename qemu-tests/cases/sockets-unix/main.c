// Local sockets: pairs, names, abstract names, datagrams, packets, descriptors that travel.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// The call comes before the look at errno.
#define FAIL(format, call) do { long result_ = (long)(call); printf(format, result_, result_ < 0 ? strerrorname_np(errno) : "no error"); } while (0)

static int ready(int fd, short events) {
    struct pollfd p = {fd, events, 0};
    poll(&p, 1, 0);
    return p.revents;
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    int pair[2];
    char buffer[100];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    printf("write %zd %zd\n", write(pair[0], "abc", 3), write(pair[0], "def", 3));
    printf("read %zd %.6s\n", read(pair[1], buffer, 100), buffer);
    printf("ready %x %x\n", ready(pair[0], POLLIN | POLLOUT), ready(pair[1], POLLIN));
    FAIL("nothing: %ld %s\n", recv(pair[0], buffer, 1, MSG_DONTWAIT));
    shutdown(pair[0], SHUT_WR);
    printf("end %zd\n", read(pair[1], buffer, 1));
    printf("other way %zd", write(pair[1], "x", 1));
    printf(" %zd\n", read(pair[0], buffer, 1));
    close(pair[1]);
    FAIL("gone: %ld %s\n", write(pair[0], "x", 1));
    close(pair[0]);

    mkdir("/tmp", 0777);
    struct sockaddr_un name = {AF_UNIX, "/tmp/socket"}, who;
    unlink(name.sun_path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    FAIL("listen unbound: %ld %s\n", listen(listener, 1));
    printf("bind %d\n", bind(listener, (struct sockaddr *)&name, sizeof name));
    struct stat st;
    stat("/tmp/socket", &st);
    printf("is a socket %d\n", S_ISSOCK(st.st_mode));
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    FAIL("nobody listens: %ld %s\n", connect(client, (struct sockaddr *)&name, sizeof name));
    listen(listener, 3);
    printf("connect %d\n", connect(client, (struct sockaddr *)&name, sizeof name));
    socklen_t len = sizeof who;
    int server = accept(listener, (struct sockaddr *)&who, &len);
    printf("peer length %u\n", len);
    len = sizeof who;
    getpeername(client, (struct sockaddr *)&who, &len);
    printf("server is %s\n", who.sun_path);
    printf("send %zd", send(client, "hi", 2, 0));
    printf(" receive %zd\n", recv(server, buffer, 10, 0));
    struct ucred cred;
    len = sizeof cred;
    getsockopt(server, SOL_SOCKET, SO_PEERCRED, &cred, &len);
    printf("peer pid %d\n", cred.pid == getpid());

    int ends[2];
    pipe(ends);
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control;
    struct iovec part = {"fd", 2};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &ends[1], sizeof(int));
    printf("sendmsg %zd\n", sendmsg(client, &message, 0));
    close(ends[1]);
    struct iovec room = {buffer, sizeof buffer};
    message = (struct msghdr){.msg_iov = &room, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    printf("recvmsg %zd", recvmsg(server, &message, MSG_CMSG_CLOEXEC));
    head = CMSG_FIRSTHDR(&message);
    int travelled = -1;
    if (head) memcpy(&travelled, CMSG_DATA(head), sizeof(int));
    printf(" descriptor %d close on exec %d\n", travelled >= 0, fcntl(travelled, F_GETFD));
    printf("works %zd", write(travelled, "!", 1));
    printf(" %zd\n", read(ends[0], buffer, 1));
    close(server);
    printf("closed: %x\n", ready(client, POLLIN | POLLRDHUP));
    printf("end %zd\n", read(client, buffer, 1));
    close(client);
    close(listener);
    client = socket(AF_UNIX, SOCK_STREAM, 0);
    FAIL("listener gone: %ld %s\n", connect(client, (struct sockaddr *)&name, sizeof name));
    FAIL("in use: %ld %s\n", bind(client, (struct sockaddr *)&name, sizeof name));
    unlink(name.sun_path);
    FAIL("no name: %ld %s\n", connect(client, (struct sockaddr *)&name, sizeof name));

    struct sockaddr_un hidden = {AF_UNIX, "\0skiff-test"};
    socklen_t hidden_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 11);
    int one = socket(AF_UNIX, SOCK_DGRAM, 0), two = socket(AF_UNIX, SOCK_DGRAM, 0);
    printf("abstract %d\n", bind(one, (struct sockaddr *)&hidden, hidden_len));
    FAIL("twice: %ld %s\n", bind(two, (struct sockaddr *)&hidden, hidden_len));
    printf("send %zd %zd\n", sendto(two, "one", 3, 0, (struct sockaddr *)&hidden, hidden_len), sendto(two, "two!", 4, 0, (struct sockaddr *)&hidden, hidden_len));
    printf("receive %zd %zd\n", recv(one, buffer, 100, 0), recv(one, buffer, 100, 0));
    FAIL("wrong type: %ld %s\n", connect(client, (struct sockaddr *)&hidden, hidden_len));
    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
    write(pair[0], "aaaa", 4);
    write(pair[0], "bb", 2);
    printf("packets %zd %zd\n", read(pair[1], buffer, 2), read(pair[1], buffer, 100));
    FAIL("not connected: %ld %s\n", write(client, "x", 1));
    return 0;
}
