"""How attention is computed: only its name is there, and none until a test chooses one."""


class StableDiffusionModelHijack:
    optimization_method = None


model_hijack = StableDiffusionModelHijack()
