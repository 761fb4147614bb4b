# SPDX-License-Identifier: Apache-2.0
"""A real Slurm cluster on this machine, of made-up accelerators, in a folder of its own: no systemd, private munged.

The daemons are root's and jobs an ordinary user's, as at a real site; with `accounting` there is a slurmdbd with a MariaDB.
Each process is ended by its own pid. Run by itself it makes one and keeps it until it is told to end:

    slurm_site.py FOLDER NAME CHIP:COUNT [NODES]
"""
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time

from busbar_test import PATIENCE

USER = 'nobody'
AS_USER = ('setpriv', f'--reuid={USER}', f'--regid={pwd.getpwnam(USER).pw_gid}', '--clear-groups')
PATH = os.environ.get('PATH', '') + ':/usr/sbin:/sbin'
CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
ROOT = os.environ.get('BUSBAR_SLURM_ROOT', '')  # a folder with another Slurm, as script/slurm-root makes it
IN_ROOT = (str(CHECKOUT / 'script/lib/in_root.sh'), os.path.realpath(ROOT), str(CHECKOUT),
           os.path.realpath(CHECKOUT / '.deps')) if ROOT else ()
PROGRAMS = ('slurmctld', 'slurmd', 'sbatch', 'srun', 'squeue', 'scancel', 'scontrol', 'sinfo', 'munged', 'munge')

CONF = '''
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={slurmd_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={dir}/munge/socket
CredType=cred/munge
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool/%n
SlurmctldPidFile={dir}/run/slurmctld.pid
SlurmdPidFile={dir}/run/slurmd.%n.pid
SlurmctldLogFile={dir}/log/slurmctld.log
SlurmdLogFile={dir}/log/slurmd.%n.log
SlurmctldDebug=info
SlurmdDebug=info
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=5
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
KillWait=2
MinJobAge={min_job_age}
MessageTimeout={timeout_s}
SlurmctldTimeout=30
SlurmdTimeout=30
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,sched_min_interval=100000,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PriorityType=priority/basic
GresTypes={gres}
'''
ACCOUNTING = '''
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={dbd_port}
AccountingStoragePass={dir}/munge/socket
AccountingStoreFlags=job_comment
'''
DBD = '''
AuthType=auth/munge
AuthInfo=socket={dir}/munge/socket
DbdHost=localhost
DbdPort={dbd_port}
SlurmUser=root
PidFile={dir}/run/slurmdbd.pid
LogFile={dir}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={db_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct
'''


def program(name):
    """Its path, in the root that it is run in."""
    if not ROOT:
        return shutil.which(name, path=PATH)
    return next((f'/{folder}/{name}' for folder in ('usr/bin', 'usr/sbin') if os.path.exists(f'{ROOT}/{folder}/{name}')), None)


def missing(accounting=False):
    """What is not installed, in words; empty when a cluster can be had."""
    names = PROGRAMS + (('slurmdbd', 'mariadbd', 'mariadb-install-db', 'sacctmgr') if accounting else ())
    lacking = [name for name in names if not program(name)]
    if lacking:
        return 'not installed: ' + ', '.join(lacking)
    return '' if os.getuid() == 0 else 'daemons of Slurm that run jobs for others need root'


def free_ports(n):
    """A row of n ports that are free now."""
    for first in range(21000 + os.getpid() % 8000, 32000, n):
        held = []
        try:
            for port in range(first, first + n):
                held.append(socket.socket())
                held[-1].bind(('127.0.0.1', port))
            return first
        except OSError:
            continue
        finally:
            for s in held:
                s.close()
    raise RuntimeError('no free ports')


