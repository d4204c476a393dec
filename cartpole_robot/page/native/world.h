/* The cart of the page: plant, motor and supply in front of the firmware's board, hands, pushes, and what can be broken.
 *
 * The same millisecond as `VirtualCart` in Python: physics under the duty in force, then what the line brings, then the
 * firmware's tick. The plant and the motor are those of simulation/native; what differs from motor to motor is in world_drive.h. */
#ifndef WORLD_H
#define WORLD_H

#include "world_drive.h"

#define HAND_LIFT_MS 400 /* how long the simulated hand takes to bring the pole somewhere */

typedef enum { HELD_NOTHING, HELD_POLE, HELD_CART } held_t;

/* A smooth motion of cart and pole, a millisecond at a time, then rest: the simulated hand of `VirtualCart`. */
typedef struct {
    plant_state_t begin, goal;
    uint32_t ms;
    bool is_there;
    bool will_let_go;
    uint32_t release_ms;
} hand_t;

/* What a cart has that the plant has not. */
typedef struct {
    double keep;           /* of the motor's lag or of a stepper's settling, that a step leaves */
    double nominal_mv;
    double left_counts, right_counts; /* where the end switches close */
    double estop_cuts_supply;
    double relay_falls, relay_rises; /* of the voltage behind the relay, or of what is missing, that a millisecond leaves */
    double relay_closes; /* the share of the supply at which it closes again */
    double pole_length_m;  /* from the hinge to where a push acts */
    double alarm_is_low;   /* a stepper's driver reports a fault so */
} surroundings_t;

struct world {
    cart_params_t nominal; /* as configured */
    cart_params_t params;  /* with what the visitor has changed */
    surroundings_t around;
    cart_motor_t motor; /* of a stepper's cart, only its viscous friction acts */
    cart_drive_t drive;
    plant_state_t state;
    board_t board;
    bool is_open;   /* the bridge; or the driver is disabled */
    double output;  /* of the board: the duty at the bridge, 0 with it open; a stepper's steps, as the mean of the millisecond to come */
    uint32_t time_ms;
    int64_t cart_zero, pole_zero; /* where the encoders began to count */
    hand_t hand;
    double friction; /* factor */
    uint32_t supply_mv;
    double relay_share;
    bool is_estop_pressed, is_blocked, is_broken; /* broken: the physics has no finite answer any more */
    unsigned inputs_set; /* contacts that are closed by hand, bits of enum input_flag */
    held_t held;
    double held_at; /* m or rad */
    double push_n;  /* for push_ms more */
    uint32_t push_ms;
    bool is_push_on_pole;
};

/* Switched on, with its pole hanging still in the middle of the track. */
void world_begin(world_t *world, const cart_params_t *cart, const surroundings_t *around);

/* The first half of a millisecond: what moves moves. */
void world_move(world_t *world);

/* The second half: the firmware sees it and drives the motor. */
void world_tick(world_t *world);

/* The voltage at the bridge in mV, behind the relay that the e-stop opens. */
uint32_t world_bridge_mv(const world_t *world);

/* After each change of friction, is_blocked or the visitor's hand. */
void world_change(world_t *world);

/* The simulated hand brings cart and pole to `goal`, by the nearest way up, and holds them. */
void hand_grab(world_t *world, plant_state_t goal);

/* It stops the pole's swing where the cart is, and leaves it. */
void hand_hang(world_t *world);

bool hand_has_arrived(const world_t *world);

/* It lets go at the firmware's first tick from now that is a whole number of periods after `time_us` of its clock. */
void hand_let_go_at(world_t *world, uint32_t time_us, uint32_t period_ms);

void hand_let_go(world_t *world);

/* A push of that impulse in N s, within 10 ms, on the cart or on the tip of the pole. */
void world_push(world_t *world, double impulse_n_s, bool is_on_pole);

#endif
