# SPDX-License-Identifier: Apache-2.0
"""dokiem export: rows for programs and for spreadsheets. LibreOffice opens them with the texts and numbers as they are
meant, and computes nothing that a record says."""
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support import Device  # noqa: E402

FORMULAS = ("=cmd()|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1;2)", "\t=1+1", "\r=1+1", "'=1+1",
            "a;b,c\"d\ne", "=1+1;\"x\"")


class Export(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.device = cls.enterClassContext(Device())

        def place(operator, bps, **site):
            def change(record):
                record["site"].update({"code": "DLK-1", "name": "Nhà rông thôn Đắk Rơ Wa", "hamlet": "Kon Klor",
                                       "commune": "Đắk Rơ Wa", "subscribed_download_bps": 200_000_000, **site})
                record["link"].update(operator=operator, technology="4g")
                record["download"]["rate_bps"] = bps
                record["validity"] = {"state": "valid", "flags": []}
            return change

        cls.records = [cls.device.keep(place("VNPT", bps)) for bps in (30_500_000, 41_250_000, 52_000_000, 60_000_000)]

        def failed(record):
            place("VNPT", 1)(record)
            record["kind"], record["reason"] = "failed", "no route"
            for part in ("download", "upload", "server"):
                record[part] = {"status": "failed", "reason": "no route"}
            for phase in record["latency"]:
                record["latency"][phase] = {"status": "not_measured", "reason": "no route", "method": "none"}
            record.pop("verdict", None)
            record.pop("validity", None)

        cls.device.keep(failed)
        for number, formula in enumerate(FORMULAS):
            cls.device.keep(place(formula, 10_000_000, name=formula, code=f"X-{number}"))

    def rows(self, *arguments, status=0):
        done = self.device.run("export", *arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout.decode("utf-8")

    def table(self, text, delimiter):
        self.assertTrue(text.startswith("\ufeff"))
        return list(csv.DictReader(io.StringIO(text[1:], newline=""), delimiter=delimiter))

    def test_ndjson_has_what_the_record_has(self):
        rows = [json.loads(line) for line in self.rows("--format", "ndjson").splitlines()]
        self.assertEqual(len(rows), 6 + len(FORMULAS))
        for record, row in zip(self.records, rows[1:]):
            self.assertEqual(row["schema"], "dokiem.sample/1")
            for name, value in row.items():
                if name in ("schema", "validity.flags"):
                    continue
                node = record
                for part in name.split("."):
                    node = node[part]
                self.assertEqual(value, node, name)
        self.assertEqual(rows[6]["site.name"], FORMULAS[0])
        self.assertNotIn("download.rate_bps", rows[5])

    def test_assess_reads_back_the_same_figures(self):
        def findings(*operands):
            done = self.device.run("assess", *operands, "--by", "site,operator", "--format", "json")
            self.assertEqual(done.returncode, 0, done.stderr)
            return json.loads(done.stdout)["findings"]

        wanted = findings()
        self.assertTrue([f for f in wanted if f["outcome"] != "not_applicable"])
        for form in (["--format", "ndjson"], ["--language", "en"], ["--language", "vi"]):
            with self.subTest(form=form):
                path = os.path.join(self.device.folder, "back")
                with open(path, "w", encoding="utf-8", newline="") as file:
                    file.write(self.rows(*form))
                got, same = findings(path), wanted
                if form[0] != "--format":  # CSV has no control characters
                    same = [{**f, "group": {k: re.sub(r"[\x00-\x1f]", "?", v) for k, v in f["group"].items()}}
                            for f in wanted]
                self.assertEqual(sorted(got, key=json.dumps), sorted(same, key=json.dumps))

    def test_csv_is_the_same_with_formulas_disarmed(self):
        plain = [json.loads(line) for line in self.rows("--format", "ndjson").splitlines()]
        for language, delimiter, rate in (("vi", ";", "30,50"), ("en", ",", "30.50")):
            rows = self.table(self.rows("--language", language), delimiter)
            self.assertEqual(len(rows), len(plain))
            for row, wanted in zip(rows, plain):
                for name, value in wanted.items():
                    if name in row and name not in ("site.name", "link.operator"):
                        text = str(value).lower() if isinstance(value, bool) else str(value)
                        # One id in 64 begins as a formula does.
                        self.assertEqual(row[name], f"'{text}" if text.startswith("-") else text, name)
                for value in row.values():
                    self.assertFalse(value[:1] in ("=", "+", "-", "@", "\t", "\r"), value)
                    self.assertNotIn("\n", value)
            self.assertIn(rate, rows[1].values())

    def test_places(self):
        rows = self.table(self.rows("--table", "places", "--language", "vi"), ";")
        row = next(r for r in rows if r["Nhà mạng"] == "VNPT")
        wanted = {"Mã địa điểm": "DLK-1", "Địa điểm": "Nhà rông thôn Đắk Rơ Wa", "Thôn, buôn, tổ dân phố": "Kon Klor",
                  "Xã, phường": "Đắk Rơ Wa", "Công nghệ của đường truyền": "4G", "Số mẫu (N)": "4",
                  "Tốc độ tải xuống theo gói cước, Mb/s": "200,00", "Tốc độ tải xuống trung bình, Mb/s": "45,93",
                  "Tốc độ tải xuống trung vị, Mb/s": "46,62", "Ngưỡng, Mb/s": "40,00", "Tỷ lệ mẫu đạt, %": "75,00",
                  "IPv6": "không", "Số lần đo": "5", "Số lần đo thất bại (mất kết nối)": "1",
                  "Tỷ lệ thất bại, %": "20,00"}
        self.assertEqual({key: row[key] for key in wanted}, wanted)

    def convert(self, path, separator):
        """What LibreOffice, in Vietnamese, makes of it: the values of its cells, and which of them are formulas."""
        folder = os.path.join(self.device.folder, "office")
        done = subprocess.run(["soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless",
                               f"--infilter=CSV:{ord(separator)},34,76,1,,1066,false,true", "--convert-to", "fods",
                               "--outdir", folder, path], capture_output=True, timeout=120, check=False,
                              env={**os.environ, "HOME": folder})
        name = os.path.splitext(os.path.basename(path))[0]
        with open(os.path.join(folder, f"{name}.fods"), encoding="utf-8") as file:
            return file.read() + done.stderr.decode("utf-8", "replace")[:0]

    def test_libreoffice_reads_vietnamese_and_decimal_commas(self):
        if shutil.which("soffice") is None:
            self.skipTest("there is no LibreOffice")
        for table in ("places", "samples"):
            path = os.path.join(self.device.folder, f"{table}.csv")
            done = self.device.run("export", "--table", table, "--language", "vi", "-o", path)
            self.assertEqual((done.returncode, done.stdout), (0, b""), done.stderr)
            text = self.convert(path, ";")
            self.assertIn("Nhà rông thôn Đắk Rơ Wa", text)
            self.assertIn('office:value-type="float" office:value="45.93"' if table == "places"
                          else 'office:value-type="float" office:value="30.5"', text)
            self.assertNotIn("table:formula", text)
            self.assertIn("cmd()|", text)

    def test_what_does_not_verify_is_no_row(self):
        with Device() as other:
            other.keep(lambda record: None)
            other.alter(2)
            done = other.run("export", "--format", "ndjson")
            self.assertEqual(done.returncode, 65)
            self.assertEqual(len(done.stdout.splitlines()), 1)
            self.assertIn(b"0000000002.jws", done.stderr)
            self.assertIn(b"1 of 2 records", done.stderr)
            done = self.device.run("export", "--format", "ndjson", other.file(1))
            self.assertEqual(done.returncode, 0)
            self.assertIn(b"1 of 1 records were not checked", done.stderr)

    def test_usage(self):
        for arguments in (["--format", "xls"], ["--table", "x"], ["--language", "fr"],
                          ["--table", "places", "--format", "ndjson"]):
            self.assertEqual(self.device.run("export", *arguments).returncode, 64)


if __name__ == "__main__":
    unittest.main(verbosity=2)
