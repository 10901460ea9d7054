// SPDX-License-Identifier: Apache-2.0
#include "tests/netlab/emulator/wire.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "tests/netlab/emulator/frame.h"
#include "tests/netlab/emulator/port.h"

#define BIN_NS (10 * DK_NS_PER_MS)
// A sleeper is woken late by about this much. So a packet that is due is awaited awake for the last bit.
#define WAKE_NS (50 * DK_NS_PER_US)

enum {
    SLOT_BYTES = 1536, // offload header and a frame of the usual MTU
    SLOTS = DK_DIRECTIONS * (DK_LINK_PACKETS + DK_PORT_BATCH),
    TURN_FRAMES = 8 * DK_PORT_BATCH, // read from one interface before packets that are due go out
    OFFLOAD = DK_PORT_OFFLOAD_BYTES,
    CHECKSUM_IN_TCP = 16,
    ROWS_BYTES = 1 << 16,
};

const char *const dk_direction_names[DK_DIRECTIONS] = {"down", "up"};

struct slot {
    uint32_t len;
    uint8_t data[SLOT_BYTES];
};

struct way {
    int in, out; // sockets
    struct dk_link *link;
    struct dk_delivery unsent[DK_PORT_BATCH]; // taken from the link; `copies` is what is left to send
    int32_t copy[DK_PORT_BATCH];              // number of the next copy
    int unsent_count;
    struct dk_account bin, total;
};

struct dk_wire {
    struct dk_wire_settings settings;
    int sockets[DK_DIRECTIONS]; // the one that its direction comes from
    int epoll;
    struct way ways[DK_DIRECTIONS];
    struct dk_inbox *inbox;
    struct slot *slots;
    uint32_t *free_slots; // a stack: the ones used last are still in the cache
    size_t free_count;
    struct dk_mono start, bin_start;
    int64_t wall_to_mono_ns;
};

static void read_wall_offset(struct dk_wire *wire)
{
    struct dk_mono before = dk_mono_now();
    struct dk_wall wall = dk_wall_now();
    int64_t took_ns = dk_mono_diff_ns(dk_mono_now(), before);

    // A reading that was interrupted is worse than the last one.
    if (took_ns < 2 * DK_NS_PER_US || wire->wall_to_mono_ns == 0)
        wire->wall_to_mono_ns = before.ns + took_ns / 2 - wall.ns;
}

static enum dk_err open_sockets(struct dk_wire *wire, struct dk_fault *fault)
{
    const struct dk_wire_settings *to = &wire->settings;
    enum dk_err err = dk_port_open(to->server_interface, &wire->sockets[DK_DOWN], fault);

    if (err == DK_OK)
        err = dk_port_open(to->agent_interface, &wire->sockets[DK_UP], fault);
    if (err != DK_OK)
        return err;
    wire->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < DK_DIRECTIONS; i++) {
        struct epoll_event event = {.events = EPOLLIN};

        wire->ways[i].in = wire->sockets[i];
        wire->ways[i].out = wire->sockets[DK_DIRECTIONS - 1 - i];
        if (wire->epoll < 0 || epoll_ctl(wire->epoll, EPOLL_CTL_ADD, wire->sockets[i], &event) != 0)
            return dk_fail(fault, DK_ERR_IO, "epoll", NULL, "cannot watch the interfaces");
    }
    return DK_OK;
}

enum dk_err dk_wire_new(const struct dk_wire_settings *settings, struct dk_wire **out, struct dk_fault *fault)
{
    dk_auto(wire) struct dk_wire *wire = calloc(1, sizeof *wire);

    if (wire == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, "wire", NULL, "no memory");
    wire->settings = *settings;
    wire->epoll = wire->sockets[DK_DOWN] = wire->sockets[DK_UP] = -1;
    wire->slots = calloc(SLOTS, sizeof *wire->slots);
    wire->free_slots = calloc(SLOTS, sizeof *wire->free_slots);
    if (wire->slots == NULL || wire->free_slots == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, "wire", NULL, "no memory for packets");
    for (; wire->free_count < SLOTS; wire->free_count++)
        wire->free_slots[wire->free_count] = (uint32_t)(SLOTS - 1 - wire->free_count);

