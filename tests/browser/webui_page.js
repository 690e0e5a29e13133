// What AUTOMATIC1111's own scripts give to ours and do to our panels, as its script.js, ui.js, inputAccordion.js, hints.js
// and localization.js do. TOOLTIPS and TRANSLATION are set before by serve_panels.py.

const localization = window.localization = new URLSearchParams(location.search).has("korean") ? TRANSLATION : {};
const onceLoaded = [], onEachUpdate = [], afterUpdates = [];
let isLoaded = false, afterwards = null;

function gradioApp() {
    const app = document.querySelector("gradio-app");
    if (!app) return document;
    app.getElementById = (id) => document.getElementById(id);
    return app;
}

function onUiLoaded(callback) { onceLoaded.push(callback); }
function onUiUpdate(callback) { onEachUpdate.push(callback); }
function onAfterUiUpdate(callback) { afterUpdates.push(callback); }
function onOptionsChanged() {}
function updateInput(field) { field.dispatchEvent(new Event("input", {bubbles: true})); }

document.addEventListener("DOMContentLoaded", () => {
    new MutationObserver((mutations) => {
        if (!isLoaded && document.getElementById("txt2img_prompt")) {
            isLoaded = true;
            onceLoaded.forEach((callback) => callback());
            document.body.dataset.ready = "yes";
        }
        onEachUpdate.forEach((callback) => callback(mutations));
        clearTimeout(afterwards);
        afterwards = setTimeout(() => {
            afterwards = null;
            afterUpdates.forEach((callback) => callback());
        }, 50);  // the host's are 200 ms: each step of a test waits for it
    }).observe(gradioApp(), {childList: true, subtree: true});
});

// -- accordions that are switched on by opening them --------------------------------------------------------------------

function setUpAccordion(box) {
    const accordion = document.getElementById(box.id.replace(/-checkbox$/, ""));
    const label = accordion.querySelector(".label-wrap");
    const hidden = box.querySelector("input");
    const isOpen = () => label.classList.contains("open");
    const visible = document.createElement("input");
    let linked = true;
    const changed = () => {
        if (linked && isOpen() !== visible.checked) label.click();
        hidden.checked = visible.checked;
        updateInput(hidden);
        hidden.dispatchEvent(new Event("change", {bubbles: true}));
    };
    new MutationObserver(() => {
        if (!linked) return;
        visible.checked = isOpen();
        changed();
    }).observe(label, {attributes: true, attributeFilter: ["class"]});
    Object.assign(visible, {type: "checkbox", checked: isOpen(), id: `${accordion.id}-visible-checkbox`});
    visible.className = hidden.className;
    label.querySelector("span").prepend(visible);
    visible.addEventListener("click", (event) => {
        linked = false;
        event.stopPropagation();
    });
    visible.addEventListener("input", changed);
}

onUiLoaded(() => document.querySelectorAll("[id$='-checkbox']").forEach((box) => {
    if (document.getElementById(box.id.replace(/-checkbox$/, ""))) setUpAccordion(box);
}));

// -- tooltips and translation ---------------------------------------------------------------------------------------------

onUiLoaded(() => Object.entries(TOOLTIPS).forEach(([id, text]) => {
    const element = document.getElementById(id);
    if (element) element.title = text;
}));

function translateText(node) {
    const text = node.textContent.trim();
    const parent = node.parentElement;
    if (!text || !parent || ["SCRIPT", "STYLE", "TEXTAREA"].includes(parent.nodeName)) return;
    if (/^[.\d]+$/.test(text) || /\p{Extended_Pictographic}/u.test(text)) return;
    if (localization[text] !== undefined) node.textContent = localization[text];
}

function translate(node) {
    if (node.nodeType === Node.TEXT_NODE) return translateText(node);
    if (node.nodeType !== Node.ELEMENT_NODE) return;
    for (const name of ["title", "placeholder"]) {
        if (node[name] && localization[node[name]] !== undefined) node[name] = localization[node[name]];
    }
    const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) found.push(walker.currentNode);
    found.forEach(translateText);
}

document.addEventListener("DOMContentLoaded", () => {
    if (!Object.keys(localization).length) return;
    onUiUpdate((mutations) => mutations.forEach((one) => one.addedNodes.forEach(translate)));
    onUiLoaded(() => {
        translate(gradioApp());
        document.querySelectorAll("[placeholder]").forEach((field) => translate(field));
        Object.keys(TOOLTIPS).map((id) => document.getElementById(id)).filter(Boolean).forEach(translate);
    });
});
