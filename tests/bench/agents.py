#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One hub with 40 sites that joined it, 115,000 chips and 20,000 running jobs: what the hub needs for that, how soon a site hears
of a job, and how soon a job runs at a real agent. The sites' sockets, certificates and calls are real; what runs there is
modelled: nothing but a clock. Run by script/bench.
"""
import asyncio
import json
import os
import pathlib
import random
import resource
import ssl
import statistics
import subprocess
import sys
import time

import harness

sys.path.insert(0, str(harness.ROOT / 'tests' / 'e2e'))
from site_agent import Field, Site, free_port, invite  # noqa: E402 pylint: disable=wrong-import-position
from workbench import OK, Bench, wait_for  # noqa: E402 pylint: disable=wrong-import-position

NETWORK = harness.ROOT / 'data' / 'network' / 'illustrative.yaml'
CHIPS = 4       # of a job: two on a node
MEAN_S = 900    # of a job: 20,000 of them are 22 ends and starts a second
EVENT_TASKS = 250


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p / 100))] if values else float('nan')


class Connection:
    """HTTP/1.1 over TLS with a site's certificate, kept open."""

    def __init__(self, site, hub):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.context.load_cert_chain(site.data / 'pki' / 'site.pem', site.data / 'pki' / 'site.key')
        self.host, self.port = hub.split(':')
        self.reader = self.writer = None

    async def call(self, path, body):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(self.host, int(self.port), ssl=self.context)
        text = json.dumps(body).encode()
        self.writer.write(b'POST /site/v1/%s HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n' % (path.encode(), len(text)) + text)
        head = await self.reader.readuntil(b'\r\n\r\n')
        status = int(head.split(b' ', 2)[1])
        length = next(int(line.split(b':')[1]) for line in head.lower().split(b'\r\n') if line.startswith(b'content-length'))
        answer = json.loads(await self.reader.readexactly(length))
        if status != 200:
            raise harness.Failed(f'{path}: {status} {answer}')
        return answer

    def close(self):
        if self.writer:
            self.writer.close()


class Model:
    """A site whose jobs are ends in a heap."""

    def __init__(self, site, hub, kinds, told):
        self.orders, self.words = Connection(site, hub), Connection(site, hub)
        self.kinds, self.told, self.runs, self.tasks = kinds, told, {}, []

    async def start(self):
        await self.words.call('inventory', {'kinds': self.kinds})
        self.tasks = [asyncio.create_task(self.listen()), asyncio.create_task(self.live())]

    def begin(self, order):
        self.runs[order['job'], order['epoch']] = time.monotonic() + random.expovariate(1 / MEAN_S)

    async def listen(self):
        session = ack = 0
        while True:
            answer = await self.orders.call('orders', {'session': session, 'ack': ack})
            now = time.monotonic()
            session, ack = answer['session'], answer.get('last', 0)
            if 'wanted' in answer:
                self.runs = {}
            for order in answer.get('wanted', []):
                self.begin(order)
            for order in answer.get('orders', []):
                if 'start' in order:
                    self.told.append(now)
                    self.begin(order['start'])
                else:
                    self.runs.pop((order['stop']['job'], order['stop']['epoch']), None)

    async def live(self):
        while True:
            await asyncio.sleep(0.2)
            now = time.monotonic()
            for job, epoch in [run for run, until in self.runs.items() if until <= now]:
                del self.runs[job, epoch]
                asked = time.monotonic()
                await self.words.call('end', {'job': job, 'epoch': epoch, 'code': 0})
                ENDS.append(time.monotonic() - asked)

    def stop(self):
        for task in self.tasks:
            task.cancel()
        self.orders.close()
        self.words.close()


ENDS = []


def cpu_s(pid):
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def memory_mb(pid):
    return next(int(line.split()[1]) for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines()
                if line.startswith('VmHWM')) / 1024


def network():
    done = subprocess.run([os.environ['BUSBAR_BIN'], 'network', 'show', NETWORK, '--json'], check=True, capture_output=True, text=True)
    for site in json.loads(done.stdout)['data']:
        yield site['name'], [{'chip': p['chip'], 'node_chips': p['node_chips'], 'nodes': p['nodes'], 'up': p['nodes']}
                             for p in site['pools']]


