#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The disk of a hub is full, a small one of its own, while a site reports: nothing that was acknowledged is lost, the hub says that
it is not ready, and goes on when there is room. The site keeps what it has to tell, and tells it once.
"""
import errno
import json
import os
import pathlib
import subprocess
import tempfile
import time
import uuid

from faultlib import FULL, DiskFaults, Tap, get_status
from second_door import WORKER_JOIN, Door, Trunk
from site_agent import Field, counted, free_port, runs_of
from site_disk import Disk
from workbench import Bench, nano, need, same, wait_for

PRICE = '7.2'
LINES = 400




def unready(f):
    return get_status(f.bench, '/readyz') == 503


def whole(f, job, text):
    """Its end, its output, its record and its bill."""
    end = f.ended(job, 60)
    same((end['state'], end['end'], end['code'], end['epoch'], runs_of(f, job)), ('ended', 'exited', 0, 1, 1), 'end')
    wait_for(lambda: f.logs(job) == text, f'its output: {f.logs(job)[-80:]}', 30, 0.2)
    path = f.bench.data / 'work' / job / '1' / 'exit'
    wait_for(path.exists, 'its record', 20, 0.2)
    usage = json.loads(path.read_text())['usage']
    row = wait_for(lambda: (j := f.job(job))['epochs'][0]['final'] and j, 'its last figures', 20, 0.2)
    epoch, = row['epochs']
    same((epoch['ms'], epoch['chip_ms']), (usage['ms'], usage['chips'][0]['chip_ms']), 'metered')
    same(nano(row['cost']), nano(PRICE) * epoch['chip_ms'] // 3600000, 'cost')
    return nano(row['cost'])


def full(f, disk):
    lines = b''.join(b'line %d\n' % i for i in range(LINES))
    say = f'i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done'
    taken = refused = 0
    for _ in range(20 if FULL else 1):
        before = f.spent()
        jobs = [f.submit(counted(f, f'sleep {0.5 + i}; {say}')) for i in range(3)]
        wait_for(lambda: all(runs_of(f, j) for j in jobs), 'they have begun', 20)
        disk.fill()
        # What comes is acknowledged and durable, or refused; sooner or later nothing has room.
        more, until = [], time.monotonic() + 30
        while not unready(f) and time.monotonic() < until:
            disk.fill()
            job = f.try_submit(counted(f, say), chip='h20', chips=1)
            more += [job] if job else []
            refused += not job
            f.bench.request('PUT', f.price, {'price': PRICE}, local=True)
        need(unready(f), 'the hub is not ready while its disk is full')
        same(get_status(f.bench, '/healthz'), 200, 'it lives')
        time.sleep(3.5)  # all of the jobs end at the site meanwhile
        disk.fill()
        need(f.bench.alive() and f.site.process.poll() is None, 'hub and agent live')
        disk.free()
        wait_for(lambda: not unready(f), 'ready again', 10)
        cost = sum(whole(f, job, lines) for job in jobs + more)
        same(f.spent() - before, cost, 'what left the wallet')
        taken += len(jobs) + len(more)
    return f'{taken} jobs acknowledged, {refused} refused while it was full'


def log_has_room(f, disk):
    """SQLite's log has room within itself, so that commits go on where no file can be written: an end waits for its record."""
    log, same_for, size = f.bench.data / 'busbar.db-wal', 0, 0
    while same_for < 50:  # its pages are used again from the first on
        f.bench.api('PUT', f.price, {'price': PRICE})
        same_for, size = (same_for + 1, size) if log.stat().st_size == size else (0, log.stat().st_size)
    for _ in range(20 if FULL else 1):
        jobs = [f.submit(counted(f, f'sleep {1 + i / 2}')) for i in range(3)]
        wait_for(lambda: all(runs_of(f, j) for j in jobs), 'they have begun', 20)
        disk.fill()
        until = time.monotonic() + 4
        while time.monotonic() < until and not unready(f):
            for job in jobs:
                row = f.job(job)
                need(row['state'] == 'running' or (f.bench.data / 'work' / job / '1' / 'exit').exists(), f'no record, and over: {row}')
            time.sleep(0.1)
        need(not unready(f), 'the log had no room')
        disk.free()
        for job in jobs:
            whole(f, job, b'')


def killed(f, disk):
    """And the hub is killed while its disk is full; it starts when there is room, and has all that it acknowledged."""
    for _ in range(5 if FULL else 1):
        jobs = [f.submit(counted(f, 'sleep 1; echo end')) for _ in range(3)]
        wait_for(lambda: all(runs_of(f, j) for j in jobs), 'they have begun', 20)
        disk.fill()
        f.bench.kill()
        time.sleep(1.5)
        disk.free()
        f.bench.start()
        for job in jobs:
            whole(f, job, b'end\n')


def says_again():
    """What a gateway says in order and the hub cannot record is not answered: the hub cuts it off, and it says it all again."""
    with tempfile.TemporaryDirectory(prefix='bb-', dir='/tmp') as folder:
        faults = DiskFaults(folder)
        with Bench(['--site-listen', f'127.0.0.1:{free_port()}', '--no-model'], env=faults.env) as hub:
            door = Door(hub, 'near')
            try:
                door.join()
                trunk = Trunk(door)
                trunk.event(WORKER_JOIN, uuid.uuid4().bytes, 1)
                same(trunk.code(1), 0, 'while the disk is well')
                faults.fail('sync', errno.EIO)
                trunk.event(WORKER_JOIN, uuid.uuid4().bytes, 2)
                same(trunk.hear(17), None, 'while it fails')
                need(faults.hits(), 'the fault missed')
                faults.heal()
                wait_for(lambda: get_status(hub, '/readyz') == 200, 'ready again')
                trunk = Trunk(door)
                trunk.event(WORKER_JOIN, uuid.uuid4().bytes, 1)
                same(trunk.code(1), 0, 'again')
            finally:
                door.end()


def main():
    tap = Tap()
    tap.case('a gateway says again what the disk did not take', says_again)
    if os.getuid() != 0:
        tap.skip('a full disk at a hub', 'mounting needs root')
        tap.done()
    folder = pathlib.Path(tempfile.mkdtemp(prefix='bb-', dir='/tmp'))
    disk = Disk(folder, 24)
    try:
        with Field(data=folder) as field:
            wait_for(lambda: any(p['site'] == 'north' for p in field.bench.api('GET', '/api/v1/pools')['data']), 'its pool', 20)
            field.price = f'/api/v1/pools/{field.pool()["id"]}/price'
            field.bench.api('PUT', field.price, {'price': PRICE})
            tap.case('the disk of a hub is full while a site reports', full, field, disk)
            tap.case('the log of the database has room when the disk is full', log_has_room, field, disk)
            tap.case('the hub is killed while its disk is full', killed, field, disk)
    finally:
        disk.end()
        subprocess.run(['rmdir', str(folder)], check=False)
    tap.done()


if __name__ == '__main__':
    main()
