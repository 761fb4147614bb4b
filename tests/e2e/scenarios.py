#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The scenarios as stories: each runs for a short window with a small load, and the checker finds nothing. No hub runs."""
import json
import pathlib
import random
import tempfile

from workbench import NOT_FOUND, OK, ROOT, USAGE, Tap, busbar, need, same

SCENARIOS = sorted((ROOT / 'data' / 'scenarios').glob('*.yaml'))


def sim(status, *args):
    done = busbar(status, 'sim', '--json', *args, timeout=120)
    return json.loads(done.stdout) if status == OK else done.stderr


def write_trace(path):
    """600 jobs over a day, from minutes to hours, of 1 to 64 chips."""
    draw = random.Random(5)
    rows = [f'q,{draw.randrange(86400)},{draw.randrange(300, 20000)},{draw.choice([1, 1, 2, 4, 8, 8, 16, 64])}'
            for _ in range(600)]
    path.write_text('vc,submit,duration,gpus\n' + '\n'.join(sorted(rows, key=lambda r: int(r.split(',')[1]))) + '\n')
    return path


def told(network, trace, *more):
    found = sim(OK, '--network', network, '--trace', trace, *more)
    same((found['violations'], found['unfinished'], found['jobs']), (0, 0, 600), found['violation'])
    return found


def each_runs(trace):
    for path in SCENARIOS:
        found = told(path, trace, '--faults', '--traits', 'data=50:50GB,interruptible=50', '--seed', '3')
        need(found['starts'] >= 600, path.name, found['starts'])


def xinjiang(trace):
    """Data lies where people are, cheap power is 2,500 km away, behind one way out; when that is lost work goes on."""
    path = ROOT / 'data' / 'scenarios' / 'xinjiang-40.yaml'
    data = 'data=100:200GB@cn-beijing+cn-qingpu+cn-shenzhen'
    found = told(path, trace, '--traits', data)
    corridors = {(c['a'], c['b']): c for c in found['transfers']['corridors']}
    out = [c for ends, c in corridors.items() if any(e.startswith('xj-') for e in ends) and 'cn-zhongwei' in ends]
    need(sum(c['bytes'] for c in out) > 10e12, 'work goes where power is cheap', sorted(corridors))
    cut = ','.join(f"lose:corridor={c['a']}-{c['b']}@6h+6h" for c in out)
    lost = told(path, trace, '--traits', data, '--drill', cut)
    need(lost['transfers']['n'] < found['transfers']['n'], 'less is brought while the way is lost',
         (found['transfers']['n'], lost['transfers']['n']))


def weak_link(trace):
    """Thin corridors: a cut stops what comes over it, which is placed again."""
    path = ROOT / 'data' / 'scenarios' / 'weak-link.yaml'
    data = 'data=100:1TB@cn-beijing+cn-qingpu'
    wide = told(ROOT / 'data' / 'network' / 'illustrative.yaml', trace, '--traits', data)
    thin = told(path, trace, '--traits', data)
    need(thin['transfers']['avg_s_a_job'] > wide['transfers']['avg_s_a_job'], 'thin corridors are slow',
         (thin['transfers']['avg_s_a_job'], wide['transfers']['avg_s_a_job']))
    busy = max(thin['transfers']['corridors'], key=lambda c: c['transfers'])
    found = told(path, trace, '--traits', data, '--drill', f"lose:corridor={busy['b']}-{busy['a']}@12h+12h")
    need(found['drill']['stopped'] > 0, 'data was under way', found['drill'])
    same(found['drill']['stopped'], found['drill']['placed_again'], 'all of it is placed again')


def prices_and_droughts(trace):
    path = ROOT / 'data' / 'network' / 'illustrative.yaml'
    plain = told(path, trace)
    twice = told(path, trace, '--drill', 'price*2@0s')
    need(1.7 < twice['energy_cost'] / plain['energy_cost'] < 2.05, 'power costs twice as much', twice['energy_cost'])
    dry = told(path, trace, '--drill', 'drought:wind=0.3@0s+10d')
    need(dry['carbon_kg'] > plain['carbon_kg'] * 1.02 and dry['energy_cost'] > plain['energy_cost'], 'no wind',
         (dry['carbon_kg'], plain['carbon_kg']))
    same(told(path, trace, '--drill', 'drought:wind=0.3@0s+10d')['decisions_sha256'], dry['decisions_sha256'],
         'the same again')


def mistakes(trace):
    path = ROOT / 'data' / 'network' / 'illustrative.yaml'
    for words in ('lose:site=x', 'price@1h', 'drought:wind=2@1h+1h', 'storm@1h', 'lose:corridor@1h'):
        need('--drill' in sim(USAGE, '--network', path, '--trace', trace, '--drill', words), words)
    for words in ('lose:corridor=a-b@1h', 'price*2:site=nowhere@1h'):
        need('the network has no' in sim(NOT_FOUND, '--network', path, '--trace', trace, '--drill', words), words)
    need('--traits' in sim(USAGE, '--network', path, '--trace', trace, '--traits', 'data=1:1KB'), 'data')
    need('nowhere' in sim(NOT_FOUND, '--network', path, '--trace', trace, '--traits', 'data=1:1GB@nowhere'), 'data')


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        trace = write_trace(pathlib.Path(folder) / 'jobs.csv')
        tap.case('each scenario runs, with faults and data elsewhere, and nothing is violated', each_runs, trace)
        tap.case('xinjiang-40: data comes from the urban hubs, and its way out is lost', xinjiang, trace)
        tap.case('weak-link: thin corridors are slow, and a cut one stops work', weak_link, trace)
        tap.case('prices and droughts', prices_and_droughts, trace)
        tap.case('mistakes', mistakes, trace)
    tap.done()


if __name__ == '__main__':
    main()
