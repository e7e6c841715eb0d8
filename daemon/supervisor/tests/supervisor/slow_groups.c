/* A directory service that does not return the groups of a user while the file WAITS exists. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <grp.h>
#include <unistd.h>

typedef int lookup(const char *, gid_t, gid_t *, int *);

int getgrouplist(const char *user, gid_t group, gid_t *groups, int *count) {
    lookup *real = (lookup *)dlsym(RTLD_NEXT, "getgrouplist");
    while (access(WAITS, F_OK) == 0) usleep(10000);
    return real(user, group, groups, count);
}
