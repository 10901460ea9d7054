// SPDX-License-Identifier: Apache-2.0
//
// A chain with its receipts: a measurement, a change of key, a record by the new key. Whichever bit of that file is
// flipped, `dokiem verify` says so. It also ends in order when an allocation fails. One bit, or allocation, in 500,
// drawn at random; every one with DOKIEM_LONG=1.
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/record/rotation.h"
#include "agent/record/seal.h"
#include "agent/verbs/verbs.h"
#include "tests/faults/inject.h"
#include "tests/faults/memory.h"
#include "tests/harness/harness.h"
#include "tests/sample/sample.h"

enum { FILE_MAX_BYTES = 1 << 20, RECORDS = 3, BAD_DATA = 65 };

static struct dk_key *keys[2], *collector;
static int nothing;     // /dev/null
static int64_t *shared; // with child processes

static void add_receipt(const struct dk_record_facts *facts, const char *sha256, struct dk_buf *out)
{
    dk_auto_buf struct dk_buf payload = dk_buf_make(4096);

    CU_ASSERT_EQUAL_FATAL(
        dk_buf_printf(&payload,
                      "{\"schema\":\"dokiem.receipt/1\",\"record_sha256\":\"%s\",\"id\":\"%s\",\"device\":\"%s\","
                      "\"seq\":%" PRId64 ",\"received\":\"2026-11-20T04:05:06.789Z\",\"last_seq\":%" PRId64 "}",
                      sha256, facts->id, facts->device_id, facts->seq, facts->seq),
        DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_seal(collector, DK_TYP_RECEIPT, payload.data, payload.len, out, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_buf_append(out, "\n", 1), DK_OK);
}

// Adds the record with its place in the chain, and its receipt.
static void add_record(struct dk_record_facts *facts, int64_t seq, struct dk_buf *out)
{
    static char prev[DK_SHA256_TEXT_SIZE];

    if (seq == 1)
        prev[0] = '\0';

    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_RECORD_MAX_BYTES), jws = dk_buf_make(DK_JWS_MAX_BYTES);
    dk_auto_buf struct dk_buf jwk = dk_buf_make(1000), proof = dk_buf_make(DK_ROTATION_PROOF_MAX);

    facts->seq = seq;
    CU_ASSERT_EQUAL_FATAL(dk_uuid7(facts->start, facts->id), DK_OK);
    snprintf(facts->prev, sizeof facts->prev, "%s", prev);
    snprintf(facts->device_id, sizeof facts->device_id, "%s", dk_key_id(keys[0]));
    if (facts->kind == DK_KIND_ROTATION) {
        CU_ASSERT_EQUAL_FATAL(dk_key_public_jwk(keys[1], &jwk), DK_OK);
        CU_ASSERT_EQUAL_FATAL(
            dk_rotation_prove(keys[1], &(struct dk_rotation_place){facts->device_id, dk_key_id(keys[0]), seq, prev},
                              &proof, NULL),
            DK_OK);
        facts->new_jwk = dk_buf_text(&jwk);
        facts->new_proof = dk_buf_text(&proof);
    }
    CU_ASSERT_EQUAL_FATAL(dk_record_build(facts, &payload, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_seal(keys[seq > 2], DK_TYP_RECORD, payload.data, payload.len, &jws, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_sha256_text(jws.data, jws.len, prev), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_buf_append(out, jws.data, jws.len), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_buf_append(out, "\n", 1), DK_OK);
    add_receipt(facts, prev, out);
}

static void make_chain(struct dk_buf *out)
{
    struct dk_sample sample;

    dk_sample_make(&sample, DK_TECHNOLOGY_4G, 54321000);
    sample.measurement.download.series.count = sample.measurement.upload.series.count = 3;

    struct dk_record_facts rotation = {.kind = DK_KIND_ROTATION,
                                       .version = "1",
                                       .start = sample.facts.start,
                                       .end = sample.facts.end,
                                       .context = sample.facts.context};
    struct dk_record_facts skipped = sample.facts;

    skipped.kind = DK_KIND_SKIPPED;
    skipped.validity = NULL;
    skipped.verdict = NULL;
    snprintf(skipped.reason, sizeof skipped.reason, "a test");
    add_record(&sample.facts, 1, out);
    add_record(&rotation, 2, out);
    add_record(&skipped, 3, out);
    dk_measurement_free(&sample.measurement);
}

static void keep(const char *name, const struct dk_key *key)
{
    dk_auto_buf struct dk_buf jwk = dk_buf_make(1000);

    CU_ASSERT_EQUAL_FATAL(dk_key_public_jwk(key, &jwk), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_file_write(dk_harness_directory(), name, jwk.data, jwk.len, DK_WRITE_NEW, NULL), DK_OK);
}

// What the command says of the file, as its exit status. It confines its process, so it has one of its own. With a
// plan, *calls gets how many allocations there were, 0 when it ended before it could say.
static int verify(const char *data, size_t len, const struct inject *plan, int64_t *calls)
{
    char path[PATH_MAX], key[PATH_MAX], collector_key[PATH_MAX];
    const char *folder = dk_harness_directory();
    char *arguments[] = {(char[]){"verify"},          (char[]){"--key"}, key, (char[]){"--collector-key"},
                         collector_key, path,         NULL};

    snprintf(path, sizeof path, "%s/chain.jws", folder);
    snprintf(key, sizeof key, "%s/device.jwk", folder);
    snprintf(collector_key, sizeof collector_key, "%s/collector.jwk", folder);

    int fd = openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CU_ASSERT_FATAL(fd >= 0 && write(fd, data, len) == (ssize_t)len && close(fd) == 0);
    (void)fflush(stdout);
    *shared = 0;

    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        dup2(nothing, STDOUT_FILENO);
        dup2(nothing, STDERR_FILENO);
        inject_start("verify", plan);
        status = dk_verb_verify(6, arguments);
        *shared = inject_stop();
        _exit(status);
    }
    CU_ASSERT_FATAL(child > 0 && waitpid(child, &status, 0) == child);
    *calls = *shared;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int verify_simply(const struct dk_buf *chain)
{
    int64_t calls;

    return verify(chain->data, chain->len, &(struct inject){0}, &calls);
}

// One in how many is tried.
static int64_t share(void)
{
    const char *text = getenv("DOKIEM_LONG");

    return text != NULL && strcmp(text, "1") == 0 ? 1 : 500;
}

static void begin(struct dk_buf *chain)
{
    nothing = openat(AT_FDCWD, "/dev/null", O_WRONLY | O_CLOEXEC);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(nothing >= 0 && shared != MAP_FAILED);
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&keys[0], NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&keys[1], NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&collector, NULL), DK_OK);
    keep("device.jwk", keys[0]);
    keep("collector.jwk", collector);
    make_chain(chain);
    CU_ASSERT_EQUAL_FATAL(verify_simply(chain), 0);
}

