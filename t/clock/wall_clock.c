/*
 * For tests of time, loaded by LD_PRELOAD: makes the wall clock wrong by the number of
 * seconds in the file $CLOCK_OFFSET. The monotonic clock does not change; but with
 * $CLOCK_STOPPED all clocks are stopped, at that number of seconds after STOPPED_AT.
 */
#define _GNU_SOURCE
/* Where time_t has 32 bits, std calls the functions with 64. */
#ifndef __LP64__
#define _TIME_BITS 64
#define _FILE_OFFSET_BITS 64
#endif
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define STOPPED_AT 1700000000

#if defined(__GLIBC__) && __TIMESIZE == 32
#define CLOCK_GETTIME "__clock_gettime64"
#else
#define CLOCK_GETTIME "clock_gettime"
#endif

static long offset(void)
{
    static int fd = -1;
    char text[32] = "";

    /* Opened once: the program may change its root directory and user later. */
    if (fd < 0)
        fd = open(getenv("CLOCK_OFFSET"), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, text, sizeof(text) - 1, 0) < 0)
        return 0;
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, CLOCK_GETTIME);
    int result = real(clock, now);

    if (getenv("CLOCK_STOPPED")) {
        now->tv_sec = STOPPED_AT + offset();
        now->tv_nsec = 0;
    } else if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        now->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec time;

    (void) zone;
    clock_gettime(CLOCK_REALTIME, &time);
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now)
{
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time);
    if (now)
        *now = time.tv_sec;
    return time.tv_sec;
}
