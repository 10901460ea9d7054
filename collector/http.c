// SPDX-License-Identifier: Apache-2.0
#include "collector/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/parse.h"
#include "collector/devices.h"
#include "collector/limit.h"
#include "collector/listen.h"
#include "collector/read.h"
#include "collector/records.h"

enum {
    CONNECTIONS_MAX = 512,
    CONNECTIONS_PER_ADDRESS_MAX = 64,
    CONNECTION_MEMORY_BYTES = 32 << 10, // request line, headers and one block of body
    HELD_MAX_BYTES = 64 << 20,          // bodies of all requests that are still coming in
    SKIP_MAX_BYTES = 16 << 20, // of a body that will not be used: read so that the answer gets through
    RETRY_AFTER_S = 30,        // what 503 asks for
    GROUP_MAX = 64,               // requests that are kept in one transaction …
    GROUP_MAX_BYTES = 8 << 20,    // … and their bodies, so that other programs get at the store in between
};

// One TCP connection. A request must be complete, and its answer taken, within the timeout from `since`.
struct connection {
    struct connection *next, *previous;
    struct MHD_Connection *mhd; // borrowed
    struct dk_mono since;
};

struct dk_http {
    struct dk_store *store;   // borrowed
    const struct dk_key *key; // borrowed
    struct dk_http_options options;
    struct MHD_Daemon *daemon; // owned
    struct dk_limit *limit;    // owned
    struct dk_intake *intake;  // owned
    struct connection *connections;
    struct request *waiting, **waiting_end; // requests with records, complete, not taken yet
    bool answers;         // of such requests are to be sent
    struct dk_mono swept; // when slow connections were last looked for
    struct dk_counters counters;
    struct dk_mono checked; // when healthz last wrote, and what came of it
    bool healthy;
    char address[DK_LISTEN_TEXT_SIZE];
};

struct request {
    const struct route *route; // NULL when `status` says what is wrong
    unsigned status;           // 0 while nothing is wrong
    const char *reason;
    int64_t retry_after_s; // 0 for none
    struct dk_buf body;
    size_t skipped; // bytes of a body that will not be used
    struct request *next;       // that waits
    struct MHD_Connection *mhd; // borrowed; suspended while the request waits
    struct dk_buf taken;        // the answer, once the records were taken
};

typedef struct MHD_Response *handler(struct dk_http *http, struct MHD_Connection *mhd,
                                     struct request *request);

struct route {
    const char *method, *path;
    handler *handle;
    size_t body_max_bytes; // 0: a body is not looked at
    bool reading;          // only for those who may read
};

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static const char *header(struct MHD_Connection *mhd, const char *name)
{
    return MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, name);
}

static struct MHD_Response *refuse(struct request *request, unsigned status, const char *reason)
{
    dk_auto_buf struct dk_buf line = dk_buf_make(4096);

    request->status = status;
    if (status == 503 && request->retry_after_s == 0)
        request->retry_after_s = RETRY_AFTER_S;
    return dk_answer_refusal(status, reason, &line) == DK_OK
               ? dk_read_text("application/json", dk_buf_text(&line), line.len)
               : NULL;
}

static void say_fault(const struct dk_http *http, const struct dk_fault *fault)
{
    if (fault->err != DK_OK && http->options.say != NULL)
        http->options.say(fault);
}

static struct MHD_Response *post_records(struct dk_http *http, struct MHD_Connection *mhd,
                                         struct request *request)
{
    (void)http;
    (void)mhd;
    return dk_read_text("application/x-ndjson", dk_buf_text(&request->taken), request->taken.len);
}

// Records are taken after the library has looked at all connections: what came in together is synced together.
static void wait_for_others(struct dk_http *http, struct MHD_Connection *mhd, struct request *request)
{
    request->mhd = mhd;
    *http->waiting_end = request;
    http->waiting_end = &request->next;
    MHD_suspend_connection(mhd);
}

