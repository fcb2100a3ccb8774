// Does with its streams and signals what its first argument says.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t asked;

static void on_signal(int signal) { asked = signal; }

// Copies input to output and counts it on stderr.
static int cat(void) {
    static char buffer[8192];
    long total = 0;
    ssize_t bytes;
    while ((bytes = read(0, buffer, sizeof buffer)) > 0) {
        for (ssize_t done = 0; done < bytes;) {
            ssize_t written = write(1, buffer + done, bytes - done);
            if (written < 0) return 1;
            done += written;
        }
        total += bytes;
    }
    fprintf(stderr, "%ld bytes, then %ld\n", total, (long)read(0, buffer, sizeof buffer));
    return bytes < 0;
}

// Writes so many bytes of every value.
static int large(long bytes) {
    for (long i = 0; i < bytes; i++) putchar((int)(i ^ i >> 8) & 0xff);
    return 0;
}

// Shows files, a line each.
static int show(char **paths) {
    for (; *paths; paths++) {
        char text[1000];
        int fd = open(*paths, O_RDONLY);
        ssize_t bytes = read(fd, text, sizeof text);
        if (bytes < 0) return perror(*paths), 1;
        printf("%.*s\n", (int)bytes, text);
    }
    return 0;
}

// Waits for SIGTERM, tidies up, and ends with status 3.
static int tidy(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t all, none;
    sigaction(SIGTERM, &action, NULL);
    sigfillset(&all);
    sigemptyset(&none);
    sigprocmask(SIG_BLOCK, &all, NULL);
    puts("ready");
    fflush(stdout);
    while (!asked) sigsuspend(&none);
    printf("signal %d, tidied up\n", (int)asked);
    return 3;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "cat";
    if (strcmp(what, "cat") == 0) return cat();
    if (strcmp(what, "large") == 0) return large(atol(argv[2]));
    if (strcmp(what, "show") == 0) return show(argv + 2);
    if (strcmp(what, "tidy") == 0) return tidy();
    if (strcmp(what, "ignore") == 0) signal(SIGTERM, SIG_IGN);
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}