    enum dk_err err = dk_inbox_new(&wire->inbox, fault);

    wire->start = wire->bin_start = dk_mono_now();
    for (int i = 0; i < DK_DIRECTIONS && err == DK_OK; i++)
        err = dk_link_new(&settings->links[i], wire->start.ns, &wire->ways[i].link, fault);
    if (err == DK_OK)
        err = open_sockets(wire, fault);
    if (err != DK_OK)
        return err;
    read_wall_offset(wire);
    *out = wire;
    wire = NULL;
    return DK_OK;
}

void dk_wire_free(struct dk_wire *wire)
{
    if (wire == NULL)
        return;
    for (int i = 0; i < DK_DIRECTIONS; i++) {
        dk_link_free(wire->ways[i].link);
        if (wire->sockets[i] >= 0)
            close(wire->sockets[i]);
    }
    if (wire->epoll >= 0)
        close(wire->epoll);
    dk_inbox_free(wire->inbox);
    free(wire->slots);
    free(wire->free_slots);
    free(wire);
}

struct dk_mono dk_wire_start(const struct dk_wire *wire)
{
    return wire->start;
}

const struct dk_account *dk_wire_total(const struct dk_wire *wire, enum dk_direction direction)
{
    return &wire->ways[direction].total;
}

int64_t dk_wire_held(const struct dk_wire *wire, enum dk_direction direction)
{
    const struct way *way = &wire->ways[direction];
    int64_t held = (int64_t)dk_link_count(way->link);

    // One whose duplicate alone is left to send has been delivered.
    for (int i = 0; i < way->unsent_count; i++)
        held += way->copy[i] == 0;
    return held;
}

// Offers a packet; the slot to fill when it was taken, NULL when it was dropped.
static struct slot *offer(struct dk_wire *wire, struct way *way, int64_t came_ns, int32_t ip_bytes,
                          int32_t payload_bytes)
{
    enum dk_fate fate = DK_FATE_NO_ROOM;
    uint32_t slot = 0;

    if (wire->free_count > 0) {
        slot = wire->free_slots[wire->free_count - 1];
        fate = dk_link_offer(way->link, came_ns, (struct dk_packet){slot, ip_bytes, payload_bytes});
    }
    dk_account_offer(&way->bin, fate);
    if (fate != DK_FATE_TAKEN)
        return NULL;
    wire->free_count--;
    return &wire->slots[slot];
}

static void offer_segments(struct dk_wire *wire, struct way *way, const struct dk_port_frame *in,
                           const struct dk_frame *frame, int32_t segment_bytes)
{
    struct virtio_net_hdr offload = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                     .csum_start = (uint16_t)frame->tcp_at,
                                     .csum_offset = CHECKSUM_IN_TCP};
    int32_t headers = frame->ip_bytes - frame->payload_bytes;
    int32_t count = dk_frame_segments(frame, segment_bytes);

    for (int32_t i = 0; i < count; i++) {
        int32_t left = frame->payload_bytes - i * segment_bytes;
        int32_t payload = left < segment_bytes ? left : segment_bytes;
        struct slot *slot = offer(wire, way, in->came_ns, headers + payload, payload);

        if (slot == NULL)
            continue;
        memcpy(slot->data, &offload, OFFLOAD);
        slot->len = (uint32_t)(OFFLOAD + dk_frame_segment(in->data + OFFLOAD, frame, segment_bytes, i,
                                                          slot->data + OFFLOAD, SLOT_BYTES - OFFLOAD));
    }
}

