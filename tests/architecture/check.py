#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads the sources and says where they leave the rules: check.py [PROGRAM…]

Without a program: the picture (who may include whom), banned calls, header comments, sizes, tests without a row.
With programs: every --option that README.md and docs/ mention is one that a program's help knows.
"""
import fnmatch
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# The picture: what a file may include beside its own folder. The first row that fits a file is its row. A stage sees
# the base helpers and the values, not its neighbours.
BASE = "agent/base/"
VALUES = ["agent/context/context.h", "agent/judge/verdict.h", "config/inspection.h", "config/rules.h", "config/site.h",
          "probes/measurement.h", "probes/progress.h"]
ALL = ["agent/", "config/", "probes/"]
PICTURE = [
    ("agent/base/*", []),
    ("config/*", [BASE]),
    ("probes/reference/*", [BASE, "probes/*.h", "probes/stamp/", "probes/throughput/", "agent/record/key.h",
                            "agent/record/seal.h", "agent/record/signer.h", "agent/record/word.h"]),
    ("probes/*/*", [BASE, "probes/*.h"]),
    ("probes/*", [BASE, "probes/"]),
    ("agent/context/*", [BASE]),
    ("agent/judge/*", [BASE, "agent/context/context.h", "config/rules.h", "config/site.h", "probes/measurement.h"]),
    ("agent/assess/*", [BASE, "agent/judge/verdict.h", "config/rules.h", "config/site.h"]),
    ("agent/record/*", [BASE, *VALUES]),
    ("agent/journal/*", [BASE]),
    ("agent/deliver/*", [BASE, "agent/journal/journal.h", "agent/record/"]),
    ("agent/report/*", [BASE, "agent/assess/", "agent/record/record.h", *VALUES]),
    ("agent/verbs/*", ALL),
    ("agent/main.c", [BASE, "agent/verbs/", "agent/report/text.h"]),
    ("agent/run.[ch]", ALL),
    ("agent/budget.[ch]", [BASE, "agent/budget.h", "agent/context/context.h", "agent/journal/usage.h",
                           "config/settings.h"]),
    ("agent/bounds.[ch]", [BASE, "agent/bounds.h", "agent/journal/journal.h", "agent/record/"]),
    ("agent/signer.[ch]", [BASE, "agent/device.h", "agent/journal/journal.h", "agent/record/", "agent/signer.h"]),
    ("agent/measure.[ch]", ["agent/base/", "agent/measure.h", "agent/context/context.h", "config/", "probes/"]),
    ("agent/device.[ch]", [BASE, "agent/context/context.h", "agent/device.h", "agent/journal/journal.h",
                           "agent/record/", "agent/state.h"]),
    ("agent/state.h", []),
    ("collector/*", [BASE, "agent/record/"]),
    ("tests/harness/*", []),
    ("tests/netlab/emulator/*", [BASE]),
    ("tests/*", [*ALL, "collector/", "tests/harness/", "tests/netlab/emulator/", "tests/sample/"]),
]

# Who may use which library.
LIBRARIES = {
    r"iniparser/.*": ["config/"],
    r"jansson\.h": ["agent/record/", "agent/deliver/", "agent/report/", "agent/verbs/", "collector/", "tests/"],
    r"sqlite3\.h": ["collector/", "tests/"],
    r"microhttpd\.h": ["collector/", "probes/reference/", "tests/"],
    r"qrencode\.h": ["agent/report/qr.c"],
    r"pcap/.*|pcap\.h": ["probes/capture/", "tests/"],
    r"curl/.*": ["probes/", "agent/deliver/", "agent/main.c", "agent/verbs/", "tests/"],
    r"openssl/.*": ["agent/base/", "agent/record/", "probes/", "collector/", "agent/verbs/version.c", "tests/"],
    r"libp11\.h": ["agent/record/token.c"],
    r"dlfcn\.h": ["agent/record/token.c", "probes/capture/library.c", "tests/"],
    r"pthread\.h|threads\.h|setjmp\.h": [],
}

BANNED = ("strcpy strcat strncpy strncat sprintf vsprintf strtok atoi atol atoll atof sscanf gets system popen "
          "gettimeofday localtime ctime asctime time rand srand random alloca setjmp longjmp tmpnam mktemp").split()
# Below a verb, or a server's main, nothing prints or exits.
PRINTING = "printf fprintf vprintf vfprintf puts fputs putchar perror exit _exit abort".split()
# agent/record/signer.c is the end of a process of its own.
MAY_PRINT = ["agent/record/signer.c", "agent/verbs/", "agent/main.c", "agent/report/", "probes/reference/main.c",
             "collector/main.c", "tests/"]

COLUMNS, FUNCTION_LINES, FILE_LINES = 120, 80, 700
UNFINISHED = re.compile(r"(//|#|\*)\s*(TODO|FIXME|XXX)\b|\b(TODO|FIXME|XXX)\s*[:(]")
found = []


def say(path, line, what):
    found.append(f"{path}:{line}: {what}")


def tracked():
    """All files of the tree, build folders left out."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(f for f in folders if not f.startswith((".git", "build")) and f != "__pycache__")
        for name in sorted(files):
            if name != ".git":
                yield os.path.relpath(os.path.join(folder, name), ROOT)


