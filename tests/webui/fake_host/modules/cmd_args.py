"""The command line's flags."""

import argparse

from modules.paths_internal import data_path

parser = argparse.ArgumentParser()
parser.add_argument("--data-dir", type=str, default=data_path)
parser.add_argument("--models-dir", type=str, default=None)
parser.add_argument("--esrgan-models-path", type=str, default=None)
parser.add_argument("--realesrgan-models-path", type=str, default=None)
parser.add_argument("--no-half", action="store_true")
parser.add_argument("--nowebui", action="store_true")
parser.add_argument("--api", action="store_true")
parser.add_argument("--api-auth", type=str, default=None)
parser.add_argument("--hide-ui-dir-config", action="store_true", default=False)
parser.add_argument("--freeze-settings", action="store_true", default=False)
parser.add_argument("--listen", action="store_true")
parser.add_argument("--share", action="store_true")
parser.add_argument("--ngrok", type=str, default=None)
parser.add_argument("--server-name", type=str, default=None)
parser.add_argument("--no-gradio-queue", action="store_true")
