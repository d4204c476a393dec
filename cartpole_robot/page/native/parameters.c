/* How the page's contents come in: numbers and arrays by name, so that neither side counts places. */
#include <stddef.h>

#include "page.h"

static const struct {
    const char *name;
    size_t offset;
} numbers[] = {
#define NUMBER(name, member) {name, offsetof(page_params_t, member)}
    NUMBER("step_s", cart.plant.step_s),
    NUMBER("mass_kg", cart.plant.mass_kg),
    NUMBER("inertia_kg_m2", cart.plant.inertia_kg_m2),
    NUMBER("coupling_kg_m", cart.plant.coupling_kg_m),
    NUMBER("gravity_m_s2", cart.plant.gravity_m_s2),
    NUMBER("pole_viscous_n_m_s", cart.plant.pole_viscous_n_m_s),
    NUMBER("cart_coulomb_n", cart.plant.cart_coulomb_n),
    NUMBER("cart_static_n", cart.plant.cart_static_n),
    NUMBER("pole_coulomb_n_m", cart.plant.pole_coulomb_n_m),
    NUMBER("end_stop_m", cart.plant.end_stop_m),
    NUMBER("stall_force_n", cart.motor.stall_force_n),
    NUMBER("right_share", cart.motor.right.share),
    NUMBER("right_slope_n", cart.motor.right.slope_n),
    NUMBER("right_dead_zone_duty", cart.motor.right.dead_zone_duty),
    NUMBER("left_share", cart.motor.left.share),
    NUMBER("left_slope_n", cart.motor.left.slope_n),
    NUMBER("left_dead_zone_duty", cart.motor.left.dead_zone_duty),
    NUMBER("saturation", cart.motor.saturation),
    NUMBER("lag_s", cart.motor.lag_s),
    NUMBER("damping_n_s_m", cart.motor.damping_n_s_m),
    NUMBER("viscous_n_s_m", cart.motor.viscous_n_s_m),
    NUMBER("cart_mass_kg", cart.motor.cart_mass_kg),
    NUMBER("brakes_at_zero", apply_brakes),
    NUMBER("counts_per_m", cart.counts_per_m),
    NUMBER("counts_per_rad", cart.counts_per_rad),
    NUMBER("lag_keep", around.keep),
    NUMBER("nominal_mv", around.nominal_mv),
    NUMBER("left_counts", around.left_counts),
    NUMBER("right_counts", around.right_counts),
    NUMBER("estop_cuts_supply", around.estop_cuts_supply),
    NUMBER("relay_falls", around.relay_falls),
    NUMBER("relay_rises", around.relay_rises),
    NUMBER("relay_closes", around.relay_closes),
    NUMBER("pole_length_m", around.pole_length_m),
#ifdef FIRMWARE_STEPPER
    NUMBER("stepper.steps_per_m", cart.stepper.steps_per_m),
    NUMBER("stepper.microsteps", cart.stepper.microsteps),
    NUMBER("stepper.maximum_speed_m_s", cart.stepper.maximum_speed_m_s),
    NUMBER("stepper.maximum_acceleration_m_s2", cart.stepper.maximum_acceleration_m_s2),
    NUMBER("stepper.pull_out_force_n", cart.stepper.pull_out_force_n),
    NUMBER("stepper.corner_speed_m_s", cart.stepper.corner_speed_m_s),
    NUMBER("stepper.pull_in_speed_m_s", cart.stepper.pull_in_speed_m_s),
    NUMBER("stepper.settling_s", cart.stepper.settling_s),
    NUMBER("stepper.alarm_is_low", around.alarm_is_low),
#endif
    NUMBER("host.m_per_count", host.m_per_count),
    NUMBER("host.rad_per_count", host.rad_per_count),
    NUMBER("host.late_ms", host.late_ms),
    NUMBER("host.jitter_ms", host.jitter_ms),
    NUMBER("host.lost_share", host.lost_share),
    NUMBER("host.start_m", host.start.position_m),
    NUMBER("host.start_rad", host.start.angle_rad),
    NUMBER("host.centred_m", host.centred_m),
    NUMBER("host.swing_share_m", host.swing_share_m),
    NUMBER("lqr.gains", regulator_gains),
    NUMBER("lqr.left_dead_zone", regulator.dead_zone[0]),
    NUMBER("lqr.right_dead_zone", regulator.dead_zone[1]),
    NUMBER("lqr.left_share", regulator.share[0]),
    NUMBER("lqr.right_share", regulator.share[1]),
    NUMBER("swing.gains", swing_gains),
    NUMBER("swing.mass_kg", swing_up.model.mass_kg),
    NUMBER("swing.full_force_n", swing_up.model.stall_n),
    NUMBER("swing.damping_n_s_m", swing_up.model.damping_n_s_m),
    NUMBER("swing.dry_n", swing_up.model.coulomb_n),
    NUMBER("swing.most_speed_m_s", swing_up.model.most_m_s),
    NUMBER("swing.plan_steps", swing_up.planner.steps_number),
    NUMBER("swing.plan_step_s", swing_up.planner.step_s),
    NUMBER("swing.track_position_m", swing_up.planner.track.position_m),
    NUMBER("swing.track_stop_m", swing_up.planner.track.stop_m),
    NUMBER("swing.track_brake_m_s2", swing_up.planner.track.brake_m_s2),
    NUMBER("swing.track_late_s", swing_up.planner.track.late_s),
    NUMBER("swing.energy_at_end", swing_up.planner.weights.energy_at_end),
    NUMBER("swing.energy", swing_up.planner.weights.energy),
    NUMBER("swing.upright_at_end", swing_up.planner.weights.upright_at_end),
    NUMBER("swing.upright", swing_up.planner.weights.upright),
    NUMBER("swing.centre", swing_up.planner.weights.centre),
    NUMBER("swing.track", swing_up.planner.weights.track),
    NUMBER("swing.duty", swing_up.planner.weights.duty),
    NUMBER("swing.saturation", swing_up.motor.saturation),
    NUMBER("swing.left_bridge_dead_zone", swing_up.motor.bridge_dead_zone[0]),
    NUMBER("swing.right_bridge_dead_zone", swing_up.motor.bridge_dead_zone[1]),
    NUMBER("swing.brakes", swing_up.motor.brakes),
    NUMBER("swing.pole_expected", swing_up.pole.expected),
    NUMBER("swing.pole_viscous", swing_up.pole.viscous),
    NUMBER("swing.pole_coulomb", swing_up.pole.coulomb),
    NUMBER("swing.pole_window", swing_up.pole.window),
    NUMBER("swing.pole_prior", swing_up.pole.prior),
    NUMBER("swing.period_s", swing_up.period_s),
    NUMBER("swing.held", swing_up.held),
    NUMBER("swing.lag_s", swing_up.lag_s),
    NUMBER("swing.ahead_s", swing_up.ahead_s),
    NUMBER("swing.friction", swing_up.friction),
    NUMBER("swing.nudge", swing_up.nudge),
    NUMBER("swing.most_still_m", swing_up.most_still_m),
    NUMBER("swing.moved_rad", swing_up.moved_rad),
    NUMBER("swing.bearable", swing_up.bearable),
    NUMBER("swing.keep_heat", swing_up.keep_heat),
    NUMBER("swing.before", swing_up.before),
    NUMBER("swing.pieces", swing_up.pieces),
#undef NUMBER
};

