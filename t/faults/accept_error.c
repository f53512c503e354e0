/*
 * For tests of accept(2), loaded by LD_PRELOAD: makes it fail with the error number in
 * the file $ACCEPT_ERROR, unless that is 0.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int error(void)
{
    static int fd = -1;
    char text[32] = "";

    /* Opened once: the program may change its root directory and user later. */
    if (fd < 0)
        fd = open(getenv("ACCEPT_ERROR"), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, text, sizeof(text) - 1, 0) < 0)
        return 0;
    return atoi(text);
}

__attribute__((constructor)) static void open_file(void)
{
    error();
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    int (*real)(int, struct sockaddr *, socklen_t *, int) = dlsym(RTLD_NEXT, "accept4");
    int number = error();

    if (number == 0)
        return real(fd, address, length, flags);
    errno = number;
    return -1;
}

int accept(int fd, struct sockaddr *address, socklen_t *length)
{
    return accept4(fd, address, length, 0);
}
