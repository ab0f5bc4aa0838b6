/* CPU models: profiles, properties and what follows from them. */
#include "cpu/riscv/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "cpu/riscv/insn.h"

enum { V = 1, A = 2, B = 4, M = 8, NOT_LISTED = 16, NOT_YET = 32, MAX_NEEDS = 4 };
enum choice { UNSAID, OFF, ON };

struct ext_info {
    const char *name, *text;
    unsigned in;
    uint8_t needs[MAX_NEEDS]; /* END ends */
};

static const struct ext_info ext_info[EXT_COUNT] = {
#define END EXT_COUNT
#define IN(sets) (sets)
#define HIDDEN(sets) ((sets) | NOT_LISTED)
#define LATER NOT_YET
#define EXT(id, name, in, text, ...) [EXT_##id] = {name, text, in, {__VA_ARGS__}},
#include "cpu/riscv/ext.def"
#undef EXT
};

static const struct {
    const char *name;
    unsigned set;
    const char *text;
} profiles[] = {
    {"rv64", V, "RVA23 without V and H, and what makes guests faster (the default)"},
    {"rva22s64", A, "what the profile RVA22S64 asks for and no more"},
    {"rva23s64", B, "the scalar part of the profile RVA23S64"},
    {"max", M, "everything"},
};

/* Properties that stand for several extensions. */
static const struct {
    const char *name;
    uint8_t ext[8];
} groups[] = {
    {"g", {EXT_M, EXT_A, EXT_F, EXT_D, EXT_ZICSR, EXT_ZIFENCEI, END}},
    {"zkn", {EXT_ZBKB, EXT_ZBKC, EXT_ZBKX, EXT_ZKNE, EXT_ZKND, EXT_ZKNH, END}},
};

/* Extensions without which nothing works: no property turns them off. */
static bool ext_fixed(enum isa_ext x) { return x == EXT_I || x == EXT_ZICSR; }

/* Names of the sum of others: off means all of them. */
static bool ext_umbrella(enum isa_ext x) { return x == EXT_M || x == EXT_A || x == EXT_C || x == EXT_B; }

const char *isa_ext_name(enum isa_ext x) { return ext_info[x].name; }
const char *isa_config_name(unsigned n) { return n < ARRAY_LEN(profiles) ? profiles[n].name : NULL; }

/* --- properties --- */

struct parse {
    struct isa_config *c;
    enum choice said[EXT_COUNT];
    bool mmu, pmp;
};

static bool parse_bool(const char *key, const char *val, bool *on, struct err *e)
{
    if (!val || !strcmp(val, "on") || !strcmp(val, "true") || !strcmp(val, "yes"))
        *on = true;
    else if (!strcmp(val, "off") || !strcmp(val, "false") || !strcmp(val, "no"))
        *on = false;
    else
        return err_set(e, "property '%s': '%s' is neither on nor off", key, val);
    return true;
}

static bool parse_number(const char *key, const char *val, uint64_t *n, struct err *e)
{
    char *end;

    errno = 0;
    if (!val || val[0] < '0' || val[0] > '9')
        return err_set(e, "property '%s' needs a number", key);
    *n = strtoull(val, &end, 0);
    if (*end || errno)
        return err_set(e, "property '%s': '%s' is not a number", key, val);
    return true;
}

static bool say_ext(struct parse *p, enum isa_ext x, bool on, struct err *e)
{
    if (on && (ext_info[x].in & NOT_YET))
        return err_set(e, "extension '%s' (%s) is not available in this version", ext_info[x].name, ext_info[x].text);
    if (!on && ext_fixed(x))
        return err_set(e, "extension '%s' cannot be turned off", ext_info[x].name);
    p->said[x] = on ? ON : OFF;
    if (!on && ext_umbrella(x))
        for (const uint8_t *n = ext_info[x].needs; *n != END; n++)
            if (p->said[*n] == UNSAID)
                p->said[*n] = OFF;
    return true;
}

