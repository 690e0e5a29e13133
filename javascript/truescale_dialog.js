// A dialog over the whole page that keeps its keys, its wheel and what is dropped on it from the host's own listeners.

(window.trueScaleScripts ??= []).push(function truescale_dialog(TrueScale) {
    const {t, make} = TrueScale;
    const KEYS = ["keydown", "keypress", "keyup"];
    const REACHABLE = ["button", "input", "select"]
        .map((one) => `${one}:not([disabled])`)
        .concat("a[href]", "[tabindex='0']")
        .join(", ");

    let current = null;
    const held = new Set(); // keys that went down in a dialog and are not up yet

    // What is left of a key that closed the dialog, so that the host does not get half of it: Escape would interrupt.
    function onHeld(event) {
        if (!held.has(event.key)) return;
        const isNew = event.type === "keydown" && !event.repeat;
        if (event.type === "keyup" || isNew) held.delete(event.key);
        if (!current && !isNew) event.stopImmediatePropagation();
    }
    KEYS.forEach((type) => window.addEventListener(type, onHeld, true));

    // Tab goes round inside, since a browser would lead it out to its own bars.
    function keepFocusInside(dialog, event) {
        const all = [...dialog.querySelectorAll(REACHABLE)].filter((one) =>
            one.checkVisibility ? one.checkVisibility() : true,
        );
        const at = all.indexOf(document.activeElement);
        event.preventDefault();
        if (!all.length) return;
        all[(at + (event.shiftKey ? (at < 0 ? 0 : -1) : 1) + all.length) % all.length].focus();
    }

    /**
     * Opens it with `children`. `keys(event)` gets each key that goes down, but for Tab and Escape. Answers {element,
     * close, closed}: `closed` is a promise, of what `close` was given, or null after Escape. Only one is open at a time.
     */
    function openDialog({id, label, children, opener, keys}) {
        if (current) current.close(null);
        const back = opener || document.activeElement;
        const element = make("dialog", {
            id,
            class: "truescale-dialog",
            role: "dialog",
            "aria-modal": "true",
            "aria-label": label,
            children,
        });
        let done = null;
        const closed = new Promise((resolve) => {
            done = resolve;
        });

        function onKey(event) {
            event.stopImmediatePropagation();
            if (event.type !== "keydown") return;
            if (event.repeat && !held.has(event.key)) return event.preventDefault(); // of the key that opened it
            held.add(event.key);
            if (event.key === "Tab") return keepFocusInside(element, event);
            if (event.key !== "Escape") return keys(event);
            event.preventDefault();
            close(null);
        }
        const stop = (event) => event.stopImmediatePropagation();
        const refuse = (event) => {
            event.stopPropagation();
            event.preventDefault();
        };

        const scroll = document.documentElement.style.overflow;
        KEYS.forEach((type) => window.addEventListener(type, onKey, true));
        window.addEventListener("paste", stop, true);
        ["dragover", "drop"].forEach((type) => element.addEventListener(type, refuse));
        element.addEventListener("wheel", refuse, {passive: false});
        element.addEventListener("cancel", (event) => {
            // a phone's key "back"
            event.preventDefault();
            close(null);
        });

        function close(answer) {
            if (current !== handle) return;
            current = null;
            KEYS.forEach((type) => window.removeEventListener(type, onKey, true));
            window.removeEventListener("paste", stop, true);
            document.documentElement.style.overflow = scroll;
            element.close();
            element.remove();
            const focused = back && !back.isConnected && back.id ? document.getElementById(back.id) : back;
            if (focused && focused.focus) focused.focus();
            done(answer);
        }

        const handle = {element, close, closed};
        current = handle;
        document.body.append(element);
        document.documentElement.style.overflow = "hidden";
        element.showModal();
        return handle;
    }

    /** What is said in place of a picture that cannot be shown. */
    function problem(name) {
        return make("p", {
            class: "truescale-problem",
            role: "alert",
            children: [
                make("strong", {text: name}),
                " ",
                make("span", {text: t("This picture cannot be shown. Its file may have been moved or deleted since.")}),
            ],
        });
    }

    Object.assign(TrueScale, {openDialog, problem});
});
