// What a program finds on its stack: arguments, environment, auxiliary vector.
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

extern char **environ;
static int data_word = 41;
static int bss_word;
static const char text[] = "constant";

int main(int argc, char **argv) {
    printf("argc at least 1: %d\n", argc >= 1);
    printf("argv ends with null: %d\n", argv[argc] == NULL);
    printf("environment follows: %d\n", (char **)environ == argv + argc + 1);
    printf("page size %lu, clock ticks %lu\n", getauxval(AT_PAGESZ), getauxval(AT_CLKTCK));
    const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
    int sum = 0;
    for (int i = 0; i < 16; i++) sum |= random[i];
    printf("random bytes: %d\n", sum != 0);
    printf("platform %s\n", (const char *)getauxval(AT_PLATFORM));
    printf("secure %lu\n", getauxval(AT_SECURE));
    const char *name = (const char *)getauxval(AT_EXECFN);
    printf("execfn lies above argv: %d\n", (uintptr_t)name > (uintptr_t)argv);
    const Elf64_Phdr *table = (const Elf64_Phdr *)getauxval(AT_PHDR);
    int loads = 0;
    for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++) loads += table[i].p_type == PT_LOAD;
    printf("header size %lu, loads %d\n", getauxval(AT_PHENT), loads > 0);
    const unsigned char *vdso = (const unsigned char *)getauxval(AT_SYSINFO_EHDR);
    printf("vdso is ELF: %d\n", vdso != NULL && memcmp(vdso, "\177ELF", 4) == 0);
    printf("signal stack at least 1024: %d\n", getauxval(AT_MINSIGSTKSZ) >= 1024);
    bss_word += data_word + 1;
    printf("data %d bss %d %s\n", data_word, bss_word, text);
    static char zeros[100000];
    int dirty = 0;
    for (size_t i = 0; i < sizeof zeros; i++) dirty |= zeros[i];
    printf("bss is zero: %d\n", dirty == 0);
    return 0;
}
