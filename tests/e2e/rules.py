#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""busbar rules check and explain, without a hub: verdicts, the rule that decided, errors at their place."""
import json
import os
import subprocess
import tempfile

from workbench import FAILED, NOT_FOUND, OK, ROOT, USAGE, Tap, busbar, need, same

EXAMPLE = str(ROOT / 'data' / 'rules' / 'example.rules')
ABROAD = ('site.jurisdiction=US', 'tenant.jurisdiction=CN', 'data.class=public', 'job.kind=inference')


def run(status, *args):
    return busbar(status, 'rules', *args, BUSBAR_HUB='http://127.0.0.1:9')


def explain(*args, at='2026-06-01', file=EXAMPLE):
    return json.loads(run(OK, 'explain', file, *args, '--at', at, '--json').stdout)


class File:
    """A context: the path of a rule file with this text."""
    def __init__(self, text):
        self.data = text if isinstance(text, bytes) else text.encode()

    def __enter__(self):
        self.handle = tempfile.NamedTemporaryFile(suffix='.rules')  # pylint: disable=consider-using-with
        self.handle.write(self.data)
        self.handle.flush()
        return self.handle.name

    def __exit__(self, *_):
        self.handle.close()


def check_lists():
    found = json.loads(run(OK, 'check', EXAMPLE, '--json').stdout)
    same(found['valid'], True, 'valid')
    lines = run(OK, 'check', EXAMPLE).stdout.splitlines()
    same([line.split()[0] for line in lines[1:]], [r['id'] for r in found['data']], 'the table')
    rule = next(r for r in found['data'] if r['id'] == 'ear-3a090a-presumption')
    same((rule['kind'], rule['from'], rule['until']), ('deny', '2023-11-17T00:00:00.000Z', '2026-01-15T00:00:00.000Z'),
         'dates')
    same(rule['when'], ['site.jurisdiction = "US"', 'tenant.jurisdiction in ["CN", "MO"]', 'chip.tpp >= 4800'], 'when')
    source = open(EXAMPLE, encoding='utf-8').read().splitlines()
    for rule in found['data']:
        need(source[rule['line'] - 1].startswith(f"{rule['kind']} {rule['id']}"), rule)
        need(rule['cite'] and rule['because'], rule)


def check_tells_errors():
    text = 'deny a when chip.tppp = 1 because "b" cite "c"\n\nallow b from 2026-02-30\n when site.name = "é" ? x\n'
    with File(text) as path:
        done = run(FAILED, 'check', path)
        same([line.rsplit(': ', 1)[0] for line in done.stderr.splitlines()][:3],
             [f'{path}:1:13', f'{path}:3:14: not a date like 2026-01-15 or 2026-01-15T08:00:00Z', f'{path}:4:23'
              ': this character has no meaning here'], done.stderr)
        same(done.stdout, '', 'nothing on standard output')
        found = json.loads(run(FAILED, 'check', path, '--json').stdout)
        same((found['valid'], found['error_count']), (False, 3), found)
        same([(e['line'], e['column']) for e in found['errors']], [(1, 13), (3, 14), (4, 23)], 'places')
        run(FAILED, 'explain', path, 'chip.tpp=1')
    with File(''.join(f'deny r{i} when x = 1 because "b" cite "c"\n' for i in range(100))) as path:
        found = json.loads(run(FAILED, 'check', path, '--json').stdout)
        same((found['error_count'], len(found['errors'])), (100, 32), 'bounded')
    for data in (b'\xff', b'x' * (1 << 18), b'\0'):
        with File(data) as path:
            run(FAILED, 'check', path)
    with File('') as path:
        same(json.loads(run(OK, 'check', path, '--json').stdout)['data'], [], 'no rules')
    run(NOT_FOUND, 'check', '/nothing/here.rules')
    run(FAILED, 'check', '/tmp')


def usage():
    for args in (('check',), ('check', EXAMPLE, EXAMPLE), ('explain',), ('explain', EXAMPLE, 'chip.tpp'),
                 ('explain', EXAMPLE, 'chip.tpp=many'), ('explain', EXAMPLE, 'chip.tp=1'),
                 ('explain', EXAMPLE, '--at', 'yesterday'), ('explain', EXAMPLE, *['chip.tpp=1'] * 40)):
        need(run(USAGE, *args).stderr, args)


