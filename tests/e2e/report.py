#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The page of `busbar sim --report`: its figures are those of --json, it loads nothing, names are escaped, and a real
browser shows it without an error, without labels upon each other and without a line too wide. No hub runs."""
import html
import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET

from workbench import FAILED, NOT_FOUND, OK, ROOT, USAGE, Tap, busbar, need, same

NETWORK = ROOT / 'data' / 'network' / 'illustrative.yaml'
SPARE = ROOT / 'data' / 'scenarios' / 'spare-tire-2028.yaml'
BROWSER = next((p for p in map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome')) if p), None)
SVG = '{http://www.w3.org/2000/svg}'
# As --json names them; each is a <data id=... value=...> of the page.
FIGURES = ('jobs', 'utilisation', 'queue_p50_s', 'avg_jct_s', 'energy_kwh', 'energy_cost', 'carbon_kg', 'violations', 'starts',
           'stops', 'events')
# Put into a copy of the page: what the browser made of it goes into the title.
MEASURE = '''<script>
window.onerror = m => { document.title = JSON.stringify({error: m}) };
const out = {wide: document.documentElement.scrollWidth, inner: innerWidth, over: [], outside: [], empty: [], charts: 0};
for (const svg of document.querySelectorAll('svg')) {
  out.charts++;
  const frame = svg.getBoundingClientRect();
  if (frame.width < 100 || frame.height < 40) out.empty.push(svg.getAttribute('aria-labelledby'));
  const texts = [...svg.querySelectorAll('text')].filter(t => getComputedStyle(t).display !== 'none')
    .map(t => [t.textContent, t.getBoundingClientRect()]);
  for (let i = 0; i < texts.length; i++) {
    const [a, p] = texts[i];
    if (p.left < frame.left - 2 || p.right > frame.right + 2) out.outside.push([svg.getAttribute('aria-labelledby'), a]);
    for (let k = 0; k < i; k++) {
      const [b, q] = texts[k];
      if (p.left < q.right - 1 && q.left < p.right - 1 && p.top + 3 < q.bottom - 3 && q.top + 3 < p.bottom - 3)
        out.over.push([svg.getAttribute('aria-labelledby'), a, b]);
    }
  }
}
document.title = JSON.stringify(out);
</script>'''


class Page(html.parser.HTMLParser):
    """Elements as (tag, attributes); the text of those with an id."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.ids, self.open = [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.open.append(dict(attrs).get('id'))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.open and self.open[-1]:
            self.ids[self.open[-1]] = self.ids.get(self.open[-1], '') + data

    def handle_endtag(self, tag):
        if self.open:
            self.open.pop()

    def values(self):
        return {a['id']: a['value'] for tag, a in self.elements if tag == 'data'}


def sim(status, *args):
    return busbar(status, 'sim', *args, timeout=120)


def write_trace(folder):
    """Four days of jobs that come in waves, some of them too large to start at once."""
    rows = [f'{h * 3600 + k},{1800 + 977 * ((h * 7 + k) % 40)},{(1, 2, 4, 8, 64, 512)[(h + k) % 6]}'
            for h in range(96) for k in range(60 if h % 24 < 12 else 15)]
    path = folder / 'jobs.csv'
    path.write_text('submit_s,duration_s,gpus\n' + '\n'.join(rows) + '\n')
    return path


def loads_nothing(text):
    page = Page(text)
    need('script' not in {tag for tag, _ in page.elements}, 'no scripts')
    for tag, attrs in page.elements:
        need(tag not in ('iframe', 'object', 'embed', 'img', 'image', 'audio', 'video', 'base'), tag)
        for name in ('src', 'href', 'xlink:href', 'srcset', 'data', 'action'):
            value = attrs.get(name) or ''
            need(not value or value.startswith('#') or value == 'data:,', tag, name, value)
        need(not any(name.startswith('on') for name in attrs), tag, attrs)
    need('@import' not in text and not re.search(r'url\((?!#)', text), 'no style from elsewhere')
    same(set(re.findall(r'https?://[^"\s<]+', text)), {'http://www.w3.org/2000/svg'}, 'no addresses')
    need("default-src 'none'" in text, 'a policy that forbids to load')
    return page


