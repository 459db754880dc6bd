"""An unmodified LiteRT on an accel node: a picture is named, every model gives the named bytes, and
two processes use the device at once.

    demo.py DELEGATE DEVICE MODELS MODEL PICTURE LABELS WANTED

MODELS is what make_models.py wrote; WANTED is how the best label has to begin.
"""

import subprocess
import sys
from pathlib import Path

from archive import archives
from runtime import NAME, load_delegate

DELEGATE, DEVICE, MODELS, MODEL, PICTURE, LABELS, WANTED = sys.argv[1:8]
OPTIONS = {"device": DEVICE, "require_full": True}


def name_the_picture():
    script = [sys.executable, Path(__file__).with_name("label_image.py")]
    script += ["-m", MODEL, "-i", PICTURE, "-l", LABELS, "-e", DELEGATE, "-o", f"device:{DEVICE};require_full:1"]
    said = subprocess.run(script, stdout=subprocess.PIPE, text=True, check=True).stdout
    print(said, end="", flush=True)
    return said.splitlines()[0].split(": ", 1)[1].startswith(WANTED)


def all_bytes_are_equal():
    delegate = load_delegate(DELEGATE, OPTIONS)
    differences = []
    for archive in archives(MODELS):
        difference = archive.difference(archive.interpreter(delegate))
        print(difference or f"{archive.name}: {len(archive.runs)} runs, every byte is equal", flush=True)
        differences.append(difference)
    return not any(differences)


def run_beside_another():
    """One of two processes. Both stand by with all models compiled before either of them runs."""
    delegate = load_delegate(DELEGATE, OPTIONS | {"report": "none"})
    made = [(archive, archive.interpreter(delegate)) for archive in archives(MODELS)]
    print("ready", flush=True)
    sys.stdin.readline()
    return not any(archive.difference(interpreter) for archive, interpreter in made)


def two_processes():
    command = [sys.executable, *sys.argv, "--beside"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]
    ready = all(process.stdout.readline() == "ready\n" for process in both)
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    statuses = [process.wait() for process in both]
    print(f"two processes at once ended with {statuses}", flush=True)
    return ready and statuses == [0, 0]


def main():
    if "--beside" in sys.argv:
        sys.exit(not run_beside_another())
    print(f"{NAME}, {DEVICE}", flush=True)
    done = [part() for part in (name_the_picture, all_bytes_are_equal, two_processes)]
    print(f"test result: {sum(done)} passed; {len(done) - sum(done)} failed", flush=True)
    sys.exit(not all(done))


if __name__ == "__main__":
    main()
