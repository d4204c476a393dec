#include "rail.h"

#include "limits.h"

#define FULL_STEPS ((uint32_t)4096)
#define ONE_Q15 ((uint32_t)32768)

static uint16_t saturated(uint32_t value)
{
    return (uint16_t)(value < UINT16_MAX ? value : UINT16_MAX);
}

/* One division, which takes the microcontroller 40 us, and that only where something has changed. */
void rail_update(rail_t *rail, uint16_t steps, uint16_t bandgap_mv)
{
    if (steps == 0 || (steps == rail->steps && bandgap_mv == rail->bandgap_mv))
        return;
    if (rail->first_steps == 0)
        rail->first_steps = rail->nominal_steps = steps;
    if (bandgap_mv != rail->bandgap_mv)
        rail->nominal_steps = bandgap_mv != 0 ? (uint16_t)(bandgap_mv * FULL_STEPS / RAIL_NOMINAL_MV) : rail->first_steps;
    rail->bandgap_mv = bandgap_mv;
    rail->steps = steps;
    rail->share_q15 = saturated(rail->nominal_steps * ONE_Q15 / steps);
    rail->mv = (uint16_t)(rail->share_q15 * (uint32_t)RAIL_NOMINAL_MV / ONE_Q15);
}

uint16_t rail_corrected(const rail_t *rail, uint16_t measured_mv)
{
    if (rail->steps == 0)
        return measured_mv;
    return saturated(measured_mv * (uint32_t)rail->share_q15 / ONE_Q15);
}