def pictures(text):
    found = re.findall(r'<svg\b.*?</svg>', text, re.S)
    roots = [ET.fromstring(svg) for svg in found]
    ids = set(re.findall(r'\bid="([^"]+)"', text))
    same(len(ids), len(re.findall(r'\bid="', text)), 'ids are there once')
    for root in roots:
        same((root.tag, root.get('role')), (SVG + 'svg', 'img'), 'a picture')
        need(root.get('aria-labelledby') in ids, 'it is named', root.get('aria-labelledby'))
    need(not re.search(r'[MLHV" ]-?(nan|inf)[ LMHV"Z.]', ' '.join(found)), 'numbers')
    return roots


def the_page(folder, trace):
    out = folder / 'out.html'
    args = ('--network', NETWORK, '--trace', trace, '--copies', 4, '--drill', 'lose:vendor=NVIDIA@2d,lose:site=cn-guian@3d',
            '--json')
    with_page = json.loads(sim(OK, *args, '--report', out).stdout)
    without = json.loads(sim(OK, *args).stdout)
    for key in ('decisions_sha256', 'energy_kwh', 'energy_cost', 'carbon_kg', 'events', 'avg_jct_s', 'drill'):
        same(with_page[key], without[key], f'a report changes nothing: {key}')
    text = out.read_text()
    page = loads_nothing(text)
    foot = text[text.index('<footer>'):]
    for words in (str(trace), 'copies 4', 'preempt firm', 'reserve tell', 'plan off', 'durations exact', 'seed 1', args[7]):
        need(words in foot, 'the foot has what the run was made from', words, foot)
    values = page.values()
    for name in FIGURES:
        same(float(values[name]), float(with_page[name]), name)
    same(page.ids['decisions_sha256'], with_page['decisions_sha256'], 'hash')
    need(with_page['drill']['stopped'] > 0, 'the drill stops something', with_page['drill'])
    told = [int(n.replace(',', '')) for n in re.findall(r'Drill on day.*?: ([\d,]+) running job', text, re.S)]
    same((len(told), sum(told)), (2, with_page['drill']['stopped']), 'drills')
    again = sum(int(n.replace(',', '')) for n in re.findall(r'stopped, ([\d,]+) of them', text))
    same(again, with_page['drill']['placed_again'], 'placed again')
    roots = pictures(text)
    need(len(roots) >= 10, 'charts', len(roots))
    same(len([c for c in roots[0].iter(SVG + 'circle') if c.get('class') == 'site']), 40, 'sites on the map')
    same(text.count('<tr><th scope="row">Network</th>'), 2, 'sums of tables')
    same([p.name for p in folder.iterdir() if 'out.html' in p.name], ['out.html'], 'nothing is left beside it')
    return f'{len(text) // 1024} KiB'


def pools(folder, trace):
    (folder / 'pools.csv').write_text('vc,nodes\nall,80\n')
    out = folder / 'pools.html'
    found = json.loads(sim(OK, '--pools', folder / 'pools.csv', '--trace', trace, '--policy', 'fifo', '--json', '--report',
                           out).stdout)
    page = loads_nothing(out.read_text())
    same(int(page.values()['jobs']), found['jobs'], 'jobs')
    need(len(pictures(out.read_text())) >= 3 and found['queue_max_s'] > 0, 'charts')


