// epoll(7): level, edge and one-shot reports, changes, closing, nesting, waiting threads.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

// The call comes before the look at errno.
#define FAIL(format, call) do { long result_ = (long)(call); printf(format, result_, result_ < 0 ? strerrorname_np(errno) : "no error"); } while (0)

static int set;
static int ctl(int op, int fd, unsigned events, unsigned long data) {
    struct epoll_event e = {.events = events, .data.u64 = data};
    return epoll_ctl(set, op, fd, &e);
}
static void show(const char *what, int ms) {
    struct epoll_event e[8];
    int n = epoll_wait(set, e, 8, ms);
    printf("%s: %d", what, n);
    for (int i = 0; i < n; i++) printf(" [%lu %x]", (unsigned long)e[i].data.u64, e[i].events);
    printf("\n");
}
static void *later(void *arg) {
    usleep(20000);
    if (write(*(int *)arg, "x", 1) != 1) printf("write failed\n");
    return NULL;
}

int main(void) {
    set = epoll_create1(EPOLL_CLOEXEC);
    int ends[2], second[2];
    pipe(ends);
    pipe(second);
    char buffer[16];
    printf("add %d\n", ctl(EPOLL_CTL_ADD, ends[0], EPOLLIN, 1));
    FAIL("add again: %ld %s\n", ctl(EPOLL_CTL_ADD, ends[0], EPOLLIN, 1));
    show("nothing", 0);
    if (write(ends[1], "ab", 2) != 2) return 1;
    show("level", 0);
    show("level again", 0);
    if (read(ends[0], buffer, 16) != 2) return 1;
    show("drained", 0);
    ctl(EPOLL_CTL_MOD, ends[0], EPOLLIN | EPOLLET, 2);
    if (write(ends[1], "ab", 2) != 2) return 1;
    show("edge", 0);
    show("edge again", 0);
    if (write(ends[1], "c", 1) != 1) return 1;
    show("new edge", 0);
    ctl(EPOLL_CTL_MOD, ends[0], EPOLLIN | EPOLLONESHOT, 3);
    show("one shot", 0);
    if (write(ends[1], "c", 1) != 1) return 1;
    show("disarmed", 0);
    ctl(EPOLL_CTL_MOD, ends[0], EPOLLIN | EPOLLONESHOT, 4);
    show("armed again", 0);
    printf("delete %d\n", ctl(EPOLL_CTL_DEL, ends[0], 0, 0));
    FAIL("delete again: %ld %s\n", ctl(EPOLL_CTL_DEL, ends[0], 0, 0));
    FAIL("modify: %ld %s\n", ctl(EPOLL_CTL_MOD, ends[0], EPOLLIN, 0));
    ctl(EPOLL_CTL_ADD, ends[1], EPOLLOUT, 5);
    show("writable", 0);
    close(ends[0]);
    show("reader gone", 0);
    close(ends[1]);
    show("closed", 0);

    ctl(EPOLL_CTL_ADD, second[0], EPOLLIN, 6);
    int copy = dup(second[0]);
    if (write(second[1], "x", 1) != 1) return 1;
    close(second[0]);
    show("a duplicate lives", 0);
    close(copy);
    show("none lives", 0);

    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    ctl(EPOLL_CTL_ADD, pair[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP, 7);
    show("socket", 0);
    if (write(pair[1], "x", 1) != 1) return 1;
    show("with data", 0);
    shutdown(pair[1], SHUT_WR);
    show("half closed", 0);
    close(pair[1]);
    show("closed", 0);
    close(pair[0]);

    int event = eventfd(0, 0), inner = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = 8};
    epoll_ctl(inner, EPOLL_CTL_ADD, event, &e);
    printf("nest %d\n", ctl(EPOLL_CTL_ADD, inner, EPOLLIN, 9));
    show("nested idle", 0);
    eventfd_write(event, 1);
    show("nested", 0);
    e.data.u64 = 0;
    FAIL("circle: %ld %s\n", epoll_ctl(inner, EPOLL_CTL_ADD, set, &e));
    FAIL("itself: %ld %s\n", ctl(EPOLL_CTL_ADD, set, EPOLLIN, 0));
    ctl(EPOLL_CTL_DEL, inner, 0, 0);

    int file = open("/proc/self/exe", O_RDONLY);
    FAIL("regular file: %ld %s\n", ctl(EPOLL_CTL_ADD, file, EPOLLIN, 0));
    FAIL("bad descriptor: %ld %s\n", ctl(EPOLL_CTL_ADD, 99, EPOLLIN, 0));
    FAIL("no set: %ld %s\n", epoll_wait(file, &e, 1, 0));
    FAIL("no room: %ld %s\n", epoll_wait(set, &e, 0, 0));
    pipe(ends);
    ctl(EPOLL_CTL_ADD, ends[0], EPOLLIN, 10);
    pthread_t thread;
    pthread_create(&thread, NULL, later, &ends[1]);
    show("waited", 5000);
    pthread_join(thread, NULL);
    if (read(ends[0], buffer, 16) != 1) return 1;
    show("timed out", 20);
    return 0;
}
