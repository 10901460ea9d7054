# SPDX-License-Identifier: Apache-2.0
"""catalogue.py ROOT: po/vi.po has every text of the sources in po/POTFILES, and msgfmt finds nothing wrong in it."""
import os
import re
import subprocess
import sys

KEYWORDS = re.compile(r"\bN?_\(\"")


def main(root):
    os.chdir(root)
    with open("po/POTFILES", encoding="utf-8") as file:
        listed = file.read().split()
    problems = []
    for folder, _, names in os.walk("agent"):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(".c") and path not in listed:
                with open(path, encoding="utf-8") as file:
                    if KEYWORDS.search(file.read()):
                        problems.append(f"{path} has texts to translate and is not in po/POTFILES")
    texts = subprocess.run(["xgettext", "--keyword=_", "--keyword=N_", "--from-code=UTF-8", "--output=-", *listed],
                           check=True, capture_output=True).stdout
    compared = subprocess.run(["msgcmp", "po/vi.po", "-"], input=texts, capture_output=True, check=False)
    checked = subprocess.run(["msgfmt", "--check-format", "--check-domain", "--output-file=/dev/null", "po/vi.po"],
                             capture_output=True, check=False)
    for result in (compared, checked):
        if result.returncode != 0:
            problems.append(result.stderr.decode())
    print("\n".join(problems) or f"{texts.count(b'msgid') - 1} texts")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
