/*
 * SDL 2 as a table of functions, loaded when a window is wanted: a run without one starts 15 ms sooner, and works where SDL
 * is not installed. One word in the list makes a member of the table with the type SDL's header gives it.
 */
#ifndef FRONTEND_UI_SDL_LIB_H
#define FRONTEND_UI_SDL_LIB_H

#include <SDL2/SDL.h>

#include "base/err.h"

#define SDL_FUNCTIONS(F)                                                                                               \
    F(CreateColorCursor)                                                                                               \
    F(CreateRGBSurfaceWithFormatFrom)                                                                                  \
    F(CreateSemaphore)                                                                                                 \
    F(CreateSystemCursor)                                                                                              \
    F(CreateWindow)                                                                                                    \
    F(DestroySemaphore)                                                                                                \
    F(DestroyWindow)                                                                                                   \
    F(EventState)                                                                                                      \
    F(FreeCursor)                                                                                                      \
    F(FreeSurface)                                                                                                     \
    F(GetClipboardText)                                                                                                \
    F(GetCurrentVideoDriver)                                                                                           \
    F(GetDesktopDisplayMode)                                                                                           \
    F(GetDisplayUsableBounds)                                                                                          \
    F(GetError)                                                                                                        \
    F(GetModState)                                                                                                     \
    F(GetMouseState)                                                                                                   \
    F(GetTicks64)                                                                                                      \
    F(GetWindowBordersSize)                                                                                            \
    F(GetWindowDisplayIndex)                                                                                           \
    F(GetWindowID)                                                                                                     \
    F(GetWindowSize)                                                                                                   \
    F(GetWindowSizeInPixels)                                                                                           \
    F(GetWindowSurface)                                                                                                \
    F(InitSubSystem)                                                                                                   \
    F(PushEvent)                                                                                                       \
    F(QuitSubSystem)                                                                                                   \
    F(RegisterEvents)                                                                                                  \
    F(SemPost)                                                                                                         \
    F(SemWaitTimeout)                                                                                                  \
    F(SetClipboardText)                                                                                                \
    F(SetCursor)                                                                                                       \
    F(SetHint)                                                                                                         \
    F(SetRelativeMouseMode)                                                                                            \
    F(SetWindowFullscreen)                                                                                             \
    F(SetWindowIcon)                                                                                                   \
    F(SetWindowKeyboardGrab)                                                                                           \
    F(SetWindowMinimumSize)                                                                                            \
    F(SetWindowSize)                                                                                                   \
    F(SetWindowTitle)                                                                                                  \
    F(ShowCursor)                                                                                                      \
    F(StartTextInput)                                                                                                  \
    F(StopTextInput)                                                                                                   \
    F(UpdateWindowSurfaceRects) F(UpperBlit) F(WaitEventTimeout) F(free)

struct sdl_lib {
    void *handle;
#define SDL_MEMBER(name) __typeof__(SDL_##name) *name;
    SDL_FUNCTIONS(SDL_MEMBER)
#undef SDL_MEMBER
};

/* false: e names the package to install, or the function an old SDL lacks. */
bool sdl_lib_load(struct sdl_lib *s, struct err *e);
void sdl_lib_unload(struct sdl_lib *s);

#endif
