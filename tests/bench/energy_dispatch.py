# SPDX-License-Identifier: Apache-2.0
"""The second part of energy.py: the real dispatcher, in the simulator, on the same sites and series.

A part of the year begins with a day without work, so that there is a yesterday; then a week of jobs comes, and it goes on
until all are done. Every policy has the same jobs. Half of them, drawn, can wait.
"""
import csv
import datetime
import io
import json
import pathlib
import random
import subprocess

HOURS = 8760
DAYS = 7
CHIPS = 2000            # of all sites
LOAD = 0.6              # of them, half of it can wait
WAIT = '24h'
SIZES = (1, 1, 2, 4, 8)  # chips of a job
HOURS_MEAN = 1.0
PARTS = ('2022-01-10', '2022-04-11', '2022-07-11', '2022-10-10')
# name: what it adds to the simulator's options
POLICIES = {
    'home': ['--plan', 'off', '--traits', f'deferrable=50:{WAIT},tied=all'],
    'fast loop alone': ['--plan', 'off', '--traits', f'deferrable=50:{WAIT},tied=firm'],
    'slow loop': ['--plan', 'yesterday', '--traits', f'deferrable=50:{WAIT},tied=firm'],
    'slow loop, every 15 min': ['--plan', 'yesterday', '--plan-every', '15m', '--traits', f'deferrable=50:{WAIT},tied=firm'],
    'perfect foresight': ['--plan', 'foresight', '--traits', f'deferrable=50:{WAIT},tied=firm'],
}


class Failed(Exception):
    pass


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
    draw = random.Random(seed)
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


def run(busbar, folder, options):
    done = subprocess.run([busbar, 'sim', '--json', '--trace', folder / 'jobs.csv', '--network', folder / 'network.yaml', *options],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(done.stderr.strip() or done.stdout.strip())
    return json.loads(done.stdout)
