/* Fuzz target: VMDK images in one file, and descriptors. See format_fuzz.h for the input. */
#include "tests/fuzz/format_fuzz.h"
#include <stdlib.h>
#include <string.h>

#include "images/vmdk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void descriptor(const uint8_t *data, size_t size)
{
    struct image_options o = {.format = "vmdk", .read_only = true};
    struct vmdk_desc d;
    struct err e = {""};
    char *text = calloc(1, size + 32);

    if (!text)
        abort();
    memcpy(text, data, size);
    if (!vmdk_parse("x", text, &d, &e) && (!e.msg[0] || strchr(e.msg, '\n')))
        abort();
    free(d.lines);
    strcpy(text, "# Disk DescriptorFile");
    text[21] = '\n';
    if (size > 22)
        memcpy(text + 22, data + 22, size - 22);
    o.file = mem_image(text, size + 22, size + 22, true);
    image_close(image_open("/nowhere/x", &o, &e));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const options[] = {"subformat=monolithicSparse", "subformat=streamOptimized",
                                          "subformat=monolithicSparse,zeroed_grain=on", NULL};
    static const struct format_fuzz f = {"vmdk", options, 6 << 20, 4 << 20, NULL};

    if (size && data[0] == '#')
        descriptor(data, size);
    return format_fuzz(&f, data, size);
}
