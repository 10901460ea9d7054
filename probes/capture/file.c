// SPDX-License-Identifier: Apache-2.0
#include "probes/capture/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "probes/capture/library.h"

static const struct dk_pcap *pcap; // set by the first file

static void close_capture(pcap_t **capture)
{
    if (*capture != NULL)
        pcap->close(*capture);
}

bool dk_capture_built_in(void)
{
    return true;
}

static enum dk_err open_file(const char *path, pcap_t **out, struct dk_fault *fault)
{
    char why[PCAP_ERRBUF_SIZE] = "";
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");

    pcap = dk_pcap_library();
    if (pcap == NULL) {
        if (file != NULL && file != stdin)
            fclose(file);
        return dk_fail(fault, DK_ERR_NO_INPUT, "libpcap", "install the package libpcap0.8", "is not installed");
    }
    if (file == NULL)
        return dk_fail(fault, dk_err_from_errno(errno), path, NULL, "cannot be opened: %s", strerror(errno));
    *out = pcap->fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, why);
    if (*out == NULL) {
        if (file != stdin)
            fclose(file);
        return dk_fail(fault, DK_ERR_DATA, path, "give a pcap file, as tcpdump -w makes it", "not a capture: %s", why);
    }
    return DK_OK;
}

static enum dk_err read_frames(pcap_t *capture, enum dk_link_layer link, struct dk_flows *flows,
                               struct dk_capture_file *out)
{
    const u_char *bytes = NULL;
    struct pcap_pkthdr *header = NULL;
    enum dk_err err = DK_OK;
    int got = 0;

    while (err == DK_OK && (got = pcap->next_ex(capture, &header, &bytes)) == 1) {
        // A file may say that more was captured than there was.
        struct dk_frame frame = {
            .bytes = bytes,
            .captured_bytes = header->caplen,
            .wire_bytes = header->len > header->caplen ? header->len : header->caplen,
            // With this precision tv_usec holds ns. Whatever the file says, times stay far from overflow.
            .time_ns = (header->ts.tv_sec & UINT32_MAX) * DK_NS_PER_S + header->ts.tv_usec % DK_NS_PER_S,
        };

        err = dk_flows_add(flows, link, &frame);
    }
    if (err == DK_OK && got == PCAP_ERROR)
        snprintf(out->cut, sizeof out->cut, "%s", pcap->geterr(capture));
    return err;
}

enum dk_err dk_capture_file_read(const char *path, struct dk_flows *flows, struct dk_capture_file *out,
                                 struct dk_fault *fault)
{
    __attribute__((cleanup(close_capture))) pcap_t *capture = NULL;
    enum dk_link_layer link;
    enum dk_err err = open_file(path, &capture, fault);

    if (err != DK_OK)
        return err;

    int number = pcap->datalink(capture);
    const char *name = pcap->datalink_val_to_name(number);

    *out = (struct dk_capture_file){.snap_bytes = pcap->snapshot(capture)};
    snprintf(out->link, sizeof out->link, "%s", name != NULL ? name : "unknown");
    if (!dk_link_layer_find(number, &link))
        return dk_fail(fault, DK_ERR_DATA, path, "capture on Ethernet, Wi-Fi, wwan, tun, lo or any",
                       "frames of link layer %d (%s), which dokiem cannot read", number, out->link);
    err = read_frames(capture, link, flows, out);
    return err == DK_OK ? DK_OK : dk_fail(fault, err, path, NULL, "out of memory");
}
