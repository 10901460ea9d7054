// SPDX-License-Identifier: Apache-2.0
#include "agent/measure.h"

#include "agent/base/sandbox.h"
#include "probes/candidates.h"
#include "probes/capture/live.h"
#include "probes/choice.h"
#include "probes/loop.h"
#include "probes/probe.h"
#include "probes/responsiveness/responsiveness.h"
#include "probes/responsiveness/rpm.h"
#include "probes/stats.h"

#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

// Often enough for a distribution, too rare to load the line itself.
static const int64_t loaded_interval_ns = 50 * DK_NS_PER_MS;
static const int64_t progress_interval_ns = 100 * DK_NS_PER_MS;

enum { TOGETHER_MAX = 4 };

struct session {
    const struct dk_settings *settings;
    const struct dk_rules *rules;
    const struct dk_run_hooks *hooks;
    struct dk_plan plan;
    const char *run; // its id
    struct dk_server_urls urls;
    struct dk_loop *loop;
    struct dk_measurement *measurement;
    struct dk_context *context;
    bool interrupted;
};

DK_DEFINE_FREE(loop, struct dk_loop, dk_loop_free)

static void on_interrupt(void *argument, short events)
{
    struct session *session = argument;

    (void)events;
    session->interrupted = true;
    dk_loop_unwatch(session->loop, session->hooks->interrupt_fd);
}

static void show_progress(const struct session *session, const struct dk_probe *probe,
                          const struct dk_probe_run *run, struct dk_mono *next)
{
    struct dk_mono now = dk_mono_now();
    struct dk_progress progress;

    if (session->hooks->progress == NULL || now.ns < next->ns)
        return;
    probe->progress(run, &progress);
    session->hooks->progress(session->hooks->argument, &progress);
    *next = dk_mono_add_ns(now, progress_interval_ns);
}

// A probe that accompanies a load.
struct companion {
    const struct dk_probe *probe; // NULL: there is none
    struct dk_plan plan;
    struct dk_probe_run *run; // NULL until the load has ramped up
    bool concluded;
};

// A load and what accompanies it: round-trip times, and responsiveness.
enum { COMPANIONS = 2 };
struct load {
    const struct dk_probe *probe;
    struct dk_probe_run *run;
    struct companion companions[COMPANIONS];
};

// Under load round-trip times are taken from a fifth of the timed phase, when the load stands, to its end; so are new
// connections opened, but from 1 s on when that is sooner: a test may end early.
static bool is_time_for(const struct companion *companion, const struct dk_progress *load)
{
    int64_t from_ns = load->duration_ns / 5;

    if (companion->probe == &dk_probe_responsiveness && from_ns > DK_NS_PER_S)
        from_ns = DK_NS_PER_S;
    return load->elapsed_ns > 0 && load->elapsed_ns >= from_ns;
}

static void plan_companion(const struct session *session, struct companion *companion, bool upload,
                           const struct dk_progress *load)
{
    struct dk_plan *plan = &companion->plan;
    int64_t load_bps = 0;

    *plan = session->plan;
    plan->phase = upload ? DK_PHASE_UPLOAD : DK_PHASE_DOWNLOAD;
    plan->load_start = load->start;
    plan->load_bps = dk_stats_rate_bps(load->bytes, load->elapsed_ns, &load_bps) ? load_bps : 0;
    if (plan->latency_interval_ns < loaded_interval_ns)
        plan->latency_interval_ns = loaded_interval_ns;
    plan->latency_count = (load->duration_ns - load->elapsed_ns) / plan->latency_interval_ns + 1;
    // Random intervals may be short ones: there must be enough for all of the load.
    if (plan->latency_sampling == DK_SAMPLING_POISSON)
        plan->latency_count = 2 * plan->latency_count + 16;
}

static enum dk_err accompany(struct session *session, struct load *load, struct dk_fault *fault)
{
    struct dk_progress progress;
    enum dk_err err = DK_OK;

    load->probe->progress(load->run, &progress);
    for (size_t i = 0; i < COMPANIONS && err == DK_OK; i++) {
        struct companion *companion = &load->companions[i];

        if (companion->probe == NULL || companion->concluded)
            continue;
        if (load->probe->done(load->run)) {
            companion->concluded = true;
            if (companion->run != NULL)
                companion->probe->conclude(companion->run);
        } else if (companion->run == NULL && is_time_for(companion, &progress)) {
            plan_companion(session, companion, strcmp(load->probe->name, "upload") == 0, &progress);
            err = companion->probe->start(session->loop, &companion->plan, session->measurement, &companion->run,
                                          fault);
        }
    }
    return err;
}

