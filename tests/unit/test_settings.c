// SPDX-License-Identifier: Apache-2.0
#include "agent/base/file.h"
#include "config/ini.h"
#include "config/settings.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char sample_path[] = DK_SOURCE_ROOT "/config/dokiem.ini";

static bool says(const struct dk_fault *fault, const char *word)
{
    bool found = strstr(fault->where, word) != NULL || strstr(fault->what, word) != NULL ||
                 strstr(fault->todo, word) != NULL;

    if (!found)
        printf("    no \"%s\" in \"%s: %s; %s\"\n", word, fault->where, fault->what, fault->todo);
    return found;
}

// Reads bytes that must be refused with all of `words`, and leave the settings alone.
static void refuse(const char *text, size_t len, const char *const words[], size_t count)
{
    struct dk_settings before, after;
    struct dk_fault fault = {0};

    dk_settings_default(&before);
    after = before;

    enum dk_err err = dk_settings_read_text(&after, "x.ini", text, len, &fault);

    if (err != DK_ERR_CONFIG)
        printf("    not refused: %s\n", text);
    CU_ASSERT_EQUAL(err, DK_ERR_CONFIG);
    CU_ASSERT_EQUAL(fault.err, DK_ERR_CONFIG);
    CU_ASSERT_EQUAL(memcmp(&before, &after, sizeof before), 0);
    for (size_t i = 0; i < count && words[i] != NULL; i++)
        CU_ASSERT_TRUE(says(&fault, words[i]));
}

