"""Cells as tasks of a Ray cluster; only the driver writes results."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Generic

from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.experiments.cells.crew import AnyTask, Crashed, Failed, Result

LOCAL = "local"
_CLIENT = "ray://"
_CONNECT_S = 5.0
_JOIN_S = 25.0  # Ray itself takes 20 s to say that its token is missing
_TOKEN = "set RAY_AUTH_MODE=token and the cluster's token where it has one (ray get-auth-token)"
_OPTIONS: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
# Ray gives up only after minutes and then ends its process, so a subprocess tries the connection first.
_PROBE = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR'); ray.shutdown()"


class RayCrew(Generic[AnyTask]):
    """One CPU of the cluster per cell, at an address that `check_answers` accepts.

    The address `local` starts a cluster on this machine and ends it again.
    """

    def __init__(self, address: str, slots: int | None, function: Callable[[AnyTask], Result]) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        if address == LOCAL:
            ray.init(address=LOCAL, num_cpus=slots or os.cpu_count(), include_dashboard=False, **_OPTIONS)
        else:
            ray.init(address=address, **_OPTIONS)
        self._ray = ray
        self._is_open = True
        self.slots = slots or max(1, int(ray.cluster_resources().get("CPU", 1.0)))
        self._cell = ray.remote(num_cpus=1, max_retries=0)(function)
        self._under_way: dict[Any, AnyTask] = {}

    def submit(self, task: AnyTask) -> None:
        self._under_way[self._cell.remote(task)] = task

    def results(self) -> list[tuple[AnyTask, Result]]:
        """Wait until a cell ends. Raises `RunError` if the cluster is gone."""
        try:
            ready, _ = self._ray.wait(list(self._under_way), num_returns=1)
        except self._ray.exceptions.RayError as error:
            raise RunError(f"the Ray cluster is gone ({error}); finished cells are kept, run the study again") from None
        return [(self._under_way.pop(reference), self._result(reference)) for reference in ready]

    def _result(self, reference: Any) -> Result:
        errors = self._ray.exceptions
        try:
            result: Result = self._ray.get(reference)
        except errors.RayTaskError as error:
            return Failed(why=str(error.cause))
        except errors.RayError as error:
            reason = (str(error).strip().splitlines() or ["no reason given"])[0]
            return Crashed(why=f"its Ray worker died ({type(error).__name__}: {reason})")
        return result

    def close(self) -> None:
        """Cancel what is under way and leave the cluster."""
        if self._is_open:
            self._is_open = False
            for reference in self._under_way:
                self._ray.cancel(reference, force=True)
            self._ray.shutdown()


def check_answers(address: str) -> None:
    """Raise `UsageError` unless a Ray cluster answers at `address` within seconds, or `address` is `local`.

    Raises `ModuleNotFoundError` without Ray.
    """
    import ray  # noqa: F401

    if address == LOCAL:
        return
    host, _, port = address.removeprefix(_CLIENT).rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(
            f"--ray {address}: expected HOST:PORT of a cluster's head, {_CLIENT}HOST:PORT of its client server, or "
            "local; correct it"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
    except OSError as error:
        raise UsageError(
            f"--ray {address}: nothing answers there ({error.strerror or error}); "
            "start it on its head with: ray start --head"
        ) from None
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, address], capture_output=True, timeout=_JOIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"--ray {address}: the server does not accept a driver within {_JOIN_S:.0f} s; check that it is Ray of the "
            f"same version, and {_TOKEN}"
        ) from None
    if done.returncode != 0:
        output = done.stderr.decode(errors="replace").strip() or "no reason given"
        why = f"it asks for a token: {_TOKEN}" if "AuthToken" in output else output.splitlines()[-1]
        raise UsageError(f"--ray {address}: the cluster cannot be joined: {why}")
