"""A bare client that listens to Services and sends what it is told, one request after another: single times, not throughput."""

import collections
import json
import queue
import threading

from system import LabError

Answer = collections.namedtuple("Answer", "began ended version")


class Talk:
    def __init__(self, bed, *arguments):
        self._bed, self._arguments = bed, arguments
        self._answers, self._seen, self._changed = queue.Queue(), [], threading.Condition()

    def __enter__(self):
        self._bare = self._bed.bare_popen("control", "converse", *self._arguments)
        threading.Thread(target=self._read, daemon=True).start()
        self._answer("ready")
        return self

    def __exit__(self, *_):
        self._bare.stdin.close()
        self._bare.wait(timeout=10)

    def request(self, method, target, body=None):
        self._say(method, target, *([json.dumps(body, separators=(",", ":"))] if body else []))
        status, began, ended, *version = self._answer("answered")
        if not 200 <= int(status) < 300:
            raise LabError(f"{method} {target}: status {status}")
        return Answer(int(began), int(ended), "".join(version))

    def wait_seen(self, name, question):
        """When the event of Service `name` came for which `question(event, address)` is true."""
        with self._changed:
            def found():
                return next((row for row in self._seen if row[1] == name and question(row[0], row[3])), None)
            if not self._changed.wait_for(found, timeout=60):
                raise LabError(f"no such event of Service {name} within a minute")
            return found()[2]

    def _say(self, *words):
        self._bare.stdin.write(" ".join(words) + "\n")

    def _answer(self, kind):
        words = self._answers.get(timeout=60)
        if not words or words[0] != kind:
            raise LabError(f"the bare client ended or answered {words} instead of {kind}")
        return words[1:]

    def _read(self):
        for line in self._bare.stdout:
            words = line.split()
            if words[0] != "seen":
                self._answers.put(words)
                continue
            with self._changed:
                self._seen.append((words[1], words[2], int(words[3]), words[4] if len(words) > 4 else ""))
                self._changed.notify_all()
        self._answers.put([])
