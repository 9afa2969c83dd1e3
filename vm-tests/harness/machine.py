"""What a scenario can do to a machine: the verbs of the NixOS test driver that our scenarios use, over some way to run a
command on it."""

import abc
import time


class Failed(Exception):
    """A scenario did not find what it promises."""


class Machine(abc.ABC):
    """One node of a scenario."""

    def __init__(self, name: str):
        self.name = name

    @abc.abstractmethod
    def start(self) -> None:
        """Boots it; returns when commands can be run."""

    @abc.abstractmethod
    def crash(self) -> None:
        """Ends it at once, as a power cut would."""

    @abc.abstractmethod
    def shutdown(self) -> None:
        """Stops it in order."""

    @abc.abstractmethod
    def block(self) -> None:
        """Cuts its network."""

    @abc.abstractmethod
    def unblock(self) -> None:
        """Heals its network."""

    @abc.abstractmethod
    def _run(self, command: str, timeout: float) -> tuple[int, str]:
        """Runs a command in a shell: its exit code and output."""

    def execute(self, command: str, timeout: float = 900) -> tuple[int, str]:
        return self._run(command, timeout)

    def succeed(self, *commands: str, timeout: float = 900) -> str:
        output = ""
        for command in commands:
            code, text = self._run(command, timeout)
            if code != 0:
                raise Failed(f"{self.name}: `{command}` ended with {code}:\n{text}")
            output += text
        return output

    def fail(self, *commands: str, timeout: float = 900) -> str:
        output = ""
        for command in commands:
            code, text = self._run(command, timeout)
            if code == 0:
                raise Failed(f"{self.name}: `{command}` should have failed:\n{text}")
            output += text
        return output

    def _wait(self, command: str, timeout: float, good) -> str:
        end = time.monotonic() + timeout
        while True:
            code, text = self._run(command, max(1.0, end - time.monotonic()))
            if good(code):
                return text
            if time.monotonic() > end:
                raise Failed(f"{self.name}: waited {timeout:.0f} s for `{command}`, which ends with {code}:\n{text}")
            time.sleep(0.3)

    def wait_until_succeeds(self, command: str, timeout: float = 900) -> str:
        return self._wait(command, timeout, lambda code: code == 0)

    def wait_until_fails(self, command: str, timeout: float = 900) -> str:
        return self._wait(command, timeout, lambda code: code != 0)

    def wait_for_unit(self, unit: str, timeout: float = 900) -> None:
        unit = unit if "." in unit else f"{unit}.service"
        # A unit that has failed will not come; one that is tried again may.
        script = (
            f"s=$(systemctl show -P ActiveState {unit}); [ $s = active ] && exit 0; [ $s = failed ] && exit 3; exit 1"
        )
        self._wait(script, timeout, lambda code: code in (0, 3))
        code, text = self._run(f"systemctl is-active {unit} || {{ systemctl status --no-pager --full {unit}; exit 1; }}", 60)
        if code != 0:
            raise Failed(f"{self.name}: {unit} has failed:\n{text}")

    def wait_for_open_port(self, port: int, timeout: float = 900) -> None:
        self.wait_until_succeeds(f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'", timeout)

    def systemctl(self, arguments: str) -> tuple[int, str]:
        return self._run(f"systemctl {arguments}", 120)
