# SPDX-License-Identifier: Apache-2.0
"""Planning work that can wait over sites and hours, on real carbon and prices. Run by script/bench.

Every policy has the same sites, load and year; what differs is what a plan may use and what it knows. docs/energy.md says
how it is measured and what came out.
"""
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from harness import DATA, ROOT, Failed, options, print_rows, say, write_json

sys.path.insert(0, str(ROOT / 'tests' / 'golden'))
import energy_dispatch  # noqa: E402
import glpk  # noqa: E402

SERIES = ('carbon_intensity_2022_utc.csv.zst', 'price_2022_utc_usd_mwh.csv.zst')

# name: which sites, what a plan makes least, what an hour of waiting costs a kWh in the policy of that name (nano-USD)
CARBON, MONEY = {'carbon': 1, 'power': 0}, {'carbon': 0, 'power': 1, 'priced': 1}
GROUPS = {
    'carbon, 14 sites': ('', CARBON, 1000),
    'carbon, Europe 8': ('se- no- fi- de- fr- es- pt- gb-', CARBON, 1000),
    'carbon, US 5': ('us-', CARBON, 1000),
    'price, 8 sites': ('', MONEY, 1000000),
    'price + 100 USD/t, 8 sites': ('', {**MONEY, 'carbon': 100}, 1000000),
}
NOW = {'window': 1, 'ahead': 0}
POLICIES = {
    'static rank': {**NOW, 'foresight': 2},
    'fast loop alone': NOW,
    'waits at home': {'home': True},
    'greedy merit order': {'greedy': 1},
    'slow loop': {},
    'slow loop, waiting costs': {'delay': True},
    'slow loop, 47 h foreseen': {'foresight': 1},
    'perfect foresight, 96 h': {'foresight': 1, 'ahead': 72},
}
WITHIN = 0.02


def sites(prefixes):
    """Lines for energy_plan: sites of the illustrative network; those without a series are dropped there."""
    with open(DATA / 'network' / 'sites.csv', encoding='utf-8') as file:
        for row in csv.DictReader(file):
            if not prefixes or row['id'].startswith(tuple(prefixes.split())):
                pue = float(row['pue'])
                yield ' '.join((row['id'], str(round(float(row['mw']) / pue * 1000)), str(round(pue * 1000)),
                                row['ci_zone'] or '-', row['price_zone'] or '-'))


