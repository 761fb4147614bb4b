#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs on the local engine: every way to end, everything that can be killed, chips, and the sandbox.

Shims, keepers and agents are killed for real; what a job can reach is tried from within it.
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

from busbar_test import Tap
from engine_test import FULL, Engine, Site, left_of, need, processes_of, same, shim_of, wait_for

CONFIG = '''
engine: local
work: {work}
program: {bin}
catalogue: {root}/data/chips.yaml
chips:
  - {{chip: h100, count: 4}}
  - {{chip: ascend910b, indices: [2, 5]}}
  - {{chip: cpu, cores: ["0", "1"]}}
'''


# ---- lives ----

def runs(site, engine):
    job = site.job()
    engine.submit(job.sh('echo out; echo err >&2; echo "$GREETING"; exit 3', env=['GREETING=hello=you']))
    record = engine.ended_as(job, 'exited')
    same((record['code'], record.get('signal', 0)), (3, 0), 'code')
    same(record['text'], 'it exited with status 3', 'sentence')
    same(engine.log(job), 'out\nhello=you\n', 'standard output')
    same(engine.log(job, errors=True), 'err\n', 'standard error')
    same(engine.log(job, offset=4), 'hello=you\n', 'from an offset')
    usage = engine.call('usage', ids=[job.id])['bytes'].splitlines()
    need(len(usage) >= 2, usage)
    need(json.loads(usage[-1])['ms'] <= record['usage']['ms'], 'the last line is not after the record')
    need('truncated' not in record, record)


def succeeds(site, engine):
    job = site.job()
    engine.submit(job.spec('true'))
    same(engine.ended_as(job, 'exited').get('code', 0), 0, 'code')


def by_signal(site, engine):
    job = site.job()
    engine.submit(job.sh('kill -SEGV $$'))
    same(engine.ended_as(job, 'signalled')['signal'], signal.SIGSEGV, 'signal')


def no_program(site, engine):
    job = site.job()
    engine.submit(job.spec('/no/such/program'))
    record = engine.ended_as(job, 'not-started' if engine.level in ('none', 'process') else 'exited')
    need(record.get('code') or 'no/such' in record['text'], record)


def oom(site, engine):
    job = site.job()
    engine.submit(job.spec('python3', '-c', 'import time\nx = []\nwhile 1:\n x.append(b"x" * (8 << 20)); time.sleep(.02)',
                           memory_mib=96))
    record = engine.ended_as(job, 'oom')
    need(record['usage']['memory_peak_kib'] > 64 * 1024, record)
    same(left_of(job), [], 'nothing is left')


def time_limit(site, engine):
    job = site.job()
    engine.submit(job.sh('trap "echo asked; exit 0" TERM; while :; do sleep 0.1; done', time_limit_ms=700,
                         grace_ms=60000))
    record = engine.ended_as(job, 'timed-out')
    need(700 <= record['usage']['ms'] < 20000, f'it had heard SIGTERM: {record}')
    same(engine.log(job), 'asked\n', 'SIGTERM comes first')


def grace_ends(site, engine):
    job = site.job()
    engine.submit(job.sh('trap "echo no" TERM; echo up; while :; do sleep 0.05; done'))
    wait_for('its trap', lambda: engine.log(job) == 'up\n')
    start = time.monotonic()
    engine.cancel(job, grace_ms=1000)
    engine.ended_as(job, 'cancelled')
    need(0.9 < time.monotonic() - start < 30, 'SIGKILL after the grace time')
    same(engine.log(job), 'up\nno\n', 'it was asked')
    same(left_of(job), [], 'nothing is left')


def reasons(site, engine):
    for end in ('cancelled', 'preempted', 'curtailed', 'drained', 'evicted'):
        job = site.job()
        engine.submit(job.spec('sleep', '60'))
        engine.running(job)
        engine.cancel(job, end=end)
        engine.ended_as(job, end)
        engine.cancel(job)  # once more is no error, and changes nothing
        engine.ended_as(job, end)


