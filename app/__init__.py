"""openim-direct: the object API of OpenIM v3.4.0 for deployments with several MinIO nodes."""

__version__ = "0.1.0"
