# SPDX-License-Identifier: Apache-2.0
"""The gateway beside nginx: CPU time a request and a chunk, memory a stream. Run by script/bench.

Both proxies stand in front of the same mock engine, on one core; load and engine have another. A round measures every
target once, so what else runs on the machine hits both alike; what counts is the median of the rounds' ratios. CPU time
is that of the process, not of the clock: on a shared machine requests a second mean little.
"""
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time

import targets
from harness import ROOT, Failed, print_rows, round_options, say, work_folder, write_samples

CONNECTIONS = (1, 64, 512)
STREAMS = ((200, 20), (1000, 20))  # streams, milliseconds between the events of one
IDLE_STREAMS, IDLE_PACE_MS, IDLE_EVENTS = 4000, 4000, 3
SETTLE_S = 0.1  # after the load has ended: the last records are committed
GROUPS = ('gateway', 'core', 'store', 'other')

# aim, its bound: what it is compared with is worked out in `aims`
AIMS = (('gateway threads, per request, 64 connections', 0.9), ('gateway threads, per request, 512 connections', 0.9),
        ('whole process, per request, 64 connections', 1.3), ('whole process, per request, 512 connections', 1.3),
        ('whole process, per chunk, 200 streams', 0.9), ('whole process, per chunk, 1000 streams', 0.9))
AIM_STREAM_KB = 5.0


