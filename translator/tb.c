/*
 * The table of translated blocks (tb.h): lookup hash, per-page lists, page ids, link lists.
 *
 * Writers hold the translator's lock. tb_find reads the hash chains without it: heads and hash_next are published by
 * release stores, and a removed block keeps its hash_next until it is freed, so a reader on it still finds its way.
 */
#include "translator/tb.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/isa.h"
#include "mmu/tlb.h"

bool tb_table_init(struct tb_table *tt, uint64_t expected_blocks)
{
    *tt = (struct tb_table){.bits = 10, .page_bits = 12};
    while (tt->bits < 17 && (UINT64_C(1) << tt->bits) < expected_blocks)
        tt->bits++;
    tt->bucket = calloc((size_t)1 << tt->bits, sizeof *tt->bucket);
    tt->page_bucket = calloc((size_t)1 << tt->page_bits, sizeof *tt->page_bucket);
    if (tt->bucket && tt->page_bucket)
        return true;
    tb_table_fini(tt);
    return false;
}

static void page_free(struct code_page *p)
{
    for (struct tb_ids *i = p->ids, *next; i; i = next) {
        next = i->next;
        free(i);
    }
    free(p);
}

void tb_table_fini(struct tb_table *tt)
{
    for (size_t i = 0; tt->bucket && i < (size_t)1 << tt->bits; i++)
        for (struct tb *tb = tt->bucket[i], *next; tb; tb = next) {
            next = tb->hash_next;
            tb_free(tb);
        }
    for (size_t i = 0; tt->page_bucket && i < (size_t)1 << tt->page_bits; i++)
        for (struct code_page *p = tt->page_bucket[i], *next; p; p = next) {
            next = p->hash_next;
            page_free(p);
        }
    free(tt->bucket);
    free(tt->page_bucket);
    *tt = (struct tb_table){0};
}

struct tb *tb_new(const struct isa_ops *isa, const struct guest_block *b)
{
    struct tb *tb = calloc(1, sizeof *tb);
    size_t bytes = (size_t)b->count * isa->insn_size;

    if (!tb)
        return NULL;
    tb->insns = malloc(bytes ? bytes : 1);
    if (!tb->insns) {
        free(tb);
        return NULL;
    }
    memcpy(tb->insns, b->insns, bytes);
    tb->pc = tb_pc(b->pc, b->mode);
    tb->seen = b->pc;
    tb->phys = b->phys;
    tb->phys2 = b->phys2;
    tb->mode = b->mode;
    tb->count = b->count;
    tb->bytes = b->bytes;
    return tb;
}

static bool holds(const struct tlb_ctx *c, gva page, uint32_t id)
{
    const struct code_at *at = &c->code_at[CODE_ENTRY(id)];

    return at->va == page && at->id == id;
}

bool tb_ids_hold(const struct tlb_ctx *c, const struct tb *tb, gva pc)
{
    if (tb->mode & TB_PIC)
        return holds(c, pc & PAGE_MASK, tb->code_id) &&
               (!tb->code_id2 || holds(c, (pc & PAGE_MASK) + PAGE_SIZE, tb->code_id2));
    return c->code_id[CODE_SLOT(pc)] == tb->code_id &&
           (!tb->code_id2 || c->code_id[CODE_SLOT(pc + PAGE_SIZE)] == tb->code_id2);
}

/* The second page last: when both share an entry it is the one that generated code looks at next. */
void tb_set_ids(struct tlb_ctx *c, const struct tb *tb, gva pc)
{
    if (tb->mode & TB_PIC) {
        tlb_set_code_at(c, pc & PAGE_MASK, tb->code_id);
        if (tb->code_id2)
            tlb_set_code_at(c, (pc & PAGE_MASK) + PAGE_SIZE, tb->code_id2);
        return;
    }
    tlb_set_code_id(c, pc, tb->code_id);
    if (tb->code_id2)
        tlb_set_code_id(c, pc + PAGE_SIZE, tb->code_id2);
}

