# SPDX-License-Identifier: Apache-2.0
"""A site of a hub: the folder of its agent, and the agent's process while it runs."""
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile

from workbench import OK, Bench, busbar, find_processes, nano, need, wait_for

LISTEN = ['--site-listen', '127.0.0.1:0']


class Site:
    """An agent's folder, and its process while it runs."""

    def __init__(self):
        self.data = pathlib.Path(tempfile.mkdtemp(prefix='bb-site-', dir='/tmp'))
        self.marks = pathlib.Path(tempfile.mkdtemp(prefix='bb-marks-', dir='/tmp'))  # what jobs leave for us
        self.process, self.env, self.prefix, self.disk = None, None, [], None

    def join(self, status, hub, token):
        return busbar(status, 'site', 'join', hub, '--token', token, '--data', self.data)

    def run(self):
        self.log = open(self.data / 'log', 'ab')
        self.process = subprocess.Popen([*self.prefix, os.environ['BUSBAR_BIN'], 'site', 'run', '--data', str(self.data)],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env={**os.environ, **(self.env or {})})

    def said(self):
        return (self.data / 'log').read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def enter(self, bench, name, wire=None, **fields):
        """Added, invited and joined; over a wire, if there is one."""
        bench.api('POST', '/api/v1/sites', {'name': name, **fields})
        hub, token = invite(bench, name)
        self.join(OK, wire.to(hub) if wire else hub, token)

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)
        if self.disk:
            self.disk.end()
        shutil.rmtree(self.data)
        shutil.rmtree(self.marks)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.end()

    def call(self, hub, path, body, cert=True):
        """As its agent does, by another client: status and answer."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if cert:
            context.load_cert_chain(self.data / 'pki' / 'site.pem', self.data / 'pki' / 'site.key')
        host, port = hub.split(':')
        c = http.client.HTTPSConnection(host, int(port), timeout=10, context=context)
        c.request('POST', path, body if isinstance(body, bytes) else json.dumps(body))
        answer = c.getresponse()
        text = answer.read()
        c.close()
        return answer.status, json.loads(text)


def free_port(host='127.0.0.1'):
    """One that a hub can have again after it was killed: whoever connects is given higher ones by the kernel, never this."""
    while True:
        port = random.SystemRandom().randrange(11000, 21000)
        with socket.socket() as s:
            try:
                s.bind((host, port))
            except OSError:
                continue
            return port


def invite(bench, name):
    found = bench.api('POST', f'/api/v1/sites/{name}/token', {})
    return found['hub'], found['token']


CONFIG = '''
engine: local
work: {data}/work
isolation: process
chips:
  - {{chip: h20, count: 4}}
'''
LEASE_S = 8


class Field:
    """A hub with a site whose machine has four chips of a kind that the hub's own does not have. `env`: of `hub` and of `site`,
    beside ours; `data`: the hub's folder; `wire`: what is between the two (wire.py).
    """

    def __init__(self, host='127.0.0.1', prefix=(), disk=None, env=None, data=None, wire=None, args=()):
        env = env or {}
        self.bench = Bench(['--site-listen', f'{host}:{free_port(host)}', '--lease', str(LEASE_S), '--no-model', *args], env=env.get('hub'),
                           data=data)
        self.site = Site()
        self.site.env = env.get('site')
        self.site.prefix = list(prefix)
        self.site.disk = disk and disk(self.site.data)
        self.site.enter(self.bench, 'north', wire, region='coast')
        (self.site.data / 'site.yaml').write_text(CONFIG.format(data=self.site.data))
        self.site.run()
        wait_for(lambda: 'in touch' in self.site.said(), 'the agent is in touch', 20)
        # That was its first call; whether it can serve it says with a later one, and until then nothing can be deployed there.
        wait_for(lambda: self.bench.api('GET', '/api/v1/sites/north')['serves'] is not None, 'the hub knows what the site can do', 20)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.site.end()
        self.bench.__exit__(*exc)

    def submit(self, script, chips=1, **fields):
        body = {'tenant': 'default', 'argv': ['/bin/sh', '-c', script], 'chip': 'h20', 'chips': chips, **fields}
        return self.bench.api('POST', '/api/v1/jobs', body)['id']

    def try_submit(self, script, **fields):
        """None: refused."""
        reply = self.bench.request('POST', '/api/v1/jobs', {'tenant': 'default', 'argv': ['/bin/sh', '-c', script], **fields},
                                   local=True)
        return reply.json()['id'] if reply.status == 201 else None

    def job(self, job):
        return self.bench.api('GET', f'/api/v1/jobs/{job}')

    def ended(self, job, limit_s=30):
        return wait_for(lambda: (j := self.job(job))['state'] not in ('queued', 'running') and j, f'{job} is over', limit_s, 0.1)

    def logs(self, job, stream='out'):
        return self.bench.request('GET', f'/api/v1/jobs/{job}/logs?stream={stream}', local=True).body

    def running(self, job, limit_s=20):
        return wait_for(lambda: (j := self.job(job))['state'] == 'running' and j, f'{job} runs', limit_s)

    def pool(self, chip='h20'):
        found, = [p for p in self.bench.api('GET', '/api/v1/pools')['data'] if (p['site'], p['chip']) == ('north', chip)]
        return found

    def spent(self):
        return nano(self.bench.api('GET', '/api/v1/tenants/default')['spent'])

    def nothing_runs(self):
        wait_for(lambda: not find_processes(str(self.site.data / 'work')), 'nothing runs at the site', 20)


def counted(f, script):
    """A script that leaves a line each time that it is started."""
    return f'echo run >>{f.site.marks}/ran-$BUSBAR_JOB; {script}'


def span(f):
    """Leaves when it began and, by a process that outlives nothing of the job, until when it was seen to run."""
    return (f'e=$BUSBAR_EPOCH; d={f.site.marks}/span-$BUSBAR_JOB-$e; date +%s.%N >$d.from; '
            f'(while :; do date +%s.%N >$d.new && mv $d.new $d.to; sleep 0.05; done) &')


def spans_of(f, job):
    out = []
    for path in f.site.marks.glob(f'span-{job}-*.from'):
        until = path.with_suffix('.to')
        if until.exists():
            out.append((float(path.read_text()), float(until.read_text())))
    return out


def runs_of(f, job):
    path = f.site.marks / f'ran-{job}'
    return path.read_text().count('run') if path.exists() else 0


def begun(f, script, **fields):
    """A job that counts its starts, once it has begun."""
    job = f.submit(counted(f, script), **fields)
    f.running(job)
    wait_for(lambda: runs_of(f, job) == 1, 'it has begun', 10)
    return job
