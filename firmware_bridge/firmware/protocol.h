/* What host and cart say to each other: the one declaration of the wire format.
 *
 * A frame is 0x00, the message's length, COBS(message), three check bytes, 0x00. The check bytes are the CRC-16 of length and
 * COBS(message) as they stand on the line, its 4, 6 and 6 bits from the top, each byte plus 0xC0. The CRC has polynomial 0x1021, starts
 * at 0xFFFF and is not reflected. A message is one of the packed structures below, little-endian, its first byte the type.
 * Python reads this file (firmware_bridge/protocol.py): only enums, #define NAME number, and packed structures of fixed-width
 * integers may stand here. Both sides hash the declarations, and refuse to talk when the hashes differ.
 *
 * Signs: counts and duties are positive to the right, the pole's counts positive leaning to the right, 0 upright.
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stdint.h>

#define PROTOCOL_VERSION 5
#define PROTOCOL_BAUD 500000
#define PROTOCOL_MAX_MESSAGE 64
#define PROTOCOL_DUTY_ONE 32767 /* full drive */
#define PROTOCOL_SPEED_PER_COUNT 16 /* speeds are in 1/16 count per second */
#define PROTOCOL_TRACE_SAMPLES 8 /* in a TRACE */

enum message_type {
    MESSAGE_HELLO = 1,
    MESSAGE_HELLO_ACK = 2,
    MESSAGE_CMD = 3,
    MESSAGE_STATE = 4,
    MESSAGE_CFG = 5,
    MESSAGE_MODE = 6,
    MESSAGE_ACK = 7,
    MESSAGE_PING = 8,
    MESSAGE_PONG = 9,
    MESSAGE_EVENT = 10,
    MESSAGE_HEALTH_REQUEST = 11,
    MESSAGE_HEALTH = 12,
    MESSAGE_POLICY_REQUEST = 13,
    MESSAGE_POLICY = 14,
    MESSAGE_TRACE = 15,
    MESSAGE_STEPPER = 16
};

/* What moves the cart: one image of the firmware drives one kind. */
enum drive {
    DRIVE_DC = 1,     /* a DC motor on a bridge; a duty is a share of the supply's voltage */
    DRIVE_STEPPER = 2 /* a stepper behind a STEP/DIR driver; a duty is a share of the largest acceleration */
};

enum cart_state {
    CART_BOOT = 0,     /* not one tick has passed */
    CART_DISARMED = 1, /* motor off, zeros unknown */
    CART_HOMING = 2,   /* the firmware drives, slowly, to find both zeros or the middle of the track */
    CART_READY = 3,    /* motor off, or a stepper holding the cart; both zeros known */
    CART_ARMED = 4,    /* commands drive the motor */
    CART_FAULT = 5     /* motor off, latched until cleared */
};

enum fault {
    FAULT_NONE = 0,
    FAULT_COMMAND_TIMEOUT = 1,
    FAULT_ESTOP = 2,
    FAULT_END_SWITCH = 3,
    FAULT_TRAVEL_LIMIT = 4,
    FAULT_POLE_ANGLE = 5,
    FAULT_CART_ENCODER = 6,
    FAULT_POLE_ENCODER = 7,
    FAULT_CART_STUCK = 8,
    FAULT_POLE_STILL = 9,
    FAULT_MOTOR_HOT = 10,
    FAULT_REVERSALS = 11,
    FAULT_SUPPLY_LOW = 12,
    FAULT_SUPPLY_HIGH = 13,
    FAULT_HOMING_TIMEOUT = 14,
    FAULT_HOMING_TRAVEL = 15,
    FAULT_HOMING_SWITCH = 16,
    FAULT_POLARITY = 17,
    FAULT_POLE_STUCK = 18,
    FAULT_POLE_PERIOD = 19,
    FAULT_POLE_SIGN = 20,
    FAULT_TRACK_SHORT = 21,
    FAULT_MISSED_TICKS = 22,
    FAULT_COMMAND_LATE = 23, /* armed with OPTION_LATE_DISARMS: a control tick came and no new command had */
    FAULT_HOST_SILENT = 24,  /* homing, centring or jogging, and no frame came from the host */
    FAULT_PULSE_PERIOD = 25, /* the timer of the bridge's pulses is not set up as the firmware wants it */
    FAULT_RELAY_WELDED = 26, /* only as the detail of ACK_UNHEALTHY: the e-stop was pressed and the supply has not fallen since */
    FAULT_RAIL_LOW = 27,     /* the microcontroller's own 5 V */
    FAULT_SWING_TIMEOUT = 28, /* armed for a swing-up, and the pole was not upright in time */
    FAULT_POLE_ZERO = 29,    /* the pole swings freely about another place than half a turn from upright */
    FAULT_STEPS_LOST = 30,   /* a stepper's count and an end switch disagree */
    FAULT_DRIVER_ALARM = 31  /* a stepper's driver reports a fault */
};

