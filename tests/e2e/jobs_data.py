#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Data of jobs: inputs lie in a job's folder before it starts, outputs are kept, a checkpoint goes where the job goes. At the
hub's own machine and at a site; whoever is killed meanwhile, it goes on from where it was; another tenant has none of it.
"""
import fcntl
import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid

from site_agent import Field
from workbench import FAILED, FULL, NOT_FOUND, OK, USAGE, Bench, Tap, need, replied, same, wait_for

PIECE = 4 << 20  # of one call


def sha(data):
    return hashlib.sha256(data).hexdigest()


def noise(n, seed=1):
    return random.Random(seed).randbytes(n)


class Data(Field):
    """A hub with its own machine, a site, and a folder of ours."""

    def __init__(self):
        super().__init__()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='bb-data-', dir='/tmp'))

    def __exit__(self, *exc):
        shutil.rmtree(self.folder)
        super().__exit__(*exc)

    def put(self, data, tenant='default', **how):
        """All of it, as a client that asks what there is; the last answer."""
        name, have = sha(data), 0
        while True:
            found = self.piece(name, len(data), have, data[have:have + PIECE], tenant, **how).json()
            have = found['have']
            if found['whole']:
                return found

    def piece(self, name, size, offset, data, tenant='default', key=None):
        path = f'/api/v1/blobs/{name}?size={size}&offset={offset}'
        if key is None:
            return self.bench.request('PUT', f'{path}&tenant={tenant}', data, local=True)
        return self.bench.request('PUT', path, data, key=key)

    def have(self, name, tenant='default'):
        return self.bench.api('GET', f'/api/v1/blobs/{name}/have?tenant={tenant}')

    def input(self, name, data, **more):
        self.put(data)
        return {'name': name, 'sha256': sha(data), 'size': len(data), **more}

    def here(self, script, **fields):
        """At the hub's own machine."""
        return self.submit(script, chip='cpu', **fields)

    def file(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def outputs(self, job):
        """By name; what they are is fetched and compared."""
        found = self.job(job)
        for o in found['outputs']:
            need(self.read(o['sha256'], o['size']) is not False, o)
        return {o['name']: (o['size'], o['sha256']) for o in found['outputs']}

    def read(self, name, size, tenant='default'):
        """The bytes, if they are what they are called."""
        out = b''
        while len(out) < size:
            reply = self.bench.request('GET', f'/api/v1/blobs/{name}?tenant={tenant}&offset={len(out)}', local=True)
            same(reply.status, 200, reply.body[:200])
            need(reply.body, 'it ends early')
            out += reply.body
        return sha(out) == name and out


def is_of(*files):
    return {name: (len(data), sha(data)) for name, data in files}


# ---- blobs ----

def pieces(d):
    """What came is kept over a kill of the hub, and goes on; wrong bytes leave nothing; wrong names are refused."""
    data = noise(3 * PIECE + 17)
    name = sha(data)
    same(d.have(name), {'sha256': name, 'have': 0, 'whole': False}, 'nothing')
    same(d.piece(name, len(data), 0, data[:PIECE]).json()['have'], PIECE, 'have')
    d.bench.kill()
    d.bench.start()
    same(d.have(name)['have'], PIECE, 'after a kill')
    same(d.piece(name, len(data), 5, data[5:100]).json()['have'], PIECE, 'one that came before')
    same(d.put(data), {'sha256': name, 'have': len(data), 'whole': True}, 'whole')
    need(d.read(name, len(data)) == data, 'bytes')
    busy(d)
    other = sha(b'something else')
    reply = d.piece(other, 14, 0, b'somethinG else')
    same((reply.status, d.have(other)['have']), (422, 0), 'other bytes')
    for bad in (name[:-1], name.upper(), name + '0', '..%2f' + name[5:], 'x' * 64):
        replied(d.piece(bad, 1, 0, b'a'), 400, bad)
    for size, offset in (('x', 0), (-1, 0), (4, 5), (1 << 50, 0), ('', 0)):
        replied(d.piece(name, size, offset, b'a'), 400, (size, offset))
    replied(d.piece(other, 100 << 20, 0, b'a' * (PIECE + 1)), 413, 'a piece that is too long')
    replied(d.bench.request('GET', f'/api/v1/blobs/{other}?tenant=default', local=True), 404, 'one that is not there')


def busy(d):
    """While one call hashes a blob the others wait, and no thread of the hub with them: all else is answered."""
    data = noise(PIECE + 1, 9)
    name = sha(data)
    same(d.piece(name, len(data), 0, data[:PIECE]).json()['have'], PIECE, 'have')
    part, = (d.bench.data / 'blobs').glob(f'*/{name}.part')
    replies = []
    ends = [threading.Thread(target=lambda: replies.append(d.piece(name, len(data), PIECE, data[PIECE:]).json())) for _ in range(24)]
    with part.open('rb') as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for t in ends:
            t.start()
        time.sleep(1)
        same(d.have(name)['have'], PIECE, 'another call')
        same(replies, [], 'none has written')
    for t in ends:
        t.join(30)
    same(replies, [{'sha256': name, 'have': len(data), 'whole': True}] * len(ends), 'answers')
    need(d.read(name, len(data)) == data, 'bytes')


def others(d):
    """A digest is no right: who knows it learns nothing, and cannot have a job read it."""
    data = b'a secret of ours\n'
    d.put(data)
    d.bench.api('POST', '/api/v1/tenants', {'name': 'stranger', 'budget': '5'})
    key = d.bench.add_key('s', tenant='stranger', scopes=['jobs'])['key']
    none = d.bench.add_key('n', tenant='default')['key']
    path = f'/api/v1/blobs/{sha(data)}'
    replied(d.bench.request('GET', path, key=key), 404, 'read')
    same(d.bench.request('GET', f'{path}/have', key=key).json()['have'], 0, 'have')
    for way in (path, f'{path}/have'):
        replied(d.bench.request('GET', f'{way}?tenant=default', key=key), 404, 'of another tenant')
        replied(d.bench.request('GET', way, key=none), 403, 'a key without the scope')
    replied(d.piece(sha(data), len(data), 0, data, key=none), 403, 'a key without the scope')
    body = {'argv': ['cat', 'f'], 'inputs': [{'name': 'f', 'sha256': sha(data), 'size': len(data)}]}
    reply = d.bench.request('POST', '/api/v1/jobs', body, key=key)
    same((reply.status, 'send it first' in reply.json()['error']['message']), (400, True), reply.body)
    # The site has no reason to have it either.
    job = d.submit('sleep 20')
    d.running(job)
    hub = json.loads((d.site.data / 'site.json').read_text())['hub']
    for ask in ({'job': job, 'epoch': 1}, {'job': job, 'epoch': 2}, {}):
        same(d.site.call(hub, '/site/v1/blob', {'sha256': sha(data), 'offset': 0, **ask})[0], 404, ask)
    same(d.site.call(hub, '/site/v1/blob', {'sha256': '../../x', 'offset': 0, 'job': job, 'epoch': 1})[0], 400, 'no name')
    kept = {'outputs': {'files': [{'name': '../x', 'sha256': sha(data), 'size': 1}]}}
    same(d.site.call(hub, '/site/v1/kept', {'job': job, 'epoch': 1, 'kept': kept})[0], 400, 'a way out')
    kept['outputs']['files'][0].update(name='x', sha256=sha(b'never'))
    same(d.site.call(hub, '/site/v1/kept', {'job': job, 'epoch': 1, 'kept': kept})[0], 400, 'what it did not bring')
    d.bench.api('DELETE', f'/api/v1/jobs/{job}')


def may_name(d):
    """A site cannot have a file of the tenant that it runs a job for by naming it as that job's: it must send it, all of it."""
    data = b'a secret of the same tenant\n'
    d.put(data)
    job = d.submit('sleep 30', interruptible=True, time_limit_s=60)
    d.running(job)
    hub = json.loads((d.site.data / 'site.json').read_text())['hub']
    kept = {'checkpoint': {'files': [{'name': 'n', 'sha256': sha(data), 'size': len(data)}]}, 'sent': 10 ** 9}
    keep = lambda: d.site.call(hub, '/site/v1/kept', {'job': job, 'epoch': 1, 'kept': kept})[0]
    put = lambda offset, some: d.site.call(hub, f'/site/v1/put?job={job}&epoch=1&sha256={sha(data)}&size={len(data)}&offset={offset}', some)[1]
    same(keep(), 400, 'it knows the name only')
    same((put(0, b'')['have'], put(len(data), b'')['whole']), (0, False), 'it is not told that it is there')
    same((put(0, data[:5])['whole'], keep()), (False, 400), 'a part of it')
    same((put(5, data[5:])['whole'], keep(), keep()), (True, 200, 200), 'all of it')
    sent = wait_for(lambda: d.job(job)['epochs'][0]['transfer']['bytes_out'], 'what was sent is metered')
    same(sent, len(data), 'no more counts than there was to send, whatever the site says')
    d.bench.api('DELETE', f'/api/v1/jobs/{job}')
    d.nothing_runs()


# ---- inputs and outputs ----

def both_ways(d, submit, fetched, word):
    big = noise(2 * PIECE + 5, 2)
    files = [d.input('big', big), d.input('in/deep/a.txt', b'hello\n'), d.input('empty', b''),
             d.input('tool.sh', b'#!/bin/sh\necho ran >made.txt\n', program=True)]
    script = ('set -e; cat in/deep/a.txt; sha256sum <big; test -f empty; ./tool.sh; (echo x >>big) 2>/dev/null && exit 7; '
              f'mkdir -p out/sub; cp big out/sub/copy; echo {word} >out/log.txt; ln -s /etc/passwd out/link; '
              'ln -s /etc out/etc; mkfifo out/pipe; echo no >other.txt')
    job = submit(script if os.getuid() else script.replace('(echo x >>big) 2>/dev/null && exit 7;', ''), inputs=files,
                 outputs=['out', 'ma*.txt'])
    end = d.ended(job)
    same((end['end'], end.get('code')), ('exited', 0), d.logs(job, 'err'))
    same(d.logs(job), b'hello\n' + sha(big).encode() + b'  -\n', 'what it read')
    same(d.outputs(job), is_of(('made.txt', b'ran\n'), ('out/log.txt', f'{word}\n'.encode()), ('out/sub/copy', big)), 'outputs')
    found = d.job(job)
    same(found['outputs_left_out'], 3, 'links and pipes')
    sizes = sum(f['size'] for f in files)
    same(found['data']['bytes_in'], sizes, 'in')
    same(found['data']['bytes_out'], len(big) + 9, 'out')
    same(found['data']['bytes_fetched'], sizes if fetched else 0, 'over the link')
    # What it was given does not go back.
    same(found['data']['bytes_sent'], 9 if fetched else 0, 'over the link')
    return files


def at_hub(d):
    files = both_ways(d, d.here, False, 'done')
    # Over before it is noticed that they were submitted.
    brief = [d.here('true', inputs=files[1:3], outputs=['in']) for _ in range(12)]
    same([d.ended(job)['code'] for job in brief], [0] * 12, 'codes')
    same([list(d.outputs(job)) for job in brief], [['in/deep/a.txt']] * 12, 'outputs')


def at_site(d):
    files = both_ways(d, d.submit, True, 'over')
    again = d.submit('cat big | sha256sum', inputs=files)
    end = d.ended(again)
    same((end['code'], d.job(again)['data']['bytes_fetched']), (0, 0), 'from the cache')
    wait_for(lambda: not (d.site.data / 'work' / again).exists(), 'the site keeps its folder no longer', 15)
    # What rotted in the cache is fetched again, not given to a job.
    path = d.site.data / 'blobs' / files[1]['sha256']
    path.chmod(0o600)
    path.write_bytes(b'HELLO\n')
    last = d.submit('cat in/deep/a.txt', inputs=files[1:2])
    same((d.ended(last)['code'], d.logs(last)), (0, b'hello\n'), 'after damage')


def refused(d):
    """Bad names, sizes and digests, each with a clear word; nothing is submitted."""
    good = d.input('a', b'a')
    before = len(d.bench.pages('/api/v1/jobs'))
    for change in ({'name': '/etc/passwd'}, {'name': '../a'}, {'name': 'a/../b'}, {'name': ''}, {'name': 'a//b'}, {'name': 'a/'},
                   {'name': './a'}, {'name': 'a\nb'}, {'name': 'x' * 513}, {'sha256': 'x'}, {'sha256': good['sha256'].upper()},
                   {'size': 2}, {'size': -1}, {'size': '1'}, {'sha256': sha(b'never sent')}, {'more': 1}):
        reply = d.bench.request('POST', '/api/v1/jobs', {'tenant': 'default', 'argv': ['true'], 'inputs': [{**good, **change}]},
                                local=True)
        same(reply.status, 400, (change, reply.body))
    for inputs in ([good, good], [good, {**good, 'name': 'a/b'}], [{**good, 'name': str(i)} for i in range(513)], good, ['a']):
        reply = d.bench.request('POST', '/api/v1/jobs', {'tenant': 'default', 'argv': ['true'], 'inputs': inputs}, local=True)
        same(reply.status, 400, reply.body)
    for outputs in (['/etc'], ['..'], ['a/../../b'], [''], 'a', [1], ['x'] * 65):
        reply = d.bench.request('POST', '/api/v1/jobs', {'tenant': 'default', 'argv': ['true'], 'outputs': outputs}, local=True)
        same(reply.status, 400, (outputs, reply.body))
    same(len(d.bench.pages('/api/v1/jobs')), before, 'jobs')


def agent_killed(d):
    """Killed while its input comes, again and again: it goes on from where the file ends, and the job starts once."""
    data = noise(12 * PIECE, 3)
    files = [d.input('data', data)]
    job = d.submit('sha256sum <data; cp data copy', inputs=files, outputs=['copy'])
    part = d.site.data / 'blobs' / (sha(data) + '.part')
    whole = d.site.data / 'blobs' / sha(data)
    seen = []
    for _ in range(3):
        wait_for(lambda: whole.exists() or (part.exists() and part.stat().st_size > (seen[-1] if seen else 0)), 'some of it is here', 20, 0.001)
        d.site.kill()
        if whole.exists():
            break
        seen.append(part.stat().st_size)
        d.site.run()
    if d.site.process.poll() is not None:
        d.site.run()
    need(seen and seen == sorted(set(seen)), f'it was never killed in the middle: {seen}')
    end = d.ended(job, 60)
    same((end['code'], end['epoch'], d.logs(job)), (0, 1, sha(data).encode() + b'  -\n'), 'end')
    same(d.outputs(job), is_of(('copy', data)), 'outputs')
    need(d.job(job)['data']['bytes_fetched'] <= len(data) - seen[-1], 'bytes that were here came again')


def sending_killed(d):
    """Killed while what is kept goes to the hub, and then the hub: all of it comes, and goes on from where it was."""
    size = 16 * PIECE
    job = d.submit(f'yes $BUSBAR_JOB | head -c {size} >big', outputs=['*'])
    data = ((job + '\n').encode() * (size // 37 + 1))[:size]
    part = lambda: sum(p.stat().st_size for p in (d.bench.data / 'work' / job).glob(f'*/put/{sha(data)}.part'))
    wait_for(part, 'some of it is at the hub', 30, 0.001)
    d.site.kill()
    had = part()
    need(had > 0, 'it was not killed in the middle')
    d.site.run()
    least = []
    wait_for(lambda: least.append(part()) or least[-1] > had or not least[-1], 'it goes on', 20, 0.001)
    need(least[-1] == 0 or min(least) >= had, f'what the hub had came again: {had} {least[:20]}')
    d.bench.kill()
    d.bench.start()
    same(d.ended(job, 60)['code'], 0, 'end')
    wait_for(lambda: d.job(job).get('outputs'), 'what was kept', 30, 0.2)
    same(d.outputs(job), is_of(('big', data)), 'outputs')
    same(d.job(job)['data']['bytes_sent'], size, 'what went before counts, and counts once')


# ---- the command line ----

def run(d, *args, status=OK, **more):
    words = list(map(str, args))
    verbs = 2 if words[0] in ('job', 'site') else 1
    done = d.bench.run(*words[:verbs], '--data', str(d.bench.data), *words[verbs:], data=False, **more)
    same(done.returncode, status, f'{args}: {done.stdout[-300:]}{done.stderr[-500:]}')
    return done.stdout


def command_line(d):
    big = noise(PIECE + 3, 4)
    d.file('set/a.txt', b'a\n')
    d.file('set/sub/b.txt', b'b\n')
    d.file('big', big)
    tool = d.file('tool', b'#!/bin/sh\nmkdir -p res/sub && cat set/a.txt set/sub/b.txt >res/ab && cp data res/sub/copy\n')
    tool.chmod(0o755)
    same(run(d, 'run', '--chip', 'cpu', '--name', 'brings', '--in', d.folder / 'set', '--in', f'data={d.folder}/big', '--in', tool,
             '--out', 'res', '--', 'sh', '-c', './tool && cat res/ab'), 'a\nb\n', 'output')
    job = d.bench.api('GET', '/api/v1/jobs?limit=1')['data'][0]['id']
    table = run(d, 'job', 'show', job)
    for word in ('OUTPUT', 'INPUT', 'res/ab', 'res/sub/copy', 'set/sub/b.txt', sha(big), f'bytes out       {len(big) + 4}\n'):
        need(word in table, f'{word}: {table}')
    to = d.folder / 'to'
    to.mkdir()
    run(d, 'job', 'cp', job, to)
    same(((to / 'res/ab').read_bytes(), (to / 'res/sub/copy').read_bytes() == big), (b'a\nb\n', True), 'all')
    (d.folder / 'one.part').write_bytes(big[:1000])  # one that broke off goes on
    run(d, 'job', 'cp', f'{job}:res/sub/copy', d.folder / 'one')
    need((d.folder / 'one').read_bytes() == big and not (d.folder / 'one.part').exists(), 'one')
    (d.folder / 'bad.part').write_bytes(b'x' * 1000)
    run(d, 'job', 'cp', f'{job}:res/sub/copy', d.folder / 'bad', status=FAILED)
    need(not (d.folder / 'bad').exists() and not (d.folder / 'bad.part').exists(), 'bytes that are others stay')
    run(d, 'job', 'cp', f'{job}:nothing', to, status=NOT_FOUND)
    before = len(d.bench.pages('/api/v1/jobs'))
    for bad in (d.folder / 'none', f'../x={d.folder}/big', '/dev/null', f'a=b={d.folder}/big'):
        run(d, 'run', '--chip', 'cpu', '--in', bad, '--', 'true', status=USAGE)
    run(d, 'run', '--chip', 'cpu', '--out', '../x', '--', 'true', status=FAILED)
    run(d, 'run', '--dry-run', '--chip', 'cpu', '--in', d.file('unsent', b'unsent'), '--', 'true')
    same(d.have(sha(b'unsent'))['have'], 0, 'a dry run sends nothing')
    same(len(d.bench.pages('/api/v1/jobs')), before, 'jobs')


def files_say_it(d):
    """#BUSBAR lines and YAML; and a job that is submitted again has its data again."""
    a = d.file('line.txt', b'line\n')
    script = d.file('job.sh', f'#!/bin/sh\n#BUSBAR --in {a} --chip cpu\n#BUSBAR --out kept --out "*.md"\n'
                    'cat line.txt >kept; echo md >x.md\n'.encode())
    first = run(d, 'submit', script).strip()
    same(d.ended(first)['code'], 0, 'code')
    same(d.outputs(first), is_of(('kept', b'line\n'), ('x.md', b'md\n')), 'of a script')
    text = d.file('job.yaml', f'command: cat in.txt y/line.txt >kept\nchip: h20\nin: ["in.txt={a}", "y={a.parent / "set"}"]\nout: kept\n'
                  .replace('y/line', 'y/a').encode())
    second = run(d, 'submit', text).strip()
    same(d.ended(second)['code'], 0, d.logs(second, 'err'))
    same(d.outputs(second), is_of(('kept', b'line\na\n')), 'of YAML')
    third = run(d, 'job', 'retry', second).strip()
    same((d.ended(third)['code'], d.outputs(third)), (0, d.outputs(second)), 'again')
    for wrong in ('in: {a: b}', 'out: {a: b}', 'in: ""'):
        run(d, 'submit', d.file('bad.yaml', f'command: "true"\n{wrong}\n'.encode()), status=USAGE)


# ---- checkpoints ----

COUNTER = ("cd $BUSBAR_CHECKPOINT_DIR; n=$(cat n 2>/dev/null || echo 0); echo $BUSBAR_EPOCH from $n; "
           "trap 'mkdir -p deep; echo $n >n; yes $BUSBAR_JOB | head -c 5000000 >deep/big; exit 0' TERM; "
           "while [ $n -lt %d ]; do sleep 0.1; n=$((n+1)); done; echo $BUSBAR_EPOCH to $n")
EITHER = [{'chip': 'h20', 'chips': 4, 'rate': 1}, {'chip': 'cpu', 'chips': 1, 'rate': 1}]


def lines(d, job, epoch):
    return d.bench.request('GET', f'/api/v1/jobs/{job}/logs?epoch={epoch}', local=True).body.decode().split('\n')[:-1]


def flexible(d, script, **fields):
    body = {'tenant': 'default', 'argv': ['/bin/sh', '-c', script], 'interruptible': True, 'time_limit_s': 600, **fields}
    return d.bench.api('POST', '/api/v1/jobs', body)['id']


def prefers(d, site):
    """Work that could run at either goes there, as long as it can: the other one costs money."""
    for pool in d.bench.api('GET', '/api/v1/pools')['data']:
        if pool['chip'] in ('cpu', 'h20'):
            d.bench.api('PUT', f'/api/v1/pools/{pool["id"]}/price', {'price': '0' if pool['site'] == site else '20'})


def counts(d, job, epochs):
    """It went on from where it was stopped, and came to its end."""
    end = d.ended(job, 60)
    same((end['end'], end.get('code'), end['epoch']), ('exited', 0, epochs), (end, d.logs(job, 'err')))
    starts = [int(lines(d, job, e)[0].split()[2]) for e in range(1, epochs + 1)]
    same(starts[0], 0, starts)
    need(all(a < b for a, b in zip(starts, starts[1:])), starts)
    return end


def same_site(d):
    """A firm job takes its chips; afterwards it goes on there."""
    job = flexible(d, COUNTER % 40, chip='h20', chips=4)
    wait_for(lambda: lines(d, job, 1), 'it has begun', 20)
    time.sleep(0.5)
    firm = d.submit('sleep 1', chips=4)
    same(d.ended(firm, 40)['code'], 0, 'the firm one')
    end = counts(d, job, 2)
    same([e['site'] for e in end['epochs']], ['north', 'north'], end['epochs'])
    need(end['data']['bytes_sent'] >= 5000000 and end['data']['bytes_fetched'] == 0, end['data'])


def two_sites(d):
    """The firm one stays: it goes on at the hub's own machine; and from there to the site when that is free."""
    prefers(d, 'north')
    job = flexible(d, COUNTER % 40, alternatives=EITHER)
    wait_for(lambda: lines(d, job, 1), 'it has begun', 20)
    same(d.job(job)['site'], 'north', 'where it starts')
    time.sleep(0.5)
    firm = d.submit('sleep 30', chips=4)
    end = counts(d, job, 2)
    same((end['site'], lines(d, job, 2)[-1]), ('local', '2 to 40'), 'where it ends')
    need(end['data']['bytes_in'] > 5000000, end['data'])
    d.bench.api('DELETE', f'/api/v1/jobs/{firm}')
    d.nothing_runs()
    if not FULL:
        return
    # From the hub to the site.
    prefers(d, 'local')
    cores = next(p['chips'] for p in d.bench.api('GET', '/api/v1/pools')['data'] if p['site'] == 'local')
    job = flexible(d, COUNTER % 40, alternatives=[EITHER[0], {'chip': 'cpu', 'chips': cores, 'rate': 1}])
    wait_for(lambda: lines(d, job, 1), 'it has begun', 20)
    same(d.job(job)['site'], 'local', 'where it starts')
    time.sleep(0.5)
    firm = d.here('sleep 30')
    end = counts(d, job, 2)
    same((end['site'], lines(d, job, 2)[-1]), ('north', '2 to 40'), 'where it ends')
    need(end['data']['bytes_fetched'] >= 5000000, end['data'])
    d.bench.api('DELETE', f'/api/v1/jobs/{firm}')


def drained(d):
    """A site that is to be empty: what may be stopped goes elsewhere, and takes its checkpoint along."""
    prefers(d, 'north')
    job = flexible(d, COUNTER % 40, alternatives=EITHER)
    wait_for(lambda: lines(d, job, 1), 'it has begun', 20)
    time.sleep(0.5)
    run(d, 'site', 'drain', 'north')
    end = counts(d, job, 2)
    same([e['site'] for e in end['epochs']], ['north', 'local'], end['epochs'])
    run(d, 'site', 'resume', 'north')


def training(d):
    """The training example, stopped by a firm job and gone on with: the model is that of a run that was never stopped."""
    train = pathlib.Path(os.environ['BUSBAR_BIN']).parent / 'examples' / 'train' / 'busbar-train'
    if not train.exists():
        return 'SKIP: the training example is not built (-Dtrain=true)'
    args = ['--text-bytes', '300000', '--vocab', '512', '--dim', '64', '--ffn', '96', '--layers', '2', '--heads', '4', '--kv-heads',
            '2', '--context', '128', '--rows', '2', '--steps', '1500' if FULL else '600']
    whole = d.folder / 'whole.gguf'
    subprocess.run([train, *args, '--quiet', '--out', whole], check=True)
    prefers(d, 'north')
    job = flexible(d, '', argv=['./busbar-train', *args, '--resume', '--out', 'm.gguf'], alternatives=EITHER, outputs=['m.gguf'],
                   inputs=[d.input('busbar-train', train.read_bytes(), program=True)])
    d.running(job)
    wait_for(lambda: b'step' in d.logs(job) + d.logs(job, 'err'), 'it has begun', 20)
    firm = d.submit('sleep 60', chips=4)
    end = d.ended(job, 120)
    same((end['end'], end.get('code'), end['epoch'], end['site']), ('exited', 0, 2, 'local'), (end, d.logs(job, 'err')))
    need(end['data']['bytes_in'] > train.stat().st_size * 2, end, lines(d, job, 1))
    same(d.outputs(job), is_of(('m.gguf', whole.read_bytes())), 'the model')
    d.bench.api('DELETE', f'/api/v1/jobs/{firm}')
    return None


# ---- what is kept, and for how long ----

class Alone(Data):
    """A hub without sites."""

    def __init__(self, *options):  # pylint: disable=super-init-not-called
        self.bench = Bench([*options, '--no-model'])
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='bb-data-', dir='/tmp'))

    def __exit__(self, *exc):
        shutil.rmtree(self.folder)
        self.bench.__exit__(*exc)


def kept_for_a_while(_d):
    """What ended goes, with what nobody names any more; what runs, and what it needs, stays."""
    with Alone('--keep-jobs', '2s') as d:
        mine, other, unused = (d.input(name, name.encode()) for name in ('mine', 'other', 'unused'))
        d.piece(sha(b'never whole'), 11, 0, b'never')
        for folder in (d.bench.data / 'blobs').iterdir():
            (folder / 'aB3xYz.new').write_bytes(b'of a hub that was killed')
        long = d.here('sleep 6; cat mine >kept', inputs=[mine], outputs=['kept'])
        short = d.here('echo of-short >o; echo said', inputs=[mine, other], outputs=['o'])
        array = d.here('true', array='1-2')
        same(d.ended(short)['code'], 0, 'code')
        same(d.outputs(short), is_of(('o', b'of-short\n')), 'outputs')
        folder, = (d.bench.data / 'blobs').iterdir()
        left = lambda: {p.name for p in folder.iterdir()}
        need({f['sha256'] for f in (mine, other, unused)} | {sha(b'of-short\n')} < left(), left())
        wait_for(lambda: left() == {mine['sha256']}, 'what nobody needs is gone', 15, 0.2)
        wait_for(lambda: not (d.bench.data / 'work' / short).exists() and not (d.bench.data / 'jobs' / f'{array}.json').exists(),
                 'what ended is gone', 15, 0.2)
        same([p.name for p in (d.bench.data / 'jobs').iterdir()], [f'{long}.json'], 'files')
        same((d.job(short)['state'], d.logs(short), d.job(array)['state']), ('ended', b'', 'ended'), 'what is told of them')
        replied(d.bench.request('POST', f'/api/v1/jobs/{short}/retry', {}, local=True), 404, 'again')
        same(d.ended(long)['code'], 0, 'code')
        same(d.outputs(long), is_of(('kept', b'mine')), 'of the one that ran')
        for bad in ('0s', '3', 'x', '500d'):
            same(subprocess.run([d.bench.bin, 'up', '--data', d.folder / 'x', '--keep-jobs', bad], capture_output=True, check=False,
                                timeout=20).returncode, USAGE, bad)


def tenant_limit(_d):
    """A tenant has so many bytes here: what is beyond is refused in words, and what is there can be used."""
    with Alone('--tenant-blobs', '1') as d:
        limited(d)


def limited(d):
    half = noise(600 << 10, 7)
    d.put(half)
    more = noise(600 << 10, 8)
    reply = d.piece(sha(more), len(more), 0, more[:1000])
    same((reply.status, '1 MiB, which is its limit' in reply.json()['error']['message']), (507, True), reply.body)
    same((d.have(sha(more))['have'], d.piece(sha(half), len(half), 0, half).status), (0, 200), 'nothing of it; what is there')
    d.put(noise(300 << 10, 9))
    told = d.bench.api('GET', '/api/v1/tenants/default')
    same((told['blob_bytes'], told['blob_bytes_max']), (900 << 10, 1 << 20), 'told')
    need(str(900 << 10) in d.bench.run('tenant', 'show', 'default').stdout, 'shown')
    (folder,) = (d.bench.data / 'blobs').iterdir()
    (folder / sha(half)).unlink()
    d.put(more)


def kept_when_unsure(_d):
    """A job's folder that cannot be opened may name any blob: none goes until it can be."""
    with Alone('--keep-jobs', '2s') as d:
        name = d.input('old', b'old')['sha256']
        folder, = (d.bench.data / 'blobs').iterdir()
        work = d.bench.data / 'work'
        work.mkdir(exist_ok=True)
        loop = work / str(uuid.uuid4())
        loop.symlink_to(loop.name)
        time.sleep(5)
        need((folder / name).exists(), 'it went')
        loop.unlink()
        wait_for(lambda: not (folder / name).exists(), 'it goes', 15, 0.2)


def kept_later(_d):
    """What cannot be kept at once, since the disk does not take it, is kept when it does; the job has ended all the same."""
    with Alone() as d:
        d.put(b'first')
        folder, = (d.bench.data / 'blobs').iterdir()
        aside = folder.with_name('aside')
        folder.rename(aside)
        folder.write_bytes(b'in the way')
        job = d.here('echo late >o', outputs=['o'])
        end = d.ended(job, 30)
        need(end['code'] == 0 and 'outputs' not in end, end)
        folder.unlink()
        aside.rename(folder)
        wait_for(lambda: d.job(job).get('outputs'), 'it is kept', 10, 0.1)
        same(d.outputs(job), is_of(('o', b'late\n')), 'outputs')


def main():
    tap, wanted = Tap(), sys.argv[1:]  # names of cases, when run by hand
    long = {drained, training, kept_later}
    with Data() as data:
        for case in (pieces, others, may_name, at_hub, at_site, refused, command_line, files_say_it, agent_killed, sending_killed,
                     same_site, two_sites, drained, training, tenant_limit, kept_for_a_while, kept_when_unsure, kept_later):
            if case.__name__ not in wanted if wanted else case in long and not FULL:
                continue
            tap.case(case.__name__.replace('_', ' '), case, data)
    tap.done()


if __name__ == '__main__':
    main()