def within(path, places):
    """True when `path` is one of `places`: a file, a folder ("x/"), or the headers of one folder alone ("x/*.h")."""
    for place in places:
        if place.endswith("/*.h"):
            if os.path.dirname(path) == place[:-4]:
                return True
        elif path == place or (place.endswith("/") and path.startswith(place)):
            return True
    return False


def without_comments_and_strings(text):
    blank = lambda m: re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text, flags=re.DOTALL)


def check_includes(path, lines):
    row = next((row for row in PICTURE if fnmatch.fnmatchcase(path, row[0])), None)
    if row is None:
        say(path, 1, "no row of the picture (tests/architecture/check.py) is about this file")
        return
    allowed = row[1] + ([os.path.dirname(path) + "/"] if row[0].endswith("/*") else [])
    for number, line in enumerate(lines, 1):
        match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
        if match is None:
            continue
        kind, name = match.groups()
        if kind == '"':
            if "/" not in name:
                say(path, number, f"{name} does not name its folder from the root")
            elif not within(name, allowed):
                say(path, number, f"includes {name}, which {row[0]} may not see")
            continue
        for library, places in LIBRARIES.items():
            if re.fullmatch(library, name) and not within(path, places):
                say(path, number, f"uses <{name}>, which is only for {', '.join(places) or 'nobody'}")


def check_calls(path, code):
    for number, line in enumerate(code.split("\n"), 1):
        for call in re.findall(r"(?<![\w.>])(\w+)\s*\(", line):
            if call in BANNED:
                say(path, number, f"calls {call}()")
            elif call in PRINTING and not within(path, MAY_PRINT):
                say(path, number, f"calls {call}(): nothing below a verb prints or ends the program")


def check_header(path, lines):
    """Every function has a comment above or beside it, or above the unbroken group of lines that it is in. Only the
    destructors, all alike (NULL is fine), may do without."""
    if "#pragma once" not in lines:
        say(path, 1, "no #pragma once")
    covered, depth = False, 0
    for number, line in enumerate(lines, 1):
        if line.strip() == "":
            covered = False
        elif line.startswith("//"):
            covered = True
        elif depth == 0 and not line.startswith("typedef"):
            function = re.match(r"[a-z][\w \*]*[ \*](dk_\w+)\(", line)
            if function is not None and not covered and "//" not in line and not function.group(1).endswith("_free"):
                say(path, number, f"{function.group(1)}() has no comment")
        depth += line.count("{") - line.count("}")


def check_functions(path, lines):
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            if number - start - 1 > FUNCTION_LINES:
                say(path, start - 1, f"a function of {number - start - 1} lines; {FUNCTION_LINES} is the limit")
            start = None