def self_supply(folder):
    out = folder / 'spare.html'
    found = json.loads(sim(OK, '--network', SPARE, '--json', '--report', out).stdout)['self_supply']
    goal = found['goals'][0]
    same((goal['jurisdiction'], goal['target'], goal['measure'], goal['by']), ('CN', 0.7, 'chips', '2028-12-31'), 'goal')
    same((goal['met'], goal['in_time'], goal['held']), ('2028-04', True, True), 'met')
    same((goal['then']['own_chips'], goal['then']['chips']), (96800, 137600), 'with')
    same((goal['then']['own_pflops'], goal['then']['pflops']), (51247.4, 71485.4), 'throughput')
    start = next(s for s in found['shares'] if s['jurisdiction'] == 'CN')['start']
    need(start['by_chips'] < 0.06, 'near 0 at the start', start)
    text = out.read_text()
    loads_nothing(text)
    pictures(text)
    for words in ('Met on 1 Apr 2028', '96,800 of 137,600 chips', '51,247 of 71,485 PFLOPS', 'Apr 2028'):
        need(words in text, words)
    early = json.loads(sim(OK, '--network', SPARE, '--json', '--until', '2028-03-31').stdout)['self_supply']['goals'][0]
    same((early['met'], early['in_time']), (None, False), 'before the last delivery')
    later = json.loads(sim(OK, '--network', SPARE, '--json', '--start', '2028-05-01', '--until', '30d').stdout)
    same(later['self_supply']['goals'][0]['met_at'], '2028-05-01T00:00:00.000Z', 'what was before the start holds at it')


def names_are_escaped(folder, trace):
    net = folder / 'hostile.yaml'
    net.write_text(f'base: {NETWORK}\nabout: \'<script>alert(1)</script> "&" <b>\'\nsites:\n'
                   '  - {name: cn-guian, title: "<img src=x onerror=alert(2)>"}\n')
    out = folder / 'hostile.html'
    sim(OK, '--network', net, '--trace', trace, '--report', out)
    text = out.read_text()
    page = loads_nothing(text)
    pictures(text)
    need('<script' not in text and '<img' not in text and '<b>' not in text, 'escaped')
    need('&lt;script&gt;alert(1)&lt;/script&gt;' in text, 'told all the same')
    need(page.values()['violations'] == '0', 'violations')


def mistakes(trace):
    """Each is told with its option, and nothing runs."""
    jobs = ('--network', NETWORK, '--trace', trace)
    for args in ((*jobs, '--until', '0'), (*jobs, '--until', '1970-01-01'), (*jobs, '--until', '200y'),
                 (*jobs, '--plan-every', '5m'), (*jobs, '--policy', 'lifo'), (*jobs, '--plan', 'tomorrow'),
                 (*jobs, '--durations', 'long'), (*jobs, '--tenants', 'all'), (*jobs, '--preempt', 'all'),
                 (*jobs, '--traits', 'interruptible=50,'), (*jobs, '--drill', 'lose:site=cn-guian@1h,'), (*jobs, '--serve', 'min=1'),
                 (*jobs, '--chips-per-node', '4'), (*jobs, '--days', '4294967295'), ('--network', NETWORK, '--trace', f'{trace},'),
                 ('--network', NETWORK, '--trace', ''), ('--network', NETWORK, '--until', '1h', '--eta', '5')):
        option = [a for a in args if str(a).startswith('--')][-1]
        need(option in sim(USAGE, *args).stderr, 'the option is named', args)


def too_large(folder):
    """A job that no pool could ever hold: told by its number, size and queue."""
    large = folder / 'large.csv'
    large.write_text('vc,submit,duration,gpus\nsmall,0,60,1\nlarge,10,60,1000000\n')
    told = sim(USAGE, '--network', NETWORK, '--trace', large, '--json')
    need('job 2 in order of submission, of 1000000 chips of queue large' in told.stderr, told.stderr)
    same(told.stdout, '', 'no result')


