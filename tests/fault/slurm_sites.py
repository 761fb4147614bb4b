#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whatever dies at a hub and its Slurm site while jobs come and go, no job is lost, none runs in two epochs at a time, and none is
billed twice. Twenty times each with BUSBAR_FULL=1; names of cases on the command line run those alone.
"""
import os
import random
import shutil
import signal
import subprocess
import sys
import time

from faultlib import FULL, Tap
import slurm_site
from site_link import Link, lacks
from slurm_field import ANY, LEASE_S, MESSAGE_TIMEOUT_S, Ground
from workbench import find_processes, need, same, wait_for

ROUNDS = 20 if FULL else 1


def hub(g, rng):
    """kill -9 of the hub"""
    jobs = g.mixed()
    wait_for(lambda: any(g.begun(j) for j in jobs), 'one has begun', 30)
    time.sleep(rng.uniform(0, 1))
    g.bench.kill()
    time.sleep(rng.uniform(0, 2))
    g.bench.start()
    g.mixed(1)


def agent(g, rng):
    """kill -9 of the agent"""
    g.mixed()
    time.sleep(rng.uniform(0, 2))
    g.agent.kill()
    g.mixed(2)
    time.sleep(rng.uniform(0, 2))
    g.agent.run()


def unasked(g, _):
    """kill -9 of the agent when it has written a job's folder, and before it asks Slurm"""
    g.cluster.end('munged')  # so that Slurm cannot have it
    try:
        job = g.submit('sleep 1', chips=2)
        mark = g.agent.data / 'work' / job.id / '1' / 'slurm'
        wait_for(mark.exists, 'its folder is written', 30, 0.02)
        g.agent.kill()
        wait_for(lambda: not find_processes(f'bb-{job.id}'), 'nobody asks for it any more', 30)
        mark.unlink()  # it comes after the job's description, and was not there a moment before
    finally:
        g.cluster.start_munge()
    g.agent.run()


def shim(g, rng):
    """kill -9 of a shim: its job runs again, under the next epoch"""
    g.mixed(2)
    job = g.submit(f'sleep $((BUSBAR_EPOCH == 1 ? 60 : 1))', chips=2, epochs=(2,))
    g.wait_begun([job])
    time.sleep(rng.uniform(0, 1))
    os.kill(g.shims(job)[0], signal.SIGKILL)


def forgets(g, rng):
    """kill -9 of slurmctld just after it took jobs: it ends what it has forgotten and finds running, and that runs again"""
    jobs = g.mixed(6, epochs=ANY)
    wait_for(lambda: sum(j.id in g.agent.said() for j in jobs) >= 4, 'Slurm has them', 30)
    time.sleep(rng.uniform(0, 0.5))
    g.cluster.end('slurmctld', hard=True)
    g.mixed(1, epochs=ANY)
    g.cluster.start_controller()
    g.cluster.wait('slurmctld', g.cluster.answers, 60)
    g.resume_nodes()


def hangs(g, rng):
    """SIGSTOP of slurmctld past its time-out: the submission that failed exists"""
    g.mixed(2)
    g.cluster.signal('slurmctld', signal.SIGSTOP)
    try:
        g.mixed(3)
        time.sleep(MESSAGE_TIMEOUT_S + rng.uniform(1, 4))
    finally:
        g.cluster.signal('slurmctld', signal.SIGCONT)


def munge(g, rng):
    """munge is down for a while"""
    g.mixed(2)
    g.cluster.end('munged')
    try:
        g.mixed(3)
        time.sleep(rng.uniform(2, 4))
    finally:
        g.cluster.start_munge()


def node(g, rng):
    """a node goes down, and all that ran on it"""
    job = g.submit('echo $SLURMD_NODENAME; sleep $((BUSBAR_EPOCH == 1 ? 60 : 1))', chips=8, epochs=(2,))
    g.wait_begun([job])
    name = wait_for(lambda: g.bench.request('GET', f'/api/v1/jobs/{job.id}/logs', local=True).body.decode().strip(), 'its node', 15)
    g.mixed(2)
    time.sleep(rng.uniform(0, 2))
    g.cluster.end(name, hard=True)
    g.lose(job)
    g.cluster.run('scontrol', 'update', f'nodename={name}', 'state=down', 'reason=test')
    wait_for(lambda: g.begun(job, 2), 'it runs elsewhere', 120, 0.2)
    g.cluster.start_node(name)


def cut_short(g, rng):
    """the link is cut for less than a lease: nothing moves"""
    jobs = g.mixed(3, 3)
    g.wait_begun(jobs[:2])
    g.link.cut()
    time.sleep(rng.uniform(0.2, LEASE_S * 0.4))
    g.mixed(1)
    g.link.heal()


def cut_long(g, _):
    """the link is cut for more than a lease: the site ends its jobs, and only then they are placed again"""
    job = g.submit('sleep $((BUSBAR_EPOCH == 1 ? 600 : 1))', chips=4, epochs=(2,))
    g.wait_begun([job])
    g.link.cut()
    wait_for(lambda: not find_processes(str(g.agent.data / 'work' / job.id)), 'the lease has ended it', LEASE_S + 30, 0.2)
    same(g.job(job)['state'], 'running', 'the hub waits for longer than the site')
    wait_for(lambda: g.site_state() == 'lost', 'the site is lost', 60, 0.5)
    g.mixed(2)
    g.link.heal()


