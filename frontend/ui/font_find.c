/* Files of fonts: fixed places first, fontconfig where they do not answer. */
#include <fontconfig/fontconfig.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontend/ui/font.h"

/* Debian, Fedora, Arch. Oblique faces are in a package of their own. */
static const char *const places[] = {"/usr/share/fonts/truetype/dejavu/", "/usr/share/fonts/dejavu-sans-mono-fonts/",
                                     "/usr/share/fonts/TTF/"};
static const char *const names[4] = {"DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSansMono-Oblique.ttf",
                                     "DejaVuSansMono-BoldOblique.ttf"};

static char *match_mono(unsigned style, int *index)
{
    FcPattern *want = FcNameParse((const FcChar8 *)"monospace"), *got = NULL;
    FcResult result;
    FcChar8 *file = NULL;
    char *path = NULL;

    if (want) {
        FcPatternAddInteger(want, FC_WEIGHT, style & FONT_BOLD ? FC_WEIGHT_BOLD : FC_WEIGHT_REGULAR);
        FcPatternAddInteger(want, FC_SLANT, style & FONT_ITALIC ? FC_SLANT_OBLIQUE : FC_SLANT_ROMAN);
        FcPatternAddBool(want, FC_SCALABLE, FcTrue);
        FcConfigSubstitute(NULL, want, FcMatchPattern);
        FcDefaultSubstitute(want);
        got = FcFontMatch(NULL, want, &result);
        FcPatternDestroy(want);
    }
    if (got && FcPatternGetString(got, FC_FILE, 0, &file) == FcResultMatch) {
        path = strdup((const char *)file);
        FcPatternGetInteger(got, FC_INDEX, 0, index);
    }
    if (got)
        FcPatternDestroy(got);
    return path;
}

char *font_find_mono(unsigned style, int *index)
{
    *index = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char *path = malloc(strlen(places[i]) + strlen(names[style]) + 1);

        if (!path)
            return NULL;
        strcpy(stpcpy(path, places[i]), names[style]);
        if (access(path, R_OK) == 0)
            return path;
        free(path);
    }
    return style ? NULL : match_mono(style, index); /* bold and oblique can be made from the upright one */
}

struct font_fallbacks {
    FcFontSet *set; /* best first */
};

struct font_fallbacks *font_fallbacks_new(void)
{
    struct font_fallbacks *f = calloc(1, sizeof *f);
    FcPattern *want = f ? FcNameParse((const FcChar8 *)"monospace") : NULL;
    FcResult result;

    if (want) {
        FcPatternAddBool(want, FC_SCALABLE, FcTrue);
        FcConfigSubstitute(NULL, want, FcMatchPattern);
        FcDefaultSubstitute(want);
        f->set = FcFontSort(NULL, want, FcTrue, NULL, &result);
        FcPatternDestroy(want);
    }
    if (f && f->set)
        return f;
    free(f);
    return NULL;
}

void font_fallbacks_free(struct font_fallbacks *f)
{
    if (f)
        FcFontSetDestroy(f->set);
    free(f);
}

const char *font_fallback(struct font_fallbacks *f, uint32_t ch, int *index)
{
    for (int i = 0; i < f->set->nfont; i++) {
        FcPattern *p = f->set->fonts[i];
        FcCharSet *chars;
        FcBool colour = FcFalse, scalable = FcTrue;
        FcChar8 *file;

        FcPatternGetBool(p, FC_COLOR, 0, &colour);
        FcPatternGetBool(p, FC_SCALABLE, 0, &scalable);
        if (colour || !scalable || FcPatternGetCharSet(p, FC_CHARSET, 0, &chars) != FcResultMatch ||
            !FcCharSetHasChar(chars, ch) || FcPatternGetString(p, FC_FILE, 0, &file) != FcResultMatch)
            continue;
        *index = 0;
        FcPatternGetInteger(p, FC_INDEX, 0, index);
        return (const char *)file;
    }
    return NULL;
}
