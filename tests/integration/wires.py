"""Which way requests go to S3, for tests that say nothing of it."""

from __future__ import annotations

from coatcheck.config import Config, S3Config


def set_default_wire(wire: str) -> None:
    """Make a wire the default of S3Config."""
    S3Config.model_fields["wire"].default = wire
    S3Config.model_rebuild(force=True)
    Config.model_fields["s3"].default = S3Config()
    Config.model_rebuild(force=True)
