// SPDX-License-Identifier: Apache-2.0
//
// Loads a collector: load prepare STORE FOLDER DEVICES RECORDS PAYLOAD enrols DEVICES devices with real keys and writes
// a chain of RECORDS records of each into FOLDER; PAYLOAD is a record's payload to vary, or "-" for a small one.
// load send PORT FOLDER BATCH CONNECTIONS posts them, BATCH records a request, over kept connections, and prints
// {"records", "bytes", "ns", "requests", "p50_ns", "p99_ns", "max_ns"} of what was answered 201 for every record.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/sha256.h"
#include "agent/record/record.h"
#include "agent/record/seal.h"
#include "collector/records.h"
#include "collector/store.h"

enum { CONNECTIONS_MAX = 64, ANSWER_BYTES = 2 << 20, BATCH_MAX = 1000 };

static void die(const char *what)
{
    fprintf(stderr, "load: %s (%s)\n", what, strerror(errno));
    exit(1);
}

static void must(enum dk_err err, const struct dk_fault *fault)
{
    if (err != DK_OK) {
        fprintf(stderr, "load: %s: %s\n", fault->where, fault->what);
        exit(1);
    }
}

static int64_t number(const char *text)
{
    int64_t value = 0;

    if (!dk_parse_i64(text, 1, 100000000, &value))
        die("a number is wrong");
    return value;
}

static json_t *small_payload(void)
{
    return json_pack("{s:s, s:s, s:i, s:n, s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s}}", "schema", DK_RECORD_SCHEMA, "id", "",
                     "seq", 1, "prev", "kind", "skipped", "reason", "a load", "device", "id", "", "software", "dokiem",
                     "time", "start", "2026-11-20T04:05:06.789Z", "end", "2026-11-20T04:05:07.000Z");
}

static void make_chain(struct dk_store *store, const char *folder, int64_t index, int64_t records, json_t *payload)
{
    struct dk_fault fault = {0};
    struct dk_device row = {.state = DK_DEVICE_APPROVED, .enrolled = dk_wall_now()};
    dk_auto_buf struct dk_buf jwk = dk_buf_make(DK_JWK_SIZE - 1);
    dk_auto(key) struct dk_key *key = NULL;
    char path[4096], id[DK_UUID_SIZE], prev[DK_SHA256_TEXT_SIZE];

    must(dk_key_generate(&key, &fault), &fault);
    must(dk_key_public_jwk(key, &jwk), &fault);
    snprintf(row.id, sizeof row.id, "%s", dk_key_id(key));
    snprintf(row.jwk, sizeof row.jwk, "%s", dk_buf_text(&jwk));
    must(dk_store_put_device(store, &row, &fault), &fault);
    snprintf(path, sizeof path, "%s/%05lld", folder, (long long)index);

    FILE *out = fopen(path, "w");

    if (out == NULL)
        die(path);
    (void)json_object_set_new(json_object_get(payload, "device"), "id", json_string(row.id));
    (void)json_object_set_new(payload, "prev", json_null());
    for (int64_t seq = 1; seq <= records; seq++) {
        dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES);

        must(dk_uuid7(dk_wall_now(), id), &fault);
        (void)json_object_set_new(payload, "id", json_string(id));
        (void)json_object_set_new(payload, "seq", json_integer(seq));

        char *text = json_dumps(payload, JSON_COMPACT);

        if (text == NULL)
            die("memory");
        must(dk_seal(key, DK_TYP_RECORD, text, strlen(text), &jws, &fault), &fault);
        free(text);
        must(dk_sha256_text(jws.data, jws.len, prev), &fault);
        (void)json_object_set_new(payload, "prev", json_string(prev));
        fprintf(out, "%s\n", dk_buf_text(&jws));
    }
    if (fclose(out) != 0)
        die(path);
}

