// A signal whose default action ends the program: 128 + its number, as a shell shows it.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    printf("before\n");
    fflush(stdout);
    abort();
}
