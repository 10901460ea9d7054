// SPDX-License-Identifier: Apache-2.0
#include "probes/capture/live.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/clock.h"
#include "probes/capture/evidence.h"
#include "probes/capture/flows.h"
#include "probes/capture/library.h"
#include "probes/capture/wire.h"

enum {
    SNAP_BYTES = 160,        // link, VLAN tag, IPv6 and TCP with all their usual options
    BUFFER_BYTES = 8 << 20,  // 0.3 s of 1 Gb/s
    READ_INTERVAL_MS = 20,   // the kernel hands over what it has this often at the least
    OTHER_SNAP_BYTES = 1,    // of what is not the test's own, to have its length
    OTHER_MAX_BYTES = 17,    // with the header that libpcap makes on a cooked link; the test's own have more
    FILTER_SIZE = 64 + DK_ADDRESS_SIZE,
};

static const struct dk_pcap *pcap; // set by the first capture

struct dk_live {
    struct dk_loop *loop;
    pcap_t *capture; // owned
    int fd;          // of the capture, on the loop; -1 when not
    enum dk_link_layer link;
    struct dk_flows flows;
    int64_t other_packets, other_bytes;
    struct dk_wire_evidence evidence;
    struct dk_mono begun;
    enum dk_err err; // the first; nothing is taken in after it
    char interface[IF_NAMESIZE];
    char reason[DK_REASON_SIZE]; // why the capture broke off; "" when it did not
};

static void keep_headers(struct dk_live *live, const struct dk_frame *frame, size_t header_bytes)
{
    struct dk_wire_evidence *evidence = &live->evidence;
    enum dk_err err = dk_evidence_add(frame, header_bytes, &evidence->pcap);

    if (err == DK_OK)
        evidence->packets++;
    else if (err == DK_ERR_DATA)
        evidence->complete = false; // it is full
    else
        live->err = err;
}

static void take_frame(u_char *user, const struct pcap_pkthdr *header, const u_char *bytes)
{
    struct dk_live *live = (struct dk_live *)(void *)user;
    struct dk_frame frame = {bytes, header->caplen, header->len > header->caplen ? header->len : header->caplen,
                             header->ts.tv_sec * DK_NS_PER_S + header->ts.tv_usec};

    struct dk_packet packet;
    enum dk_packet_kind kind = dk_packet_read(live->link, &frame, &packet);

    if (live->err != DK_OK)
        return;
    // What came before the filter was set is here whole.
    if (frame.captured_bytes <= OTHER_MAX_BYTES ||
        (packet.ip_version != 0 && !dk_flows_is_servers(&live->flows, &packet))) {
        live->other_packets++;
        live->other_bytes += frame.wire_bytes;
        return;
    }
    live->err = dk_flows_take(&live->flows, &frame, kind, &packet);
    if (live->err == DK_OK && live->evidence.complete)
        keep_headers(live, &frame, packet.header_bytes);
}

static void stop_watching(struct dk_live *live)
{
    if (live->fd >= 0)
        dk_loop_unwatch(live->loop, live->fd);
    live->fd = -1;
}

static void on_ready(void *argument, short events)
{
    struct dk_live *live = argument;

    (void)events;
    if (pcap->dispatch(live->capture, -1, take_frame, (u_char *)live) != PCAP_ERROR)
        return;
    snprintf(live->reason, sizeof live->reason, "the capture broke off: %.150s", pcap->geterr(live->capture));
    stop_watching(live);
}

static void refuse(struct dk_wire *wire, const char *what, const char *why)
{
    wire->status = DK_STATUS_NOT_MEASURED;
    snprintf(wire->reason, sizeof wire->reason, "%.90s%.100s", what, why);
}

static bool set_filter(pcap_t *capture, const char *server)
{
    char text[FILTER_SIZE];
    struct bpf_program program;

    snprintf(text, sizeof text, "host %s", server);
    if (pcap->compile(capture, &program, text, 1, PCAP_NETMASK_UNKNOWN) != 0)
        return false;

    // What does not match is handed over too, for its length.
    for (u_int i = 0; i < program.bf_len; i++)
        if (program.bf_insns[i].code == (BPF_RET | BPF_K) && program.bf_insns[i].k == 0)
            program.bf_insns[i].k = OTHER_SNAP_BYTES;

    int result = pcap->setfilter(capture, &program);

    pcap->freecode(&program);
    return result == 0;
}

