// The button beside a result, in Extras and img2img, that compares it with its source.

(window.trueScaleScripts ??= []).push(function truescale_compare_button(TrueScale) {
    const {t, byId, isSeen, pictureIn, galleryPictures} = TrueScale;
    const SIGN = `<svg viewBox="0 0 24 24" width="1em" height="1em" aria-hidden="true" focusable="false">
        <path d="M3 4h18v16H3z" fill="none" stroke="currentColor" stroke-width="2"/>
        <path d="M12 4h9v16h-9z" fill="currentColor"/><path d="M12 1v22" stroke="currentColor" stroke-width="2"/></svg>`;
    const PLACES = {
        extras: {sources: ["extras_image"], fit: fitOfExtras, grows: false},
        img2img: {sources: TrueScale.IMG2IMG_SOURCES, fit: fitOfImg2img, grows: true}, // truescale_gallery.js adds to it
    };

    // For each place: the pictures of its gallery when they came, and what they were made from. Pending: of a run that
    // has begun, since the source may be exchanged before its result comes.
    const results = {},
        pending = {};

    // -- the page ------------------------------------------------------------------------------------------------

    function sourceOf(place) {
        const found = pictureIn(PLACES[place].sources);
        return found && {src: found.picture.src, fit: PLACES[place].fit()};
    }

    // How the source was put into the size of the result, as in CSS's object-fit.
    function fitOfExtras() {
        const ours = byId("truescale_extras_fit");
        const way = ours && isSeen(ours) && [...ours.querySelectorAll("input")].find((one) => one.checked);
        if (way) return {crop: "cover", pad: "contain"}[way.value] || "fill";
        const theirs = byId("extras_upscaling_crop");
        return theirs && isSeen(theirs) && theirs.querySelector("input").checked ? "cover" : "fill";
    }

    function fitOfImg2img() {
        const ways = [...gradioApp().querySelectorAll("#resize_mode input[type=radio]")];
        return {1: "cover", 2: "contain"}[ways.findIndex((one) => one.checked)] || "fill";
    }

    function selectedPicture(gallery) {
        return (
            gallery.querySelector("[data-testid=detailed-image], .preview > img") ||
            gallery.querySelector(".thumbnail-item.selected img") ||
            galleryPictures(gallery)[0] ||
            null
        );
    }

    // -- what was made from what -----------------------------------------------------------------------------------

    function remember(place) {
        const gallery = byId(`${place}_gallery`);
        const srcs = gallery ? galleryPictures(gallery).map((one) => one.src) : [];
        const last = results[place];
        if (srcs.join("\n") === (last ? last.srcs.join("\n") : "")) return;
        // A run leaves hardly all of those that were there.
        const isSame = PLACES[place].grows && last && last.srcs.every((one) => srcs.includes(one));
        if (isSame) return void (last.srcs = srcs);
        const source = place in pending ? pending[place] : sourceOf(place);
        delete pending[place];
        results[place] = srcs.length ? {srcs, source} : null;
    }

    function begin(event) {
        for (const place of Object.keys(PLACES)) {
            if (event.target.closest && event.target.closest(`#${place}_generate`)) pending[place] = sourceOf(place);
        }
    }

    // -- the button --------------------------------------------------------------------------------------------------

    function reasonAgainst(place) {
        if (!results[place]) return t("There is no result yet");
        if (!results[place].source) return t("There is no source picture to compare with");
        return "";
    }

    function open(place, button) {
        remember(place);
        if (reasonAgainst(place)) return update();
        const picture = selectedPicture(byId(`${place}_gallery`));
        const {src, fit} = results[place].source;
        return TrueScale.compare({src, label: t("Source"), fit}, {src: picture.src, label: t("Result")}, button);
    }

    function addButton(place) {
        const button = TrueScale.resultButton(`truescale_compare_${place}`, place, {
            "aria-label": t("Compare with the source"),
            click: () => open(place, button),
        });
        if (!button || button.matches(".truescale-compare")) return button;
        button.classList.add("truescale-compare");
        button.innerHTML = SIGN;
        return button;
    }

    function update() {
        for (const place of Object.keys(PLACES)) {
            remember(place);
            const button = addButton(place);
            if (button) TrueScale.setReason(button, t("Compare with the source"), reasonAgainst(place));
        }
    }

    TrueScale.whenBuilt(() => {
        document.addEventListener("click", begin, true);
        TrueScale.whenPictureLoads(update);
        onAfterUiUpdate(update);
        update();
    });
});
