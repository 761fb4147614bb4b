# SPDX-License-Identifier: Apache-2.0
"""A hub, a site with a real Slurm behind a link that can be cut, and a site that starts processes: what jobs themselves say about
when they ran, and the audit of it.

A job writes down that it began, that it still runs (on the machine's own clock, several times a second), and that it came to its
end. Nothing of that goes through the hub or Slurm, so it tells whether a job was lost, ran twice, or ran in two epochs at a time.
"""
import json
import os
import pathlib
import signal
import time

import faultlib  # noqa: F401 pylint: disable=unused-import
from site_agent import CONFIG, Site, free_port
from slurm_agent import SlurmSite
from workbench import OK, Bench, find_processes, nano, need, same, wait_for

LEASE_S = 8
MESSAGE_TIMEOUT_S = 3
POOLS = [('a', 3, 'npu', 'ascend910b', 8)]
ANY = range(1, 21)  # epochs, where Slurm itself ends what runs
PRICES = {'ascend910b': '1.3', 'h20': '2.250000001', 'cpu': '0.01'}
# `read` and `echo` are the shell's own, so a job that is watched so costs little.
RECORD = ('d={marks}/$BUSBAR_JOB.$BUSBAR_EPOCH; echo run >>$d.begin; '
          '(while read up idle </proc/uptime; do echo $up >>$d.alive; sleep 0.1; done) & '
          '{body}; s=$?; echo $s >>$d.end; exit $s')


class Job:
    def __init__(self, ident, chip, code, epochs):
        self.id, self.chip, self.code, self.epochs = ident, chip, code, epochs