def leaves_nothing(site, engine):
    job = site.job()
    mark = f'6{os.getpid()}.25'
    engine.submit(job.sh(f'setsid sleep {mark} & (setsid sleep {mark} &) ; sleep 0.3; exit 0'))
    engine.ended_as(job, 'exited')
    same(processes_of(f'sleep {mark}'), [], 'what the command left behind is gone with it')


def checkpoint(site, engine):
    folder = site.dir / 'checkpoints' / 'a'
    first = site.job()
    script = ('n=$(cat $BUSBAR_CHECKPOINT_DIR/step 2>/dev/null || echo 0); echo "from $n";'
              'trap "exit 0" TERM; while :; do n=$((n+1)); echo $n >$BUSBAR_CHECKPOINT_DIR/step; sleep 0.05; done')
    engine.submit(first.sh(script, checkpoint_dir=str(folder)))
    wait_for('a step', lambda: (folder / 'step').exists() and int((folder / 'step').read_text() or 0) > 3)
    engine.cancel(first, end='preempted', grace_ms=5000)
    engine.ended_as(first, 'preempted')
    second = first.next()
    engine.submit(second.sh(script, checkpoint_dir=str(folder)))
    wait_for('its log', lambda: engine.log(second))
    need(int(engine.log(second).split()[1]) > 3, 'the second epoch goes on where the first was')
    engine.cancel(second)
    engine.ended_as(second, 'cancelled')


def usage_of_chips(site, engine):
    job = site.job()
    engine.submit(job.sh('sleep 1.5', chips=[{'kind': 'h100', 'count': 2}]))
    usage = engine.ended_as(job, 'exited')['usage']
    same(usage['chips'], [{'kind': 'h100', 'chip_ms': 2 * usage['ms']}], 'chip time')
    need(1500 <= usage['ms'] < 10000, usage)
    same(usage['energy'], 'estimated', 'energy')
    need(abs(usage['energy_mj'] - 2 * 700 * usage['ms']) <= 2 * 700 * 50, f'700 W each: {usage}')


def cpu_time(site, engine):
    job = site.job()
    engine.submit(job.spec('python3', '-c', 'import time\nwhile time.process_time() < 1: pass'))
    usage = engine.ended_as(job, 'exited', 60)['usage']
    need(950 <= usage['cpu_ms'] < 5000, usage)


def durable_lines(site, engine):
    job = site.job()
    engine.submit(job.sh('sleep 11'))
    wait_for('two lines', lambda: len(job.lines()) >= 2, 25, 0.5)
    first, second = job.lines()[:2]
    need(first['ms'] < 5000 and 9000 < second['ms'] < 20000, (first, second))
    engine.cancel(job)
    engine.ended_as(job, 'cancelled')


# ---- leases ----

def lease_over(site, engine):
    job = site.job()
    engine.submit(job.spec('sleep', '60'), lease_ms=1500)
    record = engine.ended_as(job, 'lease-over')
    need(1300 < record['usage']['ms'] < 20000, record)


def lease_renewed(site, engine):
    job = site.job()
    start = time.monotonic()
    engine.submit(job.spec('sleep', '60'), lease_ms=4000)
    while time.monotonic() - start < 5:
        engine.call('renew', ids=[job.id], lease_ms=4000)
        time.sleep(0.5)
    same(engine.status(job)['state'], 'running', 'while it is renewed')
    engine.call('renew', ids=[job.id], lease_ms=500)
    record = engine.ended_as(job, 'lease-over')
    need(record['usage']['ms'] > 5000, record)


def lease_deaf(site, engine):
    """A job that ignores SIGTERM cannot outlive its lease by more than ten seconds, whatever its grace time."""
    job = site.job()
    engine.submit(job.sh('trap "" TERM; sleep 60', grace_ms=600000), lease_ms=1000)
    record = engine.ended_as(job, 'lease-over')
    need(record['usage']['ms'] < 25000, record)
    same(left_of(job), [], 'nothing is left')


def lease_without_agent(site, _):
    """Nobody renews, nobody looks: the shim alone ends it."""
    job = site.job()
    other = Engine(site.config)
    other.submit(job.spec('sleep', '60'), lease_ms=2000)
    other.kill()
    wait_for('its end', lambda: job.file('exit'), 10)
    same(json.loads(job.file('exit'))['end'], 'lease-over', 'end')


