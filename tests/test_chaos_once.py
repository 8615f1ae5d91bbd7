"""`make chaos` runs each of its tests once: no two of its parts look into the same file."""

import subprocess
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
RECORDER = '#!/bin/sh\nfor word in "$@"; do printf "%s\\0" "$word"; done >>asked\nprintf "\\n\\0" >>asked\n'


def asked(folder: Path) -> list[list[str]]:
    """What `chaos/run` asks of pytest, call by call."""
    bin = folder / ".venv" / "bin"
    bin.mkdir(parents=True)
    for name, script in (("pytest", RECORDER), ("python", "#!/bin/sh\n")):
        (bin / name).write_text(script)
        (bin / name).chmod(0o755)
    subprocess.run([ROOT / "chaos" / "run"], cwd=folder, check=True, timeout=60)
    calls = (folder / "asked").read_text().split("\n\0")
    return [call.split("\0")[:-1] for call in calls if call]


def files(words: list[str]) -> set[Path]:
    """The files of tests that such a call of pytest looks into."""
    left_out = {ROOT / words[n + 1] for n, word in enumerate(words) if word == "--ignore"}
    roots = [ROOT / word for word in words if (ROOT / word).exists()]
    roots = [root for root in roots if root not in left_out]
    found = {file for root in roots for file in ([root] if root.is_file() else root.rglob("test_*.py"))}
    return {file for file in found if not left_out & {file, *file.parents}}


def test_chaos_looks_into_no_file_of_tests_twice(tmp_path: Path) -> None:
    looked_into = [files(words) for words in asked(tmp_path)]
    assert len(looked_into) > 1 and all(looked_into)
    counts = Counter(file for each in looked_into for file in each)
    assert {file for file, count in counts.items() if count > 1} == set()
    assert set(counts) == set((ROOT / "tests").rglob("test_*.py")), "and into each"
