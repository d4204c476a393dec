#include "identity.h"

#include <avr/boot.h>
#include <avr/eeprom.h>
#include <avr/pgmspace.h>

#define LAST_WORD ((uint16_t)(FLASHEND - 1u))
#define MAY_READ_BOOTLOADER ((uint8_t)(1u << 5)) /* BLB12 of the lock bits; without it LPM reads no bootloader */

/* None of it can be read while the EEPROM is written, as it is at every start (DS40002061B, 27.8.6). */
void identity_read(board_health_t *health)
{
    eeprom_busy_wait();
    health->fuse_low = boot_lock_fuse_bits_get(GET_LOW_FUSE_BITS);
    health->fuse_high = boot_lock_fuse_bits_get(GET_HIGH_FUSE_BITS);
    health->fuse_extended = boot_lock_fuse_bits_get(GET_EXTENDED_FUSE_BITS);
    health->chip = (uint16_t)(boot_signature_byte_get(2) << 8 | boot_signature_byte_get(4));
    const bool is_readable = (boot_lock_fuse_bits_get(GET_LOCK_BITS) & MAY_READ_BOOTLOADER) != 0;
    health->bootloader = is_readable ? pgm_read_word(LAST_WORD) : 0;
}
