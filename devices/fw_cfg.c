/*
 * fw_cfg: see fw_cfg.h. The selected item and the place in it are the state; everything past an item's end reads 0.
 *
 * A DMA request names a descriptor in RAM: control, length (32 bits each), address (64), all big-endian. Its control
 * word becomes 0 when done, 1 on an error.
 */
#include "devices/fw_cfg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

enum { /* offsets */
       DATA = 0x00,
       SELECTOR = 0x08,
       DMA = 0x10,
};

enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

enum {
    VERSION_DMA = 3,   /* the traditional interface and DMA */
    KEY_MASK = 0x3fff, /* bit 14: write mode of old, bit 15: architecture's own items (we have none) */
    ITEMS = FW_CFG_FILE_FIRST + FW_CFG_FILES,
    DIR_ENTRY = 64,        /* size, select, reserved, name */
    FILL_LIMIT = 16 << 20, /* zeros past an item's end that one request may ask for */
};

#define DMA_SIGNATURE UINT64_C(0x51454d5520434647) /* "QEMU CFG" */

struct item {
    struct fw_cfg_item i;
    uint8_t *data;
    char name[FW_CFG_FILE_NAME];
    bool used;
};

struct fw_cfg {
    struct device dev;
    uint16_t selected;
    uint32_t offset;
    uint64_t dma_addr; /* collected from two halves */
    unsigned files;
    struct item item[ITEMS];
    uint8_t directory[4 + FW_CFG_FILES * DIR_ENTRY];
};

static const struct item *current(const struct fw_cfg *f)
{
    static const struct item none;

    return f->selected < ITEMS && f->item[f->selected].used ? &f->item[f->selected] : &none;
}

static void select_item(struct fw_cfg *f, uint16_t key)
{
    const struct item *i;

    f->selected = key & KEY_MASK;
    f->offset = 0;
    i = current(f);
    if (!i->used)
        log_guest(&f->dev, "item 0x%04x selected, which is not there", key);
    else if (i->i.selected)
        i->i.selected(i->i.arg, i->data, i->i.len);
}

/* Bytes of the current item from the offset on. */
static uint32_t rest(const struct fw_cfg *f)
{
    uint32_t len = current(f)->i.len;

    return f->offset < len ? len - f->offset : 0;
}

static void advance(struct fw_cfg *f, uint32_t n)
{
    f->offset = n < UINT32_MAX - f->offset ? f->offset + n : UINT32_MAX;
}

/* The register is a string of bytes: the first is the one at the lowest address. */
static uint64_t data_read(struct fw_cfg *f, unsigned size)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        if (rest(f)) {
            v |= (uint64_t)current(f)->data[f->offset] << 8 * i;
            advance(f, 1);
        }
    return v;
}

static bool dma_to_guest(struct fw_cfg *f, gpa to, uint32_t len)
{
    static const uint8_t zeros[PAGE_SIZE];
    uint32_t n = rest(f) < len ? rest(f) : len;

    if (len - n > FILL_LIMIT || (n && !dma_write(f->dev.bus, to, current(f)->data + f->offset, n)))
        return false;
    for (uint32_t left = len - n; left;) {
        uint32_t step = left < sizeof zeros ? left : (uint32_t)sizeof zeros;

        if (!dma_write(f->dev.bus, to + (len - left), zeros, step))
            return false;
        left -= step;
    }
    return true;
}

static bool dma_from_guest(struct fw_cfg *f, gpa from, uint32_t len)
{
    const struct item *i = current(f);

    if (!i->i.writable || f->offset > i->i.len || len > rest(f) || !dma_read(f->dev.bus, from, i->data + f->offset, len))
        return false;
    if (i->i.written)
        i->i.written(i->i.arg, i->data, f->offset, len);
    return true;
}

