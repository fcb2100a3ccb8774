// Signal handlers: masks, nesting, information, queues, one-shot handlers, ignored signals.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile int depth, deepest, runs;

static void nest(int signo) {
    depth++;
    if (depth > deepest) deepest = depth;
    if (++runs < 3) raise(signo);
    depth--;
}

static void tell(int signo, siginfo_t *info, void *context) {
    (void)context;
    printf("signal %d code %d value %d from me %d\n", signo == SIGUSR1 ? 1 : signo - SIGRTMIN + 100, info->si_code,
           info->si_value.sival_int, info->si_pid == getpid());
}

static void count(int signo) { (void)signo; depth++; }

static void install(int signo, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    sigaction(signo, &action, NULL);
}

static void *thread_mask(void *argument) {
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    printf("new thread inherits the mask: %d %d\n", sigismember(&mask, SIGUSR2), sigismember(&mask, SIGUSR1));
    return argument;
}

int main(void) {
    install(SIGUSR1, nest, 0);
    raise(SIGUSR1);
    printf("blocked in its own handler, then again: deepest %d, runs %d\n", deepest, runs);
    deepest = runs = 0;
    install(SIGUSR1, nest, SA_NODEFER);
    raise(SIGUSR1);
    printf("not blocked: deepest %d, runs %d\n", deepest, runs);

    struct sigaction action = {.sa_sigaction = tell, .sa_flags = SA_SIGINFO}, old;
    sigfillset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    for (int i = 0; i < 3; i++) sigaction(SIGRTMIN + i, &action, NULL);
    raise(SIGUSR1);
    kill(getpid(), SIGUSR1);

    sigset_t set, waiting;
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    for (int i = 2; i >= 0; i--)
        for (int n = 1; n <= 2; n++) sigqueue(getpid(), SIGRTMIN + i, (union sigval){.sival_int = i * 10 + n});
    sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 1});
    sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 2});
    sigpending(&waiting);
    printf("pending: %d %d %d\n", sigismember(&waiting, SIGUSR1), sigismember(&waiting, SIGRTMIN + 1),
           sigismember(&waiting, SIGUSR2));
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);

    depth = 0;
    install(SIGUSR2, count, SA_RESETHAND);
    raise(SIGUSR2);
    sigaction(SIGUSR2, NULL, &old);
    printf("one shot: %d, default again: %d\n", depth, old.sa_handler == SIG_DFL);
    signal(SIGUSR2, SIG_IGN);
    printf("ignored: %d\n", raise(SIGUSR2));
    printf("default of SIGCHLD and SIGURG: %d\n", raise(SIGCHLD) + raise(SIGURG));

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR2);
    install(SIGUSR2, count, 0);
    raise(SIGUSR2);
    signal(SIGUSR2, SIG_IGN);
    sigpending(&waiting);
    printf("ignoring drops what is pending: %d\n", !sigismember(&waiting, SIGUSR2));
    pthread_t thread;
    pthread_create(&thread, NULL, thread_mask, NULL);
    pthread_join(thread, NULL);

    action.sa_handler = count;
    printf("SIGKILL: %s\n", sigaction(SIGKILL, &action, NULL) < 0 ? strerror(errno) : "ok");
    printf("SIGSTOP: %s\n", signal(SIGSTOP, SIG_IGN) == SIG_ERR ? strerror(errno) : "ok");
    printf("no such signal: %s\n", kill(getpid(), 65) < 0 ? strerror(errno) : "ok");
    printf("no such thread: %s\n", syscall(SYS_tgkill, getpid(), 999999, 0) < 0 ? strerror(errno) : "ok");
    printf("exists: %d\n", kill(getpid(), 0));
    printf("bad how: %s\n", sigprocmask(77, &set, NULL) < 0 ? strerror(errno) : "ok");
    return 0;
}