static void stop_all(struct load *load, const char *reason)
{
    if (!load->probe->done(load->run))
        load->probe->cancel(load->run, reason);
    for (size_t i = 0; i < COMPANIONS; i++) {
        struct companion *companion = &load->companions[i];

        if (companion->run != NULL && !companion->probe->done(companion->run))
            companion->probe->cancel(companion->run, reason);
    }
}

static bool is_over(const struct load *load)
{
    bool over = load->probe->done(load->run);

    for (size_t i = 0; i < COMPANIONS; i++)
        over = over && (load->companions[i].run == NULL || load->companions[i].probe->done(load->companions[i].run));
    return over;
}

static void free_load(struct load *load)
{
    for (size_t i = 0; i < COMPANIONS; i++)
        if (load->companions[i].run != NULL)
            load->companions[i].probe->free(load->companions[i].run);
    load->probe->free(load->run);
}

// Turns the loop until all is over, at its deadline or by the interrupt.
static enum dk_err run_load(struct session *session, struct load *load, struct dk_fault *fault)
{
    struct dk_mono begun = dk_mono_now(), next = begun;
    // Answers to a companion's last packets are waited for after the load.
    int64_t longest_ns = load->probe->max_duration_ns(&session->plan) + session->plan.latency_timeout_ns;
    struct dk_mono deadline = dk_mono_add_ns(begun, longest_ns);
    enum dk_err err = DK_OK;

    while (err == DK_OK && !is_over(load)) {
        struct dk_mono now = dk_mono_now();

        if (session->interrupted)
            stop_all(load, "interrupted");
        else if (now.ns >= deadline.ns)
            stop_all(load, "took longer than its deadline");
        else
            err = dk_loop_turn(session->loop, next.ns > now.ns && next.ns < deadline.ns ? next : deadline);
        if (err == DK_OK)
            err = accompany(session, load, fault);
        show_progress(session, load->probe, load->run, &next);
    }
    return err;
}

// Runs one probe to its end, its deadline, or the interrupt; with `latency` (NULL for none) and `responsiveness` others
// beside it. What went wrong is in the measurement; an error is ours.
static enum dk_err run_probes(struct session *session, const char *name, const char *latency, bool responsiveness,
                              struct dk_fault *fault)
{
    struct load load = {.probe = dk_probe_find(name)};

    if (load.probe == NULL)
        return dk_fail(fault, DK_ERR_INTERNAL, name, NULL, "there is no such probe");
    load.companions[0].probe = latency != NULL ? dk_probe_find(latency) : NULL;
    load.companions[1].probe = responsiveness ? &dk_probe_responsiveness : NULL;

    enum dk_err err = load.probe->start(session->loop, &session->plan, session->measurement, &load.run, fault);

    if (err != DK_OK)
        return err;
    err = run_load(session, &load, fault);
    if (err == DK_OK) {
        load.probe->fill(load.run, session->measurement);
        for (size_t i = 0; i < COMPANIONS; i++)
            if (load.companions[i].run != NULL)
                load.companions[i].probe->fill(load.companions[i].run, session->measurement);
    } else {
        err = dk_fail(fault, err, load.probe->name, NULL, "the event loop failed");
    }
    free_load(&load);
    return err;
}

static enum dk_err run_probe(struct session *session, const char *name, struct dk_fault *fault)
{
    return run_probes(session, name, NULL, false, fault);
}

// Probes that do not disturb one another, as none of them loads the line.
struct together {
    const struct dk_probe *probes[TOGETHER_MAX];
    struct dk_probe_run *runs[TOGETHER_MAX];
    size_t count;
};

static enum dk_err turn_together(struct session *session, struct together *together, struct dk_mono deadline)
{
    struct dk_mono next = dk_mono_now();

