/* Records, and refuses, what a process looks up and connects to.
 *
 * Preloaded (LD_PRELOAD) into a command and so into all of its children, whatever language they are
 * written in. Each line of the file in NETWORK_RECORD is "lookup NAME" or "connect ADDRESS PORT".
 * A name that is not a numeric address is not resolved and an address outside of loopback is not
 * reached, so that a test never contacts what it is meant to find.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void record(const char *format, ...) {
    const char *path = getenv("NETWORK_RECORD");
    char line[512];
    va_list arguments;
    if (path == NULL)
        return;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0) {
        if (write(file, line, (size_t)length) != length)
            abort();
        close(file);
    }
}

static int is_numeric(const char *name) {
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* Returns whether the address may be reached, and records it if it is one of the internet. */
static int may_reach(const struct sockaddr *to) {
    char text[INET6_ADDRSTRLEN];
    if (to == NULL)
        return 1;
    if (to->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)to;
        inet_ntop(AF_INET, &four->sin_addr, text, sizeof text);
        record("connect %s %d\n", text, ntohs(four->sin_port));
        return (ntohl(four->sin_addr.s_addr) >> 24) == 127;
    }
    if (to->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)to;
        inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text);
        record("connect %s %d\n", text, ntohs(six->sin6_port));
        return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
    }
    return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
    if (name != NULL && !is_numeric(name)) {
        record("lookup %s\n", name);
        if (strcmp(name, "localhost") != 0)
            return EAI_FAIL;
    }
    return NEXT(getaddrinfo)(name, service, hints, found);
}

static struct hostent *refused(const char *name) {
    record("lookup %s\n", name);
    h_errno = NO_RECOVERY;
    return NULL;
}

struct hostent *gethostbyname(const char *name) { return refused(name); }

struct hostent *gethostbyname2(const char *name, int family) {
    (void)family;
    return refused(name);
}

int gethostbyname_r(const char *name, struct hostent *entry, char *buffer, size_t size,
                    struct hostent **found, int *error) {
    (void)entry, (void)buffer, (void)size;
    *found = refused(name);
    *error = NO_RECOVERY;
    return 0;
}

int connect(int socket, const struct sockaddr *to, socklen_t length) {
    if (!may_reach(to)) {
        errno = ENETUNREACH;
        return -1;
    }
    return NEXT(connect)(socket, to, length);
}

ssize_t sendto(int socket, const void *data, size_t size, int flags, const struct sockaddr *to,
               socklen_t length) {
    if (!may_reach(to)) {
        errno = ENETUNREACH;
        return -1;
    }
    return NEXT(sendto)(socket, data, size, flags, to, length);
}

ssize_t sendmsg(int socket, const struct msghdr *message, int flags) {
    if (!may_reach(message->msg_name)) {
        errno = ENETUNREACH;
        return -1;
    }
    return NEXT(sendmsg)(socket, message, flags);
}
