# SPDX-License-Identifier: Apache-2.0
"""The reference engine beside llama-server: tokens a CPU second, reading and writing, one thread each. Run by script/bench.

Both are asked in turn, round by round, so what else runs on the machine hits both alike; what counts is the median of the
rounds' ratios. CPU time is that of the process, with all that it does for HTTP and JSON.
"""
import pathlib
import statistics
import sys
import tempfile

import harness

sys.path.insert(0, str(harness.ROOT / 'tests' / 'e2e'))
from ref_peers import MODELS, llama, reference  # noqa: E402  pylint: disable=wrong-import-position

# tokens that are counted, of a request that is mostly that
WORK = {'writing': ('predicted_n', 'Once upon a time {}', 400), 'reading': ('prompt_n', '{} The cat sat on the mat.' * 16, 1)}


def rate(peer, what, number, context):
    counted, prompt, tokens = WORK[what]
    start = peer.cpu_s()
    done = 0
    for i in range(3):
        body = {'prompt': prompt.replace('{}', str(number * 3 + i))[:context * 2], 'max_tokens': tokens, 'temperature': 0,
                'ignore_eos': True}
        done += peer.post('/v1/completions', body)['timings'][counted]
    return done / (peer.cpu_s() - start)


def main():
    p = harness.options('reference', __doc__)
    p.add_argument('--rounds', type=int, default=9)
    p.add_argument('--quick', action='store_true')
    p.add_argument('--model', action='append', help='another GGUF file of the llama architecture')
    args = p.parse_args()
    models = {**MODELS, **{pathlib.Path(m).stem: m for m in args.model or []}}
    rows, out = [['model', 'work', 'reference', 'llama-server', 'ratio', 'least', 'most']], {}
    for name, path in models.items():
        with tempfile.TemporaryDirectory(prefix='busbar-bench-') as folder, reference(path, folder) as ours, \
                llama(path, folder) as theirs:
            for what in WORK:
                pairs = []
                for i in range(1 if args.quick else args.rounds):
                    harness.say(f'{name} {what} {i}')
                    pairs.append((rate(ours, what, i, 512), rate(theirs, what, i, 512)))
                ratios = [a / b for a, b in pairs]
                rows.append([name, what, *(f'{statistics.median(x):.0f}' for x in zip(*pairs)),
                             *(f'{x:.2f}' for x in (statistics.median(ratios), min(ratios), max(ratios)))])
                out[f'{name} {what}'] = pairs
    harness.say('')
    print('tokens a CPU second, -t 1; medians of rounds')
    harness.print_rows(rows)
    harness.write_json(args.json, out)


if __name__ == '__main__':
    main()
