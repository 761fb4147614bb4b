#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What becomes of firm work when a maker, a site or a corridor is lost, and what each scenario does: real jobs on the
illustrative network and on data/scenarios. Run by script/bench."""
import json
import os
import subprocess
import sys

import harness

DATA = harness.DATA / 'workloads'
TRACES = (f"{DATA / 'helios_venus_gpu_jobs.csv.zst'}@60,{DATA / 'philly_jobs.csv.zst'}@60,"
          f"{DATA / 'ms_itp_10clusters.csv.zst'}@15")
TRAITS = 'interruptible=50,checkpoint=5m:1h'
NETWORK = harness.ROOT / 'data' / 'network' / 'illustrative.yaml'
DRILLS = {'every NVIDIA chip': 'lose:vendor=nvidia', 'the largest site': 'lose:site=us-abilene',
          'one corridor': 'lose:corridor=cn-zhongwei-cn-beijing', 'power at twice the price': 'price*2',
          'a week without wind': 'drought:wind=0.3', '20 MW less for two hours': 'shed:site=us-abilene:20MW'}
LASTS = {'drought:wind=0.3': '+7d', 'shed:site=us-abilene:20MW': '+2h'}
# copies of the traces that make each scenario about as full as the illustrative network
SCENARIOS = {'xinjiang-40': 50, 'export-ban': 50, 'spare-tire-2028': 40, 'gulf-cluster': 50, 'argentina': 50, 'data-island': 2,
             'weak-link': 2}


def simulate(network, copies, *more):
    traits = TRAITS + (',data=20:20GB' if 'lose:corridor' in str(more) else '')
    return harness.simulate('--network', network, '--trace', TRACES, '--copies', copies, '--traits', traits, *more)


def after(seconds, stopped):
    return '' if stopped == 0 else 'not' if seconds is None else f'{seconds:,.0f} s'


def goals(network):
    """What the scenario's own dates say of self-supply; it needs no jobs."""
    done = subprocess.run([os.environ['BUSBAR_BIN'], 'sim', '--json', '--network', network], capture_output=True, text=True,
                          check=False)
    found = json.loads(done.stdout)['self_supply']['goals'] if done.returncode == 0 else []
    return '; '.join(f"{g['jurisdiction'] or 'network'} {'met in ' + g['met_at'][:7] if g['met'] else 'not met'}" for g in found)


def row(what, r):
    firm, soft, c = r['drill']['firm'], r['drill']['interruptible'], r['contingency']
    share = 100 * firm['placed_again_chips'] / firm['stopped_chips'] if firm['stopped_chips'] else 100
    print(f"{what:<26} {firm['stopped']:>7,} {firm['stopped_chips']:>8,} {share:>7.1f} "
          f"{after(firm['most_after_s'], firm['stopped']):>10} {after(firm['last_after_s'], firm['stopped']):>10} {firm['waits']:>6,} "
          f"{soft['stopped']:>8,} {soft['waits']:>7,} {c['alarms']:>7} "
          f"{c['uncovered_h']:>7.1f} {r['violations']:>5} {r['cpu_s']:>6.1f}")


def main():
    parser = harness.options('drills', __doc__)
    parser.add_argument('--quick', action='store_true')
    args = parser.parse_args()
    copies, days, at = (30, 3, '2d') if args.quick else (50, 8, '6d')
    runs = {}
    head = (f"{'lost':<26} {'firm':>7} {'chips':>8} {'again %':>7} {'95 % after':>10} {'last after':>10} {'waits':>6} "
            f"{'interr.':>8} {'waits':>7} {'alarms':>7} {'uncov h':>7} {'viol.':>5} {'CPU s':>6}")
    print(f'{days} days of three traces, {copies} copies; the drill on day {at}; {TRAITS}\n{head}')
    for reserve in ('tell', 'keep'):
        for what, drill in DRILLS.items():
            if reserve == 'keep' and not drill.startswith('lose'):
                continue
            r = simulate(NETWORK, copies, '--days', days, '--until', days, '--reserve', reserve, '--drill',
                         f'{drill}@{at}{LASTS.get(drill, "")}')
            runs[f'{what}, {reserve}'] = r
            row(f'{what}' + (' *' if reserve == 'keep' else ''), r)
    print('* chips are kept for the worst loss (--reserve keep)\n')
    print(f"{'scenario':<18} {'jobs':>9} {'not over':>8} {'mean wait s':>11} {'stops':>7} {'alarms':>6} {'uncov h':>8} "
          f"{'viol.':>5} {'CPU s':>6}  self-supply")
    for name, n in SCENARIOS.items():
        path = harness.ROOT / 'data' / 'scenarios' / f'{name}.yaml'
        r = simulate(path, max(1, n // (5 if args.quick else 1)), '--days', days, '--until', days + 5)
        runs[name] = r
        c = r['contingency']
        print(f"{name:<18} {r['jobs']:>9,} {r['unfinished']:>8,} {r['avg_queue_s']:>11,.0f} {r['stops']:>7,} {c['alarms']:>6} "
              f"{c['uncovered_h']:>8.1f} {r['violations']:>5} {r['cpu_s']:>6.1f}  {goals(path)}")
    harness.write_json(args.json, runs)
    return harness.status_of(runs.values())


if not DATA.exists():
    sys.exit(f'{DATA} is not there: set BUSBAR_TESTDATA')
sys.exit(main())
