# SPDX-License-Identifier: Apache-2.0
"""Slurm's controller as a peer for the dispatcher: slurmctld, and munged for its authentication, in a private folder.

Nodes are State=CLOUD: the controller makes the whole decision (nodes, cores, chips as GRES), allocates, and takes the
job to RUNNING; as no node is ever resumed, nothing is launched. All jobs are queued while the partitions are DOWN, as
arrays of equal jobs. The clock is user and system time of slurmctld, all its threads, from UP to when the count of
started jobs has last grown. Everything started here is ended by its own pid.
"""
import collections
import getpass
import heapq
import os
import pathlib
import re
import secrets
import shutil
import socket
import subprocess
import time

from harness import Failed
from targets import end, free_port

TICKS = os.sysconf('SC_CLK_TCK')
NODE_CHIPS = 8
QUIET_S = 15   # nothing started for so long: what is left does not fit, or waits for its turn
POLL_S = 0.2
STARTED = re.compile(rb'sched: Allocate JobId=|backfill: _?start_?job: Started JobId=', re.I)
PROGRAMS = ('slurmctld', 'scontrol', 'sbatch', 'squeue', 'munged', 'munge')

# One core a chip: Slurm's time grows with the cores of a node. `defer` leaves the queue to the main loop, which then
# looks at all of it; max_sched_time must stay below half of MessageTimeout.
CONF = '''
ClusterName=peer
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={slurmd_port}
CommunicationParameters=NoCtldInAddrAny
SlurmUser={user}
AuthType=auth/munge
AuthInfo=socket={dir}/munge.socket
CredType=cred/munge
StateSaveLocation={dir}/state
SlurmctldPidFile={dir}/slurmctld.pid
SlurmctldLogFile={dir}/slurmctld.log
SlurmctldDebug=info
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MessageTimeout=100
SlurmctldTimeout=300
SchedulerType=sched/backfill
SchedulerParameters={parameters}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PriorityType=priority/basic
MaxJobCount=300000
MaxArraySize=100001
GresTypes=npu
ResumeProgram=/bin/true
SuspendProgram=/bin/true
SuspendTime=864000
ResumeTimeout=65000
ResumeRate=0
SuspendRate=0
NodeName=n[1-{nodes}] CPUs=8 Sockets=2 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=1000000 Gres=npu:8 State=CLOUD
'''
PARAMETERS = ('defer', 'batch_sched_delay=0', 'sched_min_interval=0', 'default_queue_depth=200000',
              'partition_job_depth=0', 'max_sched_time=49', 'bf_max_job_test=200000', 'bf_max_time=3600',
              'bf_interval=30', 'bf_continue', 'bf_yield_interval=5000000', 'bf_yield_sleep=100000', 'max_rpc_cnt=0')


