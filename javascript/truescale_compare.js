// Two pictures exactly over each other, with a divider between what is seen of the one and of the other.

(window.trueScaleScripts ??= []).push(function truescale_compare(TrueScale) {
    const {t, within, make, button, sign} = TrueScale;
    const STEPS = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1};
    const LEAPS = {PageUp: 10, PageDown: -10, Home: -100, End: 100};
    const PANS = {ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
    const PAN = 60;

    // One side: all of the stage, of which the divider leaves a part. The picture's own pixels are not copied.
    function layerOf({src, label, fit}, side) {
        const image = make("img", {alt: label, draggable: "false"});
        const picture = make("div", {class: "truescale-picture", children: [image]});
        const size = make("span");
        const tag = make("div", {
            class: `truescale-tag truescale-tag-${side}`,
            children: [make("span", {text: label}), " ", size],
        });
        const layer = make("div", {class: "truescale-layer", children: [picture, tag]});
        image.style.objectFit = fit || "fill";
        const loaded = new Promise((resolve, reject) => {
            image.addEventListener("load", () => {
                size.textContent = `${image.naturalWidth} x ${image.naturalHeight}`;
                resolve(image);
            });
            image.addEventListener("error", () => reject(label));
        });
        image.src = src;
        return {layer, picture, loaded};
    }

    function makeHandle() {
        return make("div", {
            ...{class: "truescale-divider", role: "slider", tabindex: "0"},
            ...{"aria-label": t("Divider between the two pictures"), "aria-orientation": "horizontal"},
            "aria-describedby": "truescale_compare_help",
            ...{"aria-valuemin": "0", "aria-valuemax": "100"},
            children: [make("span", {class: "truescale-knob", "aria-hidden": "true", text: "\u2039 \u203a"})],
        });
    }

    /**
     * The divider stands at some percent of what is seen of the picture's width. `show(view)` puts it and both layers
     * where they belong; `grab` is the stage's.
     */
    function dividing(handle, layers, labels) {
        let percent = 50,
            view = null;

        function seen() {
            const left = Math.max(0, view.left);
            return [left, Math.max(1, Math.min(view.stageWidth, view.left + view.width) - left)];
        }

        function show(next = view) {
            view = next;
            if (!view) return;
            const [left, width] = seen();
            const x = left + (width * percent) / 100;
            layers[0].layer.style.clipPath = `inset(0 ${view.stageWidth - x}px 0 0)`;
            layers[1].layer.style.clipPath = `inset(0 0 0 ${x}px)`;
            handle.style.left = `${x}px`;
            for (const {picture} of layers) {
                for (const side of ["left", "top", "width", "height"]) picture.style[side] = `${view[side]}px`;
            }
            const whole = Math.round(percent);
            handle.setAttribute("aria-valuenow", whole);
            handle.setAttribute("aria-valuetext", `${labels[0]} ${whole} %, ${labels[1]} ${100 - whole} %`);
        }

        function set(value) {
            percent = within(value, 0, 100);
            show();
        }

        function grab(point, event) {
            const isHandle = handle.contains(event.target);
            if (!isHandle && !view.isWhole) return null;
            const [left, width] = seen();
            const was = percent;
            const off = isHandle ? left + (width * percent) / 100 - point.x : 0;
            const move = (to) => set(((to.x + off - left) / width) * 100);
            handle.focus({preventScroll: true, focusVisible: false});
            move(point);
            return {move, cancel: () => set(was)};
        }

        return {show, grab, by: (change) => set(Math.round(percent) + change)};
    }

    function viewerKey(event, stage, divider) {
        if (TrueScale.zoomKey(event, stage)) return;
        if (event.altKey) return;
        if (event.ctrlKey || event.metaKey) {
            if (!PANS[event.key]) return;
            stage.panBy(...PANS[event.key].map((way) => way * PAN));
        } else if (STEPS[event.key]) {
            divider.by(STEPS[event.key] * (event.shiftKey ? 10 : 1));
        } else if (LEAPS[event.key]) {
            divider.by(LEAPS[event.key]);
        } else {
            return;
        }
        event.preventDefault();
    }

    function pixelatedButton(area) {
        const toggle = button(
            t("Pixelated"),
            t("Show pixels as squares"),
            () => {
                const isOn = area.classList.toggle("truescale-pixelated");
                toggle.setAttribute("aria-pressed", isOn);
            },
            {"aria-pressed": "false"},
        );
        return toggle;
    }

    const help = () =>
        make("p", {
            ...{class: "truescale-help", id: "truescale_compare_help"},
            text: t(
                "Arrow keys move the divider, with Shift faster. With Ctrl they move the picture. + and - zoom, 0 shows all, Esc closes.",
            ),
        });

    /**
     * Shows `before` on the left and `after` on the right of a divider. Each has src, label, and fit as in CSS's
     * object-fit: how it was put into the size of `after` (else both fill the same box). Answers a promise that is kept
     * when the dialog is closed; the focus then goes back to `opener`.
     */
    function compare(before, after, opener) {
        const layers = [layerOf(before, "left"), layerOf(after, "right")];
        const handle = makeHandle();
        const divider = dividing(handle, layers, [before.label, after.label]);
        const area = make("div", {class: "truescale-stage", dir: "ltr", "aria-busy": "true"});
        area.append(...layers.map((one) => one.layer), handle);
        let stage = null;
        const zoom = TrueScale.zoomButtons(() => stage);
        const close = make("div", {
            class: "truescale-group truescale-last",
            children: [sign("\u00d7", t("Close"), () => dialog.close(null))],
        });
        const bar = make("div", {class: "truescale-bar", children: [...zoom.buttons, pixelatedButton(area), close]});
        const dialog = TrueScale.openDialog({
            ...{id: "truescale_compare_dialog", label: t("Compare two pictures"), opener},
            children: [bar, area, help()],
            keys: (event) => viewerKey(event, stage, divider),
        });
        const changed = (view) => {
            zoom.show(view);
            divider.show(view);
        };
        stage = TrueScale.zoomStage(area, {changed, grab: divider.grab});
        handle.focus({preventScroll: true});
        Promise.all(layers.map((one) => one.loaded))
            .then(
                ([, result]) => stage.setSize(result.naturalWidth, result.naturalHeight),
                (label) => area.replaceChildren(TrueScale.problem(label)),
            )
            .then(() => area.setAttribute("aria-busy", "false"));
        return dialog.closed;
    }

    TrueScale.compare = compare;
});
