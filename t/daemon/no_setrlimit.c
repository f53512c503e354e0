/* A system that lets nobody change a limit. */
#include <errno.h>

int setrlimit(int resource, const void *limit)
{
    (void) resource;
    (void) limit;
    errno = EPERM;
    return -1;
}

/* What it is called where file sizes need it. */
int setrlimit64(int resource, const void *limit)
{
    return setrlimit(resource, limit);
}
