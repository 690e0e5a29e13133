// Tells the panels how large the source is, so that they can say what a run will take, without sending the picture.

(function() {
    const IMG2IMG = ["img2img_image", "img2img_sketch", "img2maskimg", "inpaint_sketch", "img_inpaint_base"];
    const PANELS = {truescale_extras: ofExtras, truescale_sd: ofImg2img, truescale_hires: ofHires};

    const byId = (id) => gradioApp().querySelector(`#${id}`);

    function pictureSize(ids) {
        for (const id of ids) {
            const box = byId(id);
            if (!box || box.offsetParent === null) continue;
            const picture = box.querySelector("img");
            if (picture && picture.naturalWidth) return {of: id, width: picture.naturalWidth, height: picture.naturalHeight};
        }
        return {};
    }

    function number(id) {
        const input = gradioApp().querySelector(`#${id} input[type=number]`);
        return input ? Number(input.value) || 0 : 0;
    }

    function ofExtras() {
        return pictureSize(["extras_image"]);
    }

    function ofImg2img() {
        const size = pictureSize(IMG2IMG);
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
        const upscaler = gradioApp().querySelector("#txt2img_hr_upscaler input");
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
    function isSeen(field) {
        const block = field.closest(".truescale-hidden");
        return Boolean(block && block.parentElement && block.parentElement.offsetParent !== null);
    }

    function tell(field, sizes) {
        if (!field || !isSeen(field)) return;
        const runs = (window.TrueScale && window.TrueScale.runs) || 0;
        const text = JSON.stringify({...sizes, runs});
        if (field.value === text) return;
        field.value = text;
        updateInput(field);
    }

    const fieldIn = (block) => block && block.querySelector("textarea, input");

    function update() {
        for (const [panel, sizes] of Object.entries(PANELS)) tell(fieldIn(byId(`${panel}_source`)), sizes());
        // The step after generating: nobody knows the size yet, but its cards and lists are to be shown.
        gradioApp().querySelectorAll("[id^='truescale_step_'][id$='_source']").forEach((one) => tell(fieldIn(one), {}));
    }

    onUiLoaded(function() {
        document.addEventListener("load", (event) => {
            if (event.target.tagName === "IMG") update();
        }, true);
        for (const kind of ["input", "change"]) {
            document.addEventListener(kind, (event) => {
                if (event.target.closest && event.target.closest("[id^='txt2img_'], [id^='img2img_']")) update();
            });
        }
        onAfterUiUpdate(update);
        update();
    });
})();
