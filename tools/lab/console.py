# SPDX-License-Identifier: Apache-2.0
"""Talks to people: steps with their duration, a line of progress, tables."""

import contextlib
import shutil
import sys
import threading
import time

STYLES = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "dim": "2"}


class Console:
    """Writes to a terminal with colours and moving progress, or plainly to anything else."""

    def __init__(self, stream=None):
        self._stream = stream or sys.stdout
        self.is_terminal = self._stream.isatty()
        self._lock = threading.Lock()

    def style(self, text, style):
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self.is_terminal else text

    def say(self, text=""):
        with self._lock:
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def heading(self, text):
        self.say()
        self.say(self.style(text, "bold"))

    @contextlib.contextmanager
    def step(self, text):
        """Announces what is being done and, at the end, how long it took and how it ended.

        Yields a function that shows a few words of progress and one that replaces the result.
        """
        progress = _Step(self, text)
        progress.begin()
        try:
            yield progress
        except BaseException:
            progress.end("failed", "red")
            raise
        progress.end(progress.result, progress.result_style)

    def show_progress(self, line):
        if self.is_terminal:
            width = shutil.get_terminal_size().columns - 1
            with self._lock:
                self._stream.write(f"\r\x1b[K{line[:width]}")
                self._stream.flush()

    def clear_progress(self):
        if self.is_terminal:
            with self._lock:
                self._stream.write("\r\x1b[K")

    def table(self, header, rows, styles=None):
        """Prints a table: the first column to the left, numbers to the right.

        `styles` may name a style for each row.
        """
        texts = [[_cell(value) for value in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(header, *texts)]

        def line(cells):
            first, *rest = (cell.ljust(width) if index == 0 else cell.rjust(width)
                            for index, (cell, width) in enumerate(zip(cells, widths)))
            return "  " + "   ".join([first, *rest])
        self.say(self.style(line(header), "bold"))
        self.say("  " + "   ".join("─" * width for width in widths))
        for index, row in enumerate(texts):
            style = styles[index] if styles else None
            self.say(self.style(line(row), style) if style else line(row))


class _Step:
    def __init__(self, console, text):
        self._console = console
        self._text = text
        self._words = ""
        self._ended = threading.Event()
        self.result = "done"
        self.result_style = "green"

    def begin(self):
        self._begun = time.monotonic()
        if self._console.is_terminal:
            self._ticker = threading.Thread(target=self._tick, daemon=True)
            self._ticker.start()
        else:
            self._console.say(f"  {self._text} ...")

    def show(self, words):
        """A few words of progress."""
        self._words = words

    def conclude(self, result, style="green"):
        """Sets the words that are printed at the end instead of `done`."""
        self.result, self.result_style = result, style

    def end(self, result, style):
        self._ended.set()
        if self._console.is_terminal:
            self._ticker.join()
            self._console.clear_progress()
        seconds = time.monotonic() - self._begun
        self._console.say(f"  {self._text}: {self._console.style(result, style)} "
                          f"{self._console.style(f'({seconds:.1f} s)', 'dim')}")

    def _tick(self):
        while not self._ended.wait(0.2):
            seconds = time.monotonic() - self._begun
            self._console.show_progress(f"  {self._text} ... {seconds:.0f} s  {self._words}")


def _cell(value):
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
