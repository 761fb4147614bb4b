# SPDX-License-Identifier: Apache-2.0
"""Durable transfers beside SQLite's own bulk insert, on a table of 10 million. Run by script/bench.

Three targets in turn, on one file: payments through core, group commit and the store, each acknowledged after its commit; the very
rows that these commits wrote, by prepared statements of SQLite in transactions of the same groups; of these rows the transfers
only. What counts is the median of the rounds' ratios.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys

from harness import Failed, options, print_rows, say, work_folder, write_json

ROWS, TRANSFERS, ROUNDS = 10_000_000, 100_000, 5
QUICK = (100_000, 20_000, 2)
PEERS = ('SQLite, all rows', 'SQLite, transfers')
AIM = 0.5

CAVEATS = '''
Pragmas are the store's in all three: WAL, synchronous=FULL, a checkpoint each 4,000 pages; ids are UUIDv7. A transfer of busbar's is
a payment: an event that core decides, a row for the transfer and one for the payment, each with its index, the wallet and its
funding, an entry of the journal, a leaf of the log with its commitments, a reply. CPU time is the process's, client included.
SQLite has its rows ready in memory. Commits a second are the disk's, which others may use as well: look at the ratios.
'''


def main():
    p = options('ledger', __doc__.splitlines()[0])
    p.add_argument('--quick', action='store_true')
    p.add_argument('--keep', action='store_true')
    args = p.parse_args()
    rows, transfers, rounds = QUICK if args.quick else (ROWS, TRANSFERS, ROUNDS)
    program = pathlib.Path(os.environ['BUSBAR_BIN']).parent / 'tests' / 'bench' / 'ledger_load'
    if not program.exists():
        raise Failed(f'{program} is not there')
    say(f'{rows:,} rows, then {rounds} rounds of {transfers:,} transfers')
    with work_folder(args.keep) as folder:
        done = subprocess.run([program, folder, str(rows), str(transfers), str(rounds)], capture_output=True, text=True,
                              check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failed(f'ledger_load: {done.stderr.strip()[-500:] or done.returncode}')
    samples = {}
    for line in done.stdout.splitlines():
        sample = json.loads(line)
        samples.setdefault(sample['target'], []).append(sample)
    say('')
    show(samples)
    ratios = {peer: {field: ratio(samples, peer, field) for field in ('per_second', 'per_cpu_second')} for peer in PEERS}
    met = ratios[PEERS[0]]['per_second'] >= AIM
    print(f'\naim: at least {AIM} x the transfers a second of the same rows by SQLite: {"met" if met else "missed"}')
    print(CAVEATS.strip())
    print('load average now: ' + ' '.join(f'{x:.1f}' for x in os.getloadavg()))
    write_json(args.json, {'bench': 'ledger', 'quick': args.quick, 'rows': rows, 'kernel': os.uname().release,
                           'cores': os.cpu_count(), 'loadavg': os.getloadavg(), 'samples': samples, 'ratios': ratios})
    return 0


def ratio(samples, peer, field):
    return statistics.median(a[field] / b[field] for a, b in zip(samples['busbar'], samples[peer], strict=True))


def show(samples):
    table = [('', 'a second', 'a CPU second', 'commit p50', 'p99 ms', 'ratio', 'by CPU')]
    for target, rounds in samples.items():
        middle = {field: statistics.median(r[field] for r in rounds)
                  for field in ('per_second', 'per_cpu_second', 'commit_p50_ms', 'commit_p99_ms')}
        compared = ('', '') if target == 'busbar' else tuple(
            f'{ratio(samples, target, field):.2f}' for field in ('per_second', 'per_cpu_second'))
        table.append((target, f'{middle["per_second"]:,.0f}', f'{middle["per_cpu_second"]:,.0f}',
                      f'{middle["commit_p50_ms"]:.2f}', f'{middle["commit_p99_ms"]:.2f}', *compared))
    print_rows(table)


try:
    sys.exit(main())
except Failed as e:
    print(f'script/bench ledger: {e}', file=sys.stderr)
    sys.exit(1)
