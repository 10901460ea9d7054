# SPDX-License-Identifier: Apache-2.0
"""Sums up what tests/run did: skipped tests with their reason, failed ones with the end of their output, one last line.

The folder given holds STEP.json, meson's log of each step, and `results`: step, name, exit status and log, with tabs.
"""
import glob
import json
import os
import re
import sys

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
KIND = {"OK": PASSED, "EXPECTEDFAIL": PASSED, "SKIP": SKIPPED}


def tail(text, lines=40):
    return "\n".join("    " + line for line in text.strip().splitlines()[-lines:])


def reason(output):
    lines = [line.strip() for line in output.splitlines() if "skip" in line.lower()]
    return lines[-1] if lines else "no reason given"


def meson_results(folder):
    """(step, name, kind, output) of each test; cases that Python's unittest skipped count as skipped, too."""
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        step = os.path.basename(path)[:-len(".json")]
        with open(path, encoding="utf-8") as log:
            for line in log:
                test = json.loads(line)
                output = test.get("stdout", "") + test.get("stderr", "")
                yield step, test["name"], KIND.get(test["result"], FAILED), output
                for case in re.findall(r"^(.*) \.\.\. (skipped .*)$", output, re.MULTILINE):
                    yield step, f"{test['name']}: {case[0]}", SKIPPED, case[1]


def other_results(folder, seen):
    """What is not a meson test. A step of meson's counts by its tests, and as one failure if it ran none."""
    with open(os.path.join(folder, "results"), encoding="utf-8") as results:
        for line in results:
            step, name, status, log = line.rstrip("\n").split("\t")
            if log == "suite":
                if step not in seen:
                    yield step, name, FAILED, f"ran no test; exit {status}"
                elif status != "0" and FAILED not in seen[step]:
                    yield step, name, FAILED, f"no test failed, but exit {status}"
                continue
            output = ""
            if log != "-":
                with open(log, encoding="utf-8", errors="replace") as text:
                    output = text.read()
            yield step, name, PASSED if status == "0" else FAILED, output


def main():
    folder = sys.argv[1]
    results = list(meson_results(folder))
    seen = {}
    for step, _, kind, _ in results:
        seen.setdefault(step, set()).add(kind)
    results += other_results(folder, seen)
    count = {PASSED: 0, FAILED: 0, SKIPPED: 0}
    for step, name, kind, output in results:
        count[kind] += 1
        if kind == SKIPPED:
            print(f"skipped: {step}: {name}: {reason(output)}")
    for step, name, kind, output in results:
        if kind == FAILED:
            print(f"FAILED: {step}: {name}\n{tail(output)}")
    print(f"{count[PASSED]} passed, {count[FAILED]} failed, {count[SKIPPED]} skipped")
    return 0 if count[PASSED] > 0 and count[FAILED] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
