// /proc, /dev and /sys: what programs read of themselves and the machine.
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

static char text[65536];
static int load(const char *path) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) return -1;
    size_t got = 0;
    ssize_t n;
    while ((n = read(fd, text + got, sizeof text - 1 - got)) > 0) got += (size_t)n;
    text[got] = 0;
    close(fd);
    return (int)got;
}
static void has(const char *path, const char *word) { printf("%s %s: %d\n", path, word, load(path) > 0 && strstr(text, word) != NULL); }

int main(int argc, char **argv) {
    (void)argc;
    int len = load("/proc/self/cmdline");
    printf("cmdline %d\n", len == (int)strlen(argv[0]) + 1 && strcmp(text, argv[0]) == 0);
    has("/proc/self/status", "Threads:\t1\n");
    has("/proc/self/status", "VmRSS:");
    char own[64];
    snprintf(own, sizeof own, "(%.15s)", program_invocation_short_name);
    printf("name in stat %d\n", load("/proc/self/stat") > 0 && strstr(text, own) != NULL);
    snprintf(own, sizeof own, "%.15s\n", program_invocation_short_name);
    printf("comm %d\n", load("/proc/self/comm") > 0 && strcmp(text, own) == 0);
    has("/proc/self/maps", "[stack]");
    has("/proc/self/maps", "[heap]");
    has("/proc/self/limits", "Max open files");
    has("/proc/self/mounts", " /proc proc ");
    has("/proc/self/mountinfo", " /proc ");
    has("/proc/meminfo", "MemTotal:");
    has("/proc/cpuinfo", "processor\t: 0");
    has("/proc/stat", "cpu0 ");
    has("/proc/version", "Linux version");
    has("/proc/filesystems", "proc");
    has("/proc/sys/kernel/ostype", "Linux");
    has("/proc/sys/net/core/somaxconn", "\n");
    has("/proc/sys/kernel/random/uuid", "-4");
    has("/sys/devices/system/cpu/online", "0");
    printf("uptime %d\n", load("/proc/uptime") > 0 && atof(text) > 0);
    char path[4096] = "", name[64];
    printf("exe %d\n", readlink("/proc/self/exe", path, sizeof path - 1) > 0 && strstr(path, program_invocation_short_name) != NULL);
    memset(path, 0, sizeof path);
    chdir("/proc");
    readlink("/proc/self/cwd", path, sizeof path - 1);
    printf("cwd %s\n", path);
    snprintf(name, sizeof name, "/proc/%d/comm", getpid());
    printf("above task %d\n", load("/proc/self/task/../comm") > 0);
    printf("by pid %d\n", load(name) > 0);
    FAIL("no such process: %ld %s\n", load("/proc/999999/comm"));
    int fd = open("/proc/self/exe", O_RDONLY);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int again = open(name, O_RDONLY);
    char magic[4];
    printf("reopened %zd", read(again, magic, 4));
    printf(" %d\n", memcmp(magic, "\177ELF", 4) == 0);
    printf("write: %d\n", open("/proc/self/maps", O_WRONLY) < 0);
    printf("create: %d\n", open("/proc/new", O_CREAT | O_WRONLY, 0644));

    int null = open("/dev/null", O_RDWR);
    printf("null %zd %zd\n", write(null, text, 100), read(null, text, 100));
    int zero = open("/dev/zero", O_RDONLY);
    memset(text, 1, 100);
    printf("zero %zd", read(zero, text, 100));
    printf(" %d\n", text[0] | text[99]);
    int full = open("/dev/full", O_WRONLY);
    FAIL("full: %ld %s\n", write(full, "x", 1));
    int urandom = open("/dev/urandom", O_RDONLY);
    memset(text, 0, 100);
    ssize_t got = read(urandom, text, 64);
    int ones = 0;
    for (int i = 0; i < 64; i++) ones += text[i] != 0;
    printf("random %zd %d\n", got, ones > 32);
    struct stat st;
    stat("/dev/null", &st);
    printf("device %d %lx\n", S_ISCHR(st.st_mode), (long)st.st_rdev);
    printf("terminal %d\n", isatty(1));
    int shm = open("/dev/shm/test-file", O_CREAT | O_RDWR, 0600);
    printf("shm %zd\n", write(shm, "x", 1));
    unlink("/dev/shm/test-file");
    printf("stdout %d\n", stat("/dev/stdout", &st) == 0);
    return 0;
}
