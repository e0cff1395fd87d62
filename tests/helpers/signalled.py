"""Scripts that are interrupted from the keyboard: a real SIGINT, sent to a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

_FRAME = """
import os, signal, sys, threading, time, warnings
import numpy as np
import sksparse._interrupts as interrupts

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

class OnLine:
    '''Standard output that interrupts when a line with some text is printed.'''
    def __init__(self, text, number=1):
        self.text, self.left, self.out = text, number, sys.stdout
    def write(self, text):
        self.out.write(text)
        if self.text in text:
            self.left -= 1
            if self.left == 0:
                interrupt()
    def flush(self):
        self.out.flush()

rng = np.random.default_rng(0)
before = signal.getsignal(signal.SIGINT)
"""


def run_signalled(script: str, seconds: float = 240.0) -> list[str]:
    """Run a script after the preamble above; the words of the last line that it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", _FRAME + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1].split()
