#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line: every verb, every exit status, models from everywhere, and no key where it does not belong."""
import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from workbench import (FAILED, NOT_ALLOWED, NOT_FOUND, OK, ROOT, UNREACHABLE, USAGE, Bench, Tap, nano, need, replied, same,
                       wait_for)

KEY = re.compile(r'bb_[0-9a-z]{10}_')
MODEL = pathlib.Path(os.environ['BUSBAR_BIN']).resolve().parent.parent / 'data' / 'models' / 'stories.gguf'


ANY = 1000  # of a verb's arguments: they are another program's


def verbs():
    text = (ROOT / 'src' / 'cli' / 'cli.c').read_text(encoding='utf-8')
    table = text[text.index('cli_verbs[]'):text.index('{NULL, NULL')]
    for name, value in re.findall(r'#define (\w+_OPTIONS) ((?:[^\n]*\\\n)+[^\n]*)', text):  # shared by several
        table = table.replace(name, value.replace('\\\n', ' '))
    found = re.findall(r'\{"([a-z -]+)", "([^"]*)", (\d+), (\d+|CLI_ARGS_MAX),\s*((?:"[^"]*"\s*)+),', table)
    need(len(found) >= 24, f'{len(found)} verbs were read')
    return [(name, args, int(low), ANY if high == 'CLI_ARGS_MAX' else int(high),
             [word.split('=')[0] for word in ''.join(re.findall(r'"([^"]*)"', o)).split()])
            for name, args, low, high, o in found]


def run(hub, status, *args, **options):
    done = hub.run(*args, **options)
    same(done.returncode, status, f'busbar {" ".join(args)}: {done.stdout[-300:]}{done.stderr[-300:]}')
    need(not KEY.search(done.stderr), 'a key on standard error', done.stderr)
    if status not in (OK, None):
        need(done.stderr.strip(), f'busbar {" ".join(args)} says nothing')
    return done


def parsed(hub, *args, **options):
    return json.loads(run(hub, OK, *args, '--json', **options).stdout)


def help_for_all(hub):
    everything = run(hub, OK, '--help', data=False).stdout
    for word in ('help', '-h'):
        same(run(hub, OK, word, data=False).stdout, everything, word)
    same(run(hub, OK, 'job', '-h', data=False).stdout, run(hub, OK, 'job', '--help', data=False).stdout, 'job -h')
    same(run(hub, OK, 'jobs', '-h', data=False).stdout, run(hub, OK, 'jobs', '--help', data=False).stdout, 'jobs -h')
    for name, args, _, _, _ in verbs():
        need(f'  {name} ' in everything, f'{name} is in the list')
        text = run(hub, OK, *name.split(), '--help', data=False).stdout
        need(text.startswith(f'usage: busbar {name} {args}'.rstrip()), text)
    for group in sorted({name.split()[0] for name, *_ in verbs() if ' ' in name}):
        text = run(hub, OK, group, '--help', data=False).stdout
        same([n for n, *_ in verbs() if f'\n  {n} ' in text], [n for n, *_ in verbs() if n.split()[0] == group], f'{group} --help')
        same(run(hub, USAGE, group, data=False).stderr, text, f'{group} alone')
    same(run(hub, OK, '--version', data=False).stdout, run(hub, OK, 'version', data=False).stdout, 'version')
    need(re.fullmatch(r'busbar \d+\.\d+\.\d+\n', run(hub, OK, 'version', data=False).stdout), 'version')
    man = ROOT / 'man' / 'busbar.1.scd'
    if man.exists():
        text = man.read_text(encoding='utf-8').replace('\\', '')
        same([n for n, *_ in verbs() if n not in text], [], 'verbs that the manual does not name')


