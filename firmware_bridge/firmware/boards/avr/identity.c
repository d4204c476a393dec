#include "identity.h"

#include <avr/boot.h>
#include <avr/pgmspace.h>

#define LAST_WORD ((uint16_t)(FLASHEND - 1u))

void identity_read(board_health_t *health)
{
    health->fuse_low = boot_lock_fuse_bits_get(GET_LOW_FUSE_BITS);
    health->fuse_high = boot_lock_fuse_bits_get(GET_HIGH_FUSE_BITS);
    health->fuse_extended = boot_lock_fuse_bits_get(GET_EXTENDED_FUSE_BITS);
    health->chip = (uint16_t)(boot_signature_byte_get(2) << 8 | boot_signature_byte_get(4));
    health->bootloader = pgm_read_word(LAST_WORD);
}
