// UDP over the loopback: named and connected, truncation, peeking, several messages per call, waiting and not.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *name(ssize_t result) { return result < 0 ? strerrorname_np(errno) : "ok"; }

static struct sockaddr_in bound(int fd) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    if (bind(fd, (struct sockaddr *)&address, len)) perror("bind");
    getsockname(fd, (struct sockaddr *)&address, &len);
    return address;
}

static void wait_for(int fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    poll(&entry, 1, 2000);
}

static void *late(void *argument) {
    usleep(50000);
    send(*(int *)argument, "late", 4, 0);
    return NULL;
}

int main(void) {
    int one = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0);
    char buffer[70000];
    printf("receive without waiting: %s\n", name(recv(one, buffer, sizeof buffer, MSG_DONTWAIT)));
    int nobody = socket(AF_INET, SOCK_DGRAM, 0);
    printf("send to nobody: %s\n", name(send(nobody, "x", 1, 0)));
    struct sockaddr_in here = bound(one), there = bound(other), from;
    socklen_t len = sizeof from;
    printf("sendto %zd\n", sendto(one, "question", 8, 0, (struct sockaddr *)&there, sizeof there));
    wait_for(other);
    int waiting = -1;
    ioctl(other, FIONREAD, &waiting);
    printf("waiting %d\n", waiting);
    ssize_t got = recvfrom(other, buffer, 4, MSG_PEEK | MSG_TRUNC, (struct sockaddr *)&from, &len);
    printf("peek %zd %.4s from the right port %d\n", got, buffer, from.sin_port == here.sin_port);
    got = recvfrom(other, buffer, 4, 0, (struct sockaddr *)&from, &len);
    printf("cut %zd %.4s\n", got, buffer);
    printf("rest is gone: %s\n", name(recv(other, buffer, 4, MSG_DONTWAIT)));
    printf("empty %zd\n", sendto(one, "", 0, 0, (struct sockaddr *)&there, sizeof there));
    wait_for(other);
    printf("empty came %zd\n", recv(other, buffer, sizeof buffer, 0));
    printf("connect %s\n", name(connect(other, (struct sockaddr *)&here, sizeof here)));
    printf("send %zd\n", send(other, "answer", 6, 0));
    memset(buffer, 0, 16);
    got = recv(one, buffer, sizeof buffer, 0);
    printf("received %zd %s\n", got, buffer);
    struct sockaddr_in peer;
    len = sizeof peer;
    printf("peer %s", name(getpeername(other, (struct sockaddr *)&peer, &len)));
    printf(" %d\n", peer.sin_port == here.sin_port);
    printf("no peer %s\n", name(getpeername(one, (struct sockaddr *)&peer, &len)));
    pthread_t thread;
    pthread_create(&thread, NULL, late, &other);
    memset(buffer, 0, 16);
    got = recv(one, buffer, sizeof buffer, 0);
    printf("waited for %zd %s\n", got, buffer);
    pthread_join(thread, NULL);

    memset(buffer, 'a', sizeof buffer);
    printf("large %zd\n", sendto(one, buffer, 16000, 0, (struct sockaddr *)&there, sizeof there));
    wait_for(other);
    printf("large came %zd\n", recv(other, buffer, sizeof buffer, 0));
    printf("too large: %s\n", name(sendto(one, buffer, 65508, 0, (struct sockaddr *)&there, sizeof there)));

    struct iovec parts[3] = {{"one", 3}, {"two", 3}, {"three", 5}};
    struct mmsghdr messages[3];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < 3; i++) {
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &there;
        messages[i].msg_hdr.msg_namelen = sizeof there;
    }
    printf("sendmmsg %d", sendmmsg(one, messages, 3, 0));
    printf(" %u %u %u\n", messages[0].msg_len, messages[1].msg_len, messages[2].msg_len);
    char texts[4][8] = {{0}};
    struct iovec rooms[4];
    struct sockaddr_in senders[4];
    struct mmsghdr got_all[4];
    memset(got_all, 0, sizeof got_all);
    for (int i = 0; i < 4; i++) {
        rooms[i] = (struct iovec){texts[i], 4};
        got_all[i].msg_hdr.msg_iov = &rooms[i];
        got_all[i].msg_hdr.msg_iovlen = 1;
        got_all[i].msg_hdr.msg_name = &senders[i];
        got_all[i].msg_hdr.msg_namelen = sizeof senders[i];
    }
    usleep(20000);
    int count = recvmmsg(other, got_all, 4, MSG_WAITFORONE, NULL);
    printf("recvmmsg %d:", count);
    for (int i = 0; i < count; i++)
        printf(" %s(%u, flags %#x, name %u)", texts[i], got_all[i].msg_len, got_all[i].msg_hdr.msg_flags, got_all[i].msg_hdr.msg_namelen);
    printf("\n");
    printf("shutdown %s\n", name(shutdown(other, SHUT_RD)));
    printf("after it %zd\n", recv(other, buffer, 10, 0));
    close(one);
    close(other);
    return 0;
}
