// "Which model?": the crop that is picked on the source, and the grid of what each model made of it.

(window.trueScaleScripts ??= []).push(function truescale_which(TrueScale) {
    const {t, make, button, galleryPictures} = TrueScale;
    const P = "truescale_extras_which";
    const PREVIEW = 96; // px

    const partOf = (name) => TrueScale.byId(`${P}_${name}`);
    const sourcePicture = () => TrueScale.byId("extras_image img");

    // -- the crop ----------------------------------------------------------------------------------------------------

    let picked = null; // {crop, src, width, height}: of which picture, and how large that is

    /** Directly below the row of the button, whatever gradio has put around it. */
    function previewBox() {
        const there = partOf("preview");
        if (there) return there;
        let row = partOf("pick");
        if (!row) return null;
        while (
            row.parentElement.matches(".form, .gradio-row, .row") &&
            !row.parentElement.querySelector(`#${P}_grid, #extras_image`)
        ) {
            row = row.parentElement;
        }
        const box = make("div", {id: `${P}_preview`, class: "truescale-crop-preview", role: "status"});
        row.after(box);
        return box;
    }

    function say(words) {
        const box = previewBox();
        if (box) box.replaceChildren(make("p", {class: "truescale-note", text: words}));
    }

    function showCrop(picture) {
        const box = previewBox();
        if (!box) return;
        const {x, y, width, height} = picked.crop;
        const canvas = make("canvas", {role: "img", "aria-label": t("The crop that was picked")});
        const scale = (PREVIEW * Math.max(1, window.devicePixelRatio || 1)) / Math.max(width, height);
        canvas.width = Math.max(1, Math.round(width * scale));
        canvas.height = Math.max(1, Math.round(height * scale));
        canvas.getContext("2d").drawImage(picture, x, y, width, height, 0, 0, canvas.width, canvas.height);
        box.replaceChildren(canvas, make("span", {text: `${width} x ${height}, x ${x}, y ${y}`}));
    }

    async function pick(opener) {
        const picture = sourcePicture();
        if (!picture || !picture.naturalWidth) return say(t("Load a picture into Extras first"));
        const size = [picture.naturalWidth, picture.naturalHeight];
        const {src} = picture;
        const fits = picked && picked.size.join() === size.join();
        const crop = await TrueScale.pickCrop(src, fits ? picked.crop : null, {opener});
        if (!crop) return undefined;
        picked = {crop, src, size};
        showCrop(picture);
        return TrueScale.bridge.send(P, "crop", {...crop, of: size});
    }

    // A crop stays where it is on another picture of the same size, and means nothing on one of another size.
    function followSource() {
        const picture = sourcePicture();
        if (!picked || !picture || !picture.naturalWidth || picture.src === picked.src) return;
        if (picked.size.join() === [picture.naturalWidth, picture.naturalHeight].join()) {
            picked.src = picture.src;
            return showCrop(picture);
        }
        picked = null;
        const box = previewBox();
        if (box) box.replaceChildren();
        return TrueScale.bridge.send(P, "crop", null);
    }

    // -- the grid ----------------------------------------------------------------------------------------------------

    let shown = ""; // what the grid was built from
    let clicks = 0; // told with each choice, so that the same one can be made twice

    /** {srcs, names} of the last run, or null while they do not belong together. */
    function found() {
        const gallery = partOf("tries");
        if (!gallery) return null;
        const srcs = galleryPictures(gallery).map((one) => one.src);
        const names = TrueScale.bridge.read(P, "names") || [];
        return srcs.length === names.length ? {srcs, names} : null;
    }

    function tellChosen(grid, name) {
        clicks += 1;
        TrueScale.bridge.send(P, "chosen", {name, count: clicks});
        grid.querySelector("[role=status]").replaceChildren(
            make("span", {text: t("Chosen:")}),
            " ",
            make("strong", {text: name}),
        );
        grid.querySelectorAll("figure").forEach((one) =>
            one.classList.toggle("truescale-chosen", one.dataset.name === name),
        );
    }

    /** Two pressed buttons open the viewer with both, the earlier one on the left. */
    function toggled(grid, toggle) {
        toggle.setAttribute("aria-pressed", toggle.getAttribute("aria-pressed") !== "true");
        const pressed = [...grid.querySelectorAll("[aria-pressed=true]")];
        if (pressed.length < 2) return;
        const [left, right] = pressed.map((one) => sideOf(one.closest("figure")));
        TrueScale.compare(left, right, toggle).then(() =>
            pressed.forEach((one) => one.setAttribute("aria-pressed", "false")),
        );
    }

    const sideOf = (figure) => ({src: figure.querySelector("img").src, label: figure.dataset.label});

    function figureOf(grid, {src, name}, number) {
        const isSource = number === 0;
        const label = isSource ? t("Source") : name;
        const id = `${P}_picture_${number}`;
        const image = make("img", {src, alt: label, loading: "lazy"});
        const named = (part) => ({id: `${id}_${part}`, "aria-labelledby": `${id}_${part} ${id}_name`});
        const figure = make("figure", {"data-name": name, "data-label": label});
        const compared = () => TrueScale.compare(sideOf(grid.querySelector("figure")), sideOf(figure), large);
        const large = make("button", {
            ...{type: "button", class: "truescale-large", title: t("Compare with the source"), click: compared},
            ...{"aria-label": `${t("Compare with the source")}: ${label}`, children: [image]},
        });
        const use = button(t("Use"), t("Use this model"), () => tellChosen(grid, name), named("use"));
        const compare = button(t("Compare"), t("Compare with another result"), () => toggled(grid, compare), {
            ...named("compare"),
            "aria-pressed": "false",
        });
        figure.append(
            isSource ? image : large,
            make("figcaption", {id: `${id}_name`, text: label}),
            make("div", {class: "truescale-choices", children: isSource ? [compare] : [use, compare]}),
        );
        return figure;
    }

    function gridOf({srcs, names}) {
        const grid = make("div", {id: `${P}_pictures`});
        const last = srcs.length - 1;
        const all = srcs.slice(0, last).map((src, number) => figureOf(grid, {src, name: names[number]}, number));
        grid.append(
            make("div", {class: "truescale-grid", children: all}),
            make("p", {class: "truescale-note", role: "status"}),
            make("a", {
                class: "truescale-save",
                href: srcs[last],
                download: "which-model.png",
                text: t("Save the contact sheet"),
            }),
        );
        return grid;
    }

    // Beside gradio's own element, of which it may exchange the content at any time.
    function updateGrid() {
        const place = partOf("grid");
        const there = partOf("pictures");
        const next = found();
        if (!place || !next) return;
        const now = JSON.stringify(next);
        if (now === shown && (there || !next.srcs.length)) return;
        shown = now;
        if (there) there.remove();
        if (next.srcs.length >= 2) place.after(gridOf(next));
    }

    const watched = new WeakSet();
    const watcher = new MutationObserver(() => updateGrid());

    function update() {
        followSource();
        const gallery = partOf("tries");
        if (gallery && !watched.has(gallery)) {
            // pictures may be exchanged without an element being added
            watched.add(gallery);
            watcher.observe(gallery, {subtree: true, attributes: true, attributeFilter: ["src"]});
        }
        updateGrid();
    }

    TrueScale.whenBuilt(() => {
        document.addEventListener(
            "click",
            (event) => {
                const opener = event.target.closest && event.target.closest(`#${P}_pick`);
                if (opener) pick(opener);
            },
            true,
        );
        TrueScale.whenPictureLoads(followSource);
        onAfterUiUpdate(update);
        update();
    });
});
