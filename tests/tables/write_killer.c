/* Ends a process before the n-th change of files below a folder, whoever makes it: Python, SQLite, Arrow or Rust.
 *
 * cc -shared -fPIC -O1 -o killer.so write_killer.c -ldl, then LD_PRELOAD=killer.so. Nothing happens before watch_writes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static size_t folder_length;
static long die_at;
static atomic_long writes;

/* Counts from now on; the process dies instead of write number die_before (from 1), 0 is never. */
void watch_writes(const char *path, long die_before) {
    snprintf(folder, sizeof folder, "%s/", path);
    die_at = die_before;
    atomic_store(&writes, 0);
    folder_length = strlen(folder);
}

long count_writes(void) { return atomic_load(&writes); }

static void step(const char *path) {
    if (!folder_length || !path || strncmp(path, folder, folder_length)) return;
    if (atomic_fetch_add(&writes, 1) + 1 != die_at) return;
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static void step_file(int file) {
    char link[64], path[PATH_MAX];
    if (!folder_length) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return;
    path[length] = 0;
    step(path);
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) *(void **)(&real) = dlsym(RTLD_NEXT, #name)

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        if (flags & (O_CREAT | O_TRUNC)) step(path); \
        return real(path, flags, mode); \
    }
#define OPENAT(name) \
    int name(int at, const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        if (flags & (O_CREAT | O_TRUNC)) step(path); \
        return real(at, path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

#define CHANGE(result, name, parameters, given, counted) \
    result name parameters { \
        REAL(name); \
        counted; \
        return real given; \
    }
CHANGE(ssize_t, write, (int file, const void *data, size_t size), (file, data, size), step_file(file))
CHANGE(ssize_t, writev, (int file, const struct iovec *data, int count), (file, data, count), step_file(file))
CHANGE(ssize_t, pwrite, (int file, const void *data, size_t size, off_t at), (file, data, size, at), step_file(file))
CHANGE(ssize_t, pwrite64, (int file, const void *data, size_t size, off64_t at), (file, data, size, at), step_file(file))
CHANGE(int, ftruncate, (int file, off_t size), (file, size), step_file(file))
CHANGE(int, ftruncate64, (int file, off64_t size), (file, size), step_file(file))
CHANGE(int, mkdir, (const char *path, mode_t mode), (path, mode), step(path))
CHANGE(int, rename, (const char *from, const char *to), (from, to), step(to))
CHANGE(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), step(to))
CHANGE(int, link, (const char *from, const char *to), (from, to), step(to))
CHANGE(int, linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags), step(to))
CHANGE(int, unlink, (const char *path), (path), step(path))
CHANGE(int, unlinkat, (int at, const char *path, int flags), (at, path, flags), step(path))
