/*
 * What unit tests share: cmocka with the includes it wants, and comparison macros that print both sides in hex.
 * A test program ends with `return cmocka_run_group_tests(tests, NULL, NULL)`; the runner counts its TAP lines.
 */
#ifndef TESTS_UNIT_CHECK_H
#define TESTS_UNIT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define CHECK(x) assert_true(x)
#define CHECK_EQ(a, b) \
    do { \
        uint64_t check_a = (uint64_t)(a), check_b = (uint64_t)(b); \
        if (check_a != check_b) \
            fail_msg("%s:%d: %s is 0x%llx, expected 0x%llx", __FILE__, __LINE__, #a, (unsigned long long)check_a, \
                     (unsigned long long)check_b); \
    } while (0)
#define CHECK_STR(a, b) assert_string_equal(a, b)

#endif
