"""The contract as checks that any server can be held to, from outside.

Each rule is a sentence of the contract and a check of it over gRPC; nothing of a server's
inside is used. `jobplane conformance --address HOST:PORT` runs them.
"""

from jobplane.conformance.rule import Chapter, Rule
from jobplane.conformance.server import Server
from jobplane.conformance.suite import CHAPTERS, Outcome, Verdict, chosen, run

__all__ = ["CHAPTERS", "Chapter", "Outcome", "Rule", "Server", "Verdict", "chosen", "run"]
