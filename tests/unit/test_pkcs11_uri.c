// SPDX-License-Identifier: Apache-2.0
#include "agent/base/buf.h"
#include "agent/base/pkcs11_uri.h"
#include "tests/harness/harness.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define MODULE       "?module-path=/m.so"

// The URI, and a word of what is wrong with it.
static const struct {
    const char *uri, *word;
} wrong_uris[] = {
    {"", "begin"},
    {"PKCS11:" MODULE, "begin"},
    {"/etc/dokiem/device.pem", "begin"},
    {"pkcs11:", "no module-path"},
    {"pkcs11:token=a", "no module-path"},
    {"pkcs11:token=a?module-path=", "empty"},
    {"pkcs11:token=a?module-path=m.so", "absolute"},
    {"pkcs11:token=" MODULE, "empty"},
    {"pkcs11:token" MODULE, "without ="},
    {"pkcs11:token=a;;object=b" MODULE, "without ="},
    {"pkcs11:;token=a" MODULE, "without ="},
    {"pkcs11:token=a;token=a" MODULE, "twice"},
    {"pkcs11:id=%01;id=%01" MODULE, "twice"},
    {"pkcs11:a" MODULE "&module-path=/n.so", "without ="},
    {"pkcs11:" MODULE "&module-path=/n.so", "twice"},
    {"pkcs11:" MODULE "&pin-source=/a&pin-source=/a", "twice"},
    {"pkcs11:token=a b" MODULE, "%XX"},
    {"pkcs11:token=a/b" MODULE, "%XX"},
    {"pkcs11:token=a#b" MODULE, "%XX"},
    {"pkcs11:token=\xc3\xa9" MODULE, "%XX"},
    {"pkcs11:token=%" MODULE, "%XX"},
    {"pkcs11:token=%4" MODULE, "%XX"},
    {"pkcs11:token=%4g" MODULE, "%XX"},
    {"pkcs11:token=a%00b" MODULE, "control"},
    {"pkcs11:token=%0a" MODULE, "control"},
    {"pkcs11:token=%ff" MODULE, "UTF-8"},
    {"pkcs11:" MODULE "%00", "control"},
    {"pkcs11:Token=a" MODULE, "other than token"},
    {"pkcs11:slot-id=1" MODULE, "other than token"},
    {"pkcs11:x-vendor=1" MODULE, "other than token"},
    {"pkcs11:type=cert" MODULE, "private"},
    {"pkcs11:type=" MODULE, "private"},
    {"pkcs11:" MODULE "&module-name=softhsm2", "after the ?"},
    {"pkcs11:" MODULE "&pin-source=pin", "pin-source"},
    {"pkcs11:" MODULE "&pin-source=|/bin/cat%20pin", "pin-source"},
    {"pkcs11:" MODULE "&pin-source=file:pin", "pin-source"},
    {"pkcs11:" MODULE "&pin-source=file://host/pin", "pin-source"},
    {"pkcs11:" MODULE "&pin-source=https://host/pin", "pin-source"},
    {"pkcs11:" MODULE "&pin-value=1234", "holds a PIN"},
    {"pkcs11:nonsense?pin-value=1234", "holds a PIN"},
};

static void wrong_uris_are_refused_in_words_that_repeat_nothing(void)
{
    struct dk_pkcs11_uri uri;

    for (size_t i = 0; i < COUNT(wrong_uris); i++) {
        const char *wrong = dk_pkcs11_uri_read(wrong_uris[i].uri, &uri);

        if (wrong == NULL || strstr(wrong, wrong_uris[i].word) == NULL)
            printf("    %s: %s\n", wrong_uris[i].uri, wrong != NULL ? wrong : "taken");
        CU_ASSERT_PTR_NOT_NULL_FATAL(wrong);
        CU_ASSERT_PTR_NOT_NULL(strstr(wrong, wrong_uris[i].word));
        CU_ASSERT_PTR_NULL(strstr(wrong, "1234"));
    }
}

