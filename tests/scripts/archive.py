"""The files of an older prompt builder, as a test wants them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CALL = {
    "timestamp": "2026-03-02T10:00:00Z", "pipeline_id": "p-1", "operation": "prompt_generation",
    "model": "claude-opus-4", "input_tokens": 10_451, "output_tokens": 2_839, "cache_read_tokens": 0,
    "cache_write_tokens": 0, "cost_usd": 0.3697, "duration_ms": 60_000,
}  # fmt: skip
OLDER = {
    "timestamp": "2026-03-05T09:30:00", "job_id": "job-7", "service": "elevenlabs", "operation": "tts",
    "input_units": 1_200, "cost_usd": 0.36, "details": {"profile_id": "x", "text_preview": "Fresh bread..."},
}  # fmt: skip


def call(**values: Any) -> dict[str, Any]:
    return {**CALL, **values}


def run(name: str, day: str = "2026-03-02") -> list[dict[str, Any]]:
    """The reference run of the requirements (M29), by its phases."""
    return [
        call(pipeline_id=name, timestamp=f"{day}T10:00:00Z"),
        call(pipeline_id=name, timestamp=f"{day}T10:01:00Z", operation="prompt_analysis", input_tokens=3_532,
             output_tokens=2_415, cost_usd="0.2341"),
        call(pipeline_id=name, timestamp=f"{day}T10:02:00Z", operation="prompt_improvement", input_tokens=15_726,
             output_tokens=6_120, cost_usd=0.6949),
    ]  # fmt: skip


def log(path: Path, *lines: Mapping[str, Any] | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join((x if isinstance(x, bytes) else json.dumps(x).encode()) + b"\n" for x in lines))


def text(path: Path, content: str, **meta: Any) -> None:
    """A version's text, with its settings where there are any."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")
    if meta:
        path.with_suffix(".json").write_text(json.dumps(meta), "utf-8")


def archive(root: Path, account: str = "quay") -> Path:
    """An account with one assistant, its versions and a run. Returns the folder of accounts."""
    ann = root / account / "assistants" / "ann"
    log(root / account / "logs" / "costs.jsonl", *run("p-1"), OLDER)
    text(ann / "v1.md", "# Fresh bread\n\nAt six.", status="final", final_score=71.5, created_at="2026-03-01T08:00:00Z")
    text(ann / "v2.txt", "Warm bread at six.", status="deployed", score="88", iterations=1, run_id="p-1",
         deployed_at="2026-03-03T08:00:00Z")  # fmt: skip
    (ann / "v2.injection.txt").write_text("<<Warm bread at six.>>", "utf-8")
    (ann / "assistant.json").write_text(json.dumps({"name": "Ann", "systemPrompt": "Write warmly.", "targetScore": 80}))
    (root / "_templates").mkdir()
    return root
