#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Single chips of two sites, whose agents read a machine that we make up: they come, fall off the bus, return and move; one that both
sites have raises an alarm. Work that had a chip that is gone runs again elsewhere.
"""
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

from site_agent import Site, free_port
from workbench import NOT_FOUND, OK, USAGE, Bench, Tap, need, same, wait_for

# As the maker documents its CSV; the columns in the order that we ask for.
TOOL = '''#!/bin/sh
case "$1" in --query-gpu=*) cat {folder}/list ;; esac
'''
CONFIG = '''
engine: local
work: {data}/work
isolation: process
chips:
  - {{chip: h100, count: {count}}}
'''


class Machine:
    """A bus and its maker's tool; `chips`: by number, the serial."""

    def __init__(self, chips):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='bb-machine-', dir='/tmp'))
        self.chips = dict(chips)
        (self.folder / 'tools').mkdir()
        tool = self.folder / 'tools' / 'nvidia-smi'
        tool.write_text(TOOL.format(folder=self.folder))
        tool.chmod(0o755)
        self.write()

    def env(self):
        return {'BUSBAR_SYSFS': str(self.folder / 'sys'), 'BUSBAR_CHIP_TOOLS': str(self.folder / 'tools'), 'BUSBAR_CHIP_LIBS': str(self.folder)}

    def write(self):
        bus = self.folder / 'sys' / 'bus' / 'pci' / 'devices'
        bus.mkdir(parents=True, exist_ok=True)
        places = {f'0000:{0x19 + i:02x}:00.0': (i, serial) for i, serial in sorted(self.chips.items())}
        lines = [f'{i}, NVIDIA H100 80GB HBM3, GPU-{serial}-{os.getpid()}, {serial}, 0000{place}, 81559, 0, 99, 700, 41, 0, 550.54, 0'
                 for place, (i, serial) in places.items()]
        (self.folder / 'list.new').write_text('\n'.join(lines) + '\n')
        (self.folder / 'list.new').rename(self.folder / 'list')
        for place in places:
            if not (bus / place).exists():
                (bus / place).mkdir()
                for name, value in (('vendor', '0x10de'), ('device', '0x2330'), ('class', '0x030200')):
                    (bus / place / name).write_text(value + '\n')
        for gone in [x for x in bus.iterdir() if x.name not in places]:
            shutil.rmtree(gone)

    def put(self, number, serial):
        self.chips[number] = serial
        self.write()

    def pull(self, number):
        del self.chips[number]
        self.write()


class Two:
    """A hub, and sites `north` with two chips and `south` with one."""

    def __init__(self):
        self.bench = Bench(['--site-listen', f'127.0.0.1:{free_port()}', '--no-model'])
        self.machines = {'north': Machine({0: 'N1', 1: 'N2'}), 'south': Machine({0: 'S1'})}
        self.sites = {}
        for name, machine in self.machines.items():
            site = self.sites[name] = Site()
            site.env = machine.env()
            site.enter(self.bench, name, jurisdiction='DE' if name == 'north' else 'FR')
            (site.data / 'site.yaml').write_text(CONFIG.format(data=site.data, count=len(machine.chips)))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for site in self.sites.values():
            site.end()
        for machine in self.machines.values():
            shutil.rmtree(machine.folder)
        self.bench.__exit__(*exc)

    def chips(self, query=''):
        return {c['name']: c for c in self.bench.pages('/api/v1/chips' + query)}

    def chip(self, serial):
        return self.bench.api('GET', f'/api/v1/chips/nvidia:{serial}')

    def becomes(self, serial, site, state):
        return wait_for(lambda: (c := self.chips().get(f'nvidia:{serial}')) and (c['site'], c['state']) == (site, state) and c,
                        f'{serial} is {state} at {site}', 20, 0.1)

    def past(self, serial):
        return [p['what'] for p in self.chip(serial)['past']]

    def pool(self, site):
        found, = [p for p in self.bench.api('GET', '/api/v1/pools')['data'] if p['site'] == site]
        return found

    def job(self, job):
        return self.bench.api('GET', f'/api/v1/jobs/{job}')

    def submit(self):
        body = {'tenant': 'default', 'argv': ['/bin/sh', '-c', 'echo $CUDA_VISIBLE_DEVICES; sleep 300'], 'chip': 'h100', 'chips': 1}
        return self.bench.api('POST', '/api/v1/jobs', body)['id']


