// SPDX-License-Identifier: Apache-2.0
//
// dokiem-collector: receives the records of devices, verifies and stores them, gives receipts.
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/base64url.h"
#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/language.h"
#include "agent/base/parse.h"
#include "agent/base/sandbox.h"
#include "agent/base/sha256.h"
#include "agent/record/key.h"
#include "agent/record/seal.h"
#include "agent/record/signer.h"
#include "collector/check.h"
#include "collector/devices.h"
#include "collector/http.h"
#include "collector/store.h"

enum { KEYS_MAX_BYTES = 64 << 20, PEM_MAX_BYTES = 256 << 10 };

struct arguments {
    const char *listen, *store, *key, *read_token_file, *since, *until, *replaces, *tls_cert, *tls_key;
    int64_t rate, timeout_ns, expires_ns, after;
    bool approve, receipts, help;
    const char *command; // "" to serve
    const char *operand; // NULL when there is none
};

static const char usage[] = N_(
    "usage: dokiem-collector --listen ADDR:PORT --store sqlite:PATH --key FILE\n"
    "       dokiem-collector COMMAND [--store sqlite:PATH] [--key FILE]\n"
    "\n"
    "  (no command)     receives records and answers with receipts\n"
    "  keygen           makes the key of --key; prints its id\n"
    "  token            prints a one-time token that enrols one device\n"
    "  devices          lists the devices\n"
    "  approve ID       lets a device deliver\n"
    "  revoke ID        lets it deliver no more; its records are not believed --since DATE (default now)\n"
    "  keys export      prints the public keys with their validity, for dokiem verify; with --key the collector's too\n"
    "  evidence ID      prints both sides of each fork of a device's chain\n"
    "  export [ID]      prints the records, of one device or of all, as they came, one a line\n"
    "  check            says whether all that is kept is as it was received; with --key the receipts too\n"
    "  version          prints the version\n"
    "\n"
    "  --listen ADDR:PORT   127.0.0.1:8080, [::1]:8080; port 0 takes a free one and says which\n"
    "  --store sqlite:PATH  the database; made when it is missing\n"
    "  --key FILE           the collector's private key (PEM, mode 0600)\n"
    "  --read-token FILE    who reads records and devices must send this token (Authorization: Bearer);\n"
    "                       without it only clients on this machine may read\n"
    "  --tls-cert FILE      speaks TLS (1.2, 1.3): the certificate and its chain (PEM), read at the start\n"
    "  --tls-key FILE       the certificate's key (PEM, not for others to read)\n"
    "  --rate N             requests a second that one address, or one device, may make (default 20, 0: no limit)\n"
    "  --timeout TIME       within which a request must be complete (default 60s)\n"
    "  --expires TIME       of a token: a number and s, m, h or d (default 24h)\n"
    "  --approve            of a token: the device it enrols may deliver at once\n"
    "  --since DATE         of revoke and export: 2026-11-20T04:05:06.789Z\n"
    "  --until DATE         of export: what came before\n"
    "  --after CURSOR       of export: what came after the one that printed this cursor (stderr)\n"
    "  --receipts           of export: each record is followed by its receipt\n"
    "  --replaces ID        of approve: the device whose place it takes, which is then revoked\n");

static int fail(const struct dk_fault *fault)
{
    fprintf(stderr, "dokiem-collector: %s%s%s%s%s\n", fault->where, fault->where[0] != '\0' ? ": " : "",
            fault->what, fault->todo[0] != '\0' ? "; " : "", fault->todo);
    return dk_err_exit_status(fault->err);
}

static void say(const struct dk_fault *fault)
{
    (void)fail(fault);
}

static enum dk_err read_time(const char *option, const char *text, int64_t *out_ns, struct dk_fault *fault)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char number[16];
    size_t len = strlen(text);
    int64_t count;

    for (size_t i = 0; len > 1 && len < sizeof number && i < sizeof units / sizeof units[0]; i++) {
        if (text[len - 1] != units[i].letter)
            continue;
        snprintf(number, sizeof number, "%.*s", (int)len - 1, text);
        if (dk_parse_i64(number, 1, 366 * 86400 / units[i].seconds, &count)) {
            *out_ns = count * units[i].seconds * DK_NS_PER_S;
            return DK_OK;
        }
    }
    return dk_fail(fault, DK_ERR_USAGE, option, NULL,
                   "'%s' is not allowed; allowed: a number and s, m, h or d, from 1s to 366d, as in 24h",
                   text);
}

