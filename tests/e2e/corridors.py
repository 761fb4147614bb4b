#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The corridor between a hub and a site, over a wire of 50 ms and 20 Mbit/s: it is measured, data comes at the rate that was granted,
what moved is billed once whatever breaks meanwhile, and over one that is cordoned or closed nothing comes.
"""
import hashlib
import os
import pathlib
import random
import signal
import sys
import threading
import time

from second_door import Door
from site_agent import Field
from wire import Wire
from workbench import FULL, NOT_FOUND, OK, USAGE, Tap, busbar, nano, need, replied, same, wait_for

RTT_US, BITS_S = 50000, 20_000_000
PIECE = 4 << 20
PRICE = '0.3'  # of a GB
GB = 10 ** 9
MODEL = pathlib.Path(os.environ['BUSBAR_BIN']).resolve().parent.parent / 'data' / 'models' / 'stories.gguf'


class Corridor(Field):
    def __init__(self):
        self.wire = Wire(RTT_US / 1e6, BITS_S)
        super().__init__(wire=self.wire)
        self.seed = 0

    def __exit__(self, *exc):
        super().__exit__(*exc)
        self.wire.end()

    def corridor(self):
        return self.bench.api('GET', '/api/v1/corridors/north')

    def input(self, size, seed=None):
        """Bytes that nobody has; put by a client of this machine, which the wire does not hold up."""
        self.seed += 1
        data = random.Random(seed or self.seed).randbytes(size)
        name, have = hashlib.sha256(data).hexdigest(), 0
        while have < size:
            path = f'/api/v1/blobs/{name}?size={size}&offset={have}&tenant=default'
            have = self.bench.request('PUT', path, data[have:have + PIECE], local=True).json()['have']
        return {'name': 'in', 'sha256': name, 'size': size}

    def moved(self, job):
        """What its epochs moved, once all of it is told: the row is closed by then."""
        def told():
            found = self.job(job)
            return 'data' in found and all('transfer' in e and e['final'] for e in found['epochs']) and found
        found = wait_for(told, 'what it moved is told', 40, 0.2)
        return [(e['transfer']['bytes_in'], e['transfer']['bytes_out']) for e in found['epochs']], found

    def coming(self):
        """Whether part of something is at the site, and not all of it."""
        return any(p.stat().st_size > 0 for p in (self.site.data / 'blobs').glob('*.part'))

    def cut(self):
        self.wire.cut()
        time.sleep(1)
        self.wire.heal()

    def kill_agent(self):
        self.site.kill()
        self.site.run()

    def kill_hub(self):
        self.bench.kill()
        self.bench.start()

    def by_corridor(self):
        rows = self.bench.api('GET', '/api/v1/usage?by=corridor')['data']
        return {r['site']: (r['bytes_in'], r['bytes_out'], nano(r['cost'])) for r in rows}


def receipt(f, job):
    """What the last receipt of its figures says, checked."""
    def told():
        reply = f.bench.request('GET', f'/v1/receipts/{job}', local=True)
        found = [{x['name']: x['value'] for x in r['facts']} for r in reply.json()['records']] if reply.status == 200 else []
        return [x for x in found if int(x.get('bytes_in', 0)) > 0] and (reply, found)
    reply, found = wait_for(told, 'its receipt', 20)
    file = f.bench.data / 'receipt.json'
    file.write_bytes(reply.body)
    busbar(OK, 'receipt', 'verify', file, '--key', f.bench.data / 'log' / 'vkey')
    return next(x for x in reversed(found) if 'bytes_in' in x)


def line(size, price=PRICE):
    """What so many bytes cost, half to even."""
    whole, rest = divmod(size * nano(price), GB)
    return whole + (rest * 2 > GB or (rest * 2 == GB and whole % 2))


def measured(f):
    """Without any data, by calls that are made anyway and one small probe."""
    seen = [None]

    def told():
        seen[0] = c = f.corridor()
        return (c['measured'] and c['measured']['there_bits_s'] and c['measured']['rtt_us'] and
                RTT_US <= c['rtt_us'] <= RTT_US * 1.3 and BITS_S * 0.7 <= c['bits_s'] <= BITS_S * 1.1)
    try:  # a machine that stalls is measured as a slow corridor, until it is measured anew
        wait_for(told, 'the corridor is measured', 30, 0.2)
    except AssertionError as e:
        raise AssertionError(f'round trip and rate: {seen[0]}') from e
    found, = seen
    same((found['a'], found['b'], found['state'], found['given'], nano(found['price'])), ('local', 'north', 'up', None, 0), 'corridor')
    same((found['rtt_us'], found['bits_s']), (found['measured']['rtt_us'], found['measured']['there_bits_s']), 'what is planned by')
    need(found['granted_bits_s'] == 0 and found['bytes_jobs'] == 0, found)


def billed(f):
    """At the rate that was granted, which is half of what there is; and what moved is paid for, with what came back."""
    found = busbar(OK, 'corridor', 'set', 'north', '--price', PRICE, '--data', f.bench.data)
    need(PRICE in found.stdout, found.stdout)
    spent, size, out = f.spent(), 3 * PIECE // 2, 1 << 20
    job = f.submit(f'head -c {out} in >out', inputs=[f.input(size)], outputs=['out'])
    f.running(job)
    began = time.monotonic()
    granted = f.corridor()['granted_bits_s']
    need(BITS_S * 0.3 <= granted <= BITS_S * 0.6, f'granted: {granted}')
    same(f.ended(job, 60)['code'], 0, 'code')
    took = time.monotonic() - began
    need(took >= PIECE * 8 / granted, f'{size} bytes at {granted} bits/s in {took} s')
    epochs, found = f.moved(job)
    same(epochs, [(size, out)], 'moved')
    same((nano(found['cost']), nano(found['cost_transfers']), f.spent() - spent), (line(size + out),) * 3, 'cost')
    told = receipt(f, job)
    same([int(told[k]) for k in ('bytes_in', 'bytes_out', 'data_price_nano_gb', 'data_cost_nano')],
         [size, out, nano(PRICE), line(size + out)], 'its receipt')
    same((f.by_corridor()['north'], f.corridor()['bytes_jobs']), ((size, out, line(size + out)), size + out), 'by corridor')
    need('transfers' in busbar(OK, 'job', 'show', job, '--data', f.bench.data).stdout, 'job show')


def cached(f):
    """What a site has is not sent again, and not paid for again. An input of nothing moves nothing."""
    first = f.submit('true', inputs=[f.input(1 << 20, 'again')])
    same(f.moved(first)[0], [(1 << 20, 0)], 'the first')
    spent = f.spent()
    second = f.submit('true', inputs=[f.input(1 << 20, 'again')])
    same((f.moved(second)[0], f.spent() - spent), ([(0, 0)], 0), 'the second')


def near(f):
    """A job goes where another one was, and is planned with what that did not bring."""
    first = f.submit('true', inputs=[f.input(2 << 20, 'near')])
    f.moved(first)
    both = [f.input(2 << 20, 'near'), {**f.input(1000), 'name': 'more'}]
    body = {'tenant': 'default', 'argv': ['/bin/sleep', '0.2'], 'inputs': both}
    job = f.bench.api('POST', '/api/v1/jobs', {**body, 'near': first})['id']
    end = f.ended(job)
    same((end['code'], end['site']), (0, 'north'), end)
    same(f.moved(job)[0], [(1000, 0)], 'moved')
    told = f.bench.api('POST', '/api/v1/dry-run', {**body, 'near': both[0]['sha256'], 'chip': 'cpu'})
    same({p['site'] for p in told['data']}, {'local'}, told)
    same(f.bench.api('POST', '/api/v1/dry-run', {**body, 'near': 'north', 'chip': 'h20'})['data'][0]['site'], 'north', 'a site')
    for what, status in (('south', 404), ('0' * 64, 404), ('019a0000-0000-7000-8000-000000000000', 404)):
        replied(f.bench.request('POST', '/api/v1/jobs', {**body, 'near': what}, local=True), status, what)
    replied(f.bench.request('POST', '/api/v1/jobs', {**body, 'near': first, 'site': 'north'}, local=True), 400, 'both')


def broken(f):
    """The wire is cut while data comes, the hub is killed, and the agent: it goes on from what there is, and is paid for once."""
    for hurt in (f.cut, f.kill_hub, f.kill_agent) if FULL else (f.cut, f.kill_hub):
        spent, size = f.spent(), PIECE + (1 << 20)
        job = f.submit('(echo; head -c 99 in) >out', inputs=[f.input(size)], outputs=['out'])
        wait_for(lambda: f.coming(), 'data comes', 20, 0.05)
        hurt()
        same(f.ended(job, 90)['code'], 0, hurt.__name__)
        epochs, found = f.moved(job)
        same((len(epochs), epochs[-1][0] <= size, epochs[-1][1]), (1, True, 100), f'{hurt.__name__}: {epochs}')
        if hurt != f.kill_agent:  # what it had counted of a blob goes with it
            same(epochs[0][0], size, hurt.__name__)
        same((nano(found['cost']), f.spent() - spent), (line(sum(epochs[0]), f.corridor()['price']),) * 2, hurt.__name__)


def sent_before(f):
    """What went to the hub before its agent was killed is paid for as what went after it."""
    spent, size = f.spent(), PIECE + (2 << 20)
    job = f.submit(f'head -c {size} /dev/urandom >out', outputs=['out'])
    folder = f.bench.data / 'work' / job / '1' / 'put'
    wait_for(lambda: any(p.stat().st_size >= PIECE for p in folder.glob('*')), 'a piece is there', 30, 0.05)
    f.kill_agent()
    same(f.ended(job, 60)['code'], 0, 'code')
    epochs, found = f.moved(job)
    same((epochs, nano(found['cost']), f.spent() - spent), ([(0, size)], *(line(size, f.corridor()['price']),) * 2), 'moved')


def closed(f):
    """Nothing new comes over one that is cordoned; what comes is stopped where it is closed, and waits for its place."""
    weights = {'sha256': '0' * 64, 'offset': 0}
    same(f.site.call(f.wire.hub, '/site/v1/blob', weights)[0], 404, 'weights that it has no reason to have')
    act(f, 'cordon')
    status, answer = f.site.call(f.wire.hub, '/site/v1/blob', weights)
    same((status, answer['error']['code']), (503, 'CORRIDOR'), 'weights')
    job = f.submit('true', inputs=[f.input(1000)])
    waits = wait_for(lambda: (j := f.job(job)).get('why') and j, 'it waits', 10)
    same((waits['state'], waits['why']['bar']), ('queued', 'corridor-down'), waits)
    plain = f.submit('true')
    same(f.ended(plain)['code'], 0, 'one without data')
    act(f, 'resume')
    same(f.ended(job)['code'], 0, 'once it is up again')
    job = f.submit('true', inputs=[f.input(3 * PIECE)])
    wait_for(lambda: f.coming(), 'data comes', 20, 0.05)
    act(f, 'close')
    waits = wait_for(lambda: (j := f.job(job))['state'] == 'queued' and j, 'it is stopped', 10)
    same((waits['epoch'], waits['why']['bar']), (1, 'corridor-down'), waits)
    act(f, 'resume')
    same((f.ended(job, 60)['code'], f.job(job)['epoch']), (0, 2), 'once it is up again')


def requests(f):
    """Of two replicas the near one answers while it is idle; the far one when it is not, or costs less; each change counts at once."""
    names = {s['id']: s['name'] for s in f.bench.api('GET', '/api/v1/sites')['data']}
    busbar(OK, 'model', 'add', 'story', MODEL, '--data', f.bench.data)
    busbar(OK, 'deploy', 'story', '--site', 'local,north', '--replicas', '2', '--slots', '1', '--data', f.bench.data)
    f.bench.wait_ready('story', 2, 60)

    def where(n, door=f.bench):
        """Prompts of their own, so that no prefix is anywhere: which sites answered."""
        replies = [door.chat(model='story', max_tokens=2, messages=[{'role': 'user', 'content': f'{n} {i}'}]) for i in range(n)]
        same([r.status for r in replies], [200] * n, replies[0].body)
        ids = {r.fields['x-request-id'] for r in replies}
        return {names[r['site']] for r in f.bench.records() if r['request'] in ids}
    same(where(6), {'local'}, 'idle')
    door = Door(f.bench, 'elsewhere')
    try:
        door.join()
        door.run()
        same(where(6, door), {'local'}, 'at another door')
    finally:
        door.end()
    near, = f.bench.engines()
    os.kill(near, signal.SIGSTOP)  # so that it is busy for as long as that takes
    answers = []
    first = threading.Thread(target=lambda: answers.append(where(1)))
    first.start()
    try:
        wait_for(lambda: b'busbar_slots_busy 1' in f.bench.request('GET', '/metrics', key=f.bench.operator).body, 'its slot is taken', 5)
        same(where(3), {'north'}, 'the near one is busy')
    finally:
        os.kill(near, signal.SIGCONT)
    first.join()
    same(answers, [{'local'}], 'who came first')
    same(where(4), {'local'}, 'idle again')
    pool, = (p['id'] for p in f.bench.api('GET', '/api/v1/pools')['data'] if p['site'] == 'local')
    # 20 tokens a second of what is not measured: 36 for an hour are 500000 nano-units for a token, 50 s.
    for price, site in (('36', 'north'), ('0', 'local')):
        busbar(OK, 'pool', 'price', pool, price, '--data', f.bench.data)
        wait_for(lambda: where(2) == {site}, f'at a price of {price}', 5)
    busbar(OK, 'undeploy', 'story', '--data', f.bench.data)
    wait_for(lambda: f.bench.deployment('story') is None, 'it is gone', 20)


def act(f, verb):
    found = busbar(OK, 'corridor', verb, 'north', '--data', f.bench.data).stdout
    same({'cordon': 'cordoned', 'close': 'lost', 'resume': 'up'}[verb] in found, True, found)


def refused(f):
    """What is not as it must be changes nothing."""
    before = f.corridor()
    for body in ({}, {'price': -1}, {'price': 'x'}, {'bits_s': -5}, {'bits_s': 1 << 60}, {'energy_wh': 'a'}, {'rate': 5}, [], 'x'):
        replied(f.bench.request('PUT', '/api/v1/corridors/north', body, local=True), 400, body)
    for name in ('south', 'local', '019a0000-0000-7000-8000-000000000000'):
        replied(f.bench.request('GET', f'/api/v1/corridors/{name}', local=True), 404, name)
    busbar(NOT_FOUND, 'corridor', 'show', 'south', '--data', f.bench.data)
    busbar(USAGE, 'corridor', 'set', 'north', '--rate', 'x', '--data', f.bench.data)
    for body in ({}, {'rtt_us': 1 << 40, 'there_bits_s': 0, 'back_bits_s': 0}, {'rtt_us': 'x', 'there_bits_s': 0, 'back_bits_s': 0}):
        same(f.site.call(f.wire.hub, '/site/v1/path', body)[0], 400, body)
    same(f.site.call(f.wire.hub, '/site/v1/probe', {'bytes': 1 << 30})[0], 400, 'a probe that is too large')
    same(f.corridor(), before, 'the corridor')


def boasts(f):
    """A site that tells of more than there was to move is believed no further than that."""
    size = 1000
    job = f.submit('sleep 60', inputs=[f.input(size)])
    wait_for(lambda: (f.site.data / 'work' / job / '1' / 'spec').exists(), 'it has begun', 20)
    nothing = {'files': [], 'left_out': 0, 'bytes': 0}
    kept = {'outputs': nothing, 'checkpoint': nothing, 'in': {'bytes': 10 ** 12, 'fetched': 10 ** 12}, 'sent': 10 ** 12}
    for _ in range(2):
        status, answer = f.site.call(f.wire.hub, '/site/v1/kept', {'job': job, 'epoch': 1, 'kept': kept})
        same(status, 200, answer)
    same([(e['transfer']['bytes_in'], e['transfer']['bytes_out']) for e in f.job(job)['epochs']], [(size, 0)], 'moved')
    same(f.site.call(f.wire.hub, '/site/v1/kept', {'job': job, 'epoch': 2, 'kept': kept})[0], 404, 'another epoch')
    f.bench.api('DELETE', f'/api/v1/jobs/{job}')
    f.nothing_runs()


def given(f):
    """More than an operator says is not planned with; what is assumed is followed."""
    found = f.bench.api('PUT', '/api/v1/corridors/north', {'bits_s': 5_000_000, 'energy_wh': 60})
    same((found['bits_s'], found['given']['bits_s'], found['energy_wh'], found['price']), (5_000_000, 5_000_000, 60, PRICE), found)
    found = f.bench.api('PUT', '/api/v1/corridors/north', {'bits_s': 0})
    same((found['given'], found['bits_s']), (None, found['measured']['there_bits_s']), found)
    f.bench.kill()
    f.bench.start()
    same({**f.corridor(), 'granted_bits_s': 0}, {**found, 'granted_bits_s': 0}, 'after a kill of the hub')


def main():
    tap, wanted = Tap(), sys.argv[1:]  # names of cases, when run by hand
    with Corridor() as field:
        for case in (measured, requests, billed, cached, near, broken, sent_before, closed, boasts, given, refused):
            if not wanted or case.__name__ in wanted:
                tap.case(case.__name__.replace('_', ' '), case, field)
    tap.done()


if __name__ == '__main__':
    main()
