// SPDX-License-Identifier: Apache-2.0
#include "config/options.h"

#include "agent/base/message.h"
#include "agent/base/parse.h"
#include "agent/base/pkcs11_uri.h"
#include "config/entries.h"
#include "config/ini.h"
#include "config/value.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// `set` returns NULL or what is wrong with `text`; it writes `field` only on success.
struct dk_option_kind {
    const char *(*set)(const struct dk_option *option, const char *text, void *field);
    enum dk_err (*print)(const struct dk_option *option, const void *field, struct dk_buf *out);
};

static int64_t read_i64(const void *field)
{
    int64_t value = 0;

    memcpy(&value, field, sizeof value);
    return value;
}

// --- integer, duration, bytes, rate, share --------------------------------------------------------------------------

static const char *set_integer(const struct dk_option *option, const char *text, void *field)
{
    int64_t min = 0, max = 0, value = 0;

    if (!dk_parse_i64(option->min, INT64_MIN, INT64_MAX, &min) ||
        !dk_parse_i64(option->max, INT64_MIN, INT64_MAX, &max))
        return N_("has no range");
    if (!dk_parse_i64(text, INT64_MIN, INT64_MAX, &value))
        return N_("is not a plain integer (no leading zero, decimals, exponent or unit)");
    if (value < min || value > max)
        return N_("is out of range");
    memcpy(field, &value, sizeof value);
    return NULL;
}

static enum dk_err print_integer(const struct dk_option *option, const void *field, struct dk_buf *out)
{
    (void)option;
    return dk_buf_printf(out, "%" PRId64, read_i64(field));
}

static const char *set_quantity(const struct dk_option *option, const char *text, const struct dk_unit *units,
                                int64_t bare, void *field)
{
    int64_t min = 0, max = 0, value = 0;
    const char *wrong = dk_quantity_parse(text, units, bare, &value);

    if (wrong != NULL)
        return wrong;
    if (dk_quantity_parse(option->min, units, 0, &min) != NULL ||
        dk_quantity_parse(option->max, units, 0, &max) != NULL)
        return N_("has no range");
    if (value < min || value > max)
        return N_("is out of range");
    memcpy(field, &value, sizeof value);
    return NULL;
}