// Opens the interface; false with the reason in `wire`.
static bool open_interface(struct dk_live *live, const char *interface, const char *server, struct dk_wire *wire)
{
    char why[PCAP_ERRBUF_SIZE] = "";

    pcap = dk_pcap_library();
    if (pcap == NULL) {
        refuse(wire, "no capture: ", "libpcap is not installed");
        return false;
    }
    live->capture = pcap->create(interface, why);
    if (live->capture == NULL) {
        refuse(wire, "no capture: ", why);
        return false;
    }
    (void)pcap->set_snaplen(live->capture, SNAP_BYTES);
    (void)pcap->set_buffer_size(live->capture, BUFFER_BYTES);
    (void)pcap->set_timeout(live->capture, READ_INTERVAL_MS);
    (void)pcap->set_tstamp_precision(live->capture, PCAP_TSTAMP_PRECISION_NANO);

    int result = pcap->activate(live->capture);

    if (result == PCAP_ERROR_PERM_DENIED) {
        refuse(wire, "no right to capture; grant it with: ", "setcap cap_net_raw+ep /usr/bin/dokiem");
    } else if (result < 0) {
        refuse(wire, "no capture: ", pcap->geterr(live->capture));
    } else if (!dk_link_layer_find(pcap->datalink(live->capture), &live->link)) {
        refuse(wire, "frames of this link layer cannot be read: ", interface);
    } else if (pcap->get_tstamp_precision(live->capture) != PCAP_TSTAMP_PRECISION_NANO ||
               !set_filter(live->capture, server) || pcap->setnonblock(live->capture, 1, why) != 0 ||
               (live->fd = pcap->get_selectable_fd(live->capture)) < 0) {
        refuse(wire, "no capture: ", why[0] != '\0' ? why : pcap->geterr(live->capture));
    } else {
        return true;
    }
    return false;
}

enum dk_err dk_live_open(struct dk_loop *loop, const char *interface, const char *server, int64_t evidence_max_bytes,
                         struct dk_live **out, struct dk_wire *wire)
{
    dk_auto(live) struct dk_live *live = calloc(1, sizeof *live);

    *out = NULL;
    if (live == NULL)
        return DK_ERR_MEMORY;
    live->loop = loop;
    live->fd = -1;
    live->begun = dk_mono_now();
    snprintf(live->interface, sizeof live->interface, "%s", interface);

    enum dk_err err = dk_flows_init(&live->flows, DK_FLOWS_MAX, server, NULL);

    if (err == DK_ERR_USAGE || interface[0] == '\0') {
        refuse(wire, "no capture: ", "the server's address or the interface towards it is not known");
        return DK_OK;
    }
    if (err != DK_OK)
        return err;
    if (!open_interface(live, interface, server, wire))
        return DK_OK;
    if (evidence_max_bytes > 0) {
        live->evidence = (struct dk_wire_evidence){.pcap = dk_buf_make((size_t)evidence_max_bytes), .complete = true};
        err = dk_evidence_begin(live->link, SNAP_BYTES, &live->evidence.pcap);
    }
    if (err == DK_OK)
        err = dk_loop_watch(loop, live->fd, POLLIN, on_ready, live);
    if (err != DK_OK)
        return err;
    *out = live;
    live = NULL;
    return DK_OK;
}

enum dk_err dk_live_conclude(struct dk_live *live, struct dk_wire *wire)
{
    struct pcap_stat stat = {0};

    // What the kernel still holds; it is handed over at the end of an interval at the latest.
    if (live->fd >= 0) {
        struct pollfd ready = {.fd = live->fd, .events = POLLIN};

        for (int i = 0; i < 100 && live->fd >= 0 && poll(&ready, 1, 2 * READ_INTERVAL_MS) > 0; i++)
            on_ready(live, POLLIN);
    }
    stop_watching(live);
    snprintf(wire->interface, sizeof wire->interface, "%s", live->interface);
    wire->duration_ns = dk_mono_diff_ns(dk_mono_now(), live->begun);
    wire->dropped = pcap->stats(live->capture, &stat) == 0 ? (int64_t)stat.ps_drop : -1;
    wire->status = live->reason[0] != '\0' ? DK_STATUS_FAILED : DK_STATUS_OK;
    snprintf(wire->reason, sizeof wire->reason, "%s", live->reason);
    wire->other_packets = live->other_packets;
    wire->other_bytes = live->other_bytes;
    dk_buf_free(&wire->evidence.pcap);
    wire->evidence = live->evidence;
    live->evidence = (struct dk_wire_evidence){0};
    return live->err != DK_OK ? live->err : dk_wire_sum(&live->flows, wire);
}

void dk_live_free(struct dk_live *live)
{
    if (live == NULL)
        return;
    stop_watching(live);
    if (live->capture != NULL)
        pcap->close(live->capture);
    dk_flows_free(&live->flows);
    dk_buf_free(&live->evidence.pcap);
    free(live);
}
