"""Lays out third_party/: the .proto files of others, taken from their Python packages.

google/api and google/rpc ship as .proto files in googleapis-common-protos. The rules of
protovalidate ship only as a descriptor, so that file is printed back into .proto text:
names, numbers and types, which is all that a compiler of our files needs.
"""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import google.api
import google.rpc
from google.protobuf import descriptor_pb2

# The only copy on PyPI is inside this package.
from protovalidate._gen.buf.validate import validate_pb

Field = descriptor_pb2.FieldDescriptorProto
LABELS = {Field.LABEL_OPTIONAL: "optional ", Field.LABEL_REPEATED: "repeated "}
SCALARS = {
    number: name.removeprefix("TYPE_").lower()
    for name, number in descriptor_pb2.FieldDescriptorProto.Type.items()
}


def main() -> None:
    """Write third_party/ anew beside this file."""
    root = Path(__file__).parent.parent / "third_party"
    shutil.rmtree(root, ignore_errors=True)
    for package in ("api", "rpc"):
        copy_protos(package, root / "google" / package)
    validate = root / "buf/validate/validate.proto"
    validate.parent.mkdir(parents=True)
    validate.write_text("\n".join(file_lines(validate_descriptor())) + "\n")


def copy_protos(package: str, target: Path) -> None:
    """Copy the .proto files that lie directly in the google.<package> Python package."""
    target.mkdir(parents=True)
    for folder in getattr(google, package).__path__:
        for source in Path(folder).glob("*.proto"):
            shutil.copy(source, target / source.name)


def validate_descriptor() -> descriptor_pb2.FileDescriptorProto:
    """Give buf/validate/validate.proto as the protovalidate package carries it."""
    raw = validate_pb.desc().proto.to_binary()
    return descriptor_pb2.FileDescriptorProto.FromString(raw)


def file_lines(file: descriptor_pb2.FileDescriptorProto) -> Iterator[str]:
    """Print a proto2 file."""
    yield 'syntax = "proto2";'
    yield f"package {file.package};"
    for path in file.dependency:
        yield f'import "{path}";'
    for enum in file.enum_type:
        yield from enum_lines(enum)
    for message in file.message_type:
        yield from message_lines(message)
    yield from extension_lines(file.extension)


def enum_lines(enum: descriptor_pb2.EnumDescriptorProto) -> Iterator[str]:
    """Print an enum."""
    yield f"enum {enum.name} {{"
    if len({value.number for value in enum.value}) < len(enum.value):
        yield "option allow_alias = true;"
    for value in enum.value:
        yield f"{value.name} = {value.number};"
    yield "}"


def message_lines(message: descriptor_pb2.DescriptorProto) -> Iterator[str]:
    """Print a message, nested ones first."""
    yield f"message {message.name} {{"
    for enum in message.enum_type:
        yield from enum_lines(enum)
    for nested in message.nested_type:
        if not nested.options.map_entry:
            yield from message_lines(nested)
    for field in message.field:
        if not field.HasField("oneof_index"):
            yield LABELS[field.label] + field_line(field)
    for index, oneof in enumerate(message.oneof_decl):
        yield f"oneof {oneof.name} {{"
        for field in message.field:
            if field.HasField("oneof_index") and field.oneof_index == index:
                yield field_line(field)
        yield "}"
    for span in message.extension_range:
        end = "max" if span.end > 2**29 - 1 else span.end - 1
        yield f"extensions {span.start} to {end};"
    yield from extension_lines(message.extension)
    yield "}"


def field_line(field: Field) -> str:
    """Print a field without its label."""
    kind = field.type_name or SCALARS[field.type]
    return f"{kind} {field.name} = {field.number};"


def extension_lines(extensions: Iterable[Field]) -> Iterator[str]:
    """Print the extensions that a file or a message declares."""
    for extension in extensions:
        yield f"extend {extension.extendee} {{"
        yield LABELS[extension.label] + field_line(extension)
        yield "}"


if __name__ == "__main__":
    main()