static enum dk_err read_option(int option, const char *where, struct arguments *out, struct dk_fault *fault)
{
    switch (option) {
    case 'l':
        out->listen = optarg;
        return DK_OK;
    case 's':
        out->store = optarg;
        return DK_OK;
    case 'k':
        out->key = optarg;
        return DK_OK;
    case 'r':
        out->read_token_file = optarg;
        return DK_OK;
    case 'R':
        return dk_parse_i64(optarg, 0, 1000000, &out->rate)
                   ? DK_OK
                   : dk_fail(fault, DK_ERR_USAGE, "--rate", NULL,
                             "'%s' is not allowed; allowed: 0 to 1000000", optarg);
    case 't':
        return read_time("--timeout", optarg, &out->timeout_ns, fault);
    case 'e':
        return read_time("--expires", optarg, &out->expires_ns, fault);
    case 'a':
        out->approve = true;
        return DK_OK;
    case 'i':
        out->since = optarg;
        return DK_OK;
    case 'p':
        out->replaces = optarg;
        return DK_OK;
    case 'u':
        out->until = optarg;
        return DK_OK;
    case 'c':
        out->tls_cert = optarg;
        return DK_OK;
    case 'C':
        out->tls_key = optarg;
        return DK_OK;
    case 'w':
        out->receipts = true;
        return DK_OK;
    case 'A':
        return dk_parse_i64(optarg, 0, INT64_MAX, &out->after)
                   ? DK_OK
                   : dk_fail(fault, DK_ERR_USAGE, "--after", NULL, "'%s' is not a number from 0", optarg);
    case 'h':
        out->help = true;
        return DK_OK;
    default:
        return dk_fail(fault, DK_ERR_USAGE, where, "see: dokiem-collector --help",
                       "is unknown or lacks its value");
    }
}

// A device's id may begin with '-' (one in 64 does) and must not be taken for an option: it is taken out of
// argv.
static const char *take_dashed_id(int *argc, char **argv)
{
    uint8_t hash[DK_SHA256_SIZE];

    for (int i = 1; i < *argc; i++) {
        char *id = argv[i];

        if (id[0] != '-' || !dk_base64url_decode_exact(id, strlen(id), hash, sizeof hash))
            continue;
        (*argc)--;
        for (int j = i; j < *argc; j++)
            argv[j] = argv[j + 1];
        argv[*argc] = NULL;
        return id;
    }
    return NULL;
}

static enum dk_err read_arguments(int argc, char **argv, struct arguments *out, struct dk_fault *fault)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"store", required_argument, NULL, 's'},
        {"key", required_argument, NULL, 'k'},
        {"read-token", required_argument, NULL, 'r'},
        {"rate", required_argument, NULL, 'R'},
        {"timeout", required_argument, NULL, 't'},
        {"expires", required_argument, NULL, 'e'},
        {"approve", no_argument, NULL, 'a'},
        {"since", required_argument, NULL, 'i'},
        {"until", required_argument, NULL, 'u'},
        {"after", required_argument, NULL, 'A'},
        {"receipts", no_argument, NULL, 'w'},
        {"replaces", required_argument, NULL, 'p'},
        {"tls-cert", required_argument, NULL, 'c'},
        {"tls-key", required_argument, NULL, 'C'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };

    *out = (struct arguments){
        .command = "", .rate = 20, .timeout_ns = 60 * DK_NS_PER_S, .expires_ns = 86400 * DK_NS_PER_S};
    out->operand = take_dashed_id(&argc, argv);
    opterr = 0; // we say it ourselves
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'v') {
            out->command = "version";
            return DK_OK;
        }

        enum dk_err err = read_option(option, argv[optind - 1], out, fault);

        if (err != DK_OK)
            return err;
    }
    if (optind < argc)
        out->command = argv[optind++];
    if (optind < argc && out->operand == NULL)
        out->operand = argv[optind++];
    if (optind < argc)
        return dk_fail(fault, DK_ERR_USAGE, argv[optind], "see: dokiem-collector --help",
                       "is one word too many");
    return DK_OK;
}

