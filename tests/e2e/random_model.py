# SPDX-License-Identifier: Apache-2.0
"""A model of a given shape with random weights, as a GGUF file of the llama architecture: as large and as slow as a real one.

What it says is no text. Its blocks are cut from one list whose length is a prime, so that no two rows begin at the same place of it.
"""
import math
import pathlib
import random
import struct

BLOCKS = 65537
Q4_0, Q8_0 = 2, 8
BYTES = {'q4_0': (Q4_0, 18, 4.61), 'q8_0': (Q8_0, 34, 73.3)}  # number, bytes of a block of 32, deviation of its integers
FILE_TYPE = {'q4_0': 2, 'q8_0': 7}
U32, F32, BOOL, TEXT, LIST, I32 = 4, 6, 7, 8, 9, 5


def text(s):
    data = s if isinstance(s, bytes) else s.encode()
    return struct.pack('<Q', len(data)) + data


def pair(key, kind, value):
    packed = text(value) if kind == TEXT else struct.pack({U32: '<I', F32: '<f', BOOL: '<?'}[kind], value)
    return text(key) + struct.pack('<I', kind) + packed


def items(key, kind, values):
    body = b''.join(map(text, values)) if kind == TEXT else struct.pack(f"<{len(values)}{'f' if kind == F32 else 'i'}", *values)
    return text(key) + struct.pack('<IIQ', LIST, kind, len(values)) + body


def words(vocab):
    """Bytes, then syllables: enough that any prompt is some tokens."""
    out = ['<unk>', '<s>', '</s>'] + [f'<0x{i:02X}>' for i in range(256)] + ['\u2581']
    for n in range(vocab):
        word, q = '\u2581' if n & 1 else '', n >> 1
        while True:
            word, q = word + 'bcdfghjklmnpqrstvwxyz'[q % 21] + 'aeiou'[q % 5], q // 21
            if q == 0:
                break
        out.append(word)
    return out[:vocab]


def head(name, shape, form):
    vocab = words(shape['vocab'])
    kinds = [2, 3, 3] + [6] * 256 + [1] * len(vocab)
    said = [pair('general.architecture', TEXT, 'llama'), pair('general.name', TEXT, name),
            pair('llama.context_length', U32, 4096), pair('llama.embedding_length', U32, shape['dim']),
            pair('llama.block_count', U32, shape['layers']), pair('llama.feed_forward_length', U32, shape['ffn']),
            pair('llama.attention.head_count', U32, shape['heads']), pair('llama.attention.head_count_kv', U32, shape['kv_heads']),
            pair('llama.attention.layer_norm_rms_epsilon', F32, 1e-5),
            pair('llama.rope.dimension_count', U32, shape['dim'] // shape['heads']), pair('llama.vocab_size', U32, len(vocab)),
            pair('general.file_type', U32, FILE_TYPE[form]), pair('tokenizer.ggml.model', TEXT, 'llama'),
            items('tokenizer.ggml.tokens', TEXT, vocab), items('tokenizer.ggml.scores', F32, [-float(i) for i in range(len(vocab))]),
            items('tokenizer.ggml.token_type', I32, kinds[:len(vocab)]), pair('tokenizer.ggml.bos_token_id', U32, 1),
            pair('tokenizer.ggml.eos_token_id', U32, 2), pair('tokenizer.ggml.add_bos_token', BOOL, True)]
    return said


def tensors(shape, number):
    """Name, sides, type; 0: of floats that are 1."""
    dim, ffn, kv = shape['dim'], shape['ffn'], shape['dim'] // shape['heads'] * shape['kv_heads']
    out = [('token_embd', (dim, shape['vocab']), number), ('output_norm', (dim,), 0), ('output', (dim, shape['vocab']), number)]
    for i in range(shape['layers']):
        out += [(f'blk.{i}.{name}', sides, number if len(sides) > 1 else 0) for name, sides in (
            ('attn_norm', (dim,)), ('attn_q', (dim, dim)), ('attn_k', (dim, kv)), ('attn_v', (dim, kv)), ('attn_output', (dim, dim)),
            ('ffn_norm', (dim,)), ('ffn_gate', (dim, ffn)), ('ffn_up', (dim, ffn)), ('ffn_down', (ffn, dim)))]
    return out


def write(path, form='q8_0', seed=1, dim=1024, layers=16, ffn=2816, heads=16, kv_heads=4, vocab=4096):
    """The size of the file in bytes. All sides are whole numbers of 32."""
    shape = {'dim': dim, 'layers': layers, 'ffn': ffn, 'heads': heads, 'kv_heads': kv_heads, 'vocab': vocab}
    number, size, deviation = BYTES[form]
    table, r, at = tensors(shape, number), random.Random(seed), 0
    blocks = {}
    for side in {dim, ffn}:
        scale = struct.pack('<e', 1 / (deviation * math.sqrt(side)))
        noise = r.randbytes(BLOCKS * (size - 2))
        one = b''.join(scale + noise[i * (size - 2):(i + 1) * (size - 2)] for i in range(BLOCKS))
        blocks[side] = one
    said = head('random', shape, form)
    with open(path, 'wb') as out:
        out.write(b'GGUF' + struct.pack('<IQQ', 3, len(table), len(said)) + b''.join(said))
        offset, sizes = 0, []
        for name, sides, kind in table:
            n = math.prod(sides)
            sizes.append(4 * n if kind == 0 else n // 32 * size)
            out.write(text(f'{name}.weight') + struct.pack(f'<I{len(sides)}QIQ', len(sides), *sides, kind, offset))
            offset += (sizes[-1] + 31) // 32 * 32
        out.write(b'\0' * (-out.tell() % 32))
        for (_, sides, kind), count in zip(table, sizes):
            if kind == 0:
                out.write(struct.pack('<f', 1.0) * sides[0])
            else:
                at = cut(out, blocks[sides[0]], at, count)
            out.write(b'\0' * (-count % 32))
    return pathlib.Path(path).stat().st_size


def cut(out, blocks, at, count):
    """Writes so many bytes of the list from `at` on, round and round; where it stopped."""
    while count > 0:
        part = blocks[at:at + count]
        out.write(part)
        count -= len(part)
        at = (at + len(part)) % len(blocks)
    return at
