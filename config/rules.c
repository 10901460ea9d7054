// SPDX-License-Identifier: Apache-2.0
#include "config/rules.h"

#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "config/embedded.h"
#include "config/ini.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RULE_PREFIX  "rule "
#define ID_ALLOWED   "lower-case letters, digits, - . _"
#define RATE_ALLOWED "1 b/s to 1000 Gb/s (units b/s kb/s Mb/s Gb/s)"
#define TIME_ALLOWED "1 us to 60 s (units ns us ms s min h d)"

static const int64_t rate_max_bps = INT64_C(1'000'000'000'000);
static const int64_t time_min_ns = 1000, time_max_ns = INT64_C(60'000'000'000);

#define X(name, text) text,
static const char *const indicator_texts[] = {DK_INDICATOR_LIST(X)};
#undef X
#define X(name, text) text ", "
static const char indicators_allowed[] = DK_INDICATOR_LIST(X);
#undef X

const char *dk_indicator_text(enum dk_indicator indicator)
{
    return indicator_texts[indicator];
}

const struct dk_unit *dk_indicator_units(enum dk_indicator indicator)
{
    return indicator == DK_INDICATOR_LATENCY_IDLE_MEDIAN ? dk_units_duration : dk_units_rate;
}

const char *dk_op_text(enum dk_op op)
{
    return op == DK_OP_AT_LEAST ? ">=" : "<=";
}

// --- keys -----------------------------------------------------------------------------------------------------------

// `set` returns false when `text` is not allowed. Keys are set in the order of the table, so that the threshold is
// read when its indicator is known.
struct rule_key {
    const char *name, *allowed;
    bool (*set)(struct dk_rule *rule, const char *text);
};

static bool copy_text(const char *text, char *out, size_t size)
{
    size_t len = strlen(text);

    if (len == 0 || len >= size || !dk_text_is_clean(text, len))
        return false;
    memcpy(out, text, len + 1);
    return true;
}

static bool copy_id(const char *text, char *out, size_t size)
{
    return text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-._")] == '\0' && copy_text(text, out, size);
}

static bool set_family(struct dk_rule *rule, const char *text)
{
    return dk_rule_family_parse(text, &rule->family);
}

static bool set_basis(struct dk_rule *rule, const char *text)
{
    return copy_text(text, rule->basis, sizeof rule->basis);
}

static bool set_technology(struct dk_rule *rule, const char *text)
{
    return dk_technology_parse(text, &rule->technology) && rule->technology != DK_TECHNOLOGY_UNKNOWN &&
           rule->technology != DK_TECHNOLOGY_AUTO;
}

static bool set_indicator(struct dk_rule *rule, const char *text)
{
    for (size_t i = 0; i < sizeof indicator_texts / sizeof indicator_texts[0]; i++)
        if (strcmp(text, indicator_texts[i]) == 0) {
            rule->indicator = (enum dk_indicator)i;
            return true;
        }
    return false;
}

static bool set_op(struct dk_rule *rule, const char *text)
{
    bool least = strcmp(text, "at least") == 0 || strcmp(text, ">=") == 0;

    rule->op = least ? DK_OP_AT_LEAST : DK_OP_AT_MOST;
    return least || strcmp(text, "at most") == 0 || strcmp(text, "<=") == 0;
}

static bool set_threshold(struct dk_rule *rule, const char *text)
{
    const struct dk_unit *units = dk_indicator_units(rule->indicator);
    bool rate = units == dk_units_rate;

    return dk_quantity_parse(text, units, 0, &rule->threshold) == NULL &&
           rule->threshold >= (rate ? 1 : time_min_ns) && rule->threshold <= (rate ? rate_max_bps : time_max_ns);
}

static bool set_min_samples(struct dk_rule *rule, const char *text)
{
    return dk_parse_i64(text, 1, 1'000'000, &rule->min_samples);
}

static const struct rule_key rule_keys[] = {
    {"family", "qcvn, target", set_family},
    {"basis", "1 to 511 bytes of text", set_basis},
    {"technology", "4g, 5g, fixed", set_technology},
    {"indicator", indicators_allowed, set_indicator},
    {"op", "at least, at most, >=, <=", set_op},
    {"threshold", "a rate of " RATE_ALLOWED ", or for a latency " TIME_ALLOWED, set_threshold},
    {"min_samples", "integer 1 to 1000000", set_min_samples},
};

// --- sections -------------------------------------------------------------------------------------------------------

static enum dk_err fail_value(const struct dk_ini *ini, const struct dk_ini_entry *entry, const char *allowed,
                              struct dk_fault *fault)
{
    char value[DK_QUOTE_SIZE];

    dk_quote(entry->value, value);
    return dk_ini_fail(ini, entry, fault, NULL, "%s is not allowed; allowed: %s", value, allowed);
}

// The entry of `key` in the section whose own line is entry `first`; NULL with a fault when it is missing.
static const struct dk_ini_entry *require(const struct dk_ini *ini, size_t first, const char *key,
                                          struct dk_fault *fault)
{
    for (size_t i = first + 1; i < ini->count && ini->entries[i].key != NULL; i++)
        if (strcmp(ini->entries[i].key, key) == 0)
            return &ini->entries[i];
    (void)dk_ini_fail(ini, &ini->entries[first], fault, "add it", "the key \"%s\" is missing", key);
    return NULL;
}

// Refuses keys of the section that are none of `names` ("a, b, c").
static enum dk_err check_names(const struct dk_ini *ini, size_t first, const char *const names[], size_t count,
                               struct dk_fault *fault)
{
    for (size_t i = first + 1; i < ini->count && ini->entries[i].key != NULL; i++) {
        dk_auto_buf struct dk_buf allowed = dk_buf_make(256);
        bool known = false;

        for (size_t k = 0; k < count && !known; k++) {
            known = strcmp(ini->entries[i].key, names[k]) == 0;
            if (dk_buf_printf(&allowed, "%s%s", k > 0 ? ", " : "", names[k]) != DK_OK)
                break;
        }
        if (!known)
            return dk_ini_fail(ini, &ini->entries[i], fault, "correct the name, or remove the line",
                               "unknown key \"%s\"; allowed: %s", ini->entries[i].key, dk_buf_text(&allowed));
    }
    return DK_OK;
}

static enum dk_err read_rule(const struct dk_ini *ini, size_t first, struct dk_rules *rules, struct dk_fault *fault)
{
    enum { KEYS = sizeof rule_keys / sizeof rule_keys[0] };
    const struct dk_ini_entry *own = &ini->entries[first];
    const char *names[KEYS];

    if (rules->count == DK_RULES_MAX)
        return dk_ini_fail(ini, own, fault, NULL, "too many rules; %d are allowed", DK_RULES_MAX);

    struct dk_rule *rule = &rules->rules[rules->count++];

    if (!copy_id(own->section + strlen(RULE_PREFIX), rule->id, sizeof rule->id))
        return dk_ini_fail(ini, own, fault, NULL, "the rule has no proper name; allowed: [rule NAME], NAME of "
                           ID_ALLOWED ", at most %d", DK_RULE_ID_SIZE - 1);
    for (size_t k = 0; k < KEYS; k++)
        names[k] = rule_keys[k].name;

    enum dk_err err = check_names(ini, first, names, KEYS, fault);

    for (size_t k = 0; k < KEYS && err == DK_OK; k++) {
        const struct dk_ini_entry *entry = require(ini, first, names[k], fault);

        if (entry == NULL)
            return DK_ERR_CONFIG;
        if (!rule_keys[k].set(rule, entry->value))
            err = fail_value(ini, entry, rule_keys[k].allowed, fault);
    }
    return err;
}

static enum dk_err read_profile(const struct dk_ini *ini, size_t first, struct dk_rules *rules,
                                struct dk_fault *fault)
{
    static const char *const names[] = {"id", "version", "title"};
    enum dk_err err = check_names(ini, first, names, sizeof names / sizeof names[0], fault);

    if (err != DK_OK)
        return err;

    const struct dk_ini_entry *id = require(ini, first, "id", fault);
    const struct dk_ini_entry *version = id == NULL ? NULL : require(ini, first, "version", fault);
    const struct dk_ini_entry *title = version == NULL ? NULL : require(ini, first, "title", fault);

    if (title == NULL)
        return DK_ERR_CONFIG;
    if (!copy_id(id->value, rules->id, sizeof rules->id))
        return fail_value(ini, id, ID_ALLOWED ", 1 to 63", fault);
    if (!copy_id(version->value, rules->version, sizeof rules->version))
        return fail_value(ini, version, ID_ALLOWED ", 1 to 63", fault);
    if (!copy_text(title->value, rules->title, sizeof rules->title))
        return fail_value(ini, title, "1 to 511 bytes of text", fault);
    return DK_OK;
}

enum dk_err dk_rules_read_text(struct dk_rules *out, const char *name, const char *text, size_t len,
                               struct dk_fault *fault)
{
    dk_auto(ini) struct dk_ini *ini = NULL;
    struct dk_rules rules = {0};
    enum dk_err err = dk_ini_read(name, text, len, &ini, fault);

    for (size_t i = 0; err == DK_OK && i < ini->count; i++) {
        const struct dk_ini_entry *entry = &ini->entries[i];

        if (entry->key != NULL)
            continue;
        if (strcmp(entry->section, "profile") == 0)
            err = read_profile(ini, i, &rules, fault);
        else if (strncmp(entry->section, RULE_PREFIX, strlen(RULE_PREFIX)) == 0)
            err = read_rule(ini, i, &rules, fault);
        else
            err = dk_ini_fail(ini, entry, fault, "correct the name, or remove the section",
                              "unknown section \"%s\"; allowed: profile, rule NAME", entry->section);
    }
    if (err != DK_OK)
        return err;
    if (rules.id[0] == '\0')
        return dk_fail(fault, DK_ERR_CONFIG, name, "add [profile] with id, version and title",
                       "the section \"profile\" is missing");
    if (rules.count == 0)
        return dk_fail(fault, DK_ERR_CONFIG, name, "add a section [rule NAME]", "holds no rule");
    if (dk_sha256_hex(text, len, rules.sha256) != DK_OK)
        return dk_fail(fault, DK_ERR_MEMORY, name, NULL, "its SHA-256 cannot be computed");
    *out = rules;
    return DK_OK;
}

// --- finding a profile ----------------------------------------------------------------------------------------------

static enum dk_err load_text(struct dk_rules *out, const char *name, const char *text, size_t len,
                             struct dk_buf *copy, struct dk_fault *fault)
{
    enum dk_err err = copy != NULL ? dk_buf_append(copy, text, len) : DK_OK;

    if (err != DK_OK)
        return dk_fail(fault, err == DK_ERR_DATA ? DK_ERR_CONFIG : err, name, NULL, "is too long to be kept");
    return dk_rules_read_text(out, name, text, len, fault);
}

static enum dk_err load_file(struct dk_rules *out, const char *path, struct dk_buf *copy, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_INI_MAX_BYTES);
    enum dk_err err = dk_ini_read_file(path, &text, fault);

    return err != DK_OK ? err : load_text(out, path, dk_buf_text(&text), text.len, copy, fault);
}

