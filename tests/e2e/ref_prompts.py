# SPDX-License-Identifier: Apache-2.0
"""Prompts for comparing two engines: what the models were trained on, and what they were not. The same list each time."""
import os
import random

HEROES = ['fox', 'owl', 'robot', 'princess', 'dragon', 'cat', 'pirate', 'bear', 'penguin', 'knight', 'frog', 'rabbit']
TRAITS = ['brave', 'tiny', 'happy', 'lazy', 'clever', 'shy', 'old', 'kind', 'hungry', 'curious']
OPENINGS = ['Once upon a time, there was a {t} {h}', 'One day, a {t} {h} went to the park', 'The {h} was {t}.',
            'Long ago, there lived a {t} {h} named', 'Tell me a story about a {t} {h}', '{h} and {t}', 'Lily saw a {h}. "Are you {t}?"',
            'It was a cold morning and the {h} felt {t}', 'A {t} {h} found a red ball.', 'There once was a {h} who was not {t}']
ODD = ['', ' ', '  two  spaces ', '\n\nA line\n', 'tab\tand\rreturn', 'caf\u00e9 na\u00efve \u00fcber', '\u65e5\u672c\u8a9e\u306e\u6587',
       '\U0001f600 smile \U0001f680', '<s>again</s>', '</s><s>', '<|user|>Hi<|assistant|>', '<unk> is not <0x41>', '<0x0A>',
       'x' * 40, 'int main(void) { return 0; }', '{"a": [1, 2.5e3, null]}', "It's \"quoted\" -- isn't it?", '\u2581\u2581 lower',
       '1234567890 0.5% $9', 'ooo eee lll sss ttt ddd ggg nnn', 'MiXeD CaSe WoRdS', 'a\u0301 combined', '\u00a0no break', 'end with space ', '<|system|> be kind <|user|>',
       'https://example.org/?q=1&r=2', 'The the the the', '\u200b', 'A' + ' ' * 30 + 'B', '...!!!???', 'na\u00efve caf\u00e9 \u2014 \u201cquote\u201d']


def prompts(n=200 if os.environ.get('BUSBAR_FULL') else 60):
    """n prompts, the odd ones first; none is longer than a small context."""
    r = random.Random(20260)
    out = list(ODD)
    while len(out) < n:
        text = r.choice(OPENINGS).format(t=r.choice(TRAITS), h=r.choice(HEROES))
        if text not in out or len(out) > 150:
            out.append(text + r.choice(['', ',', ' who', '. Then', ' and']))
    return out[:n]