// Takes the records of some of the requests that wait, the oldest first, and lets their connections go on.
static void take_group(struct dk_http *http)
{
    struct dk_intake_request group[GROUP_MAX];
    struct dk_fault fault = {0};
    int64_t forks = http->counters.records.forks;
    size_t count = 0, bytes = 0;
    struct request *at;

    for (at = http->waiting; at != NULL && count < GROUP_MAX; at = at->next) {
        if (count > 0 && bytes + at->body.len > GROUP_MAX_BYTES)
            break;
        group[count++] = (struct dk_intake_request){
            .body = dk_buf_text(&at->body), .len = at->body.len, .answer = dk_buf_make(DK_ANSWER_MAX_BYTES)};
        bytes += at->body.len;
    }
    dk_intake_take(http->intake, dk_wall_now(), group, count, &http->counters.records, &fault);
    for (size_t i = 0; i < count; i++) {
        struct request *request = http->waiting;

        http->waiting = request->next;
        request->taken = group[i].answer;
        request->status = group[i].status;
        request->retry_after_s = request->status == 503 ? RETRY_AFTER_S : group[i].retry_after_s;
        http->counters.limited += request->status == 429;
        MHD_resume_connection(request->mhd);
    }
    if (http->waiting == NULL)
        http->waiting_end = &http->waiting;
    if (http->counters.records.forks > forks)
        (void)dk_fail(&fault, DK_ERR_DATA, "ALARM", "see: dokiem-collector devices",
                      "a device sent a record that contradicts its chain");
    say_fault(http, &fault);
}

static struct MHD_Response *post_devices(struct dk_http *http, struct MHD_Connection *mhd,
                                         struct request *request)
{
    dk_auto_buf struct dk_buf answer = dk_buf_make(DK_ENROL_MAX_BYTES);
    struct dk_fault fault = {0};

    (void)mhd;
    request->status = dk_devices_enrol(http->store, http->key, dk_wall_now(), dk_buf_text(&request->body),
                                       request->body.len, &answer, &fault);
    if (request->status == 503)
        request->retry_after_s = RETRY_AFTER_S;
    if (request->status < 300)
        http->counters.enrolled++;
    else
        http->counters.enrolments_refused++;
    say_fault(http, &fault);
    return dk_read_text("application/json", dk_buf_text(&answer), answer.len);
}

static bool number_argument(struct MHD_Connection *mhd, const char *name, int64_t fallback, int64_t *out)
{
    const char *text = MHD_lookup_connection_value(mhd, MHD_GET_ARGUMENT_KIND, name);

    *out = fallback;
    return text == NULL || dk_parse_i64(text, 1, INT64_MAX - 1, out);
}

static struct MHD_Response *get_records(struct dk_http *http, struct MHD_Connection *mhd,
                                        struct request *request)
{
    const char *device = MHD_lookup_connection_value(mhd, MHD_GET_ARGUMENT_KIND, "device");
    int64_t since, limit, receipts;

    if (!number_argument(mhd, "since", 1, &since) || !number_argument(mhd, "limit", INT64_MAX - 1, &limit) ||
        !number_argument(mhd, "receipts", 2, &receipts))
        return refuse(request, 400, "since, limit and receipts must be numbers from 1");
    return dk_read_records(http->store, device, since, limit, receipts == 1, &connection_of(mhd)->since,
                           &request->status);
}

static struct MHD_Response *get_devices(struct dk_http *http, struct MHD_Connection *mhd,
                                        struct request *request)
{
    (void)mhd;
    return dk_read_devices(http->store, &request->status);
}

static struct MHD_Response *get_metrics(struct dk_http *http, struct MHD_Connection *mhd,
                                        struct request *request)
{
    (void)mhd;
    return dk_read_metrics(http->store, &http->counters, &request->status);
}

static struct MHD_Response *get_health(struct dk_http *http, struct MHD_Connection *mhd,
                                       struct request *request)
{
    struct dk_mono now = dk_mono_now();

    (void)mhd;
    // Writing costs a sync of the disk: at most one a second, whoever asks.
    if (dk_mono_diff_ns(now, http->checked) >= DK_NS_PER_S) {
        struct dk_fault fault = {0};

        http->healthy = dk_store_check(http->store, dk_wall_now(), &fault) == DK_OK;
        http->checked = now;
        say_fault(http, &fault);
    }
    if (!http->healthy)
        return refuse(request, 503, "the store cannot be written");
    request->status = 200;
    return dk_read_text("text/plain", "ok\n", 3);
}

