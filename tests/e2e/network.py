#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Networks as files: what is shipped is valid, mistakes are told all at once, the map is a picture. No hub runs."""
import json
import pathlib
import re
import tempfile
import xml.etree.ElementTree as ET

import workbench
from workbench import FAILED, NOT_FOUND, OK, ROOT, USAGE, Tap, need, same

DATA = ROOT / 'data'
SHIPPED = sorted([*(DATA / 'network').glob('*.yaml'), *(DATA / 'scenarios').glob('*.yaml')])
SVG = '{http://www.w3.org/2000/svg}'

MISTAKES = '''chips: chips.yaml
about: many
sites:
  - name: one
    jurisdiction: CN
    lat: 95
    lon: 10
    price_usd_mwh: cheap
    carbon_g_kwh: 500
    pools:
      - {chip: none, chips: 8, usd_chip_hour: 1}
      - {chip: h100, chips: 12, usd_chip_hour: 1}
  - {name: one, jurisdiction: CN, lat: 1, lon: 1, price_usd_mwh: 1, carbon_g_kwh: 1}
corridors:
  - {a: one, b: two, gbit_s: 1, rtt_ms: 1}
colour: blue
'''
EXPECTED = [(6, 'sites[0].lat'), (8, 'sites[0].price_usd_mwh'), (11, 'sites[0].pools[0].chip'),
            (12, 'sites[0].pools[1].chips'), (13, 'sites[1].name'), (15, 'corridors[0].b'), (16, 'colour')]


def busbar(status, *args, **env):
    return workbench.busbar(status, 'network', *args, **env)


def summary(path):
    return json.loads(busbar(OK, 'check', path, '--json').stdout)


def illustrative():
    found = summary(DATA / 'network' / 'illustrative.yaml')
    same((found['valid'], found['sites'], found['chips'], found['corridors'], found['islands']),
         (True, 40, 115000, 73, 1), 'totals')
    same(round(found['facility_watts'] / 1e6, 1), 127.2, 'MW')
    china = next(j for j in found['jurisdictions'] if j['name'] == 'CN')
    same(round(100 * china['own_chips'] / china['chips'], 1), 82.4, 'self-supply by count')
    need(china['own_gflops'] / china['gflops'] < 0.8, 'imported chips are the faster ones', china)
    same(sum(v['chips'] for v in found['vendors']), 115000, 'chips by vendor')
    same((found['largest_losses']['site']['name'], found['largest_losses']['vendor']['name']),
         ('us-abilene', 'nvidia'), 'largest losses')
    need('bridge' not in found['largest_losses'], 'no corridor cuts a site off')
    need(found['figures']['assumed'] > 400 and found['figures']['published'] > 20, found['figures'])
    text = busbar(OK, 'check', DATA / 'network' / 'illustrative.yaml').stdout
    for words in ('115000', '127.2 MW', '82.4 %', '41.8 %', 'us-abilene: 14.0 MW'):
        need(words in text, words, text)


def all_are_valid_and_illustrative():
    same(len(SHIPPED), 8, 'files')
    for path in SHIPPED:
        found = summary(path)
        need('llustrative' in found['about'], path.name, found['about'])
        need(found['chips'] + found['chips_later'] >= 100000, path.name, found['chips'])
    same(summary(DATA / 'scenarios' / 'data-island.yaml')['islands'], 14, 'islands')
    found = summary(DATA / 'scenarios' / 'xinjiang-40.yaml')
    same((found['sites'], found['chips']), (40, 115000), 'xinjiang-40')


