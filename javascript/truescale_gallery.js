// The button below the galleries of txt2img and img2img that upscales pictures which stand there, and its dialog.

(window.trueScaleScripts ??= []).push(function truescale_gallery(TrueScale) {
    const {t, make, byId, button, galleryPictures} = TrueScale;
    const PLACES = ["txt2img", "img2img"];
    const REMEMBERED = "truescale_gallery_preset";
    const ANSWER_TIME = 10_000; // ms, between the end of a job and its answer
    const SIGN = `<svg viewBox="0 0 24 24" width="1em" height="1em" aria-hidden="true" focusable="false">
        <path d="M3 13h8v8H3z" fill="currentColor"/><path d="M3 9V3h18v18h-6" fill="none" stroke="currentColor"
        stroke-width="2"/><path d="M12 12l5-5M12.5 7H17v4.5" fill="none" stroke="currentColor" stroke-width="2"/></svg>`;

    const panelOf = (place) => `truescale_gallery_${place}`;
    const galleryOf = (place) => byId(`${place}_gallery`);
    const picturesOf = (place) => (galleryOf(place) ? galleryPictures(galleryOf(place)) : []);
    const fileOf = (picture) => picture.getAttribute("src").replace(/^.*?file=/, "");
    const filesOf = (place) => picturesOf(place).map(fileOf);

    // -- the dialog --------------------------------------------------------------------------------------------------

    function fill(list, names) {
        const was = list.value || localStorage.getItem(REMEMBERED);
        list.replaceChildren(...names.map((name) => make("option", {value: name, text: t(name)})));
        if (names.includes(was)) list.value = was;
    }

    /** A list of presets, as they are now: others may have been saved since the page was built. */
    function presetList(place) {
        const list = make("select", {id: "truescale_upscale_preset", class: "truescale-list"});
        const panel = panelOf(place);
        const told = () => fill(list, TrueScale.bridge.read(panel, "presets") || []);
        told();
        const watcher = new MutationObserver(told);
        watcher.observe(byId(`${panel}_presets`), {childList: true, subtree: true, attributes: true});
        TrueScale.bridge.signal(panel, "presets_ask");
        return {list, end: () => watcher.disconnect()};
    }

    function choiceOf({src}, number, count, isChosen) {
        const box = make("input", {type: "checkbox", "aria-label": `${t("Picture")} ${number + 1} / ${count}`});
        box.checked = isChosen;
        return {box, label: make("label", {class: "truescale-choice", children: [box, make("img", {src, alt: ""})]})};
    }

    function choicesOf(place) {
        const pictures = picturesOf(place);
        const chosen = TrueScale.selectedIndex(galleryOf(place));
        return pictures.map((one, number) => choiceOf(one, number, pictures.length, number === chosen));
    }

    /** A button that chooses all of several pictures, or none where all are. */
    function allButton(boxes) {
        const set = () => {
            const all = boxes.every((one) => one.checked);
            boxes.forEach((one) => (one.checked = !all));
        };
        return button(t("All"), t("Choose all pictures, or none"), set);
    }

    function open(place, opener) {
        if (!picturesOf(place).length) return update();
        const files = filesOf(place);
        const choices = choicesOf(place);
        const boxes = choices.map((one) => one.box);
        const {list, end} = presetList(place);
        const said = make("p", {class: "truescale-said", role: "alert"});
        function start() {
            const pictures = boxes.flatMap((one, index) => (one.checked ? [index] : []));
            if (!pictures.length) return (said.textContent = t("Choose at least one picture"));
            if (!list.value) return (said.textContent = t("Choose a preset"));
            localStorage.setItem(REMEMBERED, list.value);
            return dialog.close({files, pictures, preset: list.value});
        }
        const group = (kind, ...children) => make("div", {class: `truescale-group ${kind}`, children});
        const bar = make("div", {
            class: "truescale-bar",
            children: [
                group("", make("label", {for: list.id, text: t("Preset")}), list),
                ...(boxes.length > 1 ? [allButton(boxes)] : []),
                group(
                    "truescale-last",
                    button(t("Cancel"), t("Close without upscaling"), () => dialog.close(null)),
                    button(t("Upscale"), t("Upscale the chosen pictures; they stay as they are"), start, {
                        class: "truescale-button truescale-primary",
                    }),
                ),
            ],
        });
        const dialog = TrueScale.openDialog({
            ...{id: "truescale_upscale_dialog", label: t("Upscale with TrueScale"), opener},
            children: [
                bar,
                said,
                make("div", {
                    ...{class: "truescale-choosing", role: "group", "aria-label": t("Pictures")},
                    wheel: (event) => event.stopPropagation(), // here it scrolls
                    children: choices.map((one) => one.label),
                }),
                make("p", {class: "truescale-help", text: t("Each result is added after its source, and saved.")}),
            ],
            keys: (event) => {
                if (event.key !== "Enter" || event.target.tagName === "BUTTON") return;
                event.preventDefault();
                start();
            },
        });
        boxes.find((one) => one.checked)?.focus();
        return dialog.closed.then((order) => {
            end();
            if (order) give(place, order);
        });
    }

    // -- the jobs ----------------------------------------------------------------------------------------------------

    // Place -> its orders in line, the task that is under way, and those that are done, whose results are to be placed.
    // gradio ignores what is sent while its function runs (3), or all of it but the last (4): so one after the other.
    const lines = Object.fromEntries(
        PLACES.map((place) => [place, {orders: [], task: "", done: [], placing: "", lost: ""}]),
    );

    function give(place, order) {
        const line = lines[place];
        line.orders.push({...order, waited: Boolean(line.task)});
        line.lost = "";
        sendNext(place);
    }

    function sendNext(place) {
        const line = lines[place];
        if (!line.task && line.orders.length) {
            line.task = `task(truescale${Math.random().toString(36).slice(2)})`;
            TrueScale.bridge.send(panelOf(place), "order", {task: line.task, ...asOfNow(place, line.orders.shift())});
            showProgress(place, line.task);
        }
        tell(place);
    }

    /** The files and the places in them as the gallery is now: it may have changed while the order waited. */
    function asOfNow(place, {files, pictures, ...more}) {
        const now = filesOf(place);
        const chosen = pictures.map((one) => files[one]);
        const all = [...now, ...chosen.filter((file) => !now.includes(file))];
        return {...more, files: all, pictures: chosen.map((file) => all.indexOf(file))};
    }

    function tell(place) {
        const {orders, lost} = lines[place];
        const waiting = orders.length ? `${t("Waiting for the upscaling under way to end")}: ${orders.length}` : "";
        const id = `${panelOf(place)}_line`;
        const said = byId(id) || make("p", {id, class: "truescale-line", role: "status"});
        const words = [lost, waiting].filter(Boolean).join(" ");
        if (!said.isConnected) byId(`${panelOf(place)}_note`)?.after(said);
        if (said.textContent !== words) said.textContent = words;
    }

    /** The host's own bar and its Interrupt, as for a generation. */
    function showProgress(place, task) {
        const container = byId(`${place}_gallery_container`);
        if (typeof requestProgress !== "function" || !container) return;
        const buttons = (isIdle) => typeof showSubmitButtons === "function" && showSubmitButtons(place, isIdle);
        buttons(false);
        requestProgress(task, container, galleryOf(place), () => {
            buttons(true);
            setTimeout(() => lookAfter(place, task), ANSWER_TIME);
        });
    }

    /** The bar has ended. A job whose answer does not come then is given up; one that has not begun yet gets another bar. */
    async function lookAfter(place, task) {
        const line = lines[place];
        if (line.task !== task) return;
        if (!(await isOver(task))) return line.task === task && showProgress(place, task);
        if (line.task !== task) return;
        line.task = "";
        line.lost = t(
            "The WebUI did not answer; what it has upscaled is among its saved pictures. Load the page anew.",
        );
        sendNext(place);
    }

    async function isOver(task) {
        try {
            const answer = await fetch("./internal/progress", {
                method: "POST",
                headers: {"Content-Type": "application/json"},
                body: JSON.stringify({id_task: task, live_preview: false}),
            });
            return (await answer.json()).completed;
        } catch {
            return true;
        }
    }

    function hearDone(place) {
        const line = lines[place];
        const done = TrueScale.bridge.read(panelOf(place), "done");
        if (!done || !line.task || done.task !== line.task) return;
        if (done.results) line.done.push(done.task);
        line.task = "";
        placeResults(place);
        sendNext(place);
    }

    function placeResults(place) {
        const line = lines[place];
        if (line.placing || !line.done.length) return;
        line.placing = line.done.shift();
        TrueScale.bridge.send(panelOf(place), "place", {task: line.placing, files: filesOf(place)});
    }

    function hearAdded(place) {
        const line = lines[place];
        const added = TrueScale.bridge.read(panelOf(place), "added");
        if (!added || !line.placing || added.task !== line.placing) return;
        line.placing = "";
        line.first = added.pictures[0];
        placeResults(place);
    }

    /** The first result is chosen; the gallery may come a moment after the words about it. */
    function chooseFirst(place) {
        const picture = picturesOf(place)[lines[place].first];
        if (!picture) return;
        lines[place].first = undefined;
        clickOnly(picture.closest("button"), galleryOf(place));
    }

    /** gradio moves the focus to a picture that is chosen; it is where the user works, or was opened from. */
    function clickOnly(element, gallery) {
        const had = document.activeElement;
        const back = () => (had && had !== document.body ? had : document.activeElement).focus({preventScroll: true});
        gallery.addEventListener("focusin", back, {once: true});
        setTimeout(() => gallery.removeEventListener("focusin", back), 500);
        element?.click();
    }

    // -- the button --------------------------------------------------------------------------------------------------

    function update() {
        for (const place of PLACES) {
            if (!TrueScale.bridge.has(panelOf(place), "order")) continue;
            const element = TrueScale.resultButton(`truescale_upscale_${place}`, place, {
                "aria-label": t("Upscale with TrueScale"),
                click: () => open(place, element),
            });
            if (!element) continue;
            if (!element.firstChild) element.innerHTML = SIGN;
            const reason = picturesOf(place).length ? "" : t("There is no result yet");
            TrueScale.setReason(element, t("Upscale with TrueScale"), reason);
            byId(`${panelOf(place)}_note`)?.setAttribute("role", "status");
            hearDone(place);
            hearAdded(place);
            chooseFirst(place);
        }
    }

    TrueScale.whenBuilt(() => {
        TrueScale.whenPictureLoads(update);
        onAfterUiUpdate(update);
        update();
    });
});