static const struct route routes[] = {
    {"POST", "/v1/records", post_records, DK_BODY_MAX_BYTES, false},
    {"POST", "/v1/devices", post_devices, DK_ENROL_MAX_BYTES + 1, false},
    {"GET", "/v1/records", get_records, 0, true},
    {"GET", "/v1/devices", get_devices, 0, true},
    {"GET", "/healthz", get_health, 0, false},
    {"GET", "/metrics", get_metrics, 0, false},
};

// A proxy on this machine (nginx for TLS) makes every client look local; what it adds gives it away.
static bool is_forwarded(struct MHD_Connection *mhd)
{
    return header(mhd, "X-Forwarded-For") != NULL || header(mhd, "Forwarded") != NULL ||
           header(mhd, "X-Real-IP") != NULL || header(mhd, "Via") != NULL;
}

static bool is_loopback(const struct in6_addr *address)
{
    return IN6_IS_ADDR_LOOPBACK(address) || (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127);
}

static struct in6_addr map_v4(const void *v4)
{
    struct in6_addr address = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

    memcpy(address.s6_addr + 12, v4, 4);
    return address;
}

// The client's address: the peer's, or what a proxy on this machine says it is (the last of X-Forwarded-For).
static struct in6_addr client_address(struct MHD_Connection *mhd)
{
    const struct sockaddr *peer =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    struct in6_addr address = IN6ADDR_ANY_INIT;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (peer->sa_family == AF_INET) {
        memcpy(&v4, peer, sizeof v4);
        address = map_v4(&v4.sin_addr);
    } else if (peer->sa_family == AF_INET6) {
        memcpy(&v6, peer, sizeof v6);
        address = v6.sin6_addr;
    }

    const char *forwarded = is_loopback(&address) ? header(mhd, "X-Forwarded-For") : NULL;

    if (forwarded != NULL) {
        const char *comma = strrchr(forwarded, ',');
        const char *last = comma != NULL ? comma + 1 : forwarded;
        struct in_addr said4;
        struct in6_addr said6;

        last += strspn(last, " ");
        if (inet_pton(AF_INET, last, &said4) == 1)
            address = map_v4(&said4);
        else if (inet_pton(AF_INET6, last, &said6) == 1)
            address = said6;
    }
    return address;
}

static bool may_read(const struct dk_http *http, struct MHD_Connection *mhd)
{
    static const char scheme[] = "Bearer ";
    const char *token = http->options.read_token, *given = header(mhd, MHD_HTTP_HEADER_AUTHORIZATION);

    if (token == NULL) {
        struct in6_addr address = client_address(mhd);

        return is_loopback(&address) && !is_forwarded(mhd);
    }
    return given != NULL && strncmp(given, scheme, sizeof scheme - 1) == 0 &&
           strlen(given + sizeof scheme - 1) == strlen(token) &&
           CRYPTO_memcmp(given + sizeof scheme - 1, token, strlen(token)) == 0;
}

static bool is_jose(const char *type)
{
    static const char jose[] = "application/jose";

    return type != NULL && strncasecmp(type, jose, sizeof jose - 1) == 0 &&
           strchr("; \t", type[sizeof jose - 1]) != NULL;
}

static unsigned fail(struct request *request, unsigned status, const char *reason)
{
    request->status = status;
    request->reason = reason;
    return status;
}

// Looks at the request line and headers; 0 when all is well, else the status of the answer. *length is what
// the client says of the body, 0 when it says nothing.
static unsigned begin(struct dk_http *http, struct MHD_Connection *mhd, const char *path, const char *method,
                      struct request *request, int64_t *length)
{
    const char *said = header(mhd, MHD_HTTP_HEADER_CONTENT_LENGTH);
    struct in6_addr address = client_address(mhd);
    bool known = false;

