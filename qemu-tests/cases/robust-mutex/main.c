// A robust mutex whose owner ends is given to the next one with EOWNERDEAD.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static pthread_mutex_t *mutex;

static void *take_and_leave(void *argument) {
    pthread_mutex_lock(mutex);
    usleep(50000);
    return argument;
}

int main(void) {
    mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(mutex, &attributes);
    pthread_t thread;
    pthread_create(&thread, NULL, take_and_leave, NULL);
    usleep(10000);
    printf("waiting: %s\n", strerror(pthread_mutex_lock(mutex)));
    pthread_mutex_consistent(mutex);
    pthread_mutex_unlock(mutex);
    printf("consistent: %s\n", strerror(pthread_mutex_lock(mutex)));
    pthread_mutex_unlock(mutex);
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, take_and_leave, NULL);
    pthread_join(thread, NULL);
    printf("after the end: %s\n", strerror(pthread_mutex_lock(mutex)));
    pthread_mutex_unlock(mutex);
    printf("never repaired: %s\n", strerror(pthread_mutex_lock(mutex)));
    return 0;
}