static enum dk_err need(const char *option, const char *value, struct dk_fault *fault)
{
    return value != NULL ? DK_OK
                         : dk_fail(fault, DK_ERR_USAGE, option, "see: dokiem-collector --help", "is missing");
}

static enum dk_err open_store(const struct arguments *arguments, struct dk_store **store,
                              struct dk_fault *fault)
{
    enum dk_err err = need("--store", arguments->store, fault);

    return err == DK_OK ? dk_store_open(arguments->store, store, fault) : err;
}

static enum dk_err make_key(const struct arguments *arguments, struct dk_fault *fault)
{
    char folder[PATH_MAX] = ".";
    dk_auto(key) struct dk_key *key = NULL;
    enum dk_err err = need("--key", arguments->key, fault);

    if (err != DK_OK)
        return err;

    const char *slash = strrchr(arguments->key, '/');
    const char *name = slash != NULL ? slash + 1 : arguments->key;

    if (slash != NULL)
        snprintf(folder, sizeof folder, "%.*s", slash == arguments->key ? 1 : (int)(slash - arguments->key),
                 arguments->key);
    err = dk_key_generate(&key, fault);
    if (err == DK_OK)
        err = dk_key_write_private(key, folder, name, fault);
    if (err == DK_OK)
        printf("%s\n", dk_key_id(key));
    return err;
}

static enum dk_err make_token(const struct arguments *arguments, struct dk_fault *fault)
{
    char token[DK_TOKEN_SIZE];
    dk_auto(store) struct dk_store *store = NULL;
    enum dk_err err = open_store(arguments, &store, fault);

    if (err == DK_OK)
        err = dk_token_make(store, dk_wall_now(), arguments->expires_ns, arguments->approve, token, fault);
    if (err == DK_OK)
        printf("%s\n", token);
    return err;
}

static enum dk_err print_device(void *argument, const struct dk_device_summary *summary)
{
    char enrolled[DK_RFC3339_SIZE];
    const struct dk_device *device = &summary->device;

    (void)argument;
    dk_wall_rfc3339(device->enrolled, enrolled);
    // One chain cannot have two ends: an old copy of the journal is in use, or somebody else has the key.
    printf("%-43s  %-8s  %-24s  %8" PRId64 "  %8" PRId64 "  %6" PRId64 "  %6" PRId64 "  %s%s%s%s%s\n", device->id,
           summary->forks > 0 && strcmp(device->state, DK_DEVICE_APPROVED) == 0 ? "cloned?" : device->state, enrolled,
           summary->last_seq, summary->records, summary->gaps, summary->forks, device->site_code,
           device->site_name[0] != '\0' ? "  " : "", device->site_name,
           device->replaces[0] != '\0' ? "  replaces " : "", device->replaces);
    return DK_OK;
}

static enum dk_err list_devices(const struct arguments *arguments, struct dk_fault *fault)
{
    dk_auto(store) struct dk_store *store = NULL;
    enum dk_err err = open_store(arguments, &store, fault);

    if (err != DK_OK)
        return err;
    printf("%-43s  %-8s  %-24s  %8s  %8s  %6s  %6s  %s\n", "DEVICE", "STATE", "ENROLLED", "LAST_SEQ",
           "RECORDS", "GAPS", "FORKS", "SITE");
    return dk_store_devices(store, print_device, NULL, fault);
}

static enum dk_err approve_device(const struct arguments *arguments, struct dk_fault *fault)
{
    dk_auto(store) struct dk_store *store = NULL;
    enum dk_err err = need("ID", arguments->operand, fault);

