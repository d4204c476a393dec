#include "homing_parts.h"

#ifdef __AVR__
#pragma GCC optimize("Os") /* as homing.c */
#endif

#define FASTER_Q15 16 /* added to the push each millisecond while too slow: half of full drive in a second */
#define SLOWER_Q15 48

/* It grows while the cart is too slow and eases when it is too fast. */
int16_t homing_creep(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits, int8_t side, uint32_t speed)
{
    const int32_t along = side < 0 ? -inputs->cart_speed : inputs->cart_speed;
    int32_t drive = homing->drive_q15;
    drive += along < (int32_t)(speed * PROTOCOL_SPEED_PER_COUNT) ? FASTER_Q15 : -SLOWER_Q15;
    if (drive > limits->homing_duty_q15)
        drive = limits->homing_duty_q15;
    if (drive < 0)
        drive = 0;
    homing->drive_q15 = (int16_t)drive;
    return (int16_t)(side < 0 ? -drive : drive);
}

int32_t homing_push(const cfg_message_t *limits, uint16_t far, int32_t most)
{
    (void)most;
    const int32_t push = limits->moving_duty_q15 + ((int32_t)(limits->homing_duty_q15 - limits->moving_duty_q15) * far >> 8);
    return push < limits->homing_duty_q15 ? push : limits->homing_duty_q15;
}
