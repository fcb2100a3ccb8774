// Clocks and sleeping: they agree, they go forward, they refuse nonsense.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

static long long ns(struct timespec t) { return t.tv_sec * 1000000000LL + t.tv_nsec; }
static long long now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return ns(t);
}
static long long asked(clockid_t clock) {
    struct timespec t;
    syscall(SYS_clock_gettime, clock, &t);
    return ns(t);
}
static const char *outcome(long result) { return result < 0 ? strerror(errno) : "ok"; }

int main(void) {
    clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_PROCESS_CPUTIME_ID,
                          CLOCK_THREAD_CPUTIME_ID, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_TAI};
    for (int i = 0; i < 9; i++) {
        struct timespec t;
        long long before = now(clocks[i]);
        int backwards = 0;
        for (int n = 0; n < 1000; n++) {
            long long after = now(clocks[i]);
            backwards += after < before;
            before = after;
        }
        printf("clock %d: %s, backwards %d\n", clocks[i], outcome(clock_gettime(clocks[i], &t)), backwards);
    }
    int disagree = 0;
    for (int i = 0; i < 200; i++) {
        long long a = now(CLOCK_MONOTONIC), b = asked(CLOCK_MONOTONIC), c = now(CLOCK_MONOTONIC);
        disagree += a > b || b > c;
        a = now(CLOCK_REALTIME), b = asked(CLOCK_REALTIME), c = now(CLOCK_REALTIME);
        disagree += a > b || b > c;
    }
    printf("library and kernel disagree: %d\n", disagree);
    struct timeval tv;
    gettimeofday(&tv, NULL);
    long long difference = now(CLOCK_REALTIME) / 1000 - (tv.tv_sec * 1000000LL + tv.tv_usec);
    printf("gettimeofday agrees: %d\n", difference >= 0 && difference < 5000000);
    long long seconds = now(CLOCK_REALTIME) / 1000000000 - time(NULL);
    printf("time agrees: %d\n", seconds >= -1 && seconds <= 1);
    struct timespec resolution;
    clock_getres(CLOCK_MONOTONIC, &resolution);
    printf("resolution %ld ns\n", resolution.tv_nsec);

    long long start = now(CLOCK_MONOTONIC);
    struct timespec wanted = {0, 30 * 1000 * 1000}, bad = {0, 1000000000}, negative = {-1, 0};
    nanosleep(&wanted, NULL);
    printf("slept long enough: %d\n", now(CLOCK_MONOTONIC) - start >= 30000000);
    start = now(CLOCK_MONOTONIC);
    long long until = start + 40000000;
    struct timespec deadline = {until / 1000000000, until % 1000000000};
    int result = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL);
    printf("absolute: %d %d\n", result, now(CLOCK_MONOTONIC) >= until);
    until = now(CLOCK_REALTIME) + 40000000;
    deadline = (struct timespec){until / 1000000000, until % 1000000000};
    result = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &deadline, NULL);
    printf("absolute wall: %d %d\n", result, now(CLOCK_REALTIME) >= until);
    deadline = (struct timespec){1, 0};
    printf("in the past: %d\n", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL));
    printf("bad times: %s", outcome(nanosleep(&bad, NULL)));
    printf(", %s", outcome(nanosleep(&negative, NULL)));
    printf(", %s\n", outcome(nanosleep((void *)8, NULL)));
    printf("bad clocks: %s, %s\n", strerror(clock_nanosleep(77, 0, &wanted, NULL)),
           strerror(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &wanted, NULL)));
    printf("no clock: %s\n", outcome(clock_gettime(99, &resolution)));

    long long cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    volatile long sum = 0;
    while (now(CLOCK_PROCESS_CPUTIME_ID) - cpu < 20000000) sum++;
    printf("CPU time passes: %d\n", sum > 0);
    cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    usleep(50000);
    printf("but not while asleep: %d\n", now(CLOCK_PROCESS_CPUTIME_ID) - cpu < 40000000);
    struct rusage usage;
    printf("getrusage: %s, %s\n", outcome(getrusage(RUSAGE_SELF, &usage)), outcome(getrusage(55, &usage)));
    printf("times: %d\n", times(NULL) != (clock_t)-1);
    return 0;
}
