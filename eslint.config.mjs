// How javascript/ is looked at, by `python install.py check`. A WebUI loads those files as plain scripts.

import js from "@eslint/js";
import globals from "globals";

// What the WebUI's own scripts define, of what ours use.
const WEBUI = [
    "gradioApp",
    "onUiLoaded",
    "onUiUpdate",
    "onAfterUiUpdate",
    "onOptionsChanged",
    "opts",
    "requestProgress",
    "showSubmitButtons",
    "updateInput",
];

export default [
    js.configs.recommended,
    {
        files: ["javascript/**/*.js"],
        languageOptions: {
            ecmaVersion: 2022,
            sourceType: "script",
            globals: {
                ...globals.browser,
                ...Object.fromEntries(WEBUI.map((name) => [name, "readonly"])),
            },
        },
        linterOptions: {reportUnusedDisableDirectives: "error"},
        rules: {
            "array-callback-return": "error",
            curly: ["error", "multi-line"],
            "default-case-last": "error",
            "dot-notation": "error",
            eqeqeq: "error",
            "no-else-return": "error",
            "no-eval": "error",
            "no-implicit-globals": "error",
            "no-implied-eval": "error",
            "no-lonely-if": "error",
            "no-new-func": "error",
            "no-self-compare": "error",
            "no-shadow": "error",
            "no-template-curly-in-string": "error",
            "no-throw-literal": "error",
            "no-unneeded-ternary": "error",
            "no-useless-return": "error",
            "no-var": "error",
            "object-shorthand": "error",
            "prefer-const": "error",
            "prefer-rest-params": "error",
            "prefer-template": "error",
        },
    },
];
