"""The conformance run's own judgement: what it lets pass, what it does not, and what it says when it cannot run."""

import os
import subprocess
from pathlib import Path

import pytest

from conformance import suite
from conformance.clouds import judge

ROOT = Path(__file__).parents[1]
KNOWN = ROOT / "conformance/known.txt"
SUM = "2 differences in 9 compared exchanges; 0 of 0 kinds have no recording"


def judged(tmp_path: Path, *lines: str) -> int:
    """The exit status for these lines of a comparison."""
    differences = tmp_path / "differences"
    differences.write_text("".join(line + "\n" for line in lines))
    with pytest.raises(SystemExit) as end:
        judge(str(differences), str(KNOWN))
    return int(end.value.code or 0)


def test_known_differences_pass_and_others_do_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = "block-storage /v3/types/default GET  200 | extra volume_type.extra_specs.multiattach"
    assert judged(tmp_path, known, SUM) == 0
    assert judged(tmp_path, known, "not recorded: identity / GET  300 (3 times)", SUM) == 0
    unknown = "block-storage /v3/volumes/{id} GET  200 | missing volume.status"
    assert judged(tmp_path, known, unknown, SUM) == 1
    assert unknown in capsys.readouterr().out


def test_nothing_compared_is_a_failure(tmp_path: Path) -> None:
    assert judged(tmp_path) == 1
    assert judged(tmp_path, "0 differences in 0 compared exchanges; 0 of 0 kinds have no recording") == 1


def run(part: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "conformance" / part],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_recordings_it_fails_and_says_so(tmp_path: Path) -> None:
    done = run("walk", WIRE=str(tmp_path))
    assert done.returncode == 2 and "WIRE=" in done.stderr


def test_without_a_nova_that_part_is_skipped_with_a_reason(tmp_path: Path) -> None:
    for name in ("record.py", "corpus.py"):
        (tmp_path / name).touch(mode=0o755)
    done = run("nova", WIRE=str(tmp_path), PEER_SCRIPTS=str(tmp_path), TMPDIR=str(tmp_path), RESULTS=str(tmp_path))
    assert done.returncode == 0 and "skipped" in done.stdout and "PEER_SCRIPTS=" in done.stdout
    assert not list(tmp_path.glob("conformance.*"))


def test_without_the_peers_list_tempest_is_skipped_with_a_reason(tmp_path: Path) -> None:
    done = run("tempest", PEER_SCRIPTS=str(tmp_path), TMPDIR=str(tmp_path), RESULTS=str(tmp_path))
    assert done.returncode == 0 and "skipped" in done.stdout and "PEER_SCRIPTS=" in done.stdout


A, B, C = (f"tempest.api.image.v2.test_images.Some.test_{name}" for name in "abc")


def tempest(tmp_path: Path, log: list[str], kept: list[str], peer: list[str], missing: list[str]) -> int:
    """How a run with this log is judged."""
    for name, lines in (("log", log), ("kept", kept), ("peer", peer), ("missing", missing)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(SystemExit) as end:
        suite.judge(*(str(tmp_path / name) for name in ("log", "kept", "peer", "missing")))
    return int(end.value.code or 0)


def test_what_passed_once_or_there_must_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def line(test: str, how: str) -> str:
        return f"{{0}} {test}[id-1,smoke] [0.5s] ... {how}"

    log = [line(A, "ok"), line(B, "FAILED"), line(C, "SKIPPED: why not")]
    assert tempest(tmp_path, log[:1], [A], [A], []) == 0
    assert tempest(tmp_path, log, [A], [A], []) == 1  # nobody excuses the one that fails
    assert tempest(tmp_path, log, [A], [A, B], [f"{B}  a reason"]) == 0
    assert tempest(tmp_path, log, [A, B], [A], [f"{B}  a reason"]) == 1  # it passed once
    assert tempest(tmp_path, log[:1], [A], [A, C], []) == 1  # it did not even run
    assert f"did not run: {C}" in capsys.readouterr().out
    assert tempest(tmp_path, [], [], [], []) == 1  # nothing passed


def test_new_passes_are_entered_when_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = [f"{{1}} {test} [1.0s] ... ok" for test in (B, A)]
    monkeypatch.setenv("TEMPEST_WRITE", "1")
    assert tempest(tmp_path, log, [B], [A], []) == 0
    assert (tmp_path / "kept").read_text() == f"{A}\n{B}\n"


def test_the_lists_are_whole() -> None:
    kept = suite.names(str(ROOT / "conformance/tempest-image.txt"))
    missing = suite.names(str(ROOT / "conformance/tempest-missing.txt"))
    assert len(kept) >= 56 and not kept & missing
