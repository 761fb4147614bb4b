#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A site is cut off while a job ends, and tells it days later: it is billed for the day on which it ran. If the bill of that month is closed
by then, it is a correction on the next one, and in FOCUS; after more than 35 days nobody pays for it, and the operator sees that. And a job
that runs while its site is cut off pays for each hour what that hour costs.
"""
import csv
import datetime
import io
import json
import signal
import sqlite3
import sys
import tempfile
import time
import uuid

from faultlib import HERE, Tap
import site_agent
from site_agent import Field, counted, runs_of
from wall_clock import Clocks
from workbench import OK, nano, need, same, wait_for

sys.path.insert(0, str(HERE.parent / 'e2e'))
import focus_rules  # noqa: E402 pylint: disable=wrong-import-position

DAY_S = 86400
PRICE = '7200'  # a chip-hour: a job of a second costs something
TELL_S, LINE_S, RUN_S = 60, 10, 95  # between two totals that a site tells, two lines of its shim; and how long a job runs


def month(more=0):
    """The first moment of a month: of this one, and so many after it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    number = now.year * 12 + now.month - 1 + more
    return datetime.datetime(number // 12, number % 12 + 1, 1, tzinfo=datetime.timezone.utc)


def name(more=0):
    return month(more).strftime('%Y-%m')


def store(f, *statements):
    """In the store of a hub that is stopped."""
    f.bench.stop()
    with sqlite3.connect(f.bench.data / 'busbar.db') as db:
        for sql, args in statements:
            need(db.execute(sql, args).rowcount > 0, sql)
    f.bench.start()


def ran_before(f, days):
    """A job that ran and ended so many days ago at a site that is cut off since then: its id, and its day. It runs today, and then
    what both sides wrote down of it is moved."""
    job = f.submit(counted(f, 'sleep 1'))
    wait_for(lambda: runs_of(f, job) == 1, 'it has begun', 20)
    f.site.kill()
    path = f.site.data / 'work' / job / '1' / 'exit'
    wait_for(path.exists, 'it is over', 20)
    text = json.loads(path.read_text())
    text['usage']['wall_ms'] -= days * DAY_S * 1000
    path.write_text(json.dumps(text))
    f.bench.run('job', 'cancel', job)
    store(f, ('UPDATE bb_job_usage SET started_ms = started_ms - ? WHERE job = ?', (days * DAY_S * 1000, uuid.UUID(job).bytes)))
    return job, datetime.datetime.fromtimestamp(text['usage']['wall_ms'] / 1000, datetime.timezone.utc).strftime('%Y-%m-%d')


def told(f, job):
    """The site is back: what its epoch came to."""
    f.site.run()
    return wait_for(lambda: (e := epoch(f, job))['final'] and e, 'its last figures', 60)


def epoch(f, job):
    return next(e for e in f.job(job)['epochs'] if e['epoch'] == 1)


def rows_of(f, more=0, day=None):
    done = f.bench.run('export', 'focus', '--month', name(more))
    same(done.returncode, OK, done.stderr)
    rows, wrong = focus_rules.check(done.stdout)
    same(wrong, [], 'rules')
    return [r for r in rows if r['x_Chip'] == 'h20' and (day is None or r['ChargePeriodStart'].startswith(day))]


def close(f, more):
    done = f.bench.run('invoice', 'close', 'default', name(more), '--json')
    same(done.returncode, OK, done.stderr)
    return json.loads(done.stdout)


def own_day(f):
    """No bill is closed: it is on the line of its day."""
    job, day = ran_before(f, 3)
    more = 0 if day.startswith(name()) else -1
    same(rows_of(f, more, day), [], 'nobody knows of it')
    found = told(f, job)
    row, = rows_of(f, more, day)
    same((nano(row['BilledCost']), row['ChargeClass'], int(row['x_ChipMilliseconds'])), (nano(found['cost']), '', found['chip_ms']),
         row)
    need(nano(found['cost']) > 0, found)


def closed_month(f):
    """The bill of the month is closed: it stays, and the next one has a correction."""
    job, day = ran_before(f, datetime.datetime.now(datetime.timezone.utc).day)  # the last day of the month before
    first = close(f, -1)
    before, exported = f.bench.api('GET', f'/api/v1/invoices/{first["id"]}'), rows_of(f, -1)
    found = told(f, job)
    same(f.bench.api('GET', f'/api/v1/invoices/{first["id"]}'), before, 'the bill that is closed')
    same(rows_of(f, -1), exported, 'and its export')
    row, = [r for r in rows_of(f) if r['ChargeClass'] == 'Correction']
    same((nano(row['BilledCost']), row['ChargePeriodStart'][:10], row['BillingPeriodStart'][:7], row['InvoiceId']),
         (nano(found['cost']), day, name(), ''), row)
    same(f.bench.run('ledger', 'check').returncode, OK, 'the books are right')
    return day, found['cost']


def too_old(f):
    """Nobody pays for what is told after more than 35 days; it is counted, and told once."""
    def refused():
        return f.bench.api('GET', f'/api/v1/audit/report?month={name()}')['refused_records']
    job, _ = ran_before(f, 36)
    same(refused(), [], 'none so far')
    spent = f.spent()
    f.site.run()
    found = wait_for(refused, 'it is refused', 60)
    same(found, [{'what': 'job', 'reason': 'TOO_OLD', 'count': 1}], 'counted')
    wait_for(lambda: not (f.site.data / 'work' / job).exists(), 'the site has done with it', 60)
    same((refused(), f.spent()), (found, spent), 'once, and nobody has paid')
    need('TOO_OLD' in f.bench.run('audit', 'report').stdout, 'for operators')


def next_bill(f, clocks, day, cost):
    """When this month is over its bill has the correction in every form, with its own day."""
    f.site.kill()
    clocks.set('hub', int((month(1) - datetime.datetime.now(datetime.timezone.utc)).total_seconds()) + 3600)
    bill = close(f, 0)
    whole = f.bench.api('GET', f'/api/v1/invoices/{bill["id"]}')
    line, = [x for x in whole['lines'] if 'corrects' in x]
    same((line['day'], line['corrects'], line['cost']), (day, name(-1), cost), line)
    same(sum(nano(x['cost']) for x in whole['lines']), nano(whole['total']), 'its lines')
    form = f.bench.run('invoice', 'show', bill['number'], '--form', 'csv').stdout
    same([(r['day'], r['corrects']) for r in csv.DictReader(io.StringIO(form)) if r['corrects']], [(day, name(-1))], 'CSV')
    need(f'{day}<br>correction' in f.bench.run('invoice', 'show', bill['number'], '--form', 'html').stdout, 'HTML')
    same({r['InvoiceId'] for r in rows_of(f)}, {bill['number']}, 'its export')
    same(f.bench.run('ledger', 'check').returncode, OK, 'the books are right')


CHEAP = '36'
BANDS = """tariff: hours
currency: USD
chips:
  - {{kind: h20, hour: {2}, bands: [{{hours: {0}-{1}, factor: 3}}]}}
"""


def hours(folder):
    """The hub is gone while the hour turns: what the job used before costs what it did then, though it is told when the hub is back."""
    clocks = Clocks(folder)
    env = {who: clocks.env(who) for who in ('hub', 'site')}
    now = datetime.datetime.now(datetime.timezone.utc)
    if now.minute >= 57:
        time.sleep(3610 - now.minute * 60 - now.second)  # it turns when we say
    hour = datetime.datetime.now(datetime.timezone.utc).hour
    with Field(env=env) as f:
        wait_for(lambda: any(p['site'] == 'north' for p in f.bench.api('GET', '/api/v1/pools')['data']), 'its pool', 20)
        path = f.bench.data / 'bands.yaml'
        path.write_text(BANDS.format((hour + 1) % 24, (hour + 2) % 24, CHEAP), encoding='utf-8')
        done = f.bench.run('tariff', 'apply', str(path))
        same(done.returncode, OK, done.stderr)
        job = f.submit(counted(f, f'sleep {RUN_S}'))
        wait_for(lambda: runs_of(f, job) == 1, 'it has begun', 20)
        f.bench.kill()
        work = f.site.data / 'work' / job / '1'
        wait_for(lambda: (work / 'usage').exists() and (work / 'usage').read_text().count('\n') * LINE_S >= TELL_S + LINE_S,
                 'the site would have told it', 120)
        time.sleep(3)
        f.site.process.send_signal(signal.SIGSTOP)
        wait_for((work / 'exit').exists, 'it is over', 120)
        text = json.loads((work / 'exit').read_text())
        text['usage']['wall_ms'] += 3600000  # by the clock of who watches it, which is not shifted
        (work / 'exit').write_text(json.dumps(text))
        for who in env:
            clocks.set(who, 3600)
        f.site.process.send_signal(signal.SIGCONT)
        f.bench.start()
        found = wait_for(lambda: (e := epoch(f, job))['final'] and e, 'its last figures', 60)
        ms, cost = found['chip_ms'], nano(found['cost'])
        cheap = (3 * ms - cost * 3600000 // nano(CHEAP)) / 2  # chip-ms at the factor 1; the others are at 3
        need(TELL_S * 1000 - 2000 <= cheap <= (TELL_S + LINE_S) * 1000 + 2000 < ms, f'{cheap} of {ms} chip-ms, {found}')
        return f'{round(cheap)} of {ms} chip-ms in the hour before'


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='bb-late-', dir='/tmp') as folder:
        clocks = Clocks(folder)
        with Field(env={'hub': clocks.env('hub')}) as f:
            wait_for(lambda: any(p['site'] == 'north' for p in f.bench.api('GET', '/api/v1/pools')['data']), 'its pool', 20)
            same(f.bench.run('pool', 'price', f.pool()['id'], PRICE).returncode, OK, 'price')
            store(f, ('UPDATE bb_tenant SET created_ms = ?', (int(month(-1).timestamp()) * 1000,)))
            found = []
            tap.case('a record that is days late is billed for its own day', own_day, f)
            tap.case('one of a month that is closed is a correction', lambda: found.extend(closed_month(f)))
            tap.case('one that is too old is refused, once, and seen', too_old, f)
            tap.case('the next bill has the correction', lambda: next_bill(f, clocks, *found))
    with tempfile.TemporaryDirectory(prefix='bb-late-', dir='/tmp') as folder:
        site_agent.LEASE_S = 120  # that the job outlives the time without a hub
        tap.case('an hour that passes while the hub is gone costs what that hour does', hours, folder)
    tap.done()


if __name__ == '__main__':
    main()
