/*
 * For tests of refused system calls, loaded by LD_PRELOAD: makes the call whose name is
 * in $FAILING fail with EPERM.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static int fails(const char *call)
{
    const char *name = getenv("FAILING");

    if (name == 0 || strcmp(name, call) != 0)
        return 0;
    errno = EPERM;
    return 1;
}

/* The function of the C library. */
#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))

struct passwd;

int initgroups(const char *user, gid_t group);
struct passwd *getpwnam(const char *name);
int getpwnam_r(const char *, struct passwd *, char *, size_t, struct passwd **);
int getrlimit(int resource, void *limit);
int getrlimit64(int resource, void *limit);
int setrlimit(int resource, const void *limit);
int setrlimit64(int resource, const void *limit);
int epoll_wait(int fd, void *events, int count, int timeout);
pid_t fork(void);

int initgroups(const char *user, gid_t group)
{
    return fails("initgroups") ? -1 : REAL(initgroups)(user, group);
}

struct passwd *getpwnam(const char *name)
{
    return fails("getpwnam") ? 0 : REAL(getpwnam)(name);
}

int getpwnam_r(const char *name, struct passwd *entry, char *buffer,
               size_t size, struct passwd **result)
{
    return fails("getpwnam") ? EPERM : REAL(getpwnam_r)(name, entry, buffer, size, result);
}

int getrlimit(int resource, void *limit)
{
    return fails("getrlimit") ? -1 : REAL(getrlimit)(resource, limit);
}

/* The name of getrlimit() for programs with 64-bit file sizes. */
int getrlimit64(int resource, void *limit)
{
    return fails("getrlimit") ? -1 : REAL(getrlimit64)(resource, limit);
}

int setrlimit(int resource, const void *limit)
{
    return fails("setrlimit") ? -1 : REAL(setrlimit)(resource, limit);
}

int setrlimit64(int resource, const void *limit)
{
    return fails("setrlimit") ? -1 : REAL(setrlimit64)(resource, limit);
}

int epoll_wait(int fd, void *events, int count, int timeout)
{
    return fails("epoll_wait") ? -1 : REAL(epoll_wait)(fd, events, count, timeout);
}

int sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
    return fails("sigaction") && signal == SIGALRM ? -1 : REAL(sigaction)(signal, action, old);
}

/* A shell is started by the C program with system(3), by this program with fork(2). */
int system(const char *command)
{
    return fails("shell") ? -1 : REAL(system)(command);
}

pid_t fork(void)
{
    return fails("shell") ? -1 : REAL(fork)();
}
