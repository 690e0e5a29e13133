import os
import shlex

from modules import cmd_args

cmd_opts = cmd_args.parser.parse_args(shlex.split(os.environ.get("COMMANDLINE_ARGS", "")))
