#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Starting, stopping, dying and coming back: nothing is left running, nothing that was recorded is lost."""
import concurrent.futures
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from busbar_test import PATIENCE
from workbench import FULL, Bench, Engine, Tap, alive, find_processes, need, replied, same, talk, wait_for

KEY = re.compile(r'bb_[0-9a-z]{10}_\w+_[0-9a-f]{8}')


def left_behind(hub):
    """Processes and sockets of this data folder."""
    return find_processes(str(hub.data)), sorted(p.name for p in (hub.data / 'run').glob('*.sock'))


def nothing_left(hub, limit_s=3.0):
    end = time.monotonic() + limit_s * PATIENCE
    while left_behind(hub)[0] and time.monotonic() < end:
        time.sleep(0.05)
    pids, sockets = left_behind(hub)
    lines = [pathlib.Path(f'/proc/{p}/cmdline').read_bytes() for p in pids if alive(p)]
    same(lines, [], 'processes left')
    same(sockets, [], 'sockets of engines left')
    same((hub.data / 'busbar.sock').exists(), False, 'the socket of the hub')


@contextlib.contextmanager
def detached(data, *args):
    """`busbar up --detach`; ends what it started."""
    bin_path = os.environ['BUSBAR_BIN']
    run = [bin_path, 'up', '--data', data, '--listen', '127.0.0.1:0', '--detach', *args]
    start = time.monotonic()
    done = subprocess.run(run, stdin=subprocess.DEVNULL, text=True, capture_output=True, timeout=120, check=False)
    try:
        yield done, time.monotonic() - start
    finally:
        subprocess.run([bin_path, 'down', '--data', data], capture_output=True, timeout=70, check=False)


def first_start_and_down():
    data = tempfile.mkdtemp(prefix='bb-', dir='/tmp')
    shutil.rmtree(data)  # it makes the folder
    try:
        with detached(data) as (done, seconds):
            same(done.returncode, 0, done.stderr)
            line = re.search(r'^try\s+(curl .*)$', done.stdout, re.M).group(1)
            # The very next command works, as it was printed.
            ran = subprocess.run(['bash', '-c', line], capture_output=True, text=True, timeout=80, check=False)
            need('"finish_reason"' in ran.stdout, ran.stdout, ran.stderr)
            keys = set(KEY.findall(done.stdout + done.stderr))
            same(len(keys), 2, 'a key and an operator key')
            same(pathlib.Path(data).stat().st_mode & 0o777, 0o700, 'mode of the data folder')
            again = subprocess.run([os.environ['BUSBAR_BIN'], 'up', '--data', data, '--listen', '127.0.0.1:0'],
                                   capture_output=True, text=True, timeout=80, check=False)
            need(again.returncode not in (0, 2), again.returncode)
            pid = re.search(r'runs on .* already \(pid (\d+)\)', again.stderr)
            need(pid and alive(int(pid.group(1))), again.stderr)
            detached_too = subprocess.run([os.environ['BUSBAR_BIN'], 'up', '--data', data, '--detach'],
                                          capture_output=True, text=True, timeout=80, check=False)
            need(detached_too.returncode != 0 and 'already' in detached_too.stderr, detached_too)
            pids = find_processes(data)
            need(len(pids) >= 2, pids)
            down = subprocess.run([os.environ['BUSBAR_BIN'], 'down', '--data', data], capture_output=True, text=True,
                                  timeout=120, check=False)
            same((down.returncode, down.stdout), (0, 'stopped\n'), 'down')
            same([p for p in pids if alive(p)], [], 'processes after down')
            same(find_processes(data), [], 'processes left')
            same([p.name for p in pathlib.Path(data, 'run').iterdir()], [], 'files in run/')
            same(subprocess.run([os.environ['BUSBAR_BIN'], 'down', '--data', data], capture_output=True,
                                check=False).returncode, 3, 'down again')
        with detached(data) as (done, seconds_again):
            same(KEY.findall(done.stdout + done.stderr), [], 'keys shown at the second start')
            need(done.returncode == 0 and 'address' in done.stdout, done)
    finally:
        shutil.rmtree(data, ignore_errors=True)
    return f'first start {seconds:.2f} s, second {seconds_again:.2f} s'


