// Says hello on both outputs, shows its arguments and one variable, and ends as its first argument asks:
// "exit N", "abort", "segv"; anything else ends with status 0.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Thread_local int of_this_thread = 1;
static int sum;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *add(void *number) {
    of_this_thread += *(int *)number;
    pthread_mutex_lock(&lock);
    sum += of_this_thread;
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void use_threads(void) {
    pthread_t threads[4];
    int numbers[4];
    for (int i = 0; i < 4; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, add, &numbers[i]) != 0) exit(100);
    }
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    printf("threads: %d %d\n", sum, of_this_thread);
}

int main(int argc, char **argv) {
    const char *variable = getenv("GREETING");
    printf("hello, world\n");
    for (int i = 1; i < argc; i++) printf("argument %d: %s\n", i, argv[i]);
    printf("GREETING=%s\n", variable ? variable : "(unset)");
    use_threads();
    fflush(stdout);
    fprintf(stderr, "a word on stderr\n");
    if (argc > 2 && strcmp(argv[1], "exit") == 0) return atoi(argv[2]);
    if (argc > 1 && strcmp(argv[1], "abort") == 0) abort();
    if (argc > 1 && strcmp(argv[1], "segv") == 0) *(volatile int *)argv[argc] = 1;
    return 0;
}