// The bytes, and words that the fault must hold.
static const struct {
    const char *text;
    const char *words[5];
} wrong_files[] = {
    {"", {"x.ini", "empty"}},
    {" \n\t\r\n", {"empty"}},
    {"[test]\nstreams = 010\n", {"x.ini:2 [test] streams", "\"010\"", "1 to 32", "default, 4"}},
    {"[test]\nstreams = 12abc\n", {"\"12abc\"", "1 to 32"}},
    {"[test]\nstreams = 1e3\n", {"\"1e3\"", "plain integer"}},
    {"[test]\nstreams = 4.0\n", {"\"4.0\"", "plain integer"}},
    {"[test]\nstreams = 0x4\n", {"plain integer"}},
    {"[test]\nstreams = +4\n", {"plain integer"}},
    {"[test]\nstreams = 33\n", {"out of range", "1 to 32"}},
    {"[test]\nstreams = 99999999999999999999\n", {"plain integer"}},
    {"[test]\nstreams = 0\n", {"out of range"}},
    {"[test]\nstreams =\n", {"[test] streams", "\"\"", "1 to 32"}},
    {"[test]\nstreams = \"\"\n", {"\"\""}},
    {"[test]\nstreams = 4s\n", {"plain integer"}},
    {"[test]\nduration = 10 sec\n", {"unit", "1s to 60s", "ns us ms s min h d"}},
    {"[test]\nduration = 10S\n", {"unit"}},
    {"[test]\nduration = 10Mb/s\n", {"unit"}},
    {"[test]\nduration = 10  s\n", {"unit"}},
    {"[test]\nduration = 010s\n", {"plain decimal"}},
    {"[test]\nduration = 010\n", {"plain decimal"}},
    {"[test]\nduration = 1e1s\n", {"unit"}},
    {"[test]\nduration = -5s\n", {"not a number"}},
    {"[test]\nduration = 1.5\n", {"no unit"}},
    {"[test]\nduration = 1,5s\n", {"unit"}},
    {"[test]\nduration = 61s\n", {"out of range", "1s to 60s"}},
    {"[test]\nduration = 999ms\n", {"out of range"}},
    {"[test]\nstreams = 8\nduration = 0s\n", {"out of range"}},
    {"[test]\nduration = 0.0000000001d\n", {"too fine"}},
    {"[test]\nduration = 999999999999999d\n", {"too large"}},
    {"[test]\nduration = inf\n", {"not a number"}},
    {"[test]\nmax_bytes = 1000000000\n", {"no unit", "B kB MB GB"}},
    {"[test]\nmax_bytes = 1mb\n", {"unit"}},
    {"[test]\nmax_bytes = 999kB\n", {"out of range", "1MB to 100GB"}},
    {"[test]\nmax_bytes = 100GiB\n", {"out of range"}},
    {"[test]\ntechnology = 5G\n", {"\"5G\"", "4g, 5g, fixed, auto"}},
    {"[test]\ntechnology = unknown\n", {"none of the choices"}},
    {"[test]\ntechnology = 4g, 5g\n", {"none of the choices"}},
    {"[test]\ntechnology = g\n", {"none of the choices"}},
    {"[test]\nstop = budget\n", {"\"budget\"", "allowed: time, precise, verdict"}},
    {"[test]\nprecision = 2 Mb/s\n", {"unit", "% ppm"}},
    {"[test]\nprecision = 0.09 %\n", {"out of range", "0.1 % to 50 %"}},
    {"[site]\nsubscribed_download = 100\n", {"\"100\"", "no unit", "unset, or 1 kb/s to 1000 Gb/s", "default, unset"}},
    {"[site]\nsubscribed_download = 100 MB/s\n", {"unit", "b/s kb/s Mb/s Gb/s"}},
    {"[site]\nsubscribed_download = 0 Mb/s\n", {"out of range"}},
    {"[site]\nsubscribed_download =\n", {"not a number"}},
    {"[site]\nminimum_download = none\n", {"not a number", "unset"}},
    {"[site]\ndeclared_upload = 1001 Gb/s\n", {"out of range"}},
    {"[site]\nsubscriber = company\n", {"unstated, household, organisation"}},
    {"[test]\nonly =\n", {"download, upload, latency"}},
    {"[test]\nonly = download,\n", {"commas"}},
    {"[test]\nonly = download,voice\n", {"commas"}},
    {"[dns]\nservers = a.vn\n", {"ADDRESS[:PORT]"}},
    {"[dns]\nservers = \"192.0.2.1,\"\n", {"ADDRESS[:PORT]"}},
    {"[dns]\nservers = \"::1, ::2, ::3, ::4\"\n", {"3 entries"}},
    {"[dns]\nservers = 192.0.2.1:0\n", {"ADDRESS[:PORT]"}},
    {"[dns]\nnames = \"a..b\"\n", {"host name"}},
    {"[dns]\nnames = \"a b\"\n", {"host name"}},
    {"[dns]\nnames = \"a.vn, \"\n", {"host name"}},
    {"[dns]\nnames = \"1234567890123456789012345678901234567890123456789012345678901234.vn\"\n", {"host name"}},
    {"[test]\nonly = download upload\n", {"commas"}},
    {"[test]\nonly = upload,upload\n", {"twice"}},
    {"[test]\ninterface = averyverylongname0\n", {"too long", "15 bytes"}},
    {"[test]\ninterface = ../x\n", {"interface"}},
    {"[server]\nurl = ftp://a\n", {"\"ftp://a\"", "http[s]://"}},
    {"[server]\nurl = HTTP://a\n", {"http://"}},
    {"[server]\nurl = http://\n", {"no host"}},
    {"[server]\nurl = http:///x\n", {"no host"}},
    {"[server]\nurl = http://:80\n", {"host"}},
    {"[server]\nurl = http://u:p@a/\n", {"user name"}},
    {"[server]\nurl = http://a/?x=1\n", {"query"}},
    {"[server]\nurl = \"http://a/#x\"\n", {"fragment"}},
    {"[server]\nurl = http://a?x\n", {"query"}},
    {"[server]\nurl = http://a b/\n", {"host"}},
    {"[server]\nurl = http://a/b c\n", {"%XX"}},
    {"[server]\nurl = http://a/%zz\n", {"%XX"}},
    {"[server]\nurl = http://a/\\x\n", {"%XX"}},
    {"[server]\nurl = http://a/đ\n", {"%XX"}},
    {"[server]\nurl = http://a:0/\n", {"port"}},
    {"[server]\nurl = http://a:65536/\n", {"port"}},
    {"[server]\nurl = http://a:/\n", {"port"}},
    {"[server]\nurl = http://a:080/\n", {"port"}},
    {"[server]\nurl = http://::1/\n", {"colon"}},
    {"[server]\nurl = http://[::1\n", {"]"}},
    {"[server]\nurl = http://[::g]/\n", {"IPv6"}},
    {"[server]\nurl = http://[]/\n", {"IPv6"}},
    {"[server]\nurl = http://a..b/\n", {"host name"}},
    {"[server]\nurl = http://-a/\n", {"host name"}},
    {"[server]\nurl = javascript:alert\n", {"port"}},
    {"[collector]\nurl = records.example.vn\n", {"http:// or https://"}},
    {"[time_stamp]\nurl = tsa.example.vn\n", {"http:// or https://"}},
    {"[time_stamp]\neach = week\n", {"record, day"}},
    {"[time_stamp]\npolicy = 1.2.x\n", {"object identifier"}},
    {"[time_stamp]\npolicy = 1..2\n", {"object identifier"}},
    {"[time_stamp]\npolicy = 1.2.\n", {"object identifier"}},
    {"[time_stamp]\npolicy = 1.02\n", {"object identifier"}},
    {"[time_stamp]\npolicy = 12\n", {"object identifier"}},
    {"[time_stamp]\nca_file = tsa.pem\n", {"absolute"}},
    {"[server a]\n", {"x.ini:1 [server a]", "no url", "add url"}},
    {"[server a]\nurl = \"\"\n", {"[server a]", "no url"}},
    {"[server]\nurl = b\n[server a]\nstamp = off\n[server b]\nurl = c\n", {"x.ini:3 [server a]", "no url"}},
    {"[server a]\nurl = a\nspeed = 1\n", {"x.ini:3 [server a] speed", "unknown key", "url, kind, upload_url"}},
    {"[server a]\nurl = a\nname = b\n", {"[server a] name", "unknown key"}},
    {"[server a]\nurl = a\nconnect_timeout = 5s\n", {"[server a] connect_timeout", "unknown key"}},
    {"[server a]\nurl = a\nstreams = 4\n", {"[server a] streams", "unknown key"}},
    {"[server a]\nurl = ftp://a\n", {"x.ini:2 [server a] url", "\"ftp://a\""}},
    {"[server a]\nurl = a\nnet = maybe\n", {"[server a] net", "unstated, on, off"}},
    {"[server a]\nurl = a\nca_file = ca.pem\n", {"[server a] ca_file", "absolute"}},
    {"[server a]\nurl = a\n[server a]\nurl = b\n", {"x.ini:3 [server a]", "twice", "line 1"}},
    {"[server]\nname = a\nurl = b\n[server a]\nurl = c\n", {"x.ini:4 [server a]", "called \"a\"", "of its own"}},
    {"[server ]\nurl = a\n", {"x.ini:1", "name of a section"}},
    {"[server  a]\nurl = a\n", {"x.ini:1 [server  a]", "unknown section", "server NAME"}},
    {"[servers]\nurl = a\n", {"unknown section"}},
    {"[server]\nstamp = a:b:c\n", {"colon"}},
    {"[server]\nstamp = \"\"\n", {"no host"}},
    {"[server]\nstamp = a:70000\n", {"port"}},
    {"[server]\nca_file = ca.pem\n", {"absolute"}},
    {"[journal]\nstate_dir = \"\"\n", {"is empty"}},
    {"[journal]\nstate_dir = ~/x\n", {"absolute"}},
    {"[judge]\nprofile = \"\"\n", {"is empty"}},
    {"[judge]\nprofile = a/b.ini\n", {"absolute"}},
    {"[device]\nkey = device.pem\n", {"x.ini:2 [device] key", "pkcs11:", "default, not set"}},
    {"[device]\nkey = pkcs11:token=a\n", {"module-path"}},
    {"[device]\nkey = \"pkcs11:a;b?module-path=/m.so\"\n", {"the value", "without ="}},
    {"[tests]\n", {"x.ini:1 [tests]", "unknown section", "server, server NAME, test, latency", "collector"}},
    {"[test]\nspeed = 1\n", {"x.ini:2 [test] speed", "unknown key", "technology, streams, max_streams, duration"}},
    {"[test]\nStreams = 4\n", {"x.ini:2", "lower-case"}},
    {"[Test]\nstreams = 4\n", {"x.ini:1", "lower-case"}},
    {"[test]\nstreams = 4\nduration = 5s\nstreams = 5\n", {"x.ini:4 [test] streams", "twice", "line 2"}},
    {"[test]\nstreams = 4\nstreams = 4\n", {"twice"}},
    {"[test]\n[site]\n[test]\n", {"x.ini:3 [test]", "twice", "line 1"}},
    {"streams = 4\n", {"x.ini:1", "before any section"}},
    {"[test]\nstreams 4\n", {"x.ini:2", "key = value"}},
    {"[test]\n= 4\n", {"name of a key"}},
    {"[test]\ntest:streams = 4\n", {"name of a key"}},
    {"[test\nstreams = 4\n", {"not a section"}},
    {"[test] # ours\n", {"not a section", "lines of their own"}},
    {"[]\n", {"not a section"}},
    {"[ test ]\n", {"name of a section"}},
    {"[te:st]\n", {"name of a section"}},
    {"[test]\nstreams = 4 # few\n", {"lines of their own"}},
    {"[site]\nnote = a;b\n", {"double quotation marks"}},
    {"[site]\nnote = 'a'\n", {"cannot begin with '", "double quotation marks"}},
    {"[site]\nnote = \"a\" b\n", {"second \""}},
    {"[site]\nnote = \"a\n", {"second \""}},
    {"[site]\nnote = a \"b\"\n", {"double quotation marks"}},
    {"[site]\nnote = a\\\nname = b\n", {"x.ini:2", "backslash"}},
    {"# a\\\n[site]\n", {"x.ini:1", "backslash"}},
    {"[site]\nnote = a\x1b[2Jb\n", {"x.ini:2", "not text"}},
    {"[site]\nnote = \xff\n", {"not text", "UTF-8"}},
    {"[site]\nnote = \xe2\x80\xae\n", {"not text"}},
    {"# \xc0\x80\n", {"x.ini:1", "not text"}},
    {"\xef\xbb\xbf[site]\n", {"x.ini:1"}},
    {"[site]\rname = a\n", {"not text"}},
    {"\x7f" "ELF\x02\x01\x01", {"not text"}},
};

