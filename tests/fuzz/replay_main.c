/* Run a fuzz target over the files named, without libFuzzer. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/machine.h"

enum { LONGEST = 64 << 10 };

static bool replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data;
    size_t n;

    if (!f) {
        perror(path);
        return false;
    }
    data = malloc(LONGEST);
    n = data ? fread(data, 1, LONGEST, f) : 0;
    fclose(f);
    /* exactly as long as the input, so that the sanitizer sees a read behind it */
    data = n ? realloc(data, n) : data;
    if (data)
        LLVMFuzzerTestOneInput(data, n);
    free(data);
    return data != NULL;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        fprintf(stderr, "%s\n", argv[i]); /* the last line before a report names the input */
        if (!replay(argv[i]))
            return 1;
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}