static void dma_run(struct fw_cfg *f)
{
    uint8_t desc[16], answer[4];
    gpa at = f->dma_addr, addr;
    uint32_t control, len;
    bool ok = true;

    f->dma_addr = 0;
    if (!dma_read(f->dev.bus, at, desc, sizeof desc)) {
        log_guest(&f->dev, "DMA descriptor at 0x%" PRIx64 " is not in RAM", at);
        return;
    }
    control = ld32be(desc);
    len = ld32be(desc + 4);
    addr = ld64be(desc + 8);
    if (control & DMA_SELECT)
        select_item(f, (uint16_t)(control >> 16));
    if (control & DMA_READ)
        ok = dma_to_guest(f, addr, len);
    else if (control & DMA_WRITE)
        ok = dma_from_guest(f, addr, len);
    if (control & (DMA_READ | DMA_WRITE | DMA_SKIP))
        advance(f, len);
    if (!ok)
        log_guest(&f->dev, "DMA of %" PRIu32 " bytes at 0x%" PRIx64 " failed, control 0x%" PRIx32, len, addr, control);
    st32be(answer, ok ? 0 : DMA_ERROR);
    if (!dma_write(f->dev.bus, at, answer, sizeof answer))
        log_guest(&f->dev, "DMA descriptor at 0x%" PRIx64 " cannot be written", at);
}

static uint64_t fw_cfg_read(void *dev, gpa off, unsigned size)
{
    struct fw_cfg *f = dev;

    if (off < SELECTOR)
        return data_read(f, size);
    if (off >= DMA) /* the same string of bytes in the guest's memory for every access size */
        return __builtin_bswap64(DMA_SIGNATURE) >> 8 * (off - DMA);
    return 0;
}

static void fw_cfg_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    struct fw_cfg *f = dev;

    if (off == SELECTOR && size == 2) {
        select_item(f, __builtin_bswap16((uint16_t)val));
    } else if (off == DMA && size == 8) {
        f->dma_addr = __builtin_bswap64(val);
        dma_run(f);
    } else if (off == DMA && size == 4) {
        f->dma_addr = (uint64_t)__builtin_bswap32((uint32_t)val) << 32;
    } else if (off == DMA + 4 && size == 4) {
        f->dma_addr |= __builtin_bswap32((uint32_t)val);
        dma_run(f);
    } else { /* writes of the data register were dropped from the interface long ago */
        log_guest(&f->dev, "write of %u bytes at 0x%02" PRIx64, size, off);
    }
}

static void fw_cfg_free(struct device *d)
{
    struct fw_cfg *f = (struct fw_cfg *)d;

    for (unsigned k = 0; k < ITEMS; k++)
        if (f->item[k].used && !f->item[k].i.borrow)
            free(f->item[k].data);
    device_fini(d);
    free(f);
}

static void fw_cfg_info(struct device *d, void (*line)(void *, const char *), void *arg)
{
    struct fw_cfg *f = (struct fw_cfg *)d;
    char text[128];

    for (unsigned k = 0; k < ITEMS; k++)
        if (f->item[k].used) {
            snprintf(text, sizeof text, "item 0x%02x %s, %" PRIu32 " bytes", k, f->item[k].name, f->item[k].i.len);
            line(arg, text);
        }
}

static const struct field fw_cfg_state[] = {
    FIELD(struct fw_cfg, selected),
    FIELD(struct fw_cfg, offset),
    FIELD(struct fw_cfg, dma_addr),
    {0},
};

static const struct device_ops fw_cfg_ops = {
    .name = "qemu,fw-cfg-mmio",
    .size = FW_CFG_SIZE,
    .mmio = {fw_cfg_read, fw_cfg_write, .min_size = 1, .max_size = 8},
    .state = fw_cfg_state,
    .free = fw_cfg_free,
    .info = fw_cfg_info,
};

static void directory_update(struct fw_cfg *f)
{
    st32be(f->directory, f->files);
    for (unsigned n = 0; n < f->files; n++) {
        const struct item *i = &f->item[FW_CFG_FILE_FIRST + n];
        uint8_t *entry = f->directory + 4 + n * DIR_ENTRY;

        memset(entry, 0, DIR_ENTRY);
        st32be(entry, i->i.len);
        st16be(entry + 4, (uint16_t)(FW_CFG_FILE_FIRST + n));
        memcpy(entry + 8, i->name, FW_CFG_FILE_NAME);
    }
    f->item[FW_CFG_FILE_DIR].i.len = 4 + f->files * DIR_ENTRY;
}

