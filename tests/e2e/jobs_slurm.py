#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs on real Slurm clusters, as an ordinary user: gangs, arrays, and everything that Slurm does wrong when it is killed.

Each test ends with the same questions: did every job run exactly once, is its end the right one, is anything left.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import slurm_site
from busbar_test import Tap
from engine_test import BIN, FULL, Engine, Site, need, processes_of, same, wait_for

CONFIG = '''
engine: slurm
work: {work}
program: {bin}
catalogue: {root}/data/chips.yaml
chips:
  - {{chip: ascend910b, gres: "npu:ascend910b", partitions: [ascend910b]}}
  - {{chip: h20, gres: "gpu:h20", partitions: [h20]}}
'''
POOLS = [('a', 2, 'npu', 'ascend910b', 8), ('g', 1, 'gpu', 'h20', 4)]
NPU = {'kind': 'ascend910b', 'count': 1}


class SlurmSite(Site):
    """A cluster, and a work folder of the ordinary user's on the file system that its nodes share."""

    def __init__(self, name, more='', **cluster):
        folder = tempfile.mkdtemp(prefix='bb-slurm-', dir='/tmp')
        super().__init__(CONFIG + more, folder)
        self.work.mkdir()
        shutil.chown(self.work, slurm_site.USER)
        self.cluster = slurm_site.Cluster(self.dir / 'cluster', name, POOLS, **cluster)

    def engine(self):
        return Engine(self.config, {'SLURM_CONF': str(self.cluster.conf)}, slurm_site.USER)

    def stop(self):
        self.cluster.stop()
        same(processes_of(str(self.work)), [], 'nothing is left')
        self.remove()


def counted(script='true'):
    """A script that leaves a line each time that it is started."""
    return f'echo run >>ran; {script}'


def runs_of(job):
    path = job.dir / 'work' / 'ran'
    return path.read_text().count('run') if path.exists() else 0


def fields(status):
    return status['exit'].get('end'), status['exit'].get('code', 0)


# ---- what works ----

def runs(site, engine):
    job = site.job()
    engine.submit(job.sh('echo out; echo err >&2; id -un; echo "$SECRET-$BUSBAR_CHIPS"; exit 3', env=['SECRET=a b'],
                         chips=[{'kind': 'ascend910b', 'count': 3}]), lease_ms=600000)
    record = engine.ended_as(job, 'exited', 60)
    same(record['code'], 3, 'code')
    same(engine.log(job), f'out\n{slurm_site.USER}\na b-3\n', 'log')
    same(engine.log(job, errors=True), 'err\n', 'errors')
    same(record['usage']['chips'], [{'kind': 'ascend910b', 'chip_ms': 3 * record['usage']['ms']}], 'chip time')
    same(record['usage']['energy'], 'estimated', 'energy')


def ends(site, engine):
    jobs = {end: site.job() for end in ('signalled', 'timed-out', 'not-started', 'cancelled')}
    engine.submit(jobs['signalled'].sh('kill -SEGV $$', chips=[NPU]))
    engine.submit(jobs['timed-out'].sh('sleep 60', chips=[NPU], time_limit_ms=1000))
    engine.submit(jobs['not-started'].spec('/no/such/program', chips=[NPU]))
    engine.submit(jobs['cancelled'].sh('trap "echo asked; exit 0" TERM; echo up; while :; do sleep 0.1; done', chips=[NPU]))
    wait_for('it', lambda: engine.log(jobs['cancelled']) == 'up\n', 30)
    engine.cancel(jobs['cancelled'], grace_ms=5000)
    for end, job in jobs.items():
        engine.ended_as(job, end, 60)
    same(engine.log(jobs['cancelled']), 'up\nasked\n', 'SIGTERM first')


def waits_in_queue(site, engine):
    """More than there is: they wait, with Slurm's reason, and go one after the other; what is cancelled never runs."""
    jobs = [site.job() for _ in range(4)]
    for job in jobs:
        engine.submit(job.sh(counted('sleep 2'), chips=[{'kind': 'h20', 'count': 4}]))
    wait_for('a reason', lambda: any('Resources' in s['reason'] or 'Priority' in s['reason'] for s in
                                     engine.call('poll', ids=[j.id for j in jobs])['statuses']))
    engine.cancel(jobs[3])
    engine.ended_as(jobs[3], 'cancelled')
    for job in jobs[:3]:
        engine.ended_as(job, 'exited', 90)
    same([runs_of(j) for j in jobs], [1, 1, 1, 0], 'runs')
    wait_for('the queue', lambda: not [r for r in site.cluster.queue() if 'PENDING' in r or 'RUNNING' in r])


