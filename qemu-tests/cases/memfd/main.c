// memfd_create(2): a file in memory, its seals, its mappings.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// The call comes before the look at errno.
#define FAIL(format, call) do { long result_ = (long)(call); printf(format, result_, result_ < 0 ? strerrorname_np(errno) : "no error"); } while (0)

int main(void) {
    int fd = memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    printf("flags %d\n", fcntl(fd, F_GETFD));
    printf("write %zd\n", write(fd, "hello", 5));
    printf("truncate %d\n", ftruncate(fd, 8192));
    char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    printf("mapped %.5s %d\n", map, map[5000]);
    map[5000] = 'x';
    char byte;
    printf("read %zd", pread(fd, &byte, 1, 5000));
    printf(" %c\n", byte);
    struct stat st;
    fstat(fd, &st);
    printf("size %ld links %ld mode %o\n", (long)st.st_size, (long)st.st_nlink, st.st_mode);
    char path[64], link[64] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    printf("link %zd", readlink(path, link, sizeof link - 1));
    printf(" %s\n", link);
    printf("seals %d\n", fcntl(fd, F_GET_SEALS));
    printf("add %d\n", fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
    FAIL("shrink: %ld %s\n", ftruncate(fd, 1));
    FAIL("grow: %ld %s\n", pwrite(fd, "x", 1, 9000));
    printf("inside %zd\n", pwrite(fd, "x", 1, 0));
    munmap(map, 8192);
    printf("seal %d\n", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL));
    FAIL("write: %ld %s\n", pwrite(fd, "x", 1, 0));
    FAIL("more seals: %ld %s\n", fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    int plain = memfd_create("plain", 0);
    FAIL("unsealable %ld %s\n", fcntl(plain, F_ADD_SEALS, F_SEAL_GROW));
    FAIL("bad flags: %ld %s\n", memfd_create("x", 0x1000));
    ftruncate(plain, 100000);
    printf("punch %d\n", fallocate(plain, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    pwrite(plain, "data", 4, 65536);
    printf("data at %ld hole at %ld\n", (long)lseek(plain, 0, SEEK_DATA), (long)lseek(plain, 65536, SEEK_HOLE));
    int reopened = open(path, O_RDONLY);
    printf("reopened %zd", pread(reopened, &byte, 1, 0));
    printf(" %c\n", byte);
    return 0;
}
