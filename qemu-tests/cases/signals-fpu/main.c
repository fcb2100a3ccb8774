// Vector and x87 state survive signal handlers and thread switches.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static volatile int ticks;

static void spoil(int signo) {
    (void)signo;
    ticks++;
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n pcmpeqd %%xmm7, %%xmm7\n pcmpeqd %%xmm15, %%xmm15\n fninit\n fldpi"
                     : : : "xmm0", "xmm7", "xmm15", "st");
    uint32_t mxcsr = 0x1fa0;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
}

static int check(uint64_t seed) {
    uint64_t in[2] = {seed, ~seed}, out[6] = {0};
    uint16_t control = 0x0a7f, control_after = 0;
    uint32_t mxcsr = 0x3f80, mxcsr_after = 0;
    double value = 1.5 + (double)(seed & 0xff), value_after = 0;
    __asm__ volatile("ldmxcsr %[mxcsr]\n fninit\n fldcw %[control]\n fldl %[value]\n"
                     "movdqu %[in], %%xmm0\n movdqa %%xmm0, %%xmm7\n movdqa %%xmm0, %%xmm15\n"
                     "mov $2000000, %%rcx\n 1: dec %%rcx\n jnz 1b\n"
                     "movdqu %%xmm0, %[out0]\n movdqu %%xmm7, %[out1]\n movdqu %%xmm15, %[out2]\n"
                     "fstpl %[value_after]\n fnstcw %[control_after]\n stmxcsr %[mxcsr_after]\n fninit\n"
                     : [out0] "=m"(*(uint64_t(*)[2])&out[0]), [out1] "=m"(*(uint64_t(*)[2])&out[2]),
                       [out2] "=m"(*(uint64_t(*)[2])&out[4]), [value_after] "=m"(value_after),
                       [control_after] "=m"(control_after), [mxcsr_after] "=m"(mxcsr_after)
                     : [in] "m"(in), [mxcsr] "m"(mxcsr), [control] "m"(control), [value] "m"(value)
                     : "xmm0", "xmm7", "xmm15", "rcx", "st", "memory");
    uint32_t normal = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(normal));
    int good = value == value_after && control == control_after && mxcsr == mxcsr_after;
    for (int i = 0; i < 6; i++) good &= out[i] == in[i % 2];
    return good;
}

static void *run(void *argument) {
    long good = 0;
    for (int i = 0; i < 20; i++) good += check((uint64_t)(uintptr_t)argument * 0x123456789abcdefULL + (uint64_t)i);
    return (void *)good;
}

int main(void) {
    struct sigaction action = {.sa_handler = spoil, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = {{0, 3000}, {0, 3000}};
    setitimer(ITIMER_REAL, &timer, NULL);
    pthread_t threads[3];
    for (long i = 0; i < 3; i++) pthread_create(&threads[i], NULL, run, (void *)(i + 1));
    long good = (long)run((void *)9);
    for (int i = 0; i < 3; i++) {
        void *result;
        pthread_join(threads[i], &result);
        good += (long)result;
    }
    printf("state kept in %ld of 80 runs, signals came: %d\n", good, ticks > 0);
    return 0;
}
