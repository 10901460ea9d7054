# SPDX-License-Identifier: Apache-2.0
"""Sealed records made to order, and pages read by a parser and by a browser, for the tests of this folder."""
import base64
import copy
import hashlib
import html.parser
import json
import os
import re
import shutil
import subprocess
import tempfile

PROGRAM = os.environ["DOKIEM"]
KEEP = os.environ["KEEP"]
ENVIRONMENT = {**os.environ, "HOME": "/nonexistent", "XDG_CONFIG_HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
VOID = {"meta", "br", "link", "img", "hr", "input"}


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Device:
    """A state folder whose records a test writes. Use as a context manager."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="dokiem-report-")
        self.state = os.path.join(self.folder, "state")
        assert self.run("keygen").returncode == 0
        subprocess.run([KEEP, self.state, "1"], check=True)
        self.first = json.loads(self.run("show", "1", "--format", "json").stdout)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, verb, *arguments, **environment):
        return subprocess.run([PROGRAM, verb, "--state", self.state, *arguments], capture_output=True, timeout=60,
                              check=False, stdin=subprocess.DEVNULL, env={**ENVIRONMENT, **environment})

    def file(self, seq):
        return os.path.join(self.state, "journal", f"{seq:010}.jws")

    def keep(self, change):
        """Keeps one more record, like the first but for what `change` does to it; returns it."""
        seq = len([name for name in os.listdir(os.path.join(self.state, "journal")) if name.endswith(".jws")]) + 1
        record = copy.deepcopy(self.first)
        with open(self.file(seq - 1), "rb") as before:
            record["prev"] = encode(hashlib.sha256(before.read()).digest())
        record["seq"] = seq
        record["id"] = f"019aa0b1-7c2a-7def-8123-{seq:012x}"
        change(record)
        payload = json.dumps(record, separators=(",", ":")).encode()
        subprocess.run([KEEP, self.state, "-"], input=payload + b"\n", check=True)
        return record

    def alter(self, seq):
        """Changes a record after it was signed."""
        with open(self.file(seq), "rb") as file:
            head, payload, signature = file.read().split(b".")
        text = base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))
        changed = text.replace(b'"operator":"Viettel"', b'"operator":"Vietnam"')
        assert changed != text
        with open(self.file(seq), "wb") as file:
            file.write(b".".join((head, encode(changed).encode(), signature)))

    def page(self, *arguments, status=0):
        done = self.run("report", *arguments)
        assert done.returncode == status, (done.returncode, done.stderr.decode())
        return done.stdout.decode("utf-8")


class Page(html.parser.HTMLParser):
    """What a page consists of: its elements, in order, with attributes, and its text. Refuses what is not closed."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.texts, self.problems = [], [], [], []
        self.feed(text)
        self.close()
        if self.open:
            self.problems.append(f"not closed: {self.open}")
        self.text = " ".join("".join(self.texts).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    def all(self, tag, css=None):
        return [attrs for name, attrs in self.elements
                if name == tag and (css is None or css in (attrs.get("class") or "").split())]


class Browser:
    """Chromium without a window. Each call is a process of its own, in a profile of its own."""

    def __init__(self, folder):
        self.program = shutil.which("chromium")
        self.folder = folder

    def run(self, *arguments):
        profile = tempfile.mkdtemp(dir=self.folder)
        done = subprocess.run([self.program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                               "--disable-dev-shm-usage", "--enable-logging=stderr", "--v=0", "--no-first-run",
                               "--disable-background-networking", f"--user-data-dir={profile}", *arguments],
                              capture_output=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
                              env={**os.environ, "HOME": profile})
        shutil.rmtree(profile, ignore_errors=True)
        return done

    def print(self, path, pdf):
        return self.run("--no-pdf-header-footer", f"--print-to-pdf={pdf}", f"file://{path}")

    def picture(self, path, png, width, height):
        return self.run(f"--window-size={width},{height}", f"--screenshot={png}", f"file://{path}")


def steps(page, css="total"):
    """The values of the lines of class `css`: for each, [(end of the step, value)] in data, read back from the SVG."""
    lines, ranges = [], None
    for tag, attrs in page.elements:
        if tag == "g" and "data-x" in attrs:
            ranges = [list(map(int, attrs[key].split())) for key in ("data-x", "data-y")]
        if tag == "path" and attrs.get("class") == css:
            (left, right, x_max), (bottom, top, y_max) = ranges
            points, y = [], None
            first = re.match(r"M(\d+) (\d+)", attrs["d"])
            y = int(first.group(2))
            for command, number in re.findall(r"([HV])(\d+)", attrs["d"]):
                if command == "V":
                    y = int(number)
                else:
                    points.append(((int(number) - left) / (right - left) * x_max,
                                   (bottom - y) / (bottom - top) * y_max))
            lines.append((points, x_max / (right - left), y_max / (bottom - top)))
    return lines
