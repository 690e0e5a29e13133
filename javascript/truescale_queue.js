// The queue of the Extras: its jobs as a list with buttons, brought up to date while one of them runs. The server holds
// the queue; what is shown here is what it said last.

(window.trueScaleScripts ??= []).push(function truescale_queue(TrueScale) {
    const {t, make, sign, byId, bridge} = TrueScale;
    const P = "truescale_extras_queue";
    const EVERY = 1000; // ms
    const stateWords = () => ({
        waiting: t("Waiting"),
        running: t("Running"),
        done: t("Done"),
        failed: t("Failed"),
        interrupted: t("Interrupted"),
    });
    // told: the jobs as the server has told them last; fromPage: what gradio's page had then; shown: what the list shows.
    let count = 0,
        told = null,
        fromPage = "",
        shown = "",
        isAsking = false,
        wasAsked = false;

    function act(name, job) {
        count += 1;
        bridge.send(P, "do", {act: name, job: job.number, count});
    }

    // -- the list ----------------------------------------------------------------------------------------------------

    const idOf = (job, part) => `${P}_job_${job.number}_${part}`;

    function buttonOf(job, name, face, title) {
        return sign(face, title, () => act(name, job), {id: idOf(job, name), "aria-label": `${title}: ${job.name}`});
    }

    function buttonsOf(job) {
        const ended = ["failed", "interrupted"].includes(job.state);
        return [
            ...(job.state === "waiting"
                ? [buttonOf(job, "up", "↑", t("Move up")), buttonOf(job, "down", "↓", t("Move down"))]
                : []),
            ...(ended ? [buttonOf(job, "again", "↻", t("Run again"))] : []),
            ...(job.state === "running" ? [] : [buttonOf(job, "remove", "✕", t("Remove from the queue"))]),
        ];
    }

    function settingsOf(job) {
        const said = job.settings.map(([word, value]) => (value ? `${t(word)}: ${t(value)}` : t(word)));
        return said.join(" · ") || t("No step of the Extras is switched on");
    }

    function itemOf(job) {
        const state = [stateWords()[job.state], job.progress, job.results > 1 ? `${t("Pictures")}: ${job.results}` : ""]
            .filter(Boolean)
            .join(" · ");
        return make("li", {
            class: `truescale-job truescale-job-${job.state}`,
            children: [
                ...(job.small ? [make("img", {src: job.small, alt: ""})] : []),
                make("div", {
                    class: "truescale-job-words",
                    children: [
                        make("strong", {id: idOf(job, "name"), text: job.name}),
                        make("span", {class: "truescale-job-state", text: state}),
                        make("span", {class: "truescale-job-settings", text: settingsOf(job)}),
                        ...job.notes.map((text) => make("span", {class: "truescale-job-note", text})),
                    ],
                }),
                make("div", {class: "truescale-job-buttons", children: buttonsOf(job)}),
            ],
        });
    }

    /** Where the keyboard was: at the same button, or, where that is gone, at one that is left of its job or the next. */
    function focusAgain(list, id, place) {
        if (!id) return;
        const item = list.children[Math.min(place, list.children.length - 1)];
        const next = byId(id) || (item && item.querySelector("button")) || byId(`${P}_add`);
        if (next) next.focus({preventScroll: true});
    }

    function render() {
        const box = byId(`${P}_list`);
        if (told) tellStatus();
        if (!box || !told) return;
        const text = JSON.stringify(told);
        const there = box.querySelector("ol");
        if (there && text === shown) return;
        shown = text;
        const focused = there && there.contains(document.activeElement) ? document.activeElement : null;
        const place = focused ? [...there.children].indexOf(focused.closest("li")) : -1;
        const list = make("ol", {class: "truescale-jobs", "aria-label": t("Queue"), children: told.jobs.map(itemOf)});
        if (there) there.replaceWith(list);
        else (box.querySelector(".prose") || box).append(list);
        focusAgain(list, focused && focused.id, place);
    }

    // -- up to date --------------------------------------------------------------------------------------------------

    const isBusy = () => told.jobs.some(({state}) => state === "running" || (state === "waiting" && !told.paused));
    const outcome = ({paused, jobs}) => JSON.stringify([paused, jobs.map(({number, state}) => [number, state])]);

    /** Whether files may be on their way, or be dropped at any moment: gradio 3 forgets them when the page changes then. */
    function awaitsFiles() {
        const box = byId("extras_image_batch");
        if (!box || !TrueScale.isSeen(box)) return false;
        const files = [...box.querySelectorAll("td.download")];
        return !files.length || files.some((one) => !one.children.length);
    }

    /** How many jobs are in which state, told as it changes. */
    function tellStatus() {
        const status = byId(`${P}_status`);
        if (!status) return undefined;
        status.setAttribute("role", "status");
        status.setAttribute("aria-live", "polite");
        const number = (state) => told.jobs.filter((job) => job.state === state).length;
        const counts = Object.entries(stateWords())
            .filter(([state]) => number(state))
            .map(([state, word]) => `${word}: ${number(state)}`);
        const waits = told.paused && (number("waiting") || number("running"));
        const text = [t("Queue"), ...counts, ...(waits ? [t("The queue is paused")] : [])].join(" · ");
        const place = status.querySelector(".prose") || status;
        const there = place.querySelector("p");
        if (!told.jobs.length) return there?.remove();
        const shows = there || place.appendChild(make("p", {class: "truescale-note"}));
        if (shows.textContent !== text) shows.textContent = text;
        return undefined;
    }

    function takeFromPage() {
        const page = bridge.read(P, "jobs");
        const text = JSON.stringify(page);
        if (!page || text === fromPage) return;
        [told, fromPage] = [page, text];
        render();
    }

    /** The rest of the page follows where a job's state has changed, and waits while a file is on its way. */
    async function look() {
        if (isAsking || !bridge.has(P, "jobs") || !bridge.isShown(P, "jobs")) return;
        takeFromPage();
        if (!told || (wasAsked && !isBusy() && outcome(told) === outcome(JSON.parse(fromPage)))) return;
        isAsking = true;
        const answer = await bridge.ask(P, "ask", "jobs");
        isAsking = false;
        if (answer) told = answer;
        render();
        if (awaitsFiles() || (wasAsked && outcome(told) === outcome(JSON.parse(fromPage)))) return;
        wasAsked = true; // once at first: the page may be older than the queue
        bridge.signal(P, "show");
    }

    TrueScale.whenBuilt(() => setInterval(look, EVERY));
    onAfterUiUpdate(() => {
        takeFromPage();
        render();
    });
});
