/* SipHash-2-4 against its authors' vectors: key 00 01 .. 0f, input 00 01 .. (appendix A and vectors.h of their code). */
#include "base/siphash.h"

#include "tests/unit/check.h"

static void reference_vectors(void **state)
{
    static const struct {
        size_t len;
        uint64_t hash;
    } vectors[] = {
        {0, UINT64_C(0x726fdb47dd0e0e31)},
        {1, UINT64_C(0x74f839c593dc67fd)},
        {8, UINT64_C(0x93f5f5799a932462)},
        {15, UINT64_C(0xa129ca6149be45e5)},
    };
    uint8_t bytes[16];

    (void)state;
    for (unsigned i = 0; i < 16; i++)
        bytes[i] = (uint8_t)i;
    for (unsigned i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        CHECK_EQ(siphash(bytes, bytes, vectors[i].len), vectors[i].hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reference_vectors)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
