// Priority-inheriting locks: the word, the errors, hand-over in line, and pthread mutexes on top.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint32_t word;
static long call(int op, const void *timeout) {
    long result = syscall(SYS_futex, &word, op | FUTEX_PRIVATE_FLAG, 0, timeout, NULL, 0);
    return result < 0 ? -errno : result;
}
static pthread_mutex_t mutex;
static long counter;

static void *contend(void *argument) {
    printf("held by another: %s\n", strerror(-call(FUTEX_TRYLOCK_PI, NULL)));
    printf("not the owner: %s\n", strerror(-call(FUTEX_UNLOCK_PI, NULL)));
    struct timespec past = {1, 0};
    printf("timeout: %s\n", strerror(-call(FUTEX_LOCK_PI, &past)));
    long result = call(FUTEX_LOCK_PI, NULL);
    printf("handed over: %ld, mine %d\n", result, (word & FUTEX_TID_MASK) == (uint32_t)syscall(SYS_gettid));
    call(FUTEX_UNLOCK_PI, NULL);
    return argument;
}

static void *count(void *argument) {
    for (int i = 0; i < 2000; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        if (i % 50 == 0) sched_yield();
        pthread_mutex_unlock(&mutex);
    }
    return argument;
}

int main(void) {
    long result = call(FUTEX_LOCK_PI, NULL);
    printf("free: %ld, owner %d\n", result, word == (uint32_t)syscall(SYS_gettid));
    printf("again: %s\n", strerror(-call(FUTEX_LOCK_PI, NULL)));
    pthread_t threads[4];
    pthread_create(&threads[0], NULL, contend, NULL);
    usleep(100000);
    printf("somebody waits: %d\n", (word & FUTEX_WAITERS) != 0);
    result = call(FUTEX_UNLOCK_PI, NULL);
    pthread_join(threads[0], NULL);
    printf("unlock: %ld\n", result);
    printf("free at the end: %u\n", word & ~FUTEX_WAITERS);
    word = 999999;
    printf("no such owner: %s\n", strerror(-call(FUTEX_LOCK_PI, NULL)));

    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&mutex, &attributes);
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, count, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    printf("counter %ld\n", counter);
    return 0;
}
