/*
 * Records that a guest writes and reports, and the judge who looks for them on the disk afterwards.
 *
 *   records write DIR [SECONDS]     in the guest: for ever (or so long), "SYNCED writer number" after each that is safe
 *   records verify DIR <CONSOLE     on the host: DIR is what was on the disk, CONSOLE what the guest said; "LOST ..." lines
 *
 * WRITERS processes each write records of up to 16 KiB, filled from their number, at places of one file that come round
 * again, each with fsync or fdatasync, or O_DSYNC; every NAMED-th one goes to a new file that is renamed over the old,
 * with an fsync of the directory. A record that was reported is there, or a later one in its place. The record after
 * the last reported one may have been under way: its place is not judged.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { WRITERS = 4, PLACES = 96, PLACE = 16384, NAMED = 16, MAGIC = 0x7ec07d01 };

struct record {
    uint32_t magic, writer;
    uint64_t number, len, sum;
    uint8_t data[PLACE - 32];
};

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void record_fill(struct record *r, uint32_t writer, uint64_t number)
{
    uint64_t seed = mix(number * WRITERS + writer + 1);

    memset(r, 0, sizeof *r);
    r->magic = MAGIC;
    r->writer = writer;
    r->number = number;
    r->len = 64 + seed % (sizeof r->data - 64);
    for (uint64_t i = 0; i < r->len; i++) {
        if (i % 8 == 0)
            seed = mix(seed + i + 1);
        r->data[i] = (uint8_t)(seed >> i % 8 * 8);
        r->sum = r->sum * 31 + r->data[i];
    }
}

/* Is it whole, and of this writer? */
static int record_good(const struct record *r, uint32_t writer)
{
    static struct record want;

    if (r->magic != MAGIC || r->writer != writer)
        return 0;
    record_fill(&want, writer, r->number);
    return !memcmp(&want, r, 32 + want.len);
}

static void file_name(char *path, size_t n, const char *dir, uint32_t writer, const char *kind)
{
    snprintf(path, n, "%s/%s%u", dir, kind, writer);
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY);

    if (fd < 0 || fsync(fd))
        die("fsync of the directory");
    close(fd);
}

static void write_named(const char *dir, const struct record *r)
{
    char new[512], path[512];
    int fd;

    file_name(new, sizeof new, dir, r->writer, "new");
    file_name(path, sizeof path, dir, r->writer, "named");
    fd = open(new, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, r, 32 + r->len) != (ssize_t)(32 + r->len) || fsync(fd) || close(fd) || rename(new, path))
        die(path);
    sync_dir(dir);
}

static void write_place(int fd, int dsync, const struct record *r)
{
    off_t at = (off_t)(r->number % PLACES) * PLACE;
    unsigned how = (unsigned)(mix(r->number) % 3);

    if (pwrite(how ? fd : dsync, r, 32 + r->len, at) != (ssize_t)(32 + r->len))
        die("write");
    if ((how == 1 && fsync(fd)) || (how == 2 && fdatasync(fd)))
        die("fsync");
}

/* Goes on after the last record that is in the file of names or of places. */
static uint64_t last_record(const char *dir, uint32_t writer)
{
    static struct record r;
    uint64_t last = 0;
    char path[512];

    for (int named = 0; named < 2; named++) {
        FILE *f;

        file_name(path, sizeof path, dir, writer, named ? "named" : "places");
        f = fopen(path, "rb");
        for (int i = 0; f && i < (named ? 1 : PLACES); i++) {
            memset(&r, 0, sizeof r);
            if (!fseek(f, (long)i * PLACE, SEEK_SET) && fread(&r, 1, sizeof r, f) >= 32 && record_good(&r, writer) &&
                r.number > last)
                last = r.number;
        }
        if (f)
            fclose(f);
    }
    return last;
}

static void writer(const char *dir, uint32_t me, long seconds)
{
    static struct record r;
    uint64_t number = last_record(dir, me);
    time_t end = time(NULL) + seconds;
    char path[512], line[64];
    int fd, dsync;

    file_name(path, sizeof path, dir, me, "places");
    fd = open(path, O_RDWR | O_CREAT, 0644);
    dsync = open(path, O_RDWR | O_DSYNC);
    if (fd < 0 || dsync < 0 || fsync(fd))
        die(path);
    sync_dir(dir);
    while (!seconds || time(NULL) < end) {
        record_fill(&r, me, ++number);
        if (number % NAMED)
            write_place(fd, dsync, &r);
        else
            write_named(dir, &r);
        snprintf(line, sizeof line, "SYNCED %u %llu\n", me, (unsigned long long)number);
        if (write(1, line, strlen(line)) < 0)
            die("console");
        tcdrain(1); /* said before the next is begun: the judge knows of one record under way, no more */
    }
    exit(0);
}

static int lost(uint32_t w, uint64_t number, const char *where, const struct record *r)
{
    printf("LOST writer %u record %llu, which was synced: %s holds ", w, (unsigned long long)number, where);
    if (record_good(r, w))
        printf("record %llu\n", (unsigned long long)r->number);
    else
        printf("no record\n");
    return 1;
}

static int verify_writer(const char *dir, uint32_t w, uint64_t synced)
{
    static struct record r;
    uint64_t oldest = synced >= PLACES ? synced - PLACES + 1 : 1, last_named = synced / NAMED * NAMED;
    char path[512];
    int bad = 0;
    FILE *f;

    file_name(path, sizeof path, dir, w, "places");
    f = fopen(path, "rb");
    for (uint64_t i = oldest; i <= synced; i++) {
        if (i % NAMED == 0 || (synced + 1) % PLACES == i % PLACES)
            continue; /* in a file of its own; under way */
        memset(&r, 0, sizeof r);
        if (!f || fseek(f, (long)(i % PLACES) * PLACE, SEEK_SET) || fread(&r, 1, sizeof r, f) < 32 ||
            !record_good(&r, w) || r.number < i)
            bad += lost(w, i, path, &r);
    }
    if (f)
        fclose(f);
    if (!last_named)
        return bad;
    file_name(path, sizeof path, dir, w, "named");
    memset(&r, 0, sizeof r);
    f = fopen(path, "rb");
    if (!f || fread(&r, 1, sizeof r, f) < 32 || !record_good(&r, w) || r.number < last_named)
        bad += lost(w, last_named, path, &r);
    if (f)
        fclose(f);
    return bad;
}

static int verify(const char *dir)
{
    uint64_t synced[WRITERS] = {0}, total = 0;
    char line[256];
    int bad = 0;

    while (fgets(line, sizeof line, stdin)) {
        unsigned w;
        unsigned long long number;
        const char *at = strstr(line, "SYNCED ");

        if (at && strchr(at, '\n') && sscanf(at, "SYNCED %u %llu", &w, &number) == 2 && w < WRITERS &&
            number > synced[w])
            synced[w] = number;
    }
    for (uint32_t w = 0; w < WRITERS; w++) {
        total += synced[w];
        bad += verify_writer(dir, w, synced[w]);
    }
    printf("%llu records synced, %d lost\n", (unsigned long long)total, bad);
    return bad != 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "verify"))
        return verify(argv[2]);
    if (argc < 3 || strcmp(argv[1], "write") != 0)
        return 2;
    for (uint32_t w = 0; w < WRITERS; w++)
        if (!fork())
            writer(argv[2], w, argc > 3 ? atol(argv[3]) : 0);
    while (wait(NULL) > 0)
        continue;
    return 0;
}
