// The lists of drop-downs: those of upscalers are grouped by scale, the first of each group with the scale as a heading.

(window.trueScaleScripts ??= []).push(function truescale_lists(TrueScale) {
    const {t} = TrueScale;
    const OTHERS = "Other upscalers";

    function groupsOf(list) {
        const panel = list.closest("[id^='truescale_']");
        const prefix = panel && /^truescale_(extras|sd|hires|step_\d+)/.exec(panel.id);
        return prefix ? TrueScale.bridge.read(prefix[0], "groups") : null;
    }

    function head(list) {
        const groups = groupsOf(list);
        if (!groups) return;
        let last = null;
        list.querySelectorAll(":scope > li").forEach((item) => {
            const name = item.getAttribute("aria-label") || item.textContent.replace("✓", "").trim();
            const group = groups[name];
            const heading = group && group !== last ? (group === OTHERS ? t("Other upscalers") : group) : "";
            last = group || last;
            if ((item.dataset.truescaleGroup || "") !== heading) {
                if (heading) item.dataset.truescaleGroup = heading;
                else delete item.dataset.truescaleGroup;
            }
        });
    }

    // Lists come and go, and are filtered while the user types.
    TrueScale.whenBuilt(() => {
        new MutationObserver((changes) => {
            const lists = new Set();
            for (const {target} of changes) {
                if (target.closest && target.closest("[id^='truescale_']")) {
                    const list = target.closest("ul.options") || target.querySelector("ul.options");
                    if (list) lists.add(list);
                }
            }
            lists.forEach((list) => {
                list.tabIndex = -1; // else a long one takes the focus from its field at the key Tab, and is gone with it
                head(list);
            });
        }).observe(gradioApp() === document ? document.body : gradioApp(), {childList: true, subtree: true});
    });
});
