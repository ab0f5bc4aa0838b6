/*
 * VMDK, the image format of VMware: monolithic (sparse, flat, stream-optimised) and split into extents.
 *
 * A request is cut at the borders of extents; what an extent does is in vmdk_extent.c. The first write gives the
 * descriptor another content ID, as VMware and QEMU do, so that an image based on this one is seen to be stale.
 */
#include "images/vmdk.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/bits.h"
#include "images/fmt.h"

struct piece {
    struct image *x;
    uint64_t start;
    bool zero; /* a ZERO extent: x is NULL */
    uint64_t size;
    char *name; /* of its file */
    bool flat;
};

struct vmdk {
    struct piece *pieces;
    unsigned n;
    char create_type[32];
    uint32_t cid, parent_cid;
    uint64_t cid_off; /* in img->file; 0: none */
    size_t cid_digits;
    pthread_mutex_t lock;
    bool cid_changed; /* atomic */
};

static struct piece *piece_at(struct vmdk *v, uint64_t off)
{
    unsigned lo = 0, hi = v->n;

    while (hi - lo > 1) {
        unsigned mid = (lo + hi) / 2;

        if (v->pieces[mid].start <= off)
            lo = mid;
        else
            hi = mid;
    }
    return &v->pieces[lo];
}

static uint64_t in_piece(const struct piece *p, uint64_t off, uint64_t len)
{
    uint64_t room = p->start + p->size - off;

    return len < room ? len : room;
}

static int piece_rw(struct piece *p, bool write, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    if (p->zero && write)
        return -EROFS;
    if (p->zero) {
        iov_zero(iov, n, 0, iov_total(iov, n));
        return 0;
    }
    return write ? p->x->ops->writev(p->x, iov, n, off - p->start, flags)
                 : p->x->ops->readv(p->x, iov, n, off - p->start, flags);
}

static int vmdk_rw(struct image *img, bool write, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct vmdk *v = img->priv;
    uint64_t total = iov_total(iov, n), done = 0;
    struct piece *p = piece_at(v, off);

    if (in_piece(p, off, total) == total)
        return piece_rw(p, write, iov, n, off, flags);
    if (flags & IMAGE_NOWAIT)
        return -EAGAIN;
    while (done < total) {
        enum { WINDOW = 64 };
        struct iovec win[WINDOW];
        uint64_t bytes;
        unsigned cnt;
        int ret;

        p = piece_at(v, off + done);
        cnt = iov_slice(win, WINDOW, iov, n, done, in_piece(p, off + done, total - done), &bytes);
        ret = cnt ? piece_rw(p, write, win, cnt, off + done, flags) : -EINVAL;
        if (ret)
            return ret;
        done += bytes;
    }
    return 0;
}

static int vmdk_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    return vmdk_rw(img, false, iov, n, off, flags);
}

/* Before the first write. */
static int change_cid(struct image *img)
{
    struct vmdk *v = img->priv;
    char text[16];
    int ret = 0;

    if (__atomic_load_n(&v->cid_changed, __ATOMIC_ACQUIRE))
        return 0;
    pthread_mutex_lock(&v->lock);
    if (!v->cid_changed && v->cid_off) {
        uint32_t cid = v->cid + 1;

        if (getrandom(&cid, sizeof cid, 0) != sizeof cid)
            cid = v->cid + 1;
        if (v->cid_digits < 8)
            cid &= (1u << (4 * v->cid_digits)) - 1;
        snprintf(text, sizeof text, "%0*" PRIx32, (int)v->cid_digits, cid);
        ret = fmt_write(img->file, text, v->cid_off, v->cid_digits);
        v->cid = cid;
    }
    __atomic_store_n(&v->cid_changed, !ret, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&v->lock);
    return ret;
}

static int vmdk_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct vmdk *v = img->priv;
    int ret = flags & IMAGE_NOWAIT && !__atomic_load_n(&v->cid_changed, __ATOMIC_ACQUIRE) ? -EAGAIN : change_cid(img);

    return ret ? ret : vmdk_rw(img, true, iov, n, off, flags);
}

