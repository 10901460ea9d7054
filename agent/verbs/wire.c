// SPDX-License-Identifier: Apache-2.0
//
// What a packet capture shows, by the analysis that docs/methodology.md describes.
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#include "agent/base/message.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/confine.h"
#include "agent/verbs/summary.h"
#include "agent/verbs/text.h"
#include "agent/verbs/verbs.h"
#include "probes/capture/file.h"
#include "probes/stats.h"

enum { FLOWS_SHOWN = 20 };

static const char *const kind_names[DK_PACKET_KINDS] = {
    [DK_PACKET_TCP] = "tcp",           [DK_PACKET_UDP] = "udp",
    [DK_PACKET_OTHER_IP] = "other_ip", [DK_PACKET_FRAGMENT] = "fragment",
    [DK_PACKET_NOT_IP] = "not_ip",     [DK_PACKET_TRUNCATED] = "truncated",
    [DK_PACKET_MALFORMED] = "malformed"};

// Sums over all flows.
struct sums {
    int64_t retransmissions, retransmitted_bytes, out_of_order, duplicate_acks, acks_of_unseen;
};

static struct sums add_up(const struct dk_flows *flows)
{
    struct sums sums = {0};

    for (size_t i = 0; i < flows->count; i++)
        for (int k = 0; k < 2; k++) {
            const struct dk_direction *d = &flows->flows[i].from[k];

            sums.retransmissions += d->retransmissions;
            sums.retransmitted_bytes += d->retransmitted_bytes;
            sums.out_of_order += d->out_of_order;
            sums.duplicate_acks += d->duplicate_acks;
            sums.acks_of_unseen += d->acks_of_unseen;
        }
    return sums;
}

static void address_text(const struct dk_flow_end *end, char out[static DK_ADDRESS_SIZE])
{
    if (inet_ntop(end->version == 4 ? AF_INET : AF_INET6, end->address, out, DK_ADDRESS_SIZE) == NULL)
        snprintf(out, DK_ADDRESS_SIZE, "?");
}

// A figure that has no value is left out, never 0.
static void put(json_t *object, const char *name, int64_t value)
{
    if (value >= 0)
        json_object_set_new(object, name, json_integer(value));
}

static json_t *rtt_json(struct dk_rtt_samples *samples)
{
    struct dk_rtt_figures figures;
    json_t *object = json_object();

    dk_rtt_figures(samples, &figures);
    put(object, "count", figures.count);
    put(object, "left_out", figures.left_out);
    put(object, "rtt_min_ns", figures.min_ns);
    put(object, "rtt_median_ns", figures.median_ns);
    put(object, "rtt_p95_ns", figures.p95_ns);
    put(object, "rtt_max_ns", figures.max_ns);
    return object;
}

static json_t *ecn_json(const int64_t packets[static 4])
{
    return json_pack("{s:I, s:I, s:I}", "ect0", (json_int_t)packets[DK_ECN_ECT0], "ect1",
                     (json_int_t)packets[DK_ECN_ECT1], "ce", (json_int_t)packets[DK_ECN_CE]);
}

static int64_t rate_of(int64_t bytes, int64_t duration_ns)
{
    int64_t rate_bps = -1;

    return dk_stats_rate_bps(bytes, duration_ns, &rate_bps) ? rate_bps : -1;
}

static json_t *end_json(const struct dk_flow_end *end, struct dk_direction *sent)
{
    char address[DK_ADDRESS_SIZE];
    json_t *object = json_object(), *ecn = ecn_json(sent->ecn_packets);

    address_text(end, address);
    json_object_set_new(object, "address", json_string(address));
    put(object, "port", end->port);
    put(object, "packets", sent->packets);
    put(object, "ip_bytes", sent->ip_bytes);
    put(object, "duration_ns", sent->last_ns - sent->first_ns);
    put(object, "ip_rate_bps", rate_of(sent->ip_bytes, sent->last_ns - sent->first_ns));
    put(object, "data_packets", sent->data_packets);
    put(object, "payload_bytes", sent->payload_bytes);
    put(object, "retransmissions", sent->retransmissions);
    put(object, "retransmitted_bytes", sent->retransmitted_bytes);
    put(object, "out_of_order", sent->out_of_order);
    put(object, "duplicate_acks", sent->duplicate_acks);
    put(object, "acks_of_unseen", sent->acks_of_unseen);
    put(object, "mss_bytes", sent->mss_bytes > 0 ? sent->mss_bytes : -1);
    put(ecn, "ece", sent->ece_packets);
    put(ecn, "cwr", sent->cwr_packets);
    json_object_set_new(object, "ecn", ecn);
    json_object_set_new(object, "rtt_ack", rtt_json(&sent->rtt_ack));
    json_object_set_new(object, "rtt_timestamp", rtt_json(&sent->rtt_timestamp));
    return object;
}

