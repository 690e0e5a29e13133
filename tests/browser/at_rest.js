// Put into each page before its own scripts. `window.atRest()` is when nothing goes on any more: no request is under way,
// no picture is loading, the host's scripts have told ours of the last change, and nothing was drawn for a moment.

(() => {
    const MOMENT = 60, LIMIT = 25000;  // ms
    let requests = 0, changed = performance.now();

    const begin = () => { requests += 1; };
    const end = () => {
        requests -= 1;
        changed = performance.now();
    };

    const plainFetch = window.fetch;
    window.fetch = function(...args) {
        begin();
        return plainFetch.apply(this, args).finally(end);
    };

    window.WebSocket = class extends WebSocket {  // gradio 3: one for each event
        constructor(...args) {
            super(...args);
            begin();
            this.addEventListener("close", end, {once: true});
        }
    };

    window.EventSource = class extends EventSource {  // gradio 4: one for the events that are under way
        constructor(...args) {
            super(...args);
            begin();
        }

        close() {
            if (this.readyState !== EventSource.CLOSED) end();
            super.close();
        }
    };

    new MutationObserver(() => { changed = performance.now(); })
        .observe(document, {childList: true, subtree: true, attributes: true});

    const isWaiting = () => typeof afterwards !== "undefined" && afterwards !== null;  // of webui_page.js
    const isLoading = () => [...document.images].some((one) => !one.complete && one.loading !== "lazy");

    window.atRest = () => new Promise((done, fail) => {
        const began = performance.now();
        (function look() {
            const now = performance.now();
            const isBusy = requests > 0 || isWaiting() || isLoading();
            if (!isBusy && now - Math.max(began, changed) >= MOMENT) return done();
            if (now - began < LIMIT) return setTimeout(look, 5);
            fail(new Error(`No rest: ${requests} requests, ${isWaiting()}, ${isLoading()}, drawn at ${changed} of ${now}`));
        })();
    });
})();
