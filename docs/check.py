"""Runs the commands and snippets that the pages show: `make docs-check`.

python -m docs.check [PAGE ...]     all pages, or those whose paths contain one of the words

Each page gets a folder of its own, in which its blocks run in order. Blocks that need hardware, an answer or hours are
marked in the page and not run, nor are those whose tool is missing; their verbs, options, modules and targets are
checked all the same. Exit code 1 where a block fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from docs.extension.command_check import fault_of
from docs.extension.shell import Block, blocks, pages

ROOT = Path(__file__).parent.parent
LONGEST_S = 300.0
SHOWN_LINES = 8
# What `uses` may name, and the commands that make it, in an empty folder.
PREPARED = {
    "runs/diy": "cartpole-robot train --cart diy_arduino --out runs/diy --no-tensorboard",
    "my_cart.toml": "cartpole-robot carts copy diy_arduino my_cart.toml",
    "other_cart.toml": "cartpole-robot carts copy diy_arduino other_cart.toml && "
    "sed -i 's/^cart_mass_kg = { value = 0.65/cart_mass_kg = { value = 0.8/' other_cart.toml",
    "my_preset.toml": "cartpole-robot train --preset recommended --copy-preset my_preset.toml && "
    "sed -i 's/^hidden_units.*/hidden_units = 64\\nhistory_length = 3/' my_preset.toml",
    "strong_cart.toml": "cartpole-robot carts copy diy_arduino strong_cart.toml && "
    "sed -i 's/^stall_force_n = { value = 25.7/stall_force_n = { value = 128.5/' strong_cart.toml",
    "rollouts/swing_up.parquet": "cartpole-robot record lqr --cart diy_arduino --out rollouts/swing_up.parquet",
    "my_log.csv": "cartpole-robot record lqr --cart diy_arduino --out my_log.parquet && "
    "python ROOT/docs/prepared_log.py my_log.parquet my_log.csv",
    "my_map.toml": "sed -n '/^```toml/,/^```$/{/^```/d;p}' ROOT/docs/guides/recordings.md > my_map.toml",
    "late_cart.toml": "cartpole-robot carts copy diy_arduino late_cart.toml && "
    "sed -i 's/^apply = .*/apply = \"next_tick\"\\nlatency_s = 0.04/' late_cart.toml",
    "ppo.zip": "python ROOT/docs/prepared_ppo.py ppo.zip",
    "runs/swing": "",
    "runs/recommended": "",
    "runs/robust": "",
}
"""An empty command is that of something only blocks that are not run use."""


class FailedError(Exception):
    """A block failed; its message is what to print."""


class Check:
    """Runs blocks in temporary folders and counts them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
            "PYTHONPATH": str(ROOT),
            "MPLBACKEND": "Agg",
        }
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    def run_page(self, page: Path) -> None:
        """Run a page's blocks; what fails is kept, and the rest of the page is left out."""
        found = blocks(page)
        folder = self._folder / "-".join(page.with_suffix("").parts[-2:])
        folder.mkdir()
        begun = time.monotonic()
        try:
            for block in found:
                self._take(block, folder)
        except FailedError as error:
            self.failures.append(str(error))
        if found:
            print(f"{page.relative_to(ROOT)}: {len(found)} blocks, {time.monotonic() - begun:.0f} s", flush=True)
        shutil.rmtree(folder)

    def _take(self, block: Block, folder: Path) -> None:
        if block.kind == "sh":
            for command in block.commands():
                fault = fault_of(command)
                if fault is not None:
                    raise FailedError(f"{block.where}: {command}: {fault}")
        left_out = self._left_out(block)
        if left_out is not None:
            self.counts[left_out] += len(block.commands()) if block.kind == "sh" else 1
            return
        for name in block.uses:
            self._prepare(name, folder)
        if block.kind == "sh":
            for command in block.commands():
                self._run(["bash", "-c", command], folder, f"{block.where}: {command}")
                self.counts["commands run"] += 1
        else:
            self._run([sys.executable, "-c", block.text], folder, f"{block.where}: the Python snippet")
            self.counts["Python snippets run"] += 1

    def _left_out(self, block: Block) -> str | None:
        """Why the block is not run, in the words of the summary."""
        if block.needs is not None:
            return "need hardware, an answer or another terminal"
        if block.takes is not None:
            return "take long"
        return None if block.tool is None or shutil.which(block.tool) else f"need {block.tool}, which is missing here"

    def _prepare(self, name: str, folder: Path) -> None:
        """Put `name` into the page's folder; it is made once."""
        if (folder / name).exists():
            return
        kept = self._folder / "prepared" / name
        if not kept.exists():
            kept.parent.parent.mkdir(exist_ok=True)
            made = self._folder / "prepared"
            made.mkdir(exist_ok=True)
            self._run(["bash", "-c", PREPARED[name].replace("ROOT", str(ROOT))], made, f"for {name}: {PREPARED[name]}")
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if kept.is_dir():
            shutil.copytree(kept, target)
        else:
            shutil.copyfile(kept, target)

    def _run(self, words: list[str], folder: Path, what: str) -> None:
        try:
            done = subprocess.run(
                words,
                cwd=folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise FailedError(f"{what}\n  still running after {LONGEST_S:.0f} s; mark how long it takes") from None
        if done.returncode != 0:
            lines = (done.stderr + done.stdout).strip().splitlines()[-SHOWN_LINES:]
            raise FailedError("\n  ".join([f"{what}\n  exit code {done.returncode}", *lines]))


def main(wanted: list[str]) -> int:
    """The exit code; see the module's docstring."""
    with tempfile.TemporaryDirectory(prefix="docs-check-") as temporary:
        check = Check(Path(temporary))
        for page in pages():
            if not wanted or any(word in page.as_posix() for word in wanted):
                check.run_page(page)
    for what, count in sorted(check.counts.items()):
        print(f"{count:4} {what}")
    for failure in check.failures:
        print(f"FAILED {failure}", file=sys.stderr)
    print(f"{len(check.failures)} pages failed")
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