static json_t *flow_json(struct dk_flow *flow)
{
    json_t *object = json_object();

    put(object, "syn_ns", flow->syn_ns);
    put(object, "handshake_ns", flow->handshake_ns);
    json_object_set_new(object, "client", end_json(&flow->ends[0], &flow->from[0]));
    json_object_set_new(object, "server", end_json(&flow->ends[1], &flow->from[1]));
    return object;
}

static json_t *totals_json(const struct dk_flows *flows)
{
    const struct dk_wire_totals *totals = &flows->totals;
    const struct sums sums = add_up(flows);
    json_t *object = json_object(), *kinds = json_object();

    for (int kind = 0; kind < DK_PACKET_KINDS; kind++)
        put(kinds, kind_names[kind], totals->kinds[kind]);
    put(object, "frames", totals->frames);
    put(object, "frame_bytes", totals->frame_bytes);
    json_object_set_new(object, "kinds", kinds);
    put(object, "duration_ns", totals->last_ns - totals->first_ns);
    put(object, "ip_bytes", totals->ip_bytes);
    put(object, "ip_rate_bps", rate_of(totals->ip_bytes, totals->last_ns - totals->first_ns));
    put(object, "tcp_bytes", totals->tcp_bytes);
    put(object, "udp_bytes", totals->udp_bytes);
    if (flows->server.version != 0) {
        put(object, "server_bytes", totals->server_bytes);
        put(object, "other_bytes", totals->ip_bytes - totals->server_bytes);
    }
    put(object, "flows", (int64_t)flows->count);
    put(object, "untracked_packets", totals->untracked_packets);
    put(object, "retransmissions", sums.retransmissions);
    put(object, "retransmitted_bytes", sums.retransmitted_bytes);
    put(object, "out_of_order", sums.out_of_order);
    put(object, "duplicate_acks", sums.duplicate_acks);
    put(object, "acks_of_unseen", sums.acks_of_unseen);
    json_object_set_new(object, "ecn", ecn_json(totals->ecn_packets));
    return object;
}

static enum dk_err print_json(struct dk_flows *flows, const struct dk_capture_file *file, struct dk_fault *fault)
{
    json_t *list = json_array();
    json_t *root = json_pack("{s:{s:s, s:I}, s:o, s:o}", "capture", "link", file->link, "snap_bytes",
                             (json_int_t)file->snap_bytes, "totals", totals_json(flows), "flows", list);

    for (size_t i = 0; i < flows->count; i++)
        if (json_array_append_new(list, flow_json(&flows->flows[i])) != 0) {
            json_decref(root);
            return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
        }
    return dk_json_print(root, fault);
}

static void label(int indent, const char *text)
{
    printf("%*s", indent, "");
    dk_text_print_padded(text, 12);
}

static void print_ms(const char *before, int64_t ns, const char *after)
{
    if (ns >= 0)
        printf("%s%" PRId64 ".%03" PRId64 "%s", before, ns / 1000000, ns / 1000 % 1000, after);
    else
        printf("%s-%s", before, after);
}

static void print_rtt(const char *name, struct dk_rtt_samples *samples)
{
    struct dk_rtt_figures figures;

    dk_rtt_figures(samples, &figures);
    if (figures.count == 0)
        return;
    label(4, name);
    print_ms(_("median "), figures.median_ns, " ms");
    print_ms(_(" (min "), figures.min_ns, "");
    print_ms(_(", p95 "), figures.p95_ns, "");
    print_ms(_(", max "), figures.max_ns, "");
    printf(_("; of %" PRId64 ", %" PRId64 " left out)\n"), figures.count, figures.left_out);
}

static void print_end(const struct dk_flow_end *end, struct dk_direction *sent)
{
    char address[DK_ADDRESS_SIZE], rate[DK_RATE_TEXT_SIZE];

    address_text(end, address);
    dk_rate_text(rate_of(sent->ip_bytes, sent->last_ns - sent->first_ns), rate);
    printf(_("  from %s, port %u\n"), address, (unsigned)end->port);
    label(4, _("sent"));
    printf(_("%" PRId64 " packets, %" PRId64 " bytes of IP, %s; %" PRId64 " bytes of payload\n"), sent->packets,
           sent->ip_bytes, rate, sent->payload_bytes);
    label(4, "TCP");
    printf(_("%" PRId64 " sent again, %" PRId64 " out of order, %" PRId64 " duplicate ACKs\n"),
           sent->retransmissions, sent->out_of_order, sent->duplicate_acks);
    if (sent->acks_of_unseen > 0) {
        label(4, _("gaps"));
        printf(_("%" PRId64 " ACKs of data that was not captured\n"), sent->acks_of_unseen);
    }
    if (sent->ecn_packets[DK_ECN_ECT0] + sent->ecn_packets[DK_ECN_ECT1] + sent->ecn_packets[DK_ECN_CE] > 0)
        printf("    %-12s%" PRId64 " ECT(0), %" PRId64 " ECT(1), %" PRId64 " CE\n", "ECN",
               sent->ecn_packets[DK_ECN_ECT0], sent->ecn_packets[DK_ECN_ECT1], sent->ecn_packets[DK_ECN_CE]);
    print_rtt("RTT", &sent->rtt_ack);
    print_rtt(_("timestamps"), &sent->rtt_timestamp);
}