static bool item_set(struct fw_cfg *f, unsigned key, const struct fw_cfg_item *from, struct err *e)
{
    struct item *i = &f->item[key];

    if (i->used)
        return err_set(e, "%s: item 0x%02x is there already", f->dev.name, key);
    i->i = *from;
    i->i.borrow = from->borrow && from->data;
    if (i->i.borrow) {
        i->data = (uint8_t *)(uintptr_t)from->data; /* only written when writable, and then it is the caller's wish */
    } else {
        i->data = calloc(1, from->len ? from->len : 1);
        if (!i->data)
            return err_set(e, "%s: out of memory", f->dev.name);
        if (from->data && from->len)
            memcpy(i->data, from->data, from->len);
    }
    i->used = true;
    return true;
}

bool fw_cfg_add(struct device *d, const struct fw_cfg_item *item, struct err *e)
{
    struct fw_cfg *f = (struct fw_cfg *)d;
    unsigned key = FW_CFG_FILE_FIRST + f->files;

    if (!item->name) {
        if (item->key >= FW_CFG_FILE_FIRST)
            return err_set(e, "%s: 0x%x is no key of an item without a name", d->name, item->key);
        return item_set(f, item->key, item, e);
    }
    if (!*item->name || strlen(item->name) >= FW_CFG_FILE_NAME)
        return err_set(e, "%s: file name '%s' must have 1 to %d characters", d->name, item->name, FW_CFG_FILE_NAME - 1);
    for (unsigned k = FW_CFG_FILE_FIRST; k < key; k++)
        if (!strcmp(f->item[k].name, item->name))
            return err_set(e, "%s: file '%s' is there already", d->name, item->name);
    if (f->files == FW_CFG_FILES)
        return err_set(e, "%s: no room for file '%s'", d->name, item->name);
    if (!item_set(f, key, item, e))
        return false;
    snprintf(f->item[key].name, sizeof f->item[key].name, "%s", item->name);
    f->files++;
    directory_update(f);
    return true;
}

static bool add_bytes(struct device *d, uint16_t key, const void *data, uint32_t len, struct err *e)
{
    return fw_cfg_add(d, &(struct fw_cfg_item){.key = key, .data = data, .len = len}, e);
}

bool fw_cfg_add_u16(struct device *d, uint16_t key, uint16_t v, struct err *e)
{
    uint8_t b[2];

    st16(b, v);
    return add_bytes(d, key, b, sizeof b, e);
}

bool fw_cfg_add_u32(struct device *d, uint16_t key, uint32_t v, struct err *e)
{
    uint8_t b[4];

    st32(b, v);
    return add_bytes(d, key, b, sizeof b, e);
}

bool fw_cfg_add_u64(struct device *d, uint16_t key, uint64_t v, struct err *e)
{
    uint8_t b[8];

    st64(b, v);
    return add_bytes(d, key, b, sizeof b, e);
}

bool fw_cfg_add_string(struct device *d, const char *name, const char *s, struct err *e)
{
    return fw_cfg_add(d, &(struct fw_cfg_item){.name = name, .data = s, .len = (uint32_t)strlen(s)}, e);
}

struct device *fw_cfg_new(const struct device_env *env, const char *name)
{
    struct fw_cfg *f = calloc(1, sizeof *f);
    struct fw_cfg_item dir = {.key = FW_CFG_FILE_DIR, .len = 4, .borrow = true};
    struct err e;

    if (!f)
        return NULL;
    device_init(&f->dev, &fw_cfg_ops, name, env);
    dir.data = f->directory;
    if (!add_bytes(&f->dev, FW_CFG_SIGNATURE, "QEMU", 4, &e) || !fw_cfg_add_u32(&f->dev, FW_CFG_ID, VERSION_DMA, &e) ||
        !fw_cfg_add(&f->dev, &dir, &e)) {
        device_free(&f->dev);
        return NULL;
    }
    return &f->dev;
}
