// SPDX-License-Identifier: Apache-2.0
#include "agent/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_clock_ns(clockid_t id)
{
    struct timespec now = {0};

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * DK_NS_PER_S + now.tv_nsec;
}

struct dk_mono dk_mono_now(void)
{
    return (struct dk_mono){read_clock_ns(CLOCK_MONOTONIC)};
}

struct dk_wall dk_wall_now(void)
{
    return (struct dk_wall){read_clock_ns(CLOCK_REALTIME)};
}

int64_t dk_mono_diff_ns(struct dk_mono later, struct dk_mono earlier)
{
    return later.ns - earlier.ns;
}

struct dk_mono dk_mono_add_ns(struct dk_mono from, int64_t delta_ns)
{
    return (struct dk_mono){from.ns + delta_ns};
}

void dk_wall_rfc3339(struct dk_wall when, char out[static DK_RFC3339_SIZE])
{
    time_t seconds = (time_t)(when.ns / DK_NS_PER_S);
    unsigned milliseconds = (unsigned)(when.ns % DK_NS_PER_S / DK_NS_PER_MS);
    struct tm parts = {0};
    char date[24] = "";

    gmtime_r(&seconds, &parts);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out, DK_RFC3339_SIZE, "%s.%03uZ", date, milliseconds % 1000);
}

bool dk_wall_parse(const char *text, struct dk_wall *out)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    int digits[sizeof shape] = {0};

    if (strlen(text) != sizeof shape - 1)
        return false;
    for (size_t i = 0; i < sizeof shape - 1; i++) {
        if (shape[i] != 'd') {
            if (text[i] != shape[i])
                return false;
        } else if (text[i] < '0' || text[i] > '9') {
            return false;
        } else {
            digits[i] = text[i] - '0';
        }
    }

    struct tm parts = {
        .tm_year = digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3] - 1900,
        .tm_mon = digits[5] * 10 + digits[6] - 1,
        .tm_mday = digits[8] * 10 + digits[9],
        .tm_hour = digits[11] * 10 + digits[12],
        .tm_min = digits[14] * 10 + digits[15],
        .tm_sec = digits[17] * 10 + digits[18],
    };
    int milliseconds = digits[20] * 100 + digits[21] * 10 + digits[22];
    struct tm normal = parts;
    int64_t seconds = (int64_t)timegm(&normal);

    // timegm() carries 31 February over to March: what comes back changed was not a date.
    if (parts.tm_year < 70 || normal.tm_mon != parts.tm_mon || normal.tm_mday != parts.tm_mday ||
        normal.tm_hour != parts.tm_hour || normal.tm_min != parts.tm_min || normal.tm_sec != parts.tm_sec)
        return false;
    // int64 nanoseconds end in 2262.
    if (seconds > INT64_MAX / DK_NS_PER_S - 1)
        return false;
    out->ns = seconds * DK_NS_PER_S + milliseconds * DK_NS_PER_MS;
    return true;
}
