"""Bundles: a directory or zip file with a manifest and all models that a device needs."""

from mera_edge.bundle.load import Bundle, Role
from mera_edge.bundle.manifest import SCHEMA, Manifest, RoleEntry, RoleName

__all__ = ["SCHEMA", "Bundle", "Manifest", "Role", "RoleEntry", "RoleName"]
