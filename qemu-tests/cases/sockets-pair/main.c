// socketpair of streams, datagrams and packets: limits of messages, ends, passing descriptors and credentials.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *name(ssize_t result) { return result < 0 ? strerrorname_np(errno) : "ok"; }

static void events_of(const char *what, int fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
    poll(&entry, 1, 0);
    printf("%s:", what);
    if (entry.revents & POLLIN) printf(" IN");
    if (entry.revents & POLLOUT) printf(" OUT");
    if (entry.revents & POLLRDHUP) printf(" RDHUP");
    if (entry.revents & POLLERR) printf(" ERR");
    if (entry.revents & POLLHUP) printf(" HUP");
    printf("\n");
}

static void messages(const char *what, int kind) {
    int pair[2];
    char buffer[100] = {0};
    printf("%s: %s\n", what, name(socketpair(AF_UNIX, kind, 0, pair)));
    events_of("fresh", pair[0]);
    write(pair[0], "first", 5);
    write(pair[0], "second", 6);
    int waiting = -1;
    ioctl(pair[1], FIONREAD, &waiting);
    printf("waiting %d\n", waiting);
    ssize_t got = recv(pair[1], buffer, 3, MSG_PEEK);
    printf("peek %zd %.3s\n", got, buffer);
    memset(buffer, 0, sizeof buffer);
    got = read(pair[1], buffer, sizeof buffer);
    printf("read %zd %s\n", got, buffer);
    memset(buffer, 0, sizeof buffer);
    got = recv(pair[1], buffer, sizeof buffer, MSG_DONTWAIT);
    printf("then %zd %s\n", got, got < 0 ? strerrorname_np(errno) : buffer);
    events_of("before the end", pair[1]);
    write(pair[0], "rest", 4);
    shutdown(pair[0], SHUT_WR);
    printf("write after shutdown: %s\n", name(send(pair[0], "x", 1, MSG_NOSIGNAL)));
    close(pair[0]);
    events_of("after the end", pair[1]);
    memset(buffer, 0, sizeof buffer);
    got = read(pair[1], buffer, sizeof buffer);
    printf("rest %zd %s\n", got, buffer);
    if (kind != SOCK_DGRAM) printf("end %zd\n", read(pair[1], buffer, sizeof buffer));
    printf("write to nobody: %s\n", name(send(pair[1], "x", 1, MSG_NOSIGNAL)));
    close(pair[1]);
}

static void pass(void) {
    int pair[2], ends[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    pipe(ends);
    int on = 1;
    setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {"take this", 9};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *item = CMSG_FIRSTHDR(&message);
    *item = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(item), &ends[1], sizeof(int));
    printf("sendmsg %zd\n", sendmsg(pair[0], &message, 0));
    close(ends[1]);

    char text[32] = {0}, room[200];
    part = (struct iovec){text, sizeof text};
    message = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    printf("recvmsg %zd", recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC));
    printf(" %s, flags %#x\n", text, message.msg_flags & ~MSG_CMSG_CLOEXEC);
    for (item = CMSG_FIRSTHDR(&message); item; item = CMSG_NXTHDR(&message, item)) {
        if (item->cmsg_type == SCM_CREDENTIALS) {
            struct ucred *who = (struct ucred *)CMSG_DATA(item);
            printf("credentials: %d\n", who->pid == getpid() && who->uid == getuid() && who->gid == getgid());
        } else if (item->cmsg_type == SCM_RIGHTS) {
            int fd;
            memcpy(&fd, CMSG_DATA(item), sizeof fd);
            printf("rights: cloexec %d, write %zd", fcntl(fd, F_GETFD), write(fd, "through", 7));
            memset(text, 0, sizeof text);
            printf(", read %zd", read(ends[0], text, sizeof text));
            printf(" %s\n", text);
            close(fd);
        }
    }
    printf("pipe ended: %zd\n", read(ends[0], text, sizeof text));
    struct ucred peer;
    socklen_t len = sizeof peer;
    getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &len);
    printf("peer is us: %d\n", peer.pid == getpid());
}

static volatile sig_atomic_t broken;
static void on_pipe(int signal) { (void)signal; broken++; }

int main(void) {
    messages("stream", SOCK_STREAM);
    messages("datagram", SOCK_DGRAM);
    messages("packets", SOCK_SEQPACKET);
    pass();
    int pair[2];
    signal(SIGPIPE, on_pipe);
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
    static char block[10000];
    long total = 0;
    ssize_t put;
    while ((put = write(pair[0], block, sizeof block)) > 0) total += put;
    printf("full: %s, more than 64 KiB %d\n", name(put), total > 65536);
    long taken = 0;
    while (taken < total && (put = read(pair[1], block, sizeof block)) > 0) taken += put;
    printf("all came: %d\n", taken == total);
    close(pair[1]);
    printf("write: %s", name(write(pair[0], "x", 1)));
    printf(", SIGPIPE %d\n", broken);
    printf("recv truncated: ");
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    write(pair[0], "0123456789", 10);
    char small[4];
    printf("%zd\n", recv(pair[1], small, sizeof small, MSG_TRUNC));
    printf("inet pair: %s\n", name(socketpair(AF_INET, SOCK_STREAM, 0, pair)));
    return 0;
}