def restart_resumes():
    with Bench() as hub:
        key = hub.key
        for _ in range(3):
            replied(hub.chat(max_tokens=5), 200, 'before')
        hub.api('POST', '/api/v1/tenants', {'name': 'other', 'budget': '3.5'})
        hub.add_key('more', tenant='other', rpm=7, budget='1')
        before = everything(hub)
        same(hub.stop(), 0, 'exit status')
        nothing_left(hub)
        hub.lines.clear()
        hub.start()
        same([line for line in hub.lines if KEY.search(line)], [], 'keys shown again')
        same(everything(hub), before, 'state')
        replied(hub.chat(key, max_tokens=5), 200, 'at once after the start')
        same(len(hub.records()), len(before['records']) + 1, 'records')


def without(row, *names):
    return {k: v for k, v in row.items() if k not in names}


def keys_of(hub):
    """Balances left out: they move. A restart may list keys in another order."""
    found = [without(key, 'held', 'available', 'spent') for key in hub.pages('/api/v1/keys')]
    return sorted(found, key=lambda k: k['id'])


def everything(hub):
    """All that a restart or a restore must keep."""
    return {'tenants': [without(t, 'held', 'available') for t in hub.pages('/api/v1/tenants')],
            'keys': keys_of(hub),
            'models': hub.api('GET', '/api/v1/models')['data'],
            'deployments': [without(d, 'replicas', 'replicas_ready') for d in hub.api('GET', '/api/v1/deployments')['data']],
            # What was drawn for it is known some seconds later.
            'usage': [[without(u, 'energy_j', 'carbon_g') for u in hub.api('GET', f'/api/v1/usage?by={by}')['data']]
                      for by in ('tenant', 'key', 'model', 'hour')],
            'records': hub.records()}


def sigterm_lets_streams_finish():
    with Engine(talk(0.02)) as engine, Bench() as hub:
        hub.add_url_model('long', engine.url)
        with hub.stream(model='long', max_tokens=60) as s, hub.stream(max_tokens=30) as t:
            s.read(5)
            t.read(1)
            os.kill(hub.pid, signal.SIGTERM)
            time.sleep(0.2)
            refused = True
            try:
                refused = hub.chat(max_tokens=1).status == 503
            except OSError:
                pass
            need(refused, 'a new request while it drains')
            need(s.read().done and t.read().done and not s.broken, 'the streams were whole')
            same(s.chunks, 60, 'chunks')
        same(hub.process.wait(60), 0, 'exit status')
        nothing_left(hub)
        hub.start()
        same(hub.billed(s.id)['completion_tokens'], 60, 'billed')


def second_sigterm_ends_at_once():
    with Engine(talk(0.1)) as engine, Bench() as hub:
        hub.add_url_model('long', engine.url)
        with hub.stream(model='long', max_tokens=400) as s:
            s.read(3)
            os.kill(hub.pid, signal.SIGTERM)
            time.sleep(0.3)
            need(hub.alive(), 'it waits for the stream')
            start = time.monotonic()
            os.kill(hub.pid, signal.SIGTERM)
            s.read()
            same((s.error or {}).get('code'), 'shutting_down', 'error event')
            same(hub.process.wait(60), 0, 'exit status')
            need(time.monotonic() - start < 15, 'too slow: it waited for the stream')
        nothing_left(hub)
        hub.start()
        same(hub.billed(s.id)['completion_tokens'], s.chunks, 'billed')


def engine_killed():
    with Bench() as hub:
        pids = hub.engines()
        for round_ in range(3):
            with hub.stream(max_tokens=400, logprobs=True, top_logprobs=20) as s:
                s.read(2)
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                s.read()
                need(s.done or (s.error or {}).get('code') == 'engine_error', s.error, s.broken)
                bill = hub.billed(s.id)
                same(bill['completion_tokens'], s.chunks, 'billed')
            start = time.monotonic()
            wait_for(lambda old=pids: set(hub.engines()) - set(old) and hub.wait_ready(), 'a new engine', 15)
            reply = wait_for(lambda: (r := hub.chat(max_tokens=3)).status == 200 and r, 'an answer', 15)
            same(reply.json()['usage']['completion_tokens'], 3, 'tokens')
            pids = hub.engines()
            seconds = time.monotonic() - start
        replica = hub.deployment()['replicas'][0]
        same(replica['state'], 'ready', 'state')
        return f'round {round_ + 1}: answers again after {seconds:.2f} s'