/* An extension or a group; *known says whether key is one. */
static bool parse_ext(struct parse *p, const char *key, const char *val, bool *known, struct err *e)
{
    bool on = true;

    *known = false;
    for (unsigned x = 0; x < EXT_COUNT; x++) {
        if (strcmp(key, ext_info[x].name))
            continue;
        *known = true;
        return parse_bool(key, val, &on, e) && say_ext(p, (enum isa_ext)x, on, e);
    }
    for (unsigned g = 0; g < ARRAY_LEN(groups); g++) {
        if (strcmp(key, groups[g].name))
            continue;
        *known = true;
        if (!parse_bool(key, val, &on, e))
            return false;
        for (unsigned k = 0; groups[g].ext[k] != END; k++)
            if ((on || !ext_fixed(groups[g].ext[k])) && !say_ext(p, groups[g].ext[k], on, e))
                return false;
    }
    return true;
}

/* Sizes that guests see but that have one value here. */
static bool parse_fixed(const char *key, const char *val, uint64_t want, struct err *e)
{
    uint64_t n;

    if (!parse_number(key, val, &n, e))
        return false;
    return n == want || err_set(e, "property '%s': only %llu is available", key, (unsigned long long)want);
}

static bool parse_hpm(struct parse *p, const char *key, const char *val, struct err *e)
{
    uint64_t n;

    if (!parse_number(key, val, &n, e))
        return false;
    if (n > 29)
        return err_set(e, "property '%s': at most 29 counters", key);
    p->c->hpm_count = (unsigned)n;
    return true;
}

static bool parse_property(struct parse *p, const char *key, const char *val, struct err *e)
{
    bool known;

    if (!parse_ext(p, key, val, &known, e))
        return false;
    if (known)
        return true;
    if (!strcmp(key, "mmu"))
        return parse_bool(key, val, &p->mmu, e);
    if (!strcmp(key, "pmp"))
        return parse_bool(key, val, &p->pmp, e);
    if (!strcmp(key, "mvendorid"))
        return parse_number(key, val, &p->c->mvendorid, e);
    if (!strcmp(key, "marchid"))
        return parse_number(key, val, &p->c->marchid, e);
    if (!strcmp(key, "mimpid"))
        return parse_number(key, val, &p->c->mimpid, e);
    if (!strcmp(key, "pmu-num"))
        return parse_hpm(p, key, val, e);
    if (!strcmp(key, "cbom_blocksize") || !strcmp(key, "cboz_blocksize") || !strcmp(key, "cbop_blocksize"))
        return parse_fixed(key, val, p->c->cbo_size, e);
    return err_set(e, "no such property: '%s' (see -cpu help)", key);
}

static bool parse_word(struct parse *p, char *word, struct err *e)
{
    char *val = strchr(word, '=');

    if (*word == '+' || *word == '-') {
        if (val)
            return err_set(e, "'%s': +name and -name take no value", word);
        return parse_property(p, word + 1, *word == '+' ? "on" : "off", e);
    }
    if (val)
        *val++ = 0;
    return parse_property(p, word, val, e);
}

/* --- what follows --- */

/* Switch on what enabled extensions need; switch off those whose need was turned off by the user. */
static bool settle(struct parse *p, struct err *e)
{
    bool *ext = p->c->ext;
    bool again = true;

    for (unsigned x = 0; x < EXT_COUNT; x++)
        if (p->said[x] != UNSAID)
            ext[x] = p->said[x] == ON;
    while (again) {
        again = false;
        for (unsigned x = 0; x < EXT_COUNT; x++) {
            for (const uint8_t *n = ext_info[x].needs; ext[x] && *n != END; n++) {
                if (ext[*n])
                    continue;
                if (p->said[*n] != OFF)
                    ext[*n] = true;
                else if (p->said[x] == ON)
                    return err_set(e, "extension '%s' needs '%s', which is off", ext_info[x].name, ext_info[*n].name);
                else
                    ext[x] = false, p->said[x] = OFF;
                again = true;
            }
        }
    }
    return true;
}

/* Names that are sums of others follow their parts. */
static void derive(struct isa_config *c)
{
    c->ext[EXT_ZCD] = c->ext[EXT_ZCD] && c->ext[EXT_C] && c->ext[EXT_D];
    c->sv_levels = c->ext[EXT_SV57] ? 5 : c->ext[EXT_SV48] ? 4 : c->ext[EXT_SV39] ? 3 : 0;
}

static const struct isa_config config_base = {
    .xlen = 64,
    .pmp_count = 16,
    .asid_bits = 16,
    .hpm_count = 16,
    .cbo_size = 64,
};