def array(site, engine):
    """Alike jobs that are submitted together are one array; each has its folder, its end and its bill."""
    jobs = [site.job() for _ in range(10)]
    engine.submit(*[j.sh(f'{counted()}; echo {i}; exit {i}', chips=[NPU], array_limit=4) for i, j in enumerate(jobs)])
    rows = [r for r in site.cluster.queue() if jobs[0].job in r]
    same(len({r.split()[0].split('_')[0] for r in rows}), 1, f'one submission: {rows}')
    for i, job in enumerate(jobs):
        same(engine.ended_as(job, 'exited', 90).get('code', 0), i, 'code')
        same((engine.log(job), runs_of(job)), (f'{i}\n', 1), 'log')


def array_cancel(site, engine):
    jobs = [site.job() for _ in range(6)]
    engine.submit(*[j.sh(counted('sleep 4'), chips=[NPU], array_limit=2) for j in jobs])
    wait_for('two', lambda: sum(runs_of(j) for j in jobs) == 2, 30)
    idle = [j for j in jobs if not runs_of(j)][0]
    engine.cancel(idle)
    engine.ended_as(idle, 'cancelled')
    for job in jobs:
        if job is not idle:
            engine.ended_as(job, 'exited', 90)
    same([runs_of(j) for j in jobs], [0 if j is idle else 1 for j in jobs], 'runs')


GANG = '''
import os, socket, sys, time
rank, world, port = int(os.environ['RANK']), int(os.environ['WORLD_SIZE']), int(os.environ['MASTER_PORT'])
assert os.environ['BUSBAR_HOSTS'].split(',')[0] == os.environ['MASTER_ADDR'], os.environ
assert os.environ['PET_NODE_RANK'] == os.environ['OMPI_COMM_WORLD_RANK'] == str(rank)
if rank == 0:
    with socket.create_server(('127.0.0.1', port)) as s:
        got = sorted(s.accept()[0].recv(64).decode() for _ in range(world - 1))
    print('met', got, len(os.environ['BUSBAR_HOSTS'].split(',')), flush=True)
else:
    for _ in range(100):
        try:
            with socket.create_connection(('127.0.0.1', port)) as s:
                s.sendall(str(rank).encode())
            break
        except OSError:
            time.sleep(0.1)
sys.exit(int(sys.argv[1]) if rank == 1 else 0)
'''


def gang(site, engine):
    """Two nodes meet at the address that both are told; what both have is metered."""
    job, bad = site.job(), site.job()
    engine.submit(job.spec('python3', '-c', GANG, 0, nodes=2, chips=[{'kind': 'ascend910b', 'count': 8}]))
    record = engine.ended_as(job, 'exited', 60)
    same((record.get('code', 0), json.loads((job.dir / 'rank-1' / 'exit').read_text())['end']), (0, 'exited'), record)
    same(engine.log(job), "met ['1'] 2\n", 'they met')
    usage, watts = record['usage'], json.loads(job.file('spec'))['chips'][0]['watts']
    same(usage['chips'][0]['chip_ms'], 16 * usage['ms'], 'both nodes')
    need(0 <= 16 * watts * usage['ms'] - usage['energy_mj'] <= 16 * watts * 100, f'each chip once: {usage}')
    engine.submit(bad.spec('python3', '-c', GANG, 9, nodes=2, chips=[{'kind': 'ascend910b', 'count': 8}]))
    same(engine.ended_as(bad, 'exited', 60)['code'], 9, 'a rank that fails')


def gang_cancel(site, engine):
    job = site.job()
    script = 'trap "echo asked; exit 0" TERM; echo up; while :; do sleep 0.1; done'
    engine.submit(job.sh(script, nodes=2, chips=[{'kind': 'ascend910b', 'count': 8}]))
    wait_for('both', lambda: engine.log(job) == 'up\nup\n', 40)
    engine.cancel(job, end='preempted', grace_ms=5000)
    engine.ended_as(job, 'preempted', 60)
    same(engine.log(job), 'up\nup\nasked\nasked\n', 'both were asked')
    same([json.loads((job.dir / f'rank-{i}' / 'exit').read_text())['end'] for i in range(2)], ['preempted'] * 2, 'ranks')


