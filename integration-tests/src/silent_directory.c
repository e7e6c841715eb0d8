/* A directory service that does not answer questions about USER while the file SILENT exists. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

typedef int lookup(const char *, struct passwd *, char *, size_t, struct passwd **);

int getpwnam_r(const char *name, struct passwd *entry, char *text, size_t room, struct passwd **found) {
    lookup *real = (lookup *)dlsym(RTLD_NEXT, "getpwnam_r");
    while (strcmp(name, USER) == 0 && access(SILENT, F_OK) == 0) usleep(10000);
    return real(name, entry, text, room, found);
}
