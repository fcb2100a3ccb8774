// Anonymous memory: mmap, munmap, mprotect, mremap, madvise, mincore, brk, and their errors.
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PAGE = 4096 };
#define RW (PROT_READ | PROT_WRITE)
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)

static const char *status(void *result) { return result == MAP_FAILED ? strerror(errno) : "ok"; }
static const char *outcome(int result) { return result < 0 ? strerror(errno) : "ok"; }

int main(void) {
    printf("length 0: %s\n", status(mmap(NULL, 0, RW, PRIVATE, -1, 0)));
    printf("odd offset: %s\n", status(mmap(NULL, PAGE, RW, PRIVATE, -1, 5)));
    printf("no type: %s\n", status(mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0)));
    printf("bad fd: %s\n", status(mmap(NULL, PAGE, RW, MAP_PRIVATE, 99, 0)));
    printf("too large: %s\n", status(mmap(NULL, (size_t)1 << 62, RW, PRIVATE, -1, 0)));
    printf("odd fixed: %s\n", status(mmap((void *)0x10000123, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0)));
    printf("outside: %s\n", status(mmap((void *)0x7ffffffff000, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0)));

    char *area = mmap(NULL, 8 * PAGE, RW, PRIVATE, -1, 0);
    memset(area, 1, 8 * PAGE);
    printf("unmap the middle: %s\n", outcome(munmap(area + 2 * PAGE, 2 * PAGE)));
    printf("no replace: %s\n", status(mmap(area, PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE, -1, 0)));
    printf("no replace in the hole: %d\n",
           mmap(area + 2 * PAGE, PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE, -1, 0) == area + 2 * PAGE);
    printf("zero again: %d %d\n", area[2 * PAGE], area[PAGE]);
    unsigned char vector[8];
    printf("mincore over a hole: %s\n", outcome(mincore(area, 8 * PAGE, vector)));
    printf("mincore: %s ", outcome(mincore(area, 3 * PAGE, vector)));
    printf("%d %d %d\n", vector[0] & 1, vector[1] & 1, vector[2] & 1);
    printf("mprotect over a hole: %s\n", outcome(mprotect(area, 8 * PAGE, PROT_READ)));
    printf("mprotect odd: %s\n", outcome(mprotect(area + 1, PAGE, PROT_READ)));
    printf("munmap odd: %s, nothing: %s, unmapped: %s\n", outcome(munmap(area + 1, PAGE)), outcome(munmap(area, 0)),
           outcome(munmap(area + 3 * PAGE, PAGE)));
    munmap(area, 8 * PAGE);

    char *hidden = mmap(NULL, 2 * PAGE, RW, PRIVATE, -1, 0);
    strcpy(hidden, "kept while hidden");
    mprotect(hidden, 2 * PAGE, PROT_NONE);
    mprotect(hidden, 2 * PAGE, RW);
    printf("%s\n", hidden);
    printf("madvise: %s\n", outcome(madvise(hidden, 2 * PAGE, MADV_DONTNEED)));
    printf("dropped: %d\n", hidden[0] == 0);
    printf("bad advice: %s, odd: %s\n", outcome(madvise(hidden, PAGE, 1234)), outcome(madvise(hidden + 1, PAGE, 4)));

    strcpy(hidden, "moves along");
    char *grown = mremap(hidden, 2 * PAGE, 300 * PAGE, MREMAP_MAYMOVE);
    printf("grown: %s, tail %d\n", grown, grown[299 * PAGE]);
    char *shrunk = mremap(grown, 300 * PAGE, PAGE, 0);
    printf("shrunk in place: %d\n", shrunk == grown);
    printf("tail is gone: %s\n", outcome(mincore(grown + PAGE, PAGE, vector)));
    char *target = mmap(NULL, 4 * PAGE, PROT_NONE, PRIVATE, -1, 0);
    char *moved = mremap(shrunk, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target);
    printf("moved to a place: %d %s\n", moved == target, moved);
    printf("mremap of nothing: %s\n", status(mremap(shrunk, PAGE, 2 * PAGE, MREMAP_MAYMOVE)));
    printf("mremap bad flags: %s\n", status(mremap(moved, PAGE, PAGE, 64)));
    printf("mremap to itself: %s\n", status(mremap(moved, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, moved + PAGE)));
    char *wall = mmap(moved + 2 * PAGE, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0);
    printf("no room: %d %s\n", wall == moved + 2 * PAGE, status(mremap(moved, 2 * PAGE, 3 * PAGE, 0)));

    size_t huge = (size_t)64 << 30;
    char *reserved = mmap(NULL, huge, PROT_NONE, PRIVATE | MAP_NORESERVE, -1, 0);
    printf("64 GiB reserved: %s\n", status(reserved));
    char *used = mmap(reserved + (huge / 2), 16 * PAGE, RW, PRIVATE | MAP_FIXED, -1, 0);
    used[15 * PAGE] = 5;
    printf("used inside: %d\n", used[15 * PAGE]);
    printf("released: %s\n", outcome(munmap(reserved, huge)));

    char *shared = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    strcpy(shared, "shared");
    char *twin = mremap(shared, 0, 2 * PAGE, MREMAP_MAYMOVE);
    strcpy(twin + 10, "twice");
    printf("%s %s\n", twin, shared + 10);
    printf("low: %d\n", (uintptr_t)mmap(NULL, PAGE, RW, PRIVATE | MAP_32BIT, -1, 0) < 0x80000000);

    char *start = sbrk(0);
    printf("brk grows: %d\n", sbrk(10 * PAGE) == start && sbrk(0) == (void *)(start + 10 * PAGE));
    memset(start, 3, 10 * PAGE);
    brk(start);
    sbrk(PAGE);
    printf("and is zero when it comes back: %d\n", start[0]);
    printf("mlock: %s %s\n", outcome(mlock(moved, PAGE)), outcome(munlock(moved, PAGE)));
    struct rlimit limit = {256 << 20, 256 << 20};
    setrlimit(RLIMIT_AS, &limit);
    printf("above the limit: %s\n", status(mmap(NULL, 512 << 20, RW, PRIVATE | MAP_NORESERVE, -1, 0)));
    return 0;
}
