// SPDX-License-Identifier: Apache-2.0
#include "agent/record/way.h"

#include "agent/base/network.h"
#include "agent/base/parse.h"

static const char *shown(const char *address, const char *local_address, char out[static DK_NETWORK_SIZE])
{
    return dk_address_shown(address, local_address, out) ? out : "";
}

// What an answer says, into the object of its query.
static int put_answer(json_t *object, const struct dk_dns_query *query)
{
    json_t *answer = json_pack("{s:I, s:I, s:b, s:b, s:I, s:I}", "response_ns", (json_int_t)query->response_ns, "rcode",
                               (json_int_t)query->rcode, "truncated", query->truncated, "authenticated",
                               query->authenticated, "answers", (json_int_t)query->answers, "unrelated",
                               (json_int_t)query->unrelated);
    int result = answer != NULL ? json_object_update(object, answer) : -1;

    json_decref(answer);
    return result;
}

static json_t *query_object(const struct dk_dns_query *query, const char *local_address)
{
    char server[DK_NETWORK_SIZE];
    bool ok = query->status == DK_STATUS_OK;
    json_t *object = json_pack("{s:s, s:I, s:b, s:s, s:s, s:s, s:s, s:s*, s:I, s:I}", "server",
                               shown(query->server, local_address, server), "port", (json_int_t)query->port,
                               "configured", query->configured, "name", query->name, "type", query->ipv6 ? "AAAA" : "A",
                               "transport", dk_transport_text(query->transport), "status",
                               dk_status_text(query->status), "failure",
                               ok ? NULL : dk_dns_failure_text(query->failure), "malformed",
                               (json_int_t)query->malformed, "mismatched", (json_int_t)query->mismatched);

    if (object != NULL && ok && put_answer(object, query) != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *queries_array(const struct dk_dns *dns, const char *local_address)
{
    json_t *array = json_array();

    for (size_t i = 0; array != NULL && i < dns->count; i++)
        if (json_array_append_new(array, query_object(&dns->queries[i], local_address)) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *hop_object(const struct dk_hop *hop, const char *local_address)
{
    char address[DK_NETWORK_SIZE];
    json_t *rtts = json_array(), *object;

    for (size_t i = 0; i < DK_HOP_PROBES; i++)
        if (json_array_append_new(rtts, json_integer(hop->rtt_ns[i])) != 0) {
            json_decref(rtts);
            return NULL;
        }
    object = json_pack("{s:s*, s:b, s:o}", "address",
                       hop->address[0] != '\0' ? shown(hop->address, local_address, address) : NULL, "several",
                       hop->several, "rtt_ns", rtts);
    return object;
}

static json_t *hops_array(const struct dk_route *route, const char *local_address)
{
    json_t *array = json_array();

    for (size_t i = 0; array != NULL && i < route->count; i++)
        if (json_array_append_new(array, hop_object(&route->hops[i], local_address)) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

// An object with the status, and, where it is not OK, the reason.
static json_t *begin(enum dk_status status, const char *reason)
{
    char clean[DK_REASON_SIZE];

    dk_text_cleaned(reason[0] != '\0' ? reason : "not known", clean, sizeof clean);
    return json_pack("{s:s, s:s*}", "status", dk_status_text(status), "reason",
                     status == DK_STATUS_OK ? NULL : clean);
}

// Takes `value`. False, with nothing put in, when there is no room, or one of both is not there.
static bool put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

json_t *dk_way_dns(const struct dk_dns *dns, const char *local_address)
{
    json_t *object = begin(dns->status, dns->reason);

    if (object != NULL && dns->count > 0 &&
        !(put(object, "timeout_ns", json_integer(dns->timeout_ns)) &&
          put(object, "queries", queries_array(dns, local_address)))) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *mtu_object(const struct dk_path_mtu *mtu, bool looked)
{
    json_t *object = begin(mtu->status, mtu->reason);
    bool good = object != NULL;

    if (good && looked && mtu->kernel_bytes >= 0)
        good = put(object, "kernel_mtu_bytes", json_integer(mtu->kernel_bytes));
    if (good && mtu->status == DK_STATUS_OK) {
        good = put(object, "path_mtu_bytes", json_integer(mtu->answered_bytes)) &&
               (mtu->passed_not_bytes == 0 || put(object, "too_long_bytes", json_integer(mtu->passed_not_bytes))) &&
               put(object, "router_told", json_boolean(mtu->told)) &&
               put(object, "black_hole", json_boolean(mtu->black_hole));
    }
    if (good)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *route_object(const struct dk_route *route, const char *local_address)
{
    json_t *object = begin(route->status, route->reason);

    if (object == NULL || route->status != DK_STATUS_OK ||
        (put(object, "reached", json_boolean(route->reached)) &&
         put(object, "unreachable", json_boolean(route->unreachable)) &&
         put(object, "hops", hops_array(route, local_address))))
        return object;
    json_decref(object);
    return NULL;
}

json_t *dk_way_path(const struct dk_way_found *path, const char *local_address)
{
    bool looked = path->method != DK_PATH_METHOD_AUTO;
    json_t *object = json_object();

    if ((!looked || put(object, "method", json_string(dk_path_method_text(path->method)))) &&
        put(object, "mtu", mtu_object(&path->mtu, looked)) &&
        put(object, "route", route_object(&path->route, local_address)))
        return object;
    json_decref(object);
    return NULL;
}
