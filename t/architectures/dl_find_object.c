/*
 * _dl_find_object(3) of glibc, for tests built with musl: finds the unwinding tables of
 * an object. gcc's unwinder calls it, because it is built for glibc; it unwinds the stack
 * when a test fails.
 */
#define _GNU_SOURCE
#include <link.h>

/* struct dl_find_object */
struct found {
    unsigned long long flags;
    void *start, *end, *map, *eh_frame;
    unsigned long long reserved[7];
};

struct search {
    ElfW(Addr) pc;
    struct found *found;
};

static int look(struct dl_phdr_info *info, size_t size, void *context)
{
    struct search *search = context;
    void *eh_frame = 0;
    int is_here = 0;

    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = info->dlpi_phdr + i;
        ElfW(Addr) start = info->dlpi_addr + part->p_vaddr;

        if (part->p_type == PT_LOAD && search->pc - start < part->p_memsz)
            is_here = 1;
        if (part->p_type == PT_GNU_EH_FRAME)
            eh_frame = (void *) start;
    }
    if (is_here)
        search->found->eh_frame = eh_frame;
    return is_here && eh_frame;
}

int _dl_find_object(void *pc, struct found *found)
{
    struct search search = {(ElfW(Addr)) pc, found};

    return dl_iterate_phdr(look, &search) ? 0 : -1;
}
