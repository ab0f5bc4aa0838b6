/* What the files of the mirror share. */
#ifndef IMAGES_MIRROR_INT_H
#define IMAGES_MIRROR_INT_H

#include <pthread.h>

#include "images/members.h"
#include "images/mirror.h"

enum {
    MIRROR_TRAILER = 64 << 10,
    MIRROR_BITMAP = 4096, /* bytes */
    MIRROR_REGIONS = MIRROR_BITMAP * 8,
    MIRROR_SWEEP_NS = 2000000000,
};

/* One member's word about all of them. */
struct mirror_record {
    bool valid;
    uint8_t set[16]; /* which mirror */
    uint64_t serial; /* of writes of the record: the newer of two copies counts */
    uint64_t generation, size;
    unsigned members, self;
    uint8_t state[MEMBERS_MAX];  /* enum mirror_state */
    uint64_t since[MEMBERS_MAX]; /* the generation with which an absent one left */
};

struct mirror_range {
    uint64_t off, end;
    struct mirror_range *next;
};

struct mirror {
    struct image *img;
    struct members m;
    bool read_only;
    void (*notice)(void *arg, const char *line);
    void *notice_arg;
    bool direct;       /* for mirror_replace() */
    uint64_t sweep_ns; /* between two looks for regions at rest */

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    enum mirror_state state[MEMBERS_MAX];
    unsigned busy[MEMBERS_MAX];  /* calls under way */
    uint64_t place[MEMBERS_MAX]; /* where the last read ended: the nearest member reads on */
    uint8_t set[16];
    uint64_t serial, generation, since[MEMBERS_MAX];
    struct mirror_range *ranges; /* being written or copied */

    uint64_t region;                                      /* bytes */
    uint8_t bitmap[MIRROR_BITMAP], recent[MIRROR_BITMAP]; /* may differ; written since the last look */
    uint16_t pending[MIRROR_REGIONS];                     /* writes under way */
    uint64_t wanted, durable;                             /* changes of the bitmap: made, and on the members */
    bool writing;                                         /* somebody writes the bitmap */
    uint64_t swept;                                       /* ns of the last look for regions at rest */
    bool alike; /* regions marked before the start are healed: any member may be read */

    bool closing, copying, joinable;
    pthread_t copier;
    uint8_t todo[MEMBERS_MAX][MIRROR_BITMAP]; /* regions a member lacks */
    uint64_t copied, to_copy;
};

void mirror_say(struct mirror *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* mirror.c. A call on member i by fn; the last in step stays so whatever comes of it. */
void mirror_lock_range(struct mirror *m, struct mirror_range *r, uint64_t off, uint64_t len);
void mirror_unlock_range(struct mirror *m, struct mirror_range *r);
void mirror_fail(struct mirror *m, unsigned i, int error); /* leave member i out */
void mirror_leave(struct mirror *m, unsigned i);           /* a call on member i, counted in `busy`, has ended */
int mirror_first_in_step(struct mirror *m);                /* -1: none; lock held */
unsigned mirror_in_step(const struct mirror *m);           /* their number; lock held */
int mirror_flush_all(struct mirror *m);

/* mirror_meta.c: the trailer. */
uint64_t mirror_room(const struct image *member); /* bytes of a disk that a member of this size can hold */
bool mirror_read_record(struct image *member, struct mirror_record *r);
int mirror_read_bitmap(struct image *member, uint8_t *bitmap);
int mirror_write_bitmap(struct image *member, const uint8_t *bitmap);
uint64_t mirror_region(uint64_t size);
void mirror_write_records(struct mirror *m); /* lock held, also while members are written: a new generation */
int mirror_mark(struct mirror *m, uint64_t off, uint64_t len); /* before a write; undone by: */
void mirror_unmark(struct mirror *m, uint64_t off, uint64_t len);
void mirror_sweep(struct mirror *m, bool all); /* after a flush of all members */
int mirror_settle(struct mirror *m); /* lock held, let go meanwhile: the bitmap as it is now is on the members */

/* mirror_assemble.c */
bool mirror_assemble(struct mirror *m, const struct member_options *opt, struct err *e);
bool mirror_create(const struct image_create *c, struct err *e);

/* mirror_sync.c */
void mirror_todo_all(struct mirror *m, unsigned i); /* member i lacks all */
void mirror_start_copier(struct mirror *m);         /* lock held: there is something to do */
void mirror_stop_copier(struct mirror *m);
enum { KEY_DEGRADED, KEY_INIT, KEY_PRIMARY, KEY_REPLACE }; /* places in the options of mirror_open() */

#endif
