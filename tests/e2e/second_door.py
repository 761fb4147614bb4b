#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A gateway of its own: it joins, serves through the hub, and whatever dies, what was answered whole is billed once."""
import datetime
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import uuid

from site_agent import free_port
from workbench import FULL, NOT_ALLOWED, NOT_FOUND, OK, USAGE, Bench, Engine, Tap, busbar, nano, need, replied, same, soon, talk, wait_for

SLOTS = 3
ROUNDS = 20 if FULL else 2
RECORD_S = 5  # between two records of a stream
AWAY_S = 3


class Door(Bench):
    """The folder of a gateway, and its process while it runs; it answers as the hub's own door does."""

    def __init__(self, bench, name):  # pylint: disable=super-init-not-called
        self.bench, self.name, self.key = bench, name, bench.key
        self.data = pathlib.Path(tempfile.mkdtemp(prefix='bb-door-', dir='/tmp'))
        self.process, self.port = None, None
        bench.api('POST', '/api/v1/gateways', {'name': name})

    def join(self, status=OK):
        found = self.bench.api('POST', f'/api/v1/gateways/{self.name}/token', {})
        return busbar(status, 'gateway', 'join', found['hub'], '--token', found['token'], '--data', self.data)

    def run(self, wait=True):  # pylint: disable=arguments-differ
        log = open(self.data / 'log', 'wb')
        listen = f'127.0.0.1:{self.port or free_port()}'
        self.port = int(listen.split(':')[1])
        self.process = subprocess.Popen([os.environ['BUSBAR_BIN'], 'gateway', 'run', '--data', str(self.data), '--listen', listen,
                                         '--workers', '2'], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        if wait:
            self.wait_ready()

    def said(self):
        return (self.data / 'log').read_text()

    def call_site(self, hub):
        """What is the sites' at the hub's door."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(self.data / 'pki' / 'gateway.pem', self.data / 'pki' / 'gateway.key')
        host, port = hub.api('POST', '/api/v1/gateways/near/token', {})['hub'].split(':')
        c = http.client.HTTPSConnection(host, int(port), timeout=10, context=context)
        c.request('POST', '/site/v1/orders', json.dumps({'session': str(uuid.uuid4()), 'taken': 0}))
        answer = c.getresponse()
        text = answer.read()
        c.close()
        return answer.status, text

    def status(self, path='/readyz'):
        try:
            return self.request('GET', path, timeout=5).status
        except (OSError, AssertionError):  # it ends just now
            return None

    def wait_ready(self):  # pylint: disable=arguments-differ
        wait_for(lambda: self.status() == 200, f'the door is ready: {self.said()[-800:]}', 20)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):  # pylint: disable=arguments-differ
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def end(self):
        if self.process and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.data)


def refusals(hub, door):
    """A token is for one kind of member, and for one folder; what has not joined does not run."""
    busbar(NOT_FOUND, 'gateway', 'run', '--data', door.data)
    hub.api('POST', '/api/v1/gateways', {'name': 'near'}, status=409)
    hub.api('POST', '/api/v1/gateways', {'name': 'Not a name'}, status=400)
    hub.api('GET', '/api/v1/gateways/nowhere', status=404)
    hub.api('POST', '/api/v1/sites', {'name': 'north'})
    site = hub.api('POST', '/api/v1/sites/north/token', {})
    said = busbar(USAGE, 'gateway', 'join', site['hub'], '--token', site['token'], '--data', door.data)
    need('for a site' in said.stderr, said.stderr)
    found = hub.api('POST', '/api/v1/gateways/near/token', {})
    with tempfile.TemporaryDirectory() as other:
        said = busbar(USAGE, 'site', 'join', found['hub'], '--token', found['token'], '--data', other)
        need('for a gateway' in said.stderr, said.stderr)
    same(hub.api('GET', '/api/v1/gateways/near')['joined'], 'invited', 'joined')


def serves(hub, door):
    reply = door.chat(max_tokens=12)
    same(reply.status, 200, reply.body)
    usage = reply.json()['usage']
    bill = hub.billed(reply.fields['x-request-id'])
    same((bill['prompt_tokens'], bill['completion_tokens'], bill['records']),
         (usage['prompt_tokens'], usage['completion_tokens'], 1), 'billed')
    with door.stream(max_tokens=30, stream_options={'include_usage': True}) as s:
        s.read()
        need(s.done and s.text, s.events)
        bill = hub.billed(s.id)
        same(bill['completion_tokens'], s.usage['completion_tokens'], 'tokens of the stream')
    same(door.request('GET', '/v1/models').json(), hub.request('GET', '/v1/models').json(), 'models')
    same((door.chat(key='bb_' + 'x' * 62).status, door.chat(model='none').status), (401, 404), 'refusals')
    same((door.status('/healthz'), door.status('/metrics'), door.status('/api/v1/tenants')), (200, 403, 404), 'other paths')
    metrics = door.request('GET', '/metrics', key=hub.operator).body.decode()
    need('busbar_hub_in_touch 1' in metrics and 'outcome="ok"} 2' in metrics, metrics)
    table = hub.run('gateway', 'list').stdout
    need('near' in table and 'yes' in table, table)
    need(hub.key not in door.said() and hub.key.encode() not in b''.join(p.read_bytes() for p in door.data.rglob('*') if p.is_file()),
         'a secret is at the gateway')


def rules_hold(hub, door):
    """A gateway has the rules in force, and judges its requests by them as the hub does."""
    hub.api('PUT', '/api/v1/rules', {'text': 'deny not-here\n when tenant.name = default and job.kind = inference\n'
                                             ' because "it is said so" cite "policy 1"\n' + '# more than one part\n' * 60})
    for at in (hub, door):
        reply = wait_for(lambda at=at: (r := at.chat(max_tokens=2)).status == 403 and r, 'refused')
        need('not-here' in reply.json()['error']['message'], reply.body)
    hub.api('DELETE', '/api/v1/rules')
    for at in (hub, door):
        wait_for(lambda at=at: at.chat(max_tokens=2).status == 200, 'lifted')


class Trunk:
    """A trunk by hand, as a gateway that says what it should not."""

    def __init__(self, door, greet=True):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(door.data / 'pki' / 'gateway.pem', door.data / 'pki' / 'gateway.key')
        host, port = json.loads((door.data / 'gateway.json').read_text())['hub'].split(':')
        self.sock = context.wrap_socket(socket.create_connection((host, int(port)), 10))
        self.sock.sendall(b'POST /gateway/v1/trunk HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: busbar-trunk\r\n'
                          b'Content-Length: 2\r\n\r\n{}')
        self.raw = b''
        while b'\r\n\r\n' not in self.raw:
            self.raw += self.sock.recv(4096)
        self.open = self.raw.startswith(b'HTTP/1.1 101 ')
        need(self.open or not greet, self.raw)
        if not greet:
            return
        self.raw = self.raw.partition(b'\r\n\r\n')[2]
        self.say(1, struct.pack('<H', 1) + uuid.uuid4().bytes)
        same(self.hear(16), b'\0', 'welcome of a new process')

    def say(self, kind, payload):
        self.sock.sendall(struct.pack('<IB', len(payload), kind) + payload)

    def event(self, kind, payload, token):
        self.say(2, struct.pack('<HHqQ', 1, kind, 0, token) + payload)

    def hear(self, wanted):
        """The next frame of that type; None: the hub has cut the connection."""
        while True:
            while len(self.raw) < 5 or len(self.raw) < 5 + struct.unpack_from('<I', self.raw)[0]:
                try:
                    data = self.sock.recv(65536)
                except (ConnectionResetError, ssl.SSLError):
                    data = b''
                if not data:
                    return None
                self.raw += data
            size, kind = struct.unpack_from('<IB', self.raw)
            payload, self.raw = self.raw[5:5 + size], self.raw[5 + size:]
            if kind == wanted:
                return payload

    def code(self, token):
        found, code, _ = struct.unpack('<Qiq', self.hear(17))
        same(found, token, 'token')
        return code


WORKER_JOIN, LEASE_RETURN, TENANT_BUDGET = 40, 42, 11
WORKERS_MAX = 64


def says_too_much(hub, door):
    """A gateway speaks for its own workers, of leases and records; for all else it is cut off. The other door goes on."""
    other = Door(hub, 'far')
    try:
        other.join()
        trunk, worker, lease = Trunk(other), uuid.uuid4().bytes, uuid.uuid4().bytes
        back = lease + struct.pack('<qIQ', 0, 1, 1)
        trunk.event(LEASE_RETURN, worker + back, 1)
        same(trunk.code(1), -9, 'of a worker that has not joined')
        trunk.event(WORKER_JOIN, worker, 2)
        same(trunk.code(2), 0, 'joined')
        trunk.event(LEASE_RETURN, worker + back, 3)
        same(trunk.code(3), -2, 'of no lease')
        same(hub.api('GET', '/api/v1/gateways/far')['workers'], 1, 'workers')
        before = hub.tenant()
        tenant = uuid.UUID(hub.tenant()['id']).bytes
        trunk.event(TENANT_BUDGET, tenant + struct.pack('<q', 10**15) + uuid.uuid4().bytes, 4)
        same(trunk.hear(17), None, 'it is cut off')
        same(hub.tenant(), before, 'the tenant')
        for bad in (b'\xff' * 64, struct.pack('<IB', 1, 16) + b'\1', struct.pack('<IB', 0, 2)):
            trunk = Trunk(other)
            trunk.sock.sendall(bad)
            same(trunk.hear(17), None, f'cut off after {bad!r}')
        trunk = Trunk(other)
        for i in range(WORKERS_MAX):
            trunk.event(WORKER_JOIN, uuid.uuid4().bytes, i + 1)
            same(trunk.code(i + 1), 0, f'worker {i}')
        trunk.event(WORKER_JOIN, uuid.uuid4().bytes, WORKERS_MAX + 1)
        same(trunk.hear(17), None, 'cut off at one worker more than a gateway may have')
        status, said = other.call_site(hub)
        same(status, 403, said)
    finally:
        hub.api('DELETE', '/api/v1/gateways/far')
        other.end()
    replied(door.chat(max_tokens=2), 200, 'the other door')


def says_nothing(hub, door):
    """A few connections may wait to greet, five seconds long; who speaks before is cut off at once. The gateway itself is let in meanwhile."""
    other = Door(hub, 'mute')
    ping = struct.pack('<IB', 8, 3) + bytes(8)
    try:
        other.join()
        early = Trunk(other, greet=False)
        early.sock.sendall(ping)
        early.raw = b''
        same(early.hear(22), None, 'an answer before the greeting')
        for _ in range(4):  # this machine may stall for as long as they may be silent
            began = time.monotonic()
            mute = [Trunk(other, greet=False) for _ in range(12)]
            waits = [t for t in mute if t.open]
            if time.monotonic() - began < 4:
                break
            for t in waits:
                t.sock.close()
            time.sleep(6)
        same(len(waits), 4, 'connections that wait')
        need(b'HTTP/1.1 4' in mute[-1].raw or b'HTTP/1.1 5' in mute[-1].raw, mute[-1].raw)
        for t in waits:
            t.raw = b''
            same(t.hear(22), None, 'it is cut off')
        took = time.monotonic() - began
        need(4.5 < took < 25, f'{took:.1f} s')
        trunk = Trunk(other)
        trunk.sock.sendall(ping)
        need(trunk.hear(22) is not None, 'one that greets')
    finally:
        hub.api('DELETE', '/api/v1/gateways/mute')
        other.end()
    replied(door.chat(max_tokens=2), 200, 'the other door')


def revoked(hub, door):
    def once():
        key = hub.add_key('short')
        wait_for(lambda: door.chat(key=key['key'], max_tokens=1).status == 200, 'the new key is known', 5)
        hub.api('DELETE', f"/api/v1/keys/{key['id']}")
        start = time.monotonic()
        wait_for(lambda: door.chat(key=key['key'], max_tokens=1).status == 401, 'the key is refused', 5)
        return time.monotonic() - start
    return f'refused after {soon(1.5, once):.2f} s'


def both_doors(hub, door):
    """One budget, spent at two doors at once: never overrun, and spent to the end."""
    hub.api('POST', '/api/v1/tenants', {'name': 'both', 'budget': '0.002'})
    key = hub.add_key('both', tenant='both')['key']
    wait_for(lambda: door.chat(key=key, max_tokens=1).status == 200, 'the key is known', 5)
    spent, over, bodies = [0] * 8, [], []

    def client(i):
        while True:
            reply = (door if i % 2 else hub).chat(key=key, max_tokens=8)
            if reply.status == 200:
                spent[i] += 1
            elif reply.status == 402:
                return
            elif reply.status != 429:
                bodies.append((reply.status, reply.body))
                return

    def watch():
        while any(t.is_alive() for t in threads):
            now = hub.tenant('both')
            if now['spent'] + now['held'] > now['budget']:
                over.append(now)
            time.sleep(0.05)
    threads = [threading.Thread(target=client, args=(i,)) for i in range(len(spent))]
    watcher = threading.Thread(target=watch)
    for t in [*threads, watcher]:
        t.start()
    for t in [*threads, watcher]:
        t.join()
    same((over, bodies), ([], []), 'over the budget, and other answers')
    need(sum(spent[0::2]) > 0 and sum(spent[1::2]) > 0, 'both doors answered', spent)
    now = hub.settle('both')
    records = hub.records('both')
    same(now['spent'], sum(nano(r['cost']) for r in records), 'spent and records')
    finals = [r['request'] for r in records if 'final' in r['flags']]
    same((len(finals), len(set(finals))), (sum(spent) + 1, sum(spent) + 1), 'final records')
    need(now['spent'] <= now['budget'], now)
    return f'{sum(spent[0::2])} at the hub, {sum(spent[1::2])} at the gateway'


def slots_are_shared(_hub, door, engine):
    """An engine never gets more than it has slots, over both doors."""
    seen, at_once, lock, script = [], [0], threading.Lock(), engine.script

    def counted(request, path, body):
        with lock:
            at_once[0] += 1
            seen.append(at_once[0])
        time.sleep(0.05)
        with lock:  # before the answer: with that the slot is free
            at_once[0] -= 1
        script(request, path, body)
    engine.script, replies = counted, []
    threads = [threading.Thread(target=lambda d=d: replies.append(d.chat(model='slow', max_tokens=1).status))
               for d in (door, door.bench) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    engine.script = script
    same(replies, [200] * 16, 'answers')
    need(max(seen) <= SLOTS, seen)
    same(set(engine.paths), {'/base/v1/chat/completions'}, 'paths')


def engine_away(hub, door):
    """What has not reached an engine is asked again: who comes while it is away for a moment waits, at either door."""
    with Engine(talk(0.01)) as engine:
        hub.add_url_model('away', engine.url)
        hub.wait_ready('away')
        wait_for(lambda: door.chat(model='away', max_tokens=1).status == 200, 'the gateway knows it', 5)
    replies = []
    threads = [threading.Thread(target=lambda d=d: replies.append(d.chat(model='away', max_tokens=1))) for d in (door, hub)]
    for t in threads:
        t.start()
    time.sleep(1)
    with Engine(talk(0.01), engine.server_address[1]):
        for t in threads:
            t.join()
        same([(r.status, r.body if r.status != 200 else b'') for r in replies], [(200, b'')] * 2, 'answers')
        same(hub.run('undeploy', 'away').returncode, OK, 'undeploy')
        wait_for(lambda: hub.deployment('away') is None, 'it is gone', 15)


def no_door_starves(hub, door):
    """While the hub's own queue is never empty, requests at the gateway have their turn, at each of two replicas."""
    with Engine(talk(0.01)) as engine:
        hub.api('POST', '/api/v1/models', {'name': 'pair', 'source': engine.url, 'engine': 'url', 'kind': 'chat', 'context': 512})
        hub.api('POST', '/api/v1/deployments', {'model': 'pair', 'slots': 1, 'replicas': 2})
        hub.wait_ready('pair', 2)
        wait_for(lambda: door.chat(model='pair', max_tokens=1).status == 200, 'the gateway knows it', 5)
        stop, wrong = threading.Event(), []

        def client():
            while not stop.is_set():
                reply = hub.chat(model='pair', max_tokens=5)
                if reply.status != 200:
                    wrong.append(reply.body)
        threads = [threading.Thread(target=client) for _ in range(8)]
        for t in threads:
            t.start()
        start = time.monotonic()
        replies = [door.chat(model='pair', max_tokens=5).status for _ in range(5)]
        took = time.monotonic() - start
        stop.set()
        for t in threads:
            t.join()
        hub.api('DELETE', '/api/v1/deployments/pair')
        wait_for(lambda: hub.deployment('pair') is None, 'undeployed', 40)
    same((replies, wrong), ([200] * 5, []), 'answers')
    need(took < 30, took)
    return f'5 answers in {took:.1f} s'


def door_dies(hub, door):
    """Killed in the middle of a stream: what was delivered is billed once at most, and its leases are void when it is back."""
    hub.api('POST', '/api/v1/tenants', {'name': 'dies', 'budget': '1'})
    key = hub.add_key('dies', tenant='dies')['key']
    wait_for(lambda: door.chat(key=key, max_tokens=1).status == 200, 'the key is known', 5)
    with door.stream(key=key, model='slow', max_tokens=400) as s:
        s.read(5)
        wait_for(lambda: hub.records_of(s.id), 'its first record')
        door.kill()
        s.read()
        need(s.broken and not s.done, 'the stream ended')
    need(hub.tenant('dies')['held'] > 0, 'a lease is held')
    same(door.status(), None, 'the door')
    door.run()
    same(hub.tenant('dies')['held'], 0, 'held')
    found = hub.records_of(s.id)
    need(0 < sum(r['completion_tokens'] for r in found) <= s.chunks and not any('final' in r['flags'] for r in found), found, s.chunks)


def moment(text):
    return datetime.datetime.fromisoformat(text.replace('Z', '+00:00'))


def hub_dies(hub, door):
    """What a stream delivered is billed once the hub is back, exactly, and for when it was; meanwhile nothing begins."""
    with door.stream(model='slow', max_tokens=400) as s:
        s.read(5)
        hub.kill()
        wait_for(lambda: door.status() == 503, 'the door is not ready', 10)
        reply = door.chat(max_tokens=2)
        same(reply.status, 503, reply.body)
        need('retry-after' in reply.fields, reply.fields)
        time.sleep(RECORD_S + AWAY_S)  # a record is made meanwhile, and waits for the hub
        hub.start()
        s.read()
        need(s.error and not s.done, s.events[-2:])
    bill = hub.billed(s.id, 10)
    same(bill['completion_tokens'], s.chunks, 'billed and delivered')
    waited = [(moment(r['time']) - moment(r['used'])).total_seconds() for r in hub.records_of(s.id)]
    need(all(0 <= w < 60 for w in waited) and max(waited) >= AWAY_S - 1, waited)
    door.wait_ready()
    hub.wait_ready()
    replied(door.chat(max_tokens=2), 200, 'afterwards')


def dies_again(hub, door, kill):
    """Killed while short answers come: each that came whole has one final record with its tokens, and no request has two."""
    whole, stop = {}, threading.Event()

    def client():
        while not stop.is_set():
            try:
                reply = door.chat(max_tokens=4)
            except (OSError, AssertionError):
                continue
            if reply.status == 200:
                whole[reply.fields['x-request-id']] = reply.json()['usage']['completion_tokens']
    threads = [threading.Thread(target=client) for _ in range(4)]
    for t in threads:
        t.start()
    for _ in range(ROUNDS):
        before = len(whole)
        wait_for(lambda n=before: len(whole) > n + 5, 'answers', 30)
        kill()
    before = len(whole)
    wait_for(lambda: len(whole) > before + 5, 'answers at the end', 30)
    stop.set()
    for t in threads:
        t.join()
    finals = {}
    for r in hub.records():
        if 'final' in r['flags']:
            finals.setdefault(r['request'], []).append(r['completion_tokens'])
    same({i: finals.get(i) for i in whole}, {i: [n] for i, n in whole.items()}, 'final records of whole answers')
    same([i for i, n in finals.items() if len(n) > 1], [], 'requests with two')
    now = hub.tenant()
    same(now['spent'], sum(nano(r['cost']) for r in hub.records('default')), 'spent and records')
    return f'{len(whole)} answers, {ROUNDS} times'


def kill_hub(hub):
    hub.kill()
    hub.start()


def kill_door(door):
    door.kill()
    door.run()


def forgotten(hub, door):
    """One that is not heard of for longer than the lease holds nothing; when it is back it begins anew."""
    replied(door.chat(max_tokens=2), 200, 'before')
    door.process.send_signal(signal.SIGSTOP)
    wait_for(lambda: hub.api('GET', '/api/v1/gateways/near')['workers'] == 0, 'its workers are gone', 40, 0.2)
    same(hub.tenant()['held'], 0, 'held')
    door.process.send_signal(signal.SIGCONT)
    wait_for(lambda: 'forgotten this process' in door.said(), 'it begins anew', 10)
    door.wait_ready()
    replied(door.chat(max_tokens=2), 200, 'afterwards')


def stops(hub, door):
    """SIGTERM lets a stream end; then it starts again."""
    with door.stream(model='slow', max_tokens=40, stream_options={'include_usage': True}) as s:
        s.read(2)
        door.process.send_signal(signal.SIGTERM)
        s.read()
        need(s.done, s.events[-2:])
        same(hub.billed(s.id)['completion_tokens'], s.usage['completion_tokens'], 'billed')
    same(door.process.wait(20), 0, 'status')
    hub.settle()
    door.run()
    replied(door.chat(max_tokens=2), 200, 'afterwards')


def ends_when_lost(hub, door, first):
    """Another process with its name has taken its place when it is asked to end, before or after: it ends, and does not begin anew."""
    with door.stream(model='slow', max_tokens=400) as s:
        s.read(2)
        if first == 'asked':
            door.process.send_signal(signal.SIGTERM)
            wait_for(lambda: 'draining' in door.said(), 'it drains')
        trunk = Trunk(door)
        wait_for(lambda: 'forgotten this process' in door.said(), 'it is lost', every_s=0.001)
        if first == 'lost':
            door.process.send_signal(signal.SIGTERM)
        status = door.process.wait(60)
        trunk.sock.close()
    # Whoever is asked between the two ends without having heard it.
    need(status in (0, -signal.SIGTERM), status, door.said()[-1000:])
    door.run()
    replied(door.chat(max_tokens=2), 200, 'afterwards')


def many_sites(hub, door):
    """As many sites as a hub can have: the door, which counts itself as one more, still hears what is new."""
    n = 0
    while (reply := hub.request('POST', '/api/v1/sites', {'name': f'more-{n}'}, local=True)).status == 201:
        n += 1
    need(reply.status == 507 and n > 30, n, reply.status, reply.body)
    key = hub.add_key('late')['key']
    wait_for(lambda: door.chat(key=key, max_tokens=1).status == 200, 'the new key is known', 10)


def removed(hub, door):
    """It is out at once: its streams end, and it ends itself."""
    with door.stream(model='slow', max_tokens=400) as s:
        s.read(2)
        same(hub.run('gateway', 'remove', 'near').returncode, OK, 'removed')
        start = time.monotonic()
        s.read()
        need(not s.done, 'the stream ended well')
    same(door.process.wait(20), NOT_ALLOWED, door.said())
    took = time.monotonic() - start
    same(hub.api('GET', '/api/v1/gateways')['data'], [], 'gateways')
    same(hub.settle()['held'], 0, 'held')
    door.run(wait=False)
    same(door.process.wait(20), NOT_ALLOWED, door.said())
    need('will not have this gateway' in door.said(), door.said())
    return f'it ended after {took:.1f} s'


def main():
    tap = Tap()
    args = ['--site-listen', f'127.0.0.1:{free_port()}', '--listen', f'127.0.0.1:{free_port()}', '--lease', '4']
    with Bench(args) as hub, Engine(talk(0.02)) as engine:
        hub.api('PUT', '/api/v1/models/stories/price', {'price_prompt': '1', 'price_completion': '1'})
        hub.add_url_model('slow', engine.url + '/base', slots=SLOTS, price_prompt='1', price_completion='1')
        hub.wait_ready()
        door = Door(hub, 'near')
        try:
            tap.case('who may join', refusals, hub, door)
            door.join()
            door.run()
            tap.case('a second door serves, and is billed', serves, hub, door)
            tap.case('rules at both doors', rules_hold, hub, door)
            tap.case('what a gateway may not say', says_too_much, hub, door)
            tap.case('who says nothing', says_nothing, hub, door)
            tap.case('a revoked key', revoked, hub, door)
            tap.case('one budget at two doors', both_doors, hub, door)
            tap.case('slots of one engine', slots_are_shared, hub, door, engine)
            tap.case('an engine is away for a moment', engine_away, hub, door)
            tap.case('no door starves', no_door_starves, hub, door)
            tap.case('the door dies in the middle of a stream', door_dies, hub, door)
            tap.case('the hub dies in the middle of a stream', hub_dies, hub, door)
            tap.case('the hub dies while answers come', dies_again, hub, door, lambda: kill_hub(hub))
            tap.case('the door dies while answers come', dies_again, hub, door, lambda: kill_door(door))
            if FULL:
                tap.case('a gateway that is forgotten', forgotten, hub, door)
            tap.case('a door stops and starts', stops, hub, door)
            for first in ('asked', 'lost'):
                tap.case(f'another process is the gateway; it was first {first}', ends_when_lost, hub, door, first)
            tap.case('as many sites as there can be', many_sites, hub, door)
            tap.case('a gateway is removed', removed, hub, door)
        finally:
            door.end()
    tap.done()


if __name__ == '__main__':
    main()
