"""Writes docs/reference/ from the contract: a page per service, kind and error reason.

Everything on the pages comes from the .proto files and their comments; the example
requests are in examples.json, and a test holds them to the rules. Runs in the same
environment as generate.py (`make docs`).
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2 as pb
from google.protobuf import descriptor_pool, message_factory

HERE = Path(__file__).parent
NOTE = (
    "<!-- Written by protos/reference.py from the contract; run `make docs` instead of editing. -->"
)
EXAMPLES: Mapping[str, Any] = json.loads((HERE / "examples.json").read_text())
MESSAGES, ENUMS, SERVICES, NESTED, NESTED_ENUMS, ITEMS = 4, 5, 6, 3, 4, 2
Field = pb.FieldDescriptorProto
# Numbers from here on are easier to read with separators.
LARGE = 10_000
SCALARS = {number: name[5:].lower() for name, number in Field.Type.items()}
WELL_KNOWN = {
    "google.protobuf.Duration": ("Duration", 'JSON "1.5s"'),
    "google.protobuf.Timestamp": ("Timestamp", "JSON RFC 3339"),
    "google.protobuf.FieldMask": ("FieldMask", 'JSON "a,b"'),
    "google.protobuf.Struct": ("Struct", "any JSON object"),
    "google.protobuf.Value": ("Value", "any JSON value"),
    "google.protobuf.ListValue": ("ListValue", "any JSON array"),
    "google.rpc.Status": ("google.rpc.Status", ""),
}


def main() -> None:
    """Write every page into --out, and remove those that no longer have a source."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=HERE.parent / "docs/reference")
    out: Path = options.parse_args().out
    pages = Contract(compiled()).pages()
    for path in {*out.rglob("*.md")} - {out / name for name in pages}:
        if path.read_text().startswith(NOTE):
            path.unlink()
    for name, text in pages.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        body = re.sub(r"\n{3,}", "\n\n", text).strip()
        (out / name).write_text(f"{NOTE}\n\n{body}\n")


def compiled() -> pb.FileDescriptorSet:
    """Give the contract with comments and readable rules."""
    with tempfile.TemporaryDirectory() as name:
        image = Path(name) / "image.binpb"
        outputs = ("--out", f"{name}/gen", "--rules-image", str(image))
        command = [sys.executable, str(HERE / "generate.py"), *outputs]
        subprocess.run(command, check=True)  # noqa: S603  our own script
        return pb.FileDescriptorSet.FromString(image.read_bytes())


@dataclass(frozen=True)
class Type:
    """A message or an enum, with where it stands."""

    full_name: str
    short: str
    file: str
    comment: str
    comments: Mapping[tuple[int, ...], str]
    path: tuple[int, ...]
    descriptor: Any
    is_map: bool = False

    @property
    def anchor(self) -> str:
        """Id of its heading on its page."""
        return self.short.lower().replace(".", "")

    @property
    def is_enum(self) -> bool:
        """Whether it has values, not fields."""
        return isinstance(self.descriptor, pb.EnumDescriptorProto)


