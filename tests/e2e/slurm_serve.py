#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Models at a site with a real Slurm: a replica is one job of it, with its chips, on a node that nobody asks without the key. It goes on
when the agent is killed and is found again, comes back when Slurm ends it, and goes when nobody wants it, or nobody is heard of.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import tempfile
import time
import uuid

import slurm_site
from site_agent import free_port
from slurm_agent import SlurmSite
from workbench import FULL, OK, Bench, Tap, find_processes, nano, need, same, wait_for

MODEL = pathlib.Path(os.environ['BUSBAR_BIN']).resolve().parent.parent / 'data' / 'models' / 'stories.gguf'
DEPS = MODEL.parents[2] / '.deps'
POOLS = [('g', 1, 'gpu', 'h20', 4)]
LEASE_S = 20
# Nodes are another machine than the agent's, as far as leases can tell.
ELSEWHERE = ['unshare', '-m', 'sh', '-c', 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"']


class Field:
    def __init__(self, apart=False):
        self.bench = Bench(['--site-listen', f'127.0.0.1:{free_port()}', '--lease', str(LEASE_S), '--no-model'])
        self.slurm, self.boot, self.apart = None, None, apart

    def start(self):
        with tempfile.NamedTemporaryFile('w', delete=False) as boot:
            boot.write(str(uuid.uuid4()))
        os.chmod(boot.name, 0o644)
        self.boot = boot.name
        self.slurm = SlurmSite(self.bench, 'north', POOLS, prefix=[*ELSEWHERE, boot.name] if self.apart else ())
        self.slurm.site.prefix = list(slurm_site.AS_USER)
        self.slurm.start()
        wait_for(lambda: self.bench.api('GET', '/api/v1/sites/north')['serves'] is not None, 'the hub knows what the site can do', 20)
        wait_for(lambda: [p for p in self.bench.api('GET', '/api/v1/pools')['data'] if p['chip'] == 'h20'], 'its chips are known', 20)
        same(self.bench.run('model', 'add', 'story', str(MODEL), '--price-prompt', '1', '--price-completion', '2').returncode, OK, 'model')

    def stop(self):
        if self.slurm:
            agent = self.slurm.site.process
            if agent and agent.poll() is None:  # while its Slurm still answers
                agent.terminate()
                agent.wait(30)
            self.slurm.stop()
        if self.boot:
            os.unlink(self.boot)
        self.bench.__exit__(None, None, None)

    def spent(self):
        return nano(self.bench.api('GET', '/api/v1/tenants/default')['spent'])

    def replica(self):
        found, = self.bench.deployment('story')['replicas']
        return found

    def folders(self):
        """Those of replicas: how often each was begun."""
        return sorted((self.slurm.site.data / 'work' / '.replicas').glob('*/*'))

    def jobs(self, *states):
        """Of Slurm, in these states: its number of each."""
        lines = [line.split() for line in self.slurm.cluster.queue()]
        return [line[0] for line in lines if line[2] in (states or ('PENDING', 'RUNNING', 'COMPLETING'))]

    def ready(self, limit_s=30):
        return self.bench.wait_ready('story', 1, limit_s)

    def chat(self):
        """One answer, billed once and as it says."""
        before = self.spent()
        reply = self.bench.chat(model='story', max_tokens=5)
        same(reply.status, 200, reply.body)
        usage, bill = reply.json()['usage'], self.bench.billed(reply.fields['x-request-id'])
        same((bill['prompt_tokens'], bill['completion_tokens'], bill['records']), (usage['prompt_tokens'], usage['completion_tokens'], 1),
             'tokens')
        same(self.spent() - before, bill['cost'], 'spent')

    def words(self):
        """What the job says of itself last."""
        return json.loads((self.folders()[-1] / 'out').read_text().splitlines()[-1])


def waits(f):
    """No chips are free: it waits in Slurm's queue, and the hub says so with Slurm's reason. It gets the longest time that there is."""
    f.slurm.cluster.run('scontrol', 'update', 'PartitionName=h20', 'MaxTime=2-01:00:00', 'DefaultTime=00:01:00')
    cluster, script = f.slurm.cluster, f.slurm.cluster.dir / 'run' / 'sleep'
    script.write_text('#!/bin/sh\nsleep 600\n')
    other = cluster.run('sbatch', '--parsable', '--gres=gpu:h20:4', '--partition=h20', '--chdir=/tmp', '--output=/dev/null', script)
    wait_for(lambda: f.jobs('RUNNING'), 'somebody has the chips', 20, 0.2)
    same(f.bench.run('deploy', 'story', '--site', 'north').returncode, OK, 'deploy')
    wait_for(lambda: f.replica()['detail'] == "in the site's queue: Resources", 'the reason', 20, 0.2)
    same(f.replica()['state'], 'starting', f.replica())
    cluster.run('scancel', '--full', other.stdout.strip())


def serves(f):
    f.ready()
    job, = f.jobs('RUNNING')
    shown = f.slurm.cluster.run('scontrol', 'show', 'job', job).stdout
    need('gres/gpu:h20=1' in shown or 'gpu:h20:1' in shown, shown)
    need('TimeLimit=2-01:00:00' in shown, shown)
    f.chat()
    need(re.fullmatch(r'b\d+-.+', f.replica()['version']), 'what the server on the node is, as its agent read it', f.replica())
    before = f.spent()
    with f.bench.stream(model='story', max_tokens=60, stream_options={'include_usage': True}) as s:
        s.read()
        need(s.done and s.text, s.events)
        bill = f.bench.billed(s.id)
        same((bill['completion_tokens'], bill['records'] > 0), (s.usage['completion_tokens'], True), 'tokens of the stream')
        same(f.spent() - before, bill['cost'], 'spent')
    need('north' in f.bench.run('deployments').stdout, 'it is in the list')


def draws(f):
    """Its job's shim meters it, and who asked has all of it."""
    wait_for(lambda: f.replica().get('energy_j', 0) > 0, 'its site tells what it draws', 40, 0.2)
    same(f.replica()['energy'], 'estimated', 'from the power of its chip')
    used = lambda: f.bench.api('GET', '/api/v1/usage')['data'][0]['energy_j']
    before = used()
    f.chat()
    wait_for(lambda: used() > before, 'the part of those who asked', 40, 0.2)
    same(f.bench.run('ledger', 'check').returncode, OK, 'ledger check')


def hello(f, context):
    """The first byte of an answer at the port of the node; None: there was none."""
    said = f.words()
    with socket.create_connection((said['host'], said['port']), timeout=10) as plain:
        asked = b'GET /health HTTP/1.1\r\nHost: x\r\n\r\n'
        try:
            if context is None:
                plain.sendall(asked)
                return plain.recv(1) or None
            with context.wrap_socket(plain) as s:
                s.sendall(asked)
                return s.recv(1) or None
        except (ssl.SSLError, ConnectionError):
            return None


def strangers(f):
    """Who has not the key of this job gets nothing out of the port: neither without TLS nor without, or with another, certificate."""
    folder = f.folders()[-1] / 'work'
    same([oct((folder / name).stat().st_mode & 0o777) for name in ('key.pem', 'cert.pem')], ['0o600', '0o600'], 'modes')

    def client(cert=None, key=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if cert:
            context.load_cert_chain(cert, key)
        return context
    site = f.slurm.site.data / 'pki'
    same(hello(f, None), None, 'without TLS')
    same(hello(f, client()), None, 'without a certificate')
    same(hello(f, client(site / 'site.pem', site / 'site.key')), None, "with the site's certificate")
    old = client(folder / 'cert.pem', folder / 'key.pem')
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    same(hello(f, old), None, 'with TLS 1.2')
    same(hello(f, client(folder / 'cert.pem', folder / 'key.pem')), b'H', 'with the key')


def servers_of(f):
    """Pids of what serves the weights of this site."""
    return find_processes(str(f.slurm.site.data / 'work' / '.blobs'))


def agent_dies(f):
    """kill -9: the job goes on, the next agent finds it, and there is no second one."""
    job, servers = f.jobs('RUNNING'), servers_of(f)
    same(len(servers), 1, 'model servers')
    f.slurm.site.kill()
    wait_for(lambda: f.replica()['state'] == 'backoff', 'the hub knows', 10)
    f.slurm.site.run()
    f.ready()
    f.chat()
    same((f.jobs(), servers_of(f), len(f.folders())), (job, servers, 1), 'jobs, model servers, folders')


def server_dies(f):
    """The model server alone is killed: another one is started in the same job."""
    job, servers = f.jobs('RUNNING'), servers_of(f)
    os.kill(servers[0], signal.SIGKILL)
    wait_for(lambda: f.words()['state'] == 'ready' and servers_of(f) not in ([], servers), 'another one', 20)
    f.ready()
    f.chat()
    same((f.jobs(), len(f.folders())), (job, 1), 'jobs, folders')
    said = [json.loads(line) for line in (f.folders()[0] / 'out').read_text().splitlines()]
    need('ended by signal 9' in [word.get('detail') for word in said], said)


def cancelled(f):
    """Somebody cancels the job behind our back: that is told, and it is begun anew, under another key."""
    job, key = f.jobs('RUNNING'), (f.folders()[-1] / 'work' / 'key.pem').read_bytes()
    f.slurm.cluster.run('scancel', '--full', *job)
    wait_for(lambda: f.replica()['state'] == 'backoff', 'the hub knows', 30)
    need('its job ended' in f.replica()['detail'], f.replica())
    f.ready()
    f.chat()
    need(f.jobs('RUNNING') != job, 'another job')
    wait_for(lambda: len(f.folders()) == 1, 'the folder of the one before is gone', 5)
    need((f.folders()[-1] / 'work' / 'key.pem').read_bytes() != key, 'another key')
    need('replica_job_ended' in f.slurm.site.said() and 'chip_ms=' in f.slurm.site.said(), 'what it used is in the log')


def undeployed(f):
    same(f.bench.run('undeploy', 'story').returncode, OK, 'undeploy')
    wait_for(lambda: f.bench.deployment('story') is None, 'it is gone', 20)
    wait_for(lambda: not f.jobs() and not servers_of(f), 'so is its job', 20, 0.2)
    wait_for(lambda: not f.folders(), 'and its folder', 10)


def refused(f):
    """Slurm will not have it: its words are told, and it is tried again until it has."""
    f.slurm.cluster.run('scontrol', 'update', 'PartitionName=h20', 'State=INACTIVE')
    same(f.bench.run('deploy', 'story', '--site', 'north').returncode, OK, 'deploy')
    wait_for(lambda: 'inactive' in f.replica()['detail'].lower(), 'its words', 20)
    same(f.replica()['state'], 'backoff', f.replica())
    f.slurm.cluster.run('scontrol', 'update', 'PartitionName=h20', 'State=UP')
    f.ready()
    undeployed(f)


def silent(f):
    """A node that does not answer: the replica is not ready until it does. Nobody waits for it longer than for others."""
    same(f.bench.run('deploy', 'story', '--site', 'north').returncode, OK, 'deploy')
    f.ready()
    port, = find_processes('--serve\0' + str(f.slurm.site.data))
    os.kill(port, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        wait_for(lambda: 'does not answer' in f.replica()['detail'], 'it is not ready', 30)
        took = time.monotonic() - begin
        same(f.replica()['state'], 'starting', f.replica())
    finally:
        os.kill(port, signal.SIGCONT)
    f.ready()
    f.chat()
    undeployed(f)
    return f'found after {took:.1f} s'


def slurm_dies(f):
    """kill -9 of slurmctld: what runs is served meanwhile and goes on after it. kill -9 of the shim: nothing of it is left, and it is
    begun anew.
    """
    same(f.bench.run('deploy', 'story', '--site', 'north').returncode, OK, 'deploy')
    f.ready()
    servers, cluster = servers_of(f), f.slurm.cluster
    cluster.end('slurmctld', hard=True)
    f.chat()
    cluster.start_controller()
    wait_for(cluster.answers, 'Slurm is back', 30, 0.2)
    f.ready()
    f.chat()
    same((servers_of(f), len(f.folders())), (servers, 1), 'model servers, folders')
    os.kill(min(find_processes(f'shim\0{f.folders()[0]}\0')), signal.SIGKILL)  # the other one is its keeper
    wait_for(lambda: servers[0] not in servers_of(f), 'its model server is gone', 10)
    wait_for(lambda: f.replica()['state'] == 'backoff', 'the hub knows', 150)  # Slurm may have forgotten it: then it is waited for until its lease is over
    cluster.run('scontrol', 'update', f'NodeName={cluster.nodes[0]}', 'State=RESUME', check=False)  # Slurm takes such a node out
    f.ready()
    f.chat()
    undeployed(f)


def sandboxed(f):
    """The nodes isolate by namespaces: the replica is in one, and is reached by the name that its node has outside of it."""
    site = f.slurm.site
    site.process.terminate()
    site.process.wait(30)
    config = site.data / 'site.yaml'
    config.write_text(config.read_text() + f'isolation: namespace\nbinds: [{DEPS}, {os.path.realpath(DEPS)}]\n')
    f.slurm.start()
    same(f.bench.run('deploy', 'story', '--site', 'north').returncode, OK, 'deploy')
    f.ready()
    f.chat()
    same(f.words()['host'], socket.gethostname(), 'where it is')
    need(any('bwrap' in open(f'/proc/{pid}/cmdline', encoding='latin-1').read() for pid in find_processes('--serve')), 'a sandbox')
    undeployed(f)


def nobody_is_heard_of(f):
    """The agent is killed and stays away: the job ends with its lease."""
    same(f.bench.run('deploy', 'story', '--site', 'north').returncode, OK, 'deploy')
    f.ready()
    f.slurm.site.kill()
    killed = time.monotonic()
    wait_for(lambda: not f.jobs('RUNNING') and not servers_of(f), 'its job is gone', LEASE_S + 15, 0.2)
    took = time.monotonic() - killed
    need(took > LEASE_S / 2, f'{took:.1f} s')
    end = json.loads((f.folders()[-1] / 'exit').read_text())
    same(end['end'], 'lease-over', end)
    f.slurm.site.run()
    f.ready()
    f.chat()
    return f'after {took:.1f} s of a lease of {LEASE_S} s'


def run(tap, cases, apart=False):
    f = Field(apart)
    try:
        f.start()
        tap.note(f'Slurm {f.slurm.cluster.version}{", its nodes of another boot_id" if apart else ""}')
        for case in cases:
            tap.case(case.__name__.replace('_', ' '), case, f)
        need('Sanitizer' not in f.slurm.site.said(), f.slurm.site.said()[-3000:])
    finally:
        if os.environ.get('BUSBAR_KEEP') and f.slurm:
            print('# kept', shutil.copytree(f.slurm.site.data, f'{f.slurm.site.data}-kept', ignore=shutil.ignore_patterns('cluster')))
        f.stop()


def main():
    tap = Tap()
    lacking = slurm_site.missing()
    if lacking:
        tap.skip('models at a Slurm site', lacking)
        tap.done()
    cases = [waits, serves, draws, strangers, server_dies, agent_dies, cancelled, undeployed]
    run(tap, cases + ([refused, silent, slurm_dies, sandboxed, nobody_is_heard_of] if FULL else []))
    if FULL:
        run(tap, [waits, serves, agent_dies, cancelled, undeployed, nobody_is_heard_of], apart=True)
    tap.done()


if __name__ == '__main__':
    main()
