// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/confine.h"

#include "agent/base/file.h"
#include "agent/base/language.h"
#include "agent/base/network.h"
#include "agent/base/sandbox.h"
#include "agent/journal/captures.h"
#include "agent/journal/journal.h"
#include "agent/state.h"
#include "agent/verbs/campaigns.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BELOW_SIZE = PATH_MAX + 32, PORT_DNS = 53, PORT_PROXY = 1080 };

// What is below the state folder, in the order of `names`: what a run writes, then what it only reads.
enum {
    LOCK, DELIVER_LOCK, JOURNAL, PROFILES, BUDGET, COLLECTOR, CAPTURES, UNSEALED, COLLECTOR_KEY, CAMPAIGN, KEYS, NAMES
};
static const char *const names[NAMES] = {
    "lock", "deliver.lock", "journal", "profiles", "budget", "collector", DK_CAPTURES_FOLDER, DK_UNSEALED_FOLDER,
    DK_COLLECTOR_KEY_FILE, DK_CAMPAIGN_FILE, DK_KEYS_FOLDER,
};

struct below {
    char path[NAMES][BELOW_SIZE];
};

static void find_below(const char *state_dir, struct below *below)
{
    for (int i = 0; i < NAMES; i++)
        snprintf(below->path[i], BELOW_SIZE, "%s/%s", state_dir, names[i]);
}

// A rule needs the file. A lock that is made later would lie outside of every rule.
static void make_lock(const char *path)
{
    int fd = DK_RETRY(open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));

    if (fd >= 0)
        close(fd);
}

static void make_folder(const char *path)
{
    struct dk_fault unused;

    // What cannot be made is told where it is needed.
    (void)!dk_directory_make(path, &unused);
}

static void prepare_state(const char *state_dir, const struct below *below)
{
    struct stat status;

    if (stat(below->path[JOURNAL], &status) != 0)
        return;
    make_lock(below->path[LOCK]);
    make_lock(below->path[DELIVER_LOCK]);
    make_folder(below->path[PROFILES]);
    make_folder(below->path[BUDGET]);
    make_folder(below->path[COLLECTOR]);
    make_folder(below->path[CAPTURES]);
    make_folder(below->path[UNSEALED]);
    make_folder(below->path[KEYS]); // the key may be changed before what was measured is delivered
    dk_journal_sweep(state_dir);
}

static void add_path(const char *list[static DK_SANDBOX_PATHS_MAX], const char *path)
{
    size_t i = 0;

    while (i < DK_SANDBOX_PATHS_MAX && list[i] != NULL)
        i++;
    if (i < DK_SANDBOX_PATHS_MAX && path != NULL && path[0] != '\0')
        list[i] = path;
}

static void add_port(struct dk_sandbox *wanted, long port)
{
    if (port > 0 && port <= UINT16_MAX && wanted->port_count < DK_SANDBOX_PORTS_MAX)
        wanted->ports[wanted->port_count++] = (uint16_t)port;
}

// The port of a URL, or `fallback` when it names none and its scheme has none; 0 when it is no URL.
static long port_of(const char *url, long fallback)
{
    CURLU *parts = curl_url();
    char *text = NULL;
    long port = 0;

    if (parts != NULL &&
        curl_url_set(parts, CURLUPART_URL, url, CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK) {
        bool named = curl_url_get(parts, CURLUPART_PORT, &text, fallback == 0 ? CURLU_DEFAULT_PORT : 0) == CURLUE_OK;

        port = named ? strtol(text, NULL, 10) : fallback;
    }
    curl_free(text);
    curl_url_cleanup(parts);
    return port;
}

// Those of [dns] servers.
static void add_resolver_ports(struct dk_sandbox *wanted, const char *list)
{
    while (*list != '\0') {
        size_t span = strcspn(list, ","), len = span;
        char address[INET6_ADDRSTRLEN];
        int64_t port = 0;

        while (len > 0 && list[len - 1] == ' ')
            len--;
        if (dk_address_port(list, len, PORT_DNS, address, &port))
            add_port(wanted, (long)port);
        list += span;
        list += strspn(list, ", ");
    }
}

static void add_ports(struct dk_sandbox *wanted, const struct dk_settings *settings)
{
    // As libcurl looks for them; the collector and the time-stamping authority may be behind a proxy.
    static const char *const proxies[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};

    add_port(wanted, PORT_DNS);
    add_resolver_ports(wanted, settings->dns_servers);
    for (size_t i = 0; i < settings->server_count; i++) {
        const struct dk_server_settings *server = &settings->servers[i];

        if (server->url[0] != '\0')
            add_port(wanted, port_of(server->url, 0));
        if (server->upload_url[0] != '\0')
            add_port(wanted, port_of(server->upload_url, 0));
    }
    if (settings->collector_url[0] != '\0')
        add_port(wanted, port_of(settings->collector_url, 0));
    if (settings->time_stamp_url[0] != '\0')
        add_port(wanted, port_of(settings->time_stamp_url, 0));
    if (settings->collector_url[0] == '\0' && settings->time_stamp_url[0] == '\0')
        return;
    for (size_t i = 0; i < sizeof proxies / sizeof proxies[0]; i++)
        if (getenv(proxies[i]) != NULL)
            add_port(wanted, port_of(getenv(proxies[i]), PORT_PROXY));
}

// One more to read. What only root's rights open, because it or its folder is somebody else's, stays open to them.
static void add_reading(struct dk_sandbox *wanted, const char *path)
{
    char folder[PATH_MAX];
    struct stat status, folder_status;
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;

    add_path(wanted->read, path);
    if (path == NULL || path[0] == '\0' || stat(path, &status) != 0)
        return;
    snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1, slash != NULL ? path : ".");
    if (status.st_uid != geteuid() || (stat(folder, &folder_status) == 0 && folder_status.st_uid != geteuid()))
        wanted->keep |= UINT64_C(1) << CAP_DAC_READ_SEARCH;
}