def verdicts_follow_dates():
    h200 = (*ABROAD, 'chip.tpp=15832', 'chip.density=19.45')
    for at, licence, reason, rule in (('2023-11-16', '', 'allowed', 'open-data'),
                                      ('2024-01-01', 'L1', 'denied', 'ear-3a090a-presumption'),
                                      ('2026-01-14T23:59:59Z', 'L1', 'denied', 'ear-3a090a-presumption'),
                                      ('2026-01-15', '', 'denied', 'ear-2026-licence'),
                                      ('2026-01-15', 'L1', 'allowed', 'open-data')):
        found = explain(*h200, f'tenant.licence={licence}', at=at)
        same((found['reason'], found['rule']['id']), (reason, rule), f'{at} {licence}')
        same(found['verdict'], 'allowed' if reason == 'allowed' else 'denied', 'verdict')
    same(explain(*h200, at='2024-01-01')['next_change'], '2025-08-02T00:00:00.000Z', 'next change')


def unknown_needs_review():
    found = explain(*ABROAD, 'chip.tpp=3840')
    same((found['verdict'], found['reason'], found['cross_border']), ('denied', 'review', True), 'verdict')
    same(found['condition'], 'chip.density >= 1.6', 'what is not known')
    text = run(OK, 'explain', EXAMPLE, *ABROAD, 'chip.tpp=3840', '--at', '2026-06-01').stdout
    for part in ('verdict       denied', 'needs review', found['rule']['because'], found['rule']['cite']):
        need(part in text, part, text)
    at_home = explain('site.jurisdiction=CN', 'tenant.jurisdiction=CN', 'chip.tpp=3840')
    same((at_home['verdict'], at_home['rule'], at_home['cross_border']), ('allowed', None, False), 'at home')


def each_rule_is_told():
    found = explain(*ABROAD, 'chip.tpp=36000', 'tenant.licence=L1')
    outcomes = {r['id']: (r['outcome'], r['condition']) for r in found['data']}
    same(outcomes['ear-3a090a-presumption'], ('late', None), 'late')
    same(outcomes['ear-2026-limit'], ('denies', None), 'denies')
    same(outcomes['ear-2026-licence'], ('met', None), 'met')
    same(outcomes['ear-3a090a-density'], ('late', None), 'late')
    same(outcomes['ear-3a090b-tpp'], ('apart', 'chip.tpp < 4800'), 'apart')
    same(outcomes['open-data'], ('covers', None), 'covers')
    same(outcomes['licensed-tenants'], ('apart', 'data.class = "business"'), 'apart')
    same(explain(*ABROAD, 'chip.tpp=1', at='2020-01-01')['data'][5]['outcome'], 'early', 'early')


def closed_border():
    found = explain('site.jurisdiction=FR', 'tenant.jurisdiction=CN', 'data.class=business', 'job.kind=inference')
    same((found['reason'], found['rule']), ('closed', None), found['text'])


def simulate(rules):
    with File(''.join(f'vc,{60 * i},3600,8\n' for i in range(50))) as trace:
        return subprocess.run(
            [os.environ['BUSBAR_BIN'], 'sim', '--trace', trace, '--rules', rules, '--json', '--network',
             str(ROOT / 'data' / 'network' / 'illustrative.yaml')],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)


def simulation_obeys():
    done = simulate(EXAMPLE)
    found = json.loads(done.stdout)
    same((done.returncode, found['jobs'], found['violations']), (OK, 50, 0), done.stderr)
    with File('deny none when job.chips >= 1 because "b" cite "c"\n') as path:
        found = json.loads(simulate(path).stdout)
        same((found['jobs'], found['unfinished']), (0, 50), 'nothing may run')
    with File('deny none when job.chips >= 1 because "b"\n') as path:
        done = simulate(path)
        same(done.returncode, USAGE, done.stdout)
        need(f'{path}:' in done.stderr and 'cite' in done.stderr, done.stderr)
    same(simulate('/nowhere/rules').returncode, NOT_FOUND, 'a file that is not there')


def main():
    tap = Tap()
    for case in (check_lists, check_tells_errors, usage, verdicts_follow_dates, unknown_needs_review, each_rule_is_told,
                 closed_border, simulation_obeys):
        tap.case(case.__name__.replace('_', ' '), case)
    tap.done()


if __name__ == '__main__':
    main()
