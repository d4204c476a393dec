#include "driver.h"

#include "../firmware/boards/host/pulse_train.h"

static int32_t difference(int32_t to, int32_t from)
{
    return (int32_t)((uint32_t)to - (uint32_t)from);
}

/* The pulses of this millisecond as the driver takes them: how many, with their sign, and their `step_area`. */
static int32_t taken(driver_t *driver, const chip_t *chip, double *area)
{
    int32_t steps = difference(chip->steps, driver->chip_steps);
    driver->chip_steps = chip->steps;
    *area = chip->step_area;
    if (driver->misses_every != 0 && steps != 0) {
        const uint32_t size = steps < 0 ? 0u - (uint32_t)steps : (uint32_t)steps;
        driver->pulses += size;
        const uint32_t missed = driver->pulses / driver->misses_every;
        driver->pulses %= driver->misses_every;
        const int32_t left = (int32_t)(size > missed ? size - missed : 0u);
        *area *= (double)left / size;
        steps = steps < 0 ? -left : left;
    }
    if (driver->is_reversed) {
        *area = -*area;
        steps = -steps;
    }
    return steps;
}

bool driver_take(driver_t *driver, const chip_t *chip, double *mean_steps)
{
    double area;
    const int32_t before = driver->steps;
    driver->steps = (int32_t)((uint32_t)before + (uint32_t)taken(driver, chip, &area));
    *mean_steps = ((double)before * PULSE_TICK_COUNTS + area) / PULSE_TICK_COUNTS;
    return driver->is_powered && chip->enable == (driver->is_enable_low ? ENABLE_LOW : ENABLE_HIGH);
}
