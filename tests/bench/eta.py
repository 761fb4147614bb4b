#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How often waiting jobs of real traces start within the 80 % interval that they were told. Run by script/bench."""
import sys

import harness

DATA = harness.DATA / 'golden'
# Of philly hardly more than that many wait at all.
CASES = {'venus92': 1000, 'philly': 500}


def simulate(case, durations, asks):
    return harness.simulate('--trace', DATA / f'{case}.jobs.csv.zst', '--pools', DATA / f'{case}.nodes.csv', '--tenants', 'vc',
                            '--durations', durations, '--eta', asks)


def main():
    parser = harness.options('eta', __doc__)
    parser.add_argument('--quick', action='store_true', help='fewer jobs')
    args = parser.parse_args()
    runs = {f'{c} {d}': simulate(c, d, 100 if args.quick else asks) for c, asks in CASES.items() for d in ('exact', 'predicted')}
    print(f"{'':<18} {'asked':>6} {'covered %':>10} {'runs alone %':>13} {'before':>7} {'after':>6} {'width p50 s':>12} {'p90 s':>9} "
          f"{'wait p50 s':>11} {'off by s':>9} {'CPU ms':>7} {'at once %':>10} {'all %':>6}")
    missed = []
    for name, run in runs.items():
        e = run['eta']
        once = e['at_once'] / e['drawn']
        print(f"{name:<18} {e['asked']:>6} {100 * e['coverage']:>10.1f} {100 * e['coverage_raw']:>13.1f} {e['below']:>7} {e['above']:>6} "
              f"{e['width_p50_s']:>12.0f} {e['width_p90_s']:>9.0f} {e['wait_p50_s']:>11.0f} {e['error_p50_s']:>9.0f} "
              f"{e['cpu_ms_each']:>7.0f} {100 * once:>10.1f} {100 * (once + (1 - once) * e['coverage']):>6.1f}")
        if not 0.75 <= e['coverage'] <= 0.85:
            missed.append(name)
    print('missed: ' + ', '.join(missed) if missed else 'hit: each 80 % interval covers 75 to 85 % of the starts of jobs that waited')
    harness.write_json(args.json, runs)
    return harness.status_of(runs.values())


if not DATA.exists():
    sys.exit(f'{DATA} is not there: set BUSBAR_TESTDATA')
sys.exit(main())