def at_once(g, rng):
    """kill -9 of hub, agent and a shim within a second"""
    jobs = g.mixed()
    job = g.submit('sleep $((BUSBAR_EPOCH == 1 ? 60 : 1))', chips=2, epochs=(2,))
    g.wait_begun([*jobs[:2], job])
    for what in rng.sample(['hub', 'agent', 'shim'], 3):
        if what == 'shim':
            os.kill(g.shims(job)[0], signal.SIGKILL)
        else:
            (g.bench if what == 'hub' else g.agent).kill()
        time.sleep(rng.uniform(0, 0.3))
    g.bench.start()
    g.agent.run()
    g.mixed(2)


# ---- the same fault, with and without busbar ----

BARE = '#!/bin/sh\nsleep 1\necho end >{mark}\n'


def kill_controller(g):
    g.cluster.end('slurmctld', hard=True)
    g.cluster.start_controller()
    g.cluster.wait('slurmctld', g.cluster.answers, 60)


def bare(g, n):
    """n jobs that Slurm took, and a kill -9 of slurmctld: how many never came to their end, of those that it took."""
    marks = []
    for i in range(n):
        marks.append(g.agent.marks / f'bare-{time.monotonic_ns()}-{i}')
        script = g.agent.marks / f'{marks[-1].name}.sh'
        script.write_text(BARE.format(mark=marks[-1]))
        taken = g.cluster.run('sbatch', '--parsable', '--gres=npu:1', '--partition=ascend910b', '--output=/dev/null', script, as_user=True)
        need(taken.stdout.strip().isdigit(), taken)
    kill_controller(g)
    g.resume_nodes()
    wait_for(lambda: not [r for r in g.cluster.queue() if 'PENDING' in r or 'RUNNING' in r or 'COMPLETING' in r], 'the queue is empty',
             240, 0.5)
    return sum(not mark.exists() for mark in marks)


def ours(g, n):
    """n jobs that the hub took and Slurm has, and the same. How many of them Slurm forgot; all that g.check asks holds."""
    started = g.agent.said().count('job_started')
    jobs = [g.submit('sleep 1', epochs=ANY) for _ in range(n)]
    wait_for(lambda: g.agent.said().count('job_started') >= started + n, 'Slurm took them', 60, 0.02)
    kill_controller(g)
    here = '\n'.join(g.cluster.queue())
    g.resume_nodes()
    g.check(300)
    return sum(j.id not in here for j in jobs)


def compared(g, _):
    """kill -9 of slurmctld just after it took jobs, with and without busbar"""
    each, count = (20, 3) if FULL else (12, 1)
    lost = forgot = 0
    for _ in range(count):
        lost += bare(g, each)
        g.settle()
        forgot += ours(g, each)
        g.settle()
    need(lost > 0 and forgot > 0, f'the fault missed: Slurm alone lost {lost}, with busbar it forgot {forgot}')
    g.notes.append(f'bare Slurm lost {lost} of {each * count}, busbar 0 (of {forgot} that Slurm forgot)')


CASES = [hub, agent, unasked, shim, forgets, hangs, munge, node, cut_short, cut_long, at_once, compared]
SAMPLE = [unasked, at_once, hangs, cut_short, compared]


def rounds(g, case):
    rng = random.Random(f'{os.environ.get("BUSBAR_SEED", 1)} {case.__name__}')
    n, count, g.notes = 0, 1 if case is compared else ROUNDS, []
    for i in range(count):
        try:
            case(g, rng)
            n += g.check(150)
            g.settle()
        except Exception as e:
            g.jobs = []
            raise AssertionError(f'round {i + 1}') from e
    return '\n'.join(g.notes or [f'{count} times, {n} jobs: 0 lost, 0 epochs overlap, 0 billed twice'])


def main():
    tap = Tap()
    wanted = set(sys.argv[1:])
    cases = [c for c in CASES if c.__name__ in wanted or (not wanted and (FULL or c in SAMPLE))]
    lacking = slurm_site.missing()
    if lacking:
        tap.skip('faults at a Slurm site', lacking)
        tap.done()
    no_link = lacks()
    with Link() if not no_link else Nothing() as link:
        g = Ground(link)
        g.link = link
        try:
            for case in cases:
                if link or not case.__name__.startswith('cut'):
                    tap.case(f'{case.__doc__}', rounds, g, case)
                else:
                    tap.skip(case.__doc__, no_link)
        finally:
            try:
                if os.environ.get('BUSBAR_KEEP'):
                    for at in (g.agent.data, g.bench.data):
                        print('# kept', shutil.copytree(at, f'{at}-kept', ignore=shutil.ignore_patterns('munge', '*.sock'), symlinks=True))
            except shutil.Error as e:  # what is still at work changes its files
                print('# kept, but for', len(e.args[0]), 'files')
            g.stop()
    tap.done()


class Nothing:
    def __enter__(self):
        return None

    def __exit__(self, *exc):
        pass


if __name__ == '__main__':
    main()