# ---- epochs, and doing things twice ----

def twice(site, engine):
    job = site.job()
    spec = job.sh('echo run >>ran; sleep 1')
    tags = [engine.ask('submit', specs=[spec]) for _ in range(5)]
    for tag in tags:
        same(engine.answer(tag)['code'], 'OK', 'each is answered alike')
    engine.ended_as(job, 'exited')
    engine.submit(spec)  # and after its end
    same((job.dir / 'work' / 'ran').read_text(), 'run\n', 'it ran once')


def twenty_shims(site, engine):
    """The claim itself: of many shims for one folder exactly one runs the command."""
    job = site.job()
    first = Engine(site.config)
    first.submit(job.sh('echo run >>ran; sleep 0.5'))
    first.ended_as(job, 'exited')
    first.close()
    for name in ('claim', 'exit'):
        (job.dir / name).unlink()
    (job.dir / 'work' / 'ran').unlink()
    shims = [subprocess.Popen([engine.bin, 'shim', str(job.dir)]) for _ in range(20)]
    same({s.wait(30) for s in shims}, {0}, 'whoever comes second ends well')
    same((job.dir / 'work' / 'ran').read_text(), 'run\n', 'one ran it')


def later_epoch(site, engine):
    first = site.job()
    engine.submit(first.spec('sleep', '60'))
    second = first.next()
    answer = engine.submit(second.spec('true'), code='IN_USE')
    need('epoch 1' in answer['message'], answer)
    engine.cancel(first)
    engine.ended_as(first, 'cancelled')
    engine.submit(second.spec('true'))
    engine.ended_as(second, 'exited')
    third = second.next()
    third.epoch = 1
    engine.submit(second.next().spec('true'))
    answer = engine.submit({**first.spec('true'), 'epoch': 0}, code='WRONG_STATE')
    need('already' in answer['message'], answer)


def cancel_first(site, engine):
    """A cancel that overtakes the start: the folder is there, no shim has it yet; none ever will."""
    job = site.job()
    engine.submit(job.spec('true'))
    engine.ended_as(job, 'exited')
    for name in ('claim', 'exit', 'usage'):
        (job.dir / name).unlink()
    same(engine.status(job)['state'], 'pending', 'as if no shim had come yet')
    engine.cancel(job)
    engine.ended_as(job, 'cancelled')
    same(subprocess.run([engine.bin, 'shim', str(job.dir)], check=False, timeout=20).returncode, 0, 'a late shim')
    engine.ended_as(job, 'cancelled')
    same(job.file('usage'), None, 'it did not run')


def forget(site, engine):
    job = site.job()
    engine.submit(job.spec('sleep', '60'))
    engine.call('forget', ids=[job.id], code='WRONG_STATE')
    engine.cancel(job)
    engine.ended_as(job, 'cancelled')
    engine.call('forget', ids=[job.id])
    same(engine.status(job)['state'], 'unknown', 'it is gone')
    need(not job.dir.parent.exists(), 'with its folder')
    engine.call('forget', ids=[job.id])


# ---- kills ----

def agent_restart(site, _):
    jobs = [site.job() for _ in range(3)]
    first = Engine(site.config)
    for job in jobs:
        first.submit(job.sh('sleep 2; echo done', chips=[{'kind': 'h100', 'count': 1}]))
    first.kill()
    second = Engine(site.config)
    listed = {s['job']: s['state'] for s in second.call('list')['statuses']}
    same([listed.get(j.job) for j in jobs], ['running'] * 3, 'found again')
    h100 = [n for n in second.call('inventory')['nodes'] if n['chip'] == 'h100'][0]
    same((h100['chips'], h100['used']), (4, 3), 'their chips are still theirs')
    answer = second.submit(site.job().spec('true', chips=[{'kind': 'h100', 'count': 2}]), code='IN_USE')
    need('1 h100' in answer['message'], answer)
    for job in jobs:
        second.ended_as(job, 'exited')
        same(second.log(job), 'done\n', 'they went on')
    same([n['used'] for n in second.call('inventory')['nodes']], [0, 0, 0], 'free again')
    second.close()