    for (;;) {
        struct dk_mono now = dk_mono_now();
        const char *late = now.ns >= deadline.ns ? "took longer than its deadline" : NULL;
        const char *end = session->interrupted ? "interrupted" : late;
        size_t running = 0;

        for (size_t i = 0; i < together->count; i++)
            if (!together->probes[i]->done(together->runs[i]) && ++running > 0 && end != NULL)
                together->probes[i]->cancel(together->runs[i], end);
        if (running == 0 || end != NULL)
            return DK_OK;

        enum dk_err err = dk_loop_turn(session->loop, next.ns > now.ns && next.ns < deadline.ns ? next : deadline);

        if (err != DK_OK)
            return err;
        show_progress(session, together->probes[0], together->runs[0], &next);
    }
}

// Runs the probes of `names` (NULL at the end) at once, to the end of the last one.
static enum dk_err run_together(struct session *session, const char *const names[], struct dk_fault *fault)
{
    struct together together = {.count = 0};
    int64_t longest_ns = 0;
    enum dk_err err = DK_OK;

    for (; *names != NULL && together.count < TOGETHER_MAX && err == DK_OK; names++) {
        const struct dk_probe *probe = dk_probe_find(*names);
        int64_t duration_ns = probe->max_duration_ns(&session->plan);

        together.probes[together.count] = probe;
        err = probe->start(session->loop, &session->plan, session->measurement, &together.runs[together.count], fault);
        together.count += err == DK_OK;
        longest_ns = duration_ns > longest_ns ? duration_ns : longest_ns;
    }
    if (err == DK_OK && together.count > 0) {
        err = turn_together(session, &together, dk_mono_add_ns(dk_mono_now(), longest_ns));
        if (err != DK_OK)
            err = dk_fail(fault, err, NULL, NULL, "the event loop failed");
    }
    for (size_t i = 0; i < together.count; i++) {
        if (err == DK_OK)
            together.probes[i]->fill(together.runs[i], session->measurement);
        together.probes[i]->free(together.runs[i]);
    }
    return err;
}

static void set_latency(struct dk_latency *latency, enum dk_status status, const char *reason)
{
    *latency = (struct dk_latency){.status = status};
    snprintf(latency->reason, sizeof latency->reason, "%s", reason);
}

static void set_throughput(struct dk_throughput *throughput, enum dk_status status, const char *reason)
{
    throughput->status = status;
    snprintf(throughput->reason, sizeof throughput->reason, "%s", reason);
}

static void set_responsiveness(struct dk_responsiveness *responsiveness, enum dk_status status, const char *reason)
{
    responsiveness->status = status;
    snprintf(responsiveness->reason, sizeof responsiveness->reason, "%s", reason);
}

static bool wants_wire(const struct dk_settings *settings)
{
    return (settings->only & DK_ONLY_WIRE) != 0 || settings->evidence;
}

// Every figure says from the start why it is missing; a probe that runs overwrites it.
static void mark_missing(struct session *session, enum dk_status status, const char *reason)
{
    struct dk_measurement *measurement = session->measurement;
    int64_t only = session->settings->only;

    set_throughput(&measurement->download, only & DK_ONLY_DOWNLOAD ? status : DK_STATUS_NOT_MEASURED,
                   only & DK_ONLY_DOWNLOAD ? reason : "not asked for");
    set_throughput(&measurement->upload, only & DK_ONLY_UPLOAD ? status : DK_STATUS_NOT_MEASURED,
                   only & DK_ONLY_UPLOAD ? reason : "not asked for");
    set_latency(&measurement->latency_idle, only & DK_ONLY_LATENCY ? status : DK_STATUS_NOT_MEASURED,
                only & DK_ONLY_LATENCY ? reason : "not asked for");
    set_latency(&measurement->latency_download, DK_STATUS_NOT_MEASURED,
                only & DK_ONLY_LATENCY ? "there was no download to measure it under" : "not asked for");
    set_latency(&measurement->latency_upload, DK_STATUS_NOT_MEASURED,
                only & DK_ONLY_LATENCY ? "there was no upload to measure it under" : "not asked for");
    set_latency(&measurement->latency_gateway, only & DK_ONLY_LATENCY ? status : DK_STATUS_NOT_MEASURED,
                only & DK_ONLY_LATENCY ? reason : "not asked for");
    measurement->path = (struct dk_way_found){.asked = (only & DK_ONLY_PATH) != 0, .mtu.status = status,
                                              .route.status = status};
    snprintf(measurement->path.mtu.reason, sizeof measurement->path.mtu.reason, "%s", reason);
    snprintf(measurement->path.route.reason, sizeof measurement->path.route.reason, "%s", reason);
    measurement->dns.status = only & DK_ONLY_DNS ? status : DK_STATUS_NOT_MEASURED;
    snprintf(measurement->dns.reason, sizeof measurement->dns.reason, "%s", only & DK_ONLY_DNS ? reason : "");
    set_responsiveness(&measurement->responsiveness_download, DK_STATUS_NOT_MEASURED,
                       only & DK_ONLY_RESPONSIVENESS ? "there was no download to measure it under" : "not asked for");
    set_responsiveness(&measurement->responsiveness_upload, DK_STATUS_NOT_MEASURED,
                       only & DK_ONLY_RESPONSIVENESS ? "there was no upload to measure it under" : "not asked for");
    if (wants_wire(session->settings)) {
        measurement->wire.status = status;
        snprintf(measurement->wire.reason, sizeof measurement->wire.reason, "%s", reason);
    }
}

