# SPDX-License-Identifier: Apache-2.0
"""The dispatcher beside Slurm's controller: starts a CPU second, time and memory of a decision. Run by script/bench.

Both get the same list of jobs on the same 14,400 nodes of 8 chips, queued while nothing may start; the clock is the CPU
time from when it may. A round measures every target once with its own seed, in an order that alternates; what counts
is the median of the rounds' ratios. After that, busbar alone: one decision at a full network, and networks of other
sizes, each with several seeds.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys

import slurm_peer
from harness import Failed, print_rows, round_options, say, work_folder, write_samples

SITES, NODES = 40, 360
QUEUE, QUEUE_LONG, QUEUE_QUICK = 10000, 50000, 2000
PEER_LIMIT_S = 120  # of the clock on the wall; what has been started by then counts
RULES = pathlib.Path(__file__).resolve().parents[2] / 'data' / 'rules' / 'example.rules'
ALL_ON = ('all-on', RULES)
# all on or nothing; sites, nodes a site, kinds of chips, jobs queued before the sites open
FULL = (('40 pools, all on, 50,000 queued', (*ALL_ON, SITES, NODES, 1, 50000)),
        ('240 pools, all on, 50,000 queued', (*ALL_ON, SITES, NODES, 6, 50000)),
        ('40 pools, 50,000 queued', (SITES, NODES, 1, 50000)),
        ('240 pools, 50,000 queued', (SITES, NODES, 6, 50000)),
        ('40 pools, 110,000 queued', (SITES, NODES, 1, 110000)),
        ('240 pools, 110,000 queued', (SITES, NODES, 6, 110000)))
CURVE = ((1, 125), (4, 313), (SITES, NODES), (104, 360), (347, 360))  # sites, nodes a site
CURVE_QUEUE = 50000 / (SITES * NODES)  # jobs a node: more than the network takes
OURS = ('all on', 'core', '240 pools', 'store')  # busbar's targets in a round

AIM_RATIO, AIM_DECISION_US, AIM_MB = 1000, 5.0, 100

CAVEATS = '''
What each side does. slurmctld takes the whole decision (nodes, cores, and chips as GRES), logs each start, saves its
state to files now and then, and looks after 14,400 nodes meanwhile; sites are chosen for it: each job names its
partition. busbar is driven inside one process, without network or gateway, and chooses the site of every job by
price, carbon and power. `core` (40 pools) and `240 pools` are the decision and the rows that it changes, in memory;
`store` (40 pools) adds the journal entry and leaf hash of every event, and the commit of rows and journal to SQLite,
synced. `all on` (40 pools): 20 tenants and the sites are of five jurisdictions, data/rules/example.rules is in force,
sites are joined by corridors, three jobs in ten have 20 GB of input somewhere. Nothing is launched on either side.
Half of the jobs are interruptible; to Slurm they are all alike. CPU time of others (sbatch, munged, the disk) counts
for neither.
'''


class Bench:
    """Samples by (what, target). What is measured, one method each: peer, decisions, curve."""

    def __init__(self, args, work_dir):
        self.args, self.work_dir = args, pathlib.Path(work_dir)
        self.bad = []      # words on runs that cannot be used
        self.notes = []
        self.samples = {}  # (what, target) to a list, one entry a round or seed
        built = pathlib.Path(os.environ['BUSBAR_BIN']).parent / 'tests' / 'bench' / 'dispatch_load'
        if not built.exists():
            raise Failed(f'{built} is not there')
        self.program = shutil.copy2(built, self.work_dir / 'dispatch_load')
        self.number = 0

    def folder(self):
        self.number += 1
        path = self.work_dir / str(self.number)
        path.mkdir()
        return path

    def load(self, *args):
        done = subprocess.run([str(self.program), *map(str, args)], capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=300)
        if done.returncode != 0:
            raise Failed(f'dispatch_load: {done.stderr.strip() or done.returncode}')
        return done.stdout

    def busbar(self, size, churn, seed, folder=()):
        return json.loads(self.load(*size, churn, seed, *folder))

    # ---- beside Slurm ----

    def slurm(self, queue, seed):
        jobs = [tuple(map(int, line.split())) for line in self.load('list', queue, seed).splitlines()]
        peer = slurm_peer.Slurm(SITES, NODES, self.folder())
        try:
            peer.submit(jobs)
            return peer.drain(queue, PEER_LIMIT_S)
        finally:
            peer.stop()

    def one(self, target, queue, seed):
        if target == 'slurm':
            return self.slurm(queue, seed)
        size = (*(ALL_ON if target == 'all on' else ()), SITES, NODES, 6 if target == '240 pools' else 1, queue)
        sample = self.busbar(size, 0, seed, (self.folder(),) if target == 'store' else ())
        return {**sample, 'cpu_s': sample['open_cpu_s']}

    def round(self, queue, seed):
        order = ('slurm', *OURS)
        for target in order if seed % 2 else order[::-1]:
            say(f'{queue:,} queued, seed {seed}: {target}')
            sample = self.one(target, queue, seed)
            sample['per_cpu_s'] = sample['started'] / sample['cpu_s']
            self.samples.setdefault((f'{queue:,} queued', target), []).append(sample)
        now = {t: self.samples[(f'{queue:,} queued', t)][-1] for t in order}
        if now['core']['started'] != now['store']['started']:
            self.bad.append(f'{queue}: core started {now["core"]["started"]}, with the store {now["store"]["started"]}')
        if not now['slurm']['cut'] and now['slurm']['started'] < 0.9 * now['core']['started']:
            self.bad.append(f'{queue}: busbar started {now["core"]["started"]}, Slurm {now["slurm"]["started"]}')

    def peer(self):
        for seed in range(1, self.args.rounds + 1):
            self.round(QUEUE_QUICK if self.args.quick else QUEUE, seed)
        if self.args.quick:
            return
        meminfo = pathlib.Path('/proc/meminfo').read_text(encoding='utf-8')
        free_mb = int(re.search(r'MemAvailable:\s+(\d+)', meminfo).group(1)) >> 10
        if free_mb < 9000:  # slurmctld 22.05 takes 0.13 MB a running job at so many nodes
            self.notes.append(f'{QUEUE_LONG:,} queued: left out, slurmctld might need more than {free_mb} MB')
        else:
            self.round(QUEUE_LONG, 1)

    # ---- busbar alone ----

    def decisions(self):
        for seed in range(1, self.args.seeds + 1):
            for what, size in FULL:
                say(f'{what}, seed {seed}')
                self.samples.setdefault((what, 'full'), []).append(self.busbar(size, self.args.churn, seed))

    def curve(self):
        for seed in range(1, self.args.seeds + 1):
            for sites, nodes in CURVE:
                say(f'{sites * nodes * 8:,} chips, seed {seed}')
                size = (sites, nodes, 1, round(CURVE_QUEUE * sites * nodes))
                self.samples.setdefault((f'{sites * nodes * 8:,} chips', 'curve'), []).append(
                    self.busbar(size, self.args.churn, seed))

    # ---- results ----

    def median(self, what, target, *fields):
        values = []
        for sample in self.samples.get((what, target), []):
            for field in fields:
                sample = sample[field]
            values.append(sample)
        return statistics.median(values) if values else float('nan')

    def ratio(self, what, target):
        """Median of the rounds' ratios of busbar's starts a CPU second to Slurm's."""
        ours, theirs = self.samples.get((what, target), []), self.samples.get((what, 'slurm'), [])
        return statistics.median(a['per_cpu_s'] / b['per_cpu_s'] for a, b in zip(ours, theirs))

    def kinds(self, target):
        return [what for what, t in self.samples if t == target]

    def aims(self):
        """Words, value, bound, whether it is hit."""
        for what in self.kinds('slurm'):
            for target in OURS:
                value = self.ratio(what, target)
                yield (f'{what}, {target}: starts a CPU second, x Slurm', value, AIM_RATIO, value >= AIM_RATIO)
        for what in self.kinds('full'):
            for field, words in (('decision_us', 'one decision'), ('end_us', 'all that follows an end'),
                                 ('arrival_us', 'all that follows an arrival')):
                value = self.median(what, 'full', field, 'p99')
                yield (f'{what}: p99 of {words}, us', value, AIM_DECISION_US, value <= AIM_DECISION_US)
            value = self.median(what, 'full', 'peak_mb')
            if what.endswith(' 50,000 queued'):
                yield f'{what}: peak memory, MB', value, AIM_MB, value <= AIM_MB

    def drain_table(self):
        rows = [['', 'started', 'CPU s', 'starts a CPU s', 'x Slurm', 'peak MB']]
        for what in self.kinds('slurm'):
            for target in ('slurm', *OURS):
                cut = any(s.get('cut') for s in self.samples[(what, target)])
                ratio = '' if target == 'slurm' else f'{self.ratio(what, target):,.0f}'
                rows.append([f'{what}, {target}{" (cut off)" if cut else ""}',
                             f'{self.median(what, target, "started"):,.0f}',
                             f'{self.median(what, target, "cpu_s"):.3f}',
                             f'{self.median(what, target, "per_cpu_s"):,.0f}', ratio,
                             f'{self.median(what, target, "peak_mb"):,.0f}'])
        print_rows(rows)

    def decision_table(self, group):
        rows = [['', 'busy', 'waiting', 'decision p50', 'p99', 'p99.9', 'max', 'end p50', 'p99', 'p99.9', 'max',
                 'arrival p50', 'p99', 'p99.9', 'max', 'MB']]
        for what in self.kinds(group):
            row = [what, f'{100 * self.median(what, group, "busy"):.2f} %',
                   f'{self.median(what, group, "waiting"):,.0f}']
            for field in ('decision_us', 'end_us', 'arrival_us'):
                row += [f'{self.median(what, group, field, p):.2f}' for p in ('p50', 'p99', 'p999', 'max')]
            rows.append(row + [f'{self.median(what, group, "peak_mb"):.0f}'])
        print_rows(rows)

    def report(self):
        if self.kinds('slurm'):
            print(f'{SITES * NODES:,} nodes of 8 chips at {SITES} sites, {slurm_peer.version()}; median of '
                  f'{self.args.rounds} rounds (of one with {QUEUE_LONG:,} queued)')
            self.drain_table()
            print(CAVEATS)
        for group, words in (('full', 'one decision at a full network'), ('curve', 'networks of other sizes, full')):
            if self.kinds(group):
                print(f'{words}: us of CPU time, median of {self.args.seeds} seeds of {self.args.churn:,} ends and '
                      f'arrivals each; a decision is the time for one start, or to find none; reading the clock is '
                      f'in it, {self.median(self.kinds(group)[0], group, "clock_us"):.2f}')
                self.decision_table(group)
                print()
        for words, value, bound, hit in self.aims():
            print(f'{"hit   " if hit else "missed"}  {words}: {value:,.2f}, aim {bound:,}')
        for words in self.notes:
            print('note  ', words)
        for words in self.bad:
            print('BAD RUN', words)


def write_json(bench):
    aims = [{'aim': words, 'value': value, 'bound': bound, 'hit': hit} for words, value, bound, hit in bench.aims()]
    write_samples('dispatch', bench, aims, seeds=bench.args.seeds, slurm=slurm_peer.version(), notes=bench.notes)


def parse():
    args = round_options('dispatch', __doc__.splitlines()[0], ('peer', 'decisions', 'curve')).parse_args()
    args.rounds = args.rounds or (1 if args.quick else 2)
    args.seeds, args.churn = (2, 5000) if args.quick else (3, 30000)
    args.only = args.only or ['peer', 'decisions', 'curve']
    return args


def main():
    args = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    with work_folder(args.keep) as folder:
        bench = Bench(args, folder)
        for what in ('decisions', 'curve', 'peer'):
            if what in args.only:
                try:
                    getattr(bench, what)()
                except Failed as e:
                    bench.bad.append(f'{what}: {e}')
        say('')
        bench.report()
        if args.json:
            write_json(bench)
    return 1 if bench.bad else 0


if __name__ == '__main__':
    sys.exit(main())
