// The statement of a result below the picture: asked for after each run of the Extras, translated in the other tabs.

(window.trueScaleScripts ??= []).push(function truescale_statement(TrueScale) {
    const {t, byId} = TrueScale;
    const SEPARATOR = " · ";

    // -- Extras: the host tells scripts nothing when a run ends, but its result changes or its progress bar goes ----------

    let seen = null,
        wasRunning = false;

    function ofExtras() {
        const gallery = byId("extras_gallery");
        if (!gallery || !TrueScale.bridge.has("truescale_extras", "statement_show")) return;
        const pictures = [...gallery.querySelectorAll("img")].map((one) => one.src).join(" ");
        const log = byId("html_log_extras");
        const state = `${pictures} ${log ? log.textContent : ""}`;
        const isRunning = Boolean(
            gradioApp().querySelector("#extras_results .progressDiv, #extras_gallery_container .progressDiv"),
        );
        const ended = wasRunning && !isRunning;
        const changed = seen !== null && state !== seen;
        wasRunning = isRunning;
        if (isRunning) return;
        seen = state;
        if (ended || changed) TrueScale.bridge.signal("truescale_extras", "statement_show");
    }

    // -- txt2img, img2img: one line among the host's comments, words and values between dots -------------------------------

    function translated(line) {
        return line
            .split(SEPARATOR)
            .map((part) => {
                const [words, ...values] = part.split(": ");
                return [t(words), ...values].join(": ");
            })
            .join(SEPARATOR);
    }

    function ofComments() {
        gradioApp()
            .querySelectorAll("#html_log_txt2img .comments, #html_log_img2img .comments")
            .forEach((box) => {
                const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
                while (walker.nextNode()) {
                    const node = walker.currentNode;
                    if (!node.textContent.trim().startsWith(`TrueScale${SEPARATOR}`)) continue;
                    const text = translated(node.textContent.trim());
                    if (node.textContent.trim() !== text) node.textContent = text;
                }
            });
    }

    // -- forecasts are made anew after a run: it has taught how long things take -----------------------------------------

    let wasBusy = false;
    TrueScale.runs = 0;

    function countRuns() {
        const isBusy = Boolean(gradioApp().querySelector(".progressDiv"));
        if (wasBusy && !isBusy) TrueScale.runs += 1;
        wasBusy = isBusy;
    }

    onAfterUiUpdate(() => {
        countRuns();
        ofExtras();
        ofComments();
    });
});
