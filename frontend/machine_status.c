/* What a machine is doing, for somebody on another thread who shows it. */
#include <string.h>

#include "frontend/machine_parts.h"

void machine_watch(struct machine *m, void (*fn)(void *arg), void *arg)
{
    m->watch = fn;
    m->watch_arg = arg;
}

void machine_changed(struct machine *m)
{
    if (m->watch)
        m->watch(m->watch_arg);
}

void machine_off(struct machine *m, bool off, int code)
{
    pthread_mutex_lock(&m->lock);
    m->off = off;
    m->off_code = code;
    pthread_mutex_unlock(&m->lock);
}

void machine_get_status(struct machine *m, struct machine_status *s)
{
    *s = (struct machine_status){.phase = machine_running(m) ? MACHINE_RUNS : MACHINE_STOPPED};
    for (unsigned i = 0; i < m->harts; i++)
        s->executed += __atomic_load_n(&m->hart[i].c->v.icount, __ATOMIC_RELAXED);
    pthread_mutex_lock(&m->lock);
    if (s->phase == MACHINE_STOPPED && m->off) {
        s->phase = MACHINE_OFF;
        s->code = m->off_code;
    } else if (s->phase == MACHINE_STOPPED) {
        memcpy(s->reason, m->stop_reason, sizeof s->reason);
    }
    pthread_mutex_unlock(&m->lock);
}
