// SPDX-License-Identifier: Apache-2.0
#include "config/settings.h"
#include "tests/harness/harness.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void sixteen_servers_are_enough(void)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(1 << 14);
    struct dk_settings s;
    struct dk_fault fault = {0};

    CU_ASSERT_EQUAL(dk_buf_printf(&text, "[server]\nurl = s0\n"), DK_OK);
    for (int i = 1; i <= DK_SERVERS_MAX; i++)
        CU_ASSERT_EQUAL_FATAL(dk_buf_printf(&text, "[server s%d]\nurl = s%d\n", i, i), DK_OK);
    dk_settings_default(&s);
    CU_ASSERT_EQUAL(dk_settings_read_text(&s, "x", text.data, text.len, NULL), DK_OK);
    CU_ASSERT_EQUAL(s.server_count, DK_SERVERS_MAX + 1);
    CU_ASSERT_STRING_EQUAL(s.servers[DK_SERVERS_MAX].name, "s16");
    CU_ASSERT_EQUAL(dk_buf_printf(&text, "[server s17]\nurl = s17\n"), DK_OK);
    dk_settings_default(&s);
    CU_ASSERT_EQUAL(dk_settings_read_text(&s, "x.ini", text.data, text.len, &fault), DK_ERR_CONFIG);
    CU_ASSERT_EQUAL(s.server_count, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(fault.where, "x.ini:35 [server s17]"));
    CU_ASSERT_PTR_NOT_NULL(strstr(fault.what, "too many servers; 16"));
}

// What each --server of a list means.
static void servers_are_chosen_by_name_or_url(void)
{
    static const char text[] = "[server]\nname = Nhà A\nurl = a/\nkind = http\nstamp = off\nlocation = Hà Giang\n"
                               "upload_url = a/up\nnet = on\nca_file = /a.pem\n"
                               "[server b]\nurl = https://b\nlocation = Huế\nnet = off\n[server c-1]\nurl = c:81\n";
    static const struct {
        const char *names[3];
        const char *chosen[3][2]; // name, url
        const char *word;         // of the fault; NULL: accepted
    } cases[] = {
        {{"b"}, {{"b", "https://b"}}, NULL},
        {{"Nhà A"}, {{"Nhà A", "http://a"}}, NULL},
        {{"http://a"}, {{"Nhà A", "http://a"}}, NULL},
        {{"https://b/"}, {{"b", "https://b"}}, NULL},
        {{"c-1", "b"}, {{"c-1", "http://c:81"}, {"b", "https://b"}}, NULL},
        {{"new.example:8", "b"}, {{"", "http://new.example:8"}, {"b", "https://b"}}, NULL},
        {{"n1", "n2", "n3"}, {{"", "http://n1"}, {"", "http://n2"}, {"", "http://n3"}}, NULL},
        {{"b", "b"}, {{NULL}}, "\"b\" is there twice"},
        {{"b", "https://b"}, {{NULL}}, "twice"},
        {{"n1", "http://n1/"}, {{NULL}}, "twice"},
        {{"b", ""}, {{NULL}}, "is empty"},
        {{"no such"}, {{NULL}}, "the name of a server"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct dk_settings s, before;
        struct dk_fault fault = {0};
        size_t count = 0;

        while (count < 3 && cases[i].names[count] != NULL)
            count++;
        dk_settings_default(&s);
        CU_ASSERT_EQUAL_FATAL(dk_settings_read_text(&s, "x", text, sizeof text - 1, NULL), DK_OK);
        before = s;

        enum dk_err err = dk_settings_choose_servers(&s, cases[i].names, count, &fault);

        CU_ASSERT_EQUAL(err, cases[i].word == NULL ? DK_OK : DK_ERR_USAGE);
        if (cases[i].word != NULL) {
            CU_ASSERT_PTR_NOT_NULL(strstr(fault.what, cases[i].word));
            CU_ASSERT_EQUAL(memcmp(&s, &before, sizeof s), 0);
            continue;
        }
        CU_ASSERT_EQUAL(s.server_count, count);
        for (size_t k = 0; k < count; k++) {
            CU_ASSERT_STRING_EQUAL(s.servers[k].name, cases[i].chosen[k][0]);
            CU_ASSERT_STRING_EQUAL(s.servers[k].url, cases[i].chosen[k][1]);
        }
    }
}

// What a URL takes from [server], and what a section does not; an argument is for every server.
static void servers_do_not_inherit(void)
{
    static const char text[] = "[server]\nname = A\nurl = a\nkind = http\nstamp = off\nlocation = L\noperator = O\n"
                               "upload_url = a/up\nnet = on\nca_file = /a.pem\n[server b]\nurl = b\n";
    struct dk_settings s;

    dk_settings_default(&s);
    CU_ASSERT_EQUAL(dk_settings_read_text(&s, "x", text, sizeof text - 1, NULL), DK_OK);
    CU_ASSERT_EQUAL(s.servers[1].kind, DK_SERVER_KIND_AUTO);
    CU_ASSERT_STRING_EQUAL(s.servers[1].stamp, "auto");
    CU_ASSERT_STRING_EQUAL(s.servers[1].ca_file, "");
    CU_ASSERT_EQUAL(dk_settings_set_argument(&s, "server-kind", "librespeed", NULL), DK_OK);
    CU_ASSERT_EQUAL(s.servers[0].kind, DK_SERVER_KIND_LIBRESPEED);
    CU_ASSERT_EQUAL(s.servers[1].kind, DK_SERVER_KIND_LIBRESPEED);
    CU_ASSERT_EQUAL(dk_settings_choose_servers(&s, (const char *const[]){"b", "n"}, 2, NULL), DK_OK);
    CU_ASSERT_STRING_EQUAL(s.servers[1].url, "http://n");
    CU_ASSERT_STRING_EQUAL(s.servers[1].stamp, "off");
    CU_ASSERT_STRING_EQUAL(s.servers[1].ca_file, "/a.pem");
    CU_ASSERT_STRING_EQUAL(s.servers[1].location, "");
    CU_ASSERT_STRING_EQUAL(s.servers[1].network_operator, "");
    CU_ASSERT_STRING_EQUAL(s.servers[1].upload_url, "");
    CU_ASSERT_EQUAL(s.servers[1].net, DK_NET_UNSTATED);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(sixteen_servers_are_enough),
        DK_CASE(servers_are_chosen_by_name_or_url),
        DK_CASE(servers_do_not_inherit),
        {0},
    };

    return dk_harness_main(argc, argv, "servers", cases);
}