enum mode {
    MODE_DISARM = 0,
    MODE_ARM = 1,
    MODE_HOME = 2,
    MODE_CENTRE = 3,
    MODE_ESTOP = 4, /* needs no session */
    MODE_CLEAR = 5,
    MODE_JOG_LEFT = 6, /* creep that way for a moment; asked for again while a key is held */
    MODE_JOG_RIGHT = 7
};

enum ack_code {
    ACK_DONE = 0,
    ACK_BAD_SESSION = 1,
    ACK_NOT_NOW = 2,        /* the state does not allow it */
    ACK_OUT_OF_RANGE = 3,   /* detail: which field of CFG or STEPPER, counted from 0 after seq */
    ACK_NO_LIMITS = 4,      /* CFG comes before HOME and ARM */
    ACK_NOT_HOMED = 5,
    ACK_POLE_NOT_UPRIGHT = 6,
    ACK_NOT_STILL = 7,
    ACK_CART_OUTSIDE = 8,   /* beyond the travel limit */
    ACK_UNHEALTHY = 9,      /* e-stop, switch, supply or timer; detail: the fault that would follow */
    ACK_UNKNOWN = 10,
    ACK_NO_POLICY = 11,     /* none is in the image */
    ACK_SELF_TEST = 12,     /* the policy in the image has not passed its golden examples; detail: enum self_test */
    ACK_POLICY_PERIOD = 13, /* it is for another control period; detail: for which, in ms */
    ACK_POLE_NOT_HANGING = 14 /* to be swung up, and above the horizontal */
};

/* How the cart is driven: part of MODE_ARM, in force until disarmed. Without one a late command leaves the one before in force. */
enum arm_option {
    OPTION_LATE_BRAKES = 1,    /* at a control tick without a new command the duty is 0 */
    OPTION_LATE_DISARMS = 2,   /* there it ends with COMMAND_LATE */
    OPTION_ON_BOARD = 4,       /* the policy in the image drives; CMD only shows that the host is there */
    OPTION_HOST_MAY_LEAVE = 8, /* with ON_BOARD: the host may fall silent */
    OPTION_TRACE = 16,         /* TRACE is sent */
    OPTION_SWING_UP = 32       /* the pole hangs (below the horizontal, may move) and is to be swung up */
};

/* Part of MODE_HOME. */
enum home_option {
    HOME_ANY_PERIOD = 1 /* a pole with another period than CFG's is reported, in HEALTH, instead of refused */
};

enum self_test {
    SELF_TEST_NONE = 0, /* no policy is in the image */
    SELF_TEST_RUNNING = 1,
    SELF_TEST_PASSED = 2,
    SELF_TEST_FAILED = 3
};

enum cfg_flag {
    CFG_MOTOR_REVERSED = 1,
    CFG_CART_REVERSED = 2,
    CFG_POLE_REVERSED = 4,
    CFG_APPLY_ON_ARRIVAL = 8, /* else at the next control tick */
    CFG_BRAKE_AT_ZERO = 16,   /* else the bridge opens at duty 0 */
    CFG_ESTOP_CUTS_SUPPLY = 32, /* the e-stop also opens the relay of the motor's supply */
    CFG_STEPPER = 64          /* these are a stepper's limits: STEPPER follows, and counts are steps */
};

