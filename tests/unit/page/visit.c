/* A visit to the page's module without WebAssembly: for the sanitizers, and to compare with what WebAssembly computes.
 *
 * stdin has a line per number ("number NAME VALUE") and array ("array NAME COUNT VALUES..."), "limits BYTES...",
 * "stepper_limits BYTES...", "begin", and then what the visitor does. stdout has a line of the snapshot per "see". */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cartpole_robot/page/native/page.h"

const char *number_name(int index);
void set_number(int index, double number);
const char *array_name(int index);
double *array_at(int index);
int array_room(int index);
uint8_t *limits_at(void);
int limits_bytes(void);
uint8_t *stepper_limits_at(void);
int stepper_limits_bytes(void);
void begin(void);
int advance(int most_ms);
void choose(int chosen, int network);
void want(int goal);
void kill_host(void);
void hold(int held, double at);
void push(double impulse_n_s, int is_on_pole);
void set_friction(double factor);
void set_late_ms(double ms);
void set_supply_mv(int mv);
void wire(int is_pole, int cut, int is_swapped);
void press_estop(int is_pressed);
void block_cart(int is_blocked);
void reset_board(void);
#ifdef FIRMWARE_STEPPER
void break_driver(int problem, int is_broken);
#else
static void break_driver(int problem, int is_broken)
{
    (void)problem, (void)is_broken;
}
#endif
const double *snapshot_at(void);
const double *history_at(void);

static void fail(const char *what)
{
    fprintf(stderr, "cannot read %s\n", what);
    exit(1);
}

static double number(void)
{
    double found;
    if (scanf("%lf", &found) != 1)
        fail("a number");
    return found;
}

static int place(const char *(*name_of)(int), const char *name)
{
    for (int index = 0; name_of(index) != NULL; index++)
        if (strcmp(name_of(index), name) == 0)
            return index;
    fail(name);
    return -1;
}

static void see(void)
{
    const double *seen = snapshot_at();
    for (int k = 0; k < 10; k++)
        printf("%.17g%c", seen[k], k < 9 ? ' ' : '\n');
}

int main(void)
{
    char what[64], name[64];
    while (scanf("%63s", what) == 1) {
        if (strcmp(what, "number") == 0) {
            if (scanf("%63s", name) != 1)
                fail("a name");
            set_number(place(number_name, name), number());
        } else if (strcmp(what, "array") == 0) {
            if (scanf("%63s", name) != 1)
                fail("a name");
            const int index = place(array_name, name), count = (int)number();
            if (count > array_room(index))
                fail(name);
            for (int k = 0; k < count; k++)
                array_at(index)[k] = number();
        } else if (strcmp(what, "limits") == 0) {
            for (int k = 0; k < limits_bytes(); k++)
                limits_at()[k] = (uint8_t)number();
        } else if (strcmp(what, "stepper_limits") == 0) {
            for (int k = 0; k < stepper_limits_bytes(); k++)
                stepper_limits_at()[k] = (uint8_t)number();
        } else if (strcmp(what, "begin") == 0)
            begin();
        else if (strcmp(what, "advance") == 0)
            advance((int)number());
        else if (strcmp(what, "choose") == 0)
            choose((int)number(), 0);
        else if (strcmp(what, "want") == 0)
            want((int)number());
        else if (strcmp(what, "kill") == 0)
            kill_host();
        else if (strcmp(what, "hold") == 0) {
            const int held = (int)number();
            hold(held, number());
        } else if (strcmp(what, "push") == 0)
            push(number(), 1);
        else if (strcmp(what, "friction") == 0)
            set_friction(number());
        else if (strcmp(what, "late") == 0)
            set_late_ms(number());
        else if (strcmp(what, "supply") == 0)
            set_supply_mv((int)number());
        else if (strcmp(what, "cut") == 0)
            wire(1, (int)number(), 0);
        else if (strcmp(what, "driver") == 0) {
            const int problem = (int)number();
            break_driver(problem, (int)number());
        } else if (strcmp(what, "estop") == 0)
            press_estop((int)number());
        else if (strcmp(what, "block") == 0)
            block_cart((int)number());
        else if (strcmp(what, "reset") == 0)
            reset_board();
        else if (strcmp(what, "see") == 0)
            see();
        else
            fail(what);
    }
    return 0;
}
