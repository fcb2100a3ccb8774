// Pipes: blocking, atomic writes, ends that close, sizes, SIGPIPE.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

// The call comes before the look at errno.
#define FAIL(format, call) do { long result_ = (long)(call); printf(format, result_, result_ < 0 ? strerrorname_np(errno) : "no error"); } while (0)

static int ends[2];
static volatile sig_atomic_t broken;
static void on_pipe(int signo) { broken = signo; }

static void *feed(void *arg) {
    (void)arg;
    static char block[100000];
    for (int i = 0; i < 100000; i++) block[i] = (char)(i % 251);
    for (int i = 0; i < 5; i++)
        if (write(ends[1], block, sizeof block) != sizeof block) printf("short write\n");
    close(ends[1]);
    return NULL;
}

static int ready(int fd, short events) {
    struct pollfd p = {fd, events, 0};
    poll(&p, 1, 0);
    return p.revents;
}

int main(void) {
    int *volatile nowhere = (int *)1;
    pipe(ends);
    printf("write %zd\n", write(ends[1], "hello world", 11));
    char buffer[70000];
    int left;
    ioctl(ends[0], FIONREAD, &left);
    printf("inside %d\n", left);
    printf("read %zd %.5s\n", read(ends[0], buffer, 5), buffer);
    printf("read %zd %.6s\n", read(ends[0], buffer, 100), buffer);
    printf("poll empty: %x", ready(ends[0], POLLIN));
    printf(" %x\n", ready(ends[1], POLLOUT));
    printf("capacity %d\n", fcntl(ends[1], F_GETPIPE_SZ));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    FAIL("read of nothing: %ld %s\n", read(ends[0], buffer, 1));
    printf("fill %zd\n", write(ends[1], buffer, sizeof buffer));
    FAIL("full: %ld %s\n", write(ends[1], buffer, 1));
    printf("poll full: %x %x\n", ready(ends[0], POLLIN), ready(ends[1], POLLOUT));
    printf("read %zd\n", read(ends[0], buffer, 4096));
    printf("atomic: %zd", write(ends[1], buffer, 4096));
    FAIL(" then %ld %s\n", write(ends[1], buffer, 4096));
    printf("resize %d\n", fcntl(ends[1], F_SETPIPE_SZ, 100000));
    FAIL("too small: %ld %s\n", fcntl(ends[1], F_SETPIPE_SZ, 4096));
    close(ends[1]);
    int total = 0;
    ssize_t n;
    while ((n = read(ends[0], buffer, sizeof buffer)) > 0) total += (int)n;
    printf("drained %d, then %zd, poll %x\n", total, n, ready(ends[0], POLLIN));
    close(ends[0]);

    pipe(ends);
    pthread_t thread;
    pthread_create(&thread, NULL, feed, NULL);
    long sum = 0;
    total = 0;
    while ((n = read(ends[0], buffer, 30011)) > 0) {
        for (int i = 0; i < n; i++) sum += (unsigned char)buffer[i];
        total += (int)n;
    }
    pthread_join(thread, NULL);
    printf("streamed %d sum %ld\n", total, sum);
    close(ends[0]);

    signal(SIGPIPE, on_pipe);
    pipe(ends);
    close(ends[0]);
    printf("poll without reader: %x\n", ready(ends[1], POLLOUT));
    FAIL("write: %ld %s", write(ends[1], "x", 1));
    printf(" signal %d\n", (int)broken);
    FAIL("seek: %ld %s\n", (long)lseek(ends[1], 0, SEEK_CUR));
    FAIL("read of the writing end: %ld %s\n", read(ends[1], buffer, 1));
    close(ends[1]);
    FAIL("bad flags: %ld %s\n", pipe2(ends, 1));
    FAIL("bad address: %ld %s\n", pipe(nowhere));
    pipe2(ends, O_CLOEXEC | O_NONBLOCK);
    printf("flags %d %x\n", fcntl(ends[0], F_GETFD), fcntl(ends[0], F_GETFL) & (O_NONBLOCK | O_ACCMODE));
    struct stat st;
    fstat(ends[0], &st);
    printf("mode %o\n", st.st_mode);
    mkdir("/tmp", 0777);
    mkfifo("/tmp/fifo", 0600);
    FAIL("named, nobody reads: %ld %s\n", open("/tmp/fifo", O_WRONLY | O_NONBLOCK));
    int reader = open("/tmp/fifo", O_RDONLY | O_NONBLOCK);
    int writer = open("/tmp/fifo", O_WRONLY | O_NONBLOCK);
    printf("named: %zd", write(writer, "abc", 3));
    printf(" %zd\n", read(reader, buffer, 10));
    unlink("/tmp/fifo");
    return 0;
}