def wrong_usage(hub):
    for args in ((), ('nothing',), ('tenant',), ('tenant', 'nothing'), ('key', 'add'), ('key', 'add', 'a', 'b'),
                 ('up', 'x'),
                 ('status', 'x'), ('status', '--nothing'), ('status', '--data'), ('status', '--json=1'),
                 ('tenant', 'add', 'x', '--models', 'y'), ('key', 'add', 'x', '--rpm', 'many'),
                 ('key', 'add', 'x', '--rpm', '-1'),
                 ('deploy', 'stories', '--slots', 'x'), ('up', '--workers', 'x'), ('up', '--log-level', 'loud'),
                 ('tenant', 'budget', 'default'), ('backup',), ('chat',), ('model', 'add', 'x'), ('STATUS',), ('-h-',)):
        done = hub.run(*args, data=bool(args) and '--data' not in args)
        same(done.returncode, USAGE, f'busbar {" ".join(args)}: {done.stdout}{done.stderr}')
        need(done.stderr and not done.stdout, 'words on standard error only', done)
    for name, _, low, high, _ in verbs():
        if low:
            run(hub, USAGE, *name.split(), *['x'] * (low - 1))
        if high != ANY:
            run(hub, USAGE, *name.split(), *['x'] * (high + 1))
        run(hub, USAGE, *name.split(), *['x'] * low, '--no-such-option')
    run(hub, USAGE, 'tenant', 'list', *['x'] * 20)


def refused_values(hub):
    """Well-formed command lines whose values the hub refuses: 1, and nothing is made."""
    before = (hub.pages('/api/v1/tenants'), hub.pages('/api/v1/keys'))
    for args in (('tenant', 'add', 'Upper'), ('tenant', 'add', 'a' * 64), ('tenant', 'add', '-x'),
                 ('tenant', 'add', 'default'),
                 ('tenant', 'add', 'x', '--budget', '1.0000000001'), ('tenant', 'add', 'x', '--budget', '-1'),
                 ('tenant', 'add', 'x', '--budget', '1e3'), ('tenant', 'add', 'x', '--budget', ''),
                 ('tenant', 'add', 'x', '--budget', '99999999999999999999'),
                 ('tenant', 'add', 'x', '--currency', 'XXX'),
                 ('tenant', 'budget', 'default', 'x'), ('key', 'add', 'x', '--scopes', 'root'),
                 ('key', 'add', 'x', '--expires', '5'),
                 ('key', 'add', 'x', '--budget', '1,5'), ('deploy', 'stories'),
                 ('deploy', 'stories', '--replicas', '0'),
                 ('usage', '--by', 'moon'), ('tenant', 'list', '--limit', '0'), ('tenant', 'list', '--cursor', 'x'),
                 ('model', 'price', 'stories'), ('model', 'price', 'stories', '--price-prompt', 'x')):
        if args[:2] == ('tenant', 'add') and args[2] == '-x':
            args = ('tenant', 'add', '--', '-x')
        done = hub.run(*args) if '--' not in args else subprocess.run(
            [hub.bin, 'tenant', 'add', '--data', str(hub.data), '--', '-x'], capture_output=True, text=True,
            check=False)
        same(done.returncode, FAILED, f'{args}: {done.stdout}{done.stderr}')
        need(done.stderr.startswith('busbar: '), done.stderr)
    same((hub.pages('/api/v1/tenants'), hub.pages('/api/v1/keys')), before, 'nothing was made')


def unreachable(hub):
    nowhere = tempfile.mkdtemp(prefix='bb-', dir='/tmp')
    try:
        for name, _, low, _, _ in verbs():
            if name in ('up', 'restore', 'completion', 'version', 'sim', 'rules check', 'rules explain', 'network check',
                        'network show', 'site join', 'site run', 'submit', 'audit verify', 'audit replay', 'audit export',
                        'model recall', 'receipt verify', 'witness', 'gateway join', 'gateway run', 'rules apply', 'rules diff',
                        'drill', 'plan', 'predictions', 'chips', 'bench-chip', 'model catalogue', 'model without') or name.startswith(('ca ', 'tariff ')):
                continue
            done = subprocess.run([hub.bin, *name.split(), *['x'] * low, '--data', nowhere], capture_output=True,
                                  text=True,
                                  stdin=subprocess.DEVNULL, check=False, timeout=20)
            same(done.returncode, UNREACHABLE, f'{name}: {done.stderr}')
        same(os.listdir(nowhere), [], 'files were made')
        run(hub, UNREACHABLE, 'status', '--hub', 'http://127.0.0.1:9', '--key', 'x')
        run(hub, UNREACHABLE, 'status', '--hub', 'nonsense://x', '--key', 'x')
        run(hub, UNREACHABLE, 'audit', 'verify', 'http://127.0.0.1:9')
        run(hub, UNREACHABLE, 'tariff', 'diff', str(ROOT / 'data' / 'tariffs' / 'example.yaml'), '--hub', 'http://127.0.0.1:9')
        run(hub, UNREACHABLE, 'rules', 'diff', str(ROOT / 'data' / 'rules' / 'example.rules'), '--hub', 'http://127.0.0.1:9')
        run(hub, UNREACHABLE, 'drill', 'site=x', '--hub', 'http://127.0.0.1:9')
        run(hub, NOT_FOUND, 'audit', 'verify', nowhere)
        run(hub, NOT_FOUND, 'audit', 'replay', nowhere)
        run(hub, UNREACHABLE, 'audit', 'export', 'http://127.0.0.1:9', '--out', nowhere + '/copy')
        shutil.rmtree(nowhere + '/copy')
        run(hub, UNREACHABLE, 'model', 'recall', '0' * 64, '--reason', 'x', '--hub', 'http://127.0.0.1:9')
        run(hub, UNREACHABLE, 'submit', str(ROOT / 'script' / 'up'), '--hub', 'http://127.0.0.1:9', '--key', 'x')
    finally:
        shutil.rmtree(nowhere)


