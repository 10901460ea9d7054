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
HOSTILE = ("<script>alert(1)</script><img src=http://192.0.2.1/x onerror=alert(2)>\"' onload='x' &lt;b&gt; =cmd()|' /C "
           "calc'!A0\u202e\u200f\u2066abc\u061c\u0007\u0085]]>--></title></style><svg/onload=alert(3)>")
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


class Pages:
    """What every page of a test has to be. For a TestCase with a device and a browser."""

    def write(self, text, name="page.html"):
        path = os.path.join(self.device.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def check_page(self, text, language):
        page = Page(text)
        self.assertEqual(page.problems, [])
        self.assertEqual(page.all("html")[0]["lang"], language)
        self.assertEqual(len(page.all("h1")), 1)
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
        for before, after in zip(levels, levels[1:]):
            self.assertLessEqual(after, before + 1, "a heading skips a level")
        ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
        self.assertEqual(len(ids), len(set(ids)))
        for tag, attrs in page.elements:
            self.assertNotIn(tag, ("script", "img", "iframe", "link", "object", "form"))
            for name, value in attrs.items():
                self.assertFalse(name.startswith("on"), f"<{tag} {name}>")
                self.assertNotIn(name, ("src", "href", "style", "action"), f"<{tag} {name}={value}>")
        self.assertIn("default-src 'none'", page.all("meta")[1]["content"])
        for attrs in page.all("svg", "plot"):
            self.assertEqual(attrs["role"], "img")
            for reference in attrs["aria-labelledby"].split():
                self.assertIn(reference, ids)
        self.assertFalse(re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\x00-\x08\x0b-\x1f\x7f-\x9f]", text))
        return page

    def assert_fits(self, text, width):
        """Asks the browser itself how wide the page is: a probe of ours, in a copy whose policy lets it run."""
        probe = ("<script>addEventListener('load',()=>{const e=document.documentElement;document.title="
                 "'fits '+(e.scrollWidth<=e.clientWidth)+' '+e.scrollWidth+' '+e.clientWidth})</script>")
        text = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", text)
        # Headless windows have a least width: a frame has none.
        inner = self.write(text.replace("</body>", probe + "</body>"), "inner.html")
        outer = self.write(f"<iframe src='{os.path.basename(inner)}' style='border:0;width:{width}px;height:900px' "
                           "onload=\"setTimeout(()=>{document.title=this.contentDocument.title},50)\"></iframe>",
                           "outer.html")
        done = self.browser.run("--allow-file-access-from-files", "--virtual-time-budget=3000", "--dump-dom",
                                f"file://{outer}")
        title = re.search(rb"<title>(fits [^<]*)</title>", done.stdout)
        self.assertIsNotNone(title, done.stdout[:300])
        self.assertTrue(title.group(1).startswith(b"fits true"), f"at {width} px: {title.group(1)}")
