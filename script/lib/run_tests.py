# SPDX-License-Identifier: Apache-2.0
"""Runs the test programs of the build folders through `meson test` and sums their TAP results.

Meson's own verdicts are not used: it calls a program that printed no TAP "skipped", and cmocka 1.1.5's way to
skip ("not ok 2 # SKIP name") a failure. So the programs' output is taken from Meson's JSON log and parsed here.

What counts as one failed test, beside each "not ok": a program that crashes, times out, exits non-zero though
all its tests passed, ends before its plan, or prints no TAP; and processes that outlive the tests that started
them. Those are found because this process adopts every orphan among its descendants, and are ended here.

A skipped test says why: "ok 3 - name # SKIP reason"; a cmocka test prints "# skip: reason" before skip().
"""

import argparse
import concurrent.futures
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time

SANITIZED = ("unit", "property", "golden", "fuzz")  # these run in build-asan, all others in build
WITH_BINARY = ("e2e", "fault")  # with --full, once more with the sanitized binary
LOADS = "load"  # also in this suite: loads the machine by itself
STYLE = "style"
TAIL_LINES = 40
GRACE_S = 2.0

RESULT = re.compile(r"^(not )?ok\b\s*\d*\s*(?:- )?\s*((?:\\.|[^#])*?)\s*(?:#\s*(?:(skip|todo)\S*\s*(.*)|.*))?$", re.I)
PLAN = re.compile(r"^1\.\.(\d+)\s*(?:#\s*skip\S*\s*(.*))?$", re.I)
REASON = re.compile(r"^#\s*skip:\s*(.*)$", re.I)
PROGRESS = re.compile(r"^\s*(\d+/\d+)\s+(.*?)\s+[A-Z]+\s+([\d.]+)s\s*(.*)$")


class Sum:
    """What passed (a count), failed (name, output) and was skipped (name, reason)."""

    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], []

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        text = f"{self.passed} passed, {len(self.failed)} failed"
        return text + (f", {len(self.skipped)} skipped" if self.skipped else "")


def tail(*texts):
    lines = [line for text in texts if text for line in text.rstrip().splitlines()]
    cut = [f"... ({len(lines) - TAIL_LINES} lines before)"] if len(lines) > TAIL_LINES else []
    return cut + lines[-TAIL_LINES:]


def ending(status, timed_out):
    """How a program ended, in words; None if well."""
    if timed_out:
        return "timed out"
    if status is not None and status < 0:
        try:
            return f"crashed: {signal.Signals(-status).name}"
        except ValueError:
            return f"crashed: signal {-status}"
    return f"exit status {status}" if status else None


def judge(program, stdout, stderr, status, timed_out, speaks_tap=True):
    """The sum of one program's run."""
    result, planned, seen, reason, bailed = Sum(), 0, 0, None, None
    bad = []
    for line in stdout.splitlines() if speaks_tap else []:
        if match := PLAN.match(line):
            planned += int(match[1])  # a program with several cmocka groups prints several plans
            if match[1] == "0":
                result.skipped.append((program, match[2] or "no reason given"))
        elif match := RESULT.match(line):
            seen += 1
            not_ok, name, directive, words = match.groups()
            if (directive or "").lower() == "skip":  # cmocka has the test's name where TAP has the reason
                label = f"{program}: {name or words}"
                result.skipped.append((label, reason or (words if name else "") or "no reason given"))
            elif not_ok and directive:
                result.skipped.append((f"{program}: {name}", f"to do: {words}"))
            elif not_ok:
                bad.append(f"{program}: {name or seen}")
            else:
                result.passed += 1
            reason = None
        elif match := REASON.match(line):
            reason = match[1]
        elif line.lower().startswith("bail out!"):
            bailed = line
    end = bailed or ending(status, timed_out)
    if not speaks_tap:
        if status == 77:
            result.skipped.append((program, (tail(stdout, stderr) or ["no reason given"])[-1]))
        elif not end:
            result.passed += 1
    elif seen == 0 and not result.skipped:
        end = f"printed no TAP{', ' + end if end else ''}"
    elif seen < planned:
        end = f"ended after {seen} of {planned} tests{', ' + end if end else ''}"
    elif end and bad and not timed_out and status > 0:
        end = None  # the exit status only repeats that tests failed
    if end and not (status == 77 and not speaks_tap):
        bad.append(f"{program}: {end}")
    output = tail(stdout, stderr) if bad else []
    # The output is the program's, so it is shown once, under the last of its failures.
    result.failed += [(name, output if name is bad[-1] else []) for name in bad]
    return result


# --- processes that outlive their test ---------------------------------------------------------------------------


