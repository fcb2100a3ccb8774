// futex(2) itself: values, errors, timeouts, bitsets, requeue, wake-op.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long futex(void *word, int op, uint32_t value, const void *timeout, void *word2, uint32_t value3) {
    long result = syscall(SYS_futex, word, op, value, timeout, word2, value3);
    return result < 0 ? -errno : result;
}

static _Atomic uint32_t word, other, sleepers, woken;

static void *sleep_on_word(void *bits) {
    sleepers++;
    long result = futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (uint32_t)(uintptr_t)bits);
    if (result == 0) woken++;
    return (void *)result;
}

static void start(pthread_t *threads, int count, uint32_t bits) {
    sleepers = woken = 0;
    for (int i = 0; i < count; i++) pthread_create(&threads[i], NULL, sleep_on_word, (void *)(uintptr_t)bits);
    while (sleepers != (uint32_t)count) usleep(1000);
    usleep(50000);
}

static void join(pthread_t *threads, int count) {
    for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

int main(void) {
    struct timespec soon = {0, 20 * 1000 * 1000}, bad = {0, 2000000000}, past = {1, 0};
    printf("value differs: %s\n", strerror(-futex(&word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0)));
    printf("timeout: %s\n", strerror(-futex(&word, FUTEX_WAIT_PRIVATE, 0, &soon, NULL, 0)));
    printf("bad timeout: %s\n", strerror(-futex(&word, FUTEX_WAIT_PRIVATE, 0, &bad, NULL, 0)));
    printf("past: %s\n", strerror(-futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &past, NULL, FUTEX_BITSET_MATCH_ANY)));
    printf("past wall: %s\n", strerror(-futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &past, NULL, 1)));
    printf("no bits: %s\n", strerror(-futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, 0)));
    printf("odd address: %s\n", strerror(-futex((char *)&word + 1, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0)));
    printf("no address: %s\n", strerror(-futex((void *)8, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0)));
    printf("no operation: %s\n", strerror(-futex(&word, 99, 0, NULL, NULL, 0)));
    printf("nobody waits: %ld\n", futex(&word, FUTEX_WAKE_PRIVATE, 5, NULL, NULL, 0));

    pthread_t threads[4];
    start(threads, 4, FUTEX_BITSET_MATCH_ANY);
    printf("wake 1: %ld\n", futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    printf("wake rest: %ld\n", futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
    join(threads, 4);
    printf("woken %u\n", woken);

    start(threads, 2, 2);
    printf("other bits: %ld\n", futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 1));
    printf("our bits: %ld\n", futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 3));
    join(threads, 2);

    start(threads, 4, FUTEX_BITSET_MATCH_ANY);
    printf("compare fails: %s\n", strerror(-futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)10, &other, 7)));
    printf("requeue: %ld\n", futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)10, &other, 0));
    printf("left on first: %ld\n", futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
    printf("on second: %ld\n", futex(&other, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
    join(threads, 4);

    start(threads, 2, FUTEX_BITSET_MATCH_ANY);
    other = 5;
    long result = futex(&other, FUTEX_WAKE_OP_PRIVATE, 1, (void *)10, &word, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0));
    printf("wake-op: %ld, word %u\n", result, word);
    join(threads, 2);

    uint32_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    printf("shared, value differs: %s\n", strerror(-futex(shared, FUTEX_WAIT, 1, NULL, NULL, 0)));
    printf("shared, timeout: %s\n", strerror(-futex(shared, FUTEX_WAIT, 0, &soon, NULL, 0)));
    return 0;
}
