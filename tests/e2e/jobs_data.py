#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Data of jobs: inputs lie in a job's folder before it starts, outputs are kept, a checkpoint goes where the job goes. At the
hub's own machine and at a site; whoever is killed meanwhile, it goes on from where it was; another tenant has none of it.
"""
import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

from site_agent import CONFIG, Field, Site
from workbench import FAILED, NOT_FOUND, OK, USAGE, Tap, need, same, wait_for

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
            need(self.read(o['sha256'], o['size']), o)
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
    other = sha(b'something else')
    reply = d.piece(other, 14, 0, b'somethinG else')
    same((reply.status, d.have(other)['have']), (422, 0), 'other bytes')
    for bad in (name[:-1], name.upper(), name + '0', '..%2f' + name[5:], 'x' * 64):
        same(d.piece(bad, 1, 0, b'a').status, 400, bad)
    for size, offset in (('x', 0), (-1, 0), (4, 5), (1 << 50, 0), ('', 0)):
        same(d.piece(name, size, offset, b'a').status, 400, (size, offset))
    same(d.piece(other, 100 << 20, 0, b'a' * (PIECE + 1)).status, 413, 'a piece that is too long')
    same(d.bench.request('GET', f'/api/v1/blobs/{other}?tenant=default', local=True).status, 404, 'one that is not there')


def others(d):
    """A digest is no right: who knows it learns nothing, and cannot have a job read it."""
    data = b'a secret of ours\n'
    d.put(data)
    d.bench.api('POST', '/api/v1/tenants', {'name': 'stranger', 'budget': '5'})
    key = d.bench.add_key('s', tenant='stranger', scopes=['jobs'])['key']
    none = d.bench.add_key('n', tenant='default')['key']
    path = f'/api/v1/blobs/{sha(data)}'
    same(d.bench.request('GET', path, key=key).status, 404, 'read')
    same(d.bench.request('GET', f'{path}/have', key=key).json()['have'], 0, 'have')
    for way in (path, f'{path}/have'):
        same(d.bench.request('GET', f'{way}?tenant=default', key=key).status, 404, 'of another tenant')
        same(d.bench.request('GET', way, key=none).status, 403, 'a key without the scope')
    same(d.piece(sha(data), len(data), 0, data, key=none).status, 403, 'a key without the scope')
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
    # What is at the hub already does not go back.
    same(found['data']['bytes_sent'], 5 if fetched else 0, 'over the link')
    return files


def at_hub(d):
    both_ways(d, d.here, False, 'done')


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
    data = noise(24 * PIECE, 3)
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


def main():
    tap, wanted = Tap(), sys.argv[1:]
    with Data() as data:
        for case in (pieces, others, at_hub, at_site, refused, agent_killed):
            if not wanted or case.__name__ in wanted:
                tap.case(case.__name__.replace('_', ' '), case, data)
    tap.done()


if __name__ == '__main__':
    main()
