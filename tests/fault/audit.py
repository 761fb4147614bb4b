# SPDX-License-Identifier: Apache-2.0
"""The audit: reads the hub's database without any code of the hub.

It decodes the journal, recomputes every leaf and every price, adds up the ledger, and holds the records against what
clients got and what an engine sent.
"""
import base64
import hashlib
import json
import sqlite3
import uuid

SLOW = 'slow'  # the model of faultlib's engine, which knows what it sent
METER_KIND = 43
FLAG_FINAL = 2
WALLET, FUNDING = 1, 4


def sha(data):
    return hashlib.sha256(data).digest()


def commitment(salt, label, data):
    """C of docs/log.md."""
    return sha(sha(salt + label) + label + b'\0' + data)


def root_of(leaves):
    """MTH of RFC 6962."""
    if not leaves:
        return sha(b'')
    while len(leaves) > 1:
        pairs = [sha(b'\1' + a + b) for a, b in zip(leaves[::2], leaves[1::2])]
        leaves = pairs + leaves[len(leaves) - len(leaves) % 2:]
    return leaves[0]


def edge_root(edge):
    """The root that the stored edge of the tree stands for, and its size."""
    size = int.from_bytes(edge[:8], 'little')
    roots = [edge[8 + 32 * i:40 + 32 * i] for i in range(bin(size).count('1'))]
    if not roots:
        return size, sha(b'')
    acc = roots.pop()
    while roots:
        acc = sha(b'\1' + roots.pop() + acc)
    return size, acc


def bundle(data):
    at = 0
    while at < len(data):
        n = int.from_bytes(data[at:at + 2], 'big')
        yield data[at + 2:at + 2 + n]
        at += 2 + n


class Meter:
    def __init__(self, number, data, amount):
        self.number, self.cost = number, amount
        self.worker = data[0:16]
        self.sequence = int.from_bytes(data[16:24], 'little')
        ids = [data[24 + 16 * i:40 + 16 * i] for i in range(8)]
        self.request = str(uuid.UUID(bytes=ids[0]))
        self.lease, self.tenant, self.key, self.model, self.variant, self.site, self.price = ids[1:]
        numbers = [int.from_bytes(data[152 + 4 * i:156 + 4 * i], 'little') for i in range(6)]
        self.prompt, self.cached, self.completion, self.reasoning, self.flags, self.status = numbers


