"""Puts in place what TrueScale needs: inside a WebUI what is missing there, for a person a private environment.

    python install.py                               what a WebUI runs at each start: adds what is missing, never fails
    python install.py upscale PICTURE [options]     for a person: sets up .venv once, then upscales in it; without a
                                                    picture it enlarges a sample
    python install.py test [pytest options]         the same, then runs the tests
    python install.py check                         the same, then checks style, imports, types and scripts

This file is written so that even Python 2.7 reads it and can say that it is too old.
"""

import os
import sys

USAGE = """\
TrueScale upscales pictures with the network's true output.

  python install.py upscale PICTURE [PICTURE ...] [options]
  python install.py test [pytest options]
  python install.py check

The model that ships, TrueScale 4x, upscales unless --model names another one.
The first run sets up a private Python environment in the folder .venv beside install.py, and downloads PyTorch for it.
Later runs start at once. All options: python install.py upscale --help
"""


def main(words):
    """Run one command; the exit status."""
    if sys.version_info < (3, 9):
        sys.stderr.write("TrueScale: this is Python {}.{}; it needs 3.9 or newer.\n".format(*sys.version_info[:2]))
        return 1 if words else 0  # without a command this is a WebUI's start, which must go on
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a folder's name may not exist in the console's character set
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    if not words:
        from lib_upscaler.installation.host import prepare_host

        prepare_host()
        return 0
    return run_for_person(words[0], words[1:])


def run_for_person(command, rest):
    """Set up the private environment if need be and run the command in it; the exit status."""
    from lib_upscaler.installation import private

    asks_help = "-h" in rest or "--help" in rest
    if command in ("-h", "--help", "help") or (asks_help and command == "upscale" and not private.is_ready("upscale")):
        print(USAGE)
        return 0
    if command not in ("upscale", "test", "check"):
        sys.stderr.write("{}\nThere is no command '{}'.\n".format(USAGE, command))
        return 2
    if (
        command == "upscale"
        and rest
        and not asks_help
        and all(word.startswith("-") for word in rest)
        and not {"-", "--resume", "--retry-failed"} & set(rest)
    ):
        sys.stderr.write(USAGE + "\nupscale: which picture? Name at least one file or folder.\n")
        return 2
    try:
        if command == "upscale":
            return private.upscale(rest)
        from tools import checks

        return checks.test(rest) if command == "test" else checks.check(rest)
    except private.SetupError as error:
        sys.stderr.write("\nTrueScale: {}\n".format(error))
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nTrueScale: stopped. The same command goes on from here.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
