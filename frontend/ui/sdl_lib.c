/* See sdl_lib.h. */
#include "frontend/ui/sdl_lib.h"

#include <dlfcn.h>

bool sdl_lib_load(struct sdl_lib *s, struct err *e)
{
    static const char name[] = "libSDL2-2.0.so.0";

    s->handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!s->handle)
        return err_set(e, "no window without SDL 2 (Debian: apt install libsdl2-2.0-0): %s", dlerror());
#define SDL_LOAD(fn)                                                                                                   \
    *(void **)&s->fn = dlsym(s->handle, "SDL_" #fn);                                                                   \
    if (!s->fn)                                                                                                        \
        return err_set(e, "%s has no SDL_" #fn ": SDL 2.26 or later is needed", name);
    SDL_FUNCTIONS(SDL_LOAD)
#undef SDL_LOAD
    return true;
}

void sdl_lib_unload(struct sdl_lib *s)
{
    if (s->handle)
        dlclose(s->handle);
    s->handle = NULL;
}
