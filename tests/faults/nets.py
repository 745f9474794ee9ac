"""Hosts with addresses of their own on one machine: network namespaces around a bridge."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

HOSTS = ("redis", "database", "api", "w0", "w1")
NET = "10.77.0.0/24"
_ADDRESS = "10.77.0.{}"


@dataclass(frozen=True)
class Net:
    """A bridge in a namespace `hub` where nothing runs but the harness, and a namespace per host."""

    name: str

    def space(self, host: str) -> str:
        return f"{self.name}-{host}"

    def address(self, host: str) -> str:
        return _ADDRESS.format(HOSTS.index(host) + 2)

    def prefix(self, host: str) -> Sequence[str]:
        """What to put before a command so that it runs on that host."""
        return ["ip", "netns", "exec", self.space(host)]

    def cut(self, host: str) -> None:
        """Nothing goes in or out."""
        self._hub("link", "set", f"port-{host}", "down")

    def mute(self, host: str, target: str) -> None:
        """What `host` sends to `target` is lost on its way; it still hears."""
        nobody = ["lladdr", "02:00:00:00:00:99", "nud", "permanent", "dev", "eth0"]
        self._on(host, "neighbor", "replace", self.address(target), *nobody)

    def slow(self, host: str) -> None:
        """Everything that `host` sends goes through 8 kB/s."""
        shaping = ["tc", "qdisc", "replace", "dev", "eth0", "root", "tbf"]
        limits = ["rate", "64kbit", "burst", "4kb", "latency", "2s"]
        _call(*self.prefix(host), *shaping, *limits)

    def heal(self, host: str) -> None:
        """As before any of these."""
        self._hub("link", "set", f"port-{host}", "up")
        for other in HOSTS:
            with contextlib.suppress(subprocess.CalledProcessError):
                self._on(host, "neighbor", "del", self.address(other), "dev", "eth0")
        with contextlib.suppress(subprocess.CalledProcessError):
            _call(*self.prefix(host), "tc", "qdisc", "del", "dev", "eth0", "root")

    def _hub(self, *command: str) -> None:
        _call("ip", "-n", self.space("hub"), *command)

    def _on(self, host: str, *command: str) -> None:
        _call("ip", "-n", self.space(host), *command)

    def build(self) -> None:
        _call("ip", "netns", "add", self.space("hub"))
        self._hub("link", "set", "lo", "up")
        self._hub("link", "add", "bridge0", "type", "bridge")
        self._hub("address", "add", f"{_ADDRESS.format(1)}/24", "dev", "bridge0")
        self._hub("link", "set", "bridge0", "up")
        for host in HOSTS:
            self._plug(host)

    def _plug(self, host: str) -> None:
        space = self.space(host)
        _call("ip", "netns", "add", space)
        self._on(host, "link", "set", "lo", "up")
        there = ["peer", "name", "eth0", "netns", space]
        self._hub("link", "add", f"port-{host}", "type", "veth", *there)
        self._hub("link", "set", f"port-{host}", "master", "bridge0", "up")
        self._on(host, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
        self._on(host, "link", "set", "eth0", "up")

    def remove(self) -> None:
        for host in (*HOSTS, "hub"):
            subprocess.run(
                ["ip", "netns", "del", self.space(host)], check=False, capture_output=True
            )


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def explain_missing() -> str | None:
    """Why there can be no namespaces here; None if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip") or not shutil.which("tc"):
        return "ip and tc (iproute2) are not installed"
    probe = Net(f"ag{os.getpid()}p")
    try:
        probe.build()
        probe.slow("w0")
    except subprocess.CalledProcessError as error:
        return f"network namespaces are not permitted here: {error.stderr.decode().strip()}"
    finally:
        probe.remove()
    return None


@contextlib.contextmanager
def opened() -> Iterator[Net]:
    """A net that is gone at the end."""
    net = Net(f"ag{os.getpid()}")
    try:
        net.build()
        yield net
    finally:
        net.remove()
