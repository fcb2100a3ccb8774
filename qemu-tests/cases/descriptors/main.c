// The descriptor table: lowest numbers, duplicates, flags, limits, ranges.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

// The call comes before the look at errno.
#define FAIL(format, call) do { long result_ = (long)(call); printf(format, result_, result_ < 0 ? strerrorname_np(errno) : "no error"); } while (0)

int main(void) {
    int a = open("/dev/null", O_RDWR), b = open("/dev/null", O_RDONLY | O_CLOEXEC);
    printf("next numbers %d %d\n", a, b);
    printf("flags %d %d\n", fcntl(a, F_GETFD), fcntl(b, F_GETFD));
    printf("dup %d\n", dup(a));
    close(a);
    printf("lowest %d\n", dup(b));
    printf("dup2 %d", dup2(b, 10));
    printf(" flags %d\n", fcntl(10, F_GETFD));
    printf("dup2 to itself %d\n", dup2(10, 10));
    FAIL("dup2 of nothing: %ld %s\n", dup2(99, 99));
    FAIL("dup3 to itself: %ld %s\n", dup3(10, 10, 0));
    printf("dup3 %d", dup3(10, 11, O_CLOEXEC));
    printf(" flags %d\n", fcntl(11, F_GETFD));
    printf("F_DUPFD %d\n", fcntl(b, F_DUPFD, 10));
    printf("F_DUPFD_CLOEXEC %d", fcntl(b, F_DUPFD_CLOEXEC, 20));
    printf(" flags %d\n", fcntl(20, F_GETFD));
    printf("setfd %d", fcntl(20, F_SETFD, 0));
    printf(" flags %d\n", fcntl(20, F_GETFD));
    printf("close twice %d", close(20));
    FAIL(" %ld %s\n", close(20));
    printf("close range %d\n", close_range(10, 100, 0));
    FAIL("gone: %ld %s\n", fcntl(11, F_GETFD));
    FAIL("bad range: %ld %s\n", close_range(5, 4, 0));
    struct rlimit limit = {8, 8};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 8;
    setrlimit(RLIMIT_NOFILE, &limit);
    int fd, count = 0;
    while ((fd = dup(0)) >= 0) count++;
    FAIL("until the limit %ld %s\n", count);
    FAIL("above: %ld %s\n", dup2(0, 8));
    FAIL("F_DUPFD above: %ld %s\n", fcntl(0, F_DUPFD, 8));
    FAIL("open: %ld %s\n", open("/dev/null", O_RDONLY));
    close(7);
    struct flock lock = {F_WRLCK, SEEK_SET, 0, 0, 0};
    fd = open("/dev/null", O_RDWR);
    printf("lock %d\n", fcntl(fd, F_SETLK, &lock));
    printf("query %d", fcntl(fd, F_GETLK, &lock));
    printf(" %d\n", lock.l_type == F_UNLCK);
    lock.l_type = 77;
    FAIL("bad lock: %ld %s\n", fcntl(fd, F_SETLK, &lock));
    printf("flock %d %d\n", flock(fd, LOCK_EX | LOCK_NB), flock(fd, LOCK_UN));
    FAIL("bad command: %ld %s\n", fcntl(fd, 9999));
    FAIL("read of a bad descriptor: %ld %s\n", read(99, NULL, 0));
    return 0;
}