def inventory(site, engine):
    job = site.job()
    engine.submit(job.sh('sleep 5', chips=[{'kind': 'ascend910b', 'count': 5}]))
    engine.running(job, 30)
    nodes = {n['name']: n for n in engine.call('inventory')['nodes']}
    same(len(nodes), 3, nodes)
    npus = [nodes[f'{site.cluster.name}-a{i}'] for i in (1, 2)]
    same(sorted(n['used'] for n in npus), [0, 5], npus)
    same({(n['chip'], n['chips'], n['up']) for n in npus}, {('ascend910b', 8, True)}, npus)
    node = f'{site.cluster.name}-g1'
    site.cluster.run('scontrol', 'update', f'nodename={node}', 'state=drain', 'reason=fan is loud')
    got = {n['name']: n for n in engine.call('inventory')['nodes']}[node]
    need(not got['up'] and 'fan is loud' in got['reason'], got)
    site.cluster.run('scontrol', 'update', f'nodename={node}', 'state=resume')
    engine.ended_as(job, 'exited', 60)


def refused(site, engine):
    """What Slurm will never take ends at once, with its words; what this site does not have is not submitted."""
    job, node = site.job(), site.job()
    engine.submit(job.spec('true', chips=[NPU], partition='nosuch'))
    need('artition' in engine.ended_as(job, 'not-started')['text'], 'its words')
    engine.submit(node.spec('true', chips=[{'kind': 'ascend910b', 'count': 64}]))
    engine.ended_as(node, 'not-started')
    engine.submit(site.job().spec('true', chips=[{'kind': 'mlu590', 'count': 1}]), code='NOT_FOUND')
    engine.submit(site.job().spec('true', isolation='cgroup'), code='UNSUPPORTED')


def lease(site, engine):
    job = site.job()
    engine.submit(job.sh('trap "" TERM; sleep 60', chips=[NPU]), lease_ms=8000)
    engine.running(job, 7)
    engine.ended_as(job, 'lease-over', 40)


def late_start(site, engine):
    """A job whose turn comes after its lease is over does not run."""
    first, late = site.job(), site.job()
    engine.submit(first.sh('sleep 6', chips=[{'kind': 'h20', 'count': 4}]))
    engine.running(first, 30)
    engine.submit(late.sh(counted(), chips=[{'kind': 'h20', 'count': 4}]), lease_ms=2000)
    engine.ended_as(late, 'lease-over', 60)
    same(runs_of(late), 0, 'it did not run')
    engine.ended_as(first, 'exited')


def by_hand(site, engine):
    """Somebody uses scancel."""
    job, waiting = site.job(), site.job()
    engine.submit(job.sh('sleep 60', chips=[{'kind': 'h20', 'count': 4}]))
    engine.submit(waiting.sh(counted(), chips=[{'kind': 'h20', 'count': 4}]))
    engine.running(job, 30)
    for j in (waiting, job):
        site.cluster.run('scancel', f'--name=bb-{j.job}-1')
    engine.ended_as(job, 'stopped', 60)
    record = engine.ended_as(waiting, 'not-started', 60)
    need('CANCELLED' in record['text'], record)
    same(runs_of(waiting), 0, 'it did not run')


def restart(site, _):
    first = site.engine()
    jobs = [site.job() for _ in range(3)]
    first.submit(*[j.sh(counted('sleep 3'), chips=[{'kind': 'h20', 'count': 4}]) for j in jobs])
    first.kill()
    second = site.engine()
    same({s['job'] for s in second.call('list')['statuses'] if s['state'] != 'ended'} >= {j.job for j in jobs}, True, 'list')
    for job in jobs:
        second.ended_as(job, 'exited', 60)
    same([runs_of(j) for j in jobs], [1, 1, 1], 'once each')
    second.close()


def gone_between(site, _):
    """Killed after the folder was written and before Slurm was asked: who wants the job submits it, and it runs."""
    job = site.job()
    spec = job.sh('echo ran')
    first = site.engine()
    first.submit(spec)
    first.ended_as(job, 'exited', 60)
    first.kill()
    for name in ('claim', 'exit', 'usage', 'out', 'err', 'slurm'):
        (job.dir / name).unlink()
    second = site.engine()
    same([s['state'] for s in second.call('list')['statuses'] if s['job'] == job.job], ['unknown'], 'nobody has it')
    second.submit(spec)
    second.ended_as(job, 'exited', 60)
    same(second.log(job), 'ran\n', 'ran')
    second.close()


