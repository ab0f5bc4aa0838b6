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

/* What fontconfig makes of "monospace" in a style; NULL: out of memory. Its global configuration would stay: not used. */
static FcPattern *monospace(FcConfig *config, unsigned style)
{
    FcPattern *want = FcNameParse((const FcChar8 *)"monospace");

    if (!want)
        return NULL;
    FcPatternAddInteger(want, FC_WEIGHT, style & FONT_BOLD ? FC_WEIGHT_BOLD : FC_WEIGHT_REGULAR);
    FcPatternAddInteger(want, FC_SLANT, style & FONT_ITALIC ? FC_SLANT_OBLIQUE : FC_SLANT_ROMAN);
    FcPatternAddBool(want, FC_SCALABLE, FcTrue);
    FcConfigSubstitute(config, want, FcMatchPattern);
    FcDefaultSubstitute(want);
    return want;
}

static char *match_mono(unsigned style, int *index)
{
    FcConfig *config = FcInitLoadConfigAndFonts();
    FcPattern *want = config ? monospace(config, style) : NULL, *got;
    FcResult result;
    FcChar8 *file = NULL;
    char *path = NULL;

    got = want ? FcFontMatch(config, want, &result) : NULL;
    if (got && FcPatternGetString(got, FC_FILE, 0, &file) == FcResultMatch) {
        path = strdup((const char *)file);
        FcPatternGetInteger(got, FC_INDEX, 0, index);
    }
    if (got)
        FcPatternDestroy(got);
    if (want)
        FcPatternDestroy(want);
    if (config)
        FcConfigDestroy(config);
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
    FcConfig *config;
    FcFontSet *set; /* best first */
};

struct font_fallbacks *font_fallbacks_new(void)
{
    struct font_fallbacks *f = calloc(1, sizeof *f);
    FcPattern *want = NULL;
    FcResult result;

    if (!f)
        return NULL;
    f->config = FcInitLoadConfigAndFonts();
    if (f->config)
        want = monospace(f->config, 0);
    if (want) {
        f->set = FcFontSort(f->config, want, FcTrue, NULL, &result);
        FcPatternDestroy(want);
    }
    if (f->set)
        return f;
    font_fallbacks_free(f);
    return NULL;
}

void font_fallbacks_free(struct font_fallbacks *f)
{
    if (!f)
        return;
    if (f->set)
        FcFontSetDestroy(f->set);
    if (f->config)
        FcConfigDestroy(f->config);
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
