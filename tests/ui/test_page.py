"""The page in a browser: a clip is uploaded and asked about, in front of a server that answers by script."""

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from browser import CHROMIUM, DRIVER, Browser
from ui.scripted import TIMES, ScriptedServer, Served
from valley.conversation import Text, Video, read_jsonl
from valley.ui.app import proxy_app

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Chromium and chromedriver"),
]
READY = "document.body.dataset.ready"
ANSWERS = "[...document.querySelectorAll('.answer .words')].map(e => e.textContent)"
IDLE = "document.getElementById('stop').hidden && document.querySelectorAll('.turn').length"
DRAWN = f"document.querySelectorAll('#strip canvas').length === {len(TIMES)}"
AT = "document.getElementById('player').currentTime"


@contextmanager
def opened(
    folder: Path, server: ScriptedServer | None = None, *, width_px: int = 1200, language: str = "en-US"
) -> Iterator[tuple[Browser, ScriptedServer]]:
    """Open the page in front of a server, and see at the end that the browser complains of nothing."""
    server = server or ScriptedServer()
    with (
        Served(server.app) as upstream,
        Served(proxy_app(f"{upstream.root}/v1")) as page,
        Browser(folder, width_px=width_px, language=language) as browser,
    ):
        browser.go(page.root + "/", until=READY)
        yield browser, server
        refused = ("status of 4", "status of 5")  # the browser logs each refusal of a server
        assert [said for said in browser.complaints() if not any(r in said for r in refused)] == []


def ask(browser: Browser, question: str) -> None:
    """Ask with the keyboard, and wait for the end of the answer."""
    before = browser.get("document.querySelectorAll('.turn').length")
    browser.write("#question", question)
    browser.press("enter")
    browser.wait(f"document.querySelectorAll('.turn').length === {before + 1}")
    browser.wait(IDLE)


def test_a_clip_is_uploaded_asked_about_and_asked_about_again(clip_files: Path, tmp_path: Path):
    with opened(tmp_path) as (browser, server):
        browser.write("#file", str(clip_files / "a.mp4"))
        browser.wait("document.querySelectorAll('#attached li').length === 1")
        ask(browser, "What moves?")
        assert browser.get(ANSWERS) == [
            "A red square starts at 0.5 s. It stops at 0:02, and at 10:30 nobody looks. <b>No</b> tag."
        ]
        (user,) = server.bodies[-1]["messages"]
        assert [part["type"] for part in user["content"]] == ["video_url", "text"]
        assert user["content"][0]["video_url"]["url"] in server.files
        browser.wait(DRAWN)
        told = "[...document.querySelectorAll('#strip button')].map(b => b.getAttribute('aria-label'))"
        assert browser.get(told)[:2] == ["Frame at 0 s", "Frame at 0.5 s"]

        ask(browser, "And then?")
        roles = [message["role"] for message in server.bodies[-1]["messages"]]
        assert roles == ["user", "assistant", "user"]
        assert server.bodies[-1]["messages"][2]["content"] == "And then?"
        assert len(server.files) == 1  # it was handed over once


def test_the_frames_that_are_drawn_are_those_of_their_times(clip_files: Path, tmp_path: Path):
    with opened(tmp_path) as (browser, _):
        browser.write("#file", str(clip_files / "a.mp4"))
        ask(browser, "What moves?")
        browser.wait(DRAWN)
        # the left edge of the square is at 3 pixels a frame, 8 frames a second, in a picture 96 wide
        edges = browser.get("""[...document.querySelectorAll('#strip canvas')].map(c => {
            const row = c.getContext('2d').getImageData(0, Math.round(c.height * 30 / 64), c.width, 1).data;
            for (let x = 0; x < c.width; x++) if (row[4 * x] > 140) return x * 96 / c.width;
            return -1;
        })""")
        for second, edge in zip(TIMES, edges, strict=True):
            assert edge == pytest.approx(3 * 8 * second, abs=2)


