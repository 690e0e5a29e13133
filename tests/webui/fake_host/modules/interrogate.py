"""CLIP, which says what a picture shows; as the host's, it is a job of its own and catches what goes wrong."""

from modules import errors, shared


class InterrogateModels:
    """words: picture -> text, of a test; raises what goes wrong."""

    def __init__(self):
        self.words = lambda image: "a picture"

    def interrogate(self, pil_image):
        shared.state.begin(job="interrogate")
        try:
            text = self.words(pil_image)
        except Exception as error:  # noqa: BLE001 - as the host
            errors.exception_records.append({"exception": str(error), "traceback": []})
            text = "<error>"
        shared.state.end()
        return text