static int vmdk_flush(struct image *img)
{
    struct vmdk *v = img->priv;
    bool own = false; /* is the descriptor in an extent's file? */
    int ret = 0;

    for (unsigned i = 0; i < v->n; i++) {
        struct image *x = v->pieces[i].x;
        int one = x ? x->ops->flush(x) : 0;

        own = own || (x && x->file == img->file);
        ret = ret ? ret : one;
    }
    return ret || own || img->read_only ? ret : img->file->ops->flush(img->file);
}

static int vmdk_zero_or_discard(struct image *img, uint64_t off, uint64_t len, bool zero, unsigned flags)
{
    struct vmdk *v = img->priv;
    int ret = change_cid(img);

    for (uint64_t done = 0, n; !ret && done < len; done += n) {
        struct piece *p = piece_at(v, off + done);

        n = in_piece(p, off + done, len - done);
        if (p->zero)
            continue;
        ret = zero ? p->x->ops->write_zeroes(p->x, off + done - p->start, n, flags)
                   : p->x->ops->discard(p->x, off + done - p->start, n);
    }
    return ret;
}

static int vmdk_discard(struct image *img, uint64_t off, uint64_t len)
{
    return vmdk_zero_or_discard(img, off, len, false, 0);
}

static int vmdk_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    return flags & IMAGE_NOWAIT ? -EAGAIN : vmdk_zero_or_discard(img, off, len, true, flags);
}

static int vmdk_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x)
{
    struct vmdk *v = img->priv;
    struct piece *p = piece_at(v, off);
    int ret = 0;

    len = in_piece(p, off, len);
    if (p->zero)
        *x = (struct image_extent){.len = len, .allocated = true, .zero = true};
    else
        ret = p->x->ops->map(p->x, off - p->start, len, x);
    if (!ret && !p->zero && p->x->file != img->file)
        x->has_offset = false; /* `file` is the descriptor */
    return ret;
}

static int vmdk_direct_begin(struct image *img, uint64_t off, uint64_t len, bool write, int *fd, uint64_t *host_off)
{
    struct vmdk *v = img->priv;
    struct piece *p = piece_at(v, off);

    if (p->zero || !p->x->ops->direct_begin || in_piece(p, off, len) != len ||
        (write && !__atomic_load_n(&v->cid_changed, __ATOMIC_ACQUIRE)))
        return -EAGAIN;
    return p->x->ops->direct_begin(p->x, off - p->start, len, write, fd, host_off);
}

static void vmdk_direct_end(struct image *img, uint64_t off, uint64_t len, bool write)
{
    struct piece *p = piece_at(img->priv, off);

    p->x->ops->direct_end(p->x, off - p->start, len, write);
}

/* The text of the descriptor at [off, off + len) of the file, NUL-terminated, malloc'ed. */
static char *read_text(struct image *img, uint64_t off, uint64_t len, struct err *e)
{
    char *text;
    int ret;

    if (!len || len > VMDK_DESC_MAX) {
        err_set(e, "disk image '%s': a VMDK descriptor of %" PRIu64 " bytes is too large or empty", img->path, len);
        return NULL;
    }
    text = calloc(1, len + 1);
    ret = text ? fmt_read_pad(img->file, text, off, len) : -ENOMEM;
    if (!ret)
        return text;
    err_set(e, "disk image '%s': cannot read its VMDK descriptor: %s", img->path, strerror(-ret));
    free(text);
    return NULL;
}

static bool check_desc(struct image *img, const struct vmdk_desc *d, struct err *e)
{
    static const char *const devices[] = {"fullDevice", "partitionedDevice", "vmfsRaw", "vmfsRawDeviceMap",
                                          "vmfsPassthroughRawDeviceMap"};

    if (d->parent_cid != UINT32_MAX)
        return err_set(e, "disk image '%s' is a VMDK image with a parent; merge it with its parent first", img->path);
    if (!strcasecmp(d->create_type, "seSparse"))
        return err_set(e, "disk image '%s' is an SESPARSE VMDK image, which is not supported", img->path);
    for (size_t i = 0; i < ARRAY_LEN(devices); i++)
        if (!strcasecmp(d->create_type, devices[i]))
            return err_set(e, "disk image '%s' is a VMDK image of type %s, which stands for a device", img->path,
                           d->create_type);
    return true;
}