async def measure(bench, sites, jobs, seconds):
    told, results = [], {}
    models = [Model(site, hub, kinds, told) for site, hub, kinds in sites]
    for model in models:
        await model.start()
    pid = bench.process.pid
    before = time.monotonic()
    submitted, cpu = 0, cpu_s(pid)
    while submitted < jobs:  # each an array; in a thread, so that the sites go on
        n = min(EVENT_TASKS, jobs - submitted)
        body = {'tenant': 'default', 'argv': ['true'], 'chips': CHIPS, 'array': f'1-{n}'}
        await asyncio.to_thread(bench.api, 'POST', '/api/v1/jobs', body)
        submitted += n
    limit = time.monotonic() + 120
    while sum(len(m.runs) for m in models) < jobs * 0.97 and time.monotonic() < limit:
        await asyncio.sleep(0.2)
    running = sum(len(m.runs) for m in models)
    results['opened'] = {'jobs': running, 'wall_s': time.monotonic() - before, 'cpu_s': cpu_s(pid) - cpu}
    harness.say('steady ...')
    ENDS.clear()
    told.clear()
    waits, cpu, began = [], cpu_s(pid), time.monotonic()
    while time.monotonic() - began < seconds:
        count, asked = len(told), time.monotonic()
        body = {'tenant': 'default', 'argv': ['true'], 'chip': 'ascend910b', 'chips': 1, 'priority': 100}
        await asyncio.to_thread(bench.api, 'POST', '/api/v1/jobs', body)
        while len(told) == count and time.monotonic() - asked < 5:
            await asyncio.sleep(0.001)
        waits.append(time.monotonic() - asked)
        await asyncio.sleep(0.2)
    wall = time.monotonic() - began
    results['steady'] = {'running': sum(len(m.runs) for m in models), 'seconds': wall, 'ends_s': len(ENDS) / wall,
                         'starts_s': len(told) / wall, 'cpu_percent': 100 * (cpu_s(pid) - cpu) / wall,
                         'order_ms_p50': 1000 * percentile(waits, 50), 'order_ms_p99': 1000 * percentile(waits, 99),
                         'end_ms_p50': 1000 * percentile(ENDS, 50), 'end_ms_p99': 1000 * percentile(ENDS, 99),
                         'memory_mb': memory_mb(pid)}
    for model in models:
        model.stop()
    return results


def fleet(args):
    jobs, seconds = (2000, 5) if args.quick else (20000, 30)
    with Bench(['--site-listen', f'127.0.0.1:{free_port()}', '--no-model']) as bench:
        bench.api('POST', '/api/v1/tenants', {'name': 'bench', 'budget': '1000000'})
        sites, chips = [], 0
        try:
            for name, kinds in network():
                harness.say(f'{name} joins')
                site = Site()
                bench.api('POST', '/api/v1/sites', {'name': name})
                hub, token = invite(bench, name)
                site.join(OK, hub, token)
                sites.append((site, hub, kinds))
                chips += sum(k['nodes'] * k['node_chips'] for k in kinds)
            found = asyncio.run(measure(bench, sites, jobs, seconds))
        finally:
            for site, *_ in sites:
                site.end()
        return {'sites': len(sites), 'chips': chips, **found}


def idle(args):
    """A real agent with a real engine on this machine, and nothing else to do."""
    waits = []
    with Field() as field:
        for _ in range(10 if args.quick else 100):
            asked = time.monotonic()
            mark = field.site.data / f'mark-{len(waits)}'
            job = field.submit(f'touch {mark}')
            wait_for(mark.exists, f'{job} runs', 20, 0.002)
            waits.append(time.monotonic() - asked)
            field.ended(job)
    return {'jobs': len(waits), 'running_ms_p50': 1000 * statistics.median(waits), 'running_ms_p99': 1000 * percentile(waits, 99)}


def main():
    parser = harness.options('agents', __doc__)
    parser.add_argument('--quick', action='store_true', help='fewer jobs, a short while')
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    found = {'fleet': fleet(args), 'idle': idle(args)}
    f, s, o = found['fleet'], found['fleet']['steady'], found['fleet']['opened']
    harness.say('')
    print(f"{f['sites']} sites, {f['chips']:,} chips, {s['running']:,} jobs run\n"
          f"opened   {o['jobs']:,} jobs in {o['wall_s']:.1f} s, hub {o['cpu_s']:.1f} CPU-s\n"
          f"steady   {s['ends_s']:.1f} ends and {s['starts_s']:.1f} starts a second: hub {s['cpu_percent']:.1f} % of a core, "
          f"{s['memory_mb']:.0f} MB at most\n"
          f"         submitted to order at the site: p50 {s['order_ms_p50']:.1f} ms, p99 {s['order_ms_p99']:.1f}\n"
          f"         an end until it is durable: p50 {s['end_ms_p50']:.1f} ms, p99 {s['end_ms_p99']:.1f}\n"
          f"idle     submitted to running at a real agent: p50 {found['idle']['running_ms_p50']:.0f} ms, "
          f"p99 {found['idle']['running_ms_p99']:.0f}")
    harness.write_json(args.json, found)
    return 0


if __name__ == '__main__':
    sys.exit(main())
