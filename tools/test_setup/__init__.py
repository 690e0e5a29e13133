"""What the tests need beside Python packages: a browser, a second gradio."""
