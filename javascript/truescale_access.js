// What gradio 3 leaves to the mouse and to the eye in our panels, by keyboard and for screen readers as well.

(window.trueScaleScripts ??= []).push(function truescale_access(TrueScale) {
    const OURS = "[id^='truescale_'], [id^='setting_truescale_']";

    // An accordion's header is no button in gradio 3, and the host puts a check box into it: the arrow becomes the button.
    function openByKeyboard(header) {
        const [name, arrow] = header.children;
        if (header.tagName === "BUTTON" || !arrow || arrow.hasAttribute("aria-expanded")) return;
        const tell = () => arrow.setAttribute("aria-expanded", header.classList.contains("open"));
        name.id = name.id || `${header.parentElement.id}-name`;
        arrow.tabIndex = 0;
        arrow.setAttribute("role", "button");
        arrow.setAttribute("aria-labelledby", name.id);
        arrow.addEventListener("keydown", (event) => {
            if (event.key !== "Enter" && event.key !== " ") return;
            event.preventDefault();
            header.click();
        });
        new MutationObserver(tell).observe(header, {attributes: true, attributeFilter: ["class"]});
        tell();
    }

    function nameAfter(field, text) {
        if (!text || field.hasAttribute("aria-labelledby")) return;
        text.id = text.id || `${field.closest("[id]").id}-name`;
        field.setAttribute("aria-labelledby", text.id);
    }

    function update() {
        gradioApp()
            .querySelectorAll(OURS)
            .forEach((one) => {
                one.querySelectorAll(":scope > .label-wrap").forEach((header) => {
                    openByKeyboard(header);
                    header.querySelectorAll("input").forEach((field) => nameAfter(field, field.parentElement));
                });
                one.querySelectorAll(":scope input[type=number]").forEach((field) => {
                    const block = field.closest(OURS);
                    nameAfter(field, block && block.querySelector("[data-testid=block-info]"));
                });
            });
    }

    TrueScale.whenBuilt(update);
    onAfterUiUpdate(update);
});
