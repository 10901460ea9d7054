// SPDX-License-Identifier: Apache-2.0
#include "agent/base/message.h"
#include "agent/verbs/verbs.h"

#include <stddef.h>
#include <string.h>

const struct dk_verb dk_verbs[] = {
    {"run", "", N_("measure, judge, seal and keep; deliver when a collector is set"), dk_verb_run},
    {"deliver", "", N_("send what waits to the collector"), dk_verb_deliver},
    {"status", "", N_("the device, its journal and what waits for delivery"), dk_verb_status},
    {"list", "", N_("the records kept, a line each"), dk_verb_list},
    {"show", "ID", N_("one record: its id, its number, or 'last'"), dk_verb_show},
#if DK_OFFICE
    {"report", "[ID|SEQ|FILE...]", N_("one HTML page for people: verdict, plots, how to check it"), dk_verb_report},
    {"export", "[ID|SEQ|FILE...]", N_("rows for spreadsheets and programs: a row a sample, or a place"),
     dk_verb_export},
    {"verify", "FILE...", N_("check signatures and the chain, offline"), dk_verb_verify},
    {"assess", "[FILE...]",
     N_("what a set of records or exported rows says about a place: findings by a profile's rules"),
     dk_verb_assess},
    {"recompute", "FILE...", N_("compute figures and verdict again from the record's own samples"), dk_verb_recompute},
    {"wire", "FILE", N_("what a packet capture shows: round trips, retransmissions, rates"), dk_verb_wire},
#endif
    {"campaign", "start PLAN|status|stop", N_("samples to be taken, and what is left of them"), dk_verb_campaign},
    {"keygen", "", N_("make the device's key and its state folder"), dk_verb_keygen},
    {"enrol", "", N_("make the device known to a collector"), dk_verb_enrol},
    {"check-config", "", N_("print the configuration that would be used"), dk_verb_check_config},
#if DK_OFFICE
    {"sign-profile", "FILE", N_("sign a profile with the device's key, for [judge] profile_key"), dk_verb_sign_profile},
#endif
    {"capabilities", "", N_("what can be measured here, and the highest rate"), dk_verb_capabilities},
    {"version", "", N_("print the version"), dk_verb_version},
    {NULL, NULL, NULL, NULL},
};

const struct dk_verb *dk_verb_find(const char *name)
{
    for (const struct dk_verb *verb = dk_verbs; verb->name != NULL; verb++)
        if (strcmp(verb->name, name) == 0)
            return verb;
    return NULL;
}
