"""The site file: a shop's cameras, their topology, and the policies for decisions."""

from trinetra.site.cameras import ROLE_DEFAULTS, Camera, FloorPosition, Line, RoleDefaults, Zone
from trinetra.site.editor import json_schema, schema_text
from trinetra.site.example import EXAMPLE
from trinetra.site.load import Problem, SiteInvalid, load_site, refusal, site_from_text
from trinetra.site.policies import Matching, Policies, Registry, Retention, Stays, Tracking
from trinetra.site.schema import Site
from trinetra.site.sources import Credentials, FileSource, FolderSource, StreamSource
from trinetra.site.topology import Edge, Topology

__all__ = [
    "EXAMPLE",
    "ROLE_DEFAULTS",
    "Camera",
    "Credentials",
    "Edge",
    "FileSource",
    "FloorPosition",
    "FolderSource",
    "Line",
    "Matching",
    "Policies",
    "Problem",
    "Registry",
    "Retention",
    "RoleDefaults",
    "Site",
    "SiteInvalid",
    "Stays",
    "StreamSource",
    "Topology",
    "Tracking",
    "Zone",
    "json_schema",
    "load_site",
    "refusal",
    "schema_text",
    "site_from_text",
]