def agent_gone_between(site, _):
    """Killed after the folder was written and before a shim was started: the next agent starts it."""
    job = site.job()
    first = Engine(site.config)
    first.submit(job.sh('echo ran'))
    first.ended_as(job, 'exited')
    first.kill()
    for name in ('claim', 'exit', 'usage', 'out', 'err'):
        (job.dir / name).unlink()
    second = Engine(site.config)
    second.ended_as(job, 'exited')
    same(second.log(job), 'ran\n', 'ran')
    second.close()


def kill_shim(site, engine):
    for _ in range(20 if FULL else 3):
        job = site.job()
        mark = f'7{os.getpid()}.5'
        engine.submit(job.sh(f'setsid sleep {mark} & sleep {mark}', chips=[{'kind': 'h100', 'count': 4}]))
        wait_for('it', lambda m=mark: len(processes_of(f'sleep {m}')) >= 2)
        shim, keeper = shim_of(job)
        need(shim and keeper, f'{shim} {keeper}')
        os.kill(shim, signal.SIGKILL)
        record = engine.ended_as(job, 'lost')
        same(record['truncated'], True, 'marked')
        same(processes_of(f'sleep {mark}'), [], 'nothing is left behind')
        need('usage' in record and record['usage']['chips'][0]['kind'] == 'h100', record)
        same(engine.ended_as(job, 'lost'), record, 'it stays so')


def kill_keeper(site, engine):
    for _ in range(20 if FULL else 3):
        job = site.job()
        mark = f'8{os.getpid()}.5'
        engine.submit(job.sh(f'setsid sleep {mark} & sleep {mark}'))
        wait_for('it', lambda m=mark: len(processes_of(f'sleep {m}')) >= 2)
        os.kill(shim_of(job)[1], signal.SIGKILL)
        record = engine.ended_as(job, 'stopped')
        need('keeper' in record['text'] and 'truncated' not in record, record)
        same(processes_of(f'sleep {mark}'), [], 'nothing is left behind')


def term_shim(site, engine):
    """What a batch system or a shutdown sends."""
    job = site.job()
    engine.submit(job.sh('trap "echo asked; exit 0" TERM; echo up; while :; do sleep 0.05; done', grace_ms=5000))
    wait_for('its trap', lambda: engine.log(job) == 'up\n')
    os.kill(shim_of(job)[0], signal.SIGTERM)
    engine.ended_as(job, 'stopped')
    same(engine.log(job), 'up\nasked\n', 'SIGTERM is handed on')


def torn_usage(site, engine):
    job = site.job()
    engine.submit(job.spec('sleep', '60', chips=[{'kind': 'h100', 'count': 1}]))
    wait_for('a line', lambda: job.lines())
    with open(job.dir / 'usage', 'a', encoding='ascii') as f:
        f.write('{"ms":99999999,"wall')
    os.kill(shim_of(job)[0], signal.SIGKILL)
    record = engine.ended_as(job, 'lost')
    need(record['usage']['ms'] < 60000, f'half a line does not count: {record}')


def disk_full(site, _):
    """The disk is full when the job ends: the exit record takes the space that was kept for it."""
    disk = site.dir / 'disk'
    disk.mkdir(exist_ok=True)
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', str(disk)], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        return f'not tried: {done.stderr.strip()}'
    try:
        full = Site(CONFIG, disk)
        engine = Engine(full.config)
        job = full.job()
        engine.submit(job.sh('sleep 0.5; dd if=/dev/zero of=fill bs=4k 2>/dev/null; echo x; exit 7'))
        record = engine.ended_as(job, 'exited')
        same(record['code'], 7, 'the record is right')
        need(not (job.dir / 'reserve').exists(), 'it took the reserve')
        engine.submit(full.job().spec('true'), code='IO')
        engine.close()
    finally:
        subprocess.run(['umount', str(disk)], check=True)
    return None


