// Interrupted calls: EINTR, SA_RESTART, sigsuspend, sigwait, sleeps that go on.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int hits;
static pthread_t first;

static void hit(int signo) { (void)signo; hits++; }

static void install(int signo, int flags) {
    struct sigaction action = {.sa_handler = hit, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    sigaction(signo, &action, NULL);
}

static void *poke(void *argument) {
    int *pipe_ends = argument;
    usleep(50000);
    pthread_kill(first, SIGUSR1);
    usleep(50000);
    if (pipe_ends && write(pipe_ends[1], "x", 1) != 1) return NULL;
    return argument;
}

static double seconds_since(struct timespec start) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9;
}

int main(void) {
    first = pthread_self();
    pthread_t thread;
    int ends[2];
    char byte;
    if (pipe(ends)) return 1;

    install(SIGUSR1, 0);
    pthread_create(&thread, NULL, poke, ends);
    ssize_t got = read(ends[0], &byte, 1);
    printf("read without SA_RESTART: %s\n", got < 0 ? strerror(errno) : "data");
    got = read(ends[0], &byte, 1);
    pthread_join(thread, NULL);

    install(SIGUSR1, SA_RESTART);
    pthread_create(&thread, NULL, poke, ends);
    got = read(ends[0], &byte, 1);
    printf("read with SA_RESTART: %s, handler ran %d times\n", got < 0 ? strerror(errno) : "data", hits);
    pthread_join(thread, NULL);

    struct timespec wanted = {5, 0}, left = {0, 0};
    pthread_create(&thread, NULL, poke, NULL);
    int result = nanosleep(&wanted, &left);
    printf("nanosleep, even with SA_RESTART: %s, left %d\n", result < 0 ? strerror(errno) : "slept", left.tv_sec == 4);
    pthread_join(thread, NULL);

    signal(SIGUSR1, SIG_IGN);
    struct timespec start, short_time = {0, 200 * 1000 * 1000};
    clock_gettime(CLOCK_MONOTONIC, &start);
    pthread_create(&thread, NULL, poke, NULL);
    result = nanosleep(&short_time, NULL);
    double slept = seconds_since(start);
    printf("an ignored signal: %d, slept it all: %d\n", result, slept >= 0.2);
    pthread_join(thread, NULL);

    sigset_t set, none, old;
    sigemptyset(&set);
    sigemptyset(&none);
    sigaddset(&set, SIGUSR1);
    install(SIGUSR1, SA_RESTART);
    hits = 0;
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGUSR1);
    printf("blocked: %d\n", hits);
    result = sigsuspend(&none);
    printf("sigsuspend: %d %s, handler %d\n", result, strerror(errno), hits);
    sigprocmask(SIG_BLOCK, NULL, &old);
    printf("mask is back: %d\n", sigismember(&old, SIGUSR1));

    raise(SIGUSR1);
    siginfo_t info;
    struct timespec no_time = {0, 0}, some = {0, 30 * 1000 * 1000};
    result = sigtimedwait(&set, &info, &no_time) == SIGUSR1;
    printf("sigtimedwait: %d, code %d\n", result, info.si_code);
    printf("nothing there: %s\n", sigtimedwait(&set, &info, &some) < 0 ? strerror(errno) : "?");
    pthread_create(&thread, NULL, poke, NULL);
    printf("sigwaitinfo: %d, handler still %d\n", sigwaitinfo(&set, NULL) == SIGUSR1, hits);
    pthread_join(thread, NULL);

    install(SIGALRM, 0);
    alarm(1);
    result = pause();
    printf("pause: %d %s\n", result, strerror(errno));
    printf("select interrupted: ");
    fflush(stdout);
    struct itimerval timer = {{0, 0}, {0, 50000}};
    setitimer(ITIMER_REAL, &timer, NULL);
    result = select(0, NULL, NULL, NULL, NULL);
    printf("%d %s\n", result, strerror(errno));
    return 0;
}
