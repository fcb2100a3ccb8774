// Timers: setitimer, alarm, timer_create with signals, overruns, CPU clocks.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int ticks, value, code;
static void tick(int signo, siginfo_t *info, void *context) {
    (void)signo, (void)context;
    ticks++;
    code = info->si_code;
    value = info->si_value.sival_int;
}
static const char *outcome(long result) { return result < 0 ? strerror(errno) : "ok"; }

int main(void) {
    struct sigaction action = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGPROF, &action, NULL);
    sigaction(SIGRTMIN, &action, NULL);

    struct itimerval every = {{0, 10000}, {0, 10000}}, now, off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &every, NULL);
    while (ticks < 5) pause();
    getitimer(ITIMER_REAL, &now);
    printf("interval kept: %ld, running: %d\n", (long)now.it_interval.tv_usec, now.it_value.tv_usec > 0);
    setitimer(ITIMER_REAL, &off, &now);
    printf("was running: %d\n", now.it_value.tv_usec > 0);
    getitimer(ITIMER_REAL, &now);
    printf("stopped: %d\n", now.it_value.tv_sec == 0 && now.it_value.tv_usec == 0);
    unsigned before = alarm(100), left_over = alarm(0);
    printf("alarm: %u %u\n", before, left_over);
    struct itimerval bad = {{0, 0}, {0, 1000000}};
    printf("bad time: %s, bad timer: %s\n", outcome(setitimer(ITIMER_REAL, &bad, NULL)), outcome(getitimer(9, &now)));

    ticks = 0;
    setitimer(ITIMER_PROF, &(struct itimerval){{0, 0}, {0, 20000}}, NULL);
    volatile long spin = 0;
    while (!ticks) spin++;
    printf("profiling timer: %d\n", ticks);

    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value = {.sival_int = 77}};
    printf("timer_create: %s\n", outcome(timer_create(CLOCK_MONOTONIC, &event, &timer)));
    struct itimerspec once = {{0, 0}, {0, 10 * 1000 * 1000}}, left;
    ticks = 0;
    timer_settime(timer, 0, &once, NULL);
    while (!ticks) pause();
    printf("fired: value %d, code %d, overrun %d\n", value, code == SI_TIMER, timer_getoverrun(timer));
    timer_gettime(timer, &left);
    printf("disarmed: %d\n", left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0);

    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    struct itimerspec fast = {{0, 1000000}, {0, 1000000}};
    timer_settime(timer, 0, &fast, NULL);
    usleep(60000);
    siginfo_t info;
    printf("waits blocked: %d\n", sigwaitinfo(&set, &info) == SIGRTMIN);
    timer_settime(timer, 0, &(struct itimerspec){{0, 0}, {0, 0}}, &left);
    printf("period %ld\n", left.it_interval.tv_nsec);
    printf("delete: %s", outcome(timer_delete(timer)));
    printf(", again: %s\n", outcome(timer_delete(timer)));
    event.sigev_signo = 99;
    printf("bad signal: %s\n", outcome(timer_create(CLOCK_MONOTONIC, &event, &timer)));
    event = (struct sigevent){.sigev_notify = SIGEV_NONE};
    printf("no clock: %s\n", outcome(timer_create(55, &event, &timer)));
    timer_create(CLOCK_REALTIME, &event, &timer);
    timer_settime(timer, 0, &(struct itimerspec){{0, 0}, {100, 0}}, NULL);
    timer_gettime(timer, &left);
    printf("silent timer counts down: %d\n", left.it_value.tv_sec == 99);
    return 0;
}
