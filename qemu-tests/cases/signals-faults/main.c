// Exceptions as signals: number, code and address.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile int signo_seen, code_seen, at_rip;
static void *volatile address;

static void caught(int signo, siginfo_t *info, void *context) {
    ucontext_t *registers = context;
    signo_seen = signo;
    code_seen = info->si_code;
    address = info->si_addr;
    at_rip = (greg_t)info->si_addr == registers->uc_mcontext.gregs[REG_RIP];
    siglongjmp(back, 1);
}

static void skip(int signo, siginfo_t *info, void *context) {
    (void)info;
    ucontext_t *registers = context;
    signo_seen = signo;
    registers->uc_mcontext.gregs[REG_RIP] += 2;
    registers->uc_mcontext.gregs[REG_RAX] = 42;
}

static const char *name(void) {
    return signo_seen == SIGFPE ? "SIGFPE" : signo_seen == SIGILL ? "SIGILL" : signo_seen == SIGTRAP ? "SIGTRAP"
         : signo_seen == SIGBUS ? "SIGBUS" : signo_seen == SIGSEGV ? "SIGSEGV" : "?";
}

#define TRY(what, body)                                                                                   \
    do {                                                                                                  \
        if (sigsetjmp(back, 1) == 0) { body; printf(what ": nothing\n"); }                                \
        else printf(what ": %s code %d, at the instruction %d\n", name(), code_seen, at_rip);             \
    } while (0)

int main(void) {
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    int all[] = {SIGFPE, SIGILL, SIGTRAP, SIGBUS, SIGSEGV};
    for (int i = 0; i < 5; i++) sigaction(all[i], &action, NULL);
    volatile int zero = 0, seven = 7;
    TRY("divide by zero", seven = seven / zero);
    TRY("undefined instruction", __asm__ volatile("ud2"));
    TRY("breakpoint", __asm__ volatile("int3"));
    TRY("privileged instruction", __asm__ volatile("cli"));
    TRY("port access", __asm__ volatile("outb %%al, $0x80" : : "a"(0)));

    FILE *file = tmpfile();
    if (file == NULL || fwrite("x", 1, 1, file) != 1 || fflush(file)) return 1;
    char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
    if (sigsetjmp(back, 1) == 0) printf("%d\n", pages[4096]);
    else printf("behind the end of a file: %s code %d at +%ld\n", name(), code_seen, (long)((char *)address - pages));

    action.sa_sigaction = skip;
    sigaction(SIGILL, &action, NULL);
    long rax = 1;
    __asm__ volatile("ud2" : "+a"(rax));
    printf("changed context: rax %ld\n", rax);
    return 0;
}