def test_times_are_links_and_frames_are_clicked(clip_files: Path, tmp_path: Path):
    with opened(tmp_path) as (browser, _):
        browser.write("#file", str(clip_files / "a.mp4"))
        ask(browser, "What moves?")
        links = browser.get("[...document.querySelectorAll('.time')].map(e => [e.textContent, e.title])")
        assert links == [["0.5 s", "Jump to 0.5 s"], ["0:02", "Jump to 2 s"]]  # 10:30 is not in this clip
        browser.click(".time:last-of-type")
        browser.wait(f"Math.abs({AT} - 2) < 0.02")
        browser.wait("document.querySelector('#strip [aria-current]').textContent === '2 s'")
        assert browser.get("document.getElementById('announced').textContent") == "The player is at 2 s"
        browser.click("#strip li:nth-child(2) button")
        browser.wait(f"Math.abs({AT} - 0.5) < 0.02")
        browser.press(".", hold="alt")
        browser.wait(f"Math.abs({AT} - 1) < 0.02")


def test_a_long_answer_is_stopped_at_the_server_and_the_talk_goes_on(clip_files: Path, tmp_path: Path):
    with opened(tmp_path) as (browser, server):
        browser.write("#file", str(clip_files / "a.mp4"))
        browser.write("#question", "a long one")
        browser.press("enter")
        browser.wait("document.querySelector('.words').textContent.includes('5 ')")
        assert browser.get("document.getElementById('log').getAttribute('aria-busy')") == "true"
        browser.press("escape")
        browser.wait(IDLE)
        browser.wait("document.querySelector('.answer .state').textContent === 'Stopped.'")
        assert browser.get("document.getElementById('announced').textContent").endswith("Stopped.")
        note = browser.get("document.getElementById('seen-note').textContent")
        assert note.startswith("Ask a question")  # what is stopped says nothing of its frames
        ask(browser, "And then?")
        assert server.left == 1
        first = server.bodies[-1]["messages"][1]
        assert first["role"] == "assistant"
        assert first["content"].startswith("0 1 2 ")
        browser.write("#question", "another long one")
        browser.press("enter")
        browser.wait(
            "!document.getElementById('stop').hidden && document.querySelectorAll('.words')[2].textContent"
        )
        browser.click("#stop")
        browser.wait(IDLE)
        assert browser.get("document.activeElement.id") == "question"


def test_a_server_that_loads_its_model_is_waited_for(tmp_path: Path):
    server = ScriptedServer()
    server.loading = 2
    with (
        Served(server.app) as upstream,
        Served(proxy_app(f"{upstream.root}/v1")) as page,
        Browser(tmp_path) as browser,
    ):
        browser.go(f"{page.root}/", until="!document.getElementById('loading').hidden")
        browser.wait(READY)
        assert browser.get("document.getElementById('loading').hidden")
        assert browser.get("document.getElementById('model').value") == "scripted"
        ask(browser, "echo hello")
        assert browser.get(ANSWERS) == ["hello"]


def test_another_answer_is_drawn_and_not_computed_again(tmp_path: Path):
    with opened(tmp_path) as (browser, server):
        ask(browser, "echo one")
        assert "temperature" not in server.bodies[-1]
        browser.press("r", hold="alt")
        browser.wait(f"{ANSWERS}.length === 1 && document.querySelector('[data-does=again]')")
        assert len(browser.get(ANSWERS)) == 1
        assert server.bodies[-1]["temperature"] > 0
        assert server.bodies[-1]["messages"] == server.bodies[0]["messages"]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("wrong", "The server says: want at most 3 clips, got 4; ask about fewer"),
        ("busy", "The server is busy; try again in 7 s."),
        ("break", "The server says: out of memory"),
    ],
)
def test_an_error_is_a_sentence_in_the_chat(question: str, said: str, clip_files: Path, tmp_path: Path):
    with opened(tmp_path) as (browser, server):
        browser.write("#file", str(clip_files / "a.mp4"))
        ask(browser, question)
        assert browser.get("document.querySelector('[role=alert].wrong').textContent") == said
        assert browser.get("document.querySelector('[data-does=again]').textContent") == "Try again"
        ask(browser, "What moves?")
        if question != "break":  # its words so far are part of the talk
            (user,) = server.bodies[-1]["messages"]
            assert [part.get("text") for part in user["content"]] == [None, "What moves?"]


