# SPDX-License-Identifier: Apache-2.0
"""A cluster of unequal chips without any: a worker that has only the SSE4.2 code of its engine beside one that has the best of this
machine, over RPC. Tokens a second of splits as the planner predicts them, and as they are. Run by script/bench.

For each run of each split, in random order, three clusters are up: either chip alone with the whole model, and both. They are asked in turn,
a few tokens each, so what else runs on the machine hits all alike; beside medians stands the fastest request of each, which is what nothing
disturbed. The two that are alone teach the planner (busbar plan
--measured), the third is the check. What a hop takes is learnt from a model of next to nothing. CPU time is that of the two RPC servers.
"""
import contextlib
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys

import harness

sys.path.insert(0, str(harness.ROOT / 'tests' / 'e2e'))
import random_model  # noqa: E402  pylint: disable=wrong-import-position
from rpc_peers import ENGINES, Worker, head, shares  # noqa: E402  pylint: disable=wrong-import-position
from workbench import Tap, need  # noqa: E402  pylint: disable=wrong-import-position

SHAPE = {'dim': 1024, 'layers': 24, 'ffn': 2816, 'heads': 16, 'kv_heads': 4, 'vocab': 4096}
SMALL = {'dim': 512, 'layers': 12, 'ffn': 1408, 'heads': 8, 'kv_heads': 4, 'vocab': 2048}  # of the sample
TINY = {'dim': 64, 'layers': 4, 'ffn': 64, 'heads': 2, 'kv_heads': 2, 'vocab': 4096}
SPLITS = (4, 8, 12, 16, 20)  # layers of the fast one
CONTEXT = 256
FORM = 'q8_0'
CAPS = (0.70, 0.92)  # of the fast and the weak one, of the model's size
MORE = ('-b', '32', '-ub', '32')
CHIPS = '''server_share: 1.6 assumed, not used here
idle_share: 0.3 assumed, not used here
chips:
  - {{name: fast, vendor: various, origin: US, fp16_tflops: "1 assumed, as if it were never short of it", bandwidth_tb_s: "0.02 assumed, to begin with",
     memory_gib: "{:.3f} assumed, its cap", tdp_w: "100 assumed, not used here", scale_up: "1 assumed, alone"}}
  - {{name: weak, vendor: various, origin: US, fp16_tflops: "1 assumed, as if it were never short of it", bandwidth_tb_s: "0.02 assumed, to begin with",
     memory_gib: "{:.3f} assumed, its cap", tdp_w: "100 assumed, not used here", scale_up: "1 assumed, alone"}}
'''


def weak_server(folder):
    """The RPC server with a folder of libraries in which there is code for SSE4.2 alone."""
    top, engine = pathlib.Path(folder) / 'weak', ENGINES.parent
    for name in ('bin', 'lib', 'libexec'):
        (top / name).mkdir(parents=True)
    for path in (engine / 'lib').iterdir():
        if path.is_file() and (not path.name.startswith('libggml-cpu-') or path.name == 'libggml-cpu-sse42.so'):
            shutil.copy(path, top / 'lib')  # a worker may not read what lies elsewhere
    for name in ('bin', 'libexec'):
        shutil.copy(engine / name / 'ggml-rpc-server', top / name)
    return top / 'bin' / 'ggml-rpc-server'


class Cluster:
    """Workers and their head, and what each request took."""

    def __init__(self, stack, place, name, layers, caps=(None, None), model=None):
        kinds = [(kind, n, cap) for kind, n, cap in zip(('fast', 'weak'), layers, caps) if n]
        self.workers = [stack.enter_context(Worker(place.folder, f'{name}-{kind}', cap, place.weak if kind == 'weak' else None,
                                                   wait=False)) for kind, _, cap in kinds]
        for worker in self.workers:
            worker.wait_ready()
        self.head = stack.enter_context(head(self.workers, [n for _, n, _ in kinds], model or place.model, place.folder, f'{name}-head',
                                             CONTEXT, MORE))
        self.ms, self.cpu_ms = [], []
        self.ask(8)
        self.ms, self.cpu_ms = [], []

    def ask(self, tokens):
        before = sum(w.cpu_s() for w in self.workers)
        reply = self.head.post('/completion', {'prompt': 'bade', 'n_predict': tokens, 'temperature': 0, 'ignore_eos': True,
                                               'cache_prompt': False})
        timings = reply['timings']
        self.ms.append(timings['predicted_ms'] / (timings['predicted_n'] - 1))  # the first comes with the prompt
        self.cpu_ms.append(1000 * (sum(w.cpu_s() for w in self.workers) - before) / tokens)

    def token_ms(self, of=statistics.median):
        return of(self.ms)

    def token_cpu_ms(self):
        return statistics.median(self.cpu_ms)


