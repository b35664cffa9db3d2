"""Writes gen/ from protos/: messages, stubs of services, and their types.

Runs under the protoc that the floor of our dependencies was chosen for (`make gen`).
The rules of protovalidate stay in the generated descriptors as plain option bytes, but
the import of buf/validate/validate.proto is taken out, so that no top-level package
`buf` reaches anybody's site-packages: see docs/decisions/0002.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import grpc_tools  # type: ignore[import-not-found]  # only in the generator's environment
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

HERE = Path(__file__).parent
RULES = "buf/validate/validate.proto"


def main() -> None:
    """Generate into --out, and write the image of the contract to --image when given."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=HERE.parent / "gen")
    options.add_argument("--image", type=Path, help="also write the descriptor set here")
    options.add_argument("--rules-image", type=Path, help="the same with the rules readable")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        full = compile_image(folder / "full.binpb")
        image = folder / "image.binpb"
        image.write_bytes(without_rules(full).SerializeToString(deterministic=True))
        write_code(image, folder / "gen")
        mirror(folder / "gen", arguments.out)
        if arguments.image:
            shutil.copy(image, arguments.image)
        if arguments.rules_image:
            shutil.copy(folder / "full.binpb", arguments.rules_image)


def sources() -> list[str]:
    """List our .proto files as protoc names them."""
    return sorted(str(path.relative_to(HERE)) for path in HERE.glob("jobplane/**/*.proto"))


def services(image: Path) -> list[str]:
    """List our files that have services: only they have stubs."""
    files = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes()).file
    return [file.name for file in files if file.service and file.name.startswith("jobplane/")]


def compile_image(target: Path) -> descriptor_pb2.FileDescriptorSet:
    """Compile all our files, with comments and everything they import."""
    builtin = Path(grpc_tools.__file__).parent / "_proto"
    run(
        *(f"-I{folder}" for folder in (HERE, HERE.parent / "third_party", builtin)),
        "--include_imports",
        "--include_source_info",
        f"--descriptor_set_out={target}",
        *sources(),
    )
    return descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())


def without_rules(image: descriptor_pb2.FileDescriptorSet) -> descriptor_pb2.FileDescriptorSet:
    """Drop the file of rules and its imports; the options that used it stay as bytes."""
    light = descriptor_pb2.FileDescriptorSet()
    for original in image.file:
        if original.name == RULES:
            continue
        file = descriptor_pb2.FileDescriptorProto()
        file.CopyFrom(original)
        kept = [path for path in file.dependency if path != RULES]
        del file.dependency[:]
        file.dependency.extend(kept)
        light.file.append(file)
    return light


def write_code(image: Path, out: Path) -> None:
    """Run the code generators over the image."""
    out.mkdir()
    write("python", image, out, sources())
    write("mypy", image, out, sources())
    write("grpc_python", image, out, services(image))
    write("mypy_grpc", image, out, services(image))
    for folder in {path.parent for path in out.glob("jobplane/**/*_pb2.py")}:
        (folder / "py.typed").touch()


def mirror(source: Path, target: Path) -> None:
    """Make target/jobplane equal to source/jobplane, touching only what differs."""
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    present = {path.relative_to(target) for path in target.glob("jobplane/**/*") if path.is_file()}
    for path in present - wanted:
        (target / path).unlink()
    for path in wanted:
        content = (source / path).read_bytes()
        if path not in present or (target / path).read_bytes() != content:
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_bytes(content)
    for folder in sorted(target.glob("jobplane/**/"), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def write(plugin: str, image: Path, out: Path, files: list[str]) -> None:
    """Run one code generator."""
    executable = Path(sys.executable).parent / f"protoc-gen-{plugin}"
    ours = [f"--plugin=protoc-gen-{plugin}={executable}", f"--{plugin}_opt=quiet"]
    run(
        *(ours if executable.exists() else ()),
        f"--descriptor_set_in={image}",
        f"--{plugin}_out={out}",
        *files,
    )


def run(*arguments: str) -> None:
    """Run protoc, or end with its exit code."""
    code = protoc.main(["protoc", *arguments])
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()