static void add_networking(struct dk_sandbox *wanted, const struct dk_settings *settings)
{
    struct stat status;

    wanted->system = true;
    wanted->network = DK_SANDBOX_CLIENT;
    add_ports(wanted, settings);
    add_reading(wanted, settings->collector_ca_file);
    add_reading(wanted, settings->time_stamp_ca_file);
    add_reading(wanted, getenv("SSL_CERT_FILE"));
    add_reading(wanted, getenv("SSL_CERT_DIR"));
    for (size_t i = 0; i < settings->server_count; i++) {
        add_reading(wanted, settings->servers[i].ca_file);
        add_reading(wanted, settings->servers[i].stamp_key_file);
    }
    if (stat(settings->state_dir, &status) == 0 && status.st_uid != geteuid())
        wanted->keep |= UINT64_C(1) << CAP_DAC_OVERRIDE;
}

static void enter(const struct dk_sandbox *wanted)
{
    (void)dk_language(); // the catalogue is read with the first text
    (void)dk_sandbox_enter(wanted);
}

static void confine_client(const struct dk_settings *settings, bool measures)
{
    struct below below;
    struct dk_sandbox wanted = {
        .list = settings->state_dir,
        .capture = measures && (settings->evidence || (settings->only & DK_ONLY_WIRE) != 0),
    };

    find_below(settings->state_dir, &below);
    prepare_state(settings->state_dir, &below);
    for (int i = 0; i < NAMES; i++)
        add_path(i < COLLECTOR_KEY && (measures || i != UNSEALED) ? wanted.write : wanted.read, below.path[i]);
    add_networking(&wanted, settings);
    if (wanted.capture)
        wanted.keep |= UINT64_C(1) << CAP_NET_RAW;
    enter(&wanted);
}

void dk_confine_measuring(const struct dk_settings *settings)
{
    confine_client(settings, true);
}

void dk_confine_delivering(const struct dk_settings *settings)
{
    confine_client(settings, false);
}

void dk_confine_enrolling(const struct dk_settings *settings)
{
    struct below below;
    struct dk_sandbox wanted = {.make = settings->state_dir};

    find_below(settings->state_dir, &below);
    make_folder(below.path[KEYS]);
    add_path(wanted.read, below.path[COLLECTOR_KEY]);
    add_path(wanted.write, below.path[KEYS]);
    add_networking(&wanted, settings);
    enter(&wanted);
}

void dk_confine_reading(char *const *files, size_t count, const char *const *more, const char *state_dir,
                        const char *output)
{
    struct below below;
    char folder[PATH_MAX];
    struct dk_sandbox wanted = {.files = files,
                                .file_count = count,
                                .system = true,
                                .keep = UINT64_C(1) << CAP_DAC_READ_SEARCH | UINT64_C(1) << CAP_DAC_OVERRIDE};

    if (state_dir != NULL)
        find_below(state_dir, &below);
    for (int i = JOURNAL; state_dir != NULL && i < NAMES; i++)
        add_path(wanted.read, below.path[i]);
    add_path(wanted.read, "/etc/dokiem/profiles");
    while (more != NULL && *more != NULL)
        add_path(wanted.read, *more++);
    if (output != NULL) {
        const char *slash = strrchr(output, '/');

        snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - output) + 1 : 1,
                 slash != NULL ? output : ".");
        wanted.make = folder;
    }
    enter(&wanted);
}
