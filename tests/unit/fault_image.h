/* An image over another that a test looks into: it counts calls, fails those it is told to, and can be slow. */
#ifndef TESTS_UNIT_FAULT_IMAGE_H
#define TESTS_UNIT_FAULT_IMAGE_H

#include "images/image.h"

enum fault_call { CALL_READ, CALL_WRITE, CALL_FLUSH, CALL_DISCARD, CALL_ZEROES, CALLS };

struct fault {
    unsigned calls[CALLS];
    int error[CALLS];  /* what the call returns now; 0: it is done */
    unsigned after;    /* errors begin after so many more calls of any kind */
    unsigned delay_us; /* each call takes so long */
    bool direct;       /* direct_begin is passed on to the file */
};

/* file is owned from then on; f may be on the stack: it must live until it is closed. */
struct image *fault_image(struct fault *f, struct image *file);

#endif
