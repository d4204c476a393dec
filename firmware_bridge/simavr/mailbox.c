#define _GNU_SOURCE
#include "mailbox.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool has_reached(_Atomic uint32_t *number, uint32_t value)
{
    return (int32_t)(atomic_load_explicit(number, memory_order_acquire) - value) >= 0;
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

void mailbox_raise(_Atomic uint32_t *number, uint32_t value, _Atomic uint32_t *is_other_asleep)
{
    atomic_store(number, value);
    if (atomic_load(is_other_asleep) != 0)
        syscall(SYS_futex, number, FUTEX_WAKE, 1, NULL, NULL, 0);
}

bool mailbox_look(_Atomic uint32_t *number, uint32_t value)
{
    for (int look = 0; look < MAILBOX_LOOKS; look++) {
        if (has_reached(number, value))
            return true;
        relax();
    }
    return false;
}

bool mailbox_sleep(_Atomic uint32_t *number, uint32_t value, _Atomic uint32_t *is_asleep, int most_ms)
{
    const struct timespec most = {most_ms / 1000, (most_ms % 1000) * 1000000L};
    atomic_store(is_asleep, 1u);
    const uint32_t seen = atomic_load(number);
    if (!has_reached(number, value))
        syscall(SYS_futex, number, FUTEX_WAIT, seen, &most, NULL, 0);
    atomic_store(is_asleep, 0u);
    return has_reached(number, value);
}
