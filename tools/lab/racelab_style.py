# SPDX-License-Identifier: Apache-2.0
"""The style of the race laboratory's page: light and dark, wide and narrow.

The palette keeps its contrast for colour-blind readers (after Okabe and Ito), and no series is told
by its colour alone.
"""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fcfcfa; --ink: #1b1d21; --soft: #5b616b; --rule: #dfdfd9; --band: #f2f2ed;
  --noclash: #0067a5; --first: #c24e00; --second: #8f6a00; --third: #a13d78;
  --together: #0067a5; --split: #d98f00; --gone: #c24e00; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14161a; --ink: #e9e9e4; --soft: #a2a8b3; --rule: #30343b; --band: #1d2026;
    --noclash: #62b8ee; --first: #ff9152; --second: #ecc255; --third: #ee9fca;
    --together: #3f8fc4; --split: #ecc255; --gone: #ff7a33; --bad: #ff8a80;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif;
}
main, header, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.5rem; }
.eyebrow { margin: 0 0 .75rem; color: var(--soft); font-size: .85rem; letter-spacing: .04em; }
h1 {
  margin: 0 0 1.25rem; max-width: 58rem; font-weight: 620; letter-spacing: -.011em;
  font-size: clamp(1.3rem, 1.05rem + 1.3vw, 1.85rem); line-height: 1.28; text-wrap: pretty;
}
h2 { margin: 3.25rem 0 .5rem; font-size: 1.3rem; line-height: 1.3; letter-spacing: -.006em; }
h3 { margin: 0 0 .5rem; font-size: .95rem; font-weight: 620; }
p { max-width: 44rem; margin: .5rem 0; }
a { color: var(--noclash); text-underline-offset: .15em; }
code, pre { font: .84em/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
pre { margin: .5rem 0; padding: .7rem .85rem; background: var(--band); border-radius: 6px;
      overflow-x: auto; }
.command { white-space: pre-wrap; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 9rem), 1fr));
         gap: .75rem 1.5rem; margin: 0; padding: 1rem 0; border-top: 1px solid var(--rule);
         border-bottom: 1px solid var(--rule); font-size: .9rem; }
.facts dt { color: var(--soft); font-size: .8rem; }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.panels { display: grid; gap: 1.75rem 2.25rem; margin: 1.5rem 0 1rem;
          grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
.panels.two { grid-template-columns: repeat(auto-fit, minmax(min(100%, max(20rem, 40%)), 1fr)); }
.panels > * { min-width: 0; max-width: 27rem; margin: 0; }
.legend { color: var(--soft); font-size: .88rem; }
.entry { white-space: nowrap; margin-right: .6em; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .3em 0 .1em;
       vertical-align: -.06em; }
.key.together { background: var(--together); }
.key.split { background: var(--split); }
.key.gone { background: var(--gone); }
.wrong { border-left: 4px solid var(--bad); padding: .1rem 0 .1rem 1rem; }
.scroll { overflow-x: auto; margin: .75rem 0; }
.legend + .scroll { margin-top: 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; text-align: right; white-space: nowrap;
         border-bottom: 1px solid var(--rule); }
th:first-child, td:first-child, .words { text-align: left; }
thead th { color: var(--soft); font-weight: 500; vertical-align: bottom; }
tbody th { font-weight: 500; }
details { margin: .6rem 0; }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; }
summary:hover { color: var(--ink); }
details:has(:target) > summary { color: var(--ink); font-weight: 620; }
footer { margin: 4rem auto 3rem; color: var(--soft); font-size: .85rem; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font: 12px system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif;
           fill: var(--ink); }
svg .tick, svg .axis { font-size: 10.5px; fill: var(--soft); }
svg .value { font-variant-numeric: tabular-nums; white-space: pre; }
svg .halo { paint-order: stroke; stroke: var(--page); stroke-width: 4px; stroke-linejoin: round; }
svg .name { font-weight: 620; }
.grid { stroke: var(--rule); stroke-width: 1; }
.axis-tick { stroke: var(--soft); stroke-width: 1; }
.mark { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 3; }
.band { fill: var(--band); }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.span { stroke-width: 2; opacity: .55; }
.hollow { fill: none; stroke-width: 1.75; }
.noclash { --c: var(--noclash); } .first { --c: var(--first); } .second { --c: var(--second); }
.third { --c: var(--third); } .ink { --c: var(--ink); }
svg .name.noclash, svg .name.first, svg .name.second, svg .name.third, .solid { fill: var(--c); }
.line, .span, .hollow { stroke: var(--c); }
rect.together { fill: var(--together); } rect.split { fill: var(--split); }
rect.gone { fill: var(--gone); }
@media print { details > * { display: block; } }
"""