def come(two):
    """What each agent reads the hub has; a tool that tells no serial is no reason to have none."""
    two.sites['north'].run()
    first = two.becomes('N1', 'north', 'present')
    same((first['kind'], first['vendor'], first['origin'], first['health'], first['licence'], first['alarm']), ('h100', 'nvidia', 'US', 'ok', '', False), first)
    same(first['pool'], wait_for(lambda: two.pool('north')['id'], 'its pool', 10), 'the pool of its kind')
    same(sorted(two.chips('?site=north')), ['nvidia:N1', 'nvidia:N2'], 'names')
    same(two.past('N1'), ['came'], 'its past')
    same(two.bench.run('chip', 'show', 'nvidia:N1').returncode, OK, 'the command')
    receipt = two.bench.request('GET', f"/v1/receipts/{first['id']}", local=True).json()['records'][0]['facts']
    told = {x['name']: x['value'] for x in receipt}
    same((told['serial'], told['site'], told['state'], told['origin']), ('nvidia:N1', 'north', 'present', 'US'), 'what the log tells of it')


def falls_off(two):
    """A chip falls off the bus: its machine gets no more work, the job that had it runs again elsewhere, the other one goes on."""
    jobs = [two.submit(), two.submit()]
    wait_for(lambda: all(two.job(j)['state'] == 'running' for j in jobs), 'both run', 20)
    number = lambda job: two.bench.request('GET', f'/api/v1/jobs/{job}/logs?stream=out', local=True).body.split()
    wait_for(lambda: sorted(number(jobs[0]) + number(jobs[1])) == [b'0', b'1'], 'they have said which they have', 20)
    had, other = sorted(jobs, key=lambda j: number(j) != [b'1'])
    two.sites['south'].run()
    two.becomes('S1', 'south', 'present')
    wait_for(lambda: two.pool('south')['nodes_up'] == 1, 'the other site can take work', 20)
    two.machines['north'].pull(1)
    gone = two.becomes('N2', 'north', 'absent')
    need(gone['last_seen'] and 'pool' not in gone, gone)
    wait_for(lambda: two.pool('north')['nodes_up'] == 0, 'its node is out of use', 20)
    wait_for(lambda: (j := two.job(had))['state'] == 'running' and j['site'] == 'south', 'it runs elsewhere', 30, 0.1)
    same((two.job(other)['site'], two.job(other)['epoch'], two.job(had)['epoch']), ('north', 1, 2), 'the other one goes on')
    need('chip_out_of_use' in two.sites['north'].said(), 'the agent says why')
    for job in jobs:
        two.bench.api('DELETE', f'/api/v1/jobs/{job}')


def missed_after_start(two):
    """An agent that is started anew still misses it, before it has looked."""
    two.sites['north'].kill()
    two.sites['north'].run()
    wait_for(lambda: two.sites['north'].said().count('chip_out_of_use') == 2, 'it misses it', 10)
    same(two.pool('north')['nodes_up'], 0, 'nodes up')


def returns(two):
    two.machines['north'].put(1, 'N2')
    two.becomes('N2', 'north', 'present')
    wait_for(lambda: two.pool('north')['nodes_up'] == 1, 'its node is in use again', 20)
    same(two.past('N2'), ['came', 'went', 'returned'], 'its past')


def at_both(two):
    """One serial at two sites: an alarm that stays, wherever one looks; and nothing of the chip is otherwise."""
    before = two.chips()['nvidia:N1']
    two.machines['south'].put(1, 'N1')
    alarm, = wait_for(lambda: two.bench.api('GET', '/api/v1/chip-alarms')['data'], 'the alarm', 20, 0.1)
    same((alarm['chip'], alarm['site'], alarm['also_at'], alarm['state']), ('nvidia:N1', 'north', 'south', 'open'), alarm)
    after = two.chips('?alarm=true')['nvidia:N1']
    same({**after, 'last_seen': 0, 'alarm': False}, {**before, 'last_seen': 0}, 'the chip')
    status = two.bench.api('GET', '/api/v1/status')
    same((status['chip_alarms'], status['chips']['alarms']), (['nvidia:N1'], 1), 'status')
    need('busbar_chip_alarms 1' in two.bench.request('GET', '/metrics', local=True).body.decode(), 'metrics')
    report = two.bench.api('GET', '/api/v1/audit/report')
    same([a['chip'] for a in report['chip_alarms']], ['nvidia:N1'], 'the report')
    same([(c['site'], c['present'], c['licensed']) for c in report['chips']], [('north', 2, 0), ('south', 1, 0)], 'the report')
    need('chips,,h100,nvidia,US,DE,present north' in two.bench.request('GET', '/api/v1/audit/report/csv', local=True).body.decode(), 'as CSV')
    two.bench.kill()
    two.bench.start()
    same(len(two.bench.api('GET', '/api/v1/chip-alarms')['data']), 1, 'after a kill of the hub')
    two.machines['south'].pull(1)
    wait_for(lambda: two.bench.api('GET', '/api/v1/chip-alarms')['data'][0]['state'] == 'over', 'it has gone from there', 20, 0.1)
    same(two.bench.run('chip', 'resolve', 'nvidia:N1', 'nowhere', 'x').returncode, NOT_FOUND, 'no such site')
    same(two.bench.run('chip', 'resolve', 'nvidia:N1', 'south', 'a label read wrongly').returncode, OK, 'resolved')
    same(two.bench.api('GET', '/api/v1/chip-alarms'), {'data': [], 'next': None}, 'alarms')
    found, = two.bench.api('GET', '/api/v1/chip-alarms?all=true')['data']
    same((found['state'], found['note']), ('resolved', 'a label read wrongly'), found)