static void wrong_files_are_refused_in_words(void)
{
    for (size_t i = 0; i < COUNT(wrong_files); i++)
        refuse(wrong_files[i].text, strlen(wrong_files[i].text), wrong_files[i].words,
               COUNT(wrong_files[i].words));
    refuse("[test]\0\n", 8, (const char *const[]){"x.ini:1", "not text"}, 2);
    refuse("\0\0\0\0", 4, (const char *const[]){"not text"}, 1);
}

static void pin_in_a_file_is_not_repeated(void)
{
    static const char text[] = "[device]\nkey = \"pkcs11:token=a?module-path=/m.so&pin-value=83061\"\n";
    struct dk_settings settings;
    struct dk_fault fault = {0};

    dk_settings_default(&settings);
    CU_ASSERT_EQUAL(dk_settings_read_text(&settings, "x.ini", text, strlen(text), &fault), DK_ERR_CONFIG);
    CU_ASSERT_TRUE(says(&fault, "x.ini:2 [device] key"));
    CU_ASSERT_TRUE(says(&fault, "holds a PIN"));
    CU_ASSERT_PTR_NULL(strstr(fault.where, "83061"));
    CU_ASSERT_PTR_NULL(strstr(fault.what, "83061"));
    CU_ASSERT_PTR_NULL(strstr(fault.todo, "83061"));
}