    *length = 0;
    if (said != NULL && !dk_parse_i64(said, 0, INT64_MAX, length))
        return fail(request, 400, "Content-Length is not a number");
    request->retry_after_s = dk_limit_take(http->limit, &address, dk_mono_now());
    if (request->retry_after_s > 0) {
        http->counters.limited++;
        return fail(request, 429, "too many requests from this address");
    }
    // HEAD is answered as GET; the library leaves the body out.
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(routes[i].path, path) != 0)
            continue;
        known = true;
        if (strcmp(routes[i].method, method) == 0)
            request->route = &routes[i];
    }
    if (request->route == NULL)
        return known ? fail(request, 405, "this method is not allowed here")
                     : fail(request, 404, "there is nothing here");
    if (request->route->reading && !may_read(http, mhd))
        return http->options.read_token != NULL
                   ? fail(request, 401, "reading needs the header Authorization: Bearer TOKEN")
                   : fail(request, 403, "only clients on this machine may read (see --read-token)");
    if (request->route->body_max_bytes > 0 && !is_jose(header(mhd, MHD_HTTP_HEADER_CONTENT_TYPE)))
        return fail(request, 415, "Content-Type must be application/jose");
    if (request->route->body_max_bytes > 0 && *length > (int64_t)request->route->body_max_bytes)
        return fail(request, 413, "the request is too long");
    request->body = dk_buf_make(request->route->body_max_bytes);
    return 0;
}

static enum MHD_Result answer(struct MHD_Connection *mhd, struct request *request,
                              struct MHD_Response *response)
{
    char seconds[24];

    if (response == NULL)
        return MHD_NO; // no memory: the connection is closed, which the client takes for "not now"
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (request->retry_after_s > 0) {
        snprintf(seconds, sizeof seconds, "%lld", (long long)request->retry_after_s);
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    }
    if (request->status == 405)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, POST");
    if (request->status == 401)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");

    enum MHD_Result result = MHD_queue_response(mhd, request->status, response);

    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result take_body(struct dk_http *http, struct request *request, const char *data, size_t len)
{
    if (request->status == 0 && request->route->body_max_bytes > 0) {
        if (http->counters.bytes_held + (int64_t)len > HELD_MAX_BYTES)
            (void)fail(request, 503, "too much is coming in at once");
        else if (dk_buf_append(&request->body, data, len) != DK_OK)
            (void)fail(request, 413, "the request is too long");
        else {
            http->counters.bytes_held += (int64_t)len;
            return MHD_YES;
        }
        http->counters.bytes_held -= (int64_t)request->body.len;
        dk_buf_free(&request->body);
    }
    request->skipped += len;
    return request->skipped <= SKIP_MAX_BYTES ? MHD_YES : MHD_NO;
}

static enum MHD_Result on_request(void *argument, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *data, size_t *len,
                                  void **state)
{
    struct dk_http *http = argument;
    struct request *request = *state;

    (void)version;
    if (request == NULL) {
        int64_t length = 0;

        request = connection_of(mhd) == NULL ? NULL : calloc(1, sizeof *request);
        if (request == NULL)
            return MHD_NO;
        *state = request;
        http->counters.requests++;
        // A client that waits for "100 Continue", or has much too much, is answered before it sends.
        if (begin(http, mhd, url, method, request, &length) != 0 &&
            (length > SKIP_MAX_BYTES || header(mhd, MHD_HTTP_HEADER_EXPECT) != NULL))
            return answer(mhd, request, refuse(request, request->status, request->reason));
        return MHD_YES;
    }
    if (*len > 0) {
        enum MHD_Result result = take_body(http, request, data, *len);

        *len = 0;
        return result;
    }
    if (request->status == 0 && request->route->handle == post_records) {
        wait_for_others(http, mhd, request);
        return MHD_YES;
    }
    return answer(mhd, request,
                  request->status != 0 && request->mhd == NULL ? refuse(request, request->status, request->reason)
                                       : request->route->handle(http, mhd, request));
}

static void on_completed(void *argument, struct MHD_Connection *mhd, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct dk_http *http = argument;
    struct request *request = *state;

    (void)code;
    if (request == NULL)
        return;
    connection_of(mhd)->since = dk_mono_now();
    http->counters.bytes_held -= (int64_t)request->body.len;
    dk_buf_free(&request->body);
    dk_buf_free(&request->taken);
    free(request);
    *state = NULL;
}

static void on_connection(void *argument, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct dk_http *http = argument;
    struct connection *connection = *context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        connection = calloc(1, sizeof *connection);
        *context = connection;
        if (connection == NULL)
            return; // its requests are then refused
        *connection = (struct connection){.next = http->connections, .mhd = mhd, .since = dk_mono_now()};
        if (http->connections != NULL)
            http->connections->previous = connection;
        http->connections = connection;
    } else if (connection != NULL) {
        if (connection->next != NULL)
            connection->next->previous = connection->previous;
        if (connection->previous != NULL)
            connection->previous->next = connection->next;
        else
            http->connections = connection->next;
        free(connection);
        *context = NULL;
    }
}

