/* The host's end of the line, as firmware_bridge/link.py and rigs/firmware_rig.py have it: the handshake, the limits, requests that are
 * repeated until they are acknowledged, and a command in answer to every STATE.
 *
 * Python waits for each answer; here a phase waits, and host_hear() continues it once a millisecond. The firmware alone judges
 * the run: this host ends none by itself. */
#ifndef HOST_H
#define HOST_H

#include "../../../firmware_bridge/firmware/framing.h"
#include "controllers.h"
#include "line.h"
#include "world.h"

typedef enum {
    HOST_OFF,      /* killed, or never started */
    HOST_HELLO,    /* waits for HELLO_ACK */
    HOST_CONFIGURE, /* for the acknowledgement of CFG */
    HOST_CONFIGURE_STEPPER, /* of STEPPER */
    HOST_STOP,     /* for that of DISARM, and then for a stepper's cart to rest: it takes no limits before */
    HOST_STOPPING,
    HOST_IDLE,     /* has a session, and nothing to do */
    HOST_DISARM,   /* from here on for the acknowledgement of a MODE, or for what comes of it */
    HOST_LOOK,     /* for what the cart sees now */
    HOST_CLEAR,
    HOST_CLEARED,
    HOST_HOME,
    HOST_HOMING,
    HOST_CENTRE,
    HOST_CENTRING,
    HOST_RAISE,    /* for the pole to stand, or to hang, still */
    HOST_ARM,
    HOST_ARMED,    /* for the first STATE of the armed cart */
    HOST_RUNNING
} host_phase_t;

typedef enum { GOAL_NONE, GOAL_CLEAR, GOAL_HOME, GOAL_ARM } host_goal_t;

/* What a request came to that was not done. */
typedef enum {
    TROUBLE_NONE,
    TROUBLE_REFUSED,
    TROUBLE_NO_ANSWER,
    TROUBLE_OTHER_PROTOCOL,
    TROUBLE_FAULT,
    TROUBLE_NOT_RAISED,
    TROUBLE_RESTARTED
} host_trouble_t;

typedef struct {
    cfg_message_t limits;
    stepper_message_t stepper_limits; /* sent after them to a stepper */
    double m_per_count, rad_per_count;
    double late_ms, jitter_ms, lost_share; /* of the commands, as the cart's delay has it */
    plant_state_t start;  /* where the hand raises the pole to */
    double centred_m;     /* a stepper, which no hand moves, goes to the middle from farther out */
    double swing_share_m; /* a cart farther out goes to the middle before a swing-up */
} host_params_t;

typedef struct {
    host_params_t params;
    host_phase_t phase;
    host_goal_t goal;
    frame_decoder_t decoder;
    line_t to_cart, to_host;
    double added_late_ms; /* by the visitor */
    uint64_t random;
    uint16_t nonce, session;
    bool has_session;
    uint8_t seq;
    uint32_t asked_ms, phase_ms; /* when the last request was sent, and the phase began */
    uint8_t attempts;
    uint8_t mode, options; /* of the MODE that waits for its acknowledgement */
    uint32_t written_ms; /* when it last sent anything */
    bool has_ack, has_hello, has_state, is_session_lost;
    ack_message_t ack;
    hello_ack_message_t hello;
    state_message_t state; /* the newest */
    int16_t requested_q15;
    host_trouble_t trouble;
    uint8_t trouble_mode, trouble_code, trouble_detail;
    uint64_t traffic;  /* hash of every byte in both directions, and of its millisecond: for comparing with the host in Python */
    uint32_t commands; /* answers to STATE since it was armed */
} host_t;

void host_begin(host_t *host, const host_params_t *params);

/* The host program starts, and opens a session; a running one starts again. */
void host_start(host_t *host, world_t *world);

/* It dies on the spot: it sends nothing more. What is on the way still arrives. */
void host_kill(host_t *host);

/* The operator asks for something; a host without a session does it once it has one. */
void host_want(host_t *host, world_t *world, host_goal_t goal);

/* MODE_DISARM or MODE_ESTOP at once, without waiting for the answer. */
void host_post(host_t *host, world_t *world, uint8_t mode);

/* What has arrived at the board by now reaches the firmware. */
void host_deliver(host_t *host, world_t *world);

/* Put what the firmware has sent on the line; the host answers what has arrived by now. */
void host_hear(host_t *host, world_t *world, controllers_t *controllers);

#endif
