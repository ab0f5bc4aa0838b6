/* CPU models: profiles, properties, what they imply, and the names that guests read. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "cpu/riscv/config.h"
#include "tests/unit/check.h"

static struct isa_config good(const char *spec)
{
    struct isa_config c;
    struct err e = {""};

    if (!isa_config_parse(&c, spec, &e))
        fail_msg("%s: %s", spec, e.msg);
    return c;
}

static void refused(const char *spec, const char *why)
{
    struct isa_config c;
    struct err e = {""};

    CHECK(!isa_config_parse(&c, spec, &e));
    if (!strstr(e.msg, why))
        fail_msg("%s: message is '%s'", spec, e.msg);
}

/* Mandatory unprivileged and supervisor extensions of the profiles (RVA profiles specification), but V and H; Svadu stands in for Svade in max. */
static void profiles_hold_what_the_specification_asks(void **state)
{
    static const enum isa_ext rva22[] = {
        EXT_I,        EXT_M,       EXT_A,           EXT_F,
        EXT_D,        EXT_C,       EXT_ZICSR,       EXT_ZICNTR,
        EXT_ZIHPM,    EXT_ZICCIF,  EXT_ZICCRSE,     EXT_ZICCAMOA,
        EXT_ZICCLSM,  EXT_ZA64RS,  EXT_ZIHINTPAUSE, EXT_ZBA,
        EXT_ZBB,      EXT_ZBS,     EXT_ZIC64B,      EXT_ZICBOM,
        EXT_ZICBOP,   EXT_ZICBOZ,  EXT_ZFHMIN,      EXT_ZKT,
        EXT_ZIFENCEI, EXT_SVBARE,  EXT_SV39,        EXT_SVADE,
        EXT_SSCCPTR,  EXT_SSTVECD, EXT_SSTVALA,     EXT_SSCOUNTERENW,
        EXT_SVPBMT,   EXT_SVINVAL,
    };
    static const enum isa_ext rva23_adds[] = {
        EXT_ZIHINTNTL, EXT_ZICOND, EXT_ZIMOP,    EXT_ZCMOP, EXT_ZCB,     EXT_ZFA, EXT_ZAWRS,
        EXT_SVNAPOT,   EXT_SSTC,   EXT_SSCOFPMF, EXT_SSNPM, EXT_SSU64XL, EXT_B,
    };
    struct isa_config a = good("rva22s64"), b = good("rva23s64"), m = good("max");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rva22); i++)
        if (!isa_has(&a, rva22[i]) || !isa_has(&b, rva22[i]) || isa_has(&m, rva22[i]) == (rva22[i] == EXT_SVADE))
            fail_msg("%s is missing", isa_ext_name(rva22[i]));
    for (size_t i = 0; i < ARRAY_LEN(rva23_adds); i++)
        if (isa_has(&a, rva23_adds[i]) != (rva23_adds[i] == EXT_SSU64XL) || !isa_has(&b, rva23_adds[i]))
            fail_msg("%s is wrong", isa_ext_name(rva23_adds[i]));
    isa_config_fini(&a);
    isa_config_fini(&b);
    isa_config_fini(&m);
}

static void strings_are_what_linux_and_device_trees_want(void **state)
{
    struct isa_config c = good("rva22s64,zba=off,zicbom=off,zicbop=off,zicboz=off,svpbmt=off");
    char s[1024], list[1024];
    size_t n, at = 0;

    (void)state;
    n = isa_string(&c, s, sizeof s);
    CHECK_EQ(n, strlen(s));
    CHECK_STR(s,
              "rv64imafdc_zic64b_ziccamoa_ziccif_zicclsm_ziccrse_zicntr_zicsr_zifencei_zihintpause_zihpm_zmmul_za64rs_"
              "zaamo_zalrsc_zfhmin_zca_zcd_zbb_zbs_zkt_ssccptr_sscounterenw_sstvala_sstvecd_ssu64xl_svade_svbare_"
              "svinval");
    n = isa_extensions(&c, list, sizeof list);
    CHECK_STR(list, "i");
    for (unsigned k = 0; at < n; k++)
        at += strlen(list + at) + 1;
    CHECK_EQ(at, n);
    CHECK_STR(list + n - 8, "svinval");
    CHECK_EQ(isa_extensions(&c, NULL, 0), n);
    CHECK_EQ(isa_string(&c, list, 8), strlen(s)); /* as snprintf: what it would have taken */
    CHECK_EQ(strlen(list) < 8, true);
    isa_config_fini(&c);
}

