// timerfd(2) and signalfd(2): expirations and signals as data.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

// The call comes before the look at errno.
#define FAIL(format, call) do { long result_ = (long)(call); printf(format, result_, result_ < 0 ? strerrorname_np(errno) : "no error"); } while (0)

static int ready(int fd, int ms) {
    struct pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, ms);
}

int main(void) {
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    uint64_t count;
    FAIL("disarmed: %ld %s", read(fd, &count, 8));
    printf(" ready %d\n", ready(fd, 0));
    struct itimerspec once = {{0, 0}, {0, 20000000}}, now;
    printf("arm %d\n", timerfd_settime(fd, 0, &once, NULL));
    timerfd_gettime(fd, &now);
    printf("left %d\n", now.it_value.tv_sec == 0 && now.it_value.tv_nsec > 0 && now.it_value.tv_nsec <= 20000000);
    printf("ready %d", ready(fd, 2000));
    printf(" read %zd", read(fd, &count, 8));
    printf(" %lu\n", count);
    timerfd_gettime(fd, &now);
    printf("after: %ld %ld\n", (long)now.it_value.tv_sec, now.it_value.tv_nsec);
    struct itimerspec often = {{0, 5000000}, {0, 5000000}};
    timerfd_settime(fd, 0, &often, NULL);
    usleep(60000);
    printf("periods %zd", read(fd, &count, 8));
    printf(" at least 5: %d\n", count >= 5);
    struct itimerspec off = {{0, 0}, {0, 0}};
    timerfd_settime(fd, 0, &off, &now);
    printf("interval before %ld\n", now.it_interval.tv_nsec);
    struct itimerspec past = {{0, 0}, {0, 1}};
    timerfd_settime(fd, TFD_TIMER_ABSTIME, &past, NULL);
    printf("in the past: ready %d\n", ready(fd, 2000));
    struct itimerspec bad = {{0, 0}, {0, 1000000000}};
    FAIL("bad: %ld %s\n", timerfd_settime(fd, 0, &bad, NULL));
    FAIL("bad clock: %ld %s\n", timerfd_create(99, 0));

    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int sfd = signalfd(-1, &set, SFD_NONBLOCK);
    struct signalfd_siginfo info;
    FAIL("no signal: %ld %s", read(sfd, &info, sizeof info));
    printf(" ready %d\n", ready(sfd, 0));
    kill(getpid(), SIGUSR1);
    union sigval value = {.sival_int = 77};
    sigqueue(getpid(), SIGUSR2, value);
    printf("ready %d\n", ready(sfd, 1000));
    for (int i = 0; i < 2; i++) {
        ssize_t n = read(sfd, &info, sizeof info);
        printf("read %zd signal %u code %d value %d mine %d\n", n, info.ssi_signo, info.ssi_code,
            info.ssi_signo == SIGUSR2 ? info.ssi_int : 0, info.ssi_pid == (unsigned)getpid());
    }
    FAIL("again: %ld %s\n", read(sfd, &info, sizeof info));
    FAIL("short: %ld %s\n", read(sfd, &info, 10));
    return 0;
}