enum stepper_flag {
    STEPPER_ENABLE_LOW = 1, /* a low ENABLE switches the driver on */
    STEPPER_HAS_ALARM = 2,  /* the driver's alarm output is wired */
    STEPPER_ALARM_LOW = 4   /* it reports a fault by a low level */
};

enum input_flag {
    INPUT_LEFT_SWITCH = 1,
    INPUT_RIGHT_SWITCH = 2,
    INPUT_ESTOP = 4,
    INPUT_HOMED = 8,
    INPUT_STILL = 16, /* cart and pole have stood still long enough to arm */
    INPUT_CLIPPED = 32, /* the last command asked for more than the limits allow */
    INPUT_ON_BOARD = 64, /* the policy in the image drives */
    INPUT_SWINGING = 128 /* armed for a swing-up, and the pole has not been upright yet */
};

enum reset_cause {
    RESET_POWER_ON = 1,
    RESET_EXTERNAL = 2,
    RESET_BROWN_OUT = 4,
    RESET_WATCHDOG = 8
};

#define PACKED __attribute__((packed))

/* Host to cart. Begins or renews a session; the cart disarms. Before the first one the cart sends HELLO_ACK by itself, with nonce 0, a
 * few times a second: a host that has opened the port need not send a byte while a bootloader may still be listening. */
typedef struct PACKED {
    uint8_t type;
    uint16_t nonce;
    uint32_t protocol_hash;
} hello_message_t;

/* Cart to host, the answer to HELLO. */
typedef struct PACKED {
    uint8_t type;
    uint16_t nonce; /* of the HELLO it answers */
    uint32_t protocol_hash;
    uint16_t session; /* another one after every reset */
    uint8_t version;
    uint8_t state;
    uint8_t fault;
    uint8_t reset_cause;
    uint32_t time_us;
    uint32_t firmware_id;
    uint16_t limits_crc; /* 0 before the first CFG */
    uint8_t drive;       /* enum drive: what this image drives */
} hello_ack_message_t;

/* Host to cart, the answer to STATE `tick`. Never repeated: the newest wins. */
typedef struct PACKED {
    uint8_t type;
    uint16_t session;
    uint32_t tick;
    int16_t duty_q15;
    uint16_t valid_ms; /* of this and command_timeout_ms the shorter wins */
} cmd_message_t;

/* Cart to host, every control tick of a session. */
typedef struct PACKED {
    uint8_t type;
    uint16_t session;
    uint32_t tick; /* control ticks since boot */
    uint32_t time_us;
    int32_t cart_counts; /* from the middle of the track once homed */
    int32_t pole_counts; /* from upright once homed, within half a turn */
    int32_t cart_speed;
    int32_t pole_speed;
    int16_t applied_q15; /* in force during the last millisecond */
    uint16_t supply_mv;
    uint16_t command_age_ms; /* since the newest accepted command; 65535: none since arming */
    uint8_t state;
    uint8_t fault;
    uint8_t inputs; /* enum input_flag */
} state_message_t;

