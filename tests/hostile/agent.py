# SPDX-License-Identifier: Apache-2.0
"""Runs the built `dokiem` in a state folder of its own, for the tests of this folder."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time

import jsonschema

PROGRAM = os.environ.get("DOKIEM", "dokiem")

with open(os.path.join(os.path.dirname(__file__), "../../docs/record.schema.json"), encoding="utf-8") as schema:
    SCHEMA = json.load(schema)

# No configuration of the machine's or the user's may take part.
ENVIRONMENT = {**os.environ, "HOME": "/nonexistent", "XDG_CONFIG_HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


class Agent:
    """One device. Use as a context manager: its folder goes with it."""

    program = PROGRAM

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="dokiem-agent-")
        self.state = os.path.join(self.folder, "state")
        made = self.run("keygen")
        assert made.returncode == 0, made.stderr
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def configuration(self, text):
        path = os.path.join(self.folder, "dokiem.ini")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def command(self, verb, *arguments):
        return [self.program, verb, "--state", self.state, *arguments]

    def run(self, verb, *arguments, timeout=60, **options):
        process = self.start(verb, *arguments, **options)
        watch = threading.Thread(target=self._watch, args=(process,))
        watch.start()
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        finally:
            watch.join()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def _watch(self, process):
        """The most memory the process was seen to have: rusage would count what it was forked from."""
        self.peak_kb = 0
        while process.poll() is None:
            with contextlib.suppress(OSError, IndexError, ValueError), \
                    open(f"/proc/{process.pid}/status", encoding="ascii") as status:
                self.peak_kb = max(self.peak_kb, int(status.read().split("VmHWM:")[1].split()[0]))
            time.sleep(0.005)

    def start(self, verb, *arguments, **options):
        return subprocess.Popen(self.command(verb, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=ENVIRONMENT, stdin=subprocess.DEVNULL, **options)

    def last(self):
        """The payload of the last record kept."""
        shown = self.run("show", "last", "--format", "json")
        assert shown.returncode == 0, shown.stderr
        record = json.loads(shown.stdout)
        jsonschema.validate(record, SCHEMA)
        return record

    def records(self):
        folder = os.path.join(self.state, "journal")
        return sorted(name for name in os.listdir(folder) if name.endswith(".jws") and "receipt" not in name)

    def chain_is_whole(self):
        verified = self.run("verify", os.path.join(self.state, "journal"))
        return verified.returncode == 0, verified.stdout + verified.stderr
