"""The services of the contract: every one there is, built or not."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from google.protobuf.descriptor import FileDescriptor

import jobplane.v1 as package

PACKAGE = "jobplane.v1"


@cache
def service_files() -> tuple[FileDescriptor, ...]:
    """Files of the contract that declare services, in the order of their names."""
    names = sorted(module.name for module in iter_modules(package.__path__))
    modules = [
        import_module(f"{PACKAGE}.{name}") for name in names if name.endswith("_service_pb2")
    ]
    return tuple(module.DESCRIPTOR for module in modules)
