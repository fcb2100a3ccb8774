// Listing: every entry once, positions, many entries, a buffer too small, changes meanwhile.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// The call comes before the look at errno.
#define FAIL(format, call) do { long result_ = (long)(call); printf(format, result_, result_ < 0 ? strerrorname_np(errno) : "no error"); } while (0)

enum { MANY = 300 };

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(const char *path) {
    DIR *dir = opendir(path);
    char *names[16];
    int count = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        char *line = malloc(300);
        snprintf(line, 300, "%s %d", e->d_name, e->d_type);
        names[count++] = line;
    }
    closedir(dir);
    qsort(names, (size_t)count, sizeof *names, compare);
    for (int i = 0; i < count; i++) printf("  %s\n", names[i]);
}

int main(void) {
    mkdir("/tmp", 0777);
    mkdir("/tmp/list", 0755);
    chdir("/tmp/list");
    close(open("file", O_CREAT | O_WRONLY, 0644));
    mkdir("dir", 0755);
    symlink("file", "link");
    mkfifo("fifo", 0600);
    printf("small\n");
    list(".");
    unlink("fifo");
    unlink("link");
    unlink("file");
    char name[64];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "dir/a-name-of-some-length-%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0644));
    }
    DIR *dir = opendir("dir");
    char seen[MANY] = {0};
    int total = 0, twice = 0;
    long middle = 0;
    char after[300] = "";
    for (struct dirent *e; (e = readdir(dir));) {
        int i;
        total++;
        if (sscanf(e->d_name, "a-name-of-some-length-%d", &i) == 1) twice += seen[i]++;
        if (total == 150) middle = telldir(dir);
        if (total == 151) strcpy(after, e->d_name);
    }
    printf("entries %d twice %d\n", total, twice);
    seekdir(dir, middle);
    struct dirent *e = readdir(dir);
    printf("back to the middle: %d\n", e && strcmp(e->d_name, after) == 0);
    rewinddir(dir);
    total = 0;
    while (readdir(dir)) total++;
    printf("again %d\n", total);
    rewinddir(dir);
    int removed = 0;
    while ((e = readdir(dir)))
        if (e->d_name[0] == 'a') removed += unlinkat(dirfd(dir), e->d_name, 0) == 0;
    printf("removed while listing %d\n", removed);
    rewinddir(dir);
    total = 0;
    while (readdir(dir)) total++;
    printf("left %d\n", total);
    closedir(dir);
    int fd = open("dir", O_RDONLY | O_DIRECTORY);
    char buffer[16];
    FAIL("too small: %ld %s\n", syscall(SYS_getdents64, fd, buffer, sizeof buffer));
    FAIL("read: %ld %s\n", read(fd, buffer, 1));
    int file = open("dir/f", O_CREAT | O_RDWR, 0644);
    char large[256];
    FAIL("a file: %ld %s\n", syscall(SYS_getdents64, file, large, sizeof large));
    unlink("dir/f");
    rmdir("dir");
    FAIL("removed: %ld %s\n", syscall(SYS_getdents64, fd, large, sizeof large));
    chdir("/");
    rmdir("/tmp/list");
    return 0;
}