static void properties_turn_extensions_on_and_off(void **state)
{
    struct isa_config c = good("max,zbb=off,-zkr,+sv57,d=false");

    (void)state;
    CHECK(!isa_has(&c, EXT_ZBB) && !isa_has(&c, EXT_ZKR) && !isa_has(&c, EXT_D));
    CHECK(!isa_has(&c, EXT_B));   /* is the sum of its parts */
    CHECK(!isa_has(&c, EXT_ZCD)); /* needs D */
    CHECK(isa_has(&c, EXT_F));
    CHECK_EQ(c.sv_levels, 5);
    CHECK_STR(isa_mmu_type(&c), "riscv,sv57");
    isa_config_fini(&c);
    c = good("rv64");
    CHECK_EQ(c.sv_levels, 3); /* Sv39 by default */
    isa_config_fini(&c);
    c = good("rv64,sv48=on");
    CHECK_STR(isa_mmu_type(&c), "riscv,sv48");
    isa_config_fini(&c);
    c = good("rv64,mmu=off,pmp=off");
    CHECK_STR(isa_mmu_type(&c), "riscv,none");
    CHECK(!isa_has(&c, EXT_SVNAPOT) && c.pmp_count == 0 && !isa_has(&c, EXT_SMEPMP));
    isa_config_fini(&c);
    c = good("rv64,c=off");
    CHECK(!isa_has(&c, EXT_ZCA) && !isa_has(&c, EXT_ZCB) && !isa_has(&c, EXT_ZCMOP));
    isa_config_fini(&c);
    c = good("rva22s64,zfh=on,zacas=on");
    CHECK(isa_has(&c, EXT_ZFH) && isa_has(&c, EXT_ZACAS));
    isa_config_fini(&c);
    c = good("rva22s64,zkn=on");
    CHECK(isa_has(&c, EXT_ZKND) && isa_has(&c, EXT_ZBKX));
    isa_config_fini(&c);
    c = good("rv64,mvendorid=0x1234,pmu-num=4,cbom_blocksize=64");
    CHECK_EQ(c.mvendorid, 0x1234);
    CHECK_EQ(c.hpm_count, 4);
    isa_config_fini(&c);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    refused("", "no such CPU model");
    refused("cortex-a57", "no such CPU model: 'cortex-a57'");
    refused("rv64,frobnicate=on", "'frobnicate'");
    refused("rv64,zba=maybe", "'maybe'");
    refused("rv64,+zba=on", "no value");
    refused("rv64,v=on", "extension 'v' (vectors) is not available");
    refused("rv64,h=true", "extension 'h'");
    refused("rv64,i=off", "cannot be turned off");
    refused("rv64,f=off,d=on", "extension 'd' needs 'f'");
    refused("rv64,mmu=off,sv48=on", "extension 'sv48' needs 'sv39'");
    refused("rv64,cbom_blocksize=128", "only 64");
    refused("rv64,mvendorid=zz", "number");
    refused("rv64,pmu-num=40", "at most 29");
    refused("rv64,=,on", "no such property");
}

static void asking_for_less_than_nothing_is_no_error(void **state)
{
    struct isa_config c = good("rv64,v=off,h=off"); /* command lines for QEMU say so */

    (void)state;
    isa_config_fini(&c);
    isa_config_fini(&c); /* twice is harmless */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profiles_hold_what_the_specification_asks),
        cmocka_unit_test(strings_are_what_linux_and_device_trees_want),
        cmocka_unit_test(properties_turn_extensions_on_and_off),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(asking_for_less_than_nothing_is_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
