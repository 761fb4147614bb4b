#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mean completion time against the worst wait, as ageing varies, with real jobs on one pool: with exact durations, with
durations that are predicted online from the trace alone, and with the same guess for each; then with jobs that can be
stopped for shorter ones, at what writing and reading a checkpoint costs. Run by script/bench."""
import pathlib
import sys
import tempfile

import harness

AGEING = (0, 1000, 10000, 30000, 100000, 300000, 1000000, 3000000, 10000000)
DURATIONS = ('exact', 'predicted', 'none')
# Strict orders by others on venus92, and the time with no waiting at all: mean JCT s, worst wait s.
KNOWN = {'least duration first, strict': (10231, 111000), 'least chip-seconds first, strict': (9605, 293000),
         'shortest remaining first, with preemption': (8871, None), 'no waiting': (8492, 0)}
# A month, and half a year of the same cluster on the nodes that make it wait as much. Neither names users: history is by size.
CASES = {'venus92': ('golden/venus92.jobs.csv.zst', 92), 'helios_venus': ('workloads/helios_venus_gpu_jobs.csv.zst', 90)}


# What a stop costs; the least that can be said is 1 ms.
CHECKPOINTS = ('0s', '1m', '5m')
AGEING_STOPPED = (10000, 30000, 100000)


def simulate(case, durations, ageing, folder, checkpoint=None):
    trace, nodes = CASES[case]
    pools = folder / f'{case}.nodes.csv'
    pools.write_text(f'all,{nodes}\n', encoding='utf-8')
    more = ['--traits', f'interruptible=100,checkpoint={checkpoint}', '--preempt', 'shorter'] if checkpoint else []
    return harness.simulate('--trace', harness.DATA / trace, '--pools', pools, '--ageing', ageing, '--durations', durations, *more)


def show(case, durations, runs):
    print(f'\n{case}, {CASES[case][1]} nodes of 8, durations {durations}')
    print(f"{'ageing':>10} {'mean JCT s':>12} {'mean wait s':>12} {'p99 wait s':>11} {'worst wait s':>13} {'CPU s':>6}")
    for a, r in runs.items():
        print(f"{a:>10} {r['avg_jct_s']:>12.0f} {r['avg_queue_s']:>12.0f} {r['queue_p99_s']:>11.0f} {r['queue_max_s']:>13.0f} "
              f"{r['cpu_s']:>6.2f}")


def main():
    args = harness.options('pareto', __doc__).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        runs = {c: {d: {a: simulate(c, d, a, folder) for a in AGEING} for d in DURATIONS} for c in CASES}
        stopped = {(a, c): simulate('venus92', 'exact', a, folder, c) for c in CHECKPOINTS for a in AGEING_STOPPED}
    for case, by_durations in runs.items():
        for durations, by_ageing in by_durations.items():
            show(case, durations, by_ageing)
            if (case, durations) != ('venus92', 'exact'):
                continue
            for known, (jct, worst) in KNOWN.items():
                print(f"{'':>10} {jct:>12} {'':>12} {'':>11} {worst if worst is not None else '':>13}        {known}")
            hit = [a for a, r in by_ageing.items() if r['avg_jct_s'] <= 9900 and r['queue_max_s'] <= 200000]
            print(f"{'hit' if hit else 'missed'}: a mean of at most 9,900 s with no wait above 200,000 s, at ageing {hit}")
    print(f"\nvenus92, all jobs can be stopped for shorter ones; the cost is counted\n{'ageing':>10} {'checkpoint':>10} "
          f"{'mean JCT s':>12} {'mean wait s':>12} {'worst wait s':>13} {'stops':>6} {'CPU s':>6}")
    for (a, c), r in stopped.items():
        print(f"{a:>10} {c:>10} {r['avg_jct_s']:>12.0f} {r['avg_queue_s']:>12.0f} {r['queue_max_s']:>13.0f} {r['stops']:>6} "
              f"{r['cpu_s']:>6.2f}")
    seen = [*(r for c in runs.values() for d in c.values() for r in d.values()), *stopped.values()]
    harness.write_json(args.json, runs | {f'{a}, checkpoint {c}': r for (a, c), r in stopped.items()})
    return harness.status_of(seen)


if not harness.DATA.exists():
    sys.exit(f'{harness.DATA} is not there: set BUSBAR_TESTDATA')
sys.exit(main())
