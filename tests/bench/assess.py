#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What `dokiem assess` costs: assess.py BUILD_FOLDER [--records N] [--rows N]

Makes 100,000 sealed records (one file, a record a line) and 1,000,000 exported rows, as JSON and as CSV, on disk, then
reads each once: elapsed and processor seconds, and the peak of the memory. Performance is no assertion: the exit status
is 0 unless something breaks. Needs some 2.5 GB below TMPDIR.
"""
import argparse
import json
import os
import subprocess
import tempfile
import time


def make(build, folder, what, count):
    path = os.path.join(folder, what)
    with open(path, "wb") as out:
        subprocess.run([os.path.join(build, "tests/evidence/assess_data"), folder, what, str(count)], stdout=out,
                       check=True)
    return path


def assess(build, folder, path, count):
    """Elapsed seconds, processor seconds, peak resident bytes."""
    command = [os.path.join(build, "agent/dokiem"), "assess", path, "--state", folder, "--key", f"{folder}/key.jwk",
               "--by", "site", "--format", "json"]
    with tempfile.TemporaryFile() as out:
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out)
        peak = 0
        while True:
            with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
                high = [line for line in status if line.startswith("VmHWM:")]
            peak = max(peak, int(high[0].split()[1]) * 1024 if high else 0)
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.01)
        process.returncode = os.waitstatus_to_exitcode(status)
        elapsed = time.monotonic() - start
        out.seek(0)
        answer = json.load(out)
    taken = answer["input"]["records"] + answer["input"]["rows"]
    if process.returncode != 0 or taken != count:
        raise RuntimeError(f"{path}: exit {process.returncode}, {taken} of {count} samples taken")
    return elapsed, usage.ru_utime + usage.ru_stime, peak


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    print(f"{'':32}{'elapsed':>10}{'bar':>7}{'CPU':>10}{'memory':>12}{'bar':>9}")
    for what, count, seconds in (("records", options.records, 30), ("rows", options.rows, 10),
                                 ("csv", options.rows, 10)):
        if count == 0:
            continue
        with tempfile.TemporaryDirectory(prefix="dokiem-bench-") as folder:
            path = make(options.build, folder, what, count)
            size = os.path.getsize(path)
            elapsed, cpu, peak = assess(options.build, folder, path, count)
        print(f"{f'{count} {what}, {size / 1e6:.0f} MB':32}{elapsed:8.2f} s{seconds:5} s{cpu:8.2f} s"
              f"{peak / 1e6:9.1f} MB{100:6} MB", flush=True)


if __name__ == "__main__":
    main()
