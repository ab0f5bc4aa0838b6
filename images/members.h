/*
 * Several images as one disk, as a user writes it:
 *
 *     concat:a.img,b.img                       one after the other
 *     stripe:chunk=64k,a.img,b.img             in turns of 64 KiB (the default)
 *     mirror:a.img,b.img                       copies (see mirror.h for its options)
 *
 * A member is PATH[;key=value...], with the keys format (raw), offset, size, partition. "{...}" keeps the commas of a
 * member that is itself such a list: mirror:{stripe:a,b},{stripe:c,d}. A comma or semicolon of a file's name is doubled;
 * a name with "=" or ":" in its first part is written with ./ before it.
 */
#ifndef IMAGES_MEMBERS_H
#define IMAGES_MEMBERS_H

#include "images/image.h"

enum { MEMBERS_MAX = 16, MEMBER_OPTIONS = 4 };

struct members {
    unsigned n;
    char *spec[MEMBERS_MAX];
    struct image *img[MEMBERS_MAX];
};

/* "key=value" before the first member; the keys come from the caller, value[i] is malloc'ed or NULL. */
struct member_options {
    const char *key[MEMBER_OPTIONS];
    char *value[MEMBER_OPTIONS];
};

/* Cut the list after "name:"; nothing is opened. On failure all is freed. */
bool members_parse(struct members *m, struct member_options *opt, const char *list, struct err *e);
struct image *member_open(const char *spec, const struct image_options *o, struct err *e);
bool members_open(struct members *m, const struct image_options *o, struct err *e); /* all, or none */
void members_close(struct members *m);
void member_options_free(struct member_options *opt);

/* What of a member is not its contents: where it lies. false with e set: not understood. */
struct member_place {
    char path[1024], format[32];
    struct image_options o;
};
bool member_parse(const char *spec, const struct image_options *o, struct member_place *p, struct err *e);

#endif
