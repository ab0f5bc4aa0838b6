/*
 * 82574L interrupts: causes (ICR), masks (IMS), the throttles ITR and EITR, the delays RDTR, RADV, TIDV, TADV.
 *
 * Without MSI-X the line is up while an unmasked cause is set, and not sooner than ITR after it went up last. With
 * MSI-X only the five causes that IVAR gives vectors have messages, each sent once when its cause becomes pending,
 * and not sooner than EITR after the vector's last one. One clock timer stands for all throttles and delays:
 * irq_update derives it, the line and the messages from the registers, whatever changed.
 * ICR is cleared by a read when nothing is unmasked or something unmasked is set; a read of another driver on a
 * shared line changes nothing. Source: 82574 datasheet, 7.4 and 10.2.4; the PCIe GbE Controllers' Software
 * Developer's Manual, 13.3.27, for a read without auto-mask.
 */
#include "devices/e1000e_parts.h"

enum {
    THROTTLE_NS = 256, /* a unit of ITR and EITR */
    DELAY_NS = 1024,   /* of RDTR, RADV, TIDV, TADV */
    DELAY_MASK = 0xffff,
    OTHERS = ICR_LSC | ICR_RXO | ICR_MDAC | ICR_SRPD | ICR_ACK | ICR_MNG, /* what ICR_OTHER stands for */
    RX_LATE = ICR_RXT0 | ICR_RXQ0 | ICR_RXQ1,
    TX_LATE = ICR_TXDW | ICR_TXQ0 | ICR_TXQ1,
    IVAR_VALID = 8,
    IVAR_VECTOR = 7,
};
#define INT_ASSERTED (UINT32_C(1) << 31)

static uint32_t pending(const struct e1000e *e) { return reg_get(e, R_ICR) & reg_get(e, R_IMS); }

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

static void begin_quiet(struct e1000e *e, unsigned i, uint64_t now, unsigned off)
{
    e->quiet[i] = now + (uint64_t)(reg_get(e, off) & 0xffff) * THROTTLE_NS;
    e1000e_count(e, S_IAC);
}

/* The line; -> when to look again. */
static uint64_t intx_update(struct e1000e *e, uint64_t now)
{
    bool want = pending(e);

    if (want == e->pci.intx)
        return CLOCK_NEVER;
    if (want && now < e->quiet[0])
        return e->quiet[0];
    if (want)
        begin_quiet(e, 0, now, R_ITR);
    pci_intx(&e->pci, want);
    return CLOCK_NEVER;
}

static void send_message(struct e1000e *e, unsigned vector, uint32_t causes, uint64_t now)
{
    begin_quiet(e, 1 + vector, now, R_EITR + 4 * vector);
    pci_msix_notify(&e->pci, vector);
    if (reg_get(e, R_CTRL_EXT) & CTRL_EXT_EIAME)
        *e1000e_reg(e, R_IMS) &= ~(reg_get(e, R_IAM) & causes);
    *e1000e_reg(e, R_ICR) &= ~(reg_get(e, R_EIAC) & causes);
    e->told = (e->told | causes) & pending(e);
}

static uint64_t msix_update(struct e1000e *e, uint64_t now)
{
    uint32_t ivar = reg_get(e, R_IVAR), causes[IVAR_VECTOR + 1] = {0}, fresh;
    uint64_t next = CLOCK_NEVER;

    e->told &= pending(e);
    fresh = pending(e) & ~e->told;
    for (unsigned i = 0; i < 5; i++) { /* RxQ0, RxQ1, TxQ0, TxQ1, other: in IVAR and in ICR in this order */
        uint32_t entry = ivar >> 4 * i;

        if (entry & IVAR_VALID)
            causes[entry & IVAR_VECTOR] |= fresh & (uint32_t)ICR_RXQ0 << i;
    }
    for (unsigned v = 0; v < VECTORS; v++) {
        if (causes[v] && now < e->quiet[1 + v])
            next = earlier(next, e->quiet[1 + v]);
        else if (causes[v])
            send_message(e, v, causes[v], now);
    }
    return next;
}

void e1000e_irq_update(struct e1000e *e)
{
    uint64_t now = clock_now(e->pci.dev.clock), next;

    if (pci_msix_enabled(&e->pci)) {
        if (e->pci.intx)
            pci_intx(&e->pci, false);
        next = msix_update(e, now);
    } else {
        e->told = 0;
        next = intx_update(e, now);
    }
    for (unsigned i = 0; i < DELAYS; i++)
        if (e->delay[i])
            next = earlier(next, e->delay[i]);
    if (next == e->armed)
        return;
    e->armed = next;
    if (next == CLOCK_NEVER)
        timer_cancel(&e->timer);
    else
        timer_arm(&e->timer, next);
}