# ---- chips ----

def held(site, engine):
    """A replica's chips are no job's, nor the other way round, until they are let go; they end with the engine."""
    def hold(number, count, code='OK'):
        spec = {**site.job().spec('true', chips=[{'kind': 'h100', 'count': count}]), 'job': number, 'epoch': 0}
        return engine.call('hold', code=code, specs=[spec])
    ids = [{'job': f'019a0000-0000-7000-8000-00000000000{i}', 'epoch': 0} for i in range(3)]

    def used():
        return [n['used'] for n in engine.call('inventory')['nodes'] if n['chip'] == 'h100']
    job = site.job()
    engine.submit(job.sh('sleep 30', chips=[{'kind': 'h100', 'count': 1}]))
    same((hold(ids[0]['job'], 2)['bytes'], used()), ('CUDA_VISIBLE_DEVICES=1,2', [3]), 'a replica beside a job')
    need('1 h100' in hold(ids[1]['job'], 2, 'IN_USE')['message'], 'more than are left')
    need('1 h100' in engine.submit(site.job().spec('true', chips=[{'kind': 'h100', 'count': 2}]), code='IN_USE')['message'], 'a job')
    same(hold(ids[2]['job'], 1)['bytes'], 'CUDA_VISIBLE_DEVICES=3', 'the last one')
    engine.call('let_go', ids=ids[:2])
    same((used(), hold(ids[1]['job'], 2)['bytes']), ([2], 'CUDA_VISIBLE_DEVICES=1,2'), 'what was let go')
    hold(ids[0]['job'], 1, 'IN_USE')
    engine.call('let_go', ids=ids)
    engine.cancel(job)
    engine.ended_as(job, 'cancelled')
    same(used(), [0], 'all are free')


def chips_by_index(site, engine):
    jobs = [site.job() for _ in range(2)]
    for job in jobs:
        engine.submit(job.sh('echo "$CUDA_VISIBLE_DEVICES $BUSBAR_CHIP $BUSBAR_CHIPS"; sleep 1',
                             chips=[{'kind': 'h100', 'count': 2}]))
    given = [json.loads(j.file('spec'))['chips'][0]['index'] for j in jobs]
    same(sorted(given[0] + given[1]), [0, 1, 2, 3], 'each chip once')
    for job, index in zip(jobs, given):
        engine.ended_as(job, 'exited')
        shown = index if engine.level in ('none', 'process') else range(2)
        same(engine.log(job), ','.join(map(str, shown)) + ' h100 2\n', 'what it is told')
    job = site.job()
    engine.submit(job.sh('echo $ASCEND_RT_VISIBLE_DEVICES', chips=[{'kind': 'ascend910b', 'count': 2}]))
    engine.ended_as(job, 'exited')
    same(json.loads(job.file('spec'))['chips'][0]['index'], [2, 5], 'the declared ones')
    need('/dev/davinci5' in json.loads(job.file('spec'))['chips'][0]['devices'], 'their nodes')
    engine.submit(site.job().spec('true', chips=[{'kind': 'mlu590', 'count': 1}]), code='NOT_FOUND')


def never_twice(site, engine):
    """More jobs at once than chips: what is accepted never shares one."""
    jobs = [site.job() for _ in range(12)]
    tags = [engine.ask('submit', specs=[j.sh('sleep 1', chips=[{'kind': 'h100', 'count': 1}])]) for j in jobs]
    codes = [engine.answer(t)['code'] for t in tags]
    same((codes.count('OK'), codes.count('IN_USE')), (4, 8), codes)
    given = [json.loads(j.file('spec'))['chips'][0]['index'][0] for j, c in zip(jobs, codes) if c == 'OK']
    same(sorted(given), [0, 1, 2, 3], 'each once')
    for job, code in zip(jobs, codes):
        if code == 'OK':
            engine.ended_as(job, 'exited')


def pinned(site, engine):
    if len(os.sched_getaffinity(0)) < 2:
        return 'not tried: one core'
    job = site.job()
    engine.submit(job.sh('grep Cpus_allowed_list /proc/self/status', chips=[{'kind': 'cpu', 'count': 1}]))
    engine.ended_as(job, 'exited')
    same(engine.log(job).split(), ['Cpus_allowed_list:', '0'], 'cores')
    return None