def test_a_server_that_forgot_a_file_is_given_it_again(clip_files: Path, tmp_path: Path):
    with opened(tmp_path) as (browser, server):
        browser.write("#file", str(clip_files / "a.mp4"))
        ask(browser, "What moves?")
        server.files.clear()
        ask(browser, "And then?")
        assert browser.get("document.querySelectorAll('.wrong').length") == 0
        assert len(server.files) == 1


def test_a_part_of_a_clip_frames_and_a_language_are_asked_for(clip_files: Path, tmp_path: Path):
    with opened(tmp_path) as (browser, server):
        browser.write("#file", str(clip_files / "a.mp4"))
        browser.wait("document.getElementById('player').readyState >= 2")
        browser.run("document.getElementById('player').currentTime = 1.25;")
        browser.wait("!document.getElementById('player').seeking")
        browser.click("#start-here")
        browser.write("#end", "0.5")
        assert browser.get("!document.getElementById('window-wrong').hidden")
        browser.run("document.getElementById('end').value = '';")
        browser.write("#end", "2.5")
        assert browser.get("document.getElementById('window-wrong').hidden")
        _choose(browser, "frames", "fps")
        browser.run("document.getElementById('frames-count').value = '';")
        browser.write("#frames-count", "1.5")
        _choose(browser, "answer-language", "zh")
        browser.write("#longest", "40")
        ask(browser, "What moves?")
        body = server.bodies[-1]
        video = body["messages"][0]["content"][0]["video_url"]
        assert (video["start"], video["end"]) == (1.25, 2.5)
        assert (body["fps"], body["language"], body["max_tokens"]) == (1.5, "zh", 40)
        browser.click("#whole")
        ask(browser, "And then?")
        assert set(server.bodies[-1]["messages"][0]["content"][0]["video_url"]) == {"url"}


def test_another_server_is_told_only_what_it_knows(clip_files: Path, tmp_path: Path):
    with opened(tmp_path, ScriptedServer(is_valley=False)) as (browser, server):
        browser.write("#file", str(clip_files / "a.mp4"))
        assert browser.get("document.getElementById('window').hidden")
        ask(browser, "What moves?")
        assert set(server.bodies[-1]) == {"model", "messages", "stream", "stream_options"}
        url = server.bodies[-1]["messages"][0]["content"][0]["video_url"]["url"]
        assert url.startswith("data:video/mp4;base64,")
        assert server.files == {}
        note = browser.get("document.getElementById('seen-note').textContent")
        assert note == "This server does not tell which frames its model saw."


