#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Computes the figures of download, upload and latency again, from nothing but docs/methodology.md and the series.

    recompute.py RECORD…      records as `dokiem run --format json` or `dokiem show --format json` prints them
    recompute.py --lines      tests: JSON lines of series and figures, from the program tests/golden/series

Says what differs; the exit status is 0 only when everything was found again and there was something to find.
"""
import json
import math
import subprocess
import sys

T_975 = {3: 3.182446305, 4: 2.776445105, 5: 2.570581836, 6: 2.446911851, 7: 2.364624252, 8: 2.306004135,
         9: 2.262157163, 10: 2.228138852, 11: 2.200985160, 12: 2.178812830, 13: 2.160368656, 14: 2.144786688,
         15: 2.131449546, 16: 2.119905299, 17: 2.109815578, 18: 2.100922040, 19: 2.093024054}


def rate(total, time_ns):
    """Bits a second, half up."""
    return (2 * 8 * 10**9 * total + time_ns) // (2 * time_ns)


def median(values):
    values = sorted(values)
    return (values[(len(values) - 1) // 2] + values[len(values) // 2] + 1) // 2


def groups_of(series, start, width):
    return [sum(series[start + g * width:start + (g + 1) * width]) for g in range((len(series) - start) // width)]


def split(groups, first_min, last_min):
    """(j, e) of the two levels that explain most; None when there are too few groups."""
    count = len(groups)
    if count < first_min + last_min:
        return None
    squares = 0.0
    for group in groups:
        squares += float(group) * float(group)
    total = sum(groups)
    around = squares - float(total) * float(total) / count
    most, best = -1.0, None
    for j in range(first_min, count - last_min + 1):
        before = sum(groups[:j])
        difference = float(before) / j - float(total - before) / (count - j)
        between = difference * difference * j * (count - j) / count
        if between > most:
            most, best = between, j
    return best, most / around if around > squares * 1e-12 else 0.0


def joined(interval_ns, joined_ns):
    """Until the streams that joined last have found their rate."""
    return -(-joined_ns // interval_ns) + 2 * max(1, 250_000_000 // interval_ns) if joined_ns else 0


def settled(series, interval_ns, joined_ns=0):
    count = len(series)
    width = max(1, 250_000_000 // interval_ns)
    half = count // 2
    if width > half:
        return half
    sums = {i: sum(series[i - width + 1:i + 1]) for i in range(width - 1, count)}
    level = median(sums[i] for i in range(max(width - 1, count - half), count))
    return next((i for i in range(max(width - 1, joined(interval_ns, joined_ns)), half) if 10 * sums[i] >= 9 * level),
                half)


def ramp_up(series, interval_ns, joined_ns=0):
    count, half = len(series), len(series) // 2
    width = max(1, 250_000_000 // interval_ns)
    start = max(settled(series, interval_ns, joined_ns), -(-count // 5))
    if start >= half:
        return half
    groups = groups_of(series, start, width)
    found = split(groups, 1, 2)
    if found is not None:
        j, explained = found
        falls = float(sum(groups[:j])) * (len(groups) - j) * 10 >= float(sum(groups[j:])) * j * 11
        if explained >= 0.8 and falls and start + (j + 1) * width <= half:
            return start + (j + 1) * width
    return start


def is_lumpy(steady):
    mean, squares, products, before = float(sum(steady)) / len(steady), 0.0, 0.0, 0.0
    for value in steady:
        deviation = float(value) - mean
        squares += deviation * deviation
        products += deviation * before
        before = deviation
    return products < -2.0 / math.sqrt(len(steady)) * squares


def half_width(steady, interval_ns, more=0.0):
    count = len(steady)
    batches = min(20, count)
    rates = []
    for j in range(batches):
        first, last = j * count // batches, (j + 1) * count // batches
        rates.append(float(sum(steady[first:last])) * 8e9 / (float(last - first) * float(interval_ns)))
    mean = 0.0
    for value in rates:
        mean += value
    mean /= batches
    q = p = 0.0
    for j, value in enumerate(rates):
        q += (value - mean) * (value - mean)
        if j > 0:
            p += (value - mean) * (rates[j - 1] - mean)
    if q <= 0:
        return 0
    c = p / q
    c = min(0.9, c + ((1 + 4 * c) / batches + more / math.sqrt(batches)))
    f = max((1 + c) / (1 - c), 0.25 if is_lumpy(steady) else 1.0)
    freedom = min(max(3, int((batches - 1) / f)), batches - 1)
    return math.ceil(T_975[freedom] * math.sqrt(q / (batches - 1) / batches * f))


def figures(series, interval_ns, joined_ns=0):
    """All figures of the bytes of all streams in each interval; without a steady rate those of the whole only."""
    start, count = ramp_up(series, interval_ns, joined_ns), len(series)
    steady = series[start:]
    out = {"bytes": sum(series), "duration_ns": count * interval_ns, "ramp_up_ns": start * interval_ns,
           "rate_whole_bps": rate(sum(series), count * interval_ns)}
    if len(steady) < 8:
        return out
    value, half = rate(sum(steady), len(steady) * interval_ns), half_width(steady, interval_ns)
    out |= {"rate_bps": value, "rate_low_bps": max(0, value - half), "rate_high_bps": value + half}

    width = max(1, 250_000_000 // interval_ns)
    groups = groups_of(steady, len(steady) % width, width)
    least = max(1, len(groups) // 8)
    found, changes, levels = split(groups, least, least), False, (value, value)
    if found is not None:
        j, explained = found
        levels = (rate(sum(groups[:j]), j * width * interval_ns),
                  rate(sum(groups[j:]), (len(groups) - j) * width * interval_ns))
        changes = explained >= 0.5 and abs(levels[0] - levels[1]) >= value // 20
    unsteady = changes or half > value // 10 or value == 0
    before = rate(sum(series[:start]), start * interval_ns) if start > 0 else 0
    times = 2 if unsteady else 1
    low, high = out["rate_low_bps"], out["rate_high_bps"]
    if unsteady:
        low, high = min(low, *levels, out["rate_whole_bps"]), max(high, *levels, out["rate_whole_bps"])
    settled_ns = settled(series, interval_ns, joined_ns) * interval_ns
    return out | {"unsteady": unsteady, "cautious_bps": half_width(steady, interval_ns, 1.0),
                  "burst": before > out["rate_high_bps"] and before - value >= value // 20,
                  "brief": out["duration_ns"] - settled_ns < times * 2_200_000_000 and
                  out["bytes"] < times * 30_000_000,
                  "range_low_bps": low, "range_high_bps": high}


def is_precise(series, interval_ns, ppm, joined_ns=0):
    step = max(1, 250_000_000 // interval_ns)
    if (len(series) - settled(series, interval_ns, joined_ns)) * interval_ns < 2_200_000_000:
        return False
    for look in range(3):
        seen = series[:len(series) - look * step]
        now = figures(seen, interval_ns, joined_ns) if len(seen) > step else {}
        if "rate_bps" not in now or now["unsteady"]:
            return False
        if now["cautious_bps"] > now["rate_bps"] // 1000 * ppm // 1000:
            return False
    return True


def is_decided(series, interval_ns, duration_ns, thresholds, joined_ns=0):
    now = figures(series, interval_ns, joined_ns)
    if "rate_bps" not in now or now["brief"]:
        return False
    low, high, value = now["range_low_bps"], now["range_high_bps"], now["rate_bps"]
    calm = not now["unsteady"] and now["rate_high_bps"] - value <= value // 25
    s = now["duration_ns"] // (duration_ns // 1000)
    for t, whole in thresholds:
        outlasts = any(sum(series[i:]) >= 10**7 and
                       rate(sum(series[i:]) - 10**7, (len(series) - i) * interval_ns) >= t
                       for i in range(len(series)))
        rest = low * (13 * s + 7 * (1000 - s)) >= t * 13 * 1000 if calm \
            else rate(now["bytes"], duration_ns) // 11 >= t // 10
        above = low >= t and outlasts and rest and (not whole or now["rate_whole_bps"] - (value - low) >= t)
        below = calm and not now["burst"] and high * (7 * s + 13 * (1000 - s)) < t * 7 * 1000
        if not above and not below:
            return False
    return True


def stop(series, interval_ns, rule, joined_ns=0):
    """How many intervals the rule waits for, and why it stops."""
    for count in range(1, len(series)):
        time_ns, seen = count * interval_ns, series[:count]
        if joined(interval_ns, joined_ns) > count // 2:
            continue
        if rule["stop"] == "verdict" and rule["thresholds"]:
            if time_ns >= 10**9 and is_decided(seen, interval_ns, rule["duration_ns"], rule["thresholds"],
                                                 joined_ns):
                return count, "verdict"
        elif is_precise(seen, interval_ns, rule["precision_ppm"], joined_ns):
            return count, "precise"
    return len(series), "time"


def latency(series):
    """All figures of the round trips in the order of sending, -1 for a lost one."""
    came = sorted(rtt for rtt in series if rtt >= 0)
    quantile = lambda percent: came[-(-percent * len(came) // 100) - 1]
    steps = [abs(b - a) for a, b in zip(series, series[1:]) if min(a, b) >= 0]
    out = {"sent": len(series), "received": len(came), "lost": len(series) - len(came)}
    if came:
        out |= {"rtt_min_ns": came[0], "rtt_median_ns": median(came), "rtt_p95_ns": quantile(95),
                "rtt_p99_ns": quantile(99), "rtt_max_ns": came[-1], "pdv_p95_ns": quantile(95) - came[0]}
    if steps:
        out["ipdv_mean_ns"] = (2 * sum(steps) + len(steps)) // (2 * len(steps))
    return out


def is_stable(values):
    """Whether the standard deviation of four values is below 5 % of the last."""
    if len(values) < 4 or values[-1] <= 0 or min(values) < 0 or max(values) // 100 > values[-1]:
        return False
    parts = [10_000 * value // values[-1] for value in values]
    return 10_000 * (4 * sum(p * p for p in parts) - sum(parts) ** 2) < 25 * 16 * 10 ** 8


def responsiveness(figure, series):
    """The figures of a responsiveness from its samples and the series of the load."""
    half_up = lambda a, b: (2 * a + b) // (2 * b)
    second = 10 ** 9
    total = [sum(column) for column in zip(*series["bytes"])]
    each = second // series["interval_ns"]
    goodput = [sum(total[i * each:(i + 1) * each]) for i in range(len(total) // each)]
    average = [sum(goodput[max(0, i - 3):i + 1]) // min(4, i + 1) for i in range(len(goodput))]
    first = next((i for i in range(3, len(goodput)) if is_stable(average[i - 3:i + 1])), len(goodput))
    foreign, own = figure["foreign"], figure["self"]

    def trimmed(values):
        kept = sorted(values)[:-(-95 * len(values) // 100)]
        return half_up(sum(kept), len(kept)) if kept else None

    def at(i):
        within = lambda time_ns: (i - 3) * second <= time_ns < (i + 1) * second
        out = {key: trimmed([value for done, value in zip(foreign["done_ns"], foreign[key])
                             if within(done) and value >= 0])
               for key in ("tcp_ns", "tls_ns", "http_ns") if key in foreign}
        out["self_ns"] = trimmed([value for k, value in enumerate(own["rtt_ns"])
                                  if within(k * own["interval_ns"]) and value >= 0])
        if None in (out["tcp_ns"], out["http_ns"]) or not out["self_ns"]:
            return None
        parts = [out[key] for key in ("tcp_ns", "tls_ns", "http_ns") if out.get(key) is not None]
        out["foreign_rpm"] = half_up(60 * second * len(parts), sum(parts))
        out["self_rpm"] = half_up(60 * second, out["self_ns"])
        out["rpm"] = half_up(out["foreign_rpm"] + out["self_rpm"], 2)
        return out | {"end_ns": (i + 1) * second}

    points = [at(i) for i in range(len(goodput))]
    for i in range(first + 3, len(points)):
        last = points[i - 3:i + 1]
        if None not in last and is_stable([point["rpm"] for point in last]):
            return points[i] | {"confidence": "high"}
    since = [point for point in points[first:] if point is not None]
    if since:
        return since[-1] | {"confidence": "medium" if len(since) >= 4 else "low"}
    return [point for point in points if point is not None][-1] | {"confidence": "low"}


def compare(name, expected, found):
    wrong = [f"{name}: {key} is {expected[key]}, recomputed {found.get(key)}"
             for key in expected if expected[key] != found.get(key)]
    print("\n".join(wrong), end="\n" if wrong else "")
    return not wrong


def check_record(record, name):
    """None when there is nothing to recompute."""
    good = None
    flags = {(flag["code"], flag.get("figure")) for flag in record.get("validity", {}).get("flags", [])}
    for direction in ("download", "upload"):
        figure = record.get(direction, {})
        if figure.get("status") != "ok":
            continue
        total = [sum(column) for column in zip(*figure["series"]["bytes"])]
        found = figures(total, figure["series"]["interval_ns"], max(figure["series"].get("joined_ns", [0])))
        keys = ("bytes", "duration_ns", "ramp_up_ns", "rate_whole_bps", "rate_bps", "rate_low_bps", "rate_high_bps")
        expected = {key: figure[key] for key in keys}
        for code in ("unsteady", "burst", "brief"):
            expected[code] = (code, direction) in flags
        good = compare(f"{name}: {direction}", expected, found) and good is not False
    for phase, figure in record.get("latency", {}).items():
        if figure["status"] == "ok":
            found = latency(figure["series_ns"])
            expected = {key: figure.get(key) for key in
                        ("sent", "received", "lost", "rtt_min_ns", "rtt_median_ns", "rtt_p95_ns", "rtt_p99_ns",
                         "rtt_max_ns", "pdv_p95_ns", "ipdv_mean_ns")}
            if "loaded_minus_idle_ns" in figure:
                expected["loaded_minus_idle_ns"] = figure["loaded_minus_idle_ns"]
                found["loaded_minus_idle_ns"] = found["rtt_median_ns"] - record["latency"]["idle"]["rtt_median_ns"]
            good = compare(f"{name}: latency {phase}", expected, found) and good is not False
    for direction, figure in record.get("responsiveness", {}).items():
        if figure["status"] == "ok":
            found = responsiveness(figure, record[direction]["series"])
            keys = ("confidence", "rpm", "foreign_rpm", "self_rpm", "tcp_ns", "tls_ns", "http_ns", "self_ns", "end_ns")
            expected = {key: figure.get(key) for key in keys}
            good = compare(f"{name}: responsiveness {direction}", expected, found) and good is not False
    return good


def check_lines(lines):
    good, count = True, 0
    for number, line in enumerate(lines, 1):
        case = json.loads(line)
        found = figures(case["series"], case["interval_ns"], case["joined_ns"])
        good = compare(f"series {number}", case["figures"], found) and good
        if "rule" in case:
            count_, why = stop(case["series"], case["interval_ns"], case["rule"], case["joined_ns"])
            good = compare(f"series {number}", case["ends"], {"count": count_, "stop": why}) and good
        count += 1
    print(f"{count} series")
    return good and count > 0


def main(arguments):
    if arguments[:1] == ["--lines"]:
        program = subprocess.run(arguments[1:], check=True, capture_output=True, text=True)
        print(program.stdout.splitlines()[0])  # the seed
        return 0 if check_lines(line for line in program.stdout.splitlines() if line.startswith("{")) else 1
    results = []
    for name in arguments:
        with open(name, encoding="utf-8") as file:
            results.append(check_record(json.load(file), name))
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