def refuses(site, engine):
    job = site.job()
    answer = engine.submit(job.spec('true', nodes=2), code='UNSUPPORTED')
    need('one machine' in answer['message'], answer)
    if engine.level != 'cgroup':
        answer = engine.submit(job.spec('true', isolation='cgroup'), code='UNSUPPORTED')
        need(engine.level in answer['message'], answer)
    need(not job.dir.exists(), 'nothing is left of a refused job')
    for wrong in ({'argv': []}, {'version': 2}, {'env': ['A']}, {'env': ['1=2']}, {'cwd': 'x'}, {'more': 1},
                  {'chips': [{'kind': 'h100', 'count': 2, 'index': [1, 1]}]}, {'grace_ms': -1}):
        engine.submit({**job.spec('true'), **wrong}, code='INVALID')


# ---- the sandbox ----

def sandbox_files(site, engine):
    secret = site.dir / 'hub.db'
    secret.write_text('secret', encoding='ascii')
    other = site.job()
    engine.submit(other.sh('echo mine >private; sleep 3'))
    wait_for('the other', lambda: (other.dir / 'work' / 'private').exists())
    job = site.job()
    engine.submit(job.sh(f'cat {secret}; cat {other.dir}/work/private; ls {site.work}/*; cat {job.dir}/spec; ls /root /home;'
                         f'echo forged >{job.dir}/exit; echo x >/usr/x; cat /etc/shadow; echo; ls -A {job.dir}; exit 0'))
    engine.ended_as(job, 'exited')
    errors = engine.log(job, errors=True)
    same(engine.log(job), '1\n\nexit\nwork\n', f'what it saw: {errors}')  # the forgery is in its own, empty root
    need('exited' in job.file('exit'), 'the record is the shim\'s')
    need(errors.count('No such file') >= 5 and 'Read-only' in errors, errors)
    engine.ended_as(other, 'exited')


def sandbox_processes(site, engine):
    job = site.job()
    engine.submit(job.sh(f'ls -d /proc/[0-9]* | wc -l; kill -9 {os.getpid()}; kill -9 {engine.process.pid}; id -u; hostname'))
    engine.ended_as(job, 'exited')
    lines = engine.log(job).splitlines()
    need(int(lines[0]) < 8, f'it sees its own processes: {lines}')
    same(lines[-1], 'job', 'host name')
    same(engine.status(job)['state'], 'ended', 'the driver lives')


def sandbox_network(site, engine):
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
        hits = []

        def accept():
            try:
                while True:
                    hits.append(server.accept()[0])
            except OSError:
                pass
        threading.Thread(target=accept, daemon=True).start()
        script = f'import socket; socket.create_connection(("127.0.0.1", {port}), 3)'
        job, asked = site.job(), site.job()
        engine.submit(job.spec('python3', '-c', script))
        same(engine.ended_as(job, 'exited')['code'], 1, 'no network')
        same(hits, [], 'nothing came')
        engine.submit(asked.spec('python3', '-c', script, network=True))
        same(engine.ended_as(asked, 'exited').get('code', 0), 0, 'unless it is asked for')
        wait_for('its call', lambda: len(hits) == 1)


def sandbox_devices(site, engine):
    job = site.job()
    engine.submit(job.sh('ls /dev', chips=[{'kind': 'h100', 'count': 1}]))
    engine.ended_as(job, 'exited')
    seen = set(engine.log(job).split())
    need(seen <= {'console', 'core', 'fd', 'full', 'null', 'ptmx', 'pts', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'tty',
                  'urandom', 'zero'} | {d.name for d in pathlib.Path('/dev').glob('nvidia*')}, seen)


