// Names, ids, limits, prctl, random numbers.
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *outcome(long result) { return result < 0 ? strerror(errno) : "ok"; }

int main(void) {
    struct utsname names;
    printf("uname: %s %s %s\n", outcome(uname(&names)), names.sysname, names.machine);
    printf("a release of Linux: %d\n", names.release[0] >= '3');
    printf("process id: %d, thread id the same: %d\n", getpid() > 0, (int)syscall(SYS_gettid) == getpid());
    printf("wait: %s\n", outcome(wait(NULL)));
    struct sysinfo info;
    int result = sysinfo(&info);
    printf("sysinfo: %s, memory %d, unit %u\n", outcome(result), info.totalram > 0 && info.freeram <= info.totalram, info.mem_unit);

    struct rlimit limit, old;
    result = getrlimit(RLIMIT_STACK, &limit);
    printf("stack limit: %s %d\n", outcome(result), limit.rlim_cur >= 1 << 20);
    getrlimit(RLIMIT_NOFILE, &old);
    limit = (struct rlimit){64, old.rlim_max};
    printf("set files: %s\n", outcome(setrlimit(RLIMIT_NOFILE, &limit)));
    getrlimit(RLIMIT_NOFILE, &limit);
    printf("files now %lu\n", (unsigned long)limit.rlim_cur);
    printf("soft above hard: %s\n", outcome(setrlimit(RLIMIT_CORE, &(struct rlimit){10, 5})));
    printf("no such limit: %s\n", outcome(syscall(SYS_prlimit64, 0, 99, NULL, &limit)));

    char name[17] = {0};
    prctl(PR_SET_NAME, "a name that is rather long");
    prctl(PR_GET_NAME, name);
    printf("name: %s\n", name);
    printf("no new privileges: %d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    printf(" %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    printf("dumpable: %s, bad: %s\n", outcome(prctl(PR_SET_DUMPABLE, 1)), outcome(prctl(PR_SET_DUMPABLE, 7)));
    printf("no such prctl: %s\n", outcome(prctl(987654)));

    unsigned char a[300] = {0}, b[300] = {0};
    ssize_t first = getrandom(a, 300, 0), second = getrandom(b, 300, GRND_NONBLOCK);
    printf("random: %zd %zd, different: %d\n", first, second, memcmp(a, b, 300) != 0);
    printf("bad flags: %s, bad buffer: %s\n", outcome(getrandom(a, 4, 99)), outcome(syscall(SYS_getrandom, 8, 4, 0)));

    cpu_set_t cpus;
    result = sched_getaffinity(0, sizeof cpus, &cpus);
    printf("affinity: %s, any: %d\n", outcome(result), CPU_COUNT(&cpus) >= 1);
    printf("too small: %s\n", outcome(syscall(SYS_sched_getaffinity, 0, 1, &cpus)));
    printf("no such thread: %s\n", outcome(sched_getscheduler(999999)));
    printf("scheduler %d, priorities %d to %d\n", sched_getscheduler(0), sched_get_priority_min(SCHED_RR), sched_get_priority_max(SCHED_RR));
    printf("yield: %s\n", outcome(sched_yield()));
    errno = 0;
    printf("nice: %d\n", getpriority(PRIO_PROCESS, 0));
    printf("no such call: %s\n", outcome(syscall(5000)));
    printf("negative call: %s\n", outcome(syscall(-1)));
    return 0;
}
