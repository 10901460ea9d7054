// SPDX-License-Identifier: Apache-2.0
#include "probes/conditions.h"

#include "agent/base/file.h"
#include "agent/base/parse.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum {
    PROC_MAX_BYTES = 1 << 20,
    WORD_SIZE = 24, // the digits of an int64_t and a NUL
    HEADER_BYTES = 18 + 40 + 32,
    SMALL_MSS_BYTES = 536, // where TCP does not say its own (RFC 9293 section 3.7.1)
    PPM = 1000000,
};

// The next word of a line, which ends at a blank or at `end`. Moves *at behind it; false at the end.
static bool next_word(const char **at, const char *end, const char **word, size_t *len)
{
    while (*at < end && **at == ' ')
        (*at)++;
    *word = *at;
    while (*at < end && **at != ' ')
        (*at)++;
    *len = (size_t)(*at - *word);
    return *len > 0;
}

static bool word_to_count(const char *word, size_t len, int64_t *out)
{
    char text[WORD_SIZE];

    if (len >= sizeof text)
        return false;
    memcpy(text, word, len);
    text[len] = '\0';
    return dk_parse_i64(text, 0, INT64_MAX, out);
}

static bool next_count(const char **at, const char *end, int64_t *out)
{
    const char *word = NULL;
    size_t len = 0;

    return next_word(at, end, &word, &len) && word_to_count(word, len, out);
}

static const char *line_end(const char *at, const char *end)
{
    const char *found = memchr(at, '\n', (size_t)(end - at));

    return found != NULL ? found : end;
}

// user nice system idle iowait irq softirq steal; guest and guest_nice are in user and nice already.
static bool parse_ticks(const char *at, const char *end, struct dk_cpu_ticks *out)
{
    enum { IDLE = 3, IOWAIT = 4, IRQ = 5, SOFTIRQ = 6, STEAL = 7 };
    struct dk_cpu_ticks ticks = {0};

    for (int i = 0; i <= STEAL; i++) {
        int64_t count = 0;

        if (!next_count(&at, end, &count) || __builtin_add_overflow(ticks.total, count, &ticks.total))
            return false;
        if (i == IDLE || i == IOWAIT)
            ticks.idle += count;
        else if (i == IRQ || i == SOFTIRQ)
            ticks.interrupts += count;
    }
    *out = ticks;
    return true;
}

bool dk_cpu_ticks_parse(const char *text, size_t len, struct dk_cpu_ticks out[static DK_CPUS_MAX])
{
    const char *end = text + len;
    bool found = false;

    memset(out, 0, DK_CPUS_MAX * sizeof out[0]);
    for (const char *at = text; at < end;) {
        const char *stop = line_end(at, end), *word = NULL;
        size_t word_len = 0;
        int64_t number = 0;

        if (next_word(&at, stop, &word, &word_len) && word_len > 3 && memcmp(word, "cpu", 3) == 0) {
            struct dk_cpu_ticks ticks;

            if (!word_to_count(word + 3, word_len - 3, &number) || !parse_ticks(at, stop, &ticks))
                return false;
            if (number < DK_CPUS_MAX) {
                out[number] = ticks;
                found = true;
            }
        }
        at = stop + 1;
    }
    return found;
}

int64_t dk_netstat_parse(const char *text, size_t len, const char *group, const char *name)
{
    const char *end = text + len;

    for (const char *names = text; names < end;) {
        const char *names_end = line_end(names, end), *values = names_end + (names_end < end ? 1 : 0);
        const char *values_end = line_end(values, end), *word = NULL;
        size_t word_len = 0;
        int64_t value = -1;

        if (next_word(&names, names_end, &word, &word_len) && word_len == strlen(group) &&
            memcmp(word, group, word_len) == 0 && next_word(&values, values_end, &word, &word_len) &&
            word_len == strlen(group) && memcmp(word, group, word_len) == 0) {
            while (next_word(&names, names_end, &word, &word_len)) {
                bool wanted = word_len == strlen(name) && memcmp(word, name, word_len) == 0;

                if (!next_word(&values, values_end, &word, &word_len))
                    return -1;
                if (wanted)
                    return word_to_count(word, word_len, &value) ? value : -1;
            }
        }
        names = values_end + 1;
    }
    return -1;
}

int64_t dk_schedstat_wait_parse(const char *text, size_t len)
{
    const char *at = text, *end = line_end(text, text + len);
    int64_t ran_ns = 0, waited_ns = 0, slices = 0;

    return next_count(&at, end, &ran_ns) && next_count(&at, end, &waited_ns) && next_count(&at, end, &slices)
               ? waited_ns
               : -1;
}

int64_t dk_counter_parse(const char *text, size_t len)
{
    int64_t value = 0;

    return len > 1 && text[len - 1] == '\n' && word_to_count(text, len - 1, &value) ? value : -1;
}

static int64_t read_counter(const char *interface, const char *name)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(WORD_SIZE);
    char path[96];

    if (interface[0] == '\0')
        return -1;
    snprintf(path, sizeof path, "/sys/class/net/%.15s/statistics/%s", interface, name);
    return dk_file_read(path, &text, NULL) == DK_OK ? dk_counter_parse(dk_buf_text(&text), text.len) : -1;
}

static int64_t timeval_ns(const struct timeval *time)
{
    return time->tv_sec * DK_NS_PER_S + time->tv_usec * DK_NS_PER_US;
}

