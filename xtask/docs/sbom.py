"""The list of parts of a release, in CycloneDX's JSON: every crate that reaches users.

Standard input has what ``cargo metadata --locked --format-version 1`` prints; the arguments are
Cargo.lock and the file to write.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path


#: Crates that reach users in another form: in wheels, packages, plugins and programs.
GIVEN = {"zerobuffer-python", "zerobuffer-c", "zerobuffer-bridge", "gst-plugin-zerobuffer"}


def checksums(lock: str) -> dict[tuple[str, str], str]:
    """The checksum of each package that came from a registry."""
    found = re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"\nsource = [^\n]+\nchecksum = "([0-9a-f]{64})"', lock)
    return {(name, version): checksum for name, version, checksum in found}


def reached(metadata: dict, roots: set[str]) -> set[str]:
    """The packages that the roots use, tests and build tools of the project apart."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    seen: set[str] = set()
    todo = list(roots)
    while todo:
        package = todo.pop()
        if package in seen:
            continue
        seen.add(package)
        for dependency in nodes[package]["deps"]:
            # A dependency of tests alone has no other kind.
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])
    return seen


def main(lock: str, target: str) -> None:
    """Write the list."""
    metadata = json.load(sys.stdin)
    sums = checksums(Path(lock).read_text())
    packages = {package["id"]: package for package in metadata["packages"]}
    members = set(metadata["workspace_members"])
    # What is published: `publish` is a list of registries, empty where a crate stays here.
    roots = {name for name in members if packages[name]["publish"] != [] or packages[name]["name"] in GIVEN}
    components = []
    for package in sorted((packages[name] for name in reached(metadata, roots)), key=lambda p: (p["name"], p["version"])):
        name, version = package["name"], package["version"]
        component = {
            "type": "library",
            "bom-ref": f"pkg:cargo/{name}@{version}",
            "name": name,
            "version": version,
            "purl": f"pkg:cargo/{name}@{version}",
        }
        if package["license"]:
            component["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        if (name, version) in sums:
            component["hashes"] = [{"alg": "SHA-256", "content": sums[name, version]}]
        components.append(component)
    version = next(package["version"] for package in metadata["packages"] if package["name"] == "zerobuffer")
    listing = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "library", "name": "zerobuffer", "version": version}},
        "components": components,
    }
    unlicensed = [component["name"] for component in components if "licenses" not in component]
    if unlicensed or len(components) < 10:
        sys.exit(f"{len(components)} parts, of which these have no licence: {unlicensed}")
    Path(target).write_text(json.dumps(listing, indent=2) + "\n")
    print(f"parts: {len(components)} in {target}")


if __name__ == "__main__":
    main(*sys.argv[1:])
