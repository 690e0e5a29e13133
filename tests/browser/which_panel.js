// A stand-in for what gradio makes of the panel "Which model?", to be put into the page of our panels: the elements that
// the script looks at, and what the server does to them. `window.which.answer(srcs, names)` is the end of a run.

(() => {
    const P = "truescale_extras_which";
    document.querySelectorAll(`[id^=${P}]`).forEach((one) => { one.id = `was_${one.id}`; });  // the real ones
    const panel = document.createElement("div");
    panel.id = P;
    panel.innerHTML = `
        <div class="gradio-row"><div class="form"><button id="${P}_pick" class="lg secondary gradio-button">Pick a crop</button>
        <button id="${P}_run" class="lg primary gradio-button">Compare the models</button></div></div>
        <div id="${P}_crop" class="truescale-hidden"><label><textarea></textarea></label></div>
        <div id="${P}_names" class="truescale-hidden"></div>
        <div id="${P}_chosen" class="truescale-hidden"><label><textarea></textarea></label></div>
        <div id="${P}_tries" class="block gradio-gallery truescale-hidden"></div>
        <div id="${P}_grid"><div class="prose"></div></div>`;
    const before = document.querySelector("#extras_generate");
    before.parentElement.insertBefore(panel, before);

    const field = (name) => panel.querySelector(`#${P}_${name} textarea`);
    const heard = {crop: [], chosen: []};
    for (const name of Object.keys(heard)) field(name).addEventListener("input", () => heard[name].push(field(name).value));

    function answer(srcs, names) {
        const image = (src) => `<img alt="" src="${src}">`;
        const preview = `<div class="preview"><img data-testid="detailed-image" src="${srcs[0]}">
            <div class="thumbnails">${srcs.map((src) => `<button class="thumbnail-item thumbnail-small">${image(src)}</button>`).join("")}
            </div></div>`;
        panel.querySelector(`#${P}_tries`).innerHTML = `${srcs.length ? preview : ""}<div class="grid-wrap"><div class="grid-container">
            ${srcs.map((src) => `<button class="thumbnail-item thumbnail-lg">${image(src)}</button>`).join("")}</div></div>`;
        const told = document.createElement("div");
        told.setAttribute("data-truescale-names", JSON.stringify(names));
        panel.querySelector(`#${P}_names`).replaceChildren(told);
    }

    function again() {
        panel.querySelector(`#${P}_grid`).innerHTML = "<div class='prose'>drawn again</div>";
    }

    window.which = {heard, answer, again};
})();
