// poll(2), select(2), ppoll(2): several descriptors, bad ones, timeouts, masks.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

// The call comes before the look at errno.
#define FAIL(format, call) do { long result_ = (long)(call); printf(format, result_, result_ < 0 ? strerrorname_np(errno) : "no error"); } while (0)

static int one[2], two[2];
static volatile sig_atomic_t caught;
static void on(int signo) { caught = signo; }
static void *later(void *arg) {
    (void)arg;
    usleep(20000);
    if (write(two[1], "x", 1) != 1) printf("write failed\n");
    return NULL;
}

int main(void) {
    volatile nfds_t too_many = 1u << 30;
    struct pollfd *volatile nowhere = (struct pollfd *)8;
    pipe(one);
    pipe(two);
    struct pollfd p[4] = {{one[0], POLLIN, 0}, {two[0], POLLIN | POLLRDNORM, 0}, {-1, POLLIN, 0}, {77, POLLIN, 0}};
    printf("poll %d", poll(p, 4, 0));
    printf(" %x %x %x %x\n", p[0].revents, p[1].revents, p[2].revents, p[3].revents);
    printf("poll %d\n", poll(p, 3, 10));
    pthread_t thread;
    pthread_create(&thread, NULL, later, NULL);
    printf("poll %d", poll(p, 3, 5000));
    printf(" %x %x\n", p[0].revents, p[1].revents);
    pthread_join(thread, NULL);
    FAIL("too many: %ld %s\n", poll(p, too_many, 0));
    FAIL("bad address: %ld %s\n", poll(nowhere, 1, 0));

    fd_set read_set, write_set;
    FD_ZERO(&read_set);
    FD_ZERO(&write_set);
    FD_SET(one[0], &read_set);
    FD_SET(two[0], &read_set);
    FD_SET(one[1], &write_set);
    struct timeval timeout = {1, 0};
    printf("select %d", select(20, &read_set, &write_set, NULL, &timeout));
    printf(" %d %d %d left %d\n", FD_ISSET(one[0], &read_set), FD_ISSET(two[0], &read_set), FD_ISSET(one[1], &write_set), timeout.tv_sec == 0 && timeout.tv_usec > 500000);
    FD_ZERO(&read_set);
    FD_SET(one[0], &read_set);
    timeout = (struct timeval){0, 10000};
    printf("select %d", select(one[0] + 1, &read_set, NULL, NULL, &timeout));
    printf(" left %ld %d\n", (long)timeout.tv_usec, FD_ISSET(one[0], &read_set));
    FD_SET(50, &read_set);
    FAIL("bad descriptor: %ld %s\n", select(51, &read_set, NULL, NULL, &timeout));
    FAIL("negative: %ld %s\n", select(-1, NULL, NULL, NULL, NULL));

    sigset_t blocked, none;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGUSR1, on);
    kill(getpid(), SIGUSR1);
    p[0].fd = one[0];
    struct timespec short_time = {0, 10000000};
    printf("blocked: %d %d\n", ppoll(p, 1, &short_time, NULL), (int)caught);
    FAIL("unblocked: %ld %s", ppoll(p, 1, NULL, &none));
    printf(" %d\n", (int)caught);
    close(one[1]);
    p[0].events = 0;
    printf("hang-up unasked: %d", poll(p, 1, 0));
    printf(" %x\n", p[0].revents);
    return 0;
}
