// SPDX-License-Identifier: Apache-2.0
//
// What stands beside the journal: each call that writes it fails in turn, in each way, once and for ever, and the power
// goes at each point. Then the old state is found or the new one, never a third; what was confirmed is the new one; and
// the configuration is as it was.
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/context/offset.h"
#include "agent/journal/captures.h"
#include "agent/journal/journal.h"
#include "agent/journal/usage.h"
#include "agent/record/key.h"
#include "agent/state.h"
#include "agent/verbs/campaigns.h"
#include "agent/verbs/verbs.h"
#include "tests/faults/disk.h"
#include "tests/faults/inject.h"
#include "tests/faults/story.h"
#include "tests/harness/harness.h"

// What is found.
enum found { OLD, NEW, THIRD };

static const struct dk_wall when = {INT64_C(1795147506789) * DK_NS_PER_MS};
static const char old_pcap[] = "the headers of one run", new_pcap[] = "the headers of the run after it",
                  plan[] = "[campaign]\nid = hall-4g\nfrom = 2026-11-20\nto = 2026-11-21\n"
                           "[stratum indoor]\ntechnology = 4g\nsamples = 5\n",
                  configuration[] = "[site]\ncode = XA-001\n";
static struct dk_key *old_key, *new_key;
static int nothing, said, told; // /dev/null, and what was stdout and stderr

static void make_nothing(const char *state)
{
    (void)state;
}

static void make_usage(const char *state)
{
    CU_ASSERT_EQUAL(dk_usage_add(state, "wwan0", when, 1000, NULL), DK_OK);
}

static enum dk_err add_usage(const char *state)
{
    return dk_usage_add(state, "wwan0", when, 500, NULL);
}

static enum found find_usage(const char *state)
{
    struct dk_usage usage;
    bool read = dk_usage_read(state, &usage, NULL) == DK_OK;
    int64_t day = read ? dk_usage_of(&usage, dk_usage_day(when), "wwan0") : 0;
    bool whole = read && dk_usage_of(&usage, dk_usage_month(when), "wwan0") == day;

    if (!whole || (day != 1000 && day != 1500 && day != 2000))
        return THIRD;
    return day > 1000 ? NEW : OLD; // 2000: added once more
}

static void make_offset(const char *state)
{
    CU_ASSERT_EQUAL(dk_offset_keep(state, 10 * DK_NS_PER_S, 5, NULL), DK_OK);
}

static enum dk_err keep_offset(const char *state)
{
    return dk_offset_keep(state, 20 * DK_NS_PER_S, 7, NULL);
}

static enum found find_offset(const char *state)
{
    struct dk_clock clock = {0};

    dk_offset_read(state, &clock);
    if (!clock.has_collector_offset || (clock.collector_offset_error_ns != 5 && clock.collector_offset_error_ns != 7))
        return THIRD;
    return clock.collector_offset_error_ns == 7 ? NEW : OLD;
}

static void make_capture(const char *state)
{
    CU_ASSERT_EQUAL(dk_capture_keep(state, "1.pcap", old_pcap, strlen(old_pcap), 1000, NULL), DK_OK);
}

// There is room for one of them only.
static enum dk_err keep_capture(const char *state)
{
    return dk_capture_keep(state, "2.pcap", new_pcap, strlen(new_pcap), 40, NULL);
}

// 1 when the file is whole, 0 when it is not there, -1 for all else.
static int find_file(const char *state, const char *name, const char *text)
{
    char path[PATH_MAX];
    dk_auto_buf struct dk_buf data = dk_buf_make(1000);

    snprintf(path, sizeof path, "%s/%s", state, name);

    enum dk_err err = dk_file_read(path, &data, NULL);

    return err == DK_ERR_NO_INPUT ? 0 : err == DK_OK && strcmp(dk_buf_text(&data), text) == 0 ? 1 : -1;
}

static enum found find_capture(const char *state)
{
    int first = find_file(state, DK_CAPTURES_FOLDER "/1.pcap", old_pcap);
    int second = find_file(state, DK_CAPTURES_FOLDER "/2.pcap", new_pcap);

    // The old one goes only when the new one is there.
    if (first < 0 || second < 0 || first + second == 0)
        return THIRD;
    return second == 1 ? NEW : OLD;
}

static enum dk_err make_key(const char *state)
{
    return dk_key_write_private(new_key, state, DK_KEY_FILE, NULL);
}

