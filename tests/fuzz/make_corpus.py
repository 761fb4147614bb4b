#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds: the cases of tests/net/*.corpus, and small ones made here. Run by hand after a change to those."""
import pathlib
import re
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'e2e'))
import http_corpus  # noqa: E402

SSE = [b'data: a\n\n', b'data: a\r\ndata: b\r\n\r\n', b'data:x\r\rdata: y\n\n', b': ping\n\nevent: e\nid: 1\nretry: 5\ndata\n\n',
       b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n', b'data: stop!\n\ndata: never\n\n',
       b'\xef\xbb\xbfdata: bom\n\n', b'datax: no\ndata:\ndata: \ndata:  two\n\n']
JSON = [b'{}', b'[]', b'null', b'1e400', b'-0', b'0.1e-5', b'18446744073709551615', b'123456789012345678901234567890',
        b'"\\ud83d\\ude00"', b'"\\ud83d"', b'{"a":1,"\\u0061":2}', b'{"a":{"b":[1,2,{"c":null}]}}', b'[' * 64 + b']' * 64,
        b'[' * 65 + b']' * 65, b'{"model":"m","messages":[{"role":"user","content":"\xc3\xa9"}],"stream":true}', b'[1,]',
        b'\xef\xbb\xbf{}', b'"\xc0\x80"', b'{"k0":0,"k1":0,"k2":0,"k3":0,"k4":0,"k5":0,"k6":0,"k7":0,"k8":0,"k9":0,'
        b'"k10":0,"k11":0,"k12":0,"k13":0,"k14":0,"k15":0,"k16":0,"k17":0}']


def uuid(n):
    return bytes([n]) * 16


def text(s):
    return struct.pack('<H', len(s)) + s


def event(kind, payload):
    return struct.pack('<HHqQ', 1, kind, 1_700_000_000_000, 5) + payload


EVENTS = [event(2, struct.pack('<I', 0)), event(1, uuid(1) + struct.pack('<Q', 9) + text(b'0.1.0')),
          event(3, uuid(2) + text(b'site')), event(10, uuid(3) + text(b'tenant') + struct.pack('<Iq', 840, 10**12) + uuid(4)),
          event(12, uuid(5) + uuid(3) + text(b'key') + text(b'abcdef') + b'h' * 32 + struct.pack('<IIIqq', 1, 0, 0, 0, -1)
                + b'\x02' + uuid(7) + uuid(8) + uuid(9)),
          event(20, uuid(6) + text(b'model') + struct.pack('<II', 1, 4096) + text(b'apache-2.0') + text(b'https://x/y')),
          event(41, uuid(1) * 5 + struct.pack('<q', 1000)), event(43, uuid(1) + struct.pack('<Q', 3)), event(99, b''),
          event(2, b'')]



def frame(kind, payload):
    return struct.pack('<IB', len(payload), kind) + payload


FRAMES = [frame(1, struct.pack('<H', 1) + uuid(1)) + frame(3, struct.pack('<Q', 1)), frame(2, event(41, uuid(1) * 5 + struct.pack('<q', 9))),
          frame(2, event(43, uuid(1) + struct.pack('<Q', 3))) + frame(2, b''), frame(16, b'\x01') + frame(17, struct.pack('<Qiq', 5, -7, 0)),
          frame(18, uuid(1) + uuid(2)), frame(19, struct.pack('<Q', 2)) + frame(20, struct.pack('<H', 3) + uuid(3) + text(b'tenant'))
          + frame(21, struct.pack('<Q', 1)), frame(22, struct.pack('<QB', 1, 1)), b'\xff\xff\xff\xff\x02', frame(99, b'')]

def counted(s):
    return struct.pack('<Q', len(s)) + s


