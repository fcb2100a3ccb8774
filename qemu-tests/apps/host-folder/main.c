// Changes a mounted folder in every way that a program can, and prints what it sees of it afterwards.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CHECK(call) do { if ((call) < 0) { printf("line %d: %s: %s\n", __LINE__, #call, strerror(errno)); exit(1); } } while (0)

static void put(const char *path, int flags, const char *text) {
    int fd;
    CHECK(fd = open(path, flags, 0644));
    CHECK(write(fd, text, strlen(text)));
    CHECK(close(fd));
}

static void show(const char *path) {
    char text[100];
    int fd;
    CHECK(fd = open(path, O_RDONLY));
    ssize_t bytes = read(fd, text, sizeof text - 1);
    CHECK(bytes);
    text[bytes] = 0;
    printf("%s: %s\n", path, text);
    close(fd);
}

// 3 MiB at odd offsets: the data crosses pages and messages.
static void large(const char *path) {
    static unsigned char block[12345];
    int fd;
    CHECK(fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600));
    for (off_t offset = 0; offset < 3 << 20; offset += sizeof block) {
        for (size_t i = 0; i < sizeof block; i++) block[i] = (offset + i) * 31 >> 3;
        CHECK(pwrite(fd, block, sizeof block, offset));
    }
    CHECK(fsync(fd));
    CHECK(close(fd));
}

int main(void) {
    char target[100];
    struct stat about;
    struct statvfs room;
    CHECK(chdir("/data"));
    show("from-host.txt");
    put("created.txt", O_CREAT | O_EXCL | O_WRONLY, "made in the guest");
    put("from-host.txt", O_WRONLY | O_APPEND, " and more");
    put("shortened.txt", O_CREAT | O_WRONLY, "0123456789");
    CHECK(truncate("shortened.txt", 4));
    put("old name.txt", O_CREAT | O_WRONLY, "renamed");
    CHECK(rename("old name.txt", "n\xc3\xa4me neu.txt"));
    put("gone.txt", O_CREAT | O_WRONLY, "x");
    CHECK(unlink("gone.txt"));
    printf("gone: %s\n", access("gone.txt", F_OK) < 0 ? strerror(errno) : "still there");
    CHECK(mkdir("folder", 0755));
    put("folder/inside.txt", O_CREAT | O_WRONLY, "deep");
    CHECK(mkdir("empty", 0755));
    CHECK(rmdir("empty"));
    printf("rmdir: %s\n", rmdir("folder") < 0 ? strerror(errno) : "removed");
    CHECK(symlink("folder/inside.txt", "link"));
    ssize_t bytes = readlink("link", target, sizeof target);
    CHECK(bytes);
    printf("link: %.*s\n", (int)bytes, target);
    show("link");
    CHECK(chmod("created.txt", 0600));
    CHECK(stat("created.txt", &about));
    printf("created: %o %ld\n", about.st_mode, (long)about.st_size);
    put("target.txt", O_CREAT | O_WRONLY, "old");
    put("source.txt", O_CREAT | O_WRONLY, "new");
    CHECK(rename("source.txt", "target.txt"));
    show("target.txt");
    large("large.bin");
    CHECK(stat("large.bin", &about));
    printf("large: %ld\n", (long)about.st_size);
    CHECK(statvfs(".", &room));
    printf("room: %s\n", room.f_bavail > 0 ? "yes" : "no");
    int entries = 0;
    DIR *folder = opendir(".");
    while (folder && readdir(folder)) entries++;
    printf("entries: %d\n", entries);
    puts("ready");
    fflush(stdout);
    // The host answers by making this file.
    while (access("answer.txt", F_OK) < 0) usleep(20000);
    show("answer.txt");
    return 0;
}
