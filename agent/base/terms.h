// SPDX-License-Identifier: Apache-2.0
//
// The words that several stages share, each list once: the C name and the text used in files, records and options.
#pragma once

#include <stdbool.h>

#define DK_TECHNOLOGY_LIST(X)                                                                                \
    X(UNKNOWN, "unknown")                                                                                    \
    X(4G, "4g")                                                                                              \
    X(5G, "5g")                                                                                              \
    X(FIXED, "fixed")                                                                                        \
    X(AUTO, "auto")

#define DK_ENVIRONMENT_LIST(X)                                                                               \
    X(UNSTATED, "unstated")                                                                                  \
    X(INDOOR, "indoor")                                                                                      \
    X(OUTDOOR, "outdoor")                                                                                    \
    X(MOVING, "moving")

// Whom the line serves.
#define DK_SUBSCRIBER_LIST(X)                                                                                \
    X(UNSTATED, "unstated")                                                                                  \
    X(HOUSEHOLD, "household")                                                                                \
    X(ORGANISATION, "organisation")

#define DK_FAMILY_LIST(X)                                                                                    \
    X(ANY, "any")                                                                                            \
    X(IPV4, "ipv4")                                                                                          \
    X(IPV6, "ipv6")                                                                                          \
    X(BOTH, "both") /* of a setting: one run after the other */

#define DK_METERED_LIST(X)                                                                                   \
    X(RUN, "run")                                                                                            \
    X(SKIP, "skip")

// How often a time stamp is asked for.
#define DK_EACH_LIST(X)                                                                                      \
    X(RECORD, "record")                                                                                      \
    X(DAY, "day")

#define DK_STOP_LIST(X)                                                                                      \
    X(TIME, "time")                                                                                          \
    X(PRECISE, "precise")                                                                                    \
    X(VERDICT, "verdict")                                                                                    \
    X(BUDGET, "budget")

// How a reference server is asked (probes/server.h).
#define DK_SERVER_KIND_LIST(X)                                                                               \
    X(AUTO, "auto")                                                                                          \
    X(DOKIEM, "dokiem")                                                                                      \
    X(LIBRESPEED, "librespeed")                                                                              \
    X(HTTP, "http")

// Whether a server stands in the network of the line's own operator.
#define DK_NET_LIST(X)                                                                                       \
    X(UNSTATED, "unstated")                                                                                  \
    X(ON, "on")                                                                                              \
    X(OFF, "off")

// Of one figure. A missing figure is never 0: it has one of the other three and a reason.
#define DK_STATUS_LIST(X)                                                                                    \
    X(NOT_MEASURED, "not_measured")                                                                          \
    X(OK, "ok")                                                                                              \
    X(FAILED, "failed")                                                                                      \
    X(INVALID, "invalid")

#define DK_OUTCOME_LIST(X)                                                                                   \
    X(NOT_APPLICABLE, "not_applicable")                                                                      \
    X(PASS, "pass")                                                                                          \
    X(FAIL, "fail")                                                                                          \
    X(INCONCLUSIVE, "inconclusive")

#define DK_METHOD_LIST(X)                                                                                    \
    X(NONE, "none")                                                                                          \
    X(STAMP, "stamp")                                                                                        \
    X(ICMP, "icmp")                                                                                          \
    X(TCP, "tcp")                                                                                            \
    X(HTTP, "http")

// Who read the clock when a packet was sent and when its answer came.
#define DK_TIMESTAMPS_LIST(X)                                                                                \
    X(USER, "user")     /* the program */                                                                    \
    X(KERNEL, "kernel") /* the kernel, both times of every round trip */                                     \
    X(MIXED, "mixed")   /* now one, now the other */

// Why a DNS query was not answered.
#define DK_DNS_FAILURE_LIST(X)                                                                               \
    X(NONE, "none")                                                                                          \
    X(TIMEOUT, "timeout")                                                                                    \
    X(REFUSED, "refused")         /* nobody listens there */                                                 \
    X(UNREACHABLE, "unreachable") /* no way there, or the device may not send */                             \
    X(CLOSED, "closed")           /* the connection ended before the answer */                               \
    X(MALFORMED, "malformed")     /* what came is no DNS message */                                          \
    X(MISMATCHED, "mismatched")   /* what came is no answer to the question */

#define DK_TRANSPORT_LIST(X)                                                                                 \
    X(UDP, "udp")                                                                                            \
    X(TCP, "tcp")

// What the way to the server is looked at with.
#define DK_PATH_METHOD_LIST(X)                                                                               \
    X(AUTO, "auto") /* of a setting: icmp where it is allowed, else udp */                                   \
    X(ICMP, "icmp")                                                                                          \
    X(UDP, "udp")

// How the moments of sending are chosen.
#define DK_SAMPLING_LIST(X)                                                                                  \
    X(PERIODIC, "periodic") /* RFC 3432: always the same interval */                                         \
    X(POISSON, "poisson")   /* RFC 2330 section 11.1.1: intervals of an exponential distribution */

// In responsiveness: how far its measurement came (draft-ietf-ippm-responsiveness, "Confidence
// of Test-Results").
#define DK_CONFIDENCE_LIST(X)                                                                                \
    X(LOW, "low")       /* fewer than four intervals after the rate had become stable */                     \
    X(MEDIUM, "medium") /* four, but it did not become stable */                                             \
    X(HIGH, "high")     /* it became stable */

