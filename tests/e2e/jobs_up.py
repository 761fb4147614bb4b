#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs on the local site of `busbar up`: submitted over the API and the command line, run by the local engine.

The hub is killed and started again for real; commands tell by marks in files how often they ran. The work folder of a job is
in its environment's HOME, so marks are made where every job can write: in its own folder, read from outside.
"""
import datetime
import hashlib
import json
import os
import signal
import subprocess
import tempfile
import threading
import time

from workbench import Bench, Tap, find_processes, need, replied, same, wait_for

CORES = len(os.sched_getaffinity(0))
CHIPS = min(CORES, 16)
NOWHERE = '01a202f0-19c2-783f-b73d-61dd2eeb1f91'


def run(hub, *args, before=(), timeout=60, key=None):
    """busbar run OPTIONS -- COMMAND"""
    far = ['--hub', hub.address, '--key', key] if key else ['--data', str(hub.data)]
    return subprocess.run([hub.bin, 'run', *far, *before, '--', *args], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=timeout, check=False)


def submit(hub, *argv, **members):
    return hub.api('POST', '/api/v1/jobs', {'tenant': 'default', 'argv': [str(a) for a in argv], **members})['id']


def sh(hub, script, **members):
    return submit(hub, 'sh', '-c', script, **members)


def job(hub, ident):
    return hub.api('GET', f'/api/v1/jobs/{ident}')


def state(hub, ident):
    return job(hub, ident)['state']


def over(hub, ident, limit_s=30):
    return wait_for(lambda: (j := job(hub, ident))['state'] not in ('queued', 'running') and j, f'{ident} is over', limit_s)


def log(hub, ident, **query):
    text = '&'.join(f'{k}={v}' for k, v in query.items())
    reply = hub.request('GET', f'/api/v1/jobs/{ident}/logs?{text}', local=True)
    same(reply.status, 200, reply.body[:200])
    return reply.body


def printed(hub, ident, text, limit_s=20):
    wait_for(lambda: text in log(hub, ident), f'{ident} printed {text!r}', limit_s)


def folders(hub):
    return sorted(p.name for p in (hub.data / 'jobs').glob('*'))


def files_of(jobs):
    return sorted({f"{j.get('array', j['id'])}.json" for j in jobs})


def quiet(hub, limit_s=20):
    """Nothing of a job runs any more."""
    wait_for(lambda: not find_processes(str(hub.data / 'work')), 'no process of a job', limit_s)


# ---- ways to end ----

def runs(hub):
    done = run(hub, 'sh', '-c', 'echo "hello $WHO"; echo oops >&2; exit 3', before=['--env', 'WHO=you', '--name', 'one'])
    same((done.returncode, done.stdout), (3, 'hello you\n'), done.stderr)
    need('oops\n' in done.stderr, done.stderr)
    newest = hub.api('GET', '/api/v1/jobs?limit=1')['data'][0]
    found = job(hub, newest['id'])
    same((found['name'], found['state'], found['end'], found['code']), ('one', 'ended', 'exited', 3), found)
    same((found['site'], found['chip'], found['epoch'], found['chips']), ('local', 'cpu', 1, 1), found)
    same(found['argv'][0], 'sh', 'argv')
    need('env' not in found, 'an environment may hold secrets')
    need(found['submitted'] <= found['started'] <= found['ended'], found)
    only, = found['epochs']
    same((only['epoch'], only['site'], only['chips'], only['truncated'], only['final']), (1, 'local', 1, False, True), only)
    same((only['ms'], only['chip_ms'], only['cpu_ms']), (found['usage']['ms'], only['ms'], found['usage']['cpu_ms']), only)
    same((only['price'], only['cost'], found['cost'], found['chip_ms']), ('0', '0', '0', only['chip_ms']), found)
    shown = dict(line.rsplit('  ', 1) for line in hub.run('job', 'show', newest['id']).stdout.splitlines() if '  ' in line)
    same([v.strip() for k, v in shown.items() if k.strip() in ('chip ms', 'cost')], [str(only['chip_ms']), '0'], shown)
    same(log(hub, newest['id'], offset=6), b'you\n', 'from an offset')
    same(log(hub, newest['id'], stream='err'), b'oops\n', 'errors')


def bytes_are_whole(hub):
    """What is no text comes as it is, and all of it: more than one answer holds."""
    ident = sh(hub, 'head -c 5000000 /dev/zero | tr "\\0" "\\377"')
    same(over(hub, ident)['code'], 0, 'code')
    done = subprocess.run([hub.bin, 'job', 'logs', ident, '--data', str(hub.data)], capture_output=True, timeout=60,
                          check=True)
    same(len(done.stdout), 5000000, 'bytes')
    same(set(done.stdout), {0xff}, 'bytes')


def by_signal(hub):
    done = run(hub, 'sh', '-c', 'kill -SEGV $$')
    same(done.returncode, 128 + signal.SIGSEGV, done.stderr)
    newest = hub.api('GET', '/api/v1/jobs?limit=1')['data'][0]
    same((newest['end'], newest['signal'], 'code' in newest), ('signalled', 11, False), newest)


def out_of_time(hub):
    start = time.monotonic()
    done = run(hub, 'sleep', '60', before=['--time', '1s'])
    same(done.returncode, 124, done.stderr)
    need('time limit' in done.stderr, done.stderr)
    need(time.monotonic() - start < 50, 'it was stopped')


def out_of_memory(hub):
    script = 'import time\nx = []\nwhile 1:\n x.append(b"x" * (8 << 20)); time.sleep(.02)'
    done = run(hub, 'python3', '-c', script, before=['--memory', '96'])
    need('memory' in done.stderr and done.returncode == 1, done)


def no_program(hub):
    done = run(hub, '/no/such/program')
    need(done.returncode not in (0, 2), done)


def cancelled(hub):
    ident = sh(hub, 'echo on; sleep 60')
    printed(hub, ident, b'on\n')
    same(hub.run('job', 'cancel', ident).returncode, 0, 'cancel')
    same(state(hub, ident), 'cancelled', 'state')
    quiet(hub)
    again = hub.run('job', 'cancel', ident)
    need(again.returncode == 1 and 'over already' in again.stderr, again)
    same(state(hub, ident), 'cancelled', 'state')


def cancelled_at_its_start(hub):
    """A stop that comes while the command is being started reaches it: nobody waits for SIGKILL."""
    for i in range(6):
        ident = submit(hub, 'sleep', 30)
        wait_for(lambda: state(hub, ident) == 'running', 'it runs')  # pylint: disable=cell-var-from-loop
        time.sleep(0.01 * i)
        hub.api('DELETE', f'/api/v1/jobs/{ident}')
        quiet(hub, 5)


def interrupted(hub):
    process = subprocess.Popen([hub.bin, 'run', '--data', str(hub.data), '--', 'sh', '-c', 'echo on; sleep 3; echo off'],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    same(process.stdout.readline(), 'on\n', 'the log is followed')
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    same(process.returncode, 130, errors)
    need('goes on' in errors and 'busbar job cancel' in errors, errors)
    newest = hub.api('GET', '/api/v1/jobs?limit=1')['data'][0]
    same(newest['state'], 'running', 'it goes on')
    done = hub.run('job', 'logs', newest['id'], '-f')
    same((done.returncode, done.stdout), (0, 'on\noff\n'), done.stderr)


# ---- order ----

def queue(hub):
    """Two jobs that need all chips run one after the other; the second says what it waits for."""
    script = 'echo $(date +%s%N); sleep 1; echo $(date +%s%N)'
    first, second = (sh(hub, script, chips=CHIPS) for _ in range(2))
    waits = job(hub, second)
    same((waits['state'], waits['epoch'], waits['why']['bar']), ('queued', 0, 'full'), waits)
    times = []
    for ident in (first, second):
        same(over(hub, ident)['code'], 0, 'code')
        times.append([int(t) for t in log(hub, ident).split()])
    need(times[0][1] <= times[1][0], times)


def too_large(hub):
    ident = submit(hub, 'true', chips=CHIPS + 1)
    same(job(hub, ident)['why']['bar'], 'size', 'why')
    hub.api('DELETE', f'/api/v1/jobs/{ident}')
    same(state(hub, ident), 'cancelled', 'state')


def after(hub):
    first = sh(hub, 'sleep 1; exit 4')
    ok, bad, either = (submit(hub, 'true', after=[f'{kind}:{first}']) for kind in ('afterok', 'afternotok', 'afterany'))
    same(job(hub, ok)['why']['bar'], 'after', 'why')
    same([over(hub, i)['state'] for i in (first, ok, bad, either)], ['ended', 'unmet', 'ended', 'ended'], 'states')
    # The same once that is over: core knows nothing of it any more.
    later = [submit(hub, 'true', after=[f'{kind}:{first}']) for kind in ('afterok', 'afternotok', 'afterany')]
    same([over(hub, i)['state'] for i in later], ['unmet', 'ended', 'ended'], 'states')
    done = run(hub, 'true', before=['--after', first])
    need(done.returncode == 1 and 'comes after' in done.stderr, done)
    same(run(hub, 'true', before=['--after', f'afterany:{first}']).returncode, 0, 'afterany')


# ---- lives ----

def hub_killed(hub):
    """The job goes on without its hub, and ends once: one epoch, one run, all that it printed."""
    ident = sh(hub, 'for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done; exit 7')
    waiting = sh(hub, 'echo later', chips=CHIPS)
    printed(hub, ident, b'1\n')
    hub.kill()
    hub.start()
    ended = over(hub, ident)
    same((ended['state'], ended['code'], ended['epoch']), ('ended', 7, 1), ended)
    same(log(hub, ident), b'1\n2\n3\n4\n5\n6\n', 'log')
    same([p.name for p in (hub.data / 'work' / ident).iterdir()], ['1'], 'epochs')
    same((over(hub, waiting)['code'], log(hub, waiting)), (0, b'later\n'), 'who waited')


def ended_while_away(hub):
    ident = sh(hub, 'echo on; sleep 1; exit 9')
    printed(hub, ident, b'on\n')
    hub.kill()
    quiet(hub)
    hub.start()
    ended = over(hub, ident)
    same((ended['state'], ended['code'], ended['epoch']), ('ended', 9, 1), ended)


def restarts_keep_jobs(hub):
    ident = sh(hub, 'echo on; sleep 3; echo off')
    printed(hub, ident, b'on\n')
    same(hub.stop(), 0, 'exit status')
    hub.start()
    same((over(hub, ident)['code'], log(hub, ident)), (0, b'on\noff\n'), 'job')


def stopped_while_followed(hub):
    """Who waits for a log does not keep the hub from stopping."""
    ident = sh(hub, 'sleep 10')
    wait_for(lambda: state(hub, ident) == 'running', 'it runs')
    waiting = hub.unix_socket()
    waiting.sendall(f'GET /api/v1/jobs/{ident}/logs?wait=30 HTTP/1.1\r\nHost: x\r\n\r\n'.encode())
    follower = subprocess.Popen([hub.bin, 'job', 'logs', ident, '--follow', '--data', str(hub.data)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(0.5)
    start = time.monotonic()
    same(hub.stop(), 0, 'exit status')
    seconds = time.monotonic() - start
    need(seconds < 20, f'{seconds:.1f} s, and one waits for 30')
    _, errors = follower.communicate(timeout=20)
    need(follower.returncode in (1, 3) and 'goes on' in errors, follower.returncode, errors)
    waiting.close()
    hub.start()
    same(over(hub, ident)['code'], 0, 'code')


def killed_at_random(hub):
    """Whatever was acknowledged before a kill runs, once; nothing is left over."""
    acknowledged = []
    for n in range(4):
        acknowledged += [sh(hub, f'echo {n}-{i}') for i in range(5)]
        time.sleep(0.05 * n)
        hub.kill()
        hub.start()
    for ident in acknowledged:
        ended = over(hub, ident)
        same((ended['state'], ended['code'], ended['epoch']), ('ended', 0, 1), ended)
        same(len(log(hub, ident).split()), 1, log(hub, ident))


def unrecorded(hub):
    """A hub that dies between a job's file and its event leaves a file that the next start removes; no other."""
    ident = sh(hub, 'echo on; sleep 3')
    printed(hub, ident, b'on\n')
    before = folders(hub)
    spec = hub.data / 'jobs' / f'{ident}.json'
    stray = hub.data / 'jobs' / f'{ident[:-12]}{"f" * 12}.json'
    hub.kill()
    stray.write_bytes(spec.read_bytes())
    stray.with_name(f'{ident[:-12]}{"f" * 8}0000.json').write_bytes(spec.read_bytes())  # an array's
    (hub.data / 'jobs' / f'{ident}.json.17.tmp').touch()
    (hub.data / 'jobs' / 'notes.txt').touch()
    hub.start()
    same(folders(hub), sorted([*before, 'notes.txt']), 'files')
    (hub.data / 'jobs' / 'notes.txt').unlink()
    same(over(hub, ident)['code'], 0, 'code')