class Bench:
    def __init__(self, args, work_dir):
        self.args, self.work_dir = args, work_dir
        self.proxy_core, self.load_core = targets.cores()
        self.bad = []      # words on runs that cannot be used
        self.samples = {}  # (what, target) to a list, one entry a round
        self.memory = {}
        binary = pathlib.Path(os.environ['BUSBAR_BIN'])
        self.sse_load = targets.helper('sse_load', binary.parent, work_dir)
        self.mock = targets.Mock(targets.helper('mock_engine', binary.parent, work_dir), self.load_core)
        # A copy, so that a build that goes on beside us cannot change what is measured.
        self.binary = shutil.copy2(binary, pathlib.Path(work_dir) / 'busbar')
        os.environ.setdefault('BUSBAR_SHARE', str(ROOT / 'data'))
        self.targets = []
        self.number = 0

    def start(self):
        self.number += 1
        folder = pathlib.Path(self.work_dir) / str(self.number)
        folder.mkdir()
        self.targets = [targets.Nginx(self.mock.port, self.proxy_core, folder)]
        self.targets.append(targets.Busbar(self.binary, self.mock.port, self.proxy_core, folder))

    def stop(self):
        for target in self.targets:
            target.stop()
        self.targets = []

    # ---- one load each; returns (units of work, requests, tokens expected on record or None) ----

    def wrk(self, target, connections, seconds):
        done = subprocess.run(
            ['taskset', '-c', str(self.load_core), 'wrk', '-t1', f'-c{connections}', f'-d{seconds}s', '--timeout',
             '20s', '-s', str(targets.HERE / 'post.lua'), f'http://127.0.0.1:{target.port}/v1/chat/completions'],
            env={**os.environ, 'BENCH_KEY': target.key}, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, timeout=seconds + 60)
        found = re.search(r'^bench (.*)$', done.stdout, re.M)
        if not found:
            raise Failed(f'wrk: {done.stdout}{done.stderr}')
        sums = {k: float(v) for k, v in (pair.split('=') for pair in found.group(1).split())}
        if sums['errors'] or sums['bad']:
            raise Failed(f'{sums["errors"]:.0f} errors, {sums["bad"]:.0f} answers that were not 2xx')
        return sums

    def sse(self, target, streams, events, pace_ms, limit_s, at_open=None):
        process = targets.spawn([self.sse_load, target.port, streams, events, pace_ms, limit_s, target.key],
                                self.load_core, stdout=subprocess.PIPE, text=True)
        line = process.stdout.readline()
        if line.startswith('all open') and at_open:
            at_open()
        line += process.stdout.read()
        process.wait()
        found = re.search(r'^(streams=.*)$', line, re.M)
        if not found:
            raise Failed('sse_load: ' + line)
        sums = {k: float(v) for k, v in (pair.split('=') for pair in found.group(1).split())}
        if sums['finished'] != streams or sums['chunks'] != streams * events:
            raise Failed(line.strip())
        return sums

    # ---- measuring ----

    def measured(self, what, target, load, unit, slack, tokens):
        """Runs the load; CPU microseconds per unit by group. `slack`: requests that the load may cut off at its end;
        `tokens`: completion tokens a request."""
        books = target.usage() if target.name == 'busbar' else None
        before, mock_before = targets.cpu_ns(target.pid), targets.cpu_ns(self.mock.pid)
        sums = load()
        time.sleep(SETTLE_S)
        after, mock_after = targets.cpu_ns(target.pid), targets.cpu_ns(self.mock.pid)
        units = sums[unit]
        sample = {g: (after[g] - before[g]) / 1e3 / units for g in GROUPS}
        sample['all'] = sum(sample.values())
        sample['engine'] = (mock_after['other'] - mock_before['other']) / 1e3 / units
        sample.update(sums)
        self.samples.setdefault((what, target.name), []).append(sample)
        if books:
            self.check_books(what, target, books, sums, slack, tokens)
        return sample

    def check_books(self, what, target, before, sums, slack, tokens):
        requests = sums.get('requests', sums.get('streams'))
        for _ in range(20):
            after = target.usage()
            n, got = after[0] - before[0], after[1] - before[1]
            if n >= requests and got >= requests * tokens:
                break
            time.sleep(0.1)
        if not requests <= n <= requests + slack:
            self.bad.append(f'{what}: {requests:.0f} requests, {n} meter records')
        if not requests * tokens <= got <= n * tokens:
            self.bad.append(f'{what}: {requests:.0f} requests of {tokens} tokens, {got} tokens on record')

    def attempt(self, what, target, load, unit, slack, tokens):
        try:
            self.measured(what, target, load, unit, slack, tokens)
        except Failed as e:
            self.bad.append(f'{what}, {target.name}: {e}')

    def in_turn(self, number):
        return self.targets if number % 2 == 0 else self.targets[::-1]

    def requests(self):
        seconds = 1 if self.args.quick else 3
        for number in range(self.args.rounds):
            for connections in CONNECTIONS:
                for target in self.in_turn(number):
                    say(f'round {number + 1}: {connections} connections, {target.name}')
                    self.attempt(f'requests {connections}', target,
                                 lambda t=target, c=connections: self.wrk(t, c, seconds), 'requests', connections, 32)

    def streams(self):
        events = 50 if self.args.quick else 200
        for number in range(self.args.rounds):
            for streams, pace_ms in STREAMS:
                for target in self.in_turn(number):
                    say(f'round {number + 1}: {streams} streams, {target.name}')
                    self.attempt(f'streams {streams}', target,
                                 lambda t=target, n=streams, p=pace_ms: self.sse(t, n, events, p, 60), 'chunks', 0,
                                 events)

    def idle_memory(self):
        for target in self.targets:
            say(f'memory: {IDLE_STREAMS} streams, {target.name}')
            self.sse(target, 50, 20, 1, 20)  # touches the code, the pools, the first blocks
            before = targets.rss_kb(target.pid)
            seen = []
            try:
                self.sse(target, IDLE_STREAMS, IDLE_EVENTS, IDLE_PACE_MS, 60,
                         at_open=lambda t=target, s=seen: s.append(targets.rss_kb(t.pid)))
            except Failed as e:
                self.bad.append(f'memory, {target.name}: {e}')
            if seen:
                self.memory[target.name] = (seen[0] - before) / IDLE_STREAMS

    # ---- results ----

    def median(self, what, target, field):
        values = [s[field] for s in self.samples.get((what, target), [])]
        return statistics.median(values) if values else float('nan')

    def ratio(self, what, field):
        """Median of the rounds' ratios of busbar to nginx."""
        ours, theirs = self.samples.get((what, 'busbar'), []), self.samples.get((what, 'nginx'), [])
        ratios = [a[field] / b['all'] for a, b in zip(ours, theirs)]
        return statistics.median(ratios) if ratios else float('nan')

    def aims(self):
        sides = {'gateway threads': 'gateway', 'whole process': 'all'}
        for text, bound in AIMS:
            who, per, load = text.split(', ')
            what = ('requests ' if per == 'per request' else 'streams ') + load.split()[0]
            if (what, 'busbar') in self.samples:
                yield text, self.ratio(what, sides[who]), bound, 'x nginx'
        if 'busbar' in self.memory:
            yield 'memory of an idle stream', self.memory['busbar'], AIM_STREAM_KB, 'kB'

    def table(self):
        rows = [['', 'nginx', 'busbar', '= gateway', '+ core', '+ store', '+ other', 'whole', 'gateway', 'engine']]
        for what in dict.fromkeys(w for w, _ in self.samples):
            kind, n = what.split()
            text = f'{n} connections, us a request' if kind == 'requests' else f'{n} streams, us a chunk'
            row = [text, self.median(what, 'nginx', 'all')]
            row += [self.median(what, 'busbar', f) for f in ('all', *GROUPS)]
            row += [f'{self.ratio(what, "all"):.2f} x', f'{self.ratio(what, "gateway"):.2f} x',
                    self.median(what, 'busbar', 'engine')]
            rows.append([c if isinstance(c, str) else f'{c:.2f}' for c in row])
        print_rows(rows)

    def report(self, commits):
        print('CPU time, median of', self.args.rounds, 'rounds; x: median of the rounds\' ratios to nginx')
        self.table()
        print()
        for name, kb in self.memory.items():
            print(f'{name}: {kb:.2f} kB of memory an idle stream, of {IDLE_STREAMS}')
        if commits:
            print(f'commit mean {commits["mean_ms"]:.2f} ms, {commits["events"]:.1f} events a commit, '
                  f'on {commits["disk"]}')
        for text, value, bound, unit in self.aims():
            print(f'{"hit   " if value <= bound else "missed"}  {text}: {value:.2f} {unit}, aim {bound:.1f}')
        for words in self.bad:
            print('BAD RUN', words)

    def commits(self):
        s = self.targets[1].status()
        disk = subprocess.run(['stat', '-f', '-c', '%T', self.work_dir], capture_output=True, text=True, check=False)
        return {'mean_ms': s['commit_mean_ms'], 'events': s['journal_events'] / max(1, s['commits']),
                'commits': s['commits'], 'failures': s['commit_failures'], 'disk': disk.stdout.strip()}