static void long_input_is_refused(void)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(1 << 20);
    static char many[DK_INI_LINE_MAX + 1];

    memset(many, 'x', sizeof many);
    CU_ASSERT_EQUAL(dk_buf_printf(&text, "[site]\n# %.*s\n", DK_INI_LINE_MAX - 1, many), DK_OK);
    refuse(text.data, text.len, (const char *const[]){"x.ini:2", "too long", "1000"}, 3);
    dk_buf_free(&text);
    CU_ASSERT_EQUAL(dk_buf_printf(&text, "[site]\nnote = %.*s", DK_INI_VALUE_MAX + 1, many), DK_OK);
    refuse(text.data, text.len, (const char *const[]){"[site] note", "too long", "900"}, 3);
    dk_buf_free(&text);
    CU_ASSERT_EQUAL(dk_buf_printf(&text, "[site]\ncode = %.*s", DK_NAME_SIZE, many), DK_OK);
    refuse(text.data, text.len, (const char *const[]){"[site] code", "too long", "127", "xxx…"}, 4);
    dk_buf_free(&text);
    while (text.len <= DK_INI_MAX_BYTES)
        CU_ASSERT_EQUAL_FATAL(dk_buf_append(&text, "# comment\n", 10), DK_OK);
    refuse(text.data, text.len, (const char *const[]){"longer than", "65536"}, 2);
    dk_buf_free(&text);
    for (int i = 0; i <= DK_INI_ENTRIES_MAX; i++)
        CU_ASSERT_EQUAL_FATAL(dk_buf_printf(&text, "[s%d]\n", i), DK_OK);
    refuse(text.data, text.len, (const char *const[]){"too many"}, 1);

    char name[600];
    struct dk_settings settings;
    struct dk_fault fault = {0};

    memset(name, 'n', sizeof name);
    snprintf(name + 500, 100, "/last.ini");
    dk_settings_default(&settings);
    CU_ASSERT_EQUAL(dk_settings_read_text(&settings, name, "[test]\nstreams = 0\n", 19, &fault), DK_ERR_CONFIG);
    CU_ASSERT_TRUE(says(&fault, "/last.ini:2 [test] streams"));
}

// What iniparser printed would be seen here.
static void files_that_cannot_be_read_are_refused(void)
{
    char path[160];
    struct dk_settings settings;
    struct dk_fault fault = {0};

    dk_settings_default(&settings);
    snprintf(path, sizeof path, "%s/missing.ini", dk_harness_directory());
    CU_ASSERT_EQUAL(dk_settings_read_file(&settings, path, &fault), DK_ERR_CONFIG);
    CU_ASSERT_TRUE(says(&fault, "missing.ini"));
    fault = (struct dk_fault){0};
    CU_ASSERT_EQUAL(dk_settings_read_file(&settings, dk_harness_directory(), &fault), DK_ERR_CONFIG);
    CU_ASSERT_TRUE(says(&fault, "not a regular file"));

    CU_ASSERT_EQUAL_FATAL(dk_file_write(dk_harness_directory(), "shut.ini", "[test]\n", 7, DK_WRITE_NEW, NULL), DK_OK);
    snprintf(path, sizeof path, "%s/shut.ini", dk_harness_directory());
    CU_ASSERT_EQUAL(dk_settings_read_file(&settings, path, NULL), DK_OK);
    CU_ASSERT_EQUAL(chmod(path, 0), 0);

    bool root = geteuid() == 0;

    CU_ASSERT_TRUE_FATAL(!root || seteuid(65534) == 0);
    fault = (struct dk_fault){0};
    CU_ASSERT_EQUAL(dk_settings_read_file(&settings, path, &fault), DK_ERR_CONFIG);
    CU_ASSERT_TRUE_FATAL(!root || seteuid(0) == 0);
    CU_ASSERT_TRUE(says(&fault, "shut.ini"));
    CU_ASSERT_TRUE(says(&fault, "Permission denied"));
}

