#include "encoder_wires.h"

#include <stdlib.h>

#include "pins.h"

#define LATE_MOST 8      /* edges of one encoder that may come at once */
#define EDGE_CYCLES 160  /* between two of those: longer than the chip's interrupt takes */
#define FASTEST_CYCLES 100 /* between any two of one encoder: 160,000 a second, more than the chip can take */
#define SPIKE_CYCLES 100 /* 6 us */
#define CHANNELS 0x0Fu

_Static_assert(LATE_MOST * EDGE_CYCLES < LATE_CYCLES, "no edge comes too late for the tick");

typedef struct {
    int32_t counts;        /* where it stands */
    int32_t before;        /* where the world had it a millisecond ago */
    int32_t late, coming;  /* edges left to make, signed */
    avr_cycle_count_t gap; /* between those that come */
} encoder_t;

static port_t port;
static encoder_t encoders[2]; /* cart, pole */
static unsigned cut, swapped, spiked, spikes_left;
static avr_cycle_count_t share_begin, share; /* of the millisecond: each spike has as much of it */
static bool is_spike;

static unsigned levels_of(unsigned which)
{
    static const unsigned levels[4] = {0, 2, 3, 1}; /* A leads B; A is bit 1 */
    const unsigned right = levels[encoders[which].counts & 3];
    return swapped >> which & 1u ? (right >> 1 | right << 1) & 3u : right;
}

/* A cut wire is held high by the chip's pull-up. */
static void show(avr_t *avr)
{
    const unsigned levels = levels_of(0) | levels_of(1) << 2;
    port_set(&port, avr, CHANNELS, (is_spike ? levels ^ spiked : levels) | cut);
}

void encoder_wires_begin(avr_t *avr)
{
    if (port.name == 0) {
        port_begin(&port, avr, 'C');
        show(avr);
    } else {
        port_repeat(&port, avr);
    }
}

/* One edge of the `left` ones. */
static void step(avr_t *avr, encoder_t *encoder, int32_t *left)
{
    const int32_t way = *left > 0 ? 1 : -1;
    encoder->counts = (int32_t)((uint32_t)encoder->counts + (uint32_t)way);
    *left -= way;
    show(avr);
}

static avr_cycle_count_t late_edge(avr_t *avr, avr_cycle_count_t when, void *which)
{
    encoder_t *encoder = which;
    step(avr, encoder, &encoder->late);
    return encoder->late != 0 ? when + EDGE_CYCLES : 0;
}

static avr_cycle_count_t coming_edge(avr_t *avr, avr_cycle_count_t when, void *which)
{
    encoder_t *encoder = which;
    step(avr, encoder, &encoder->coming);
    return encoder->coming != 0 ? when + encoder->gap : 0;
}

/* Anywhere in its share of the millisecond, the moments of the edges among them, and in every run the same. */
static avr_cycle_count_t next_spike(void)
{
    static uint32_t drawn = 1;
    drawn = drawn * 1664525u + 1013904223u;
    return share_begin + (avr_cycle_count_t)((uint64_t)(share - SPIKE_CYCLES) * drawn >> 32);
}

static avr_cycle_count_t spike(avr_t *avr, avr_cycle_count_t when, void *unused)
{
    (void)unused;
    is_spike = !is_spike;
    show(avr);
    if (is_spike)
        return when + SPIKE_CYCLES;
    share_begin += share;
    return --spikes_left != 0 ? next_spike() : 0;
}

static int32_t way_between(int32_t from, int32_t to)
{
    return (int32_t)((uint32_t)to - (uint32_t)from);
}

static void move(avr_t *avr, encoder_t *encoder, int32_t now, avr_cycle_count_t cycles)
{
    avr_cycle_timer_cancel(avr, late_edge, encoder);
    avr_cycle_timer_cancel(avr, coming_edge, encoder);
    const int32_t moved = way_between(encoder->before, now);
    encoder->before = now;
    encoder->late = way_between(encoder->counts, now);
    encoder->coming = abs(moved) > 1 ? moved - (moved > 0 ? 1 : -1) : 0;
    if (abs(encoder->late) > LATE_MOST) { /* nothing turns so fast: it lags behind and catches up */
        encoder->coming = encoder->late;
        encoder->late = 0;
    }
    const int32_t most = (int32_t)((cycles - LATE_CYCLES) / FASTEST_CYCLES) - 1;
    if (abs(encoder->coming) > most)
        encoder->coming = encoder->coming > 0 ? most : -most;
    encoder->gap = (cycles - LATE_CYCLES) / (avr_cycle_count_t)(abs(encoder->coming) + 1);
    /* The pole's between the cart's: two at the same moment would be one interrupt. */
    const bool is_pole = encoder == &encoders[1];
    if (encoder->late != 0)
        avr_cycle_timer_register(avr, is_pole ? 1 + EDGE_CYCLES / 2 : 1, late_edge, encoder);
    if (encoder->coming != 0)
        avr_cycle_timer_register(avr, LATE_CYCLES + encoder->gap / (is_pole ? 2 : 1), coming_edge, encoder);
}

void encoder_wires_move(avr_t *avr, const world_t *world, avr_cycle_count_t cycles)
{
    avr_cycle_timer_cancel(avr, spike, NULL);
    cut = world->cut & CHANNELS;
    swapped = world->swapped;
    spiked = world->spiked & CHANNELS;
    spikes_left = spiked != 0 ? world->spikes : 0;
    is_spike = false;
    show(avr);
    move(avr, &encoders[0], world->cart_counts, cycles);
    move(avr, &encoders[1], world->pole_counts, cycles);
    if (spikes_left != 0) {
        share = cycles / spikes_left;
        share_begin = avr->cycle + 1;
        avr_cycle_timer_register(avr, next_spike() - avr->cycle, spike, NULL);
    }
}
