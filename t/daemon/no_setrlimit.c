/* Makes setrlimit(2) fail. */
#include <errno.h>

int setrlimit(int resource, const void *limit)
{
    (void) resource;
    (void) limit;
    errno = EPERM;
    return -1;
}

/* Its name with large-file support. */
int setrlimit64(int resource, const void *limit)
{
    return setrlimit(resource, limit);
}
