"""Images with one mistake in boards/avr, and what names each: file, text, what stands there instead, and the error."""

from __future__ import annotations

PULL_UP = r"an encoder pin \(PC0 to PC3\) has no pull-up: DDRC is 0x00, PORTC 0x00"
CONTACT = r"a contact's pin \(PD2 to PD4\) has no pull-up: DDRD is 0x00, PORTD 0x.."
NO_INTERRUPT = "an encoder pin raises no interrupt: PCICR"
LINE_OFF = "the receiver, its interrupt or the transmitter is off: UCSR0B is"
SET_OUTPUTS = "    motor_open();\n    TCCR1B = MODE_B;\n"
# File, text, what stands there instead, and the error.
IMAGES = {
    "timer never started": ("motor", "MODE_B | CLOCK;", "MODE_B;", "Timer1 is stopped: TCCR1B selects clock 0"),
    "prescaler 1024": ("motor", "(1u << CS10)", "((1u << CS12) | (1u << CS10))", "Timer1 makes 19 pulses a second"),
    "prescaler 8": ("motor", "(1u << CS10)", "(1u << CS11)", "Timer1 makes 2500 pulses a second"),
    "other waveform": ("motor", "((1u << WGM13) | (1u << WGM12))", "(1u << WGM13)", "Timer1 is in waveform mode 10"),
    "inverted pulses": (
        "motor",
        "#define PULSE_BACKWARDS ((uint8_t)(1u << COM1B1))",
        "#define PULSE_BACKWARDS ((uint8_t)((1u << COM1B1) | (1u << COM1B0)))",
        "COM1B is 3, and 2 makes a pulse of the length asked for",
    ),
    "PB1 and PB2 inputs": (
        "motor",
        SET_OUTPUTS,
        f"{SET_OUTPUTS}    DDRB = 1;\n",
        r"a pin of the bridge \(PB0 to PB2\) is an input: DDRB is 0x01",
    ),
    "encoder pull-ups off": ("encoders", "    ENCODER_PORT |= ENCODER_MASK;", "", PULL_UP),
    "encoder interrupt off": (
        "encoders",
        "    PCICR |= 1u << PCIE1;\n",
        "",
        NO_INTERRUPT,
    ),
    "one encoder pin without": (
        "encoders",
        "_CHANGES = ENCODER_MASK",
        "_CHANGES = 7",
        f"{NO_INTERRUPT} is 0x02, PCMSK1 0x07",
    ),
    "contact pull-ups off": ("contacts", "    CONTACT_PORT |= ESTOP_MASK | LEFT_MASK | RIGHT_MASK;", "", CONTACT),
    "ADC on the external reference": (
        "supply",
        "((uint8_t)(1u << REFS0))",
        "0",
        "the ADC's reference is AREF, where",
    ),
    "ADC on the bandgap": (
        "supply",
        "((uint8_t)(1u << REFS0))",
        "((uint8_t)(3u << REFS0))",
        "the ADC's reference is not AVCC",
    ),
    "ADC at another pin": (
        "supply",
        "AGAINST_AVCC | channel",
        "AGAINST_AVCC | 1u | channel",
        "the ADC measures channel 15",
    ),
    "ADC too fast": ("supply", "(1u << ADPS2) | ", "", "the ADC runs at 2000000 Hz"),
    "parity": ("serial", "(1u << UCSZ01) |", "(1u << UPM01) | (1u << UCSZ01) |", "the line is not 8N1: UCSR0C is 0x26"),
    "watchdog off": ("main", "    wdt_enable(WDTO_15MS);\n", "", "the watchdog is off, or slower than 16 ms"),
    "watchdog slow": ("main", "WDTO_15MS", "WDTO_60MS", "the watchdog is off, or slower than 16 ms"),
    "power-down": (
        "main",
        "SMCR = 1u << SE;",
        "SMCR = 5u;",
        "sleep is deeper than idle and stops the timers: SMCR is 0x05",
    ),
}