// Best first. Each is named as its method is.
static const enum dk_method latency_methods[] = {DK_METHOD_STAMP, DK_METHOD_ICMP, DK_METHOD_TCP, DK_METHOD_HTTP};

static enum dk_err measure_latency(struct session *session, struct dk_fault *fault)
{
    const struct dk_latency *latency = &session->measurement->latency_idle;
    enum dk_method asked = session->plan.latency_method;
    bool off = strcmp(session->plan.stamp, "off") == 0, named = !off && strcmp(session->plan.stamp, "auto") != 0;

    for (size_t i = 0; i < sizeof latency_methods / sizeof latency_methods[0]; i++) {
        enum dk_method method = latency_methods[i];

        if (asked == DK_METHOD_NONE ? method == DK_METHOD_STAMP && off : method != asked)
            continue;

        enum dk_err err = run_probe(session, dk_method_text(method), fault);

        // A reflector that was named and does not answer is a finding; one that was only hoped for is not.
        if (err != DK_OK || latency->status == DK_STATUS_OK || session->interrupted ||
            (method == DK_METHOD_STAMP && named))
            return err;
    }
    return DK_OK;
}

// The probe that takes round-trip times while the line is loaded: the one that could when it was idle; NULL for none.
static const char *loaded_latency_probe(const struct session *session)
{
    const struct dk_latency *idle = &session->measurement->latency_idle;

    if (!(session->settings->only & DK_ONLY_LATENCY) || idle->status != DK_STATUS_OK)
        return NULL;
    return dk_method_text(idle->method);
}

// One direction, with what is taken beside it.
static enum dk_err measure_load(struct session *session, const char *name, enum dk_phase phase,
                                const struct dk_throughput *load, struct dk_fault *fault)
{
    bool wanted = (session->settings->only & DK_ONLY_RESPONSIVENESS) != 0;
    struct dk_responsiveness *responsiveness = dk_measurement_responsiveness(session->measurement, phase);
    enum dk_err err = run_probes(session, name, loaded_latency_probe(session), wanted, fault);

    if (err != DK_OK || !wanted)
        return err;
    if (load->status == DK_STATUS_FAILED) // the draft: then the test is aborted
        set_responsiveness(responsiveness, DK_STATUS_FAILED, load->reason);
    else if (responsiveness->status == DK_STATUS_NOT_MEASURED)
        set_responsiveness(responsiveness, DK_STATUS_NOT_MEASURED, "the load was too short");
    else if (responsiveness->status == DK_STATUS_OK && dk_rpm_compute(&load->series, responsiveness) != DK_OK)
        return dk_fail(fault, DK_ERR_MEMORY, name, NULL, "out of memory");
    return DK_OK;
}

static enum dk_err measure_upload(struct session *session, struct dk_fault *fault)
{
    if (session->urls.upload[0] != '\0')
        return measure_load(session, "upload", DK_PHASE_UPLOAD, &session->measurement->upload, fault);
    set_throughput(&session->measurement->upload, DK_STATUS_NOT_MEASURED, "this server takes no upload");
    return DK_OK;
}

