/*
 * 82574L: the EEPROM, by its registers (EERD, EEWR) and by its pins (EECD).
 *
 * It has 64 words, of which drivers look at a few and at the sum of all. The pins are those of an SPI EEPROM with one
 * byte of address: selected while CS is 0 (without a request too: U-Boot makes none), it takes a bit from DI at each rise
 * of SK and gives one on DO at each fall.
 * Sources: 82574 datasheet, 6 and 10.2.2.3 to 10.2.2.5; AT25010B datasheet for the SPI commands.
 */
#include "devices/e1000e_parts.h"

enum { START = 1, DONE = 2, CHECKSUM = 0x3f, SUM = 0xbaba, BYTES = 2 * EEPROM_WORDS };

enum { /* EECD */
       SK = 1 << 0,
       CS = 1 << 1,
       DI = 1 << 2,
       DO = 1 << 3,
       REQUEST = 1 << 6,
       GRANT = 1 << 7,
       PRESENT = 1 << 8,
       AUTO_READ_DONE = 1 << 9,
       TYPE_SPI = 1 << 15, /* and one byte of address: bit 10 is 0 */
};

enum phase { COMMAND, ADDRESS, READING, WRITING, STATUS_OUT, IDLE };
enum { WRSR = 1, WRITE = 2, READ = 3, WRDI = 4, RDSR = 5, WREN = 6, STATUS_WEL = 2 };

void e1000e_eeprom_init(struct e1000e *e)
{
    static const struct {
        uint8_t at;
        uint16_t word;
    } words[] = {
        {0x03, 0x0420},                 /* compatibility: no management, not on the mainboard */
        {0x04, 0xf746},                 /* LEDs: the driver's default */
        {0x05, 0x2010},                 /* version */
        {0x08, 0x0000},                 /* part number */
        {0x09, 0x0000}, {0x0a, 0x026b}, /* initialisation control 1: identifiers are loaded from here */
        {0x0b, 0x0000},                 /* subsystem */
        {0x0c, 0x8086}, {0x0d, 0x10d3}, /* device */
        {0x0e, 0x8086}, {0x0f, 0x0058}, /* initialisation control 2: no manageability */
        {0x10, 0x0000}, {0x12, 0x4000}, /* the EEPROM's size, and that it is valid */
        {0x14, 0x0000},                 /* initialisation control 3: no wake-up from a powered-off machine */
        {0x1a, 0x0000},                 /* PCIe control: no active state power management */
        {0x24, 0x0000}, {0x30, 0x0100}, /* no boot agent */
        {0x33, 0x0000},
    };
    uint16_t sum = 0;

    memset(e->eeprom, 0xff, sizeof e->eeprom);
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        e->eeprom[words[i].at] = words[i].word;
    for (unsigned i = 0; i < ETH_ALEN / 2; i++)
        e->eeprom[i] = ld16(e->mac + 2 * i);
    for (unsigned i = 0; i < CHECKSUM; i++)
        sum = (uint16_t)(sum + e->eeprom[i]);
    e->eeprom[CHECKSUM] = (uint16_t)(SUM - sum);
}

void e1000e_address_load(struct e1000e *e)
{
    *e1000e_reg(e, R_RA) = e->eeprom[0] | (uint32_t)e->eeprom[1] << 16;
    *e1000e_reg(e, R_RA + 4) = e->eeprom[2] | UINT32_C(1) << 31;
}

static unsigned address_of(uint32_t val) { return val >> 2 & 0x3fff; }

void e1000e_eerd(struct e1000e *e, unsigned off, uint32_t val)
{
    unsigned at = address_of(val);
    uint32_t word = at < EEPROM_WORDS ? e->eeprom[at] : 0xffff;

    *e1000e_reg(e, off) = val & START ? word << 16 | (val & 0xfffc) | DONE : (val & 0xfffc) | DONE;
}

void e1000e_eewr(struct e1000e *e, unsigned off, uint32_t val)
{
    unsigned at = address_of(val);

    if (val & START && at < EEPROM_WORDS)
        e->eeprom[at] = (uint16_t)(val >> 16);
    *e1000e_reg(e, off) = (val & 0xfffffffc) | DONE;
}

/* --- by its pins --- */

/* The byte at the address, which moves on. */
static uint8_t *next_byte(struct e1000e *e)
{
    unsigned at = e->spi.address++ % BYTES;

    return (uint8_t *)e->eeprom + at;
}

static void command(struct e1000e_spi *s, uint8_t op)
{
    s->command = op & 7; /* bit 3 is for larger ones: the ninth bit of the address */
    switch (s->command) {
    case WREN: s->writable = 1; break;
    case WRDI: s->writable = 0; break;
    case RDSR: s->phase = STATUS_OUT; return;
    case READ:
    case WRITE: s->phase = ADDRESS; return;
    }
    s->phase = IDLE;
}

/* A byte has come in, or gone out. */
static void byte_done(struct e1000e *e)
{
    struct e1000e_spi *s = &e->spi;

    switch (s->phase) {
    case COMMAND: command(s, s->in); break;
    case ADDRESS:
        s->address = s->in;
        s->phase = s->command == READ ? READING : WRITING;
        break;
    case WRITING:
        if (s->writable)
            *next_byte(e) = s->in;
    }
    s->out = s->phase == READING ? *next_byte(e) : s->phase == STATUS_OUT && s->writable ? STATUS_WEL : 0;
}

void e1000e_eecd_write(struct e1000e *e, unsigned off, uint32_t val)
{
    struct e1000e_spi *s = &e->spi;
    uint32_t old = reg_get(e, off);

    *e1000e_reg(e, off) = val & (SK | CS | DI | REQUEST);
    if (val & CS) { /* not selected: what was begun ends */
        if (s->phase == WRITING)
            s->writable = 0;
        s->phase = COMMAND;
        s->bits = s->in = s->out = s->pin = 0;
        return;
    }
    if (~old & val & SK) {
        s->in = (uint8_t)(s->in << 1 | !!(val & DI));
        if (++s->bits >= 8) {
            s->bits = 0;
            byte_done(e);
        }
    } else if (old & ~val & SK) {
        s->pin = s->out >> (7 - (s->bits & 7)) & 1;
    }
}

uint32_t e1000e_eecd_read(struct e1000e *e, unsigned off)
{
    uint32_t v = reg_get(e, off) | PRESENT | AUTO_READ_DONE | TYPE_SPI;

    return v | (v & REQUEST ? GRANT : 0) | (e->spi.pin ? DO : 0);
}
