# SPDX-License-Identifier: Apache-2.0
"""dokiem assess --format html: the page of findings, as a parser and a browser see it, against the same findings as
JSON; and what hostile names can do to it, which is nothing."""
import json
import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support import HOSTILE, Browser, Device, Page, Pages  # noqa: E402

LANGUAGES = ("vi", "en")
WORDS = {"vi": {"too_few": "THIẾU MẪU", "inconclusive": "CHƯA KẾT LUẬN", "pass": "ĐẠT NGƯỠNG",
                "fail": "KHÔNG ĐẠT NGƯỠNG", "met": "ĐẠT MỤC TIÊU", "missed": "KHÔNG ĐẠT MỤC TIÊU"},
         "en": {"too_few": "TOO FEW SAMPLES", "inconclusive": "INCONCLUSIVE", "pass": "THRESHOLD MET",
                "fail": "THRESHOLD NOT MET", "met": "TARGET MET", "missed": "TARGET NOT MET"}}


def row(number, site, bps, **members):
    out = {"schema": "dokiem.sample/1", "id": f"019aa0b1-7c2a-7def-8123-{number:012x}", "kind": "measurement",
           "time.start": f"2026-11-{1 + number // 1440 % 28:02d}T{number // 60 % 24:02d}:{number % 60:02d}:00.000Z",
           "time.duration_ns": 10**10, "device.id": "D", "site.code": site, "link.operator": "Viettel",
           "link.technology": "4g", "site.environment": "indoor", "server.status": "ok", "download.status": "ok",
           "download.rate_bps": bps, "download.rate_whole_bps": bps, "validity.state": "valid"}
    out.update({key.replace("__", "."): value for key, value in members.items()})
    return out


def rows_of_every_outcome():
    """Site by site: met, missed, not decided, too few; with failures and samples that do not count."""
    rows = []
    for site, center, spread, count in (("HIGH", 60, 7, 310), ("LOW", 20, 7, 310), ("MIDDLE", 33, 15, 310),
                                        ("FEW", 60, 7, 20)):
        for i in range(count):
            rows.append(row(len(rows), site, (center + i % spread) * 1_000_000))
    rows.append(row(len(rows), "HIGH", 1, validity__flags="host_limited:download"))
    rows.append(row(len(rows), "HIGH", 1, validity__flags="tunnel:all"))
    rows.append(row(len(rows), "HIGH", 0, download__status="failed"))
    return rows


def shares(rects, ranges):
    """What the bars of one panel count, read back from their heights."""
    (_, _, _), (bottom, top, y_max) = ranges
    return [int(rect["height"]) * y_max / (bottom - top) for rect in rects]


def panels(page):
    """Of each plot, its bars and ranges."""
    out = []
    for tag, attrs in page.elements:
        if tag == "g" and "data-x" in attrs:
            out.append(([], [list(map(int, attrs[key].split())) for key in ("data-x", "data-y")]))
        if tag == "rect" and attrs.get("class") in ("bar", "short"):
            out[-1][0].append(attrs)
    return out