def killed_while_submitting(hub):
    """Whoever was answered has a job; whoever was not may have one or none, and never half of one."""
    answered = []

    def ask():
        try:
            while True:
                answered.append(sh(hub, 'echo x'))
        except (OSError, AssertionError):
            pass
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for t in threads:
        t.start()
    wait_for(lambda: len(answered) >= 10, 'some are answered')
    hub.kill()
    for t in threads:
        t.join()
    hub.start()
    known = {j['id'] for j in hub.pages('/api/v1/jobs')}
    need(set(answered) <= known, 'an acknowledged job is lost')
    same(folders(hub), files_of(hub.pages('/api/v1/jobs')), 'files and jobs')
    for ident in known:
        ended = over(hub, ident)
        if ident in answered:
            same((ended['state'], ended['code'], ended['epoch'], log(hub, ident)), ('ended', 0, 1, b'x\n'), ended)
    return f'{len(answered)} answered'


def preempted(hub):
    """An interruptible job gives way to a firm one and runs again: two epochs, each with its own log."""
    script = 'echo on; trap "echo told; exit 0" TERM; i=0; while [ $i -lt 30 ]; do sleep 0.1; i=$((i+1)); done'
    first = sh(hub, script, chips=CHIPS, interruptible=True)
    printed(hub, first, b'on\n')
    second = sh(hub, 'sleep 0.5', chips=CHIPS, time_limit_s=60)
    same(over(hub, second)['code'], 0, 'the firm one')
    ended = over(hub, first)
    same((ended['code'], ended['epoch']), (0, 2), ended)
    same([e['epoch'] for e in ended['epochs']], [1, 2], 'epochs')
    same(ended['chip_ms'], sum(e['chip_ms'] for e in ended['epochs']), 'chip time of both')
    same((log(hub, first, epoch=1), log(hub, first)), (b'on\ntold\n', b'on\n'), 'logs')


