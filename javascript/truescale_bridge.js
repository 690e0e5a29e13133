// The bridge between the page and the server. Its channels are declared here and, with the shape of what is said on each,
// in lib_upscaler/webui/panels/bridge.py; nothing else writes into a field that is not for the user.
//
// A channel of a panel is the element `${panel}_${name}`, which is not to be seen.

(window.trueScaleScripts ??= []).push(function truescale_bridge(TrueScale) {
    const CHANNELS = {
        source: "to server",
        crop: "to server",
        chosen: "to server",
        statement_show: "signal",
        names: "to page",
        groups: "to page",
        presets_ask: "signal",
        presets: "to page",
        order: "to server",
        done: "to page",
        place: "to server",
        added: "to page",
        do: "to server",
        show: "signal",
        ask: "signal",
        jobs: "to page",
    };
    const {byId} = TrueScale;

    function elementOf(panel, name, way) {
        if (CHANNELS[name] !== way) throw new Error(`${name} is no channel ${way}`);
        return byId(`${panel}_${name}`);
    }

    /** Whether the panel has this channel on the page. */
    const has = (panel, name) => Boolean(byId(`${panel}_${name}`));

    /** And whether its place there can be seen: the panel is open. */
    function isShown(panel, name) {
        const place = byId(`${panel}_${name}`)?.parentElement;
        return Boolean(place && TrueScale.isSeen(place));
    }

    /** To the server, unless it was the last that was sent. `data`: what JSON holds. */
    function send(panel, name, data) {
        const element = elementOf(panel, name, "to server");
        const field = element && element.querySelector("textarea, input");
        const text = JSON.stringify(data);
        if (!field || field.value === text) return;
        field.value = text;
        updateInput(field);
    }

    /** To the server, that something has happened. */
    function signal(panel, name) {
        const element = elementOf(panel, name, "signal");
        (element?.querySelector("button") || element)?.click();
    }

    /**
     * What the server answers to a signal, past gradio's page: whatever comes in there while a file is on its way from it
     * makes gradio 3 forget the file. `said`: the channel of the answer. Null where there is none.
     */
    async function ask(panel, name, said) {
        const button = elementOf(panel, name, "signal");
        const {components, dependencies} = window.gradio_config || {};
        const component = button && components && components.find(({props}) => props.elem_id === `${panel}_${name}`);
        if (!component) return null;
        const place = dependencies.findIndex(({targets}) => targets.some((one) => [one].flat()[0] === component.id));
        const body = JSON.stringify({fn_index: dependencies[place]?.id ?? place, data: []});
        try {
            const answer = await fetch("./run/predict", {
                method: "POST",
                headers: {"Content-Type": "application/json"},
                body,
            });
            return saidIn(new DOMParser().parseFromString((await answer.json()).data[0], "text/html"), said);
        } catch {
            return null;
        }
    }

    function saidIn(element, name) {
        const told = element?.querySelector(`[data-truescale-${name}]`);
        try {
            return told ? JSON.parse(told.getAttribute(`data-truescale-${name}`)) : null;
        } catch {
            return null;
        }
    }

    /** What the server has said last; null where it has said nothing, or nothing that is ours. */
    function read(panel, name) {
        return saidIn(elementOf(panel, name, "to page"), name);
    }

    TrueScale.bridge = {CHANNELS, has, isShown, send, signal, ask, read};
});
