// SPDX-License-Identifier: Apache-2.0
//
// assess_data FOLDER records|rows|csv COUNT: samples for tests/evidence/assess.py and tests/bench/assess.py, on
// standard output; of records, the key is left as FOLDER/key.jwk.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/assess/row.h"
#include "agent/base/file.h"
#include "agent/record/key.h"
#include "agent/record/seal.h"
#include "tests/sample/sample.h"

#define BEGIN_NS (INT64_C(1793466000000) * DK_NS_PER_MS) // 2026-11-01 in Vietnam

enum { SITES = 40 };

// Numbers that look drawn and come out the same each time.
static uint64_t draw(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static void identify(int64_t number, struct dk_wall start, char out[static DK_UUID_SIZE])
{
    uint64_t ms = (uint64_t)(start.ns / DK_NS_PER_MS);

    snprintf(out, DK_UUID_SIZE, "%08" PRIx64 "-%04" PRIx64 "-7%03x-8%03x-%012" PRIx64, ms >> 16 & UINT32_MAX,
             ms & 0xffff, (unsigned)(number >> 12 & 0xfff), (unsigned)(number & 0xfff),
             (uint64_t)number & UINT64_C(0xffffffffffff));
}

static struct dk_wall start_of(int64_t number, int64_t count)
{
    return (struct dk_wall){BEGIN_NS + number * (INT64_C(29) * 86400 * 1000 / count) * DK_NS_PER_MS};
}

static int fail(const struct dk_fault *fault)
{
    fprintf(stderr, "assess_data: %s: %s\n", fault->where, fault->what);
    return 1;
}

static int print_records(const char *folder, int64_t count)
{
    struct dk_sample sample;
    struct dk_fault fault = {0};
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_RECORD_MAX_BYTES);
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES);
    uint64_t state = 1;
    enum dk_err err = dk_key_generate(&key, &fault);

    if (err == DK_OK)
        err = dk_key_public_jwk(key, &jws);
    if (err == DK_OK)
        err = dk_file_write(folder, "key.jwk", jws.data, jws.len, DK_WRITE_REPLACE, &fault);
    dk_sample_make(&sample, DK_TECHNOLOGY_4G, 60000000);
    for (int64_t i = 0; i < count && err == DK_OK; i++) {
        char site[16];
        struct dk_wall start = start_of(i, count);

        identify(i, start, sample.facts.id);
        snprintf(site, sizeof site, "DLK-%04d", (int)(i % SITES));
        snprintf(sample.facts.device_id, sizeof sample.facts.device_id, "%s", dk_key_id(key));
        sample.facts.site_code = site;
        sample.facts.seq = i + 1;
        if (i == 0)
            sample.facts.prev[0] = '\0';
        else
            memcpy(sample.facts.prev, sample.facts.device_id, sizeof sample.facts.prev);
        sample.facts.start = start;
        sample.facts.end.ns = start.ns + 20 * DK_NS_PER_S;
        sample.facts.duration_ns = 20 * DK_NS_PER_S;
        sample.measurement.download.rate_bps = 20000000 + (int64_t)(draw(&state) % 60000000);
        payload.len = jws.len = 0;
        err = dk_record_build(&sample.facts, &payload, &fault);
        if (err == DK_OK)
            err = dk_seal(key, DK_TYP_RECORD, payload.data, payload.len, &jws, &fault);
        if (err == DK_OK)
            puts(dk_buf_text(&jws));
    }
    dk_measurement_free(&sample.measurement);
    return err == DK_OK ? 0 : fail(&fault);
}

// The value of a name of the row, as text; false when it is left out.
static bool value_of(const char *name, int64_t number, int64_t count, uint64_t *state, char *out, size_t size,
                     bool *is_text)
{
    struct dk_wall start = start_of(number / SITES * SITES, count);
    char id[DK_UUID_SIZE], when[DK_RFC3339_SIZE];

    *is_text = true;
    dk_wall_rfc3339(start, when);
    identify(number, start, id);
    if (strcmp(name, "schema") == 0)
        snprintf(out, size, "%s", DK_ROW_SCHEMA);
    else if (strcmp(name, "id") == 0)
        snprintf(out, size, "%s", id);
    else if (strcmp(name, "kind") == 0)
        snprintf(out, size, "measurement");
    else if (strcmp(name, "time.start") == 0)
        snprintf(out, size, "%s", when);
    else if (strcmp(name, "device.id") == 0)
        snprintf(out, size, "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hS%03d", (int)(number % SITES));
    else if (strcmp(name, "site.code") == 0)
        snprintf(out, size, "DLK-%04d", (int)(number % SITES));
    else if (strcmp(name, "site.name") == 0)
        snprintf(out, size, "Nhà văn hóa thôn %d", (int)(number % SITES));
    else if (strcmp(name, "site.commune") == 0)
        snprintf(out, size, "Ea Tul");
    else if (strcmp(name, "link.operator") == 0)
        snprintf(out, size, "Viettel");
    else if (strcmp(name, "site.environment") == 0)
        snprintf(out, size, "%s", number % 3 == 0 ? "indoor" : number % 3 == 1 ? "outdoor" : "moving");
    else if (strcmp(name, "link.technology") == 0)
        snprintf(out, size, "4g");
    else if (strcmp(name, "validity.state") == 0)
        snprintf(out, size, "valid");
    else if (strstr(name, ".status") != NULL)
        snprintf(out, size, "ok");
    else
        *is_text = false;
    if (*is_text)
        return true;
    if (strcmp(name, "time.duration_ns") == 0)
        snprintf(out, size, "1000000000");
    else if (strncmp(name, "site.", 5) != 0 && strstr(name, "_bps") != NULL)
        snprintf(out, size, "%" PRId64, (int64_t)(20000000 + draw(state) % 60000000));
    else if (strcmp(name, "latency.idle.rtt_median_ns") == 0 || strcmp(name, "server.access_ns") == 0)
        snprintf(out, size, "%" PRId64, (int64_t)(20000000 + draw(state) % 30000000));
    else
        return false;
    return true;
}

static int print_rows(int64_t count, bool csv)
{
    uint64_t state = 1;

    for (size_t i = 0; csv && dk_row_name(i) != NULL; i++)
        printf("%s%s%s", i > 0 ? "," : "", dk_row_name(i), dk_row_name(i + 1) == NULL ? "\n" : "");
    for (int64_t number = 0; number < count; number++) {
        const char *between = "";

        if (!csv)
            putchar('{');
        for (size_t i = 0; dk_row_name(i) != NULL; i++) {
            char value[128] = "";
            bool is_text = false;
            bool known = value_of(dk_row_name(i), number, count, &state, value, sizeof value, &is_text);

            if (csv)
                printf("%s%s", i > 0 ? "," : "", value);
            else if (known)
                printf(is_text ? "%s\"%s\":\"%s\"" : "%s\"%s\":%s", between, dk_row_name(i), value);
            between = known ? "," : between;
        }
        puts(csv ? "" : "}");
    }
    return 0;
}

int main(int argc, char **argv)
{
    int64_t count = argc == 4 ? strtoll(argv[3], NULL, 10) : 0;

    if (count < 1 || (strcmp(argv[2], "records") != 0 && strcmp(argv[2], "rows") != 0 && strcmp(argv[2], "csv") != 0)) {
        fprintf(stderr, "usage: assess_data FOLDER records|rows|csv COUNT\n");
        return 64;
    }
    return strcmp(argv[2], "records") == 0 ? print_records(argv[1], count)
                                           : print_rows(count, strcmp(argv[2], "csv") == 0);
}
