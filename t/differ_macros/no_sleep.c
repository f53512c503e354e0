/*
 * Makes t/differ_macros fast, loaded by LD_PRELOAD: the functions that sleep return at
 * once. After a fatal error a program sleeps for a second before it exits.
 */
#include <time.h>

unsigned int sleep(unsigned int seconds)
{
    (void) seconds;
    return 0;
}

int nanosleep(const struct timespec *time, struct timespec *rest)
{
    (void) time;
    (void) rest;
    return 0;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time,
                    struct timespec *rest)
{
    (void) clock;
    (void) flags;
    (void) time;
    (void) rest;
    return 0;
}