// What the rates will be compared with: by the rules that are about this line, and that one run can be judged by.
static void plan_thresholds(struct session *session)
{
    const struct dk_rules *rules = session->rules;

    for (size_t i = 0; i < rules->count; i++) {
        const struct dk_rule *rule = &rules->rules[i];
        bool download = rule->indicator == DK_INDICATOR_DOWNLOAD_RATE ||
                        rule->indicator == DK_INDICATOR_DOWNLOAD_RATE_WHOLE;
        struct dk_thresholds *to =
            download ? &session->plan.download_thresholds : &session->plan.upload_thresholds;
        int64_t threshold = 0;

        if (!dk_rule_is_about(rule, session->context->link.technology, &session->settings->site) ||
            !dk_rule_is_for_one_run(rule) || dk_indicator_units(rule->indicator) != dk_units_rate ||
            !dk_rule_resolve(rule, &session->settings->site, &threshold))
            continue;
        if (to->count < DK_THRESHOLDS_MAX) {
            to->at[to->count].bps = threshold;
            to->at[to->count].whole = rule->indicator == DK_INDICATOR_DOWNLOAD_RATE_WHOLE ||
                                      rule->indicator == DK_INDICATOR_UPLOAD_RATE_WHOLE;
        }
        to->count++;
    }
}

// What is on the way to the server, while the line is idle: what was asked for of it.
static enum dk_err measure_way(struct session *session, struct dk_fault *fault)
{
    const char *names[TOGETHER_MAX + 1] = {NULL};
    size_t count = 0;

    if (session->settings->only & DK_ONLY_LATENCY)
        names[count++] = "gateway";
    if (session->settings->only & DK_ONLY_DNS)
        names[count++] = "dns";
    if (session->settings->only & DK_ONLY_PATH)
        names[count++] = "path";
    return count > 0 && !session->interrupted ? run_together(session, names, fault) : DK_OK;
}

// Latency, download and upload, as far as they were asked for.
static enum dk_err measure_figures(struct session *session, struct dk_fault *fault)
{
    int64_t only = session->settings->only;
    enum dk_err err = DK_OK;

    if ((only & DK_ONLY_LATENCY) && !session->interrupted)
        err = measure_latency(session, fault);
    if (err == DK_OK && (only & DK_ONLY_DOWNLOAD) && !session->interrupted)
        err = measure_load(session, "download", DK_PHASE_DOWNLOAD, &session->measurement->download, fault);
    if (err == DK_OK && (only & DK_ONLY_UPLOAD) && !session->interrupted)
        err = measure_upload(session, fault);
    return err;
}

// The same with a capture around it.
static enum dk_err measure_captured(struct session *session, struct dk_fault *fault)
{
    struct dk_wire *wire = &session->measurement->wire;
    dk_auto(live) struct dk_live *live = NULL;
    enum dk_err err = dk_live_open(session->loop, session->context->link.interface,
                                   session->measurement->server.address,
                                   session->settings->evidence ? session->settings->evidence_max_bytes : 0, &live,
                                   wire);

    if (err != DK_OK)
        return dk_fail(fault, err, "wire", NULL, "the capture cannot begin");
    // All is open that needs it.
    if (session->hooks->last)
        (void)dk_sandbox_drop(UINT64_C(1) << CAP_NET_RAW);
    err = measure_figures(session, fault);
    if (err == DK_OK && live != NULL) {
        err = dk_live_conclude(live, wire);
        if (err != DK_OK)
            err = dk_fail(fault, err, "wire", NULL, "%s", dk_err_text(err));
    }
    return err;
}

static void make_plan(struct session *session, const struct dk_server_settings *server)
{
    const struct dk_settings *settings = session->settings;

    dk_server_find(server->kind, server->url, server->upload_url, &session->urls);
    session->plan = (struct dk_plan){
        .url = server->url,
        .run = session->run,
        .urls = &session->urls,
        .stamp = server->stamp,
        .stamp_key_file = server->stamp_key_file,
        .ca_file = server->ca_file,
        .interface = settings->interface,
        .link = session->context->link.interface,
        .gateway = session->context->link.gateway,
        .user_agent = "dokiem/" DK_VERSION,
        .family = settings->family,
        .streams = settings->streams,
        .streams_max = settings->max_streams,
        .duration_ns = settings->duration_ns,
        .connect_timeout_ns = settings->server_connect_timeout_ns,
        .stop = settings->stop,
        .precision_ppm = settings->precision_ppm,
        .max_bytes = settings->max_bytes,
        .latency_method = settings->latency_method,
        .latency_count = settings->latency_count,
        .latency_interval_ns = settings->latency_interval_ns,
        .latency_sampling = settings->latency_sampling,
        .latency_timeout_ns = settings->latency_timeout_ns,
        .path_method = settings->path_method,
        .dns_servers = settings->dns_servers,
        .dns_names = settings->dns_names,
        .raw = session->hooks != NULL ? session->hooks->raw : NULL,
    };
}

