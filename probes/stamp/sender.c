// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "agent/base/message.h"
#include "probes/datagram.h"
#include "probes/resolve.h"
#include "probes/rounds.h"
#include "probes/socket.h"
#include "probes/stamp/authenticated.h"
#include "probes/stamp/loss.h"
#include "probes/stamp/stamp.h"
#include "probes/stamp/tlv.h"

enum {
    TURN_DATAGRAMS = 64,
    HEADER_BYTES = 8 + 40, // UDP and IPv6
    ANSWERS_KEPT = 64,     // that a follow-up can be about
    PACKET_MAX = DK_STAMP_AUTHENTICATED_SIZE + DK_STAMP_SEALED_QUESTION_SIZE,
};

// Some reflectors answer only the bare packet: after this long without an answer that is what they get.
static const int64_t bare_after_ns = 300 * DK_NS_PER_MS;

// An answer whose reflector may yet tell when it really left.
struct answered {
    bool used;
    uint32_t sequence; // the reflector's
    size_t number;     // the round's
    uint64_t sent;
    uint16_t error_estimate;
};

struct dk_probe_run {
    struct dk_rounds rounds; // a round's mark is its timestamp as sent; an answer must bring it back
    struct dk_resolution *resolution;
    int fd;
    bool refused;   // ICMP said that nobody listens
    int send_error; // errno of the last packet the kernel did not take; 0 when it took all
    char peer[DK_SOCKET_NAME_SIZE];
    struct dk_mono began;
    struct dk_sendings sendings;
    struct dk_instant last; // when a datagram was sent or read
    uint16_t error_estimate;
    uint16_t session;
    bool extended; // somebody answered the question that goes with the packets
    struct dk_stamp_loss loss;
    struct answered kept[ANSWERS_KEPT]; // by the reflector's sequence number
    bool authenticated;
    struct dk_stamp_key key;
};

static bool is_authenticated(const struct dk_plan *plan)
{
    return plan->stamp_key_file != NULL && plan->stamp_key_file[0] != '\0';
}

// Of a packet on the wire, at most.
static int64_t wire_bytes(const struct dk_plan *plan)
{
    return HEADER_BYTES + (is_authenticated(plan) ? DK_STAMP_AUTHENTICATED_SIZE + DK_STAMP_SEALED_QUESTION_SIZE
                                                  : DK_STAMP_SIZE + DK_STAMP_QUESTION_SIZE);
}

static size_t packet_size(const struct dk_probe_run *run)
{
    return run->authenticated ? DK_STAMP_AUTHENTICATED_SIZE : DK_STAMP_SIZE;
}

static void stop(void *argument)
{
    struct dk_probe_run *run = argument;

    if (run->fd >= 0)
        dk_loop_unwatch(run->rounds.loop, run->fd);
}

static void fail(struct dk_probe_run *run, const char *what, const char *why)
{
    char reason[DK_REASON_SIZE];

    snprintf(reason, sizeof reason, "STAMP: %.100s: %.80s", what, why);
    dk_rounds_finish(&run->rounds, DK_STATUS_FAILED, reason);
}

// The end of a run in which nobody answered.
static void finish_unanswered(void *argument)
{
    struct dk_probe_run *run = argument;
    char reason[DK_REASON_SIZE];
    const char *why = run->send_error != 0 ? strerror(run->send_error)
                      : run->refused       ? "connection refused"
                                           : "";

    snprintf(reason, sizeof reason, "no STAMP reflector%s answered at %s%s%s",
             run->authenticated ? " with our key" : "", run->peer,
             why[0] != '\0' ? ": " : "", why);
    dk_rounds_finish(&run->rounds, run->rounds.optional ? DK_STATUS_NOT_MEASURED : DK_STATUS_FAILED, reason);
}

// Writes a packet, with the question of tlv.h or bare. 0: the library refuses.
static size_t write_packet(struct dk_probe_run *run, const struct dk_stamp_request *request, bool bare,
                           uint8_t out[static PACKET_MAX])
{
    const struct dk_stamp_key *key = run->authenticated ? &run->key : NULL;
    size_t size = packet_size(run);

    if (key == NULL)
        dk_stamp_put_request(request, out);
    else if (!dk_stamp_seal_request(request, key, out))
        return 0;
    if (bare)
        return size;
    if (!dk_stamp_ask(request->sequence, key, out + size))
        return 0;
    return size + (key != NULL ? DK_STAMP_SEALED_QUESTION_SIZE : DK_STAMP_QUESTION_SIZE);
}

