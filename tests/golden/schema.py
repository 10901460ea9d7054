# SPDX-License-Identifier: Apache-2.0
"""schema.py PROGRAM SCHEMA PAGE: the records PROGRAM prints fit SCHEMA, broken ones do not, and PAGE names every field.

Needs python3-jsonschema of the system.
"""
import copy
import json
import re
import subprocess
import sys

import jsonschema


def properties(node):
    """Every (name, description) a schema defines, and every object that leaves room for unknown names."""
    if isinstance(node, list):
        for item in node:
            yield from properties(item)
    elif isinstance(node, dict):
        for name, value in node.get("properties", {}).items():
            yield name, value.get("description")
        if node.get("type") == "object" and node.get("additionalProperties") is not False:
            yield "(object)", None
        for key, value in node.items():
            if key not in ("if", "then", "else", "allOf"):
                yield from properties(value)


def breakages(record):
    """Copies of `record`, each with one thing wrong."""
    def broken(path, value):
        copied = copy.deepcopy(record)
        node = copied
        for step in path[:-1]:
            node = node[step]
        if value is None:
            del node[path[-1]]
        else:
            node[path[-1]] = value
        return ".".join(map(str, path)) + " = " + repr(value), copied

    yield broken(["extra"], 1)
    yield broken(["link", "extra"], 1)
    yield broken(["reason"], "x")
    yield broken(["prev"], "short")
    yield broken(["seq"], 1)
    yield broken(["download", "rate_bps"], None)
    yield broken(["download", "rate_bps"], 1.5)
    yield broken(["download", "rate_bps"], "1")
    yield broken(["download", "rate_bps"], -1)
    yield broken(["download", "status"], "failed")
    yield broken(["download", "tcp", "streams", 0, "extra"], 1)
    yield broken(["latency", "idle", "lost"], None)
    yield broken(["latency", "idle", "reason"], "x")
    yield broken(["responsiveness", "download", "confidence"], "some")
    yield broken(["responsiveness", "download", "foreign", "done_ns"], None)
    yield broken(["responsiveness", "download", "completed"], None)
    yield broken(["responsiveness", "upload"], None)
    yield broken(["link", "local_address"], "10.20.30.40")
    yield broken(["time", "start"], "2026-11-20T04:05:06Z")
    yield broken(["site", "name"], "a\nb")
    yield broken(["validity"], None)
    yield broken(["verdict", "checks", 0, "threshold_ns"], 1)
    yield broken(["verdict", "checks", 0, "threshold_bps"], None)
    yield broken(["verdict", "checks", 0, "low"], None)
    yield broken(["site", "subscribed_download_bps"], "1")
    yield broken(["site", "subscriber"], "unstated")


def main(program, schema_path, page_path):
    with open(schema_path, encoding="utf-8") as file:
        schema = json.load(file)
    with open(page_path, encoding="utf-8") as file:
        page = file.read()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    records = [json.loads(line) for line in lines]
    problems = []

    for number, record in enumerate(records, 1):
        for error in validator.iter_errors(record):
            problems.append(f"record {number}: {error.json_path}: {error.message[:200]}")
    if {record["kind"] for record in records} != {"measurement", "failed", "skipped"}:
        problems.append("the program does not print every kind")

    for name, record in breakages(next(r for r in records if r["verdict"]["checks"])):
        if validator.is_valid(record):
            problems.append(f"the schema accepts a record with {name}")

    known = set()
    for name, description in properties(schema):
        known.add(name)
        if not description:
            problems.append(f"the schema does not describe {name}")
        if f"`{name}`" not in page:
            problems.append(f"{page_path} does not mention `{name}`")
    for row in re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", row):
            if name not in known:
                problems.append(f"{page_path} explains `{name}`, which the schema does not have")

    print("\n".join(problems) or f"{len(records)} records, {len(known)} names")
    return 1 if problems or len(known) < 50 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
