// At the first start makes files, folders and links in the root volume; at the second shows what is there.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK(call) do { if ((call) < 0) { printf("line %d: %s: %s\n", __LINE__, #call, strerror(errno)); exit(1); } } while (0)
#define LARGE_BLOCKS 700
#define BLOCK_BYTES 5000

static void fill(unsigned char *block, int number) {
    for (int i = 0; i < BLOCK_BYTES; i++) block[i] = number * 7 + i * 13;
}

static void put(const char *path, const char *text) {
    int fd;
    CHECK(fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0640));
    CHECK(write(fd, text, strlen(text)));
    CHECK(close(fd));
}

static void make(void) {
    static unsigned char block[BLOCK_BYTES];
    char name[100];
    int fd;
    CHECK(mkdir("/kept", 0755));
    CHECK(mkdir("/kept/a folder", 0700));
    put("/kept/a folder/n\xc3\xa4me.txt", "deep");
    put("/kept/plain.txt", "plain");
    put("/kept/moved.txt", "moved");
    CHECK(rename("/kept/moved.txt", "/kept/a folder/here.txt"));
    put("/kept/removed.txt", "removed");
    CHECK(unlink("/kept/removed.txt"));
    CHECK(symlink("a folder/here.txt", "/kept/link"));
    CHECK(fd = open("/kept/large.bin", O_CREAT | O_WRONLY, 0644));
    for (int number = 0; number < LARGE_BLOCKS; number++) {
        fill(block, number);
        CHECK(write(fd, block, sizeof block));
    }
    CHECK(ftruncate(fd, (LARGE_BLOCKS - 100) * BLOCK_BYTES));
    CHECK(close(fd));
    CHECK(fd = open("/kept/sparse.bin", O_CREAT | O_WRONLY, 0644));
    CHECK(pwrite(fd, "end", 3, 1000000));
    CHECK(close(fd));
    for (int number = 0; number < 300; number++) {
        sprintf(name, "/kept/small-%03d", number);
        put(name, name + 6);
        if (number % 3 == 0) CHECK(unlink(name));
    }
    puts("made");
}

static void show(const char *path) {
    char text[100];
    struct stat about;
    int fd;
    CHECK(fd = open(path, O_RDONLY));
    CHECK(fstat(fd, &about));
    ssize_t bytes = read(fd, text, sizeof text);
    CHECK(bytes);
    printf("%s: %.*s %o\n", path, (int)bytes, text, about.st_mode & 07777);
    close(fd);
}

static void check(void) {
    static unsigned char found[BLOCK_BYTES], expected[BLOCK_BYTES];
    char name[100];
    struct stat about;
    int fd, wrong = 0, small = 0;
    show("/kept/plain.txt");
    show("/kept/a folder/n\xc3\xa4me.txt");
    show("/kept/link");
    printf("removed: %s\n", access("/kept/removed.txt", F_OK) < 0 ? strerror(errno) : "still there");
    CHECK(fd = open("/kept/large.bin", O_RDONLY));
    for (int number = 0; number < LARGE_BLOCKS - 100; number++) {
        fill(expected, number);
        CHECK(read(fd, found, sizeof found));
        if (memcmp(found, expected, sizeof found) != 0) wrong++;
    }
    printf("large: %d wrong, %ld bytes behind\n", wrong, (long)read(fd, found, sizeof found));
    CHECK(fd = open("/kept/sparse.bin", O_RDONLY));
    CHECK(fstat(fd, &about));
    CHECK(pread(fd, found, 5, 999998));
    printf("sparse: %ld %d %d %.3s\n", (long)about.st_size, found[0], found[1], found + 2);
    for (int number = 0; number < 300; number++) {
        sprintf(name, "/kept/small-%03d", number);
        if (access(name, R_OK) == 0) small++;
    }
    printf("small: %d\n", small);
}

int main(void) {
    if (access("/kept", F_OK) == 0) check();
    else make();
    return 0;
}