def request_waits_for_restart():
    """A request that comes while the engine restarts waits for it."""
    with Bench() as hub:
        for pid in hub.engines():
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
        statuses = [hub.chat(max_tokens=2).status for _ in range(3)]
        need(statuses[-1] == 200 and set(statuses) <= {200, 502}, statuses)
        return f'statuses {statuses}'


def hub_killed():
    with Engine(talk(0.02)) as engine, Bench() as hub:
        hub.add_url_model('long', engine.url, price_prompt='1', price_completion='1')
        answered = [hub.chat(max_tokens=4).fields['x-request-id'] for _ in range(10)]
        s = hub.stream(model='long', max_tokens=400).read(20)
        engines = hub.engines()
        need(engines, 'engines')
        # Only the hub itself: the engines must end by themselves.
        os.kill(hub.pid, signal.SIGKILL)
        hub.process.wait()
        s.read()
        need(s.broken and not s.done, 'the stream broke off')
        wait_for(lambda: not find_processes(str(hub.data)), 'no engine is left', 5)
        same([p for p in engines if alive(p)], [], 'engines')
        hub.reader.join(2)
        hub.start()
        held = hub.tenant()
        same(held['held'], 0, 'held before traffic')
        for request in answered:
            same(hub.billed(request)['completion_tokens'], 4, 'a recorded answer')
        found = hub.records_of(s.id)
        need(found and 'start' in found[0]['flags'], 'the stream left its first record')
        need(sum(r['completion_tokens'] for r in found) <= s.chunks, found)
        replied(hub.chat(max_tokens=4), 200, 'afterwards')
        s.close()


def hub_killed_under_load():
    """What was answered before kill -9 is in the records, exactly once."""
    with Bench() as hub:
        answers, stop = [], threading.Event()

        def client():
            while not stop.is_set():
                try:
                    reply = hub.chat(max_tokens=2, timeout=20)
                    if reply.status == 200:
                        reply.json()
                        answers.append(reply.fields['x-request-id'])
                except (OSError, AssertionError, ValueError):
                    pass
        for _ in range(30 if FULL else 3):
            stop.clear()
            threads = [threading.Thread(target=client) for _ in range(6)]
            for t in threads:
                t.start()
            had = len(answers)
            time.sleep(0.5)
            wait_for(lambda n=had: len(answers) >= n + 10, 'answers')
            os.kill(hub.pid, signal.SIGKILL)
            hub.process.wait()
            stop.set()
            for t in threads:
                t.join()
            wait_for(lambda: not find_processes(str(hub.data)), 'no engine is left', 5)
            hub.reader.join(2)
            hub.start()
            same(hub.tenant()['held'], 0, 'held before traffic')
        finals = [r['request'] for r in hub.records() if 'final' in r['flags']]
        same(len(finals), len(set(finals)), 'one final record a request')
        same(sorted(set(answers) - set(finals)), [], 'answers without a record')
        need(len(answers) >= 30, f'only {len(answers)} answers')
        return f'{len(answers)} answers, {len(finals)} records'


def backup_and_restore():
    target, data = tempfile.mkdtemp(prefix='bb-', dir='/tmp'), tempfile.mkdtemp(prefix='bb-', dir='/tmp')
    os.rmdir(target)
    os.rmdir(data)
    try:
        with Bench() as hub:
            hub.add_key('extra', rpm=5)
            hub.chat(max_tokens=4)
            sure = [r['request'] for r in hub.records()]
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                load = [pool.submit(hub.chat, max_tokens=4) for _ in range(300)]
                done = hub.run('backup', target)
                same(done.returncode, 0, done.stderr)
                same({f.result().status for f in load}, {200}, 'requests during the backup')
            same(hub.run('backup', target).returncode, 1, 'a second time into the same folder')
            keys = keys_of(hub)
            models = hub.api('GET', '/api/v1/models')['data']
            first = hub.key
            same(hub.run('restore', target).returncode, 1, 'restore over living data')
            hub.stop()
            done = subprocess.run([hub.bin, 'restore', target, '--data', data], capture_output=True, text=True,
                                  timeout=120, check=False)
            same(done.returncode, 0, done.stderr)
        with Bench(data=data) as hub:
            same([line for line in hub.lines if KEY.search(line)], [], 'keys shown')
            same(hub.tenant()['held'], 0, 'held')
            same(keys_of(hub), keys, 'keys')
            same(hub.api('GET', '/api/v1/models')['data'], models, 'models')
            records = [r['request'] for r in hub.records()]
            same(records[:len(sure)], sure, 'records')
            need(len(records) <= 301 + len(sure), len(records))
            replied(hub.chat(first, max_tokens=4), 200, 'it serves')
            return f'{len(records)} records in the backup, of 301'
    finally:
        shutil.rmtree(target, ignore_errors=True)
        shutil.rmtree(data, ignore_errors=True)


