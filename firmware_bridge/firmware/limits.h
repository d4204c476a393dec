/* Ceilings that no configuration exceeds. A cart's own limits come by CFG and may only be tighter. */
#ifndef LIMITS_H
#define LIMITS_H

#define TICK_HZ 1000 /* safety ticks a second */

#define DUTY_CEILING 32767
#define HOMING_DUTY_CEILING 16384 /* half drive */
#define COMMAND_TIMEOUT_CEILING_MS 200
#define NO_COMMAND_MS 65535 /* command_age_ms before the first command since arming */
#define CONTROL_PERIOD_CEILING_MS 100
#define TRAVEL_CEILING_COUNTS 1000000L
#define POLE_COUNTS_PER_TURN_LEAST 200
#define POLE_COUNTS_PER_TURN_MOST 20000
#define POLE_HALF_PERIOD_LEAST_MS 100
#define POLE_HALF_PERIOD_MOST_MS 5000
#define REVERSALS_CEILING_PER_S 500
#define SWING_CEILING_MS 60000 /* a swing-up takes no longer */
#define UPRIGHT_LEAST_MS 100   /* a pole that is upright for less only passes through */
#define UPRIGHT_MOST_MS 2000   /* for no longer is an upright pole free to fall */
#define SUPPLY_LEAST_MV 4000
#define SUPPLY_MOST_MV 30000
#define BANDGAP_LEAST_MV 1000 /* of a sound chip: DS40002061B, ADC characteristics */
#define BANDGAP_MOST_MV 1200
#define RAIL_NOMINAL_MV 5000
#define RAIL_LEAST_MV 4000 /* at 16 MHz the chip needs 3.8 V: DS40002061B, speed grades */

#define ARM_STILL_MS 100   /* cart and pole must have stood still this long */
#define STILL_COUNTS 3     /* moved less than this it stands still: to arm, to home */
#define REST_SHARE 256     /* a cart rests that a swinging pole moves less than this share of the travel limit */
#define SWING_STILL 4      /* times as far a cart may travel while a pole that swings turns back, far from upright */
#define STUCK_WEIGHT 2     /* of a tick of pushing in vain; half while a pole that swings may pull the other way, in a push of */
#define STUCK_WEAK 2       /* less than this times the duty that moves the cart */
#define WRAP_COUNTS 3      /* beyond half a turn the pole's counts go on from the other side: one that hangs does not jump */
#define MOVED_COUNTS 2     /* moved this far it moves: an encoder with a cut wire flickers by one count */
#define BRAKE_MS 500       /* how long the bridge stays shorted after a fault, before it opens */
#define SWING_BRAKE_MS 5000 /* the same in a swing-up, whose pole swings on and would pull a free cart against its end */
#define STUCK_MS 100       /* driven this much longer to one side than to the other without moving: a wire, a jam */
#define STUCK_EITHER_WAY_MS 300 /* and this long in all: pushes that are taken back again may move nothing */
#define STUCK_SWING_MS 200 /* the same in a swing-up, whose pushes are long */
#define STUCK_CALM_MS 2000 /* and under an upright pole that stands still too: it balances more calmly than the encoders see */
#define SUPPLY_MS 20       /* a dip this long is no spark */
#define ILLEGAL_MOST 8     /* illegal encoder transitions within ILLEGAL_MS; CFG may tolerate fewer */
#define ILLEGAL_MS 100
#define TURNS_BACK_PER_TICK 1 /* an edge forth and back within one, of a cart or pole that shakes; more is noise on a wire */
#define PLAUSIBLE_MS 4     /* between two looks at what a push does; of a speed gained, in 1/16 count per second: */
#define AGAINST_SHARE 4    /* against the push, this times the travel limit's counts are too much: a quarter of it in a second */
#define ALONG_SHARE 32     /* by the pole along with the cart, this times its limit's counts: twice the limit in a second */
#define FEIGNED_MOST 4096  /* and more than this: one count that comes or goes reads as ESTIMATOR_ONE_COUNT, two of a coarse encoder prove nothing */
#define GAIN_SHIFT 7       /* the cart gains when it does an eighth of its braking deceleration: of it, 1/125 a look */
#define COUNTS_PER_TICK_MOST 200 /* 200,000 counts a second: no encoder here goes so fast */
#define MISSED_TICKS_MOST 10 /* in a row: the firmware is not in control of time any more */
#define ROLL_SHARE 8       /* while the pole's zero is checked the cart gives way to it by less than this share of the travel limit */
#define POLE_ZERO_POINTS 4 /* turning points from where it is looked at, the first of which may be none, to three that are */
#define POLE_ZERO_BACK 3   /* so many counts back make one */
#define POLE_ZERO_SHARE 4  /* a free swing loses less than a quarter of its width from one side to the other */
#define POLE_ZERO_MOST 3   /* means in a row that are off by more than a quarter of the arming angle, and agree to half of that */
#define HOMING_MOST_MS 180000UL
#define HOST_QUIET_MS 490  /* homing without a frame from the host; less than half a second by a tick or two of it */
#define CONTACT_SAMPLES 3  /* equal ones in a row: contacts bounce for a millisecond or two */
#define JOG_MS 250         /* how long one request to jog lasts */
#define STEP_RATE_CEILING 20000   /* steps a second */
#define PULSE_COUNTS_CEILING 50   /* of half a microsecond: half of the shortest period */
#define SETUP_CEILING_US 250      /* a new direction stands for two periods less a pulse before it counts, and none is shorter there than 244 us */
#define ROUND_TRIP_CEILING 1000   /* steps: a switch that closes further off than this is not the same */
#define ENABLE_MS 200             /* from ENABLE to the first pulse: some DM542 want as much */
#define HOLD_MOST_MS 60000        /* a stepper holds the cart for so long without a frame from the host, or in a fault; then it is free */
#define TOUCH_MS 10               /* a switch that was open this long is touched again; before, it bounces */
#define CONTACT_LATE 2000         /* a second over this, half a tick, is how late a touch is seen, give or take as much */
#define HEAT_SHIFT 14      /* the motor's heat follows duty^2 with a time constant of 2^14 ms, 16 s */

#endif