static void end(void)
{
    for (size_t i = 0; i < 2; i++)
        dk_key_free(keys[i]);
    dk_key_free(collector);
    close(nothing);
    munmap(shared, sizeof *shared);
}

static void every_flipped_bit_is_found(void)
{
    dk_auto_buf struct dk_buf chain = dk_buf_make(FILE_MAX_BYTES);
    int64_t tried = 0, missed = 0;

    begin(&chain);
    for (size_t bit = 0; bit < chain.len * 8; bit++) {
        char *at = &chain.data[bit / 8], before = *at;

        if (dk_random_between(1, share()) != 1)
            continue;
        *at = (char)(before ^ 1 << bit % 8);

        int status = verify_simply(&chain);

        tried++;
        missed += status != BAD_DATA;
        if (status != BAD_DATA)
            printf("    bit %zu of byte %zu: exit status %d\n", bit % 8, bit / 8, status);
        *at = before;
    }
    CU_ASSERT_EQUAL(verify_simply(&chain), 0);
    CU_ASSERT_EQUAL(missed, 0);
    printf("    %d records, each with its receipt, %zu bytes: %" PRId64 " bits flipped, %" PRId64 " missed\n", RECORDS,
           chain.len, tried, missed);
    end();
}

static void verify_ends_in_order_without_memory(void)
{
    dk_auto_buf struct dk_buf chain = dk_buf_make(FILE_MAX_BYTES);
    int64_t counted = 0, tried = 0, told_bad = 0;

    begin(&chain);
    for (int ever = 0; ever <= 1; ever++)
        for (int64_t at = 0; at == 0 || at <= counted; at++) {
            const struct inject plan = {.at = at, .times = ever ? INJECT_FOR_EVER : 1, .allocations = true};

            if (at > 0 && dk_random_between(1, share()) != 1)
                continue;

            int64_t calls = 0;
            int status = verify(chain.data, chain.len, &plan, &calls);

            counted = at == 0 ? calls : counted;
            tried += at > 0;
            told_bad += status == BAD_DATA;
            // What it says when it says something: any status of sysexits.h.
            CU_ASSERT(status == 0 || (at > 0 && status >= 64 && status <= 78));
        }
    CU_ASSERT(counted > 1000);
    printf("    %" PRId64 " allocations, %" PRId64 " faults tried, %" PRId64 " told as bad data\n", counted, tried,
           told_bad);
    end();
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(every_flipped_bit_is_found),
                                          DK_CASE(verify_ends_in_order_without_memory), {0}};

    memory_start();

    return dk_harness_main(argc, argv, "flips", cases);
}
