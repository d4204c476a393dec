/* What a controller sees: the STATE in SI units, in single precision as `task.observation` has it. */
#ifndef OBSERVATION_H
#define OBSERVATION_H

typedef struct {
    float position_m, speed_m_s, angle_rad, rate_rad_s;
} observation_t;

#endif