class Contract:
    """The contract, as pages."""

    def __init__(self, image: pb.FileDescriptorSet) -> None:
        """Index what `image` declares."""
        self.files = [file for file in image.file if file.name.startswith("jobplane/")]
        self.types = {one.full_name: one for file in self.files for one in types_of(file)}
        pool = descriptor_pool.DescriptorPool()
        for file in image.file:
            pool.Add(file)
        self.pool = pool
        spec = self.types["jobplane.v1.JobSpec"].descriptor
        self.kinds = {
            member.name: member.type_name[1:]
            for member in spec.field
            if member.HasField("oneof_index") and member.type_name.startswith(".jobplane.kinds.")
        }

    def option(self, element: Any, name: str) -> Any:
        """Give the value of an extension option, or None."""
        extension: Any = self.pool.FindExtensionByName(name)
        options = self.pool.FindMessageTypeByName(element.options.DESCRIPTOR.full_name)
        parsed: Any = message_factory.GetMessageClass(options).FromString(
            element.options.SerializeToString()
        )
        if extension.message_type is not None and not parsed.HasExtension(extension):
            return None
        return parsed.Extensions[extension]

    def pages(self) -> dict[str, str]:
        """Give every page by its path."""
        pages = {"README.md": "\n".join(self.index()), "errors.md": "\n".join(self.error_index())}
        for file in self.files:
            for index, service in enumerate(file.service):
                lines = self.service_page(file, index)
                pages[f"services/{service.name}.md"] = "\n".join(lines)
        for kind in self.kinds:
            pages[f"kinds/{kind}.md"] = "\n".join(self.kind_page(kind))
        for reason in self.reasons():
            pages[f"errors/{reason.short}.md"] = "\n".join(self.error_page(reason))
        for file in self.files:
            page = page_of(file, self.kinds)
            if page.startswith("types/"):
                pages[page] = "\n".join(self.types_page(file, page))
        return pages

    # Pages

    def index(self) -> Iterator[str]:
        """Overview of all pages, and the roles."""
        yield "# Reference of the contract\n"
        yield "The same names hold in gRPC, in JSON (in lowerCamelCase) and in the CLI.\n"
        yield "## Services\n\n| service | what it does |\n|---|---|"
        for file in self.files:
            for index, service in enumerate(file.service):
                comment = cell(first_sentence(comments_of(file).get((SERVICES, index), "")))
                yield f"| [{service.name}](services/{service.name}.md) | {comment} |"
        yield "\n## Kinds\n\n| kind | what it does |\n|---|---|"
        for kind, spec in self.kinds.items():
            words = cell(first_sentence(about(self.types[spec])))
            yield f"| [{kind}](kinds/{kind}.md) | {words} |"
        yield "\n## Types\n\n| page | what is there |\n|---|---|"
        for file in self.files:
            page = page_of(file, self.kinds)
            if page.startswith("types/"):
                names = [one.short for one in self.types.values() if one.file == file.name]
                tops = ", ".join(f"`{name}`" for name in names if "." not in name)
                yield f"| [{Path(page).stem}]({page}) | {tops} |"
        yield "\n## Errors\n\n[Every error reason](errors.md), what it means and what to do next.\n"
        yield "## Roles\n\nEach role may do all that the ones before it may.\n"
        yield from self.enum_table(self.types["jobplane.v1.Role"])
        yield "\nA role is held in a scope:\n"
        yield from self.enum_table(self.types["jobplane.v1.Scope"])

    def service_page(self, file: pb.FileDescriptorProto, index: int) -> Iterator[str]:
        """One service: its RPCs, then the types that they share."""
        service, comments = file.service[index], comments_of(file)
        page = f"services/{service.name}.md"
        yield f"# {service.name}\n"
        yield f"`{file.package}.{service.name}`: {comments.get((SERVICES, index), '')}\n"
        yield "| RPC | role | HTTP |\n|---|---|---|"
        for method in service.method:
            routes = "<br>".join(f"`{verb} {path}`" for verb, path, _ in self.routes(method))
            yield f"| [{method.name}](#{method.name.lower()}) | {self.role(method)} | {routes} |"
        shown = set()
        for number, method in enumerate(service.method):
            comment = comments.get((SERVICES, index, ITEMS, number), "")
            yield from self.method_section(f"{file.package}.{service.name}", method, comment)
            shown |= {method.input_type[1:], method.output_type[1:]}
        rest = list(self.sections(file.name, shown, page))
        if rest:
            yield "\n## Types of this service\n"
            yield from rest

    def method_section(
        self, service: str, method: pb.MethodDescriptorProto, comment: str
    ) -> Iterator[str]:
        """One RPC: route, role, example, request and response."""
        short = service.rpartition(".")[2]
        page, example = f"services/{short}.md", json.dumps(EXAMPLES[f"{short}.{method.name}"])
        yield f"\n## {method.name}\n\n{comment}\n"
        yield f"Role: {self.role(method)}. {self.repeats(method)}".strip() + "\n"
        for verb, path, body in self.routes(method):
            inside = {"": "", "*": ", the rest as JSON body"}.get(body, f", body `{body}`")
            yield f"- `{verb} {path}`{inside}"
        yield f"\n```sh\ngrpcurl -plaintext -d '{example}' \\"
        yield f"  localhost:7070 {service}/{method.name}\n```\n"
        for label, is_stream, name in (
            ("Request", method.client_streaming, method.input_type),
            ("Response", method.server_streaming, method.output_type),
        ):
            one = self.types[name[1:]]
            yield f"**{label}** `{one.short}`{' (a stream)' if is_stream else ''}\n"
            yield from self.message_rules(one)
            yield from self.field_table(one, page)
            yield from self.nested_sections(one, page)

    def kind_page(self, kind: str) -> Iterator[str]:
        """One kind: an example, then its spec and result with all that is in them."""
        spec = self.types[self.kinds[kind]]
        example = json.dumps(EXAMPLES[f"kinds.{kind}"], indent=2)
        yield f"# {kind}\n\n{about(spec)}\n"
        yield f"Submitted as `spec.{kind}`. An example of the whole `spec`:\n"
        yield f"```json\n{example}\n```\n"
        yield from self.sections(spec.file, set(), f"kinds/{kind}.md")

    def types_page(self, file: pb.FileDescriptorProto, page: str) -> Iterator[str]:
        """Types that several services or kinds share."""
        yield f"# {Path(page).stem.replace('_', ' ').capitalize()}\n"
        yield f"Package `{file.package}`.\n"
        yield from self.sections(file.name, set(), page)

    def reasons(self) -> Iterator[Type]:
        """Error reasons, each as a type of its own."""
        enum = self.types["jobplane.v1.ErrorReason"]
        for index, value in enumerate(enum.descriptor.value):
            if value.number:
                short = value.name.removeprefix("ERROR_REASON_")
                comment = enum.comments.get((*enum.path, ITEMS, index), "")
                yield Type(enum.full_name, short, enum.file, comment, {}, (), value)

    def error_index(self) -> Iterator[str]:
        """All error reasons in one table."""
        yield "# Error reasons\n"
        yield (
            "Every error carries `google.rpc.ErrorInfo` with one of these reasons, in the domain "
            "`jobplane`. Branch on the reason, never on the message. The REST gateway answers with "
            "the HTTP status of the last column. What goes wrong in the *work* of a job is no RPC "
            "error: it is `Job.failure`.\n"
        )
        yield "| reason | code | meaning | try again | HTTP |\n|---|---|---|---|---|"
        for reason in self.reasons():
            answer = self.option(reason.descriptor, "jobplane.v1.answer")
            again = "yes, after a delay" if answer.retryable else "no"
            link = f'<a id="{reason.short}"></a>[{reason.short}](errors/{reason.short}.md)'
            columns = (link, code_name(answer), cell(reason.comment), again, answer.http_status)
            yield f"| {' | '.join(map(str, columns))} |"

    def error_page(self, reason: Type) -> Iterator[str]:
        """One error reason: what it means and what to do."""
        answer = self.option(reason.descriptor, "jobplane.v1.answer")
        yield f"# {reason.short}\n\n{reason.comment}\n"
        yield f"**What to do:** {answer.next_step}\n"
        again = "yes, with back-off" if answer.retryable else "no, not before that"
        details = ["google.rpc.ErrorInfo", *answer.details]
        yield "| | |\n|---|---|"
        yield f"| gRPC code | `{code_name(answer)}` |\n| HTTP status | {answer.http_status} |"
        yield f"| try the same call again | {again} |"
        yield f"| details | {', '.join(f'`{name}`' for name in details)} |"
        if answer.metadata:
            keys = ", ".join(f"`{key}`" for key in answer.metadata)
            yield f"| keys in ErrorInfo.metadata | {keys} |"
        yield "\n[All reasons](../errors.md)"

    # Parts of pages

    def sections(self, file: str, shown: set[str], page: str) -> Iterator[str]:
        """Sections for the types of a file, but those already shown and what is in them."""
        for one in self.types.values():
            inside = any(
                one.full_name == name or one.full_name.startswith(f"{name}.") for name in shown
            )
            if one.file != file or inside or one.is_map:
                continue
            yield f"\n## {one.short}\n\n{one.comment}\n"
            if one.is_enum:
                yield from self.enum_table(one)
            else:
                yield from self.message_rules(one)
                yield from self.field_table(one, page)

    def nested_sections(self, parent: Type, page: str) -> Iterator[str]:
        """Sections for the types inside another one."""
        for one in self.types.values():
            if one.full_name.startswith(f"{parent.full_name}.") and not one.is_map:
                yield f"\n### {one.short}\n\n{one.comment}\n"
                if one.is_enum:
                    yield from self.enum_table(one)
                else:
                    yield from self.message_rules(one)
                    yield from self.field_table(one, page)
        yield ""

    def enum_table(self, one: Type) -> Iterator[str]:
        """Values of an enum."""
        yield "| value | number | meaning |\n|---|---|---|"
        for index, value in enumerate(one.descriptor.value):
            comment = one.comments.get((*one.path, ITEMS, index), "")
            yield f"| `{value.name}` | {value.number} | {cell(comment)} |"

    def message_rules(self, one: Type) -> Iterator[str]:
        """Rules of a message as a whole."""
        rules = self.option(one.descriptor, "buf.validate.message")
        for rule in rules.cel if rules else ():
            yield f"Rule: {cell(rule.message)}.\n"

    def field_table(self, one: Type, page: str) -> Iterator[str]:
        """Fields of a message: type, rule, default, description."""
        if not one.descriptor.field:
            yield "No fields.\n"
            return
        yield "| field | type | rule | default | description |\n|---|---|---|---|---|"
        for index, field in enumerate(one.descriptor.field):
            comment = one.comments.get((*one.path, ITEMS, index), "")
            rules = self.option(field, "buf.validate.field")
            rule = "; ".join(rule_words(rules)) if rules else ""
            notes = [comment, *self.oneof_note(one, field)]
            if self.option(field, "jobplane.v1.sensitive"):
                notes.append("May be a secret: never logged.")
            columns = (
                f"`{field.name}` = {field.number}",
                self.type_words(field, page),
                cell(rule),
                cell(self.default_words(field, comment)),
                cell(" ".join(notes)),
            )
            yield f"| {' | '.join(columns)} |"
        yield ""

    def oneof_note(self, one: Type, field: Field) -> Iterator[str]:
        """Whether a field excludes others."""
        if field.HasField("oneof_index") and not field.proto3_optional:
            oneof = one.descriptor.oneof_decl[field.oneof_index]
            rules = self.option(oneof, "buf.validate.oneof")
            amount = "Exactly one" if rules and rules.required else "At most one"
            yield f"({amount} of `{oneof.name}`.)"

    def type_words(self, field: Field, page: str) -> str:
        """Type of a field, linked."""
        if field.type not in {Field.TYPE_MESSAGE, Field.TYPE_ENUM}:
            words = SCALARS[field.type]
        else:
            name = field.type_name[1:]
            one = self.types.get(name)
            if one and one.is_map:
                key, value = one.descriptor.field
                return f"map of {self.type_words(key, page)} to {self.type_words(value, page)}"
            words = self.link(name, page)
        repeated = field.label == Field.LABEL_REPEATED
        return (
            f"list of {words}"
            if repeated
            else f"optional {words}"
            if field.proto3_optional
            else words
        )

    def link(self, name: str, page: str) -> str:
        """Link to a type from a page one folder deep."""
        if name in WELL_KNOWN:
            short, note = WELL_KNOWN[name]
            return f"{short} ({note})" if note else short
        one = self.types[name]
        file = next(file for file in self.files if file.name == one.file)
        target = page_of(file, self.kinds)
        top = self.types[".".join(name.split(".")[: len(file.package.split(".")) + 1])]
        is_shown_in_method = target.startswith("services/") and top.short.endswith(
            ("Request", "Response")
        )
        anchor = top.short.removesuffix("Request").removesuffix("Response").lower()
        anchor = anchor if is_shown_in_method and top is one else one.anchor
        return (
            f"[{one.short}](#{anchor})"
            if target == page
            else f"[{one.short}](../{target}#{anchor})"
        )

    def default_words(self, field: Field, comment: str) -> str:
        """What an unset field means, where the contract says so."""
        said = re.search(r"[Dd]efault (?:is )?((?:[^;,.]|\.(?=\d)|,(?=\d))+)", comment)
        if said:
            return said[1].strip().rstrip(")")
        if field.type == Field.TYPE_ENUM and field.label != Field.LABEL_REPEATED:
            enum = self.types[field.type_name[1:]]
            same = re.match(r"Same as (\w+)", enum.comments.get((*enum.path, ITEMS, 0), ""))
            return same[1] if same else ""
        return ""

    def role(self, method: pb.MethodDescriptorProto) -> str:
        """What a caller must hold."""
        access = self.option(method, "jobplane.v1.access")
        enums = (self.types[f"jobplane.v1.{name}"].descriptor for name in ("Role", "Scope"))
        role, scope = (
            next(value.name for value in enum.value if value.number == number)
            for enum, number in zip(enums, (access.role, access.scope), strict=True)
        )
        where = "in the project" if scope == "SCOPE_PROJECT" else "on the server"
        return f"{role.removeprefix('ROLE_')} {where}"

    def repeats(self, method: pb.MethodDescriptorProto) -> str:
        """What a second call does."""
        levels = pb.MethodOptions
        if method.options.idempotency_level == levels.NO_SIDE_EFFECTS:
            return "It changes nothing, so it can be repeated."
        if method.options.idempotency_level == levels.IDEMPOTENT:
            return "A repeat changes nothing more."
        keys = {field.name for field in self.types[method.input_type[1:]].descriptor.field}
        return "A repeat is safe with an idempotency_key." if "idempotency_key" in keys else ""

    def routes(self, method: pb.MethodDescriptorProto) -> list[tuple[str, str, str]]:
        """Verb, path and body of each REST route."""
        rule = self.option(method, "google.api.http")
        rules = [rule, *rule.additional_bindings] if rule else []
        return [
            (verb.upper(), getattr(one, verb), one.body)
            for one in rules
            for verb in ("get", "post", "put", "patch", "delete")
            if getattr(one, verb)
        ]


