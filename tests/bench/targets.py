# SPDX-License-Identifier: Apache-2.0
"""What the gateway benchmark starts: the mock engine, nginx and busbar in front of it, each pinned to a core.

CPU time comes from /proc/PID/task/TID/schedstat, in nanoseconds: it counts what a thread ran, however often the rest of
the machine took its core away. Everything started here is ended by its own pid.
"""
import collections
import json
import os
import pathlib
import re
import subprocess
import time
import urllib.error
import urllib.request

from harness import Failed

HERE = pathlib.Path(__file__).resolve().parent
GROUPS = {'busbar-gateway': 'gateway', 'busbar-core': 'core', 'busbar-store': 'store'}

NGINX_CONF = '''
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {dir}/nginx.pid;
error_log {dir}/nginx.log;
events {{ worker_connections 19000; multi_accept on; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 600;
    client_body_buffer_size 16k;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    upstream engine {{ server 127.0.0.1:{engine}; keepalive 1024; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=8192;
        location / {{
            proxy_pass http://engine;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "Bearer upstream";
            proxy_buffering off;
            proxy_read_timeout 600s;
        }}
    }}
}}
'''


def cores():
    """The core of the proxies, and that of the load and the mock engine."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def spawn(args, core, **more):
    def pin():
        os.sched_setaffinity(0, {core})
    return subprocess.Popen([str(a) for a in args], preexec_fn=pin, stdin=subprocess.DEVNULL, **more)


def end(process, wait_s=20):
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(wait_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def helper(name, build_dir, work_dir):
    """A C program of this folder: as meson built it, else built here."""
    built = pathlib.Path(build_dir) / 'tests' / 'bench' / name
    source = HERE / f'{name}.c'
    if built.exists() and built.stat().st_mtime >= source.stat().st_mtime:
        return built
    out = pathlib.Path(work_dir) / name
    subprocess.run([os.environ.get('CC', 'cc'), '-std=gnu17', '-O2', '-D_GNU_SOURCE', '-o', out, source], check=True)
    return out


def cpu_ns(pid):
    """CPU time by group of threads: gateway, core, store, other."""
    total = collections.Counter()
    for task in pathlib.Path(f'/proc/{pid}/task').iterdir():
        try:
            name = (task / 'comm').read_text().strip()
            total[GROUPS.get(name, 'other')] += int((task / 'schedstat').read_text().split()[0])
        except OSError:
            pass
    return total


def rss_kb(pid):
    return int(re.search(r'VmRSS:\s+(\d+)', pathlib.Path(f'/proc/{pid}/status').read_text()).group(1))


class Mock:
    def __init__(self, program, core):
        self.process = spawn([program, 0], core, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.pid = self.process.pid

    def stop(self):
        end(self.process)


class Nginx:
    name = 'nginx'
    key = 'none'

    def __init__(self, engine_port, core, work_dir):
        folder = pathlib.Path(work_dir) / 'nginx'
        folder.mkdir()
        self.port = free_port()
        conf = folder / 'nginx.conf'
        conf.write_text(NGINX_CONF.format(dir=folder, engine=engine_port, port=self.port))
        self.process = spawn(['nginx', '-p', folder, '-e', folder / 'nginx.log', '-c', conf], core)
        self.pid = self._worker()

    def _worker(self):
        children = pathlib.Path(f'/proc/{self.process.pid}/task/{self.process.pid}/children')
        for _ in range(100):
            time.sleep(0.05)
            if self.process.poll() is not None:
                raise Failed('nginx did not start')
            pids = children.read_text().split()
            if pids:
                return int(pids[0])
        raise Failed('nginx started no worker')

    def stop(self):
        end(self.process)


class Busbar:
    name = 'busbar'

    def __init__(self, program, engine_port, core, work_dir):
        self.program = pathlib.Path(program).resolve()
        self.data = pathlib.Path(work_dir) / 'busbar'
        self.log = open(pathlib.Path(work_dir) / 'busbar.log', 'w+', encoding='utf-8')
        self.process = spawn([self.program, 'up', '--workers', 1, '--no-model', '--data', self.data,
                              '--listen', '127.0.0.1:0'], core, stdout=self.log, stderr=subprocess.STDOUT)
        self.pid = self.process.pid
        try:
            text = self._started()
            self.port = int(re.search(r'^address +http://127\.0\.0\.1:(\d+)', text, re.M).group(1))
            self.key = re.search(r'^key +(\S+)', text, re.M).group(1)
            self.run('model', 'add', 'bench', f'http://127.0.0.1:{engine_port}', '--engine', 'url',
                     '--context', 8192, '--price-prompt', 1, '--price-completion', 2)
            self.run('deploy', 'bench', '--slots', 1024, '--replicas', 4)
            self.run('tenant', 'budget', 'default', 1000000)
            self._answers()
        except BaseException:
            self.stop()
            raise

    def _started(self):
        for _ in range(200):
            time.sleep(0.05)
            text = pathlib.Path(self.log.name).read_text(encoding='utf-8')
            if re.search(r'^try ', text, re.M):
                return text
            if self.process.poll() is not None:
                break
        raise Failed('busbar did not start: ' + text[-500:])

    def _answers(self):
        request = urllib.request.Request(
            f'http://127.0.0.1:{self.port}/v1/chat/completions', method='POST',
            headers={'Authorization': f'Bearer {self.key}', 'Content-Type': 'application/json'},
            data=b'{"model":"bench","messages":[{"role":"user","content":"x"}],"max_tokens":8}')
        for _ in range(100):
            try:
                with urllib.request.urlopen(request, timeout=5):
                    return
            except urllib.error.HTTPError as e:
                text = e.read().decode()
                time.sleep(0.1)
        raise Failed(f'busbar does not serve: {text}')

    def run(self, *args):
        done = subprocess.run([str(self.program), *map(str, args), '--data', str(self.data)], check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Failed(f'busbar {" ".join(map(str, args))}: {done.stdout}{done.stderr}')
        return done.stdout

    def usage(self):
        """Requests and completion tokens that are on record."""
        rows = json.loads(self.run('usage', '--json'))['data']
        return sum(r['requests'] for r in rows), sum(r['completion_tokens'] for r in rows)

    def status(self):
        return json.loads(self.run('status', '--json'))

    def stop(self):
        end(self.process)
        self.log.close()