static void right_files_are_read(void)
{
    static const char text[] = "\n ; a comment\r\n[server]\r\n\turl\t=\thttps://[2001:db8::1]:8443/speed//\r\n"
                               "stamp = [::1]:862\n"
                               "[test]\nduration=5\nmax_bytes = 1.5 GB\nonly = latency , download\ntechnology = 5g\n"
                               "[latency]\ninterval = 0.5 s\n"
                               "[site]\nsubscribed_download = 150 Mb/s\nminimum_download = unset\n"
                               "commune = Ea H'leo\nsubscriber = organisation\n"
                               "name = Nhà văn hóa buôn Ea H'leo\nnote = \"a # b; c = 'd' \\\"\n"
                               "[collector]\nurl = \"\"";
    struct dk_settings s;
    struct dk_fault fault = {0};

    dk_settings_default(&s);
    CU_ASSERT_EQUAL(dk_settings_read_text(&s, "x", text, sizeof text - 1, &fault), DK_OK);
    CU_ASSERT_STRING_EQUAL(fault.what, "");
    CU_ASSERT_STRING_EQUAL(s.servers[0].url, "https://[2001:db8::1]:8443/speed");
    CU_ASSERT_STRING_EQUAL(s.servers[0].stamp, "[::1]:862");
    CU_ASSERT_EQUAL(s.duration_ns, INT64_C(5000000000));
    CU_ASSERT_EQUAL(s.max_bytes, 1500000000);
    CU_ASSERT_EQUAL(s.only, DK_ONLY_LATENCY | DK_ONLY_DOWNLOAD);
    CU_ASSERT_EQUAL(s.technology, DK_TECHNOLOGY_5G);
    CU_ASSERT_EQUAL(s.latency_interval_ns, 500000000);
    CU_ASSERT_STRING_EQUAL(s.site_name, "Nhà văn hóa buôn Ea H'leo");
    CU_ASSERT_STRING_EQUAL(s.site_commune, "Ea H'leo");
    CU_ASSERT_EQUAL(s.site.rate_bps[DK_SITE_RATE_SUBSCRIBED_DOWNLOAD], 150000000);
    CU_ASSERT_EQUAL(s.site.rate_bps[DK_SITE_RATE_MINIMUM_DOWNLOAD], 0);
    CU_ASSERT_EQUAL(s.site.subscriber, DK_SUBSCRIBER_ORGANISATION);
    CU_ASSERT_STRING_EQUAL(s.note, "a # b; c = 'd' \\");
    CU_ASSERT_STRING_EQUAL(s.collector_url, "");
    CU_ASSERT_EQUAL(s.streams, 4);
    CU_ASSERT_EQUAL(dk_settings_read_text(&s, "x", "# nothing set\n", 14, &fault), DK_OK);
}

static void arguments_are_as_strict(void)
{
    static const struct {
        const char *argument, *value, *word; // word NULL: accepted
    } cases[] = {
        {"streams", "8", NULL},        {"streams", "010", "1 to 32"},     {"streams", "", "1 to 32"},
        {"duration", "5", NULL},       {"duration", "1.5s", NULL},        {"duration", "61", "1s to 60s"},
        {"subscribed-download", "150 Mb/s", NULL}, {"subscribed-upload", "75", "no unit"},
        {"stop", "time", NULL},        {"stop", "verdict", NULL},         {"stop", "budget", "allowed: time"},
        {"family", "ipv6", NULL},
        {"precision", "0.5 %", NULL},  {"precision", "51", "50 %"},
        {"family", "6", "ipv6"},       {"only", "upload", NULL},          {"server", "10.0.0.1:8080", NULL},
        {"server", "a b", "http"},     {"note", "\"quoted\"", "double"},  {"note", "\x1b[2J", "clean text"},
        {"note", "a # b ; \\", NULL},  {"collector", "x", "http[s]://"},    {"site", "66-0042", NULL},
        {"profile", "vn-2025", NULL},  {"stamp", "off", NULL},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct dk_settings before, after;
        struct dk_fault fault = {0};
        char where[64];

        dk_settings_default(&before);
        after = before;

        enum dk_err err = dk_settings_set_argument(&after, cases[i].argument, cases[i].value, &fault);

        CU_ASSERT_EQUAL(err, cases[i].word == NULL ? DK_OK : DK_ERR_USAGE);
        if (cases[i].word == NULL)
            continue;
        snprintf(where, sizeof where, "--%s", cases[i].argument);
        CU_ASSERT_STRING_EQUAL(fault.where, where);
        CU_ASSERT_TRUE(says(&fault, cases[i].word));
        CU_ASSERT_EQUAL(memcmp(&before, &after, sizeof before), 0);
    }

    struct dk_settings s;
    struct dk_fault fault = {0};
    char folder[PATH_MAX], expected[PATH_MAX + 16];

    dk_settings_default(&s);
    CU_ASSERT_EQUAL(dk_settings_set_argument(&s, "server", "speed.example.vn/", NULL), DK_OK);
    CU_ASSERT_STRING_EQUAL(s.servers[0].url, "http://speed.example.vn");
    CU_ASSERT_EQUAL(dk_settings_set_argument(&s, "speed", "1", &fault), DK_ERR_NO_INPUT);
    CU_ASSERT_EQUAL(dk_settings_set_argument(&s, "state", "state/x", NULL), DK_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(folder, sizeof folder));
    snprintf(expected, sizeof expected, "%s/state/x", folder);
    CU_ASSERT_STRING_EQUAL(s.state_dir, expected);
    CU_ASSERT_EQUAL(dk_settings_set_argument(&s, "profile", "./x.ini", NULL), DK_OK);
    snprintf(expected, sizeof expected, "%s/./x.ini", folder);
    CU_ASSERT_STRING_EQUAL(s.profile, expected);
}

