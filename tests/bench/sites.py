#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs that may go to any site against jobs that are tied to their own: the ten clusters of ms_itp, the same jobs on the same
nodes. Run by script/bench.

How large the clusters were is not published with the trace. Here each has as many nodes of 8 as its demand needed for some
percentile of the time, had every job begun when it was submitted, and at least those of its largest gang.
"""
import collections
import csv
import pathlib
import shutil
import subprocess
import sys
import tempfile

import harness

TRACE = harness.DATA / 'workloads' / 'ms_itp_10clusters.csv.zst'
PERCENTILES = (75, 90, 95)
NODE = 8


def jobs():
    text = subprocess.run(['zstd', '-dcq', TRACE], capture_output=True, text=True, check=True).stdout
    by = collections.defaultdict(list)
    for row in csv.DictReader(text.splitlines()):
        by[row['cluster']].append((float(row['submit_s']), float(row['duration_s']), int(row['gpus'])))
    return by


def demand_at(rows, percentile, first, last):
    """Chips in use at once that are exceeded no more than (100 - percentile) % of the time."""
    changes = sorted([(s, g) for s, d, g in rows] + [(s + d, -g) for s, d, g in rows])
    spent, used, since = collections.Counter(), 0, first
    for at, chips in changes:
        at = min(max(at, first), last)
        spent[used] += at - since
        used, since = used + chips, at
    seen = 0
    for chips in sorted(spent):
        seen += spent[chips]
        if seen >= (last - first) * percentile / 100:
            return chips
    return max(spent)


def pools(by, percentile):
    first, last = min(r[0] for rows in by.values() for r in rows), max(r[0] for rows in by.values() for r in rows)
    sizes = {}
    for cluster, rows in by.items():
        chips = max(demand_at(rows, percentile, first, last), max(g for _, _, g in rows))
        sizes[cluster] = -(-chips // NODE)
    return sizes


def simulate(path, durations, free):
    return harness.simulate('--trace', TRACE, '--pools', path, '--durations', durations, '--tenants', 'vc',
                            *(['--free'] if free else []))


def main():
    args = harness.options('sites', __doc__).parse_args()
    if not shutil.which('zstd'):
        sys.exit('zstd is not installed')
    by, runs = jobs(), {}
    with tempfile.TemporaryDirectory() as name:
        for percentile in PERCENTILES:
            sizes = pools(by, percentile)
            path = pathlib.Path(name) / 'nodes.csv'
            path.write_text(''.join(f'{c},{n}\n' for c, n in sizes.items()), encoding='utf-8')
            print(f"\nnodes for demand {percentile} % of the time: {sum(sizes.values())} ("
                  + ', '.join(f'{c}: {n}' for c, n in sorted(sizes.items(), key=lambda s: int(s[0]))) + ')')
            print(f"{'durations':>10} {'jobs':>6} {'mean JCT s':>11} {'mean wait s':>12} {'p50':>8} {'p99 wait s':>11} {'worst wait s':>13} "
                  f"{'busy %':>7} {'CPU s':>6}")
            for durations in ('exact', 'predicted'):
                for free in (False, True):
                    r = simulate(path, durations, free)
                    runs[f'{percentile} {durations} {"free" if free else "tied"}'] = r
                    print(f"{durations:>10} {'free' if free else 'tied':>6} {r['avg_jct_s']:>11.0f} {r['avg_queue_s']:>12.0f} "
                          f"{r['queue_p50_s']:>8.0f} {r['queue_p99_s']:>11.0f} {r['queue_max_s']:>13.0f} "
                          f"{100 * r['utilisation']:>7.1f} {r['cpu_s']:>6.2f}", flush=True)
    harness.write_json(args.json, runs)
    return harness.status_of(runs.values())


if not TRACE.exists():
    sys.exit(f'{TRACE} is not there: set BUSBAR_TESTDATA')
sys.exit(main())