def adopt_orphans():
    pr_set_child_subreaper = 36
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def descendants():
    """(pid, command line) of every living process below this one."""
    children, alive = {}, {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                state, parent = file.read().rsplit(")", 1)[1].split()[:2]
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                command = file.read().replace("\0", " ").strip()
        except OSError:
            continue  # it ended meanwhile
        children.setdefault(int(parent), []).append(int(pid))
        if state != "Z":
            alive[int(pid)] = command
    found, todo = [], [os.getpid()]
    while todo:
        for pid in children.get(todo.pop(), []):
            todo.append(pid)
            if pid in alive:
                found.append((pid, alive[pid]))
    return found


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def end_leftovers(grace_s=GRACE_S):
    """Ends what still runs after `grace_s`; returns its command lines."""
    left = []
    for sign, wait_s in ((0, grace_s), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        for pid, command in descendants() if sign else []:
            if sign == signal.SIGTERM:
                left.append(command or f"process {pid}")
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                pass
        until = time.monotonic() + wait_s
        while descendants() and time.monotonic() < until:
            reap()
            time.sleep(0.05)
        reap()
        if not descendants():
            break
    return left


# --- runs --------------------------------------------------------------------------------------------------------


class Folder:
    """A build folder and its tests: {(name, suites)}."""

    def __init__(self, path, label):
        self.path, self.label = path, label
        text = subprocess.run(["meson", "introspect", path, "--tests"], check=True, capture_output=True, text=True)
        self.tests = [
            (test["name"], [suite.split(":", 1)[-1] for suite in test["suite"]], test["protocol"])
            for test in json.loads(text.stdout)
        ]

    def protocol(self, program):
        """The protocol of a program named "suite+suite / name" in a log."""
        name = program.split(" / ", 1)[-1]
        return next((protocol for test, _, protocol in self.tests if test == name), "tap")

    def suites(self):
        return sorted({suite for _, suites, _ in self.tests for suite in suites})


def wanted(suites, chosen, sanitized):
    """Whether a test in `suites` runs now: in this kind of folder, and chosen."""
    return (not chosen or bool(set(suites) & set(chosen))) and (bool(set(suites) & set(SANITIZED)) == sanitized)


class Pass:
    """Some tests of a folder, run by one `meson test`: `beside` so many at a time, or None for one on each core."""

    def __init__(self, folder, label, names, environment, multiplier, beside=None, nice=0):
        self.folder, self.label, self.names, self.environment = folder, label, names, environment
        base = "script-test-" + label.replace(" ", "-")
        self.log = os.path.join(folder.path, "meson-logs", base + ".json")
        self.command = ["nice", "-n", str(nice)] if nice else []
        self.command += ["meson", "test", "-C", folder.path, "--no-rebuild", "--logbase", base, "-t", str(multiplier)]
        self.command += (["--num-processes", str(beside)] if beside else []) + names

    def run(self):
        """Their sum. Processes that are left behind are the caller's to find: other passes may run beside this one."""
        if os.path.exists(self.log):
            os.unlink(self.log)
        print(f"-- {self.label}: {len(self.names)} programs", flush=True)
        started = time.monotonic()
        other = []
        # stdin is closed to the tests; Meson must not buffer, so that progress shows as it happens.
        with subprocess.Popen(self.command, env={**self.environment, "PYTHONUNBUFFERED": "1"}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as meson:
            for line in meson.stdout:
                if match := PROGRESS.match(line):
                    number, program, seconds, detail = match.groups()
                    print(f"   {self.label:<10} {number:>7} {strip(program):<44} {float(seconds):7.2f} s  {detail}".rstrip(), flush=True)
                else:
                    other.append(line)
        total = Sum()
        if not os.path.exists(self.log):
            total.failed.append((f"{self.label}: meson test", tail("".join(other))))
            return total
        with open(self.log, encoding="utf-8", errors="replace") as file:
            for record in map(json.loads, file):
                program = strip(record["name"])
                total.add(judge(
                    f"{program} ({self.label})" if "sanitized" in self.label else program,
                    record.get("stdout") or "", record.get("stderr") or "", record.get("returncode"),
                    record["result"] == "TIMEOUT", self.folder.protocol(program) == "tap"))
        print(f"   {self.label}: {total}, {time.monotonic() - started:.1f} s", flush=True)
        return total


def run_beside(passes):
    """Runs them beside one another; their sum, and what outlived them."""
    total = Sum()
    if not passes:
        return total
    try:
        with concurrent.futures.ThreadPoolExecutor(len(passes)) as pool:
            sums = [pool.submit(p.run) for p in passes]
            try:
                for one in sums:
                    total.add(one.result())
            except BaseException:
                end_leftovers(0)  # else leaving this block would wait for the tests
                raise
    finally:
        left = end_leftovers()
    if left:
        total.failed.append((f"{' and '.join(p.label for p in passes)}: processes left behind", left))
    return total


def strip(program):
    """Meson writes "project:suite / name"."""
    return re.sub(r"^[^ /]*?:", "", program)


def run_style(root, environment):
    print(f"-- {STYLE}", flush=True)
    check = subprocess.run([os.path.join(root, "script/lib/check_style.sh")], env=environment, cwd=root, text=True,
                           stdin=subprocess.DEVNULL, capture_output=True, errors="replace", check=False)
    total = judge(STYLE, check.stdout, check.stderr, check.returncode, False)
    print(f"   {total}", flush=True)
    return total


def run_all(options):
    environment = {**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", "LC_ALL": "C.UTF-8"}
    environment.setdefault("UBSAN_OPTIONS", "halt_on_error=1:abort_on_error=1:print_stacktrace=1")
    data = os.path.join(os.path.dirname(options.root), "shared", "data")
    if "BUSBAR_TESTDATA" not in environment and os.path.isdir(data):
        environment["BUSBAR_TESTDATA"] = data
    if options.full:
        environment["BUSBAR_FULL"] = "1"
    total = Sum()
    if not options.suite or STYLE in options.suite:
        total.add(run_style(options.root, environment))
    for passes in plan(options, environment):
        total.add(run_beside(passes))
    return total


def plan(options, environment):
    """What runs when: a list of lists of passes, each list's beside one another.

    The real binary's tests mostly wait, and those under sanitizers only compute. So in the sample the latter run, politely, in the time
    that the former leave; those that load the machine by themselves come when all that is over. With --full nothing runs beside another
    folder's tests, so that what is counted there is the program's own.
    """
    cores = os.cpu_count() or 1
    folders = {name: Folder(os.path.join(options.root, name), name) for name in options.folders}
    binary = {name: os.path.join(options.root, name, "busbar") for name in ("build", "build-asan")}

    def some(name, label, loads, runs_on=None, beside=None, nice=0, chosen=options.suite):
        """The pass of what is chosen of that folder, those that load the machine or the others; none if there is nothing."""
        tests = folders[name].tests if name in folders else []
        names = [test for test, suites, _ in tests if wanted(suites, chosen, name == "build-asan") and (LOADS in suites) == loads]
        own = {**environment, "BUSBAR_BIN": binary[runs_on or name]}
        return [Pass(folders[name], label, names, own, 40 if options.full else 4, beside, nice)] if names else []

    if not options.full:
        return [some("build-asan", "build-asan", False, nice=10) + some("build", "build", False, beside=5 * cores),
                some("build", "build, loads", True, beside=cores)]
    out = [some("build-asan", "build-asan", False)]
    again = [suite for suite in WITH_BINARY if not options.suite or suite in options.suite]
    for label, runs_on, chosen in (("build", "build", options.suite), ("build with the sanitized binary", "build-asan", again)):
        if chosen or runs_on == "build":
            out.append(some("build", label, False, runs_on, 3 * cores, chosen=chosen))
            out.append(some("build", f"{label}, loads", True, runs_on, 1, chosen=chosen))
    return out


def report(total, seconds):
    if total.failed:
        print("-- failed")
        for name, output in total.failed:
            print(f"   {name}")
            for line in output:
                print(f"       {line}")
    if total.skipped:
        print("-- skipped")
        for name, reason in total.skipped:
            print(f"   {name}: {reason}")
    print(f"-- {seconds:.0f} s in all")
    if not total.passed and not total.failed:
        print("   no test ran")
    print(total, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--started-ms", type=int, required=True, help="when script/test began")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--suite", action="append", default=[])
    parser.add_argument("folders", nargs="*")
    options = parser.parse_args()
    if options.list:
        for name in options.folders:
            for test, suites, _ in Folder(os.path.join(options.root, name), name).tests:
                if wanted(suites, options.suite, name == "build-asan"):
                    print(f"{name:<12} {'+'.join(suites) or '-':<12} {test}")
        if not options.suite or STYLE in options.suite:
            print(f"{'':<12} {STYLE:<12} the scripts' and sources' form")
        return 0
    adopt_orphans()
    # A plain end would leave the tests running; as an exception it passes through the clean-up below.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        total = run_all(options)
    except KeyboardInterrupt:
        return 130
    finally:
        end_leftovers(0)
    report(total, time.time() - options.started_ms / 1000)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