static const struct {
    const char *name;
    size_t offset, room; /* in doubles */
} arrays[] = {
#define ARRAY(name, member) {name, offsetof(page_params_t, member), sizeof((page_params_t *)0)->member / sizeof(double)}
    ARRAY("lqr.state_gain", regulator.state_gain),
    ARRAY("lqr.duty_gain", regulator.duty_gain),
    ARRAY("swing.state_gain", swing_up.regulator.state_gain),
    ARRAY("swing.duty_gain", swing_up.regulator.duty_gain),
    ARRAY("swing.catch_cost", swing_up.catch_cost),
    ARRAY("swing.plan_catch_cost", swing_up.planner.catch_cost),
    ARRAY("swing.start", swing_up.start),
    ARRAY("swing.scale", swing_up.scale),
    ARRAY("swing.piece_age", swing_up.piece_age),
    ARRAY("swing.piece_s", swing_up.piece_s),
    ARRAY("swing.window_begin", swing_up.planner.variants.window_begin),
    ARRAY("swing.window_steps", swing_up.planner.variants.window_steps),
    ARRAY("swing.window_size", swing_up.planner.variants.window_size),
    ARRAY("swing.knots", swing_up.planner.variants.knots),
    ARRAY("swing.switches", swing_up.planner.variants.switches),
    ARRAY("swing.sign", swing_up.planner.variants.sign),
#undef ARRAY
};