def test_several_clips_pictures_and_what_is_neither(clip_files: Path, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("words", encoding="utf-8")
    with opened(tmp_path / "browser") as (browser, server):
        for name in ("a.mp4", "b.mp4", "photo.png", "b.mp4"):
            browser.write("#file", str(clip_files / name))
        browser.write("#file", str(tmp_path / "notes.txt"))
        alert = browser.get("document.querySelector('[role=alert].wrong').textContent")
        assert alert == "notes.txt is neither a video nor a picture."
        browser.click("#attached li:last-child button")
        tabs = "[...document.querySelectorAll('#tabs button')].map(b => b.textContent)"
        assert browser.get(tabs) == ["a.mp4", "b.mp4", "photo.png"]
        ask(browser, "What moves?")
        kinds = [part["type"] for part in server.bodies[-1]["messages"][0]["content"]]
        assert kinds == ["video_url", "video_url", "image_url", "text"]
        browser.click(".time")  # of the last video
        browser.wait("document.querySelector('#tabs [aria-pressed=true]').textContent === 'b.mp4'")
        browser.click("#tabs button:first-child")
        browser.wait(DRAWN)


def test_a_format_that_the_browser_cannot_play_is_sent_and_its_times_are_told(tmp_path: Path):
    (tmp_path / "odd.avi").write_bytes(b"RIFF" + bytes(100))
    with opened(tmp_path / "browser") as (browser, server):
        browser.write("#file", str(tmp_path / "odd.avi"))
        browser.wait("!document.getElementById('unplayable').hidden")
        ask(browser, "What moves?")
        assert [name for name, _ in server.files.values()] == ["odd.avi"]
        times = "[...document.querySelectorAll('#strip button')].map(b => b.textContent)"
        assert browser.get(times) == ["0 s", "0.5 s", "1 s", "1.5 s", "2 s", "2.5 s"]
        assert browser.get("document.querySelectorAll('.time').length") == 2


def test_files_are_dropped_and_pasted(clip_files: Path, tmp_path: Path):
    with opened(tmp_path) as (browser, _):
        made = (
            "const data = new DataTransfer(); data.items.add(new File(['x'], 'x.png', {type: 'image/png'}));"
        )
        drop = "new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})"
        paste = "new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})"
        browser.run(f"{made} document.body.dispatchEvent({drop}); document.body.dispatchEvent({paste});")
        names = browser.get(
            "[...document.querySelectorAll('#attached li')].map(e => e.firstChild.textContent)"
        )
        assert names == ["x.png", "x (2).png"]


def test_a_recording_becomes_a_clip(tmp_path: Path):
    with opened(tmp_path) as (browser, server):
        browser.click("#camera")
        browser.wait("document.getElementById('recording').open")
        browser.wait("document.getElementById('recorded').textContent === '1 s'")
        browser.click("#recording-done")
        browser.wait("document.querySelectorAll('#attached li').length === 1")
        browser.wait("document.getElementById('player').readyState >= 2")
        browser.wait("Number(document.getElementById('end').placeholder) > 0.5")
        ask(browser, "What moves?")
        ((name, size),) = server.files.values()
        assert name.startswith("camera.")
        assert size > 1000


def test_an_example_answers_at_once_and_the_talk_is_saved(tmp_path: Path):
    with opened(tmp_path) as (browser, server):
        browser.click("#examples button")
        browser.wait(IDLE)
        browser.wait(f"{ANSWERS}.length === 1 && document.querySelector('[data-does=copy]')")
        for button in ("#save-json", "#save-markdown"):
            browser.click("#save")
            browser.click(button)
        files = _downloads(browser, tmp_path / "downloads", 2)
        record = next(path for path in files if path.suffix == ".json")
        (conversation,) = read_jsonl(record)
        user, assistant = conversation.messages
        assert [type(part) for part in user.parts] == [Video, Text]
        assert assistant.text.startswith("A **red** square")
        told = json.loads(record.read_text(encoding="utf-8"))["metadata"]
        assert told["answers"][0]["seen"][0]["timestamps_s"] == list(TIMES)
        written = next(path for path in files if path.suffix == ".md").read_text(encoding="utf-8")
        assert "> Which way does the red circle move?" in written
        browser.click("#new-chat")
        assert browser.get("!document.getElementById('welcome').hidden && !document.querySelector('.turn')")
        _until_forgotten(browser, server)


def _until_forgotten(browser: Browser, server: ScriptedServer) -> None:
    for _ in range(200):
        if not server.files:
            return
        browser.run("await new Promise(done => setTimeout(done, 20));")
    raise AssertionError("the server was not told to forget the clip")


def _downloads(browser: Browser, folder: Path, count: int) -> list[Path]:
    for _ in range(300):
        files = (
            [p for p in folder.glob("valley-*") if p.suffix in (".json", ".md")] if folder.is_dir() else []
        )
        if len(files) == count:
            return files
        browser.run("await new Promise(done => setTimeout(done, 20));")
    raise AssertionError(f"want {count} downloads, got {files}")


def _choose(browser: Browser, name: str, value: str) -> None:
    element = f"document.getElementById('{name}')"
    browser.run(
        f"{element}.value = '{value}'; {element}.dispatchEvent(new Event('change', {{bubbles: true}}));"
    )


@pytest.mark.parametrize(
    ("language", "title", "said"),
    [("zh-CN", "就视频提问", "提问"), ("es", "Pregunta sobre un vídeo", "Preguntar")],
)
def test_the_page_speaks_the_browsers_language_and_remembers_another(language, title, said, tmp_path: Path):
    with opened(tmp_path, language=language) as (browser, _):
        assert browser.get("document.documentElement.lang") == language[:2]
        assert browser.get("document.querySelector('#welcome h2').textContent") == title
        assert browser.get("document.getElementById('send').textContent") == said
        assert browser.get("document.querySelector('#examples button').lang") == language[:2]
        _choose(browser, "page-language", "en")
        _choose(browser, "look", "dark")
        address = browser.get("location.href")
        browser.go(address, until=READY)
        assert browser.get("document.getElementById('send').textContent") == "Ask"
        assert browser.get("getComputedStyle(document.documentElement).colorScheme") == "dark"


def test_markdown_is_shown_and_nothing_of_it_runs(tmp_path: Path):
    with opened(tmp_path) as (browser, _):
        evil = (
            "<img src=x onerror=alert(1)> **bold** *it* `code` [l](javascript:alert(1)) ![p](http://a/b.png)"
        )
        ask(browser, f"echo {evil}")
        tags = browser.get("[...document.querySelectorAll('.words *')].map(e => e.tagName)")
        assert tags == ["P", "STRONG", "EM", "CODE"]
        assert "<img src=x onerror=alert(1)>" in browser.get(ANSWERS)[0]


@pytest.mark.parametrize("width_px", [360, 1200])
def test_nothing_is_wider_than_the_window(width_px: int, clip_files: Path, tmp_path: Path):
    with opened(tmp_path, width_px=width_px, language="es") as (browser, _):
        assert browser.get("document.documentElement.scrollWidth") <= width_px
        assert browser.get("document.getElementById('model').clientWidth") > 90  # its name can be read
        browser.write("#file", str(clip_files / "a.mp4"))
        browser.write("#file", str(clip_files / "b.mp4"))
        ask(browser, "echo " + "x" * 300)
        browser.wait(DRAWN)
        assert browser.get("document.documentElement.scrollWidth") <= width_px
        browser.click("#open-settings")
        assert browser.get("document.getElementById('settings').getBoundingClientRect().right") <= width_px


def _axe() -> str:
    found = importlib.util.find_spec("axe_core_python")
    if found is None or found.origin is None:
        pytest.skip("needs axe-core-python")
    return (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [360, 1200])
def test_axe_finds_nothing(scheme: str, width_px: int, clip_files: Path, tmp_path: Path):
    axe = _axe()
    with opened(tmp_path, width_px=width_px) as (browser, _):
        browser.look(scheme)
        found = [_violations(browser, axe)]
        for name in ("a.mp4", "b.mp4"):
            browser.write("#file", str(clip_files / name))
        ask(browser, "What moves?")
        ask(browser, "wrong")
        browser.wait(DRAWN)
        found.append(_violations(browser, axe))
        browser.click("#open-settings")
        found.append(_violations(browser, axe))
        assert found == [[], [], []]
        browser.run("document.querySelector('#settings h2').append(new Image());")
        assert "image-alt" in _violations(browser, axe)[0]  # it does look


def _violations(browser: Browser, axe: str) -> list[str]:
    script = f"""if (!window.axe) {{ {axe} }}
        const runOnly = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'];
        const found = await axe.run({{runOnly}});
        const said = node => node.target + ' ' + node.failureSummary;
        return found.violations.map(v => v.id + ': ' + v.nodes.map(said).join('; '));"""
    return browser.run(script)


def test_everything_is_reached_with_the_keyboard(clip_files: Path, tmp_path: Path):
    with opened(tmp_path) as (browser, _):
        browser.write("#file", str(clip_files / "a.mp4"))
        ask(browser, "What moves?")
        browser.wait(DRAWN)
        browser.run("document.activeElement.blur(); document.body.tabIndex = -1; document.body.focus();")
        reached = []
        for _ in range(60):
            browser.press("tab")
            named = "e => e.id || e.dataset.does || e.className || e.closest('[id]')?.id"
            reached.append(browser.get(f"({named})(document.activeElement)"))
            outline = browser.get("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", reached[-1]
            if reached[-1] == "longest":
                break
        wanted = [
            "skip",
            "model",
            "new-chat",
            "player",
            "strip",
            "start",
            "log",
            "clip",
            "time",
            "copy",
            "question",
            "add",
            "send",
        ]
        places = [reached.index(name) for name in wanted]
        assert places == sorted(places)
