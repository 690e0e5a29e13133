// A stage on which a picture is zoomed and moved: by wheel, pinch, drag and buttons, from the whole of it to its pixels.

(window.trueScaleScripts ??= []).push(function truescale_zoom(TrueScale) {
    const {t, within, button, sign, make} = TrueScale;
    const LARGEST = 32; // px of the screen for each of the picture
    const STEP = 1.5;
    const TAPS = {milliseconds: 350, px: 30};

    const middle = ([a, b]) => ({x: (a.x + b.x) / 2, y: (a.y + b.y) / 2});
    const distance = ([a, b]) => Math.hypot(a.x - b.x, a.y - b.y);

    /**
     * Makes an element such a stage. `changed(view)` is called whenever the picture is to be drawn elsewhere: view has
     * left, top, width, height of the picture and stageWidth, stageHeight, in CSS px, zoom in CSS px for each px of the
     * picture, and isWhole. `grab(point, event)` may answer {move(point), end(), cancel()}, then a pointer drags that and
     * not the picture.
     */
    function zoomStage(stage, {changed, grab}) {
        const size = {width: 0, height: 0};
        const view = {zoom: 1, left: 0, top: 0};
        const pointers = new Map();
        let isFitted = true,
            drag = null,
            pinch = null,
            lastTap = null;

        const screen = () => window.devicePixelRatio || 1;
        const fitting = () => Math.min(stage.clientWidth / size.width, stage.clientHeight / size.height);
        const bounds = () => [Math.min(fitting(), 1 / screen()), Math.max(fitting(), LARGEST / screen())];

        // The picture always covers what it covers when all of it is seen, so that zooming in moves no pixel away from
        // the pointer; smaller than that, it is in the middle.
        function kept(start, length, fitted, whole) {
            const gap = (whole - fitted) / 2;
            if (length <= fitted) return (whole - length) / 2;
            return Math.min(gap, Math.max(whole - gap - length, start));
        }

        function place(zoom, left, top) {
            const [width, height] = [size.width * zoom, size.height * zoom];
            view.zoom = zoom;
            view.left = kept(left, width, size.width * fitting(), stage.clientWidth);
            view.top = kept(top, height, size.height * fitting(), stage.clientHeight);
            draw();
        }

        // On whole pixels of the screen, or else 1:1 would be blurred.
        function draw() {
            const box = stage.getBoundingClientRect();
            const whole = (start, value) => Math.round((start + value) * screen()) / screen() - start;
            const [width, height] = [size.width * view.zoom, size.height * view.zoom];
            changed({
                ...{zoom: view.zoom, width, height, left: whole(box.left, view.left), top: whole(box.top, view.top)},
                ...{stageWidth: stage.clientWidth, stageHeight: stage.clientHeight},
                isWhole: width <= stage.clientWidth + 0.5 && height <= stage.clientHeight + 0.5,
            });
        }

        /** About a point of the stage: what is under it stays there. `from` is the view that the factor counts from. */
        function zoomTo(zoom, point, from = view, to = point) {
            if (!size.width) return;
            const [smallest, largest] = bounds();
            const next = within(zoom, smallest, largest);
            const inside = (at, start, length) => within((at - start) / length, 0, 1);
            const x = inside(point.x, from.left, size.width * from.zoom) * size.width;
            const y = inside(point.y, from.top, size.height * from.zoom) * size.height;
            const clamped = {
                x: from.left + x * from.zoom - point.x + to.x,
                y: from.top + y * from.zoom - point.y + to.y,
            };
            isFitted = Math.abs(next / fitting() - 1) < 1e-3;
            place(next, clamped.x - x * next, clamped.y - y * next);
        }

        const centre = () => ({x: stage.clientWidth / 2, y: stage.clientHeight / 2});
        const zoomBy = (factor, point = centre()) => zoomTo(view.zoom * factor, point);
        const panBy = (x, y) => size.width && place(view.zoom, view.left + x, view.top + y);
        const oneToOne = () => zoomTo(1 / screen(), centre());
        function fit() {
            if (!size.width) return;
            isFitted = true;
            place(fitting(), 0, 0);
        }

        // -- pointers ----------------------------------------------------------------------------------------------

        function pointOf(event) {
            const box = stage.getBoundingClientRect();
            return {x: event.clientX - box.left - stage.clientLeft, y: event.clientY - box.top - stage.clientTop};
        }

        function panFrom(point) {
            let last = point;
            return {
                move(next) {
                    panBy(next.x - last.x, next.y - last.y);
                    last = next;
                },
            };
        }

        function down(event) {
            if (!size.width || (event.pointerType === "mouse" && event.button !== 0) || pointers.size === 2) return;
            const point = pointOf(event);
            pointers.set(event.pointerId, point);
            stage.setPointerCapture(event.pointerId);
            if (pointers.size === 2) {
                if (drag && drag.cancel) drag.cancel();
                drag = null;
                const both = [...pointers.values()];
                pinch = {apart: distance(both) || 1, point: middle(both), from: {...view}};
            } else {
                drag = (grab && grab(point, event)) || panFrom(point);
            }
        }

        function move(event) {
            if (!pointers.has(event.pointerId)) return;
            const point = pointOf(event);
            pointers.set(event.pointerId, point);
            if (drag) drag.move(point);
            if (!pinch) return;
            const both = [...pointers.values()];
            zoomTo((pinch.from.zoom * distance(both)) / pinch.apart, pinch.point, pinch.from, middle(both));
        }

        function up(event) {
            if (!pointers.delete(event.pointerId)) return;
            if (pinch) {
                // the finger that is left moves the picture
                pinch = null;
                drag = panFrom([...pointers.values()][0]);
                lastTap = null;
                return;
            }
            if (drag && drag.end) drag.end();
            drag = null;
            if (event.type === "pointerup" && event.pointerType !== "mouse") tapped(event);
        }

        // Not every browser makes a double click of two taps.
        function tapped(event) {
            const tap = {at: event.timeStamp, ...pointOf(event)};
            const again = lastTap && tap.at - lastTap.at < TAPS.milliseconds && distance([tap, lastTap]) < TAPS.px;
            lastTap = again ? null : tap;
            if (again) fit();
        }

        stage.addEventListener("pointerdown", down);
        stage.addEventListener("pointermove", move);
        stage.addEventListener("pointerup", up);
        stage.addEventListener("pointercancel", up);
        stage.addEventListener("mousedown", (event) => event.preventDefault()); // it would take the focus away
        stage.addEventListener("dblclick", fit);
        stage.addEventListener(
            "wheel",
            (event) => {
                event.preventDefault();
                const px = event.deltaY * [1, 16, 400][event.deltaMode];
                zoomTo(view.zoom * Math.exp(-px * (event.ctrlKey ? 0.01 : 0.002)), pointOf(event));
            },
            {passive: false},
        );

        new ResizeObserver(() => {
            if (!size.width) return;
            if (isFitted) fit();
            else zoomTo(view.zoom, centre());
        }).observe(stage);

        /** The picture's size in px; all of it is shown. */
        function setSize(width, height) {
            Object.assign(size, {width, height});
            fit();
        }

        return {setSize, fit, oneToOne, zoomBy, panBy, redraw: () => size.width && draw()};
    }

    /** Its buttons, and a place that says how large the picture is shown. */
    function zoomButtons(stage) {
        const percent = make("span", {class: "truescale-percent truescale-zoom-percent"});
        const buttons = [
            sign("\u2212", t("Zoom out"), () => stage().zoomBy(1 / STEP), {"aria-keyshortcuts": "-"}),
            percent,
            sign("+", t("Zoom in"), () => stage().zoomBy(STEP), {"aria-keyshortcuts": "+"}),
            button("1:1", t("One pixel of the picture on one of the screen"), () => stage().oneToOne()),
            button(t("Fit"), t("Show the whole picture"), () => stage().fit(), {"aria-keyshortcuts": "0"}),
        ];
        const show = (view) => {
            percent.textContent = `${Math.round(view.zoom * (window.devicePixelRatio || 1) * 100)} %`;
        };
        return {buttons, show};
    }

    /** Whether it was one of the keys + - 0. */
    function zoomKey(event, stage) {
        if (event.ctrlKey || event.metaKey || event.altKey) return false;
        if (event.key === "+" || event.key === "=") stage.zoomBy(STEP);
        else if (event.key === "-" || event.key === "_") stage.zoomBy(1 / STEP);
        else if (event.key === "0") stage.fit();
        else return false;
        event.preventDefault();
        return true;
    }

    Object.assign(TrueScale, {zoomStage, zoomButtons, zoomKey});
});