static void state_folder_heeds_clean_absolute_variables(void)
{
    static char long_home[2000];
    static const struct {
        const char *state, *home, *expected;
    } cases[] = {
        {"/s", "/h", "/s/dokiem"},
        {NULL, "/h", "/h/.local/state/dokiem"},
        {"", "/h", "/h/.local/state/dokiem"},
        {"s", "/h", "/h/.local/state/dokiem"},
        {"/s\x1b", "/h", "/h/.local/state/dokiem"},
        {"/\xff", "/h", "/h/.local/state/dokiem"},
        {"/s\"", "/h", "/h/.local/state/dokiem"},
        {NULL, "h", "/var/lib/dokiem"},
        {NULL, long_home, "/var/lib/dokiem"},
        {NULL, NULL, "/var/lib/dokiem"},
    };
    bool root = geteuid() == 0;
    char *home = getenv("HOME") != NULL ? strdup(getenv("HOME")) : NULL;
    struct dk_settings s;

    memset(long_home, '/', sizeof long_home - 1);
    if (root) {
        setenv("XDG_STATE_HOME", "/s", 1);
        dk_settings_default(&s);
        CU_ASSERT_STRING_EQUAL(s.state_dir, "/var/lib/dokiem");
    }
    CU_ASSERT_TRUE_FATAL(!root || seteuid(65534) == 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        cases[i].state != NULL ? setenv("XDG_STATE_HOME", cases[i].state, 1) : unsetenv("XDG_STATE_HOME");
        cases[i].home != NULL ? setenv("HOME", cases[i].home, 1) : unsetenv("HOME");
        dk_settings_default(&s);
        CU_ASSERT_STRING_EQUAL(s.state_dir, cases[i].expected);
    }
    unsetenv("XDG_STATE_HOME");
    if (home != NULL)
        setenv("HOME", home, 1);
    free(home);
    CU_ASSERT_TRUE_FATAL(!root || seteuid(0) == 0);
}

static const char *pick(const char *const words[], size_t count)
{
    return words[dk_random_between(0, (int64_t)count - 1)];
}

// A value that the option accepts.
static void write_random_value(const struct dk_option *o, char *out, size_t size)
{
    static const char *const urls[] = {"http://a", "https://x.example.vn:8443/a/b%20c/", "http://[2001:db8::1]:1"};
    static const char *const paths[] = {"/", "/a b/c", "/nhà/#;'"};
    static const char *const texts[] = {"a", " lead and trail ", "#;='\\", "Buôn Đôn", "\\", "'"};
    static const char *const stamps[] = {"auto", "off", "x:862", "[::1]:862", "10.1.2.3"};
    static const char *const lists[] = {"download", "latency,upload", "upload, download,latency", "dns,path,wire"};
    static const char *const ranges[][3] = {
        {"connect_timeout", "1s", "1000000001ns"}, {"duration", "60", "1min"},       {"interval", "5ms", "6.5ms"},
        {"timeout", "1s", "9999999999ns"},         {"max_bytes", "1MB", "1000001B"}, {"max_age", "1d", "36500d"},
        {"streams", "1", "32"}, {"max_streams", "1", "32"}, {"count", "1", "1000"},           {"batch", "1", "100"},
        {"precision", "0.1 %", "2500 ppm"},        {"max_undelivered_age", "1h", "7d"}, {"daily", "0B", "1GB"},
        {"monthly", "0B", "1000GB"},           {"confirm_gap", "1s", "1h"},     {"folder_max_bytes", "1MB", "1GiB"},
    };
    static const char *const keys[] = {"", "pkcs11:token=a;id=%01?module-path=/m.so&pin-source=file:/p"};
    static const char *const rates[] = {"unset", "1 kb/s", "1000Gb/s", "0.0125 Mb/s", "1234567 b/s"};

    if (strcmp(o->type, "url") == 0)
        snprintf(out, size, "%s", pick(urls, COUNT(urls)));
    else if (strcmp(o->type, "PKCS#11 URI") == 0)
        snprintf(out, size, "%s", pick(keys, COUNT(keys)));
    else if (strcmp(o->type, "rate") == 0)
        snprintf(out, size, "%s", pick(rates, COUNT(rates)));
    else if (strcmp(o->type, "path") == 0)
        snprintf(out, size, "%s", pick(paths, COUNT(paths)));
    else if (strcmp(o->key, "stamp") == 0)
        snprintf(out, size, "%s", pick(stamps, COUNT(stamps)));
    else if (strcmp(o->key, "policy") == 0)
        snprintf(out, size, "1.3.6.1.4.1.32473.%d", (int)dk_random_between(0, 99));
    else if (strcmp(o->key, "interface") == 0 || strcmp(o->key, "profile") == 0)
        snprintf(out, size, "wwan%d", (int)dk_random_between(0, 99));
    else if (strcmp(o->section, "dns") == 0)
        snprintf(out, size, "%s", strcmp(o->key, "names") == 0 ? "a.vn , b" : "10.1.2.3, [::1]:53");
    else if (strcmp(o->key, "note") == 0 && dk_random_between(0, 1) == 0)
        snprintf(out, size, "%900s", "x");
    else if (strcmp(o->type, "text") == 0)
        snprintf(out, size, "%s", pick(texts, COUNT(texts)));
    else if (strcmp(o->type, "list of") == 0)
        snprintf(out, size, "%s", pick(lists, COUNT(lists)));
    else if (strcmp(o->type, "one of") == 0)
        snprintf(out, size, "%.*s", (int)strcspn(o->allowed, ","), o->allowed);
    for (size_t i = 0; i < COUNT(ranges); i++)
        if (strcmp(o->key, ranges[i][0]) == 0)
            snprintf(out, size, "%s", ranges[i][dk_random_between(1, 2)]);
}