    if (err == DK_OK)
        err = open_store(arguments, &store, fault);
    return err == DK_OK ? dk_device_approve(store, arguments->operand, arguments->replaces, dk_wall_now(), fault) : err;
}

static enum dk_err read_date(const char *option, const char *text, struct dk_wall *out, struct dk_fault *fault)
{
    return text == NULL || dk_wall_parse(text, out)
               ? DK_OK
               : dk_fail(fault, DK_ERR_USAGE, option, NULL,
                         "'%s' is not allowed; allowed: a UTC time like 2026-11-20T04:05:06.789Z", text);
}

static enum dk_err revoke_device(const struct arguments *arguments, struct dk_fault *fault)
{
    dk_auto(store) struct dk_store *store = NULL;
    struct dk_wall since = dk_wall_now();
    enum dk_err err = need("ID", arguments->operand, fault);

    if (err == DK_OK)
        err = read_date("--since", arguments->since, &since, fault);
    if (err == DK_OK)
        err = open_store(arguments, &store, fault);
    return err == DK_OK ? dk_device_revoke(store, arguments->operand, since, fault) : err;
}

static enum dk_err export_keys(const struct arguments *arguments, struct dk_fault *fault)
{
    dk_auto(store) struct dk_store *store = NULL;
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto_buf struct dk_buf out = dk_buf_make(KEYS_MAX_BYTES);
    enum dk_err err = arguments->operand != NULL && strcmp(arguments->operand, "export") == 0
                          ? DK_OK
                          : dk_fail(fault, DK_ERR_USAGE, "keys", NULL, "say: keys export");

    if (err == DK_OK && arguments->key != NULL)
        err = dk_key_read_private(arguments->key, &key, fault);
    if (err == DK_OK)
        err = open_store(arguments, &store, fault);
    if (err == DK_OK)
        err = dk_keys_export(store, key, &out, fault);
    if (err == DK_OK)
        printf("%s", dk_buf_text(&out));
    return err;
}

// The record that is kept, then the one that contradicts it.
static enum dk_err print_fork(void *argument, const struct dk_fork *fork)
{
    dk_auto_buf struct dk_buf kept = dk_buf_make(DK_JWS_MAX_BYTES);
    int64_t found = 0;
    enum dk_err err = dk_store_next_record(argument, fork->device, fork->kept_seq, &found, &kept, NULL);

    if (err == DK_OK && found == fork->kept_seq)
        printf("%s\n", dk_buf_text(&kept));
    printf("%.*s\n", (int)fork->jws_len, fork->jws);
    return err == DK_ERR_NO_INPUT ? DK_OK : err;
}

static enum dk_err print_evidence(const struct arguments *arguments, struct dk_fault *fault)
{
    dk_auto(store) struct dk_store *store = NULL;
    enum dk_err err = need("ID", arguments->operand, fault);

    if (err == DK_OK)
        err = open_store(arguments, &store, fault);
    return err == DK_OK ? dk_store_forks(store, arguments->operand, print_fork, store, fault) : err;
}

struct printing {
    bool receipts;
    int64_t cursor;
};

static enum dk_err print_row(void *argument, const struct dk_store_row *row)
{
    struct printing *printing = argument;

    printf("%.*s\n", (int)row->jws_len, row->jws);
    if (printing->receipts)
        printf("%s\n", row->receipt);
    printing->cursor = row->cursor;
    return ferror(stdout) ? DK_ERR_IO : DK_OK;
}

static enum dk_err export_records(const struct arguments *arguments, struct dk_fault *fault)
{
    dk_auto(store) struct dk_store *store = NULL;
    struct dk_store_filter filter = {
        .device = arguments->operand, .cursor = arguments->after, .until = {INT64_MAX}};
    struct printing printing = {arguments->receipts, arguments->after};
    struct dk_device device = {0};
    enum dk_err err = read_date("--since", arguments->since, &filter.since, fault);

