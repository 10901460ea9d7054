// SPDX-License-Identifier: Apache-2.0
#include "agent/record/way.h"

#include "agent/base/network.h"

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

json_t *dk_way_queries(const struct dk_dns *dns, const char *local_address)
{
    json_t *array = json_array();

    for (size_t i = 0; array != NULL && i < dns->count; i++)
        if (json_array_append_new(array, query_object(&dns->queries[i], local_address)) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}
