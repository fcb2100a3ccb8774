// Reads two mounts, /one and /deep/two, of which the second may not be changed, and shows how each change is refused.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void tell(const char *what, int result) {
    printf("%s: %s\n", what, result < 0 ? strerror(errno) : "ok");
}

static void show(const char *path) {
    char text[100];
    int fd = open(path, O_RDONLY);
    ssize_t bytes = read(fd, text, sizeof text);
    printf("%s: %.*s\n", path, bytes < 0 ? 0 : (int)bytes, text);
    close(fd);
}

int main(void) {
    show("/one/a.txt");
    show("/deep/two/a.txt");
    tell("create", open("/deep/two/b.txt", O_CREAT | O_WRONLY, 0644));
    tell("write", open("/deep/two/a.txt", O_WRONLY));
    tell("mkdir", mkdir("/deep/two/folder", 0755));
    tell("unlink", unlink("/deep/two/a.txt"));
    tell("rename", rename("/deep/two/a.txt", "/deep/two/b.txt"));
    tell("truncate", truncate("/deep/two/a.txt", 0));
    tell("access", access("/deep/two/a.txt", W_OK));
    int fd = open("/one/b.txt", O_CREAT | O_WRONLY, 0644);
    tell("beside", write(fd, "beside", 6));
    tell("across", rename("/one/b.txt", "/deep/b.txt"));
    return 0;
}
