# SPDX-License-Identifier: Apache-2.0
"""The second part of energy.py: the real dispatcher, in the simulator, on the same sites and series.

A part of the year begins with a day without work, so that there is a yesterday; then a week of jobs comes, and it goes on
until all are done. Every policy has the same jobs. Half of them, drawn, can wait.
"""
import csv
import datetime
import io
import pathlib
import random
import subprocess

from harness import print_rows, simulate

HOURS = 8760
DAYS = 7
CHIPS = 2000            # of all sites
LOAD = 0.6              # of them, half of it can wait
WAIT = '24h'
SIZES = (1, 1, 2, 4, 8)  # chips of a job
HOURS_MEAN = 1.0
PARTS = ('2022-01-10', '2022-04-11', '2022-07-11', '2022-10-10')
# name: what it adds to the simulator's options
FREE = f'deferrable=50:{WAIT},tied=firm'
POLICIES = {
    'home': ['--plan', 'off', '--traits', f'deferrable=50:{WAIT},tied=all'],
    'fast loop alone': ['--plan', 'off', '--traits', FREE],
    'slow loop': ['--plan', 'yesterday', '--traits', FREE],
    'slow loop, every 15 min': ['--plan', 'yesterday', '--plan-every', '15m', '--traits', FREE],
    'perfect foresight': ['--plan', 'foresight', '--traits', FREE],
}


def series(path):
    """Zone: its hours."""
    text = subprocess.run(['zstd', '-dcq', path], capture_output=True, text=True, check=True).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    return {zone: [row[zone] for row in rows] for zone in rows[0] if zone != 'hour'}


def sites_of(lines, carbon, price, priced):
    """Those with the series that are needed, with their chips: of 1 kW each, whole nodes of 8."""
    kept = [line.split() for line in lines]
    kept = [s for s in kept if s[3] in carbon and (not priced or s[4] in price)]
    all_kw = sum(int(s[1]) for s in kept)
    return [(s[0], max(8, round(CHIPS * int(s[1]) / all_kw / 8) * 8), int(s[2]) / 1000, s[3], s[4]) for s in kept]


def write_network(folder, sites, carbon, price, priced, first):
    (folder / 'chips.yaml').write_text(
        'server_share: 1 assumed, of one chip\nidle_share: 0 assumed, so that all power is that of work\nchips:\n'
        '  - {name: kw, title: A kilowatt, vendor: any, origin: US, fp16_tflops: "1 assumed, beside the point",\n'
        '     memory_gib: "1 assumed, beside the point", tdp_w: "1000 assumed, a kilowatt"}\n', encoding='utf-8')
    lines = ['chips: chips.yaml', 'about: Sites with real series', 'sites:']
    for name, chips, pue, zone, price_zone in sites:
        rows = ['hour,price_usd_mwh,carbon_g_kwh' if priced else 'hour,carbon_g_kwh']
        for hour in range(HOURS):
            at = (first + hour) % HOURS
            rows.append(','.join([str(hour)] + ([price[price_zone][at]] if priced else []) + [carbon[zone][at]]))
        (folder / f'{name}.csv').write_text('\n'.join(rows) + '\n', encoding='ascii')
        lines.append(f'  - {{name: {name}, jurisdiction: XX, lat: 50, lon: 0, pue: {pue}, signals: {name}.csv'
                     f'{"" if priced else ", price_usd_mwh: 0"}, pools: [{{chip: kw, chips: {chips}, usd_chip_hour: 0}}]}}')
    (folder / 'network.yaml').write_text('\n'.join(lines) + '\n', encoding='utf-8')


def write_jobs(path, sites, seed):
    """Each site's own: its queue has its name."""
    draw = random.Random(f'busbar {seed}')
    jobs = []
    per_job = HOURS_MEAN * sum(SIZES) / len(SIZES)
    for name, chips, *_ in sites:
        at, rate = 24.0, chips * LOAD / per_job
        while True:
            at += draw.expovariate(rate)
            if at >= 24 * (1 + DAYS):
                break
            hours = min(8.0, max(0.1, draw.lognormvariate(-0.32, 0.8) * HOURS_MEAN))
            jobs.append((round(at * 3600), name, round(hours * 3600), draw.choice(SIZES)))
    jobs.sort()
    path.write_text('submit_s,queue,duration_s,chips\n' + ''.join(f'{a},{q},{d},{c}\n' for a, q, d, c in jobs),
                    encoding='ascii')


def first_hour(day):
    """Of the day before: a part begins with a day without work."""
    return (datetime.date.fromisoformat(day) - datetime.date(2022, 1, 2)).days * 24


def run_group(args, lines, goal, paths, folder, say):
    """Policy: what the simulator said of each part of the year, and what its power was worth, USD."""
    carbon, price = (series(path) for path in paths)
    sites = sites_of(lines, carbon, price, 'priced' in goal)
    folder = pathlib.Path(folder)
    results = {policy: [] for policy in POLICIES}
    for part in PARTS[:1] if args.quick else PARTS:
        write_network(folder, sites, carbon, price, 'priced' in goal, first_hour(part))
        write_jobs(folder / 'jobs.csv', sites, part)
        for policy, options in POLICIES.items():
            say(f'the week of {part}: {policy}')
            result = simulate('--trace', folder / 'jobs.csv', '--network', folder / 'network.yaml', *options, '--carbon-price',
                              goal['carbon'])
            result['value'] = goal['power'] * result['energy_cost'] + goal['carbon'] * result['carbon_kg'] / 1000
            results[policy].append(result)
    return results


def saved(results, policy, unit):
    home, theirs = (sum(r[unit] for r in results[p]) for p in ('home', policy))
    return 1 - theirs / home if home else 0.0


def table(results, priced):
    units = [('carbon_kg', 'carbon')] + ([('energy_cost', 'money')] if priced else [])
    rows = [['the real dispatcher', *(f'{words}, all' for _, words in units), 'single weeks', 'mean wait', 'at latest start',
             'CPU a plan']]
    for policy, parts in results.items():
        jobs = sum(r['deferrable']['jobs'] for r in parts)
        plans = sum(r['plans']['made'] for r in parts)
        wait = sum(r['deferrable']['jobs'] * r['deferrable']['avg_wait_s'] for r in parts) / jobs / 3600
        late = sum(r['deferrable']['started_at_latest'] for r in parts) / jobs
        cpu = sum(r['plans']['made'] * r['plans']['cpu_ms_mean'] for r in parts) / plans if plans else 0.0
        weeks = ' '.join(f'{1 - r["value"] / h["value"]:.1%}' for r, h in zip(parts, results['home']))
        rows.append([policy, *(f'{saved(results, policy, unit):.1%}' for unit, _ in units), weeks, f'{wait:.1f} h', f'{late:.1%}',
                     f'{cpu:.2f} ms'])
    print_rows(rows)


def aims(results):
    fast, slow = (saved(results, policy, 'value') for policy in ('fast loop alone', 'slow loop'))
    yield f'the slow loop saves more with the real dispatcher too: {slow:.2%}, {fast:.2%}', slow > fast
    broken = sum(r['violations'] + r['unfinished'] for parts in results.values() for r in parts)
    yield f'all jobs ended and nothing was broken by the checker: {broken} violations', broken == 0
