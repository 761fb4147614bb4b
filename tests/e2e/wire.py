# SPDX-License-Identifier: Apache-2.0
"""A wire between an agent and its hub: of a length and a rate of its own, and it can be cut. What it carries it does not understand."""
import queue
import socket
import threading
import time

CHUNK = 16 << 10
UNDER_WAY = 64  # chunks that a direction takes in before it takes no more


class Wire:
    """Half of the round trip each way; both ways are as wide. Where the machine has no netem this is what there is."""

    def __init__(self, rtt_s, bits_s):
        self.hub, self.half_s, self.bits_s = None, rtt_s / 2, bits_s
        self.free = [0.0, 0.0]  # when each direction has sent what it took
        self.lock, self.open = threading.Lock(), []
        self.listening = socket.create_server(('127.0.0.1', 0))
        self.address = f'127.0.0.1:{self.listening.getsockname()[1]}'
        self.whole, self.bytes = True, [0, 0]

    def to(self, hub):
        """Where the agent finds the hub that is at HOST:PORT."""
        self.hub = hub
        threading.Thread(target=self.accept, daemon=True).start()
        return self.address

    def accept(self):
        while True:
            try:
                near, _ = self.listening.accept()
            except OSError:
                return
            host, port = self.hub.split(':')
            try:
                far = self.whole and socket.create_connection((host, int(port)))
            except OSError:
                far = None
            if not far:
                near.close()
                continue
            with self.lock:
                self.open += [near, far]
            for way, (a, b) in enumerate(((near, far), (far, near))):
                a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                chunks = queue.Queue(UNDER_WAY)
                threading.Thread(target=self.take, args=(a, chunks, way), daemon=True).start()
                threading.Thread(target=self.give, args=(b, chunks), daemon=True).start()

    def take(self, end, chunks, way):
        while True:
            try:
                data = end.recv(CHUNK)
            except OSError:
                data = b''
            with self.lock:
                self.free[way] = max(self.free[way], time.monotonic()) + len(data) * 8 / self.bits_s
                self.bytes[way] += len(data)
                there = self.free[way] + self.half_s
            chunks.put((there, data))
            if not data:
                return

    @staticmethod
    def give(end, chunks):
        while True:
            there, data = chunks.get()
            time.sleep(max(0, there - time.monotonic()))
            try:
                if not data:
                    end.shutdown(socket.SHUT_WR)
                    return
                end.sendall(data)
            except OSError:
                return

    def cut(self):
        """What is under way is lost, and nobody gets through until it heals."""
        self.whole = False
        with self.lock:
            for end in self.open:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.open = []

    def heal(self):
        self.whole = True

    def end(self):
        self.listening.close()
        self.cut()
