// What our other scripts share. Its name sorts before theirs, so that a WebUI loads it first; one of them that is there
// before it waits, and one that is loaded twice runs once.
//
//     (window.trueScaleScripts ??= []).push(function truescale_name(TrueScale) { ... });

(function () {
    const scripts = (window.trueScaleScripts ??= []);
    if (!Array.isArray(scripts)) return; // this file was loaded before

    const TrueScale = (window.TrueScale = {});
    const names = new Set();

    function run(script) {
        if (names.has(script.name)) return;
        names.add(script.name);
        script(TrueScale);
    }

    // -- words and numbers -------------------------------------------------------------------------------------------

    /** In the user's language. */
    const t = (text) => (window.localization && window.localization[text]) || text;

    const within = (value, least, most) => Math.min(most, Math.max(least, value));

    // -- elements ----------------------------------------------------------------------------------------------------

    /** An element of this kind, with properties, attributes and children. */
    function make(kind, {text, children = [], ...attributes} = {}) {
        const element = document.createElement(kind);
        for (const [name, value] of Object.entries(attributes)) {
            if (typeof value === "function") element.addEventListener(name, value);
            else if (value !== null && value !== undefined) element.setAttribute(name, value);
        }
        if (text !== undefined) element.textContent = text;
        element.append(...children);
        return element;
    }

    /** A button with a text, and words for what it does. */
    function button(text, title, click, attributes = {}) {
        return make("button", {type: "button", class: "truescale-button", text, title, click, ...attributes});
    }

    /** A button with a sign, which its words name. */
    function sign(text, title, click, attributes = {}) {
        return button(text, title, click, {
            class: "truescale-button truescale-sign",
            "aria-label": title,
            ...attributes,
        });
    }

    // -- the page ----------------------------------------------------------------------------------------------------

    const IMG2IMG_SOURCES = ["img2img_image", "img2img_sketch", "img2maskimg", "inpaint_sketch", "img_inpaint_base"];

    const byId = (id) => gradioApp().querySelector(`#${id}`);
    const isSeen = (element) => element.getClientRects().length > 0;

    /** Once the page is built, also for scripts that come later than that; then when all of them have come. */
    function whenBuilt(callback) {
        if (byId("txt2img_prompt")) setTimeout(callback);
        else onUiLoaded(callback);
    }

    /** When a picture anywhere on the page is there: that alone adds no element, so that the host tells nobody. */
    function whenPictureLoads(callback) {
        document.addEventListener(
            "load",
            (event) => {
                if (event.target.tagName === "IMG") callback();
            },
            true,
        );
    }

    /** The picture that can be seen in one of these boxes, once it is there: {id, picture}, or null. */
    function pictureIn(ids) {
        for (const id of ids) {
            const box = byId(id);
            if (!box || !isSeen(box)) continue;
            const picture = box.querySelector("img.forge-image, [data-testid=image] img") || box.querySelector("img");
            if (picture && picture.naturalWidth) return {id, picture};
        }
        return null;
    }

    /** All pictures of a gallery in their order, each once, without its large preview and the host's live one. */
    function galleryPictures(gallery) {
        for (const list of [".grid-container img", ".thumbnails img"]) {
            const found = [...gallery.querySelectorAll(list)];
            if (found.length) return found;
        }
        return [];
    }

    Object.assign(TrueScale, {t, within, make, button, sign, IMG2IMG_SOURCES, byId, isSeen});
    /** Which of them is the chosen one; the first where none is. */
    function selectedIndex(gallery) {
        const index = galleryPictures(gallery).findIndex((one) => one.closest(".thumbnail-item.selected"));
        return Math.max(0, index);
    }

    /** A button of ours behind the host's own below a gallery, made once; null where the host has no place for it. */
    function resultButton(id, place, attributes) {
        const there = byId(id);
        if (there) return there;
        const row = byId(`image_buttons_${place}`);
        const gallery = byId(`${place}_gallery`);
        if (!row && !gallery) return null;
        const neighbour = row && row.querySelector("button.tool, button");
        const made = make("button", {
            ...{type: "button", id, class: neighbour ? neighbour.className : "lg secondary gradio-button tool"},
            ...attributes,
        });
        made.classList.remove("hidden", "hide");
        made.classList.add("truescale-beside");
        if (row) (neighbour ? neighbour.parentElement : row).append(made);
        else gallery.after(made);
        return made;
    }

    /** What the button does, or why it does nothing now: then it is still reached by keyboard, to say so. */
    function setReason(element, does, reason) {
        const title = reason || does;
        if (element.title !== title) element.title = title;
        element.setAttribute("aria-disabled", reason ? "true" : "false");
    }

    Object.assign(TrueScale, {
        selectedIndex,
        resultButton,
        setReason,
        whenBuilt,
        whenPictureLoads,
        pictureIn,
        galleryPictures,
    });

    window.trueScaleScripts = {push: run};
    scripts.forEach(run);
})();