# ---- what goes wrong ----

def twice(site, engine):
    """The same job three times in the queue, as after submissions that were thought lost: one runs."""
    job = site.job()
    engine.submit(job.sh(counted('sleep 2'), chips=[NPU]))
    for _ in range(2):
        subprocess.run([slurm_site.program('sbatch'), '--parsable', f'--job-name=bb-{job.job}-1', '--export=NIL',
                        '--gres=npu:1', '--partition=ascend910b', '--output=/dev/null'], check=True, text=True,
                       input=f'#!/bin/sh\nexec {os.environ["BUSBAR_BIN"]} shim {job.dir}\n', env=site.cluster.env,
                       user=slurm_site.USER, extra_groups=[], cwd='/tmp', stdout=subprocess.DEVNULL)
    engine.ended_as(job, 'exited', 60)
    wait_for('the queue', lambda: not [r for r in site.cluster.queue() if job.job in r and
                                       ('PENDING' in r or 'RUNNING' in r)], 40)
    same(runs_of(job), 1, 'runs')


def finish_all(engine, jobs, limit_s):
    for job in jobs:
        engine.ended_as(job, 'exited', limit_s)
    same([runs_of(j) for j in jobs], [1] * len(jobs), 'each ran exactly once')


def failed_start(site, _):
    """A start that fails on its node, before the shim has the job, is tried again."""
    program = site.dir / 'busbar'
    site.config.write_text(site.config.read_text(encoding='utf-8').replace(BIN, str(program)), encoding='utf-8')
    engine, job = site.engine(), site.job()
    engine.submit(job.sh(counted(), chips=[NPU]))
    wait_for('its failure', lambda: [r for r in site.cluster.queue() if job.job in r and 'FAILED' in r], 30)
    same(engine.status(job)['state'], 'pending', 'not given up')
    program.symlink_to(BIN)
    finish_all(engine, [job], 60)
    engine.close()
    site.config.write_text(site.config.read_text(encoding='utf-8').replace(str(program), BIN), encoding='utf-8')


def kill_controller(site, engine):
    """kill -9 of slurmctld right after it acknowledged: it forgets, and numbers are given again."""
    forgotten = 0
    for _ in range(20 if FULL else 1):
        jobs = [site.job() for _ in range(3)]
        for job in jobs:
            engine.submit(job.sh(counted('sleep 1'), chips=[NPU]))
        site.cluster.end('slurmctld', hard=True)
        site.cluster.start_controller()
        site.cluster.wait('slurmctld', site.cluster.answers, 60)
        here = site.cluster.queue()
        forgotten += sum(not any(j.job in row for row in here) for j in jobs)
        finish_all(engine, jobs, 150)
        for node in site.cluster.nodes:  # a node that was given a number twice is drained by Slurm
            site.cluster.run('scontrol', 'update', f'nodename={node}', 'state=resume', check=False)
    return f'{forgotten} acknowledged jobs were forgotten by Slurm'


def kill_controller_running(site, engine):
    """kill -9 of slurmctld while jobs run: their ends are known from their folders."""
    jobs = [site.job() for _ in range(3)]
    for job in jobs:
        engine.submit(job.sh(counted('sleep 4'), chips=[NPU]))
    wait_for('all', lambda: sum(runs_of(j) for j in jobs) == 3, 40)
    site.cluster.end('slurmctld', hard=True)
    time.sleep(5)
    site.cluster.start_controller()
    site.cluster.wait('slurmctld', site.cluster.answers, 60)
    finish_all(engine, jobs, 60)
    wait_for('the queue', lambda: engine.status(jobs[0]) and not [
        r for r in site.cluster.queue() if any(j.job in r for j in jobs) and ('PENDING' in r or 'RUNNING' in r)], 60, 1)


def kill_controller_ended(site, engine):
    """kill -9 of slurmctld when it has not written down yet that a job has ended: it believes in it again, and that goes."""
    believed = 0
    for _ in range(20 if FULL else 3):
        first, job = site.job(), site.job()
        engine.submit(first.sh('true', chips=[NPU]))
        engine.ended_as(first, 'exited', 60)
        time.sleep(2.5)  # Slurm writes each five seconds: the start of the next one, and not its end
        engine.submit(job.sh(counted('sleep 2'), chips=[NPU]))
        engine.ended_as(job, 'exited', 60)
        site.cluster.wait('its end', lambda j=job: any(j.job in r and 'COMPLETED' in r for r in site.cluster.queue()), 20)
        engine.status(job)
        site.cluster.end('slurmctld', hard=True)
        site.cluster.start_controller()
        site.cluster.wait('slurmctld', site.cluster.answers, 60)
        believed += any(job.job in r and 'RUNNING' in r for r in site.cluster.queue())
        wait_for('it goes', lambda j=job: engine.call('inventory') and not [
            r for r in site.cluster.queue() if j.job in r and 'RUNNING' in r], 30, 1)
        same(runs_of(job), 1, 'runs')
    need(believed > 0, 'the fault missed')
    return f'{believed} jobs that had ended were believed to run'


