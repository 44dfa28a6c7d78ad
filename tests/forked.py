"""Python processes that need not import the libraries first, which is most of a short command.

A server imports them once and splits off a process for every command. It has started no thread of
JAX by then. A command finds arguments, environment, folder, streams and cores as it would find them
when started by itself; where it sets a variable that is read when libraries are imported, it gets a
server of its own. It needs Linux.
"""

from __future__ import annotations

import json
import os
import pathlib
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time

LIBRARIES = (
    "vp_jax.runs",
    "vp_jax.many",
    "vp_jax.retest",
    "vp_jax.report.summary",
)
READ_AT_IMPORT = ("JAX_", "PYTHON", "TF_", "MPL", "HF_", "XDG_", "LD_", "OMP_", "OPENBLAS_")
MOST_SERVERS = 2
MESSAGE = 1 << 20


class Process:
    """A command, as `subprocess.Popen` of text with both streams piped has it."""

    def __init__(self, arguments, pid, out, err, report):
        self.args, self.pid, self.returncode = arguments, pid, None
        self.stdout, self.stderr = (open(fd) for fd in (out, err))
        self._report = report
        self._ended = threading.Event()
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self):
        self.returncode = int(self._report.readline() or -signal.SIGKILL)
        self._report.close()
        self._ended.set()

    def poll(self):
        return self.returncode

    def wait(self, timeout=None):
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def send_signal(self, number):
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout=None):
        """What it says until its end, by stream."""
        said = {}

        def read(name):
            with getattr(self, name) as stream:
                said[name] = stream.read()

        readers = [
            threading.Thread(target=read, args=(n,), daemon=True) for n in ("stdout", "stderr")
        ]
        deadline = None if timeout is None else time.monotonic() + timeout
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(None if deadline is None else max(0, deadline - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(None if deadline is None else max(0, deadline - time.monotonic()))
        return said["stdout"], said["stderr"]


class Server:
    """The process that has imported the libraries, under some environment."""

    def __init__(self, environment):
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(other.fileno())],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
            )

    def start(self, arguments, folder, environment):
        """The command, as a process of which this one is no parent."""
        (out, to_out), (err, to_err), (report, to_report) = (os.pipe() for _ in range(3))
        wanted = {
            "arguments": [os.fspath(a) for a in arguments],
            "folder": os.fspath(folder),
            "environment": environment,
            "cores": sorted(os.sched_getaffinity(0)),
        }
        theirs = [to_out, to_err, to_report]
        try:
            socket.send_fds(self._socket, [json.dumps(wanted).encode()], theirs)
        finally:
            for fd in theirs:
                os.close(fd)
        report = open(report)
        return Process(arguments, int(report.readline()), out, err, report)

    def close(self):
        self._socket.close()
        self._process.wait()


_servers: dict[tuple, Server] = {}


def start(arguments, folder, environment):
    """Starts `python ARGUMENTS`.

    Args:
      arguments: `-m MODULE`, or a script, with what follows.
      folder: where it starts.
      environment: all of its variables.
    """
    key = tuple(sorted(x for x in environment.items() if x[0].startswith(READ_AT_IMPORT)))
    server = _servers.pop(key, None)
    if server is None:
        server = Server(environment)
        while len(_servers) >= MOST_SERVERS:
            _servers.pop(next(iter(_servers))).close()
    _servers[key] = server  # the one that was used last stands last
    return server.start(arguments, folder, environment)


def serve(connection):
    """Splits off processes until nobody asks any more; in each of them it returns arguments."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those in between
    while True:
        message, fds, *_ = socket.recv_fds(connection, MESSAGE, 3)
        if not message:
            os._exit(0)
        if os.fork():
            for fd in fds:
                os.close(fd)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        connection.close()
        out, err, report = fds
        if pid := os.fork():
            os.close(out)
            os.close(err)
            os.write(report, f"{pid}\n".encode())
            _, status = os.waitpid(pid, 0)
            os.write(report, f"{os.waitstatus_to_exitcode(status)}\n".encode())
            os._exit(0)
        wanted = json.loads(message)
        os.close(report)
        for fd, number in ((out, 1), (err, 2)):
            os.dup2(fd, number)
            os.close(fd)
        os.chdir(wanted["folder"])
        os.environ.clear()
        os.environ.update(wanted["environment"])
        os.sched_setaffinity(0, wanted["cores"])
        return wanted["arguments"]


def become(arguments):
    """Runs what `python ARGUMENTS` runs."""
    first, *rest = arguments
    if first == "-m":
        module, *rest = rest
        sys.path[0] = os.getcwd()
        sys.argv = [module, *rest]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(pathlib.Path(first).resolve().parent)
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    import importlib

    for library in LIBRARIES:
        importlib.import_module(library)
    become(serve(socket.socket(fileno=int(sys.argv[1]))))
