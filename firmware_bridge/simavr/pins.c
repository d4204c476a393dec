#include "pins.h"

void port_begin(port_t *port, avr_t *avr, uint32_t name)
{
    port->name = name;
    port->external = (avr_ioport_external_t){.name = name & 0x7Fu};
    for (int pin = 0; pin < 8; pin++)
        port->irq[pin] = avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ(name), pin);
}

static void tell(port_t *port, avr_t *avr, unsigned mask)
{
    avr_ioctl(avr, AVR_IOCTL_IOPORT_SET_EXTERNAL(port->name), &port->external);
    for (int pin = 0; pin < 8; pin++)
        if (mask >> pin & 1u)
            avr_raise_irq(port->irq[pin], (unsigned)port->external.value >> pin & 1u);
}

void port_set(port_t *port, avr_t *avr, unsigned mask, unsigned levels)
{
    const unsigned before = (unsigned)port->external.value, known = (unsigned)port->external.mask;
    const unsigned after = (before & ~mask) | (levels & mask);
    const unsigned changed = (before ^ after) | (mask & ~known);
    if (changed == 0)
        return;
    port->external.mask = (known | mask) & 0xFFu;
    port->external.value = after & 0xFFu;
    tell(port, avr, changed);
}

void port_repeat(port_t *port, avr_t *avr)
{
    for (int pin = 0; pin < 8; pin++)
        port->irq[pin]->flags |= IRQ_FLAG_INIT; /* passes on an unchanged level too */
    tell(port, avr, (unsigned)port->external.mask);
}