class Cluster:
    """`pools`: (prefix, nodes, gres, type, chips a node). Each type is a partition of its own; `all` holds every node."""

    def __init__(self, folder, name, pools, accounting=False, timeout_s=10, min_job_age=300, prefix=()):
        self.prefix = [*prefix, *IN_ROOT]  # words before each command, root's
        self.dir, self.name, self.pools, self.accounting = pathlib.Path(folder), name, pools, accounting
        self.timeout_s, self.processes, self.out, self.version = timeout_s, {}, None, ''
        for sub in ('etc', 'state', 'spool', 'run', 'log', 'munge', 'dev'):
            (self.dir / sub).mkdir(parents=True, exist_ok=True)
        for sub in ('.', 'munge', 'etc', 'dev'):
            (self.dir / sub).chmod(0o755)
        self.nodes = [f'{name}-{prefix}{i}' for prefix, n, *_ in pools for i in range(1, n + 1)]
        self.conf = self.dir / 'etc' / 'slurm.conf'
        self.env = {**os.environ, 'SLURM_CONF': str(self.conf), 'PATH': PATH}
        self.out = open(self.dir / 'log' / 'out', 'a', encoding='utf-8')
        try:
            self._configure(min_job_age)
            self.start_munge()
            if accounting:
                self._start_accounting()
            self.start_controller(clean=True)
            for node in self.nodes:
                (self.dir / 'spool' / node).mkdir(exist_ok=True)
                self.start_node(node)
            self.wait('the cluster', self.ready, 60)
        except BaseException:
            self.stop()
            raise

    # ---- configuration ----

    def _configure(self, min_job_age):
        first = free_ports(4 + len(self.nodes))
        self.ports = {'port': first, 'slurmd_port': first + 1, 'dbd_port': first + 2, 'db_port': first + 3}
        host = socket.gethostname().split('.')[0]
        text = CONF.format(name=self.name, host=host, dir=self.dir, timeout_s=self.timeout_s, min_job_age=min_job_age,
                           gres=','.join(sorted({gres for _, _, gres, _, _ in self.pools})), **self.ports)
        gres_conf, port = '', first + 4
        for prefix, n, gres, kind, chips in self.pools:
            names = f'{self.name}-{prefix}[1-{n}]'
            text += (f'NodeName={names} NodeHostname={host} NodeAddr=127.0.0.1 Port=[{port}-{port + n - 1}] CPUs=64 '
                     f'RealMemory=64000 Gres={gres}:{kind}:{chips} State=UNKNOWN\n'
                     f'PartitionName={kind} Nodes={names} MaxTime=INFINITE State=UP\n')
            if gres == 'gpu':  # it insists on device files; plain ones do
                for i in range(chips):
                    (self.dir / 'dev' / f'{kind}-{i}').touch()
                gres_conf += f'NodeName={names} Name={gres} Type={kind} File={self.dir}/dev/{kind}-[0-{chips - 1}]\n'
            else:
                gres_conf += f'NodeName={names} Name={gres} Type={kind} Count={chips}\n'
            port += n
        text += f'PartitionName=all Nodes={",".join(self.nodes)} Default=YES MaxTime=INFINITE State=UP\n'
        if self.accounting:
            text += ACCOUNTING.format(dir=self.dir, **self.ports)
            tres = sorted({f'gres/{gres}' for _, _, gres, _, _ in self.pools} |
                          {f'gres/{gres}:{kind}' for _, _, gres, kind, _ in self.pools})
            text += f'AccountingStorageTRES={",".join(tres)}\n'
        self.conf.write_text(text, encoding='utf-8')
        (self.dir / 'etc' / 'gres.conf').write_text(gres_conf, encoding='utf-8')
        version = subprocess.run([*self.prefix, program('slurmctld'), '-V'], capture_output=True, text=True, check=True).stdout
        self.version = version.split()[1]
        if int(self.version.split('.')[0]) >= 23:  # it would look for a cgroup tree of its own
            (self.dir / 'etc' / 'cgroup.conf').write_text('CgroupPlugin=disabled\n', encoding='utf-8')
        else:
            (self.dir / 'etc' / 'cgroup.conf').write_text('CgroupAutomount=no\n', encoding='utf-8')

    # ---- daemons ----

    def spawn(self, key, name, *args):
        self.processes[key] = subprocess.Popen([*self.prefix, program(name), *map(str, args)], env=self.env, cwd=self.dir / 'log',
                                               stdin=subprocess.DEVNULL, stdout=self.out, stderr=subprocess.STDOUT,
                                               start_new_session=True)
        return self.processes[key]

    def wait(self, what, test, limit_s):
        until = time.monotonic() + PATIENCE * limit_s
        while time.monotonic() < until:
            if test():
                return
            time.sleep(0.1)
        tail = (self.dir / 'log' / 'out').read_text(encoding='utf-8', errors='replace')[-1500:]
        raise RuntimeError(f'{what}: not within {limit_s} s: {tail}')

    def start_munge(self):
        key = self.dir / 'munge' / 'key'
        if not key.exists():
            key.touch(0o600)
            key.write_bytes(secrets.token_bytes(128))
        at = {name: self.dir / 'munge' / name for name in ('socket', 'pid', 'log', 'seed')}
        self.spawn('munged', 'munged', '--foreground', '--force', '--num-threads=2', f'--socket={at["socket"]}',
                   f'--key-file={key}', f'--pid-file={at["pid"]}', f'--log-file={at["log"]}', f'--seed-file={at["seed"]}')
        self.wait('munged', lambda: subprocess.run([*self.prefix, program('munge'), '-n', '-S', str(at['socket'])], check=False,
                                                   capture_output=True).returncode == 0, 20)

    def _start_accounting(self):
        db = self.dir / 'db'
        db.mkdir(exist_ok=True)
        shutil.chown(db, 'mysql')
        subprocess.run([program('mariadb-install-db'), '--user=mysql', f'--datadir={db}/data', '--skip-test-db',
                        '--auth-root-authentication-method=normal'], check=True, stdout=self.out, stderr=self.out)
        self.spawn('mariadbd', 'mariadbd', '--no-defaults', '--user=mysql', f'--datadir={db}/data', f'--socket={db}/socket',
                   f'--port={self.ports["db_port"]}', '--bind-address=127.0.0.1', f'--pid-file={db}/pid',
                   '--innodb-buffer-pool-size=64M', '--innodb-log-file-size=32M', '--innodb-lock-wait-timeout=900',
                   '--skip-log-bin', '--innodb-flush-log-at-trx-commit=2')
        client = [program('mariadb'), '--no-defaults', '-S', f'{db}/socket', '-e']
        self.wait('mariadbd', lambda: subprocess.run(client + ['select 1'], capture_output=True, check=False).returncode == 0,
                  60)
        subprocess.run(client + ["create database slurm_acct; create user slurm@'127.0.0.1' identified by 'slurm';"
                                 "grant all on slurm_acct.* to slurm@'127.0.0.1'; create user slurm@'localhost' identified "
                                 "by 'slurm'; grant all on slurm_acct.* to slurm@'localhost'"], check=True)
        conf = self.dir / 'etc' / 'slurmdbd.conf'
        conf.write_text(DBD.format(dir=self.dir, **self.ports), encoding='utf-8')
        conf.chmod(0o600)
        self.spawn('slurmdbd', 'slurmdbd', '-D')
        self.wait('slurmdbd', lambda: self.run('sacctmgr', '-i', 'add', 'cluster', self.name, check=False).returncode == 0
                  or self.name in self.run('sacctmgr', '-n', 'show', 'cluster', check=False).stdout, 60)
        self.run('sacctmgr', '-i', 'add', 'account', 'busbar', f'cluster={self.name}')
        for user in (USER, 'root'):
            self.run('sacctmgr', '-i', 'add', 'user', user, 'account=busbar', f'cluster={self.name}')

    def start_controller(self, clean=False):
        self.spawn('slurmctld', 'slurmctld', '-D', *(['-c'] if clean else []))

    def start_node(self, node):
        self.spawn(node, 'slurmd', '-D', '-N', node)

    def ready(self):
        try:
            done = self.run('sinfo', '-h', '-N', '-p', 'all', '-t', 'idle,alloc,mix', '-o', '%N', check=False, limit_s=5)
        except subprocess.TimeoutExpired:
            return False
        return len(set(done.stdout.split())) == len(self.nodes)

    def answers(self):
        try:
            return 'is UP' in self.run('scontrol', 'ping', check=False, limit_s=5).stdout
        except subprocess.TimeoutExpired:
            return False

    def signal(self, key, sig):
        os.kill(self.processes[key].pid, sig)

    def end(self, key, hard=False):
        process = self.processes.pop(key, None)
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGKILL if hard else signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def run(self, name, *args, check=True, limit_s=60, as_user=False):
        words = [*self.prefix, *(AS_USER if as_user else ()), program(name), *map(str, args)]
        done = subprocess.run(words, env=self.env, capture_output=True, text=True, check=False, timeout=limit_s,
                              stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise RuntimeError(f'{name} {args}: {done.stdout}{done.stderr}')
        return done

    def queue(self):
        return self.run('squeue', '-h', '-a', '-r', '-t', 'all', '-o', '%i %j %T').stdout.splitlines()

    def stop(self):
        """Nodes first: they end what they run."""
        for job in (self.run('squeue', '-h', '-o', '%A', check=False).stdout.split() if self.processes.get('slurmctld')
                    and self.answers() else []):
            self.run('scancel', job, check=False)
        for key in [*self.nodes, 'slurmctld', 'slurmdbd', 'mariadbd', 'munged']:
            self.end(key)
        if self.out:
            self.out.close()


def main():
    """A cluster in one partition, until SIGINT or SIGTERM; FOLDER/ready is there while it is."""
    if len(sys.argv) not in (4, 5) or ':' not in sys.argv[3]:
        sys.exit('usage: slurm_site.py FOLDER NAME CHIP:COUNT [NODES]')
    if lacking := missing():
        sys.exit(f'slurm_site.py: {lacking}')
    folder, name, (chip, count) = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3].split(':')
    cluster = Cluster(folder, name, [('n', int(sys.argv[4]) if len(sys.argv) == 5 else 2, 'gpu', chip, int(count))])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        (folder / 'ready').touch()
        print(f'export SLURM_CONF={cluster.conf}', flush=True)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        (folder / 'ready').unlink(missing_ok=True)
        cluster.stop()


if __name__ == '__main__':
    main()
