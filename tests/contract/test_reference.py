"""The pages of docs/reference/ are whole and lead somewhere."""

import json
import re
from pathlib import Path

import protovalidate
import pytest
from google.protobuf import json_format, message_factory

from jobplane.v1 import error_reason_pb2, spec_pb2
from tests.contract.toolbox import ROOT, methods

REFERENCE = ROOT / "docs/reference"
EXAMPLES = json.loads((ROOT / "protos/examples.json").read_text())
RPCS = {f"{method.containing_service.name}.{method.name}": method for method in methods()}
KINDS = {
    f"kinds.{field.name}"
    for field in spec_pb2.JobSpec.DESCRIPTOR.oneofs_by_name["kind"].fields
    if field.name != "custom"
}


def test_every_rpc_and_kind_has_an_example() -> None:
    assert set(EXAMPLES) == RPCS.keys() | KINDS


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_keeps_the_rules(name: str) -> None:
    message = (
        spec_pb2.JobSpec()
        if name in KINDS
        else message_factory.GetMessageClass(RPCS[name].input_type)()
    )
    protovalidate.validate(json_format.ParseDict(EXAMPLES[name], message))


def test_every_service_kind_and_reason_has_a_page() -> None:
    services = {f"services/{name.partition('.')[0]}.md" for name in RPCS}
    kinds = {f"kinds/{name.partition('.')[2]}.md" for name in KINDS}
    reasons = {
        f"errors/{name.removeprefix('ERROR_REASON_')}.md"
        for name, number in error_reason_pb2.ErrorReason.items()
        if number
    }
    missing = {page for page in services | kinds | reasons if not (REFERENCE / page).exists()}
    assert missing == set()


def anchors(page: Path) -> set[str]:
    text = page.read_text()
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def test_every_link_of_the_reference_leads_somewhere() -> None:
    broken = set()
    for page in REFERENCE.rglob("*.md"):
        for target, anchor in re.findall(r"\]\(([^)#\s:]*)#?([^)\s]*)\)", page.read_text()):
            goal = (page.parent / target).resolve() if target else page
            if not goal.exists() or (anchor and anchor not in anchors(goal)):
                broken.add(f"{page.relative_to(REFERENCE)}: {target}#{anchor}")
    assert broken == set()
