"""Every module can be imported on Windows, where parts of the standard library are missing.

That the programs work there isn't tested: the modules of POSIX are looked for in the code.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_imports import MODULES

POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
POSIX_NAMES = {
    "os": {"chown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getgroups", "getloadavg", "getpgid", "getsid",
           "getuid", "initgroups", "killpg", "mkfifo", "nice", "pread", "pwrite", "sched_getaffinity", "setpgid",
           "setsid", "setuid", "statvfs", "sysconf", "uname", "wait3", "wait4", "WNOHANG", "O_NOFOLLOW", "O_DIRECTORY"},
    "signal": {"SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGSTOP", "SIGTSTP", "SIGUSR1",
               "SIGUSR2", "SIGPIPE", "SIG_BLOCK", "SIG_UNBLOCK", "alarm", "pause", "pthread_kill", "pthread_sigmask",
               "setitimer", "siginterrupt", "sigpending", "sigwait", "sigtimedwait"},
    "socket": {"AF_UNIX", "AF_NETLINK", "AF_PACKET", "SO_REUSEPORT"},
    "time": {"tzset", "clock_gettime"},
}  # fmt: skip
# the emulator's jobs run in Linux's namespaces and process groups
LINUX_ONLY = ("submit.execution",)
AFTER_A_FORK = {
    ("lightning_app.trainer.signals", "signal.SIG_BLOCK"),
    ("lightning_app.trainer.signals", "signal.pthread_sigmask"),
}
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def posix_uses(node: ast.AST, guards: str = "", *, in_function: bool = False) -> Iterator[tuple[str, bool]]:
    """Each use of a part that Windows lacks and that nothing around it guards, and whether in a function."""
    if isinstance(node, ast.If | ast.IfExp | ast.BoolOp | ast.With | ast.Try | FUNCTIONS):
        guards += ast.unparse(node)
    in_function = in_function or isinstance(node, FUNCTIONS)
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        yield from ((name, in_function) for name in names if name in POSIX_MODULES and "ImportError" not in guards)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        module, name = node.value.id, node.attr
        is_guarded = f"hasattr({module}, '{name}')" in guards or "AttributeError" in guards
        if name in POSIX_NAMES.get(module, ()) and not is_guarded:
            yield f"{module}.{name}", in_function
    for child in ast.iter_child_nodes(node):
        yield from posix_uses(child, guards, in_function=in_function)


def uses_in(path: Path) -> list[tuple[str, bool]]:
    return list(posix_uses(ast.parse(path.read_text())))


def test_no_module_needs_posix_when_it_is_imported() -> None:
    modules = {module: path for module, path in MODULES.items() if not module.startswith(LINUX_ONLY)}

    assert {(module, name) for module, path in modules.items() for name, _ in uses_in(path)} == AFTER_A_FORK


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import fcntl", [("fcntl", False)]),
        ("from resource import getrlimit", [("resource", False)]),
        ("def f():\n    return os.getuid()", [("os.getuid", True)]),
        ("KILL = signal.SIGKILL", [("signal.SIGKILL", False)]),
        ("user = os.getuid() if hasattr(os, 'getuid') else None", []),
        ("if hasattr(time, 'tzset'):\n    time.tzset()", []),
        ("with suppress(ImportError):\n    import fcntl", []),
    ],
)
def test_a_use_of_posix_is_found(code: str, expected: list[tuple[str, bool]]) -> None:
    assert list(posix_uses(ast.parse(code))) == expected