    if (err == DK_OK)
        err = read_date("--until", arguments->until, &filter.until, fault);
    if (err == DK_OK)
        err = open_store(arguments, &store, fault);
    if (err == DK_OK && filter.device != NULL)
        err = dk_store_device(store, filter.device, &device, fault);
    if (err == DK_ERR_NO_INPUT)
        return dk_fail(fault, err, filter.device, "list them with: dokiem-collector devices",
                       "is no device of this collector");
    if (err == DK_OK)
        err = dk_store_rows(store, &filter, print_row, &printing, fault);
    if (err == DK_OK)
        fprintf(stderr, _("dokiem-collector: for what comes later: --after %" PRId64 "\n"), printing.cursor);
    return err;
}

static enum dk_err check_store(const struct arguments *arguments, struct dk_fault *fault)
{
    dk_auto(store) struct dk_store *store = NULL;
    dk_auto(key) struct dk_key *key = NULL;
    int64_t checked = 0;
    enum dk_err err = arguments->key != NULL ? dk_key_read_private(arguments->key, &key, fault) : DK_OK;

    if (err == DK_OK)
        err = open_store(arguments, &store, fault);
    if (err == DK_OK)
        err = dk_check(store, key, say, &checked, fault);
    if (err == DK_OK)
        printf(_("%" PRId64 " records are as they were received\n"), checked);
    return err;
}

// Appends the certificate and its key; neither or both are given.
static enum dk_err read_tls(const struct arguments *arguments, struct dk_buf *cert, struct dk_buf *key,
                            struct dk_fault *fault)
{
    struct stat status;

    if (arguments->tls_cert == NULL && arguments->tls_key == NULL)
        return DK_OK;
    if (arguments->tls_cert == NULL || arguments->tls_key == NULL)
        return dk_fail(fault, DK_ERR_USAGE, arguments->tls_cert == NULL ? "--tls-cert" : "--tls-key", NULL,
                       "is missing: --tls-cert and --tls-key belong together");
    if (stat(arguments->tls_key, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 007) != 0)
        return dk_fail(fault, DK_ERR_PERMISSION, arguments->tls_key, "chmod 600 it",
                       "everybody may use the key (mode %04o)", (unsigned)status.st_mode & 07777U);

    enum dk_err err = dk_file_read(arguments->tls_cert, cert, fault);

    return err == DK_OK ? dk_file_read(arguments->tls_key, key, fault) : err;
}

static enum dk_err read_token_file(const char *path, struct dk_buf *out, struct dk_fault *fault)
{
    enum dk_err err = dk_file_read(path, out, fault);

    while (err == DK_OK && out->len > 0 &&
           (out->data[out->len - 1] == '\n' || out->data[out->len - 1] == '\r'))
        out->data[--out->len] = '\0';
    if (err == DK_OK && (out->len < 16 || !dk_text_is_clean(out->data, out->len)))
        return dk_fail(fault, DK_ERR_DATA, path, "make one with: openssl rand -base64 32",
                       "must hold one line of 16 to 256 characters");
    return err;
}

// Everything is open that needed a right, a file or a socket; only the database's own files may be opened again, and
// removed at the end.
static void confine(const char *store)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char folder[PATH_MAX], files[sizeof ends / sizeof ends[0]][PATH_MAX + 8];
    struct dk_sandbox walls = {.make = folder, .system = true};
    struct stat status;
    const char *path = strchr(store, ':') != NULL ? strchr(store, ':') + 1 : store;
    const char *slash = strrchr(path, '/');

    snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1, slash != NULL ? path : ".");
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(files[i], sizeof files[i], "%.*s%s", PATH_MAX - 1, path, ends[i]);
        walls.write[i] = files[i];
    }
    if (stat(folder, &status) == 0 && status.st_uid != geteuid())
        walls.keep = UINT64_C(1) << CAP_DAC_OVERRIDE;
    (void)dk_language(); // the catalogue is read with the first text
    (void)dk_sandbox_enter(&walls);
}

