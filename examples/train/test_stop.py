#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stops busbar-train with SIGTERM, continues it, and compares the model with one that was never stopped.

usage: test_stop.py BUSBAR_TRAIN
"""

import os
import signal
import subprocess
import sys
import tempfile
import time

SMALL = [
    "--text-bytes", "300000", "--vocab", "512", "--dim", "64", "--ffn", "96", "--layers", "2", "--heads", "4",
    "--kv-heads", "2", "--context", "128", "--rows", "2", "--steps", "600",
]


def main():
    train = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        whole = os.path.join(folder, "whole.gguf")
        parts = os.path.join(folder, "parts.gguf")
        kept = os.path.join(folder, "kept")
        environment = dict(os.environ, BUSBAR_CHECKPOINT_DIR=kept)

        subprocess.run([train, *SMALL, "--quiet", "--out", whole], check=True)

        # by step: exact
        subprocess.run([train, *SMALL, "--out", parts, "--stop-after", "50"], check=True, env=environment)
        assert not os.path.exists(parts), "a stopped run must not write a model"

        # by signal: wherever it is
        job = subprocess.Popen([train, *SMALL, "--out", parts, "--resume"], env=environment)
        time.sleep(0.5)
        job.send_signal(signal.SIGTERM)
        assert job.wait(timeout=30) == 0, "SIGTERM must end a run cleanly"
        assert not os.path.exists(parts), "the signal came too late to test anything"

        # other settings are refused, and the checkpoint survives that
        other = subprocess.run([train, *SMALL, "--seed", "2", "--resume", "--out", parts], env=environment,
                               stderr=subprocess.PIPE, text=True)
        assert other.returncode == 1 and "other options" in other.stderr, other.stderr

        done = subprocess.run([train, *SMALL, "--out", parts, "--resume"], check=True, env=environment,
                              stdout=subprocess.PIPE, text=True)
        assert "continuing from step" in done.stdout, done.stdout
        with open(whole, "rb") as a, open(parts, "rb") as b:
            assert a.read() == b.read(), "a run that was stopped differs from one that was not"
        assert sorted(os.listdir(kept)) == ["checkpoint.bin"], "a temporary file was left"
    print("ok")


if __name__ == "__main__":
    main()
