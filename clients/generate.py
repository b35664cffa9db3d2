"""Writes the generated code of the Go and TypeScript clients from the contract.

Run it as `.venv-gen/bin/python clients/generate.py`, after protos/third_party.py. The
same sources give the same bytes: the protoc is the one of .venv-gen, the Go plugins are
built at the versions named here, the TypeScript plugin comes from package-lock.json.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc_tools
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

HERE = Path(__file__).parent
ROOT = HERE.parent
TOOLS = ROOT / ".tools"
GO_MODULE = "github.com/jobplane/jobplane/clients/go"
GO_PLUGINS = {
    "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12",
    "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2",
}
ERROR_DETAILS = "google/rpc/error_details.proto"
# Of the first only options are used, which a client has no need of; the second is between
# servers and workers.
LEFT_OUT = ("google/api/", "jobplane/internal/")

Image = descriptor_pb2.FileDescriptorSet


def main() -> None:
    """Generate both languages, each into its folder below --out."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=HERE)
    out = options.parse_args().out.resolve()
    with tempfile.TemporaryDirectory() as folder:
        image = contract_image(Path(folder))
        write_go(image, Path(folder), out / "go/gen")
        write_typescript(image, Path(folder), out / "typescript/src/gen")


def contract_image(folder: Path) -> Image:
    """Give our contract and the details of errors, as far as a client needs them."""
    contract = folder / "contract.binpb"
    script = ("protos/generate.py", "--out", str(folder / "python"), "--image", str(contract))
    execute(sys.executable, *script)
    image = Image.FromString(contract.read_bytes())
    known = {file.name for file in image.file}
    image.file.extend(file for file in error_details(folder).file if file.name not in known)
    return for_clients(image)


def error_details(folder: Path) -> Image:
    """Compile google/rpc/error_details.proto, which the contract uses but does not import."""
    target = folder / "details.binpb"
    builtin = Path(grpc_tools.__file__).parent / "_proto"
    run(
        *(f"-I{path}" for path in (ROOT / "third_party", builtin)),
        "--include_imports",
        f"--descriptor_set_out={target}",
        ERROR_DETAILS,
    )
    return Image.FromString(target.read_bytes())


def for_clients(image: Image) -> Image:
    """Drop the files that no client needs; options declared in them stay as bytes."""
    light = Image()
    for file in image.file:
        if file.name.startswith(LEFT_OUT):
            continue
        kept = [path for path in file.dependency if not path.startswith(LEFT_OUT)]
        del file.dependency[:]
        file.dependency.extend(kept)
        light.file.append(file)
    return light


def ours(image: Image) -> list[descriptor_pb2.FileDescriptorProto]:
    """Pick the files of our own contract."""
    return [file for file in image.file if file.name.startswith("jobplane/")]


def write_go(image: Image, folder: Path, out: Path) -> None:
    """Write the Go messages and stubs; the import path of a file follows its folder."""
    install_go_plugins()
    named = Image.FromString(image.SerializeToString())
    for file in ours(named):
        path = Path(file.name).parent
        alias = "".join(path.parts[-2:])
        file.options.go_package = f"{GO_MODULE}/gen/{path};{alias}"
    generate(
        named,
        folder,
        out,
        *(f"--plugin={name}={TOOLS / name}" for name in GO_PLUGINS),
        *(f"--{kind}_out={out}" for kind in ("go", "go-grpc")),
        *(f"--{kind}_opt=module={GO_MODULE}/gen" for kind in ("go", "go-grpc")),
        files=[file.name for file in ours(named)],
    )


def install_go_plugins() -> None:
    """Build the Go plugins into .tools, unless the named versions are there."""
    for name, source in GO_PLUGINS.items():
        if source.rpartition("@")[2] in plugin_version(TOOLS / name):
            continue
        execute("go", "install", source, GOBIN=str(TOOLS))


def plugin_version(plugin: Path) -> str:
    """Ask an installed plugin for its version; empty when it is not there."""
    if not plugin.exists():
        return ""
    modules = [line.split() for line in execute("go", "version", "-m", str(plugin)).splitlines()]
    return next((words[2] for words in modules if words[:1] == ["mod"]), "")


def write_typescript(image: Image, folder: Path, out: Path) -> None:
    """Write the TypeScript messages and services, with google.rpc beside them."""
    plugin = HERE / "typescript/node_modules/.bin/protoc-gen-es"
    if not plugin.exists():
        execute("npm", "--prefix", str(HERE / "typescript"), "ci", "--ignore-scripts")
    generate(
        image,
        folder,
        out,
        f"--plugin=protoc-gen-es={plugin}",
        f"--es_out={out}",
        "--es_opt=target=ts,import_extension=js",
        files=[file.name for file in image.file if not file.name.startswith("google/protobuf/")],
    )


def generate(image: Image, folder: Path, out: Path, *arguments: str, files: list[str]) -> None:
    """Run protoc plugins over an image, into an emptied folder."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    source = folder / "image.binpb"
    source.write_bytes(image.SerializeToString(deterministic=True))
    run(f"--descriptor_set_in={source}", *arguments, *files)


def execute(program: str, *arguments: str, **environment: str) -> str:
    """Run a program and give its output, or end where it is missing or fails."""
    path = shutil.which(program)
    if path is None:
        sys.exit(f"{program} is needed to generate the clients; install it and run this again")
    done = subprocess.run(  # noqa: S603  programs and arguments of this file only
        [path, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{program} {' '.join(arguments)} failed with exit code {done.returncode}")
    return done.stdout


def run(*arguments: str) -> None:
    """Run protoc, or end with its exit code."""
    code = protoc.main(["protoc", *arguments])
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()