// How the payload of a throughput test went through the device.
#define DK_PATH_LIST(X)                                                                                      \
    X(COPIED, "copied")     /* read or written by the program, decrypted or encrypted where there is TLS */   \
    X(DRAINED, "drained")   /* download: counted and discarded in the kernel, not copied, not decrypted */    \
    X(SENDFILE, "sendfile") /* upload: from memory to the connection without a copy */                        \
    X(MIXED, "mixed")       /* some streams so, some copied */

#define DK_KIND_LIST(X)                                                                                      \
    X(MEASUREMENT, "measurement")                                                                            \
    X(SKIPPED, "skipped")                                                                                    \
    X(FAILED, "failed")                                                                                      \
    X(ROTATION, "rotation") /* no run: the device changed its key */

#define DK_FAMILY_OF_RULE_LIST(X)                                                                            \
    X(QCVN, "qcvn")                                                                                          \
    X(TARGET, "target")

// For each list: the enum, NAME_text() (never NULL) and NAME_parse() (exact text; false leaves *out untouched).
#define DK_TERMS(X)                                                                                          \
    X(technology, TECHNOLOGY)                                                                                \
    X(environment, ENVIRONMENT)                                                                              \
    X(subscriber, SUBSCRIBER)                                                                                \
    X(family, FAMILY)                                                                                        \
    X(server_kind, SERVER_KIND)                                                                              \
    X(net, NET)                                                                                              \
    X(stop, STOP)                                                                                            \
    X(metered, METERED)                                                                                      \
    X(each, EACH)                                                                                            \
    X(status, STATUS)                                                                                        \
    X(outcome, OUTCOME)                                                                                      \
    X(method, METHOD)                                                                                        \
    X(timestamps, TIMESTAMPS)                                                                                \
    X(dns_failure, DNS_FAILURE)                                                                              \
    X(transport, TRANSPORT)                                                                                  \
    X(path_method, PATH_METHOD)                                                                              \
    X(sampling, SAMPLING)                                                                                    \
    X(confidence, CONFIDENCE)                                                                                \
    X(path, PATH)                                                                                            \
    X(kind, KIND)                                                                                            \
    X(rule_family, FAMILY_OF_RULE)

#define X(name, text) DK_TECHNOLOGY_##name,
enum dk_technology { DK_TECHNOLOGY_LIST(X) };
#undef X
#define X(name, text) DK_ENVIRONMENT_##name,
enum dk_environment { DK_ENVIRONMENT_LIST(X) };
#undef X
#define X(name, text) DK_SUBSCRIBER_##name,
enum dk_subscriber { DK_SUBSCRIBER_LIST(X) };
#undef X
#define X(name, text) DK_FAMILY_##name,
enum dk_family { DK_FAMILY_LIST(X) };
#undef X
#define X(name, text) DK_NET_##name,
enum dk_net { DK_NET_LIST(X) };
#undef X
#define X(name, text) DK_METERED_##name,
enum dk_metered { DK_METERED_LIST(X) };
#undef X
#define X(name, text) DK_EACH_##name,
enum dk_each { DK_EACH_LIST(X) };
#undef X
#define X(name, text) DK_STOP_##name,
enum dk_stop { DK_STOP_LIST(X) };
#undef X
#define X(name, text) DK_SERVER_KIND_##name,
enum dk_server_kind { DK_SERVER_KIND_LIST(X) };
#undef X
#define X(name, text) DK_STATUS_##name,
enum dk_status { DK_STATUS_LIST(X) };
#undef X
#define X(name, text) DK_OUTCOME_##name,
enum dk_outcome { DK_OUTCOME_LIST(X) };
#undef X
#define X(name, text) DK_METHOD_##name,
enum dk_method { DK_METHOD_LIST(X) };
#undef X
#define X(name, text) DK_TIMESTAMPS_##name,
enum dk_timestamps { DK_TIMESTAMPS_LIST(X) };
#undef X
#define X(name, text) DK_DNS_FAILURE_##name,
enum dk_dns_failure { DK_DNS_FAILURE_LIST(X) };
#undef X
#define X(name, text) DK_TRANSPORT_##name,
enum dk_transport { DK_TRANSPORT_LIST(X) };
#undef X
#define X(name, text) DK_PATH_METHOD_##name,
enum dk_path_method { DK_PATH_METHOD_LIST(X) };
#undef X
#define X(name, text) DK_SAMPLING_##name,
enum dk_sampling { DK_SAMPLING_LIST(X) };
#undef X
#define X(name, text) DK_CONFIDENCE_##name,
enum dk_confidence { DK_CONFIDENCE_LIST(X) };
#undef X
#define X(name, text) DK_PATH_##name,
enum dk_path { DK_PATH_LIST(X) };
#undef X
#define X(name, text) DK_KIND_##name,
enum dk_kind { DK_KIND_LIST(X) };
#undef X
#define X(name, text) DK_RULE_FAMILY_##name,
enum dk_rule_family { DK_FAMILY_OF_RULE_LIST(X) };
#undef X

#define X(term, LIST)                                                                                        \
    const char *dk_##term##_text(enum dk_##term value);                                                      \
    bool dk_##term##_parse(const char *text, enum dk_##term *out);
DK_TERMS(X)
#undef X
