// Path resolution: dots, slashes, links in the middle, the working directory, descriptors as starting points.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// The call comes before the look at errno.
#define FAIL(format, call) do { long result_ = (long)(call); printf(format, result_, result_ < 0 ? strerrorname_np(errno) : "no error"); } while (0)

static void look(const char *path) {
    struct stat st;
    if (stat(path, &st) < 0) printf("%s: %s\n", path, strerrorname_np(errno));
    else printf("%s: %s\n", path, S_ISDIR(st.st_mode) ? "directory" : S_ISREG(st.st_mode) ? "file" : "other");
}

int main(void) {
    mkdir("/tmp", 0777);
    mkdir("/tmp/paths", 0755);
    chdir("/tmp/paths");
    mkdir("a", 0755);
    mkdir("a/b", 0755);
    close(open("a/b/file", O_CREAT | O_WRONLY, 0644));
    symlink("a/b", "short");
    symlink("/tmp/paths/a", "absolute");
    symlink("../b", "a/b/up");
    symlink("one", "two");
    symlink("two", "one");
    const char *all[] = {".", "..", "a", "a/", "a//b///file", "a/./b/../b/file", "a/b/file/", "a/b/file/..", "a/b/file/.", "short/file",
        "short/..", "short/../b/file", "absolute/b/up/file", "a/b/up/up/up/file", "two", "two/x", "missing", "missing/..", "a/missing/b",
        "//tmp//paths//a", "/../../tmp/paths/a", "short/", ""};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) look(all[i]);
    struct stat st;
    printf("lstat short: %s\n", lstat("short", &st) == 0 && S_ISLNK(st.st_mode) ? "link" : "?");
    printf("size of a link %ld\n", (long)st.st_size);
    printf("lstat short/: %s\n", lstat("short/", &st) == 0 && S_ISDIR(st.st_mode) ? "directory" : "?");
    char here[4096];
    chdir("short");
    printf("%s\n", getcwd(here, sizeof here));
    chdir("..");
    printf("%s\n", getcwd(here, sizeof here));
    printf("getcwd in 4 bytes: %s\n", getcwd(here, 4) ? "?" : strerrorname_np(errno));
    chdir("b/up");
    printf("%s\n", getcwd(here, sizeof here));
    FAIL("chdir to a file: %ld %s\n", chdir("file"));
    int fd = open("/tmp/paths/a", O_RDONLY | O_DIRECTORY);
    printf("openat %d\n", openat(fd, "b/file", O_RDONLY) >= 0);
    printf("absolute openat %d\n", openat(-1, "/tmp/paths/a/b/file", O_RDONLY) >= 0);
    FAIL("bad start: %ld %s\n", openat(-1, "b/file", O_RDONLY));
    int file = open("file", O_RDONLY);
    FAIL("file as start: %ld %s\n", openat(file, "x", O_RDONLY));
    printf("empty path: %d", fstatat(file, "", &st, AT_EMPTY_PATH));
    printf(" regular %d\n", S_ISREG(st.st_mode));
    fchdir(fd);
    printf("%s\n", getcwd(here, sizeof here));
    rename("/tmp/paths/a", "/tmp/paths/renamed");
    printf("%s\n", getcwd(here, sizeof here));
    look("b/file");
    look("/tmp/paths/short/file");
    rename("/tmp/paths/renamed", "/tmp/paths/a");
    mkdir("gone", 0755);
    chdir("gone");
    rmdir("../gone");
    printf("removed: %s\n", getcwd(here, sizeof here) ? here : strerrorname_np(errno));
    look("..");
    FAIL("create there: %ld %s\n", open("x", O_CREAT | O_WRONLY, 0644));
    char *real = realpath("/tmp/paths/absolute/../paths/short/up/file", NULL);
    printf("real: %s\n", real ? real : strerrorname_np(errno));
    chdir("/");
    unlink("/tmp/paths/one");
    unlink("/tmp/paths/two");
    unlink("/tmp/paths/a/b/up");
    unlink("/tmp/paths/absolute");
    unlink("/tmp/paths/short");
    unlink("/tmp/paths/a/b/file");
    printf("rmdir %d %d %d\n", rmdir("/tmp/paths/a/b"), rmdir("/tmp/paths/a"), rmdir("/tmp/paths"));
    return 0;
}