static enum found find_key(const char *state)
{
    char path[PATH_MAX];
    dk_auto(key) struct dk_key *key = NULL;

    snprintf(path, sizeof path, "%s/" DK_KEY_FILE, state);

    enum dk_err err = dk_key_read_private(path, &key, NULL);

    if (err == DK_ERR_NO_INPUT)
        return OLD;
    return err == DK_OK && strcmp(dk_key_id(key), dk_key_id(new_key)) == 0 ? NEW : THIRD;
}

// The collector's key, as an enrolment keeps it.
static enum dk_err keep_collector(const char *state, const struct dk_key *key)
{
    dk_auto_buf struct dk_buf jwk = dk_buf_make(1000);

    CU_ASSERT_EQUAL(dk_key_public_jwk(key, &jwk), DK_OK);
    return dk_file_write(state, DK_COLLECTOR_KEY_FILE, jwk.data, jwk.len, DK_WRITE_REPLACE, NULL);
}

static void make_collector(const char *state)
{
    CU_ASSERT_EQUAL(keep_collector(state, old_key), DK_OK);
}

static enum dk_err change_collector(const char *state)
{
    return keep_collector(state, new_key);
}

static enum found find_collector(const char *state)
{
    dk_auto_buf struct dk_buf first = dk_buf_make(1000), second = dk_buf_make(1000);

    CU_ASSERT_EQUAL(dk_key_public_jwk(old_key, &first), DK_OK);
    CU_ASSERT_EQUAL(dk_key_public_jwk(new_key, &second), DK_OK);
    if (find_file(state, DK_COLLECTOR_KEY_FILE, dk_buf_text(&second)) == 1)
        return NEW;
    return find_file(state, DK_COLLECTOR_KEY_FILE, dk_buf_text(&first)) == 1 ? OLD : THIRD;
}

// As the command; what it says is not asked.
static enum dk_err campaign(const char *state, const char *what)
{
    char given[PATH_MAX], config[PATH_MAX], file[PATH_MAX], word[8];
    char *arguments[] = {(char[]){"campaign"}, word,   (char[]){"--state"}, given, (char[]){"--config"},
                         config,               file, NULL};

    snprintf(word, sizeof word, "%s", what);
    snprintf(given, sizeof given, "%s", state);
    snprintf(config, sizeof config, "%.4000s/../dokiem.ini", state);
    snprintf(file, sizeof file, "%.4000s/../plan.ini", state);
    (void)fflush(stdout);
    dup2(nothing, STDOUT_FILENO);
    dup2(nothing, STDERR_FILENO);

    int status = dk_verb_campaign(strcmp(what, "start") == 0 ? 7 : 6, arguments);

    (void)fflush(stdout);
    dup2(said, STDOUT_FILENO);
    dup2(told, STDERR_FILENO);
    return status == 0 ? DK_OK : DK_ERR_IO;
}

static enum dk_err start_campaign(const char *state)
{
    return campaign(state, "start");
}

static void make_campaign(const char *state)
{
    CU_ASSERT_EQUAL(start_campaign(state), DK_OK);
}

static enum dk_err stop_campaign(const char *state)
{
    return campaign(state, "stop");
}

static enum found find_campaign(const char *state)
{
    struct dk_campaign active;
    bool found = false;

    if (dk_campaign_active(state, &active, &found, NULL) != DK_OK || (found && strcmp(active.id, "hall-4g") != 0))
        return THIRD;
    return found ? NEW : OLD;
}

static enum found find_no_campaign(const char *state)
{
    enum found found = find_campaign(state);

    return found == THIRD ? THIRD : found == OLD ? NEW : OLD;
}

static const struct path {
    const char *title;
    void (*make)(const char *state);
    enum dk_err (*write)(const char *state);
    enum found (*find)(const char *state);
} paths[] = {
    {"usage", make_usage, add_usage, find_usage},
    {"clock offset", make_offset, keep_offset, find_offset},
    {"capture", make_capture, keep_capture, find_capture},
    {"keygen", make_nothing, make_key, find_key},
    {"collector's key", make_collector, change_collector, find_collector},
    {"campaign start", make_nothing, start_campaign, find_campaign},
    {"campaign stop", make_campaign, stop_campaign, find_no_campaign},
};
enum { PATHS = sizeof paths / sizeof paths[0] };

