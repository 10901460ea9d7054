// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "agent/base/sha256.h"
#include "agent/record/form.h"
#include "agent/record/record.h"
#include "tests/harness/harness.h"
#include "tests/sample/sample.h"

// A good record, as text.
static void make(struct dk_buf *out)
{
    struct dk_sample sample;
    struct dk_fault fault = {0};

    dk_sample_make(&sample, DK_TECHNOLOGY_5G, 130000000);
    CU_ASSERT_EQUAL_FATAL(dk_record_build(&sample.facts, out, &fault), DK_OK);
    dk_measurement_free(&sample.measurement);
}

// The record with the first `from` replaced by `to`.
static enum dk_err check_with(struct dk_form *form, const char *from, const char *to, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf good = dk_buf_make(DK_RECORD_MAX_BYTES), text = dk_buf_make(DK_RECORD_MAX_BYTES);

    make(&good);

    const char *at = strstr(dk_buf_text(&good), from);

    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    CU_ASSERT_EQUAL(dk_buf_append(&text, good.data, (size_t)(at - good.data)), DK_OK);
    CU_ASSERT_EQUAL(dk_buf_printf(&text, "%s%s", to, at + strlen(from)), DK_OK);
    return dk_form_check(form, dk_buf_text(&text), text.len, fault);
}

// Also: nothing in the shipped schema is passed over.
static void a_good_record_has_the_form(void)
{
    dk_auto(form) struct dk_form *form = NULL;
    struct dk_fault fault = {0};

    CU_ASSERT_EQUAL_FATAL(dk_form_open(&form, &fault), DK_OK);
    CU_ASSERT_EQUAL(check_with(form, "\"schema\"", "\"schema\"", &fault), DK_OK);
    CU_ASSERT_STRING_EQUAL(fault.what, "");
}

static void each_kind_of_fault_is_found(void)
{
    static const struct {
        const char *from, *to, *where;
    } cases[] = {
        {"{\"schema\"", "{\"extra\":1,\"schema\"", "record"},
        {"\"seq\":", "\"seq\":-", "seq"},
        {"\"seq\":", "\"seq\":1.5,\"sek\":", "seq"},
        {"\"kind\":\"measurement\"", "\"kind\":\"rotation\"", "record"},
        {"\"kind\":\"measurement\"", "\"kind\":\"measured\"", "kind"},
        {"\"software\":\"dokiem\"", "\"software\":\"other\"", "device.software"},
        {"\"software\":\"dokiem\",", "", "device"},
        {"\"arch\":\"", "\"arch\":\"\\u001b", "device.arch"},
        {"\"arch\":\"", "\"arch\":\"\xe2\x80\xae", "device.arch"},
        {"\"arch\":\"", "\"arch\":1,\"x\":\"", "device"},
        {"\"ipv4\":", "\"ipv4\":1,\"ipv5\":", "link.ipv4"},
        {"\"interval_ns\":", "\"interval_ns\":-", "download.series.interval_ns"},
        {"\"rate_bps\":", "\"rate_bps\":-", "download.rate_bps"},
        {"\"state\":\"synchronised\"", "\"state\":\"fine\"", "time.clock.state"},
        {"\"outcome\":", "\"outcome\":null,\"o\":", "verdict.outcome"},
        {"\"start\":\"20", "\"start\":\"30", "time.start"},
    };
    dk_auto(form) struct dk_form *form = NULL;

    CU_ASSERT_EQUAL_FATAL(dk_form_open(&form, NULL), DK_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dk_fault fault = {0};

        CU_ASSERT_EQUAL(check_with(form, cases[i].from, cases[i].to, &fault), DK_ERR_DATA);
        CU_ASSERT(strstr(fault.where, cases[i].where) == fault.where);
        if (strstr(fault.where, cases[i].where) != fault.where)
            printf("    %s: %s: %s\n", cases[i].to, fault.where, fault.what);
    }
    CU_ASSERT_EQUAL(dk_form_check(form, "[]", 2, NULL), DK_ERR_DATA);
    CU_ASSERT_EQUAL(dk_form_check(form, "", 0, NULL), DK_ERR_DATA);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(a_good_record_has_the_form),
        DK_CASE(each_kind_of_fault_is_found),
        {0},
    };

    return dk_harness_main(argc, argv, "form", cases);
}