def refused(folder, trace):
    for where, status in ((folder / 'no' / 'such' / 'out.html', FAILED), (folder, USAGE), (folder / ('x' * 300), FAILED)):
        done = sim(status, '--network', NETWORK, '--trace', folder / 'nothing.csv', '--report', where)
        need('--report' in done.stderr, 'told before the trace is looked at', done.stderr)
    kept = folder / 'kept.html'
    kept.write_text('before')
    sim(NOT_FOUND, '--network', NETWORK, '--trace', folder / 'nothing.csv', '--report', kept)
    same(kept.read_text(), 'before', 'a simulation that fails leaves the old page')
    sim(USAGE, '--network', NETWORK)
    sim(USAGE, '--network', NETWORK, '--until', '3x')
    sim(USAGE, '--network', NETWORK, '--start', 'tomorrow', '--until', '3d')
    sim(USAGE, '--network', NETWORK, '--start', '2027-01-01', '--until', '2026-01-01')
    sim(USAGE, '--pools', folder / 'pools.csv')
    mistakes(trace)
    too_large(folder)
    sim(OK, '--network', NETWORK, '--until', '1h', '--report', folder / 'short.html')
    need('too short to draw' not in (folder / 'short.html').read_text(), 'an hour is drawn')
    sim(OK, '--network', NETWORK, '--until', '5m', '--report', folder / 'short.html')
    need('too short to draw' in (folder / 'short.html').read_text(), 'five minutes are not')


def browse(folder, path, width, *more):
    done = subprocess.run([BROWSER, '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
                           '--enable-logging=stderr', '--log-level=0', f'--user-data-dir={folder}/browser',
                           f'--window-size={width},2000', *more, f'file://{path}'], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=90, check=False)
    same(done.returncode, 0, done.stderr[-600:])
    complaints = [x for x in done.stderr.splitlines() if 'CONSOLE' in x]
    same(complaints, [], 'the console is empty')
    return done.stdout


def in_a_browser(folder, name, width):
    page = folder / name
    dom = browse(folder, page, width, '--dump-dom')
    same(Page(dom).values(), Page(page.read_text()).values(), 'the figures are there')
    copy = folder / ('measured-' + name)
    copy.write_text(re.sub(r'<meta http-equiv[^>]*>', '', page.read_text()).replace('</body>', MEASURE + '</body>'))
    dom = browse(folder, copy, width, '--dump-dom')
    found = json.loads(html.unescape(re.search(r'<title>(.*?)</title>', dom, re.S)[1]))
    same((found.get('error'), found['over'], found['outside'], found['empty']), (None, [], [], []), name)
    need(found['wide'] <= found['inner'], 'no line is too wide', found)
    return f"{found['charts']} pictures at {found['inner']} px"


def on_paper(folder, name):
    out = folder / 'page.pdf'
    browse(folder, folder / name, 1240, f'--print-to-pdf={out}', '--no-pdf-header-footer')
    need(out.read_bytes()[:5] == b'%PDF-' and out.stat().st_size > 20000, 'a PDF')


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='bb-', dir='/tmp') as name:
        folder = pathlib.Path(name)
        trace = write_trace(folder)
        tap.case('figures as --json has them, drills, pictures; nothing is loaded', the_page, folder, trace)
        tap.case('isolated pools', pools, folder, trace)
        tap.case('self-supply: the month, the throughput, dates', self_supply, folder)
        tap.case('names are escaped', names_are_escaped, folder, trace)
        tap.case('what cannot be is refused before anything runs', refused, folder, trace)
        for page, width in (('out.html', 1240), ('out.html', 500), ('spare.html', 1240), ('spare.html', 500),
                            ('pools.html', 1240)):
            case = f'in a browser: {page}, {width} px'
            if BROWSER:
                tap.case(case, in_a_browser, folder, page, width)
            else:
                tap.skip(case, 'Chromium is not installed: the page was NOT looked at in a browser (script/setup)')
        if BROWSER:
            tap.case('on paper', on_paper, folder, 'out.html')
    tap.done()


if __name__ == '__main__':
    main()