def eta_of(hub, ident):
    """In seconds from now: likely, from, until; the hub may be busy with other answers."""
    told = wait_for(lambda: hub.api('GET', f'/api/v1/jobs/{ident}?eta=true').get('eta'), f'when {ident} starts', 60)
    now = datetime.datetime.now(datetime.timezone.utc)
    return [(datetime.datetime.fromisoformat(told[k].replace('Z', '+00:00')) - now).total_seconds() for k in ('start', 'low', 'high')]


def eta(hub):
    """Who waits is told when it will start, and what came of earlier answers stretches the later ones."""
    blocker = sh(hub, 'sleep 100', chips=CHIPS, time_limit_s=90)
    waiting = [submit(hub, 'true', chips=CHIPS, time_limit_s=1) for _ in range(10)]  # as many as it learns from
    told = {}
    asking = [threading.Thread(target=lambda j=j: told.update({j: eta_of(hub, j)})) for j in waiting]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    for ident in waiting:
        likely, low, high = told[ident]
        need(20 < low <= likely <= high, ident, told[ident])
    # Whoever asks a hub that is busy is shown the job without it.
    wait_for(lambda: 'may start       20' in hub.run('job', 'show', waiting[0]).stdout, 'job show tells it')
    need('eta' not in job(hub, waiting[0]) and 'eta' not in hub.api('GET', f'/api/v1/jobs/{blocker}?eta=true'), 'nobody asked')
    wait_for(lambda: 'it may start at 20' in run(hub, 'true', before=['--dry-run', '--chips', str(CHIPS), '--time', '1m']).stderr,
             'a dry run tells it')
    hub.api('DELETE', f'/api/v1/jobs/{blocker}')
    for ident in waiting:
        over(hub, ident, 60)
    # All of them started within a fraction of what was told: so will the next one, as far as anybody knows.
    blocker = sh(hub, 'sleep 100', chips=CHIPS, time_limit_s=90)
    last = submit(hub, 'true', chips=CHIPS, time_limit_s=1)
    likely, low, high = eta_of(hub, last)
    need(low < high + 1 and high < likely - 20, 'nothing was learned:', likely, low, high)
    for ident in (last, blocker):
        hub.api('DELETE', f'/api/v1/jobs/{ident}')
    quiet(hub)


