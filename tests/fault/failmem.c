/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that there is not, as an LD_PRELOAD library: malloc, calloc, realloc, strdup and strndup, where the program itself calls
 * them, and none of its libraries.
 *
 * The file named by BUSBAR_FAILMEM is mapped: six little-endian 64-bit numbers. The process that it concerns (the first one that
 * finds 0 there), how often it asked, and that requests from the one number up to the other are refused; how many were, and where
 * in the program the last one was made.
 */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static struct control {
    _Atomic uint64_t pid, asked, from, to, refused, where;
} * control;
static uintptr_t base, text_from, text_to; /* of the program */

static int find_text(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
            continue;
        base = info->dlpi_addr;
        text_from = info->dlpi_addr + p->p_vaddr;
        text_to = text_from + p->p_memsz;
    }
    return 1; /* the first one is the program */
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("BUSBAR_FAILMEM");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    struct control *map = mmap(NULL, sizeof *map, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    uint64_t none = 0;
    if (map == MAP_FAILED || !atomic_compare_exchange_strong(&map->pid, &none, (uint64_t)getpid()))
        return;
    dl_iterate_phdr(find_text, NULL);
    control = map;
}

static bool refused(const void *caller)
{
    if (!control || (uintptr_t)caller < text_from || (uintptr_t)caller >= text_to ||
        control->pid != (uint64_t)getpid())
        return false;
    uint64_t n = ++control->asked;
    if (n < control->from || n >= control->to)
        return false;
    control->refused++;
    control->where = (uintptr_t)caller - base;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return refused(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return refused(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    return refused(__builtin_return_address(0)) ? NULL : __libc_realloc(p, size);
}

static char *copy(const char *text, size_t len)
{
    char *made = __libc_malloc(len + 1);
    if (made) {
        memcpy(made, text, len);
        made[len] = 0;
    }
    return made;
}

char *strdup(const char *text)
{
    return refused(__builtin_return_address(0)) ? NULL : copy(text, strlen(text));
}

char *strndup(const char *text, size_t max)
{
    return refused(__builtin_return_address(0)) ? NULL : copy(text, strnlen(text, max));
}
