// A square that is put on a picture, to pick a part of it.

(window.trueScaleScripts ??= []).push(function truescale_crop(TrueScale) {
    const {t, within, make, button} = TrueScale;
    const SIZES = {size: 192, min: 32, max: 512, step: 16};
    const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
    const FAST = 16;

    /** The crop, in whole px of the picture, inside it: as wide as the picture where that is smaller than the square. */
    function croppingOf(width, height, side, initial) {
        const crop = {x: 0, y: 0, width: 0, height: 0};

        function moveTo(x, y) {
            crop.x = within(Math.round(x), 0, width - crop.width);
            crop.y = within(Math.round(y), 0, height - crop.height);
        }

        function resize(next) {
            const middle = [crop.x + crop.width / 2, crop.y + crop.height / 2];
            crop.width = Math.min(next, width);
            crop.height = Math.min(next, height);
            moveTo(middle[0] - crop.width / 2, middle[1] - crop.height / 2);
        }

        Object.assign(crop, {x: width / 2, y: height / 2});
        resize(side);
        if (initial) moveTo(initial.x, initial.y);
        return {crop, moveTo, resize};
    }

    function layerOf(src, isFaint) {
        const image = make("img", {alt: "", draggable: "false", src});
        const picture = make("div", {class: "truescale-picture", children: [image]});
        const layer = make("div", {class: `truescale-layer${isFaint ? " truescale-faint" : ""}`, children: [picture]});
        return {layer, picture, image};
    }

    /** Draws the picture, pale outside of the crop, and says where the crop is. */
    function drawing(layers, square, said) {
        let view = null,
            timer = null;
        return (crop, next = view) => {
            view = next;
            if (!view) return;
            const px = (value) => `${value}px`;
            const box = {left: view.left + crop.x * view.zoom, top: view.top + crop.y * view.zoom};
            Object.assign(box, {width: crop.width * view.zoom, height: crop.height * view.zoom});
            for (const side of Object.keys(box)) {
                square.style[side] = px(box[side]);
                layers.forEach(({picture}) => (picture.style[side] = px(view[side])));
            }
            const far = [
                box.top,
                view.stageWidth - box.left - box.width,
                view.stageHeight - box.top - box.height,
                box.left,
            ];
            layers[1].layer.style.clipPath = `inset(${far.map(px).join(" ")})`;
            clearTimeout(timer); // a drag would otherwise be told pixel by pixel
            timer = setTimeout(
                () => (said.textContent = `${crop.width} x ${crop.height}, x ${crop.x}, y ${crop.y}`),
                150,
            );
        };
    }

    function grabbing(square, cropping, view, draw) {
        return (point, event) => {
            const {crop} = cropping();
            const {left, top, zoom, isWhole} = view();
            const isSquare = square.contains(event.target);
            if (!isSquare && !isWhole) return null;
            const was = {...crop};
            const at = ({x, y}) => [(x - left) / zoom, (y - top) / zoom];
            const [x, y] = at(point);
            const off = isSquare ? [crop.x - x, crop.y - y] : [-crop.width / 2, -crop.height / 2];
            const put = (to) => {
                cropping().moveTo(...to);
                draw();
            };
            const move = (to) => put(at(to).map((value, axis) => value + off[axis]));
            square.focus({preventScroll: true, focusVisible: false});
            move(point);
            return {move, cancel: () => put([was.x, was.y])};
        };
    }

    function cropKey(event, {stage, cropping, draw, use}) {
        const isRange = event.target.type === "range";
        if (TrueScale.zoomKey(event, stage)) return;
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        if (event.key === "Enter" && event.target.tagName !== "BUTTON") {
            use();
        } else if (ARROWS[event.key] && !isRange) {
            const [x, y] = ARROWS[event.key].map((way) => way * (event.shiftKey ? FAST : 1));
            cropping.moveTo(cropping.crop.x + x, cropping.crop.y + y);
            draw();
        } else {
            return;
        }
        event.preventDefault();
    }

    function rangeOf(sizes, value, changed) {
        const range = make("input", {
            ...{type: "range", id: "truescale_crop_size", min: sizes.min, max: sizes.max, step: sizes.step},
            input: () => changed(Number(range.value)),
        });
        range.value = value;
        return range;
    }

    function barOf(zoom, range, said, {cancel, use}) {
        const group = (...children) => make("div", {class: "truescale-group", children});
        const choices = group(
            button(t("Cancel"), t("Close without picking"), cancel),
            button(t("Use this crop"), t("Pick what is in the square"), use, {
                class: "truescale-button truescale-primary",
            }),
        );
        choices.classList.add("truescale-last");
        const label = make("label", {for: range.id, text: t("Size of the crop")});
        return make("div", {class: "truescale-bar", children: [...zoom.buttons, group(label, range), said, choices]});
    }

    const help = () =>
        make("p", {
            ...{class: "truescale-help", id: "truescale_crop_help"},
            text: t(
                "Drag the square, or move it with the arrow keys, with Shift faster. Enter picks it, Esc gives up.",
            ),
        });

    /**
     * Lets a part of the picture be picked: `initial` {x, y, width} or null is where the square is at first; options may
     * have opener, size, min and max (px). Answers a promise of {x, y, width, height} in px of the picture, or of null
     * where the user gave up.
     */
    function pickCrop(src, initial, options = {}) {
        const sizes = {...SIZES, ...options};
        const layers = [layerOf(src, true), layerOf(src, false)];
        const said = make("span", {class: "truescale-percent", role: "status"});
        const square = make("div", {
            ...{class: "truescale-crop", tabindex: "0", role: "application", "aria-describedby": "truescale_crop_help"},
            "aria-label": t("Crop of the picture"),
        });
        const area = make("div", {
            class: "truescale-stage",
            dir: "ltr",
            children: [...layers.map((one) => one.layer), square],
        });
        let stage = null,
            cropping = null,
            view = null;
        const draw = drawing(layers, square, said);
        const redraw = () => cropping && draw(cropping.crop);
        const use = () => cropping && dialog.close({...cropping.crop});
        const zoom = TrueScale.zoomButtons(() => stage);
        const range = rangeOf(sizes, (initial && initial.width) || sizes.size, (size) => {
            if (cropping) cropping.resize(size);
            redraw();
        });
        const dialog = TrueScale.openDialog({
            ...{id: "truescale_crop_dialog", label: t("Pick a crop of the picture"), opener: options.opener},
            children: [barOf(zoom, range, said, {cancel: () => dialog.close(null), use}), area, help()],
            keys: (event) => cropping && cropKey(event, {stage, cropping, draw: redraw, use}),
        });
        const changed = (next) => {
            view = next;
            zoom.show(view);
            draw(cropping.crop, view);
        };
        stage = TrueScale.zoomStage(area, {
            changed,
            grab: grabbing(
                square,
                () => cropping,
                () => view,
                redraw,
            ),
        });
        square.focus({preventScroll: true});
        const {image} = layers[0];
        image.addEventListener("load", () => {
            cropping = croppingOf(image.naturalWidth, image.naturalHeight, Number(range.value), initial);
            stage.setSize(image.naturalWidth, image.naturalHeight);
        });
        image.addEventListener("error", () => area.replaceChildren(TrueScale.problem("")));
        return dialog.closed;
    }

    TrueScale.pickCrop = pickCrop;
});