def model(kind=0, width=32, special=b'<|user|>', space=True):
    """A whole model of one layer, as small as its tensors' type lets it be; and its head alone."""
    tokens = [b'<unk>', b'<s>', b'</s>', special, b'<0x41>', '\u2581'.encode(), b'a', b'b', b'ab', '\u2581ab'.encode(), b'\xc3\xa9', b' ']
    types = [2, 3, 3, 4, 6] + [1] * (len(tokens) - 5)
    ffn = 32
    pairs = [(b'general.architecture', 8, counted(b'llama')), (b'tokenizer.ggml.model', 8, counted(b'llama')),
             (b'tokenizer.ggml.tokens', 9, struct.pack('<IQ', 8, len(tokens)) + b''.join(map(counted, tokens))),
             (b'tokenizer.ggml.scores', 9, struct.pack(f'<IQ{len(tokens)}f', 6, len(tokens), *(-i for i in range(len(tokens))))),
             (b'tokenizer.ggml.token_type', 9, struct.pack(f'<IQ{len(types)}i', 5, len(types), *types)),
             (b'tokenizer.ggml.add_space_prefix', 7, bytes([space])),
             (b'llama.attention.layer_norm_rms_epsilon', 6, struct.pack('<f', 1e-5)), (b'llama.rope.freq_base', 6, struct.pack('<f', 1e4))]
    for name, value in ((b'context_length', 8), (b'embedding_length', width), (b'block_count', 1), (b'feed_forward_length', ffn),
                        (b'attention.head_count', 4), (b'attention.head_count_kv', 2), (b'rope.dimension_count', width // 4)):
        pairs.append((b'llama.' + name, 4, struct.pack('<I', value)))
    layer = {b'attn_norm': (width, 1), b'attn_q': (width, width), b'attn_k': (width, width // 2), b'attn_v': (width, width // 2),
             b'attn_output': (width, width), b'ffn_norm': (width, 1), b'ffn_gate': (width, ffn), b'ffn_up': (width, ffn),
             b'ffn_down': (ffn, width)}
    tensors = {b'token_embd.weight': (width, len(tokens)), b'output_norm.weight': (width, 1)}
    tensors.update({b'blk.0.' + k + b'.weight': v for k, v in layer.items()})
    head = b'GGUF' + struct.pack('<IQQ', 3, len(tensors), len(pairs))
    head += b''.join(counted(k) + struct.pack('<I', t) + v for k, t, v in pairs)
    body = b''
    for name, (columns, rows) in tensors.items():
        own = kind if rows > 1 else 0
        size = {0: 4 * columns, 1: 2 * columns, 2: columns // 32 * 18, 8: columns // 32 * 34}[own] * rows
        head += counted(name) + struct.pack('<IQQIQ', 2, columns, rows, own, len(body))
        body += (b'\x3c' * size)[:size] + b'\0' * (-size % 32)
    return head + b'\0' * (-len(head) % 32) + body, head


# A byte of length, the text that is encoded, a model's file.
MODELS = [bytes([len(said)]) + said + part for kind, width, said in ((2, 32, b'ab ab<|user|>'), (8, 32, b' a\xc3\xa9\xc3 </s>'), (1, 8, b'A'), (0, 8, b''))
          for part in model(kind, width, space=kind != 1)]

# The first byte picks the reader: jobs, pools, requests, rates.
TRACES = [b'0vc,submit,duration,gpus\na,1,2.5,8\nb,2,3,0\n', b'0a,1,2,8\nb,3,4,-1\n', b'0job_id,ts,duration,chips,user\n1,0,1,1,u\n',
          b'0a,1,2\n', b'1vc,node num\na,64\nb,1\n', b'1a,2\na,3\n', b'2arrival_ms,in_tokens,out_tokens\n0.0,374,44\n4314.579,396,109\n',
          b'2arrival_ms,in_tokens,out_tokens,hash_ids\n0,6758,500,0 1 2 3\n', b'3model,t,rate\nm,0,14.8633\nm,600,18.4033\n',
          # the first of these, compressed
          b'0' + bytes.fromhex('28b52ffd005851010076632c7375626d69742c6475726174696f6e2c677075730a612c312c322e352c380a622c322c332c300a')]

B = b' because "b" cite "c"\n'
RULES = [b'', b'# nothing\n', b'deny', b'  deny a' + B, b'deny a when site.name = x' + B, b'deny A when x' + B,
         b'require r when data.class in [a, "b c", "d\\"\\\\"] that site.jurisdiction = data.home' + B,
         b'allow a from 2023-11-17 until 2026-01-15T08:00:00Z when tenant.licence known' + B,
         b'deny d when chip.tpp >= 1600\n and chip.density >= 5.92 # why\n\tand corridor.crosses_border != no' + B,
         b'deny a when job.chips not-in [1, 2,]' + B + b'deny a when job.exaflop unknown' + B + b'x\n',
         b'\xef\xbb\xbfdeny a\r\n when site.region = "\xc3\xa9"' + B, b'deny a when site.name = "\xff"' + B,
         b'deny a from 2026-02-30 until 1 when chip.vendor < 4 and chip.x = y and chip.tpp = 4.5' + B]

JOB = b'{"version":1,"job":"0193a1b2-0000-7000-8000-000000000001","epoch":1,"argv":["a"]'
USAGE = b'{"ms":5,"wall_ms":6,"chips":[{"kind":"a","chip_ms":9}],"cpu_ms":1,"memory_peak_kib":2,"energy_mj":3,"energy":"measured"}'
# Without a first line #!, which the reader does not ask for: other tools would take them for scripts of ours.
H = b'#SBATCH '
SCRIPTS = [b'', b'', H + b'--time=1-12:00:00 -N 2-4 --gres=gpu:h100:8 # why\n\n# c\n#SBATCH -J "My Job" -pgpu\nsrun x\n#SBATCH -n 9\n',
           H + b'-n4 -c 8 --mem=16G --array=0-9%2\n', H + b'--dependency=afterok:01a2:01a3,afterany:01a4_7 --exclusive --mail-user=x\n',
           b'#BUSBAR --chip h100:4,a100:8 --green\n#BUSBAR\t--deadline +36h --env "A=b c"\r\n',
           H + b'--gpus-per-task=a100:2 --ntasks-per-node 4 -N2\n', H + b'--nodes=0\n', H + b'-t "1:2', H + b'word\n', H + b'--gres=fpga\n',
           H + b'--dependency=singleton\n', H + b'--time\n']
S = b'\x1f'
# The first byte picks the reader: forms, the last line of usage, squeue, sacct, nodes, settings.
JOBS = [b'0' + JOB + b'}', b'0' + JOB + b',"env":["A=\\n"],"isolation":"cgroup","chips":[{"kind":"a","count":1,"index":[3]}],"binds":'
        b'[{"source":"/a","write":true}],"gang":{"rank":0,"world":2,"hosts":["x","y"]},"network":true,"cwd":"/"}',
        b'1{"boot":"b","sequence":1,"until_ms":2,"for_ms":3}', b'2{"end":"preempted","grace_ms":5}', b'3' + USAGE,
        b'4{"end":"oom","text":"t","host":"h","truncated":true,"usage":' + USAGE + b'}', b'5' + USAGE + b'\n{"ms":1,"wa\n',
        b'6' + S.join([b'2_1', b'3', b'bb-a-1', b'RUNNING', b'None', b'n']) + b'\n' + S.join([b'4', b'4', b'bb-a-1', b'X', b'', b'']),
        b'7' + S.join([b'4', b'bb-a-1', b'CANCELLED by 0']) + b'\n',
        b'8NodeName=n Gres=npu:a:8(S:0-1),gpu:2 GresUsed=npu:a:3(IDX:0-1,4) State=IDLE+DRAIN Reason=a b [c]\n',
        b'9MessageTimeout = 20 sec\nSLURM_VERSION = 22.05.8\nAccountingStorageType=accounting_storage/slurmdbd\n']
JOBS = [bytes([seed[0] - 48]) + seed[1:] for seed in JOBS]


LOG = [
    'If you think cryptography is the answer to your problem,\nthen you don\'t know what your problem is.\n\n'
    '\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n'
    .encode(),
    b'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
    b'busbar/0123456789abcdef\n70000\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n',
    b'{"v":1,"event":3,"time":1700000000000,"kind":"meter","code":-6,"entry":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",'
    b'"decision":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","facts":""}',
    b'tile/0/x001/x234/067.p/112', b'tile/entries/000', b'\0\3one\0\0', b'model stories\ncost_nano 17\n',
    # A request to a witness, from another implementation's tests (filippo.io/torchwood).
    'old 1\nKgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nKgIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n'
    'sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562\n3\n'
    'RcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=\n\n'
    '\u2014 sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562 '
    'UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6go=\n'.encode(),
]


def write(target, i, data):
    folder = HERE / 'corpus' / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'{i:03d}').write_bytes(data)


def example_rules():
    return (HERE.parents[1] / 'data' / 'rules' / 'example.rules').read_bytes().split(b'# ----')


def probe():
    """Outputs of the fixtures, each after the number of its step: the makers' order, then the tables'."""
    root = HERE.parents[1]
    makers = re.findall(r'\.steps = (\w+)', (root / 'src' / 'probe' / 'makers.c').read_text(encoding='utf-8'))
    tables = re.split(r'const struct tool_step (\w+)\[\]', (root / 'src' / 'probe' / 'tools.c').read_text(encoding='utf-8'))
    captures = {name: re.findall(r'\.capture = "([^"]+)"', text) for name, text in zip(tables[1::2], tables[2::2])}
    order = [capture.replace('{}', '0') for name in makers for capture in captures[name]]
    for path in sorted((root / 'tests' / 'probe' / 'fixtures').rglob('*')):
        data = path.read_bytes() if path.is_file() else b''
        if path.parent.name == 'tools' and path.name in order:
            yield bytes([order.index(path.name)]) + data[:2000]
        elif path.name == 'expected.json' and len(data) < 1500:
            yield b'\xfe' + data
        elif path.name == 'pci' and len(data) < 1500:
            yield b'\xff' + data


def main():
    for target in ('http_request', 'http_response'):
        i = 0
        for case in http_corpus.read(HERE.parent / 'net' / f'{target[5:]}s.corpus'):
            if len(case.data) <= 1000:
                write(target, i, case.data)
                i += 1
    for target, seeds in (('sse', SSE), ('json', JSON), ('event', EVENTS), ('frame', FRAMES), ('trace', TRACES), ('jobs', JOBS), ('script', SCRIPTS), ('log', LOG),
                          ('rules', RULES + example_rules()), ('ref', MODELS), ('probe', probe())):
        for i, data in enumerate(seeds):
            write(target, i, data)


if __name__ == '__main__':
    main()