def sandbox_environment(site, engine):
    """A job's loader variables reach its command, and nothing outside its sandbox; ours do not reach the job."""
    job = site.job()
    engine.submit(job.sh('echo $LD_PRELOAD; env', env=['LD_PRELOAD=/no/such.so']))
    engine.ended_as(job, 'exited')
    log = engine.log(job)
    need(log.startswith('/no/such.so\n'), log)
    need('AGENT_SECRET' not in log, 'the agent\'s environment')
    errors = engine.log(job, errors=True)
    need('/no/such.so' in errors and 'bwrap' not in errors, errors)


def sandbox_binds(site, engine):
    data = site.dir / 'data'
    data.mkdir(exist_ok=True)
    (data / 'in').write_text('input', encoding='ascii')
    job = site.job()
    engine.submit(job.sh('cat /inputs/in; echo out >/outputs/o; echo x >/inputs/x',
                         binds=[{'source': str(data), 'target': '/inputs'},
                                {'source': str(data), 'target': '/outputs', 'write': True}]))
    engine.ended_as(job, 'exited')
    same((engine.log(job), (data / 'o').read_text()), ('input', 'out\n'), 'read and write')
    need(not (data / 'x').exists(), 'read-only')


def sandbox_lease(site, engine):
    """What leaves its session, forks twice and ignores signals still ends with the lease."""
    job = site.job()
    mark = f'4{os.getpid()}.125'
    script = ('import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n'
              f'if os.fork() == 0:\n os.setsid()\n if os.fork() == 0: os.execvp("sleep", ["sleep", "{mark}"])\n os._exit(0)\n'
              'time.sleep(60)')
    engine.submit(job.spec('python3', '-c', script), lease_ms=2000)
    wait_for('it', lambda: processes_of(f'sleep {mark}'))
    engine.ended_as(job, 'lease-over')
    same(processes_of(f'sleep {mark}'), [], 'nothing is left')


LIVES = [runs, succeeds, by_signal, no_program, oom, time_limit, grace_ends, reasons, leaves_nothing, checkpoint,
         usage_of_chips, cpu_time, durable_lines, lease_over, lease_renewed, lease_deaf, lease_without_agent, twice,
         twenty_shims, later_epoch, cancel_first, forget, agent_restart, agent_gone_between, kill_shim, kill_keeper,
         term_shim, torn_usage, disk_full, chips_by_index, held, never_twice, pinned, refuses]
SANDBOX = [sandbox_files, sandbox_processes, sandbox_network, sandbox_devices, sandbox_environment, sandbox_binds,
           sandbox_lease]
# Once more without bubblewrap: what the keeper has to see to alone.
BARE = [runs, by_signal, no_program, grace_ends, leaves_nothing, lease_over, kill_shim, kill_keeper, oom, chips_by_index,
        pinned]


def open_engine(site, **env):
    engine = Engine(site.config, {'AGENT_SECRET': 'x', **env})
    engine.level = engine.call('inventory')['isolation']
    engine.bin = os.environ.get('BUSBAR_BIN') or str(pathlib.Path(__file__).resolve().parents[2] / 'build' / 'busbar')
    return engine


def main():
    tap = Tap()
    site = Site(CONFIG)
    engine = open_engine(site)
    tap.note(f'isolation: {engine.level}')
    long = [] if FULL else [lease_deaf, durable_lines]  # ten seconds each
    for test in [t for t in LIVES if t not in long]:
        tap.case(f'local: {test.__doc__ or test.__name__}'.split('\n', maxsplit=1)[0], test, site, engine)
    for test in SANDBOX:
        if engine.level in ('namespace', 'cgroup'):
            tap.case(f'sandbox: {test.__name__}', test, site, engine)
        else:
            tap.skip(f'sandbox: {test.__name__}', 'bubblewrap does not work here')
    engine.close()
    site.config.write_text(site.config.read_text(encoding='utf-8') + 'isolation: process\n', encoding='utf-8')
    bare = open_engine(site)
    same(bare.level, 'process', 'isolation')
    for test in BARE:
        tap.case(f'process: {test.__name__}', test, site, bare)
    bare.close()
    tap.case('nothing is left', lambda: same(processes_of(str(site.dir)), [], 'processes'))
    site.remove()
    tap.done()


if __name__ == '__main__':
    main()