def not_found(hub):
    for args in (('tenant', 'show', 'nope'), ('tenant', 'budget', 'nope', '1'), ('key', 'revoke', 'nope'),
                 ('key', 'list', '--tenant', 'nope'),
                 ('key', 'add', 'x', '--tenant', 'nope'), ('key', 'add', 'x', '--models', 'nope'),
                 ('model', 'show', 'nope'),
                 ('model', 'rm', 'nope'), ('model', 'price', 'nope', '--price-prompt', '1'), ('deploy', 'nope'),
                 ('undeploy', 'nope'),
                 ('usage', '--tenant', 'nope'), ('records', '--tenant', 'nope'), ('chat', 'nope', 'hello'),
                 ('tenant', 'show', '../../status'), ('model', 'show', 'a/b'),
                 ('model', 'add', 'x', '/nothing/here.gguf')):
        run(hub, NOT_FOUND, *args)


def not_allowed(hub):
    plain = hub.add_key('plain')['key']
    for key in ('x', plain):
        for args in (('status',), ('tenant', 'list'), ('tenant', 'add', 'x'), ('key', 'list'), ('deployments',),
                     ('usage',)):
            run(hub, NOT_ALLOWED, *args, '--hub', hub.address, '--key', key)
    run(hub, NOT_ALLOWED, 'status', '--hub', hub.address)
    run(hub, NOT_ALLOWED, 'chat', 'stories', 'x', '--hub', hub.address, '--key', 'x')
    run(hub, NOT_ALLOWED, 'backup', '/tmp/never', '--hub', hub.address, '--key', hub.operator)
    run(hub, NOT_ALLOWED, 'model', 'add', 'x', str(MODEL), '--hub', hub.address, '--key', hub.operator)
    run(hub, OK, 'status', data=False, env={'BUSBAR_HUB': hub.address, 'BUSBAR_KEY': hub.operator})
    run(hub, NOT_ALLOWED, 'status', data=False, env={'BUSBAR_HUB': hub.address, 'BUSBAR_KEY': plain})


def tables_and_json(hub):
    """Each listing both ways says the same."""
    hub.chat(max_tokens=3)
    for args, member in ((('tenant', 'list'), 'name'), (('key', 'list'), 'public_id'), (('model', 'list'), 'name'),
                         (('deployments',), 'model'), (('usage',), 'model'), (('usage', '--by', 'tenant'), 'tenant'),
                         (('usage', '--by', 'key'), 'key'), (('usage', '--by', 'hour'), 'hour'),
                         (('records',), 'request')):
        rows = parsed(hub, *args)['data']
        lines = run(hub, OK, *args).stdout.splitlines()
        need(rows and len(lines) == len(rows) + 1, args, lines)
        for row, line in zip(rows, lines[1:]):
            need(str(row[member]) in line, row[member], line)
            need(line == line.rstrip(), f'{args}: blanks at the end of a line: {line!r}')
    same(parsed(hub, 'status')['pid'], hub.pid, 'pid')
    need(str(hub.pid) in run(hub, OK, 'status').stdout, 'pid')
    same(parsed(hub, 'tenant', 'show', 'default')['currency'], 'USD', 'currency')
    need('USD' in run(hub, OK, 'tenant', 'show', 'default').stdout, 'currency')
    same(parsed(hub, 'model', 'show', 'stories')['context'], 512, 'context')
    need(re.search(r'^context\s+512$', run(hub, OK, 'model', 'show', 'stories').stdout, re.M), 'context')
    same(list(parsed(hub, 'version')), ['version'], 'version')


