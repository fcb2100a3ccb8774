// Data of one file: positions, holes, vectors, appending, lengths, and what a second descriptor sees.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

// The call comes before the look at errno.
#define FAIL(format, call) do { long result_ = (long)(call); printf(format, result_, result_ < 0 ? strerrorname_np(errno) : "no error"); } while (0)

enum { BIG = 3 << 20 };

int main(void) {
    mkdir("/tmp", 0777);
    const char *path = "/tmp/data";
    void *volatile nowhere = (void *)1;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    char *big = malloc(BIG), *back = malloc(BIG);
    for (int i = 0; i < BIG; i++) big[i] = (char)(i * 2654435761u >> 13);
    printf("write %zd\n", write(fd, big, BIG));
    printf("position %ld\n", (long)lseek(fd, 0, SEEK_CUR));
    printf("read at the end %zd\n", read(fd, back, 10));
    lseek(fd, 0, SEEK_SET);
    size_t got = 0;
    ssize_t n;
    while ((n = read(fd, back + got, 70001)) > 0) got += (size_t)n;
    printf("read %zu same %d\n", got, memcmp(big, back, BIG) == 0);
    printf("pread %zd", pread(fd, back, 5000, 12345));
    printf(" same %d\n", memcmp(big + 12345, back, 5000) == 0);
    printf("pwrite %zd, position %ld\n", pwrite(fd, "hello", 5, 8190), (long)lseek(fd, 0, SEEK_CUR));
    memcpy(big + 8190, "hello", 5);
    int other = open(path, O_RDONLY);
    printf("other sees %zd", pread(other, back, BIG, 0));
    printf(" same %d\n", memcmp(big, back, BIG) == 0);
    printf("truncate %d\n", ftruncate(fd, 10000));
    printf("read behind %zd\n", pread(other, back, 10, 10000));
    printf("grow %d\n", ftruncate(fd, 20000));
    n = pread(other, back, 20000, 0);
    int zeros = 1;
    for (int i = 10000; i < 20000; i++) zeros &= back[i] == 0;
    printf("read %zd same %d zeros %d\n", n, memcmp(big, back, 10000) == 0, zeros);
    printf("hole: write at 1000000 %zd\n", pwrite(fd, "x", 1, 1000000));
    struct stat st;
    fstat(fd, &st);
    printf("size %ld\n", (long)st.st_size);
    n = pread(fd, back, 100, 500000);
    printf("in the hole %zd %d\n", n, back[0]);
    struct iovec parts[3] = {{"one", 3}, {"", 0}, {"three", 5}};
    lseek(fd, 0, SEEK_SET);
    printf("writev %zd\n", writev(fd, parts, 3));
    char a[2], b[6];
    struct iovec rooms[2] = {{a, 2}, {b, 6}};
    printf("preadv %zd %.2s %.6s\n", preadv(fd, rooms, 2, 0), a, b);
    FAIL("negative pread: %ld %s\n", pread(fd, a, 1, -1));
    FAIL("seek before the start: %ld %s\n", (long)lseek(fd, -1, SEEK_SET));
    printf("seek end %ld\n", (long)lseek(fd, -1, SEEK_END));
    printf("read %zd", read(fd, a, 2));
    printf(" %c\n", a[0]);
    FAIL("bad whence: %ld %s\n", (long)lseek(fd, 0, 9));
    printf("seek far %ld\n", (long)lseek(fd, 1L << 40, SEEK_SET));
    printf("read there %zd\n", read(fd, a, 2));
    FAIL("bad address: %ld %s\n", pread(fd, nowhere, 10, 0));
    FAIL("bad address: %ld %s\n", pwrite(fd, nowhere, 10, 0));
    printf("nothing: %zd %zd\n", read(fd, a, 0), write(fd, a, 0));
    int append = open(path, O_WRONLY | O_APPEND);
    printf("append %zd", write(append, "end", 3));
    printf(" at %ld\n", (long)lseek(append, 0, SEEK_CUR));
    printf("data %ld\n", (long)lseek(fd, 0, SEEK_DATA));
    FAIL("behind the end: %ld %s\n", (long)lseek(fd, 2000000, SEEK_DATA));
    printf("fsync %d fdatasync %d\n", fsync(fd), fdatasync(fd));
    printf("allocate %d\n", posix_fallocate(fd, 0, 2000000));
    fstat(fd, &st);
    printf("size %ld\n", (long)st.st_size);
    FAIL("ftruncate of a read-only file: %ld %s\n", ftruncate(other, 1));
    printf("truncate %d\n", truncate(path, 3));
    printf("left %zd\n", pread(other, back, 100, 0));
    unlink(path);
    printf("after unlink %zd %.3s\n", pread(other, back, 100, 0), back);
    fstat(other, &st);
    printf("links %ld\n", (long)st.st_nlink);
    return 0;
}