static bool open_piece(struct image *img, const struct image_options *o, const struct vmdk_line *l, struct piece *p,
                       struct err *e)
{
    uint64_t size = l->sectors * VMDK_SECTOR;
    bool flat = !strcmp(l->type, "FLAT") || !strcmp(l->type, "VMFS");
    struct image *file;

    p->size = size;
    p->flat = flat;
    p->name = strdup(l->name);
    if (!strcmp(l->type, "ZERO")) {
        p->zero = true;
        return true;
    }
    if (!flat && strcmp(l->type, "SPARSE") != 0)
        return err_set(e, "disk image '%s': VMDK extents of type %s are not supported", img->path, l->type);
    if (!l->writable && !img->read_only)
        return err_set(e, "disk image '%s': its extent '%s' is read-only; open the image so", img->path, l->name);
    if (!l->name[0] || !p->name)
        return err_set(e, "disk image '%s': a VMDK extent without a name", img->path);
    file = image_open_data(img, o, l->name, e);
    if (!file)
        return false;
    p->x = flat ? vmdk_open_flat(file->path, file, false, img->read_only, size, l->offset * VMDK_SECTOR, e)
                : vmdk_open_sparse(file->path, file, false, img->read_only, size, e);
    return p->x;
}

static bool open_pieces(struct image *img, const struct image_options *o, const struct vmdk_desc *d, struct err *e)
{
    struct vmdk *v = img->priv;

    if (!d->n)
        return err_set(e, "disk image '%s': its VMDK descriptor names no extent", img->path);
    v->pieces = calloc(d->n, sizeof *v->pieces);
    if (!v->pieces)
        return err_set(e, "disk image '%s': out of memory", img->path);
    for (unsigned i = 0; i < d->n; i++) {
        struct piece *p = &v->pieces[v->n++];

        p->start = img->size;
        if (!open_piece(img, o, &d->lines[i], p, e))
            return false;
        img->size += p->size;
        if (!p->zero && p->x->cluster)
            img->cluster = p->x->cluster;
    }
    return true;
}

/* One sparse file with its descriptor inside. */
static bool open_monolithic(struct image *img, const uint8_t *h, struct vmdk_desc *d, struct err *e)
{
    struct vmdk *v = img->priv;
    uint64_t off = ld64(h + VMDK_DESC_OFF), len = ld64(h + VMDK_DESC_SIZE);
    char *text = NULL;

    if (off) {
        if (off > UINT32_MAX || len > VMDK_DESC_MAX / VMDK_SECTOR)
            return err_set(e, "disk image '%s': its VMDK descriptor is misplaced", img->path);
        text = read_text(img, off * VMDK_SECTOR, len * VMDK_SECTOR, e);
        if (!text || !vmdk_parse(img->path, text, d, e) || !check_desc(img, d, e)) {
            free(text);
            return false;
        }
        if (d->cid_digits)
            v->cid_off = off * VMDK_SECTOR + d->cid_at;
        free(text);
    }
    v->pieces = calloc(1, sizeof *v->pieces);
    if (!v->pieces)
        return err_set(e, "disk image '%s': out of memory", img->path);
    v->pieces->name = strdup(img->path);
    v->pieces->x = vmdk_open_sparse(img->path, img->file, true, img->read_only, 0, e);
    if (!v->pieces->x)
        return false;
    v->n = 1;
    img->size = v->pieces->size = v->pieces->x->size;
    img->cluster = v->pieces->x->cluster;
    return true;
}