def program(name):
    """Its path; the daemons are where not every user's PATH leads."""
    path = shutil.which(name, path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')
    if not path:
        raise Failed(f'{name} is not installed; script/setup --bench installs it')
    return path


def version():
    done = subprocess.run([program('slurmctld'), '-V'], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def shared_out(jobs, sites):
    """The jobs (chips, minutes) as arrays (site, count, chips, minutes) of equal jobs, so that each site gets about the
    same number of chips: the choice of a site is made for Slurm. By chip-seconds, least first, as busbar goes."""
    most = max(25, len(jobs) // 400)
    load = [(0, s) for s in range(sites)]
    classes = sorted(collections.Counter(jobs).items(), key=lambda c: (c[0][0] * c[0][1], c[0]))
    for (chips, minutes), count in classes:
        size = max(1, min(most, 256 // chips))
        while count > 0:
            n = min(size, count)
            count -= n
            chips_before, site = heapq.heappop(load)
            heapq.heappush(load, (chips_before + n * chips, site))
            yield site, n, chips, minutes


class Slurm:
    def __init__(self, sites, nodes_a_site, work_dir):
        self.sites, self.dir = sites, pathlib.Path(work_dir)
        self.paths = {name: program(name) for name in PROGRAMS}
        self.processes, self.log_at, self.log_starts = [], 0, 0
        (self.dir / 'state').mkdir(parents=True)
        self.dir.chmod(0o755)  # munged wants its socket where all may look
        self.log = open(self.dir / 'out.log', 'w', encoding='utf-8')
        self.env = {**os.environ, 'SLURM_CONF': str(self.dir / 'slurm.conf')}
        try:
            self._munged()
            self._configure(nodes_a_site)
            self.controller = self._spawn('slurmctld', '-D', '-c')
            self._wait('slurmctld', lambda: 'is UP' in self.run('scontrol', 'ping', check=False))
        except BaseException:
            self.stop()
            raise

    def _spawn(self, name, *args):
        process = subprocess.Popen([self.paths[name], *map(str, args)], env=self.env, stdin=subprocess.DEVNULL,
                                   stdout=self.log, stderr=subprocess.STDOUT, cwd=self.dir, start_new_session=True)
        self.processes.append(process)
        return process

    def _wait(self, what, ready, wait_s=60):
        until = time.monotonic() + wait_s
        while time.monotonic() < until:
            if any(p.poll() is not None for p in self.processes):
                break
            if ready():
                return
            time.sleep(0.1)
        self.log.flush()
        raise Failed(f'{what} did not start: ' + (self.dir / 'out.log').read_text(encoding='utf-8')[-500:])

    def _munged(self):
        key = self.dir / 'munge.key'
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        at = {name: self.dir / f'munge.{name}' for name in ('socket', 'pid', 'log', 'seed')}
        # --force: a temporary folder is no place where munged would keep a lasting key
        self._spawn('munged', '--foreground', '--force', '--num-threads=2', f'--socket={at["socket"]}',
                    f'--key-file={key}', f'--pid-file={at["pid"]}', f'--log-file={at["log"]}',
                    f'--seed-file={at["seed"]}')
        self._wait('munged', lambda: subprocess.run([self.paths['munge'], '-n', '-S', str(at['socket'])], check=False,
                                                    capture_output=True, timeout=20).returncode == 0)

    def _configure(self, nodes_a_site):
        text = CONF.format(host=socket.gethostname().split('.')[0], port=free_port(), slurmd_port=free_port(),
                           user=getpass.getuser(), dir=self.dir, parameters=','.join(PARAMETERS),
                           nodes=self.sites * nodes_a_site)
        for site in range(self.sites):
            first = site * nodes_a_site + 1
            text += (f'PartitionName=site{site} Nodes=n[{first}-{first + nodes_a_site - 1}] MaxTime=INFINITE '
                     'State=DOWN\n')
        (self.dir / 'slurm.conf').write_text(text, encoding='utf-8')
        (self.dir / 'gres.conf').write_text('Name=npu Count=8\n', encoding='utf-8')
        if int(re.search(r'(\d+)\.', version()).group(1)) >= 23:  # it would look for a cgroup tree of its own
            (self.dir / 'cgroup.conf').write_text('CgroupPlugin=disabled\n', encoding='utf-8')

    def run(self, name, *args, check=True, text_in=None):
        try:
            done = subprocess.run([self.paths[name], *map(str, args)], env=self.env, input=text_in or '', text=True,
                                  capture_output=True, check=False, cwd=self.dir, timeout=120)
        except subprocess.TimeoutExpired as e:
            raise Failed(f'{name} gave no answer in {e.timeout:.0f} s') from e
        if check and done.returncode != 0:
            raise Failed(f'{name}: {done.stdout}{done.stderr}')
        return done.stdout

    # ---- measuring ----

    def cpu_s(self):
        """User and system time of the controller, threads that have ended too."""
        stat = pathlib.Path(f'/proc/{self.controller.pid}/stat').read_text(encoding='utf-8').rpartition(')')[2].split()
        return (int(stat[11]) + int(stat[12])) / TICKS

    def peak_mb(self):
        status = pathlib.Path(f'/proc/{self.controller.pid}/status').read_text(encoding='utf-8')
        return int(re.search(r'VmHWM:\s+(\d+)', status).group(1)) / 1024

    def submit(self, jobs):
        for site, n, chips, minutes in shared_out(jobs, self.sites):
            nodes, each = max(1, chips // NODE_CHIPS), min(chips, NODE_CHIPS)
            self.run('sbatch', '--parsable', f'--partition=site{site}', f'--array=1-{n}', f'--nodes={nodes}',
                     f'--ntasks={nodes}', f'--cpus-per-task={each}', f'--gres=npu:{each}', f'--time={minutes}',
                     '--no-requeue', '--output=/dev/null', text_in='#!/bin/sh\n')

    def started(self):
        """Jobs started, from the log: a request would wait for the scheduler's lock, and take its time."""
        log = self.dir / 'slurmctld.log'
        with log.open('rb') as f:
            f.seek(self.log_at)
            text = f.read()
        text = text[:text.rfind(b'\n') + 1]
        self.log_at += len(text)
        self.log_starts += len(STARTED.findall(text))
        return self.log_starts

    def _open(self):
        """All partitions by one program, which is not waited for: scheduling begins before it has come to the last."""
        script = self.dir / 'open.txt'
        script.write_text(''.join(f'update partitionname=site{s} state=UP\n' for s in range(self.sites)),
                          encoding='utf-8')
        with script.open('rb') as f:
            self.processes.append(subprocess.Popen([self.paths['scontrol']], env=self.env, stdin=f, stdout=self.log,
                                                   stderr=subprocess.STDOUT, cwd=self.dir))

    def drain(self, total, limit_s):
        """Opens the partitions; what was started, and what it took."""
        self.started()
        self.log_starts = 0
        cpu, wall = self.cpu_s(), time.monotonic()
        self._open()
        seen, seen_cpu, seen_at, cut = 0, cpu, wall, False
        while seen < total and time.monotonic() - seen_at < QUIET_S:
            time.sleep(POLL_S)
            now = self.started()
            if now > seen:
                seen, seen_cpu, seen_at = now, self.cpu_s(), time.monotonic()
            if time.monotonic() - wall > limit_s:
                cut = True
                break
        held = self.run('squeue', '-h', '-r', '-t', 'R,CF', '-o', '%i').count('\n') if not cut else None
        if held is not None and held != seen:
            raise Failed(f'slurmctld says that {seen} jobs were started, but {held} run')
        if seen == 0 or seen_cpu <= cpu:
            raise Failed('slurmctld started nothing')
        return {'queued': total, 'started': seen, 'cpu_s': seen_cpu - cpu, 'wall_s': seen_at - wall, 'cut': cut,
                'peak_mb': self.peak_mb()}

    def stop(self):
        """The controller is killed: it would save its state first, which nobody reads."""
        for process in reversed(self.processes):
            if process.args[0] == self.paths['slurmctld']:
                process.kill()
            end(process)
        self.processes = []
        self.log.close()