bool tb_room_for_links(struct tb *tb, const struct ir *ir)
{
    unsigned n = 0;

    for (unsigned i = 0; i < ir->count && n < TB_LINKS; i++)
        n += ir->insn[i].op == IR_brcond || ir->insn[i].op == IR_jump;
    free(tb->link);
    tb->link = calloc(n ? n : 1, sizeof *tb->link);
    tb->link_room = tb->link ? (uint8_t)n : 0;
    return tb->link != NULL;
}

void tb_free(struct tb *tb)
{
    free(tb->link);
    free(tb->ir);
    free(tb->insns);
    free(tb);
}

static uint64_t mix(uint64_t h)
{
    h *= UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

static struct tb **bucket_of(const struct tb_table *tt, gpa phys, gva pc, uint32_t mode)
{
    uint64_t h = mix(mix(phys >> 1 ^ (uint64_t)mode << 52) ^ pc >> PAGE_BITS);

    return &tt->bucket[h & ((UINT64_C(1) << tt->bits) - 1)];
}

struct tb *tb_find(const struct tb_table *tt, gpa phys, gva pc, uint32_t mode)
{
    struct tb *tb = __atomic_load_n(bucket_of(tt, phys, pc, mode), __ATOMIC_ACQUIRE);

    while (tb && (tb->phys != phys || tb->pc != pc || tb->mode != mode || tb->dead))
        tb = __atomic_load_n(&tb->hash_next, __ATOMIC_ACQUIRE);
    return tb;
}

static struct code_page **page_bucket(const struct tb_table *tt, gpa page)
{
    return &tt->page_bucket[mix(page >> PAGE_BITS) & ((UINT64_C(1) << tt->page_bits) - 1)];
}

struct code_page *tb_page(const struct tb_table *tt, gpa page)
{
    struct code_page *p = *page_bucket(tt, page);

    while (p && p->page != page)
        p = p->hash_next;
    return p;
}

struct code_page *tb_page_get(struct tb_table *tt, gpa page)
{
    struct code_page *p = tb_page(tt, page), **head = page_bucket(tt, page);

    if (p)
        return p;
    p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->page = page;
    p->hash_next = *head;
    *head = p;
    tt->pages++;
    return p;
}

void tb_page_drop(struct tb_table *tt, struct code_page *p)
{
    struct code_page **pp = page_bucket(tt, p->page);

    while (*pp != p)
        pp = &(*pp)->hash_next;
    *pp = p->hash_next;
    tt->pages--;
    page_free(p);
}

static void ids_take_out(struct code_page *p, struct tb_ids *i)
{
    if (i->next)
        i->next->prev = i->prev;
    if (i->prev)
        i->prev->next = i->next;
    else
        p->ids = i->next;
}

/* The id of one gva page seen with mode on this physical page; the one asked for last is found first. */
static struct tb_ids *page_id(struct tb_table *tt, struct code_page *p, gva page, uint32_t mode)
{
    struct tb_ids *i = p->ids;

    while (i && (i->page != page || i->mode != mode))
        i = i->next;
    if (i && i == p->ids)
        return i;
    if (i) {
        ids_take_out(p, i);
    } else {
        i = malloc(sizeof *i);
        if (!i)
            return NULL;
        if (!++tt->last_id)
            ++tt->last_id;
        *i = (struct tb_ids){.page = page, .mode = mode, .id = tt->last_id};
    }
    i->prev = NULL;
    i->next = p->ids;
    if (p->ids)
        p->ids->prev = i;
    p->ids = i;
    return i;
}

/* Ids go with their last block: a library at a new address in every process must not fill the memory with them. */
static void id_release(struct code_page *p, struct tb_ids *i)
{
    if (--i->blocks)
        return;
    ids_take_out(p, i);
    free(i);
}

static struct tb **page_prev(struct tb *tb, const struct code_page *p)
{
    return &tb->page_prev[(tb->phys & PAGE_MASK) != p->page];
}

static void page_add(struct code_page *p, struct tb *tb)
{
    *tb_page_next(tb, p) = p->first;
    *page_prev(tb, p) = NULL;
    if (p->first)
        *page_prev(p->first, p) = tb;
    p->first = tb;
}

static void page_remove(struct code_page *p, struct tb *tb)
{
    struct tb *next = *tb_page_next(tb, p), *prev = *page_prev(tb, p);

    if (next)
        *page_prev(next, p) = prev;
    if (prev)
        *tb_page_next(prev, p) = next;
    else
        p->first = next;
}

static bool straddles(const struct tb *tb) { return tb->phys2 != ~(gpa)0; }

/* The second page may be the first one again (one physical page mapped twice in a row): it is listed once then. */
static bool has_second_list(const struct tb *tb)
{
    return straddles(tb) && (tb->phys2 & PAGE_MASK) != (tb->phys & PAGE_MASK);
}

bool tb_insert(struct tb_table *tt, struct tb *tb)
{
    struct code_page *p = tb_page_get(tt, tb->phys & PAGE_MASK);
    struct code_page *p2 = straddles(tb) ? tb_page_get(tt, tb->phys2 & PAGE_MASK) : NULL;
    gva page = tb->pc & PAGE_MASK;
    struct tb **head = bucket_of(tt, tb->phys, tb->pc, tb->mode);

    if (!p || (straddles(tb) && !p2))
        return false;
    tb->ids[0] = page_id(tt, p, page, tb->mode);
    if (!tb->ids[0])
        return false;
    tb->ids[0]->blocks++;
    tb->code_id = tb->ids[0]->id;
    if (p2) {
        tb->ids[1] = page_id(tt, p2, tb->mode & TB_PIC ? page : page + PAGE_SIZE, tb->mode);
        if (!tb->ids[1]) {
            id_release(p, tb->ids[0]);
            return false;
        }
        tb->ids[1]->blocks++;
        tb->code_id2 = tb->ids[1]->id;
    }
    page_add(p, tb);
    if (has_second_list(tb))
        page_add(p2, tb);
    tb->hash_next = *head;
    __atomic_store_n(head, tb, __ATOMIC_RELEASE);
    tt->blocks++;
    return true;
}

void tb_remove(struct tb_table *tt, struct tb *tb)
{
    struct tb **pt = bucket_of(tt, tb->phys, tb->pc, tb->mode);
    struct code_page *p = tb_page(tt, tb->phys & PAGE_MASK);
    struct code_page *p2 = straddles(tb) ? tb_page(tt, tb->phys2 & PAGE_MASK) : NULL;

    while (*pt && *pt != tb)
        pt = &(*pt)->hash_next;
    if (!*pt)
        return;
    __atomic_store_n(pt, tb->hash_next, __ATOMIC_RELEASE);
    page_remove(p, tb);
    id_release(p, tb->ids[0]);
    if (has_second_list(tb))
        page_remove(p2, tb);
    if (p2)
        id_release(p2, tb->ids[1]);
    tt->blocks--;
}

void tb_link(struct tb *from, unsigned index, struct tb *to)
{
    struct tb_link *l = &from->link[index];

    l->next_in = to->in_first;
    l->next_in_index = to->in_index;
    to->in_first = from;
    to->in_index = (uint8_t)index;
    __atomic_store_n(&l->to, to, __ATOMIC_RELEASE);
}

void tb_unlink_out(struct tb *from, unsigned index)
{
    struct tb_link *l = &from->link[index];
    struct tb *to = l->to;
    struct tb **pt;
    uint8_t *pi;

    if (!to)
        return;
    pt = &to->in_first;
    pi = &to->in_index;
    while (*pt && (*pt != from || *pi != index)) {
        struct tb_link *at = &(*pt)->link[*pi];

        pt = &at->next_in;
        pi = &at->next_in_index;
    }
    if (*pt) {
        *pt = l->next_in;
        *pi = l->next_in_index;
    }
    l->next_in = NULL;
    __atomic_store_n(&l->to, NULL, __ATOMIC_RELEASE);
}

/* Not cryptographic: it has to notice that code changed, not to resist an adversary, who would only fool his own guest. */
uint64_t source_hash(const void *bytes, size_t len, uint64_t seed)
{
    const uint8_t *p = bytes;
    uint64_t h = seed ^ len * UINT64_C(0x9e3779b97f4a7c15);

    while (len) {
        uint64_t w = 0;
        size_t n = len < 8 ? len : 8;

        memcpy(&w, p, n);
        h = (h ^ w) * UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 29;
        p += n;
        len -= n;
    }
    return h;
}
