"""One job at a time; what the UI's buttons call."""

import html
import threading
from functools import wraps

import gradio as gr
from modules import errors, shared

queue_lock = threading.Lock()


def wrap_gradio_gpu_call(func, extra_outputs=None):
    """An exception becomes words in place of the last output."""

    @wraps(func)
    def f(*args, **kwargs):
        try:
            with queue_lock:
                shared.state.begin(job=args[0] if args else None)
                res = list(func(*args, **kwargs))
                shared.state.end()
        except Exception as e:  # noqa: BLE001 - as the host does
            errors.report("Error completing request", exc_info=True)
            res = [
                *(extra_outputs or [None, ""]),
                f"<div class='error'>{html.escape(f'{type(e).__name__}: {e}')}</div>",
            ]
        finally:
            shared.state.skipped = False
            shared.state.interrupted = False
            shared.state.stopping_generation = False
            shared.state.job_count = 0
            shared.state.job = ""
        return tuple(res)

    return f


def interrupt_function():
    """The button Interrupt, as with the setting "Don't Interrupt in the middle", which is on by default."""
    if not shared.state.stopping_generation and shared.state.job_count > 1:
        shared.state.stop_generating()
        gr.Info("Generation will stop after finishing this image, click again to stop immediately.")
    else:
        shared.state.interrupt()