enum dk_err dk_rules_load(struct dk_rules *out, const char *profile, struct dk_fault *fault)
{
    return dk_rules_load_text(out, profile, NULL, fault);
}

enum dk_err dk_rules_load_text(struct dk_rules *out, const char *profile, struct dk_buf *text,
                               struct dk_fault *fault)
{
    static const char *const folders[] = {"/etc/dokiem/profiles", "/usr/share/dokiem/profiles"};
    dk_auto_buf struct dk_buf built_in = dk_buf_make(256);
    char path[PATH_MAX];

    if (strchr(profile, '/') != NULL)
        return load_file(out, profile, text, fault);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (snprintf(path, sizeof path, "%s/%s.ini", folders[i], profile) < (int)sizeof path &&
            (access(path, F_OK) == 0 || errno == EACCES))
            return load_file(out, path, text, fault);
    for (const struct dk_embedded *e = dk_embedded_profiles; e->name != NULL; e++) {
        if (strcmp(e->name, profile) == 0)
            return load_text(out, profile, (const char *)e->data, e->len, text, fault);
        if (dk_buf_printf(&built_in, "%s%s", built_in.len > 0 ? ", " : "", e->name) != DK_OK)
            break;
    }

    char quoted[DK_QUOTE_SIZE];

    dk_quote(profile, quoted);
    return dk_fail(fault, DK_ERR_CONFIG, "[judge] profile", "name one of these, or the path of a file",
                   "there is no profile %s in %s or %s; built in: %s", quoted, folders[0], folders[1],
                   dk_buf_text(&built_in));
}
