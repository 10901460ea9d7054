// SPDX-License-Identifier: Apache-2.0
//
// What dokiem is told to do: defaults, then the configuration file, then the command line, each checked against the
// one table of options in options.c.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/base/terms.h"
#include "config/inspection.h"
#include "config/site.h"

#include <limits.h>
#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DK_NAME_SIZE = 128,
    DK_URL_SIZE = 1024,
    DK_NOTE_SIZE = 1024,
    DK_DNS_LIST_SIZE = 800,
    DK_DNS_LIST_MAX = 3, // entries of such a list
    DK_SERVERS_MAX = 16, // sections [server NAME]
    DK_ONLY_DOWNLOAD = 1 << 0,
    DK_ONLY_UPLOAD = 1 << 1,
    DK_ONLY_LATENCY = 1 << 2,
    DK_ONLY_WIRE = 1 << 3, // a capture of the test's own packets
    DK_ONLY_RESPONSIVENESS = 1 << 4, // of the loaded line
    DK_ONLY_DNS = 1 << 5,
    DK_ONLY_PATH = 1 << 6, // path MTU and route
};

// Texts are UTF-8 without control characters; "" means not set.
struct dk_server_settings {
    char name[DK_NAME_SIZE];
    char url[DK_URL_SIZE];        // http:// or https://, no trailing slash, query or user name
    enum dk_server_kind kind;
    char upload_url[DK_URL_SIZE]; // as url; "": where the server's kind has it
    char stamp[DK_NAME_SIZE];     // "auto", "off", HOST, HOST:PORT, [IPV6] or [IPV6]:PORT
    char stamp_key_file[DK_URL_SIZE]; // "": STAMP without authentication
    char ca_file[DK_URL_SIZE];
    char location[DK_NAME_SIZE];
    char network_operator[DK_NAME_SIZE]; // of the network it stands in
    enum dk_net net;
};

struct dk_settings {
    // The first is [server], then come [server NAME] in the order of the file. With more than one, all have a URL;
    // a first one without a URL means that no server is configured.
    struct dk_server_settings servers[DK_SERVERS_MAX + 1];
    size_t server_count; // at least 1
    int64_t server_connect_timeout_ns; // of [server], for all
    // [test]
    enum dk_technology technology; // as declared; AUTO when it is to be found out
    int64_t streams, max_streams;
    int64_t duration_ns;
    enum dk_stop stop;
    int64_t precision_ppm; // of stop PRECISE
    int64_t max_bytes; // per direction
    int64_t only;      // DK_ONLY_ bits
    enum dk_family family;
    char interface[IF_NAMESIZE];
    int64_t confirm_gap_ns;
    // [latency]
    enum dk_method latency_method; // NONE: the first that works
    int64_t latency_count;
    int64_t latency_interval_ns;
    enum dk_sampling latency_sampling;
    int64_t latency_timeout_ns;
    // [path]
    enum dk_path_method path_method;
    // [dns]
    char dns_servers[DK_DNS_LIST_SIZE]; // "ADDRESS[:PORT], …"
    char dns_names[DK_DNS_LIST_SIZE];   // "NAME, …"
    // [budget]
    int64_t budget_daily_bytes, budget_monthly_bytes; // 0: no limit
    char budget_link[DK_NAME_SIZE];                   // that the use is counted under; "": the interface
    enum dk_metered budget_metered;
    // [site]
    char site_code[DK_NAME_SIZE];
    char site_name[DK_NAME_SIZE];
    char site_commune[DK_NAME_SIZE];
    char site_hamlet[DK_NAME_SIZE];
    char site_operator[DK_NAME_SIZE];
    struct dk_site site;
    char note[DK_NOTE_SIZE];
    struct dk_inspection inspection;
    // [judge]
    char profile[PATH_MAX]; // name, or path when it contains '/'
    char profile_key[PATH_MAX]; // "": a profile needs no signature
    // [device]
    char device_key[DK_URL_SIZE]; // PKCS#11 URI; "": STATE/device.pem
    // [journal]
    char state_dir[PATH_MAX];
    int64_t journal_max_bytes;
    int64_t journal_max_age_ns;
    // [evidence]
    bool evidence; // keep the headers of the test's own packets; by --evidence
    int64_t evidence_max_bytes;
    int64_t evidence_folder_max_bytes;
    // [collector]
    char collector_url[DK_URL_SIZE];
    char collector_ca_file[PATH_MAX];
    int64_t collector_timeout_ns;
    int64_t collector_batch;
    int64_t collector_max_undelivered_age_ns;
    // [time_stamp]
    char time_stamp_url[DK_URL_SIZE]; // "": no stamps
    enum dk_each time_stamp_each;
    char time_stamp_ca_file[PATH_MAX];
    char time_stamp_policy[DK_NAME_SIZE]; // object identifier; "": any
};

// Sets every field to its default. state_dir: /var/lib/dokiem for root, else $XDG_STATE_HOME/dokiem, else
// $HOME/.local/state/dokiem; a variable that is not an absolute path in clean text counts as unset, and with neither
// it is /var/lib/dokiem.
void dk_settings_default(struct dk_settings *settings);

// Reads `path` over *settings. On an error *settings is unchanged and the fault names file, section, key, value and
// what is allowed. All keys are checked: unknown sections and keys, duplicates and malformed lines are errors.
// Errors: CONFIG (also for a missing or unreadable file), MEMORY.
enum dk_err dk_settings_read_file(struct dk_settings *settings, const char *path, struct dk_fault *fault);

// The same from memory; `name` is used in faults. The text may hold any bytes.
enum dk_err dk_settings_read_text(struct dk_settings *settings, const char *name, const char *text, size_t len,
                                  struct dk_fault *fault);

// One row of the table of options: what the reader, --help, check-config and the tests of the sample work from.
struct dk_option {
    const char *section, *key;
    const char *argument; // long option of the command line without dashes, e.g. "duration"; NULL when there is none
    const char *type;     // "integer", "duration", "bytes", "rate", "share", "text", "url", "path", "one of" …
    const char *allowed;  // range or choices, for people: "1 to 32"
    const char *unit;     // the units to choose from; "" when there is none
    const char *fallback; // the default as it would be written in the file, without quotation marks
    const char *help;     // one line
    // For options.c: how the value is read, and where it is kept.
    const struct dk_option_kind *kind;
    const char *min, *max; // of a number, with unit; NULL for other kinds
    size_t offset, size;   // of the field of struct dk_settings
};

// The rows, in the order of the file; *count is set.
const struct dk_option *dk_options(size_t *count);

// Sets one option from the text of command line argument `--argument` (see dk_option). A relative path counts from
// the working directory. One of [server] is set for every server; "server" is dk_settings_choose_servers with one name.
// On an error *settings is unchanged. Errors: USAGE with the allowed range; NO_INPUT when
// there is no such argument.
enum dk_err dk_settings_set_argument(struct dk_settings *settings, const char *argument, const char *value,
                                     struct dk_fault *fault);

// The servers of the run become the `count` (1 or more) that are named: each by the name or the URL of a server of the
// settings, or by another URL, whose other settings are those of [server] except what says which server that is.
// On an error *settings is unchanged. Errors: USAGE.
enum dk_err dk_settings_choose_servers(struct dk_settings *settings, const char *const *names, size_t count,
                                       struct dk_fault *fault);

// Appends the settings as a configuration file that would give them again. Errors as dk_buf_append.
enum dk_err dk_settings_print(const struct dk_settings *settings, struct dk_buf *out);