def restored(hub):
    """A backup has what its jobs run: those that wait in it run where it is restored."""
    blocker = sh(hub, 'sleep 60', chips=CHIPS)
    data = b'brought along\n'
    name = hashlib.sha256(data).hexdigest()
    same(hub.request('PUT', f'/api/v1/blobs/{name}?tenant=default&size={len(data)}&offset=0', data, local=True).json()['whole'], True, 'put')
    waits = sh(hub, 'echo restored; cat f', chips=CHIPS, inputs=[{'name': 'f', 'sha256': name, 'size': len(data)}])
    same(state(hub, waits), 'queued', 'state')
    with tempfile.TemporaryDirectory(prefix='bb-', dir='/tmp') as folder:
        told = hub.run('backup', f'{folder}/without')
        need(told.returncode == 0 and '--blobs takes them' in told.stderr, told)
        need(not os.path.exists(f'{folder}/without/blobs'), 'what was not asked for')
        told = hub.run('backup', f'{folder}/copy', '--blobs')
        need(told.returncode == 0 and 'true' in told.stdout and told.stderr == '', told)
        for ident in (blocker, waits):
            hub.api('DELETE', f'/api/v1/jobs/{ident}')
        subprocess.run([hub.bin, 'restore', f'{folder}/copy', '--data', f'{folder}/data'], check=True,
                       stdout=subprocess.DEVNULL)
        with Bench(['--no-model'], data=f'{folder}/data') as other:
            other.api('DELETE', f'/api/v1/jobs/{blocker}')
            same((over(other, waits)['code'], log(other, waits)), (0, b'restored\nbrought along\n'), 'the job')
            quiet(other)


