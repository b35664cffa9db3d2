"""`python -m jobplane.service`: the development server, with its defaults from flags."""

import argparse
import sys
from pathlib import Path

from jobplane.service.dev import run_dev
from jobplane.service.settings import ServiceSettings


def main() -> int:
    """Serve until a signal; gives the exit code."""
    defaults = ServiceSettings()
    parser = argparse.ArgumentParser(prog="python -m jobplane.service", description=__doc__)
    parser.add_argument("--port", type=int, default=defaults.port)
    parser.add_argument("--http-port", type=int, default=defaults.http_port)
    parser.add_argument("--data", type=Path, default=Path(".jobplane"))
    parser.add_argument("--log-format", choices=("auto", "text", "json"), default="auto")
    parser.add_argument("--log-level", default="INFO")
    options = parser.parse_args()
    return run_dev(
        port=options.port,
        http_port=options.http_port,
        data_dir=options.data,
        log_format=options.log_format,
        log_level=options.log_level,
    )


if __name__ == "__main__":
    sys.exit(main())