def moves(two):
    """It is gone from one site, and then comes to another: no alarm."""
    two.bench.api('POST', '/api/v1/chip-declarations', {'chips': ['nvidia:S1'], 'licence': 'L-1'})
    two.machines['south'].pull(0)
    two.becomes('S1', 'south', 'absent')
    two.machines['north'].put(2, 'S1')
    found = two.becomes('S1', 'north', 'present')
    same((found['moves'], found['moved_from'], found['licence'], found['alarm']), (1, 'south', 'L-1', False), found)
    same(two.past('S1'), ['came', 'licence', 'went', 'moved'], 'its past')


def neighbours(two):
    """Machines that no agent is on write down what they have; one that does not any more has nothing."""
    folder = two.sites['south'].data / 'work' / '.chips'
    folder.mkdir()

    def write(host, serials, age_s=0):
        chips = [{'vendor': 'amd', 'serial': s, 'id': '1002:74a1', 'health': 'ok', 'sources': ['pci']} for s in serials]
        (folder / 'new').write_text(json.dumps({'chips': [*chips, {'vendor': 'amd', 'sources': ['pci']}], 'notes': []}))
        os.utime(folder / 'new', (time.time() - age_s,) * 2)
        (folder / 'new').rename(folder / f'{host}.json')
    write('node-2', ['A1', 'A2'])
    write('node-3', ['A3'])
    write('node-4', ['A4'], age_s=3600)
    (folder / 'node-5.json').write_text('no such thing')
    two.machines['south'].put(7, 'S7')  # what comes to the bus is looked at at once, and with it all
    two.becomes('S7', 'south', 'present')
    wait_for(lambda: {n: c['host'] for n, c in two.chips('?vendor=amd').items()} == {'amd:A1': 'node-2', 'amd:A2': 'node-2', 'amd:A3': 'node-3'}, 'theirs', 10, 0.1)
    same(two.bench.api('GET', '/api/v1/status')['chips']['nameless'], 2, 'without a name')
    (folder / 'node-3.json').unlink()
    two.machines['south'].pull(7)
    wait_for(lambda: two.chips('?vendor=amd')['amd:A3']['state'] == 'absent', 'its machine writes no more', 10, 0.1)
    same(two.chips('?vendor=amd')['amd:A1']['state'], 'present', 'the others')


