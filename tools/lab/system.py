"""What a lab needs of Linux: commands, namespaces, processes that outlive us, cgroups, mounts. Knows no Kubernetes.

A process is remembered as "PID STARTTIME" in a file, since a PID alone may have been given to somebody else by now.
"""

import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess
import time

CGROUPS = pathlib.Path("/sys/fs/cgroup")
NAMESPACES = pathlib.Path("/run/netns")


class LabError(Exception):
    """What went wrong, and what to do about it: meant to be read by a person."""


def run(argv, check=True, **options):
    """Runs a command and returns the finished process, its output as text."""
    if options.get("input") is None:
        options.setdefault("stdin", subprocess.DEVNULL)
    options.pop("capture_output", None)   # always so, unless stdout or stderr say otherwise
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    options.setdefault("text", True)
    argv = [str(part) for part in argv]
    done = subprocess.run(argv, **options)
    if check and done.returncode != 0:
        said = " ".join(str(text).strip() for text in (done.stderr, done.stdout) if text)
        raise LabError(f"`{' '.join(argv)}` failed ({done.returncode}): {said[-2000:]}")
    return done


def wait_until(question, seconds, what, hint=""):
    """Asks until the answer is true; returns it."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds} s. {hint}".strip())
        time.sleep(0.1)


@contextlib.contextmanager
def entered(namespace):
    """This thread in a network namespace; its sockets stay there."""
    setns = ctypes.CDLL(None, use_errno=True).setns

    def enter(file):
        if setns(file.fileno(), 0x40000000) != 0:   # CLONE_NEWNET
            raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")
    with open("/proc/thread-self/ns/net", "rb") as home, open(NAMESPACES / namespace, "rb") as there:
        enter(there)
        try:
            yield
        finally:
            enter(home)


# ---- processes


def start_time(pid):
    """When `pid` began, in ticks since boot; None if it is gone or a zombie."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class Process:
    """A daemon of the lab, known by a PID file; the program that started it may be gone."""

    def __init__(self, name, folder):
        self.name = name
        self.pid_file = folder / f"{name}.pid"
        self.log_file = folder / f"{name}.log"

    def pid(self):
        try:
            pid, began = map(int, self.pid_file.read_text().split())
        except (OSError, ValueError):
            return None
        return pid if start_time(pid) == began else None

    def start(self, argv, environment=None):
        if self.pid():
            return
        with open(self.log_file, "ab") as log:
            child = subprocess.Popen([str(part) for part in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     start_new_session=True, env=dict(os.environ, **(environment or {})), cwd="/")
        self.pid_file.write_text(f"{child.pid} {start_time(child.pid) or 0}")
        child.returncode = 0   # not ours to wait for: it may outlive this program

    def stop(self, seconds=10, how=signal.SIGTERM):
        pid = self.pid()
        if pid:
            send(pid, how)
            try:
                wait_until(lambda: gone(pid), seconds, f"{self.name} to end")
            except LabError:
                send(pid, signal.SIGKILL)
                wait_until(lambda: gone(pid), 5, f"{self.name} (pid {pid}) to end after SIGKILL")
        self.pid_file.unlink(missing_ok=True)

    def log_tail(self, lines=12):
        try:
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"


def send(pid, how):
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        pass


def gone(pid):
    try:
        os.waitpid(pid, os.WNOHANG)   # a child of ours would stay a zombie
    except OSError:
        pass
    if start_time(pid) is not None:
        return False
    try:   # its first thread may be gone before the others, which still hold ports and files
        return set(os.listdir(f"/proc/{pid}/task")) <= {str(pid)}
    except OSError:
        return True


def kill_all(find, seconds=15):
    """Kills what `find` lists, again and again, until it lists nothing."""
    def none_left():
        pids = {pid for pid in find() if pid != os.getpid() and not gone(pid)}
        for pid in pids:
            send(pid, signal.SIGKILL)
        return not pids
    wait_until(none_left, seconds, "killing the lab's processes")


# ---- network namespaces


def namespace_names():
    return [path.name for path in NAMESPACES.iterdir()] if NAMESPACES.is_dir() else []


def add_namespace(name):
    run(["ip", "netns", "add", name])
    ip(name, "link", "set", "lo", "up")


def delete_namespace(name):
    run(["ip", "netns", "delete", name], check=False)


def inside(namespace, argv):
    """`argv` in a network namespace. Not `ip netns exec`: that mounts a /sys without cgroups."""
    return ["nsenter", f"--net={NAMESPACES / namespace}", "--", *argv]


def ip(namespace, *arguments):
    return run(["ip", "-n", namespace, *arguments])


def set_sysctls(namespace, **values):
    """Names have `__` for a dot; a key this kernel lacks is left out."""
    settings = [f"{name.replace('__', '.')}={value}" for name, value in values.items()]
    run(inside(namespace, ["sysctl", "-q", "-e", "-w", *settings]), check=False)


def pids_in_namespace(name):
    listed = run(["ip", "netns", "pids", name], check=False).stdout
    return {int(pid) for pid in listed.split()}


# ---- cgroups, version 1 (a hierarchy per controller) or 2


def cgroup_roots():
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()] if CGROUPS.is_dir() else []


def cgroup_folders(path):
    """The folders of cgroup `path` in each hierarchy that has it."""
    return [root / path for root in cgroup_roots() if (root / path).is_dir()]


def make_cgroup(path):
    """Makes cgroup `path` in every hierarchy, with the controllers and (version 1) the CPUs of its parent."""
    for root in cgroup_roots():
        folder = root
        for part in path.split("/"):
            parent, folder = folder, folder / part
            if root == CGROUPS:
                controllers = (parent / "cgroup.controllers").read_text().split()
                (parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))
            folder.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if root != CGROUPS and (folder / name).exists() and not (folder / name).read_text().strip():
                    (folder / name).write_text((parent / name).read_text())


def pids_in_cgroup(path):
    found = set()
    for folder in cgroup_folders(path):
        for current, _, _ in os.walk(folder):   # folders may go meanwhile
            with contextlib.suppress(OSError):
                found |= {int(pid) for pid in (pathlib.Path(current) / "cgroup.procs").read_text().split()}
    return found - {0}


def remove_cgroup(path):
    for folder in cgroup_folders(path):
        for current, _, _ in os.walk(folder, topdown=False):
            for _ in range(20):
                try:
                    os.rmdir(current)
                    break
                except FileNotFoundError:
                    break
                except OSError:   # a process that was just killed is still leaving
                    time.sleep(0.05)


# ---- mounts


def unmount_below(folder):
    """Unmounts all that is mounted below `folder`, deepest first, even if busy."""
    prefix = f"{folder}/"
    points = [line.split()[1] for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    for point in sorted((p for p in points if p.startswith(prefix)), key=len, reverse=True):
        run(["umount", "--lazy", point], check=False)