static void good_uri_is_read(void)
{
    struct dk_pkcs11_uri uri;

    CU_ASSERT_PTR_NULL_FATAL(dk_pkcs11_uri_read("pkcs11:token=Tr%E1%BA%A1m%201;manufacturer=M:[]@!$'()*+,=&;model=m;"
                                                "serial=0904;object=device;id=%00%fF;type=private"
                                                "?module-path=/usr/lib/a%20b.so&pin-source=file:///etc/pin",
                                                &uri));
    CU_ASSERT_STRING_EQUAL(uri.token, "Trạm 1");
    CU_ASSERT_STRING_EQUAL(uri.manufacturer, "M:[]@!$'()*+,=&");
    CU_ASSERT_STRING_EQUAL(uri.model, "m");
    CU_ASSERT_STRING_EQUAL(uri.serial, "0904");
    CU_ASSERT_STRING_EQUAL(uri.object, "device");
    CU_ASSERT_EQUAL_FATAL(uri.id_len, 2);
    CU_ASSERT_EQUAL(memcmp(uri.id, "\0\xff", 2), 0);
    CU_ASSERT_STRING_EQUAL(uri.module_path, "/usr/lib/a b.so");
    CU_ASSERT_STRING_EQUAL(uri.pin_path, "/etc/pin");

    // The query may stand in any order, and the path may be empty.
    CU_ASSERT_PTR_NULL_FATAL(dk_pkcs11_uri_read("pkcs11:?pin-source=file:/etc/pin&module-path=/m.so", &uri));
    CU_ASSERT_STRING_EQUAL(uri.token, "");
    CU_ASSERT_EQUAL(uri.id_len, 0);
    CU_ASSERT_STRING_EQUAL(uri.pin_path, "/etc/pin");
    CU_ASSERT_PTR_NULL_FATAL(dk_pkcs11_uri_read("pkcs11:?pin-source=/etc/pin&module-path=/m.so", &uri));
    CU_ASSERT_STRING_EQUAL(uri.pin_path, "/etc/pin");
}

static void attributes_have_a_longest(void)
{
    for (int len = DK_PKCS11_TEXT_SIZE - 2; len <= DK_PKCS11_TEXT_SIZE + 1; len++) {
        struct dk_pkcs11_uri uri;
        dk_auto_buf struct dk_buf text = dk_buf_make(1024);

        CU_ASSERT_EQUAL_FATAL(dk_buf_printf(&text, "pkcs11:object=%0*d" MODULE, len, 0), DK_OK);
        CU_ASSERT_EQUAL(dk_pkcs11_uri_read(dk_buf_text(&text), &uri) == NULL, len < DK_PKCS11_TEXT_SIZE);
        dk_buf_free(&text);
        CU_ASSERT_EQUAL_FATAL(dk_buf_printf(&text, "pkcs11:id=%0*d" MODULE, len, 0), DK_OK);
        CU_ASSERT_EQUAL(dk_pkcs11_uri_read(dk_buf_text(&text), &uri) == NULL, len <= DK_PKCS11_TEXT_SIZE);
    }
}

// Appends `len` bytes, some of them as %XX.
static void write_value(struct dk_buf *out, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool plain = bytes[i] < 0x80 && isalnum(bytes[i]) != 0 && dk_random_between(0, 3) > 0;

        CU_ASSERT_EQUAL_FATAL(plain ? dk_buf_printf(out, "%c", bytes[i]) : dk_buf_printf(out, "%%%02x", bytes[i]),
                              DK_OK);
    }
}

static void what_is_written_is_read(void)
{
    for (int round = 0; round < 300; round++) {
        struct dk_pkcs11_uri uri;
        dk_auto_buf struct dk_buf text = dk_buf_make(8192);
        uint8_t id[DK_PKCS11_TEXT_SIZE];
        char label[DK_PKCS11_TEXT_SIZE];
        size_t id_len = (size_t)dk_random_between(1, sizeof id), len = (size_t)dk_random_between(1, sizeof label - 1);

        for (size_t i = 0; i < id_len; i++)
            id[i] = (uint8_t)dk_random();
        for (size_t i = 0; i < len; i++)
            label[i] = (char)dk_random_between(' ', '~');
        label[len] = '\0';
        CU_ASSERT_EQUAL_FATAL(dk_buf_printf(&text, "pkcs11:id="), DK_OK);
        write_value(&text, id, id_len);
        CU_ASSERT_EQUAL_FATAL(dk_buf_printf(&text, ";object="), DK_OK);
        write_value(&text, (const uint8_t *)label, len);
        CU_ASSERT_EQUAL_FATAL(dk_buf_printf(&text, MODULE), DK_OK);
        CU_ASSERT_PTR_NULL_FATAL(dk_pkcs11_uri_read(dk_buf_text(&text), &uri));
        CU_ASSERT_EQUAL_FATAL(uri.id_len, id_len);
        CU_ASSERT_EQUAL(memcmp(uri.id, id, id_len), 0);
        CU_ASSERT_STRING_EQUAL(uri.object, label);
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(wrong_uris_are_refused_in_words_that_repeat_nothing),
        DK_CASE(good_uri_is_read),
        DK_CASE(attributes_have_a_longest),
        DK_CASE(what_is_written_is_read),
        {0},
    };

    return dk_harness_main(argc, argv, "pkcs11_uri", cases);
}
