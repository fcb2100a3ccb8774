// rename(2), unlink(2), rmdir(2), link(2): what they replace, refuse and leave behind.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void file(const char *path, const char *text) {
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    if (write(fd, text, strlen(text)) < 0) perror(path);
    close(fd);
}
static void show(const char *path) {
    char text[32] = "";
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, 31);
    if (n < 0) printf("  %s: %s\n", path, strerrorname_np(errno));
    else printf("  %s: %s\n", path, text);
    if (fd >= 0) close(fd);
}
#define TRY(call) printf("%s: %s\n", #call, (call) == 0 ? "ok" : strerrorname_np(errno))

int main(void) {
    mkdir("/tmp", 0777);
    mkdir("/tmp/ren", 0755);
    chdir("/tmp/ren");
    file("a", "A");
    file("b", "B");
    mkdir("d", 0755);
    mkdir("e", 0755);
    file("d/x", "X");
    TRY(rename("a", "c"));
    show("a");
    show("c");
    int open_b = open("b", O_RDONLY);
    TRY(rename("c", "b"));
    show("b");
    char byte = 0;
    printf("the replaced one: %zd", read(open_b, &byte, 1));
    printf(" %c\n", byte);
    TRY(rename("missing", "x"));
    TRY(rename("b", "d"));
    TRY(rename("d", "b"));
    TRY(rename("e", "d"));
    TRY(rename("d", "e"));
    show("e/x");
    TRY(rename("e", "e/sub"));
    TRY(rename("b", "b"));
    TRY(rename("b", "missing/b"));
    TRY(rename("b", "b/x"));
    TRY(rename("e/.", "f"));
    TRY(rename("b", "n/"));
    TRY(rename("e", "f/"));
    TRY(rename("f", "e"));
    TRY(renameat2(AT_FDCWD, "b", AT_FDCWD, "e", RENAME_NOREPLACE));
    TRY(renameat2(AT_FDCWD, "b", AT_FDCWD, "new", RENAME_NOREPLACE));
    TRY(renameat2(AT_FDCWD, "new", AT_FDCWD, "e", RENAME_EXCHANGE));
    show("e");
    show("new/x");
    TRY(renameat2(AT_FDCWD, "new", AT_FDCWD, "e", RENAME_EXCHANGE));
    TRY(link("new", "second"));
    TRY(link("new", "second"));
    TRY(link("e", "dirlink"));
    struct stat st;
    stat("new", &st);
    printf("links %ld\n", (long)st.st_nlink);
    TRY(unlink("new"));
    show("second");
    stat("second", &st);
    printf("links %ld\n", (long)st.st_nlink);
    TRY(unlink("new"));
    TRY(unlink("e"));
    TRY(unlink("e/"));
    TRY(unlink("second/"));
    TRY(rmdir("e"));
    TRY(rmdir("second"));
    TRY(rmdir("e/."));
    TRY(rmdir("e/x"));
    TRY(rmdir("missing"));
    TRY(mkdir("e", 0755));
    TRY(mkdir("second", 0755));
    TRY(mkdir("no/dir", 0755));
    TRY(mkdir("withslash/", 0755));
    TRY(mkdir(".", 0755));
    TRY(rmdir("withslash/"));
    TRY(unlink("e/x"));
    TRY(rmdir("e"));
    TRY(unlink("second"));
    TRY(unlinkat(AT_FDCWD, "x", 0x1000));
    chdir("/");
    TRY(rmdir("/tmp/ren"));
    return 0;
}
