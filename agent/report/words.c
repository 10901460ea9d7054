// SPDX-License-Identifier: Apache-2.0
#include "agent/report/words.h"

#include <string.h>

#include "agent/report/text.h"

const char *dk_indicator_words(enum dk_indicator indicator)
{
    switch (indicator) {
    case DK_INDICATOR_DOWNLOAD_RATE:
        return _("download, steady rate");
    case DK_INDICATOR_DOWNLOAD_RATE_WHOLE:
        return _("download, rate of the whole transfer");
    case DK_INDICATOR_UPLOAD_RATE:
        return _("upload, steady rate");
    case DK_INDICATOR_UPLOAD_RATE_WHOLE:
        return _("upload, rate of the whole transfer");
    case DK_INDICATOR_LATENCY_IDLE_MEDIAN:
        return _("idle latency, median");
    case DK_INDICATOR_ACCESS_TIME:
        return _("time to reach the server");
    case DK_INDICATOR_ACCESS:
        return _("servers that were not reached");
    case DK_INDICATOR_DOWNLOAD:
        return _("downloads that broke off");
    case DK_INDICATOR_UPLOAD:
    default:
        return _("uploads that broke off");
    }
}

const char *dk_flag_words(enum dk_flag_code code)
{
    switch (code) {
    case DK_FLAG_CLOCK_UNSYNCHRONISED:
        return _("the clock is not synchronised: the times of the record may be wrong");
    case DK_FLAG_TUNNEL:
        return _("measured through a tunnel (VPN): the line itself may be better");
    case DK_FLAG_LOOPBACK:
        return _("the server is on this machine: the figures say nothing about a line");
    case DK_FLAG_HOST_LIMITED:
        return _("this device could not keep up with the line: the line itself may be better");
    case DK_FLAG_SERVER_LIMITED:
        return _("the server could not keep up with the line: the line itself may be better");
    case DK_FLAG_CROSS_TRAFFIC:
        return _("the interface carried other traffic as well: the line itself may be better");
    case DK_FLAG_LINK_CHANGED:
        return _("the link changed during the run: the figures are not of one line");
    case DK_FLAG_TECHNOLOGY_CHANGED:
        return _("the technology changed during the run: the figures are not of one technology");
    case DK_FLAG_BURST:
        return _("the line began faster than it went on: the beginning is left out of the rate");
    case DK_FLAG_BRIEF:
        return _("the test was too short to tell a burst from the line");
    case DK_FLAG_CAPTURE_DROPPED:
        return _("the capture missed packets: the figures of the wire have gaps");
    case DK_FLAG_CAPTURE_DISAGREES:
        return _("the capture and TCP do not count the same: the figures of the wire may be wrong");
    case DK_FLAG_UNSTEADY:
    default:
        return _("the rate was unsteady: it has no one level that the figure could stand for");
    }
}

const char *dk_indicator_path_words(const char *path)
{
#define X(name, text)                                                                                        \
    if (strcmp(path, text) == 0)                                                                             \
        return dk_indicator_words(DK_INDICATOR_##name);
    DK_INDICATOR_LIST(X)
#undef X
    return NULL;
}

const char *dk_flag_code_words(const char *code)
{
#define X(name, text)                                                                                        \
    if (strcmp(code, text) == 0)                                                                             \
        return dk_flag_words(DK_FLAG_##name);
    DK_FLAG_LIST(X)
#undef X
    return NULL;
}

const char *dk_code_words(const char *code)
{
    static const struct {
        const char *code, *words;
    } known[] = {
        {"", N_("not stated")},
        {"unknown", N_("not known")},
        {"auto", N_("not declared")},
        {"4g", "4G"},
        {"5g", "5G"},
        {"fixed", N_("fixed broadband")},
        {"unstated", N_("not stated")},
        {"indoor", N_("indoors")},
        {"outdoor", N_("outdoors")},
        {"moving", N_("moving")},
        {"ethernet", "Ethernet"},
        {"wifi", "Wi-Fi"},
        {"cellular", N_("mobile network")},
        {"ppp", "PPP"},
        {"tunnel", N_("tunnel (VPN)")},
        {"loopback", N_("this machine itself")},
        {"synchronised", N_("synchronised")},
        {"unsynchronised", N_("not synchronised")},
        {"ok", N_("measured")},
        {"failed", N_("failed")},
        {"invalid", N_("not valid")},
        {"not_measured", N_("not measured")},
        {"measurement", N_("measurement")},
        {"skipped", N_("skipped")},
        {"pass", N_("pass")},
        {"fail", N_("fail")},
        {"inconclusive", N_("inconclusive")},
        {"not_applicable", N_("not judged")},
        {"time", N_("its fixed length")},
        {"precise", N_("precise enough")},
        {"verdict", N_("the verdict is certain")},
        {"budget", N_("the data budget")},
        {"stamp", "STAMP"},
        {"icmp", "ICMP"},
        {"tcp", "TCP"},
        {"http", "HTTP"},
        {"none", "–"},
        {"low", N_("low")},
        {"medium", N_("medium")},
        {"high", N_("high")},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(code, known[i].code) == 0)
            return _(known[i].words);
    return NULL;
}

const char *dk_code_said(const char *code)
{
    const char *words = dk_code_words(code);

    return words != NULL ? words : code;
}

const char *dk_outcome_words(enum dk_kind kind, const char *outcome, bool qcvn)
{
    if (kind == DK_KIND_SKIPPED)
        return _("SKIPPED");
    if (kind == DK_KIND_FAILED)
        return _("FAILED");
    if (strcmp(outcome, "pass") == 0)
        return qcvn ? _("THRESHOLD MET") : _("TARGET MET");
    if (strcmp(outcome, "fail") == 0)
        return qcvn ? _("THRESHOLD NOT MET") : _("TARGET NOT MET");
    return strcmp(outcome, "inconclusive") == 0 ? _("INCONCLUSIVE") : _("NOT JUDGED");
}
