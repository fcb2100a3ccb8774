// Threads: creation, joining, mutexes, conditions, thread-local storage, cancellation, names, many at once.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WORKERS = 8, ROUNDS = 2000 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long counter;
static int turn;
static __thread int own = 7;
static pthread_barrier_t barrier;
static sem_t semaphore;

static void *count(void *argument) {
    own += (int)(long)argument;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        counter++;
        pthread_mutex_unlock(&lock);
        if (i % 100 == 0) sched_yield();
    }
    return (void *)(long)own;
}

static void *pass(void *argument) {
    int me = (int)(long)argument;
    for (int i = 0; i < 50; i++) {
        pthread_mutex_lock(&lock);
        while (turn % 3 != me) pthread_cond_wait(&changed, &lock);
        turn++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void *meet(void *argument) {
    (void)argument;
    int last = pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
    sem_post(&semaphore);
    return (void *)(long)last;
}

static void *wait_for_ever(void *argument) {
    (void)argument;
    for (;;) pause();
    return NULL;
}

static void *empty(void *argument) { return argument; }

int main(void) {
    pthread_t threads[WORKERS];
    for (long i = 0; i < WORKERS; i++) pthread_create(&threads[i], NULL, count, (void *)i);
    long sum = 0;
    for (int i = 0; i < WORKERS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    printf("counter %ld, own values %ld, mine %d\n", counter, sum, own);

    for (long i = 0; i < 3; i++) pthread_create(&threads[i], NULL, pass, (void *)i);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    printf("turns %d\n", turn);

    pthread_barrier_init(&barrier, NULL, WORKERS);
    sem_init(&semaphore, 0, 0);
    for (long i = 0; i < WORKERS; i++) pthread_create(&threads[i], NULL, meet, NULL);
    for (int i = 0; i < WORKERS; i++) sem_wait(&semaphore);
    int last = 0;
    for (int i = 0; i < WORKERS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        last += result != NULL;
    }
    printf("one was last: %d\n", last);

    pthread_create(&threads[0], NULL, wait_for_ever, NULL);
    pthread_setname_np(threads[0], "waiter");
    char name[16];
    pthread_getname_np(threads[0], name, sizeof name);
    pthread_cancel(threads[0]);
    void *result;
    pthread_join(threads[0], &result);
    printf("%s cancelled: %d\n", name, result == PTHREAD_CANCELED);

    int made = 0;
    for (int i = 0; i < 1000; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, empty, &made) == 0 && pthread_join(thread, &result) == 0) made += result == &made;
    }
    printf("made one after the other: %d\n", made);
    printf("first thread has the process id: %d\n", getpid() == (int)syscall(SYS_gettid));
    return 0;
}
