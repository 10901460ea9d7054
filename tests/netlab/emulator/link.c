// SPDX-License-Identifier: Apache-2.0
#include "tests/netlab/emulator/link.h"

#include <stdlib.h>

// A packet in front of the bottleneck or on it.
struct waiting {
    int64_t through_ns;
    int64_t bytes;
};

struct dk_link {
    struct dk_link_settings settings;
    struct dk_shaper shaper;
    struct dk_dice loss, jitter, reorder, duplicate;
    int64_t now_ns, last_due_ns;

    struct waiting queue[DK_LINK_PACKETS]; // a ring
    size_t queue_first, queue_count;
    int64_t queue_bytes;

    struct dk_delivery heap[DK_LINK_PACKETS]; // the next one first
    size_t heap_count;
    uint64_t order;
};

enum dk_err dk_link_new(const struct dk_link_settings *settings, int64_t start_ns, struct dk_link **out,
                        struct dk_fault *fault)
{
    struct dk_link *link = calloc(1, sizeof *link);
    uint64_t seed = settings->shaper.seed;

    if (link == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, "link", NULL, "no memory for a link");
    link->settings = *settings;
    link->shaper = dk_shaper_make(&settings->shaper, start_ns);
    link->loss = dk_dice_make(seed, 'l');
    link->jitter = dk_dice_make(seed, 'j');
    link->reorder = dk_dice_make(seed, 'r');
    link->duplicate = dk_dice_make(seed, 'd');
    link->now_ns = start_ns;
    *out = link;
    return DK_OK;
}

void dk_link_free(struct dk_link *link)
{
    free(link);
}

static bool earlier(const struct dk_delivery *a, const struct dk_delivery *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void heap_push(struct dk_link *link, const struct dk_delivery *delivery)
{
    size_t at = link->heap_count++;

    for (; at > 0 && earlier(delivery, &link->heap[(at - 1) / 2]); at = (at - 1) / 2)
        link->heap[at] = link->heap[(at - 1) / 2];
    link->heap[at] = *delivery;
}

static void heap_pop(struct dk_link *link)
{
    const struct dk_delivery last = link->heap[--link->heap_count];
    size_t at = 0;

    for (size_t child = 1; child < link->heap_count; child = at * 2 + 1) {
        if (child + 1 < link->heap_count && earlier(&link->heap[child + 1], &link->heap[child]))
            child++;
        if (!earlier(&link->heap[child], &last))
            break;
        link->heap[at] = link->heap[child];
        at = child;
    }
    link->heap[at] = last;
}

// Forgets what is through the bottleneck.
static void drain_queue(struct dk_link *link)
{
    while (link->queue_count > 0 && link->queue[link->queue_first].through_ns <= link->now_ns) {
        link->queue_bytes -= link->queue[link->queue_first].bytes;
        link->queue_first = (link->queue_first + 1) % DK_LINK_PACKETS;
        link->queue_count--;
    }
}

// Passes the bottleneck; returns when.
static int64_t enqueue(struct dk_link *link, int64_t bytes, int32_t *moments)
{
    int64_t through_ns = dk_shaper_serve(&link->shaper, link->now_ns, bytes, moments);
    size_t at = (link->queue_first + link->queue_count++) % DK_LINK_PACKETS;

    link->queue[at] = (struct waiting){through_ns, bytes};
    link->queue_bytes += bytes;
    return through_ns;
}

enum dk_fate dk_link_offer(struct dk_link *link, int64_t now_ns, struct dk_packet packet)
{
    const struct dk_link_settings *to = &link->settings;
    int64_t bytes = packet.ip_bytes + to->overhead_bytes;

    if (now_ns > link->now_ns)
        link->now_ns = now_ns;
    drain_queue(link);
    if (dk_dice_chance(&link->loss, to->loss_ppm))
        return DK_FATE_LOST;
    if (link->queue_count > 0 && link->queue_bytes + bytes > to->queue_bytes)
        return DK_FATE_QUEUE_FULL;
    if (link->heap_count == DK_LINK_PACKETS || link->queue_count == DK_LINK_PACKETS)
        return DK_FATE_NO_ROOM;

    struct dk_delivery delivery = {.order = link->order++, .packet = packet, .copies = 1};

    delivery.due_ns = enqueue(link, bytes, &delivery.moments) + to->delay_ns;
    if (to->jitter_ns > 0)
        delivery.due_ns += dk_dice_between(&link->jitter, 0, to->jitter_ns);
    if (delivery.due_ns < link->last_due_ns)
        delivery.due_ns = link->last_due_ns;
    link->last_due_ns = delivery.due_ns;
    if (dk_dice_chance(&link->reorder, to->reorder_ppm))
        delivery.due_ns += to->reorder_ns;
    delivery.copies += dk_dice_chance(&link->duplicate, to->duplicate_ppm);
    heap_push(link, &delivery);
    return DK_FATE_TAKEN;
}

int64_t dk_link_due_ns(const struct dk_link *link)
{
    return link->heap_count > 0 ? link->heap[0].due_ns : INT64_MAX;
}

bool dk_link_take(struct dk_link *link, int64_t now_ns, struct dk_delivery *out)
{
    if (link->heap_count == 0 || link->heap[0].due_ns > now_ns)
        return false;
    *out = link->heap[0];
    heap_pop(link);
    return true;
}

int64_t dk_link_queue_bytes(const struct dk_link *link, int64_t now_ns)
{
    int64_t bytes = link->queue_bytes;

    for (size_t i = 0; i < link->queue_count; i++) {
        const struct waiting *packet = &link->queue[(link->queue_first + i) % DK_LINK_PACKETS];

        if (packet->through_ns > now_ns)
            break;
        bytes -= packet->bytes;
    }
    return bytes;
}

size_t dk_link_count(const struct dk_link *link)
{
    return link->heap_count;
}
