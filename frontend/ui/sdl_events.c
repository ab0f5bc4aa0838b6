/*
 * SDL's events as the window's core has them. See host.h.
 *
 * Waiting is SDL's: under X11 and Wayland it sleeps on the connection, and an event pushed from another thread wakes it.
 * The drivers without a screen (dummy, offscreen) would poll; nothing comes from them, so a semaphore waits instead.
 */
#include <linux/input-event-codes.h>
#include <string.h>

#include "frontend/ui/sdl_keys.h"
#include "frontend/ui/sdl_parts.h"

static struct host_window *find(struct sdl_host *h, uint32_t id)
{
    for (struct host_window *w = h->windows; w; w = w->next)
        if (w->id == id)
            return w;
    return NULL;
}

static unsigned mods_of(unsigned m)
{
    return (m & KMOD_SHIFT ? UI_SHIFT : 0u) | (m & KMOD_CTRL ? UI_CTRL : 0u) | (m & KMOD_LALT ? UI_ALT : 0u) |
           (m & (KMOD_RALT | KMOD_MODE) ? UI_ALTGR : 0u) | (m & KMOD_GUI ? UI_META : 0u);
}

static uint16_t button_of(unsigned b)
{
    static const uint16_t code[] = {0, BTN_LEFT, BTN_MIDDLE, BTN_RIGHT, BTN_SIDE, BTN_EXTRA};

    return b < sizeof code / sizeof code[0] ? code[b] : 0;
}

static enum host_event_type window_type(struct host_window *w, unsigned event)
{
    switch (event) {
    case SDL_WINDOWEVENT_CLOSE: return HOST_CLOSE;
    case SDL_WINDOWEVENT_SIZE_CHANGED:
    case SDL_WINDOWEVENT_DISPLAY_CHANGED: sdl_measure(w); return HOST_RESIZED;
    case SDL_WINDOWEVENT_EXPOSED: return HOST_EXPOSED;
    case SDL_WINDOWEVENT_SHOWN:
    case SDL_WINDOWEVENT_RESTORED: return HOST_SHOWN;
    case SDL_WINDOWEVENT_HIDDEN:
    case SDL_WINDOWEVENT_MINIMIZED: return HOST_HIDDEN;
    case SDL_WINDOWEVENT_FOCUS_GAINED: return HOST_FOCUS;
    case SDL_WINDOWEVENT_FOCUS_LOST: return HOST_BLUR;
    case SDL_WINDOWEVENT_LEAVE: return HOST_LEAVE;
    case SDL_WINDOWEVENT_ENTER:
        w->host->under_pointer = w;
        sdl_apply_pointer(w);
        return HOST_NONE;
    default: return HOST_NONE;
    }
}

static int32_t pixel(const struct host_window *w, int at) { return (int32_t)(at * w->ratio); }

static int32_t notches(float *part, float more)
{
    int32_t whole;

    *part += more;
    whole = (int32_t)*part;
    *part -= (float)whole;
    return whole;
}

static void wheel(struct sdl_host *h, const SDL_MouseWheelEvent *in, struct host_event *e)
{
    struct host_window *w = e->window;
    int x, y;

    h->sdl.GetMouseState(&x, &y);
    e->type = HOST_WHEEL;
    e->wheel = notches(&w->wheel, in->preciseY);
    e->hwheel = notches(&w->hwheel, in->preciseX);
    e->x = pixel(w, x);
    e->y = pixel(w, y);
}

static void key(const SDL_KeyboardEvent *in, struct host_event *e)
{
    SDL_Keycode sym = in->keysym.sym;

    e->type = HOST_KEY;
    e->code = sdl_key_code(in->keysym.scancode);
    e->down = in->type == SDL_KEYDOWN;
    e->repeat = in->repeat;
    e->mods = mods_of(in->keysym.mod);
    e->label = sym > 0 && !(sym & SDLK_SCANCODE_MASK) ? (uint32_t)sym : 0;
}

/* What comes with a window's number. */
static void translate(struct sdl_host *h, const SDL_Event *in, struct host_event *e)
{
    switch (in->type) {
    case SDL_WINDOWEVENT:
        if ((e->window = find(h, in->window.windowID)))
            e->type = window_type(e->window, in->window.event);
        break;
    case SDL_KEYDOWN:
    case SDL_KEYUP:
        if ((e->window = find(h, in->key.windowID)))
            key(&in->key, e);
        break;
    case SDL_TEXTINPUT:
        if ((e->window = find(h, in->text.windowID))) {
            e->type = HOST_TEXT;
            memcpy(h->text, in->text.text, sizeof in->text.text);
            e->text = h->text;
        }
        break;
    case SDL_MOUSEMOTION:
        if ((e->window = find(h, in->motion.windowID))) {
            e->type = HOST_MOTION;
            e->x = pixel(e->window, in->motion.x);
            e->y = pixel(e->window, in->motion.y);
            e->dx = in->motion.xrel;
            e->dy = in->motion.yrel;
        }
        break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        if ((e->window = find(h, in->button.windowID)) && (e->code = button_of(in->button.button))) {
            e->type = HOST_BUTTON;
            e->down = in->type == SDL_MOUSEBUTTONDOWN;
            e->clicks = in->button.clicks;
            e->x = pixel(e->window, in->button.x);
            e->y = pixel(e->window, in->button.y);
        }
        break;
    case SDL_MOUSEWHEEL:
        if ((e->window = find(h, in->wheel.windowID)))
            wheel(h, &in->wheel, e);
        break;
    case SDL_QUIT: e->type = HOST_QUIT; break;
    default:
        if (in->type == h->wake_event)
            e->type = HOST_WAKE;
        break;
    }
    if (e->type != HOST_KEY)
        e->mods = mods_of(h->sdl.GetModState());
}

static bool take(struct sdl_host *h, int ms, SDL_Event *in)
{
    if (!h->deaf)
        return h->sdl.WaitEventTimeout(in, ms);
    if (h->sdl.WaitEventTimeout(in, 0))
        return true;
    if (!ms)
        return false;
    h->sdl.SemWaitTimeout(h->woken, ms < 0 ? SDL_MUTEX_MAXWAIT : (uint32_t)ms);
    return h->sdl.WaitEventTimeout(in, 0);
}

bool sdl_next(struct host *host, int ms, struct host_event *e)
{
    struct sdl_host *h = (struct sdl_host *)host;
    SDL_Event in;

    *e = (struct host_event){.type = HOST_NONE};
    if (!take(h, ms, &in))
        return false;
    translate(h, &in, e);
    return true;
}

void sdl_wake(struct host *host)
{
    struct sdl_host *h = (struct sdl_host *)host;
    SDL_Event e = {.type = h->wake_event};

    h->sdl.PushEvent(&e);
    if (h->deaf)
        h->sdl.SemPost(h->woken);
}
