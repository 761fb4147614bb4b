/* SPDX-License-Identifier: Apache-2.0 */
/* The report's style: light, dark, print, small screens. Colours of series are told apart by the colour-blind (after Okabe
 * and Ito), and differ in lightness where they touch. */
#include "sim/report_parts.h"

/* clang-format off */
const char *const report_style[] = {
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#18222d;--dim:#5a6877;--rule:#dfe4ea;--grid:#e6eaef;"
    "--axis:#98a4b1;--accent:#0b62a8;--bad:#b3261e;--good:#1a7f4b;--sea:#e9f0f5;--land:#d3d5cf;--edge:#fff;--ring:#fff;"
    "--c0:#1f77b4;--c1:#f0a31e;--c2:#12946b;--c3:#c96aa0;--c4:#7cc4ec;--c5:#cc5200;--c6:#6f5cab;--c7:#d8cf3f;"
    "--c8:#33424f;--c9:#a3aebb}\n",
    "@media (prefers-color-scheme:dark){:root{--bg:#0e141a;--card:#161e27;--ink:#e6ebf0;--dim:#98a6b4;--rule:#2a3542;"
    "--grid:#25303b;--axis:#5d6b79;--accent:#6db6f2;--bad:#ff8a80;--good:#5fd39a;--sea:#18232d;--land:#35424e;"
    "--edge:#0e141a;--ring:#cfd9e2;--c0:#4b9fdd;--c1:#f2b544;--c2:#2eb88a;--c3:#e08fbe;--c4:#a6d8f5;--c5:#ee7a33;--c6:#9c8ad6;"
    "--c7:#e6de68;--c8:#d5dde5;--c9:#75818d}}\n",
    "*{box-sizing:border-box}html{-webkit-text-size-adjust:100%}\n",
    "body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,"
    "'Helvetica Neue',Arial,sans-serif;font-variant-numeric:tabular-nums}\n",
    "main{max-width:1180px;margin:0 auto;padding:36px 20px 24px}\n",
    "h1{font-size:30px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}\n",
    "h2{font-size:21px;line-height:1.3;margin:44px 0 10px}h2+p{margin-top:-8px}\n",
    ".kind{color:var(--dim);margin:0 0 18px}.lead{font-size:18px;line-height:1.55;max-width:76ch;margin:0 0 10px}\n",
    "p.about{color:var(--dim);max-width:86ch;margin:0 0 14px}\n",
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(210px,1fr));gap:12px;margin:24px 0 0;padding:0}\n",
    ".four{grid-template-columns:repeat(auto-fit,minmax(240px,1fr))}.cards div{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:13px 15px 12px}\n",
    ".cards dt{color:var(--dim);font-size:13px;line-height:1.3}.cards dd{margin:3px 0 0;font-size:25px;line-height:1.15;"
    "font-weight:600;letter-spacing:-.01em;white-space:nowrap}\n",
    ".cards dd+dd{font-size:13px;line-height:1.35;font-weight:400;color:var(--dim);letter-spacing:0;white-space:normal;"
    "margin-top:5px}.cards small{font-size:15px;font-weight:500;color:var(--dim)}\n",
    ".pair{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:14px}\n",
    "figure{margin:0;background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:14px 16px 8px;"
    "min-width:0;break-inside:avoid}.pair figure{display:flex;flex-direction:column}.pair svg.chart{margin-top:auto;padding-top:4px}\n",
    "figure.wide{margin-bottom:14px}figcaption b{font-size:15px}.unit{color:var(--dim);font-size:13px;margin-left:8px}\n",
    ".say{display:block;color:var(--dim);font-size:13px;line-height:1.4}\n",
    "svg{display:block;width:100%;height:auto;overflow:visible}svg text{font-size:12px;fill:var(--dim)}\n",
    ".grid,.base,.tick{fill:none;stroke:var(--grid)}.base,.tick{stroke:var(--axis)}\n",
    ".c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}.c5{--c:var(--c5)}"
    ".c6{--c:var(--c6)}.c7{--c:var(--c7)}.c8{--c:var(--c8)}.c9{--c:var(--c9)}\n",
    ".area{fill:var(--c);stroke:var(--card);stroke-width:.6;stroke-linejoin:round}\n",
    ".line{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\n",
    ".block{fill:var(--c);stroke:var(--card);stroke-width:.5}\n",
    ".band{fill:var(--bad);fill-opacity:.2}\n",
    ".drill path{stroke:var(--bad);stroke-width:1.3;stroke-dasharray:4 3}.drill text{fill:var(--bad);font-weight:600}\n",
    ".note path{stroke:var(--axis);stroke-width:1;stroke-dasharray:2 4}\n",
    ".met path{stroke:var(--good);stroke-width:1.5}.met text{fill:var(--good);font-weight:600}\n",
    ".level path{stroke:var(--ink);stroke-width:1.2;stroke-dasharray:6 4}.level text{fill:var(--ink);paint-order:stroke;"
    "stroke:var(--card);stroke-width:4px;stroke-linejoin:round}\n",
    ".legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 14px;margin:6px 0 0;padding:0;font-size:13px;"
    "line-height:1.5}.legend span{color:var(--dim)}\n",
    ".k{display:inline-block;width:11px;height:11px;border-radius:3px;background:var(--c);margin-right:6px;"
    "vertical-align:-1px}\n",
    ".map .sea{fill:var(--sea)}.land{fill:var(--land)}.map .graticule{fill:none;stroke:var(--axis);"
    "stroke-opacity:.25;stroke-width:.7}\n",
    ".map .corridor{fill:none;stroke:var(--accent);stroke-opacity:.42;stroke-linecap:round}.map .denied{"
    "stroke-dasharray:1.5 5}.map .site{stroke:var(--ring);stroke-width:1.2}.map .label{font-size:12px;fill:var(--ink);"
    "paint-order:stroke;stroke:var(--edge);stroke-width:3px;stroke-opacity:.85;stroke-linejoin:round}\n",
    ".ramp span{white-space:nowrap}.ramp{display:flex;flex-wrap:wrap;align-items:center;gap:8px;font-size:13px;color:var(--dim);margin:8px 0 4px}.ramp i{flex:0 1 220px;"
    "height:10px;border-radius:5px}\n",
    ".scroll{overflow-x:auto;background:var(--card);border:1px solid var(--rule);border-radius:10px}\n",
    "table{border-collapse:collapse;width:100%;font-size:14px;line-height:1.35}th,td{padding:6px 12px;text-align:right;"
    "white-space:nowrap;border-top:1px solid var(--rule)}thead th{border-top:0;color:var(--dim);font-weight:500;"
    "vertical-align:bottom;padding-top:10px}th:first-child,td.t,th.t{text-align:left}tbody th{font-weight:500}"
    "tfoot td,tfoot th{font-weight:600;border-top:2px solid var(--axis)}td.w{white-space:normal;min-width:14em}\n",
    ".bar{display:inline-block;width:64px;height:9px;border-radius:2px;background:var(--grid);margin-left:8px;"
    "overflow:hidden;vertical-align:0}.bar i{display:block;height:100%;background:var(--accent)}\n",
    ".no{display:inline-block;min-width:20px;padding:0 5px;border-radius:10px;background:var(--bad);color:var(--card);"
    "font-size:12px;font-weight:600;text-align:center;margin-right:7px}\n",
    ".good{color:var(--good)}.bad{color:var(--bad)}\n",
    "footer{margin-top:48px;border-top:1px solid var(--rule);padding-top:14px;color:var(--dim);font-size:13px}"
    "footer dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 18px;margin:0}footer dd{margin:0;"
    "overflow-wrap:anywhere}code{font:12.5px/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}\n",
    "@media (max-width:760px){main{padding:22px 12px}h1{font-size:24px}.lead{font-size:16px}.pair{grid-template-columns:"
    "minmax(0,1fr)}.cards{grid-template-columns:repeat(2,minmax(0,1fr));gap:8px}.cards div{padding:10px 11px}"
    ".cards dd{font-size:20px}figure{padding:12px 10px 6px}svg.chart text{font-size:16.5px}.map .label{display:none}"
    "th,td{padding:6px 8px}footer dl{grid-template-columns:1fr}footer dd{margin-bottom:6px}}\n",
    "@media print{:root{--bg:#fff;--rule:#ccd3da}body{font-size:11pt}main{max-width:none;padding:0}h2{break-after:avoid}"
    ".scroll{overflow:visible}table{font-size:9pt}th,td{padding:3px 6px}tr,.cards div{break-inside:avoid}*{"
    "-webkit-print-color-adjust:exact;print-color-adjust:exact}}\n",
    NULL};
/* clang-format on */