# Likewise, on this emulator alone.
MORE_IMAGES = {
    "two stop bits": (
        "serial",
        "(1u << UCSZ01) |",
        "(1u << USBS0) | (1u << UCSZ01) |",
        "the line is not 8N1: UCSR0C is 0x0e",
    ),
    "seven data bits": (
        "serial",
        "(1u << UCSZ01) | (1u << UCSZ00)",
        "(1u << UCSZ01)",
        "the line is not 8N1: UCSR0C is 0x04",
    ),
    "half the baud rate": (
        "serial",
        "    UCSR0A = 1u << U2X0;",
        "    UCSR0A = 0;",
        "the line runs at 250000 baud, and the host at 500000",
    ),
    "baud rate one count slow": ("serial", "(uint8_t)(RATE - 1UL)", "(uint8_t)RATE", "the line runs at 400000 baud"),
    "receiver off": ("serial", " | (1u << RXEN0)", "", f"{LINE_OFF} 0x88"),
    "receiver without interrupt": ("serial", "(1u << RXCIE0) | ", "", f"{LINE_OFF} 0x18"),
    "transmitter off": ("serial", " | (1u << TXEN0)", "", f"{LINE_OFF} 0x90"),
    "ADC shifted left": (
        "supply",
        "(1u << REFS0))",
        "((1u << REFS0) | (1u << ADLAR)))",
        "the ADC is off or its result",
    ),
    "ADC without a clock": (
        "supply",
        "    DIDR0 =",
        "    PRR = 1;\n    DIDR0 =",
        "a module in use has no clock: PRR is 0x01",
    ),
    "encoder pins driven": (
        "encoders",
        "    PCICR |=",
        "    DDRC = 3;\n    PCICR |=",
        r"an encoder pin .* DDRC is 0x03",
    ),
    "pin changes of another port": ("encoders", "PCICR |= 1u << PCIE1", "PCICR |= 1u << PCIE0", NO_INTERRUPT),
    "watchdog as an interrupt": (
        "main",
        "    wdt_enable(WDTO_15MS);\n",
        "    WDTCSR = 0x18;\n    WDTCSR = 0x40;\n",
        "the watchdog is off, or slower than 16 ms",
    ),
}

# The firmware itself finds these: it reads the period back, and does not begin to drive.
REFUSED = {
    "ICR1 never written": ("motor", "    ICR1 = PULSE_PERIOD - 1u;\n", ""),
    "ICR1 written before the mode": (
        "motor",
        "    TCCR1B = MODE_B;\n    ICR1 = PULSE_PERIOD - 1u;\n",
        "    ICR1 = PULSE_PERIOD - 1u;\n",
    ),
    "ICR1 one cycle too long": ("motor", "    ICR1 = PULSE_PERIOD - 1u;\n", "    ICR1 = PULSE_PERIOD;\n"),
}

# What nobody but a check of its behaviour sees: file, text, what stands there instead, the check that fails.
SEEN = {
    "watchdog fed by the tick's interrupt": (
        "clock",
        "    encoders_latch();",
        '    encoders_latch();\n    __asm__("wdr");',
        "hung",
    ),
    "watchdog fed by the main loop": (
        "main",
        "    for (;;) {\n",
        "    for (;;) {\n        wdt_reset();\n",
        "lost_tick",
    ),
    "watchdog never fed": ("main", "    wdt_reset();\n", "", "sends_state"),
    "ADC begun once": ("supply", "    begin_conversion(tick <", "    (void)(tick <", "falls"),
    "ADC reads one byte": ("supply", "steps = ADC;", "steps = ADCL;", "one_step"),
    "reference never looked at": ("supply", "tick < LAST_READING ? BANDGAP_CHANNEL :", "", "its_rail"),
    "supply taken from the reference": ("supply", "tick == 0 || tick > LAST_READING", "true", "one_step"),
    "decoder knows the cart alone": (
        "encoders",
        'DECODE("3", "2", "%[pole]',
        'DECODE("5", "6", "%[pole]',
        "counts_encoders",
    ),
    "channels exchanged": (
        "encoders",
        'DECODE("1", "0", "%[cart] + %[forwards]", "%[cart] + %[backwards]"',
        'DECODE("1", "0", "%[cart] + %[backwards]", "%[cart] + %[forwards]"',
        "counts_encoders",
    ),
    "levels of the start not taken": (
        "encoders",
        "    ENCODER_LEVELS = ENCODER_PINS;",
        "",
        "levels_that_are",
    ),
    "counts not kept at the tick": ("clock", "    encoders_latch();\n", "", "counts_encoders"),
    "lost bytes not counted": ("serial", "        overruns++;", "        (void)overruns;", "bytes_that_are_lost"),
    "line never sends again": ("serial", "UCSR0B |= 1u << UDRIE0;", ";", "sends_state"),
    "ADC off": ("supply", "(1u << ADEN) | ", "", "sends_state"),  # it waits for the first conversion for ever
    "contacts exchanged": ("contacts", "(high & LEFT_MASK)", "(high & RIGHT_MASK)", "each_contact"),
}