def check_text(path, text):
    lines = text.split("\n")
    if path.startswith("tests/fuzz/corpus/") or path == "LICENSE":
        return
    if (path.endswith((".c", ".h", ".py", ".sh", ".ini", ".conf", "meson.build")) or lines[0].startswith("#!")) and \
             not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:2]):
        say(path, 1, "the first line is not the SPDX line")
    if text != "" and not text.endswith("\n"):
        say(path, len(lines), "no line end at the end")
    for number, line in enumerate(lines, 1):
        # The value of an INI key cannot be broken into lines, nor a recorded packet.
        if len(line) > COLUMNS and not path.endswith((".md", ".json", ".jws")) and "/profiles/" not in path and \
                not path.startswith("tests/golden/exchanges/"):
            say(path, number, f"{len(line)} columns; {COLUMNS} is the limit")
        if line != line.rstrip():
            say(path, number, "white space at the end")
        if UNFINISHED.search(line):
            say(path, number, "unfinished: " + line.strip())
    if path.endswith((".c", ".h")):
        if len(lines) > FILE_LINES:
            say(path, 1, f"{len(lines)} lines; {FILE_LINES} is the limit")
        check_includes(path, lines)
        check_calls(path, without_comments_and_strings(text))
        check_functions(path, lines)
        if path.endswith(".h"):
            check_header(path, lines)


def check_rows(files):
    """A test that has no row in meson is a test that nobody runs."""
    for folder, prefix in (("tests/unit", "test_"), ("tests/fuzz", "fuzz_")):
        with open(os.path.join(ROOT, folder, "meson.build"), encoding="utf-8") as rows:
            text = rows.read()
        for path in files:
            match = re.fullmatch(rf"{folder}/{prefix}(\w+)\.c", path)
            if match is not None and f"'{match.group(1)}'" not in text:
                say(path, 1, f"has no row in {folder}/meson.build")
    with open(os.path.join(ROOT, "tests/netlab/meson.build"), encoding="utf-8") as rows:
        text = rows.read()
    for path in files:
        if re.fullmatch(r"tests/netlab/test_\w+\.py", path) and os.path.basename(path) not in text:
            say(path, 1, "has no row in tests/netlab/meson.build")


def options_of(program):
    """The options in a program's help, and in that of each of its verbs."""
    ask = lambda *words: subprocess.run([program, *words, "--help"], stdin=subprocess.DEVNULL, capture_output=True,
                                        text=True, timeout=20, check=False)
    top = ask()
    if top.returncode != 0:
        say(program, 0, f"--help ends with {top.returncode}")
    text = top.stdout
    for verb in re.findall(r"^  ([a-z][a-z-]+)\b", top.stdout, re.MULTILINE):
        text += ask(verb).stdout
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def check_documents(programs):
    known = set().union(*(options_of(p) for p in programs)) | {"--help"}
    for path in tracked():
        if path not in ("README.md", "CONTRIBUTING.md") and not re.fullmatch(r"docs/.*\.md", path):
            continue
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                # Other people's programs have options of their own.
                if re.search(r"\b(meson|ninja|curl|openssl|jose|apt-get|git|nginx|tests/run|valgrind|clang|pkcs11-tool|"
                             r"softhsm2-util)\b", line):
                    continue
                for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", line):
                    if option not in known:
                        names = ", ".join(os.path.basename(p) for p in programs)
                        say(path, number, f"{option} is not an option of {names}")


def main():
    files = list(tracked())
    if len(sys.argv) > 1:
        check_documents(sys.argv[1:])
    else:
        for path in files:
            try:
                with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                    check_text(path, file.read())
            except UnicodeDecodeError:
                if not path.startswith(("tests/fuzz/corpus/", "tests/golden/", "docs/")):
                    say(path, 1, "not UTF-8")
        check_rows(files)
    print("\n".join(found))
    print(f"{len(files)} files, {len(found)} findings")
    return 1 if found or len(files) < 50 else 0


if __name__ == "__main__":
    sys.exit(main())
