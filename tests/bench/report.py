#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What pages and exports cost: report.py BUILD_FOLDER [--records N]

Makes 10,000 sealed records, a record a line, and reads them as a page, as rows, as places and as a page of findings;
and one of them as a page. Elapsed and processor seconds, the peak of the memory, and the size of what comes out, beside
what is aimed at. Performance is no assertion: the exit status is 0 unless something breaks. Needs some 300 MB below
TMPDIR.
"""
import argparse
import os
import subprocess
import tempfile
import time


def run(build, folder, out, words):
    """Elapsed seconds, processor seconds, peak resident bytes, bytes written."""
    path = os.path.join(folder, out)
    with open(path, "wb") as file:
        start = time.monotonic()
        process = subprocess.Popen([os.path.join(build, "agent/dokiem"), *words, "--state", folder, "--key",
                                    f"{folder}/key.jwk"], stdin=subprocess.DEVNULL, stdout=file)
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{words}: exit {process.returncode}")
    return elapsed, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, os.path.getsize(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--records", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dokiem-bench-") as folder:
        many, one = os.path.join(folder, "many.jws"), os.path.join(folder, "one.jws")
        with open(many, "wb") as out:
            subprocess.run([os.path.join(options.build, "tests/evidence/assess_data"), folder, "records",
                            str(options.records)], stdout=out, check=True)
        with open(many, "rb") as file, open(one, "wb") as out:
            out.write(file.readline())
        print(f"{'':34}{'elapsed':>10}{'bar':>7}{'CPU':>10}{'memory':>12}{'size':>12}{'bar':>8}")
        count = options.records
        for name, words, seconds, size in (
                ("report of one record", ["report", one], "0.2 s", "300 kB"),
                (f"report of {count} records", ["report", many], "3 s", "300 kB"),
                (f"export of {count} records, csv", ["export", many], "", ""),
                (f"export of {count} records, ndjson", ["export", "--format", "ndjson", many], "", ""),
                (f"export of {count} records, places", ["export", "--table", "places", many], "", ""),
                (f"findings of {count} records, html",
                 ["assess", "--format", "html", "--by", "site", many], "3 s", "300 kB")):
            elapsed, cpu, peak, written = run(options.build, folder, "out", words)
            print(f"{name:34}{elapsed:8.2f} s{seconds:>7}{cpu:8.2f} s{peak / 1e6:9.1f} MB{written / 1e3:9.0f} kB"
                  f"{size:>8}", flush=True)


if __name__ == "__main__":
    main()