class Audit:
    """Reads a database that no hub has open. `complaints` lists (kind, text)."""

    def __init__(self, path):
        self.complaints, self.meters, self.by_request = [], [], {}
        self.events = 0
        self.db = sqlite3.connect(f'file:{path}?mode=ro', uri=True)
        self.integrity()
        self.entries = {}
        self.journal()
        self.log()
        self.money()
        self.db.close()

    def complain(self, kind, text):
        self.complaints.append((kind, text))

    def kinds(self):
        return {kind for kind, _ in self.complaints}

    def integrity(self):
        try:
            found = self.db.execute('PRAGMA integrity_check').fetchall()
        except sqlite3.DatabaseError as e:
            found = [(str(e),)]
        if found != [('ok',)]:
            self.complain('integrity', f'integrity_check: {found[:3]}')

    def journal(self):
        expected = None
        last = {}
        for first, count, events, leaves in self.db.execute(
                'SELECT first, count, events, leaves FROM bb_journal ORDER BY first'):
            if expected is None:
                expected = first
                if first > 1:
                    self.complain('chain', f'the journal begins at {first}')
            if first != expected:
                self.complain('chain', f'row {first}: expected {expected}')
            expected = first + count
            offset = n = 0
            while offset < len(events):
                frame = int.from_bytes(events[offset:offset + 4], 'little')
                entry = events[offset:offset + 16 + frame]
                if len(entry) < 16 + frame:
                    self.complain('chain', f'row {first}: entry {n} is cut')
                    break
                if hashlib.sha256(b'\0' + entry).digest() != leaves[32 * n:32 * n + 32]:
                    self.complain('leaf', f'event {first + n}: the leaf differs')
                self.entries[first + n] = entry
                self.entry(first + n, entry[4:-12], int.from_bytes(entry[-12:-8], 'little', signed=True),
                           int.from_bytes(entry[-8:], 'little', signed=True), last)
                offset += len(entry)
                n += 1
            if n != count or len(leaves) != 32 * count:
                self.complain('chain', f'row {first}: {n} entries, {len(leaves) // 32} leaves, count {count}')
            self.events += n
        core = self.db.execute('SELECT events FROM bb_core').fetchone()
        if core and core[0] != expected:
            self.complain('end', f'the state is at event {core[0]}, the journal at {expected}')

    def log(self):
        """Every event that matters has its leaf, which commits to just its entry; the edge is that of their tree."""
        leaves, seen, meters = [], set(), set()
        for first, count, entries, salts in self.db.execute(
                'SELECT first, count, entries, salts FROM bb_log ORDER BY first'):
            texts = list(bundle(entries))
            if first != len(leaves) or len(texts) != count or len(salts) != 32 * count:
                self.complain('log', f'log row {first}: {len(texts)} entries, count {count}, after {len(leaves)}')
            for i, text in enumerate(texts):
                leaf, salt = json.loads(text), salts[32 * i:32 * i + 32]
                entry = self.entries.get(leaf['event'])
                if entry is None or leaf['event'] in seen:
                    self.complain('log', f'leaf {len(leaves)}: event {leaf["event"]} is not there, or has two')
                elif base64.b64encode(commitment(salt, b'entry', entry)).decode() != leaf['entry']:
                    self.complain('log', f'leaf {len(leaves)}: it is not of event {leaf["event"]}')
                seen.add(leaf['event'])
                leaves.append(sha(b'\0' + text))
                if leaf['kind'] == 'meter':
                    meters.add(leaf['event'])
        missing = [m.number for m in self.meters if m.number not in meters]
        if missing:
            self.complain('log', f'records without a leaf: {missing[:5]}')
        edge = self.db.execute('SELECT edge FROM bb_log_edge').fetchone()
        if edge and edge_root(edge[0]) != (len(leaves), root_of(leaves)):
            self.complain('log', 'the stored edge is not that of the leaves')
        if not edge and self.events:
            self.complain('log', 'there are events and no log')

    def entry(self, number, frame, code, amount, last):
        if int.from_bytes(frame[2:4], 'little') != METER_KIND or code != 0:
            return
        m = Meter(number, frame[20:], amount)
        self.meters.append(m)
        self.by_request.setdefault(m.request, []).append(m)
        if m.sequence <= last.get(m.worker, 0):
            self.complain('sequence', f'event {number}: sequence {m.sequence} of its worker was there before')
        last[m.worker] = m.sequence

    def money(self):
        prices = {row[0]: row[1:] for row in self.db.execute('SELECT id, prompt, cached, completion, reasoning '
                                                             'FROM bb_price')}

        def line(tokens, price):
            whole, rest = divmod(tokens * price, 10 ** 6)
            return whole + (rest > 500000 or (rest == 500000 and whole & 1))

        spent, usage = {}, {}
        for m in self.meters:
            p = prices.get(m.price)
            if p is None:
                self.complain('price', f'event {m.number}: no such price')
                continue
            cost = (line(m.prompt - m.cached, p[0]) + line(m.cached, p[1]) +
                    line(m.completion - m.reasoning, p[2]) + line(m.reasoning, p[3]))
            if cost != m.cost:
                self.complain('price', f'event {m.number}: billed {m.cost}, worth {cost}')
            spent[m.tenant] = spent.get(m.tenant, 0) + m.cost
            total = usage.setdefault(m.tenant, [0, 0, 0, 0])
            for i, v in enumerate((bool(m.flags & FLAG_FINAL), m.prompt, m.completion, m.cost)):
                total[i] += v
        self.spent = {}
        for (owner,) in self.db.execute('SELECT id FROM bb_tenant').fetchall():
            def account(code, owner=owner):
                row = self.db.execute('SELECT debits_pending, debits_posted, credits_posted FROM bb_account '
                                      'WHERE owner = ? AND code = ? AND ledger < 10000', (owner, code)).fetchone()
                return row or (0, 0, 0)
            wallet, funding = account(WALLET), account(FUNDING)
            booked = wallet[1] - funding[2]
            self.spent[owner] = booked
            if booked != spent.get(owner, 0):
                self.complain('spent', f'the ledger says {booked}, the records {spent.get(owner, 0)}')
            if wallet[0] + wallet[1] > wallet[2]:
                self.complain('budget', f'posted {wallet[1]} + held {wallet[0]} exceed {wallet[2]}')
            sums = self.db.execute('SELECT SUM(requests), SUM(prompt), SUM(completion), SUM(cost) FROM bb_usage '
                                   'WHERE tenant = ?', (owner,)).fetchone()
            if [v or 0 for v in sums] != usage.get(owner, [0, 0, 0, 0]):
                self.complain('usage', f'usage rows say {sums}, the records {usage.get(owner)}')
        for number, pending, posted in self.db.execute(
                'SELECT ledger, SUM(debits_pending) - SUM(credits_pending), SUM(debits_posted) - SUM(credits_posted) '
                'FROM bb_account GROUP BY ledger'):
            if pending or posted:
                self.complain('balance', f'ledger {number}: debits - credits = {posted}, pending {pending}')

    def clients(self, responses, sent=None):
        """Holds the records against what clients got. `sent`: tokens that an engine sent, by seed."""
        sent = sent or {}
        for request, meters in self.by_request.items():
            finals = [m for m in meters if m.flags & FLAG_FINAL]
            if len(finals) > 1:
                self.complain('twice', f'request {request} has {len(finals)} final records')
        for r in responses:
            if not r.id:
                continue
            meters = self.by_request.get(r.id, [])
            finals = [m for m in meters if m.flags & FLAG_FINAL]
            prompt, completion = sum(m.prompt for m in meters), sum(m.completion for m in meters)
            if r.complete:
                if len(finals) != 1:
                    self.complain('lost', f'{r}: {len(finals)} final records of {len(meters)}')
                elif finals[0].status != 200:
                    self.complain('status', f'{r}: recorded with status {finals[0].status}')
                if r.usage and (prompt, completion) != (r.usage['prompt_tokens'], r.usage['completion_tokens']):
                    self.complain('tokens', f'{r}: recorded {prompt}+{completion}')
            if completion > r.max_tokens:
                self.complain('over', f'{r}: recorded {completion} tokens')
            if r.model == SLOW and completion > sent.get(r.seed, 0):
                self.complain('over', f'{r}: recorded {completion} tokens, the engine sent {sent.get(r.seed)}')
            # A client that reads to the end gets every byte that the hub's socket took.
            if r.kind == 'stream' and not r.complete and not r.aborted and not r.timed_out and \
                    completion > r.content + 1:
                self.complain('over', f'{r}: recorded {completion} tokens')
        return self.complaints
