"""Errors that the host swallows: it prints them; here they are also kept for the tests to look at."""

import traceback

reported = []
exception_records = []


def report(message, *, exc_info=False):
    reported.append((message, traceback.format_exc() if exc_info else ""))


def display(e, task, *, full_traceback=False):
    reported.append((f"{task or 'error'}: {type(e).__name__}: {e}", traceback.format_exc()))
