#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Energy of requests: what real model servers drew, on the hub's own machine and at a site, is what lines of requests, the account of what
was idle and what still waits come to, to the last mJ; and whoever asked more has more of it.

What replicas told is read from the hub's store, lines from the API.
"""
import csv
import io
import os
import pathlib
import sqlite3

from site_agent import Field
from workbench import FAILED, OK, Tap, need, replied, same, wait_for

MODEL = pathlib.Path(os.environ['BUSBAR_BIN']).resolve().parent.parent / 'data' / 'models' / 'stories.gguf'


def run(hub, status, *args):
    done = hub.run(*args)
    same(done.returncode, status, f'{" ".join(args)}: {done.stdout[-400:]}{done.stderr[-400:]}')
    return done.stdout + done.stderr


def rows(hub, sql):
    with sqlite3.connect(f'file:{hub.data}/busbar.db?mode=ro', uri=True, timeout=10) as db:
        return db.execute(sql).fetchall()


def told(hub):
    """mJ of all replicas, and what of it waits."""
    return rows(hub, 'SELECT COALESCE(SUM(energy_mj), 0), COALESCE(SUM(waiting_mj), 0) FROM bb_replica_meter')[0]


def lined(hub, tenant=None):
    name = f"AND tenant = (SELECT id FROM bb_tenant WHERE name = '{tenant}')" if tenant else ''
    return rows(hub, f'SELECT COALESCE(SUM(energy_mj), 0) FROM bb_bill WHERE variant <> zeroblob(16) {name}')[0][0]


def accounts(hub, kind):
    return {a['account']: a['balance'] for a in hub.pages('/api/v1/ledger/accounts?ledger=usage') if a['kind'] == kind and a['unit'] == 'mJ'}


def whole(hub):
    """Metered = lines + idle + waiting, at one moment of the store; and the check says so."""
    need('the books are right' in run(hub, OK, 'ledger', 'check'), 'check')
    return [n or 0 for n in rows(hub, '''SELECT (SELECT SUM(energy_mj) FROM bb_replica_meter),
        (SELECT SUM(energy_mj) FROM bb_bill WHERE variant <> zeroblob(16)), (SELECT SUM(debits) FROM bb_used WHERE side = 4 AND unit = 6),
        (SELECT SUM(waiting_mj) FROM bb_replica_meter)''')[0]]


def balance(hub):
    metered, *parts = whole(hub)
    need(metered > 0, 'nothing was metered')
    same(sum(parts), metered, f'lines, idle and what waits: {parts}')


def settled(hub):
    """Nobody's tokens wait for energy any more."""
    wait_for(lambda: rows(hub, 'SELECT COUNT(*) FROM bb_energy_weight')[0][0] == 0 and told(hub)[0] > 0, 'it is shared out', 40, 0.2)


def ask(hub, key, model, n, max_tokens):
    for _ in range(n):
        replied(hub.chat(key, model=model, max_tokens=max_tokens, temperature=0), 200, 'answer')


def own_machine(f):
    """Two tenants ask, one of them ten times as much."""
    hub = f.bench
    hub.api('POST', '/api/v1/tenants', {'name': 'small', 'budget': '5'})
    hub.api('POST', '/api/v1/tenants', {'name': 'large', 'budget': '5'})
    small, large = (hub.add_key('app', t)['key'] for t in ('small', 'large'))
    wait_for(lambda: rows(hub, 'SELECT COUNT(*) FROM bb_replica_meter')[0][0] == 1, 'the replica is metered')
    ask(hub, small, 'own', 1, 60)
    ask(hub, large, 'own', 10, 60)
    settled(hub)
    one, other = lined(hub, 'small'), lined(hub, 'large')
    need(one > 0 and other > 5 * one, one, other)
    balance(hub)
    same(accounts(hub, 'used'), {'used/small/mJ': one, 'used/large/mJ': other}, 'accounts of use')
    replica, = hub.deployment('own')['replicas']
    need(replica['energy_j'] > 0 and replica['energy'] in ('estimated', 'measured'), replica)


