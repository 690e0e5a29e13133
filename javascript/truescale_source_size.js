// Tells the panels how large the source is, so that they can say what a run will take, without sending the picture.

(window.trueScaleScripts ??= []).push(function truescale_source_size(TrueScale) {
    const {byId, pictureIn} = TrueScale;
    const PANELS = {truescale_extras: ofExtras, truescale_sd: ofImg2img, truescale_hires: ofHires};

    function pictureSize(ids) {
        const found = pictureIn(ids);
        return found ? {of: found.id, width: found.picture.naturalWidth, height: found.picture.naturalHeight} : {};
    }

    function number(id) {
        const input = byId(`${id} input[type=number]`);
        return input ? Number(input.value) || 0 : 0;
    }

    function ofExtras() {
        return pictureSize(["extras_image"]);
    }

    function ofImg2img() {
        const size = pictureSize(TrueScale.IMG2IMG_SOURCES);
        if (!size.width) return {};
        return {
            ...size,
            target_width: Math.round(number("img2img_width")),
            target_height: Math.round(number("img2img_height")),
            steps: Math.round(number("img2img_steps")),
            strength: number("img2img_denoising_strength"),
        };
    }

    function ofHires() {
        const upscaler = byId("txt2img_hr_upscaler input");
        return {
            width: Math.round(number("txt2img_width")),
            height: Math.round(number("txt2img_height")),
            scale: number("txt2img_hr_scale"),
            resize_x: Math.round(number("txt2img_hr_resize_x")),
            resize_y: Math.round(number("txt2img_hr_resize_y")),
            upscaler: upscaler ? upscaler.value : "",
            steps: Math.round(number("txt2img_hires_steps")) || Math.round(number("txt2img_steps")),
            batch: Math.round(number("txt2img_batch_size")),
        };
    }

    // While a panel is closed it is told nothing: cards and forecasts are made when somebody looks.
    function tell(panel, sizes) {
        const {bridge} = TrueScale;
        if (bridge.isShown(panel, "source")) bridge.send(panel, "source", {...sizes, runs: TrueScale.runs || 0});
    }

    function update() {
        for (const [panel, sizes] of Object.entries(PANELS)) tell(panel, sizes());
        // The step after generating: nobody knows the size yet, but its cards and lists are to be shown.
        for (const {id} of gradioApp().querySelectorAll("[id^='truescale_step_'][id$='_source']")) {
            tell(id.replace(/_source$/, ""), {});
        }
    }

    TrueScale.whenBuilt(() => {
        TrueScale.whenPictureLoads(update);
        for (const kind of ["input", "change"]) {
            document.addEventListener(kind, (event) => {
                if (event.target.closest && event.target.closest("[id^='txt2img_'], [id^='img2img_']")) update();
            });
        }
        onAfterUiUpdate(update);
        update();
    });
});
