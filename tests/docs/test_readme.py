"""The README's grpcurl session, run as it stands with the real grpcurl."""

import shlex
import subprocess

from tests.docs.console import ROOT, missing, session


def test_the_session_runs_as_the_readme_shows_it(grpcurl, server):
    ran = 0
    for command, shown in session(ROOT / "README.md"):
        words = shlex.split(command.replace("127.0.0.1:7070", server))
        assert words[0] == "grpcurl"
        done = subprocess.run(
            [grpcurl, *words[1:]], capture_output=True, text=True, timeout=60, check=False
        )
        printed = (done.stdout + done.stderr).splitlines()
        assert missing(shown, printed) is None, (command, missing(shown, printed), printed)
        ran += 1
    assert ran >= 8