static void take_frame(struct dk_wire *wire, struct way *way, const struct dk_port_frame *in)
{
    struct virtio_net_hdr offload;
    struct dk_frame frame;

    if (in->len < OFFLOAD || !dk_frame_read(in->data + OFFLOAD, in->len - OFFLOAD, &frame)) {
        dk_account_offer(&way->bin, DK_FATE_NO_ROOM);
        return;
    }
    if (!frame.ip) {
        (void)dk_port_send(way->out, &(struct iovec){(void *)(uintptr_t)in->data, in->len}, 1);
        return;
    }
    memcpy(&offload, in->data, OFFLOAD);

    int type = offload.gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
    bool tcp = type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6;

    if (tcp && frame.tcp && offload.gso_size > 0 &&
        frame.payload_at + offload.gso_size <= SLOT_BYTES - OFFLOAD) {
        offer_segments(wire, way, in, &frame, offload.gso_size);
    } else if (type == VIRTIO_NET_HDR_GSO_NONE && OFFLOAD + frame.len <= SLOT_BYTES) {
        struct slot *slot = offer(wire, way, in->came_ns, frame.ip_bytes, frame.payload_bytes);

        if (slot != NULL) {
            slot->len = (uint32_t)(OFFLOAD + frame.len);
            memcpy(slot->data, in->data, slot->len);
        }
    } else {
        dk_account_offer(&way->bin, DK_FATE_NO_ROOM);
    }
}

// Reads what has come; returns how many frames.
static int receive(struct dk_wire *wire, struct way *way)
{
    struct dk_port_frame frames[DK_PORT_BATCH];
    int total = 0, count;

    do {
        count = dk_port_receive(way->in, wire->inbox, DK_PORT_BATCH, frames);

        int64_t now_ns = dk_mono_now().ns;

        for (int i = 0; i < count; i++) {
            int64_t came_ns = frames[i].came_ns + wire->wall_to_mono_ns;

            // Without a stamp, or when somebody set the wall clock, the time of reading has to do.
            if (frames[i].came_ns == 0 || came_ns > now_ns || came_ns < now_ns - DK_NS_PER_S)
                came_ns = now_ns;
            frames[i].came_ns = came_ns;
            take_frame(wire, way, &frames[i]);
        }
        total += count;
    } while (count == DK_PORT_BATCH && total < TURN_FRAMES);
    return total;
}

// Counts the first `sent` of the unsent as sent (or, refused, as dropped) and keeps the rest.
static void settle(struct dk_wire *wire, struct way *way, int64_t before_ns, int sent, bool refused)
{
    int64_t took_ns = dk_mono_now().ns - before_ns;
    int kept = 0;

    for (int i = 0; i < way->unsent_count; i++) {
        struct dk_delivery *delivery = &way->unsent[i];

        if (i < sent) {
            if (refused)
                way->bin.emulator++;
            else
                // The far end has a packet before the call returns, which is busy with its reception by then.
                dk_account_delivery(&way->bin, delivery, way->copy[i], before_ns + took_ns * i / sent);
            way->copy[i]++;
            if (way->copy[i] == delivery->copies) {
                wire->free_slots[wire->free_count++] = delivery->packet.handle;
                continue;
            }
        }
        way->unsent[kept] = *delivery;
        way->copy[kept++] = way->copy[i];
    }
    way->unsent_count = kept;
}

// Hands on what is due; returns how many packets.
static int deliver(struct dk_wire *wire, struct way *way)
{
    struct iovec buffers[DK_PORT_BATCH];
    int total = 0;

    for (;;) {
        int64_t now_ns = dk_mono_now().ns;

        while (way->unsent_count < DK_PORT_BATCH &&
               dk_link_take(way->link, now_ns, &way->unsent[way->unsent_count]))
            way->copy[way->unsent_count++] = 0;
        if (way->unsent_count == 0)
            return total;
        for (int i = 0; i < way->unsent_count; i++) {
            struct slot *slot = &wire->slots[way->unsent[i].packet.handle];

            buffers[i] = (struct iovec){slot->data, slot->len};
        }

        int64_t before_ns = dk_mono_now().ns;
        int sent = dk_port_send(way->out, buffers, way->unsent_count);

        settle(wire, way, before_ns, sent < 0 ? 1 : sent, sent < 0);
        if (sent == 0)
            return total;
        total += sent < 0 ? 1 : sent;
    }
}

