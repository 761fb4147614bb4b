#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One hub, its own machine, and two real Slurm clusters of different chips that joined it: mixed jobs, gangs among them, placed by the
dispatcher, run by each site's own Slurm as an ordinary user. Every end is the right one, what is billed is what ran, to the
millisecond and the last nano-unit, and no chip is given twice. BUSBAR_FULL=1: 200 jobs instead of 24; BUSBAR_SLURM_ROOT: with another
Slurm (script/slurm-root).
"""
import collections
import hashlib
import json
import os
import random
import shutil
import time

import slurm_site
from site_agent import free_port
from slurm_agent import SlurmSite
from workbench import FULL, OK, Bench, Tap, nano, need, same, wait_for

NORTH = [('a', 2, 'npu', 'ascend910b', 8), ('m', 1, 'mlu', 'mlu370-x8', 4)]
SOUTH = [('g', 1, 'gpu', 'h20', 8), ('d', 2, 'dcu', 'hygon-k100', 4)]
CAPACITY = {kind: nodes * chips for _, nodes, _, kind, chips in NORTH + SOUTH}
NODE = {kind: chips for _, _, _, kind, chips in NORTH + SOUTH}
JOBS = 200 if FULL else 24
PRICES = {'ascend910b': '1.3', 'mlu370-x8': '0.700000001', 'h20': '2.25', 'hygon-k100': '0.9', 'cpu': '0.01'}  # a chip-hour


class Network:
    def __init__(self):
        self.bench, self.sites = Bench(['--site-listen', f'127.0.0.1:{free_port()}', '--no-model']), []

    def start(self):
        for name, pools in (('north', NORTH), ('south', SOUTH)):
            self.sites.append(SlurmSite(self.bench, name, pools))
        for site in self.sites:
            site.start()

    def stop(self):
        for site in self.sites:
            site.stop()
        self.bench.__exit__(None, None, None)

    def submit(self, script, chip, chips, **fields):
        return self.bench.api('POST', '/api/v1/jobs', {'tenant': 'default', 'argv': ['/bin/sh', '-c', script], 'chip': chip,
                                                       'chips': chips, **fields})['id']

    def job(self, job):
        return self.bench.api('GET', f'/api/v1/jobs/{job}')

    def ended(self, job, limit_s=300):
        return wait_for(lambda: (j := self.job(job))['state'] not in ('queued', 'running') and j, f'{job} is over', limit_s, 0.2)

    def spent(self):
        return nano(self.bench.api('GET', '/api/v1/tenants/default')['spent'])

    def logs(self, job):
        return self.bench.request('GET', f'/api/v1/jobs/{job}/logs', local=True).body.decode()


def known(net):
    """The hub knows what both clusters have as soon as they have joined."""
    for kind, chips in NODE.items():
        job = wait_for(lambda kind=kind: net.bench.request(
            'POST', '/api/v1/jobs', {'tenant': 'default', 'argv': ['true'], 'chip': kind, 'chips': 1}, local=True).status == 201,
            f'the hub knows {kind}', 30, 0.5)
        need(job and chips, kind)


def priced(net):
    """Every pool gets its price, by hand as an operator does it."""
    for pool in net.bench.api('GET', '/api/v1/pools')['data']:
        same(pool['price'], '0', 'price')
        same(net.bench.run('pool', 'price', pool['id'], PRICES[pool['chip']]).returncode, OK, pool)
    found = {pool['chip']: (pool['chips'], pool['price']) for pool in net.bench.api('GET', '/api/v1/pools')['data']}
    same({kind: found[kind][0] for kind in CAPACITY}, CAPACITY, 'chips')
    same({kind: price for kind, (_, price) in found.items()}, PRICES, 'prices')


def data(net):
    """A gang finds its input on each node; what it leaves is kept; stopped for a firm job it goes on from its checkpoint at the other
    cluster.
    """
    text = os.urandom(5 << 20)
    name = hashlib.sha256(text).hexdigest()
    for at in range(0, len(text), 4 << 20):
        reply = net.bench.request('PUT', f'/api/v1/blobs/{name}?tenant=default&size={len(text)}&offset={at}',
                                  text[at:at + (4 << 20)], local=True)
        same(reply.status, 200, reply.body)
    inputs = [{'name': 'in/file', 'sha256': name, 'size': len(text)}]
    gang = net.submit('cp in/file out-$RANK', 'ascend910b', 16, inputs=inputs, outputs=['out-*'])
    end = net.ended(gang)
    same((end['end'], end.get('code')), ('exited', 0), net.logs(gang))
    kept = wait_for(lambda: net.job(gang).get('outputs'), 'what was kept', 20)
    same([(o['name'], o['sha256']) for o in kept], [('out-0', name), ('out-1', name)], 'outputs')
    counter = ('cd $BUSBAR_CHECKPOINT_DIR; n=$(cat n 2>/dev/null || echo 0); trap "echo \\$n >n; exit 0" TERM; echo from $n; '
               'while [ $n -lt 60 ]; do sleep 0.1; n=$((n+1)); done')
    body = {'tenant': 'default', 'argv': ['/bin/sh', '-c', counter], 'interruptible': True, 'time_limit_s': 600,
            'alternatives': [{'chip': 'h20', 'chips': 8}, {'chip': 'ascend910b', 'chips': 1, 'rate': 0.02}]}
    job = net.bench.api('POST', '/api/v1/jobs', body)['id']
    first = lambda epoch: net.bench.request('GET', f'/api/v1/jobs/{job}/logs?epoch={epoch}', local=True).body
    wait_for(lambda: first(1) == b'from 0\n', 'it has begun', 60, 0.2)
    same(net.job(job)['site'], 'south', 'where it begins')
    time.sleep(1)  # so that it has something to write down
    firm = net.submit('sleep 40', 'h20', 8)
    end = net.ended(job)
    same((end['end'], end.get('code'), end['epoch'], end['site']), ('exited', 0, 2, 'north'), end)
    need(int(first(2).split()[1]) > 0, first(2))
    net.bench.api('DELETE', f'/api/v1/jobs/{firm}')


SAY = 'echo begins $(date +%s.%N); {body}; s=$?; echo ends $(date +%s.%N); exit $s'


def draw(rng):
    """Script, kind, chips, further fields, and the end that it must have."""
    kind = rng.choice([*CAPACITY, 'cpu'])
    code = rng.choice([0, 0, 0, 0, 7])
    body, fields, end = f'sleep {rng.uniform(0.1, 2):.2f}; (exit {code})', {}, ('exited', code)
    chips = 1 if kind == 'cpu' else rng.randint(1, NODE[kind])
    what = rng.random()
    if what < 0.15 and CAPACITY.get(kind, 0) > NODE.get(kind, 0):
        chips, body, end = CAPACITY[kind], 'test "$WORLD_SIZE" = 2 && test -n "$MASTER_ADDR"', ('exited', 0)  # a gang
    elif what < 0.25:
        body, fields, end = 'sleep 60', {'time_limit_s': 1}, ('timed-out', None)
    elif what < 0.3:
        body, end = 'kill -9 $$', ('signalled', None)
    return SAY.format(body=body), kind, chips, fields, end


def billed(net, job):
    """What was metered is what the shims wrote, all nodes and chips together; what it costs is that at the pool's price. The cost."""
    cost = 0
    for epoch in job['epochs']:
        record = json.loads((net.bench.data / 'work' / job['id'] / str(epoch['epoch']) / 'exit').read_text())
        usage = record['usage']
        same((epoch['ms'], epoch['cpu_ms'], epoch['chip_ms']),
             (usage['ms'], usage['cpu_ms'], sum(chip['chip_ms'] for chip in usage['chips'])), f'{job["id"]}: {record}')
        same((epoch['final'], epoch['truncated'], epoch['price']), (True, record.get('truncated', False), PRICES[job['chip']]), epoch)
        same(nano(epoch['cost']), nano(epoch['price']) * epoch['chip_ms'] // 3600000, epoch)
        cost += nano(epoch['cost'])
    same((nano(job['cost']), len(job['epochs']), 'unpaid' in job), (cost, job['epoch'], False), job)
    return cost


def mixed(net):
    rng = random.Random(int(os.environ.get('BUSBAR_SEED', 1)))
    drawn = [draw(rng) for _ in range(JOBS)]
    before = net.spent()
    jobs = [net.submit(script, kind, chips, **fields) for script, kind, chips, fields, _ in drawn]
    spans, where, cost = collections.defaultdict(list), collections.Counter(), 0
    for job, (_, kind, chips, _, (end, code)) in zip(jobs, drawn):
        found = net.ended(job)
        same((found['end'], found.get('code')), (end, code), f'{job}, {chips} of {kind}: {net.logs(job)}')
        same(found['site'], 'local' if kind == 'cpu' else 'north' if kind in ('ascend910b', 'mlu370-x8') else 'south', 'site')
        where[found['site']] += 1
        cost += billed(net, found)
        lines = [line.split() for line in net.logs(job).splitlines()]
        if kind != 'cpu' and len(lines) >= 2 and lines[0][0] == 'begins' and lines[-1][0] == 'ends':
            spans[kind].append((float(lines[0][1]), chips))
            spans[kind].append((float(lines[-1][1]), -chips))
    for kind, list_ in spans.items():
        used = most = 0
        for _, change in sorted(list_):
            used += change
            most = max(most, used)
        need(most <= CAPACITY[kind], f'{most} of {CAPACITY[kind]} {kind} at a time')
    need(cost > 0, 'all of it was free')
    same(net.spent() - before, cost, 'what left the wallet, and what the jobs cost')
    net.bench.kill()
    net.bench.start()
    same((net.spent() - before, sum(nano(net.job(job)['cost']) for job in jobs)), (cost, cost), 'after a kill')
    return f'{JOBS} jobs: {dict(where)}, {cost / 1e9:.9f} USD'


def array(net):
    """Its tasks run at a Slurm site, no more at a time than may, each with its own index, end and bill."""
    tasks, at_once = (40, 6) if FULL else (8, 3)
    ident = net.submit(SAY.format(body='echo task $SLURM_ARRAY_TASK_ID; sleep 0.5; exit $((BUSBAR_ARRAY_INDEX == 3))'), 'mlu370-x8', 1,
                       array=f'1-{tasks}%{at_once}')
    spans = []
    for index in range(1, tasks + 1):
        found = net.ended(f'{ident}_{index}')
        same((found['end'], found['code'], found['site']), ('exited', int(index == 3), 'north'), f'task {index}')
        lines = net.logs(f'{ident}_{index}').splitlines()
        need(f'task {index}' in lines, lines)
        spans += [(float(lines[0].split()[1]), 1), (float(lines[0].split()[1]) + 0.5, -1)]
        need(billed(net, found) > 0, found)
    used = most = 0
    for _, change in sorted(spans):
        used += change
        most = max(most, used)
    need(most <= at_once, f'{most} at a time')


def nothing_left(net):
    for site in net.sites:
        wait_for(lambda site=site: not any(' RUNNING' in line or ' PENDING' in line for line in site.cluster.queue()),
                 f'{site.name} has nothing in its queue', 30, 0.5)
        wait_for(lambda site=site: not [d for d in (site.site.data / 'work').iterdir() if d.name[0] != '.'],
                 f'{site.name} keeps nothing', 20, 0.5)


def main():
    tap = Tap()
    lacking = slurm_site.missing()
    if lacking:
        tap.skip('two Slurm sites', lacking)
        tap.done()
    net = Network()
    try:
        net.start()
        tap.note(f'Slurm {net.sites[0].cluster.version}')
        for case in (known, priced, mixed, array, data, nothing_left):
            tap.case(case.__name__.replace('_', ' '), case, net)
    finally:
        if os.environ.get('BUSBAR_KEEP'):
            for site in net.sites:
                print('# kept', shutil.copytree(site.site.data, f'{site.site.data}-kept', ignore=shutil.ignore_patterns('cluster')))
        net.stop()
    tap.done()


if __name__ == '__main__':
    main()