def torn_backup():
    """A folder without the marker, or nothing at all, is refused."""
    with tempfile.TemporaryDirectory(dir='/tmp') as folder, Bench() as hub:
        same(hub.run('backup', f'{folder}/b').returncode, 0, 'backup')
        pathlib.Path(folder, 'b', 'BACKUP').unlink()
        for source in (f'{folder}/b', f'{folder}/nothing'):
            done = subprocess.run([hub.bin, 'restore', source, '--data', f'{folder}/new'], capture_output=True,
                                  text=True,
                                  check=False)
            same(done.returncode, 4, done.stderr)
            same(pathlib.Path(folder, 'new').exists(), False, 'a folder was made')


def replicas_and_slots():
    with Bench() as hub:
        same(hub.run('undeploy', 'stories').returncode, 0, 'undeploy')
        wait_for(lambda: not hub.engines(), 'the engine is gone')
        replied(hub.chat(max_tokens=1), 503, 'undeployed')
        done = hub.run('deploy', 'stories', '--replicas', '2', '--slots', '2')
        same(done.returncode, 0, done.stderr)
        d = hub.wait_ready('stories', 2)
        same([(r['ordinal'], r['slots'], r['context']) for r in d['replicas']], [(0, 2, 512), (1, 2, 512)], 'replicas')
        same(len({r['endpoint'] for r in d['replicas']}), 2, 'endpoints')
        lines = [pathlib.Path(f'/proc/{p}/cmdline').read_bytes().decode().split('\0') for p in hub.engines()]
        same([(x[x.index('-np') + 1], x[x.index('-c') + 1]) for x in lines], [('2', '1024')] * 2, 'slots and context')
        same(hub.run('deploy', 'stories').returncode, 1, 'deployed twice')
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            same({r.status for r in pool.map(lambda _: hub.chat(max_tokens=60), range(24))}, {200}, 'statuses')
        counts = [hub.engine_metric('tokens_predicted_total', 'stories', i) for i in (0, 1)]
        need(sum(counts) >= 24 * 10 and min(counts) > 0, f'both replicas work: {counts}')
        pid = next(p for p, x in zip(hub.engines(), lines) if 'stories-1.sock' in ' '.join(x))
        os.kill(pid, signal.SIGKILL)
        same({hub.chat(max_tokens=2).status for _ in range(8)} - {502}, {200}, 'the other replica serves on')
        hub.wait_ready('stories', 2)


def one_slot_queues():
    """An engine never gets more than its slots; the others wait and are served in turn."""
    busy, most, lock = [0], [0], threading.Lock()

    def script(request, path, body):
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        time.sleep(0.05)
        with lock:  # before the answer: once the hub has read it, the slot is another's
            busy[0] -= 1
        talk()(request, path, body)
    with Engine(script) as engine, Bench(['--queue', '30']) as hub:
        hub.add_url_model('narrow', engine.url, slots=2)
        with concurrent.futures.ThreadPoolExecutor(60) as pool:
            found = list(pool.map(lambda _: hub.chat(model='narrow', max_tokens=10).status, range(60)))
        need(set(found) <= {200, 503} and found.count(200) >= 32, found)
        need(most[0] <= 2, f'{most[0]} at once')
        return f'{found.count(200)} answered, {found.count(503)} refused with a queue of 30'


def undeploy_drains():
    with Engine(talk(0.02)) as engine, Bench() as hub:
        hub.add_url_model('long', engine.url)
        with hub.stream(model='long', max_tokens=80) as s, hub.stream(max_tokens=400, top_logprobs=20,
                                                                      logprobs=True) as t:
            s.read(5)
            t.read(1)
            same(hub.run('undeploy', 'long').returncode, 0, 'undeploy')
            same(hub.run('undeploy', 'stories').returncode, 0, 'undeploy')
            time.sleep(0.1)
            replied(hub.chat(model='long'), 503, 'a new request')
            need(s.read().done and t.read().done, 'running streams end well', s.error, t.error)
            same(s.chunks, 80, 'chunks')
        wait_for(lambda: hub.deployment('stories') is None and hub.deployment('long') is None, 'both are gone')
        wait_for(lambda: not hub.engines(), 'no engine')
        same(list((hub.data / 'run').iterdir()), [], 'sockets')
        same(hub.run('deploy', 'stories').returncode, 0, 'deploy again')
        hub.wait_ready()
        replied(hub.chat(max_tokens=2), 200, 'serves again')


