# SPDX-License-Identifier: Apache-2.0
"""catalogue.py ROOT: po/vi.po has every text of the sources, with the errors of dk_fail(), and msgfmt finds nothing
wrong in it."""
import os
import re
import subprocess
import sys

KEYWORDS = re.compile(r"\bN?_\(\"")


# The format and the advice of a fault: xgettext takes one argument of a function at a time.
FAULTS = (("dk_fail:5", "dk_ini_fail:5"), ("dk_fail:4", "dk_ini_fail:4"))


def sources():
    """The sources of the programs, whose errors are shown in the user's language."""
    for folder in ("agent", "collector", "config", "probes"):
        for path, _, names in os.walk(folder):
            yield from (os.path.join(path, name) for name in sorted(names) if name.endswith(".c"))


def extract(files, *keywords):
    return subprocess.run(["xgettext", "--keyword", *(f"--keyword={word}" for word in keywords), "--from-code=UTF-8",
                           "--output=-", *files], check=True, capture_output=True).stdout


def main(root):
    os.chdir(root)
    with open("po/POTFILES", encoding="utf-8") as file:
        listed = file.read().split()
    problems = []
    for path in sources():
        if path not in listed:
            with open(path, encoding="utf-8") as file:
                if KEYWORDS.search(file.read()):
                    problems.append(f"{path} has texts to translate and is not in po/POTFILES")
    texts = b"".join(extract(listed, *keywords) for keywords in (("_", "N_"), *FAULTS))
    compared = [subprocess.run(["msgcmp", "po/vi.po", "-"], input=extract(files, *keywords), capture_output=True,
                               check=False)
                for files, keywords in ((listed, ("_", "N_")), *((sources(), keywords) for keywords in FAULTS))]
    checked = subprocess.run(["msgfmt", "--check-format", "--check-domain", "--output-file=/dev/null", "po/vi.po"],
                             capture_output=True, check=False)
    for result in (*compared, checked):
        if result.returncode != 0:
            problems.append(result.stderr.decode())
    print("\n".join(problems) or f"{texts.count(b'msgid') - 1} texts")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
