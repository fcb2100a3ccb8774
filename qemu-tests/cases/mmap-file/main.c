// Files in memory: private copies, shared changes, the end of the file, protection by how it was opened.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096 };
static sigjmp_buf back;
static void caught(int signo) { siglongjmp(back, signo); }
static const char *status(void *result) { return result == MAP_FAILED ? strerror(errno) : "ok"; }

int main(void) {
    const char *path = "/tmp/mmap-file.data";
    mkdir("/tmp", 0777);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    char page[PAGE];
    for (int i = 0; i < 3; i++) {
        memset(page, 'a' + i, PAGE);
        if (write(fd, page, i == 2 ? 100 : PAGE) < 0) return 1;
    }
    char *shared = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *private = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    char *second = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
    printf("%c %c %c, behind the end %d\n", shared[0], shared[PAGE], second[0], shared[2 * PAGE + 100]);

    shared[0] = 'S';
    printf("shared is seen by read: %c", pread(fd, page, 1, 0) == 1 ? page[0] : '?');
    printf(", by the private map: %c\n", private[0]);
    private[PAGE] = 'P';
    printf("private is not: %c %c\n", pread(fd, page, 1, PAGE) == 1 ? page[0] : '?', second[0]);
    shared[PAGE] = 'T';
    printf("the copy stays: %c, others change: %c\n", private[PAGE], second[0]);
    if (pwrite(fd, "W", 1, 5) != 1) return 1;
    printf("write is seen by both: %c %c\n", shared[5], private[5]);
    printf("msync: %d\n", msync(shared, 3 * PAGE, MS_SYNC));
    printf("msync flags: %s\n", msync(shared, PAGE, MS_SYNC | MS_ASYNC) < 0 ? strerror(errno) : "ok");

    signal(SIGBUS, caught);
    char *beyond = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    int signo = sigsetjmp(back, 1);
    if (signo == 0) printf("%d\n", beyond[3 * PAGE]);
    else printf("behind the last page: SIGBUS %d\n", signo == SIGBUS);
    if (ftruncate(fd, PAGE)) return 1;
    signo = sigsetjmp(back, 1);
    if (signo == 0) printf("%d\n", shared[PAGE]);
    else printf("after truncation: SIGBUS %d\n", signo == SIGBUS);
    if (ftruncate(fd, 2 * PAGE)) return 1;
    printf("grown again: %d\n", shared[PAGE]);

    int reader = open(path, O_RDONLY);
    printf("shared writable of a read-only file: %s\n", status(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0)));
    char *view = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0);
    printf("made writable: %s\n", mprotect(view, PAGE, PROT_READ | PROT_WRITE) < 0 ? strerror(errno) : "ok");
    char *copy = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, reader, 0);
    copy[0] = 'X';
    printf("private writable: %c %c\n", copy[0], view[0]);
    int writer = open(path, O_WRONLY);
    printf("of a write-only file: %s\n", status(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, writer, 0)));
    int ends[2];
    if (pipe(ends)) return 1;
    printf("of a pipe: %s\n", status(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, ends[0], 0)));
    close(fd);
    shared[1] = 'Z';
    munmap(shared, 3 * PAGE);
    printf("written after close: %c\n", pread(reader, page, 2, 0) == 2 ? page[1] : '?');
    unlink(path);
    printf("still mapped after unlink: %c\n", view[1]);
    return 0;
}
