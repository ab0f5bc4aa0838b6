/* Address types shared by every part. */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t gva; /* guest virtual address */
typedef uint64_t gpa; /* guest physical address */

enum { PAGE_BITS = 12, PAGE_SIZE = 1 << PAGE_BITS }; /* the guest page all parts agree on */
#define PAGE_MASK (~(uint64_t)(PAGE_SIZE - 1))

#endif