static const char *begin(const struct path *path, char state[static PATH_MAX])
{
    const char *root = story_begin();
    dk_auto(journal) struct dk_journal *journal = NULL;

    if (old_key == NULL) {
        CU_ASSERT_EQUAL_FATAL(dk_key_generate(&old_key, NULL), DK_OK);
        CU_ASSERT_EQUAL_FATAL(dk_key_generate(&new_key, NULL), DK_OK);
        nothing = openat(AT_FDCWD, "/dev/null", O_WRONLY | O_CLOEXEC);
        said = dup(STDOUT_FILENO);
        told = dup(STDERR_FILENO);
    }
    CU_ASSERT_EQUAL(dk_file_write(root, "dokiem.ini", configuration, strlen(configuration), DK_WRITE_NEW, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_file_write(root, "plan.ini", plan, strlen(plan), DK_WRITE_NEW, NULL), DK_OK);
    snprintf(state, PATH_MAX, "%s/state", root);
    disk_start(root, 0);
    CU_ASSERT_EQUAL_FATAL(dk_journal_open(state, true, &journal, NULL), DK_OK);
    path->make(state);
    return root;
}

// What was confirmed survives a power cut now, in every way.
static bool is_durable(const struct path *path)
{
    bool good = true;

    for (unsigned choice = 0; good; choice++) {
        char state[PATH_MAX];
        const char *to = story_other();

        if (!disk_cut(disk_changes(), choice, to))
            break;
        snprintf(state, sizeof state, "%s/state", to);
        good = path->find(state) == NEW;
    }
    return good;
}

static int64_t try_one(const struct path *path, const struct inject_fault *fault, int64_t at)
{
    const struct inject plan_of_faults = {.at = at, .times = fault->times, .error_number = fault->error_number};
    char state[PATH_MAX];
    const char *root = begin(path, state);
    int descriptors = story_descriptors();

    inject_start(path->title, &plan_of_faults);

    enum dk_err err = path->write(state);
    int64_t calls = inject_stop();

    disk_stop();

    enum found found = path->find(state);
    bool good = found != THIRD && (err != DK_OK || found == NEW) && story_descriptors() == descriptors &&
                find_file(root, "dokiem.ini", configuration) == 1 && (err != DK_OK || is_durable(path));

    // Nothing is in the way of another try; what is there already may be said to be.
    good = good && (path->write(state) == DK_OK || found == NEW) && path->find(state) != THIRD;
    CU_ASSERT(good);
    if (!good)
        printf("    %s, call %" PRId64 " (%s), %s: %s\n", path->title, at, inject_hit(), fault->name, dk_err_text(err));
    story_end();
    return calls;
}

static void test_errors(void)
{
    for (const struct path *path = paths; path < paths + PATHS; path++) {
        char state[PATH_MAX];
        int64_t points = 0;

        begin(path, state);
        inject_start(path->title, &(struct inject){.list = true});
        CU_ASSERT_EQUAL(path->write(state), DK_OK);
        inject_stop();
        disk_stop();
        inject_say_functions();
        story_end();
        for (const struct inject_fault *fault = inject_faults; fault < inject_faults + INJECT_FAULTS; fault++)
            for (int64_t at = 1; at <= try_one(path, fault, at); at++)
                points++;
        CU_ASSERT(points > 50);
        printf("    %s: %" PRId64 " faults\n", path->title, points);
    }
}

static void test_power(void)
{
    for (const struct path *path = paths; path < paths + PATHS; path++) {
        char state[PATH_MAX];
        int64_t cuts = 0;
        bool good = true;

        begin(path, state);

        size_t first = disk_changes();

        CU_ASSERT_EQUAL(path->write(state), DK_OK);
        disk_stop();
        for (size_t changes = first; changes <= disk_changes() && good; changes++)
            for (unsigned choice = 0; good; choice++, cuts++) {
                const char *to = story_other();

                if (!disk_cut(changes, choice, to))
                    break;
                snprintf(state, sizeof state, "%s/state", to);

                enum found found = path->find(state);

                good = changes < disk_changes() ? found != THIRD : found == NEW;
                if (!good)
                    printf("    %s: power cut after change %zu of %zu, choice %u\n", path->title, changes,
                           disk_changes(), choice);
            }
        CU_ASSERT(good);
        CU_ASSERT(cuts > 2);
        printf("    %s: %" PRId64 " cuts\n", path->title, cuts);
        story_end();
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(test_errors), DK_CASE(test_power), {0}};
    int status = dk_harness_main(argc, argv, "state", cases);

    dk_key_free(old_key);
    dk_key_free(new_key);
    return status;
}