def mistakes_at_once(folder):
    path = folder / 'net.yaml'
    path.write_text(MISTAKES)
    (folder / 'chips.yaml').write_text((DATA / 'chips.yaml').read_text())
    done = busbar(FAILED, 'check', path)
    same(done.stdout, '', 'nothing on standard output')
    lines = done.stderr.splitlines()
    for line, where in EXPECTED:
        need(any(x.startswith(f'busbar: {path}:{line}: {where}: ') for x in lines), (line, where), done.stderr)
    same(len(lines), len(EXPECTED), done.stderr)
    done = busbar(FAILED, 'check', path, '--json')
    found = json.loads(done.stdout)
    same((found['valid'], sorted((p['line'], p['path']) for p in found['problems'])), (False, EXPECTED), 'as JSON')
    busbar(FAILED, 'show', path)
    path.write_text('sites: [')
    need(f'{path}:' in busbar(FAILED, 'check', path).stderr, 'not YAML')
    busbar(NOT_FOUND, 'check', folder / 'nothing.yaml')
    busbar(FAILED, 'check', folder)
    busbar(USAGE, 'check')
    busbar(USAGE, 'show', 'a', 'b')


def own_series(folder):
    """A site with a real series on a shipped network."""
    rows = ''.join(f'{h},{(h % 24) * 10 - 50},{300 + h % 24}\n' for h in range(8760))
    (folder / 'a.csv').write_text('hour,price_usd_mwh,carbon_g_kwh\n' + rows)
    path = folder / 'over.yaml'
    path.write_text(f'base: {DATA}/network/illustrative.yaml\nsites:\n  - {{name: here, jurisdiction: DE, lat: 50, '
                    'lon: 8, signals: a.csv, pools: [{chip: h100, chips: 8}]}\n'
                    'corridors:\n  - {a: here, b: de-frankfurt, gbit_s: 10, rtt_ms: 1}\n')
    sites = {s['name']: s for s in json.loads(busbar(OK, 'show', path, '--json').stdout)['data']}
    same((len(sites), sites['here']['price_usd_mwh'], sites['here']['carbon_g_kwh']), (41, 65, 311.5), 'means')
    (folder / 'a.csv').write_text('hour,price_usd_mwh,carbon_g_kwh\n' + rows.replace('\n77,', '\n78,'))
    need(f'{folder}/a.csv:79: hour: ' in busbar(FAILED, 'check', path).stderr, 'the line of the series')


def shown():
    lines = busbar(OK, 'show').stdout.splitlines()
    same(len(lines), 41, 'a line a site')
    need(re.match(r'SITE +IN +CHIPS +MW', lines[0]), lines[0])
    network = json.loads(busbar(OK, 'show', '--json').stdout)
    same((len(network['data']), len(network['corridors'])), (40, 73), 'as JSON')
    ids = [x['id'] for x in [*network['data'], *network['corridors'], *(p for s in network['data'] for p in s['pools'])]]
    same(len(set(ids)), len(ids), 'ids differ')
    same(json.loads(busbar(OK, 'show', '--json').stdout), network, 'the same again')
    need(all(s['chips'] == sum(p['nodes'] * p['node_chips'] for p in s['pools']) for s in network['data']), 'nodes')


def the_map(folder):
    out = folder / 'map.svg'
    for path in SHIPPED:
        busbar(OK, 'show', path, '--map', out)
        root = ET.parse(out).getroot()
        same(root.tag, SVG + 'svg', 'root')
        sites = [c for c in root.iter(SVG + 'circle') if c.get('class') == 'site']
        need(len(sites) >= 40, path.name, len(sites))
        need(all(c.find(SVG + 'title') is not None for c in sites), 'tooltips')
        need(root.find(f'.//*[@id="land"]') is not None, 'land')
    busbar(OK, 'show', SHIPPED[0], '--map', out, BUSBAR_SHARE=str(folder))  # no land there
    need(ET.parse(out).getroot().find('.//*[@id="land"]') is None, 'a map without land')
    busbar(FAILED, 'show', '--map', folder / 'no' / 'such' / 'folder.svg')


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='bb-', dir='/tmp') as name:
        folder = pathlib.Path(name)
        tap.case('the illustrative network', illustrative)
        tap.case('all that is shipped is valid and says that it is illustrative', all_are_valid_and_illustrative)
        tap.case('mistakes at once, each with its line', mistakes_at_once, folder)
        tap.case('a real series', own_series, folder)
        tap.case('shown as a table and as JSON', shown)
        tap.case('the map', the_map, folder)
    tap.done()


if __name__ == '__main__':
    main()