static void what_is_printed_reads_the_same(void)
{
    size_t count = 0;
    const struct dk_option *options = dk_options(&count);

    for (int round = 0; round < 200; round++) {
        struct dk_settings first, second;
        struct dk_fault fault = {0};
        dk_auto_buf struct dk_buf text = dk_buf_make(1 << 16);

        dk_settings_default(&first);
        second = first;
        for (size_t i = 0; i < count; i++) {
            char value[1024] = "", line[2048];

            if (dk_random_between(0, 2) == 0)
                continue;
            write_random_value(&options[i], value, sizeof value);

            int len = snprintf(line, sizeof line, "[%s]\n%s = \"%s\"\n", options[i].section, options[i].key, value);

            CU_ASSERT_EQUAL(dk_settings_read_text(&first, "x", line, (size_t)len, &fault), DK_OK);
        }
        for (int64_t s = 0, servers = dk_random_between(0, 3); s < servers; s++) {
            char value[1024] = "", line[2048];

            size_t i = 0;

            do
                i = (size_t)dk_random_between(0, (int64_t)count - 1);
            while (strcmp(options[i].section, "server") != 0 || strcmp(options[i].key, "name") == 0 ||
                   strcmp(options[i].key, "url") == 0 || strcmp(options[i].key, "connect_timeout") == 0);
            write_random_value(&options[i], value, sizeof value);

            int len = snprintf(line, sizeof line, "[server s-%d]\nurl = s%d\n%s = \"%s\"\n", (int)s, (int)s,
                               options[i].key, value);

            CU_ASSERT_EQUAL(dk_settings_read_text(&first, "x", line, (size_t)len, &fault), DK_OK);
        }
        CU_ASSERT_EQUAL(dk_settings_print(&first, &text), DK_OK);
        CU_ASSERT_EQUAL(dk_settings_read_text(&second, "x", dk_buf_text(&text), text.len, &fault), DK_OK);
        CU_ASSERT_STRING_EQUAL(fault.what, "");
        CU_ASSERT_EQUAL(memcmp(&first, &second, sizeof first), 0);
    }
}

// Takes the # from the lines that set something.
static void uncomment(struct dk_buf *text)
{
    for (size_t i = 0, start = 1; i < text->len; start = text->data[i] == '\n', i++)
        if (start && text->data[i] == '#' && i + 1 < text->len && text->data[i + 1] >= 'a' && text->data[i + 1] <= 'z')
            text->data[i] = ' ';
}

// The sample is the documentation: each option of the table, in order, described in its words, with its default.
static void sample_agrees_with_the_table(void)
{
    size_t count = 0;
    const struct dk_option *options = dk_options(&count);
    dk_auto_buf struct dk_buf sample = dk_buf_make(DK_INI_MAX_BYTES);
    struct dk_fault fault = {0};

    CU_ASSERT_EQUAL_FATAL(dk_file_read(sample_path, &sample, &fault), DK_OK);

    const char *at = sample.data;

    for (size_t i = 0; i < count; i++) {
        const struct dk_option *o = &options[i];
        bool quoted = strcmp(o->type, "text") == 0 || strcmp(o->type, "url") == 0 ||
                      strcmp(o->type, "path") == 0 || strcmp(o->type, "PKCS#11 URI") == 0;
        dk_auto_buf struct dk_buf description = dk_buf_make(1000), setting = dk_buf_make(1000);

        CU_ASSERT_EQUAL(dk_buf_printf(&description, "\n# %s\n# %s: %s%s%s%s%s%s\n", o->help, o->type, o->allowed,
                                      o->unit[0] != '\0' ? " (units " : "", o->unit, o->unit[0] != '\0' ? ")" : "",
                                      o->argument != NULL ? "; --" : "", o->argument != NULL ? o->argument : ""),
                        DK_OK);
        CU_ASSERT_EQUAL(dk_buf_printf(&setting, "\n#%s = %s%s%s\n", o->key, quoted ? "\"" : "", o->fallback,
                                      quoted ? "\"" : ""),
                        DK_OK);

        const char *described = strstr(at, dk_buf_text(&description)), *set = strstr(at, dk_buf_text(&setting));

        if (described == NULL || set == NULL || described > set)
            printf("    the sample lacks, or has out of order:%s%s", dk_buf_text(&description), dk_buf_text(&setting));
        CU_ASSERT_TRUE_FATAL(described != NULL && set != NULL && described < set);
        CU_ASSERT_PTR_EQUAL(strchr(described + 1, '#'), described + 1);
        at = set + 1;
    }

    struct dk_settings before, after;
    dk_auto(ini) struct dk_ini *ini = NULL;
    size_t keys = 0;

    dk_settings_default(&before);
    after = before;
    CU_ASSERT_EQUAL(dk_settings_read_file(&after, sample_path, &fault), DK_OK);
    uncomment(&sample);
    CU_ASSERT_EQUAL(dk_settings_read_text(&after, "sample", sample.data, sample.len, &fault), DK_OK);
    CU_ASSERT_STRING_EQUAL(fault.what, "");
    memcpy(after.state_dir, before.state_dir, sizeof before.state_dir);
    CU_ASSERT_EQUAL(memcmp(&before, &after, sizeof before), 0);
    CU_ASSERT_EQUAL_FATAL(dk_ini_read("sample", sample.data, sample.len, &ini, &fault), DK_OK);
    for (size_t i = 0; i < ini->count; i++)
        keys += ini->entries[i].key != NULL ? 1 : 0;
    CU_ASSERT_EQUAL(keys, count);
}