/* The name of a number or an array; NULL behind the last. */
const char *EXPORT(number_name)(int index)
{
    return (size_t)index < sizeof numbers / sizeof numbers[0] ? numbers[index].name : NULL;
}

void EXPORT(set_number)(int index, double number)
{
    *(double *)((char *)&page.params + numbers[index].offset) = number;
}

const char *EXPORT(array_name)(int index)
{
    return (size_t)index < sizeof arrays / sizeof arrays[0] ? arrays[index].name : NULL;
}

double *EXPORT(array_at)(int index)
{
    return (double *)((char *)&page.params + arrays[index].offset);
}

int EXPORT(array_room)(int index)
{
    return (int)arrays[index].room;
}

/* Where the bytes of a CFG message go. */
uint8_t *EXPORT(limits_at)(void)
{
    return (uint8_t *)&page.params.host.limits;
}

int EXPORT(limits_bytes)(void)
{
    return (int)sizeof page.params.host.limits;
}

/* The same of a STEPPER message, which only a stepper has. */
uint8_t *EXPORT(stepper_limits_at)(void)
{
    return (uint8_t *)&page.params.host.stepper_limits;
}

int EXPORT(stepper_limits_bytes)(void)
{
    return DRIVE_KIND == DRIVE_STEPPER ? (int)sizeof page.params.host.stepper_limits : 0;
}

/* A network whose numbers are in `at`, in the order of its arrays; its number, -1 where there is no room. `hidden2` 0: one hidden
 * layer. `form` 0: that of a microcontroller; else 1, a host's, with that activation and output. `duties` are after the weights. */
int EXPORT(add_network)(const float *at, int inputs, int hidden, int hidden2, int outputs, int form, int activation, int output,
                        int has_bound, int history_length, int swings_up, const double *duties, int duties_count)
{
    controllers_t *controllers = &page.controllers;
    if (controllers->networks == CONTROLLERS_NETWORKS || duties_count > POLICY_MAX_OUTPUTS)
        return -1;
    network_t *network = &controllers->network[controllers->networks];
    *network = (network_t){.is_host_only = form != 0, .history_length = history_length, .swings_up = swings_up != 0};
    for (int k = 0; k < duties_count; k++)
        network->duties[k] = duties[k];
    const float *gain = at;
    at += inputs;
    if (form == 0) {
        network->small = (policy_float_t){.inputs = (uint16_t)inputs,
                                          .hidden = (uint16_t)hidden,
                                          .outputs = (uint16_t)outputs,
                                          .input_gain = gain,
                                          .hidden_weight = at,
                                          .hidden_bias = at + inputs * hidden,
                                          .output_weight = at + (inputs + 1) * hidden,
                                          .output_bias = at + (inputs + 1 + outputs) * hidden};
        return controllers->networks++;
    }
    host_network_t *host = &network->host;
    *host = (host_network_t){.activation = (host_activation_t)activation, .output = (host_output_t)output, .input_gain = gain};
    if (has_bound) {
        host->input_bound = at;
        at += 2 * inputs;
    }
    const int sizes[] = {inputs, hidden, hidden2 != 0 ? hidden2 : outputs, outputs};
    host->layers = hidden2 != 0 ? 3 : 2;
    for (int k = 0; k < host->layers; k++) {
        host->layer[k] = (host_layer_t){(uint16_t)sizes[k], (uint16_t)sizes[k + 1], at, at + sizes[k] * sizes[k + 1]};
        at += (sizes[k] + 1) * sizes[k + 1];
    }
    return controllers->networks++;
}
