"""The population: deterministic (PCG64, one stream a column, so that a column does not depend on the others).

Profiles 1..n, in the order in which they registered:
  gender 1..3, tier 1..5, rfm 1..11, city 1..300 (Zipf), interest 1..100 (Zipf), age 0..100,
  ltv in cents (lognormal, 30 % zero), b00..b19 with the densities of DENSITY in percent.
Events of one category over 90 days, 0.7 a profile; who is active is Zipf-like and independent of the number:
  kind 1 (view, 85 %) or 2 (purchase), day 0..89, second of the day.
"""

import numpy as np

DENSITY = (0.01, 0.03, 0.1, 0.2, 0.5, 1, 2, 3, 5, 7, 10, 13, 17, 20, 25, 30, 37, 45, 52, 60)
TAGS = tuple(f"b{i:02d}" for i in range(20))
DAYS = 90


def stream(seed, name):
    return np.random.Generator(np.random.PCG64([seed, *name.encode()]))


def zipf(rng, values, exponent, n):
    """n values 1..values with probability proportional to rank^-exponent."""
    weight = 1.0 / np.arange(1, values + 1) ** exponent
    return (np.searchsorted(np.cumsum(weight / weight.sum()), rng.random(n)) + 1).clip(1, values)


def profiles(n, seed=42):
    """Columns by name, each an array of n small integers; booleans as 0 and 1."""
    out = {"id": np.arange(1, n + 1, dtype=np.uint32)}

    def column(name, make, dtype):
        out[name] = make(stream(seed, name)).astype(dtype)

    column("gender", lambda r: np.searchsorted([0.47, 0.95], r.random(n), side="right") + 1, np.uint8)
    column("tier", lambda r: np.searchsorted([0.18, 0.40, 0.65, 0.85], r.random(n), side="right") + 1, np.uint8)
    column("rfm", lambda r: r.integers(1, 12, n), np.uint8)
    column("city", lambda r: zipf(r, 300, 1.0, n), np.uint16)
    column("interest", lambda r: zipf(r, 100, 0.8, n), np.uint8)
    column("age", lambda r: r.normal(38, 14, n).clip(0, 100), np.uint8)
    column("ltv", lambda r: np.where(r.random(n) < 0.3, 0, r.lognormal(10.5, 1.4, n).clip(1, 90_000_000)), np.int64)
    for tag, density in zip(TAGS, DENSITY):
        column(tag, lambda r, density=density: r.random(n) < density / 100, np.uint8)
    return out


def events(n, seed=42, days=DAYS):
    """id, kind, day and second of each event, in the order of time."""
    rng = stream(seed, "events")
    count = n * 7 // 10
    # A few are very active: rank r has weight 1 / sqrt(r); ranks are dealt out at random.
    rank = np.minimum((rng.random(count) ** 2 * n).astype(np.int64), n - 1)
    who = rng.permutation(n).astype(np.uint32)[rank] + 1
    moment = np.sort(rng.integers(0, days * 86400, count))
    return {
        "id": who,
        "kind": np.where(rng.random(count) < 0.85, 1, 2).astype(np.uint8),
        "day": (moment // 86400).astype(np.uint8),
        "second": (moment % 86400).astype(np.uint32),
    }


def sample(n, seed=42):
    """10,000 different profile numbers (or a tenth of all)."""
    return np.sort(stream(seed, "sample").choice(n, min(10_000, n // 10), replace=False).astype(np.int64) + 1)
