"""Every role of a freshly exported bundle through the INT8 gate, with progress and a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console

from mera_calibration.subjects import SUBJECTS
from mera_edge.bundle import Bundle, RoleEntry, RoleName
from mera_edge.errors import InputError
from mera_export import report
from mera_export.int8 import Options, Outcome, check, quantize_role
from mera_export.material import Material, material

Materials = Callable[[RoleName, Path, Bundle], Material]


class Refinement:
    """What `export_bundle` calls to make INT8 of full precision; keeps what came of it.

    Args:
        data: the folder of the corpora.
        options: how, and when to be content.
        console: where progress goes.
        materials: where examples come from.

    Raises:
        InputError: an option makes no sense, or there is no such folder.
    """

    def __init__(
        self, data: Path, options: Options, console: Console, materials: Materials = material
    ) -> None:
        check(options)
        if not data.is_dir():
            raise InputError(f"{data} is no directory", "give the directory with the corpora")
        self.data, self.options, self.console, self.materials = data, options, console, materials
        self.outcomes: list[Outcome] = []

    def __call__(self, bundle: Bundle) -> Mapping[RoleName, RoleEntry]:
        """Try every role of the bundle; return the entries of those that are INT8 now."""
        entries: dict[RoleName, RoleEntry] = {}
        with self.console.status("INT8") as status:
            for role in bundle.manifest.roles:
                if role not in SUBJECTS:
                    why = "it is so small that INT8 would save nothing"
                    self.outcomes.append(Outcome(role, False, (why,)))
                    continue
                outcome, entries[role] = quantize_role(
                    bundle,
                    role,
                    self.materials(role, self.data, bundle),
                    self.options,
                    bundle.directory,
                    status.update,
                )
                self.outcomes.append(outcome)
                verdict = "INT8" if outcome.accepted else f"FP32: {outcome.reasons[0]}"
                self.console.print(f"{role} … {verdict}", style="dim")
        return entries

    def publish(self, directory: Path | None) -> None:
        """Print the comparison, and write it to ``directory`` if there is one."""
        Console().print(report.terminal(self.outcomes))
        if directory is not None:
            report.save(self.outcomes, self.options.limits, directory)