class Ground:
    """`link`: a cable to the Slurm site that can be cut, or None."""

    def __init__(self, link=None, pools=None, nodes_of=None):
        host, prefix = (link.host, link.prefix) if link else ('127.0.0.1', ())
        self.bench = Bench(['--site-listen', f'{host}:{free_port(host)}', '--lease', str(LEASE_S), '--no-model'])
        self.slurm = self.south = None
        self.jobs = []
        try:
            self.slurm = SlurmSite(self.bench, 'north', pools or POOLS, prefix, timeout_s=MESSAGE_TIMEOUT_S)
            self.south = Site()
            self.south.enter(self.bench, 'south')
            (self.south.data / 'site.yaml').write_text(CONFIG.format(data=self.south.data))
            self.slurm.start()
            self.south.run()
            self._price()
        except BaseException:
            self.stop()
            raise

    def _price(self):
        def pools():
            return [p for p in self.bench.api('GET', '/api/v1/pools')['data'] if p['chip'] in PRICES]
        wait_for(lambda: {p['chip'] for p in pools()} == set(PRICES), 'the hub knows all pools', 30, 0.2)
        for pool in pools():
            same(self.bench.run('pool', 'price', pool['id'], PRICES[pool['chip']]).returncode, OK, pool)

    def stop(self):
        for site in (self.slurm, self.south):
            if site:
                (site.stop if site is self.slurm else site.end)()
        self.bench.__exit__(None, None, None)

    # ---- jobs ----

    @property
    def cluster(self):
        return self.slurm.cluster

    @property
    def agent(self):
        return self.slurm.site

    def marks(self, chip):
        return (self.slurm.site if chip == 'ascend910b' else self.south).marks

    def submit(self, body='sleep 1', chip='ascend910b', chips=1, code=0, epochs=(1,), **fields):
        """`epochs`: how many the job may have when it is over."""
        script = RECORD.format(marks=self.marks(chip), body=body)
        ident = self.bench.api('POST', '/api/v1/jobs', {'tenant': 'default', 'argv': ['/bin/sh', '-c', script], 'chip': chip,
                                                        'chips': chips, **fields})['id']
        self.jobs.append(Job(ident, chip, code, epochs))
        return self.jobs[-1]

    def mixed(self, n=4, seconds=2.0, epochs=(1,)):
        """Some at the Slurm site, of several sizes and ends, one beside it."""
        return [self.submit(f'sleep {seconds * (1 + i % 3) / 2}; (exit {7 * (i % 4 == 3)})', chips=1 + 3 * (i % 3), code=7 * (i % 4 == 3),
                            epochs=epochs) for i in range(n)] + [self.submit(f'sleep {seconds}', 'h20', 2)]

    def job(self, job):
        return self.bench.api('GET', f'/api/v1/jobs/{job.id}')

    def begun(self, job, epoch=1):
        return (self.marks(job.chip) / f'{job.id}.{epoch}.begin').exists()

    def wait_begun(self, jobs, limit_s=40):
        wait_for(lambda: all(self.begun(j) for j in jobs), 'all have begun', limit_s, 0.1)

    def shims(self, job, epoch=1):
        return [pid for pid in find_processes(f'{job.id}/{epoch}') if self._is_shim(pid)]

    @staticmethod
    def _is_shim(pid):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as f:
                return f.read().split(b'\0')[1:2] == [b'shim']
        except OSError:
            return False

    def processes(self, job):
        """All of it: what Slurm started, the shim and its keeper, and the job, which carries its id in its environment."""
        out, mark = set(find_processes(job.id)), f'BUSBAR_JOB={job.id}\0'.encode()
        for entry in pathlib.Path('/proc').iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / 'environ').read_bytes():
                    out.add(int(entry.name))
            except OSError:
                pass
        return out

    def lose(self, job):
        """As when a node loses its power: nothing of the job says another word. What is stopped starts no others."""
        for number in (signal.SIGSTOP, signal.SIGSTOP, signal.SIGKILL, signal.SIGKILL):
            for pid in self.processes(job):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass

    def site_state(self):
        return self.bench.api('GET', '/api/v1/sites/north')['state']

    # ---- what became of them ----

    def spans(self, job):
        """By epoch: from when to when the job itself saw that it ran, seconds since the machine's boot."""
        out = {}
        for path in self.marks(job.chip).glob(f'{job.id}.*.begin'):
            epoch = int(path.name.split('.')[1])
            same(path.read_text(), 'run\n', f'{job.id}: starts of epoch {epoch}')
            alive = path.with_suffix('.alive')
            seen = [float(line) for line in (alive.read_text() if alive.exists() else '').split('\n')[:-1]]
            if seen:
                out[epoch] = (seen[0], seen[-1])
        return out

    def over(self, job, limit_s):
        asked = time.monotonic()

        def over():
            nonlocal asked
            row = self.job(job)
            if row['state'] not in ('queued', 'running') and all(e['final'] for e in row['epochs']):
                return row
            if time.monotonic() - asked > 5:
                self.resume_nodes()
                asked = time.monotonic()
            return None
        return wait_for(over, f'{job.id} is over: {self.job(job)}', limit_s, 0.2)

    def _bill(self, job, row, spans):
        """Metered is what the shim wrote down; where no record of it reached the hub, what the job saw itself. The cost."""
        cost = 0
        for number, epoch in enumerate(row['epochs'], 1):
            record = self.bench.data / 'work' / job.id / str(number) / 'exit'
            if record.exists():
                usage = json.loads(record.read_text())['usage']
                chip_ms = sum(chip['chip_ms'] for chip in usage.get('chips', []))
                same((epoch['ms'], epoch['chip_ms']), (usage['ms'], chip_ms), f'{job.id}: epoch {number} and its record')
            seen_ms = (spans[number][1] - spans[number][0]) * 1000 if number in spans else 0
            lost_ms = 11000 if epoch['truncated'] else 300  # between two lines of usage
            need(seen_ms - lost_ms <= epoch['ms'], f'{job.id}: epoch {number} ran for {seen_ms} ms, metered {epoch}')
            need(epoch['ms'] <= seen_ms + 10000, f'{job.id}: epoch {number} ran for {seen_ms} ms, metered {epoch}')
            same((epoch['chip_ms'], epoch['price']), (epoch['ms'] * epoch['chips'], PRICES[job.chip]), epoch)
            same(nano(epoch['cost']), nano(epoch['price']) * epoch['chip_ms'] // 3600000, epoch)
            cost += nano(epoch['cost'])
        same((nano(row['cost']), 'unpaid' in row), (cost, False), row)
        return cost

    def check(self, limit_s=90):
        """All that were submitted since the last check: none is lost, none ran twice, each is billed once. How many there were."""
        cost = 0
        for job in self.jobs:
            row = self.over(job, limit_s)
            same((row['state'], row['end'], row.get('code')), ('ended', 'exited', job.code), f'{job.id}: {row}')
            need(row['epoch'] in job.epochs, f'{job.id}: {row["epoch"]} epochs, may be {job.epochs}: {row}')
            spans = self.spans(job)
            ends = list(self.marks(job.chip).glob(f'{job.id}.*.end'))
            same([(e.name, e.read_text()) for e in ends], [(f'{job.id}.{row["epoch"]}.end', f'{job.code}\n')], 'ends')
            order = sorted(spans.items())
            need(all(a[1][1] < b[1][0] for a, b in zip(order, order[1:])), f'{job.id}: epochs overlap: {order}')
            self._bill(job, row, spans)
        for row in self.bench.pages('/api/v1/jobs'):
            cost += nano(self.bench.api('GET', f'/api/v1/jobs/{row["id"]}')['cost'])
        same(nano(self.bench.api('GET', '/api/v1/tenants/default')['spent']), cost, 'what left the wallet, and what all jobs cost')
        n, self.jobs = len(self.jobs), []
        return n

    def resume_nodes(self):
        """As an operator would: Slurm drains a node that it gave a number twice, and may have no other in the end."""
        for node in self.cluster.nodes:
            self.cluster.run('scontrol', 'update', f'nodename={node}', 'state=resume', check=False)

    def settle(self):
        """Between two rounds: nothing is in the queue, nothing runs, all nodes are up."""
        work = str(self.agent.data / 'work')
        wait_for(lambda: not find_processes(work), 'nothing runs', 40, 0.2)
        wait_for(lambda: not [r for r in self.cluster.queue() if 'PENDING' in r or 'RUNNING' in r], 'the queue is empty', 60, 0.5)
        self.resume_nodes()
        self.cluster.wait('all nodes', self.cluster.ready, 60)
