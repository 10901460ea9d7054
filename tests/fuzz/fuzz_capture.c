// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probes/capture/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_direction(const struct dk_direction *d)
{
    if (d->retransmissions + d->out_of_order > d->packets || d->duplicate_acks > d->packets ||
        d->data_packets > d->packets || d->retransmitted_bytes > d->payload_bytes || d->last_ns < d->first_ns)
        abort();
}

// Headers alone say what the whole frame says; of what contradicts itself only that it cannot be read.
static void check_headers(const uint8_t *data, size_t size)
{
    for (int link = DK_LINK_ETHERNET; link <= DK_LINK_LOOPBACK; link++) {
        struct dk_packet whole, cut;
        struct dk_frame frame = {data, size, (int64_t)size, 1};
        enum dk_packet_kind kind = dk_packet_read((enum dk_link_layer)link, &frame, &whole);

        if (whole.header_bytes > size)
            abort();
        frame.captured_bytes = whole.header_bytes;
        if (dk_packet_read((enum dk_link_layer)link, &frame, &cut) != kind && kind != DK_PACKET_MALFORMED)
            abort();
        if (kind != DK_PACKET_MALFORMED &&
            (cut.payload_bytes != whole.payload_bytes || cut.ip_bytes != whole.ip_bytes ||
             cut.sequence != whole.sequence || cut.sack_count != whole.sack_count))
            abort();
    }
}

// A capture file, whatever it says: each frame is counted once, and no figure is more than the frames it is of.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[] = "/proc/self/fd/2147483647";
    struct dk_flows flows = {0};
    struct dk_capture_file file;
    int64_t kinds = 0, tcp = 0;
    int memory = memfd_create("capture", MFD_CLOEXEC);

    check_headers(data, size);
    if (memory < 0 || write(memory, data, size) != (ssize_t)size || lseek(memory, 0, SEEK_SET) != 0)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    // Few flows, so that their maximum is reached too.
    if (dk_flows_init(&flows, 8, "10.77.2.1", NULL) != DK_OK)
        abort();
    if (dk_capture_file_read(path, &flows, &file, NULL) == DK_OK) {
        for (int kind = 0; kind < DK_PACKET_KINDS; kind++)
            kinds += flows.totals.kinds[kind];
        for (size_t i = 0; i < flows.count; i++)
            for (int k = 0; k < 2; k++) {
                struct dk_rtt_figures figures;
                struct dk_direction *d = &flows.flows[i].from[k];

                check_direction(d);
                tcp += d->packets;
                dk_rtt_figures(&d->rtt_ack, &figures);
                if (figures.count > 0 && (figures.min_ns < 0 || figures.median_ns > figures.max_ns))
                    abort();
            }
        if (kinds != flows.totals.frames || flows.totals.server_bytes > flows.totals.ip_bytes ||
            tcp + flows.totals.untracked_packets != flows.totals.kinds[DK_PACKET_TCP])
            abort();
    }
    dk_flows_free(&flows);
    close(memory);
    return 0;
}
