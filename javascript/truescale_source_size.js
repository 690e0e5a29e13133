// Tells the panels how large the source is, so that they can say what a run will take, without sending the picture.

(function() {
    const SOURCES = ["img2img_image", "img2img_sketch", "img2maskimg", "inpaint_sketch", "img_inpaint_base"];

    function sourceSize() {
        for (const id of SOURCES) {
            const box = gradioApp().getElementById(id);
            if (!box || box.offsetParent === null) continue;
            const picture = box.querySelector("img");
            if (picture && picture.naturalWidth) return [picture.naturalWidth, picture.naturalHeight];
        }
        return null;
    }

    function sliderValue(id) {
        const input = gradioApp().querySelector(`#${id} input[type=number]`);
        return input ? Math.round(Number(input.value)) || 0 : 0;
    }

    function update() {
        const field = gradioApp().querySelector("#truescale_sd_source textarea, #truescale_sd_source input");
        if (!field) return;
        const size = sourceSize();
        const text = size ? [...size, sliderValue("img2img_width"), sliderValue("img2img_height")].join(" ") : "";
        if (field.value === text) return;
        field.value = text;
        updateInput(field);
    }

    onUiLoaded(function() {
        document.addEventListener("load", (event) => {
            if (event.target.tagName === "IMG") update();
        }, true);
        onAfterUiUpdate(update);
        update();
    });
})();
