"""Example files that come with the package: their names, where they are, and copies to edit."""

from __future__ import annotations

import dataclasses
from importlib import resources
from pathlib import Path

from cartpole_robot.errors import UsageError
from cartpole_robot.files.new_file import new_file

_SUFFIX = ".toml"


@dataclasses.dataclass(frozen=True)
class Packaged:
    """The TOML files in the folder `package`; `kind` is the word for one of them, as in "preset"."""

    package: str
    kind: str

    def names(self) -> tuple[str, ...]:
        """The names of the files without ".toml", sorted."""
        folder = resources.files(self.package)
        return tuple(sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(_SUFFIX)))

    def contents(self, name: str) -> bytes:
        """The bytes of the file called `name`. Raises `UsageError`, which lists the names, where there is none."""
        if name not in self.names():
            raise UsageError(
                f"{self.kind} {name!r} does not come with the package; expected one of {', '.join(self.names())}"
            )
        return resources.files(self.package).joinpath(f"{name}{_SUFFIX}").read_bytes()

    def copy(self, name: str, path: Path, *, option: str) -> None:
        """Write the file called `name`, with its comments, to the new file `path`.

        `option` is the argument that named `path`. Raises `UsageError` for an unknown name, for a path that does not
        end in .toml, and where something is at `path`; `RunError` where the disk fails.
        """
        contents = self.contents(name)
        if path.suffix != _SUFFIX:
            raise UsageError(f"{option} {path}: expected a name that ends in {_SUFFIX}")
        with new_file(path, option=option) as file:
            file.write_bytes(contents)


CARTS = Packaged("cartpole_robot.cart.known", "cart")
PRESETS = Packaged("cartpole_robot.training.presets", "preset")
MAPS = Packaged("cartpole_robot.datasets.maps", "map")