class Findings(Pages, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.device = cls.enterClassContext(Device())
        cls.browser = Browser(cls.device.folder)
        if cls.browser.program is None:
            raise unittest.SkipTest("there is no chromium")
        cls.rows = cls.keep_rows("rows", rows_of_every_outcome())

    @classmethod
    def keep_rows(cls, name, rows):
        path = os.path.join(cls.device.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        return path

    def assess(self, *arguments, form="html", status=0):
        done = self.device.run("assess", *arguments, "--format", form)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout.decode("utf-8")

    def test_says_what_the_findings_are(self):
        findings = json.loads(self.assess(self.rows, "--by", "site,operator", form="json"))["findings"]
        applying = [f for f in findings if f["outcome"] != "not_applicable"]
        self.assertEqual([(f["group"]["site"], f["outcome"]) for f in applying],
                         [("FEW", "too_few"), ("HIGH", "pass"), ("LOW", "fail"), ("MIDDLE", "inconclusive")])
        for language, mark in (("vi", ","), ("en", ".")):
            with self.subTest(language=language):
                text = self.assess(self.rows, "--by", "site,operator", "--language", language)
                page, words = self.check_page(text, language), WORDS[language]
                self.assertEqual(len(page.all("article", "finding")), 4)
                for css in ("pass", "fail", "inconclusive", "none"):
                    self.assertEqual(len(page.all("div", css)), 1)
                for word in ("met", "missed", "inconclusive", "too_few"):
                    self.assertIn(words[word], page.text)
                # 4G's 40 Mb/s is a target: whatever becomes of it, it is no failure of a regulation.
                self.assertNotIn(words["fail"], page.text)
                self.assertNotRegex(text, r"(?i)không đạt (ngưỡng|QCVN)")
                for f in applying:
                    self.assertIn(f"{f['figures']['mean'] // 10_000 / 100:.2f}".replace(".", mark), page.text)
                self.assertIn("QĐ 36/QĐ-TTg", page.text)
                self.assertIn("Kết quả giám sát" if language == "vi" else "A monitoring result", page.text)
                self.assertIn("280", page.text)  # samples that FEW lacks
                self.assertLess(len(text.encode()), 300_000)

    def test_vietnamese_is_complete(self):
        text = self.assess(self.rows, "--by", "site", "--language", "vi")
        words = set(re.findall(r"\b[a-z]{4,}\b", Page(text).text))
        self.assertEqual(words & {"samples", "left", "rule", "mean", "median", "devices", "first", "last", "limits",
                                  "chosen", "target", "threshold", "figure", "records", "with", "hour"}, set())

    def test_a_regulation_is_said_to_be_one(self):
        rows = self.keep_rows("5g", [row(i, "S", 50_000_000 + i % 9 * 1_000_000, link__technology="5g",
                                         site__environment=("indoor", "outdoor", "moving")[i % 3])
                                     for i in range(1600)])
        page = Page(self.assess(rows, "--language", "vi"))
        self.assertIn("KHÔNG ĐẠT NGƯỠNG", page.text)
        self.assertIn("uy chuẩn kỹ thuật quốc gia: QCVN 126:2021/BTTTT", page.text)

    def test_the_plots_show_the_samples(self):
        findings = json.loads(self.assess(self.rows, "--by", "site", form="json"))["findings"]
        findings = [f for f in findings if f["outcome"] != "not_applicable"]
        plots = panels(Page(self.assess(self.rows, "--by", "site", "--language", "en")))
        self.assertEqual(len(plots), 2 * len(findings))
        for finding, spread, hours in zip(findings, plots[::2], plots[1::2]):
            of_hours = finding["samples"] + finding["failures"]
            for (bars, ranges), total in ((spread, finding["samples"]), (hours, of_hours)):
                near = ranges[1][2] / (ranges[1][0] - ranges[1][1]) * len(bars)
                self.assertLessEqual(abs(sum(shares(bars, ranges)) - total), near)
            good = [bar for bar in spread[0] if bar["class"] == "bar"]
            near = spread[1][1][2] / (spread[1][1][0] - spread[1][1][1]) * max(1, len(good))
            self.assertLessEqual(abs(sum(shares(good, spread[1])) - finding["good"]), near)
            self.assertEqual(len(hours[0]), finding["hours_covered"])

    def test_what_does_not_count_is_said(self):
        page = Page(self.assess(self.rows, "--by", "site", "--site", "HIGH", "--from", "2026-11-01",
                                "--language", "en"))
        for words in ("flagged: 2", "through a tunnel", "could not keep up", "not chosen",
                      "2026-11-01 00:00:00 –"):
            self.assertIn(words, page.text)

    def test_in_a_browser(self):
        """No error, no request, A4; nothing wider than a phone."""
        for language in LANGUAGES:
            with self.subTest(language=language):
                text = self.assess(self.rows, "--by", "site,operator,technology", "--language", language)
                path, pdf = self.write(text), os.path.join(self.device.folder, "page.pdf")
                done = self.browser.print(path, pdf)
                self.assertNotRegex(done.stderr, rb"CONSOLE|Refused|violates", "the page has an error")
                info = subprocess.run(["pdfinfo", pdf], capture_output=True, text=True, check=True).stdout
                self.assertLessEqual(int(re.search(r"Pages:\s+(\d+)", info).group(1)), 6)
                self.assertIn("A4", info)
                self.assert_fits(text, 390)
                self.assert_fits(text, 794)

    def test_hostile_names_are_only_text(self):
        names = ("site.code", "site.name", "site.commune", "site.hamlet", "link.operator", "server.name", "device.id")
        rows = self.keep_rows("hostile", [{**row(i, "S", 50_000_000), **dict.fromkeys(names, HOSTILE + str(i % 3))}
                                          for i in range(30)] + [{"schema": HOSTILE}])
        for language in LANGUAGES:
            text = self.assess(rows, "--by", "site,operator,server,device", "--language", language)
            page = self.check_page(text, language)
            self.assertIn("<script>alert(1)</script>", page.text)
            done = self.browser.print(self.write(text), os.path.join(self.device.folder, "hostile.pdf"))
            self.assertNotRegex(done.stderr, rb"CONSOLE|Refused|violates|192\.0\.2\.1")

    def test_many_groups_are_bounded(self):
        """Also when each name is as long as it may be and of nothing but what has to be escaped."""
        rows = self.keep_rows("many", [row(i, f"{i % 1500:04}", (20 + i % 40) * 1_000_000,
                                           link__operator="<&\"'" * 300, server__name="'" * 1200) for i in range(3000)])
        text = self.assess(rows, "--by", "site,operator,server", "--language", "vi")
        self.check_page(text, "vi")
        self.assertLess(len(text.encode()), 300_000)
        self.assertIn("trong 1500 kết luận", text)

    def test_records_that_do_not_verify_are_said(self):
        with Device() as device:
            device.keep(lambda record: None)
            device.alter(2)
            done = device.run("assess", "--format", "html", "--language", "vi")
            page = self.check_page(done.stdout.decode(), "vi")
            self.assertEqual(len(page.all("div", "alarm")), 1)
            self.assertIn("1 bản ghi không hợp lệ", page.text)

    def test_usage(self):
        for arguments, status, words in ((["--format", "pdf"], 64, b"html"), (["--language", "fr"], 64, b"vi or en"),
                                         (["-o", "x.html"], 64, b"--format html"),
                                         (["--format", "html", "-o", "/nonexistent/x.html"], 66, b"nonexistent")):
            with self.subTest(arguments=arguments):
                done = self.device.run("assess", self.rows, *arguments)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertIn(words, done.stderr)
                self.assertEqual(done.stdout, b"")
        path = os.path.join(self.device.folder, "out.html")
        done = self.device.run("assess", self.rows, "--format", "html", "-o", path, LC_ALL="vi_VN.UTF-8")
        self.assertEqual((done.returncode, done.stdout), (0, b""), done.stderr)
        with open(path, encoding="utf-8") as file:
            self.check_page(file.read(), "vi")
        self.check_page(self.assess(self.rows, "--site", "NOWHERE", "--language", "en", status=66), "en")


if __name__ == "__main__":
    unittest.main(verbosity=2)