// Whatever a damaged file still says, it says with the table's keys and values: printing it reads the same again.
static void damaged_samples_are_refused_or_mean_something(void)
{
    dk_auto_buf struct dk_buf sample = dk_buf_make(DK_INI_MAX_BYTES);
    int accepted = 0, refused = 0;

    CU_ASSERT_EQUAL_FATAL(dk_file_read(sample_path, &sample, NULL), DK_OK);
    uncomment(&sample);
    for (int round = 0; round < 1500; round++) {
        dk_auto_buf struct dk_buf text = dk_buf_make(DK_INI_MAX_BYTES);
        struct dk_settings settings;
        struct dk_fault fault = {0};

        CU_ASSERT_EQUAL_FATAL(dk_buf_append(&text, sample.data, sample.len), DK_OK);
        for (int64_t hits = dk_random_between(1, 3); hits > 0; hits--) {
            size_t place = (size_t)dk_random_between(0, (int64_t)text.len - 1);
            static const char marks[] = "\n\"'#;=[]\\ 09e:\0\xff";

            if (dk_random_between(0, 4) == 0)
                text.len = place + 1;
            else if (dk_random_between(0, 1) == 0)
                text.data[place] = (char)(text.data[place] ^ 1 << dk_random_between(0, 7));
            else
                text.data[place] = marks[dk_random_between(0, sizeof marks - 1)];
        }
        dk_settings_default(&settings);

        enum dk_err err = dk_settings_read_text(&settings, "x", text.data, text.len, &fault);

        CU_ASSERT_TRUE(err == DK_OK || err == DK_ERR_CONFIG);
        err == DK_OK ? accepted++ : refused++;
        if (err != DK_OK) {
            CU_ASSERT_TRUE(fault.err == DK_ERR_CONFIG && fault.what[0] != '\0' && fault.where[0] != '\0');
            continue;
        }

        struct dk_settings again;
        dk_auto_buf struct dk_buf printed = dk_buf_make(1 << 16);

        dk_settings_default(&again);
        CU_ASSERT_EQUAL(dk_settings_print(&settings, &printed), DK_OK);
        CU_ASSERT_EQUAL(dk_settings_read_text(&again, "x", dk_buf_text(&printed), printed.len, &fault), DK_OK);
        CU_ASSERT_EQUAL(memcmp(&settings, &again, sizeof again), 0);
    }
    CU_ASSERT_TRUE(accepted > 0 && refused > 0);
}

static void no_other_key_is_accepted(void)
{
    size_t count = 0;
    const struct dk_option *options = dk_options(&count);

    for (int round = 0; round < 300; round++) {
        const struct dk_option *o = &options[dk_random_between(0, (int64_t)count - 1)];
        char key[64], text[256];
        struct dk_settings settings;
        struct dk_fault fault = {0};
        bool known = false;

        snprintf(key, sizeof key, "%s", o->key);
        key[dk_random_between(0, (int64_t)strlen(key) - 1)] = (char)dk_random_between('a', 'z');
        for (size_t i = 0; i < count; i++)
            known = known || (strcmp(options[i].section, o->section) == 0 && strcmp(options[i].key, key) == 0);
        if (known)
            continue;

        int len = snprintf(text, sizeof text, "[%s]\n%s = \"%s\"\n", o->section, key, o->fallback);

        dk_settings_default(&settings);
        CU_ASSERT_EQUAL(dk_settings_read_text(&settings, "x", text, (size_t)len, &fault), DK_ERR_CONFIG);
        CU_ASSERT_TRUE(says(&fault, "unknown key"));
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(wrong_files_are_refused_in_words),
        DK_CASE(pin_in_a_file_is_not_repeated),
        DK_CASE(long_input_is_refused),
        DK_CASE(files_that_cannot_be_read_are_refused),
        DK_CASE(right_files_are_read),
        DK_CASE(arguments_are_as_strict),
        DK_CASE(state_folder_heeds_clean_absolute_variables),
        DK_CASE(what_is_printed_reads_the_same),
        DK_CASE(sample_agrees_with_the_table),
        DK_CASE(damaged_samples_are_refused_or_mean_something),
        DK_CASE(no_other_key_is_accepted),
        {0},
    };

    return dk_harness_main(argc, argv, "settings", cases);
}
