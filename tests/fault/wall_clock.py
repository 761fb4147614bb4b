#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The wall clock is set an hour forward and back, at the hub and at a site, while jobs run. Leases hold, jobs start and end as
ever, each once, and what is billed is the time that they ran. Certificates go on being believed.
"""
import json
import os
import pathlib
import subprocess
import tempfile
import time

from faultlib import FULL, HERE, Tap
from site_agent import LEASE_S, Field, counted, runs_of
from workbench import OK, nano, need, same, wait_for

HOUR_S = 3600
ROUNDS = 20 if FULL else 1
PRICE = '7.2'  # a chip-hour


class Clocks:
    """The library, and for each process a file with its shift."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.library = os.environ.get('BUSBAR_SHIFTCLOCK_SO')
        if not self.library:
            self.library = self.folder / 'shiftclock.so'
            subprocess.run(['cc', '-std=gnu17', '-D_GNU_SOURCE', '-O2', '-fPIC', '-shared', '-o', self.library,
                            HERE / 'shiftclock.c'], check=True)

    def env(self, who):
        self.set(who, 0)
        return {'LD_PRELOAD': os.path.abspath(self.library), 'BUSBAR_SHIFTCLOCK': str(self.folder / who),
                'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'}

    def set(self, who, seconds):
        new = self.folder / 'new'
        new.write_text(f'{seconds}\n')
        new.rename(self.folder / who)


def billed(f, job, seconds):
    """Once, for the time that it ran by a clock that nobody sets."""
    epoch, = job['epochs']
    usage = json.loads((f.bench.data / 'work' / job['id'] / '1' / 'exit').read_text())['usage']
    same((epoch['ms'], epoch['final'], epoch['truncated']), (usage['ms'], True, False), epoch)
    # What watches it may see it begin a few milliseconds late.
    need(seconds * 1000 - 50 <= epoch['ms'] <= seconds * 1000 + 15000, epoch)
    same(nano(epoch['cost']), nano(epoch['price']) * epoch['chip_ms'] // 3600000, epoch)
    same((nano(job['cost']), 'unpaid' in job), (nano(epoch['cost']), False), job)


def one(f, clocks, who, seconds):
    """One jump while a job runs; then all goes on: what runs ends, what comes starts, a site can be invited."""
    before = f.spent()
    runs = f.submit(counted(f, 'sleep 3'), chips=2)
    limited = f.submit(counted(f, 'sleep 60'), time_limit_s=4)
    for job in (runs, limited):
        wait_for(lambda j=job: runs_of(f, j) == 1, 'it has begun', 20)
    clocks.set(who, seconds)
    begins = time.monotonic()
    after = f.submit(counted(f, 'sleep 1'))
    f.bench.api('POST', '/api/v1/sites/other/token', {})
    ends = [f.ended(j, 20) for j in (runs, limited, after)]
    same([(e['end'], e['epoch'], runs_of(f, e['id'])) for e in ends], [('exited', 1, 1), ('timed-out', 1, 1), ('exited', 1, 1)], 'ends')
    need(2 <= time.monotonic() - begins <= 60, f'{time.monotonic() - begins} s')
    ends = [wait_for(lambda i=e['id']: (j := f.job(i))['epochs'][0]['final'] and j, 'the last figures', 10) for e in ends]
    for job, ran_s in zip(ends, (3, 4, 1)):
        billed(f, job, ran_s)
    same(f.spent() - before, sum(nano(j['cost']) for j in ends), 'what left the wallet')


def jumps(f, clocks, who):
    for _ in range(ROUNDS):
        for seconds in (HOUR_S, 0, -HOUR_S, 0) if FULL else (HOUR_S, -HOUR_S):
            one(f, clocks, who, seconds)
    clocks.set(who, 0)


def restarted(f, clocks, who):
    """Its process ends and starts while its clock is an hour behind; new connections, new certificates."""
    job = f.submit(counted(f, f'sleep {LEASE_S / 2}'))
    wait_for(lambda: runs_of(f, job) == 1, 'it has begun', 20)
    clocks.set(who, -HOUR_S)
    if who == 'hub':
        f.bench.kill()
        f.bench.start()
    else:
        f.site.kill()
        f.site.run()
    end = f.ended(job, 30)
    same((end['end'], end['epoch'], runs_of(f, job)), ('exited', 1, 1), 'end')
    same(f.site.process.poll(), None, 'the agent lives')
    clocks.set(who, 0)
    one(f, clocks, who, 0)


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='bb-clock-', dir='/tmp') as folder:
        clocks = Clocks(folder)
        with Field(env={who: clocks.env(who) for who in ('hub', 'site')}) as f:
            wait_for(lambda: any(p['site'] == 'north' for p in f.bench.api('GET', '/api/v1/pools')['data']), 'its pool', 20)
            same(f.bench.run('pool', 'price', f.pool()['id'], PRICE).returncode, OK, 'price')
            f.bench.api('POST', '/api/v1/sites', {'name': 'other'})
            for who in ('site', 'hub'):
                tap.case(f'the clock of the {who} jumps an hour', jumps, f, clocks, who)
                tap.case(f'the {who} starts while its clock is behind', restarted, f, clocks, who)
    tap.done()


if __name__ == '__main__':
    main()
