/*
 * fw_cfg, memory-mapped: named items that firmware and kernel read by selector, byte by byte or by DMA.
 *
 * Items are added before the machine runs. Registers (big-endian): data at 0, selector at 8, DMA address at 16.
 * Source: QEMU docs/specs/fw_cfg.rst; Linux drivers/firmware/qemu_fw_cfg.c.
 */
#ifndef DEVICES_FW_CFG_H
#define DEVICES_FW_CFG_H

#include "devices/device.h"

enum { FW_CFG_SIZE = 0x18, FW_CFG_FILE_NAME = 56, FW_CFG_FILES = 96 };

enum { /* keys with a fixed meaning */
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_KERNEL_ADDR = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_INITRD_ADDR = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
};

struct fw_cfg_item {
    const char *name; /* of a file, at most 55 characters; NULL: not in the directory, `key` counts */
    uint16_t key;     /* below FW_CFG_FILE_FIRST; of files: chosen here */
    const void *data; /* copied unless `borrow`; NULL: zeros */
    uint32_t len;
    bool borrow;   /* data stays the caller's and lives longer than the device */
    bool writable; /* by DMA (needs a copy) */
    /* May be NULL. Under the device's lock. selected: before the item is read from its start; `data` may be refilled
     * in place. written: after a guest's DMA changed [off, off+len). */
    void (*selected)(void *arg, void *data, uint32_t len);
    void (*written)(void *arg, const void *data, uint32_t off, uint32_t len);
    void *arg;
};

struct device *fw_cfg_new(const struct device_env *env, const char *name);
/* false: a name or key that is there already, too long a name, too many files, out of memory. */
bool fw_cfg_add(struct device *d, const struct fw_cfg_item *item, struct err *e);
bool fw_cfg_add_u16(struct device *d, uint16_t key, uint16_t v, struct err *e);
bool fw_cfg_add_u32(struct device *d, uint16_t key, uint32_t v, struct err *e);
bool fw_cfg_add_u64(struct device *d, uint16_t key, uint64_t v, struct err *e);
bool fw_cfg_add_string(struct device *d, const char *name, const char *s, struct err *e); /* a file, without its NUL */

#endif
