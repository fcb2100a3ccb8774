// eventfd(2): counting, semaphores, blocking, readiness.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

// The call comes before the look at errno.
#define FAIL(format, call) do { long result_ = (long)(call); printf(format, result_, result_ < 0 ? strerrorname_np(errno) : "no error"); } while (0)

static int fd;
static void *add(void *arg) {
    usleep(20000);
    uint64_t value = (uint64_t)(uintptr_t)arg;
    if (write(fd, &value, 8) != 8) printf("write failed\n");
    return NULL;
}
static int ready(void) {
    struct pollfd p = {fd, POLLIN | POLLOUT, 0};
    poll(&p, 1, 0);
    return p.revents;
}

int main(void) {
    uint64_t value;
    fd = eventfd(3, EFD_NONBLOCK);
    printf("ready %x\n", ready());
    printf("read %zd", read(fd, &value, 8));
    printf(" %lu, ready %x\n", value, ready());
    FAIL("empty: %ld %s\n", read(fd, &value, 8));
    value = 5;
    printf("write %zd %zd\n", write(fd, &value, 8), write(fd, &value, 8));
    FAIL("short: %ld %s\n", read(fd, &value, 4));
    printf("read %zd", read(fd, &value, 8));
    printf(" %lu\n", value);
    value = UINT64_MAX;
    FAIL("too large: %ld %s\n", write(fd, &value, 8));
    value = UINT64_MAX - 1;
    printf("largest %zd ready %x\n", write(fd, &value, 8), ready());
    value = 1;
    FAIL("full: %ld %s\n", write(fd, &value, 8));
    close(fd);
    fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    for (int i = 0; i < 3; i++) {
        value = 0;
        ssize_t n = read(fd, &value, 8);
        printf("semaphore %zd %lu\n", n, value);
    }
    close(fd);
    fd = eventfd(0, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, add, (void *)42);
    printf("waited %zd", read(fd, &value, 8));
    printf(" %lu\n", value);
    pthread_join(thread, NULL);
    FAIL("bad flags: %ld %s\n", eventfd(0, 0x10));
    return 0;
}