def engine_without_program():
    """An engine that cannot start: the hub says why, serves the rest, and tries again with growing pauses."""
    with tempfile.TemporaryDirectory(dir='/tmp') as folder:
        bad = pathlib.Path(folder, 'llama-server')
        bad.write_text('#!/bin/sh\necho cannot find the chips >&2\nexit 7\n', encoding='ascii')
        bad.chmod(0o755)
        with Bench(['--no-model'], env={'BUSBAR_ENGINE_PATH': folder}, wait_s=150) as hub:
            source = pathlib.Path(hub.bin).resolve().parent.parent / 'data' / 'models' / 'stories.gguf'
            same(hub.run('model', 'add', 'stories', str(source)).returncode, 0, 'model add')
            same(hub.run('deploy', 'stories').returncode, 0, 'deploy')
            replica = wait_for(lambda: (r := hub.deployment()['replicas'][0])['state'] == 'backoff' and r,
                               'it backs off', 10)
            same(replica['detail'], 'exited with status 7', 'detail')
            since = time.monotonic()
            log = hub.data / 'logs' / 'stories-0.log'
            wait_for(lambda: log.read_text(encoding='utf-8').count('cannot find the chips') >= 2, 'another try', 10)
            time.sleep(2)
            starts, seconds = log.read_text(encoding='utf-8').count('cannot find the chips'), time.monotonic() - since
            need(starts <= 4 + seconds, f'{starts} starts in {seconds:.1f} s')
            replied(hub.request('GET', '/healthz'), 200, 'well')
            same(hub.run('undeploy', 'stories').returncode, 0, 'undeploy')
            wait_for(lambda: hub.deployment() is None, 'undeployed', 10)
            return f'{starts} starts in {seconds:.1f} s'


def names_do_not_collide():
    """Two models whose long names differ at the end have engines, sockets and logs of their own."""
    with Engine(talk()), Bench() as hub:
        source = str(hub.data / 'models' / 'stories.gguf')
        names = ['a' * 62 + 'b', 'a' * 62 + 'c']
        for name in names:
            same(hub.run('model', 'add', name, source).returncode, 0, 'model add')
            same(hub.run('deploy', name).returncode, 0, 'deploy')
        endpoints = {hub.wait_ready(name)['replicas'][0]['endpoint'] for name in names}
        same(len(endpoints), 2, 'endpoints')
        for name in names:
            same(hub.chat(model=name, max_tokens=2).json()['model'], name, 'who answers')


def long_data_folder():
    """A folder too long for sockets is refused at the start, not when a model is deployed."""
    for n in (60, 70, 78, 79, 80, 81, 85, 90, 100, 120):
        with tempfile.TemporaryDirectory(dir='/tmp') as folder:
            data = pathlib.Path(folder, 'd' * (n - len(folder) - 5))
            try:
                with Bench(data=data) as hub:
                    replied(hub.chat(max_tokens=1), 200, f'{n} bytes')
            except RuntimeError as e:
                need(n >= 79 and 'too long' in str(e), f'{n} bytes: {e}')


def port_in_use():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen()
        with tempfile.TemporaryDirectory(dir='/tmp') as data:
            done = subprocess.run([os.environ['BUSBAR_BIN'], 'up', '--data', data, '--listen',
                                   f'127.0.0.1:{s.getsockname()[1]}', '--detach'], capture_output=True, text=True,
                                  timeout=120, check=False)
            need(done.returncode == 1 and 'in use' in done.stderr, done)
            same(find_processes(data), [], 'processes')


def main():
    tap = Tap()
    for case in (first_start_and_down, restart_resumes, sigterm_lets_streams_finish, second_sigterm_ends_at_once,
                 engine_killed, request_waits_for_restart, hub_killed, hub_killed_under_load, backup_and_restore,
                 torn_backup, replicas_and_slots, one_slot_queues, undeploy_drains, engine_without_program,
                 names_do_not_collide,
                 long_data_folder, port_in_use):
        tap.case(case.__name__.replace('_', ' '), case)
    tap.done()


if __name__ == '__main__':
    main()