def write_json(bench, commits):
    aims = [{'aim': t, 'value': v, 'bound': b, 'unit': u, 'hit': v <= b} for t, v, b, u in bench.aims()]
    version = subprocess.run(['nginx', '-v'], capture_output=True, text=True, check=False).stderr.strip()
    write_samples('gateway', bench, aims, nginx=version, memory_kb_a_stream=bench.memory, commits=commits)


def parse():
    args = round_options('gateway', __doc__.splitlines()[0], ('requests', 'streams', 'memory')).parse_args()
    args.rounds = args.rounds or (2 if args.quick else 5)
    args.only = args.only or ['memory', 'requests', 'streams']
    return args


def measure(bench):
    args, commits = bench.args, None
    if 'memory' in args.only:  # on processes that have done nothing yet: no freed memory to take again
        bench.start()
        bench.idle_memory()
        bench.stop()
    if 'requests' in args.only or 'streams' in args.only:
        bench.start()
        for what in ('requests', 'streams'):
            if what in args.only:
                getattr(bench, what)()
        commits = bench.commits()
    say('')
    bench.report(commits)
    if args.json:
        write_json(bench, commits)


def main():
    args = parse()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with work_folder(args.keep) as folder:
        bench = Bench(args, folder)
        try:
            measure(bench)
        finally:
            bench.stop()
            bench.mock.stop()
    return 1 if bench.bad else 0


if __name__ == '__main__':
    sys.exit(main())