def plan(program, lines, options, folder):
    words = [f'{name}={value}' for name, value in options.items()]
    done = subprocess.run([program, *(DATA / 'energy' / name for name in SERIES), *words], cwd=folder,
                          input='\n'.join(lines) + '\n', capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(done.stderr.strip())
    return json.loads(done.stdout)


def waits_at_home(program, lines, options, folder, kept):
    """Each site plans alone; the sum."""
    total = None
    for line in lines:
        if line.split()[0] not in kept:
            continue
        one = plan(program, [line], options, folder)
        for bill in ('fixed', 'home', 'plan'):
            for unit, value in one[bill].items():
                if total:
                    total[bill][unit] += value
        total = total or one
    return total


def saving(result, unit):
    """Of everything, and of the work that can wait."""
    saved = result['home'][unit] - result['plan'][unit]
    return saved / (result['home'][unit] + result['fixed'][unit]), saved / result['home'][unit]


def against_lp(folder, written):
    """The plans that were written, against glpsol: how far apart at most."""
    worst = 0.0
    for hour, cost in written:
        problem = glpk.Problem(pathlib.Path(folder, f'plan-{hour}').read_text(encoding='ascii'))
        theirs = glpk.least_cost(problem)
        worst = max(worst, abs(cost - theirs) / max(1.0, abs(theirs)))
    return worst


def run_group(args, name, folder):
    prefixes, goal, delay = GROUPS[name]
    lines = list(sites(prefixes))
    results = {}
    for policy, extra in POLICIES.items():
        say(f'{name}: {policy}')
        options = {**goal, **extra}
        at_home = options.pop('home', False)
        if options.pop('delay', False):
            options['delay'] = delay
        if policy == 'slow loop':
            options['every'] = args.every
        if at_home:
            result = waits_at_home(args.program, lines, options, folder, next(iter(results.values()))['sites'])
        else:
            result = plan(args.program, lines, options, folder)
        results[policy] = result
        if result['written'] and glpk.SOLVER:
            say(f'{name}: {len(result["written"])} plans by glpsol')
            result['lp_plans'], result['lp_apart'] = len(result['written']), against_lp(folder, result['written'])
    return results


def table(name, results):
    first = next(iter(results.values()))
    units = [('kg', 'carbon')] + ([('usd', 'money')] if first['priced'] else [])
    print(f'{name}: {len(first["sites"])} sites')
    rows = [['saving against home', *(f'{words}, {of}' for _, words in units for of in ('all', 'waiting')), 'mean wait',
             'CPU a plan']]
    for policy, result in results.items():
        row = [policy] + [f'{share:.1%}' for unit, _ in units for share in saving(result, unit)]
        rows.append(row + [f'{result["wait_h_mean"]:.1f} h', f'{result["cpu_ms_mean"]:.2f} ms'])
    print_rows(rows)
    slow = results['slow loop']
    print(f'a plan: {slow["pivots_mean"]:.0f} pivots, at most {slow["pivots_most"]}, {slow["cpu_ms_most"]:.1f} ms; '
          f'greedy ones cost {slow["greedy_over_exact"]:.3%} more')


def value(bill, goal):
    """What plans of this group make least, in USD."""
    return goal['power'] * bill['usd'] + goal['carbon'] * bill['kg'] / 1000


def aims(name, results):
    goal = GROUPS[name][1]
    saved = {policy: 1 - value(r['plan'], goal) / value(r['home'], goal) for policy, r in results.items()}
    slow, fast, best = (saved[policy] for policy in ('slow loop', 'fast loop alone', 'perfect foresight, 96 h'))
    yield f'saves more of what it is to save than the fast loop alone: {slow:.2%}, {fast:.2%} (at best {best:.2%})', slow > fast
    result = results['slow loop']
    if 'lp_apart' in result:
        yield (f'{result["lp_plans"]} plans cost what an LP with the same forecast says, within {WITHIN:.0%}: '
               f'{result["lp_apart"]:.9%} apart at most'), result['lp_apart'] <= WITHIN


def run_dispatcher(args, name, folder):
    prefixes, goal, _ = GROUPS[name]
    paths = [DATA / 'energy' / series for series in SERIES]
    return energy_dispatch.run_group(args, list(sites(prefixes)), goal, paths, folder, lambda words: say(f'{name}: {words}'))


def table_dispatcher(name, results):
    print(name)
    energy_dispatch.table(results, 'priced' in GROUPS[name][1])


PARTS = {
    'planner': (run_group, table, aims),
    'dispatcher': (run_dispatcher, table_dispatcher, lambda name, results: energy_dispatch.aims(results)),
}


def parse():
    p = options('energy', __doc__.splitlines()[0])
    p.add_argument('--quick', action='store_true', help='fewer plans held against the LP')
    p.add_argument('--only', action='append', choices=GROUPS)
    p.add_argument('--part', choices=('planner', 'dispatcher'), help='only the planner by itself, or only the real dispatcher')
    args = p.parse_args()
    args.every = 1499 if args.quick else 97
    args.program = pathlib.Path(os.environ['BUSBAR_BIN']).parent / 'tests' / 'bench' / 'energy_plan'
    return args


def main():
    args = parse()
    if not (DATA / 'energy' / SERIES[0]).exists():
        print(f'NO SERIES: {DATA / "energy"} is not there (BUSBAR_TESTDATA)')
        return 77
    if not glpk.SOLVER:
        print('NO GLPSOL: plans are not held against an LP; script/setup --bench installs glpk-utils')
    missed, everything = 0, {}
    with tempfile.TemporaryDirectory(prefix='busbar-bench-') as folder:
        for name in args.only or GROUPS:
            everything[name] = {}
            for part, (run, show, judge) in PARTS.items():
                if args.part not in (None, part):
                    continue
                results = everything[name][part] = run(args, name, folder)
                say('')
                show(name, results)
                for words, hit in judge(name, results):
                    print(f'{"hit   " if hit else "missed"}  {words}')
                    missed += not hit
                print()
    write_json(args.json, {'bench': 'energy', 'groups': everything})
    return 1 if missed else 0


if __name__ == '__main__':
    sys.exit(main())
