#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules in force on a running hub with a site: put, told, tried first, lifted, kept over a kill; jobs, replicas and requests obey them,
and what they denied and what a drill came to is in the overseers' report.
"""
import json
import pathlib
import tempfile

from site_agent import Field
from serve_sites import MODEL
from workbench import FAILED, NOT_FOUND, OK, USAGE, Tap, need, same, wait_for

BECAUSE = ' because "the operator says so" cite "policy 1"\n'
NO_NORTH = 'deny no-north\n when site.jurisdiction = FR and data.class = personal\n' + BECAUSE
NO_ABROAD = 'require at-home\n when job.kind = inference\n that site.jurisdiction = tenant.jurisdiction\n' + BECAUSE


class World(Field):
    def __init__(self):
        super().__init__()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='rules-'))

    def file(self, text, name='a.rules'):
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def rules(self, status, *args):
        done = self.bench.run('rules', *args)
        same(done.returncode, status, (args, done.stdout, done.stderr))
        return done

    def told(self):
        return self.bench.api('GET', '/api/v1/rules')

    def put(self, text):
        return self.bench.api('PUT', '/api/v1/rules', {'text': text})

    def none(self):
        return self.bench.api('DELETE', '/api/v1/rules')

    def report(self):
        return self.bench.api('GET', '/api/v1/audit/report')


def facts(w):
    """What rules are told can be set: of a site, a tenant, a job."""
    same(w.bench.run('site', 'set', 'north', '--jurisdiction', 'FR').returncode, OK, 'site set')
    same(w.bench.run('site', 'set', 'local', '--jurisdiction', 'DE', '--owner', 'us').returncode, OK, 'site set')
    found = {s['name']: (s['jurisdiction'], s['region'], s['owner']) for s in w.bench.api('GET', '/api/v1/sites')['data']}
    same(found, {'local': ('DE', '', 'us'), 'north': ('FR', 'coast', '')}, 'sites')
    same(w.bench.run('tenant', 'set', 'default', '--jurisdiction', 'DE', '--licence', 'L-1').returncode, OK, 'tenant set')
    w.bench.run('tenant', 'set', 'default', '--licence', '')
    tenant = w.bench.tenant()
    same((tenant['jurisdiction'], tenant['licence']), ('DE', ''), 'tenant')
    same(w.bench.run('site', 'set', 'nowhere', '--jurisdiction', 'FR').returncode, NOT_FOUND, 'no such site')
    same(w.bench.request('PUT', '/api/v1/sites/north/facts', {}, local=True).status, 400, 'nothing given')
    same(w.bench.request('POST', '/api/v1/jobs', {'tenant': 'default', 'argv': ['true'], 'kind': 'x'}, local=True).status, 400, 'kind')
    job = w.submit('true', data_class='public', data_home='FR', kind='training')
    told = w.ended(job)
    same((told['data_class'], told['data_home'], told['kind']), ('public', 'FR', 'training'), 'job')


def put_and_told(w):
    """A file with mistakes is refused with their places, here and there; a good one is told as it was written."""
    same(w.told()['count'], 0, 'none')
    bad = w.file('deny a when chip.tppp = 1 because "b" cite "c"\n')
    done = w.rules(FAILED, 'apply', bad)
    need(f'{bad}:1:13: ' in done.stderr, done.stderr)
    reply = w.bench.request('PUT', '/api/v1/rules', {'text': 'deny a when chip.tppp = 1 because "b" cite "c"\n'}, local=True)
    same(reply.status, 400, reply.body)
    need('1:13: ' in reply.json()['error']['message'], reply.body)
    for body in ({}, {'text': ''}, {'text': 1}, {'text': NO_NORTH, 'more': 1}):
        same(w.bench.request('PUT', '/api/v1/rules', body, local=True).status, 400, body)
    same(w.told()['count'], 0, 'nothing has changed')
    path = w.file(NO_NORTH)
    w.rules(OK, 'apply', path)
    same((w.told()['count'], w.told()['text'], w.told()['data'][0]['id']), (1, NO_NORTH, 'no-north'), 'in force')
    same(w.rules(OK, 'show', '--text').stdout, NO_NORTH, 'as it was written')
    need('no-north' in w.rules(OK, 'show').stdout, 'a table')
    same(json.loads(w.rules(OK, 'diff', path, '--json').stdout)['data'], [], 'no difference')
    other = w.file(NO_NORTH.replace('FR', 'GB') + NO_ABROAD, 'b.rules')
    same(json.loads(w.rules(OK, 'diff', other, '--json').stdout)['data'],
         [{'id': 'no-north', 'change': 'changed'}, {'id': 'at-home', 'change': 'added'}], 'differences')
    since = w.told()['since']
    w.rules(OK, 'apply', path)
    same(w.told()['since'], since, 'the same again changes nothing')
    large = ''.join(f'deny r{i}\n when site.name = x{i}\n because "{"é" * 100}" cite "c"\n' for i in range(256))
    same(w.put(large)['count'], 256, 'a large one')
    w.bench.kill()
    w.bench.start()
    same(w.told()['text'], large, 'kept over a kill')
    w.rules(OK, 'none')
    same((w.told()['count'], w.told()['text']), (0, ''), 'lifted')


def tried(w):
    """A set that is only tried changes nothing, and tells what would happen, which then does."""
    job = w.submit('sleep 60', data_class='personal')
    w.running(job)
    path = w.file(NO_NORTH)
    found = json.loads(w.rules(OK, 'apply', path, '--dry-run', '--json').stdout)
    same((found['stopped_jobs'], found['run_elsewhere'], found['waiting_without_place']), (1, 0, 0), found)
    same(found['by_rule'], [{'rule': 'no-north', 'cite': 'policy 1', 'stopped_jobs': 1, 'stopped_replicas': 0, 'waiting': 0}], 'by rule')
    same([(j['job'], j['site'], j['then'], j['rule']) for j in found['data']], [(job, 'north', 'stops and waits', 'no-north')], 'jobs')
    need('stops and waits' in w.rules(OK, 'apply', path, '--dry-run').stdout, 'for people')
    same((w.told()['count'], w.job(job)['state']), (0, 'running'), 'nothing has happened')
    w.rules(OK, 'apply', path)
    wait_for(lambda: w.job(job)['state'] == 'queued', 'it is stopped')
    why = w.job(job)['why']
    same((why['bar'], why['rule']['id']), ('rule', 'no-north'), why)
    need('no-north' in w.bench.run('job', 'show', job).stdout, 'job show names the rule')
    second = w.submit('true', data_class='personal')
    found = w.bench.api('POST', '/api/v1/rules/dry-run', {'text': NO_NORTH})
    same(found['waiting_without_place'], 2, found)
    same(w.bench.api('POST', '/api/v1/rules/dry-run', {'text': ''})['waiting_without_place'], 0, 'without rules')
    w.rules(OK, 'none')
    w.running(job)
    for j in (job, second):
        w.bench.run('cancel', j)
    w.nothing_runs()


def drills(w):
    """A loss is played on a copy: what it tells is recorded, and nothing stops."""
    firm, soft = w.submit('sleep 60', chips=2), w.submit('sleep 60', interruptible=True)
    w.running(firm)
    w.running(soft)
    same(w.bench.run('drill', 'site=nowhere').returncode, NOT_FOUND, 'no such site')
    for wrong in ('north', 'site=', 'planet=earth'):
        same(w.bench.run('drill', wrong).returncode, USAGE, wrong)
    found = json.loads(w.bench.run('drill', 'site=north', '--json').stdout)
    same((found['firm'], found['interruptible']), ({'jobs': 1, 'chips': 2, 'again': 0, 'chips_again': 0},
                                                   {'jobs': 1, 'chips': 1, 'again': 0, 'chips_again': 0}), found)
    same((found['covered'], found['counted']), (False, {'firm_jobs': 1, 'placed_jobs': 0, 'tied_jobs': 1}), found)
    by_vendor = json.loads(w.bench.run('drill', 'vendor=nvidia', '--json').stdout)
    same((by_vendor['what'], by_vendor['firm']['jobs'], by_vendor['covered']), ('vendor', 1, False), by_vendor)
    by_corridor = json.loads(w.bench.run('drill', 'corridor=north/local', '--json').stdout)
    same((by_corridor['firm']['jobs'], by_corridor['covered']), (0, True), by_corridor)
    need('north' in w.bench.run('drill', 'site=north').stdout, 'for people')
    same((w.job(firm)['state'], w.job(soft)['state']), ('running', 'running'), 'nothing stops')
    told = w.report()['drills']
    need(all('firm_jobs' not in d for d in told), 'how much work there was is somebody\'s', told)
    same([(d['what'], d['name'].split('/')[-1] == 'north' or d['name'], d['firm_share'], d['covered']) for d in told],
         [('site', True, '0.000', False), ('vendor', 'nvidia', '0.000', False), ('corridor', True, '1.000', True), ('site', True, '0.000', False)], told)
    for j in (firm, soft):
        w.bench.run('cancel', j)
    w.nothing_runs()


def requests(w):
    """A tenant's request is answered only by a replica that rules let it use; others' are as before."""
    same(w.bench.run('model', 'add', 'story', str(MODEL)).returncode, OK, 'model')
    same(w.bench.run('deploy', 'story', '--site', 'north').returncode, OK, 'deploy')
    w.bench.wait_ready('story', 1, 30)
    w.bench.api('POST', '/api/v1/tenants', {'name': 'paris', 'budget': '5', 'jurisdiction': 'FR'})
    paris = w.bench.add_key('p', tenant='paris')['key']
    same(w.bench.chat(model='story', max_tokens=4).status, 200, 'without rules')
    w.put(NO_ABROAD)
    wait_for(lambda: w.bench.chat(model='story', max_tokens=4).status == 403, 'refused at home in DE')
    reply = w.bench.chat(model='story', max_tokens=4)
    need('at-home' in reply.json()['error']['message'], reply.body)
    same(w.bench.chat(key=paris, model='story', max_tokens=4).status, 200, 'at home in FR')
    w.bench.run('tenant', 'set', 'default', '--jurisdiction', 'FR')
    wait_for(lambda: w.bench.chat(model='story', max_tokens=4).status == 200, 'it has moved')
    w.bench.run('tenant', 'set', 'default', '--jurisdiction', 'DE')
    wait_for(lambda: w.bench.chat(model='story', max_tokens=4).status == 403, 'and back')
    w.none()
    wait_for(lambda: w.bench.chat(model='story', max_tokens=4).status == 200, 'lifted')
    # A replica where nobody may be asked is stopped, and there is none to be had.
    w.put('deny no-models\n when site.name = north and job.kind = inference\n' + BECAUSE)
    wait_for(lambda: not any(r['state'] == 'ready' for r in w.bench.deployment('story')['replicas']), 'it is stopped', 30)
    w.none()
    w.bench.wait_ready('story', 1, 30)


def denials(w):
    """Each denial once a job and rule; rules that denied fewer than three tenants are not told by their ids."""
    names = [f't{i}' for i in range(4)]
    for name in names:
        w.bench.api('POST', '/api/v1/tenants', {'name': name, 'budget': '5', 'jurisdiction': 'DE'})
    before = w.report()['denials']
    w.put(NO_NORTH + ''.join(f'deny alone-{n}\n when tenant.name = t{n} and site.name = north\n' + BECAUSE for n in (0, 1)))
    jobs = []
    for name in names:
        jobs += [w.submit('true', tenant=name, data_class='personal') for _ in range(2)]
    jobs += [w.submit('true', tenant='t0'), w.submit('true', tenant='t1')]
    found = w.report()['denials']
    mine = [d for d in found if d['rule'] == 'no-north' and d['how'] == 'everywhere']
    same([(d['count'], d['what'], d['cite']) for d in mine], [(9, 'job', 'policy 1')], 'eight, and one of before')
    need(not any(d['rule'].startswith('alone') for d in found), found)
    same(sum(d['count'] for d in found) - sum(d['count'] for d in before), 10, (before, found))
    table = w.bench.run('audit', 'report').stdout
    need('no-north' in table and 'policy 1' in table and 't0' not in table, table)
    need('no-north' in w.bench.run('audit', 'report', '--form', 'csv').stdout, 'csv')
    w.bench.kill()
    w.bench.start()
    same(w.report()['denials'], found, 'kept over a kill')
    w.none()
    for job in jobs:
        w.ended(job, 60)


def main():
    tap = Tap()
    with World() as w:
        for name, case in (('facts', facts), ('rules are put and told', put_and_told), ('rules are tried', tried), ('drills', drills),
                           ('requests', requests), ('denials in the report', denials)):
            tap.case(name, case, w)
    tap.done()


if __name__ == '__main__':
    main()
