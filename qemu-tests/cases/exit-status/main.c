// The status of the program, and output that is still in a buffer when it ends.
#include <stdio.h>
#include <stdlib.h>

static void last(void) { printf("last words"); }

int main(void) {
    atexit(last);
    printf("no newline at the end: ");
    exit(42);
}