/* Host to cart: this cart's limits. Refused while armed or homing. Repeated until acknowledged. */
typedef struct PACKED {
    uint8_t type;
    uint16_t session;
    uint8_t seq;
    uint8_t flags; /* enum cfg_flag */
    uint8_t control_period_ms;
    uint16_t command_timeout_ms;
    int16_t max_duty_q15;
    uint32_t travel_limit_counts;  /* from the middle */
    uint32_t brake_decel_counts_s2; /* how hard a shorted motor brakes the cart: v^2 / 2a is left before the travel limit */
    uint16_t pole_limit_counts;
    uint16_t arming_angle_counts;
    uint16_t pole_counts_per_turn;
    uint16_t pole_half_period_ms; /* of a free swing about hanging */
    uint32_t homing_travel_counts; /* no leg of homing is longer */
    uint16_t homing_speed_counts_s;
    int16_t homing_duty_q15; /* no more while homing */
    int16_t moving_duty_q15; /* from here on the cart must move */
    uint16_t still_travel_counts; /* the cart cannot travel further with a pole that stands still */
    int16_t dead_zone_left_q15;  /* compensated for in every command to the left; 0: not at all */
    int16_t dead_zone_right_q15; /* the same to the right */
    int16_t continuous_duty_q15; /* what the motor bears for ever */
    uint16_t reversals_per_s;
    uint16_t supply_min_mv;
    uint16_t supply_max_mv;
    uint8_t illegal_most; /* illegal encoder transitions within ILLEGAL_MS that are tolerated */
    uint16_t bandgap_mv;  /* the chip's reference, as measured on this board; 0: unknown, the 5 V are compared with those at start-up */
    uint16_t swing_timeout_ms; /* a swing-up takes no longer; 0: it is refused */
    uint16_t upright_ms;       /* within its limit for so long the pole is upright, and has to stay there */
} cfg_message_t;

/* Host to cart, after CFG and only to a stepper: what it has besides. Refused while the cart moves. Repeated until acknowledged. */
typedef struct PACKED {
    uint8_t type;
    uint16_t session;
    uint8_t seq;
    uint8_t flags;             /* enum stepper_flag */
    uint16_t speed_most;       /* steps a second */
    uint16_t gain_q4;          /* the largest acceleration: steps a second that a millisecond adds, in 1/16 */
    uint8_t pulse_counts;      /* width of a STEP pulse, in half microseconds */
    uint8_t setup_us;          /* that DIR must stand before a pulse */
    uint16_t round_trip_steps; /* by so many may a switch close elsewhere than at homing */
} stepper_message_t;

/* Host to cart. Repeated until acknowledged; asking again changes nothing. */
typedef struct PACKED {
    uint8_t type;
    uint16_t session;
    uint8_t seq;
    uint8_t mode;
    uint8_t options; /* enum arm_option with MODE_ARM, enum home_option with MODE_HOME; else 0 */
} mode_message_t;

/* Cart to host, the answer to CFG, STEPPER and MODE. */
typedef struct PACKED {
    uint8_t type;
    uint8_t seq; /* of the message it answers */
    uint8_t code; /* enum ack_code */
    uint8_t detail;
    uint16_t limits_crc; /* of the limits in force */
} ack_message_t;

/* Host to cart, to compare the clocks. */
typedef struct PACKED {
    uint8_t type;
    uint32_t host_us;
} ping_message_t;

/* Cart to host, the answer to PING. */
typedef struct PACKED {
    uint8_t type;
    uint32_t host_us;
    uint32_t time_us;
} pong_message_t;

/* Cart to host, at every change of state. */
typedef struct PACKED {
    uint8_t type;
    uint32_t time_us;
    uint8_t state;
    uint8_t fault;
    int32_t cart_counts;
} event_message_t;

/* Host to cart, asks for HEALTH. */
typedef struct PACKED {
    uint8_t type;
} health_request_message_t;

/* Cart to host, the answer to HEALTH_REQUEST. Counters since boot; they stay at their largest value. */
typedef struct PACKED {
    uint8_t type;
    uint16_t frame_errors; /* CRC, length, COBS */
    uint16_t refused; /* whole frames of no use: wrong session, stale tick, unknown type */
    uint16_t receive_overruns;
    uint16_t send_overruns;
    uint16_t missed_ticks;
    uint16_t longest_tick_us;
    uint16_t longest_interrupt_us;
    uint16_t stack_free;
    uint16_t cart_illegal; /* transitions that no encoder makes */
    uint16_t pole_illegal;
    uint16_t late_commands; /* control ticks while armed that no new command had reached */
    uint16_t rail_mv;       /* the 5 V that the microcontroller and its converter run on */
    uint16_t bandgap_steps; /* the chip's reference as its converter sees it, in 1/4096 of the rail; 0: not measured yet */
    uint16_t pulse_top;     /* the last cycle of a pulse period, read back from the timer; a stepper's: how the timer is set up */
    uint8_t fuse_low;       /* the fuses as they are read on the chip: 0 is programmed */
    uint8_t fuse_high;
    uint8_t fuse_extended;
    uint16_t bootloader;    /* the last word of flash, where Optiboot keeps its version; 0xFFFF where nothing is, 0 where the lock
                               bits forbid to read it, as those of an Arduino Uno do */
    uint16_t chip;          /* the last two bytes of its signature */
    uint16_t pole_half_period_ms; /* of a free swing about hanging, as homing measured it; 0: it has not yet */
} health_message_t;

