// SPDX-License-Identifier: Apache-2.0
#include "probes/throughput/payload.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

enum dk_err dk_payload_make(struct dk_payload *payload)
{
    *payload = (struct dk_payload){.file = memfd_create("dokiem-payload", MFD_CLOEXEC)};
    if (payload->file >= 0 && ftruncate(payload->file, DK_PAYLOAD_BYTES) != 0)
        return DK_ERR_IO;

    int flags = payload->file >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void *mapped = mmap(NULL, DK_PAYLOAD_BYTES, PROT_READ | PROT_WRITE, flags, payload->file, 0);

    if (mapped == MAP_FAILED)
        return DK_ERR_MEMORY;
    payload->bytes = mapped;
    for (size_t at = 0; at < DK_PAYLOAD_BYTES;) {
        ssize_t got = getrandom(payload->bytes + at, DK_PAYLOAD_BYTES - at, 0);

        if (got < 0)
            return DK_ERR_IO;
        at += (size_t)got;
    }
    return DK_OK;
}

void dk_payload_free(struct dk_payload *payload)
{
    if (payload->bytes != NULL)
        munmap(payload->bytes, DK_PAYLOAD_BYTES);
    if (payload->file >= 0)
        close(payload->file);
    *payload = (struct dk_payload){.file = -1};
}

void dk_payload_copy(const struct dk_payload *payload, size_t *at, char *out, size_t size)
{
    for (size_t given = 0; given < size;) {
        size_t part = DK_PAYLOAD_BYTES - *at;

        if (part > size - given)
            part = size - given;
        memcpy(out + given, payload->bytes + *at, part);
        given += part;
        *at = (*at + part) % DK_PAYLOAD_BYTES;
    }
}