def tenants_and_keys(hub):
    added = parsed(hub, 'tenant', 'add', 'acme', '--budget', '12.5', '--currency', 'EUR')
    same((added['name'], added['budget'], added['currency']), ('acme', '12.5', 'EUR'), 'tenant')
    same(parsed(hub, 'tenant', 'budget', 'acme', '20')['budget'], '20', 'budget')
    run(hub, OK, 'tenant', 'add', 'beta')
    key = parsed(hub, 'key', 'add', 'k1', '--tenant', 'acme', '--scopes', 'inference,admin', '--models', 'stories',
                 '--rpm', '100',
                 '--tpm', '50000', '--budget', '3', '--expires', str(int(time.time()) + 3600))
    same((key['scopes'], key['models'], key['rpm'], key['tpm'], key['budget']),
         (['inference', 'admin'], ['stories'], 100, 50000, '3'),
         'key')
    replied(hub.chat(key['key'], max_tokens=2), 200, 'it works')
    for args in (('key', 'list'), ('key', 'list', '--json'), ('key', 'list', '--tenant', 'acme')):
        need(key['key'][14:40] not in run(hub, OK, *args).stdout, 'a key is shown once')
    run(hub, OK, 'key', 'revoke', key['public_id'])
    replied(hub.chat(key['key'], max_tokens=2), 401, 'revoked')
    plain = run(hub, OK, 'key', 'add', 'k2', '--tenant', 'acme').stdout
    replied(hub.chat(re.search(r'bb_\S+', plain).group(0), max_tokens=2), 200, 'the key that is printed')
    for i in range(25):
        hub.add_key(f'page-{i}', tenant='beta')
    first = hub.run('key', 'list', '--limit', '10', '--json')
    page = json.loads(first.stdout)
    seen, pages = [k['public_id'] for k in page['data']], 1
    while page['next']:
        page = parsed(hub, 'key', 'list', '--limit', '10', '--cursor', page['next'])
        seen += [k['public_id'] for k in page['data']]
        pages += 1
    same(sorted(seen), sorted(k['public_id'] for k in hub.pages('/api/v1/keys')), 'all pages')
    need(pages >= 3 and len(set(seen)) == len(seen), pages)


def tenant_admin(hub):
    """Mints and revokes keys of its own tenant, from anywhere, and nothing else."""
    admin = hub.add_key('boss', tenant='beta', scopes=['admin'])['key']
    far = ('--hub', hub.address, '--key', admin)
    mine = parsed(hub, 'key', 'add', 'mine', *far)
    same(mine['tenant'], 'beta', 'tenant')
    replied(hub.chat(mine['key'], max_tokens=1), 402, 'no budget yet')
    same({k['tenant'] for k in parsed(hub, 'key', 'list', *far)['data']}, {'beta'}, 'what it sees')
    run(hub, OK, 'key', 'revoke', mine['public_id'], *far)
    theirs = hub.add_key('theirs', tenant='acme')
    run(hub, NOT_FOUND, 'key', 'revoke', theirs['public_id'], *far)
    run(hub, NOT_FOUND, 'key', 'add', 'x', '--tenant', 'acme', *far)
    run(hub, NOT_ALLOWED, 'key', 'add', 'x', '--scopes', 'operator', *far)
    run(hub, NOT_ALLOWED, 'tenant', 'budget', 'beta', '1000', *far)
    run(hub, NOT_FOUND, 'tenant', 'show', 'acme', *far)
    same(parsed(hub, 'tenant', 'show', 'beta', *far)['name'], 'beta', 'its own')
    same([r['tenant'] for r in parsed(hub, 'usage', '--by', 'tenant', *far)['data']], [], 'usage of its own')


