"""The bill of materials of a wheel: its models and what it installs, as CycloneDX JSON.

    python .ci/sbom.py dist/mera_edge-*.whl > sbom.cdx.json

Packages and their hashes are those of requirements.lock; models, hashes and licences are the
bundle's own. Licences of packages are read from what is installed here.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependable
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

LOCK = Path(__file__).parents[1] / "requirements.lock"
BUNDLE = "mera_edge/bundle/default/"


def sha256(value: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=value)


def locked() -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield name, version, marker and hashes of every package of the lock."""
    text = LOCK.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line.startswith("#") or "sys_platform == 'win32'" in line:
            continue
        name, version, marker = re.match(r"(\S+)==(\S+)(?: ; (.*?))?(?=\s+--hash)", line).groups()  # type: ignore[union-attr]
        yield name, version, marker or "", re.findall(r"sha256:([0-9a-f]{64})", line)


def package(name: str, version: str, marker: str, hashes: list[str]) -> Component:
    try:
        known = metadata(name)
        licence = known.get("License-Expression") or known.get("License")
    except PackageNotFoundError:
        licence = None
    short = licence if licence and "\n" not in licence and len(licence) < 80 else None
    # One hash of a component is one of its files: the wheels of all platforms are properties.
    properties = [Property(name="mera-edge:wheel:sha256", value=value) for value in hashes]
    if marker:
        properties.append(Property(name="mera-edge:marker", value=marker))
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        purl=PackageURL("pypi", None, name, version),
        bom_ref=f"pkg:pypi/{name}@{version}",
        licenses=[LicenseFactory().make_from_string(short)] if short else (),
        properties=properties,
    )


def models(wheel: zipfile.ZipFile) -> Iterator[Component]:
    manifest = json.loads(wheel.read(BUNDLE + "bundle.json"))
    for role, entry in manifest["roles"].items():
        for key, file in entry["files"].items():
            content = hashlib.sha256(wheel.read(BUNDLE + file["path"])).hexdigest()
            if content != file["sha256"]:
                sys.exit(f"{file['path']} is not what bundle.json says")
            yield Component(
                type=ComponentType.MACHINE_LEARNING_MODEL if key == "model" else ComponentType.DATA,
                name=file["path"],
                bom_ref=f"model:{role}:{key}",
                description=f"{key} of the role {role}, {entry['precision']}",
                hashes=[sha256(content)],
                licenses=[DisjunctiveLicense(name=entry["licence"])],
            )


def main(path: Path) -> None:
    with zipfile.ZipFile(path) as wheel:
        parts = list(models(wheel))
    name, version = path.name.split("-")[:2]
    own = Component(
        type=ComponentType.APPLICATION,
        name=name.replace("_", "-"),
        version=version,
        bom_ref="mera-edge",
        purl=PackageURL("pypi", None, "mera-edge", version),
        hashes=[sha256(hashlib.sha256(path.read_bytes()).hexdigest())],
        licenses=[DisjunctiveLicense(name="Apache-2.0 (code); MODEL_LICENSES.md (weights)")],
    )
    # Neither a time nor a random number: the same wheel gives the same bill.
    bom = Bom(serial_number=None, components=[*parts, *(package(*each) for each in locked())])
    bom.metadata.component = own
    needed: list[Dependable] = list(bom.components)
    bom.register_dependency(own, needed)
    facts = json.loads(
        make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string()
    )
    del facts["metadata"]["timestamp"], facts["serialNumber"]
    text = json.dumps(facts, indent=1, sort_keys=True)
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"the bill is not valid CycloneDX: {error}")
    print(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