static const char *set_duration(const struct dk_option *option, const char *text, void *field)
{
    return set_quantity(option, text, dk_units_duration, INT64_C(1'000'000'000), field);
}

static enum dk_err print_duration(const struct dk_option *option, const void *field, struct dk_buf *out)
{
    (void)option;
    return dk_quantity_print(read_i64(field), dk_units_duration, "", out);
}

static const char *set_bytes(const struct dk_option *option, const char *text, void *field)
{
    return set_quantity(option, text, dk_units_bytes, 0, field);
}

static enum dk_err print_bytes(const struct dk_option *option, const void *field, struct dk_buf *out)
{
    (void)option;
    return dk_quantity_print(read_i64(field), dk_units_bytes, "", out);
}

static const char *set_rate(const struct dk_option *option, const char *text, void *field)
{
    static const int64_t unset = 0;

    if (strcmp(text, "unset") != 0)
        return set_quantity(option, text, dk_units_rate, 0, field);
    memcpy(field, &unset, sizeof unset);
    return NULL;
}

static enum dk_err print_rate(const struct dk_option *option, const void *field, struct dk_buf *out)
{
    int64_t value = read_i64(field);

    (void)option;
    return value == 0 ? dk_buf_append(out, "unset", 5) : dk_quantity_print(value, dk_units_rate, " ", out);
}

static const char *set_share(const struct dk_option *option, const char *text, void *field)
{
    return set_quantity(option, text, dk_units_share, 10'000, field);
}

static enum dk_err print_share(const struct dk_option *option, const void *field, struct dk_buf *out)
{
    (void)option;
    return dk_quantity_print(read_i64(field), dk_units_share, " ", out);
}

// --- text, path, url ------------------------------------------------------------------------------------------------

// A text may be empty when its default is: then it means "not set".
static const char *set_text(const struct dk_option *option, const char *text, void *field)
{
    size_t len = strlen(text);

    if (!dk_text_is_clean(text, len))
        return N_("is not clean text: it holds control characters or is not UTF-8");
    if (strchr(text, '"') != NULL)
        return N_("holds a double quotation mark");
    if (len >= option->size || len > DK_INI_VALUE_MAX)
        return N_("is too long");
    if (len == 0 && option->fallback[0] != '\0')
        return N_("is empty");
    memset(field, 0, option->size);
    memcpy(field, text, len);
    return NULL;
}

static enum dk_err print_text(const struct dk_option *option, const void *field, struct dk_buf *out)
{
    (void)option;
    return dk_buf_printf(out, "\"%s\"", (const char *)field);
}

static const char *set_path(const struct dk_option *option, const char *text, void *field)
{
    if (text[0] != '\0' && text[0] != '/')
        return N_("is not an absolute path");
    return set_text(option, text, field);
}

static const char *set_profile(const struct dk_option *option, const char *text, void *field)
{
    return strchr(text, '/') != NULL ? set_path(option, text, field) : set_text(option, text, field);
}

// Numbers with dots, as "1.3.6.1.4.1.13762.3".
static const char *set_oid(const struct dk_option *option, const char *text, void *field)
{
    for (const char *at = text; *at != '\0';) {
        size_t digits = strspn(at, "0123456789");

        if (digits == 0 || digits > 9 || (at[0] == '0' && digits > 1) || strchr(text, '.') == NULL ||
            (at[digits] != '\0' && (at[digits] != '.' || at[digits + 1] == '\0')))
            return N_("is no object identifier (numbers with dots)");
        at += digits + (at[digits] == '.');
    }
    return set_text(option, text, field);
}

static const char *set_token_key(const struct dk_option *option, const char *text, void *field)
{
    struct dk_pkcs11_uri uri;
    const char *wrong = text[0] != '\0' ? dk_pkcs11_uri_read(text, &uri) : NULL;

    return wrong != NULL ? wrong : set_text(option, text, field);
}

static const char *set_interface(const struct dk_option *option, const char *text, void *field)
{
    if (strpbrk(text, "/: ") != NULL || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
        return N_("is not the name of an interface");
    return set_text(option, text, field);
}

static bool is_host(const char *text, size_t len)
{
    if (len == 0 || len > 253 || text[0] == '-')
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!letter && c != '-' && c != '_' && (c != '.' || i == 0 || text[i - 1] == '.'))
            return false;
    }
    return true;
}

// HOST, HOST:PORT, [IPV6] or [IPV6]:PORT in the first `len` characters of `text`.
static const char *check_authority(const char *text, size_t len)
{
    char copy[300], *port = NULL;
    struct in6_addr address;
    int64_t number = 0;

    if (len == 0)
        return N_("names no host");
    if (len >= sizeof copy)
        return N_("names too long a host");
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (copy[0] == '[') {
        char *end = strchr(copy, ']');

        if (end == NULL || (end[1] != '\0' && end[1] != ':'))
            return N_("has an IPv6 address that does not end with ]");
        port = end[1] == ':' ? end + 2 : NULL;
        *end = '\0';
        if (inet_pton(AF_INET6, copy + 1, &address) != 1)
            return N_("has something other than an IPv6 address in [ ]");
    } else {
        char *colon = strchr(copy, ':');

        if (colon != NULL && strchr(colon + 1, ':') != NULL)
            return N_("has more than one colon; write an IPv6 address in [ ]");
        if (colon != NULL) {
            *colon = '\0';
            port = colon + 1;
        }
        if (!is_host(copy, strlen(copy)))
            return N_("has a host name that is not one");
    }
    if (port != NULL && !dk_parse_i64(port, 1, 65535, &number))
        return N_("has a port that is not 1 to 65535");
    return NULL;
}

static const char *set_stamp(const struct dk_option *option, const char *text, void *field)
{
    const char *wrong = NULL;

    if (strcmp(text, "auto") != 0 && strcmp(text, "off") != 0)
        wrong = check_authority(text, strlen(text));
    return wrong != NULL ? wrong : set_text(option, text, field);
}

// The characters of a path (RFC 3986 section 3.3) and %XX.
static const char *check_url_path(const char *path)
{
    for (; *path != '\0'; path++) {
        char c = *path;

        if (c == '?' || c == '#')
            return N_("has a query or fragment");
        if (c == '%' && strspn(path + 1, "0123456789abcdefABCDEF") >= 2)
            continue;
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            strchr("-._~!$&'()*+,;=:@/", c) == NULL)
            return N_("holds a character that must be written as %XX in a URL");
    }
    return NULL;
}

static const char *set_url(const struct dk_option *option, const char *text, void *field)
{
    char plain[DK_URL_SIZE];
    size_t len = strlen(text);

    if (len == 0)
        return set_text(option, text, field);

    const char *host = strncmp(text, "http://", 7) == 0    ? text + 7
                       : strncmp(text, "https://", 8) == 0 ? text + 8
                                                           : NULL;

    if (host == NULL)
        return N_("does not begin with http:// or https://");

    size_t host_len = strcspn(host, "/?#");

    if (memchr(host, '@', host_len) != NULL)
        return N_("holds a user name or password");

    const char *wrong = check_authority(host, host_len);

    if (wrong == NULL)
        wrong = check_url_path(host + host_len);
    if (wrong != NULL)
        return wrong;
    if (len >= sizeof plain)
        return N_("is too long");
    memcpy(plain, text, len + 1);
    while (plain[len - 1] == '/')
        plain[--len] = '\0';
    return set_text(option, plain, field);
}

// A server may be named without http://, as people say it.
static const char *set_server(const struct dk_option *option, const char *text, void *field)
{
    char url[DK_URL_SIZE];

    if (text[0] == '\0' || strstr(text, "://") != NULL)
        return set_url(option, text, field);
    if (snprintf(url, sizeof url, "http://%s", text) >= (int)sizeof url)
        return N_("is too long");
    return set_url(option, url, field);
}

static const char *set_resolvers(const struct dk_option *option, const char *text, void *field)
{
    const char *wrong = dk_entries_wrong_resolvers(text);

    return wrong != NULL ? wrong : set_text(option, text, field);
}

static const char *set_names(const struct dk_option *option, const char *text, void *field)
{
    const char *wrong = dk_entries_wrong_names(text);

    return wrong != NULL ? wrong : set_text(option, text, field);
}

// --- one of, list of ------------------------------------------------------------------------------------------------

// The place of a word of `len` characters in "a, b, c", or -1.
static int word_index(const char *list, const char *word, size_t len)
{
    for (int index = 0;; index++) {
        size_t span = strcspn(list, ",");

        if (span == len && memcmp(list, word, len) == 0)
            return index;
        if (list[span] == '\0')
            return -1;
        list += span + 2;
    }
}

#define X(term, LIST)                                                                                        \
    static const char *set_##term(const struct dk_option *option, const char *text, void *field)             \
    {                                                                                                        \
        enum dk_##term value;                                                                                \
                                                                                                             \
        if (word_index(option->allowed, text, strlen(text)) < 0 || !dk_##term##_parse(text, &value))         \
            return N_("is none of the choices");                                                                 \
        memcpy(field, &value, sizeof value);                                                                 \
        return NULL;                                                                                         \
    }                                                                                                        \
    static enum dk_err print_##term(const struct dk_option *option, const void *field, struct dk_buf *out)   \
    {                                                                                                        \
        enum dk_##term value;                                                                                \
                                                                                                             \
        (void)option;                                                                                        \
        memcpy(&value, field, sizeof value);                                                                 \
        return dk_buf_printf(out, "%s", dk_##term##_text(value));                                            \
    }
X(technology, TECHNOLOGY)
X(environment, ENVIRONMENT)
X(subscriber, SUBSCRIBER)
X(family, FAMILY)
X(server_kind, SERVER_KIND)
X(net, NET)
X(stop, STOP)
X(metered, METERED)
X(path_method, PATH_METHOD)
X(sampling, SAMPLING)
X(each, EACH)
#undef X

// auto is kept as NONE.
static const char *set_method(const struct dk_option *option, const char *text, void *field)
{
    enum dk_method value = DK_METHOD_NONE;

    if (word_index(option->allowed, text, strlen(text)) < 0 ||
        (strcmp(text, "auto") != 0 && !dk_method_parse(text, &value)))
        return N_("is none of the choices");
    memcpy(field, &value, sizeof value);
    return NULL;
}

static enum dk_err print_method(const struct dk_option *option, const void *field, struct dk_buf *out)
{
    enum dk_method value;

    (void)option;
    memcpy(&value, field, sizeof value);
    return dk_buf_printf(out, "%s", value == DK_METHOD_NONE ? "auto" : dk_method_text(value));
}

// "a,b" as bits: the n-th word of `allowed` is bit n.
static const char *set_list(const struct dk_option *option, const char *text, void *field)
{
    int64_t bits = 0;

    for (const char *at = text;;) {
        at += strspn(at, " ");

        size_t span = strcspn(at, ","), len = span;

        while (len > 0 && at[len - 1] == ' ')
            len--;

        int index = word_index(option->allowed, at, len);

        if (index < 0)
            return N_("is not a list of the choices with commas between");
        if ((bits & INT64_C(1) << index) != 0)
            return N_("names a choice twice");
        bits |= INT64_C(1) << index;
        at += span;
        if (*at == '\0')
            break;
        at++;
    }
    memcpy(field, &bits, sizeof bits);
    return NULL;
}

static enum dk_err print_list(const struct dk_option *option, const void *field, struct dk_buf *out)
{
    int64_t bits = read_i64(field);
    const char *comma = "", *word = option->allowed;
    enum dk_err err = DK_OK;

    for (int index = 0; err == DK_OK; index++) {
        size_t span = strcspn(word, ",");

        if ((bits & INT64_C(1) << index) != 0) {
            err = dk_buf_printf(out, "%s%.*s", comma, (int)span, word);
            comma = ",";
        }
        if (word[span] == '\0')
            break;
        word += span + 2;
    }
    return err;
}

// --- the table ------------------------------------------------------------------------------------------------------

#define KIND(name, set, print) static const struct dk_option_kind kind_##name = {set, print};
KIND(integer, set_integer, print_integer)
KIND(duration, set_duration, print_duration)
KIND(bytes, set_bytes, print_bytes)
KIND(rate, set_rate, print_rate)
KIND(share, set_share, print_share)
KIND(text, set_text, print_text)
KIND(path, set_path, print_text)
KIND(profile, set_profile, print_text)
KIND(interface, set_interface, print_text)
KIND(token_key, set_token_key, print_text)
KIND(stamp, set_stamp, print_text)
KIND(url, set_url, print_text)
KIND(resolvers, set_resolvers, print_text)
KIND(names, set_names, print_text)
KIND(server, set_server, print_text)
KIND(technology, set_technology, print_technology)
KIND(environment, set_environment, print_environment)
KIND(subscriber, set_subscriber, print_subscriber)
KIND(family, set_family, print_family)
KIND(server_kind, set_server_kind, print_server_kind)
KIND(net, set_net, print_net)
KIND(stop, set_stop, print_stop)
KIND(metered, set_metered, print_metered)
KIND(path_method, set_path_method, print_path_method)
KIND(each, set_each, print_each)
KIND(oid, set_oid, print_text)
KIND(method, set_method, print_method)
KIND(sampling, set_sampling, print_sampling)
KIND(list, set_list, print_list)

#define FIELD(name)                                                                                          \
    .offset = offsetof(struct dk_settings, name), .size = sizeof(((struct dk_settings *)NULL)->name)
#define NUMBER(is, low, high, units)                                                                         \
    .type = #is, .kind = &kind_##is, .min = (low), .max = (high), .allowed = low " to " high, .unit = (units)
#define INTEGER(low, high)         NUMBER(integer, low, high, "")
#define DURATION(low, high)        NUMBER(duration, low, high, "ns us ms s min h d; s when none is written")
#define BYTES(low, high)           NUMBER(bytes, low, high, "B kB MB GB KiB MiB GiB")
#define SHARE(low, high)           NUMBER(share, low, high, "% ppm; % when none is written")
// A rate of the line that may be unknown.
#define SITE_RATE(rate)                                                                                      \
    .type = "rate", .kind = &kind_rate, .min = "1 kb/s", .max = "1000 Gb/s",                                 \
    .allowed = "unset, or 1 kb/s to 1000 Gb/s", .unit = "b/s kb/s Mb/s Gb/s", .fallback = "unset",           \
    FIELD(site.rate_bps[DK_SITE_RATE_##rate])
#define KEPT_AS(called, is, what)  .type = (called), .kind = &kind_##is, .allowed = (what), .unit = ""
#define TEXT(most)                 KEPT_AS("text", text, "at most " most " bytes")
#define PATH                       KEPT_AS("path", path, "absolute")
#define ONE_OF(is, words)          KEPT_AS("one of", is, words)

_Static_assert(offsetof(struct dk_settings, servers) == 0, "a server's option is at the same place in each");
_Static_assert(DK_ONLY_DOWNLOAD == 1 && DK_ONLY_UPLOAD == 2 && DK_ONLY_LATENCY == 4 && DK_ONLY_WIRE == 8 &&
                   DK_ONLY_RESPONSIVENESS == 16 && DK_ONLY_DNS == 32 && DK_ONLY_PATH == 64,
               "the order of test.only");

static const struct dk_option options[] = {
    {"server", "name", NULL, TEXT("127"), .fallback = "", FIELD(servers[0].name),
     .help = N_("what people call the reference server")},
    {"server", "url", "server",
     KEPT_AS("url", server, "[http[s]://]HOST[:PORT][/PATH]"),
     .fallback = "", FIELD(servers[0].url), .help = N_("the reference server to measure against")},
    {"server", "kind", "server-kind", ONE_OF(server_kind, "auto, dokiem, librespeed, http"), .fallback = "auto",
     FIELD(servers[0].kind), .help = N_("how it is asked; auto: by the shape of its URL")},
    {"server", "upload_url", NULL, KEPT_AS("url", server, "[http[s]://]HOST[:PORT][/PATH]"),
     .fallback = "", FIELD(servers[0].upload_url),
     .help = N_("where uploads go; unset: where servers of its kind take them")},
    {"server", "stamp", "stamp", KEPT_AS("text", stamp, "auto, off or HOST[:PORT]"),
     .fallback = "auto", FIELD(servers[0].stamp), .help = N_("STAMP reflector; auto: the server, UDP port 862")},
    {"server", "stamp_key_file", NULL, PATH, .fallback = "", FIELD(servers[0].stamp_key_file),
     .help = N_("hexadecimal key of the reflector's authenticated mode; unset: without")},
    {"server", "ca_file", "ca-file", PATH, .fallback = "", FIELD(servers[0].ca_file),
     .help = N_("PEM file of the authorities to trust for it")},
    {"server", "location", NULL, TEXT("127"), .fallback = "", FIELD(servers[0].location),
     .help = N_("where it stands")},
    {"server", "operator", NULL, TEXT("127"), .fallback = "", FIELD(servers[0].network_operator),
     .help = N_("operator of the network it stands in")},
    {"server", "net", NULL, ONE_OF(net, "unstated, on, off"), .fallback = "unstated", FIELD(servers[0].net),
     .help = N_("whether that is the network of the line's own operator")},
    {"server", "connect_timeout", NULL, DURATION("1s", "60s"), .fallback = "10s",
     FIELD(server_connect_timeout_ns), .help = N_("longest wait for the first answer")},

    {"test", "technology", "technology", ONE_OF(technology, "4g, 5g, fixed, auto"), .fallback = "auto",
     FIELD(technology), .help = N_("what the line is; it chooses the rules")},
    {"test", "streams", "streams", INTEGER("1", "32"), .fallback = "4", FIELD(streams),
     .help = N_("parallel connections")},
    {"test", "max_streams", "max-streams", INTEGER("1", "32"), .fallback = "16", FIELD(max_streams),
     .help = N_("most of them, where packets are lost and more raise the rate")},
    {"test", "duration", "duration", DURATION("1s", "60s"), .fallback = "10s", FIELD(duration_ns),
     .help = N_("length of the timed part of each direction")},
    {"test", "stop", "stop", ONE_OF(stop, "time, precise, verdict"), .fallback = "time", FIELD(stop),
     .help = N_("when a direction ends: after its duration, or before")},
    {"test", "precision", "precision", SHARE("0.1 %", "50 %"), .fallback = "2 %", FIELD(precision_ppm),
     .help = N_("with stop = precise: half of the 95 % interval, of the rate")},
    {"test", "max_bytes", NULL, BYTES("1MB", "100GB"), .fallback = "15GB", FIELD(max_bytes),
     .help = N_("most data in each direction")},
    {"test", "only", "only", KEPT_AS("list of", list, "download, upload, latency, wire, responsiveness, dns, path"),
     .fallback = "download,upload,latency,responsiveness,dns,path", FIELD(only),
     .help = N_("what to measure; wire: capture the headers of the test's own packets")},
    {"test", "family", "family", ONE_OF(family, "any, ipv4, ipv6, both"), .fallback = "any", FIELD(family),
     .help = N_("Internet protocol to use; both: two runs, IPv4 and IPv6")},
    {"test", "interface", "interface",
     KEPT_AS("text", interface, "at most 15 bytes"), .fallback = "",
     FIELD(interface), .help = N_("network interface to use")},
    {"test", "confirm_gap", NULL, DURATION("1s", "1h"), .fallback = "30s", FIELD(confirm_gap_ns),
     .help = N_("from a run that failed to its repeat (dokiem run --confirm)")},

    {"latency", "method", "latency-method", ONE_OF(method, "auto, stamp, icmp, tcp, http"), .fallback = "auto",
     FIELD(latency_method), .help = N_("how round trips are timed; auto: the first of these that works")},
    {"latency", "count", NULL, INTEGER("1", "1000"), .fallback = "50", FIELD(latency_count),
     .help = N_("packets, or requests, of the idle phase")},
    {"latency", "interval", NULL, DURATION("5ms", "10s"), .fallback = "20ms", FIELD(latency_interval_ns),
     .help = N_("time from one to the next")},
    {"latency", "sampling", NULL, ONE_OF(sampling, "periodic, poisson"), .fallback = "periodic",
     FIELD(latency_sampling), .help = N_("when they are sent; poisson: that interval is the mean of random ones")},
    {"latency", "timeout", NULL, DURATION("50ms", "10s"), .fallback = "1s", FIELD(latency_timeout_ns),
     .help = N_("a packet that is not answered by then is lost")},

    {"path", "method", NULL, ONE_OF(path_method, "auto, icmp, udp"), .fallback = "auto", FIELD(path_method),
     .help = N_("how the way is looked at; auto: by ICMP where it is allowed, else by UDP")},

    {"dns", "servers", NULL, KEPT_AS("text", resolvers, "at most 3 of ADDRESS[:PORT], with commas between"),
     .fallback = "", FIELD(dns_servers), .help = N_("resolvers to ask beside those of the system")},
    {"dns", "names", NULL, KEPT_AS("text", names, "at most 3 host names, with commas between"), .fallback = "",
     FIELD(dns_names), .help = N_("names to ask for beside that of the reference server")},

    {"budget", "daily", NULL, BYTES("0B", "1000GB"), .fallback = "0B", FIELD(budget_daily_bytes),
     .help = N_("most data of runs a day on one link; 0B: no limit")},
    {"budget", "monthly", NULL, BYTES("0B", "1000GB"), .fallback = "0B", FIELD(budget_monthly_bytes),
     .help = N_("most data of runs a month on one link; 0B: no limit")},
    {"budget", "link", NULL, TEXT("127"), .fallback = "", FIELD(budget_link),
     .help = N_("name that the use is counted under, as of a SIM card; unset: the interface")},
    {"budget", "metered", NULL, ONE_OF(metered, "run, skip"), .fallback = "run", FIELD(budget_metered),
     .help = N_("what to do on a mobile or dial-up link (cellular, ppp)")},

    {"site", "code", "site", TEXT("127"), .fallback = "", FIELD(site_code), .help = N_("code of the place")},
    {"site", "name", NULL, TEXT("127"), .fallback = "", FIELD(site_name), .help = N_("name of the place")},
    {"site", "commune", NULL, TEXT("127"), .fallback = "", FIELD(site_commune), .help = N_("commune that it is in")},
    {"site", "hamlet", NULL, TEXT("127"), .fallback = "", FIELD(site_hamlet), .help = N_("hamlet that it is in")},
    {"site", "operator", "operator", TEXT("127"), .fallback = "", FIELD(site_operator),
     .help = N_("operator of the line")},
    {"site", "environment", "environment", ONE_OF(environment, "unstated, indoor, outdoor, moving"),
     .fallback = "unstated", FIELD(site.environment), .help = N_("where the device stands")},
    {"site", "subscriber", NULL, ONE_OF(subscriber, "unstated, household, organisation"), .fallback = "unstated",
     FIELD(site.subscriber), .help = N_("whom the line serves; organisation: with the rules for those in towns")},
    {"site", "subscribed_download", "subscribed-download", SITE_RATE(SUBSCRIBED_DOWNLOAD),
     .help = N_("download rate of the tariff")},
    {"site", "subscribed_upload", "subscribed-upload", SITE_RATE(SUBSCRIBED_UPLOAD),
     .help = N_("upload rate of the tariff")},
    {"site", "declared_download", NULL, SITE_RATE(DECLARED_DOWNLOAD),
     .help = N_("average download rate that the operator declares for the area (Vd)")},
    {"site", "declared_upload", NULL, SITE_RATE(DECLARED_UPLOAD),
     .help = N_("average upload rate that the operator declares for the area (Vu)")},
    {"site", "minimum_download", NULL, SITE_RATE(MINIMUM_DOWNLOAD),
     .help = N_("minimum download rate that the operator declares for the area (Vdmin)")},
    {"site", "note", "note", TEXT("900"), .fallback = "", FIELD(note), .help = N_("remark kept in every record")},

    {"inspection", "case", "case", TEXT("127"), .fallback = "", FIELD(inspection.case_number),
     .help = N_("number of the case that the run belongs to")},
    {"inspection", "inspector", "inspector", TEXT("127"), .fallback = "", FIELD(inspection.inspector),
     .help = N_("who measures")},
    {"inspection", "place", "place", TEXT("255"), .fallback = "", FIELD(inspection.place),
     .help = N_("where it is measured, in words")},
    {"inspection", "tariff", "tariff", TEXT("127"), .fallback = "", FIELD(inspection.tariff),
     .help = N_("the subscriber's plan, as the operator calls it")},
    {"inspection", "photo", "photo", PATH, .fallback = "", FIELD(inspection.photo),
     .help = N_("picture of the place; its SHA-256 is kept in the record")},

    {"judge", "profile", "profile",
     KEPT_AS("text", profile, "a name or an absolute path"), .fallback = "vn-2025",
     FIELD(profile), .help = N_("the rules to judge by")},
    {"judge", "profile_key", NULL, PATH, .fallback = "", FIELD(profile_key),
     .help = N_("public key (JWK or PEM) that must have signed the profile; unset: any may be used")},

    {"device", "key", NULL, KEPT_AS("PKCS#11 URI", token_key, "pkcs11:..., with a module-path and without a PIN"),
     .fallback = "", FIELD(device_key), .help = N_("private key in a token; unset: device.pem of the state folder")},

    {"journal", "state_dir", "state", PATH, .fallback = "/var/lib/dokiem", FIELD(state_dir),
     .help = N_("folder of the key, the journal and the receipts")},
    {"journal", "max_bytes", NULL, BYTES("1MB", "1000GB"), .fallback = "256MiB", FIELD(journal_max_bytes),
     .help = N_("most disk space for records")},
    {"journal", "max_age", NULL, DURATION("1d", "36500d"), .fallback = "1095d", FIELD(journal_max_age_ns),
     .help = N_("how long records are kept")},

    {"evidence", "max_bytes", NULL, BYTES("64kB", "256MiB"), .fallback = "16MiB", FIELD(evidence_max_bytes),
     .help = N_("most bytes of packet headers of one run (dokiem run --evidence)")},
    {"evidence", "folder_max_bytes", NULL, BYTES("1MB", "1000GB"), .fallback = "256MiB",
     FIELD(evidence_folder_max_bytes), .help = N_("most disk space for all of them; the oldest go first")},

    {"collector", "url", "collector", KEPT_AS("url", url, "http[s]://HOST[:PORT][/PATH]"),
     .fallback = "", FIELD(collector_url), .help = N_("where records are delivered; unset: nowhere")},
    {"collector", "ca_file", NULL, PATH, .fallback = "", FIELD(collector_ca_file),
     .help = N_("PEM file of the authorities to trust for it")},
    {"collector", "timeout", NULL, DURATION("1s", "10min"), .fallback = "30s", FIELD(collector_timeout_ns),
     .help = N_("longest wait for one request")},
    {"collector", "batch", NULL, INTEGER("1", "100"), .fallback = "20", FIELD(collector_batch),
     .help = N_("most records in one request")},
    {"collector", "max_undelivered_age", NULL, DURATION("1h", "3650d"), .fallback = "7d",
     FIELD(collector_max_undelivered_age_ns), .help = N_("dokiem status --check: a record must not wait longer")},

    {"time_stamp", "url", NULL, KEPT_AS("url", url, "http[s]://HOST[:PORT][/PATH]"), .fallback = "",
     FIELD(time_stamp_url), .help = N_("time-stamping authority (RFC 3161) to ask; unset: none")},
    {"time_stamp", "each", NULL, ONE_OF(each, "record, day"), .fallback = "day", FIELD(time_stamp_each),
     .help = N_("a stamp of every record, or one a day for all records so far")},
    {"time_stamp", "ca_file", NULL, PATH, .fallback = "", FIELD(time_stamp_ca_file),
     .help = N_("PEM file of the authority's certificate, or of the one above it, that stamps must be signed by")},
    {"time_stamp", "policy", NULL, KEPT_AS("text", oid, "an object identifier"), .fallback = "",
     FIELD(time_stamp_policy), .help = N_("policy that stamps must be made by; unset: the authority's own")},
};

const struct dk_option *dk_options(size_t *count)
{
    *count = sizeof options / sizeof options[0];
    return options;
}

const char *dk_option_set(const struct dk_option *option, const char *text, struct dk_settings *settings)
{
    return option->kind->set(option, text, (char *)settings + option->offset);
}

enum dk_err dk_option_print(const struct dk_option *option, const struct dk_settings *settings, struct dk_buf *out)
{
    return option->kind->print(option, (const char *)settings + option->offset, out);
}

bool dk_option_is_of_server(const struct dk_option *option)
{
    return option->offset < offsetof(struct dk_settings, servers[1]);
}

const char *dk_option_set_server(const struct dk_option *option, const char *text,
                                 struct dk_server_settings *server)
{
    return option->kind->set(option, text, (char *)server + option->offset);
}

enum dk_err dk_option_print_server(const struct dk_option *option, const struct dk_server_settings *server,
                                   struct dk_buf *out)
{
    return option->kind->print(option, (const char *)server + option->offset, out);
}

bool dk_option_is_quotable(const struct dk_option *option)
{
    return option->kind != &kind_token_key;
}

bool dk_option_is_relative_path(const struct dk_option *option, const char *text)
{
    bool path = option->kind == &kind_path || (option->kind == &kind_profile && strchr(text, '/') != NULL);

    return path && text[0] != '/' && text[0] != '\0';
}
