// The first thread may leave before the others; exit from any thread ends all, also those that wait or spin.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_t first;

static void *spin(void *argument) {
    volatile unsigned long n = 0;
    for (;;) n++;
    return argument;
}

static void *wait_in_read(void *argument) {
    char byte;
    int *ends = argument;
    if (read(ends[0], &byte, 1) < 0) return NULL;
    return argument;
}

static void *outlive(void *argument) {
    pthread_join(first, NULL);
    printf("the first thread is gone\n");
    fflush(stdout);
    usleep(20000);
    exit(7);
    return argument;
}

int main(void) {
    static int ends[2];
    pthread_t thread;
    if (pipe(ends)) return 1;
    first = pthread_self();
    pthread_create(&thread, NULL, spin, NULL);
    pthread_create(&thread, NULL, wait_in_read, ends);
    pthread_create(&thread, NULL, outlive, NULL);
    pthread_exit(NULL);
}
