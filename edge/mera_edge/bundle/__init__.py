"""Bundles: a directory (or a zip of it) with one manifest and every model a device needs."""

from mera_edge.bundle.load import Bundle, Role
from mera_edge.bundle.manifest import SCHEMA, Manifest, RoleEntry, RoleName

__all__ = ["SCHEMA", "Bundle", "Manifest", "Role", "RoleEntry", "RoleName"]