def told_everywhere(f):
    """Usage by the hour, by key and in a table; FOCUS's columns; the overseers' report."""
    hub = f.bench
    one = lined(hub, 'large') / 1000
    used, = hub.api('GET', '/api/v1/usage?by=model&tenant=large')['data']
    same((round(used['energy_j'], 3), used['carbon_g'] >= 0), (one, True), 'usage')
    hours = hub.api('GET', '/api/v1/usage?by=hour&tenant=large')['data']
    same(round(sum(h['energy_j'] for h in hours), 3), one, 'by the hour')
    need('ENERGY J' in run(hub, OK, 'usage', '--by', 'key'), 'table')
    month = rows(hub, "SELECT strftime('%Y-%m', MAX(day) * 86400, 'unixepoch') FROM bb_bill")[0][0]
    found = list(csv.DictReader(io.StringIO(run(hub, OK, 'export', 'focus', '--month', month, '--tenant', 'large'))))
    same(round(sum(float(r['x_EnergyJoules']) for r in found), 3), one, 'FOCUS')


def idle(f):
    """Whoever asks nothing has no part of what is drawn."""
    hub = f.bench
    settled(hub)
    before, metered = lined(hub), told(hub)[0]
    pid, = hub.engines()
    with open(f'/proc/{pid}/stat', encoding='ascii') as stat:
        need(stat.read(), 'it lives')
    # A health request now and then is all that it does: some ms of a processor in a while.
    wait_for(lambda: told(hub)[0] > metered, 'it draws something all the same', 60, 0.2)
    same(lined(hub), before, 'lines')
    wait_for(lambda: accounts(hub, 'idle').get('idle/local/mJ', 0) > 0, 'on the account of what was idle', 40, 0.2)
    balance(hub)


def at_a_site(f):
    """What the agent's engines draw comes with its reports: of chips that are its own by their rated power."""
    hub = f.bench
    run(hub, OK, 'deploy', 'far', '--site', 'north')
    hub.wait_ready('far', 1, 30)
    wait_for(lambda: 'energy_j' in hub.deployment('far')['replicas'][0], 'the site tells', 20)
    before = lined(hub, 'default')
    ask(hub, '', 'far', 2, 20)
    settled(hub)
    replica, = hub.deployment('far')['replicas']
    same(replica['energy'], 'estimated', 'from the power of its chip')
    need(lined(hub, 'default') - before > 100_000, 'a chip of hundreds of watts, for ten seconds')
    balance(hub)


def agent_dies(f):
    """The next agent knows nothing of its totals, and begins a run of its own."""
    hub = f.bench
    metered = told(hub)[0]
    f.site.kill()
    f.site.run()
    hub.wait_ready('far', 1, 40)
    wait_for(lambda: told(hub)[0] > metered, 'it goes on', 40, 0.2)
    ask(hub, '', 'far', 1, 20)
    settled(hub)
    balance(hub)


def hub_dies(f):
    """What was told is not lost, and nothing is told twice."""
    hub = f.bench
    ask(hub, '', 'own', 3, 30)
    hub.kill()
    hub.start()
    hub.wait_ready('own', 1, 30)
    hub.wait_ready('far', 1, 40)
    balance(hub)
    ask(hub, '', 'own', 1, 30)
    settled(hub)
    balance(hub)


def undeployed(f):
    """The last figures come with the end: the replica's account is closed."""
    hub = f.bench
    metered = told(hub)[0]
    run(hub, OK, 'undeploy', 'far')
    wait_for(lambda: not [d for d in hub.pages('/api/v1/deployments') if d['model'] == 'far'], 'it is gone', 40)
    need(told(hub)[0] > metered, 'its last figures')
    same(rows(hub, 'SELECT COUNT(*) FROM bb_replica_meter WHERE state = 2')[0][0], 0, 'that are over, and may tell more')
    balance(hub)


def damage(f):
    """A line that says more than was metered is found."""
    hub = f.bench
    with sqlite3.connect(hub.data / 'busbar.db', timeout=10) as db:
        db.execute('UPDATE bb_replica_meter SET energy_mj = energy_mj + 1 WHERE rowid = (SELECT MIN(rowid) FROM bb_replica_meter WHERE state = 3)')
    text = run(hub, FAILED, 'ledger', 'check')
    need('idle/' in text and 'not what replicas told' in text, text)


def main():
    t = Tap()
    with Field() as f:
        for name in ('own', 'far'):
            same(f.bench.run('model', 'add', name, str(MODEL), '--price-prompt', '1', '--price-completion', '2').returncode, OK, name)
        run(f.bench, OK, 'deploy', 'own')
        f.bench.wait_ready('own')
        for name, case in (("on the hub's own machine", own_machine), ('where it is told', told_everywhere), ('nobody asks', idle),
                           ('at a site', at_a_site), ('the agent is killed', agent_dies), ('the hub is killed', hub_dies),
                           ('undeploy', undeployed), ('damage', damage)):
            t.case(name, case, f)
    t.done()


if __name__ == '__main__':
    main()