class Files(http.server.ThreadingHTTPServer):
    """Serves one file. `cut` breaks the first answer off after so many bytes; `asked` has each request's range."""
    daemon_threads = True

    def __init__(self, data, cut=None, ranges=True):
        self.data, self.cut, self.with_ranges, self.asked = data, cut, ranges, []
        super().__init__(('127.0.0.1', 0), FileRequest)
        self.url = f'http://127.0.0.1:{self.server_address[1]}/m.gguf'
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class FileRequest(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass

    def do_GET(self):
        s = self.server
        wanted = self.headers.get('Range')
        s.asked.append(wanted)
        start = int(re.match(r'bytes=(\d+)-', wanted).group(1)) if wanted and s.with_ranges else 0
        if start >= len(s.data):
            self.send_error(416)
            return
        data = s.data[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header('Content-Range', f'bytes {start}-{len(s.data) - 1}/{len(s.data)}')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        if s.cut:
            data, s.cut = data[:s.cut], None
        self.wfile.write(data)


def models_left(hub):
    return sorted(p.name for p in (hub.data / 'models').iterdir())


def model_from_path(hub):
    before = models_left(hub)
    run(hub, OK, 'model', 'add', 'one', str(MODEL), '--licence', 'MIT', '--price-prompt', '1', '--price-completion',
        '2.5')
    shown = parsed(hub, 'model', 'show', 'one')
    same((shown['licence'], shown['price']['prompt'], shown['price']['cached'], shown['price']['completion'],
          shown['price']['reasoning']), ('MIT', '1', '1', '2.5', '2.5'), 'model')
    same(shown['variants'][0]['sha256'], hashlib.sha256(MODEL.read_bytes()).hexdigest(), 'digest')
    same(parsed(hub, 'model', 'add', 'two', f'file://{MODEL}')['name'], 'two', 'file://')
    relative = subprocess.run([hub.bin, 'model', 'add', 'three', MODEL.name, '--data', str(hub.data)], cwd=MODEL.parent,
                              capture_output=True, text=True, check=False)
    same(relative.returncode, OK, relative.stderr)
    need('already' in run(hub, FAILED, 'model', 'add', 'one', str(MODEL)).stderr, 'the name is taken')
    same(models_left(hub), sorted(before + ['one.gguf', 'two.gguf', 'three.gguf']), 'files')
    run(hub, FAILED, 'model', 'add', 'Bad Name', str(MODEL))
    run(hub, FAILED, 'model', 'add', 'four', str(MODEL), '--sha256', '00')
    run(hub, FAILED, 'model', 'add', 'four', str(MODEL), '--sha256', '0' * 64)
    run(hub, FAILED, 'model', 'add', 'four', str(MODEL), '--engine', 'nothing')
    run(hub, FAILED, 'model', 'add', 'four', 'ftp://127.0.0.1/x')
    run(hub, FAILED, 'model', 'add', 'four', 'nonsense', '--engine', 'url')
    with tempfile.NamedTemporaryFile(suffix='.gguf') as junk:
        for data in (b'', b'not a model at all', b'GGUF', b'GGUF' + b'\xff' * 100, MODEL.read_bytes()[:5000]):
            pathlib.Path(junk.name).write_bytes(data)
            run(hub, FAILED, 'model', 'add', 'four', junk.name)
    run(hub, FAILED, 'model', 'add', 'four', '/tmp')
    same(models_left(hub), sorted(before + ['one.gguf', 'two.gguf', 'three.gguf']), 'files after the refusals')
    run(hub, OK, 'deploy', 'one')
    hub.wait_ready('one')
    need('undeploy' in run(hub, FAILED, 'model', 'rm', 'one').stderr, 'it is deployed')
    replied(hub.chat(model='one', max_tokens=2), 200, 'it serves')
    run(hub, OK, 'undeploy', 'one')
    wait_for(lambda: hub.deployment('one') is None, 'undeployed')
    for name in ('one', 'two', 'three'):
        run(hub, OK, 'model', 'rm', name)
    same(models_left(hub), before, 'files after removal')
    limited = hub.add_key('limited', models=['stories'])
    run(hub, OK, 'undeploy', 'stories')
    wait_for(lambda: hub.deployment('stories') is None, 'undeployed')
    need('key' in run(hub, FAILED, 'model', 'rm', 'stories').stderr, 'a key is limited to it')
    run(hub, OK, 'key', 'revoke', limited['public_id'])
    run(hub, OK, 'deploy', 'stories')
    hub.wait_ready()


def model_from_http(hub):
    data = MODEL.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    before = models_left(hub)
    with Files(data) as server:
        need('sha256' in run(hub, FAILED, 'model', 'add', 'net', server.url).stderr, 'plain http needs a digest')
        same(server.asked, [], 'it was not even asked')
        run(hub, FAILED, 'model', 'add', 'net', server.url, '--sha256', '0' * 64)
        same(models_left(hub), before, 'nothing is left after a wrong digest')
        run(hub, FAILED, 'model', 'add', 'net', server.url, '--sha256', 'xyz')
        run(hub, OK, 'model', 'add', 'net', server.url, '--sha256', digest)
        same(models_left(hub), sorted(before + ['net.gguf']), 'files')
        same((hub.data / 'models' / 'net.gguf').read_bytes(), data, 'bytes')
        same(parsed(hub, 'model', 'show', 'net')['origin'], server.url, 'origin')
    run(hub, OK, 'model', 'rm', 'net')
    with Files(data, cut=200_000) as server:
        run(hub, FAILED, 'model', 'add', 'net', server.url, '--sha256', digest)
        part = hub.data / 'models' / 'net.gguf.part'
        same(part.stat().st_size, 200_000, 'what came is kept')
        run(hub, OK, 'model', 'add', 'net', server.url, '--sha256', digest)
        same(server.asked, [None, 'bytes=200000-'], 'it goes on where it was cut')
        same(models_left(hub), sorted(before + ['net.gguf']), 'files')
    run(hub, OK, 'model', 'rm', 'net')
    with Files(data, cut=200_000, ranges=False) as server:
        run(hub, FAILED, 'model', 'add', 'net', server.url, '--sha256', digest)
        run(hub, OK, 'model', 'add', 'net', server.url, '--sha256', digest)
        same((hub.data / 'models' / 'net.gguf').read_bytes(), data, 'bytes, from a server without ranges')
    run(hub, OK, 'model', 'rm', 'net')
    other = bytes(reversed(data))
    with Files(other, cut=1000) as first, Files(data) as second:
        run(hub, FAILED, 'model', 'add', 'net', first.url, '--sha256', digest)
        run(hub, OK, 'model', 'add', 'net', second.url, '--sha256', digest)
        same(second.asked, [None], 'another source begins anew')
    run(hub, OK, 'model', 'rm', 'net')
    with Files(b'<html>not found</html>') as server:
        run(hub, FAILED, 'model', 'add', 'net', server.url, '--sha256', hashlib.sha256(server.data).hexdigest())
        run(hub, FAILED, 'model', 'add', 'net', 'http://127.0.0.1:9/x.gguf', '--sha256', digest)
    same([x for x in models_left(hub) if x not in ('net.gguf.part', 'net.gguf.from')], before, 'nothing else is left')


def same_name_at_once(hub):
    """Six adds of one name: one wins, its file is whole, nothing is left."""
    before = models_left(hub)
    data = MODEL.read_bytes()
    digest = hashlib.sha256(data).hexdigest()

    with Files(data) as server:
        for source in ([server.url, '--sha256', digest], [str(MODEL)], [str(MODEL), '--sha256', digest]):
            found = []
            add = ['model', 'add', 'race', *source]
            threads = [threading.Thread(target=lambda: found.append(hub.run(*add).returncode)) for _ in range(6)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            same(sorted(found), [OK] + [FAILED] * 5, 'one wins')
            same((hub.data / 'models' / 'race.gguf').read_bytes() == data, True, 'the file is whole')
            same(parsed(hub, 'model', 'show', 'race')['variants'][0]['sha256'], digest, 'digest')
            same(models_left(hub), sorted([*before, 'race.gguf']), 'files')
            run(hub, OK, 'model', 'rm', 'race')


def usage_groups(hub):
    for by in ('tenant', 'key', 'model', 'hour'):
        rows = parsed(hub, 'usage', '--by', by)['data']
        same(sum(nano(r['cost']) for r in rows), sum(nano(r['cost']) for r in hub.records()), f'cost by {by}')
    later = str(int(time.time()) + 7200)
    same(parsed(hub, 'usage', '--from', later)['data'], [], 'from the future')
    same(parsed(hub, 'usage', '--to', '3600')['data'], [], 'until 1970')
    need(parsed(hub, 'usage', '--from', '0', '--to', later)['data'], 'all')


def chat(hub):
    done = run(hub, OK, 'chat', 'stories', 'Once upon a time', '--max-tokens', '9', '--temperature', '0')
    need(len(done.stdout.strip()) > 5, done.stdout)
    last = [r for r in hub.records() if 'final' in r['flags']][-1]
    same(sum(r['completion_tokens'] for r in hub.records_of(last['request'])), 9, 'tokens')
    same([k for k in hub.pages('/api/v1/keys') if k['name'] == 'chat' and not k['revoked']], [], 'its key lives on')
    talk = hub.run('chat', 'stories', '--max-tokens', '4', stdin='hello\nagain\n')
    same((talk.returncode, len([x for x in talk.stdout.splitlines() if x])), (OK, 2), talk.stdout)
    run(hub, OK, 'chat', 'stories', 'x', '--max-tokens', '2', '--system', 'You tell stories', '--hub', hub.address,
        '--key', hub.key)
    run(hub, USAGE, 'chat', 'stories', 'x', '--max-tokens', 'x')
    run(hub, FAILED, 'chat', 'stories', 'x', '--max-tokens', str(1 << 30))


def chat_interrupted(hub):
    """Ctrl-C in the middle leaves no living key behind for ever: it expires by itself."""
    with subprocess.Popen([hub.bin, 'chat', 'stories', '--data', str(hub.data)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as p:
        wait_for(lambda: [k for k in hub.pages('/api/v1/keys') if k['name'] == 'chat' and not k['revoked']], 'its key')
        p.send_signal(signal.SIGINT)
        p.wait(5)
    need(all(k['revoked'] or k['expires'] for k in hub.pages('/api/v1/keys') if k['name'] == 'chat'), 'keys of chat')


def completion(hub):
    script = run(hub, OK, 'completion', data=False).stdout
    first_words = sorted({name.split()[0] for name, *_ in verbs()})

    def complete(*words):
        text = f'{script}\nCOMP_WORDS=({" ".join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}; _busbar\n' \
               'printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(['bash', '-ec', text], capture_output=True, text=True, check=False, timeout=10)
        same((done.returncode, done.stderr), (0, ''), f'completing {words}')
        return sorted(x for x in done.stdout.splitlines() if x)
    same(sorted(set(complete('busbar', ''))), first_words, 'verbs')
    same(complete('busbar', 'un'), ['undeploy'], 'un')
    for group in sorted({name.split()[0] for name, *_ in verbs() if ' ' in name}):
        same(complete('busbar', group, ''), sorted(n.split()[1] for n, *_ in verbs() if n.startswith(group + ' ')),
             group)
    for name, _, _, _, options in verbs():
        found = complete('busbar', *name.split(), '--')
        wanted = {f'--{o}' for o in options if not o.isupper() and o.islower()} & {f'--{o}' for o in options}
        need(wanted <= set(found), f'{name}: {sorted(wanted - set(found))} missing in {found}')


def output_can_fail(hub):
    """A full disk or a closed pipe is not a success."""
    with open('/dev/full', 'w', encoding='ascii') as full:
        done = subprocess.run([hub.bin, 'key', 'list', '--json', '--data', str(hub.data)], stdout=full,
                              stderr=subprocess.PIPE,
                              check=False)
    need(done.returncode != 0, 'success, although nothing could be written')


def no_key_anywhere(hub):
    """Neither in the logs nor in the database: only hashes."""
    secrets = [k[14:50] for k in hub.shown]
    need(len(secrets) >= 5, len(secrets))
    hub.chat('bb_' + 'a' * 70)
    files = [p for p in hub.data.rglob('*') if p.is_file()]
    need(len(files) > 5, files)
    for path in files:
        data = path.read_bytes()
        for secret in secrets:
            need(secret.encode() not in data, f'a key is in {path.relative_to(hub.data)}')
    for line in hub.lines:
        if not line.startswith(('key ', 'operator ', 'try ')):
            need(not any(s in line for s in secrets), 'a key is in the log', line)


class Keen(Bench):
    """Remembers every key that was made."""
    shown = ()

    def add_key(self, *args, **fields):
        made = super().add_key(*args, **fields)
        self.shown = [*self.shown, made['key']]
        return made


BAD_FILE = """listn: x
lease: 2
lease: 70
drain: many
no-model: maybe
workers: 4 assumed
data: [a]
witnesses:
  - {vkey: a, url: ftp://x}
  - {url: http://x, vkey: hub.example+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW}
  - {name: b}
"""


def hub_file(hub):
    """hub.yaml: its options hold but for those of the command line; each mistake is told with its line and path; --check only looks."""
    with tempfile.TemporaryDirectory(dir='/tmp') as folder:
        path, data = pathlib.Path(folder) / 'hub.yaml', pathlib.Path(folder) / "it's data"

        def check(status, text, *args):
            path.write_text(text, encoding='utf-8')
            done = run(hub, status, 'up', '--config', str(path), '--check', *args, data=False)
            same(sorted(p.name for p in pathlib.Path(folder).iterdir()), ['hub.yaml'], 'nothing was made')
            return done
        bad = check(USAGE, BAD_FILE).stderr
        for words in ('1: listn: no such key', '2: lease: must be from 4', '3: lease: is there twice', '4: drain: expected a number',
                      '5: no-model: must be one of yes, no', '6: workers: expected a number alone', '7: data: ',
                      '9: witnesses[0].vkey: is no key', '9: witnesses[0].url: expected http', '10: witnesses[1].vkey: is no key',
                      '11: witnesses[2].name: no such key', '11: witnesses[2].url: is missing'):
            need(f'busbar: {path}:{words}' in bad, words, bad)
        run(hub, NOT_FOUND, 'up', '--config', folder + '/none', '--check', data=False)
        for status, text, words in ((USAGE, 'a: [', 'YAML'), (USAGE, 'keep-jobs: soon', '--keep-jobs'), (USAGE, 'log-level: loud', '--log-level'),
                                    (USAGE, 'snapshot-every: 2', '--snapshot-every'),
                                    (FAILED, 'listen: nowhere', '--listen'), (FAILED, 'site-listen: "1"', '--site-listen'),
                                    (FAILED, 'tls-cert: /none', 'go together'), (FAILED, 'engines: /none', '/none')):
            need(words in check(status, text).stderr, text)
        text = f'data: "{data}"\nlisten: 127.0.0.1:0\nlease: 60\nkeep-jobs: 7d\nno-model: yes\nlog-json: no\n'
        would = check(OK, text, '--lease', '90', '--webhook-private').stdout
        for line in ("data: '" + str(data).replace("'", "''") + "'", "listen: '127.0.0.1:0'", 'lease: 90', 'keep-jobs: 604800s', 'no-model: yes',
                     'webhook-private: yes', 'drain: 30', "log-level: 'info'"):
            need(line in would.split('\n'), line, would)
        need('log-json' not in would and 'witnesses' not in would, would)
        zeros = check(OK, 'drain: 0\nqueue: 0\ntenant-blobs: 0\n').stdout.split('\n')
        need({'drain: 0', 'queue: 0', 'tenant-blobs: 0'} <= set(zeros) and 'snapshot-every: 0' not in zeros, zeros)
        same(check(OK, would).stdout, would, 'what it prints is such a file')
        same(check(OK, (ROOT / 'examples' / 'hub.yaml').read_text(encoding='utf-8'), '--data', folder + '/d').stdout,
             check(OK, 'lease: 900', '--data', folder + '/d', '--snapshot-every', '1000000').stdout, 'the example is as without one')
        path.write_text(text, encoding='utf-8')
        done = run(hub, OK, 'up', '--config', str(path), '--detach', data=False)
        need('address   http://127.0.0.1:' in done.stdout, done.stdout)
        same(run(hub, OK, 'status', '--data', str(data), data=False).returncode, OK, 'it runs there')
        run(hub, OK, 'down', '--data', str(data), data=False)


def main():
    tap = Tap()
    with Keen() as hub:
        hub.shown = [hub.key, hub.operator]
        for case in (help_for_all, wrong_usage, refused_values, unreachable, not_found, not_allowed, tables_and_json,
                     tenants_and_keys, tenant_admin, model_from_path, model_from_http, same_name_at_once, usage_groups, hub_file,
                     chat,
                     chat_interrupted, completion, output_can_fail, no_key_anywhere):
            tap.case(case.__name__.replace('_', ' '), case, hub)
        tap.case('the hub stops cleanly', lambda: same(hub.stop(), 0, 'exit status'))
    tap.done()


if __name__ == '__main__':
    main()
