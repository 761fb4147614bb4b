#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The link between a hub and a site is cut and healed, in a network namespace: for less than a lease nothing moves; for more, the
site ends its jobs, and only then the hub places them again. Nobody hears of a cut: packets go nowhere.
"""
import os
import random
import shutil
import subprocess
import time

from faultlib import FULL, Tap  # noqa: F401 pylint: disable=unused-import
from site_agent import LEASE_S, Field, counted, runs_of, span, spans_of
from workbench import find_processes, nano, need, same, wait_for

NAME = f'bb{os.getpid() % 100000}'
NET = f'10.{231 + os.getpid() % 16}.{os.getpid() // 256 % 256}'


def ip(*words):
    return subprocess.run(['ip', *words], check=True, capture_output=True)


class Link:
    """A namespace with one end of a cable, whose other end is the hub's."""

    host, prefix = f'{NET}.1', ('nsenter', f'--net=/run/netns/{NAME}')

    def __enter__(self):
        ip('netns', 'add', NAME)
        try:
            ip('link', 'add', f'{NAME}h', 'type', 'veth', 'peer', 'name', f'{NAME}s', 'netns', NAME)
            ip('addr', 'add', f'{NET}.1/24', 'dev', f'{NAME}h')
            ip('-n', NAME, 'addr', 'add', f'{NET}.2/24', 'dev', f'{NAME}s')
            ip('-n', NAME, 'link', 'set', 'lo', 'up')
            ip('-n', NAME, 'link', 'set', f'{NAME}s', 'up')
            self.heal()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        subprocess.run(['ip', 'netns', 'del', NAME], check=False, capture_output=True)  # and with it the cable

    def cut(self):
        ip('-n', NAME, 'link', 'set', f'{NAME}s', 'down')

    def heal(self):
        ip('link', 'set', f'{NAME}h', 'up')
        ip('-n', NAME, 'link', 'set', f'{NAME}s', 'up')


def lacks():
    """Why there can be no link that is cut, in words."""
    if not shutil.which('ip'):
        return 'ip (iproute2) is not installed'
    return '' if os.getuid() == 0 else 'network namespaces need root'


def site_state(f):
    return f.bench.api('GET', '/api/v1/sites/north')['state']


def short(f, link):
    for _ in range(20 if FULL else 2):
        job = f.submit(counted(f, f'echo begins; sleep {LEASE_S / 2}; echo ends'))
        f.running(job)
        wait_for(lambda j=job: runs_of(f, j) == 1, 'it has begun', 15)
        link.cut()
        time.sleep(random.uniform(0.2, LEASE_S * 0.4))
        same(f.job(job)['state'], 'running', 'state while it is cut')
        link.heal()
        end = f.ended(job, 60)
        same((end['code'], end['epoch'], runs_of(f, job)), (0, 1, 1), 'code, epoch, runs')
        wait_for(lambda j=job: f.logs(j) == b'begins\nends\n', 'all that it printed is here', 30)
        same(site_state(f), 'up', 'the site')


def flaps(f, link):
    """On and off again while jobs come and go."""
    jobs = []
    for _ in range(20 if FULL else 4):
        jobs.append(f.submit(counted(f, 'sleep 0.3')))
        link.cut()
        time.sleep(random.uniform(0.05, 1))
        link.heal()
        time.sleep(random.uniform(0.05, 1))
    for job in jobs:
        end = f.ended(job, 90)
        same((end['code'], end['epoch'], runs_of(f, job)), (0, 1, 1), 'code, epoch, runs')


def finished(f, job, spent):
    """It was let run to its end: once, under one epoch, billed for as long as it ran."""
    end = f.ended(job, 60)
    same((end['state'], end['code'], end['epoch'], runs_of(f, job)), ('ended', 0, 1, 1), 'state, code, epoch, runs')
    bill = wait_for(lambda: (j := f.job(job))['epochs'][0]['final'] and j, 'its last figures', 30)
    same(len(bill['epochs']), 1, 'epochs')
    ms = bill['epochs'][0]['chip_ms']
    need(LEASE_S + 12 < ms / 1000 < LEASE_S + 60, 'chip-ms', ms)
    need(abs(nano(bill['cost']) - ms * 1000) < 1000, 'cost', bill['cost'], 'of', ms)
    need(f.spent() - spent >= nano(bill['cost']), 'what was spent')


def long(f, link):
    same(f.try_submit('true', chip='h20', on_disconnect='finish'), None, 'without a time limit')
    same(f.try_submit('true', chip='h20', time_limit_s=60, on_disconnect='perhaps'), None, 'neither')
    for _ in range(20 if FULL else 1):
        # The price of what is let run: a chip-second is a thousandth.
        f.bench.api('PUT', f"/api/v1/pools/{f.pool()['id']}/price", {'price': '3.6'})
        spent = f.spent()
        finish = f.submit(counted(f, f'sleep {LEASE_S + 14}'), time_limit_s=600, on_disconnect='finish')
        f.running(finish)
        f.bench.api('PUT', f"/api/v1/pools/{f.pool()['id']}/price", {'price': '0'})
        job = f.submit(f'{span(f)} sleep 600')
        f.running(job)
        wait_for(lambda j=job: spans_of(f, j) and runs_of(f, finish), 'they have begun', 15)
        link.cut()
        wait_for(lambda j=job: not find_processes(str(f.site.data / 'work' / j)), 'the lease has ended it', LEASE_S + 15)
        need(find_processes(str(f.site.data / 'work' / finish)), 'what is to finish was stopped')
        same(f.job(job)['state'], 'running', 'the hub waits for longer than the site')
        wait_for(lambda: site_state(f) == 'lost', 'the site is lost', 60, 0.5)
        same(f.job(job)['state'], 'queued', 'state')
        held = f.job(finish)
        same((held['state'], held.get('out_of_touch'), held['epoch']), ('running', True, 1), 'what is to finish')
        link.heal()
        finished(f, finish, spent)
        wait_for(lambda j=job: len(spans_of(f, j)) == 2, 'it runs again', 60)
        same((f.job(job)['epoch'], site_state(f)), (2, 'up'), 'epoch and site')
        f.bench.api('DELETE', f'/api/v1/jobs/{job}')
        f.nothing_runs()
        spans = sorted(spans_of(f, job))
        need(spans[0][1] < spans[1][0], f'epochs overlap: {spans}')


def main():
    tap = Tap()
    lacking = lacks()
    if lacking:
        tap.skip('a link that is cut', lacking)
        tap.done()
    with Link() as link, Field(link.host, link.prefix) as field:
        for case in (short, flaps, long):
            tap.case(case.__name__, case, field, link)
    tap.done()


if __name__ == '__main__':
    main()