static void prepare(char **argument)
{
    struct dk_fault fault = {0};
    dk_auto(store) struct dk_store *store = NULL;
    int64_t devices = number(argument[2]), records = number(argument[3]);
    json_t *payload =
        strcmp(argument[4], "-") == 0 ? small_payload() : json_load_file(argument[4], JSON_REJECT_DUPLICATES, NULL);

    if (payload == NULL)
        die(argument[4]);
    must(dk_store_open(argument[0], &store, &fault), &fault);
    for (int64_t i = 0; i < devices; i++)
        make_chain(store, argument[1], i, records, payload);
    json_decref(payload);
}

// A device's chain that is being sent.
struct chain {
    const char *at, *end;
};

struct sender {
    struct chain *chains;
    size_t device, devices, stride; // the next of its devices
    int fd;
    struct dk_buf request;
    size_t sent, lines, bytes; // of the request that is on its way
    struct dk_buf answer;
    struct dk_mono begun;
    bool done;
};

struct totals {
    int64_t records, bytes, requests;
    int64_t *took_ns; // of each request
};

static bool next_batch(struct sender *sender, size_t batch)
{
    char head[256];

    while (sender->device < sender->devices && sender->chains[sender->device].at == sender->chains[sender->device].end)
        sender->device += sender->stride;
    if (sender->device >= sender->devices)
        return false;

    struct chain *chain = &sender->chains[sender->device];
    const char *from = chain->at;

    sender->lines = 0;
    while (chain->at < chain->end && sender->lines < batch) {
        const char *line_end = (const char *)memchr(chain->at, '\n', (size_t)(chain->end - chain->at)) + 1;

        if (line_end - from > DK_BODY_MAX_BYTES)
            break;
        chain->at = line_end;
        sender->lines++;
    }
    // The devices take turns.
    sender->device = sender->device + sender->stride;
    if (sender->device >= sender->devices)
        sender->device %= sender->stride;
    sender->bytes = (size_t)(chain->at - from);
    sender->sent = 0;
    dk_buf_free(&sender->request);
    dk_buf_free(&sender->answer);
    snprintf(head, sizeof head,
             "POST /v1/records HTTP/1.1\r\nHost: load\r\nContent-Type: application/jose\r\nContent-Length: %zu\r\n\r\n",
             sender->bytes);
    if (dk_buf_append(&sender->request, head, strlen(head)) != DK_OK ||
        dk_buf_append(&sender->request, from, sender->bytes) != DK_OK)
        die("memory");
    sender->begun = dk_mono_now();
    return true;
}

static bool answer_is_whole(const struct dk_buf *answer)
{
    static const char length[] = "Content-Length: ";
    const char *text = dk_buf_text(answer), *end = strstr(text, "\r\n\r\n"), *said = strstr(text, length);
    char digits[20];
    int64_t bytes = 0;

    if (end == NULL || said == NULL)
        return false;
    said += sizeof length - 1;
    snprintf(digits, sizeof digits, "%.*s", (int)strspn(said, "0123456789"), said);
    return dk_parse_i64(digits, 0, ANSWER_BYTES, &bytes) && answer->len >= (size_t)(end + 4 - text) + (size_t)bytes;
}

static void check_answer(const struct sender *sender)
{
    size_t stored = 0;
    const char *text = dk_buf_text(&sender->answer);

    for (const char *at = text; (at = strstr(at, "\"status\":201")) != NULL; at++)
        stored++;
    if (stored != sender->lines) {
        fprintf(stderr, "load: %zu of %zu stored: %.400s\n", stored, sender->lines, text);
        exit(1);
    }
}

static void move(struct sender *sender, short events, struct totals *totals, size_t batch)
{
    char block[65536];

    if ((events & POLLOUT) != 0 && sender->sent < sender->request.len) {
        ssize_t n = send(sender->fd, sender->request.data + sender->sent, sender->request.len - sender->sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            die("send");
        sender->sent += n > 0 ? (size_t)n : 0;
    }
    if ((events & (POLLIN | POLLHUP | POLLERR)) == 0)
        return;

    ssize_t n = recv(sender->fd, block, sizeof block, MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN))
        die("the collector closed");
    if (n < 0)
        return;
    if (dk_buf_append(&sender->answer, block, (size_t)n) != DK_OK)
        die("memory");
    if (!answer_is_whole(&sender->answer))
        return;
    check_answer(sender);
    totals->took_ns[totals->requests++] = dk_mono_diff_ns(dk_mono_now(), sender->begun);
    totals->records += (int64_t)sender->lines;
    totals->bytes += (int64_t)sender->bytes;
    sender->done = !next_batch(sender, batch);
}

