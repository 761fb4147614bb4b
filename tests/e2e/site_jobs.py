#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs of a hub at a site that joined it: placed by the dispatcher, run on the site's own engine; hub, agent and the link between
them may end at any moment, and every job has run once.
"""
import json
import os
import random
import signal
import sys
import time

from site_agent import LEASE_S, Field, Site, begun, counted, runs_of, span, spans_of
from workbench import FAILED, FULL, NOT_FOUND, OK, Tap, find_processes, nano, need, replied, same, wait_for

# The first epoch is cut off, whenever that is; the next one is soon over.
LONG_THEN_SHORT = 'if [ $BUSBAR_EPOCH = 1 ]; then sleep 80; else sleep 1; fi'


def runs(f):
    job = f.submit('echo out; echo err >&2; echo $BUSBAR_CHIPS; exit 3', chips=2)
    end = f.ended(job)
    same((end['state'], end['end'], end['code'], end['site'], end['chip']), ('ended', 'exited', 3, 'north', 'h20'), 'end')
    same(f.logs(job), b'out\n2\n', 'output')
    same(f.logs(job, 'err'), b'err\n', 'errors')
    need(end['usage']['ms'] > 0, end)
    wait_for(lambda: not (f.site.data / 'work' / job).exists(), 'the site keeps nothing of it', 15)
    need(not list((f.site.data / 'jobs').iterdir()), 'a program is left')


def bill(job):
    """What a job has of money and use, after it was compared with itself."""
    for e in job['epochs']:
        same(nano(e['cost']), nano(e['price']) * e['chip_ms'] // 3600000, e)
        need('unpaid' not in e, e)
    same(nano(job['cost']), sum(nano(e['cost']) for e in job['epochs']), job)
    same(job['chip_ms'], sum(e['chip_ms'] for e in job['epochs']), job)
    return job['cost'], job['chip_ms'], job['epochs']


def priced(f):
    """A chip-hour has a price from now on: what a job used leaves the wallet once, and is the same whenever it is looked at."""
    pool = f.pool()
    same((pool['nodes'], pool['node_chips'], pool['chips'], pool['state'], pool['price']), (1, 4, 4, 'up', '0'), 'pool')
    running = f.submit('sleep 2', chips=2)
    f.running(running)
    same(f.pool()['chips_in_use'], 2, 'in use')
    same(f.bench.run('pool', 'price', pool['id'], '7.2').returncode, OK, 'set')
    before = f.spent()
    free = f.ended(running)
    same((free['cost'], free['epochs'][0]['price'], f.spent()), ('0', '0', before), 'who ran already')
    job = f.submit('sleep 1', chips=2)
    end = f.ended(job)
    cost, chip_ms, (epoch,) = bill(end)
    same((epoch['price'], epoch['site'], epoch['chips'], epoch['final'], epoch['truncated']), ('7.2', 'north', 2, True, False), 'epoch')
    same((chip_ms, epoch['ms']), (2 * epoch['ms'], end['usage']['ms']), 'chip time')
    need(1000 <= epoch['ms'] < 10000, epoch)
    same(f.spent() - before, nano(cost), 'spent')
    table = f.bench.run('pool', 'list').stdout.splitlines()
    need([line.split() for line in table if pool['id'] in line] == [['north', 'h20', '1', '1', '4', '0', 'up', '7.2', pool['id']]], table)
    f.bench.kill()
    f.bench.start()
    same(bill(f.job(job)), bill(end), 'after a kill')
    same((f.spent() - before, f.pool()['price']), (nano(cost), '7.2'), 'after a kill')


def no_price(f):
    pool, events = f.pool(), f.bench.api('GET', '/api/v1/status')['journal_events']
    path = f'/api/v1/pools/{pool["id"]}/price'
    for body in ({}, {'price': '-1'}, {'price': 'x'}, {'price': None}, {'price': '1000000.000000001'}, {'price': '1', 'x': 1}):
        replied(f.bench.request('PUT', path, body, local=True), 400, body)
    for name in ('north', 'x', '01a202f0-19c2-783f-b73d-61dd2eeb1f91'):
        replied(f.bench.request('PUT', f'/api/v1/pools/{name}/price', {'price': '1'}, local=True), 404, name)
        same(f.bench.run('pool', 'price', name, '1').returncode, NOT_FOUND, name)
    same(f.bench.run('pool', 'price', pool['id'], '-1').returncode, FAILED, 'less than nothing')
    same(f.pool(), pool, 'pool')
    need(events == f.bench.api('GET', '/api/v1/status')['journal_events'], 'a refusal was recorded')
    f.bench.api('POST', '/api/v1/sites/north/cordon', {})
    same(f.pool()['state'], 'cordoned', 'state')
    f.bench.api('POST', '/api/v1/sites/north/resume', {})
    same(f.pool()['state'], 'up', 'state')


def adds_up(f):
    """After all of that: what left the wallet is what the jobs cost, each epoch at most what its chips can have done."""
    jobs = [f.job(j['id']) for j in f.bench.pages('/api/v1/jobs')]
    wait_for(lambda: not any(f.job(j['id'])['state'] in ('queued', 'running') for j in jobs), 'all are over', 60, 0.5)
    jobs = [f.job(j['id']) for j in jobs]
    costs = [nano(bill(j)[0]) for j in jobs]
    for e in (e for j in jobs for e in j['epochs']):
        need(e['chip_ms'] <= e['chips'] * e['ms'], e)
    same(sum(costs), f.spent(), 'spent')
    f.bench.kill()
    f.bench.start()
    same([nano(f.job(j['id'])['cost']) for j in jobs], costs, 'after a kill')
    same(sum(costs), f.spent(), 'after a kill')
    return f'{len(jobs)} jobs, {sum(c > 0 for c in costs)} that cost something'


def bytes_are_whole(f):
    """A megabyte that is no text, and what comes after the last newline."""
    job = f.submit('head -c 3000000 /dev/zero | tr "\\0" "\\377"; printf end')
    same(f.ended(job)['code'], 0, 'code')
    wait_for(lambda: len(f.logs(job)) == 3000003, 'all of it is here', 15, 0.2)
    need(f.logs(job) == b'\xff' * 3000000 + b'end', 'bytes')


def follows(f):
    """What it prints is seen while it runs."""
    job = f.submit('echo first; sleep 20')
    f.running(job)
    wait_for(lambda: f.logs(job) == b'first\n', 'its first line', 10)
    f.bench.api('DELETE', f'/api/v1/jobs/{job}')
    same(f.job(job)['state'], 'cancelled', 'state')
    f.nothing_runs()


def queue(f):
    """More than there is: they wait for one another, and no chip has two."""
    mark = f.site.marks / 'mark'
    jobs = [f.submit(f'for c in $(echo $CUDA_VISIBLE_DEVICES | tr , " "); do mkdir {mark}-$c || exit 9; done; sleep 0.3; '
                     f'for c in $(echo $CUDA_VISIBLE_DEVICES | tr , " "); do rmdir {mark}-$c; done', chips=1 + i % 3)
            for i in range(12)]
    for job in jobs:
        end = f.ended(job, 60)
        same((end['end'], end.get('code')), ('exited', 0), f.logs(job, 'err'))


def ends(f):
    same(f.ended(f.submit('kill -9 $$'))['signal'], 9, 'signal')
    same(f.ended(f.submit('sleep 30', time_limit_s=1))['end'], 'timed-out', 'end')
    nothing = {'tenant': 'default', 'argv': ['/nonexistent'], 'chip': 'h20', 'chips': 1}
    same(f.ended(f.bench.api('POST', '/api/v1/jobs', nothing)['id'])['end'], 'not-started', 'end')


def scripts_and_arrays(f):
    """A script's text, as long as it may be, travels to the site, and so does a task's index."""
    text = '#!/bin/sh\necho $BUSBAR_ARRAY_INDEX of $SLURM_ARRAY_TASK_COUNT $1\n'
    text += '#\n' * (((256 << 10) - len(text)) // 2)
    body = {'tenant': 'default', 'argv': ['name', 'arg'], 'script': text, 'array': '4-5', 'chip': 'h20'}
    array = f.bench.api('POST', '/api/v1/jobs', body)['id']
    same([f.ended(f'{array}_{i}')['code'] for i in (4, 5)], [0, 0], 'codes')
    same([f.logs(f'{array}_{i}') for i in (4, 5)], [b'4 of 2 arg\n', b'5 of 2 arg\n'], 'output')


def hub_killed(f):
    """What runs goes on, what ends meanwhile is told when the hub is back, and nothing runs twice."""
    long, short = f.submit(counted(f, 'sleep 6')), f.submit(counted(f, 'sleep 1'))
    f.running(long)
    f.running(short)
    wait_for(lambda: runs_of(f, long) + runs_of(f, short) == 2, 'both have begun', 10)
    f.bench.kill()
    time.sleep(2.5)
    f.bench.start()
    same([f.ended(j)['code'] for j in (short, long)], [0, 0], 'codes')
    same([runs_of(f, j) for j in (short, long)], [1, 1], 'runs')


def agent_killed(f):
    long, short = f.submit(counted(f, 'sleep 6')), f.submit(counted(f, 'echo said; sleep 1'))
    f.running(long)
    wait_for(lambda: runs_of(f, long) + runs_of(f, short) == 2, 'both have begun', 10)
    f.site.kill()
    waits = f.submit(counted(f, 'true'), chips=2)
    time.sleep(2)
    f.site.run()
    same([f.ended(j)['code'] for j in (short, long, waits)], [0, 0, 0], 'codes')
    same([runs_of(f, j) for j in (short, long, waits)], [1, 1, 1], 'runs')
    same(f.logs(short), b'said\n', 'what it said')


def cancelled_while_away(f):
    """The hub took it back while the agent was not there: it is stopped when that is back."""
    job = begun(f, 'sleep 60')
    f.site.kill()
    f.bench.api('DELETE', f'/api/v1/jobs/{job}')
    f.site.run()
    f.nothing_runs()


def drained(f):
    """What may be stopped is told so, and waits; what is firm runs to its end."""
    soft = begun(f, 'trap "exit 0" TERM; while :; do sleep 0.1; done', interruptible=True)
    firm = begun(f, 'sleep 8')
    same(f.bench.run('site', 'drain', 'north').returncode, OK, 'drain')
    waits = wait_for(lambda: (j := f.job(soft))['state'] == 'queued' and j['epochs'][0]['final'] and j, 'it waits', 15)
    same(waits['epochs'][0]['end'], 'drained', 'how the epoch ended, as its site says')
    same((waits['why']['bar'], f.pool()['state'], f.job(firm)['state']), ('site-down', 'draining', 'running'), 'states')
    same(f.ended(firm)['code'], 0, 'code')
    same(f.pool()['chips_in_use'], 0, 'chips in use')
    same(f.bench.run('site', 'resume', 'north').returncode, OK, 'resume')
    f.running(soft)
    f.bench.api('DELETE', f'/api/v1/jobs/{soft}')
    f.nothing_runs()


def last_figures(f):
    """An end that crosses a cancel on the way: nothing comes of it but what the job used until then."""
    job = begun(f, 'sleep 60')
    f.site.kill()
    f.bench.api('DELETE', f'/api/v1/jobs/{job}')
    hub = json.loads((f.site.data / 'site.json').read_text())['hub']
    record = {'end': 'exited', 'usage': {'ms': 700, 'wall_ms': 700, 'chips': [{'kind': 'h20', 'chip_ms': 700}], 'cpu_ms': 1}}
    same(f.site.call(hub, '/site/v1/end', {'job': job, 'epoch': 1, 'code': 0, 'exit': record})[0], 200, 'end')
    found = wait_for(lambda: (j := f.job(job))['epochs'][0]['final'] and j, 'the last figures', 5)
    same((found['state'], found['chip_ms']), ('cancelled', 700), 'state and chip time')
    f.site.run()
    f.nothing_runs()


def flap(f):
    """Out of touch for less than a lease: nothing moves."""
    job = begun(f, f'sleep {LEASE_S}')
    f.site.process.send_signal(signal.SIGSTOP)
    time.sleep(LEASE_S / 4)
    f.site.process.send_signal(signal.SIGCONT)
    end = f.ended(job)
    same((end['code'], end['epoch'], runs_of(f, job)), (0, 1, 1), 'end, epoch and runs')


def lost(f):
    """Out of touch for longer: the lease ends the job there, and only then it is placed again, under the next epoch; a job that has
    nowhere else to go waits for the site."""
    job = f.submit(f'{span(f)} {LONG_THEN_SHORT}')
    f.running(job)
    wait_for(lambda: spans_of(f, job), 'it has begun', 10)
    shims = find_processes(str(f.site.data / 'work'))
    need(shims, 'no shim')
    f.bench.kill()  # the agent hears nothing from here on
    wait_for(lambda: not find_processes(str(f.site.data / 'work')), 'the lease ended it', LEASE_S + 15)
    f.bench.start()
    end = f.ended(job, 60)
    same((end['code'], end['epoch']), (0, 2), 'end and epoch')


def shim_killed(f):
    """What watches a job is killed, and with it the job: it is given back, and runs again."""
    job = begun(f, 'test $BUSBAR_EPOCH = 2 || sleep 60')
    shim, = [pid for pid in find_processes(f'{job}/1') if 'shim' in open(f'/proc/{pid}/cmdline').read()][:1]
    os.kill(shim, signal.SIGKILL)
    end = f.ended(job, 60)
    same((end['code'], end['epoch'], runs_of(f, job)), (0, 2, 2), 'code, epoch, runs')
    same(end['epochs'][0]['truncated'], True, 'the first epoch is billed up to its last line')


def cut_off(f):
    """The agent is not there for longer than leases and margin: the hub calls the site lost, and what ran is placed again when it is
    back. No two epochs of a job ever run at a time."""
    job = f.submit(f'{span(f)} {LONG_THEN_SHORT}', time_limit_s=90)
    f.running(job)
    wait_for(lambda: spans_of(f, job), 'it has begun', 10)
    f.site.kill()
    wait_for(lambda: f.bench.api('GET', '/api/v1/sites/north')['state'] == 'lost', 'the site is lost', LEASE_S + 45, 0.5)
    same(f.job(job)['state'], 'queued', 'state')
    f.site.run()
    wait_for(lambda: f.bench.api('GET', '/api/v1/sites/north')['state'] == 'up', 'the site is back', 15, 0.2)
    end = f.ended(job, 30)
    same((end['code'], end['epoch']), (0, 2), 'end and epoch')
    spans = sorted(spans_of(f, job))
    need(all(a[1] <= b[0] for a, b in zip(spans, spans[1:])), f'epochs overlap: {spans}')


def killed_at_random(f):
    """Hub and agent are killed again and again while jobs come: each runs once."""
    jobs = []
    for i in range(20 if FULL else 3):
        jobs += [f.submit(counted(f, 'sleep 0.2')) for _ in range(3)]
        time.sleep(random.random())
        if i % 2:
            f.site.kill()
            f.site.run()
        else:
            f.bench.kill()
            f.bench.start()
    for job in jobs:
        same((f.ended(job, 60)['code'], runs_of(f, job)), (0, 1), 'code and runs')


def others_jobs(f):
    """A site is told nothing of what runs at another one, and cannot say anything about it."""
    job = f.submit('echo secret; sleep 20', env=['TOKEN=secret'])
    f.running(job)
    with Site() as other:
        other.enter(f.bench, 'other')
        hub = json.loads((other.data / 'site.json').read_text())['hub']
        me = {'job': job, 'epoch': 1}
        same(other.call(hub, '/site/v1/program', me)[0], 404, 'program')
        same(other.call(hub, f'/site/v1/log?job={job}&epoch=1&stream=out&offset=0', {})[0], 404, 'log')
        same(other.call(hub, '/site/v1/end', {**me, 'code': 0})[0], 200, 'an end that is none of its business')
        same(f.job(job)['state'], 'running', 'state')
        answer = other.call(hub, '/site/v1/orders', {})[1]
        same(answer['wanted'], [], 'orders')
        for path, body in (('program', {}), ('program', {'job': job, 'epoch': -1}), ('end', me), ('end', {**me, 'code': 0, 'exit': {'x': 1}}),
                           ('orders', {'session': 'x'}), ('inventory', {}), ('inventory', {'kinds': [{}]}),
                           ('inventory', {'kinds': [{'chip': 'no-such', 'node_chips': 1, 'nodes': 1, 'up': 1}]}),
                           ('inventory', {'kinds': [{'chip': 'h20', 'node_chips': 99, 'nodes': 1, 'up': 1}]}),
                           *(('inventory', {'kinds': [], 'isolation': 'process', 'engine': engine})
                             for engine in ('local\ncost_nano 0', 'slurm\t23', 'sl\u00fcrm', 'x' * 99)),
                           ('log?job=x', {}), (f'log?job={job}&epoch=1&stream=no&offset=0', {})):
            same(other.call(hub, f'/site/v1/{path}', body)[0], 400, (path, body))
            same(other.call(hub, f'/site/v1/{path}', body, cert=False)[0], 403, (path, 'nobody'))
    f.bench.api('DELETE', f'/api/v1/jobs/{job}')
    f.nothing_runs()


def grows(f):
    """Nodes that come are more room; nodes that go are cordoned, and what runs goes on."""
    job = f.submit('sleep 4', chips=4)
    f.running(job)
    config = f.site.data / 'site.yaml'
    text = config.read_text()
    config.write_text(text + '  - {chip: mlu370-x8, count: 2}\n')
    f.site.kill()
    f.site.run()
    more = wait_for(lambda: f.try_submit('true', chip='mlu370-x8', chips=2), 'the hub knows of the kind', 15, 0.2)
    same(f.ended(more)['site'], 'north', 'site')
    config.write_text(text)
    f.site.kill()
    f.site.run()
    gone = f.submit('true', chip='mlu370-x8', chips=2)
    same(f.ended(job)['code'], 0, 'code')
    time.sleep(2)
    same(f.job(gone)['state'], 'queued', 'state')  # given back if it was placed before the site had told
    f.bench.api('DELETE', f'/api/v1/jobs/{gone}')


def same_price(f):
    """A machine that comes back with more chips is another pool, at the price that its chips had."""
    pools = lambda: [p for p in f.bench.api('GET', '/api/v1/pools')['data'] if (p['site'], p['chip']) == ('north', 'h20')]
    old, = pools()
    f.bench.api('PUT', f"/api/v1/pools/{old['id']}/price", {'price': '3.5'})
    config = f.site.data / 'site.yaml'
    config.write_text(config.read_text().replace('h20, count: 4', 'h20, count: 5'))
    f.site.kill()
    f.site.run()
    new, = wait_for(lambda: [p for p in pools() if p['id'] != old['id']], 'the new pool', 20, 0.2)
    same((new['node_chips'], new['price']), (5, '3.5'), 'chips and price')


def main():
    tap, wanted = Tap(), sys.argv[1:]  # names of cases, when run by hand
    long = {cut_off, flap}  # tests/fault/site_link.py cuts the link in the sample
    with Field() as field:
        for case in (runs, priced, no_price, bytes_are_whole, follows, queue, ends, hub_killed, agent_killed, cancelled_while_away, drained, last_figures, flap,
                     lost, shim_killed, killed_at_random, scripts_and_arrays, others_jobs, grows, cut_off, adds_up, same_price):
            if case.__name__ not in wanted if wanted else case in long and not FULL:
                continue
            tap.case(case.__name__.replace('_', ' '), case, field)
    tap.done()


if __name__ == '__main__':
    main()
