#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs of a hub at a site that joined it: placed by the dispatcher, run on the site's own engine; hub, agent and the link between
them may end at any moment, and every job has run once.
"""
import os
import pathlib
import shutil
import signal
import time

from site_agent import LISTEN, Site
from workbench import OK, Bench, Tap, need, same, wait_for

CONFIG = '''
engine: local
work: {data}/work
isolation: process
chips:
  - {{chip: h20, count: 4}}
'''
LEASE_S = 8


class Field:
    """A hub with a site whose machine has four chips of a kind that the hub's own does not have."""

    def __init__(self):
        self.bench = Bench([*LISTEN, '--lease', str(LEASE_S), '--no-model'])
        self.site = Site()
        self.site.enter(self.bench, 'north')
        (self.site.data / 'site.yaml').write_text(CONFIG.format(data=self.site.data))
        self.site.run()
        wait_for(lambda: 'in touch' in self.site.said(), 'the agent is in touch', 20)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.site.end()
        self.bench.__exit__(*exc)

    def submit(self, script, chips=1, **fields):
        body = {'tenant': 'default', 'argv': ['/bin/sh', '-c', script], 'chip': 'h20', 'chips': chips, **fields}
        return self.bench.api('POST', '/api/v1/jobs', body)['id']

    def job(self, job):
        return self.bench.api('GET', f'/api/v1/jobs/{job}')

    def ended(self, job, limit_s=30):
        return wait_for(lambda: (j := self.job(job))['state'] not in ('queued', 'running') and j, f'{job} is over', limit_s, 0.1)

    def logs(self, job, stream='out'):
        return self.bench.request('GET', f'/api/v1/jobs/{job}/logs?stream={stream}', local=True).body

    def running(self, job, limit_s=20):
        return wait_for(lambda: (j := self.job(job))['state'] == 'running' and j, f'{job} runs', limit_s)


def runs(f):
    job = f.submit('echo out; echo err >&2; echo $BUSBAR_CHIPS; exit 3', chips=2)
    end = f.ended(job)
    same((end['state'], end['end'], end['code'], end['site'], end['chip']), ('ended', 'exited', 3, 'north', 'h20'), 'end')
    same(f.logs(job), b'out\n2\n', 'output')
    same(f.logs(job, 'err'), b'err\n', 'errors')
    need(end['usage']['ms'] > 0, end)
    wait_for(lambda: not (f.site.data / 'work' / job).exists(), 'the site keeps nothing of it', 15)
    need(not list((f.site.data / 'jobs').iterdir()), 'a program is left')


def main():
    tap = Tap()
    with Field() as field:
        for case in (runs,):
            tap.case(case.__name__.replace('_', ' '), case, field)
    tap.done()


if __name__ == '__main__':
    main()
