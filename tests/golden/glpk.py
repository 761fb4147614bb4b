# SPDX-License-Identifier: Apache-2.0
"""Problems of core/merit as linear programs, and what glpsol (GLPK) says they cost.

The program is written from the words of the problem, with a variable for each class, site and hour and one for what is
left undone: it knows nothing of trees. A problem is the text that merit_case reads.
"""
import pathlib
import shutil
import subprocess
import tempfile

SOLVER = shutil.which('glpsol')


class Problem:
    def __init__(self, text):
        n = iter(int(word) for word in text.split())
        self.sites, self.hours, classes, moving = (next(n) for _ in range(4))
        slots = self.sites * self.hours
        self.capacity = [next(n) for _ in range(slots)]
        self.cost = [next(n) for _ in range(slots)]
        self.transfer = [next(n) for _ in range(self.sites ** 2)] if moving else None
        self.classes = [[next(n) for _ in range(6)] for _ in range(classes)]

    def unit_cost(self, k, s, h):
        home = self.classes[k][1]
        moved = self.transfer[home * self.sites + s] if self.transfer and home >= 0 else 0
        return self.cost[s * self.hours + h] + moved

    def allowed(self, k):
        """Pairs (site, hour) in which class k may be done."""
        sites, _, first, until, _, _ = self.classes[k]
        return [(s, h) for s in range(self.sites) if sites >> s & 1 for h in range(first, until)]

    def text(self):
        rows = [[self.sites, self.hours, len(self.classes), int(self.transfer is not None)], self.capacity, self.cost,
                self.transfer or [], *self.classes]
        return '\n'.join(' '.join(map(str, row)) for row in rows) + '\n'

    def check(self, parts, cost):
        """Complaints about a plan: (class, site, hour, amount) of each part, and what it is said to cost."""
        left = [c[4] for c in self.classes]
        free = list(self.capacity)
        total = 0
        for k, s, h, amount in parts:
            if amount <= 0 or (s, h) not in self.allowed(k):
                yield f'class {k} does {amount} at site {s} in hour {h}'
            left[k] -= amount
            free[s * self.hours + h] -= amount
            total += amount * self.unit_cost(k, s, h)
        total += sum(n * c[5] for n, c in zip(left, self.classes))
        if min(left + free, default=0) < 0:
            yield 'more is done than there is work or capacity'
        if total != cost:
            yield f'the plan costs {total}, not {cost}'

    def program(self):
        """In the CPLEX LP format."""
        yield 'minimize cost:'
        slots = {}
        for k, c in enumerate(self.classes):
            yield f' + {c[5]} late{k}'
            for s, h in self.allowed(k):
                yield f' {self.unit_cost(k, s, h):+d} x{k}_{s}_{h}'
                slots.setdefault((s, h), []).append(f'x{k}_{s}_{h}')
        yield 'subject to'
        for k, c in enumerate(self.classes):
            yield f' work{k}: late{k}'
            yield from (f'  + x{k}_{s}_{h}' for s, h in self.allowed(k))
            yield f'  = {c[4]}'
        for (s, h), names in slots.items():
            yield f' room{s}_{h}:'
            yield from (f'  + {name}' for name in names)
            yield f'  <= {self.capacity[s * self.hours + h]}'
        yield 'end'


def least_cost(problem):
    """What glpsol says that the cheapest plan costs."""
    if not problem.classes:
        return 0.0
    with tempfile.TemporaryDirectory() as folder:
        lp, out = pathlib.Path(folder, 'lp'), pathlib.Path(folder, 'out')
        lp.write_text('\n'.join(problem.program()) + '\n', encoding='ascii')
        done = subprocess.run([SOLVER, '--lp', lp, '-w', out], capture_output=True, text=True, timeout=300, check=False)
        for line in out.read_text().splitlines() if out.exists() else ():
            words = line.split()
            if words[:2] == ['s', 'bas'] and words[4:6] == ['f', 'f']:
                return float(words[6])  # 15 digits
        raise RuntimeError(f'glpsol found no plan: {done.stdout}{done.stderr}')