static enum dk_err write_rows(struct dk_wire *wire, const struct dk_buf *rows, struct dk_fault *fault)
{
    FILE *csv = wire->settings.csv;

    if (csv != NULL && (fwrite(dk_buf_text(rows), 1, rows->len, csv) != rows->len || fflush(csv) != 0))
        return dk_fail(fault, DK_ERR_IO, "CSV file", "make room on the disk", "cannot be written");
    return DK_OK;
}

// Closes the bins that have ended. *closed says if there was one.
static enum dk_err close_bins(struct dk_wire *wire, bool *closed, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf rows = dk_buf_make(ROWS_BYTES);
    struct dk_mono now = dk_mono_now();
    enum dk_err err = DK_OK;

    *closed = false;
    while (err == DK_OK && dk_mono_diff_ns(now, wire->bin_start) >= BIN_NS) {
        struct dk_mono end = dk_mono_add_ns(wire->bin_start, BIN_NS);

        for (int i = 0; i < DK_DIRECTIONS && err == DK_OK; i++) {
            struct way *way = &wire->ways[i];
            int64_t dropped = dk_port_dropped(way->in);

            way->bin.emulator += dropped;
            way->bin.offered += dropped;
            err = dk_account_row(&way->bin, wire->bin_start.ns, dk_direction_names[i],
                                 dk_link_queue_bytes(way->link, end.ns), &rows);
            dk_account_add(&way->total, &way->bin);
            way->bin = (struct dk_account){0};
        }
        if (err == DK_OK)
            err = write_rows(wire, &rows, fault);
        rows.len = 0;
        wire->bin_start = end;
        *closed = true;
    }
    if (*closed)
        read_wall_offset(wire);
    return err;
}

static struct timespec to_timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / DK_NS_PER_S, .tv_nsec = ns % DK_NS_PER_S};
}

// Waits for the grain to pass with traffic; without, for a frame, a packet that is due or the end of the bin.
static void wait_for_work(struct dk_wire *wire, struct dk_mono turn, bool busy)
{
    if (busy) {
        struct timespec until = to_timespec(turn.ns + wire->settings.grain_ns);

        // Interrupted or not, the loop looks again.
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        return;
    }

    int64_t due_ns = INT64_MAX, bin_end_ns = wire->bin_start.ns + BIN_NS;

    for (int i = 0; i < DK_DIRECTIONS; i++)
        if (dk_link_due_ns(wire->ways[i].link) < due_ns)
            due_ns = dk_link_due_ns(wire->ways[i].link);

    int64_t now_ns = dk_mono_now().ns;
    int64_t wait_ns = (due_ns - WAKE_NS < bin_end_ns ? due_ns - WAKE_NS : bin_end_ns) - now_ns;
    struct timespec timeout = to_timespec(wait_ns > 0 ? wait_ns : 0);
    struct epoll_event event;

    if (epoll_pwait2(wire->epoll, &event, 1, &timeout, NULL) == 0 && due_ns - dk_mono_now().ns < WAKE_NS)
        while (dk_mono_now().ns < due_ns)
            ;
}

enum dk_err dk_wire_run(struct dk_wire *wire, int signals, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf header = dk_buf_make(ROWS_BYTES);
    enum dk_err err = dk_account_header(&header);

    if (err == DK_OK)
        err = write_rows(wire, &header, fault);
    while (err == DK_OK) {
        struct dk_mono turn = dk_mono_now();
        bool closed = false;
        char signal_info[128];
        int work = 0;

        for (int i = 0; i < DK_DIRECTIONS; i++)
            work += receive(wire, &wire->ways[i]);
        for (int i = 0; i < DK_DIRECTIONS; i++)
            work += deliver(wire, &wire->ways[i]);
        err = close_bins(wire, &closed, fault);
        if (closed && read(signals, signal_info, sizeof signal_info) > 0) {
            for (int i = 0; i < DK_DIRECTIONS; i++)
                dk_account_add(&wire->ways[i].total, &wire->ways[i].bin);
            return err;
        }
        wait_for_work(wire, turn, work > 0);
    }
    return err;
}