def types_of(file: pb.FileDescriptorProto) -> Iterator[Type]:
    """Every message and enum of a file, outer ones first."""
    comments = comments_of(file)

    def walk(message: Any, path: tuple[int, ...], short: str) -> Iterator[Type]:
        name = f"{file.package}.{short}"
        comment, is_map = comments.get(path, ""), message.options.map_entry
        yield Type(name, short, file.name, comment, comments, path, message, is_map)
        for index, nested in enumerate(message.nested_type):
            yield from walk(nested, (*path, NESTED, index), f"{short}.{nested.name}")
        for index, enum in enumerate(message.enum_type):
            yield enum_type(enum, (*path, NESTED_ENUMS, index), f"{short}.{enum.name}")

    def enum_type(enum: pb.EnumDescriptorProto, path: tuple[int, ...], short: str) -> Type:
        name = f"{file.package}.{short}"
        return Type(name, short, file.name, comments.get(path, ""), comments, path, enum)

    for index, message in enumerate(file.message_type):
        yield from walk(message, (MESSAGES, index), message.name)
    for index, enum in enumerate(file.enum_type):
        yield enum_type(enum, (ENUMS, index), enum.name)


def comments_of(file: pb.FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """Comments of a file by the path of what they stand before."""
    return {
        tuple(place.path): " ".join(place.leading_comments.split())
        for place in file.source_code_info.location
        if place.leading_comments
    }


def page_of(file: pb.FileDescriptorProto, kinds: Mapping[str, str]) -> str:
    """Page that shows the types of a file."""
    stem = Path(file.name).stem
    if file.service:
        return f"services/{file.service[0].name}.md"
    if stem in kinds:
        return f"kinds/{stem}.md"
    if stem == "options":
        return "README.md"
    return "errors.md" if stem == "error_reason" else f"types/{stem}.md"


def rule_words(rules: Any) -> Iterator[str]:
    """Say a field's rules in words."""
    if rules.required:
        yield "required"
    yield from (rule_sentence(rule.message) for rule in rules.cel)
    kind = rules.WhichOneof("type")
    if kind in {"repeated", "map"}:
        yield from collection_words(getattr(rules, kind))
    elif kind == "enum":
        yield "a known value" + (", not UNSPECIFIED" if rules.enum.not_in else "")
    elif kind:
        yield from scalar_words(getattr(rules, kind))
    if rules.ignore == 1:
        yield "or unset"


def rule_sentence(message: str) -> str:
    """Turn what a violation says into what the rule says."""
    for said, meant in (("must be ", ""), ("must match", "matches"), ("must not contain", "no")):
        if message.startswith(said):
            return meant + message.removeprefix(said)
    return message


def scalar_words(rules: Any) -> Iterator[str]:
    """Say the rules of a single value."""
    named = {field.name for field, _ in rules.ListFields()}
    low = next((name for name in ("gte", "gt") if name in named), "")
    high = next((name for name in ("lte", "lt") if name in named), "")
    least = ("above " if low == "gt" else "") + value_words(getattr(rules, low)) if low else ""
    most = value_words(getattr(rules, high)) if high else ""
    if least and most:
        yield f"{least}..{most}"
    elif low:
        yield least if low == "gt" else f"at least {least}"
    elif high:
        yield f"at most {most}"
    sizes = {
        "min_len": "characters",
        "max_len": "characters",
        "min_bytes": "bytes",
        "max_bytes": "bytes",
    }
    for name, unit in sizes.items():
        if name in named:
            yield f"at {'least' if name[:3] == 'min' else 'most'} {getattr(rules, name)} {unit}"
    if "pattern" in named:
        yield f"matches {rules.pattern}"
    if "in" in named:
        yield "one of " + ", ".join(str(value) for value in getattr(rules, "in"))
    if "finite" in named:
        yield "finite"


def collection_words(rules: Any) -> Iterator[str]:
    """Say the rules of a list or a map."""
    named = {field.name for field, _ in rules.ListFields()}
    for name, word in (
        ("min_items", "least"),
        ("min_pairs", "least"),
        ("max_items", "most"),
        ("max_pairs", "most"),
    ):
        if name in named:
            yield f"at {word} {getattr(rules, name)} {'items' if 'items' in name else 'entries'}"
    if "unique" in named:
        yield "no item twice"
    for name, label in (("items", "each"), ("keys", "keys"), ("values", "values")):
        if name in named:
            yield f"{label}: {', '.join(rule_words(getattr(rules, name)))}"


def value_words(value: Any) -> str:
    """Say a bound: a number, a duration or a time."""
    name = getattr(getattr(value, "DESCRIPTOR", None), "full_name", "")
    if name == "google.protobuf.Duration":
        return f"{value.seconds + value.nanos / 1e9:g} s"
    if name == "google.protobuf.Timestamp":
        return "1970" if not value.seconds else "9999"
    return f"{value:,}" if isinstance(value, int) and value >= LARGE else f"{value:g}"


def code_name(answer: Any) -> str:
    """Name of an answer's status code."""
    codes = answer.DESCRIPTOR.fields_by_name["code"].enum_type.values_by_number
    return str(codes[answer.code].name)


def about(spec: Type) -> str:
    """Say what a kind does: the comment of its spec without the message's name."""
    words = spec.comment.removeprefix(f"{spec.short} ")
    return words[:1].upper() + words[1:]


def first_sentence(text: str) -> str:
    """Text up to its first full stop."""
    return re.split(r"(?<=[a-z)\]]\.)\s", text, maxsplit=1)[0]


def cell(text: str) -> str:
    """Text that is safe inside a table cell."""
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    main()