static int by_size(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static size_t map_chains(const char *folder, struct chain **out)
{
    size_t count = 0;
    struct chain *chains = NULL;

    for (;; count++) {
        char path[4096];
        struct stat status;

        snprintf(path, sizeof path, "%s/%05zu", folder, count);

        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
            break;
        chains = realloc(chains, (count + 1) * sizeof *chains);
        if (chains == NULL || fstat(fd, &status) != 0)
            die("memory");

        char *map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);

        if (map == MAP_FAILED)
            die("mmap");
        chains[count] = (struct chain){map, map + status.st_size};
        close(fd);
    }
    *out = chains;
    return count;
}

static size_t open_senders(uint16_t port, struct chain *chains, size_t devices, size_t connections, size_t batch,
                           struct sender *senders)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    size_t count = connections < devices ? connections : devices;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < count; i++) {
        senders[i] = (struct sender){.chains = chains,
                                     .device = i,
                                     .devices = devices,
                                     .stride = count,
                                     .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                                     .request = dk_buf_make(DK_BODY_MAX_BYTES + 1024),
                                     .answer = dk_buf_make(ANSWER_BYTES)};
        if (senders[i].fd < 0 || connect(senders[i].fd, (struct sockaddr *)&address, sizeof address) != 0)
            die("connect");
        senders[i].done = !next_batch(&senders[i], batch);
    }
    return count;
}

static void send_all(char **argument)
{
    struct chain *chains = NULL;
    struct sender senders[CONNECTIONS_MAX];
    struct pollfd fds[CONNECTIONS_MAX];
    struct totals totals = {.took_ns = calloc(10000000, sizeof(int64_t))};
    size_t batch = (size_t)number(argument[2]), connections = (size_t)number(argument[3]);
    size_t devices = map_chains(argument[1], &chains);

    if (connections > CONNECTIONS_MAX || batch > BATCH_MAX || totals.took_ns == NULL)
        die("at most 64 connections, 1000 records a request");

    struct dk_mono begun = dk_mono_now();
    size_t count = open_senders((uint16_t)number(argument[0]), chains, devices, connections, batch, senders);

    for (size_t open = count; open > 0;) {
        open = 0;
        for (size_t i = 0; i < count; i++) {
            bool sending = senders[i].sent < senders[i].request.len;

            fds[i] = (struct pollfd){.fd = senders[i].done ? -1 : senders[i].fd,
                                     .events = (short)(POLLIN | (sending ? POLLOUT : 0))};
            open += !senders[i].done;
        }
        if (open > 0 && poll(fds, (nfds_t)count, 60000) <= 0)
            die("the collector does not answer");
        for (size_t i = 0; i < count; i++)
            if (fds[i].fd >= 0 && fds[i].revents != 0)
                move(&senders[i], fds[i].revents, &totals, batch);
    }

    int64_t ns = dk_mono_diff_ns(dk_mono_now(), begun), last = totals.requests - 1;

    qsort(totals.took_ns, (size_t)totals.requests, sizeof *totals.took_ns, by_size);
    printf("{\"records\":%lld,\"bytes\":%lld,\"ns\":%lld,\"requests\":%lld,\"p50_ns\":%lld,\"p99_ns\":%lld,"
           "\"max_ns\":%lld}\n",
           (long long)totals.records, (long long)totals.bytes, (long long)ns, (long long)totals.requests,
           (long long)totals.took_ns[last / 2], (long long)totals.took_ns[last * 99 / 100],
           (long long)totals.took_ns[last]);
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "prepare") == 0)
        prepare(argv + 2);
    else if (argc == 6 && strcmp(argv[1], "send") == 0)
        send_all(argv + 2);
    else
        die("see the first lines of load.c");
    return 0;
}
