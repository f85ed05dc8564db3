"""The live page in headless Chromium: first paint, console, accessibility, pictures.

    pip install playwright axe-playwright-python     # and a Chromium: apt install chromium
    python benchmarks/page.py [--pictures DIR] [--hours HOURS]

Events of the sample are served repeatedly by the real sink. With --hours they are replayed as fast
as the page accepts them, and its memory is checked. The page uses Playwright's clock, which
advances by one second per second of events, so that its timers fire and its ten-minute history
fills and scrolls.
"""

from __future__ import annotations

import argparse
import time
from datetime import datetime, timezone
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from sample_events import STEP_S, again, recorded

from mera_edge.config import SinkSettings
from mera_edge.service.control import Control
from mera_edge.sinks.http import HttpSink

SIZES = {"desk": (1180, 900), "phone": (390, 844)}
PARTS = 16
BEHIND = 50
"""Largest accepted lag of the page in events; the server keeps 512."""


class Fed:
    """The sink with ten minutes of history. Time advances with the events."""

    def __init__(self) -> None:
        self.now_s = 0.0
        control = Control()
        control.use(["hall"])
        self.sink = HttpSink(SinkSettings(to="http://127.0.0.1:0"), control)
        self.sink._board._clock = lambda: self.now_s
        self.sink._board._began_s = 0.0
        self._events = again(recorded())
        self.feed(600, step_s=3.0)  # slowed down to make ten readable minutes

    def feed(self, seconds: float, pause_s: float = 0.0, step_s: float = STEP_S) -> None:
        for _ in range(round(seconds / step_s)):
            self.now_s += step_s
            self.sink.publish(next(self._events))
            time.sleep(pause_s)


def opened(browser: Browser, url: str, size: str, scheme: str) -> tuple[Page, list[str]]:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=1
    )
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(url) else said.append(f"asks {r.url}"))
    return page, said


def show(page: Page, url: str) -> None:
    page.goto(url, wait_until="commit")
    page.wait_for_selector(".status.live")


def first_paint_ms(page: Page) -> float:
    """Return the time from the response to the first paint."""
    return page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        " - performance.getEntriesByType('navigation')[0].responseStart"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--hours", type=float, default=0)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    arguments = parser.parse_args()
    fed, bad = Fed(), 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=arguments.chromium, args=["--no-sandbox"]
        )
        for size in SIZES:
            for scheme in ("light", "dark"):
                page, said = opened(browser, fed.sink.url, size, scheme)
                show(page, fed.sink.url)
                fed.feed(5, STEP_S / 4)
                found = Axe().run(page).response
                violations = [each["id"] for each in found["violations"]]
                wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
                print(
                    f"{datetime.now(timezone.utc):%H:%M:%S} {size} {scheme}: first paint "
                    f"{first_paint_ms(page):.0f} ms, violations {violations}, "
                    f"console {said}, scrolls sideways {wide}",
                    flush=True,
                )
                bad += len(violations) + len(said) + wide
                if arguments.pictures:
                    fed.feed(1, STEP_S / 4)
                    page.wait_for_timeout(1500)
                    path = arguments.pictures / f"live_{size}_{scheme}.png"
                    page.screenshot(path=path, full_page=True)
                page.context.close()
        if arguments.hours:
            bad += replay(browser, fed, arguments.hours)
        browser.close()
    fed.sink.close(None)
    raise SystemExit(bool(bad))


COUNTED = """
const Source = EventSource;
window.EventSource = class extends Source {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", () => { window.counted = (window.counted || 0) + 1; });
  }
};
"""


def replay(browser: Browser, fed: Fed, hours: float) -> int:
    """Send hours of events through one page; return the number of console messages and leaks."""
    page, said = opened(browser, fed.sink.url, "desk", "light")
    page.add_init_script(COUNTED)
    page.clock.install()
    show(page, fed.sink.url)
    session, first = page.context.new_cdp_session(page), page.evaluate("window.counted || 0")
    sent, heaps = 0, []
    for part in range(PARTS):
        for second in range(round(hours * 3600 / PARTS)):
            fed.feed(1)
            sent += round(1 / STEP_S)
            page.clock.run_for(1000)
            while second % 5 == 0 and sent - page.evaluate("window.counted || 0") + first > BEHIND:
                page.wait_for_timeout(20)
        session.send("HeapProfiler.collectGarbage")
        heaps.append(session.send("Runtime.getHeapUsage")["usedSize"] / 2**20)
        print(
            f"after {hours * (part + 1) / PARTS:.1f} h: {page.evaluate('window.counted')} events, "
            f"heap {heaps[-1]:.2f} MB, {session.send('Memory.getDOMCounters')}, console {said}",
            flush=True,
        )
    return len(said) + (heaps[-1] > heaps[0] + 1)


if __name__ == "__main__":
    main()