static bool set_profile(struct parse *p, const char *name, struct err *e)
{
    for (unsigned i = 0; i < ARRAY_LEN(profiles); i++) {
        if (strcmp(name, profiles[i].name))
            continue;
        p->c->name = profiles[i].name;
        for (unsigned x = 0; x < EXT_COUNT; x++)
            p->c->ext[x] = ext_info[x].in & profiles[i].set;
        return true;
    }
    return err_set(e, "no such CPU model: '%s' (see -cpu help)", name);
}

static bool parse_spec(struct parse *p, char *spec, struct err *e)
{
    char *save, *word = strtok_r(spec, ",", &save);

    if (!set_profile(p, word ? word : "", e))
        return false;
    while ((word = strtok_r(NULL, ",", &save)))
        if (!parse_word(p, word, e))
            return false;
    if (!p->pmp)
        p->c->pmp_count = 0, p->said[EXT_SMEPMP] = OFF;
    if (!p->mmu)
        p->said[EXT_SV39] = OFF;
    return settle(p, e);
}

bool isa_config_parse(struct isa_config *c, const char *spec, struct err *e)
{
    struct parse p = {.c = c, .mmu = true, .pmp = true};
    char *copy = strdup(spec);
    bool ok;

    *c = config_base;
    ok = copy ? parse_spec(&p, copy, e) : err_set(e, "out of memory");
    free(copy);
    if (!ok)
        return false;
    derive(c);
    c->index = insn_index_new(c, insn_rows, INSN_COUNT, cinsn_rows, cinsn_row_count, e);
    return c->index != NULL;
}

void isa_config_fini(struct isa_config *c)
{
    insn_index_free(c->index);
    c->index = NULL;
}

/* --- names for guests --- */

static bool listed(const struct isa_config *c, unsigned x) { return c->ext[x] && !(ext_info[x].in & NOT_LISTED); }

/* Append n bytes if they fit whole; count them anyway. */
static void put(char *buf, size_t size, size_t *at, const char *s, size_t n)
{
    if (*at + n <= size)
        memcpy(buf + *at, s, n);
    *at += n;
}

size_t isa_string(const struct isa_config *c, char *buf, size_t size)
{
    size_t at = 0;

    put(buf, size, &at, "rv64", 4);
    for (unsigned x = 0; x < EXT_COUNT; x++) {
        if (!listed(c, x))
            continue;
        if (ext_info[x].name[1])
            put(buf, size, &at, "_", 1);
        put(buf, size, &at, ext_info[x].name, strlen(ext_info[x].name));
    }
    put(buf, size, &at, "", 1);
    if (at > size && size)
        buf[size - 1] = 0;
    return at - 1;
}

size_t isa_extensions(const struct isa_config *c, char *buf, size_t size)
{
    size_t at = 0;

    for (unsigned x = 0; x < EXT_COUNT; x++)
        if (listed(c, x))
            put(buf, size, &at, ext_info[x].name, strlen(ext_info[x].name) + 1);
    return at;
}

const char *isa_mmu_type(const struct isa_config *c)
{
    switch (c->sv_levels) {
    case 3: return "riscv,sv39";
    case 4: return "riscv,sv48";
    case 5: return "riscv,sv57";
    default: return "riscv,none";
    }
}

void isa_config_help(FILE *f)
{
    fprintf(f, "CPU models:\n");
    for (unsigned i = 0; i < ARRAY_LEN(profiles); i++)
        fprintf(f, "  %-12s %s\n", profiles[i].name, profiles[i].text);
    fprintf(f, "Properties (NAME=on|off, +NAME, -NAME):\n");
    for (unsigned x = 0; x < EXT_COUNT; x++)
        if (!(ext_info[x].in & NOT_YET) && !ext_fixed((enum isa_ext)x))
            fprintf(f, "  %-12s %s\n", ext_info[x].name, ext_info[x].text);
    for (unsigned g = 0; g < ARRAY_LEN(groups); g++) {
        fprintf(f, "  %-12s", groups[g].name);
        for (unsigned k = 0; groups[g].ext[k] != END; k++)
            fprintf(f, "%s %s", k ? "," : "", ext_info[groups[g].ext[k]].name);
        fprintf(f, "\n");
    }
    fprintf(f, "  %-12s %s\n  %-12s %s\n  %-12s %s\n  %-12s %s\n", "mmu", "paging", "pmp", "physical memory protection",
            "pmu-num=N", "programmable counters (0..29)", "mvendorid=N", "identity; also marchid=N, mimpid=N");
}
