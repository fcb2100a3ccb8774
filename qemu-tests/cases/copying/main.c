// Moving data between descriptors: sendfile, copy_file_range, splice; times and modes of files.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

// The call comes before the look at errno.
#define FAIL(format, call) do { long result_ = (long)(call); printf(format, result_, result_ < 0 ? strerrorname_np(errno) : "no error"); } while (0)

int main(void) {
    mkdir("/tmp", 0777);
    mkdir("/tmp/copying", 0777);
    chdir("/tmp/copying");
    int in = open("in", O_RDWR | O_CREAT | O_TRUNC, 0644), out = open("out", O_RDWR | O_CREAT | O_TRUNC, 0644);
    static char data[100000], back[100000];
    for (int i = 0; i < 100000; i++) data[i] = (char)(i % 239);
    write(in, data, sizeof data);
    off_t at = 10;
    ssize_t moved = sendfile(out, in, &at, 50000);
    printf("sendfile %zd at %ld position %ld\n", moved, (long)at, (long)lseek(in, 0, SEEK_CUR));
    printf("same %d\n", pread(out, back, 50000, 0) == 50000 && memcmp(back, data + 10, 50000) == 0);
    lseek(in, 99000, SEEK_SET);
    printf("to the end %zd\n", sendfile(out, in, NULL, 50000));
    printf("at the end %zd\n", sendfile(out, in, NULL, 50000));
    off_t from = 0, to = 100;
    moved = copy_file_range(in, &from, out, &to, 1000, 0);
    printf("copy_file_range %zd %ld %ld\n", moved, (long)from, (long)to);
    printf("same %d\n", pread(out, back, 1000, 100) == 1000 && memcmp(back, data, 1000) == 0);
    int ends[2];
    pipe(ends);
    off_t offset = 500;
    printf("splice in %zd\n", splice(in, &offset, ends[1], NULL, 3000, 0));
    printf("splice out %zd\n", splice(ends[0], NULL, out, &(loff_t){0}, 3000, 0));
    printf("same %d\n", pread(out, back, 3000, 0) == 3000 && memcmp(back, data + 500, 3000) == 0);
    FAIL("no pipe: %ld %s\n", splice(in, NULL, out, NULL, 10, 0));
    int append = open("out", O_WRONLY | O_APPEND);
    FAIL("sendfile to append: %ld %s\n", sendfile(append, in, &at, 10));
    FAIL("sendfile from a pipe: %ld %s\n", sendfile(out, ends[0], NULL, 10));

    struct timespec times[2] = {{1000000000, 123456789}, {1100000000, 987654321}};
    printf("futimens %d\n", futimens(out, times));
    struct stat st;
    fstat(out, &st);
    printf("times %ld.%09ld %ld.%09ld\n", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec, (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_nsec = UTIME_NOW;
    utimensat(AT_FDCWD, "out", times, 0);
    fstat(out, &st);
    printf("omitted %ld, now %d\n", (long)st.st_atim.tv_sec, st.st_mtim.tv_sec > 1600000000);
    times[0].tv_nsec = 1000000000;
    FAIL("bad time: %ld %s\n", utimensat(AT_FDCWD, "out", times, 0));
    printf("chmod %d", chmod("out", 04711));
    stat("out", &st);
    printf(" %o\n", st.st_mode);
    printf("fchmod %d", fchmod(out, 0600));
    stat("out", &st);
    printf(" %o\n", st.st_mode);
    printf("access %d %d\n", access("out", R_OK | W_OK), access("out", X_OK));
    FAIL("bad mode: %ld %s\n", access("out", 99));
    FAIL("missing: %ld %s\n", access("missing", F_OK));
    umask(027);
    close(open("masked", O_CREAT | O_WRONLY, 0666));
    stat("masked", &st);
    printf("masked %o\n", st.st_mode);
    struct statx stx;
    int result = statx(AT_FDCWD, "out", 0, STATX_BASIC_STATS, &stx);
    printf("statx %d size %lld mode %o\n", result, stx.stx_size, stx.stx_mode);
    FAIL("statx of nothing: %ld %s\n", statx(AT_FDCWD, "", 0, STATX_BASIC_STATS, &stx));
    struct statfs fs;
    result = statfs(".", &fs);
    printf("statfs %d name %ld\n", result, (long)fs.f_namelen);
    char target[10] = "";
    symlink("a-longer-target", "link");
    printf("readlink %zd %.9s\n", readlink("link", target, 9), target);
    FAIL("readlink of a file: %ld %s\n", readlink("out", target, 9));
    unlink("link");
    unlink("masked");
    unlink("in");
    unlink("out");
    chdir("/");
    rmdir("/tmp/copying");
    return 0;
}
