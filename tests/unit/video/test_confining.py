"""What a child that decodes can still do once it is confined: each tried in a process of its own."""

import ctypes
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from valley.errors import MediaError, MediaNotFoundError
from valley.video.decoding import read_frames
from valley.video.isolation import child_command
from valley.video.limits import UNTRUSTED

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux confines a process")


def confined(code, medium):
    """Run lines in a confined process, after the medium's path; give what it prints."""
    before = (
        "import os, sys\n"
        "os.environ['OPENBLAS_NUM_THREADS'] = '1'\n"
        "from pathlib import Path\n"
        "import av, errno, socket, subprocess, threading\n"
        "from valley.video import decoding\n"
        "from valley.video.confining import confine\n"
        "medium = Path(sys.argv[1])\n"
        "assert len(os.listdir('/proc/self/task')) == 1\n"
        "confine([medium])\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", before + textwrap.dedent(code), str(medium)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_medium_and_late_modules_can_be_read(good_clip):
    code = """
        import PIL.WebPImagePlugin
        print(len(decoding.read_frames(medium)), len(decoding.read_frames(medium.read_bytes())))
    """
    assert confined(code, good_clip) == ["8", "8"]


REFUSED = {
    "another file": "open('/etc/passwd', 'rb')",
    "the file beside": "open(medium.with_name('beside'), 'rb')",
    "its folder": "os.listdir(medium.parent)",
    "writing": "open(medium, 'ab')",
    "a new file": "open(medium.with_name('new'), 'wb')",
    "removing": "os.unlink(medium)",
}
OF_FILES = frozenset(REFUSED)
REFUSED |= {
    "a socket": "socket.socket()",
    "a datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "a pair": "socket.socketpair()",
    "a program": "subprocess.run(['/bin/true'])",
    "a process": "os.fork()",
    "a signal": "os.kill(os.getppid(), 0)",
}


def knows_landlock():
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) >= 1


@pytest.mark.parametrize("name", REFUSED)
def test_the_rest_is_refused(name, good_clip, tmp_path):
    if name in OF_FILES and not knows_landlock():
        pytest.skip("this kernel has no Landlock")
    medium = tmp_path / "clip.mp4"
    medium.write_bytes(good_clip.read_bytes())
    (tmp_path / "beside").write_bytes(b"a secret")
    code = f"""
        try:
            {REFUSED[name]}
            print("done")
        except PermissionError:
            print("refused")
    """
    assert confined(code, medium) == ["refused"]
    assert medium.exists()


def test_a_process_without_the_filter_could_do_all_that(good_clip):
    """Nothing above is refused for another reason."""
    code = "import os, socket; socket.socket().close(); open('/etc/passwd').close(); os.kill(os.getppid(), 0)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_threads_can_be_started(good_clip):
    code = """
        thread = threading.Thread(target=lambda: print("ran"))
        thread.start()
        thread.join()
    """
    assert confined(code, good_clip) == ["ran"]


def test_a_child_is_killed_with_the_thread_that_started_it(tmp_path):
    """A server that is killed leaves no decoders behind."""
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({child_command()!r}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.read(1)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        child = int(server.stdout.readline())
        # It would end by itself once its input does: hold that open, and only the kill is left.
        held = os.open(f"/proc/{child}/fd/0", os.O_RDONLY | os.O_NONBLOCK)
        keeping = os.open(f"/proc/{server.pid}/fd/{find_writer(server.pid, held)}", os.O_WRONLY)
        server.kill()
        server.wait()
        end_s = time.monotonic() + 20
        while is_running(child) and time.monotonic() < end_s:
            threading.Event().wait(0.01)
        os.close(keeping)
        os.close(held)
        assert not is_running(child)


def find_writer(pid, reader):
    """Find the number under which a process holds the other end of a pipe."""
    wanted = os.fstat(reader).st_ino
    for path in Path(f"/proc/{pid}/fd").iterdir():
        flags = int(Path(f"/proc/{pid}/fdinfo/{path.name}").read_text().split("flags:")[1].split()[0], 8)
        if path.stat().st_ino == wanted and flags & os.O_WRONLY:
            return path.name
    raise AssertionError("nobody writes to it")


def is_running(pid):
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_links_absent_files_folders_and_lists_of_paths(good_clip, tmp_path):
    (tmp_path / "link.mp4").symlink_to(good_clip)
    assert len(read_frames(tmp_path / "link.mp4", isolated=True, limits=UNTRUSTED)) == 8
    with pytest.raises(MediaNotFoundError):
        read_frames(tmp_path / "absent.mp4", isolated=True, limits=UNTRUSTED)
    from PIL import Image

    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(3):
        Image.fromarray(np.full((8, 8, 3), 40 * number, np.uint8)).save(frames / f"{number}.png")
    (frames / "timestamps.txt").write_text("0 1 2")
    assert len(read_frames(frames, isolated=True, limits=UNTRUSTED)) == 3
    paths = [str(frames / f"{number}.png") for number in range(2)]
    assert len(read_frames(paths, isolated=True, limits=UNTRUSTED)) == 2
    with pytest.raises(MediaError):
        read_frames([*paths, str(tmp_path / "no.png")], isolated=True, limits=UNTRUSTED)


def test_limits_on_open_files_and_written_bytes(tmp_path):
    code = textwrap.dedent("""
        import errno, signal, sys
        from valley.video.isolated_child import limit_resources
        from valley.video.limits import UNTRUSTED
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit_resources(UNTRUSTED)
        held = []
        try:
            while True:
                held.append(open(sys.executable, "rb"))
        except OSError as error:
            print(error.errno == errno.EMFILE, len(held) < 64)
        held.clear()
        try:
            with open(sys.argv[1], "wb", buffering=0) as file:
                file.write(b"x")
        except OSError as error:
            print(error.errno == errno.EFBIG)
    """)
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path / "new")], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["True", "True", "True"], done.stderr
    assert (tmp_path / "new").read_bytes() == b""