def stopped_controller(site, engine):
    """SIGSTOP of slurmctld past its time-out: the submission that failed exists, and leases are renewed meanwhile."""
    held = site.job()
    engine.submit(held.sh('sleep 120', chips=[NPU]), lease_ms=12000)
    engine.running(held, 30)
    job = site.job()
    site.cluster.signal('slurmctld', signal.SIGSTOP)
    try:
        tag = engine.ask('submit', specs=[job.sh(counted('sleep 1'), chips=[NPU])])
        start = time.monotonic()
        while tag not in engine.answers and time.monotonic() - start < 90:
            engine.call('renew', ids=[held.id], lease_ms=12000, wait_s=5)
            time.sleep(1)
        need(time.monotonic() - start > 8, 'it had to wait')
        need(engine.answer(tag)['code'] in ('UPSTREAM', 'TIMEOUT'), 'an error that says: ask again')
    finally:
        site.cluster.signal('slurmctld', signal.SIGCONT)
    site.cluster.wait('slurmctld', site.cluster.answers, 60)
    engine.call('renew', ids=[held.id], lease_ms=60000)
    engine.submit(job.sh(counted('sleep 1'), chips=[NPU]))
    finish_all(engine, [job], 120)
    same(engine.status(held)['state'], 'running', 'the other was not touched')
    engine.cancel(held)
    engine.ended_as(held, 'cancelled')


def no_munge(site, engine):
    """munge is down: nothing is submitted, nothing is taken for lost, and it goes on when munge is back."""
    running, job = site.job(), site.job()
    engine.submit(running.sh(counted('sleep 25'), chips=[NPU]))
    engine.running(running, 30)
    site.cluster.end('munged')
    try:
        answer = engine.submit(job.sh(counted(), chips=[NPU]), code=None)
        need(answer['code'] == 'UPSTREAM' and 'uthentication' in answer['message'], answer)
        status = engine.status(job)
        need(status['state'] == 'pending' and 'Slurm does not answer' in status['reason'], status)
        same(engine.status(running)['state'], 'running', 'what runs')
    finally:
        site.cluster.start_munge()
    finish_all(engine, [running, job], 120)


def kill_shim(site, engine):
    """kill -9 of the shim on its node: Slurm says that it is over, the bill goes to the last line."""
    job = site.job()
    mark = f'9{os.getpid()}.75'
    engine.submit(job.sh(f'setsid sleep {mark} & sleep {mark}', chips=[{'kind': 'ascend910b', 'count': 2}]))
    wait_for('it', lambda: len(processes_of(f'sleep {mark}')) >= 2, 30)
    pids = sorted(processes_of(f'shim {job.dir}'))
    os.kill(pids[0], signal.SIGKILL)
    record = engine.ended_as(job, 'lost', 90)
    same(record['truncated'], True, 'marked')
    same(processes_of(f'sleep {mark}'), [], 'nothing is left')


def node_down(site, engine):
    """A node is lost with what ran on it: the job ends when its lease has, and its next epoch runs elsewhere."""
    job = site.job()
    mark = f'5{os.getpid()}.75'
    engine.submit(job.sh(f'echo $SLURMD_NODENAME; sleep {mark}', chips=[{'kind': 'ascend910b', 'count': 8}]), lease_ms=20000)
    node = wait_for('its node', lambda: engine.log(job).strip(), 30)
    engine.running(job)
    for pid in processes_of(f'shim {job.dir}') + processes_of(f'sleep {mark}'):
        os.kill(pid, signal.SIGSTOP)  # the node is cut off: nothing of it is heard, and it may still be running
    site.cluster.end(node, hard=True)
    site.cluster.run('scontrol', 'update', f'nodename={node}', 'state=down', 'reason=test')
    engine.submit(job.next().sh('true', chips=[NPU]), code='IN_USE')
    for pid in processes_of(f'shim {job.dir}') + processes_of(f'sleep {mark}'):
        os.kill(pid, signal.SIGKILL)
    engine.ended_as(job, 'lost', 150)
    second = job.next()
    engine.submit(second.sh('echo $SLURMD_NODENAME', chips=[NPU]))
    engine.ended_as(second, 'exited', 60)
    need(engine.log(second).strip() not in ('', node), 'elsewhere')
    site.cluster.start_node(node)
    site.cluster.run('scontrol', 'update', f'nodename={node}', 'state=resume', check=False)