// Everything, against the server of the plan.
static enum dk_err measure_with_server(struct session *session, struct dk_fault *fault)
{
    struct dk_measurement *measurement = session->measurement;
    enum dk_err err = DK_OK;

    mark_missing(session, DK_STATUS_FAILED, "interrupted");
    if (session->plan.url[0] != '\0') {
        err = run_probe(session, "reach", fault);
    } else {
        measurement->server = (struct dk_server){.status = DK_STATUS_FAILED, .connect_ns = -1};
        snprintf(measurement->server.reason, sizeof measurement->server.reason,
                 "no reference server is configured: set [server] url, or give --server URL");
    }
    dk_context_gather(measurement->server.address, session->settings->interface, session->settings->technology,
                      session->context);
    plan_thresholds(session);
    if (err != DK_OK)
        return err;
    if (measurement->server.status != DK_STATUS_OK) {
        mark_missing(session, DK_STATUS_FAILED, measurement->server.reason);
        return DK_OK;
    }
    err = measure_way(session, fault);
    if (err != DK_OK)
        return err;
    err = wants_wire(session->settings) ? measure_captured(session, fault) : measure_figures(session, fault);
    // Only who has a rate needs a witness of it.
    if (err == DK_OK && session->urls.word[0] != '\0' && session->run[0] != '\0' && !session->interrupted &&
        (measurement->download.status == DK_STATUS_OK || measurement->upload.status == DK_STATUS_OK))
        err = run_probe(session, "word", fault);
    return err;
}

// Why this server cannot be measured against, for a reason that is the server's and not the line's, or NULL: it was
// not reached, or it refused the first transfer before any payload moved.
static const char *why_unusable(const struct session *session)
{
    const struct dk_measurement *m = session->measurement;
    const struct dk_throughput *first = session->settings->only & DK_ONLY_DOWNLOAD ? &m->download : &m->upload;

    if (session->interrupted)
        return NULL;
    if (m->server.status != DK_STATUS_OK)
        return m->server.reason;
    return first->status == DK_STATUS_FAILED && first->refused ? first->reason : NULL;
}

// Notes why the server is left, and takes what it gave, but for the bytes it cost, out of the measurement.
static void leave_server(struct session *session, struct dk_candidate *candidate, const char *why)
{
    struct dk_measurement *m = session->measurement;
    struct dk_measurement left = {.candidate_count = m->candidate_count, .data_used_bytes = m->data_used_bytes};

    candidate->status = DK_STATUS_FAILED;
    snprintf(candidate->reason, sizeof candidate->reason, "%s", why);
    memcpy(left.candidates, m->candidates, sizeof left.candidates);
    dk_measurement_free(m);
    *m = left;
}

// The servers that have a URL, and the order in which they are to be used.
static enum dk_err choose(struct session *session, const struct dk_server_choice *choice,
                          const struct dk_server_settings *servers[static DK_CANDIDATES_MAX],
                          size_t order[static DK_CANDIDATES_MAX], size_t *count, struct dk_fault *fault)
{
    const struct dk_settings *settings = session->settings;
    struct dk_measurement *m = session->measurement;
    size_t found = 0, last = DK_CANDIDATES_MAX, avoid = DK_CANDIDATES_MAX;

    order[0] = 0;
    *count = 1;
    servers[0] = &settings->servers[0];
    for (size_t i = 0; i < settings->server_count; i++)
        if (settings->servers[i].url[0] != '\0')
            servers[found++] = &settings->servers[i];
    if (found < 2)
        return DK_OK;
    m->candidate_count = found;
    for (size_t i = 0; i < found; i++) {
        m->candidates[i] = (struct dk_candidate){.name = servers[i]->name, .url = servers[i]->url};
        if (strcmp(servers[i]->url, choice->last_url) == 0)
            last = i;
        if (strcmp(servers[i]->url, choice->avoid_url) == 0)
            avoid = i;
    }

    enum dk_err err = dk_candidates_ask(session->loop, settings->family, settings->interface, &session->interrupted,
                                        m->candidates, found, fault);

    m->data_used_bytes += (int64_t)found * DK_CANDIDATE_CONNECTS * DK_CANDIDATE_BYTES;
    if (err == DK_OK)
        *count = dk_choose_servers(m->candidates, found, last, avoid, order);
    return err;
}

