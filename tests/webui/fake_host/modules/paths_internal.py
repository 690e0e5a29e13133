"""Where things are. A test says so by the variable FAKE_HOST_DATA."""

import os

script_path = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
data_path = os.environ["FAKE_HOST_DATA"]
models_path = os.path.join(data_path, "models")