void e1000e_cause(struct e1000e *e, uint32_t causes)
{
    uint32_t *icr = e1000e_reg(e, R_ICR);

    *icr |= causes & ICR_CAUSES;
    if (*icr & OTHERS && pci_msix_enabled(&e->pci))
        *icr |= ICR_OTHER;
    e1000e_irq_update(e);
}

void e1000e_delay_flush(struct e1000e *e, bool rx)
{
    uint32_t *causes = rx ? &e->delayed_rx : &e->delayed_tx, now = *causes;

    *causes = 0;
    e->delay[rx ? DELAY_RX : DELAY_TX] = e->delay[rx ? DELAY_RX_MAX : DELAY_TX_MAX] = 0;
    e1000e_cause(e, now);
}

/* Each frame starts the first delay again; the second, from the first frame on, bounds it. */
static void delay_start(struct e1000e *e, enum e1000e_delay which, unsigned delay_off, unsigned max_off)
{
    uint64_t now = clock_now(e->pci.dev.clock), max = reg_get(e, max_off) & DELAY_MASK;

    e->delay[which] = now + (uint64_t)(reg_get(e, delay_off) & DELAY_MASK) * DELAY_NS;
    if (max && !e->delay[which + 1])
        e->delay[which + 1] = now + max * DELAY_NS;
    e1000e_irq_update(e);
}

void e1000e_cause_rx(struct e1000e *e, uint32_t causes)
{
    e->delayed_rx |= causes & RX_LATE;
    if (reg_get(e, R_RDTR) & DELAY_MASK && !(causes & ~(uint32_t)RX_LATE)) {
        delay_start(e, DELAY_RX, R_RDTR, R_RADV);
        return;
    }
    e1000e_delay_flush(e, true);
    e1000e_cause(e, causes);
}

void e1000e_cause_tx(struct e1000e *e, uint32_t causes, bool late)
{
    if (!(causes & TX_LATE)) {
        e1000e_cause(e, causes);
        return;
    }
    e->delayed_tx |= causes & TX_LATE;
    if (late && reg_get(e, R_TIDV) & DELAY_MASK) {
        delay_start(e, DELAY_TX, R_TIDV, R_TADV);
        e1000e_cause(e, causes & ~(uint32_t)TX_LATE);
        return;
    }
    e1000e_delay_flush(e, false);
    e1000e_cause(e, causes);
}

void e1000e_timer_expired(void *arg)
{
    static const uint16_t counter[DELAYS] = {S_ICRXPTC, S_ICRXATC, S_ICTXPTC, S_ICTXATC};
    struct e1000e *e = arg;
    uint64_t now;

    device_lock(e);
    e->armed = CLOCK_NEVER;
    now = clock_now(e->pci.dev.clock);
    for (unsigned i = 0; i < DELAYS; i++) {
        if (!e->delay[i] || e->delay[i] > now)
            continue;
        e1000e_count(e, counter[i]);
        e1000e_delay_flush(e, i <= DELAY_RX_MAX);
    }
    e1000e_irq_update(e);
    device_unlock(e);
}

static void auto_mask(struct e1000e *e)
{
    if (reg_get(e, R_CTRL_EXT) & CTRL_EXT_IAME)
        *e1000e_reg(e, R_IMS) &= ~reg_get(e, R_IAM);
}

uint32_t e1000e_icr_read(struct e1000e *e, unsigned off)
{
    uint32_t icr = reg_get(e, off);
    bool asserted = pending(e);

    if (asserted || !reg_get(e, R_IMS))
        *e1000e_reg(e, off) = 0;
    if (asserted)
        auto_mask(e);
    e1000e_irq_update(e);
    return asserted ? icr | INT_ASSERTED : icr;
}

/* Ones clear. Drivers expect that clearing OTHER clears all that it stands for. */
void e1000e_icr_write(struct e1000e *e, unsigned off, uint32_t val)
{
    if (val & ICR_OTHER)
        val |= OTHERS;
    if (pending(e))
        auto_mask(e);
    *e1000e_reg(e, off) &= ~val;
    e1000e_irq_update(e);
}

void e1000e_irq_reset(struct e1000e *e)
{
    e->delayed_rx = e->delayed_tx = e->told = 0;
    memset(e->delay, 0, sizeof e->delay);
    memset(e->quiet, 0, sizeof e->quiet);
}

/* No time of a snapshot may be further away than a register can set it. */
void e1000e_irq_restored(struct e1000e *e)
{
    uint64_t now = clock_now(e->pci.dev.clock);

    for (unsigned i = 0; i < DELAYS; i++)
        if (e->delay[i] > now)
            e->delay[i] = earlier(e->delay[i], now + (uint64_t)DELAY_MASK * DELAY_NS);
    for (unsigned i = 0; i < 1 + VECTORS; i++)
        if (e->quiet[i] > now)
            e->quiet[i] = earlier(e->quiet[i], now + UINT64_C(0xffff) * THROTTLE_NS);
    e->delayed_rx &= RX_LATE;
    e->delayed_tx &= TX_LATE;
}
