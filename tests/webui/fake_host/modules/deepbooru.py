"""DeepDanbooru. stopped: how often its network was taken off the device."""


class DeepDanbooru:
    def __init__(self):
        self.model, self.stopped = None, 0
        self.words = lambda image: "tag, another tag"

    def stop(self):
        self.stopped += 1

    def tag(self, pil_image):
        self.model = "its network"
        text = self.words(pil_image)
        self.stop()
        return text


model = DeepDanbooru()