static enum dk_err measure(struct session *session, struct dk_server_choice *choice, struct dk_fault *fault)
{
    const struct dk_server_settings *servers[DK_CANDIDATES_MAX];
    size_t order[DK_CANDIDATES_MAX], count = 0;
    enum dk_err err = choose(session, choice, servers, order, &count, fault);

    for (size_t i = 0; i < count && err == DK_OK; i++) {
        struct dk_candidate *candidate = &session->measurement->candidates[order[i]];

        choice->used = servers[order[i]];
        make_plan(session, choice->used);
        err = measure_with_server(session, fault);

        const char *why = err == DK_OK && session->measurement->candidate_count > 0 ? why_unusable(session) : NULL;

        if (why == NULL)
            break;
        if (i + 1 < count) {
            leave_server(session, candidate, why);
        } else {
            candidate->status = DK_STATUS_FAILED;
            snprintf(candidate->reason, sizeof candidate->reason, "%s", why);
        }
    }
    return err;
}

enum dk_err dk_measure(const struct dk_settings *settings, const struct dk_rules *rules,
                       const struct dk_run_hooks *hooks, struct dk_server_choice *choice,
                       struct dk_measurement *measurement, struct dk_context *context, bool *interrupted,
                       struct dk_fault *fault)
{
    struct session session = {.settings = settings, .rules = rules, .hooks = hooks, .run = choice->run,
                              .measurement = measurement, .context = context};
    dk_auto(loop) struct dk_loop *loop = NULL;
    enum dk_err err = dk_loop_new(&loop, fault);

    if (err != DK_OK)
        return err;
    session.loop = loop;
    choice->used = &settings->servers[0];
    if (hooks->interrupt_fd >= 0 &&
        dk_loop_watch(loop, hooks->interrupt_fd, POLLIN, on_interrupt, &session) != DK_OK)
        return dk_fail(fault, DK_ERR_INTERNAL, NULL, NULL, "the loop is full");
    err = measure(&session, choice, fault);
    if (err == DK_OK)
        dk_context_gather_after(measurement->server.address, settings->interface, context);
    *interrupted = session.interrupted;
    return err;
}

static void add_bound(const struct session *session, const char *probe_name, struct dk_measure_bound *bound)
{
    const struct dk_probe *probe = dk_probe_find(probe_name);

    if (probe == NULL)
        return;
    bound->bytes += probe->max_bytes(&session->plan);
    bound->duration_ns += probe->max_duration_ns(&session->plan);
}

struct dk_measure_bound dk_measure_bound(const struct dk_settings *settings)
{
    struct dk_context nowhere = {0};
    struct session session = {.settings = settings, .run = "", .context = &nowhere};
    struct dk_measure_bound bound = {0};
    int64_t only = settings->only;

    make_plan(&session, &settings->servers[0]);
    add_bound(&session, "reach", &bound);
    for (size_t i = 0; (only & DK_ONLY_LATENCY) && i < sizeof latency_methods / sizeof latency_methods[0]; i++)
        if (settings->latency_method == DK_METHOD_NONE || settings->latency_method == latency_methods[i])
            add_bound(&session, dk_method_text(latency_methods[i]), &bound);
    if (only & DK_ONLY_LATENCY)
        add_bound(&session, "gateway", &bound);
    if (only & DK_ONLY_DNS)
        add_bound(&session, "dns", &bound);
    if (only & DK_ONLY_PATH)
        add_bound(&session, "path", &bound);
    if (only & DK_ONLY_DOWNLOAD)
        add_bound(&session, "download", &bound);
    if (only & DK_ONLY_UPLOAD)
        add_bound(&session, "upload", &bound);
    for (int i = 0; i < 2; i++)
        if ((only & DK_ONLY_RESPONSIVENESS) && (only & (i == 0 ? DK_ONLY_DOWNLOAD : DK_ONLY_UPLOAD)))
            bound.bytes += dk_probe_responsiveness.max_bytes(&session.plan); // beside the load: it takes no longer
    if (session.urls.word[0] != '\0' && (only & (DK_ONLY_DOWNLOAD | DK_ONLY_UPLOAD)))
        add_bound(&session, "word", &bound);
    return bound;
}