// RFC 8762 section 4.2.1: one packet, stamped as late as can be.
static void send_packet(void *argument, size_t number)
{
    struct dk_probe_run *run = argument;
    struct dk_stamp_request request = {
        .sequence = (uint32_t)number, .error_estimate = run->error_estimate, .session = run->session};
    uint8_t wire[PACKET_MAX];
    bool bare = !run->extended &&
                (run->rounds.answered > 0 ||
                 dk_mono_diff_ns(dk_mono_now(), run->rounds.rounds[0].sent_at) > bare_after_ns);
    ssize_t taken = -1;

    // What ICMP said of an earlier packet is reported instead of sending: then the packet is sent anew.
    for (int attempt = 0; attempt < 2 && taken < 0; attempt++) {
        run->last = dk_instant_now();
        run->rounds.rounds[number].mark = request.timestamp = dk_stamp_from_wall(run->last.wall);

        size_t len = write_packet(run, &request, bare, wire);

        if (len == 0)
            break;
        taken = send(run->fd, wire, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (taken < 0 && errno == ECONNREFUSED)
            run->refused = true;
        else if (taken < 0)
            run->send_error = errno;
    }

    struct dk_mono sent_at = run->last.mono;
    bool kernel = dk_datagram_sent(run->fd, &run->sendings, run->last, &sent_at) && taken >= 0;

    dk_rounds_sent_at(&run->rounds, number, sent_at, kernel);
}

// RFC 8972 tables 4 and 6.
static void name_clocks(struct dk_latency *result, const struct dk_stamp_clocks *clocks)
{
    static const char *const sources[] = {"", "ntp", "ptp", "ssu_bits", "gnss", "free_running"};
    static const char *const hows[] = {"", "hardware", "software", "control"};

    if (clocks->source_out < sizeof sources / sizeof sources[0])
        snprintf(result->reflector_clock, sizeof result->reflector_clock, "%s", sources[clocks->source_out]);
    if (clocks->how_out < sizeof hows / sizeof hows[0])
        snprintf(result->reflector_timestamps, sizeof result->reflector_timestamps, "%s", hows[clocks->how_out]);
}

// What came behind the answer: above all when the answer before it really left (RFC 8972 section 4.7).
static void take_tlvs(struct dk_probe_run *run, const struct dk_stamp_answer *answer, const uint8_t *data, size_t len)
{
    struct dk_stamp_tlvs tlvs;
    struct answered *kept = &run->kept[answer->sequence % ANSWERS_KEPT];

    dk_stamp_read_tlvs(data, len, answer->sequence, run->authenticated ? &run->key : NULL, &tlvs);
    if (tlvs.clocks.how_out != 0 || tlvs.follow_up.known)
        run->extended = true;
    name_clocks(&run->rounds.result, &tlvs.clocks);
    *kept = (struct answered){true, answer->sequence, answer->sender_sequence, answer->timestamp,
                              answer->error_estimate};
    if (!tlvs.follow_up.known)
        return;
    run->loss.stateful = true;
    kept = &run->kept[tlvs.follow_up.sequence % ANSWERS_KEPT];
    if (!kept->used || kept->sequence != tlvs.follow_up.sequence || kept->error_estimate != answer->error_estimate)
        return;
    kept->used = false;
    dk_rounds_held_longer(&run->rounds, kept->number,
                          dk_stamp_between_ns(tlvs.follow_up.timestamp, kept->sent, kept->error_estimate));
}

// RTT = (T4 − T1) − (T3 − T2).
static void take_answer(struct dk_probe_run *run, const struct dk_datagram *datagram)
{
    struct dk_stamp_answer answer = {0};
    // A kernel timestamp taken before somebody set the clock would be carried over wrongly.
    bool kernel = datagram->kernel && dk_instants_agree(run->last, datagram->read);

    run->last = datagram->read;
    if (datagram->truncated ||
        !(run->authenticated ? dk_stamp_open_answer(datagram->data, datagram->len, &run->key, &answer)
                             : dk_stamp_get_answer(datagram->data, datagram->len, &answer)) ||
        answer.sender_sequence >= run->rounds.sent || (answer.session != 0 && answer.session != run->session) ||
        answer.sender_timestamp != run->rounds.rounds[answer.sender_sequence].mark) {
        run->rounds.result.foreign++;
        return;
    }

    int64_t answered = run->rounds.answered, duplicate = run->rounds.result.duplicate;

    dk_rounds_answered(&run->rounds, answer.sender_sequence,
                       kernel ? datagram->received_at : datagram->read.mono, kernel,
                       dk_stamp_between_ns(answer.timestamp, answer.received, answer.error_estimate));
    dk_stamp_loss_answered(&run->loss, answer.sender_sequence, answer.sequence,
                           run->rounds.result.duplicate > duplicate);
    if (run->rounds.answered > answered)
        take_tlvs(run, &answer, datagram->data + packet_size(run), datagram->len - packet_size(run));
}

static void receive(void *argument)
{
    struct dk_probe_run *run = argument;
    struct dk_datagram datagram;

    for (int i = 0; i < TURN_DATAGRAMS; i++) {
        int got = dk_datagram_receive(run->fd, &datagram);

        if (got == 0)
            break;
        if (got > 0)
            take_answer(run, &datagram);
        else if (errno == ECONNREFUSED)
            run->refused = true;
    }
    dk_rounds_check(&run->rounds);
    if (run->rounds.optional && run->refused && run->rounds.answered == 0)
        finish_unanswered(run);
}

static void on_readable(void *argument, short events)
{
    struct dk_probe_run *run = argument;

    if ((events & POLLERR) != 0)
        dk_datagram_forget(run->fd);
    receive(run);
}

static const struct dk_rounds_carrier carrier = {send_packet, receive, finish_unanswered, stop};

static void on_resolved(void *argument, const struct sockaddr *address, socklen_t len, const char *reason)
{
    struct dk_probe_run *run = argument;
    char why[DK_REASON_SIZE];

    if (run->rounds.done)
        return;
    if (address == NULL) {
        fail(run, run->rounds.plan->stamp, reason);
        return;
    }
    dk_socket_describe(address, len, run->peer);
    run->fd = socket(address->sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    bool opened = dk_datagram_open(run->fd, run->rounds.plan->interface, address, len, why, sizeof why);

    run->error_estimate = dk_stamp_clock_error();
    if (!opened)
        fail(run, "socket", why);
    else if (dk_loop_watch(run->rounds.loop, run->fd, POLLIN, on_readable, run) != DK_OK)
        fail(run, "loop", "no free slot");
    else
        dk_rounds_begin(&run->rounds);
}

static void stamp_free(struct dk_probe_run *run)
{
    if (run == NULL)
        return;
    dk_rounds_finish(&run->rounds, DK_STATUS_FAILED, "");
    if (run->fd >= 0)
        close(run->fd);
    dk_resolve_free(run->resolution);
    dk_rounds_free(&run->rounds);
    free(run);
}

// Begins to look for the reflector; what is wrong with it is the run's result.
static enum dk_err look_up(struct dk_probe_run *run, const char *server)
{
    char text[DK_SOCKET_NAME_SIZE];
    const struct dk_plan *plan = run->rounds.plan;
    const char *target = plan->stamp;

    if (strcmp(target, "auto") == 0) {
        snprintf(text, sizeof text, strchr(server, ':') != NULL ? "[%s]" : "%s", server);
        target = text;
    }

    enum dk_err err = dk_resolve(run->rounds.loop, target, DK_STAMP_PORT, plan->family, plan->connect_timeout_ns,
                                 on_resolved, run, &run->resolution);

    if (err != DK_ERR_DATA)
        return err;
    fail(run, target, "not HOST, HOST:PORT or [ADDRESS]:PORT");
    return DK_OK;
}

// Reads the key, if there is to be one; what is wrong with it is the run's result.
static bool read_key(struct dk_probe_run *run)
{
    const struct dk_plan *plan = run->rounds.plan;
    struct dk_fault fault = {0};

    run->authenticated = is_authenticated(plan);
    if (!run->authenticated || dk_stamp_key_read(plan->stamp_key_file, &run->key, &fault) == DK_OK)
        return true;
    fail(run, plan->stamp_key_file,
         fault.err == DK_ERR_DATA ? "not 32 to 128 hexadecimal digits in one line" : dk_err_text(fault.err));
    return false;
}

static enum dk_err stamp_start(struct dk_loop *loop, const struct dk_plan *plan,
                               const struct dk_measurement *measured, struct dk_probe_run **out,
                               struct dk_fault *fault)
{
    struct dk_probe_run *run = calloc(1, sizeof *run);

    if (run == NULL || dk_rounds_init(&run->rounds, loop, plan, DK_METHOD_STAMP, &carrier, run) != DK_OK) {
        free(run);
        return dk_fail(fault, DK_ERR_MEMORY, "stamp", NULL, "out of memory");
    }
    run->fd = -1;
    run->began = dk_mono_now();
    dk_stamp_loss_begin(&run->loss);
    // 0 would mean that there is none.
    if (getrandom(&run->session, sizeof run->session, 0) != (ssize_t)sizeof run->session || run->session == 0)
        run->session = 1;

    bool found = strcmp(plan->stamp, "auto") == 0;
    enum dk_err err = DK_OK;

    run->rounds.optional = found && plan->latency_method != DK_METHOD_STAMP;
    if (strcmp(plan->stamp, "off") == 0 || run->rounds.wanted == 0)
        dk_rounds_finish(&run->rounds, DK_STATUS_NOT_MEASURED, "STAMP is off");
    else if (found && measured->server.address[0] == '\0')
        dk_rounds_finish(&run->rounds, DK_STATUS_NOT_MEASURED,
                         "the server was not reached, so its reflector has no address");
    else if (read_key(run))
        err = look_up(run, measured->server.address);
    if (err != DK_OK) {
        stamp_free(run);
        return dk_fail(fault, err, "stamp", NULL, "cannot look up the reflector");
    }
    *out = run;
    return DK_OK;
}

static bool stamp_done(const struct dk_probe_run *run)
{
    return run->rounds.done;
}

static void stamp_cancel(struct dk_probe_run *run, const char *reason)
{
    dk_rounds_finish(&run->rounds, DK_STATUS_FAILED, reason);
}

static void stamp_conclude(struct dk_probe_run *run)
{
    dk_rounds_conclude(&run->rounds);
}

static int64_t stamp_max_bytes(const struct dk_plan *plan)
{
    return plan->latency_count * 2 * wire_bytes(plan);
}

static int64_t stamp_max_duration_ns(const struct dk_plan *plan)
{
    return plan->connect_timeout_ns + dk_rounds_max_duration_ns(plan);
}

static void stamp_progress(const struct dk_probe_run *run, struct dk_progress *out)
{
    *out = (struct dk_progress){
        .probe = dk_probe_stamp.name,
        .elapsed_ns = dk_mono_diff_ns(dk_mono_now(), run->began),
        .duration_ns = (int64_t)run->rounds.wanted * run->rounds.interval_ns,
        .bytes = ((int64_t)run->rounds.sent + run->rounds.answered) * wire_bytes(run->rounds.plan),
    };
}

static void stamp_fill(struct dk_probe_run *run, struct dk_measurement *out)
{
    struct dk_latency *r = &run->rounds.result;

    r->directed = dk_stamp_loss_split(&run->loss, r->sent, r->received + r->late, &r->lost_forward, &r->lost_return);
    dk_rounds_fill(&run->rounds, out);
    out->data_used_bytes += (r->sent + r->received + r->duplicate + r->late + r->foreign) *
                            wire_bytes(run->rounds.plan);
}

const struct dk_probe dk_probe_stamp = {
    .name = "stamp",
    .help = N_("round-trip times over UDP to a STAMP reflector (RFC 8762)"),
    .privilege = DK_PRIVILEGE_NONE,
    .max_bytes = stamp_max_bytes,
    .max_duration_ns = stamp_max_duration_ns,
    .start = stamp_start,
    .done = stamp_done,
    .cancel = stamp_cancel,
    .conclude = stamp_conclude,
    .progress = stamp_progress,
    .fill = stamp_fill,
    .free = stamp_free,
};