static void print_totals(const struct dk_flows *flows, const struct dk_capture_file *file)
{
    const struct dk_wire_totals *totals = &flows->totals;
    const struct sums sums = add_up(flows);
    char rate[DK_RATE_TEXT_SIZE];

    dk_rate_text(rate_of(totals->ip_bytes, totals->last_ns - totals->first_ns), rate);
    label(0, _("Capture"));
    printf(_("%s, at most %" PRId64 " bytes of a frame\n"), file->link, file->snap_bytes);
    label(0, _("Frames"));
    printf("%" PRId64, totals->frames);
    for (int kind = 0; kind < DK_PACKET_KINDS; kind++)
        if (totals->kinds[kind] > 0)
            printf(", %" PRId64 " %s", totals->kinds[kind], kind_names[kind]);
    printf("\n");
    label(0, "IP");
    printf(_("%" PRId64 " bytes"), totals->ip_bytes);
    print_ms(_(" in "), totals->last_ns - totals->first_ns, " ms");
    printf(", %s\n", rate);
    if (flows->server.version != 0) {
        label(0, _("Other"));
        printf(_("%" PRId64 " bytes of IP not to or from the server\n"), totals->ip_bytes - totals->server_bytes);
    }
    label(0, "TCP");
    printf(_("%zu flows, %" PRId64 " packets sent again, %" PRId64 " out of order, %" PRId64 " duplicate ACKs\n"),
           flows->count, sums.retransmissions, sums.out_of_order, sums.duplicate_acks);
    if (totals->untracked_packets > 0)
        printf(_("            %" PRId64 " packets of further flows not looked into\n"), totals->untracked_packets);
}

static void print_text(struct dk_flows *flows, const struct dk_capture_file *file)
{
    print_totals(flows, file);
    for (size_t i = 0; i < flows->count && i < FLOWS_SHOWN; i++) {
        struct dk_flow *flow = &flows->flows[i];

        printf(_("\nFlow %zu"), i + 1);
        if (flow->syn_ns >= 0)
            print_ms(_(", SYN to SYN-ACK "), flow->syn_ns, " ms");
        if (flow->handshake_ns >= 0)
            print_ms(_(", handshake "), flow->handshake_ns, " ms");
        printf("\n");
        print_end(&flow->ends[0], &flow->from[0]);
        print_end(&flow->ends[1], &flow->from[1]);
    }
    if (flows->count > FLOWS_SHOWN)
        printf(_("\n%zu more flows: see --format json\n"), flows->count - FLOWS_SHOWN);
}

static enum dk_err wire(const char *path, const char *server, bool json, struct dk_fault *fault)
{
    __attribute__((cleanup(dk_flows_free))) struct dk_flows flows = {0};
    struct dk_capture_file file;
    enum dk_err err = dk_flows_init(&flows, DK_FLOWS_MAX, server, fault);

    if (err == DK_OK)
        err = dk_capture_file_read(path, &flows, &file, fault);
    if (err == DK_OK && json)
        err = print_json(&flows, &file, fault);
    else if (err == DK_OK)
        print_text(&flows, &file);
    if (err == DK_OK && file.cut[0] != '\0')
        return dk_fail(fault, DK_ERR_DATA, path, "what came before is shown", "the file is damaged or cut: %s",
                       file.cut);
    return err;
}

int dk_verb_wire(int argc, char **argv)
{
    const char *format = NULL, *server = NULL;
    const struct dk_own_flag flags[] = {
        {"server", "ADDRESS", N_("count what is not to or from this address as other traffic"), &server, NULL},
        {"format", "text|json", N_("for people, or one JSON object"), &format, NULL},
        {0},
    };
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    bool json = false;
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_NO_CONFIG, flags, &arguments, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK && arguments.operand_count != 1)
        err = dk_fail(&fault, DK_ERR_USAGE, NULL, "name one pcap file, or - for standard input",
                      "%d files given", arguments.operand_count);
    if (err == DK_OK)
        err = dk_format_is_json(format, &json, &fault);
    if (err == DK_OK)
        dk_confine_reading(arguments.operands, 1, NULL, NULL, NULL);
    if (err == DK_OK)
        err = wire(arguments.operands[0], server, json, &fault);
    return err == DK_OK ? 0 : dk_verb_fail("wire", &fault);
}