def declared(two):
    """By name, by range, by site; what is wrong changes nothing."""
    declare = lambda **body: two.bench.request('POST', '/api/v1/chip-declarations', body, local=True)
    same(declare(chips=['nvidia:N1..nvidia:N9'], licence='BIS-7').json(), {'declared': 2, 'more': False}, 'a range')
    same(declare(chips=['nvidia:N1..nvidia:N9'], licence='BIS-7').json()['declared'], 0, 'again')
    ranges = ['nvidia:N2..nvidia:N4', 'nvidia:N10..nvidia:N99', 'nvidia:N1..nvidia:N3', 'nvidia:N2']
    same(declare(chips=ranges, licence='BIS-9').json()['declared'], 2, 'ranges that meet')
    same(declare(chips=['nvidia:S0..nvidia:S9', 'nvidia:N3..nvidia:N9', 'nvidia:N2'], licence='BIS-7').json()['declared'], 2, 'N2 and S1')
    same(declare(chips=['nvidia:N1', 'nvidia:A1..nvidia:A9'], licence='BIS-7').json()['declared'], 1, 'N1')
    same(declare(chips=['nvidia:S1'], licence='L-1').json()['declared'], 1, 'as it was')
    same(sorted(two.chips('?licence=declared&site=north')), ['nvidia:N1', 'nvidia:N2', 'nvidia:S1'], 'those with a licence')
    same(declare(site='north', kind='h100', origin='TW').json()['declared'], 3, 'a site')
    same((two.chip('N1')['origin'], two.chip('N1')['origin_declared']), ('TW', True), 'its origin')
    before = two.chips()
    for status, words, body in ((400, 'which', {'licence': 'x'}), (400, 'licence or origin', {'chips': ['nvidia:N1']}),
                                (404, 'no chip', {'chips': ['nvidia:N7'], 'licence': 'x'}),
                                (404, 'no such chip', {'chips': ['nvidia:X1..nvidia:X9'], 'licence': 'x'}),
                                (404, 'no site', {'site': 'nowhere', 'licence': 'x'}), (400, 'no range', {'chips': ['nvidia:N9..nvidia:N1'], 'licence': 'x'}),
                                (400, 'no range', {'chips': ['nvidia:N1..nvidia:N10'], 'licence': 'x'}), (400, 'list', {'chips': 'nvidia:N1', 'licence': 'x'}),
                                (400, 'ASCII', {'chips': ['nvidia:N1'], 'licence': 'a\nb'}), (400, 'licence', {'chips': ['nvidia:N1'], 'licence': 'x' * 64}),
                                (400, 'letters', {'chips': ['nvidia:N1'], 'origin': 'US,DE'}), (400, 'letters', {'chips': ['nvidia:N1'], 'origin': 'a"'}),
                                (400, 'color', {'chips': ['nvidia:N1'], 'licence': 'x', 'color': 'red'})):
        reply = declare(**body)
        same(reply.status, status, reply.body)
        need(words in reply.json()['error']['message'], reply.body)
    for query in ('?state=lost', '?licence=some', '?alarm=1', '?limit=0', '?cursor=x'):
        same(two.bench.request('GET', '/api/v1/chips' + query, local=True).status, 400, query)
    same(two.bench.request('GET', '/api/v1/chips?site=nowhere', local=True).status, 404, 'no such site')
    same(two.bench.request('GET', '/api/v1/chips/nvidia:N7', local=True).status, 404, 'no such chip')
    same(two.chips(), before, 'chips')
    same(two.bench.run('chip', 'declare', 'nvidia:N1', '--licence', 'BIS-8').stdout, '1 changed\n', 'the command')
    same(two.bench.run('chip', 'declare', 'nvidia:N1').returncode, 1, 'nothing to declare')
    same(two.bench.run('chip', 'show').returncode, USAGE, 'which')
    same(len(json.loads(two.bench.run('chip', 'list', '--json', '--limit', '2').stdout)['data']), 2, 'a page')


def nonsense(two):
    """What no agent says: refused with words, or nothing of it is believed."""
    hub = two.bench.api('POST', '/api/v1/sites/north/token', {})['hub']
    site, before = two.sites['north'], two.chips()
    for body in ({}, {'host': 'a'}, {'host': '', 'chips': []}, {'host': 'a', 'chips': {}}, {'host': 'a', 'chips': ['x']}, {'host': 'a\n', 'chips': []},
                 {'host': 'a', 'chips': [{'vendor': 1}]}, {'host': 'a', 'chips': [{'vendor': 'nvidia', 'serial': 'x' * 65}]},
                 {'host': 'a', 'chips': [{'vendor': 'nvidia', 'serial': 'X', 'health': 'fine'}]}, {'host': 'a', 'chips': [], 'nameless': -1},
                 {'host': 'a', 'chips': [{'vendor': 'nvidia', 'serial': 'X', 'die': 10}]}, {'host': 'a', 'chips': [{}] * 200, 'nameless': 70000}):
        status, answer = site.call(hub, '/site/v1/chips', body)
        same(status, 400, (body, answer))
    # No name can be made of these.
    status, answer = site.call(hub, '/site/v1/chips', {'host': 'a', 'chips': [{'vendor': 'nvidia', 'serial': 'a b'}, {'vendor': '', 'serial': 'X'}, {'vendor': 'nvidia'}]})
    same((status, answer['changes'], bool(answer['next'])), (200, 0, True), answer)
    same({**two.chips()}, before, 'chips')


def decided_again(two):
    """All of it from the journal, in a core that is never loaded: the same rows."""
    two.bench.stop()
    done = two.bench.run('audit', 'replay')
    same(done.returncode, OK, done.stdout + done.stderr)


def main():
    tap, wanted = Tap(), sys.argv[1:]  # names of cases, when run by hand
    with Two() as two:
        for case in (come, falls_off, missed_after_start, returns, at_both, moves, declared, neighbours, nonsense, decided_again):
            if not wanted or case.__name__ in wanted:
                tap.case(case.__name__.replace('_', ' '), case, two)
    tap.done()


if __name__ == '__main__':
    main()