static void read_now(struct dk_conditions_reading *out, const char *interface)
{
    dk_auto_buf struct dk_buf stat = dk_buf_make(PROC_MAX_BYTES), netstat = dk_buf_make(PROC_MAX_BYTES);
    dk_auto_buf struct dk_buf schedstat = dk_buf_make(128);
    struct rusage usage;

    *out = (struct dk_conditions_reading){.agent_cpu_ns = -1, .agent_wait_ns = -1, .windows_closed = -1};
    if (dk_file_read("/proc/stat", &stat, NULL) != DK_OK ||
        !dk_cpu_ticks_parse(dk_buf_text(&stat), stat.len, out->cpus))
        memset(out->cpus, 0, sizeof out->cpus);
    if (dk_file_read("/proc/net/netstat", &netstat, NULL) == DK_OK)
        out->windows_closed =
            dk_netstat_parse(dk_buf_text(&netstat), netstat.len, "TcpExt:", "TCPToZeroWindowAdv");
    if (dk_file_read("/proc/self/schedstat", &schedstat, NULL) == DK_OK)
        out->agent_wait_ns = dk_schedstat_wait_parse(dk_buf_text(&schedstat), schedstat.len);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        out->agent_cpu_ns = timeval_ns(&usage.ru_utime) + timeval_ns(&usage.ru_stime);
    out->received_bytes = read_counter(interface, "rx_bytes");
    out->sent_bytes = read_counter(interface, "tx_bytes");
}

void dk_conditions_start(struct dk_conditions_watch *watch, const char *interface)
{
    *watch = (struct dk_conditions_watch){.running = true};
    snprintf(watch->result.interface, sizeof watch->result.interface, "%s", interface);
    read_now(&watch->before, interface);
    watch->start = dk_mono_now();
}

void dk_conditions_look(struct dk_conditions_watch *watch, struct dk_mono due, struct dk_mono now)
{
    int64_t late_ns = dk_mono_diff_ns(now, due);

    watch->result.looks++;
    if (late_ns > DK_LATE_LOOK_MS * DK_NS_PER_MS)
        watch->result.looks_late++;
    if (late_ns > watch->result.late_max_ns)
        watch->result.late_max_ns = late_ns;
}

// A counter that went back was set anew: what it counted is not known.
static int64_t counted(int64_t before, int64_t after)
{
    return before >= 0 && after >= before ? after - before : -1;
}

static void compare_cpus(struct dk_conditions *out, const struct dk_cpu_ticks before[],
                         const struct dk_cpu_ticks after[])
{
    out->cpu_busiest_ppm = out->cpu_interrupts_ppm = -1;
    for (size_t i = 0; i < DK_CPUS_MAX; i++) {
        int64_t total = after[i].total - before[i].total;
        int64_t busy = total - (after[i].idle - before[i].idle);
        int64_t interrupts = after[i].interrupts - before[i].interrupts;

        // Idle time can go back a little (proc(5)). A tick is 10 ms, so the products stay far below the limit.
        if (before[i].total == 0 || total <= 0 || busy < 0 || busy > total || interrupts < 0)
            continue;
        if (busy * PPM / total > out->cpu_busiest_ppm)
            out->cpu_busiest_ppm = busy * PPM / total;
        if (interrupts * PPM / total > out->cpu_interrupts_ppm)
            out->cpu_interrupts_ppm = interrupts * PPM / total;
    }
}

void dk_conditions_stop(struct dk_conditions_watch *watch)
{
    struct dk_conditions_reading after;
    struct dk_conditions *out = &watch->result;

    if (!watch->running)
        return;
    watch->running = false;
    out->duration_ns = dk_mono_diff_ns(dk_mono_now(), watch->start);
    read_now(&after, out->interface);
    out->agent_cpu_ns = counted(watch->before.agent_cpu_ns, after.agent_cpu_ns);
    out->agent_wait_ns = counted(watch->before.agent_wait_ns, after.agent_wait_ns);
    out->windows_closed = counted(watch->before.windows_closed, after.windows_closed);
    out->received_bytes = counted(watch->before.received_bytes, after.received_bytes);
    out->sent_bytes = counted(watch->before.sent_bytes, after.sent_bytes);
    compare_cpus(out, watch->before.cpus, after.cpus);
}

void dk_conditions_own(struct dk_conditions *conditions, int64_t received_bytes, int64_t sent_bytes,
                       const struct dk_tcp_stream streams[], size_t count)
{
    int64_t tcp_received_bytes = 0, tcp_acked_bytes = 0, tcp_sent_bytes = 0, segments_in = 0, segments_out = 0;
    int64_t mss_bytes = SMALL_MSS_BYTES;
    bool known = true;

    for (size_t i = 0; i < count; i++) {
        const struct dk_tcp_stream *stream = &streams[i];

        known = known && stream->segments_in >= 0 && stream->sent_bytes >= 0;
        tcp_received_bytes += stream->received_bytes;
        tcp_acked_bytes += stream->acked_bytes;
        tcp_sent_bytes += stream->sent_bytes;
        segments_in += stream->segments_in;
        segments_out += stream->segments_out;
        if (stream->mss_bytes >= SMALL_MSS_BYTES)
            mss_bytes = stream->mss_bytes;
    }
    // A connection that was replaced has taken its counts with it.
    if (!known || tcp_received_bytes < received_bytes || tcp_acked_bytes < sent_bytes) {
        tcp_received_bytes = received_bytes + received_bytes / 100;
        tcp_sent_bytes = sent_bytes + sent_bytes / 100;
        segments_in = segments_out = (received_bytes + sent_bytes) / mss_bytes + 1;
    }
    conditions->own_received_bytes = tcp_received_bytes + segments_in * HEADER_BYTES;
    conditions->own_sent_bytes = tcp_sent_bytes + segments_out * HEADER_BYTES;
}