static enum dk_err serve(const struct arguments *arguments, struct dk_fault *fault)
{
    dk_auto(store) struct dk_store *store = NULL;
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto(http) struct dk_http *http = NULL;
    dk_auto_buf struct dk_buf token = dk_buf_make(257);
    dk_auto_buf struct dk_buf tls_cert = dk_buf_make(PEM_MAX_BYTES), tls_key = dk_buf_make(PEM_MAX_BYTES);
    struct dk_http_options options = {.listen = arguments->listen,
                                      .rate = arguments->rate,
                                      .timeout_ns = arguments->timeout_ns,
                                      .say = say};
    enum dk_err err = need("--listen", arguments->listen, fault);
    const struct dk_signer_plan signer = {
        .get = dk_signer_get_file, .argument = arguments->key, .typ = DK_TYP_RECEIPT};
    sigset_t signals;

    if (err == DK_OK)
        err = need("--key", arguments->key, fault);
    if (err == DK_OK)
        err = dk_signer_start(&signer, &key, fault);
    if (err == DK_OK)
        err = open_store(arguments, &store, fault);
    if (err == DK_OK)
        err = read_tls(arguments, &tls_cert, &tls_key, fault);
    if (err == DK_OK && tls_cert.len > 0) {
        options.tls_cert = dk_buf_text(&tls_cert);
        options.tls_key = dk_buf_text(&tls_key);
    }
    if (err == DK_OK && arguments->read_token_file != NULL) {
        err = read_token_file(arguments->read_token_file, &token, fault);
        options.read_token = dk_buf_text(&token);
    }
    if (err != DK_OK)
        return err;

    // A client that goes away must not end the program, nor must a file size limit: the store reports it.
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);

    int stop_fd = sigprocmask(SIG_BLOCK, &signals, NULL) == 0 ? signalfd(-1, &signals, SFD_CLOEXEC) : -1;

    if (stop_fd < 0)
        return dk_fail(fault, DK_ERR_IO, "signalfd", NULL, "signals cannot be watched");
    err = dk_http_open(&options, store, key, &http, fault);
    if (err == DK_OK) {
        confine(arguments->store);
        printf("listening %s\n", dk_http_address(http));
        fflush(stdout);
        err = dk_http_serve(http, stop_fd, fault);
    }
    close(stop_fd);
    return err;
}

static enum dk_err print_version(const struct arguments *arguments, struct dk_fault *fault)
{
    (void)arguments;
    (void)fault;
    printf("dokiem-collector %s\n", DK_VERSION);
    return DK_OK;
}

static enum dk_err run(const struct arguments *arguments, struct dk_fault *fault)
{
    static const struct {
        const char *name;
        bool has_operand;
        enum dk_err (*run)(const struct arguments *arguments, struct dk_fault *fault);
    } commands[] = {
        {"", false, serve},
        {"keygen", false, make_key},
        {"token", false, make_token},
        {"devices", false, list_devices},
        {"approve", true, approve_device},
        {"revoke", true, revoke_device},
        {"keys", true, export_keys},
        {"evidence", true, print_evidence},
        {"export", true, export_records},
        {"check", false, check_store},
        {"version", false, print_version},
    };

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(arguments->command, commands[i].name) != 0)
            continue;
        if (arguments->operand != NULL && !commands[i].has_operand)
            return dk_fail(fault, DK_ERR_USAGE, arguments->operand, "see: dokiem-collector --help",
                           "is one word too many");
        return commands[i].run(arguments, fault);
    }
    return dk_fail(fault, DK_ERR_USAGE, arguments->command, "see: dokiem-collector --help", "is not a command");
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    struct dk_fault fault = {0};

    setlocale(LC_ALL, "");
    dk_language_bind(DK_LOCALE_DIR);

    enum dk_err err = read_arguments(argc, argv, &arguments, &fault);

    // What a server answers and logs is English, whoever started it.
    if (err == DK_OK && !arguments.help && arguments.command[0] == '\0')
        setlocale(LC_ALL, "C");
    if (err == DK_OK && arguments.help)
        printf("%s", _(usage));
    else if (err == DK_OK)
        err = run(&arguments, &fault);
    if (err == DK_OK && (fflush(stdout) != 0 || ferror(stdout)))
        err = dk_fail(&fault, DK_ERR_IO, "stdout", NULL, "cannot be written");
    return err == DK_OK ? 0 : fail(&fault);
}