static bool open_descriptor(struct image *img, const struct image_options *o, struct vmdk_desc *d, struct err *e)
{
    struct vmdk *v = img->priv;
    char *text = read_text(img, 0, image_size(img->file), e);
    bool ok = text && vmdk_parse(img->path, text, d, e) && check_desc(img, d, e);

    if (ok && d->cid_digits)
        v->cid_off = d->cid_at;
    free(text);
    return ok && open_pieces(img, o, d, e);
}

static void free_vmdk(struct vmdk *v)
{
    for (unsigned i = 0; i < v->n; i++) {
        if (v->pieces[i].x)
            vmdk_close_extent(v->pieces[i].x);
        free(v->pieces[i].name);
    }
    if (!v->n && v->pieces)
        free(v->pieces->name);
    free(v->pieces);
    free(v);
}

static bool vmdk_open(struct image *img, const struct image_options *o, struct err *e)
{
    struct vmdk *v = calloc(1, sizeof *v);
    struct vmdk_desc d = {.lines = NULL};
    uint8_t h[VMDK_HEADER] = {0};
    bool ok;

    if (!v)
        return err_set(e, "disk image '%s': out of memory", img->path);
    img->priv = v;
    fmt_read_pad(img->file, h, 0, sizeof h);
    if (!memcmp(h, "KDMV", 4))
        ok = open_monolithic(img, h, &d, e);
    else if (!memcmp(h, "COWD", 4))
        ok = err_set(e, "disk image '%s' is an ESX sparse extent (COWD), which is not supported", img->path);
    else if (!memcmp(h, "\xbe\xba\xfe\xca", 4))
        ok = err_set(e, "disk image '%s' is an SESPARSE VMDK extent, which is not supported", img->path);
    else if (!memcmp(h, "# Disk DescriptorFile", 21))
        ok = open_descriptor(img, o, &d, e);
    else
        ok = err_set(e, "disk image '%s' is no VMDK image", img->path);
    memcpy(v->create_type, d.create_type, sizeof v->create_type);
    v->cid = d.cid;
    v->cid_digits = d.cid_digits;
    v->parent_cid = d.parent_cid;
    free(d.lines);
    if (!ok) {
        free_vmdk(v);
        return false;
    }
    pthread_mutex_init(&v->lock, NULL);
    img->discard = !img->read_only;
    return true;
}

static void vmdk_close(struct image *img)
{
    struct vmdk *v = img->priv;

    pthread_mutex_destroy(&v->lock);
    free_vmdk(v);
}

static json_t *piece_details(const struct piece *p)
{
    json_t *j = json_pack("{s:I,s:s}", "virtual-size", (json_int_t)p->size, "filename",
                          p->x      ? p->x->path
                          : p->name ? p->name
                                    : "");

    if (j && p->x && !p->flat) {
        json_object_set_new(j, "cluster-size", json_integer(p->x->cluster));
        if (vmdk_is_compressed(p->x))
            json_object_set_new(j, "compressed", json_true());
    }
    json_object_set_new(j, "format", json_string(p->flat ? "FLAT" : ""));
    return j;
}

static struct json_t *vmdk_details(struct image *img)
{
    struct vmdk *v = img->priv;
    json_t *list = json_array();

    for (unsigned i = 0; i < v->n; i++)
        json_array_append_new(list, piece_details(&v->pieces[i]));
    return json_pack("{s:s,s:{s:I,s:I,s:s,s:o}}", "type", "vmdk", "data", "cid", (json_int_t)v->cid, "parent-cid",
                     (json_int_t)v->parent_cid, "create-type", v->create_type, "extents", list);
}

const struct image_ops image_vmdk = {
    .format = "vmdk",
    .open = vmdk_open,
    .close = vmdk_close,
    .readv = vmdk_readv,
    .writev = vmdk_writev,
    .flush = vmdk_flush,
    .discard = vmdk_discard,
    .write_zeroes = vmdk_write_zeroes,
    .map = vmdk_map,
    .direct_begin = vmdk_direct_begin,
    .direct_end = vmdk_direct_end,
    .create = vmdk_create,
    .details = vmdk_details,
};
