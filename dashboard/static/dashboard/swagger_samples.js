"use strict";
// A plugin of Swagger UI. It shows each operation's `x-codeSamples` before its responses, one tab for each language.

let chosenSample = 0;

function codeSamples(system) {
  const { createElement, useRef, useState } = system.React;
  // The document's samples have the address of `make run`.
  const written = "http://127.0.0.1:8000";
  const neighbours = { ArrowRight: 1, ArrowLeft: -1 };

  function Samples({ id, samples }) {
    const [chosen, setChosen] = useState(Math.min(chosenSample, samples.length - 1));
    const [told, setTold] = useState("");
    const tabs = useRef([]);
    const source = samples[chosen].source.replaceAll(written, window.location.origin);

    function choose(place) {
      chosenSample = place;
      setChosen(place);
      setTold("");
    }

    function move(event) {
      const step = neighbours[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const place = (chosen + step + samples.length) % samples.length;
      choose(place);
      tabs.current[place].focus();
    }

    async function copy() {
      try {
        await navigator.clipboard.writeText(source);
        setTold("Copied");
      } catch {
        setTold("The browser does not allow copying");
      }
    }

    const buttons = samples.map(({ label }, place) =>
      createElement(
        "button",
        {
          key: label,
          ref: (element) => (tabs.current[place] = element),
          id: `${id}-${place}`,
          role: "tab",
          type: "button",
          "aria-selected": place === chosen,
          "aria-controls": `${id}-sample`,
          tabIndex: place === chosen ? 0 : -1,
          onClick: () => choose(place),
          onKeyDown: move,
        },
        label,
      ),
    );
    return createElement(
      "div",
      { className: "samples" },
      createElement(
        "div",
        { className: "samples-bar" },
        createElement("div", { role: "tablist", "aria-label": "Sample in" }, buttons),
        createElement("span", { role: "status" }, told),
        createElement("button", { type: "button", className: "samples-copy", onClick: copy }, "Copy"),
      ),
      createElement(
        "pre",
        { id: `${id}-sample`, role: "tabpanel", "aria-labelledby": `${id}-${chosen}`, tabIndex: 0 },
        createElement("code", null, source),
      ),
    );
  }

  return {
    wrapComponents: {
      responses: (Responses) => (props) => {
        const operation = system.specSelectors.specJson().getIn(["paths", props.path, props.method]);
        const samples = operation?.get("x-codeSamples")?.toJS() ?? [];
        const id = `samples-${operation?.get("operationId")}`;
        return createElement(
          system.React.Fragment,
          null,
          samples.length > 0 && createElement(Samples, { id, samples }),
          createElement(Responses, props),
        );
      },
    },
  };
}