// Ends connections whose request has taken too long: a byte now and then must not hold one for ever.
static void sweep(const struct dk_http *http, struct dk_mono now)
{
    for (const struct connection *c = http->connections; c != NULL; c = c->next)
        if (dk_mono_diff_ns(now, c->since) > http->options.timeout_ns)
            (void)shutdown(MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
                           SHUT_RDWR);
}

enum dk_err dk_http_open(const struct dk_http_options *options, struct dk_store *store,
                         const struct dk_key *key, struct dk_http **out, struct dk_fault *fault)
{
    dk_auto(http) struct dk_http *http = calloc(1, sizeof *http);
    int fd = -1;

    if (http == NULL || dk_limit_new(options->rate, &http->limit) != DK_OK ||
        dk_intake_new(store, key, options->rate, &http->intake) != DK_OK)
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    http->waiting_end = &http->waiting;
    http->swept = dk_mono_now();
    http->store = store;
    http->key = key;
    http->options = *options;
    http->checked = dk_mono_add_ns(dk_mono_now(), -DK_NS_PER_S);

    enum dk_err err = dk_listen(options->listen, &fd, http->address, fault);

    if (err != DK_OK)
        return err;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)options->tls_cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)options->tls_key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
        {MHD_OPTION_END, 0, NULL},
    };
    bool is_tls = options->tls_cert != NULL;

    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (is_tls ? MHD_USE_TLS : 0U), 0, NULL, NULL, on_request, http,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)CONNECTIONS_PER_ADDRESS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)((options->timeout_ns + DK_NS_PER_S - 1) / DK_NS_PER_S), MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,
        MHD_OPTION_ARRAY, is_tls ? tls : tls + 3, MHD_OPTION_END);
    if (http->daemon == NULL) {
        close(fd);
        return is_tls ? dk_fail(fault, DK_ERR_DATA, "--tls-cert, --tls-key", NULL,
                                "are no certificate and its key (PEM), so the server cannot be started")
                      : dk_fail(fault, DK_ERR_IO, options->listen, NULL, "the HTTP server cannot be started");
    }
    *out = http;
    http = NULL;
    return DK_OK;
}

void dk_http_free(struct dk_http *http)
{
    if (http == NULL)
        return;
    if (http->daemon != NULL)
        MHD_stop_daemon(http->daemon);
    dk_intake_free(http->intake);
    dk_limit_free(http->limit);
    free(http);
}

const char *dk_http_address(const struct dk_http *http)
{
    return http->address;
}

enum dk_err dk_http_step(struct dk_http *http, int stop_fd, struct dk_fault *fault)
{
    struct pollfd fds[] = {
        {.fd = stop_fd, .events = POLLIN},
        {.fd = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, .events = POLLIN},
    };
    MHD_UNSIGNED_LONG_LONG wait_ms = 1000, library_ms;

    if (http->answers)
        wait_ms = 0;
    else if (MHD_get_timeout(http->daemon, &library_ms) == MHD_YES && library_ms < wait_ms)
        wait_ms = library_ms;
    if (poll(fds, 2, (int)wait_ms) < 0 && errno != EINTR)
        return dk_fail(fault, DK_ERR_IO, "poll", NULL, "%s", strerror(errno));
    if (MHD_run(http->daemon) != MHD_YES)
        return dk_fail(fault, DK_ERR_IO, "http", NULL, "the HTTP server has stopped");
    http->answers = http->waiting != NULL;
    while (http->waiting != NULL)
        take_group(http);

    struct dk_mono now = dk_mono_now();

    if (dk_mono_diff_ns(now, http->swept) >= DK_NS_PER_S) {
        sweep(http, now);
        http->swept = now;
    }
    return DK_OK;
}

enum dk_err dk_http_serve(struct dk_http *http, int stop_fd, struct dk_fault *fault)
{
    struct pollfd stop = {.fd = stop_fd, .events = POLLIN};
    enum dk_err err = DK_OK;

    while (err == DK_OK && poll(&stop, 1, 0) == 0)
        err = dk_http_step(http, stop_fd, fault);
    return err;
}
