#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hub whose own requests for memory are refused, one or a few in a row, any of them: either there is an answer or an error, or it
ends as it says (abort) and is started again. Nothing that was acknowledged is lost, what was billed is what was sent, and the log is
whole.

ROUNDS=N sets how many, SEED the choices. A round is some requests of every kind; first one without a fault tells how often it asks.
"""
import collections
import mmap
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time

from faultlib import (FULL, HERE, SLOW, Audit, Client, Hub, SlowEngine, Tap, get_status, sanitized, settled, tenant, wait_for)

ROUNDS = int(os.environ.get('ROUNDS', '1500' if FULL else '25'))
SEED = int(os.environ.get('SEED', '1'))
PID, ASKED, FROM, TO, REFUSED, WHERE = range(6)
NEVER = 2 ** 64 - 1


class Control:
    """Of failmem.c. BUSBAR_FAILMEM_SO names the library; else it is compiled here."""

    def __init__(self, folder):
        library = os.environ.get('BUSBAR_FAILMEM_SO')
        if not library:
            library = os.path.join(folder, 'failmem.so')
            subprocess.run(['cc', '-std=gnu17', '-D_GNU_SOURCE', '-O2', '-fPIC', '-shared', '-o', library, HERE / 'failmem.c'],
                           check=True)
        path = os.path.join(folder, 'failmem')
        pathlib.Path(path).write_bytes(bytes(4096))
        with open(path, 'r+b') as f:
            self.map = mmap.mmap(f.fileno(), 4096)
        self.env = {'LD_PRELOAD': os.path.abspath(library), 'BUSBAR_FAILMEM': path}
        self.heal()

    def get(self, what):
        return struct.unpack_from('<Q', self.map, 8 * what)[0]

    def put(self, what, value):
        struct.pack_into('<Q', self.map, 8 * what, value)

    def heal(self):
        self.put(FROM, NEVER)
        self.put(TO, NEVER)

    def refuse(self, n, count):
        """The n-th request from now on, and count in all."""
        at = self.get(ASKED) + n
        self.put(REFUSED, 0)
        self.put(TO, at)
        self.put(FROM, at)
        self.put(TO, at + count)


class Field:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix='bbm-', dir='/tmp')
        self.rng = random.Random(SEED)
        self.control = Control(self.folder)
        self.engine = SlowEngine(pace_s=0.001)
        self.hub = Hub(data=os.path.join(self.folder, 'data'), env=self.control.env)
        self.engine.add_to(self.hub)
        self.responses, self.statuses, self.aborts = [], collections.Counter(), collections.Counter()
        self.tenants, self.keys, self.jobs, self.payments = {}, set(), set(), {}
        self.number = self.reached = 0

    def ask(self, method, path, body=None, key=''):
        """The document that was acknowledged, or None."""
        try:
            reply = self.hub.request(method, path, body, key=key or self.hub.operator, timeout=30)
        except TimeoutError as e:
            raise AssertionError(f'{method} {path} hangs') from e
        except (OSError, ValueError):
            self.statuses['cut'] += 1
            return None
        except AssertionError as e:
            assert str(e).endswith(": b''"), e
            self.statuses['cut'] += 1
            return None
        if len(reply.body) < int(reply.fields.get('content-length', 0)):
            self.statuses['cut'] += 1
            return None
        self.statuses[reply.status] += 1
        if reply.status >= 400:
            assert self.parsed(reply, method, path)['error']['message'], f'{method} {path}: {reply.status} without words'
            return None
        return self.parsed(reply, method, path) if reply.body else {}

    @staticmethod
    def parsed(reply, method, path):
        try:
            return reply.json()
        except ValueError as e:
            raise AssertionError(f'{method} {path}: {reply.status}, not JSON: {reply.body[-300:]}') from e

    def round(self):
        """Requests of every kind; what was acknowledged is kept."""
        self.number += 1
        name = f't{self.number}'
        if self.ask('POST', '/api/v1/tenants', {'name': name, 'budget': '5'}) is not None:
            self.tenants[name] = 5
        got = self.ask('POST', '/api/v1/keys', {'name': name, 'tenant': 'default', 'scopes': ['inference']})
        if got is not None:
            self.keys.add(got['id'])
        if self.ask('POST', '/api/v1/tenants/default/topups', {'id': name, 'amount': '1'}) is not None:
            self.payments[name] = 1
        got = self.ask('POST', '/api/v1/jobs', {'tenant': 'default', 'argv': ['true'], 'name': name})
        if got is not None:
            self.jobs.add(got['id'])
        client = Client(self.hub.port, self.hub.key, timeout=30)
        for stream in (False, True):
            self.responses.append(client.talk(model=SLOW, stream=stream, seed=self.rng.getrandbits(31), max_tokens=4))
            assert not self.responses[-1].timed_out, f'a request hangs: {self.responses[-1]}'
        if not self.hub.alive():
            return
        for path in ('status', 'jobs?limit=20', 'usage', 'usage/records?limit=5', 'tenants', 'models', 'sites', 'ledger/check'):
            self.ask('GET', f'/api/v1/{path}')

    def is_ready(self):
        try:
            return get_status(self.hub, '/readyz') == 200
        except (OSError, AssertionError):
            return False

    def fault(self):
        """One round with a fault, then: it lives, or it aborted and is started again."""
        self.control.refuse(self.rng.randint(1, self.often), self.rng.choice([1, 1, 2, 8]))
        try:
            self.round()
        finally:
            hit = self.control.get(REFUSED)
            self.control.heal()
        self.reached += hit > 0
        if wait_for('ready', lambda: not self.hub.alive() or self.is_ready(), 20, 0.02) and self.hub.alive():
            return
        rc = self.hub.process.wait()
        self.hub.reader.join(20)
        said = '\n'.join(self.hub.lines[-12:])
        assert rc == -signal.SIGABRT and 'Sanitizer' not in said, f'it ended with {rc}, refused in {self.place(self.control.get(WHERE))}: {said}'
        where = re.findall(r'Assertion .*', said)
        assert not where, f'an assertion failed: {where}'
        self.aborts[self.control.get(WHERE)] += 1
        self.restart()

    def restart(self):
        self.control.put(PID, 0)
        self.hub.lines.clear()
        self.hub.start()

    def kept(self):
        """What was acknowledged is there."""
        def names(path, member):
            out, cursor = set(), ''
            while True:
                page = self.hub.request('GET', f'/api/v1/{path}?limit=1000{cursor}', key=self.hub.operator).json()
                out |= {row[member] for row in page['data']}
                if page.get('next') is None:
                    return out
                cursor = f'&cursor={page["next"]}'
        lost = {'tenants': set(self.tenants) - names('tenants', 'name'), 'keys': self.keys - names('keys', 'id'),
                'jobs': self.jobs - names('jobs', 'id')}
        assert not any(lost.values()), f'acknowledged and lost: {lost}'
        for name, amount in self.payments.items():
            again = self.hub.request('POST', '/api/v1/tenants/default/topups', {'id': name, 'amount': str(amount)}, key=self.hub.operator)
            assert again.status == 200 and again.json()['repeated'] is True, \
                f'payment {name} was acknowledged and lost: {again.status}, {again.body!r}'

    def rounds(self):
        before = self.control.get(ASKED)
        for _ in range(3):
            self.round()
        self.often = (self.control.get(ASKED) - before) // 3
        assert self.often > 100, f'it asks {self.often} times: the library does not see it'
        for i in range(ROUNDS):
            try:
                self.fault()
                if i % 50 == 49:
                    self.kept()
            except AssertionError as e:
                raise AssertionError(f'SEED={SEED}, round {i}: {e}') from e
        assert self.reached > ROUNDS // 3, f'{self.reached} faults were reached'
        places = ', '.join(f'{n} x {self.place(where)}' for where, n in self.aborts.most_common())
        statuses = ', '.join(f'{n} x {status}' for status, n in sorted(self.statuses.items(), key=str))
        return f'{ROUNDS} faults of {self.often} requests for memory a round, {self.reached} reached, ' \
               f'{sum(self.aborts.values())} aborts (where it was refused: {places}); answers: {statuses}'

    def place(self, where):
        """The function in which memory was refused."""
        done = subprocess.run(['addr2line', '-f', '-e', self.hub.bin, hex(where - 1)], text=True, capture_output=True, check=False)
        return (done.stdout.splitlines() or [hex(where)])[0]

    def all_there(self):
        self.kept()
        settled(self.hub, 40)
        spent = tenant(self.hub)['spent']
        checked = self.hub.cli('ledger', 'check')
        assert self.hub.stop() == 0
        a = Audit(os.path.join(self.folder, 'data', 'busbar.db'))
        found = a.clients(self.responses, self.engine.sent)
        assert not found, '\n'.join(f'{kind}: {text}' for kind, text in found[:20])
        self.restart()
        assert tenant(self.hub)['spent'] == spent
        self.kept()
        return f'{len(self.tenants)} tenants, {len(self.keys)} keys, {len(self.jobs)} jobs, {len(self.payments)} payments, ' \
               f'{len([r for r in self.responses if r.complete])} answers; {checked.strip().splitlines()[-1]}'

    def log_is_whole(self):
        self.hub.stop()
        done = subprocess.run([self.hub.bin, 'audit', 'verify', os.path.join(self.folder, 'data', 'log')], text=True,
                              capture_output=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip().splitlines()[-1]

    def close(self):
        if self.hub.alive():
            self.hub.kill()
        self.engine.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    tap = Tap()
    if sanitized():
        tap.skip('memory is refused', 'the sanitizer has an allocator of its own')
        tap.done()
        return
    start = time.monotonic()
    field = Field()
    if tap.case('memory is refused, and it goes on', field.rounds):
        tap.case('what was acknowledged is there', field.all_there)
        tap.case('the log is whole', field.log_is_whole)
    tap.note(f'{time.monotonic() - start:.0f} s, seed {SEED}')
    field.close()
    tap.done()


main()
