# SPDX-License-Identifier: Apache-2.0
"""estimate.py PROGRAM: what agent/assess/estimate.c computes, once more with NumPy and SciPy, and by the words of
docs/methodology.md."""
import json
import math
import subprocess
import sys

import numpy
from scipy import stats


def half_up(x):
    return math.floor(x + 0.5)


def hall(t, n, skewness):
    root = math.sqrt(n)
    return 3 / skewness * (numpy.cbrt(1 + skewness * (t / root - skewness / (6 * n))) - 1)


def median_limits(x):
    n = len(x)
    rank = max(r for r in range(1, n // 2 + 1) if stats.binom.cdf(r - 1, n, 0.5) <= 0.05)
    outer, inner = (1 - 2 * stats.binom.cdf(r - 1, n, 0.5) for r in (rank, rank + 1))
    part = (outer - 0.9) / (outer - inner)
    weight = (n - rank) * part / (rank + (n - 2 * rank) * part)
    low = x[rank - 1] + weight * (x[rank] - x[rank - 1])
    high = x[n - rank] - weight * (x[n - rank] - x[n - rank - 1])
    return low, high


def check_samples(row):
    x = numpy.sort(numpy.array(row["values"], dtype=float))
    n = len(x)
    want = {"mean": half_up(sum(row["values"]) / n), "median": half_up(numpy.median(x)),
            "p5": numpy.percentile(x, 5, method="inverted_cdf"),
            "p95": numpy.percentile(x, 95, method="inverted_cdf")}
    found = [f"{key}: {row[key]}, not {value}" for key, value in want.items() if row[key] != value]
    near = {"sd": x.std(ddof=1) if n > 1 else 0}
    if n >= 200:
        t, sd, skewness = stats.t.ppf(0.95, n - 1), x.std(ddof=1), stats.skew(x, bias=False)
        near["mean_low"] = max(0, x.mean() - hall(t, n, skewness) * sd)
        near["mean_high"] = x.mean() - hall(-t, n, skewness) * sd
    if n >= 5:
        near["median_low"], near["median_high"] = median_limits(x)
    for key in ("mean_low", "median_low"):
        if (key in row) != (key in near):
            found.append(f"{key}: is {'there' if key in row else 'missing'} with {n} samples")
    # Rounded outwards by at most one, and Student's t is a series to 1e-8.
    found += [f"{key}: {row[key]}, not {value}" for key, value in near.items()
              if key in row and abs(row[key] - value) > 1 + 1e-6 * abs(value)]
    return found


def check_share(row):
    good, count = row["good"], row["count"]
    low = stats.beta.ppf(0.05, good, count - good + 1) if good > 0 else 0
    high = stats.beta.ppf(0.95, good + 1, count - good) if good < count else 1
    want = {"low": math.floor(low * 1e6), "high": math.ceil(high * 1e6)}
    return [f"{good} of {count}: {key} {row[key]}, not {value}" for key, value in want.items()
            if row[key] != value and abs(row[key] - {"low": low, "high": high}[key] * 1e6) > 1.0001]


def main(program):
    lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    found = []
    for line in lines:
        row = json.loads(line)
        found += check_samples(row) if "values" in row else check_share(row)
    print("\n".join(found) or f"{len(lines)} sets of samples and shares agree with SciPy")
    return 1 if found or len(lines) < 100 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
