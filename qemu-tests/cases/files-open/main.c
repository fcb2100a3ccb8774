// open(2): every flag that decides whether a file is made, cut, refused, or only named.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// The call comes before the look at errno.
#define FAIL(format, call) do { long result_ = (long)(call); printf(format, result_, result_ < 0 ? strerrorname_np(errno) : "no error"); } while (0)

static void try(const char *what, const char *path, int flags) {
    int fd = open(path, flags, 0640);
    if (fd < 0) {
        printf("%s: %s\n", what, strerrorname_np(errno));
        return;
    }
    struct stat st;
    fstat(fd, &st);
    printf("%s: ok mode %o size %ld\n", what, st.st_mode, S_ISDIR(st.st_mode) ? 0L : (long)st.st_size);
    close(fd);
}

int main(void) {
    umask(022);
    mkdir("/tmp", 0777);
    mkdir("/tmp/open", 0755);
    chdir("/tmp/open");
    try("missing", "file", O_RDONLY);
    try("create", "file", O_RDWR | O_CREAT | O_EXCL);
    try("create again", "file", O_RDWR | O_CREAT | O_EXCL);
    try("create existing", "file", O_RDWR | O_CREAT);
    int fd = open("file", O_WRONLY | O_APPEND);
    printf("write %zd\n", write(fd, "12345", 5));
    FAIL("read of a write-only file: %ld %s\n", read(fd, &(char){0}, 1));
    lseek(fd, 0, SEEK_SET);
    printf("append %zd at %ld\n", write(fd, "678", 3), (long)lseek(fd, 0, SEEK_CUR));
    printf("flags %x\n", fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK));
    close(fd);
    try("plain", "file", O_RDONLY);
    try("truncate", "file", O_WRONLY | O_TRUNC);
    try("directory to write", ".", O_WRONLY);
    try("directory", ".", O_RDONLY);
    try("directory wanted", "file", O_RDONLY | O_DIRECTORY);
    try("create a directory", ".", O_RDONLY | O_CREAT);
    try("through a file", "file/x", O_RDONLY);
    try("slash behind a file", "file/", O_RDONLY);
    try("create with a slash", "new/", O_RDWR | O_CREAT);
    try("empty", "", O_RDONLY);
    symlink("file", "link");
    symlink("nowhere", "dangling");
    symlink("loop", "loop");
    try("link", "link", O_RDONLY);
    try("link not followed", "link", O_RDONLY | O_NOFOLLOW);
    try("link as such", "link", O_PATH | O_NOFOLLOW);
    try("loop", "loop", O_RDONLY);
    try("exclusive at a dangling link", "dangling", O_RDWR | O_CREAT | O_EXCL);
    try("create through a dangling link", "dangling", O_RDWR | O_CREAT);
    try("it made", "nowhere", O_RDONLY);
    try("bad tmpfile", ".", O_RDONLY | O_TMPFILE);
    try("path only", "file", O_PATH);
    fd = open("file", O_PATH);
    char byte;
    FAIL("read: %ld %s\n", read(fd, &byte, 1));
    FAIL("fchmod: %ld %s\n", fchmod(fd, 0600));
    close(fd);
    char name[300];
    memset(name, 'n', sizeof name);
    name[255] = 0;
    try("255 bytes", name, O_RDWR | O_CREAT);
    unlink(name);
    name[255] = 'n';
    name[256] = 0;
    try("256 bytes", name, O_RDWR | O_CREAT);
    char path[5000];
    memset(path, '/', sizeof path);
    path[4095] = 0;
    try("4095 slashes", path, O_RDONLY);
    path[4095] = '/';
    path[4096] = 0;
    try("4096 slashes", path, O_RDONLY);
    unlink("file");
    unlink("link");
    unlink("dangling");
    unlink("nowhere");
    unlink("loop");
    chdir("/");
    printf("rmdir %d\n", rmdir("/tmp/open"));
    return 0;
}
