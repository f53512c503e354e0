/*
 * Sockets with which the system is not generous: with $SMALL_BUFFER those that
 * are accepted have room for one small piece of output, with $KEPT_AWAY no
 * descriptor comes with what is received, as when a security module refuses
 * it, and with $NO_THREADS no thread can be made to close one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    int (*real)(int, struct sockaddr *, socklen_t *, int) = dlsym(RTLD_NEXT, "accept4");
    int size = 1;
    int socket = real(fd, address, length, flags);

    if (socket >= 0 && getenv("SMALL_BUFFER"))
        setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    return socket;
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    ssize_t (*real)(int, struct msghdr *, int) = dlsym(RTLD_NEXT, "recvmsg");
    ssize_t count = real(fd, msg, flags);
    struct cmsghdr *cmsg = count < 0 ? NULL : CMSG_FIRSTHDR(msg);
    int kept_away;

    if (cmsg && getenv("KEPT_AWAY")) {
        memcpy(&kept_away, CMSG_DATA(cmsg), sizeof(kept_away));
        close(kept_away);
        msg->msg_controllen = 0;
        msg->msg_flags |= MSG_CTRUNC;
    }
    return count;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                   void *(*start)(void *), void *argument)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
        dlsym(RTLD_NEXT, "pthread_create");

    return getenv("NO_THREADS") ? EAGAIN : real(thread, attributes, start, argument);
}
