#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Policies of the dispatcher against the results of peer simulators: equal to every digit that those printed.

fifo and sjf: HeliosArtifact's simulator; easy: CQSim, with fungible chips. expected.csv names the peers.
"""
import csv
import decimal
import json
import os
import pathlib
import subprocess
import sys

DATA = pathlib.Path(os.environ.get('BUSBAR_TESTDATA') or pathlib.Path(__file__).resolve().parents[3] / 'shared' / 'data')
GOLDEN = DATA / 'golden'
BIN = os.environ.get('BUSBAR_GOLDEN_BIN') or os.environ['BUSBAR_BIN']
POLICIES = {'fifo': ('fifo', '8'), 'sjf': ('sjf', '8'), 'easy_exact': ('easy', '1')}


def trace_of(case):
    plain = GOLDEN / f'{case}.jobs.csv'
    return plain if plain.exists() else GOLDEN / f'{case}.jobs.csv.zst'


def simulate(case, policy, chips):
    done = subprocess.run([BIN, 'sim', '--json', '--trace', trace_of(case), '--pools', GOLDEN / f'{case}.nodes.csv',
                           '--policy', policy, '--chips-per-node', chips], capture_output=True, text=True, timeout=300,
                          check=False)
    if done.returncode != 0:
        raise AssertionError(f'exit status {done.returncode}: {done.stderr}')
    return json.loads(done.stdout, parse_float=decimal.Decimal)


def same(found, printed):
    """Rounded to as many digits as the peer printed."""
    expected = decimal.Decimal(printed)
    return found.quantize(expected, decimal.ROUND_HALF_UP) == expected


def main():
    rows = list(csv.DictReader(open(GOLDEN / 'expected.csv', encoding='utf-8')))
    rows = [r for r in rows if r['policy'] in POLICIES]
    failed = 0
    for i, r in enumerate(rows, 1):
        name = f"{r['case']} {r['policy']}"
        try:
            got = simulate(r['case'], *POLICIES[r['policy']])
            ok = (got['jobs'] == int(r['jobs']) and got['unfinished'] == 0 and
                  same(got['avg_jct_s'], r['avg_jct_s']) and same(got['avg_queue_s'], r['avg_queue_s']))
            notes = [f"JCT {got['avg_jct_s']}, {r['peer']} {r['avg_jct_s']}; queue {got['avg_queue_s']}, {r['avg_queue_s']}",
                     f"CPU {got['cpu_s']} s, wall {got['wall_s']} s, {got['max_rss_kb']} kB; "
                     f"{r['peer']} wall {r['peer_wall_s']} s, {r['peer_maxrss_kb']} kB"]
        except AssertionError as e:
            ok, notes = False, [str(e)]
        failed += not ok
        print(f"{'ok' if ok else 'not ok'} {i} - {name}")
        for note in notes:
            print('# ' + note.replace('\n', '\n# '))
    print(f'1..{len(rows)}')
    return 1 if failed else 0


if not (GOLDEN / 'expected.csv').exists():
    print(f'1..0 # SKIP NO GOLDEN RESULTS: {GOLDEN} is not there (BUSBAR_TESTDATA)')
    sys.exit(0)
sys.exit(main())
