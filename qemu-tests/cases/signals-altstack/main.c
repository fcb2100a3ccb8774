// Alternate signal stacks and recovery from faults.
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

static sigjmp_buf back;
static char *alt;
static const size_t alt_size = 64 * 1024;
static volatile int on_alt, code;
static void *volatile address;

static void caught(int signo, siginfo_t *info, void *context) {
    (void)context;
    char here;
    stack_t now;
    sigaltstack(NULL, &now);
    on_alt = &here >= alt && &here < alt + alt_size && (now.ss_flags & SS_ONSTACK) != 0;
    stack_t busy = {.ss_sp = alt, .ss_size = alt_size};
    if (on_alt && !(sigaltstack(&busy, NULL) < 0 && errno == EPERM)) on_alt = 2;
    code = info->si_code;
    address = info->si_addr;
    siglongjmp(back, signo);
}

static int deeper(int n) {
    volatile char room[4096];
    memset((char *)room, n, sizeof room);
    return deeper(n + 1) + room[n % 4096];
}

int main(void) {
    stack_t stack = {.ss_size = 100}, old;
    printf("too small: %s\n", sigaltstack(&stack, NULL) < 0 ? strerror(errno) : "ok");
    stack.ss_flags = 77;
    printf("bad flags: %s\n", sigaltstack(&stack, NULL) < 0 ? strerror(errno) : "ok");
    sigaltstack(NULL, &old);
    printf("at first disabled: %d\n", old.ss_flags == SS_DISABLE);
    alt = malloc(alt_size);
    stack = (stack_t){.ss_sp = alt, .ss_size = alt_size};
    printf("set: %d\n", sigaltstack(&stack, NULL));

    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);

    if (sigsetjmp(back, 1) == 0) *(volatile int *)0x1234 = 1;
    else printf("no mapping: code %d at %p, on alt %d\n", code, address, on_alt);
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (sigsetjmp(back, 1) == 0) page[5] = 1;
    else printf("not writable: code %d at +%ld\n", code, (long)((char *)address - page));
    mprotect(page, 4096, PROT_NONE);
    if (sigsetjmp(back, 1) == 0) printf("%d\n", page[7]);
    else printf("not readable: code %d at +%ld\n", code, (long)((char *)address - page));
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
    if (sigsetjmp(back, 1) == 0) ((void (*)(void))page)();
    else printf("not executable: code %d at +%ld\n", code, (long)((char *)address - page));
    if (sigsetjmp(back, 1) == 0) *(volatile int *)0xdead000000000000 = 1;
    else printf("no address at all: code %d\n", code);
    if (sigsetjmp(back, 1) == 0) printf("%d\n", deeper(1));
    else printf("stack overflow caught on the alternate stack: %d, code %d\n", on_alt, code);
    if (sigsetjmp(back, 1) == 0) printf("%d\n", deeper(1));
    else printf("and again: %d\n", on_alt);
    return 0;
}