def accounting(site, engine):
    """With slurmdbd: what somebody cancelled is not submitted again, though the controller has lost all that it knew."""
    jobs = [site.job() for _ in range(3)]
    engine.submit(*[j.sh(counted(), chips=[NPU]) for j in jobs])
    finish_all(engine, jobs, 60)
    waiting, wanted = site.job(), site.job()
    site.cluster.run('scontrol', 'update', 'partition=h20', 'state=down')
    for job in (waiting, wanted):
        engine.submit(job.sh(counted(), chips=[{'kind': 'h20', 'count': 1}]))
    site.cluster.run('scancel', f'--name=bb-{waiting.job}-1')
    wait_for('its record', lambda: 'CANCELLED' in site.cluster.run(
        'sacct', '-n', '-X', '-o', 'state', f'--name=bb-{waiting.job}-1').stdout, 30)
    site.cluster.end('slurmctld', hard=True)
    site.cluster.start_controller(clean=True)
    site.cluster.wait('slurmctld', site.cluster.ready, 60)
    same([r for r in site.cluster.queue() if waiting.job in r or wanted.job in r], [], 'what the controller knows')
    record = engine.ended_as(waiting, 'not-started', 60)
    need('CANCELLED' in record['text'], record)
    finish_all(engine, [wanted], 60)
    same(runs_of(waiting), 0, 'it did not run')


def sandboxed(site, engine):
    """The node's shim makes the sandbox that the site promises."""
    job = site.job()
    engine.submit(job.sh(f'cat {site.config}; ls {site.work}; hostname', chips=[NPU], isolation='namespace'))
    engine.ended_as(job, 'exited', 60)
    same(engine.log(job), f'{job.job}\njob\n', engine.log(job, errors=True))


def accounting_down(site, engine):
    """slurmdbd is down: jobs go on."""
    site.cluster.end('slurmdbd')
    job = site.job()
    engine.submit(job.sh(counted(), chips=[NPU]))
    finish_all(engine, [job], 60)


WORKS = [runs, ends, array, gang, gang_cancel, inventory, refused, lease, late_start]
FAULTS = [twice, kill_controller, kill_shim]
# Ten seconds to half a minute each, nearly all of it Slurm's own waiting.
LONG = [waits_in_queue, array_cancel, by_hand, restart, gone_between, failed_start, kill_controller_running, kill_controller_ended, stopped_controller, no_munge,
        node_down]
ACCOUNTING = [accounting, runs, array, sandboxed, accounting_down]


def run_site(tap, name, tests, **options):
    site = SlurmSite(name, **options)
    engine = site.engine()
    try:
        for test in tests:
            tap.case(f'slurm: {(test.__doc__ or test.__name__).strip().splitlines()[0]}', test, site, engine)
        engine.close()
        if os.environ.get('BUSBAR_KEEP'):
            print('# kept', shutil.copytree(site.dir / 'cluster' / 'log', f'{site.dir}-log'))
    finally:
        tap.case(f'slurm: {name} is left clean', site.stop)


def main():
    tap = Tap()
    wanted = set(sys.argv[1:])  # names of tests, when run by hand
    tests = WORKS + FAULTS + (LONG if FULL or wanted else [])
    chosen = [t for t in tests if not wanted or t.__name__ in wanted]
    lacking = slurm_site.missing()
    if lacking:
        tap.skip('jobs on slurm', lacking)
        tap.done()
    if chosen:
        run_site(tap, 'north', chosen)
    if 'accounting' not in wanted and (wanted or not FULL):
        tap.done()
    lacking = slurm_site.missing(accounting=True)
    if lacking:
        tap.skip('slurm with accounting', lacking)
    else:
        run_site(tap, 'south', ACCOUNTING, accounting=True, more='accounts: [busbar]\nisolation: namespace\n')
    tap.done()


if __name__ == '__main__':
    main()