def taken_back(_):
    """What runs here and should not, as far as the core knows, is stopped at the start."""
    with tempfile.TemporaryDirectory(prefix='bb-', dir='/tmp') as folder:
        with Bench(['--no-model'], data=f'{folder}/data') as other:
            ident = sh(other, 'echo on; sleep 100')
            printed(other, ident, b'on\n')
            other.kill()
            need(find_processes(str(other.data / 'work')), 'it outlives its hub')
            for part in other.data.glob('busbar.db*'):
                part.unlink()
            other.start()
            quiet(other)
            record = json.loads((other.data / 'work' / ident / '1' / 'exit').read_text(encoding='utf-8'))
            same((record['end'], folders(other)), ('cancelled', []), record)


def fewer_cores(hub):
    """A machine that has changed is another pool; what ran on the old one is placed again."""
    if CORES < 2:
        return 'one core only: nothing to take away'
    ident = sh(hub, 'echo $BUSBAR_EPOCH; sleep 2; echo over')
    printed(hub, ident, b'\n')
    same(hub.stop(), 0, 'exit status')
    core = min(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        hub.start()
    finally:
        os.sched_setaffinity(0, before)
    ended = over(hub, ident, 40)
    same((ended['state'], ended['code'], ended['epoch']), ('ended', 0, 2), ended)
    same(job(hub, big := submit(hub, 'true', chips=2))['why']['bar'], 'node-down', 'why')
    same(hub.stop(), 0, 'exit status')
    hub.start()
    same(over(hub, big)['code'], 0, 'with all cores again')
    return None


# ---- who may, and what is refused ----

def keys(hub):
    hub.api('POST', '/api/v1/tenants', {'name': 'other', 'budget': '1'})
    mine, theirs = (hub.add_key(f'k-{t}', tenant=t, scopes=['jobs'])['key'] for t in ('default', 'other'))
    weak = hub.add_key('weak', tenant='default', scopes=['inference', 'admin'])['key']
    done = run(hub, 'echo', 'far', key=mine)
    same((done.returncode, done.stdout), (0, 'far\n'), done.stderr)
    ident = hub.request('GET', '/api/v1/jobs?limit=1', key=mine).json()['data'][0]['id']
    running = sh(hub, 'sleep 30')
    for path in ('', '/logs'):
        replied(hub.request('GET', f'/api/v1/jobs/{ident}{path}', key=mine), 200, path)
        replied(hub.request('GET', f'/api/v1/jobs/{ident}{path}', key=theirs), 404, path)
        replied(hub.request('GET', f'/api/v1/jobs/{ident}{path}', key=weak), 403, path)
    same(hub.request('GET', '/api/v1/jobs', key=theirs).json()['data'], [], 'nothing of others')
    replied(hub.request('GET', '/api/v1/jobs?tenant=default', key=theirs), 404, 'nor by name')
    replied(hub.request('DELETE', f'/api/v1/jobs/{running}', key=theirs), 404, 'cancel')
    replied(hub.request('POST', '/api/v1/jobs', {'argv': ['true'], 'tenant': 'default'}, key=theirs), 404, 'submit')
    replied(hub.request('POST', '/api/v1/jobs', {'argv': ['true'], 'after': [ident]}, key=theirs), 404, 'after')
    same(state(hub, running), 'running', 'state')
    replied(hub.request('DELETE', f'/api/v1/jobs/{running}', key=mine), 200, 'cancel')
    same(run(hub, 'true', key=weak).returncode, 5, 'not allowed')


def refused(hub):
    """A bad request changes nothing: no job, no file, no event in the journal."""
    def standing():
        return len(hub.pages('/api/v1/jobs')), folders(hub), hub.api('GET', '/api/v1/status')['journal_events']
    wait_for(lambda: not [j for j in hub.pages('/api/v1/jobs') if j['state'] in ('queued', 'running')], 'all are over')
    before = standing()
    for body in ({}, {'argv': []}, {'argv': ['']}, {'argv': 'true'}, {'argv': ['true', 3]}, {'argv': ['a\0b']},
                 {'argv': ['true'], 'chips': 0}, {'argv': ['true'], 'chips': -1}, {'argv': ['true'], 'chips': 1.5},
                 {'argv': ['true'], 'chips': 1 << 40}, {'argv': ['true'], 'priority': 101},
                 {'argv': ['true'], 'priority': -101}, {'argv': ['true'], 'priority': '1'},
                 {'argv': ['true'], 'time_limit_s': 0}, {'argv': ['true'], 'time_limit_s': 1 << 60},
                 {'argv': ['true'], 'interruptible': 1}, {'argv': ['true'], 'env': ['A']},
                 {'argv': ['true'], 'env': ['1A=2']}, {'argv': ['true'], 'env': {'A': 'b'}},
                 {'argv': ['true'], 'cwd': 'here'}, {'argv': ['true'], 'name': 'No Name'},
                 {'argv': ['true'], 'after': 'x'}, {'argv': ['true'], 'after': ['x']},
                 {'argv': ['true'], 'after': [f'afterwards:{NOWHERE}']}, {'argv': ['true'], 'after': [NOWHERE] * 5},
                 {'argv': ['true'], 'alternatives': []}, {'argv': ['true'], 'alternatives': [{'chip': 'cpu'}] * 5},
                 {'argv': ['true'], 'alternatives': [{'chips': 1}]}, {'argv': ['true'], 'alternatives': [{'chip': 'cpu', 'chips': 0}]},
                 {'argv': ['true'], 'alternatives': [{'chip': 'cpu', 'rate': 0}]},
                 {'argv': ['true'], 'alternatives': [{'chip': 'cpu', 'size': 1}]},
                 {'argv': ['true'], 'alternatives': [{'chip': 'cpu'}], 'chip': 'cpu'},
                 *({'argv': ['true'], 'array': a} for a in ('', '3-1', '1-', '1-2%', '1-2%0', '1,2', '0-65535', '-1', 1, '1-4:2')),
                 {'argv': ['true'], 'deadline': '+0s'}, {'argv': ['true'], 'defer_until': 5},
                 {'argv': ['true'], 'checkpoint_cost_s': 5}, {'argv': ['true'], 'jurisdiction': 'X' * 99},
                 {'argv': ['true'], 'epoch': 2}, {'argv': ['true'], 'binds': [{'source': '/'}]}):
        reply = hub.request('POST', '/api/v1/jobs', {'tenant': 'default', **body}, local=True)
        same(reply.status, 400, f'{body}: {reply.body}')
        need(reply.json()['error']['message'], reply.body)
    for body in ({'argv': ['true'], 'after': [NOWHERE]}, {'argv': ['true'], 'tenant': 'nobody'}):
        replied(hub.request('POST', '/api/v1/jobs', {'tenant': 'default', **body}, local=True), 404, body)
    # What the core itself refuses: no such kind of chips. The file was there before, and is gone.
    same(hub.request('POST', '/api/v1/jobs', {'tenant': 'default', 'argv': ['true'], 'chip': 'abacus'}, local=True).status,
         404, 'chip')
    for path in (f'/api/v1/jobs/{NOWHERE}', '/api/v1/jobs/x', f'/api/v1/jobs/{NOWHERE}/logs'):
        replied(hub.request('GET', path, local=True), 404, path)
    ident = hub.api('GET', '/api/v1/jobs?limit=1')['data'][0]['id']
    for query in ('stream=both', 'offset=-1', 'wait=31', 'wait=x', 'epoch=x'):
        replied(hub.request('GET', f'/api/v1/jobs/{ident}/logs?{query}', local=True), 400, query)
    for query in ('cursor=x', 'state=x', 'state=', 'state=queued,', 'array=x', 'limit=0'):
        replied(hub.request('GET', f'/api/v1/jobs?{query}', local=True), 400, query)
    after_all = standing()
    same(after_all[:2], before[:2], 'jobs and files')
    for words in (['--chip', 'cpu:0'], ['--chip', 'cpu:1,'], ['--chip', ':2'], ['--time', '1:60'], ['--green', '--defer', '+1h'],
                  ['--chips', 'x'], ['--time', 'soon'], ['--time', '0'], ['--priority', 'high'], ['--colour', 'red']):
        same(run(hub, 'true', before=words).returncode, 2, words)
    same(hub.run('run').returncode, 2, 'no command')


def listing(hub):
    idents = [submit(hub, 'true', name=f'n-{i}') for i in range(5)]
    for ident in idents:
        over(hub, ident)
    first = hub.api('GET', '/api/v1/jobs?limit=3')
    second = hub.api('GET', f"/api/v1/jobs?limit=2&cursor={first['next']}")
    same([j['id'] for j in first['data'] + second['data']], idents[::-1], 'pages, the newest first')
    same([j['name'] for j in second['data']], ['n-1', 'n-0'], 'names')
    table = hub.run('jobs', '--limit', '2').stdout
    need('n-4' in table and 'n-3' in table and 'n-2' not in table, table)
    shown = json.loads(hub.run('job', 'show', idents[0], '--json').stdout)
    same(shown['id'], idents[0], 'show')
    done = subprocess.run([hub.bin, 'run', '--data', str(hub.data), '--json', '--', 'sh', '-c', 'echo no; exit 3'],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    same((done.returncode, json.loads(done.stdout)['code']), (3, 3), done)
    same(hub.run('job', 'show', NOWHERE).returncode, 4, 'not there')


def main():
    tap = Tap()
    with Bench(['--no-model']) as hub:
        for case in (runs, bytes_are_whole, by_signal, out_of_time, out_of_memory, no_program, cancelled, cancelled_at_its_start, interrupted, queue,
                     too_large, after, hub_killed, ended_while_away, restarts_keep_jobs, stopped_while_followed,
                     killed_at_random, unrecorded,
                     killed_while_submitting, preempted, eta, restored, taken_back, fewer_cores, keys,
                     refused, listing):
            tap.case(case.__name__.replace('_', ' '), case, hub)
        tap.case('nothing is left', quiet, hub)
        tap.case('one file a job or array', lambda: same(folders(hub), files_of(hub.pages('/api/v1/jobs')), 'files'))
    tap.done()


if __name__ == '__main__':
    main()
