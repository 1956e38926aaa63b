// The charts that are described in Vega-Lite, drawn as wide as their places, light or dark as the page is.
{
  const given = JSON.parse(document.getElementById("pictures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const quiet = { renderer: "svg", actions: false, ast: true, defaultStyle: false };
  const draw = async () => {
    const config = dark.matches ? given.dark : given.light;
    for (const place of document.querySelectorAll("[data-picture]")) {
      const spec = structuredClone(given.charts[place.dataset.picture]);
      if (!spec) continue;
      if (spec.width) spec.width = "container";
      if (place.dataset.height) spec.height = Number(place.dataset.height);
      spec.autosize = { type: "fit", contains: "padding", resize: true };
      await vegaEmbed(place, spec, { ...quiet, config, tooltip: { theme: dark.matches ? "dark" : "light" } });
    }
    document.documentElement.dataset.drawn = "yes";
  };
  dark.addEventListener("change", draw);
  draw();
}