/* Host to cart, asks for POLICY. */
typedef struct PACKED {
    uint8_t type;
} policy_request_message_t;

enum trace_flag {
    TRACE_LEFT_SWITCH = 1,
    TRACE_RIGHT_SWITCH = 2,
    TRACE_ESTOP = 4,
    TRACE_COMMAND = 8,      /* one was accepted since the tick before */
    TRACE_CONTROL_TICK = 16
};

typedef struct PACKED {
    int8_t cart_moved; /* counts since the tick before, 127 at most either way */
    int8_t pole_moved;
    uint8_t flags;     /* enum trace_flag */
    uint8_t illegal;   /* transitions that no encoder makes: the cart's, and 16 times the pole's, 15 of each at most */
    int16_t duty_q15;  /* commanded and in force from this tick on */
} trace_sample_t;

/* Cart to host while armed with OPTION_TRACE: every safety tick, some at a time, the last one that which disarmed. None begins before a
 * control tick, or a missed one, and ends after it: all of one are a millisecond apart. */
typedef struct PACKED {
    uint8_t type;
    uint8_t count;        /* of samples; what is behind them means nothing */
    uint32_t time_us;     /* of the first */
    int32_t cart_counts;  /* at the first */
    int16_t pole_counts;
    uint16_t supply_mv;   /* at the last */
    uint8_t heat;         /* of the motor, 255 at full drive for ever */
    uint8_t missed;       /* ticks before the first that did not come */
    trace_sample_t samples[PROTOCOL_TRACE_SAMPLES];
} trace_message_t;

/* Cart to host, the answer to POLICY_REQUEST: the policy in the image; all 0 where there is none. */
typedef struct PACKED {
    uint8_t type;
    uint8_t self_test;  /* enum self_test */
    uint32_t hash_high; /* the first 64 bits of the policy's SHA-256 */
    uint32_t hash_low;
    uint32_t fit_crc;   /* of what joins it to its cart: observations from counts, actions to duties */
    uint8_t control_period_ms;
    uint16_t longest_us; /* from a control tick to the action, at the longest so far */
} policy_message_t;

_Static_assert(sizeof(hello_message_t) == 7, "HELLO");
_Static_assert(sizeof(hello_ack_message_t) == 24, "HELLO_ACK");
_Static_assert(sizeof(cmd_message_t) == 11, "CMD");
_Static_assert(sizeof(state_message_t) == 36, "STATE");
_Static_assert(sizeof(cfg_message_t) == 57, "CFG");
_Static_assert(sizeof(mode_message_t) == 6, "MODE");
_Static_assert(sizeof(ack_message_t) == 6, "ACK");
_Static_assert(sizeof(ping_message_t) == 5, "PING");
_Static_assert(sizeof(pong_message_t) == 9, "PONG");
_Static_assert(sizeof(event_message_t) == 11, "EVENT");
_Static_assert(sizeof(health_request_message_t) == 1, "HEALTH_REQUEST");
_Static_assert(sizeof(health_message_t) == 38, "HEALTH");
_Static_assert(sizeof(policy_request_message_t) == 1, "POLICY_REQUEST");
_Static_assert(sizeof(policy_message_t) == 17, "POLICY");
_Static_assert(sizeof(stepper_message_t) == 13, "STEPPER");
_Static_assert(sizeof(trace_message_t) == 64, "TRACE");
_Static_assert(sizeof(cfg_message_t) <= PROTOCOL_MAX_MESSAGE, "the largest message fits a frame");

#endif