class Place:
    def __init__(self, folder, shape):
        self.folder, self.shape = folder, shape
        self.model, self.tiny = pathlib.Path(folder) / 'model.gguf', pathlib.Path(folder) / 'tiny.gguf'
        self.size = random_model.write(self.model, FORM, **shape)
        random_model.write(self.tiny, **TINY)
        self.weak = weak_server(folder)
        self.hop_us = 0
        self.caps_mib = [int(self.size * cap) >> 20 for cap in CAPS]

    def plan(self, rows, caps):
        """What `busbar plan` makes of measured rows: (its JSON)."""
        chips, measured = pathlib.Path(self.folder) / 'chips.yaml', pathlib.Path(self.folder) / 'measured.yaml'
        chips.write_text(CHIPS.format(*(c / 1024 for c in caps)), encoding='utf-8')
        lines = [f'hop_us: {self.hop_us}', 'measured:']
        for layers, token_ms, check in rows:
            stages = [f'{{chip: {kind}, layers: {n}, head: {"yes" if kind == last_of(layers) else "no"}}}'
                      for kind, n in zip(('fast', 'weak'), layers) if n]
            lines.append(f'  - {{tokens_s: {1000 / token_ms:.3f}, context: {CONTEXT}, check: {"yes" if check else "no"}, '
                         f'stages: [{", ".join(stages)}]}}')
        measured.write_text('\n'.join(lines) + '\n', encoding='utf-8')
        done = subprocess.run([os.environ['BUSBAR_BIN'], 'plan', str(self.model), '--on', 'fast:1,weak:1', '--goal', 'latency', '--batch', '1',
                               '--context', str(CONTEXT), '--prompt', '8', '--chips', str(chips), '--reference', 'fast', '--measured', str(measured), '--json'],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise harness.Failed(done.stderr.strip())
        return json.loads(done.stdout)


def last_of(layers):
    return 'weak' if layers[1] else 'fast'


def find_hop(place, rounds):
    """Between two stages, on a model that takes no time: half of what a second worker adds, as a ring has as many hops as stages."""
    n = TINY['layers']
    with contextlib.ExitStack() as stack:
        one = Cluster(stack, place, 'one', (n, 0), model=place.tiny)
        two = Cluster(stack, place, 'two', tuple(shares(n, 2)), model=place.tiny)
        for _ in range(rounds):
            one.ask(64)
            two.ask(64)
    least = min(one.ms), min(two.ms)  # so short a time is best seen where nothing disturbed it
    place.hop_us = max(0, round(1000 * (least[1] - least[0]) / 2))
    return least


def cell(place, layers, rounds, tokens, caps=(None, None)):
    """One run of one split: what was measured, what the planner says by the two that are alone, and the same of CPU time."""
    whole = place.shape['layers']
    with contextlib.ExitStack() as stack:
        fast = Cluster(stack, place, 'fast', (whole, 0))
        weak = Cluster(stack, place, 'weak', (0, whole))
        both = Cluster(stack, place, 'both', layers, caps)
        for _ in range(rounds):
            for cluster in random.sample([fast, weak, both], 3):
                cluster.ask(tokens)
    checks = [place.plan([((whole, 0), fast.token_ms(of), False), ((0, whole), weak.token_ms(of), False),
                          (layers, both.token_ms(of), True)], (4096, 4096))['measured']['rows'][2] for of in (statistics.median, min)]
    cpu = sum(n * c.token_cpu_ms() / whole for n, c in zip(layers, (fast, weak)))
    return {'fast_layers': layers[0], 'weak_layers': layers[1], 'fast_alone': 1000 / fast.token_ms(), 'weak_alone': 1000 / weak.token_ms(),
            'predicted': checks[0]['corrected'], 'measured': checks[0]['tokens_s'],
            'error': checks[0]['corrected'] / checks[0]['tokens_s'] - 1,
            'best_predicted': checks[1]['corrected'], 'best_measured': checks[1]['tokens_s'],
            'best_error': checks[1]['corrected'] / checks[1]['tokens_s'] - 1,
            'cpu_fast_ms': fast.token_cpu_ms(), 'cpu_weak_ms': weak.token_cpu_ms(), 'cpu_predicted_ms': cpu,
            'cpu_ms': both.token_cpu_ms(), 'cpu_error': both.token_cpu_ms() / cpu - 1,
            'ms': {'fast': fast.ms, 'weak': weak.ms, 'both': both.ms}, 'load': os.getloadavg()[0]}


def own_choice(place, rounds, tokens, last):
    """The split that the planner takes where neither chip may hold the model: what it says, and what it then does."""
    whole = place.shape['layers']
    rows = [((whole, 0), 1000 / last['fast_alone'], False), ((0, whole), 1000 / last['weak_alone'], False)]
    plan = place.plan(rows, place.caps_mib)['replicas'][0]
    layers = {'fast': 0, 'weak': 0, **{s['chip']: s['layers'] for s in plan['stages']}}
    layers = (layers['fast'], layers['weak'])
    alone = []
    for kind, split in (('fast', (whole, 0)), ('weak', (0, whole))):
        with contextlib.ExitStack() as stack:
            try:
                Cluster(stack, place, f'capped-{kind}', split, place.caps_mib)
                alone.append('holds it')
            except RuntimeError:
                alone.append('cannot hold it')
    return {'caps_mib': place.caps_mib, 'alone': alone, 'planned': plan['tokens_s'], **cell(place, layers, rounds, tokens, place.caps_mib)}


def run(args, shape, splits, runs, rounds, tokens):
    """Lines of a report, cells, the planner's own choice."""
    todo = random.sample(splits * runs, len(splits) * runs)
    with harness.work_folder(args.keep) as folder:
        place = Place(folder, shape)
        one, two = find_hop(place, 4 if args.quick else 10)
        cells = []
        for i, layers in enumerate(todo):
            harness.say(f'{i + 1} of {len(todo)}: {layers}')
            cells.append(cell(place, layers, rounds, tokens))
        chosen = own_choice(place, rounds, tokens, cells[-1])
    harness.say('')
    harness.write_json(args.json, {'seed': args.seed, 'size': place.size, 'hop_us': place.hop_us, 'cells': cells, 'chosen': chosen})
    first = (f'model of {place.size >> 20} MiB, {shape["layers"]} layers, {FORM}; seed {args.seed}; a token of next to nothing takes {one:.2f} ms '
             f'with one worker, {two:.2f} ms with two: {place.hop_us} us a hop')
    return [first, *report(cells, chosen)], cells, chosen


def report(cells, chosen):
    """Lines."""
    out = ['fast/weak  alone          predicted  measured   error   of the fastest  of CPU time   load']
    for c in sorted(cells, key=lambda c: c['fast_layers']):
        out.append(f'{c["fast_layers"]:3}/{c["weak_layers"]:<3}    {c["fast_alone"]:6.2f} {c["weak_alone"]:6.2f} {c["predicted"]:10.2f} '
                   f'{c["measured"]:9.2f} {100 * c["error"]:+8.1f} % {100 * c["best_error"]:+13.1f} % {100 * c["cpu_error"]:+10.1f} % {c["load"]:6.1f}')
    for words, key in (('medians of requests', 'error'), ('the fastest request of each', 'best_error'), ('CPU time', 'cpu_error')):
        errors = [abs(c[key]) for c in cells]
        out.append(f'median error by {words} {100 * statistics.median(errors):.1f} % (aim: 10 %), most {100 * max(errors):.1f} %')
    out.append(f'caps of {chosen["caps_mib"][0]} and {chosen["caps_mib"][1]} MiB: the planner gives the fast one {chosen["fast_layers"]} layers, '
               f'the weak one {chosen["weak_layers"]}; {chosen["predicted"]:.2f} tokens/s predicted, {chosen["measured"]:.2f} measured '
               f'({100 * chosen["error"]:+.1f} %); alone the fast one {chosen["alone"][0]}, the weak one {chosen["alone"][1]}')
    return out


def cpu_error(cells):
    return statistics.median(abs(c['cpu_error']) for c in cells)


def test(args):
    """As a test: what is judged is CPU time, since time itself is shared with whatever else runs."""
    full = os.environ.get('BUSBAR_FULL') == '1'
    args.quick = not full
    lines, cells, chosen = (run(args, SHAPE, [(n, SHAPE['layers'] - n) for n in SPLITS], 3, 12, 12) if full else
                            run(args, SMALL, [(4, SMALL['layers'] - 4)], 1, 2, 8))
    tap = Tap()
    for line in lines:
        print('#', line)
    tap.case('the planner divides what neither chip may hold, and it is served', divided, chosen)
    tap.case('splits take what the planner says', predicted, cells, full)
    tap.done()


def divided(chosen):
    need(chosen['alone'] == ['cannot hold it'] * 2 and min(chosen['fast_layers'], chosen['weak_layers']) > 0, chosen)
    need(chosen['predicted'] > 0 and chosen['measured'] > 0, chosen)


def predicted(cells, full):
    for c in cells:
        need(c['weak_alone'] > 0 and min(c['fast_alone'], c['weak_alone']) / 2 < c['predicted'] < 2 * max(c['fast_alone'], c['weak_alone']), c)
    need(not full or cpu_error(cells) <= 0.1, f'median error of CPU time: {100 * cpu_error(cells):.1f} %')


def main():
    p = harness.options('cluster', __doc__)
    p.add_argument('--rounds', type=int, default=3, help='runs of each split')
    p.add_argument('--quick', action='store_true')
    p.add_argument('--seed', type=int, default=random.randrange(1 << 30))
    p.add_argument('--keep', action='store_true')
    p.add_argument('--tap', action='store_true')
    args = p.parse_args()
    random.seed(args.seed)
    if args.tap:
        test(args)
        return
    splits = [(n, SHAPE['layers'] - n) for n in ((8,) if args.quick else SPLITS)]
    lines, _, _ = run(args, SHAPE, splits, 1, 3, 8) if args.quick else run(args, SHAPE, splits, args.rounds, 12, 12)
    print('\n'.join(lines))


if __name__ == '__main__':
    main()
