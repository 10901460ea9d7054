# SPDX-License-Identifier: Apache-2.0
"""dokiem report: the page of one record and of several, as a parser, a browser and a reader of QR codes see them; and
what hostile records can do to it, which is nothing."""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support import HOSTILE, Browser, Device, Page, Pages, steps  # noqa: E402

LANGUAGES = ("vi", "en")


def vary(record):
    """Samples that differ, as real ones do."""
    for direction, base in (("download", 600_000), ("upload", 90_000)):
        rows = record[direction]["series"]["bytes"]
        for s, row in enumerate(rows):
            for i in range(len(row)):
                row[i] = base + (i * 7919 + s * 104_729) % 200_000
    record["latency"]["idle"]["series_ns"] = [20_000_000 + i % 7 * 100_000 for i in range(50)]
    record["latency"]["idle"].update(sent=50, received=49, lost=1, interval_ns=20_000_000)
    record["latency"]["idle"]["series_ns"][30] = -1


class Report(Pages, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.device = cls.enterClassContext(Device())
        cls.record = cls.device.keep(vary)
        cls.browser = Browser(cls.device.folder)
        if cls.browser.program is None:
            raise unittest.SkipTest("there is no chromium")

    def test_says_what_the_record_says(self):
        for language, rate, date in (("vi", "130,00 Mb/s", "20/11/2026"), ("en", "130.00 Mb/s", "2026-11-20")):
            with self.subTest(language=language):
                page = self.check_page(self.device.page("2", "--language", language), language)
                text = page.text
                with open(self.device.file(2), "rb") as file:
                    digest = hashlib.sha256(file.read()).hexdigest()
                for words in (rate, date, self.record["id"], digest, self.record["device"]["id"],
                              "Nhà văn hóa thôn Ea Tul", "DLK-0042", "Viettel", "5G", "QCVN 126:2021/BTTTT, 2.1.5.2",
                              "https://speed.example.vn", "203.0.113.5", "0000000002.jws"):
                    self.assertIn(words, text)
                self.assertEqual(len(page.all("p", "word")), 1)
                self.assertEqual(len(page.all("article", "pass")), 1)
                self.assertEqual(len(page.all("path", "threshold")), 2)  # of the verdict's line, and of the plot

    def test_vietnamese_is_complete(self):
        """No word of the page is left in English but for reasons that records keep in English, marked as such."""
        text = self.device.page("2", "--language", "vi")
        text = re.sub(r"<(p|small|td|span) lang=\"en\">.*?</\1>", "", text)
        english = Page(self.device.page("2", "--language", "en")).text
        words = set(re.findall(r"\b[a-z]{5,}\b", Page(text).text))
        self.assertEqual(words & {"threshold", "latency", "verified", "download", "upload", "record", "measured",
                                  "during", "seconds", "rate", "interval", "signature"}, set())
        self.assertIn("threshold", english)

    def test_a_missed_target_is_no_failed_regulation(self):
        def target(record):
            record["verdict"]["outcome"] = "fail"
            record["verdict"]["checks"][0].update(family="target", outcome="fail", basis="Kế hoạch", value=30_000_000,
                                                  low=29_000_000, high=31_000_000)

        seq = str(self.device.keep(target)["seq"])
        text = self.device.page(seq, "--language", "vi")
        self.assertIn("KHÔNG ĐẠT MỤC TIÊU", text)
        self.assertNotRegex(text, r"(?i)không đạt (ngưỡng|QCVN)")
        self.assertIn("không thay thế đo kiểm chính thức", text)
        self.assertNotIn("08/2013", text)

    def test_the_plot_shows_the_series(self):
        lines = steps(Page(self.device.page("2", "--language", "en")))
        self.assertEqual(len(lines), 2)
        for direction, (points, x_unit, y_unit) in zip(("download", "upload"), lines):
            series = self.record[direction]["series"]
            totals = [sum(column) for column in zip(*series["bytes"])]
            width = 250_000_000 // series["interval_ns"]
            bins = [totals[i:i + width] for i in range(0, len(totals), width)]
            self.assertEqual(len(points), len(bins))
            for i, (part, (end, value)) in enumerate(zip(bins, points)):
                self.assertLessEqual(abs(end - min((i + 1) * width, len(totals)) * series["interval_ns"]), x_unit)
                self.assertLessEqual(abs(value - sum(part) * 8e9 / (len(part) * series["interval_ns"])), y_unit)

    def test_the_qr_code_is_id_and_hash(self):
        if os.environ.get("QR") != "1" or shutil.which("zbarimg") is None:
            self.skipTest("built without QR codes, or no zbarimg")
        text = self.device.page("2", "--language", "en")
        qr = re.search(r'<svg class="qr".*?</svg>', text, re.S).group(0)
        path = self.write(f'<!DOCTYPE html><style>svg{{width:400px;fill:#000}}rect{{fill:#fff}}</style>{qr}', "qr.html")
        picture = os.path.join(self.device.folder, "qr.png")
        self.browser.picture(path, picture, 420, 420)
        decoded = subprocess.run(["zbarimg", "-q", "--raw", picture], capture_output=True, text=True, check=True).stdout
        with open(self.device.file(2), "rb") as file:
            self.assertEqual(decoded.strip(), f"{self.record['id']} {hashlib.sha256(file.read()).hexdigest()}")

    def test_in_a_browser(self):
        """No error, no request, three printed pages; nothing wider than a phone."""
        for language in LANGUAGES:
            with self.subTest(language=language):
                text = self.device.page("2", "--language", language)
                path, pdf = self.write(text), os.path.join(self.device.folder, "page.pdf")
                done = self.browser.print(path, pdf)
                self.assertNotRegex(done.stderr, rb"CONSOLE|Refused|violates", "the page has an error")
                info = subprocess.run(["pdfinfo", pdf], capture_output=True, text=True, check=True).stdout
                self.assertLessEqual(int(re.search(r"Pages:\s+(\d+)", info).group(1)), 3)
                self.assertIn("A4", info)
                self.assert_fits(text, 390)
                self.assert_fits(text, 794)  # A4 at 96 dots an inch

    def test_hostile_texts_are_only_text(self):
        def poison(record):
            for part, name in (("site", "name"), ("site", "code"), ("site", "note"), ("site", "hamlet"),
                               ("link", "operator"), ("link", "interface"), ("link", "medium"),
                               ("server", "name"), ("server", "url"),
                               ("server", "tls"), ("device", "os"), ("download", "stop"), ("site", "environment")):
                record[part][name] = HOSTILE
            record["latency"]["idle"]["method"] = HOSTILE
            record["validity"] = {"state": HOSTILE, "flags": [{"code": HOSTILE, "figure": HOSTILE, "detail": HOSTILE}]}
            record["verdict"]["checks"][0].update(basis=HOSTILE, indicator=HOSTILE, reason=HOSTILE, outcome=HOSTILE)
            record["verdict"]["outcome"] = HOSTILE

        seq = self.device.keep(poison)["seq"]
        for language in LANGUAGES:
            for operands in ([str(seq)], ["1", str(seq)]):
                with self.subTest(language=language, operands=operands):
                    text = self.device.page(*operands, "--language", language)
                    page = self.check_page(text, language)
                    self.assertIn("<script>alert(1)</script>", page.text)
                    done = self.browser.print(self.write(text), os.path.join(self.device.folder, "hostile.pdf"))
                    self.assertNotRegex(done.stderr, rb"CONSOLE|Refused|violates|192\.0\.2\.1")

    def test_hostile_numbers_and_forms(self):
        """Whatever stands where a number or an object should: a page, whole, and not for ever."""
        def big(record):
            huge = 2 ** 63 - 1
            record["download"].update(rate_bps=huge, rate_low_bps=-huge, rate_high_bps=huge, ramp_up_ns=huge, bytes=-5)
            record["download"]["series"] = {"interval_ns": 10 ** 10, "bytes": [[huge] * 3] * 40}
            record["upload"]["series"] = {"interval_ns": 10 ** 6, "bytes": [[10 ** 13] * 500] * 32}
            record["latency"]["idle"]["series_ns"] = [huge, -7, "x"]
            record["latency"]["download"]["series_ns"] = [10 ** 12] * 5000
            record["latency"]["download"].update(interval_ns=10 ** 9, sent=huge)
            check = dict(record["verdict"]["checks"][0], value=huge, threshold_bps=huge, low=0)
            record["verdict"]["checks"] = [check] * 3

        def odd(record):
            for part in ("download", "upload", "latency", "site", "link", "server", "verdict", "validity"):
                record[part] = [1, "x", None]

        def bare(record):
            for part in ("download", "upload", "latency", "site", "link", "server", "verdict", "validity", "wire"):
                record.pop(part, None)

        for change in (big, odd, bare):
            with self.subTest(change=change.__name__):
                text = self.device.page(str(self.device.keep(change)["seq"]), "--language", "vi")
                self.check_page(text, "vi")
                self.assertLess(len(text.encode()), 300_000)

    def test_a_record_that_does_not_verify_says_so(self):
        seq = self.device.keep(lambda record: None)["seq"]
        self.device.alter(seq)
        page = self.check_page(self.device.page(str(seq), "--language", "vi", status=65), "vi")
        self.assertEqual(len(page.all("div", "alarm")), 1)
        self.assertIn("Bản ghi này không hợp lệ", page.text)
        self.assertIn("Bản ghi tự nêu: ĐẠT NGƯỠNG", page.text)
        self.assertEqual(page.all("article", "pass"), [])
        page = self.check_page(self.device.page("1", str(seq), "--language", "vi", status=65), "vi")
        self.assertIn("1 trong 2 bản ghi không hợp lệ", page.text)

    def test_what_is_no_record_is_named(self):
        path = self.write("not a record\n", "stray.jws")
        page = self.check_page(self.device.page(path, "--language", "en", status=65), "en")
        self.assertIn("stray.jws", page.text)
        seq = self.device.keep(lambda record: record.update(schema="dokiem.record/9"))["seq"]
        page = self.check_page(self.device.page(str(seq), "--language", "en", status=65), "en")
        self.assertIn("dokiem.record/9", page.text)

    def test_without_the_key_nothing_is_claimed(self):
        with Device() as other:
            page = Page(other.page(self.device.file(1), "--language", "en"))
            self.assertIn("not checked: no public key was at hand", page.text)
            self.assertEqual(page.all("span", "state-ok"), [])
            self.assertEqual(len(page.all("p", "notice")), 1)
            key = os.path.join(other.folder, "key.jwk")
            with open(key, "wb") as file:
                file.write(self.device.run("keygen", "--public").stdout)
            page = Page(other.page(self.device.file(1), "--key", key, "--language", "en"))
            self.assertEqual(len(page.all("span", "state-ok")), 1)

    def test_usage(self):
        for arguments, status, words in ((["--language", "fr"], 64, b"vi or en"), (["999"], 66, b""),
                                         (["/nonexistent.jws"], 66, b"nonexistent"),
                                         (["1", "-o", "/nonexistent/x.html"], 66, b"nonexistent")):
            with self.subTest(arguments=arguments):
                done = self.device.run("report", *arguments)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertIn(words, done.stderr)
                self.assertEqual(done.stdout, b"")
        path = os.path.join(self.device.folder, "out.html")
        done = self.device.run("report", "1", "-o", path, LC_ALL="vi_VN.UTF-8")
        self.assertEqual((done.returncode, done.stdout), (0, b""), done.stderr)
        with open(path, encoding="utf-8") as file:
            self.check_page(file.read(), "vi")

    def test_many_are_bounded(self):
        path = os.path.join(self.device.folder, "many.jws")
        with open(self.device.file(1), "rb") as file:
            line = file.read().rstrip(b"\n") + b"\n"
        with open(path, "wb") as file:
            file.write(line * 1500 + b"broken\n")
        text = self.device.page(path, "--language", "vi", status=65)
        page = self.check_page(text, "vi")
        self.assertLess(len(text.encode()), 300_000)
        self.assertIn("1500", page.text)
        self.assertIn("1 trong 1501 bản ghi không hợp lệ", page.text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
