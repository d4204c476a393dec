#define _GNU_SOURCE
#include "mailbox.h"

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define LOOKS_AT_A_TIME 16 /* between two looks at the clock */

static bool has_reached(_Atomic uint32_t *number, uint32_t value)
{
    return (int32_t)(atomic_load_explicit(number, memory_order_acquire) - value) >= 0;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

#ifdef __linux__

static void wake(_Atomic uint32_t *number)
{
    syscall(SYS_futex, number, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void sleep_on(_Atomic uint32_t *number, uint32_t seen, const struct timespec *most)
{
    syscall(SYS_futex, number, FUTEX_WAIT, seen, most, NULL, 0);
}

#else /* without futexes the extension builds; the emulated chip runs on Linux only */

static void wake(_Atomic uint32_t *number)
{
    (void)number;
}

static void sleep_on(_Atomic uint32_t *number, uint32_t seen, const struct timespec *most)
{
    (void)number, (void)seen;
    nanosleep(most, NULL);
}

#endif

void mailbox_raise(_Atomic uint32_t *number, uint32_t value, _Atomic uint32_t *is_other_asleep)
{
    atomic_store(number, value);
    if (atomic_load(is_other_asleep) != 0)
        wake(number);
}

bool mailbox_look(_Atomic uint32_t *number, uint32_t value, unsigned *naps)
{
    if (has_reached(number, value))
        return true;
    if (*naps > 0) {
        (*naps)--;
        return false;
    }
    for (const int64_t end_ns = now_ns() + MAILBOX_LOOK_NS; now_ns() < end_ns;)
        for (int look = 0; look < LOOKS_AT_A_TIME; look++) {
            relax();
            if (has_reached(number, value))
                return true;
        }
    *naps = MAILBOX_NAPS;
    return false;
}

bool mailbox_sleep(_Atomic uint32_t *number, uint32_t value, _Atomic uint32_t *is_asleep, int most_ms)
{
    const struct timespec most = {most_ms / 1000, (most_ms % 1000) * 1000000L};
    atomic_store(is_asleep, 1u);
    const uint32_t seen = atomic_load(number);
    if (!has_reached(number, value))
        sleep_on(number, seen, &most);
    atomic_store(is_asleep, 0u);
    return has_reached(number, value);
}
